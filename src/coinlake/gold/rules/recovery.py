"""The coin climbs back over half of its peak, after at least 30 days under it.

Most coins that lose far more than half never see their peak again; those that come back this far have proven a turn,
and the rule pays much more for them than those who bought the bottom. It knows no natural exit: a position is held for
90 days.
"""

from __future__ import annotations

from coinlake.gold.rules.rule import Days, Fired, Rule, never, saturating
from coinlake.gold.rules.words import gain, usd, whole

DEEP = -0.5
UNDER_DAYS = 30
LONG_DAYS = 365.0
"""A peak so many days ago has strength one half."""


def fires(days: Days) -> Fired:
    """Where the drawdown passes one half from below, the first time in a while."""
    drawdown = days["drawdown"]
    back = drawdown >= DEEP
    up = back & (days.before(drawdown) < DEEP) & days.none_within(back, UNDER_DAYS)
    numbers = {
        "close_usd": days["close_usd"],
        "peak_usd": days["peak_usd"],
        "drawdown": drawdown,
        "days_since_peak": days["days_since_peak"],
    }
    return Fired(up, never(days), saturating(days["days_since_peak"].astype(float), LONG_DAYS), numbers)


RULE = Rule(
    name="recovery",
    title="Recovery from a deep drawdown (back over half of the peak)",
    reads=("drawdown",),
    fires=fires,
    shown={"close_usd": usd, "peak_usd": usd, "drawdown": gain, "days_since_peak": whole},
    strength="how long ago the peak was: 0.5 after a year",
    up="At {close_usd} it is back over half of its peak of {peak_usd}, {days_since_peak} days ago",
    holding_days=90,
)
