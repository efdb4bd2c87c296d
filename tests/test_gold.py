"""A day and a window are what one computes by hand; made bit by bit they are what a rebuild makes; the past stays."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arro3.core import Array, DataType
from arro3.core import Table as Rows
from hypothesis import given
from hypothesis import strategies as st

from coinlake import catalog
from coinlake.duck import bring, glance
from coinlake.engine import engine
from coinlake.engine.current import current
from coinlake.gold import analyze as analysis
from coinlake.gold import blocks
from coinlake.gold.analyze import Made, analyze
from coinlake.gold.market_summary import WINDOWS, summarise
from coinlake.lake import Lake
from coinlake.pipeline import definitions, looked_at
from coinlake.query import query
from coinlake.table import Table, Type
from coinlake.upkeep import compact, sweep
from strategies import examples

ENGINES = ("duckdb", "pandas")
SOURCES = ("coingecko",)
DAY = date(2022, 1, 10)
MIDNIGHT = datetime(2022, 1, 10, tzinfo=UTC)
H, S = timedelta(hours=1), timedelta(seconds=1)
D = timedelta(days=1)

PRICES, MARKETS, CANDLES = (catalog.table(f"silver.{name}") for name in ("prices", "markets", "candles"))
GOLD = catalog.layer("gold")
DAILY, SUMMARY = catalog.table("gold.daily"), catalog.table("gold.market_summary")

Row = dict[str, Any]


# Silver by hand ------------------------------------------------------------------------------------------------------

_ARROW = {
    Type.STRING: DataType.utf8(),
    Type.FLOAT64: DataType.float64(),
    Type.INT64: DataType.int64(),
    Type.BOOLEAN: DataType.bool(),
    Type.DATE: DataType.int32(),
    Type.TIMESTAMP: DataType.int64(),
}
_SINCE_1970 = {Type.DATE: "date '1970-01-01' + ", Type.TIMESTAMP: "make_timestamptz"}
_DEFAULTS: Row = {
    "source": "coingecko",
    "coin_id": "bitcoin",
    "flags": "",
    "fetched_at": MIDNIGHT + 30 * D,
    "bronze_object": "coingecko/x/1",
    "line": 1,
}


def point(at: datetime, price: float | None, granularity: str = "hourly", **more: Any) -> Row:
    return {**_DEFAULTS, "granularity": granularity, "observed_at": at, "price_usd": price, **more}


def daily_point(at: datetime, price: float | None, **more: Any) -> Row:
    return point(at, price, "daily", **more)


def market(at: datetime, price: float | None, **more: Any) -> Row:
    return {**_DEFAULTS, "observed_at": at, "price_usd": price, **more}


def candle(at: datetime, open_: float, high: float, low: float, close: float, span: str = "4h", **more: Any) -> Row:
    prices = {"open_usd": open_, "high_usd": high, "low_usd": low, "close_usd": close}
    return {**_DEFAULTS, "closed_at": at, "span": span, **prices, **more}


def arrow(table: Table, rows: Sequence[Row]) -> Any:
    """Rows of a table as an Arrow stream; what is not given is null."""
    columns: dict[str, Any] = {
        name: Array([_plain(row.get(name)) for row in rows], type=_ARROW[column.type])
        for name, column in table.columns.items()
    }
    select = ", ".join(
        f'{_SINCE_1970.get(column.type, "")}("{name}") as "{name}"' for name, column in table.columns.items()
    )
    con = glance()
    bring(con, Rows.from_pydict(columns), "given", select)
    return con.table("given")


def _plain(value: Any) -> Any:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    if isinstance(value, datetime):
        return (value - epoch) // timedelta(microseconds=1)
    return (value - epoch.date()).days if isinstance(value, date) else value


def dicts(stream: Any) -> list[Row]:
    con = glance()
    bring(con, stream, "given")
    relation = con.sql("select * from given order by all")
    return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]


# Gold by hand --------------------------------------------------------------------------------------------------------


def days_of(*observed: Row, on: str = "duckdb", sources: Sequence[str] = SOURCES) -> dict[date, Row]:
    """gold.daily of one coin's observations, by day."""
    return {row["day"]: row for row in built(observed, on, sources)}


def built(observed: Sequence[Row], on: str = "duckdb", sources: Sequence[str] = SOURCES) -> list[Row]:
    runs_on = engine(on)
    read = {}
    for table in (PRICES, MARKETS, CANDLES):
        rows = runs_on.frame(arrow(table, [row for row in observed if _table_of(row) is table]))
        read[table.name] = current(table, rows, runs_on)
    return dicts(runs_on.arrow(catalog.entries()["gold.daily"].module.build(read, sources, runs_on)))


