"""Names that say places, and folders of them written and read."""

import errno
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import utm
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import DataError, IncompleteError, UsageError
from collector.geo import distance_km
from collector.imports.importing import read_data_set
from collector.imports.kinds import kind_named
from collector.manifest.manifest import Header, Manifest, build_manifest
from collector.manifest.vpr import export_vpr, name_of, read_name
from collector.records import City, Photo
from collector.workspace import Workspace

HERE = Photo(
    photo_id="folder:a@b/../c",
    city="ankara",
    latitude=39.93,
    longitude=32.86,
    heading=271.0,
    taken_at=datetime(2020, 5, 4, tzinfo=UTC),
    width=64,
    height=64,
    bytes=3,
    sha256="ab" * 32,
    split="train",
)


def test_a_name_by_hand() -> None:
    name = name_of(HERE, None)
    assert name == f"@0488037.45@4419997.33@36@S@39.93000@32.86000@{'ab' * 32}@@271.00@@@@20200504@@.jpg"
    assert len(name.split("@")) == 16
    said = read_name(f"some/folder/{name}")
    assert said is not None
    assert (said.latitude, said.longitude, said.panorama, said.heading) == (39.93, 32.86, "ab" * 32, 271.0)
    assert (said.time, said.note) == ("20200504", None)


@given(st.floats(-79.9, 83.9), st.floats(-179.9, 179.9))
def test_utm_alone_says_the_place(latitude: float, longitude: float) -> None:
    fields = name_of(replace(HERE, latitude=latitude, longitude=longitude), None).split("@")
    fields[5] = fields[6] = ""
    said = read_name("@".join(fields))
    assert said is not None
    assert distance_km(latitude, longitude, said.latitude, said.longitude) < 0.0001


@pytest.mark.parametrize(
    "name", ["photo.jpg", "@1@2@.jpg", "@a@b@36@S@.jpg", "@1@2@36@S@95@200@.jpg", "@1@2@99@S@@@.jpg", "@", ""]
)
def test_other_names_say_nothing(name: str) -> None:
    assert read_name(name) is None


def test_the_names_of_the_field_s_own_files() -> None:
    """As VPR-datasets-downloader and SF-XL write them."""
    sf_xl = "@0543256.96@4178906.70@10@S@037.75700@-122.50884@PANOID@@090@@@@201311@@.jpg"
    said = read_name(sf_xl)
    assert said is not None
    assert (said.latitude, said.longitude, said.heading, said.panorama) == (37.757, -122.50884, 90.0, "PANOID")
    pitts = read_name("@0585001.23@4476814.25@17@T@40.43602@-79.99775@000000@01@@@@@@pitch1_yaw1@.jpg")
    assert pitts is not None
    assert (pitts.heading, pitts.note) == (None, "pitch1_yaw1")


def world(root: Path, **changed: float) -> tuple[Manifest, Workspace]:
    workspace = Workspace(root / "workspace")
    photos = []
    for number, side in enumerate(("train", "train", "test", "val")):
        digest = f"{number:02d}" * 32
        workspace.photo(digest).parent.mkdir(parents=True, exist_ok=True)
        workspace.photo(digest).write_bytes(bytes([number] * 3))
        longitude = 32.86 + 0.001 * number + (changed.get("far", 0.0) if number == 1 else 0.0)
        photos.append(
            replace(
                HERE, photo_id=f"folder:{number}", sha256=digest, split=side, longitude=longitude, heading=10.0 * number
            )
        )
    photos.append(replace(HERE, photo_id="folder:nowhere", sha256="ee" * 32, latitude=None, longitude=None))
    header = Header(
        name="small",
        version="1.0.0",
        region="small",
        title="",
        note="",
        seed=0,
        quotas={},
        rules={},
        cities=(City("ankara", "Ankara", 39.93, 32.86, 10.0),),
        protocol="place",
    )
    return build_manifest(header, photos, "tests"), workspace


def test_a_folder_is_written_and_read_again(tmp_path: Path) -> None:
    manifest, workspace = world(tmp_path)
    done = export_vpr(manifest, workspace, tmp_path / "out")
    assert (done.photos, done.left_out) == ({"train": 2, "test": 1, "val": 1}, 1)
    assert len(list((tmp_path / "out" / "images" / "test" / "database").iterdir())) == 2
    query = next((tmp_path / "out" / "images" / "test" / "queries").iterdir())
    assert query.read_bytes() == bytes([2] * 3)
    east, north = map(float, query.name.split("@")[1:3])
    assert (east, north) == pytest.approx(utm.from_latlon(39.93, 32.862)[:2], abs=0.01)
    data = read_data_set(kind_named("vpr"), tmp_path / "out", tmp_path, name="out")
    assert sorted(str(side) for side in data.sides) == ["test", "train", "train", "val"]
    row = next(data.table.row(n) for n in range(4) if data.sides[n] == "test")
    assert (row.latitude, row.longitude, row.heading) == (39.93, 32.862, 20.0)
    assert row.author_id == row.sequence == "02" * 32
    for place, why in (("out", "not empty"), ("out/images/test/queries/" + query.name, "a file")):
        with pytest.raises(UsageError, match=why):
            export_vpr(manifest, workspace, tmp_path / place)


def test_a_folder_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest, workspace = world(tmp_path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no room")

    with monkeypatch.context() as patch:
        patch.setattr("os.link", full)
        patch.setattr("shutil.copyfile", full)
        with pytest.raises(IncompleteError, match="disk is full"):
            export_vpr(manifest, workspace, tmp_path / "out")
    assert export_vpr(manifest, workspace, tmp_path / "out").photos == {"train": 2, "test": 1, "val": 1}


def test_photos_too_far_apart_are_refused(tmp_path: Path) -> None:
    manifest, workspace = world(tmp_path, far=15.0)
    with pytest.raises(DataError, match="1 photo too far from UTM's zone 36"):
        export_vpr(manifest, workspace, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_to_write(tmp_path: Path) -> None:
    manifest, _ = world(tmp_path)
    with pytest.raises(DataError, match="no gallery photo, or no query"):
        export_vpr(manifest, Workspace(tmp_path / "elsewhere"), tmp_path / "out")
    with pytest.raises(DataError, match="80° S"):
        name_of(replace(HERE, latitude=89.0), None)


def test_a_folder_without_such_names(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.jpg").write_bytes(b"x")
    with pytest.raises(DataError, match="no picture in it is called @UTM_east"):
        read_data_set(kind_named("vpr"), tmp_path, tmp_path)


def test_parts_beside_test_have_no_side(tmp_path: Path) -> None:
    for folder in (
        "train/database",
        "train/queries",
        "val/database",
        "val/queries",
        "test/database",
        "test/queries_v1",
    ):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / name_of(replace(HERE, sha256=f"{len(folder):02d}" * 32), None)).write_bytes(b"x")
    data = read_data_set(kind_named("vpr"), tmp_path, tmp_path)
    sides = {str(data.table.row(n).file).rpartition("/")[0]: data.sides[n] for n in range(6)}
    assert sides == {
        "train/database": None,
        "train/queries": None,
        "val/database": None,
        "val/queries": "val",
        "test/database": "train",
        "test/queries_v1": "test",
    }
