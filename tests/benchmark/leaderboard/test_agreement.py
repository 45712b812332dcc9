"""Two accuracies on different photos: Newcombe's published example, and the words for the paper's numbers."""

import pytest

from benchmark.leaderboard.agreement import paper_verdict, unpaired


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


@pytest.mark.parametrize(
    ("accuracy", "cities", "paper", "verdict"),
    [
        (0.576, 15, 0.576, "agrees"),
        (0.52, 15, 0.576, "agrees"),  # 195 and 216 of 375 may well differ by chance
        (0.50, 15, 0.576, "lower"),
        (0.65, 15, 0.576, "higher"),
        (0.576, 7, 0.576, ""),  # of seven cities it is another task
        (0.576, 15, None, ""),
    ],
)
def test_the_words_for_the_papers_number(accuracy: float, cities: int, paper: float | None, verdict: str) -> None:
    assert paper_verdict(accuracy, 375, cities, paper) == verdict
