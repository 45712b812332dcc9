"""Heads that begin with what the labels' names say: classifiers on unit vectors of photos and of texts of one tower.

Throughout f are photos' vectors (N, D) and t the labels' text vectors (C, D), all of length 1, and s the tower's own scale
(100 in CLIP, about 112 in SigLIP). A sigmoid tower's bias is the same for every label and drops out of the softmax. Without a
photo the scores are s·f·t. What is fitted adds to them: `fit_text_probe` a matrix that is pulled towards none, `fit_tip`
votes of similar training photos, `fit_lp` class means, `fit_clap` prototypes that keep near their text. Nothing here looks at
validation photos but `fit_tip` and `fit_tip_f`, to choose two numbers and an epoch.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from torch import Tensor, nn

from benchmark.classifiers.heads import Labels, Vectors, require_finite
from benchmark.classifiers.logistic import LinearModel, Logistic
from collector.errors import DataError

_AT_ONCE = 1 << 24  # similarities in memory
_BATCH = 256  # photos a step
_MOMENTUM = 0.9


def linear(weights: NDArray[Any]) -> Logistic:
    """Return the classifier whose scores are f·weights, of weights (C, D)."""
    return Logistic(LinearModel(weights, np.zeros(len(weights)), np.arange(len(weights))), len(weights))


@dataclass(frozen=True)
class Hierarchy:
    """P(label) = P(parent)·P(label | parent), each a softmax of f·weights; a lone child has its parent's probability.

    `children` (C, D), `parents` (P, D); `parent_of` (C,) is each child's row in `parents`.
    """

    children: NDArray[Any]
    parents: NDArray[Any]
    parent_of: Labels

    def predict_proba(self, queries: Vectors) -> NDArray[np.float32]:
        """Return the probability of each child, (M, C)."""
        scores, above = queries @ self.children.T, softmax(queries @ self.parents.T, axis=1)
        likely = np.zeros(scores.shape)
        for parent in range(len(self.parents)):
            mine = self.parent_of == parent
            likely[:, mine] = softmax(scores[:, mine], axis=1) * above[:, [parent]]
        return likely.astype(np.float32)

    def at_temperature(self, temperature: float) -> "Hierarchy":
        """Return the same with scores of both levels divided by the temperature."""
        return replace(self, children=self.children / temperature, parents=self.parents / temperature)

    def save(self) -> tuple[str, dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the kind, what is needed to build it again as plain JSON, and its arrays by name (`load_hierarchy`)."""
        return "hierarchy", {}, {name: getattr(self, name) for name in self.__dataclass_fields__}


def load_hierarchy(spec: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], device: str) -> Hierarchy:  # noqa: ARG001
    """Return the classifier that `Hierarchy.save` described.

    Raises:
        ValueError, KeyError: the arrays are none, or do not fit each other.
    """
    found = Hierarchy(*(arrays[name] for name in Hierarchy.__dataclass_fields__))
    shapes = found.children.ndim == found.parents.ndim == 2 and found.children.shape[1:] == found.parents.shape[1:]
    fits = shapes and found.parent_of.shape == found.children.shape[:1] and found.parent_of.dtype.kind == "i"
    if not fits or not 0 <= found.parent_of.min() <= found.parent_of.max() < len(found.parents):
        raise ValueError("a hierarchy whose levels do not fit each other")
    if not (np.isfinite(found.children).all() and np.isfinite(found.parents).all()):
        raise ValueError("a hierarchy: a weight is not finite")
    return found


