"""Arrays made of a layer's file once, and what is done where that cannot be kept."""

import os
from pathlib import Path

import numpy as np
import pytest

from collector.geodata import outlines
from collector.geodata.prepared import Arrays, prepared


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("T15_GEODATA", str(tmp_path / "geodata"))
    path = tmp_path / "layer.bin"
    path.write_bytes(b"one")
    return path


class Maker:
    """Counts how often it was asked."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> Arrays:
        self.times += 1
        return {"values": np.arange(5) * self.times, "names": np.array(["a", "ü"])}


def test_made_once_for_a_file_and_a_version(source: Path, tmp_path: Path) -> None:
    make = Maker()
    for _ in range(2):
        arrays = prepared("heights", 1, source, make)
        assert arrays["values"].tolist() == [0, 1, 2, 3, 4]
        assert arrays["names"].tolist() == ["a", "ü"]
    assert make.times == 1
    source.write_bytes(b"another file")
    assert prepared("heights", 1, source, make)["values"].tolist() == [0, 2, 4, 6, 8]
    assert prepared("heights", 2, source, make)["values"].tolist() == [0, 3, 6, 9, 12]
    assert len(list((tmp_path / "geodata" / "prepared" / "heights").iterdir())) == 1


def test_what_is_damaged_is_made_anew(source: Path, tmp_path: Path) -> None:
    make = Maker()
    prepared("heights", 1, source, make)
    (kept,) = (tmp_path / "geodata").rglob("values.npy")
    for damage in (b"", b"no array", kept.read_bytes()[:-3]):
        kept.unlink()
        kept.write_bytes(damage)
        before = make.times
        prepared("heights", 1, source, make)
        assert make.times == before + 1
    assert prepared("heights", 1, source, make)["values"].tolist() == [0, make.times, *np.array([2, 3, 4]) * make.times]


def test_without_a_place_to_keep_them_they_are_made_each_time(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("T15_GEODATA", str(source / "below-a-file"))
    make = Maker()
    for _ in range(2):
        prepared("heights", 1, source, make)
    assert make.times == 2
    assert os.listdir(tmp_path) == ["layer.bin"]


def test_few_places_and_many_are_in_the_same_countries() -> None:
    rng = np.random.default_rng(1)
    near = np.stack([rng.uniform(35, 43, 40), rng.uniform(25, 46, 40)], axis=1)
    far = np.stack([rng.uniform(-90, 90, 24), rng.uniform(-180, 180, 24)], axis=1)
    few = np.concatenate([near, far])
    many = np.concatenate([few, few])
    assert len(few) <= outlines._FEW < len(many)
    assert outlines.country_names(many).tolist() == outlines.country_names(few).tolist() * 2
