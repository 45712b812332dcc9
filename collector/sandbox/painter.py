"""Draws the sandbox's pictures: imaginary streets and landscapes in the look of an imaginary city.

What is in a picture is in VIEWS; the things in it are drawn below, in the colours of LOOKS, on a canvas of twice the
final size that is reduced in the end, so that edges are smooth. Lengths are pixels of that double size: `base` is the height
of a thing's foot, `size` its height; `far` fades it into the distance, 0 to 1.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import cos, pi, sin
from typing import TypeVar

import numpy as np
from PIL import Image, ImageDraw

RGB = tuple[int, int, int]
Point = tuple[float, float]
Shape = tuple[Point, ...]
"""A polygon in a unit box, x to the right and y upwards; a little beyond 0 to 1 is allowed."""


@dataclass(frozen=True, slots=True)
class Look:
    """How a city looks, by which its photos can be told from others'.

    Attributes:
        sky, land, stone, sea, plants, paving: colours at noon in early summer.
        walls, roofs: the palettes of its buildings.
        masonry: `plaster`, `brick` or `boards`.
        roof, landmark, terrain, rock, tree: names of shapes below.
        storeys: fewest and most of an ordinary building.
        street: width between the buildings, metres.
        haze: how much the distance fades, 0 to 1.
        p_sea, p_rock, p_trees: how often they are in view, 0 to 1.
    """

    sky: RGB
    land: RGB
    stone: RGB
    sea: RGB
    plants: RGB
    paving: RGB
    walls: tuple[RGB, ...]
    roofs: tuple[RGB, ...]
    masonry: str
    roof: str
    landmark: str
    terrain: str
    rock: str
    tree: str
    storeys: tuple[int, int]
    street: float
    haze: float
    p_sea: float
    p_rock: float
    p_trees: float


@dataclass(frozen=True, slots=True)
class Light:
    """The light of an hour: what it multiplies colours by (red, green, blue), and the sky's colours in it."""

    tint: tuple[float, float, float]
    zenith: RGB
    horizon: RGB
    of_look: float  # the share of the city's own sky colour in the zenith, 0 to 1


LIGHTS = {
    "morning": Light((1.0, 0.94, 0.83), (150, 188, 222), (249, 226, 196), 0.55),
    "noon": Light((1.03, 1.02, 1.0), (104, 160, 220), (208, 226, 238), 0.75),
    "dusk": Light((0.8, 0.66, 0.66), (72, 74, 124), (240, 156, 108), 0.15),
    "overcast": Light((0.82, 0.85, 0.88), (172, 180, 188), (212, 216, 218), 0.15),
}

_ARC: Shape = tuple((0.5 - 0.38 * cos(k * pi / 12), 0.07 + 0.46 * sin(k * pi / 12)) for k in range(13))
ROOFS: dict[str, Shape] = {
    "flat": ((-0.03, 0), (-0.03, 0.07), (1.03, 0.07), (1.03, 0)),
    "hip": ((-0.07, 0), (0.2, 0.34), (0.8, 0.34), (1.07, 0)),
    "steep": ((-0.05, 0), (0.5, 0.85), (1.05, 0)),
    "dome": ((-0.02, 0), (-0.02, 0.07), *_ARC, (1.02, 0.07), (1.02, 0)),
    "upswept": ((-0.02, 0), (-0.17, 0.12), (0.1, 0.13), (0.34, 0.4), (0.66, 0.4), (0.9, 0.13), (1.17, 0.12), (1.02, 0)),
    "stepped": ((0, 0), (0, 0.2), (0.2, 0.2), (0.2, 0.5), (0.8, 0.5), (0.8, 0.2), (1, 0.2), (1, 0)),
}
LANDMARKS: dict[str, tuple[Shape, Shape]] = {  # walls, roof
    "dome": (((0, 0), (0, 0.45), (1, 0.45), (1, 0)), tuple((x, 0.42 + y) for x, y in _ARC)),
    "needle": (((0.38, 0), (0.4, 0.75), (0.6, 0.75), (0.62, 0)), ((0.34, 0.74), (0.5, 1), (0.66, 0.74))),
    "spire": (((0.2, 0), (0.2, 0.5), (0.8, 0.5), (0.8, 0)), ((0.16, 0.5), (0.5, 1.1), (0.84, 0.5))),
    "slab": (((0.2, 0), (0.2, 1), (0.8, 1.1), (0.8, 0)), ((0.48, 1), (0.5, 1.35), (0.52, 1))),
    "keep": (
        ((0, 0), (0.06, 0.6), (0.94, 0.6), (1, 0)),
        ((0, 0.6), (0, 0.75), (0.4, 0.7), (0.6, 0.7), (1, 0.75), (1, 0.6)),
    ),
    "pagoda": (
        ((0.25, 0), (0.3, 0.8), (0.7, 0.8), (0.75, 0)),
        (
            *((0, 0.32), (0.3, 0.42), (0.1, 0.62), (0.35, 0.7), (0.2, 0.88), (0.5, 1.1)),
            *((0.8, 0.88), (0.65, 0.7), (0.9, 0.62), (0.7, 0.42), (1, 0.32), (0.5, 0.38)),
        ),
    ),
}
ROCKS: dict[str, Shape] = {
    "chimney": ((0.15, 0), (0.36, 0.66), (0.24, 0.7), (0.5, 1), (0.74, 0.7), (0.62, 0.66), (0.85, 0)),
    "boulder": ((0, 0), (0.08, 0.4), (0.35, 0.62), (0.7, 0.56), (0.95, 0.3), (1, 0)),
    "butte": ((-0.2, 0), (0.12, 0.35), (0.16, 0.82), (0.84, 0.86), (0.88, 0.35), (1.2, 0)),
    "crag": ((0, 0), (0.2, 0.55), (0.32, 0.45), (0.5, 1), (0.66, 0.6), (0.8, 0.66), (1, 0)),
}
CYPRESS: Shape = ((0.42, 0), (0.36, 0.2), (0.4, 0.7), (0.5, 1), (0.6, 0.7), (0.64, 0.2), (0.58, 0))
COMMON_WALLS = ((224, 214, 196), (198, 186, 170), (236, 232, 224), (176, 164, 152), (206, 176, 140), (170, 178, 184))
COMMON_ROOFS = ((150, 96, 74), (112, 108, 108), (176, 168, 156))

