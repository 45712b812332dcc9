"""Heads: classifiers that are fitted on vectors of a frozen network in seconds.

Each `fit_…` learns from vectors (N, D) and labels (N,), and gives a `Classifier`, or one for each candidate. Discriminant
analysis and nearest class means are linear in the vector: they, and what gradient descent finds, are kept as `Logistic`.
Nothing here looks at validation photos but `fit_mlp`, to keep its best epoch.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch import Tensor, nn

from benchmark.classifiers.logistic import LinearModel, Logistic
from collector.errors import DataError

Vectors = NDArray[np.float32]
Labels = NDArray[np.int64]

_BATCH = 512  # vectors a step
_HIDDEN = 256  # of the perceptron
_MOMENTUM = 0.9


def fit_lda(vectors: Vectors, labels: Labels, classes: int, shrinkages: Sequence[float]) -> list[Logistic]:
    """Return linear discriminant analyses, one for each shrinkage of 0 (exclusive) to 1.

    The classes are Gaussians of one covariance, S = (1 - s)·within + s·(trace / D)·I; a vector's score for class c is
    x·S⁻¹m - m·S⁻¹m / 2 + ln(share of c). One eigenvalue decomposition, O(N·D² + D³), serves all shrinkages. Friedman,
    "Regularized discriminant analysis", JASA 84 (1989).
    """
    means, shares, present = _class_means(vectors, labels, classes)
    within = vectors - means[np.searchsorted(present, labels)]
    centre = np.zeros(vectors.shape[1])
    return [
        _gaussian(means, np.log(shares), present, classes, centre, inverse) for inverse in _inverses(within, shrinkages)
    ]


def fit_ncm(vectors: Vectors, labels: Labels, classes: int, shrinkages: Sequence[float]) -> list[Logistic]:
    """Return nearest class means, one for each shrinkage: vectors are whitened by the covariance of all of them, shrunk as in
    `fit_lda`, and a score is -|x - m|² / 2 there; classes weigh alike.
    """
    means, _, present = _class_means(vectors, labels, classes)
    centre = vectors.mean(axis=0, dtype=np.float64)
    return [
        _gaussian(means, np.zeros(len(present)), present, classes, centre, inverse)
        for inverse in _inverses(vectors - centre, shrinkages)
    ]


def fit_sgd(
    vectors: Vectors,
    labels: Labels,
    classes: int,
    settings: Sequence[tuple[float, float]],
    epochs: int,
    seed: int,
    device: str,
) -> list[Logistic]:
    """Return softmax regressions on standardised vectors by SGD (momentum 0.9, cosine to 0, steps of 512 vectors, from zero),
    one for each rate and weight decay. They learn side by side from the same steps, and each as it would alone.

    Raises:
        DataError: one diverged.
    """
    mean, scale = _spread(vectors)
    ready = torch.from_numpy((vectors - mean) / scale).to(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        nn.Linear(vectors.shape[1], classes)  # draws, so that photos come in the order that they always did
        layers = nn.ModuleList(nn.utils.skip_init(nn.Linear, vectors.shape[1], classes) for _ in settings).to(device)
        for of in layers.parameters():
            nn.init.zeros_(of)
        groups = [
            {"params": list(layer.parameters()), "lr": rate, "weight_decay": decay}
            for layer, (rate, decay) in zip(layers, settings, strict=True)
        ]
        optimiser = torch.optim.SGD(groups, momentum=_MOMENTUM)
        for _ in _epochs(layers, optimiser, ready, labels, epochs):
            pass
    arrays = [[of.detach().cpu().numpy() for of in layer.parameters()] for layer in layers]
    require_finite("linear-sgd", *(weights for weights, _ in arrays))
    return [
        Logistic(LinearModel(weights, biases, np.arange(classes)), classes, mean, scale) for weights, biases in arrays
    ]


def fit_mlp(
    vectors: Vectors,
    labels: Labels,
    judged: tuple[Vectors, Labels],
    classes: int,
    decay: float,
    epochs: int,
    seed: int,
    device: str,
) -> "Perceptron":
    """Return a perceptron of one hidden layer (256, ReLU, half of it dropped), by AdamW (rate 0.001, cosine to 0, steps of
    512) on standardised vectors; the epoch is kept that is best on `judged`, validation vectors and labels, of equal ones
    the first.

    Raises:
        DataError: it diverged.
    """
    mean, scale = _spread(vectors)
    best: tuple[float, Perceptron | None] = (-1.0, None)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Linear(vectors.shape[1], _HIDDEN), nn.ReLU(), nn.Dropout(0.5), nn.Linear(_HIDDEN, classes)
        )
        optimiser = torch.optim.AdamW(network.to(device).parameters(), 1e-3, weight_decay=decay)
        ready = torch.from_numpy((vectors - mean) / scale).to(device)
        for _ in _epochs([network], optimiser, ready, labels, epochs):
            arrays = [of.detach().cpu().numpy().copy() for of in network.parameters()]
            require_finite("mlp", *arrays)
            inner, inner_biases, outer, outer_biases = arrays
            candidate = Perceptron(inner, inner_biases, outer, outer_biases, mean, scale)
            share = float((candidate.predict_proba(judged[0]).argmax(axis=1) == judged[1]).mean())
            if share > best[0]:
                best = (share, candidate)
    assert best[1] is not None  # noqa: S101 (a share is above -1, and there is an epoch)
    return best[1]


@dataclass(frozen=True)
class Perceptron:
    """Softmax of outer·max(0, inner·x + …) + …, of vectors (x - mean) / scale; `inner` (H, D), `outer` (C, H)."""

    inner: NDArray[Any]
    inner_biases: NDArray[Any]
    outer: NDArray[Any]
    outer_biases: NDArray[Any]
    mean: NDArray[Any]
    scale: NDArray[Any]

    def predict_proba(self, queries: Vectors) -> Vectors:
        """Return the probability of each class, (M, C)."""
        hidden = np.maximum(((queries - self.mean) / self.scale) @ self.inner.T + self.inner_biases, 0)
        shares: Vectors = softmax(hidden @ self.outer.T + self.outer_biases, axis=1).astype(np.float32)
        return shares

    def save(self) -> tuple[str, dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the kind, what is needed to build it again as plain JSON, and its arrays by name (`load_mlp`)."""
        return "mlp", {}, {name: getattr(self, name) for name in self.__dataclass_fields__}


