"""Google Street View: pictures at sampled points, through the Street View Static API.

Of `google_streetview` 1.2.9, `helpers.api_list` expands headings into requests. Its class `results` is not used: the
constructor makes one request after the other without a timeout, its links hold the key, and its download skips failures
without a word.
"""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from urllib.parse import parse_qsl, urlencode

from collector.errors import IncompleteError, ServiceError, T15Error
from collector.geo import EARTH_RADIUS_KM, distance_km
from collector.net.allowlist import origin_of
from collector.net.client import Access, Answer, Http, RefusedError, TemporaryError
from collector.net.keys import key
from collector.providers.answers import told
from collector.providers.base import Cell, CellRules, ImageRequest, Page, Query, base_url
from collector.providers.streetview_answers import (
    SIZE,
    Failure,
    Panorama,
    decoded_secret,
    is_passing,
    parse_metadata,
    photos,
    points,
    sign,
)
from collector.records import City, Photo, ProviderTraits

VARIABLE = "T15_GOOGLE_KEY"
"""The environment variable with the key."""

WHERE = (
    "make one at https://console.cloud.google.com/google/maps-apis/credentials (Street View Static API, with billing)"
)
"""How to get a key."""

ADDRESS = "https://maps.googleapis.com/maps/api/streetview"
"""The service, unless T15_STREETVIEW_URL says otherwise."""

TERMS_NOTE = (
    "Google's terms do not let Street View pictures be stored or passed on beyond what they allow: a published manifest "
    "holds panorama ids, places and parameters only, and each user fetches the pictures with a key of their own "
    "(https://cloud.google.com/maps-platform/terms)"
)
"""What the user has to be told."""

RADIUS_M = 50
"""Metres around a point in which a panorama is looked for; also half the side of the point's cell."""

SAME_PLACE_M = 15
"""Metres within which a panorama is taken for a newer one of the same place: it moves by metres when it is made anew, and
along a street the next one is about 10 m off, which the picture then tells."""

# Asking for metadata is free and takes nothing off the quota; pictures are limited to 30,000 a minute. Ten a second is ours.
_A_SECOND = 10.0

# A point's cell gives four pictures at most, and is never divided.
RULES = CellRules(aim=4, page_size=4, narrowest_m=2.0 * RADIUS_M, calls_per_hour=int(3600 * _A_SECOND), at_once=4)

# As many points as photos are wanted: enough with imagery at one point in four, and where there is more, the photos come
# from more panoramas.
_LEAST, _WITHOUT_TARGET, _MOST = 40, 1000, 20_000

_PICTURE_PARAMETERS = ("pano", "size", "heading", "fov", "pitch", "source", "return_error_code")


TRAITS = ProviderTraits(
    author_is_service=True,
    panorama=r"streetview:([^@]+)",
    pixels_may_be_kept=False,
    licence="LicenseRef-GoogleStreetView",
)


def make() -> "StreetViewProvider":
    """Return the provider; T15_GOOGLE_KEY holds its key, T15_GOOGLE_SECRET may hold the secret to sign requests with, and
    T15_STREETVIEW_URL may name another service.

    Raises:
        ServiceError: there is no key, or the secret is none.
        UsageError: T15_STREETVIEW_URL holds no address.
    """
    api_key = key(VARIABLE, "Google Street View", WHERE)
    text = os.environ.get("T15_GOOGLE_SECRET", "").strip()
    secret = decoded_secret(text) if text else None
    if text and secret is None:
        raise ServiceError("T15_GOOGLE_SECRET is no URL signing secret: those are base64, as the console shows them")
    url = base_url("T15_STREETVIEW_URL", ADDRESS)
    own = frozenset() if url == ADDRESS else frozenset({str(origin_of(url))})
    hidden = (api_key, text) if text else (api_key,)
    return StreetViewProvider(
        Http(Access({"maps.googleapis.com": _A_SECOND}, own, secrets=hidden)), api_key, secret, url
    )


