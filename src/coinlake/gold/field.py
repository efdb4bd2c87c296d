"""Coins' days on one calendar, and a rule's events on it: rows, of which those of some coins become arrays [coin, day].

Columns are numpy arrays by name: numbers that are not known are NaN, days are whole days.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coinlake.gold import trading
from coinlake.gold.rules.rule import Rule
from coinlake.ids import BITCOINS, among

COINS_AT_ONCE = 64

Columns = Mapping[str, NDArray[Any]]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Field:
    """Days of coins; `coin` and `place` say whose a row is and where it lies on the calendar, which has no holes.
    `bitcoin` holds bitcoin's closes by the calendar.
    """

    columns: Columns
    coins: NDArray[Any]
    calendar: NDArray[np.datetime64]
    coin: NDArray[np.int64]
    place: NDArray[np.int64]
    breaks: NDArray[np.bool_]
    bitcoin: Floats

    @staticmethod
    def of(
        days: Columns,
        coins: Collection[str] | None = None,
        bitcoin: Collection[str] = BITCOINS,
        until: np.datetime64 | None = None,
    ) -> Field:
        """From rows of `gold.indicators` (`coin_id`, `day`, `close_usd`, `source`, `is_break`), sorted by coin and day.

        Args:
            coins: whose days are looked at, everyone's by default; the calendar is that of all rows either way.
            bitcoin: what bitcoin is called.
            until: the last day of the calendar, by default that of the rows; what is later is left out.
        """
        calendar = _calendar(days["day"], until)
        days = days if until is None else chosen(days, days["day"] <= until)
        beside = _beside(calendar, chosen(days, among(days["coin_id"], bitcoin)))
        days = days if coins is None else chosen(days, np.isin(days["coin_id"], list(coins)))
        starts, coin = _runs(days["coin_id"])
        breaks = trading.broken(days)
        breaks[starts] = False
        return Field(days, days["coin_id"][starts], calendar, coin, _places(calendar, days["day"]), breaks, beside)

    def opens(self, rule: Rule) -> NDArray[np.int64]:
        """By coin, where on the calendar the first close lies at which the rule could trade: the one after the first
        day on which all it reads is known. Beyond the calendar where there is none.
        """
        ready = np.logical_and.reduce([_known(self.columns[name]) for name in rule.reads])
        place = np.flatnonzero(ready[:-1] & (self.coin[1:] == self.coin[:-1])) + 1
        coin, first = np.unique(self.coin[place], return_index=True)
        opens = np.full(len(self.coins), len(self.calendar))
        opens[coin] = self.place[place[first]]
        return opens

    def part(self, first: int = 0, last: int | None = None) -> tuple[Floats, NDArray[np.bool_]]:
        """Closes and breaks of some coins (from the number `first` to before `last`), or of all: [coin, day]."""
        last = len(self.coins) if last is None else last
        rows = slice(*np.searchsorted(self.coin, (first, last)))
        at = (self.coin[rows] - first, self.place[rows])
        close = np.full((last - first, len(self.calendar)), np.nan)
        breaks = np.zeros(close.shape, dtype=bool)
        close[at], breaks[at] = self.columns["close_usd"][rows], self.breaks[rows]
        return np.where(close > 0, close, np.nan), breaks

    def parts(self) -> Iterator[tuple[int, int]]:
        """The numbers of all coins, as many at once as fit into memory side by side: the first, and the one after."""
        for first in range(0, len(self.coins), COINS_AT_ONCE):
            yield first, min(first + COINS_AT_ONCE, len(self.coins))


def _calendar(day: NDArray[np.datetime64], until: np.datetime64 | None) -> NDArray[np.datetime64]:
    if not len(day):
        return np.array([], dtype="datetime64[D]")
    return np.arange(day.min(), (day.max() if until is None else until) + np.timedelta64(1, "D"))


def _places(calendar: NDArray[np.datetime64], day: NDArray[np.datetime64]) -> NDArray[np.int64]:
    return (day - calendar[0]).astype(np.int64) if len(calendar) else np.full(len(day), -1)


def _beside(calendar: NDArray[np.datetime64], its: Columns) -> Floats:
    close = np.full(len(calendar), np.nan)
    close[_places(calendar, its["day"])] = its["close_usd"]
    return close


def _runs(values: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of a sorted column: where each value begins, and the number of its run, by row."""
    begins = np.r_[True, values[1:] != values[:-1]] if len(values) else np.zeros(0, dtype=bool)
    return np.flatnonzero(begins), np.cumsum(begins) - 1


def _known(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Numbers that are known, flags that are set."""
    return np.asarray(~np.isnan(values) if values.dtype.kind == "f" else values.astype(bool))


def chosen(columns: Columns, where: NDArray[np.bool_]) -> Columns:
    """Some of the rows."""
    return {name: column[where] for name, column in columns.items()}


@dataclass(frozen=True)
class Events:
    """Events of one rule: the number of the coin, the place on the calendar, +1 (up) or -1 (down); sorted by coin."""

    coin: NDArray[np.int64]
    place: NDArray[np.int64]
    sign: NDArray[np.int8]

    @staticmethod
    def of(field: Field, events: Columns) -> Events:
        """From rows of `gold.signals` (`coin_id`, `day`, `direction`) in any order, as far as the field has them."""
        number = {coin: place for place, coin in enumerate(field.coins)}
        coin = np.array([number.get(each, -1) for each in events["coin_id"]], dtype=np.int64)
        place = _places(field.calendar, events["day"])
        inside = np.flatnonzero((coin >= 0) & (place >= 0) & (place < len(field.calendar)))
        order = inside[np.argsort(coin[inside], kind="stable")]
        sign = np.where(events["direction"][order] == "up", 1, -1).astype(np.int8)
        return Events(coin[order], place[order], sign)

    def part(self, shape: tuple[int, ...], first: int = 0) -> NDArray[np.int8]:
        """Those of the coins from the number `first` on, in an array [coin, day] of that shape."""
        rows = slice(*np.searchsorted(self.coin, (first, first + shape[0])))
        made = np.zeros(shape, dtype=np.int8)
        made[self.coin[rows] - first, self.place[rows]] = self.sign[rows]
        return made
