"""Measure how long it takes to tell methods apart: `python -m tests.performance.comparisons`.

Prints the seconds for the groups of 60 methods with 5 seeds on 375, 2,025 and 20,000 test photos (the paper's number; 25 of
each of 81 provinces; far more), and, of some pairs, how much faster the sign-flip test is than the same distribution by
convolving the photos' coins. Not a test: the figures belong to a machine.
"""

import time
from collections.abc import Callable
from math import comb
from statistics import median

import numpy as np
from numpy.typing import NDArray

from benchmark.scoring.significance import indistinguishable_groups, sign_flip_test

METHODS, SEEDS = 60, 5
PAIRS = 25


def answers(photos: int) -> list[NDArray[np.bool_]]:
    """Return the answers of methods whose accuracies lie between about 20 and 80 %."""
    random = np.random.default_rng(0)
    hard = random.beta(0.6, 0.6, photos)
    return [random.random((SEEDS, photos)) < np.clip(hard + ahead, 0, 1) for ahead in np.linspace(-0.3, 0.3, METHODS)]


def convolved(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Return the p-value of the sign-flip test, by convolving the photos' coins."""
    differences = a.sum(axis=0) - b.sum(axis=0)
    sizes, counts = np.unique(np.abs(differences)[differences != 0], return_counts=True)
    chances = np.ones(1)
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        steps = np.zeros(size * count + 1)
        steps[::size] = [comb(count, heads) / 2**count for heads in range(count + 1)]
        chances = np.convolve(chances, steps)
    reach = len(chances) - 1
    return float(chances[np.abs(2 * np.arange(reach + 1) - reach) >= abs(differences.sum())].sum())


def seconds(call: Callable[..., object], *arguments: object) -> float:
    started = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - started


def main() -> None:
    for photos in (375, 2025, 20_000):
        right = answers(photos)
        whole = seconds(indistinguishable_groups, right)
        print(f"{photos} photos: groups of {METHODS} methods × {SEEDS} seeds in {whole:.2f} s", flush=True)
        if photos > 5000:  # convolving takes minutes
            continue
        pairs = [(right[index], right[-1 - index]) for index in range(PAIRS)]
        times = [(seconds(sign_flip_test, *pair), seconds(convolved, *pair)) for pair in pairs]
        worst = max(abs(sign_flip_test(*pair) - convolved(*pair)) for pair in pairs)
        ratio = median(slow / fast for fast, slow in times)
        milliseconds = 1e3 * median(fast for fast, _ in times)
        print(f"  a pair: {milliseconds:.2f} ms, convolving {ratio:.1f} × as long; p-values agree to {worst:.0e}")


if __name__ == "__main__":
    main()
