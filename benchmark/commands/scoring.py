"""Scoring predictions that were made elsewhere."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.commands.shared import ManifestOption, manifest_folder, what_is_here
from collector.options import JsonOption, ManifestsOption, WorkspaceOption, show
from collector.progress import note
from collector.text_table import table
from collector.workspace import DEFAULT_MANIFESTS, DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from benchmark.submissions import SubmissionScores

app = typer.Typer()


@app.command()
def score(
    predictions: Annotated[
        Path, typer.Argument(help="CSV, TSV or Parquet: photo_id and a column for each city, or photo_id and city.")
    ],
    name: Annotated[str, typer.Option(help="What the leaderboard calls it.")],
    manifest: ManifestOption = None,
    description: Annotated[str, typer.Option(help="What it is and how it was made, in a line.")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of the submission of this name.")] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    manifests: ManifestsOption = DEFAULT_MANIFESTS,
    json: JsonOption = False,
) -> None:
    """Check and score predictions that were made elsewhere, and put them on the leaderboard."""
    from benchmark.submissions import put_on_board, read_submission
    from collector.manifest.manifest import read_manifest
    from collector.workspace import Workspace, storage_errors

    data = read_manifest(manifest_folder(manifest, manifests, workspace))
    place = Workspace(workspace)
    data = what_is_here(data, place)
    with storage_errors(predictions):
        submission = read_submission(predictions, data)
    with storage_errors(place.root):
        scored = put_on_board(submission, data, place.runs, name, description, replacing=replace)
    note(f"{data.header.name} {data.header.version}, digest {data.digest[:12]}: {scored.scores.photos} test photos")
    inputs = scored.run.inputs
    show(
        {
            "name": scored.run.title,
            "method": inputs.method,
            "run": inputs.identity,
            "manifest_digest": inputs.manifest_digest,
            "sha256": submission.sha256,
            "answers": submission.answers,
            "replaced": list(scored.replaced),
            "scores": asdict(scored.scores),
        },
        json,
        lambda: f"{_as_text(scored.scores)}\n\non the board as {inputs.method}; `t15 leaderboard` shows it",
    )


def _as_text(scores: "SubmissionScores") -> str:
    accuracy = f"{scores.accuracy:.2%} (95 %: {100 * scores.low:.1f} to {100 * scores.high:.1f})"
    labels_only = "unknown: labels only"
    rows = [
        ("accuracy", accuracy),
        ("top-3", labels_only if scores.top3 is None else f"{scores.top3:.2%}"),
        ("macro-F1", f"{scores.macro_f1:.4f}"),
        ("ECE", labels_only if scores.ece is None else f"{scores.ece:.4f}"),
        ("median km", "unknown: no coordinates" if scores.median_km is None else f"{scores.median_km:.1f}"),
    ]
    return table(("score", "value"), rows)