def load_mlp(spec: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], device: str) -> Perceptron:  # noqa: ARG001
    """Return the classifier that `Perceptron.save` described; it computes on the CPU, whatever the device.

    Raises:
        ValueError, KeyError, TypeError: the description is none, or does not fit the arrays.
    """
    perceptron = Perceptron(**{name: arrays[name] for name in Perceptron.__dataclass_fields__})
    (hidden, values), (classes, inside) = perceptron.inner.shape, perceptron.outer.shape
    expected = {"inner_biases": (hidden,), "outer_biases": (classes,), "mean": (values,), "scale": (values,)}
    if inside != hidden or any(getattr(perceptron, name).shape != shape for name, shape in expected.items()):
        raise ValueError(
            f"a perceptron of {perceptron.inner.shape} and {perceptron.outer.shape} weights, and others that do not fit"
        )
    if not all(np.isfinite(getattr(perceptron, name)).all() for name in perceptron.__dataclass_fields__):
        raise ValueError("a perceptron: a weight is not finite")
    return perceptron


def at_temperature(head: Any, temperature: float) -> Any:
    """Return the head with its scores divided by the temperature."""
    if hasattr(head, "at_temperature"):
        return head.at_temperature(temperature)
    if isinstance(head, Perceptron):
        return replace(head, outer=head.outer / temperature, outer_biases=head.outer_biases / temperature)
    model = head.model
    scaled = LinearModel(model.weights / temperature, model.biases / temperature, model.classes_, model.link)
    return replace(head, model=scaled)


def unit(vectors: NDArray[Any]) -> Vectors:
    """Return vectors of length 1 (float32); a vector of zeros stays one."""
    plain = np.asarray(vectors, np.float32)
    lengths = np.linalg.norm(plain, axis=1, keepdims=True)
    scaled: Vectors = (plain / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return scaled


def _class_means(
    vectors: Vectors, labels: Labels, classes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], Labels]:
    """Return the mean and the share of each class that has vectors, and which these are."""
    counts = np.bincount(labels, minlength=classes)
    present = np.flatnonzero(counts)
    sums = np.zeros((classes, vectors.shape[1]))
    np.add.at(sums, labels, vectors)
    return sums[present] / counts[present, None], counts[present] / len(labels), present


def _inverses(
    centred: NDArray[Any], shrinkages: Sequence[float]
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Yield, for each shrinkage, the shrunk covariance's inverse as eigenvectors (D, D) and inverse eigenvalues (D,)."""
    covariance = centred.T.astype(np.float64) @ centred / max(1, len(centred))
    values, axes = np.linalg.eigh(covariance)
    values = np.maximum(values, 0)
    for shrinkage in shrinkages:
        shrunk = (1 - shrinkage) * values + shrinkage * max(values.mean(), 1e-12)
        yield axes, 1.0 / shrunk


def _gaussian(
    means: NDArray[np.float64],
    priors: NDArray[np.float64],
    present: Labels,
    classes: int,
    centre: NDArray[np.float64],
    inverse: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> Logistic:
    axes, values = inverse
    weights = ((means - centre) @ axes * values) @ axes.T
    biases = priors - ((means + centre) * weights).sum(axis=1) / 2
    return Logistic(LinearModel(weights, biases, present), classes)


def _spread(vectors: Vectors) -> tuple[Vectors, Vectors]:
    """Return the mean and the deviation of each value; the deviation of a constant is 1."""
    mean, scale = vectors.mean(axis=0, dtype=np.float64), vectors.std(axis=0, dtype=np.float64)
    return mean.astype(np.float32), np.where(scale > 1e-12, scale, 1.0).astype(np.float32)


def _epochs(
    networks: Iterable[nn.Module], optimiser: torch.optim.Optimizer, x: Tensor, labels: Labels, epochs: int
) -> Iterator[None]:
    """Train networks, each by its cross-entropy, and yield after each epoch; the rate falls to 0 by a cosine."""
    y = torch.from_numpy(labels).to(x.device)
    steps = -(-len(x) // _BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).to(x.device).split(_BATCH):
            optimiser.zero_grad(set_to_none=True)
            photos, truth = x.index_select(0, rows), y[rows]
            for network in networks:
                nn.functional.cross_entropy(network(photos), truth).backward()
            optimiser.step()
            schedule.step()
        yield


def require_finite(name: str, *arrays: NDArray[Any]) -> None:
    """Raise DataError where a fit ran away."""
    if not all(np.isfinite(of).all() for of in arrays):
        raise DataError(f"{name}: the head does not converge on these vectors; choose a smaller rate, or another head")
