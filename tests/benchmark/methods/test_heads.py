"""Heads as methods: rows of any network, of two side by side, chosen on validation; and their vectors as files."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from typer.testing import CliRunner

from benchmark.classifiers.knn import MODERN_KS, WEIGHTS, fit_knn
from benchmark.cli import app
from benchmark.methods import heads
from benchmark.methods.head_kinds import HEADS, VECTOR_HEADS, Sides
from benchmark.methods.networks import transfer_variant
from benchmark.methods.registry import choose
from benchmark.methods.training import training_photos
from benchmark.methods.types import Context
from benchmark.models import load_predictor, save_predictor
from benchmark.networks import backbones, weights
from benchmark.networks.backbones import Backbone, Pretrained
from benchmark.photos import WorkspacePhotos, photos_of
from benchmark.planning import plan
from collector.errors import UsageError
from tests.benchmark.conftest import World

CLASSES = ("zulu", "alpha", "mike")


def build(classes: int) -> torch.nn.Module:
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 5, stride=4),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(6, classes),
    )


ONE = Backbone(
    "one/colours",
    "One",
    build,
    lambda network: list(network.children()),
    "4",
    pretrained=Pretrained("colours", 9, "CC0-1.0", "page", commercial=True),
    tokens="1",
    width=6,
)
TWO = replace(ONE, name="two/colours", title="Two", pretrained=Pretrained("shapes", 9, "MIT", "page"))


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for backbone in (ONE, TWO):
        monkeypatch.setitem(backbones.BACKBONES, backbone.name, backbone)
    monkeypatch.setenv("T15_WEIGHTS", str(tmp_path / "weights"))


@pytest.fixture
def _stored(tmp_path: Path) -> None:
    for seed, backbone in enumerate((ONE, TWO)):
        torch.manual_seed(seed)
        torch.save(build(9).state_dict(), tmp_path / "file.pth")
        weights.add(backbone, tmp_path / "file.pth")


def fit(world: World, name: str, **changes: Any) -> Any:
    method = transfer_variant(name)
    assert method is not None
    backbone = backbones.find_backbone(method.backbone)
    stored = weights.stored(backbone)
    assert stored
    context = Context(weights=weights.load(backbone, stored.digest), weights_digest=stored.digest)
    training, validation = (
        training_photos(world.manifest, side, WorkspacePhotos(world.workspace)) for side in ("train", "val")
    )
    return method.fit(training, validation, context, **{**method.of_tier("smoke"), "size": 28, **changes})


NAMES = [f"{head}:one/colours" for head in VECTOR_HEADS if head != "concat"] + ["concat:one/colours+two/colours"]


@pytest.mark.usefixtures("_stored")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stored", ["float32", "float16"])
def test_a_row_predicts_and_comes_back_from_its_file(world: World, tmp_path: Path, name: str, stored: str) -> None:
    fitted = fit(world, name, stored=stored, pooling="gem")
    test = photos_of(world.manifest, "test", WorkspacePhotos(world.workspace))
    said = fitted.predict_labels(test)
    assert said.shape == (6, 3)
    assert np.allclose(said.sum(axis=1), 1, atol=1e-4)
    assert save_predictor(tmp_path / "model", fitted, CLASSES, {})
    loaded: Any = load_predictor(tmp_path / "model", "cpu")[0]
    assert np.allclose(loaded.predict_labels(test), said, atol=1e-5)
    assert np.allclose(loaded.embed(test), fitted.embed(test), atol=1e-5)


@pytest.mark.usefixtures("_stored")
def test_two_networks_side_by_side_are_the_vectors_of_each_at_length_one(world: World) -> None:
    test = photos_of(world.manifest, "test", WorkspacePhotos(world.workspace))
    both = fit(world, "concat:one/colours+two/colours").embed(test)
    one, two = (fit(world, f"knn:{name}").embed(test) for name in ("one/colours", "two/colours"))
    assert np.array_equal(both, np.hstack([one, two]))
    assert np.allclose(np.linalg.norm(one, axis=1), 1, atol=1e-5)
    assert not np.allclose(one, two)


@pytest.mark.usefixtures("_stored")
def test_the_weights_of_both_make_the_run(world: World, tmp_path: Path) -> None:
    (before,) = plan(world.manifest, choose(["concat:one/colours+two/colours"]), [0], "paper")
    torch.save(build(9).state_dict(), tmp_path / "other.pth")
    (tmp_path / "weights" / "pins.json").unlink()
    weights.add(TWO, tmp_path / "other.pth")
    (after,) = plan(world.manifest, choose(["concat:one/colours+two/colours"]), [0], "paper")
    assert before.inputs.identity != after.inputs.identity
    weights.stored(TWO).path.unlink()  # type: ignore[union-attr]
    (without,) = plan(world.manifest, choose(["concat:one/colours+two/colours"]), [0], "paper")
    assert without.weights == "missing"
    assert not without.can_begin


@pytest.mark.parametrize("head", ["lda", "ncm", "knn"])
def test_settings_are_what_validation_prefers(head: str) -> None:
    """Labels that differ by one value of many: the candidate that `fit_head` would take is the best of all on validation."""
    draw = np.random.default_rng(0)
    labels, truth = (draw.integers(0, 3, count) for count in (90, 60))
    vectors, judged = (
        (draw.normal(size=(len(of), 20)) + 2 * np.eye(3, 20)[of]).astype(np.float32) for of in (labels, truth)
    )
    sides = Sides(vectors, labels, judged, truth, 3)
    candidates = HEADS[head].fit(sides, Context(), **HEADS[head].settings)
    tried: list[Any] = [of for _, of in candidates]
    if head == "knn":  # chooses among them by itself
        tried = [fit_knn(vectors, labels, 3, int(k), weights) for k in MODERN_KS.split(",") for weights in WEIGHTS]
    shares = [float((of.predict_proba(judged).argmax(axis=1) == truth).mean()) for of in tried]
    assert len(set(shares)) > 1
    assert max(shares) > 0.6
    said = heads.best_candidate(candidates, sides)[1].predict_proba(judged)
    assert np.array_equal(said, tried[shares.index(max(shares))].predict_proba(judged))


@pytest.mark.parametrize(
    "name",
    ["concat:one/colours", "lda:one/colours+two/colours", "lda:nothing", "concat:one/colours+none"],
)
def test_what_is_no_method_is_none(name: str) -> None:
    assert transfer_variant(name) is None


@pytest.mark.usefixtures("_stored")
@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("knn:one/colours", {"pooling": "cls"}, "has no pooling"),
        ("knn:one/colours", {"stored": "int8"}, "float32, float16"),
        ("concat:one/colours+two/colours", {"size": "28+28+28"}, "2 whole numbers"),
        ("knn:one/colours", {"size": "9"}, "1 whole numbers from 16"),
    ],
)
def test_what_a_head_cannot_take_is_said(world: World, name: str, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        fit(world, name, **changes)


@pytest.mark.usefixtures("_stored")
@pytest.mark.parametrize("suffix", ["npz", "parquet"])
def test_vectors_as_a_file(world: World, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"vectors.{suffix}"
    options = ["--backbone", ONE.name, "--out", str(out), "--size", "28", "--pooling", "mean", "--json"]
    command = ["embed", str(world.folder), "--workspace", str(world.workspace.root), *options]
    tried = json.loads(CliRunner().invoke(app, [*command, "--dry-run"], catch_exceptions=False).stdout)
    assert (tried["photos"], tried["dry_run"], out.exists()) == (24, True, False)
    said = CliRunner().invoke(app, command, catch_exceptions=False)
    assert said.exit_code == 0, said.output
    facts = json.loads(said.stdout)
    assert (facts["photos"], facts["width"], facts["stored"]) == (24, 6, "float16")
    if suffix == "npz":
        with np.load(out) as file:
            ids, sides, vectors = file["photo_id"].tolist(), file["side"].tolist(), file["vector"]
            about = json.loads(str(file["about"]))
    else:
        table = pq.read_table(out)
        ids, sides, vectors = (table.column(name).to_pylist() for name in ("photo_id", "side", "vector"))
        about = json.loads(table.schema.metadata[b"t15"])
    photos = {
        side: photos_of(world.manifest, side, WorkspacePhotos(world.workspace)) for side in ("train", "val", "test")
    }
    assert ids == [name for of in photos.values() for name in of.ids]
    assert sides == [side for side, of in photos.items() for _ in of.ids]
    expected = heads.trained_tower(ONE.name, 28, "cpu", pooling="mean", stored="float16").embed(photos["train"])
    assert np.array_equal(np.array(vectors, np.float16)[: len(expected)], expected)
    assert about["manifest"] == world.manifest.digest
    assert not list(tmp_path.glob(".*"))


def test_a_file_of_another_kind_or_missing_weights_write_nothing(world: World, tmp_path: Path) -> None:
    for name, said in (("vectors.csv", ".npz or .parquet"), ("vectors.npz", "weights add one/colours")):
        options = ["--backbone", ONE.name, "--out", str(tmp_path / name), "--workspace", str(world.workspace.root)]
        result = CliRunner().invoke(app, ["embed", str(world.folder), *options])
        assert said in str(result.exception)
        assert not (tmp_path / name).exists()
