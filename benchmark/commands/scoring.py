"""Comparing runs, and scoring predictions that were made elsewhere."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.commands.shared import LevelOfRunsOption, ManifestOption, manifest_folder, manifest_folders, what_is_here
from collector.errors import UsageError
from collector.options import JsonOption, ManifestsOption, OpenOption, WorkspaceOption, show
from collector.progress import note
from collector.text_table import counted, table
from collector.web.browser import open_page
from collector.workspace import DEFAULT_MANIFESTS, DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmark.leaderboard.rows import Leaderboard
    from benchmark.scoring.evaluation import Scores
    from collector.manifest.manifest import Manifest
    from collector.workspace import Workspace


app = typer.Typer()


ManifestsToCompare = Annotated[
    list[str] | None,
    typer.Option(
        "--manifest",
        help="Folder, https:// address, hub:NAME or name of a manifest; several are compared side by side, each ranked for "
        "itself. The name of a `t15 split --kfold`, or a pattern of its folds, gives one board that pools them. "
        "Default: the newest under --manifests.",
    ),
]


@app.command()
def leaderboard(
    manifest: ManifestsToCompare = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write to. Default: in the workspace's reports.")] = None,
    level: LevelOfRunsOption = "city",
    figures: Annotated[
        str | None,
        typer.Option(metavar="FORMATS", help="Also write the figures as files for a paper: svg, pdf or svg,pdf."),
    ] = None,
    latex: Annotated[
        bool, typer.Option("--latex", help="Also write leaderboard.tex: booktabs, intervals, groups of significance.")
    ] = False,
    matches: Annotated[
        bool,
        typer.Option(
            "--matches",
            help="Add matches.html: queries beside the first photos of each ranking, with lines between what matches "
            "(extra local).",
        ),
    ] = False,
    open_browser: OpenOption = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    manifests: ManifestsOption = DEFAULT_MANIFESTS,
    json: JsonOption = False,
) -> None:
    """Compare the runs on a manifest: a page, Markdown, CSV and JSON, computed from saved predictions alone."""
    from benchmark.leaderboard.exports import (
        as_json,
        folder_name,
        pooled_folder_name,
        write_leaderboard,
        write_pooled,
    )
    from benchmark.leaderboard.paper_kit import as_latex, formats_of, write_figures
    from benchmark.leaderboard.text import as_text
    from collector.manifest.manifest import read_manifest
    from collector.workspace import existing_workspace, storage_errors, write_atomically

    formats = formats_of(figures) if figures is not None else []
    here = existing_workspace(workspace)
    names: list[str | None] = [*manifest] if manifest else [None]
    paths = [manifest_folders(name, manifests, workspace) for name in names]
    data = [[what_is_here(read_manifest(path), here) for path in some] for some in paths]
    pooled = any(len(folds) > 1 for folds in data)
    if matches and (len(data) > 1 or pooled):
        raise UsageError("--matches: shows the photos of one manifest; name one with --manifest")
    if pooled and len(data) > 1:
        raise UsageError("--manifest: folds that are pooled have a board of their own; name them alone")
    (first, *_) = data
    folder = out or here.reports / (pooled_folder_name(first) if pooled else folder_name([one for (one,) in data]))
    if out is None and not os.access(here.root, os.W_OK):
        raise UsageError(f"{folder}: the workspace cannot be written to; name another folder with --out")
    with storage_errors(folder):
        if pooled:
            boards = write_pooled(first, here.runs, folder, str(names[0]), level)
        else:
            relative = [None if path.is_absolute() else path for (path,) in paths]
            pages = _matches(first[0], here, folder, level) if matches else None
            boards = write_leaderboard(
                [(one, path) for (one,), path in zip(data, relative, strict=True)], here.runs, folder, level, pages
            )
        made = [folder / "index.html"]
        if formats and write_figures(boards, folder, formats):
            made.append(folder / "figures")
        if latex:
            made.append(folder / "leaderboard.tex")
            write_atomically(folder / "leaderboard.tex", as_latex(boards).encode("utf-8", "backslashreplace"))
    show(as_json(boards), json, lambda: f"{as_text(boards)}\n\nwritten: {', '.join(map(str, made))}")
    if open_browser:
        open_page(folder / "index.html", note)


def _matches(manifest: "Manifest", workspace: "Workspace", folder: Path, level: str) -> "Callable[[Leaderboard], str]":
    """Return what makes the page of matches of a board, and notes where it will be, or why there is none."""
    from benchmark.predicting.matches import MatchPages

    def page(board: "Leaderboard") -> str:
        text = MatchPages(manifest, workspace, level).page(board)
        note(
            f"matches: {folder / 'matches.html'}; test photos are in it, keep it to yourself"
            if text
            else "matches: no method of this board ranks the gallery"
        )
        return text

    return page


@app.command()
def explore(
    manifest: Annotated[
        str | None,
        typer.Argument(
            help="Folder, https:// address, hub:NAME or name of a manifest, or name of a `t15 split --kfold`. Default: the "
            "newest under --manifests."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File to write. Default: in the workspace's reports.")] = None,
    pixels: Annotated[
        int, typer.Option(min=0, max=400, help="Longer side of the pictures, which licences have to allow; 0: none.")
    ] = 96,
    private: Annotated[
        bool, typer.Option("--private", help="Show photos that may not be passed on, too: keep the page to yourself.")
    ] = False,
    level: LevelOfRunsOption = "city",
    open_browser: OpenOption = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    manifests: ManifestsOption = DEFAULT_MANIFESTS,
    json: JsonOption = False,
) -> None:
    """Look at the test photos with what each run said of them: one page that loads nothing."""
    from benchmark.leaderboard.explorer import explorer
    from benchmark.leaderboard.exports import folder_name, pooled_folder_name
    from collector.manifest.manifest import read_manifest
    from collector.progress import track
    from collector.workspace import existing_workspace, storage_errors, write_atomically

    here = existing_workspace(workspace)
    data = [what_is_here(read_manifest(path), here) for path in manifest_folders(manifest, manifests, workspace)]
    page = explorer(data, here, level, pixels, track, private=private)
    folder = here.reports / (pooled_folder_name(data) if len(data) > 1 else folder_name(data))
    file = out or folder / "photos.html"
    with storage_errors(file):
        write_atomically(file, page.html.encode("utf-8", "backslashreplace"))
    told = [f"{counted(count, 'pictures')} not shown: {reason}" for reason, count in page.unshown.items()]
    facts = {"file": str(file), "photos": page.photos, "runs": page.runs, "pictures": page.pictures}
    show(
        {**facts, "unshown": page.unshown, "left_out": page.left_out},
        json,
        lambda: "\n".join(
            [
                ", ".join(
                    counted(n, of)
                    for n, of in ((page.photos, "photos"), (page.runs, "runs"), (page.pictures, "pictures"))
                ),
                *told,
                f"written: {file}",
            ]
        ),
    )
    if open_browser:
        open_page(file, note)


@app.command()
def score(
    predictions: Annotated[
        Path,
        typer.Argument(
            metavar="PREDICTIONS",
            help="CSV, TSV, JSON Lines or Parquet: file, photo_id or sha256, and a column for each city; or city, with or "
            "without confidence; or latitude and longitude; or both. See docs/leaderboard.md.",
        ),
    ],
    name: Annotated[str, typer.Option(help="What the leaderboard calls it.")],
    manifest: ManifestOption = None,
    description: Annotated[str, typer.Option(help="What it is and how it was made, in a line.")] = "",
    level: Annotated[
        str, typer.Option(help="Level of the labels that are answered, such as city or district.")
    ] = "city",
    rankings: Annotated[
        bool,
        typer.Option(
            "--rankings",
            help="PREDICTIONS ranks the gallery: a table (query, photo, rank or score), or a folder of texts as "
            "VPR-methods-evaluation writes them. See docs/local.md.",
        ),
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of the submission of this name.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the file alone: no score is computed, no test label looked at.")
    ] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    manifests: ManifestsOption = DEFAULT_MANIFESTS,
    json: JsonOption = False,
) -> None:
    """Check and score predictions that were made elsewhere, and put them on the leaderboard."""
    from benchmark.label_set import left_out, left_out_note
    from benchmark.submissions import entry, put_on_board, read_ranked, read_submission
    from collector.manifest.manifest import read_manifest
    from collector.workspace import Workspace, storage_errors

    data = read_manifest(manifest_folder(manifest, manifests, workspace))
    here = Workspace(workspace)
    data = what_is_here(data, here)
    with storage_errors(predictions):
        submission = (read_ranked if rankings else read_submission)(predictions, data, level)
    if dry_run:
        run, others = entry(submission, data, here.runs, name, description, replacing=replace)
        facts = {"name": run.title, "method": run.inputs.method, "run": run.inputs.identity, "replaced": list(others)}
        photos, instead = len(submission.answers.photo_ids), f", in place of {', '.join(others)}" if others else ""
        show(
            {**facts, "answers": submission.kind, "photos": photos, "dry_run": True},
            json,
            lambda: (
                f"{predictions}: {submission.kind} for {counted(photos, 'test photos')} of {data.header.name} "
                f"{data.header.version}; "
                f"would be on the board as {run.inputs.method}{instead} (dry run: not scored, nothing was written)"
            ),
        )
        return
    with storage_errors(here.root):
        scored = put_on_board(submission, data, here.runs, name, description, replacing=replace)
    note(
        f"{data.header.name} {data.header.version}, digest {data.digest[:12]}: {counted(scored.scores.photos, 'test photos')}"
    )
    if left := left_out_note(left_out(data, level), level):
        note(left)
    inputs, at = scored.run.inputs, "" if level == "city" else f" --level {level}"
    show(
        {
            "name": scored.run.title,
            "method": inputs.method,
            "run": inputs.identity,
            "manifest_digest": inputs.manifest_digest,
            "level": level,
            "sha256": submission.sha256,
            "answers": submission.kind,
            "replaced": list(scored.replaced),
            "scores": {"photos": scored.scores.photos, "withheld": scored.scores.withheld, **scored.scores.flat()},
        },
        json,
        lambda: f"{_as_text(scored.scores)}\n\non the board as {inputs.method}; `t15 leaderboard{at}` shows it",
    )


def _as_text(scores: "Scores") -> str:
    from benchmark.leaderboard.formatting import decimals, interval, written
    from benchmark.scoring.evaluation import METRICS
    from benchmark.scoring.metrics import CONVENTION

    rows = []
    for metric in METRICS:
        if score := scores.get(metric.name):
            unit = f" {metric.unit}".rstrip()
            oracle = "" if score.oracle is None else written(metric, score.oracle, decimals(scores.photos))
            value = f"{written(metric, score.value, decimals(scores.photos))}{unit}"
            rows.append((metric.title, value, interval(metric, score), oracle))
    withheld = f"\n\nwithheld, counted as wrong: {scores.withheld:.1%} of the answers" if scores.withheld else ""
    return f"{table(('score', 'value', '95 %', 'oracle'), rows)}{withheld}\n\n{CONVENTION}"
