"""Services of aerial pictures: the presets of `services.toml`, those of a file of one's own, and the address of each tile.

A service gives tiles by an address with `{z}`, `{x}` and `{y}` (WMTS and others; `{-y}` counts rows from the south, as TMS
does), maps of any box (`kind = "wms"`), or is one GeoTIFF (`kind = "raster"`), of which windows are read with rasterio:
a file on this machine, or an address whose server answers by ranges (a cloud-optimised GeoTIFF). `{key}` in an address stands
for the value of an environment variable.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from collector.aerial.grid import Tile
from collector.errors import DataError, UsageError, did_you_mean, one_line
from collector.net.keys import key
from collector.net.types import Access
from collector.records import City

OPEN = ("CC0-1.0", "CC-BY-4.0", "CC-BY-3.0", "CC-BY-SA-4.0", "public domain", "Licence Ouverte 2.0", "DL-DE-BY-2.0",
        "DL-DE-Zero-2.0", "OGL-UK-3.0", "Copernicus legal notice")  # fmt: skip
"""Licences under which pictures may be fetched, kept and learnt from without asking."""

KINDS = ("tiles", "wms", "raster")
VERSIONS = ("1.1.1", "1.3.0")
CRSES = ("EPSG:3857", "EPSG:4326")
_KEY = re.compile(r"T15_[A-Z0-9_]{1,40}")  # no other variable: a file of somebody else's must not ask for what it likes
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_DEEPEST = 22


@dataclass(frozen=True)
class Service:
    """Somebody's aerial pictures.

    Attributes:
        name, title: short, and for readers.
        url: address of a tile, with what stands for its numbers; of the service, of a WMS; path or address, of a raster.
        licence, attribution, terms: of the pictures; where the terms are read.
        kind: one of KINDS.
        zooms: the least and the most that there are pictures of.
        bounds: south, west, north, east that it has; None for the whole Earth.
        rate: requests a second.
        most: tiles that are asked for within 24 hours, by whatever commands, unless one is told otherwise.
        version, layers, crs, format: of a WMS.
        key: the environment variable whose value stands for `{key}` in `url`; never shown.
        where: how to get a key.
        checked: what is known of the terms.
        own: whether it comes from a file of the user's.
    """

    name: str
    title: str
    url: str
    licence: str
    attribution: str
    terms: str = ""
    kind: str = "tiles"
    zooms: tuple[int, int] = (0, 19)
    bounds: tuple[float, float, float, float] | None = None
    rate: float = 1.0
    most: int = 1000
    version: str = "1.3.0"
    layers: str = ""
    crs: str = "EPSG:3857"
    format: str = "image/png"
    key: str = ""
    where: str = ""
    checked: str = ""
    own: bool = False

    def address(self, tile: Tile, side: int = 256) -> str:
        """Return where a tile is to be had, with the key where it needs one.

        Raises:
            ServiceError: it needs a key, and none is set.
        """
        base = self.url.replace("{key}", quote(self._key(), safe="")) if self.key else self.url
        if self.kind != "wms":
            numbers = {"{z}": tile.z, "{x}": tile.x, "{y}": tile.y, "{-y}": 2**tile.z - 1 - tile.y}
            for mark, number in numbers.items():
                base = base.replace(mark, str(number))
            return base
        south, west, north, east = tile.box
        box = tile.metres if self.crs == "EPSG:3857" else (west, south, east, north)
        if self.crs == "EPSG:4326" and self.version == "1.3.0":  # it gives latitude first, as EPSG does; 1.1.1 does not
            box = (south, west, north, east)
        named = "CRS" if self.version == "1.3.0" else "SRS"
        query = {
            "SERVICE": "WMS", "VERSION": self.version, "REQUEST": "GetMap", "LAYERS": self.layers, "STYLES": "",
            named: self.crs, "BBOX": ",".join(f"{of:.10g}" for of in box), "WIDTH": side, "HEIGHT": side,
            "FORMAT": self.format,
        }  # fmt: skip
        return f"{base}{'&' if '?' in base else '?'}{urlencode(query, safe=':,/')}"

    def _key(self) -> str:
        return key(self.key, self.title, self.where or self.terms)

    @property
    def remote(self) -> bool:
        """Whether its pictures are asked for from somebody."""
        return self.kind != "raster" or "://" in self.url

    @property
    def access(self) -> Access:
        """Whom fetching may talk to: the service's host alone, at its rate.

        Raises:
            ServiceError: it needs a key, and none is set.
        """
        parts = urlsplit(self.url)
        secrets = (self._key(),) if self.key else ()
        if self.own and parts.hostname in ("127.0.0.1", "localhost", "::1"):
            return Access({}, frozenset({f"{parts.scheme}://{parts.netloc}"}), parallel=1, secrets=secrets)
        return Access({parts.hostname or "": self.rate}, parallel=1, secrets=secrets)

    def covers(self, city: City) -> bool:
        """Return whether it has pictures of a city's centre."""
        if self.bounds is None:
            return True
        south, west, north, east = self.bounds
        return south <= city.latitude <= north and west <= city.longitude <= east


