"""Real files: whatever is wrong with them, each is answered or told of."""

from pathlib import Path

import pytest

from benchmark.predicting.answer import Answerer, answers
from benchmark.predicting.read_image import find_photos
from tests.benchmark.predicting.conftest import Cli, Trained, read


def test_bad_files_are_answered_or_told(trained: Trained, cli: Cli, real_data: Path) -> None:
    code, out, err = cli("predict", real_data / "bad", "--model", trained.file, "--json")
    told = read(out)["photos"]
    assert code == 5
    assert len(told) > 900
    failed = [one for one in told if "error" in one]
    assert 40 < len(failed) < 150
    assert all(len(one["error"]) < 400 and one["error"].isprintable() for one in failed)
    assert all(0 < one["confidence"] <= 1 for one in told if "error" not in one)
    assert "Traceback" not in err
    assert any("exceeds limit" in one["error"] or "are the most" in one["error"] for one in failed)


def test_bad_files_that_are_answered_can_be_explained(
    trained: Trained, cli: Cli, real_data: Path, tmp_path: Path
) -> None:
    pictures = [
        path
        for path in sorted((real_data / "bad" / "pillow").rglob("*"))
        if any(part in path.name.lower() for part in ("cmyk", "16bit", "16-bit", "1px", "dispose", "animated", "rgba"))
        and path.suffix.lower() in (".jpg", ".png", ".gif", ".tif", ".tiff", ".webp")
    ][:25]
    assert len(pictures) > 10
    code, out, err = cli("predict", *pictures, "--model", trained.file, "--json", "--explain", tmp_path / "pages")
    told = read(out)["photos"]
    assert code in (0, 5)
    assert len(list((tmp_path / "pages").glob("0*.html"))) == len([one for one in told if "error" not in one]) > 5
    assert "Traceback" not in err


@pytest.mark.parametrize("folder", ["exif/orientation", "exif/cameras"])
def test_cameras_photos_are_answered(answerer: Answerer, real_data: Path, folder: str) -> None:
    found = find_photos([str(real_data / folder)], stdin=None)  # type: ignore[arg-type]
    results = list(answers(answerer, found.photos))
    assert [result.source for result in results] == found.photos
    assert sum(result.answer is not None for result in results) > 0.8 * len(results)


def test_the_eight_orientations_are_one_picture(answerer: Answerer, real_data: Path) -> None:
    found = find_photos([str(real_data / "exif" / "orientation")], stdin=None)  # type: ignore[arg-type]
    landscapes = [source for source in found.photos if "andscape" in source.name]
    given = [result.answer for result in answers(answerer, landscapes)]
    shares = [{one.slug: one.probability for one in answer.candidates} for answer in given if answer]
    assert len(shares) >= 8
    for share in shares[1:]:  # JPEGs of turned pictures: a little noise is left
        assert all(abs(share[slug] - shares[0][slug]) < 0.02 for slug in share)
