"""What a comparison of two methods on so many photos can see: told before a data set is made, and on every board."""

from dataclasses import dataclass
from math import sqrt

from scipy.special import ndtri


@dataclass(frozen=True, slots=True)
class Power:
    """What a paired comparison on so many photos can see.

    Attributes:
        least: the smallest difference of two accuracies, 0 to 1, that McNemar's exact test can call significant at all.
        likely: the difference that it finds with probability `power`; None where no share of differing answers is given.
        discordant: the share of photos that exactly one of two methods gets right, on which `likely` rests.
    """

    least: float
    likely: float | None
    discordant: float | None


DISAGREE = 0.25
"""The share of photos that exactly one of two methods gets right, where none was measured yet: an assumption, said with the
figure that rests on it."""


def power_of_mcnemar(photos: int, discordant: float | None = None, alpha: float = 0.05, power: float = 0.8) -> Power:
    """Return which differences a comparison of two methods on the same photos can see.

    `least` is exact: when all d photos on which two methods differ speak for one, p = 2^(1 - d), which falls below `alpha`
    from d = 1 + ⌈log₂(1 / alpha)⌉ on (6 at 5 %). `likely` is the normal approximation: with ψ the share of photos that
    exactly one of the two gets right, a difference δ is found with probability `power` where

        δ √n = z(1 - alpha/2) √ψ + z(power) √(ψ - δ²)

    solved for δ, at most ψ. R. J. Connor, "Sample size for testing differences in proportions for the paired-sample design",
    Biometrics 43 (1987), 207-211. Corrections for many pairs make both larger.

    Raises:
        ValueError: a number is out of its range.
    """
    if photos < 1 or not 0 < alpha < 1 or not 0.5 <= power < 1 or not (discordant is None or 0 <= discordant <= 1):
        raise ValueError(f"photos {photos}, alpha {alpha}, power {power}, discordant {discordant}: out of range")
    fewest = next(d for d in range(1, 1100) if 2.0 ** (1 - d) < alpha)
    least = min(1.0, fewest / photos)
    if not discordant:
        return Power(least, None, discordant)
    a, b = float(ndtri(1 - alpha / 2)), float(ndtri(power))
    # (δ √n - a √ψ)² = b² (ψ - δ²), of whose two solutions the larger one has δ √n above a √ψ.
    p, q, r = photos + b * b, -2 * a * sqrt(discordant * photos), (a * a - b * b) * discordant
    likely = (-q + sqrt(max(0.0, q * q - 4 * p * r))) / (2 * p)
    return Power(least, max(least, likely) if likely <= discordant else None, discordant)
