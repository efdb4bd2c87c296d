"""What the service says about coins at moments: the market's own numbers, with the dirt on them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from coinlake.simulator import refusals
from coinlake.simulator.chance import Floats, Ints, hashes, key_of
from coinlake.simulator.majors import BITCOIN, ETHEREUM
from coinlake.simulator.market import Market, Points
from coinlake.simulator.names import Names
from coinlake.simulator.paths import DAY_MS
from coinlake.simulator.traps import Traps

FIAT = {"usd": 1.0, "eur": 0.92, "gbp": 0.79, "jpy": 151.0, "cny": 7.2, "myr": 4.6, "krw": 1380.0, "inr": 84.0}
"""Units of each currency for a dollar, always."""
CURRENCIES = (*FIAT, "btc", "eth")
_STALE_MS = DAY_MS // 2


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
    def _phases(self) -> int:
        return key_of(self.market.seed, "phases")

    def updated_ms(self, coins: Ints, now_ms: int) -> Ints:
        """When each coin was last updated, as of now: whole seconds."""
        now_s = now_ms // 1000
        drawn = (hashes(self._phases, coins) >> np.uint64(1)).astype(np.int64)
        uneven = self.traps.springs("uneven_age", coins)
        period = np.where(uneven, 60 + drawn % 121, 1)
        last = (now_s - (now_s + drawn // 128) % period) * 1000
        stale = now_ms - (now_ms + drawn) % _STALE_MS
        last = np.where(self.is_stale(coins), stale - stale % 1000, last)
        return np.maximum(last, self.market.universe.born_ms[coins])

    def points(self, coins: Ints, times_ms: Ints) -> Points:
        """What charts and lists say about coins at moments, [coins, n]; arguments as of `Market.points`."""
        clean = self.market.points(coins, times_ms)
        times = np.atleast_2d(times_ms)
        day, column = (times - 1) // DAY_MS, coins[:, None]
        cap, volume = clean.cap_usd, clean.volume_24h_usd
        repeats = self.traps.springs("stale", column, day)
        if repeats.any():
            before = self.market.points(coins, times - DAY_MS)
            known = repeats & np.isfinite(before.cap_usd)
            cap = np.where(known, before.cap_usd, cap)
            volume = np.where(known, before.volume_24h_usd, volume)
        cap = np.where(self.traps.springs("cap_outliers", column, day), cap * 2.1e6, cap)
        volume = np.where(self.traps.springs("volume_outliers", column, day), volume * 3.7e3, volume)
        cap = np.where(self.is_unknown(column), cap * 0.0, cap)
        return Points(clean.price_usd, cap, volume)

    def is_stale(self, coins: Ints) -> NDArray[np.bool_]:
        """Coins whose prices are hours old, as nobody trades them."""
        return self.traps.springs("stale_coins", coins) & self.unimportant(coins)

    def is_unknown(self, coins: Ints) -> NDArray[np.bool_]:
        """Coins whose supply nobody knows, so that it and the cap are 0."""
        return self.traps.springs("zero_for_unknown", coins) & self.unimportant(coins)

    def unimportant(self, coins: Ints) -> NDArray[np.bool_]:
        """Coins outside the top of the market: what is unknown is unknown of them."""
        low: NDArray[np.bool_] = coins % self.market.places >= 30
        return low

    def per_dollar(self, currency: str, times_ms: Ints) -> Floats:
        """Units of a currency for a dollar at moments.

        Raises:
            Refusal: the service does not know the currency.
        """
        if currency in FIAT:
            return np.full(times_ms.shape, FIAT[currency])
        if currency not in CURRENCIES:
            raise refusals.invalid("vs_currency")
        coin = min(BITCOIN if currency == "btc" else ETHEREUM, self.market.places - 1)
        return 1.0 / self.market.prices(coin, times_ms.ravel()).reshape(times_ms.shape)

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
