"""Manifests that nobody sane would publish and everybody may be handed: long names, many cities, far places, odd numbers.

Each is well-formed as far as its writer knows: whatever reads it refuses it in one line, or goes on in bounded time.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from collector.errors import DataError, UsageError
from collector.manifest.manifest import Header, Manifest, build_manifest
from collector.records import SPLITS, City, Photo
from tests.collector.conftest import HEADER

MANY_CITIES = 500
LONG = "long-" * 60 + "x"  # 301 characters: more than any file system takes
WORD = "word " * 4_000

Make = Callable[..., Photo]


def header(**changes: Any) -> Header:
    """Return the small header with changes."""
    return replace(HEADER, **changes)


def cities(count: int, **changes: Any) -> tuple[City, ...]:
    """Return so many cities, all over the Earth."""
    return tuple(
        City(f"city-{n}", f"City {n}", n * 37 % 140 - 70 + 0.5, n * 61 % 340 - 170 + 0.5, 20.0, **changes)
        for n in range(count)
    )


def of(made: Header, photos: list[Photo], tool: str = "t15 test") -> Manifest | None:
    """Return the manifest, None where its writer refuses it already."""
    try:
        return build_manifest(made, photos, tool)
    except (UsageError, DataError, ValueError):  # ValueError: NaN has no spelling in JSON
        return None


def absurd(make: Make) -> Iterator[tuple[str, Manifest]]:
    """Yield each absurd manifest under a name that says what is absurd."""
    for name, manifest in _all(make):
        if manifest is not None:
            yield name, manifest


def _all(make: Make) -> Iterator[tuple[str, Manifest | None]]:
    plain = [make(n) for n in range(30)]
    first, *others = HEADER.cities
    yield "long name", of(header(name=LONG), plain)
    yield "name near the bound of file names", of(header(name="n" * 250), plain)
    yield "long region", of(header(region=LONG), plain)
    yield "long version", of(header(version=f"1.{'9' * 300}.0"), plain)
    yield "version of 5,000 digits", of(header(version=f"1.0.{'9' * 5_000}"), plain)
    yield "long title", of(header(title=WORD), plain)
    yield "title of one long word", of(header(title="w" * 20_000), plain)
    yield "long note", of(header(note=WORD), plain)
    yield "title of line ends", of(header(title="\n" * 3_000 + "a\r\n# b"), plain)
    yield "title of backticks", of(header(title="`" * 5_000), plain)
    yield "hostile title", of(header(title="</script><svg onload=alert(1)> {{7*7}} \u202e"), plain)
    yield "no title", of(header(title="", note=""), plain)
    yield "city with a long name", of(header(cities=(replace(first, name="İ" * 10_000), *others)), plain)
    yield "city with a name of blanks", of(header(cities=(replace(first, name=" \n\t"), *others)), plain)
    yield "city with a long slug", _slug(make, LONG)
    yield "two cities of one slug", of(header(cities=(*HEADER.cities, first)), plain)
    yield "city with many aliases", of(header(cities=(replace(first, aliases=("a",) * 20_000), *others)), plain)
    for what, value in (
        ("NaN", float("nan")),
        ("infinite", float("inf")),
        ("negative", -1.0),
        ("no", 0.0),
        ("1e300", 1e300),
    ):
        yield f"{what} radius", of(header(cities=(replace(first, radius_km=value), *others)), plain)
    yield "a radius of a millimetre", of(header(cities=(replace(first, radius_km=1e-6), *others)), plain)
    for what, value in (("beyond the pole", 91.0), ("NaN", float("nan")), ("1e308", 1e308)):
        yield f"latitude {what}", of(header(cities=(replace(first, latitude=value), *others)), plain)
    yield "longitude 1e9", of(header(cities=(replace(first, longitude=1e9), *others)), plain)
    yield "a city at the pole", of(header(cities=(replace(first, latitude=90.0), *others)), plain)
    yield (
        "all cities in one place",
        of(header(cities=tuple(replace(c, latitude=1.0, longitude=1.0) for c in HEADER.cities)), plain),
    )
    yield "huge seed", of(header(seed=10**5_000), plain)
    yield "huge quotas", of(header(quotas=dict.fromkeys((*SPLITS, "x" * 10_000), 1e308)), plain)
    yield "deep rules", of(header(rules=_deep(80)), plain)
    yield "many rules", of(header(rules={f"rule {n}": n for n in range(20_000)}), plain)
    yield "rules with a long text", of(header(rules={"mode": WORD}), plain)
    yield "parent of odd kinds", of(header(parent={"version": WORD, "digest": "x" * 10_000}), plain)
    yield "many hashes", of(header(hashes=("phash",) * 20_000), plain)
    yield "long tool", of(HEADER, plain, WORD)
    yield "no photo", of(HEADER, [])
    yield "one photo", of(HEADER, plain[:1])
    yield "only test photos", of(HEADER, [replace(photo, split="test") for photo in plain])
    yield "cities without photos", of(header(cities=(*HEADER.cities, *cities(20))), plain)
    many = cities(MANY_CITIES)
    yield (
        "many cities",
        of(header(cities=many), [make(n, city=many[n].slug, split=SPLITS[n % 3]) for n in range(MANY_CITIES)]),
    )
    yield (
        "many cities with long names",
        of(header(cities=cities(30, aliases=("a" * 100,))), [make(0, city="city-0")]),
    )
    yield "every photo an author", of(HEADER, [make(n, author_id=f"made:author-{n}") for n in range(3_000)])
    yield "every photo a licence", of(HEADER, [make(n, license=f"LicenseRef-{n}") for n in range(300)])
    yield "every photo a provider", of(HEADER, [make(n, photo_id=f"provider-{n}:1") for n in range(300)])
    yield "long licence", of(HEADER, [make(0, license="L" * 100), *plain[1:]])
    yield "long author", of(HEADER, [make(0, author_name="a" * 2_000, author_id="made:" + "a" * 400), *plain[1:]])
    yield "long titles", of(HEADER, [make(n, title="t" * 10_000) for n in range(30)])
    yield "titles of formulas", of(HEADER, [make(n, title="=cmd|' /C calc'!A0") for n in range(30)])
    yield (
        "addresses that are none",
        of(HEADER, [make(n, page_url="http://[", image_url="javascript:alert(1)") for n in range(30)]),
    )
    yield "photos at the antipodes", of(HEADER, [make(n, latitude=-39.9, longitude=-147.0) for n in range(30)])
    yield (
        "photos on both sides of the date line",
        of(HEADER, [make(n, latitude=0.0, longitude=180.0 - 360 * (n % 2)) for n in range(30)]),
    )
    yield "one group over all sides", of(HEADER, [make(n, group_id="g" * 600, split=SPLITS[n % 3]) for n in range(30)])
    yield "photos of a pixel", of(HEADER, [make(n, width=1, height=1 << 20, bytes=1 << 40) for n in range(30)])


def _slug(make: Make, slug: str) -> Manifest | None:
    changed = (replace(HEADER.cities[0], slug=slug), *HEADER.cities[1:])
    return of(header(cities=changed), [make(n, city=slug) for n in range(5)])


def _deep(levels: int) -> dict[str, Any]:
    rules: dict[str, Any] = {}
    for _ in range(levels):
        rules = {"deeper": rules}
    return rules
