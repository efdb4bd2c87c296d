"""Cross-sectional momentum: the coin enters the best tenth of all coins by 30-day return, or the worst.

Winners over a month tend to go on winning for another; among shares that is the best documented anomaly there is,
among coins it has been weaker, and crashes undo a year of it in a week. It compares coins, so it depends on which
coins the lake knows: a lake of today's largest knows only those that survived, and its rows say
`survivorship_biased`. Coins that stand still are not ranked, and ten coins are needed for a tenth.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coinlake.gold.rules.rule import Days, Fired, Rule
from coinlake.gold.rules.words import gain, whole

TENTHS, MINIMUM_COINS = 10, 10


def places(day: NDArray[np.datetime64], value: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """For each row: how many coins of its day have a larger value, how many a smaller one, and how many are ranked."""
    larger, smaller, ranked = (np.full(len(day), np.nan) for _ in range(3))
    known = np.flatnonzero(~np.isnan(value))
    order = known[np.lexsort((value[known], day[known]))]
    of_day, sorted_value = day[order], value[order]
    starts = np.flatnonzero(np.r_[True, of_day[1:] != of_day[:-1]]) if len(order) else order
    ends = np.r_[starts[1:], len(order)].astype(np.int64)[: len(starts)]
    group = np.repeat(np.arange(len(starts)), ends - starts)
    first, after = _ties(of_day, sorted_value)
    smaller[order] = first - starts[group]
    larger[order] = ends[group] - after
    ranked[order] = (ends - starts)[group]
    return larger, smaller, ranked


def _ties(day: NDArray[np.datetime64], value: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of sorted rows: where the equal values of the same day begin and end."""
    if not len(day):
        return np.array([], dtype=np.int64), np.array([], dtype=np.int64)
    begins = np.flatnonzero(np.r_[True, (day[1:] != day[:-1]) | (value[1:] != value[:-1])])
    sizes = np.diff(np.r_[begins, len(day)])
    return np.repeat(begins, sizes), np.repeat(begins + sizes, sizes)


def fires(days: Days) -> Fired:
    """Where a coin is in the best or the worst tenth of its day, and was not the day before, though ranked."""
    value = np.where(days.moves, days["return_30d"], np.nan)
    larger, smaller, ranked = places(days["day"], value)
    size = np.where(ranked >= MINIMUM_COINS, ranked // TENTHS, np.nan)
    best, worst = larger < size, smaller < size
    comparable = ~np.isnan(days.before(size))
    up = best & comparable & (days.before(best) == 0)
    down = worst & comparable & (days.before(worst) == 0)
    strength = np.clip(1 - np.where(best, larger, smaller) / size, 0, 1)
    return Fired(up, down, strength, {"return_30d": value, "place": larger + 1, "coins": ranked})


RULE = Rule(
    name="momentum",
    title="Momentum among coins (best and worst tenth over 30 days)",
    reads=("return_30d",),
    fires=fires,
    shown={"return_30d": gain, "place": whole, "coins": whole},
    strength="the place within the tenth: 1 for the best (or worst) coin of all, towards 0 at the tenth's edge",
    up="Its 30-day return of {return_30d} entered the best tenth: place {place} of {coins} coins",
    down="Its 30-day return of {return_30d} fell into the worst tenth: place {place} of {coins} coins",
    holding_days=30,
    compares_coins=True,
)
