"""Photos of phones: HEIC through the extra heic, and motion photos with a film behind the picture."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, UnidentifiedImageError

from collector.images import decode
from collector.images.decode import open_image
from collector.images.exif import read_exif
from collector.images.strip_metadata import stripped
from collector.images.validate import Limits, NotUsableError, examine
from tests.conftest import PhotoBytes

FILM = b"\0\0\0\x18ftypmp42\0\0\0\0isommp42\0\3\0\0mdat" + bytes(range(200)) * 1000


def picture() -> Image.Image:
    """A picture of squares with enough on it to have hashes."""
    squares = np.random.default_rng(7).integers(0, 255, (6, 10, 3), dtype=np.uint8)
    return Image.fromarray(np.kron(squares, np.ones((16, 16, 1), dtype=np.uint8)))


@pytest.fixture
def heic() -> bytes:
    heif = pytest.importorskip("pillow_heif", reason="the extra heic is not installed")
    heif.register_heif_opener()
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "Ayse"
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (39.9, 0.0, 0.0), 3: "E", 4: (32.8, 0.0, 0.0)})
    file = io.BytesIO()
    picture().save(file, "HEIF", exif=exif, quality=95)
    return file.getvalue()


def test_a_heic_photo_is_a_photo(heic: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(heic)
    found = examine(heic, Limits())
    assert (found.width, found.height, found.bytes) == (160, 96, len(heic))
    assert found.hashes.phash is not None
    for source in (heic, tmp_path / "a.heic"):
        pixels = np.asarray(decode.decode(source), dtype=int)
        assert np.abs(pixels - np.asarray(picture(), dtype=int)).mean() < 12
    with open_image(heic) as image:
        facts = read_exif(image)
    assert (facts.author, facts.latitude, facts.longitude) == ("Ayse", 39.9, 32.8)


@pytest.mark.parametrize("cut", [12, 40, 0.5])
def test_a_heic_photo_that_is_cut_off(heic: bytes, cut: float) -> None:
    with pytest.raises(NotUsableError) as caught:
        examine(heic[: int(cut if cut > 1 else cut * len(heic))], Limits())
    assert caught.value.reason in ("unreadable", "truncated")


def test_without_the_extra_it_is_said(heic: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise UnidentifiedImageError("is a HEIC photo, which the extra heic reads: pip install 't15[heic]'")

    monkeypatch.setattr(decode, "enable_heif", missing)
    with pytest.raises(NotUsableError, match=r"is a HEIC photo.*t15\[heic\]") as caught:
        examine(heic, Limits())
    assert caught.value.reason == "heic"


def test_a_motion_photo_is_its_picture(photo_bytes: PhotoBytes) -> None:
    still = photo_bytes(1, (160, 96))
    for film in (FILM, FILM[:900]):
        assert examine(still + film, Limits()).hashes == examine(still, Limits()).hashes
        assert np.array_equal(np.asarray(decode.decode(still + film)), np.asarray(decode.decode(still)))
        clean, format_ = stripped(still + film)
        assert format_ == "JPEG"
        assert b"ftypmp42" not in clean  # no film, and no sound, in what is published


def test_predict_and_serve_read_it_too(heic: bytes, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from benchmark.predicting.read_image import SUFFIXES, Source, read_photo
    from benchmark.serving.decoding import Decoder
    from benchmark.serving.limits import Limits as Serving

    (tmp_path / "a.heic").write_bytes(heic)
    assert ".heic" in SUFFIXES
    seen = np.asarray(read_photo(Source("a.heic", tmp_path / "a.heic"), 64))
    decoder = Decoder(Serving())
    try:
        served = np.asarray(decoder.decode(heic, 64))
    finally:
        decoder.close()
    assert np.array_equal(seen, served)
