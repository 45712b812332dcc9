"""How all pages and documents are made: templates, and Markdown out of text that may be hostile.

In a template an unknown name is an error and every value is escaped; in Markdown names, titles and notes stay text,
whatever they hold.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined


@cache
def environment(package: str, **more: Any) -> Environment:
    """Return the environment of a package's `templates`; the same one each time.

    Args:
        package: such as `collector.review`.
        more: settings of jinja2.Environment. Values are escaped for HTML unless `autoescape` says otherwise.
    """
    settings = {"autoescape": True, "undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    return Environment(loader=PackageLoader(package), keep_trailing_newline=True, **{**settings, **more})  # noqa: S701


class Markdown(str):
    """Text that is Markdown already, and is not escaped again."""

    __slots__ = ()


# What CommonMark and GitHub's dialect take for markup inside a line.
_MARKUP = re.compile(r"([\\`*_{}\[\]|~$#])")
# U+200C and U+200D belong to the spelling of Persian, Hindi and of some emoji; the other format characters reorder or
# hide text ("Trojan Source", CVE-2021-42574).
_KEPT = {"\u200c", "\u200d"}
_DROPPED = {"Cc", "Cf", "Cn", "Co", "Cs"}


def plain(text: str) -> str:
    """Return one line of text: blanks of all kinds are one space, control and direction characters are gone."""
    return "".join(c for c in " ".join(text.split()) if c in _KEPT or unicodedata.category(c) not in _DROPPED)


def escape(text: str) -> Markdown:
    """Return text as Markdown that shows it as it is, inside a line, a heading or a cell of a table."""
    entities = plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # Dialects make links of bare addresses.
    return Markdown(_MARKUP.sub(r"\\\1", entities).replace("://", "&#58;//").replace("www.", "www&#46;"))


def grid(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Markdown:
    """Return a table; numbers stand right and have their thousands marked."""
    cells = [[_cell(value) for value in row] for row in rows]
    numeric = [
        bool(cells) and all(re.fullmatch(r"[\d,.]+(?: %)?", row[i]) for row in cells) for i in range(len(header))
    ]
    rule = ["---:" if right else "---" for right in numeric]
    lines: list[Sequence[str]] = [[escape(name) for name in header], rule, *cells]
    return Markdown("\n".join(f"| {' | '.join(line)} |" for line in lines))


def fenced(text: str, language: str = "") -> Markdown:
    """Return text as a block of code; the fence is longer than any run of backticks inside."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return Markdown(f"{fence}{language}\n{text}\n{fence}")


def fenced_json(value: Mapping[str, Any]) -> Markdown:
    """Return a value as a block of JSON in ASCII."""
    return fenced(json.dumps(value, indent=2, sort_keys=True), "json")


def number(value: float) -> Markdown:
    """Return a number with its thousands marked."""
    return Markdown(f"{value:,.0f}")


def percent(part: float, whole: float = 1.0) -> Markdown:
    """Return a share in per cent, without decimals where it is whole; of nothing it is 0."""
    share = 100 * part / whole if whole else 0.0
    return Markdown(f"{share:.0f} %" if share == round(share) else f"{share:.1f} %")


def link_address(url: str | None) -> str:
    """Return an address that a page may link to, http or https; empty for everything else that a service may name."""
    try:
        parts = urlsplit(url or "")
    except ValueError:  # such as a bracket that is not closed
        return ""
    return url if url and parts.scheme in ("http", "https") and parts.netloc else ""


def code(value: object) -> Markdown:
    """Return one line of text as code; what would end it or its cell of a table is replaced."""
    return Markdown(f"`{plain(str(value)).translate({ord('`'): chr(39), ord('|'): '¦'})}`")


def _cell(value: object) -> str:
    return number(value) if isinstance(value, int) else str(finalize(value))


def finalize(value: object) -> object:
    """Return a value of a template as Markdown."""
    return value if isinstance(value, Markdown) else escape(str(value))
