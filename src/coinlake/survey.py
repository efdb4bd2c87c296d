"""What the lake knows already, told to the planner: what silver holds, what lies in bronze not yet cleaned, and what
earlier runs learnt about the service.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from coinlake import catalog
from coinlake.answer import Answer, unpack
from coinlake.bronze import call as ask
from coinlake.bronze.ingest import frozen_universe
from coinlake.bronze.plan import Known, Wish
from coinlake.duck import bring, connect, quoted
from coinlake.engine.current import current
from coinlake.engine.duckdb import DuckEngine
from coinlake.lake import Lake

RUNS = "_runs"
"""Folder of the runs' own records in bronze."""
_DAY = timedelta(days=1)
_LEARNT_FOR = timedelta(days=30)
_UNKNOWN_FOR = timedelta(days=1)


def survey(lake: Lake, wish: Wish, at: datetime, pending: Iterable[str]) -> Known:
    """What is known at a moment, for what is wished. `pending` are the bronze objects not yet cleaned."""
    universe = frozen_universe(lake, at.date(), wish.top) if wish.top and not wish.coins else None
    coins = wish.coins or universe or ()  # before the universe is frozen it may be any coin
    found = _Found()
    found.from_silver(lake, coins, at.date() - timedelta(days=wish.days + 3))
    for path in pending:
        if not path.startswith("_"):
            for answer in unpack(lake.objects.get(path)):
                found.from_answer(answer)
    runs = known_runs(lake)
    return Known(
        universe=universe,
        covered=found.covered,
        newest=found.newest,
        markets_at=found.at[ask.MARKETS],
        prices_at=found.at[ask.SIMPLE_PRICE],
        candles_at=found.at[ask.OHLC],
        global_at=found.at[ask.GLOBAL].get(""),
        coins_at=found.at[ask.COINS_LIST].get(""),
        unknown_coins=_unknown(runs, at),
        credits_month=credits(lake, runs, lambda began: (began.year, began.month) == (at.year, at.month)),
        credits_today=credits(lake, runs, lambda began: began.date() == at.date()),
        days_limit=_days_limit(runs, at),
    )


class _Found:
    """Coverage as it is gathered, from silver first, then from what is pending."""

    def __init__(self) -> None:
        self.covered: dict[tuple[str, str], set[date]] = defaultdict(set)
        self.newest: dict[tuple[str, str], datetime] = {}
        self.at: dict[str, dict[str, datetime]] = defaultdict(dict)

    def from_silver(self, lake: Lake, coins: Iterable[str], since: date) -> None:
        mine = f"source = {quoted(ask.SOURCE)}"
        listed = ", ".join(map(quoted, coins))
        these = f"{mine} and coin_id in ({listed})" if listed else mine
        moment = f"observed_at >= cast('{since}' as timestamp with time zone) and year >= {since.year}"
        points = _query(
            lake,
            "silver.prices",
            f"{these} and {moment}",
            "select granularity, coin_id, (observed_at - interval 1 microsecond)::DATE, max(observed_at)::TIMESTAMP "
            "from found group by all",
        )
        for granularity, coin, day, newest in points:
            self._point(granularity, coin, day, newest.replace(tzinfo=UTC))
        lacking = "select granularity, coin_id, first_day, last_day from found"
        for granularity, coin, first, last in _query(
            lake, "silver.rejects", f"{these} and rule = 'day_missing'", lacking
        ):
            self.covered[granularity, coin] |= {first + n * _DAY for n in range((last - first).days + 1)}
        newest = "select {}, max(fetched_at)::TIMESTAMP from found group by all having count(*) > 0"
        quick = f"{these} and bronze_object like '{ask.SOURCE}/{ask.SIMPLE_PRICE}/%'"
        for endpoint, name, where, subject in (
            (ask.MARKETS, "silver.markets", these, "coin_id"),
            (ask.SIMPLE_PRICE, "silver.prices", quick, "coin_id"),
            (ask.OHLC, "silver.candles", these, "coin_id"),
            (ask.GLOBAL, "silver.global_market", mine, "''"),
            (ask.COINS_LIST, "silver.coins", mine, "''"),
        ):
            for what, fetched_at in _query(lake, name, where, newest.format(subject)):
                self._fetched(endpoint, what, fetched_at.replace(tzinfo=UTC))

    def from_answer(self, answer: Answer) -> None:
        """An answer that was not cleaned yet covers the window it was asked for."""
        body = json.loads(answer.body) if answer.status == 200 else None
        coin = answer.path.split("/")[2] if answer.path.count("/") > 2 else ""
        if answer.endpoint in (ask.MARKET_CHART, ask.MARKET_CHART_RANGE) and isinstance(body, dict):
            self._chart(answer, coin, body)
        elif answer.endpoint == ask.MARKETS and isinstance(body, list):
            for row in body:
                if isinstance(row, dict) and isinstance(row.get("id"), str):
                    self._fetched(answer.endpoint, row["id"], answer.fetched_at)
        elif answer.endpoint == ask.SIMPLE_PRICE and isinstance(body, dict):
            for each in body:
                self._fetched(answer.endpoint, each, answer.fetched_at)
        elif answer.endpoint in (ask.OHLC, ask.GLOBAL, ask.COINS_LIST):
            self._fetched(answer.endpoint, coin, answer.fetched_at)

    def _chart(self, answer: Answer, coin: str, body: Mapping[str, Any]) -> None:
        asked = answer.params
        days = float(asked.get("days", "0") if asked.get("days") != "max" else 0)
        granularity = asked.get("interval") or ("5m" if "days" in asked and days <= 1 else "hourly")
        start = datetime.fromtimestamp(int(asked["from"]), UTC) if "from" in asked else answer.fetched_at - days * _DAY
        end = datetime.fromtimestamp(int(asked["to"]), UTC) if "to" in asked else answer.fetched_at
        end = min(end, answer.fetched_at - timedelta(hours=1))
        first, last = start.date(), (end - _DAY).date()
        self.covered[granularity, coin] |= {first + n * _DAY for n in range((last - first).days + 1)}
        for point in body.get("prices") or []:
            if isinstance(point, list) and point and isinstance(point[0], int):
                moment = datetime.fromtimestamp(point[0] / 1000, UTC)
                if granularity != "daily" or moment.time() == datetime.min.time():
                    self._point(granularity, coin, (moment - timedelta(microseconds=1)).date(), moment)

    def _point(self, granularity: str, coin: str, day: date, moment: datetime) -> None:
        self.covered[granularity, coin].add(day)
        self.newest[granularity, coin] = max(moment, self.newest.get((granularity, coin), moment))

    def _fetched(self, endpoint: str, what: str, fetched_at: datetime) -> None:
        self.at[endpoint][what] = max(fetched_at, self.at[endpoint].get(what, fetched_at))


