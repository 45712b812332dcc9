"""The pages say what the catalogue says, whatever it holds; decisions reach it at once."""

import http.client
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest

from collector.catalogue.catalogue import Decision, open_catalogue
from collector.errors import DataError, UsageError
from collector.records import Photo
from collector.review import decisions
from collector.review.app import review, serving
from collector.workspace import Workspace
from tests.collector.review.conftest import CLOCK, HOSTILE, HOSTILE_ID, Reviewer, reviewing
from tests.conftest import MakePhoto


@pytest.fixture(scope="module")
def looking(filled: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reviewer]:
    """Return a reviewer who only looks."""
    root = tmp_path_factory.mktemp("looking") / "workspace"
    shutil.copytree(filled.root, root)
    with reviewing(Workspace(root)) as reviewer:
        yield reviewer


class Page(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, name: str) -> list[str]:
        return [str(attributes[name]) for _, attributes in self.tags if name in attributes]


def stage(workspace: Workspace) -> dict[str, Decision]:
    with open_catalogue(workspace) as catalogue:
        return {decision.photo_id: decision for decision in catalogue.decisions("review")}


# --- pages


def test_the_overview(looking: Reviewer) -> None:
    text = Page(looking.page("/")).text
    for name in ("Ankara", "Bursa", "Van", "0 of 9 decided", "Ayşe"):
        assert name in text


def test_photos_of_a_city(looking: Reviewer) -> None:
    page = Page(looking.page("/photos", city="ankara"))
    assert page.values("data-id") == ["made:0000", "made:0003", "made:0006"]
    assert page.values("data-filter")[-1] == "flag:blurred"
    assert "conflict" in page.text
    assert "blurred 0.90" in page.text


def test_photos_and_flags_of_all_cities(shelf: Workspace) -> None:
    with open_catalogue(shelf) as catalogue:
        catalogue.decide("quality", [Decision(f"made:000{n}", "keep", None, {"dark": n / 10}) for n in (3, 1, 6)])
    with reviewing(shelf) as reviewer:
        page = Page(reviewer.page("/photos"))
        assert len(page.values("data-id")) == 9
        assert "flag:dark" in page.values("data-filter")
        assert {"Ankara", "Bursa", "Van"} <= {name for name in ("Ankara", "Bursa", "Van") if name in page.text}
        page = Page(reviewer.page("/photos", filter="flag:dark"))
        assert page.values("data-id") == ["made:0006", "made:0003", "made:0001"]
        assert "flag:dark" in page.values("value")  # another city keeps the filter


def test_the_next_city_with_work(shelf: Workspace) -> None:
    with reviewing(shelf) as reviewer:
        assert "city=bursa&filter=undecided" in reviewer.page("/photos", city="ankara").replace("&amp;", "&")
        assert "city=ankara&filter=undecided" in reviewer.page("/photos", city="van").replace("&amp;", "&")
        for photo_id in ("made:0000", "made:0003", "made:0006"):
            reviewer.decide(photo_id, "keep")
        assert "city=bursa&filter=undecided" in reviewer.page("/photos", city="van").replace("&amp;", "&")
        done = Page(reviewer.page("/photos", city="ankara", filter="undecided")).text
        assert "Everything of this city is decided." in done
        assert "Next city with work: Bursa, 3 to do" in done


def test_a_flag_is_sorted_by_its_score(shelf: Workspace) -> None:
    with open_catalogue(shelf) as catalogue:
        catalogue.decide("quality", [Decision(f"made:000{n}", "keep", None, {"blurred": n / 10}) for n in (3, 0, 6)])
    with reviewing(shelf) as reviewer:
        page = Page(reviewer.page("/photos", city="ankara", filter="flag:blurred"))
    assert page.values("data-id") == ["made:0006", "made:0003"]


def test_each_flag_has_its_evidence_and_hostile_evidence_is_text(shelf: Workspace) -> None:
    line = {"text": HOSTILE, "score": 0.9, "box": [0.1, 0.2, 0.5, 0.4]}
    read = {"lines": [line], "language": HOSTILE[:60], "why": {"name-in-picture": {"found": [HOSTILE], "lines": [0]}}}
    thinks = {"thinks": HOSTILE_ID, "why": {"wrong-label": {"thinks": "van (0.90)", "vectors": HOSTILE}}}
    beside = {"why": {"name-in-metadata": {"exif:artist": HOSTILE}}}
    with open_catalogue(shelf) as catalogue:
        for stage, flag, evidence in (
            ("text", "name-in-picture", read),
            ("metadata", "name-in-metadata", beside),
            ("label-errors", "wrong-label", thinks),
        ):
            catalogue.decide(stage, [Decision("made:0001", "keep", None, {flag: 0.9, **evidence})])
    with reviewing(shelf) as reviewer:
        text = reviewer.page("/photos", city="bursa", filter="flag:wrong-label")
    page = Page(text)
    assert page.values("data-id") == ["made:0001"]
    for shown in (
        "name-in-picture: ",
        "name-in-metadata: exif:artist: ",
        "wrong-label: thinks: van (0.90)",
        "Language",
    ):
        assert shown in page.text
    assert [of.get("class") for tag, of in page.tags if tag == "rect"] == ["flagged"]
    assert "<script>document" not in text
    assert "49" not in page.text


