"""What is written into a photo's EXIF can be read from it."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from collector.sandbox import scenes
from collector.sandbox.scenes import encode, plan, render


@pytest.mark.parametrize("text", [*scenes.HOSTILE, "小雨 Oak", "Дарья Élise"])
def test_exif_survives_a_round_trip(text: str) -> None:
    scene = replace(plan(0, 4, 9)[-1], author_name=text, title=text)
    assert scene.orientation == 6
    with Image.open(io.BytesIO(encode(scene))) as image:
        exif, gps = image.getexif(), image.getexif().get_ifd(ExifTags.IFD.GPSInfo)
        camera = exif.get_ifd(ExifTags.IFD.Exif)
        upright = ImageOps.exif_transpose(image)
    for tag in (ExifTags.Base.Artist, ExifTags.Base.ImageDescription):
        assert exif[tag].encode("latin-1").decode("utf-8") == text
    assert exif[ExifTags.Base.Copyright] == scenes.CREDIT
    assert camera[ExifTags.Base.DateTimeOriginal] == f"{scene.taken_at:%Y:%m:%d %H:%M:%S}"
    assert camera[ExifTags.Base.OffsetTimeOriginal] == "+00:00"
    assert (gps[ExifTags.GPS.GPSLatitudeRef], gps[ExifTags.GPS.GPSLongitudeRef]) == ("S", "W")
    for angle, degrees in ((ExifTags.GPS.GPSLatitude, scene.latitude), (ExifTags.GPS.GPSLongitude, scene.longitude)):
        parts = gps[angle]
        assert isinstance(parts, tuple)
        assert -sum(float(part) / 60**power for power, part in enumerate(parts)) == pytest.approx(degrees, abs=1e-6)
    assert upright.size == scene.size


def test_rotated_photos_are_upright_once_their_orientation_is_heeded() -> None:
    rotated = {scene.orientation: scene for scene in plan(0, 1, 20) if scene.orientation != 1}
    assert set(rotated) == {6, 8}
    for scene in rotated.values():
        drawn = np.asarray(render(scene), dtype=float)
        with Image.open(io.BytesIO(encode(scene, quality=95))) as image:
            assert image.size == scene.size[::-1]
            assert np.abs(np.asarray(ImageOps.exif_transpose(image), dtype=float) - drawn).mean() < 4
