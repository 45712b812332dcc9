"""Perceptual hashes of photos: pHash-64 and dHash-64, as the library imagehash defines them."""

from dataclasses import dataclass

import imagehash
import PIL
from PIL import Image, ImageStat

from collector.pictures import VERSION

HASH_STAMP = f"phash-64 dhash-64 by imagehash {imagehash.__version__}, pillow {PIL.__version__}, pictures {VERSION}"
"""Algorithms and versions, stored with each hash: hashes of different stamps must not be compared."""

# Below this standard deviation of grey levels (0 to 255) a picture is one colour with noise: its hash bits are the signs
# of rounding errors, and all such pictures look alike.
_LEAST_CONTRAST = 4.0


@dataclass(frozen=True, slots=True)
class Hashes:
    """pHash-64 and dHash-64, 16 hex digits each; both None for a picture with too little content."""

    phash: str | None
    dhash: str | None


def perceptual_hashes(picture: Image.Image) -> Hashes:
    """Return the hashes of a decoded picture as it is displayed (EXIF orientation already applied).

    pHash: signs of the 8×8 lowest frequencies of the 32×32 grey picture against their median (Zauner 2010, as in
    imagehash.phash). dHash: whether each pixel of the 9×8 grey picture is darker than its right neighbour
    (imagehash.dhash).
    """
    grey = picture.convert("L")
    if ImageStat.Stat(grey.resize((32, 32), Image.Resampling.BOX)).stddev[0] < _LEAST_CONTRAST:
        return Hashes(None, None)
    return Hashes(str(imagehash.phash(grey)), str(imagehash.dhash(grey)))
