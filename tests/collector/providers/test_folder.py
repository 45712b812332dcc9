"""Sorting a folder of photos into cities, whatever lies in it."""

import os
import shutil
import socket
import threading
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import ExifTags, Image, ImageFile

from collector.errors import UsageError
from collector.images.decode import quiet_decoders
from collector.images.validate import Limits
from collector.manifest.photo_table import read_photo_table
from collector.providers.base import FindsUnplaced, Provider, Query
from collector.providers.folder import FolderProvider
from collector.records import Photo, Unusable
from collector.regions import find_city, region
from tests.conftest import PhotoBytes

REGION = region("turkiye15")
ANKARA, IZMIR, VAN = (find_city(REGION, name) for name in ("ankara", "izmir", "van"))
IN_ANKARA, IN_VAN, AT_SEA = (39.93, 32.86), (38.5, 43.38), (42.9, 34.0)

Put = Callable[..., Path]


def gps(latitude: float, longitude: float) -> Image.Exif:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(
        {
            ExifTags.GPS.GPSLatitudeRef: "N" if latitude >= 0 else "S",
            ExifTags.GPS.GPSLatitude: (abs(latitude), 0.0, 0.0),
            ExifTags.GPS.GPSLongitudeRef: "E" if longitude >= 0 else "W",
            ExifTags.GPS.GPSLongitude: (abs(longitude), 0.0, 0.0),
        }
    )
    return exif


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "my photos"
    folder.mkdir()
    return folder


@pytest.fixture
def put(root: Path, photo_bytes: PhotoBytes) -> Put:
    """Return a function that puts a photo at a path below the root."""

    def put_one(path: str | bytes, seed: int = 0, at: tuple[float, float] | None = None) -> Path:
        whole = Path(os.fsdecode(os.path.join(os.fsencode(root), os.fsencode(path))))
        whole.parent.mkdir(parents=True, exist_ok=True)
        whole.write_bytes(photo_bytes(seed, (32, 32), exif=gps(*at) if at else None))
        return whole

    return put_one


def found(root: Path, limit: int | None = None) -> dict[str, list[str]]:
    """Return the titles of photos by city, those of unusable files by reason."""
    provider = FolderProvider(root, REGION)
    items = [item for city in REGION.cities for item in provider.search(city, Query(limit))]
    items += provider.unplaced()
    result: dict[str, list[str]] = {}
    for item in items:
        key, said = (item.city, item.title or "") if isinstance(item, Photo) else (item.reason, item.detail)
        result.setdefault(key, []).append(said)
    return result


# --- by the names of folders


@pytest.mark.parametrize(
    ("folder", "slug"),
    [
        ("ankara", "ankara"),
        ("ANKARA", "ankara"),
        ("İzmir", "izmir"),
        ("IZMIR", "izmir"),
        ("ızmır", "izmir"),
        ("Nevs\u0327ehir", "nevsehir"),
        ("Smyrna", "izmir"),
        ("van/2019/may", "van"),
        ("van/İstanbul", "istanbul"),
        ("photos of van/ankara/van", "van"),
    ],
)
def test_a_folder_names_the_city(root: Path, put: Put, folder: str, slug: str) -> None:
    put(f"{folder}/a.jpg")
    assert found(root) == {slug: ["a.jpg"]}


@pytest.mark.parametrize("folder", ["photos of van", "06", "turkiye", "..."])
def test_other_folders_name_none(root: Path, put: Put, folder: str) -> None:
    put(f"{folder}/a.jpg")
    assert set(found(root)) == {"no-city" if folder != "..." else "hidden"} - {"hidden"}


def test_the_root_may_be_named_after_the_city(tmp_path: Path, photo_bytes: PhotoBytes) -> None:
    root = tmp_path / "Ankara"
    (root / "van").mkdir(parents=True)
    (root / "a.jpg").write_bytes(photo_bytes())
    (root / "van" / "b.jpg").write_bytes(photo_bytes())
    assert found(root) == {"ankara": ["a.jpg"], "van": ["b.jpg"]}


def test_a_root_given_as_a_dot(tmp_path: Path, photo_bytes: PhotoBytes, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "van").mkdir()
    (tmp_path / "van" / "a.jpg").write_bytes(photo_bytes())
    monkeypatch.chdir(tmp_path / "van")
    assert found(Path()) == {"van": ["a.jpg"]}


