"""Indicators that remember all of the past, of one unbroken run of observations: TA-Lib's, with its seeding.

TA-Lib takes what is below 1e-14 for zero, so a run is first scaled by a power of two (which is exact) until its
smallest price is at least one. It is imported when first needed: where pandas is installed it imports that as well.

What a value remembers is told with it (`STATE`): runs whose beginnings are not at hand go on from there, all of them at
once, one observation after the other, to the same numbers (`continued`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
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
        "rsi_14d": np.where(_flat(still, FLAT_FOR) & ~np.isnan(rsi), FLAT_RSI, rsi),
        "close_still_for": still,
    }


def of_ranges(high: Floats, low: Floats, close: Floats) -> dict[str, Floats]:
    """ATR and ADX of a run of highs, lows and closes [n] in USD, NaN where there is none yet."""
    import talib

    scale = _scale(low)
    h, l, c = (np.ldexp(each, scale) for each in (high, low, close))  # noqa: E741 - as the formulas name them
    still = _still_for(np.array([h, l, c]))
    adx, plus, minus = _directed(h, l, c, _flat(still, RANGE_FLAT_FOR))
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


def _scale(x: Floats) -> int:
    """The power of two that brings the smallest to one or more."""
    return 1 - math.frexp(float(x.min()))[1]


# Runs from where they were -------------------------------------------------------------------------------------------


class Seen(NamedTuple):
    """Observations in USD, of runs [run] or of runs one after the other [run, observation]."""

    close: Floats
    high: Floats
    low: Floats

    def at(self, place: int) -> Seen:
        """Those at one place of each run."""
        return Seen(*(each[:, place] for each in self))


Recent = Callable[[int, int], Seen]
"""By the number of a run and a place in it, the observations up to that one and `ADX_NEEDS` before it: [n] each."""


def continued(state: Mapping[str, Floats], seen: Seen, recent: Recent) -> dict[str, Floats]:
    """The values of what follows in runs of which the state [run] is known at the first of the observations that were
    `seen` [run, 1 + n], NaN after a run's end: arrays [run, n]. `recent` is asked where a range moves again.
    """
    made: list[dict[str, Floats]] = []
    for place in range(1, seen.close.shape[1]):
        now = seen.at(place)
        after = _after(state, seen.at(place - 1), now)
        moves_again = _flat(state["range_still_for"], RANGE_FLAT_FOR) & (after["range_still_for"] == 0)
        moves_again &= ~np.isnan(now.close)
        for run in np.flatnonzero(moves_again).tolist():
            its = recent(run, place)
            anew = of_ranges(its.high, its.low, its.close)
            for name in ("adx_14d", "plus_dm_14d", "minus_dm_14d"):
                after[name][run] = anew[name][-1]
        made.append(after)
        state = after
    return {name: np.stack([each[name] for each in made], axis=1) for name in VALUES}


def _after(state: Mapping[str, Floats], before: Seen, now: Seen) -> dict[str, Floats]:
    """The values of an observation, as TA-Lib goes from one to the next."""
    rise = now.close - before.close
    made = {f"ema_{n}d": _exponential(state[f"ema_{n}d"], now.close, n) for n in EMA}
    fast = _exponential(state["macd_ema_12d"], now.close, 12)
    macd = fast - made["ema_26d"]
    signal = _exponential(state["macd_signal"], macd, 9)
    gain = _wilder(state["rsi_gain_14d"], np.maximum(rise, 0.0))
    loss = _wilder(state["rsi_loss_14d"], np.maximum(-rise, 0.0))
    still = _longer(state["close_still_for"], rise == 0)
    rsi = 100 * (gain / np.where(gain + loss != 0, gain + loss, 1.0))
    return {
        **made,
        "macd_ema_12d": fast,
        "macd": macd,
        "macd_signal": signal,
        "macd_histogram": macd - signal,
        "rsi_gain_14d": gain,
        "rsi_loss_14d": loss,
        "rsi_14d": np.where(_flat(still, FLAT_FOR), FLAT_RSI, rsi),
        "close_still_for": still,
        **_ranged_after(state, before, now),
    }


def _ranged_after(state: Mapping[str, Floats], before: Seen, now: Seen) -> dict[str, Floats]:
    up, down = now.high - before.high, before.low - now.low
    plus = state["plus_dm_14d"] - state["plus_dm_14d"] / 14 + np.where((up > 0) & (up > down), up, 0.0)
    minus = state["minus_dm_14d"] - state["minus_dm_14d"] / 14 + np.where((down > 0) & (down > up), down, 0.0)
    both = minus + plus
    directed = 100 * (np.abs(minus - plus) / np.where(both != 0, both, 1.0))
    adx = np.where(both != 0, _wilder(state["adx_14d"], directed), state["adx_14d"])
    stood = (now.close == before.close) & (now.high == before.high) & (now.low == before.low)
    still = _longer(state["range_still_for"], stood)
    beyond = np.maximum(np.abs(now.high - before.close), np.abs(now.low - before.close))
    return {
        "atr_14d": _wilder(state["atr_14d"], np.maximum(now.high - now.low, beyond)),
        "plus_dm_14d": plus,
        "minus_dm_14d": minus,
        "adx_14d": np.where(_flat(still, RANGE_FLAT_FOR), 0.0, adx),
        "range_still_for": still,
    }


def _exponential(average: Floats, value: Floats, observations: int) -> Floats:
    return (value - average) * (2 / (observations + 1)) + average


def _wilder(average: Floats, value: Floats) -> Floats:
    return (average * 13 + value) / 14


def _longer(still: Floats, is_still: NDArray[np.bool_]) -> Floats:
    return np.where(is_still, still + 1, 0.0)


def _flat(still: Floats, observations: int) -> NDArray[np.bool_]:
    return np.isnan(still) | (still >= observations)


# How sure they are ---------------------------------------------------------------------------------------------------


def converged(observations: NDArray[np.int64]) -> Mapping[str, NDArray[np.bool_]]:
    """Whether each value has converged, by how many observations its run has."""
    return {name: observations >= after for name, after in CONVERGED_AFTER.items()}
