"""The picture of a density: its coloured areas are those of the map, wherever on Earth."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from benchmark.retrieval.density import density_map
from benchmark.retrieval.picture import colour_strengths, framed_view, to_png
from collector.geo import KM_PER_DEGREE
from tests.benchmark.retrieval.spheres import stated

CORNERS = ((41.0, 29.0), (0.0, 180.0), (-60.0, -179.9), (0.0, 0.0))


@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("sigma", [0.3, 40.0])
def test_coloured_areas_are_those_of_the_map(corner: tuple[float, float], sigma: float) -> None:
    drawn = density_map(stated(np.array([corner]), np.ones(1), sigma))
    view = framed_view(drawn, 200)
    strengths = colour_strengths(drawn, view, round(view.height))
    step = KM_PER_DEGREE / view.scale  # of a pixel from west to east at the equator
    km2 = step * np.cos(np.radians(corner[0])) * KM_PER_DEGREE / (view.scale * view.stretch)
    assert (strengths == 0.75).sum() * km2 == pytest.approx(drawn.area(0.5), rel=0.1)
    assert (strengths >= 0.4).sum() * km2 == pytest.approx(drawn.area(0.9), rel=0.1)
    middle = strengths[strengths.shape[0] // 2, strengths.shape[1] // 2]
    assert middle == 0.75
    assert strengths[0, 0] < 0.1


def pixels(content: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(content)))


def test_it_is_a_png_of_the_width_that_was_asked_for() -> None:
    places = np.array([[41.0, 179.9], [41.2, -179.8], [88.0, 10.0]])
    for chosen in (places[:2], places, places[2:]):
        content = to_png(density_map(stated(chosen, np.ones(len(chosen)), 15.0)), 160)
        assert content.startswith(b"\x89PNG")
        picture = pixels(content)
        assert picture.shape[1:] == (160, 3)
        assert (np.abs(picture.astype(int) - [160, 28, 28]).sum(axis=2) < 120).any()
    drawn = density_map(stated(places, np.ones(3), 15.0))
    assert to_png(drawn, 160) == to_png(density_map(stated(places, np.ones(3), 15.0)), 160)
    assert to_png(drawn, 160) != to_png(drawn, 160, {0.5: 0.7, 0.9: 0.99}) != to_png(drawn, 160, {0.9: 0.99})
    for width in (8, 10_000):
        with pytest.raises(ValueError, match="pixels wide"):
            to_png(drawn, width)
