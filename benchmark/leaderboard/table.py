"""The leaderboard: what every method scored on a manifest's test photos, computed from saved predictions alone.

Several manifests stand side by side: how another split, or a cleaner one, changes what each method scores.
"""

import json
import shlex
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path, PurePath
from statistics import fmean, median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark import results
from benchmark.label_set import left_out, photos_at, positions
from benchmark.leaderboard.attributes import attribute_rows
from benchmark.leaderboard.cross_view import map_rows
from benchmark.leaderboard.formatting import shortened
from benchmark.leaderboard.rows import (
    PAPERS_REGION,
    SECTIONS,
    TIERS,
    UNRANKED,
    CityRow,
    Curve,
    CurvePoint,
    FailedRow,
    Leaderboard,
    Own,
    Row,
    best_of,
)
from benchmark.predictions import Predictions
from benchmark.results import Run
from benchmark.scoring.answers import answers_of
from benchmark.scoring.evaluation import RECALL_METRES, Scores, details_of, evaluate
from benchmark.scoring.metrics import worth
from benchmark.scoring.significance import (
    Difference,
    bootstrap,
    letters,
    ranges,
    significantly_different,
    unpaired,
)
from benchmark.scoring.truth import Truth
from collector.errors import DataError, UsageError, one_line
from collector.manifest.header import Header
from collector.manifest.manifest import Manifest
from collector.power import Power, power_of_mcnemar
from collector.records import SPLITS
from collector.regions import region, regions
from collector.text_table import printable
from collector.workspace import DEFAULT_MANIFESTS

COMPARISON_NOTE = (
    "Each manifest has its own test photos: nothing is ranked across manifests. A difference is against the first one, with "
    "its 95 % interval for two proportions on different photos (Newcombe's hybrid of two Wilson intervals); where both sides "
    "hold some of the same photos the interval is too wide rather than too narrow."
)
PAPER_PHOTOS = 375
"""Test photos of the paper's Türkiye15."""

_LONGEST = 80  # characters of a parameter's value in a row's name
_USUAL_ENGINE = "fast"  # what `t15 bench` takes without --engine


def leaderboard(manifest: Manifest, runs_dir: Path, folder: PurePath | None = None, level: str = "city") -> Leaderboard:
    """Return the leaderboard of `manifest` from the finished and failed runs in `runs_dir`.

    Args:
        manifest: what the runs learnt from; its test photos are the truth.
        runs_dir: the workspace's runs; runs on other manifests are passed over.
        folder: the manifest's folder as the commands name it, by default `manifests/NAME/VERSION`.
        level: of the labels; runs at other levels are passed over.

    Raises:
        UsageError: the manifest has no labels of that level.
        DataError: the manifest has no test photos, or a run does not fit it; the message names the run's folder.
    """
    truth, header = Truth.of(manifest, level=level), manifest.header
    where = folder or DEFAULT_MANIFESTS / header.name / header.version
    groups: dict[tuple[str, ...], list[Run]] = defaultdict(list)
    few: dict[tuple[str, ...], dict[int, list[Run]]] = defaultdict(lambda: defaultdict(list))
    for run in results.finished_runs(runs_dir, manifest.digest):
        if run.inputs.level == level and not run.inputs.shots:
            groups[group_of(run)].append(run)
        elif run.inputs.level == level:
            few[group_of(run)][run.inputs.shots].append(run)
    reads = results.test_reads(runs_dir)
    papers_task = header.region == PAPERS_REGION and level == "city"
    unranked = [_row(truth, runs_dir, runs, where, reads, papers_task) for runs in groups.values()]
    rows = [row for section in SECTIONS for row in ranked([row for row in unranked if row.section == section])]
    first = best_of(rows)
    best = next((runs for runs in groups.values() if first and runs[0].inputs.identity in first.runs), None)
    sections = {section: [row for row in rows if row.section == section] for section in SECTIONS}
    worth = {section: worth_of(some, len(truth), truth.units) for section, some in sections.items()}
    return Leaderboard(
        **data_set_facts(header, truth),
        name=header.name,
        digest=manifest.digest,
        cities=cities_of(manifest, level),
        left_out=left_out(manifest, level),
        answerable={metres: truth.within(metres / 1000) for metres in RECALL_METRES}
        if truth.protocol == "place"
        else {},
        rows=tuple(rows),
        details=details_of([answers_of(aligned(truth, runs_dir, run), truth) for run in best], truth) if best else None,
        worth=worth,
        power={section: power_of(some, worth[section]) for section, some in sections.items()},
        curves=_curves(manifest, truth, runs_dir, few, groups),
        attributes=attribute_rows(manifest, truth, runs_dir, groups.values(), section_of),
        maps=map_rows(truth, runs_dir, groups.values(), section_of),
        failed=failed_rows(runs_dir, manifest, level),
    )


