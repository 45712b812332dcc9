"""A manifest's photos as decoded pixels: each decoded once, kept by its digest, mapped into memory.

Methods get the test photos as `Photos`, which carry no labels.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image

from benchmark.label_set import photos_at
from benchmark.store import ArrayStore
from collector.errors import DataError, first_few
from collector.executors.local import Fault, Threads
from collector.images.decode import VERSION, open_image, shown_size
from collector.images.decode import decode as decode_image
from collector.images.shards import has_photo, stored_photo
from collector.progress import Track, silent
from collector.records import SPLITS, Photo
from collector.text_table import counted
from collector.workspace import Workspace

if TYPE_CHECKING:  # pyarrow is not needed for photos that no manifest has
    from collector.executors.cluster import Cluster
    from collector.manifest.manifest import Manifest

DECODER = f"displayed {VERSION}, draft 1, pillow {PIL.__version__}"
"""Changes whenever the same bytes may decode to other pixels; part of every cache key."""

INTERPOLATIONS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
"""How a picture is resized, by name; Pillow takes in all pixels that a smaller one stands for."""

Resize = Callable[[Image.Image], Image.Image]


class PhotoStore(Protocol):
    """Where the pixels of photos come from."""

    @property
    def cache(self) -> Path | None:
        """Folder for arrays computed from the photos; None where nothing of them is to be kept."""
        ...

    @property
    def track(self) -> Track:
        """Shows the progress of work on the photos."""
        ...

    def squares(self, photos: "Photos", size: int, rule: str, rows: Sequence[int] | None) -> NDArray[np.uint8]:
        """Return what `Photos.pixels` promises."""
        ...

    def pictures(
        self, photos: "Photos", side: int, interpolation: str, enlarge: bool = True
    ) -> list[NDArray[np.uint8]]:
        """Return what `Photos.pictures` promises."""
        ...

    def originals(self, photos: "Photos") -> "Originals":
        """Return what `Photos.originals` promises."""
        ...


class Originals(Sequence[NDArray[np.uint8]]):
    """Photos as they are displayed, (3, height, width), sRGB: each decoded anew when it is asked for.

    Attributes:
        shapes: (N, 2) height and width, pixels.
    """

    def __init__(self, sources: Sequence[Callable[[], Image.Image]], shapes: Sequence[tuple[int, int]]) -> None:
        self._sources = sources
        self.shapes = np.array(shapes, np.int64).reshape(-1, 2)

    def __len__(self) -> int:
        return len(self._sources)

    def __getitem__(self, position: Any) -> Any:
        """Return one photo.

        Raises:
            DataError: it is missing or does not decode.
        """
        return _planes(self._sources[position]())


@dataclass(frozen=True)
class Photos:
    """Photos without labels: what a fitted method may see of the test side.

    Attributes:
        ids: photo_id of each.
        digests: sha256 of the original bytes of each.
        store: where their pixels come from.
        side: `train`, `val` or `test`, for messages.
    """

    ids: tuple[str, ...]
    digests: tuple[str, ...]
    store: PhotoStore
    side: str = ""

    def __len__(self) -> int:
        return len(self.ids)

    def pixels(self, size: int, rule: str = "squash", rows: Sequence[int] | None = None) -> NDArray[np.uint8]:
        """Return photos as squares: (N, 3, size, size), sRGB, read-only where it is mapped from the cache.

        Args:
            size: pixels of a side.
            rule: `squash` changes the proportions; `cover` keeps them and cuts the longer side's ends off;
                `centre-256-bicubic` resizes the shorter side to 256 pixels (or any other number) and cuts the square out of
                the centre, exactly as torchvision's `Resize` and `CenterCrop` do, which timm and open_clip use.
            rows: positions of the photos wanted, None for all. All are decoded at the first call.

        Raises:
            DataError: photos do not decode; the message counts and names them.
        """
        return self.store.squares(self, size, rule, rows)

    def pictures(self, side: int, interpolation: str = "bilinear", enlarge: bool = True) -> list[NDArray[np.uint8]]:
        """Return each photo, its shorter side resized to `side` pixels: (3, height, width), sRGB, read-only.

        Args:
            side: pixels.
            interpolation: one of INTERPOLATIONS.
            enlarge: whether photos that are smaller are made larger, or stay as they are.

        Raises:
            DataError: photos do not decode; the message counts and names them.
        """
        return self.store.pictures(self, side, interpolation, enlarge)

    def originals(self) -> Originals:
        """Return the photos in their full size, as a sequence that decodes each when it is asked for, and keeps none.

        Raises:
            DataError: a photo is missing or cannot be opened.
        """
        return self.store.originals(self)


@dataclass(frozen=True, kw_only=True)
class LabelledPhotos(Photos):
    """Photos with labels: `labels` (N,) are positions in `classes`, the label ids in the manifest's order."""

    labels: NDArray[np.int64]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class WorkspacePhotos:
    """The store of photos whose bytes lie in a workspace or its shards: each is decoded once, and kept in the cache by
    its digest.

    Attributes:
        workspace: that has them.
        track: shows progress.
        work: a cluster on which features of them are computed; None for here.
    """

    workspace: Workspace
    track: Track = silent
    work: "Cluster | None" = None
    _arrays: dict[str, ArrayStore] = field(default_factory=dict, repr=False, compare=False)

    @property
    def cache(self) -> Path:
        """The workspace's folder for arrays."""
        return self.workspace.cache / "arrays"

    def squares(self, photos: Photos, size: int, rule: str, rows: Sequence[int] | None) -> NDArray[np.uint8]:
        """Return photos as squares, as `Photos.pixels`."""
        digests = photos.digests if rows is None else [photos.digests[row] for row in rows]
        resize, side = _resizing(rule, size)
        arrays = self._filled(photos, f"{rule}-{size}", resize, side, digests)
        return arrays.stacked(digests) if digests else np.empty((0, 3, size, size), np.uint8)

    def pictures(self, photos: Photos, side: int, interpolation: str, enlarge: bool = True) -> list[NDArray[np.uint8]]:
        """Return each photo, its shorter side resized, as `Photos.pictures`."""
        rule = f"{'shorter' if enlarge else 'at-most'}-{side}"
        rule += "" if interpolation == "bilinear" else f"-{interpolation}"
        arrays = self._filled(
            photos, rule, lambda picture: _shorter_side(picture, side, interpolation, enlarge), side, photos.digests
        )
        return arrays.each(photos.digests) if photos.digests else []

    def originals(self, photos: Photos) -> Originals:
        """Return the photos in their full size, as `Photos.originals`."""
        files = [
            (partial(stored_photo, self.workspace, digest), name)
            for digest, name in zip(photos.digests, photos.ids, strict=True)
        ]
        return Originals([partial(_decoded_of, *file) for file in files], [_shape(of(), name) for of, name in files])

    def _filled(self, photos: Photos, rule: str, resize: Resize, size: int, wanted: Sequence[str]) -> ArrayStore:
        """Return the arrays of this rule with all of these photos among them."""
        if rule in self._arrays and not self._arrays[rule].missing(wanted):
            return self._arrays[rule]
        key = {"what": "pixels", "rule": rule, "decoder": DECODER}
        arrays = ArrayStore(self.cache, key, np.dtype(np.uint8))
        while missing := arrays.missing(photos.digests):  # again where somebody deletes the cache meanwhile
            faults: list[str] = []
            decoded = self.track(
                self._decoded(photos, missing, resize, size, faults), f"decoding ({rule})", len(missing)
            )
            arrays.add(item for item in decoded if item is not None)
            if faults:
                raise DataError(
                    f"{len(faults)} of {counted(len(photos), 'photos')} of {photos.side or 'the manifest'} cannot "
                    "be decoded: "
                    f"{first_few(faults, '; ', longest=500)}; `t15 collect --check` fetches them again"
                )
        self._arrays[rule] = arrays
        return arrays

    def _decoded(
        self, photos: Photos, positions: Sequence[int], resize: Resize, size: int, faults: list[str]
    ) -> Iterator[tuple[str, NDArray[np.uint8]] | None]:
        def one(position: int) -> NDArray[np.uint8]:
            picture = decode(stored_photo(self.workspace, photos.digests[position]), photos.ids[position], size)
            return _planes(resize(picture))

        for position, result in zip(positions, Threads().outcomes(one, positions), strict=True):
            if isinstance(result, Fault):
                faults.append(str(result.error or result.reason))
                yield None
            else:
                yield photos.digests[position], result


