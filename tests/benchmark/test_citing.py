"""`t15 cite`: BibTeX that a bibliography takes."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchmark.commands.citing import bibtex_text, service_entries
from collector import front_door
from collector.manifest.manifest import build_manifest
from tests.benchmark.conftest import World
from tests.benchmark.predicting.conftest import Trained, trained  # noqa: F401 (a fixture)


def test_of_a_manifest(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert front_door.run(["cite", str(world.folder)]) == 0
    out = capsys.readouterr().out
    keys = re.findall(r"^@(\w+)\{([\w.-]+),$", out, re.MULTILINE)
    assert len(keys) == len(set(keys)) >= 4
    assert ("misc", "t15") in keys
    assert world.manifest.digest in out
    assert out.count("\n}") == len(keys)
    assert front_door.run(["cite", str(world.folder), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["entries"]) == len(keys)


def test_of_a_model(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    assert front_door.run(["cite", str(trained.file)]) == 0
    out = capsys.readouterr().out
    assert f"run {trained.run.inputs.identity}" in out
    assert trained.world.manifest.digest in out


def test_own_photos_come_from_no_service(world: World) -> None:
    rows = [replace(photo, photo_id=f"folder:{photo.photo_id}") for photo in world.photos("test")]
    titles = [entry["title"] for entry in service_entries(build_manifest(world.manifest.header, rows, "t15"))]
    assert titles == [f"{len(rows)} photographs from a folder"]


def test_photos_are_cited_by_what_is_known_of_them(world: World) -> None:
    header, rows = world.manifest.header, world.photos("test")

    def entry(**known: list[Any]) -> dict[str, str]:
        photos = [
            replace(photo, **{name: values[n % len(values)] for name, values in known.items()})
            for n, photo in enumerate(rows)
        ]
        (one,) = service_entries(build_manifest(header, photos, "t15"))
        return one

    unknown = entry()
    assert unknown["note"].startswith("Licences: ")
    assert not {"author", "year"} & set(unknown)
    days = [datetime(year, 5, 1, tzinfo=UTC) for year in (2012, 2009)]
    assert entry(taken_at=[*days])["year"] == "2009--2012"
    assert entry(taken_at=[days[0]], author_name=["A. B"]).items() >= {"author": "{A. B}", "year": "2012"}.items()
    several = entry(author_name=["A", "B"])
    assert several["note"].startswith("Author of each in the rows of the data set; licences: ")
    assert "author" not in several
    assert "author" not in entry(author_name=["A", None])


def test_a_publication_says_when_and_by_whom(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    (world.folder / "croissant.json").write_text('{"datePublished": "2026-05-01", "creator": {"name": "A & Co"}}')
    assert front_door.run(["cite", str(world.folder)]) == 0
    first = capsys.readouterr().out.split("\n\n")[0]
    assert "author = {{A \\& Co}}" in first
    assert "year = {2026}" in first
    for damaged in ("{", "[]", '{"creator": []}'):
        (world.folder / "croissant.json").write_text(damaged)
        assert front_door.run(["cite", str(world.folder)]) == 0
        assert "author" not in capsys.readouterr().out.split("\n\n")[0]


def test_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert front_door.run(["cite", str(tmp_path / "x.safetensors")]) == 2
    assert "no such file" in capsys.readouterr().err


def test_titles_stay_text() -> None:
    assert bibtex_text("50 % of {a}\\input{x} & b_c") == "50 \\% of ainputx \\& b\\_c"
    assert bibtex_text("{The t15 authors}") == "{The t15 authors}"


def test_a_model_has_a_card(trained: Trained, tmp_path: Path) -> None:  # noqa: F811
    file = tmp_path / "m.safetensors"
    command = ["export-model", trained.run.inputs.identity, str(file), "--card", *trained.world.options]
    assert front_door.run(command) == 0
    card = file.with_suffix(".md").read_text("utf-8")
    for part in (
        trained.run.inputs.identity,
        trained.world.manifest.digest,
        "Alpha",
        "LicenseRef-Unknown",
        "never with an address",
    ):
        assert part in card
