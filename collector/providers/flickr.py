"""Flickr: searches by box and time of upload, through `flickrapi`.

flickrapi 2.4.0 is no longer maintained, so as little of it is used as makes a call: not `walk()`, which fails on Python 3.9
and later; not its cache, which keeps failures; not its parsers, which raise KeyError on an answer without `stat`; not its
token store. Its calls are POST and its session a class attribute that all instances share: ours gets Http's.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

from flickrapi import FlickrAPI, FlickrError
from requests import PreparedRequest
from requests.auth import AuthBase

from collector.errors import ServiceError
from collector.net.allowlist import origin_of
from collector.net.client import Access, Http, NetError, RefusedError, TemporaryError
from collector.net.keys import key
from collector.providers.answers import told
from collector.providers.base import Cell, CellRules, ImageRequest, Page, Query, base_url
from collector.providers.boxes import cover
from collector.providers.flickr_answers import (
    Failure,
    failure_of,
    is_passing,
    parse_answer,
    parse_photo,
    parse_rows,
    parse_sizes,
    same_size,
)
from collector.records import City, Photo, ProviderTraits

VARIABLE = "T15_FLICKR_KEY"
"""The environment variable with the key."""

WHERE = "a key is free at https://www.flickr.com/services/apps/create"
"""How to get a key."""

ADDRESS = "https://api.flickr.com/services/rest"
"""The service, unless T15_FLICKR_URL says otherwise."""

EXTRAS = "date_taken,date_upload,geo,license,media,owner_name,url_c,url_l,url_m,url_z"
"""What a row tells beyond the photo's id, owner and title."""

PARAMETERS = frozenset(
    {
        "bbox",
        "content_type",
        "content_types",
        "extras",
        "has_geo",
        "max_upload_date",
        "media",
        "min_upload_date",
        "page",
        "per_page",
        "safe_search",
        "sort",
    }
)
"""The names that a search may send: Flickr ignores others, so that a misspelt `licence` once let all photos through."""

NOT_THERE = (1, 2)
"""Errors of flickr.photos.getSizes: no such photo (any more), or not one that everybody may see (any more)."""

CAP = 4000
"""Rows after which a search repeats its pages."""

PAGE_ROWS = 250
"""The longest page of a search by place."""

BEGAN = 1_075_593_600
"""2004-02-01, in seconds since 1970: Flickr opened on 10 February. A search without a time answers for 12 hours only."""

# Many small cells cost calls; deep pages cost rows: they come lost and doubled long before the cap. Four pages are shallow.
RULES = CellRules(aim=1000, page_size=PAGE_ROWS, by_time=True, shortest_s=300, calls_per_hour=3600)


TRAITS = ProviderTraits()


def make() -> "FlickrProvider":
    """Return the provider; T15_FLICKR_KEY holds its key, T15_FLICKR_URL may name another service.

    Raises:
        ServiceError: there is no key.
        UsageError: T15_FLICKR_URL holds no address.
    """
    api_key = key(VARIABLE, "Flickr", WHERE)
    rest_url = base_url("T15_FLICKR_URL", ADDRESS)
    # 3,600 calls an hour are one a second. s.yimg.com has the picture that stands in for removed ones.
    hosts = {"api.flickr.com": 1.0, ".staticflickr.com": 4.0, "s.yimg.com": 1.0}
    own = frozenset() if rest_url == ADDRESS else frozenset({str(origin_of(rest_url))})
    return FlickrProvider(Http(Access(hosts, own, secrets=(api_key,))), api_key, rest_url)


