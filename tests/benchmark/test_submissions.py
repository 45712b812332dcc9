"""Predictions that others made: what is read, what is refused and how, what they score, how they get on the board."""

import contextlib
import hashlib
import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from benchmark.leaderboard.table import leaderboard
from benchmark.results import finished_runs, read_predictions
from benchmark.results import test_reads as reads_of
from benchmark.submissions import Scored, method_name, put_on_board, read_submission, scores
from collector.errors import DataError, UsageError
from collector.manifest.manifest import Manifest, build_manifest
from collector.records import Photo
from tests.benchmark.conftest import CITIES, World
from tests.benchmark.leaderboard import TURKIYE, world_manifest

Row = dict[str, Any]


def answers(world: World) -> list[Row]:
    """Return a row for each test photo, the true city with 0.5, the cities in another order than the manifest's."""
    truth = [(photo.photo_id, photo.city) for photo in world.photos("test")]
    return [{"photo_id": of, **{slug: 0.5 if slug == city else 0.25 for slug in sorted(CITIES)}} for of, city in truth]


def labels(world: World) -> list[Row]:
    return [{"photo_id": photo.photo_id, "city": photo.city} for photo in world.photos("test")]


def csv(path: Path, rows: list[Row], **options: Any) -> Path:
    pd.DataFrame(rows).to_csv(path, index=False, **options)
    return path


def parquet(path: Path, rows: list[Row]) -> Path:
    pd.DataFrame(rows).to_parquet(path, index=False)
    return path


@pytest.mark.parametrize("write", [csv, parquet])
def test_probabilities_come_back_in_the_manifests_order(
    world: World, tmp_path: Path, write: Callable[[Path, list[Row]], Path]
) -> None:
    path = write(tmp_path / "mine", answers(world)[::-1])
    submission = read_submission(path, world.manifest)
    assert submission.kind == "probabilities"
    assert submission.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert submission.answers.photo_ids == [photo.photo_id for photo in world.photos("test")]
    expected = [[0.5 if city == photo.city else 0.25 for city in CITIES] for photo in world.photos("test")]
    shares = shares_in(path, world.manifest)
    assert shares.tolist() == expected
    assert shares_in(path, world.manifest).dtype == np.float32


@pytest.mark.parametrize("write", [csv, parquet])
def test_labels_are_certain(world: World, tmp_path: Path, write: Callable[[Path, list[Row]], Path]) -> None:
    path = write(tmp_path / "mine", labels(world))
    assert read_submission(path, world.manifest).kind == "labels"
    assert shares_in(path, world.manifest).tolist() == [
        [float(city == photo.city) for city in CITIES] for photo in world.photos("test")
    ]


def test_other_ways_to_write_a_table(world: World, tmp_path: Path) -> None:
    expected = shares_in(csv(tmp_path / "plain.csv", answers(world)), world.manifest)
    text = (tmp_path / "plain.csv").read_text()
    others = {
        "semicolons.csv": text.replace(",", ";"),
        "tabs.tsv": text.replace(",", "\t"),
        "excel.csv": "\ufeff" + text.replace("\n", "\r\n"),
        "quoted.csv": text.replace("0.5", '" +0.50 "').replace("0.25", "25e-2"),
    }
    for name, other in others.items():
        (tmp_path / name).write_text(other, newline="")
        found = shares_in(tmp_path / name, world.manifest)
        assert np.array_equal(found, expected), name
    table = pa.Table.from_pylist(answers(world))
    for slug in CITIES:
        at = table.column_names.index(slug)
        table = table.set_column(at, slug, table[slug].cast(pa.float32() if slug == "mike" else pa.decimal128(4, 2)))
    table = table.set_column(0, "photo_id", table["photo_id"].dictionary_encode())
    pq.write_table(table, tmp_path / "typed.parquet")
    found = shares_in(tmp_path / "typed.parquet", world.manifest)
    assert np.array_equal(found, expected)


