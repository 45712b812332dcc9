"""Measure the hand-made features: `python -m tests.performance.features`.

Prints, for photos of 64, 128 and 256 pixels, how many each kernel describes in a second on the device that is there, and
how much faster that is than its references in the same run, photo by photo: `skimage.feature.hog` for HOG, the tests'
NumPy transcription for GIST, which builds its filters for every photo as the original programs do, or keeps them. Ours
and the references take turns and the medians are compared, so that other work on the machine weighs on all. Not a test:
the figures belong to a machine.
"""

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.color import rgb2gray
from skimage.feature import hog as hog_of_one

from benchmark.doctor import describe_device, resolve_device
from benchmark.features.gist import gist_labelme, gist_lear
from benchmark.features.hog import hog
from tests.benchmark.features.test_gist import slow_filters, slow_labelme, slow_lear
from tests.benchmark.features.test_hog import photographs

REPETITIONS = 7

# Photos a measurement: on a CPU a few times what is worked on at once, on a GPU enough to fill it.
CPU_PHOTOS = {64: 256, 128: 64, 256: 16}
GPU_PHOTOS = {64: 16384, 128: 8192, 256: 2048}

# Milliseconds a photo of lear_gist 1.1's own C program, its start included: measured once, on another day.
C_PROGRAM = {64: 16.0, 128: 24.0, 256: 192.0}


Reference = Callable[[NDArray[np.uint8]], object]


@dataclass(frozen=True)
class Kernel:
    """A feature, its slow references for one photo (3, S, S), and a C program's milliseconds per size, if there is one."""

    name: str
    ours: Callable[[torch.Tensor], torch.Tensor]
    references: dict[str, Reference]
    c_program: dict[int, float]


def skimage_hog(photo: NDArray[np.uint8]) -> object:
    return hog_of_one(
        rgb2gray(photo.transpose(1, 2, 0)), pixels_per_cell=(8, 8), cells_per_block=(3, 3), block_norm="L1"
    )


def numpy_gist(slow: Reference) -> dict[str, Reference]:
    def from_scratch(photo: NDArray[np.uint8]) -> object:
        slow_filters.cache_clear()
        return slow(photo)

    return {"NumPy": from_scratch, "NumPy with its filters kept": slow}


KERNELS = (
    Kernel("hog", hog, {"skimage.feature.hog": skimage_hog}, {}),
    Kernel("gist_labelme", gist_labelme, numpy_gist(slow_labelme), {}),
    Kernel("gist_lear", gist_lear, numpy_gist(slow_lear), C_PROGRAM),
)


def main() -> None:
    device = resolve_device("auto")
    print(f"{describe_device(device)}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    print(f"medians of {REPETITIONS} turns; memory is the peak beyond photos and what was there before")
    for size in (64, 128, 256):
        count = (CPU_PHOTOS if device == "cpu" else GPU_PHOTOS)[size]
        photos = photographs(count, size, size).to(device)
        for kernel in KERNELS:
            print(measure(kernel, photos))


def measure(kernel: Kernel, photos: torch.Tensor) -> str:
    """Return one line of figures."""
    memory = peak_memory(lambda: kernel.ours(photos))  # also the warm-up: filters, FFT plans
    few = photos[:4].cpu().numpy()
    ours: list[float] = []
    theirs: dict[str, list[float]] = {name: [] for name in kernel.references}
    for _ in range(REPETITIONS):
        ours.append(seconds(lambda: kernel.ours(photos), photos.device) / len(photos))
        for name, reference in kernel.references.items():
            reference(few[0])  # each starts warm, whatever ran before
            theirs[name].append(seconds(partial(list, map(reference, few)), photos.device) / len(few))
    fast, size = median(ours), photos.shape[-1]
    ratios = [f"{median(slow) / fast:.1f} times {name}" for name, slow in theirs.items()]
    if size in kernel.c_program:
        ratios.append(f"{kernel.c_program[size] / (fast * 1000):.1f} times lear_gist's C program")
    speed = f"{kernel.name:12} {size:3} px: {1 / fast:9,.0f} photos/s"
    return f"{speed}, {', '.join(ratios)}; {len(photos)} photos, {memory}"


def seconds(work: Callable[[], object], device: torch.device) -> float:
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def peak_memory(work: Callable[[], object]) -> str:
    """Return by how much the work raised the memory in use at its highest, in MB."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return f"{(torch.cuda.max_memory_allocated() - before) / 1e6:,.0f} MB on the device"
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not reset.exists():
        work()
        return "memory unknown (needs Linux)"
    ctypes.CDLL(None).malloc_trim(0)  # what earlier work freed goes back, or this work would use it unseen
    reset.write_text("5", encoding="ascii")  # the high-water mark starts again
    before = kilobytes(status, "VmRSS")
    work()
    return f"{(kilobytes(status, 'VmHWM') - before) / 1e3:,.0f} MB"


def kilobytes(status: Path, key: str) -> int:
    lines = status.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


if __name__ == "__main__":
    main()
