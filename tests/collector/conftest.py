"""A small manifest, in memory and on disk."""

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from collector.manifest.manifest import Header, Manifest, build_manifest, write_manifest
from collector.records import City
from tests.conftest import MakePhoto

HEADER = Header(
    name="three-cities",
    version="1.0.0",
    region="three",
    title="Üç şehir",
    note="made up",
    seed=7,
    quotas={"train": 4, "val": 3, "test": 3},
    rules={"mode": "stratified", "groups": ["near-duplicate"]},
    cities=(
        City("ankara", "Ankara", 39.9208, 32.8541, 25.0, "TR-06", 6, aliases=("Ancyra", "Angora")),
        City("bursa", "Bursa", 40.184, 29.0617, 20.0, "TR-16", 16),
        City("van", "Van", 38.4989, 43.3781, 15.0),
    ),
    hashes=("phash-64 by a library 1.0",),
)

Edit = Callable[[Callable[..., object]], Path]


@pytest.fixture(scope="session")
def small(make_photo: MakePhoto) -> Manifest:
    """Return a manifest of 30 photos, some with missing values."""
    photos = [make_photo(n, latitude=39.5 + n / 1000, longitude=32.5 + n / 1000) for n in range(28)]
    bare = {"latitude": None, "longitude": None, "taken_at": None, "author_id": None, "author_name": None}
    photos.append(
        make_photo(28, **bare, page_url=None, image_url=None, title=None, phash=None, dhash=None, group_id=None)
    )
    photos.append(make_photo(29, title='"a"; \\ \n\x00 \u2028 東京 👍', latitude=-0.0, longitude=1e-300))
    return build_manifest(HEADER, photos, "t15 test")


@pytest.fixture
def folder(small: Manifest, tmp_path: Path) -> Path:
    """Return the folder of the small manifest, written anew."""
    path = tmp_path / "manifests" / "three-cities" / "1.0.0"
    assert write_manifest(small, path)
    return path


DRAWN: dict[bytes, dict[str, bytes]] = {}


@pytest.fixture
def charts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw the pictures of equal data once: they take most of a publication's time, and repeat (see test_charts)."""
    from collector.publishing.charts import charts
    from collector.publishing.facts import Facts
    from collector.publishing.stats import CityStats

    def kept(manifest: Manifest, facts: Facts, found: Sequence[CityStats]) -> dict[str, bytes]:
        key = pickle.dumps((manifest.digest, facts, found))
        if key not in DRAWN:
            DRAWN[key] = charts(manifest, facts, found)
        return dict(DRAWN[key])

    monkeypatch.setattr("collector.publishing.bundle.charts", kept)
