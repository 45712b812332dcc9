"""Manifests that were damaged or changed: the reader says so, and says where."""

import json
import random
import re
from collections.abc import Callable
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from collector.errors import DataError, UsageError
from collector.manifest.export import export
from collector.manifest.manifest import FORMAT, Manifest, build_manifest, read_manifest, write_manifest
from tests.collector.conftest import HEADER
from tests.conftest import MakePhoto


def says(folder: Path) -> str:
    """Return the error of reading, which names the file, in one line."""
    with pytest.raises(DataError) as raised:
        read_manifest(folder)
    said = str(raised.value)
    assert said.startswith((str(folder / "photos.parquet"), str(folder / "manifest.json")))
    assert "\n" not in said
    return said.removeprefix(str(folder)).lstrip("/")


def edit_rows(folder: Path, edit: Callable[[pd.DataFrame], pd.DataFrame | None]) -> None:
    """Change the rows as someone with pandas would."""
    frame = pd.read_parquet(folder / "photos.parquet")
    changed = edit(frame)
    (frame if changed is None else changed).to_parquet(folder / "photos.parquet", index=False)


def edit_table(folder: Path, edit: Callable[[pa.Table], pa.Table]) -> None:
    table = pq.read_table(folder / "photos.parquet")
    pq.write_table(edit(table), folder / "photos.parquet")


def edit_json(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "manifest.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    edit(data)
    path.write_text(json.dumps(data), encoding="utf-8")


def put(row: int, column: str, value: object) -> Callable[[pd.DataFrame], None]:
    def edit(frame: pd.DataFrame) -> None:
        if not isinstance(value, float | int) or column in ("latitude", "longitude", "width"):
            frame[column] = frame[column].astype(object) if value is None else frame[column]
        frame.loc[row, column] = value  # type: ignore[call-overload]

    return edit


# --- rows


def test_rewriting_without_a_change_is_no_damage(small: Manifest, folder: Path) -> None:
    edit_rows(folder, lambda frame: frame)
    assert read_manifest(folder).digest == small.digest


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("title", "another title"),
        ("title", ""),
        ("author_name", None),
        ("latitude", 39.50400000000001),
        ("city", "van"),
        ("split", "test"),
        ("width", 641),
        ("sha256", "0" * 64),
        ("phash", None),
        ("license", "CC0-1.0"),
        ("taken_at", pd.Timestamp("2019-05-05 12:30:00.000005", tz="UTC")),
        ("group_id", "made:0000"),
    ],
)
def test_a_changed_value_is_found(folder: Path, column: str, value: object) -> None:
    edit_rows(folder, put(4, column, value))
    assert says(folder) == (
        f"photos.parquet: row 4 (photo_id 'made:0004'), column {column}: the value is not the published one; "
        "fetch the manifest again"
    )


def test_a_changed_id_is_found(folder: Path) -> None:
    edit_rows(folder, put(4, "photo_id", "made:0004b"))
    assert says(folder).startswith("photos.parquet: row 4 (photo_id 'made:0004b'), column photo_id: the value is not")


@pytest.mark.parametrize(
    ("column", "value", "fault"),
    [
        ("latitude", 91.0, "row 4 (photo_id 'made:0004'), column latitude: 91.0 must be from -90 to 90"),
        ("latitude", float("nan"), "row 4 (photo_id 'made:0004'), column latitude: latitude and longitude must both"),
        ("city", "izmir", "row 4 (photo_id 'made:0004'), column city: 'izmir' must be a city of manifest.json"),
        ("split", "dev", "row 4 (photo_id 'made:0004'), column split: 'dev' must be one of train, val, test"),
        ("photo_id", "made:0005", "(photo_id 'made:0005'), column photo_id: 'made:0005' must be unique"),
        ("sha256", None, "column sha256"),
        ("city", None, "column city"),
        ("split", None, "column split"),
    ],
)
def test_a_wrong_value_is_named(folder: Path, column: str, value: object, fault: str) -> None:
    edit_rows(folder, put(4, column, value))
    assert fault in says(folder)


