"""Random walks in continuous time that are never stored: the value at a moment is computed from the moment alone.

A walk is a Brownian bridge over 45 years, halved again and again: years, months, days, down to 84 seconds, straight
below. Each halving moves the middle by a deviate of its own times the volatility of that stretch of time. That
volatility is itself inherited: a child's is its parent's times a factor drawn for the child, so that restless weeks
hold restless days (volatility clusters) and extremes are commoner than in a normal walk (tails are fat). A point costs
one hash for each level, whatever was asked before.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from coinlake.simulator.chance import FAT, Floats, Hashes, Ints, exp, finish

DAY_MS = 86_400_000
MINUTE_MS = 60_000
ORIGIN_MS = 1_199_145_600_000
"""2008-01-01T00:00Z, where time begins."""
DAYS = 1 << 14
END_MS = ORIGIN_MS + DAYS * DAY_MS
"""2052-11-09T00:00Z, where it ends."""
LEVELS = 24
DAILY_LEVELS = 14
"""Levels whose stretches are of whole days: the finer ones move nothing at 00:00 UTC."""
LEAF_MS = DAYS * DAY_MS >> LEVELS
SPREAD_LEVELS = range(5, 17)
"""Where volatility is inherited with a change: stretches of 512 days down to six hours."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_NORMAL_BITS, _FACTOR_BITS = np.uint64(52), np.uint64(7)
_FAR = 1 << 62
_FEW = 1024
"""Most values for which going through the levels one by one would cost more than it saves."""


def span_days(level: int) -> float:
    """Length of a stretch of that level, in days."""
    return float(DAYS) / (1 << level)


@cache
def _factors() -> Floats:
    """[level, 8] factors of volatility, whose squares are 1 on average."""
    deviates = np.array([-1.53, -0.89, -0.49, -0.16, 0.16, 0.49, 0.89, 1.53])
    table = np.ones((LEVELS, 8))
    for level in SPREAD_LEVELS:
        drawn = exp(0.26 * deviates)
        table[level] = drawn / math.sqrt(math.fsum(drawn * drawn) / 8)
    return table


def weights(sigma: Floats, longest_days: float = 1024.0, shortest_days: float = 0.0) -> Floats:
    """[walks, LEVELS]: how far each level moves the middle, for walks of `sigma` a square root of a year.

    Stretches longer than `longest_days` move it as little as one of that length does, so that the walk keeps coming
    back; stretches shorter than `shortest_days` do not move it.
    """
    made: Floats = np.asarray(sigma, dtype=np.float64)[:, None] * _levels(longest_days, shortest_days)
    return made


@cache
def _levels(longest_days: float, shortest_days: float) -> Floats:
    sizes = [min(span_days(level), longest_days) for level in range(LEVELS)]
    return np.array(
        [[math.sqrt(size / 4 / 365) if span_days(level) >= shortest_days else 0.0 for level, size in enumerate(sizes)]]
    )


def walk(keys: Hashes, times_ms: Ints, weights: Floats) -> Floats:
    """Values of walks at moments, [walks, n].

    Args:
        keys: [walks], which walk each is.
        times_ms: [n] for all of them or [walks, n], from ORIGIN_MS up to END_MS.
        weights: [walks, LEVELS].
    """
    since = np.atleast_2d(times_ms) - ORIGIN_MS
    total = np.zeros((len(keys), since.shape[1]))
    if total.size == 0:
        return total
    levels = LEVELS if (since % DAY_MS).any() else DAILY_LEVELS
    if total.size <= _FEW:
        return _at_once(keys, since, weights, levels)
    leaf = since // LEAF_MS
    # Stretches that many moments share are drawn once, as long as there are fewer of them than moments.
    lowest, highest = (int(leaf.min()), int(leaf.max())) if len(leaf) == 1 else (0, _FAR)
    volatility, before = np.ones((len(keys), 1)), None
    for level in range(levels):
        shift = LEVELS - level
        own = leaf >> shift
        first = lowest >> shift if (highest >> shift) - (lowest >> shift) < own.shape[1] else None
        nodes = own if first is None else np.arange(first, (highest >> shift) + 1)[None, :]
        drawn = _draw(keys, nodes, level)
        if before is not None:
            volatility = volatility.take((nodes[0] >> 1) - before, axis=1)
        if level in SPREAD_LEVELS:
            volatility = volatility * _factors_of(drawn, level)
        if weights[:, level].any():
            moved = FAT.take((drawn >> _NORMAL_BITS).astype(np.int64)) * volatility * weights[:, level, None]
            total += (moved if first is None else moved.take(own[0] - first, axis=1)) * _hat(since, own, shift)
        before = first
    return total


