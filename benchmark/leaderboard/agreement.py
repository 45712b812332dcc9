"""Whether two accuracies on different photos may be the same: ours and the paper's, or those on two manifests."""

from math import hypot

from benchmark.scoring.metrics import wilson
from benchmark.scoring.significance import Difference

PAPER_PHOTOS = 375
"""Test photos of the paper's Türkiye15."""

PAPER_CITIES = 15


def unpaired(accuracy_a: float, photos_a: int, accuracy_b: float, photos_b: int) -> Difference:
    """Return accuracy a minus accuracy b with its 95 % interval, for different photos.

    With d the difference and (l, u) the two Wilson intervals:

        d - √((a - l_a)² + (u_b - b)²) to d + √((u_a - a)² + (b - l_b)²)

    R. G. Newcombe, "Interval estimation for the difference between independent proportions: comparison of eleven methods",
    Statistics in Medicine 17 (1998), 873-890, method 10. Where the two share photos it is too wide rather than too narrow.

    Raises:
        ValueError: an accuracy is not from 0 to 1, or a number of photos is below 1.
    """
    low_a, high_a = wilson(accuracy_a * photos_a, photos_a)
    low_b, high_b = wilson(accuracy_b * photos_b, photos_b)
    mean = accuracy_a - accuracy_b
    below = hypot(accuracy_a - low_a, high_b - accuracy_b)
    above = hypot(high_a - accuracy_a, accuracy_b - low_b)
    return Difference(mean, mean - below, mean + above)


def paper_verdict(accuracy: float, photos: int, cities: int, paper: float | None) -> str:
    """Return `agrees`, `higher` or `lower`: ours against the paper's, a fraction; empty where there is no judging.

    That is where the paper has no number, or ours is of another number of cities, which makes it another task.
    """
    if paper is None or cities != PAPER_CITIES:
        return ""
    difference = unpaired(accuracy, photos, paper, PAPER_PHOTOS)
    if difference.low <= 0 <= difference.high:
        return "agrees"
    return "higher" if difference.mean > 0 else "lower"