def test_a_key_in_an_address_is_not_printed(folder: Path) -> None:
    edit_rows(folder, put(4, "image_url", "https://maps.example/?key=AIzaSECRET"))
    said = says(folder)
    assert "row 4 (photo_id 'made:0004'), column image_url: must not carry a key or a signature" in said
    assert "SECRET" not in said


def test_rows_added_removed_and_reordered(folder: Path) -> None:
    edit_rows(folder, lambda frame: frame.drop(index=7))
    assert "rows were added or removed" in says(folder)


def test_rows_added(folder: Path) -> None:
    edit_rows(folder, lambda frame: pd.concat([frame, frame.tail(1).assign(photo_id="made:9999")]))
    assert "rows were added or removed" in says(folder)


def test_rows_out_of_order(folder: Path) -> None:
    edit_rows(folder, lambda frame: frame.iloc[[1, 0, *range(2, 30)]])
    assert says(folder).startswith("photos.parquet: row 0 (photo_id 'made:0001'), column photo_id")


def test_all_rows_removed(folder: Path) -> None:
    edit_table(folder, lambda table: table.slice(0, 0))
    assert "rows were added or removed" in says(folder)


def test_a_missing_column(folder: Path) -> None:
    edit_rows(folder, lambda frame: frame.drop(columns=["dhash"]))
    assert says(folder) == "photos.parquet: column dhash is there 0 times, not once; fetch the manifest again"


def test_a_column_more_is_accepted(small: Manifest, folder: Path) -> None:
    edit_rows(folder, lambda frame: frame.assign(weather="fine", altitude=1.5))
    found = read_manifest(folder)
    assert found.digest == small.digest
    assert found.table.column_names == small.table.column_names


# --- columns that are not known, and such as are missing


EXTRA = {
    "weather": pa.array(["fine", None, "rain"] * 10),
    "altitude": pa.array([1.5, float("nan"), None] * 10),
    "tags": pa.array([["a", "b"], [], None] * 10),
    "seen": pa.array([datetime(2020, 1, 1)] * 30),
    "bytes more": pa.array([b"\xff\x00"] * 30),
}


def with_extra(folder: Path, **columns: pa.Array) -> Manifest:
    def edit(table: pa.Table) -> pa.Table:
        for name, values in columns.items():
            table = table.append_column(name, values)
        return table

    edit_table(folder, edit)
    return read_manifest(folder)


def test_columns_that_are_not_known_are_kept_with_a_digest_of_their_own(
    small: Manifest, folder: Path, tmp_path: Path
) -> None:
    manifest = with_extra(folder, **EXTRA)
    assert manifest.digest == small.digest
    assert manifest.extra is not None
    assert manifest.extra.column_names == list(EXTRA)
    assert manifest.columns == (*small.columns, *EXTRA)
    assert len(manifest.extra_digest) == 64
    write_manifest(manifest, tmp_path / "again")
    again = read_manifest(tmp_path / "again")
    assert again.extra is not None
    assert again.extra.equals(manifest.extra) or again.extra.column_names == manifest.extra.column_names  # NaN
    assert (again.digest, again.extra_digest) == (small.digest, manifest.extra_digest)
    stream = BytesIO()
    export(again, stream, columns=["photo_id", "weather"])
    assert stream.getvalue().splitlines()[1] == b"made:0000,fine"


def test_the_order_of_unknown_columns_does_not_count_and_their_values_do(folder: Path) -> None:
    first = with_extra(folder, weather=EXTRA["weather"], altitude=EXTRA["altitude"]).extra_digest
    edit_table(folder, lambda table: table.drop_columns(["weather", "altitude"]))
    assert with_extra(folder, altitude=EXTRA["altitude"], weather=EXTRA["weather"]).extra_digest == first
    edit_table(folder, lambda table: table.drop_columns(["weather"]))
    assert with_extra(folder, weather=pa.array(["fog"] * 30)).extra_digest != first


