"""Photos a second from a loopback server into the workspace, beside img2dataset in the same run; memory as photos grow.

    python tests/performance/collect.py [--photos 2000] [--img2dataset PATH]

img2dataset is no dependency of t15 and wants versions of its own: install it into another environment and give the path of
its command. It runs with as many threads as t15, without resizing, and computes sha256 (its default); t15 also verifies
each photo to its last row and computes two perceptual hashes. Both read the same files from the same server process.
"""

import argparse
import http.server
import io
import multiprocessing
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from pathlib import Path

import numpy as np
from PIL import Image

from collector.collecting import collect as collecting
from collector.collecting.select import SelectionCriteria
from collector.net.client import Access, Http
from collector.providers.base import Cell, CellRules, ImageRequest, Page, Query
from collector.records import City, Photo, Region
from collector.workspace import create_workspace

CITY = City("here", "Here", 0.0, 0.0, 10.0)
PICTURES = 40


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--img2dataset", default=shutil.which("img2dataset"))
    options = parser.parse_args()
    parent, child = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(child,), daemon=True)
    server.start()
    origin, size = parent.recv()
    print(f"{options.photos} JPEGs of {size / 1000:.0f} kB in the mean, {collecting._HTTP_WORKERS} threads, {origin}")
    ours, theirs = [], []
    for _ in range(options.rounds):
        ours.append(options.photos / timed(run_t15, origin, options.photos))
        if options.img2dataset:
            theirs.append(options.photos / timed(run_img2dataset, origin, options.photos, options.img2dataset))
    print(f"t15          {statistics.median(ours):7.0f} photos a second (median of {len(ours)}: {rounded(ours)})")
    if theirs:
        print(f"img2dataset  {statistics.median(theirs):7.0f} photos a second ({rounded(theirs)})")
        ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
        print(f"t15 / img2dataset: {ratio:.2f} (median of the pairs)")
    else:
        print("img2dataset: not run, its command was not given")
    print("memory: highest resident MiB of a process that collects so many photos")
    for photos in (options.photos // 4, options.photos, 2 * options.photos):
        print(f"  {photos:6d} photos: {peak_of(origin, photos):.0f} MiB")
    server.terminate()


def rounded(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.0f}" for value in values)


def timed(work: Callable[..., None], *arguments: object) -> float:
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        work(Path(folder), *arguments)
        return time.perf_counter() - started


class Listed:
    """A service that lists all photos in one answer."""

    name = "made"
    rules = CellRules(aim=10**9, page_size=10**9)

    def __init__(self, origin: str, photos: int) -> None:
        self.http = Http(Access({}, own=frozenset({origin}), parallel=collecting._HTTP_WORKERS))
        self._origin = origin
        self._photos = photos

    def roots(self, city: City, query: Query, since: int | None, until: int) -> list[Cell]:
        return [Cell(-0.1, -0.1, 0.1, 0.1)]

    def count(self, cell: Cell) -> int:
        return self._photos

    def page(self, city: City, cell: Cell, query: Query, token: str | None, known: Callable[[str], bool]) -> Page:
        found = tuple(Photo(f"made:{n}", "here", 0.0, 0.0) for n in range(self._photos))
        return Page(found, len(found), len(found))

    def image_request(self, photo: Photo) -> ImageRequest:
        return ImageRequest(f"{self._origin}/{photo.photo_id.removeprefix('made:')}.jpg")


def run_t15(folder: Path, origin: str, photos: int) -> None:
    region = Region("made", "Made", (CITY,))
    summary = collecting.collect(
        create_workspace(folder / "workspace"), region, [CITY], Listed(origin, photos), criteria=SelectionCriteria()
    )
    assert summary.added == photos, summary


def run_img2dataset(folder: Path, origin: str, photos: int, command: str) -> None:
    urls = folder / "urls.txt"
    urls.write_text("".join(f"{origin}/{n}.jpg\n" for n in range(photos)), encoding="ascii")
    threads = str(collecting._HTTP_WORKERS)
    arguments = ["--url_list", str(urls), "--output_folder", str(folder / "out"), "--resize_mode", "no"]
    arguments += ["--processes_count", "1", "--thread_count", threads, "--output_format", "files"]
    arguments += ["--enable_wandb", "False", "--number_sample_per_shard", str(photos)]
    done = subprocess.run([command, *arguments], capture_output=True, text=True, check=False)
    stored = len(list((folder / "out").rglob("*.jpg")))
    assert stored == photos, f"{stored} of {photos} stored\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


def peak_of(origin: str, photos: int) -> float:
    """Return the highest resident memory, in MiB, of a process of its own that collects so many photos."""
    code = (
        "import sys, tempfile, pathlib; sys.path[:0] = [sys.argv[1]]\n"
        "from tests.performance.collect import run_t15, peak\n"
        "with tempfile.TemporaryDirectory() as folder: run_t15(pathlib.Path(folder), sys.argv[2], int(sys.argv[3]))\n"
        "print(peak())"
    )
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code, root, origin, str(photos)], capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1])


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def serve(ready: "multiprocessing.connection.Connection") -> None:
    """Serve photo n as one of PICTURES pictures with its number behind the picture's end, so that all bytes differ."""
    pictures = [made(n) for n in range(PICTURES)]

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            name = self.path.strip("/").removesuffix(".jpg")
            if not name.isdecimal():
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            body = pictures[int(name) % PICTURES] + name.encode()
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "image/jpeg")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = 128
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ready.send((f"http://127.0.0.1:{server.server_port}", sum(map(len, pictures)) / PICTURES))
    threading.Event().wait()


def made(seed: int) -> bytes:
    random = np.random.default_rng(seed)
    patches = Image.fromarray(random.integers(0, 256, (24, 32, 3), dtype=np.uint8), "RGB").resize((1024, 768))
    noisy = np.asarray(patches, np.int16) + random.integers(-9, 10, (768, 1024, 1), dtype=np.int16)
    buffer = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8), "RGB").save(buffer, "JPEG", quality=84)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