def _table_of(row: Row) -> Table:
    return PRICES if "granularity" in row else CANDLES if "span" in row else MARKETS


def hourly_day(first: float = 100.0) -> list[Row]:
    """A day of 25 hourly points: first, first + 1, … from midnight to midnight."""
    return [point(MIDNIGHT + hour * H, first + hour) for hour in range(25)]


both = pytest.mark.parametrize("on", ENGINES)


@both
def test_a_day_opens_at_its_first_midnight_and_closes_at_the_next(on: str) -> None:
    day = days_of(*hourly_day(), on=on)[DAY]
    assert (day["open_usd"], day["close_usd"]) == (100.0, 124.0)
    assert (day["high_usd"], day["low_usd"]) == (124.0, 100.0)
    assert day["average_usd"] == sum(range(101, 125)) / 24
    assert (day["observations"], day["hours_observed"]) == (24, 24)
    assert day["close_observed_at"] == MIDNIGHT + D
    assert day["range_is_sampled"] is True


@both
def test_the_point_at_midnight_is_the_close_of_the_day_before(on: str) -> None:
    days = days_of(daily_point(MIDNIGHT, 1.0), daily_point(MIDNIGHT + D, 2.0), on=on)
    assert {day: (row["open_usd"], row["close_usd"]) for day, row in days.items()} == {
        DAY - D: (None, 1.0),
        DAY: (1.0, 2.0),
    }
    assert all(row["is_final"] for row in days.values())
    assert (days[DAY]["low_usd"], days[DAY]["high_usd"]) == (1.0, 2.0)


@both
def test_the_running_day_has_no_row(on: str) -> None:
    days = days_of(daily_point(MIDNIGHT, 1.0), point(MIDNIGHT + 14 * H, 5.0, "spot"), on=on)
    assert set(days) == {DAY - D}
    assert days[DAY - D]["high_usd"] == 1.0


@both
@pytest.mark.parametrize(
    ("offset", "closes"),
    [
        (timedelta(0), True),
        (3600 * S, True),
        (3602 * S, False),
        (-300 * S, True),
        (-302 * S, False),
    ],
)
def test_near_midnight_an_observation_stands_in_for_the_close(on: str, offset: timedelta, closes: bool) -> None:
    days = days_of(point(MIDNIGHT + D + offset, 7.0, "spot"), on=on)
    assert (DAY in days) is closes
    if closes:
        assert (days[DAY]["close_usd"], days[DAY]["is_final"]) == (7.0, False)
        assert days[DAY]["close_observed_at"] == MIDNIGHT + D + offset


@both
def test_the_finished_point_takes_the_place_of_what_stood_in(on: str) -> None:
    near = [point(MIDNIGHT + D + 1 * S, 7.0, "spot"), market(MIDNIGHT + D - 2 * S, 6.0), point(MIDNIGHT + D, 5.0)]
    provisional = days_of(*near, on=on)[DAY]
    assert (provisional["close_usd"], provisional["is_final"]) == (5.0, False)
    final = days_of(*near, daily_point(MIDNIGHT + D, 8.0), on=on)[DAY]
    assert (final["close_usd"], final["is_final"]) == (8.0, True)


@both
def test_what_is_unknown_at_the_close_is_not_borrowed_from_another_observation(on: str) -> None:
    near = [
        point(MIDNIGHT + D + 1 * S, 7.0, "spot"),
        point(MIDNIGHT + D + 9 * S, 7.5, "spot", market_cap_usd=70.0, volume_24h_usd=3.0),
    ]
    day = days_of(*near, on=on)[DAY]
    assert (day["close_usd"], day["market_cap_usd"], day["volume_24h_usd"]) == (7.0, None, None)


@both
def test_the_average_is_over_the_series_that_saw_the_day_most_often(on: str) -> None:
    looks = [point(MIDNIGHT + hour * H + 60 * S, 1000.0, "spot") for hour in range(5)]
    day = days_of(*hourly_day(), *looks, on=on)[DAY]
    assert day["average_usd"] == sum(range(101, 125)) / 24
    assert day["observations"] == 29
    assert day["high_usd"] == 1000.0


@both
def test_hours_are_those_with_an_observation(on: str) -> None:
    seen = [point(MIDNIGHT + h * H + 60 * S, 1.0, "5m") for h in (0, 0.5, 3, 3.2, 23)]
    day = days_of(*seen, daily_point(MIDNIGHT + D, 1.0), on=on)[DAY]
    assert (day["hours_observed"], day["observations"]) == (3, 6)