def _query(lake: Lake, name: str, where: str, sql: str) -> list[tuple[Any, ...]]:
    con = connect()
    bring(con, lake.read(catalog.table(name), where=where), "found")
    return con.sql(sql).fetchall()


def known_runs(lake: Lake) -> list[dict[str, Any]]:
    """The current view of all runs, oldest first."""
    table = catalog.table("silver.runs")
    engine = DuckEngine()
    rows = engine.arrow(current(table, engine.frame(lake.read(table))))
    columns = "run, command, outcome, began_at::TIMESTAMP, ended_at::TIMESTAMP, credits, unknown_coins, history_days"
    names = ("run", "command", "outcome", "began_at", "ended_at", "credits", "unknown_coins", "history_days")
    found = [dict(zip(names, row, strict=True)) for row in rows.order("began_at").project(columns).fetchall()]
    return [each | {"began_at": each["began_at"].replace(tzinfo=UTC)} for each in found if each["began_at"]]


def credits(lake: Lake, runs: Iterable[Mapping[str, Any]], counts: Any) -> int:
    """Credits of the runs that count; of one that never ended, the answers that it left in bronze."""
    mine = [run for run in runs if counts(run["began_at"])]
    ended = sum(run["credits"] or 0 for run in mine if run["ended_at"])
    killed = [f"-{run['run']}-" for run in mine if not run["ended_at"]]
    return ended + sum(_answers(lake, killed)) if killed else ended


def _answers(lake: Lake, killed: list[str]) -> Iterable[int]:
    for each in lake.objects.list(ask.SOURCE):
        if any(name in each.path for name in killed) and "/_errors/" not in each.path:
            yield sum(1 for answer in unpack(lake.objects.get(each.path)) if answer.status == 200)


def _unknown(runs: Iterable[Mapping[str, Any]], at: datetime) -> frozenset[str]:
    lately = [run for run in runs if run["began_at"] > at - _UNKNOWN_FOR]
    return frozenset(coin for run in lately for coin in (run["unknown_coins"] or "").split(",") if coin)


def _days_limit(runs: Iterable[Mapping[str, Any]], at: datetime) -> int | None:
    learnt = [run["history_days"] for run in runs if run["began_at"] > at - _LEARNT_FOR and run["history_days"]]
    return learnt[-1] if learnt else None
