"""Who is better, and how sure that is."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, false_discovery_control

from benchmark.scoring.significance import bootstrap, holm, mcnemar, rank_ranges, sign_flip_test

BITS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)


def test_mcnemar_by_hand() -> None:
    # 5 photos are right with a alone, 1 with b alone: P(X <= 1 or X >= 5 | 6 coins) = 2 (1 + 6) / 64.
    a = np.array([1, 1, 1, 1, 1, 0, 1, 1, 0], bool)
    b = np.array([0, 0, 0, 0, 0, 1, 1, 1, 0], bool)
    assert mcnemar(a, b) == pytest.approx(14 / 64)


@given(BITS)
def test_mcnemar_is_the_binomial_test_of_the_photos_that_differ(pairs: list[tuple[bool, bool]]) -> None:
    a, b = np.array(pairs).T
    mine, theirs = int((a & ~b).sum()), int((b & ~a).sum())
    expected = binomtest(mine, mine + theirs).pvalue if mine + theirs else 1.0
    assert mcnemar(a, b) == pytest.approx(expected)
    assert mcnemar(b, a) == pytest.approx(mcnemar(a, b))


@given(st.integers(0, 1000))
def test_the_sign_flip_test_counts_all_signs(seed: int) -> None:
    random = np.random.default_rng(seed)
    a, b = random.random((2, 7)) < 0.7, random.random((3, 7)) < 0.4
    differences = a.mean(axis=0) - b.mean(axis=0)
    sums = [abs(float(np.dot(signs, differences))) for signs in product((-1, 1), repeat=7)]
    expected = np.mean([value >= abs(differences.sum()) - 1e-12 for value in sums])
    assert sign_flip_test(a, b) == pytest.approx(expected)


def test_equal_answers_are_not_told_apart() -> None:
    a = np.ones((2, 30), bool)
    assert sign_flip_test(a, a) == 1.0
    assert bootstrap(a, a).high == 0.0


@pytest.mark.parametrize("test", ["mcnemar", "seeds", "bootstrap"])
def test_false_alarms_are_as_rare_as_stated(test: str) -> None:
    """Two methods of equal accuracy that share what is hard: 1,000 simulated benchmarks of 375 photos."""
    random = np.random.default_rng(15)
    alarms = 0
    seeds = 3 if test == "seeds" else 1
    for _ in range(1000):
        chance = random.beta(0.6, 0.6, 375)
        a, b = (random.random((2, seeds, 375)) < chance).astype(bool)
        if test == "bootstrap":
            difference = bootstrap(a, b, samples=400, seed=int(random.integers(1 << 30)))
            alarms += not difference.low <= 0 <= difference.high
        else:
            alarms += sign_flip_test(a, b) < 0.05
    assert 35 <= alarms <= 65


def test_a_real_difference_is_found() -> None:
    random = np.random.default_rng(1)
    found = covered = 0
    for _ in range(200):
        chance = random.beta(0.6, 0.6, 375)
        a, b = random.random(375) < np.minimum(1, chance + 0.12), random.random(375) < chance
        found += mcnemar(a, b) < 0.05
        truth = float((np.minimum(1, chance + 0.12) - chance).mean())
        difference = bootstrap(a[None], b[None], samples=400)
        covered += difference.low <= truth <= difference.high
    assert found >= 160
    assert 178 <= covered <= 199


def test_holm_by_hand() -> None:
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([])).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_no_correction_and_bonferroni(values: list[float]) -> None:
    p = np.array(values)
    corrected = holm(p)
    assert (corrected >= p - 1e-12).all()
    assert (corrected <= np.minimum(1, p * len(p)) + 1e-12).all()
    assert (corrected >= false_discovery_control(p) - 1e-12).all()  # which promises less
    assert (np.diff(corrected[np.argsort(p)]) >= 0).all()


def test_rank_ranges() -> None:
    random = np.random.default_rng(0)
    right = [random.random((1, 400)) < chance for chance in (0.8, 0.79, 0.4, 0.1)]
    assert rank_ranges(right) == [(1, 2), (1, 2), (3, 3), (4, 4)]
    assert rank_ranges(right[:1]) == [(1, 1)]


@pytest.mark.parametrize("shapes", [((0, 5), (1, 5)), ((1, 5), (1, 4)), ((5,), (5,)), ((1, 0), (1, 0))])
def test_answers_that_do_not_fit(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match="shapes"):
        sign_flip_test(np.ones(shapes[0], bool), np.ones(shapes[1], bool))
