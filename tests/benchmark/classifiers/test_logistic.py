"""Logistic regression: scikit-learn's, and torch's on the same objective, with all classes in the answer."""

import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from benchmark.classifiers import logistic
from benchmark.classifiers.logistic import SOLVERS, LinearModel, fit_logistic, fit_softmax

Floats = NDArray[np.float32]
Data = tuple[Floats, NDArray[np.int64]]

BADLY_SCALED = np.array([1, 1e4, 1e-4, 100, 1, 1e-2, 1, 1e3], dtype=np.float32)


def drawn(classes: int, count: int = 60, seed: int = 0) -> Data:
    """Return vectors of 8 values whose classes overlap, and their labels."""
    random = np.random.default_rng(seed)
    labels = (np.arange(count) % classes).astype(np.int64)
    return (random.random((count, 8)) + labels[:, None] / 2).astype(np.float32), labels


def exact(vectors: NDArray[np.floating], labels: NDArray[np.int64], c: float) -> LogisticRegression:
    """Return scikit-learn's model, converged."""
    return LogisticRegression(C=c, tol=1e-8, max_iter=20_000).fit(vectors.astype(np.float64), labels)


def on_this_cpu(devices: list[str]) -> Callable[..., LinearModel]:
    """Return `fit_softmax` as it is without a GPU; the device that it was called for is noted."""

    def fit(vectors: Floats, labels: NDArray[np.int64], c: float, iterations: int, device: str) -> LinearModel:
        devices.append(device)
        return fit_softmax(vectors, labels, c, iterations, "cpu")

    return fit


