"""Numbers as people write them."""

from collector.text_table import duration


def percent(fraction: float, digits: int = 2) -> str:
    """Return a fraction in per cent, without the sign."""
    return f"{100 * fraction:.{digits}f}"


def points(fraction: float, digits: int = 2) -> str:
    """Return a difference of two fractions in percentage points, with its sign."""
    return f"{100 * fraction:+.{digits}f}".replace("-", "−")


def kilometres(distance: float) -> str:
    """Return a distance in kilometres, without the unit."""
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
