"""Classifiers as plain data: what `save` of each returns becomes a classifier again."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmark.classifiers.knn import load_knn
from benchmark.classifiers.logistic import load_logistic


class Classifier(Protocol):
    """A fitted classifier of vectors."""

    def predict_proba(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probability of each class, (M, C), for vectors (M, D)."""
        ...

    def save(self) -> tuple[str, dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the kind, what is needed to build it again as plain JSON, and its arrays by name."""
        ...


_LOADERS: dict[str, Callable[[Mapping[str, Any], Mapping[str, NDArray[Any]], str], Classifier]] = {
    "knn": load_knn,
    "logistic": load_logistic,
}


def load_classifier(kind: str, spec: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], device: str) -> Classifier:
    """Return the classifier that its `save` described.

    Raises:
        ValueError, KeyError, TypeError: the kind is unknown, or the description is none or does not fit the arrays.
    """
    return _LOADERS[kind](spec, arrays, device)
