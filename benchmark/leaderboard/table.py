"""The leaderboard: what every method scored on a manifest's test photos, computed from saved predictions alone."""

import json
import math
import shlex
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from statistics import fmean, stdev
from typing import Any

import numpy as np

from benchmark import results
from benchmark.results import Run, test_reads
from benchmark.scoring import metrics
from collector.console import DEFAULT_MANIFESTS, printable
from collector.errors import DataError
from collector.publishing.manifest import Manifest

PAPER_NOTE = (
    "The paper's numbers (Özköse, Yılıkoğlu, Karacan and Erdem, SIU 2018, Tables I and II) were measured on another "
    "data set, the Türkiye15 of 2018, whose photos are not these: they are shown for orientation and cannot be compared."
)
TIED_NOTE = (
    "≈: the 95 % interval holds the best method's accuracy, so these photos hardly tell the two apart. A rough guide, "
    "no test: both were judged on the same photos, which only a paired test takes into account."
)
TIERS = {
    "paper": "Full runs (tier paper)",
    "smoke": "Smoke runs (tier smoke): shortened, they reproduce nothing",
}
"""The tiers in the order in which they are shown; rows of two tiers are never ranked together."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one method, with one set of parameters, scored on the test photos.

    Attributes:
        rank: place within its tier, from 1; equal accuracies share one.
        method, title: what `t15 bench --method` and what a reader calls it.
        variant: the parameters by which it differs from other rows of the same method and tier; else empty.
        tier: `paper` or `smoke`.
        parameters: the method's parameters, all of them.
        weights_digest: sha256 of the pre-trained weights, None without.
        seeds: of the runs that were averaged, ascending.
        stochastic: whether other seeds would give another result.
        accuracy: mean over the seeds, 0 to 1, as are the other scores.
        low, high: Wilson 95 % interval of `accuracy` at n = number of test photos. Not n times seeds: the seeds are
            judged on the same photos, so that more seeds say nothing about other photos.
        spread: sample standard deviation of the accuracy over the seeds, None for a single seed.
        top3: share of photos whose city is among the three most probable (among all, with fewer cities).
        macro_f1: mean F1 of the cities; mean over the seeds.
        per_city: accuracy by city slug, mean over the seeds, cities without test photos left out.
        tied_with_best: the interval contains the accuracy of the tier's best row. A rough guide until paired tests say
            more; true of the best row itself.
        paper_table, paper_row, paper_accuracy: what the 2018 paper has (a fraction), None where it has nothing.
        pretraining, weights_licence, selection: as the method says.
        seconds: wall clock of one run's fit and predict, mean over the seeds.
        peak_memory_mib: highest over the seeds.
        device: what it ran on; several are separated by `; `.
        command: the shell command that makes these runs.
        runs: identities of the runs, in the order of `seeds`.
        test_reads: how often the test photos were read for these runs, repeated ones counted each time; 0 when they were
            made elsewhere.
    """

    rank: int
    method: str
    title: str
    variant: str
    tier: str
    parameters: Mapping[str, Any]
    weights_digest: str | None
    seeds: tuple[int, ...]
    stochastic: bool
    accuracy: float
    low: float
    high: float
    spread: float | None
    top3: float
    macro_f1: float
    per_city: Mapping[str, float]
    tied_with_best: bool
    paper_table: str | None
    paper_row: str | None
    paper_accuracy: float | None
    pretraining: str
    weights_licence: str
    selection: str
    seconds: float
    peak_memory_mib: float
    device: str
    command: str
    runs: tuple[str, ...]
    test_reads: int


@dataclass(frozen=True, slots=True)
class FailedRow:
    """A run that did not finish, and why."""

    method: str
    title: str
    seed: int
    reason: str


