"""A market that never existed. A price is a function of seed, coin and moment alone.

Any window, any granularity, any order of questions, another process or another day: the same numbers to the last bit.
Nothing is stored but the coins' traits. Coins move with the whole market, with their sector, and by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coinlake.simulator import history
from coinlake.simulator.chance import Floats, Hashes, Ints, exp, hashes, key_of
from coinlake.simulator.majors import FOLLOWS, LOSES_ITS_PEG, SECTORS
from coinlake.simulator.paths import DAY_MS, END_MS, ORIGIN_MS, walk, weights
from coinlake.simulator.universe import universe

MARKET_SIGMA, SECTOR_SIGMA = 0.6, 0.55
_BLOCK = 1_000_000
"""Most values of one walk at a time: some dozens of megabytes."""
_VOLUME_WEIGHTS = weights(np.array([3.0]), longest_days=64.0, shortest_days=0.5)
_NOBODY: Hashes = np.empty(0, dtype=np.uint64)


@dataclass(frozen=True)
class Points:
    """Prices, caps and volumes of coins at moments, each [coins, n]; NaN where a coin was not there."""

    price_usd: Floats
    cap_usd: Floats
    volume_24h_usd: Floats


class Market:
    """The market of a seed with so many coins at a time.

    Coins go by their number: `coins` of them are there from the start, their successors have the numbers above.
    `lasting` coins never die and have no successors. Moments are milliseconds since 1970, from 2008-01-01 to
    2052-11-08.

    Raises:
        ValueError: `coins` is below 1.
    """

    def __init__(self, seed: int, coins: int, lasting: bool = False) -> None:
        self.seed = seed
        self.places = coins
        self.universe = universe(seed, coins, lasting)
        self._events = key_of(seed, "history")
        self._factors: Hashes = hashes(key_of(seed, "factors"), np.arange(1 + len(SECTORS)))
        self._bursts = key_of(seed, "bursts")
        self._stress = key_of(seed, "stress")
        everybody = np.arange(len(self.universe))
        self._own: Hashes = hashes(key_of(seed, "own"), everybody)
        self._volume: Hashes = hashes(key_of(seed, "volume"), everybody)
        self._factor_weights = weights(np.array([MARKET_SIGMA] + [SECTOR_SIGMA] * len(SECTORS)))

    # What can be asked -----------------------------------------------------------------------------------------------

    def prices(self, coin: int, times_ms: Any) -> Floats:
        """Prices of a coin in dollars, [n]; NaN where it was not there."""
        prices: Floats = self.matrix([coin], times_ms)[0]
        return prices

    def caps(self, coin: int, times_ms: Any) -> Floats:
        """Market capitalisations of a coin in dollars, [n]."""
        caps: Floats = self.points([coin], times_ms).cap_usd[0]
        return caps

    def volumes_24h(self, coin: int, times_ms: Any) -> Floats:
        """What was traded of a coin in the 24 hours before each moment, in dollars, [n]."""
        volumes: Floats = self.points([coin], times_ms).volume_24h_usd[0]
        return volumes

    def matrix(self, coins: Any, times_ms: Any) -> Floats:
        """Prices of many coins at many moments, [coins, n], in blocks that need little memory.

        `times_ms` is [n], the same for all coins, or [coins, n].

        Raises:
            ValueError: a moment lies outside the market's time, or a coin's number is none.
        """
        chosen, times = self._checked(coins, times_ms)
        made = np.empty((len(chosen), times.shape[1]))
        for block in _blocks(len(chosen), times.shape[1]):
            moments = times if len(times) == 1 else times[block]
            made[block] = self._prices(chosen[block], moments, self._logs(chosen[block], moments))
        return made

    def points(self, coins: Any, times_ms: Any) -> Points:
        """Prices, caps and volumes of many coins at many moments; arguments and errors as of `matrix`."""
        chosen, times = self._checked(coins, times_ms)
        made = [np.empty((len(chosen), times.shape[1])) for _ in range(3)]
        for block in _blocks(len(chosen), 3 * times.shape[1]):
            parts = self._points(chosen[block], times if len(times) == 1 else times[block])
            for whole, part in zip(made, parts, strict=True):
                whole[block] = part
        return Points(*made)

    def supplies(self, coins: Any, times_ms: Any) -> Floats:
        """Coins in circulation, [coins, n]."""
        chosen, times = self._checked(coins, times_ms)
        return self._supplies(chosen, times)

    def active(self, now_ms: int) -> Ints:
        """The coins that are there at a moment."""
        there: Ints = np.flatnonzero((self.universe.born_ms <= now_ms) & (now_ms < self.universe.died_ms))
        return there

    def gone(self, now_ms: int) -> Ints:
        """The coins that were there before a moment and are no more."""
        dead: Ints = np.flatnonzero((self.universe.died_ms <= now_ms) & (self.universe.born_ms <= now_ms))
        return dead

    # How it comes about ----------------------------------------------------------------------------------------------

    def _checked(self, coins: Any, times_ms: Any) -> tuple[Ints, Ints]:
        chosen, times = np.asarray(coins, dtype=np.int64), np.atleast_2d(np.asarray(times_ms, dtype=np.int64))
        if times.size and not ORIGIN_MS + DAY_MS <= times.min() <= times.max() < END_MS:
            raise ValueError("this market has prices from 2008-01-02 to 2052-11-08 only")
        if chosen.size and not 0 <= chosen.min() <= chosen.max() < len(self.universe):
            raise ValueError(f"this market's coins have numbers from 0 to {len(self.universe) - 1}")
        return chosen, times

    def _points(self, coins: Ints, times: Ints) -> tuple[Floats, Floats, Floats]:
        both, now, before = _with_day_before(times)
        logs, noise = self._logs_and_noise(coins, both, self._volume[coins])
        after = logs.take(now, axis=1)
        price = self._prices(coins, times, after)
        cap = price * self._supplies(coins, times)
        moved = np.abs(after - logs.take(before, axis=1)) * self._unrest(coins)
        age = np.clip((times - self.universe.born_ms[coins, None]) / float(DAY_MS), 0.02, 1.0)
        traded = self.universe.turnover[coins, None] * age * (0.55 + moved)
        traded = traded * exp(noise.take(now, axis=1))
        return price, cap, cap * traded

    def _unrest(self, coins: Ints) -> Floats:
        """How much a day's move counts for the volume: what is large for a stablecoin is small for others."""
        return np.where(self.universe.is_stable[coins, None], 150.0, 14.0)

    def _prices(self, coins: Ints, times: Ints, logs: Floats) -> Floats:
        here = self.universe
        factor = np.where(times >= here.redenominated_ms[coins, None], here.factor[coins, None], 1.0)
        prices = here.base_usd[self._leaders(coins), None] * exp(logs) * factor
        is_there = (times >= here.born_ms[coins, None]) & (times < here.died_ms[coins, None])
        return np.where(is_there, prices, np.nan)

    def _supplies(self, coins: Ints, times: Ints) -> Floats:
        here = self.universe
        grown = np.clip(1.0 + here.growth[coins, None] * history.years_since_reference(times), 0.2, 3.0)
        most = np.where(here.max_supply[coins, None] > 0, here.max_supply[coins, None], np.inf)
        circulating = np.minimum(here.supply[coins, None] * grown, most)
        return circulating / np.where(times >= here.redenominated_ms[coins, None], here.factor[coins, None], 1.0)

    def _leaders(self, coins: Ints) -> Ints:
        """The coins whose price each has: its own, except for wrapped ones."""
        leaders = coins.copy()
        for follower, leader in FOLLOWS.items():
            if follower < self.places:
                leaders[coins == follower] = leader
        return leaders

    def _logs(self, coins: Ints, times: Ints) -> Floats:
        """Logarithms of price over base price, [coins, n], before redenominations."""
        return self._logs_and_noise(coins, times, _NOBODY)[0]

    def _logs_and_noise(self, coins: Ints, times: Ints, volume_keys: Hashes) -> tuple[Floats, Floats]:
        """These logarithms, and the walks that the volumes of `volume_keys` take."""
        here, led = self.universe, self._leaders(coins)
        sectors = here.sector[led]
        own_keys = self._own[led]
        market, sector, own, noise = self._walks(
            sectors, own_keys, here.own[led], here.is_stable[led], volume_keys, times
        )
        bursts = here.own[led, None] * history.bursts(self._bursts, led, times)
        if (pegged := here.is_stable[led]).any():
            moments = times if len(times) == 1 else times[pegged]
            own[pegged] = history.off_the_peg(self._stress, led[pegged], moments, own[pegged], bursts[pegged])
            bursts[pegged] = 0.0
        whole = market + history.seasons(self._events, times)
        logs = here.beta[led, None] * whole + here.of_sector[led, None] * sector + own
        logs = logs + np.where(here.is_stable[led, None], 0.0, history.trend(times))
        logs = logs + history.coming_and_going(here, led, times)
        logs = logs + bursts
        losing = led == LOSES_ITS_PEG
        if losing.any():
            logs = logs + np.where(losing[:, None], history.lost_peg(self._events, times), 0.0)
        return logs, noise

    def _walks(
        self,
        sectors: Ints,
        own_keys: Hashes,
        own: Floats,
        stable: NDArray[np.bool_],
        volume_keys: Hashes,
        times: Ints,
    ) -> tuple[Floats, Floats, Floats, Floats]:
        """The market's walk [1 or coins, n], each coin's sector's, its own, and its volume's [coins, n], in one go."""
        own_weights = weights(own, longest_days=256.0)
        own_weights[stable] = weights(own[stable], longest_days=4.0)
        if len(times) == 1:
            used, which = np.unique(sectors, return_inverse=True)
            rows = np.concatenate([[0], used + 1])
        else:
            used, which = sectors, np.arange(len(sectors))
            rows = np.concatenate([np.zeros_like(sectors), sectors + 1])
            times = np.concatenate([times] * (4 if len(volume_keys) else 3))
        keys = np.concatenate([self._factors[rows], own_keys, volume_keys])
        volume_weights = np.repeat(_VOLUME_WEIGHTS, len(volume_keys), axis=0)
        walked = walk(keys, times, np.concatenate([self._factor_weights[rows], own_weights, volume_weights]))
        markets, factors, coins = len(rows) - len(used), len(rows), len(rows) + len(own_keys)
        return walked[:markets], walked[markets:factors][which], walked[factors:coins], walked[coins:]


def _blocks(coins: int, moments: int) -> list[slice]:
    size = max(1, _BLOCK // max(moments, 1))
    return [slice(start, start + size) for start in range(0, coins, size)]


def _with_day_before(times: Ints) -> tuple[Ints, Ints, Ints]:
    """Moments and those 24 hours before, each once where all coins share them, and where either are among them."""
    count = times.shape[1]
    both = np.concatenate([times, times - DAY_MS], axis=1)
    if len(times) > 1:
        return both, np.arange(count), np.arange(count, 2 * count)
    single, place = np.unique(both[0], return_inverse=True)
    return single[None, :], place[:count], place[count:]
