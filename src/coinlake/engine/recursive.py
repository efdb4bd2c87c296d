"""Indicators that remember all of the past, of one unbroken run of observations: TA-Lib's, with its seeding.

TA-Lib takes what is below 1e-14 for zero, so a run is first scaled by a power of two (which is exact) until its
smallest price is at least one. It is imported when first needed: where pandas is installed it imports that as well.

What a value remembers is told with it (`STATE`): a run whose beginning is not at hand goes on from there, one
observation after the other, to the same numbers (`continued`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

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
FLAT_FOR, RANGE_FLAT_FOR = CONVERGED_AFTER["rsi_14d"], CONVERGED_AFTER["adx_14d"]
"""Observations without a change after which a price, or a range, is flat: all that ever moved weighs under `WEIGHT`."""
FLAT_RSI = 50.0
"""A price that did not move is neither strong nor weak, where TA-Lib says 0."""


STATE = (
    *(f"ema_{n}d" for n in EMA), "macd_ema_12d", "macd_signal", "rsi_gain_14d", "rsi_loss_14d", "close_still_for",
    "atr_14d", "plus_dm_14d", "minus_dm_14d", "adx_14d", "range_still_for",
)  # fmt: skip
"""What the values of an observation need of all those before it, but for the observation before."""
VALUES = (*STATE, "macd", "macd_histogram", "rsi_14d")
"""All that is told of an observation."""
MACD_BEGINS = 14
"""Observations that the fast average of MACD leaves out, so that it begins with the slow one."""


# A run from its beginning --------------------------------------------------------------------------------------------


def of_closes(close: Floats) -> dict[str, Floats]:
    """EMA, MACD and RSI of a run of closes [n] in USD, NaN where there is none yet."""
    import talib

    scale = _scale(close)
    x = np.ldexp(close, scale)
    rise, nothing = np.diff(x, prepend=x[0]), np.zeros_like(x)
    fast = np.full_like(x, np.nan)
    fast[MACD_BEGINS:] = talib.EMA(x[MACD_BEGINS:], 12) if len(x) > MACD_BEGINS else np.nan
    in_usd = {
        **{f"ema_{n}d": talib.EMA(x, n) for n in EMA},
        **dict(zip(("macd", "macd_signal", "macd_histogram"), talib.MACD(x, 12, 26, 9), strict=True)),
        "macd_ema_12d": fast,
        # A true range that is the rise alone: Wilder's average of it, which TA-Lib has under no other name.
        "rsi_gain_14d": talib.ATR(np.maximum(rise, 0.0), nothing, nothing, 14),
        "rsi_loss_14d": talib.ATR(np.maximum(-rise, 0.0), nothing, nothing, 14),
    }
    still, (gain, loss) = _still_for(x[np.newaxis]), (in_usd[f"rsi_{part}_14d"] for part in ("gain", "loss"))
    rsi = 100 * (gain / np.where(gain + loss > 0, gain + loss, 1.0))  # as TA-Lib's, of the same averages
    return {
        **{name: np.ldexp(values, -scale) for name, values in in_usd.items()},
        "rsi_14d": np.where(_is_flat(still, FLAT_FOR) & ~np.isnan(rsi), FLAT_RSI, rsi),
        "close_still_for": still,
    }


def of_ranges(high: Floats, low: Floats, close: Floats) -> dict[str, Floats]:
    """ATR and ADX of a run of highs, lows and closes [n] in USD, NaN where there is none yet."""
    import talib

    scale = _scale(low)
    h, l, c = (np.ldexp(each, scale) for each in (high, low, close))  # noqa: E741 - as the formulas name them
    still = _still_for(np.array([h, l, c]))
    adx, plus, minus = _directed(h, l, c, _is_flat(still, RANGE_FLAT_FOR))
    in_usd = {"atr_14d": talib.ATR(h, l, c, 14), "plus_dm_14d": plus, "minus_dm_14d": minus}
    return {
        **{name: np.ldexp(values, -scale) for name, values in in_usd.items()},
        "adx_14d": adx,
        "range_still_for": still,
    }


def _directed(high: Floats, low: Floats, close: Floats, flat: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
    """ADX and Wilder's sums of both directed movements. A range that did not move has no direction: 0, and what follows
    begins there, where TA-Lib keeps the direction it last had for ever.
    """
    found = _directed_from(0, high, low, close)
    for moves in (np.flatnonzero(flat[:-1] & ~flat[1:]) + 1).tolist():
        for each, anew in zip(found, _directed_from(max(moves - ADX_NEEDS, 0), high, low, close), strict=True):
            each[moves:] = anew[len(anew) - len(each) + moves :]
    adx, plus, minus = found
    return np.where(flat & ~np.isnan(adx), 0.0, adx), plus, minus


def _directed_from(begins: int, high: Floats, low: Floats, close: Floats) -> tuple[Floats, Floats, Floats]:
    import talib

    h, l, c = (each[begins:] for each in (high, low, close))  # noqa: E741
    return talib.ADX(h, l, c, 14), talib.PLUS_DM(h, l, 14), talib.MINUS_DM(h, l, 14)


def _still_for(values: Floats) -> Floats:
    """For how many observations none of the rows of [row, n] has moved; NaN where none ever has."""
    place = np.arange(values.shape[1])
    steps = (values[:, 1:] != values[:, :-1]).any(axis=0)
    moved = np.maximum.accumulate(np.where(np.r_[False, steps], place, -1))
    return np.where(moved < 0, np.nan, place - moved)


def _is_flat(still: Floats, observations: int) -> NDArray[np.bool_]:
    return np.isnan(still) | (still >= observations)


def _scale(x: Floats) -> int:
    """The power of two that brings the smallest to one or more."""
    return 1 - math.frexp(float(x.min()))[1]


# A run from where it was ---------------------------------------------------------------------------------------------


class _Seen(NamedTuple):
    """One observation, in USD."""

    close: float
    high: float
    low: float


def continued(state: Mapping[str, float], last: int, close: Floats, high: Floats, low: Floats) -> dict[str, Floats]:
    """The values of a run's observations after one whose state is known, the `last` known of [n] that are given: arrays
    of as many as follow it. Of those before it the last `ADX_NEEDS` are looked at, where a range moves again.
    """
    seen = [_Seen(*each) for each in zip(*(each[last:].tolist() for each in (close, high, low)), strict=True)]
    made = []
    for place, (before, now) in enumerate(pairwise(seen), last + 1):
        after = _after(state, before, now)
        if _flat(state["range_still_for"], RANGE_FLAT_FOR) and not after["range_still_for"]:
            recent = slice(place - ADX_NEEDS, place + 1)
            anew = of_ranges(high[recent], low[recent], close[recent])
            after |= {name: float(anew[name][-1]) for name in ("adx_14d", "plus_dm_14d", "minus_dm_14d")}
        made.append(after)
        state = after
    return {name: np.array([each[name] for each in made], dtype=float) for name in VALUES}


def _after(state: Mapping[str, float], before: _Seen, now: _Seen) -> dict[str, float]:
    """The values of an observation, as TA-Lib goes from one to the next."""
    rise = now.close - before.close
    made = {f"ema_{n}d": _exponential(state[f"ema_{n}d"], now.close, n) for n in EMA}
    fast = _exponential(state["macd_ema_12d"], now.close, 12)
    macd = fast - made["ema_26d"]
    signal = _exponential(state["macd_signal"], macd, 9)
    gain, loss = _wilder(state["rsi_gain_14d"], max(rise, 0.0)), _wilder(state["rsi_loss_14d"], max(-rise, 0.0))
    still = _longer(state["close_still_for"], rise == 0)
    rsi = 100 * (gain / (gain + loss)) if gain + loss else 0.0
    return {
        **made,
        "macd_ema_12d": fast,
        "macd": macd,
        "macd_signal": signal,
        "macd_histogram": macd - signal,
        "rsi_gain_14d": gain,
        "rsi_loss_14d": loss,
        "rsi_14d": FLAT_RSI if _flat(still, FLAT_FOR) else rsi,
        "close_still_for": still,
        **_ranged_after(state, before, now),
    }


def _ranged_after(state: Mapping[str, float], before: _Seen, now: _Seen) -> dict[str, float]:
    up, down = now.high - before.high, before.low - now.low
    plus = state["plus_dm_14d"] - state["plus_dm_14d"] / 14 + (up if up > 0 and up > down else 0.0)
    minus = state["minus_dm_14d"] - state["minus_dm_14d"] / 14 + (down if down > 0 and down > up else 0.0)
    directed = 100 * (abs(minus - plus) / (minus + plus)) if minus + plus else None
    adx = state["adx_14d"] if directed is None else _wilder(state["adx_14d"], directed)
    still = _longer(state["range_still_for"], before == now)
    true_range = max(now.high - now.low, abs(now.high - before.close), abs(now.low - before.close))
    return {
        "atr_14d": _wilder(state["atr_14d"], true_range),
        "plus_dm_14d": plus,
        "minus_dm_14d": minus,
        "adx_14d": 0.0 if _flat(still, RANGE_FLAT_FOR) else adx,
        "range_still_for": still,
    }


def _exponential(average: float, value: float, observations: int) -> float:
    return (value - average) * (2 / (observations + 1)) + average


def _wilder(average: float, value: float) -> float:
    return (average * 13 + value) / 14


def _longer(still: float, is_still: bool) -> float:
    return still + 1 if is_still else 0.0


def _flat(still: float, observations: int) -> bool:
    return math.isnan(still) or still >= observations


# How sure they are ---------------------------------------------------------------------------------------------------


def converged(observations: NDArray[np.int64]) -> Mapping[str, NDArray[np.bool_]]:
    """Whether each value has converged, by how many observations its run has."""
    return {name: observations >= after for name, after in CONVERGED_AFTER.items()}
