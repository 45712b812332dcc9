"""The leaderboard as plain text and as Markdown. The same leaderboard gives the same text."""

from collections.abc import Iterable, Sequence

from benchmark.leaderboard import attributes, cross_view
from benchmark.leaderboard.formatting import interval, percent, points, time_taken, written
from benchmark.leaderboard.rows import (
    CHANCE_NOTE,
    CURVE_NOTE,
    ORACLE_NOTE,
    PAPER_NOTE,
    RANK_NOTE,
    SECTIONS,
    UNRANKED,
    VERDICT_NOTE,
    WITHHELD_NOTE,
    FailedRow,
    Leaderboard,
    Row,
    owning,
)
from benchmark.leaderboard.table import COMPARISON_NOTE, Compared, compared
from benchmark.results import SHORT
from benchmark.scoring.evaluation import ACCURACIES_ABOVE, Metric
from benchmark.scoring.metrics import CONVENTION
from collector.text_table import counted, table
from collector.web.markdown import escape, fenced, grid


def as_text(boards: Sequence[Leaderboard]) -> str:
    """Return the leaderboards as short aligned text for a terminal; accuracies in per cent."""
    parts = [_comparison_text(boards)] if len(boards) > 1 else []
    for board in boards:
        chance = percent(board.chance_uniform, board.decimals)
        at = f" at {counted(board.units, 'places')}" if board.units and board.protocol == "place" else ""
        of_level = "" if board.level == "city" else f"{board.nouns}, "
        parts.append(
            f"{board.name} {board.version}: {of_level}{counted(board.test_photos, 'test photos')}{at}, chance {chance} %"
        )
        parts += board.warnings()
        for section, rows in board.sections().items():
            header, *lines = _short(board, rows)
            parts.append(f"{SECTIONS[section]}\n{table(header, lines)}\n{board.power_line(section)}".rstrip())
            if note := board.own_note(rows):
                own = table(_OWN, _owner_gains(board, rows)) + "\n" if owning(rows) else ""
                parts.append(f"{own}{note}")
        if board.attributes:
            parts.append(
                f"What places are like\n{table(attributes.HEADER, attributes.lines(board.attributes))}\n{attributes.NOTE}"
            )
        if board.maps:
            parts.append(
                f"True cells on the map\n{table(cross_view.HEADER, cross_view.lines(board.maps))}\n{cross_view.NOTE}"
            )
        if board.curves:
            parts.append(
                f"Learning curves: accuracy in % by training photos of each {board.level}\n{table(*_curves(board))}"
            )
        for kind, failed in _by_kind(board.failed).items():
            failures = [(of.method, of.seed, of.reason) for of in failed]
            parts.append(f"{kind.capitalize()}\n{table(('method', 'seed', 'reason'), failures)}")
        if any(metric.needs != "labels" for metric in board.metrics()):
            parts.append(CONVENTION)
    return "\n\n".join(parts)


_FURTHER_RECALLS = ("recall_5", "recall_10")
"""What a terminal shows beside the photos that were found at first."""


def _short(board: Leaderboard, rows: Sequence[Row]) -> list[list[str]]:
    """Return the head and the lines of a table that a terminal has room for."""
    located = any(row.scores.get("median_km") for row in rows)
    papers = any(row.paper_accuracy is not None for row in rows)
    above = [metric for metric in board.metrics(rows) if metric.name in ACCURACIES_ABOVE]
    above += [metric for metric in board.metrics(rows) if metric.name in _FURTHER_RECALLS]
    head = ["rank", "method", _title(rows), "95 % interval", "run"]
    head += [*map(_head, above), *(["median km"] if located else [])]
    lines = [head + (["paper %"] if papers else [])]
    for row in rows:
        line = [row.rank, _name(row), percent(row.accuracy, board.decimals), _bounds(row.low, row.high), _run(row)]
        line += [_score(board, row, metric.name) for metric in above]
        line += [_score(board, row, "median_km")] if located else []
        lines.append(line + ([_maybe(row.paper_accuracy)] if papers else []))
    return lines


def as_markdown(boards: Sequence[Leaderboard]) -> str:
    """Return the leaderboards as a Markdown page; accuracies in per cent."""
    parts = [f"# Comparison\n\n{COMPARISON_NOTE}", _comparison_table(boards)] if len(boards) > 1 else []
    for board in boards:
        parts += _board(board)
    return "\n\n".join(parts) + "\n"


