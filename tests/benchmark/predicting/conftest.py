"""A small data set with a trained run, and the model that is exported of it."""

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from PIL import Image

from benchmark.commands import predicting
from benchmark.methods.registry import methods
from benchmark.methods.settings import with_settings
from benchmark.models import Model
from benchmark.planning import plan
from benchmark.predicting.answer import Answerer
from benchmark.predicting.exporting import trained_model
from benchmark.results import Run, find_run
from benchmark.runner import bench
from collector import front_door
from tests.benchmark.conftest import World, make_world, paint


@dataclass(frozen=True)
class Trained:
    """A data set, its one finished run, and the model of it as a file."""

    world: World
    run: Run
    model: Model
    file: Path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    root = tmp_path_factory.mktemp("trained")
    world = make_world(root, quotas={"train": 8, "val": 20, "test": 2})
    method = with_settings(methods()["tiny-64+logreg"], {"iterations": "20"})
    tasks = plan(world.manifest, [method], [0], "paper")
    assert [outcome.state for outcome in bench(world.manifest, world.workspace, tasks, "cpu")] == ["done"]
    run = find_run(world.workspace.runs, tasks[0].inputs.identity)
    model = trained_model(run, world.manifest, world.workspace, "cpu", neighbours=True)
    file = root / "model.safetensors"
    file.write_bytes(model.to_bytes())
    return Trained(world, run, model, file)


@pytest.fixture(scope="session")
def answerer(trained: Trained) -> Answerer:
    return Answerer(trained.file)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder with a photo of each city, which the data set does not hold."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for hue, name in enumerate(("one", "two", "three")):
        paint(9000 + hue, hue, 160, 120).save(folder / f"{name}.jpg", quality=92)
    return folder


def jpeg(image: Image.Image, **options: Any) -> bytes:
    """Return a picture as the bytes of a JPEG."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=92, **options)
    return file.getvalue()


Cli = Callable[..., tuple[int, str, str]]
"""`cli(*arguments, stdin=b"") -> (exit code, stdout, stderr)`."""


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.add_typer(predicting.app)
    monkeypatch.setattr(front_door, "app", app)

    def call(*arguments: object, stdin: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = front_door.run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def read(text: str) -> Any:
    """Return JSON that has no NaN in it."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    return json.loads(text, parse_constant=refuse)
