"""What an exported model says of itself: where it comes from, its cities, whose licences it carries, and how sure it is.

How sure is learnt from validation photos: a temperature, when to refuse, and how many km an answer may be off.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.classifiers.probabilities import fit_temperature, with_temperature
from benchmark.predictions import Places
from benchmark.retrieval.mixture import Mixture
from benchmark.scoring.calibration import reject_threshold
from collector.geo import distances_km
from collector.records import City
from collector.text_table import counted, distance

KEPT = 0.95
"""Share of right answers that the threshold has to let through."""

_PHOTOS_A_BAND = 40  # with fewer, the 90 % radius hangs on the two or three worst photos
_MOST_BANDS = 5


@dataclass(frozen=True, slots=True)
class Band:
    """Validation photos of like confidence, and how far their answers were off.

    Attributes:
        confidence: the lowest confidence of the band; it reaches up to the next one's. 0 in the first.
        photos: how many there are.
        km50, km90: a new answer of such confidence is at most so far off with a probability of at least 50 and 90 %; None
            where there are too few photos to say.
    """

    confidence: float
    photos: int
    km50: float | None
    km90: float | None


@dataclass(frozen=True, slots=True)
class Certainty:
    """What validation photos taught about a predictor's certainty.

    Attributes:
        temperature: softens (above 1) or sharpens its probabilities.
        threshold: an answer of lower confidence is "none of these".
        bands: by confidence, the lowest first; empty where there was no validation photo.
        photos: validation photos that this is from.
        placed: how many of these say where they were taken; the others' distances are upper bounds.
        city_bands: as `bands`, where the answer is the likeliest city's centre although the predictor gives places; empty
            where it gives none, since those are `bands`.
        level50, level90: which share of a stated density a region has to hold, so that a new photo is inside with a
            probability of at least 50 and 90 %; None where none is stated, or no region is sure enough.
        right: how many of the photos were answered right; None where that was not counted.
    """

    temperature: float = 1.0
    threshold: float = 0.0
    bands: tuple[Band, ...] = ()
    photos: int = 0
    placed: int = 0
    city_bands: tuple[Band, ...] = ()
    level50: float | None = None
    level90: float | None = None
    right: int | None = None

    @property
    def of_places(self) -> bool:
        """Whether `bands` are of places that the predictor says itself; of models of an earlier t15 that give labels too they
        are of cities' centres. Where nothing was learnt it may be.
        """
        return bool(self.city_bands) or not self.bands

    def calibrated(self, probabilities: NDArray[Any]) -> NDArray[np.float64]:
        """Return the probabilities (N, C) at this temperature."""
        return with_temperature(probabilities, self.temperature)

    def band(self, confidence: float, *, of_cities: bool = False) -> Band | None:
        """Return the band that an answer of this confidence belongs to, one of a city's centre where `of_cities`."""
        bands = self.city_bands if of_cities else self.bands
        return next((band for band in reversed(bands) if confidence >= band.confidence), None)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return asdict(self)


def certainty_from_json(data: Mapping[str, Any]) -> Certainty:
    """Return what `Certainty.to_json` gave.

    Raises:
        ValueError, KeyError, TypeError: it is none, or a value is out of its range.
    """
    certainty = Certainty(
        float(data["temperature"]),
        float(data["threshold"]),
        tuple(Band(**band) for band in data["bands"]),
        data["photos"],
        data["placed"],
        tuple(Band(**band) for band in data.get("city_bands", ())),
        data.get("level50"),
        data.get("level90"),
        data.get("right"),
    )
    if not 0 < certainty.temperature < np.inf or not 0 <= certainty.threshold <= 1:
        raise ValueError("a temperature or threshold is out of its range")
    if certainty.right is not None and not 0 <= certainty.right <= certainty.photos:
        raise ValueError("more photos are right than there are")
    if not all(level is None or 0 <= level <= 1 for level in (certainty.level50, certainty.level90)):
        raise ValueError("a share of a density is out of its range")
    for bands in (certainty.bands, certainty.city_bands):
        if not all(km is None or 0 <= km < np.inf for band in bands for km in (band.km50, band.km90)):
            raise ValueError("a distance is out of its range")
        lows = [band.confidence for band in bands]
        if lows != sorted(lows) or (lows and lows[0] != 0):
            raise ValueError("bands of confidence are out of order")
    return certainty