def _board(board: Leaderboard) -> list[str]:
    parts = [f"# Leaderboard of {escape(board.title)} {board.version}", _facts(board)]
    parts += [f"> **{escape(warning)}**" for warning in board.warnings()]
    for section, rows in board.sections().items():
        papers = section == "paper" and any(row.paper_accuracy is not None for row in rows)
        parts += [f"## {SECTIONS[section]}", *([PAPER_NOTE, VERDICT_NOTE] if papers else [])]
        parts += [grid(_header(rows, papers), (_cells(board, row, papers) for row in rows))]
        parts += [RANK_NOTE, board.power_line(section)] if section != UNRANKED else []
        parts += [CHANCE_NOTE] if any(row.at_chance for row in rows) else []
        parts += [WITHHELD_NOTE] if any(row.scores.withheld for row in rows) else []
        metrics = _further_metrics(board, rows)
        head = ["rank", "method", "behind the best, points", "95 % interval", *map(_head, metrics)]
        parts += [f"### Further scores: {section}", grid(head, (_further(board, row, metrics) for row in rows))]
        if any(metric.needs != "labels" for metric in metrics):
            parts += [f"{CONVENTION} {ORACLE_NOTE}"]
        if note := board.own_note(rows):
            own = [grid(_OWN, _owner_gains(board, rows))] if owning(rows) else []
            parts += [f"### The authors' own photos: {section}", *own, note]
    if board.best and board.best.slices:
        parts += [f"## Parts of the test photos: {escape(board.best.title)}", grid(_SLICE, _slices(board.best))]
    if board.attributes:
        parts += [
            "## What places are like",
            attributes.NOTE,
            grid(attributes.HEADER, attributes.lines(board.attributes)),
        ]
    if board.maps:
        parts += ["## True cells on the map", cross_view.NOTE, grid(cross_view.HEADER, cross_view.lines(board.maps))]
    if board.curves:
        parts += ["## Learning curves", CURVE_NOTE, grid(*_curves(board))]
    for kind, failed in _by_kind(board.failed).items():
        lines = ((of.title, of.method, of.seed, of.reason) for of in failed)
        parts += [f"## {escape(kind).capitalize()}", grid(("method", "name", "seed", "reason"), lines)]
    if board.rows:
        commands = "\n".join(dict.fromkeys(row.command for row in board.rows if row.command))
        parts += ["## Commands", fenced(commands, "sh")]
    return parts


def _curves(board: Leaderboard) -> tuple[list[str], list[list[str]]]:
    """Return the head and the lines of a table with a column for each number of training photos."""
    shots = sorted({(of.photos, of.shots) for curve in board.curves for of in curve.points})
    head = ["method", *(str(few) if few else f"all ({photos:.1f})" for photos, few in shots), "seeds"]
    lines = []
    for curve in board.curves:
        points = {(of.photos, of.shots): of for of in curve.points}
        shown = [percent(points[at].accuracy, board.decimals) if at in points else "" for at in shots]
        name = f"{curve.method} {curve.variant}".strip() + ("" if curve.section == "paper" else f" ({curve.section})")
        lines.append([name, *shown, str(max(len(of.seeds) for of in curve.points))])
    return head, lines


def _facts(board: Leaderboard) -> str:
    sides = {side: sum(getattr(city, side) for city in board.cities) for side in ("train", "val", "test")}
    uniform, largest = (percent(share, board.decimals) for share in (board.chance_uniform, board.chance_largest))
    always = (
        ""
        if board.protocol == "place"
        else f"; always naming the {board.level} with the most test photos gives {largest} %"
    )
    return (
        f"{escape(board.name)} {board.version}: {counted(len(board.cities), board.nouns)} ({escape(board.region)}); "
        f"{sides['train']} "
        f"training, {sides['val']} validation and {counted(sides['test'], 'test photos')}; digest `{board.digest}`. "
        f"Chance is {uniform} %{always}. Intervals are Wilson's at 95 %, for {board.counted_by}."
    )


def _title(rows: Sequence[Row]) -> str:
    return "found %" if rows[0].scores.primary == "recall_1" else "accuracy %"


def _header(rows: Sequence[Row], papers: bool) -> list[str]:
    first = ["rank", "method", _title(rows), "95 % interval", "± over seeds", "pre-trained on", "weights' licence"]
    return [*first, *(["paper %", "ours against it"] if papers else []), "seeds", "time", "memory MiB", "test read"]


def _cells(board: Leaderboard, row: Row, papers: bool) -> list[str]:
    spread = row.scores.spread
    return [
        row.rank,
        _name(row),
        percent(row.accuracy, board.decimals),
        _bounds(row.low, row.high),
        "–" if spread is None else percent(spread, board.decimals),
        row.learnt_before,
        row.run.weights_licence or "–",
        *([_maybe(row.paper_accuracy), row.paper_verdict or "–"] if papers else []),
        ", ".join(map(str, row.seeds)) if row.run.stochastic else "–",
        time_taken(row.seconds) if row.seconds is not None else "–",
        f"{row.peak_memory_mib:.0f}" if row.peak_memory_mib is not None else "–",
        f"{row.test_reads}×",
    ]