def test_a_sum_may_be_off_by_a_thousandth(world: World, tmp_path: Path) -> None:
    rows = answers(world)
    rows[0]["alpha"] += 0.0009
    rows[1] = {"photo_id": rows[1]["photo_id"], "alpha": 1.0009, "mike": 0.0, "zulu": 0.0}
    read_submission(csv(tmp_path / "mine.csv", rows), world.manifest)
    rows[1]["alpha"] = 1.0011
    with pytest.raises(DataError, match=r"line 3 .*column alpha: '1\.0011' is no probability"):
        read_submission(csv(tmp_path / "mine.csv", rows), world.manifest)


def shares_in(path: Path, manifest: Manifest) -> NDArray[np.float32]:
    """Return the probabilities that a file holds."""
    shares = read_submission(path, manifest).answers.probabilities
    assert shares is not None
    return shares


def changed(rows: list[Row], at: int, **values: Any) -> list[Row]:
    return [{**row, **values} if index == at else row for index, row in enumerate(rows)]


def without(rows: list[Row], column: str) -> list[Row]:
    return [{name: value for name, value in row.items() if name != column} for row in rows]


WRONG: dict[str, tuple[Callable[[World], list[Row]], str]] = {
    "missing": (lambda w: answers(w)[1:4], r"test photos without a row, 3: 'folder:\w+', 'folder:\w+', 'folder:\w+'"),
    "repeated": (lambda w: [*answers(w), answers(w)[0]], r"line 8 \(photo 'folder:\w+'\): is there already in line 2;"),
    "foreign": (
        lambda w: [*answers(w), {**answers(w)[0], "photo_id": "folder:no"}],
        "'folder:no'.: is no photo of the",
    ),
    "train": (
        lambda w: [*answers(w), {**answers(w)[0], "photo_id": w.photos("train")[0].photo_id}],
        "is a train photo, not a test photo",
    ),
    "no id": (lambda w: [*answers(w), {**answers(w)[0], "photo_id": None}], "line 8: column photo_id: is missing"),
    "negative": (lambda w: changed(answers(w), 2, mike=-0.25, zulu=1.0), "line 4 .*column mike: '-0.25' is no prob"),
    "above 1": (
        lambda w: changed(answers(w), 2, mike=1.5),
        "line 4 .*column mike: '1.5' is no probability from 0 to 1",
    ),
    "NaN": (lambda w: changed(answers(w), 0, zulu="NaN"), "line 2 .*column zulu: 'NaN' is no probability"),
    "infinite": (lambda w: changed(answers(w), 0, zulu="inf"), "line 2 .*column zulu: 'inf' is no probability"),
    "huge": (lambda w: changed(answers(w), 0, zulu="1e999"), "line 2 .*column zulu: '1e999' is no probability"),
    "empty": (lambda w: changed(answers(w), 0, zulu=None), "line 2 .*column zulu: is missing"),
    "words": (lambda w: changed(answers(w), 0, zulu="a lot"), "line 2 .*column zulu: 'a lot' is no probability"),
    "comma": (lambda w: changed(answers(w), 0, zulu="0,5"), "line 2 .*column zulu: '0,5' is no probability"),
    "sum": (lambda w: changed(answers(w), 3, alpha=0.1, mike=0.1, zulu=0.1), "line 5 .*its probabilities sum to 0.3,"),
    "zeros": (lambda w: changed(answers(w), 3, alpha=0, mike=0, zulu=0), "sum to 0, not to 1"),
    "no city": (lambda w: changed(labels(w), 1, city="alhpa"), r"line 3 .*'alhpa' is no city.*did you mean 'alpha'\?"),
    "city column": (
        lambda w: [{**row, "zulo": 0} for row in without(answers(w), "zulu")],
        r"column 'zulo' is no city of the manifest \(did you mean 'zulu'\?\)$",
    ),
    "another name": (
        lambda w: [{"photo_id": row["photo_id"], "prediction": row["city"]} for row in labels(w)],
        "column 'prediction' is no city of the manifest; a table of answers has a column `city`, or one for each city",
    ),
    "column missing": (lambda w: without(answers(w), "zulu"), "has no column for zulu; give each city's probability"),
    "both": (lambda w: [{**row, "city": "alpha"} for row in answers(w)], "not both: it has alpha, mike, zulu, city"),
    "no photo_id": (
        lambda w: [{"photo-id": row["photo_id"], "city": row["city"]} for row in labels(w)],
        r"has no column photo_id \(did you mean 'photo-id'\?\); it has photo-id, city",
    ),
    "only ids": (lambda w: without(labels(w), "city"), "has no column for zulu, alpha, mike"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_named(world: World, tmp_path: Path, wrong: str) -> None:
    make, said = WRONG[wrong]
    path = csv(tmp_path / "mine.csv", make(world))
    with pytest.raises(DataError, match=said) as caught:
        read_submission(path, world.manifest)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_photos_of_a_folder_are_found_by_their_paths(world: World, tmp_path: Path) -> None:
    number = {"alpha": 0, "mike": 0, "zulu": 0}  # 1.jpg, 2.jpg, … in a folder of each city

    def named(photo: Photo) -> Photo:
        number[photo.city] += 1
        return replace(photo, title=f"{number[photo.city]}.jpg")

    photos = [named(photo) for side in ("train", "val", "test") for photo in world.manifest.photos(side)]
    manifest = build_manifest(world.manifest.header, photos, "tests")
    test = [photo for photo in photos if photo.split == "test"]
    rows = [{"path": f"/data/set/{photo.city.title()}/{photo.title}", "city": photo.city} for photo in test]
    submission = read_submission(csv(tmp_path / "mine.csv", rows), manifest)
    assert scores(submission, manifest)["accuracy"].value == 1
    said = f"test photos without a row, 1: '{test[0].city}/{test[0].title}';"
    with pytest.raises(DataError, match=said):  # as the file has it, not by an id of ours
        read_submission(csv(tmp_path / "mine.csv", rows[1:]), manifest)
    rows[0]["path"] = str(test[0].title)  # one of each city has this name
    with pytest.raises(DataError, match="names 3 photos of the manifest; give its photo_id"):
        read_submission(csv(tmp_path / "mine.csv", rows), manifest)


def test_five_rows_are_named_and_the_rest_counted(world: World, tmp_path: Path) -> None:
    rows = [*({**row, "photo_id": f"folder:{index}"} for index, row in enumerate(answers(world))), *answers(world)[:1]]
    with pytest.raises(DataError) as caught:
        read_submission(csv(tmp_path / "mine.csv", rows), world.manifest)
    said = str(caught.value)
    assert said.count("is no photo of the manifest") == 5
    assert [f"line {line} (photo 'folder:{line - 2}')" in said for line in range(2, 8)] == [True] * 5 + [False]
    assert "and 1 more wrong rows; test photos without a row, 5: " in said


def test_rows_of_parquet_are_counted_from_0(world: World, tmp_path: Path) -> None:
    table = pa.Table.from_pylist(changed(answers(world), 2, mike=float("nan")))
    pq.write_table(table, tmp_path / "mine.parquet")
    with pytest.raises(DataError, match=r"row 2 .*column mike: 'nan' is no probability"):
        read_submission(tmp_path / "mine.parquet", world.manifest)
    rows = changed(answers(world), 2, mike=None)
    with pytest.raises(DataError, match=r"row 2 .*column mike: is missing"):
        read_submission(parquet(tmp_path / "mine.parquet", rows), world.manifest)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"photo_id,city\n", "has no rows"),
        (b"\n\n", "has blank lines only"),
        (b"photo_id,city,city\nx,a,b\n", "column 'city' is there 2 times"),
        (b"photo_id,city\nx\n", "line 2: has 1 cells, the header has 2"),
        (b"photo_id,city\nx,\xff\n", "is not UTF-8"),
        (b'photo_id,city\n"x,alpha\n', "line 2"),
        (b"PAR1 and no more", "cannot be read as Parquet"),
        (b"\x1f\x8b\x08 gzip", "is compressed"),
        (bytes(range(256)) * 40, ""),
    ],
)
def test_damaged_files_are_refused(world: World, tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_submission(path, world.manifest)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_parquet_file_that_was_cut_or_changed(world: World, tmp_path: Path) -> None:
    path = parquet(tmp_path / "mine.parquet", answers(world))
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:-20], whole[:30] + bytes(60) + whole[90:]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"mine\.parquet"):
            read_submission(path, world.manifest)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"photo_id": [1], "city": ["alpha"]}, "column photo_id holds int64, not text"),
        ({"photo_id": ["x"], "city": [3]}, "column city holds int64, not text"),
        ({"photo_id": ["x"], "alpha": [True], "mike": [0.5], "zulu": [0.5]}, "column alpha holds bool, not numbers"),
        ({"photo_id": ["x"], "alpha": [[1.0]], "mike": [0.5], "zulu": [0.5]}, "column alpha holds list"),
    ],
)
def test_columns_of_another_kind(world: World, tmp_path: Path, columns: Mapping[str, Any], said: str) -> None:
    pq.write_table(pa.table(dict(columns)), tmp_path / "mine.parquet")
    with pytest.raises(DataError, match=said):
        read_submission(tmp_path / "mine.parquet", world.manifest)


