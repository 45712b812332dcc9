"""Scoring predictions that were made elsewhere."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.commands.shared import ManifestOption, manifest_folder, what_is_here
from collector.options import JsonOption, ManifestsOption, WorkspaceOption, show
from collector.progress import note
from collector.text_table import table
from collector.workspace import DEFAULT_MANIFESTS, DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from benchmark.scoring.evaluation import Scores

app = typer.Typer()


@app.command()
def score(
    predictions: Annotated[
        Path,
        typer.Argument(
            help="CSV, TSV, JSON Lines or Parquet: photo_id and a column for each city; or city, with or without confidence; "
            "or latitude and longitude; or both. See docs/leaderboard.md."
        ),
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
            "answers": submission.kind,
            "replaced": list(scored.replaced),
            "scores": {"photos": scored.scores.photos, "withheld": scored.scores.withheld, **scored.scores.flat()},
        },
        json,
        lambda: f"{_as_text(scored.scores)}\n\non the board as {inputs.method}; `t15 leaderboard` shows it",
    )


def _as_text(scores: "Scores") -> str:
    from benchmark.leaderboard.rows import decimals, interval, written
    from benchmark.scoring.evaluation import METRICS
    from benchmark.scoring.geography import CONVENTION

    rows = []
    for metric in METRICS:
        if score := scores.get(metric.name):
            unit = f" {metric.unit}".rstrip()
            oracle = "" if score.oracle is None else written(metric, score.oracle, decimals(scores.photos))
            value = f"{written(metric, score.value, decimals(scores.photos))}{unit}"
            rows.append((metric.title, value, interval(metric, score), oracle))
    withheld = f"\n\nwithheld, counted as wrong: {scores.withheld:.1%} of the answers" if scores.withheld else ""
    return f"{table(('score', 'value', '95 %', 'oracle'), rows)}{withheld}\n\n{CONVENTION}"
