"""The page of an explanation: whole by itself, safe whatever names are in it."""

import base64
import hashlib
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from benchmark.models import Model
from benchmark.predicting.answer import Answer, Answerer, Candidate, answers
from benchmark.predicting.neighbours import Credit, Training
from benchmark.predicting.page import as_html, explained, heat_layer, index_html, map_credit, map_svg, page_name
from benchmark.predicting.read_image import Source
from collector.workspace import Workspace
from tests.benchmark.conftest import paint
from tests.benchmark.predicting.conftest import Trained, jpeg

HOSTILE = "</title></svg><script>alert(1)</script>\u202e"

ESCAPED = "&lt;/title&gt;&lt;/svg&gt;&lt;script&gt;alert(1)&lt;/script&gt;\u202e"


class Tags(HTMLParser):
    """Notes elements and addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "data", "action")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


def hostile(model: Model) -> Model:
    """Return the model with markup in every name."""
    cities = [{**city, "name": HOSTILE + city["name"]} for city in model.extra["cities"]]
    manifest = {**model.extra["manifest"], "note": HOSTILE}
    return replace(model, extra={**model.extra, "cities": cities, "title": HOSTILE, "manifest": manifest})


def page_of(
    answerer: Answerer, workspace: Workspace, name: str = "photo.jpg", picture: Image.Image | None = None
) -> str:
    data = jpeg(picture or paint(1, 1, 300, 200))
    image = Image.open(io.BytesIO(data)).convert("RGB")
    return as_html(answerer, Source(name, data=data), answerer.explain(image), workspace)


def tags_of(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    return tags


def test_it_says_the_answer_and_shows_what_is_near(trained: Trained, answerer: Answerer) -> None:
    page = page_of(answerer, trained.world.workspace)
    tags = tags_of(page)
    assert "<strong>Alpha</strong>" in page
    assert page.count("distance 0.") + page.count("distance 1.") >= 6
    assert "LicenseRef-Unknown" in page
    assert "by occlusion" in page.lower()
    assert tags.tags.count("img") == 2 + 6  # photo, heat, thumbnails of the workspace
    assert all(address.startswith("data:image/") for address in tags.addresses)
    assert "default-src 'none'" in page


def test_pictures_are_shown_only_where_the_workspace_has_them(answerer: Answerer, tmp_path: Path) -> None:
    assert tags_of(page_of(answerer, Workspace(tmp_path))).tags.count("img") == 2


def test_names_stay_text(trained: Trained, tmp_path: Path) -> None:
    answerer = Answerer(hostile(trained.model))
    credits = tuple(
        Credit(
            photo_id=HOSTILE,
            city=HOSTILE if row % 2 else "zulu",
            sha256="../../../etc/passwd",
            license=HOSTILE,
            author_name=HOSTILE,
            title=HOSTILE,
            page_url=("javascript://example.org/%0aalert(1)", 'https://example.org/1?a=1&b="><script>', "http://[")[
                row % 3
            ],
        )
        for row in range(24)
    )
    training = answerer.training
    assert training is not None
    answerer.training = Training(training.embeddings, training.mean, training.scale, credits)
    page = page_of(answerer, trained.world.workspace, HOSTILE)
    tags = tags_of(page)
    assert "script" not in tags.tags
    assert tags.handlers == []
    assert tags.tags.count("title") == 1 + 3  # the page's, and each dot's on the map
    assert {address.split(":")[0] for address in tags.addresses} <= {"data", "https"}
    assert tags.tags.count("img") == 2
    credited = page.partition("look most alike")[2].partition("About this answer")[0]
    assert credited.count("by &lt;/title&gt;") == 6
    assert "\u202e" not in credited.replace(f"{ESCAPED}Zulu", "")  # the direction of what follows is not turned round


def test_none_of_these_is_said(trained: Trained) -> None:
    extra = trained.model.extra
    sure = replace(trained.model, extra={**extra, "certainty": {**extra["certainty"], "threshold": 1.0}})
    page = page_of(Answerer(sure), trained.world.workspace, picture=Image.new("RGB", (50, 40), "grey"))
    assert "None of these." in page
    assert "Taken" not in page


def test_a_model_at_chance_is_doubted(trained: Trained, tmp_path: Path) -> None:
    extra = trained.model.extra
    chance = {**extra["certainty"], "threshold": 0.1, "photos": 40, "right": 1}
    answerer = Answerer(replace(trained.model, extra={**extra, "certainty": chance}))
    doubt = "Doubt this model: it was right on 1 of 40 validation photos"
    assert doubt in page_of(answerer, trained.world.workspace)
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(jpeg(paint(1, 1)))
    index = index_html(answerer, [("1.html", Source("photo.jpg", photo), answerer.answer([paint(1, 1)])[0])])
    assert doubt in index
    assert "Answers for 1 photo<" in index


def test_no_exif_goes_into_the_page(trained: Trained, answerer: Answerer) -> None:
    exif = Image.Exif()
    exif[0x013B] = "Secret Author"
    data = jpeg(paint(1, 1, 300, 200), exif=exif)
    image = Image.open(io.BytesIO(data)).convert("RGB")
    page = as_html(answerer, Source("x", data=data), answerer.explain(image), trained.world.workspace)
    embedded = [base64.b64decode(text) for text in re.findall(r"base64,([A-Za-z0-9+/=]+)", page)]
    assert len(embedded) == 8
    assert all(b"Exif" not in one and b"Secret" not in one for one in embedded)
    assert Image.open(io.BytesIO(embedded[0])).size == (300, 200)


def test_heat_is_denser_where_it_is_hotter() -> None:
    heat = np.zeros((2, 4), np.float32)
    heat[1, 3] = 1
    layer = np.asarray(heat_layer(heat, (200, 100)))
    assert layer.shape == (100, 200, 4)
    assert layer[:30, :100, 3].max() == 0
    assert layer[95, 195, 3] == layer[..., 3].max() > 150


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/b/Kızılay 1.JPG", "0007-K-z-lay-1.html"),
        ("../../etc/passwd", "0007-passwd.html"),
        ("…", "0007-photo.html"),
        ("x" * 300 + ".jpg", f"0007-{'x' * 60}.html"),
    ],
)
def test_page_names_are_plain(name: str, expected: str) -> None:
    assert page_name(7, Source(name)) == expected


def answer(*places: tuple[str, float, float, float], radius: float | None = 100.0) -> Answer:
    candidates = tuple(Candidate(name.lower(), name, share, *at) for name, share, *at in places)
    _, _, latitude, longitude = places[0]
    return Answer(candidates, places[0][1], False, latitude, longitude, radius, None)


def svg(one: Answer) -> ET.Element:
    return ET.fromstring(map_svg(one))  # noqa: S314 (our own markup)


@pytest.mark.parametrize(
    "places",
    [
        (("A", 0.6, 39.9, 32.8), ("B", 0.3, 41.0, 28.9), ("C", 0.1, 36.9, 30.7)),
        (("A", 0.9, -17.0, 179.0), ("B", 0.1, -14.0, -171.0)),  # both sides of the date line
        (("A", 0.5, 0.0, 0.0), ("B", 0.5, 0.0, 0.0)),
        (("A", 0.5, 60.0, 10.0), ("B", 0.5, -60.0, 10.5)),
        (("A", 1.0, 89.0, 10.0),),
        (("A", 0.4, 10.0, 0.0), ("B", 0.3, 10.0, 120.0), ("C", 0.3, 10.0, -120.0)),
    ],
)
def test_every_city_is_on_the_map(places: tuple[tuple[str, float, float, float], ...]) -> None:
    root = svg(answer(*places))
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    circles = root.findall(".//circle")
    assert len(circles) == len(places)
    for circle in circles:
        assert 0 <= float(circle.attrib["cx"]) <= width
        assert -1 <= float(circle.attrib["cy"]) <= height + 60  # a pole's city may lie at the edge
    assert 200 <= height <= 600
    assert root.attrib["aria-label"].startswith("Map: A ")


def test_the_area_of_a_dot_is_its_probability_and_north_is_up() -> None:
    root = svg(answer(("A", 0.64, 41.0, 29.0), ("B", 0.16, 37.0, 35.0)))
    small, large = root.findall(".//circle")
    assert (float(large.attrib["r"]) - 2.5) == pytest.approx(2 * (float(small.attrib["r"]) - 2.5), abs=0.2)
    assert float(large.attrib["cy"]) < float(small.attrib["cy"])
    assert float(large.attrib["cx"]) < float(small.attrib["cx"])
    assert len(root.findall(".//path")) > 0


@pytest.mark.parametrize(("longitude", "credited"), [(30.0, True), (-140.0, False)])
def test_borders_are_credited_where_there_are_some(longitude: float, credited: bool) -> None:
    drawn = answer(("A", 0.7, 40.0, longitude), ("B", 0.3, 41.0, longitude))
    assert map_credit(drawn) == ("Borders: Natural Earth (public domain)." if credited else "")


def test_the_radius_is_as_many_km_as_the_cities_are_apart() -> None:
    root = svg(answer(("A", 0.7, 40.0, 30.0), ("B", 0.3, 41.0, 30.0), radius=111.2))
    (ellipse,) = root.findall(".//ellipse")
    other, best = root.findall(".//circle")
    assert float(ellipse.attrib["ry"]) == pytest.approx(float(best.attrib["cy"]) - float(other.attrib["cy"]), rel=0.01)
    assert svg(answer(("A", 0.7, 40.0, 30.0), ("B", 0.3, 41.0, 30.0), radius=None)).findall(".//ellipse") == []


def test_an_index_names_files_and_no_folder_of_anybodys_disk(
    trained: Trained, answerer: Answerer, tmp_path: Path
) -> None:
    known = trained.world.photos("train")[0]
    folder = tmp_path / "holiday <b>"
    folder.mkdir()
    (folder / "new.jpg").write_bytes(jpeg(paint(1, 1, 300, 200)))
    (folder / "learnt.jpg").write_bytes(trained.world.workspace.photo(str(known.sha256)).read_bytes())
    sources = [Source(str(path), path) for path in (folder / "new.jpg", folder / "learnt.jpg")]
    out = tmp_path / "why"
    records = list(explained(answerer, answers(answerer, sources), out, trained.world.workspace))
    assert [one.get("training_photo") for one in records] == [None, known.photo_id]
    index, pages = (out / "index.html").read_text(), [Path(one["explanation"]).read_text() for one in records]
    for page in (index, *pages):
        assert str(tmp_path) not in page
        assert "holiday" not in page
    assert tags_of(index).addresses == [Path(one["explanation"]).name for one in records]
    assert ["this very photo" in page for page in pages] == [False, True]


def test_a_model_without_credits_knows_what_it_is_told(trained: Trained) -> None:
    bare = replace(
        trained.model, arrays={n: a for n, a in trained.model.arrays.items() if n not in ("embeddings", "credits")}
    )
    photo = Source("x", data=b"bytes")
    assert Answerer(bare).training_photo(photo) is None
    told = Answerer(bare, trained_on={hashlib.sha256(b"bytes").hexdigest(): "test:1"})
    assert told.training_photo(photo) == "test:1"
    assert told.training_photo(Source("y", Path("/nowhere/at/all"))) is None


def test_the_map_of_a_place_in_an_only_city_is_of_the_place() -> None:
    town = (Candidate("cambridge", "Cambridge", 1.0, 52.2053, 0.1218),)
    of_place = Answer(town, 1.0, False, 52.2, 0.12, 0.17, 0.36, decimals=3)
    root = ET.fromstring(map_svg(of_place))  # noqa: S314 (our own markup)
    height = float(root.attrib["viewBox"].split()[3])
    centre, place = root.findall(".//g[@class='dots']/circle")
    assert float(centre.attrib["r"]) < float(place.attrib["r"]) < 10
    apart = abs(float(centre.attrib["cy"]) - float(place.attrib["cy"]))
    assert 0.2 * height < apart < height  # 590 m fill the map
    assert "%" not in map_svg(of_place)
    assert map_svg(replace(of_place, decimals=None)).count("Cambridge 100 %") == 1


def test_names_on_the_map_do_not_overlap_and_are_not_cut() -> None:
    crowded = [
        ("Osmaniye", 37.07, 36.25),
        ("Adana", 36.99, 35.33),
        ("Gaziantep", 37.06, 37.38),
        ("Kilis", 36.72, 37.11),
    ]
    crowded.append(("Edge of the world", 41.6, 45.0))
    cities = tuple(Candidate(name.lower(), name, 0.2, lat, lon) for name, lat, lon in crowded)
    svg = map_svg(Answer(cities, 0.2, False, 37.07, 36.25, None, None))
    texts = re.findall(r'<text x="([\d.-]+)" y="([\d.-]+)" text-anchor="(\w+)">([^<]+)</text>', svg)
    assert texts[0][3] == "Osmaniye 20 %"
    boxes = []
    for x, y, anchor, text in texts:
        left = float(x) - (11.5 * len(text) if anchor == "end" else 0)
        boxes.append((left, float(y) - 20, left + 11.5 * len(text), float(y) + 5))
    assert all(left >= 0 and right <= 640 for left, _, right, _ in boxes)
    for one in range(len(boxes)):
        for other in boxes[:one]:
            a = boxes[one]
            assert not (a[0] < other[2] and other[0] < a[2] and a[1] < other[3] and other[1] < a[3])
