"""Flags on photos of poor quality, a score each: what pixels measure, what the measures come to, how a file is read.

docs/quality.md shows what each flag finds.
"""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from collector.errors import one_line
from collector.images.decode import MAX_PIXELS, VERSION, displayed, open_image, shown_size
from collector.images.repair import lacks_end

SIDE = 320
"""Pixels of the longer side at which everything is measured, so that scores of small and large files compare."""

QUALITY_STAMP = f"quality 2, pillow {PIL.__version__}, pictures {VERSION}, side {SIDE}"
"""Measures and versions, stored with the scores of each photo: those of another stamp are measured again."""

FLAGGED = 0.5
"""A photo has a flag from this score on, up to 1."""

FLAGS: Mapping[str, str] = {
    "dark": "hardly anything is lit",
    "blown-out": "a large part is overexposed",
    "blurred": "all of it is out of focus or shaken",
    "low-information": "nearly nothing is on it",
    "odd-aspect": "far wider than high, or higher than wide",
    "borders": "a border, a caption bar, a collage",
    "text-graphics": "a map, a logo, a poster, a drawing",
    "greyscale": "black and white, sepia or another single tone",
    "tiny": "few pixels",
    "no-end": "the file ends too early, with all of its pixels",
}
"""What each flag says, in the order in which they are shown."""

_LARGE = 16_000_000  # pixels: what has more once decoded (4 bytes each and a copy or two) is decoded one at a time
_large_ones = Lock()


@dataclass(frozen=True, slots=True)
class Measures:
    """Of one picture; levels are luma (ITU-R BT.601), 0 to 255.

    Attributes:
        lightest: level that nine of ten pixels do not pass.
        white: share of pixels of level 250 or more, 0 to 1.
        smear: how little a further blur changes it, 0 (sharp) to 1.
        edge: how steep the steepest edges are; about 1 in a sharp picture, 0 in a smooth one, -1 without edges.
        detail: entropy of the gradients, bits for each of the two directions.
        frame: share of a straight line across the picture along which a border or a seam runs, 0 to 1.
        toning: levels by which colours differ that have the same luma; 0 is greyscale, of any tone.
        drawn: how much it resembles maps, logos, posters and drawings rather than photographs: log-odds.
    """

    lightest: float
    white: float
    smear: float
    edge: float
    detail: float
    frame: float
    toning: float
    drawn: float


def flags(measures: Measures, width: int, height: int, *, no_end: bool = False) -> dict[str, float]:
    """Return the score of every flag, 0 to 1, of a picture with these measures and this size in pixels as displayed.

    Between the three values given for it a measure is scored in a straight line: 0 up to the first, 0.5 at the second, 1
    from the third on. docs/quality.md says how they were found. That paper is white is no fault of it: what is drawn or
    framed is less blown out; and hard edges in flat colour, with nothing between them to tell, are not blurred. `no_end`: see
    `images.repair.lacks_end`.
    """
    drawn = float(1 / (1 + np.exp(-np.clip(measures.drawn, -50, 50))))
    framed = _score(measures.frame, 0.5, 0.8, 1.0)
    smear = _score(measures.smear, 0.30, 0.38, 0.60)
    soft = _score(measures.edge, 0.75, 0.65, 0.30) if measures.edge >= 0 else 0.0
    shorter, longer = sorted((width, height))
    scores = {
        "dark": _score(measures.lightest, 150, 100, 30),
        "blown-out": _score(measures.white, 0.0, 0.12, 0.5) * (1 - drawn) * (1 - framed),
        "blurred": min(smear, soft) * (1 - drawn),
        "low-information": _score(measures.detail, 2.6, 1.5, 0.5),
        "odd-aspect": _score(shorter / longer, 0.6, 0.35, 0.1),
        "borders": framed,
        "text-graphics": drawn,
        "greyscale": _score(measures.toning, 8, 2.8, 0),
        "tiny": _score(shorter, 256, 128, 32),
        "no-end": float(no_end),
    }
    return {flag: round(scores[flag], 3) for flag in FLAGS}


def _score(value: float, none: float, limit: float, worst: float) -> float:
    if none > worst:
        value, none, limit, worst = -value, -none, -limit, -worst
    return float(np.interp(value, (none, limit, worst), (0.0, FLAGGED, 1.0)))


