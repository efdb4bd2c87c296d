"""Dirt: what is odd about the real service's data, each oddity with a name and a rate, decided by a hash.

Whether a trap springs follows from seed, trap, coin and moment alone, so it is the same in any order of calls. What
the simulated market itself does (new coins, coins that vanish, new names, redenominations, prices of 1e-12) is no trap
and cannot be switched off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coinlake.errors import ConfigError
from coinlake.simulator.chance import Hashes, Ints, further, hash_of, hashes, key_of, to_uniform, uniform


@dataclass(frozen=True)
class Trap:
    """An oddity: at what rate it springs by itself, of what, and what it does."""

    rate: float
    of: str
    does: str


TRAPS: Mapping[str, Trap] = {
    "now_point": Trap(1.0, "charts", "the series ends with an extra point of the last update"),
    "backward_point": Trap(0.05, "charts", "the last value comes twice, the second time 955 ms earlier"),
    "unaligned": Trap(1.0, "charts", "5-minute and hourly points lie off the clock; some hours have two or none"),
    "null_in_series": Trap(0.0005, "points", "a market cap is null"),
    "missing_points": Trap(0.02, "charts", "the market caps lack a point that the prices have"),
    "gaps": Trap(0.004, "64-day blocks of a coin", "days of the history are not there"),
    "cap_outliers": Trap(0.0005, "days of a coin", "a market cap is a million times too large"),
    "volume_outliers": Trap(0.0013, "days of a coin", "a volume is thousands of times too large"),
    "stale": Trap(0.0018, "days of a coin", "cap and volume are those of the day before"),
    "zero_for_unknown": Trap(0.03, "coins", "cap and supply are 0, the rank is null, a full valuation is there"),
    "nulls": Trap(1.0, "coins", "most coins lack a valuation, a maximal supply, a return on investment"),
    "supply_above_total": Trap(0.03, "coins", "more coins circulate than there are"),
    "rehypothecated": Trap(1.0, "wrapped coins", "they have no rank"),
    "flipping": Trap(0.002, "minutes of a coin", "a market cap is 0 and the volume lower, and in the next call not"),
    "stale_coins": Trap(0.01, "coins", "not updated for hours; the 24 h change is null"),
    "uneven_age": Trap(1.0, "lists", "rows of one answer were updated up to three minutes ago"),
    "rounding": Trap(1.0, "lists", "prices are rounded unless full precision is asked for"),
    "mixed_types": Trap(1.0, "lists", "some numbers are whole (42981), others not, in one and the same field"),
    "dirty_symbols": Trap(0.034, "coins", "symbols with capitals, blanks, emoji, Cyrillic letters"),
    "page_drift": Trap(
        0.05, "pages", "a page after the first is ranked as an hour ago: coins come twice, or not at all"
    ),
    "space_loses_ids": Trap(1.0, "calls", "after a comma and a blank, ids are lost without a word"),
    "edge_cache": Trap(1.0, "calls", "within a window of time the same body comes again"),
    "future_candles": Trap(1.0, "charts", "the running candle is there, timed by its end in the future"),
    "sliding_granularity": Trap(1.0, "ranges", "a day that does not end now comes hourly, not 5-minutely"),
    "late_days": Trap(1.0, "charts", "a finished day appears 10 (ranges, candles: 35) minutes after midnight"),
    "hourly_refused": Trap(0.0, "calls", "`interval=hourly` is for the enterprise plan only, as it was once"),
}
"""Every trap by its name."""


class Traps:
    """The traps of a seed, at the rates given in place of the usual ones.

    Raises:
        ConfigError: there is no trap of that name, or a rate is not between 0 and 1.
    """

    def __init__(self, seed: int, rates: Mapping[str, float] | None = None) -> None:
        self.rates = {name: trap.rate for name, trap in TRAPS.items()} | demanded("trap", TRAPS, rates or {})
        self._keys = {name: key_of(seed, f"trap {name}") for name in TRAPS}

    def springs(self, name: str, *parts: Any) -> NDArray[np.bool_]:
        """Whether a trap springs, for each element of the broadcast parts (integers: coin, day, …)."""
        shape = np.broadcast_shapes(*(np.shape(part) for part in parts))
        rate = self.rates[name]
        if rate in (0.0, 1.0):
            return np.full(shape, bool(rate))
        return uniform(self._keys[name], *parts) < rate

    def states(self, name: str, coins: Ints) -> Hashes:
        """What `springs_on` needs to know of each coin."""
        return hashes(self._keys[name], coins)

    def springs_on(self, name: str, states: Hashes, days: Ints) -> NDArray[np.bool_]:
        """`springs(name, coins, days)` from the coins' states, at half the work."""
        rate = self.rates[name]
        if rate in (0.0, 1.0):
            return np.full(np.broadcast_shapes(states.shape, days.shape), bool(rate))
        return to_uniform(further(states, days)) < rate

    def hits(self, name: str, *parts: int) -> bool:
        """Whether a trap springs once."""
        return (hash_of(self._keys[name], *parts) >> 11) * 2.0**-53 < self.rates[name]

    def draw(self, name: str, *parts: Any) -> Any:
        """Numbers from 0 up to 1 that go with a trap, whether it springs or not."""
        return uniform(self._keys[name] ^ 1, *parts)

    def lacks(self, share: float, what: int, coin: int) -> bool:
        """Whether a coin is of the share of coins whose field number `what` is null."""
        return (hash_of(self._keys["nulls"] ^ 1, coin, what) >> 11) * 2.0**-53 < share * self.rates["nulls"]


def none() -> dict[str, float]:
    """Rates of a service without any dirt."""
    return dict.fromkeys(TRAPS, 0.0)


def demanded(kind: str, known: Mapping[str, object], rates: Mapping[str, float]) -> dict[str, float]:
    """Rates by name, checked.

    Raises:
        ConfigError: as of the class.
    """
    for name, rate in rates.items():
        if name not in known:
            raise ConfigError(f"there is no {kind} {name!r}; there are {', '.join(known)}")
        if not 0 <= rate <= 1:
            raise ConfigError(f"{kind} {name} is at rate {rate}; give it one from 0 to 1")
    return dict(rates)
