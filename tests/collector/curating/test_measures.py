"""What pixels say of quality: each measure tells apart what it is for, and survives the odd."""

import io
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from collector.curating.quality import SIDE, Measures, measure, reduced
from collector.sandbox.scenes import plan, render
from tests.collector.curating.textures import texture
from tests.conftest import picture


@pytest.fixture(scope="module")
def scene() -> Image.Image:
    """Return a drawn street without a straight line across it."""
    return render(plan(0, 2, 12)[3]).convert("RGB")


def test_light() -> None:
    grey = Image.new("RGB", (100, 80), (90, 90, 90))
    assert measure(grey).lightest == 90
    lit = grey.copy()
    lit.paste((240, 240, 240), (0, 0, 100, 9))  # 11 %
    assert measure(lit).lightest == 240
    lit.paste((255, 255, 255), (0, 0, 100, 20))
    assert measure(lit).white == pytest.approx(0.25)


def test_blur_grows_with_blur_and_not_with_size() -> None:
    sharp = texture()
    found = [measure(sharp.filter(ImageFilter.GaussianBlur(sigma))) for sigma in (0, 1, 2, 4)]
    assert found[0].smear < 0.3
    assert min(one.smear for one in found[2:]) > found[1].smear > 0.38
    assert [one.edge for one in found] == sorted((one.edge for one in found), reverse=True)
    large = measure(sharp.resize((1280, 960), Image.Resampling.BICUBIC))
    assert large.smear == pytest.approx(found[0].smear, abs=0.1)


def test_the_edge_of_a_blurred_step() -> None:
    step = Image.new("L", (300, 200), 0)
    step.paste(255, (150, 0, 300, 200))
    for sigma in (2, 3):
        # The largest second derivative of the step over its largest central difference (not halved): 1 / (2 σ √e).
        found = measure(step.filter(ImageFilter.GaussianBlur(sigma)).convert("RGB"))
        assert found.edge == pytest.approx(1 / (2 * sigma * math.e**0.5), rel=0.2)
    assert measure(Image.new("RGB", (300, 200), (40, 50, 60))).edge == -1


def test_detail_is_in_gradients() -> None:
    sky = Image.linear_gradient("L").resize((320, 240)).convert("RGB")
    one_colour = Image.new("RGB", (320, 240), (200, 30, 30))
    assert measure(one_colour).detail == 0
    assert measure(sky).detail < 0.6
    assert measure(texture()).detail > 2


@pytest.mark.parametrize("turned", [False, True])
def test_frames_and_seams(turned: bool) -> None:
    made = texture()

    def found(one: Image.Image) -> float:
        return measure(one.transpose(Image.Transpose.ROTATE_90) if turned else one).frame

    assert found(made) < 0.3
    assert found(ImageOps.expand(made, 14, "white")) > 0.8
    letterbox = made.copy()
    letterbox.paste((0, 0, 0), (0, 0, 320, 30))
    assert found(letterbox) > 0.8
    collage = made.copy()
    collage.paste((255, 255, 255), (0, 118, 320, 122))
    assert found(collage) > 0.8


def test_toning() -> None:
    coloured = texture()
    grey = coloured.convert("L")
    sepia = ImageOps.colorize(grey, "#20120a", "#f4e4c4")
    assert measure(grey.convert("RGB")).toning < 0.5
    assert measure(sepia).toning < 2.8
    assert measure(coloured).toning > 8


def test_drawings_and_photographs(scene: Image.Image) -> None:
    page = Image.new("RGB", (300, 220), "white")
    draw = ImageDraw.Draw(page)
    for number in range(10):
        draw.text((20, 10 + 20 * number), "The quick brown fox jumps over the lazy dog", fill="black")
        draw.line((10, 25 + 20 * number, 290, 12 + 20 * number), fill=(200, 30, 30), width=2)
    assert measure(page).drawn > 2  # lossless, without any trace of JPEG
    small = io.BytesIO()
    page.save(small, "JPEG", quality=80)
    assert measure(Image.open(small)).drawn > 1
    for photo in (picture(3, (300, 220)), texture(), scene.point(lambda level: level // 2)):
        assert measure(photo).drawn < -2


def test_an_overexposed_photograph_is_not_drawn(real_data: Path) -> None:
    taken = []
    for path in sorted((real_data / "capitals7").glob("*/*.jpg"))[::25]:
        with Image.open(path) as image:
            photo = image.convert("RGB")
        if measure(photo).drawn < -4:
            taken.append(measure(photo.point(lambda level: min(255, level * 2))))
    assert len(taken) > 80
    assert sum(one.white > 0.12 for one in taken) > 0.8 * len(taken)
    assert sum(one.drawn > 0 for one in taken) < 0.05 * len(taken)


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (1, 4000), (4000, 1), (3, 3), (321, 17), (16, 16)])
@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (7, 200, 90)])
def test_any_size_and_colour(size: tuple[int, int], colour: tuple[int, int, int]) -> None:
    found = measure(Image.new("RGB", size, colour))
    assert all(math.isfinite(value) for value in asdict(found).values())


def test_noise_of_every_size() -> None:
    random = np.random.default_rng(1)
    for width, height in random.integers(1, 400, (12, 2)):
        noise = Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8), "RGB")
        assert all(math.isfinite(value) for value in asdict(measure(noise)).values())


def test_reduced() -> None:
    assert reduced(Image.new("RGB", (4000, 3000))).size == (SIDE, 240)
    assert reduced(Image.new("RGB", (100, 50))).size == (100, 50)
    assert reduced(Image.new("RGB", (4000, 10))).size == (SIDE, 16)


def test_they_stay_what_they_were() -> None:
    """Scores of other measures must not be compared: a change here needs another number in `quality.QUALITY_STAMP`."""
    y, x = np.mgrid[0:120, 0:160]
    planes = [(x * 3 + y * y // 7) % 256, x * y // 29 % 256, (x * x // 97 + x * y // 31) % 256]
    found = measure(Image.fromarray(np.dstack(planes).astype(np.uint8), "RGB"))
    assert asdict(found) == pytest.approx(asdict(GOLDEN), abs=1e-3)


GOLDEN = Measures(
    lightest=177.0,
    white=0.0,
    smear=0.363289,
    edge=1.028846,
    detail=1.496863,
    frame=0.0,
    toning=58.65994,
    drawn=-5.393126,
)
