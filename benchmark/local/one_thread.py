"""Small matrix products on one thread.

BLAS shares each product with all cores, and its threads spin while they wait for each other. Where somebody else has the
cores a product of 50 x 128 and 128 x 100 took 13 to 55 ms in place of 0.2, and 75 to 250 times the processor time (numpy's
OpenBLAS, two cores, load 14, 2026-12-01). The limit is the process's: whoever comes first of all threads sets it, and it goes
with the last.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any

from threadpoolctl import ThreadpoolController

_lock = Lock()
_inside: list[Any] = []  # the limit, once for each that is inside


@contextmanager
def one_thread() -> Iterator[None]:
    """Let BLAS compute on one thread."""
    with _lock:
        _inside.append(_inside[0] if _inside else _controller().limit(limits=1, user_api="blas"))
    try:
        yield
    finally:
        with _lock:
            limit = _inside.pop()
            if not _inside:
                limit.restore_original_limits()


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()
