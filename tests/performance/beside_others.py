"""Measure `t15 bench --tier smoke` beside other work: `python -m tests.performance.beside_others [METHOD ...] [--turns 1]`.

Ten methods on the drawn photos of `manifests/sandbox/1.0.0`, with and without two processes that are always busy, with and
without torch's threads spinning while they wait (`OMP_WAIT_POLICY`; t15 says PASSIVE unless the user says otherwise). Each
measurement is a process of its own with an empty cache; the turns alternate, and the medians are printed. The aim: at
most 2.5 times as long beside two busy processes on two cores. Not a test: the figures belong to a machine, which has to be
quiet for them.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

MANIFEST = Path(__file__).parents[2] / "manifests" / "sandbox" / "1.0.0"
METHODS = (
    *("tiny-64+knn", "tiny-64+logreg", "hog-32+knn", "hog-64+knn", "hog-32+logreg", "hog-128+logreg"),
    *("gist-64+knn", "gist-128+knn", "gist-64+logreg", "scratch:resnet18"),
)
POLICIES = ("PASSIVE", "ACTIVE")
BUSY = 2


def t15(*arguments: str, policy: str = "PASSIVE") -> float:
    """Run a command and return its seconds."""
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "t15", *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_WAIT_POLICY": policy},
    )
    return time.perf_counter() - started


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep so many processes busy meanwhile."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def measured(workspace: Path, methods: list[str], policy: str, others: int) -> float:
    """Return the seconds of a benchmark that begins anew."""
    for name in ("runs", "cache"):
        shutil.rmtree(workspace / name, ignore_errors=True)
    chosen = [word for method in methods for word in ("--method", method)]
    with busy(others):
        return t15(
            "bench",
            "--tier",
            "smoke",
            *chosen,
            "--manifest",
            str(MANIFEST),
            "--workspace",
            str(workspace),
            policy=policy,
        )


def main() -> None:
    """Print the seconds of each of the four settings, and how much longer it takes beside others."""
    parser = argparse.ArgumentParser()
    parser.add_argument("methods", nargs="*", default=METHODS)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    methods = list(options.methods)
    seconds: dict[tuple[str, int], list[float]] = {(policy, others): [] for policy in POLICIES for others in (0, BUSY)}
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder, "workspace")
        t15("rehydrate", str(MANIFEST), "--workspace", str(workspace))
        for turn in range(options.turns):
            for (policy, others), times in seconds.items():
                times.append(measured(workspace, methods, policy, others))
                print(f"turn {turn + 1}: {policy}, {others} busy: {times[-1]:.1f} s", flush=True)
    for policy in POLICIES:
        alone, beside = (median(seconds[policy, others]) for others in (0, BUSY))
        print(f"{policy}: {alone:.1f} s alone, {beside:.1f} s beside {BUSY} busy processes: {beside / alone:.2f} times")


if __name__ == "__main__":
    main()
