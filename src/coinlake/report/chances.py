"""What came of earlier signals of the rules that fired, by rule and direction: the odds, how often the price rose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import duckdb
import numpy as np

from coinlake.duck import quoted
from coinlake.engine.series import columns
from coinlake.gold import odds as measure
from coinlake.gold.field import Field
from coinlake.gold.rules.rule import QUIET

AHEAD_DAYS = 30
COINS_AT_ONCE = 500

Key = tuple[str, str]


@dataclass(frozen=True)
class Odds:
    """The odds of a signal (`coinlake.gold.odds`); None where no trade had closed."""

    trades: int
    won: float | None
    median: float | None


@dataclass(frozen=True)
class Rose:
    """After how many of a rule's events the price rose in 30 days, beside the same share over all days of all coins."""

    events: int
    share: float
    base: float


def odds(con: duckdb.DuckDBPyConnection, newest: date) -> dict[Key, Odds]:
    """The odds of that day's signals."""
    fired = f"rule in (select rule from signals where day = date '{newest}')"
    events = columns(con.sql(f"select coin_id, day, rule, direction from signals where {fired}"), ("rule", "direction"))
    closed = measure.closed_trades(_fields(con, np.unique(events["coin_id"]).tolist()), events)
    its = measure.odds(closed, events)
    rows = zip(*(each.tolist() for each in (events["day"], events["rule"], events["direction"])), strict=True)
    told = zip(rows, *(its[name].tolist() for name in measure.ODDS), strict=True)
    return {
        (rule, direction): Odds(trades, won, median) if trades else Odds(0, None, None)
        for (day, rule, direction), trades, won, median in told
        if day == newest
    }


def _fields(con: duckdb.DuckDBPyConnection, coins: Sequence[str]) -> Iterator[Field]:
    """Days of coins, some at a time: of a large market not all fit into memory as arrays."""
    for first in range(0, len(coins), COINS_AT_ONCE):
        its = ", ".join(map(quoted, coins[first : first + COINS_AT_ONCE]))
        rows = con.sql(f"select coin_id, day, close_usd, source, is_break from indicators where coin_id in ({its})")
        yield Field.of(columns(rows, ("coin_id", "day")))


_ROSE = f"""
with days as (
    select coin_id, source, day, close_usd, volatility_30d,
        sum(is_break::int) over (partition by coin_id, source order by day) as unit
    from indicators
), moved as (
    select a.coin_id, a.day - 1 as day, b.close_usd > a.close_usd as rose,
        (a.volatility_30d >= {QUIET}) is not false as moves
    from days a join days b on b.coin_id = a.coin_id and b.source = a.source and b.unit = a.unit
        and b.day = a.day + {AHEAD_DAYS}
)
select rule, direction, count(*) as events, avg(rose::int) as rose,
    (select avg(rose::int) from moved where moves) as base
from (from signals where rule in (select rule from signals where day = $newest)) join moved using (coin_id, day)
group by all
"""
"""Nobody can trade on the close that fires: the 30 days begin at the close of the day after. A window that holds a new
unit of the price, or another source, counts for nothing."""


def rose(con: duckdb.DuckDBPyConnection, newest: date) -> dict[Key, Rose]:
    """How often the price was higher 30 days after earlier signals of that day's rules."""
    found = con.execute(_ROSE.replace("$newest", f"date '{newest}'")).fetchall()
    return {(rule, way): Rose(events, share, base or 0.0) for rule, way, events, share, base in found}
