"""`t15 export-model` and `t15 predict`: what they accept, refuse, print and leave with."""

import csv
import io
import json
import os
import shutil
from pathlib import Path

import pytest

from benchmark.predicting.answer import Answerer, answers
from benchmark.predicting.formats import COLUMNS
from benchmark.predicting.read_image import find_photos
from tests.benchmark.conftest import paint
from tests.benchmark.predicting.conftest import Cli, Trained, jpeg, read


def test_a_run_becomes_a_file_that_answers(trained: Trained, cli: Cli, tmp_path: Path, photos: Path) -> None:
    file = tmp_path / "out" / "model.safetensors"
    identity = trained.run.inputs.identity
    code, out, _ = cli("export-model", identity[:8], file, *trained.world.options, "--json")
    told = read(out)
    assert code == 0
    assert (told["run"], told["bytes"]) == (identity, file.stat().st_size)
    assert file.read_bytes() == trained.file.read_bytes()
    by_file = cli("predict", photos, "--model", file, "--json")
    by_run = cli("predict", photos, "--model", identity[:8], "--json", *trained.world.options)
    assert by_file[0] == by_run[0] == 0
    assert read(by_file[1])["photos"] == read(by_run[1])["photos"]


def test_export_says_what_it_wrote(trained: Trained, cli: Cli, tmp_path: Path) -> None:
    code, out, _ = cli("export-model", trained.run.inputs.identity, tmp_path / "m", *trained.world.options)
    assert code == 0
    assert "Tiny images 64×64, logistic regression, 3 cities" in out
    assert "calibrated on 60 validation photos" in out
    assert "pre-trained weights: none" in out


def test_text_names_five_cities_and_the_place(trained: Trained, cli: Cli, photos: Path) -> None:
    code, out, err = cli("predict", photos / "one.jpg", "--model", trained.file)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"{photos / 'one.jpg'}"
    assert lines[1].endswith(" %  Zulu")
    assert len(lines) == 5
    assert lines[4].startswith("  0.0000, 0.0000; 50 % within ")


def test_json_has_each_photo_and_the_model(trained: Trained, cli: Cli, photos: Path) -> None:
    code, out, err = cli("predict", photos, "--model", trained.file, "--json")
    told = read(out)
    assert code == 0
    assert err.startswith("predicting: 3/3 in ")
    assert told["model"]["digest"] == trained.model.digest
    assert told["model"]["manifest"]["name"] == "small"
    answers = {Path(one["photo"]).stem: one for one in told["photos"]}
    assert {name: one["city"] for name, one in answers.items()} == {"one": "zulu", "two": "alpha", "three": "mike"}
    assert answers["two"]["name"] == "Alpha"
    assert (answers["two"]["latitude"], answers["two"]["longitude"]) == (1.0, 1.0)
    assert [set(one) for one in answers["one"]["candidates"]] == [
        {"city", "name", "probability", "latitude", "longitude"}
    ] * 3
    assert answers["one"]["none_of_these"] is False
    assert answers["one"]["radius50_km"] <= answers["one"]["radius90_km"]


def test_geojson_has_points_with_longitude_first(trained: Trained, cli: Cli, photos: Path, tmp_path: Path) -> None:
    (photos / "broken.jpg").write_bytes(b"broken")
    code, out, _ = cli(
        "predict", photos / "three.jpg", photos / "broken.jpg", "--model", trained.file, "--format", "geojson"
    )
    told = read(out)
    assert code == 5
    assert told["type"] == "FeatureCollection"
    good, bad = told["features"]
    assert good["geometry"] == {"type": "Point", "coordinates": [2.0, 2.0]}
    assert good["properties"]["city"] == "mike"
    assert bad["geometry"] is None
    assert bad["properties"]["error"].startswith("is not an image")