def test_order_is_that_of_the_paths(root: Path, put: Put) -> None:
    for name in ("van/b/1.jpg", "van/a/2.jpg", "van/z.jpg", "van/b.jpg", "van/B.jpg"):
        put(name)
    assert found(root)["van"] == ["B.jpg", "b.jpg", "z.jpg", "2.jpg", "1.jpg"]


# --- by coordinates


def test_coordinates_place_what_no_folder_does(root: Path, put: Put) -> None:
    put("a.jpg", at=IN_ANKARA)
    put("holiday/b.jpg", at=IN_VAN)
    put("c.jpg", at=AT_SEA)
    put("d.jpg")
    assert found(root) == {
        "ankara": ["a.jpg"],
        "van": ["b.jpg"],
        "no-city": [
            "c.jpg: taken at 42.9000, 34.0000, in the radius of no city of turkiye15",
            "d.jpg: in no folder named after a city, and without EXIF coordinates",
        ],
    }


def test_contradicting_coordinates(root: Path, put: Put) -> None:
    put("van/right.jpg", at=IN_VAN)
    put("van/wrong.jpg", at=IN_ANKARA)
    seen = found(root)
    assert seen["van"] == ["right.jpg"]
    assert len(seen["outside-city"]) == 1
    assert seen["outside-city"][0].startswith("van/wrong.jpg: taken ")
    assert seen["outside-city"][0].endswith(" km from the centre of Van, whose radius is 15 km")


def test_what_a_photo_record_holds(root: Path, put: Put, photo_bytes: PhotoBytes) -> None:
    exif = gps(*IN_VAN)
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(
        {
            ExifTags.GPS.GPSImgDirection: 91.5,
            ExifTags.GPS.GPSImgDirectionRef: "T",
            ExifTags.GPS.GPSHPositioningError: 4.75,
        }
    )
    exif[ExifTags.Base.Artist] = "Ömer".encode()  # as phones write it; the standard says ASCII
    exif[ExifTags.Base.ImageDescription] = "The castle"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2020:02:29 10:00:00"
    data = photo_bytes(exif=exif)
    put("van/a.jpg").write_bytes(data)
    put("van/b.jpg")
    provider = FolderProvider(root, REGION, "CC-BY-4.0")
    first, second = (item for item in provider.search(VAN, Query()) if isinstance(item, Photo))
    assert (first.latitude, first.longitude) == pytest.approx(IN_VAN)
    assert first.taken_at == datetime(2020, 2, 29, 10, tzinfo=UTC)
    assert (first.author_name, first.title, first.license, first.bytes) == (
        "Ömer",
        "The castle",
        "CC-BY-4.0",
        len(data),
    )
    assert (first.heading, first.position_accuracy_m) == (91.5, 4.75)
    assert (second.heading, second.position_accuracy_m) == (None, None)
    assert first.author_id is not None
    assert first.author_id.startswith("folder:")
    assert "Ömer" not in first.author_id
    assert (second.author_id, second.latitude, second.taken_at, second.title) == (None, None, None, "b.jpg")
    assert first.page_url is None
    assert first.image_url is None  # a path on someone's disk is nobody's business


# --- odd trees


def test_hidden_files_and_folders_are_left_out(root: Path, put: Put) -> None:
    for name in (".hidden.jpg", "van/.DS_Store", ".thumbnails/van/a.jpg", "van/.trash/b.jpg"):
        put(name)
    put("van/c.jpg")
    assert found(root) == {"van": ["c.jpg"]}


