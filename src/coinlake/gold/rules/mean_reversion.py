"""The stance against the 7-day average: under it, while the price moves at all, BUY; over it SELL; else WAIT.

The simplest bet on a return to the mean, and the busiest rule here: the stance changes every few days, so costs of 30
basis points a round trip eat most of what there is. An event is a change of stance to BUY or to SELL. "Moves at all"
means that the volatility of the same seven days is 10 % a year or more: a peg's noise around one dollar is none. Nor
is there anything to say while a price of the seven days was cut off to two digits: the average is as rough as they.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coinlake.gold.rules.rule import QUIET, Days, Fired, Rule, saturating
from coinlake.gold.rules.words import gain, usd

FAR = 0.05
"""A price so far from its average has strength one half."""
WINDOW_DAYS = 7

BUY, SELL, WAIT = "BUY", "SELL", "WAIT"


def stance(days: Days) -> NDArray[np.int8]:
    """1 for BUY, -1 for SELL, 0 for WAIT, which is also the answer where something is not known."""
    away = days["close_usd"] - days["sma_7d"]
    moves = (days.volatility(WINDOW_DAYS) >= QUIET) & ~is_rough(days)
    return np.asarray((moves & (away < 0)).astype(np.int8) - (moves & (away > 0)).astype(np.int8))


def is_rough(days: Days) -> NDArray[np.bool_]:
    """Where a price of the seven days was so cut off that what moves is its rounding."""
    return np.asarray(days.is_coarse | ~days.none_within(days.is_coarse, WINDOW_DAYS - 1))


def fires(days: Days) -> Fired:
    """Where the stance became BUY (up) or SELL (down), and was something else the day before."""
    now = stance(days)
    was = np.where(np.isnan(days.before(days["sma_7d"])), np.nan, days.before(now))
    changed = ~np.isnan(was) & (was != now)
    away = days["close_usd"] / days["sma_7d"] - 1
    numbers = {"close_usd": days["close_usd"], "sma_7d": days["sma_7d"], "from_average": away}
    return Fired(changed & (now > 0), changed & (now < 0), saturating(np.abs(away), FAR), numbers)


RULE = Rule(
    name="mean_reversion",
    title="Mean reversion against the 7-day average",
    reads=("sma_7d",),
    fires=fires,
    shown={"close_usd": usd, "sma_7d": usd, "from_average": gain},
    strength="how far the price is from its 7-day average: 0.5 at 5 %",
    up="BUY: the price ({close_usd}) is under its 7-day average ({sma_7d}, {from_average})",
    down="SELL: the price ({close_usd}) is over its 7-day average ({sma_7d}, {from_average})",
)
