"""The close comes back inside the Bollinger bands: from under the lower one (up), from over the upper one (down).

The opposite bet to `bollinger_breakout`: what went too far comes back to the middle. It works where a market swings
within a range, and buys all the way down in a crash, each return into the bands being followed by the next fall.
"""

from __future__ import annotations

import numpy as np

from coinlake.gold.rules.rule import Days, Fired, Rule, saturating
from coinlake.gold.rules.words import usd

WIDE = 0.25
"""A close so many band widths outside the day before has strength one half."""


def fires(days: Days) -> Fired:
    """Where the close is inside, and was outside the day before."""
    place = days["percent_b_20d"]
    was = days.before(place)
    inside = (place >= 0) & (place <= 1)
    numbers = {name: days[name] for name in ("close_usd", "bollinger_lower_20d", "bollinger_upper_20d")}
    strength = saturating(np.maximum(was - 1, -was), WIDE)
    return Fired(inside & (was < 0), inside & (was > 1), strength, numbers)


RULE = Rule(
    name="bollinger_reentry",
    title="Return into the Bollinger bands (20 days, 2 sigma)",
    reads=("percent_b_20d",),
    fires=fires,
    shown={"close_usd": usd, "bollinger_lower_20d": usd, "bollinger_upper_20d": usd},
    strength="how far outside the close was the day before: 0.5 at a quarter of the bands' width beyond the band",
    up="The price ({close_usd}) came back over its lower Bollinger band ({bollinger_lower_20d})",
    down="The price ({close_usd}) came back under its upper Bollinger band ({bollinger_upper_20d})",
)
