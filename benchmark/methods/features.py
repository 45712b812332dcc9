"""Methods of two parts: a feature that describes each photo, and a classifier of such vectors."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.photos import LabelledPhotos, Photos
from collector.errors import DataError, UsageError

if TYPE_CHECKING:
    from benchmark.classifiers.saved import Classifier
    from benchmark.features.extract import Feature

LARGEST = 1024
"""Pixels of a side that a feature is computed on at most, where a model file says the size."""

FEATURES = ("tiny", "hog-l1", "hog-l2hys", "gist-lear", "gist-labelme")
"""Kinds of features. `hog-l1` is scikit-image's default of 2018, `hog-l2hys` today's; the two GIST are different things."""

MODERN_KS = "1,3,5,11,21,31,51,71"
MODERN_CS = "0.0001,0.001,0.01,0.1,1,10"
"""What modern rows choose from, on the validation photos; of equally good ones the first. Text, so that a parameter, and
with it the run's identity, holds them."""


def feature(kind: str, size: int) -> "Feature":
    """Return the feature of this kind on photos of size × size pixels.

    Raises:
        UsageError: there is no such kind.
    """
    from benchmark.features import gist, hog, tiny
    from benchmark.features.extract import Feature

    if kind == "tiny":
        return Feature("tiny", tiny.tiny, size, tiny.VERSION, kept=False)
    if kind == "hog-l1":
        return Feature("hog", partial(hog.hog, block_norm="L1"), size, hog.VERSION, parameters={"norm": "L1"})
    if kind == "hog-l2hys":
        return Feature("hog", partial(hog.hog, block_norm="L2-Hys"), size, hog.VERSION, parameters={"norm": "L2-Hys"})
    if kind == "gist-lear":
        return Feature("gist-lear", gist.gist_lear, size, gist.VERSION)
    if kind == "gist-labelme":
        # LabelMe's toolbox scales and crops; lear_gist takes the picture that it is given.
        return Feature("gist-labelme", gist.gist_labelme, size, gist.VERSION, rule="cover")
    raise UsageError(f"feature {kind!r}: choose one of {', '.join(FEATURES)}")


