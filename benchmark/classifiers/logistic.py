"""Logistic regression, as it was in 2018 and as it is today, on raw or standardised features."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # torch and scikit-learn take seconds, and a fitted model answers without them
    import torch

SOLVERS = ("multinomial", "liblinear-2018")
"""`multinomial`: scikit-learn's L-BFGS on the softmax; on a GPU the same objective by torch's L-BFGS. `liblinear-2018`:
one-vs-rest by liblinear, scikit-learn's default until 0.22."""

LINKS = ("softmax", "one-vs-rest")
"""How scores become probabilities: by the softmax, or each by the logistic function, then divided by their sum."""


@dataclass(frozen=True)
class Logistic:
    """A fitted classifier over `classes` classes, of which the model may have seen fewer.

    `mean` and `scale`, (D,), standardise vectors before the model sees them; None leaves them raw.
    """

    model: Any
    classes: int
    mean: NDArray[np.float32] | None = None
    scale: NDArray[np.float32] | None = None

    def predict_proba(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probability of each class, (M, C); 0 for classes without a training photo."""
        probabilities = np.zeros((len(queries), self.classes), dtype=np.float32)
        if len(queries):
            seen = self.model.predict_proba(_standardised(queries, self.mean, self.scale))
            probabilities[:, self.model.classes_] = seen
        return probabilities

    def save(self) -> tuple[str, dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the kind, what is needed to build it again as plain JSON, and its arrays by name (`load_logistic`)."""
        model = as_linear(self.model)
        arrays = {"weights": model.weights, "biases": model.biases, "labels": model.classes_}
        if self.mean is not None and self.scale is not None:
            arrays |= {"mean": self.mean, "scale": self.scale}
        return "logistic", {"classes": self.classes, "link": model.link}, arrays


@dataclass(frozen=True)
class LinearModel:
    """Weights (C, D) and biases (C,) of a fitted model; `classes_` are the labels of its rows, `link` is one of LINKS."""

    weights: NDArray[np.floating[Any]]
    biases: NDArray[np.floating[Any]]
    classes_: NDArray[np.int64]
    link: str = "softmax"

    def predict_proba(self, queries: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the probabilities of the classes in `classes_`, (M, C)."""
        scores = queries @ self.weights.T + self.biases
        if self.link == "one-vs-rest":
            from scipy.special import expit

            powers = expit(scores)
        else:
            powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        probabilities: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
        return probabilities


def as_linear(model: Any) -> LinearModel:
    """Return a model fitted by `fit_logistic` as plain weights; it answers as before, to rounding."""
    if isinstance(model, LinearModel):
        return model
    from sklearn.multiclass import OneVsRestClassifier

    parts = model.estimators_ if isinstance(model, OneVsRestClassifier) else [model]
    weights = np.concatenate([part.coef_ for part in parts])
    biases = np.concatenate([part.intercept_ for part in parts])
    if len(weights) == 1:
        # Of two classes scikit-learn keeps the second one's score s: its probability 1 / (1 + exp(-s)) is a softmax of 0, s.
        return LinearModel(np.vstack([0 * weights, weights]), np.append(0 * biases, biases), np.asarray(model.classes_))
    link = "one-vs-rest" if isinstance(model, OneVsRestClassifier) else "softmax"
    return LinearModel(weights, biases, np.asarray(model.classes_), link)


def load_logistic(spec: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], device: str) -> Logistic:  # noqa: ARG001
    """Return the classifier that `Logistic.save` described; it computes on the CPU, whatever the device.

    Raises:
        ValueError, KeyError, TypeError: the description is none, or does not fit the arrays.
    """
    if arrays["labels"].dtype.kind not in "iu":
        raise ValueError(f"logistic regression: its labels are {arrays['labels'].dtype}")
    classes, link, labels = int(spec["classes"]), spec["link"], arrays["labels"].astype(np.int64, copy=False)
    weights, biases = arrays["weights"], arrays["biases"]
    if weights.ndim != 2 or not len(weights) == len(biases) == len(labels) or link not in LINKS:
        raise ValueError(f"logistic regression, link {link!r}, of {weights.shape} weights, {biases.shape} biases")
    if not np.isfinite(weights).all() or not np.isfinite(biases).all():
        raise ValueError("logistic regression: a weight is not finite")
    if len(set(labels.tolist())) < len(labels) or labels.min() < 0 or labels.max() >= classes:
        raise ValueError("logistic regression: a label is no class, or is there twice")
    mean, scale = arrays.get("mean"), arrays.get("scale")
    if (mean is None) != (scale is None) or any(
        of is not None and of.shape != weights[0].shape for of in (mean, scale)
    ):
        raise ValueError("logistic regression: mean and scale do not fit the weights")
    return Logistic(LinearModel(weights, biases, labels, link), classes, mean, scale)


def fit_logistic(
    vectors: NDArray[np.float32],
    labels: NDArray[np.int64],
    classes: int,
    c: float,
    iterations: int,
    solver: str = "multinomial",
    standardise: bool = False,
    device: str = "cpu",
) -> Logistic:
    """Fit on vectors (N, D) and labels (N,), with inverse L2 strength `c` and at most `iterations` steps.

    With `standardise` each value gets mean 0 and deviation 1 over the training photos; constant ones become 0.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    mean = scale = None
    if standardise:
        mean = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
        scale = vectors.std(axis=0, dtype=np.float64).astype(np.float32)
        # Not by the deviation alone: that of equal values may be no exact 0.
        varied = (vectors.max(axis=0) > vectors.min(axis=0)) & (scale > 0)
        scale = np.where(varied, scale, np.float32(1)).astype(np.float32)
    ready = _standardised(vectors, mean, scale)
    if solver == "multinomial" and device == "cuda":
        return Logistic(fit_softmax(ready, labels, c, iterations, device), classes, mean, scale)
    model = LogisticRegression(C=c, max_iter=iterations)
    if solver == "liblinear-2018":
        model = OneVsRestClassifier(LogisticRegression(solver="liblinear", C=c, max_iter=iterations, random_state=0))
    with warnings.catch_warnings():
        # The paper stops after 500 iterations, converged or not; so does this.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(ready, labels)
    return Logistic(model, classes, mean, scale)


def fit_softmax(
    vectors: NDArray[np.float32], labels: NDArray[np.int64], c: float, iterations: int, device: str
) -> LinearModel:
    """Minimise c · Σ cross-entropy + ½ |weights|² by L-BFGS with strong Wolfe line search, in float64 on the device.

    It is scikit-learn's objective for `LogisticRegression`; the biases are not penalised.
    """
    import torch

    present, targets = np.unique(labels, return_inverse=True)
    x = torch.from_numpy(vectors.astype(np.float64)).to(device)
    y = torch.from_numpy(targets).to(device)
    weights = torch.zeros(len(present), x.shape[1], dtype=torch.float64, device=device, requires_grad=True)
    biases = torch.zeros(len(present), dtype=torch.float64, device=device, requires_grad=True)
    # For two classes scikit-learn fits one vector, the difference of these two: its penalty is twice theirs.
    penalty = 2.0 if len(present) == 2 else 1.0
    # Divided by c · N the objective is of order 1, which is what L-BFGS's tolerances suppose; the minimum is the same.
    optimiser = torch.optim.LBFGS(
        [weights, biases],
        max_iter=iterations,
        max_eval=4 * iterations,
        tolerance_grad=1e-8,
        tolerance_change=1e-12,
        history_size=10,
        line_search_fn="strong_wolfe",
    )

    def loss() -> "torch.Tensor":
        optimiser.zero_grad()
        value = torch.nn.functional.cross_entropy(x @ weights.T + biases, y) + penalty * (weights**2).sum() / (
            2 * c * len(y)
        )
        value.backward()
        return value

    optimiser.step(loss)
    return LinearModel(weights.detach().cpu().numpy(), biases.detach().cpu().numpy(), present)


def _standardised(
    vectors: NDArray[np.float32], mean: NDArray[np.float32] | None, scale: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    if mean is None or scale is None:
        return vectors
    ready: NDArray[np.float32] = ((vectors - mean) / scale).astype(np.float32)
    return ready
