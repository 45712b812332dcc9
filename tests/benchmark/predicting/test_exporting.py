"""From a run to a model: which run, which manifest, and what is missing."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.commands.shared import run_called
from benchmark.predicting.answer import Answerer
from benchmark.predicting.exporting import manifest_of, passed_on, trained_model
from benchmark.results import find_run, read_validation, save_run
from collector.errors import DataError, UsageError
from collector.workspace import Workspace
from tests.benchmark.conftest import make_world, paint
from tests.benchmark.predicting.conftest import Trained


@pytest.fixture
def copy(trained: Trained, tmp_path: Path) -> Workspace:
    """Return a copy of the workspace, to be damaged."""
    shutil.copytree(trained.world.workspace.root, tmp_path / "copy")
    return Workspace(tmp_path / "copy")


def test_a_run_is_found_by_the_beginning_of_its_identity(trained: Trained) -> None:
    identity, runs = trained.run.inputs.identity, trained.world.workspace.runs
    assert find_run(runs, identity) == find_run(runs, identity[:4]) == trained.run
    assert find_run(runs, trained.run.inputs.method.upper()) == trained.run  # the only one of its method


@pytest.mark.parametrize("name", ["", "abc", "../runs", "ABCD", "*", "0" * 17, "no run", "/etc/passwd"])
def test_what_is_no_identity_is_refused(trained: Trained, name: str) -> None:
    with pytest.raises(UsageError, match="no such file or run"):
        find_run(trained.world.workspace.runs, name)


def test_of_several_or_no_runs_none_is_taken(trained: Trained, copy: Workspace) -> None:
    with pytest.raises(UsageError, match="no such run in"):
        find_run(copy.runs, "0123")
    identity = trained.run.inputs.identity
    twin = identity[:5] + ("0" if identity[5] != "0" else "1") + identity[6:]
    shutil.copytree(copy.runs / identity, copy.runs / twin)
    with pytest.raises(UsageError, match=f"several runs begin so: .*{twin}"):
        find_run(copy.runs, identity[:5])
    (copy.runs / identity / "run.json").write_text("{")
    with pytest.raises(DataError, match=r"run\.json: cannot be read"):
        find_run(copy.runs, identity)


def test_of_several_runs_of_a_method_the_one_on_the_manifest_is_meant(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = trained.run.inputs.manifest_digest
    elsewhere = replace(trained.run, inputs=replace(trained.run.inputs, manifest_digest="f" * 64))
    monkeypatch.setattr("benchmark.results.all_runs", lambda *_: [elsewhere, trained.run])
    assert run_called(Path(), "retrieval:gist", there) == trained.run
    for digest in ("", "0" * 64):
        with pytest.raises(UsageError, match="'retrieval:gist-lear-64': several runs are of this method"):
            run_called(Path(), "retrieval:gist", digest)
    monkeypatch.setattr("benchmark.results.all_runs", lambda *_: [])
    with pytest.raises(UsageError, match="no such file or run"):
        run_called(Path(), "retrieval:nonsense")


def test_its_manifest_is_looked_for(trained: Trained, tmp_path: Path) -> None:
    world = trained.world
    manifests = world.folder.parent.parent
    (tmp_path / "small" / "0.9.0").mkdir(parents=True)
    (tmp_path / "small" / "0.9.0" / "manifest.json").write_text("[]")
    assert manifest_of(trained.run, manifests, world.workspace).digest == world.manifest.digest
    with pytest.raises(UsageError, match="name it with --manifest"):
        manifest_of(trained.run, tmp_path, world.workspace)
    rehydrated = Workspace(tmp_path / "elsewhere")
    shutil.copytree(world.folder, rehydrated.rehydrated / "0011" / "small" / "1.0.0")
    assert manifest_of(trained.run, tmp_path, rehydrated).digest == world.manifest.digest


def test_another_manifest_is_refused(trained: Trained, tmp_path: Path) -> None:
    other = make_world(tmp_path, cities=("zulu", "mike"))
    with pytest.raises(UsageError, match=r"learnt from small 1\.0\.0, not from small 1\.0\.0 .digest"):
        trained_model(trained.run, other.manifest, trained.world.workspace, "cpu", neighbours=False)


def test_a_run_without_its_model_says_how_to_get_one(trained: Trained, copy: Workspace) -> None:
    (copy.runs / trained.run.inputs.identity / "model.safetensors").unlink()
    with pytest.raises(UsageError, match=r"its model was not kept; .*--models all"):
        trained_model(trained.run, trained.world.manifest, copy, "cpu", neighbours=False)


def test_training_photos_that_are_not_here_are_left_out(trained: Trained, copy: Workspace) -> None:
    first, *rest = trained.world.photos("train")
    copy.photo(str(first.sha256)).unlink()
    shutil.rmtree(copy.cache)
    model = trained_model(trained.run, trained.world.manifest, copy, "cpu", neighbours=True)
    assert len(model.arrays["embeddings"]) == len(rest) == 23
    for photo in rest:
        copy.photo(str(photo.sha256)).unlink()
    model = trained_model(trained.run, trained.world.manifest, copy, "cpu", neighbours=True)
    assert model.arrays == {}
    assert Answerer(model).explain(paint(0, 0)).neighbours == ()


def test_without_validation_nothing_is_claimed(trained: Trained, copy: Workspace) -> None:
    (copy.runs / trained.run.inputs.identity / "validation.parquet").unlink()
    model = trained_model(trained.run, trained.world.manifest, copy, "cpu", neighbours=False)
    certainty = model.extra["certainty"]
    assert (certainty["temperature"], certainty["threshold"], certainty["photos"]) == (1.0, 0.0, 0)
    (answer,) = Answerer(model).answer([paint(0, 0)])
    assert not answer.none_of_these
    assert answer.radius_km is None


def test_validation_of_other_photos_is_refused(trained: Trained, copy: Workspace) -> None:
    said = read_validation(copy.runs, trained.run)
    assert said is not None
    fewer = replace(said, photo_ids=said.photo_ids[1:], probabilities=said.probabilities[1:])
    save_run(copy.runs, trained.run, said, fewer, [])
    shutil.copy(
        trained.world.workspace.runs / trained.run.inputs.identity / "model.safetensors",
        copy.runs / trained.run.inputs.identity,
    )
    with pytest.raises(DataError, match=r"validation\.parquet is of other photos"):
        trained_model(trained.run, trained.world.manifest, copy, "cpu", neighbours=False)


def test_the_model_holds_credits_and_no_files(trained: Trained) -> None:
    data = trained.file.read_bytes()
    for photo in trained.world.photos("train"):
        assert photo.photo_id.encode() in data
        original = trained.world.workspace.photo(str(photo.sha256)).read_bytes()
        assert original[100:140] not in data
    assert "at 64 × 64 pixels: pass it on under their licences only" in str(passed_on(trained.model))
    assert passed_on(replace(trained.model, spec={**trained.model.spec, "feature": "hog-l1"})) is None
    assert sorted(trained.model.arrays) == ["credits", "embeddings", "mean", "scale"]
