"""Serves the imaginary land from above on this machine, with the faults that services of tiles have.

The first request for some tiles is answered by 429 with Retry-After, a broken connection or an HTML page; of some tiles
there is none (404), some are of one colour, some of another size, some no picture at all. Which ones follows from the tile,
so that tests know. Addresses: `/tiles/{z}/{x}/{y}.png`, `/tms/{z}/{x}/{-y}.png`, `/wms?...` (1.1.1 and 1.3.0, EPSG:4326 and
EPSG:3857).
"""

import hashlib
import io
import math
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
from PIL import Image

from collector.sandbox.land import aerial_picture

SIDE = 64
_FOR_EVER = ("absent", "blank", "odd", "large")
_ONCE = ("busy", "broken", "page")


@dataclass
class LandServer:
    """What the server does, and what it was asked.

    Attributes:
        trouble: share of tiles that are answered by a fault once.
        lacking: share of tiles that have no usable picture.
        quiet: answer every request with 403, as a service does that blocks somebody.
        asked: requests by path and query.
        answered: those that were answered with a picture, or with 404 for ever.
    """

    trouble: float = 0.1
    lacking: float = 0.0
    quiet: bool = False
    asked: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    url: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self, path: str) -> str:
        """Return what is wrong with an address for ever, or the first time; empty for nothing."""
        draws = hashlib.sha256(path.encode()).digest()
        if int.from_bytes(draws[:4], "big") / 2**32 < self.lacking:
            return _FOR_EVER[draws[4] % len(_FOR_EVER)]
        if int.from_bytes(draws[5:9], "big") / 2**32 < self.trouble:
            return _ONCE[draws[9] % len(_ONCE)]
        return ""

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of an answer; a body shorter than its length breaks the connection off."""
        with self._lock:
            self.asked[path] += 1
            first = self.asked[path] == 1
        fault = "no" if self.quiet else self.fault(path)
        if fault == "no" or (fault in _ONCE and first):
            return _FAULTS[fault]
        with self._lock:
            self.answered[path] += 1
        if fault == "odd":
            return 200, _PNG, b"\x89PNG\r\n\x1a\n" + b"no picture" * 9
        box = None if fault == "absent" else _box(path)
        return (404, _TEXT, b"no such tile") if box is None else (200, _PNG, _png(box, fault))


_PNG, _TEXT = {"Content-Type": "image/png"}, {"Content-Type": "text/plain"}
_FAULTS = {
    "no": (403, _TEXT, b"not you"),
    "busy": (429, {"Retry-After": "1", **_TEXT}, b"too many requests"),
    "page": (200, {"Content-Type": "text/html"}, b"<html>sorry</html>"),
    "broken": (200, {"Content-Length": "5000", **_PNG}, b"\x89PNG\r\n\x1a\nshort"),
}


def _png(box: tuple[float, float, float, float], fault: str) -> bytes:
    south, west, north, east = box
    high, wide = (SIDE, 2 * SIDE) if fault == "large" else (SIDE, SIDE)
    latitudes = north + (south - north) * (np.arange(high) + 0.5) / high
    longitudes = west + (east - west) * (np.arange(wide) + 0.5) / wide
    pixels = aerial_picture(latitudes, longitudes)
    file = io.BytesIO()
    Image.fromarray(pixels * 0 + 7 if fault == "blank" else pixels).save(file, "PNG")
    return file.getvalue()


def _box(path: str) -> tuple[float, float, float, float] | None:
    """Return south, west, north, east of what an address means; None where it means nothing."""
    parts = urlsplit(path)
    try:
        if parts.path == "/wms":
            return _box_of_wms({name.upper(): of[0] for name, of in parse_qs(parts.query).items()})
        kind, z, x, y = parts.path.strip("/").removesuffix(".png").split("/")
        zoom, column, row = int(z), int(x), int(y)
    except (ValueError, KeyError):
        return None
    row = 2**zoom - 1 - row if kind == "tms" else row
    north, south = (_degrees(math.pi * (1 - 2 * edge / 2**zoom)) for edge in (row, row + 1))
    return south, column / 2**zoom * 360 - 180, north, (column + 1) / 2**zoom * 360 - 180


def _box_of_wms(query: dict[str, str]) -> tuple[float, float, float, float]:
    a, b, c, d = map(float, query["BBOX"].split(","))
    crs = query["CRS" if query["VERSION"] == "1.3.0" else "SRS"]
    if crs == "EPSG:4326":
        return (a, b, c, d) if query["VERSION"] == "1.3.0" else (b, a, d, c)
    radius = 6378137.0
    return _degrees(b / radius), math.degrees(a / radius), _degrees(d / radius), math.degrees(c / radius)


def _degrees(mercator: float) -> float:
    return math.degrees(math.atan(math.sinh(mercator)))


@contextmanager
def serving(server: LandServer) -> Iterator[LandServer]:
    """Serve on a free port of 127.0.0.1 while the block runs; `server.url` says where."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = server.answer(self.path)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{httpd.server_address[1]}"
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()
