"""The paper that the sandbox's pictures are drawn on: filled shapes in a city's colours, toned by the light of the day.

It has twice the final size and is reduced in the end, so that edges are smooth; lengths are pixels of that double size.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from PIL import Image, ImageDraw

from collector.sandbox.appearance import COMMON_ROOFS, COMMON_WALLS, LIGHTS, RGB, Look, Point, Shape

T = TypeVar("T")


class Canvas:
    """A picture in the making: its pen, its chance, and the colours that things have in its city and light."""

    def __init__(self, look: Look, light: str, month: int, size: tuple[int, int], seed: int) -> None:
        self.look = look
        self.rng = np.random.default_rng(seed)
        self.width, self.height = 2 * size[0], 2 * size[1]
        self.unit = min(self.width, self.height)
        self.image = Image.new("RGB", (self.width, self.height))
        self.pen = ImageDraw.Draw(self.image)
        sun = LIGHTS[light]
        self.zenith = mix(sun.zenith, look.sky, sun.of_look)
        self.horizon = sun.horizon
        warm, exposure = self.between(-0.04, 0.04), self.between(0.9, 1.06)  # cameras differ in both
        self.tint = tuple(t * exposure * w for t, w in zip(sun.tint, (1 + warm, 1.0, 1 - warm), strict=True))
        autumn, winter = max(0.0, 1 - abs(month - 10) / 2), max(0.0, 1 - min(month, 12 - month) / 2)
        self.leaves = mix(mix(look.plants, (190, 122, 52), 0.6 * autumn), (150, 142, 126), 0.5 * winter)
        self.grass = mix(mix(look.land, (186, 160, 96), 0.4 * autumn), (214, 216, 218), 0.4 * winter)

    def chance(self, probability: float) -> bool:
        """Return whether something of this probability happens."""
        return bool(self.rng.random() < probability)

    def between(self, low: float, high: float) -> float:
        """Return a number from `low` to `high` by chance."""
        return low + (high - low) * float(self.rng.random())

    def pick(self, options: Sequence[T]) -> T:
        """Return one of the options by chance."""
        return options[int(self.rng.random() * len(options))]

    def wall(self) -> RGB:
        """Return the colour of a wall: the city's own as a rule."""
        return self.pick(self.look.walls if self.chance(0.85) else COMMON_WALLS)

    def roof(self) -> RGB:
        """Return the colour of a roof: the city's own as a rule."""
        return self.pick(self.look.roofs if self.chance(0.85) else COMMON_ROOFS)

    def lit(self, colour: RGB, far: float = 0.0, vary: float = 10) -> RGB:
        """Return `colour` in this light, faded into the horizon by `far` (0 to 1) and varied by up to `vary`."""
        shift = self.between(-vary, vary)
        toned = [min(255, max(0, int(c * t + shift))) for c, t in zip(colour, self.tint, strict=True)]
        return mix((toned[0], toned[1], toned[2]), self.horizon, far * (0.3 + self.look.haze))

    def shape(self, shape: Shape, foot: Point, size: Point, colour: RGB) -> None:
        """Fill a unit shape whose box has its lower left corner at `foot` and the width and height `size`."""
        self.pen.polygon([(foot[0] + x * size[0], foot[1] - y * size[1]) for x, y in shape], fill=colour)

    def fill(self, points: Sequence[Point], colour: RGB) -> None:
        """Fill a polygon."""
        self.pen.polygon(points, fill=colour)

    def spot(self, left: float = 0, top: float = 0, right: float = 1, bottom: float = 1) -> Point:
        """Return a point by chance; the limits are fractions of the picture."""
        return self.between(left, right) * self.width, self.between(top, bottom) * self.height

    def length(self, low: float, high: float) -> float:
        """Return a length by chance; the limits are fractions of the picture's shorter side."""
        return self.between(low, high) * self.unit

    def box(self, left: float, top: float, right: float, bottom: float, colour: RGB) -> None:
        """Fill a rectangle; one without area is left out."""
        if right > left and bottom > top:
            self.pen.rectangle((left, top, right, bottom), fill=colour)

    def disc(self, x: float, y: float, across: float, high: float, colour: RGB) -> None:
        """Fill an ellipse around (x, y) with the half axes `across` and `high`, pixels."""
        self.pen.ellipse((x - across, y - high, x + across, y + high), fill=colour)


def mix(first: RGB, second: RGB, share: float) -> RGB:
    """Return the colour that lies between two, `share` (0 to 1) of the way to the second."""
    red, green, blue = (int(a + (b - a) * min(1.0, share)) for a, b in zip(first, second, strict=True))
    return red, green, blue
