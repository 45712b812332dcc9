"""Measure frozen networks and heads on their vectors: `python -m tests.performance.towers [vectors|memory|heads] …`.

`vectors`: photos a second of three towers in float32 from drawn JPEG files to vectors that are kept, against timm's own plain
loop (its transform, a DataLoader in batches of 32, its network) on the same files in the same run; they take turns, and the
ratio of medians counts. Weights are random: speed does not depend on them. `memory`: the process's highest memory while
vectors of 10³, 10⁴ and (with `--most 100000`) 10⁵ drawn photos in three poolings are computed. `heads`: seconds to train each
head on 10,000 vectors of 1,024 values in 15 classes, and to choose by 2,500 validation vectors (`--head NAME`: these
alone). Not a test: the figures belong to a machine.
"""

import argparse
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image
from torch import nn

from benchmark.doctor import describe_device
from benchmark.features.vectors import Tower
from benchmark.methods.head_kinds import HEADS, Sides, Text
from benchmark.methods.heads import best_candidate
from benchmark.methods.types import Context
from benchmark.networks import backbones
from benchmark.networks.backbones import Backbone, Pretrained, find_backbone
from benchmark.photos import Photos, WorkspacePhotos
from collector.workspace import Workspace

TOWERS = ("tf_efficientnet_lite0/in1k", "mobilenetv4_conv_small/e2400_r224_in1k", "convnext_tiny/in12k_ft_in1k")
TURNS = 3


