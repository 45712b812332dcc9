"""Shards: which photos they hold, that they are the same bytes each time, and what is refused."""

import hashlib
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from collector.errors import DataError, IncompleteError, UsageError
from collector.images.decode import open_image
from collector.images.shards import INDEX, PLACES, Shards, has_photo, open_shards, stored_photo
from collector.images.strip_metadata import stripped
from collector.manifest.manifest import Manifest, build_manifest
from collector.publishing.shards import write_shards
from collector.workspace import Workspace, store_photo
from tests.collector.conftest import HEADER
from tests.conftest import MakePhoto, PhotoBytes

PHOTOS = 12


@pytest.fixture
def manifest(workspace: Workspace, make_photo: MakePhoto, photo_bytes: PhotoBytes) -> Manifest:
    """Return a manifest of twelve photos: a PNG, one without a file, one under a closed licence, the others free JPEGs."""
    photos = []
    for number in range(PHOTOS):
        data = photo_bytes(number, format="PNG") if number == 3 else photo_bytes(number, comment="4711")
        digest = hashlib.sha256(data).hexdigest()
        if number != 5:
            store_photo(workspace, digest, data)
        licence = "LicenseRef-AllRightsReserved" if number == 7 else "CC0-1.0"
        photos.append(make_photo(number, license=licence, sha256=digest))
    return build_manifest(HEADER, photos, "t15 test")


