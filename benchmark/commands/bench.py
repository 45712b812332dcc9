"""Running methods: each command parses, calls one function and prints. Heavy imports wait inside, so that help is quick."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.commands.shared import DeviceOption, ManifestsOfRunsOption, ShardsOption, manifest_folders, what_is_here
from collector.errors import IncompleteError, UsageError
from collector.options import JsonOption, ManifestsOption, WorkspaceOption, show, with_options
from collector.progress import note, track
from collector.text_table import counted, duration, table
from collector.workspace import DEFAULT_MANIFESTS, DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmark.estimates import Expected
    from benchmark.methods.types import Method
    from benchmark.planning import Task
    from benchmark.runner import Outcome
    from collector.manifest.manifest import Manifest
    from collector.workspace import Workspace

    Job = tuple[Manifest, list[Task], Expected | None]
    """A manifest, what is to be run on it, and how long that takes where that can be said."""

app = typer.Typer()

_MOST_SEEDS = 1000  # in one range; a benchmark of more would never end
_LARGEST_SEED = 2**32 - 1  # what every library's random generator takes
_LONG = 600.0  # seconds from which a benchmark is worth a warning, and an offer of the short form


@app.command()
def methods(json: JsonOption = False) -> None:
    """List the methods that can be run, with the paper's accuracy where it has one."""
    from benchmark.methods.registry import listed

    known = list(listed().values())
    rows = [
        (m.name, m.titled(m.parameters), f"{m.paper.accuracy:.2f}" if m.paper else "", m.pretraining) for m in known
    ]
    show(
        [_facts(one) for one in known],
        json,
        lambda: table(("method", "title", "paper %", "pre-training"), rows),
    )


def _facts(method: "Method") -> dict[str, Any]:
    """Return what a program may want to know of a method."""
    return {
        "name": method.name,
        "title": method.titled(method.parameters),
        "version": method.version,
        "gives": sorted(method.gives),
        "needs": sorted(method.needs),
        "parameters": dict(method.parameters),
        "smoke": dict(method.smoke),
        "stochastic": method.stochastic,
        "selection": method.selection,
        "backbone": method.backbone,
        "pretraining": method.pretraining,
        "weights_licence": method.weights_licence,
        "paper_accuracy": method.paper.accuracy if method.paper else None,
    }


@dataclass(frozen=True)
class BenchOptions:
    """The options of `t15 bench`."""

    everything: Annotated[bool, typer.Option("--all", help="Run every method.")] = False
    method: Annotated[list[str] | None, typer.Option(help="Run this method; `*` matches; repeat for several.")] = None
    manifest: ManifestsOfRunsOption = None
    seeds: Annotated[str, typer.Option(help="Seeds, such as 0 or 0,1,2 or 0-4.")] = "0"
    tier: Annotated[str, typer.Option(help="`paper`: the paper's settings. `smoke`: small and short, no result.")] = (
        "paper"
    )
    device: DeviceOption = "auto"
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Change a parameter, such as epochs=5, in the methods that have it; repeat for several."
        ),
    ] = None
    level: Annotated[
        str, typer.Option(help="Level of the labels to tell apart, such as city or district, as the manifest has them.")
    ] = "city"
    shots: Annotated[
        str,
        typer.Option(
            metavar="1,2,4,…,all",
            help="Learn from so many training photos of each city, drawn by each seed: learning curves on the leaderboard.",
        ),
    ] = "all"
    engine: Annotated[str, typer.Option(help="Training loop: fast, or reference, which is plain and slow.")] = "fast"
    precision: Annotated[
        str,
        typer.Option(
            help="Of training networks: float32, bf16, or auto: bf16 for the fast loop on a GPU that has it, else float32."
        ),
    ] = "auto"
    models: Annotated[
        str | None,
        typer.Option(
            help="Keep models for `t15 predict`: of each method's first seed, of all, or none. Default: first, none in smoke."
        ),
    ] = None
    cluster: Annotated[
        str, typer.Option(metavar="auto|HOST:PORT", help="Send the runs to a Ray cluster, see docs/cluster.md.")
    ] = ""
    gpus_per_run: Annotated[float, typer.Option(help="On a cluster: share of a GPU that each run takes.")] = 1.0
    cpus_per_run: Annotated[
        int | None, typer.Option(help="On a cluster: cores that each run takes, and threads that it computes with.")
    ] = None
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the runs that this would do and how long they may take; do none.")
    ] = False
    shards: ShardsOption = None
    workspace: WorkspaceOption = DEFAULT_WORKSPACE
    manifests: ManifestsOption = DEFAULT_MANIFESTS
    json: JsonOption = False