class NotMeasurableError(Exception):
    """A photo's bytes are gone or broken; the text says which."""


def measure_file(path: Path) -> tuple[Measures, int, int]:
    """Return the measures of the picture in a file, and its width and height as displayed; a JPEG is decoded reduced.

    Raises:
        NotMeasurableError: there is no such file, it is broken, or larger than pictures that are decoded.
    """
    try:
        return _measured(path)
    except NotMeasurableError:
        raise
    except FileNotFoundError as error:
        raise NotMeasurableError("the file is missing") from error
    except Exception as error:  # decoders of broken files raise nearly anything: see `examine`
        raise NotMeasurableError(one_line(error) or type(error).__name__) from error


def _measured(path: Path) -> tuple[Measures, int, int]:
    with open_image(path) as image:
        if image.width * image.height > MAX_PIXELS:
            raise NotMeasurableError(f"{image.width} × {image.height} pixels, measured are up to {MAX_PIXELS}")
        width, height = shown_size(image)
        image.draft("RGB", (SIDE, SIDE))
        with _large_ones if image.width * image.height > _LARGE else nullcontext():
            small = reduced(displayed(image))
    return measure(small), width, height


# --- measures of one reduced picture

_LEAST_SIDE = 16  # pixels: a strip of a picture is stretched to this, so that every window below fits into it

_SQUARES = np.arange(256, dtype=np.int64) ** 2

Grey = NDArray[np.int16]
"""(H, W) luma, 0 to 255."""


def reduced(picture: Image.Image) -> Image.Image:
    """Return a picture in RGB whose longer side has at most SIDE pixels, and whose shorter side at least 16."""
    scale = min(1.0, SIDE / max(picture.size))
    width, height = (max(_LEAST_SIDE, round(side * scale)) for side in picture.size)
    size = (width, height)
    return picture if size == picture.size else picture.resize(size, Image.Resampling.BILINEAR)


def measure(picture: Image.Image) -> Measures:
    """Measure an upright RGB picture of any size (as `collector.images.decode.displayed` gives it)."""
    picture = reduced(picture)
    grey = picture.convert("L")
    luma = np.asarray(grey).astype(np.int16)
    levels = np.cumsum(np.bincount(luma.ravel(), minlength=256)) / luma.size
    gradients = _gradients(luma)
    return Measures(
        lightest=_quantile(levels, 0.9),
        white=float(1 - levels[249]),
        smear=smear(grey),
        edge=_edge(luma, gradients),
        detail=_detail(gradients),
        frame=max(frame(luma), frame(np.ascontiguousarray(luma.T))),
        toning=_toning(np.asarray(picture.convert("YCbCr"))[::2, ::2]),
        drawn=_drawn(np.asarray(picture), luma, levels),
    )


def smear(grey: Image.Image) -> float:
    """Return the blur of a picture of mode L in its sharper direction, 0 (sharp) to 1.

    1 - Σ max(0, |∂f| - |∂b|) / Σ |∂f| for the picture f and f blurred along the derivative by a box of 7 pixels, b: the
    measure of Crété, Dolmière, Ladret, Nicolas, The blur effect (Proc. SPIE 6492, 2007), which takes a box of 9 and the
    larger of the two directions. That one finds skylines: they have edges in one direction alone.
    """
    luma = np.asarray(grey).astype(np.int16)
    found = []
    for axis, radius in ((0, (0, 3)), (1, (3, 0))):
        before = np.abs(np.diff(luma, axis=axis))
        after = np.abs(np.diff(np.asarray(grey.filter(ImageFilter.BoxBlur(radius))).astype(np.int16), axis=axis))
        lost = int(np.maximum(before - after, 0).sum(dtype=np.int64))
        found.append(1 - lost / max(int(before.sum(dtype=np.int64)), 1))
    return min(found)


def _gradients(luma: Grey) -> tuple[Grey, Grey]:
    """Return central differences (not halved) along x and y of the inner pixels."""
    return luma[1:-1, 2:] - luma[1:-1, :-2], luma[2:, 1:-1] - luma[:-2, 1:-1]


