"""Series laid out by day: rows of coins and days as arrays of [series, day], with NaN where a day has no row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coinlake.engine.series import runs

BLOCK = 25 * 3650
"""Days of all series that are computed at once: enough to spare Python, few enough for the processor's cache."""


@dataclass(frozen=True)
class Grid:
    """Some series, laid out from their first day to their last. `series` and `place` tell where each row lies, `starts`
    which is the first of each series.
    """

    origin: int
    days: int
    series: NDArray[np.int64]
    place: NDArray[np.int64]
    starts: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, int]:
        """[series, day]."""
        return len(self.starts), self.days

    @property
    def is_full(self) -> bool:
        """Whether every day of every series has a row: the rows then lie as they are laid out."""
        return len(self.series) == len(self.starts) * self.days

    def lay(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Values of rows as [series, day]; NaN where a day has no row."""
        if self.is_full:
            return values.astype(float).reshape(self.shape)
        laid = np.full(self.shape, np.nan)
        laid[self.series, self.place] = values
        return laid

    def rows(self, laid: NDArray[Any]) -> NDArray[Any]:
        """Values of [series, day] as those of the rows."""
        flat = np.ravel(laid)
        return flat if self.is_full else flat[self._at]

    def since(self, first: int) -> Grid:
        """The same series from a day on, by its place. `starts` stay those of the whole, and say how many series."""
        mine = self.place >= first
        return Grid(self.origin + first, self.days - first, self.series[mine], self.place[mine] - first, self.starts)

    @cached_property
    def _at(self) -> NDArray[np.int64]:
        return self.series * self.days + self.place


def blocks(columns: Mapping[str, NDArray[Any]], by: tuple[str, ...], day: str = "day") -> Iterator[tuple[slice, Grid]]:
    """Slices of rows that are ordered by series and day, each with its grid, about `BLOCK` days at a time."""
    length = len(columns[day])
    if not length:
        return
    starts, _ = runs(*(columns[name] for name in by))
    numbers = columns[day].astype("datetime64[D]").astype(np.int64)
    at_once = max(BLOCK // int(numbers.max() - numbers.min() + 1), 1)
    for first in range(0, len(starts), at_once):
        mine = starts[first : first + at_once]
        end = starts[first + at_once] if first + at_once < len(starts) else length
        rows = slice(int(mine[0]), int(end))
        days = numbers[rows]
        origin = int(days.min())
        series = np.repeat(np.arange(len(mine)), np.diff(np.r_[mine, end]))
        yield rows, Grid(origin, int(days.max()) - origin + 1, series, days - origin, mine - mine[0])
