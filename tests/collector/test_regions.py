"""The gazetteer, the comparison of names, regions of one's own, distances."""

import json
import math
import os
import time
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import DataError, UsageError
from collector.geo import distance_km
from collector.labels import LabelTree
from collector.records import City, Region
from collector.regions import find_city, fold, misplaced, nearest_city, region, regions, slugify, slugs_by_name

ALL = region("turkiye81")
LATITUDES = st.floats(-90, 90)
LONGITUDES = st.floats(-180, 180)
PARIS = 'name = "Paris"\nlatitude = 48.8566\nlongitude = 2.3522\nradius_km = 12\n'
CASINGS = (
    lambda c: c,
    str.upper,
    str.lower,
    lambda c: {"i": "İ", "ı": "I"}.get(c, c.upper()),  # Turkish capitals
    lambda c: {"I": "ı", "İ": "i"}.get(c, c.lower()),  # Turkish small letters
)


def region_file(folder: Path, text: str, name: str = "mine.toml") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def cities(*tables: str) -> str:
    return 'name = "mine"\n' + "".join(f"[[city]]\n{table}" for table in tables)


# --- the built-in gazetteer


def test_built_in_regions() -> None:
    assert regions() == ("turkiye15", "turkiye81")
    assert region("turkiye81") is region("Türkiye81")


def test_every_plate_and_code_once() -> None:
    assert [city.plate for city in ALL.cities] == list(range(1, 82))
    assert [city.code for city in ALL.cities] == [f"TR-{plate:02}" for plate in range(1, 82)]


def test_every_city_has_its_country_and_its_names() -> None:
    assert {city.country for city in ALL.cities} == {"TR"}
    assert {tuple(sorted(city.names)) for city in ALL.cities} == {("en", "tr")}
    assert all(city.names["tr"] == city.name and city.names["en"].isascii() for city in ALL.cities)
    assert [find_city(ALL, name).names["en"] for name in ("İstanbul", "izmir", "63")] == [
        "Istanbul",
        "Izmir",
        "Sanliurfa",
    ]


def test_slugs_are_unique_ascii_and_follow_from_the_names() -> None:
    assert len({city.slug for city in ALL.cities}) == 81
    assert all(city.slug.isascii() and city.slug == slugify(city.name) for city in ALL.cities)
    assert find_city(ALL, "Hakkâri").slug == "hakkari"


def test_circles_do_not_overlap_so_a_photo_has_one_city() -> None:
    for i, one in enumerate(ALL.cities):
        for other in ALL.cities[i + 1 :]:
            apart = distance_km(one.latitude, one.longitude, other.latitude, other.longitude)
            assert apart > one.radius_km + other.radius_km, (one.name, other.name, apart)


def test_radii_are_those_of_towns_and_of_flickrs_search() -> None:
    assert all(8 <= city.radius_km <= 30 for city in ALL.cities)


def test_turkiye15_is_in_turkiye81_and_has_the_papers_three() -> None:
    fifteen = region("turkiye15").cities
    assert len(set(fifteen)) == 15
    assert set(fifteen) < set(ALL.cities)
    assert {"istanbul", "nevsehir", "bursa"} < {city.slug for city in fifteen}
    assert "own choice" in region("turkiye15").note


@pytest.mark.parametrize(
    ("place", "latitude", "longitude", "slug"),
    [
        ("Göreme", 38.6431, 34.8289, "nevsehir"),
        ("Uçhisar", 38.6300, 34.8050, "nevsehir"),
        ("Ürgüp", 38.6310, 34.9120, "nevsehir"),
        ("Pamukkale", 37.9204, 29.1212, "denizli"),
        ("Troya", 39.9575, 26.2389, "canakkale"),
        ("Göbeklitepe", 37.2231, 38.9225, "sanliurfa"),
        ("Safranbolu", 41.2506, 32.6942, "karabuk"),
        ("Ayasofya", 41.0086, 28.9802, "istanbul"),
        ("Kadıköy", 40.9903, 29.0290, "istanbul"),
    ],
)
def test_famous_places_near_a_town_belong_to_it(place: str, latitude: float, longitude: float, slug: str) -> None:
    city = nearest_city(ALL, latitude, longitude)
    assert city is not None
    assert city.slug == slug


