"""Methods of two parts: a feature that describes each photo, and a classifier of such vectors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmark.methods.types import Context, Training
from benchmark.photos import Photos
from collector.errors import DataError, UsageError

if TYPE_CHECKING:
    from benchmark.features.extract import Feature


class Classifier(Protocol):
    """A fitted classifier of vectors."""

    def predict_proba(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probability of each class, (M, C), for vectors (M, D)."""
        ...

    def save(self) -> tuple[str, dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the kind, what is needed to build it again as plain JSON, and its arrays by name."""
        ...


_LOADERS = {
    "knn": "benchmark.classifiers.knn:load_knn",
    "logistic": "benchmark.classifiers.logistic:load_logistic",
    "mlp": "benchmark.classifiers.heads:load_mlp",
    "hierarchy": "benchmark.classifiers.text_heads:load_hierarchy",
    "tip": "benchmark.classifiers.text_heads:load_tip",
}


def load_classifier(kind: str, spec: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], device: str) -> Classifier:
    """Return the classifier that its `save` described.

    Raises:
        ValueError, KeyError, TypeError: the kind is unknown, or the description is none or does not fit the arrays.
    """
    module, _, function = _LOADERS[kind].partition(":")
    found: Classifier = getattr(import_module(module), function)(spec, arrays, device)
    return found


LARGEST = 1024
"""Pixels of a side that a feature is computed on at most, where a model file says the size."""


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """A kind of feature: all that is said of it, in one place.

    Attributes:
        compute: `module:function`, imported when it is needed: photos uint8 (N, 3, S, S) -> float32 (N, D).
        version: of that code; changes whenever values may.
        seconds_per_pixel: on two cores of an AMD EPYC, 2026-11-22.
        width: D by S.
        title: what readers call it.
        name: of its arrays in the cache.
        rule: how photos become squares, see `Photos.pixels`.
        kept: whether values are worth keeping on disk.
        parameters: given to `compute` by name.
        plain: `module:function` that does the same in numpy; empty where there is none.
    """

    compute: str
    version: int
    seconds_per_pixel: float
    width: Callable[[int], int]
    title: str
    name: str
    rule: str = "squash"
    kept: bool = True
    parameters: Mapping[str, Any] = field(default_factory=dict)
    plain: str = ""


def _hog_width(size: int) -> int:
    return 81 * max(1, size // 8 - 2) ** 2  # 9 orientations × 3 × 3 cells a block


_PLAIN = "benchmark.features.plain"
_HOG = FeatureSpec("benchmark.features.hog:hog", 1, 1e-8, _hog_width, "HOG", "hog", plain=f"{_PLAIN}:hog")

FEATURES: dict[str, FeatureSpec] = {
    "tiny": FeatureSpec(
        "benchmark.features.extract:tiny",
        1,
        0.0,
        lambda size: 3 * size**2,
        "Tiny images",
        "tiny",
        kept=False,
        plain=f"{_PLAIN}:tiny",
    ),
    "hog-l1": replace(_HOG, parameters={"block_norm": "L1"}),  # scikit-image's default of 2018
    "hog-l2hys": replace(_HOG, title="HOG (L2-Hys)", parameters={"block_norm": "L2-Hys"}),  # and today's
    "gist-lear": FeatureSpec(
        "benchmark.features.gist:gist_lear", 1, 1.7e-7, lambda _: 960, "GIST", "gist-lear", plain=f"{_PLAIN}:gist_lear"
    ),
    # LabelMe's toolbox scales and crops; lear_gist takes the picture that it is given.
    "gist-labelme": FeatureSpec(
        "benchmark.features.gist:gist_labelme",
        1,
        2e-7,
        lambda _: 512,
        "GIST (LabelMe)",
        "gist-labelme",
        rule="cover",
        plain=f"{_PLAIN}:gist_labelme",
    ),
    # Of IM2GPS (`methods.im2gps`), each with a size of its own there.
    "im2gps-tiny": FeatureSpec(
        "benchmark.features.im2gps:tiny_lab", 1, 1e-8, lambda size: 3 * size**2, "tiny Lab", "im2gps-tiny"
    ),
    "im2gps-colour": FeatureSpec(
        "benchmark.features.im2gps:lab_histogram", 1, 1e-7, lambda _: 784, "Lab histogram", "im2gps-colour"
    ),
    "im2gps-lines": FeatureSpec(
        "benchmark.features.im2gps:lines", 1, 1e-6, lambda _: 34, "straight lines", "im2gps-lines"
    ),
    "im2gps-gist": FeatureSpec(
        "benchmark.features.im2gps:gist_colour", 1, 1.7e-7, lambda _: 675, "gist and colour", "im2gps-gist"
    ),
    "im2gps-layout": FeatureSpec("benchmark.features.im2gps:layout", 1, 1e-7, lambda _: 192, "layout", "im2gps-layout"),
}
"""The kinds of features; a new one is one entry. The two GIST are different things."""

WITHOUT_TORCH = "numpy"
"""A device of predictors that are asked about few photos, where `answers_without_torch`: importing torch takes seconds."""

_WITHOUT_TORCH = ("knn", "logistic")  # classifiers


def answers_without_torch(kind: str, spec: Mapping[str, Any]) -> bool:
    """Return whether a predictor of this kind and description (its `save`) can be built on the device WITHOUT_TORCH."""
    named = spec.get("feature")
    known = FEATURES.get(named) if kind == "described" and isinstance(named, str) else None
    return bool(known and known.plain) and spec.get("classifier") in _WITHOUT_TORCH


CLASSIFIERS_VERSION = 1
"""Of the classifiers' code and of the defaults of the methods that use them."""

MODERN_CS = "0.0001,0.001,0.01,0.1,1,10"
"""What modern rows choose from, as from `knn.MODERN_KS`, on the validation photos; of equally good ones the first. Text, so
that a parameter, and with it the run's identity, holds them."""


def feature(kind: str, size: int) -> "Feature":
    """Return the feature of this kind on photos of size × size pixels.

    Raises:
        UsageError: there is no such kind.
    """
    from benchmark.features.extract import Feature

    spec = _feature_spec(kind)
    compute = partial(_imported(spec.compute), **spec.parameters)
    return Feature(spec.name, compute, size, spec.version, spec.rule, spec.parameters, spec.kept)


def _feature_spec(kind: str) -> FeatureSpec:
    if kind not in FEATURES:
        raise UsageError(f"feature {kind!r}: choose one of {', '.join(FEATURES)}")
    return FEATURES[kind]


def _imported(named: str) -> Callable[..., Any]:
    module, _, function = named.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), function)
    return found


