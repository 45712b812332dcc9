"""What all tests share: real material where it is at hand, small made-up photos, a workspace."""

import hashlib
import io
import os
from collections.abc import Generator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from collector.records import Photo
from collector.workspace import Workspace, create_workspace

# Deadlines depend on the machine and its load, not on the code.
settings.register_profile("t15", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("t15")


class PhotoBytes(Protocol):
    """The type of the fixture `photo_bytes`."""

    def __call__(
        self,
        seed: int = 0,
        size: tuple[int, int] = (96, 80),
        format: str = "JPEG",
        exif: Image.Exif | None = None,
        **options: Any,
    ) -> bytes: ...


CENTRES = ((39.9208, 32.8541), (40.184, 29.0617), (38.4989, 43.3781))
"""Of Ankara, Bursa and Van."""


class MakePhoto(Protocol):
    """The type of the fixture `make_photo`."""

    def __call__(self, number: int = 0, **overrides: Any) -> Photo: ...


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Name a test the same in every worker: gzip writes the time of day into what becomes a parameter."""
    return argname if isinstance(val, bytes) and b"\x1f\x8b" in val else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Start one worker more than there are cores: each waits for servers, browsers or Ray a third of its time."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Import a share of all tests before the others: rewriting their assertions takes longer than all imports together.

    What one worker has rewritten lies as bytecode for the next.
    """
    worker = getattr(session.config, "workerinput", None)
    if worker is None or session.config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return
    number, here = int(worker["workerid"].removeprefix("gw")), Path(__file__).parent
    for path in sorted(here.rglob("test_*.py"))[number :: worker["workercount"]]:
        with suppress(Exception, pytest.skip.Exception):  # told when it is collected
            import_module(".".join(path.relative_to(here.parent).with_suffix("").parts))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that have slow tests, then with the journeys at the top.

    Workers take a file each, and the last must not be alone with a long one.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in slow, len(item.path.parts)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Let workers send what hostile tests printed: half a surrogate pair does not travel (pytest-xdist stops at it)."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real photos that T15_REAL_DATA names; skips the test where there is none."""
    folder = os.environ.get("T15_REAL_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("T15_REAL_DATA names no folder of real photos")
    return Path(folder)


@pytest.fixture(scope="session")
def recordings() -> Path:
    """Return the folder of recorded answers that T15_RECORDINGS names; skips the test where there is none."""
    folder = os.environ.get("T15_RECORDINGS")
    if not folder or not Path(folder).is_dir():
        pytest.skip("T15_RECORDINGS names no folder of recorded answers")
    return Path(folder)


def picture(seed: int = 0, size: tuple[int, int] = (96, 80)) -> Image.Image:
    """Return an RGB picture with content: smooth patches and some noise, different for each seed."""
    random = np.random.default_rng(seed)
    patches = Image.fromarray(random.integers(0, 256, (9, 9, 3), dtype=np.uint8), "RGB")
    smooth = np.asarray(patches.resize(size, Image.Resampling.BICUBIC), dtype=np.int16)
    noisy = smooth + random.integers(-6, 7, smooth.shape, dtype=np.int16)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8), "RGB")


@pytest.fixture(scope="session")
def photo_bytes() -> PhotoBytes:
    """Return a factory of image files: `photo_bytes(seed, size, format, exif, **options of Image.save)`.

    The pictures have content (hashes exist), and differ widely between seeds.
    """

    def make(
        seed: int = 0,
        size: tuple[int, int] = (96, 80),
        format: str = "JPEG",
        exif: Image.Exif | None = None,
        **options: Any,
    ) -> bytes:
        buffer = io.BytesIO()
        if exif is not None:
            options["exif"] = exif
        picture(seed, size).save(buffer, format, **options)
        return buffer.getvalue()

    return make


@pytest.fixture(scope="session")
def make_photo() -> MakePhoto:
    """Return a factory of Photo records that are fit for a manifest: `make_photo(number, **overrides)`.

    Everything follows from `number`: cities rotate through ankara, bursa and van, sides through train, val and test;
    sha256 and the hashes differ from number to number. Photos lie north of their city's centre, 333 m from the next one.
    """

    def make(number: int = 0, **overrides: Any) -> Photo:
        digest = hashlib.sha256(str(number).encode()).hexdigest()
        values: dict[str, Any] = {
            "photo_id": f"made:{number:04d}",
            "city": ("ankara", "bursa", "van")[number % 3],
            "latitude": CENTRES[number % 3][0] + number % 100 / 1000,
            "longitude": CENTRES[number % 3][1] + number // 100 / 1000,
            "taken_at": datetime(2019, 5, 1, 12, 30, tzinfo=UTC) + timedelta(days=number, microseconds=number),
            "author_id": f"made:author-{number % 5}",
            "author_name": f"Ömer Çığ {number % 5}",
            "license": "CC-BY-4.0",
            "page_url": f"https://example.org/photos/{number}",
            "image_url": f"https://example.org/photos/{number}.jpg",
            "title": f"Kızılay {number}",
            "width": 640,
            "height": 480,
            "bytes": 50_000 + number,
            "sha256": digest,
            "phash": digest[:16],
            "dhash": digest[16:32],
            "group_id": f"made:{number:04d}",
            "split": ("train", "val", "test")[number // 3 % 3],
        }
        return Photo(**{**values, **overrides})

    return make


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return a new, empty workspace."""
    return create_workspace(tmp_path / "workspace")
