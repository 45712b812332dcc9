"""The one place where a number is made: METRICS says which there are, `evaluate` computes them all from predictions.

Boards, files and `t15 score` loop over METRICS; docs/numbers.md has a section for each.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import fmean, stdev
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.predictions import Predictions
from benchmark.scoring import calibration, metrics
from benchmark.scoring.answers import REGION_SHARES, Answers, Stated, answers_of
from benchmark.scoring.truth import NAMES_ANSWER, SAME_PLACE_KM, Truth
from collector.labels import LEVELS

LEVELS_ABOVE = tuple(reversed(LEVELS[:-1]))
"""Levels of the label tree that an answer of a finer level is also judged at, the finest first."""

ACCURACIES_ABOVE = tuple(f"accuracy_{level}" for level in LEVELS_ABOVE)
"""The names of the metrics that judge them."""

RECALLS = (1, 5, 10, 20)
"""Of how many ranked photos one has to show the very place."""

RECALL_METRES = (25, 10, 50, 100)
"""How near that photo was taken at most; first the distance that the field reports and that rows are ranked by."""

Compute = Callable[[Sequence[Answers], Truth], float]
Interval = Callable[[float, Sequence[Answers], Truth], tuple[float, float]]
Worth = Callable[[NDArray[Any], NDArray[Any]], float]


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that a leaderboard has.

    Attributes:
        name: in files; also the id of its section in docs/numbers.md.
        title: what a table's head says.
        unit: `%` for a share (kept as 0 to 1), `km`, `km²`, or empty.
        better: whether more or less is better; empty where a value of its own is.
        needs: what a method has to answer, or what has to follow from it: `labels`, `places`, `density` or `ranking`.
        formula: how it is computed, in words and signs.
        source: who says so; empty where it is a plain share.
        of: computes it over all seeds; NaN where it cannot be judged.
        interval: its 95 % interval; None without.
    """

    name: str
    title: str
    unit: Literal["%", "km", "km²", ""]
    better: Literal["higher", "lower", ""]
    needs: Literal["labels", "places", "density", "ranking"]
    formula: str
    source: str
    of: Compute
    interval: Interval | None = None

    @property
    def has_oracle(self) -> bool:
        """Whether the best of a method's possible answers has a number of its own."""
        return self.needs in ("places", "ranking") and self.name != "no_match"


@dataclass(frozen=True, slots=True)
class Score:
    """What a method has of a metric: mean over its seeds; shares are 0 to 1.

    Attributes:
        value: the number.
        low, high: its 95 % interval; None without. `high` is None too where it has no bound.
        oracle: what the best of the method's possible answers to each photo would have; None where it can answer any place,
            or the metric is not of places.
    """

    value: float
    low: float | None = None
    high: float | None = None
    oracle: float | None = None


@dataclass(frozen=True, slots=True)
class Slice:
    """The photos that share a name: their number, the mean accuracy over seeds, and its Wilson 95 % interval."""

    name: str
    photos: int
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True)
class Scores:
    """What a method's predictions are worth.

    Attributes:
        photos: N, how many were to be answered.
        withheld: the share of answers that were withheld, which count as wrong.
        values: by the name of each metric that can be judged, in the order of METRICS; where there is one label, those in
            which answers can differ.
        primary: the metric that methods are ranked by: `accuracy`, or `recall_1` by protocol `place`.
        right: (S, N), whether each seed's answer to each photo is right, as `primary` has it.
        units: (N,) what stands or falls together in comparisons: a query's place; None where each photo is by itself.
        spread: sample standard deviation of `primary` over the seeds, None for a single seed.
        classes: the photos of each label by its id, labels without photos left out.
        slices: the same of parts of the photos, by what they are parts of: see `truth.parts_of`.
    """

    photos: int
    withheld: float
    values: Mapping[str, Score]
    primary: str
    right: NDArray[np.bool_] = field(compare=False, repr=False)
    spread: float | None
    classes: Mapping[str, Slice]
    slices: Mapping[str, tuple[Slice, ...]]
    units: NDArray[np.int64] | None = field(default=None, compare=False, repr=False)

    def __repr__(self) -> str:
        value = f"{self.values[self.primary].value:.3f}" if self.primary in self.values else "not known"
        return f"<scores of {self.photos} photos: {self.primary} {value}>"

    @property
    def per_class(self) -> Mapping[str, float]:
        """The share of right answers by label, labels without photos left out."""
        return {label: of.accuracy for label, of in self.classes.items()}

    def __getitem__(self, name: str) -> Score:
        return self.values[name]

    def get(self, name: str) -> Score | None:
        """Return the score of a metric, None where it cannot be judged."""
        return self.values.get(name)

    def flat(self) -> dict[str, float | None]:
        """Return every number by its name in files, see `column_names`; None where it cannot be judged."""
        numbers: dict[str, float | None] = dict.fromkeys(column_names())
        for name, score in self.values.items():
            every = {"": score.value, "_low": score.low, "_high": score.high, "_oracle": score.oracle}
            numbers |= {f"{name}{part}": value for part, value in every.items() if f"{name}{part}" in numbers}
        return numbers


