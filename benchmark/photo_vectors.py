"""Vectors of a workspace's photos, and pairs verified by local features, for curating: the collector is handed `Source`."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.features.extract import Feature, extract
from benchmark.local.keypoints import Features
from benchmark.methods.features import feature
from benchmark.methods.heads import trained_tower
from benchmark.methods.scenes import KINDS, SCENES, scene_shares
from benchmark.methods.types import Context
from benchmark.methods.vectors import NETS, NetworkVectors, describer, feature_kind
from benchmark.networks import weights
from benchmark.networks.backbones import backbones, find_backbone
from benchmark.photos import Photos, WorkspacePhotos
from collector.errors import DataError
from collector.executors.local import Fault
from collector.executors.photos import map_photos
from collector.images.decode import decode
from collector.progress import Track
from collector.records import Photo
from collector.workspace import Workspace

PREFERRED = (
    *("vit_base_patch14_dinov2", "vit_small_patch14_dinov2", "vit_base_patch16_clip_224", "vit_base_patch32_clip_224"),
    *(
        "convnext_tiny",
        "tf_efficientnet_lite0",
        "mobilenetv4_conv_small",
        "resnet50",
        "resnet34",
        "resnet18",
        "alexnet",
    ),
)
"""Architectures whose weights are taken where none is named, the best first; without any: GIST."""

_SMALL = 64  # pixels that are asked of a photo to see whether it decodes at all
_SCENE_SIDE = 320  # pixels of the shorter side, at most, of photos whose features are compared
_STILL = 0.02  # of that side: what moved less from one photo to the other stands at the same place of both


class Source:
    """What the front door hands to the collector (`collector.curating.vectors`: VectorSource, IndoorSource)."""

    def vectors(
        self, workspace: Workspace, photos: Sequence[Photo], net: str | None, track: Track, *, turn: int = 0
    ) -> tuple[str, NDArray[np.float32], NDArray[np.bool_]]:
        """Return what gave them, the vectors (N, D) of length 1, and which photos could be read, (N,).

        Of several networks (`net` has commas) each photo's vectors stand side by side, each as long as the others.

        Raises:
            UsageError: there is no such network or feature.
            MissingWeightsError: its weights are not here.
        """
        kinds = [_feature(one.strip()) for one in (net or best()).split(",")]
        readable, known = _readable(workspace, photos, track)
        parts = []
        for _, of, values in kinds:
            found = extract(_turned(of, turn) if turn else of, readable, "cpu")[:, values]
            rows = np.zeros((len(photos), found.shape[1]), np.float32)
            rows[known] = found
            parts.append(_of_length_one(rows))
        rows = parts[0] if len(parts) == 1 else _of_length_one(np.hstack(parts))
        return ", ".join(name for name, *_ in kinds), rows, known

    def inliers(
        self, workspace: Workspace, photos: Sequence[Photo], pairs: Sequence[tuple[int, int]], track: Track
    ) -> list[int]:
        """Return how many local features of each pair of photos one camera's move explains; 0: too few to say so.

        0 too where most stand at the same place of both: what was laid over both pictures is no view.

        Raises:
            UsageError: the extra `local` is not installed.
        """
        from benchmark.local.keypoints import Sift, extract_features
        from benchmark.local.verification import PairVerifier

        front_end = Sift(side=_SCENE_SIDE, most=800)
        used = sorted({row for pair in pairs for row in pair})
        readable, known = _readable(workspace, [photos[row] for row in used], track)
        features = iter(extract_features(readable, front_end))
        of = {row: next(features) for row, there in zip(used, known, strict=True) if there}
        verifier = PairVerifier(front_end, cache=workspace.cache / "arrays")
        whole = [pair for pair in pairs if pair[0] in of and pair[1] in of]
        verified = track(verifier.inliers((of[a], of[b]) for a, b in whole), "verifying pairs", len(whole))
        counts = {
            (a, b): 0 if _laid_over(of[a], of[b], inliers) else len(inliers)
            for (a, b), inliers in zip(whole, verified, strict=True)
        }
        return [counts.get(pair, 0) for pair in pairs]

    def indoors(
        self, workspace: Workspace, photos: Sequence[Photo], track: Track
    ) -> tuple[str, NDArray[np.float64]] | None:
        """Return what said so, and how likely each photo was taken indoors, (N,), NaN of one that cannot be read.

        The sum of what a network that learnt Places365 gives the categories that its authors list as indoors. None where
        no weights of such a network are here.

        Raises:
            DataError: weights are damaged.
        """
        net = next(filter(_sees_scenes, _best_first()), None)
        if net is None:
            return None
        backbone = find_backbone(net)
        said = weights.stored(backbone)
        digest = said.digest if said else None
        context = Context(weights=weights.load(backbone), weights_digest=digest)
        describing = describer(net, backbone.preprocessing.crop, context)
        readable, known = _readable(workspace, photos, track)
        found = np.full(len(photos), np.nan)
        if known.any() and isinstance(describing, NetworkVectors):
            found[known] = scene_shares(describing, readable)[:, KINDS.index("i")]
        return f"{net} {str(digest)[:8]}", found


def _of_length_one(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return vectors with their lengths made 1, in place; zeros stay."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    np.divide(rows, lengths, out=rows, where=lengths > 0)
    return rows


def _laid_over(first: Features, second: Features, inliers: NDArray[np.int32]) -> bool:
    """Whether three quarters of what two photos share stand at the same place of both: an agency's mark, and no view."""
    if not len(inliers):
        return False
    moved = first.points[inliers[:, 0], :2] - second.points[inliers[:, 1], :2]
    return bool(np.quantile(np.hypot(*moved.T), 0.75) < _STILL * _SCENE_SIDE)