@dataclass
class FlickrProvider:
    """Surveys Flickr.

    Attributes:
        http: the way to it; has to know the key as a secret.
        key: Flickr's API key.
        rest_url: the service, without a slash at the end.
    """

    http: Http
    key: str = field(repr=False)
    rest_url: str = ADDRESS
    name: str = "flickr"
    rules: CellRules = RULES
    _api: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._api = FlickrAPI(self.key, "", format="json", store_token=False)
        self._api.REST_URL = f"{self.rest_url}/"  # a redirect to the address with its slash would turn POST into GET
        self._api.flickr_oauth.session = self.http.session
        self._api.flickr_oauth.oauth = _Unsigned()
        self._api.flickr_oauth.log.disabled = True  # it logs whole answers as errors; Http quiets the other loggers

    def roots(self, city: City, query: Query, since: int | None, until: int) -> Sequence[Cell]:
        """Return the box around the city, cut in two where it passes the 180th meridian, from `since` or Flickr's start."""
        del query
        start = BEGAN if since is None else since
        boxes = cover(city, math.inf)
        return [replace(box, since=start, until=until) for box in boxes] if start < until else []

    def count(self, cell: Cell) -> int | None:
        """Return about how many photos a cell holds: Flickr's estimate, which changes from call to call."""
        return self.photos_search(cell, page=1, per_page=1)[1]

    def page(self, city: City, cell: Cell, query: Query, token: str | None, known: Callable[[str], bool]) -> Page:
        """Return one page of a cell.

        A token is the page's number and the id that the page before began with: a page that begins with it too, or that
        says to be another than was asked for, is a repetition and the last. Pages behind row 4,000 are never asked for; a
        cell that is reported to hold more is `cut`, and what of it can be asked for may still be read.

        Raises:
            DataError: a photo's licence is unknown.
            TemporaryError, RefusedError, ServiceError: as for a Survey.
        """
        del known  # a row tells everything, there is no further call to save
        asked, _, before = (token or "1").partition(":")
        number = int(asked)
        rows, total, served = self.photos_search(cell, page=number, per_page=PAGE_ROWS, extras=EXTRAS)
        first = str(rows[0].get("id"))[:20] if rows and isinstance(rows[0], Mapping) else ""
        repeats = served not in (None, number) or (before != "" and first == before)
        promised = math.ceil((total or 0) / PAGE_ROWS)
        # A full page at the estimate's end shows that the estimate was low.
        more = bool(rows) and not repeats and (number < promised or len(rows) >= PAGE_ROWS)
        at_cap = number >= CAP // PAGE_ROWS
        return Page(
            found=tuple(parse_photo(row, city, query.geo_accuracy) for row in rows),
            rows=len(rows),
            reported=total,
            next=f"{number + 1}:{first}" if more and not at_cap else None,
            cut=(total or 0) > CAP or (more and at_cap),
        )

    def image_request(self, photo: Photo) -> ImageRequest:
        """Return where a photo's bytes are. A removed photo's address leads to a picture that says so."""
        if photo.image_url is None:
            raise RefusedError("no-address", photo.photo_id)
        return ImageRequest(photo.image_url, placeholder_in_url="photo_unavailable")

    def renewed(self, photo: Photo) -> Photo | None:
        """Return a photo with its present address, in the size that it had: a photo that is replaced, or was hidden for a
        while, gets another secret.

        Raises:
            TemporaryError, ServiceError: as for `page`.
        """
        native = photo.photo_id.removeprefix("flickr:")
        if not (native.isascii() and native.isdecimal()):
            return None
        answer = self._call(self._api.photos.getSizes, {"photo_id": native}, "flickr.photos.getSizes", NOT_THERE)
        image_url = same_size(photo, parse_sizes(answer, native)) if answer else None
        return replace(photo, image_url=image_url) if image_url else None

    def photos_search(self, cell: Cell, **parameters: str | int) -> tuple[list[Any], int | None, int | None]:
        """Return the rows of a search for a cell's photos, the total and the page's number."""
        query: dict[str, str | int] = {
            "bbox": f"{cell.west:.7f},{cell.south:.7f},{cell.east:.7f},{cell.north:.7f}",
            "min_upload_date": BEGAN if cell.since is None else cell.since,
            "has_geo": 1,
            "media": "photos",
            # Photos only. The old parameter counts from 1, the new one, since virtual photos were added, from 0.
            "content_type": 1,
            "content_types": 0,
            "safe_search": 1,
            "sort": "date-posted-asc",
            **parameters,
        }
        if cell.until is not None:
            query["max_upload_date"] = cell.until - 1  # Flickr's end is inclusive
        if unknown := set(query) - PARAMETERS:
            raise ValueError(f"no parameters of flickr.photos.search: {', '.join(sorted(unknown))}")
        answer = self._call(self._api.photos.search, query, "flickr.photos.search")
        found = parse_rows(answer) if answer else None
        if found is None:
            raise ServiceError("Flickr answered a search with stat ok and without photos")
        return found

    def _call(
        self, method: Callable[..., bytes], query: Mapping[str, str | int], name: str, nothing: Sequence[int] = ()
    ) -> Mapping[str, Any] | None:
        """Return what a method answers; None for an error whose code is in `nothing`."""

        def once() -> Mapping[str, Any] | None:
            wait: float | None = None
            try:
                answer = parse_answer(method(api_key=self.key, **query))
            except FlickrError as error:  # an answer with a status between 200 and 400 that is not 200
                raise TemporaryError("no-answer", "Flickr sent no body") from error
            except NetError as error:
                refusal = told(error.answer) if error.answer else {}
                if refusal.get("stat") != "fail":
                    raise
                answer, wait = failure_of(refusal), error.retry_after  # a body knows more than its status
            if isinstance(answer, Failure):
                if answer.code in nothing:
                    return None
                raise self._error(answer, name, wait)
            return answer

        return self.http.retrying(once)

    def _error(self, failure: Failure, name: str, wait: float | None) -> Exception:
        message = self.http.redacted(failure.message)
        if is_passing(failure):
            return TemporaryError(f"flickr-{failure.code}", message, retry_after=wait)
        if failure.code == 100:
            return ServiceError(f"Flickr does not accept the key in {VARIABLE} (error 100: {message}); {WHERE}")
        said = message if failure.code is None else f"error {failure.code}: {message}"
        return ServiceError(f"Flickr failed at {name}: {said}")


class _Unsigned(AuthBase):
    """Leaves requests as they are.

    Searches need a key and no signature. flickrapi signs every call, and a signature that is made without the key's secret
    is refused (seen: HTTP 401, oauth_problem=signature_invalid); so the key goes as a parameter instead.
    """

    client = SimpleNamespace(client_key="")  # part of flickrapi's repr, which it makes for each call

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        return request
