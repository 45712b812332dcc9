"""The borders that maps are drawn over: Natural Earth's, as `data/README.md` describes."""

import json
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

SOURCE = "Natural Earth (public domain)"

Ring = NDArray[np.float64]


@cache
def countries() -> dict[str, list[Ring]]:
    """Return the rings of each country by its name, each (n, 2) longitude and latitude in degrees; odd-even where nested."""
    return _decoded("countries", "country_grid")


@cache
def provinces() -> dict[str, list[Ring]]:
    """Return the rings of the provinces of Türkiye by their ISO 3166-2 code, as for `countries`."""
    return _decoded("provinces", "province_grid")


def _decoded(layer: str, grid: str) -> dict[str, list[Ring]]:
    data = _data()
    steps = float(data[grid])
    return {
        name: [np.cumsum(np.array(ring, np.float64), axis=0) / steps for ring in rings]
        for name, rings in data[layer].items()
    }


@cache
def _data() -> dict[str, Any]:
    file = resources.files("benchmark.leaderboard") / "data/outlines.json"
    data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return data
