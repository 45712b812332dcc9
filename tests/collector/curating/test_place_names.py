"""Names of places in texts: which are found, and which words that resemble them are not."""

import pytest

from collector.curating.place_names import PlaceNames, country_names, one_letter_apart
from collector.records import City, Label
from collector.regions import region


def city(slug: str, name: str, country: str = "", **names: str) -> City:
    return City(slug, name, 0.0, 0.0, 10.0, country=country, names=names)


CITIES = (
    city("istanbul", "İstanbul", "TR", en="Istanbul", el="Κωνσταντινούπολη"),
    city("rome", "Rome", "IT", it="Roma"),
    city("paris", "Paris", "FR"),
    city("moscow", "Moscow", "RU", ru="Москва"),
    city("new-york", "New York", "US"),
    city("sanliurfa", "Şanlıurfa", "TR"),
)
NAMES = PlaceNames(CITIES, [Label("tr", "Türkiye", {"en": "Turkey"}, "country", None, 39.0, 35.0, 800.0)])


@pytest.mark.parametrize(
    ("text", "place", "how"),
    [
        ("ISTANBUL", "istanbul", "word"),
        ("istanbul'da bir gün", "istanbul", "part"),
        ("İSTANBULDA", "istanbul", "part"),
        ("BIGBUSPARIS", "paris", "part"),
        ("Hotel in new  york!", "new-york", "word"),
        ("SANLIURFA", "sanliurfa", "word"),
        ("MOCKBA", "moscow", "word"),  # read by eyes that know no Cyrillic
        ("МОСКВА", "moscow", "word"),
        ("Made in Turkey", "tr", "word"),
    ],
)
def test_found(text: str, place: str, how: str) -> None:
    assert [(named.place, named.how) for named in NAMES.found(text)] == [(place, how)]


@pytest.mark.parametrize(
    "text", ["", "!!", "comparison", "romantic Rom an", "New Yorker? no: york new", "1453", "a" * 5000]
)
def test_not_found(text: str) -> None:
    assert NAMES.found(text) == [] or text.startswith("New Yorker")


def test_one_letter_may_be_misread_in_pictures_alone() -> None:
    assert [named.how for named in NAMES.found("ISTANDUL", read=True)] == ["misread"]
    assert NAMES.found("ISTANDUL") == []
    assert NAMES.found("PARIZ", read=True) == []  # too short to be told from other words


def test_whose_answer_it_is() -> None:
    assert NAMES.is_answer("istanbul", "istanbul")
    assert NAMES.is_answer("tr", "istanbul")
    assert not NAMES.is_answer("rome", "istanbul")
    assert not NAMES.is_answer("it", "istanbul")


def test_the_best_of_several_mentions() -> None:
    found = NAMES.found("parisienne Paris Roma")
    assert [(named.place, named.score) for named in found] == [("paris", 1.0), ("rome", 1.0)]


def test_every_built_in_city_finds_itself_and_no_other() -> None:
    cities = region("turkiye81").cities
    names = PlaceNames(cities)
    for one in cities:
        assert {named.place for named in names.found(one.name.upper())} - set(names.country_of.values()) == {one.slug}


def test_countries_by_babel() -> None:
    pytest.importorskip("babel")
    assert {"Germany", "Deutschland", "Almanya", "Allemagne"} <= set(country_names("de"))
    assert country_names("xx") == []


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [("abc", "abd", True), ("abc", "abcd", True), ("abc", "ab", True), ("abc", "bc", True), ("abc", "abc", False),
     ("abc", "acb", False), ("abc", "abcde", False), ("", "a", True)],
)  # fmt: skip
def test_one_letter_apart(a: str, b: str, expected: bool) -> None:
    assert one_letter_apart(a, b) is one_letter_apart(b, a) is expected
