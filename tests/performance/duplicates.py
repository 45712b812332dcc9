"""Which copies of real photos are found, and what is taken for a copy wrongly; beside imagededup on the same files.

    python -m tests.performance.duplicates [--photos 1000] [--imagededup PYTHON]

Takes photos of capitals7 (T15_REAL_DATA), one of each that `t15 dedup` takes for the same, makes copies of each kind, and
counts the copies that are grouped with their original and the pairs of different photos that are grouped; those are listed,
since real photos may be copies of each other that nobody knew of. Then the groups of neardup. imagededup is no dependency
of t15: give the path of a Python that has it, and its PHash and DHash judge the same files at their default thresholds.
"""

import argparse
import io
import json
import os
import random
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from collector.curating.duplicates import find_groups
from collector.curating.pair_verification import pair_verifier
from collector.images.decode import quiet_decoders
from collector.images.validate import Limits, NotUsableError, examine
from collector.records import Photo
from collector.workspace import Workspace, write_atomically

_THEIRS = """
import json, logging, sys
logging.disable(logging.CRITICAL)
from imagededup.methods import DHash, PHash
answers = {}
for method in (PHash, DHash):
    hasher = method(verbose=False)
    found = hasher.find_duplicates(encoding_map=hasher.encode_images(sys.argv[1]))
    answers[method.__name__] = sorted({tuple(sorted((a, b))) for a, near in found.items() for b in near})
print(json.dumps(answers))
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--imagededup", help="the Python that has imagededup")
    options = parser.parse_args()
    real = Path(os.environ["T15_REAL_DATA"])
    with tempfile.TemporaryDirectory() as folder, quiet_decoders():
        originals = different(sorted((real / "capitals7").glob("*/*.jpg")), Workspace(Path(folder) / "all"))
        chosen = random.Random(1).sample(originals, min(options.photos, len(originals)))
        print(f"{len(chosen)} different photos of capitals7: copies found with their original | wrong pairs")
        for kind in KINDS:
            copies(kind, chosen, Path(folder) / kind, options.imagededup)
        grouped(real / "neardup", Workspace(Path(folder) / "neardup"))


def _saved(picture: Image.Image, quality: int = 85) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def cropped(picture: Image.Image, share: float, chance: random.Random) -> Image.Image:
    """Cut a share of the width and of the height away, at any place."""
    width, height = (round(side * (1 - share)) for side in picture.size)
    x, y = chance.randint(0, picture.width - width), chance.randint(0, picture.height - height)
    return picture.crop((x, y, x + width, y + height))


def framed(picture: Image.Image, share: float) -> Image.Image:
    """Cut a share of the sides away at each of the four edges."""
    x, y = round(picture.width * share), round(picture.height * share)
    return picture.crop((x, y, picture.width - x, picture.height - y))


def captioned(picture: Image.Image, *, below: bool) -> Image.Image:
    """Put a white strip of a tenth of the height with words over the lower edge, or below it."""
    strip = max(10, picture.height // 10)
    made = Image.new("RGB", (picture.width, picture.height + strip * below), "white")
    made.paste(picture, (0, 0))
    top = made.height - strip
    draw = ImageDraw.Draw(made)
    draw.rectangle((0, top, made.width, made.height), fill="white")
    draw.text((4, top), "The old town, seen from above", fill="black")
    return made


KINDS: dict[str, Callable[[Image.Image, random.Random], bytes]] = {
    "quality 30": lambda picture, _: _saved(picture, 30),
    "half the size": lambda picture, _: _saved(picture.resize((picture.width // 2, picture.height // 2))),
    "cropped by 3 %": lambda picture, chance: _saved(cropped(picture, 0.03, chance)),
    "cropped by 5 %": lambda picture, chance: _saved(cropped(picture, 0.05, chance)),
    "cropped by 10 %": lambda picture, chance: _saved(cropped(picture, 0.1, chance)),
    "3 % off each edge": lambda picture, _: _saved(framed(picture, 0.03)),
    "5 % off each edge": lambda picture, _: _saved(framed(picture, 0.05)),
    "10 % off each edge": lambda picture, _: _saved(framed(picture, 0.1)),
    "brightness -20 %": lambda picture, _: _saved(ImageEnhance.Brightness(picture).enhance(0.8)),
    "brightness +20 %": lambda picture, _: _saved(ImageEnhance.Brightness(picture).enhance(1.2)),
    "caption over": lambda picture, _: _saved(captioned(picture, below=False)),
    "caption below": lambda picture, _: _saved(captioned(picture, below=True)),
    "mirrored": lambda picture, _: _saved(ImageOps.mirror(picture)),
    "mirrored, cropped by 5 %": lambda picture, chance: _saved(ImageOps.mirror(cropped(picture, 0.05, chance))),
}


def different(paths: Sequence[Path], workspace: Workspace) -> list[Path]:
    """Return the files without those that show the same as another one."""
    by_id = {str(path): path for path in paths}
    photos = [stored(path.read_bytes(), str(path), workspace) for path in paths]
    gone = {m.photo.photo_id for group in find_groups(photos, verify=pair_verifier(workspace)) for m in group.members}
    return [path for name, path in by_id.items() if name not in gone]


def stored(data: bytes, photo_id: str, workspace: Workspace) -> Photo:
    found = examine(data, Limits(min_side=1))
    write_atomically(workspace.photo(found.sha256), data)
    photo = Photo(photo_id, "somewhere", width=found.width, height=found.height, sha256=found.sha256)
    return replace(photo, phash=found.hashes.phash, dhash=found.hashes.dhash)


def copies(kind: str, originals: Sequence[Path], folder: Path, python: str | None) -> None:
    """Print how many copies of a kind are found, by t15 and by imagededup."""
    chance = random.Random(2)
    workspace, flat = Workspace(folder / "workspace"), folder / "flat"
    flat.mkdir(parents=True)
    photos = []
    for number, path in enumerate(originals):
        with Image.open(path) as picture:
            made = KINDS[kind](picture.convert("RGB"), chance)
        for suffix, data in (("original", path.read_bytes()), ("copy", made)):
            photos.append(stored(data, f"{number}-{suffix}.jpg", workspace))
            (flat / f"{number}-{suffix}.jpg").write_bytes(data)
    started = time.perf_counter()
    groups = find_groups(photos, verify=pair_verifier(workspace))
    seconds = time.perf_counter() - started
    together = [[group.kept, *(member.photo for member in group.members)] for group in groups]
    pairs = {(min(a, b), max(a, b)) for group in together for a in names(group) for b in names(group) if a != b}
    line = report(pairs, len(originals))
    if python:
        done = subprocess.run([python, "-c", _THEIRS, str(flat)], capture_output=True, text=True, check=True)
        for method, found in json.loads(done.stdout.splitlines()[-1]).items():
            line += f" ; imagededup {method} {report(found, len(originals))}"
    print(f"  {kind:25} t15 {line}  ({seconds:.1f} s to group)", flush=True)
    wrong = {tuple(sorted(int(name.split("-")[0]) for name in pair)) for pair in pairs if not is_right(pair)}
    for a, b in sorted(wrong):
        print(f"      {'/'.join(originals[a].parts[-2:])} with {'/'.join(originals[b].parts[-2:])}")


def names(photos: Iterable[Photo]) -> list[str]:
    return [photo.photo_id for photo in photos]


def is_right(pair: Sequence[str]) -> bool:
    return pair[0].split("-")[0] == pair[1].split("-")[0]


def report(pairs: Iterable[Sequence[str]], count: int) -> str:
    """Return the share of copies that are found, and how many pairs of different photos there are among them."""
    right = Counter(is_right(pair) for pair in pairs)
    sources = {tuple(sorted(name.split("-")[0] for name in pair)) for pair in pairs if not is_right(pair)}
    return f"{right[True] / count:.3f} | {len(sources)}"


def grouped(folder: Path, workspace: Workspace) -> None:
    """Print the groups of a folder of pictures, and those that are in none."""
    photos = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".csv"):
        name = str(path.relative_to(folder))
        try:
            photos.append(stored(path.read_bytes(), name, workspace))
        except NotUsableError as error:
            print(f"  {name}: {error}")
    groups = find_groups(photos, verify=pair_verifier(workspace))
    print(f"{folder.name}: {len(photos)} pictures")
    for group in groups:
        print(f"  {group.kept.photo_id}")
        for member in group.members:
            how = "in a mirror" if member.mirrored else f"{member.phash_distance} and {member.dhash_distance} bits"
            print(f"    {member.photo.photo_id}: {'same bytes' if member.same_bytes else how}")
    inside = {name for group in groups for name in names([group.kept, *(member.photo for member in group.members)])}
    print(f"  in no group: {', '.join(photo.photo_id for photo in photos if photo.photo_id not in inside)}")


if __name__ == "__main__":
    main()
