"""Photos a second and memory of the quality flags, and which made faults they find; beside cleanvision on the same files.

    python -m tests.performance.quality [--folder FOLDER] [--rounds 3] [--photos 300] [--cleanvision PYTHON]

FOLDER holds JPEGs (default: capitals7 of T15_REAL_DATA). The measures were tuned on those whose sha256 begins with 0 to 7;
faults are made of photos of the other half that no flag is on. cleanvision is no dependency of t15: give the path of a
Python that has it; it runs there in one process, with all its checks that look at one photo at a time. Whoever quotes the
figures says on what and when.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter, ImageOps

from collector.curating.quality import FLAGGED, FLAGS, flags, measure_file
from collector.images.decode import quiet_decoders

_OURS = """
import json, resource, sys, time
from pathlib import Path
from collector.curating.quality import flags, measure_file
paths = [Path(line) for line in sys.stdin.read().splitlines()]
started, before = time.perf_counter(), time.process_time()
for path in paths:
    flags(*measure_file(path))
print(json.dumps([len(paths) / (time.perf_counter() - started), len(paths) / (time.process_time() - before),
                  resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, {}]))
"""

_THEIRS = """
import json, logging, os, resource, sys, time
logging.disable(logging.CRITICAL)
from cleanvision import Imagelab
paths = sys.stdin.read().splitlines()
kinds = ["dark", "light", "blurry", "low_information", "odd_aspect_ratio", "odd_size", "grayscale"]
sys.stdout, stdout = open(os.devnull, "w"), sys.stdout
started, before = time.perf_counter(), time.process_time()
lab = Imagelab(filepaths=paths)
lab.find_issues({kind: {} for kind in kinds}, n_jobs=1, verbose=False)
seconds = time.perf_counter() - started, time.process_time() - before
sys.stdout = stdout
found = {kind: [os.path.abspath(path) for path in lab.issues.index[lab.issues["is_" + kind + "_issue"]]] for kind in kinds}
print(json.dumps([*(len(paths) / one for one in seconds),
                  resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, found]))
