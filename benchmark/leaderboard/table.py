"""The leaderboard: what every method scored on a manifest's test photos, computed from saved predictions alone."""

import json
import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from statistics import fmean, stdev
from typing import Any

import numpy as np

from benchmark import results
from benchmark.leaderboard.agreement import paper_verdict
from benchmark.leaderboard.rows import SECTIONS, TIERS, CityRow, FailedRow, Leaderboard, Row
from benchmark.results import Run
from benchmark.scoring.evaluation import Judged, Truth, closer_look, judge, truth_of
from benchmark.scoring.metrics import wilson
from benchmark.scoring.significance import Difference, bootstrap, indistinguishable_groups, rank_ranges
from collector.errors import DataError
from collector.manifest.manifest import Manifest
from collector.text_table import printable
from collector.workspace import DEFAULT_MANIFESTS

Scored = tuple[Row, Judged]

_USUAL_ENGINE = "fast"  # what `t15 bench` takes without --engine


def leaderboard(manifest: Manifest, runs_dir: Path, folder: PurePath | None = None) -> Leaderboard:
    """Return the leaderboard of `manifest` from the finished and failed runs in `runs_dir`.

    Args:
        manifest: what the runs learnt from; its test photos are the truth.
        runs_dir: the workspace's runs; runs on other manifests are passed over.
        folder: the manifest's folder as the commands name it, by default `manifests/NAME/VERSION`.

    Raises:
        DataError: the manifest has no test photos, or a run does not fit it; the message names the run's folder.
    """
    truth, header = truth_of(manifest), manifest.header
    where = folder or DEFAULT_MANIFESTS / header.name / header.version
    groups: dict[tuple[str, ...], list[Run]] = defaultdict(list)
    for run in results.finished_runs(runs_dir, manifest.digest):
        groups[_group(run)].append(run)
    reads = results.test_reads(runs_dir)
    scored = [_scored(truth, runs_dir, runs, where, reads) for runs in groups.values()]
    rows = [row for section in SECTIONS for row in _ranked([one for one in scored if one[0].section == section])]
    best = next((runs for runs in groups.values() if rows and runs[0].inputs.identity in rows[0].runs), None)
    return Leaderboard(
        name=header.name,
        version=header.version,
        digest=manifest.digest,
        region=_line(header.title or header.region),
        note=_line(header.note),
        cities=_cities(manifest),
        test_photos=len(truth.photo_ids),
        located_photos=int((~np.isnan(truth.places).any(axis=1)).sum()),
        chance_uniform=1 / len(header.cities),
        chance_largest=float(np.bincount(truth.labels).max() / len(truth.labels)),
        rows=tuple(rows),
        closer=closer_look(truth, runs_dir, best) if best else None,
        failed=tuple(
            FailedRow(_line(of.inputs.method), _line(of.title), of.inputs.seed, _line(of.reason), _line(of.kind))
            for of in results.failures(runs_dir, manifest.digest)
        ),
    )


def _cities(manifest: Manifest) -> tuple[CityRow, ...]:
    counts = manifest.counts()
    return tuple(
        CityRow(city.slug, _line(city.name), city.latitude, city.longitude, city.code, **counts[city.slug])
        for city in manifest.header.cities
    )


def _group(run: Run) -> tuple[str, ...]:
    # Runs of one method on other weights are no repetitions of each other, though the parameters may be the same.
    parameters = json.dumps(run.inputs.parameters, sort_keys=True)
    return run.inputs.method, run.tier, run.origin, run.weights, parameters, run.inputs.weights_digest or ""


