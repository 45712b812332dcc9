"""Bringing a published data set home again from services whose photos vanish, change and move."""

import multiprocessing
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchmark.photos import available, missing_photos
from collector.catalogue.withdrawals import withdraw
from collector.collecting.collect import collect
from collector.collecting.download import download_photo
from collector.collecting.rehydrate import Rehydration, rehydrate
from collector.collecting.select import SelectionCriteria
from collector.errors import DataError, IncompleteError
from collector.images.validate import Limits
from collector.manifest.manifest import Manifest, build_manifest, read_manifest, write_manifest
from collector.providers import flickr
from collector.providers.base import ImageRequest, Provider, Query, Survey
from collector.providers.registry import Settings, make_provider
from collector.publishing.bundle import publish
from collector.publishing.facts import Release
from collector.records import SPLITS, Photo, Unusable
from collector.sandbox.holdings import deal
from collector.sandbox.provider import SandboxProvider
from collector.sandbox.server import Sandbox, Trouble, serving
from collector.splitting.split import Recipe, split
from collector.workspace import Workspace, create_workspace, exclusive
from tests.collector.collecting.sandboxed import (
    FOR_EVER,
    REGION,
    asked,
    check_no_key,
    check_store,
    content,
    downloaded,
    interfering,
    lead_to,
    run,
    states,
)
from tests.collector.sandbox.link_rot import Ageing, age

