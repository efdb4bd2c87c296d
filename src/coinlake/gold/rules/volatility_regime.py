"""The volatility of 30 days leaves its usual size, that of 90 days: it grows to 1.4 times of it, or shrinks to 0.7.

Volatility comes in clusters, and that is one of the few things about markets that can be forecast. Which way the
price goes cannot: "down" is a call to carry less risk, for turmoil is dearer to hold, and "up" says that calm has come.
The rule stays out from turmoil to calm. It may lower the swings of an account without raising what it earns.
"""

from __future__ import annotations

import numpy as np

from coinlake.gold.rules.rule import Days, Fired, Rule, saturating
from coinlake.gold.rules.words import percent, two_digits

TURMOIL, CALM = 1.4, 0.7
SHARP = 0.1
"""A ratio that changes by a factor of e to so much in a day has strength one half (0.1: by about 10 %)."""


def fires(days: Days) -> Fired:
    """Where the ratio of the two passes a bound."""
    short, long = days["volatility_30d"], days["volatility_90d"]
    ratio = np.divide(short, long, out=np.full(len(short), np.nan), where=(short > 0) & (long > 0))
    was = days.before(ratio)
    calmer, wilder = (was > CALM) & (ratio <= CALM), (was < TURMOIL) & (ratio >= TURMOIL)
    numbers = {"volatility_30d": short, "volatility_90d": long, "ratio": ratio}
    return Fired(calmer, wilder, saturating(np.abs(np.log(ratio) - np.log(was)), SHARP), numbers)


RULE = Rule(
    name="volatility_regime",
    title="Change of volatility regime (30 against 90 days)",
    reads=("volatility_30d", "volatility_90d"),
    fires=fires,
    shown={"volatility_30d": percent, "volatility_90d": percent, "ratio": two_digits},
    strength="how sharply the regime changed: 0.5 where the ratio moves by 10 % in a day",
    up="Calm came: volatility of 30 days is {volatility_30d}, {ratio} times that of 90 days ({volatility_90d})",
    down="Turmoil came: volatility of 30 days is {volatility_30d}, {ratio} times that of 90 days ({volatility_90d})",
)
