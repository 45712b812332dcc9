"""Standard output and error as a command meets them: encodings without ş, full disks, pipes that nobody reads."""

import codecs
import io
import json
import os
import sys
from contextlib import suppress
from typing import Any

from collector.errors import IncompleteError, T15Error


class NobodyReadsError(T15Error):
    """Who read standard output has closed it, as `head` does: the command ends, and says nothing."""

    exit_code = 141  # 128 + SIGPIPE, as shells have it


class _Output(io.FileIO):
    """Standard output whose errors are told from those of other files."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError as error:
            raise NobodyReadsError from error
        except OSError as error:
            raise IncompleteError(
                f"standard output: {error.strerror}; make room, or write elsewhere, and run the same command again"
            ) from error


def prepare() -> None:
    """Make standard output and error bear every character, and say by T15Errors what standard output cannot take.

    What a terminal or an old encoding cannot show becomes an escape. A stream that was closed beforehand takes everything
    and keeps nothing, so that no file that is opened later gets its number.

    Raises:
        T15Error: not here, but at a write to standard output: it is full (IncompleteError), or nobody reads it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:  # closed when Python began: whoever asks it, as for a terminal, gets an answer
            setattr(sys, name, open(number, "w", encoding="utf-8", closefd=False))  # noqa: SIM115 (as long as the process)
    out = sys.stdout
    if isinstance(out, io.TextIOWrapper) and not out.isatty():
        raw = io.BufferedWriter(_Output(out.fileno(), "wb", closefd=False))
        sys.stdout = io.TextIOWrapper(raw, out.encoding, line_buffering=out.line_buffering)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def settle() -> None:
    """Drop what a stream did not take, so that Python does not complain of it once more when it ends."""
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            if stream:
                stream.flush()
        except (OSError, T15Error):
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
            with suppress(OSError, T15Error):
                stream.flush()


def print_json(value: Any) -> None:
    """Print a value as JSON that reads back as itself, whatever encoding standard output has.

    Where that is not UTF-8 all is ASCII, with JSON's own escapes.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    print(json.dumps(value, ensure_ascii=codecs.lookup(encoding).name != "utf-8", indent=2), flush=True)
