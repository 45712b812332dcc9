"""A side of a manifest as what a method learns from."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.label_set import label_set, photos_at, positions
from benchmark.methods.types import Training
from benchmark.photos import PhotoStore, photos_of
from collector.manifest.manifest import Manifest
from collector.records import Photo


def training_photos(manifest: Manifest, split: str, store: PhotoStore, level: str = "city") -> Training:
    """Return the photos of one side that have a label of a level, with everything that the manifest says of them.

    Raises:
        UsageError: it has no labels of that level.
    """
    labels, rows = label_set(manifest, level), photos_at(manifest, split, level)
    bare = photos_of(manifest, split, store, level)
    return Training(
        ids=bare.ids,
        digests=bare.digests,
        store=store,
        side=split,
        labels=positions(manifest, rows, level),
        classes=labels.ids,
        label_set=labels,
        places=np.stack([_numbers(photo.latitude for photo in rows), _numbers(photo.longitude for photo in rows)], 1),
        headings=_numbers(photo.heading for photo in rows),
        authors=_codes(_author(photo) for photo in rows),
        sequences=_codes(photo.sequence_id for photo in rows),
        times=_numbers(photo.taken_at.timestamp() if photo.taken_at else None for photo in rows),
        protocol=manifest.header.protocol,
    )


def _author(photo: Photo) -> tuple[str, str] | None:
    # Two services may give two people the same id.
    return (photo.photo_id.partition(":")[0], photo.author_id) if photo.author_id else None


def _numbers(values: Iterable[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _codes(values: Iterable[Any]) -> NDArray[np.int64]:
    """Return a number for each value, equal for equal ones, in the order of their first appearance; -1 for None."""
    numbers: dict[Any, int] = {}
    codes = [-1 if value is None else numbers.setdefault(value, len(numbers)) for value in values]
    return np.array(codes, np.int64)
