"""What came from the service is rows or rejects, never an exception, and the same on every engine.

Each trap of the service's data is tested on the recorded bytes that show it, or on a body built upon them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinlake import catalog
from coinlake.answer import Answer
from coinlake.contract import kept
from coinlake.duck import connect
from coinlake.engine import engine
from coinlake.engine.current import current
from coinlake.silver import candles as candles_table
from coinlake.silver import coins, prices
from coinlake.silver.clean import clean
from coinlake.silver.rejects import RULES
from conftest import SHARED
from strategies import (
    NOW,
    answer,
    answers,
    candles,
    chart,
    clean_charts,
    coins_list,
    examples,
    garbage,
    market_now,
    markets,
    quick_look,
)

RECORDINGS = SHARED / "coingecko" / "recordings"
ERRORS = SHARED / "coingecko" / "errors"
ENGINES = ("duckdb", "pandas")

ENDPOINTS = {
    "/coins/markets": "coins_markets",
    "/simple/price": "simple_price",
    "/coins/list": "coins_list",
    "/global": "global",
    "/coins/bitcoin/ohlc": "coins_ohlc",
    "/coins/bitcoin/market_chart": "coins_market_chart",
}
DAILY = "200__coins_bitcoin_market_chart_days_90_interval_daily_vs_currency_usd.body.json"
HOURLY = "200__coins_bitcoin_market_chart_days_30_vs_currency_usd.body.json"
BACKWARD = "200__coins_bitcoin_market_chart_days_1_vs_currency_usd.body.json"
FORWARD = "200__coins_bitcoin_market_chart_days_1_id_bitcoin_vs_currency_usd.body.json"
CANDLES = "200__coins_bitcoin_ohlc_days_7_vs_currency_usd.body.json"
MARKETS = "coins_markets__57_ids__2022-01-06.json"
LIST_2021 = "200__coins_list.body.json"
LIST_2022 = "coins_list__11580__2022-01.json"

pytestmark = pytest.mark.usefixtures("shared")

Row = dict[str, Any]


# What a body becomes -------------------------------------------------------------------------------------------------


@dataclass
class Found:
    """Rows by table, and rejects."""

    tables: dict[str, list[Row]] = field(default_factory=dict)
    rejects: list[Row] = field(default_factory=list)

    def __getitem__(self, table: str) -> list[Row]:
        return self.tables.get(f"silver.{table}", [])

    def ruled(self, rule: str) -> list[str]:
        """The paths that a rule refused."""
        return sorted(row["path"] for row in self.rejects if row["rule"] == rule)

    @property
    def rules(self) -> Counter[str]:
        return Counter(row["rule"] for row in self.rejects)

    @property
    def lines(self) -> set[int]:
        """The lines of which anything is known."""
        rows = [row for rows in self.tables.values() for row in rows]
        return {row["line"] for row in [*rows, *self.rejects]}

    def told(self) -> dict[str, list[str]]:
        """All of it, to be compared."""
        every = {**self.tables, "rejects": self.rejects}
        return {name: sorted(repr(row) for row in rows) for name, rows in every.items() if rows}


def found(*given: Answer, on: str = "duckdb") -> Found:
    """What cleaning makes of answers; every row is also held against its table's contract."""
    lines = [("coingecko/x/1.jsonl.gz", line, each) for line, each in enumerate(given, start=1)]
    result = Found()
    for observed in clean(lines, catalog.readers(), engine(on)):
        assert kept(connect(), observed.table, observed.rows, "rows_kept").count("*").fetchone()
        result.tables.setdefault(observed.table.name, []).extend(_dicts(observed.rows))
        result.rejects += _dicts(observed.rejects)
    return result


def _dicts(relation: Any) -> list[Row]:
    return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]


@cache
def _index() -> Mapping[str, Mapping[str, Any]]:
    return {each["file"]: each for each in json.loads((RECORDINGS / "INDEX.json").read_text())}


def read(name: str) -> bytes:
    return (RECORDINGS / name).read_bytes()


def recorded(name: str, **params: str) -> Answer:
    """A recorded body as the answer it was."""
    about = _index()[name]
    url = urlsplit(about["url"])
    path = url.path.removeprefix("/api/v3")
    asked = {**dict(parse_qsl(url.query)), **params}
    endpoint = ENDPOINTS.get(path, path.strip("/").replace("/", "_"))
    at = parsedate_to_datetime(about["recorded_at"])
    return answer(endpoint, path, asked, read(name), at, status=about["status"])


def market_page(**params: str) -> Answer:
    return answer(
        "coins_markets",
        "/coins/markets",
        {"vs_currency": "usd", **params},
        read(MARKETS),
        datetime(2022, 1, 6, 6, 58, tzinfo=UTC),
    )