@pytest.mark.parametrize("change", ["value", "gone"])
def test_published_unknown_columns_that_were_changed(folder: Path, tmp_path: Path, change: str) -> None:
    written = tmp_path / "again"
    write_manifest(with_extra(folder, weather=EXTRA["weather"]), written)
    edit_table(written, lambda table: table.drop_columns(["weather"]))
    if change == "value":
        edit_table(written, lambda table: table.append_column("weather", pa.array(["fog"] * 30)))
    assert re.search(r"photos\.parquet: columns unknown to this t15 .*: not as published", says(written))


def test_columns_without_a_value_may_be_missing(small: Manifest, folder: Path) -> None:
    absent = ["heading", "sequence_id", "position_accuracy_m", "label"]
    edit_table(folder, lambda table: table.drop_columns(absent))
    assert read_manifest(folder).digest == small.digest
    assert {photo.heading for photo in read_manifest(folder).photos("train")} == {None}


@pytest.mark.parametrize("column", ["photo_id", "city", "sha256", "split"])
def test_columns_that_no_manifest_lacks(folder: Path, column: str) -> None:
    edit_table(folder, lambda table: table.drop_columns([column]))
    assert says(folder) == f"photos.parquet: column {column} is there 0 times, not once; fetch the manifest again"


def test_a_file_that_claims_more_rows_than_it_has_bytes(folder: Path) -> None:
    path = folder / "photos.parquet"
    nothing = pa.table({name: pa.nulls(100_000, pa.string()) for name in ("photo_id", "city")})
    pq.write_table(nothing, path)
    assert path.stat().st_size < 100_000
    assert re.fullmatch(r"photos\.parquet: claims 100000 rows, which \d+ bytes cannot hold", says(folder))


@pytest.mark.parametrize(
    ("column", "values", "fault"),
    [
        ("latitude", pa.array(["north"] * 30), "column latitude"),
        ("width", pa.array(["wide"] * 30), "column width"),
        ("width", pa.array([2**40] * 30), "column width"),
        ("taken_at", pa.array(["yesterday"] * 30), "column taken_at"),
        ("title", pa.array([[1, 2]] * 30), "column title"),
        ("title", pa.array([b"\xff\xfe"] * 30), "column title"),
        ("city", pa.nulls(30), "column city"),
        ("latitude", pa.array([float("nan")] * 30), "column latitude"),
        ("taken_at", pa.array([2**60] * 30, pa.timestamp("us", "UTC")), "column taken_at"),
        ("taken_at", pa.array([-(2**60)] * 30, pa.timestamp("us", "UTC")), "column taken_at"),
    ],
)
def test_a_column_of_another_type(folder: Path, column: str, values: pa.Array, fault: str) -> None:
    edit_table(folder, lambda table: table.set_column(table.column_names.index(column), column, values))
    assert fault in says(folder)


def test_locations_that_are_not_numbers(folder: Path) -> None:
    def edit(table: pa.Table) -> pa.Table:
        nan = pa.array([float("nan")] * 30)
        return table.set_column(2, "latitude", nan).set_column(3, "longitude", nan)

    edit_table(folder, edit)
    assert "column latitude" in says(folder)


def test_columns_in_another_order_are_the_same_data(small: Manifest, folder: Path) -> None:
    edit_table(folder, lambda table: table.select(table.column_names[::-1]))
    assert read_manifest(folder).digest == small.digest


def test_a_column_twice(folder: Path) -> None:
    edit_table(folder, lambda table: table.append_column("title", table["author_name"]))
    assert "column title" in says(folder)


# --- the bytes of the Parquet file


def read_or_refuse(folder: Path) -> str | None:
    """Return the digest of what was read, None when it was refused as it should be."""
    try:
        return read_manifest(folder).digest
    except (DataError, UsageError):
        return None


