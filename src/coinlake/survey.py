"""What the lake knows already, told to the planner: what silver holds, what lies in bronze not yet cleaned, and what
earlier runs learnt about the service.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from coinlake import catalog
from coinlake.answer import Answer, to_moment, to_text, unpack
from coinlake.bronze import call as ask
from coinlake.bronze.ingest import frozen_universe, received
from coinlake.bronze.plan import UNKNOWN_FOR, Known, Wish, days_of
from coinlake.duck import bring, glance, quoted
from coinlake.engine.current import current
from coinlake.engine.duckdb import DuckEngine
from coinlake.errors import LakeError
from coinlake.lake import Lake

RUNS = "_runs"
"""Folder of the runs' own records in bronze."""

_DAY = timedelta(days=1)
_FRESH_FOR = 2 * _DAY
"""How far back a last fetch is looked for: nothing is due later than after a day."""
_LEARNT_FOR = 30 * _DAY

_MOMENTS = ("began_at", "ended_at")
_TEXTS = (
    *("run", "command", "outcome", "message", "credits", "plan"),
    *("unknown_coins", "refused", "history_days", "unavailable"),
)

_ENDPOINTS = {
    ask.MARKETS: ("silver.markets", "coin_id"),
    ask.SIMPLE_PRICE: ("silver.prices", "coin_id"),
    ask.OHLC: ("silver.candles", "coin_id"),
    ask.GLOBAL: ("silver.global_market", "''"),
    ask.COINS_LIST: ("silver.coins", "case when is_active then 'active' else 'inactive' end"),
}
"""By endpoint, the table that its answers become and what one of them is about."""

Record = Mapping[str, Any]


def survey(lake: Lake, wish: Wish, at: datetime, pending: Iterable[str], plan: str) -> Known:
    """What is known at a moment, for what is wished. `pending` are the bronze objects not yet cleaned.

    What runs learnt of the service's limits counts only where they ran on the same `plan`.
    """
    universe = frozen_universe(lake, at.date(), wish.top) if wish.top and not wish.coins else None
    pending = list(pending)
    runs = all_runs(lake, pending)
    found = _Found()
    alike = [run for run in runs if run["plan"] == plan]
    found.given_up(alike, wish.granularity, at)
    found.from_silver(lake, wish.coins or universe or (), wish, at)
    for path in pending:
        if not path.startswith("_"):
            for answer in _answers(lake, path):
                found.from_answer(answer)
    return Known(
        universe=universe,
        covered=found.covered,
        newest=found.newest,
        markets_at=found.fetched_at[ask.MARKETS],
        prices_at=found.fetched_at[ask.SIMPLE_PRICE],
        candles_at=found.fetched_at[ask.OHLC],
        global_at=found.fetched_at[ask.GLOBAL].get(""),
        coins_at=found.both_lists_at(),
        unknown_coins=_unknown(runs, at),
        credits_month=credits(lake, runs, lambda began: (began.year, began.month) == (at.year, at.month)),
        credits_today=credits(lake, runs, lambda began: began.date() == at.date()),
        days_limit=_days_limit(alike, at),
    )


class _Found:
    """What is there, as it is gathered: from runs, from silver, from what is pending."""

    def __init__(self) -> None:
        self.covered: dict[tuple[str, str], set[date]] = defaultdict(set)
        self.newest: dict[tuple[str, str], datetime] = {}
        self.fetched_at: dict[str, dict[str, datetime]] = defaultdict(dict)

    def given_up(self, runs: Iterable[Record], granularity: str, at: datetime) -> None:
        """Days of single coins that the service refused lately."""
        for run in runs:
            for each in json.loads(run["unavailable"] or "[]") if run["began_at"] > at - _LEARNT_FOR else ():
                if each["coin_id"] != "*":
                    first, last = date.fromisoformat(each["from_day"]), date.fromisoformat(each["to_day"])
                    self._days(granularity, each["coin_id"], first, last)

    def from_silver(self, lake: Lake, coins: Iterable[str], wish: Wish, at: datetime) -> None:
        """Of the coins named, or of all (before the day's universe is known it may be any)."""
        listed = ", ".join(map(quoted, coins))
        mine = f"source = {quoted(ask.SOURCE)}"
        these = f"{mine} and coin_id in ({listed})" if listed else mine
        since = at.date() - (wish.days + 3) * _DAY
        window = f"{these} and observed_at >= '{since}T00:00:00Z' and year >= {since.year}"
        for granularity, coin, day, newest in _ask(lake, "silver.prices", window, _POINTS):
            self._days(granularity, coin, day, day)
            self._newest(granularity, coin, newest.replace(tzinfo=UTC))
        lacking = f"{these} and rule = 'day_missing'"
        for granularity, coin, first, last in _ask(lake, "silver.rejects", lacking, _LACKING):
            self._days(granularity, coin, first, last)
        fresh = f"fetched_at >= cast('{to_text(at - _FRESH_FOR)}' as timestamp with time zone)"
        for endpoint, (table, subject) in _ENDPOINTS.items():
            where = f"{mine} and {fresh} and bronze_object like '{ask.SOURCE}/{endpoint}/%'"
            for what, fetched_at in _ask(lake, table, where, _FETCHED.format(subject)):
                self._fetched(endpoint, what, fetched_at.replace(tzinfo=UTC))

    def from_answer(self, answer: Answer) -> None:
        """An answer not cleaned yet covers the days it was asked for; cleaning will say which of them are missing."""
        call = ask.Call(answer.endpoint, answer.path, answer.params, "")
        if answer.endpoint in (ask.MARKETS, ask.SIMPLE_PRICE):
            for coin in received(answer):
                self._fetched(answer.endpoint, coin, answer.fetched_at)
        elif (days := days_of(call, answer.fetched_at)) and call.coin_id:
            granularity = call.params.get("interval") or ("5m" if call.params.get("days") == "1" else "hourly")
            self._days(granularity, call.coin_id, *days)
            self._newest(granularity, call.coin_id, answer.fetched_at)
        elif answer.endpoint in _ENDPOINTS:
            self._fetched(answer.endpoint, call.coin_id or call.params.get("status", ""), answer.fetched_at)

    def both_lists_at(self) -> datetime | None:
        """When the coins were last listed. One list without the other says the wrong thing about those on both."""
        lists = self.fetched_at[ask.COINS_LIST]
        return min(lists["active"], lists["inactive"]) if {"active", "inactive"} <= lists.keys() else None

    def _days(self, granularity: str, coin: str, first: date, last: date) -> None:
        self.covered[granularity, coin] |= {first + n * _DAY for n in range((last - first).days + 1)}

    def _newest(self, granularity: str, coin: str, moment: datetime) -> None:
        self.newest[granularity, coin] = max(moment, self.newest.get((granularity, coin), moment))

    def _fetched(self, endpoint: str, what: str, fetched_at: datetime) -> None:
        self.fetched_at[endpoint][what] = max(fetched_at, self.fetched_at[endpoint].get(what, fetched_at))


