"""Model files: what comes back, and what is refused."""

import json
import os
import pickle
import struct
import time
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import save

from benchmark.classifiers.logistic import fit_logistic
from benchmark.methods.features import Described, feature
from benchmark.models import Model, ModelInfo, build, load_predictor, read_model, save_predictor
from benchmark.photos import Photos, given_photos
from collector.errors import DataError, UsageError
from tests.benchmark.conftest import Drawn, paint

CLASSES = ("zulu", "alpha", "mike")


def fitted(seed: int = 0) -> Described:
    random = np.random.default_rng(seed)
    vectors, labels = random.random((12, 48), np.float32), np.arange(12) % 3
    return Described(fit_logistic(vectors, labels, 3, 1.0, 20), "tiny", 4, "cpu")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "deep" / "model.safetensors"
    arrays = {"near": np.arange(6, dtype=np.float16).reshape(2, 3), "one": np.array(7)}
    assert save_predictor(path, fitted(), CLASSES, {"run": "abc", "title": "<b> \udcff Ömer"}, arrays)
    return path


def test_a_predictor_comes_back_with_all_that_was_said(file: Path) -> None:
    loaded, info = load_predictor(file, "cpu")
    predictor: Any = loaded
    photos = given_photos([paint(seed, seed) for seed in range(3)])
    np.testing.assert_allclose(predictor.predict_labels(photos), fitted().predict_labels(photos), atol=1e-6)
    assert isinstance(info, ModelInfo)
    assert (info.kind, info.classes) == ("described", CLASSES)
    assert info.extra == {"run": "abc", "title": "<b> \udcff Ömer"}
    assert info.arrays["near"].dtype == np.float16
    np.testing.assert_array_equal(info.arrays["near"], [[0, 1, 2], [3, 4, 5]])
    assert info.arrays["one"].shape == ()
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_the_same_model_gives_the_same_bytes(file: Path) -> None:
    assert read_model(file).to_bytes() == file.read_bytes()
    assert read_model(file).digest == json.loads(header(file.read_bytes())["__metadata__"]["t15"])["digest"]


def test_predictors_that_cannot_be_kept_leave_no_file(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Foreign(Drawn):
        def export(self) -> tuple[str, dict[str, Any], dict[str, NDArray[Any]]]:
            return "other people's", {}, {}

    assert not save_predictor(tmp_path / "m", Drawn(0, 3), CLASSES, {})
    assert not save_predictor(tmp_path / "m", Foreign(0, 3), CLASSES, {})
    assert not list(tmp_path.iterdir())


def header(data: bytes) -> dict[str, Any]:
    (length,) = struct.unpack("<Q", data[:8])
    found: dict[str, Any] = json.loads(data[8 : 8 + length])
    return found


def refused(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        load_predictor(path, "cpu")
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_every_cut_is_noticed(file: Path) -> None:
    whole = file.read_bytes()
    for length in (0, 1, 7, 8, 9, 100, len(whole) // 2, len(whole) - 1):
        refused(file, whole[:length])


def test_every_flipped_byte_is_noticed_or_changes_nothing(file: Path) -> None:
    whole, model = file.read_bytes(), read_model(file)
    random = np.random.default_rng(0)
    for place in random.integers(0, len(whole), 300):
        changed = bytearray(whole)
        changed[place] ^= 1 << random.integers(8)
        file.write_bytes(bytes(changed))
        try:
            found = read_model(file)
        except DataError as error:
            assert "\n" not in str(error)  # noqa: PT017 (either is right, see below)
        else:
            assert found.digest == model.digest  # blanks of the header may become others


@given(st.binary(max_size=200))
def test_any_bytes_are_one_line(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    refused(tmp_path_factory.getbasetemp() / "any.safetensors", data)
    refused(tmp_path_factory.getbasetemp() / "any.safetensors", struct.pack("<Q", len(data)) + data)


def test_nothing_is_executed(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return (os.mkdir, (str(tmp_path / "harm"),))

    refused(tmp_path / "m.safetensors", pickle.dumps({"t15": Harm()}))
    assert not (tmp_path / "harm").exists()


def test_foreign_files_are_named_as_such(tmp_path: Path) -> None:
    plain = save({"weight": np.zeros(3)})
    assert "is no model of t15, but another safetensors file" in refused(tmp_path / "m", plain)
    assert "no format number" in refused(tmp_path / "m", save({}, metadata={"t15": "[]"}))
    assert "RecursionError" in refused(tmp_path / "m", save({}, metadata={"t15": "[" * 100_000}))


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    for path in (tmp_path / "none.safetensors", tmp_path, Path(os.devnull)):
        with pytest.raises(UsageError, match="there is no such file"):
            read_model(path)


def described(file: Path, **changes: Any) -> bytes:
    """Return the file with another description, under a digest of its own: made by hand, not damaged."""
    model = read_model(file)
    fields = {name: changes.pop(name) for name in list(changes) if name in Model.__dataclass_fields__}
    data = replace(model, **fields).to_bytes()
    if changes:
        content = header(data)
        said = {**json.loads(content["__metadata__"]["t15"]), **changes}
        tensors = {f"predictor/{name}": array for name, array in model.tensors.items()}
        data = save(tensors, metadata={"t15": json.dumps(said)})
    return data


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 2}, "install a newer t15"),
        ({"format": "1"}, "no format number"),
        ({"kind": "pickle"}, "known are cross-view, described, fusion, im2gps, lee2015, network"),
        ({"classes": ["a", "a"]}, "one is there twice"),
        ({"classes": []}, "its cities are damaged"),
        ({"classes": [1, 2, 3]}, "its cities are damaged"),
        ({"spec": []}, "its description is damaged"),
        ({"digest": "0" * 64}, "its digest is another one"),
        ({"tensors": {}}, "KeyError"),
        ({"spec": {}}, "KeyError"),
    ],
)
def test_descriptions_that_are_none_are_refused(file: Path, changes: dict[str, Any], said: str) -> None:
    assert said in refused(file, described(file, **changes))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"size": 10**9}, "1 to 1024 are possible"),
        ({"size": True}, "1 to 1024 are possible"),
        ({"feature": "sift"}, "choose one of tiny"),
        ({"version": 99}, "train and export it again"),
        ({"classifier": "forest"}, "KeyError"),
        ({"of_classifier": 3}, "its description is no described's"),
        ({"classes": 10**9}, "is not of the 3 cities"),
    ],
)
def test_predictors_that_cannot_be_built_are_refused(file: Path, change: dict[str, Any], said: str) -> None:
    assert said in refused(file, described(file, spec={**read_model(file).spec, **change}))


