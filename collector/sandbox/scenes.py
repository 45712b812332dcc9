"""An imaginary world of photos: plans who took what, where and when, and draws it into a folder.

Nothing here was photographed. The cities lie in the open ocean and their pictures are drawn (see painter.py), so that
the demo and the tests need no network, no key and no one's rights, and know the truth.

The `World` lists every duplicate and every broken file that is planted on purpose, so that tutorial and tests know the truth.
A scene depends on the seed, its city and its index alone: a larger draw begins with the smaller one.
"""

import io
import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import count, islice
from math import cos, pi, radians, sin, sqrt
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageEnhance
from PIL.TiffImagePlugin import IFDRational

from collector.errors import UsageError
from collector.geo import distances_km
from collector.progress import Track, silent
from collector.records import City
from collector.sandbox import land, painter

CITIES = (
    City("quellmora", "Quellmora", -2.0, -24.5, 15.0),
    City("tufgrad", "Tüfgrad", -2.0, -22.5, 15.0),
    City("dravenholt", "Dravenholt", -4.0, -23.5, 15.0),
    City("isquarra", "Isquarra", -4.0, -21.5, 15.0),
    City("vitrimond", "Vitrimond", -6.0, -24.5, 15.0),
    City("ombrika", "Ombrıka", -6.0, -22.5, 15.0),
    City("snovarra", "Snøvarra", -8.0, -23.5, 15.0),
    City("lotumai", "Lotumai", -8.0, -21.5, 15.0),
)
"""The imaginary cities, all in the open Atlantic and more than 200 km apart; their looks are `painter.LOOKS`."""

ALL_CITIES = (*CITIES, *land.LAND)
"""These, and the shires of the imaginary land, whose photos show what is there (`land.py`)."""

FIRST = (
    "Ada", "Bram", "Çağla", "Dov", "Élise", "Fenn", "Gül", "Hedda", "Ilse", "Jun", "Kofi", "Łucja", "Дарья", "Νίκη",
    "小雨", "Zoë",
)  # fmt: skip
LAST = (
    "Alder", "Birch", "Cedar", "Dogrose", "Elm", "Fern", "Gorse", "Hazel", "Ivy", "Juniper", "Kelp", "Larch", "Moss",
    "Nettle", "Oak", "Poppy",
)  # fmt: skip
HOSTILE = (  # titles and names of real services are like this
    "<script>alert(1)</script>",
    "\x1b[31mred\x1b[0m \x1b]0;owned\x07",
    "\u202eمدينة خيالية\u202c reversed",
    "long " * 60,
    'O\'Neil "quoted", `tick`; -- \\ %s {0}',
    "=HYPERLINK(1)",
    "line\nbreak\tand tab",
    "👩🏽‍🎨 Z͑ͫa̴l͡g̕o",
)
PHRASES = {
    "street": "A street in {}", "square": "Houses on a square, {}", "skyline": "{} from afar",
    "landscape": "Outside {}", "detail": "A window in {}", "interior": "A room", "table": "Lunch", "flowers": "Flowers",
    "land": "Somewhere in {}",
}  # fmt: skip
SIZES = ((256, 192), (256, 192), (256, 192), (192, 256), (192, 256), (256, 160), (224, 224))
_AUTHORS = 30  # a city's own; after them come ten travellers, who visit all cities
_FIRST_DAY = datetime(2019, 1, 1, tzinfo=UTC)
_METRES_PER_DEGREE = 111_195.0


@dataclass(frozen=True, slots=True)
class Scene:
    """One photo of the imaginary world, before it is drawn.

    Attributes:
        scene_id: `<city>-<index>`, stable.
        city: slug of the city in whose look it is drawn, or of a shire.
        index: its number within the city, from 0; what is planted goes by it.
        latitude, longitude: degrees WGS84, within 8 km of the city's centre, or in the shire.
        taken_at: UTC, 2019 to 2024.
        author_id: `sandbox:…`; few authors take many of a city's photos.
        author_name, title: hostile text now and then.
        seed: of the drawing.
        view: a name in `painter.VIEWS`, or `land`.
        light: a name in `painter.LIGHTS`.
        size: width and height as displayed, pixels.
        orientation: of the stored pixels, as EXIF has it: 1, 6 or 8.
    """

    scene_id: str
    city: str
    index: int
    latitude: float
    longitude: float
    taken_at: datetime
    author_id: str
    author_name: str
    title: str
    seed: int
    view: str
    light: str
    size: tuple[int, int]
    orientation: int


