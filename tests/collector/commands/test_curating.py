"""`t15 quality`: its options, what it says, how it ends; and that the review shows what it found."""

from pathlib import Path

import pytest

from collector.catalogue.catalogue import open_catalogue
from collector.curating.labels import FLAGS as LABEL_FLAGS
from collector.curating.quality import FLAGS
from collector.review import decisions, listing
from collector.workspace import Workspace, exclusive
from tests.collector.cli import House, furnish, like


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return furnish(tmp_path_factory.mktemp("furnished"), 12)


@pytest.fixture
def house(furnished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> House:
    return like(furnished, tmp_path / "house", capsys)


def flagged(house: House) -> int:
    with open_catalogue(Workspace(house.workspace)) as catalogue:
        return len(catalogue.decisions("quality"))


def test_the_table(house: House) -> None:
    out, err = house.run("quality")
    rows = {line.split()[0]: line for line in out.splitlines() if line}
    assert set(rows) >= {"flag", *FLAGS, *LABEL_FLAGS}
    assert "24 photos" in out
    assert "24 measured now" in out
    assert "`t15 review`" in out
    assert "measuring: 24/24" in err
    assert "0 measured now" in house.run("quality")[0]
    assert flagged(house) == 24


def test_json(house: House) -> None:
    found = house.json("quality")
    assert (found["photos"], found["measured"], found["unreadable"], found["dry_run"]) == (24, 24, {}, False)
    assert [one["flag"] for one in found["flags"]] == [*FLAGS, *LABEL_FLAGS]
    for one in found["flags"]:
        assert len(one["worst"]) == min(one["photos"], 10)
        assert [score for _, score in one["worst"]] == sorted((score for _, score in one["worst"]), reverse=True)


def test_a_dry_run_and_undo(house: House) -> None:
    out, _ = house.run("quality", "--dry-run")
    assert "dry run: nothing written down" in out
    assert "review" not in out
    assert flagged(house) == 0
    house.run("quality")
    assert "24 photos is taken back" in house.run("quality", "--undo")[0]
    assert flagged(house) == 0
    assert house.json("quality", "--undo") == {"forgotten": 0}


def test_what_cannot_be_measured_is_named(house: House) -> None:
    files = sorted((house.workspace / "photos").rglob("*.jpg"))
    for path in files[:11]:
        path.unlink()
    files[11].write_bytes(b"no picture")
    out, _ = house.run("quality")
    assert "12 measured now" in out
    assert "not measured: 2 more, --json names all" in out
    found = house.json("quality")
    assert len(found["unreadable"]) == 12
    for photo_id in list(found["unreadable"])[:10]:  # by what people call it, not by its id
        assert f"not measured: {found['names'][photo_id]}: " in out
        assert photo_id not in out


def test_the_review_offers_each_flag(house: House) -> None:
    found = {one["flag"]: one["photos"] for one in house.json("quality")["flags"] if one["photos"]}
    assert found
    with decisions.opened(Workspace(house.workspace)) as db:
        offered: dict[str, int] = {}
        for row in listing.cities(db):
            for choice in listing.choices(db, row.city):
                if choice.name.startswith("flag:"):
                    offered[choice.title] = offered.get(choice.title, 0) + choice.photos
    assert offered == found


def test_complaints(house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "not both" in house.complaint("quality", "--undo", "--dry-run", code=2)
    with exclusive(Workspace(house.workspace)):
        assert "in use by process" in house.complaint("quality", code=5)
        assert "in use by process" in house.complaint("quality", "--undo", code=5)
    assert "no workspace at" in House(tmp_path / "nowhere", capsys).complaint("quality", code=2)


def test_an_empty_workspace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "workspace").mkdir()
    out, _ = House(tmp_path, capsys).run("quality")
    assert out == "the workspace holds no photos yet; `t15 collect` brings some\n"