_POINTS = (
    "select granularity, coin_id, (observed_at - interval 1 microsecond)::DATE, max(observed_at)::TIMESTAMP "
    "from found group by all"
)
_LACKING = "select granularity, coin_id, first_day, last_day from found"
_FETCHED = "select {}, max(fetched_at)::TIMESTAMP from found group by all having count(*) > 0"


def _ask(lake: Lake, name: str, where: str, sql: str) -> list[tuple[Any, ...]]:
    con = glance()
    bring(con, lake.read(catalog.table(name), where=where), "found")
    return con.sql(sql).fetchall()


def known_runs(lake: Lake) -> list[dict[str, Any]]:
    """The current view of all runs, oldest first; moments are in UTC."""
    table, engine = catalog.table("silver.runs"), DuckEngine(glance())
    rows = engine.arrow(current(table, engine.frame(lake.read(table)), engine))
    select = ", ".join([*(f"{name}::TIMESTAMP" for name in _MOMENTS), *_TEXTS])
    found = rows.order("began_at, ended_at, run").project(select).fetchall()
    runs = [dict(zip((*_MOMENTS, *_TEXTS), row, strict=True)) for row in found]
    return [run | {name: run[name] and run[name].replace(tzinfo=UTC) for name in _MOMENTS} for run in runs]


def all_runs(lake: Lake, pending: Iterable[str]) -> list[dict[str, Any]]:
    """The runs that silver knows and, of the bronze objects that it has not seen, what the runs' own records say: one
    that was killed could not clean its own, and who may only read silver cannot clean any. Oldest first.
    """
    by_name = {run["run"]: run for run in known_runs(lake)}
    for path in pending:
        if path.startswith(f"{RUNS}/") and (said := _record(lake, path)):
            by_name.setdefault(said["run"], dict.fromkeys((*_MOMENTS, *_TEXTS))).update(said)
    return sorted(by_name.values(), key=lambda run: (run["began_at"], run["run"]))


def _record(lake: Lake, path: str) -> dict[str, Any]:
    """What a run's own record says; nothing where it is damaged."""
    try:
        said = json.loads(lake.objects.get(path))
        texts = {name: said[name] for name in _TEXTS if said.get(name) is not None}
        moments = {name: to_moment(said[name]) for name in _MOMENTS if said.get(name)}
        return {**texts, "run": said["run"], "began_at": moments["began_at"], **moments}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def credits(lake: Lake, runs: Iterable[Record], counts: Callable[[datetime], bool]) -> int:
    """Credits of the runs that count; of one that never ended, the answers that it left in bronze."""
    mine = [run for run in runs if counts(run["began_at"])]
    killed = [f"-{run['run']}-" for run in mine if not run["ended_at"]]
    return sum(run["credits"] or 0 for run in mine) + (_answered(lake, killed) if killed else 0)


def _answers(lake: Lake, path: str) -> list[Answer]:
    """What a bronze object says; a damaged one says nothing, so what it held is fetched again."""
    try:
        return list(unpack(lake.objects.get(path)))
    except LakeError:
        return []


def _answered(lake: Lake, killed: list[str]) -> int:
    paths = [each.path for each in lake.objects.list(ask.SOURCE) if any(name in each.path for name in killed)]
    return sum(answer.status == 200 for path in paths for answer in _answers(lake, path))


def _unknown(runs: Iterable[Record], at: datetime) -> dict[str, datetime]:
    """The coins that are not asked for, as the service did not know them lately, and until when; runs come in order."""
    lately = [(run, run["began_at"] + UNKNOWN_FOR) for run in runs if run["began_at"] > at - UNKNOWN_FOR]
    return {coin: until for run, until in lately for coin in (run["unknown_coins"] or "").split(",") if coin}


def refused(runs: Iterable[Record], at: datetime) -> list[dict[str, Any]]:
    """What the service refused because it did not know the coin, and is not asked for again yet: the coin, the
    endpoint, when, and until when.
    """
    said = [(run["began_at"], each) for run in runs for each in json.loads(run["refused"] or "[]")]
    found = [
        {**each, "refused_at": began_at, "asked_again_at": to_moment(each["asked_again_at"])} for began_at, each in said
    ]
    return [each for each in found if each["asked_again_at"] > at]


def _days_limit(runs: Iterable[Record], at: datetime) -> int | None:
    learnt = [run["history_days"] for run in runs if run["began_at"] > at - _LEARNT_FOR and run["history_days"]]
    return learnt[-1] if learnt else None