def _edge(luma: Grey, gradients: tuple[Grey, Grey]) -> float:
    """Return the ratio of the 99th percentiles of |Laplacian| and |∂x| + |∂y|: 0.3 / σ for a step blurred by a Gaussian σ.

    -1 where the gradients say nothing: below 8 levels they are noise of JPEG.
    """
    laplacian = np.abs(4 * luma[1:-1, 1:-1] - luma[:-2, 1:-1] - luma[2:, 1:-1] - luma[1:-1, :-2] - luma[1:-1, 2:])
    along_x, along_y = gradients
    steepest = _percentile(np.abs(along_x) + np.abs(along_y), 0.99)
    return _percentile(laplacian, 0.99) / steepest if steepest >= 8 else -1.0


def _percentile(values: Grey, share: float) -> float:
    counts = np.cumsum(np.bincount(values.ravel()))
    return float(np.searchsorted(counts, share * counts[-1]))


def _detail(gradients: tuple[Grey, Grey]) -> float:
    """Return half the entropy of the joint distribution of both gradients, in steps of 8 levels: bits.

    Delentropy (Larkin, Reflections on Shannon Information, arXiv:1609.01117). Unlike the entropy of grey levels it is as
    small for a gradient of the sky as for one colour.
    """
    x, y = ((along + 260) >> 3 for along in gradients)  # -255 to 255 become 0 to 64, no gradient 32
    return _entropy(np.bincount((x * 65 + y).ravel())) / 2


def _entropy(weights: NDArray[np.int64] | NDArray[np.float64]) -> float:
    shares = weights[weights > 0] / weights.sum()
    return float(-(shares * np.log2(shares)).sum())


def frame(luma: Grey) -> float:
    """Return the largest share of a horizontal line along which a border, a separator or a seam runs, 0 to 1.

    An edge pixel differs by more than 20 levels from the one below it, and by more than 1.5 times what its surroundings
    (5 rows above and below) differ. Lines are two rows thick. Counted in full are lines with one colour on the outer side
    (a border: four of five pixels within 16 levels of its median) or in the up to 8 rows to the next line (a separator);
    of other lines, which façades have too, what exceeds 0.85 counts, up to 0.9.
    """
    height = len(luma)
    steps = np.abs(np.diff(luma, axis=0))
    around = np.pad(steps, ((5, 5), (0, 0)), mode="edge")
    count = len(steps)
    near = around[:count] + around[1 : count + 1] + around[9 : count + 9] + around[10 : count + 10]
    edges = (steps > 20) & (8 * steps > 3 * near)
    thick = edges.copy()
    thick[:-1] |= edges[1:]
    shares = thick.mean(axis=1)
    margin = max(2, round(0.012 * height))
    shares[:margin] = shares[-margin:] = 0
    best = 0.9 * max(0.0, (float(shares.max()) - 0.85) / 0.15)
    lines = [int(row) for row in np.argsort(-shares, kind="stable")[:8] if shares[row] > 0.55]
    for row in lines:
        for outside in (luma[: row + 1], luma[row + 2 :]):
            if 2 <= len(outside) <= 0.45 * height:
                best = max(best, float(shares[row]) * min(1.0, _one_colour(outside, 16) / 0.8))
        for other in lines:
            between = luma[row + 2 : other + 1] if other > row + 2 else luma[row + 1 : other + 1]
            if 2 <= other - row <= 8 and _one_colour(between, 24) > 0.9:
                best = max(best, float(min(shares[row], shares[other])))
    return best


def _one_colour(luma: Grey, tolerance: int) -> float:
    return float((np.abs(luma - np.int16(np.median(luma))) <= tolerance).mean())


def _toning(chroma: NDArray[np.uint8]) -> float:
    """Return the standard deviation of (Cb, Cr) around its mean at each of 16 bands of luma.

    Greyscale has none, and neither have sepia and other tones laid over it.
    """
    bands = (chroma[..., 0] >> 4).ravel()
    counts = np.maximum(np.bincount(bands, minlength=16), 1)
    variance = 0.0
    for plane in (chroma[..., 1], chroma[..., 2]):
        values = plane.ravel()
        # No dot products of long vectors: BLAS wakes a thread for each core, which takes three times as long in all.
        squares = int((np.bincount(values, minlength=256) * _SQUARES).sum())
        sums = np.bincount(bands, values, 16)
        variance += float((squares - (sums * sums / counts).sum()) / values.size)
    return float(max(variance, 0.0) ** 0.5)


