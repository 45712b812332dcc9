"""Who is better, and how sure that is."""

import re
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom, binomtest, false_discovery_control

from benchmark.scoring.significance import (
    bootstrap,
    holm,
    indistinguishable_groups,
    letters,
    mcnemar,
    mcnemar_midp,
    rank_ranges,
    sign_flip_test,
    significantly_different,
    unpaired,
)
from collector.power import power_of_mcnemar

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


def test_equal_answers_are_not_significantly_different() -> None:
    a = np.ones((2, 30), bool)
    assert sign_flip_test(a, a) == 1.0
    assert bootstrap(a, a).high == 0.0


def test_the_mid_p_value_by_hand() -> None:
    # As above, less once the probability of exactly 1 of 6; of 1 to 1 less half of that of exactly 1 of 2.
    a = np.array([1, 1, 1, 1, 1, 0, 1, 1, 0], bool)
    b = np.array([0, 0, 0, 0, 0, 1, 1, 1, 0], bool)
    assert mcnemar_midp(a, b) == mcnemar_midp(b, a) == pytest.approx(14 / 64 - 6 / 64)
    assert mcnemar_midp(a[4:], b[4:]) == pytest.approx(1 - 0.5 / 2)
    assert mcnemar_midp(a[6:], b[6:]) == pytest.approx(0.5)  # nothing differs: half of certainty


def test_many_seeds_and_photos_stay_exact() -> None:
    """The whole distribution against scipy's binomial, where seeds that agree with each other make it one."""
    random = np.random.default_rng(3)
    a, b = random.random((2, 1, 20_000)) < 0.5
    alone = sign_flip_test(a, b)
    assert sign_flip_test(np.repeat(a, 5, axis=0), np.repeat(b, 3, axis=0)) == pytest.approx(alone, rel=1e-9)
    mine, theirs = int((a & ~b).sum()), int((b & ~a).sum())
    assert alone == pytest.approx(binomtest(mine, mine + theirs).pvalue, rel=1e-9)
    assert sign_flip_test(np.ones((5, 400), bool), np.zeros((5, 400), bool)) == pytest.approx(2.0**-399, abs=0)


Answers = tuple[NDArray[np.bool_], NDArray[np.bool_]]


def two_methods(
    random: np.random.Generator, seeds: int, ahead: float = 0.0, spread: float = 0.0, hard: float = 0.6
) -> Answers:
    """Return the answers of two methods to 375 photos that are as hard for both; a gets `ahead` more of them right.

    Args:
        random: draws everything.
        seeds: of each method.
        ahead: share of the photos that only a can do.
        spread: standard deviation of what a seed moves the log-odds of all photos by: seeds that are better altogether.
        hard: shape of the distribution of photos' chances; the smaller, the fewer photos differ.
    """
    chance = random.beta(hard, hard, 375)
    odds = np.log(chance + 1e-9) - np.log(1 - chance + 1e-9)
    a, b = (
        random.random((seeds, 375)) < 1 / (1 + np.exp(-(odds + spread * random.standard_normal((seeds, 1)))))
        for _ in range(2)
    )
    only = random.random(375) < ahead
    return a | only, b & ~only


def alarms(test: Callable[[NDArray[np.bool_], NDArray[np.bool_]], bool], **settings: Any) -> int:
    """Return how often of 1,000 times a test tells two equally good methods apart."""
    random = np.random.default_rng(15)
    return sum(test(*two_methods(random, **settings)) for _ in range(1000))


