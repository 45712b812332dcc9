"""What measures come to as flags, and how files are measured, whatever is in them."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from collector.curating.quality import FLAGGED, FLAGS, Measures, NotMeasurableError, flags, measure_file
from collector.images.decode import FORMATS, quiet_decoders
from tests.conftest import PhotoBytes, picture

GOOD = Measures(
    lightest=200.0, white=0.0, smear=0.2, edge=1.0, detail=3.0, frame=0.1, toning=20.0, drawn=-6.0
)  # an ordinary photograph's


def raised(measures: Measures, width: int = 1024, height: int = 768) -> set[str]:
    scores = flags(measures, width, height)
    assert list(scores) == list(FLAGS)
    assert all(0 <= score <= 1 for score in scores.values())
    return {flag for flag, score in scores.items() if score >= FLAGGED}


def test_an_ordinary_photograph_has_none() -> None:
    assert raised(GOOD) == set()
    assert max(flags(GOOD, 1024, 768).values()) < 0.1


@pytest.mark.parametrize(
    ("flag", "values"),
    [
        ("dark", {"lightest": 99.0}),
        ("blown-out", {"white": 0.15}),
        ("blurred", {"smear": 0.5, "edge": 0.5}),
        ("low-information", {"detail": 1.4}),
        ("borders", {"frame": 0.85}),
        ("text-graphics", {"drawn": 0.1}),
        ("greyscale", {"toning": 2.0}),
    ],
)
def test_each_flag(flag: str, values: dict[str, float]) -> None:
    assert raised(replace(GOOD, **values)) == {flag}


@pytest.mark.parametrize(("width", "height"), [(1000, 349), (349, 1000)])
def test_odd_aspect(width: int, height: int) -> None:
    assert raised(GOOD, width, height) == {"odd-aspect"}
    assert raised(GOOD, 1000, 400) == raised(GOOD, 400, 1000) == set()


def test_tiny() -> None:
    assert raised(GOOD, 200, 127) == raised(GOOD, 127, 200) == {"tiny"}
    assert raised(GOOD, 200, 129) == set()
    assert raised(GOOD, 1, 1) == {"tiny"}


def test_white_paper_is_not_overexposed_and_flat_colour_not_blurred() -> None:
    assert raised(replace(GOOD, white=0.8, drawn=5.0)) == {"text-graphics"}
    assert raised(replace(GOOD, white=0.5, frame=1.0)) == {"borders"}
    assert raised(replace(GOOD, smear=0.6, edge=0.3, drawn=5.0)) == {"text-graphics"}


def test_both_signs_of_blur_are_needed() -> None:
    assert raised(replace(GOOD, smear=0.6)) == set()
    assert raised(replace(GOOD, edge=0.3)) == set()
    assert raised(replace(GOOD, smear=0.6, edge=-1.0)) == set()  # no edges: nothing to tell by


def test_scores_grow_with_what_they_tell_of() -> None:
    scores = [flags(replace(GOOD, lightest=level), 1024, 768)["dark"] for level in (255, 140, 100, 60, 20, 0)]
    assert scores == sorted(scores)
    assert (scores[0], scores[2], scores[-1]) == (0, FLAGGED, 1)


def test_a_file_is_measured_upright(tmp_path: Path, photo_bytes: PhotoBytes) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    path = tmp_path / "turned.jpg"
    path.write_bytes(photo_bytes(1, (600, 200), exif=exif))
    _, width, height = measure_file(path)
    assert (width, height) == (200, 600)


def test_large_and_small_copies_score_alike(tmp_path: Path) -> None:
    small = picture(4, (320, 240))
    scores = []
    for factor in (1, 2, 8):
        path = tmp_path / f"{factor}.jpg"
        small.resize((320 * factor, 240 * factor), Image.Resampling.BICUBIC).save(path, quality=92)
        measures, width, height = measure_file(path)
        assert (width, height) == (320 * factor, 240 * factor)
        scores.append(measures)
    for name in ("lightest", "toning", "detail"):
        values = [getattr(one, name) for one in scores]
        assert max(values) - min(values) < 0.25 * max(values)


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff no picture", b"GIF89a", b"\0" * 4096])
def test_what_cannot_be_measured(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)
    with pytest.raises(NotMeasurableError, match=r"."):
        measure_file(path)


def test_a_missing_file_is_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(NotMeasurableError, match="the file is missing"):
        measure_file(tmp_path / "none.jpg")


def test_a_truncated_photo(tmp_path: Path, photo_bytes: PhotoBytes) -> None:
    path = tmp_path / "cut.jpg"
    path.write_bytes(photo_bytes(0, (400, 300))[:4000])
    with pytest.raises(NotMeasurableError, match="truncated"):
        measure_file(path)


def test_a_huge_picture_is_not_decoded(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (12_000, 12_000)).save(path)
    with quiet_decoders(), pytest.raises(NotMeasurableError, match="12000 × 12000 pixels"):
        measure_file(path)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "F"])
def test_modes(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "one.tiff"
    grey = mode in ("I;16", "F")
    made = picture(2, (90, 70)).convert("L").convert("I") if grey else picture(2, (90, 70))
    made.convert(mode).save(path)
    assert "TIFF" in FORMATS
    measures, width, height = measure_file(path)
    assert (width, height) == (90, 70)
    assert set(flags(measures, width, height)) == set(FLAGS)


@pytest.mark.slow
def test_every_bad_file_is_accounted_for(real_data: Path, tmp_path: Path) -> None:
    """Hashing, quality and thumbnails: nothing crashes, nothing takes ten seconds or 500 MiB, and all three agree."""
    command = [sys.executable, "-m", "tests.collector.curating.every_bad_file", str(real_data / "bad"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    *files, mib = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(files) == sum(path.is_file() for path in (real_data / "bad").rglob("*")) > 1000
    assert mib < 500
    for name, hashed, measured, shown, seconds in files:
        assert seconds < 10, name
        assert (measured == "measured") == (shown == "shown"), name
        assert not hashed.startswith("hashed") or measured == "measured", name
        assert not measured.startswith("scores"), name
    assert sum(measured == "measured" for _, _, measured, _, _ in files) > 500
