"""The rows of the 2018 paper that this version runs, each with the paper's number.

Özköse, Yılıkoğlu, Karacan and Erdem, "Finding Location of A Photograph with Deep Learning", SIU 2018, Tables I and II.
"""

from dataclasses import dataclass

from benchmark.classifiers.knn import MODERN_KS
from benchmark.methods import features
from benchmark.methods.heads import on_vectors
from benchmark.methods.networks import fine_tuned, from_scratch
from benchmark.methods.types import Method, PaperRow
from benchmark.networks.backbones import BACKBONES


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
    title = f"{features.FEATURES[kind].title} {{size}}×{{size}}, {'logistic regression' if row.k is None else '{k}-NN'}"
    if row.k is not None:
        return Method(
            name=f"{row.feature}-{row.size}+knn{suffix}",
            title=title,
            fit=features.fit_knn,
            parameters={"feature_kind": kind, "size": row.size, "k": row.k},
            smoke={"size": _smoke_size(row), "k": min(row.k, 5)},
            version=features.version(kind),
            paper=row.paper,
            estimate=_knn_seconds,
            preprocessing=features.squares,
        )
    return _logistic(row, kind, "multinomial", title, suffix)


def _logistic(row: _TableOneRow, kind: str, solver: str, title: str, suffix: str) -> Method:
    return Method(
        name=f"{row.feature}-{row.size}+logreg{suffix}",
        title=title,
        fit=features.fit_logistic,
        parameters={
            "feature_kind": kind,
            "size": row.size,
            "solver": solver,
            "c": 1.0,
            "iterations": _ITERATIONS,
        },
        smoke={"size": _smoke_size(row), "iterations": _SMOKE_ITERATIONS},
        version=features.version(kind),
        paper=row.paper,
        estimate=_logistic_seconds,
        preprocessing=features.squares,
    )


def _of_2018(row: _TableOneRow) -> Method:
    """Logistic regression as scikit-learn's default was in 2018: one-vs-rest by liblinear."""
    kind = _PLAIN[row.feature]
    title = f"{features.FEATURES[kind].title} {{size}}×{{size}}, logistic regression of 2018"
    return _logistic(row, kind, "liblinear-2018", title, "@2018")


def _modern(row: _TableOneRow) -> Method:
    """The row with what is chosen on validation today: k and weights, or C on standardised features."""
    kind = _TODAY[row.feature]
    title = f"{features.FEATURES[kind].title} {{size}}×{{size}}, "
    if row.k is not None:
        return Method(
            name=f"{row.feature}-{row.size}+knn@modern",
            title=f"{title}k-NN chosen on validation",
            fit=features.fit_modern_knn,
            parameters={"feature_kind": kind, "size": row.size, "ks": MODERN_KS},
            smoke={"size": _smoke_size(row), "ks": _SMOKE_CHOICES["ks"]},
            version=features.version(kind),
            selection="best-on-validation",
            preprocessing=features.squares,
            estimate=_modern_knn_seconds,
        )
    return Method(
        name=f"{row.feature}-{row.size}+logreg@modern",
        title=f"{title}C and scaling chosen on validation",
        fit=features.fit_modern_logistic,
        parameters={"feature_kind": kind, "size": row.size, "iterations": _ITERATIONS, "cs": features.MODERN_CS},
        smoke={"size": _smoke_size(row), "iterations": _SMOKE_ITERATIONS, "cs": _SMOKE_CHOICES["cs"]},
        version=features.version(kind),
        selection="best-on-validation",
        preprocessing=features.squares,
        estimate=_modern_logistic_seconds,
    )


def _knn_seconds(photos: int, classes: int, device: str, *, feature_kind: str, size: int, k: int) -> float:
    return features.feature_seconds(photos, device, feature_kind=feature_kind, size=size)


def _modern_knn_seconds(photos: int, classes: int, device: str, *, feature_kind: str, size: int, ks: str) -> float:
    return features.feature_seconds(photos, device, feature_kind=feature_kind, size=size)


def _logistic_seconds(
    photos: int, classes: int, device: str, *, feature_kind: str, size: int, solver: str, c: float, iterations: int
) -> float:
    return features.logistic_seconds(
        photos, classes, device, feature_kind=feature_kind, size=size, iterations=iterations
    )


def _modern_logistic_seconds(
    photos: int, classes: int, device: str, *, feature_kind: str, size: int, iterations: int, cs: str
) -> float:
    one = features.logistic_seconds(
        photos, classes, device, feature_kind=feature_kind, size=size, iterations=iterations
    )
    return 2 * len(cs.split(",")) * one


TABLE_ONE = tuple(_plain(row, _PLAIN[row.feature]) for row in _TABLE_ONE)
"""The twelve rows of Table I, in the paper's order."""

BESIDE_TABLE_ONE = (
    *(_of_2018(row) for row in _TABLE_ONE if row.k is None),
    *(_plain(row, "gist-labelme", "@labelme") for row in _TABLE_ONE if row.feature == "gist"),
    *(_modern(row) for row in _TABLE_ONE),
)
"""The same rows read otherwise: logistic regression as it was in 2018, the other GIST, and what validation chooses."""


def _scratch(network: str, accuracy: float, rate: float | None = None) -> Method:
    backbone = BACKBONES[network]
    row = PaperRow("II", f"{backbone.title} from scratch" + (f", learning rate {rate:g}" if rate else ""), accuracy)
    if rate is None:
        return from_scratch(backbone, paper=row)
    return from_scratch(backbone, f"scratch:{network}@lr{rate:g}", row, learning_rate=rate)


def _pretrained(kind: str, network: str, accuracy: float) -> Method:
    backbone = BACKBONES[network]
    data = backbone.pretrained.data if backbone.pretrained else ""
    if kind == "features":
        return on_vectors("features", backbone, PaperRow("II", f"{backbone.title} features, LR, {data}", accuracy))
    what = f"layers {kind[-1].upper()} frozen" if kind[-2:] in ("-a", "-b", "-c") else "fine-tuning"
    return fine_tuned(backbone, kind, PaperRow("II", f"{backbone.title} {what}, {data}", accuracy))


_FINE_TUNED = (
    ("resnet18/places365", 55.73),
    ("resnet18/imagenet", 52.26),
    ("alexnet/places365", 45.06),
    ("alexnet/imagenet", 46.13),
)

TABLE_TWO = (
    _scratch("alexnet", 10.40),
    _scratch("resnet18", 22.40),
    _scratch("resnet18", 15.73, 0.01),
    _scratch("resnet18", 21.07, 0.005),
    _pretrained("features", "resnet18/places365", 46.13),
    _pretrained("features", "resnet18/imagenet", 48.00),
    # The paper's results section says that only the last layer learns, its method section that the last ones do, and the
    # field means the whole network: both readings are held against the same number.
    *(_pretrained(kind, *row) for row in _FINE_TUNED for kind in ("finetune-classifier", "finetune")),
    _pretrained("finetune-a", "resnet18/places365", 56.80),
    _pretrained("finetune-b", "resnet18/places365", 56.80),
    _pretrained("finetune-c", "resnet18/places365", 57.60),
)
"""The thirteen rows of Table II, in the paper's order; the four of fine-tuning in two readings each."""

PAPER = (*TABLE_ONE, *BESIDE_TABLE_ONE, *TABLE_TWO)
"""All of these, in the order in which they are run and listed."""
