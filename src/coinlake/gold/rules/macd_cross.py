"""MACD (EMA 12 less EMA 26) crosses its own 9-day signal line: momentum turned up, or down.

A rule for swings of weeks. It fires once or twice a month per coin and is right about as often as a coin toss in a
market without a trend; what it earns comes from a few long moves. With that many trades, costs decide.
"""

from __future__ import annotations

import numpy as np

from coinlake.gold.rules.rule import Days, Fired, Rule, crossed, saturating
from coinlake.gold.rules.words import usd

STEEP = 0.005
"""A histogram that changes by so much of the price in a day has strength one half."""


def fires(days: Days) -> Fired:
    """Where the histogram changes its sign."""
    histogram = days.converged("macd_histogram", "macd_converged")
    up, down = crossed(days, histogram)
    turn = np.abs(histogram - days.before(histogram)) / days["close_usd"]
    numbers = {"macd": days["macd"], "macd_signal": days["macd_signal"], "close_usd": days["close_usd"]}
    return Fired(up, down, saturating(turn, STEEP), numbers)


RULE = Rule(
    name="macd_cross",
    title="MACD crosses its signal line (12/26/9 days)",
    reads=("macd_histogram", "macd_converged"),
    fires=fires,
    shown={"macd": usd, "macd_signal": usd, "close_usd": usd},
    strength="how sharply momentum turns: 0.5 where the histogram changes by 0.5 % of the price in a day",
    up="MACD ({macd}) rose above its signal line ({macd_signal}) with the price at {close_usd}",
    down="MACD ({macd}) fell below its signal line ({macd_signal}) with the price at {close_usd}",
)