LOOKS = {
    "quellmora": Look(
        sky=(70, 148, 226), land=(196, 184, 146), stone=(212, 200, 176), sea=(36, 124, 178), plants=(112, 134, 74),
        paving=(214, 206, 190), walls=((244, 242, 236), (238, 234, 222), (228, 232, 236)),
        roofs=((52, 104, 176), (240, 238, 232)), masonry="plaster", roof="dome", landmark="dome", terrain="hills",
        rock="boulder", tree="cypress", storeys=(1, 3), street=5, haze=0.25, p_sea=0.8, p_rock=0.35, p_trees=0.35,
    ),
    "tufgrad": Look(
        sky=(116, 170, 216), land=(206, 178, 134), stone=(222, 192, 150), sea=(96, 140, 150), plants=(150, 144, 84),
        paving=(196, 172, 138), walls=((222, 192, 148), (206, 172, 128), (232, 210, 174)),
        roofs=((190, 154, 112), (164, 128, 96)), masonry="plaster", roof="flat", landmark="keep", terrain="cones",
        rock="chimney", tree="round", storeys=(1, 3), street=6, haze=0.4, p_sea=0.03, p_rock=0.9, p_trees=0.3,
    ),
    "dravenholt": Look(
        sky=(128, 152, 180), land=(104, 120, 84), stone=(122, 124, 124), sea=(82, 106, 122), plants=(54, 84, 58),
        paving=(128, 126, 124), walls=((150, 84, 66), (124, 72, 60), (176, 120, 94)),
        roofs=((64, 64, 74), (86, 74, 72)), masonry="brick", roof="steep", landmark="spire", terrain="hills",
        rock="crag", tree="pine", storeys=(2, 5), street=8, haze=0.45, p_sea=0.15, p_rock=0.2, p_trees=0.75,
    ),
    "isquarra": Look(
        sky=(84, 156, 222), land=(204, 128, 82), stone=(182, 92, 60), sea=(70, 130, 140), plants=(110, 130, 66),
        paving=(206, 150, 108), walls=((204, 136, 94), (186, 112, 76), (224, 172, 128)),
        roofs=((172, 104, 72), (222, 168, 124)), masonry="plaster", roof="flat", landmark="needle", terrain="mesas",
        rock="butte", tree="palm", storeys=(1, 3), street=10, haze=0.3, p_sea=0.04, p_rock=0.6, p_trees=0.5,
    ),
    "vitrimond": Look(
        sky=(136, 176, 208), land=(128, 146, 104), stone=(154, 156, 158), sea=(92, 132, 156), plants=(92, 136, 76),
        paving=(122, 126, 132), walls=((132, 158, 178), (104, 132, 158), (176, 190, 198), (212, 214, 214)),
        roofs=((104, 112, 122), (150, 158, 164)), masonry="plaster", roof="flat", landmark="slab", terrain="plain",
        rock="boulder", tree="round", storeys=(5, 12), street=20, haze=0.5, p_sea=0.4, p_rock=0.05, p_trees=0.6,
    ),
    "ombrika": Look(
        sky=(112, 166, 216), land=(160, 162, 92), stone=(188, 174, 144), sea=(74, 134, 160), plants=(82, 112, 58),
        paving=(178, 156, 132), walls=((228, 186, 116), (216, 154, 100), (236, 208, 158), (206, 136, 104)),
        roofs=((184, 92, 60), (166, 84, 58)), masonry="plaster", roof="hip", landmark="spire", terrain="hills",
        rock="boulder", tree="cypress", storeys=(2, 4), street=7, haze=0.35, p_sea=0.15, p_rock=0.15, p_trees=0.8,
    ),
    "snovarra": Look(
        sky=(132, 178, 214), land=(136, 150, 116), stone=(120, 128, 138), sea=(52, 92, 124), plants=(64, 98, 72),
        paving=(150, 152, 156), walls=((172, 54, 48), (224, 178, 76), (238, 236, 230), (82, 116, 146)),
        roofs=((72, 76, 84), (134, 74, 62)), masonry="boards", roof="steep", landmark="needle", terrain="peaks",
        rock="crag", tree="pine", storeys=(1, 3), street=9, haze=0.35, p_sea=0.75, p_rock=0.35, p_trees=0.55,
    ),
    "lotumai": Look(
        sky=(156, 190, 200), land=(108, 152, 84), stone=(130, 136, 120), sea=(84, 140, 132), plants=(58, 118, 66),
        paving=(164, 156, 140), walls=((132, 88, 60), (220, 204, 172), (156, 104, 70)),
        roofs=((70, 86, 84), (52, 100, 92)), masonry="boards", roof="upswept", landmark="pagoda", terrain="cones",
        rock="crag", tree="round", storeys=(1, 3), street=6, haze=0.6, p_sea=0.25, p_rock=0.3, p_trees=0.9,
    ),
}  # fmt: skip
"""The look of every imaginary city, by its slug."""


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


