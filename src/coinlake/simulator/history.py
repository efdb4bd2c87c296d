"""What happened: the trend, crashes and runs of the whole market, a lost peg, and how single coins come and go.

Everything but the stress of pegs is in logarithms of the price; all is made of straight lines and comes back to where
it was, so it can be computed for a moment from the moment alone. Time is cut into seasons of 300 days; each has a crash
and a run of its own.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from coinlake.simulator.chance import Floats, Hashes, Ints, between, further, hashes, within
from coinlake.simulator.paths import DAY_MS, DAYS, ORIGIN_MS
from coinlake.simulator.universe import YEAR_MS, Universe

SEASON_DAYS, TURN_DAYS = 300.0, 10.0
EXCITED_DAYS, GOING_DAYS = 60.0, 90.0
CRASH_DAYS, RUN_DAYS, PEG_DAYS = 2.5, 45.0, 0.7
"""How long a crash, a run and the loss of a peg take to their ends."""
FURTHEST_OFF = 0.1
"""What a peg that holds is never off by."""
_SHIFTS = np.arange(0, 60, 12, dtype=np.uint64)
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


class Seasons(NamedTuple):
    """Of every season: on which day its crash, its run and the loss of a peg begin, how deep or high these are, and how
    long the peg takes to come back.
    """

    falls: Floats
    fell: Floats
    rises: Floats
    rose: Floats
    loses: Floats
    lost: Floats
    returns: Floats

    @property
    def corners_ms(self) -> Ints:
        """When crashes, runs and losses are over and turn back, just before and just after."""
        days = np.arange(len(self.falls)) * SEASON_DAYS
        turns = [self.falls + CRASH_DAYS, self.rises + RUN_DAYS, self.loses + PEG_DAYS]
        before = _ms(np.concatenate([days + each for each in turns]))
        return np.concatenate([before, before + 1])


def all_seasons(key: int) -> Seasons:
    """The seasons of a market, [seasons] each."""
    season = np.arange(math.ceil(DAYS / SEASON_DAYS))
    falls, depth, rises, height, _ = _parts(hashes(key, season))
    peg = between(20, 270, key, season, 5), between(0.08, 0.3, key, season, 7), between(3.0, 12.0, key, season, 6)
    return Seasons(10.0 + 90.0 * falls, 0.35 + 0.25 * depth, 110.0 + 60.0 * rises, 0.5 + 0.4 * height, *peg)


def seasons(found: Seasons, times_ms: Ints) -> Floats:
    """The crash and the run of each season, as the market factor feels them."""
    season, day = _season(times_ms)
    crash = _tent(day, found.falls.take(season), CRASH_DAYS, 110.0) * found.fell.take(season)
    run = _tent(day, found.rises.take(season), RUN_DAYS, 80.0) * found.rose.take(season)
    return run - crash


def lost_peg(found: Seasons, times_ms: Ints) -> Floats:
    """What the coin that loses its peg is off by: once a season, for some days."""
    season, day = _season(times_ms)
    return -_tent(day, found.loses.take(season), PEG_DAYS, found.returns.take(season)) * found.lost.take(season)


def _season(times_ms: Ints) -> tuple[Ints, Floats]:
    """The season of each moment, and how many days of it are over."""
    days = (times_ms - ORIGIN_MS) / float(DAY_MS)
    season = np.floor_divide(days, SEASON_DAYS).astype(np.int64)
    return season, days - season * SEASON_DAYS


def corners(shared_ms: Ints, bursting: Hashes, changed_ms: Ints, start_ms: int, end_ms: int) -> Ints:
    """The moments in a time at which events turn and walks do not, [coins, n]; some coins' lie outside.

    Args:
        shared_ms: those of the seasons.
        bursting: [coins], as of `bursts`.
        changed_ms: [coins], when each is redenominated.
    """
    first, last = (int((moment - ORIGIN_MS) // (TURN_DAYS * DAY_MS)) for moment in (start_ms, end_ms))
    turns = np.arange(first - 1, last + 1)[None, :]
    _, begins, up, _ = _burst(bursting, turns)
    before = _ms(turns * TURN_DAYS + begins + up)
    shared = shared_ms[(shared_ms >= start_ms) & (shared_ms <= end_ms)]
    moments = np.concatenate([before, before + 1, changed_ms[:, None] - 1, changed_ms[:, None]], axis=1)
    own = moments[:, ((moments >= start_ms) & (moments <= end_ms)).any(axis=0)]
    return own if not shared.size else np.hstack([own, np.broadcast_to(shared, (len(own), shared.size))])


def _ms(days: Floats) -> Ints:
    """The milliseconds before moments that are told in days since the origin."""
    before: Ints = ORIGIN_MS + np.floor(days * DAY_MS).astype(np.int64)
    return before


def off_the_peg(doubting: Hashes, times_ms: Ints, walked: Floats, burst: Floats) -> Floats:
    """What stablecoins are off by, [coins, n], of what they would be by a walk and bursts of their own.

    In stress it is many times as much as in calm; the further off, the harder they are pulled back.
    """
    off = (walked + burst * 0.25) * (1.0 + 10.0 * _stress(doubting, times_ms))
    held: Floats = off / (1.0 + np.abs(off) / FURTHEST_OFF)
    return held


def _stress(doubting: Hashes, times_ms: Ints) -> Floats:
    """How much each coin's peg is doubted, from 0 to 1.

    In half of a coin's seasons doubt rises within days and ebbs away over two to ten months: calm weeks follow on calm
    ones, restless weeks on restless ones.
    """
    season, into = _season(times_ms)
    tents = []
    for back in (0, 1):
        happens, begins, height, lasts, _ = _parts(further(doubting[:, None], season - back))
        day = into + back * SEASON_DAYS
        tent = _tent(day, begins * SEASON_DAYS, 3.0, 60.0 + 230.0 * lasts) * (0.4 + 0.6 * height)
        tents.append(np.where(happens < 0.5, tent, 0.0))
    most: Floats = np.maximum(*tents)
    return most


def bursts(bursting: Hashes, times_ms: Ints) -> Floats:
    """What single coins do for some days, up or down, for no reason that others share; [coins, n].

    Three times of ten a burst begins somewhere in each ten days and is over before the next ten are.

    Args:
        bursting: [coins], a hash of each.
        times_ms: [1 or coins, n].

    Returns:
        [coins, n], or zeros that broadcast.
    """
    days = (times_ms - ORIGIN_MS) / float(DAY_MS)
    turn = np.floor_divide(days, TURN_DAYS).astype(np.int64)
    if not turn.size:
        return np.zeros((len(bursting), turn.shape[1]))
    first, count = int(turn.min()) - 1, int(turn.max() - turn.min()) + 2
    if len(turn) == 1 and count < turn.size:  # what many moments share is drawn once
        drawn = _burst(bursting, np.arange(first, first + count)[None, :])
        if not drawn[0].any():
            return np.zeros((len(bursting), 1))
        both = [[part.take(turn[0] - back - first, axis=1) for part in drawn] for back in (0, 1)]
    else:
        drawn = _burst(bursting, np.concatenate([turn, turn - 1], axis=1))
        both = [[part[:, back * turn.shape[1] :][:, : turn.shape[1]] for part in drawn] for back in (0, 1)]
    (height, *tent), (height_before, *tent_before) = both
    day = days - turn * TURN_DAYS
    before = height_before * _tent(days - (turn - 1) * TURN_DAYS, *tent_before)
    total: Floats = height * _tent(day, *tent) + before
    return total


def _burst(bursting: Hashes, turns: Ints) -> tuple[Floats, Floats, Floats, Floats]:
    """The bursts of coins in turns: how high (0 for none), in which day of the turn, in how many days up and down."""
    happens, height, begins, up, down = _parts(further(bursting[:, None], turns))
    height = height * 1.65 - 0.65
    height = np.where(happens < 0.3, height * height * height, 0.0)
    return height, begins * TURN_DAYS, 0.2 + 1.3 * up, 1.0 + 7.0 * down


def _parts(drawn: Hashes) -> Floats:
    """The five numbers from 0 up to 1 that are in each hash, [5, …]."""
    shifts = _SHIFTS.reshape(5, *(1,) * drawn.ndim)
    parts: Floats = (drawn >> shifts & np.uint64(4095)).astype(np.float64) * (1 / 4096)
    return parts


def coming_and_going(universe: Universe, coins: Ints, times_ms: Ints) -> Floats:
    """A launch's excitement, gone after two months, and the last three months of a coin that collapses.

    Args:
        universe: everybody.
        coins: [k].
        times_ms: [1 or k, n].

    Returns:
        [k, n], or zeros that broadcast.
    """
    if times_ms.size and _nothing_new(universe, coins, times_ms):
        return np.zeros((len(coins), 1))
    age = (times_ms - universe.born_ms[coins, None]) / float(DAY_MS)
    left = (universe.died_ms[coins, None] - times_ms) / float(DAY_MS)
    excited = np.where(universe.is_stable[coins, None], 0.0, 1.2 * within(1.0 - age / EXCITED_DAYS, 0.0, 1.0))
    gone = within(1.0 - left / GOING_DAYS, 0.0, 1.0)
    return excited - np.where(universe.collapses[coins, None], 5.0 * gone * gone, 0.0)


def _nothing_new(universe: Universe, coins: Ints, times_ms: Ints) -> bool:
    """Whether all coins came long before these moments and are there for long after."""
    first = int(universe.born_ms[coins].max()) + EXCITED_DAYS * DAY_MS
    last = int(universe.died_ms[coins].min()) - GOING_DAYS * DAY_MS
    return bool(first <= times_ms.min() and times_ms.max() <= last)


def _tent(day: Floats, begins: Floats, up_days: Floats | float, down_days: Floats | float) -> Floats:
    """From 0 up to 1 in `up_days`, and back in `down_days`."""
    inside = day - begins
    raised: Floats = within(np.minimum(inside / up_days, 1.0 - (inside - up_days) / down_days), 0.0, 1.0)
    return raised
