"""Features of many photos: what is computed and what is read, in which order, in how large batches."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from benchmark.features import extract as extract_module
from benchmark.features.extract import Feature, extract
from benchmark.photos import Photos, WorkspacePhotos
from benchmark.store import ArrayStore
from collector.errors import DataError
from collector.workspace import Workspace
from tests.benchmark.conftest import paint, png, store

Floats = NDArray[np.float32]


@dataclass
class Spy:
    """Computes a small feature, and remembers how many photos it was given at a time."""

    batches: list[int] = field(default_factory=list)
    largest: int = 1 << 30
    failing: Callable[[torch.Tensor], torch.Tensor] | None = None

    def __call__(self, photos: torch.Tensor) -> torch.Tensor:
        assert photos.dtype == torch.uint8
        assert photos.ndim == 4
        if len(photos):
            self.batches.append(len(photos))
        if len(photos) > self.largest:
            raise torch.OutOfMemoryError("so many are too many")
        means = photos.double().mean(dim=(2, 3))
        spread = photos.double().flatten(1).amax(dim=1, keepdim=True) if len(photos) else means[:, :1]
        values = torch.cat([means, spread], dim=1).float()
        return self.failing(values) if self.failing else values

    @property
    def computed(self) -> int:
        return sum(self.batches)


@dataclass(frozen=True)
class Drawn(Photos):
    """Photos that are drawn from their digests, without files; remembers how many were asked for at a time."""

    asked: list[int] = field(default_factory=list, compare=False)

    def pixels(self, size: int, rule: str = "squash", rows: Sequence[int] | None = None) -> NDArray[np.uint8]:
        chosen = range(len(self)) if rows is None else rows
        self.asked.append(len(chosen))
        seeds = [int(self.digests[row][:8], 16) for row in chosen]
        drawn = [np.random.default_rng(seed).integers(0, 256, (3, size, size), dtype=np.uint8) for seed in seeds]
        pixels: NDArray[np.uint8] = np.array(drawn, dtype=np.uint8).reshape(-1, 3, size, size)
        return pixels


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def spy() -> Spy:
    return Spy()


def drawn(workspace: Workspace, *numbers: int) -> Drawn:
    return Drawn(
        tuple(f"folder:{n}" for n in numbers), tuple(f"{n:08x}" * 8 for n in numbers), WorkspacePhotos(workspace)
    )


def painted(workspace: Workspace, *seeds: int) -> Photos:
    digests = tuple(store(workspace, png(paint(seed, seed))) for seed in seeds)
    return Photos(tuple(f"folder:{seed}" for seed in seeds), digests, WorkspacePhotos(workspace))


def feature(spy: Callable[[torch.Tensor], torch.Tensor], **changes: Any) -> Feature:
    settings: dict[str, Any] = {"name": "mean", "compute": spy, "size": 8, "version": 1}
    return Feature(**{**settings, "parameters": {"norm": "L1", "bins": 9}, **changes})


def of_each(photos: Photos, size: int = 8, rule: str = "squash") -> Floats:
    """Return the feature, photo by photo and without a cache."""
    rows = [Spy()(torch.from_numpy(photos.pixels(size, rule, [row]).copy()))[0].numpy() for row in range(len(photos))]
    return np.array(rows, dtype=np.float32).reshape(-1, 4)


def test_values_are_those_of_compute(workspace: Workspace, spy: Spy) -> None:
    photos = painted(workspace, 3, 1, 2)
    found = extract(feature(spy), photos, "cpu")
    assert found.dtype == np.float32
    assert np.array_equal(found, of_each(photos))


@pytest.mark.parametrize("kept", [True, False])
def test_no_photos_have_no_values(workspace: Workspace, spy: Spy, kept: bool) -> None:
    found = extract(feature(spy, kept=kept), Photos((), (), WorkspacePhotos(workspace)), "cpu")
    assert found.shape == (0, 4)
    assert found.dtype == np.float32
    assert spy.batches == []
    assert not workspace.cache.exists()


def test_nothing_is_computed_twice(workspace: Workspace, spy: Spy) -> None:
    photos = painted(workspace, 1, 2, 3)
    first = extract(feature(spy), photos, "cpu").copy()
    spy.batches.clear()
    other_names = Photos(("flickr:1", "flickr:2", "flickr:3"), photos.digests, WorkspacePhotos(workspace), side="test")
    for again in (photos, Photos(photos.ids, photos.digests, WorkspacePhotos(workspace)), other_names):
        assert np.array_equal(extract(feature(Spy()), again, "cpu"), first)
        assert np.array_equal(extract(feature(spy), again, "cpu"), first)
    assert spy.batches == []


def test_what_is_cached_needs_no_photos(workspace: Workspace, spy: Spy) -> None:
    photos = painted(workspace, 1, 2)
    first = extract(feature(spy), photos, "cpu").copy()
    shutil.rmtree(workspace.photos)
    for key in workspace.cache.glob("arrays/*/key.json"):
        if json.loads(key.read_text("utf-8"))[0]["what"] == "pixels":
            shutil.rmtree(key.parent)
    assert np.array_equal(
        extract(feature(spy), Photos(photos.ids, photos.digests, WorkspacePhotos(workspace)), "cpu"), first
    )


CHANGES: dict[str, dict[str, Any]] = {
    "name": {"name": "median"},
    "size": {"size": 9},
    "rule": {"rule": "cover"},
    "version": {"version": 2},
    "a parameter's value": {"parameters": {"norm": "L2-Hys", "bins": 9}},
    "another parameter's value": {"parameters": {"norm": "L1", "bins": 8}},
    "a parameter more": {"parameters": {"norm": "L1", "bins": 9, "cells": 4}},
    "a parameter less": {"parameters": {"norm": "L1"}},
    "no parameters": {"parameters": {}},
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_in_a_feature_is_computed_anew(workspace: Workspace, spy: Spy, change: str) -> None:
    photos, changed = painted(workspace, 1, 2, 3), feature(spy, **CHANGES[change])
    extract(feature(spy), photos, "cpu")
    assert spy.computed == 3
    found = extract(changed, photos, "cpu")
    assert spy.computed == 6
    assert np.array_equal(found, of_each(photos, changed.size, changed.rule))
    extract(changed, photos, "cpu")
    extract(feature(spy), photos, "cpu")  # and the one before is still there
    assert spy.computed == 6


def test_another_decoder_is_computed_anew(workspace: Workspace, spy: Spy, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = painted(workspace, 1, 2, 3)
    extract(feature(spy), photos, "cpu")
    monkeypatch.setattr(extract_module, "DECODER", "another")
    extract(feature(spy), photos, "cpu")
    assert spy.computed == 6


def test_values_of_another_type_are_computed_anew(workspace: Workspace, spy: Spy) -> None:
    photos = painted(workspace, 1, 2)
    halves = ArrayStore(workspace.cache / "arrays", feature(spy).key, np.dtype(np.float16))
    halves.add((digest, np.zeros(4, np.float16)) for digest in photos.digests)
    assert np.array_equal(extract(feature(spy), photos, "cpu"), of_each(photos))
    assert spy.computed == 2


def test_other_bytes_are_computed_anew(workspace: Workspace, spy: Spy) -> None:
    photos = painted(workspace, 1, 2, 3)
    extract(feature(spy), photos, "cpu")
    other = store(workspace, png(paint(9, 9)))
    changed = Photos(photos.ids, (photos.digests[0], other, photos.digests[2]), WorkspacePhotos(workspace))
    assert np.array_equal(extract(feature(spy), changed, "cpu"), of_each(changed))
    assert spy.batches == [3, 1]


def test_the_key_can_be_read(workspace: Workspace, spy: Spy) -> None:
    of = feature(spy)
    assert json.loads(json.dumps(of.key)) == of.key
    extract(of, painted(workspace, 1), "cpu")
    keys = [json.loads(path.read_text("utf-8")) for path in workspace.cache.glob("arrays/*/key.json")]
    assert [of.key, "<f4"] in keys


@pytest.mark.parametrize(
    ("before", "asked"),
    [
        ((1, 2, 3), (3, 2, 1)),
        ((1, 2, 3), (2,)),
        ((2,), (1, 2, 3)),
        ((5, 3), (1, 3, 2, 5, 4)),
        ((1, 2), (3, 4, 1, 2)),
        ((4, 2), (7, 7, 2, 4, 2, 1)),  # also photos that are there twice
    ],
)
def test_values_come_in_the_order_of_the_photos(
    workspace: Workspace, spy: Spy, before: tuple[int, ...], asked: tuple[int, ...]
) -> None:
    extract(feature(spy), drawn(workspace, *before), "cpu")
    spy.batches.clear()
    photos = drawn(workspace, *asked)
    assert np.array_equal(extract(feature(spy), photos, "cpu"), of_each(photos))
    assert spy.computed == len(set(asked) - set(before))


def test_features_of_many_photos_never_hold_more_than_a_batch_of_pixels(workspace: Workspace, spy: Spy) -> None:
    photos = drawn(workspace, *range(2000))
    found = extract(feature(spy, size=2), photos, "cpu")
    assert max(photos.asked) == max(spy.batches) == extract_module.BATCH
    assert sum(photos.asked) == spy.computed == 2000
    few = [0, 255, 256, 1791, 1792, 1999]
    assert np.array_equal(found[few], of_each(drawn(workspace, *few), size=2))


def test_tiny_features_that_are_not_kept_write_nothing(workspace: Workspace, spy: Spy) -> None:
    photos = drawn(workspace, *range(600))
    for _ in range(2):
        found = extract(feature(spy, kept=False, size=2), photos, "cpu")
        assert np.array_equal(found[[0, 300, 599]], of_each(drawn(workspace, 0, 300, 599), size=2))
    assert spy.batches == [256, 256, 88] * 2
    assert not workspace.root.exists()


def test_features_that_are_not_kept_and_would_fill_the_memory_are_kept_all_the_same(
    workspace: Workspace, spy: Spy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extract_module, "MOST_IN_MEMORY", 4 * 4 * 10)  # ten photos
    for count, computed in ((10, 20), (11, 11)):
        photos = drawn(workspace, *range(count))
        spy.batches.clear()
        for _ in range(2):
            assert np.array_equal(extract(feature(spy, kept=False), photos, "cpu"), of_each(photos))
        assert spy.computed == computed
        assert workspace.cache.exists() == (count == 11)


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize(("batch", "largest"), [(256, 3), (8, 3), (4, 1), (5, 2)])
def test_without_memory_for_a_batch_smaller_ones_are_tried(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, kept: bool, batch: int, largest: int
) -> None:
    monkeypatch.setattr(extract_module, "BATCH", batch)
    photos, limited = drawn(workspace, *range(11)), Spy(largest=largest)
    found = extract(feature(limited, kept=kept), photos, "cpu")
    assert np.array_equal(found, of_each(drawn(workspace, *range(11))))
    tried = [size for size in limited.batches if size <= largest]
    assert sum(tried) == 11
    assert len(limited.batches) - len(tried) <= 8  # what was too many is not tried again


def test_memory_may_run_out_later(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extract_module, "BATCH", 4)
    fewer = Spy()

    def compute(photos: torch.Tensor) -> torch.Tensor:
        if fewer.computed >= 4:
            fewer.largest = 2
        return fewer(photos)

    photos = drawn(workspace, *range(10))
    assert np.array_equal(extract(feature(compute), photos, "cpu"), of_each(photos))
    assert fewer.batches == [4, 4, 2, 2, 2]


@pytest.mark.parametrize("kept", [True, False])
def test_without_memory_for_one_photo_there_is_no_answer(workspace: Workspace, kept: bool) -> None:
    photos = drawn(workspace, *range(5))
    limited = Spy(largest=0)
    with pytest.raises(torch.OutOfMemoryError):
        extract(feature(limited, kept=kept), photos, "cpu")
    assert limited.batches[-1] == 1
    assert np.array_equal(extract(feature(Spy(), kept=kept), photos, "cpu"), of_each(photos))


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("at", [0, 2, 5])
def test_what_is_no_number_names_the_photo_and_the_feature(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, kept: bool, wrong: float, at: int
) -> None:
    monkeypatch.setattr(extract_module, "BATCH", 4)
    photos = drawn(workspace, *range(7))
    value = of_each(photos)[at, 1]
    failing = Spy(failing=lambda values: torch.where(values == value, wrong, values))
    with pytest.raises(DataError, match=rf"photo folder:{at}: its feature mean-8 "):
        extract(feature(failing, kept=kept), photos, "cpu")
    found = extract(feature(Spy(), kept=kept), photos, "cpu")  # and nothing of it was kept
    assert np.array_equal(found, of_each(photos))


def test_a_photo_without_a_number_is_named_where_others_are_cached(workspace: Workspace, spy: Spy) -> None:
    extract(feature(spy), drawn(workspace, 0, 1, 2), "cpu")
    failing = Spy(failing=lambda values: values * float("nan"))
    with pytest.raises(DataError, match="photo folder:8:"):
        extract(feature(failing), drawn(workspace, 0, 2, 8, 1, 9), "cpu")


def test_photos_that_do_not_decode_are_named(workspace: Workspace, spy: Spy) -> None:
    photos = painted(workspace, 1, 2)
    workspace.photo(photos.digests[1]).write_bytes(b"broken")
    with pytest.raises(DataError, match=r"1 of 2 photos .*folder:2"):
        extract(feature(spy), photos, "cpu")


def test_the_cache_can_be_deleted_between_two_calls(workspace: Workspace, spy: Spy) -> None:
    photos = painted(workspace, 1, 2, 3)
    mapped = extract(feature(spy), photos, "cpu")
    first = mapped.copy()
    shutil.rmtree(workspace.cache)
    assert np.array_equal(mapped, first)
    assert np.array_equal(extract(feature(spy), photos, "cpu"), first)
    assert spy.computed == 6


def test_progress_counts_the_photos_that_are_computed(workspace: Workspace, spy: Spy) -> None:
    said = []

    def track(items: Any, description: str, total: int | None = None) -> Iterator[Any]:
        said.append((description, total))
        yield from items

    extract(feature(spy), drawn(workspace, 1, 2), "cpu")
    photos = drawn(workspace, 1, 2, 3)
    shown = replace(photos, store=WorkspacePhotos(workspace, track))
    extract(feature(spy), shown, "cpu")
    extract(feature(spy), shown, "cpu")
    assert said == [("computing mean-8", 1)]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("resident", [True, False])
def test_cpu_and_gpu_agree(workspace: Workspace, spy: Spy, monkeypatch: pytest.MonkeyPatch, resident: bool) -> None:
    if not resident:
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (0, 0))
    photos = drawn(workspace, *range(300))
    found = extract(feature(spy, kept=False), photos, "cuda")
    assert max(photos.asked) == (300 if resident else 256)
    assert np.abs(found - extract(feature(spy, kept=False), photos, "cpu")).max() <= 1e-4
    limited = feature(Spy(largest=70), name="limited")
    assert np.abs(extract(limited, photos, "cuda") - found).max() <= 1e-4
