"""What a method's answers about places are worth: balanced accuracy and AUC, beside two baselines that have to be beaten.

The commonest class of training has a balanced accuracy of 1 / K and an AUC of one half. The other names the city from the
same vectors and answers with the city's own mix: where test photos are of trained cities an attribute is a function of
the city, and a method that is not better than this knows cities, not places. On cities held out of training it cannot know.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from benchmark.attributes import AttributeAnswers


@dataclass(frozen=True, slots=True)
class AttributeScore:
    """One question's scores on the test photos that it is asked about, means over seeds; None where one class is there alone.

    Attributes:
        question: its name.
        classes: how many answers it has; chance is one of them.
        photos: test photos with an answer.
        accuracy, auc: balanced accuracy, and area under the ROC curve (of several classes: mean of one against the rest).
        majority: balanced accuracy of the commonest class of training.
        city_accuracy, city_auc: of the way by the city.
        held_out: whether these are the photos of cities that training does not have; None where all are trained.
    """

    question: str
    classes: int
    photos: int
    accuracy: float | None
    auc: float | None
    majority: float | None
    city_accuracy: float | None
    city_auc: float | None
    held_out: bool | None = None


def balanced_accuracy(answers: NDArray[np.int64], truth: NDArray[np.int64]) -> float | None:
    """Return the mean over the classes that are there of the share of right answers; None of fewer than two classes."""
    there = np.unique(truth)
    if len(there) < 2:
        return None
    return float(np.mean([(answers[truth == code] == code).mean() for code in there]))


def auc(scores: NDArray[np.floating[Any]], positive: NDArray[np.bool_]) -> float | None:
    """Return how likely a positive has a higher score than a negative, ties as a half (Mann, Whitney); None of one kind."""
    many, few = int(positive.sum()), int((~positive).sum())
    if not many or not few:
        return None
    ranks = rankdata(scores)
    return float((ranks[positive].sum() - many * (many + 1) / 2) / (many * few))


def mean_auc(probabilities: NDArray[np.floating[Any]], truth: NDArray[np.int64]) -> float | None:
    """Return the AUC of the second of two classes, or the mean of each class against the rest; None of fewer than two."""
    classes = [1] if probabilities.shape[1] == 2 else range(probabilities.shape[1])
    found = [auc(probabilities[:, code], truth == code) for code in classes]
    known = [of for of in found if of is not None]
    return float(np.mean(known)) if known else None


def attribute_scores(
    seeds: Sequence[AttributeAnswers],
    values: Mapping[str, NDArray[Any]],
    held_out: NDArray[np.bool_] | None = None,
) -> list[AttributeScore]:
    """Return the scores of each question.

    Args:
        seeds: one run's answers each, of the same photos and questions.
        values: of the layers, a row for each photo.
        held_out: (N,) of which photos training does not have the city; scored apart. None: of none.
    """
    scores = []
    for number, question in enumerate(seeds[0].questions):
        if question.layer not in values:
            continue
        truth = question.codes(values[question.layer])
        for part in (None,) if held_out is None else (False, True):
            rows = np.flatnonzero((truth >= 0) & (True if part is None else held_out == part))
            if len(rows):
                scores.append(_scored(seeds, number, rows, truth[rows], part))
    return scores


def _scored(
    seeds: Sequence[AttributeAnswers],
    number: int,
    rows: NDArray[np.int64],
    truth: NDArray[np.int64],
    part: bool | None,
) -> AttributeScore:
    question = seeds[0].questions[number]
    own = [one.probabilities[number][rows] for one in seeds]
    via = [one.via_city[number][rows] for one in seeds]
    common = np.full(len(rows), seeds[0].majority[number])
    return AttributeScore(
        question.name,
        len(question.classes),
        len(rows),
        _mean([balanced_accuracy(of.argmax(axis=1), truth) for of in own]),
        _mean([mean_auc(of, truth) for of in own]),
        balanced_accuracy(common, truth),
        _mean([balanced_accuracy(of.argmax(axis=1), truth) for of in via]),
        _mean([mean_auc(of, truth) for of in via]),
        part,
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
