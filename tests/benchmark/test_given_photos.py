"""Pictures that lie in no workspace: the same pixels as the benchmark's, and nothing kept."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark.features.extract import Feature, extract
from benchmark.methods.features import feature
from benchmark.photos import WorkspacePhotos, given_photos, photos_of
from collector.images.decode import MAX_PIXELS, decode, quiet_decoders
from tests.benchmark.conftest import World, paint, png


def test_pixels_are_those_of_the_workspaces_photos(world: World) -> None:
    stored = photos_of(world.manifest, "test", WorkspacePhotos(world.workspace))
    given = given_photos([decode(world.workspace.photo(digest), 16) for digest in stored.digests])
    assert len(given) == len(stored) == 6
    for rule in ("squash", "cover"):
        np.testing.assert_array_equal(given.pixels(16, rule), stored.pixels(16, rule))
        np.testing.assert_array_equal(given.pixels(16, rule, [4, 1]), stored.pixels(16, rule, [4, 1]))
    for one, other in zip(given.pictures(16), stored.pictures(16), strict=True):
        np.testing.assert_array_equal(one, other)
    assert given.pixels(16, rows=[]).shape == given_photos([]).pixels(16).shape == (0, 3, 16, 16)
    assert given_photos([]).pictures(16) == []


@pytest.mark.parametrize("kind", ["tiny", "hog-l2hys"])
def test_features_of_given_photos_are_kept_nowhere(world: World, tmp_path: Path, kind: str) -> None:
    stored = photos_of(world.manifest, "test", WorkspacePhotos(world.workspace))
    given = given_photos([decode(world.workspace.photo(digest), 32) for digest in stored.digests])
    of = feature(kind, 32)
    before = sorted(tmp_path.rglob("*"))
    found = extract(of, given, "cpu")
    assert sorted(tmp_path.rglob("*")) == before
    np.testing.assert_array_equal(found, extract(of, stored, "cpu"))


def test_each_given_photo_has_its_own_feature() -> None:
    """No digest tells them apart, which is what features of a workspace's photos are kept by."""
    mean = Feature("mean", lambda photos: photos.float().mean(dim=(2, 3)), 8, 1)
    found = extract(mean, given_photos([paint(seed, seed) for seed in range(3)]), "cpu")
    assert len({tuple(row) for row in found.round().tolist()}) == 3
    assert torch.from_numpy(found).shape == (3, 3)


def test_a_picture_that_is_too_large_is_not_decoded(tmp_path: Path) -> None:
    side = int(MAX_PIXELS**0.5) + 1
    (tmp_path / "bomb.png").write_bytes(png(Image.new("1", (side, side))))
    said = f"{side} × {side} pixels; {MAX_PIXELS} are the most"
    with quiet_decoders(), pytest.raises(Image.DecompressionBombError, match=said):
        decode(tmp_path / "bomb.png")
