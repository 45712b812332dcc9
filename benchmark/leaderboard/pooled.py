"""One board of all folds of a cross-validation: each photo's one test prediction, judged together.

A few hundred test photos of one split cannot tell most methods apart; all photos of a `t15 split --kfold` can. Every fold's
predictions are judged against that fold's truth (its gallery is its own), and what follows is pooled. Photos that the folds
keep together are no independent witnesses: intervals count them as what they are worth (`metrics.worth`), bootstraps draw
whole groups, and in paired tests a group has one sign. What is said of attributes and of maps is asked by each fold's own
thresholds and cells: of these scores the means over the folds are shown, weighed by their photos.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import TypeVar

import numpy as np

from benchmark import results
from benchmark.label_set import left_out
from benchmark.leaderboard.attributes import AttributeRow, attribute_rows
from benchmark.leaderboard.cross_view import MapRow, map_rows
from benchmark.leaderboard.rows import (
    PAPERS_REGION,
    SECTIONS,
    CityRow,
    FailedRow,
    Leaderboard,
    Own,
    Pooled,
    Row,
    best_of,
)
from benchmark.leaderboard.table import (
    aligned,
    check_runs,
    cities_of,
    data_set_facts,
    failed_rows,
    group_of,
    power_of,
    ranked,
    row_of,
    section_of,
    worth_of,
)
from benchmark.results import Run
from benchmark.scoring.answers import Answers, answers_of, pooled_answers
from benchmark.scoring.evaluation import details_of, judged
from benchmark.scoring.significance import bootstrap
from benchmark.scoring.truth import Truth, pooled
from collector.errors import UsageError
from collector.manifest.header import Header
from collector.manifest.manifest import Manifest

_FOLD = re.compile(r"(.+)-fold-(\d+)-of-(\d+)")

Runs = Mapping[int, Run]
"""The runs of one row on one fold, by seed."""


def are_folds(manifests: Sequence[Manifest]) -> bool:
    """Return whether manifests are all folds of one `t15 split --kfold`."""
    rules = [manifest.header.rules for manifest in manifests]
    counts = {rule.get("folds") for rule in rules if rule.get("mode") == "kfold"}
    return counts == {len(manifests)} and {rule.get("fold") for rule in rules} == set(range(1, len(manifests) + 1))


def require_folds(manifests: Sequence[Manifest], asked: str) -> None:
    """Make sure that manifests are all folds of one data set.

    Raises:
        UsageError: they are not; the message says what is there.
    """
    if not are_folds(manifests):
        names = ", ".join(f"{one.header.name} {one.header.version}" for one in manifests[:6])
        raise UsageError(
            f"--manifest {asked[:80]}: {names}: not the whole of one `t15 split --kfold`; name all its folds and no others"
        )


def whole_of(folds: Sequence[Manifest]) -> Header:
    """Return the header of what manifests are folds of, under its own name; of one manifest its own."""
    header = folds[0].header
    match = _FOLD.fullmatch(header.name) if len(folds) > 1 else None
    return replace(header, name=match[1]) if match else header


def pooled_board(
    manifests: Sequence[Manifest], runs_dir: Path, named: str | None = None, level: str = "city"
) -> Leaderboard:
    """Return the board of all folds together. A method has a row when it ran on every fold, with the seeds that all have.

    Args:
        manifests: all folds of a data set.
        runs_dir: the workspace's runs.
        named: what `--manifest` is given for them; by default the pattern of their names.
        level: of the labels.

    Raises:
        UsageError: they are no folds of one data set, or have no labels of that level.
        DataError: a run does not fit its manifest, or a photo is tested twice.
    """
    folds = sorted(manifests, key=lambda manifest: int(manifest.header.rules.get("fold", 0)))
    require_folds(folds, named or folds[0].header.name)
    truths = [Truth.of(manifest, level=level) for manifest in folds]
    truth, header = pooled(list(zip(folds, truths, strict=True))), whole_of(folds)
    where = PurePath(named or f"{header.name}-fold-*-of-{len(folds)}")
    rows, answers, incomplete = _rows(truth, truths, runs_dir, folds, where, header.region == PAPERS_REGION)
    best = best_of(rows)
    sections = {of: [row for row in rows if row.section == of] for of in SECTIONS}
    worth = {of: worth_of(some, len(truth), truth.units) for of, some in sections.items()}
    sizes = Counter(truth.groups.tolist() if truth.groups is not None else ())
    return Leaderboard(
        **data_set_facts(header, truth),
        name=header.name,
        digest=hashlib.sha256("".join(manifest.digest for manifest in folds).encode()).hexdigest(),
        cities=_cities(folds, level),
        left_out={"test": sum(left_out(manifest, level)["test"] for manifest in folds)},
        answerable={},
        rows=tuple(rows),
        details=details_of(answers[best.runs], truth) if best else None,
        worth=worth,
        power={of: power_of(some, worth[of]) for of, some in sections.items()},
        attributes=over_folds(
            [
                attribute_rows(manifest, one, runs_dir, _runs(runs_dir, manifest, level), section_of)
                for manifest, one in zip(folds, truths, strict=True)
            ],
            AttributeRow.over_folds,
        ),
        maps=over_folds(
            [
                map_rows(one, runs_dir, _runs(runs_dir, manifest, level), section_of)
                for manifest, one in zip(folds, truths, strict=True)
            ],
            MapRow.over_folds,
        ),
        failed=tuple(incomplete + _failed(runs_dir, folds, level)),
        pooled=Pooled(
            tuple(f"{manifest.header.name} {manifest.header.version}" for manifest in folds),
            len(sizes),
            max(sizes.values(), default=0),
        ),
    )


def _rows(
    truth: Truth,
    truths: Sequence[Truth],
    runs_dir: Path,
    folds: Sequence[Manifest],
    where: PurePath,
    papers_region: bool,
) -> tuple[list[Row], dict[tuple[str, ...], list[Answers]], list[FailedRow]]:
    """Return the rows in their order, the answers behind each by its runs, and methods that lack a fold."""
    level = truth.label_set.level
    of_fold = [_by_row(runs_dir, manifest, level) for manifest in folds]
    reads, papers_task = results.test_reads(runs_dir), papers_region and level == "city"
    rows, answers, incomplete = [], {}, []
    for key in dict.fromkeys(key for fold in of_fold for key in fold):
        runs = [fold.get(key, {}) for fold in of_fold]
        seeds = sorted(set.intersection(*(set(of) for of in runs)))
        if not seeds:
            incomplete.append(_incomplete(runs))
            continue
        answered, row = _row(truth, truths, runs_dir, runs, seeds, where, reads, papers_task)
        rows.append(row)
        answers[row.runs] = answered
    in_order = [row for of in SECTIONS for row in ranked([row for row in rows if row.section == of])]
    return in_order, answers, incomplete


def _by_row(runs_dir: Path, manifest: Manifest, level: str) -> dict[tuple[str, ...], dict[int, Run]]:
    rows: dict[tuple[str, ...], list[Run]] = defaultdict(list)
    for run in results.finished_runs(runs_dir, manifest.digest):
        if run.inputs.level == level and not run.inputs.shots:
            rows[group_of(run)].append(run)
    for runs in rows.values():
        check_runs(runs_dir, runs[0], [run.inputs.seed for run in runs])
    return {key: {run.inputs.seed: run for run in runs} for key, runs in rows.items()}


def _row(
    truth: Truth,
    truths: Sequence[Truth],
    runs_dir: Path,
    folds: Sequence[Runs],
    seeds: Sequence[int],
    where: PurePath,
    reads: Mapping[str, int],
    papers_task: bool,
) -> tuple[list[Answers], Row]:
    def answers(own: bool) -> list[Answers]:
        return [
            pooled_answers(
                [
                    answers_of(aligned(one, runs_dir, runs[seed], own=own), one)
                    for one, runs in zip(truths, folds, strict=True)
                ]
            )
            for seed in seeds
        ]

    every = [runs[seed] for seed in seeds for runs in folds]
    without = answers(own=False)
    scores = judged(without, truth)
    owning = [[runs[seed].own for runs in folds] for seed in seeds]
    own = None
    if all(photos is not None for of in owning for photos in of):
        most = max(sum(photos or 0 for photos in of) for of in owning)
        with_own = judged(answers(own=True), truth) if most else scores
        own = Own(most, with_own, bootstrap(with_own.right, scores.right, units=scores.units))
    return without, row_of(truth, scores, own, every, tuple(seeds), where, reads, papers_task)


T = TypeVar("T", AttributeRow, MapRow)


def over_folds(folds: Sequence[Sequence[T]], mean: Callable[[Sequence[T]], T]) -> tuple[T, ...]:
    """Return the mean of each row that all folds have, in the first fold's order."""
    of_fold = [{row.key: row for row in rows} for rows in folds]
    return tuple(mean([rows[key] for rows in of_fold]) for key in of_fold[0] if all(key in rows for rows in of_fold))


