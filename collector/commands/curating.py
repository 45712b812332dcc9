"""Commands that clean what was collected."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from collector.console import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption, note, show, track
from collector.errors import UsageError

app = typer.Typer()


@app.command()
def dedup(
    radius: Annotated[
        int,
        typer.Option(
            min=0,
            max=32,
            help="pHash bits within which hashes alone decide; pairs up to 4.5 times as far are looked at.",
        ),
    ] = 8,
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


@app.command()
def review(
    static: Annotated[
        Path | None, typer.Option(help="Write contact sheets into this folder, for those who only look; serve nothing.")
    ] = None,
    port: Annotated[int, typer.Option(help="0 for any that is free.")] = 0,
    reviewer: Annotated[str | None, typer.Option(help="Who decides. Default: your login name.")] = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in your browser.")] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Look through the photos on a page of this machine, and keep, reject or move each; decisions are saved at once."""
    from collector.workspace import existing_workspace

    place = existing_workspace(workspace)
    if static is not None:
        from collector.review.static_sheets import write_sheets

        sheets = write_sheets(place, static, track)
        show(
            {"index": str(sheets.index), "sheets": sheets.sheets, "photos": sheets.photos},
            json,
            lambda: f"{sheets.index}: {sheets.photos} photos on {sheets.sheets} sheets",
        )
        return
    if json:
        raise UsageError("review: --json belongs to --static DIR; the page itself prints its address")
    from collector.review.server import review as serve

    serve(place, reviewer, port, open_browser=open_browser, say=note)