def test_no_model_made_by_hand_ends_in_anything_but_one_line(file: Path) -> None:
    """Absurd values and arrays of other shapes and types, under a digest that is right: built, or refused in one line."""
    model, random, began = read_model(file), np.random.default_rng(4), time.monotonic()
    odd: list[Any] = [None, True, -1, 0, 10**9, 10**400, 1e308, "", "\n", "x" * 5000, [], {}, [[[]]], {"a": {"b": [1]}}]
    for _ in range(200):
        spec, tensors = dict(model.spec), dict(model.tensors)
        for _ in range(random.integers(0, 3)):
            spec[random.choice([*spec, "more"])] = odd[random.integers(len(odd))]
        for _ in range(random.integers(0, 3)):
            name = random.choice(list(tensors))
            shape = tuple(random.integers(0, 5, random.integers(0, 4)))
            tensors[name] = random.choice([np.nan, np.inf, 0, -1], shape).astype(random.choice(["f4", "f8"]))
            if random.random() < 0.3:
                tensors[name] = np.ones(shape, random.choice(["i1", "i8", "bool"]))
        file.write_bytes(replace(model, spec=spec, tensors=tensors).to_bytes())
        try:
            load_predictor(file, "cpu")
        except DataError as error:
            assert "\n" not in str(error)  # noqa: PT017 (either is right)
            assert len(str(error)) < 1000  # noqa: PT017
        if time.monotonic() - began > 8:
            break


def test_an_array_too_many_is_refused(file: Path) -> None:
    content = header(file.read_bytes())
    tensors = {f"predictor/{name}": array for name, array in read_model(file).tensors.items()}
    data = save({**tensors, "more": np.zeros(2)}, metadata=content["__metadata__"])
    assert "holds arrays that no model of t15 has" in refused(file, data)


@pytest.mark.parametrize("kind", ["tiny", "hog-l1", "hog-l2hys", "gist-lear", "gist-labelme"])
def test_every_feature_comes_back(tmp_path: Path, kind: str) -> None:
    size = 32
    photos = given_photos([paint(seed, seed, 50, 40) for seed in range(6)])
    embedded = Described(None, kind, size, "cpu").embed(photos)  # type: ignore[arg-type]
    assert embedded.shape[0] == 6
    predictor = Described(fit_logistic(embedded, np.arange(6) % 2, 2, 1.0, 20), kind, size, "cpu")
    save_predictor(tmp_path / "m", predictor, ("a", "b"), {})
    again: Any = build(read_model(tmp_path / "m"), "cpu", "m")
    np.testing.assert_allclose(again.predict_labels(photos), predictor.predict_labels(photos), atol=1e-6)
    assert feature(kind, size).size == size


@dataclass(frozen=True)
class Constant:
    """A plug-in's predictor: the same probabilities for every photo."""

    shares: Any

    def predict_labels(self, photos: Photos) -> Any:
        return np.tile(self.shares, (len(photos), 1))

    def save(self) -> tuple[str, dict[str, Any], dict[str, Any]]:
        return "constant", {"scale": 2}, {"shares": self.shares * 2}


def load_constant(spec: Any, arrays: Any, device: str) -> Constant:
    return Constant(arrays["shares"] / spec["scale"])


def installed(monkeypatch: pytest.MonkeyPatch, **loaders: str) -> None:
    points = [EntryPoint(name, f"{__name__}:{function}", "t15.loaders") for name, function in loaders.items()]
    monkeypatch.setattr("collector.plugins.entry_points", lambda group: points if group == "t15.loaders" else [])


def test_a_plugins_predictor_is_kept_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, predictor = tmp_path / "m", Constant(np.array([0.5, 0.25, 0.25], np.float32))
    assert not save_predictor(path, predictor, CLASSES, {})
    installed(monkeypatch, constant="load_constant")
    assert save_predictor(path, predictor, CLASSES, {})
    again: Any = load_predictor(path, "cpu")[0]
    photos = given_photos([paint(1, 1), paint(2, 2)])
    np.testing.assert_array_equal(again.predict_labels(photos), predictor.predict_labels(photos))
    installed(monkeypatch)
    with pytest.raises(DataError, match=r"kind 'constant'.*needs its package installed"):
        load_predictor(path, "cpu")


def test_a_plugin_cannot_take_the_place_of_a_kind_of_ours(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, described="load_constant")
    assert isinstance(load_predictor(file, "cpu")[0], Described)
