"""Is this a photograph, whole and of a useful size?"""

import hashlib
from dataclasses import dataclass

from PIL import Image

from collector.errors import one_line
from collector.images.decode import FORMATS, MAX_PIXELS, open_image, shown_size
from collector.images.hashing import Hashes, hash_picture

REASONS = ("empty", "too-large", "unreadable", "truncated", "bomb", "animated", "too-small", "heic")
"""Why bytes are no usable photo; providers add reasons of their own, such as `no-city`."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is accepted.

    Attributes:
        max_bytes: of the file.
        max_pixels: width × height.
        min_side: pixels of the shorter side. The benchmark's smallest pictures are 64 × 64.
    """

    max_bytes: int = 64 << 20
    max_pixels: int = MAX_PIXELS
    min_side: int = 64


@dataclass(frozen=True, slots=True)
class Examined:
    """A photo that decoded to its last pixel.

    Attributes:
        sha256, bytes: of the file.
        width, height: pixels as displayed, after EXIF orientation.
        hashes: perceptual hashes.
        flat: the largest share of pixels whose grey levels lie within 4 of each other, 0 to 1.
    """

    sha256: str
    bytes: int
    width: int
    height: int
    hashes: Hashes
    flat: float


class NotUsableError(Exception):
    """The bytes are no usable photo: `reason` is one of REASONS, `detail` says what was seen."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def examine(data: bytes, limits: Limits) -> Examined:
    """Decode `data` whole and return its measures and hashes.

    Raises:
        NotUsableError: it is empty, too large, broken, cut off, animated, a bomb or too small.
    """
    if not data:
        raise NotUsableError("empty", "the file has no bytes")
    if len(data) > limits.max_bytes:
        raise NotUsableError("too-large", f"{len(data)} bytes, accepted are {limits.max_bytes}")
    try:
        return _decode(data, limits)
    except NotUsableError:
        raise
    except MemoryError as error:
        raise NotUsableError("bomb", "needs more memory than there is") from error
    except Exception as error:
        # Decoders of broken files raise nearly anything: seen OSError, SyntaxError, ValueError, struct.error, EOFError,
        # IndexError, TypeError and OverflowError on Pillow's own test pictures.
        raise _as_not_usable(error) from error


def _decode(data: bytes, limits: Limits) -> Examined:
    with open_image(data) as image:
        width, height = image.size
        if width * height > limits.max_pixels:
            raise NotUsableError("bomb", f"{width} × {height} pixels, accepted are {limits.max_pixels}")
        if min(width, height) < limits.min_side:
            raise NotUsableError(
                "too-small", f"{width} × {height} pixels, the shorter side must have {limits.min_side}"
            )
        # Phones write MPO and HEIF: one photo with a second view or a depth map behind it. All else with frames moves.
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format not in ("MPO", "HEIF"):
            raise NotUsableError("animated", f"{frames} frames or pages")
        # A reduced decode of a JPEG reads all of its data too: what is cut off or damaged is found all the same.
        width, height = shown_size(image)
        picture, hashes = hash_picture(image)
        return Examined(
            sha256=hashlib.sha256(data).hexdigest(),
            bytes=len(data),
            width=width,
            height=height,
            hashes=hashes,
            flat=_flatness(picture),
        )


def _flatness(picture: Image.Image) -> float:
    levels = picture.convert("L").histogram()
    return max(sum(levels[at : at + 5]) for at in range(252)) / sum(levels)


def _as_not_usable(error: Exception) -> NotUsableError:
    text = one_line(error) or type(error).__name__
    if isinstance(error, Image.DecompressionBombError) or "too large" in text.lower():
        return NotUsableError("bomb", text)
    # Pillow's words for a file that ends before its picture does.
    if any(sign in text.lower() for sign in ("truncated", "unexpected end", "end of file", "not enough image data")):
        return NotUsableError("truncated", text)
    if "is a HEIC photo" in text:
        return NotUsableError("heic", text)
    if "cannot identify image file" in text:
        return NotUsableError("unreadable", f"is no picture in one of {', '.join(FORMATS)}")
    return NotUsableError("unreadable", text)