@dataclass(frozen=True)
class PassingPhotos:
    """The store of a workspace's photos that are looked at once, on a node of a cluster: nothing of them is kept."""

    workspace: Workspace
    cache: None = None
    track: Track = silent

    def squares(self, photos: Photos, size: int, rule: str, rows: Sequence[int] | None) -> NDArray[np.uint8]:
        """Return photos as squares, as `Photos.pixels`."""
        resize, side = _resizing(rule, size)
        chosen = range(len(photos)) if rows is None else rows
        squares = [_planes(resize(self._picture(photos, row, side))) for row in chosen]
        return np.stack(squares) if squares else np.empty((0, 3, size, size), np.uint8)

    def pictures(self, photos: Photos, side: int, interpolation: str, enlarge: bool = True) -> list[NDArray[np.uint8]]:
        """Return each photo, its shorter side resized, as `Photos.pictures`."""
        each = (self._picture(photos, row, side) for row in range(len(photos)))
        return [_planes(_shorter_side(picture, side, interpolation, enlarge)) for picture in each]

    def originals(self, photos: Photos) -> Originals:
        """Return the photos in their full size, as `Photos.originals`."""
        return WorkspacePhotos(self.workspace).originals(photos)

    def _picture(self, photos: Photos, row: int, side: int) -> Image.Image:
        return decode(self.workspace.photo(photos.digests[row]), photos.ids[row], side)