def test_hostile_text_is_text(looking: Reviewer) -> None:
    pages = [
        looking.page("/photos", city="bursa"),
        looking.page("/map", city="bursa"),
        looking.page("/photos", 404, city=HOSTILE),
        looking.page("/photos", 404, city="bursa", filter=HOSTILE),
        looking.page("/photos", city="bursa", filter=f"flag:{HOSTILE}"),
        looking.page("/photos", city="bursa", after=HOSTILE, at="9" * 5000),
        looking.page("/groups", 404, kind=HOSTILE),
        looking.page("/map", city="bursa", spot=HOSTILE),
    ]
    for text in pages:
        page = Page(text)
        scripts = [attributes for tag, attributes in page.tags if tag == "script"]
        assert all(attributes.get("src") == "/static/review.js" for attributes in scripts)
        assert not [
            name for _, attributes in page.tags for name in attributes if name.startswith("on") or name == "style"
        ]
        assert not [
            link for link in page.values("href") + page.values("src") if not link.startswith(("/", "#", "https://"))
        ]
    shown = Page(pages[0])
    assert HOSTILE_ID in shown.values("data-id")
    assert HOSTILE in shown.text
    assert "49" not in shown.text
    assert "javascript:1" in shown.text


def test_pages_go_forth_and_back(shelf: Workspace, make_photo: MakePhoto) -> None:
    with open_catalogue(shelf) as catalogue:
        for n in range(100, 300):
            catalogue.add(make_photo(n, photo_id=f"made:x &{n}", city="van"), "stamp")
    with reviewing(shelf) as reviewer:
        seen, address = [], "/photos?city=van"
        while True:
            page = Page(reviewer.get(reviewer.base + address).text)
            seen.append(page.values("data-id"))
            links = {a.get("rel"): a.get("href") for tag, a in page.tags if tag == "a" and a.get("rel")}
            if "next" not in links:
                break
            address = str(links["next"])
        assert [len(ids) for ids in seen] == [60, 60, 60, 23]
        assert len({photo_id for ids in seen for photo_id in ids}) == 203
        assert "181 to 203 of 203" in page.text
        back = Page(reviewer.get(reviewer.base + str(links["prev"])).text)
        assert back.values("data-id") == seen[2]


def test_groups(looking: Reviewer) -> None:
    page = Page(looking.page("/groups", kind="duplicates"))
    assert page.values("data-id") == ["made:0001", "made:0004"]
    assert "pHash 3, dHash 5" in page.text
    page = Page(looking.page("/groups", kind="conflicts", city="ankara"))
    assert page.values("data-id") == ["made:0002", "made:0003"]
    assert [row for row in ("Van", "Ankara") if row in page.text] == ["Van", "Ankara"]
    assert "None in this city" in looking.page("/groups", kind="duplicates", city="van")


def test_the_map(looking: Reviewer) -> None:
    page = Page(looking.page("/map", city="ankara"))
    spots = [str(a["href"]) for tag, a in page.tags if tag == "a" and "spot=" in str(a.get("href"))]
    assert len(spots) == 1  # two photos, 300 metres apart
    assert "1 without coordinates" in page.text
    chosen = Page(looking.get(looking.base + spots[0].partition("#")[0]).text)
    assert chosen.values("data-id") == ["made:0000", "made:0003"]
    assert "true" in chosen.values("aria-current")


def test_the_map_zooms_and_says_where_there_is_none(shelf: Workspace, make_photo: MakePhoto) -> None:
    with open_catalogue(shelf) as catalogue:
        catalogue.add(make_photo(91, city="izmir", latitude=None, longitude=None), "stamp")
    with reviewing(shelf) as reviewer:
        page = reviewer.page("/map", city="ankara", zoom="2")
        assert "zoom=3" in page
        assert "zoom=1" in page
        assert "zoom-in" not in reviewer.page("/map", city="ankara", zoom="99")
        assert "zoom-out" not in reviewer.page("/map", city="ankara", zoom="x")
        empty = reviewer.page("/map", city="izmir")
        assert "No photo of" in Page(empty).text
        assert "<svg" not in empty


