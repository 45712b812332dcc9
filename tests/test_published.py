"""The manifest that comes with t15: drawn photos, so that a newcomer can measure something without a service or a key."""

from pathlib import Path

import pytest

from collector.manifest.manifest import read_manifest
from collector.records import SPLITS
from collector.splitting.audit import audit_manifest
from tests.in_process import t15, t15_json

ROOT = Path(__file__).parent.parent
PUBLISHED = ROOT / "manifests" / "sandbox" / "1.0.0"


def test_it_is_whole_small_and_clean() -> None:
    manifest = read_manifest(PUBLISHED)
    assert manifest.table.num_rows == 480
    assert all(sides == {"train": 40, "val": 10, "test": 10} for sides in manifest.counts().values())
    assert "drawn" in manifest.header.note
    files = [path for path in PUBLISHED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 500_000
    assert {path.suffix for path in files} == {".md", ".json", ".parquet", ".csv", ".svg", ""}  # and no photo
    assert audit_manifest(manifest).verdict == "clean"
    assert {photo.license for side in SPLITS for photo in manifest.photos(side)} == {"CC0-1.0"}


@pytest.mark.slow
def test_a_newcomer_measures_something(tmp_path: Path) -> None:
    """An empty folder: bench says which command brings the photos, and with them a method is judged."""
    bench = ("bench", "--manifest", PUBLISHED, "--method", "tiny-64+knn")
    (complaint,) = t15(tmp_path, *bench, code=3).stderr.splitlines()
    assert f"`t15 rehydrate {PUBLISHED} --workspace workspace`" in complaint
    assert "320 of train" in complaint
    assert not (tmp_path / "workspace").exists()
    # Another release of Pillow may draw other bytes of the same pictures: then that is said, and scored apart.
    fates = t15_json(tmp_path, "rehydrate", PUBLISHED)["fates"]
    assert sum(count for what, count in fates.items() if what in ("same", "re-encoded")) == 480
    assert t15(tmp_path, *bench).stdout == "1 done, 0 already there, 0 failed\n"
    # It is the newest of its folder, too, and nothing is run twice.
    newest = ("--manifests", ROOT / "manifests")
    again = t15(tmp_path, "bench", *newest, "--method", "tiny-64+knn")
    assert again.stdout == "0 done, 1 already there, 0 failed\n"
    board = t15_json(tmp_path, "leaderboard", *newest)
    assert board["test_photos"] == 80
    assert board["rows"][0]["accuracy_low"] > 1 / 8
    assert "drawn" in board["note"]