@dataclass(frozen=True)
class GivenPictures:
    """The store of pictures at hand, which lie in no workspace; nothing of them is kept.

    `images` are as `collector.images.decode.displayed` gives them: upright, RGB of 8 bits.
    """

    images: tuple[Image.Image, ...]
    cache: None = None
    track: Track = silent

    def squares(self, photos: Photos, size: int, rule: str, rows: Sequence[int] | None) -> NDArray[np.uint8]:  # noqa: ARG002
        """Return photos as squares, as `Photos.pixels`."""
        resize, _ = _resizing(rule, size)
        chosen = self.images if rows is None else [self.images[row] for row in rows]
        squares = [_planes(resize(image)) for image in chosen]
        return np.stack(squares) if squares else np.empty((0, 3, size, size), np.uint8)

    def pictures(
        self,
        photos: Photos,  # noqa: ARG002
        side: int,
        interpolation: str,
        enlarge: bool = True,
    ) -> list[NDArray[np.uint8]]:
        """Return each photo, its shorter side resized, as `Photos.pictures`."""
        return [_planes(_shorter_side(image, side, interpolation, enlarge)) for image in self.images]

    def originals(self, photos: Photos) -> Originals:  # noqa: ARG002
        """Return the pictures in their full size, as `Photos.originals`."""
        return Originals([image.copy for image in self.images], [(image.height, image.width) for image in self.images])


def some_of(
    photos: LabelledPhotos, rows: NDArray[np.int64], labels: NDArray[np.int64], classes: tuple[str, ...]
) -> LabelledPhotos:
    """Return those photos that stand in these rows, with other labels."""
    store = photos.store
    if isinstance(store, GivenPictures):
        store = GivenPictures(tuple(store.images[row] for row in rows))
    ids, digests = (tuple(of[row] for row in rows) for of in (photos.ids, photos.digests))
    return LabelledPhotos(ids=ids, digests=digests, store=store, side=photos.side, labels=labels, classes=classes)


def _decoded_of(source: Callable[[], Path | bytes], name: str) -> Image.Image:
    return decode(source(), name)


def decode(path: Path | bytes, name: str, size: int | None = None) -> Image.Image:
    """Return the photo as it is displayed, in sRGB; smaller with `size` (see `collector.images.decode.decode`).

    Raises:
        DataError: it is missing or does not decode; the message names it.
    """
    try:
        return decode_image(path, size)
    except Exception as error:  # decoders of broken files raise nearly anything, see images.validate
        raise DataError(f"photo {name}: cannot be decoded from {_named(path)} ({error})") from error


def _named(path: Path | bytes) -> str:
    return str(path) if isinstance(path, Path) else "its shard"


def _shape(path: Path | bytes, name: str) -> tuple[int, int]:
    """Return height and width of a photo as it is displayed.

    Raises:
        DataError: it is missing or cannot be opened.
    """
    try:
        with open_image(path) as image:
            width, height = shown_size(image)
    except Exception as error:  # see `decode`
        raise DataError(f"photo {name}: cannot be decoded from {_named(path)} ({error})") from error
    return height, width


def photos_of(manifest: "Manifest", split: str, store: PhotoStore, level: str = "city") -> Photos:
    """Return the photos of one side that have a label of a level, without their labels."""
    photos = photos_at(manifest, split, level)
    return Photos(tuple(photo.photo_id for photo in photos), _digests(photos), store, split)


