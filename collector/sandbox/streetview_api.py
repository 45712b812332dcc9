"""The Street View Static API as it is: metadata and pictures.

Metadata is always HTTP 200 with a `status`; pictures answer with HTTP statuses, but a picture that is missing is a grey one
with status 200 unless `return_error_code=true` is asked for.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from math import isfinite
from typing import NamedTuple

from collector.sandbox.panoramas import Panorama, Panoramas

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
