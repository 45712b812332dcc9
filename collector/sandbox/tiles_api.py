"""The imaginary world from above, as services of tiles give it: what an address means, and what is answered for ever.

Addresses: `/tiles/{z}/{x}/{y}.png`, `/tms/{z}/{x}/{-y}.png`, `/wms?...` (1.1.1 and 1.3.0, EPSG:4326 and EPSG:3857). Of some
tiles there is none (404), some are of one colour, some no square, some no picture at all. Which ones follows from the
address, so that tests know. What goes wrong once is the server's (`server.Trouble`).
"""

import hashlib
import io
import math
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import numpy as np
from PIL import Image

from collector.sandbox.scenes import aerial_picture

SIDE = 64
LACKING = 0.05
"""The share of tiles that have no usable picture."""

_LACKS = ("absent", "blank", "odd", "large")
_DEEPEST = 22
_RADIUS_M = 6378137.0


class Box(NamedTuple):
    """Edges in degrees."""

    south: float
    west: float
    north: float
    east: float


def is_tile(path: str) -> bool:
    """Return whether an address is one of these."""
    return path == "/wms" or path.startswith(("/tiles/", "/tms/"))


def lack(target: str, share: float) -> str:
    """Return what a tile lacks for ever: `absent`, `blank`, `odd` (no picture), `large` (no square); empty for nothing."""
    draws = hashlib.sha256(target.encode()).digest()
    return _LACKS[draws[4] % len(_LACKS)] if int.from_bytes(draws[:4], "big") / 2**32 < share else ""


def tile(target: str, share: float) -> tuple[int, str, bytes]:
    """Return status, media type and body of an answer to a path with its query; a share of all lack something."""
    without, box = lack(target, share), _box(target)
    if box is None or without == "absent":
        return 404, "text/plain", b"no such tile"
    if without == "odd":
        return 200, "image/png", b"\x89PNG\r\n\x1a\n" + b"no picture" * 9
    high, wide = (SIDE, 2 * SIDE) if without == "large" else (SIDE, SIDE)
    pixels = aerial_picture(
        box.north + (box.south - box.north) * (np.arange(high) + 0.5) / high,
        box.west + (box.east - box.west) * (np.arange(wide) + 0.5) / wide,
    )
    file = io.BytesIO()
    Image.fromarray(pixels * 0 + 7 if without == "blank" else pixels).save(file, "PNG")
    return 200, "image/png", file.getvalue()


def _box(target: str) -> Box | None:
    """Return what an address means; None where it means nothing."""
    parts = urlsplit(target)
    try:
        if parts.path == "/wms":
            box = _box_of_wms({name.upper(): of[0] for name, of in parse_qs(parts.query).items()})
        else:
            kind, z, x, y = parts.path.strip("/").removesuffix(".png").split("/")
            box = _box_of_tile(int(z), int(x), int(y), from_south=kind == "tms")
    except (ValueError, KeyError, OverflowError):
        return None
    return box if -90 <= box.south < box.north <= 90 and -180 <= box.west < box.east <= 180 else None


def _box_of_tile(zoom: int, column: int, row: int, *, from_south: bool) -> Box:
    if not 0 <= zoom <= _DEEPEST:
        raise ValueError(zoom)
    row = 2**zoom - 1 - row if from_south else row
    if not 0 <= row < 2**zoom:
        raise ValueError(row)
    north, south = (_degrees(math.pi * (1 - 2 * edge / 2**zoom)) for edge in (row, row + 1))
    return Box(south, column / 2**zoom * 360 - 180, north, (column + 1) / 2**zoom * 360 - 180)


def _box_of_wms(query: dict[str, str]) -> Box:
    a, b, c, d = map(float, query["BBOX"].split(","))
    crs = query["CRS" if query["VERSION"] == "1.3.0" else "SRS"]
    if crs == "EPSG:4326":
        return Box(a, b, c, d) if query["VERSION"] == "1.3.0" else Box(b, a, d, c)
    west, east = math.degrees(a / _RADIUS_M), math.degrees(c / _RADIUS_M)
    return Box(_degrees(b / _RADIUS_M), west, _degrees(d / _RADIUS_M), east)


def _degrees(mercator: float) -> float:
    return math.degrees(math.atan(math.sinh(mercator)))
