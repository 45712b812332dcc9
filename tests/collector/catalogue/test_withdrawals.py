"""Taking photos down: out of the store, onto the list, and passed over by every command from then on."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from collector import front_door
from collector.catalogue.catalogue import open_catalogue
from collector.catalogue.withdrawals import Withdrawal, require_none_withdrawn, withdraw
from collector.collecting.collect import collect
from collector.collecting.select import SelectionCriteria
from collector.errors import DataError, IncompleteError, UsageError
from collector.manifest.manifest import read_manifest
from collector.providers.base import Query
from collector.records import SPLITS
from collector.sandbox.holdings import deal
from collector.sandbox.provider import SandboxProvider
from collector.sandbox.server import serving
from collector.splitting.split import Recipe, split
from collector.workspace import Workspace, create_workspace, exclusive
from tests.collector.collecting.sandboxed import REGION, check_store, downloaded, lead_to, run, states

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
QUOTAS = {"train": 5, "val": 2, "test": 2}


@pytest.fixture
def filled(workspace: Workspace) -> Workspace:
    """Return a workspace with twelve drawn photos of two cities each."""
    collect(workspace, REGION, REGION.cities, SandboxProvider(), Query(limit=12))
    return workspace


def take_out(workspace: Workspace, *ids: str, **options: object) -> Withdrawal:
    return withdraw(workspace, ids, "asked for by mail", NOW, **options)  # type: ignore[arg-type]


def listed(workspace: Workspace) -> list[tuple[str, str, str, str]]:
    with open_catalogue(workspace) as catalogue:
        return catalogue.withdrawals()


def raw_row(workspace: Workspace, photo_id: str) -> dict[str, object]:
    """Return what the catalogue says of a photo, but for what is missing."""
    with closing(sqlite3.connect(workspace.catalogue)) as connection:
        names = [row[1] for row in connection.execute("PRAGMA table_info(photos)")]
        row = connection.execute("SELECT * FROM photos WHERE photo_id = ?", (photo_id,)).fetchone()
    return {name: value for name, value in zip(names, row, strict=True) if value is not None}


def split_it(workspace: Workspace, manifests: Path, **options: object) -> Path:
    return split(workspace, manifests, QUOTAS, 0, recipe=Recipe("paper"), **options).folder  # type: ignore[arg-type]


def test_a_photo(filled: Workspace) -> None:
    photo, other = downloaded(filled)[:2]
    filled.cache.mkdir()
    (filled.cache / "pixels").write_bytes(b"x")
    done = take_out(filled, photo.photo_id)
    assert done == Withdrawal((photo.photo_id,), (photo.photo_id,), True)
    assert not filled.photo(str(photo.sha256)).exists()
    assert not filled.cache.exists()
    assert filled.photo(str(other.sha256)).exists()
    assert listed(filled) == [("photo", photo.photo_id, "asked for by mail", NOW.isoformat())]
    # Nothing is kept that describes it: whose it was is, so that the list can be read.
    assert set(raw_row(filled, photo.photo_id)) == {"photo_id", "author_id", "state", "attempts"}
    assert states(filled) == {"downloaded": 23, "withdrawn": 1}
    check_store(filled)


def test_an_author(filled: Workspace) -> None:
    author = str(downloaded(filled)[0].author_id)
    mine = {photo.photo_id for photo in downloaded(filled) if photo.author_id == author}
    assert len(mine) > 1
    done = take_out(filled, author)
    assert (set(done.photos), done.listed) == (mine, (author,))
    assert mine.isdisjoint(photo.photo_id for photo in downloaded(filled))
    check_store(filled)


def test_an_unknown_id_changes_nothing(filled: Workspace) -> None:
    photo = downloaded(filled)[0]
    with pytest.raises(UsageError, match=r"'flickr:1' is no photo and no author .* --kind photo or --kind author"):
        take_out(filled, photo.photo_id, "flickr:1")
    assert listed(filled) == []
    assert filled.photo(str(photo.sha256)).exists()
    done = take_out(filled, "flickr:1", "commons:user:Somebody", kind="photo")
    assert done == Withdrawal((), ("commons:user:Somebody", "flickr:1"), False)
    assert take_out(filled, "flickr:1").listed == ()  # by now it is known


def test_twice(filled: Workspace) -> None:
    photo = downloaded(filled)[0]
    first = take_out(filled, photo.photo_id, str(photo.author_id))
    before = listed(filled)
    again = withdraw(filled, [photo.photo_id, str(photo.author_id)], "another reason", datetime(2027, 1, 1, tzinfo=UTC))
    assert again == Withdrawal((), (), False)
    assert listed(filled) == before
    assert len(first.listed) == 2


def test_an_author_and_a_photo_of_theirs_at_once(filled: Workspace) -> None:
    photo = downloaded(filled)[0]
    mine = [one for one in downloaded(filled) if one.author_id == photo.author_id]
    done = take_out(filled, str(photo.author_id), photo.photo_id)
    assert sorted(done.photos) == sorted(one.photo_id for one in mine)


def test_copies_with_the_same_bytes_go_too(filled: Workspace) -> None:
    photo = downloaded(filled)[0]
    with open_catalogue(filled) as catalogue:
        catalogue.add(replace(photo, photo_id="made:copy", author_id="made:somebody-else"), "stamp")
    done = take_out(filled, photo.photo_id)
    assert done.photos == ("made:copy", photo.photo_id)
    assert done.listed == ("made:copy", photo.photo_id)
    assert [reason for _, one, reason, _ in listed(filled) if one == "made:copy"] == [
        "same bytes as a withdrawn photo: asked for by mail"
    ]
    check_store(filled)


def test_a_photo_whose_bytes_were_lost(filled: Workspace) -> None:
    photo = downloaded(filled)[0]
    filled.photo(str(photo.sha256)).unlink()
    assert take_out(filled, photo.photo_id).photos == (photo.photo_id,)


def test_decisions_about_it_go(filled: Workspace, tmp_path: Path) -> None:
    split_it(filled, tmp_path / "m")
    photo = downloaded(filled)[0]
    take_out(filled, photo.photo_id)
    with open_catalogue(filled) as catalogue:
        assert photo.photo_id not in {decision.photo_id for decision in catalogue.decisions("dedup")}


def test_files_go_before_rows(filled: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped in between, the photo is in the catalogue still, and the same command finishes it."""
    photo = downloaded(filled)[0]
    filled.cache.mkdir()

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", stop)
        with pytest.raises(KeyboardInterrupt):
            take_out(filled, photo.photo_id)
    assert listed(filled) == []
    assert take_out(filled, photo.photo_id).photos == (photo.photo_id,)
    assert not filled.photo(str(photo.sha256)).exists()
    check_store(filled)


