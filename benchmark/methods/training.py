"""A side of a manifest as what a method learns from."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.label_set import label_set
from benchmark.methods.types import Training
from benchmark.photos import PhotoStore, photos_of
from collector.manifest.manifest import Manifest
from collector.records import Photo


def training_photos(manifest: Manifest, split: str, store: PhotoStore, level: str = "city") -> Training:
    """Return the photos of one side with everything that the manifest says of them."""
    rows, bare, labels = manifest.photos(split), photos_of(manifest, split, store), label_set(manifest, level)
    number = {label: position for position, label in enumerate(labels.ids)}
    return Training(
        ids=bare.ids,
        digests=bare.digests,
        store=store,
        side=split,
        labels=np.array([number[photo.city] for photo in rows], dtype=np.int64),
        classes=labels.ids,
        label_set=labels,
        places=np.stack([_numbers(photo.latitude for photo in rows), _numbers(photo.longitude for photo in rows)], 1),
        headings=_numbers(_optional(rows, "heading")),
        authors=_codes(_author(photo) for photo in rows),
        sequences=_codes(_optional(rows, "sequence_id")),
        times=_numbers(photo.taken_at.timestamp() if photo.taken_at else None for photo in rows),
        protocol=str(getattr(manifest.header, "protocol", "city") or "city"),
    )


def _optional(rows: Iterable[Photo], name: str) -> list[Any]:
    # Manifests of the first format have neither headings nor sequences.
    return [getattr(photo, name, None) for photo in rows]


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
