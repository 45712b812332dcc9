"""A server on this machine that notes when each request came."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np


class _Server(ThreadingHTTPServer):
    request_queue_size = 128


@contextmanager
def counting() -> Iterator[tuple[str, list[float]]]:
    """Give the server's address, and the times of its requests in seconds of the monotonic clock, in their order."""
    came: list[float] = []

    class Counting(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            came.append(time.monotonic())
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with _Server(("127.0.0.1", 0), Counting) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", came
        finally:
            server.shutdown()


def most_within(came: Sequence[float], seconds: float) -> int:
    """Return the most requests that came in any span of so many seconds."""
    times = np.sort(came)
    return int((np.searchsorted(times, times + seconds) - np.arange(len(times))).max(initial=0))
