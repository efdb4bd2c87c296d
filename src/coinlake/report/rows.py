"""What the report tells, read from gold: plain rows, cut down to what is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import duckdb

from coinlake import catalog
from coinlake.duck import glance
from coinlake.gold.holds import NEWEST
from coinlake.lake import Lake
from coinlake.report import chances
from coinlake.report.chances import Odds, Rose

Row = Mapping[str, Any]

READS = (
    "gold.daily", "gold.indicators", "gold.market", "gold.market_summary", "gold.signals", "gold.backtests",
    "gold.health",
)  # fmt: skip
"""The tables that the report rests on."""

SPARK_DAYS, MARKET_DAYS = 90, 366
ALL_COINS = "*"


@dataclass(frozen=True)
class Rows:
    """What the report tells. `newest` is the newest finished day; `closes` hold one value a day up to it, None where
    it is unknown; `odds` and `rose` are by rule and direction, `verdicts` by rule and coin, `*` for all coins.
    """

    newest: date | None = None
    market: Sequence[Row] = ()
    coins: Sequence[Row] = ()
    closes: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    signals: Sequence[Row] = ()
    odds: Mapping[tuple[str, str], Odds] = field(default_factory=dict)
    rose: Mapping[tuple[str, str], Rose] = field(default_factory=dict)
    verdicts: Mapping[tuple[str, str], Row] = field(default_factory=dict)
    freshness: Row = field(default_factory=dict)
    health: Sequence[Row] = ()


def read(lake: Lake) -> Rows:
    """Everything the report tells of a lake."""
    con = glance()
    for name in READS:
        table = catalog.table(name)
        lake.attach(con, table, table.folder)
    newest = con.sql("select max(day) from daily").fetchall()[0][0]
    if newest is None:
        return Rows()
    return Rows(
        newest=newest,
        market=_rows(con, f"from market where day > $newest - {MARKET_DAYS} order by day", newest),
        coins=_rows(con, "from market_summary order by rank nulls last, coin_id"),
        closes=_closes(con, newest),
        signals=_rows(con, "from signals where day = $newest order by rule, strength desc, coin_id", newest),
        odds=chances.odds(con, newest),
        rose=chances.rose(con, newest),
        verdicts=_verdicts(con, newest),
        freshness=_rows(con, _FRESHNESS, newest)[0],
        health=_health(con),
    )


def _rows(con: duckdb.DuckDBPyConnection, sql: str, newest: date | None = None) -> list[dict[str, Any]]:
    """The answer to a question, in which `$newest` stands for that day. (A value would bring in pandas.)"""
    answer = con.execute(sql.replace("$newest", f"date '{newest}'"))
    names = [column[0] for column in answer.description or ()]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


def _closes(con: duckdb.DuckDBPyConnection, newest: date) -> dict[str, list[float | None]]:
    sql = f"select coin_id, $newest - day as ago, close_usd from daily where day > $newest - {SPARK_DAYS}"
    closes: dict[str, list[float | None]] = {}
    for row in _rows(con, sql, newest):
        closes.setdefault(row["coin_id"], [None] * SPARK_DAYS)[SPARK_DAYS - 1 - row["ago"]] = row["close_usd"]
    return closes


_VERDICTS = """
from backtests
where coin_id = '*' or (rule, coin_id) in (select (rule, coin_id) from signals where day = $newest)
qualify row_number() over (partition by rule, coin_id order by fee_bp + slippage_bp desc) = 1
"""
"""Where there are several levels of costs, the dearest one counts."""


def _verdicts(con: duckdb.DuckDBPyConnection, newest: date) -> dict[tuple[str, str], Row]:
    return {(row["rule"], row["coin_id"]): row for row in _rows(con, _VERDICTS, newest)}


_FRESHNESS = """
with last as (select coin_id, max(day) as day, min(day) as first_day, count(*) as known from daily group by coin_id)
select
    (select count(*) from last) as coins,
    (select count(*) from last where day = $newest) as coins_on_newest,
    (select list(coin_id order by day, coin_id) from last where day < $newest) as behind,
    (select sum(day - first_day + 1 - known) from last)::bigint as days_missing,
    (select min(first_day) from last) as first_day,
    (select count(*) from daily where day = $newest and not is_final) as not_final,
    (select count(*) from daily where flags != '' and day > $newest - 30) as flagged,
    (select list(distinct source order by source) from daily) as sources,
    (select max(priced_at) from market_summary) as priced_at
"""


def _health(con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """The newest row of each table in `gold.health`."""
    return _rows(con, NEWEST)
