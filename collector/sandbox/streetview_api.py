"""The Street View Static API as it is: metadata and pictures.

Metadata is always HTTP 200 with a `status`; pictures answer with HTTP statuses, but a picture that is missing is a grey one
with status 200 unless `return_error_code=true` is asked for.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from math import ceil, cos, floor, hypot, isfinite, radians
from typing import NamedTuple

from collector.geo import KM_PER_DEGREE, distance_km
from collector.records import City
from collector.sandbox.scenes import SIZES, Scene

# --- where the car drove


PANORAMA_KINDS = (
    "indoor",  # somebody's own, inside a building: `source=outdoor` leaves it out
    "no-imagery",  # has metadata, but its picture is missing
)
"""What a panorama can be besides `photo`."""

_SPACING_KM = 0.1
_OUTDOOR_VIEWS = ("street", "street", "street", "square", "skyline", "landscape")
_WIDEST_M = 2000.0
_GRID, _DEALT = 0, 1


class Panorama(NamedTuple):
    """A place where pictures can be asked for.

    Attributes:
        pano_id: 22 characters of base64url, as Google's own have.
        latitude, longitude: degrees WGS84.
        date: `YYYY-MM`.
        copyright: `© Google`, or whose it is.
        kind: `photo`, one of PANORAMA_KINDS, or `grey` (see `Panoramas`).
        scene: what it sees to the north.
        repacked: its pictures are compressed again (see `Prints`).
    """

    pano_id: str
    latitude: float
    longitude: float
    date: str
    copyright: str
    kind: str
    scene: Scene
    repacked: bool = False


@dataclass(frozen=True)
class Panoramas:
    """The panoramas of some cities.

    Attributes:
        seed: other seeds give other panoramas, and other ids to the same places.
        cities: where the car drove.
        dealt: scenes that lie at Street View, wherever they are.
        vanished, grey, repacked: ids of panoramas that became so since the car drove; the picture of a grey one is the grey
            one, whatever is asked for.
        renamed: id of a panorama -> the id that it has now.
    """

    seed: int
    cities: tuple[City, ...]
    dealt: tuple[Scene, ...] = field(default=(), repr=False)
    vanished: frozenset[str] = frozenset()
    grey: frozenset[str] = frozenset()
    repacked: frozenset[str] = frozenset()
    renamed: Mapping[str, str] = field(default_factory=dict)

    def find(self, pano_id: str) -> Panorama | None:
        """Return the panorama of this id, None where there is none."""
        if pano_id in self.renamed:
            return None
        first = {new: old for old, new in self.renamed.items()}.get(pano_id, pano_id)
        there = self._first(first)
        return self._now(there) if there else None

    def _first(self, pano_id: str) -> Panorama | None:
        """Return the panorama that had this id when the car drove."""
        try:
            raw = base64.urlsafe_b64decode(pano_id + "==") if len(pano_id) == 22 else b""
        except (binascii.Error, ValueError):
            return None
        if len(raw) != 16:
            return None
        number, city, row, column = struct.unpack(">BBhh", raw[:6])
        # The last of 22 characters carries four bits too many: other spellings of it are other ids.
        if self._id(number, city, row, column) != pano_id or city >= len(self.cities):
            return None
        if number == _GRID:
            return self._on_grid(city, row, column)
        index = row << 16 | column & 0xFFFF
        return self._dealt(index) if index < len(self.dealt) else None

    def nearest(self, latitude: float, longitude: float, radius_m: float, outdoor: bool) -> Panorama | None:
        """Return the panorama nearest to a point and at most `radius_m` metres (2,000 at most) away, None if there is none.

        `outdoor` leaves out what is inside of buildings.
        """
        radius_km = min(radius_m, _WIDEST_M) / 1000
        around = (
            (distance_km(latitude, longitude, there.latitude, there.longitude), there.pano_id, there)
            for there in filter(None, map(self._now, self._near(latitude, longitude, radius_km)))
            if not (outdoor and there.kind == "indoor")
        )
        within = [found for found in around if found[0] <= radius_km]
        return min(within)[2] if within else None

    def of_city(self, slug: str) -> Iterator[tuple[str, str]]:
        """Yield id and kind of every panorama within a city's radius: some 50,000 on the grid of a city of 15 km."""
        for number, city in enumerate(self.cities):
            if city.slug != slug:
                continue
            reach = ceil(city.radius_km / _SPACING_KM)
            for row in range(-reach, reach + 1):
                for column in range(-reach, reach + 1):
                    there = self._on_grid(number, row, column)
                    if there is not None and (now := self._now(there)):
                        yield now.pano_id, now.kind
            yield from (
                (now.pano_id, now.kind)
                for there in map(self._dealt, range(len(self.dealt)))
                if there.scene.city == slug and (now := self._now(there))
            )

    def _now(self, there: Panorama) -> Panorama | None:
        """Return what became of a panorama since the car drove."""
        if there.pano_id in self.vanished:
            return None
        return there._replace(
            pano_id=self.renamed.get(there.pano_id, there.pano_id),
            kind="grey" if there.pano_id in self.grey else there.kind,
            repacked=there.pano_id in self.repacked,
        )

    def _near(self, latitude: float, longitude: float, radius_km: float) -> Iterator[Panorama]:
        for number, city in enumerate(self.cities):
            north, east = _plane(city, latitude, longitude)
            if hypot(north, east) > city.radius_km + 1 + radius_km:
                continue
            rows, columns = (
                range(floor((at - radius_km) / _SPACING_KM) - 1, ceil((at + radius_km) / _SPACING_KM) + 2)
                for at in (north, east)
            )
            for row in rows:
                for column in columns:
                    there = self._on_grid(number, row, column)
                    if there is not None:
                        yield there
        for index, scene in enumerate(self.dealt):
            # A degree is 111 km or less: what is farther off than this is not within the radius.
            if abs(scene.latitude - latitude) * KM_PER_DEGREE <= radius_km + 0.01:
                yield self._dealt(index)

    def _on_grid(self, number: int, row: int, column: int) -> Panorama | None:
        """Return the panorama at a crossing of the grid, None where the car did not come or the city has ended."""
        city = self.cities[number]
        away = hypot(row, column) * _SPACING_KM
        if away > city.radius_km + 1 or max(abs(row), abs(column)) > 0x7FFF:
            return None
        dice = hashlib.blake2b(f"pano/{self.seed}/{city.slug}/{row}/{column}".encode(), digest_size=16).digest()
        if dice[0] / 256 > 0.98 - 0.5 * away / city.radius_km:
            return None
        north, east = ((at + (shift - 127.5) / 640) * _SPACING_KM for at, shift in ((row, dice[1]), (column, dice[2])))
        latitude = round(city.latitude + north / KM_PER_DEGREE, 7)
        longitude = round(city.longitude + east / KM_PER_DEGREE / cos(radians(city.latitude)), 7)
        if distance_km(city.latitude, city.longitude, latitude, longitude) > city.radius_km:
            return None
        taken_at = datetime(2014 + dice[3] % 11, 1 + dice[4] % 12, 1, 11, tzinfo=UTC)
        kind = "indoor" if dice[5] < 8 else "no-imagery" if dice[5] < 13 else "photo"
        scene = Scene(
            scene_id=f"{city.slug}-pano-{row}-{column}",
            city=city.slug,
            index=0,
            latitude=latitude,
            longitude=longitude,
            taken_at=taken_at,
            author_id="sandbox:somebody" if kind == "indoor" else "sandbox:car",
            author_name="Café of Somebody" if kind == "indoor" else "Google",
            title="",
            seed=int.from_bytes(dice[8:12], "big"),
            view="interior" if kind == "indoor" else _OUTDOOR_VIEWS[dice[6] % len(_OUTDOOR_VIEWS)],
            light="overcast" if dice[7] < 64 else "noon",
            size=SIZES[-1],
            orientation=1,
        )
        return _panorama(self._id(_GRID, number, row, column), scene, kind)

    def _dealt(self, index: int) -> Panorama:
        scene = self.dealt[index]
        city = [city.slug for city in self.cities].index(scene.city)
        view = scene.view if scene.view in _OUTDOOR_VIEWS else "street"
        seen = replace(scene, view=view, author_name="Google", size=SIZES[-1], orientation=1)
        row, column = index >> 16, (index & 0xFFFF) - (0x10000 if index & 0x8000 else 0)
        return _panorama(self._id(_DEALT, city, row, column), seen, "photo")

    def _id(self, part: int, city: int, row: int, column: int) -> str:
        place = struct.pack(">BBhh", part, city, row, column)
        sealed = hashlib.blake2b(place + str(self.seed).encode(), digest_size=10).digest()
        return base64.urlsafe_b64encode(place + sealed).decode().rstrip("=")


