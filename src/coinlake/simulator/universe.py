"""Who is in the market: for every coin that ever was or will be, its traits, drawn from its number.

The market has `places`; the coin of a place lives for some years, dies, and another is launched in its stead, so that
the market is as large and as young at any moment from 2014 on. A coin's number is its place plus `places` times its
generation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from coinlake.simulator.chance import Floats, Ints, between, exp, key_of, lerp, normal, uniform
from coinlake.simulator.majors import MAJORS, MEME, STABLE, Major
from coinlake.simulator.paths import DAY_MS, END_MS, MINUTE_MS, ORIGIN_MS

YEAR_MS = 365 * DAY_MS
NEVER_MS = 1 << 60
SHORTEST_YEARS, LONGEST_YEARS = 4.0, 20.0
GENERATIONS = 12

_RANKS = np.array([0, 20, 35, 60, 100, 180, 320, 560, 1000, 1800, 3200, 5600, 10_000, 17_000, 60_000], dtype=float)
_LOG_CAPS = np.array([24.0, 22.5, 21.9, 21.2, 20.3, 19.4, 18.6, 17.8, 16.9, 15.9, 14.7, 13.3, 11.0, 8.3, 5.0])
_SHARES = np.array([0.14, 0.32, 0.58, 0.61, 0.74, 0.86, 0.90, 0.95, 0.985, 1.0])
"""Upper ends of the sectors' shares among drawn coins."""


@dataclass(frozen=True)
class Universe:
    """Traits of coins as arrays over their numbers, as of 2024 where they change.

    `base_usd` is the price before anything happened, `supply` what circulates, `max_supply` 0 where there is none;
    `growth` is of supply, a year. `redenominated_ms` is when `factor` old coins became one new.
    """

    places: int
    sector: Ints
    beta: Floats
    of_sector: Floats
    own: Floats
    base_usd: Floats
    supply: Floats
    locked: Floats
    max_supply: Floats
    growth: Floats
    turnover: Floats
    born_ms: Ints
    died_ms: Ints
    collapses: NDArray[np.bool_]
    renamed_ms: Ints
    redenominated_ms: Ints
    factor: Floats

    def __len__(self) -> int:
        return len(self.sector)

    @cached_property
    def is_stable(self) -> NDArray[np.bool_]:
        """Which coins are pegged to the dollar."""
        stable: NDArray[np.bool_] = self.sector == STABLE
        return stable


def universe(seed: int, places: int, lasting: bool = False) -> Universe:
    """Everybody of the market of that seed with so many places; `lasting` coins never die.

    Raises:
        ValueError: there is no place at all.
    """
    if places < 1:
        raise ValueError(f"a market has at least one coin, not {places}")
    coin = np.arange(places * (1 if lasting else GENERATIONS))
    key = key_of(seed, "universe")
    place = coin % places
    major = (place < len(MAJORS)) & (coin < places)
    sector = np.searchsorted(_SHARES, uniform(key, coin, 1), side="right")
    stable, meme = sector == STABLE, sector == MEME
    cap = exp(lerp(place.astype(float), _RANKS, _LOG_CAPS) + 0.35 * normal(key, coin, 2))
    supply = exp(between(14.0, 27.6, key, coin, 3) + np.where(meme, 11.0 * uniform(key, coin, 4), 0.0))
    supply = np.where(stable, cap, np.rint(supply))
    born, died = _lives(key, coin, place, places, lasting)
    dies_ugly = uniform(key, coin, 5) < 0.6
    drawn = Universe(
        places=places,
        sector=sector,
        beta=np.where(stable, 0.0, between(0.7, 1.3, key, coin, 6)),
        of_sector=np.where(stable, 0.0, between(0.5, 1.0, key, coin, 7)),
        own=np.where(stable, 0.04, 0.75 + 0.6 * np.minimum(place / 3000, 1.0) + 0.35 * uniform(key, coin, 8)),
        base_usd=np.where(stable, 1.0, cap / supply),
        supply=supply,
        locked=between(0.0, 0.7, key, coin, 9),
        max_supply=np.where(uniform(key, coin, 10) < 0.58, 0.0, supply * between(1.0, 3.0, key, coin, 11)),
        growth=between(0.0, 0.06, key, coin, 12),
        turnover=exp(between(-7.0, -2.0, key, coin, 13)),
        born_ms=born,
        died_ms=died,
        collapses=dies_ugly & ~stable,
        renamed_ms=_sometime(key, coin, 14, 0.07, born, died),
        redenominated_ms=np.where(stable, NEVER_MS, _sometime(key, coin, 16, 0.04, born, died)),
        factor=np.array([10.0, 100.0, 1000.0, 10_000.0])[(uniform(key, coin, 18) * 4).astype(int)],
    )
    return _with_majors(drawn, coin[major])


def _lives(key: int, coin: Ints, place: Ints, places: int, lasting: bool) -> tuple[Ints, Ints]:
    """When coins are listed and when they are gone."""
    first = ORIGIN_MS + (between(1.5, 6.0, key, place, 20) * YEAR_MS).astype(np.int64)
    first -= first % MINUTE_MS
    if lasting:
        return first, np.full(len(coin), NEVER_MS)
    generation = coin // places
    years = between(SHORTEST_YEARS, LONGEST_YEARS, key, place, 21)
    starts, ends = (
        first + (number * years * YEAR_MS).astype(np.int64) // MINUTE_MS * MINUTE_MS
        for number in (generation, generation + 1)
    )
    # The first places are for those that are always the same; until one is listed another has its place.
    is_first = place < len(MAJORS)
    listed = np.array([_listed_ms(major) for major in MAJORS])[np.where(is_first, place, 0)]
    starts, ends = np.where(is_first, first, starts), np.where(is_first, listed, ends)
    lives = (starts < END_MS) & np.where(is_first, (generation == 1) & (starts < listed), True) | (coin < places)
    return np.where(lives, starts, NEVER_MS), np.where(lives, ends, NEVER_MS)


def _listed_ms(major: Major) -> int:
    return (ORIGIN_MS + int((major.listed - 2008) * YEAR_MS)) // MINUTE_MS * MINUTE_MS


def _sometime(key: int, coin: Ints, what: int, share: float, born: Ints, died: Ints) -> Ints:
    """A moment in the life of a share of the coins, never for the others."""
    inside = np.minimum(died, END_MS) - born
    moment = born + (between(0.1, 0.9, key, coin, what) * inside).astype(np.int64)
    moment -= moment % MINUTE_MS
    return np.where(uniform(key, coin, what + 1) < share, moment, NEVER_MS)


def _with_majors(drawn: Universe, coins: Ints) -> Universe:
    for coin, major in zip(coins.tolist(), MAJORS, strict=False):
        for name in ("sector", "beta", "of_sector", "own", "supply", "max_supply", "growth", "turnover"):
            getattr(drawn, name)[coin] = getattr(major, name)
        drawn.base_usd[coin] = major.cap_usd / major.supply
        drawn.born_ms[coin] = _listed_ms(major)
        drawn.died_ms[coin] = drawn.renamed_ms[coin] = drawn.redenominated_ms[coin] = NEVER_MS
        drawn.collapses[coin] = False
        drawn.locked[coin] = 0.0 if major.sector == STABLE else drawn.locked[coin] * 0.2
    return drawn
