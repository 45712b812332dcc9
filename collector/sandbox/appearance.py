"""How the imaginary cities look: their colours, the shapes of their things, and the light of the day. Data only.

Colours are RGB, 0 to 255. No single colour tells a city: a share of its walls, roofs and ridges is borrowed from
what all cities have in common.
"""

from dataclasses import dataclass
from math import cos, pi, sin

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