def outside(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> bool:
    difference = bootstrap(a, b, samples=600, seed=int(a.sum()) + 1000 * int(b.sum()))  # another for each
    return not difference.low <= 0 <= difference.high


@pytest.mark.parametrize("seeds", [1, 3, 5])
def test_false_alarms_are_as_rare_as_stated(seeds: int) -> None:
    """Two methods of equal accuracy that share what is hard: 1,000 simulated benchmarks of 375 photos."""
    assert 35 <= alarms(lambda a, b: sign_flip_test(a, b) < 0.05, seeds=seeds) <= 65


# Where seeds do not differ altogether, the bootstrap still has to allow for it: 3.1 to 3.7 % in 4,000 simulations.
@pytest.mark.parametrize(
    ("seeds", "spread", "least"),
    [(1, 0, 35), (3, 0, 25), (3, 0.5, 35), (5, 0, 25), (5, 0.5, 35)],
)
def test_false_alarms_of_the_bootstrap_are_as_rare_as_stated(seeds: int, spread: float, least: int) -> None:
    assert least <= alarms(outside, seeds=seeds, spread=spread) <= 65


def test_mcnemar_errs_less_than_stated_where_few_photos_differ() -> None:
    settings: dict[str, Any] = {"seeds": 1, "hard": 0.1}
    assert alarms(lambda a, b: mcnemar(a[0], b[0]) < 0.05, **settings) <= 50
    assert 35 <= alarms(lambda a, b: mcnemar_midp(a[0], b[0]) < 0.05, **settings) <= 65


def test_a_real_difference_is_found_as_often_as_theory_says() -> None:
    """The power of the exact test: over all numbers of photos that can differ, and all their divisions."""
    photos, mine, theirs = 375, 0.16, 0.09
    differing = np.arange(photos + 1)
    critical = (
        binom.ppf(0.025, differing, 0.5) - 1
    )  # at most so many are the loser's, or one more where that is too often
    critical += 2 * binom.cdf(critical + 1, differing, 0.5) < 0.05
    found = binom.cdf(critical, differing, theirs / (mine + theirs))
    found += binom.sf(differing - critical - 1, differing, theirs / (mine + theirs))
    power = float((binom.pmf(differing, photos, mine + theirs) * found).sum())
    random = np.random.default_rng(2)
    seen = 0
    for _ in range(1000):
        drawn = random.random(photos)
        a, b = drawn < mine, (drawn >= mine) & (drawn < mine + theirs)
        seen += mcnemar(a, b) < 0.05
    assert 0.6 < power < 0.9
    assert seen / 1000 == pytest.approx(power, abs=3 * (power * (1 - power) / 1000) ** 0.5)


@pytest.mark.parametrize(("seeds", "spread"), [(1, 0.0), (3, 0.5)])
def test_the_interval_covers_a_known_difference(seeds: int, spread: float) -> None:
    random = np.random.default_rng(3)
    covered = 0
    for _ in range(1000):
        a, b = two_methods(random, seeds, ahead=0.1, spread=spread)
        difference = bootstrap(a, b, samples=600, seed=int(a.sum()) + 1000 * int(b.sum()))
        covered += difference.low <= 0.1 <= difference.high
    assert 935 <= covered <= 965


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


def test_ranks_and_groups() -> None:
    random = np.random.default_rng(0)
    right = [random.random((1, 400)) < chance for chance in (0.4, 0.8, 0.79, 0.1)]
    assert rank_ranges(right) == [(3, 3), (1, 2), (1, 2), (4, 4)]
    assert indistinguishable_groups(right) == ["b", "a", "a", "c"]
    assert significantly_different(right)[1].tolist() == [True, False, False, True]
    assert (rank_ranges(right[:1]), indistinguishable_groups(right[:1])) == ([(1, 1)], ["a"])
    assert (rank_ranges([]), indistinguishable_groups([])) == ([], [])


def test_neighbours_share_letters_where_ends_differ() -> None:
    right = [np.arange(400)[None] < reach for reach in (200, 206, 212, 218)]  # p = 1/32 and 1/2048 before Holm
    assert indistinguishable_groups(right) == ["c", "bc", "ab", "a"]
    assert rank_ranges(right) == [(3, 4), (2, 4), (1, 3), (1, 2)]


@pytest.mark.parametrize("shapes", [((0, 5), (1, 5)), ((1, 5), (1, 4)), ((5,), (5,)), ((1, 0), (1, 0))])
def test_answers_that_do_not_fit(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match="shapes"):
        sign_flip_test(np.ones(shapes[0], bool), np.ones(shapes[1], bool))


def test_each_answer_is_compared_with_the_same_photos() -> None:
    for test in (mcnemar, mcnemar_midp):
        with pytest.raises(ValueError, match="shapes"):
            test(np.ones((1, 5), bool), np.ones(5, bool))
        with pytest.raises(ValueError, match="shapes"):
            test(np.ones(4, bool), np.ones(5, bool))


def separated(values: list[float], apart: float = 1.0) -> NDArray[np.bool_]:
    return np.abs(np.subtract.outer(values, values)) > apart


def letters_of(text: str) -> set[str]:
    found = re.findall(r"[a-z][0-9]*", text)
    assert "".join(found) == text
    return set(found)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3, 2.5, 2], ["a", "a", "a"]),
        ([3, 2.2, 1.4], ["a", "ab", "b"]),
        ([9, 6, 3], ["a", "b", "c"]),
        ([5, 4, 3, 2], ["a", "ab", "bc", "c"]),
        ([1], ["a"]),
        ([], []),
    ],
)
def test_letters_of_accuracies_that_lie_apart(values: list[float], expected: list[str]) -> None:
    assert letters(separated(values).reshape(len(values), len(values)), list(range(len(values)))) == expected