def test_one_process_at_a_time(filled: Workspace) -> None:
    with exclusive(filled), pytest.raises(IncompleteError, match="in use by process"):
        take_out(filled, downloaded(filled)[0].photo_id)
    assert listed(filled) == []


def test_another_process_holds_the_catalogue(filled: Workspace) -> None:
    code = "import sys; from pathlib import Path; from collector.workspace import *\n"
    code += "with exclusive(Workspace(Path(sys.argv[1]))): print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(filled.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(IncompleteError, match=f"in use by process {other.pid}"):
            take_out(filled, downloaded(filled)[0].photo_id)
        assert front_door.run(["withdraw", downloaded(filled)[0].photo_id, "--workspace", str(filled.root)]) == 5
        other.communicate()
    assert len(take_out(filled, downloaded(filled)[0].photo_id).photos) == 1


# --- every command keeps to the list


def test_collect_from_a_folder_like_provider(filled: Workspace) -> None:
    photos = downloaded(filled)
    author = str(photos[5].author_id)
    out = {p.photo_id for p in photos if p.author_id == author} | {photos[0].photo_id}
    take_out(filled, photos[0].photo_id, author)
    summary = collect(filled, REGION, REGION.cities, SandboxProvider(), Query(limit=12))
    assert (summary.added, summary.withdrawn, summary.known) == (0, len(out), 24 - len(out))
    fresh = create_workspace(filled.root / "fresh")
    withdraw(fresh, [photos[0].photo_id], "r", NOW, "photo")
    withdraw(fresh, [author], "r", NOW, "author")
    assert collect(fresh, REGION, REGION.cities, SandboxProvider(), Query(limit=12)).withdrawn == len(out)
    assert out.isdisjoint(photo.photo_id for photo in downloaded(fresh))
    check_store(fresh)


