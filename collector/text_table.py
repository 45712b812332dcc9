"""Text for people: aligned tables, lengths of time, and characters that a terminal would obey shown as escapes."""

import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import TextIO


def printable(text: str) -> str:
    """Return `text` with control characters shown as escapes: titles and file names may carry terminal commands."""
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)


# A spreadsheet takes a cell that begins so for a formula, some programs also the full-width forms:
# https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def is_formula(value: object) -> bool:
    """Return whether a value is a text that a spreadsheet program would run as a formula."""
    return isinstance(value, str) and value.startswith(_FORMULA)


def csv_safe(value: object) -> object:
    """Return a cell for CSV: a text that a spreadsheet would run gets an apostrophe before it, everything else stays."""
    return f"'{value}" if is_formula(value) else value


def shown_on(stream: TextIO, text: str) -> str:
    """Return text as it is written to a stream: `printable`, and on a terminal with long lines broken at words."""
    said = printable(text)
    return in_lines(said, shutil.get_terminal_size().columns) if stream.isatty() else said


def in_lines(text: str, width: int) -> str:
    """Return text whose lines of words have at most `width` letters; no word, and nothing in backticks, is divided.

    What follows a broken line is indented two blanks deeper than it began. Lines of tables are not for this.
    """
    return "\n".join(_in_lines(line, width) if len(line) > width else line for line in text.split("\n"))


def _in_lines(line: str, width: int) -> str:
    whole = re.sub(r"`[^`]*`", lambda code: code[0].replace(" ", _NO_BREAK), line)
    indent = " " * (len(line) - len(line.lstrip()))
    # Columns of a table stand two blanks apart; a line of these stays as it is, but for a name and what it stands for.
    name, *columns = re.split(" {2,}", whole.strip())
    if len(columns) > 1:
        return line
    at = whole.rindex(columns[0]) if columns else len(indent)
    first, more = (whole[:at], " " * at) if columns else (indent, indent + "  ")
    wrapper = textwrap.TextWrapper(width, first, more, break_long_words=False, break_on_hyphens=False)
    return wrapper.fill(columns[0] if columns else name).replace(_NO_BREAK, " ")


_NO_BREAK = "\ue000"
"""Stands for a blank that no line ends at."""

_NARROWEST = 8
"""Letters that a column keeps whatever the width."""

_READABLE = 20
"""Letters that a column keeps before the last ones are left out for it."""


def table(header: Sequence[str], rows: Iterable[Sequence[object]], width: int | None = None) -> str:
    """Return rows as aligned plain text; numbers stand right, everything else left.

    Texts are shortened in their middle, the longest columns first, until a line has at most `width` letters: by default those
    of the terminal, where standard output is one; files and pipes get everything. The first column, which names the row and
    which people copy, is shortened last: before that the last columns are left out, and a line names them.
    """
    cells = [[str(c) for c in row] for row in rows]
    numeric = [bool(cells) and all(_is_number(row[i]) for row in cells) for i in range(len(header))]
    widths = [max(len(line[i]) for line in [list(header), *cells]) for i in range(len(header))]
    if width is None and sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
    left_out: list[str] = []
    if width is not None:
        kept = _kept(widths, [not number for number in numeric], width)
        left_out, header = list(header[kept:]), header[:kept]
        cells, widths, numeric = [row[:kept] for row in cells], widths[:kept], numeric[:kept]
        widths = _fitted(widths, [not number for number in numeric], width)
        header = [_shortened(text, most) for text, most in zip(header, widths, strict=True)]
        cells = [[_shortened(text, most) for text, most in zip(row, widths, strict=True)] for row in cells]

    def line(row: Sequence[str]) -> str:
        padded = (c.rjust(w) if right else c.ljust(w) for c, w, right in zip(row, widths, numeric, strict=True))
        return "  ".join(padded).rstrip()

    lines = [line(header), line(["-" * w for w in widths]), *(line(row) for row in cells)]
    if left_out:
        lines.append(f"(no room for: {', '.join(left_out)})")
    return "\n".join(lines)


def _kept(widths: Sequence[int], may_shrink: Sequence[bool], width: int) -> int:
    """Return how many columns leave the first one whole, or half of a line, and all readable; two stay whatever the width."""
    least = _least(widths, may_shrink, width)
    return next((n for n in range(len(least), 2, -1) if sum(least[:n]) + 2 * (n - 1) <= width), min(2, len(least)))


def _least(widths: Sequence[int], may_shrink: Sequence[bool], width: int) -> list[int]:
    """Return how many letters make each column readable."""
    readable = [max(width // 2, _NARROWEST), *[_READABLE] * (len(widths) - 1)]
    return [min(w, most) if may else w for w, may, most in zip(widths, may_shrink, readable, strict=True)]


def _fitted(widths: Sequence[int], may_shrink: Sequence[bool], width: int) -> list[int]:
    fitted, least = list(widths), _least(widths, may_shrink, width)
    while sum(fitted) + 2 * (len(fitted) - 1) > width:
        long = [i for i, may in enumerate(may_shrink) if may and fitted[i] > _NARROWEST]
        if not long:
            break
        fitted[max(long, key=lambda i: (fitted[i] > least[i], i > 0, fitted[i]))] -= 1
    return fitted


_MARK = re.compile(r" \((.*; )?([^()]{1,24})\)$")
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{2,5}$")


def _shortened(text: str, most: int) -> str:
    """Return at most `most` letters of a text; the last mark in brackets behind it, such as a doubt of a row, is kept."""
    if len(text) <= most:
        return text
    if mark := _MARK.search(text):
        for kept in (mark[0], f" (…; {mark[2]})"):
            if (room := most - len(kept)) >= _NARROWEST:
                return _shortened(text[: mark.start()], room) + kept
    suffix = _SUFFIX.search(text)
    if not suffix and text.count(" ") > 1 and " " in text[:most]:  # words: whole ones from the beginning
        return f"{text[:most].rpartition(' ')[0].rstrip(',;:')}…"
    behind = (most - 1) // 3  # names begin with what tells them apart more often than they end with it
    if suffix:  # of a file: it stays
        behind = max(0, min(max(behind, len(suffix[0]) + 1), most - 2))
    return f"{text[: most - 1 - behind]}…{text[len(text) - behind :]}"


def _is_number(text: str) -> bool:
    return text.strip("-+.%0123456789 ") == ""


_PLURAL = re.compile(r"(?<=[a-z])(?P<end>ies|s)(?![a-z])")


def counted(number: int, what: str) -> str:
    """Return a number of things in the words for it: `1 row without a file` for `rows without a file`.

    The first word is the plural, or the word before it where that ends otherwise: `1 test photo` for `test photos`.
    """
    if number == 1:
        what = _PLURAL.sub(lambda found: "y" if found["end"] == "ies" else "", what, count=1)
    return f"{number:,} {what}"


def are(number: int) -> str:
    """Return `is` of one and `are` of others."""
    return "is" if number == 1 else "are"


def distance(km: float) -> str:
    """Return a distance in whole kilometres, below one in metres of two digits that count: never as 0 km."""
    return f"{km:,.0f} km" if km >= 1 else f"{float(f'{1000 * km:.2g}'):,.0f} m"


def duration(seconds: float) -> str:
    """Return a length of time as people say it: `0.4 s`, `38 s`, `12 min`, `2.5 h`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