def _panorama(pano_id: str, scene: Scene, kind: str) -> Panorama:
    return Panorama(
        pano_id,
        scene.latitude,
        scene.longitude,
        scene.taken_at.strftime("%Y-%m"),
        f"© {scene.author_name}",
        kind,
        scene,
    )


def _plane(city: City, latitude: float, longitude: float) -> tuple[float, float]:
    """Return how many kilometres north and east of a city's centre a point lies, on a plane that touches the Earth there."""
    east = (longitude - city.longitude) * KM_PER_DEGREE * cos(radians(city.latitude))
    return (latitude - city.latitude) * KM_PER_DEGREE, east


# --- what is answered


KEY = "sandbox-key-for-street-view"
"""The one key that the sandbox accepts."""

SECRET = base64.urlsafe_b64encode(b"sandbox-url-signing!").decode()
"""The URL signing secret. Requests need no signature; one that is there has to be right."""

_LARGEST = 640
_DENIED = "The provided API key is invalid. "
_UNSIGNED = "Unable to authenticate the request. Provided 'signature' is not valid for the provided API Key."


class View(NamedTuple):
    """A picture to make: what is seen from a panorama, see Prints.panorama."""

    panorama: Panorama
    size: tuple[int, int]
    sector: int
    fov: float


class Refused(NamedTuple):
    """A picture that is none: an HTTP status other than 200, and a line of text."""

    status: int
    text: str


