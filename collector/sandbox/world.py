"""Draws the imaginary world into a folder, with every duplicate and every broken file that it plants on purpose.

The `World` lists them, so that the tutorial and the tests know the truth.
"""

import io
import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from PIL import ExifTags, Image, ImageEnhance
from PIL.TiffImagePlugin import IFDRational

from collector.progress import Track, silent
from collector.sandbox.scenes import CITIES, CREDIT, Scene, compress, encode, gps_tags, plan, render, scenes_of


@dataclass(frozen=True, slots=True)
class World:
    """A world on disk, and the truth about it.

    Attributes:
        root: the folder it was drawn into.
        region_file: its cities, for `--region`.
        scenes: the distinct photos that are as they should be.
        files: all files under `root/photos`.
        planted: paths relative to `root/photos` by kind: `near-duplicate`, `exact-copy`, `label-conflict`, `unsorted`,
            `rotated`, and the broken ones of `faults.BROKEN`.
        originals: for every near-duplicate, exact copy and label conflict, the path that it was made from.
    """

    root: Path
    region_file: Path
    scenes: int
    files: int
    planted: Mapping[str, tuple[str, ...]]
    originals: Mapping[str, str]


class _File(NamedTuple):
    path: str  # relative to root/photos
    content: bytes
    kinds: tuple[str, ...] = ()
    original: str = ""


def draw_world(root: Path, seed: int = 0, cities: int = 8, photos_per_city: int = 150, track: Track = silent) -> World:
    """Draw a world into `root`: `photos/<city>/`, `photos/unsorted/`, `region.toml` and `READ-ME.txt`.

    A tenth of the photos lies in `unsorted`, placed by its coordinates alone. Drawing again writes the same bytes.

    Args:
        root: a folder; made when it is not there. Other files in it are left alone.
        seed, cities, photos_per_city: as for `scenes.plan`.
        track: shows how far it is.

    Raises:
        UsageError: a number is outside its range.
        OSError: a file cannot be written.
    """
    scenes = plan(seed, cities, photos_per_city)
    for folder in ("unsorted", *(city.slug for city in CITIES[:cities])):
        (root / "photos" / folder).mkdir(parents=True, exist_ok=True)
    planted: dict[str, tuple[str, ...]] = {}
    originals: dict[str, str] = {}
    files = 0
    for file in _files(track(scenes, "drawing photos", len(scenes)), seed, cities):
        files += 1
        (root / "photos" / file.path).write_bytes(file.content)
        for kind in file.kinds:
            planted[kind] = (*planted.get(kind, ()), file.path)
        if file.original:
            originals[file.path] = file.original
    region = root / "region.toml"
    region.write_text(region_text(cities), encoding="utf-8")
    (root / "READ-ME.txt").write_text(_read_me(seed, cities, photos_per_city), encoding="utf-8")
    return World(root, region, len(scenes), files, planted, originals)


def _files(scenes: Iterator[Scene], seed: int, cities: int) -> Iterator[_File]:
    """Yield the files of a world: every scene with its duplicates, then the label conflict and the broken ones."""
    first: tuple[_File, Scene, Image.Image] | None = None
    for scene in scenes:
        image = render(scene)
        unsorted = scene.index % 10 == 3
        kinds = (["unsorted"] if unsorted else []) + (["rotated"] if scene.orientation != 1 else [])
        folder = "unsorted" if unsorted else scene.city
        photo = _File(f"{folder}/{scene.scene_id}.jpg", encode(scene, image), tuple(kinds))
        yield photo
        first = first or (photo, scene, image)
        if scene.index % 16 == 5:
            yield _reposted(photo, scene, image)
        if scene.index % 50 == 9:
            yield _File(f"{folder}/{scene.scene_id}-copy.jpg", photo.content, ("exact-copy",), photo.path)
    if first is not None and cities > 1:
        photo, scene, image = first
        liar = replace(scene, latitude=CITIES[1].latitude, longitude=CITIES[1].longitude, title="Not here at all")
        path = f"{CITIES[1].slug}/{scene.scene_id}-elsewhere.jpg"
        yield _File(path, encode(liar, altered(image, scene.seed), quality=70), ("label-conflict",), photo.path)
    yield from (_File(path, content, (kind,)) for kind, path, content in broken(seed))


def _reposted(photo: _File, scene: Scene, image: Image.Image) -> _File:
    """Return a near-duplicate as it is found: somebody else put a smaller, worse copy of the photo online."""
    other = replace(scene, author_id="sandbox:reposter", author_name="Reposter", title="my photo", orientation=1)
    content = encode(other, altered(image, scene.seed), quality=60)
    return _File(photo.path.replace(".jpg", "-repost.jpg"), content, ("near-duplicate",), photo.path)