Box = tuple[float, float, float, float]  # left, top, right, bottom


def backdrop(c: Canvas, horizon: float, height: float) -> None:
    """Draw sky, far ridges up to `height` pixels high, and the ground below the horizon."""
    sky(c, horizon)
    ridge(c, horizon, height, 0.9)
    ridge(c, horizon, height * 0.55, 0.5)
    c.box(0, horizon, c.width, c.height, c.lit(c.grass))


def sky(c: Canvas, horizon: float) -> None:
    """Draw the sky down to `horizon` and a few clouds."""
    fade = np.clip(np.arange(c.height) / max(horizon, 1), 0, 1)[:, None]
    column = (np.array(c.zenith) * (1 - fade) + np.array(c.horizon) * fade).astype(np.uint8)
    c.image.paste(Image.fromarray(column[:, None, :]).resize(c.image.size, Image.Resampling.NEAREST))
    for _ in range(int(c.between(0, 5))):
        (x, y), size = c.spot(bottom=0.7 * horizon / c.height), c.length(0.04, 0.12)
        colour = mix(mix(c.zenith, c.horizon, 0.7), (255, 255, 255), 0.35)
        for _ in range(4):
            dx, dy = c.between(-2, 2) * size, c.between(-0.2, 0.2) * size
            c.disc(x + dx, y + dy, size * c.between(0.7, 1.6), size * 0.4, colour)


def ridge(c: Canvas, base: float, height: float, far: float) -> None:
    """Draw a chain of hills along `base`, up to `height` pixels high, in the terrain's form."""
    x = np.linspace(0, 1, 49)
    terrain = c.look.terrain if c.chance(0.8) else "hills"
    phase, pace = c.between(0, 6), c.between(0.7, 1.4)
    wave = 0.5 + 0.3 * np.sin(5 * pace * x + phase) + 0.2 * np.sin(11 * pace * x + 2 * phase)
    if terrain == "peaks":
        wave = 0.25 + 0.75 * np.abs((x * 3.1 * pace + phase) % 1 * 2 - 1) * (0.6 + 0.4 * np.sin(9 * x + phase))
    elif terrain == "mesas":
        wave = 0.15 + 0.6 * np.clip((wave - 0.5) * 8, 0, 1)
    elif terrain == "cones":
        wave = 0.3 * wave + 0.7 * np.abs(np.sin(9 * pace * x + phase)) ** 1.5 * (0.5 + 0.5 * np.sin(4 * x + phase) ** 2)
    elif terrain == "plain":
        wave = 0.15 * wave
    colour = c.lit(mix(c.grass, c.look.stone, 0.7 if terrain in {"peaks", "mesas"} else 0.15), far)
    top = [(float(a) * c.width, base - float(b) * height) for a, b in zip(x, wave, strict=True)]
    if terrain == "peaks":
        c.fill([(0, base + 2), *top, (c.width, base + 2)], c.lit((236, 240, 244), far))
        top = [(a, max(b, base - 0.62 * height)) for a, b in top]  # above it, the snow stays in sight
    c.fill([(0, base + 2), *top, (c.width, base + 2)], colour)


