"""How methods that score a whole map (`benchmark.cross_view`) rank the true cell, as a board shows it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.cross_view import FILE, MapAnswers, own_cells, reach_km
from benchmark.results import Run
from benchmark.scoring.truth import Truth
from collector.errors import DataError
from collector.text_table import printable


@dataclass(frozen=True, slots=True)
class MapRow:
    """A method's ranks of true cells, means over seeds; shares from 0 to 1.

    Attributes:
        method, title, section: of the row.
        cells: of the map.
        photos: test photos that were taken on it.
        held_out: whether these are of classes that training does not have; None where all are trained.
        top_percent: share of the photos whose true cell is among the best hundredth of the map, one cell at least.
        chance: what a draw would have of that.
        rank: median rank of the true cell as a share of the map; chance is one half.
    """

    method: str
    title: str
    section: str
    cells: int
    photos: int
    held_out: bool | None
    top_percent: float
    chance: float
    rank: float

    @property
    def key(self) -> tuple[object, ...]:
        """What rows of several folds have in common."""
        return self.section, self.method, self.title, self.cells, self.held_out

    @staticmethod
    def over_folds(rows: "Sequence[MapRow]") -> "MapRow":
        """Return the mean of the rows of several folds, weighed by their photos; of medians too."""
        photos = [row.photos for row in rows]
        means: dict[str, Any] = {
            name: float(np.average([getattr(row, name) for row in rows], weights=photos))
            for name in ("top_percent", "chance", "rank")
        }
        return replace(rows[0], photos=sum(photos), **means)


NOTE = (
    "A map's cells are ranked for each test photo that was taken on it. Top 1 %: the share of photos whose true cell is "
    "among the best hundredth. The median rank is a share of the map: one half is chance."
)

HEADER = ("method", "classes", "cells", "photos", "top 1 %, %", "chance %", "median rank %")


def map_rows(
    truth: Truth, runs_dir: Path, groups: Iterable[Sequence[Run]], section_of: Callable[[Run], str]
) -> tuple[MapRow, ...]:
    """Return the rows of all methods that score a map.

    Raises:
        DataError: a file is damaged, or of other photos.
    """
    never = ~np.isin(truth.labels, truth.gallery.labels)
    rows = []
    for runs in groups:
        if not all((runs_dir / run.inputs.identity / FILE).is_file() for run in runs):
            continue
        seeds = [_read(runs_dir / run.inputs.identity / FILE, truth.photo_ids) for run in runs]
        for part in (False, True) if never.any() else (None,):
            chosen = np.ones(len(truth), bool) if part is None else never == part
            if row := _row(seeds, truth, chosen, part, runs[0], section_of(runs[0])):
                rows.append(row)
    return tuple(sorted(rows, key=lambda row: (row.section, bool(row.held_out), -row.top_percent, row.method)))


def _row(
    seeds: Sequence[MapAnswers], truth: Truth, chosen: NDArray[np.bool_], part: bool | None, run: Run, section: str
) -> MapRow | None:
    places = seeds[0].places
    own = np.where(chosen, own_cells(truth.places, places, reach_km(places)), -1)
    if not (own >= 0).any():
        return None
    ranks = np.stack([one.ranks(own)[own >= 0] for one in seeds])
    best = max(1, len(places) // 100)
    return MapRow(
        " ".join(printable(run.inputs.method).split()),
        " ".join(printable(run.title).split()),
        section,
        len(places),
        ranks.shape[1],
        part,
        float((ranks <= best).mean()),
        best / len(places),
        float(np.median(ranks) / len(places)),
    )


def _read(path: Path, photo_ids: Sequence[str]) -> MapAnswers:
    answers = MapAnswers.of_bytes(path.read_bytes(), str(path))
    if list(answers.photo_ids) != list(photo_ids):
        raise DataError(f"{path}: is of other photos; delete its folder and run `t15 bench` again")
    return answers


def lines(rows: Sequence[MapRow]) -> list[list[str]]:
    """Return the lines of a table, under HEADER."""
    parts = {None: "all", False: "trained", True: "held out"}
    return [
        [
            row.title,
            parts[row.held_out],
            str(row.cells),
            str(row.photos),
            *(f"{100 * of:.1f}" for of in (row.top_percent, row.chance, row.rank)),
        ]
        for row in rows
    ]
