"""How sure one can be of an excess return, when it is one of many that were looked at. The arithmetic alone."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLES = 1000
BLOCK_DAYS = 20
"""Days of a block that is drawn as a whole: what belongs together within a month stays together."""
SMALL = 1e-12
"""What a spread of nothing but rounding comes to."""


@dataclass(frozen=True)
class Excess:
    """The mean daily excess return, the ends of its 95 % interval, and the probability of one as far from zero if there
    were none. `p_value` is None where the two series never differ.
    """

    mean: float
    low: float
    high: float
    p_value: float | None


def excess(daily: Floats, key: str, resamples: int = RESAMPLES) -> Excess:
    """By a circular block bootstrap of daily excess returns, seeded by a key: the same key gives the same numbers.

    The interval is that of percentiles; the p-value is two-sided and normal, on the bootstrap's own standard error,
    for a count among a thousand resamples could never be small enough to survive the correction for many tests.
    """
    days, block = len(daily), max(1, min(BLOCK_DAYS, len(daily) // 4))
    blocks = -(-days // block)
    summed = np.cumsum(np.r_[0.0, daily, daily[: block - 1]])
    sums = summed[block:] - summed[:-block]
    means = sums[_draws(key, (resamples, blocks), days)].sum(axis=1) / (blocks * block)
    mean, error = float(daily.mean()), float(means.std(ddof=1))
    low, high = (float(each) for each in np.quantile(means, (0.025, 0.975)))
    return Excess(mean, low, high, math.erfc(abs(mean) / error / math.sqrt(2)) if error > SMALL else None)


def _draws(key: str, shape: tuple[int, int], below: int) -> NDArray[np.int64]:
    """Whole numbers from 0 to `below`, from the raw stream of PCG64, which no version of numpy changes."""
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:16], "big")
    raw = np.random.PCG64(seed).random_raw(shape)
    return np.asarray(((raw >> np.uint64(32)) * np.uint64(below)) >> np.uint64(32)).astype(np.int64)


def corrected(p_values: Floats) -> Floats:
    """Benjamini and Hochberg's q-values: the share of false finds among all at least as striking.

    Every entry was tried, so every entry counts, those too poor for a test (NaN, and NaN is their q-value) as well.
    """
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    scaled = p_values[order] * len(p_values) / np.arange(1, len(order) + 1)
    q_values = np.full(len(p_values), np.nan)
    q_values[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return q_values
