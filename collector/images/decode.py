"""The one place where a file becomes pixels, for collect, dedup, quality, review, bench, predict and serve.

A decoder's exception is not yet a bad photo: what is odd about the metadata costs the metadata (see `repair`), and the
orientation is read whatever else the EXIF holds. Nothing is written again to turn a picture.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

from collector.images import repair

VERSION = 1
"""Changes whenever the same file may give other pixels; part of the key of everything computed from pixels."""

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF")
"""Formats that are tried; Pillow's JPEG opener also takes MPO. Pillow knows more, among them EPS, which runs Ghostscript on
what it is given."""

MAX_PIXELS = 120_000_000
"""Width × height of the largest picture that is decoded. The largest phone sensors of 2026 have 200 million pixels, which
decoded take 600 MB."""

_SRGB = ImageCms.createProfile("sRGB")

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by its EXIF orientation (EXIF 3.0, 4.6.5.1.6)."""


def open_image(source: Path | bytes) -> Image.Image:
    """Open a picture in one of FORMATS without decoding it; to be closed, or used in a `with`.

    Raises:
        Exception: whatever Pillow raises on a file that is missing, broken or none of a picture.
    """
    try:
        return Image.open(repair.readable(source, MAX_PIXELS), formats=FORMATS)
    except UnidentifiedImageError:
        if _is_heif(source):
            enable_heif()
            return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=("HEIF",))
        bare = repair.without_metadata(source)
        if bare is None:
            raise
        return Image.open(bare, formats=FORMATS)


_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"heif", b"mif1", b"msf1")
"""Major brands of HEIF files whose pictures are HEVC (ISO/IEC 23008-12, annex B); those of AVIF are Pillow's own."""


def _is_heif(source: Path | bytes) -> bool:
    if isinstance(source, bytes):
        head = source[:12]
    else:
        with source.open("rb") as file:
            head = file.read(12)
    return head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS


@cache
def enable_heif() -> None:
    """Teach Pillow to read HEIF.

    Raises:
        UnidentifiedImageError: the package that does is not installed.
    """
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise UnidentifiedImageError("is a HEIC photo, which the extra heic reads: pip install 't15[heic]'") from error
    register_heif_opener(thumbnails=False)


def decode(source: Path | bytes, side: int | None = None, *, mode: str | None = None) -> Image.Image:
    """Return a photo as it is displayed, in sRGB.

    With `side` a JPEG may come out smaller, by 2, 4 or 8, but with at least `side` pixels on each side: its decoder then
    leaves out what resizing would take away (`Image.draft`). Resized to 64, 128 or 256 pixels, 20 camera photos differed by
    0.04 to 0.08 grey levels in the mean from fully decoded ones, and 300 thumbnails of 275×183 by 2.8, 0.01 and 0.

    Raises:
        Image.DecompressionBombError: it has more than MAX_PIXELS pixels.
        Exception: whatever Pillow raises on a file that is missing, broken or none of a picture.
    """
    with open_image(source) as image:
        if image.width * image.height > MAX_PIXELS:
            raise Image.DecompressionBombError(f"{image.width} × {image.height} pixels; {MAX_PIXELS} are the most")
        if side is not None:
            image.draft(mode, (side, side))
        return displayed(image, colour_managed=True)


def orientation(image: Image.Image) -> int:
    """Return how an opened picture is to be turned, 1 to 8 as EXIF has it; 1 where it says nothing that can be read.

    Numbers count, whatever type they are stored in; texts and bytes do not, as in browsers.

    Raises:
        Exception: whatever Pillow raises on a PNG with broken pixels, behind which its EXIF may be.
    """
    if image.format == "PNG" and "exif" not in image.info:
        image.load()  # `getexif` does so too; its error must not be taken for one of the EXIF, since Pillow raises it once
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
        return next((number for number in _TURNS if value == number), 1)
    except Exception:  # noqa: BLE001 (parsers of broken EXIF raise nearly anything: see exif.read_exif)
        return 1


def upright(image: Image.Image) -> Image.Image:
    """Return a picture turned as its EXIF says, the same one where it is upright; only pixels are moved."""
    image.load()  # turns a TIFF by itself, and says so in its EXIF
    turn = _TURNS.get(orientation(image))
    return image.transpose(turn) if turn is not None else image


def displayed(image: Image.Image, *, colour_managed: bool = False) -> Image.Image:
    """Return an opened picture as a viewer shows it: upright, RGB of 8 bits, on white where it is transparent.

    It has nothing of the file but its pixels. With `colour_managed` an embedded ICC profile is converted to sRGB; a profile
    that cannot be read is ignored.

    Raises:
        Exception: whatever Pillow raises on a broken file.
    """
    profile = image.info.get("icc_profile") if colour_managed else None
    picture = _eight_bits(upright(image))  # most pictures need nothing: neither then copies the pixels
    if picture.has_transparency_data:
        layered = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered)
    if profile and picture.mode in ("RGB", "CMYK", "L"):
        with suppress(ImageCms.PyCMSError, OSError, ValueError):
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(picture, source, _SRGB, outputMode="RGB")
            picture = converted or picture
    picture.load()
    picture = picture if picture.mode == "RGB" else picture.convert("RGB")
    picture.info.clear()  # a turned picture would be turned again, and a JPEG's comment written again
    return picture


def shown_size(image: Image.Image) -> tuple[int, int]:
    """Return width and height of an opened picture as `displayed` would turn it, in pixels; no JPEG is decoded."""
    if image.format == "TIFF":  # Pillow turns it, and tells the turned size
        return image.size
    return (image.height, image.width) if orientation(image) >= 5 else image.size


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Scale pictures of more than 8 bits a channel down; Pillow's own conversion clips them to white.

    `I;16*` holds 0 to 65535. `I` and `F` (seen in TIFF and PNG files) have no stated range: up to 1, 255 or 65535 is taken
    to be full, whichever is the first to hold the largest value.
    """
    if not picture.mode.startswith(("I", "F")):
        return picture
    values = np.nan_to_num(np.asarray(picture, dtype=np.float64), posinf=0.0, neginf=0.0)
    full = 65535.0
    if not picture.mode.startswith("I;16"):
        tops = (1.0, 255.0, 65535.0) if picture.mode == "F" else (255.0, 65535.0)
        full = next((top for top in tops if values.max(initial=0) <= top), float(values.max()))
    return Image.fromarray((values.clip(0) * (255.0 / full)).astype(np.uint8))


@contextmanager
def quiet_decoders() -> Iterator[None]:
    """Keep Pillow's warnings about odd files to itself, for the whole process, while decoding goes on in threads.

    What is wrong with a file is recorded with it. Python's warning filters are global, so this belongs around the work,
    not inside it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield
