"""Photos a second from files to stored pixels: ours, and a loop of Pillow in one process, in the same run.

    python -m tests.performance.decode [FOLDER]

FOLDER holds JPEGs (default: capitals7 and exif/cameras of T15_REAL_DATA, separately). Prints medians of the rounds and the
ratio; whoever quotes them says on what and when.
"""

import hashlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from benchmark.photos import Photos, WorkspacePhotos
from collector.images.decode import quiet_decoders
from collector.workspace import Workspace, write_atomically

ROUNDS = 5
MOST = 1000


def stored(folder: Path, workspace: Workspace) -> list[str]:
    """Copy the JPEGs of a folder into the workspace's store and return their digests."""
    digests = []
    for path in sorted(folder.rglob("*.jpg"))[:MOST]:
        data = path.read_bytes()
        try:
            with Image.open(path) as image:
                image.load()
        except Exception:  # noqa: BLE001, S112 (broken files are not what is measured)
            continue
        digest = hashlib.sha256(data).hexdigest()
        write_atomically(workspace.photo(digest), data)
        digests.append(digest)
    return sorted(set(digests))


def by_a_loop(workspace: Workspace, digests: list[str], size: int) -> int:
    """What one would write first: open, turn, convert, resize, one after the other."""
    pixels = []
    for digest in digests:
        with Image.open(workspace.photo(digest)) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
            pixels.append(np.asarray(upright.resize((size, size), Image.Resampling.BILINEAR)))
    return len(np.stack(pixels))


def by_the_store(workspace: Workspace, digests: list[str], size: int) -> int:
    """Decode into an empty cache."""
    with tempfile.TemporaryDirectory(dir=workspace.root) as cache:
        fresh = Workspace(Path(cache))
        fresh.photos.symlink_to(workspace.photos)
        return len(Photos(tuple(digests), tuple(digests), WorkspacePhotos(workspace)).pixels(size))


def seconds(work: Callable[[Workspace, list[str], int], int], *arguments: object) -> float:
    """Return how long one call takes."""
    started = time.perf_counter()
    work(*arguments)  # type: ignore[arg-type]
    return time.perf_counter() - started


def main() -> None:
    """Print a line for each folder and size."""
    real = Path(os.environ.get("T15_REAL_DATA", "."))
    folders = [Path(name) for name in sys.argv[1:]] or [real / "capitals7", real / "exif" / "cameras"]
    print("folder       photos  size  loop/s  store/s  ratio (medians of rounds, ratio by round)")
    for folder in folders:
        with tempfile.TemporaryDirectory() as root, quiet_decoders():
            workspace = Workspace(Path(root).resolve())
            digests = stored(folder, workspace)
            for size in (64, 128, 256):
                pairs = [
                    (seconds(by_a_loop, workspace, digests, size), seconds(by_the_store, workspace, digests, size))
                    for _ in range(ROUNDS)
                ]
                loop, ours = (len(digests) / statistics.median(times) for times in zip(*pairs, strict=True))
                ratio = statistics.median(first / second for first, second in pairs)
                print(f"{folder.name:12} {len(digests):6}  {size:4}  {loop:6.0f}  {ours:7.0f}  {ratio:5.2f}")


if __name__ == "__main__":
    main()
