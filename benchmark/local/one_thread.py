"""Small matrix products on one thread.

BLAS and OpenMP share each product with all cores, and their threads spin while they wait for each other. Where somebody else
has the cores a product of 50 x 128 and 128 x 100 took 13 to 55 ms in place of 0.2, and 75 to 250 times the processor time
(numpy's OpenBLAS, two cores, load 14, 2026-12-01).  The limit is the
process's. Where threads overlap in it the first one sets it and the last one takes it back: a limiter of each would take
back what it found, the limit of another, and leave the process on one thread.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_limit = ExitStack()
_inside = 0


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread, numpy and faiss, as long as any thread is inside."""
    global _inside  # noqa: PLW0603 (the limit is one of the process)
    with _lock:
        if _inside == 0:
            _limit.enter_context(_controller("faiss" in sys.modules).limit(limits=1))
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _limit.close()


@cache
def _controller(with_faiss: bool) -> ThreadpoolController:  # noqa: ARG001 (it finds the libraries that are loaded)
    return ThreadpoolController()
