"""Everything that t15 does on a GPU, in one go of at most nine minutes: `python -m tests.performance.gpu`.

Runs the tests marked `gpu`, then times decoding, the vectors of five towers, both training loops, Table II with five
seeds and retrieval among ten million vectors, each beside a plain loop in the same run; prints one table with the ratios.
Weights are random, photos drawn: only time is measured. A part for which no time is left is named as not run.

`--dry-run` goes the same way with next to nothing on the CPU, and proves nothing but that the script works.
"""

import argparse
import hashlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmark.doctor import describe_device
from benchmark.features.vectors import Tower
from benchmark.networks.backbones import Backbone, find_backbone
from benchmark.networks.fast import FastEngine
from benchmark.networks.inference import standardised
from benchmark.networks.recipe import Recipe
from benchmark.networks.reference import ReferenceEngine
from benchmark.networks.train import Job, TrainedNetwork, train_many
from benchmark.photos import Photos, WorkspacePhotos
from benchmark.retrieval.index import Index
from collector.images.decode import quiet_decoders
from collector.workspace import Workspace, write_atomically
from tests.conftest import picture
from tests.performance.decode import by_a_loop, by_the_store
from tests.performance.training import SEEDS, drawn, make_engine, recipes_of_table_two

BUDGET_S = 9 * 60
TOWERS = (
    "vit_base_patch32_clip_224/openai",
    "vit_base_patch16_siglip_256/v2_webli",
    "vit_small_patch16_dinov3/lvd1689m",
    "convnext_tiny/in12k_ft_in1k",
    "resnet18",
)
WIDTH, NEIGHBOURS = 512, 100


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    photos: int = 2000
    pixels: tuple[int, int] = (1024, 768)
    towers: tuple[str, ...] = TOWERS
    steps: int = 200
    crop: int = 224
    gallery: int = 10_000_000
    queries: int = 1000


DRY = Size(photos=4, pixels=(48, 32), towers=("resnet18",), steps=2, crop=32, gallery=2000, queries=4)


@dataclass(frozen=True)
class Row:
    """A line of the table: what was done, how often a second by a plain loop and by t15; 0 where there is none."""

    what: str
    unit: str
    plain: float
    ours: float

    def __str__(self) -> str:
        plain, ratio = (f"{self.plain:,.1f}", f"{self.ours / self.plain:.2f}") if self.plain else ("", "")
        return f"| {self.what} | {self.unit} | {plain} | {self.ours:,.1f} | {ratio} |"


def rate(count: int, work: Callable[[], object], device: str) -> float:
    """Return how many a second; what is on the device is waited for."""
    started = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return count / (time.perf_counter() - started)


def stored(root: Path, size: Size) -> tuple[Workspace, list[str]]:
    """Draw the photos as JPEGs into a workspace."""
    workspace, digests = Workspace(root), []
    for seed in range(size.photos):
        path = root / "drawn.jpg"
        Image.fromarray(np.asarray(picture(seed % 32, size.pixels))).save(path, quality=90, comment=str(seed))
        data = path.read_bytes()
        digests.append(hashlib.sha256(data).hexdigest())
        write_atomically(workspace.photo(digests[-1]), data)
    return workspace, digests


def decoding(workspace: Workspace, digests: list[str], size: Size, device: str) -> Iterator[Row]:
    """Files to pixels; the plain loop is Pillow's in one process."""
    plain = rate(len(digests), lambda: by_a_loop(workspace, digests, 256), "cpu")
    yield Row(
        "decoding to 256 pixels",
        "photos/s",
        plain,
        rate(len(digests), lambda: by_the_store(workspace, digests, 256), "cpu"),
    )


def vectors(workspace: Workspace, digests: list[str], size: Size, device: str) -> Iterator[Row]:
    """Vectors of frozen towers from photos whose pixels are decoded; the plain loop takes batches of 64 in float32."""
    photos = Photos(tuple(digests), tuple(digests), WorkspacePhotos(workspace))
    for name in size.towers:
        backbone = find_backbone(name)
        shape = backbone.preprocessing
        network = backbone.build(backbone.pretrained.classes if backbone.pretrained else 15).eval().to(device)
        tower = Tower(network, name, shape.crop, None, device)
        side, rule, margin = shape.square
        pixels = photos.pixels(side, rule)[:, :, margin : margin + shape.crop, margin : margin + shape.crop]
        tower.embed(replace(photos, ids=photos.ids[:2], digests=photos.digests[:2]))  # warms up
        plain = rate(len(digests), partial(plainly, network, backbone, pixels, device), device)
        ours = rate(len(digests), partial(tower.embed, photos), device)
        yield Row(f"vectors of {name}", "photos/s", plain, ours)