def altered(image: Image.Image, seed: int) -> Image.Image:
    """Return the picture cropped by 2 %, at 80 % of its size, and a little darker or brighter."""
    width, height = image.size
    left, top = seed % 2 * round(width * 0.02), seed // 2 % 2 * round(height * 0.02)
    box = (left, top, left + width - round(width * 0.02), top + height - round(height * 0.02))
    small = image.resize((round(width * 0.8), round(height * 0.8)), Image.Resampling.LANCZOS, box=box)
    return ImageEnhance.Brightness(small).enhance(0.93 if seed // 4 % 2 else 1.07)


def region_text(cities: int) -> str:
    """Return the region file of the first `cities` cities, for `--region`; JSON's strings are TOML's."""
    note = "These pictures are drawn by t15, not photographed: results on them say nothing about real places."
    lines = ['name = "sandbox"', 'title = "Imaginary cities (drawn)"', f'note = "{note}"']
    for city in CITIES[:cities]:
        name = json.dumps(city.name, ensure_ascii=False)
        lines += ["", "[[city]]", f'slug = "{city.slug}"', f"name = {name}"]
        lines += [f"latitude = {city.latitude}", f"longitude = {city.longitude}", f"radius_km = {city.radius_km}"]
    return "\n".join(lines) + "\n"


def _read_me(seed: int, cities: int, photos_per_city: int) -> str:
    return (
        "Everything in this folder is drawn by a program. The cities, the people and the places do not exist.\n"
        "It is a stand-in for real photos: for a demo without a network, and for tests that must know the truth.\n"
        "Duplicates, false places and broken files are there on purpose.\n\n"
        f"Drawn by t15 with seed {seed}: {cities} cities, {photos_per_city} photos each. {CREDIT}.\n"
    )


# --- the files that must be rejected


BROKEN = (
    "truncated", "empty", "text", "animated", "tiny", "bomb", "no-exif", "gps-zero", "gps-undefined",
    "gps-no-reference", "gps-far-away",
)  # fmt: skip
"""The planted faults: files that are no usable photo lie in the first city's folder, misplaced photos in `unsorted`."""


def broken(seed: int) -> Iterator[tuple[str, str, bytes]]:
    """Yield kind, path and content of one file of every kind in BROKEN.

    Their scenes come from walks that no draw reaches.
    """
    spare = dict(zip(BROKEN, scenes_of(seed, 0, first_walk=1_000_000), strict=False))
    spare = {kind: replace(scene, orientation=1) for kind, scene in spare.items()}
    city, gps = CITIES[0].slug, ExifTags.GPS
    whole = encode(spare["truncated"])
    here = gps_tags(CITIES[0].latitude, CITIES[0].longitude)
    undefined = (IFDRational(0, 0),) * 3
    no_reference = {tag: value for tag, value in here.items() if tag in (gps.GPSLatitude, gps.GPSLongitude)}
    contents = {
        "truncated": whole[: len(whole) * 55 // 100],
        "empty": b"",
        "text": b"<!doctype html><title>404 Not Found</title>\n",
        "animated": _animation([render(spare["animated"]), render(spare["tiny"])]),
        "tiny": encode(spare["tiny"], render(spare["tiny"]).resize((16, 16))),
        "bomb": bomb(20_000),
        "no-exif": compress(render(spare["no-exif"])),
        "gps-zero": encode(spare["gps-zero"], gps=gps_tags(0.0, 0.0)),
        "gps-undefined": encode(
            spare["gps-undefined"], gps={**here, gps.GPSLatitude: undefined, gps.GPSLongitude: undefined}
        ),
        "gps-no-reference": encode(spare["gps-no-reference"], gps=no_reference),
        # The ocean's point farthest from land.
        "gps-far-away": encode(spare["gps-far-away"], gps=gps_tags(-48.9, -123.4)),
    }
    for kind in BROKEN:
        suffix = {"animated": "gif", "bomb": "png"}.get(kind, "jpg")
        folder = "unsorted" if kind == "no-exif" or kind.startswith("gps") else city
        yield kind, f"{folder}/broken-{kind}.{suffix}", contents[kind]


def _animation(frames: list[Image.Image]) -> bytes:
    buffer = io.BytesIO()
    same = [frame.resize((160, 120)) for frame in frames]
    same[0].save(buffer, "GIF", save_all=True, append_images=same[1:], duration=400)
    return buffer.getvalue()


def bomb(side: int) -> bytes:
    """Return a valid black PNG of `side` x `side` pixels, one bit each; at 20,000, 50 kB become 1.2 GB of RGB."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    packer, row = zlib.compressobj(9), bytes(1 + (side + 7) // 8)
    pixels = b"".join([*(packer.compress(row * 100) for _ in range(side // 100)), packer.flush()])
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
