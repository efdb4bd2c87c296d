"""RSI 14 leaves an extreme: back over 30 after it was oversold, back under 70 after it was overbought.

It waits for the turn and does not catch the falling knife itself. In a strong trend RSI stays at an extreme for weeks,
and in a bull market the sale at 70 comes too early: the rule bets that what went far comes back, and loses
where it goes on.
"""

from __future__ import annotations

import numpy as np

from coinlake.gold.rules.rule import Days, Fired, Rule
from coinlake.gold.rules.words import one_digit

OVERSOLD, OVERBOUGHT = 30.0, 70.0


def fires(days: Days) -> Fired:
    """Where RSI comes back from beyond 30 or 70."""
    rsi = days.converged("rsi_14d", "rsi_14d_converged")
    was = days.before(rsi)
    up = (was < OVERSOLD) & (rsi >= OVERSOLD)
    down = (was > OVERBOUGHT) & (rsi <= OVERBOUGHT)
    depth = np.maximum(OVERSOLD - was, was - OVERBOUGHT) / OVERSOLD
    return Fired(up, down, np.clip(depth, 0, 1), {"rsi_14d": rsi, "rsi_14d_before": was})


RULE = Rule(
    name="rsi_reversal",
    title="RSI leaves oversold (30) or overbought (70)",
    reads=("rsi_14d", "rsi_14d_converged"),
    fires=fires,
    shown={"rsi_14d": one_digit, "rsi_14d_before": one_digit},
    strength="how far in the extreme RSI was the day before: 0 at 30 or 70, 1 at 0 or 100",
    up="RSI came back from oversold: {rsi_14d} after {rsi_14d_before}",
    down="RSI came down from overbought: {rsi_14d} after {rsi_14d_before}",
)
