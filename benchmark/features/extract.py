"""Features of many photos: computed in batches on any device, kept by photo digest and everything they depend on.

The simplest lives here too: tiny images (A. Torralba, R. Fergus and W. T. Freeman, "80 million tiny images", 2008).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.photos import DECODER, PassingPhotos, Photos, WorkspacePhotos
from benchmark.store import ArrayStore
from collector.errors import DataError
from collector.executors.local import map_in_order
from collector.workspace import Workspace


def tiny(photos: torch.Tensor) -> torch.Tensor:
    """Return photos, uint8 (N, 3, S, S), as vectors, float32 (N, 3·S·S), of values from 0 to 1, on the same device.

    Raises:
        ValueError: not such photos.
    """
    if photos.dtype != torch.uint8 or photos.ndim != 4 or photos.shape[1] != 3:
        raise ValueError(f"tiny: expected uint8 (N, 3, S, S), got {photos.dtype} {tuple(photos.shape)}")
    return photos.flatten(1).float() / 255


MOST_IN_MEMORY = 1 << 30
"""Bytes of a feature that is not worth keeping; more of it is kept all the same, mapped from disk."""

LOSS = 1e-3
"""The share of a row's length that it may be changed by in a smaller number format; float16 rounds each value by 0.0005."""

BATCH = 256
"""Photos at a time; halved when the device runs out of memory."""


@dataclass(frozen=True)
class Feature:
    """One kind of feature, with everything that its values depend on.

    Attributes:
        name: of the kind, such as `hog`.
        compute: photos uint8 (N, 3, S, S) -> float32 (N, D), on the photos' device.
        size: S.
        rule: how photos become squares, see `Photos.pixels`.
        version: of the code; changes whenever values may.
        parameters: that `compute` was given.
        kept: whether values are worth keeping on disk; tiny images are as quickly made as read.
        dtype: in which values are kept and given; float16 takes half the space, and no values that it would change by more
            than LOSS of their row's length.
    """

    name: str
    compute: Callable[[torch.Tensor], torch.Tensor]
    size: int
    version: int
    rule: str = "squash"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    kept: bool = True
    dtype: str = "float32"

    @property
    def key(self) -> dict[str, Any]:
        """What identifies a value beside the photo; the store adds the dtype."""
        return {
            "what": "feature",
            "name": self.name,
            "size": self.size,
            "rule": self.rule,
            "version": self.version,
            "parameters": dict(self.parameters),
            "decoder": DECODER,
        }


def extract(feature: Feature, photos: Photos, device: str) -> NDArray[np.float32]:
    """Return the feature of all photos, (N, D), from the cache where it is there; of photos in no workspace it is not kept.

    CPU and GPU agree to 1e-4 (tests), so values of either are kept under the same key.

    Raises:
        DataError: photos do not decode, a value is infinite or no number, or a row loses too much in the feature's dtype; the
            photo and the feature are named.
    """
    cache = photos.store.cache
    if not len(photos):
        return feature.compute(_none(feature)).numpy().astype(feature.dtype)
    if cache is None or (not feature.kept and 4 * _values(feature) * len(photos) <= MOST_IN_MEMORY):
        return np.concatenate(list(_computed(feature, photos, list(range(len(photos))), device)))
    store = ArrayStore(cache, feature.key, np.dtype(feature.dtype))
    missing = store.missing(photos.digests)
    if missing:
        rows = (row for block in _blocks(feature, photos, missing, device) for row in block)
        tracked = photos.store.track(rows, f"computing {feature.name}-{feature.size}", len(missing))
        store.add((photos.digests[position], row) for position, row in zip(missing, tracked, strict=True))
    found: NDArray[np.float32] = store.stacked(photos.digests)
    return found


def _blocks(feature: Feature, photos: Photos, positions: list[int], device: str) -> Iterator[NDArray[np.float32]]:
    """Yield the values of photos, BATCH at a time: here, or where the photos' store says."""
    cluster = photos.store.work if isinstance(photos.store, WorkspacePhotos) else None
    if cluster is None:
        yield from _computed(feature, photos, positions, device)
        return
    batches = [positions[start : start + BATCH] for start in range(0, len(positions), BATCH)]
    named = [([photos.ids[of] for of in batch], [photos.digests[of] for of in batch]) for batch in batches]
    function = partial(_on_node, feature, Workspace(cluster.expected.root), device)
    yield from map_in_order(function, named, at_once=1, work=cluster)


def _on_node(
    feature: Feature, workspace: Workspace, device: str, named: tuple[list[str], list[str]]
) -> NDArray[np.float32]:
    ids, digests = named
    photos = Photos(tuple(ids), tuple(digests), PassingPhotos(workspace))
    return np.concatenate(list(_computed(feature, photos, list(range(len(ids))), device)))


def _values(feature: Feature) -> int:
    return feature.compute(_none(feature)).shape[1]


def _none(feature: Feature) -> torch.Tensor:
    return torch.empty(0, 3, feature.size, feature.size, dtype=torch.uint8)


def _computed(feature: Feature, photos: Photos, positions: list[int], device: str) -> Iterator[NDArray[np.float32]]:
    batch, done = BATCH, 0
    source = _source(feature, photos, device)
    while done < len(positions):
        chosen = positions[done : done + batch]
        values = None
        try:
            values = feature.compute(source(chosen)).cpu().numpy()
        except torch.OutOfMemoryError:
            if batch == 1:
                raise
        if values is None:  # out here: inside `except` the failed pass still holds its memory
            batch //= 2
            torch.cuda.empty_cache()
            continue
        wrong = ~np.isfinite(values).all(axis=1)
        if wrong.any():
            name = photos.ids[chosen[int(wrong.argmax())]]
            raise DataError(f"photo {name}: its feature {feature.name}-{feature.size} holds values that are no numbers")
        yield _in_dtype(feature, values, [photos.ids[position] for position in chosen])
        done += len(chosen)


def _in_dtype(feature: Feature, values: NDArray[np.float32], names: Sequence[str]) -> NDArray[np.float32]:
    if feature.dtype == "float32":
        return values
    with np.errstate(over="ignore"):  # too large a value becomes infinite, and is found below
        converted: NDArray[np.float32] = values.astype(feature.dtype)
    lost = np.linalg.norm(converted.astype(np.float32) - values, axis=1) / np.maximum(
        np.linalg.norm(values, axis=1), 1e-30
    )
    if not (lost <= LOSS).all():
        name = names[int((~(lost <= LOSS)).argmax())]
        raise DataError(
            f"photo {name}: its feature {feature.name}-{feature.size} does not fit into {feature.dtype}; "
            "keep it as float32 (--set stored=float32)"
        )
    return converted


def _source(feature: Feature, photos: Photos, device: str) -> Callable[[Sequence[int]], torch.Tensor]:
    """Return what gives photos by position, on the device: from a copy of all there where it fits, else read as asked for."""

    def read(positions: Sequence[int] | None) -> torch.Tensor:
        pixels = photos.pixels(feature.size, feature.rule, positions)
        return torch.from_numpy(np.array(pixels)).to(device)  # a copy: the mapped original is read-only

    if device == "cuda":
        free, _ = torch.cuda.mem_get_info()
        if len(photos) * 3 * feature.size**2 <= free // 4:
            resident = read(None)  # a quarter of what is free: the feature itself needs room too
            return lambda positions: resident[torch.as_tensor(positions, device=device)]
    return read