def best() -> str:
    """Return the network of PREFERRED whose weights are here, or GIST."""
    preferred = tuple(f"{architecture}/" for architecture in PREFERRED)
    return next((name for name in _best_first() if name.startswith(preferred)), "gist")


def _best_first() -> Iterator[str]:
    """Yield the networks whose weights are here, those of PREFERRED first."""
    known = backbones()
    order = [name for architecture in PREFERRED for name in known if name.startswith(f"{architecture}/")]
    return (name for name in dict.fromkeys([*order, *known]) if weights.stored(known[name]))


def _sees_scenes(net: str) -> bool:
    origin = backbones()[net].pretrained
    return origin is not None and (origin.data, origin.classes) == ("Places365", len(SCENES))


def _feature(net: str) -> tuple[str, Feature, slice]:
    """Return what to call it, the feature, and which of its values are wanted."""
    if kind := feature_kind(net):
        size = NETS[net][1] if net in NETS else 64
        return f"{net} {size}", feature(kind, size), slice(None)
    tower = trained_tower(net, None, "cpu", "penultimate", "float16")
    backbone = find_backbone(net)
    return f"{net} {str(tower.weights_digest)[:8]}", tower.feature(), slice(0, backbone.width)


def _turned(of: Feature, turn: int) -> Feature:
    """Return the feature of photos turned by quarters; the centre of a square stays where it is."""
    return replace(
        of,
        compute=lambda photos: of.compute(torch.rot90(photos, turn, (2, 3)).contiguous()),
        parameters={**of.parameters, "quarter turns": turn},
    )


def _readable(workspace: Workspace, photos: Sequence[Photo], track: Track) -> tuple[Photos, NDArray[np.bool_]]:
    """Return the photos whose file is there and decodes, and which they are, (N,); those kept before are not tried."""
    known = np.array([workspace.photo(str(photo.sha256)).is_file() for photo in photos], bool)
    store = WorkspacePhotos(workspace, track)
    chosen = _photos(photos, known, store)
    try:
        chosen.pixels(_SMALL, "squash", list(range(len(chosen))))
    except DataError:
        digests = [str(photo.sha256) for photo in photos]
        tried = map_photos(_decodes, digests, workspace, track=track, doing="looking for broken files")
        known &= np.array([not isinstance(one, Fault) for one in tried], bool)
        chosen = _photos(photos, known, store)
    return chosen, known


def _decodes(path: Path) -> None:
    decode(path, _SMALL)


def _photos(photos: Sequence[Photo], known: NDArray[np.bool_], store: WorkspacePhotos) -> Photos:
    there = [photo for photo, is_there in zip(photos, known, strict=True) if is_there]
    return Photos(
        tuple(photo.photo_id for photo in there), tuple(str(photo.sha256) for photo in there), store, "curating"
    )
