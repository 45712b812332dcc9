"""`geoclip-head:NET`: photos and places brought to vectors that agree; the training place that agrees most is the answer.

The contrast of GeoCLIP (`networks.location_encoder`) on frozen vectors of any NET. Photos go through one hidden layer, places
through the location encoder, both to unit vectors; of a batch's photos and of its places, and those of a queue of earlier
batches, each photo has to find its own by the softmax of s · cosine, s learnt from 1/0.07 on. The queue begins empty (the
released code begins with random vectors, which are no places), and a place equal to the photo's own is no wrong answer. The
training places alone are searched: never the test's, nor a list of the world's.

Of the article are the encoder, the loss, the queue of 4,096 and the batch; width, learning rate and epochs are ours: the
article's 3·10⁻⁵ is for millions of photos. Its scales are the world's; `sigmas` holds finer ones too, behind a semicolon:
scales and epoch are chosen on the validation photos. Not the published weights: those go with CLIP's vectors alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from benchmark.methods.placing import PLACES_VERSION, Placing, best_of, best_spread, described, likeliest
from benchmark.methods.settings import numbers
from benchmark.methods.types import Context, Method, Training
from benchmark.predictions import Places
from collector.errors import UsageError


@dataclass(frozen=True)
class GeoClipHead:
    """A fitted head.

    Attributes:
        layers: weights and biases of the photos' two layers: (768, D), (768,), (512, 768), (512,).
        codes: (G, 512), of length 1, of the training places.
        gallery: (G, 2), these, each once.
        scale: s.
    """

    layers: tuple[NDArray[np.float32], ...]
    codes: NDArray[np.float32]
    gallery: NDArray[np.float64]
    scale: float

    def places(self, vectors: NDArray[np.float32]) -> Places:
        """Return where the photos of these vectors were taken; the likeliest training places are the candidates."""
        first, of_first, second, of_second = self.layers
        own = np.maximum(vectors @ first.T + of_first, 0) @ second.T + of_second
        own /= np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-12)
        scores = self.scale * (own @ self.codes.T).astype(np.float64)
        return likeliest(softmax(scores, axis=1), self.gallery, scores.argmax(axis=1))

    def save(self) -> tuple[str, dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the kind, what is needed to build it again as plain JSON, and its arrays by name (`load_head`)."""
        layers = {f"layer-{number}": layer for number, layer in enumerate(self.layers)}
        return "geoclip", {"scale": self.scale}, {**layers, "codes": self.codes, "places": self.gallery}


def load_head(spec: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> GeoClipHead:
    """Return the head that `GeoClipHead.save` described; ValueError or KeyError where it is damaged."""
    layers = tuple(arrays[f"layer-{number}"] for number in range(4))
    codes, places, scale = arrays["codes"], arrays["places"], float(spec["scale"])
    shapes = [layer.shape for layer in layers]
    hidden, dimensions = shapes[1] + shapes[3] if len(shapes[1]) == len(shapes[3]) == 1 else (0, 0)
    fits = len(shapes[0]) == 2 and shapes[0][0] == hidden and shapes[2] == (dimensions, hidden)
    if not fits or codes.shape != (len(places), dimensions) or places.shape != (len(places), 2) or not len(places):
        raise ValueError(f"layers {shapes}, codes {codes.shape}, places {places.shape}")
    return GeoClipHead(layers, codes, places, scale)


def fit(
    training: Training,
    validation: Training,
    context: Context,
    *,
    net: str,
    size: int,
    sigmas: str,
    width: int,
    queue: int,
    batch: int,
    epochs: int,
    rate: float,
) -> Placing:
    """Fit the contrast; the scales and the epoch are chosen on the validation photos."""
    if min(width, batch, epochs) < 1 or queue < 0 or not rate > 0:
        raise UsageError(f"width {width}, batch {batch}, epochs {epochs}, queue {queue}, rate {rate}: must be above 0")
    from benchmark.networks.location_encoder import Contrast

    describing, sides = described(training, validation, context, net, size)
    photos, judged = sides.training, sides.validation

    def candidates() -> Iterator[tuple[GeoClipHead, Places]]:
        for scales in sigmas.split(";"):
            contrast = Contrast(photos.vectors, photos.places, numbers(scales), width, context.seed, context.device)
            for _ in range(epochs):
                contrast.epoch(queue, batch, rate)
                head = GeoClipHead(*contrast.learnt_so_far())
                yield head, head.places(judged.vectors)

    best = best_of(candidates(), judged.places)
    return Placing(describing, best, best_spread(best.places(judged.vectors), judged.places))


GEOCLIP = Method(
    name="geoclip-head:{net}",
    title="{net}, GeoCLIP's contrast",
    fit=fit,
    parameters={
        "sigmas": "1,16,256;16,256,4096",
        "width": 256,
        "queue": 4096,
        "batch": 256,
        "epochs": 30,
        "rate": 0.0003,
    },
    smoke={"sigmas": "1,16,256", "width": 16, "epochs": 2},
    version=PLACES_VERSION,
    gives=frozenset({"places"}),
    needs=frozenset({"places"}),
    stochastic=True,
    selection="best-on-validation",
)
