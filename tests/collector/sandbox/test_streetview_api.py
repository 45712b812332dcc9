"""The sandbox's Street View answers as the real one: statuses, missing pictures, keys and signatures."""

import base64
import hashlib
import hmac
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from collector.sandbox.scenes import CITIES
from collector.sandbox.streetview_api import (
    KEY,
    SECRET,
    Missing,
    Panorama,
    Panoramas,
    Refused,
    View,
    metadata,
    picture,
    signature,
)

CITY = CITIES[0]
PANORAMAS = Panoramas(0, CITIES[:1])
HERE = {"location": f"{CITY.latitude},{CITY.longitude}", "radius": "300"}


def asked(**params: str) -> Any:
    return json.loads(metadata(PANORAMAS, {"key": KEY, **params}, ""))


def seen(**params: str) -> View | Missing | Refused:
    return picture(PANORAMAS, {"key": KEY, "size": "640x640", **params}, "")


def one(kind: str) -> Panorama:
    pano = next(pano for pano, told in PANORAMAS.of_city(CITY.slug) if told == kind)
    found = PANORAMAS.find(pano)
    assert found is not None
    return found


def test_metadata_has_the_real_shape() -> None:
    answer = asked(**HERE)
    assert set(answer) == {"copyright", "date", "location", "pano_id", "status"}
    assert answer["status"] == "OK"
    assert len(answer["pano_id"]) == 22
    assert answer["copyright"] == "© Google"
    assert abs(answer["location"]["lat"] - CITY.latitude) < 0.003
    assert asked(pano=answer["pano_id"]) == answer


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({}, "INVALID_REQUEST"),
        ({"location": "Taksim, Istanbul"}, "NOT_FOUND"),
        ({"location": "nan,1"}, "NOT_FOUND"),
        ({"location": "1e999,1"}, "NOT_FOUND"),
        ({"location": "95,1"}, "ZERO_RESULTS"),
        ({"location": "40,30"}, "ZERO_RESULTS"),
        ({"pano": "invalid"}, "ZERO_RESULTS"),
        ({**HERE, "radius": "-1"}, "INVALID_REQUEST"),
        ({**HERE, "source": "indoor"}, "INVALID_REQUEST"),
        ({**HERE, "radius": "1e308"}, "OK"),
        ({**HERE, "key": "other"}, "REQUEST_DENIED"),
        ({**HERE, "key": ""}, "REQUEST_DENIED"),
        ({**HERE, "signature": "AAAA"}, "REQUEST_DENIED"),
        ({**HERE, "signature": "é"}, "REQUEST_DENIED"),
    ],
)
def test_statuses(params: dict[str, str], status: str) -> None:
    answer = asked(**params)
    assert answer["status"] == status
    assert ("error_message" in answer) == (status == "REQUEST_DENIED")


def test_outdoor_leaves_out_what_is_inside() -> None:
    inside = one("indoor")
    place = {"location": f"{inside.latitude},{inside.longitude}", "radius": "5"}
    assert asked(**place)["pano_id"] == inside.pano_id
    assert inside.copyright != "© Google"
    assert asked(**place, source="outdoor")["status"] == "ZERO_RESULTS"


def test_pictures_depend_on_heading_and_are_640_pixels_at_most() -> None:
    views = [seen(**HERE, heading=heading) for heading in ("0", "90", "-90", "360", "10")]
    sectors = [view.sector for view in views if isinstance(view, View)]
    assert sectors == [0, 2, 6, 0, 0]
    large = seen(**HERE, size="2000x400", fov="500")
    assert isinstance(large, View)
    assert (large.size, large.fov) == ((640, 400), 120.0)


def test_a_missing_picture_is_grey_unless_an_error_is_asked_for() -> None:
    for pano in (one("no-imagery").pano_id, "invalid"):
        assert seen(pano=pano, size="300x200") == Missing((300, 200))
        assert seen(pano=pano, return_error_code="true") == Refused(404, "Not Found")


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({**HERE, "key": "other"}, 403),
        ({**HERE, "signature": "x"}, 403),
        ({**HERE, "size": "640"}, 400),
        ({**HERE, "size": "0x10"}, 400),
        ({**HERE, "heading": "north"}, 400),
        ({**HERE, "pitch": "91"}, 400),
        ({**HERE, "fov": "nan"}, 400),
        ({}, 400),
    ],
)
def test_wrong_requests_for_pictures_are_refused(params: dict[str, str], status: int) -> None:
    answer = seen(**params)
    assert isinstance(answer, Refused)
    assert answer.status == status


def test_a_right_signature_passes() -> None:
    target = f"/maps/api/streetview/metadata?{urlencode({**HERE, 'key': KEY})}"
    digest = hmac.new(base64.urlsafe_b64decode(SECRET), target.encode(), hashlib.sha1).digest()
    signed = base64.urlsafe_b64encode(digest).decode()
    assert signature(target) == signed
    params = {**HERE, "key": KEY, "signature": signed}
    assert json.loads(metadata(PANORAMAS, params, f"{target}&signature={signed}"))["status"] == "OK"
    assert json.loads(metadata(PANORAMAS, params, f"{target}0&signature={signed}"))["status"] == "REQUEST_DENIED"
