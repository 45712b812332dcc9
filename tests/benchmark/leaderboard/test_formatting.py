"""Numbers as people write them."""

import pytest

from benchmark.leaderboard.formatting import decimals, kilometres, memory, percent, points, shortened, time_taken


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (percent(0.576), "57.60"),
        (percent(0.576, 1), "57.6"),
        (points(-0.0123), "−1.23"),
        (points(0.02, 1), "+2.0"),
        (kilometres(5.04), "5.0"),
        (kilometres(12345.6), "12,346"),
        (memory(300), "300 MiB"),
        (memory(2048), "2.0 GiB"),
        (time_taken(0.04), "40 ms"),
        (time_taken(0.4), "0.4 s"),
        (time_taken(90), "90 s"),
    ],
)
def test_numbers(text: str, expected: str) -> None:
    assert text == expected


def test_a_shortened_name_keeps_both_ends() -> None:
    name = "Tiny images 64×64, logistic regression of 2018"
    assert shortened(name, 46) == name
    assert shortened(name, 20) == "Tiny image…n of 2018"
    assert all(len(shortened(name, longest)) == longest for longest in range(4, 46))


def test_a_per_cent_of_few_photos_has_one_decimal() -> None:
    assert [decimals(photos) for photos in (1, 999, 1000, 10**6)] == [1, 1, 2, 2]
