"""Filters, their order and their pages; groups with distances."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from collector.catalogue.catalogue import Decision, open_catalogue
from collector.review import decisions, listing
from collector.review import pages as card_file
from collector.review.decisions import decide, undo
from collector.review.listing import Keys, Place, cities, group_keys, keys, page_of
from collector.review.pages import cards_of, groups_of
from collector.workspace import Workspace

AT = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def db(shelf: Workspace) -> Iterator[sqlite3.Connection]:
    with decisions.opened(shelf) as connection:
        yield connection


def ids(found: Keys) -> list[str]:
    return [photo_id[-1] for _, photo_id in found]


def test_cities(db: sqlite3.Connection) -> None:
    decide(db, "made:0000", "keep", "Ayşe", AT)
    assert [(row.city, row.photos, row.decided, row.left_out) for row in cities(db)] == [
        ("ankara", 3, 1, 1),
        ("bursa", 3, 0, 1),
        ("van", 3, 0, 1),
    ]


def test_filters(db: sqlite3.Connection) -> None:
    decide(db, "made:0000", "keep", "Ayşe", AT)
    decide(db, "made:0003", "reject", "Ayşe", AT)
    shown = {name: ids(keys(db, "ankara", name)) for name in listing.FILTERS}
    assert shown == {
        "all": ["0", "3", "6"],
        "undecided": ["6"],
        "keep": ["0"],
        "reject": ["3"],
        "wrong-city": [],
        "disputed": [],
        "left-out": ["3"],
    }
    assert listing.counts(db, "ankara") == {name: len(found) for name, found in shown.items()}
    with pytest.raises(KeyError):
        keys(db, "ankara", "x' OR 1 --")


def test_reviewers_disagree_when_their_last_words_differ(db: sqlite3.Connection) -> None:
    decide(db, "made:0000", "keep", "Ayşe", AT)
    decide(db, "made:0000", "reject", "Ayşe", AT)
    assert ids(keys(db, "ankara", "disputed")) == []
    decide(db, "made:0000", "keep", "Bora", AT)
    assert ids(keys(db, "ankara", "disputed")) == ["0"]
    undo(db, "Ayşe", AT)
    assert ids(keys(db, "ankara", "disputed")) == []


def test_a_filter_for_each_flag_by_score(shelf: Workspace, db: sqlite3.Connection) -> None:
    offered = {choice.name: choice.photos for choice in listing.choices(db, "ankara")}
    # 3 has a NaN among its scores: no JSON for SQLite, but read again as it was written.
    assert {name: n for name, n in offered.items() if name.startswith("flag:")} == {"flag:blurred": 1}
    with open_catalogue(shelf) as catalogue:
        scores: dict[int, dict[str, float]] = {
            0: {"blurred": 0.4, "s\"k'y:": 1},
            3: {"blurred": 0.9, "radius": 8, "yes": True},
            6: {"blurred": 0},
        }
        catalogue.decide("quality", [Decision(f"made:000{n}", "keep", None, said) for n, said in scores.items()])
        catalogue.decide("labels", [Decision("made:0006", "suspect", None, {"blurred": 0.5, "elsewhere": 0.7})])
    offered = {choice.name: choice.photos for choice in listing.choices(db, "ankara")}
    flags = {name: n for name, n in offered.items() if name.startswith("flag:")}
    assert flags == {"flag:blurred": 3, "flag:elsewhere": 1, "flag:s\"k'y:": 1}
    assert ids(keys(db, "ankara", "flag:blurred")) == ["3", "6", "0"]
    assert ids(keys(db, "ankara", "flag:s\"k'y:")) == ["0"]
    assert ids(keys(db, "ankara", "flag:nothing")) == []
    (card,) = cards_of(db, ["made:0006"])
    assert card.flags == (("elsewhere", 0.7), ("blurred", 0.5))
    assert card.objections == (("labels", "suspect"),)


def listed(*numbers: int) -> Keys:
    return [(0.0, f"{n:02}") for n in numbers]


def test_pages_lose_nothing_while_the_list_shrinks() -> None:
    """What is decided on a page leaves `undecided`; the next page begins after it all the same."""
    first = page_of(listed(*range(10)), Place(), 4)
    assert (first.ids, first.first, first.total, first.has_next) == (("00", "01", "02", "03"), 0, 10, True)
    rest = listed(*range(4, 10))  # all four were decided
    second = page_of(rest, Place(after="03", at=4), 4)
    assert (second.ids, second.has_next) == (("04", "05", "06", "07"), True)
    assert page_of(rest, Place(before="04"), 4).ids == ("04", "05", "06", "07")
    assert page_of(listed(1, 3, 9), Place(after="02"), 4).ids == ("03", "09")
    assert page_of(listed(*range(10)), Place(before="06"), 4).ids == ("02", "03", "04", "05")
    assert page_of(listed(*range(10)), Place(before="02"), 4).ids == ("00", "01", "02", "03")


def test_pages_at_the_ends() -> None:
    ten = listed(*range(10))
    assert page_of(ten, Place(at=10), 4).ids == ("06", "07", "08", "09")
    assert page_of(ten, Place(at=10**9), 4).first == 6
    assert page_of(ten, Place(after="99"), 4).ids == ("06", "07", "08", "09")
    assert page_of([], Place(after="x", at=7), 4).ids == ()
    assert not page_of(listed(1), Place(), 4).has_next


def test_pages_of_a_list_by_score() -> None:
    by_score = [(-0.9, "b"), (-0.9, "c"), (-0.5, "a"), (-0.1, "d")]
    assert page_of(by_score, Place(after="c", at=99), 2).ids == ("a", "d")
    assert page_of(by_score, Place(before="a"), 2).ids == ("b", "c")
    assert page_of(by_score, Place(after="gone", at=2), 2).ids == ("a", "d")


def test_cards_are_in_order_and_of_photos_that_are_there(db: sqlite3.Connection) -> None:
    decide(db, "made:0004", "wrong-city", "Ayşe", AT, "van")
    found = cards_of(db, ["made:0004", "made:9999", "made:0000", "made:0004"])
    assert [card.photo["photo_id"] for card in found] == ["made:0004", "made:0000"]
    first = found[0]
    assert (first.verdict, first.right_city, first.reviewer) == ("wrong-city", "van", "Ayşe")
    assert first.objections == (("dedup", "duplicate"),)
    assert [entry.reviewer for entry in first.history] == ["Ayşe"]
    assert (found[1].verdict, found[1].objections) == (None, ())


def test_groups_stand_side_by_side_with_their_distances(db: sqlite3.Connection) -> None:
    assert [key for _, key in group_keys(db, "duplicate", None)] == ["made:0001"]
    assert [key for _, key in group_keys(db, "conflict", None)] == ["made:0002"]
    assert group_keys(db, "duplicate", "van") == []
    for city in ("ankara", "van"):
        assert [key for _, key in group_keys(db, "conflict", city)] == ["made:0002"]
    near, conflict = groups_of(db, ["made:0001", "made:0002"])
    assert [(card.photo["photo_id"], card.distances) for card in near.cards] == [
        ("made:0001", ""),
        ("made:0004", "pHash 3, dHash 5"),
    ]
    assert [(card.photo["city"], card.distances) for card in conflict.cards] == [("van", ""), ("ankara", "same bytes")]


def test_members_of_a_group_are_sorted_and_cut(
    shelf: Workspace, db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(card_file, "LARGEST_GROUP", 3)
    closer = {"closer_look": {"share": 0.91}, "mirrored": True}
    members: dict[int, dict[str, object]] = {
        1: {},
        4: {"phash_distance": 9},
        0: {"phash_distance": 2, **closer},
        3: {"same_bytes": True},
        6: {},
    }
    with open_catalogue(shelf) as catalogue:
        catalogue.decide(
            "dedup", [Decision(f"made:000{n}", "duplicate", "made:0001", said) for n, said in members.items()]
        )
    (group,) = groups_of(db, ["made:0001"])
    assert [(card.photo["photo_id"][-1], card.distances) for card in group.cards] == [
        ("1", ""),
        ("3", "same bytes"),
        ("0", "pHash 2, 91% alike, mirrored"),
    ]
    assert group.more == 2


@pytest.mark.parametrize("evidence", ["", "[1]", "nothing", "[" * 100_000, '{"blurred": "0.5"}'])
def test_evidence_that_nobody_here_wrote(shelf: Workspace, db: sqlite3.Connection, evidence: str) -> None:
    db.execute("UPDATE decisions SET evidence = ?", (evidence,))
    db.commit()
    assert [card.flags for card in cards_of(db, ["made:0000", "made:0003"])] == [(), ()]
    assert len(groups_of(db, ["made:0001"])[0].cards) == 2
    assert [choice for choice in listing.choices(db, "ankara") if choice.name.startswith("flag:")] == []


def test_what_is_said_of_copies_beyond_hashes() -> None:
    from collector.review.pages import distances_text

    deep = {"cosine": 0.912, "quarter_turns": 1, "aligned": {"inliers": 88}}
    assert distances_text({"phash_distance": 30, "deep": deep}) == (
        "pHash 30, vectors 0.91, turned by 90°, 88 features laid over each other"
    )
    assert distances_text({"deep": {"cosine": "<b>", "quarter_turns": None, "aligned": 3}}) == ""
    assert distances_text({"deep": "<script>"}) == ""
