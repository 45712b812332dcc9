"""Rasters in latitude and longitude, looked up for many places at once."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.float64]
"""(N, 2) latitude and longitude, degrees WGS84, in this order everywhere; NaN where a place is not known."""

_REACH = 12  # cells that are looked through for the nearest one of a kind


@dataclass(frozen=True)
class Grid:
    """Values in rows from north to south and columns from west to east.

    Attributes:
        values: (H, W).
        north, west: degrees of the centre of the first row and of the first column.
        step: degrees between rows, and between columns.
    """

    values: NDArray[Any]
    north: float
    west: float
    step: float

    def cells(self, places: Places) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """Return rows and columns of the cells that hold places, and whether they lie on the grid (else 0, 0).

        A grid all around the Earth has no edge at the date line; a pole belongs to the last row before it.
        """
        rows, columns = self._position(places)
        height, width = self.values.shape
        around = round(360 / self.step)
        known = np.isfinite(rows) & np.isfinite(columns)
        row, column = (np.rint(np.where(known, of, 0)).astype(np.int64) for of in (rows, columns))
        column = column % around if width >= around else column
        # Half a cell beyond the centre of the first or last row still belongs to it: a pole does.
        row = np.where((row == -1) & (rows >= -0.5 - 1e-9), 0, row)
        row = np.where((row == height) & (rows <= height - 0.5 + 1e-9), height - 1, row)
        inside = known & (row >= 0) & (row < height) & (column >= 0) & (column < width)
        return np.where(inside, row, 0), np.where(inside, column, 0), inside

    def nearest(self, places: Places) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return the value of the cell that holds each place, and whether there is one."""
        row, column, inside = self.cells(places)
        return self.values[row, column], inside

    def smooth(self, places: Places) -> NDArray[np.float64]:
        """Return bilinear values between the centres of cells; NaN outside."""
        rows, columns = self._position(places)
        _, _, inside = self.cells(places)
        height, width = self.values.shape
        rows, columns = (np.where(inside, of, 0.0) for of in (rows, columns))
        top, left = np.floor(rows).astype(np.int64), np.floor(columns).astype(np.int64)
        down, right = rows - top, columns - left
        around = round(360 / self.step)

        def at(row: NDArray[np.int64], column: NDArray[np.int64]) -> NDArray[np.float64]:
            column = column % around if width >= around else column.clip(0, width - 1)
            return np.asarray(self.values[row.clip(0, height - 1), column], np.float64)

        upper = at(top, left) * (1 - right) + at(top, left + 1) * right
        lower = at(top + 1, left) * (1 - right) + at(top + 1, left + 1) * right
        return np.where(inside, upper * (1 - down) + lower * down, np.nan)

    def around(self, row: int, column: int, reach: int) -> NDArray[Any]:
        """Return the cells at most so many rows and columns away; past the date line where the grid goes on there."""
        rows, columns = self._window(row, column, reach)
        found: NDArray[Any] = self.values[np.ix_(rows, columns % self.values.shape[1])]
        return found

    def nearest_but(self, places: Places, skipped: Any) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """As `nearest`, but where a cell holds the value `skipped` that of the nearest other cell, at most 12 cells away.

        For coasts: a photo taken on a quay lies in a cell of the sea. Distances are taken on the ground, a degree of
        longitude being shorter than one of latitude.
        """
        nearest_values, inside = self.nearest(places)
        row, column, _ = self.cells(places)
        nearest_values = nearest_values.copy()
        for at in np.flatnonzero(inside & (nearest_values == skipped)):
            window = self._nearest_other(int(row[at]), int(column[at]), float(places[at, 0]), skipped)
            if window is None:
                inside[at] = False
            else:
                nearest_values[at] = window
        return nearest_values, inside

    def _nearest_other(self, row: int, column: int, latitude: float, skipped: Any) -> Any | None:
        rows, columns = self._window(row, column, _REACH)
        values = self.values[np.ix_(rows, columns % self.values.shape[1])]
        shrink = np.cos(np.radians(latitude))
        squares = (rows - row)[:, None] ** 2 + ((columns - column)[None] * shrink) ** 2
        squares = np.where((values == skipped) | (squares > _REACH**2), np.inf, squares)
        best = int(squares.argmin())
        return None if not np.isfinite(squares.flat[best]) else values.flat[best]

    def _window(self, row: int, column: int, reach: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the rows and columns around a cell; columns go past the date line where the grid goes on there."""
        height, width = self.values.shape
        rows = np.arange(max(0, row - reach), min(height, row + reach + 1))
        columns = np.arange(column - reach, column + reach + 1)
        if width < round(360 / self.step):
            columns = columns[(columns >= 0) & (columns < width)]
        return rows, columns

    def _position(self, places: Places) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        latitude = places[:, 0]
        latitude = np.where(np.abs(latitude) <= 90, latitude, np.nan)
        longitude = np.mod(places[:, 1] - self.west + self.step / 2, 360.0) - self.step / 2
        return (self.north - latitude) / self.step, longitude / self.step
