"""The files of the imaginary world that must be rejected, one of every kind: broken ones, and photos without a place."""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace

from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from collector.sandbox.jpeg import compress, encode, gps_tags
from collector.sandbox.scenes import CITIES, render, scenes_of

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
        "bomb": _bomb(20_000),
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


def _bomb(side: int) -> bytes:
    """Return a valid black PNG of `side` x `side` pixels, one bit each; at 20,000, 50 kB become 1.2 GB of RGB."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    packer, row = zlib.compressobj(9), bytes(1 + (side + 7) // 8)
    pixels = b"".join([*(packer.compress(row * 100) for _ in range(side // 100)), packer.flush()])
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