def every_recorded() -> list[Answer]:
    """Every recorded body at its own endpoint, and the two kept without their headers."""
    names = sorted(path.name for path in RECORDINGS.glob("[245]*.json"))
    later = coins_list(read(LIST_2022), at=datetime(2022, 2, 1, tzinfo=UTC))
    return [*(recorded(name) for name in names), market_page(), market_page(precision="full"), later]


def bodies() -> list[bytes]:
    """Every recorded body and every error body."""
    return [path.read_bytes() for path in sorted([*RECORDINGS.glob("[2-5]*"), *ERRORS.glob("[2-5]*")])] + [
        read(MARKETS)
    ]


def changed(name: str, change: Any) -> bytes:
    """A recorded body after a change to its parsed form."""
    body = json.loads(read(name))
    change(body)
    return json.dumps(body).encode()


def moment(ms: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)


# Traps of the charts -------------------------------------------------------------------------------------------------


def test_the_point_now_at_the_end_of_a_daily_chart_is_a_spot_observation_and_no_day() -> None:
    rows = found(recorded(DAILY))["prices"]
    spot = [row for row in rows if row["granularity"] == "spot"]
    days = [row for row in rows if row["granularity"] == "daily"]
    assert [row["observed_at"] for row in spot] == [datetime(2021, 5, 15, 14, 39, 54, tzinfo=UTC)]
    assert len(days) == 90
    assert all(row["observed_at"].time() == datetime.min.time() for row in days)


def test_a_last_point_955_ms_in_the_past_supersedes_the_one_before_it() -> None:
    result = found(recorded(BACKWARD))
    observed = [row["observed_at"] for row in result["prices"]]
    assert max(observed) == moment(1621089594000)
    assert moment(1621089594955) not in observed
    assert result.ruled("backward_timestamp") == [
        "$.market_caps[286]",
        "$.prices[286]",
        "$.total_volumes[286]",
    ]


def test_a_moment_that_comes_twice_in_one_series_keeps_its_later_arrival() -> None:
    def repeat_with_other_numbers(body: Any) -> None:
        body["prices"].append([body["prices"][-1][0], 12345.678])

    result = found(chart(changed(FORWARD, repeat_with_other_numbers), at=datetime(2021, 5, 16, 8, 21, tzinfo=UTC)))
    (last,) = [row for row in result["prices"] if row["observed_at"] == moment(1621153187000)]
    assert last["price_usd"] == 12345.678
    assert last["market_cap_usd"] == 916945499135.1173
    assert result.ruled("duplicated_timestamp") == ["$.prices[288]"]


def test_points_out_of_order_are_all_kept() -> None:
    def turn_around(body: Any) -> None:
        body["prices"].reverse()

    rows = found(chart(changed(HOURLY, turn_around), days="30"))["prices"]
    assert {row["observed_at"] for row in rows} == {moment(ms) for ms, _ in json.loads(read(HOURLY))["prices"]}
    assert {row["granularity"] for row in rows} == {"hourly"}


@pytest.mark.parametrize(("name", "granularity"), [(FORWARD, "5m"), (HOURLY, "hourly")])
def test_unaligned_moments_are_kept_as_given_and_still_show_their_granularity(name: str, granularity: str) -> None:
    result = found(recorded(name))
    given = json.loads(read(name))["prices"]
    steps = [b[0] - a[0] for a, b in pairwise(given)]
    assert min(steps) < median(steps) / 1.5 and max(steps) > median(steps) * 1.5
    assert sorted(row["observed_at"] for row in result["prices"]) == [moment(ms) for ms, _ in given]
    assert {row["granularity"] for row in result["prices"]} == {granularity}
    assert not result.rejects


@pytest.mark.parametrize("days", ["1", "90", "91", "364"])
@pytest.mark.parametrize(("name", "granularity"), [(FORWARD, "5m"), (HOURLY, "hourly"), (DAILY, "daily")])
def test_granularity_is_what_the_steps_show_whatever_was_asked(name: str, granularity: str, days: str) -> None:
    asked = chart(read(name), days, at=parsedate_to_datetime(_index()[name]["recorded_at"]))
    assert Counter(row["granularity"] for row in found(asked)["prices"]).most_common(1)[0][0] == granularity


def test_a_null_inside_a_series_is_unknown_and_takes_nothing_else_with_it() -> None:
    def unknown_cap(body: Any) -> None:
        body["market_caps"][3][1] = None

    whole, result = found(recorded(DAILY)), found(chart(changed(DAILY, unknown_cap), "90", interval="daily"))
    at = moment(json.loads(read(DAILY))["prices"][3][0])
    (row,) = [row for row in result["prices"] if row["observed_at"] == at]
    (before,) = [row for row in whole["prices"] if row["observed_at"] == at]
    assert row["market_cap_usd"] is None
    assert (row["price_usd"], row["volume_24h_usd"]) == (before["price_usd"], before["volume_24h_usd"])
    assert not result.rules.keys() - {"day_missing"}


def test_series_of_different_length_are_joined_by_time_never_by_place() -> None:
    def without_a_cap(body: Any) -> None:
        del body["market_caps"][10]

    given = json.loads(read(HOURLY))
    result = found(chart(changed(HOURLY, without_a_cap), "30"))
    caps = {row["observed_at"]: row["market_cap_usd"] for row in result["prices"]}
    expected: dict[datetime, float | None] = {moment(ms): cap for ms, cap in given["market_caps"]}
    expected[moment(given["market_caps"][10][0])] = None
    assert caps == expected
    assert result.ruled("unequal_arrays") == ["$"]


def test_a_price_of_zero_is_unknown_and_flagged() -> None:
    def nothing(body: Any) -> None:
        body["prices"][5][1] = 0
        body["market_caps"][5][1] = 0.0

    rows = found(chart(changed(DAILY, nothing), "90"))["prices"]
    at = moment(json.loads(read(DAILY))["prices"][5][0])
    (row,) = [row for row in rows if row["observed_at"] == at]
    assert (row["price_usd"], row["market_cap_usd"], row["flags"]) == (None, None, "zero")
    assert row["volume_24h_usd"] > 0


def test_a_volume_of_zero_is_a_volume() -> None:
    rows = found(chart({"prices": [[1643600000000, 1]], "market_caps": [], "total_volumes": [[1643600000000, 0]]}))
    assert rows["prices"][0]["volume_24h_usd"] == 0.0


def test_a_wild_outlier_is_flagged_and_kept() -> None:
    def vee(body: Any) -> None:
        body["market_caps"][7][1] = 5.84e18

    rows = found(chart(changed(DAILY, vee), "90"))["prices"]
    assert [(row["observed_at"], row["market_cap_usd"]) for row in rows if row["flags"] == "spike"] == [
        (moment(json.loads(read(DAILY))["prices"][7][0]), 5.84e18)
    ]


def test_a_change_that_lasts_is_no_spike() -> None:
    def redenominated(body: Any) -> None:
        for point in body["prices"][30:]:
            point[1] *= 100

    assert {row["flags"] for row in found(chart(changed(DAILY, redenominated), "90"))["prices"]} == {""}


def test_days_without_a_point_are_named_from_the_first_to_the_last() -> None:
    def gap(body: Any) -> None:
        for points in body.values():
            del points[40:45]

    given = json.loads(read(DAILY))["prices"]
    at = parsedate_to_datetime(_index()[DAILY]["recorded_at"])
    result = found(chart(changed(DAILY, gap), "90", interval="daily", at=at))
    (missing,) = [row for row in result.rejects if row["rule"] == "day_missing"]
    day_closed_by = [(moment(ms) - timedelta(days=1)).date() for ms, _ in given]
    assert (missing["first_day"], missing["last_day"]) == (day_closed_by[40], day_closed_by[44])
    assert (missing["coin_id"], missing["granularity"]) == ("bitcoin", "daily")


def test_a_point_that_repeats_everything_is_stale() -> None:
    def repeat(body: Any) -> None:
        for points in body.values():
            points[21][1] = points[20][1]

    rows = found(chart(changed(DAILY, repeat), "90"))["prices"]
    at = moment(json.loads(read(DAILY))["prices"][21][0])
    assert [row["observed_at"] for row in rows if row["flags"] == "stale"] == [at]


def test_a_repeated_price_alone_is_not_stale() -> None:
    def repeat(body: Any) -> None:
        body["prices"][21][1] = body["prices"][20][1]

    assert {row["flags"] for row in found(chart(changed(DAILY, repeat), "90"))["prices"]} == {""}


@pytest.mark.parametrize("name", [DAILY, HOURLY, BACKWARD, FORWARD])
def test_every_number_of_a_chart_is_the_recorded_one_to_the_last_bit(name: str) -> None:
    given = json.loads(read(name))
    columns = {"prices": "price_usd", "market_caps": "market_cap_usd", "total_volumes": "volume_24h_usd"}
    rows = {row["observed_at"]: row for row in found(recorded(name))["prices"]}
    for series, column in columns.items():
        superseded = 286 if name == BACKWARD else None
        expected = {moment(ms): value for place, (ms, value) in enumerate(given[series]) if place != superseded}
        assert {at: row[column] for at, row in rows.items()} == expected


