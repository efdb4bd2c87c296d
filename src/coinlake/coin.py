"""One coin as gold knows it: found by id or symbol, with its figures, indicators, signals, and recent closes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from typing import Any

import duckdb

from coinlake import catalog
from coinlake.duck import connect, quoted
from coinlake.errors import ConfigError
from coinlake.ids import SIMULATED
from coinlake.lake import Lake

HORIZONS = ("24h", "7d", "30d", "90d", "365d")
CLOSES_DAYS = 365
NEAR = 5
_READ = ("gold.market_summary", "gold.daily", "gold.indicators", "gold.signals", "gold.backtests")
_NO_INDICATORS = {"coin_id", "day", "source", "is_break", "observations_in_run", "range_is_sampled", "close_usd"}


def portrait(lake: Lake, asked: str) -> dict[str, Any]:
    """What gold knows of a coin on its last day. What is not known is None.

    Raises:
        ConfigError: no coin goes by that name, or several do; the sentence names them.
    """
    con = connect()
    for name in _READ:
        table = catalog.table(name)
        lake.attach(con, table, table.folder)
    coin_id = found(asked, coins_of(con))
    mine = f"coin_id = {quoted(coin_id)}"
    summary = _rows(con, f"from market_summary where {mine}")[0]
    day = summary["day"]
    days = _rows(con, f"select * from indicators where {mine} and day = date '{day}'")
    return {
        **{name: value for name, value in summary.items() if not name.endswith(HORIZONS) and "_usd" not in name},
        **{name: summary[name] for name in ("price_usd", "close_usd", "market_cap_usd", "volume_24h_usd")},
        "is_simulated": coin_id.startswith(SIMULATED),
        "horizons": [_horizon(summary, horizon) for horizon in HORIZONS],
        "closes_usd": _closes(con, mine, day),
        "indicators": _indicators(days[0]) if days else [],
        "signals": _signals(con, mine, day),
    }


def coins_of(con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """`coin_id`, `symbol` and `name` of every coin, the largest first; `market_summary` is known to the connection."""
    return _rows(con, "select coin_id, symbol, name from market_summary order by rank nulls last, coin_id")


def found(asked: str, known: Sequence[Mapping[str, Any]]) -> str:
    """The id of the coin asked for: an id, or a symbol that only one coin has.

    Raises:
        ConfigError: no coin goes by that name, or several do.
    """
    name = asked.strip().lower()
    if not known:
        raise ConfigError("there are no coins in gold yet; run `coinlake run`, or choose another --lake")
    for row in known:
        if row["coin_id"].lower() == name:
            return str(row["coin_id"])
    bearers = [str(row["coin_id"]) for row in known if (row["symbol"] or "").strip().lower() == name]
    if len(bearers) == 1:
        return bearers[0]
    if bearers:
        raise ConfigError(f"{asked!r} is the symbol of {len(bearers)} coins; ask by id: {_some(bearers)}")
    near = _near(name, known)
    hint = f"near it: {_some(near)}" if near else "`coinlake query` over gold.market_summary lists the coins"
    raise ConfigError(f"{asked!r} is no coin of this lake; {hint}")


def _near(name: str, known: Sequence[Mapping[str, Any]]) -> list[str]:
    """Coins whose id, symbol or name resembles one that is not there, the best first."""
    if not name:
        return []
    owners: dict[str, str] = {}
    for row in known:
        for each in (row["coin_id"], row["name"], row["symbol"]):
            owners.setdefault(str(each or "").lower(), str(row["coin_id"]))
    owners.pop("", None)
    holding = sorted((each for each in owners if len(name) > 2 and name in each), key=len)
    close = get_close_matches(name, list(owners), NEAR, 0.6)
    return list(dict.fromkeys(owners[each] for each in (*holding, *close)))[:NEAR]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NEAR]) + (f" and {len(names) - NEAR} more" if len(names) > NEAR else "")


def _rows(con: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    answer = con.execute(sql)
    names = [column[0] for column in answer.description or ()]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


def _horizon(summary: Mapping[str, Any], horizon: str) -> dict[str, Any]:
    """A window's figures, and how far the last close lies from its average."""
    average = summary[f"average_{horizon}_usd"]
    return {
        "horizon": horizon,
        "return": summary[f"return_{horizon}"],
        "average_usd": average,
        "from_average": summary["close_usd"] / average - 1 if average else None,
        "minimum_usd": summary[f"minimum_{horizon}_usd"],
        "maximum_usd": summary[f"maximum_{horizon}_usd"],
        "days_known": summary[f"days_known_{horizon}"],
    }


def _closes(con: duckdb.DuckDBPyConnection, mine: str, day: date) -> list[float | None]:
    """The closes of the year up to a day, one a day; None where a day is missing."""
    sql = f"select date '{day}' - day as ago, close_usd from daily where {mine} and day > date '{day}' - {CLOSES_DAYS}"
    known = {row["ago"]: row["close_usd"] for row in _rows(con, sql)}
    return [known.get(ago) for ago in range(max(known, default=-1), -1, -1)]


def _indicators(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every indicator of a day; `converged` is None where an indicator does not begin with a seed."""
    names = [name for name in row if not name.endswith("_converged") and name not in _NO_INDICATORS]
    columns = catalog.table("gold.indicators").columns
    return [
        {
            "indicator": name,
            "value": row[name],
            "unit": columns[name].unit,
            "converged": row.get(f"{'macd' if name.startswith('macd') else name}_converged"),
            "what": columns[name].prose,
        }
        for name in names
    ]


def _signals(con: duckdb.DuckDBPyConnection, mine: str, day: date) -> list[dict[str, Any]]:
    """The signals of a day, each with the verdicts of the backtests on this coin and on all."""
    verdicts = {
        (row["rule"], row["coin_id"]): row
        for row in _rows(con, f"from backtests where {mine} or coin_id = '*' order by fee_bp + slippage_bp")
    }
    signals = _rows(con, f"from signals where {mine} and day = date '{day}' order by strength desc, rule")
    return [_judged(signal, verdicts) for signal in signals]


def _judged(signal: Mapping[str, Any], verdicts: Mapping[tuple[str, str], Mapping[str, Any]]) -> dict[str, Any]:
    here = verdicts.get((signal["rule"], signal["coin_id"]), {})
    everywhere = verdicts.get((signal["rule"], "*"), {})
    told = {name: signal[name] for name in ("rule", "direction", "strength", "sentence", "tradable_on")}
    return {
        **told,
        "numbers": json.loads(signal["numbers"]),
        "has_edge": bool(here.get("has_edge") or everywhere.get("has_edge")),
        "verdict_on_this_coin": here.get("verdict"),
        "verdict_on_all_coins": everywhere.get("verdict"),
    }
