"""The close is the highest of 365 days, the first such close after at least 30 days without one.

Anchoring: people hesitate to buy at a record, so the price moves too little at first and goes on for a while; with
shares that drift lasts months. In a bull market every coin gives this signal, in a bear market none does, so it
mostly says which of the two it is. There is no natural exit: a position is held for 90 days after the last record
that fired.
"""

from __future__ import annotations

import numpy as np

from coinlake.gold.rules.rule import Days, Fired, Rule, never, saturating
from coinlake.gold.rules.words import gain, usd

WITHOUT_DAYS = 30
FAR = 0.05
"""A close so far over the old high has strength one half."""


def fires(days: Days) -> Fired:
    """Where the close passes the high of the day before, the first time in a while."""
    close, high = days["close_usd"], days["high_365d_usd"]
    old = days.before(high)
    above = (close > old) & ~np.isnan(high)
    up = above & days.none_within(above, WITHOUT_DAYS)
    beyond = close / old - 1
    return Fired(up, never(days), saturating(beyond, FAR), {"close_usd": close, "old_high_usd": old, "above": beyond})


RULE = Rule(
    name="new_high",
    title="New 365-day high",
    reads=("high_365d_usd",),
    fires=fires,
    shown={"close_usd": usd, "old_high_usd": usd, "above": gain},
    strength="how far the close lies over the old high: 0.5 at 5 %",
    up="New 365-day high: {close_usd} passed the old one of {old_high_usd} ({above}), the first in a month",
    holding_days=90,
)
