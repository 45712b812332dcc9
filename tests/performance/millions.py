"""Time and peak memory of the commands that read all rows, by the number of photos: 10^4 to 10^7, and how they grow.

    python -m tests.performance.millions 10000 100000            # each number in a workspace of its own
    python -m tests.performance.millions 1000000 --only split,audit --folder KEPT

Photos are made up, with hashes and without files: 5,000 a city on a grid of cities over the world, ten of an author within
some hundred metres, every fiftieth a copy of another. So density, groups and copies are the same at every size, as where a
data set grows by cities. Each command is a process of its own; printed are its seconds of the clock and of the processor, the
highest resident memory, and how many bytes of that each photo beyond the smallest size took. With `--folder` the workspace
stays.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from collector.catalogue.catalogue import open_catalogue
from collector.catalogue.database import open_database
from collector.images.hashing import HASH_STAMP
from collector.regions import region
from collector.workspace import Workspace

PER_CITY = 5_000
PER_AUTHOR = 10
_BATCH = 20_000
_NAMES = (
    "photo_id, city, latitude, longitude, taken_at, author_id, author_name, license, page_url, image_url, title, width, "
    "height, bytes, sha256, phash, dhash, hash_stamp, state"
)


def cities(count: int) -> list[tuple[str, float, float]]:
    """Return slugs and centres of as many cities as so many photos have, 1° apart on a grid from 55° S on."""
    number = max(2, -(-count // PER_CITY))
    return [(f"city-{at:04d}", -55.0 + at // 300, -150.0 + at % 300) for at in range(number)]


def region_file(count: int, path: Path) -> Path:
    """Write the region of so many photos."""
    lines = ['name = "millions"', 'title = "Made-up cities"']
    for slug, latitude, longitude in cities(count):
        lines += [
            "[[city]]",
            f'name = "{slug}"',
            f"latitude = {latitude}",
            f"longitude = {longitude}",
            "radius_km = 20",
        ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def rows(count: int) -> Iterator[tuple[object, ...]]:
    """Yield the catalogue's rows."""
    rng = np.random.default_rng(0)
    places = cities(count)
    for start in range(0, count, _BATCH):
        number = np.arange(start, min(count, start + _BATCH))
        author = number // PER_AUTHOR
        at = np.random.default_rng(start).uniform(-0.1, 0.1, (len(number) // PER_AUTHOR + 2, 2))
        offset = at[author - author[0]] + rng.normal(0, 0.001, (len(number), 2))
        hashes = rng.integers(0, 2**63, (len(number), 2))
        copies = np.flatnonzero(number % 50 == 49)
        hashes[copies] = hashes[copies - 7] ^ (1 << rng.integers(0, 60, (len(copies), 2)))
        for n, who, (north, east), (phash, dhash) in zip(
            number.tolist(), author.tolist(), offset.tolist(), hashes.tolist(), strict=True
        ):
            slug, latitude, longitude = places[n // PER_CITY]
            digest = hashlib.sha256(str(n).encode()).hexdigest()
            yield (
                f"commons:{n:09d}", slug, latitude + north, longitude + east,
                f"20{n % 20:02d}-05-01T10:00:{n % 60:02d}+00:00",
                f"commons:author-{who}", f"Author {who}", "CC-BY-SA-4.0", f"https://commons.wikimedia.org/?curid={n}",
                f"https://upload.wikimedia.org/wikipedia/commons/{digest[0]}/{digest[:2]}/File_{n}.jpg",
                f"View {n} of {slug}", 1024, 768, 200_000 + n % 1000, digest,
                f"{phash:016x}", f"{dhash:016x}", HASH_STAMP, "downloaded",
            )  # fmt: skip


def fill(workspace: Workspace, count: int) -> None:
    """Write the catalogue, with a ledger of a sweep a city."""
    marks = ", ".join("?" * len(_NAMES.split(",")))
    workspace.root.mkdir(parents=True, exist_ok=True)
    with open_catalogue(workspace) as catalogue:
        catalogue.remember_region(region(str(region_file(count, workspace.root.parent / "region.toml"))))
    with open_database(workspace.catalogue) as db:
        with db:
            db.executemany(f"INSERT INTO photos ({_NAMES}) VALUES ({marks})", rows(count))  # noqa: S608 (own names)
        with db:
            for slug, latitude, longitude in cities(count):
                box = (longitude - 0.2, latitude - 0.2, longitude + 0.2, latitude + 0.2)
                db.execute("INSERT INTO sweeps VALUES ('commons', ?, 0, 'q', NULL, 1700000000, 1)", (slug,))
                db.execute(
                    "INSERT INTO cells (provider, city, number, sweep, west, south, east, north, state, reported, fetched, "
                    "unique_photos, pages) VALUES ('commons', ?, 0, 0, ?, ?, ?, ?, 'done', ?, ?, ?, 20)",
                    (slug, *box, PER_CITY, PER_CITY, PER_CITY),
                )


def run(arguments: list[str]) -> tuple[int, float, float, int]:
    """Return a process's exit code, seconds of the clock and of the processor, and highest resident memory in bytes."""
    started = time.perf_counter()
    child = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert child.stderr is not None
    said = child.stderr.read().decode(errors="replace")
    _, status, usage = os.wait4(child.pid, 0)
    code = os.waitstatus_to_exitcode(status)
    child.returncode = code
    if code:
        print(said[-600:], file=sys.stderr)
    return code, time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def commands(root: Path, count: int) -> dict[str, list[str]]:
    """Return what is measured, in this order: each needs what the ones before it made."""
    workspace, manifests = root / "workspace", root / "manifests"
    manifest = str(manifests / "millions" / "1.0.0")
    of = ["-m", "t15"]
    where = ["--workspace", str(workspace)]
    return {
        "fill": ["-m", "tests.performance.millions", str(count), "--fill", str(workspace)],
        "coverage": [*of, "coverage", *where],
        "dedup": [*of, "dedup", *where],
        "within": [*of, "dedup", "--within-cities", *where],
        "hashes": [*of, "dedup", "--hashes-only", *where],
        "split": [
            *of, "split", "--fractions", "70/15/15", "--manifests", str(manifests), *where,
        ],
        "verify": [*of, "verify", manifest, *where],
        "audit": [*of, "audit", manifest, *where],
        "publish": [*of, "publish", manifest, "--out", str(root / "published"), *where],
        "diff": [*of, "diff", manifest, manifest, *where],
        "export": [*of, "export", manifest, "--out", str(root / "rows.csv"), *where],
    }  # fmt: skip


def main() -> None:
    """Print a line for each number of photos and command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("counts", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--only", default="", help="commands to run, with commas between")
    parser.add_argument("--folder", type=Path, help="keep the workspaces below it, and use what is there")
    parser.add_argument("--fill", type=Path, help="only write the catalogue of the first number here")
    options = parser.parse_args()
    if options.fill:
        fill(Workspace(options.fill), options.counts[0])
        return
    smallest: dict[str, tuple[int, int]] = {}
    print(
        f"{'photos':>10} {'command':10} {'exit':>4} {'clock s':>9} {'cpu s':>9} {'peak MiB':>9} {'bytes a photo':>14}"
    )
    for count in options.counts:
        root = (options.folder or Path(tempfile.mkdtemp())) / str(count)
        root.mkdir(parents=True, exist_ok=True)
        for name, arguments in commands(root, count).items():
            if (options.only and name not in options.only.split(",")) or (
                name == "fill" and (root / "workspace").is_dir()
            ):
                continue
            code, clock, processor, peak = run(arguments)
            fewer, before = smallest.setdefault(name, (count, peak))
            each = f"{(peak - before) / (count - fewer):.0f}" if count > fewer else ""
            print(
                f"{count:>10} {name:10} {code:>4} {clock:9.1f} {processor:9.1f} {peak / 2**20:9.0f} {each:>14}",
                flush=True,
            )
        if not options.folder:
            shutil.rmtree(root.parent)


if __name__ == "__main__":
    main()