"""

Judgement = tuple[float, float, float, dict[str, list[str]]]
"""Photos a second of the clock and of the processor, MiB at most, and the paths by flag (cleanvision's alone)."""

THEIR_NAMES: Mapping[str, str] = {
    "dark": "dark",
    "blown-out": "light",
    "blurred": "blurry",
    "low-information": "low_information",
    "odd-aspect": "odd_aspect_ratio",
    "greyscale": "grayscale",
    "tiny": "odd_size",
}


def _times(factor: float) -> Callable[[Image.Image], Image.Image]:
    return lambda picture: picture.point([min(255, round(level * factor)) for level in range(256)] * 3)


def _blurred(sigma: float) -> Callable[[Image.Image], Image.Image]:
    return lambda picture: picture.filter(ImageFilter.GaussianBlur(sigma))


def _shaken(picture: Image.Image) -> Image.Image:
    """Move by 9 pixels to the right."""
    copies = [picture.transform(picture.size, Image.Transform.AFFINE, (1, 0, by, 0, 1, 0)) for by in range(1, 9)]
    for number, copy in enumerate(copies, start=2):
        picture = Image.blend(picture, copy, 1 / number)
    return picture


def _collage(picture: Image.Image) -> Image.Image:
    width, height = picture.size
    sheet = Image.new("RGB", (width, height), "white")
    for x in (0, width // 2 + 2):
        for y in (0, height // 2 + 2):
            sheet.paste(picture.resize((width // 2 - 2, height // 2 - 2)), (x, y))
    return sheet


def _captioned(picture: Image.Image) -> Image.Image:
    width, height = picture.size
    strip = Image.new("RGB", (width, height + height // 12), "white")
    strip.paste(picture)
    ImageDraw.Draw(strip).text((4, height + 2), "No. 12345678, all rights reserved", fill="black")
    return strip


FAULTS: Mapping[str, tuple[str, Callable[[Image.Image], Image.Image]]] = {
    "as it is": ("", lambda picture: picture),
    "a quarter of the light": ("dark", _times(0.25)),
    "a tenth of the light": ("dark", _times(0.1)),
    "twice the light": ("blown-out", _times(2)),
    "four times the light": ("blown-out", _times(4)),
    "blurred, sigma 1.5": ("blurred", _blurred(1.5)),
    "blurred, sigma 2": ("blurred", _blurred(2)),
    "blurred, sigma 3": ("blurred", _blurred(3)),
    "moved by 9 pixels": ("blurred", _shaken),
    "blurred, sigma 20": ("low-information", _blurred(20)),
    "a strip of a fifth": (
        "odd-aspect",
        lambda one: one.crop((0, one.height * 2 // 5, one.width, one.height * 3 // 5)),
    ),
    "frame of 5 %": ("borders", lambda one: ImageOps.expand(one, max(one.size) // 20, "black")),
    "caption strip": ("borders", _captioned),
    "collage of four": ("borders", _collage),
    "grey": ("greyscale", lambda one: one.convert("L").convert("RGB")),
    "sepia": ("greyscale", lambda one: ImageOps.colorize(one.convert("L"), "#20120a", "#f4e4c4")),
    "96 pixels": ("tiny", lambda one: ImageOps.contain(one, (96, 96))),
}
"""What is done to a picture, and the flag that it should raise."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=Path(os.environ.get("T15_REAL_DATA", ".")) / "capitals7")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--photos", type=int, default=300)
    parser.add_argument("--cleanvision", help="the Python that has cleanvision")
    options = parser.parse_args()
    paths = sorted(options.folder.resolve().rglob("*.jpg"))
    rates(paths, options.rounds, options.cleanvision)
    with quiet_decoders():
        judged = [path for path in paths if hashlib.sha256(path.read_bytes()).hexdigest()[0] >= "8"]
        scores = {path: flags(*measure_file(path)) for path in judged}
    theirs = told(options.cleanvision, _THEIRS, judged)[3] if options.cleanvision else {}
    print(f"flags on the {len(judged)} photos that nothing was tuned on")
    for flag in FLAGS:
        ours = sum(one[flag] >= FLAGGED for one in scores.values())
        print(f"  {flag:16} {ours:5}   cleanvision {_count(theirs, flag)}")
    plain = [path for path, one in scores.items() if max(one.values()) < FLAGGED][: options.photos]
    faults(plain, options.cleanvision)


def _count(theirs: Mapping[str, list[str]], flag: str) -> str:
    if flag not in THEIR_NAMES:
        return "has no such flag"
    return f"{len(theirs[THEIR_NAMES[flag]])}" if theirs else "not measured"


def told(python: str, program: str, paths: list[Path]) -> Judgement:
    text = "\n".join(map(str, paths))
    done = subprocess.run([python, "-c", program], input=text, capture_output=True, text=True, check=True)
    clock, processor, mib, found = json.loads(done.stdout.splitlines()[-1])
    return clock, processor, mib, found


def rates(paths: list[Path], rounds: int, cleanvision: str | None) -> None:
    """Print both rates, in turn, and their ratio."""
    found: dict[str, list[Judgement]] = {name: [] for name in ("t15", "cleanvision") if name == "t15" or cleanvision}
    for _ in range(rounds):
        found["t15"].append(told(sys.executable, _OURS, paths))
        if cleanvision:
            found["cleanvision"].append(told(cleanvision, _THEIRS, paths))
    print(f"{len(paths)} photos, one process each; medians of {rounds} rounds (all)")
    for name, judgements in found.items():
        columns: dict[str, list[float]] = {
            "photos a second of the clock": [one[0] for one in judgements],
            "photos a second of the processor": [one[1] for one in judgements],
            "MiB at most": [one[2] for one in judgements],
        }
        for unit, each in columns.items():
            print(f"  {name:12} {statistics.median(each):6.0f} {unit} ({', '.join(f'{one:.0f}' for one in each)})")
    if cleanvision:
        pairs = zip(found["t15"], found["cleanvision"], strict=True)
        print(f"  t15 / cleanvision: {statistics.median(a[1] / b[1] for a, b in pairs):.2f} (processor, median)")
    else:
        print("  cleanvision: not measured, its Python was not given")


def faults(paths: list[Path], cleanvision: str | None) -> None:
    """Print of how many copies with each fault its flag is raised."""
    print(f"copies of {len(paths)} of those without a flag: share on which the fault's flag is raised")
    with tempfile.TemporaryDirectory() as place:
        for name, (flag, spoil) in FAULTS.items():
            folder = Path(place).resolve() / name.replace(" ", "-")
            folder.mkdir()
            for number, path in enumerate(paths):
                with Image.open(path) as image:
                    spoil(image.convert("RGB")).save(folder / f"{number:04}.jpg", quality=90)
            copies = sorted(folder.iterdir())
            scores = [flags(*measure_file(copy)) for copy in copies]
            ours = [one[flag] if flag else max(one.values()) for one in scores]
            said = "not measured"
            if flag and flag not in THEIR_NAMES:
                said = "has no such flag"
            elif cleanvision:
                raised = told(cleanvision, _THEIRS, copies)[3]
                which = raised[THEIR_NAMES[flag]] if flag else {path for one in raised.values() for path in one}
                said = f"{len(which) / len(copies):.3f}"
            share = sum(score >= FLAGGED for score in ours) / len(copies)
            print(f"  {name:24} {flag or 'any flag':16} {share:.3f}   cleanvision {said}")


if __name__ == "__main__":
    main()