def learn_certainty(
    probabilities: NDArray[Any],
    labels: NDArray[np.int64],
    cities: Sequence[City],
    places: NDArray[np.float64],
    answers: Places | None = None,
) -> Certainty:
    """Return what validation photos say about a predictor.

    Args:
        probabilities: (N, C), as predicted.
        labels: (N,) positions in `cities`.
        cities: the classes.
        places: (N, 2) latitude and longitude of each photo, NaN where unknown.
        answers: the places that were answered; None, or NaN in it, for the centres of the likeliest cities.
    """
    if len(labels) == 0:
        return Certainty()
    temperature = fit_temperature(probabilities, labels)
    calibrated = with_temperature(probabilities, temperature)
    centres = np.array([(city.latitude, city.longitude) for city in cities])[calibrated.argmax(axis=1)]
    confidence = calibrated.max(axis=1)
    of_cities = _bands(confidence, worst_distances_km(centres, labels, cities, places))
    given = None if answers is None else np.stack([answers.latitude, answers.longitude], axis=1)
    answered = centres if given is None else np.where(np.isnan(given), centres, given)
    level50, level90 = _levels(answers, places)
    return Certainty(
        temperature,
        reject_threshold(calibrated, labels, KEPT),
        of_cities if given is None else _bands(confidence, worst_distances_km(answered, labels, cities, places)),
        len(labels),
        int((~np.isnan(places.sum(axis=1))).sum()),
        () if given is None else of_cities,
        level50,
        level90,
        int((calibrated.argmax(axis=1) == labels).sum()),
    )