def sea(c: Canvas, top: float, bottom: float) -> None:
    """Draw water from `top` down to `bottom`, glinting, now and then with a boat."""
    colour = mix(c.lit(c.look.sea), c.zenith, 0.12)
    c.box(0, top, c.width, bottom, colour)
    for _ in range(14):
        x, y = c.spot(0, top / c.height, 1, bottom / c.height)
        c.box(x, y, x + c.length(0.03, 0.14), y + 1, mix(colour, c.horizon, c.between(0.15, 0.5)))
    if c.chance(0.4):
        foot, size = (c.between(0.1, 0.9) * c.width, top + (bottom - top) * c.between(0.1, 0.6)), c.length(0.03, 0.07)
        c.shape(((0, 0.3), (0.2, 0), (0.8, 0), (1, 0.3)), foot, (size, size), c.lit((120, 70, 56)))
        c.shape(((0.5, 0.35), (0.5, 1.5), (1, 0.4)), foot, (size, size), c.lit((240, 238, 230)))


def tree(c: Canvas, x: float, base: float, size: float, far: float = 0.0) -> None:
    """Draw a tree of the city's kind as a rule; `x` is the middle of its trunk."""
    kind = c.look.tree if c.chance(0.75) else "round"
    leaf, trunk = c.lit(c.leaves, far, 16), c.lit((104, 82, 62), far)
    if kind == "cypress":
        c.shape(CYPRESS, (x - size / 2, base), (size, size), leaf)
    elif kind == "pine":
        c.box(x - size * 0.04, base - size * 0.2, x + size * 0.04, base, trunk)
        for k in range(3):
            wide = size * (0.34 - 0.08 * k)
            foot = (x - wide, base - size * (0.15 + 0.26 * k))
            c.shape(((0, 0), (0.5, 1), (1, 0)), foot, (2 * wide, size * 0.4), leaf)
    elif kind == "palm":
        c.box(x - size * 0.03, base - size * 0.75, x + size * 0.03, base, trunk)
        for k in range(7):
            dx, dy = cos(k * pi / 6) * size * 0.4, sin(k * pi / 6) * size * 0.25 - size * 0.1
            crown = base - size * 0.78
            c.fill([(x, crown), (x + dx * 0.6, crown - size * 0.06 - dy), (x + dx, crown + size * 0.08 - dy)], leaf)
    else:
        c.box(x - size * 0.04, base - size * 0.4, x + size * 0.04, base, trunk)
        for dx, dy in ((-0.18, 0.5), (0.18, 0.52), (0, 0.7)):
            c.disc(x + dx * size, base - dy * size, size * 0.24, size * 0.22, mix(leaf, c.horizon, c.between(0, 0.12)))


def masonry(c: Canvas, box: Box, wall: RGB, course: float) -> None:
    """Draw the courses of a wall, `course` pixels high."""
    left, top, right, bottom = box
    shade = mix(wall, (40, 34, 30), 0.13)
    if c.look.masonry == "boards":
        for x in np.arange(left, right, course):
            c.box(float(x), top, float(x) + 1, bottom, shade)
    elif c.look.masonry == "brick":
        for k, y in enumerate(np.arange(top, bottom, course)):
            c.box(left, float(y), right, float(y) + 1, shade)
            for x in np.arange(left + (k % 2) * course, right, 2 * course):
                c.box(float(x), float(y), float(x) + 1, min(bottom, float(y) + course), shade)
    else:
        for _ in range(5):
            x, y = c.between(left, right), c.between(top, bottom)
            worn = mix(wall, (255, 255, 255), c.between(0, 0.2))
            c.box(x, y, min(right, x + course * 2), min(bottom, y + course), worn)


