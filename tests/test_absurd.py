"""Absurd manifests through everything that writes: each ends in bounded time, with a result or one line."""

import io
import json
import time
from pathlib import Path

import pytest

from benchmark.leaderboard.exports import write_leaderboard
from benchmark.submissions import put_on_board, read_submission
from collector.errors import T15Error
from collector.manifest.diff import as_text, diff
from collector.manifest.export import export
from collector.manifest.manifest import Manifest, build_manifest, read_manifest, write_manifest
from collector.publishing.bundle import publish
from collector.publishing.card import card
from collector.publishing.charts import charts
from collector.publishing.facts import Release, Row, gather, summed
from collector.publishing.stats import Shown, stats
from collector.splitting.audit import audit_manifest
from tests.absurd import absurd, cities, header
from tests.conftest import MakePhoto

_SECONDS = 40.0  # for one manifest, on a machine that does other things; without the bounds some took minutes


@pytest.mark.slow
def test_everything_that_writes_holds(make_photo: MakePhoto, tmp_path: Path) -> None:
    for number, (name, manifest) in enumerate(absurd(make_photo)):
        folder, started = tmp_path / str(number), time.monotonic()
        try:
            assert write_manifest(manifest, folder / "m")
            read = read_manifest(folder / "m")
            export(read, io.BytesIO(), "csv")
            as_text(diff(read, read))
            audit_manifest(read)
            published = publish(folder / "m", folder / "out", release=Release("t15"))
        except T15Error as error:
            line = str(error)
            assert "\n" not in line, name
            assert len(line) < 500, name
            assert not list((folder / "out").rglob("README.md")), name  # nothing half-written
        else:
            json.loads((published.folder / "croissant.json").read_text())
            assert published.bytes < 20_000_000, name
        assert time.monotonic() - started < _SECONDS, name


def of_many(make_photo: MakePhoto, count: int) -> Manifest:
    many = cities(count)
    photos = [make_photo(n, city=many[n % count].slug) for n in range(count + 10)]
    return build_manifest(header(cities=many), photos, "t15")


def test_charts_and_tables_of_many_cities_sum_the_rest(make_photo: MakePhoto) -> None:
    manifest = of_many(make_photo, 1_200)
    facts, shown = gather(manifest), Shown(stats(manifest))
    pictures = charts(manifest, facts, shown.cities)
    assert b"1,100 more cities" in pictures["counts.svg"]
    assert b"City 0" in pictures["counts.svg"]  # it has two photos
    assert len(pictures["counts.svg"]) < 1_000_000
    text = card(manifest, facts, Release("t15"), ["counts.svg"], None, shown)
    assert "| 200 more cities | 200 |" in text
    assert "| 200 more cities |  |" in text
    assert "| all | 1,210 |" in text


@pytest.mark.parametrize("most", [1, 3, 10])
def test_what_is_summed_adds_up(most: int) -> None:
    rows = [Row(str(n), n, 2 * n, 1) for n in range(7)]
    short = summed(rows, most, "rows")
    assert len(short) == min(7, most + 1)
    for side in ("train", "val", "test"):
        assert sum(getattr(row, side) for row in short) == sum(getattr(row, side) for row in rows)
    assert [row.name for row in short[: min(7, most)]] == [str(n) for n in range(max(0, 7 - most), 7)]


@pytest.mark.slow
def test_boards_of_absurd_manifests(make_photo: MakePhoto, tmp_path: Path) -> None:
    """Right answers to each are scored and shown, or refused in a line, in bounded time."""
    for number, (name, manifest) in enumerate(absurd(make_photo)):
        folder = tmp_path / str(number)
        folder.mkdir()
        answers = [f'"{photo.photo_id}",{photo.city}' for photo in manifest.photos("test")]
        (folder / "answers.csv").write_text("\n".join(["photo_id,city", *answers]), encoding="utf-8")
        started = time.process_time()
        try:
            submission = read_submission(folder / "answers.csv", manifest)
            scored = put_on_board(submission, manifest, folder / "runs", "right answers")
            write_leaderboard([(manifest, None)], folder / "runs", folder / "board")
        except T15Error as error:
            line = str(error)
            assert "\n" not in line, name
        else:
            assert scored.scores["accuracy"].value == 1, name
        assert time.process_time() - started < 30, name