def drawn(folder: Path, count: int, size: tuple[int, int], distinct: int) -> Photos:
    """Return photos of noise and gradients as JPEG files in a workspace; those beyond `distinct` are links to others."""
    workspace, draw = Workspace(folder), np.random.default_rng(0)
    width, height = size
    files: list[bytes] = []
    for _ in range(min(distinct, count)):
        coarse = draw.integers(0, 255, (8, 8, 3), np.uint8)
        picture = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        grain = draw.integers(-12, 12, (height, width, 3))
        buffer = io.BytesIO()
        Image.fromarray((np.asarray(picture) + grain).clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=85)
        files.append(buffer.getvalue())
    digests, originals = [], dict[int, Path]()
    for number in range(count):
        digest = hashlib.sha256(f"{number}".encode()).hexdigest()
        path = workspace.photo(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        if number in range(len(files)):
            path.write_bytes(files[number])
            originals[number] = path
        else:
            os.link(originals[number % len(files)], path)
        digests.append(digest)
    return Photos(tuple(map(str, range(count))), tuple(digests), WorkspacePhotos(workspace), "train")


def plain_loop(name: str, files: list[Path]) -> float:
    """Return the seconds of timm's way: its transform, a DataLoader, its network's features."""
    architecture = name.partition("/")[0]
    network = timm.create_model(architecture, num_classes=0).eval()
    library: Any = timm
    config = library.data.resolve_data_config(
        pretrained_cfg=library.get_pretrained_cfg(name.replace("/", ".")).to_dict()
    )
    transform = library.data.create_transform(**config, is_training=False)

    class Files(torch.utils.data.Dataset[torch.Tensor]):
        def __len__(self) -> int:
            return len(files)

        def __getitem__(self, row: int) -> torch.Tensor:
            with Image.open(files[row]) as picture:
                found: torch.Tensor = transform(picture.convert("RGB"))
                return found

    started = time.perf_counter()
    with torch.inference_mode():
        torch.cat([network(batch) for batch in torch.utils.data.DataLoader(Files(), batch_size=32)])
    return time.perf_counter() - started


def ours(name: str, photos: Photos) -> float:
    """Return the seconds of ours from files to kept vectors, with an empty cache."""
    backbone = find_backbone(name)
    assert backbone.pretrained
    network: Any = backbone.build(backbone.pretrained.classes).eval()
    network = network.to(memory_format=torch.channels_last)  # as `methods.heads` places it
    store = photos.store
    assert isinstance(store, WorkspacePhotos)
    with tempfile.TemporaryDirectory(dir=store.workspace.root) as cache:

        class Fresh(WorkspacePhotos):
            @property
            def cache(self) -> Path:
                return Path(cache)

        fresh = Photos(photos.ids, photos.digests, Fresh(store.workspace), photos.side)
        tower = Tower(network, name, backbone.preprocessing.crop, "0" * 64, "cpu", stored="float16")
        started = time.perf_counter()
        tower.embed(fresh)
        return time.perf_counter() - started


def vectors(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        photos = drawn(Path(folder), count, (1024, 768), count)
        files = [Workspace(Path(folder)).photo(digest) for digest in photos.digests]
        for name in TOWERS:
            plain_loop(name, files[:32])  # the first use of a network chooses kernels
            times: dict[str, list[float]] = {"timm": [], "t15": []}
            for _ in range(TURNS):
                times["timm"].append(plain_loop(name, files))
                times["t15"].append(ours(name, photos))
            middle = {who: median(of) for who, of in times.items()}
            print(
                f"{name}: t15 {count / middle['t15']:.1f} photos/s, timm's plain loop {count / middle['timm']:.1f}, "
                f"ratio {middle['timm'] / middle['t15']:.2f}",
                flush=True,
            )


SMALL = Backbone(
    "small/drawn",
    "Small",
    lambda classes: nn.Sequential(
        nn.Conv2d(3, 384, 8, stride=8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(384, 2)
    ),
    lambda network: list(network.children()),
    "4",
    pretrained=Pretrained("nothing", 2, "CC0-1.0", "page"),
    tokens="1",
    width=384,
)


def memory_of(count: int) -> None:
    """Print the process's highest memory before and after the vectors of so many photos, MiB."""
    backbones.BACKBONES[SMALL.name] = SMALL
    with tempfile.TemporaryDirectory() as folder:
        photos = drawn(Path(folder), count, (40, 32), 50)
        tower = Tower(SMALL.build(2).eval(), SMALL.name, 32, "0" * 64, "cpu", "gem", "float16")
        few = Photos(photos.ids[:300], photos.digests[:300], photos.store, "train")
        tower.embed(few)
        Path("/proc/self/clear_refs").write_text("5")
        before = _status("VmHWM")
        started = time.perf_counter()
        assert len(tower.embed(photos)) == count  # rows stay mapped from disk
        said = {"before": before, "highest": _status("VmHWM"), "anonymous": _status("RssAnon")}
        print(json.dumps({**said, "seconds": round(time.perf_counter() - started)}))


def _status(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return round(next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024, 1)


def memory(most: int) -> None:
    for count in (1_000, 10_000, 100_000):
        if count <= most:
            command = [sys.executable, "-m", "tests.performance.towers", "memory-of", "--count", str(count)]
            print(count, subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip(), flush=True)


def heads(names: Sequence[str]) -> None:
    draw = np.random.default_rng(0)
    labels, truth = (draw.integers(0, 15, count) for count in (10_000, 2_500))
    means = draw.normal(size=(15, 1024))

    def near(of: Any) -> Any:
        rows = means[of] + 3 * draw.normal(size=(len(of), 1024))
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    text = (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)
    said = Text(text, text[:3], np.arange(15) % 3, 100.0)
    sides = Sides(near(labels), labels, near(truth), truth, 15, said)
    for name in names:
        head = HEADS[name]
        settings = {key: value for key, value in head.settings.items() if key not in ("prompts", "languages")}
        fit: Callable[..., Any] = head.fit
        started, worked = time.perf_counter(), time.process_time()
        candidates = fit(sides, Context(), **settings)
        _, of = best_candidate(candidates, sides) if head.chosen else candidates[0]
        took, work = time.perf_counter() - started, time.process_time() - worked
        right = (of.predict_proba(sides.judged).argmax(axis=1) == truth).mean()
        words = f"{took:.1f} s ({work:.1f} s of processors), {len(candidates)} candidates"
        print(f"{name}: {words}, right on validation {100 * right:.1f} %", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", default=["vectors", "memory", "heads"])
    parser.add_argument("--count", type=int, default=128)
    parser.add_argument("--most", type=int, default=10_000)
    parser.add_argument("--head", action="append", choices=list(HEADS))
    options = parser.parse_args()
    if "memory-of" in options.what:
        return memory_of(options.count)
    print(f"{describe_device('cpu')}, torch {torch.__version__}, load {os.getloadavg()[0]:.0f}")
    if "vectors" in options.what:
        vectors(options.count)
    if "memory" in options.what:
        memory(options.most)
    if "heads" in options.what:
        heads(options.head or list(HEADS))
    return None


if __name__ == "__main__":
    main()