def kilometres_outside(rings: list[list[list[float]]], latitude: float, longitude: float) -> float:
    """Return 0 for a point inside the polygon (even-odd rule over all rings), else its distance to the nearest edge."""
    inside, nearest, per_degree = False, math.inf, distance_km(0, 0, 1, 0)
    scale = math.cos(math.radians(latitude))
    for ring in rings:
        corners = [((x - longitude) * scale * per_degree, (y - latitude) * per_degree) for x, y, *_ in ring]
        for (x1, y1), (x2, y2) in zip(corners, corners[1:] + corners[:1], strict=True):
            if (y1 > 0) != (y2 > 0) and x1 - y1 * (x2 - x1) / (y2 - y1) > 0:
                inside = not inside
            length2 = (x2 - x1) ** 2 + (y2 - y1) ** 2
            along = max(0.0, min(1.0, -(x1 * (x2 - x1) + y1 * (y2 - y1)) / length2)) if length2 else 0.0
            nearest = min(nearest, math.hypot(x1 + along * (x2 - x1), y1 + along * (y2 - y1)))
    return 0.0 if inside else nearest


@pytest.mark.skipif("T15_REAL_DATA" not in os.environ, reason="T15_REAL_DATA names no folder with province polygons")
@pytest.mark.parametrize("city", ALL.cities, ids=lambda city: city.slug)
def test_centre_lies_in_the_province_of_its_plate(city: City) -> None:
    path = Path(os.environ["T15_REAL_DATA"]) / "turkiye" / "tr-cities.json"
    features = json.loads(path.read_text(encoding="utf-8"))["features"]
    (feature,) = (f for f in features if f["properties"]["number"] == city.plate)
    assert fold(feature["properties"]["name"]) in {fold(name) for name in (city.name, *city.aliases)}
    geometry: dict[str, Any] = feature["geometry"]
    polygons = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    # The polygons are simplified: a centre at the shore may fall off the drawn coast. A swapped or mistyped coordinate
    # is off by far more than 3 km.
    assert min(kilometres_outside(rings, city.latitude, city.longitude) for rings in polygons) <= 3


def test_ray_casting_helper_on_a_square_with_a_hole() -> None:
    square = [[[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0]], [[1.0, 1.0], [3.0, 1.0], [3.0, 3.0], [1.0, 3.0]]]
    assert kilometres_outside(square, 0.5, 0.5) == 0
    assert kilometres_outside(square, 2, 2) == pytest.approx(111.2, abs=0.2)
    assert kilometres_outside(square, 2, 5) == pytest.approx(111.2, abs=0.2)


# --- names


@pytest.mark.parametrize(
    "names",
    [
        ("Nevşehir", "Nevsehir", "NEVŞEHİR", "nevşehir", "NEVSEHIR", "nev-şehir", "Nev şehir"),
        ("İstanbul", "ISTANBUL", "istanbul", "Istanbul", "ıstanbul", "İSTANBUL", "i̇stanbul"),
        ("Hakkâri", "HAKKARI", "hakkari", "Hakkârî"),
        ("Iğdır", "igdir", "IĞDIR", "İGDİR"),
        ("Kahramanmaraş", "Kahraman Maraş", "kahraman-maras"),
        ("Xi'an", "Xi’an", "Xian", "xi an"),
        ("Łódź", "lodz"),
        ("Straße", "STRASSE"),
    ],
)
def test_spellings_of_one_name_fold_alike(names: tuple[str, ...]) -> None:
    assert len({fold(unicodedata.normalize(form, name)) for name in names for form in ("NFC", "NFD")}) == 1