def _levels(answers: Places | None, places: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Return `level50` and `level90`: quantiles of the shares of the densities that are denser than the photos' places.

    It is what `_radius` does with distances; a level of 1 is that of places which the density holds impossible.
    """
    densities = None if answers is None else Mixture.of(answers)
    if densities is None:
        return None, None
    levels = densities.drawn().level(densities.log_density(places))
    known = levels[~np.isnan(levels)]
    found = [_radius(known, share) for share in (0.5, 0.9)]
    at50, at90 = (None if level is None or level >= 1 else level for level in found)
    return at50, at90


def worst_distances_km(
    answered: NDArray[np.float64], labels: NDArray[np.int64], cities: Sequence[City], places: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how far the answered place (N, 2) is from where each photo was taken, (N,) km.

    Of a photo without a place it is the most that it can be: the distance of the two centres, and the radius in which a photo
    counts as its city's.
    """
    centres = np.array([(city.latitude, city.longitude) for city in cities])
    radii = np.array([city.radius_km for city in cities])
    known = ~np.isnan(places.sum(axis=1))
    taken = np.where(known[:, None], places, centres[labels])
    off = distances_km(answered[:, 0], answered[:, 1], taken[:, 0], taken[:, 1])
    return np.where(known, off, off + radii[labels])


def _bands(confidence: NDArray[np.float64], off: NDArray[np.float64]) -> tuple[Band, ...]:
    """Divide the photos by confidence into bands of like many, and take each band's radii."""
    order = np.argsort(confidence, kind="stable")
    parts = np.array_split(order, int(np.clip(len(order) // _PHOTOS_A_BAND, 1, _MOST_BANDS)))
    # Equal confidences (a kNN has few) belong together: where a border would divide them, the bands are one.
    merged = [parts[0]]
    for part in parts[1:]:
        if confidence[part[0]] > confidence[merged[-1][-1]]:
            merged.append(part)
        else:
            merged[-1] = np.concatenate([merged[-1], part])
    lows = [0.0, *(float(confidence[part[0]]) for part in merged[1:])]
    return tuple(
        Band(low, len(part), _radius(off[part], 0.5), _radius(off[part], 0.9))
        for low, part in zip(lows, merged, strict=True)
    )


def _radius(off: NDArray[np.float64], share: float) -> float | None:
    """Return the ⌈share · (n + 1)⌉-th smallest of n distances, None where that is more than n.

    A new photo that comes about like these is no farther off with a probability of at least `share`: split conformal
    prediction, within a band (V. Vovk, A. Gammerman, G. Shafer, Algorithmic Learning in a Random World, 2005, section 4.5).
    """
    place = ceil(share * (len(off) + 1) - 1e-9)
    return float(np.sort(off)[place - 1]) if place <= len(off) else None


@dataclass(frozen=True, slots=True)
class About:
    """What goes into a model file beside the predictor.

    Attributes:
        run: identity of the run that trained it.
        inputs: of that run (`results.RunInputs`), as plain JSON.
        title: of the method, for people.
        manifest: name, title (may be empty), version, digest and note of the manifest that it learnt from.
        pretraining, weights_licence: of the weights that it started from; `none` and empty where it started from none.
        photo_licences: how many training photos have which licence.
        cities: the classes, in the order of the probabilities.
        certainty: learnt from the run's validation photos.
    """

    run: str
    inputs: dict[str, Any]
    title: str
    manifest: dict[str, str]
    pretraining: str
    weights_licence: str
    photo_licences: dict[str, int]
    cities: tuple[City, ...]
    certainty: Certainty

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {
            "run": self.run,
            "inputs": self.inputs,
            "title": self.title,
            "manifest": self.manifest,
            "pretraining": self.pretraining,
            "weights_licence": self.weights_licence,
            "photo_licences": self.photo_licences,
            "cities": [{name: getattr(city, name) for name in _OF_CITY} for city in self.cities],
            "certainty": asdict(self.certainty),
        }


_OF_CITY = ("slug", "name", "latitude", "longitude", "radius_km")
_TEXTS = ("run", "title", "pretraining", "weights_licence")


def about_from_json(data: Mapping[str, Any], classes: tuple[str, ...]) -> About:
    """Return what `About.to_json` gave, for a model of these classes.

    Raises:
        ValueError, KeyError, TypeError: it is none, or a value is not of its kind.
    """
    if not all(isinstance(data[name], str) for name in _TEXTS):
        raise TypeError("a name is no text")
    if not all(isinstance(data[name], dict) for name in ("inputs", "manifest", "photo_licences")):
        raise TypeError("the run's inputs, the manifest or the licences are no object")
    cities = tuple(_city(city) for city in data["cities"])
    if tuple(city.slug for city in cities) != classes:
        raise ValueError("the cities are not the predictor's classes")
    return About(
        run=data["run"],
        inputs=data["inputs"],
        title=data["title"],
        # Models of the first edition do not say the title.
        manifest={
            name: str({"title": "", **data["manifest"]}[name])
            for name in ("name", "title", "version", "digest", "note")
        },
        pretraining=data["pretraining"],
        weights_licence=data["weights_licence"],
        photo_licences=data["photo_licences"],
        cities=cities,
        certainty=certainty_from_json(data["certainty"]),
    )


def _city(data: Mapping[str, Any]) -> City:
    city = City(**{name: data[name] for name in _OF_CITY})
    texts = isinstance(city.slug, str) and isinstance(city.name, str)
    if not texts or not -90 <= city.latitude <= 90 or not -180 <= city.longitude <= 180 or not city.radius_km >= 0:
        raise ValueError(f"the city {str(city.slug)[:40]!r} is damaged")
    return city


def card_of(about: About, digest: str, file: str) -> str:
    """Return the card of the model in a file; names and notes in it are text, whatever they hold."""
    from collector.web.markdown import code, escape, grid

    of, certainty = about.manifest, about.certainty
    note = [f"> **Note: {escape(of['note'])}**"] if of.get("note") else []
    refusing = (
        f"Answers below a confidence of {certainty.threshold:.3f} are “none of these”."
        if certainty.threshold > 0
        else "Too few validation photos to say when it should refuse: it never says “none of these”."
    )
    reach: Sequence[Sequence[object]] = [
        (f"{band.confidence:.3f}", band.photos, distance(band.km50), distance(band.km90))
        for band in certainty.bands
        if band.km50 is not None and band.km90 is not None
    ]
    heads = ("from confidence", "validation photos", "half within", "nine tenths within")
    weights = f"{about.pretraining}, {about.weights_licence}" if about.weights_licence else "none"
    facts = [
        ("method", escape(about.title)),
        ("run", code(about.run)),
        ("file", code(file)),
        ("digest", code(digest)),
        ("learnt from", f"{escape(of['name'])} {escape(of['version'])}, digest {code(of['digest'])}"),
        ("pre-trained weights", escape(weights)),
        ("labels", str(len(about.cities))),
    ]
    rows = "\n".join(f"| {name} | {value} |" for name, value in facts)
    cities = ", ".join(str(escape(city.name)) for city in about.cities)
    parts = [
        f"# {escape(about.title)}: {escape(of['name'])} {escape(of['version'])}",
        *note,
        f"| | |\n|---|---|\n{rows}",
        f"## What it answers\n\nIn which of these a photograph was taken: {cities}.",
        f"## How sure it is\n\nCalibrated on {counted(certainty.photos, 'validation photos')}"
        f"{'' if certainty.right is None else f', {certainty.right} of them answered right'} "
        f"(temperature {certainty.temperature:.2f}). {refusing}",
        *([str(grid(heads, reach))] if reach else []),
        "## Licences of the photos that it learnt from\n\n"
        + str(grid(("licence", "photos"), about.photo_licences.items())),
        "## Limits\n\nIt answers with one of its labels, never with an address, and is sure at times of places that are none "
        "of them. How good it is says the leaderboard of its data set, on photos that it did not learn from. Do not use it "
        "to find people.",
        f"## Cite\n\n`t15 cite {file}` writes the BibTeX.",
    ]
    return "\n\n".join(parts) + "\n"
