"""What cross-view methods find on the imaginary land, and on the same land with its pictures from above permuted.

`python -m tests.performance.cross_view [--zoom 13] [--train 150]`: draws photos of nine cities, two of them held out, fetches
the tiles from this machine with 10 % faults, runs the methods, and prints the share of true cells in the map's best 1 %.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmark.leaderboard.cross_view import HEADER, lines
from benchmark.leaderboard.table import leaderboard
from benchmark.methods.registry import choose
from benchmark.planning import plan
from benchmark.runner import bench
from collector.aerial.fetch import Entry, fetch, pictures, wanted
from collector.aerial.services import Service
from collector.aerial.table import NAME, write
from collector.net.client import Http
from collector.sandbox.land import LAND
from collector.sandbox.land_server import LandServer, serving
from collector.text_table import table
from tests.benchmark.land import Land, make_land

METHODS = ("lin2013:tiny", "workman2015:tiny", "where-cnn2015:tiny", "cross-view:tiny")


def measured(land: Land, service: Service, entries: list[Entry], methods: tuple[str, ...]) -> None:
    """Run methods on a map of these entries, and print their table."""
    write(land.manifest, service, entries, land.folder / NAME)
    for outcome in bench(land.manifest, land.workspace, plan(land.manifest, choose(methods), [0], "paper"), "cpu"):
        print(outcome.task.method.name, outcome.state, outcome.reason, f"{time.process_time():.0f} s", flush=True)
    board = leaderboard(land.manifest, land.workspace.runs)
    print(table(HEADER, lines(board.maps)), flush=True)
    for row in board.rows:
        km = row.scores.get("median_km")
        print(f"{row.method}: accuracy {row.accuracy:.3f}, median {km.value if km else float('nan'):.0f} km")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--zoom", type=int, default=13)
    parser.add_argument("--train", type=int, default=150)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        land = make_land(Path(root), {"train": asked.train, "val": 20, "test": 20}, ["shire-4", "shire-8"])
        with serving(LandServer(trouble=0.1)) as server:
            url = f"{server.url}/tiles/{{z}}/{{x}}/{{y}}.png"
            service = Service("land", "Land", url, "CC0-1.0", "nobody", own=True, most=99_999)
            found = fetch(land.workspace, service, LAND, asked.zoom, http=Http(service.access, sleep=lambda s: None))
        faults = sum(count - 1 for count in server.asked.values())
        print(found, f"{faults} faults, {time.process_time():.0f} s of processor time", flush=True)
        entries = pictures(land.workspace, service, wanted(service, LAND, asked.zoom))
        measured(land, service, entries, METHODS)
        order = np.random.default_rng(0).permutation(len(entries))
        mixed = [replace(entry, sha256=entries[other].sha256) for entry, other in zip(entries, order, strict=True)]
        for run in land.workspace.runs.glob("[0-9a-f]*"):
            run.rename(run.with_name("." + run.name))
        print("permuted")
        measured(land, service, mixed, ("workman2015:tiny", "where-cnn2015:tiny"))


if __name__ == "__main__":
    main()
