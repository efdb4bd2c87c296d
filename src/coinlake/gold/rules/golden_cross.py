"""The 50-day average of the close crosses its 200-day average: upwards a golden cross, downwards a death cross.

The oldest trend rule there is. It says that the past two months were better, or worse, than the past half year. It is
late by construction: at a cross the move is often half over. It keeps one out of long declines and pays for that
with false alarms whenever a market goes sideways. A coin sees about one cross in half a year, so even ten years of
one coin are few cases.
"""

from __future__ import annotations

import numpy as np

from coinlake.gold.rules.rule import Days, Fired, Rule, crossed, saturating
from coinlake.gold.rules.words import usd

STEEP = 0.0025
"""A gap that opens by so much of the price in a day has strength one half."""


def fires(days: Days) -> Fired:
    """Where the two averages change places."""
    fast, slow = days["sma_50d"], days["sma_200d"]
    gap = fast / slow - 1
    up, down = crossed(days, gap)
    return Fired(up, down, saturating(np.abs(gap - days.before(gap)), STEEP), {"sma_50d": fast, "sma_200d": slow})


RULE = Rule(
    name="golden_cross",
    title="Golden and death cross (50/200 days)",
    reads=("sma_50d", "sma_200d"),
    fires=fires,
    shown={"sma_50d": usd, "sma_200d": usd},
    strength="how fast the averages part: 0.5 where the gap opens by 0.25 % of the price in a day",
    up="Golden cross: the 50-day average ({sma_50d}) rose above the 200-day average ({sma_200d})",
    down="Death cross: the 50-day average ({sma_50d}) fell below the 200-day average ({sma_200d})",
)