@both
def test_candles_that_cover_the_day_give_its_open_and_its_true_extremes(on: str) -> None:
    candles = [candle(MIDNIGHT + 4 * n * H, 10.0 + n, 20.0 + n, 5.0 - n / 10, 11.0 + n) for n in range(1, 7)]
    day = days_of(daily_point(MIDNIGHT, 9.0), *candles, daily_point(MIDNIGHT + D, 16.5), on=on)[DAY]
    assert (day["open_usd"], day["high_usd"], day["low_usd"], day["close_usd"]) == (11.0, 26.0, 4.4, 16.5)
    assert day["range_is_sampled"] is False


@both
def test_candles_that_miss_a_part_of_the_day_leave_its_range_sampled(on: str) -> None:
    candles = [candle(MIDNIGHT + 4 * n * H, 10.0, 20.0, 5.0, 11.0) for n in range(2, 7)]
    day = days_of(daily_point(MIDNIGHT, 9.0), *candles, on=on)[DAY]
    assert (day["open_usd"], day["high_usd"], day["low_usd"], day["close_usd"]) == (9.0, 20.0, 5.0, 11.0)
    assert day["range_is_sampled"] is True
    assert day["is_final"] is True


@both
def test_a_day_candle_is_a_day_with_its_volume(on: str) -> None:
    day = days_of(candle(MIDNIGHT + D, 10.0, 20.0, 5.0, 11.0, "1d", volume_usd=42.0), on=on)[DAY]
    assert (day["open_usd"], day["high_usd"], day["low_usd"], day["close_usd"]) == (10.0, 20.0, 5.0, 11.0)
    assert (day["volume_24h_usd"], day["is_final"], day["range_is_sampled"]) == (42.0, True, False)


@both
def test_a_range_of_which_one_end_is_unknown_is_no_range(on: str) -> None:
    """A candle with a high and no low, as a file has it whose source wrote zero."""
    half = {**candle(MIDNIGHT + D, 10.0, 20.0, 5.0, 11.0, "1d"), "low_usd": None}
    day = days_of(half, on=on)[DAY]
    assert (day["high_usd"], day["low_usd"], day["range_is_sampled"]) == (20.0, 11.0, True)


@both
def test_an_unfinished_candle_and_one_of_four_days_say_nothing_about_a_days_range(on: str) -> None:
    odd = [
        candle(MIDNIGHT + D, 1.0, 999.0, 0.1, 500.0, flags="unfinished"),
        candle(MIDNIGHT + D, 1.0, 888.0, 0.2, 600.0, "4d"),
    ]
    day = days_of(daily_point(MIDNIGHT, 9.0), daily_point(MIDNIGHT + D, 10.0), *odd, on=on)[DAY]
    assert (day["low_usd"], day["close_usd"]) == (9.0, 10.0)
    assert day["high_usd"] <= 600.0


@both
def test_no_close_is_taken_from_numbers_that_the_service_rounded(on: str) -> None:
    assert days_of(market(MIDNIGHT + D, 1.22, flags="rounded"), on=on) == {}


@both
def test_a_point_without_a_price_closes_no_day(on: str) -> None:
    assert days_of(daily_point(MIDNIGHT + D, None, market_cap_usd=5.0), on=on) == {}


def flagged(on: str, before: Row, after: Row) -> str:
    flags = days_of(
        daily_point(MIDNIGHT, before["price_usd"], **{k: before[k] for k in before if k != "price_usd"}),
        daily_point(MIDNIGHT + D, after["price_usd"], **{k: after[k] for k in after if k != "price_usd"}),
        on=on,
    )[DAY]["flags"]
    assert isinstance(flags, str)
    return flags


def known(price: float, cap: float | None = None, volume: float | None = None) -> Row:
    return {"price_usd": price, "market_cap_usd": cap, "volume_24h_usd": volume}


@both
@pytest.mark.parametrize(
    ("before", "after", "flags"),
    [
        (known(1.0), known(2.9), ""),
        (known(1.0), known(3.1), "jump_price"),
        (known(1.0), known(0.34), ""),
        (known(1.0), known(0.33), "jump_price"),
        (known(1.0, 1.0), known(1.1, 11.5), "jump_market_cap"),
        (known(1.0, 1.0), known(1.1, 0.04), "jump_market_cap"),
        (known(1.0, 1.0, 1.0), known(1.1, 1.1, 101.0), "jump_volume"),
        (known(1.0, 1.0, 0.0), known(1.1, 1.1, 101.0), ""),
        (known(1.0, 2.0, 3.0), known(1.0, 2.0, 3.0), "stale"),
        (known(1.0, None, 3.0), known(1.0, None, 3.0), ""),
        (known(1.0, 1.0, 1.0), known(9.0, 99.0, 999.0), "jump_price,jump_market_cap,jump_volume"),
    ],
)
def test_what_is_odd_about_a_day_is_named(on: str, before: Row, after: Row, flags: str) -> None:
    assert flagged(on, before, after) == flags


