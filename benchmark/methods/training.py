"""A side of a manifest as what a method learns from."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.attributes import surroundings
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
        authors=_codes(manifest, rows, _author),
        sequences=_codes(manifest, rows, lambda photo: photo.sequence_id),
        times=_numbers(photo.taken_at.timestamp() if photo.taken_at else None for photo in rows),
        protocol=manifest.header.protocol,
    )


def with_attributes(manifest: Manifest, training: Training) -> Training:
    """Return the side with what `t15 geodata add` wrote of its photos' places.

    Raises:
        DataError: the table is damaged, or another manifest's.
    """
    known = surroundings(manifest)
    if known is None:
        return training
    return replace(training, attributes=replace(known, photo_ids=training.ids, values=known.of(training.ids)))


def few_of_each(manifest: Manifest, training: Training, shots: int, seed: int) -> Training:
    """Return `shots` training photos of each label; with the same seed fewer are among more.

    A label's groups (near-copies, one author's photos of one day, …) come in an order that the seed draws, each whole before
    the next begins: only the last may be cut, where the number asks for it. A photo without a group is one.
    """
    groups = {photo.photo_id: photo.group_id or photo.photo_id for photo in manifest.photos("train")}
    chosen: list[int] = []
    for label in range(len(training.classes)):
        rows = np.flatnonzero(training.labels == label)
        of_group: dict[str, list[int]] = {}
        for row in rows.tolist():
            of_group.setdefault(groups[training.ids[row]], []).append(row)
        order = np.random.default_rng([seed, label]).permutation(len(of_group))
        members = list(of_group.values())
        chosen += [row for group in order for row in members[group]][:shots]
    return _rows(training, sorted(chosen))


def _rows(training: Training, rows: list[int]) -> Training:
    arrays = ("labels", "places", "headings", "authors", "sequences", "times")
    return replace(
        training,
        ids=tuple(training.ids[row] for row in rows),
        digests=tuple(training.digests[row] for row in rows),
        **{name: getattr(training, name)[rows] for name in arrays},
    )


def _author(photo: Photo) -> tuple[str, str] | None:
    # Two services may give two people the same id.
    return (photo.photo_id.partition(":")[0], photo.author_id) if photo.author_id else None


def _numbers(values: Iterable[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _codes(manifest: Manifest, rows: Sequence[Photo], value_of: Callable[[Photo], Any]) -> NDArray[np.int64]:
    """Return a number for each row's value, equal for equal ones on whatever side; -1 for None.

    They are numbered in the order of their first appearance, the training photos first.
    """
    numbers: dict[Any, int] = {}
    for photo in chain(manifest.photos("train"), rows):
        if (value := value_of(photo)) is not None:
            numbers.setdefault(value, len(numbers))
    return np.array([numbers.get(value_of(photo), -1) for photo in rows], np.int64)
