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
from coinlake.gold.field import Columns, Events, Field, chosen
from coinlake.gold.rules.rule import Rule
from coinlake.gold.scope import EVERY

MINIMUM_DAYS = 30
"""A coin on which a rule could trade for fewer days has no row."""
EVENT = ("coin_id", "day", "rule", "direction", "survivorship_biased")
"""The columns of `gold.signals` that are looked at."""

Row = dict[str, Any]


def rows(days: Columns, events: Columns, costs: tuple[float, float], of: Mapping[str, Rule]) -> list[Row]:
    """The rows without q-values and verdicts.

    Args:
        days: of `gold.indicators`, sorted by coin and day.
        events: of `gold.signals`, `EVENT`.
        costs: fee and slippage of one side in basis points.
        of: the rules.
    """
    if not len(days["day"]) or month_finished(days["day"].max().item()) < days["day"].min().item():
        return []
    field = Field.of(days, until=np.datetime64(month_finished(days["day"].max().item())))
    events = {name: events[name] for name in EVENT}
    its = {name: chosen(events, events["rule"] == name) for name in of}
    return [row for name, rule in of.items() for row in _of_rule(field, its[name], rule, costs)]


# What is looked at ---------------------------------------------------------------------------------------------------


def _biased(events: Columns, until: np.datetime64) -> frozenset[str]:
    """The coins of which an event says that only survivors were compared."""
    return frozenset(events["coin_id"][(events["day"] <= until) & events["survivorship_biased"].astype(bool)])


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


def _of_rule(field: Field, events: Columns, rule: Rule, costs: tuple[float, float]) -> Iterator[Row]:
    """A row a coin that could trade long enough, and one for all of them."""
    opens, pool = field.opens(rule), _Pool.empty(len(field.calendar))
    mine, biased = Events.of(field, events), _biased(events, field.calendar[-1])
    for coins in field.parts():
        for coin, followed in _follow(field, mine, rule, opens, coins, sum(costs) * trading.BASIS_POINT, pool):
            name = str(field.coins[coin])
            yield _row(field, rule, name, costs, followed, name in biased)
    if pool.coins.any():
        yield _row(field, rule, EVERY, costs, pool.followed(len(field.calendar) - 1), True)


def _follow(
    field: Field,
    events: Events,
    rule: Rule,
    opens: NDArray[np.int64],
    coins: tuple[int, int],
    cost: float,
    pool: _Pool,
) -> Iterator[tuple[int, _Followed]]:
    close, breaks = field.part(*coins)
    begin = opens[slice(*coins)]
    held = trading.positions(
        trading.targets(events.part(close.shape, coins[0]), breaks, rule.holding_days), close, breaks, begin
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


def _row(field: Field, rule: Rule, coin: str, costs: tuple[float, float], it: _Followed, biased: bool) -> Row:
    key = "\0".join([rule.name, coin, *(f"{each:g}" for each in costs)])
    mine, holding = trading.measures(it.net), trading.measures(it.hold)
    beyond = evidence.excess(it.net - it.hold, key)
    enough = len(it.trades) >= trading.MINIMUM_TRADES
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
        "bitcoin_total_return": _bitcoin(field, it.opens, sum(costs) * trading.BASIS_POINT),
        "excess_return": beyond.mean * trading.YEAR_DAYS,
        "excess_low": beyond.low * trading.YEAR_DAYS,
        "excess_high": beyond.high * trading.YEAR_DAYS,
        "p_value": beyond.p_value if enough else None,
        "survivorship_biased": biased,
    }


def _bitcoin(field: Field, opens: int, cost: float) -> float | None:
    """What holding bitcoin earned from a place of the calendar on; None where its price was not known then."""
    known = ~np.isnan(field.bitcoin)
    if not known[: opens + 1].any():
        return None
    earned = trading.returns(field.bitcoin, np.zeros(len(known), dtype=bool))
    return float((1 - cost) * np.prod(1 + earned[opens + 1 :]) - 1)
