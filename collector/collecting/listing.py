"""Writing down what a service holds of a city, cell by cell; each cell and its photos in one transaction."""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime

from collector.areas import inside
from collector.catalogue.catalogue import PLACE_REASONS, Catalogue, Known
from collector.catalogue.withdrawals import Withdrawn
from collector.collecting.planner import survey
from collector.geo import KM_PER_DEGREE
from collector.progress import Track
from collector.providers.base import Query, Survey
from collector.records import City, Photo, Region, Unusable
from collector.regions import nearest_city


@dataclass
class Listed:
    """What one listing brought: rejected things by reason, and photos passed over because they were withdrawn."""

    rejected: Counter[str] = field(default_factory=Counter)
    withdrawn: int = 0


def list_city(
    catalogue: Catalogue,
    service: Survey,
    city: City,
    region: Region,
    query: Query,
    withdrawn: Withdrawn,
    track: Track,
    now: Callable[[], datetime],
    retry: Collection[str] = (),
) -> Listed:
    """List what the service holds of a city, or what is new of it since the last time.

    What an earlier listing rejected for a reason in `retry` is described anew, where the service names it again.

    Raises:
        IncompleteError: the service does not answer, or a quota is used up; the same call goes on from there.
        ServiceError: the service refuses the key.
    """
    listed = Listed()

    # SQLite's connection belongs to one thread; a service whose cells are asked at once asks from several.
    known = catalogue.judged(service.name, city.slug) if service.rules.at_once > 1 else None
    nearer = _nearer_here(catalogue, service.name, city, region) if region.nearest else frozenset()
    afresh = nearer | catalogue.rejected_by_listing(service.name, retry)

    def is_known(photo_id: str) -> bool:
        if photo_id in afresh:
            return False
        return photo_id in known if known is not None else catalogue.is_judged(photo_id, city.slug)

    results = survey(service, city, query, catalogue.ledger, is_known, now)
    for result in track(results, f"listing {city.name}, cells"):
        with catalogue.together():
            for item in result.found:
                if isinstance(item, Photo) and withdrawn.holds(item):
                    listed.withdrawn += 1
                else:
                    write_down(catalogue, region, item, listed.rejected, query)
            catalogue.ledger.record(result)
    return listed


def write_down(
    catalogue: Catalogue, region: Region, item: Photo | Unusable, rejected: Counter[str], query: Query | None = None
) -> None:
    """Write down one thing that a listing told, unless the catalogue knows better already.

    Where the circles of two cities overlap a photo belongs to the nearer one. A picture that was asked for in vain is asked
    for anew where the service gives another address for it: what was said of the old one says nothing of this one.
    """
    known = catalogue.known(item.photo_id)
    if isinstance(item, Photo):
        item = in_area(query, item) if query else item
    if isinstance(item, Photo):
        elsewhere = labelled_elsewhere(catalogue, region, item)
        item = elsewhere or (_nearer_elsewhere(region, item) if region.nearest else None) or item
    # What a listing rejected, listings judge anew: there may be another --geo-accuracy, or a mended place.
    by_listing = known is not None and known.state == "rejected" and _attempts(catalogue, item.photo_id) == 0
    if isinstance(item, Unusable):
        undecided = known is not None and known.state in ("listed", "failed", "rejected")
        judges = item.reason not in PLACE_REASONS or (by_listing and known is not None and known.city == item.city)
        if known is None or (undecided and judges):
            catalogue.reject(item)
            rejected[item.reason] += known is None
    elif known is None or known.state == "listed" or by_listing or _is_told_anew(known, item):
        catalogue.list_photo(item)


def _attempts(catalogue: Catalogue, photo_id: str) -> int:
    """Return how often a photo's bytes were looked at or asked for in vain; 0 where only listings told of it."""
    outcome = catalogue.outcome(photo_id)
    return outcome[3] if outcome else 0


def _is_told_anew(known: Known, photo: Photo) -> bool:
    """Return whether a listing now gives a known photo another city, or a picture that did not come another address."""
    if known.city != photo.city:
        return known.state != "withdrawn"
    moved = known.image_url and photo.image_url and photo.image_url != known.image_url
    return bool(moved) and known.state in ("failed", "rejected")


def _nearer_here(catalogue: Catalogue, provider: str, city: City, region: Region) -> frozenset[str]:
    """Return the ids of photos that stand under another city of the region although this one, which is new, is nearer."""
    reach = city.radius_km / KM_PER_DEGREE
    others = {other.slug for other in region.cities} - {city.slug}
    return frozenset(
        photo.photo_id
        for photo in catalogue.of_other_cities(provider, city.slug, city.latitude - reach, city.latitude + reach)
        if photo.city in others and nearest_city(region, photo.latitude or 0.0, photo.longitude or 0.0) == city
    )


def _nearer_elsewhere(region: Region, photo: Photo) -> Unusable | None:
    if photo.latitude is None or photo.longitude is None:
        return None
    nearest = nearest_city(region, photo.latitude, photo.longitude)
    if nearest is None or nearest.slug == photo.city:
        return None
    return Unusable(photo.photo_id, "outside-city", f"was taken nearer to {nearest.name}", photo.city)


def in_area(query: Query, photo: Photo) -> Photo | Unusable:
    """Return a photo under the city whose outline holds its place, or what to say of one that lies in none.

    Without outlines, or without a place, it is as it was.
    """
    if not query.outlines or photo.latitude is None or photo.longitude is None:
        return photo
    place = (photo.latitude, photo.longitude)
    holding = [slug for slug, outlines in query.outlines.items() if any(inside(place, outline) for outline in outlines)]
    if not holding:
        detail = f"{photo.title or photo.photo_id}: taken at {place[0]:.4f}, {place[1]:.4f}, outside of every area"
        return Unusable(photo.photo_id, "outside-area", detail, photo.city)
    return photo if photo.city in holding else replace(photo, city=holding[0])


def labelled_elsewhere(catalogue: Catalogue, region: Region, photo: Photo) -> Unusable | None:
    """Return what to say of a photo that is in the catalogue under a city of another region; None for all others."""
    known = catalogue.known(photo.photo_id)
    if known is None or known.state != "downloaded" or known.city == photo.city:
        return None
    if known.city in {city.slug for city in region.cities}:
        return None
    detail = f"is labelled {known.city} of another region already; collect {region.name} into a workspace of its own"
    return Unusable(photo.photo_id, "labelled-elsewhere", detail, photo.city)
