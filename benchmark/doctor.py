"""What a person needs to know of this machine before a benchmark."""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_LIBRARIES = ("t15", "torch", "torchvision", "scikit-learn", "numpy", "scipy", "pillow", "pyarrow")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that results depend on."""
    return {"python": platform.python_version(), **{name: _version(name) for name in _LIBRARIES}}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def facts() -> dict[str, Any]:
    """Return the versions, and the device that `--device auto` would take."""
    try:
        from benchmark.networks.device import describe_device, resolve_device
    except ModuleNotFoundError:
        return {"versions": versions(), "device": "none: torch is missing, pip install 't15[bench]'"}
    return {"versions": versions(), "device": describe_device(resolve_device("auto"))}
