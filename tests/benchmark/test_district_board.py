"""Districts from a region file to the board, through the commands: photos on disk that know where they were taken."""

import csv
import json
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from benchmark.results import finished_runs, read_predictions
from collector import front_door
from collector.manifest.manifest import read_manifest
from tests.conftest import PhotoBytes

REGION = """\
name = "two-towns"

[[city]]
name = "Alphatown"
latitude = 50.0
longitude = 10.0
radius_km = 20

[[city.district]]
name = "Old Town"
latitude = 50.0
longitude = 10.0
radius_km = 3

[[city.district]]
name = "Harbour"
latitude = 50.0
longitude = 10.1
radius_km = 3

[[city]]
name = "Betaville"
latitude = 52.0
longitude = 12.0
radius_km = 20

[[city.district]]
name = "Old Town"
latitude = 52.0
longitude = 12.0
radius_km = 3
"""

SPOTS = {
    "alphatown/old-town": (50.0, 10.0),
    "alphatown/harbour": (50.0, 10.1),
    "betaville/old-town": (52.0, 12.0),
    "betaville": (52.1, 12.1),  # in the town, and in none of its districts
}
PHOTOS = 9  # of each


def gps(latitude: float, longitude: float) -> Image.Exif:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(
        {
            ExifTags.GPS.GPSLatitudeRef: "N",
            ExifTags.GPS.GPSLatitude: (latitude, 0.0, 0.0),
            ExifTags.GPS.GPSLongitudeRef: "E",
            ExifTags.GPS.GPSLongitude: (longitude, 0.0, 0.0),
        }
    )
    return exif


def t15(*arguments: object) -> None:
    assert front_door.run(list(map(str, arguments))) == 0


@pytest.fixture
def house(tmp_path: Path, photo_bytes: PhotoBytes, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a manifest of two towns; a quarter of the photos is in no district."""
    root = tmp_path / "mine"
    root.mkdir()
    for spot, (name, (latitude, longitude)) in enumerate(SPOTS.items()):
        for number in range(PHOTOS):
            place = (latitude + 0.002 * number, longitude)  # 220 m apart: each may go to a side of its own
            data = photo_bytes(100 * spot + number, (96, 80), exif=gps(*place))
            (root / f"{name.replace('/', '-')}-{number}.jpg").write_bytes(data)
    (tmp_path / "towns.toml").write_text(REGION, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    t15("collect", "--provider", "folder", "--root", root, "--region", "towns.toml")
    t15("split", "--train", 10, "--val", 4, "--test", 4, "--manifests", "manifests")
    return tmp_path


def test_districts_from_the_region_file_to_the_board(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    t15("bench", "--level", "district", "--method", "tiny-64+logreg", "--tier", "smoke")
    told = capsys.readouterr().err
    t15("leaderboard", "--level", "district", "--out", "board", "--json")
    board = json.loads(capsys.readouterr().out)
    assert [city["slug"] for city in board["cities"]] == [
        "alphatown/old-town",
        "alphatown/harbour",
        "betaville/old-town",
    ]
    assert sum(board["left_out"].values()) == PHOTOS
    assert sum(city[side] for city in board["cities"] for side in ("train", "val", "test")) == 3 * PHOTOS
    assert board["test_photos"] == 8 - board["left_out"]["test"]
    assert board["chance_uniform"] == pytest.approx(1 / 3)
    (row,) = board["rows"]
    assert 0 <= row["accuracy"] <= row["accuracy_city"] <= 1
    assert f"{board['left_out']['train']} of train" in told
    assert any(f"{board['left_out']['train']} of train" in note for note in board["notes"])
    assert "--level district" in row["command"]
    for file in ("index.html", "leaderboard.md"):
        text = (house / "board" / file).read_text(encoding="utf-8")
        assert "In which district" in text or "3 districts" in text
        assert f"{board['left_out']['train']} of train" in text
    t15("leaderboard", "--level", "district", "--out", "board")
    assert "Right city" in capsys.readouterr().out


def test_a_submission_answers_with_districts(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    t15("bench", "--level", "district", "--method", "tiny-64+logreg", "--tier", "smoke", "--json")
    run = json.loads(capsys.readouterr().out)["runs"][0]["run"]
    manifest = read_manifest(house / "manifests/two-towns/1.0.0")
    runs = house / "workspace/runs"
    predictions = read_predictions(runs, next(iter(finished_runs(runs, manifest.digest))))
    labels = {photo.photo_id: photo.label for photo in manifest.photos("test")}
    answers = house / "mine.csv"
    with answers.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["photo_id", "district"])
        writer.writerows((photo_id, labels[photo_id]) for photo_id in predictions.photo_ids)
    t15("score", answers, "--level", "district", "--name", "Mine", "--json")
    scored = json.loads(capsys.readouterr().out)
    assert (scored["level"], scored["scores"]["accuracy"], scored["scores"]["accuracy_city"]) == ("district", 1, 1)
    assert scored["scores"]["photos"] == len(predictions.photo_ids)
    assert scored["run"] != run
    t15("leaderboard", "--level", "district", "--out", "board", "--json")
    assert [row["method"] for row in json.loads(capsys.readouterr().out)["rows"]] == [
        "submission:mine",
        "tiny-64+logreg",
    ]
    assert front_door.run(["score", str(answers), "--name", "Mine"]) == 3  # it answers no city
    assert "district" in capsys.readouterr().err
