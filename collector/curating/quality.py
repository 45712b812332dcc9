"""Flags on photos of poor quality, a score each: what a picture's measures come to, and how a file is measured."""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from threading import Lock

import numpy as np
import PIL

from collector.curating.measures import SIDE, Measures, measure, reduced
from collector.images.decode import MAX_PIXELS, VERSION, displayed, open_image, shown_size

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
        raise NotMeasurableError(" ".join(str(error).split())[:200] or type(error).__name__) from error


def _measured(path: Path) -> tuple[Measures, int, int]:
    with open_image(path) as image:
        if image.width * image.height > MAX_PIXELS:
            raise NotMeasurableError(f"{image.width} × {image.height} pixels, measured are up to {MAX_PIXELS}")
        width, height = shown_size(image)
        image.draft("RGB", (SIDE, SIDE))
        with _large_ones if image.width * image.height > _LARGE else nullcontext():
            small = reduced(displayed(image))
    return measure(small), width, height
