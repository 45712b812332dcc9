"""Panoramax: free street-level photos, mostly of France, under etalab-2.0 or CC-BY-SA-4.0. Needs no key.

`/search` of the meta-catalogue (https://docs.panoramax.fr/api/, STAC API Item Search) answers about a box with at most as
many items as asked for. `links` names no further page even when there is more: a full answer means that the box has to be
divided.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from collector.net.allowlist import Origin, origin_of
from collector.net.client import Access, Http, RefusedError
from collector.providers.base import Cell, CellRules, ImageRequest, Page, Query, base_url
from collector.providers.boxes import cover
from collector.providers.panoramax_answers import HOSTS, describe, judge, parse_features
from collector.records import City, Photo, ProviderTraits

API_URL = "https://api.panoramax.xyz/api"
_ROWS = 1000
"""Items of an answer. One has 5 to 10 kB, most of it EXIF."""
_SIDE_KM = 18.0


TRAITS = ProviderTraits()


def make() -> "PanoramaxProvider":
    """Return the provider; T15_PANORAMAX_URL may name an instance, whose pictures may then lie on its own host too.

    Raises:
        UsageError: T15_PANORAMAX_URL holds no address.
    """
    api_url = base_url("T15_PANORAMAX_URL", API_URL)
    own = frozenset() if api_url == API_URL else frozenset({str(origin_of(api_url))})
    return PanoramaxProvider(Http(Access(hosts=dict.fromkeys(HOSTS, 2.0), own=own, parallel=2)), api_url)


@dataclass
class PanoramaxProvider:
    """Lists the photos that are on Panoramax.

    Attributes:
        http: the way to the network.
        api_url: of the API, with its `/api`.
    """

    http: Http
    api_url: str = API_URL
    name: str = "panoramax"
    rules: CellRules = field(
        default=CellRules(aim=_ROWS - 1, page_size=_ROWS, narrowest_m=20.0, calls_per_hour=7200), repr=False
    )

    def roots(self, city: City, query: Query, since: int | None, until: int) -> Sequence[Cell]:
        """Return boxes of at most 18 × 18 km that cover the city."""
        del query, since, until
        return cover(city, _SIDE_KM)

    def count(self, cell: Cell) -> int | None:
        """Return None: the service does not count."""
        del cell
        return None

    def page(self, city: City, cell: Cell, query: Query, token: str | None, known: Callable[[str], bool]) -> Page:
        """Return all of a box that the service gives; an item holds all there is to know.

        Raises:
            TemporaryError: no usable answer.
            RefusedError: the service does not answer such questions.
        """
        del query, token, known
        box = f"{cell.west:.7f},{cell.south:.7f},{cell.east:.7f},{cell.north:.7f}"
        types = ("application/geo+json", "application/json")
        question = {"bbox": box, "limit": _ROWS}
        answer = self.http.get(f"{self.api_url}/search", question, accept=types, judge=judge)
        items = parse_features(answer.body)
        found = tuple(describe(item, city, self._own_origins) for item in items)
        return Page(found, rows=len(items), cut=len(items) >= _ROWS)

    def image_request(self, photo: Photo) -> ImageRequest:
        """Return the address of a picture.

        Raises:
            RefusedError: the photo has none.
        """
        if photo.image_url is None:
            raise RefusedError("no-address", photo.photo_id)
        return ImageRequest(photo.image_url)

    @property
    def _own_origins(self) -> frozenset[Origin]:
        return frozenset({origin_of(self.api_url)})
