"""Tests. Where several processes share them out, each computes with its share of the cores, and waits without spinning.

Set here, before numpy and torch are loaded: two workers on two cores, with two threads each, took twice the processor time.
"""

import os

if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    _threads = str(max(1, (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])))
    for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(_name, _threads)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
