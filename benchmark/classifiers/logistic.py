"""Multinomial logistic regression, by scikit-learn's L-BFGS."""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression


@dataclass(frozen=True)
class Logistic:
    """A fitted classifier over `classes` classes, of which the model may have seen fewer."""

    model: LogisticRegression
    classes: int

    def predict_proba(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probability of each class, (M, C); 0 for classes without a training photo."""
        probabilities = np.zeros((len(queries), self.classes), dtype=np.float32)
        probabilities[:, self.model.classes_] = self.model.predict_proba(queries)
        return probabilities


def fit_logistic(
    vectors: NDArray[np.float32], labels: NDArray[np.int64], classes: int, c: float, iterations: int
) -> Logistic:
    """Fit on vectors (N, D) and labels (N,), with inverse L2 strength `c` and at most `iterations` steps."""
    model = LogisticRegression(C=c, max_iter=iterations)
    with warnings.catch_warnings():
        # The paper stops after 500 iterations, converged or not; so does this.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(vectors, labels)
    return Logistic(model, classes)
