"""Tables, escapes, lengths of time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.text_table import counted, csv_safe, duration, in_lines, is_formula, printable, table


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


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_no_csv_cell_is_a_formula(start: str) -> None:
    assert is_formula(f"{start}1+1")
    assert csv_safe(f"{start}1+1") == f"'{start}1+1"


@given(st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.booleans()))
def test_only_formulas_are_changed_and_once(value: object) -> None:
    safe = csv_safe(value)
    assert csv_safe(safe) is safe
    assert (safe is value) != is_formula(value)


def test_a_table_fits_the_width_that_it_is_given() -> None:
    rows = [
        ("finetune-classifier:mobilenet_v2/imagenet", 12, "a long sentence about nothing at all, which goes on"),
        ("b", 3, ""),
    ]
    text = table(("method", "photos", "says"), rows, width=40)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 40
    assert lines[2].startswith("finetune-")
    assert "…" in lines[2]
    assert "12" in lines[2]  # numbers are never cut
    assert table(("method", "photos", "says"), rows, width=400) == table(("method", "photos", "says"), rows)
    assert "…" not in table(("a",), [("x" * 300,)])  # no terminal: everything


@pytest.mark.parametrize(
    ("mark", "shown"),
    [("(at chance)", "(at chance)"), ("(k=5, and so on; 3.0 % withheld; at chance)", "(…; at chance)")],
)
def test_what_is_doubted_of_a_row_is_never_cut(mark: str, shown: str) -> None:
    rows = [("1–3", f"GIST 64×64, logistic regression {mark}", "50.0", "29.0 to 71.0", "fefb5a56")]
    line = table(("rank", "method", "accuracy %", "95 % interval", "run"), rows, width=70).splitlines()[2]
    assert len(line) <= 70
    assert shown in line
    assert "GIST" in line


def test_the_column_that_names_the_rows_is_shortened_last() -> None:
    rows = [("vit_small_patch14/lvd", "Apache-2.0", "https://example.org", "a long remark")]  # of 21 letters and more
    header = ("network", "licence", "from", "remark")
    whole = "vit_small_patch14/lvd  Apache-2.0  https://example.org"
    assert table(header, rows, width=70).splitlines()[2] == f"{whole}  a long remark"
    assert table(header, rows, width=60).splitlines()[2:] == [whole, "(no room for: remark)"]
    assert table(header, rows, width=45).splitlines()[2:] == [
        "vit_small_patch14/lvd  Apache-2.0",
        "(no room for: from, remark)",
    ]
    long = [("x" * 60, "a licence of many words", "")]
    assert table(header[:3], long, width=60).splitlines()[2] == f"{'x' * 21}…{'x' * 10}  a licence of many…"


def test_names_of_files_keep_what_they_end_with() -> None:
    name = "Sunset over the old harbour of the town, seen from the tower (2).jpeg"
    cell = table(("flag", "the worst"), [("dark", name)], width=40).splitlines()[2]
    assert len(cell) <= 40
    assert cell.startswith("dark  Sunset over")
    assert cell.endswith("(2).jpeg")


def test_a_table_too_narrow_for_anything_is_still_a_table() -> None:
    text = table(("first column", "second column"), [("x" * 30, "y" * 30)], width=5)
    assert text.splitlines()[2] == "xxxxx…xx  yyyyy…yy"


def test_long_lines_of_words_are_broken_and_code_and_tables_are_not() -> None:
    said = "a hint of many words, which ends in `t15 split --given TABLE --dry-run` and goes on"
    said += "\nflag  photos  the worst one of all"
    assert in_lines(said, 30).splitlines() == [
        "a hint of many words, which",
        "  ends in",
        "  `t15 split --given TABLE --dry-run`",
        "  and goes on",
        "flag  photos  the worst one of all",
    ]
    assert in_lines("short", 30) == "short"
    assert in_lines("files    one (17 KiB), two (7 KiB), three", 30).splitlines() == [
        "files    one (17 KiB), two (7",
        "         KiB), three",
    ]


@pytest.mark.parametrize(
    ("number", "what", "said"),
    [
        (1, "rows without a file", "1 row without a file"),
        (2, "rows without a file", "2 rows without a file"),
        (1, "test photos", "1 test photo"),
        (1, "test queries", "1 test query"),
        (1, "cities", "1 city"),
        (0, "cities", "0 cities"),
        (12_345, "photos", "12,345 photos"),
    ],
)
def test_things_are_counted_in_the_words_for_their_number(number: int, what: str, said: str) -> None:
    assert counted(number, what) == said
