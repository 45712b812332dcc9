"""Puts files through hashing, quality and thumbnails in this process; prints what became of each, and the memory it took.

    python -m tests.collector.curating.every_bad_file FOLDER WORKSPACE

A line of JSON for each file: its path, an outcome for each of the three, seconds; at last the MiB at most. A program of its
own, since a process never gives its highest memory back. Whatever is raised that has no name of ours ends it.
"""

import hashlib
import json
import sys
import time
from pathlib import Path

from collector.curating.quality import NotMeasurableError, flags, measure_file
from collector.images.decode import quiet_decoders
from collector.images.derivatives import THUMBNAIL, CannotShowError, rendition
from collector.images.validate import Limits, NotUsableError, examine
from collector.workspace import Workspace


def hashed(data: bytes) -> str:
    try:
        return f"hashed {examine(data, Limits(min_side=1)).hashes.phash}"
    except NotUsableError as error:
        return error.reason


def measured(path: Path) -> str:
    try:
        scores = flags(*measure_file(path))
    except NotMeasurableError as error:
        return str(error) or "?"
    return "measured" if all(0 <= score <= 1 for score in scores.values()) else f"scores {scores}"


def shown(workspace: Workspace, digest: str) -> str:
    try:
        return "shown" if rendition(workspace, digest, THUMBNAIL)[:2] == b"\xff\xd8" else "no JPEG"
    except CannotShowError as error:
        return str(error) or "?"


def main() -> None:
    folder, workspace = Path(sys.argv[1]), Workspace(Path(sys.argv[2]))
    with quiet_decoders():
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            data = path.read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            stored = workspace.photo(digest)
            stored.parent.mkdir(parents=True, exist_ok=True)
            stored.write_bytes(data)
            started = time.perf_counter()
            outcomes = hashed(data), measured(stored), shown(workspace, digest)
            print(json.dumps([str(path.relative_to(folder)), *outcomes, time.perf_counter() - started]))
    print(json.dumps(_peak_mib()))


def _peak_mib() -> float:
    # Not getrusage's ru_maxrss: over fork and exec it keeps what the parent once had (3,100 MiB beside the whole test suite).
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    main()
