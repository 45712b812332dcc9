"""Comparing runs."""

import os
from pathlib import Path
from typing import Annotated

import typer

from benchmark.commands.shared import manifest_folder, what_is_here
from collector.errors import UsageError
from collector.options import JsonOption, ManifestsOption, WorkspaceOption, show
from collector.workspace import DEFAULT_MANIFESTS, DEFAULT_WORKSPACE

app = typer.Typer()


ManifestsToCompare = Annotated[
    list[str] | None,
    typer.Option(
        "--manifest",
        help="Folder, https:// address or hub:NAME of a manifest; several are compared side by side, each ranked for "
        "itself. Default: the newest under --manifests.",
    ),
]


@app.command()
def leaderboard(
    manifest: ManifestsToCompare = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write to. Default: in the workspace's reports.")] = None,
    level: Annotated[str, typer.Option(help="Level of the labels that the runs answered at.")] = "city",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    manifests: ManifestsOption = DEFAULT_MANIFESTS,
    json: JsonOption = False,
) -> None:
    """Compare the runs on a manifest: a page, Markdown, CSV and JSON, computed from saved predictions alone."""
    from benchmark.leaderboard.exports import as_json, folder_name, write_leaderboard
    from benchmark.leaderboard.text import as_text
    from collector.manifest.manifest import read_manifest
    from collector.workspace import existing_workspace, storage_errors

    asked: list[str | None] = [*manifest] if manifest else [None]
    paths = [manifest_folder(one, manifests, workspace) for one in asked]
    place = existing_workspace(workspace)
    data = [what_is_here(read_manifest(path), place) for path in paths]
    folder = out or place.reports / folder_name(data)
    if out is None and not os.access(place.root, os.W_OK):
        raise UsageError(f"{folder}: the workspace cannot be written to; name another folder with --out")
    named = [None if path.is_absolute() else path for path in paths]
    with storage_errors(folder):
        boards = write_leaderboard(list(zip(data, named, strict=True)), place.runs, folder, level)
    show(as_json(boards), json, lambda: f"{as_text(boards)}\n\nwritten: {folder / 'index.html'}")
