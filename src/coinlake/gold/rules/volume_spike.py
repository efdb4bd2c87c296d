"""Volume jumps more than three standard deviations over its 30-day mean; the day's return says which way.

Somebody knows something, or a listing, a liquidation or a wash trade happened: volume as exchanges report it is the
least trustworthy number there is, so this rule earns the least trust. There is no natural exit: a position is held for
7 days after the last spike upwards.
"""

from __future__ import annotations

from coinlake.gold.rules.rule import Days, Fired, Rule, saturating
from coinlake.gold.rules.words import gain, one_digit

HIGH = 3.0


def fires(days: Days) -> Fired:
    """Where volume rises over three standard deviations, and was under them the day before."""
    z, change = days["volume_z_score_30d"], days["return_1d"]
    spike = (z > HIGH) & (days.before(z) <= HIGH)
    numbers = {"volume_z_score_30d": z, "return_1d": change}
    return Fired(spike & (change > 0), spike & (change < 0), saturating(z - HIGH, HIGH), numbers)


RULE = Rule(
    name="volume_spike",
    title="Volume spike (over 3 sigma of 30 days)",
    reads=("volume_z_score_30d", "return_1d"),
    fires=fires,
    shown={"volume_z_score_30d": one_digit, "return_1d": gain},
    strength="how far volume lies over three standard deviations: 0.5 at six",
    up="Volume is {volume_z_score_30d} standard deviations over its 30-day mean on a day of {return_1d}",
    down="Volume is {volume_z_score_30d} standard deviations over its 30-day mean on a day of {return_1d}",
    holding_days=7,
)
