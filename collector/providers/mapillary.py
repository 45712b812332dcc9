"""Mapillary: street-level photos under CC BY-SA 4.0. Needs a free token.

`/images?bbox=` (https://www.mapillary.com/developer/api-documentation) answers about boxes of less than 0.01 square degrees
with at most 2,000 rows, has no further pages, and answers the same question differently from call to call. A full answer
means that the box has to be divided. Addresses of pictures are signed and expire: they are asked for when a picture is
fetched, and never kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from collector.errors import ServiceError
from collector.net.allowlist import origin_of
from collector.net.client import Access, Http, RefusedError, TemporaryError
from collector.net.keys import key
from collector.providers.base import Cell, CellRules, ImageRequest, Page, Query, base_url
from collector.providers.boxes import cover
from collector.providers.mapillary_answers import (
    FIELDS,
    HOSTS,
    NOT_THERE,
    THUMB,
    TokenError,
    TooMuchError,
    describe,
    judge,
    parse_rows,
    parse_thumb,
)
from collector.records import City, Photo, ProviderTraits

T = TypeVar("T")

API_URL = "https://graph.mapillary.com"
VARIABLE = "T15_MAPILLARY_TOKEN"
WHERE = "a token is free at https://www.mapillary.com/dashboard/developers"
_ROWS = 2000
_SIDE_DEGREES = 0.09  # 0.0081 square degrees


TRAITS = ProviderTraits(licence="CC-BY-SA-4.0")


def make() -> "MapillaryProvider":
    """Return the provider; T15_MAPILLARY_TOKEN holds its token, T15_MAPILLARY_URL may name another service.

    Raises:
        ServiceError: there is no token.
        UsageError: T15_MAPILLARY_URL holds no address.
    """
    token = key(VARIABLE, "Mapillary", WHERE)
    api_url = base_url("T15_MAPILLARY_URL", API_URL)
    own = frozenset() if api_url == API_URL else frozenset({str(origin_of(api_url))})
    # The service allows 10,000 searches a minute; these are our own limits.
    access = Access(
        hosts={"graph.mapillary.com": 4.0, **dict.fromkeys(HOSTS, 4.0)}, own=own, parallel=4, secrets=(token,)
    )
    return MapillaryProvider(Http(access), token, api_url)


@dataclass
class MapillaryProvider:
    """Lists the photos that are on Mapillary.

    Attributes:
        http: the way to the network.
        token: is sent in a header, never in an address.
        api_url: of the Graph API.
    """

    http: Http
    token: str = field(repr=False)
    api_url: str = API_URL
    name: str = "mapillary"
    rules: CellRules = field(
        default=CellRules(aim=_ROWS - 1, page_size=_ROWS, narrowest_m=20.0, calls_per_hour=14400), repr=False
    )

    def roots(self, city: City, query: Query, since: int | None, until: int) -> Sequence[Cell]:
        """Return boxes of less than 0.01 square degrees that cover the city."""
        del query, since, until
        return cover(city, side_km=10.0, side_degrees=_SIDE_DEGREES)

    def count(self, cell: Cell) -> int | None:
        """Return None: the service does not count."""
        del cell
        return None

    def page(self, city: City, cell: Cell, query: Query, token: str | None, known: Callable[[str], bool]) -> Page:
        """Return all of a box that the service gives; there is no second page, and a row holds all there is to know.

        Raises:
            ServiceError: the token is not accepted.
            TemporaryError: no usable answer.
            RefusedError: the service does not answer such questions.
        """
        del query, token, known
        box = f"{cell.west:.7f},{cell.south:.7f},{cell.east:.7f},{cell.north:.7f}"
        question = {"bbox": box, "fields": ",".join(FIELDS), "limit": _ROWS}
        try:
            rows = self._ask("/images", question, parse_rows)
        except TooMuchError:
            return Page(found=(), rows=0, cut=True)
        return Page(tuple(describe(row, city) for row in rows), rows=len(rows), cut=len(rows) >= _ROWS)

    def image_request(self, photo: Photo) -> ImageRequest:
        """Return a fresh address of the picture of about 1024 pixels, which is asked for. Do not keep it.

        Raises:
            ServiceError: the token is not accepted.
            TemporaryError: no usable answer.
            RefusedError: the photo is gone, or lies on a host that is not Mapillary's.
        """
        native = photo.photo_id.removeprefix("mapillary:")
        if not (native.isascii() and native.isdecimal()):
            raise RefusedError("no-id", photo.photo_id)
        own = frozenset({origin_of(self.api_url)})
        try:
            url = self._ask(f"/{native}", {"fields": f"id,{THUMB}"}, lambda body: parse_thumb(body, own))
        except TooMuchError:
            raise TemporaryError("service-error", "the service finds one image too much") from None
        except RefusedError as error:
            raise RefusedError("gone", error.detail) if error.reason == NOT_THERE else error from None
        # A signed address of a content network, given out by the API to be fetched: no page for robots.txt to speak of.
        return ImageRequest(url, robots=False)

    def _ask(self, path: str, question: dict[str, Any], parse: Callable[[bytes], T]) -> T:
        headers = {"Authorization": f"OAuth {self.token}"}
        try:
            return parse(self.http.get(self.api_url + path, question, headers=headers, judge=judge).body)
        except TokenError as error:
            raise self._no_token(str(error)) from None
        except RefusedError as error:
            # Where no body said more: invalid tokens are answered with 400 as well as 401; so are images that are gone, but
            # no search.
            if error.status in (401, 403) or (error.status == 400 and path == "/images"):
                raise self._no_token(f"HTTP {error.status}") from None
            raise RefusedError(error.reason, self.http.redacted(error.detail), status=error.status) from None

    def _no_token(self, why: str) -> ServiceError:
        return ServiceError(f"Mapillary does not accept {VARIABLE} ({self.http.redacted(why)}): check it; {WHERE}")