def ends(start_ms: int, end_ms: int) -> Ints:
    """The ends of all finest stretches that touch a time, [n]: between two of them every walk is straight."""
    first, last = ((moment - ORIGIN_MS) // LEAF_MS for moment in (start_ms, end_ms))
    return ORIGIN_MS + np.arange(first, last + 2) * LEAF_MS


def finest(keys: Hashes, start_ms: int, end_ms: int, weights: Floats) -> Floats:
    """Values of walks at the `ends` of a time of some days, [walks, n].

    Each is made of its neighbours, so it is the value of `walk` but for rounding, at a tenth of the cost.
    """
    first, last = ((moment - ORIGIN_MS) // LEAF_MS for moment in (start_ms, end_ms))
    day, days = first >> LEVELS - DAILY_LEVELS, (last >> LEVELS - DAILY_LEVELS) - (first >> LEVELS - DAILY_LEVELS) + 1
    values = walk(keys, ORIGIN_MS + np.arange(day, day + days + 1) * DAY_MS, weights)
    above = np.arange(DAILY_LEVELS)[:, None, None]
    nodes = np.arange(day, day + days)
    volatility = np.multiply.reduce(_factors_of(_draw(keys, nodes >> DAILY_LEVELS - above, above), above))
    for level in range(DAILY_LEVELS, LEVELS):
        drawn = _draw(keys, nodes, level)
        if level in SPREAD_LEVELS:
            volatility = volatility * _factors_of(drawn, level)
        halved = np.empty((len(keys), 2 * nodes.size + 1))
        halved[:, ::2] = values
        middle = halved[:, 1::2]
        np.add(values[:, :-1], values[:, 1:], out=middle)
        middle *= 0.5
        middle += FAT.take((drawn >> _NORMAL_BITS).astype(np.int64)) * volatility * weights[:, level, None]
        # Of the halves those that the time touches.
        begin, end = first >> LEVELS - 1 - level, (last >> LEVELS - 1 - level) + 1
        kept = slice(begin - 2 * int(nodes[0]), end - 2 * int(nodes[0]))
        values = halved[:, kept.start : kept.stop + 1]
        nodes = np.arange(begin, end)
        volatility = np.repeat(volatility, 2, axis=1)[:, kept]
    return values


def _at_once(keys: Hashes, since: Ints, weights: Floats, levels: int) -> Floats:
    """The same to the last bit, for few values: all levels together, [levels, walks, n], in far fewer steps."""
    level = np.arange(levels)[:, None, None]
    shift = LEVELS - level
    nodes = since // LEAF_MS >> shift
    drawn = _draw(keys, nodes, level)
    moved = FAT.take((drawn >> _NORMAL_BITS).astype(np.int64)) * np.multiply.accumulate(_factors_of(drawn, level))
    moved *= weights.T[:levels, :, None]
    moved *= _hat(since, nodes, shift)
    # Not `sum`, which may add in another order.
    total: Floats = np.add.accumulate(moved)[-1]
    return total


def _draw(keys: Hashes, nodes: Ints, level: Any) -> Hashes:
    # Numbered as in a heap, so that no two stretches of a walk share a number.
    numbered = (nodes + (1 << level)).astype(np.uint64) * _GOLDEN
    return finish(numbered ^ keys[:, None])


def _factors_of(drawn: Hashes, level: Any) -> Floats:
    """By how much more volatile stretches of a level are than those that they are halves of."""
    factors: Floats = _factors().take((drawn & _FACTOR_BITS).astype(np.int64) + 8 * level)
    return factors


def _hat(since: Ints, nodes: Ints, shift: Any) -> Floats:
    """How much a stretch's middle counts at each moment: 1 in the middle, 0 at its ends."""
    length = LEAF_MS << shift
    inside = since - nodes * length
    hat: Floats = np.minimum(inside, length - inside) * (2.0 / length)
    return hat
