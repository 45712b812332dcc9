"""The rows of the 2018 paper that this version runs, each with the paper's number.

Özköse, Yılıkoğlu, Karacan and Erdem, "Finding Location of A Photograph with Deep Learning", SIU 2018, Tables I and II.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.methods import described
from benchmark.methods.base import Method, PaperRow
from benchmark.photos import LabelledPhotos

if TYPE_CHECKING:
    from benchmark.networks.train import TrainedNetwork


@dataclass(frozen=True, slots=True)
class _TableOneRow:
    """A row of Table I: a feature at a size, k neighbours or (k None) logistic regression, and the paper's accuracy."""

    feature: str
    size: int
    k: int | None
    accuracy: float

    @property
    def paper(self) -> PaperRow:
        name = {"tiny": "tiny images", "hog": "HOG", "gist": "GIST"}[self.feature]
        classifier = "LR" if self.k is None else f"{self.k}-NN"
        return PaperRow("I", f"{name} {self.size}×{self.size}, {classifier}", self.accuracy)


_TABLE_ONE = (
    _TableOneRow("tiny", 64, 11, 15.47),
    _TableOneRow("tiny", 64, None, 11.00),
    _TableOneRow("tiny", 128, 1, 16.27),
    _TableOneRow("tiny", 128, None, 13.00),
    _TableOneRow("hog", 32, 31, 20.27),
    _TableOneRow("hog", 32, None, 13.00),
    _TableOneRow("hog", 64, 1, 18.93),
    _TableOneRow("hog", 128, None, 18.00),
    _TableOneRow("gist", 64, 71, 28.53),
    _TableOneRow("gist", 128, 11, 28.53),
    _TableOneRow("gist", 256, 1, 28.15),
    _TableOneRow("gist", 64, None, 41.26),
)

_TITLES = {
    "tiny": "Tiny images",
    "hog-l1": "HOG",
    "hog-l2hys": "HOG (L2-Hys)",
    "gist-lear": "GIST",
    "gist-labelme": "GIST (LabelMe)",
}
_PLAIN = {"tiny": "tiny", "hog": "hog-l1", "gist": "gist-lear"}
_TODAY = {"tiny": "tiny", "hog": "hog-l2hys", "gist": "gist-lear"}
_ITERATIONS = 500
_SMOKE_ITERATIONS = 30


_SMOKE_SIZES = {
    "tiny": {64: 16, 128: 24},
    "hog": {32: 24, 64: 32, 128: 48},
    "gist": {64: 32, 128: 40, 256: 48},
}
_SMOKE_CHOICES = {"ks": "1,11", "cs": "0.01,1"}


def _smoke_size(row: _TableOneRow) -> int:
    return _SMOKE_SIZES[row.feature][row.size]


def _plain(row: _TableOneRow, kind: str, suffix: str = "") -> Method:
    """The row as the paper has it; where it is silent, with today's defaults."""
    title = f"{_TITLES[kind]} {{size}}×{{size}}, {'logistic regression' if row.k is None else '{k}-NN'}"
    if row.k is not None:
        return Method(
            name=f"{row.feature}-{row.size}+knn{suffix}",
            title=title,
            fit=described.fit_knn,
            parameters={"feature_kind": kind, "size": row.size, "k": row.k},
            smoke={"size": _smoke_size(row), "k": min(row.k, 5)},
            paper=row.paper,
            estimate=_knn_seconds,
        )
    return _logistic(row, kind, "multinomial", title, suffix)


def _logistic(row: _TableOneRow, kind: str, solver: str, title: str, suffix: str) -> Method:
    return Method(
        name=f"{row.feature}-{row.size}+logreg{suffix}",
        title=title,
        fit=described.fit_logistic,
        parameters={
            "feature_kind": kind,
            "size": row.size,
            "solver": solver,
            "c": 1.0,
            "iterations": _ITERATIONS,
        },
        smoke={"size": _smoke_size(row), "iterations": _SMOKE_ITERATIONS},
        paper=row.paper,
        estimate=_logistic_seconds,
    )


def _of_2018(row: _TableOneRow) -> Method:
    """Logistic regression as scikit-learn's default was in 2018: one-vs-rest by liblinear."""
    kind = _PLAIN[row.feature]
    title = f"{_TITLES[kind]} {{size}}×{{size}}, logistic regression of 2018"
    return _logistic(row, kind, "liblinear-2018", title, "@2018")