@torch.inference_mode()
def plainly(network: torch.nn.Module, backbone: Backbone, pixels: NDArray[Any], device: str) -> list[torch.Tensor]:
    """Return what a network says of photos, as one would write it first."""
    found = []
    for at in range(0, len(pixels), 64):
        batch = torch.from_numpy(np.array(pixels[at : at + 64])).to(device).float() / 255
        found.append(network(standardised(batch, backbone)).cpu())
    return found


def steps(engine: FastEngine | ReferenceEngine, epoch: int) -> None:
    """Train one epoch."""
    for _ in engine.epoch(epoch):
        pass


def loops(workspace: Workspace, digests: list[str], size: Size, device: str) -> Iterator[Row]:
    """Both training loops, with the paper's step of four."""
    for network in ("resnet18", "alexnet") if size.crop > 100 else ("resnet18",):
        for frozen in ("none", "c"):
            recipe, speeds = Recipe(network, frozen=frozen, size=size.crop), []
            for name in ("reference", "fast"):
                engine = make_engine(name, recipe, device, size.steps * recipe.batch)
                for number in (1, 2):  # the first one warms up
                    speed = rate(size.steps * recipe.batch, partial(steps, engine, number), device)
                speeds.append(speed)
            yield Row(f"training {network}, frozen: {frozen}", "photos/s", *speeds)


def table_two(workspace: Workspace, digests: list[str], size: Size, device: str) -> Iterator[Row]:
    """All networks of Table II from random weights, side by side; the plain loop's time is that of `loops`."""
    recipes, seeds, photos = list(recipes_of_table_two()), SEEDS, (1500, 375)
    if size.crop < 100:
        recipes, seeds, photos = [Recipe("resnet18", size=size.crop, epochs=1)], 1, (8, 4)
    started = time.perf_counter()
    outcomes = train_many(
        [Job(seed, of) for of in recipes for seed in range(seeds)], drawn(photos[0]), drawn(photos[1]), device
    )
    taken = time.perf_counter() - started
    failed = sum(not isinstance(outcome, TrainedNetwork) for outcome in outcomes)
    yield Row(f"Table II, {len(outcomes)} runs, {failed} failed", "runs/min", 0, 60 * len(outcomes) / taken)


def retrieval(workspace: Workspace, digests: list[str], size: Size, device: str) -> Iterator[Row]:
    """The nearest of many vectors; the plain loop multiplies blocks on the device and keeps the best of each."""
    generator = np.random.default_rng(0)
    gallery = generator.standard_normal((size.gallery, WIDTH), dtype=np.float32)
    queries = gallery[: size.queries] + generator.standard_normal((size.queries, WIDTH), dtype=np.float32)
    nobody = np.full(len(gallery), -1)
    plain = rate(len(queries), lambda: by_blocks(gallery, queries, device), device)
    index = Index(gallery, nobody, nobody, "approximate")
    index.search(queries[:1], NEIGHBOURS)  # builds the lists
    yield Row(
        f"{len(gallery):,} vectors, approximate",
        "queries/s",
        plain,
        rate(len(queries), lambda: index.search(queries, NEIGHBOURS), "cpu"),
    )


def by_blocks(gallery: NDArray[Any], queries: NDArray[Any], device: str) -> torch.Tensor:
    """Return the nearest rows (N, K) by exact search on the device."""
    asked = torch.from_numpy(queries).to(device)
    scores, rows = [], []
    for at in range(0, len(gallery), 1 << 20):
        block = torch.from_numpy(gallery[at : at + (1 << 20)]).to(device)
        near = ((block * block).sum(dim=1) - 2 * asked @ block.T).topk(min(NEIGHBOURS, len(block)), largest=False)
        scores.append(near.values)
        rows.append(near.indices + at)
    best = torch.cat(scores, dim=1).topk(NEIGHBOURS, largest=False).indices
    return torch.cat(rows, dim=1).gather(1, best)


PARTS = {decoding: 30, vectors: 120, loops: 90, table_two: 150, retrieval: 90}
"""What is measured, and the seconds that have to be left for it to begin."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--dry-run", action="store_true", help="next to nothing, on the CPU")
    dry = parser.parse_args(arguments).dry_run
    device, size = ("cpu", DRY) if dry else ("cuda", Size())
    if not dry and not torch.cuda.is_available():
        print("no CUDA device here; --dry-run goes through the script on the CPU")
        return 2
    ends = time.monotonic() + BUDGET_S
    print(f"{describe_device(device)}, torch {torch.__version__}, {torch.get_num_threads()} threads", flush=True)
    if not dry:
        subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider"], check=False, timeout=180
        )
    print("| what | unit | plain | t15 | t15 : plain |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as root, quiet_decoders():
        workspace, digests = stored(Path(root).resolve(), size)
        for part, seconds in PARTS.items():
            if time.monotonic() + seconds > ends:
                print(f"| {part.__name__} | not run: less than {seconds} s were left | | | |", flush=True)
                continue
            for row in part(workspace, digests, size, device):
                print(row, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
