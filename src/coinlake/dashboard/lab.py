"""What a rule would have earned, for costs, coins and days of one's own choice: `gold.trading` asked again.

Arrays are coins by calendar days ([coin, day]), as there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from coinlake.gold import evidence, trading

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

MINIMUM_TRADES = 10
"""Fewer closed trades tell nothing."""
BASIS_POINT = 1e-4


@dataclass(frozen=True)
class Field:
    """Closes of some coins on one calendar, where their prices start a new unit, and bitcoin's closes beside them."""

    coins: Sequence[str]
    days: NDArray[np.datetime64]
    close: Floats
    breaks: NDArray[np.bool_]
    bitcoin: Floats

    @staticmethod
    def of(rows: pd.DataFrame, coins: Sequence[str], bitcoin: str) -> Field:
        """From rows of coin_id, day, close_usd, source and is_break, by coin and day; `bitcoin` names one of them."""
        given = rows["day"].to_numpy().astype("datetime64[D]")
        days = np.arange(given.min(), given.max() + 1) if len(given) else np.array([], dtype="datetime64[D]")
        names = [*coins, bitcoin]
        row = rows["coin_id"].map({name: place for place, name in enumerate(names)}).to_numpy()
        close = np.full((len(names), len(days)), np.nan)
        breaks = np.zeros(close.shape, dtype=bool)
        if len(given):
            at = (row.astype(int), (given - days[0]).astype(int))
            close[at] = rows["close_usd"].to_numpy(dtype=float)
            other = (rows["source"] != rows["source"].shift()) & (rows["coin_id"] == rows["coin_id"].shift())
            breaks[at] = (other | rows["is_break"].fillna(False).astype(bool)).to_numpy()
            if bitcoin in coins:
                close[list(coins).index(bitcoin)] = close[-1]
        return Field(tuple(coins), days, close[:-1], breaks[:-1], close[-1])

    def events(self, signals: pd.DataFrame, turned: bool = False) -> NDArray[np.int8]:
        """Signals (coin_id, day, direction) as +1 and -1 by coin and day; `turned` the other way round."""
        made = np.zeros(self.close.shape, dtype=np.int8)
        known = {name: place for place, name in enumerate(self.coins)}
        place = self.places(signals["day"])
        row = signals["coin_id"].map(known).to_numpy(dtype=float)
        inside = ~np.isnan(row) & (place >= 0) & (place < len(self.days))
        signs = np.where(signals["direction"].to_numpy() == "up", 1, -1) * (-1 if turned else 1)
        made[row[inside].astype(int), place[inside]] = signs[inside]
        return made

    def places(self, days: pd.Series[Any]) -> NDArray[np.int64]:
        """Where days lie on the calendar; before it is negative, and so is everything where there is none."""
        given = days.to_numpy().astype("datetime64[D]")
        return (given - self.days[0]).astype(np.int64) if len(self.days) else np.full(len(given), -1)

    @property
    def opens(self) -> NDArray[np.int64]:
        """By coin, the first place at which one could trade: the second day that is known."""
        known = np.cumsum(~np.isnan(self.close), axis=1) >= 2
        return np.asarray(np.where(known.any(axis=1), known.argmax(axis=1), self.close.shape[1]))


@dataclass(frozen=True)
class Trade:
    """One closed trade."""

    coin_id: str
    opened: np.datetime64
    closed: np.datetime64
    net_return: float


@dataclass(frozen=True)
class Result:
    """What one dollar became by following the rule, by holding the coins, by holding bitcoin; trades; measures."""

    days: NDArray[np.datetime64]
    rule: Floats
    holding: Floats
    bitcoin: Floats
    trades: Sequence[Trade]
    mine: trading.Measures
    hold: trading.Measures
    excess: evidence.Excess
    exposure: float

    @property
    def win_rate(self) -> float:
        """The share of closed trades that earned something."""
        return float(np.mean([trade.net_return > 0 for trade in self.trades])) if self.trades else float("nan")

    @property
    def verdict(self) -> str:
        """What these numbers allow one to say."""
        if len(self.trades) < MINIMUM_TRADES:
            return f"Too few trades to judge ({len(self.trades)} closed)."
        if self.excess.low > 0:
            return "Better than holding in this sample, after costs. A sample that was chosen afterwards proves little."
        if self.excess.high < 0:
            return "Worse than holding in this sample, after costs."
        return "No evidence of an edge over holding: the interval holds zero."


