"""The highest and lowest prices ever: of every midnight, and of any moment in the two days around the best of these."""

from __future__ import annotations

import math
import threading
from typing import NamedTuple

import numpy as np

from coinlake.simulator.chance import Ints
from coinlake.simulator.market import Extremes, Market, most_and_least
from coinlake.simulator.paths import DAY_MS, ORIGIN_MS

_FIRST_MS = ORIGIN_MS + DAY_MS


_Turn = tuple[int, float]
"""A moment, and a price."""


class _Best(NamedTuple):
    """Of one coin until a midnight: the best midnights and their prices, and the best moments around these."""

    until_ms: int
    high_ms: int
    high: float
    low_ms: int
    low: float
    high_turn: _Turn
    low_turn: _Turn


class Records:
    """What the coins of a market cost most and least until today, in dollars or in coins of the number `unit`.

    What is remembered follows from the market alone: answers do not depend on what was asked before. It is safe among
    threads.
    """

    def __init__(self, market: Market) -> None:
        self._market = market
        self._kept: dict[tuple[int, int | None], _Best] = {}
        self._lock = threading.Lock()

    def until(self, now_ms: int, coins: Ints, unit: int | None) -> Extremes:
        """Records of coins until the last midnight; NaN and moments without a meaning for those that came since."""
        midnight = now_ms - now_ms % DAY_MS
        with self._lock:
            found = self._known(midnight, coins.tolist(), unit)
        turns = [(best.high_turn, best.low_turn) for best in found]
        times = np.array([[high[0], low[0]] for high, low in turns], dtype=np.int64)
        prices = np.array([[high[1], low[1]] for high, low in turns])
        return Extremes(times[:, 0], prices[:, 0], times[:, 1], prices[:, 1])

    def _known(self, midnight: int, coins: list[int], unit: int | None) -> list[_Best]:
        # Those that are known up to the same day lack the same days: mostly one day, or all.
        lacking: dict[int, list[int]] = {}
        for coin in coins:
            known = self._kept.get((coin, unit))
            if known is None or known.until_ms != midnight:
                since = known.until_ms if known and known.until_ms < midnight else 0
                lacking.setdefault(since, []).append(coin)
        for since, some in lacking.items():
            self._learn(np.array(some), since, midnight, unit)
        return [self._kept[coin, unit] for coin in coins]

    def _learn(self, coins: Ints, since: int, midnight: int, unit: int | None) -> None:
        """Take the midnights after `since` (0: all) into account."""
        born = max(int(self._market.universe.born_ms[coins].min()), _FIRST_MS)
        first = since or min(born - born % DAY_MS + DAY_MS, midnight)
        midnights = np.arange(first, midnight + 1, DAY_MS)
        prices = self._market.worth(coins, midnights, unit)
        which = np.stack(most_and_least(prices), axis=1)
        values = np.take_along_axis(prices, which, axis=1)
        best: dict[int, tuple[int, float, int, float]] = {}
        unsettled: dict[int, list[int]] = {}
        for coin, times, value in zip(coins.tolist(), midnights[which].tolist(), values.tolist(), strict=True):
            known = self._kept.get((coin, unit)) if since else None
            (high_ms, low_ms), (high, low) = times, value
            if known and (known.high >= high or math.isnan(high)):
                high_ms, high = known.high_ms, known.high
            if known and (known.low <= low or math.isnan(low)):
                low_ms, low = known.low_ms, known.low
            best[coin] = high_ms, high, low_ms, low
            # The day after the last midnight was not over: it is looked at again.
            is_settled = known and (high_ms, low_ms) == (known.high_ms, known.low_ms)
            if known and is_settled and max(high_ms, low_ms) < known.until_ms:
                self._kept[coin, unit] = known._replace(until_ms=midnight)
            else:
                unsettled.setdefault(high_ms, []).append(coin)
                unsettled.setdefault(low_ms, []).append(coin)
        around = {at: self._around(some, at, midnight, unit) for at, some in unsettled.items()}
        for coin in {coin for some in unsettled.values() for coin in some}:
            high_ms, _, low_ms, _ = best[coin]
            turns = around[high_ms][coin][0], around[low_ms][coin][1]
            self._kept[coin, unit] = _Best(midnight, *best[coin], *turns)

    def _around(self, coins: list[int], at: int, until: int, unit: int | None) -> dict[int, tuple[_Turn, _Turn]]:
        """What coins cost most and least in the days before and after a midnight, by coin."""
        times = self._market.turns(coins, max(at - DAY_MS, _FIRST_MS), min(at + DAY_MS, until), unit)
        found = Extremes.of(times, self._market.worth(coins, times, unit))
        high = zip(found.high_ms.tolist(), found.high.tolist(), strict=True)
        low = zip(found.low_ms.tolist(), found.low.tolist(), strict=True)
        return dict(zip(coins, zip(high, low, strict=True), strict=True))
