"""A market that never existed. A price is a function of seed, coin and moment alone.

Any window, any granularity, any order of questions, another process or another day: the same numbers to the last bit.
Nothing is stored but the coins' traits. Coins move with the whole market, with their sector, and by themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from coinlake.simulator import history
from coinlake.simulator.chance import Floats, Hashes, Ints, exp, hashes, key_of, within
from coinlake.simulator.majors import FOLLOWS, LOSES_ITS_PEG, SECTORS
from coinlake.simulator.paths import DAY_MS, END_MS, ORIGIN_MS, ends, finest, walk, weights
from coinlake.simulator.universe import universe

MARKET_SIGMA, SECTOR_SIGMA = 0.6, 0.55
_BLOCK = 1_000_000
"""Most values of one walk at a time: some dozens of megabytes."""
_OWN_WEIGHTS = np.concatenate([weights(np.ones(1), longest_days=days) for days in (256.0, 4.0)])
"""Of coins, and of stablecoins, which keep coming back to their peg."""
_VOLUME_WEIGHTS = weights(np.array([3.0]), longest_days=64.0, shortest_days=0.5)
_NOBODY: Hashes = np.empty(0, dtype=np.uint64)


@dataclass(frozen=True)
class Points:
    """Prices, caps and volumes of coins at moments, each [coins, n]; NaN where a coin was not there."""

    price_usd: Floats
    cap_usd: Floats
    volume_24h_usd: Floats


@dataclass(frozen=True)
class Extremes:
    """When coins cost most and least and how much, each [coins]; NaN where a coin was not there."""

    high_ms: Ints
    high: Floats
    low_ms: Ints
    low: Floats

    @classmethod
    def of(cls, times_ms: Ints, prices: Floats) -> Extremes:
        """Those among prices at moments, [coins, n]."""
        each, (high, low) = np.arange(len(prices)), most_and_least(prices)
        return cls(times_ms[each, high], prices[each, high], times_ms[each, low], prices[each, low])


class Market:
    """The market of a seed with so many coins at a time.

    Coins go by their number: `coins` of them are there from the start, their successors have the numbers above.
    `name` tells it from every other.
    `lasting` coins never die and have no successors. Moments are milliseconds since 1970, from 2008-01-01 to
    2052-11-08.

    Raises:
        ValueError: `coins` is below 1.
    """

    def __init__(self, seed: int, coins: int, lasting: bool = False) -> None:
        self.seed = seed
        self.places = coins
        self.name = f"seed={seed} coins={coins}{' lasting' if lasting else ''}"
        self.universe = universe(seed, coins, lasting)
        self._seasons = history.all_seasons(key_of(seed, "history"))
        self._corners_ms = self._seasons.corners_ms
        self._factors: Hashes = hashes(key_of(seed, "factors"), np.arange(1 + len(SECTORS)))
        everybody = np.arange(len(self.universe))
        self._leaders = _leaders(everybody, coins)
        self._own, self._volume, self._bursting, self._doubting = (
            hashes(key_of(seed, what), everybody) for what in ("own", "volume", "bursts", "stress")
        )
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

    def worth(self, coins: Any, times_ms: Any, unit: int | None) -> Floats:
        """Prices in dollars, or in coins of the number `unit`; as of `matrix`."""
        prices = self.matrix(coins, times_ms)
        return prices if unit is None else prices * (1.0 / self.matrix(np.full(len(prices), unit), times_ms))

    def turns(self, coins: Any, start_ms: int, end_ms: int, unit: int | None = None) -> Ints:
        """The moments from one to another, some days later at most, among which are those at which each coin costs most
        and least, [coins, n]; in dollars, or in coins of the number `unit`.

        It is looked for wherever a price can turn, so no price in between lies outside.
        """
        chosen, _ = self._checked(coins, [start_ms, end_ms])
        nearly = self._nearly(chosen if unit is None else np.append(chosen, unit), start_ms, end_ms, unit is not None)
        bursting, changed = self._bursting[self._leaders[chosen]], self.universe.redenominated_ms[chosen]
        corners = history.corners(self._corners_ms, bursting, changed, start_ms, end_ms)
        borders = np.maximum(self.universe.born_ms[chosen, None], np.array([start_ms, end_ms]))
        times = np.concatenate([nearly, borders, corners], axis=1)
        inside: Ints = np.minimum(np.maximum(times, start_ms), end_ms)
        return inside

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
        first, last = _ends_of(times)
        if times.size and not ORIGIN_MS + DAY_MS <= first <= last < END_MS:
            raise ValueError("this market has prices from 2008-01-02 to 2052-11-08 only")
        first, last = _ends_of(chosen)
        if chosen.size and not 0 <= first <= last < len(self.universe):
            raise ValueError(f"this market's coins have numbers from 0 to {len(self.universe) - 1}")
        return chosen, times

    def _points(self, coins: Ints, times: Ints) -> tuple[Floats, Floats, Floats]:
        both, now, before = _with_day_before(times)
        logs, noise = self._logs_and_noise(coins, both, self._volume[coins])
        after = logs.take(now, axis=1)
        price = self._prices(coins, times, after)
        cap = price * self._supplies(coins, times)
        moved = np.abs(after - logs.take(before, axis=1)) * self._unrest(coins)
        age = within((times - self.universe.born_ms[coins, None]) / float(DAY_MS), 0.02, 1.0)
        traded = self.universe.turnover[coins, None] * age * (0.55 + moved)
        traded = traded * exp(noise.take(now, axis=1))
        return price, cap, cap * traded

    def _unrest(self, coins: Ints) -> Floats:
        """How much a day's move counts for the volume: what is large for a stablecoin is small for others."""
        return np.where(self.universe.is_stable[coins, None], 150.0, 14.0)

    def _prices(self, coins: Ints, times: Ints, logs: Floats) -> Floats:
        here = self.universe
        factor = np.where(times >= here.redenominated_ms[coins, None], here.factor[coins, None], 1.0)
        prices = here.base_usd[self._leaders[coins], None] * exp(logs) * factor
        is_there = (times >= here.born_ms[coins, None]) & (times < here.died_ms[coins, None])
        return np.where(is_there, prices, np.nan)

    def _supplies(self, coins: Ints, times: Ints) -> Floats:
        here = self.universe
        grown = within(1.0 + here.growth[coins, None] * history.years_since_reference(times), 0.2, 3.0)
        most = np.where(here.max_supply[coins, None] > 0, here.max_supply[coins, None], np.inf)
        circulating = np.minimum(here.supply[coins, None] * grown, most)
        return circulating / np.where(times >= here.redenominated_ms[coins, None], here.factor[coins, None], 1.0)

    def _logs(self, coins: Ints, times: Ints) -> Floats:
        """Logarithms of price over base price, [coins, n], before redenominations."""
        return self._logs_and_noise(coins, times, _NOBODY)[0]

    def _logs_and_noise(self, coins: Ints, times: Ints, volume_keys: Hashes) -> tuple[Floats, Floats]:
        """These logarithms, and the walks that the volumes of `volume_keys` take."""
        led = self._leaders[coins]
        market, sector, own, noise = self._walks(led, volume_keys, times, walk)
        return self._together(led, times, market, sector, own), noise

    def _nearly(self, coins: Ints, start_ms: int, end_ms: int, in_last: bool) -> Ints:
        """When coins cost most and least, but for rounding, of the moments at which walks turn, [coins, 2]; with
        `in_last` the last coin is no coin but the unit.
        """
        here, led, times = self.universe, self._leaders[coins], ends(start_ms, end_ms)[None, :]
        walked = self._walks(led, _NOBODY, times, lambda keys, _, weights: finest(keys, start_ms, end_ms, weights))
        logs = self._together(led, times, *walked[:3])
        if (changes := (here.redenominated_ms[coins] <= end_ms)).any():
            changed = times >= here.redenominated_ms[coins, None]
            logs += np.where(changed & changes[:, None], np.log(here.factor[coins, None]), 0.0)
        logs[(times < here.born_ms[coins, None]) | (times >= here.died_ms[coins, None])] = np.nan
        logs[:, [0, -1]] = np.nan  # these lie outside
        places = most_and_least(logs[:-1] - logs[-1:] if in_last else logs)
        found: Ints = times[0].take(np.stack(places, axis=1))
        return found

    def _together(self, led: Ints, times: Ints, market: Floats, sector: Floats, own: Floats) -> Floats:
        """Logarithms of prices from the walks of the market, of each coin's sector and its own, and from events."""
        here = self.universe
        bursts = here.own[led, None] * history.bursts(self._bursting[led], times)
        if (pegged := here.is_stable[led]).any():
            moments = times if len(times) == 1 else times[pegged]
            own[pegged] = history.off_the_peg(self._doubting[led[pegged]], moments, own[pegged], bursts[pegged])
            bursts[pegged] = 0.0
        whole = market + history.seasons(self._seasons, times)
        logs = here.beta[led, None] * whole + here.of_sector[led, None] * sector + own
        logs = logs + np.where(here.is_stable[led, None], 0.0, history.trend(times))
        logs = logs + history.coming_and_going(here, led, times)
        logs = logs + bursts
        losing = led == LOSES_ITS_PEG
        if losing.any():
            logs = logs + np.where(losing[:, None], history.lost_peg(self._seasons, times), 0.0)
        return logs

    def _walks(
        self, led: Ints, volume_keys: Hashes, times: Ints, how: Callable[[Hashes, Ints, Floats], Floats]
    ) -> tuple[Floats, Floats, Floats, Floats]:
        """The market's walk [1 or coins, n], each coin's sector's, its own, and its volume's [coins, n], in one go."""
        sectors, own, stable = self.universe.sector[led], self.universe.own[led], self.universe.is_stable[led]
        own_weights = own[:, None] * _OWN_WEIGHTS[stable.astype(np.int64)]
        if len(times) == 1:
            used, which = np.unique(sectors, return_inverse=True) if len(led) > 1 else (sectors, np.arange(1))
            rows = np.concatenate([[0], used + 1])
        else:
            used, which = sectors, np.arange(len(sectors))
            rows = np.concatenate([np.zeros_like(sectors), sectors + 1])
            times = np.concatenate([times] * (4 if len(volume_keys) else 3))
        keys = np.concatenate([self._factors[rows], self._own[led], volume_keys])
        volume_weights = np.repeat(_VOLUME_WEIGHTS, len(volume_keys), axis=0)
        walked = how(keys, times, np.concatenate([self._factor_weights[rows], own_weights, volume_weights]))
        markets, factors, coins = len(rows) - len(used), len(rows), len(rows) + len(led)
        return walked[:markets], walked[markets:factors][which], walked[factors:coins], walked[coins:]


def _leaders(everybody: Ints, places: int) -> Ints:
    """The coins whose price each has: its own, except for wrapped ones."""
    leaders = everybody.copy()
    for follower, leader in FOLLOWS.items():
        if follower < places:
            leaders[follower] = leader
    return leaders


def _ends_of(numbers: Ints) -> tuple[int, int]:
    """The least and the largest; numpy takes its time where there are few."""
    if not numbers.size:
        return 0, 0
    few = numbers.ravel().tolist() if numbers.size < 64 else (numbers.min(), numbers.max())
    return min(few), max(few)


def most_and_least(prices: Floats) -> tuple[Ints, Ints]:
    """Where the largest and the smallest known value of each row is."""
    known = np.isfinite(prices)
    return np.where(known, prices, -np.inf).argmax(axis=1), np.where(known, prices, np.inf).argmin(axis=1)


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