def test_different_names_stay_different() -> None:
    assert len({fold(name) for name in ("Van", "Ván2", "東京", "京都", "دبي", "Αθήνα", "Москва", "दिल्ली")}) == 8


@given(st.text())
def test_fold_is_idempotent_and_blind_to_the_unicode_form(name: str) -> None:
    assert fold(fold(name)) == fold(name)
    assert fold(unicodedata.normalize("NFD", name)) == fold(unicodedata.normalize("NFC", name))


@given(st.text())
def test_slugs_are_slugs(name: str) -> None:
    slug = slugify(name)
    assert len(slug) <= 64
    assert slug == slugify(slug)
    assert set(slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert not slug.startswith("-")
    assert not slug.endswith("-")


def test_slugify() -> None:
    assert [slugify(name) for name in ("New York", "Şanlıurfa", "Xi'an", "St. John’s", "東京")] == [
        "new-york",
        "sanliurfa",
        "xian",
        "st-johns",
        "",
    ]


@given(st.data())
def test_every_city_is_found_in_any_casing(data: st.DataObject) -> None:
    city = data.draw(st.sampled_from(ALL.cities))
    name = data.draw(st.sampled_from([n for n in (city.name, city.slug, city.centre, city.code, *city.aliases) if n]))
    casings = data.draw(st.lists(st.sampled_from(CASINGS), min_size=len(name), max_size=len(name)))
    spelled = "".join(casing(c) for casing, c in zip(casings, name, strict=True))
    assert find_city(ALL, unicodedata.normalize(data.draw(st.sampled_from(("NFC", "NFD"))), spelled)) is city


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("50", "nevsehir"),
        ("5", "amasya"),
        ("05", "amasya"),
        ("tr-34", "istanbul"),
        ("Antep", "gaziantep"),
        ("URFA", "sanliurfa"),
        ("Afyon", "afyonkarahisar"),
        ("İçel", "mersin"),
        ("antakya", "hatay"),
        ("İZMİT", "kocaeli"),
        ("adapazari", "sakarya"),
        ("Constantinople", "istanbul"),
        ("smyrna", "izmir"),
    ],
)
def test_other_names_and_numbers(name: str, slug: str) -> None:
    assert find_city(ALL, name).slug == slug


@pytest.mark.parametrize("name", ["", " ", "0", "82", "999999999999", "TR-82", "Atlantis", "\x00"])
def test_no_such_city(name: str) -> None:
    with pytest.raises(UsageError, match="is not in turkiye81"):
        find_city(ALL, name)


def test_many_names_are_looked_up_at_once() -> None:
    names, coded = slugs_by_name(ALL), slugs_by_name(ALL, codes=True)
    for city in ALL.cities:
        for name in (city.name, city.slug, *city.aliases, *city.names.values()):
            assert names[fold(name)] == coded[fold(name)] == find_city(ALL, name).slug
        for code in (city.code, str(city.plate), f"0{city.plate}"):
            assert coded[fold(code)] == find_city(ALL, code).slug
            assert fold(code) not in names  # a folder 06 is a month
    again = Region("r", "R", (City("a-2", "A", 0, 0, 1, code="TR-01"), City("b", "A 2", 0, 0, 1, code="TR-01")))
    assert slugs_by_name(again, codes=True) == {"a": "a-2", "a2": "b", "b": "b"}


def test_near_misses_are_suggested() -> None:
    with pytest.raises(UsageError, match=r"city 'Nevşehr' is not in turkiye15 \(did you mean 'nevsehir'\?\)"):
        find_city(region("turkiye15"), "Nevşehr")


def test_a_city_of_the_larger_region_is_pointed_to() -> None:
    with pytest.raises(UsageError, match=r"^Kars is not in turkiye15; it is in turkiye81: add --region turkiye81$"):
        find_city(region("turkiye15"), "KARS")


# --- regions of one's own


def test_smallest_region_file(tmp_path: Path) -> None:
    mine = region(region_file(tmp_path, cities(PARIS)))
    assert (mine.name, mine.title) == ("mine", "mine")
    assert mine.cities == (City("paris", "Paris", 48.8566, 2.3522, 12.0),)


