"""The tree of labels: levels, ancestors, sums from level to level, and the finest label of a place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.geo import distance_km
from collector.labels import LEVELS, Label, LabelTree
from collector.records import City

CITIES = (
    City("ankara", "Ankara", 39.9208, 32.8541, 25.0, country="TR"),
    City("bursa", "Bursa", 40.184, 29.0617, 20.0, country="TR"),
    City("paris", "Paris", 48.8566, 2.3522, 12.0, country="FR"),
)
DISTRICTS = (
    Label("ankara/kizilay", "Kızılay", {}, "district", "ankara", 39.92, 32.85, 2.0),
    Label("ankara/ulus", "Ulus", {}, "district", "ankara", 39.94, 32.86, 2.0),
    Label("paris/louvre", "Louvre", {"en": "Louvre"}, "district", "paris", 48.8606, 2.3376, 1.0),
)
TURKIYE = Label("tr", "Türkiye", {"en": "Turkey"}, "country", None, 39.0, 35.0, 900.0)
TREE = LabelTree.of_cities(CITIES, DISTRICTS)


def test_cities_are_the_only_level_where_nothing_else_is_given() -> None:
    tree = LabelTree.of_cities(CITIES)
    assert tree.levels == ("city",)
    assert [label.id for label in tree.at("city")] == ["ankara", "bursa", "paris"]
    assert tree.at("district") == ()
    assert tree.finest("bursa", 40.184, 29.0617).id == "bursa"


def test_levels_come_widest_first_and_labels_in_their_order() -> None:
    tree = LabelTree((*DISTRICTS, *LabelTree.of_cities(CITIES).labels, TURKIYE))
    assert tree.levels == ("country", "city", "district")
    assert [label.id for label in tree.at("district")] == ["ankara/kizilay", "ankara/ulus", "paris/louvre"]


def test_ancestors() -> None:
    louvre = TREE.by_id["paris/louvre"]
    assert TREE.parent_at(louvre, "district") is louvre
    assert TREE.parent_at(louvre, "city") is TREE.by_id["paris"]
    assert TREE.parent_at(louvre, "country") is None
    assert TREE.parent_at(TREE.by_id["paris"], "district") is None


def test_a_label_of_the_country_is_the_parent_of_its_cities() -> None:
    tree = LabelTree.of_cities(CITIES, (TURKIYE, *DISTRICTS))
    assert tree.parent_at(tree.by_id["ankara/ulus"], "country") == TURKIYE
    assert tree.parent_at(tree.by_id["paris"], "country") is None
    assert tree.columns("city", "country") == (0, 0, -1)


def test_probabilities_summed_by_columns_are_those_of_the_level_above() -> None:
    below = np.array([0.1, 0.2, 0.7])
    above = np.zeros(len(TREE.at("city")))
    np.add.at(above, list(TREE.columns("district", "city")), below)
    assert above == pytest.approx([0.3, 0.0, 0.7])


def test_a_circle_in_a_foreign_header_ends() -> None:
    loop = LabelTree((Label("a", "A", {}, "district", "b", 0, 0, 1), Label("b", "B", {}, "district", "a", 0, 0, 1)))
    assert loop.parent_at(loop.by_id["a"], "city") is None


@given(st.floats(39.85, 40.0), st.floats(32.75, 32.95))
def test_the_finest_label_is_the_nearest_district_that_holds_the_place(latitude: float, longitude: float) -> None:
    distances = {label.id: distance_km(latitude, longitude, label.latitude, label.longitude) for label in DISTRICTS[:2]}
    within = {name: km for name, km in distances.items() if km <= 2.0}
    expected = min(within, key=lambda name: within[name]) if within else "ankara"
    assert TREE.finest("ankara", latitude, longitude).id == expected


def test_a_photo_without_a_place_is_of_its_city_and_a_district_of_another_city_is_none_of_it() -> None:
    assert TREE.finest("paris", None, None).id == "paris"
    assert TREE.finest("paris", 39.92, 32.85).id == "paris"


def test_labels_beside_some_of_the_cities() -> None:
    tree = LabelTree.of_cities(CITIES, (TURKIYE, *DISTRICTS))
    assert [label.id for label in tree.beside({"ankara"})] == ["tr", "ankara/kizilay", "ankara/ulus"]
    assert [label.id for label in tree.beside({"paris"})] == ["paris/louvre"]
    assert LEVELS.index("country") < LEVELS.index("district")
