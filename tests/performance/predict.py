"""Photos a second and memory of `t15 predict` on a folder, against a loop that only decodes them, in the same run.

    python -m tests.performance.predict MODEL [PHOTOS [FOLDER]]

MODEL is a file of `t15 export-model`. PHOTOS (default 1000) names are made for the JPEGs of FOLDER (default exif/cameras of
T15_REAL_DATA), again and again. Each way runs in a process of its own. Prints seconds, the highest resident memory beside the
memory before the first photo, and ratios; whoever quotes them says on what and when.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmark.predicting.answer import Answerer, answers
from benchmark.predicting.read_image import find_photos
from collector.images.decode import decode, quiet_decoders


def folder_of(photos: int, source: Path, root: Path) -> None:
    """Link the readable JPEGs of a folder under so many names."""
    readable = []
    for path in sorted(source.rglob("*.jpg")):
        try:
            decode(path, 64)
        except Exception:  # noqa: BLE001, S112 (broken files are not what is measured)
            continue
        readable.append(path)
    for number in range(photos):
        (root / f"{number:05d}.jpg").symlink_to(readable[number % len(readable)])


def predict(answerer: Answerer, folder: Path) -> int:
    """Answer all photos of a folder."""
    found = find_photos([str(folder)], sys.stdin.buffer)
    return sum(result.answer is not None for result in answers(answerer, found.photos))


def decode_all(answerer: Answerer, folder: Path) -> int:
    """Decode all photos of a folder as they are decoded for answering, one after the other, and do nothing with them."""
    with quiet_decoders():
        return sum(decode(path, answerer.side).width > 0 for path in sorted(folder.iterdir()))


def measure(way: str, model: Path, folder: Path) -> None:
    """Print seconds, photos, MiB before and MiB at most of one way, in this process."""
    answerer = Answerer(model)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started = time.perf_counter()
    count = {"predict": predict, "decode": decode_all}[way](answerer, folder)
    seconds = time.perf_counter() - started
    print(seconds, count, before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Measure both ways on as many photos as asked for and on a tenth of them."""
    if sys.argv[1] in ("predict", "decode"):
        measure(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
        return
    model, photos = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    source = Path(sys.argv[3]) if len(sys.argv) > 3 else Path(os.environ["T15_REAL_DATA"]) / "exif" / "cameras"
    found: dict[tuple[str, int], list[float]] = {}
    for count in (photos // 10, photos):
        with tempfile.TemporaryDirectory() as folder:
            folder_of(count, source, Path(folder))
            for way in ("decode", "predict"):
                command = [sys.executable, "-m", "tests.performance.predict", way, str(model), folder]
                said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                seconds, done, before, most = map(float, said.split())
                found[way, count] = [seconds, most - before]
                print(f"{way} {count}: {done:.0f} photos, {seconds:.1f} s, {done / seconds:.0f} photos/s, ", end="")
                print(f"{most:.0f} MiB, {most - before:.0f} above the start")
    print(f"predict / decode: {found['predict', photos][0] / found['decode', photos][0]:.2f} of the time")
    whole, tenth = found["predict", photos][1], found["predict", photos // 10][1]
    print(f"memory of {photos} photos / of {photos // 10}: {whole:.0f} / {tenth:.0f} MiB")


if __name__ == "__main__":
    main()