@dataclass(frozen=True)
class Described:
    """A fitted classifier of vectors, fed with one feature: of this kind (FEATURES), on photos of size × size pixels."""

    classifier: "Classifier"
    kind: str
    size: int
    device: str

    def embed(self, photos: Photos) -> NDArray[np.float32]:
        """Return the feature of each photo, (N, D)."""
        from benchmark.features.extract import extract

        return extract(feature(self.kind, self.size), photos, self.device)

    def predict_proba(self, photos: Photos) -> NDArray[np.float32]:
        """Return the probability of each class for each photo, (N, C)."""
        return self.classifier.predict_proba(self.embed(photos))

    def export(self) -> tuple[str, dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the kind, what is needed to build it again as plain JSON, and its arrays by name (`load_described`)."""
        of = feature(self.kind, self.size)
        kind, spec, arrays = self.classifier.export()
        described = {"feature": self.kind, "size": self.size, "version": of.version}
        return "described", {**described, "classifier": kind, "of_classifier": spec}, arrays


def load_described(spec: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], device: str) -> Described:
    """Return the predictor that `Described.export` described.

    Raises:
        DataError: it was made with another version of the feature's code.
        ValueError, KeyError, TypeError, UsageError: the description is none, or does not fit the arrays.
    """
    from benchmark.classifiers.saved import load_classifier

    kind, size = spec["feature"], spec["size"]
    if type(size) is not int or not 1 <= size <= LARGEST:
        raise ValueError(f"a feature on photos of {size!r} pixels; 1 to {LARGEST} are possible")
    version = feature(kind, size).version
    if spec["version"] != version:
        raise DataError(
            f"it was made with version {spec['version']!r} of the feature {kind}, this t15 has version {version}; "
            "train and export it again"
        )
    classifier = load_classifier(spec["classifier"], spec["of_classifier"], arrays, device)
    return Described(classifier, kind, size, device)


def fit_knn(
    train: LabelledPhotos, validation: LabelledPhotos, seed: int, device: str, *, feature_kind: str, size: int, k: int
) -> Described:
    """Remember the training photos; k neighbours vote alike. Nothing is random and `validation` is not used."""
    from benchmark.classifiers import knn
    from benchmark.features.extract import extract

    of = feature(feature_kind, size)
    vectors = extract(of, train, device)
    counts = np.bincount(train.labels, minlength=len(train.classes))
    if counts.min() < k:
        city = train.classes[int(counts.argmin())]
        knn.log.warning(
            "%d-NN on %s-%d: %s has only %d training photos, so it can never fill a vote",
            k,
            of.name,
            size,
            city,
            counts.min(),
        )
    classifier = knn.fit_knn(vectors, train.labels, len(train.classes), k, device=device)
    return Described(classifier, feature_kind, size, device)


def fit_modern_knn(
    train: LabelledPhotos, validation: LabelledPhotos, seed: int, device: str, *, feature_kind: str, size: int, ks: str
) -> Described:
    """As `fit_knn`, with k and the weights of votes chosen on `validation`."""
    from benchmark.classifiers import knn
    from benchmark.features.extract import extract

    of = feature(feature_kind, size)
    vectors, judged = extract(of, train, device), extract(of, validation, device)
    allowed = [k for k in map(int, ks.split(",")) if k <= len(train)] or [1]
    widest = knn.fit_knn(vectors, train.labels, len(train.classes), max(allowed), device=device)
    near = widest.nearest_of_many(judged)
    candidates = [replace(widest, k=k, weights=weights) for k in allowed for weights in knn.WEIGHTS]
    best = max(candidates, key=lambda candidate: _share_right(candidate.vote(*near), validation))
    knn.log.info("chosen on validation: k = %d, weights %s", best.k, best.weights)
    return Described(best, feature_kind, size, device)


def fit_logistic(
    train: LabelledPhotos,
    validation: LabelledPhotos,
    seed: int,
    device: str,
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
    vectors = extract(of, train, device)
    model = logistic.fit_logistic(vectors, train.labels, len(train.classes), c, iterations, solver, device=device)
    return Described(model, feature_kind, size, device)


def fit_modern_logistic(
    train: LabelledPhotos,
    validation: LabelledPhotos,
    seed: int,
    device: str,
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
    vectors, judged = extract(of, train, device), extract(of, validation, device)
    fitted = {
        (c, standardise): logistic.fit_logistic(
            vectors, train.labels, len(train.classes), c, iterations, standardise=standardise, device=device
        )
        for standardise in (True, False)
        for c in map(float, cs.split(","))
    }
    best = max(fitted, key=lambda choice: _share_right(fitted[choice].predict_proba(judged), validation))
    knn.log.info("chosen on validation: C = %g, %s features", best[0], "standardised" if best[1] else "raw")
    return Described(fitted[best], feature_kind, size, device)


def logistic_seconds(photos: int, classes: int, device: str, *, feature_kind: str, size: int, iterations: int) -> float:
    """Return about how long one fit takes: two products of (photos × values) and (values × classes) an iteration.

    20 GFLOP/s is what two cores reach in them (measured 2026-11-22 on an AMD EPYC), a GPU fifty times that.
    """
    blocks = max(1, size // 8 - 2) ** 2
    values = {"tiny": 3 * size**2, "hog-l1": 81 * blocks, "hog-l2hys": 81 * blocks, "gist-lear": 960}.get(
        feature_kind, 512
    )
    fit = iterations * 4.0 * photos * values * classes / (20e9 if device == "cpu" else 1e12)
    return fit + feature_seconds(photos, device, feature_kind=feature_kind, size=size)


def feature_seconds(photos: int, device: str, *, feature_kind: str, size: int) -> float:
    """Return about how long describing the photos takes where nothing is cached, validation and test photos included.

    Seconds a pixel on two cores of an AMD EPYC, 2026-11-22: 1e-8 for HOG, 1.7e-7 for lear's GIST, 2e-7 for LabelMe's;
    decoding takes half a millisecond a photo. A GPU is taken to be fifty times as fast at features.
    """
    rate = {"tiny": 0.0, "gist-lear": 1.7e-7, "gist-labelme": 2e-7}.get(feature_kind, 1e-8)
    return 1.5 * photos * (5e-4 + size**2 * rate / (1 if device == "cpu" else 50))


def _share_right(probabilities: NDArray[np.float32], photos: LabelledPhotos) -> float:
    return float((probabilities.argmax(axis=1) == photos.labels).mean())
