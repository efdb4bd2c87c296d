"""Who stands where at a moment: every coin that is there, by its market cap."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from coinlake.simulator.chance import Floats, Ints
from coinlake.simulator.majors import WRAPPED
from coinlake.simulator.observed import Service


@dataclass(frozen=True)
class Ranking:
    """The coins there at a moment, with price, cap and volume of each in dollars.

    `order` is of places among `coins`, the largest first, those without a rank at the end; `rank` is 0 for these.
    """

    service: Service
    now_ms: int
    coins: Ints
    price: Floats
    cap: Floats
    volume: Floats
    order: Ints
    rank: Ints
    whole_rank: Ints

    @cached_property
    def place(self) -> dict[int, int]:
        """Where each coin is among `coins`."""
        return {coin: place for place, coin in enumerate(self.coins.tolist())}

    @cached_property
    def by_symbol(self) -> dict[str, list[int]]:
        """Coins by symbol in lower case, the largest first."""
        return self._by("symbol")

    @cached_property
    def by_name(self) -> dict[str, list[int]]:
        """Coins by name in lower case, the largest first."""
        return self._by("name")

    def _by(self, field: str) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for coin in self.coins[self.order].tolist():
            called = getattr(self.service.names.of(coin, self.now_ms), field)
            found.setdefault(called.lower(), []).append(coin)
        return found


def ranking(service: Service, now_ms: int) -> Ranking:
    """The ranking at a moment."""
    coins = service.market.active(now_ms)
    clean = service.market.points(coins, np.array([now_ms]))
    price, cap, volume = clean.price_usd[:, 0], clean.cap_usd[:, 0], clean.volume_24h_usd[:, 0]
    unknown = service.is_unknown(coins)
    wrapped = (service.market.universe.sector[coins] == WRAPPED) & service.traps.springs("rehypothecated", coins)
    order = np.lexsort((coins, -cap, unknown | wrapped))
    rank, whole_rank = np.zeros(len(coins), dtype=np.int64), np.zeros(len(coins), dtype=np.int64)
    ranked = order[~(unknown | wrapped)[order]]
    rank[ranked] = np.arange(1, len(ranked) + 1)
    by_cap = np.lexsort((coins, -cap, unknown))
    whole_rank[by_cap] = np.arange(1, len(coins) + 1)
    return Ranking(service, now_ms, coins, price, np.where(unknown, 0.0, cap), volume, order, rank, whole_rank)