def column_names() -> tuple[str, ...]:
    """Return what the numbers are called in files: a metric's name, with `_low`, `_high` and `_oracle` where it has them."""
    interval, oracle = ("_low", "_high"), ("_oracle",)
    return tuple(
        f"{metric.name}{part}"
        for metric in METRICS
        for part in ("", *(interval if metric.interval else ()), *(oracle if metric.has_oracle else ()))
    )


@dataclass(frozen=True, slots=True)
class Details:
    """What the pictures of a method are drawn from.

    Attributes:
        confusion: how often each label was taken for each, all seeds together; true ones down, answered ones across.
        reliability: confidence and share of right labels by bins, all seeds together; empty where no confidence is known.
    """

    confusion: tuple[tuple[int, ...], ...]
    reliability: tuple[calibration.Bin, ...]


def _each(compute: Callable[..., float], **settings: Any) -> Compute:
    """Return what computes the mean over the seeds of what `compute` has for one."""

    def mean(seeds: Sequence[Answers], truth: Truth) -> float:
        return fmean(compute(one, truth, **settings) for one in seeds)

    return mean


@dataclass(frozen=True, slots=True)
class Share:
    """A share of photos: `hits(answers, truth)` is (N,), 1 or 0 for each photo, NaN for one that does not count.

    It is None where the share cannot be judged.
    """

    hits: Callable[[Answers, Truth], NDArray[Any] | None]

    def of(self, seeds: Sequence[Answers], truth: Truth) -> float:
        """Return the share, mean over the seeds."""
        shares = [self._known_hits(one, truth) for one in seeds]
        return fmean(float(of.mean()) if len(of) else float("nan") for of in shares)

    def interval(self, value: float, seeds: Sequence[Answers], truth: Truth) -> tuple[float, float]:
        """Return the Wilson interval at the number of photos, or at what they are worth where some belong together."""
        hits = [self.hits(one, truth) for one in seeds]
        each = np.asarray(np.mean([of for of in hits if of is not None], axis=0, dtype=np.float64), np.float64)
        known = ~np.isnan(each)
        worth = truth.worth(each[known], known)
        return metrics.wilson(value * worth, worth)

    def _known_hits(self, answers: Answers, truth: Truth) -> NDArray[np.float64]:
        hits = self.hits(answers, truth)
        values = np.empty(0) if hits is None else np.asarray(hits, np.float64)
        return values[~np.isnan(values)]


def _shares(hits: Callable[..., NDArray[Any] | None], **settings: Any) -> dict[str, Any]:
    """Return `of` and `interval` of a metric that is a share of photos."""
    share = Share(partial(hits, **settings))
    return {"of": share.of, "interval": share.interval}


def _right(answers: Answers, truth: Truth) -> NDArray[Any]:
    return np.asarray(answers.labels == truth.labels)


def _unnamed(answers: Answers, truth: Truth) -> NDArray[Any] | None:
    """Return the right answers among photos in which nothing names them; None where nobody looked, or all or none do."""
    parts = truth.parts.get(NAMES_ANSWER)
    if parts is None:
        return None
    unnamed = np.array([part != "in the picture" for part in parts])
    return np.where(unnamed, _right(answers, truth), np.nan) if unnamed.any() and not unnamed.all() else None


def _right_at(answers: Answers, truth: Truth, *, level: str) -> NDArray[Any] | None:
    """Return which answers are right at a level above: the label there with the largest sum of probabilities."""
    ancestors = truth.ancestors.get(level)
    if ancestors is None or (ancestors == ancestors[0]).all():  # nothing else can be answered
        return None
    if answers.probabilities is None:
        answered = np.where(answers.labels < 0, metrics.WITHHELD, ancestors[answers.labels])
    else:
        sums = [answers.probabilities[:, ancestors == one].sum(axis=1) for one in range(int(ancestors.max()) + 1)]
        answered = np.stack(sums, axis=1)
    labels = ancestors[truth.labels]
    return np.asarray(metrics.checked_answers(answered, labels)[0] == labels)