def test_letters_follow_the_order_not_the_place() -> None:
    values = [1.4, 3, 2.2]
    assert letters(separated(values), [1, 2, 0]) == ["b", "a", "ab"]


def test_more_than_26_letters() -> None:
    found = letters(~np.eye(60, dtype=bool), list(range(60)))
    assert (found[0], found[25], found[26], found[52]) == ("a", "z", "a1", "a2")
    assert len(set(found)) == 60


def random_pairs(seed: int, methods: int) -> NDArray[np.bool_]:
    half = np.triu(np.random.default_rng(seed).random((methods, methods)) < 0.4, 1)
    return np.asarray(half | half.T)


@given(st.integers(0, 10_000), st.integers(1, 12))
def test_the_two_conditions_hold_for_any_pairs(seed: int, methods: int) -> None:
    apart = random_pairs(seed, methods)
    found = [letters_of(text) for text in letters(apart, np.random.default_rng(seed).permutation(methods).tolist())]
    assert all(found)
    for i in range(methods):
        for j in range(i):
            assert bool(found[i] & found[j]) != bool(apart[i, j])


@given(st.integers(0, 10_000), st.integers(1, 12))
def test_no_letter_is_superfluous(seed: int, methods: int) -> None:
    apart = random_pairs(seed, methods)
    found = [letters_of(text) for text in letters(apart, list(range(methods)))]
    for letter in set.union(*found):
        fewer = [one - {letter} for one in found]
        alone = not all(fewer)
        lost = any(found[i] & found[j] and not fewer[i] & fewer[j] for i in range(methods) for j in range(i))
        assert alone or lost


def test_pairs_without_any_order_do_not_take_for_ever() -> None:
    # Splitting groups pair by pair would make 3 ** 20 of them: 20 triples, significantly different within and not between.
    apart = np.kron(np.eye(20, dtype=bool), ~np.eye(3, dtype=bool))
    found = [letters_of(text) for text in letters(apart, list(range(60)))]
    assert all(bool(found[i] & found[j]) != bool(apart[i, j]) for i in range(60) for j in range(i))


@pytest.mark.parametrize(
    "apart", [np.zeros((2, 3), bool), np.zeros(2, bool), np.array([[False, True], [False, False]])]
)
def test_refuses_what_are_no_pairs(apart: NDArray[np.bool_]) -> None:
    with pytest.raises(ValueError, match="symmetric"):
        letters(apart, [0, 1])


def test_refuses_an_order_that_leaves_one_out() -> None:
    with pytest.raises(ValueError, match="each method once"):
        letters(np.zeros((2, 2), bool), [0, 0])


def test_newcombes_own_example() -> None:
    """56 of 70 against 48 of 80, Newcombe (1998), Table II, column a, method 10: 0.0524 to 0.3339."""
    difference = unpaired(56 / 70, 70, 48 / 80, 80)
    assert difference.mean == pytest.approx(0.2)
    assert (round(difference.low, 4), round(difference.high, 4)) == (0.0524, 0.3339)