def window(c: Canvas, box: Box, wall: RGB) -> None:
    """Draw a window into a wall of that colour."""
    left, top, right, bottom = box
    glass, frame = mix(c.lit((70, 84, 98)), c.zenith, c.between(0, 0.35)), mix(wall, (250, 246, 238), 0.4)
    middle, half = (left + right) / 2, (right - left) / 2
    c.box(left - 2, top - 2, right + 2, bottom + 2, frame)
    c.box(left, top, right, bottom, glass)
    if c.look.roof == "dome" or c.look.landmark == "needle":
        c.disc(middle, top, half, half, glass)
    c.box(middle - 1, top, middle, bottom, frame)


def house(c: Canvas, foot: Point, width: float, height: float, far: float = 0.0) -> None:
    """Draw a building from its front; `foot` is its lower left corner, `height` that of its walls."""
    (x, base), wall = foot, c.lit(c.wall(), far)
    c.box(x, base - height, x + width, base, wall)
    if width > 0.2 * c.unit:
        masonry(c, (x, base - height, x + width, base), wall, c.unit * 0.02)
    c.box(x + width * 0.93, base - height, x + width, base, mix(wall, (30, 30, 40), 0.14))
    storey = max(0.03 * c.unit, min(width * 0.4, height / c.look.storeys[0], c.unit * 0.16))
    bay = storey * 0.85
    for row in range(int(height / storey)):
        for column in range(int(width / bay)):
            left, top = (
                x + width / 2 + (column - int(width / bay) / 2 + 0.3) * bay,
                base - height + (row + 0.3) * storey,
            )
            window(c, (left, top, left + bay * 0.4, top + storey * 0.45), wall)
    style = c.look.roof if c.chance(0.8) else c.pick(("flat", "hip"))
    c.shape(ROOFS[style], (x, base - height), (width, min(width, 0.35 * c.unit)), c.lit(c.roof(), far))


def landmark(c: Canvas, foot: Point, size: float, far: float) -> None:
    """Draw the building that the city is known for; `foot` is its lower left corner."""
    for part, palette in zip(LANDMARKS[c.look.landmark], (c.look.walls, c.look.roofs), strict=True):
        c.shape(part, foot, (size * 0.5, size), c.lit(c.pick(palette), far))


def person(c: Canvas, x: float, base: float, size: float) -> None:
    """Draw somebody in a coat; `x` is the left side."""
    coat = c.lit(c.pick(((60, 70, 100), (150, 60, 60), (210, 200, 180), (70, 100, 80), (40, 40, 46))), 0, 20)
    c.shape(((0.2, 0), (0.1, 0.8), (0.9, 0.8), (0.8, 0)), (x, base), (size * 0.32, size), coat)
    c.disc(x + size * 0.16, base - size * 0.9, size * 0.11, size * 0.11, c.lit((190, 146, 116), 0, 30))


def rock(c: Canvas, x: float, base: float, size: float, far: float) -> None:
    """Draw a rock of the city's kind, its far side in the shade; `x` is the left side."""
    shape, extent = ROCKS[c.look.rock], (size * c.between(0.5, 1.1), size)
    stone = c.lit(c.look.stone, far, 14)
    c.shape(shape, (x, base), extent, stone)
    shaded = tuple((0.5 + (px - 0.5) * (1 if px > 0.5 else 0.1), py * 0.97) for px, py in shape)
    c.shape(shaded, (x, base), extent, mix(stone, (40, 34, 50), 0.16))


def cottage(c: Canvas, x: float, base: float, size: float, far: float) -> None:
    """Draw a small house in the open; `x` is the left side."""
    house(c, (x, base), size * 0.5, size * (0.2 + 0.05 * c.look.storeys[1]), far)


def _street(c: Canvas) -> None:
    """Look along a street: `at` maps metres (right of the eye, up from the ground, away) to pixels."""
    horizon, eye = c.height * c.between(0.45, 0.65), c.width * c.between(0.3, 0.7)
    focal, half = c.unit * c.between(0.7, 1.4), c.look.street / 2 * c.between(0.75, 1.5)

    def at(x: float, y: float, z: float) -> tuple[float, float]:
        return eye + focal * x / z, horizon - focal * (y - 1.7) / z

    backdrop(c, horizon, c.height * c.between(0.05, 0.22))
    paving = c.lit(c.look.paving if c.chance(0.8) else (140, 138, 136))
    c.box(0, horizon, c.width, c.height, mix(paving, (250, 246, 236), 0.12))
    kerb = half * 0.7
    c.fill([at(-kerb, 0, 1), at(-kerb, 0, 90), at(kerb, 0, 90), at(kerb, 0, 1)], paving)
    for front in (-half, half):
        edges = np.cumsum([c.between(1.5, 5), *(6 + 9 * c.rng.random(7))]).tolist()
        for near, far in reversed(list(pairwise(edges))):
            if c.chance(0.93):
                _block(c, at, front, (near, far))
            if c.chance(c.look.p_trees * 0.4):
                x, y = at(front * 0.8, 0, near + 2)
                tree(c, x, y, focal * c.between(3, 6) / (near + 2))
    for _ in range(int(c.between(0, 4))):
        z = c.between(6, 25)
        x, y = at(c.between(-0.8, 0.8) * half, 0, z)
        person(c, x, y, focal * 1.7 / z)


