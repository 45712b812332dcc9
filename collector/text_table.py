"""Text for people: aligned tables, lengths of time, and characters that a terminal would obey shown as escapes."""

from collections.abc import Iterable, Sequence


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


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return rows as aligned plain text; numbers stand right, everything else left."""
    cells = [[str(c) for c in row] for row in rows]
    numeric = [bool(cells) and all(_is_number(row[i]) for row in cells) for i in range(len(header))]
    widths = [max(len(line[i]) for line in [list(header), *cells]) for i in range(len(header))]

    def line(row: Sequence[str]) -> str:
        padded = (c.rjust(w) if right else c.ljust(w) for c, w, right in zip(row, widths, numeric, strict=True))
        return "  ".join(padded).rstrip()

    return "\n".join([line(header), line(["-" * w for w in widths]), *(line(row) for row in cells)])


def _is_number(text: str) -> bool:
    return text.strip("-+.%0123456789 ") == ""


def duration(seconds: float) -> str:
    """Return a length of time as people say it: `0.4 s`, `38 s`, `12 min`, `2.5 h`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