@dataclass(frozen=True, slots=True)
class CityRow:
    """A city and how many photos of it are on each side of the split."""

    slug: str
    name: str
    train: int
    val: int
    test: int


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """All rows of one manifest.

    Attributes:
        name, version, digest: of the manifest.
        region: what people call the region that the cities come from.
        note: what every reader of the data set has to know; may be empty.
        cities: the classes, in the manifest's order.
        test_photos: their number, the n of every interval.
        chance_uniform: accuracy of guessing each city equally often, 1 / number of cities.
        chance_largest: accuracy of always naming the city with the most test photos.
        rows: by tier, then accuracy (best first), then method.
        failed: the runs that did not finish, by method and seed.
    """

    name: str
    version: str
    digest: str
    region: str
    note: str
    cities: tuple[CityRow, ...]
    test_photos: int
    chance_uniform: float
    chance_largest: float
    rows: tuple[Row, ...]
    failed: tuple[FailedRow, ...]

    def warnings(self) -> list[str]:
        """Return what has to be read before any number: the manifest's note, such as that its pictures are drawn."""
        return [self.note] if self.note else []

    def tiers(self) -> dict[str, list[Row]]:
        """Return the rows by tier, in the order of TIERS; tiers without rows are left out."""
        by_tier = {tier: [row for row in self.rows if row.tier == tier] for tier in TIERS}
        return {tier: rows for tier, rows in by_tier.items() if rows}


@dataclass(frozen=True, slots=True)
class _Scores:
    accuracy: float
    top3: float
    macro_f1: float
    per_city: dict[str, float]


def leaderboard(manifest: Manifest, runs_dir: Path, folder: PurePath | None = None) -> Leaderboard:
    """Return the leaderboard of `manifest` from the finished and failed runs in `runs_dir`.

    Args:
        manifest: what the runs learnt from; its test photos are the truth.
        runs_dir: the workspace's runs; runs on other manifests are passed over.
        folder: the manifest's folder as the commands name it, by default `manifests/NAME/VERSION`.

    Raises:
        DataError: the manifest has no test photos, or a run does not fit it; the message names the run's folder.
    """
    truth = {photo.photo_id: photo.city for photo in manifest.photos("test")}
    header = manifest.header
    if not truth:
        raise DataError(f"manifest {header.name} {header.version}: has no test photos to judge a method by")
    where = folder or DEFAULT_MANIFESTS / header.name / header.version
    groups: dict[tuple[str, ...], list[Run]] = defaultdict(list)
    for run in results.finished_runs(runs_dir, manifest.digest):
        groups[_group(run)].append(run)
    reads = test_reads(runs_dir)
    rows = [_row(truth, runs_dir, runs, where, reads) for runs in groups.values()]
    return Leaderboard(
        name=header.name,
        version=header.version,
        digest=manifest.digest,
        region=_line(header.title or header.region),
        note=_line(header.note),
        cities=_cities(manifest),
        test_photos=len(truth),
        chance_uniform=1 / len(header.cities),
        chance_largest=max(Counter(truth.values()).values()) / len(truth),
        rows=tuple(row for tier in TIERS for row in _ranked([row for row in rows if row.tier == tier])),
        failed=tuple(
            FailedRow(_line(failure.inputs.method), _line(failure.title), failure.inputs.seed, _line(failure.reason))
            for failure in results.failures(runs_dir, manifest.digest)
        ),
    )


def _cities(manifest: Manifest) -> tuple[CityRow, ...]:
    counts = manifest.counts()
    return tuple(CityRow(city.slug, _line(city.name), **counts[city.slug]) for city in manifest.header.cities)


def _group(run: Run) -> tuple[str, ...]:
    # Runs of one method on other weights are no repetitions of each other, though the parameters may be the same.
    parameters = json.dumps(run.inputs.parameters, sort_keys=True)
    return run.inputs.method, run.tier, parameters, run.inputs.weights_digest or ""