def follow(
    field: Field, signals: pd.DataFrame, holding_days: int | None, fee_bp: float, slippage_bp: float, key: str = ""
) -> Result | None:
    """Follow a rule's signals on the field's coins in equal weights; None where there is not a month to look at."""
    cost = (fee_bp + slippage_bp) * BASIS_POINT
    opens = field.opens
    first = int(opens.min()) if len(opens) else len(field.days)
    if len(field.days) - first < 30:
        return None
    wanted = trading.targets(field.events(signals), field.breaks, holding_days)
    held = trading.positions(wanted, field.close, field.breaks, opens)
    earned = trading.returns(field.close, field.breaks)
    there = np.arange(len(field.days)) >= opens[:, None]
    weights = np.maximum(there.sum(axis=0), 1)
    net = ((trading.followed(earned, held, cost) * there).sum(axis=0) / weights)[first:]
    hold = ((trading.held_on(earned, opens, cost) * there).sum(axis=0) / weights)[first:]
    closed = trading.trades(earned, held, cost)
    return Result(
        days=field.days[first:],
        rule=np.cumprod(1 + net),
        holding=np.cumprod(1 + hold),
        bitcoin=_rebased(field.bitcoin[first:]),
        trades=[
            Trade(str(field.coins[coin]), field.days[opened], field.days[shut], float(value))
            for coin, opened, shut, value in zip(
                closed.coin, closed.opened, closed.closed, closed.net_return, strict=True
            )
        ],
        mine=trading.measures(net),
        hold=trading.measures(hold),
        excess=evidence.excess(net - hold, key),
        exposure=float(held[:, first:].mean()),
    )


def _rebased(values: Floats) -> Floats:
    known = values[~np.isnan(values)]
    return values / known[0] if len(known) else values


def closed_trades(
    field: Field, signals: pd.DataFrame, holding: Mapping[str, int | None], cost: float
) -> dict[tuple[str, str], trading.Trades]:
    """Every closed trade by rule and direction: upwards as the rule is followed, downwards as if it were turned."""
    earned = trading.returns(field.close, field.breaks)
    found = {}
    for rule, mine in signals.groupby("rule"):
        for direction, sign in (("up", 1), ("down", -1)):
            events = field.events(mine, turned=sign < 0)
            wanted = trading.targets(events, field.breaks, holding.get(str(rule)))
            held = trading.positions(wanted, field.close, field.breaks, field.opens)
            found[str(rule), direction] = trading.trades(earned, held, cost, sign)
    return found


def odds_of(field: Field, trades: Mapping[tuple[str, str], trading.Trades], signals: pd.DataFrame) -> pd.DataFrame:
    """For each signal how many trades of its rule and direction had closed before its day, and what share had won."""
    sorted_trades = {}
    for key, each in trades.items():
        order = np.argsort(each.closed, kind="stable")
        sorted_trades[key] = each.closed[order], np.cumsum(each.net_return[order] > 0)
    place = field.places(signals["day"])
    counts, shares = np.zeros(len(signals), dtype=int), np.full(len(signals), np.nan)
    keys = list(zip(signals["rule"], signals["direction"], strict=True))
    for key, (closed, won) in sorted_trades.items():
        mine = np.array([each == key for each in keys], dtype=bool)
        before = np.searchsorted(closed, place[mine], side="left")
        counts[mine] = before
        shares[mine] = np.where(before > 0, np.r_[0, won][before] / np.maximum(before, 1), np.nan)
    return signals.assign(odds_trades=counts, odds_won=shares)


def months(days: NDArray[Any], curve: Floats) -> pd.DataFrame:
    """The return of each calendar month of a curve: year, month, return, goes_on."""
    import pandas as pd

    ends = days.astype("datetime64[M]")
    last = np.flatnonzero(np.r_[ends[1:] != ends[:-1], True]) if len(ends) else np.array([], dtype=int)
    returns = curve[last] / np.r_[1.0, curve[last][:-1]] - 1
    goes_on = np.zeros(len(last), dtype=bool)
    if len(days):
        goes_on[-1] = (days[-1] + 1).astype("datetime64[M]") == ends[-1]
    years = ends[last].astype("datetime64[Y]").astype(int) + 1970
    return pd.DataFrame(
        {"year": years, "month": ends[last].astype(int) % 12 + 1, "return": returns, "goes_on": goes_on}
    )
