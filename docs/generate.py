"""Write the generated pages of the documentation, and lead the site's links to pages that lie outside of `docs`.

Run by itself it writes `cli.md`, the pages in `cli/` and the table of columns in `manifest-format.md`; `tests/test_docs.py`
fails where they are not up to date. With `--record [COMMAND...]`
it first runs the examples of the commands and keeps what they print (`record.py`).
mkdocs takes it as a hook: README, CONTRIBUTING and CHANGELOG stay where people look for them, and become pages of the site.
"""

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


OUTPUTS = DOCS / "cli" / "outputs"
"""What the examples printed, as `record.py` keeps it."""


def cli_pages() -> dict[str, str]:
    """Return the reference of commands in Markdown, by path below `docs`: a page that lists them, and one for each."""
    sys.path.insert(0, str(DOCS.parent))
    import typer

    from collector import front_door
    from collector.help_texts import PANELS, dressed, every_command

    # Options with an environment variable show its value as their default where it is set.
    for name in [name for name in os.environ if name.startswith("T15_")]:
        del os.environ[name]
    group = dressed(typer.main.get_command(front_door.app))
    leaves = {name: one for name, one in every_command(group) if not hasattr(one, "commands")}
    pages = {f"cli/{name.replace(' ', '-')}.md": _command_page(name, one) for name, one in leaves.items()}
    index = [_MADE, "# Commands", "A page for each, with an example. `--help` of each says the same in the terminal."]
    for panel, names in PANELS.items():
        of_panel = {leaf: one for leaf, one in leaves.items() if leaf.split()[0] in names}
        if of_panel:
            rows = [
                f"| [`t15 {leaf}`](cli/{leaf.replace(' ', '-')}.md) | {_first(one)} |" for leaf, one in of_panel.items()
            ]
            index += [f"## {panel}", "\n".join(["| command | what it does |", "|---|---|", *rows])]
    return {"cli.md": "\n\n".join(index) + "\n", **pages}


_MADE = "<!-- Made by `make docs` from the commands; do not edit. -->"


def _command_page(name: str, command: Any) -> str:
    from collector.help_texts import EXAMPLES

    parts = [_MADE, f"# t15 {name}", _markdown(command.help)]
    usage = " ".join(of._usage_display_name() for of in command.params if of.param_type_name == "argument")
    parts.append(f"```\nt15 {name} [OPTIONS] {usage}".rstrip() + "\n```")
    recorded = OUTPUTS / f"{name.replace(' ', '-')}.txt"
    if name in EXAMPLES:
        shown = recorded.read_text(encoding="utf-8").rstrip() if recorded.is_file() else f"$ {EXAMPLES[name]}"
        parts += ["## Example", f"```console\n{shown}\n```"]
    panels: dict[str, list[str]] = {}
    for param in command.params:
        panel = "Arguments" if param.param_type_name == "argument" else param.rich_help_panel or "Options"
        panels.setdefault(panel, []).append(f"| {_names(param)} | {_markdown(param.help)} |")
    for panel, rows in sorted(panels.items(), key=lambda one: (one[0] != "Arguments", one[0] == "Common options")):
        parts += [f"## {panel}", "\n".join(["| | |", "|---|---|", *rows])]
    return "\n\n".join(parts) + "\n"


def _names(param: Any) -> str:
    if param.param_type_name == "argument":
        return f"`{param.metavar}`"
    names = " ".join(f"`{name}`" for name in (*param.opts, *param.secondary_opts))
    return f"{names} {param.metavar}".rstrip().replace("|", "\\|")


def _first(command: Any) -> str:
    return _markdown(command.help.split("\n\n")[0])


def _markdown(text: str) -> str:
    line = " ".join(text.split()).replace("|", "\\|")
    return line if "`" in line else re.sub(r"([<>*_])", r"\\\1", line)


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


def on_config(config: "MkDocsConfig") -> "MkDocsConfig":
    """Put the pages of the commands below the one that lists them."""
    pages = [f"cli/{path.name}" for path in sorted((DOCS / "cli").glob("*.md"))]
    for section in config.nav or []:
        for entries in section.values() if isinstance(section, dict) else ():
            for entry in entries if isinstance(entries, list) else ():
                if isinstance(entry, dict) and entry.get("Commands") == "cli.md":
                    entry["Commands"] = [{"All": "cli.md"}, *({page[4:-3].replace("-", " "): page} for page in pages)]
    return config


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
    if "--record" in sys.argv:
        sys.path[:0] = [str(DOCS.parent), str(DOCS)]
        from record import record

        record(sys.argv[sys.argv.index("--record") + 1 :])
    for name, text in cli_pages().items():
        (DOCS / name).parent.mkdir(exist_ok=True)
        (DOCS / name).write_text(text, encoding="utf-8")
    page = DOCS / "manifest-format.md"
    page.write_text(with_columns(page.read_text(encoding="utf-8")), encoding="utf-8")
