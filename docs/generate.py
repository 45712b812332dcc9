"""Write the generated pages of the documentation, and lead the site's links to pages that lie outside of `docs`.

Run by itself it writes `cli.md` and the table of columns in `manifest-format.md`; `tests/test_docs.py` fails where they are
not up to date. mkdocs takes it as a hook: README,
CONTRIBUTING and CHANGELOG stay where people look for them, and become pages of the site.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

DOCS = Path(__file__).parent

PROJECT_PAGES = {"README.md": "overview.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Pages beside `docs`, and what they are called in the site."""


COLUMNS_BEGIN, COLUMNS_END = (
    "<!-- columns: made by `make docs` from collector/manifest/schema.py -->",
    "<!-- columns end -->",
)


def cli_reference() -> str:
    """Return the CLI reference in Markdown, made by typer from the commands themselves."""
    command = [sys.executable, "-m", "typer", "collector.front_door", "utils", "docs", "--name", "t15"]
    # Options with an environment variable show its value as their default where it is set.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("T15_")}
    made = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return f"<!-- Made by `make docs` from the commands; do not edit. -->\n\n{made.stdout.strip()}\n"


def manifest_columns() -> str:
    """Return the table of a manifest's columns in Markdown, made from the schema."""
    sys.path.insert(0, str(DOCS.parent))
    from collector.manifest.schema import COLUMN_HEADS, FORMAT, column_rows
    from collector.web.markdown import code, grid

    return grid(COLUMN_HEADS, ((code(name), *rest) for name, *rest in column_rows(FORMAT)))


def with_columns(page: str) -> str:
    """Return the page on the manifest's format with the table of columns in its place, between two comments."""
    before, _, rest = page.partition(COLUMNS_BEGIN)
    _, _, after = rest.partition(COLUMNS_END)
    return f"{before}{COLUMNS_BEGIN}\n\n{manifest_columns()}\n\n{COLUMNS_END}{after}"


def on_files(files: "Files", config: "MkDocsConfig") -> "Files":
    """Add the project's pages to those of the site."""
    from mkdocs.structure.files import File

    for name, page in PROJECT_PAGES.items():
        text = (DOCS.parent / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=moved_into_docs(text)))
    return files


def on_page_markdown(markdown: str, page: "Page", **_: object) -> str:
    """Return a page whose links out of `docs` to the project's pages lead to those of the site."""
    return markdown if page.file.src_uri in PROJECT_PAGES.values() else led_to_project_pages(markdown)


def moved_into_docs(markdown: str) -> str:
    """Return a page that lay beside `docs` with its links as they are inside; a folder's is to its first page."""

    def inside(link: re.Match[str]) -> str:
        target, anchor = link["target"], link["anchor"] or ""
        if (DOCS.parent / target).is_dir():
            target = str(min((DOCS.parent / target).glob("*.md")).relative_to(DOCS.parent))
        return f"]({PROJECT_PAGES.get(target, target.removeprefix('docs/'))}{anchor})"

    return re.sub(r"\]\((?P<target>[\w./-]+)(?P<anchor>#[^)]*)?\)", inside, markdown)


def led_to_project_pages(markdown: str) -> str:
    """Return a page of `docs` whose links to `../README.md` and the like lead to the site's pages; one `../` goes.

    Of links to other files of the repository, which are no part of the site, the text stays, and the path behind it.
    """
    for name, page in PROJECT_PAGES.items():
        markdown = re.sub(rf"\]\(\.\./((?:\.\./)*){re.escape(name)}(?=[)#])", rf"](\g<1>{page}", markdown)
    return re.sub(
        r"\[([^\]]*)\]\((?:\.\./)+((?:benchmark|collector|manifests|tests)/[^)#\s]*)\)", r"\1 (`\2`)", markdown
    )


if __name__ == "__main__":
    (DOCS / "cli.md").write_text(cli_reference(), encoding="utf-8")
    page = DOCS / "manifest-format.md"
    page.write_text(with_columns(page.read_text(encoding="utf-8")), encoding="utf-8")
