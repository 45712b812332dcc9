"""Headers that are absurd: each field and each count has a bound, said in one line, whoever computed the digest."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collector.errors import DataError, UsageError
from collector.labels import Label
from collector.manifest.header import MOST_BYTES, Header
from collector.manifest.manifest import build_manifest, read_manifest
from collector.records import City, ProviderTraits
from tests.collector.conftest import HEADER
from tests.conftest import MakePhoto


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = {"x": value}
    return value


def city(**changes: Any) -> tuple[City, ...]:
    return (replace(HEADER.cities[0], **changes), *HEADER.cities[1:])


def label(**changes: Any) -> tuple[Label, ...]:
    return (replace(Label("van/merkez", "Merkez", {}, "district", "van", 38.5, 43.4, 3.0), **changes),)


ABSURD: dict[str, tuple[dict[str, Any], str]] = {
    "long name": ({"name": "a" * 300}, "manifest name .*at most 100"),
    "long region": ({"region": "a" * 300}, "region .*at most 100"),
    "long version": ({"version": f"1.{'9' * 300}.0"}, r"write it as major\.minor\.patch"),
    "version of 5000 digits": ({"version": f"{'1' * 5000}.0.0"}, r"write it as major\.minor\.patch"),
    "long title": ({"title": "a" * 1001}, "title and note"),
    "long note": ({"note": "a" * 5001}, "title and note"),
    "huge seed": ({"seed": 1 << 70}, "seed"),
    "deep rules": ({"rules": nested(200)}, "rules: nested more than 8 deep"),
    "rules too deep for Python": ({"rules": nested(20_000)}, "rules: nested more than 8 deep"),
    "large rules": ({"rules": {str(n): "x" * 100 for n in range(1000)}}, r"rules: has \d+ bytes"),
    "many quotas": ({"quotas": {str(n): 1 for n in range(10_000)}}, r"quotas: has \d+ bytes"),
    "infinite quota": ({"quotas": {"train": float("inf")}}, "quotas: holds what JSON cannot"),
    "many hashes": ({"hashes": ("x" * 50,) * 5000}, r"hashes: has \d+ bytes"),
    "large parent": ({"parent": {"version": "1" * 100_000}}, r"parent: has \d+ bytes"),
    "many cities": ({"cities": (HEADER.cities[0],) * 100_000}, "100000 cities; 10000 are the most"),
    "city twice": ({"cities": (*HEADER.cities, HEADER.cities[0])}, "city 'ankara' is there twice"),
    "city's name": ({"cities": city(name="a" * 201)}, "city 'ankara'"),
    "city's slug": ({"cities": city(slug="a" * 101)}, "a slug is of small letters"),
    "city's radius as text": ({"cities": city(radius_km="12")}, "city ankara: its centre or radius"),
    "no radius": ({"cities": city(radius_km=0.0)}, "city ankara: its centre or radius"),
    "negative radius": ({"cities": city(radius_km=-3.0)}, "city ankara: its centre or radius"),
    "radius as flag": ({"cities": city(radius_km=True)}, "city ankara: its centre or radius"),
    "radius without end": ({"cities": city(radius_km=10**400)}, "city ankara: its centre or radius"),
    "latitude": ({"cities": city(latitude=float("nan"))}, "city ankara: its centre or radius"),
    "aliases": ({"cities": city(aliases=("a",) * 201)}, "city ankara: its code, plate, centre or aliases"),
    "alias": ({"cities": city(aliases=("a" * 201,))}, "city ankara: its code, plate, centre or aliases"),
    "country": ({"cities": city(country="Türkiye")}, "country 'Türkiye' is no ISO"),
    "names": ({"cities": city(names={"en": 3})}, "names are short texts"),
    "many names": ({"cities": city(names={str(n): "x" for n in range(501)})}, "names are short texts"),
    "many labels": ({"labels": label() * 30_000}, "30000 labels; 20000 are the most"),
    "label twice": ({"labels": label() * 2}, "label 'van/merkez' is there twice"),
    "label's id": ({"labels": label(id="../../etc")}, "an id is of names joined by /"),
    "label's level": ({"labels": label(level="planet")}, "its level is none of"),
    "label's parent": ({"labels": label(parent="nowhere")}, "or its parent is none"),
    "label's place": ({"labels": label(latitude=91.0)}, "label van/merkez: its centre"),
    "label's outline": ({"labels": label(polygon=((0.0, 0.0),) * 10_001)}, "10001 corners"),
    "protocol": ({"protocol": "x" * 1000}, "protocol .*is none of city, place"),
    "traits": ({"provider_traits": {"x": ProviderTraits(panorama="x" * 201)}}, "provider_traits of 'x'"),
    "many traits": ({"provider_traits": {str(n): ProviderTraits() for n in range(1001)}}, "at most 1000"),
}


@pytest.mark.parametrize(("change", "said"), ABSURD.values(), ids=ABSURD.keys())
def test_absurd_headers(change: dict[str, Any], said: str, make_photo: MakePhoto) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        build_manifest(replace(HEADER, **change), [make_photo(0)], "")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


LARGEST: dict[str, Callable[[], Header]] = {
    "cities": lambda: replace(
        HEADER, cities=(*HEADER.cities, *(City(f"c{n}", f"C {n}", 1.0, 2.0, 3.0) for n in range(9997)))
    ),
    "names": lambda: replace(HEADER, name="a" * 100, version="1000000000.0.0", title="t" * 1000, note="n" * 5000),
    "rules": lambda: replace(HEADER, rules={"x": {"y": {"z": [{"deep": ["x" * 60_000]}]}}}),
}


@pytest.mark.parametrize("make", LARGEST.values(), ids=LARGEST.keys())
def test_the_largest_that_is_allowed(make: Callable[[], Header], make_photo: MakePhoto) -> None:
    assert build_manifest(make(), [make_photo(0)], "").table.num_rows == 1


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("title", "x" * 20_000, "has 20000 characters; 10000 are the most"),
        ("photo_id", "made:" + "x" * 600, "605 characters; 512 are the most"),
        ("author_name", "x" * 3000, "3000 characters; 2000 are the most"),
        ("page_url", "https://x/" + "x" * 9000, "9010 characters; 8192 are the most"),
        ("group_id", "x" * 700, "700 characters; 600 are the most"),
        ("sequence_id", "x" * 700, "700 characters; 512 are the most"),
        ("heading", 361.0, "must be from 0 to 360"),
        ("position_accuracy_m", -1.0, "must be from 0"),
        ("label", "van/nowhere", "must be a label or a city of manifest.json"),
    ],
)
def test_absurd_values(field: str, value: object, said: str, make_photo: MakePhoto) -> None:
    with pytest.raises(DataError, match=rf"row 0 .*column {field}: .*{said}") as caught:
        build_manifest(HEADER, [make_photo(0, **{field: value})], "")
    assert len(str(caught.value)) < 300


def test_a_manifest_json_without_end(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_bytes(path.read_bytes() + b" " * MOST_BYTES)
    with pytest.raises(DataError, match=r"more than 32 MiB, so it is no manifest\.json"):
        read_manifest(folder)
