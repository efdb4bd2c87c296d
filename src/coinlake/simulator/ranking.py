"""Who stands where at a whole minute: every coin that is there, by its market cap."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from coinlake.simulator.chance import Floats, Ints
from coinlake.simulator.majors import WRAPPED
from coinlake.simulator.observed import Service


@dataclass(frozen=True)
class Ranking:
    """The coins there at a whole minute; what they cost, and who stands where, is found out when it is first asked for.

    Prices, caps and volumes are in dollars, of each of `coins`. `order` is of places among `coins`, the largest first,
    those without a rank at the end; `rank` is 0 for these.
    """

    service: Service
    now_ms: int

    @cached_property
    def coins(self) -> Ints:
        """The coins."""
        return self.service.market.active(self.now_ms)

    @cached_property
    def price(self) -> Floats:
        """What each costs."""
        prices: Floats = self.service.market.matrix(self.coins, [self.now_ms])[:, 0]
        return prices

    @cached_property
    def cap(self) -> Floats:
        """The cap of each, 0 where its supply is unknown."""
        supplies = self.service.market.supplies(self.coins, [self.now_ms])[:, 0]
        return np.where(self._unknown, 0.0, self.price * supplies)

    @cached_property
    def volume(self) -> Floats:
        """What was traded of each in 24 hours."""
        volumes: Floats = self.service.market.points(self.coins, [self.now_ms]).volume_24h_usd[:, 0]
        return volumes

    @cached_property
    def order(self) -> Ints:
        """Places by cap."""
        return np.lexsort((self.coins, -self.cap, self._unranked))

    @cached_property
    def rank(self) -> Ints:
        """The rank of each among those that have one."""
        ranked = self.order[: len(self.coins) - int(self._unranked.sum())]
        return _numbered(ranked, len(self.coins))

    @cached_property
    def whole_rank(self) -> Ints:
        """The rank of each among all."""
        return _numbered(np.lexsort((self.coins, -self.cap, self._unknown)), len(self.coins))

    @cached_property
    def _unknown(self) -> NDArray[np.bool_]:
        return self.service.is_unknown(self.coins)

    @cached_property
    def _unranked(self) -> NDArray[np.bool_]:
        wrapped = self.service.market.universe.sector[self.coins] == WRAPPED
        unranked: NDArray[np.bool_] = self._unknown | wrapped & self.service.traps.springs("rehypothecated", self.coins)
        return unranked

    def has(self, coin: int) -> bool:
        """Whether a coin is there."""
        here = self.service.market.universe
        return bool(here.born_ms[coin] <= self.now_ms < here.died_ms[coin])

    def place(self, coin: int) -> int:
        """Where a coin is among `coins`."""
        return int(np.searchsorted(self.coins, coin))

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


def _numbered(places: Ints, count: int) -> Ints:
    """From 1 on in the order of places, 0 for those that are not among them."""
    numbers = np.zeros(count, dtype=np.int64)
    numbers[places] = np.arange(1, len(places) + 1)
    return numbers