def members(folder: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for shard in sorted(folder.glob("*.tar")):
        with tarfile.open(shard) as tar:
            for one in tar:
                file = tar.extractfile(one)
                assert file is not None
                assert (one.mtime, one.uid, one.uname) == (0, 0, "")
                found[f"{shard.name}/{one.name}"] = file.read()
    return found


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_may_be_passed_on_is_there_with_its_row(manifest: Manifest, workspace: Workspace, tmp_path: Path) -> None:
    done = write_shards(manifest, workspace, tmp_path / "shards")
    assert done.left_out == {"licence": 1, "missing": 1}
    assert sum(done.photos.values()) == PHOTOS - 2
    files = members(tmp_path / "shards")
    rows = {row["photo_id"]: row for row in manifest.rows.to_pylist()}
    told = {name: json.loads(data) for name, data in files.items() if name.endswith(".json")}
    assert {row["photo_id"] for row in told.values()} == rows.keys() - {"made:0005", "made:0007"}
    for name, row in told.items():
        of = rows[row["photo_id"]]
        assert name.startswith(f"{of['split']}-")
        assert {**row, "taken_at": None} == {**of, "taken_at": None}
        suffix = ".png" if row["photo_id"] == "made:0003" else ".jpg"
        photo = files[name.replace(".json", suffix)]
        assert photo == stripped(workspace.photo(of["sha256"]).read_bytes())[0]
        assert b"4711" not in photo


def test_a_store_holds_the_same_bytes(manifest: Manifest, workspace: Workspace, tmp_path: Path) -> None:
    store = pytest.importorskip("fsspec").filesystem("memory")
    address = f"memory://{tmp_path.name}/shards"
    assert write_shards(manifest, workspace, address) == write_shards(manifest, workspace, tmp_path / "shards")
    expected = content(tmp_path / "shards")
    assert {name.rsplit("/")[-1]: store.cat_file(name) for name in store.ls(address, detail=False)} == expected
    assert write_shards(manifest, workspace, address).shards  # the same again
    shards = open_shards(address)
    here = open_shards(tmp_path / "shards")
    held = [row["sha256"] for row in manifest.rows.to_pylist() if shards.holds(row["sha256"])]
    assert len(held) == PHOTOS - 2
    assert all(shards.read(sha256) == here.read(sha256) for sha256 in held)
    assert stored_photo(Workspace(tmp_path, address), held[0]) == here.read(held[0])
    store.rm(f"{address}/train-000000.tar")
    with pytest.raises(DataError, match=r"^memory://.*train-000000.tar: is missing; write the shards again"):
        [shards.read(sha256) for sha256 in held]


def test_a_store_that_cannot_be_used_is_one_line(
    manifest: Manifest, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = pytest.importorskip("fsspec.implementations.memory").MemoryFileSystem

    def refuses(error: Exception) -> Any:
        def put(*_: object) -> None:
            raise error

        return put

    with pytest.raises(UsageError, match=r"^nostore://a: .*nostore"):
        open_shards("nostore://a")
    with pytest.raises(UsageError, match=r"holds no index\.json"):
        open_shards("memory://nothing")
    for error, kind, said in (
        (PermissionError("denied"), UsageError, "does not permit it"),
        (FileNotFoundError("no"), UsageError, "no such bucket"),
        (RuntimeError("quota\nexceeded"), IncompleteError, r"cannot be used \(quota exceeded\); run the same command"),
    ):
        monkeypatch.setattr(memory, "put_file", refuses(error))
        with pytest.raises(kind, match=f"^memory://full: .*{said}"):
            write_shards(manifest, workspace, "memory://full")
        monkeypatch.undo()
        with pytest.raises(UsageError, match=r"holds no index\.json"):
            open_shards("memory://full")


def test_the_index_is_that_of_the_bytes(manifest: Manifest, workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    write_shards(manifest, workspace, folder)
    index = json.loads((folder / INDEX).read_bytes())
    for of in index["shardlist"]:
        data = (folder / of["url"]).read_bytes()
        assert (of["filesize"], of["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert index["photos_sha256"] == hashlib.sha256((folder / PLACES).read_bytes()).hexdigest()
    assert index["manifest"]["digest"] == manifest.digest
    shards = open_shards(folder)
    by_row = {json.loads(data)["sha256"]: name for name, data in members(folder).items() if name.endswith(".json")}
    pictures = {name.rsplit(".", 1)[0]: data for name, data in members(folder).items() if not name.endswith(".json")}
    for sha256 in manifest.table["sha256"].to_pylist():
        assert shards.holds(sha256) == (sha256 in by_row)
        if sha256 in by_row:
            assert shards.read(sha256) == pictures[by_row[sha256].removesuffix(".json")]


def test_the_same_each_time_and_within_the_bound(manifest: Manifest, workspace: Workspace, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_shards(manifest, workspace, tmp_path / name, shard_bytes=20_000)
    assert content(tmp_path / "one") == content(tmp_path / "two")
    write_shards(manifest, workspace, tmp_path / "one", shard_bytes=20_000)  # again in the same place
    assert content(tmp_path / "one") == content(tmp_path / "two")
    sizes = [path.stat().st_size for path in (tmp_path / "one").glob("*.tar")]
    assert len(sizes) > 3
    largest = max(map(len, members(tmp_path / "one").values()))
    assert max(sizes) <= max(20_000, largest + 8 * 512)
    write_shards(manifest, workspace, tmp_path / "one")  # with other options: nothing of the old ones stays
    assert len(list((tmp_path / "one").glob("*.tar"))) == 3
    assert open_shards(tmp_path / "one").names == ("train-000000.tar", "val-000000.tar", "test-000000.tar")


def test_a_folder_with_somebody_s_own_tar_files_is_refused(
    manifest: Manifest, workspace: Workspace, tmp_path: Path
) -> None:
    backup = tmp_path / "backups" / "backup.tar"
    backup.parent.mkdir()
    backup.write_text("kept", encoding="utf-8")
    with pytest.raises(UsageError, match=r"holds other things \(backup.tar\)"):
        write_shards(manifest, workspace, backup.parent)
    assert list(backup.parent.iterdir()) == [backup]


def test_originals_stay_as_they_are(manifest: Manifest, workspace: Workspace, tmp_path: Path) -> None:
    done = write_shards(manifest, workspace, tmp_path / "shards", originals=True)
    assert done.left_out == {"missing": 1}
    shards = open_shards(tmp_path / "shards")
    for sha256 in manifest.table["sha256"].to_pylist():
        assert not shards.holds(sha256) or hashlib.sha256(shards.read(sha256)).hexdigest() == sha256


def test_bytes_that_one_row_forbids_stay_out(
    workspace: Workspace, make_photo: MakePhoto, photo_bytes: PhotoBytes, tmp_path: Path
) -> None:
    data = photo_bytes(1)
    digest = hashlib.sha256(data).hexdigest()
    store_photo(workspace, digest, data)
    free = photo_bytes(2)
    store_photo(workspace, hashlib.sha256(free).hexdigest(), free)
    photos = [
        make_photo(1, sha256=digest, license="CC0-1.0"),
        make_photo(2, sha256=digest, license="LicenseRef-Unknown"),
        make_photo(3, sha256=hashlib.sha256(free).hexdigest(), license="CC0-1.0"),
    ]
    done = write_shards(build_manifest(HEADER, photos, "t15 test"), workspace, tmp_path / "shards")
    assert done.left_out == {"licence": 2}


def test_what_is_refused(manifest: Manifest, workspace: Workspace, make_photo: MakePhoto, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"holds other things \(notes.txt\)"):
        write_shards(manifest, workspace, tmp_path / "other")
    write_shards(manifest, workspace, tmp_path / "shards")
    another = build_manifest(HEADER, [make_photo(1)], "t15 test")
    with pytest.raises(UsageError, match="shards of another manifest"):
        write_shards(another, workspace, tmp_path / "shards")
    with pytest.raises(DataError, match=r"no photo of .* is written \(1: not in the workspace\); `t15 rehydrate`"):
        write_shards(another, workspace, tmp_path / "none")
    assert not (tmp_path / "none").exists()
    with pytest.raises(UsageError, match=r"holds no index.json; `t15 export MANIFEST --shards DIR`"):
        open_shards(tmp_path / "none")


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"shardlist": 3}', '{"shardlist": [{"url": "../x.tar", "split": "train"}]}']
)
def test_a_damaged_index_is_refused(manifest: Manifest, workspace: Workspace, tmp_path: Path, text: str) -> None:
    folder = tmp_path / "shards"
    write_shards(manifest, workspace, folder)
    (folder / INDEX).write_text(text)
    with pytest.raises(DataError, match="its index is damaged"):
        open_shards(folder)


def test_a_damaged_or_missing_shard_is_named(manifest: Manifest, workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    write_shards(manifest, workspace, folder)
    shards: Shards = open_shards(folder)
    sha256 = next(of for of in manifest.table["sha256"].to_pylist() if shards.holds(of))
    name, offset = shards.place(sha256) or (0, 0)
    path = folder / shards.names[name]
    data = bytearray(path.read_bytes())
    data[offset + 100] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=rf"{path.name}: damaged: the photo of sha256 {sha256[:12]}"):
        shards.read(sha256)
    path.unlink()
    with pytest.raises(DataError, match=rf"{path.name}: is missing"):
        shards.read(sha256)
    for nonsense in ("", "ab", "x" * 64, "0" * 64):
        assert not shards.holds(nonsense)


def test_a_workspace_takes_photos_from_its_shards_first(
    manifest: Manifest, workspace: Workspace, tmp_path: Path
) -> None:
    write_shards(manifest, workspace, tmp_path / "shards")
    both = Workspace(workspace.root, tmp_path / "shards")
    kinds = {sha256: type(stored_photo(both, sha256)) for sha256 in manifest.table["sha256"].to_pylist()}
    assert sum(kind is bytes for kind in kinds.values()) == PHOTOS - 2
    assert sum(has_photo(both, sha256) for sha256 in kinds) == PHOTOS - 1
    assert not any(has_photo(Workspace(tmp_path / "nowhere"), sha256) for sha256 in kinds)


def test_webdataset_reads_them(manifest: Manifest, workspace: Workspace, tmp_path: Path) -> None:
    pytest.importorskip("webdataset")
    write_shards(manifest, workspace, tmp_path / "shards")
    urls = sorted(str(path) for path in (tmp_path / "shards").glob("*.tar"))
    code = f"""if True:
        import webdataset  # in a process of its own: it leaves files open
        samples = list(webdataset.WebDataset({urls!r}, shardshuffle=False).decode("pil"))
        for sample in samples:
            print(sample["json"]["photo_id"], sample.get("jpg", sample.get("png")).size)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    told = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert len(told) == PHOTOS - 2
    for photo_id, size in told.items():
        data = stored_photo(Workspace(workspace.root, tmp_path / "shards"), sha256_of(manifest, photo_id))
        with open_image(data) as image:
            assert str(image.size) == size


def sha256_of(manifest: Manifest, photo_id: str) -> str:
    return str(next(row["sha256"] for row in manifest.rows.to_pylist() if row["photo_id"] == photo_id))