@app.command()
@with_options(BenchOptions)
def bench(_: typer.Context, options: BenchOptions) -> None:
    """Run methods on a manifest and save what they predict; finished runs are skipped."""
    from benchmark.doctor import resolve_device
    from collector.workspace import Workspace

    _check(options)
    # A cluster's nodes have devices of their own: what this machine has says nothing of them.
    device = options.device if options.cluster else resolve_device(options.device)
    workspace = Workspace(options.workspace, options.shards)
    jobs = _jobs(options, workspace, device)
    if options.dry_run:
        _show_plan(jobs, workspace.runs, options.json)
        return
    outcomes = _run(options, workspace, device, jobs)
    if len(jobs) > 1:
        note(f"{len(jobs)} manifests; `t15 leaderboard --manifest '{options.manifest}'` pools folds on one board")
    _report(outcomes, options.everything, options.json)


def _check(options: BenchOptions) -> None:
    """Make sure that it is said what to run, and that each option has one of its values."""
    from benchmark.networks.recipe import ENGINES
    from benchmark.planning import MODELS, PRECISIONS

    if options.shards and options.cluster:
        raise UsageError(
            "--shards: nodes of a cluster take photos from the driver's workspace; leave one of the two out"
        )
    if options.everything == bool(options.method):
        raise UsageError("bench: say what to run, either --all or --method NAME (`t15 methods` lists them)")
    values = {
        "tier": ("paper", "smoke"),
        "engine": ENGINES,
        "models": ("", *MODELS),
        "precision": ("auto", *PRECISIONS),
    }
    for option, values_of in values.items():
        value = getattr(options, option) or ""
        if value not in values_of:
            raise UsageError(f"--{option} {value!r}: choose {' or '.join(filter(None, values_of))}")


def _jobs(options: BenchOptions, workspace: "Workspace", device: str) -> "list[Job]":
    """Return what is to be run on each manifest that is meant, after making sure that its photos are there."""
    from benchmark.estimates import expect
    from benchmark.label_set import left_out, left_out_note
    from benchmark.methods.registry import choose
    from benchmark.photos import require_photos
    from benchmark.planning import plan
    from collector.manifest.manifest import read_manifest

    settings = parse_settings(options.settings or [])
    methods = choose(["*"] if options.everything else options.method or [])
    seeds, shots = parse_seeds(options.seeds), parse_shots(options.shots)
    models = options.models or ("first" if options.tier == "paper" else "none")
    precision = _precision(options, device)
    folders = manifest_folders(options.manifest, options.manifests, options.workspace)
    jobs: list[Job] = []
    for folder in folders:
        manifest = what_is_here(read_manifest(folder), workspace)
        require_photos(manifest, workspace, str(folder) if len(folders) > 1 else options.manifest or str(folder))
        tasks = plan(manifest, methods, seeds, options.tier, settings, models, precision, options.level, shots)
        if left := left_out_note(left_out(manifest, options.level), options.level):
            note(left)
        foreseeable = options.dry_run or not options.cluster
        jobs.append((manifest, tasks, expect(manifest, tasks, workspace.runs, device) if foreseeable else None))
    return jobs


def _run(options: BenchOptions, workspace: "Workspace", device: str, jobs: "list[Job]") -> "list[Outcome]":
    """Run them, saying what is begun and what is done; ask before what takes long."""
    from benchmark import cluster, runner
    from benchmark.doctor import describe_device
    from benchmark.networks.recipe import keep_freed_memory

    _show_warnings()
    if device == "cpu" and any(task.method.fit_many for _, tasks, _ in jobs for task in tasks):
        keep_freed_memory()
    outcomes: list[Outcome] = []
    for number, (manifest, tasks, expected) in enumerate(jobs):
        _announce(manifest, tasks, describe_device(device) if expected else "a cluster", expected)
        if number == 0 and options.tier != "smoke":
            _ask(sum(of.total for _, _, of in jobs if of))
        running = (
            cluster.bench(
                *(manifest, workspace, tasks, device, options.cluster, options.engine),
                *(options.gpus_per_run, options.cpus_per_run),
            )
            if options.cluster
            else runner.bench(manifest, workspace, tasks, device, track, options.engine)
        )
        outcomes += _watched(running, tasks, expected, workspace.runs)
    return outcomes