@dataclass(frozen=True)
class TipModel:
    """Scores (f·text + α·Σ_n exp(-β·(1 - f·key_n))·[label_n = c]) / temperature.

    R. Zhang et al., "Tip-Adapter", ECCV 2022. `text` (C, D) holds s·t; `keys` (K, D), not of length 1 once they were learnt;
    `labels` (K,).
    """

    text: NDArray[Any]
    keys: NDArray[np.float32]
    labels: Labels
    alpha: float
    beta: float
    temperature: float = 1.0

    def votes(self, queries: Vectors, betas: Sequence[float]) -> NDArray[np.float32]:
        """Return the second term without α for each β, (B, M, C); similarities are computed once for all."""
        values = np.eye(len(self.text), dtype=np.float32)[self.labels]
        step = max(1, _AT_ONCE // max(1, len(self.keys)))
        result = np.empty((len(betas), len(queries), len(self.text)), np.float32)
        for at in range(0, len(queries), step):
            below = queries[at : at + step] @ self.keys.T - 1
            for beta, votes in zip(betas, result, strict=True):
                votes[at : at + step] = np.exp(beta * below) @ values
        return result

    def predict_proba(self, queries: Vectors) -> NDArray[np.float32]:
        """Return the probability of each class, (M, C)."""
        scores = queries @ self.text.T + self.alpha * self.votes(queries, [self.beta])[0]
        likely: NDArray[np.float32] = softmax(scores / self.temperature, axis=1).astype(np.float32)
        return likely

    def at_temperature(self, temperature: float) -> "TipModel":
        """Return the same with its scores divided by the temperature."""
        return replace(self, temperature=self.temperature * temperature)

    def save(self) -> tuple[str, dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the kind, what is needed to build it again as plain JSON, and its arrays by name (`load_tip`)."""
        numbers = {name: getattr(self, name) for name in ("alpha", "beta", "temperature")}
        return "tip", numbers, {name: getattr(self, name) for name in ("text", "keys", "labels")}


def load_tip(spec: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], device: str) -> TipModel:  # noqa: ARG001
    """Return the classifier that `TipModel.save` described; it computes on the CPU, whatever the device.

    Raises:
        ValueError, KeyError, TypeError: the description is none, or does not fit the arrays.
    """
    text, keys, labels = (arrays[name] for name in ("text", "keys", "labels"))
    numbers = {name: float(spec[name]) for name in ("alpha", "beta", "temperature")}
    if not (text.ndim == keys.ndim == 2 and text.shape[1] == keys.shape[1] and labels.shape == (len(keys),)):
        raise ValueError("keys, labels and texts that do not fit each other")
    if (
        not np.isfinite([*numbers.values(), np.abs(text).sum(), np.abs(keys).sum()]).all()
        or numbers["temperature"] <= 0
    ):
        raise ValueError("a Tip-Adapter: a number is not finite")
    if labels.dtype.kind != "i" or (len(labels) and not 0 <= labels.min() <= labels.max() < len(text)):
        raise ValueError("a Tip-Adapter: a label that is none")
    return TipModel(text, keys, labels, **numbers)


def fit_text_probe(
    vectors: Vectors, labels: Labels, text: Vectors, scale: float, pulls: Sequence[float], iterations: int
) -> list[Logistic]:
    """Return softmax regressions of scores s·f·t + f·V, one for each pull λ, which minimise

        mean cross-entropy + λ·|V|² / 2,

    so that V = 0, the text alone, is where they begin and what they are pulled to. Convex; L-BFGS, from the stronger pull's V
    to the weaker's.
    """
    offset = scale * vectors @ text.T
    truth = np.eye(len(text), dtype=np.float32)[labels]
    change = np.zeros(text.shape)
    fitted: dict[float, Logistic] = {}
    for pull in sorted(set(pulls), reverse=True):

        def loss(flat: NDArray[np.float64], pull: float = pull) -> tuple[float, NDArray[np.float64]]:
            weights = flat.reshape(text.shape).astype(np.float32)
            logs = log_softmax(offset + vectors @ weights.T, axis=1)
            slope = ((np.exp(logs) - truth) / len(vectors)).T @ vectors + pull * weights
            value = -(logs * truth).sum() / len(vectors) + pull / 2 * (flat @ flat)
            return float(value), slope.astype(np.float64).ravel()

        found = minimize(loss, change.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": iterations})
        change = found.x.reshape(text.shape)
        require_finite("text-probe", change)
        fitted[pull] = linear(scale * text + change)
    return [fitted[pull] for pull in pulls]


def fit_tip(
    vectors: Vectors,
    labels: Labels,
    judged: tuple[Vectors, Labels],
    text: Vectors,
    scale: float,
    alphas: Sequence[float],
    betas: Sequence[float],
) -> TipModel:
    """Return Tip-Adapter, which learns nothing: its α and β are those that are right on most of `judged`, of equal ones the
    first, the smallest.
    """
    start = TipModel(scale * text, vectors, labels, alphas[0], betas[0])
    plain = judged[0] @ start.text.T
    best = (-1, start)
    for beta, votes in zip(betas, start.votes(judged[0], betas), strict=True):
        for alpha in alphas:
            right = int(((plain + alpha * votes).argmax(axis=1) == judged[1]).sum())
            if right > best[0]:
                best = (right, replace(start, alpha=alpha, beta=beta))
    return best[1]


def fit_tip_f(
    vectors: Vectors,
    labels: Labels,
    judged: tuple[Vectors, Labels],
    text: Vectors,
    scale: float,
    alphas: Sequence[float],
    betas: Sequence[float],
    keys: int,
    epochs: int,
    rate: float,
    seed: int,
    device: str,
) -> TipModel:
    """Return Tip-Adapter-F: its keys begin as training vectors and are learnt at α = 1, β = 1.17.

    AdamW (ε 1e-4), cosine to 0, steps of 256. `judged` chooses the epoch, then α and β; the released program chooses by test
    photos. At most `keys` of a class are keys, drawn from the seed; all photos teach them.
    """
    draw = np.random.default_rng(seed)
    rows = np.concatenate([_sample(np.flatnonzero(labels == c), keys, draw) for c in range(len(text))])
    learnt = nn.Parameter(torch.from_numpy(vectors[rows].copy()).to(device))
    values = torch.eye(len(text))[torch.from_numpy(labels[rows])].to(device)
    above = torch.from_numpy(scale * text).to(device)
    optimiser = torch.optim.AdamW([learnt], rate, eps=1e-4)
    best: tuple[float, Vectors] = (-1.0, vectors[rows])

    def scores(queries: Tensor) -> Tensor:
        return queries @ above.T + torch.exp(1.17 * (queries @ learnt.T - 1)) @ values

    queries = torch.from_numpy(judged[0]).to(device)
    for _ in _epochs(optimiser, scores, vectors, labels, epochs, seed, device):
        with torch.no_grad():
            answers = torch.cat([scores(of).argmax(dim=1) for of in queries.split(1024)] or [queries.new_zeros(0)])
        share = float((answers.cpu().numpy() == judged[1]).mean()) if len(judged[1]) else 0.0
        if share > best[0]:
            best = (share, learnt.detach().cpu().numpy().copy())
    require_finite("tip-f", best[1])
    return fit_tip(best[1], labels[rows], judged, text, scale, alphas, betas)


def fit_lp(vectors: Vectors, labels: Labels, text: Vectors, steps: int) -> Logistic:
    """Return LP++: scores f·(w_c + α_c·t_c), both learnt by full-batch gradient descent on the cross-entropy.

    Y. Huang et al., "LP++: A surprisingly strong linear probe for few-shot CLIP", CVPR 2024. w begins as the class means, α
    as 250 / (photos a class) times the mean of f·t over the photos of each class, then over classes. Rates follow from bounds
    of the curvature: 4N / λ_max(fᵀf) for w, with momentum 0.9; N / (4·max_c Σ(f·t_c)²) for α, every tenth step.
    """
    counts = np.bincount(labels, minlength=len(text))
    means = np.zeros(text.shape, np.float64)
    np.add.at(means, labels, vectors)
    weights = torch.from_numpy((means / np.maximum(counts, 1)[:, None]).astype(np.float32))
    x, truth = torch.from_numpy(vectors), torch.eye(len(text))[torch.from_numpy(labels)]
    text_scores = x @ torch.from_numpy(text).T
    seen = counts > 0
    own = (text_scores * truth).sum(dim=0)[torch.from_numpy(seen)] / torch.from_numpy(counts[seen])
    alphas = torch.full((len(text),), float(250 / (len(vectors) / seen.sum()) * own.mean()))
    rate = 4 * len(x) / float(torch.linalg.eigvalsh(x.T @ x)[-1])
    rate_of_alphas = len(x) / (4 * float(text_scores.square().sum(dim=0).max()))
    moved = torch.zeros_like(weights)
    # Classes stand in rows, and photos a second time in columns: products and the softmax then read memory in order.
    columns, text_scores, truth = x.T.contiguous(), text_scores.T.contiguous(), truth.T.contiguous()
    for step in range(steps):
        scores = (x @ weights.T).T.contiguous()
        error = ((scores + text_scores * alphas[:, None]).softmax(dim=0) - truth) / len(x)
        moved = _MOMENTUM * moved + (columns @ error.T.contiguous()).T
        weights -= rate * moved
        if step % 10 == 9:
            alphas -= rate_of_alphas * (error * text_scores).sum(dim=1)
    whole = weights.numpy() + alphas.numpy()[:, None] * text
    require_finite("lp++", whole)
    return linear(whole)


def fit_clap(
    vectors: Vectors,
    labels: Labels,
    text: Vectors,
    scale: float,
    epochs: int,
    most: int,
    rate: float,
    seed: int,
    device: str,
) -> Logistic:
    """Return CLAP: prototypes w that begin as t, scores s·cos(f, w), by SGD (momentum 0.9, cosine to 0, steps of 256) on

        mean cross-entropy + mean over classes of λ_c·|w_c - t_c|²,

    where λ_c is what the text alone gives the photos of class c on average: names that say little may be left behind.
    J. Silva-Rodríguez et al., "A closer look at the few-shot adaptation of large vision-language models", CVPR 2024. At
    most `most` steps.
    """
    alone = softmax(scale * vectors @ text.T, axis=1)[np.arange(len(labels)), labels]
    counts = np.bincount(labels, minlength=len(text))
    trust = np.bincount(labels, alone, minlength=len(text)) / np.maximum(counts, 1)
    names, pulls = torch.from_numpy(text).to(device), torch.from_numpy(trust.astype(np.float32)).to(device)
    prototypes = nn.Parameter(names.clone())
    optimiser = torch.optim.SGD([prototypes], rate, _MOMENTUM)

    def scores(queries: Tensor) -> Tensor:
        return queries @ (scale * nn.functional.normalize(prototypes)).T

    def penalty() -> Tensor:
        return (pulls * (prototypes - names).square().sum(dim=1)).mean()

    epochs = max(1, min(epochs, most // math.ceil(len(vectors) / _BATCH)))
    for _ in _epochs(optimiser, scores, vectors, labels, epochs, seed, device, penalty):
        pass
    whole = nn.functional.normalize(prototypes.detach()).cpu().numpy()
    require_finite("clap", whole)
    return linear(scale * whole)


def _epochs(
    optimiser: torch.optim.Optimizer,
    scores: Callable[[Tensor], Tensor],
    vectors: Vectors,
    labels: Labels,
    epochs: int,
    seed: int,
    device: str,
    penalty: Callable[[], Tensor] | None = None,
) -> Iterator[None]:
    """Train by cross-entropy, and a penalty, and yield after each epoch; the rate falls to 0 by a cosine."""
    x, y = torch.from_numpy(np.ascontiguousarray(vectors)).to(device), torch.from_numpy(labels).to(device)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * math.ceil(len(x) / _BATCH))
    draw = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=draw).to(device).split(_BATCH):
            optimiser.zero_grad(set_to_none=True)
            loss = nn.functional.cross_entropy(scores(x.index_select(0, rows)), y[rows])
            (loss + penalty() if penalty else loss).backward()
            optimiser.step()
            schedule.step()
        yield


def _sample(rows: NDArray[np.int64], most: int, draw: np.random.Generator) -> NDArray[np.int64]:
    return rows if len(rows) <= most else np.sort(draw.choice(rows, most, replace=False))


def require_text(text: NDArray[Any], width: int) -> None:
    """Raise DataError where text vectors are no (C, D) finite numbers of the photos' width."""
    if text.ndim != 2 or text.shape[1] != width or not np.isfinite(text).all():
        raise DataError(
            f"texts have vectors {text.shape}, photos such of {width} values; the tower's two halves do not fit"
        )
