"""The leaderboard as CSV and JSON, for programs. The same leaderboard gives the same bytes."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from benchmark.leaderboard.comparing import COMPARISON_NOTE, Compared, compared
from benchmark.leaderboard.rows import Leaderboard, Row

# A spreadsheet takes a cell that begins so for a formula: https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_CSV_COLUMNS = (
    *("manifest", "version", "digest", "status", "section", "tier", "origin", "rank_best", "rank_worst", "group"),
    *("method", "title", "variant", "accuracy", "low", "high", "spread", "behind", "behind_low", "behind_high"),
    *("top3", "macro_f1", "ece", "median_km", "mean_km", "within_25", "within_200", "within_750", "geoscore"),
    *("paper_table", "paper_row", "paper_accuracy", "paper_verdict", "seeds", "stochastic", "seconds"),
    *("peak_memory_mib", "device", "engine", "pretraining", "weights_licence", "selection", "test_reads"),
    *("command", "reason"),
)


def as_csv(boards: Sequence[Leaderboard]) -> str:
    """Return the leaderboards as CSV (RFC 4180 with line feeds): a line a row, failed runs last; scores as fractions.

    Text that a spreadsheet would run as a formula gets a leading apostrophe; numbers stay numbers.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for board in boards:
        of_board = {"manifest": board.name, "version": board.version, "digest": board.digest}
        for row in board.rows:
            writer.writerow(_csv_line({**of_board, **_flat(row), "status": "finished", "reason": ""}))
        for failed in board.failed:
            writer.writerow(_csv_line({**of_board, **asdict(failed), "status": failed.kind, "seeds": str(failed.seed)}))
    return out.getvalue()


def as_json(boards: Sequence[Leaderboard]) -> dict[str, Any]:
    """Return one leaderboard as plain JSON values: every field of `Leaderboard`, scores as fractions, and the notes.

    Several are under `boards`, beside `comparison`: what each method scored on each manifest.
    """
    plain: dict[str, Any]
    if len(boards) == 1:
        plain = {"notes": boards[0].notes(), **asdict(boards[0])}
    else:
        lines = [_comparison_json(one, boards) for one in compared(boards)]
        each = [{"notes": board.notes(), **asdict(board)} for board in boards]
        plain = {"notes": [COMPARISON_NOTE], "comparison": lines, "boards": each}
    strict: dict[str, Any] = json.loads(json.dumps(plain, allow_nan=False))
    return strict


def _flat(row: Row) -> dict[str, Any]:
    behind = {"behind": row.behind.mean, "behind_low": row.behind.low, "behind_high": row.behind.high}
    return {**asdict(row), **(asdict(row.geo) if row.geo else {}), **behind, "seeds": " ".join(map(str, row.seeds))}


def _csv_line(values: dict[str, Any]) -> list[object]:
    return [_csv_cell(values.get(name)) for name in _CSV_COLUMNS]


def _comparison_json(one: Compared, boards: Sequence[Leaderboard]) -> dict[str, Any]:
    scores = {
        board.digest: {"accuracy": row.accuracy, "difference": asdict(of) if of else None} if row else None
        for board, row, of in zip(boards, one.rows, one.differences, strict=True)
    }
    row = one.known
    return {"section": row.section, "method": row.method, "title": row.title, "variant": row.variant, "scores": scores}


def _csv_cell(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
