"""A softmax fitted to shared targets, against scikit-learn's."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from benchmark.classifiers.soft_targets import Linear, fit_targets


def data() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 120)
    return (random.normal(size=(120, 5)) + labels[:, None] * [1, 0, -1, 0.5, 0]).astype(np.float32), labels


def test_one_target_a_photo_is_logistic_regression() -> None:
    vectors, labels = data()
    ours = fit_targets(vectors, np.eye(3)[labels], 0.5, 500)
    theirs = LogisticRegression(C=0.5, max_iter=2000, tol=1e-8).fit(StandardScaler().fit_transform(vectors), labels)
    wanted = theirs.predict_proba(StandardScaler().fit(vectors).transform(vectors))
    assert np.allclose(np.exp(ours.log_probabilities(vectors)), wanted, atol=1e-3)
    again = Linear.of_arrays(ours.to_arrays("a-"), "a-")
    assert np.array_equal(again.log_probabilities(vectors), ours.log_probabilities(vectors))


def test_shared_targets_are_shared_answers() -> None:
    vectors = np.zeros((10, 2), np.float32)
    answers = np.exp(fit_targets(vectors, np.tile([3.0, 1.0], (10, 1)), 1e6, 200).log_probabilities(vectors))
    assert np.allclose(answers, [0.75, 0.25], atol=1e-4)


def test_damaged_arrays_are_refused() -> None:
    arrays = fit_targets(data()[0], np.eye(3)[data()[1]], 1.0, 5).to_arrays("")
    for name, wrong in {
        "biases": arrays["biases"][:1],
        "scale": arrays["scale"] * 0,
        "weights": arrays["weights"] * np.nan,
    }.items():
        with pytest.raises(ValueError, match="linear model"):
            Linear.of_arrays({**arrays, name: wrong}, "")