def _block(c: Canvas, at: Callable[[float, float, float], Point], x: float, span: tuple[float, float]) -> None:
    """Draw one building of a street's row, its front at `x` metres, its walls `span` metres away."""
    (near, far), side = span, 1 if x > 0 else -1
    storeys = int(c.between(c.look.storeys[0], c.look.storeys[1] + 1))
    top, fade = storeys * 3.2, min(0.8, near / 90)
    wall, roof = c.lit(c.wall(), fade), c.lit(c.roof(), fade)
    style = c.look.roof if c.chance(0.8) else "flat"
    peak = top + {"flat": 0.4, "dome": 0.6, "steep": 5.0, "stepped": 4.0}.get(style, 2.4)
    eave, ridge, back = x - side * 0.4, x + side * 4, x + side * 8
    end_wall, gable = mix(wall, (30, 30, 40), 0.22), mix(roof, (20, 20, 30), 0.2)
    c.fill([at(x, 0, near), at(x, top, near), at(back, top, near), at(back, 0, near)], end_wall)
    c.fill([at(x, top, near), at(ridge, peak, near), at(back, top, near)], gable)
    c.fill([at(x, 0, near), at(x, top, near), at(x, top, far), at(x, 0, far)], wall)
    c.fill([at(eave, top, near), at(ridge, peak, near), at(ridge, peak, far), at(eave, top, far)], roof)
    if style == "dome":
        (x0, y0), (x1, _) = at(ridge, top, near), at(back, top, near)
        c.disc(x0, y0, abs(x1 - x0) * 0.7, abs(x1 - x0) * 0.8, roof)
    glass = mix(c.lit((70, 84, 98), fade), c.zenith, 0.2)
    bays = max(1, int((far - near) / 3.2))
    for storey in range(storeys if near < 40 else 0):  # farther windows would be specks
        for bay in range(bays):
            z0 = near + (bay + 0.3) * (far - near) / bays
            z1, y0, y1 = z0 + 1.3, storey * 3.2 + (1.0 if storey else 0.2), storey * 3.2 + 2.5
            c.fill([at(x, y0, z0), at(x, y1, z0), at(x, y1, z1), at(x, y0, z1)], glass)


def _square(c: Canvas) -> None:
    base = c.height * c.between(0.68, 0.86)
    backdrop(c, base, c.height * c.between(0.2, 0.5))
    c.box(0, base, c.width, c.height, c.lit(c.look.paving if c.chance(0.8) else (150, 146, 140)))
    x, scale = -c.between(0, 0.2) * c.width, c.between(0.6, 1.5)
    while x < c.width:
        width = c.between(0.2, 0.42) * c.unit * scale
        if c.chance(0.9):
            storeys = c.between(c.look.storeys[0], c.look.storeys[1])
            house(c, (x, base), width, min(0.8 * c.height, (0.12 + 0.11 * storeys) * c.unit * scale))
        x += width * (1 if c.chance(0.7) else 1.3)
    if c.chance(0.3):
        landmark(c, (c.between(0.1, 0.7) * c.width, base), c.between(0.5, 0.8) * c.height, 0.1)
    for _ in range(int(4 * c.look.p_trees * c.between(0, 1.4))):
        tree(c, c.between(0, c.width), base + c.between(0, 0.05) * c.height, c.between(0.2, 0.5) * c.unit)
    for _ in range(int(c.between(0, 6))):
        person(c, c.between(0, c.width), base + c.between(0.02, 0.12) * c.height, c.between(0.1, 0.16) * c.unit)