def data_set_facts(header: Header, truth: Truth) -> dict[str, Any]:
    """Return what a board says of its data set, as arguments of Leaderboard; of folds the header is that of any."""
    return {
        "version": header.version,
        "title": title_of(header),
        "region": region_of(header),
        "protocol": truth.protocol,
        "level": truth.label_set.level,
        "note": line_of(header.note),
        "test_photos": len(truth),
        "located_photos": truth.located,
        "near_duplicates": truth.near_duplicates,
        "unknown_owners": truth.unknown_owners,
        "units": None if truth.units is None else len(np.unique(truth.units[truth.units >= 0])),
        "given": header.rules.get("mode") == "given",
        "chance_uniform": truth.chances[0],
        "chance_largest": truth.chances[1],
    }


def title_of(header: Header) -> str:
    """Return the title of a data set, and which fold it is; its name where the title is of more cities, or where it has none.

    A data set of some cities of a built-in region has the title of all of them, unless it was given one of its own.
    """
    whole = region(header.region) if header.region in regions() else None
    is_part = whole is not None and header.title == whole.title and len(header.cities) < len(whole.cities)
    name, _, fold = header.name.partition("-fold-")
    title = (not is_part and header.title) or name
    return line_of(f"{title}, fold {fold.replace('-of-', ' of ')}" if fold else title)


def region_of(header: Header) -> str:
    """Return what a board calls the region of a data set: the title of a built-in one that is there whole, else its name."""
    whole = region(header.region) if header.region in regions() else None
    return line_of(whole.title if whole is not None and len(header.cities) == len(whole.cities) else header.region)


def no_runs(runs_dir: Path, manifests: Sequence[Manifest], level: str, command: Sequence[str]) -> str:
    """Return what to say where manifests have no run at a level: at which levels they have some, or how to make some."""
    of = " and ".join(f"{one.header.name} {one.header.version} (digest {one.digest[:12]})" for one in manifests[:2])
    levels = sorted({run.inputs.level for one in manifests for run in results.finished_runs(runs_dir, one.digest)})
    said = f"{runs_dir}: holds no run on {of} at level {level}"
    if others := [other for other in levels if other != level]:
        return f"{said}, but at level {' and '.join(others)}: --level {others[0]}"
    words = [*command, *(["--level", level] if level != "city" else [])]
    return f"{said if level != 'city' else said.removesuffix(' at level city')}; `{shlex.join(words)}` makes some"


def section_of(run: Run) -> str:
    """Return the part of the board that a run belongs to, a key of SECTIONS where its tier is known."""
    if run.selection == "oracle":
        return UNRANKED
    return "random" if run.weights == "random" else run.tier


def failed_rows(runs_dir: Path, manifest: Manifest, level: str) -> tuple[FailedRow, ...]:
    """Return the runs on a manifest that did not finish."""
    return tuple(
        FailedRow(
            line_of(of.inputs.method),
            line_of(of.title) + _of_few(of.inputs.shots, level),
            of.inputs.seed,
            line_of(of.reason),
            line_of(of.kind),
        )
        for of in results.failures(runs_dir, manifest.digest)
        if of.inputs.level == level
    )