def test_collect_from_services(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(deal(1, 1, 40)) as sandbox:
        lead_to(sandbox, monkeypatch)
        cities = REGION.cities[:1]
        run(workspace, "flickr", cities=cities, criteria=SelectionCriteria(6))
        with open_catalogue(workspace) as catalogue:
            waiting = next(
                w.photo
                for w in catalogue.listing(cities[0].slug, "flickr")
                if w.state == "listed" and w.photo.author_id
            )
        here = downloaded(workspace)[0]
        take_out(workspace, here.photo_id, str(waiting.author_id))
        run(workspace, "flickr", cities=cities)
        assert not [p for p in downloaded(workspace) if p.author_id == waiting.author_id or p == here]
        fresh = create_workspace(workspace.root / "fresh")
        withdraw(fresh, [str(waiting.author_id)], "r", NOW, "author")
        summary = run(fresh, "flickr", cities=cities)
        assert summary.withdrawn > 0
        assert not [p for p in downloaded(fresh) if p.author_id == waiting.author_id]
        assert waiting.photo_id not in {row[0] for row in _all_rows(fresh)}


def _all_rows(workspace: Workspace) -> list[tuple[object, ...]]:
    with open_catalogue(workspace) as catalogue:
        return catalogue.content()


def test_split_and_its_next_version(filled: Workspace, tmp_path: Path) -> None:
    manifests = tmp_path / "manifests"
    first = read_manifest(split_it(filled, manifests))
    photo = first.photos("test")[0]
    take_out(filled, photo.photo_id)
    second = read_manifest(split_it(filled, manifests))
    assert second.header.version == "2.0.0"
    assert photo.photo_id not in second.table["photo_id"].to_pylist()
    # What was published stays as it was.
    assert photo.photo_id in read_manifest(manifests / "sandbox" / "1.0.0").table["photo_id"].to_pylist()


def test_publish_refuses_in_one_line(filled: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = split_it(filled, tmp_path / "manifests")
    manifest = read_manifest(folder)
    require_none_withdrawn(manifest, filled)
    require_none_withdrawn(manifest, Workspace(tmp_path / "nowhere"))
    assert not (tmp_path / "nowhere").exists()
    out = manifest.photos("train")[:2]
    take_out(filled, *(photo.photo_id for photo in out))
    with pytest.raises(DataError, match=r"sandbox 1\.0\.0: holds 2 withdrawn photos, such as sandbox:"):
        require_none_withdrawn(manifest, filled)
    arguments = ["publish", str(folder), "--out", str(tmp_path / "out"), "--workspace", str(filled.root)]
    assert front_door.run(arguments) == 3
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "`t15 split --extend` makes a version without them" in err
    assert not (tmp_path / "out").exists()


def test_partial_manifests_that_describe_it_go(filled: Workspace) -> None:
    (filled.rehydrated / "x").mkdir(parents=True)
    take_out(filled, "flickr:1", kind="photo")
    assert filled.rehydrated.exists()
    take_out(filled, downloaded(filled)[0].photo_id)
    assert not filled.rehydrated.exists()


def test_extending_leaves_them_out(filled: Workspace, tmp_path: Path) -> None:
    recipe = Recipe("fractions")
    shares = {"train": 0.6, "val": 0.2, "test": 0.2}
    first = split(filled, tmp_path / "m", shares, 0, recipe=recipe, allow_empty_sides=True)
    photo = first.manifest.photos("train")[0]
    take_out(filled, photo.photo_id)
    second = split(filled, tmp_path / "m", shares, 0, extend=first.manifest, allow_empty_sides=True)
    assert second.growth is not None
    assert second.growth.gone == (photo.photo_id,)
    assert second.manifest.header.version == "2.0.0"
    before = {p.photo_id: p.split for side in SPLITS for p in first.manifest.photos(side)}
    after = {p.photo_id: p.split for side in SPLITS for p in second.manifest.photos(side)}
    assert after == {photo_id: side for photo_id, side in before.items() if photo_id != photo.photo_id}
    require_none_withdrawn(second.manifest, filled)
