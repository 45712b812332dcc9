"""Pre-trained weights: what there is, and bringing it. No other command downloads any."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from collector.errors import T15Error, UsageError
from collector.options import JsonOption, show
from collector.progress import note, track
from collector.text_table import table

if TYPE_CHECKING:
    from benchmark.networks.weights import Entry, Planned, Stored

app = typer.Typer(
    name="weights", no_args_is_help=True, help="Pre-trained weights: list them, fetch them, add them from a file."
)


_HEAD = ("network", "state", "licence", "MiB", "digest", "commercial", "redistribute", "from")
_MARKS = {True: "yes", False: "no", None: "not settled"}


@app.command("list")
def listed(
    commercial: Annotated[
        bool, typer.Option("--commercial", help="Only those whose licence is known to allow commercial use.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """List all networks that start from pre-trained weights, and which of those are here."""
    from benchmark.networks.weights import folder, inventory

    entries = inventory(commercial)
    show(
        {"folder": str(folder()), "weights": [asdict(entry) for entry in entries]},
        json,
        lambda: f"{table(_HEAD, map(_row, entries))}\n\nin {folder()}",
    )


@app.command()
def fetch(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="Networks, as listed.")] = None,
    everything: Annotated[
        bool,
        typer.Option("--all", help="All that can be fetched and are not here, but for timm's, which take gigabytes."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would come from where, under which licence; fetch nothing.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Download weights from their publishers, or from the mirror in T15_WEIGHTS_MIRROR; check and keep them."""
    from benchmark.networks import weights
    from benchmark.networks.backbones import find_backbone, towers

    if everything == bool(names):
        raise UsageError("weights fetch: say which, either NAME... or --all (`t15 weights list` names them)")
    large = {tower.name for tower in towers()}
    missing = [entry.name for entry in weights.inventory() if entry.file and entry.state != "here"]
    wanted = names or [name for name in missing if name not in large]
    chosen = [find_backbone(name) for name in dict.fromkeys(wanted)]
    if dry_run:
        plans = [weights.planned(backbone) for backbone in chosen]
        show([asdict(plan) for plan in plans], json, lambda: _plan_text(plans))
        return
    brought, failures = [], []
    for backbone in chosen:
        try:
            brought.append((backbone.name, weights.fetch(backbone, track)))
        except T15Error as error:
            if len(chosen) == 1:
                raise
            note(f"{backbone.name}: {error}")
            failures.append(error)
    show(
        [_facts(*one) for one in brought], json, lambda: "\n".join(_said(*one) for one in brought) or "nothing to fetch"
    )
    if failures:
        raise type(failures[0])(f"weights fetch: {len(failures)} of {len(chosen)} failed, for the reasons above")


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="The network that the weights are of, as listed.")],
    file: Annotated[Path, typer.Argument(help="A checkpoint of PyTorch, or safetensors.")],
    sha256: Annotated[
        str | None, typer.Option(help="Digest of the file, 8 to 64 hex digits; counts instead of the known one.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the file alone, and keep nothing.")] = False,
    json: JsonOption = False,
) -> None:
    """Take weights from a file: read as data, checked against the network, kept as safetensors."""
    from benchmark.networks import weights
    from benchmark.networks.backbones import find_backbone

    backbone = find_backbone(name)
    stored = weights.add(backbone, file, sha256, dry_run=dry_run)
    show(
        {**_facts(backbone.name, stored), "dry_run": dry_run},
        json,
        lambda: _said(backbone.name, stored) + "\ndry run: the file is right, nothing was kept" * dry_run,
    )


def _plan_text(plans: "list[Planned]") -> str:
    def said(plan: "Planned") -> str:
        begun = f", {plan.begun / 2**20:.1f} MiB of it are here" if plan.begun else ""
        again = " (is here already, and would be fetched again)" if plan.here else ""
        others = "".join(f"\n  or, where that fails, {url}" for url in plan.urls[1:])
        beside = "".join(f"\n  and {url}" for url in plan.companions)
        return f"{plan.name}{again}: licence {plan.licence}\n  from {plan.urls[0]}{begun}{others}{beside}"

    lines = [said(plan) for plan in plans] or ["nothing to fetch"]
    return "\n".join([*lines, "dry run: nothing was fetched"])


def _row(entry: "Entry") -> tuple[str, ...]:
    size = f"{entry.size / 2**20:.1f}" if entry.size is not None else ""
    marks = (_MARKS[entry.commercial], _MARKS[entry.redistribute])
    return (entry.name, entry.state, entry.licence, size, (entry.digest or "")[:12], *marks, entry.source or entry.page)


def _facts(name: str, stored: "Stored") -> dict[str, Any]:
    return {"name": name, **{key: str(value) for key, value in asdict(stored).items()}}


def _said(name: str, stored: "Stored") -> str:
    return f"{name}: {stored.path}, digest {stored.digest[:12]}, licence {stored.licence}, file sha256 {stored.file_sha256}"
