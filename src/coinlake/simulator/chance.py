"""Chance that can be asked again: numbers that follow from integers alone, the same to the last bit on any machine.

Nothing here keeps a state. A draw is a hash (splitmix64) of who asks and for what; normal deviates come from a table;
only additions, multiplications, divisions, roundings and shifts are used, which IEEE 754 defines to the last bit.
Library functions such as `np.exp` differ in the last bit from machine to machine, so `exp` is our own.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_27, _30, _31, _11 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(11)
_MASK = (1 << 64) - 1

QUANTILES = 4096
# Rounded: what the machine's logarithm says in the sixteenth digit must not matter.
NORMALS: Floats = np.array([round(NormalDist().inv_cdf((i + 0.5) / QUANTILES), 9) for i in range(QUANTILES)])
"""Standard normal deviates, one for each value of a hash's first 12 bits."""

_BENT = NORMALS * (1.0 + 0.1 * NORMALS * NORMALS)
FAT: Floats = _BENT / math.sqrt(math.fsum(_BENT * _BENT) / QUANTILES)
"""Deviates of the same variance whose extremes are commoner."""


def finish(x: Hashes) -> Hashes:
    """Splitmix64's finalizer, in place: every bit of the input changes half the bits of the output."""
    x ^= x >> _30
    x *= _FIRST
    x ^= x >> _27
    x *= _SECOND
    x ^= x >> _31
    return x


def hashes(key: int, *parts: Any) -> Hashes:
    """One hash for each element of the broadcast `parts` (integers), all different functions for different keys."""
    state: Hashes = np.array([key & _MASK], dtype=np.uint64)
    for part in parts:
        numbers = np.atleast_1d(np.asarray(part, dtype=np.int64)).astype(np.uint64)
        state = finish((numbers + np.uint64(1)) * _GOLDEN ^ state)
    return state if any(np.ndim(part) for part in parts) else state.reshape(())


def further(states: Hashes, part: Ints) -> Hashes:
    """What `hashes` gives with one more part after those that gave `states`; both broadcast."""
    return finish((part + 1).astype(np.uint64) * _GOLDEN ^ states)


def within(x: Floats, low: float, high: float) -> Floats:
    """Like `np.clip`, which takes its time where there is little to do."""
    made: Floats = np.minimum(np.maximum(x, low), high)
    return made


def hash_of(key: int, *parts: int) -> int:
    """One hash, the same as that of `hashes`: for single draws, where arrays would only cost time."""
    state = key & _MASK
    for part in parts:
        x = ((part + 1) * int(_GOLDEN) & _MASK) ^ state
        x = (x ^ x >> 30) * int(_FIRST) & _MASK
        x = (x ^ x >> 27) * int(_SECOND) & _MASK
        state = x ^ x >> 31
    return state


def key_of(seed: int, name: str) -> int:
    """The key under which `name` draws in the market of that seed; Python's own hash differs between processes."""
    state = (seed * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019) & _MASK
    for byte in name.encode():
        state = int(finish(np.array([state ^ byte], dtype=np.uint64) * _GOLDEN)[0])
    return state


def uniform(key: int, *parts: Any) -> Floats:
    """A number from 0 up to but not 1 for each element of the broadcast parts."""
    return to_uniform(hashes(key, *parts))


def to_uniform(drawn: Hashes) -> Floats:
    """The number from 0 up to but not 1 that is in each hash."""
    return (drawn >> _11).astype(np.float64) * 2.0**-53


def between(low: float, high: float, key: int, *parts: Any) -> Floats:
    """A number between two bounds."""
    return low + (high - low) * uniform(key, *parts)


def normal(key: int, *parts: Any) -> Floats:
    """A standard normal deviate for each element of the broadcast parts."""
    return NORMALS[(hashes(key, *parts) >> np.uint64(52)).astype(np.int64)]


_LOG2_E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 0.693147180369123816490, 1.90821492927058770002e-10
_TAYLOR = [1.0]
for _n in range(1, 14):
    _TAYLOR.append(_TAYLOR[-1] / _n)


def exp(x: Floats) -> Floats:
    """e to the power of x, to about the last digit, the same bits everywhere; x is finite and between -700 and 700."""
    whole = np.rint(x * _LOG2_E)
    rest = (x - whole * _LN2_HIGH) - whole * _LN2_LOW
    total = np.full_like(rest, _TAYLOR[-1])
    for term in _TAYLOR[-2::-1]:
        total *= rest
        total += term
    made: Floats = np.ldexp(total, whole.astype(np.int32))
    return made


def lerp(x: Floats, xs: Floats, ys: Floats) -> Floats:
    """Straight lines through the points (xs, ys), level outside; `np.interp` may differ in the last bit elsewhere."""
    at = np.clip(np.searchsorted(xs, x, side="right") - 1, 0, len(xs) - 2)
    inside = np.clip((x - xs[at]) / (xs[at + 1] - xs[at]), 0.0, 1.0)
    made: Floats = ys[at] + inside * (ys[at + 1] - ys[at])
    return made
