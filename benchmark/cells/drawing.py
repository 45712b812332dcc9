"""A partition for people: GeoJSON for any map, and a picture with the countries' borders."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.cells.intersections import Intersections
from benchmark.cells.partition import Partition
from collector.web.maps import SOURCE, view_of

_WIDTH = 900.0
_MOST_DRAWN = 20_000  # cells


def files_of(partitions: Sequence[Partition]) -> Mapping[str, bytes]:
    """Return what a run keeps of its partitions, the finest first: `cells.geojson`, and `cells.svg` of the finest."""
    return {"cells.geojson": to_geojson(partitions).encode(), "cells.svg": to_svg(partitions[0]).encode()}


def to_geojson(partitions: Sequence[Partition]) -> str:
    """Return a polygon for each cell, with its partition (0 is the finest), photos and answer.

    Cells that have no outline of their own are points where they answer. Longitudes count on past 180° where a cell crosses
    the date line.
    """
    features = [
        {
            "type": "Feature",
            "properties": {"partition": number, "cell": cell, "photos": int(count), "answer": _point(answer)},
            "geometry": _geometry(outline, answer),
        }
        for number, partition in enumerate(partitions)
        for cell, (outline, answer, count) in enumerate(
            zip(partition.outlines(), partition.answers, partition.counts.tolist(), strict=True)
        )
    ]
    return json.dumps({"type": "FeatureCollection", "features": features})


def _geometry(outline: NDArray[np.float64], answer: NDArray[np.float64]) -> dict[str, Any]:
    if len(outline) < 3:
        return {"type": "Point", "coordinates": _point(answer)}
    ring = [_point(corner) for corner in _joined(outline)]
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}


def _point(place: NDArray[np.float64]) -> list[float]:
    return [round(float(place[1]), 6), round(float(place[0]), 6)]


def _joined(outline: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([outline[:, 0], np.unwrap(outline[:, 1], period=360)], axis=1)


def to_svg(partition: Partition) -> str:
    """Return a picture of the cells that has the answers as dots: the more photos a cell has, the darker it is."""
    view = view_of([(latitude, longitude) for latitude, longitude in partition.answers.tolist()], _WIDTH)
    parts = partition.parts if isinstance(partition, Intersections) else [partition]
    drawn = [
        f'<path fill-opacity="{0.05 + 0.5 * count / part.counts.max():.2f}" d="{line}"/>'
        for part in parts
        for outline, count in list(zip(part.outlines(), part.counts.tolist(), strict=True))[:_MOST_DRAWN]
        if len(outline) >= 3 and (line := view.outline([_joined(outline)[:, ::-1]]))
    ]
    dots = "".join(
        '<circle r="1.5" cx="{:.1f}" cy="{:.1f}"/>'.format(*view.at(*answer)) for answer in partition.answers.tolist()
    )
    size = f'width="{view.width:.0f}" height="{view.height:.0f}" viewBox="0 0 {view.width:.0f} {view.height:.0f}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}><rect width="100%" height="100%" fill="#dce6ee"/>'
        f'<g fill="#f7f4ec" stroke="#b9b3a4" stroke-width="0.5">{view.land()}</g>'
        f'<g fill="#1f5c99" stroke="#1f5c99" stroke-width="0.5">{"".join(drawn)}</g><g fill="#a01c1c">{dots}</g>'
        f'<text x="4" y="{view.height - 4:.0f}" font-family="sans-serif" font-size="9" fill="#666">'
        f"{len(partition.counts)} cells, dots where they answer; borders: {SOURCE}</text></svg>\n"
    )
