"""Markdown, CSV, JSON and plain text of the leaderboard, with names that try to be more than names."""

import csv
import io
import json
import re
from pathlib import Path

import pytest

from benchmark.leaderboard.exports import as_csv, as_json
from benchmark.leaderboard.rows import PAPER_NOTE, RANK_NOTE
from benchmark.leaderboard.table import leaderboard
from benchmark.leaderboard.text import as_markdown, as_text
from tests.benchmark.leaderboard import add_failure, add_run, manifest_of


def cells(line: str) -> list[str]:
    """Return the cells of a Markdown table line, as a Markdown reader splits it."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_markdown_tables_have_the_same_number_of_cells_everywhere(tmp_path: Path) -> None:
    manifest = manifest_of(region="turkiye15")
    add_run(tmp_path, manifest, "a|b", 9, title="pipe | back\\slash | `tick` <b>bold</b>\nnew *line* &amp; [x](y)")
    add_run(tmp_path, manifest, "plain", 6, paper={"table": "I", "row": "tiny", "accuracy": 15.47})
    add_failure(tmp_path, manifest, "c|d", "reason | with pipe\nand line")
    text = as_markdown([leaderboard(manifest, tmp_path)])
    tables = [[cells(line) for line in block.splitlines()] for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 4  # ranking, further scores, parts, failed
    for table in tables:
        assert len({len(line) for line in table}) == 1
    title = tables[0][2][1]
    assert title == (r"pipe \| back\\slash \| \`tick\` &lt;b&gt;bold&lt;/b&gt; new \*line\* &amp;amp; \[x\](y)")
    assert tables[0][3][:4] == ["1–2", "The plain (at chance)", "40.0", "19.8 to 64.3"]
    assert tables[0][3][7:9] == ["15.47", "higher"]
    assert tables[1][3][:4] == ["1–2", "The plain (at chance)", "-20.0", "-40.0 to +0.0"]
    assert r"reason \| with pipe and line" in tables[3][2]


def test_markdown_shows_no_papers_number_beside_a_smoke_run(tmp_path: Path) -> None:
    manifest = manifest_of(region="turkiye15")
    paper = {"table": "I", "row": "tiny", "accuracy": 15.47}
    add_run(tmp_path, manifest, "tiny", 9, tier="smoke", paper=paper)
    text = as_markdown([leaderboard(manifest, tmp_path)])
    assert "15.47" not in text
    assert PAPER_NOTE not in text
    assert "Smoke tests" in text
    add_run(tmp_path, manifest, "tiny", 9, paper=paper, parameters={"k": 1})
    text = as_markdown([leaderboard(manifest, tmp_path)])
    assert "15.47" in text
    assert text.index("Full runs") < text.index(PAPER_NOTE) < text.index("15.47") < text.index("Smoke tests")


def test_a_command_cannot_close_its_fence(tmp_path: Path) -> None:
    manifest = manifest_of()
    add_run(tmp_path, manifest, "a```\n# heading", 9)
    add_run(tmp_path, manifest, "b\n````\nc", 8)
    *_, fence, rest = re.split(r"(?m)^(`{3,})sh$", as_markdown([leaderboard(manifest, tmp_path)]))
    assert fence == "`````"
    assert [line for line in rest.splitlines() if line.startswith(fence)] == [fence]


def test_the_note_is_announced(tmp_path: Path) -> None:
    manifest = manifest_of(note="Read <me>")
    add_run(tmp_path, manifest, "knn", 9)
    board = leaderboard(manifest, tmp_path)
    assert "> **Read &lt;me&gt;**" in as_markdown([board])


@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_csv_runs_no_formula_and_keeps_numbers(tmp_path: Path, start: str) -> None:
    manifest = manifest_of()
    formula = f"{start}cmd|' /C calc'!A0"
    add_run(tmp_path, manifest, "evil", 9, title=formula, device='a "quoted", device')
    add_failure(tmp_path, manifest, formula, formula, seed=2)
    run, failed = csv.DictReader(io.StringIO(as_csv([leaderboard(manifest, tmp_path)])))
    assert run["title"] == failed["method"] == failed["reason"] == f"'{formula}"
    assert run["device"] == 'a "quoted", device'
    assert float(run["accuracy"]) == 0.6
    assert float(run["accuracy_low"]) < 0.6 < float(run["accuracy_high"])
    assert (run["rank_best"], run["rank_worst"], run["status"], run["origin"]) == ("1", "1", "finished", "bench")
    assert (failed["status"], failed["seeds"], failed["accuracy"], failed["rank_best"]) == ("failed", "2", "", "")
    assert run["digest"] == failed["digest"] == manifest.digest


def test_json_holds_every_row_and_no_other_kind_of_value(tmp_path: Path) -> None:
    manifest = manifest_of()
    for seed in (0, 1):
        add_run(tmp_path, manifest, "net", 9 - seed, seed=seed, stochastic=True)
    data = as_json([leaderboard(manifest, tmp_path)])
    assert json.loads(json.dumps(data)) == data
    (row,) = data["rows"]
    assert row["seeds"] == [0, 1]
    assert row["accuracy_low"] <= row["accuracy"] <= row["accuracy_high"]
    assert set(row["per_city"]) == {"bursa", "istanbul", "nevsehir"}
    assert row["parameters"] == {"k": 11}
    assert RANK_NOTE in data["notes"]
    assert PAPER_NOTE not in data["notes"]  # no row has a number of the paper
    assert row["within_25"] is row["geoscore"] is row["median_km_oracle"] is None  # no photo has coordinates


def test_text_for_the_terminal(tmp_path: Path) -> None:
    manifest = manifest_of(region="turkiye15")
    add_run(tmp_path, manifest, "knn", 9, paper={"table": "I", "row": "tiny", "accuracy": 15.47})
    add_run(tmp_path, manifest, "short", 8, tier="smoke")
    add_failure(tmp_path, manifest, "bad", "MemoryError")
    text = as_text([leaderboard(manifest, tmp_path)])
    assert text.startswith("sample 1.0.0: 15 test photos, chance 33.3 %")
    for part in ("Full runs", "60.0", "15.47", "Smoke tests", "53.3", "Failed", "MemoryError"):
        assert part in text
