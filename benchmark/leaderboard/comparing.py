"""Several manifests side by side: how another split, or a cleaner one, changes what each method scores."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.leaderboard.agreement import unpaired
from benchmark.leaderboard.rows import SECTIONS, Leaderboard, Row
from benchmark.scoring.significance import Difference
from collector.errors import UsageError

COMPARISON_NOTE = (
    "Each manifest has its own test photos: nothing is ranked across manifests. A difference is against the first one, with "
    "its 95 % interval for two proportions on different photos (Newcombe's hybrid of two Wilson intervals); where both sides "
    "hold some of the same photos the interval is too wide rather than too narrow."
)


@dataclass(frozen=True, slots=True)
class Compared:
    """One method, with one set of parameters, on each of the manifests.

    Attributes:
        known: its row on the first leaderboard that has it.
        rows: on each manifest, None where it did not run.
        differences: accuracy on each manifest minus that on the first; None for the first and where either is missing.
    """

    known: Row
    rows: tuple[Row | None, ...]
    differences: tuple[Difference | None, ...]


def require_different(boards: Sequence[Leaderboard]) -> None:
    """Refuse two leaderboards of the same digest.

    Raises:
        UsageError: there are some.
    """
    for number, board in enumerate(boards):
        if board.digest in {other.digest for other in boards[:number]}:
            what = f"{board.name} {board.version} (digest {board.digest[:12]})"
            raise UsageError(f"--manifest: {what} is given twice; name each manifest once")


def compared(boards: Sequence[Leaderboard]) -> list[Compared]:
    """Return every method of the leaderboards, by section and in the order of the first leaderboard that has it."""
    found: dict[tuple[str, ...], Row] = {}
    by_board = [{_key(row): row for row in board.rows} for board in boards]
    for rows in by_board:
        found = {**rows, **found}
    order = {key: number for number, key in enumerate(dict.fromkeys(key for rows in by_board for key in rows))}
    sections = list(SECTIONS)
    keys = sorted(found, key=lambda key: (sections.index(found[key].section), order[key]))
    return [_compared(found[key], [rows.get(key) for rows in by_board], boards) for key in keys]


def _key(row: Row) -> tuple[str, ...]:
    parameters = json.dumps(row.parameters, sort_keys=True)
    return row.section, row.tier, row.origin, row.method, parameters, row.weights_digest or ""


def _compared(known: Row, rows: Sequence[Row | None], boards: Sequence[Leaderboard]) -> Compared:
    first = rows[0]
    differences = [
        unpaired(row.accuracy, board.test_photos, first.accuracy, boards[0].test_photos)
        if row and first and row is not first
        else None
        for row, board in zip(rows, boards, strict=True)
    ]
    return Compared(known, tuple(rows), tuple(differences))


def same_cities(boards: Sequence[Leaderboard]) -> bool:
    """Return whether the leaderboards are of the same cities; otherwise their accuracies answer different questions."""
    return len({frozenset(city.slug for city in board.cities) for board in boards}) == 1
