"""Features: what they are, that they are kept, and odd photos."""

import builtins
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmark.local.keypoints import Features, Sift, extract_features, gathered, rootsift
from benchmark.local.verification import PairVerifier
from benchmark.photos import Photos, WorkspacePhotos, given_photos
from collector.errors import T15Error, UsageError
from collector.workspace import Workspace
from tests.benchmark.conftest import png, store
from tests.benchmark.local.scenes import blank, view

cv2 = pytest.importorskip("cv2")
SMALL = Sift(side=128, most=200)


def kept(workspace: Workspace, pictures: Sequence[Image.Image]) -> Photos:
    """Return pictures as photos of a workspace."""
    digests = tuple(store(workspace, png(picture)) for picture in pictures)
    return Photos(tuple(f"kept:{row}" for row in range(len(digests))), digests, WorkspacePhotos(workspace))


def same(first: Features, second: Features) -> bool:
    return np.array_equal(first.descriptors, second.descriptors) and np.array_equal(first.points, second.points)


def test_descriptors_are_roots_of_sift_as_bytes() -> None:
    picture = np.asarray(view(0, 0))
    keypoints, sift = cv2.SIFT_create(nfeatures=200, contrastThreshold=0.01).detectAndCompute(
        cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), None
    )
    features = rootsift(picture.transpose(2, 0, 1), SMALL)
    expected = np.rint(512 * np.sqrt(sift / sift.sum(axis=1, keepdims=True))).clip(0, 255)
    assert sorted(map(tuple, expected.astype(int)))[:200] == sorted(map(tuple, features.descriptors.astype(int)))
    assert {point.pt for point in keypoints} >= {(float(x), float(y)) for x, y in features.points[:, :2]}
    assert np.allclose((features.descriptors.astype(float) ** 2).sum(axis=1), 512**2, rtol=0.01)


def test_what_is_kept_is_what_is_computed_whatever_the_order(workspace: Workspace) -> None:
    pictures = [view(0, 0), blank(), view(1, 0), view(0, 0)]
    photos = kept(workspace, pictures)
    fresh, again = extract_features(photos, SMALL), extract_features(photos, SMALL)
    turned = extract_features(kept(workspace, pictures[::-1]), SMALL)[::-1]
    loose = extract_features(given_photos(pictures), SMALL)
    for one, two, three, four in zip(fresh, again, turned, loose, strict=True):
        assert same(one, two)
        assert same(one, three)
        assert same(one, four)
    assert [one.digest for one in fresh] == list(photos.digests)
    assert loose[0].digest == loose[3].digest != loose[2].digest


@pytest.mark.parametrize("other", [{"side": 96}, {"most": 100}, {"contrast": 0.2}])
def test_other_parameters_have_a_store_of_their_own(workspace: Workspace, other: dict[str, int]) -> None:
    photos = kept(workspace, [view(0, 0)])
    before = extract_features(photos, SMALL)[0]
    assert not same(before, extract_features(photos, replace(SMALL, **other))[0])
    assert SMALL.key["opencv"] == cv2.__version__


def test_a_photo_without_keypoints_is_normal(workspace: Workspace) -> None:
    for photos in (kept(workspace, [blank()]), given_photos([blank()])):
        features = extract_features(photos, SMALL)[0]
        assert len(features) == 0
        assert features.descriptors.shape == (0, 128)
        assert features.points.shape == (0, 4)
    assert extract_features(given_photos([]), SMALL) == []


@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 255))
def test_tiny_photos(width: int, height: int, value: int) -> None:
    random = np.random.default_rng(value)
    picture = Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))
    features = extract_features(given_photos([picture]), SMALL)[0]
    assert len(features) <= SMALL.most
    assert features.points.shape == (len(features), 4)


def test_panoramas_are_bounded() -> None:
    random = np.random.default_rng(0)
    patches = Image.fromarray(random.integers(0, 256, (8, 160, 3), dtype=np.uint8))
    picture = patches.resize((8000, 400), Image.Resampling.NEAREST)
    features = extract_features(given_photos([picture]), SMALL)[0]
    assert features.points[:, 0].max() < 4 * SMALL.side
    assert 50 < len(features) <= SMALL.most


def test_small_photos_stay_as_they_are() -> None:
    small = given_photos([view(0, 0)])
    assert same(extract_features(small, SMALL)[0], extract_features(small, replace(SMALL, side=480))[0])


@pytest.mark.parametrize("bad", [{"side": 8}, {"side": 10_000}, {"most": 0}, {"contrast": -1.0}])
def test_bad_parameters(bad: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="must be from"):
        Sift(**bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("package", ["cv2", "poselib"])
def test_a_missing_extra_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = extract_features(given_photos([view(0, 0), view(0, 1)]), SMALL)
    needs: dict[str, Callable[[], object]] = {
        "cv2": lambda: extract_features(given_photos([view(0, 0)]), SMALL),
        "poselib": lambda: PairVerifier(SMALL).counts(first, [second]),
    }
    real = builtins.__import__

    def without(name: str, *arguments: object, **named: object) -> object:
        if name == package:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        return real(name, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.delitem(sys.modules, package, raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(T15Error, match=r"pip install 't15\[local\]'"):
        needs[package]()


def test_real_views_have_features(real_data: Path) -> None:
    pictures = [Image.open(path) for path in sorted((real_data / "streetview_grid").glob("*.jpg"))[:2]]
    features = extract_features(given_photos([picture.convert("RGB") for picture in pictures]), Sift(side=320))
    assert all(len(one) > 400 for one in features)


def test_gathered_rows_are_those_of_the_whole() -> None:
    random = np.random.default_rng(0)
    parts = [random.integers(0, 256, (count, 4), dtype=np.uint8) for count in (3, 0, 5, 1)]
    rows = np.array([8, 0, 3, 2, 3, 7])
    assert np.array_equal(gathered(parts, rows), np.concatenate(parts)[rows])
    assert gathered(parts, rows[:0]).shape == (0, 4)
    assert gathered([], rows[:0]).shape == (0, 128)
