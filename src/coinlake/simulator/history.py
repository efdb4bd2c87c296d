"""What happened: the trend, crashes and runs of the whole market, a lost peg, and how single coins come and go.

Everything but the stress of pegs is in logarithms of the price; all is made of straight lines and comes back to where
it was, so it can be computed for a moment from the moment alone. Time is cut into seasons of 300 days; each has a crash
and a run of its own.
"""

from __future__ import annotations

import numpy as np

from coinlake.simulator.chance import Floats, Hashes, Ints, between, hashes
from coinlake.simulator.paths import DAY_MS, ORIGIN_MS
from coinlake.simulator.universe import YEAR_MS, Universe

SEASON_DAYS, TURN_DAYS = 300.0, 10.0
FURTHEST_OFF = 0.1
"""What a peg that holds is never off by."""
REFERENCE_MS = 1_704_067_200_000
"""2024-01-01, as of which traits are given."""


def years_since_reference(times_ms: Ints) -> Floats:
    """Years from 2024 on, negative before."""
    years: Floats = (times_ms - REFERENCE_MS) / float(YEAR_MS)
    return years


def trend(times_ms: Ints) -> Floats:
    """How the whole market grows in the long run, ever more slowly."""
    years = years_since_reference(times_ms)
    return 0.3 * years / (1.0 + np.abs(years) / 20.0)


def seasons(key: int, times_ms: Ints) -> Floats:
    """The crash and the run of each season, as the market factor feels them."""
    days = (times_ms - ORIGIN_MS) / float(DAY_MS)
    season = np.floor_divide(days, SEASON_DAYS).astype(np.int64)
    day = days - season * SEASON_DAYS
    drawn = hashes(key, season)
    falls, depth, rises, height, _ = (_part(drawn, number) for number in range(5))
    crash = _tent(day, 10.0 + 90.0 * falls, 2.5, 110.0) * (0.35 + 0.25 * depth)
    run = _tent(day, 110.0 + 60.0 * rises, 45.0, 80.0) * (0.5 + 0.4 * height)
    return run - crash


def lost_peg(key: int, times_ms: Ints) -> Floats:
    """What the coin that loses its peg is off by: once a season, for some days."""
    days = (times_ms - ORIGIN_MS) / float(DAY_MS)
    season = np.floor_divide(days, SEASON_DAYS).astype(np.int64)
    day = days - season * SEASON_DAYS
    falls = between(20, 270, key, season, 5)
    return -_tent(day, falls, 0.7, between(3.0, 12.0, key, season, 6)) * between(0.08, 0.3, key, season, 7)


def off_the_peg(key: int, coins: Ints, times_ms: Ints, walked: Floats, burst: Floats) -> Floats:
    """What stablecoins are off by, [coins, n], of what they would be by a walk and bursts of their own.

    In stress it is many times as much as in calm; the further off, the harder they are pulled back.
    """
    off = (walked + burst * 0.25) * (1.0 + 10.0 * _stress(key, coins, times_ms))
    held: Floats = off / (1.0 + np.abs(off) / FURTHEST_OFF)
    return held


def _stress(key: int, coins: Ints, times_ms: Ints) -> Floats:
    """How much each coin's peg is doubted, from 0 to 1.

    In half of a coin's seasons doubt rises within days and ebbs away over two to ten months: calm weeks follow on calm
    ones, restless weeks on restless ones.
    """
    days = (times_ms - ORIGIN_MS) / float(DAY_MS)
    season = np.floor_divide(days, SEASON_DAYS).astype(np.int64)
    most = np.zeros((len(coins), times_ms.shape[1]))
    for back in (0, 1):
        drawn = hashes(key, coins[:, None], season - back)
        happens, begins, height, lasts, _ = (_part(drawn, number) for number in range(5))
        day = days - (season - back) * SEASON_DAYS
        tent = _tent(day, begins * SEASON_DAYS, 3.0, 60.0 + 230.0 * lasts) * (0.4 + 0.6 * height)
        most = np.maximum(most, np.where(happens < 0.5, tent, 0.0))
    return most


def bursts(key: int, coins: Ints, times_ms: Ints) -> Floats:
    """What single coins do for some days, up or down, for no reason that others share; [coins, n].

    Three times of ten a burst begins somewhere in each ten days and is over before the next ten are.
    """
    days = (times_ms - ORIGIN_MS) / float(DAY_MS)
    turn = np.floor_divide(days, TURN_DAYS).astype(np.int64)
    total = np.zeros((len(coins), times_ms.shape[1]))
    if total.size == 0:
        return total
    # What many moments share is drawn once, as long as there are fewer turns than moments.
    first, count = int(turn.min()) - 1, int(turn.max() - turn.min()) + 2
    is_shared = len(turn) == 1 and count < turn.size
    shared = _burst(key, coins, np.arange(first, first + count)[None, :]) if is_shared else None
    for back in (0, 1):
        which = turn - back
        burst = [part.take(which[0] - first, axis=1) for part in shared] if shared else _burst(key, coins, which)
        height, begins, up, down = burst
        total += height * _tent(days - which * TURN_DAYS, begins, up, down)
    return total


def _burst(key: int, coins: Ints, turns: Ints) -> tuple[Floats, Floats, Floats, Floats]:
    """The bursts of coins in turns: how high (0 for none), in which day of the turn, in how many days up and down."""
    drawn = hashes(key, coins[:, None], turns)
    happens, height, begins, up, down = (_part(drawn, number) for number in range(5))
    height = height * 1.65 - 0.65
    height = np.where(happens < 0.3, height * height * height, 0.0)
    return height, begins * TURN_DAYS, 0.2 + 1.3 * up, 1.0 + 7.0 * down


def _part(drawn: Hashes, number: int) -> Floats:
    """The n-th of five numbers from 0 up to 1 that are in one hash."""
    part: Floats = (drawn >> np.uint64(12 * number) & np.uint64(4095)).astype(np.float64) * (1 / 4096)
    return part


def coming_and_going(universe: Universe, coins: Ints, times_ms: Ints) -> Floats:
    """A launch's excitement, gone after two months, and the last three months of a coin that collapses.

    Args:
        universe: everybody.
        coins: [k].
        times_ms: [1 or k, n].
    """
    age = (times_ms - universe.born_ms[coins, None]) / float(DAY_MS)
    left = (universe.died_ms[coins, None] - times_ms) / float(DAY_MS)
    excited = np.where(universe.is_stable[coins, None], 0.0, 1.2 * np.clip(1.0 - age / 60.0, 0.0, 1.0))
    gone = np.clip(1.0 - left / 90.0, 0.0, 1.0)
    return excited - np.where(universe.collapses[coins, None], 5.0 * gone * gone, 0.0)


def _tent(day: Floats, begins: Floats, up_days: Floats | float, down_days: Floats | float) -> Floats:
    """From 0 up to 1 in `up_days`, and back in `down_days`."""
    inside = day - begins
    raised: Floats = np.clip(np.minimum(inside / up_days, 1.0 - (inside - up_days) / down_days), 0.0, 1.0)
    return raised
