"""What has to be the same on all nodes of a cluster: the libraries, and the workspace; and the work that a node does."""

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Generic

from collector.errors import UsageError
from collector.executors.local import Fault, Item, Result, attempts

_LIBRARIES = ("t15", "torch", "torchvision", "scikit-learn", "numpy", "scipy", "pillow", "pyarrow")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that results depend on."""
    return {"python": platform.python_version(), **{name: _version(name) for name in _LIBRARIES}}


_here = cache(versions)  # 6 ms for each task otherwise, beside a photo's 10


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def differences(wanted: Mapping[str, str], here: Mapping[str, str]) -> str:
    """Return in words how the libraries here differ from the driver's, or an empty string.

    Builds of one version (`2.12.0+cpu`, `2.12.0+cu130`) are taken as equal: a driver often has no GPU. Ray itself refuses
    another Python.
    """
    other = [
        f"{name} {here.get(name, 'missing')} instead of {version}"
        for name, version in wanted.items()
        if name != "python" and version.partition("+")[0] != here.get(name, "missing").partition("+")[0]
    ]
    return f"has {', '.join(other)}; install the driver's versions on all nodes" if other else ""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a node needs to do work for a driver.

    Attributes:
        versions: of the driver's libraries.
        root: the driver's workspace.
        sign: a file in it; None where the work needs no workspace.
        token: what the file holds.
    """

    versions: Mapping[str, str]
    root: Path
    sign: Path | None
    token: str


def require(expected: Expected) -> None:
    """Make sure that this node has the driver's libraries and sees its workspace.

    Raises:
        UsageError: it has or does not.
    """
    if other := differences(expected.versions, _here()):
        raise UsageError(f"node {platform.node()}: {other}")
    if expected.sign is None:
        return
    try:
        seen = expected.sign.read_text(encoding="ascii") == expected.token
    except (OSError, ValueError):
        seen = False
    if not seen:
        raise UsageError(
            f"node {platform.node()}: does not see the workspace {expected.root}; put it on a file system that all nodes "
            "mount at this path"
        )


@dataclass(frozen=True, slots=True)
class Job(Generic[Item, Result]):
    """What all tasks of a piece of work share."""

    function: Callable[[Item], Result]
    expected: Expected


def done(job: Job[Item, Result], items: Sequence[Item]) -> list[Result | Fault]:
    """Return what became of things, on this node.

    Raises:
        UsageError: the node is none for this work.
    """
    require(job.expected)
    return attempts(job.function, items)