@both
def test_the_whole_row_is_of_the_first_source_that_knows_the_day(on: str) -> None:
    mine = [daily_point(MIDNIGHT + n * D, 50.0 + n, source="mine") for n in range(3)]
    theirs = [daily_point(MIDNIGHT + n * D, 70.0 + n, market_cap_usd=5.0) for n in (1, 2)]
    first = days_of(*mine, *theirs, on=on, sources=("coingecko", "mine"))
    assert [(row["source"], row["close_usd"]) for row in first.values()] == [
        ("mine", 50.0),
        ("coingecko", 71.0),
        ("coingecko", 72.0),
    ]
    other = days_of(*mine, *theirs, on=on, sources=("mine",))
    assert [(row["source"], row["market_cap_usd"]) for row in other.values()] == [("mine", None)] * 3


# The Market Summary Report -------------------------------------------------------------------------------------------


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.at(str(tmp_path / "lake"))


_numbers = count(1)


def observe(lake: Lake, *rows: Row, fetched_at: datetime | None = None) -> None:
    """Append observations as one bronze object of each table's."""
    name = f"coingecko/x/{next(_numbers):06d}"
    for table in (PRICES, MARKETS, CANDLES):
        mine = [{**row, "bronze_object": name} for row in rows if _table_of(row) is table]
        if fetched_at:
            mine = [{**row, "fetched_at": fetched_at} for row in mine]
        if mine:
            lake.append(table, arrow(table, mine), [name])


def bring_up(lake: Lake, on: str = "duckdb", anew: bool = False, sources: Sequence[str] = SOURCES) -> list[Made]:
    """All of gold, up to date."""
    runs_on = engine(on)
    with lake.as_it_stands(*looked_at()):
        return [analyze(lake, each, runs_on, sources, anew) for each in definitions(sources)]


def stored(lake: Lake, table: Table) -> list[Row]:
    return dicts(lake.read(table))


def gold(lake: Lake) -> list[list[Row]]:
    return [stored(lake, table) for table in GOLD]


@both
def test_a_window_counts_days_not_rows(lake: Lake, on: str) -> None:
    closes = {0: 100.0, 1: 90.0, 6: 80.0, 7: 50.0, 8: 10.0, 30: 40.0, 364: 5.0, 365: 25.0, 366: 1.0}
    observe(lake, *(daily_point(MIDNIGHT - back * D, close) for back, close in closes.items()))
    bring_up(lake, on)
    (row,) = stored(lake, SUMMARY)
    assert row["day"] == DAY - D
    assert (row["return_24h"], row["return_7d"], row["return_30d"]) == (100 / 90 - 1, 100 / 50 - 1, 100 / 40 - 1)
    assert (row["return_90d"], row["return_365d"]) == (None, 100 / 25 - 1)
    assert (row["minimum_7d_usd"], row["maximum_7d_usd"]) == (50.0, 100.0)
    assert [row[f"days_known_{name}"] for name in ("24h", "7d", "30d", "90d", "365d")] == [1, 3, 5, 6, 7]
    assert (row["minimum_365d_usd"], row["average_7d_usd"]) == (5.0, (100 + 90 + 80) / 3)


@both
def test_a_window_holds_days_of_one_source_only(lake: Lake, on: str) -> None:
    mine = [daily_point(MIDNIGHT - back * D, 40.0, source="mine") for back in range(5, 9)]
    observe(lake, *mine, *(daily_point(MIDNIGHT - back * D, 100.0 + back) for back in range(3)))
    bring_up(lake, on, sources=("coingecko", "mine"))
    (row,) = stored(lake, SUMMARY)
    assert (row["source"], row["days_known_7d"], row["return_7d"]) == ("coingecko", 3, None)
    assert (row["minimum_7d_usd"], row["return_24h"]) == (100.0, 100 / 101 - 1)


