"""What an answer carries: whether it is what was asked for, and its body, decoded and bounded."""

import re
import zlib
from collections.abc import Iterator
from itertools import chain

import requests

from collector.net.transport import FAILURES, failure_of
from collector.net.types import RefusedError, TemporaryError

_CHUNK = 256 * 1024


def expect(response: requests.Response, accept: tuple[str, ...]) -> None:
    """Raise where an answer is not what was asked for: services send pages with status 200 when they are ill."""
    if response.status_code >= 300:
        raise RefusedError(f"http-{response.status_code}", place(response), response.status_code)
    kind = response.headers.get("Content-Type", "").strip().lower()
    if kind and not kind.startswith(tuple(prefix.lower() for prefix in accept)):
        raise TemporaryError("content-type", f"{place(response)} sent {kind[:60]!r}")


def bounded(response: requests.Response, limit: int) -> Iterator[bytes]:
    """Yield the body's pieces, decoded, up to `limit` bytes in all."""
    length = response.headers.get("Content-Length", "")
    announced = int(length) if re.fullmatch("[0-9]{1,18}", length) else 0
    total = 0
    if announced <= limit:
        for chunk in body_of(response):
            total += len(chunk)
            if total > limit:
                break
            yield chunk
    if max(total, announced) > limit:
        raise RefusedError("too-large", f"{max(total, announced)} bytes or more, accepted are {limit}")


def place(response: requests.Response) -> str:
    """Return where an answer came from, for an error's text: host and path, at most 200 characters."""
    return response.url.partition("?")[0].partition("://")[2][:200]


def body_of(response: requests.Response) -> Iterator[bytes]:
    """Yield an answer's decoded body in pieces of at most 256 KiB.

    Raises:
        TemporaryError: it does not arrive, not whole, or not as its headers say.
    """
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    try:
        chunks = response.raw.stream(_CHUNK, decode_content=False)
        if encoding in ("", "identity"):
            yield from chunks
        elif encoding in ("gzip", "x-gzip"):
            yield from _gunzipped(chunks)
        else:
            raise TemporaryError("broken", "a content encoding that was not asked for")
    except FAILURES as error:
        failure = failure_of(error, response.url)
    else:
        return
    raise failure


def _gunzipped(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Decode gzip (RFC 1952, any number of members), never more than a piece at a time: a bomb unfolds only as it is read.

    urllib3's own decoder takes a stream that ends early for whole.
    """
    decoder = zlib.decompressobj(wbits=31)
    empty = True
    for chunk in chain(chunks, [b""]):
        pending = chunk
        empty = empty and not chunk
        while True:
            if decoder.eof and pending:
                decoder = zlib.decompressobj(wbits=31)
            data = decoder.decompress(pending, _CHUNK)
            pending = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
            if data:
                yield data
            elif not pending:
                break
    if not decoder.eof and not empty:
        raise EOFError("the gzip stream ends early")
