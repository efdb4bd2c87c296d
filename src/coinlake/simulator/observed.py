"""What the service says about coins at moments: the market's own numbers, with the dirt on them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from coinlake.simulator import refusals
from coinlake.simulator.chance import Floats, Hashes, Ints, hashes, key_of
from coinlake.simulator.majors import BITCOIN, ETHEREUM
from coinlake.simulator.market import Market, Points
from coinlake.simulator.names import Names
from coinlake.simulator.paths import DAY_MS
from coinlake.simulator.records import Records
from coinlake.simulator.traps import Traps

FIAT = {"usd": 1.0, "eur": 0.92, "gbp": 0.79, "jpy": 151.0, "cny": 7.2, "myr": 4.6, "krw": 1380.0, "inr": 84.0}
"""Units of each currency for a dollar, always."""
CURRENCIES = (*FIAT, "btc", "eth")
_STALE_MS = DAY_MS // 2
_IMPORTANT = 30


@dataclass(frozen=True)
class Service:
    """Everything that answers are made of."""

    market: Market
    traps: Traps

    @cached_property
    def names(self) -> Names:
        """What coins are called."""
        return Names(self.market.seed, self.market.universe, self.traps)

    @cached_property
    def records(self) -> Records:
        """What coins cost most and least ever."""
        return Records(self.market)

    def updated_ms(self, coins: Ints, now_ms: int) -> Ints:
        """When each coin was last updated, as of now: whole seconds."""
        now_s = now_ms // 1000
        phase, period = self._rhythms
        phase, period = phase[coins], period[coins]
        last = (now_s - (now_s + phase // 128) % period) * 1000
        stale = now_ms - (now_ms + phase) % _STALE_MS
        last = np.where(self.is_stale(coins), stale - stale % 1000, last)
        updated: Ints = np.maximum(last, self.market.universe.born_ms[coins])
        return updated

    def points(self, coins: Ints, times_ms: Ints) -> Points:
        """What charts and lists say about coins at moments, [coins, n]; arguments as of `Market.points`."""
        clean = self.market.points(coins, times_ms)
        times = np.atleast_2d(times_ms)
        day = (times - 1) // DAY_MS
        cap, volume = clean.cap_usd, clean.volume_24h_usd
        repeats = self._springs("stale", coins, day)
        if repeats.any():
            before = self.market.points(coins, times - DAY_MS)
            known = repeats & np.isfinite(before.cap_usd)
            cap = np.where(known, before.cap_usd, cap)
            volume = np.where(known, before.volume_24h_usd, volume)
        cap = np.where(self._springs("cap_outliers", coins, day), cap * 2.1e6, cap)
        volume = np.where(self._springs("volume_outliers", coins, day), volume * 3.7e3, volume)
        cap = np.where(self.is_unknown(coins[:, None]), cap * 0.0, cap)
        return Points(clean.price_usd, cap, volume)

    def is_stale(self, coins: Ints) -> NDArray[np.bool_]:
        """Coins whose prices are hours old, as nobody trades them."""
        return self._stale[coins]

    def is_unknown(self, coins: Ints) -> NDArray[np.bool_]:
        """Coins whose supply nobody knows, so that it and the cap are 0."""
        return self._unknown[coins]

    def _springs(self, trap: str, coins: Ints, days: Ints) -> NDArray[np.bool_]:
        """Whether a trap springs on days, [coins, n]."""
        return self.traps.springs_on(trap, self._states[trap][coins, None], days)

    # Of every coin once: most answers ask for some of it.

    @cached_property
    def _states(self) -> dict[str, Hashes]:
        coins = np.arange(len(self.market.universe))
        return {trap: self.traps.states(trap, coins) for trap in ("stale", "cap_outliers", "volume_outliers")}

    @cached_property
    def _rhythms(self) -> tuple[Ints, Ints]:
        """Where in its rhythm each coin is at the beginning, and after how many seconds it is updated again."""
        coins = np.arange(len(self.market.universe))
        drawn = (hashes(key_of(self.market.seed, "phases"), coins) >> np.uint64(1)).astype(np.int64)
        return drawn, np.where(self.traps.springs("uneven_age", coins), 60 + drawn % 121, 1)

    @cached_property
    def _stale(self) -> NDArray[np.bool_]:
        return self._of_the_unimportant("stale_coins")

    @cached_property
    def _unknown(self) -> NDArray[np.bool_]:
        return self._of_the_unimportant("zero_for_unknown")

    def _of_the_unimportant(self, trap: str) -> NDArray[np.bool_]:
        """Where a trap springs outside the top of the market: what is unknown is unknown of coins there."""
        coins = np.arange(len(self.market.universe))
        return self.traps.springs(trap, coins) & (coins % self.market.places >= _IMPORTANT)

    def per_dollar(self, currency: str, times_ms: Ints) -> Floats:
        """Units of a currency for a dollar at moments.

        Raises:
            Refusal: the service does not know the currency.
        """
        coin = self.unit(currency)
        if coin is None:
            return np.full(times_ms.shape, FIAT[currency])
        return 1.0 / self.market.prices(coin, times_ms.ravel()).reshape(times_ms.shape)

    def unit(self, currency: str) -> int | None:
        """The coin that a currency is; None for those that go with the dollar.

        Raises:
            Refusal: the service does not know the currency.
        """
        if currency in FIAT:
            return None
        if currency not in CURRENCIES:
            raise refusals.invalid("vs_currency")
        return min(BITCOIN if currency == "btc" else ETHEREUM, self.market.places - 1)

    def coin(self, id_: str, now_ms: int) -> int:
        """The number of a coin that is there.

        Raises:
            Refusal: there is none of that id now.
        """
        coin = self.names.coin(id_)
        here = self.market.universe
        if coin is None or not here.born_ms[coin] <= now_ms < here.died_ms[coin]:
            raise refusals.coin_not_found()
        return coin