def version(kind: str) -> str:
    """Return the version of a method that feeds this feature to a classifier: that of the feature, and of what follows."""
    return f"{FEATURES[kind].version}.{CLASSIFIERS_VERSION}"


def squares(*, feature_kind: str, size: int, **others: Any) -> dict[str, Any]:
    """Return how photos become what a feature is computed on, for a run's identity."""
    return {"size": size, "rule": FEATURES[feature_kind].rule, "interpolation": "bilinear"}


@dataclass(frozen=True)
class Described:
    """A fitted classifier of vectors, fed with one feature: of this kind (FEATURES), on photos of size × size pixels."""

    classifier: "Classifier"
    kind: str
    size: int
    device: str

    def embed(self, photos: Photos) -> NDArray[np.float32]:
        """Return the feature of each photo, (N, D)."""
        if self.device == WITHOUT_TORCH:
            of = FEATURES[self.kind]
            described: NDArray[np.float32] = _imported(of.plain)(photos.pixels(self.size, of.rule), **of.parameters)
            return described
        from benchmark.features.extract import extract

        return extract(feature(self.kind, self.size), photos, self.device)

    def predict_labels(self, photos: Photos) -> NDArray[np.float32]:
        """Return the probability of each class for each photo, (N, C)."""
        return self.classifier.predict_proba(self.embed(photos))

    def save(self) -> tuple[str, dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the kind, what is needed to build it again as plain JSON, and its arrays by name (`load_described`)."""
        kind, spec, arrays = self.classifier.save()
        described = {"feature": self.kind, "size": self.size, "version": FEATURES[self.kind].version}
        return "described", {**described, "classifier": kind, "of_classifier": spec}, arrays


def load_described(spec: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], device: str) -> Described:
    """Return the predictor that `Described.save` described.

    Raises:
        DataError: it was made with another version of the feature's code.
        ValueError, KeyError, TypeError, UsageError: the description is none, or does not fit the arrays.
    """
    kind, size = spec["feature"], spec["size"]
    if type(size) is not int or not 1 <= size <= LARGEST:
        raise ValueError(f"a feature on photos of {size!r} pixels; 1 to {LARGEST} are possible")
    version = _feature_spec(kind).version
    if spec["version"] != version:
        raise DataError(
            f"it was made with version {spec['version']!r} of the feature {kind}, this t15 has version {version}; "
            "train and export it again"
        )
    classifier = load_classifier(spec["classifier"], spec["of_classifier"], arrays, device)
    return Described(classifier, kind, size, device)


def fit_knn(
    training: Training, validation: Training, context: Context, *, feature_kind: str, size: int, k: int
) -> Described:
    """Remember the training photos; k neighbours vote alike. Nothing is random and `validation` is not used."""
    from benchmark.classifiers import knn
    from benchmark.features.extract import extract

    of = feature(feature_kind, size)
    vectors = extract(of, training, context.device)
    counts = np.bincount(training.labels, minlength=len(training.classes))
    few, least = int((counts < k).sum()), int(counts.min())
    if few:
        rarest = training.classes[int(counts.argmin())]
        have = f"{few} of {len(counts)} labels have fewer than k training photos, {rarest} only {least}"
        rarely = (
            "they will rarely win"
            if few < len(counts)
            else "some of any photo's neighbours are of others; take a smaller k"
        )
        one = f"{rarest} has only {least} training photos, fewer than k: it will rarely win"
        knn.log.warning("%d-NN on %s-%d: %s", k, of.name, size, one if few == 1 else f"{have}: {rarely}")
    classifier = knn.fit_knn(vectors, training.labels, len(training.classes), k, device=context.device)
    return Described(classifier, feature_kind, size, context.device)


def fit_modern_knn(
    training: Training, validation: Training, context: Context, *, feature_kind: str, size: int, ks: str
) -> Described:
    """As `fit_knn`, with k and the weights of votes chosen on `validation`."""
    from benchmark.classifiers import knn
    from benchmark.features.extract import extract

    of = feature(feature_kind, size)
    vectors, judged = extract(of, training, context.device), extract(of, validation, context.device)
    allowed = [k for k in map(int, ks.split(",")) if k <= len(training)] or [1]
    widest = knn.fit_knn(vectors, training.labels, len(training.classes), max(allowed), device=context.device)
    near = widest.nearest_of_many(judged)
    candidates = [replace(widest, k=k, weights=weights) for k in allowed for weights in knn.WEIGHTS]
    best = max(candidates, key=lambda candidate: _share_right(candidate.vote(*near), validation))
    knn.log.info("chosen on validation: k = %d, weights %s", best.k, best.weights)
    return Described(best, feature_kind, size, context.device)


def fit_logistic(
    training: Training,
    validation: Training,
    context: Context,
    *,
    feature_kind: str,
    size: int,
    solver: str,
    c: float,
    iterations: int,
) -> Described:
    """Fit logistic regression on raw features. Nothing is random and `validation` is not used."""
    from benchmark.classifiers import logistic
    from benchmark.features.extract import extract

    of = feature(feature_kind, size)
    vectors = extract(of, training, context.device)
    model = logistic.fit_logistic(
        vectors, training.labels, len(training.classes), c, iterations, solver, device=context.device
    )
    return Described(model, feature_kind, size, context.device)


def fit_modern_logistic(
    training: Training,
    validation: Training,
    context: Context,
    *,
    feature_kind: str,
    size: int,
    iterations: int,
    cs: str,
) -> Described:
    """Fit multinomial logistic regression; C, and raw or standardised features, are chosen on `validation`."""
    from benchmark.classifiers import knn, logistic
    from benchmark.features.extract import extract

    of = feature(feature_kind, size)
    vectors, judged = extract(of, training, context.device), extract(of, validation, context.device)
    fitted = {
        (c, standardise): logistic.fit_logistic(
            vectors,
            training.labels,
            len(training.classes),
            c,
            iterations,
            standardise=standardise,
            device=context.device,
        )
        for standardise in (True, False)
        for c in map(float, cs.split(","))
    }
    best = max(fitted, key=lambda choice: _share_right(fitted[choice].predict_proba(judged), validation))
    knn.log.info("chosen on validation: C = %g, %s features", best[0], "standardised" if best[1] else "raw")
    return Described(fitted[best], feature_kind, size, context.device)


def logistic_seconds(photos: int, classes: int, device: str, *, feature_kind: str, size: int, iterations: int) -> float:
    """Return about how long one fit takes: two products of (photos × values) and (values × classes) an iteration.

    20 GFLOP/s is what two cores reach in them (measured 2026-11-22 on an AMD EPYC), a GPU fifty times that. On few photos an
    iteration takes 5 ms whatever it computes: 14 fits of 500 iterations on 158 photos took 50 s (2026-11-30, 2 cores, Xeon).
    """
    values = FEATURES[feature_kind].width(size)
    fit = iterations * (5e-3 + 4.0 * photos * values * classes / (20e9 if device == "cpu" else 1e12))
    return fit + feature_seconds(photos, device, feature_kind=feature_kind, size=size)


def feature_seconds(photos: int, device: str, *, feature_kind: str, size: int) -> float:
    """Return about how long describing the photos takes where nothing is cached, validation and test photos included.

    Decoding takes half a millisecond a photo (two cores of an AMD EPYC, 2026-11-22). A GPU is taken to be fifty times as fast
    at features.
    """
    rate = FEATURES[feature_kind].seconds_per_pixel
    return 1.5 * photos * (5e-4 + size**2 * rate / (1 if device == "cpu" else 50))


def _share_right(probabilities: NDArray[np.float32], photos: Training) -> float:
    return float((probabilities.argmax(axis=1) == photos.labels).mean())
