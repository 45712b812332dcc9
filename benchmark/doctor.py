"""What a person needs to know of this machine before a benchmark: versions, and the device to compute on."""

import os
import platform
from pathlib import Path
from typing import Any

from collector.errors import UsageError
from collector.executors.nodes import versions


def resolve_device(name: str) -> str:
    """Return `cpu` or `cuda` for `auto`, `cpu` or `cuda`.

    Raises:
        UsageError: another name, or `cuda` where there is none.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise UsageError(f"--device {name!r}: choose auto, cpu or cuda")
    if name == "cpu":
        return name
    import torch

    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise UsageError("--device cuda: torch finds no CUDA device here; use --device cpu, or auto")
    return "cuda" if available else "cpu"


def describe_device(device: str) -> str:
    """Return a device in words, such as `cpu (AMD EPYC 7B13, 2 cores)`."""
    if device == "cuda":
        import torch

        return f"cuda ({torch.cuda.get_device_name()})"
    return f"cpu ({_processor()}, {os.cpu_count()} cores)"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def facts() -> dict[str, Any]:
    """Return the versions, and the device that `--device auto` would take."""
    try:
        device = describe_device(resolve_device("auto"))
    except ModuleNotFoundError:
        device = "none: torch is missing, pip install 't15[bench]'"
    return {"versions": versions(), "device": device}
