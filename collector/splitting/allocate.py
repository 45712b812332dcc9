"""Which photo goes to which side: pure, and deterministic in the seed."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence

from collector.errors import DataError
from collector.records import SPLITS, Photo

# The test side is filled first: what must be kept for judging is set aside before anything learns from the rest.
_ORDER = ("test", "val", "train")


def allocate(photos: Sequence[Photo], quotas: Mapping[str, int], seed: int) -> dict[str, str]:
    """Return photo_id -> side for a stratified random split: exactly `quotas` photos of each city on each side.

    The order within a city is that of sha256(seed, photo_id). It depends on nothing else, so that a photo keeps its
    place whatever the others are, and photos come and go without reshuffling the rest. Photos beyond the quotas get no
    side.

    Raises:
        DataError: cities have too few photos; the message says which, and how many are missing.
    """
    by_city: dict[str, list[str]] = defaultdict(list)
    for photo in photos:
        by_city[photo.city].append(photo.photo_id)
    _require_enough(by_city, quotas)
    assigned = {}
    for photo_ids in by_city.values():
        waiting = iter(sorted(photo_ids, key=lambda photo_id: (_draw(seed, photo_id), photo_id)))
        for side in _ORDER:
            assigned.update({next(waiting): side for _ in range(quotas[side])})
    return assigned


def _draw(seed: int, photo_id: str) -> str:
    return hashlib.sha256(f"{seed}/{photo_id}".encode()).hexdigest()


def _require_enough(by_city: Mapping[str, Sequence[str]], quotas: Mapping[str, int]) -> None:
    needed = sum(quotas.values())
    short = {city: needed - len(ids) for city, ids in sorted(by_city.items()) if len(ids) < needed}
    if not short:
        return
    said = ", ".join(f"{city} has {len(by_city[city])} ({missing} missing)" for city, missing in short.items())
    raise DataError(
        f"the quotas need {needed} clean photos a city: {said}; collect more, choose other cities with --city, or ask for "
        f"less{_smaller(quotas, min(len(ids) for ids in by_city.values()))}"
    )


def _smaller(quotas: Mapping[str, int], available: int) -> str:
    """Return quotas of about the same proportions that `available` photos can meet, as options; nothing where none can."""
    if available < len(SPLITS):
        return ""
    needed = sum(quotas.values())
    scaled = {side: max(1, quotas[side] * available // needed) for side in ("val", "test")}
    scaled = {"train": max(1, available - sum(scaled.values())), **scaled}
    if sum(scaled.values()) > available:
        scaled = {"train": available - 2, "val": 1, "test": 1}
    return f", such as {' '.join(f'--{side} {count}' for side, count in scaled.items())}"
