"""Commands that clean what was collected."""

from dataclasses import asdict
from typing import Annotated

import typer

from collector.console import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption, show

app = typer.Typer()


@app.command()
def dedup(
    radius: Annotated[int, typer.Option(min=0, max=32, help="Largest pHash distance in bits.")] = 8,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, and decide nothing.")] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Find photos of the same picture, keep the best of each, set contradicting labels aside."""
    from collector.curating.curate import dedup as dedup_photos
    from collector.workspace import existing_workspace

    summary = dedup_photos(existing_workspace(workspace), radius, dry_run=dry_run)
    show(
        {**asdict(summary), "radius": radius, "dry_run": dry_run},
        json,
        lambda: (
            f"{summary.photos} photos compared{' (dry run: nothing decided)' if dry_run else ''}\n"
            f"  exact copies left out: {summary.exact}\n"
            f"  near-duplicates left out: {summary.near}\n"
            f"  set aside, one picture under several cities: {summary.conflicts} ({summary.conflict_groups} pictures)\n"
            f"  clean: {summary.clean}"
        ),
    )
