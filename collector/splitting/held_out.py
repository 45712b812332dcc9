"""Whole cities kept out of training: all their photos are test photos, and nothing that is linked to them is learnt from."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from collector.errors import DataError, UsageError
from collector.manifest.photo_rows import values_of
from collector.records import Photo, Region
from collector.regions import find_city
from collector.splitting.allocate import Allocation, draw

HoldOut = int | tuple[str, ...]
"""How many cities are held out, drawn by the seed; or which, by name."""

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


def trained(photos: Sequence[Photo], groups: Mapping[str, str], cities: Sequence[str]) -> Sequence[Photo]:
    """Return the photos that may have any side: of other cities, and in no group with a photo of `cities`."""
    if not cities:
        return photos
    linked = {groups[photo.photo_id] for photo in photos if photo.city in cities}
    return [photo for photo in photos if groups[photo.photo_id] not in linked]


def with_held_out(
    allocation: Allocation, photos: Sequence[Photo], groups: Mapping[str, str], cities: Sequence[str]
) -> Allocation:
    """Return the allocation of `trained` photos with all photos of `cities` on the test side.

    What is linked to them is left out: an author of two cities, or a place on the border,
    would else be learnt from and asked about.
    """
    if not cities:
        return allocation
    linked = {groups[photo.photo_id] for photo in photos if photo.city in cities}
    tested = {photo.photo_id for photo in photos if photo.city in cities}
    links = {photo.photo_id for photo in photos if groups[photo.photo_id] in linked} - tested
    return replace(
        allocation,
        sides={**allocation.sides, **dict.fromkeys(sorted(tested), "test")},
        groups={**allocation.groups, **{photo_id: groups[photo_id] for photo_id in sorted(tested)}},
        left_out={**allocation.left_out, **dict.fromkeys(sorted(links), "link")},
    )