def _skyline(c: Canvas) -> None:
    base = c.height * c.between(0.5, 0.8)
    backdrop(c, base, c.height * c.between(0.1, 0.4))
    size = c.between(0.06, 0.13) * c.unit
    for layer in range(3):
        far, ground = 0.75 - 0.3 * layer, base + layer * size * 0.5
        if c.chance(0.45):
            landmark(c, (c.between(0.05, 0.85) * c.width, ground), size * c.between(2.5, 4), far)
        x = -c.between(0, 1) * size
        while x < c.width:
            width = size * c.between(0.6, 1.4)
            house(c, (x, ground), width, size * (0.35 + 0.3 * c.between(*c.look.storeys)), far)
            x += width * c.between(0.9, 1.4)
    if c.chance(c.look.p_sea):
        sea(c, base + size, c.height)
    else:
        c.box(0, base + size, c.width, c.height, c.lit(c.grass))
        for _ in range(int(12 * c.look.p_trees)):
            tree(c, c.between(0, c.width), c.between(base + size, c.height), c.between(0.08, 0.25) * c.unit)


def _landscape(c: Canvas) -> None:
    horizon = c.height * c.between(0.35, 0.65)
    backdrop(c, horizon, c.height * c.between(0.12, 0.4))
    shore = horizon
    if c.chance(c.look.p_sea):
        shore = horizon + (c.height - horizon) * c.between(0.3, 0.9)
        sea(c, horizon, shore)
    for _ in range(3):
        x, y = c.between(-0.2, 1) * c.width, c.between(shore, c.height)
        c.disc(x, y, c.between(0.2, 0.6) * c.width, c.between(0.02, 0.06) * c.height, c.lit(c.grass, 0, 18))
    rocks = int(c.between(2, 8)) if c.chance(c.look.p_rock) else 0
    trees = int(c.between(3, 14)) if c.chance(c.look.p_trees) else 1
    houses = int(c.between(1, 6)) if c.chance(0.45) else 0
    things = [rock] * rocks + [tree] * trees + [cottage] * houses
    feet = np.sort(c.rng.random(len(things))) ** 1.4  # painted from the far to the near, so that the near hides the far
    for thing, near in zip(c.rng.permutation(np.array(things, dtype=object)), feet.tolist(), strict=True):
        size = (0.1 + 0.4 * near) * c.unit * c.between(0.7, 1.3)
        thing(c, c.between(-0.05, 1) * c.width, shore + near * (c.height - shore), size, 0.5 * (1 - near))


def _detail(c: Canvas) -> None:
    """Fill the frame with a wall and a window or a door in it."""
    wall = c.lit(c.wall())
    c.box(0, 0, c.width, c.height, wall)
    masonry(c, (0, 0, c.width, c.height), wall, c.length(0.04, 0.09))
    width, height = c.between(0.2, 0.45) * c.width, c.between(0.35, 0.7) * c.height
    x, y = c.spot(0.1, 0.1, 0.5, 0.3)
    window(c, (x, y, x + width, y + height), wall)
    shutter = c.lit(c.pick(((60, 100, 130), (70, 110, 80), (130, 80, 60), (200, 196, 186))), 0, 20)
    for left in (x - width * 0.42, x + width * 1.04):
        c.box(left, y, left + width * 0.38, y + height, shutter)
    for _ in range(int(c.between(0, 14))):
        size, dx, dy = c.length(0.02, 0.06), c.between(-0.1, 1.1) * width, c.between(-0.05, 0.06) * c.height
        c.disc(x + dx, y + height + dy, size, size, c.lit(c.leaves, 0, 20))


def _interior(c: Canvas) -> None:
    wall = c.lit(c.pick(COMMON_WALLS), 0, 30)
    c.box(0, 0, c.width, c.height, wall)
    floor = c.height * c.between(0.65, 0.85)
    c.box(0, floor, c.width, c.height, c.lit(c.pick(((150, 110, 74), (176, 160, 140), (110, 96, 88))), 0, 20))
    for slot in range(int(c.between(0, 3))):
        width, height = c.between(0.18, 0.36) * c.width, c.between(0.25, 0.5) * c.height
        x, y = (0.5 * slot + c.between(0.04, 0.12)) * c.width, c.between(0.05, 0.2) * c.height
        c.box(x, y, x + width, y + height, mix(c.zenith, c.horizon, 0.6))
        c.box(x, y + height * c.between(0.5, 0.8), x + width, y + height, c.lit(c.pick((c.wall(), c.leaves)), 0.5))
        c.pen.rectangle((x, y, x + width, y + height), outline=mix(wall, (250, 250, 250), 0.5), width=6)
    x, width = c.between(-0.1, 0.6) * c.width, c.between(0.3, 0.7) * c.width
    top = floor - c.between(0.02, 0.2) * c.height
    wood = c.lit(c.pick(((130, 86, 56), (196, 160, 116), (80, 60, 52), (220, 216, 210))), 0, 20)
    c.box(x, top, x + width, top + c.height * 0.04, wood)
    for leg in (0.05, 0.9):
        c.box(x + leg * width, top, x + (leg + 0.05) * width, min(c.height, floor + 0.12 * c.height), wood)
    lamp, drop = c.between(0.1, 0.9) * c.width, c.between(0.08, 0.25) * c.height
    c.box(lamp, 0, lamp + 2, drop, (60, 56, 54))
    shade = ((-0.07, -0.05), (-0.035, 0.01), (0.035, 0.01), (0.07, -0.05))
    c.shape(shade, (lamp, drop), (c.unit, c.unit), (250, 226, 160))


