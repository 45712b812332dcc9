"""The leaderboard as plain text and as Markdown. The same leaderboard gives the same text."""

from collections.abc import Iterable, Sequence

from benchmark.leaderboard.comparing import COMPARISON_NOTE, Compared, compared
from benchmark.leaderboard.rows import PAPER_NOTE, RANK_NOTE, SECTIONS, VERDICT_NOTE, FailedRow, Leaderboard, Row
from benchmark.leaderboard.words import percent, time_taken
from collector.text_table import table
from collector.web.markdown import escape, fenced, grid


def as_text(boards: Sequence[Leaderboard]) -> str:
    """Return the leaderboards as short aligned text for a terminal; accuracies in per cent."""
    parts = [_comparison_text(boards)] if len(boards) > 1 else []
    for board in boards:
        chance = percent(board.chance_uniform)
        parts.append(f"{board.name} {board.version}: {board.test_photos} test photos, chance {chance} %")
        parts += board.warnings()
        for section, rows in board.sections().items():
            wanted = [0, 1, 2, 3, 7, 8] if section == "paper" else [0, 1, 2, 3, 7]
            short = ([line[i] for i in wanted] for line in (_cells(row) for row in rows))
            parts.append(f"{SECTIONS[section]}\n{table([_header(section)[i] for i in wanted], short)}")
        for kind, failed in _by_kind(board.failed).items():
            lines = ((of.method, of.seed, of.reason) for of in failed)
            parts.append(f"{kind.capitalize()}\n{table(('method', 'seed', 'reason'), lines)}")
    return "\n\n".join(parts)


def as_markdown(boards: Sequence[Leaderboard]) -> str:
    """Return the leaderboards as a Markdown page; accuracies in per cent."""
    parts = [f"# Comparison\n\n{COMPARISON_NOTE}", _comparison_table(boards)] if len(boards) > 1 else []
    for board in boards:
        parts += _board(board)
    return "\n\n".join(parts) + "\n"


def _board(board: Leaderboard) -> list[str]:
    parts = [f"# Leaderboard of {escape(board.name)} {board.version}", _facts(board)]
    parts += [f"> **{escape(warning)}**" for warning in board.warnings()]
    parts += [RANK_NOTE] if board.rows else []
    for section, rows in board.sections().items():
        papers = section == "paper" and any(row.paper_accuracy is not None for row in rows)
        notes = [PAPER_NOTE, VERDICT_NOTE] if papers else []
        parts += [f"## {SECTIONS[section]}", *notes, grid(_header(section), (_cells(row, section) for row in rows))]
        parts += [f"### Further scores: {section}", grid(_FURTHER, map(_further, rows))]
    if board.best and board.best.slices:
        parts += [f"## Parts of the test photos: {escape(board.best.title)}", grid(_SLICE, _slices(board.best))]
    for kind, failed in _by_kind(board.failed).items():
        lines = ((of.title, of.method, of.seed, of.reason) for of in failed)
        parts += [f"## {escape(kind).capitalize()}", grid(("method", "name", "seed", "reason"), lines)]
    if board.rows:
        commands = "\n".join(dict.fromkeys(row.command for row in board.rows if row.command))
        parts += ["## Commands", fenced(commands, "sh")]
    return parts


def _facts(board: Leaderboard) -> str:
    sides = {side: sum(getattr(city, side) for city in board.cities) for side in ("train", "val", "test")}
    return (
        f"{len(board.cities)} cities of {escape(board.region)}; {sides['train']} training, {sides['val']} validation and "
        f"{sides['test']} test photos; digest `{board.digest}`. Chance is {percent(board.chance_uniform)} %; always "
        f"naming the city with the most test photos gives {percent(board.chance_largest)} %. The interval is Wilson's "
        f"at 95 % for {board.test_photos} photos."
    )


def _header(section: str) -> list[str]:
    first = ["rank", "method", "accuracy %", "95 % interval", "± over seeds", "pre-trained on", "weights' licence"]
    paper = ["paper %", "ours against it"] if section == "paper" else []
    return [*first, "median km", *paper, "seeds", "time", "memory MiB", "test read"]


def _cells(row: Row, section: str = "") -> list[str]:
    verdict = row.paper_verdict or ("other task" if row.paper_accuracy is not None else "–")
    paper = [_maybe(row.paper_accuracy), verdict] if (section or row.section) == "paper" else []
    return [
        row.rank,
        _name(row),
        percent(row.accuracy),
        f"{100 * row.low:.1f} to {100 * row.high:.1f}",
        _maybe(row.spread),
        row.learnt_before,
        row.weights_licence or "–",
        f"{row.geo.median_km:.1f}" if row.geo else "–",
        *paper,
        ", ".join(map(str, row.seeds)) if row.stochastic else "–",
        time_taken(row.seconds) if row.seconds is not None else "–",
        f"{row.peak_memory_mib:.0f}" if row.peak_memory_mib is not None else "–",
        f"{row.test_reads}×",
    ]


_FURTHER = (
    *("rank", "method", "behind the best, points", "95 % interval", "top 3 %", "macro F1 %", "ECE %", "mean km"),
    *("within 25 km %", "200 km %", "750 km %", "GeoScore"),
)
_SLICE = ("part", "", "photos", "accuracy %", "95 % interval")


def _further(row: Row) -> list[str]:
    geo = row.geo
    places = [geo.within_25, geo.within_200, geo.within_750] if geo else [None] * 3
    return [
        row.rank,
        _name(row),
        f"{100 * row.behind.mean:+.2f}",
        f"{100 * row.behind.low:+.1f} to {100 * row.behind.high:+.1f}",
        _maybe(row.top3),
        percent(row.macro_f1),
        _maybe(row.ece),
        f"{geo.mean_km:.1f}" if geo else "–",
        *map(_maybe, places),
        f"{geo.geoscore:.0f}" if geo else "–",
    ]


def _slices(row: Row) -> list[list[str]]:
    return [
        [kind, of.name, str(of.photos), percent(of.accuracy), f"{100 * of.low:.1f} to {100 * of.high:.1f}"]
        for kind, slices in row.slices.items()
        for of in slices
    ]


def _comparison_header(boards: Sequence[Leaderboard]) -> list[str]:
    names = [f"{board.name} {board.version}" for board in boards]
    return ["method", "runs", *names, *(f"{name}: difference" for name in names[1:])]


def _comparison_cells(one: Compared) -> list[str]:
    scores = [_maybe(row.accuracy) if row else "–" for row in one.rows]
    differences = [
        f"{100 * of.mean:+.2f} ({100 * of.low:+.1f} to {100 * of.high:+.1f})" if of else "–"
        for of in one.differences[1:]
    ]
    return [_name(one.known), one.known.section, *scores, *differences]


def _comparison_text(boards: Sequence[Leaderboard]) -> str:
    return table(_comparison_header(boards), map(_comparison_cells, compared(boards)))


def _comparison_table(boards: Sequence[Leaderboard]) -> str:
    return grid(_comparison_header(boards), map(_comparison_cells, compared(boards)))


def _by_kind(failed: Iterable[FailedRow]) -> dict[str, list[FailedRow]]:
    kinds: dict[str, list[FailedRow]] = {}
    for one in failed:
        kinds.setdefault(one.kind, []).append(one)
    return kinds


def _name(row: Row) -> str:
    marks = [row.variant] if row.variant else []
    marks += ["submission"] if row.origin == "submission" else []
    return f"{row.title} ({'; '.join(marks)})" if marks else row.title


def _maybe(fraction: float | None) -> str:
    return "–" if fraction is None else percent(fraction)