def test_a_city_that_no_region_knows(shelf: Workspace, make_photo: MakePhoto) -> None:
    with open_catalogue(shelf) as catalogue:
        catalogue.add(make_photo(90, city=HOSTILE), "stamp")
    with reviewing(shelf) as reviewer:
        for path in ("/photos", "/groups", "/map"):
            assert HOSTILE in Page(reviewer.page(path, city=HOSTILE)).text


def test_an_empty_catalogue(workspace: Workspace) -> None:
    with open_catalogue(workspace):
        pass
    with reviewing(workspace) as reviewer:
        assert "t15 collect" in reviewer.page("/")
        assert "t15 dedup" in reviewer.page("/groups")
        assert reviewer.undo() == {"photo": None, "undone": None}


# --- pictures


@pytest.mark.parametrize("path", ["/thumbnail", "/picture"])
def test_pictures(looking: Reviewer, path: str) -> None:
    answer = looking.get(looking.base + path, params={"id": HOSTILE_ID})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/jpeg")
    again = looking.get(
        looking.base + path, params={"id": HOSTILE_ID}, headers={"If-None-Match": answer.headers["ETag"]}
    )
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(("photo_id", "reason"), [("made:0008", "missing"), ("made:0005", "damaged")])
def test_a_placeholder_with_the_reason(looking: Reviewer, photo_id: str, reason: str) -> None:
    answer = looking.get(looking.base + "/thumbnail", params={"id": photo_id})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/svg+xml")
    assert reason in answer.text


def test_a_withdrawn_photo_is_shown_no_more(shelf: Workspace) -> None:
    with reviewing(shelf) as reviewer:
        seen = reviewer.get(reviewer.base + "/thumbnail", params={"id": "made:0000"})
        with open_catalogue(shelf) as catalogue:
            catalogue.withdraw("photo", ["made:0000"], "asked for", CLOCK)
        headers = {"If-None-Match": seen.headers["ETag"]}
        assert (
            reviewer.get(reviewer.base + "/thumbnail", params={"id": "made:0000"}, headers=headers).status_code == 404
        )
        assert reviewer.submit("/decide", {"photo_id": "made:0000", "verdict": "keep"}).status_code == 404
        assert Page(reviewer.page("/photos", city="ankara")).values("data-id") == ["made:0003", "made:0006"]


# --- decisions


def test_a_decision_is_saved_at_once(shelf: Workspace) -> None:
    with reviewing(shelf) as reviewer:
        found = reviewer.decide(HOSTILE_ID, "wrong-city", right_city="van")
        assert found["photo"]["words"] == "Wrong city: Van"
        assert found["photo"]["progress"] == {"bursa": [1, 3], "": [1, 9]}
        assert {of: counts["wrong-city"] for of, counts in found["photo"]["counts"].items()} == {"bursa": 1, "": 1}
        assert found["photo"]["history"] == [
            {"reviewer": "Ayşe", "what": "Wrong city: Van", "at": "2026-03-01 14:05 UTC"}
        ]
        said = stage(shelf)[HOSTILE_ID]
        assert (said.verdict, said.evidence["reviewer"], said.evidence["right_city"]) == ("wrong-city", "Ayşe", "van")
        page = Page(reviewer.page("/photos", city="bursa", filter="wrong-city"))
        assert page.values("data-id") == [HOSTILE_ID]
        assert "Wrong city: Van" in page.text
        found = reviewer.undo()
        assert (found["undone"], found["photo"]["photo_id"], found["photo"]["verdict"]) == (
            "Wrong city: Van",
            HOSTILE_ID,
            None,
        )
        assert [line["what"] for line in found["photo"]["history"]] == ["Took back: Wrong city: Van", "Wrong city: Van"]
        assert stage(shelf) == {}


def test_two_reviewers_on_one_workspace(shelf: Workspace) -> None:
    """Two servers, as two people have them; each is told what the other had said, and nothing is lost."""
    with reviewing(shelf, "Ayşe") as one, reviewing(shelf, "Bora") as other:
        one.decide("made:0000", "keep")
        assert other.decide("made:0000", "reject")["replaced"] == {"reviewer": "Ayşe", "what": "Kept"}
        assert one.decide("made:0000", "reject")["replaced"] == {"reviewer": "Bora", "what": "Rejected"}
        assert one.undo()["photo"]["reviewer"] == "Bora"
        with ThreadPoolExecutor(2) as pool:
            ids = [f"made:000{n}" for n in range(7)]
            list(pool.map(lambda who: [who.decide(photo_id, "keep") for photo_id in ids], (one, other)))
    with decisions.connected(shelf.catalogue) as db:
        entries = decisions.history(db, ids)
    assert [{entry.reviewer for entry in entries[photo_id]} for photo_id in ids] == [{"Ayşe", "Bora"}] * 7
    assert [len(entries[photo_id]) for photo_id in ids] == [6, 2, 2, 2, 2, 2, 2]


