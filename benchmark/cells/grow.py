"""Partitions by the name that a method's parameter calls them, and again from their arrays."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.cells.outlined import OutlinedPartition, outlined
from benchmark.cells.partition import Stored, Thresholds, scaled
from benchmark.cells.quadtree import QuadTree, quadtree
from benchmark.cells.s2 import S2Partition, s2_partition
from collector.errors import UsageError
from collector.records import Label

COARSER = (1.0, 2.0, 5.0)
"""Thresholds of the fine, the middle and the coarse partition, in those of the fine one."""

GROWN: Mapping[str, Callable[[NDArray[np.float64], Thresholds], Stored]] = {
    "s2": s2_partition,
    "quadtree": quadtree,
    "median": lambda places, thresholds: quadtree(places, thresholds, split="median"),
}
"""How a partition grows, by the name that the parameter `split` calls it; `labels` are those that the manifest has."""

_KINDS = (("s2", S2Partition), ("circles", OutlinedPartition), ("boxes", QuadTree))
"""What tells each kind of partition by its arrays."""


def load_partition(arrays: Mapping[str, NDArray[Any]], prefix: str) -> Stored:
    """Return the partition that these arrays are of; ValueError or KeyError where they are damaged."""
    own = {name.removeprefix(prefix): of for name, of in arrays.items() if name.startswith(prefix)}
    kind = next((kind for name, kind in _KINDS if name in own), QuadTree)
    partition: Stored = kind.of_arrays(own)
    return partition


def grown(
    split: str,
    places: NDArray[np.float64],
    labels: Sequence[Label],
    classes: int,
    most: float,
    least: float,
    size: int = 0,
) -> Stored:
    """Return the partition that parameters ask for.

    Args:
        split: one of GROWN, or `labels`.
        places: (N, 2) of the training photos.
        labels: those that `labels` cuts by, of every level.
        classes: how many labels a method tells apart.
        most, least: thresholds, as shares of the mean number of photos of such a label.
        size: position in COARSER.

    Raises:
        UsageError: there is no such split, or a share is out of range.
        DataError: no cell holds enough photos.
    """
    if split not in {*GROWN, "labels"} or not most > 0 or not least >= 0:
        known = ", ".join((*GROWN, "labels"))
        raise UsageError(f"split {split!r}, most {most}, least {least}: split is one of {known}, shares above 0")
    thresholds = scaled(len(places), classes, most * COARSER[size], least)
    if split == "labels":
        return outlined(places, labels, thresholds, size)
    return GROWN[split](places, thresholds)