def _in_top3(answers: Answers, truth: Truth) -> NDArray[Any] | None:
    if answers.probabilities is None:
        return None
    return metrics.in_top_k(answers.probabilities, truth.labels, min(3, len(truth.classes)))


def _within(answers: Answers, truth: Truth, *, radius: float) -> NDArray[Any] | None:
    return np.where(np.isnan(answers.km), np.nan, answers.km <= radius) if truth.located else None


def _macro_f1(answers: Answers, truth: Truth) -> float:
    return metrics.macro_f1(answers.labels, truth.labels)


def _ece(answers: Answers, truth: Truth) -> float:
    bins = _reliability([answers], truth)
    return calibration.mean_gap(bins) if bins else float("nan")


def _reliability(seeds: Sequence[Answers], truth: Truth) -> list[calibration.Bin]:
    confidence = np.concatenate([one.confidence for one in seeds])
    right = np.concatenate([one.labels == truth.labels for one in seeds])
    known = ~np.isnan(confidence)
    return calibration.reliability_of(confidence[known], right[known]) if known.any() else []


def _of_km(answers: Answers, _truth: Truth, *, of: Callable[[NDArray[Any]], float]) -> float:
    return of(answers.km)


def _median_km(seeds: Sequence[Answers], _truth: Truth) -> float:
    return metrics.median_km(np.concatenate([one.km for one in seeds]))


def _stated(
    seeds: Sequence[Answers], _truth: Truth, *, of: Callable[[Stated], NDArray[np.float64]], mean: Callable[..., Any]
) -> float:
    """Return the mean over the seeds of a mean over the photos with a place; NaN where a seed states no density."""
    values = [of(one.stated) for one in seeds if one.stated is not None]
    known = [value[~np.isnan(value)] for value in values]
    return fmean(float(mean(one)) for one in known) if len(values) == len(seeds) and len(known[0]) else float("nan")


def _logs(stated: Stated) -> NDArray[np.float64]:
    return stated.logs


def _area(stated: Stated, *, share: float) -> NDArray[np.float64]:
    return np.where(np.isnan(stated.logs), np.nan, stated.areas[share])


def _covered(answers: Answers, truth: Truth, *, share: float) -> NDArray[Any] | None:
    if answers.stated is None or not truth.located:
        return None
    return np.where(np.isnan(answers.stated.levels), np.nan, answers.stated.levels <= share)


def _recall(answers: Answers, truth: Truth, *, k: int, km: float) -> float:
    if truth.protocol != "place" or (k > 1 and answers.ranked_km.shape[1] == 1):
        return float("nan")
    located = ~np.isnan(truth.places).any(axis=1)
    nearest = np.fmin.reduce(answers.ranked_km[located, :k], axis=1, initial=np.inf)
    return metrics.share_within(nearest, km)


def _no_match(answers: Answers, truth: Truth) -> float:
    """Return the average precision of "nothing in the gallery shows this place", said first where the best is least alike.

    NaN where every query can be answered, or none.
    """
    if truth.protocol != "place" or answers.likeness is None or answers.best_km is None:
        return float("nan")
    located = ~np.isnan(truth.places).any(axis=1)
    absent = answers.best_km[located] > SAME_PLACE_KM
    if absent.all() or not absent.any():
        return float("nan")
    return metrics.average_precision(absent, -np.nan_to_num(answers.likeness[located], nan=-np.inf))


def _wilson_places(value: float, _seeds: Sequence[Answers], truth: Truth) -> tuple[float, float]:
    """Return Wilson's interval with as many trials as there are places: queries of one place stand or fall together."""
    located = np.flatnonzero(truth.queried >= 0)
    places = truth.worth(np.empty(0), located)
    return metrics.wilson(value * places, places) if places else (float("nan"), float("nan"))


def _median_interval(_value: float, seeds: Sequence[Answers], truth: Truth) -> tuple[float, float]:
    return metrics.median_interval(np.stack([one.km for one in seeds]), groups=truth.units)