def _watched(
    running: "Iterator[Outcome]", tasks: "list[Task]", expected: "Expected | None", runs: Path
) -> "list[Outcome]":
    """Return what became of the tasks, each told of when it is done.

    On a terminal a bar over all runs stands above those of each; elsewhere the lines say the same.
    """
    from benchmark.results import is_finished

    outcomes: list[Outcome] = []
    for outcome in track(running, "runs", len(tasks)) if sys.stderr.isatty() and len(tasks) > 1 else running:
        outcomes.append(outcome)
        left = expected.left(outcomes, [is_finished(runs, of.inputs.identity) for of in tasks]) if expected else ""
        note(f"[{len(outcomes)}/{len(tasks)}] {_named(outcome.task)}: {_said(outcome)}{left}")
    return outcomes


def parse_seeds(text: str) -> list[int]:
    """Return the seeds of `0`, `0,1,2` or `0-4`, each once, in their order.

    Raises:
        UsageError: the text is none of these, or asks for more than 1,000 seeds.
    """
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        ends = (first, last) if dash else (first, first)
        if not all(end.isdecimal() and end.isascii() and len(end) <= 10 and int(end) <= _LARGEST_SEED for end in ends):
            raise UsageError(f"--seeds {text[:60]!r}: write 0, 0,1,2 or 0-4; the largest seed is {_LARGEST_SEED}")
        low, high = map(int, ends)
        if not low <= high < low + _MOST_SEEDS:
            raise UsageError(
                f"--seeds {text[:60]!r}: {part.strip()} is no range of 1 to {_MOST_SEEDS} seeds, low to high"
            )
        seeds += range(low, high + 1)
    return list(dict.fromkeys(seeds))


