"""The leaderboard as plain text, Markdown, CSV and JSON. The same leaderboard gives the same text."""

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from benchmark.leaderboard.table import PAPER_NOTE, TIED_NOTE, TIERS, Leaderboard, Row
from collector.console import duration, table

# What Markdown (GitHub's and CommonMark's) would take for markup inside a table cell.
_MARKUP = re.compile(r"([\\`*_{}\[\]|~$])")
# A spreadsheet takes a cell that begins so for a formula: https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_text(board: Leaderboard) -> str:
    """Return the leaderboard as short aligned text for a terminal; accuracies in per cent."""
    parts = [
        f"{board.name} {board.version}: {board.test_photos} test photos, chance {_percent(board.chance_uniform)} %"
    ]
    parts += board.warnings()
    for tier, rows in board.tiers().items():
        columns = [0, 1, 2, 3, 7] if tier == "paper" else [0, 1, 2, 3]
        with_paper = tier == "paper"
        short = ([line[i] for i in columns] for line in (_cells(row, with_paper) for row in rows))
        parts.append(f"{TIERS[tier]}\n{table([_header(with_paper)[i] for i in columns], short)}")
    if board.failed:
        failed = ((of.method, of.seed, of.reason) for of in board.failed)
        parts.append(f"Failed\n{table(('method', 'seed', 'reason'), failed)}")
    return "\n\n".join(parts)


def as_markdown(board: Leaderboard) -> str:
    """Return the leaderboard as a Markdown page; accuracies in per cent."""
    parts = [f"# Leaderboard of {_cell(board.name)} {board.version}", _facts(board)]
    parts += [f"> **{_cell(warning)}**" for warning in board.warnings()]
    for tier, rows in board.tiers().items():
        notes = [PAPER_NOTE] if tier == "paper" else []
        parts += [f"## {TIERS[tier]}", *notes, _table(rows, with_paper=tier == "paper")]
        if any(row.tied_with_best and row.rank > 1 for row in rows):
            parts.append(TIED_NOTE)
    if board.failed:
        failed = ((of.title, of.method, of.seed, of.reason) for of in board.failed)
        parts += ["## Failed", _grid(("method", "name", "seed", "reason"), failed)]
    if board.rows:
        commands = "\n".join(dict.fromkeys(row.command for row in board.rows))
        # A fence longer than any run of backticks inside cannot be closed from inside.
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", commands)), default=0))
        parts += ["## Commands", f"{fence}sh\n{commands}\n{fence}"]
    return "\n\n".join(parts) + "\n"


def as_csv(board: Leaderboard) -> str:
    """Return the leaderboard as CSV (RFC 4180 with line feeds): a line a row, failed runs last; scores as fractions.

    Text that a spreadsheet would run as a formula gets a leading apostrophe; numbers stay numbers.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for row in board.rows:
        values = {**asdict(row), "status": "finished", "reason": "", "seeds": " ".join(map(str, row.seeds))}
        writer.writerow([_csv_cell(values[name]) for name in _CSV_COLUMNS])
    for failed in board.failed:
        values = {**asdict(failed), "status": "failed", "seeds": str(failed.seed)}
        writer.writerow([_csv_cell(values.get(name)) for name in _CSV_COLUMNS])
    return out.getvalue()


def as_json(board: Leaderboard) -> dict[str, Any]:
    """Return the leaderboard as plain JSON values: every field of `Leaderboard`, scores as fractions, and the notes."""
    notes = [*board.warnings(), PAPER_NOTE, TIED_NOTE]
    plain: dict[str, Any] = json.loads(json.dumps({"notes": notes, **asdict(board)}, allow_nan=False))
    return plain


_CSV_COLUMNS = (
    *("status", "tier", "rank", "method", "title", "variant", "accuracy", "low", "high", "spread", "tied_with_best"),
    *("top3", "macro_f1", "paper_table", "paper_row", "paper_accuracy", "seeds", "stochastic", "seconds"),
    *("peak_memory_mib", "device", "pretraining", "weights_licence", "selection", "test_reads", "command", "reason"),
)


def _facts(board: Leaderboard) -> str:
    sides = {side: sum(getattr(city, side) for city in board.cities) for side in ("train", "val", "test")}
    return (
        f"{len(board.cities)} cities of {_cell(board.region)}; {sides['train']} training, {sides['val']} validation and "
        f"{sides['test']} test photos; digest `{board.digest}`. Chance is {_percent(board.chance_uniform)} %; always "
        f"naming the city with the most test photos gives {_percent(board.chance_largest)} %. The interval is Wilson's "
        f"at 95 % for {board.test_photos} photos."
    )


def _table(rows: Sequence[Row], with_paper: bool) -> str:
    return _grid(_header(with_paper), (_cells(row, with_paper) for row in rows))


def _header(with_paper: bool) -> list[str]:
    first = ["rank", "method", "accuracy %", "95 % interval", "± over seeds", "top 3 %", "macro F1 %"]
    return [*first, *(["paper %"] if with_paper else []), "seeds", "time", "memory MiB", "pre-trained on", "test read"]


def _cells(row: Row, with_paper: bool) -> list[str]:
    name = f"{row.title} ({row.variant})" if row.variant else row.title
    paper = [_percent(row.paper_accuracy) if row.paper_accuracy is not None else "–"] if with_paper else []
    return [
        f"{row.rank}{' ≈' if row.tied_with_best and row.rank > 1 else ''}",
        name,
        _percent(row.accuracy),
        f"{100 * row.low:.1f} to {100 * row.high:.1f}",
        _percent(row.spread) if row.spread is not None else "–",
        _percent(row.top3),
        _percent(row.macro_f1),
        *paper,
        ", ".join(map(str, row.seeds)) if row.stochastic else "–",
        duration(row.seconds),
        f"{row.peak_memory_mib:.0f}",
        row.pretraining,
        f"{row.test_reads}×",
    ]


def _grid(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [header, ["---"] * len(header), *([_cell(str(value)) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKUP.sub(r"\\\1", plain)


def _csv_cell(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f}"