METRICS: tuple[Metric, ...] = (
    Metric("accuracy", "Accuracy", "%", "higher", "labels", "right answers / photos", "", **_shares(_right)),
    Metric(
        name="accuracy_unnamed",
        title="Accuracy, no name",
        unit="%",
        better="higher",
        needs="labels",
        formula="right answers / photos in which the answer cannot be read",
        source="",
        **_shares(_unnamed),
    ),
    *(
        Metric(
            name=name,
            title=f"Right {level}",
            unit="%",
            better="higher",
            needs="labels",
            formula=f"right when the {level} with the largest sum of its labels' probabilities is the true one",
            source="",
            **_shares(_right_at, level=level),
        )
        for name, level in zip(ACCURACIES_ABOVE, LEVELS_ABOVE, strict=True)
    ),
    Metric(
        name="top3",
        title="Top 3",
        unit="%",
        better="higher",
        needs="labels",
        formula="true label among the 3 likeliest / photos",
        source="",
        **_shares(_in_top3),
    ),
    Metric(
        name="macro_f1",
        title="Macro F1",
        unit="%",
        better="higher",
        needs="labels",
        formula="mean over labels of 2 TP / (2 TP + FP + FN)",
        source="scikit-learn's f1_score(average='macro')",
        of=_each(_macro_f1),
    ),
    Metric(
        name="ece",
        title="ECE",
        unit="%",
        better="lower",
        needs="labels",
        formula="Σ over 15 bins: share of the answers · |share right - mean confidence|",
        source="Guo, Pleiss, Sun, Weinberger, ICML 2017",
        of=_each(_ece),
    ),
    *(
        Metric(
            name=f"within_{km}",
            title=f"≤ {km} km",
            unit="%",
            better="higher",
            needs="places",
            formula=f"answers at most {km} km off / photos with a place",
            source="Vo, Jacobs, Hays, ICCV 2017",
            **_shares(_within, radius=km),
        )
        for km in metrics.LEVELS_KM
    ),
    Metric(
        name="median_km",
        title="Median km",
        unit="km",
        better="lower",
        needs="places",
        formula="median distance over all seeds; a withheld answer is infinitely far off",
        source="interval: percentile bootstrap over photos, Efron, Tibshirani, 1993",
        of=_median_km,
        interval=_median_interval,
    ),
    Metric(
        name="mean_km",
        title="Mean km",
        unit="km",
        better="lower",
        needs="places",
        formula="mean distance; unknown where an answer was withheld",
        source="",
        of=_each(_of_km, of=metrics.mean_km),
    ),
    Metric(
        name="geoscore",
        title="GeoScore",
        unit="",
        better="higher",
        needs="places",
        formula="mean of 5000 exp(-km / 1492.7); a withheld answer has 0",
        source="Astruc et al., CVPR 2024",
        of=_each(_of_km, of=metrics.geoscore),
    ),
    Metric(
        name="log_score",
        title="Log score",
        unit="",
        better="higher",
        needs="density",
        formula="mean ln of the stated density per km² where the photo was taken, mixed with 1/1000 of an even one",
        source="Good, 1952; Gneiting, Raftery, JASA 102, 2007",
        of=partial(_stated, of=_logs, mean=np.mean),
    ),
    *(
        Metric(
            name=f"area{100 * share:.0f}_km2",
            title=f"{100 * share:.0f} % region, km²",
            unit="km²",
            better="lower",
            needs="density",
            formula=f"median area of the smallest region that holds {100 * share:.0f} % of the stated density",
            source="Hyndman, The American Statistician 50, 1996",
            of=partial(_stated, of=partial(_area, share=share), mean=np.median),
        )
        for share in REGION_SHARES
    ),
    *(
        Metric(
            name=f"coverage{100 * share:.0f}",
            title=f"In its {100 * share:.0f} % region",
            unit="%",
            better="",
            needs="density",
            formula=f"photos taken in that region / photos with a place; {100 * share:.0f} % is right",
            source="",
            **_shares(_covered, share=share),
        )
        for share in REGION_SHARES
    ),
    *(
        Metric(
            name=f"recall_{k}" + ("" if metres == RECALL_METRES[0] else f"_{metres}m"),
            title=f"Recall@{k}" + ("" if metres == RECALL_METRES[0] else f", {metres} m"),
            unit="%",
            better="higher",
            needs="ranking",
            formula=f"one of the first {k} ranked photos is at most {metres} m off / photos with a place",
            source="Torii et al., CVPR 2015; the interval is by place: queries within 25 m of each other are one trial",
            of=_each(_recall, k=k, km=metres / 1000),
            interval=_wilson_places,
        )
        for metres in RECALL_METRES
        for k in RECALLS
    ),
    Metric(
        name="no_match",
        title="No match",
        unit="%",
        better="higher",
        needs="ranking",
        formula="average precision of calling queries without a photo of the gallery within 25 m such, least alike first",
        source="scikit-learn's average_precision_score",
        of=_each(_no_match),
    ),
)
"""Every number of a leaderboard, in the order of its columns."""


