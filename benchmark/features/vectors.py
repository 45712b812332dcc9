"""Vectors of photos from networks that do not learn: each photo passes once, and what comes of it is kept.

A pass gives several vectors, called poolings: `penultimate`, what goes into the classifier; `cls`, the class token; `mean` of
the map's places (or of the tokens that stand for a place); and `gem`, (mean of max(x, 1e-6)³)^(1/3), generalised mean pooling
(Radenović, Tolias, Chum, "Fine-tuning CNN image retrieval with no human annotation", TPAMI 2019). They lie in one row of the
cache, one behind the other, keyed by the photo's digest and by network, weights, preprocessing, decoder and number format.
Memory is that of a batch; rows are mapped from disk. float16 halves the disk: rows that it would change by more than a
thousandth of their length are refused.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.features.extract import Feature, extract
from benchmark.networks.backbones import Backbone, find_backbone
from benchmark.photos import Photos
from collector.errors import UsageError

POOLINGS = ("penultimate", "cls", "mean", "gem")
"""What a network may give of a photo; `Backbone.poolings` says which of them it has."""

STORED = ("float32", "float16")
"""How vectors are kept."""

_POWER, _FLOOR = 3.0, 1e-6  # of generalised mean pooling
_AT_ONCE = 32  # photos through a network: larger batches are no faster on a CPU
_LARGER = (64, 128, 256)  # tried on a GPU

COMPUTED = ("float32", "bf16")
"""In which a network computes; bf16 halves the time on a GPU that has it, and gives other vectors."""


@dataclass(frozen=True)
class Tower:
    """A network that gives vectors.

    Attributes:
        network: in evaluation mode, on the device.
        backbone: its name.
        size: pixels of a side of the centre crop.
        weights_digest: of its weights; None for random ones, whose vectors are not kept.
        device: `cpu` or `cuda`.
        pooling: one of the backbone's `poolings`.
        stored: one of STORED.
        computed: one of COMPUTED.
    """

    network: nn.Module
    backbone: str
    size: int
    weights_digest: str | None
    device: str
    pooling: str = "penultimate"
    stored: str = "float32"
    computed: str = "float32"

    def embed(self, photos: Photos) -> NDArray[np.float32]:
        """Return the chosen vector of each photo, (N, D).

        Raises:
            UsageError: the network has no such pooling, or takes no crops of this size.
            DataError: a photo does not decode, or a vector is no number or does not fit the number format.
        """
        backbone = find_backbone(self.backbone)
        check(backbone, self.size, self.pooling)
        rows = extract(self.feature(), photos, self.device)
        return rows[:, _columns(backbone, self.pooling, rows.shape[1])]

    def feature(self) -> Feature:
        """Return all poolings of the backbone, one behind the other, as a feature that `extract` keeps."""
        backbone = find_backbone(self.backbone)
        shape = backbone.preprocessing.at(self.size)
        side, rule, margin = shape.square
        mean, std = (torch.tensor(of, device=self.device).view(3, 1, 1) for of in (shape.mean, shape.std))
        inside = slice(margin, margin + self.size)

        tuned: list[int] = [] if self.device == "cuda" else [_AT_ONCE]

        def through(batch: Tensor) -> Tensor:
            pixels = ((batch.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)
            with torch.autocast(self.device, torch.bfloat16, enabled=self.computed == "bf16"):
                return pooled(self.network, backbone, pixels)

        @torch.inference_mode()
        def compute(photos: Tensor) -> Tensor:
            if not len(photos):  # the width is asked for, and not every network takes a batch of none
                return compute(photos.new_zeros(1, *photos.shape[1:]))[:0]
            crops = photos[:, :, inside, inside].to(self.device)
            if not tuned and len(crops) >= _LARGER[-1]:
                tuned.append(quickest(through, crops))
            return torch.cat([through(batch) for batch in crops.split(tuned[0] if tuned else _AT_ONCE)])

        facts = {"network": self.backbone, "crop": self.size, "weights": self.weights_digest}
        facts |= {"computed": self.computed} if self.computed != "float32" else {}
        return Feature(
            "vectors",
            compute,
            side,
            version=1,
            rule=rule,
            parameters={**facts, "poolings": list(backbone.poolings), "preprocessing": shape.facts},
            kept=self.weights_digest is not None,  # random weights are those of one run
            dtype=self.stored,
        )


def quickest(compute: Callable[[Tensor], Tensor], crops: Tensor) -> int:
    """Return how many crops at a time, 32 to 256, take the least time each on a GPU, among sizes that it has room for."""
    best, least = _AT_ONCE, math.inf
    for size in (_AT_ONCE, *_LARGER):
        try:
            compute(crops[:size])  # the first of a shape also chooses kernels
            torch.cuda.synchronize()
            started = time.perf_counter()
            compute(crops[:size])
            torch.cuda.synchronize()
        except torch.OutOfMemoryError:
            break
        each = (time.perf_counter() - started) / size
        best, least = (size, each) if each < 0.95 * least else (best, least)
    return best


def check_stored(stored: str, computed: str = "float32") -> None:
    """Raise UsageError where they are none of STORED and COMPUTED."""
    for name, value, known in (("stored", stored, STORED), ("computed", computed, COMPUTED)):
        if value not in known:
            raise UsageError(f"{name} {value[:40]!r}: choose one of {', '.join(known)}")


def check(backbone: Backbone, size: int, pooling: str) -> None:
    """Raise UsageError where the network has no such pooling, or takes no crops of this size."""
    if pooling not in backbone.poolings:
        raise UsageError(f"{backbone.name}: has no pooling {pooling!r}; choose one of {', '.join(backbone.poolings)}")
    if backbone.fixed and size != backbone.preprocessing.crop:
        raise UsageError(f"{backbone.name}: takes crops of {backbone.preprocessing.crop} pixels only, not of {size}")
    if size % backbone.patch:
        nearest = max(1, round(size / backbone.patch)) * backbone.patch
        raise UsageError(
            f"{backbone.name}: sees patches of {backbone.patch} pixels, so {size} do not go; take {nearest}"
        )


def pooled(network: nn.Module, backbone: Backbone, photos: Tensor) -> Tensor:
    """Return the backbone's poolings, one behind the other, (N, D + T·W) float32, of standardised photos (N, 3, H, W).

    Of open_clip there is one, the photo's vector in the space of texts; of timm's other networks what their own
    `forward_features` and `forward_head` give; of all others modules are listened to.
    """
    if backbone.reading == "open_clip":
        whole: Tensor = network.encode_image(photos)  # type: ignore[operator]
        return whole.float()
    if backbone.reading == "timm":
        found: Tensor = network.forward_features(photos)  # type: ignore[operator]
        last = network.forward_head(found, pre_logits=True).float()  # type: ignore[operator]
        if getattr(network, "output_fmt", "NCHW") == "NHWC" and found.dim() == 4:
            found = found.permute(0, 3, 1, 2)
        return torch.cat([last, *(_poolings(found.float(), backbone.prefix) if backbone.width else [])], dim=1)
    seen: dict[str, Tensor] = {}
    hooks = [
        network.get_submodule(backbone.classifier).register_forward_pre_hook(
            lambda _, given: seen.update(penultimate=given[0])
        )
    ]
    if len(backbone.poolings) > 1:
        tokens = network.get_submodule(backbone.tokens)
        hooks.append(tokens.register_forward_hook(lambda *found: seen.update(tokens=found[2])))
    try:
        network(photos)
    finally:
        for hook in hooks:
            hook.remove()
    last = seen["penultimate"]
    parts = [last.flatten(2).mean(dim=2) if last.dim() > 2 else last]
    if len(backbone.poolings) > 1:
        parts += _poolings(seen["tokens"].float(), backbone.prefix)
    return torch.cat([part.float() for part in parts], dim=1)


def _poolings(tokens: Tensor, prefix: int) -> list[Tensor]:
    """Return the class token where there is one, the mean and the generalised mean, (N, W) each."""
    if tokens.dim() == 4:  # a map is tokens in rows
        tokens = tokens.flatten(2).transpose(1, 2)
    places = tokens[:, prefix:]
    generalised = places.clamp(min=_FLOOR).pow(_POWER).mean(dim=1).pow(1 / _POWER)
    return [*([tokens[:, 0]] if prefix else []), places.mean(dim=1), generalised]


def _columns(backbone: Backbone, pooling: str, columns: int) -> slice:
    """Return where a pooling lies in a row of so many columns."""
    others = len(backbone.poolings) - 1
    if not others:
        return slice(0, columns)
    # All but the first are of one width, which need not be that of the first.
    first = backbone.width
    wide = (columns - first) // others
    place = backbone.poolings.index(pooling)
    return slice(0, first) if place == 0 else slice(first + (place - 1) * wide, first + place * wide)
