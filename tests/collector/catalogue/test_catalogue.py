"""What the catalogue remembers, and which files it refuses to touch."""

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.catalogue.catalogue import SCHEMA_VERSION, STATES, Catalogue, Decision, Known, open_catalogue
from collector.errors import DataError, IncompleteError
from collector.records import City, Label, Photo, Region, Unusable
from collector.regions import region
from collector.workspace import Workspace
from tests.conftest import MakePhoto

HOSTILE = "Robert'); DROP TABLE photos;--\0\x1b[2J\n\u202e 東京 👍 İı" + "x" * 10_000


def stored(workspace: Workspace, photos: Iterable[Photo], stamp: str = "stamp") -> list[Photo]:
    with open_catalogue(workspace) as catalogue:
        for photo in photos:
            catalogue.add(photo, stamp)
        return catalogue.downloaded()


def row(photo: Photo) -> Photo:
    """Return the photo as a catalogue keeps it: groups and sides are given later."""
    return replace(photo, group_id=None, split=None)


# --- photos


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"latitude": None, "longitude": None},
        {"latitude": -0.0, "longitude": 179.99999999999997},
        {"latitude": 0.1 + 0.2, "longitude": 5e-324},
        {"taken_at": None},
        {"taken_at": datetime(1826, 1, 1, tzinfo=UTC)},
        {"taken_at": datetime(2019, 5, 1, 12, 30, 59, 1, tzinfo=UTC)},
        {"taken_at": datetime(2019, 5, 1, 12, 30, 59, 999999, tzinfo=UTC)},
        {"author_id": None, "author_name": None, "title": None, "page_url": None, "image_url": None},
        {"author_name": HOSTILE, "title": HOSTILE, "page_url": HOSTILE, "author_id": HOSTILE},
        {"author_name": "", "title": ""},
        {"photo_id": "commons:Dosya:Kız Kulesi 'x' \".jpg", "city": "şehir"},
        {"phash": None, "dhash": None},
        {"bytes": 2**62, "width": 2**31 - 1, "height": 1},
    ],
)
def test_every_field_comes_back(workspace: Workspace, make_photo: MakePhoto, overrides: dict[str, object]) -> None:
    photo = make_photo(1, **overrides)
    (found,) = stored(workspace, [photo])
    assert found == row(photo)
    if photo.taken_at:
        assert found.taken_at is not None
        assert found.taken_at.utcoffset() == timedelta(0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(
    title=st.none() | st.text(st.characters(exclude_categories=["Cs"])),
    latitude=st.none() | st.floats(-90, 90),
    taken_at=st.none() | st.datetimes(datetime(1826, 1, 1), timezones=st.just(UTC)),
)
def test_any_values_come_back(
    workspace: Workspace,
    make_photo: MakePhoto,
    title: str | None,
    latitude: float | None,
    taken_at: datetime | None,
) -> None:
    photo = make_photo(1, title=title, author_name=title, latitude=latitude, longitude=latitude, taken_at=taken_at)
    assert stored(workspace, [photo]) == [row(photo)]


def test_times_of_other_zones_are_the_same_instant(workspace: Workspace, make_photo: MakePhoto) -> None:
    there = datetime(2019, 5, 1, 15, 30, tzinfo=timezone(timedelta(hours=3)))
    (found,) = stored(workspace, [make_photo(1, taken_at=there)])
    assert found.taken_at == there


def test_order_is_by_photo_id(workspace: Workspace, make_photo: MakePhoto) -> None:
    found = stored(workspace, [make_photo(n) for n in (3, 1, 2, 0)])
    assert [photo.photo_id for photo in found] == [f"made:000{n}" for n in range(4)]


def test_the_same_photo_again_replaces_its_row(workspace: Workspace, make_photo: MakePhoto) -> None:
    first, second = make_photo(1), make_photo(1, title="another title", latitude=None, longitude=None)
    assert stored(workspace, [first, second]) == [row(second)]


def test_states(workspace: Workspace, make_photo: MakePhoto) -> None:
    with open_catalogue(workspace) as catalogue:
        assert catalogue.known("made:0001") is None
        catalogue.reject(Unusable("made:0001", "truncated", HOSTILE, "bursa"))
        assert catalogue.known("made:0001") == Known("rejected", "bursa", None, None)
        catalogue.reject(Unusable("made:0002", "no-city", "somewhere"))
        assert catalogue.known("made:0002") == Known("rejected", None, None, None)
        catalogue.reject(Unusable("made:0003", "no-city", "somewhere"))
        assert catalogue.downloaded() == []
        assert catalogue.counts() == {"rejected": 3}
        assert list(catalogue.rejected().items()) == [("no-city", 2), ("truncated", 1)]
        catalogue.add(make_photo(1), "stamp")
        photo = make_photo(1)
        assert catalogue.known("made:0001") == Known("downloaded", "bursa", photo.sha256, photo.bytes, photo.image_url)
        assert catalogue.counts() == {"downloaded": 1, "rejected": 2}
        catalogue.reject(Unusable("made:0001", "unreadable", "gone"))
        assert catalogue.counts() == {"rejected": 3}
        assert catalogue.downloaded() == []


def test_a_state_that_is_none_is_refused(workspace: Workspace) -> None:
    with open_catalogue(workspace), sqlite3.connect(workspace.catalogue) as other:
        for state in STATES:
            other.execute("INSERT INTO photos (photo_id, state) VALUES (?, ?)", (state, state))
        with pytest.raises(sqlite3.IntegrityError):
            other.execute("INSERT INTO photos (photo_id, state) VALUES ('x', 'lost')")
    other.close()


def test_hash_stamps(workspace: Workspace, make_photo: MakePhoto) -> None:
    stored(workspace, [make_photo(1)], "b")
    stored(workspace, [make_photo(2), make_photo(3)], "a")
    with open_catalogue(workspace) as catalogue:
        assert catalogue.hash_stamps() == {"made:0001": "b", "made:0002": "a", "made:0003": "a"}


def test_content_tells_two_catalogues_apart(tmp_path: Path, make_photo: MakePhoto) -> None:
    contents = []
    for name, order in (("a", (1, 2)), ("b", (2, 1)), ("c", (1, 2, 3))):
        workspace = Workspace(tmp_path / name)
        workspace.root.mkdir()
        stored(workspace, [make_photo(n) for n in order])
        with open_catalogue(workspace) as catalogue:
            contents.append(catalogue.content())
    assert contents[0] == contents[1] != contents[2]


# --- decisions


def decision(number: int, verdict: str, group: int | None = None, **evidence: object) -> Decision:
    return Decision(f"made:{number:04d}", verdict, None if group is None else f"made:{group:04d}", evidence)


def clean(catalogue: Catalogue) -> dict[str, str | None]:
    return {photo.photo_id[-1]: photo.group_id for photo in catalogue.clean()}


def test_decisions_are_replaced_by_stage_and_taken_back(workspace: Workspace, make_photo: MakePhoto) -> None:
    with open_catalogue(workspace) as catalogue:
        for n in range(4):
            catalogue.add(make_photo(n), "stamp")
        before = catalogue.content()
        assert clean(catalogue) == {"0": None, "1": None, "2": None, "3": None}
        catalogue.decide("dedup", [decision(0, "keep", 0), decision(1, "duplicate", 0, phash_distance=3)])
        assert clean(catalogue) == {"0": "made:0000", "2": None, "3": None}
        catalogue.decide("review", [decision(3, "reject", why="a map – harita")])
        assert clean(catalogue) == {"0": "made:0000", "2": None}
        assert catalogue.decisions("review") == [decision(3, "reject", why="a map – harita")]
        catalogue.decide("dedup", [decision(2, "conflict", 2)])
        assert clean(catalogue) == {"0": None, "1": None}
        assert [d.verdict for d in catalogue.decisions("dedup")] == ["conflict"]
        catalogue.decide("dedup", [])
        catalogue.decide("review", [])
        assert clean(catalogue) == {"0": None, "1": None, "2": None, "3": None}
        assert catalogue.content() == before


def test_a_failing_decision_keeps_the_earlier_ones(workspace: Workspace) -> None:
    with open_catalogue(workspace) as catalogue:
        catalogue.decide("dedup", [decision(1, "keep")])
        with pytest.raises(ZeroDivisionError):
            catalogue.decide("dedup", (decision(1 // n, "keep") for n in (1, 0)))
        with pytest.raises(sqlite3.IntegrityError):
            catalogue.decide("dedup", [decision(5, "keep"), decision(5, "keep")])
        assert catalogue.decisions("dedup") == [decision(1, "keep")]


def test_a_photo_in_two_stages_is_there_once(workspace: Workspace, make_photo: MakePhoto) -> None:
    with open_catalogue(workspace) as catalogue:
        catalogue.add(make_photo(1), "stamp")
        catalogue.decide("dedup", [decision(1, "keep", 1)])
        catalogue.decide("review", [decision(1, "keep")])
        assert clean(catalogue) == {"1": "made:0001"}
        assert len(catalogue.downloaded()) == 1


def test_a_reviewer_outweighs_the_other_stages(workspace: Workspace, make_photo: MakePhoto) -> None:
    with open_catalogue(workspace) as catalogue:
        for n in range(5):
            catalogue.add(make_photo(n), "stamp")
        catalogue.decide("dedup", [decision(1, "duplicate", 0), decision(2, "conflict", 2), decision(3, "keep", 3)])
        catalogue.decide("labels", [decision(2, "suspect"), decision(4, "suspect")])
        assert clean(catalogue) == {"0": None, "3": "made:0003"}
        assert catalogue.decided_against(but="dedup") == {"made:0002", "made:0004"}
        catalogue.decide("review", [decision(1, "keep"), decision(2, "keep"), decision(3, "wrong-city")])
        assert clean(catalogue) == {"0": None, "1": "made:0000", "2": "made:0002"}
        assert catalogue.decided_against(but="dedup") == {"made:0003", "made:0004"}
        catalogue.decide("review", [])
        assert clean(catalogue) == {"0": None, "3": "made:0003"}


def test_verdicts_about_rejected_photos_do_no_harm(workspace: Workspace) -> None:
    with open_catalogue(workspace) as catalogue:
        catalogue.reject(Unusable("made:0001", "truncated", "x"))
        catalogue.decide("dedup", [decision(1, "keep", 1), decision(9, "keep", 9)])
        assert catalogue.clean() == []


# --- regions


def test_regions_come_back_whole(workspace: Workspace) -> None:
    mine = Region("mine", "Benim şehirlerim", (City("foça", "Foça", 38.67, 26.75, 5, aliases=("Phokaia",)),), "a note")
    with open_catalogue(workspace) as catalogue:
        assert catalogue.regions() == []
        for one in (region("turkiye15"), mine):
            catalogue.remember_region(one)
            catalogue.remember_region(one)
        assert catalogue.regions() == [mine, region("turkiye15")]


def test_the_newest_description_of_a_region_counts(workspace: Workspace) -> None:
    city = City("foca", "Foça", 38.67, 26.75, 5)
    with open_catalogue(workspace) as catalogue:
        catalogue.remember_region(Region("mine", "old", (city, City("van", "Van", 38.5, 43.4, 15))))
        newer = Region("mine", "new", (replace(city, radius_km=9),))
        catalogue.remember_region(newer)
        assert catalogue.regions() == [newer]


def test_a_city_of_one_region_is_not_changed_by_another(workspace: Workspace) -> None:
    """Two regions may each have a city called `van` and mean different places and radii."""
    first = Region("first", "First", (City("van", "Van", 38.5, 43.4, 15),))
    second = Region("second", "Second", (City("van", "Van, British Columbia", 49.28, -123.12, 20),))
    with open_catalogue(workspace) as catalogue:
        catalogue.remember_region(first)
        catalogue.remember_region(second)
        assert catalogue.regions() == [first, second]


# --- the file


def test_it_is_written_ahead(workspace: Workspace) -> None:
    with open_catalogue(workspace):
        other = sqlite3.connect(workspace.catalogue)
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        other.close()
    assert sorted(path.name for path in workspace.root.iterdir()) == ["catalogue.sqlite"]


def test_a_file_of_no_bytes_becomes_a_catalogue(workspace: Workspace, make_photo: MakePhoto) -> None:
    workspace.catalogue.write_bytes(b"")
    assert stored(workspace, [make_photo(1)]) == [row(make_photo(1))]


def untouched(workspace: Workspace, error: type[Exception], says: str) -> None:
    """Check that opening fails, and that the file is as it was, with nothing beside it."""
    before = workspace.catalogue.read_bytes()
    with pytest.raises(error, match=says), open_catalogue(workspace):
        pytest.fail("it was opened")
    assert workspace.catalogue.read_bytes() == before
    assert [path.name for path in workspace.root.iterdir()] == ["catalogue.sqlite"]


def test_a_catalogue_of_version_2_is_brought_up_to_date(workspace: Workspace, make_photo: MakePhoto) -> None:
    """One that t15 made before photos had a heading; the dump is read for ever."""
    old = sqlite3.connect(workspace.catalogue)
    old.executescript((Path(__file__).parents[2] / "data" / "catalogue-2.sql").read_text(encoding="utf-8"))
    old.close()
    with open_catalogue(workspace) as catalogue:
        assert catalogue.photo("made:0001") == make_photo(
            1, group_id=None, split=None, latitude=39.501, longitude=32.501
        )
        assert catalogue.counts() == {"downloaded": 1, "listed": 1, "rejected": 1}
        (region,) = catalogue.regions()
        assert (region.cities[0].aliases, region.cities[0].country, region.labels) == (("Tuşpa",), "", ())
        catalogue.add(make_photo(5, heading=90.0, sequence_id="made:walk", position_accuracy_m=3.5), "stamp 1")
        photo = catalogue.photo("made:0005")
        assert photo
        assert (photo.heading, photo.sequence_id, photo.position_accuracy_m) == (90.0, "made:walk", 3.5)


def test_a_region_keeps_its_labels(workspace: Workspace) -> None:
    label = Label(
        "van/merkez", "Merkez", {"en": "Centre"}, "district", "van", 38.5, 43.4, 3.0, ((1.0, 2.0), (3.0, 4.0))
    )
    city = City("van", "Van", 38.5, 43.4, 15.0, country="TR", names={"en": "Van"})
    region = Region("three", "Three", (city,), labels=(label,))
    with open_catalogue(workspace) as catalogue:
        catalogue.remember_region(region)
        assert catalogue.regions() == [region]


def test_a_catalogue_of_a_newer_version(workspace: Workspace, make_photo: MakePhoto) -> None:
    stored(workspace, [make_photo(1)])
    newer = sqlite3.connect(workspace.catalogue)
    newer.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    newer.close()
    untouched(workspace, DataError, f"schema {SCHEMA_VERSION + 1}, this one knows {SCHEMA_VERSION}.*install that t15")


def test_a_newer_version_with_a_log_that_was_not_merged(workspace: Workspace, make_photo: MakePhoto) -> None:
    stored(workspace, [make_photo(1)])
    newer = sqlite3.connect(workspace.catalogue)
    newer.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    newer.execute("CREATE TABLE more (x)")
    before = workspace.catalogue.read_bytes()
    with pytest.raises(DataError, match="newer t15"), open_catalogue(workspace):
        pytest.fail("it was opened")
    assert workspace.catalogue.read_bytes() == before
    newer.close()


def test_an_sqlite_file_of_something_else(workspace: Workspace) -> None:
    other = sqlite3.connect(workspace.catalogue)
    other.execute("CREATE TABLE photos (x)")
    other.commit()
    other.close()
    untouched(workspace, DataError, "is an SQLite file, but no catalogue of t15")


@pytest.mark.parametrize("content", [b"garbage", b"garbage" * 5000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_garbage(workspace: Workspace, content: bytes) -> None:
    workspace.catalogue.write_bytes(content)
    untouched(workspace, DataError, "is damaged or no catalogue.*move it away")


def test_a_catalogue_that_was_cut_off(workspace: Workspace, make_photo: MakePhoto) -> None:
    stored(workspace, [make_photo(n) for n in range(300)])
    data = workspace.catalogue.read_bytes()
    workspace.catalogue.write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match="is damaged"), open_catalogue(workspace) as catalogue:
        catalogue.content()


def test_a_catalogue_whose_text_is_no_text(workspace: Workspace, make_photo: MakePhoto) -> None:
    stored(workspace, [make_photo(1)])
    other = sqlite3.connect(workspace.catalogue)
    other.execute("UPDATE photos SET title = CAST(x'ff' AS TEXT)")
    other.commit()
    other.close()
    with pytest.raises(DataError, match="is damaged"), open_catalogue(workspace) as catalogue:
        catalogue.downloaded()


def test_a_catalogue_without_its_tables(workspace: Workspace) -> None:
    with open_catalogue(workspace):
        pass
    other = sqlite3.connect(workspace.catalogue)
    other.execute("DROP TABLE photos")
    other.commit()
    other.close()
    with pytest.raises(DataError, match="is damaged"), open_catalogue(workspace) as catalogue:
        catalogue.downloaded()


def test_a_folder_in_its_place(workspace: Workspace) -> None:
    workspace.catalogue.mkdir()
    with pytest.raises(DataError, match=r"catalogue\.sqlite"), open_catalogue(workspace):
        pytest.fail("it was opened")


def test_another_process_that_writes(
    workspace: Workspace, make_photo: MakePhoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_catalogue(workspace):
        pass
    connect = sqlite3.connect

    def impatient(database: str | Path, *, timeout: float, uri: bool = False) -> sqlite3.Connection:
        return connect(database, timeout=0.05, uri=uri)

    other = connect(workspace.catalogue, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr("collector.catalogue.catalogue.sqlite3.connect", impatient)
    with pytest.raises(IncompleteError, match="in use by another process"), open_catalogue(workspace) as catalogue:
        catalogue.add(make_photo(1), "stamp")
    other.close()


def test_what_went_wrong_inside_is_not_blamed_on_the_file(workspace: Workspace, make_photo: MakePhoto) -> None:
    with pytest.raises(Exception, match=r".") as raised, open_catalogue(workspace) as catalogue:
        catalogue.add(make_photo(1, title={"no": "text"}), "stamp")
    assert not isinstance(raised.value, DataError)  # a defect of the caller: the catalogue is sound
    assert stored(workspace, []) == []


def test_evidence_is_kept_as_json(workspace: Workspace) -> None:
    with open_catalogue(workspace) as catalogue:
        catalogue.decide("dedup", [decision(1, "keep", None, radius=8, same_bytes=True, note="çok")])
    other = sqlite3.connect(workspace.catalogue)
    (evidence,) = other.execute("SELECT evidence FROM decisions").fetchone()
    other.close()
    assert json.loads(evidence) == {"radius": 8, "same_bytes": True, "note": "çok"}


REFUSALS_OF_OLD = [
    ("flickr:1", "refused", "a title: http-403: live.staticflickr.com/1.jpg", True),
    ("flickr:2", "refused", "a title: http-451: live.staticflickr.com/2.jpg", False),
    ("flickr:3", "gone", "a title: http-404: live.staticflickr.com/3.jpg", False),
    ("mapillary:4", "http-400", "mapillary:4: http-400", True),
    ("commons:5", "http-304", "5: http-304: upload.wikimedia.org/5.jpg", True),
    ("panoramax:6", "forbidden-host", "6: forbidden-host: https://login.example: not among the hosts", True),
    ("panoramax:7", "unreadable", "7: is no picture in one of JPEG, PNG", True),
    ("panoramax:8", "unreadable", "8: broken data stream", False),
    ("panoramax:9", "placeholder", "9: the service sent a picture that says there is none", False),
    ("folder:10", "unreadable", "10.jpg: is no picture in one of JPEG, PNG", False),
    ("commons:11", "noai", "11: noai", False),
]


def test_refusals_that_may_have_passed_are_asked_again(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_catalogue(workspace) as catalogue:
        for photo_id, reason, detail, _ in REFUSALS_OF_OLD:
            catalogue.list_photo(Photo(photo_id, "izmir", title="kept"))
            catalogue.reject(Unusable(photo_id, reason, detail, "izmir"), attempts=1)
        catalogue.reject(Unusable("commons:12", "http-400", "by its listing", "izmir"))
    with closing(sqlite3.connect(workspace.catalogue)) as database:
        database.execute("PRAGMA user_version = 3")
    for _ in range(2):
        with open_catalogue(workspace) as catalogue:
            found = {photo_id: catalogue.outcome(photo_id) for photo_id, *_ in REFUSALS_OF_OLD}
            assert {i for i, outcome in found.items() if outcome and outcome[0] == "failed"} == {
                photo_id for photo_id, _, _, is_open in REFUSALS_OF_OLD if is_open
            }
            assert (catalogue.outcome("commons:12") or ("",))[0] == "rejected"
            [waiting] = [one for one in catalogue.listing("izmir", "mapillary")]
            assert (waiting.attempts, waiting.next_try, waiting.photo.title) == (0, None, "kept")
    said = capsys.readouterr().err
    assert "5 photos were given up after a refusal that may have passed" in said
    assert "(forbidden-host 1, http-304 1, http-400 1, refused 1, unreadable 1)" in said
    assert said.count("asks for them again") == 1


def test_decisions_a_block_at_a_time_while_they_change(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.catalogue.catalogue._BLOCK", 2)
    made = [decision(n, "keep") for n in range(5)]
    with open_catalogue(workspace) as catalogue:
        assert list(catalogue.each_decision("quality")) == []
        catalogue.decide("quality", made)
        catalogue.decide("dedup", made[:1])
        seen = []
        for one in catalogue.each_decision("quality"):
            seen.append(one)
            catalogue.retract("quality", [one.photo_id])
        assert seen == made
        assert (catalogue.decisions("quality"), catalogue.decisions("dedup")) == ([], made[:1])