@examples(10)
@given(st.lists(clean_charts(), min_size=1, max_size=6))
def test_a_chart_is_what_plain_python_reads_in_it(given: list[dict[str, list[list[Any]]]]) -> None:
    result = found(*(chart(body, "60") for body in given))
    for line, body in enumerate(given, start=1):
        rows = {row["observed_at"]: row for row in result["prices"] if row["line"] == line}
        points = {name: {moment(ms): value for ms, value in series} for name, series in body.items()}
        assert rows.keys() == set().union(*points.values())
        for at, row in rows.items():
            price, cap, volume = (points[name].get(at) for name in ("prices", "market_caps", "total_volumes"))
            assert row["price_usd"] == (float(price) if price else None)
            assert row["market_cap_usd"] == (float(cap) if cap else None)
            assert row["volume_24h_usd"] == (None if volume is None else float(volume))


# Traps of the market list --------------------------------------------------------------------------------------------

NUMBERS = {
    "current_price": "price_usd",
    "market_cap": "market_cap_usd",
    "fully_diluted_valuation": "fully_diluted_valuation_usd",
    "total_volume": "volume_24h_usd",
    "high_24h": "high_24h_usd",
    "low_24h": "low_24h_usd",
    "ath": "all_time_high_usd",
    "atl": "all_time_low_usd",
    "circulating_supply": "circulating_supply",
    "total_supply": "total_supply",
    "max_supply": "max_supply",
}


def test_tiny_and_huge_numbers_are_the_recorded_ones_to_the_last_bit() -> None:
    rows = {row["coin_id"]: row for row in found(market_page())["markets"]}
    given = json.loads(read(MARKETS))
    assert rows.keys() == {coin["id"] for coin in given}
    for coin in given:
        for name, column in NUMBERS.items():
            assert rows[coin["id"]][column] == (float(coin[name]) if coin[name] else None), (coin["id"], name)
        assert rows[coin["id"]]["rank"] == coin["market_cap_rank"]
    assert rows["shiba-inu"]["price_usd"] == 2.993e-05
    assert rows["shiba-inu"]["all_time_low_usd"] == 5.6e-11
    assert rows["shiba-inu"]["circulating_supply"] == 549149516403369.44


@examples(10)
@given(st.lists(st.floats(min_value=0, exclude_min=True, allow_infinity=False) | st.integers(1, 10**40), min_size=1))
def test_a_price_is_the_float_that_python_reads_in_the_same_bytes(values: list[float]) -> None:
    rows = [{"id": f"c{n}", "last_updated": "2022-01-31T00:00:00Z", "current_price": v} for n, v in enumerate(values)]
    read_back = {row["coin_id"]: row["price_usd"] for row in found(markets(rows))["markets"]}
    assert read_back == {f"c{n}": float(value) for n, value in enumerate(values)}


def test_a_cap_or_supply_of_zero_is_unknown() -> None:
    poken = next(row for row in found(market_page())["markets"] if row["coin_id"] == "poken")
    assert (poken["market_cap_usd"], poken["circulating_supply"]) == (None, None)
    assert poken["fully_diluted_valuation_usd"] == 242323926.0


def test_numbers_rounded_by_the_service_are_flagged() -> None:
    assert {row["flags"] for row in found(market_page())["markets"]} == {"rounded"}
    assert {row["flags"] for row in found(market_page(precision="full"))["markets"]} == {""}
    assert {row["flags"] for row in found(market_page(precision="2"))["markets"]} == {"rounded"}


def test_each_row_of_a_page_is_of_its_own_moment() -> None:
    rows = {row["coin_id"]: row["observed_at"] for row in found(market_page())["markets"]}
    given = {coin["id"]: datetime.fromisoformat(coin["last_updated"]) for coin in json.loads(read(MARKETS))}
    assert rows == given
    assert max(rows.values()) - min(rows.values()) > timedelta(minutes=2)


def test_a_circulating_supply_above_the_total_one_is_kept() -> None:
    usdc = next(row for row in found(market_page())["markets"] if row["coin_id"] == "usd-coin")
    assert usdc["circulating_supply"] > usdc["total_supply"] > 0


def test_a_coin_that_was_asked_for_and_did_not_come_is_named() -> None:
    name = "200__simple_price_ids_bitcoin_20ethereum_20litecoin_vs_currencies_usd_20myr_20eth.body.json"
    result = found(recorded(name))
    assert [row["coin_id"] for row in result["prices"]] == ["bitcoin"]
    assert sorted(row["coin_id"] for row in result.rejects if row["rule"] == "coin_missing") == ["ethereum", "litecoin"]


