"""`t15 collect` from a service with one answer in ten going wrong, ended by SIGKILL again and again, then run to its end.

    python -m tests.performance.kills [--kills 20] [--photos 800] [--target 300] [--seed 0]

The catalogue has to hold what an undisturbed run's does, and the store each photo's bytes and nothing else. A workspace that
is finished before all kills are done is compared, and a new one begins. The sandbox loses no rows here: which rows are lost
depends on the question, and with it on the second in which a listing begins.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from collector.sandbox.flickr_api import Limits
from collector.sandbox.holdings import deal
from collector.sandbox.scenes import region_text
from collector.sandbox.server import Trouble, serving
from collector.workspace import Workspace, create_workspace
from tests.collector.collecting.sandboxed import check_store, content, downloaded, finish, kill, start


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--photos", type=int, default=800, help="of each of two cities, all at Flickr")
    parser.add_argument("--target", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"{options.kills} kills, 2 cities with {options.photos} photos at Flickr each, --target {options.target}")
    holdings = deal(options.seed, 2, options.photos, {"flickr": 1.0})
    with (
        serving(holdings, limits=Limits(row_loss=0.0), pictures="pool") as sandbox,
        tempfile.TemporaryDirectory() as folder,
    ):
        os.environ.update(sandbox.environment())
        region = Path(folder, "region.toml")
        region.write_text(region_text(2), encoding="utf-8")
        target = ("--target", str(options.target))
        calm = create_workspace(Path(folder, "calm"))
        started = time.monotonic()
        finish(start(calm, region, "flickr", *target))
        whole_s = time.monotonic() - started
        print(f"undisturbed: {len(downloaded(calm))} photos in {whole_s:.1f} s")
        sandbox.change(Trouble(0.1, options.seed, retry_after=0))
        chance = random.Random(options.seed)
        deaths, workspaces = 0, 0
        while deaths < options.kills:
            workspaces += 1
            workspace = create_workspace(Path(folder, f"killed-{workspaces}"))
            while deaths < options.kills:
                after_s = chance.uniform(0.2, whole_s)
                if not died(workspace, region, target, after_s):
                    break
                deaths += 1
            finish(start(workspace, region, "flickr", *target))
            check_store(workspace)
            if content(workspace) != content(calm):
                sys.exit(f"workspace {workspaces}: its content is not that of the undisturbed run")
            print(f"  workspace {workspaces}: the content is that of the undisturbed run, the store is whole")
        print(f"{deaths} processes killed, {workspaces} workspaces, all the same as undisturbed")


def died(workspace: Workspace, region: Path, target: tuple[str, ...], after_s: float) -> bool:
    """Kill a run after some seconds; return whether it was still alive."""
    end = time.monotonic() + after_s
    was_alive = kill(start(workspace, region, "flickr", *target), lambda: time.monotonic() >= end)
    there = len(downloaded(workspace)) if workspace.catalogue.exists() else 0
    print(f"    {'killed' if was_alive else 'ended by itself'} after {after_s:4.2f} s at most: {there} photos")
    return was_alive


if __name__ == "__main__":
    main()