def test_links(root: Path, put: Put) -> None:
    real = put("van/a.jpg")
    (root / "van" / "loop").symlink_to(root)
    (root / "van" / "self.jpg").symlink_to(root / "van" / "self.jpg")
    (root / "van" / "ping").symlink_to("pong")
    (root / "van" / "pong").symlink_to("ping")
    (root / "van" / "dangling.jpg").symlink_to("../none.jpg")
    (root / "van" / "through.jpg").symlink_to("a.jpg/none.jpg")
    (root / "van" / "control.jpg").symlink_to("\x1b[2J\n")
    (root / "van" / ".hidden.jpg").symlink_to("none.jpg")
    (root / "van" / "link.jpg").symlink_to(real)
    assert found(root) == {
        "van": ["a.jpg", "link.jpg"],
        "folder-link": ["van/loop: is a link to a folder, which is not followed"],
        "broken-link": [
            "van/control.jpg: is a link to [2J, which is not there",
            "van/dangling.jpg: is a link to ../none.jpg, which is not there",
            "van/ping: is a link that leads back to itself",
            "van/pong: is a link that leads back to itself",
            "van/self.jpg: is a link that leads back to itself",
            "van/through.jpg: is a link to a.jpg/none.jpg, which is not there",
        ],
    }


def test_a_table_is_known_as_one_wherever_it_lies(root: Path, put: Put) -> None:
    put("van/a.jpg")
    for name in ("index.CSV", "van/photos.parquet"):
        (root / name).write_bytes(b"file,city\n")
    said = "is a table, no photo: --table FILE takes what it knows of the photos"
    told = found(root)
    assert sorted(told.pop("table")) == [f"index.CSV: {said}", f"van/photos.parquet: {said}"]
    assert told == {"van": ["a.jpg"]}


def test_pipes_sockets_and_devices_do_not_hang_and_are_told(root: Path, put: Put) -> None:
    put("van/a.jpg")
    os.mkfifo(root / "van" / "pipe.jpg")
    os.mkfifo(root / "pipe")
    (root / "van" / "null").symlink_to(os.devnull)
    (root / "van" / "folder.jpg").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(root / "van")  # a socket's path may have about a hundred letters
        try:
            listener.bind("socket")
        finally:
            os.chdir(here)
        seen: list[dict[str, list[str]]] = []
        worker = threading.Thread(target=lambda: seen.append(found(root)), daemon=True)
        worker.start()
        worker.join(20)
    told = [
        "van/null: is a device, not a file",
        "van/pipe.jpg: is a named pipe, not a file",
        "van/socket: is a socket, not a file",
        "pipe: is a named pipe, not a file",
    ]
    assert seen == [{"van": ["a.jpg"], "no-file": told}]


def test_what_is_no_file_is_told_with_its_city(root: Path, put: Put) -> None:
    put("van/a.jpg")
    os.mkfifo(root / "van" / "pipe")
    (root / "ankara").mkdir()
    (root / "ankara" / "b.jpg").symlink_to("none")
    items = list(FolderProvider(root, REGION).search(VAN, Query()))
    assert [item.city for item in items] == ["van", "van"]
    assert [item.reason for item in items if isinstance(item, Unusable)] == ["no-file"]