def test_a_coin_that_comes_twice_on_one_page_is_one_row_and_a_reject() -> None:
    coin = json.loads(read(MARKETS))[0]
    result = found(markets([coin, {**coin, "current_price": 5}], at=datetime(2022, 1, 6, 7, tzinfo=UTC)))
    assert [row["price_usd"] for row in result["markets"]] == [5.0]
    assert result.ruled("duplicated") == ["$[0]"]


def test_prices_in_another_currency_than_dollars_are_refused_as_a_whole() -> None:
    for name in ("200__coins_markets_ids_bitcoin_vs_currency_myr", "200__coins_bitcoin_ohlc_days_30_vs_currency_myr"):
        result = found(recorded(f"{name}.body.json"))
        assert not any(result.tables.values())
        assert result.ruled("not_usd") == ["$"]


# Traps of the list of coins ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "count"), [(LIST_2021, 7248), (LIST_2022, 11580)])
def test_dirty_and_colliding_symbols_are_kept_as_given_and_the_id_is_the_key(name: str, count: int) -> None:
    rows = found(coins_list(read(name)))["coins"]
    given = json.loads(read(name))
    assert len(rows) == count
    assert {row["coin_id"]: (row["symbol"], row["name"]) for row in rows} == {
        coin["id"]: (coin["symbol"], coin["name"]) for coin in given
    }
    if name == LIST_2022:
        assert sum(row["symbol"].lower() == "meta" for row in rows) == 11
        assert {"hdp.ф", "AVAX"} <= {row["symbol"] for row in rows}


@pytest.mark.slow
def test_ids_that_vanish_turn_inactive_and_keep_their_name() -> None:
    old, new = json.loads(read(LIST_2021)), json.loads(read(LIST_2022))
    still = {each["id"] for each in new}
    gone = [coin for coin in old if coin["id"] not in still]
    assert len(gone) == 1424
    stands = _coins_now(
        coins_list(old, at=NOW), coins_list(new, at=NOW + _DAY), coins_list(gone, "inactive", NOW + _DAY)
    )
    assert len(stands) == 11580 + 1424
    assert sum(not row["is_active"] for row in stands.values()) == 1424
    assert all(stands[coin["id"]]["name"] == coin["name"] for coin in gone)


def test_a_changed_name_is_the_newest_and_the_old_one_stays_an_observation() -> None:
    old = {coin["id"]: coin for coin in json.loads(read(LIST_2021))}
    new = {coin["id"]: coin for coin in json.loads(read(LIST_2022))}
    renamed = [coin_id for coin_id in old.keys() & new.keys() if old[coin_id]["name"] != new[coin_id]["name"]]
    assert len(renamed) == 59
    lists = coins_list(read(LIST_2022), at=NOW + _DAY), coins_list(read(LIST_2021), at=NOW)
    stands = _coins_now(*lists)
    observed = {(row["coin_id"], row["name"]) for row in found(*lists)["coins"]}
    for coin_id in renamed:
        assert stands[coin_id]["name"] == new[coin_id]["name"]
        assert {(coin_id, old[coin_id]["name"]), (coin_id, new[coin_id]["name"])} <= observed


_DAY = timedelta(days=1)


def _coins_now(*lists: Answer) -> dict[str, Row]:
    lines = [(f"{number}", 1, each) for number, each in enumerate(lists)]
    rows = next(each.rows for each in clean(lines, catalog.readers(), engine("duckdb")) if each.table is coins.TABLE)
    return {row["coin_id"]: row for row in newest(coins.TABLE, rows, "duckdb")}


def newest(table: Any, rows: Any, on: str) -> list[Row]:
    """The current view, in the order of its key."""
    runs_on = engine(on)
    con = connect()
    given = runs_on.arrow(current(table, runs_on.frame(rows), runs_on)).__arrow_c_stream__()  # noqa: F841 - DuckDB finds it
    return sorted(_dicts(con.sql("select * from given")), key=lambda row: [str(row[name]) for name in table.key])


# Traps of candles and of the whole market ----------------------------------------------------------------------------


def test_a_candle_is_of_the_moment_it_closes_and_an_unfinished_one_says_so() -> None:
    rows = sorted(found(recorded(CANDLES))["candles"], key=lambda row: row["closed_at"])
    given = json.loads(read(CANDLES))
    assert [[row[name] for name in candles_table.OHLC] for row in rows] == [candle[1:] for candle in given]
    assert [row["closed_at"] for row in rows] == [moment(candle[0]) for candle in given]
    assert {row["span"] for row in rows} == {"4h"}
    assert [row["flags"] for row in rows[:-1]] == [""] * (len(rows) - 1)
    assert rows[-1]["flags"] == "unfinished"
    assert rows[-1]["closed_at"] > rows[-1]["fetched_at"]


