"""Local naive Bayes nearest neighbour (McCann and Lowe, CVPR 2012), with photos of the gallery in the place of classes.

Each feature of a query looks for its k + 1 nearest features of the whole gallery; the (k + 1)-th stands for "anything". Each
of the k nearer ones gives its photo d²(k + 1) - d²: what it is nearer than anything. With a `power` above 0 that counts times
(1 - d² / d²(k + 1)) to this power: few features that nothing else is like then weigh more than many that are a little nearer.
A photo's score is the sum. Nothing is learnt. The gallery is searched by lists (faiss IVF): features lie in the list of
their nearest centre, and the lists of the query's `probes` nearest centres are looked through. Descriptors and centres are
whole numbers: distances are exact, and no score depends on threads. Cost of a query: its features × (centres + gallery
features × probes / lists).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmark.local.keypoints import WIDTH, Features, gathered
from benchmark.local.words import lloyd, sampled
from collector.errors import UsageError

_AT_ONCE = 50_000  # features
_LEAST_IN_LIST = 64  # features a list; fewer lists are made of a small gallery


@dataclass(frozen=True)
class FeatureIndex:
    """The features of a gallery.

    Attributes:
        index: of faiss; each feature's id is its photo's position in the gallery.
        photos: how many photos there are.
        k: neighbours that vote.
        power: of how much nearer they are than anything, by which votes are weighed; 0 for votes as in the paper.
    """

    index: Any
    photos: int
    k: int
    power: float = 0.0

    def scores(self, features: Features) -> NDArray[np.float64]:
        """Return the score of each photo of the gallery, (photos,), 0 or more."""
        if not len(features) or not self.index.ntotal:
            return np.zeros(self.photos)
        squares, photos = self.index.search(features.descriptors.astype(np.float32), self.k + 1)
        voting = photos >= 0
        anything = np.where(voting, squares, 0).max(axis=1, keepdims=True).astype(np.float64)
        nearer = np.where(voting, anything - squares, 0)
        votes = nearer * (nearer / np.maximum(anything, 1)) ** self.power
        return np.bincount(photos[voting], votes[voting], minlength=self.photos).astype(np.float64)


def index_features(
    gallery: Sequence[Features],
    k: int,
    keep: float,
    lists: int,
    probes: int,
    rng: np.random.Generator,
    power: float = 0.0,
) -> FeatureIndex:
    """Return the index of a gallery's features.

    Args:
        gallery: features of each photo.
        k: neighbours that vote.
        keep: share of each photo's features that are indexed: evenly from the strongest to the weakest.
        lists: how many at most; fewer of a small gallery.
        probes: lists that are looked through.
        rng: for the lists' centres.
        power: of votes, see `FeatureIndex`.

    Raises:
        UsageError: a value makes no sense.
    """
    if not 1 <= k <= 1000 or not 0 < keep <= 1 or not 1 <= probes <= lists <= 65_536 or not 0 <= power <= 10:
        raise UsageError(
            f"k={k}, keep={keep}, lists={lists}, probes={probes}, power={power}: k from 1 to 1000, keep above 0 and at "
            "most 1, 1 to 65536 lists, and not more probes, a power from 0 to 10"
        )
    descriptors = [of.descriptors if keep == 1 else of.descriptors[_spread(len(of), keep)] for of in gallery]
    total = sum(len(of) for of in descriptors)
    count = max(1, min(lists, total // _LEAST_IN_LIST))
    centres = np.zeros((1, WIDTH), np.uint8)
    if total:
        centres = lloyd(gathered(descriptors, sampled(total, count, rng)), count, rng)
    quantizer = faiss.IndexFlatL2(WIDTH)
    quantizer.add(centres.astype(np.float32))
    index = faiss.IndexIVFScalarQuantizer(
        quantizer, WIDTH, len(centres), faiss.ScalarQuantizer.QT_8bit_direct, faiss.METRIC_L2, False
    )
    index.nprobe = min(probes, len(centres))
    index.train(np.zeros((1, WIDTH), np.float32))  # bytes as they are, and centres that are there: nothing to learn
    _fill(index, descriptors)
    return FeatureIndex(index, len(gallery), k, power)


def _fill(index: Any, kept: Sequence[NDArray[np.uint8]]) -> None:
    """Put the photos' descriptors into an index's lists, each list made as long as it will be: one that grows takes twice."""
    photo = np.repeat(np.arange(len(kept)), [len(of) for of in kept])
    blocks = [np.arange(at, min(at + _AT_ONCE, len(photo))) for at in range(0, len(photo), _AT_ONCE)]
    near = [index.quantizer.search(gathered(kept, rows).astype(np.float32), 1)[1][:, 0] for rows in blocks]
    filled = np.zeros(index.nlist, np.int64)
    for number, size in enumerate(np.bincount(np.concatenate([[], *near]).astype(np.int64), minlength=index.nlist)):
        index.invlists.resize(number, int(size))
    for rows, lists in zip(blocks, near, strict=True):
        order = np.argsort(lists, kind="stable")
        codes, ids = gathered(kept, rows)[order], photo[rows[order]]
        begin = np.searchsorted(lists[order], np.arange(index.nlist + 1))
        for number in np.flatnonzero(np.diff(begin)).tolist():
            low, high = begin[number : number + 2].tolist()
            swig = [faiss.swig_ptr(of[low:high]) for of in (ids, codes)]
            index.invlists.update_entries(number, int(filled[number]), high - low, *swig)
        filled += np.diff(begin)
    index.ntotal = len(photo)


def _spread(count: int, keep: float) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, count - 1, int(np.ceil(keep * count))).astype(np.int64)) if count else np.arange(0)
