"""Small products are computed on one thread, and others on as many as before."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from benchmark.local.one_thread import one_thread


def threads() -> set[int]:
    np.ones((2, 2)) @ np.ones((2, 2))
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


def test_the_last_of_all_threads_gives_back_what_the_first_took() -> None:
    both = Barrier(2, timeout=10)

    def inside(_: int) -> set[int]:
        with one_thread():
            both.wait()
            return threads()

    with threadpool_limits(2, user_api="blas"):
        before = threads()
        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(inside, range(2))) == [{1}, {1}]
        with one_thread(), one_thread():
            assert threads() == {1}
        assert threads() == before
