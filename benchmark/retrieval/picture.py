"""A density as a picture: PNG, with the countries' borders and the areas that hold 50 and 90 % of it."""

import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from benchmark.retrieval.density import SHARES, DensityMap
from collector.web.maps import View, countries, view_of

_SEA, _LAND, _BORDER = (220, 230, 238), (247, 244, 236), (185, 179, 164)
_HOT = np.array([160, 28, 28], np.float64)
_INNER, _OUTER = 0.75, 0.4  # how much of the colour the areas have; outside of them by the density
_TEXT = (60, 55, 45)
_LOST = 20  # pixels: of a smaller area a ring marks where it is
_FRAMED = 0.999  # share of the density that the picture has to show


def to_png(density: DensityMap, width: int = 640, levels: Mapping[float, float] = SHARES) -> bytes:
    """Return the picture, `width` pixels wide, of the part of the Earth where nearly all of the density lies.

    North is up, a degree of longitude as long as it is in the middle of the picture. What lies in the area of the least level
    is dark, in that of the greatest lighter; a line says how large these areas are, and a bar how long a kilometre is.
    `levels` are as in `DensityMap.features`.

    Raises:
        ValueError: the width is not from 16 to 8192.
    """
    if not 16 <= width <= 8192:
        raise ValueError(f"a picture {width} pixels wide; 16 to 8192 are possible")
    view = framed_view(density, width)
    height = max(1, round(view.height))
    picture = Image.new("RGB", (width, height), _SEA)
    pen = ImageDraw.Draw(picture)
    for rings in countries().values():
        for ring in rings:
            for turn in (-360, 0, 360):
                x, y = (
                    view.scale * (ring[:, 0] + turn - view.west),
                    view.scale * view.stretch * (view.north - ring[:, 1]),
                )
                if x.max() > 0 and x.min() < width and y.max() > 0 and y.min() < height and len(ring) > 2:
                    pen.polygon(list(zip(x.tolist(), y.tolist(), strict=True)), fill=_LAND, outline=_BORDER)
    pixels = np.asarray(picture, np.float64)
    strength = colour_strengths(density, view, height, levels)[..., None]
    buffer = io.BytesIO()
    mixed = (pixels * (1 - strength) + _HOT * strength).round().astype(np.uint8)
    whole = Image.fromarray(mixed)
    pen = ImageDraw.Draw(whole)
    if (strength == _INNER).sum() < _LOST:
        at = view.at(float(density.south[0] + density.north[0]) / 2, float(density.west[0] + density.east[0]) / 2)
        box = (at[0] - 4, at[1] - 4, at[0] + 4, at[1] + 4)
        pen.ellipse(box, outline=tuple(_HOT.astype(int).tolist()))
    font = ImageFont.load_default(max(9, width // 45))
    areas = ", ".join(f"{100 * of:.0f} % in {_rough(density.area(share))} square km" for of, share in levels.items())
    pen.text((6, height - 6), areas, _TEXT, font, anchor="ld")
    km, length = view.bar()
    pen.line((width - 6 - length, height - 10, width - 6, height - 10), _TEXT, 2)
    pen.text((width - 6, height - 14), f"{km:g} km", _TEXT, font, anchor="rd")
    whole.save(buffer, format="PNG")
    return buffer.getvalue()


def _rough(area: float) -> str:
    return f"{float(f'{area:.2g}'):,.10g}"


def framed_view(density: DensityMap, width: int) -> View:
    """Return the view that holds the region with most of a density, `width` units wide."""
    count = density.region(_FRAMED)
    corners = [
        (latitude, longitude)
        for south, north, west, east in zip(
            *(of[:count].tolist() for of in (density.south, density.north, density.west, density.east)), strict=True
        )
        for latitude, longitude in ((south, west), (north, east))
    ]
    view = view_of(corners, width)
    # Cities are smaller than what a page's maps show at least.
    middle, half = (view.south + view.north) / 2, max(0.01, np.ptp([latitude for latitude, _ in corners]) / 2 * 1.3)
    if view.north - view.south <= 2 * half:
        return view
    east = (view.west + view.east) / 2
    wide = half * (view.east - view.west) / (view.north - view.south)
    return View(east - wide, east + wide, max(-90.0, middle - half), min(90.0, middle + half), width)


def colour_strengths(
    density: DensityMap, view: View, height: int, levels: Mapping[float, float] = SHARES
) -> NDArray[np.float64]:
    """Return how much of the colour each pixel has, (height, width), from 0 to 1."""
    latitude = view.north - (np.arange(height) + 0.5) / (view.scale * view.stretch)
    longitude = (view.west + (np.arange(int(view.width)) + 0.5) / view.scale + 180) % 360 - 180
    strengths = np.zeros((height, len(longitude)))
    peak = density.share[0] / density.area_km2[0]
    value = np.clip(density.share / density.area_km2 / peak, 0, 1) * _OUTER
    for share, strength in zip(sorted(levels.values(), reverse=True), (_OUTER, _INNER)[-len(levels) :], strict=True):
        value[: density.region(share)] = strength
    order = np.lexsort((density.west, density.south))
    south, west = density.south[order], density.west[order]
    starts = np.searchsorted(south, south[np.append(True, np.diff(south) > 0)])
    for row, at in enumerate(latitude):
        ring = int(np.searchsorted(south[starts], at, side="right")) - 1
        if ring < 0 or at > density.north[order[starts[ring]]]:
            continue
        first = starts[ring]
        last = starts[ring + 1] if ring + 1 < len(starts) else len(south)
        cell = first + np.searchsorted(west[first:last], longitude, side="right") - 1
        held = (cell >= first) & (longitude <= density.east[order[np.maximum(cell, first)]])
        strengths[row, held] = value[order[cell[held]]]
    return strengths