def _quantile(levels: NDArray[np.float64], share: float) -> float:
    return float(np.searchsorted(levels, share))


def _drawn(pixels: NDArray[np.uint8], luma: Grey, levels: NDArray[np.float64]) -> float:
    """Return the log-odds that a picture is drawn or set in type.

    The smaller of two, against photographs and against overexposed ones: logistic regressions on clear cases of the tuning
    half of capitals7, rounded; docs/quality.md tells how. Few inks are evidence enough against the second.
    """
    paper = _like_paper(pixels, levels)
    if paper < -4:  # most photographs: the others can only make it less
        return paper
    return min(paper, max(_not_overexposed(pixels, luma, levels), _few_inks(levels)))


def _like_paper(pixels: NDArray[np.uint8], levels: NDArray[np.float64]) -> float:
    """Return 4 h - 2 e + 13.4 d + 33 l - 14.1.

    h: log10 of 0.001 plus the share of steps between neighbours of more than 100 levels in some channel: ink has hard edges.
    e: entropy of luma, bits: inks are few, the shades of things many.
    d, l: levels, 0 to 1, that 1 and 99 of 100 pixels do not pass: paper is white all over, photographs have shadows.
    """
    wide = pixels.astype(np.int16)
    steps = [np.abs(np.diff(wide, axis=axis)).max(axis=2) for axis in (0, 1)]
    hard = sum(int((step > 100).sum()) for step in steps) / sum(step.size for step in steps)
    entropy = _entropy(np.diff(levels, prepend=0.0))
    darkest, lightest = (_quantile(levels, share) / 255 for share in (0.01, 0.99))
    return 4.0 * float(np.log10(hard + 0.001)) - 2.0 * entropy + 13.4 * darkest + 33.0 * lightest - 14.1


def _few_inks(levels: NDArray[np.float64]) -> float:
    """Return 20 (i - 0.35), i: share of the four commonest levels among those below 250.

    0.35 is what 1 in 100 overexposed photographs passes. JPEG ringing spreads the levels of small files, not of large or
    lossless ones.
    """
    below = np.diff(levels[:250], prepend=0.0)
    return 20.0 * (float(np.sort(below)[-4:].sum() / max(levels[249], 1e-9)) - 0.35)


def _not_overexposed(pixels: NDArray[np.uint8], luma: Grey, levels: NDArray[np.float64]) -> float:
    """Return 12.2 g - 3 c - 4.3 p - 11.3: light that is too much leaves other traces than paper.

    g: of the pairs of pixels, two apart, at the rim of what is 250 or lighter, the share that differ by less than 24: JPEG
    rings around ink, while a clipped sky ends at the roofs. 0.5 where there are 50 pairs or fewer.
    c: log10 of the shares of luma from 254 on (plus 0.001) over 225 to 249 (plus 0.01).
    p: log10 of 0.001 plus the share of pixels with one channel at 254 or more, and another between 60 and 235: channels of
    what is coloured clip one after the other.
    """
    rims = []
    for plane in (luma, luma.T):
        lighter, darker = np.maximum(plane[:-2], plane[2:]), np.minimum(plane[:-2], plane[2:])
        rims.append((lighter - darker)[(lighter >= 250) & (darker < 250)])
    rim = np.concatenate(rims)
    gentle = float((rim < 24).mean()) if rim.size > 50 else 0.5
    clipped = float(np.log10((1 - levels[253] + 0.001) / (levels[249] - levels[224] + 0.01)))
    least = pixels.min(axis=2)
    partly = float(((pixels.max(axis=2) >= 254) & (least > 60) & (least < 235)).mean())
    return 12.2 * gentle - 3.0 * clipped - 4.3 * float(np.log10(partly + 0.001)) - 11.3


def assessed(path: Path) -> dict[str, Any]:
    """Return the flags of a photo that it has, and its measures.

    Raises:
        NotMeasurableError, OSError: why there are none.
    """
    measures, width, height = measure_file(path)
    scores = flags(measures, width, height, no_end=lacks_end(path))
    raised = {flag: score for flag, score in scores.items() if score >= FLAGGED}
    # Below a key of their own: the review takes every number beside the flags for a score.
    found = {name: round(value, 4) for name, value in asdict(measures).items()} | {"width": width, "height": height}
    return {**raised, "measures": found}
