"""Two photos side by side with lines between what one camera's move explains, and pictures as `data:` addresses."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from benchmark.local.keypoints import Features, bounded, extract_features
from benchmark.local.verification import PairVerifier
from benchmark.photos import Photos

_HEIGHT = 200  # pixels of a drawn pair
_LINES = 40
_COLOUR = (255, 196, 0)


def matched(sides: Sequence[Photos], verifier: PairVerifier) -> tuple[Image.Image, int]:
    """Return two photos, each a `Photos` of one, side by side with inliers drawn, and how many these are; 0: not verified.

    Raises:
        DataError: a photo does not decode.
        UsageError: an extra is missing.
    """
    side = verifier.front_end.side
    features = [extract_features(photo, verifier.front_end)[0] for photo in sides]
    (inliers,) = verifier.inliers([(features[0], features[1])])
    pictures = [Image.fromarray(photo.pictures(side, enlarge=False)[0].transpose(1, 2, 0)) for photo in sides]
    return drawn([of.resize(bounded(*of.size, side)) for of in pictures], features, inliers), len(inliers)


def spread(rows: NDArray[np.int64], count: int) -> list[int]:
    """Return so many of the rows, evenly from the first to the last."""
    places: Any = (
        np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)) if len(rows) else []
    )
    return [int(rows[place]) for place in places]


def drawn(pictures: Sequence[Image.Image], features: Sequence[Features], inliers: NDArray[np.int32]) -> Image.Image:
    """Return two pictures side by side, with a line from each keypoint of the one to its match in the other, 40 at most.

    Args:
        pictures: two, as the keypoints were found in them.
        features: of both.
        inliers: (n, 2) which keypoints belong together.
    """
    scales = [_HEIGHT / picture.height for picture in pictures]
    small = [
        picture.resize((max(1, round(picture.width * of)), _HEIGHT))
        for picture, of in zip(pictures, scales, strict=True)
    ]
    both = Image.new("RGB", (small[0].width + small[1].width, _HEIGHT))
    both.paste(small[0], (0, 0))
    both.paste(small[1], (small[0].width, 0))
    pen = ImageDraw.Draw(both)
    for row in spread(np.arange(len(inliers)), _LINES):
        ends = [
            features[side].points[inliers[row, side], :2] * scales[side] + (small[0].width * side, 0) for side in (0, 1)
        ]
        pen.line([tuple(map(float, end)) for end in ends], fill=_COLOUR, width=1)
    return both


def data_uri(image: Image.Image, format: str, **options: Any) -> str:
    """Return a picture as a `data:` address of this format, `JPEG` or `PNG`; nothing but pixels goes in."""
    file = io.BytesIO()
    bare = image.copy()
    bare.info.clear()
    bare.save(file, format, **options)
    mime = f"image/{format.lower()}"
    return f"data:{mime};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