def test_a_doubled_parquet_column(world: World, tmp_path: Path) -> None:
    table = pa.table([pa.array(["x"]), pa.array([1.0]), pa.array([1.0])], names=["photo_id", "alpha", "alpha"])
    pq.write_table(table, tmp_path / "mine.parquet")
    with pytest.raises(DataError, match="column 'alpha' is there 2 times"):
        read_submission(tmp_path / "mine.parquet", world.manifest)


def test_there_is_no_such_file(world: World, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such file"):
        read_submission(tmp_path / "mine.csv", world.manifest)


def places(world: World, *pairs: tuple[Any, Any]) -> list[Row]:
    """Return a row for each test photo with a place; the first ones' are `pairs`."""
    rest = [(0.5, 0.5)] * (len(world.photos("test")) - len(pairs))
    return [
        {"photo_id": photo.photo_id, "latitude": latitude, "longitude": longitude}
        for photo, (latitude, longitude) in zip(world.photos("test"), [*pairs, *rest], strict=True)
    ]


@pytest.mark.parametrize(
    "form", ["csv", "tsv", "jsonl", "parquet", "large_string", "string_view", "binary", "dictionary"]
)
def test_every_form_of_table_and_type_of_text(world: World, tmp_path: Path, form: str) -> None:
    rows, path = labels(world), tmp_path / f"mine.{form}"
    if form in ("csv", "tsv"):
        csv(path, rows, sep="\t" if form == "tsv" else ",")
    elif form == "jsonl":
        path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    elif form == "parquet":
        parquet(path, rows)
    else:
        types = {"large_string": pa.large_string(), "string_view": pa.string_view(), "binary": pa.binary()}
        columns = pa.Table.from_pylist(rows).columns
        cast = [column.cast(types[form]) if form in types else column.dictionary_encode() for column in columns]
        pq.write_table(pa.table(cast, names=["photo_id", "city"]), path)
    assert shares_in(path, world.manifest).argmax(axis=1).tolist() == [
        CITIES.index(photo.city) for photo in world.photos("test")
    ]


def test_coordinates_and_the_ways_to_have_no_answer(world: World, tmp_path: Path) -> None:
    pairs = [(41.5, -29.25), (0, 0), (None, None), ("NaN", "nan"), ("n/a", "-")]
    submission = read_submission(csv(tmp_path / "mine.csv", places(world, *pairs)), world.manifest)
    assert submission.kind == "places"
    answered = submission.answers.places
    assert answered is not None
    assert answered.latitude.tolist() == pytest.approx([41.5, *[np.nan] * 4, 0.5], nan_ok=True)
    assert answered.longitude.tolist() == pytest.approx([-29.25, *[np.nan] * 4, 0.5], nan_ok=True)
    scored = scores(submission, placed(world))
    assert scored.withheld == pytest.approx(4 / 6)
    rows = [
        {"lat": row["latitude"], "lng": row["longitude"], "id": row["photo_id"]} for row in places(world, (1.0, 2.0))
    ]
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    other = read_submission(path, world.manifest).answers.places
    assert other is not None
    assert other.longitude.tolist() == [2.0, *[0.5] * 5]


def test_labels_and_coordinates_together_and_a_confidence(world: World, tmp_path: Path) -> None:
    true = [photo.city for photo in world.photos("test")]
    rows = [
        {**row, "city": city, "confidence": 0.75} for row, city in zip(places(world, (0.0, 1.0)), true, strict=True)
    ]
    rows[1]["city"] = rows[1]["confidence"] = None
    submission = read_submission(csv(tmp_path / "mine.csv", rows), world.manifest)
    assert submission.kind == "labels and places"
    manifest = placed(world)
    found = put_on_board(submission, manifest, tmp_path, "Both")
    assert found.scores["accuracy"].value == pytest.approx(5 / 6)
    assert found.scores["ece"].value == pytest.approx(0.25)
    assert found.scores.withheld == pytest.approx(1 / 6)
    assert found.run.gives == ["labels", "places"]
    (row,) = leaderboard(manifest, tmp_path).rows
    assert row.scores == found.scores


def test_a_submission_of_places_is_on_the_board_as_scored(world: World, tmp_path: Path) -> None:
    manifest = placed(world)
    found = put_on_board(
        read_submission(csv(tmp_path / "mine.csv", places(world, (0, 0), (0.0, 1.0))), manifest),
        manifest,
        tmp_path,
        "Mine",
    )
    (row,) = leaderboard(manifest, tmp_path).rows
    assert row.scores == found.scores
    assert row.scores.withheld == pytest.approx(1 / 6)
    assert row.scores["within_25"].oracle is None
    assert (found.run.gives, found.run.inputs.parameters["answers"]) == (["places"], "places")


def test_cities_by_any_of_their_names(tmp_path: Path) -> None:
    manifest = world_manifest(TURKIYE, test=1)
    ids = [photo.photo_id for photo in manifest.photos("test")]
    said = ["İZMİR", "istanbul", "Istanbul", "NEVŞEHİR", *["Van"] * (len(ids) - 4)]
    path = csv(tmp_path / "mine.csv", [{"photo_id": of, "city": name} for of, name in zip(ids, said, strict=True)])
    answered = [manifest.header.cities[index].slug for index in shares_in(path, manifest).argmax(axis=1)]
    assert answered[:5] == ["izmir", "istanbul", "istanbul", "nevsehir", "van"]
    columns = {city.name.upper(): [1.0 if city.slug == "van" else 0.0] * len(ids) for city in manifest.header.cities}
    pd.DataFrame({"photo_id": ids, **columns}).to_csv(tmp_path / "named.csv", index=False)
    assert (shares_in(tmp_path / "named.csv", manifest).argmax(axis=1) == list(TURKIYE).index("van")).all()


@pytest.mark.parametrize("way", ["sha256", "upper", "file", "path", "windows", "native"])
def test_photos_by_digest_and_file(world: World, tmp_path: Path, way: str) -> None:
    spell: dict[str, Callable[[Photo], str]] = {
        "sha256": lambda photo: str(photo.sha256),
        "upper": lambda photo: str(photo.sha256).upper(),
        "file": lambda photo: f"{photo.sha256}.jpg",
        "path": lambda photo: f"./photos/ab/{photo.sha256}.JPG",
        "windows": lambda photo: f"C:\\test\\{photo.sha256}.jpeg",
        "native": lambda photo: photo.photo_id.partition(":")[2],
    }
    rows = [{"file": spell[way](photo), "city": photo.city} for photo in world.photos("test")]
    answered = read_submission(csv(tmp_path / "mine.csv", rows), world.manifest).answers
    assert answered.photo_ids == [photo.photo_id for photo in world.photos("test")]
    assert scores(read_submission(tmp_path / "mine.csv", world.manifest), world.manifest)["accuracy"].value == 1


def test_a_file_name_of_two_photos_is_refused(world: World, tmp_path: Path) -> None:
    sides = [photo for side in ("train", "val", "test") for photo in world.photos(side)]
    same = [replace(photo, image_url=f"https://example.org/{photo.photo_id[-1]}/photo.jpg") for photo in sides]
    manifest = build_manifest(world.manifest.header, same, "tests")
    rows = changed(labels(world), 0, photo_id="photo.jpg")
    with pytest.raises(DataError, match=r"line 2 \(photo 'photo.jpg'\): names \d+ photos of the manifest"):
        read_submission(csv(tmp_path / "mine.csv", rows), manifest)


WRONG_PLACES: dict[str, tuple[Callable[[World], list[Row]], str]] = {
    "half": (lambda w: places(w, (None, 4.0)), "line 2 .*columns latitude and longitude: one is missing"),
    "far": (lambda w: places(w, (1.0, 2.0), (91, 4.0)), "line 3 .*column latitude: '91.0' is no angle from -90 to 90"),
    "turns": (lambda w: places(w, (1.0, 190)), "line 2 .*column longitude: '190.0' is no angle from -180"),
    "infinite": (lambda w: places(w, ("inf", 1.0)), "line 2 .*column latitude: 'inf' is no angle"),
    "words": (lambda w: places(w, ("40° N", 1.0)), "line 2 .*column latitude: '40° N' is no angle"),
    "one": (lambda w: without(places(w), "longitude"), "has a column latitude and none for the longitude"),
    "sure": (
        lambda w: [{**row, "confidence": 1.5} for row in labels(w)],
        "line 2 .*column confidence: '1.5' is no confidence",
    ),
    "alone": (lambda w: [{**row, "confidence": 0.5} for row in places(w)], "column confidence goes with a column city"),
}


@pytest.mark.parametrize("wrong", WRONG_PLACES)
def test_wrong_places_are_named(world: World, tmp_path: Path, wrong: str) -> None:
    make, message = WRONG_PLACES[wrong]
    with pytest.raises(DataError, match=message):
        read_submission(csv(tmp_path / "mine.csv", make(world)), world.manifest)


def test_a_missing_label_and_an_empty_row_are_withheld(world: World, tmp_path: Path) -> None:
    rows = changed(labels(world), 1, city=None)
    found = scores(read_submission(csv(tmp_path / "mine.csv", rows), world.manifest), world.manifest)
    assert [found["accuracy"].value, found.withheld] == pytest.approx([5 / 6, 1 / 6])
    rows = changed(answers(world), 1, **dict.fromkeys(CITIES))
    found = scores(read_submission(csv(tmp_path / "mine.csv", rows), world.manifest), world.manifest)
    assert [found["accuracy"].value, found.withheld] == pytest.approx([5 / 6, 1 / 6])


def test_a_huge_file_is_refused_before_it_is_read(world: World, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a terabyte of zeros that takes no room
    with pytest.raises(DataError, match="leave out other columns"):
        read_submission(path, world.manifest)


def refusal(path: Path, manifest: Manifest) -> str:
    with pytest.raises(DataError) as caught:
        scores(read_submission(path, manifest), manifest)
    return str(caught.value)


def test_no_damage_to_a_file_of_predictions_ends_in_anything_but_one_line(world: World, tmp_path: Path) -> None:
    """Bytes changed, cut out, doubled and put in, in all forms: each is read, or refused in one line, and at once."""
    rng = random.Random(20)
    csv(tmp_path / "a", answers(world))
    csv(tmp_path / "b", [{**row, "city": "alpha", "confidence": 0.5} for row in places(world)])
    (tmp_path / "c").write_text("\n".join(map(json.dumps, places(world))))
    parquet(tmp_path / "d", answers(world))
    bits = [b"", b"\n", b",", b'"', b"nan", b"1e999", b"-0", b"\x00", b"\xff", b"{", b"}" * 50, b"[" * 5000, b"9" * 400]
    path, began, tried = tmp_path / "mine", time.monotonic(), 0
    while time.monotonic() - began < 7 and tried < 600:
        data = (tmp_path / rng.choice("abcd")).read_bytes()
        for _ in range(rng.randint(1, 4)):
            at, end = sorted(rng.choices(range(len(data) + 1), k=2))
            end = min(end, at + 40)
            data = data[:at] + rng.choice([*bits, data[at:end] * 2, rng.randbytes(5)]) + data[end:]
        path.write_bytes(data)
        tried += 1
        with contextlib.suppress(DataError):
            scores(read_submission(path, world.manifest), world.manifest)
            continue
        message = refusal(path, world.manifest)
        assert "\n" not in message
        assert len(message) < 3000
    assert tried > 20


def placed(world: World) -> Manifest:
    """Return the data set with coordinates for two test photos of zulu, at 0°N 0°E: one there, one a degree to the east."""
    photos = [photo for side in ("train", "val", "test") for photo in world.photos(side)]
    longitudes = iter([0.0, 1.0])
    moved = [
        replace(photo, latitude=0.0, longitude=next(longitudes))
        if (photo.city, photo.split) == ("zulu", "test")
        else photo
        for photo in photos
    ]
    return build_manifest(world.manifest.header, moved, "tests")


def test_scores_by_hand(world: World, tmp_path: Path) -> None:
    rows = answers(world)
    true = {photo.photo_id: photo.city for photo in world.photos("test")}
    for row in rows[:2]:  # two of six are taken for another city
        wrong = next(slug for slug in CITIES if slug != true[row["photo_id"]])
        row[wrong], row[true[row["photo_id"]]] = 0.5, 0.25
    found = scores(read_submission(csv(tmp_path / "mine.csv", rows), world.manifest), world.manifest)
    assert found.photos == 6
    accuracy = found["accuracy"]
    assert accuracy.value == pytest.approx(4 / 6)
    assert accuracy.low is not None
    assert accuracy.high is not None
    assert accuracy.low < 4 / 6 < accuracy.high
    assert found["top3"].value == 1
    assert found["ece"].value == pytest.approx(4 / 6 - 0.5)  # all are sure to 0.5
    assert found.get("median_km") is None
    only = scores(read_submission(csv(tmp_path / "mine.csv", labels(world)), world.manifest), world.manifest)
    assert (only["accuracy"].value, only["macro_f1"].value) == (1, 1)
    assert (only.get("top3"), only.get("ece")) == (None, None)


def test_distances_are_of_the_photos_with_coordinates(world: World, tmp_path: Path) -> None:
    manifest = placed(world)
    found = scores(read_submission(csv(tmp_path / "mine.csv", answers(world)), manifest), manifest)
    assert found["median_km"].value == pytest.approx(111.195 / 2, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("My Network v2", "my-network-v2"),
        ("  my---network!v2 ", "my-network-v2"),
        ("Işık ağı", "isik-agi"),
        ("<script>alert(1)</script>", "script-alert-1-script"),
        ("../../etc", "etc"),
        ("x" * 100, "x" * 60),
    ],
)
def test_method_names_are_plain(name: str, slug: str) -> None:
    assert method_name(name) == f"submission:{slug}"


def test_names_without_latin_letters_stay_apart() -> None:
    assert method_name("東京") != method_name("京都")
    assert method_name("東京").isascii()


def submit(world: World, path: Path, name: str = "My net", **options: Any) -> Scored:
    submission = read_submission(path, world.manifest)
    return put_on_board(submission, world.manifest, world.workspace.runs, name, **options)


def test_a_submission_becomes_a_run(world: World, tmp_path: Path) -> None:
    path = csv(tmp_path / "mine.csv", answers(world))
    scored = submit(world, path, description="A  net\n of mine")
    runs = world.workspace.runs
    (run,) = finished_runs(runs, world.manifest.digest)
    assert run == scored.run
    assert (run.origin, run.tier, run.device, run.inputs.method) == (
        "submission",
        "paper",
        "elsewhere",
        "submission:my-net",
    )
    assert (run.title, run.selection, run.manifest) == ("My net", "A net of mine", "small 1.0.0")
    assert run.inputs.parameters == {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "answers": "probabilities",
    }
    assert run.seconds == {"fit": 0.0, "predict": 0.0}
    saved = read_predictions(runs, run)
    assert np.array_equal(saved.probabilities, shares_in(path, world.manifest))
    assert reads_of(runs) == {run.inputs.identity: 1}


def test_the_same_file_again_is_the_same_run_and_another_look(world: World, tmp_path: Path) -> None:
    path = csv(tmp_path / "mine.csv", answers(world))
    first = submit(world, path)
    again = submit(world, path, description="Now with a description")
    (run,) = finished_runs(world.workspace.runs, world.manifest.digest)
    assert run.inputs == first.run.inputs == again.run.inputs
    assert run.selection == "Now with a description"
    assert again.replaced == ()
    assert reads_of(world.workspace.runs) == {run.inputs.identity: 2}


def test_other_content_needs_another_name_or_replace(world: World, tmp_path: Path) -> None:
    first = submit(world, csv(tmp_path / "mine.csv", answers(world)))
    other = csv(tmp_path / "other.csv", labels(world))
    with pytest.raises(UsageError, match=r"--name 'MY NET': 'My net' with other content is on the board .*--replace"):
        submit(world, other, "MY NET")
    assert finished_runs(world.workspace.runs, world.manifest.digest) == [first.run]
    assert sum(reads_of(world.workspace.runs).values()) == 1  # what was refused saw no label
    scored = submit(world, other, "MY NET", replacing=True)
    assert scored.replaced == (first.run.inputs.identity,)
    assert finished_runs(world.workspace.runs, world.manifest.digest) == [scored.run]
    submit(world, csv(tmp_path / "third.csv", answers(world)[::-1]), "Another")
    assert len(finished_runs(world.workspace.runs, world.manifest.digest)) == 2


def test_replacing_what_is_not_there_is_a_first_submission(world: World, tmp_path: Path) -> None:
    assert submit(world, csv(tmp_path / "mine.csv", answers(world)), replacing=True).replaced == ()


def test_hostile_names_stay_text(world: World, tmp_path: Path) -> None:
    hostile = "\x1b[31m<script>\u202ealert('x')</script>\ud800\x00"
    scored = submit(world, csv(tmp_path / "mine.csv", answers(world)), hostile, description=hostile)
    assert scored.run.title.isprintable()
    assert "<script>" in scored.run.title
    assert scored.run.selection.isprintable()
    (run,) = finished_runs(world.workspace.runs, world.manifest.digest)
    assert run == scored.run
    json.loads((world.workspace.runs / run.inputs.identity / "run.json").read_bytes())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"name": ""}, "--name: is empty"),
        ({"name": " \n"}, "--name: is empty"),
        ({"name": "x" * 101}, "--name: has 101 characters; 100 are the most"),
        ({"description": "x" * 501}, "--description: has 501 characters"),
    ],
)
def test_names_have_a_length(world: World, tmp_path: Path, settings: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        submit(world, csv(tmp_path / "mine.csv", answers(world)), **{"name": "Mine", **settings})
    assert not world.workspace.runs.exists()