def test_a_folder_whose_files_cannot_be_looked_at(root: Path, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    """One may list a folder without the right to search it."""
    put("van/a.jpg")
    put("ankara/b.jpg")
    real = os.stat

    def stat(path: Any, *args: Any, **options: Any) -> os.stat_result:
        if isinstance(path, str | os.PathLike) and os.fspath(path).endswith("van/a.jpg"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return real(path, *args, **options)

    monkeypatch.setattr(os, "stat", stat)
    assert found(root) == {"ankara": ["b.jpg"], "unreadable": ["van/a.jpg: Permission denied"]}


@pytest.mark.parametrize(
    ("name", "title"),
    [
        (b"two\nlines.jpg", "two lines.jpg"),
        (b"\x1b[2J.jpg", "[2J.jpg"),
        (b"caf\xe9.jpg", "caf?.jpg"),
        ("çay %41#?&;.jpg".encode(), "çay %41#?&;.jpg"),
        ("東京 👍.jpg".encode(), "東京 👍.jpg"),
        (b"a" * 251 + b".jpg", "a" * 251 + ".jpg"),
    ],
)
def test_odd_names(root: Path, put: Put, name: bytes, title: str) -> None:
    path = put(b"van/" + name)
    provider = FolderProvider(root, REGION)
    (photo,) = provider.search(VAN, Query())
    assert isinstance(photo, Photo)
    assert photo.title == title
    assert photo.photo_id.startswith("folder:")
    assert photo.photo_id.isascii()
    url = provider.image_request(photo).url
    assert urlsplit(url).scheme == "file"
    assert url == path.resolve().as_uri()


def test_odd_names_of_unplaced_files_are_told_fit_to_print(root: Path, put: Put) -> None:
    put(b"\xff\x1b[2J/b\xe9d\n.jpg")
    assert found(root) == {"no-city": ["? [2J/b?d .jpg: in no folder named after a city, and without EXIF coordinates"]}


def test_files_that_are_no_pictures_are_listed_too(root: Path, put: Put) -> None:
    put("van/empty.jpg").write_bytes(b"")
    put("van/notes.txt").write_text("hello")
    put("elsewhere.pdf").write_bytes(b"%PDF-1.4")
    assert found(root)["van"] == ["empty.jpg", "notes.txt"]
    assert len(found(root)["no-city"]) == 1


# --- ids


def ids(root: Path) -> list[str]:
    provider = FolderProvider(root, REGION)
    items: list[Photo | Unusable] = [item for city in REGION.cities for item in provider.search(city, Query())]
    return sorted(item.photo_id for item in [*items, *provider.unplaced()])


def test_ids_belong_to_the_tree_wherever_it_lies(root: Path, put: Put, tmp_path: Path) -> None:
    for seed, name in enumerate([b"van/a.jpg", b"van/b.jpg", b"x/c\xff.jpg", b"d.jpg"]):
        put(name, seed, IN_ANKARA if seed == 3 else None)
    before = ids(root)
    shutil.copytree(root, tmp_path / "copy")
    root.rename(tmp_path / "moved")
    assert ids(tmp_path / "moved") == ids(tmp_path / "copy") == before


def test_no_two_files_share_an_id(root: Path, put: Put) -> None:
    for name in ("van/a.jpg", "van/b.jpg", "van/deep/a.jpg", "ankara/a.jpg", "a.jpg", "x.jpg"):
        put(name, seed=1)  # all of the same bytes
    for name in ("van/e1", "van/e2", "van/empty/e1"):
        put(name).write_bytes(b"")
    assert len(set(ids(root))) == 9


def test_a_changed_file_is_another_photo(root: Path, put: Put) -> None:
    put("van/a.jpg", seed=1)
    before = ids(root)
    put("van/a.jpg", seed=2)
    assert ids(root) != before


# --- limits and mistakes


def test_limit_counts_for_each_city(root: Path, put: Put) -> None:
    for n in range(4):
        put(f"van/{n}.jpg")
        put(f"ankara/{n}.jpg")
    assert found(root, limit=2) == {"ankara": ["0.jpg", "1.jpg"], "van": ["0.jpg", "1.jpg"]}
    assert len(found(root, limit=9)["van"]) == 4


def test_an_empty_folder_has_nothing(root: Path) -> None:
    assert found(root) == {}


@pytest.mark.parametrize("name", ["file", "none", "n" * 256, "file/below"])
def test_a_root_that_is_no_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="no such folder"):
        FolderProvider(tmp_path / name, REGION)


def test_a_file_that_vanishes_after_listing(root: Path, put: Put) -> None:
    put("van/a.jpg")
    gone = put("van/b.jpg")
    provider = FolderProvider(root, REGION)
    search = provider.search(VAN, Query())
    next(search)
    gone.unlink()
    (photo,) = search
    assert isinstance(photo, Photo)
    assert provider.image_request(photo).url.endswith("/van/b.jpg")


def test_it_is_a_provider_that_finds_the_unplaced(root: Path) -> None:
    provider: Provider = FolderProvider(root, REGION)
    assert isinstance(provider, FindsUnplaced)
    assert [*provider.search(IZMIR, Query()), *provider.search(ANKARA, Query())] == []


def test_listing_decodes_no_bomb(root: Path, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `examine` will refuse by its measures is not decoded for its EXIF either."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    side = 12_000
    header = side.to_bytes(4, "big") * 2 + b"\x01\0\0\0\0"  # one bit a pixel
    pixels = zlib.compress(bytes((1 + side // 8) * side))
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    put("van/bomb.png").write_bytes(bomb)
    put("bomb.png").write_bytes(bomb)
    decoded: list[tuple[int, int]] = []
    load_prepare = ImageFile.ImageFile.load_prepare

    def watched(self: ImageFile.ImageFile) -> None:
        decoded.append(self.size)
        load_prepare(self)

    monkeypatch.setattr(ImageFile.ImageFile, "load_prepare", watched)
    with quiet_decoders():
        assert set(found(root)) == {"van", "no-city"}
    assert [size for size in decoded if size[0] * size[1] > Limits().max_pixels] == []


def test_an_eps_file_is_never_handed_to_an_interpreter(root: Path, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*args: object, **kwargs: object) -> None:
        pytest.fail("Ghostscript was called")

    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", forbidden)
    program = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\nshowpage\n%%EOF\n"
    put("van/a.eps").write_bytes(program)
    put("a.jpg").write_bytes(program)
    assert found(root)["van"] == ["a.eps"]


# --- with a table


def with_table(root: Path, *lines: str) -> FolderProvider:
    (root / "photos.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return FolderProvider(root, REGION, table=read_photo_table(root / "photos.csv"))


def everything(provider: FolderProvider) -> list[Photo | Unusable]:
    return [*(item for city in REGION.cities for item in provider.search(city, Query())), *provider.unplaced()]


def test_a_table_is_believed_before_folder_and_exif(root: Path, put: Put) -> None:
    put("van/a.jpg")
    put("b.jpg", at=IN_ANKARA)
    put("c.jpg")
    provider = with_table(
        root,
        "file,city,lat,lon,author,licence,title,page,sequence,heading",
        "van/a.jpg,İzmir,,,Ayşe,CC0,Saat Kulesi,https://e.org/a,walk,90",
        f"b.jpg,,{IN_VAN[0]},{IN_VAN[1]},,,,,,",
        "c.jpg,ankara,,,Ayşe,,,,,",
    )
    a, c, b = sorted(
        (item for item in everything(provider) if isinstance(item, Photo)), key=lambda one: one.city != "izmir"
    )
    by_city = {photo.city: photo for photo in (a, b, c)}
    assert set(by_city) == {"izmir", "van", "ankara"}
    izmir = by_city["izmir"]
    assert (izmir.author_name, izmir.license, izmir.title, izmir.page_url, izmir.heading) == (
        *("Ayşe", "CC0-1.0", "Saat Kulesi", "https://e.org/a", 90.0),
    )
    assert izmir.sequence_id is not None
    assert izmir.author_id == by_city["ankara"].author_id != by_city["van"].author_id
    assert (by_city["van"].latitude, by_city["van"].longitude) == IN_VAN
    assert by_city["ankara"].license == "LicenseRef-Unknown"
    assert provider.account == {"rows": 3, "rows without a file": 0, "files": 3, "files without a row": 0}


def test_rows_and_files_that_do_not_meet_are_accounted_for(root: Path, put: Put) -> None:
    put("van/a.jpg")
    put("van/b.jpg")
    provider = with_table(root, "file,city", "van/a.jpg,", "van/z.jpg,van", "van/b.jpg,Atlantis")
    items = everything(provider)
    assert [item.title for item in items if isinstance(item, Photo)] == ["a.jpg"]
    assert [(item.reason, item.detail) for item in items if isinstance(item, Unusable)] == [
        ("unknown-city", "van/b.jpg: photos.csv line 4 says 'Atlantis': no city of turkiye15"),
        ("row-without-file", "van/z.jpg: no such file (photos.csv line 3)"),
    ]
    assert provider.account == {"rows": 3, "rows without a file": 1, "files": 2, "files without a row": 0}


def test_a_place_that_contradicts_the_tables_city(root: Path, put: Put) -> None:
    put("a.jpg")
    items = everything(with_table(root, "file,city,lat,lon", f"a.jpg,van,{IN_ANKARA[0]},{IN_ANKARA[1]}"))
    assert [item.reason for item in items if isinstance(item, Unusable)] == ["outside-city"]


def test_hostile_texts_of_a_table_stay_texts(root: Path, put: Put) -> None:
    put("van/a.jpg")
    (photo,) = everything(with_table(root, "file,author,title", 'van/a.jpg,"\x1b[31m<b>A</b>","x\ny"'))
    assert isinstance(photo, Photo)
    assert (photo.author_name, photo.title) == ("[31m<b>A</b>", "x y")
