"""The close leaves the Bollinger bands (20 days, two standard deviations): over the upper, or under the lower.

A rule that follows: a move of that size tends to be the start of something, or so its friends say; those of
`bollinger_reentry` say the opposite, and both cannot be right about the same coin. The bands are made of the same
closes that leave them, and coins jump, so about one day in eight lies outside, where a bell curve has one in
twenty.
"""

from __future__ import annotations

import numpy as np

from coinlake.gold.rules.rule import Days, Fired, Rule, saturating
from coinlake.gold.rules.words import usd

WIDE = 0.25
"""A close so many band widths outside has strength one half."""


def fires(days: Days) -> Fired:
    """Where the close is outside, and was inside the day before."""
    place = days["percent_b_20d"]
    was = days.before(place)
    up, down = (was <= 1) & (place > 1), (was >= 0) & (place < 0)
    numbers = {name: days[name] for name in ("close_usd", "bollinger_upper_20d", "bollinger_lower_20d")}
    return Fired(up, down, saturating(np.maximum(place - 1, -place), WIDE), numbers)


RULE = Rule(
    name="bollinger_breakout",
    title="Breakout from the Bollinger bands (20 days, 2 sigma)",
    reads=("percent_b_20d",),
    fires=fires,
    shown={"close_usd": usd, "bollinger_upper_20d": usd, "bollinger_lower_20d": usd},
    strength="how far outside the close lies: 0 at the band, 0.5 at a quarter of the bands' width beyond it",
    up="The price ({close_usd}) broke out over its upper Bollinger band ({bollinger_upper_20d})",
    down="The price ({close_usd}) broke down under its lower Bollinger band ({bollinger_lower_20d})",
)
