"""The rows of the 2018 paper that this version runs, each with the paper's number.

Özköse, Yılıkoğlu, Karacan and Erdem, "Finding Location of A Photograph with Deep Learning", SIU 2018, Tables I and II.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.methods.base import Method, PaperRow
from benchmark.photos import LabelledPhotos, Photos

if TYPE_CHECKING:
    from benchmark.networks.train import TrainedNetwork


@dataclass(frozen=True)
class OnTinyImages:
    """A classifier of vectors, fed with tiny images of size × size pixels."""

    classify: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    size: int

    def predict_proba(self, photos: Photos) -> NDArray[np.float32]:
        """Return the probability of each class for each photo, (N, C)."""
        from benchmark.features.tiny import tiny

        return self.classify(tiny(photos.pixels(self.size)))


def fit_tiny_knn(
    train: LabelledPhotos, validation: LabelledPhotos, seed: int, device: str, *, size: int, k: int
) -> OnTinyImages:
    """Remember the tiny images of `train`; nothing is random and `validation` is not used."""
    from benchmark.classifiers.knn import fit_knn
    from benchmark.features.tiny import tiny

    classifier = fit_knn(tiny(train.pixels(size)), train.labels, len(train.classes), k)
    return OnTinyImages(classifier.predict_proba, size)


def fit_tiny_logistic(
    train: LabelledPhotos, validation: LabelledPhotos, seed: int, device: str, *, size: int, c: float, iterations: int
) -> OnTinyImages:
    """Fit logistic regression on the tiny images of `train`; nothing is random and `validation` is not used."""
    from benchmark.classifiers.logistic import fit_logistic
    from benchmark.features.tiny import tiny

    classifier = fit_logistic(tiny(train.pixels(size)), train.labels, len(train.classes), c, iterations)
    return OnTinyImages(classifier.predict_proba, size)


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


def _logistic_seconds(photos: int, classes: int, device: str, *, size: int, c: float, iterations: int) -> float:
    # Two products of (photos × values) and (values × classes) an iteration; 20 GFLOP/s is what two cores reach in them.
    return iterations * 4.0 * photos * 3 * size**2 * classes / 20e9


def _tiny_knn(size: int, k: int, accuracy: float) -> Method:
    return Method(
        name=f"tiny-{size}+knn",
        title=f"Tiny images {size}×{size}, {k}-NN",
        fit=fit_tiny_knn,
        parameters={"size": size, "k": k},
        smoke={"size": size // 2},
        paper=PaperRow("I", f"tiny images {size}×{size}, {k}-NN", accuracy),
    )


def _tiny_logistic(size: int, accuracy: float) -> Method:
    return Method(
        name=f"tiny-{size}+logreg",
        title=f"Tiny images {size}×{size}, logistic regression",
        fit=fit_tiny_logistic,
        parameters={"size": size, "c": 1.0, "iterations": 500},
        smoke={"size": size // 4, "iterations": 100},
        paper=PaperRow("I", f"tiny images {size}×{size}, LR", accuracy),
        estimate=_logistic_seconds,
    )


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


PAPER = (
    _tiny_knn(64, 11, 15.47),
    _tiny_logistic(64, 11.00),
    _tiny_knn(128, 1, 16.27),
    _tiny_logistic(128, 13.00),
    # Most of AlexNet's time on small pictures goes into updating its 57 million weights: fewer, larger steps.
    _from_scratch("alexnet", "AlexNet", 10.40, smoke_batch=64),
    _from_scratch("resnet18", "ResNet-18", 22.40, smoke_batch=16),
)
"""Rows of Tables I and II, in the paper's order."""
