"""Asking a server instead of a model of one's own: `t15 predict --url`."""

import io
import ipaddress
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from pydantic import BaseModel, ValidationError

from benchmark.predicting.read_image import Source, shown
from benchmark.serving.schemas import ModelFacts, Predictions, Problem
from collector.errors import DataError, ServiceError, UsageError
from collector.images.strip_metadata import CannotStripError, stripped

_SECONDS = (10.0, 120.0)  # to connect, and between two pieces of an answer
_LONGEST = 1 << 20  # bytes of an answer without an explanation; a thousand cities' names fit into it
_MOST_BYTES = 256 << 20  # of a photo, which is held in memory
_PATIENCE = 120.0  # seconds in all that a busy server is waited for, for one photo

Read = TypeVar("Read", bound=BaseModel)


class Server:
    """A server of `t15 serve`, which answers about photos.

    Attributes:
        facts: what goes with its answers: the model, as `formats.model_facts` says it.
    """

    def __init__(self, url: str, sleep: Callable[[float], None] = time.sleep) -> None:
        """Ask a server which model it has.

        Raises:
            UsageError: the address is none, or photos would go over a network in the clear.
            ServiceError: nobody answers there, or no server of t15.
        """
        self._url, here = _checked(url)
        self._sleep = sleep
        self._session = requests.Session()
        self._session.trust_env = not here  # no proxy stands between two programs on this machine
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
            if answer.status_code in (429, 503) and left > 0:
                wait = _retry_after(answer)
                left -= wait
                self._sleep(wait)
                continue
            if answer.status_code in (400, 413, 415, 422):
                raise DataError(shown(_understood(Problem, answer, content, self._url, good=False).error))
            told = _understood(Predictions, answer, content, self._url).model_dump(exclude_unset=True)
            record: dict[str, Any] = told["photos"][0]
            return record

    def _ask(self, method: str, path: str, data: bytes | None = None) -> tuple[requests.Response, bytes]:
        headers = {"Content-Type": "application/octet-stream"} if data is not None else {}
        try:
            with self._session.request(
                method,
                self._url + path,
                data=data,
                headers=headers,
                timeout=_SECONDS,
                stream=True,
                allow_redirects=False,
            ) as answer:
                content = b"".join(_limited(answer.iter_content(65_536)))
        except requests.RequestException as error:
            reason = type(error).__name__
            raise ServiceError(
                f"--url {self._url}: cannot be reached ({reason}); is `t15 serve` running there?"
            ) from error
        return answer, content


def _checked(url: str) -> tuple[str, bool]:
    """Return the address, ending in `/`, and whether it is on this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        plain = parts.port is None or parts.port > 0
    except ValueError as error:
        raise UsageError(f"--url {shown(url)[:200]}: is no address; give one such as http://127.0.0.1:8000") from error
    if (
        parts.scheme not in ("http", "https")
        or not host
        or not plain
        or parts.query
        or parts.fragment
        or "@" in parts.netloc
    ):
        raise UsageError(f"--url {shown(url)[:200]}: is no address; give one such as http://127.0.0.1:8000")
    here = _is_here(host)
    if parts.scheme == "http" and not here:
        raise UsageError(
            f"--url {shown(url)[:200]}: photos would cross a network unencrypted; use https, or a server on this machine"
        )
    return url.rstrip("/") + "/", here


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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
            raise requests.exceptions.ContentDecodingError
        yield piece


def _retry_after(answer: requests.Response) -> float:
    said = answer.headers.get("Retry-After", "")
    return min(60.0, max(1.0, float(said))) if said.isascii() and said.isdigit() else 1.0


def _understood(kind: type[Read], answer: requests.Response, content: bytes, url: str, *, good: bool = True) -> Read:
    if answer.ok == good:
        try:
            return kind.model_validate_json(content)
        except ValidationError:
            pass
    raise ServiceError(
        f"--url {url}: answers with status {answer.status_code}, and not as t15 does; is `t15 serve` of this version there?"
    )
