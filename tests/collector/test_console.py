"""Tables, escapes, lengths of time, progress without a terminal, JSON."""

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.console import duration, note, printable, show, silent, table, track


def test_table_aligns_numbers_right_and_text_left() -> None:
    shown = table(("city", "photos", "share"), [("ankara", 7, "3.5%"), ("van", 1234, "96.5%")])
    assert shown.split("\n") == [
        "city    photos  share",
        "------  ------  -----",
        "ankara       7   3.5%",
        "van       1234  96.5%",
    ]


def test_table_with_mixed_columns_is_left_aligned() -> None:
    assert table(("n", "x"), [("1", "a"), ("-", "")]).split("\n")[2:] == ["1  a", "-"]
    assert table(("a", "b"), [("x", 1), ("y", "–")]).split("\n")[2:] == ["x  1", "y  –"]


def test_table_without_rows_is_its_header() -> None:
    assert table(("city", "photos"), []) == "city  photos\n----  ------"


@given(st.lists(st.tuples(st.text("abçİ ", max_size=9), st.integers(-999, 99999)), max_size=6))
def test_columns_start_and_end_together(rows: list[tuple[str, int]]) -> None:
    lines = table(("name", "n"), rows).split("\n")
    assert len(lines) == len(rows) + 2
    width = len(lines[1])
    if rows:
        assert {len(line) for line in lines[2:]} == {width}  # the last column is of numbers, right-aligned


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("İstanbul – 東京 👍", "İstanbul – 東京 👍"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b[2Jcleared", "\\x1b[2Jcleared"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("over\rwritten\x00", "over\\rwritten\\x00"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\ud800half", "\\ud800half"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_printable_leaves_nothing_for_the_terminal_to_obey(text: str) -> None:
    shown = printable(text)
    assert all(c.isprintable() or c in "\n\t" for c in shown)
    assert printable(shown) == shown
    shown.encode()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0.0 s"),
        (0.44, "0.4 s"),
        (38.2, "38 s"),
        (99.4, "99 s"),
        (720, "12 min"),
        (5999, "100 min"),
        (9000, "2.5 h"),
    ],
)
def test_duration(seconds: float, said: str) -> None:
    assert duration(seconds) == said


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
    assert capsys.readouterr().err.startswith("nothing: 0/0 in ")


def test_silent_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(silent("abc", "x")) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")


def test_a_line_every_ten_seconds(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 6))
    monkeypatch.setattr("collector.console.time.monotonic", lambda: next(clock))
    assert list(track("abcd", "slow", total=4)) == ["a", "b", "c", "d"]
    assert capsys.readouterr().err.splitlines() == ["slow: 2/4, 12 s", "slow: 4/4, 24 s", "slow: 4/4 in 30.0 s"]


def test_show_as_json_is_valid_and_readable(capsys: pytest.CaptureFixture[str]) -> None:
    result = {"city": "Şanlıurfa", "title": "a\nb\x1b[2J\u2028", "photos": [1, 2.5, None, True]}
    show(result, True, lambda: pytest.fail("the text is not wanted"))
    out = capsys.readouterr().out
    assert json.loads(out) == result
    assert "Şanlıurfa" in out
    assert "\x1b" not in out


def test_show_as_text_goes_to_stdout_and_notes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    show({}, False, lambda: "Muş\x1b[31m")
    note("look\x1b[31m")
    assert capsys.readouterr() == ("Muş\\x1b[31m\n", "look\\x1b[31m\n")