_SLICE = ("part", "", "photos", "accuracy %", "95 % interval")


_OWN = (
    *("method", "test photos with own ones", "without, %", "with, %", "gain, points", "95 % interval"),
    *("km without", "km with"),
)


def _owner_gains(board: Leaderboard, rows: Sequence[Row]) -> list[list[str]]:
    lines = []
    for row, own in owning(rows):
        km = [scores.get("median_km") for scores in (row.scores, own.scores)]
        shares = (row.accuracy, own.scores[row.scores.primary].value)
        lines.append(
            [
                row.title,
                str(own.photos),
                *(percent(share, board.decimals) for share in shares),
                points(own.gain.mean, board.decimals),
                f"{points(own.gain.low, 1)} to {points(own.gain.high, 1)}",
                *("–" if one is None else written(board.metric("median_km"), one.value, 1) for one in km),
            ]
        )
    return lines


def _further_metrics(board: Leaderboard, rows: Sequence[Row]) -> list[Metric]:
    return [metric for metric in board.metrics(rows) if metric.name != rows[0].scores.primary]


def _head(metric: Metric) -> str:
    return f"{metric.title} %" if metric.unit == "%" else metric.title


def _further(board: Leaderboard, row: Row, metrics: Sequence[Metric]) -> list[str]:
    return [
        row.rank,
        _name(row),
        f"{100 * row.behind.mean:+.{board.decimals}f}" if row.is_ranked else "–",
        f"{100 * row.behind.low:+.1f} to {100 * row.behind.high:+.1f}" if row.is_ranked else "–",
        *(_full(board, row, metric) for metric in metrics),
    ]


def _full(board: Leaderboard, row: Row, metric: Metric) -> str:
    """Return a score with its interval and oracle, as `61.2 (56.0 to 66.1), oracle 98.7`."""
    score = row.scores.get(metric.name)
    if score is None:
        return "–"
    bounds = f" ({interval(metric, score)})" if score.low is not None else ""
    oracle = f", oracle {written(metric, score.oracle, board.decimals)}" if score.oracle is not None else ""
    return f"{written(metric, score.value, board.decimals)}{bounds}{oracle}"


def _score(board: Leaderboard, row: Row, name: str) -> str:
    score, metric = row.scores.get(name), board.metric(name)
    return "–" if score is None else written(metric, score.value, board.decimals)


def _bounds(low: float, high: float) -> str:
    return f"{100 * low:.1f} to {100 * high:.1f}"


def _slices(row: Row) -> list[list[str]]:
    return [
        [kind, of.name, str(of.photos), percent(of.accuracy, 1), _bounds(of.low, of.high)]
        for kind, slices in row.slices.items()
        for of in slices
    ]


def _comparison_header(boards: Sequence[Leaderboard]) -> list[str]:
    names = [f"{board.name} {board.version}" for board in boards]
    return ["method", "runs", *names, *(f"{name}: difference" for name in names[1:])]


def _comparison_cells(one: Compared, boards: Sequence[Leaderboard]) -> list[str]:
    scores = [
        percent(row.accuracy, board.decimals) if row else "–" for row, board in zip(one.rows, boards, strict=True)
    ]
    differences = [
        f"{100 * of.mean:+.1f} ({100 * of.low:+.1f} to {100 * of.high:+.1f})" if of else "–"
        for of in one.differences[1:]
    ]
    return [_name(one.known), one.known.section, *scores, *differences]


def _comparison_text(boards: Sequence[Leaderboard]) -> str:
    return table(_comparison_header(boards), (_comparison_cells(one, boards) for one in compared(boards)))


def _comparison_table(boards: Sequence[Leaderboard]) -> str:
    return grid(_comparison_header(boards), (_comparison_cells(one, boards) for one in compared(boards)))


def _by_kind(failed: Iterable[FailedRow]) -> dict[str, list[FailedRow]]:
    kinds: dict[str, list[FailedRow]] = {}
    for one in failed:
        kinds.setdefault(one.kind, []).append(one)
    return kinds


def _name(row: Row) -> str:
    marks = [row.variant] if row.variant else []
    marks += ["submission"] if row.is_submission else []
    marks += [f"{percent(row.scores.withheld, 1)} % withheld"] if row.scores.withheld else []
    marks += ["at chance"] if row.at_chance else []
    return f"{row.title} ({'; '.join(marks)})" if marks else row.title


def _run(row: Row) -> str:
    """Return the first digits of the first run's identity, and how many more runs the row is made of."""
    more = f" +{len(row.runs) - 1}" if len(row.runs) > 1 else ""
    return f"{row.runs[0][:SHORT]}{more}"


def _maybe(fraction: float | None) -> str:
    return "–" if fraction is None else percent(fraction)
