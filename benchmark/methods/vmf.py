"""`vmf:NET`: a mixture of von Mises-Fisher distributions on the sphere: a density that is one, with a log score.

Of a photo x the density of a place y (a unit vector) is Σ_k π_k(x) v(y; μ_k, κ_k), v the von Mises-Fisher density on the
sphere, κ / (2π (1 - e^-2κ)) · exp(κ (μ·y - 1)), per steradian (K. Mardia, P. Jupp, Directional Statistics, 1999). The μ_k
are the mean places of the cells of a partition (`benchmark.cells`), the κ_k are learnt, one for each, and log π_k(x) is a
linear softmax of frozen vectors. The mean negative log-likelihood of the training places is minimised; its penalty is
chosen on the validation photos, by their distances like all these methods.

The answer is the centre where the density is largest, or that with the least expected distance, as the validation photos
have it: a mode is drawn to the narrowest distribution. κ is the inverse square of a spread in radians: a spread of 1 km is
κ = 4·10⁷. μ·y - 1 is taken as -|μ - y|²/2, which keeps its digits there. A κ is not let above that of `finest_km`, or it
would grow without bound on equal places.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.cells.grow import load_partition
from benchmark.cells.partition import Stored
from benchmark.classifiers.soft_targets import Linear, fit_linear
from benchmark.methods.placing import (
    PLACES_VERSION,
    Located,
    Placing,
    best_of,
    described,
    likeliest,
    partition,
)
from benchmark.methods.settings import numbers
from benchmark.methods.types import Context, Method, Training
from benchmark.predictions import Places
from collector.errors import UsageError
from collector.geo import EARTH_RADIUS_KM, distances_km, unit_vectors

READOUTS = ("mode", "nearest")
"""How a place is read out of a density, at the centres: where it is largest, or the least expected distance from."""


@dataclass(frozen=True)
class VmfHead:
    """A fitted head: `model` gives log π, the partition's answers are the centres, `kappas` (K,) how narrow each is.

    `readout` is one of READOUTS.
    """

    model: Linear
    partition: Stored
    kappas: NDArray[np.float64]
    readout: str = "mode"

    @property
    def partitions(self) -> list[Stored]:
        """The partition whose answers are the centres."""
        return [self.partition]

    def places(self, vectors: NDArray[np.float32]) -> Places:
        """Return the centre that is read out for each photo; those with the largest shares are the candidates."""
        shares, centres = np.exp(self.model.log_probabilities(vectors)), self.partition.answers
        if self.readout == "mode":
            between = np.exp(log_vmf(unit_vectors(*centres.T), unit_vectors(*centres.T), self.kappas))
            return self._stated(shares, (shares @ between.T).argmax(axis=1))
        km = distances_km(centres[:, :1], centres[:, 1:], centres[:, 0], centres[:, 1])
        return self._stated(shares, (shares @ km).argmin(axis=1))

    def _stated(self, shares: NDArray[np.float64], best: NDArray[np.int64]) -> Places:
        return likeliest(shares, self.partition.answers, best, EARTH_RADIUS_KM / np.sqrt(self.kappas))

    def log_density(self, vectors: NDArray[np.float32], places: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the logarithm of the density, per steradian, of each photo's place: (N,) from (N, D) and (N, 2)."""
        logs = self.model.log_probabilities(vectors) + log_vmf(
            unit_vectors(*places.T), unit_vectors(*self.partition.answers.T), self.kappas
        )
        return np.asarray(np.logaddexp.reduce(logs, axis=1), np.float64)

    def save(self) -> tuple[str, dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the kind, what is needed to build it again as plain JSON, and its arrays by name (`load_head`)."""
        cells = {f"cells-{name}": array for name, array in self.partition.to_arrays().items()}
        return "vmf", {"readout": self.readout}, {**cells, **self.model.to_arrays("model-"), "kappas": self.kappas}


def load_head(spec: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> VmfHead:
    """Return the head that `VmfHead.save` described; ValueError or KeyError where it is damaged."""
    head = VmfHead(
        Linear.of_arrays(arrays, "model-"), load_partition(arrays, "cells-"), arrays["kappas"], spec["readout"]
    )
    count = len(head.partition.answers)
    if (
        head.readout not in READOUTS
        or head.kappas.shape != (count,)
        or len(head.model.biases) != count
        or not (head.kappas > 0).all()
    ):
        raise ValueError(f"a mixture of {count} centres and {head.kappas.shape} widths")
    return head


def log_vmf(
    points: NDArray[np.float64], centres: NDArray[np.float64], kappas: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the logarithm of the density at unit vectors (N, 3) of distributions around (K, 3): (N, K), per steradian."""
    squares = np.square(points[:, None] - centres[None]).sum(axis=2)
    logs: NDArray[np.float64] = np.log(kappas / (2 * np.pi)) - np.log1p(-np.exp(-2 * kappas)) - kappas * squares / 2
    return logs


def fit(
    training: Training,
    validation: Training,
    context: Context,
    *,
    net: str,
    size: int,
    split: str,
    most: float,
    least: float,
    finest_km: float,
    cs: str,
    iterations: int,
) -> Placing:
    """Fit the mixture."""
    if not finest_km > 0:
        raise UsageError(f"finest_km {finest_km}: must be above 0")
    describing, sides = described(training, validation, context, net, size)
    photos, judged = sides.training, sides.validation
    cells = partition(photos.places, sides.labels, split, most, least)

    def candidates() -> Iterator[tuple[VmfHead, Places]]:
        for c in numbers(cs):
            head = fitted(photos, cells, c, finest_km, iterations, context.device)
            for readout in READOUTS:
                one = replace(head, readout=readout)
                yield one, one.places(judged.vectors)

    return Placing(describing, best_of(candidates(), judged.places))


def fitted(photos: Located, cells: Stored, c: float, finest_km: float, iterations: int, device: str) -> VmfHead:
    """Return the mixture with least c · Σ -log density + ½ |W|² of the photos."""
    import torch

    points, centres = unit_vectors(*photos.places.T), unit_vectors(*cells.answers.T)
    squares = np.square(points[:, None] - centres[None]).sum(axis=2)
    highest = math.log(EARTH_RADIUS_KM**2 / finest_km**2)
    own = squares.min(axis=1)[:, None] == squares
    # Of a lone distribution the likeliest κ is 2 over the mean square: that of each centre's own photos to begin with.
    spread = np.maximum((squares * own).sum(axis=0) / np.maximum(own.sum(axis=0), 1), 2 * math.exp(-highest))
    apart = torch.from_numpy(squares).to(device)
    logs = torch.tensor(np.minimum(np.log(2 / spread), highest), device=device, requires_grad=True)

    def loss(shares: "torch.Tensor") -> "torch.Tensor":
        kappas = logs.clamp(-2.0, highest).exp()
        each = torch.log(kappas / (2 * math.pi)) - torch.log1p(-torch.exp(-2 * kappas)) - kappas * apart / 2
        return -torch.logsumexp(shares + each, dim=1).sum()

    model = fit_linear(photos.vectors, len(centres), loss, c, iterations, device, logs)
    return VmfHead(model, cells, logs.detach().clamp(-2.0, highest).exp().cpu().numpy())


VMF = Method(
    name="vmf:{net}",
    title="{net}, von Mises-Fisher mixture",
    fit=fit,
    parameters={
        "split": "s2",
        "most": 0.4,
        "least": 0.03,
        "finest_km": 0.1,
        "cs": "0.0001,0.001,0.01,0.1",
        "iterations": 200,
    },
    smoke={"cs": "0.01", "iterations": 30},
    version=PLACES_VERSION,
    gives=frozenset({"places"}),
    needs=frozenset({"places"}),
    selection="best-on-validation",
)