def cities_of(manifest: Manifest, level: str) -> tuple[CityRow, ...]:
    """Return the labels of a level with how many photos each side has of them."""
    if level != "city":
        sides = {side: np.bincount(positions(manifest, photos_at(manifest, side, level), level)) for side in SPLITS}
        return tuple(
            CityRow(
                label.id,
                line_of(label.name),
                label.latitude,
                label.longitude,
                "",
                **{side: int(counts[row]) if row < len(counts) else 0 for side, counts in sides.items()},
            )
            for row, label in enumerate(manifest.labels.at(level))
        )
    counts = manifest.counts()
    return tuple(
        CityRow(city.slug, line_of(city.name), city.latitude, city.longitude, city.code, **counts[city.slug])
        for city in manifest.header.cities
    )


def group_of(run: Run) -> tuple[str, ...]:
    """Return what the runs of one row share."""
    # Runs of one method on other weights are no repetitions of each other, though the parameters may be the same.
    parameters = json.dumps(run.inputs.parameters, sort_keys=True)
    inputs = run.inputs
    of_inputs = (
        parameters,
        inputs.weights_digest or "",
        inputs.version,
        inputs.precision,
        inputs.preprocessing,
        inputs.level,
    )
    return inputs.method, run.tier, run.origin, run.weights, *of_inputs


def _curves(
    manifest: Manifest,
    truth: Truth,
    runs_dir: Path,
    few: Mapping[tuple[str, ...], Mapping[int, list[Run]]],
    whole: Mapping[tuple[str, ...], list[Run]],
) -> tuple[Curve, ...]:
    """Return how each method grows with its training photos; the last point is of all of them, where that run is there."""
    level = truth.label_set.level
    everything = len(photos_at(manifest, "train", level)) / len(truth.classes)
    curves = []
    for group, of_shots in few.items():
        runs = {
            **{float(shots): of for shots, of in of_shots.items()},
            **({everything: whole[group]} if group in whole else {}),
        }
        points = tuple(_point(truth, runs_dir, photos, runs[photos]) for photos in sorted(runs))
        first = next(iter(of_shots.values()))[0]
        section = section_of(first)
        named = [other for other in few if other[0] == group[0]]
        set_to = ", ".join(f"{name}={line_of(str(value))}" for name, value in sorted(first.changed.items()))
        curves.append(
            Curve(line_of(first.inputs.method), line_of(first.title), set_to if len(named) > 1 else "", section, points)
        )
    return tuple(
        sorted(
            curves,
            key=lambda curve: (
                curve.section == UNRANKED,
                curve.section,
                -curve.points[-1].accuracy,
                curve.method,
                curve.variant,
            ),
        )
    )


def _of_few(shots: int, level: str) -> str:
    return f", from {shots} {'photo' if shots == 1 else 'photos'} of each {level}" if shots else ""


def _point(truth: Truth, runs_dir: Path, photos: float, runs: Sequence[Run]) -> CurvePoint:
    ordered = sorted(runs, key=lambda run: run.inputs.seed)
    scores = evaluate([aligned(truth, runs_dir, run) for run in ordered], truth)
    primary = scores[scores.primary]
    each = tuple(float(right.mean()) for right in scores.right)
    low, high = primary.low or 0.0, 1.0 if primary.high is None else primary.high
    return CurvePoint(photos, ordered[0].inputs.shots, primary.value, low, high, each)


def _row(
    truth: Truth,
    runs_dir: Path,
    unordered: Sequence[Run],
    folder: PurePath,
    reads: Mapping[str, int],
    papers_task: bool,
) -> Row:
    """Return the row of one method's runs, without its place among others."""
    runs = sorted(unordered, key=lambda run: run.inputs.seed)
    first, seeds = runs[0], tuple(run.inputs.seed for run in runs)
    check_runs(runs_dir, first, seeds)
    scores = evaluate([aligned(truth, runs_dir, run) for run in runs], truth)
    owning = [run.own for run in runs if run.own is not None]
    own = None
    if len(owning) == len(runs):
        with_own = evaluate([aligned(truth, runs_dir, run, own=True) for run in runs], truth) if max(owning) else scores
        own = Own(max(owning), with_own, bootstrap(with_own.right, scores.right, units=scores.units))
    return row_of(truth, scores, own, runs, seeds, folder, reads, papers_task)


