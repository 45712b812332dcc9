"""The real photos of seven capitals, examined once for all tests of this folder."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from collector.images.decode import quiet_decoders
from collector.images.validate import Limits, examine
from collector.records import Photo


@pytest.fixture(scope="session")
def capitals(real_data: Path) -> list[Photo]:
    """Return a record of every photo in `capitals7`, titled `city/file`."""
    root = real_data / "capitals7"

    def record(path: Path) -> Photo:
        data = path.read_bytes()
        found = examine(data, Limits(min_side=1))
        return Photo(
            photo_id=f"capitals:{path.parent.name}-{path.stem}",
            city=path.parent.name,
            title=f"{path.parent.name}/{path.name}",
            width=found.width,
            height=found.height,
            bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            phash=found.hashes.phash,
            dhash=found.hashes.dhash,
        )

    with quiet_decoders(), ThreadPoolExecutor(2) as pool:
        return list(pool.map(record, sorted(root.glob("*/*.jpg"))))