@dataclass
class StreetViewProvider:
    """Draws a sample of a city's panoramas.

    Attributes:
        http: the way to the service; has to know the key and the secret as secrets.
        key: the API key.
        secret: the decoded URL signing secret; None to send requests unsigned.
        url: of the pictures, without a slash at the end; the metadata is below it.
    """

    http: Http
    key: str = field(repr=False)
    secret: bytes | None = field(default=None, repr=False)
    url: str = ADDRESS
    name: str = "streetview"
    rules: CellRules = RULES
    remark: str = field(default=TERMS_NOTE, repr=False)

    def roots(self, city: City, query: Query, since: int | None, until: int) -> Sequence[Cell]:
        """Return a small box around each sampled point; a larger target's sample begins with a smaller one's."""
        del since, until  # the service cannot be asked by time
        wanted = _WITHOUT_TARGET if query.target is None else min(max(query.target, _LEAST), _MOST)
        return [_cell(latitude, longitude) for latitude, longitude in islice(points(city, query.seed), wanted)]

    def count(self, cell: Cell) -> int | None:
        """Return None: the service does not count."""
        del cell
        return None

    def page(self, city: City, cell: Cell, query: Query, token: str | None, known: Callable[[str], bool]) -> Page:
        """Return the pictures of the panorama nearest to the middle of a cell; an empty page where there is none.

        Raises:
            IncompleteError: the day's quota is used up.
            ServiceError: the key is refused.
            TemporaryError, RefusedError: as for a Survey.
        """
        del query, token, known  # one page, from one call
        panorama = self._nearest((cell.south + cell.north) / 2, (cell.west + cell.east) / 2, RADIUS_M)
        found = photos(panorama, city, self.url) if panorama else ()
        return Page(found, len(found))

    def image_request(self, photo: Photo) -> ImageRequest:
        """Return where a picture's bytes are, with the key.

        The key goes to the configured service alone, whatever address the photo names.
        """
        query = _picture_parameters(photo)
        if "pano" not in query or "heading" not in query:
            raise RefusedError("bad-request", f"{photo.photo_id} names no panorama and heading")
        return ImageRequest(self._with_key(self.url, query), flat_is_placeholder=True, width=SIZE, robots=False)

    def renewed(self, photo: Photo) -> Photo | None:
        """Return a photo with the address of the same view from the panorama that stands at its place now.

        Raises:
            IncompleteError, ServiceError, TemporaryError, RefusedError: as for `page`.
        """
        if photo.latitude is None or photo.longitude is None:
            return None
        panorama = self._nearest(photo.latitude, photo.longitude, SAME_PLACE_M)
        if panorama is None:
            return None
        if distance_km(photo.latitude, photo.longitude, panorama.latitude, panorama.longitude) * 1000 > SAME_PLACE_M:
            return None
        query = {**_picture_parameters(photo), "pano": panorama.pano_id}
        return replace(photo, image_url=f"{self.url}?{urlencode(query)}")

    def _nearest(self, latitude: float, longitude: float, radius_m: int) -> Panorama | None:
        """Return the outdoor panorama nearest to a place, None where there is none within the radius."""
        query = {"location": f"{latitude:.7f},{longitude:.7f}", "radius": str(radius_m), "source": "outdoor"}
        try:
            answer = self.http.get(self._with_key(f"{self.url}/metadata", query), judge=self._judge)
        except RefusedError as error:
            if error.status in (401, 403):
                raise self._refused(self.http.redacted(str(error))) from None
            raise
        found = parse_metadata(answer.body)
        if not isinstance(found, Failure):
            return found
        if found.status in ("ZERO_RESULTS", "NOT_FOUND"):
            return None
        raise self._error(found)

    def _judge(self, answer: Answer) -> None:
        """Raise what an answer's status word says that passes; of a refusal, whatever it says."""
        if answer.status != 200 and "status" not in told(answer):
            return
        metadata = parse_metadata(answer.body)
        if not isinstance(metadata, Failure):
            return
        if is_passing(metadata):
            raise TemporaryError(
                "rate-limited" if metadata.status == "OVER_QUERY_LIMIT" else "unknown-error", metadata.message
            )
        if answer.status != 200 and metadata.status in ("OVER_QUERY_LIMIT", "REQUEST_DENIED"):
            raise self._error(metadata)

    def _with_key(self, url: str, query: dict[str, str]) -> str:
        unsigned = f"{url}?{urlencode({**query, 'key': self.key})}"
        return unsigned if self.secret is None else sign(unsigned, self.secret)

    def _error(self, failure: Failure) -> T15Error:
        message = self.http.redacted(failure.message)
        if failure.status == "REQUEST_DENIED":
            return self._refused(message)
        if failure.status == "OVER_QUERY_LIMIT":
            return IncompleteError(
                f"Google Street View's quota is used up ({message}): the same command goes on after midnight Pacific time, "
                "when it begins anew; if the message speaks of billing, the project needs a billing account first"
            )
        return ServiceError(f"Google Street View failed with {self.http.redacted(failure.status)}: {message}")

    def _refused(self, message: str) -> ServiceError:
        signed = "" if self.secret is None else ", or the signature made with T15_GOOGLE_SECRET"
        return ServiceError(f"Google Street View does not accept the key in {VARIABLE}{signed} ({message}); {WHERE}")


def _picture_parameters(photo: Photo) -> dict[str, str]:
    """Return what a photo's address asks for, of what may be asked."""
    named = dict(parse_qsl((photo.image_url or "").partition("?")[2]))
    return {name: named[name] for name in _PICTURE_PARAMETERS if name in named}


def _cell(latitude: float, longitude: float) -> Cell:
    north = math.degrees(RADIUS_M / 1000 / EARTH_RADIUS_KM)
    east = north / max(math.cos(math.radians(latitude)), 0.01)  # wider than needed within 64 km of a pole
    return Cell(longitude - east, latitude - north, longitude + east, latitude + north)
