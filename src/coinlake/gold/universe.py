"""Who was there: by day, the coins of the market list that was seen on it. Who was never listed is nobody's choice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coinlake.engine.series import runs

LARGEST = 250
"""Most coins in the universe of a day."""
RANKS_KNOWN = 0.9
"""Share of the ranks that must be known for the universe to be that of the day."""
LISTED = ("coin_id", "observed_at", "rank")
"""The columns of `silver.markets` that tell."""

Columns = Mapping[str, NDArray[Any]]


def day_of(moments: NDArray[Any]) -> NDArray[Any]:
    """The day that each moment belongs to: 00:00 is the last of the day before."""
    return (moments - np.timedelta64(1, "us")).astype("datetime64[D]")


@dataclass(frozen=True)
class Universes:
    """The days whose list is known, and who was on it: a coin's number and a day make one of the sorted `members`."""

    numbers: Mapping[str, int]
    days: NDArray[np.int64]
    members: NDArray[np.int64]

    @staticmethod
    def of(lists: Columns) -> Universes:
        """From rows of `silver.markets` (`coin_id`, `observed_at`, `rank`), by moment and coin: of each day the last
        look at a coin, those of rank, at least.
        """
        numbers = {coin: number for number, coin in enumerate(sorted(set(lists["coin_id"].tolist())))}
        day, coin = day_of(lists["observed_at"]).astype(np.int64), _numbered(numbers, lists["coin_id"])
        newest = _last_of_each(day * len(numbers) + coin)
        newest = newest[~np.isnan(lists["rank"][newest].astype(float))]
        day, coin, rank = day[newest], coin[newest], lists["rank"][newest].astype(float)
        order = np.lexsort((coin, rank, day))
        there = order[_were_there(day[order], rank[order])]
        return Universes(numbers, np.unique(day[there]), np.sort(day[there] * len(numbers) + coin[there]))

    def listed(self, day: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether the list of each day is known."""
        return np.isin(_number_of(day), self.days)

    def complete(self, there: NDArray[np.bool_], day: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether the list of each row's day is known, and the rows hold every coin on it (`there` says which of them
        are): one that lacks may be added later, and what was told of the day would be another.
        """
        number = _number_of(day)
        of_day, found = np.unique(number[there], return_counts=True)
        days, wanted = np.unique(self.members // max(len(self.numbers), 1), return_counts=True)
        place = np.searchsorted(of_day, days)
        held = np.append(found, 0)[np.where(np.append(of_day, -1)[place] == days, place, len(found))]
        return np.isin(number, days[held == wanted])

    def there(self, coin: NDArray[Any], day: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether each coin was on the list of its day."""
        number = _numbered(self.numbers, coin)
        return np.isin(_number_of(day) * len(self.numbers) + number, self.members) & (number >= 0)


def _number_of(day: NDArray[Any]) -> NDArray[np.int64]:
    """Days since 1970."""
    return day.astype("datetime64[D]").astype(np.int64)


def _numbered(numbers: Mapping[str, int], coins: NDArray[Any]) -> NDArray[np.int64]:
    starts, lengths = runs(coins)  # neighbours are often one coin
    return np.repeat(np.array([numbers.get(coin, -1) for coin in coins[starts].tolist()], dtype=np.int64), lengths)


def _last_of_each(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of each key's last row."""
    order = np.argsort(keys, kind="stable")
    return order[np.r_[keys[order][1:] != keys[order][:-1], True]] if len(keys) else order


def _were_there(day: NDArray[np.int64], rank: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Of rows by day and rank, those down to the rank by which more than a tenth of the ranks is missing."""
    place = np.arange(len(day))
    begins = np.r_[True, day[1:] != day[:-1]][: len(day)]
    first = np.maximum.accumulate(np.where(begins, place, 0))
    number = place - first + 1
    enough = np.where((number <= LARGEST) & (number >= RANKS_KNOWN * rank), number, 0)
    of_day = np.cumsum(begins) - 1
    last = np.zeros(int(begins.sum()), dtype=np.int64)
    np.maximum.at(last, of_day, enough)
    return np.asarray(number <= last[of_day])