def test_a_flipped_byte_is_never_passed_over(small: Manifest, folder: Path) -> None:
    path = folder / "photos.parquet"
    whole = path.read_bytes()
    numbers = random.Random(0)
    refused = 0
    for at in sorted(numbers.sample(range(len(whole)), 250)):
        damaged = bytearray(whole)
        damaged[at] ^= numbers.randrange(1, 256)
        path.write_bytes(damaged)
        digest = read_or_refuse(folder)
        # Some bytes of the file say nothing of the data (statistics, the writer's name): then all is as published.
        assert digest in (None, small.digest), at
        refused += digest is None
    assert refused > 150


def test_a_flipped_byte_of_the_data_is_located(folder: Path) -> None:
    path = folder / "photos.parquet"
    whole = path.read_bytes()
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    located = 0
    for at in range(4, footer, 97):
        damaged = bytearray(whole)
        damaged[at] ^= 0x55
        path.write_bytes(damaged)
        if read_or_refuse(folder) is None:
            located += bool(re.search(r"rows 0 to 29, column \w+: damaged", says(folder)))
    assert located > 20


@pytest.mark.parametrize("keep", [0, 1, 4, 100, 0.5, -1, -8, -100])
def test_a_truncated_file(folder: Path, keep: float) -> None:
    path = folder / "photos.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    assert "is truncated or no Parquet file" in says(folder)
    assert "fetch the manifest again" in says(folder)


def test_files_that_are_missing(folder: Path) -> None:
    (folder / "photos.parquet").unlink()
    assert says(folder) == "photos.parquet: is missing; fetch the manifest again"
    (folder / "photos.parquet").mkdir()
    assert "photos.parquet" in says(folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(UsageError, match=r"holds no manifest\.json; give the folder of a manifest"):
        read_manifest(folder)
    with pytest.raises(UsageError, match="no such file or folder; give the folder of a manifest"):
        read_manifest(folder / "manifest.json")


# --- the JSON


def test_a_changed_seed(folder: Path) -> None:
    edit_json(folder, lambda data: data.update(seed=8))
    assert says(folder) == "manifest.json: was changed (the rows are as published); fetch the manifest again"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("digest", "0" * 64),
        ("name", "other"),
        ("version", "9.9.9"),
        ("note", "not drawn at all"),
        ("quotas", {"train": 1}),
        ("rules", {}),
        ("parent", {"version": "0.9.0", "digest": "0" * 64}),
    ],
)
def test_changed_fields(folder: Path, field: str, value: object) -> None:
    edit_json(folder, lambda data: data.update({field: value}))
    assert "manifest.json: was changed" in says(folder)


def test_changed_cities(folder: Path) -> None:
    edit_json(folder, lambda data: data["cities"].reverse())
    assert "manifest.json: was changed" in says(folder)


def test_a_removed_city(folder: Path) -> None:
    edit_json(folder, lambda data: data["cities"].pop())
    assert "column city: 'van' must be a city of manifest.json" in says(folder)


@pytest.mark.parametrize("counts", [{"ankara": {"train": 9}}, {}, "many"])
def test_changed_counts(folder: Path, counts: object) -> None:
    """People read them there, so they must not say anything but the truth."""
    edit_json(folder, lambda data: data.update(counts=counts))
    assert "manifest.json" in says(folder)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"7",
        b'"text"',
        b"{}",
        b"\xff\xfe{}",
        b'{"format": 1}',
        b'{"format": "1"}',
        b'{"format": null}',
        b'{"format": true}',
        b'{"format": 0}',
        b'{"format": 1e999}',
        b"[" * 100_000,
        b'{"format": ' + b"9" * 5000 + b"}",
    ],
)
def test_what_is_no_header(folder: Path, content: bytes) -> None:
    (folder / "manifest.json").write_bytes(content)
    assert says(folder).startswith("manifest.json: ")


