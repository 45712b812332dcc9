"""Perceptual hashes stay what they were."""

import io

import imagehash
import numpy as np
import PIL
import pytest
from PIL import Image, ImageFilter

from collector.curating.hashing import HASH_STAMP, Hashes, perceptual_hashes
from tests.conftest import picture


def formula(kind: str) -> Image.Image:
    """Return a picture that arithmetic alone defines."""
    y, x = np.mgrid[0:120, 0:160]
    grey = {
        "rings": ((x - 80) ** 2 + (y - 60) ** 2) // 40 % 256,
        "mixed": (x * 3 + y * y // 7) % 256,
        "fans": (x * x // 97 + x * y // 31) % 256,
        "product": x * y // 76,
    }[kind]
    return Image.fromarray(grey.astype(np.uint8))


GOLDEN = {
    "rings": Hashes("ff85aa80d0d5ab85", "0f0f0f0f0f0f0f0f"),
    "mixed": Hashes("a6a6a6ae0e0e5e5a", "e7ce31c63108c431"),
    "fans": Hashes("831c33362dab2bab", "fefcf9f3e6e5e9ca"),
    "product": Hashes("8a57845d927dd872", "ffffffffffffffff"),
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


def test_a_faint_picture_has_hashes() -> None:
    faint = Image.blend(picture(1), Image.new("RGB", (96, 80), "grey"), 0.7).filter(ImageFilter.GaussianBlur(2))
    assert perceptual_hashes(faint).phash is not None


def test_one_pixel_wide() -> None:
    assert perceptual_hashes(Image.new("RGB", (1, 1))) == Hashes(None, None)


def test_the_stamp_names_the_libraries() -> None:
    assert imagehash.__version__ in HASH_STAMP
    assert PIL.__version__ in HASH_STAMP
