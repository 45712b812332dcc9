"""The documentation says what is true: generated pages are up to date, and every command and method is described."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.methods.registry import METHODS
from collector.manifest.manifest import Header
from collector.records import PHOTO_FIELDS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def test_cli_reference_is_what_the_commands_say(tmp_path: Path) -> None:
    before = (DOCS / "cli.md").read_text(encoding="utf-8")
    code = f"import sys; sys.path.insert(0, {str(DOCS)!r}); import generate; print(generate.cli_reference(), end='')"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert made.stdout == before, "run `make docs`"


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_described(name: str) -> None:
    text = (DOCS / "methods.md").read_text(encoding="utf-8")
    plain, at, suffix = name.partition("@")
    assert f"`{plain}`" in text
    assert not at or f"`@{suffix}`" in text


def test_every_column_and_header_field_is_described() -> None:
    text = (DOCS / "manifest-format.md").read_text(encoding="utf-8")
    missing = [name for name in (*PHOTO_FIELDS, *Header.__dataclass_fields__) if f"`{name}`" not in text]
    assert missing == []


def test_every_file_that_the_architecture_names_exists() -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:collector|benchmark)/[a-z_/]+\.(?:py|toml)|t15\.py)`", text))
    assert len(named) > 10
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


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
