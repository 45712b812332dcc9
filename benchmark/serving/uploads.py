"""Photos as they arrive: in a form or alone, within limits, in memory only.

Starlette's own form parser writes what is longer than 1 MB into a file on disk; here nothing is written anywhere.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from benchmark.predicting.read_image import shown
from benchmark.serving.limits import Limits, RefusedError

FIELD = "photo"
"""Name of the form's field that holds the photo."""

_FORM = b"multipart/form-data"
_AROUND = 16_384  # bytes of a form beside its photo
_NAME = 200  # characters of a file's name that are told
_HOW = f"send it as a form's field `{FIELD}` ({_FORM.decode()}), or alone as application/octet-stream"


@dataclass
class Upload:
    """A photo that was sent: its bytes, and the name that it came with, printable."""

    name: str = "photo"
    data: bytearray = field(default_factory=bytearray)


async def receive_photo(request: Request, limits: Limits) -> Upload:
    """Return the photo in a request's body.

    Raises:
        RefusedError: there is none, more than one, it is too large, takes too long to arrive, or the request is malformed.
    """
    if request.headers.get("content-encoding", "identity") != "identity":
        raise RefusedError("wrong-type", f"a compressed body is not taken; {_HOW}")
    upload = Upload()
    try:
        take, most = _taker(upload, request.headers.get("content-type", ""), limits)
        _check_length(request.headers.get("content-length", "0"), most, limits)
        async with asyncio.timeout(limits.uploading):
            received = 0
            async for chunk in request.stream():
                received += len(chunk)
                if received > most:
                    raise _too_large(limits)
                take(chunk)
    except TimeoutError as error:
        raise RefusedError("too-slow", f"the photo did not arrive within {limits.uploading:g} seconds") from error
    except FormParserError as error:
        raise RefusedError("bad-request", f"the form is malformed; {_HOW}") from error
    except ClientDisconnect as error:
        raise RefusedError("bad-request", "the connection ended before the photo had arrived") from error
    if not upload.data:
        raise RefusedError("no-photo", f"there is no photo in the request; {_HOW}")
    return upload


def _taker(upload: Upload, content_type: str, limits: Limits) -> tuple[Callable[[bytes], None], int]:
    """Return what puts a body's bytes into the upload, and how many bytes that body may have."""
    media, options = parse_options_header(content_type)
    if media == _FORM:
        return _Form(upload, options.get(b"boundary", b""), limits).take, limits.body + _AROUND
    if media == b"application/octet-stream" or media.startswith(b"image/"):
        return upload.data.extend, limits.body
    raise RefusedError("wrong-type", f"the body is no photo by its Content-Type; {_HOW}")


def _check_length(stated: str, most: int, limits: Limits) -> None:
    if not (stated.isascii() and stated.isdigit()):
        raise RefusedError("bad-request", "the Content-Length is no number")
    if int(stated[:20]) > most:
        raise _too_large(limits)


def _too_large(limits: Limits) -> RefusedError:
    return RefusedError("too-large", f"the photo has more than {limits.body / 1e6:g} MB; send a smaller copy")


class _Form:
    """Parses a form as it comes and keeps the one photo in it; what other fields hold is passed over."""

    def __init__(self, upload: Upload, boundary: bytes, limits: Limits) -> None:
        if not boundary:
            raise RefusedError("bad-request", "the form's Content-Type names no boundary")
        self._upload = upload
        self._limits = limits
        self._header, self._value = bytearray(), bytearray()
        self._disposition = b""
        self._wanted = self._seen = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_end,
                "on_part_data": self._data,
            },
        )

    def take(self, chunk: bytes) -> None:
        """Take in the next bytes of the form."""
        self._parser.write(chunk)

    def _begin(self) -> None:
        self._disposition, self._wanted = b"", False

    def _header_end(self) -> None:
        if bytes(self._header).lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _headers_end(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._wanted = options.get(b"name") == FIELD.encode()
        if not self._wanted:
            return
        if self._seen:
            raise RefusedError("bad-request", f"the form holds more than one `{FIELD}`; send one photo at a time")
        self._seen = True
        name = shown(options.get(b"filename", b"").decode("utf-8", "replace"))[:_NAME]
        self._upload.name = name or self._upload.name

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._wanted:
            self._upload.data.extend(memoryview(data)[start:end])
            if len(self._upload.data) > self._limits.body:
                raise _too_large(self._limits)