def test_the_other_way_round_is_the_mirror_image() -> None:
    one, other = unpaired(0.6, 80, 0.8, 70), unpaired(0.8, 70, 0.6, 80)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


@pytest.mark.parametrize("accuracy", [0.0, 1.0])
def test_the_ends_of_the_scale(accuracy: float) -> None:
    difference = unpaired(accuracy, 10, accuracy, 10)
    assert difference.low < difference.mean == 0 < difference.high


@pytest.mark.parametrize(("photos", "fewest"), [(6, 6), (100, 6), (375, 6)])
def test_the_least_difference_that_mcnemar_can_see(photos: int, fewest: int) -> None:
    """With `fewest` photos all for one method p is below 5 %; with one less it is not, however many others agree."""
    assert power_of_mcnemar(photos).least == pytest.approx(fewest / photos)
    for count, seen in ((fewest, True), (fewest - 1, False)):
        a = np.arange(photos) < count
        assert (mcnemar(a, np.zeros(photos, bool)) < 0.05) is seen


@pytest.mark.parametrize(("photos", "discordant"), [(375, 0.3), (2000, 0.1), (1000, 0.5)])
def test_the_likely_difference_is_found_four_times_in_five(photos: int, discordant: float) -> None:
    """Simulated: McNemar's test finds it in 74 to 86 % of 800 tests (the exact test is the more careful one)."""
    power = power_of_mcnemar(photos, discordant)
    assert power.likely is not None
    rng = np.random.default_rng(0)
    differ = rng.binomial(photos, discordant, 800)
    mine = rng.binomial(differ, (discordant + power.likely) / 2 / discordant)
    p = [binomtest(int(k), int(n)).pvalue for k, n in zip(mine, differ, strict=True)]
    assert 0.74 < np.mean(np.array(p) < 0.05) < 0.86


@pytest.mark.parametrize(("photos", "discordant"), [(1, 1.0), (5, 0.9), (10, 0.1), (375, 0.0), (375, None)])
def test_too_few_photos_find_nothing_likely(photos: int, discordant: float | None) -> None:
    assert power_of_mcnemar(photos, discordant).likely is None
    assert power_of_mcnemar(photos, discordant).least == min(1.0, 6 / photos)


@pytest.mark.parametrize("wrong", [{"photos": 0}, {"photos": 5, "alpha": 0}, {"photos": 5, "discordant": 1.1}])
def test_power_refuses_what_makes_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="out of range"):
        power_of_mcnemar(**wrong)


def test_by_place_the_sums_of_places_get_signs() -> None:
    """Ten queries of two places: by photo 10 differences of one sign, by place two."""
    a, b = np.ones((1, 10), bool), np.zeros((1, 10), bool)
    units = np.repeat([7, 3], 5)
    assert sign_flip_test(a, b) == pytest.approx(2 / 2**10)
    assert sign_flip_test(a, b, units) == pytest.approx(2 / 2**2)
    assert sign_flip_test(a, b, np.full(10, -1)) == sign_flip_test(a, b)
    assert sign_flip_test(a, b, np.arange(10)) == sign_flip_test(a, b)
    assert rank_ranges([a, b], units=units) == [(1, 2), (1, 2)]
    assert rank_ranges([a, b]) == [(1, 1), (2, 2)]


def test_by_place_the_bootstrap_draws_places() -> None:
    random = np.random.default_rng(0)
    place = random.random(40) < 0.5
    a, b = np.repeat(place, 5)[None], np.zeros((1, 200), bool)
    units = np.repeat(np.arange(40), 5)
    narrow, wide = bootstrap(a, b), bootstrap(a, b, units=units)
    alone = bootstrap(place[None], np.zeros((1, 40), bool))
    assert wide.mean == narrow.mean
    assert wide.high - wide.low == pytest.approx(alone.high - alone.low, rel=0.15)
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)
