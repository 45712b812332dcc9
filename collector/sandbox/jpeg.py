"""Writes a scene as the JPEG that a camera would leave behind: with EXIF, coordinates and orientation."""

import io
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from collector.sandbox.scenes import Scene, render

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