@both
def test_a_window_holds_days_of_one_unit_only(lake: Lake, on: str) -> None:
    closes = [0.5, 0.51, 0.52, 53.0, 54.0, 52.0]  # a redenomination by a hundred; the market cap stays
    points = [daily_point(MIDNIGHT + n * D, close, market_cap_usd=1e9) for n, close in enumerate(closes)]
    observe(lake, *points[:4])
    bring_up(lake, on)
    (row,) = stored(lake, SUMMARY)
    assert (row["close_usd"], row["days_known_7d"], row["return_24h"]) == (53.0, 1, None)
    assert (row["minimum_365d_usd"], row["average_365d_usd"]) == (53.0, 53.0)
    observe(lake, *points[4:])
    bring_up(lake, on)
    (row,) = stored(lake, SUMMARY)
    assert (row["days_known_7d"], row["return_24h"], row["return_7d"]) == (3, 52 / 54 - 1, None)
    assert (row["minimum_365d_usd"], row["maximum_365d_usd"]) == (52.0, 54.0)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 400), st.booleans(), st.floats(1e-9, 1e9)), min_size=1)
)
def test_the_windows_of_a_coin_are_of_its_own_days(drawn: list[tuple[str, int, bool, float]]) -> None:
    rows = sorted({(coin, day): (source, price) for coin, day, source, price in drawn}.items())
    columns: dict[str, list[Any]] = {name: [] for name in ("coin_id", "day", "source", *PRICED)}
    for (coin, day), (source, price) in rows:
        known = price if day % 5 else math.nan
        for name, value in zip(columns, (coin, day, str(source), price, known, price / 2, price * 2), strict=True):
            columns[name].append(value)
    arrays = {
        name: np.array(values, dtype=object if name in ("coin_id", "source") else None)
        for name, values in columns.items()
    }
    nothing = {name: arrays[name][:0] for name in ("coin_id", "source", "day")}
    made = summarise({**arrays, "day": arrays["day"].astype("datetime64[D]")}, nothing)
    for place, coin in enumerate(made["coin_id"]):
        mine = [
            (day, price) for (each, day), (source, price) in rows if each == coin and source == _last(rows, coin)[1]
        ]
        newest, close = mine[-1]
        for name, length in WINDOWS.items():
            inside = {day: price for day, price in mine if newest - day < length}
            averaged = [price for day, price in inside.items() if day % 5]
            begun = dict(mine).get(newest - length)
            assert made[f"days_known_{name}"][place] == len(inside)
            assert made[f"minimum_{name}_usd"][place] == min(inside.values()) / 2
            assert made[f"maximum_{name}_usd"][place] == max(inside.values()) * 2
            mean = math.fsum(averaged) / len(averaged) if averaged else math.nan
            assert made[f"average_{name}_usd"][place] == pytest.approx(mean, nan_ok=True, rel=1e-12)
            assert made[f"return_{name}"][place] == pytest.approx(
                close / begun - 1 if begun else math.nan, nan_ok=True, rel=0, abs=0
            )


PRICED = ("close_usd", "average_usd", "low_usd", "high_usd")


def _last(rows: list[tuple[tuple[str, int], tuple[bool, float]]], coin: str) -> tuple[int, bool]:
    """The last day of a coin, and its source."""
    return max((day, source) for (each, day), (source, _) in rows if each == coin)


@both
def test_a_report_shows_the_newest_snapshot_or_else_the_last_close(lake: Lake, on: str) -> None:
    observe(
        lake,
        daily_point(MIDNIGHT, 10.0, market_cap_usd=1.0, volume_24h_usd=2.0),
        market(MIDNIGHT + 5 * H, 11.0, market_cap_usd=None, volume_24h_usd=4.0, symbol="btc", name="Bitcoin", rank=1),
        market(MIDNIGHT - 5 * H, 9.0, symbol="old", name="Old", rank=7),
        daily_point(MIDNIGHT, 20.0, coin_id="quiet", market_cap_usd=5.0, volume_24h_usd=6.0),
        market(MIDNIGHT - 9 * H, 19.0, coin_id="quiet", symbol="q", name="Quiet", rank=9),
    )
    bring_up(lake, on)
    bitcoin, quiet = stored(lake, SUMMARY)
    shown = ("price_usd", "priced_at", "market_cap_usd", "volume_24h_usd", "close_usd", "rank", "name")
    assert [bitcoin[name] for name in shown] == [11.0, MIDNIGHT + 5 * H, None, 4.0, 10.0, 1, "Bitcoin"]
    assert [quiet[name] for name in shown] == [20.0, MIDNIGHT, 5.0, 6.0, 20.0, 9, "Quiet"]


