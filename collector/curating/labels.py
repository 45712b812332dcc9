"""Flags on photos whose label is in doubt: pure functions on the catalogue's rows; no picture is looked at."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date
from typing import Any

from collector.catalogue.catalogue import Decision
from collector.providers.registry import author_of
from collector.records import City, Photo

STAGE = "labels"
"""The stage of the catalogue's decisions that holds these flags; its verdicts are all `keep`."""

FLAGS: Mapping[str, str] = {
    "same-coordinate": "many photos are said to be taken at this very point",
    "city-centre": "placed at the very centre of the city",
    "zero-coordinate": "placed at 0°, 0°",
    "one-author": "one author took most photos of the city",
    "reset-clock": "dated to the day on which a clock starts that was never set",
}
"""What each flag says, in the order in which they are shown."""

MANY = 5
"""Photos at one and the same coordinate from which on they are flagged."""

LARGEST_SHARE = 0.5
"""Of a city's photos; an author who has as many is flagged."""

FEWEST = 20
"""Photos of a city below which it is not asked whose they are: of few photos a half is soon one author's."""

RESET_DAYS: Mapping[date, str] = {
    date(1970, 1, 1): "Unix time 0",
    date(1980, 1, 1): "DOS time 0",
    date(1980, 1, 6): "GPS time 0",
    date(2000, 1, 1): "the first day of many cameras",
}
"""Days (UTC) at which clocks start that were not set."""

_NULL_ISLAND = 0.01  # degrees, about 1 km: open ocean
_AT_IT = 0.00005  # degrees: at most 5.6 m
_MOST_DECIMALS = 7  # of a degree, 1 cm: what lies beyond is arithmetic

Finding = tuple[float, dict[str, Any]]
"""Score in (0, 1], and what it was concluded from."""


def flag_labels(photos: Sequence[Photo], cities: Mapping[str, Sequence[City]]) -> list[Decision]:
    """Return a decision for each photo that has a flag: the scores, and below `why` what each was concluded from.

    `cities` are those of each slug; a photo of another city is asked nothing that needs one.
    """
    findings_of: dict[str, dict[str, Finding]] = defaultdict(dict)
    for photo in photos:
        if finding := _at_zero(photo):
            findings_of[photo.photo_id]["zero-coordinate"] = finding
        elif finding := _at_centre(photo, cities.get(photo.city, ())):
            findings_of[photo.photo_id]["city-centre"] = finding
        if finding := _at_reset(photo):
            findings_of[photo.photo_id]["reset-clock"] = finding
    for flag, findings in (("same-coordinate", _same_coordinate(photos)), ("one-author", _one_author(photos))):
        for photo_id, finding in findings.items():
            findings_of[photo_id][flag] = finding
    return [_decision(photo_id, findings) for photo_id, findings in sorted(findings_of.items())]


def _decision(photo_id: str, findings: Mapping[str, Finding]) -> Decision:
    scores = {flag: score for flag, (score, _) in findings.items()}
    return Decision(photo_id, "keep", None, {**scores, "why": {flag: why for flag, (_, why) in findings.items()}})


def _at_zero(photo: Photo) -> Finding | None:
    """Cameras without a fix, and software without a value, write 0/0."""
    if photo.latitude is None or photo.longitude is None:
        return None
    near = abs(photo.latitude) < _NULL_ISLAND and abs(photo.longitude) < _NULL_ISLAND
    return (1.0, {"latitude": photo.latitude, "longitude": photo.longitude}) if near else None


def _at_reset(photo: Photo) -> Finding | None:
    """A camera whose battery was taken out starts at a day of its maker's choice.

    1 for the years before digital cameras; 0.5 for 2000-01-01, when many people were out with one.
    """
    if photo.taken_at is None:
        return None
    day = photo.taken_at.astimezone(UTC).date()
    if day not in RESET_DAYS:
        return None
    return (0.5 if day.year == 2000 else 1.0), {"taken_at": photo.taken_at.isoformat(), "clock": RESET_DAYS[day]}


def _at_centre(photo: Photo, cities: Sequence[City]) -> Finding | None:
    """A geocoder that finds the city's name and no more answers with its centre.

    The centre's own numbers, or fewer decimals of them, score 1. A finer coordinate within 5 m of it to each side may be of
    a photo of the main square, and scores 0.5.
    """
    if photo.latitude is None or photo.longitude is None:
        return None
    own = max(_decimals(photo.latitude), _decimals(photo.longitude))
    for city in cities:
        centre = {"latitude": city.latitude, "longitude": city.longitude}
        if (photo.latitude, photo.longitude) == (round(city.latitude, own), round(city.longitude, own)):
            return 1.0, {**centre, "decimals": own}
        if max(abs(photo.latitude - city.latitude), abs(photo.longitude - city.longitude)) < _AT_IT:
            return 0.5, {**centre, "decimals": own}
    return None


def _decimals(degrees: float) -> int:
    return len(f"{degrees:.{_MOST_DECIMALS}f}".rstrip("0").partition(".")[2])


def _same_coordinate(photos: Sequence[Photo]) -> dict[str, Finding]:
    """Return by photo_id why its coordinate seems to be a place's rather than the camera's; n photos score 1 - 2.5 / n.

    The views of one street-view panorama are taken at one point, and count once.
    """
    at: dict[tuple[float, float], list[tuple[str, str | None]]] = defaultdict(list)
    for photo in photos:
        if photo.latitude is not None and photo.longitude is not None:
            place = round(photo.latitude, _MOST_DECIMALS), round(photo.longitude, _MOST_DECIMALS)
            at[place].append((photo.photo_id, photo.author_id))
    found = {}
    for (latitude, longitude), here in at.items():
        takes = len({author_of(photo_id, None) for photo_id, _ in here})  # the panorama, or the photo itself
        if takes >= MANY:
            authors = len({author for _, author in here if author})
            why = {"photos": takes, "authors": authors, "latitude": latitude, "longitude": longitude}
            found.update({photo_id: (round(1 - MANY / 2 / takes, 3), why) for photo_id, _ in here})
    return found


def _one_author(photos: Sequence[Photo]) -> dict[str, Finding]:
    """Return by photo_id why its city may be learned as one author's manner; the score is that author's share, from half on.

    A street-view service is no author.
    """
    totals = Counter(photo.city for photo in photos)
    works: dict[tuple[str, str], list[str]] = defaultdict(list)
    for photo in photos:
        if photo.author_id and author_of(photo.photo_id, photo.author_id) == photo.author_id:
            works[photo.city, photo.author_id].append(photo.photo_id)
    found = {}
    for (city, author), mine in works.items():
        share = len(mine) / totals[city]
        if totals[city] >= FEWEST and share >= LARGEST_SHARE:
            why = {"photos": len(mine), "of": totals[city], "city": city, "author": author}
            found.update(dict.fromkeys(mine, (round(share, 3), why)))
    return found