def row_of(
    truth: Truth,
    scores: Scores,
    own: Own | None,
    runs: Sequence[Run],
    seeds: tuple[int, ...],
    folder: PurePath,
    reads: Mapping[str, int],
    papers_task: bool,
) -> Row:
    """Return the row of a method's runs, the first of which stands for what they share, without its place among others."""
    first, primary = runs[0], scores[scores.primary]
    section = section_of(first)
    made_here = first.origin != "submission"
    # With other settings, or on other cities, it is not the paper's method or task.
    paper = first.paper["accuracy"] / 100 if first.paper and not first.changed and papers_task else None
    return Row(
        section=section,
        rank_best=0,
        rank_worst=0,
        group="",
        run=_printable(first),
        runs=tuple(run.inputs.identity for run in runs),
        seeds=seeds,
        scores=scores,
        behind=Difference(0.0, 0.0, 0.0),
        at_chance=(primary.low or 0.0) <= max(truth.chances),
        variant="",
        paper_verdict=paper_verdict(primary.value, len(truth), paper) if section == "paper" else "",
        paper_accuracy=paper,
        seconds=fmean(run.seconds["fit"] + run.seconds["predict"] for run in runs) if made_here else None,
        peak_memory_mib=max(run.peak_memory_mib for run in runs) if made_here else None,
        device="; ".join(sorted({line_of(run.device) for run in runs})),
        engine="; ".join(sorted({line_of(run.engine) for run in runs} - {""})),
        command=_command(folder, first, seeds) if made_here else "",
        test_reads=sum(reads[run.inputs.identity] for run in runs),
        own=own,
    )


def paper_verdict(accuracy: float, photos: int, paper: float | None) -> str:
    """Return `agrees`, `higher` or `lower`: ours against the paper's, a fraction; empty where the paper has no number."""
    if paper is None:
        return ""
    difference = unpaired(accuracy, photos, paper, PAPER_PHOTOS)
    if difference.low <= 0 <= difference.high:
        return "agrees"
    return "higher" if difference.mean > 0 else "lower"


def aligned(truth: Truth, runs_dir: Path, run: Run, *, own: bool = False) -> Predictions:
    """Return a run's predictions with the photos and the labels in the order of `truth`.

    With `own` those for which photos of the test photos' own authors count, where they differ.

    Raises:
        DataError: the run does not fit the manifest; the message names its folder.
    """
    folder = runs_dir / run.inputs.identity
    level = truth.label_set.level
    for missing in sorted(set(truth.classes) - set(run.classes)):
        raise DataError(f"{folder}: predicts nothing for {missing}; delete the folder and run `t15 bench` again")
    for foreign in sorted(set(run.classes) - set(truth.classes)):
        raise DataError(f"{folder}: predicts {foreign}, which is no {level} of the manifest; delete the folder")
    saved = (results.read_own(runs_dir, run) if own else None) or results.read_predictions(runs_dir, run)
    _check_photos(truth.photo_ids, saved.photo_ids, folder)
    row = {photo_id: number for number, photo_id in enumerate(saved.photo_ids)}
    column = {slug: number for number, slug in enumerate(run.classes)}
    rows = [row[photo_id] for photo_id in truth.photo_ids]
    probabilities: NDArray[np.float32] = saved.probabilities[np.ix_(rows, [column[slug] for slug in truth.classes])]
    # Runs of the first edition do not say that labels alone were submitted but in their parameters.
    unstated = run.origin == "submission" and run.inputs.parameters.get("answers") == "labels"
    confidence = np.full(len(rows), np.nan) if unstated and saved.confidence is None else saved.confidence
    return Predictions(
        probabilities if "labels" in run.gives else None,
        saved.places.of(rows) if saved.places else None,
        saved.ranking.of(rows) if saved.ranking else None,
        confidence[rows] if confidence is not None else None,
    )


