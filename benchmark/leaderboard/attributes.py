"""What methods say of places (`benchmark.attributes`), as a board shows it beside the baselines."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.attributes import FILE, AttributeAnswers, surroundings
from benchmark.results import Run
from benchmark.scoring.attributes import AttributeScore, attribute_scores
from benchmark.scoring.truth import Truth
from collector.errors import DataError
from collector.manifest.manifest import Manifest
from collector.text_table import printable


@dataclass(frozen=True, slots=True)
class AttributeRow:
    """A method's score on one question."""

    method: str
    title: str
    section: str
    score: AttributeScore

    @property
    def key(self) -> tuple[object, ...]:
        """What rows of several folds have in common."""
        return self.section, self.method, self.title, self.score.question, self.score.held_out

    @staticmethod
    def over_folds(rows: "Sequence[AttributeRow]") -> "AttributeRow":
        """Return the mean of the rows of several folds, weighed by their photos, without folds that cannot tell."""
        scores = [row.score for row in rows]
        means: dict[str, Any] = {
            name: weighted([getattr(of, name) for of in scores], [of.photos for of in scores])
            for name in ("accuracy", "auc", "majority", "city_accuracy", "city_auc")
        }
        return replace(rows[0], score=replace(scores[0], photos=sum(of.photos for of in scores), **means))


def weighted(values: Sequence[float | None], weights: Sequence[int]) -> float | None:
    """Return the weighted mean of those that are known; None of none."""
    known = [(value, weight) for value, weight in zip(values, weights, strict=True) if value is not None and weight]
    return sum(value * weight for value, weight in known) / sum(weight for _, weight in known) if known else None


NOTE = (
    "Balanced accuracy and AUC in per cent, on the test photos that a question is about; thresholds come from training. "
    "“By the city” names the city from the same vectors and answers with the city's own mix: a method that is not better "
    "knows cities, not places. Photos of cities that training does not have are apart: there the city cannot help."
)


def attribute_rows(
    manifest: Manifest,
    truth: Truth,
    runs_dir: Path,
    groups: Iterable[Sequence[Run]],
    section_of: Callable[[Run], str],
) -> tuple[AttributeRow, ...]:
    """Return the scores of all methods that answer such questions; of none where nothing lies beside the manifest.

    Args:
        manifest: whose tables are the truth.
        truth: its test photos.
        runs_dir: the workspace's runs.
        groups: the runs of a row each.
        section_of: tells the part of the board.

    Raises:
        DataError: a file is damaged, or of other photos.
    """
    with_answers = [runs for runs in groups if all((runs_dir / run.inputs.identity / FILE).is_file() for run in runs)]
    known = surroundings(manifest) if with_answers else None
    if known is None:
        return ()
    values = known.of(truth.photo_ids)
    never = ~np.isin(truth.labels, truth.gallery.labels)
    rows = []
    for runs in with_answers:
        seeds = [_read(runs_dir / run.inputs.identity / FILE, truth.photo_ids) for run in runs]
        scores = attribute_scores(seeds, values, never if never.any() else None)
        first = runs[0]
        rows += [
            AttributeRow(_line(first.inputs.method), _line(first.title), section_of(first), score) for score in scores
        ]
    return tuple(sorted(rows, key=lambda of: (of.section, of.method, of.score.question, bool(of.score.held_out))))


def _read(path: Path, photo_ids: Sequence[str]) -> AttributeAnswers:
    answers = AttributeAnswers.of_bytes(path.read_bytes(), str(path))
    if list(answers.photo_ids) != list(photo_ids):
        raise DataError(f"{path}: is of other photos; delete its folder and run `t15 bench` again")
    return answers


def _line(text: str) -> str:
    return " ".join(printable(text).split())


HEADER = (
    *(
        "method",
        "question",
        "cities",
        "photos",
        "chance %",
        "accuracy %",
        "by the city %",
        "AUC %",
        "AUC by the city %",
    ),
)


def lines(rows: Sequence[AttributeRow]) -> list[list[str]]:
    """Return the lines of a table, under HEADER."""
    parts = {None: "all", False: "trained", True: "held out"}
    return [
        [
            row.title,
            row.score.question,
            parts[row.score.held_out],
            str(row.score.photos),
            f"{100 / row.score.classes:.1f}",
            *(
                "–" if of is None else f"{100 * of:.1f}"
                for of in (row.score.accuracy, row.score.city_accuracy, row.score.auc, row.score.city_auc)
            ),
        ]
        for row in rows
    ]