def parse_shots(text: str) -> list[int]:
    """Return the numbers of `1,2,4,all`, each once, in their order; 0 for `all`.

    Raises:
        UsageError: a part is neither a whole number from 1 nor `all`.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part == "all" or re.fullmatch(r"[1-9][0-9]{0,5}", part) for part in parts):
        raise UsageError(
            f"--shots {text[:60]!r}: write whole numbers from 1, or all, with commas between: 1,2,4,8,16,all"
        )
    return list(dict.fromkeys(0 if part == "all" else int(part) for part in parts))


def _named(task: "Task") -> str:
    shots = f", {task.inputs.shots} of each {task.inputs.level}" if task.inputs.shots else ""
    return f"{task.inputs.method}{shots}, seed {task.inputs.seed}"


def parse_settings(texts: list[str]) -> dict[str, str]:
    """Return what `--set NAME=VALUE` says, by name; of a name twice the last. `@FILE` is a text file's content.

    Raises:
        UsageError: a text is not of this form, or there is no such file.
    """
    for text in texts:
        if "=" not in text.strip("= "):
            raise UsageError(f"--set {text[:60]!r}: write NAME=VALUE, such as epochs=5")
    return {name.strip(): _content(value.strip()) for name, _, value in (text.partition("=") for text in texts)}


def _content(value: str) -> str:
    if not value.startswith("@"):
        return value
    file = Path(value[1:])
    try:
        with file.open("rb") as stream:
            return stream.read(1 << 20).decode("utf-8-sig").strip()
    except OSError as error:
        raise UsageError(f"{file}: there is no such file, or it cannot be read") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file}: is no text of UTF-8, of at most 1 MiB") from error


def _precision(options: BenchOptions, device: str) -> str:
    """Return the precision of trainings. Runs are named before a cluster is looked at: bf16 there where CUDA is named."""
    from benchmark.networks.recipe import best_precision

    if options.precision != "auto":
        return options.precision
    if options.engine != "fast":
        return "float32"
    return ("bf16" if device == "cuda" else "float32") if options.cluster else best_precision(device)


def _show_plan(jobs: "list[Job]", runs: Path, json: bool) -> None:
    plans = [_planned(data, tasks, expected, runs) for data, tasks, expected in jobs if expected]
    show(
        plans[0][0] if len(plans) == 1 else {"manifests": [plan for plan, _ in plans]},
        json,
        lambda: "\n\n".join(text for _, text in plans),
    )


def _planned(data: "Manifest", tasks: "list[Task]", expected: "Expected", runs: Path) -> tuple[dict[str, Any], str]:
    """Return what would be done on a manifest, as plain JSON and as text."""
    from benchmark.results import is_finished

    rows: list[dict[str, Any]] = []
    for task, seconds in zip(tasks, expected.seconds, strict=True):
        state = "already there" if is_finished(runs, task.inputs.identity) else "to do"
        if state == "to do" and not task.can_begin:
            state = f"cannot begin: {task.lacks or 'weights missing'}"
        rows.append(
            {"method": task.inputs.method, "seed": task.inputs.seed, "run": task.inputs.identity, "state": state}
        )
        rows[-1]["seconds"] = round(seconds, 1)
    shown = [
        (row["method"], row["seed"], row["run"], row["state"], duration(row["seconds"]) if row["seconds"] else "")
        for row in rows
    ]
    text = f"{table(('method', 'seed', 'run', 'state', 'about'), shown)}\n\n{expected.text()}; nothing was run"
    return {"manifest_digest": data.digest, "runs": rows, "seconds": expected.total}, text


def _announce(data: "Manifest", tasks: "list[Task]", device: str, expected: "Expected | None") -> None:
    header = data.header
    runs = counted(len(tasks), "runs")
    note(f"{header.name} {header.version}, digest {data.digest[:12]}: {runs} on {device}")
    if expected:
        note(expected.text())


def _ask(seconds: float) -> None:
    """Offer the short form where so many seconds are long, and ask whether to start where somebody sits there."""
    if seconds < _LONG:
        return
    note("`--tier smoke` tries the same methods, small and short, in minutes; runs can be stopped and resumed")
    if sys.stdin.isatty() and sys.stderr.isatty() and not typer.confirm("Start the long runs now?", err=True):
        raise IncompleteError("bench: not started; run it again, with --tier smoke for the short form")


def _show_warnings() -> None:
    import logging

    class Notes(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            note(f"warning: {record.getMessage()}")

    logging.getLogger("t15").handlers = [Notes(logging.WARNING)]


def _said(outcome: "Outcome") -> str:
    if outcome.state == "skipped":
        return f"already there, run {outcome.task.inputs.identity}"
    if outcome.state == "missing":
        return f"not run: {outcome.reason}"
    if outcome.state == "failed":
        return f"FAILED after {duration(outcome.seconds)}: {outcome.reason}"
    return f"done in {duration(outcome.seconds)}, run {outcome.task.inputs.identity}"


def _report(outcomes: "list[Outcome]", everything: bool, json: bool) -> None:
    counts = {state: sum(o.state == state for o in outcomes) for state in ("done", "skipped", "failed", "missing")}
    rows: list[dict[str, Any]] = [
        {
            "method": o.task.inputs.method,
            "seed": o.task.inputs.seed,
            "shots": o.task.inputs.shots or "all",
            "run": o.task.inputs.identity,
            "state": o.state,
            "weights": o.task.weights,
            "seconds": round(o.seconds, 1),
            "reason": o.reason,
        }
        for o in outcomes
    ]
    text = f"{counts['done']} done, {counts['skipped']} already there, {counts['failed']} failed"
    text += f", {counts['missing']} skipped (weights or data missing)" if counts["missing"] else ""
    show({"counts": counts, "runs": rows}, json, lambda: text)
    if counts["failed"]:
        failed = f"{counts['failed']} of {counted(len(outcomes), 'runs')} failed"
        raise IncompleteError(f"bench: {failed}, for the reasons above; the same command tries them again")
    if counts["missing"]:
        # With --all what can run has run, as asked for; a method that was named has not.
        lacking = (
            f"{counts['missing']} of {counted(len(outcomes), 'runs')} not begun for weights (`t15 weights list`) "
            "or data that are not here"
        )
        if not everything:
            raise IncompleteError(f"bench: {lacking}; bring them, then run the same command again")
        note(lacking)
