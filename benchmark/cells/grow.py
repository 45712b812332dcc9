"""Partitions by the name that a method's parameter calls them, and again from their arrays."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.cells.partition import Partition, Thresholds, scaled
from benchmark.cells.quadtree import QuadTree, quadtree
from benchmark.cells.s2 import S2Partition, s2_partition
from collector.errors import UsageError

GROWN: Mapping[str, Callable[[NDArray[np.float64], Thresholds], Partition]] = {
    "s2": s2_partition,
    "quadtree": quadtree,
    "median": lambda places, thresholds: quadtree(places, thresholds, split="median"),
}
"""How a partition grows, by the name that the parameter `split` calls it."""


def load_partition(arrays: Mapping[str, NDArray[Any]], prefix: str) -> Partition:
    """Return the partition that these arrays are of; ValueError or KeyError where they are damaged."""
    own = {name.removeprefix(prefix): of for name, of in arrays.items() if name.startswith(prefix)}
    return S2Partition.of_arrays(own) if "s2" in own else QuadTree.of_arrays(own)


def grown(split: str, places: NDArray[np.float64], labels: int, most: float, least: float) -> Partition:
    """Return the partition that parameters ask for.

    Raises:
        UsageError: there is no such split, or a share is out of range.
        DataError: no cell holds enough photos.
    """
    if split not in GROWN or not most > 0 or not least >= 0:
        raise UsageError(
            f"split {split!r}, most {most}, least {least}: split is one of {', '.join(GROWN)}, shares above 0"
        )
    return GROWN[split](places, scaled(len(places), labels, most, least))
