"""Progress without a terminal, and notes."""

from collections.abc import Iterator

import pytest

from collector.progress import note, silent, track


def test_progress_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track([3, 1, 2], "reading")) == [3, 1, 2]
    seen = capsys.readouterr()
    assert seen.out == ""
    assert seen.err.startswith("reading: 3/3 in ")


def test_progress_of_an_iterator_is_lazy_and_needs_no_length(capsys: pytest.CaptureFixture[str]) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for n in range(5):
            taken.append(n)
            yield n

    tracked = track(items(), "x")
    assert next(tracked) == 0
    assert taken == [0]
    assert list(tracked) == [1, 2, 3, 4]
    assert capsys.readouterr().err.startswith("x: 5 in ")
    assert list(track([], "nothing", total=0)) == []
    assert capsys.readouterr().err == ""


def test_silent_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(silent("abc", "x")) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")


def test_notes_are_broken_at_words_where_a_person_reads_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "photos/index.csv: 480 rows; columns: file, latitude, longitude, heading, more (`--column city=NAME`)"
    note(text)
    assert capsys.readouterr().err == f"{text}\n"
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    note(text)
    lines = capsys.readouterr().err.splitlines()
    assert max(map(len, lines)) <= 80
    assert "`--column city=NAME`)" in lines[-1]


def test_a_line_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    clock = iter(range(0, 1000, 6))
    assert list(track("abcd", "slow", total=4, clock=lambda: next(clock))) == ["a", "b", "c", "d"]
    assert capsys.readouterr().err.splitlines() == ["slow: 2/4, 12 s", "slow: 4/4, 24 s", "slow: 4/4 in 30.0 s"]
