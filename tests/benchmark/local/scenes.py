"""A drawn world: textured planes, each a place, seen by cameras that move. Gallery and queries as a method gets them."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.label_set import LabelSet
from benchmark.methods.types import Training
from benchmark.photos import GivenPictures, PhotoStore

SIDE = 128
METRES = 1 / 111_195
"""Of a degree of latitude."""


@cache
def plane(place: int, side: int = 2 * SIDE) -> Image.Image:
    """Return the texture of a place: patches, blots and edges that no other place has."""
    random = np.random.default_rng(1000 + place)
    coarse = Image.fromarray(random.integers(0, 256, (24, 24, 3), dtype=np.uint8)).resize((side, side), 0)
    fine = np.asarray(Image.fromarray(random.integers(0, 256, (64, 64, 3), dtype=np.uint8)).resize((side, side), 3))
    mixed = 0.6 * np.asarray(coarse, np.float64) + 0.4 * fine
    return Image.fromarray(mixed.clip(0, 255).astype(np.uint8))


def view(place: int, camera: int) -> Image.Image:
    """Return what a camera sees of a place: shifted, turned and tilted, a little differently for each camera."""
    return _view(place, camera).copy()


@cache
def _view(place: int, camera: int) -> Image.Image:
    random = np.random.default_rng([place, camera])
    texture = plane(place)
    corners = np.array([(40, 40), (40, 200), (200, 200), (200, 40)], np.float64)  # of a QUAD: counter-clockwise
    moved = corners + random.uniform(-14, 14, 2) + random.uniform(-8, 8, (4, 2))
    quad = tuple(float(value) for value in moved.ravel())
    return texture.transform((SIDE, SIDE), Image.Transform.QUAD, quad, Image.Resampling.BICUBIC)


def training(
    pictures: Sequence[Image.Image],
    places: Sequence[int],
    labels: Sequence[int] | None = None,
    order: Sequence[int] | None = None,
    store: PhotoStore | None = None,
) -> Training:
    """Return photos of places that lie 100 m from each other along a meridian; two labels, north and south, unless said."""
    order = list(range(len(pictures))) if order is None else list(order)
    of = np.array([places[row] for row in order])
    half = (max(places) + 1) / 2
    given = (
        np.array([int(place >= half) for place in of]) if labels is None else np.array([labels[row] for row in order])
    )
    where: NDArray[np.float64] = np.stack([100 * METRES * of, np.full(len(of), 33.0)], axis=1)
    classes = tuple(f"label-{number}" for number in range(max(2, int(given.max()) + 1)))
    centres = np.stack([np.arange(len(classes)), np.full(len(classes), 33.0)], axis=1)
    unknown = np.full(len(of), -1, np.int64)
    return Training(
        ids=tuple(f"drawn:{row}" for row in order),
        digests=("",) * len(of),
        store=store or GivenPictures(tuple(pictures[row] for row in order)),
        labels=given.astype(np.int64),
        classes=classes,
        label_set=LabelSet("city", classes, centres, np.full(len(classes), 5.0)),
        places=where,
        headings=np.full(len(of), np.nan),
        authors=unknown,
        sequences=unknown,
        times=np.full(len(of), np.nan),
        protocol="place",
    )


def world(count: int = 6, cameras: Sequence[int] = (0, 1, 2), order: Sequence[int] | None = None) -> Training:
    """Return views of `count` places, one for each camera."""
    places = [place for place in range(count) for _ in cameras]
    return training([view(place, camera) for place in range(count) for camera in cameras], places, order=order)


def blank(value: int = 128, size: tuple[int, int] = (SIDE, SIDE)) -> Image.Image:
    """Return a picture with nothing in it."""
    return Image.new("RGB", size, (value, value, value))
