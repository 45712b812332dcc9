"""A file on a server, read by ranges: what is asked for alone travels, in blocks that are kept (RFC 9110, 14)."""

import io
import re
from collections import OrderedDict

from collector.net.client import Http
from collector.net.types import Answer, RefusedError, TemporaryError

BLOCK = 64 << 10
_KEPT = 256  # blocks
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")


class Ranges:
    """A file's blocks.

    Attributes:
        size: of the file, bytes.
    """

    def __init__(self, http: Http, url: str) -> None:
        """Ask for the first block.

        Raises:
            TemporaryError, RefusedError: as for `Http.get`; also where the server does not answer by ranges.
        """
        self._http, self._url = http, url
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self.size, self._tag = -1, ""
        self._block(0)

    def read(self, start: int, count: int) -> bytes:
        """Return bytes from `start` on, fewer at the end of the file.

        Raises:
            TemporaryError, RefusedError: as for `Http.get`; also where the file has changed meanwhile.
        """
        end = min(start + count, self.size)
        blocks = [self._block(number) for number in range(start // BLOCK, -(-end // BLOCK))] if end > start else []
        return b"".join(blocks)[start % BLOCK :][: end - start]

    def _block(self, number: int) -> bytes:
        if number in self._blocks:
            self._blocks.move_to_end(number)
            return self._blocks[number]
        start = number * BLOCK
        asked = {"Range": f"bytes={start}-{start + BLOCK - 1}"}
        answer, body = self._http.retrying(lambda: self._once(asked))
        found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if answer.status != 206 or found is None or int(found[1]) != start:
            raise RefusedError("no-ranges", "the server does not answer with the part that was asked for")
        size, tag = int(found[3]), answer.headers.get("ETag", "")
        if self.size < 0:
            self.size, self._tag = size, tag
        if (size, tag) != (self.size, self._tag):
            raise TemporaryError("changed", "the file is another one than at first")
        if len(body) != min(BLOCK, size - start):
            raise TemporaryError("truncated", f"{len(body)} bytes of a block")
        self._blocks[number] = body
        if len(self._blocks) > _KEPT:
            self._blocks.popitem(last=False)
        return body

    def _once(self, asked: dict[str, str]) -> tuple[Answer, bytes]:
        with self._http.stream("GET", self._url, asked) as (answer, pieces):
            body = b""
            for piece in pieces:
                body += piece
                if len(body) > BLOCK:  # the whole file, from a server that knows no ranges
                    break
            return answer, body


class RangeFile(io.RawIOBase):
    """A view of such a file for GDAL, by way of rasterio: what cannot be had is no bytes there, and kept as `error`."""

    def __init__(self, ranges: Ranges) -> None:
        self._ranges, self._at = ranges, 0
        self.error: TemporaryError | RefusedError | None = None

    def readable(self) -> bool:
        """Return that it is."""
        return True

    def seekable(self) -> bool:
        """Return that it is."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position, and return it."""
        self._at = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._ranges.size}[whence] + offset
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """Return the next bytes."""
        count = self._ranges.size if size is None or size < 0 else size
        try:
            found = self._ranges.read(self._at, count)
        except (TemporaryError, RefusedError) as error:  # nobody would hear it behind GDAL
            self.error = error
            return b""
        self._at += len(found)
        return found
