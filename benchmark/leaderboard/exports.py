"""The leaderboard as files: a page, Markdown, and CSV and JSON for programs. The same leaderboard gives the same bytes."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path, PurePath
from typing import Any

from benchmark.leaderboard.page import as_html
from benchmark.leaderboard.pooled import pooled_board
from benchmark.leaderboard.rows import Leaderboard, flat, records
from benchmark.leaderboard.table import COMPARISON_NOTE, Compared, compared, leaderboard, no_runs, require_comparable
from benchmark.leaderboard.text import as_markdown
from benchmark.scoring.evaluation import column_names
from collector.errors import UsageError
from collector.manifest.manifest import Manifest
from collector.text_table import csv_safe
from collector.workspace import DEFAULT_MANIFESTS, storage_errors, write_atomically

CSV_COLUMNS = (
    *("manifest", "version", "digest", "protocol", "level", "status", "section", "tier", "origin"),
    *(
        "rank_best",
        "rank_worst",
        "group",
        "method",
        "title",
        "variant",
        *column_names(),
        "spread",
        "withheld",
        "at_chance",
    ),
    *("behind", "behind_low", "behind_high", "paper_table", "paper_row", "paper_accuracy", "paper_verdict"),
    *(
        "seeds",
        "runs",
        "stochastic",
        "seconds",
        "peak_memory_mib",
        "device",
        "engine",
        "pretraining",
        "weights_licence",
    ),
    *("selection", "own_photos", "with_own", "own_gain", "own_gain_low", "own_gain_high"),
    *("test_reads", "command", "reason"),
)
"""The columns of leaderboard.csv, in their order; docs/leaderboard.md says what each holds."""


def folder_name(manifests: Sequence[Manifest]) -> str:
    """Return what the folder of the manifests' leaderboard is called where nobody said."""
    of = [(manifest.header, manifest.digest[:8]) for manifest in manifests]
    return "-and-".join(f"{header.name}-{header.version}-{digest}" for header, digest in of)


def write_leaderboard(
    manifests: Sequence[tuple[Manifest, PurePath | None]],
    runs_dir: Path,
    out: Path,
    level: str = "city",
    matches: Callable[[Leaderboard], str] | None = None,
) -> list[Leaderboard]:
    """Write `leaderboard.md`, `leaderboard.csv`, `leaderboard.json` and `index.html` to the folder `out`.

    The same manifests and the same runs give the same bytes.

    Args:
        manifests: what the runs learnt from and are judged on, each with its folder as the commands name it, by default
            `manifests/NAME/VERSION`. Several are compared, each ranked for itself.
        runs_dir: the workspace's runs.
        out: is made when it is missing.
        level: of the labels; runs at other levels are passed over.
        matches: makes the page `matches.html` of the first board, which `index.html` then leads to; empty where there is
            nothing to show. None for no such page.

    Raises:
        UsageError: there is no run on a manifest, finished or failed, a manifest is given twice, two are of different
            protocols, or `out` cannot be written to.
        DataError: see `leaderboard`.
        IncompleteError: the disk is full.
    """
    boards = [leaderboard(manifest, runs_dir, folder, level) for manifest, folder in manifests]
    for board, (manifest, folder) in zip(boards, manifests, strict=True):
        if not board.rows and not board.failed and not board.curves:
            where = folder or DEFAULT_MANIFESTS / board.name / board.version
            command = ["t15", "bench", "--manifest", str(where), "--all"]
            raise UsageError(no_runs(runs_dir, [manifest], level, command))
    require_comparable(boards)
    _write(boards, out, matches(boards[0]) if matches else "")
    return boards


def pooled_folder_name(folds: Sequence[Manifest]) -> str:
    """Return what the folder of a pooled board is called where nobody said."""
    return f"{folds[0].header.name.partition('-fold-')[0]}-{len(folds)}-folds-{folds[0].digest[:8]}"


