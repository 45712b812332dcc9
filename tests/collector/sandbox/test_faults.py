"""The planted faults are broken as they claim to be."""

import io

import pytest
from PIL import ExifTags, Image, UnidentifiedImageError

from collector.sandbox import scenes as faults
from collector.sandbox.scenes import World


def opened(world: World, kind: str) -> Image.Image:
    return Image.open(world.root / "photos" / world.planted[kind][0])


def gps_of(image: Image.Image) -> dict[int, object]:
    return dict(image.getexif().get_ifd(ExifTags.IFD.GPSInfo))


def test_broken_files_are_broken_as_said(world: World) -> None:
    with opened(world, "truncated") as image, pytest.raises(OSError, match="truncated"):
        image.load()
    assert (world.root / "photos" / world.planted["empty"][0]).stat().st_size == 0
    for kind in ("empty", "text"):
        with pytest.raises(UnidentifiedImageError):
            opened(world, kind)
    with opened(world, "animated") as image:
        assert (image.format, image.info["duration"], getattr(image, "n_frames", 1)) == ("GIF", 400, 2)
    with opened(world, "tiny") as image:
        assert image.size == (16, 16)
    assert (world.root / "photos" / world.planted["bomb"][0]).stat().st_size < 100_000
    with pytest.raises(Image.DecompressionBombError):
        opened(world, "bomb")


def test_a_bomb_of_harmless_size_is_a_valid_picture() -> None:
    with Image.open(io.BytesIO(faults.bomb(200))) as image:
        image.load()
        assert (image.size, image.getextrema()) == ((200, 200), (0, 0))


def test_misplaced_photos_are_misplaced_as_said(world: World) -> None:
    with opened(world, "no-exif") as image:
        assert "exif" not in image.info
        image.load()
    latitude, longitude, reference = (
        ExifTags.GPS.GPSLatitude,
        ExifTags.GPS.GPSLongitude,
        ExifTags.GPS.GPSLatitudeRef,
    )
    with opened(world, "gps-zero") as image:
        assert gps_of(image)[latitude] == gps_of(image)[longitude] == (0, 0, 0)
    with opened(world, "gps-undefined") as image:
        parts = gps_of(image)[latitude]
        assert isinstance(parts, tuple)
        assert [(part.numerator, part.denominator) for part in parts] == [(0, 0)] * 3
    with opened(world, "gps-no-reference") as image:
        assert latitude in gps_of(image)
        assert reference not in gps_of(image)
    with opened(world, "gps-far-away") as image:
        parts = gps_of(image)[latitude]
        assert isinstance(parts, tuple)
        assert parts[0] == 48
