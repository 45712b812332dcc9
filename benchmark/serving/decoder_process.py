"""A process that does nothing but decode photos, one after the other: from standard input, to standard output.

Files from strangers meet the decoders here, where they can do little: no memory beyond a limit, no file written, no time
beyond a limit, none of the server's environment. What comes back are lengths and pixels, and nothing that would be run.

A photo is HEAD and its bytes. The answer is PIXELS with width, height and RGB of 8 bits, row by row; or REFUSED with the
length of a JSON list of a code (see `refusals.py`) and a reason, and that list.
"""

import json
import os
import signal
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from benchmark.predicting.read_image import Source, read_photo
from benchmark.serving.limits import RefusedError
from collector.errors import DataError
from collector.images import repair
from collector.images.decode import FORMATS, open_image, quiet_decoders

HEAD = struct.Struct(">QII")
"""Of a photo: its bytes, the `side` that `images.decode` takes (0 for none), the seconds that it may take."""

ANSWER = struct.Struct(">BII")
"""Of an answer: PIXELS, width, height; or REFUSED, length, 0."""

READY, PIXELS, REFUSED = b"t15", 0, 1

_TOO_COSTLY = ("too-costly", "takes too much memory to decode; send a smaller copy")


def decoded(data: bytes, side: int | None, most: int) -> Image.Image:
    """Return the picture that `t15 predict` would see.

    Raises:
        RefusedError: it has more than `most` pixels, which its header tells; or it cannot be decoded.
    """
    data = repair.whole(data, most)
    width, height = _size(data, most)
    if width * height > most:
        said = f"has {width} × {height} pixels; {most / 1e6:g} megapixels are the most: send a smaller copy"
        raise RefusedError("too-many-pixels", said)
    try:
        return read_photo(Source("", data=data), side)
    except DataError as error:
        if isinstance(error.__cause__, MemoryError):
            raise RefusedError(*_TOO_COSTLY) from error
        raise RefusedError("damaged", str(error)) from error


def _size(data: bytes, most: int) -> tuple[int, int]:
    try:
        with open_image(data) as image:
            return image.size
    except UnidentifiedImageError as error:
        heic = str(error).startswith("is a HEIC photo")
        message = (
            str(error)
            if heic
            else f"is not an image, or damaged from its first bytes; {', '.join(FORMATS)} can be read"
        )
        raise RefusedError("not-a-picture", message) from error
    except Image.DecompressionBombError as error:
        message = f"has more than {most / 1e6:g} megapixels; send a smaller copy"
        raise RefusedError("too-many-pixels", message) from error
    except MemoryError as error:
        raise RefusedError(*_TOO_COSTLY) from error
    except Exception as error:  # broken files make Pillow raise anything
        raise RefusedError("damaged", "cannot be decoded: its header is broken") from error


def main(most_pixels: int, memory: int) -> None:
    """Decode what comes until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal; the server ends this one
    photos, answers = sys.stdin.buffer, sys.stdout.buffer
    _confine(memory)
    answers.write(READY)
    answers.flush()
    with quiet_decoders():
        while head := photos.read(HEAD.size):
            length, side, seconds = HEAD.unpack(head)
            data = photos.read(length)
            with _alarm(seconds):
                try:
                    found: Image.Image | RefusedError = decoded(data, side or None, most_pixels)
                except RefusedError as error:
                    found = error
            _tell(answers, found)


def _confine(memory: int) -> None:
    import resource  # Windows has none, and none of this: there the process ends here, and `serve` with it

    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # pipes are no files
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump of memory would hold the photo
    now = Path("/proc/self/statm")
    if now.is_file():  # elsewhere than on Linux RLIMIT_AS is not kept anyway
        limit = memory + int(now.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


@contextmanager
def _alarm(seconds: int) -> Iterator[None]:
    """End this process after the time: the server does the same sooner, where it still lives."""
    signal.alarm(seconds + 1)
    yield
    signal.alarm(0)


def _tell(answers: BinaryIO, found: Image.Image | RefusedError) -> None:
    if isinstance(found, Image.Image):
        answers.write(ANSWER.pack(PIXELS, *found.size))
        answers.write(found.tobytes())
    else:
        text = json.dumps([found.code, found.reason]).encode("ascii")
        answers.write(ANSWER.pack(REFUSED, len(text), 0) + text)
    answers.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