def test_csv_has_a_line_for_each_photo(trained: Trained, cli: Cli, photos: Path) -> None:
    (photos / "broken.jpg").write_bytes(b"broken")
    code, out, err = cli("predict", photos, "--model", trained.file, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 5
    assert tuple(rows[0]) == COLUMNS
    assert [Path(row["photo"]).stem for row in rows] == ["broken", "one", "three", "two"]
    assert [row["city"] for row in rows] == ["", "zulu", "mike", "alpha"]
    assert rows[0]["error"].startswith("is not an image")
    assert rows[1]["none_of_these"] == "false"
    assert rows[1]["city1"] == "zulu"
    assert float(rows[1]["probability1"]) == float(rows[1]["confidence"])
    assert "1 of 4 photos could not be read" in err


def test_unreadable_photos_are_told_and_the_others_answered(trained: Trained, cli: Cli, photos: Path) -> None:
    (photos / "broken.jpg").write_bytes(jpeg(paint(0, 0, 640, 480))[:2000])
    code, out, err = cli("predict", photos, photos / "gone.jpg", "--model", trained.file, "--json")
    told = read(out)["photos"]
    assert code == 5
    assert [one.get("city", one.get("error", ""))[:17] for one in told] == [
        "cannot be decoded",
        "zulu",
        "mike",
        "alpha",
        "there is no such ",
    ]
    assert "broken.jpg: cannot be decoded (image file is truncated" in err
    assert "gone.jpg: there is no such file" in err
    assert err.splitlines()[-1] == "t15: predict: 2 of 5 photos could not be read, for the reasons above"


def test_standard_input_is_a_photo(trained: Trained, cli: Cli, photos: Path) -> None:
    data = (photos / "two.jpg").read_bytes()
    code, out, err = cli("predict", "-", "--model", trained.file, "--json", stdin=data)
    by_name = read(cli("predict", photos / "two.jpg", "--model", trained.file, "--json")[1])["photos"][0]
    assert (code, err) == (0, "")
    assert read(out)["photos"] == [{**by_name, "photo": "standard input"}]
    assert cli("predict", "-", "--model", trained.file, stdin=b"")[0] == 5


def test_without_a_photo_it_is_a_usage_error(trained: Trained, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none")
    code, out, err = cli("predict", tmp_path, "--model", trained.file)
    assert (code, out) == (2, "")
    assert "passed over in folders, by suffix: 1 .txt" in err
    assert "predict: no photo in" in err
    assert cli("predict", "--model", trained.file)[0] == 2


def test_options_that_contradict_or_name_nothing_are_usage_errors(trained: Trained, cli: Cli, photos: Path) -> None:
    options = ["--workspace", trained.world.workspace.root]
    for more in (
        ["--model", trained.file, "--json", "--format", "csv"],
        ["--model", trained.file, "--device", "tpu"],
        ["--model", "gone.safetensors"],
        ["--model", "some/where"],
        ["--model", "0123", *options],
        ["--model", "no run", *options],
        ["--model", "0123", "--workspace", photos / "none"],
    ):
        code, out, err = cli("predict", photos, *more)
        assert (code, out) == (2, ""), more
        assert len(err.splitlines()) == 1


def test_a_damaged_model_is_one_line(trained: Trained, cli: Cli, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(trained.file.read_bytes()[:-1])
    code, out, err = cli("predict", photos, "--model", tmp_path / "m")
    assert (code, out, len(err.splitlines())) == (3, "", 1)


HOSTILE = [
    "=cmd|'C calc'!A0.jpg",
    "-2+3.jpg",
    "@SUM(1).jpg",
    "a\nb\x1b[31m.jpg",
    "<script>alert(1)<!--.jpg",
    'q",",".jpg',
]


def test_names_stay_text_in_every_form(
    trained: Trained, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [os.fsencode(name) for name in HOSTILE] + [b"\xff\xfe.jpg"]
    monkeypatch.chdir(tmp_path)
    for name in names:
        Path(os.fsdecode(name)).write_bytes(jpeg(paint(1, 1)))
    arguments = [os.fsdecode(b"./" + name) if name.startswith(b"-") else os.fsdecode(name) for name in names]
    model = ["--model", str(trained.file)]
    for form in ([], ["--json"], ["--format", "csv"], ["--format", "geojson"]):
        code, out, err = cli("predict", *model, *form, "--", *arguments)
        assert code == 0
        for text in (out, err):
            assert "\x1b" not in text
            text.encode()
    rows = list(csv.reader(io.StringIO(cli("predict", *model, "--format", "csv", "--", *arguments)[1])))
    assert [row[0] for row in rows[1:]] == [
        "'=cmd|'C calc'!A0.jpg",
        "./-2+3.jpg",
        "'@SUM(1).jpg",
        "a\\nb\\x1b[31m.jpg",
        "<script>alert(1)<!--.jpg",
        'q",",".jpg',
        "\\udcff\\udcfe.jpg",
    ]


def test_explanations_are_pages_that_load_nothing(trained: Trained, cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("<script>alert(1)<!--.jpg", "same.jpg"):
        (folder / name).write_bytes(jpeg(paint(1, 1, 300, 200)))
    (folder / "broken.jpg").write_bytes(b"")
    out = tmp_path / "pages"
    code, text, err = cli(
        "predict", folder, "--model", trained.file, "--json", "--explain", out, *trained.world.options
    )
    assert code == 5
    assert f"{out / 'index.html'}: the pages" in err
    told = read(text)["photos"]
    assert [Path(one["explanation"]).name for one in told if "city" in one] == [
        "0001-script-alert-1.html",
        "0003-same.html",
    ]
    assert sorted(path.name for path in out.iterdir()) == ["0001-script-alert-1.html", "0003-same.html", "index.html"]
    page = (out / "0001-script-alert-1.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_a_folder_that_cannot_be_written_is_a_usage_error(
    trained: Trained, cli: Cli, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = cli("predict", photos, "--model", trained.file, "--explain", tmp_path / "file")
    assert code == 2
    assert len([line for line in err.splitlines() if line.startswith("t15:")]) == 1


def test_many_photos_are_decoded_a_few_at_a_time(
    trained: Trained, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    first = folder / "0000.jpg"
    first.write_bytes(jpeg(paint(1, 1, 90, 70)))
    for number in range(1, 300):
        os.link(first, folder / f"{number:04d}.jpg")
    shutil.copy(first, folder / "broken.jpg")
    (folder / "broken.jpg").write_bytes(b"no")
    most = 0
    ask = Answerer.answer

    def counting(self: Answerer, images: list[object]) -> object:
        nonlocal most
        most = max(most, len(images))
        return ask(self, images)  # type: ignore[arg-type]

    monkeypatch.setattr(Answerer, "answer", counting)
    code, out, err = cli("predict", folder, "--model", trained.file, "--json")
    assert code == 5
    assert len(json.loads(out)["photos"]) == 301
    assert "predicting: 301/301 in" in err
    assert most <= 32
    most = 0
    sources = find_photos([str(folder)], io.BytesIO()).photos
    assert len(list(answers(Answerer(trained.file), sources, most_pixels=90 * 70 * 4))) == 301
    assert most == 4
