"""The files of the sandbox's services: scenes as JPEGs in the sizes that a service offers, made when they are asked for."""

import io
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Literal

from PIL import Image, ImageDraw, ImageOps

from collector.errors import UsageError
from collector.sandbox.holdings import Item, Listing, chance, fitted
from collector.sandbox.scenes import Scene, altered, compress, encode, plan, render
from collector.sandbox.streetview_api import Panorama

Source = Literal["drawn", "pool"]
"""Where pictures come from: each is drawn (some 10 ms), or all are taken from a few, for tests of throughput."""

_POOL = 24


class Prints:
    """Makes files and keeps the latest. Safe to use from many threads."""

    def __init__(self, flickr: Listing, source: Source = "drawn", capacity: int = 64 << 20) -> None:
        """Prepare to print.

        Args:
            flickr: where the originals of copies are found.
            source: `drawn`, or `pool`: 24 pictures serve for all; a comment in each file keeps its bytes its own.
            capacity: bytes of files that are kept.

        Raises:
            UsageError: an unknown source.
        """
        if source not in ("drawn", "pool"):
            raise UsageError(f"sandbox: pictures come from 'drawn' or 'pool', not from {source!r}")
        self._flickr = flickr
        self._source = source
        self._capacity = capacity
        self._files: OrderedDict[tuple[object, ...], bytes] = OrderedDict()
        self._held = 0
        self._lengths: dict[tuple[int, bool], int] = {}
        self._lock = threading.Lock()

    def original(self, item: Item) -> bytes:
        """Return the file as it was uploaded: with EXIF, its pixels rotated where the scene's orientation says so."""
        if item.original is not None:
            data = self.reduced(self._flickr.by_number[item.original], max(item.size))
        else:
            data = self._kept(("original", item.number), lambda: self._original(item))
        return _repacked(data) if item.repacked else data

    def reduced(self, item: Item, longest: int, square: bool = False) -> bytes:
        """Return the file reduced to `longest` pixels on its longer side, upright and without EXIF.

        `square` cuts out the middle. A file that is not larger is only rewritten.
        """
        size = (longest, longest) if square else fitted(item.size, longest)
        data = self._reduced(item, size, square)
        return _repacked(data) if item.repacked else data

    def _reduced(self, item: Item, size: tuple[int, int], square: bool) -> bytes:
        if self._source == "pool":
            return self._pooled(str(item.number), size)

        def make() -> bytes:
            image = self._drawn(item.scene, item.altered)
            if square:
                side, (width, height) = min(image.size), image.size
                left, top = (width - side) // 2, (height - side) // 2
                image = image.crop((left, top, left + side, top + side))
            return _cut_off(item, compress(image.resize(size, Image.Resampling.BICUBIC), 82))

        return self._kept(("reduced", item.number, size), make)

    def length(self, item: Item) -> int:
        """Return the length of the original in bytes, which is made for it once."""
        key = (item.number, item.repacked)
        if key not in self._lengths:
            self._lengths[key] = len(self.original(item))
        return self._lengths[key]

    def panorama(self, there: Panorama, size: tuple[int, int], sector: int, fov: float) -> bytes:
        """Return what is seen from a panorama.

        Args:
            there: the panorama.
            size: width and height, pixels.
            sector: the eighth of the horizon that is looked at, 0 (north) to 7; each shows something else.
            fov: field of view, degrees; below 90 the middle is enlarged.
        """
        data = self._seen(there, size, sector, fov)
        return _repacked(data) if there.repacked else data

    def _seen(self, there: Panorama, size: tuple[int, int], sector: int, fov: float) -> bytes:
        if self._source == "pool":
            return self._pooled(f"{there.pano_id}@{sector}", size)

        def make() -> bytes:
            turned = int(chance("sector", there.scene.seed, sector) * 2**32)
            scene = replace(there.scene, seed=turned if sector else there.scene.seed, size=_drawing(size))
            image = render(scene)
            part = min(1.0, fov / 90)
            width, height = image.width * part, image.height * part
            left, top = (image.width - width) / 2, (image.height - height) / 2
            box = (left, top, left + width, top + height)
            return compress(image.resize(size, Image.Resampling.BICUBIC, box=box), 80)

        return self._kept((there.pano_id, size, sector, fov), make)

    def _original(self, item: Item) -> bytes:
        if self._source == "pool":
            return self._pooled(str(item.number), item.size)
        image = self._drawn(item.scene, item.altered)
        if image.size != item.size:
            image = image.resize(item.size, Image.Resampling.BICUBIC)
        return _cut_off(item, encode(item.scene, image, quality=60 if item.altered else 88))

    def _drawn(self, scene: Scene, worse: bool) -> Image.Image:
        image = render(scene)
        return altered(image, scene.seed) if worse else image

    @cached_property
    def _pool(self) -> list[Image.Image]:
        return [render(scene) for scene in plan(0, 8, _POOL // 8)]

    def _pooled(self, name: str, size: tuple[int, int]) -> bytes:
        number = int(chance("pool", name) * _POOL)
        with self._lock:
            pool = self._pool
        data = self._kept(
            ("pool", number, size), lambda: compress(pool[number].resize(size, Image.Resampling.BICUBIC), 75)
        )
        comment = name.encode()
        return data[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + data[2:]

    def _kept(self, key: tuple[object, ...], make: Callable[[], bytes]) -> bytes:
        with self._lock:
            if key in self._files:
                self._files.move_to_end(key)
                return self._files[key]
        data = make()  # two threads may make the same file at once: the bytes are the same
        with self._lock:
            if key not in self._files:
                self._files[key] = data
                self._held += len(data)
            while self._held > self._capacity and self._files:
                _, dropped = self._files.popitem(last=False)
                self._held -= len(dropped)
        return data


def no_imagery(size: tuple[int, int], year: int) -> bytes:
    """Return the picture that Street View sends for one that it does not have: grey, with two lines of text.

    The second line carries the year, so that no fixed hash finds it; about 97 % of the pixels are of one colour.
    """
    image = Image.new("RGB", size, (228, 227, 223))
    pen = ImageDraw.Draw(image)
    height = max(8, min(size) // 20)
    for line, text in enumerate(("Sorry, we have no imagery here.", f"© {year} Google")):
        at = (size[0] / 2, size[1] * (0.5 if line == 0 else 0.95))
        pen.text(at, text, fill=(150, 149, 146), font_size=height, anchor="mm")
    return compress(image, 80)


def unavailable() -> bytes:
    """Return the picture that Flickr's removed photos lead to: a PNG."""
    image = Image.new("RGB", (500, 374), (243, 245, 246))
    ImageDraw.Draw(image).text((250, 187), "This photo is no longer available", fill=(120, 120, 120), anchor="mm")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _repacked(data: bytes) -> bytes:
    """Return a JPEG compressed again, as services do with what they have held for years; upright and without EXIF."""
    with Image.open(io.BytesIO(data)) as image:
        return compress(ImageOps.exif_transpose(image), 55)


def _cut_off(item: Item, data: bytes) -> bytes:
    return data[: len(data) * 55 // 100] if item.kind == "corrupt" else data


def _drawing(size: tuple[int, int]) -> tuple[int, int]:
    """Return the size in which a picture of this size is drawn before it is enlarged: 256 pixels on its longer side."""
    return fitted(size, 256)