def write_pooled(
    folds: Sequence[Manifest], runs_dir: Path, out: Path, named: str, level: str = "city"
) -> list[Leaderboard]:
    """Write the board that pools the folds of a cross-validation, `pooled.pooled_board`, as `write_leaderboard` does.

    Raises:
        UsageError: as `pooled_board`, there is no run on a fold, or `out` cannot be written to.
        DataError: as `pooled_board`.
        IncompleteError: the disk is full.
    """
    board = pooled_board(folds, runs_dir, named, level)
    if not board.rows and not board.failed:
        raise UsageError(no_runs(runs_dir, folds, level, ["t15", "bench", "--manifest", named, "--all"]))
    _write([board], out)
    return [board]


def _write(boards: Sequence[Leaderboard], out: Path, matches: str = "") -> None:
    files = {
        "leaderboard.md": as_markdown(boards),
        "leaderboard.csv": as_csv(boards),
        "leaderboard.json": json.dumps(as_json(boards), ensure_ascii=False, indent=2, allow_nan=False) + "\n",
        "index.html": as_html(boards, "matches.html" if matches else ""),
        **({"matches.html": matches} if matches else {}),
    }
    with storage_errors(out):
        for name, content in files.items():
            write_atomically(out / name, content.encode("utf-8", "backslashreplace"))


def as_csv(boards: Sequence[Leaderboard]) -> str:
    """Return the leaderboards as CSV (RFC 4180 with line feeds): a line a row, failed runs last; shares from 0 to 1.

    Text that a spreadsheet would run as a formula gets a leading apostrophe; numbers stay numbers.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for record in records(boards):
        line = {**record, "seeds": " ".join(map(str, record["seeds"])), "runs": " ".join(record.get("runs", ()))}
        writer.writerow([_csv_cell(line.get(name)) for name in CSV_COLUMNS])
    return out.getvalue()


def as_json(boards: Sequence[Leaderboard]) -> dict[str, Any]:
    """Return one leaderboard as plain JSON values: its facts, notes, `rows` (as `flat` has them), and what failed.

    Several are under `boards`, beside `comparison`: what each method scored on each manifest.
    """
    each = [_board_json(board) for board in boards]
    plain: dict[str, Any] = each[0]
    if len(boards) > 1:
        lines = [_comparison_json(one, boards) for one in compared(boards)]
        plain = {"notes": [COMPARISON_NOTE], "comparison": lines, "boards": each}
    strict: dict[str, Any] = json.loads(json.dumps(plain, allow_nan=False))
    return strict


def _board_json(board: Leaderboard) -> dict[str, Any]:
    facts = (
        "name",
        "version",
        "digest",
        "title",
        "region",
        "protocol",
        "level",
        "note",
        "test_photos",
        "located_photos",
        "near_duplicates",
        "units",
        "left_out",
    )
    return {
        "notes": board.notes(),
        **{name: getattr(board, name) for name in (*facts, "chance_uniform", "chance_largest")},
        "unknown_owners": asdict(board.unknown_owners),
        "answerable": {
            str(metres): {"share": of[0], "chance": of[1]} for metres, of in sorted(board.answerable.items())
        },
        "metrics": [
            {name: getattr(metric, name) for name in ("name", "title", "unit", "better", "needs", "formula", "source")}
            for metric in board.metrics()
        ],
        "power": {section: asdict(board.power[section]) for section in board.sections()},
        "cities": [asdict(city) for city in board.cities],
        "rows": [flat(row) for row in board.rows],
        "pooled": {**asdict(board.pooled), "worth": dict(board.worth)} if board.pooled else None,
        "details": asdict(board.details) if board.details else None,
        "failed": [asdict(of) for of in board.failed],
        "curves": [asdict(curve) for curve in board.curves],
        "attributes": [asdict(of) for of in board.attributes],
        "maps": [asdict(of) for of in board.maps],
    }


def _comparison_json(one: Compared, boards: Sequence[Leaderboard]) -> dict[str, Any]:
    scores = {
        board.digest: {row.scores.primary: row.accuracy, "difference": asdict(of) if of else None} if row else None
        for board, row, of in zip(boards, one.rows, one.differences, strict=True)
    }
    row = one.known
    return {"section": row.section, "method": row.method, "title": row.title, "variant": row.variant, "scores": scores}


def _csv_cell(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    return csv_safe(value)
