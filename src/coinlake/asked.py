"""What is computed when it is asked for, and kept nowhere: the equity of following a rule, correlations of today."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from coinlake import catalog
from coinlake.coin import coins_of, found
from coinlake.duck import bring, glance, quoted
from coinlake.engine import engine
from coinlake.engine.series import columns, frame_of
from coinlake.errors import ConfigError
from coinlake.gold import correlations as pairwise
from coinlake.gold import trading
from coinlake.gold.rules import rules
from coinlake.ids import BITCOINS
from coinlake.lake import Lake

_DAYS = ("coin_id", "day", "close_usd", "source", "is_break")

Columns = Mapping[str, NDArray[Any]]


def equity(
    lake: Lake,
    rule: str,
    coin: str,
    costs_bp: tuple[float, float],
    first: date | None = None,
    last: date | None = None,
) -> duckdb.DuckDBPyRelation:
    """What one dollar became by following a rule on a coin, by holding the coin, and by holding bitcoin, day by day:
    `day`, `strategy`, `holding`, `bitcoin`, `is_held`. As in `gold.backtests`, up to the newest day.

    Args:
        coin: an id, or a symbol that only one coin has.
        costs_bp: fee and slippage of one side in basis points.
        first, last: the days between which to look, ends included; by default from where `gold.backtests` begins.

    Raises:
        ConfigError: there is no such rule or coin, or there are no two days to look at.
    """
    if rule not in rules():
        raise ConfigError(f"there is no rule {rule!r}; there are {', '.join(sorted(rules()))}")
    coin_id = found(coin, _coins(lake))
    mine, bitcoin = _days(lake, [coin_id]), _days(lake, BITCOINS)
    if not len(mine["day"]):
        raise ConfigError(f"gold.indicators has no days of {coin_id}; run `coinlake analyze`")
    history = trading.History.of(mine, bitcoin)
    events = _read(lake, "gold.signals", ("day", "direction"), f"coin_id = {quoted(coin_id)} and rule = {quoted(rule)}")
    begin = first or _before(lake, rule, coin_id)
    curve = trading.curve(
        history,
        history.events(events["day"], events["direction"]),
        rules()[rule].holding_days,
        sum(costs_bp) * trading.BASIS_POINT,
        None if begin is None else np.datetime64(begin),
        None if last is None else np.datetime64(last),
    )
    if not len(curve.day):
        raise ConfigError(f"there are no two days of {coin_id} to look at; ask for others")
    return _relation({
        "day": curve.day, "strategy": curve.strategy, "holding": curve.holding, "bitcoin": curve.bitcoin,
        "is_held": curve.held,
    })  # fmt: skip


def correlations(lake: Lake, coins: Sequence[str], day: date | None = None) -> duckdb.DuckDBPyRelation:
    """Correlations of daily log returns on the newest day, or another, as `gold.correlations` has them of months' ends:
    of the largest coins, or of those that are named (ids, or symbols that only one coin has).

    Raises:
        ConfigError: one coin alone was named, or one that is not known.
    """
    known = _coins(lake) if coins else []
    names = [found(each, known) for each in coins]
    if len(set(names)) == 1:
        raise ConfigError(f"a correlation is of two coins: name another beside {names[0]}")
    end = day or lake.newest_day(catalog.table("gold.indicators"))
    if end is None:
        raise ConfigError("gold has no days yet; run `coinlake run`")
    first = end - timedelta(days=max(pairwise.WINDOWS))
    within = f"day > date '{first}' and day <= date '{end}' and year >= {first.year} and year <= {end.year}"
    within += f" and coin_id in ({', '.join(map(quoted, names))})" if names else ""
    con = glance()
    for name in ("gold.daily", "gold.indicators"):
        table = catalog.table(name)
        given = ["coin_id", "day", "market_cap_usd" if table.folder == "daily" else "log_return_1d"]
        bring(con, lake.read(table, given, within), table.folder)
    rows = con.sql("select coin_id, day, market_cap_usd, log_return_1d from daily join indicators using (coin_id, day)")
    laid = columns(rows, ("day", "coin_id"))
    made = list(pairwise.at(laid, np.datetime64(end), names or None))
    whole = {name: np.concatenate([each[name] for each in made]) for name in made[0]}
    return _relation({"day": whole.pop("month_end"), **whole})


def _coins(lake: Lake) -> list[dict[str, Any]]:
    con = glance()
    table = catalog.table("gold.market_summary")
    lake.attach(con, table, table.folder)
    return coins_of(con)


def _days(lake: Lake, coins: Sequence[str]) -> Columns:
    return _read(lake, "gold.indicators", _DAYS, f"coin_id in ({', '.join(map(quoted, coins))})")


def _before(lake: Lake, rule: str, coin_id: str) -> date | None:
    """The day before the first close at which the backtest could trade; None where there is none."""
    where = f"coin_id = {quoted(coin_id)} and rule = {quoted(rule)}"
    days = _read(lake, "gold.backtests", ("first_day",), where, order="first_day")["first_day"]
    return days[0].item() - timedelta(days=1) if len(days) else None


def _read(lake: Lake, name: str, wanted: Sequence[str], where: str, order: str = "day") -> Columns:
    con = glance()
    bring(con, lake.read(catalog.table(name), wanted, where), "found")
    return columns(con.table("found"), (order,))


def _relation(made: Columns) -> duckdb.DuckDBPyRelation:
    duck = engine("duckdb")
    return duck.relation(frame_of(duck, made))
