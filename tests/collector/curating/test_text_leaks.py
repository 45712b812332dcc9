"""Text in pictures and beside them: what is flagged, what is kept, what works without the extra."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image, ImageDraw, ImageFont

from collector.catalogue.catalogue import open_catalogue
from collector.curating import metadata_leaks, text_leaks
from collector.curating.assess import assess, forget
from collector.curating.place_names import PlaceNames
from collector.curating.text_leaks import Line, judge
from collector.images.metadata import texts
from collector.manifest.manifest import read_manifest, with_columns
from collector.records import City, Photo, Region
from collector.workspace import Workspace, write_atomically
from tests.collector.curating.test_assess import put
from tests.collector.curating.textures import texture

CITIES = (City("van", "Van", 38.5, 43.4, 15.0, country="TR"), City("bursa", "Bursa", 40.2, 29.1, 15.0, country="TR"))
NAMES = PlaceNames(CITIES)
BOX = (0.1, 0.1, 0.5, 0.2)


def flags(*said: str, city: str = "bursa") -> set[str]:
    found = judge([Line(text, 0.9, BOX) for text in said], city, NAMES)
    return {flag for flag in text_leaks.FLAGS if flag in found}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("BURSA", {"name-in-picture"}),
        ("Van", {"other-name-in-picture"}),
        ("shutterstock.com · 432302140", {"watermark"}),
        ("alamy stock photo", {"watermark"}),
        ("© A. Person", {"watermark"}),
        ("www.example.org", {"watermark"}),
        ("12/07/2004", {"date-in-picture"}),
        ("2014:06:01 12:30", {"date-in-picture"}),
        ("'98 7 15", {"date-in-picture"}),
        ("41°00'50.3\"N 28°58'46\"E", {"coordinates-in-picture"}),
        ("41.0123, 28.9784", {"coordinates-in-picture"}),
        ("Lat 41.01 Lon 28.97", {"coordinates-in-picture"}),
        ("99/99/2004", set()),
        ("Tel 0224 123 45 67", set()),
        ("BUS", set()),
        ("<script>alert(1)</script>", set()),
    ],
)
def test_flags(text: str, expected: set[str]) -> None:
    assert flags(text) == expected


def test_scores_and_reasons() -> None:
    found = judge([Line("nothing", 0.9, BOX), Line("Bursa", 0.8, BOX), Line("GREEN BURSA", 0.6, BOX)], "bursa", NAMES)
    assert found["name-in-picture"] == 0.8
    assert found["why"] == {"name-in-picture": {"found": ["Bursa (word)"], "lines": [1, 2]}}


@pytest.mark.parametrize(
    ("said", "language"),
    [
        (("Things to do in April", "what to add to your agenda this month"), "en"),
        (("Weihnachtsmarkt vor dem", "Schloss Charlottenburg"), "de"),
        (("alamy", "alamy stock photo"), None),  # words that are as like several
        (("Short",), None),
    ],
)
def test_the_language_is_told_where_it_can_be(said: tuple[str, ...], language: str | None) -> None:
    pytest.importorskip("py3langid", reason="the extra ocr is not installed")
    assert judge([Line(text, 0.9, BOX) for text in said], "van", NAMES).get("language") == language


def test_kept_lines_of_anybody() -> None:
    good = text_leaks.as_evidence([Line("a", 0.7, BOX)])
    assert text_leaks.from_evidence(good) == [Line("a", 0.7, BOX)]
    strange: list[Any] = [
        {},
        3,
        {"text": "x", "score": "y", "box": []},
        *good,
        {"text": 1, "score": 1, "box": [0, 0, 1]},
        {"text": "x", "score": 10**400, "box": [0, 0, 1, 1]},
    ]
    assert text_leaks.from_evidence(strange) == [Line("a", 0.7, BOX)]
    assert text_leaks.from_evidence("no list") == []


# --- metadata


def jpeg(exif: dict[int, Any] | None = None, **more: Any) -> bytes:
    block = Image.Exif()
    for tag, value in (exif or {}).items():
        block[tag] = value
    buffer = io.BytesIO()
    texture(1, (300, 200)).save(buffer, "JPEG", exif=block, **more)
    return buffer.getvalue()


def test_texts_of_a_file(tmp_path: Path) -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:li>Ulu Cami, Bursa</rdf:li><d city="Bursa"/></x:xmpmeta>'
    exif: dict[int, Any] = {
        ExifTags.Base.ImageDescription: "Green mosque",
        ExifTags.Base.XPTitle: "Yeşil".encode("utf-16-le"),
    }
    with Image.open(io.BytesIO(jpeg(exif, xmp=xmp, comment=b"said \xff so"))) as image:
        found = texts(image)
    assert found["exif:ImageDescription"] == "Green mosque"
    assert found["exif:XPTitle"] == "Yeşil"
    assert {"Ulu Cami, Bursa", "Bursa"} <= set(found.values())
    assert found["comment"].startswith("said")


def test_texts_of_iptc() -> None:
    def data_set(number: int, value: bytes) -> bytes:
        return b"\x1c\x02" + bytes([number]) + len(value).to_bytes(2) + value

    block = data_set(90, b"Bursa") + data_set(25, b"mosque") + data_set(25, "Türkiye".encode())
    resource = b"8BIM\x04\x04\x00\x00" + len(block).to_bytes(4) + block + b"\0" * (len(block) % 2)
    segment = b"Photoshop 3.0\0" + resource
    data = jpeg()
    data = data[:2] + b"\xff\xed" + (len(segment) + 2).to_bytes(2) + segment + data[2:]
    with Image.open(io.BytesIO(data)) as image:
        found = texts(image)
    assert (found["iptc:city"], found["iptc:keywords"], found["iptc:keywords 2"]) == ("Bursa", "mosque", "Türkiye")


def test_broken_metadata_has_no_texts(real_data: Path) -> None:
    for path in sorted((real_data / "bad" / "pillow").rglob("*.jpg"))[:40]:
        try:
            found = metadata_leaks.read_texts(path)
        except Exception:  # noqa: BLE001, S112 (no picture at all)
            continue
        assert all(isinstance(text, str) and len(text) <= 300 for text in found.values())


def test_a_name_in_metadata() -> None:
    photo = Photo("made:a", "bursa", title="Sunset", image_url="https://example.org/Bursa%20Ulu_Cami.jpg")
    found = metadata_leaks.judge({}, photo, None, NAMES)
    assert found["name-in-metadata"] == 0.6
    assert list(found["why"]["name-in-metadata"]) == ["file"]
    assert metadata_leaks.judge({"iptc:city": "BURSA"}, photo, "a.jpg", NAMES)["name-in-metadata"] == 1.0
    assert metadata_leaks.judge({"iptc:city": "Van"}, photo, "a.jpg", NAMES) == {}


# --- a run


def sign(text: str, seed: int) -> Image.Image:
    picture = texture(seed, (640, 480)).convert("RGB")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((90, 180, 560, 300), fill="white")
    draw.text((110, 190), text, font=ImageFont.load_default(90), fill="black")
    return picture


@pytest.fixture
def signs(workspace: Workspace) -> Workspace:
    with open_catalogue(workspace) as catalogue:
        catalogue.remember_region(Region("two", "Two", CITIES))
    put(workspace, "van", sign("V A N  van", 1), title="<b>Van</b>")
    put(workspace, "plain", texture(3, (400, 300)))
    broken = put(workspace, "broken", texture(4, (400, 300)))
    write_atomically(workspace.photo(str(broken.sha256)), b"\xff\xd8\xff no picture")
    return workspace


def evidence(workspace: Workspace, stage: str) -> dict[str, dict[str, Any]]:
    with open_catalogue(workspace) as catalogue:
        return {one.photo_id: dict(one.evidence) for one in catalogue.decisions(stage)}


def test_without_the_extra(signs: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_leaks, "missing_extra", lambda: "rapidocr")
    summary = assess(signs, text=True)
    assert summary.skipped == ("pictures were not read: rapidocr is missing, of the extra ocr: pip install 't15[ocr]'",)
    assert evidence(signs, "text") == {}
    assert evidence(signs, "metadata")["made:van"]["name-in-metadata"] == 0.6
    assert "made:broken" in summary.unreadable


def test_reading_pictures(signs: Workspace) -> None:
    pytest.importorskip("rapidocr")
    summary = assess(signs, text=True)
    assert summary.skipped == ()
    found = evidence(signs, "text")
    assert set(found) == {"made:van", "made:plain"}
    assert found["made:van"]["name-in-picture"] > 0.5
    assert {"name-in-picture": 1, "name-in-metadata": 1}.items() <= {
        one.flag: one.photos for one in summary.flags
    }.items()
    left, top, right, bottom = found["made:van"]["lines"][0]["box"]
    assert 0.1 < left < right < 0.95
    assert 0.3 < top < bottom < 0.7
    json.dumps(found, allow_nan=False)


def test_what_was_read_is_not_read_again_and_other_names_judge_it_anew(
    signs: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def reader(path: Path) -> list[Line]:
        read.append(path)
        return [Line("Erciş", 0.9, BOX)]

    monkeypatch.setattr(text_leaks, "missing_extra", lambda: None)
    monkeypatch.setattr(text_leaks, "read_lines", reader)
    assess(signs, text=True)
    assert len(read) == 3
    assert "name-in-picture" not in evidence(signs, "text")["made:van"]
    with open_catalogue(signs) as catalogue:
        catalogue.remember_region(Region("two", "Two", (City("van", "Van", 38.5, 43.4, 15.0, aliases=("Erciş",)),)))
    assess(signs, text=True)
    assert len(read) == 3
    assert evidence(signs, "text")["made:van"]["name-in-picture"] == 0.9
    assert forget(signs) == 3
    assert evidence(signs, "text") == evidence(signs, "metadata") == {}


def test_the_flags_go_into_a_manifest(published: Path) -> None:
    manifest = read_manifest(published)
    ids = manifest.table["photo_id"].to_pylist()
    flagged = with_columns(manifest, {"flags": {ids[0]: "name-in-picture", ids[1]: ""}, "none": {}})
    assert flagged.digest == manifest.digest
    assert flagged.beside("flags") == ["name-in-picture", "", *[None] * (len(ids) - 2)]
    assert flagged.beside("none") is None
    assert with_columns(manifest, {"none": {}}) is manifest


@pytest.fixture
def published() -> Path:
    return Path(__file__).parents[3] / "manifests" / "sandbox" / "1.0.0"