def evaluate(predictions: Sequence[Predictions], truth: Truth) -> Scores:
    """Return what a method's predictions are worth: the only place where a number is made.

    Args:
        predictions: one a seed, of the photos of `truth` in its order.
        truth: what they are held against.

    Raises:
        ValueError: there are none, or they are not of these photos and labels.
    """
    return judged([answers_of(one, truth) for one in predictions], truth)


def judged(seeds: Sequence[Answers], truth: Truth) -> Scores:
    """Return what answers are worth, one a seed: `evaluate`, where what follows from predictions was derived before.

    Raises:
        ValueError: there are none.
    """
    if not seeds:
        raise ValueError("there are no predictions to judge")
    primary = "recall_1" if truth.protocol == "place" else "accuracy"
    scores = {one.name: _score(one, seeds, truth) for one in METRICS if one.name == primary or _in_question(one, truth)}
    right = np.stack(
        [one.first_km <= SAME_PLACE_KM if truth.protocol == "place" else one.labels == truth.labels for one in seeds]
    )
    known = truth.queried >= 0 if truth.protocol == "place" else np.ones(len(truth), bool)

    def parts(names: Sequence[str | None]) -> list[Slice]:
        return by_slice(right, [name if of else None for name, of in zip(names, known, strict=True)], truth.worth)

    return Scores(
        photos=len(truth),
        withheld=fmean(float((one.labels < 0).mean()) for one in seeds),
        values={name: score for name, score in scores.items() if score is not None},
        primary=primary,
        right=right,
        spread=stdev(right.mean(axis=1).tolist()) if len(seeds) > 1 else None,
        classes={of.name: of for of in parts([truth.classes[of] for of in truth.labels])},
        slices={kind: tuple(parts(names)) for kind, names in truth.parts.items()},
        units=truth.units,
    )


def _in_question(metric: Metric, truth: Truth) -> bool:
    """Return whether answers can differ in a metric: of one label all are right, and none is farther off than it is wide."""
    if len(truth.classes) > 1:
        return True
    wide = 2 * float(truth.label_set.radii_km[0])
    return metric.needs != "labels" and metric.name not in {f"within_{km}" for km in metrics.LEVELS_KM if km >= wide}


def _score(metric: Metric, seeds: Sequence[Answers], truth: Truth) -> Score | None:
    value = metric.of(seeds, truth)
    if not np.isfinite(value):
        return None
    low, high = metric.interval(value, seeds, truth) if metric.interval else (None, None)
    best = seeds[0].at_best if metric.has_oracle else None
    return Score(value, _finite(low), _finite(high), _finite(metric.of([best], truth) if best else None))


def _finite(number: float | None) -> float | None:
    return number if number is not None and np.isfinite(number) else None


def details_of(seeds: Sequence[Answers], truth: Truth) -> Details:
    """Return what the pictures of a method are drawn from."""
    answered = np.concatenate([one.labels for one in seeds])
    table = metrics.confusion(answered, np.tile(truth.labels, len(seeds)), len(truth.classes))
    return Details(tuple(tuple(map(int, line)) for line in table), tuple(_reliability(seeds, truth)))


def by_slice(right: NDArray[Any], names: Sequence[str | None], worth: Worth | None = None) -> list[Slice]:
    """Return the share of right answers on each named part of the photos, sorted by name; a photo without a name is in none.

    The interval is that of `metrics.wilson` at what the photos are worth, not photos times seeds: the seeds were judged on
    the same photos, so that more of them say nothing about other photos. One interval a slice, not corrected for their
    number: of 20 slices one is expected to lie outside by chance.

    Args:
        right: (S, N) booleans, one row a seed and one column a photo.
        names: of each photo's part, N of them.
        worth: how many trials the photos of a part are, as `Truth.worth`; None where each stands alone.

    Raises:
        ValueError: the shapes do not fit, or there is no seed.
    """
    answers = np.asarray(right, bool)
    if answers.ndim != 2 or len(answers) == 0 or answers.shape[1] != len(names):
        raise ValueError(
            f"answers have shape {answers.shape}: must be (seeds, photos) with a name for each of {len(names)} photos"
        )
    columns: dict[str, list[int]] = {}
    for column, name in enumerate(names):
        if name is not None:
            columns.setdefault(name, []).append(column)
    slices = []
    for name, mine in sorted(columns.items()):
        accuracy = float(answers[:, mine].mean())
        trials = worth(answers[:, mine].mean(axis=0), np.array(mine)) if worth else len(mine)
        slices.append(Slice(name, len(mine), accuracy, *metrics.wilson(accuracy * trials, trials)))
    return slices
