"""An imaginary world of photos: plans who took what, where and when.

Nothing here was photographed. The cities lie in the open ocean and their pictures are drawn (see painter.py), so that
the demo and the tests need no network, no key and no one's rights, and know the truth.

A scene depends on the seed, its city and its index alone: a larger draw begins with the smaller one.
"""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import count, islice
from math import cos, pi, radians, sin, sqrt
from typing import Any

import numpy as np
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from collector.errors import UsageError
from collector.records import City
from collector.sandbox import appearance, painter

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
"""The imaginary cities, all in the open Atlantic and more than 200 km apart; their looks are `appearance.LOOKS`."""

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
        city: slug of the city in whose look it is drawn.
        index: its number within the city, from 0; what is planted goes by it.
        latitude, longitude: degrees WGS84, within 8 km of the city's centre.
        taken_at: UTC, 2019 to 2024.
        author_id: `sandbox:…`; few authors take many of a city's photos.
        author_name, title: hostile text now and then.
        seed: of the drawing.
        view: a name in `painter.VIEWS`.
        light: a name in `appearance.LIGHTS`.
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
        city: its number in CITIES.
        first_walk: where to begin; `plan` begins at 0.
    """
    index = 0
    for walk in count(first_walk):
        for scene in _walk(np.random.default_rng([seed, city, walk]), city, index):
            yield scene
            index += 1


def _walk(rng: np.random.Generator, city: int, index: int) -> Iterator[Scene]:
    """Yield one to six photos of one author, minutes and metres apart, the first with the number `index`."""
    place = CITIES[city]
    author_id, author_name = _author(rng, city)
    taken_at = _FIRST_DAY + timedelta(days=int(rng.integers(0, 1826)), seconds=int(rng.integers(7 * 3600, 20 * 3600)))
    overcast = rng.random() < 0.25
    heading, away, turn = rng.random() * 2 * pi, sqrt(rng.random()) * 6000, rng.random() * 2 * pi
    north, east = away * cos(turn), away * sin(turn)
    views, shares = list(painter.VIEWS), [share for share, _ in painter.VIEWS.values()]
    for step in range(int(rng.integers(1, 7))):
        number = index + step
        view = views[int(rng.choice(len(views), p=shares))]
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
        return f"sandbox:{CITIES[city].slug}-{rank}", HOSTILE[city % len(HOSTILE)]
    traveller = rng.random() < 0.08
    number = len(CITIES) * _AUTHORS + rank % 10 if traveller else city * _AUTHORS + rank
    name = f"{FIRST[number % len(FIRST)]} {LAST[number // len(FIRST)]}"
    return (f"sandbox:traveller-{rank % 10}" if traveller else f"sandbox:{CITIES[city].slug}-{rank}"), name


def _light(taken_at: datetime) -> str:
    hour = taken_at.hour + taken_at.minute / 60 - 1.5  # the sun's time at 22.5° W
    return "morning" if hour < 8.5 else "noon" if hour < 16 else "dusk"


def render(scene: Scene) -> Image.Image:
    """Draw the scene as it is displayed: RGB, `scene.size`. The same scene always gives the same pixels."""
    return painter.paint(
        appearance.LOOKS[scene.city],
        scene.view,
        light=scene.light,
        month=scene.taken_at.month,
        size=scene.size,
        seed=scene.seed,
    )


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