def given_photos(images: Sequence[Image.Image]) -> Photos:
    """Return pictures at hand as photos: copies of their pixels, without EXIF or anything else that Pillow knows of a file.

    They get numbers for names, and no digests.

    Raises:
        ValueError: a picture is not RGB of 8 bits.
    """
    bare = [image.copy() for image in images]
    for image in bare:
        if image.mode != "RGB":
            raise ValueError(
                f"a picture of mode {image.mode}; RGB is wanted, as collector.images.decode.displayed gives it"
            )
        image.info.clear()  # a copy keeps the EXIF here, and nowhere else
    names = tuple(f"given:{number}" for number in range(len(images)))
    return Photos(names, ("",) * len(names), GivenPictures(tuple(bare)))


def available(manifest: "Manifest", workspace: Workspace) -> "Manifest":
    """Return the manifest, or that of its partial rehydration when photos are missing and there is one.

    The partial one has a digest of its own and says in its note what is missing: scores on it are never mixed with scores
    on the whole.

    Raises:
        DataError: the partial manifest is damaged.
    """
    from collector.manifest.manifest import partial_folder, read_manifest

    folder = partial_folder(manifest, workspace)
    if (folder / "manifest.json").is_file() and any(missing_photos(manifest, workspace).values()):
        partial = read_manifest(folder)
        if partial.header.parent == {"version": manifest.header.version, "digest": manifest.digest}:
            return partial
    return manifest


def missing_photos(manifest: "Manifest", workspace: Workspace) -> dict[str, int]:
    """Return how many photos of each side are not in the workspace."""
    return {
        split: sum(not has_photo(workspace, str(photo.sha256)) for photo in manifest.photos(split)) for split in SPLITS
    }


def require_photos(manifest: "Manifest", workspace: Workspace, source: str = "PATH-OF-THE-MANIFEST") -> None:
    """Make sure that the bytes of every photo of the manifest are in the workspace; `source` is what a person calls it.

    Raises:
        DataError: some are not; the message counts them by side.
    """
    missing = missing_photos(manifest, workspace)
    if any(missing.values()):
        counts = ", ".join(f"{count} of {split}" for split, count in missing.items() if count)
        header = manifest.header
        raise DataError(
            f"{header.name} {header.version}: photos are not in the workspace {workspace.root}: {counts}; "
            f"`t15 rehydrate {source} --workspace {workspace.root}` brings them"
        )


def _digests(photos: Sequence[Photo]) -> tuple[str, ...]:
    return tuple(str(photo.sha256) for photo in photos)


def _planes(picture: Image.Image) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.asarray(picture).transpose(2, 0, 1))


def _shorter_side(
    picture: Image.Image, side: int, interpolation: str = "bilinear", enlarge: bool = True
) -> Image.Image:
    side = side if enlarge else min(side, *picture.size)
    scale = side / min(picture.size)
    width, height = (max(side, round(length * scale)) for length in picture.size)
    return picture.resize((width, height), INTERPOLATIONS[interpolation])


def _cover(picture: Image.Image, size: int, interpolation: str = "bilinear") -> Image.Image:
    larger = _shorter_side(picture, size, interpolation)
    left, top = (larger.width - size) // 2, (larger.height - size) // 2
    return larger.crop((left, top, left + size, top + size))


_RULES: dict[str, Callable[[int], Resize]] = {
    "squash": lambda size: lambda picture: picture.resize((size, size), Image.Resampling.BILINEAR),
    "squash-bicubic": lambda size: lambda picture: picture.resize((size, size), Image.Resampling.BICUBIC),
    "cover": lambda size: lambda picture: _cover(picture, size),
    "cover-bicubic": lambda size: lambda picture: _cover(picture, size, "bicubic"),
}
"""How a photo becomes a square; beside these there is `centre-SIDE-INTERPOLATION`."""


def _resizing(rule: str, size: int) -> tuple[Resize, int]:
    """Return what makes a square of a photo, and how many pixels of each side of the photo it needs."""
    if not rule.startswith("centre-"):
        return _RULES[rule](size), size
    _, side, interpolation = rule.split("-")
    return (lambda picture: _centre(picture, int(side), size, interpolation)), int(side)


def _centre(picture: Image.Image, side: int, size: int, interpolation: str) -> Image.Image:
    # torchvision's arithmetic: the longer side is rounded down, the margins half to even.
    shorter = min(picture.size)
    width, height = (int(side * length / shorter) for length in picture.size)
    resized = picture.resize((width, height), INTERPOLATIONS[interpolation])
    left, top = round((width - size) / 2), round((height - size) / 2)
    return resized.crop((left, top, left + size, top + size))
