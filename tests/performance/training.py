"""Measure training: `python -m tests.performance.training`.

Prints photos a second of both engines for the paper's step of four, for ResNet-18 and AlexNet with nothing, C, and all but
the classifier frozen, on the device that is there; how much faster `fast` is; and the peak memory of each. On a GPU also the
whole recipe on 1,500 photos with both engines, and the networks of Table II with five seeds.

Each engine has a process of its own, since memory settings belong to a process; they take turns, and the ratio is the median
of the turns' ratios, so that other work on the machine weighs on both. `reference` here has its channels first, as in the
tutorial's loop; `reference, channels last` is what the tests hold `fast` against. Frozen weights need no gradient in any of
them (`requires_grad`), as in the tutorial. Not a test: the figures belong to a machine.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.doctor import describe_device, resolve_device
from benchmark.methods.paper import TABLE_TWO
from benchmark.networks.augment import ResidentPhotos
from benchmark.networks.backbones import find_backbone
from benchmark.networks.fast import FastEngine
from benchmark.networks.recipe import Recipe, keep_freed_memory, starting_network
from benchmark.networks.reference import ReferenceEngine
from benchmark.networks.train import Job, TrainedNetwork, train, train_many
from benchmark.photos import LabelledPhotos
from collector.progress import Track, silent
from tests.conftest import picture

CLASSES = tuple(f"city-{number}" for number in range(15))
ENGINES = ("reference", "reference, channels last", "fast")
SEEDS = 5


@dataclass
class Drawn:
    """Drawn photos in place of `LabelledPhotos`."""

    count: int
    labels: NDArray[np.int64] = field(init=False)
    classes: tuple[str, ...] = CLASSES
    track: Track = silent

    def __post_init__(self) -> None:
        self.labels = np.arange(self.count, dtype=np.int64) % len(CLASSES)

    def __len__(self) -> int:
        return self.count

    def pictures(self, side: int, interpolation: str = "bilinear") -> list[NDArray[np.uint8]]:
        few = [np.asarray(picture(seed, (side * 4 // 3, side))).transpose(2, 0, 1).copy() for seed in range(16)]
        return [few[number % len(few)] for number in range(self.count)]


def drawn(count: int) -> LabelledPhotos:
    return cast(LabelledPhotos, Drawn(count))


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--size", type=int, default=224)
    options.add_argument("--steps", type=int, default=0, help="of a turn; 0: 6 on a CPU, 200 on a GPU")
    options.add_argument("--turns", type=int, default=5)
    options.add_argument("--processor-time", action="store_true", help="on a CPU that others use; best with one thread")
    given = options.parse_args()
    device = resolve_device("auto")
    steps = given.steps or (200 if device == "cuda" else 6)
    print(f"{describe_device(device)}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    clock = "processor time" if given.processor_time else "wall clock"
    print(f"batch 4, {given.size} pixels, medians of {given.turns} turns of {steps} steps, {clock}")
    for network in ("resnet18", "alexnet"):
        for frozen in ("none", "c", "all but the classifier"):
            compare(Recipe(network, frozen=frozen, size=given.size), device, steps, given.turns, given.processor_time)
    if device == "cuda":
        whole_run(given.size)
        table_two()


def compare(recipe: Recipe, device: str, steps: int, turns: int, processor: bool) -> None:
    """Print the lines of one network with one cut."""
    context = get_context("spawn")
    workers: list[tuple[Any, Connection]] = []
    for engine in ENGINES:
        here, there = context.Pipe()
        process = context.Process(target=work, args=(there, engine, recipe, device, steps, processor), daemon=True)
        process.start()
        workers.append((process, here))
    seconds: list[list[float]] = [[] for _ in ENGINES]
    for turn in range(turns + 1):
        for number, (_, pipe) in enumerate(workers):
            pipe.send("turn")
            taken = pipe.recv()
            if turn:  # the first one warms up
                seconds[number].append(taken)
    print(f"{recipe.backbone}, frozen: {recipe.frozen}")
    for engine, mine, (process, pipe) in zip(ENGINES, seconds, workers, strict=True):
        pipe.send("end")
        memory = pipe.recv()
        process.join()
        speed = steps * recipe.batch / median(mine)
        ratios = sorted(plain / own for plain, own in zip(seconds[0], mine, strict=True))
        said = (
            "" if engine == ENGINES[0] else f", {median(ratios):.2f} times reference ({ratios[0]:.2f}-{ratios[-1]:.2f})"
        )
        print(f"  {engine:25} {speed:8,.1f} photos/s, peak {memory:,.0f} MB{said}", flush=True)


def work(pipe: Connection, name: str, recipe: Recipe, device: str, steps: int, processor: bool) -> None:
    """Take turns of so many steps as long as asked to; then tell the peak memory in MB."""
    if name == "fast" and device == "cpu":
        keep_freed_memory()  # as `t15 bench` does
    engine = make_engine(name, recipe, device, steps * recipe.batch)
    number, clock = 0, time.process_time if processor else time.perf_counter
    while pipe.recv() == "turn":
        number += 1
        started = clock()
        for _ in engine.epoch(number):
            pass
        if device == "cuda":
            torch.cuda.synchronize()
        pipe.send(clock() - started)
    pipe.send(peak_memory(device))


class ChannelsFirst(ReferenceEngine):
    """The plain loop in the layout of the tutorial."""

    layout = torch.contiguous_format


def make_engine(name: str, recipe: Recipe, device: str, photos: int) -> FastEngine | ReferenceEngine:
    backbone, training = find_backbone(recipe.backbone), drawn(photos)
    network = starting_network(backbone, recipe, len(CLASSES), 0, None).to(device)
    if name == "fast":
        resident = ResidentPhotos(training.pictures(recipe.resize), device)
        return FastEngine(network, backbone, resident, training.labels, len(CLASSES), 0, device, recipe)
    of = ChannelsFirst if name == "reference" else ReferenceEngine
    return of(network, backbone, training, 0, device, recipe)


def peak_memory(device: str) -> float:
    if device == "cuda":
        return torch.cuda.max_memory_reserved() / 1e6
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1e3


def whole_run(size: int) -> None:
    """Print the time of the paper's recipe, data and validation included, with both engines."""
    training, validation = drawn(1500), drawn(375)
    taken = {}
    for engine in ("fast", "reference"):
        started = time.perf_counter()
        train(training, validation, 0, "cuda", Recipe("resnet18", size=size), engine=engine)
        taken[engine] = time.perf_counter() - started
    ratio = taken["reference"] / taken["fast"]
    print(f"whole run, resnet18, 1,500 photos, 25 epochs: {taken}; fast is {ratio:.1f} times as quick")


def table_two() -> None:
    """Print the time of all networks of Table II, from random weights, with all seeds, side by side."""
    torch.cuda.reset_peak_memory_stats()
    jobs = [Job(seed, recipe) for recipe in recipes_of_table_two() for seed in range(SEEDS)]
    started = time.perf_counter()
    outcomes = train_many(jobs, drawn(1500), drawn(375), "cuda")
    taken = time.perf_counter() - started
    failed = [str(outcome) for outcome in outcomes if not isinstance(outcome, TrainedNetwork)]
    print(f"Table II, {len(jobs)} runs: {taken / 60:.1f} minutes, peak {peak_memory('cuda'):,.0f} MB; failed: {failed}")


def recipes_of_table_two() -> Iterator[Recipe]:
    for method in TABLE_TWO:
        if "frozen" in method.parameters:  # the others are features: seconds
            yield Recipe(**cast(dict[str, Any], dict(method.parameters)))


if __name__ == "__main__":
    main()