def _modern(row: _TableOneRow) -> Method:
    """The row with what is chosen on validation today: k and weights, or C on standardised features."""
    kind = _TODAY[row.feature]
    title = f"{_TITLES[kind]} {{size}}×{{size}}, "
    if row.k is not None:
        return Method(
            name=f"{row.feature}-{row.size}+knn@modern",
            title=f"{title}k-NN chosen on validation",
            fit=described.fit_modern_knn,
            parameters={"feature_kind": kind, "size": row.size, "ks": described.MODERN_KS},
            smoke={"size": _smoke_size(row), "ks": _SMOKE_CHOICES["ks"]},
            selection="best-on-validation",
            estimate=_modern_knn_seconds,
        )
    return Method(
        name=f"{row.feature}-{row.size}+logreg@modern",
        title=f"{title}C and scaling chosen on validation",
        fit=described.fit_modern_logistic,
        parameters={"feature_kind": kind, "size": row.size, "iterations": _ITERATIONS, "cs": described.MODERN_CS},
        smoke={"size": _smoke_size(row), "iterations": _SMOKE_ITERATIONS, "cs": _SMOKE_CHOICES["cs"]},
        selection="best-on-validation",
        estimate=_modern_logistic_seconds,
    )


def _knn_seconds(photos: int, classes: int, device: str, *, feature_kind: str, size: int, k: int) -> float:
    return described.feature_seconds(photos, device, feature_kind=feature_kind, size=size)


def _modern_knn_seconds(photos: int, classes: int, device: str, *, feature_kind: str, size: int, ks: str) -> float:
    return described.feature_seconds(photos, device, feature_kind=feature_kind, size=size)


def _logistic_seconds(
    photos: int, classes: int, device: str, *, feature_kind: str, size: int, solver: str, c: float, iterations: int
) -> float:
    return described.logistic_seconds(
        photos, classes, device, feature_kind=feature_kind, size=size, iterations=iterations
    )


def _modern_logistic_seconds(
    photos: int, classes: int, device: str, *, feature_kind: str, size: int, iterations: int, cs: str
) -> float:
    one = described.logistic_seconds(
        photos, classes, device, feature_kind=feature_kind, size=size, iterations=iterations
    )
    return 2 * len(cs.split(",")) * one


def fit_network(
    train: LabelledPhotos, validation: LabelledPhotos, seed: int, device: str, **recipe: Any
) -> "TrainedNetwork":
    """Train a network from random weights; `recipe` holds the fields of `networks.train.Recipe`."""
    from benchmark.networks.train import Recipe
    from benchmark.networks.train import train as train_network

    return train_network(train, validation, seed, device, Recipe(**recipe))


def _network_seconds(photos: int, classes: int, device: str, **recipe: Any) -> float:
    from benchmark.networks.train import Recipe, estimate

    return estimate(photos, classes, device, Recipe(**recipe))


def _from_scratch(network: str, title: str, accuracy: float, smoke_batch: int) -> Method:
    return Method(
        name=f"scratch:{network}",
        title=f"{title} from scratch",
        fit=fit_network,
        parameters={
            "network": network,
            "learning_rate": 0.001,
            "momentum": 0.9,
            "weight_decay": 0.0,
            "batch": 4,
            "epochs": 25,
            "decay_every": 7,
            "decay": 0.1,
            "size": 224,
            "selection": "best-on-validation",
        },
        smoke={"size": 64, "epochs": 2, "batch": smoke_batch, "learning_rate": 0.01},
        stochastic=True,
        selection="best-on-validation",
        paper=PaperRow("II", f"{title} from scratch", accuracy),
        estimate=_network_seconds,
    )


TABLE_ONE = tuple(_plain(row, _PLAIN[row.feature]) for row in _TABLE_ONE)
"""The twelve rows of Table I, in the paper's order."""

BESIDE_TABLE_ONE = (
    *(_of_2018(row) for row in _TABLE_ONE if row.k is None),
    *(_plain(row, "gist-labelme", "@labelme") for row in _TABLE_ONE if row.feature == "gist"),
    *(_modern(row) for row in _TABLE_ONE),
)
"""The same rows read otherwise: logistic regression as it was in 2018, the other GIST, and what validation chooses."""

TABLE_TWO = (
    # Most of AlexNet's time on small pictures goes into updating its 57 million weights: fewer, larger steps.
    _from_scratch("alexnet", "AlexNet", 10.40, smoke_batch=64),
    _from_scratch("resnet18", "ResNet-18", 22.40, smoke_batch=16),
)
"""Rows of Table II."""

PAPER = (*TABLE_ONE, *BESIDE_TABLE_ONE, *TABLE_TWO)
"""All of these, in the order in which they are run and listed."""