class Missing(NamedTuple):
    """The grey picture of this size, with status 200."""

    size: tuple[int, int]


def metadata(panoramas: Panoramas, params: Mapping[str, str], target: str) -> bytes:
    """Return the answer to a request for metadata.

    Args:
        panoramas: where there is imagery.
        params: of the request.
        target: path and query as they were asked for, which a signature is made of.
    """
    if denied := _denied(params, target):
        return _document(error_message=denied, status="REQUEST_DENIED")
    found = _found(panoramas, params)
    if isinstance(found, str):
        return _document(status=found)
    return _document(
        copyright=found.copyright,
        date=found.date,
        location={"lat": found.latitude, "lng": found.longitude},
        pano_id=found.pano_id,
        status="OK",
    )


def unknown_error() -> bytes:
    """Return the metadata answer UNKNOWN_ERROR."""
    return _document(status="UNKNOWN_ERROR")


def picture(panoramas: Panoramas, params: Mapping[str, str], target: str) -> View | Missing | Refused:
    """Return what a request for a picture is answered with; arguments as for `metadata`."""
    if denied := _denied(params, target):
        return Refused(403, denied)
    size = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", params.get("size", ""))
    fov = _number(params.get("fov", "90"))
    heading = _number(params.get("heading", "0"))
    pitch = _number(params.get("pitch", "0"))
    if size is None or "0" in size.groups() or fov is None or heading is None or pitch is None or abs(pitch) > 90:
        return Refused(400, "Invalid request. Invalid 'size', 'fov', 'heading' or 'pitch' parameter.")
    pixels = (min(int(size[1]), _LARGEST), min(int(size[2]), _LARGEST))
    found = _found(panoramas, params)
    if found == "INVALID_REQUEST":
        return Refused(400, "Invalid request. Missing the 'location' or 'pano' parameter.")
    if isinstance(found, str) or found.kind in ("no-imagery", "grey"):
        honest = isinstance(found, str) or found.kind == "no-imagery"
        asked = params.get("return_error_code", "").lower() == "true"
        return Refused(404, "Not Found") if honest and asked else Missing(pixels)
    return View(found, pixels, round(heading / 45) % 8, min(max(fov, 10.0), 120.0))


def signature(target: str, secret: str = SECRET) -> str:
    """Return the signature of path and query: base64url of their HMAC-SHA1 by the decoded secret."""
    made = hmac.new(base64.urlsafe_b64decode(secret), target.encode(), hashlib.sha1).digest()
    return base64.urlsafe_b64encode(made).decode()


def _denied(params: Mapping[str, str], target: str) -> str:
    if params.get("key") != KEY:
        return _DENIED if params.get("key") else "You must use an API key to authenticate each request."
    if "signature" in params:
        signed = re.sub(r"&signature=[^&]*", "", target)
        if not hmac.compare_digest(params["signature"].encode(), signature(signed).encode()):
            return _UNSIGNED
    return ""


def _found(panoramas: Panoramas, params: Mapping[str, str]) -> Panorama | str:
    """Return the panorama that is asked for, or the status that says why there is none."""
    if params.get("pano"):
        return panoramas.find(params["pano"]) or "ZERO_RESULTS"
    if not params.get("location"):
        return "INVALID_REQUEST"
    radius = _number(params.get("radius", "50"))
    if radius is None or radius < 0 or params.get("source", "default") not in ("default", "outdoor"):
        return "INVALID_REQUEST"
    parts = [_number(part) for part in params["location"].split(",")]
    if len(parts) != 2 or parts[0] is None or parts[1] is None:
        return "NOT_FOUND"  # an address; the sandbox knows none
    if abs(parts[0]) > 90 or abs(parts[1]) > 180:
        return "ZERO_RESULTS"
    return panoramas.nearest(parts[0], parts[1], radius, params.get("source") == "outdoor") or "ZERO_RESULTS"


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) else None


def _document(**values: object) -> bytes:
    return json.dumps(values, indent=3, ensure_ascii=False).encode()
