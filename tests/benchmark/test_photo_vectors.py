"""The source of vectors that the collector is handed: turned photos, broken files, the best network that is here."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark.methods.scenes import SCENES
from benchmark.networks import weights
from benchmark.networks.backbones import find_backbone
from benchmark.photo_vectors import Source, best
from collector.catalogue.catalogue import open_catalogue
from collector.errors import UsageError
from collector.progress import silent
from collector.records import Photo
from collector.workspace import Workspace, write_atomically
from tests.collector.curating.test_assess import put
from tests.collector.curating.textures import texture


@pytest.fixture
def photos(workspace: Workspace) -> list[Photo]:
    plain = texture(1, (128, 128))
    made = [put(workspace, "a", plain), put(workspace, "turned", plain.transpose(Image.Transpose.ROTATE_90))]
    made.append(put(workspace, "other", texture(2, (200, 128))))
    broken = put(workspace, "broken", texture(3, (128, 128)))
    write_atomically(workspace.photo(str(broken.sha256)), b"\xff\xd8\xff no picture")
    gone = put(workspace, "gone", texture(4, (128, 128)))
    workspace.photo(str(gone.sha256)).unlink()
    with open_catalogue(workspace) as catalogue:
        assert len(catalogue.downloaded()) == 5
    return [*made, broken, gone]


def test_vectors_of_what_can_be_read(workspace: Workspace, photos: list[Photo]) -> None:
    name, rows, known = Source().vectors(workspace, photos, "gist", silent)
    assert name == "gist 64"
    assert known.tolist() == [True, True, True, False, False]
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 1, 1, 0, 0], abs=1e-5)


def test_vectors_of_several_stand_side_by_side(workspace: Workspace, photos: list[Photo]) -> None:
    (_, gist, _), (_, tiny, _) = (Source().vectors(workspace, photos, net, silent) for net in ("gist", "tiny"))
    name, rows, known = Source().vectors(workspace, photos, "gist, tiny", silent)
    assert (name, known.sum()) == ("gist 64, tiny 16", 3)
    assert rows == pytest.approx(np.hstack([gist, tiny]) / np.sqrt(2), abs=1e-6)
    with pytest.raises(UsageError, match="''"):
        Source().vectors(workspace, photos, "gist,", silent)


def test_turned_photos(workspace: Workspace, photos: list[Photo]) -> None:
    _, straight, _ = Source().vectors(workspace, photos, "gist", silent)
    _, turned, _ = Source().vectors(workspace, photos, "gist", silent, turn=1)
    assert turned[0] @ straight[1] > 0.98
    assert turned[0] @ straight[1] > straight[0] @ straight[1]


def test_the_best_network_that_is_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("T15_WEIGHTS", str(tmp_path))
    assert best() == "gist"
    here = {"resnet18/places365", "resnet50/imagenet"}
    monkeypatch.setattr(weights, "stored", lambda backbone: backbone.name in here or None)
    assert best() == "resnet50/imagenet"


def test_indoors_by_a_network_that_learnt_scenes(
    workspace: Workspace, photos: list[Photo], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("T15_WEIGHTS", str(tmp_path))
    assert Source().indoors(workspace, photos, silent) is None
    torch.manual_seed(0)
    network = find_backbone("resnet18/places365").build(365)
    with torch.no_grad():
        network.fc.weight.zero_()  # type: ignore[union-attr, operator]
        network.fc.bias.zero_()  # type: ignore[union-attr, operator]
    torch.save(network.state_dict(), tmp_path / "resnet18.pth")
    weights.add(find_backbone("resnet18/places365"), tmp_path / "resnet18.pth")
    found = Source().indoors(workspace, photos, silent)
    assert found is not None
    assert found[0].startswith("resnet18/places365 ")
    # Of 365 categories that are all as likely, as many as the list has indoors.
    assert found[1][:3] == pytest.approx(SCENES.count("i") / 365, abs=1e-5)
    assert np.isnan(found[1][3:]).all()


def test_inliers(workspace: Workspace, photos: list[Photo]) -> None:
    pytest.importorskip("cv2")
    pytest.importorskip("poselib")
    counts = Source().inliers(workspace, photos, [(0, 1), (0, 2), (0, 3)], silent)
    assert counts[0] > 10
    assert counts[1:] == [0, 0]


def test_a_mark_laid_over_two_pictures_is_no_view(workspace: Workspace) -> None:
    pytest.importorskip("cv2")
    pytest.importorskip("poselib")
    mark = texture(9, (320, 40))
    pictures = [texture(seed, (320, 240)) for seed in (1, 2)]
    view = texture(3, (400, 240))
    for picture in pictures:
        picture.paste(mark, (0, 200))
    shown = [*pictures, view.crop((0, 0, 320, 240)), view.crop((40, 0, 360, 240))]
    photos = [put(workspace, f"p{number}", picture) for number, picture in enumerate(shown)]
    counts = Source().inliers(workspace, photos, [(0, 1), (2, 3)], silent)
    assert counts[0] == 0
    assert counts[1] > 10
