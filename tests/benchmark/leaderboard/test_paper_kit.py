"""Tables in LaTeX, and figures as files."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmark.leaderboard.drawing import PAPER, PRINTED
from benchmark.leaderboard.exports import as_csv
from benchmark.leaderboard.paper_kit import as_latex, formats_of, write_figures
from benchmark.leaderboard.table import leaderboard
from benchmark.leaderboard.text import as_markdown
from collector.errors import UsageError
from collector.regions import region
from tests.benchmark.leaderboard import CITIES, add_run, manifest_of


def test_a_table_of_booktabs_with_intervals_and_groups(tmp_path: Path) -> None:
    manifest = manifest_of()
    add_run(tmp_path, manifest, "tiny", 9, title="Tiny & 50 % of $x_1$ \\input{/etc/passwd}")
    add_run(tmp_path, manifest, "gist", 12)
    board = leaderboard(manifest, tmp_path)
    text = as_latex([board])
    for part in (
        r"\toprule",
        r"\midrule",
        r"\bottomrule",
        r"\begin{tabular}{rl",
        "80.0 [",
        "60.0 [",
        manifest.digest[:12],
        r"Chance: 33.3 \%. Brackets: 95 \% intervals, of shares for 15 photos.",
    ):
        assert part in text
    assert r"Tiny \& 50 \% of \$x\_1\$ \textbackslash{}input\{/etc/passwd\}" in text
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 3
    assert len({line.count(" & ") for line in rows}) == 1
    assert rows[1].startswith(f"{board.rows[0].rank.replace('–', '--')} & The gist & 80.0 [")
    assert rows[1].endswith(rf"& {board.rows[0].group} \\")


def test_a_row_at_chance_and_signs_that_latex_lacks_are_written(tmp_path: Path) -> None:
    manifest = manifest_of()
    add_run(tmp_path, manifest, "tiny", 5, title="≤ 1 km ±")
    text = as_latex([leaderboard(manifest, tmp_path)])
    assert r"$\leq$ 1 km $\pm$ (at chance)" in text
    assert "≤" not in text


def test_a_caption_does_not_promise_cities_that_are_not_there(tmp_path: Path) -> None:
    whole = region("turkiye15")
    for cities, title, told in (
        (CITIES, whole.title, "sample 1.0.0 (3 cities of turkiye15), 15 test photos"),
        (CITIES, "Three of them", "Three of them 1.0.0 (3 cities of turkiye15)"),
        ([city.slug for city in whole.cities], whole.title, f"{whole.title} 1.0.0 (15 cities)"),
    ):
        manifest = manifest_of(cities, region="turkiye15")
        manifest = replace(manifest, header=replace(manifest.header, title=title))
        add_run(tmp_path / title, manifest, "tiny", 9)
        board = leaderboard(manifest, tmp_path / title)
        assert told in as_latex([board])
        assert f"{len(cities)} cities ({board.region});" in as_markdown([board])


def test_runs_are_named_in_csv(tmp_path: Path) -> None:
    manifest = manifest_of()
    for seed in (0, 1):
        add_run(tmp_path, manifest, "tiny", 9, seed=seed, stochastic=True)
    head, line = as_csv([leaderboard(manifest, tmp_path)]).splitlines()
    (row,) = leaderboard(manifest, tmp_path).rows
    assert dict(zip(head.split(","), line.split(","), strict=False))["seeds"] == "0 1"
    assert " ".join(row.runs) in line


def test_figures_are_files_in_printed_colours_and_always_the_same(tmp_path: Path) -> None:
    manifest = manifest_of()
    add_run(tmp_path / "runs", manifest, "tiny", 9)
    board = leaderboard(manifest, tmp_path / "runs")
    files = write_figures([board], tmp_path / "a", ["svg", "pdf"])
    assert {"accuracies.svg", "accuracies.pdf", "cities.svg", "confusion.pdf"} <= {file.name for file in files}
    shown = next(file for file in files if file.name == "cities.svg").read_text()
    assert "Accuracy by city: The tiny" in shown  # a file names its method
    assert "speed: Accuracy against time. Numbered: methods" in (files[0].parent / "captions.txt").read_text()
    again = write_figures([board], tmp_path / "b", ["svg", "pdf"])
    for file, other in zip(files, again, strict=True):
        data = file.read_bytes()
        assert data == other.read_bytes()
        if file.suffix == ".svg":
            ET.fromstring(data)  # noqa: S314 - matplotlib wrote it a moment ago
            assert not any(stand_in.encode() in data for stand_in in PRINTED)
        else:
            assert data.startswith(b"%PDF")


def test_numbers_of_dark_cells_are_light_on_paper(tmp_path: Path) -> None:
    manifest = manifest_of()
    add_run(tmp_path / "runs", manifest, "sure", 15)
    board = leaderboard(manifest, tmp_path / "runs")
    (file,) = [of for of in write_figures([board], tmp_path, ["svg"]) if of.name == "confusion.svg"]
    root = ET.fromstring(file.read_bytes())  # noqa: S314 - matplotlib wrote it a moment ago
    styles = [of.get("style", "") for of in root.iter("{http://www.w3.org/2000/svg}text") if of.text == "100"]
    assert len(styles) == 3
    assert all(PRINTED[PAPER] in style for style in styles)


@pytest.mark.parametrize("text", ["", "png", "svg,png", ",", "SVG;PDF"])
def test_unknown_formats_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--figures"):
        formats_of(text)


def test_formats_are_read() -> None:
    assert formats_of("svg, PDF,svg") == ["svg", "pdf"]
