"""The odds of a signal: of the trades of its rule and direction that had closed before its day, how many there were,
what share of them won, and what the middle one earned, after costs. Nothing else is called odds.

Trades are those on all coins. Upwards a rule is followed as `gold.trading` does it; downwards as if it were turned: in
after an event downwards, out after one upwards, and a trade earns what the coin loses. A trade that was still open, or
that closed on the day itself, was not known when the signal came, and does not count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush, heappushpop
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coinlake.gold import trading
from coinlake.gold.field import Columns, Events, Field, chosen
from coinlake.gold.rules import rules

COST = 0.0015
"""Of one side, as a fraction: 15 basis points of fee and slippage."""
ODDS = ("odds_trades", "odds_won", "odds_median")
"""The odds as columns: closed trades, the share that won, the median net return; NaN where none had closed."""
_SIGNS = {"up": 1, "down": -1}


@dataclass(frozen=True)
class Closed:
    """Closed trades of one rule and direction as they closed one after the other: the day, and what each earned net."""

    day: NDArray[np.datetime64]
    net_return: NDArray[np.float64]

    def before(self, days: NDArray[np.datetime64]) -> dict[str, NDArray[Any]]:
        """The odds (`ODDS`) as they were known on each of some days: from trades closed earlier, and from no other."""
        count = np.searchsorted(self.day, days, side="left")
        won = np.cumsum(self.net_return > 0) / np.arange(1, len(self.day) + 1)
        median = np.fromiter(_medians(self.net_return.tolist()), dtype=float, count=len(self.day))
        return dict(zip(ODDS, (count, np.r_[np.nan, won][count], np.r_[np.nan, median][count]), strict=True))


def _medians(values: Iterable[float]) -> Iterator[float]:
    """The median of the values so far, after each of them: a heap of the lower half (negated), one of the upper."""
    low: list[float] = []
    high: list[float] = []
    for value in values:
        heappush(high, -heappushpop(low, -value))
        if len(high) > len(low):
            heappush(low, -heappop(high))
        yield -low[0] if len(low) > len(high) else (high[0] - low[0]) / 2


def odds(closed: Mapping[tuple[str, str], Closed], events: Columns) -> dict[str, NDArray[Any]]:
    """By row of `gold.signals` (`rule`, `direction`, `day`): its odds (`ODDS`), of what `closed_trades` found."""
    none, unknown = np.zeros(len(events["day"]), dtype=np.int64), np.full(len(events["day"]), np.nan)
    found: dict[str, NDArray[Any]] = dict(zip(ODDS, (none, unknown, unknown.copy()), strict=True))
    for (rule, direction), trades in closed.items():
        mine = np.flatnonzero((events["rule"] == rule) & (events["direction"] == direction))
        for name, values in trades.before(events["day"][mine]).items():
            found[name][mine] = values
    return found


def closed_trades(fields: Iterable[Field], events: Columns, cost: float = COST) -> dict[tuple[str, str], Closed]:
    """Every closed trade, by rule and direction.

    Args:
        fields: coins' days, each coin in one of them.
        events: rows of `gold.signals` (`coin_id`, `day`, `rule`, `direction`) in any order.
        cost: of one side, as a fraction.
    """
    found: defaultdict[tuple[str, str], list[Closed]] = defaultdict(list)
    for field in fields:
        for key, trades in _closed(field, events, cost):
            found[key].append(trades)
    return {key: _joined(each) for key, each in found.items()}


def _closed(field: Field, events: Columns, cost: float) -> Iterator[tuple[tuple[str, str], Closed]]:
    """Those of some coins at a time."""
    every = {str(rule): Events.of(field, chosen(events, events["rule"] == rule)) for rule in set(events["rule"])}
    for first, last in field.parts():
        close, breaks = field.part(first, last)
        earned, opens = trading.returns(close, breaks), np.zeros(len(close), dtype=np.int64)
        for rule, mine in every.items():
            made, known = mine.part(close.shape, first), rules().get(rule)
            for direction, sign in _SIGNS.items():
                wanted = trading.targets(made * np.int8(sign), breaks, known.holding_days if known else None)
                trades = trading.trades(earned, trading.positions(wanted, close, breaks, opens), cost, sign)
                yield (rule, direction), Closed(field.calendar[trades.closed], trades.net_return)


def _joined(parts: Sequence[Closed]) -> Closed:
    day = np.concatenate([each.day for each in parts])
    order = np.argsort(day, kind="stable")
    return Closed(day[order], np.concatenate([each.net_return for each in parts])[order])
