"""Local naive Bayes nearest neighbour (McCann and Lowe, CVPR 2012), with photos of the gallery in the place of classes.

Each feature of a query looks for its k + 1 nearest features of the whole gallery; the (k + 1)-th stands for "anything". Each
of the k nearer ones gives its photo d²(k + 1) - d²: what it is nearer than anything. A photo's score is the sum. Nothing is
learnt. The gallery is searched by lists (faiss IVF): features lie in the list of their nearest centre, and the lists of the
query's `probes` nearest centres are looked through. Descriptors and centres are whole numbers: distances are exact, and no
score depends on threads. Cost of a query: its features × (centres + gallery features × probes / lists).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmark.local.keypoints import WIDTH, Features
from benchmark.local.words import k_means
from collector.errors import UsageError

_AT_ONCE = 50_000  # features
_LEAST_IN_LIST = 64  # features a list; fewer lists are made of a small gallery


@dataclass(frozen=True)
class FeatureIndex:
    """The features of a gallery.

    Attributes:
        index: of faiss.
        photo: (n,) which photo of the gallery each feature is of.
        photos: how many photos there are.
        k: neighbours that vote.
    """

    index: Any
    photo: NDArray[np.int64]
    photos: int
    k: int

    def scores(self, features: Features) -> NDArray[np.float64]:
        """Return the score of each photo of the gallery, (photos,), 0 or more."""
        if not len(features) or not len(self.photo):
            return np.zeros(self.photos)
        squares, rows = self.index.search(features.descriptors.astype(np.float32), self.k + 1)
        squares = np.where(rows >= 0, squares, -np.inf).astype(np.float64)
        anything = squares.max(axis=1, keepdims=True)
        votes = np.where(rows >= 0, anything - squares, 0.0)
        voting = rows >= 0
        return np.bincount(self.photo[rows[voting]], votes[voting], minlength=self.photos).astype(np.float64)


def index_features(
    gallery: Sequence[Features], k: int, keep: float, lists: int, probes: int, rng: np.random.Generator
) -> FeatureIndex:
    """Return the index of a gallery's features.

    Args:
        gallery: features of each photo.
        k: neighbours that vote.
        keep: share of each photo's features that are indexed: evenly from the strongest to the weakest.
        lists: how many at most; fewer of a small gallery.
        probes: lists that are looked through.
        rng: for the lists' centres.

    Raises:
        UsageError: a value makes no sense.
    """
    if not 1 <= k <= 1000 or not 0 < keep <= 1 or not 1 <= probes <= lists <= 65_536:
        raise UsageError(
            f"k={k}, keep={keep}, lists={lists}, probes={probes}: k from 1 to 1000, keep above 0 and at most 1, "
            "1 to 65536 lists, and not more probes"
        )
    kept = [features.descriptors[_spread(len(features), keep)] for features in gallery]
    descriptors = np.concatenate([np.empty((0, WIDTH), np.uint8), *kept])
    photo = np.repeat(np.arange(len(gallery)), [len(of) for of in kept])
    count = max(1, min(lists, len(descriptors) // _LEAST_IN_LIST))
    centres = k_means(descriptors, count, rng) if len(descriptors) else np.zeros((1, WIDTH), np.uint8)
    quantizer = faiss.IndexFlatL2(WIDTH)
    quantizer.add(centres.astype(np.float32))
    index = faiss.IndexIVFScalarQuantizer(
        quantizer, WIDTH, len(centres), faiss.ScalarQuantizer.QT_8bit_direct, faiss.METRIC_L2, False
    )
    index.nprobe = min(probes, len(centres))
    if len(descriptors):
        index.train(
            descriptors[:1].astype(np.float32)
        )  # bytes as they are, and centres that are there: nothing to learn
        for at in range(0, len(descriptors), _AT_ONCE):  # as float32 all would take four times their memory
            index.add(descriptors[at : at + _AT_ONCE].astype(np.float32))
    return FeatureIndex(index, photo, len(gallery), k)


def _spread(count: int, keep: float) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, count - 1, int(np.ceil(keep * count))).astype(np.int64)) if count else np.arange(0)