@cache
def presets() -> Mapping[str, Service]:
    """Return the services that t15 knows, by name."""
    text = Path(__file__).with_name("services.toml").read_text(encoding="utf-8")
    return {name: _service(name, of, "services.toml") for name, of in tomllib.loads(text).items()}


def find_service(asked: str, *, permitted: bool = False) -> Service:
    """Return a preset by its name, or the service of a TOML file with one table `[name]`.

    Args:
        asked: name, or path of a file that ends in `.toml`.
        permitted: whether the user says to have the permission that its licence does not give.

    Raises:
        UsageError: there is none, or its licence is not open and nobody permitted it.
        DataError: the file is damaged, or does not describe a service.
    """
    if asked.endswith(".toml"):
        service = _of_file(Path(asked))
    elif asked in presets():
        service = presets()[asked]
    else:
        raise UsageError(
            f"--service {asked[:60]!r}: no such service{did_you_mean(asked, presets())}; known are {', '.join(presets())}, "
            "or give a .toml file of your own"
        )
    if service.licence not in OPEN and not permitted:
        raise UsageError(
            f"service {service.name}: its licence ({service.licence[:60]}) is none of {', '.join(OPEN)}; read "
            f"{service.terms[:200] or 'its terms'}, and give --permitted where you have its owner's permission"
        )
    return service


def _of_file(path: Path) -> Service:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as TOML ({one_line(error)})") from error
    if len(document) != 1 or not all(isinstance(of, dict) for of in document.values()):
        raise DataError(f"{path}: has to hold one table, [NAME], of a service")
    ((name, of),) = document.items()
    return _service(name, {**of, "own": True}, str(path))


def _service(name: str, stated: Mapping[str, Any], where: str) -> Service:
    known = {field.name for field in fields(Service)} - {"name"}
    try:
        if unknown := set(stated) - known:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}")  # noqa: TRY301 (one message for all)
        of: dict[str, Any] = dict(stated)
        of["zooms"] = tuple(map(int, of.get("zooms", (0, 19))))
        if of.get("bounds") is not None:
            of["bounds"] = tuple(map(float, of["bounds"]))
        found = Service(name=name, **of)
        _check(found)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: service {name[:40]!r}: {one_line(error)}") from error
    return found


def _check(found: Service) -> None:
    """Raise ValueError where a service cannot be asked."""
    if not all(isinstance(t, str) and t for t in (found.title, found.url, found.licence, found.attribution)):
        raise ValueError("title, url, licence and attribution are texts, and needed")
    marks = {"{z}", "{x}"} - set(re.findall(r"\{[^}]*\}", found.url))
    faults = {
        "its name has lower-case letters, digits, - and _": not _NAME.fullmatch(found.name),
        f"kind is one of {', '.join(KINDS)}": found.kind not in KINDS,
        "url needs {z}, {x}, and {y} or {-y}": found.kind == "tiles"
        and (bool(marks) or not ("{y}" in found.url or "{-y}" in found.url)),
        "url begins with https://, or http:// on this machine": found.remote
        and not re.match(r"https://[^/]|http://(127\.0\.0\.1|localhost)[:/]", found.url),
        f"version is one of {', '.join(VERSIONS)}, crs one of {', '.join(CRSES)}, and layers is needed": found.kind
        == "wms"
        and (found.version not in VERSIONS or found.crs not in CRSES or not found.layers),
        f"zooms are two numbers from 0 to {_DEEPEST}": len(found.zooms) != 2
        or not 0 <= found.zooms[0] <= found.zooms[1] <= _DEEPEST,
        "bounds are south, west, north, east": found.bounds is not None
        and (len(found.bounds) != 4 or not -90 <= found.bounds[0] < found.bounds[2] <= 90),
        "key names an environment variable, T15_…, for {key} in the url of tiles or of a WMS": bool(found.key)
        != ("{key}" in found.url)
        or (bool(found.key) and not (_KEY.fullmatch(found.key) and found.kind != "raster")),
        "{key} stands behind the host": "{key}" in urlsplit(found.url).netloc,
        "rate is above 0, at most 20": not 0 < found.rate <= 20,
        "most is at least 1": found.most < 1,
    }
    if wrong := [what for what, is_so in faults.items() if is_so]:
        raise ValueError("; ".join(wrong))
