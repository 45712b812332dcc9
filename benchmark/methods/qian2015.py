"""`qian2015`: salient region matching (Qian, Zhao and Han, IEEE TIP 2015).

As in the paper's abstract: a global feature names candidates; visual words are grouped by mean shift of their positions; a
group with the relative positions of its words is what is matched; salient ones weigh more. Ours, since the inner parameters
were not at hand: candidates are the nearest `candidates` of the gallery by GIST; words are those of `bow`; positions are two
bits for each pair of words (`local.regions`); a photo's score is the sum, over the query's groups, of its best group's
agreement, times the group's saliency and its idf as a share of the query's. Photos that are no candidates come behind, by
GIST. Cost of a query: mean shift, and one comparison for each two groups that share `least` words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from benchmark.local.keypoints import Features, bounded
from benchmark.local.regions import Region, agreement, regions_of, saliency
from benchmark.methods.features import feature
from benchmark.methods.place_recognition import (
    LOCAL,
    LOCAL_SMOKE,
    UNKEPT,
    Gallery,
    GalleryPredictor,
    LocalSettings,
    local_seconds,
    predictor,
)
from benchmark.methods.types import Context, Method, Training
from benchmark.methods.visual_retrieval import Embed, Vectors, unit
from benchmark.methods.visual_words import Words, words_of
from benchmark.photos import Photos
from collector.errors import UsageError

_GREY = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Grouping:
    """How a photo's keypoints become groups of words."""

    words: Words
    side: int
    bandwidth: float
    most: int

    def of(
        self, photos: Photos, features: Sequence[Features], order: Sequence[int] | None = None
    ) -> list[list[Region]]:
        """Return each photo's groups; `order` says which photo each of the features is of."""
        found = []
        pictures = photos.pictures(self.side, enlarge=False)
        for row, one in zip(range(len(photos)) if order is None else order, features, strict=True):
            picture = pictures[row]
            height, width = picture.shape[1:]
            size = np.array(bounded(width, height, self.side), np.float64)
            grey = np.tensordot(_GREY, picture.astype(np.float64), axes=1)
            words = self.words.tree.descend(one.descriptors, self.words.paths)
            points = one.points[:, :2].astype(np.float64) / size
            found.append(regions_of(words, points, self.words.idf, self.bandwidth, self.most, saliency(grey)))
        return found


@dataclass(frozen=True)
class SalientRegions:
    """Compares groups of words with those of the likest photos.

    Attributes:
        first: names the candidates.
        count: how many.
        grouping: of queries.
        regions: all groups of the gallery.
        photo: (R,) which photo each is of.
        words: (R, words), 1 where a group has a word.
        least: common words of two groups that are compared.
    """

    first: Vectors
    count: int
    grouping: Grouping
    regions: Sequence[Region]
    photo: NDArray[np.int64]
    words: sparse.csr_array
    least: int
    local: bool = True

    def scores(self, photos: Photos, queries: Sequence[Features]) -> NDArray[np.float64]:
        """Return the scores, (queries, gallery): -1 to 1 of photos that are no candidates, from 2 up of candidates."""
        cosines = self.first.scores(photos, queries)
        candidates = np.argsort(-cosines, axis=1, kind="stable")[:, : self.count]
        scores = np.clip(cosines, -1, 1)
        for row, regions in enumerate(self.grouping.of(photos, queries)):
            own = self._scores_of(regions, set(candidates[row].tolist()), scores.shape[1])
            scores[row, candidates[row]] = 2 + own[candidates[row]] + 1e-3 * (1 + scores[row, candidates[row]])
        return scores

    def _scores_of(self, regions: Sequence[Region], candidates: set[int], count: int) -> NDArray[np.float64]:
        idf = self.grouping.words.idf
        sums = np.zeros(count)
        whole = sum(float(idf[region.words].sum()) for region in regions) or 1.0
        asked = _matrix(regions, self.words.shape[1])
        common = sparse.coo_array(asked @ self.words.T)
        best: dict[tuple[int, int], float] = {}
        enough = (common.data >= max(2, self.least)) & np.isin(self.photo[common.col], list(candidates))
        for mine, theirs in zip(common.row[enough].tolist(), common.col[enough].tolist(), strict=True):
            alike = agreement(regions[mine], self.regions[theirs], idf, self.least)
            key = (mine, int(self.photo[theirs]))
            best[key] = max(best.get(key, 0.0), alike)
        for (mine, photo), alike in sorted(best.items()):
            region = regions[mine]
            sums[photo] += alike * region.saliency * float(idf[region.words].sum()) / whole
        return np.round(sums, 9)


def _matrix(regions: Sequence[Region], vocabulary: int) -> sparse.csr_array:
    rows = np.repeat(np.arange(len(regions)), [len(region.words) for region in regions])
    columns = np.concatenate([np.empty(0, np.int64), *(region.words for region in regions)])
    return sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(regions), vocabulary))


def fit(
    training: Training,
    validation: Training,
    context: Context,
    *,
    candidates: float,
    feature_kind: str,
    size: int,
    bandwidth: float,
    most: int,
    least: int,
    **local: Any,
) -> GalleryPredictor:
    """Group the words of the gallery.

    Raises:
        UsageError: a parameter makes no sense.
    """
    from benchmark.features.extract import extract

    if not 0 < candidates <= 1 or not 0 < bandwidth <= 1 or most < 3 or least < 2:
        raise UsageError(
            f"candidates={candidates}, bandwidth={bandwidth}, most={most}, least={least}: shares above 0 to 1, from 3, from 2"
        )
    settings = LocalSettings.of(seed=context.seed, **local)
    gallery = Gallery.of(training, settings.front_end)
    of = feature(feature_kind, size)
    embed: Embed = lambda photos: extract(of, photos, context.device)  # noqa: E731 (named for its type)
    grouping = Grouping(words_of(gallery, 100, 2, 5, context), settings.front_end.side, bandwidth, most)
    groups = grouping.of(training, gallery.features, gallery.rows.tolist())
    regions = [region for of_photo in groups for region in of_photo]
    scorer = SalientRegions(
        first=Vectors(embed, unit(embed(training))[gallery.rows]),
        count=int(np.ceil(candidates * len(gallery.rows))),
        grouping=grouping,
        regions=regions,
        photo=np.repeat(np.arange(len(groups)), [len(of_photo) for of_photo in groups]),
        words=_matrix(regions, grouping.words.tree.words),
        least=least,
    )
    return predictor(scorer, gallery, training, validation, settings, "max")


QIAN2015 = Method(
    name="qian2015",
    title="Salient region matching (Qian 2015)",
    fit=fit,
    parameters={
        **LOCAL,
        "candidates": 0.15,
        "feature_kind": "gist-lear",
        "size": 128,
        "bandwidth": 0.1,
        "most": 20,
        "least": 2,
    },
    smoke={**LOCAL_SMOKE, "size": 64},
    gives=frozenset({"labels", "places", "ranking"}),
    stochastic=True,
    estimate=local_seconds,
    unkept=UNKEPT,
)
