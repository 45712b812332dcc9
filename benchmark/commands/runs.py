"""The runs that a workspace keeps: listing, showing and removing them, those that were scored only too."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.commands.shared import run_called
from collector.errors import UsageError
from collector.options import JsonOption, WorkspaceOption, show
from collector.text_table import counted, table
from collector.workspace import DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from benchmark.results import Run

app = typer.Typer(
    name="runs", no_args_is_help=True, help="Finished runs and submissions: list them, show one, remove some."
)

_ORIGINS = ("bench", "submission")


@app.command("list")
def listed(
    method: Annotated[str, typer.Option(help="Only of methods that match, such as 'gist-*'.")] = "*",
    origin: Annotated[str | None, typer.Option(help="Only `bench`, or only `submission`.")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """List finished runs by manifest and method, with their identities, sizes and when they were made."""
    from benchmark.results import all_runs
    from collector.workspace import existing_workspace

    if origin is not None and origin not in _ORIGINS:
        raise UsageError(f"--origin {origin[:40]!r}: choose {' or '.join(_ORIGINS)}")
    runs = existing_workspace(workspace).runs
    facts = [_facts(runs, run) for run in all_runs(runs, method) if origin in (None, run.origin)]
    head = ("run", "method", "manifest", "seed", "tier", "origin", "finished", "MiB")
    rows = [
        (
            *(one[name] for name in ("run", "method", "manifest", "seed", "tier", "origin")),
            one["finished"][:10],
            _mib(one),
        )
        for one in facts
    ]
    total = sum(one["bytes"] for one in facts)
    show(
        facts,
        json,
        lambda: (
            f"{table(head, rows)}\n\n{counted(len(facts), 'runs')}, {total / 2**20:.1f} MiB"
            if facts
            else "no such run; `t15 bench` makes some, `t15 score` scores what was made elsewhere"
        ),
    )


@app.command("show")
def shown(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run: its first digits, or its method's name where that has one run.")
    ],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Show what a run is: method, parameters, manifest, weights, machine, time, and its files."""
    from dataclasses import asdict

    from collector.workspace import existing_workspace

    runs = existing_workspace(workspace).runs
    found = run_called(runs, run)
    files = {path.name: path.stat().st_size for path in sorted((runs / found.inputs.identity).iterdir())}
    facts: dict[str, Any] = {"run": found.inputs.identity, **asdict(found), "files": files}
    show(facts, json, lambda: _text(found, files))


@app.command()
def remove(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Runs: first digits, or a method's name where that has one run; submissions by their --name.",
        ),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Remove runs or submissions with their predictions and models; that test photos were looked at stays in the ledger."""
    from benchmark.results import all_runs, remove_run
    from collector.workspace import existing_workspace, storage_errors

    runs = existing_workspace(workspace).runs
    submissions = [one for one in all_runs(runs) if one.origin == "submission"]
    chosen: dict[str, Run] = {}
    for name in names:
        named = [one for one in submissions if name in (one.title, one.inputs.method)]
        for one in named or [run_called(runs, name)]:
            chosen[one.inputs.identity] = one
    facts = [_facts(runs, one) for one in chosen.values()]
    if not dry_run:
        with storage_errors(runs):
            for identity in chosen:
                remove_run(runs, identity)
    verb = "would be removed" if dry_run else "removed"
    show(
        {"removed": [] if dry_run else facts, "dry_run": dry_run, "runs": facts},
        json,
        lambda: "\n".join(f"{verb}: {one['run']} {one['method']}, {_mib(one)} MiB" for one in facts),
    )


def _facts(runs: Path, run: "Run") -> dict[str, Any]:
    from datetime import UTC, datetime

    folder, inputs = runs / run.inputs.identity, run.inputs
    finished = datetime.fromtimestamp((folder / "run.json").stat().st_mtime, UTC).isoformat(timespec="seconds")
    return {
        "run": inputs.identity,
        "method": inputs.method,
        "title": run.title,
        "seed": inputs.seed,
        "tier": run.tier,
        "level": inputs.level,
        "manifest": run.manifest,
        "manifest_digest": inputs.manifest_digest,
        "origin": run.origin,
        "model": (folder / "model.safetensors").is_file(),
        "bytes": sum(path.stat().st_size for path in folder.iterdir()),
        "finished": finished,
    }


def _mib(facts: dict[str, Any]) -> str:
    return f"{facts['bytes'] / 2**20:.1f}"


def _text(run: "Run", files: dict[str, int]) -> str:
    inputs = run.inputs
    facts = {
        "run": inputs.identity,
        "method": f"{inputs.method} (version {inputs.version or 'first edition'}): {run.title}",
        "manifest": f"{run.manifest}, digest {inputs.manifest_digest[:12]}, level {inputs.level}",
        "tier, seed": f"{run.tier}, {inputs.seed}",
        "parameters": ", ".join(f"{name}={value}" for name, value in inputs.parameters.items()) or "none",
        "changed": ", ".join(f"{name}={value}" for name, value in run.changed.items()) or "nothing",
        "weights": inputs.weights_digest[:12] if inputs.weights_digest else run.weights,
        "origin": run.origin,
        "device": run.device,
        "seconds": ", ".join(f"{name} {value:.1f}" for name, value in run.seconds.items()),
        "files": ", ".join(f"{name} ({size / 1024:.0f} KiB)" for name, size in files.items()),
    }
    width = max(map(len, facts))
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in facts.items())