def test_full_region_file(tmp_path: Path) -> None:
    extra = 'slug = "paname"\ncode = "FR-75"\ncentre = "Île de la Cité"\naliases = ["Lutetia"]\n'
    mine = region(region_file(tmp_path, 'title = "Mine"\nnote = "Drawn."\n' + cities(PARIS + extra)))
    assert (mine.title, mine.note) == ("Mine", "Drawn.")
    assert {find_city(mine, name).slug for name in ("paris", "Paname", "ile-de-la-cite", "LUTETIA", "fr-75")} == {
        "paname"
    }


def test_the_built_in_tables_can_be_copied_into_a_file(tmp_path: Path) -> None:
    extra = 'name = "Van"\nplate = 65\ncode = "TR-65"\nlatitude = 38.5\nlongitude = 43.4\nradius_km = 15\n'
    assert find_city(region(region_file(tmp_path, cities(extra))), "65").name == "Van"


def test_a_file_needs_no_suffix_and_may_begin_with_a_byte_order_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    region_file(tmp_path, "\ufeff" + cities(PARIS).replace("\n", "\r\n"), "mine")
    monkeypatch.chdir(tmp_path)
    assert region("mine").cities[0].slug == "paris"


def test_names_are_kept_composed_and_stripped(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", PARIS.replace("Paris", " Şırnak "))
    assert region(region_file(tmp_path, cities(decomposed))).cities[0].name == "Şırnak"


DISTRICT = '[[city.district]]\nname = "Le Marais"\nlatitude = 48.86\nlongitude = 2.36\nradius_km = 1\n'
LOUVRE = (
    DISTRICT.replace("Le Marais", "Louvre").replace("2.36", "2.34") + 'slug = "the-louvre"\nnames = {en = "Louvre"}\n'
)


def test_districts_are_labels_below_their_city(tmp_path: Path) -> None:
    mine = region(region_file(tmp_path, cities(PARIS + DISTRICT + LOUVRE, PARIS.replace("Paris", "Other"))))
    assert [(label.id, label.parent, label.level) for label in mine.labels] == [
        ("paris/le-marais", "paris", "district"),
        ("paris/the-louvre", "paris", "district"),
    ]
    assert mine.labels[1].names == {"en": "Louvre"}
    tree = LabelTree.of(mine)
    assert tree.levels == ("city", "district")
    assert tree.finest("paris", 48.86, 2.341).id == "paris/the-louvre"
    assert tree.finest("paris", 48.9, 2.3).id == "paris"


def test_country_and_names_in_a_file(tmp_path: Path) -> None:
    extra = 'country = "FR"\nnames = { en = "Paris", tr = "Paris", de-AT = "Paris", el = "Παρίσι" }\n'
    mine = region(region_file(tmp_path, cities(PARIS + extra)))
    assert (mine.cities[0].country, mine.cities[0].names["el"]) == ("FR", "Παρίσι")
    assert find_city(mine, "παρισι").slug == "paris"


def test_two_cities_may_share_a_code_which_then_names_neither(tmp_path: Path) -> None:
    code = 'code = "US-CA"\n'
    mine = region(region_file(tmp_path, cities(PARIS + code, PARIS.replace("Paris", "Fresno") + code)))
    with pytest.raises(UsageError, match="'us-ca' is in mine paris and fresno: use one of these"):
        find_city(mine, "us-ca")


def test_a_file_of_many_cities_with_districts_is_read_quickly(tmp_path: Path) -> None:
    district = '[[city.district]]\nname = "D"\nlatitude = 1\nlongitude = 1\nradius_km = 1\n'
    city = '[[city]]\nname = "C {0}"\nlatitude = 1\nlongitude = 1\nradius_km = 9\n'
    text = 'name = "many"\n' + "".join(city.format(number) + district for number in range(1500))
    path = region_file(tmp_path, text)
    start = time.process_time()
    labels = region(path).labels
    first = time.process_time() - start
    assert len(labels) == 1500
    assert first < 1.5
    with pytest.raises(DataError, match=r"city 1500 \(C 1499\): two districts are called d"):
        region(region_file(tmp_path, text + district))


def test_unknown_region_says_how_to_write_one() -> None:
    with pytest.raises(UsageError, match=r"(?s)'turkiye18' is unknown \(did you mean 'turkiye81'.*\[\[city\]\]"):
        region("turkiye18")


@pytest.mark.parametrize("name", ["", "missing.toml", "missing/region", "a\0b", "a\0b.toml", "x" * 5000, "\ud800"])
def test_no_such_region(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError):
        region(name)


PLACE = "latitude = 1\nlongitude = 2\nradius_km = 3\n"
HOSTILE = {
    "not TOML": ("name = ", "not TOML"),
    "deep nesting": ("x = " + "[" * 100_000, "not TOML"),
    "long number": (cities(PARIS.replace("48.8566", "9" * 5000)), "not TOML"),
    "empty": ("", "name is missing"),
    "no city": ('name = "mine"', "holds no city"),
    "empty list": ('name = "mine"\ncity = []', "holds no city"),
    "one bracket": ('name = "mine"\n[city]\n' + PARIS, r"city must be \[\[city\]\] tables, not .*a table"),
    "list of numbers": ('name = "mine"\ncity = [1, 2]', r"city must be \[\[city\]\] tables, not \[1, 2\]"),
    "region name": (cities(PARIS).replace("mine", "My Region"), "name must be .* not 'My Region'.*'my-region'"),
    "region name, hyphen": (cities(PARIS).replace("mine", "-x"), "name must be .* not '-x'"),
    "region name, path": (cities(PARIS).replace("mine", "../x"), r"name must be .* not '\.\./x'"),
    "region name, number": ("name = 3\n" + cities(PARIS)[14:], r"name must be a text, not 3 \(a whole number\)"),
    "built-in name": (cities(PARIS).replace("mine", "turkiye15"), "is that of a built-in region"),
    "title": ("title = ['x']\n" + cities(PARIS), r"title must be a text, not \['x'\] \(a list\)"),
    "unknown top key": ("titel = 'x'\n" + cities(PARIS), r"unknown key 'titel' \(did you mean 'title'\?\)"),
    "unknown city key": (cities(PARIS + "radius = 3\n"), r"city 1 \(Paris\): unknown key 'radius' .*'radius_km'"),
    "missing name": (cities(PLACE), "city 1: name is missing"),
    "missing radius": (cities(PARIS.replace("radius_km = 12\n", "")), r"city 1 \(Paris\): radius_km is missing"),
    "second city": (cities(PARIS, 'name = "B"\n' + PLACE.replace("1", "'x'")), r"city 2 \(B\): latitude .*not 'x'"),
    "bool": (cities(PARIS.replace("12", "true")), r"radius_km must be a number, not true \(a boolean\)"),
    "nan": (cities(PARIS.replace("2.3522", "nan")), "longitude must be between -180 and 180, not nan"),
    "inf": (cities(PARIS.replace("12", "inf")), "radius_km must be between 0 and 500, not inf"),
    "latitude": (cities(PARIS.replace("48.8566", "90.1")), r"latitude must be between -90 and 90, not 90\.1"),
    "longitude": (cities(PARIS.replace("2.3522", "-181")), "longitude must be between -180 and 180, not -181"),
    "huge": (cities(PARIS.replace("48.8566", "0x" + "f" * 9000)), "latitude .* not a far larger number"),
    "zero radius": (cities(PARIS.replace("12", "0.0")), "radius_km must be greater than 0"),
    "large radius": (cities(PARIS.replace("12", "501")), "radius_km must be between 0 and 500, not 501"),
    "slug": (cities(PARIS + 'slug = "Parïs"\n'), r"slug must be .* not 'Parïs' .*'paris'"),
    "slug, line end": (cities(PARIS + 'slug = "par\\nis"\n'), "slug must hold"),
    "no slug": (cities('name = "東京"\n' + PLACE), "no slug follows from name '東京'"),
    "empty name": (cities('name = " - "\n' + PLACE), "name must hold letters or digits"),
    "control characters": (cities('name = "a\\u001b[2J"\n' + PLACE), r"city 1: name must hold .* not 'a\\x1b"),
    "code": (cities(PARIS + 'code = "Paris"\n'), "code must be an ISO 3166-2 code"),
    "plate": (cities(PARIS + "plate = 82\n"), "plate must be a Turkish province number, 1 to 81, not 82"),
    "plate, bool": (cities(PARIS + "plate = true\n"), "plate must be .* not true"),
    "aliases": (cities(PARIS + 'aliases = "x"\n'), "aliases must be a list of texts, not 'x'"),
    "alias": (cities(PARIS + "aliases = [1]\n"), r"aliases must be a text, not 1 \(a whole number\)"),
    "country": (cities(PARIS + 'country = "France"\n'), "country must be an ISO 3166-1 alpha-2 code .* not 'France'"),
    "names": (cities(PARIS + 'names = "Paris"\n'), "names must be a table of names by language tag, not 'Paris'"),
    "names, number": (cities(PARIS + "names = { en = 3 }\n"), r"city 1 \(Paris\): names must be a text, not 3"),
    "names, language": (
        cities(PARIS + 'names = { English = "x" }\n'),
        "names must be by language tags .* not 'English'",
    ),
    "names, hostile": (cities(PARIS + 'names = { en = "\\u001b" }\n'), r"names must hold letters .* not '\\x1b'"),
    "long name": (cities(PARIS.replace("Paris", "P" * 200)), "name must have at most 100 characters"),
    "long note": (f'note = "{"x" * 3000}"\n' + cities(PARIS), "note must have at most 2000 characters"),
    "many aliases": (
        cities(PARIS + f"aliases = {[f'a{n}' for n in range(101)]}\n"),
        "aliases holds too many entries; 100",
    ),
    "many cities": (cities(*[PLACE] * 10_001), "holds 10001 cities; 10000 are the most"),
    "district, one bracket": (
        cities(PARIS + "[city.district]\nname = 'x'\n"),
        r"district must be \[\[city.district\]\]",
    ),
    "district, missing": (
        cities(PARIS + DISTRICT.replace("radius_km = 1\n", "")),
        r"city 1 \(Paris\): district 1 \(Le Marais\): radius_km is missing",
    ),
    "district, key": (cities(PARIS + DISTRICT + "plate = 3\n"), r"district 1 \(Le Marais\): unknown key 'plate'"),
    "district, twice": (cities(PARIS + DISTRICT + DISTRICT), r"city 1 \(Paris\): two districts are called le-marais"),
    "district, far": (
        cities(PARIS + DISTRICT.replace("48.86", "49.86")),
        r"district 1 \(Le Marais\): its centre is 11. km from that of paris, whose radius_km is 12",
    ),
    "same name": (cities(PARIS, PARIS), r"city 2 \(Paris\): name 'Paris' is also a name of city 1 \(Paris\)"),
    "same slug": (
        cities(PARIS, 'name = "B"\nslug = "paris"\n' + PLACE),
        r"city 2 \(B\): slug 'paris' is also a name of city 1",
    ),
    "ambiguous alias": (
        cities(PARIS, 'name = "B"\naliases = ["PÂRİS"]\n' + PLACE),
        r"city 2 \(B\): aliases 'PÂRİS' is also a name of city 1 \(Paris\)",
    ),
}


@pytest.mark.parametrize(("text", "message"), HOSTILE.values(), ids=HOSTILE.keys())
def test_every_fault_of_a_region_file_is_named(text: str, message: str, tmp_path: Path) -> None:
    path = region_file(tmp_path, text)
    with pytest.raises(DataError, match=message) as caught:
        region(path)
    assert str(caught.value).startswith(path)
    assert len(str(caught.value)) < len(path) + 300


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "latin.toml").write_bytes('name = "Şırnak"'.encode("iso8859-9"))
    for name, message in (("folder.toml", "cannot be read"), ("latin.toml", "not UTF-8 at byte 8")):
        with pytest.raises(DataError, match=message):
            region(str(tmp_path / name))


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs /dev/zero")
def test_an_endless_file_is_refused() -> None:
    with pytest.raises(DataError, match="larger than 10 MB"):
        region("/dev/zero")


