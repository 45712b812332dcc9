"""Pictures as they are displayed: the one place that turns whatever a file holds into upright RGB."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps

VERSION = 1
"""Changes whenever the same file may give other pixels; part of the key of everything computed from pixels."""

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF")
"""Formats that are tried; Pillow's JPEG opener also takes MPO. Pillow knows more, among them EPS, which runs Ghostscript on
what it is given."""

MAX_PIXELS = 120_000_000
"""Width × height of the largest picture that is decoded. The largest phone sensors of 2026 have 200 million pixels, which
decoded take 600 MB."""

_SRGB = ImageCms.createProfile("sRGB")


def displayed(image: Image.Image, *, colour_managed: bool = False) -> Image.Image:
    """Return an opened picture as a viewer shows it: upright, RGB of 8 bits, on white where it is transparent.

    With `colour_managed` an embedded ICC profile is converted to sRGB; a profile that cannot be read is ignored.

    Raises:
        Exception: whatever Pillow raises on a broken file.
    """
    # Most pictures need nothing: neither a turn nor a conversion then copies the pixels.
    turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
    upright = ImageOps.exif_transpose(image) if turned else image
    profile = upright.info.get("icc_profile") if colour_managed else None
    picture = _eight_bits(upright)
    if picture.has_transparency_data:
        layered = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered)
    if profile and picture.mode in ("RGB", "CMYK", "L"):
        with suppress(ImageCms.PyCMSError, OSError, ValueError):
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(picture, source, _SRGB, outputMode="RGB")
            picture = converted or picture
    picture.load()
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def shown_size(image: Image.Image) -> tuple[int, int]:
    """Return width and height of an opened picture as `displayed` would turn it, in pixels; nothing is decoded."""
    sideways = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    return (image.height, image.width) if sideways else image.size


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
