"""What a paper takes from a leaderboard: a table in LaTeX, and its figures as files."""

import re
from collections.abc import Sequence
from pathlib import Path

from benchmark.leaderboard.drawing import as_file
from benchmark.leaderboard.figures import pictures
from benchmark.leaderboard.formatting import interval, percent, written
from benchmark.leaderboard.rows import SECTIONS, Leaderboard, Row
from benchmark.scoring.evaluation import Metric
from collector.errors import UsageError
from collector.text_table import counted
from collector.workspace import storage_errors, write_atomically

FORMATS = ("svg", "pdf")
"""Of figures."""

_SHOWN = 3
"""Metrics beside the first one: more are too wide for a column of a paper."""

_RECALL = re.compile(r"recall_\d+")
_WITHIN = "Recall@k: one of the first k photos was taken within 25 m. "

_SPECIAL = {
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "×": r"$\times$"},
    **{"≤": r"$\leq$", "≥": r"$\geq$", "±": r"$\pm$", "°": r"$^\circ$", "²": "$^2$"},
}
_HARD = re.compile("|".join(map(re.escape, _SPECIAL)))


def formats_of(text: str) -> list[str]:
    """Return the formats of `svg,pdf`.

    Raises:
        UsageError: one is none of FORMATS.
    """
    asked = [part.strip().lower() for part in text.split(",") if part.strip()]
    if not asked or not set(asked) <= set(FORMATS):
        raise UsageError(f"--figures {text[:40]!r}: write {', '.join(FORMATS)}, or both with a comma")
    return list(dict.fromkeys(asked))


def write_figures(boards: Sequence[Leaderboard], out: Path, formats: Sequence[str]) -> list[Path]:
    """Write each picture of the boards but their maps to `out/figures`, and return the files.

    `captions.txt` beside them has what stands under each on the page.
    """
    written_files: list[Path] = []
    captions: list[str] = []
    with storage_errors(out):
        (out / "figures").mkdir(parents=True, exist_ok=True)
        for board in boards:
            before = f"{board.name}-{board.version}-" if len(boards) > 1 else ""
            for picture in pictures(board):
                if picture.draw is None:
                    continue
                captions.append(f"{before}{picture.name}: {picture.title}. {picture.caption}\n")
                for format_ in formats:
                    path = out / "figures" / f"{before}{picture.name}.{format_}"
                    write_atomically(path, as_file(picture.draw, format_, picture.title))
                    written_files.append(path)
        write_atomically(out / "figures" / "captions.txt", "\n".join(captions).encode("utf-8", "backslashreplace"))
    return written_files


def as_latex(boards: Sequence[Leaderboard]) -> str:
    """Return the boards as tables for the package booktabs: scores with 95 % intervals, and groups of significance."""
    tables = [_table(board, section, rows) for board in boards for section, rows in board.sections().items()]
    return "% \\usepackage{booktabs}\n\n" + "\n\n".join(tables) + "\n"


def _table(board: Leaderboard, section: str, rows: Sequence[Row]) -> str:
    metrics = _shown_metrics(board, rows)
    heads = [
        _escaped(
            f"{metric.title}{f', {metric.unit}' if metric.unit and not metric.title.endswith(metric.unit) else ''}"
        )
        for metric in metrics
    ]
    lines = [" & ".join(["Rank", "Method", *heads, "Group"]) + r" \\"]
    body = [
        " & ".join(
            [row.rank.replace("–", "--"), _escaped(_named(row)), *(_cell(board, row, m) for m in metrics), row.group]
        )
        + r" \\"
        for row in rows
    ]
    note = f" {board.note}" if board.note else ""
    of_region = "" if board.region in (board.title, board.name) else f" of {board.region}"
    caption = (
        f"{board.title} {board.version} ({counted(len(board.cities), board.nouns)}{of_region}), "
        f"{counted(board.test_photos, 'test photos')}: {SECTIONS[section].lower()}. "
        f"Chance: {percent(board.chance_uniform, board.decimals)} %. "
        f"Brackets: 95 % intervals, of shares for {board.counted_by}. "
        f"{_WITHIN if metrics[0].name == 'recall_1' else ''}"
        "Methods that share a letter do not differ significantly (McNemar, Holm). "
        f"Manifest digest {board.digest[:12]}.{note}"
    )
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_escaped(caption)}}}",
            rf"\label{{tab:{re.sub('[^a-z0-9]+', '-', f'{board.name}-{section}'.lower())}}}",
            rf"\begin{{tabular}}{{rl{'r' * len(metrics)}l}}",
            r"\toprule",
            *lines,
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )


def _shown_metrics(board: Leaderboard, rows: Sequence[Row]) -> list[Metric]:
    first = board.metric(rows[0].scores.primary)
    others = [metric for metric in board.metrics(rows) if metric.name != first.name]
    # Beside recall@1 that of more photos tells most.
    return [first, *sorted(others, key=lambda metric: not _RECALL.fullmatch(metric.name))[:_SHOWN]]


def _cell(board: Leaderboard, row: Row, metric: Metric) -> str:
    score = row.scores.get(metric.name)
    if score is None:
        return "--"
    reach = interval(metric, score).replace(" to ", ", ")
    value = written(metric, score.value, board.decimals)
    return f"{value} [{reach}]" if reach else value


def _named(row: Row) -> str:
    marks = [row.variant, "at chance" if row.at_chance else ""]
    return f"{row.title}{''.join(f' ({mark})' for mark in marks if mark)}"


def _escaped(text: str) -> str:
    """Return a text of anybody's as LaTeX that prints it and does nothing else."""
    return _HARD.sub(lambda letter: _SPECIAL[letter[0]], text)
