"""Asking a server instead of a model of one's own: `t15 predict --url`."""

import io
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from benchmark.predicting.read_image import Source, shown
from benchmark.serving.schemas import ModelFacts, Predictions, Problem
from collector.errors import DataError, ServiceError, UsageError
from collector.images.strip_metadata import CannotStripError, stripped
from collector.net.allowlist import origin_of
from collector.net.client import Access, Answer, Http, NetError, TemporaryError, Timeouts
from collector.net.rate_limit import LONGEST_WAIT_S, retry_after

_TIMEOUTS = Timeouts(connect=10.0, read=120.0, whole=600.0)
_LONGEST = 1 << 20  # bytes of an answer without an explanation; a thousand cities' names fit into it
_MOST_BYTES = 256 << 20  # of a photo, which is held in memory
_SHORT_WAIT_S = 1.0
_A_SECOND = 1000.0  # requests: the server says itself what is too much
_PATIENCE = 120.0  # seconds in all that a busy server is waited for, for one photo

Read = TypeVar("Read", bound=BaseModel)


class Server:
    """A server of `t15 serve`, which answers about photos.

    Attributes:
        facts: what goes with its answers: the model, as `formats.model_facts` says it.
    """

    def __init__(
        self, url: str, sleep: Callable[[float], object] = time.sleep, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Ask a server which model it has. `sleep` and `clock` are for tests.

        Raises:
            UsageError: the address is none, or photos would go over a network in the clear.
            ServiceError: nobody answers there, or no server of t15.
        """
        self._url = _checked(url)
        self._sleep = sleep
        origin = origin_of(self._url)
        access = Access({origin.host: _A_SECOND}, frozenset({str(origin)}))
        self._http = Http(access, timeouts=_TIMEOUTS, sleep=sleep, clock=clock)
        self.facts = _understood(ModelFacts, *self._ask("GET", "api/v1/model"), self._url).model_dump()

    def records(self, sources: Iterable[Source]) -> Iterator[dict[str, Any]]:
        """Yield each photo's answer as `formats.record` has it, or the reason why there is none.

        Raises:
            ServiceError: the server is gone, stays busy, or answers nonsense.
        """
        for source in sources:
            try:
                yield {**self._answer(_content(source)), "photo": source.name}
            except DataError as error:
                yield {"photo": source.name, "error": str(error)}

    def _answer(self, data: bytes) -> dict[str, Any]:
        left = _PATIENCE
        while True:
            answer, content = self._ask("POST", "api/v1/predict", data)
            if answer.status in (429, 503) and left > 0:
                wait = retry_after(answer.headers, time.time())  # which the next request waits for
                if wait is None:
                    self._sleep(_SHORT_WAIT_S)
                if (wait or 0.0) <= LONGEST_WAIT_S:
                    left -= wait or _SHORT_WAIT_S
                    continue
            if answer.status in (400, 413, 415, 422):
                raise DataError(shown(_understood(Problem, answer, content, self._url, good=False).error))
            told = _understood(Predictions, answer, content, self._url).model_dump(exclude_unset=True)
            record: dict[str, Any] = told["photos"][0]
            return record

    def _ask(self, method: str, path: str, data: bytes | None = None) -> tuple[Answer, bytes]:
        headers = {"Content-Type": "application/octet-stream"} if data is not None else {}
        try:
            with self._http.stream(method, self._url + path, headers, data) as (answer, pieces):
                return answer, b"".join(_limited(pieces))
        except NetError as error:
            if error.answer is not None:
                return error.answer, error.answer.body
            raise ServiceError(
                f"--url {self._url}: cannot be reached ({error.reason}); is `t15 serve` running there?"
            ) from error


def _checked(url: str) -> str:
    """Return the address, ending in `/`."""
    try:
        origin = origin_of(url)
        parts = urlsplit(url)
        plain = not parts.query and not parts.fragment
    except ValueError:
        plain = False
    if not plain:
        raise UsageError(f"--url {shown(url)[:200]}: is no address; give one such as http://127.0.0.1:8000")
    if origin.scheme == "http" and not origin.loopback:
        raise UsageError(
            f"--url {shown(url)[:200]}: photos would cross a network unencrypted; use https, or a server on this machine"
        )
    return url.rstrip("/") + "/"


def _content(source: Source) -> bytes:
    """Return a photo's bytes; where its format allows, without EXIF and other metadata, which are nobody else's business."""
    try:
        with io.BytesIO(source.data) if source.path is None else source.path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise DataError(getattr(error, "strerror", None) or "there is no such file") from error
    if len(data) > _MOST_BYTES:
        raise DataError(f"holds more than {_MOST_BYTES >> 20} MiB")
    try:
        return stripped(data)[0]
    except CannotStripError:
        return data


def _limited(pieces: Iterable[bytes]) -> Iterator[bytes]:
    left = _LONGEST
    for piece in pieces:
        left -= len(piece)
        if left < 0:
            raise TemporaryError("too-large")
        yield piece


def _understood(kind: type[Read], answer: Answer, content: bytes, url: str, *, good: bool = True) -> Read:
    if (answer.status < 400) == good:
        try:
            return kind.model_validate_json(content)
        except ValidationError:
            pass
    raise ServiceError(
        f"--url {url}: answers with status {answer.status}, and not as t15 does; is `t15 serve` of this version there?"
    )