def _runs(runs_dir: Path, manifest: Manifest, level: str) -> list[list[Run]]:
    return [list(of.values()) for of in _by_row(runs_dir, manifest, level).values()]


def _incomplete(folds: Sequence[Runs]) -> FailedRow:
    lacking = [str(number) for number, runs in enumerate(folds, start=1) if not runs]
    known = next(run for runs in folds for run in runs.values())
    what = f"not run on fold {', '.join(lacking)}" if lacking else "no seed that every fold has"
    reason = f"{what}; `t15 bench` on all folds makes it whole"
    return FailedRow(known.inputs.method, known.title, known.inputs.seed, reason, "incomplete")


def _failed(runs_dir: Path, folds: Sequence[Manifest], level: str) -> list[FailedRow]:
    return [
        replace(failed, reason=f"fold {number}: {failed.reason}")
        for number, manifest in enumerate(folds, start=1)
        for failed in failed_rows(runs_dir, manifest, level)
    ]


def _cities(folds: Sequence[Manifest], level: str) -> tuple[CityRow, ...]:
    """Return the cities with their training and validation photos on average, and all their test photos."""
    every = [cities_of(manifest, level) for manifest in folds]
    return tuple(
        replace(
            cities[0],
            train=round(float(np.mean([city.train for city in cities]))),
            val=round(float(np.mean([city.val for city in cities]))),
            test=sum(city.test for city in cities),
        )
        for cities in zip(*every, strict=True)
    )
