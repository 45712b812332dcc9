"""Perceptual hashes stay what they were."""

import io
from pathlib import Path

import imagehash
import numpy as np
import PIL
import pytest
from PIL import ExifTags, Image, ImageFilter, ImageOps

from collector.images.decode import FORMATS, displayed, quiet_decoders
from collector.images.hashing import HASH_STAMP, Hashes, hash_picture, perceptual_hashes
from tests.conftest import picture


def formula(kind: str) -> Image.Image:
    """Return a picture that arithmetic alone defines."""
    y, x = np.mgrid[0:120, 0:160]
    grey = {
        "rings": ((x - 80) ** 2 + (y - 60) ** 2) // 15 % 256,
        "mixed": (x * 3 + y * y // 7) % 256,
        "fans": (x * x // 97 + x * y // 31) % 256,
        "product": x * y // 29 % 256,
    }[kind]
    return Image.fromarray(grey.astype(np.uint8))


GOLDEN = {
    "rings": Hashes("e5899a6918755975", "2b4d8e8e8e8e4d29"),
    "mixed": Hashes("a6a6a6ae0e0e5e5a", "e7ce31c63108c431"),
    "fans": Hashes("831c33362dab2bab", "fefcf9f3e6e5e9ca"),
    "product": Hashes("8639664953a4eb5b", "fffffffcf9f3e6cc"),
}


@pytest.mark.parametrize("kind", GOLDEN)
def test_golden_values(kind: str) -> None:
    assert perceptual_hashes(formula(kind)) == GOLDEN[kind]
    assert perceptual_hashes(formula(kind).convert("RGB")) == GOLDEN[kind]


@pytest.mark.parametrize("seed", range(5))
def test_they_are_those_of_imagehash(seed: int) -> None:
    made = picture(seed)
    assert perceptual_hashes(made) == Hashes(str(imagehash.phash(made)), str(imagehash.dhash(made)))


@pytest.mark.parametrize("seed", range(5))
def test_they_survive_what_the_web_does_to_photos(seed: int) -> None:
    original = picture(seed, (400, 300))
    buffer = io.BytesIO()
    original.resize((275, 206), Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=60)
    before, after = perceptual_hashes(original), perceptual_hashes(Image.open(buffer))
    assert apart(before.phash, after.phash) <= 4
    assert apart(before.dhash, after.dhash) <= 4


def test_different_pictures_are_far_apart() -> None:
    hashes = [perceptual_hashes(picture(seed)).phash for seed in range(20)]
    assert min(apart(a, b) for i, a in enumerate(hashes) for b in hashes[:i]) > 12


def apart(a: str | None, b: str | None) -> int:
    assert a is not None
    assert b is not None
    return (int(a, 16) ^ int(b, 16)).bit_count()


@pytest.mark.parametrize("colour", ["black", "white", "navy", "#808080"])
@pytest.mark.parametrize("noise", [0, 6])
def test_flat_pictures_have_none(colour: str, noise: int) -> None:
    flat = np.asarray(Image.new("RGB", (200, 150), colour), dtype=np.int16)
    random = np.random.default_rng(0)
    noisy = (flat + random.integers(-noise, noise + 1, flat.shape)).clip(0, 255).astype(np.uint8)
    assert perceptual_hashes(Image.fromarray(noisy)) == Hashes(None, None)


def gradient(kind: str) -> Image.Image:
    y, x = np.mgrid[0:120, 0:160]
    grey = {
        "across": x * 255 // 159,
        "down": y * 255 // 119,
        "aslant": (x + y) * 255 // 278,
        "round": ((x - 80) ** 2 + (y - 60) ** 2) // 40,
        "saddle": x * y // 76,
        "dusk": 255 * (y / 119) ** 3,
    }[kind]
    noise = np.random.default_rng(1).integers(-3, 4, grey.shape)
    return Image.fromarray((grey + noise).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("kind", ["across", "down", "aslant", "round", "saddle", "dusk"])
def test_gradients_have_none(kind: str) -> None:
    assert perceptual_hashes(gradient(kind)) == Hashes(None, None)
    assert hash_picture(opened(gradient(kind), quality=40))[1] == Hashes(None, None)


def test_a_gradient_with_something_in_it_has_hashes() -> None:
    sky = gradient("dusk")
    sky.paste(0, (60, 40, 100, 80))
    assert perceptual_hashes(sky).phash is not None


def test_ties_are_decided_as_imagehash_decides_them() -> None:
    """Of a symmetric picture half of the frequencies are zero but for rounding: only the same sums give the same bits."""
    half = picture(3).convert("L")
    for symmetric in (half.copy(), Image.new("L", half.size)):
        symmetric.paste(ImageOps.mirror(half.crop((0, 0, 48, 80))), (48, 0))
        symmetric.paste(half.crop((0, 0, 48, 80)), (0, 0))
        found = perceptual_hashes(symmetric)
        assert found == Hashes(str(imagehash.phash(symmetric)), str(imagehash.dhash(symmetric)))


def opened(made: Image.Image, **options: object) -> Image.Image:
    buffer = io.BytesIO()
    made.save(buffer, "JPEG", **options)
    return Image.open(buffer, formats=FORMATS)


@pytest.mark.parametrize("size", [(33, 40), (96, 80), (400, 300), (1100, 900)])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"keep_rgb": True}, {"subsampling": 2}])
def test_reduced_decoding_changes_few_bits(size: tuple[int, int], options: dict[str, object]) -> None:
    whole = perceptual_hashes(displayed(opened(picture(4, size), **options)))
    shown, found = hash_picture(opened(picture(4, size), **options))
    assert min(shown.size) >= 32
    assert apart(whole.phash, found.phash) + apart(whole.dhash, found.dhash) <= 8


