"""A manifest's photos as decoded pixels: decoded once, packed into one file, mapped into memory.

Methods get the test photos as `Photos`, which carry no labels.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image

from collector.console import Track, silent
from collector.errors import DataError
from collector.pictures import VERSION, displayed, quiet_decoders
from collector.publishing.manifest import Manifest
from collector.records import SPLITS, Photo
from collector.workspace import Workspace, draft_of, write_atomically

DECODER = f"displayed {VERSION}, pillow {PIL.__version__}"
"""Changes whenever the same bytes may decode to other pixels; part of every cache key."""

_AT_ONCE = 64  # decoded photos in memory while packing
_WORKERS = 4


@dataclass(frozen=True)
class Photos:
    """Photos without labels: what a fitted method may see of the test side.

    Attributes:
        ids: photo_id of each.
        digests: sha256 of the original bytes of each.
        workspace: where the bytes lie, and the cache.
        track: shows the progress of decoding.
    """

    ids: tuple[str, ...]
    digests: tuple[str, ...]
    workspace: Workspace
    track: Track = silent

    def __len__(self) -> int:
        return len(self.ids)

    def pixels(self, size: int) -> NDArray[np.uint8]:
        """Return all photos squashed to size × size: (N, 3, size, size), sRGB, read-only, mapped from the cache.

        Raises:
            DataError: a photo does not decode.
        """
        flat, _ = self._packed(
            f"squash-{size}", lambda picture: picture.resize((size, size), Image.Resampling.BILINEAR)
        )
        return flat.reshape(len(self), 3, size, size)

    def pictures(self, side: int) -> list[NDArray[np.uint8]]:
        """Return each photo, its shorter side resized to `side` pixels: (3, height, width), sRGB, read-only.

        Raises:
            DataError: a photo does not decode.
        """
        flat, shapes = self._packed(f"shorter-{side}", lambda picture: _shorter_side(picture, side))
        ends = np.cumsum([height * width * 3 for height, width in shapes])
        return [
            flat[end - height * width * 3 : end].reshape(3, height, width)
            for end, (height, width) in zip(ends, shapes, strict=True)
        ]

    def _packed(
        self, rule: str, resize: Callable[[Image.Image], Image.Image]
    ) -> tuple[NDArray[np.uint8], list[tuple[int, int]]]:
        """Return all photos one behind the other, and their (height, width); from the cache when they are there."""
        key = hashlib.sha256(json.dumps([rule, DECODER, self.digests]).encode()).hexdigest()[:32]
        pack, shapes_file = self.workspace.cache / f"photos-{key}.u8", self.workspace.cache / f"photos-{key}.json"
        if not _is_whole(pack, shapes_file):
            shapes = _write_pack(pack, self.track(self._decoded(resize), f"decoding ({rule})", len(self)))
            # The shapes come second: where they are, the pack is whole.
            write_atomically(shapes_file, json.dumps(shapes).encode())
        shapes = [(height, width) for height, width in json.loads(shapes_file.read_bytes())]
        # An empty file cannot be mapped.
        return (np.memmap(pack, dtype=np.uint8, mode="r") if shapes else np.empty(0, np.uint8)), shapes

    def _decoded(self, resize: Callable[[Image.Image], Image.Image]) -> Iterator[NDArray[np.uint8]]:
        def one(number: int) -> NDArray[np.uint8]:
            picture = decode(self.workspace.photo(self.digests[number]), self.ids[number])
            return np.asarray(resize(picture)).transpose(2, 0, 1)

        with quiet_decoders(), ThreadPoolExecutor(_WORKERS) as pool:
            for start in range(0, len(self), _AT_ONCE):
                yield from pool.map(one, range(start, min(start + _AT_ONCE, len(self))))


@dataclass(frozen=True)
class LabelledPhotos(Photos):
    """Photos with labels: `labels` (N,) are positions in `classes`, the city slugs in the manifest's order."""

    labels: NDArray[np.int64] = None  # type: ignore[assignment]  # a dataclass field after defaults needs one
    classes: tuple[str, ...] = ()


def decode(path: Path, name: str) -> Image.Image:
    """Return the photo as it is displayed, in sRGB.

    Raises:
        DataError: it is missing or does not decode; the message names it.
    """
    try:
        with Image.open(path) as image:
            return displayed(image, colour_managed=True)
    except Exception as error:  # decoders of broken files raise nearly anything, see collecting.examine
        raise DataError(f"photo {name}: cannot be decoded from {path} ({error}); collect it again") from error


def labelled_photos(manifest: Manifest, split: str, workspace: Workspace, track: Track = silent) -> LabelledPhotos:
    """Return the photos of one side with their labels."""
    photos = manifest.photos(split)
    classes = tuple(city.slug for city in manifest.header.cities)
    number = {slug: i for i, slug in enumerate(classes)}
    return LabelledPhotos(
        **_described(photos),
        workspace=workspace,
        track=track,
        labels=np.array([number[photo.city] for photo in photos], dtype=np.int64),
        classes=classes,
    )


def unlabelled_photos(manifest: Manifest, split: str, workspace: Workspace, track: Track = silent) -> Photos:
    """Return the photos of one side without their labels."""
    return Photos(**_described(manifest.photos(split)), workspace=workspace, track=track)


def require_photos(manifest: Manifest, workspace: Workspace) -> None:
    """Make sure that the bytes of every photo of the manifest are in the workspace.

    Raises:
        DataError: some are not; the message counts them by side.
    """
    missing = {
        split: sum(not workspace.photo(str(photo.sha256)).is_file() for photo in manifest.photos(split))
        for split in SPLITS
    }
    if any(missing.values()):
        counts = ", ".join(f"{count} of {split}" for split, count in missing.items() if count)
        header = manifest.header
        raise DataError(
            f"{header.name} {header.version}: photos are not in the workspace {workspace.root}: {counts}; "
            "run `t15 collect` there, or name the workspace that holds them with --workspace"
        )


def _described(photos: Sequence[Photo]) -> dict[str, tuple[str, ...]]:
    return {
        "ids": tuple(photo.photo_id for photo in photos),
        "digests": tuple(str(photo.sha256) for photo in photos),
    }


def _shorter_side(picture: Image.Image, side: int) -> Image.Image:
    scale = side / min(picture.size)
    width, height = (max(side, round(length * scale)) for length in picture.size)
    return picture.resize((width, height), Image.Resampling.BILINEAR)


def _is_whole(pack: Path, shapes_file: Path) -> bool:
    """Return whether a pack is there with all its bytes; a power cut can leave a name without them."""
    if not (pack.is_file() and shapes_file.is_file()):
        return False
    expected = sum(3 * int(height) * int(width) for height, width in json.loads(shapes_file.read_bytes()))
    return pack.stat().st_size == expected


def _write_pack(path: Path, pictures: Iterator[NDArray[np.uint8]]) -> list[tuple[int, int]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = draft_of(path)
    shapes = []
    try:
        with draft.open("wb") as file:
            for picture in pictures:
                file.write(np.ascontiguousarray(picture).data)
                shapes.append((picture.shape[1], picture.shape[2]))
        draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise
    return shapes