def _check_photos(expected: Sequence[str], given: Sequence[str], folder: Path) -> None:
    counted, known = Counter(given), set(expected)
    missing = len(known - counted.keys())
    foreign = sum(times for photo_id, times in counted.items() if photo_id not in known)
    repeated = len(given) - len(counted.keys() & known) - foreign
    if missing or foreign or repeated:
        raise DataError(
            f"{folder}: its photos are not the manifest's {len(known)} test photos: {missing} missing, {foreign} foreign, "
            f"{repeated} repeated; delete the folder and run `t15 bench` again"
        )


def check_runs(runs_dir: Path, first: Run, seeds: Sequence[int]) -> None:
    """Make sure that runs of one method on one manifest are each there once, and of a tier that boards have.

    Raises:
        DataError: they are not; the message names the folder.
    """
    where = runs_dir / first.inputs.identity
    if len(set(seeds)) < len(seeds):
        raise DataError(f"{where}: is in {runs_dir} more than once; delete the folders that are not named by their run")
    if first.tier not in TIERS:
        known = ", ".join(TIERS)
        raise DataError(f"{where / 'run.json'}: has tier {first.tier!r}, known are {known}; delete its folder")


def ranked(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of one section in order, with their places and how far behind the best they are; oracles without."""
    ordered = sorted(rows, key=lambda row: (-row.accuracy, row.method, row.runs))
    right = [row.scores.right for row in ordered]
    units = ordered[0].scores.units if ordered else None
    settings: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in ordered:
        settings[row.method].append(_settings(row))
    named = [
        replace(row, variant=_variant(_settings(row), settings[row.method], tuple(row.run.changed))) for row in ordered
    ]
    if not all(row.is_ranked for row in named):
        return named
    apart = significantly_different(right, units=units)
    return [
        replace(
            row,
            rank_best=best,
            rank_worst=worst,
            group=group,
            behind=bootstrap(row.scores.right, right[0], units=units) if row is not named[0] else row.behind,
        )
        for row, (best, worst), group in zip(
            named,
            ranges(apart, [float(answers.mean()) for answers in right]),
            letters(apart, range(len(right))),
            strict=True,
        )
    ]


def worth_of(rows: Sequence[Row], photos: int, units: NDArray[np.int64] | None) -> int:
    """Return how many photos that stand alone tell as much of the rows' differences: the median of all pairs' first seeds."""
    pairs = combinations([row.scores.right[0] for row in rows], 2)
    worths = [worth(one.astype(float) - other, units) for one, other in pairs] if units is not None else []
    return round(median(worths)) if worths else photos


def power_of(rows: Sequence[Row], photos: int) -> Power:
    """Return what the photos can show, with the median share of photos on which two of the rows' first seeds differ."""
    first = [row.scores.right[0] for row in rows]
    shares = [float((one != other).mean()) for one, other in combinations(first, 2)]
    return power_of_mcnemar(photos, median(shares) if shares else None)


def _settings(row: Row) -> dict[str, Any]:
    inputs = row.run.inputs
    settings = {**inputs.parameters, "weights digest": (inputs.weights_digest or "none")[:12]}
    settings["method version"] = inputs.version or "of the first edition"
    return settings if inputs.precision in ("", "float32") else {**settings, "precision": inputs.precision}


def _variant(mine: Mapping[str, Any], all_of_method: Sequence[Mapping[str, Any]], changed: Sequence[str]) -> str:
    names = sorted({name for settings in all_of_method for name in settings})
    differing = [name for name in names if any(other.get(name) != mine.get(name) for other in all_of_method)]
    shown = sorted({*differing, *changed})
    return ", ".join(line_of(f"{name}={shortened(str(mine.get(name, 'unset')), _LONGEST)}") for name in shown)


def _command(folder: PurePath, run: Run, seeds: Sequence[int]) -> str:
    seed_list = ",".join(str(seed) for seed in seeds)
    words = ["--manifest", str(folder), "--method", run.inputs.method, "--seeds", seed_list, "--tier", run.tier]
    words += ["--level", run.inputs.level] if run.inputs.level != "city" else []
    for name, value in sorted(run.changed.items()):
        # Prompts of one's own lie beside the run.
        words += [
            "--set",
            f"prompts=@runs/{run.inputs.identity}/prompts.json" if name == "prompts" else f"{name}={value}",
        ]
    engine = run.engine.partition(",")[0]  # behind it stands how many were trained side by side
    words += ["--engine", engine] if engine not in ("", _USUAL_ENGINE) else []
    return printable(shlex.join(["t15", "bench", *words]))


def _printable(run: Run) -> Run:
    return replace(
        run,
        inputs=replace(run.inputs, method=line_of(run.inputs.method)),
        title=line_of(run.title),
        pretraining=line_of(run.pretraining),
        weights_licence=line_of(run.weights_licence),
        selection=line_of(run.selection),
        origin=line_of(run.origin),
        paper={name: line_of(str(run.paper[name])) for name in ("table", "row")} if run.paper else None,
    )


def line_of(text: str) -> str:
    """Return one printable line: titles and reasons come from other people's programs and may carry control characters."""
    return printable(one_line(text, None))


@dataclass(frozen=True)
class Compared:
    """One method, with one set of parameters, on each of the manifests.

    Attributes:
        known: its row on the first leaderboard that has it.
        rows: on each manifest, None where it did not run.
        differences: accuracy on each manifest minus that on the first; None for the first and where either is missing.
    """

    known: Row
    rows: tuple[Row | None, ...]
    differences: tuple[Difference | None, ...]


def require_comparable(boards: Sequence[Leaderboard]) -> None:
    """Refuse two leaderboards of the same digest, or of two protocols.

    Raises:
        UsageError: there are some.
    """
    protocols = {board.protocol: f"{board.name} {board.version}" for board in boards}
    if len(protocols) > 1:
        told = " and ".join(f"{name} is of protocol {protocol}" for protocol, name in protocols.items())
        raise UsageError(f"--manifest: {told}: they ask different questions; make a leaderboard of each")
    for number, board in enumerate(boards):
        if board.digest in {other.digest for other in boards[:number]}:
            what = f"{board.name} {board.version} (digest {board.digest[:12]})"
            raise UsageError(f"--manifest: {what} is given twice; name each manifest once")


def compared(boards: Sequence[Leaderboard]) -> list[Compared]:
    """Return every method of the leaderboards, by section and in the order of the first leaderboard that has it."""
    known: dict[tuple[str, ...], Row] = {}
    by_board = [{_key(row): row for row in board.rows} for board in boards]
    for rows in by_board:
        known = {**rows, **known}
    order = {key: number for number, key in enumerate(dict.fromkeys(key for rows in by_board for key in rows))}
    sections = list(SECTIONS)
    keys = sorted(known, key=lambda key: (sections.index(known[key].section), order[key]))
    return [_compared(known[key], [rows.get(key) for rows in by_board], boards) for key in keys]


def _key(row: Row) -> tuple[str, ...]:
    return row.section, *group_of(row.run)


def _compared(known: Row, rows: Sequence[Row | None], boards: Sequence[Leaderboard]) -> Compared:
    first = rows[0]
    differences = [
        unpaired(row.accuracy, board.test_photos, first.accuracy, boards[0].test_photos)
        if row and first and row is not first
        else None
        for row, board in zip(rows, boards, strict=True)
    ]
    return Compared(known, tuple(rows), tuple(differences))


def same_cities(boards: Sequence[Leaderboard]) -> bool:
    """Return whether the leaderboards are of the same cities; otherwise their accuracies answer different questions."""
    return len({frozenset(city.slug for city in board.cities) for board in boards}) == 1