@pytest.mark.parametrize("orientation", range(1, 9))
def test_hashes_are_those_of_the_upright_picture(orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    shown, found = hash_picture(opened(picture(5, (400, 300)), exif=exif))
    upright = displayed(opened(picture(5, (400, 300)), exif=exif))
    whole = perceptual_hashes(upright)
    assert (shown.width > shown.height) == (upright.width > upright.height)
    assert apart(whole.phash, found.phash) + apart(whole.dhash, found.dhash) <= 8


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_other_jpegs(mode: str) -> None:
    found = hash_picture(opened(picture(6, (400, 300)).convert(mode)))[1]
    whole = perceptual_hashes(picture(6, (400, 300)))
    assert apart(whole.phash, found.phash) + apart(whole.dhash, found.dhash) <= 8


def test_real_photos_have_the_hashes_of_imagehash(real_data: Path) -> None:
    paths = [*sorted(real_data.glob("capitals7/*/*.jpg"))[::20], *sorted(real_data.glob("exif/**/*.jpg"))[::6]]
    with quiet_decoders():
        for path in paths:
            with Image.open(path, formats=FORMATS) as image:
                shown = displayed(image)
            shown.thumbnail((700, 700), Image.Resampling.BOX)
            found = perceptual_hashes(shown)
            if found != Hashes(None, None):
                assert found == Hashes(str(imagehash.phash(shown)), str(imagehash.dhash(shown))), path
            elif "capitals7" in path.parts:
                pytest.fail(f"{path.name} is a photo with content")


def test_a_faint_picture_has_hashes() -> None:
    faint = Image.blend(picture(1), Image.new("RGB", (96, 80), "grey"), 0.7).filter(ImageFilter.GaussianBlur(2))
    assert perceptual_hashes(faint).phash is not None


def test_one_pixel_wide() -> None:
    assert perceptual_hashes(Image.new("RGB", (1, 1))) == Hashes(None, None)


def test_the_stamp_names_the_libraries() -> None:
    assert imagehash.__version__ in HASH_STAMP
    assert PIL.__version__ in HASH_STAMP
