"""Running methods: each command parses, calls one function and prints. Heavy imports wait inside, so that help is quick."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.commands.shared import ManifestOption, manifest_folder, what_is_here, with_photos
from collector.console import (
    DEFAULT_MANIFESTS,
    DEFAULT_WORKSPACE,
    JsonOption,
    ManifestsOption,
    WorkspaceOption,
    duration,
    note,
    show,
    table,
    track,
)
from collector.errors import IncompleteError, UsageError

if TYPE_CHECKING:
    from benchmark.runner import Outcome, Task
    from collector.publishing.manifest import Manifest

app = typer.Typer()

_MOST_SEEDS = 1000  # in one range; a benchmark of more would never end
_LARGEST_SEED = 2**32 - 1  # what every library's random generator takes
_LONG = 600.0  # seconds from which a benchmark is worth a warning, and an offer of the short form


@app.command()
def methods(json: JsonOption = False) -> None:
    """List the methods that can be run, with the paper's accuracy where it has one."""
    from benchmark.methods.registry import methods as all_methods

    known = list(all_methods().values())
    rows = [
        (m.name, m.titled(m.parameters), m.pretraining, f"{m.paper.accuracy:.2f}" if m.paper else "") for m in known
    ]
    show(
        [
            {"name": m.name, "title": m.titled(m.parameters), "paper_accuracy": m.paper.accuracy if m.paper else None}
            for m in known
        ],
        json,
        lambda: table(("method", "title", "pre-training", "paper %"), rows),
    )


@app.command()
def bench(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Run every method.")] = False,
    method: Annotated[list[str] | None, typer.Option(help="Run this method; `*` matches; again for more.")] = None,
    manifest: ManifestOption = None,
    seeds: Annotated[str, typer.Option(help="Seeds, such as 0 or 0,1,2 or 0-4.")] = "0",
    tier: Annotated[
        str, typer.Option(help="`paper`: the paper's settings. `smoke`: small and short, no result.")
    ] = "paper",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    manifests: ManifestsOption = DEFAULT_MANIFESTS,
    json: JsonOption = False,
) -> None:
    """Run methods on a manifest and save what they predict; finished runs are skipped."""
    from benchmark import runner
    from benchmark.methods.registry import choose
    from benchmark.networks.device import describe_device, resolve_device
    from collector.publishing.manifest import read_manifest

    if everything == bool(method):
        raise UsageError("bench: say what to run, either --all or --method NAME (`t15 methods` lists them)")
    if tier not in ("paper", "smoke"):
        raise UsageError(f"--tier {tier!r}: choose paper or smoke")
    chosen = choose(["*"] if everything else method or [])
    numbers = parse_seeds(seeds)
    on = resolve_device(device)
    folder = manifest_folder(manifest, manifests, workspace)
    data = read_manifest(folder)
    place = with_photos(context, data, folder, workspace)
    data = what_is_here(data, place)
    tasks = runner.plan(data, chosen, numbers, tier)
    _announce(data, tasks, describe_device(on), runner.estimate(data, tasks, place.runs, on), tier)
    _show_warnings()
    outcomes = []
    for outcome in runner.bench(data, place, tasks, on, track):
        outcomes.append(outcome)
        note(
            f"[{len(outcomes)}/{len(tasks)}] {outcome.task.inputs.method}, seed {outcome.task.inputs.seed}: {_said(outcome)}"
        )
    _report(outcomes, json)


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


def _announce(data: "Manifest", tasks: "list[Task]", device: str, seconds: float, tier: str) -> None:
    header = data.header
    runs = "1 run" if len(tasks) == 1 else f"{len(tasks)} runs"
    note(f"{header.name} {header.version}, digest {data.digest[:12]}: {runs} on {device}")
    note(f"estimated: about {duration(seconds)}" if seconds >= 1 else "estimated: seconds")
    if seconds < _LONG or tier == "smoke":
        return
    offer = "`--tier smoke` tries the same methods, small and short, in minutes; runs can be stopped and resumed"
    note(offer)
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
        return "finished before"
    if outcome.state == "failed":
        return f"FAILED after {duration(outcome.seconds)}: {outcome.reason}"
    return f"done in {duration(outcome.seconds)}"


def _report(outcomes: "list[Outcome]", json: bool) -> None:
    counts = {state: sum(o.state == state for o in outcomes) for state in ("done", "skipped", "failed")}
    rows: list[dict[str, Any]] = [
        {
            "method": o.task.inputs.method,
            "seed": o.task.inputs.seed,
            "run": o.task.inputs.identity,
            "state": o.state,
            "seconds": round(o.seconds, 1),
            "reason": o.reason,
        }
        for o in outcomes
    ]
    text = f"{counts['done']} done, {counts['skipped']} finished before, {counts['failed']} failed"
    show({"counts": counts, "runs": rows}, json, lambda: text)
    if counts["failed"]:
        failed = f"{counts['failed']} of {len(outcomes)} runs failed"
        raise IncompleteError(f"bench: {failed}, for the reasons above; the same command tries them again")
