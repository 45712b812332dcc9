"""A linear softmax fitted to targets that are shared among classes, on standardised vectors.

It minimises c · Σₙ (-Σ_k t_nk log p_k(xₙ)) + ½ |W|² by L-BFGS with strong Wolfe line search in float64; the biases are not
penalised. With one target of 1 a photo this is multinomial logistic regression, with the objective of scikit-learn's. Targets
need not sum to 1: a photo counts by their sum.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

if TYPE_CHECKING:  # lists of methods are shown without torch, which takes seconds
    import torch


@dataclass(frozen=True)
class Linear:
    """`(vectors - mean) / scale @ weights.T + biases`: `mean` and `scale` (D,), `weights` (C, D), `biases` (C,)."""

    weights: NDArray[np.float64]
    biases: NDArray[np.float64]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    def log_probabilities(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the logarithm of the softmax of the scores of vectors (N, D), (N, C)."""
        scores = (vectors - self.mean) / self.scale @ self.weights.T + self.biases
        return np.asarray(log_softmax(scores, axis=1), np.float64)

    def to_arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """Return it as plain arrays, their names beginning with the prefix."""
        arrays = {"weights": self.weights, "biases": self.biases, "mean": self.mean, "scale": self.scale}
        return {prefix + name: array for name, array in arrays.items()}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]], prefix: str) -> "Linear":
        """Return what `to_arrays` gave; ValueError or KeyError where it is damaged."""
        weights, biases, mean, scale = (arrays[prefix + name] for name in ("weights", "biases", "mean", "scale"))
        if weights.ndim != 2 or biases.shape != weights.shape[:1] or not mean.shape == scale.shape == weights.shape[1:]:
            raise ValueError(f"a linear model of weights {weights.shape} and biases {biases.shape}")
        if not all(np.isfinite(of).all() for of in (weights, biases, mean, scale)) or (scale <= 0).any():
            raise ValueError("a linear model holds values that are no numbers")
        return cls(weights, biases, mean, scale)


Loss = Callable[["torch.Tensor"], "torch.Tensor"]
"""From log-probabilities (N, C) to what is to be small, summed over the photos."""


def fit_linear(
    vectors: NDArray[np.float32],
    classes: int,
    loss: Loss,
    c: float,
    iterations: int,
    device: str = "cpu",
    extra: "torch.Tensor | None" = None,
) -> Linear:
    """Fit the scores' weights, and with them the values of `extra`, which the loss may depend on."""
    import torch

    mean = vectors.mean(axis=0, dtype=np.float64)
    scale = vectors.std(axis=0, dtype=np.float64)
    scale = np.where(scale > 1e-12, scale, 1.0)
    x = torch.from_numpy((vectors - mean) / scale).to(device)
    weights = torch.zeros(classes, x.shape[1], dtype=torch.float64, device=device, requires_grad=True)
    biases = torch.zeros(classes, dtype=torch.float64, device=device, requires_grad=True)
    learnt = [weights, biases, *([] if extra is None else [extra])]
    # Divided by c · N the objective is of order 1, which is what L-BFGS's tolerances suppose; the minimum is the same.
    optimiser = torch.optim.LBFGS(
        learnt,
        max_iter=iterations,
        max_eval=2 * iterations,
        tolerance_grad=1e-7,
        tolerance_change=1e-10,
        line_search_fn="strong_wolfe",
    )

    def objective() -> "torch.Tensor":
        optimiser.zero_grad()
        logs = torch.log_softmax(x @ weights.T + biases, dim=1)
        value = (loss(logs) + (weights**2).sum() / (2 * c)) / len(x)
        value.backward()
        return value

    optimiser.step(objective)
    return Linear(weights.detach().cpu().numpy(), biases.detach().cpu().numpy(), mean, scale)


def fit_targets(
    vectors: NDArray[np.float32], targets: NDArray[np.float64], c: float, iterations: int, device: str = "cpu"
) -> Linear:
    """Fit to targets (N, C), at least 0, by cross-entropy."""
    import torch

    wanted = torch.from_numpy(targets).to(device)
    return fit_linear(vectors, targets.shape[1], lambda logs: -(wanted * logs).sum(), c, iterations, device)
