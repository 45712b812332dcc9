"""The pictures of the card: they repeat, load nothing, and show any name as text."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest

from collector.manifest.manifest import Manifest, build_manifest
from collector.publishing.charts import COLOURS, charts, drawable
from collector.publishing.facts import gather
from collector.publishing.stats import stats
from collector.records import City
from collector.web.maps import kilometres
from tests.collector.conftest import HEADER
from tests.conftest import MakePhoto


def drawn(manifest: Manifest) -> dict[str, bytes]:
    return charts(manifest, gather(manifest), stats(manifest))


def parsed(svg: bytes) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - our own


def texts(svg: bytes) -> str:
    return " ".join("".join(node.itertext()) for node in parsed(svg).iter("{http://www.w3.org/2000/svg}text"))


def test_they_repeat_whatever_the_users_settings(small: Manifest) -> None:
    first = drawn(small)
    with mpl.rc_context({"font.size": 20, "svg.fonttype": "path", "axes.facecolor": "red"}):
        assert drawn(small) == first
        assert mpl.rcParams["font.size"] == 20  # and are put back
    assert set(first) == {f"{name}.svg" for name in ("authors", "cities", "counts", "hours", "map", "months")}


def test_they_load_nothing_and_know_no_date(small: Manifest) -> None:
    for svg in drawn(small).values():
        for node in parsed(svg).iter():
            for name, value in node.attrib.items():
                if name.endswith("href"):
                    assert value.startswith(("#", "data:image/png;base64,")), value
        assert b"<script" not in svg
        assert b"dc:date" not in svg


def test_what_they_say(small: Manifest) -> None:
    pictures = drawn(small)
    for name in ("Ankara", "Bursa", "Van", "training", "validation", "test", "made up"):
        assert name in texts(pictures["counts.svg"]), name
        assert name in texts(pictures["map.svg"]), name
    assert "1 author of 5 took 21 % of the photos" in texts(pictures["authors.svg"]).replace("\n", " ")


def test_a_dot_for_each_photo_with_a_place(make_photo: MakePhoto) -> None:
    """Without coordinates there is no map, with one author no curve, without times neither months nor hours."""
    bare = {"latitude": None, "longitude": None, "taken_at": None}
    assert set(drawn(build_manifest(HEADER, [make_photo(0, **bare)], "t15"))) == {"cities.svg", "counts.svg"}
    placed = build_manifest(HEADER, [make_photo(0, taken_at=None)], "t15")
    assert set(drawn(placed)) == {"cities.svg", "counts.svg", "map.svg"}


@pytest.mark.parametrize("name", ["$\\frac{1}{2$", "</text><script>", "東京\u202e&amp;", "\x00\n\t", "x" * 200, "ش𝒳"])
def test_any_name(make_photo: MakePhoto, name: str) -> None:
    city = replace(HEADER.cities[0], name=name)
    manifest = build_manifest(replace(HEADER, note=name, cities=(city, *HEADER.cities[1:])), [make_photo(0)], "t15")
    for svg in drawn(manifest).values():
        assert b"<script" not in svg
        assert drawable(name, 15).rstrip("…") in texts(svg) or not drawable(name)


@pytest.mark.parametrize("cities", [1, 2, 16, 101])
def test_any_number_of_cities(make_photo: MakePhoto, cities: int) -> None:
    header = replace(HEADER, cities=tuple(City(f"c{n}", f"City {n}", 1.0, 1.0, 10.0) for n in range(cities)))
    photos = [make_photo(n, city=f"c{n}", latitude=1.0, longitude=1.0) for n in range(cities)]
    pictures = drawn(build_manifest(header, photos, "t15"))
    assert texts(pictures["counts.svg"]).count("City") == min(cities, 100)
    assert ("1 more cities" in texts(pictures["counts.svg"])) == (cities == 101)
    assert texts(pictures["map.svg"]).count("City") == min(cities, 100)


def test_kilometres() -> None:
    """A degree of latitude is 111.195 km on a sphere of 6371.0088 km; one of longitude shrinks by the cosine."""
    place = City("x", "X", 60.0, 179.5, 10.0)
    offsets = kilometres(place.latitude, place.longitude, [(61.0, 179.5), (60.0, -179.5), (60.0, 178.5)])
    assert np.allclose(offsets, [[0, 111.195], [55.5975, 0], [-55.5975, 0]], atol=1e-3)
    assert kilometres(place.latitude, place.longitude, []).shape == (0, 2)


def test_colours_differ_in_lightness() -> None:
    def lightness(colour: str) -> float:
        red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    values = sorted(lightness(colour) for colour in COLOURS.values())
    assert values[0] + 0.2 < values[1]
    assert len(set(values)) == 3


def test_licences_beyond_what_colours_there_are_are_summed(make_photo: MakePhoto) -> None:
    few = [make_photo(n, license="CC-BY-4.0" if n else "LicenseRef-Mine") for n in range(4)]
    assert {"CC-BY-4.0", "LicenseRef-Mine"} <= set(
        texts(drawn(build_manifest(HEADER, few, "t15"))["licences.svg"]).split()
    )
    many = [make_photo(n, license=f"LicenseRef-{min(n, 11)}") for n in range(24)]
    shown = texts(drawn(build_manifest(HEADER, many, "t15"))["licences.svg"])
    assert "LicenseRef-11" in shown  # it has the most photos
    assert shown.count("LicenseRef") == 8
    assert "4 more" in shown


def test_what_is_not_known_of_one_city_is_said_beside_the_others(small: Manifest) -> None:
    found = [replace(of, indoors=None if at else 0.25) for at, of in enumerate(stats(small))]
    shown = texts(charts(small, gather(small), found)["cities.svg"])
    assert "indoors" in shown
    assert "25 %" in shown
    assert shown.count("not known") == 2
    assert "filled by people" not in shown