# --- distances


def test_known_distances() -> None:
    assert distance_km(0, 0, 0, 180) == pytest.approx(math.pi * 6371.0088)
    assert distance_km(90, 0, -90, 77) == pytest.approx(math.pi * 6371.0088)
    assert distance_km(0, 179.5, 0, -179.5) == pytest.approx(111.195, abs=0.001)
    assert distance_km(36.12, -86.67, 33.94, -118.40) == pytest.approx(2886.45, abs=0.01)  # the formula's usual example


@given(LATITUDES, LONGITUDES, LATITUDES, LONGITUDES)
def test_distance_is_a_symmetric_distance(lat1: float, lon1: float, lat2: float, lon2: float) -> None:
    there = distance_km(lat1, lon1, lat2, lon2)
    assert there == pytest.approx(distance_km(lat2, lon2, lat1, lon1), abs=1e-9)
    assert 0 <= there <= math.pi * 6371.0088 + 1e-6
    assert distance_km(lat1, lon1, lat1, lon1) == 0


@given(st.floats(35, 43), st.floats(25, 45))
def test_nearest_city_holds_the_point(latitude: float, longitude: float) -> None:
    def away(city: City) -> float:
        return distance_km(latitude, longitude, city.latitude, city.longitude)

    found = nearest_city(ALL, latitude, longitude)
    holding = [city for city in ALL.cities if away(city) <= city.radius_km]
    assert found == (min(holding, key=away) if holding else None)


