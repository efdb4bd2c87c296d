"""What following a rule would have earned: the arithmetic alone, over arrays. Nothing in here knows a table.

Arrays are coins by calendar days without holes ([coin, day]); a close that is not known is NaN.

- An event on the close of day D moves the target; the trade is made at the next known close, D + 1 as a rule, and earns
  from there on. Each trade costs `cost` of what is traded: fee and slippage of one side.
- Long or flat, all or nothing; cash earns nothing. Holding is bought at the first close at which the rule could have
  traded and pays that one side; neither pays for a sale that has not happened: what is open at the end is worth its
  last close.
- On a day without a close nothing is earned and nothing traded: the whole return falls on the next known day.
- At a break (the price starts a new unit, or comes from another source) a position is closed at the last price before
  it, and pays for that; nothing is gained or lost across it. Holding goes on.
- A coin whose closes have ended cannot be sold: position and holding stay at the last price and earn nothing until the
  end, so the capital is stuck. The trade counts as open.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Whole = NDArray[np.int64]

YEAR_DAYS = 365
BASIS_POINT = 1e-4
MINIMUM_TRADES = 10
"""Fewer closed trades tell nothing."""


# Positions and returns -----------------------------------------------------------------------------------------------


def returns(close: Floats, breaks: Flags) -> Floats:
    """The return that each day brings: over the last known close before it, 0 where none is known or across a break."""
    known = ~np.isnan(close)
    before = _filled(close)[..., :-1]
    made = np.zeros(close.shape)
    fine = known[..., 1:] & ~np.isnan(before) & ~breaks[..., 1:]
    np.divide(np.nan_to_num(close[..., 1:]), before, out=made[..., 1:], where=fine)
    made[..., 1:] -= fine
    return made


def _filled(values: Floats) -> Floats:
    """Each value, or else the last known one before it."""
    place = np.where(~np.isnan(values), np.arange(values.shape[-1]), 0)
    last = np.maximum.accumulate(place, axis=-1)
    return np.asarray(np.take_along_axis(values, last, axis=-1))


def targets(events: NDArray[np.int8], breaks: Flags, holding_days: int | None) -> Flags:
    """Whether the rule wants to be long after each close: since its last event upwards (+1) until one downwards (-1),
    for `holding_days` at the most where they are given. A break makes it forget.
    """
    place = np.arange(events.shape[-1])
    last = np.maximum.accumulate(np.where(breaks | (events != 0), place, -1), axis=-1)
    wanted = np.take_along_axis(events, np.maximum(last, 0), axis=-1)
    long = (last >= 0) & (wanted > 0)
    return np.asarray(long if holding_days is None else long & (place - last < holding_days))


def positions(target: Flags, close: Floats, breaks: Flags, opens: Whole) -> Flags:
    """Whether the coin is held after each close: what was wanted the day before, as far as there is a close to trade
    at; nothing before the place `opens`.
    """
    place = np.arange(close.shape[-1])
    wanted = np.zeros(close.shape, dtype=bool)
    wanted[..., 1:] = target[..., :-1]
    traded = np.maximum.accumulate(np.where(~np.isnan(close), place, 0), axis=-1)
    held = np.take_along_axis(wanted & ~breaks, traded, axis=-1)
    return np.asarray(held & (place >= opens[..., None]))


def followed(earned: Floats, held: Flags, cost: float) -> Floats:
    """The net return of each day of being in the coin where it is `held`, out of it elsewhere."""
    before = np.zeros(held.shape, dtype=bool)
    before[..., 1:] = held[..., :-1]
    return np.asarray((1 + before * earned) * (1 - cost * (before != held)) - 1)


def held_on(earned: Floats, opens: Whole, cost: float) -> Floats:
    """The net return of each day of buying at the place `opens` and holding on."""
    place = np.arange(earned.shape[-1])
    return followed(earned, place >= opens[..., None], cost)


# Trades --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trades:
    """Trades that have been closed: rows of the array of coins, places of the days, and what each earned net."""

    coin: Whole
    opened: Whole
    closed: Whole
    net_return: Floats

    def __len__(self) -> int:
        return len(self.coin)


def trades(earned: Floats, held: Flags, cost: float, sign: int = 1) -> Trades:
    """Every stretch in which a coin was held, and then no longer; with `sign` -1 it earns what the coin loses."""
    edges = np.zeros((*held.shape[:-1], held.shape[-1] + 1), dtype=np.int8)
    edges[..., 1:-1] = np.diff(held.astype(np.int8), axis=-1)
    edges[..., 0] = held[..., 0]
    coin, opened = np.nonzero(edges == 1)
    _, closed = np.nonzero(edges == -1)
    ended = np.bincount(np.nonzero(edges == -1)[0], minlength=len(held))
    keep = np.arange(len(coin)) - np.searchsorted(coin, coin) < ended[coin]
    coin, opened = coin[keep], opened[keep]
    worth = np.cumprod(1 + earned, axis=-1)
    gross = worth[coin, closed] / worth[coin, opened] - 1
    return Trades(coin, opened, closed, (1 + sign * gross) * (1 - cost) ** 2 - 1)


# Measures ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measures:
    """What a series of net daily returns comes to. Means are arithmetic, a year has 365 days, cash earns nothing, and
    what cannot be said (a ratio to nothing) is None.
    """

    total_return: float
    annual_return: float | None
    volatility: float | None
    sharpe: float | None
    sortino: float | None
    calmar: float | None
    maximum_drawdown: float


def measures(net: Floats) -> Measures:
    """The measures of one series: compound total and annual return, sample volatility, Sharpe, Sortino (deviation below
    zero over all days), Calmar (annual return over the deepest fall), and that fall, the start counted as a peak.
    """
    worth = _worth(net)
    mean, spread = float(net.mean()), float(net.std(ddof=1)) if len(net) > 1 else math.nan
    below = math.sqrt(float(np.mean(np.minimum(net, 0) ** 2)))
    annual = _annual(float(worth[-1]), len(net))
    deepest = float(np.min(worth / np.maximum.accumulate(np.maximum(worth, 1.0)) - 1))
    return Measures(
        total_return=float(worth[-1]) - 1,
        annual_return=annual,
        volatility=_known(spread * math.sqrt(YEAR_DAYS)),
        sharpe=_ratio(mean * math.sqrt(YEAR_DAYS), spread),
        sortino=_ratio(mean * math.sqrt(YEAR_DAYS), below),
        calmar=None if annual is None else _ratio(annual, -deepest),
        maximum_drawdown=min(deepest, 0.0),
    )


SMALL = 1e-12
"""What a spread of nothing but rounding comes to."""
LARGE = 700.0
"""The exponential of more is no float."""


def _annual(worth: float, days: int) -> float | None:
    """The return of a year at that pace; None where no float holds it."""
    if worth <= 0:
        return -1.0
    pace = math.log(worth) * YEAR_DAYS / days
    return math.expm1(pace) if pace < LARGE else None


def _ratio(value: float, of: float) -> float | None:
    return value / of if of > SMALL and math.isfinite(value / of) else None


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


# Equity --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Curve:
    """What one unit of money became, by calendar day from the first close at which the rule could trade: by following
    it, by holding the coin, and by holding bitcoin; and after which closes the rule was in the coin.
    """

    day: NDArray[np.datetime64]
    strategy: Floats
    holding: Floats
    bitcoin: Floats
    held: Flags


@dataclass(frozen=True)
class History:
    """One coin's calendar days without holes: its closes, where its price starts a new unit, bitcoin's closes."""

    day: NDArray[np.datetime64]
    close: Floats
    breaks: Flags
    bitcoin: Floats

    @staticmethod
    def of(columns: Mapping[str, NDArray[Any]], bitcoin: Mapping[str, NDArray[Any]]) -> History:
        """From rows of `gold.indicators` (`day`, `close_usd`, `source`, `is_break`, by day) of the coin, of bitcoin."""
        day = np.arange(columns["day"][0], columns["day"][-1] + np.timedelta64(1, "D"))
        place = (columns["day"] - day[0]).astype(np.int64)
        close, breaks = np.full(len(day), np.nan), np.zeros(len(day), dtype=bool)
        close[place], breaks[place] = columns["close_usd"], broken(columns)
        other = (bitcoin["day"] - day[0]).astype(np.int64)
        inside = (other >= 0) & (other < len(day))
        its = np.full(len(day), np.nan)
        its[other[inside]] = bitcoin["close_usd"][inside]
        return History(day, close, breaks, its)

    def events(self, day: NDArray[np.datetime64], direction: NDArray[Any]) -> NDArray[np.int8]:
        """Rows of `gold.signals` of one rule and this coin, as +1 (up), -1 (down) or 0 for each day of the history."""
        made = np.zeros(len(self.day), dtype=np.int8)
        place = (day - self.day[0]).astype(np.int64)
        inside = (place >= 0) & (place < len(made))
        made[place[inside]] = np.where(direction[inside] == "up", 1, -1)
        return made


def broken(columns: Mapping[str, NDArray[Any]]) -> Flags:
    """Of rows of `gold.indicators`, sorted by coin and day: where the unit is new, or the source another."""
    other = np.zeros(len(columns["day"]), dtype=bool)
    other[1:] = columns["source"][1:] != columns["source"][:-1]
    return np.asarray(other | columns["is_break"].astype(bool))


def curve(
    history: History,
    events: NDArray[np.int8],
    holding_days: int | None,
    cost: float,
    first: np.datetime64 | None = None,
    last: np.datetime64 | None = None,
) -> Curve:
    """The equity of following events (+1, -1 or 0 a day of the history) within any part of it.

    Args:
        cost: of one side, as a fraction: 15 basis points are 0.0015.
        first, last: the days between which to look, ends included. Events before them are not known there; the first
            trade is made on the day after `first`, and from there on holding counts.
    """
    start = 0 if first is None else int(np.searchsorted(history.day, first))
    end = len(history.day) if last is None else int(np.searchsorted(history.day, last, side="right"))
    part = slice(start, end)
    close, breaks, day = history.close[part], history.breaks[part], history.day[part]
    known = np.flatnonzero(~np.isnan(close[1:]))
    opens = np.array(known[0] + 1 if len(known) else len(day))
    held = positions(targets(events[part], breaks, holding_days), close, breaks, opens)
    earned = returns(close, breaks)
    bitcoin = held_on(returns(history.bitcoin[part], np.zeros(len(day), dtype=bool)), opens, cost)
    return Curve(
        day=day[opens:],
        strategy=_worth(followed(earned, held, cost)[opens:]),
        holding=_worth(held_on(earned, opens, cost)[opens:]),
        bitcoin=_worth(bitcoin[opens:]),
        held=held[opens:],
    )


def _worth(net: Floats) -> Floats:
    return np.asarray(np.cumprod(1 + net), dtype=np.float64)
