"""Run the examples of the commands and keep what they print, for the pages in `cli/`: `python docs/generate.py --record`.

They run in a scratch folder that is gone afterwards: on the drawn photos of `manifests/sandbox`, on a few drawn photos in
folders called as cities, and on tables made here. Nobody is asked for anything. Two examples need real weights: they run
where T15_REAL_DATA has them. What was recorded before stays where an example cannot run.
With names of commands behind `--record` these alone are recorded anew.
"""

import csv
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

DOCS = Path(__file__).parent

OUTPUTS = DOCS / "cli" / "outputs"
"""What the examples printed: a file for each command, its first line the command as it was run."""

_MOST_LINES, _WIDEST = 24, 110

INSTEAD = {
    "collect": "t15 collect --root ~/Pictures/cities --table photos.csv --region turkiye81",
    "review": "t15 review",
    "serve": "t15 serve --model model.safetensors",
    "weights fetch": "t15 weights fetch resnet18/imagenet --dry-run",
    "weights add": "t15 weights add tf_efficientnet_lite0/in1k ~/Downloads/efficientnet_lite0.pth --sha256 1a8cfd1e",
    "embed": "t15 embed manifests/sandbox/1.0.0 --backbone tf_efficientnet_lite0/in1k --out vectors.npz",
    "geodata add": "t15 geodata add manifests/sandbox/1.0.0",
    "geodata fetch": "t15 geodata fetch elevation_90m --region turkiye15 --dry-run",
    "aerial fetch": "t15 aerial fetch --service orthophotos.toml --region imaginary.toml --zoom 11",
    "aerial add": "t15 aerial add manifests/sandbox/1.0.0 --service orthophotos.toml --zoom 11",
}
"""What is run where a command's own example opens a browser, downloads, or is of files that nobody has here."""

SERVERS = ("review", "serve", "sandbox")
"""Commands that answer until they are stopped: what they say first is kept."""

WEIGHTS = "new/weights/efficientnet_lite0_imagenet.pth"


class Scratch:
    """A folder to run t15 in, with a home folder, a workspace, manifests and weights of its own."""

    def __init__(self, here: Path) -> None:
        """Set the folder up."""
        self.here = here
        shutil.copytree(DOCS.parent / "manifests", here / "manifests")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("T15_")}
        self.environment = kept | {
            **{"PYTHONPATH": str(DOCS.parent), "HOME": str(here), "COLUMNS": str(_WIDEST), "BROWSER": "true"},
            **{"T15_WEIGHTS": str(here / "weights"), "T15_GEODATA": str(here / "geodata")},
        }

    def command(self, line: str) -> list[str]:
        """Return the arguments of a line, `~` being the scratch folder."""
        words = (re.sub(r"^~(?=/)", str(self.here), word) for word in shlex.split(line)[1:])
        return [sys.executable, "-m", "t15", *words]

    def run(self, line: str) -> str:
        """Return what a command prints, or where that is nothing what it notes."""
        done = subprocess.run(
            self.command(line), cwd=self.here, env=self.environment, capture_output=True, text=True, check=False
        )
        return done.stdout or done.stderr

    def first_words(self, line: str) -> str:
        """Return what a server says within ten seconds of its address, and stop it."""
        with (self.here / "said").open("w+", encoding="utf-8") as said:
            process = subprocess.Popen(
                self.command(line), cwd=self.here, env=self.environment, stdout=said, stderr=said, text=True
            )
            for _ in range(240):
                time.sleep(0.5)
                if "http://" in (self.here / "said").read_text(encoding="utf-8") or process.poll() is not None:
                    break
            time.sleep(2)
            process.send_signal(signal.SIGINT)
            process.wait(60)
            said.seek(0)
            return said.read()

    def shown(self, text: str) -> str:
        """Return what a page shows of a text: no path of this machine, no port or token of the day, not too much."""
        text = text.replace(str(self.here), "~").replace(str(DOCS.parent), "~/t15")
        text = re.sub(r"(http://127\.0\.0\.1:)\d+", r"\g<1>8015", text)
        text = re.sub(r"((?:token|key|once)=)[\w-]{8,}", r"\g<1>…", text)
        lines = [part for line in text.splitlines() for part in _fitted(line.rstrip())]
        more = [f"… ({len(lines) - _MOST_LINES} more lines)"] if len(lines) > _MOST_LINES else []
        return "\n".join([*lines[:_MOST_LINES], *more]).strip("\n")


