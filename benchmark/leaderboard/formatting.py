"""How a leaderboard writes its numbers: shares, intervals, distances, memory and time, and names that are too long."""

from benchmark.scoring.evaluation import Metric, Score
from collector.text_table import duration


def decimals(photos: int) -> int:
    """Return how many decimals a per cent of so many photos is worth: one below 1,000, where a photo is 0.1 point or more."""
    return 1 if photos < 1000 else 2


def points_of(fraction: float) -> str:
    """Return a positive difference of two fractions in percentage points, with one decimal."""
    return f"{100 * fraction:.1f}"


def written(metric: Metric, value: float, digits: int) -> str:
    """Return a number in its metric's unit, without the unit: a share in per cent with so many decimals."""
    if metric.unit == "%":
        return percent(value, digits)
    if metric.unit == "":
        return f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"
    return kilometres(value) if metric.unit == "km" or value >= 1 else f"{value:.2g}"


def interval(metric: Metric, score: Score) -> str:
    """Return a score's interval as `52.5 to 62.5`, or `12.1 or more` without an upper end; empty where it has none."""
    if score.low is None:
        return ""
    low = written(metric, score.low, 1)
    return f"{low} to {written(metric, score.high, 1)}" if score.high is not None else f"{low} or more"


def percent(fraction: float, digits: int = 2) -> str:
    """Return a fraction in per cent, without the sign."""
    return f"{100 * fraction:.{digits}f}"


def points(fraction: float, digits: int = 2) -> str:
    """Return a difference of two fractions in percentage points, with its sign."""
    return f"{100 * fraction:+.{digits}f}".replace("-", "−")


def kilometres(distance: float) -> str:
    """Return a distance in kilometres, without the unit; below 1 km to 10 m, below 0.1 km to 1 m."""
    if 0 < distance < 1:
        return f"{distance:.2f}" if distance >= 0.1 else f"{distance:.3f}"
    return f"{distance:.1f}" if distance < 100 else f"{distance:,.0f}"


def memory(mebibytes: float) -> str:
    """Return an amount of memory with its unit."""
    return f"{mebibytes:.0f} MiB" if mebibytes < 1024 else f"{mebibytes / 1024:.1f} GiB"


def time_taken(seconds: float) -> str:
    """Return a length of time with its unit; methods on small pictures take milliseconds."""
    return f"{1000 * seconds:.0f} ms" if seconds < 0.095 else duration(seconds)


def shortened(name: str, longest: int) -> str:
    """Return a name of at most `longest` characters, without its middle where it has more: names often differ at the end."""
    if len(name) <= longest:
        return name
    end = longest // 2 - 1
    return f"{name[: longest - 1 - end]}…{name[-end:]}"
