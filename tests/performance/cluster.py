"""A data set made on a cluster of two nodes on this machine, workers and drivers killed on the way, beside one process's.

    python -m tests.performance.cluster [--photos 1000] [--every 20] [--drivers 2] [--after 25] [--only-deaths]

Half of the photos are of each of two cities, at the sandbox's Flickr. They are collected, hashed anew, deduplicated,
measured and audited (sides by chance) by the commands, and described by GIST, by one process and on two Ray nodes of two
cores each. Every so many seconds one worker is ended by SIGKILL, and so are the drivers of the first steps, which are run
again. Catalogue, decisions and audit have to be equal to the row, vectors to 1e-6. The clock of both is told: on a machine of
two cores with four workers it says what Ray costs. Whoever quotes the figures says on what, when, and at which load.
"""

import argparse
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.features.extract import extract
from benchmark.methods.features import feature
from benchmark.photos import Photos, WorkspacePhotos
from collector.catalogue.catalogue import open_catalogue
from collector.executors import cluster
from collector.executors.cluster import work_on
from collector.sandbox.flickr_api import Limits
from collector.sandbox.holdings import deal
from collector.sandbox.scenes import region_text
from collector.sandbox.server import serving
from collector.workspace import Workspace, create_workspace, remove_drafts
from tests.collector.collecting.sandboxed import check_store, content, downloaded

ROOT = Path(__file__).parents[2]


@contextmanager
def two_nodes() -> Iterator[str]:
    """Start two nodes with two cores each, on 127.0.0.1, and give the address."""
    cluster.load_ray(loopback=True)
    from ray.cluster_utils import Cluster

    with tempfile.TemporaryDirectory(prefix="t15-ray-") as place:
        os.environ |= {"RAY_TMPDIR": place, "PYTHONPATH": str(ROOT)}
        os.environ |= {"RAY_agent_register_timeout_ms": "400000", "RAY_gcs_server_request_timeout_seconds": "400"}
        os.environ |= {"RAY_worker_niceness": "0"}  # 15 otherwise: beside others' work they would hardly run
        started: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
        try:
            started.add_node(num_cpus=2)
            yield started.address
        finally:
            started.shutdown()


@contextmanager
def killing(every: float, seed: int) -> Iterator[list[int]]:
    """End a worker of a Ray cluster on this machine by SIGKILL every so many seconds; give whom it was."""
    import psutil  # type: ignore[import-untyped]

    ended, over, chance = [], threading.Event(), random.Random(seed)

    def at_work(process: Any) -> bool:
        try:
            name = " ".join(process.cmdline())  # Ray's agents belong to a node, which ends with them
            return name.startswith("ray::") and not name.startswith(
                ("ray::BudgetActor", "ray::DashboardAgent", "ray::RuntimeEnv")
            )
        except psutil.Error:
            return False

    def kill() -> None:
        while not over.wait(every):
            workers = [one.pid for one in psutil.Process().children(recursive=True) if at_work(one)]
            if workers:
                ended.append(chance.choice(workers))
                os.kill(ended[-1], signal.SIGKILL)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    try:
        yield ended
    finally:
        over.set()
        thread.join()