@both
def test_todays_stance_says_buy_under_the_weeks_average_sell_over_it_and_why(lake: Lake, on: str) -> None:
    days = {
        "falling": [20.0, 19.0, 21.0, 20.0, 19.0, 18.0, 17.0, 16.0],
        "rising": [10.0, 11.0, 10.0, 12.0, 13.0, 14.0, 15.0, 16.0],
        "still": [1.0, 1.0, 1.0001, 1.0, 1.0, 0.9999, 1.0, 1.0001],
        "young": [5.0, 6.0],
    }
    for coin, closes in days.items():
        begun = MIDNIGHT + (8 - len(closes)) * D
        observe(lake, *(daily_point(begun + n * D, close, coin_id=coin) for n, close in enumerate(closes)))
    bring_up(lake, on)
    said = {row["coin_id"]: row for row in stored(lake, SUMMARY)}
    assert {coin: row["stance"] for coin, row in said.items()} == {
        "falling": "BUY",
        "rising": "SELL",
        "still": "WAIT",
        "young": "WAIT",
    }
    week = [19.0, 21.0, 20.0, 19.0, 18.0, 17.0, 16.0]
    under = 100 * (1 - 16 / (sum(week) / 7))
    why = said["falling"]["stance_reasons"]
    assert why.startswith(f"the price ($16.00) is {under:.1f} % under its 7-day average ($18.57); it moves: ")
    assert "it stands still (under 10.0 %)" in said["still"]["stance_reasons"]
    assert "its 7-day average is not known" in said["young"]["stance_reasons"]


@both
def test_the_events_of_a_coins_last_day_are_told_in_its_summary(lake: Lake, on: str) -> None:
    """Of no other day, and no other coin: the stance turns on day 7 for one, on day 8 for the other."""
    turned = [10.0, 10.5, 10.0, 10.5, 10.0, 10.5, 11.0, 9.0]
    observe(lake, *(daily_point(MIDNIGHT + (n + 1) * D, close) for n, close in enumerate(turned)))
    observe(lake, *(daily_point(MIDNIGHT + n * D, close, coin_id="later") for n, close in enumerate([*turned, 8.5])))
    bring_up(lake, on)
    told = {row["coin_id"]: row["signals_today"] for row in stored(lake, SUMMARY)}
    assert told == {"bitcoin": "BUY: the price ($9.00) is under its 7-day average ($10.21, -11.9 %)", "later": ""}


@both
def test_a_coin_without_a_price_on_the_newest_day_is_told_to_wait(lake: Lake, on: str) -> None:
    turned = [10.0, 10.5, 10.0, 10.5, 10.0, 10.5, 11.0, 9.0]
    observe(lake, *(daily_point(MIDNIGHT + n * D, close, coin_id="gone") for n, close in enumerate(turned)))
    observe(lake, *(daily_point(MIDNIGHT + n * D, 20.0) for n in range(len(turned) + 1)))
    bring_up(lake, on)
    [gone] = [row for row in stored(lake, SUMMARY) if row["coin_id"] == "gone"]
    last = (MIDNIGHT + 7 * D - H).date()
    assert (gone["stance"], gone["signals_today"]) == ("WAIT", "")
    assert gone["stance_reasons"] == f"its last price is of {last}"


def test_nothing_observed_makes_empty_tables(lake: Lake) -> None:
    bring_up(lake)
    assert not any(gold(lake))
    assert bring_up(lake)[0].how in {"unchanged", "rebuilt"}


# Bit by bit ----------------------------------------------------------------------------------------------------------


def test_nothing_new_writes_nothing(lake: Lake) -> None:
    observe(lake, *hourly_day())
    assert {made.how for made in bring_up(lake)} == {"rebuilt"}
    assert {made.how for made in bring_up(lake)} == {"unchanged"}
    compact(lake, [PRICES, MARKETS, CANDLES, *GOLD], always=True)
    compacted = [lake.version(table) for table in GOLD]
    assert {made.how for made in bring_up(lake)} == {"unchanged"}
    assert [lake.version(table) for table in GOLD] == compacted


def test_a_new_day_writes_just_that_day(lake: Lake) -> None:
    observe(lake, *(daily_point(MIDNIGHT - n * D, 5.0 + n) for n in range(40)))
    bring_up(lake)
    observe(lake, daily_point(MIDNIGHT + D, 7.0))
    made = bring_up(lake)[0]
    assert (made.how, made.rows) == ("updated", 1)


def test_another_definition_or_other_settings_rebuild(lake: Lake) -> None:
    observe(lake, *hourly_day(), daily_point(MIDNIGHT + D, 3.0, source="mine"))
    bring_up(lake)
    assert bring_up(lake, sources=("mine", "coingecko"))[0].how == "rebuilt"
    assert stored(lake, DAILY)[-1]["source"] == "mine"
    definition = next(each for each in definitions(SOURCES) if each.table is DAILY)
    assert analyze(lake, definition, engine("duckdb"), SOURCES).how == "rebuilt"
    changed = replace(definition, fingerprint=definition.fingerprint + 1)
    assert analyze(lake, changed, engine("duckdb"), SOURCES).how == "rebuilt"
    assert analyze(lake, changed, engine("duckdb"), SOURCES).how == "unchanged"


