"""Decoding photos from strangers: in processes that are ended and started again when they take too long or break."""

import json
import math
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from PIL import Image

from benchmark.serving import decoder_process
from benchmark.serving.decoder_process import ANSWER, HEAD, PIXELS, READY, REFUSED
from benchmark.serving.limits import STATUS, Limits, RefusedError

_LONGEST = 4096  # bytes of a refusal
_START = 120.0  # seconds that a process may take to begin, on a machine that is busy
_KEPT = ("LANG", "LC_ALL", "PATH", "TZ")  # of the environment, where keys live


class Decoder:
    """A process that decodes one photo at a time, started again whenever it ended; for one thread at a time."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._closed = False
        self.process = self._started()
        self._ready = False

    def decode(self, data: bytes | bytearray, side: int | None) -> Image.Image:
        """Return a photo as `images.decode` gives it to `t15 predict`: its pixels, and nothing else of the file.

        Raises:
            RefusedError: it is no picture, damaged, or takes too many pixels, too much time or memory.
        """
        self.prepare()
        seconds = self.limits.decoding
        try:
            with self._killed_after(seconds) as late:
                self._write(HEAD.pack(len(data), side or 0, math.ceil(seconds)), data)
                return self._answer()
        except (OSError, EOFError, ValueError, TypeError) as error:  # the last two: its answer is none
            self._restart()
            what = (
                f"more than {seconds:g} seconds to decode"
                if late.is_set()
                else "too much to decode: it ended the decoder"
            )
            raise RefusedError("too-costly", f"takes {what}; save it anew with another program") from error

    def prepare(self) -> None:
        """Wait until the process can decode, a new one where it ended.

        Raises:
            RefusedError: it does not start.
        """
        if self.process.poll() is not None:  # it ended while there was nothing to do
            self._restart()
        if self._ready:
            return
        try:
            with self._killed_after(_START):
                self._ready = self._read(len(READY)) == READY
        except (OSError, EOFError, ValueError) as error:  # the last: `close` took the pipe away
            self._restart()
            raise RefusedError("busy", "the decoder does not start; try again", {"Retry-After": "5"}) from error

    def close(self) -> None:
        """End the process, whatever it is doing; `decode` fails then."""
        self._closed = True
        _end(self.process)

    def _started(self) -> "subprocess.Popen[bytes]":
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        environment = kept | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OPENBLAS_NUM_THREADS": "1"}
        command = [
            sys.executable,
            "-P",
            "-m",
            decoder_process.__name__,
            str(self.limits.pixels),
            str(self.limits.memory),
        ]
        # What it says on stderr would hold pieces of the photo's text.
        quiet = subprocess.DEVNULL
        return subprocess.Popen(  # noqa: S603 (t15 itself)
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=quiet, env=environment
        )

    def _restart(self) -> None:
        _end(self.process)
        if not self._closed:
            self.process, self._ready = self._started(), False

    @contextmanager
    def _killed_after(self, seconds: float) -> Iterator[threading.Event]:
        """End the process after the time; the event says that it came to that."""
        late, process = threading.Event(), self.process

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            yield late
        finally:
            timer.cancel()

    def _write(self, *parts: bytes | bytearray) -> None:
        pipe = self.process.stdin
        if pipe is None or self._closed:
            raise EOFError
        for part in parts:
            pipe.write(part)
        pipe.flush()

    def _read(self, length: int) -> bytes:
        pipe = self.process.stdout
        found = pipe.read(length) if pipe is not None else b""
        if len(found) < length:
            raise EOFError
        return found

    def _answer(self) -> Image.Image:
        """Return what the process answered; it is not believed beyond the limits."""
        kind, first, second = ANSWER.unpack(self._read(ANSWER.size))
        if kind == PIXELS and 0 < first * second <= self.limits.pixels:
            return Image.frombytes("RGB", (first, second), self._read(3 * first * second))
        if kind == REFUSED and first <= _LONGEST:
            code, reason = json.loads(self._read(first))
            if code in STATUS:
                raise RefusedError(code, f"the photo {reason}")
        raise EOFError


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):  # what was not written yet cannot be any more
                pipe.close()