def _row(
    truth: Mapping[str, str], runs_dir: Path, unordered: Sequence[Run], folder: PurePath, reads: Mapping[str, int]
) -> Row:
    runs = sorted(unordered, key=lambda run: run.inputs.seed)
    first, seeds = runs[0], tuple(run.inputs.seed for run in runs)
    where = runs_dir / first.inputs.identity
    if len(set(seeds)) < len(seeds):
        raise DataError(f"{where}: is in {runs_dir} more than once; delete the folders that are not named by their run")
    if first.tier not in TIERS:
        raise DataError(
            f"{where / 'run.json'}: has tier {first.tier!r}, known are {', '.join(TIERS)}; delete its folder"
        )
    scores = [_judge(truth, runs_dir, run) for run in runs]
    accuracy = fmean(one.accuracy for one in scores)
    low, high = metrics.wilson(accuracy * len(truth), len(truth))
    paper = first.paper or {}
    return Row(
        rank=0,
        method=_line(first.inputs.method),
        title=_line(first.title),
        variant="",
        tier=first.tier,
        parameters=dict(first.inputs.parameters),
        weights_digest=first.inputs.weights_digest,
        seeds=seeds,
        stochastic=first.stochastic,
        accuracy=accuracy,
        low=low,
        high=high,
        spread=stdev(one.accuracy for one in scores) if len(scores) > 1 else None,
        top3=fmean(one.top3 for one in scores),
        macro_f1=fmean(one.macro_f1 for one in scores),
        per_city={city: fmean(one.per_city[city] for one in scores) for city in scores[0].per_city},
        tied_with_best=False,
        paper_table=_line(paper["table"]) if paper else None,
        paper_row=_line(paper["row"]) if paper else None,
        paper_accuracy=paper["accuracy"] / 100 if paper else None,
        pretraining=_line(first.pretraining),
        weights_licence=_line(first.weights_licence),
        selection=_line(first.selection),
        seconds=fmean(run.seconds["fit"] + run.seconds["predict"] for run in runs),
        peak_memory_mib=max(run.peak_memory_mib for run in runs),
        device="; ".join(sorted({_line(run.device) for run in runs})),
        command=_command(folder, first, seeds),
        runs=tuple(run.inputs.identity for run in runs),
        test_reads=sum(reads[run.inputs.identity] for run in runs),
    )


def _judge(truth: Mapping[str, str], runs_dir: Path, run: Run) -> _Scores:
    folder = runs_dir / run.inputs.identity
    unknown = sorted(set(truth.values()) - set(run.classes))
    if unknown:
        raise DataError(f"{folder}: predicts nothing for {unknown[0]}; delete the folder and run `t15 bench` again")
    predictions = results.read_predictions(runs_dir, run)
    counted = Counter(predictions.photo_ids)
    missing = len(truth.keys() - counted.keys())
    foreign = sum(times for photo_id, times in counted.items() if photo_id not in truth)
    repeated = len(predictions.photo_ids) - len(counted.keys() & truth.keys()) - foreign
    if missing or foreign or repeated:
        raise DataError(
            f"{folder}: its photos are not the manifest's {len(truth)} test photos: {missing} missing, {foreign} foreign, "
            f"{repeated} repeated; delete the folder and run `t15 bench` again"
        )
    column = {slug: index for index, slug in enumerate(run.classes)}
    labels = np.array([column[truth[photo_id]] for photo_id in predictions.photo_ids])
    by_city = metrics.accuracy_per_class(predictions.probabilities, labels)
    return _Scores(
        accuracy=metrics.accuracy(predictions.probabilities, labels),
        top3=metrics.top_k_accuracy(predictions.probabilities, labels, min(3, len(run.classes))),
        macro_f1=metrics.macro_f1(predictions.probabilities, labels),
        per_city={slug: float(of) for slug, of in zip(run.classes, by_city, strict=True) if not math.isnan(of)},
    )


def _ranked(rows: Sequence[Row]) -> list[Row]:
    ordered = sorted(rows, key=lambda row: (-row.accuracy, row.method, row.runs))
    settings: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in ordered:
        settings[row.method].append(_settings(row))
    return [
        replace(
            row,
            rank=1 + sum(other.accuracy > row.accuracy for other in ordered),
            variant=_variant(_settings(row), settings[row.method]),
            tied_with_best=row.low <= ordered[0].accuracy <= row.high,
        )
        for row in ordered
    ]


def _settings(row: Row) -> dict[str, Any]:
    return {**row.parameters, "weights digest": (row.weights_digest or "none")[:12]}


def _variant(mine: Mapping[str, Any], all_of_method: Sequence[Mapping[str, Any]]) -> str:
    names = sorted({name for settings in all_of_method for name in settings})
    differing = [name for name in names if any(other.get(name) != mine.get(name) for other in all_of_method)]
    return ", ".join(_line(f"{name}={mine.get(name, 'unset')}") for name in differing)


def _command(folder: PurePath, run: Run, seeds: Sequence[int]) -> str:
    seed_list = ",".join(str(seed) for seed in seeds)
    words = ["--manifest", str(folder), "--method", run.inputs.method, "--seeds", seed_list, "--tier", run.tier]
    return printable(shlex.join(["t15", "bench", *words]))


def _line(text: str) -> str:
    """Return one printable line: titles and reasons come from other people's programs and may carry control characters."""
    return printable(" ".join(text.split()))
