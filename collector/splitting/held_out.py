"""Whole cities or districts kept out of training: all their photos are test photos, and nothing that is linked to them is
learnt from.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from collector.errors import DataError, UsageError, did_you_mean
from collector.labels import LabelTree
from collector.manifest.photo_rows import values_of
from collector.records import Photo, Region
from collector.regions import find_city
from collector.splitting.allocate import Allocation, draw

HoldOut = int | tuple[str, ...]
"""How many cities or districts are held out, drawn by the seed; or which, by name."""

_LEFT = 2  # cities that a benchmark needs at least


def held_out_cities(region: Region, photos: Sequence[Photo], asked: HoldOut, seed: int) -> tuple[str, ...]:
    """Return the slugs of the cities to hold out, sorted; the same for the same cities and seed, in whatever order.

    Raises:
        UsageError: a city is not of the region, or fewer than two would be trained.
        DataError: a city has no photo.
    """
    present = sorted({city for (city,) in values_of(photos, "city")})
    if isinstance(asked, int):
        chosen = sorted(present, key=lambda slug: draw(seed, f"held out: {slug}"))[:asked]
    else:
        chosen = sorted({find_city(region, name).slug for name in asked})
        if absent := [slug for slug in chosen if slug not in present]:
            raise DataError(f"--hold-out-cities: no clean photo of {', '.join(absent)}; `t15 collect` brings some")
    number = asked if isinstance(asked, int) else len(chosen)
    if len(present) - number < _LEFT:
        raise UsageError(
            f"--hold-out-cities: {number} of {len(present)} cities held out leave {max(0, len(present) - number)}; a "
            f"benchmark trains on {_LEFT} or more"
        )
    return tuple(sorted(chosen))


def held_out_districts(region: Region, photos: Sequence[Photo], asked: HoldOut, seed: int) -> tuple[str, ...]:
    """Return the ids (`city/district`) of the districts to hold out, sorted; the same for the same districts and seed.

    Those that are drawn leave each city a district that is trained, where it has several.

    Raises:
        UsageError: the region has no districts, not this one, or not so many that may be drawn.
        DataError: a district has no photo.
    """
    tree = LabelTree.of(region)
    known = {label.id for label in tree.at("district")}
    if not known:
        raise UsageError(
            f"--hold-out-districts: region {region.name} has none; `t15 cities --grid KM --out FILE` makes squares of a grid "
            "districts of its cities"
        )
    of_photos = Counter(of for of in _labels(tree, photos).values() if of in known)
    if isinstance(asked, tuple):
        if wrong := [name for name in asked if name not in known]:
            raise UsageError(
                f"--hold-out-districts: no district {wrong[0][:80]!r}{did_you_mean(wrong[0], known)}; give CITY/DISTRICT"
            )
        if absent := [name for name in asked if not of_photos[name]]:
            raise DataError(f"--hold-out-districts: no clean photo of {', '.join(absent)}; `t15 collect` brings some")
        return tuple(sorted(set(asked)))
    left = Counter(of.partition("/")[0] for of in of_photos)
    chosen: list[str] = []
    for of in sorted(of_photos, key=lambda of: draw(seed, f"held out: {of}")):
        city = of.partition("/")[0]
        if len(chosen) < asked and left[city] > 1:
            chosen.append(of)
            left[city] -= 1
    if len(chosen) < asked:
        raise UsageError(
            f"--hold-out-districts {asked}: {len(of_photos)} districts have photos, and each city keeps one: {len(chosen)} "
            "are the most"
        )
    return tuple(sorted(chosen))


def held_out_photos(region: Region, photos: Sequence[Photo], labels: Collection[str]) -> frozenset[str]:
    """Return the ids of the photos whose city or district is one of `labels`."""
    of_districts = any("/" in of for of in labels)
    finest = _labels(LabelTree.of(region), photos) if of_districts else {}
    ids = values_of(photos, "city", "photo_id") if labels else ()
    return frozenset(photo_id for city, photo_id in ids if city in labels or finest.get(photo_id) in labels)


def _labels(tree: LabelTree, photos: Sequence[Photo]) -> dict[str, str]:
    """Return the finest label of each photo, as a manifest has it, by photo_id."""
    names = ("photo_id", "city", "latitude", "longitude")
    return {photo_id: tree.finest(*place).id for photo_id, *place in values_of(photos, *names)}


def trained(photos: Sequence[Photo], groups: Mapping[str, str], tested: Collection[str]) -> Sequence[Photo]:
    """Return the photos that may have any side: in no group with one of `tested` (ids)."""
    if not tested:
        return photos
    linked = {groups[photo_id] for photo_id in tested}
    return [photo for photo in photos if groups[photo.photo_id] not in linked]


def with_held_out(
    allocation: Allocation, photos: Sequence[Photo], groups: Mapping[str, str], tested: Collection[str]
) -> Allocation:
    """Return the allocation of `trained` photos with those of `tested` (ids) on the test side.

    What is linked to them is left out: an author of two cities, or a place on the border,
    would else be learnt from and asked about.
    """
    if not tested:
        return allocation
    linked = {groups[photo_id] for photo_id in tested}
    links = {photo.photo_id for photo in photos if groups[photo.photo_id] in linked}.difference(tested)
    return replace(
        allocation,
        sides={**allocation.sides, **dict.fromkeys(sorted(tested), "test")},
        groups={**allocation.groups, **{photo_id: groups[photo_id] for photo_id in sorted(tested)}},
        left_out={**allocation.left_out, **dict.fromkeys(sorted(links), "link")},
    )
