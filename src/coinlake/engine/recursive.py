"""Indicators that remember all of the past, of one unbroken run of observations: TA-Lib's, with its seeding.

TA-Lib takes what is below 1e-14 for zero, so a run is first scaled by a power of two (which is exact) until its
smallest price is at least one. It is imported when first needed: where pandas is installed it imports that as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EMA = (12, 26, 50)
WEIGHT = 0.001
"""Weight of the seed under which a value counts as converged."""


def _fades(alpha: float) -> int:
    """After how many observations a seed's weight is under `WEIGHT`."""
    return math.floor(math.log(WEIGHT) / math.log(1 - alpha)) + 1


CONVERGED_AFTER = {
    **{f"ema_{n}d": n + _fades(2 / (n + 1)) for n in EMA},
    "macd": 34 + 95,  # 1.47 (25/27)^k: the slow average's seed, as the signal's own averaging passes it on
    "rsi_14d": 15 + _fades(1 / 14),
    "atr_14d": 15 + _fades(1 / 14),
    "adx_14d": 28 + 125,  # (1 + k/14) (13/14)^k: one Wilder average of another
}
"""Observations in a run from which on a value has converged."""

ADX_NEEDS = 28
"""Observations of which TA-Lib makes its first ADX."""
FLAT_FOR = CONVERGED_AFTER["rsi_14d"]
"""Observations without a change after which a price is flat: all that ever moved weighs under `WEIGHT`."""


def of_closes(close: Floats) -> dict[str, Floats]:
    """EMA, MACD and RSI of a run of closes [n] in USD, NaN where there is none yet."""
    import talib

    scale = _scale(close)
    x = np.ldexp(close, scale)
    macd, signal, histogram = (np.ldexp(each, -scale) for each in talib.MACD(x, 12, 26, 9))
    return {
        **{f"ema_{n}d": np.ldexp(talib.EMA(x, n), -scale) for n in EMA},
        "macd": macd,
        "macd_signal": signal,
        "macd_histogram": histogram,
        "rsi_14d": _without_flats(talib.RSI(x, 14), x),
    }


def of_ranges(high: Floats, low: Floats, close: Floats) -> dict[str, Floats]:
    """ATR and ADX of a run of highs, lows and closes [n] in USD, NaN where there is none yet."""
    import talib

    scale = _scale(low)
    h, l, c = (np.ldexp(each, scale) for each in (high, low, close))  # noqa: E741 - as the formulas name them
    return {"atr_14d": np.ldexp(talib.ATR(h, l, c, 14), -scale), "adx_14d": _adx(h, l, c)}


def _adx(high: Floats, low: Floats, close: Floats) -> Floats:
    """A range that did not move has no direction: 0, and what follows begins there, where TA-Lib keeps the direction
    it last had for ever.
    """
    import talib

    flat = _flat(np.array([high, low, close]), CONVERGED_AFTER["adx_14d"])
    adx = talib.ADX(high, low, close, 14)
    for moves in (np.flatnonzero(flat[:-1] & ~flat[1:]) + 1).tolist():
        begins = max(moves - ADX_NEEDS, 0)
        adx[moves:] = talib.ADX(high[begins:], low[begins:], close[begins:], 14)[moves - begins :]
    return np.where(flat & ~np.isnan(adx), 0.0, adx)


def _flat(values: Floats, days: int) -> NDArray[np.bool_]:
    """Where none of the rows of [row, day] has moved for so many observations, or ever."""
    place = np.arange(values.shape[1])
    steps = (values[:, 1:] != values[:, :-1]).any(axis=0)
    moved = np.maximum.accumulate(np.where(np.r_[False, steps], place, -1))
    still: NDArray[np.bool_] = (moved < 0) | (place - moved >= days)
    return still


def _scale(x: Floats) -> int:
    """The power of two that brings the smallest to one or more."""
    return 1 - math.frexp(float(x.min()))[1]


def _without_flats(rsi: Floats, x: Floats) -> Floats:
    """A price that did not move is neither strong nor weak: 50, where TA-Lib says 0."""
    return np.where(_flat(x[np.newaxis], FLAT_FOR) & ~np.isnan(rsi), 50.0, rsi)


def converged(observations: NDArray[np.int64]) -> Mapping[str, NDArray[np.bool_]]:
    """Whether each value has converged, by how many observations its run has."""
    return {name: observations >= after for name, after in CONVERGED_AFTER.items()}
