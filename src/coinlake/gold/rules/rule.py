"""What a rule is, and the days it looks at. A rule sees whole columns; what it may compare is asked of `Days`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

ONE_DAY = np.timedelta64(1, "D")
MONTH_DAYS, YEAR_DAYS = 30, 365
"""A coin is judged to move by the returns known within a month."""
_APART = 2**20
"""More days than any two can lie apart."""
QUIET = 0.10
"""Annualised volatility below which a coin counts as standing still: half a percent a day, little more than what a
round trip costs. Pegs stay below it, other coins above: the calmest month of bitcoin until 2022 had 13.5 %."""

TINY, DIGITS, COARSE_FOR = 1e-3, 2, 30
"""A price under so many dollars with so few digits on each of so many days was cut off by its source, as files with six
decimals do: half of its returns are zero, and the others are the rounding."""
NARROWED = 1e-5
"""How far two digits, as a number up to 99, may lie from a whole one. Sources that keep float32 hold 9e-6 as
9.000000318337698e-06: it errs by up to 6e-8 of a price, which is 6e-6 of 99. A third digit is 0.1 away."""


@dataclass(frozen=True)
class Days:
    """Rows of `gold.indicators` as columns, sorted by coin, source and day; NaN is unknown.

    A segment is an unbroken series: one coin, one source, one unit of the price. Nothing is compared across its ends.
    """

    columns: Mapping[str, NDArray[Any]]

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    def converged(self, name: str, by: str) -> Floats:
        """A column, unknown where the flag `by` does not say that it has converged."""
        return np.where(self.columns[by].astype(bool), self.columns[name], np.nan)

    @cached_property
    def begins(self) -> Flags:
        """Where a segment begins."""
        first = np.ones(len(self["day"]), dtype=bool)
        first[1:] = (self["coin_id"][1:] != self["coin_id"][:-1]) | (self["source"][1:] != self["source"][:-1])
        return np.asarray(first | self["is_break"].astype(bool))

    @cached_property
    def follows(self) -> Flags:
        """Where the row before is the calendar day before, of the same segment."""
        after = np.zeros(len(self["day"]), dtype=bool)
        after[1:] = np.diff(self["day"]) == ONE_DAY
        return after & ~self.begins

    @cached_property
    def moves(self) -> Flags:
        """Where the coin is known to move, by whatever returns of a month are known, and its price has the digits to
        say so. (A window of 30 days would not do: of a coin that lacks two of them it is unknown for a month.) A
        segment's first day tells nothing yet.
        """
        volatility = self.volatility(MONTH_DAYS)
        return np.asarray(((volatility >= QUIET) | (np.isnan(volatility) & self.begins)) & ~self.is_coarse)

    def volatility(self, days: int) -> Floats:
        """Annualised volatility of the log returns known within so many days, around zero; unknown without one."""
        returns = self["log_return_1d"]
        place = self._segment * _APART + self["day"].astype("datetime64[D]").astype(np.int64)
        first = np.searchsorted(place, place - days, side="right")
        count, squares = (np.r_[0.0, np.cumsum(each)] for each in (~np.isnan(returns), np.nan_to_num(returns) ** 2))
        known, total = (each[1:] - each[first] for each in (count, squares))
        found = np.sqrt(np.divide(YEAR_DAYS * np.maximum(total, 0.0), known, where=known > 0, out=np.zeros(len(place))))
        return np.where(known > 0, found, np.nan)

    @cached_property
    def is_coarse(self) -> Flags:
        """Where all prices of a month are so cut off that what moves is their rounding."""
        close = self["close_usd"]
        with np.errstate(divide="ignore", invalid="ignore"):
            shown = close / 10.0 ** (np.floor(np.log10(close)) - (DIGITS - 1))
        coarse = (close < TINY) & (np.abs(shown - np.round(shown)) < NARROWED)
        return np.asarray(coarse & self.none_within(~coarse, COARSE_FOR - 1))

    def before(self, values: NDArray[Any]) -> Floats:
        """The values of the calendar day before; unknown where there is none to compare with."""
        shifted = np.full(len(values), np.nan)
        shifted[1:] = values[:-1]
        return np.where(self.follows, shifted, np.nan)

    def back(self, rows: int) -> tuple[slice, slice, NDArray[np.int64]]:
        """Each row beside the one `rows` before it: where the later and the earlier lie, and how many days apart they
        are (a great many where a segment's end lies between)."""
        later, earlier = slice(rows, None), slice(None, -rows)
        apart = (self["day"][later] - self["day"][earlier]).astype(np.int64)
        return later, earlier, np.where(self._segment[later] == self._segment[earlier], apart, np.iinfo(np.int64).max)

    def none_within(self, happened: Flags, days: int) -> Flags:
        """Where nothing happened on any of the `days` days before (the day itself is not asked)."""
        place = np.arange(len(happened))
        last = np.maximum.accumulate(np.where(happened, place, -1)) if len(happened) else place
        before = np.r_[-1, last[:-1]][: len(last)]
        same = (before >= 0) & (self._segment[before] == self._segment)
        recent = self["day"] - self["day"][before] <= days * ONE_DAY
        return np.asarray(~(same & recent))

    @cached_property
    def _segment(self) -> NDArray[np.int64]:
        return np.cumsum(self.begins)


@dataclass(frozen=True)
class Fired:
    """Where a rule fires, upwards or downwards, how strongly (0 to 1), and the numbers that this rests on."""

    up: Flags
    down: Flags
    strength: Floats
    numbers: Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Rule:
    """One rule. `up` and `down` are its sentences, with the names of its numbers in braces; `shown` says how each of
    these is written for a person. `strength` tells in words what the strength is.

    A rule without a `down` sentence never fires downwards. Without `holding_days` a position is held until the rule
    fires the other way; with them, for so many days after the last event, or until it fires the other way.
    `reads` are the columns that must be known before the rule can be judged at all.
    """

    name: str
    title: str
    reads: tuple[str, ...]
    fires: Callable[[Days], Fired]
    shown: Mapping[str, Callable[[float], str]]
    strength: str
    up: str
    down: str = ""
    holding_days: int | None = None
    compares_coins: bool = False


def crossed(days: Days, gap: Floats) -> tuple[Flags, Flags]:
    """Where a gap turned positive, and where it turned negative, since the day before."""
    was = days.before(gap)
    return (was <= 0) & (gap > 0), (was >= 0) & (gap < 0)


def saturating(size: Floats, half: float) -> Floats:
    """A size from 0 on as a strength: 0 at nothing, one half at `half`, towards 1 beyond; the larger the stronger."""
    size = np.maximum(size, 0.0)
    return np.asarray(size / (size + half))


def never(days: Days) -> Flags:
    """On no day."""
    return np.zeros(len(days["day"]), dtype=bool)
