"""The errors that a user of t15 is meant to see.

A T15Error is one line that says what is wrong, where, and what to do; the front door (t15.py) prints it, and below it what
`add_note` added where several things can be done, and leaves with its exit code.
Every other exception is a defect of t15 and is shown as one.
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class T15Error(Exception):
    """Base of the errors that the front door turns into one line. Raise one of its subclasses."""

    exit_code = 1


class UsageError(T15Error):
    """The command cannot be carried out as given: unknown name, contradicting options, wrong value."""

    exit_code = 2


class DataError(T15Error):
    """Input data is wrong: a damaged manifest, a region file that does not parse, too few photos for a quota."""

    exit_code = 3


class ServiceError(T15Error):
    """A photo service refused: a missing or rejected key, a request that it will never answer."""

    exit_code = 4


class IncompleteError(T15Error):
    """The work stopped before its end but nothing is lost: the same command goes on from here."""

    exit_code = 5


def one_line(text: object, longest: int | None = 200) -> str:
    """Return what an exception, or anybody's text, says on one line: blanks as single spaces, cut after `longest`."""
    return " ".join(str(text).split())[:longest]


def first_few(items: Sequence[object], separator: str = ", ", most: int = 5, longest: int = 80) -> str:
    """Return the first items, each cut after `longest` characters, and how many more there are: `a, b and 7 more`."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return separator.join(str(item)[:longest] for item in items[:most]) + more


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'a' or 'b'?)`` for up to three near-misses of `word`, or an empty string.

    Case is ignored; the similarity is difflib's ratio, at least 0.65.
    """
    by_fold = {name.casefold(): name for name in known}
    close = get_close_matches(word.casefold(), by_fold, n=3, cutoff=0.65)
    if not close:
        return ""
    return f" (did you mean {' or '.join(repr(by_fold[c]) for c in close)}?)"