def _table(c: Canvas) -> None:
    wood = c.lit(c.pick(((150, 104, 70), (206, 176, 136), (232, 228, 220), (92, 70, 60), (120, 150, 160))), 0, 20)
    c.box(0, 0, c.width, c.height, wood)
    step, turn = c.between(0.06, 0.2) * c.unit, c.between(-0.6, 0.6)
    for y in np.arange(-c.height, 2 * c.height, step).tolist():
        c.pen.line((0, y, c.width, y + turn * c.width), fill=mix(wood, (30, 20, 16), 0.15), width=3)
    for _ in range(int(c.between(1, 4))):
        (x, y), size = c.spot(0.15, 0.15, 0.85, 0.85), c.length(0.14, 0.34)
        plate = c.lit(c.pick(((240, 238, 232), (120, 150, 180), (216, 190, 150))), 0, 12)
        c.disc(x + size * 0.06, y + size * 0.08, size, size * 0.9, mix(wood, (20, 14, 10), 0.3))
        c.disc(x, y, size, size * 0.9, plate)
        c.disc(x, y, size * 0.7, size * 0.62, mix(plate, (90, 90, 90), 0.12))
        for _ in range(9):
            food = c.lit(c.pick(((196, 70, 50), (226, 180, 80), (110, 140, 60), (150, 96, 60), (236, 226, 200))), 0, 20)
            bite = size * c.between(0.08, 0.2)
            c.disc(x + c.between(-0.45, 0.45) * size, y + c.between(-0.4, 0.4) * size, bite, bite, food)


def _flowers(c: Canvas) -> None:
    c.box(0, 0, c.width, c.height, mix(c.lit(c.leaves, 0, 20), (40, 60, 40), 0.25))
    for _ in range(60):
        (x, y), size = c.spot(), c.length(0.04, 0.16)
        c.disc(x, y, size, size * c.between(0.3, 1), c.lit(c.leaves, c.between(0, 0.4), 30))
    petal = c.lit(c.pick(((226, 90, 110), (240, 200, 70), (236, 232, 240), (150, 100, 190), (236, 130, 60))), 0, 15)
    for _ in range(int(c.between(2, 12))):
        (x, y), size = c.spot(), c.length(0.04, 0.16)
        for k in range(6):
            c.disc(x + cos(k * pi / 3) * size * 0.7, y + sin(k * pi / 3) * size * 0.7, size * 0.5, size * 0.5, petal)
        c.disc(x, y, size * 0.4, size * 0.4, c.lit((226, 170, 60)))


VIEWS: dict[str, tuple[float, Callable[[Canvas], None]]] = {
    "street": (0.24, _street),
    "square": (0.18, _square),
    "skyline": (0.15, _skyline),
    "landscape": (0.18, _landscape),
    "detail": (0.06, _detail),
    "interior": (0.08, _interior),
    "table": (0.06, _table),
    "flowers": (0.05, _flowers),
}
"""What a picture can show: its share of all photos, and its painter. The last four, a quarter, hardly tell the city."""


def paint(look: Look, view: str, *, light: str, month: int, size: tuple[int, int], seed: int) -> Image.Image:
    """Paint one picture; the same arguments always give the same pixels.

    Args:
        look: the city's.
        view: a name in VIEWS.
        light: a name in `looks.LIGHTS`.
        month: 1 to 12, for the colour of plants.
        size: width and height, pixels.
        seed: of everything that is left to chance, at least 0.

    Returns:
        An RGB picture of `size`.
    """
    canvas = Canvas(look, light, month, size, seed)
    VIEWS[view][1](canvas)
    small = canvas.image.reduce(2)
    # The grain of paper, so that no area is perfectly flat, as in photos.
    grain = canvas.rng.integers(-6, 7, (size[1], size[0], 1), dtype=np.int16)
    return Image.fromarray(np.clip(np.asarray(small, dtype=np.int16) + grain, 0, 255).astype(np.uint8))