def test_a_candle_whose_high_does_not_hold_its_close_is_flagged_and_kept() -> None:
    rows = found(candles([[1643600000000, 10.0, 11.0, 9.0, 12.0], [1643601800000, 10.0, 11.0, 9.0, 10.5]]))["candles"]
    assert [row["flags"] for row in sorted(rows, key=lambda row: row["closed_at"])] == ["inconsistent", ""]


def test_the_whole_market_is_what_the_recorded_answer_says() -> None:
    name = "200__global.body.json"
    given = json.loads(read(name))["data"]
    (row,) = found(recorded(name))["global_market"]
    assert row["observed_at"] == moment(given["updated_at"] * 1000)
    assert (row["active_coins"], row["venues"]) == (given["active_cryptocurrencies"], given["markets"])
    assert row["total_market_cap_usd"] == given["total_market_cap"]["usd"]
    assert row["bitcoin_dominance_percent"] == given["market_cap_percentage"]["btc"]


# Time units ----------------------------------------------------------------------------------------------------------


def test_milliseconds_seconds_and_iso_texts_name_the_same_moment() -> None:
    ms = 1643600000000
    iso = moment(ms).isoformat().replace("+00:00", "Z")
    result = found(
        chart({"prices": [[ms, 1]], "market_caps": [], "total_volumes": []}),
        quick_look({"bitcoin": {"usd": 1, "last_updated_at": ms // 1000}}),
        markets([{"id": "bitcoin", "last_updated": iso}]),
        market_now({"data": {"updated_at": ms // 1000}}),
        candles([[ms, 1, 1, 1, 1]]),
    )
    moments = [row["observed_at"] for name in ("prices", "markets", "global_market") for row in result[name]]
    assert [*moments, result["candles"][0]["closed_at"]] == [moment(ms)] * 5


def test_a_day_first_date_is_never_taken_for_another_day() -> None:
    result = found(markets([{"id": "bitcoin", "last_updated": "03-02-2022"}]))
    assert not result["markets"]
    assert result.ruled("wrong_type") == ["$[0].last_updated"]


def test_seconds_where_milliseconds_belong_are_refused() -> None:
    result = found(chart({"prices": [[1643600000, 1.0]], "market_caps": [], "total_volumes": []}))
    assert not result["prices"]
    assert result.ruled("time_out_of_range") == ["$.prices[0][0]"]


@pytest.mark.parametrize("on", ENGINES)
def test_a_coin_that_no_query_could_name_is_refused(on: str) -> None:
    it = {"current_price": 1.0, "last_updated": "2022-02-01T00:40:00.000Z"}
    coins = [{"id": each, **it} for each in ("bit\0coin", "it's", "bitcoin")]
    result = found(markets(coins), on=on)
    assert {row["coin_id"] for row in result["markets"]} == {"it's", "bitcoin"}
    assert result.ruled("holds_nul") == ["$[0].id"]


def test_a_quick_look_without_a_time_is_of_the_moment_it_was_fetched() -> None:
    (row,) = found(recorded("200__simple_price_ids_bitcoin_vs_currencies_usd.body.json"))["prices"]
    assert (row["observed_at"], row["flags"], row["granularity"]) == (row["fetched_at"], "time_assumed", "spot")


# The same point with different numbers -------------------------------------------------------------------------------


@pytest.mark.parametrize("on", ENGINES)
def test_of_different_numbers_for_one_point_the_newest_known_one_counts(on: str) -> None:
    ms = 1643587200000

    def point(price: float | None, cap: float | None, volume: float | None) -> dict[str, list[list[Any]]]:
        return {"prices": [[ms, price]], "market_caps": [[ms, cap]], "total_volumes": [[ms, volume]]}

    given = [
        chart(point(1.0, 10.0, 100.0), "364", at=NOW - 3 * _DAY, interval="daily"),
        chart(point(2.0, 0, 50.0), "364", at=NOW - 2 * _DAY, interval="daily"),
        chart(point(None, 0.0, None), "364", at=NOW - _DAY, interval="daily"),
    ]
    for order in (given, given[::-1]):
        lines = [(f"coingecko/{each.fetched_at:%d}", 1, each) for each in order]
        rows = next(each.rows for each in clean(lines, catalog.readers(), engine(on)) if each.table is prices.TABLE)
        (now,) = newest(prices.TABLE, rows, on)
        assert (now["price_usd"], now["market_cap_usd"], now["volume_24h_usd"]) == (2.0, 10.0, 50.0)
        assert now["fetched_at"] == NOW - _DAY


# Schemas that drift --------------------------------------------------------------------------------------------------


def test_an_unknown_field_is_named_once_and_the_rest_is_used() -> None:
    given = [{**coin, "shiny": 1} for coin in json.loads(read(MARKETS))]
    result = found(markets(given, at=datetime(2022, 1, 6, 7, tzinfo=UTC)))
    assert len(result["markets"]) == len(given)
    assert result.ruled("unknown_field") == ["$[*].shiny"]


def test_a_missing_field_is_named_once_and_the_rest_is_used() -> None:
    given = [{name: coin[name] for name in coin if name != "market_cap"} for coin in json.loads(read(MARKETS))]
    result = found(markets(given, at=datetime(2022, 1, 6, 7, tzinfo=UTC)))
    assert len(result["markets"]) == len(given)
    assert {row["market_cap_usd"] for row in result["markets"]} == {None}
    assert result.ruled("missing_field") == ["$[*].market_cap"]


@pytest.mark.parametrize("value", ["42981", "abc", True, [1], {"usd": 1}])
def test_a_value_of_another_type_is_refused_alone(value: Any) -> None:
    given = json.loads(read(MARKETS))
    given[3]["current_price"] = value
    result = found(markets(given, at=datetime(2022, 1, 6, 7, tzinfo=UTC)))
    assert result.ruled("wrong_type") == ["$[3].current_price"]
    row = next(row for row in result["markets"] if row["coin_id"] == given[3]["id"])
    assert row["price_usd"] is None and row["market_cap_usd"] == given[3]["market_cap"]


@pytest.mark.parametrize("on", ENGINES)
def test_a_point_or_candle_that_is_too_short_is_refused_and_no_row(on: str) -> None:
    ms = 1643587200000
    body = {"prices": [[], [ms], [ms, None]], "market_caps": [[ms, 5.0]], "total_volumes": [[ms + 1]]}
    result = found(chart(body), candles([[ms], [ms, 1, 1, 1], [ms, 1, 1, 1, None]]), on=on)
    assert result.ruled("unexpected_shape") == ["$.prices[0]", "$.prices[1]", "$.total_volumes[0]", "$[0]", "$[1]"]
    assert {row["detail"] for row in result.rejects if row["path"] == "$.prices[1]"} == {
        "expected ARRAY of 2, got ARRAY of 1"
    }
    assert [(row["price_usd"], row["market_cap_usd"]) for row in result["prices"]] == [(None, 5.0)]
    assert [row["close_usd"] for row in result["candles"]] == [None]


@pytest.mark.parametrize("number", [b"1e999", b"-1e999"])
def test_a_number_that_no_float64_holds_is_refused_as_too_large(number: bytes) -> None:
    ms = 1643587200000
    body = b'{"prices":[[%d,%s]],"market_caps":[[%d,5.0]],"total_volumes":[[%d,5.0]]}' % (ms, number, ms, ms)
    result = found(chart(body))
    (reject,) = [row for row in result.rejects if row["path"] == "$.prices[0][1]"]
    assert (reject["rule"], reject["detail"]) == ("not_finite", "larger than a float64 can be")
    assert [(row["price_usd"], row["market_cap_usd"]) for row in result["prices"]] == [(None, 5.0)]


def test_a_value_out_of_its_range_is_refused_alone_and_named_by_its_place() -> None:
    given = json.loads(read(MARKETS))
    given[3]["current_price"] = -1
    given[4]["market_cap_rank"] = 1.5
    body = {"prices": [[1643600000000, -1.0]], "market_caps": [[1643600000000, 5.0]], "total_volumes": []}
    result = found(markets(given, at=datetime(2022, 1, 6, 7, tzinfo=UTC)), chart(body))
    assert result.ruled("out_of_range") == ["$.prices[0][1]", "$[3].current_price"]
    assert result.ruled("wrong_type") == ["$[4].market_cap_rank"]
    assert len(result["markets"]) == len(given)
    assert [(row["price_usd"], row["market_cap_usd"]) for row in result["prices"]] == [(None, 5.0)]


def test_a_row_without_what_it_cannot_do_without_is_refused_whole() -> None:
    result = found(
        markets([{"id": None, "last_updated": "2022-01-31T00:00:00Z"}, {"id": "x", "last_updated": None}]),
        chart({"prices": [[None, 1.0]], "market_caps": [], "total_volumes": []}),
        candles([[None, 1, 1, 1, 1]]),
        quick_look({"bitcoin": {"usd": None}}),
    )
    assert not any(result.tables.values())
    assert {"$[0].id", "$[1].last_updated", "$.prices[0][0]", "$[0][0]", '$."bitcoin".usd'} <= set(
        result.ruled("missing")
    )


def test_a_text_with_half_a_surrogate_is_no_json_that_anyone_agrees_on() -> None:
    result = found(markets(b'[{"id":"a","name":"\\ud800","last_updated":"2022-01-31T00:00:00Z"}]'))
    assert result.rules == {"not_json": 1}


@pytest.mark.slow
@pytest.mark.parametrize("on", ENGINES)
def test_every_body_at_every_endpoint_leads_to_rows_or_rejects(on: str) -> None:
    paths = {
        "coins_market_chart": "/coins/bitcoin/market_chart",
        "coins_market_chart_range": "/coins/bitcoin/market_chart/range",
        "coins_ohlc": "/coins/bitcoin/ohlc",
    }
    params = {"vs_currency": "usd", "vs_currencies": "usd", "days": "30", "ids": "bitcoin"}
    offered = [
        answer(endpoint, paths.get(endpoint, "/x"), params, body, status=status)
        for endpoint in (*catalog.readers(), "search_trending")
        for body in bodies()
        for status in (200, 500)
    ]
    result = found(*offered, on=on)
    assert result.lines == set(range(1, len(offered) + 1))
    assert result.rules.keys() <= RULES.keys()


@pytest.mark.parametrize("number", range(200, 600, 100))
def test_an_answer_that_is_not_ok_is_a_reject_that_holds_its_words(number: int) -> None:
    for path in sorted(ERRORS.glob(f"{number // 100}*")):
        status = int(path.name[:3])
        result = found(
            quick_look(path.read_bytes()), answer("coins_markets", "/x", {}, path.read_bytes(), status=status)
        )
        assert not any(result.tables.values())
        if status != 200:
            (reject,) = [row for row in result.rejects if row["line"] == 2]
            assert reject["rule"] == "not_ok" and f"status {status}" in reject["detail"]


# One definition, two engines -----------------------------------------------------------------------------------------


@cache
def told_on(on: str) -> dict[str, list[str]]:
    return found(*every_recorded(), on=on).told()


@pytest.mark.slow
def test_both_engines_make_the_same_of_every_recorded_body() -> None:
    assert told_on("duckdb") == told_on("pandas")
    assert {"silver.prices", "silver.markets", "silver.candles", "silver.coins", "rejects"} <= told_on("duckdb").keys()


@pytest.mark.slow
@pytest.mark.parametrize("on", ENGINES)
def test_the_time_zone_of_the_machine_changes_nothing(on: str) -> None:
    code = f"import json, test_silver; print(json.dumps(test_silver.told_on({on!r})))"
    here = Path(__file__).parent
    places = os.pathsep.join([str(here), str(here.parent / "src")])
    environment = {**os.environ, "TZ": "Pacific/Honolulu", "PYTHONPATH": places, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=here, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == told_on(on)


@pytest.mark.slow
@examples(10)
@given(st.lists(answers, min_size=1, max_size=8))
def test_both_engines_make_the_same_of_any_answers(given: list[Answer]) -> None:
    assert found(*given).told() == found(*given, on="pandas").told()


@examples(10)
@given(st.lists(answers, min_size=1, max_size=8))
def test_no_answer_whatever_it_holds_stops_a_run(given: list[Answer]) -> None:
    result = found(*given)
    assert result.rules.keys() <= RULES.keys()
    assert result.lines <= set(range(1, len(given) + 1))


@examples(10)
@given(st.lists(garbage, min_size=1, max_size=6), st.sampled_from(sorted(catalog.readers())))
def test_no_body_whatever_it_is_stops_a_run(bodies: Iterable[Any], endpoint: str) -> None:
    params = {"vs_currency": "usd", "vs_currencies": "usd", "days": "1", "ids": "bitcoin"}
    result = found(*(answer(endpoint, "/coins/bitcoin/x", params, body) for body in bodies))
    assert result.rules.keys() <= RULES.keys()


@pytest.mark.slow
@examples(5)
@given(st.lists(answers, min_size=2, max_size=6), st.randoms())
def test_answers_are_read_each_by_itself(given: list[Answer], random: Any) -> None:
    together = list(given)
    random.shuffle(together)
    assert Counter(_without_line(found(*together))) == alone(given)


def alone(given: Iterable[Answer]) -> Counter[str]:
    return sum((Counter(_without_line(found(each))) for each in given), Counter())


def _without_line(result: Found) -> list[str]:
    rows = [(name, row) for name, rows in {**result.tables, "rejects": result.rejects}.items() for row in rows]
    return [repr((name, {key: row[key] for key in row if key != "line"})) for name, row in rows]
