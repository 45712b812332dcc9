"""Draws the things that stand in a picture: sky, hills, sea, trees, houses, people and rocks.

`base` is the height of a thing's foot in the picture and `size` its height, both in pixels; `far` fades it into the
distance, 0 to 1.
"""

from math import cos, pi, sin

import numpy as np
from PIL import Image

from collector.sandbox.appearance import CYPRESS, LANDMARKS, RGB, ROCKS, ROOFS, Point
from collector.sandbox.canvas import Canvas, mix

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