@pytest.mark.parametrize("city", ALL.cities, ids=lambda city: city.slug)
def test_every_centre_is_its_own_city(city: City) -> None:
    assert nearest_city(ALL, city.latitude, city.longitude) is city


def test_no_city_holds_the_open_sea_or_an_unknown_place() -> None:
    assert nearest_city(ALL, 43.0, 34.0) is None
    assert nearest_city(ALL, math.nan, 34.0) is None


# --- places that are not in their city


@given(
    st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(1, 120)), min_size=1, max_size=5, unique=True),
    st.lists(st.tuples(st.floats(-2, 2) | st.just(math.nan), st.floats(-2, 2), st.integers(0, 5)), max_size=12),
)
def test_misplaced_against_the_rule_of_collecting(
    centres: list[tuple[float, float, float]], places: list[tuple[float, float, int]]
) -> None:
    """A place is where `nearest_city` puts it, or it is misplaced; unknown places and unknown labels are not."""
    cities = tuple(City(f"c{n}", f"C{n}", lat, lon, radius) for n, (lat, lon, radius) in enumerate(centres))
    labels = [f"c{n}" for _, _, n in places]
    wrong = {of.row: of for of in misplaced(cities, labels, [p[0] for p in places], [p[1] for p in places])}
    for row, (lat, lon, n) in enumerate(places):
        if n >= len(cities) or math.isnan(lat):
            assert row not in wrong
            continue
        nearest = nearest_city(Region("r", "R", cities), lat, lon)
        km = distance_km(lat, lon, cities[n].latitude, cities[n].longitude)
        if nearest is None or km > cities[n].radius_km:
            assert wrong[row].nearer is None
        elif row in wrong:
            assert wrong[row].nearer == nearest
        else:  # the nearest, to a millimetre
            assert km - distance_km(lat, lon, nearest.latitude, nearest.longitude) < 2e-6
        if row in wrong:
            assert wrong[row].km == pytest.approx(km)
