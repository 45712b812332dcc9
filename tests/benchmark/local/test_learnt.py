"""Keypoints of networks behind the door of RootSIFT."""

from pathlib import Path

import numpy as np
import pytest

from benchmark.local.keypoints import extract_features
from benchmark.local.learnt import RULES, Detector
from benchmark.local.verification import PairVerifier, Rules, matches, squared_distances
from benchmark.networks.backbones import detectors
from benchmark.photos import given_photos
from collector.errors import UsageError
from tests.benchmark.local.scenes import blank, view

pytest.importorskip("torchvision")


def detector(name: str = "xfeat/megadepth", **changed: int) -> Detector:
    return Detector.of(name, **{"side": 128, "most": 80, **changed}, weights=None, digest=None, seed=0)


@pytest.mark.parametrize("name", detectors())
def test_features_are_bytes_in_the_photo(name: str) -> None:
    features = extract_features(given_photos([view(0, 0), blank(90, (32, 32)), blank(90, (700, 20))]), detector(name))
    assert len(features) == 3
    for one in features:
        assert one.descriptors.shape == (len(one), detector(name).width)
        assert one.descriptors.dtype == np.uint8
    assert (features[0].points[:, :2] <= 132).all()


def test_distances_are_those_of_the_descriptors() -> None:
    first, second = (extract_features(given_photos([view(0, camera)]), detector())[0] for camera in (0, 1))
    of = [(one.descriptors.astype(float) - 128) / 256 for one in (first, second)]
    wanted = 2 - 2 * of[0] @ of[1].T
    assert squared_distances(first.descriptors, second.descriptors) / 65536 == pytest.approx(wanted, abs=0.05)


def test_limits_and_weights_name_the_cache() -> None:
    assert detector().key != detector(most=81).key
    assert detector().key["weights"] == "random-0"
    with pytest.raises(UsageError, match="keypoints=0"):
        detector(most=0)
    with pytest.raises(UsageError, match="no network"):
        detector("no-such/weights")


def test_rules_of_networks() -> None:
    assert RULES["xfeat"].least == 35
    with pytest.raises(UsageError, match="ratio"):
        Rules(ratio=1.0)
    near = np.array([[128] * 64, [200] * 64], np.uint8)
    far = near + np.uint8(10)
    assert len(matches(near, far, 1.0)) == 2
    assert len(matches(near, far, 1.0, 64 * 100)) == 2
    assert len(matches(near, far, 1.0, 64 * 100 - 1)) == 0


def test_pairs_are_the_same_both_ways(tmp_path: Path) -> None:
    a, b = extract_features(given_photos([view(0, 0), view(0, 1)]), detector())
    verifier = PairVerifier(detector(), Rules(ratio=1.0, needed=8), tmp_path)
    assert np.array_equal(verifier.inliers([(a, b)])[0], verifier.inliers([(b, a)])[0][:, ::-1])
