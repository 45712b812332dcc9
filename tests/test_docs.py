"""The documentation says what is true: generated pages are up to date, and every command and method is described."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.leaderboard.exports import CSV_COLUMNS, as_json
from benchmark.leaderboard.table import leaderboard
from benchmark.methods.registry import METHODS
from collector.manifest.manifest import Header
from collector.manifest.schema import COLUMNS, TYPES
from collector.records import PHOTO_FIELDS
from tests.benchmark.leaderboard import add_run, manifest_of

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def test_cli_reference_is_what_the_commands_say(tmp_path: Path) -> None:
    code = f"""if True:
        import sys; sys.path.insert(0, {str(DOCS)!r}); import generate, json; print(json.dumps(generate.cli_pages()))
    """
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    pages = json.loads(made.stdout)
    for name, text in pages.items():
        assert (DOCS / name).read_text(encoding="utf-8") == text, f"{name}: run `make docs`"
    assert {f"cli/{path.name}" for path in (DOCS / "cli").glob("*.md")} == set(pages) - {"cli.md"}


def test_recorded_examples_are_of_commands_that_there_are() -> None:
    """`python docs/generate.py --record [COMMAND...]` runs them; those that need the network have none."""
    recorded = {path.stem for path in (DOCS / "cli" / "outputs").glob("*.txt")}
    assert recorded <= {path.stem for path in (DOCS / "cli").glob("*.md")}
    for path in (DOCS / "cli" / "outputs").glob("*.txt"):
        first, *rest = path.read_text(encoding="utf-8").splitlines()
        assert first.startswith(f"$ t15 {path.stem.split('-')[0]}"), path.name
        assert rest, path.name


def test_the_table_of_columns_is_what_the_schema_says() -> None:
    before = (DOCS / "manifest-format.md").read_text(encoding="utf-8")
    code = f"import sys; sys.path.insert(0, {str(DOCS)!r}); import generate; print(generate.manifest_columns())"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout in before, "run `make docs`"
    cells = [line.split(" | ") for line in made.stdout.splitlines()[2:]]
    said = [(name.strip("| `"), type_, since, content.removesuffix(" |")) for name, type_, since, content in cells]
    assert said == [
        (column.name, TYPES[column.type], str(column.since), column.description.replace("_", r"\_"))
        for column in COLUMNS
    ]


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_described(name: str) -> None:
    text = (DOCS / "methods.md").read_text(encoding="utf-8")
    plain, at, suffix = name.partition("@")
    form = plain.partition(":")[0] + ":NET"  # of what stands on any network or feature
    assert f"`{plain}`" in text or f"`{form}`" in text
    assert not at or f"`@{suffix}`" in text or f"`{form}@{suffix}`" in text


def test_every_column_and_header_field_is_described() -> None:
    text = (DOCS / "manifest-format.md").read_text(encoding="utf-8")
    missing = [name for name in (*PHOTO_FIELDS, *Header.__dataclass_fields__) if f"`{name}`" not in text]
    assert missing == []


def test_every_file_that_the_architecture_names_exists() -> None:
    """A name without a folder is one of a folder that its row names, or of the two packages."""
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    named = [(row, name) for row in rows for name in re.findall(r"`([a-zA-Z0-9_*./-]+(?:\.(?:py|toml|md)|/))", row)]
    assert len(named) > 100
    missing = []
    for row, name in named:
        folders = {path.rpartition("/")[0] for path in re.findall(r"`((?:collector|benchmark)/[a-z0-9_/]*)", row)}
        if not any(any((ROOT / folder).glob(name)) for folder in ("", "collector", "benchmark", *folders)):
            missing.append((name, row))
    assert missing == []


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", *[f"docs/{p.name}" for p in sorted(DOCS.glob("*.md"))]]
)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    path = ROOT / page
    links = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_make_targets_of_the_readme_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {"demo", "test", "lint", "docs", "clean"} <= targets
    assert set(re.findall(r"make ([a-z]+)", (ROOT / "README.md").read_text(encoding="utf-8"))) <= targets


def first_cells(page: str, heading: str) -> list[list[str]]:
    """Return the names in backticks in the first cell of each row of the tables below a heading, table by table."""
    section = (DOCS / page).read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    tables = re.findall(r"\n\|[^\n]+\|\n\|(?:---\|)+\n((?:\|[^\n]+\|\n)+)", section)
    return [re.findall(r"`([^`]+)`", " ".join(line.split("|")[1] for line in table.splitlines())) for table in tables]


def test_every_column_of_a_leaderboards_files_is_described(tmp_path: Path) -> None:
    columns, more = first_cells("leaderboard.md", "What the files hold")
    assert columns == list(CSV_COLUMNS)
    manifest = manifest_of()
    add_run(tmp_path, manifest, "tiny", 9)
    board = as_json([leaderboard(manifest, tmp_path)])
    of_row = columns[columns.index("section") : columns.index("reason")]
    assert set(board["rows"][0]) == {*of_row, *more}
    text = (DOCS / "leaderboard.md").read_text(encoding="utf-8")
    assert [name for name in board if f"`{name}`" not in text] == []
