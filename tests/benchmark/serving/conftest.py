"""A trained model behind a server's application, and behind a real server."""

import io
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from benchmark.predicting.answer import Answerer
from benchmark.serving.app import Desk, make_app
from benchmark.serving.limits import Limits
from tests.benchmark.conftest import paint
from tests.benchmark.predicting.conftest import Trained, answerer, trained

__all__ = ["answerer", "trained"]  # fixtures

PORT = 8015
HOST = f"http://127.0.0.1:{PORT}"
LIMITS = Limits(body=2_000_000, pixels=4_000_000, decoders=1, burst=1_000_000)
"""Small ones, so that what is beyond them is small, too; nobody is too quick."""


def photo(
    seed: int = 9000, hue: int = 0, size: tuple[int, int] = (160, 120), form: str = "JPEG", **options: Any
) -> bytes:
    """Return a picture's file; `hue` 0 looks like the first city, and so on."""
    file = io.BytesIO()
    paint(seed, hue, *size).save(file, form, **options)
    return file.getvalue()


def gps() -> Image.Exif:
    """Return EXIF that says where and by whom: 41.0082 N, 28.9784 E."""
    exif = Image.Exif()
    exif[0x010F] = "SECRETCAMERA"
    exif[0x013B] = "SECRETARTIST"
    exif.get_ifd(0x8825).update({1: "N", 2: (41.0, 0.0, 29.52), 3: "E", 4: (28.0, 58.0, 42.24)})
    return exif


@pytest.fixture(scope="session")
def desk(trained: Trained, answerer: Answerer) -> Iterator[Desk]:
    desk = Desk(answerer, trained.world.workspace, LIMITS)
    yield desk
    desk.close()


@pytest.fixture(scope="session")
def client(desk: Desk) -> Iterator[TestClient]:
    with TestClient(make_app(desk, PORT), base_url=HOST, raise_server_exceptions=False) as client:
        yield client


def predict(client: TestClient, data: bytes, name: str = "photo.jpg", **query: Any) -> Any:
    """Send a photo in a form and return the answer."""
    return client.post("/api/v1/predict", files={"photo": (name, data)}, params=query)