@pytest.fixture
def data() -> Data:
    return drawn(3)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """So small products take longer to share out among threads than to compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def _torch_always_warns() -> Iterator[None]:
    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    yield
    torch.set_warn_always(before)


def test_it_agrees_with_scikit_learn(data: Data) -> None:
    vectors, labels = data
    theirs = LogisticRegression(C=0.5, max_iter=500).fit(vectors, labels).predict_proba(vectors)
    ours = fit_logistic(vectors, labels, 3, 0.5, 500).predict_proba(vectors)
    assert ours.dtype == np.float32
    assert ours == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("c", [0.1, 1.0, 10.0])
def test_the_solver_of_2018_is_liblinear_one_against_the_rest(classes: int, c: float) -> None:
    vectors, labels = drawn(classes)
    one = LogisticRegression(solver="liblinear", C=c, max_iter=500, random_state=0)
    theirs = OneVsRestClassifier(one).fit(vectors, labels).predict_proba(vectors)
    ours = fit_logistic(vectors, labels, classes, c, 500, "liblinear-2018").predict_proba(vectors)
    assert ours == pytest.approx(theirs, abs=1e-6)
    if classes > 2:
        assert np.abs(ours - fit_logistic(vectors, labels, classes, c, 500).predict_proba(vectors)).max() > 0.01


def test_the_solver_of_2018_is_the_same_on_every_device(data: Data) -> None:
    vectors, labels = data
    on_cpu, on_gpu = (fit_logistic(vectors, labels, 3, 1.0, 50, "liblinear-2018", device=d) for d in ("cpu", "cuda"))
    assert np.array_equal(on_cpu.predict_proba(vectors), on_gpu.predict_proba(vectors))


@pytest.mark.parametrize(
    ("classes", "c"), [(2, 0.001), (2, 1.0), (2, 10.0), (3, 0.001), (3, 1.0), (3, 100.0), (5, 0.1), (5, 10.0)]
)
def test_softmax_agrees_with_scikit_learn(classes: int, c: float) -> None:
    vectors, labels = drawn(classes)
    model = fit_softmax(vectors, labels, c, 5000, "cpu")
    assert model.classes_.tolist() == list(range(classes))
    theirs = exact(vectors, labels, c).predict_proba(vectors)
    # With next to no penalty the optimum is flat, and where in it to stop a matter of the tolerances.
    assert model.predict_proba(vectors) == pytest.approx(theirs, abs=1e-4 if c <= 10 else 1e-3)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("c", [0.01, 1.0, 10.0])
def test_softmax_agrees_on_standardised_badly_scaled_features(
    monkeypatch: pytest.MonkeyPatch, classes: int, c: float
) -> None:
    vectors, labels = drawn(classes, 80, seed=1)
    vectors = vectors * BADLY_SCALED + BADLY_SCALED
    ready = (vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)) / vectors.std(
        axis=0, dtype=np.float64
    )
    theirs = exact(ready, labels, c).predict_proba(ready)
    on_gpu: list[str] = []
    monkeypatch.setattr(logistic, "fit_softmax", on_this_cpu(on_gpu))
    ours = fit_logistic(vectors, labels, classes, c, 5000, standardise=True, device="cuda")
    assert on_gpu == ["cuda"]
    assert ours.predict_proba(vectors) == pytest.approx(theirs, abs=1e-4)
    by_scikit_learn = fit_logistic(vectors, labels, classes, c, 5000, standardise=True)
    assert on_gpu == ["cuda"]
    assert by_scikit_learn.predict_proba(vectors) == pytest.approx(theirs, abs=5e-3)  # it stops at its own tolerance


def test_softmax_knows_labels_with_gaps(data: Data) -> None:
    vectors, labels = data
    model = fit_softmax(vectors, np.array([7, 2, 4])[labels], 1.0, 500, "cpu")
    assert model.classes_.tolist() == [2, 4, 7]
    plain = fit_softmax(vectors, labels, 1.0, 500, "cpu").predict_proba(vectors)
    assert model.predict_proba(vectors) == pytest.approx(plain[:, [1, 2, 0]], abs=1e-5)


def test_softmax_of_huge_scores_is_finite(data: Data) -> None:
    vectors, labels = data
    shares = fit_softmax(vectors, labels, 1.0, 500, "cpu").predict_proba(vectors * np.float32(1e6))
    assert shares.sum(axis=1) == pytest.approx(np.ones(60))


def test_c_is_the_inverse_strength(data: Data) -> None:
    vectors, labels = data
    weak, strong = (fit_logistic(vectors, labels, 3, c, 500).predict_proba(vectors) for c in (100.0, 1e-6))
    assert strong == pytest.approx(np.full((60, 3), 1 / 3), abs=1e-3)
    assert weak.max() > 0.9


def test_standardising_gives_mean_0_and_deviation_1(data: Data) -> None:
    vectors, labels = data
    vectors = vectors * BADLY_SCALED + 10 * BADLY_SCALED
    model = fit_logistic(vectors, labels, 3, 1.0, 500, standardise=True)
    assert model.mean == pytest.approx(vectors.mean(axis=0, dtype=np.float64), rel=1e-5)
    assert model.scale == pytest.approx(vectors.std(axis=0, dtype=np.float64), rel=1e-4)
    plain = fit_logistic(data[0], labels, 3, 1.0, 500, standardise=True)
    assert model.predict_proba(vectors) == pytest.approx(plain.predict_proba(data[0]), abs=1e-3)


def test_raw_features_stay_raw(data: Data) -> None:
    model = fit_logistic(*data, 3, 1.0, 50)
    assert model.mean is None
    assert model.scale is None


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 1.0, 1234.567, 1e-7])
@pytest.mark.parametrize("count", [60, 1000])
def test_what_is_constant_in_training_becomes_0(value: float, count: int) -> None:
    """Also where a mean of so many equal float32 values is not that value."""
    vectors, labels = drawn(3, count)
    with_constant = np.insert(vectors, 4, np.float32(value), axis=1)
    model = fit_logistic(with_constant, labels, 3, 1.0, 100, standardise=True)
    assert model.mean is not None
    assert model.scale is not None
    assert model.mean[4] == pytest.approx(value, rel=1e-6)
    assert model.scale[4] == 1
    without = fit_logistic(vectors, labels, 3, 1.0, 100, standardise=True)
    assert model.predict_proba(with_constant) == pytest.approx(without.predict_proba(vectors), abs=1e-3)
    queries = with_constant.copy()
    queries[:, 4] += 0.5  # tells nothing: training never saw it change
    assert model.predict_proba(queries) == pytest.approx(model.predict_proba(with_constant), abs=1e-3)


@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("solver", [*SOLVERS, "softmax"])
def test_classes_without_training_photos_get_0(
    data: Data, solver: str, standardise: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors, labels = data
    device = "cpu"
    if solver == "softmax":
        monkeypatch.setattr(logistic, "fit_softmax", on_this_cpu([]))
        solver, device = "multinomial", "cuda"
    model = fit_logistic(vectors, np.array([1, 3, 4])[labels], 6, 1.0, 500, solver, standardise, device)
    shares = model.predict_proba(vectors)
    assert shares.shape == (60, 6)
    assert shares.dtype == np.float32
    assert (shares[:, [0, 2, 5]] == 0).all()
    assert (shares[:, [1, 3, 4]] > 0).all()
    assert shares.sum(axis=1) == pytest.approx(np.ones(60), abs=1e-5)
    assert (shares.argmax(axis=1) == np.array([1, 3, 4])[labels]).mean() > 0.7


@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("solver", SOLVERS)
def test_no_queries_have_no_answers(data: Data, solver: str, standardise: bool) -> None:
    model = fit_logistic(*data, 3, 1.0, 50, solver, standardise)
    shares = model.predict_proba(np.empty((0, 8), dtype=np.float32))
    assert shares.shape == (0, 3)
    assert shares.dtype == np.float32


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("solver", SOLVERS)
def test_stopping_early_is_no_warning(data: Data, classes: int, solver: str) -> None:
    vectors, labels = data
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit_logistic(vectors * 100, labels % classes, classes, 1.0, 1, solver)
    assert caught == []
    with pytest.warns(ConvergenceWarning):  # and the filter is as it was before
        LogisticRegression(max_iter=1).fit(vectors * 100, labels % classes)


@pytest.mark.usefixtures("_torch_always_warns")
@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("solver", SOLVERS)
def test_vectors_may_be_read_only(data: Data, solver: str, standardise: bool) -> None:
    vectors, labels = data
    vectors.setflags(write=False)  # as those are that are mapped from the cache
    for model in (
        fit_logistic(vectors, labels, 3, 1.0, 5, solver, standardise),
        fit_softmax(vectors, labels, 1.0, 5, "cpu"),
    ):
        assert model.predict_proba(vectors).sum(axis=1) == pytest.approx(np.ones(len(vectors)), abs=1e-5)


@pytest.mark.parametrize("solver", SOLVERS)
def test_two_fits_are_equal(data: Data, solver: str) -> None:
    vectors, labels = data
    first, second = (fit_logistic(vectors, labels, 3, 1.0, 50, solver).predict_proba(vectors) for _ in range(2))
    assert np.array_equal(first, second)
    third, fourth = (fit_softmax(vectors, labels, 1.0, 50, "cpu").predict_proba(vectors) for _ in range(2))
    assert np.array_equal(third, fourth)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("standardise", [True, False])
def test_cpu_and_gpu_agree(classes: int, standardise: bool) -> None:
    vectors, labels = drawn(classes)
    on_gpu = fit_logistic(vectors, labels, classes, 1.0, 5000, standardise=standardise, device="cuda")
    on_cpu = fit_logistic(vectors, labels, classes, 1.0, 5000, standardise=standardise)
    assert on_gpu.predict_proba(vectors) == pytest.approx(on_cpu.predict_proba(vectors), abs=5e-3)