def plan(seed: int, cities: int = 8, photos_per_city: int = 150) -> list[Scene]:
    """Plan the photos of the first `cities` cities, city by city.

    Args:
        seed: at least 0; other seeds give other photos of the same cities.
        cities: 1 to 8.
        photos_per_city: at least 1.

    Raises:
        UsageError: a number is outside its range.
    """
    if not 1 <= cities <= len(CITIES):
        raise UsageError(f"sandbox: {cities} cities asked for; there are 1 to {len(CITIES)}")
    if photos_per_city < 1 or seed < 0:
        raise UsageError("sandbox: the photos per city are at least 1, and the seed is at least 0")
    return [scene for city in range(cities) for scene in islice(scenes_of(seed, city), photos_per_city)]


def scenes_of(seed: int, city: int, first_walk: int = 0) -> Iterator[Scene]:
    """Yield a city's photos without end, walk after walk; every walk has a generator of its own.

    Args:
        seed: as for `plan`.
        city: its number in ALL_CITIES.
        first_walk: where to begin; `plan` begins at 0.
    """
    index = 0
    for walk in count(first_walk):
        for scene in _walk(np.random.default_rng([seed, city, walk]), city, index):
            yield scene
            index += 1


def _walk(rng: np.random.Generator, city: int, index: int) -> Iterator[Scene]:
    """Yield one to six photos of one author, minutes and metres apart, the first with the number `index`."""
    place = ALL_CITIES[city]
    author_id, author_name = _author(rng, city)
    taken_at = _FIRST_DAY + timedelta(days=int(rng.integers(0, 1826)), seconds=int(rng.integers(7 * 3600, 20 * 3600)))
    overcast = rng.random() < 0.25
    heading, away, turn = rng.random() * 2 * pi, sqrt(rng.random()) * 6000, rng.random() * 2 * pi
    if place in land.LAND:
        away, turn = land.start(author_id, away / 6000, turn / (2 * pi))
    north, east = away * cos(turn), away * sin(turn)
    views, shares = list(painter.VIEWS), [share for share, _ in painter.VIEWS.values()]
    for step in range(int(rng.integers(1, 7))):
        number = index + step
        view = "land" if place in land.LAND else views[int(rng.choice(len(views), p=shares))]
        title = PHRASES[view].format(place.name) if number % 20 != 7 else HOSTILE[(city + number // 20) % len(HOSTILE)]
        yield Scene(
            scene_id=f"{place.slug}-{number:04d}",
            city=place.slug,
            index=number,
            latitude=round(place.latitude + north / _METRES_PER_DEGREE, 6),
            longitude=round(place.longitude + east / _METRES_PER_DEGREE / cos(radians(place.latitude)), 6),
            taken_at=taken_at,
            author_id=author_id,
            author_name=author_name,
            title=title,
            seed=int(rng.integers(0, 2**32)),
            view=view,
            light="overcast" if overcast else _light(taken_at),
            size=SIZES[int(rng.integers(0, len(SIZES)))],
            orientation={8: 6, 15: 8}.get(number % 16, 1),
        )
        taken_at += timedelta(seconds=int(rng.integers(40, 600)))
        heading += rng.normal() * 0.6
        stride = 15 + 120 * rng.random()
        north, east = north + stride * cos(heading), east + stride * sin(heading)


def _author(rng: np.random.Generator, city: int) -> tuple[str, str]:
    """Return id and name of a walk's author: by Zipf's law one of the city's own, now and then a traveller."""
    weight = 1 / np.arange(1, _AUTHORS + 1) ** 1.1
    rank = int(rng.choice(_AUTHORS, p=weight / weight.sum()))
    if rank == 2:
        return f"sandbox:{ALL_CITIES[city].slug}-{rank}", HOSTILE[city % len(HOSTILE)]
    traveller = rng.random() < 0.08
    number = len(CITIES) * _AUTHORS + rank % 10 if traveller else city * _AUTHORS + rank
    name = f"{FIRST[number % len(FIRST)]} {LAST[number // len(FIRST) % len(LAST)]}"
    return (f"sandbox:traveller-{rank % 10}" if traveller else f"sandbox:{ALL_CITIES[city].slug}-{rank}"), name


def _light(taken_at: datetime) -> str:
    hour = taken_at.hour + taken_at.minute / 60 - 1.5  # the sun's time at 22.5° W
    return "morning" if hour < 8.5 else "noon" if hour < 16 else "dusk"


def render(scene: Scene) -> Image.Image:
    """Draw the scene as it is displayed: RGB, `scene.size`. The same scene always gives the same pixels."""
    if scene.view == "land":
        small = (side * 96 // max(scene.size) for side in scene.size)
        return land.ground_photo(scene.latitude, scene.longitude, scene.seed, *small).resize(scene.size)
    return painter.paint(
        painter.LOOKS[scene.city],
        scene.view,
        light=scene.light,
        month=scene.taken_at.month,
        size=scene.size,
        seed=scene.seed,
    )


def aerial_picture(latitudes: NDArray[np.float64], longitudes: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return the world from above, (H, W, 3), at the latitude of each row (H,) and the longitude of each column (W,).

    It is the land's, and within a city's radius what its photos show: the look's ground, rocks, plants, roofs and sea, as
    often as they are in view. A city looks alike all over, from above as in its photos.
    """
    picture = land.aerial_picture(latitudes, longitudes)
    grid = np.stack(np.meshgrid(latitudes, longitudes, indexing="ij"), axis=-1).reshape(-1, 2)
    for city in CITIES:
        km = distances_km(grid[:, 0], grid[:, 1], city.latitude, city.longitude)
        inside = (km <= city.radius_km).reshape(picture.shape[:2])
        if inside.any():
            look = painter.LOOKS[city.slug]
            covers = (
                (0.002, 0.4 * look.p_rock, look.stone),
                (0.001, 0.5 * look.p_trees, look.plants),
                *((0.001, 0.3 / len(look.roofs), roof) for roof in look.roofs),
                (0.004, 0.4 * look.p_sea, look.sea),
            )
            ground = np.full(picture.shape, look.land, np.float64)
            plots = [(side, share, np.array(colour, np.float64)) for side, share, colour in covers]
            picture[inside] = land.scatter(ground, grid, plots)[inside]
    return picture


CREDIT = "CC0 1.0 (drawn, not photographed)"


def encode(
    scene: Scene, image: Image.Image | None = None, gps: Mapping[int, Any] | None = None, quality: int = 88
) -> bytes:
    """Return the scene as a JPEG with EXIF; its pixels are stored rotated where the scene's orientation says so.

    Artist and ImageDescription are UTF-8, which photo editors write although Exif says ASCII. Pillow reads Latin-1:
    `text.encode("latin-1").decode("utf-8")` gives back what was written.

    Args:
        scene: what the EXIF tells.
        image: the picture as displayed; drawn when None.
        gps: the EXIF GPS tags in place of the scene's coordinates.
        quality: of the JPEG, 1 to 95.
    """
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = scene.author_name.encode()
    exif[ExifTags.Base.ImageDescription] = scene.title.encode()
    exif[ExifTags.Base.Copyright] = CREDIT
    exif[ExifTags.Base.Orientation] = scene.orientation
    exif.get_ifd(ExifTags.IFD.Exif).update(
        {
            ExifTags.Base.DateTimeOriginal: scene.taken_at.strftime("%Y:%m:%d %H:%M:%S"),
            ExifTags.Base.OffsetTimeOriginal: "+00:00",
        }
    )
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(gps_tags(scene.latitude, scene.longitude) if gps is None else gps)
    stored = render(scene) if image is None else image
    if scene.orientation != 1:
        stored = stored.transpose(Image.Transpose.ROTATE_90 if scene.orientation == 6 else Image.Transpose.ROTATE_270)
    return compress(stored, quality, exif)


def compress(image: Image.Image, quality: int = 88, exif: Image.Exif | None = None) -> bytes:
    """Return the picture as a JPEG, without EXIF when none is given."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, exif=exif or b"")
    return buffer.getvalue()


def gps_tags(latitude: float, longitude: float) -> dict[int, Any]:
    """Return the EXIF GPS tags of a place: degrees, minutes and seconds to 1/1000 (3 cm), and the hemispheres."""

    def parts(degrees: float) -> tuple[IFDRational, ...]:
        thousandths = round(abs(degrees) * 3_600_000)
        minutes, seconds = divmod(thousandths, 60_000)
        return IFDRational(minutes // 60), IFDRational(minutes % 60), IFDRational(Fraction(seconds, 1000))

    return {
        ExifTags.GPS.GPSLatitudeRef: "S" if latitude < 0 else "N",
        ExifTags.GPS.GPSLatitude: parts(latitude),
        ExifTags.GPS.GPSLongitudeRef: "W" if longitude < 0 else "E",
        ExifTags.GPS.GPSLongitude: parts(longitude),
    }


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