class Maker:
    """Makes a data set by the commands, and tells how long each took."""

    def __init__(self, workspace: Workspace, folder: Path, address: str, drivers: int = 0, after: float = 0) -> None:
        self.workspace, self.folder, self.address = workspace, folder, address
        self.drivers, self.after = drivers, after
        self.seconds: dict[str, float] = {}
        self.killed = 0

    def run(self, *arguments: str) -> str:
        """Run a command to its end; on a cluster the first steps' first drivers are killed after some seconds."""
        more = ["--cluster", self.address] if self.address else []
        command = [sys.executable, "-m", "t15", *arguments, "--workspace", str(self.workspace.root), *more]
        started = time.monotonic()
        if more and self.killed < self.drivers:
            first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                first.wait(self.after)
            except subprocess.TimeoutExpired:
                first.kill()
                first.wait()
                self.killed += 1
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode not in (0, 3):  # an audit finds leaks
            sys.exit(f"{' '.join(arguments[:2])}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        self.seconds[arguments[0]] = time.monotonic() - started
        return done.stdout

    def split(self) -> Path:
        """Write photos, as they are now, with a side each by chance."""
        with open_catalogue(self.workspace) as catalogue:
            photos = sorted(catalogue.downloaded(), key=lambda photo: photo.photo_id)
        names = ("photo_id", "city", "author_id", "latitude", "longitude", "sha256", "phash", "dhash")
        columns: dict[str, list[Any]] = {name: [getattr(photo, name) for photo in photos] for name in names}
        columns["split"] = [("train", "train", "val", "test")[int(str(photo.sha256)[:4], 16) % 4] for photo in photos]
        file = self.folder / "split.parquet"
        self.folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), file)
        return file

    def make(self, region: Path) -> dict[str, Any]:
        """Do all steps and return what there is to compare."""
        self.run("collect", "--provider", "flickr", "--region", str(region), "--target", "0")
        remove_drafts(self.workspace.photos, alone=True)  # of killed workers; the next `collect` would remove them
        check_store(self.workspace)
        collected = content(self.workspace)
        with open_catalogue(self.workspace) as catalogue:
            photos = catalogue.downloaded()
            for photo in photos:
                catalogue.update_hashes(photo.photo_id, None, None, "old")
        self.run("dedup")
        self.run("quality")
        audit = self.run("audit", str(self.split()), "--json").replace(str(self.folder), "")
        started = time.monotonic()
        with work_on(self.address, self.workspace, None) as work:
            store = WorkspacePhotos(self.workspace, work=work)
            ids, digests = zip(*sorted((photo.photo_id, str(photo.sha256)) for photo in photos), strict=True)
            vectors = np.array(extract(feature("gist-lear", 64), Photos(ids, digests, store), "cpu"))
        self.seconds["gist"] = time.monotonic() - started
        with open_catalogue(self.workspace) as catalogue:
            decisions = {name: sorted(map(str, catalogue.decisions(name))) for name in ("dedup", "quality")}
        return {
            "collected": collected,
            "content": content(self.workspace),
            **decisions,
            "audit": audit,
            "gist": vectors,
        }


def main() -> None:
    """Print what was killed, whether all is equal, and how long each step took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--every", type=float, default=20)
    parser.add_argument("--drivers", type=int, default=2)
    parser.add_argument("--after", type=float, default=25, help="seconds after which a driver is killed")
    parser.add_argument("--only-deaths", action="store_true", help="not undisturbed on the cluster")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    cluster.HEALTH_SECONDS = 120.0  # of a busy machine
    holdings = deal(given.seed, 2, given.photos // 2, {"flickr": 1.0})
    with (
        serving(holdings, limits=Limits(row_loss=0.0), pictures="pool") as sandbox,
        tempfile.TemporaryDirectory() as place,
    ):
        os.environ |= sandbox.environment()
        region = Path(place, "region.toml")
        region.write_text(region_text(2), encoding="utf-8")
        print(f"load {os.getloadavg()[0]:.1f}")
        alone = Maker(create_workspace(Path(place, "alone")), Path(place, "a"), "")
        expected = alone.make(region)
        print(f"{len(downloaded(alone.workspace))} photos, load {os.getloadavg()[0]:.1f}")
        with two_nodes() as address:
            calm = Maker(create_workspace(Path(place, "calm")), Path(place, "c"), address)
            if not given.only_deaths:
                compare("on the cluster", calm.make(region), expected)
            with killing(given.every, given.seed) as ended:
                there = Maker(
                    create_workspace(Path(place, "killed")), Path(place, "k"), address, given.drivers, given.after
                )
                compare("on the cluster, with deaths", there.make(region), expected)
        print(f"workers killed: {len(ended)}, drivers killed: {there.killed}, load {os.getloadavg()[0]:.1f}")
        for name, seconds in alone.seconds.items():
            on_cluster, with_deaths = calm.seconds.get(name, math.nan), there.seconds[name]
            print(
                f"{name:8} {seconds:7.1f} s alone, {on_cluster:7.1f} s on the cluster, {with_deaths:7.1f} s with deaths"
            )


def compare(name: str, found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Say what is equal; leave where something is not."""
    for what, of in expected.items():
        equal = np.abs(found[what] - of).max() < 1e-6 if what == "gist" else found[what] == of
        if not equal:
            sys.exit(f"{name}: {what} differs")
    rows = ", ".join(f"{len(of)} of {what}" for what, of in expected.items() if what != "audit")
    print(f"{name}: equal ({rows} and the audit)")


if __name__ == "__main__":
    main()
