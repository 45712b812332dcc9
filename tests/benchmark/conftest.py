"""A small data set with generated photos, and methods to run on it."""

import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from benchmark.methods.types import Context, Method, Training
from benchmark.photos import Photos
from collector.manifest.manifest import Header, Manifest, build_manifest, write_manifest
from collector.records import City, Photo
from collector.workspace import Workspace

CITIES = ("zulu", "alpha", "mike")
"""Not in alphabetical order, so that an order of one's own is noticed."""

QUOTAS = {"train": 4, "val": 2, "test": 2}


@dataclass(frozen=True)
class World:
    """A data set on disk: its manifest, the manifest's folder and the workspace with the photos."""

    manifest: Manifest
    folder: Path
    workspace: Workspace

    def photos(self, split: str) -> list[Photo]:
        return self.manifest.photos(split)

    @property
    def options(self) -> list[str]:
        """The options of `t15 bench` and `t15 leaderboard` that name this data set."""
        return ["--manifest", str(self.folder), "--workspace", str(self.workspace.root)]


def png(picture: Image.Image, **options: Any) -> bytes:
    """Return a picture as the bytes of a PNG."""
    file = io.BytesIO()
    picture.save(file, "PNG", **options)
    return file.getvalue()


def store(workspace: Workspace, data: bytes) -> str:
    """Put bytes into the workspace's photos and return their sha256."""
    sha256 = hashlib.sha256(data).hexdigest()
    path = workspace.photo(sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return sha256


def paint(seed: int, hue: int, width: int = 40, height: int = 32) -> Image.Image:
    """Return noise around a colour that stands for a city."""
    random = np.random.default_rng(seed)
    colour = np.array([(200, 60, 60), (60, 200, 60), (60, 60, 200), (200, 200, 60)][hue % 4])
    noise = random.integers(-50, 50, (height, width, 3))
    return Image.fromarray((colour + noise).clip(0, 255).astype(np.uint8))


def make_world(root: Path, cities: Sequence[str] = CITIES, quotas: Mapping[str, int] = QUOTAS) -> World:
    """Generate a data set below `root`, `quotas` photos a city on each side."""
    workspace = Workspace(root / "workspace")
    workspace.root.mkdir(parents=True)
    photos: list[Photo] = []
    for number, city in enumerate(cities):
        for split, count in quotas.items():
            for index in range(count):
                seed = len(photos)
                width, height = [(40, 32), (32, 40)][seed % 2]
                data = png(paint(seed, number, width, height))
                native = hashlib.sha256(f"{city}-{split}-{index}".encode()).hexdigest()[:12]
                photos.append(
                    Photo(
                        photo_id=f"folder:{native}",
                        city=city,
                        width=width,
                        height=height,
                        bytes=len(data),
                        sha256=store(workspace, data),
                        split=split,
                    )
                )
    header = Header(
        name="small",
        version="1.0.0",
        region="small",
        title="Small",
        note="",
        seed=0,
        quotas=quotas,
        rules={},
        cities=tuple(City(slug, slug.title(), float(i), float(i), 10.0) for i, slug in enumerate(cities)),
    )
    manifest = build_manifest(header, photos, "tests")
    folder = root / "manifests" / "small" / "1.0.0"
    write_manifest(manifest, folder)
    return World(manifest, folder, workspace)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


@dataclass(frozen=True)
class Drawn:
    """Predicts what it drew from its seed."""

    seed: int
    classes: int

    def predict_labels(self, photos: Photos) -> NDArray[np.float32]:
        random = np.random.default_rng(self.seed)
        return random.dirichlet(np.ones(self.classes), len(photos)).astype(np.float32)


def drawing(training: Training, validation: Training, context: Context, **parameters: Any) -> Drawn:
    """Fit nothing."""
    return Drawn(context.seed, len(training.classes))


def method(name: str = "drawn", fit: Callable[..., Any] = drawing, **settings: Any) -> Method:
    """Return a method with little to say."""
    return Method(**{"name": name, "title": name.title(), "fit": fit, "parameters": {}, **settings})


@dataclass(frozen=True)
class Answering:
    """Answers whatever it was given."""

    answer: Callable[[Photos], Any]

    def predict_labels(self, photos: Photos) -> Any:
        return self.answer(photos)


def answering(answer: Callable[[Photos], Any]) -> Callable[..., Answering]:
    """Return a fit whose predictor answers with `answer(photos)`."""
    return lambda training, validation, context, **parameters: Answering(answer)