def test_where_the_log_no_longer_reaches_back_gold_is_rebuilt(lake: Lake) -> None:
    observe(lake, *hourly_day())
    bring_up(lake)
    for number in range(3):
        observe(lake, daily_point(MIDNIGHT + (2 + number) * D, 7.0 + number))
    gone = lake.version(PRICES) - 1
    observe(lake, *(daily_point(MIDNIGHT - n * D, 5.0) for n in range(1, 3)))
    for _ in range(8):
        observe(lake, point(MIDNIGHT + 5 * H, 1.0, "spot"))
    (Path(lake.uri(PRICES)) / "_delta_log" / f"{gone:020d}.json").unlink()
    assert bring_up(lake)[0].how == "rebuilt"
    assert_same_as_rebuilt(lake)


def test_rows_taken_from_silver_are_gone_from_gold(lake: Lake) -> None:
    observe(lake, *hourly_day())
    bring_up(lake)
    lake.restart(PRICES)
    observe(lake, daily_point(MIDNIGHT, 1.0))
    assert bring_up(lake)[0].how == "rebuilt"
    assert [row["close_usd"] for row in stored(lake, DAILY)] == [1.0]


def assert_same_as_rebuilt(lake: Lake) -> None:
    step_by_step = gold(lake)
    assert all(made.how == "rebuilt" for made in bring_up(lake, anew=True))
    assert gold(lake) == step_by_step


COINS = ("bitcoin", "o'neill", "young")
_offsets = st.one_of(
    st.sampled_from([0, 1, 300, 3600, 3600.4, 3601, 86100, 86099.9, 86399.999999, 43200]),
    st.integers(0, 86_399),
)
_moments = st.builds(lambda day, s: MIDNIGHT + day * D + timedelta(seconds=s), st.integers(-12, 12), _offsets)
_values = st.floats(1e-9, 1e9, allow_nan=False)
_perhaps = st.none() | _values
_about: Mapping[str, Any] = {"coin_id": st.sampled_from(COINS), "source": st.sampled_from(["coingecko", "mine"])}


def _row(make: Callable[..., Row], about: Row, *words: Any) -> Row:
    return {**make(*words), **about}


_known_about = st.fixed_dictionaries({**_about, "market_cap_usd": _perhaps, "volume_24h_usd": _perhaps})
_points = st.builds(partial(_row, point), _known_about, _moments, _perhaps, st.sampled_from(["spot", "5m", "hourly"]))
_finished = st.builds(
    lambda about, day, price: _row(daily_point, about, MIDNIGHT + day * D, price),
    _known_about,
    st.integers(-12, 12),
    _perhaps,
)
_snapshots = st.builds(
    partial(_row, market),
    st.fixed_dictionaries({**_about, "market_cap_usd": _perhaps, "flags": st.sampled_from(["", "", "rounded"])}),
    _moments,
    _perhaps,
)
_candles = st.builds(
    lambda about, n, values, span: {
        **candle(MIDNIGHT + 4 * n * H, values[0], values[1], values[2], values[3], span),
        **about,
    },
    st.fixed_dictionaries({**_about, "flags": st.sampled_from(["", "", "unfinished"])}),
    st.integers(-40, 40),
    st.tuples(_values, _values, _values, _values),
    st.sampled_from(["4h", "1d", "4d"]),
)
_rows = st.one_of(_finished, _finished, _points, _snapshots, _candles)


def _each_once(rows: list[Row]) -> list[Row]:
    """At most one row a key: one object says one thing about one point."""
    keyed = {(_table_of(row).name, *(row[name] for name in _table_of(row).key)): row for row in rows}
    return list(keyed.values())


arrivals = st.lists(_rows, max_size=14).map(_each_once)


@pytest.mark.slow
@examples(6)
@given(arrivals, st.lists(st.sampled_from(["mine", "coingecko"]), unique=True))
def test_both_engines_make_the_same_days(observed: list[Row], sources: list[str]) -> None:
    assert built(observed, "duckdb", sources) == built(observed, "pandas", sources)


@examples(8)
@given(arrivals)
def test_no_number_in_a_day_is_none_and_prices_hold_together(observed: list[Row]) -> None:
    for row in built(observed):
        numbers = [value for value in row.values() if isinstance(value, float)]
        assert all(math.isfinite(value) for value in numbers)
        assert row["low_usd"] <= row["close_usd"] <= row["high_usd"]
        assert row["open_usd"] is None or row["low_usd"] <= row["open_usd"] <= row["high_usd"]
        assert row["hours_observed"] <= row["observations"]


