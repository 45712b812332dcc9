"""Small matrix products on one thread.

BLAS and OpenMP share each product with all cores, and their threads spin while they wait for each other. Where somebody else
has the cores a product of 50 x 128 and 128 x 100 took 13 to 55 ms in place of 0.2, and 75 to 250 times the processor time
(numpy's OpenBLAS, two cores, load 14, 2026-12-01). The limit is the process's: where several threads ask for it the first one
sets it and takes it back (threadpoolctl), the others go by it meanwhile.
"""

import sys
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager[Any]:
    """Return a context in which numpy and faiss compute on one thread; to enter and leave it takes some 10 µs."""
    limited: AbstractContextManager[Any] = _controller("faiss" in sys.modules).limit(limits=1)
    return limited


@cache
def _controller(with_faiss: bool) -> ThreadpoolController:  # noqa: ARG001 (it finds the libraries that are loaded)
    return ThreadpoolController()
