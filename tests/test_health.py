"""A day of a table is served or held for a reason that is said, and nothing in it depends on a clock."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from coinlake import catalog
from coinlake.duck import connect
from coinlake.engine import engine
from coinlake.gold import health
from coinlake.gold.analyze import analyze
from coinlake.health import gaps
from coinlake.lake import Lake
from coinlake.pipeline import definitions
from test_gold import (
    DAY,
    ENGINES,
    MIDNIGHT,
    SOURCES,
    D,
    H,
    Row,
    arrow,
    bring_up,
    daily_point,
    dicts,
    observe,
    stored,
)

RUNS, REJECTS, HEALTH = (catalog.table(name) for name in ("silver.runs", "silver.rejects", "gold.health"))
COINS = ("bitcoin", "ethereum", "tether", "solana")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.at(str(tmp_path / "lake"))


def told(lake: Lake) -> dict[tuple[str, date], Row]:
    return {(row["table_name"], row["day"]): row for row in stored(lake, HEALTH)}


def days(coin: str, numbers: range, soon: bool = True, **more: Any) -> list[Row]:
    """Closes of a coin that walks to and fro, fetched soon after the last, or much later."""
    at = MIDNIGHT + (numbers[-1] if soon else numbers[-1] + 100) * D + H
    return [daily_point(MIDNIGHT + n * D, 100.0 + n % 3, coin_id=coin, fetched_at=at, **more) for n in numbers]


def note_run(lake: Lake, at: Any, *unavailable: Row, calls: int = 1) -> None:
    row = {
        "calls": calls,
        "run": str(at),
        "fetched_at": at,
        "unavailable": json.dumps(unavailable),
        "bronze_object": str(at),
        "line": 1,
    }
    lake.append(RUNS, arrow(RUNS, [row]), [str(at)])


def test_every_table_with_days_and_every_gold_table_is_told_of() -> None:
    known = {
        table.name: table
        for layer in ("silver", "gold")
        for table in catalog.layer(layer)
        if table is not HEALTH and (table.dated_by or table.layer == "gold")
    }
    assert set(HEALTH.columns["table_name"].one_of or ()) == {*known, RUNS.name}
    assert {table.name: table for table in health.GOLD}.items() <= known.items()
    assert {name: table.dated_by for name, table in known.items() if table.layer == "silver"} == health.SILVER


def test_what_is_refused_is_counted_where_its_answers_go() -> None:
    for endpoint, (table, _) in catalog.readers().items():
        assert endpoint in ("coins_list", "runs") or table.name in health.ANSWERS[endpoint]


@pytest.mark.slow
@pytest.mark.parametrize("on", ENGINES)
def test_a_day_is_held_where_more_than_a_tenth_of_its_coins_are_missing(lake: Lake, on: str) -> None:
    for coin in COINS[:2]:
        observe(lake, *days(coin, range(5)))
    for coin in COINS[2:]:
        observe(lake, *days(coin, range(4)))
    bring_up(lake, on)
    rows = told(lake)
    daily = {day: row for (name, day), row in rows.items() if name == "gold.daily"}
    assert [row["verdict"] for row in daily.values()] == ["serve"] * 4 + ["hold"]
    last = daily[DAY + 3 * D]
    assert last["reason"] == "2 of 4 coins missing: solana, tether"
    assert (last["coins"], last["coins_expected"], last["coins_missing"]) == (2, 4, 2)
    assert (last["newest_day"], last["days_behind"], last["hours_behind"]) == (DAY + 3 * D, 0, 1.0)
    assert "gold.daily is held" in rows["gold.market_summary", DAY + 3 * D]["reason"]
    assert rows["silver.prices", DAY + 3 * D]["verdict"] is None


@pytest.mark.slow
def test_days_that_cannot_be_had_are_not_missing_and_days_not_fetched_are_held(lake: Lake) -> None:
    for coin in COINS[:2]:
        observe(lake, *days(coin, range(5)))
    for coin in COINS[2:]:
        observe(lake, *days(coin, range(4)))
    last = DAY + 3 * D
    gone = [
        {"coin_id": coin, "from_day": str(last), "to_day": str(last), "reason": "not on this plan"}
        for coin in COINS[2:]
    ]
    note_run(lake, MIDNIGHT + 4 * D + 2 * H, *gone)
    bring_up(lake)
    row = told(lake)["gold.daily", last]
    assert (row["verdict"], row["coins_missing"], row["coins_unavailable"]) == ("serve", 0, 2)
    assert len(json.loads(row["unavailable"])) == 2
    note_run(lake, MIDNIGHT + 7 * D + 2 * H)
    bring_up(lake)
    later = told(lake)["gold.daily", last + 3 * D]
    assert (later["verdict"], later["days_behind"], later["days_missing"]) == ("hold", 3, 3)
    assert later["reason"] == f"no row for the day, the newest is of {last}"
    assert told(lake)["gold.daily", last]["verdict"] == "serve"


def test_a_coin_that_is_gone_for_a_month_is_no_longer_missed_and_what_is_odd_is_counted(lake: Lake) -> None:
    observe(lake, *days("bitcoin", range(40)), *days("dead", range(3)))
    observe(lake, *days("still", range(2), market_cap_usd=5.0, volume_24h_usd=1.0))
    path = "coingecko/coins_market_chart/x"
    refused = f"'{path}' as bronze_object, 1 as line, '$' as path, 'wrong_type' as rule, 'coingecko' as source"
    lake.append(REJECTS, connect().sql(f"select {refused}, timestamptz '{MIDNIGHT + 2 * D + H}' as fetched_at"), [path])
    bring_up(lake)
    daily = {day: row for (name, day), row in told(lake).items() if name == "gold.daily"}
    missing = {(day - DAY).days: row["coins_missing"] for day, row in daily.items()}
    assert (missing[0], missing[1], missing[2], missing[30], missing[31], missing[32]) == (0, 1, 2, 2, 1, 0)
    assert (daily[DAY + 2 * D]["rejects"], daily[DAY + 2 * D]["rejects_by_rule"]) == (1, '{"wrong_type": 1}')


def test_nothing_new_makes_no_row_anew_but_a_run_does(lake: Lake) -> None:
    observe(lake, *days("bitcoin", range(3)))
    bring_up(lake)
    assert {made.how for made in bring_up(lake)} == {"unchanged"}
    note_run(lake, MIDNIGHT + timedelta(days=3, hours=5), calls=0)
    assert {made.how for made in bring_up(lake)} == {"unchanged"}, "a run that asked nothing knows nothing new"
    note_run(lake, MIDNIGHT + timedelta(days=3, hours=6))
    assert {made.table for made in bring_up(lake) if made.how != "unchanged"} == {"gold.health"}


def test_an_unknown_day_is_null_and_not_1970(lake: Lake) -> None:
    note_run(lake, MIDNIGHT + H)
    bring_up(lake)
    assert {row["newest_day"] for row in dicts(lake.read(HEALTH))} == {None}


def test_a_table_without_days_is_told_of_every_day_and_held_where_it_lags(lake: Lake) -> None:
    observe(lake, *days("bitcoin", range(3)))
    bring_up(lake)
    told_of = {day: row for (name, day), row in told(lake).items() if name == "gold.market_summary"}
    assert {day: row["newest_day"] for day, row in told_of.items()} == {DAY + n * D: DAY + n * D for n in (-1, 0, 1)}
    assert {row["verdict"] for row in told_of.values()} == {"serve"}
    observe(lake, *days("bitcoin", range(3, 5)))
    for definition in definitions(SOURCES):
        if definition.table.name not in ("gold.market_summary", "gold.backtests"):
            analyze(lake, definition, engine("duckdb"), SOURCES)
    rows = told(lake)
    lagging = rows["gold.market_summary", DAY + 3 * D]
    assert (lagging["verdict"], lagging["newest_day"], lagging["days_behind"]) == ("hold", DAY + D, 2)
    assert lagging["reason"] == f"it reaches to {DAY + D} only"
    assert rows["gold.backtests", DAY + 3 * D]["reason"] == "no month has ended yet"


def refuse(lake: Lake, at: Any, first: date, last: date, coin: str = "solana") -> None:
    row = {
        "bronze_object": f"coingecko/coins_market_chart/{at}",
        "line": 1,
        "path": "$",
        "rule": "day_missing",
        "source": "coingecko",
        "coin_id": coin,
        "first_day": first,
        "last_day": last,
        "fetched_at": at,
    }
    lake.append(REJECTS, arrow(REJECTS, [row]), [row["bronze_object"]])


def arrivals() -> list[Callable[[Lake], None]]:
    """What comes to a lake in two years: a past of 300 days, days one by one, holes of a week and of a quarter that are
    partly filled later, days that cannot be had, what was refused, and answers that are cleaned after later ones.
    """
    day = lambda number: (MIDNIGHT + number * D).date()  # noqa: E731
    gone = {"coin_id": "tether", "from_day": str(day(20)), "to_day": str(day(60)), "reason": "not on this plan"}
    return [
        lambda lake: observe(lake, *(row for coin in COINS[:2] for row in days(coin, range(300)))),
        lambda lake: observe(lake, *days("bitcoin", range(300, 301)), *days("ethereum", range(300, 301))),
        lambda lake: note_run(lake, MIDNIGHT + 301 * D + 2 * H),
        lambda lake: note_run(lake, MIDNIGHT + 303 * D + 2 * H, gone),
        lambda lake: observe(lake, *days("bitcoin", range(307, 309))),
        lambda lake: observe(lake, *days("tether", range(10, 320))),
        lambda lake: refuse(lake, MIDNIGHT + 320 * D + 3 * H, day(100), day(130)),
        lambda lake: observe(lake, *days("ethereum", range(302, 306))),
        lambda lake: observe(lake, *days("bitcoin", range(420, 423))),
        lambda lake: note_run(lake, MIDNIGHT + 340 * D + 5 * H),
        lambda lake: observe(lake, *days("solana", range(-90, -60))),
        lambda lake: note_run(lake, MIDNIGHT + 440 * D + 2 * H, {**gone, "to_day": str(day(75))}),
        lambda lake: observe(lake, *days("ethereum", range(340, 380), soon=False)),
        lambda lake: observe(lake, *days("bitcoin", range(423, 700))),
    ]


@pytest.mark.slow(seconds=10)
def test_whatever_comes_and_however_long_it_is_the_health_that_a_rebuild_makes(lake: Lake) -> None:
    by_name = {each.table.name: each for each in definitions(SOURCES)}
    needed = [by_name[f"gold.{name}"] for name in ("daily", "indicators", "health")]
    how = []
    for arrive in arrivals():
        arrive(lake)
        with lake.as_it_stands():
            how.append([analyze(lake, each, engine("duckdb"), SOURCES).how for each in needed][-1])
            as_it_is = stored(lake, HEALTH)
            analyze(lake, needed[-1], engine("duckdb"), SOURCES, anew=True)
        assert as_it_is == stored(lake, HEALTH), len(how)
    assert set(how[1:]) == {"updated"}
    of_daily = [day for name, day in told(lake) if name == "gold.daily"]
    assert min(of_daily) < DAY - 60 * D and max(of_daily) == (MIDNIGHT + 698 * D).date()


def test_status_tells_of_the_days_inside_a_coins_history_that_lack(lake: Lake) -> None:
    observe(lake, *days("bitcoin", range(6)), *days("gappy", range(2)), *days("gappy", range(4, 5)))
    observe(lake, *days("late", range(3, 6)))
    bring_up(lake)
    assert gaps(lake) == [{"coin_id": "gappy", "first_day": DAY + D, "last_day": DAY + 2 * D, "days": 2}]
