"""Things that other packages add to t15 by entry points."""

import sys
from collections.abc import Callable
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from collector.errors import UsageError


@cache
def _points(find: Callable[..., Any], group: str, _path: tuple[str, ...]) -> tuple[Any, ...]:
    """Return the entry points of a group, found once for a path: whoever goes through all methods asks a thousand times."""
    return tuple(find(group=group))


def load_plugins(group: str) -> dict[str, Any]:
    """Return what installed packages registered in the entry-point group, by name.

    Raises:
        UsageError: one cannot be loaded; the message names it and its package.
    """
    plugins: dict[str, Any] = {}
    for point in _points(entry_points, group, tuple(sys.path)):
        try:
            plugins[point.name] = point.load()
        except Exception as error:  # (other people's code, at import: it may raise anything)
            package = getattr(point.dist, "name", "an installed package")
            raise UsageError(
                f"plug-in {point.name!r} of {package} (group {group}) cannot be loaded: {type(error).__name__}: {error};"
                f" repair or uninstall {package}"
            ) from error
    return plugins
