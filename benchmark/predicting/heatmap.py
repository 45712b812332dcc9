"""Where in a photo an answer comes from.

Grad-CAM for networks that learnt, matching keypoints for methods that compare these with a gallery's, occlusion for every
other predictor.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from benchmark.methods.place_recognition import GalleryPredictor
from benchmark.methods.types import Predictor
from benchmark.photos import Photos, given_photos

if TYPE_CHECKING:
    from benchmark.networks.inference import TrainedNetwork

METHODS = {
    "grad-cam": "Grad-CAM on the last feature map (R. R. Selvaraju et al., ICCV 2017)",
    "keypoints": "keypoints that match the first photos of the gallery by one move of the camera (no colour: none do)",
    "occlusion": "occlusion: what is lost when a window is grey (M. D. Zeiler, R. Fergus, ECCV 2014, section 4.1)",
}
"""How a heat map may come about, and whose idea it is."""

_GRID = 8  # cells a side; a window covers 2 × 2 of them, so that there are 49 questions to the predictor
_FINE = 32  # cells a side in which keypoints are counted
_LARGEST = 320  # pixels of the longer side of a picture that is covered window by window
_WINDOWS_AT_ONCE = 16

Ask = Callable[[Photos], NDArray[np.float64]]
"""Returns the calibrated probabilities (N, C)."""


@dataclass(frozen=True, slots=True)
class Heat:
    """A heat map over a photo: `values` (H, W) float32 from 0 to 1, and how it was found; see `answer.Explanation`."""

    values: NDArray[np.float32]
    method: str
    strength: float | None = None


def heat_of(predictor: Predictor, image: Image.Image, city: int, ask: Ask) -> Heat:
    """Return what in a picture speaks for a city, by the best method that there is for the predictor.

    Args:
        predictor: that answered.
        image: upright, RGB.
        city: position of the class.
        ask: for probabilities of other pictures.
    """
    if all(hasattr(predictor, name) for name in ("network", "backbone", "recipe")):
        found = grad_cam(predictor, image, city)  # type: ignore[arg-type]
        if found is not None:
            return found
    if isinstance(predictor, GalleryPredictor):
        points = predictor.matching_points(given_photos([image]))
        if points is not None:
            return keypoint_heat(points)
    return occlusion(image, city, ask)


def keypoint_heat(points: NDArray[np.float64]) -> Heat:
    """Return how densely points lie, (n, 2) as shares of a photo's width and height; 0 everywhere where there are none."""
    counts = np.histogram2d(points[:, 1], points[:, 0], bins=_FINE, range=((0, 1), (0, 1)))[0]
    dense = gaussian_filter(counts, 1.0)
    return Heat((dense / (dense.max() or 1)).astype(np.float32), "keypoints")


def occlusion(image: Image.Image, city: int, ask: Ask) -> Heat:
    """Return how much of the city's probability is lost where a window of the picture is covered with its mean colour.

    A place's heat is the mean loss over the windows that cover it; where the probability rises instead it is 0. The hottest
    place is 1, and `strength` is its loss.
    """
    small = image.copy()
    small.thumbnail((_LARGEST, _LARGEST))
    pixels = np.asarray(small)
    mean = pixels.reshape(-1, 3).mean(axis=0).round().astype(np.uint8)
    rows, columns = (np.linspace(0, length, _GRID + 1).round().astype(int) for length in pixels.shape[:2])
    before = ask(given_photos([small]))[0, city]
    lost, covered = np.zeros((_GRID, _GRID)), np.zeros((_GRID, _GRID))
    windows = [(i, j) for i in range(_GRID - 1) for j in range(_GRID - 1)]
    for at in range(0, len(windows), _WINDOWS_AT_ONCE):
        chosen = windows[at : at + _WINDOWS_AT_ONCE]
        pictures = []
        for i, j in chosen:
            copy = pixels.copy()
            copy[rows[i] : rows[i + 2], columns[j] : columns[j + 2]] = mean
            pictures.append(Image.fromarray(copy))
        for (i, j), after in zip(chosen, ask(given_photos(pictures))[:, city], strict=True):
            lost[i : i + 2, j : j + 2] += before - after
            covered[i : i + 2, j : j + 2] += 1
    heat = np.maximum(lost / covered, 0)
    strength = float(heat.max())
    return Heat((heat / (strength or 1)).astype(np.float32), "occlusion", strength)


def grad_cam(predictor: "TrainedNetwork", image: Image.Image, city: int) -> Heat | None:
    """Return the last feature map, its channels weighted by the mean gradient of the city's score, where positive.

    The network sees the central square of a photo: outside it the heat is 0. None for a network without feature maps.
    """
    import torch

    from benchmark.networks.inference import CentreCrops, standardised

    recipe, photo = predictor.recipe, given_photos([image])
    pixels = CentreCrops(photo, predictor.preprocessing)[:].to(predictor.device).float() / 255
    crop = standardised(pixels, predictor.backbone)
    maps: list[torch.Tensor] = []
    layers = predictor.backbone.layers(predictor.network)
    handles = [layer.register_forward_hook(lambda _, __, out: maps.append(out)) for layer in layers]
    try:
        with torch.enable_grad():
            # Frozen weights have no gradient; through the pixels there is always one.
            score = predictor.network.eval()(crop.requires_grad_())[0, city]
            wide = [out for out in maps if out.dim() == 4 and min(out.shape[2:]) > 1]
            gradient = torch.autograd.grad(score, wide[-1])[0] if wide else None
    finally:
        for handle in handles:
            handle.remove()
    if gradient is None:
        return None
    weighted = (gradient.mean(dim=(2, 3), keepdim=True) * wide[-1]).sum(dim=1)[0].relu()
    values = weighted.detach().cpu().numpy().astype(np.float64)
    return Heat(_placed(values / (values.max() or 1), image, recipe.size, predictor.preprocessing.resize), "grad-cam")


def _placed(values: NDArray[np.float64], image: Image.Image, size: int, resize: int) -> NDArray[np.float32]:
    """Return the heat of a central square of `size` pixels over the whole picture, its shorter side `resize` pixels."""
    height, width = given_photos([image]).pictures(resize)[0].shape[1:]
    square = Image.fromarray(values.astype(np.float32)).resize((size, size), Image.Resampling.BILINEAR)
    whole = np.zeros((height, width), np.float32)
    # torchvision's CenterCrop rounds half a pixel to even.
    top, left = round((height - size) / 2), round((width - size) / 2)
    whole[top : top + size, left : left + size] = np.asarray(square).clip(0, 1)
    return whole