@pytest.mark.parametrize(
    "body",
    [
        [],
        None,
        {},
        {"photo_id": "made:0000"},
        {"photo_id": "made:0000", "verdict": "duplicate"},
        {"photo_id": "made:0000", "verdict": ["keep"]},
        {"photo_id": 7, "verdict": "keep"},
        {"photo_id": "\ud800", "verdict": "keep"},
        {"photo_id": "made:0000", "verdict": "keep", "right_city": "van"},
        {"photo_id": "made:0000", "verdict": "wrong-city", "right_city": "nowhere"},
        {"photo_id": "made:0000", "verdict": "wrong-city", "right_city": ["van"]},
        {"photo_id": "made:0000", "verdict": "wrong-city", "right_city": "ankara"},
    ],
)
def test_what_is_no_decision(looking: Reviewer, body: object) -> None:
    answer = looking.submit("/decide", body)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert "0 of 9 decided" in Page(looking.page("/")).text


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"", 400), (b"\xff", 400), (b"[" * 60_000, 400), (b" " * 70_000, 413), (b"1" * 10_000, 400)],
)
def test_bodies_that_are_none(looking: Reviewer, content: bytes, status: int) -> None:
    own = {"Origin": looking.base, "X-T15-Review": "1"}
    for path in ("/decide", "/undo"):
        answer = looking.post(looking.base + path, data=content, headers=own)
        assert (answer.status_code, "error" in answer.json()) == (status, True)


def test_a_body_without_an_end_is_cut_off(looking: Reviewer) -> None:
    parts = urlsplit(looking.base)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=5)
    headers = {"Origin": looking.base, "X-T15-Review": "1", "Cookie": looking.cookie, "Content-Length": str(10**12)}
    connection.putrequest("POST", "/decide")
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders(b"{" + b" " * 70_000)
    assert connection.getresponse().status == 413
    connection.close()


def test_an_error_of_the_catalogue_is_a_line(shelf: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "WAIT_S", 0.01)
    with reviewing(shelf) as reviewer, decisions.opened(shelf) as db:
        db.execute("BEGIN IMMEDIATE")
        answer = reviewer.submit("/decide", {"photo_id": "made:0000", "verdict": "keep"})
        assert (answer.status_code, "in use by another process" in answer.json()["error"]) == (503, True)
        db.rollback()
        reviewer.decide("made:0000", "keep")


# --- the server


def test_no_catalogue(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="holds no photos yet"), serving(workspace, "Ayşe"):
        pytest.fail("it was served")
    assert not workspace.catalogue.exists()
    workspace.catalogue.write_bytes(b"garbage" * 1000)
    with pytest.raises(DataError, match="damaged"), serving(workspace, "Ayşe"):
        pytest.fail("it was served")


def test_it_says_where_and_ends_when_asked(shelf: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    opened: list[str] = []
    stop = threading.Event()
    before = threading.active_count()

    def say(text: str) -> None:
        said.append(text)
        stop.set()

    monkeypatch.setattr("webbrowser.open", opened.append)
    review(shelf, " Ayşe ", say=say, stop=stop)
    assert "Reviewing as Ayşe: http://127.0.0.1:" in said[0]
    assert opened == []
    review(shelf, "Ayşe", open_browser=True, say=say, stop=stop)
    assert opened == [said[1].split()[3]]
    assert threading.active_count() == before


def test_nothing_of_the_token_is_logged(
    shelf: Workspace, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with reviewing(shelf) as reviewer:
        token = reviewer.link.partition("=")[2]
    assert token not in caplog.text + "".join(capfd.readouterr())


def test_a_photo_of_which_nothing_is_known(shelf: Workspace, make_photo: MakePhoto) -> None:
    with open_catalogue(shelf) as catalogue:
        catalogue.add(Photo("made:bare", "ankara", sha256="0" * 64), "stamp")
        catalogue.add(make_photo(60, title=" "), "stamp")
    with reviewing(shelf) as reviewer:
        page = Page(reviewer.page("/photos", city="ankara"))
    assert [label for label in page.values("aria-label") if label == "Untitled"] == ["Untitled"] * 2
    assert "None" not in page.text