SETTINGS = Settings(REGION)
QUOTAS = {"train": 18, "val": 6, "test": 6}
NOW = datetime(2026, 6, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Published:
    """A published data set, the workspace that it was made in, and the sandbox that its photos came from."""

    folder: Path
    home: Workspace
    sandbox: Sandbox

    @property
    def manifest(self) -> Manifest:
        return read_manifest(self.folder)

    def photos(self, service: str = "") -> list[Photo]:
        photos = [photo for side in SPLITS for photo in self.manifest.photos(side)]
        return sorted((p for p in photos if p.photo_id.startswith(service)), key=lambda photo: photo.photo_id)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    """Collect from Commons, Flickr and Street View, split, publish."""
    root = tmp_path_factory.mktemp("published")
    home = create_workspace(root / "workspace")
    with pytest.MonkeyPatch.context() as monkeypatch, serving(deal(1, 2, 90)) as sandbox:
        lead_to(sandbox, monkeypatch)
        for service, target in (("flickr", 16), ("commons", 32), ("streetview", 44)):
            run(home, service, query=Query(target=target), criteria=SelectionCriteria(target))
        found = split(home, root / "manifests", QUOTAS, 0, recipe=Recipe("paper"))
        done = publish(found.folder, root / "out", release=Release("t15 test", "2026-01-01"))
        yield Published(done.folder, home, sandbox)


@pytest.fixture
def published(made: Published, monkeypatch: pytest.MonkeyPatch) -> Iterator[Published]:
    """Return the publication with a sandbox as it was when the photos were collected, and its requests counted anew."""
    lead_to(made.sandbox, monkeypatch)
    made.sandbox.requests.clear()
    made.sandbox.log.clear()
    young = made.sandbox.services
    yield made
    made.sandbox.services = young
    made.sandbox.change(Trouble())


@pytest.fixture
def fresh(tmp_path: Path) -> Workspace:
    return create_workspace(tmp_path / "fresh")


def make(name: str) -> Provider | Survey:
    return make_provider(name, SETTINGS)


def bring(published: Published | Path, workspace: Workspace, **options: Any) -> Rehydration:
    folder = published.folder if isinstance(published, Published) else published
    return rehydrate(read_manifest(folder), workspace, "t15 test", options.pop("make", make), **options)


def fates(done: Rehydration) -> dict[str, str]:
    return {fate.photo.photo_id: fate.what for fate in done.fates}


def of_panorama(photos: list[Photo], photo_id: str) -> list[str]:
    return [photo.photo_id for photo in photos if photo.photo_id.partition("@")[0] == photo_id.partition("@")[0]]


def grow_old(published: Published) -> dict[str, str]:
    """Let a tenth of the photos vanish, a tenth be packed again, some become placeholders, some move; return the truth."""
    truth = {photo.photo_id: "same" for photo in published.photos()}
    changes: dict[str, set[str]] = {"vanished": set(), "repacked": set(), "placeholder": set(), "moved": set()}
    words = {"vanished": "gone", "repacked": "re-encoded", "placeholder": "placeholder", "moved": "same"}
    for service in ("commons", "flickr", "streetview"):
        photos = published.photos(service)
        first = {photo.photo_id.partition("@")[0]: photo.photo_id for photo in photos}
        left = iter(sorted(first.values(), key=lambda photo_id: photo_id[::-1]))
        for change, chosen in changes.items():
            wanted = 0 if (service, change) == ("commons", "placeholder") else max(1, len(first) // 10)
            for photo_id in (next(left) for _ in range(wanted)):
                chosen.add(photo_id)
                for of in of_panorama(photos, photo_id):
                    truth[of] = words[change]
    both = next(photo_id for photo_id in sorted(changes["repacked"]) if photo_id.startswith("flickr"))
    changes["moved"].add(both)  # packed again under another address
    age(published.sandbox, Ageing(**{change: frozenset(chosen) for change, chosen in changes.items()}))
    return truth


# --- what survived


def test_the_report_is_right_to_the_photo(published: Published, fresh: Workspace) -> None:
    truth = grow_old(published)
    done = bring(published, fresh)
    assert fates(done) == truth
    assert set(Counter(truth.values())) == {"same", "re-encoded", "gone", "placeholder"}
    assert done.counts() == dict(Counter(truth.values()))
    photos = published.photos()
    for by in ("split", "city"):
        for name, (alive, whole) in done.survival(by).items():
            mine = [photo for photo in photos if getattr(photo, by) == name]
            assert whole == len(mine)
            assert alive == sum(truth[photo.photo_id] in ("same", "re-encoded") for photo in mine)
    check_store(fresh)
    check_no_key([repr(done)], fresh.root)


def test_moved_photos_are_found_through_their_providers(published: Published, fresh: Workspace) -> None:
    one = [published.photos(service)[0].photo_id for service in ("commons", "flickr", "streetview")]
    age(published.sandbox, Ageing(moved=frozenset(one)))
    assert set(fates(bring(published, fresh)).values()) == {"same"}
    here = {photo.photo_id: photo for photo in downloaded(fresh)}
    assert {photo.photo_id for photo in published.photos()} == set(here)
    for photo in published.photos():
        assert (here[photo.photo_id].image_url != photo.image_url) == (
            photo.photo_id.partition("@")[0] in {of.partition("@")[0] for of in one}
        )


def test_another_picture_under_an_id_is_told_and_not_kept(published: Published, fresh: Workspace) -> None:
    a, b = published.photos("commons")[:2]
    swapped = [replace(p, image_url={a: b, b: a}.get(p, p).image_url) if p in (a, b) else p for p in published.photos()]
    folder = fresh.root / "other"
    write_manifest(build_manifest(published.manifest.header, swapped, "t15 test"), folder)
    done = bring(folder, fresh)
    # Their provider knows the present addresses, which lead to the right pictures.
    assert set(fates(done).values()) == {"same"}
    flickr_only = [replace(p, sha256="0" * 64, phash="f" * 16) for p in published.photos("flickr")[:2]]
    write_manifest(build_manifest(replace(published.manifest.header, name="x"), flickr_only, "t15"), fresh.root / "x")
    again = create_workspace(fresh.root / "again")
    assert bring(fresh.root / "x", again).counts() == {"changed": 2}
    assert states(again) == {"rejected": 2}
    assert not list(again.photos.rglob("*.jpg"))


# --- going on


def test_a_workspace_that_has_everything_asks_nobody(published: Published) -> None:
    before = content(published.home)
    done = bring(published, published.home)
    assert set(fates(done).values()) == {"same"}
    assert done.partial is None
    assert asked(published.sandbox) == {}
    assert content(published.home) == before


def test_the_second_time_nothing_is_asked_that_is_settled(published: Published, fresh: Workspace) -> None:
    truth = grow_old(published)
    first = bring(published, fresh)
    published.sandbox.requests.clear()
    again = bring(published, fresh)
    assert asked(published.sandbox) == {}
    assert fates(again) == fates(first) == truth
    assert again.partial == first.partial


def test_retry_asks_again_for_what_was_lost(published: Published, fresh: Workspace) -> None:
    young = published.sandbox.services
    truth = grow_old(published)
    bring(published, fresh)
    published.sandbox.services = young  # all of them are back
    assert fates(bring(published, fresh)) == truth
    done = bring(published, fresh, retry=True)
    # Those that were packed again are here, and are not asked for.
    assert done.counts() == {
        "same": len(truth) - Counter(truth.values())["re-encoded"],
        "re-encoded": Counter(truth.values())["re-encoded"],
    }


def test_stopped_in_the_middle_it_goes_on(published: Published, fresh: Workspace) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bring(published, fresh, track=interfering("fetching", 20, stop))
    here = len(downloaded(fresh))
    assert 19 <= here < len(published.photos())
    published.sandbox.requests.clear()
    assert set(fates(bring(published, fresh)).values()) == {"same"}
    pictures = sum(count for name, count in asked(published.sandbox).items() if name.endswith(("picture", "file")))
    assert pictures == len(published.photos()) - here
    check_store(fresh)


def _killed(folder: Path, root: Path) -> None:
    def kill() -> None:
        signal.raise_signal(signal.SIGKILL)

    rehydrate(read_manifest(folder), Workspace(root), "t15 test", make, track=interfering("fetching", 20, kill))


def test_killed_in_the_middle_it_goes_on(published: Published, fresh: Workspace) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_killed, args=(published.folder, fresh.root))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    here = len(downloaded(fresh))
    assert 19 <= here < len(published.photos())
    assert set(fates(bring(published, fresh)).values()) == {"same"}
    assert len(downloaded(fresh)) == len(published.photos())


def test_failed_photos_stay_open(published: Published, fresh: Workspace) -> None:
    published.sandbox.change(
        Trouble(1.0, kinds=("server-error",), endpoints=("flickr.picture",), in_a_row=FOR_EVER, retry_after=0)
    )
    done = bring(published, fresh)
    flickrs = {photo.photo_id for photo in published.photos("flickr")}
    assert {photo_id for photo_id, what in fates(done).items() if what == "failed"} == flickrs
    assert set(fates(done).values()) == {"same", "failed"}
    assert all("http-5" in fate.detail for fate in done.fates if fate.what == "failed")
    assert done.partial is not None
    published.sandbox.change(Trouble())
    again = bring(published, fresh)
    assert set(fates(again).values()) == {"same"}
    assert again.partial is None
    assert not done.partial.exists()


def test_what_cannot_be_asked_about_now_is_no_loss(published: Published, fresh: Workspace) -> None:
    """An old address leads nowhere, and the service that knows the new one is out of order: the photo may be there."""
    moved = frozenset(photo.photo_id for photo in published.photos("flickr")[:2])
    age(published.sandbox, Ageing(moved=moved))
    published.sandbox.change(
        Trouble(1.0, kinds=("service-error",), endpoints=("flickr.photos.getSizes",), in_a_row=FOR_EVER)
    )
    done = bring(published, fresh)
    assert {photo_id for photo_id, what in fates(done).items() if what == "failed"} == moved
    published.sandbox.change(Trouble())
    assert set(fates(bring(published, fresh)).values()) == {"same"}


def test_a_service_that_is_down_is_left_alone_and_the_others_are_asked(published: Published, fresh: Workspace) -> None:
    many = [replace(published.photos("flickr")[0], photo_id=f"flickr:{n}") for n in range(100, 164)]
    folder = fresh.root / "many"
    photos = [*many, *published.photos("commons")]
    write_manifest(build_manifest(published.manifest.header, photos, "t15 test"), folder)
    published.sandbox.change(
        Trouble(1.0, kinds=("server-error",), endpoints=("flickr.picture",), in_a_row=FOR_EVER, retry_after=0)
    )
    done = bring(folder, fresh)
    assert done.counts() == {"failed": 64, "same": len(published.photos("commons"))}
    spared = [fate for fate in done.fates if "flickr stopped answering" in fate.detail]
    assert len(spared) >= 64 - 20 - 31  # 20 in vain make it plain; what was begun with the last of them is finished
    assert published.sandbox.requests["flickr.picture"] == 5 * (64 - len(spared))  # each is asked for five times
    assert states(fresh)["failed"] == 64


# --- who is not asked


def test_withdrawn_photos_are_passed_over(published: Published, fresh: Workspace) -> None:
    photo = published.photos("commons")[0]
    author = next(p.author_id for p in published.photos("flickr") if p.author_id)
    withdraw(fresh, [photo.photo_id], "asked for", NOW, "photo")
    withdraw(fresh, [str(author)], "asked for", NOW, "author")
    done = bring(published, fresh)
    out = {p.photo_id for p in published.photos() if p.photo_id == photo.photo_id or p.author_id == author}
    assert len(out) >= 2
    assert {photo_id for photo_id, what in fates(done).items() if what == "withdrawn"} == out
    assert out.isdisjoint(p.photo_id for p in downloaded(fresh))
    assert done.partial is not None
    assert out.isdisjoint(read_manifest(done.partial).table["photo_id"].to_pylist())
    paths = {str(p.image_url).partition("127.0.0.1")[2] for p in published.photos() if p.photo_id in out}
    assert not any(seen.target in path for path in paths for seen in published.sandbox.log if seen.target != "/")


def test_a_missing_key_is_told_and_the_others_are_asked(
    published: Published, fresh: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(flickr.VARIABLE)
    done = bring(published, fresh)
    assert {fate.detail for fate in done.fates if fate.what == "unreachable"} == {
        f"Flickr needs a key: set T15_FLICKR_KEY in the environment; {flickr.WHERE}"
    }
    assert set(fates(done).values()) == {"same", "unreachable"}
    assert "rejected" not in states(fresh)
    monkeypatch.undo()
    lead_to(published.sandbox, monkeypatch)
    assert set(fates(bring(published, fresh)).values()) == {"same"}


def test_a_refused_key_is_told_and_the_others_are_asked(
    published: Published, fresh: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("T15_GOOGLE_KEY", "AIza-not-this-one")
    done = bring(published, fresh)
    views = {photo.photo_id for photo in published.photos("streetview")}
    assert {photo_id for photo_id, what in fates(done).items() if what == "unreachable"} == views
    details = {fate.detail for fate in done.fates if fate.what == "unreachable"}
    assert all("key" in detail for detail in details)
    assert not any("AIza-not-this-one" in detail for detail in details)
    assert states(fresh) == {"downloaded": len(published.photos()) - len(views)}


def test_a_used_up_quota_leaves_photos_open(published: Published, fresh: Workspace) -> None:
    class UsedUp:
        name = "flickr"

        def search(self, city: Any, query: Any) -> Iterator[Photo]:
            raise NotImplementedError

        def image_request(self, photo: Photo) -> ImageRequest:
            raise IncompleteError("the day's quota is used up")

    done = bring(published, fresh, make=lambda name: UsedUp() if name == "flickr" else make(name))
    assert {fate.detail for fate in done.fates if fate.what == "failed"} == {"not-asked: the day's quota is used up"}
    assert states(fresh)["failed"] == len(published.photos("flickr"))


def test_photos_of_somebodys_disk_and_of_unknown_providers(published: Published, fresh: Workspace) -> None:
    strange = [
        replace(published.photos()[0], photo_id=photo_id, image_url=None)
        for photo_id in ("folder:0123456789abcdef", "nobody:1", "sandbox:0-atlantis-1", "sandbox:0-quellmora-99999999")
    ]
    folder = fresh.root / "strange"
    write_manifest(build_manifest(published.manifest.header, [*strange, *published.photos("flickr")], "t15"), folder)
    done = bring(folder, fresh)
    assert done.counts() == {"same": len(published.photos("flickr")), "unreachable": 4}
    assert states(fresh) == {"downloaded": len(published.photos("flickr"))}


# --- a foreign manifest is hostile


@pytest.mark.parametrize("service", ["commons", "flickr", "panoramax", "streetview"])
@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "file:///dev/zero",
        "http://127.0.0.1:{port}/static/1/2_3.jpg",
        "http://127.0.0.1:{port}@live.staticflickr.com/1/2_3.jpg",
        "http://169.254.169.254/latest/meta-data",
        "https://evil.example/a.jpg",
        "http://live.staticflickr.com/1/2_3.jpg",
        "http://[",
        "",
        "gopher://x",
        "javascript:alert(1)",
        "data:image/png;base64,AAAA",
    ],
)
def test_hostile_addresses_are_never_asked_and_no_file_is_read(
    service: str, url: str, fresh: Workspace, make_photo: Callable[..., Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The services are the real ones, which no test reaches: whatever would be sent raises."""
    monkeypatch.setenv(flickr.VARIABLE, "0" * 32)
    monkeypatch.setenv("T15_GOOGLE_KEY", "the-key")

    def unreachable(*_: Any, **__: Any) -> Any:
        raise AssertionError("a name was looked up")

    monkeypatch.setattr("socket.getaddrinfo", unreachable)
    read: list[str] = []
    monkeypatch.setattr("pathlib.Path.read_bytes", lambda path: read.append(str(path)))
    provider = make(service)
    photo = make_photo(0, photo_id=f"{service}:1", image_url=url.format(port=9))
    outcome = download_photo(photo, provider, getattr(provider, "http", None), fresh, Limits(), check=False)
    assert isinstance(outcome, Unusable)
    assert outcome.reason in ("forbidden-host", "no-address", "bad-request")
    assert read == []


def test_no_key_goes_to_the_host_that_a_foreign_manifest_names(published: Published) -> None:
    photo = published.photos("streetview")[0]
    foreign = replace(photo, image_url=str(photo.image_url).replace(published.sandbox.url, "https://evil.example"))
    request = make("streetview").image_request(foreign)
    assert request.url.startswith(published.sandbox.environment()["T15_STREETVIEW_URL"])
    for service in ("flickr", "commons"):
        url = make(service).image_request(published.photos(service)[0]).url
        check_no_key([url])


def test_what_the_workspace_has_under_an_id_stays(published: Published, fresh: Workspace) -> None:
    """A manifest says what it likes of an id: a photo of one's own is not lost for it."""
    mine, other = published.photos("commons")[:2]
    shutil.copytree(published.home.root, fresh.root, dirs_exist_ok=True)
    lying = replace(mine, sha256=other.sha256, phash=other.phash, dhash=other.dhash)
    folder = fresh.root / "lying"
    write_manifest(build_manifest(published.manifest.header, [lying], "t15 test"), folder)
    before = content(fresh)
    for retry in (False, True):
        done = bring(folder, fresh, retry=retry)
        assert fates(done) == {mine.photo_id: "changed"}
        assert content(fresh) == before


def test_a_damaged_manifest_brings_nothing(published: Published, fresh: Workspace, tmp_path: Path) -> None:
    shutil.copytree(published.folder, tmp_path / "damaged")
    path = tmp_path / "damaged" / "photos.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="truncated"):
        bring(tmp_path / "damaged", fresh)
    assert not fresh.catalogue.exists()


def test_one_process_at_a_time(published: Published, fresh: Workspace) -> None:
    with exclusive(fresh), pytest.raises(IncompleteError, match="in use by process"):
        bring(published, fresh)


# --- what is there, as a data set


def test_the_partial_manifest(published: Published, fresh: Workspace) -> None:
    truth = Counter(grow_old(published).values())
    done = bring(published, fresh)
    assert done.partial is not None
    partial_one = read_manifest(done.partial)
    whole = published.manifest
    survivors = truth["same"] + truth["re-encoded"]
    assert partial_one.digest != whole.digest
    assert partial_one.header.parent == {"version": whole.header.version, "digest": whole.digest}
    assert partial_one.header.note.startswith(
        f"Rehydrated from sandbox 1.0.0: {survivors} of {len(done.fates)} photos ({truth['re-encoded']} of them "
        f"re-encoded), {truth['gone'] + truth['placeholder']} are missing."
    )
    assert (partial_one.table.num_rows, partial_one.header.quotas) == (survivors, {})
    sides = {photo.photo_id: photo for photo in published.photos()}
    for side in SPLITS:
        for photo in partial_one.photos(side):
            before = sides[photo.photo_id]
            assert (photo.split, photo.city, photo.group_id) == (before.split, before.city, before.group_id)
            assert fresh.photo(str(photo.sha256)).is_file()
    assert not any(missing_photos(partial_one, fresh).values())
    assert available(whole, fresh).digest == partial_one.digest
    assert available(whole, published.home) is whole


def test_a_city_without_photos_is_no_class(published: Published, fresh: Workspace) -> None:
    there = REGION.cities[1].slug
    lost = frozenset(photo.photo_id for photo in published.photos() if photo.city == there)
    age(published.sandbox, Ageing(vanished=lost))
    done = bring(published, fresh)
    assert done.survival("city")[there] == (0, len(lost))
    assert done.partial is not None
    assert [city.slug for city in read_manifest(done.partial).header.cities] == [REGION.cities[0].slug]


def test_nothing_survived(published: Published, fresh: Workspace) -> None:
    age(published.sandbox, Ageing(vanished=frozenset(photo.photo_id for photo in published.photos())))
    done = bring(published, fresh)
    assert done.counts() == {"gone": len(published.photos())}
    assert done.partial is None
    assert available(published.manifest, fresh).digest == published.manifest.digest


# --- drawn photos


def test_drawn_photos_are_drawn_again(tmp_path: Path) -> None:
    home = create_workspace(tmp_path / "home")
    collect(home, REGION, REGION.cities, SandboxProvider(), Query(limit=12))
    found = split(home, tmp_path / "manifests", {"train": 4, "val": 2, "test": 2}, 0, recipe=Recipe("paper"))
    done = bring(found.folder, create_workspace(tmp_path / "fresh"))
    assert done.counts() == {"same": 16}
    assert done.partial is None


def test_what_is_no_drawn_photo_has_no_address() -> None:
    for photo_id in ("sandbox:0-quellmora-x", "sandbox:0-atlantis-0", "sandbox:0-quellmora-100000", "flickr:1"):
        with pytest.raises(LookupError):
            SandboxProvider().image_request(Photo(photo_id, "quellmora"))