@pytest.mark.slow
@examples(4, shrinks=False)
@given(st.lists(arrivals, min_size=2, max_size=4), st.booleans())
def test_bit_by_bit_gold_is_what_a_rebuild_makes(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[Row]], tidied: bool
) -> None:
    """Late days, corrections, new coins, in whatever order they arrive, with compaction between."""
    lake = Lake.at(str(tmp_path_factory.mktemp("gold")))
    for hour, batch in enumerate(batches):
        observe(lake, *batch, fetched_at=MIDNIGHT + 30 * D + hour * H)
        bring_up(lake)
        if tidied:
            compact(lake, [PRICES, MARKETS, CANDLES, *GOLD], always=True)
    assert_same_as_rebuilt(lake)


@pytest.mark.slow
def test_corrections_late_days_and_new_coins_reach_just_the_days_they_touch(lake: Lake) -> None:
    observe(lake, *(daily_point(MIDNIGHT + n * D, 500.0 + n) for n in range(-400, 0)))
    bring_up(lake)
    for batch in (
        [point(MIDNIGHT + 30 * S, 55.5, "spot", market_cap_usd=9.0)],
        [daily_point(MIDNIGHT, 100.0), daily_point(MIDNIGHT - 9 * D, 3.25)],
        [daily_point(MIDNIGHT + n * D, 7.0 + n, coin_id="young") for n in range(-3, 1)],
        [
            point(MIDNIGHT + timedelta(seconds=3600.4), 56.0, "spot"),
            point(MIDNIGHT - D + timedelta(seconds=3600.4), 1.0),
        ],
        [point(MIDNIGHT + D - 300 * S, 44.0, "spot")],
        [daily_point(datetime(2021, 1, 1, tzinfo=UTC), 88.0)],
        [candle(MIDNIGHT + 4 * n * H, 1.0, 200.0, 0.5, 2.0) for n in range(-5, 1)],
        [daily_point(MIDNIGHT - 500 * D, 5.0)],
    ):
        observe(lake, *batch)
        assert bring_up(lake)[0].how == "updated"
    assert_same_as_rebuilt(lake)


# The past ------------------------------------------------------------------------------------------------------------


def as_of(lake: Lake, table: Table, at: datetime) -> list[Row]:
    return dicts(query(lake, f"select * from {table.name}", SOURCES, at))


@pytest.mark.slow
@pytest.mark.parametrize("rows_at_once", [None, 1], ids=["whole", "a coin a piece"])
def test_as_of_a_moment_the_lake_is_what_it_was_then(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, rows_at_once: int | None
) -> None:
    if rows_at_once:
        monkeypatch.setattr(blocks, "LEAST_ROWS", rows_at_once)
        monkeypatch.setattr(analysis, "MEMORY", 0)
    then, later = MIDNIGHT + 30 * D, MIDNIGHT + 31 * D
    observe(lake, *hourly_day(), market(MIDNIGHT + 2 * D, 5.0, rank=1), fetched_at=then)
    observe(lake, daily_point(MIDNIGHT, 4.0, coin_id="young"), fetched_at=then)
    bring_up(lake)
    kept = {table.name: stored(lake, table) for table in (DAILY, SUMMARY, PRICES, MARKETS)}
    observe(lake, daily_point(MIDNIGHT + D, 999.0), daily_point(MIDNIGHT + 2 * D, 1.0), fetched_at=later)
    observe(lake, market(MIDNIGHT + 3 * D, 6.0), daily_point(MIDNIGHT, 4.5, coin_id="young"), fetched_at=later)
    bring_up(lake)
    assert stored(lake, DAILY) != kept[DAILY.name]

    def past_is_past() -> None:
        for table in (DAILY, SUMMARY, PRICES, MARKETS):
            assert as_of(lake, table, later - timedelta(microseconds=1)) == kept[table.name], table.name

    past_is_past()
    assert as_of(lake, SUMMARY, then) == kept[SUMMARY.name]
    assert as_of(lake, SUMMARY, later) == stored(lake, SUMMARY)
    assert as_of(lake, SUMMARY, then - S) == []
    bring_up(lake, anew=True)
    past_is_past()
    compact(lake, [PRICES, MARKETS, CANDLES, *GOLD], always=True)
    sweep(lake, [PRICES, MARKETS, CANDLES, *GOLD], timedelta(0), datetime.now(UTC))
    past_is_past()


def test_no_day_uses_what_was_fetched_later_than_it_was_asked_for(lake: Lake) -> None:
    """A later answer about an old day changes the day now, not the day then."""
    observe(lake, daily_point(MIDNIGHT, 4.0), fetched_at=MIDNIGHT + H)
    observe(lake, daily_point(MIDNIGHT, 8.0), fetched_at=MIDNIGHT + 9 * D)
    bring_up(lake)
    assert stored(lake, DAILY)[0]["close_usd"] == 8.0
    assert as_of(lake, DAILY, MIDNIGHT + D)[0]["close_usd"] == 4.0
