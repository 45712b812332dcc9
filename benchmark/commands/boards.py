"""Comparing runs."""

from pathlib import Path
from typing import Annotated

import typer

from benchmark.commands.shared import ManifestOption, manifest_folder, what_is_here
from collector.console import (
    DEFAULT_MANIFESTS,
    DEFAULT_WORKSPACE,
    JsonOption,
    ManifestsOption,
    WorkspaceOption,
    show,
)

app = typer.Typer()


@app.command()
def leaderboard(
    manifest: ManifestOption = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write to. Default: in the workspace's reports.")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    manifests: ManifestsOption = DEFAULT_MANIFESTS,
    json: JsonOption = False,
) -> None:
    """Compare the runs on a manifest: a page, Markdown, CSV and JSON, computed from saved predictions alone."""
    from benchmark.leaderboard.text import as_json, as_text
    from benchmark.leaderboard.write import write_leaderboard
    from collector.publishing.manifest import read_manifest
    from collector.workspace import existing_workspace, storage_errors

    path = manifest_folder(manifest, manifests, workspace)
    place = existing_workspace(workspace)
    data = what_is_here(read_manifest(path), place)
    folder = out or place.reports / f"{data.header.name}-{data.header.version}-{data.digest[:8]}"
    with storage_errors(folder):
        board = write_leaderboard(data, place.runs, folder, None if path.is_absolute() else path)
    show(as_json(board), json, lambda: f"{as_text(board)}\n\nwritten: {folder / 'index.html'}")
