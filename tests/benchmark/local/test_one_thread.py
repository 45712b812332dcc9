"""Small products are computed on one thread, and others on as many as before."""

import numpy as np
from threadpoolctl import threadpool_info

from benchmark.local.one_thread import one_thread


def threads() -> list[int]:
    return [one["num_threads"] for one in threadpool_info() if "numpy" in one["filepath"]]


def test_there_is_one_thread_inside_and_as_many_as_before_behind() -> None:
    np.ones((2, 2)) @ np.ones((2, 2))
    before = threads()
    with one_thread(), one_thread():
        assert threads() == [1] * len(before)
    assert threads() == before


def test_contexts_that_overlap_give_the_threads_back_with_the_last() -> None:
    before = threads()
    first, second = one_thread(), one_thread()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert threads() == [1] * len(before)
    second.__exit__(None, None, None)
    assert threads() == before
