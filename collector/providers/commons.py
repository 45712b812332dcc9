"""Wikimedia Commons: free photos with coordinates. Needs no key.

Two questions are asked. `list=geosearch` (https://www.mediawiki.org/wiki/Extension:GeoData) names the files in a box: boxes
of 100 m² to 20 × 20 km, at most 500 rows and no way to have the next ones, so that a full box has to be divided. Then
`prop=imageinfo|coordinates` (https://www.mediawiki.org/wiki/API:Imageinfo) describes the files that are not known yet, 50 at
a time (extmetadata's limit), in as many answers as `continue` asks for (https://www.mediawiki.org/wiki/API:Continue).

Manners (https://www.mediawiki.org/wiki/API:Etiquette): `maxlag`, at most three requests at a time, a User-Agent with contact.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from collector.geo import KM_PER_DEGREE
from collector.net.allowlist import Origin, origin_of
from collector.net.client import Access, Http, RefusedError, TemporaryError
from collector.providers.base import Cell, CellRules, ImageRequest, Page, Query, base_url
from collector.providers.boxes import cover
from collector.providers.commons_answers import (
    THUMB_WIDTH,
    describe,
    judge,
    merge,
    parse_details,
    parse_search,
    present_address,
)
from collector.records import City, Photo, ProviderTraits, Unusable

API_URL = "https://commons.wikimedia.org/w/api.php"
_ROWS = 500
_SIDE_KM = 18.0
_IDS = 50
_ROUNDS = 60
"""Answers to one question about 50 files; three were recorded, and a service that never ends is broken."""
_FIELDS = "Artist|Categories|DateTimeOriginal|GPSLatitude|GPSLongitude|License|LicenseShortName|LicenseUrl|UsageTerms"
_THUMB = re.compile(r"/(\d{2,4})px-[^/]*$")


TRAITS = ProviderTraits()


def make() -> "CommonsProvider":
    """Return the provider; T15_COMMONS_URL may name another api.php, whose pictures may then lie on its own host too.

    Raises:
        UsageError: T15_COMMONS_URL holds no address.
    """
    api_url = base_url("T15_COMMONS_URL", API_URL)
    own = frozenset() if api_url == API_URL else frozenset({str(origin_of(api_url))})
    access = Access(hosts={"commons.wikimedia.org": 2.0, "upload.wikimedia.org": 3.0}, own=own, parallel=3)
    return CommonsProvider(Http(access), api_url)


@dataclass
class CommonsProvider:
    """Lists the photos that are on Wikimedia Commons.

    Attributes:
        http: the way to the network.
        api_url: address of the wiki's api.php.
    """

    http: Http
    api_url: str = API_URL
    name: str = "commons"
    # The aim keeps a distance from 500: rows of pages that were deleted since the index was built are dropped after the
    # limit, so that a full box may answer with a little less.
    rules: CellRules = field(
        default=CellRules(aim=480, page_size=_ROWS, narrowest_m=20.0, calls_per_hour=7200, details=50), repr=False
    )

    def roots(self, city: City, query: Query, since: int | None, until: int) -> Sequence[Cell]:
        """Return boxes of at most 18 × 18 km that cover the city."""
        del query, since, until
        return cover(city, _SIDE_KM)

    def count(self, cell: Cell) -> int | None:
        """Return the number of rows that a box answers with, 500 for at least as many.

        Raises:
            TemporaryError, RefusedError: as for `page`.
        """
        return self._search(cell)[1]

    def page(self, city: City, cell: Cell, query: Query, token: str | None, known: Callable[[str], bool]) -> Page:
        """Return all of a box: there is no second page. Of a full box that can be divided only the number of rows.

        Raises:
            TemporaryError: no usable answer.
            RefusedError: the service does not answer such questions, such as `toobig`.
        """
        del query, token
        ids, rows = self._search(cell)
        cut = rows > self.rules.aim
        if cut and _longer_side_m(cell) >= 2 * self.rules.narrowest_m:
            return Page(found=(), rows=rows, reported=rows, cut=True)
        fresh = [id_ for id_ in ids if not known(f"commons:{id_}")]
        found: list[Photo | Unusable] = []
        for start in range(0, len(fresh), _IDS):
            pages = self._details(fresh[start : start + _IDS])
            found += [describe(page, city, self._own_origins) for page in pages]
        return Page(tuple(found), rows=rows, reported=rows, cut=cut, known=len(ids) - len(fresh))

    def image_request(self, photo: Photo) -> ImageRequest:
        """Return the address of the thumbnail, or of the file itself where it was listed so.

        Raises:
            RefusedError: the photo has no address.
        """
        if photo.image_url is None:
            raise RefusedError("no-address", photo.photo_id)
        thumb = _THUMB.search(photo.image_url)
        return ImageRequest(photo.image_url, width=int(thumb[1]) if thumb else None)

    def renewed(self, photo: Photo) -> Photo | None:
        """Return a photo with its present address: files are renamed, and their addresses with them.

        Raises:
            TemporaryError, RefusedError: as for `page`.
        """
        native = photo.photo_id.removeprefix("commons:")
        pages = self._details([int(native)]) if native.isdecimal() else []
        image_url = present_address(pages[0], self._own_origins) if pages else None
        return replace(photo, image_url=image_url) if image_url else None

    @property
    def _own_origins(self) -> frozenset[Origin]:
        return frozenset({origin_of(self.api_url)})

    def _search(self, cell: Cell) -> tuple[list[int], int]:
        box = f"{cell.north:.7f}|{cell.west:.7f}|{cell.south:.7f}|{cell.east:.7f}"
        options = {"gsbbox": box, "gsnamespace": 6, "gsprimary": "all", "gslimit": _ROWS}
        return parse_search(self._ask({"list": "geosearch", **options}))

    def _details(self, ids: Sequence[int]) -> list[dict[str, Any]]:
        """Return the pages of at most 50 ids, merged from as many answers as there are."""
        pages: dict[int, dict[str, Any]] = {id_: {"pageid": id_} for id_ in ids}
        question = {
            "prop": "imageinfo|coordinates",
            "pageids": "|".join(map(str, ids)),
            "iiprop": "url|size|mime|user|timestamp|extmetadata",
            "iiurlwidth": THUMB_WIDTH,
            "iiextmetadatafilter": _FIELDS,
            "colimit": _ROWS,
            "coprimary": "all",
            "coprop": "type|globe",
        }
        following: dict[str, str] = {}
        for _ in range(_ROUNDS):
            more, following = parse_details(self._ask({**question, **following}))
            merge(pages, more)
            if not following:
                return list(pages.values())
        raise TemporaryError("endless", f"{_ROUNDS} answers about {len(ids)} files, and still not all")

    def _ask(self, question: dict[str, Any]) -> bytes:
        common = {"action": "query", "format": "json", "formatversion": 2, "maxlag": 5}
        return self.http.get(self.api_url, {**common, **question}, judge=judge).body


def _longer_side_m(cell: Cell) -> float:
    # As the planner measures them: on the side that is nearer to the pole, where a box is narrowest.
    shrinking = math.cos(math.radians(max(abs(cell.south), abs(cell.north))))
    return max(cell.north - cell.south, (cell.east - cell.west) * shrinking) * KM_PER_DEGREE * 1000
