"""Following every rule on every coin, and on all coins together: what `gold.backtests` says, but for its words.

Coins are taken some at a time, as arrays [coin, day] on one calendar; the mean coin is added up on the way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coinlake.gold import evidence, trading
from coinlake.gold.analyze import month_finished
from coinlake.gold.rules.rule import Rule
from coinlake.gold.scope import EVERY
from coinlake.ids import BITCOINS

MINIMUM_DAYS = 30
"""A coin on which a rule could trade for fewer days has no row."""
MINIMUM_TRADES = 10
"""A row with fewer closed trades is not tested."""
BASIS_POINT = 1e-4
COINS_AT_ONCE = 64
EVENT = ("coin_id", "day", "rule", "direction", "survivorship_biased")
"""The columns of `gold.signals` that are looked at."""

Row = dict[str, Any]
Columns = Mapping[str, NDArray[Any]]


def rows(days: Columns, events: Columns, costs: tuple[float, float], of: Mapping[str, Rule]) -> list[Row]:
    """The rows without q-values and verdicts.

    Args:
        days: of `gold.indicators`, sorted by coin and day.
        events: of `gold.signals`, `EVENT`, sorted by coin.
        costs: fee and slippage of one side in basis points.
        of: the rules.
    """
    if not len(days["day"]) or month_finished(days["day"].max().item()) < days["day"].min().item():
        return []
    field = _Field.of(days)
    return [row for rule in of.values() for row in _of_rule(field, _Events.of(field, events, rule), rule, costs)]


# What is looked at ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Field:
    """All coins' days up to `until` on one calendar; `coin` and `place` say whose a row is and where it lies on it."""

    columns: Columns
    coins: NDArray[Any]
    calendar: NDArray[np.datetime64]
    coin: NDArray[np.int64]
    place: NDArray[np.int64]
    breaks: NDArray[np.bool_]
    bitcoin: NDArray[np.float64]

    @staticmethod
    def of(days: Columns) -> _Field:
        first, until = days["day"].min(), np.datetime64(month_finished(days["day"].max().item()))
        calendar = np.arange(first, until + 1)
        days = {name: column[days["day"] <= until] for name, column in days.items()}
        starts, coin = _runs(days["coin_id"])
        place = (days["day"] - first).astype(np.int64)
        breaks = trading.broken(days)
        breaks[starts] = False
        bitcoin, its = np.full(len(calendar), np.nan), np.isin(days["coin_id"], BITCOINS)
        bitcoin[place[its]] = days["close_usd"][its]
        return _Field(days, days["coin_id"][starts], calendar, coin, place, breaks, bitcoin)

    def opens(self, rule: Rule) -> NDArray[np.int64]:
        """By coin, where on the calendar the first close lies at which the rule could trade: the one after the first
        day on which all it reads is known. Beyond the calendar where there is none.
        """
        ready = np.logical_and.reduce([_known(self.columns[name]) for name in rule.reads])
        place = np.flatnonzero(ready[:-1] & (self.coin[1:] == self.coin[:-1])) + 1
        coin, first = np.unique(self.coin[place], return_index=True)
        opens = np.full(len(self.coins), len(self.calendar))
        opens[coin] = self.place[place[first]]
        return opens

    def part(self, first: int, last: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Closes and breaks of some coins, [coin, day]."""
        rows = slice(*np.searchsorted(self.coin, (first, last)))
        at = (self.coin[rows] - first, self.place[rows])
        close = np.full((last - first, len(self.calendar)), np.nan)
        breaks = np.zeros(close.shape, dtype=bool)
        close[at], breaks[at] = self.columns["close_usd"][rows], self.breaks[rows]
        return np.where(close > 0, close, np.nan), breaks


def _runs(values: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of a sorted column: where each value begins, and the number of its run, by row."""
    begins = np.r_[True, values[1:] != values[:-1]] if len(values) else np.zeros(0, dtype=bool)
    return np.flatnonzero(begins), np.cumsum(begins) - 1


def _known(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Numbers that are known, flags that are set."""
    return np.asarray(~np.isnan(values) if values.dtype.kind == "f" else values.astype(bool))


@dataclass(frozen=True)
class _Events:
    """One rule's events: whose, where on the calendar, and which way; sorted by coin."""

    coin: NDArray[np.int64]
    place: NDArray[np.int64]
    sign: NDArray[np.int8]
    biased: frozenset[int]

    @staticmethod
    def of(field: _Field, events: Columns, rule: Rule) -> _Events:
        its = (events["rule"] == rule.name) & (events["day"] <= field.calendar[-1])
        starts, run = _runs(events["coin_id"][its])
        number = {coin: place for place, coin in enumerate(field.coins)}
        coins = np.array([number[coin] for coin in events["coin_id"][its][starts]], dtype=np.int64)
        place = (events["day"][its] - field.calendar[0]).astype(np.int64)
        sign = np.where(events["direction"][its] == "up", 1, -1).astype(np.int8)
        biased = frozenset(coins[run][events["survivorship_biased"][its].astype(bool)].tolist())
        return _Events(coins[run], place, sign, biased)

    def part(self, first: int, last: int, days: int) -> NDArray[np.int8]:
        """Those of some coins, [coin, day]."""
        rows = slice(*np.searchsorted(self.coin, (first, last)))
        made = np.zeros((last - first, days), dtype=np.int8)
        made[self.coin[rows] - first, self.place[rows]] = self.sign[rows]
        return made


# What it earned ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Followed:
    """A rule followed on one coin, or on all: net returns by day from the first close at which it could trade."""

    opens: int
    net: NDArray[np.float64]
    hold: NDArray[np.float64]
    exposure: float
    sides: float
    trades: NDArray[np.float64]
    last: int


def _of_rule(field: _Field, events: _Events, rule: Rule, costs: tuple[float, float]) -> Iterator[Row]:
    """A row a coin that could trade long enough, and one for all of them."""
    opens, pool = field.opens(rule), _Pool.empty(len(field.calendar))
    for first in range(0, len(field.coins), COINS_AT_ONCE):
        last = min(first + COINS_AT_ONCE, len(field.coins))
        for coin, followed in _follow(field, events, rule, opens, (first, last), sum(costs) * BASIS_POINT, pool):
            yield _row(field, rule, str(field.coins[coin]), costs, followed, coin in events.biased)
    if pool.coins.any():
        yield _row(field, rule, EVERY, costs, pool.followed(len(field.calendar) - 1), True)


def _follow(
    field: _Field,
    events: _Events,
    rule: Rule,
    opens: NDArray[np.int64],
    coins: tuple[int, int],
    cost: float,
    pool: _Pool,
) -> Iterator[tuple[int, _Followed]]:
    close, breaks = field.part(*coins)
    begin = opens[slice(*coins)]
    held = trading.positions(
        trading.targets(events.part(*coins, close.shape[1]), breaks, rule.holding_days), close, breaks, begin
    )
    earned = trading.returns(close, breaks)
    net, hold = trading.followed(earned, held, cost), trading.held_on(earned, begin, cost)
    closed = trading.trades(earned, held, cost)
    for n in np.flatnonzero(close.shape[1] - begin >= MINIMUM_DAYS):
        part = slice(begin[n], None)
        sides = int(np.count_nonzero(np.diff(held[n], prepend=False)))
        trades = closed.net_return[closed.coin == n]
        last = int(np.flatnonzero(~np.isnan(close[n]))[-1])
        pool.add(int(begin[n]), net[n], hold[n], held[n], sides, trades)
        yield (
            coins[0] + int(n),
            _Followed(int(begin[n]), net[n, part], hold[n, part], float(held[n, part].mean()), sides, trades, last),
        )


@dataclass
class _Pool:
    """All coins together in equal weights, added one after the other."""

    coins: NDArray[np.int64]
    net: NDArray[np.float64]
    hold: NDArray[np.float64]
    held_days: int
    sides: float
    trades: list[NDArray[np.float64]]

    @staticmethod
    def empty(days: int) -> _Pool:
        return _Pool(np.zeros(days, dtype=np.int64), np.zeros(days), np.zeros(days), 0, 0.0, [])

    def add(
        self,
        opens: int,
        net: NDArray[np.float64],
        hold: NDArray[np.float64],
        held: NDArray[np.bool_],
        sides: int,
        trades: NDArray[np.float64],
    ) -> None:
        self.coins[opens:] += 1
        self.net[opens:] += net[opens:]
        self.hold[opens:] += hold[opens:]
        self.held_days += int(held[opens:].sum())
        self.sides += sides
        self.trades.append(trades)

    def followed(self, last: int) -> _Followed:
        """The mean coin: returns of a day are means over the coins of that day, the rest is by coin and day."""
        opens = int(np.flatnonzero(self.coins)[0])
        coins, coin_days = self.coins[opens:], int(self.coins.sum())
        return _Followed(
            opens,
            self.net[opens:] / coins,
            self.hold[opens:] / coins,
            self.held_days / coin_days,
            self.sides * len(coins) / coin_days,
            np.concatenate(self.trades),
            last,
        )


def _row(field: _Field, rule: Rule, coin: str, costs: tuple[float, float], it: _Followed, biased: bool) -> Row:
    key = "\0".join([rule.name, coin, *(f"{each:g}" for each in costs)])
    mine, holding = trading.measures(it.net), trading.measures(it.hold)
    beyond = evidence.excess(it.net - it.hold, key)
    enough = len(it.trades) >= MINIMUM_TRADES
    return {
        "rule": rule.name,
        "coin_id": coin,
        "fee_bp": costs[0],
        "slippage_bp": costs[1],
        "first_day": field.calendar[it.opens],
        "until": field.calendar[-1],
        "last_day": field.calendar[it.last],
        "days": len(it.net),
        **asdict(mine),
        "exposure": it.exposure,
        "trades": len(it.trades),
        "win_rate": float(np.mean(it.trades > 0)) if len(it.trades) else None,
        "turnover": it.sides * trading.YEAR_DAYS / len(it.net),
        "hold_total_return": holding.total_return,
        "hold_annual_return": holding.annual_return,
        "hold_sharpe": holding.sharpe,
        "hold_maximum_drawdown": holding.maximum_drawdown,
        "bitcoin_total_return": _bitcoin(field, it.opens, sum(costs) * BASIS_POINT),
        "excess_return": beyond.mean * trading.YEAR_DAYS,
        "excess_low": beyond.low * trading.YEAR_DAYS,
        "excess_high": beyond.high * trading.YEAR_DAYS,
        "p_value": beyond.p_value if enough else None,
        "survivorship_biased": biased,
    }


def _bitcoin(field: _Field, opens: int, cost: float) -> float | None:
    """What holding bitcoin earned from a place of the calendar on; None where its price was not known then."""
    known = ~np.isnan(field.bitcoin)
    if not known[: opens + 1].any():
        return None
    earned = trading.returns(field.bitcoin, np.zeros(len(known), dtype=bool))
    return float((1 - cost) * np.prod(1 + earned[opens + 1 :]) - 1)