def _pictures(scratch: Scratch) -> None:
    """Draw photos into folders called as cities of Türkiye, with a table of them; write a table with OSV-5M's columns."""
    from collector.sandbox.scenes import draw_world

    drawn = scratch.here / "drawn"
    draw_world(drawn, seed=1, cities=3, photos_per_city=8)
    cities = {
        "quellmora": ("Konya", 37.87, 32.48),
        "tufgrad": ("Bolu", 40.73, 31.61),
        "dravenholt": ("Van", 38.5, 43.38),
    }
    root, rows = scratch.here / "Pictures" / "cities", []
    for slug, (city, latitude, longitude) in cities.items():
        for path in sorted((drawn / "photos" / slug).glob("*.jpg")):
            target = root / city.lower() / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            place = (latitude + len(rows) / 1000, longitude)
            rows.append((f"{city.lower()}/{path.name}", city, *place, f"A. Photographer {len(rows) % 5}", "CC-BY-4.0"))
    head = ("file", "city", "latitude", "longitude", "author", "license")
    _table(scratch.here / "photos.csv", head, rows)
    (scratch.here / "osv5m").mkdir()
    head = ("id", "latitude", "longitude", "country", "city", "sequence", "captured_at")
    lines = [
        (100000 + n, 37.8 + n / 100, 32.4 + n / 100, "TR", "Konya" if n < 3 else "Karaman", f"s{n}", 1559390400000)
        for n in range(6)
    ]
    _table(scratch.here / "osv5m" / "test.csv", head, lines)


def _raster(path: Path, north: float, west: float, step: float, values: "NDArray[Any]") -> None:
    """Write bands, (B, H, W), as a GeoTIFF in degrees, where the library is."""
    import rasterio
    from rasterio.transform import from_origin

    bands, height, width = values.shape
    profile = {"driver": "GTiff", "height": height, "width": width, "count": bands, "dtype": values.dtype.name}
    with rasterio.open(path, "w", transform=from_origin(west, north, step, step), crs="EPSG:4326", **profile) as file:
        file.write(values)


def _above(here: Path) -> None:
    """Write a picture of the sandbox's land from above, a service that reads it, and a region file of its cities."""
    import numpy as np

    from collector.areas import as_toml
    from collector.manifest.manifest import read_manifest
    from collector.records import Region

    header = read_manifest(DOCS.parent / "manifests" / "sandbox" / "1.0.0").header
    (here / "imaginary.toml").write_text(
        as_toml(Region("imaginary", "Imaginary cities", header.cities)), encoding="utf-8"
    )
    north, west = max(city.latitude for city in header.cities) + 1, min(city.longitude for city in header.cities) - 1
    south, east = min(city.latitude for city in header.cities) - 1, max(city.longitude for city in header.cities) + 1
    noise = np.random.default_rng(0).integers(0, 256, (3, int((north - south) * 50), int((east - west) * 50)), np.uint8)
    _raster(here / "orthophotos.tif", north, west, 0.02, noise)
    (here / "orthophotos.toml").write_text(
        f'[orthophotos]\ntitle = "Drawn land from above"\nkind = "raster"\nurl = "{here / "orthophotos.tif"}"\n'
        'licence = "CC0-1.0"\nattribution = "t15"\n',
        encoding="utf-8",
    )


