"""Commands that clean what was collected."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from collector.errors import UsageError
from collector.options import NAMED, ClusterOption, JsonOption, OpenOption, PortOption, WorkspaceOption, show
from collector.progress import note, track
from collector.records import PHASH_RADIUS
from collector.text_table import counted, table
from collector.web.browser import open_page
from collector.workspace import DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collector.curating.assess import QualitySummary

app = typer.Typer()

_MANY_HASHED = (
    4096  # photos that are hashed anew: the start of processes takes as long as hashing a thousand small ones
)


@app.command()
def dedup(
    context: typer.Context,
    radius: Annotated[
        int,
        typer.Option(
            min=0,
            max=32,
            help="pHash bits within which hashes alone decide; pairs up to 4.5 times as far are looked at.",
        ),
    ] = PHASH_RADIUS,
    deep: Annotated[
        str | None,
        typer.Option(
            metavar="NET",
            help="Also copies that hashes miss (turned, cut, set among others), proposed by the vectors of a network or "
            "feature; `best` for the best that is here.",
        ),
    ] = None,
    hashes_only: Annotated[
        bool,
        typer.Option(
            "--hashes-only",
            help="Look at no pair: hashes alone decide.",
        ),
    ] = False,
    within_cities: Annotated[
        bool,
        typer.Option(
            "--within-cities",
            help="Look only at pairs of one city; between cities hashes propose. For 300,000 photos and more, of which "
            "comparing all with all takes hours.",
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, and decide nothing.")] = False,
    cluster: ClusterOption = "",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Find photos of the same picture, keep the best of each, set contradicting labels aside."""
    from collector.curating.alignment import has_opencv
    from collector.curating.duplicates import Deep
    from collector.curating.duplicates import dedup as dedup_photos
    from collector.curating.vectors import source_of
    from collector.executors.cluster import work_on
    from collector.executors.local import Processes
    from collector.workspace import existing_workspace

    if hashes_only and within_cities:
        raise UsageError("dedup: give --hashes-only or --within-cities, not both")
    asked = Deep(source_of(context.obj), None if deep == "best" else deep) if deep else None
    if asked and not has_opencv():
        note("heavy crops and pictures among others are not looked for: cv2 is missing, of the extra local")
    place = existing_workspace(workspace)
    with work_on(cluster, place, Processes(many=_MANY_HASHED)) as work:
        summary = dedup_photos(
            *(place, radius),
            dry_run=dry_run,
            deep=asked,
            hashes_only=hashes_only,
            within_cities=within_cities,
            track=track,
            work=work,
        )
    show(
        {**asdict(summary), "radius": radius, "dry_run": dry_run, "net": deep},
        json,
        lambda: (
            f"{counted(summary.photos, 'photos')} compared{' (dry run: nothing decided)' if dry_run else ''}\n"
            f"  exact copies left out: {summary.exact}\n"
            f"  near-duplicates left out: {summary.near}\n"
            f"  set aside: {counted(summary.conflicts, 'photos')} ({counted(summary.conflict_groups, 'pictures')}) "
            "filed under more than one city\n"
            + (f"  of all these by vectors alone: {summary.deep}\n" if deep else "")
            + f"  clean: {summary.clean}"
        ),
    )


@app.command()
def quality(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure and count, and write nothing down.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take every flag back.")] = False,
    text: Annotated[
        bool,
        typer.Option(
            "--text", help="Also names, marks and dates that can be read in pictures (extra ocr) and in their metadata."
        ),
    ] = False,
    labels: Annotated[
        bool, typer.Option("--labels", help="Also labels that the pixels speak against (extra labels).")
    ] = False,
    cluster: ClusterOption = "",
    net: Annotated[
        str | None,
        typer.Option(
            help="With --labels: a network with weights, or a feature such as gist; several with commas, whose vectors stand "
            "side by side. Default: the best that is here."
        ),
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Flag photos of poor quality and with doubtful labels, for `t15 review`; none is left out by that.

    What was measured before is not measured again.
    """
    from collector.catalogue.catalogue import open_catalogue
    from collector.curating.assess import assess, forget
    from collector.curating.vectors import source_of
    from collector.executors.cluster import work_on
    from collector.executors.local import Processes
    from collector.workspace import existing_workspace

    if undo and (dry_run or text or labels):
        other = "--dry-run" if dry_run else "--text" if text else "--labels"
        raise UsageError(f"quality: give --undo or {other}, not both")
    if net and not labels:
        raise UsageError("--net: belongs to --labels")
    place = existing_workspace(workspace)
    if undo:
        photos = forget(place)
        show({"forgotten": photos}, json, lambda: f"what was found out about {counted(photos, 'photos')} is taken back")
        return
    source = source_of(context.obj) if labels else None
    with work_on(cluster, place, Processes()) as work:
        summary = assess(place, track, dry_run=dry_run, text=text, source=source, net=net, work=work)
    worst = [photo_id for found in summary.flags for photo_id, _ in found.worst[:1]]
    with open_catalogue(place) as catalogue:
        names = catalogue.names_of([*worst, *summary.unreadable])
    result = {**asdict(summary), "dry_run": dry_run, "names": names}
    show(result, json, lambda: _quality_text(summary, dry_run, names))


def _quality_text(summary: "QualitySummary", dry_run: bool, names: "Mapping[str, str]") -> str:
    if not summary.photos:
        return "the workspace holds no photos yet; `t15 collect` brings some"
    rows = [
        (
            found.flag,
            found.photos,
            f"{found.photos / summary.photos:.1%}",
            "".join(f"{names.get(photo_id, photo_id)[:60]} ({score:.2f})" for photo_id, score in found.worst[:1]),
            found.meaning,
        )
        for found in summary.flags
    ]
    unread = len(summary.unreadable)
    lines = [
        table(("flag", "photos", "share", "the worst", "says"), rows),
        f"\n{counted(summary.photos, 'photos')}, {summary.any_flag} with a flag, {summary.measured} measured now"
        f"{' (dry run: nothing written down)' if dry_run else ''}",
        *[
            f"not measured: {names.get(photo_id, photo_id)[:60]}: {why}"
            for photo_id, why in list(summary.unreadable.items())[:NAMED]
        ],
        *[f"not measured: {unread - NAMED} more, --json names all"] * (unread > NAMED),
        *[f"skipped: {line}" for line in summary.skipped],
        *["flags never remove a photo: `t15 review` shows each flag's photos, the worst first"] * (not dry_run),
    ]
    return "\n".join(lines)


@app.command()
def review(
    static: Annotated[
        Path | None, typer.Option(help="Write contact sheets into this folder, for those who only look; serve nothing.")
    ] = None,
    port: PortOption = 0,
    reviewer: Annotated[str | None, typer.Option(help="Who decides. Default: your login name.")] = None,
    open_browser: OpenOption = False,
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
            lambda: f"{sheets.index}: {counted(sheets.photos, 'photos')} on {counted(sheets.sheets, 'sheets')}",
        )
        if open_browser:
            open_page(sheets.index, note)
        return
    if json:
        raise UsageError("review: --json belongs to --static DIR; the page itself prints its address")
    from collector.review.app import review as serve

    serve(place, reviewer, port, open_browser=open_browser, say=note)