def _scored(
    truth: Truth, runs_dir: Path, unordered: Sequence[Run], folder: PurePath, reads: Mapping[str, int]
) -> Scored:
    """Return the row of one method's runs, without its place among others, and what it was judged by."""
    runs = sorted(unordered, key=lambda run: run.inputs.seed)
    first, seeds = runs[0], tuple(run.inputs.seed for run in runs)
    _check_runs(runs_dir, first, seeds)
    judged = judge(truth, runs_dir, runs)
    accuracy, photos = fmean(judged.accuracies), len(truth.photo_ids)
    low, high = wilson(accuracy * photos, photos)
    paper = {} if first.changed else first.paper or {}  # with other settings it is not the paper's method
    papers_accuracy = paper["accuracy"] / 100 if paper else None
    section = "random" if first.weights == "random" else first.tier
    made_here = first.origin != "submission"
    graded = made_here or first.inputs.parameters.get("answers") != "labels"
    row = Row(
        section=section,
        rank_best=0,
        rank_worst=0,
        group="",
        method=_line(first.inputs.method),
        title=_line(first.title),
        variant="",
        changed=tuple(sorted(first.changed)),
        tier=first.tier,
        origin=_line(first.origin),
        parameters=dict(first.inputs.parameters),
        weights_digest=first.inputs.weights_digest,
        seeds=seeds,
        stochastic=first.stochastic,
        accuracy=accuracy,
        low=low,
        high=high,
        spread=stdev(judged.accuracies) if len(runs) > 1 else None,
        behind=Difference(0.0, 0.0, 0.0),
        top3=judged.top3 if graded else None,
        macro_f1=judged.macro_f1,
        ece=judged.ece if graded else None,
        geo=judged.geo,
        per_city=judged.per_city,
        slices=judged.slices,
        paper_table=_line(paper["table"]) if paper else None,
        paper_row=_line(paper["row"]) if paper else None,
        paper_accuracy=papers_accuracy,
        paper_verdict=paper_verdict(accuracy, photos, len(truth.cities), papers_accuracy) if section == "paper" else "",
        pretraining=_line(first.pretraining),
        weights_licence=_line(first.weights_licence),
        selection=_line(first.selection),
        seconds=fmean(run.seconds["fit"] + run.seconds["predict"] for run in runs) if made_here else None,
        peak_memory_mib=max(run.peak_memory_mib for run in runs) if made_here else None,
        device="; ".join(sorted({_line(run.device) for run in runs})),
        engine="; ".join(sorted({_line(run.engine) for run in runs} - {""})),
        command=_command(folder, first, seeds) if made_here else "",
        runs=tuple(run.inputs.identity for run in runs),
        test_reads=sum(reads[run.inputs.identity] for run in runs),
    )
    return row, judged


def _check_runs(runs_dir: Path, first: Run, seeds: Sequence[int]) -> None:
    where = runs_dir / first.inputs.identity
    if len(set(seeds)) < len(seeds):
        raise DataError(f"{where}: is in {runs_dir} more than once; delete the folders that are not named by their run")
    if first.tier not in TIERS:
        known = ", ".join(TIERS)
        raise DataError(f"{where / 'run.json'}: has tier {first.tier!r}, known are {known}; delete its folder")


def _ranked(scored: Sequence[Scored]) -> list[Row]:
    """Return the rows of one section in order, with their places and how far behind the best they are."""
    ordered = sorted(scored, key=lambda one: (-one[0].accuracy, one[0].method, one[0].runs))
    right = [judged.right for _, judged in ordered]
    settings: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row, _ in ordered:
        settings[row.method].append(_settings(row))
    return [
        replace(
            row,
            rank_best=best,
            rank_worst=worst,
            group=letters,
            variant=_variant(_settings(row), settings[row.method], row.changed),
            behind=bootstrap(judged.right, right[0]) if judged.right is not right[0] else row.behind,
        )
        for (row, judged), (best, worst), letters in zip(
            ordered, rank_ranges(right), indistinguishable_groups(right), strict=True
        )
    ]


def _settings(row: Row) -> dict[str, Any]:
    return {**row.parameters, "weights digest": (row.weights_digest or "none")[:12]}


def _variant(mine: Mapping[str, Any], all_of_method: Sequence[Mapping[str, Any]], changed: Sequence[str]) -> str:
    names = sorted({name for settings in all_of_method for name in settings})
    differing = [name for name in names if any(other.get(name) != mine.get(name) for other in all_of_method)]
    shown = sorted({*differing, *changed})
    return ", ".join(_line(f"{name}={mine.get(name, 'unset')}") for name in shown)


def _command(folder: PurePath, run: Run, seeds: Sequence[int]) -> str:
    seed_list = ",".join(str(seed) for seed in seeds)
    words = ["--manifest", str(folder), "--method", run.inputs.method, "--seeds", seed_list, "--tier", run.tier]
    words += [word for name, value in sorted(run.changed.items()) for word in ("--set", f"{name}={value}")]
    engine = run.engine.partition(",")[0]  # behind it stands how many were trained side by side
    words += ["--engine", engine] if engine not in ("", _USUAL_ENGINE) else []
    return printable(shlex.join(["t15", "bench", *words]))


def _line(text: str) -> str:
    """Return one printable line: titles and reasons come from other people's programs and may carry control characters."""
    return printable(" ".join(text.split()))
