"""Exit codes and suggestions."""

import pytest

from collector.errors import (
    DataError,
    IncompleteError,
    ServiceError,
    T15Error,
    UsageError,
    did_you_mean,
    first_few,
    one_line,
)


def test_each_error_has_its_own_exit_code() -> None:
    kinds = (T15Error, UsageError, DataError, ServiceError, IncompleteError)
    assert [kind.exit_code for kind in kinds] == [1, 2, 3, 4, 5]
    assert all(issubclass(kind, T15Error) for kind in kinds)


@pytest.mark.parametrize(
    ("word", "known", "said"),
    [
        ("ankra", ["ankara", "bursa"], " (did you mean 'ankara'?)"),
        ("ANKRA", ["Ankara"], " (did you mean 'Ankara'?)"),
        ("xyz", ["ankara"], ""),
        ("", ["ankara"], ""),
        ("ankara", [], ""),
    ],
)
def test_did_you_mean(word: str, known: list[str], said: str) -> None:
    assert did_you_mean(word, known) == said


def test_at_most_three_suggestions() -> None:
    assert did_you_mean("photo1", [f"photo{n}" for n in range(2, 9)]).count(" or ") == 2


@pytest.mark.parametrize(
    ("text", "longest", "line"),
    [
        ("a\n  b\tc ", 200, "a b c"),
        (ValueError("two\nlines"), 200, "two lines"),
        ("x" * 300, 200, "x" * 200),
        ("x" * 300, None, "x" * 300),
        ("", 200, ""),
    ],
)
def test_one_line(text: object, longest: int | None, line: str) -> None:
    assert one_line(text, longest) == line


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ([], ""),
        (["a"], "a"),
        (list("abcde"), "a, b, c, d, e"),
        (list("abcdefg"), "a, b, c, d, e and 2 more"),
        (["x" * 99], "x" * 80),
    ],
)
def test_first_few(items: list[str], said: str) -> None:
    assert first_few(items) == said
