"""Heat maps lie where the evidence is."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from benchmark.networks.backbones import Backbone, Preprocessing
from benchmark.networks.inference import TrainedNetwork
from benchmark.networks.recipe import Recipe
from benchmark.photos import GivenPictures, Photos
from benchmark.predicting.heatmap import heat_of, occlusion

RED, BLUE = 0, 1


def corner(width: int, height: int, box: tuple[int, int, int, int], colour: str = "red") -> Image.Image:
    """Return a grey picture with a patch (left, top, right, bottom)."""
    picture = Image.new("RGB", (width, height), "grey")
    picture.paste(colour, box)
    return picture


@dataclass(frozen=True)
class Redness:
    """Answers by the mean difference of red and blue."""

    asked: list[int]

    def predict_labels(self, photos: Photos) -> NDArray[np.float32]:
        pixels = photos.pixels(32).astype(np.float64)
        self.asked.append(len(pixels))
        red = 1 / (1 + np.exp(-(pixels[:, 0] - pixels[:, 2]).mean(axis=(1, 2)) / 10))
        return np.column_stack([red, 1 - red]).astype(np.float32)


def ask(predictor: Any) -> Any:
    return lambda photos: predictor.predict_labels(photos).astype(np.float64)


@pytest.mark.parametrize("box", [(0, 0, 40, 30), (120, 90, 160, 120), (120, 0, 160, 30), (60, 45, 100, 75)])
def test_covering_the_evidence_is_what_is_hot(box: tuple[int, int, int, int]) -> None:
    predictor = Redness([])
    heat = heat_of(predictor, corner(160, 120, box), RED, ask(predictor))
    assert heat.method == "occlusion"
    assert heat.values.shape == (8, 8)
    assert heat.values.max() == 1
    middle = ((box[1] + box[3]) / 2 / 15, (box[0] + box[2]) / 2 / 20)
    row, column = np.argwhere(heat.values > 0.99).mean(axis=0) + 0.5
    assert (abs(row - middle[0]), abs(column - middle[1])) <= (0.6, 1.1)
    assert heat.strength is not None
    assert 0.05 < heat.strength < 0.6
    assert heat.values.min() == 0
    assert sum(predictor.asked) == 50


def test_what_speaks_against_a_city_is_cold() -> None:
    predictor = Redness([])
    heat = heat_of(predictor, corner(160, 120, (0, 0, 40, 30)), BLUE, ask(predictor))
    assert heat.values[:2, :2].max() == 0


def test_a_plain_picture_has_no_heat() -> None:
    heat = occlusion(Image.new("RGB", (3, 200), "grey"), RED, ask(Redness([])))
    assert heat.values.max() == 0
    assert heat.strength == 0
    assert np.isfinite(heat.values).all()


def network(size: int = 64) -> TrainedNetwork:
    """Return a network whose first score is how red a photo is, the second how blue; its weights are frozen."""
    colours = nn.Conv2d(3, 2, 1, bias=False)
    colours.weight.data = torch.tensor([[1.0, -0.5, -0.5], [-0.5, -0.5, 1.0]]).view(2, 3, 1, 1)
    last = nn.Linear(2, 2, bias=False)
    last.weight.data = torch.eye(2)
    layers = nn.Sequential(colours, nn.ReLU(inplace=True), nn.AvgPool2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), last)
    layers.requires_grad_(False)
    backbone = Backbone(
        "colours",
        "Colours",
        lambda classes: layers,
        lambda of: list(of.children()),
        "5",
        preprocessing=Preprocessing(mean=(0.5,) * 3, std=(0.5,) * 3),
    )
    return TrainedNetwork(layers, backbone, Recipe("colours", size=size), "cpu", 2, ())


@pytest.mark.parametrize(
    ("width", "height", "box"),
    [(160, 120, (40, 20, 70, 50)), (120, 160, (70, 90, 100, 120)), (120, 120, (60, 60, 90, 100))],
)
def test_grad_cam_lies_on_the_evidence(width: int, height: int, box: tuple[int, int, int, int]) -> None:
    picture = corner(width, height, box)
    picture.paste("blue", (box[0] - 20, box[1], box[0] - 5, box[3]))  # evidence for the other city
    trained = network()
    heat = heat_of(trained, picture, RED, ask(trained))
    assert (heat.method, heat.strength) == ("grad-cam", None)
    rows, columns = heat.values.shape
    assert columns / rows == pytest.approx(width / height, rel=0.03)
    assert heat.values.max() == pytest.approx(1, abs=0.02)
    inside = np.zeros_like(heat.values, dtype=bool)
    left, top, right, bottom = (round(of * columns / width) for of in box)
    inside[top - 2 : bottom + 2, left - 2 : right + 2] = True
    assert heat.values[~inside].max() < 0.35
    assert heat.values[inside].mean() > 0.6


def test_outside_the_square_that_a_network_sees_there_is_no_heat() -> None:
    trained = network()
    heat = heat_of(trained, corner(400, 100, (0, 0, 400, 100)), RED, ask(trained))
    rows, columns = heat.values.shape
    edge = (columns - 64) // 2
    assert heat.values[:, : edge - 1].max() == 0
    assert heat.values[:, columns - edge + 1 :].max() == 0
    assert heat.values[rows // 2, columns // 2] == 1


def test_asking_for_heat_leaves_the_network_as_it_was() -> None:
    trained = network()
    photo = corner(160, 120, (40, 20, 70, 50))
    heat_of(trained, photo, RED, ask(trained))
    assert not any(layer._forward_hooks for layer in trained.network.modules())
    assert all(weight.grad is None and not weight.requires_grad for weight in trained.network.parameters())


def test_a_network_without_feature_maps_is_asked_by_covering() -> None:
    flat = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    backbone = Backbone("flat", "Flat", lambda classes: flat, lambda of: list(of.children()), "2")
    trained = TrainedNetwork(flat, backbone, Recipe("flat", size=32), "cpu", 2, ())
    assert heat_of(trained, corner(60, 40, (0, 0, 20, 20)), RED, ask(trained)).method == "occlusion"


def test_only_pixels_are_asked_about() -> None:
    seen: list[Photos] = []

    def note(photos: Photos) -> NDArray[np.float64]:
        seen.append(photos)
        return np.full((len(photos), 2), 0.5)

    picture = corner(60, 40, (0, 0, 20, 20))
    picture.info["exif"] = b"Exif\0\0secret"
    occlusion(picture, RED, note)
    stores = [photos.store for photos in seen]
    assert all(isinstance(store, GivenPictures) and not any(image.info for image in store.images) for store in stores)