def _table(path: Path, head: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([head, *rows])


def _answers(path: Path) -> None:
    """Write predictions made elsewhere: every second test photo of the sandbox right."""
    from collector.manifest.manifest import read_manifest

    manifest = read_manifest(DOCS.parent / "manifests" / "sandbox" / "1.0.0")
    cities = [city.slug for city in manifest.header.cities]
    rows = [
        (photo.photo_id, photo.city if n % 2 else cities[n % len(cities)])
        for n, photo in enumerate(manifest.photos("test"))
    ]
    _table(path, ("photo_id", "city"), rows)


def _later(path: Path) -> None:
    """Write a later version of the sandbox without the photos of one author, as somebody else may have it."""
    from dataclasses import replace

    from collector.manifest.manifest import build_manifest, read_manifest, write_manifest

    before = read_manifest(DOCS.parent / "manifests" / "sandbox" / "1.0.0")
    photos = [photo for side in ("train", "val", "test") for photo in before.photos(side)]
    parent = {"version": before.header.version, "digest": before.digest}
    kept = [photo for photo in photos if photo.author_id != photos[0].author_id]
    write_manifest(build_manifest(replace(before.header, version="2.0.0", parent=parent), kept, "t15"), path)


def record(only: list[str]) -> None:
    """Run the examples, all or those of some commands, and keep what they print."""
    import numpy as np

    from collector.help_texts import EXAMPLES

    OUTPUTS.mkdir(parents=True, exist_ok=True)
    wanted = {name: INSTEAD.get(name, line) for name, line in EXAMPLES.items() if not only or name in only}
    with tempfile.TemporaryDirectory() as folder:
        scratch = Scratch(Path(folder).resolve())
        _pictures(scratch)
        _answers(scratch.here / "predictions.csv")
        _later(scratch.here / "Downloads" / "sandbox" / "2.0.0")
        real = Path(os.environ.get("T15_REAL_DATA", "nowhere"))
        if (real / WEIGHTS).is_file():
            shutil.copyfile(real / WEIGHTS, scratch.here / "Downloads" / "efficientnet_lite0.pth")
        _raster(scratch.here / "income.tif", 41, 32, 0.1, np.arange(400, dtype=np.float32).reshape(1, 20, 20))
        _above(scratch.here)
        # Other people's photos go into workspaces of their own, so that the others find the sandbox's alone.
        alone = ("collect", "import", "aerial list", "aerial plan", "sandbox", "demo")
        apart = {name: wanted.pop(name) for name in alone if name in wanted}
        for name, line in apart.items():
            scratch.environment["T15_WORKSPACE"] = str(scratch.here / "apart" / name)
            said = scratch.first_words(line) if name in SERVERS else scratch.run(line)
            _keep(scratch, name, line, said)
        if not wanted:
            return
        scratch.environment["T15_WORKSPACE"] = str(scratch.here / "workspace")
        scratch.run("t15 rehydrate manifests/sandbox/1.0.0")
        shown = scratch.run("t15 bench --method tiny-64+knn --method gist-64+logreg --tier smoke --models first --json")
        identity = re.findall(r'"run": "([0-9a-f]{16})"', shown)[0]
        scratch.run(f"t15 export-model {identity} model.safetensors")
        scratch.run("t15 score predictions.csv --name 'My method'")
        shutil.copyfile(next((scratch.here / "workspace" / "photos").rglob("*.jpg")), scratch.here / "photo.jpg")
        photo = re.findall(r"sandbox:[\w-]+", (scratch.here / "predictions.csv").read_text(encoding="utf-8"))[0]
        last = {name: wanted.pop(name) for name in ("score", "withdraw", "split") if name in wanted}
        for name, line in (wanted | last).items():
            own = line.replace("3f2a", identity[:4]).replace("commons:12345", photo)
            if name == "score":
                own += " --replace"
            if name == "aerial add":
                scratch.run(INSTEAD["aerial fetch"])
            _keep(scratch, name, own, scratch.first_words(own) if name in SERVERS else scratch.run(own))


def _fitted(line: str) -> list[str]:
    """Return a line as lines that fit the page: a sentence is wrapped, a row of a table cut."""
    is_row = re.search(r"\S {2,}\S", line)
    return [line[:_WIDEST]] if is_row else wrap(line, _WIDEST, break_on_hyphens=False) or [""]


def _keep(scratch: Scratch, name: str, line: str, said: str) -> None:
    text = f"$ {line}\n{scratch.shown(said)}\n"
    (OUTPUTS / f"{name.replace(' ', '-')}.txt").write_text(text, encoding="utf-8")
    print(f"recorded: {line}", file=sys.stderr)