def test_a_newer_format(folder: Path) -> None:
    edit_json(folder, lambda data: data.update(format=FORMAT + 1))
    assert says(folder) == (
        f"manifest.json: was made by a newer t15 (format {FORMAT + 1}, this one reads up to {FORMAT}); install a newer t15"
    )


def test_fields_that_are_not_known_are_ignored(small: Manifest, folder: Path) -> None:
    edit_json(folder, lambda data: data.update(weather="fine"))
    assert read_manifest(folder).digest == small.digest


FIELDS = (
    *("format", "name", "version", "region", "title", "note", "seed", "quotas", "rules", "cities", "hashes", "parent"),
    *("digest", "checks"),
)


@pytest.mark.parametrize("field", FIELDS)
def test_a_missing_field(folder: Path, field: str) -> None:
    edit_json(folder, lambda data: data.pop(field))
    assert says(folder).startswith("manifest.json: ")


WRONG: list[Any] = [None, True, 7, -1.5, float("nan"), "x", "half \ud800", [], [[]], [7], {}, {"x": []}]


def put_json(folder: Path, part: str | None, field: str, value: object) -> None:
    """Set a field of manifest.json, or of its first city or its checks."""

    def edit(data: dict[str, Any]) -> None:
        place = {None: data, "city": data["cities"][:1], "checks": data["checks"]}[part]
        (place[0] if isinstance(place, list) else place)[field] = value

    edit_json(folder, edit)


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_of_another_kind(small: Manifest, folder: Path, field: str) -> None:
    whole = (folder / "manifest.json").read_bytes()
    before = json.loads(whole)[field]
    for value in WRONG:
        (folder / "manifest.json").write_bytes(whole)
        put_json(folder, None, field, value)
        if before == value and type(before) is type(value):
            assert read_manifest(folder).digest == small.digest
        else:
            assert "manifest.json" in says(folder), value


@pytest.mark.parametrize("field", ["slug", "name", "latitude", "radius_km", "aliases", "plate"])
def test_a_city_s_field_of_another_kind(folder: Path, field: str) -> None:
    for value in WRONG:
        put_json(folder, "city", field, value)
        assert "manifest.json" in says(folder), value


@pytest.mark.parametrize("field", ["columns", "rows", "rows_per_check"])
def test_checks_that_are_damaged_beside_a_changed_row(folder: Path, field: str) -> None:
    edit_rows(folder, put(4, "title", "changed"))
    for value in WRONG:
        put_json(folder, "checks", field, value)
        assert says(folder)


def test_flipped_characters_of_the_json(small: Manifest, folder: Path) -> None:
    path = folder / "manifest.json"
    whole = path.read_bytes()
    numbers = random.Random(1)
    for at in numbers.sample(range(len(whole)), 250):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << numbers.randrange(8)
        path.write_bytes(damaged)
        assert read_or_refuse(folder) in (None, small.digest), at


# --- many rows


def test_a_changed_value_among_many_rows(tmp_path: Path, make_photo: MakePhoto) -> None:
    many = build_manifest(HEADER, (make_photo(n, photo_id=f"x:{n:05}", latitude=0.0) for n in range(5000)), "")
    write_manifest(many, tmp_path / "many")
    edit_rows(tmp_path / "many", put(4321, "title", "changed"))
    assert "rows 4320 to 4321, column title: the value is not the published one" in says(tmp_path / "many")


@pytest.mark.parametrize("field", ["name", "region", "version"])
def test_a_header_that_would_leave_its_folder_is_refused(small: Manifest, folder: Path, field: str) -> None:
    """A manifest's name and version become the folder of its leaderboard."""
    edit_json(folder, lambda data: data.update({field: "../../../elsewhere"}))
    with pytest.raises(DataError, match=r"manifest\.json: .*elsewhere"):
        read_manifest(folder)
