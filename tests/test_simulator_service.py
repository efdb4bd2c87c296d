"""The simulated service: CoinGecko's paths, shapes, limits, headers and errors, and all that is odd about it."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coinlake.errors import ConfigError
from coinlake.simulator import Options, Running, running, serve
from coinlake.simulator.clock import Clock, iso
from coinlake.simulator.faults import DRIFT, TRANSPORT, Faults
from coinlake.simulator.paths import DAY_MS
from coinlake.simulator.plans import PLANS
from coinlake.simulator.printing import number, rounded, text
from coinlake.simulator.traps import TRAPS, none
from lakes import Program, bronze_lines, differences, opened
from strategies import EXAMPLES

NOW = "2022-02-01T00:45:00Z"
NOW_MS = 1_643_676_300_000
HOUR_MS = 3_600_000
USD = {"vs_currency": "usd"}
FULL = {**USD, "precision": "full"}
HORIZONS = "1h,24h,7d,14d,30d,200d,1y"


@contextmanager
def asking(**options: Any) -> Iterator[tuple[Running, httpx.Client]]:
    """A simulator whose clock stands at NOW, and a client of it."""
    with (
        running(Options(**{"coins": 60, "now": NOW, "speed": 0, **options})) as run,
        httpx.Client(base_url=run.url, timeout=30) as client,
    ):
        yield run, client


@pytest.fixture(scope="module")
def plain() -> Iterator[tuple[Running, httpx.Client]]:
    """A service without dirt."""
    with asking(traps=none(), coins=250) as both:
        yield both


@pytest.fixture(scope="module")
def dirty() -> Iterator[tuple[Running, httpx.Client]]:
    """A service as it is by itself."""
    with asking(coins=250) as both:
        yield both


def got(client: httpx.Client, path: str, **params: str) -> Any:
    """The JSON of a good answer."""
    answer = client.get(path, params=params)
    assert answer.status_code == 200, (path, params, answer.text)
    return answer.json()


def set_clock(run: Running, now: str) -> None:
    """Set the service's clock."""
    assert httpx.post(run.clock_url, params={"now": now}).status_code == 200


# Shapes --------------------------------------------------------------------------------------------------------------

CALLS: list[tuple[str, str, dict[str, str]]] = [
    ("/ping", "/ping", {}),
    ("/coins/list", "/coins/list", {}),
    ("/coins/list", "/coins/list", {"include_platform": "true"}),
    ("/coins/list", "/coins/list", {"status": "inactive"}),
    ("/coins/markets", "/coins/markets", USD),
    ("/coins/markets", "/coins/markets", {**FULL, "per_page": "250", "price_change_percentage": HORIZONS}),
    ("/coins/markets", "/coins/markets", {**USD, "sparkline": "true", "include_rehypothecated": "true"}),
    ("/coins/{id}/market_chart", "/coins/sim-bitcoin/market_chart", {**USD, "days": "1"}),
    ("/coins/{id}/market_chart", "/coins/sim-dogecoin/market_chart", {**USD, "days": "90"}),
    ("/coins/{id}/market_chart", "/coins/sim-picomoon/market_chart", {**FULL, "days": "364", "interval": "daily"}),
    (
        "/coins/{id}/market_chart/range",
        "/coins/sim-bitcoin/market_chart/range",
        {**USD, "from": "1640995200", "to": "1643000000"},
    ),
    ("/coins/{id}/ohlc", "/coins/sim-bitcoin/ohlc", {**USD, "days": "7"}),
    ("/coins/{id}/ohlc", "/coins/sim-shiba-inu/ohlc", {**USD, "days": "365"}),
    (
        "/simple/price",
        "/simple/price",
        {
            "ids": "sim-bitcoin,sim-picomoon",
            "vs_currencies": "usd,eur",
            "include_market_cap": "true",
            "include_24hr_vol": "true",
            "include_24hr_change": "true",
            "include_last_updated_at": "true",
        },
    ),
    ("/global", "/global", {}),
    ("/coins/categories", "/coins/categories", {}),
    ("/search/trending", "/search/trending", {}),
]


def schema_of(shared: Path, which: str, path: str) -> dict[str, Any]:
    """The official JSON schema of a path's answer, with `nullable` as JSON Schema says it."""
    described = json.loads((shared / "coingecko" / "openapi" / f"{which}-api.json").read_text())
    schema = described["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    resolved: dict[str, Any] = _nullable({**schema, "components": described["components"]})
    return resolved


def _nullable(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_nullable(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _nullable(each) for name, each in schema.items()}
    if made.get("nullable") is True and "type" in made:
        made["type"] = [made["type"], "null"]
    return made


def complaints(body: Any, schema: Mapping[str, Any]) -> list[str]:
    """Where a body breaks a schema."""
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed: the shapes are judged by it")
    found = jsonschema.Draft202012Validator(schema).iter_errors(body)
    return [f"{'/'.join(map(str, each.absolute_path))}: {each.message}" for each in found]


@pytest.mark.parametrize(("path", "asked", "params"), CALLS, ids=[f"{c[1]}?{c[2]}" for c in CALLS])
def test_every_answer_is_as_officially_described(
    shared: Path, dirty: tuple[Running, httpx.Client], path: str, asked: str, params: dict[str, str]
) -> None:
    found = complaints(got(dirty[1], asked, **params), schema_of(shared, "demo", path))
    # The real service breaks its own description with nulls inside series, and so do we.
    assert [each for each in found if not each.startswith("market_caps/")] == []


def test_a_null_in_a_series_is_the_exception_that_is_documented(shared: Path) -> None:
    with asking(traps={"null_in_series": 0.2, "missing_points": 0}) as (_, client):
        body = got(client, "/coins/sim-bitcoin/market_chart", **USD, days="30")
    found = complaints(body, schema_of(shared, "demo", "/coins/{id}/market_chart"))
    assert found and all(each.startswith("market_caps/") and "None is not of type" in each for each in found)


def test_answers_to_paying_customers_are_as_officially_described(shared: Path) -> None:
    headers = {"x-cg-pro-api-key": "k"}
    with asking(plan="analyst") as (run, _), httpx.Client(base_url=run.url, headers=headers) as client:
        assert complaints(got(client, "/key"), schema_of(shared, "pro", "/key")) == []
        for interval, days in (("daily", 180), ("hourly", 31)):
            start = str(NOW_MS // 1000 - days * 86_400)
            asked = {**USD, "from": start, "to": str(NOW_MS // 1000), "interval": interval}
            body = got(client, "/coins/sim-bitcoin/ohlc/range", **asked)
            assert complaints(body, schema_of(shared, "pro", "/coins/{id}/ohlc/range")) == []
            assert len(body) == {"daily": days, "hourly": days * 24}[interval] + 1
        whole = got(client, "/coins/sim-bitcoin/market_chart", **USD, days="max")
        assert whole["prices"][0][0] < NOW_MS - 8 * 365 * DAY_MS


RECORDED: list[tuple[str, str, dict[str, str]]] = [
    ("200__coins_bitcoin_market_chart_days_1_vs_currency_usd", "/coins/sim-bitcoin/market_chart", {"days": "1"}),
    ("200__coins_bitcoin_market_chart_days_30_vs_currency_usd", "/coins/sim-bitcoin/market_chart", {"days": "30"}),
    ("200__coins_bitcoin_ohlc_days_7_vs_currency_usd", "/coins/sim-bitcoin/ohlc", {"days": "7"}),
    ("200__coins_bitcoin_ohlc_days_30_vs_currency_myr", "/coins/sim-bitcoin/ohlc", {"days": "30"}),
    ("200__coins_list_include_contract_address_false", "/coins/list", {}),
    ("200__global", "/global", {}),
    ("200__coins_categories", "/coins/categories", {}),
    ("200__search_trending", "/search/trending", {}),
    ("200__simple_price_ids_bitcoin_vs_currencies_usd", "/simple/price", {"vs_currencies": "usd"}),
]


def shape(value: Any) -> Any:
    """Keys and JSON types of a value; of an array, of the union of its elements; whole or not is one type."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_union([shape(each) for each in value])]
    return "number" if type(value) in (int, float) else type(value).__name__


def _union(shapes: list[Any]) -> Any:
    if shapes and all(isinstance(each, dict) for each in shapes):
        keys = {key for each in shapes for key in each}
        return {key: _union([each[key] for each in shapes if key in each]) for key in sorted(keys)}
    if shapes and all(isinstance(each, list) for each in shapes):
        return [_union([inner for each in shapes for inner in each])]
    return "|".join(sorted({each if isinstance(each, str) else "object" for each in shapes} - {"NoneType"}))


def lacks(real: Any, made: Any, place: str = "$") -> list[str]:
    """What a real body's shape has that the made one has not, or has otherwise."""
    if isinstance(real, dict) and isinstance(made, dict):
        found = [f"{place}.{key}" for key in sorted(set(real) - set(made))]
        return found + [each for key in set(real) & set(made) for each in lacks(real[key], made[key], f"{place}.{key}")]
    if isinstance(real, list) and isinstance(made, list):
        return lacks(real[0], made[0], f"{place}[]")
    return [] if real == made or "" in (real, made) else [f"{place}: {real} became {made}"]


@pytest.mark.parametrize(("recorded", "asked", "params"), RECORDED, ids=[each[0] for each in RECORDED])
def test_an_answer_has_the_shape_of_the_recorded_one(
    shared: Path, dirty: tuple[Running, httpx.Client], recorded: str, asked: str, params: dict[str, str]
) -> None:
    real = json.loads((shared / "coingecko" / "recordings" / f"{recorded}.body.json").read_text())
    made = got(dirty[1], asked, **({"ids": "sim-bitcoin"} if "vs_currencies" in params else USD), **params)
    if "simple" in asked:
        made = {"bitcoin": made["sim-bitcoin"]}
    found = lacks(shape(real), shape(made))
    # Of the many currencies of the real totals we have ten; a share is of whatever ten coins are the largest; and
    # what people look for has had no exchanges since.
    assert [each for each in found if not any(name in each for name in ("total_", "_percentage", "exchanges"))] == []


def test_rows_of_the_market_list_have_the_keys_types_and_order_of_the_recorded_ones(
    shared: Path, dirty: tuple[Running, httpx.Client]
) -> None:
    real = json.loads((shared / "coingecko" / "recordings" / "coins_markets__57_ids__2022-01-06.json").read_text())
    made = got(dirty[1], "/coins/markets", **USD, per_page="250")
    usual = list(made[0])
    assert [key for key in real[0] if key in usual] == usual
    assert lacks(shape([{k: row[k] for k in usual} for row in real]), shape(made)) == []


# One market ----------------------------------------------------------------------------------------------------------


def test_the_same_instant_has_the_same_price_in_every_endpoint(dirty: tuple[Running, httpx.Client]) -> None:
    run, client = dirty
    names = run.simulated.router.service.names
    for row in got(client, "/coins/markets", **FULL, per_page="40"):
        at = round(datetime.fromisoformat(row["last_updated"].replace("Z", "+00:00")).timestamp() * 1000)
        price = row["current_price"]
        coin = names.coin(row["id"])
        assert coin is not None
        assert price == run.market.prices(coin, [at])[0]
        simple = got(
            client, "/simple/price", ids=row["id"], vs_currencies="usd", precision="full",
            include_last_updated_at="true",
        )[row["id"]]  # fmt: skip
        assert (simple["usd"], simple["last_updated_at"] * 1000) == (price, at)
        chart = got(client, f"/coins/{row['id']}/market_chart", **FULL, days="2")
        assert [at, price] in chart["prices"]
        assert row["low_24h"] <= price <= row["high_24h"]
        assert row["atl"] <= row["low_24h"] and row["high_24h"] <= row["ath"]


def test_all_charts_agree_wherever_they_overlap(dirty: tuple[Running, httpx.Client]) -> None:
    run, client = dirty
    for coin, id_ in ((0, "sim-bitcoin"), (19, "sim-picomoon")):
        points = {}
        for days, interval in (("1", None), ("30", None), ("60", None), ("364", "daily")):
            params = {**FULL, "days": days, **({"interval": interval} if interval else {})}
            for moment, price in got(client, f"/coins/{id_}/market_chart", **params)["prices"]:
                assert points.setdefault(moment, price) == price or moment == max(points)
        times = sorted(points)[:-3]
        assert [points[each] for each in times] == run.market.prices(coin, times).tolist()


def test_a_chart_is_the_same_however_its_window_is_split(dirty: tuple[Running, httpx.Client]) -> None:
    _, client = dirty
    path, start = "/coins/sim-ethereum/market_chart/range", NOW_MS // 1000 - 80 * 86_400
    edges = [start, start + 9 * 86_400 + 1234, start + 50 * 86_400, start + 75 * 86_400]
    whole = got(client, path, **FULL, **{"from": str(edges[0]), "to": str(edges[-1])})["prices"]
    parts = [
        point
        for first, last in pairwise(edges)
        for point in got(client, path, **FULL, **{"from": str(first), "to": str(last)})["prices"]
    ]
    assert whole == parts


def test_a_finished_candle_closes_at_the_price_of_its_end_and_holds_its_extremes(
    dirty: tuple[Running, httpx.Client],
) -> None:
    run, client = dirty
    for days, hours in (("1", 0.5), ("7", 4), ("30", 4), ("90", 96), ("365", 96)):
        rows = got(client, "/coins/sim-solana/ohlc", **FULL, days=days)
        *finished, running_one = rows
        assert {b[0] - a[0] for a, b in pairwise(rows)} == {hours * HOUR_MS}
        times = [row[0] for row in finished]
        assert [row[4] for row in finished] == run.market.prices(5, times).tolist()
        assert all(row[3] <= min(row[1], row[4]) <= max(row[1], row[4]) <= row[2] for row in rows)
        assert all(after[1] != before[4] for before, after in pairwise(finished))
        assert running_one[0] > NOW_MS >= times[-1]


def test_a_rank_is_the_place_by_market_cap(dirty: tuple[Running, httpx.Client]) -> None:
    rows = got(dirty[1], "/coins/markets", **FULL, per_page="250")
    assert len(rows) > 240 and rows[0]["id"] == "sim-bitcoin"
    ranked = [row for row in rows if row["market_cap_rank"] is not None]
    assert [row["market_cap_rank"] for row in ranked] == list(range(1, len(ranked) + 1))
    assert rows[: len(ranked)] == ranked  # the others stand at the end
    assert len(ranked) < len(rows)


# What can be asked of the lists --------------------------------------------------------------------------------------


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["id"] for row in rows]


def test_pages_of_the_market_list_make_up_the_whole(plain: tuple[Running, httpx.Client]) -> None:
    _, client = plain
    whole = ids(got(client, "/coins/markets", **USD, per_page="250"))
    pages = [ids(got(client, "/coins/markets", **USD, per_page="60", page=str(page))) for page in range(1, 7)]
    assert [id_ for page in pages for id_ in page] == whole
    assert pages[-1] == []
    assert len(got(client, "/coins/markets", **USD)) == 100
    assert len(got(client, "/coins/markets", **USD, per_page="1000")) == len(whole)


def test_the_market_list_comes_in_the_order_asked_for(plain: tuple[Running, httpx.Client]) -> None:
    _, client = plain
    for field, key in (("market_cap", "market_cap"), ("volume", "total_volume"), ("id", "id")):
        for way in ("asc", "desc"):
            rows = got(client, "/coins/markets", **USD, order=f"{field}_{way}", per_page="20")
            values = [row[key] for row in rows]
            same_moment = sorted(values, reverse=way == "desc")
            # Caps and volumes are of each row's last update, the order of one moment: neighbours may be a hair apart.
            assert key != "id" or values == same_moment
            assert all(a == b or abs(a / b - 1) < 0.05 for a, b in zip(values, same_moment, strict=True) if key != "id")


def test_coins_can_be_asked_for_by_id_name_symbol_and_category(plain: tuple[Running, httpx.Client]) -> None:
    _, client = plain
    assert ids(got(client, "/coins/markets", **USD, ids="sim-ethereum,sim-bitcoin,nobody")) == [
        "sim-bitcoin",
        "sim-ethereum",
    ]
    assert ids(got(client, "/coins/markets", **USD, names="Simulated Bitcoin")) == ["sim-bitcoin"]
    assert ids(got(client, "/coins/markets", **USD, symbols="btc,eth")) == ["sim-bitcoin", "sim-ethereum"]
    memes = ids(got(client, "/coins/markets", **USD, category="sim-meme-token"))
    assert "sim-dogecoin" in memes and "sim-bitcoin" not in memes
    assert got(client, "/simple/price", ids="nobody", vs_currencies="usd") == {}
    assert got(client, "/simple/price", ids="sim-bitcoin", vs_currencies="ethereum") == {"sim-bitcoin": {}}
    assert set(got(client, "/simple/price", symbols="btc", vs_currencies="usd,eth")["sim-bitcoin"]) == {"usd", "eth"}
    assert client.get("/coins/markets", params={**USD, "category": "nothing"}).status_code == 404


def test_one_symbol_may_be_that_of_many_coins(plain: tuple[Running, httpx.Client]) -> None:
    _, client = plain
    listed = got(client, "/coins/list")
    symbols = [row["symbol"] for row in listed]
    shared_by_some = next(each for each in symbols if symbols.count(each) > 1)
    every = got(client, "/coins/markets", **USD, symbols=shared_by_some, include_tokens="all")
    assert len(every) == symbols.count(shared_by_some)
    assert len(got(client, "/coins/markets", **USD, symbols=shared_by_some)) == 1


def test_what_cost_most_and_least_holds_what_every_other_answer_tells(dirty: tuple[Running, httpx.Client]) -> None:
    _, client = dirty
    for row in got(client, "/coins/markets", **FULL, per_page="30"):
        chart = f"/coins/{row['id']}/market_chart"
        day = [price for _, price in got(client, chart, **FULL, days="1")["prices"]]
        hours = [price for _, price in got(client, chart, **FULL, days="90")["prices"]]
        days = [price for _, price in got(client, chart, **FULL, days="364", interval="daily")["prices"]]
        assert row["low_24h"] <= min(day) and max(day) <= row["high_24h"], row["id"]
        assert row["atl"] <= min(*days, row["low_24h"]) and max(*days, row["high_24h"]) <= row["ath"], row["id"]
        assert row["atl"] <= min(hours) and max(hours) <= row["ath"], row["id"]


def test_an_id_may_come_percent_encoded(plain: tuple[Running, httpx.Client]) -> None:
    asked = "/market_chart?vs_currency=usd&days=7"
    with closing(HTTPConnection(plain[0].url.split("/")[2])) as connection:
        bodies = []
        for id_ in ("sim-bitcoin", "sim%2Dbitcoin", "%73im-bitcoin"):
            connection.request("GET", f"/api/v3/coins/{id_}{asked}")
            bodies.append(connection.getresponse().read())
    assert bodies[0] == bodies[1] == bodies[2] and b"prices" in bodies[0]


def test_active_and_inactive_coins_are_listed_apart(dirty: tuple[Running, httpx.Client]) -> None:
    _, client = dirty
    active, gone = (set(ids(got(client, "/coins/list", status=each))) for each in ("active", "inactive"))
    assert not active & gone and len(gone) > 20
    assert active == set(ids(got(client, "/coins/list")))
    assert client.get(f"/coins/{sorted(gone)[0]}/market_chart", params={**USD, "days": "1"}).status_code == 404


def test_young_coins_lack_what_they_are_too_young_for(plain: tuple[Running, httpx.Client]) -> None:
    run, client = plain
    rows = {
        row["id"]: row for row in got(client, "/coins/markets", **USD, per_page="250", price_change_percentage=HORIZONS)
    }
    born = run.market.universe.born_ms
    names = run.simulated.router.service.names
    young = [coin for coin in run.market.active(NOW_MS).tolist() if born[coin] > NOW_MS - 300 * DAY_MS]
    assert young
    for coin in young:
        row = rows[names.id(coin)]
        assert row["price_change_percentage_1y_in_currency"] is None
        assert (row["price_change_percentage_200d_in_currency"] is None) == (born[coin] > NOW_MS - 200 * DAY_MS)


def test_prices_come_in_other_currencies_and_decimals(plain: tuple[Running, httpx.Client]) -> None:
    _, client = plain
    (usd,) = got(client, "/coins/markets", **FULL, ids="sim-ethereum")
    (eur,) = got(client, "/coins/markets", vs_currency="eur", precision="full", ids="sim-ethereum")
    assert eur["current_price"] == usd["current_price"] * 0.92
    (btc,) = got(client, "/coins/markets", vs_currency="btc", precision="full", ids="sim-bitcoin")
    assert btc["current_price"] == pytest.approx(1, rel=1e-12)
    for precision, decimals in (("0", 0), ("2", 2), ("7", 7)):
        (row,) = got(client, "/coins/markets", **USD, precision=precision, ids="sim-ethereum")
        assert row["current_price"] == round(usd["current_price"], decimals)
    chart = got(client, "/coins/sim-ethereum/market_chart", **USD, days="90", interval="daily", precision="2")
    assert all(price == round(price, 2) for _, price in chart["prices"])
    assert client.get("/coins/markets", params={"vs_currency": "nonsense"}).status_code == 400


# Granularity ---------------------------------------------------------------------------------------------------------


def steps(body: dict[str, Any]) -> list[float]:
    """Minutes between the points of a chart."""
    times = [moment for moment, _ in body["prices"]]
    return [(after - before) / 60_000 for before, after in pairwise(times)]


@pytest.mark.parametrize(
    ("days", "interval", "minutes", "points"),
    [
        ("1", None, 5, 288),
        ("2", None, 60, 48),
        ("30", None, 60, 720),
        ("90", None, 60, 2160),
        ("91", None, 1440, 91),
        ("364", None, 1440, 364),
        ("5", "daily", 1440, 5),
        ("1", "hourly", 60, 24),
    ],
)
def test_the_length_of_a_chart_decides_its_step(
    dirty: tuple[Running, httpx.Client], days: str, interval: str | None, minutes: float, points: int
) -> None:
    params = {**USD, "days": days, **({"interval": interval} if interval else {})}
    body = got(dirty[1], "/coins/sim-bitcoin/market_chart", **params)
    assert np.median(steps(body)) == pytest.approx(minutes, rel=0.05)
    assert abs(len(body["prices"]) - points) <= 3


def test_a_range_of_an_old_day_comes_hourly(dirty: tuple[Running, httpx.Client]) -> None:
    client, now = dirty[1], NOW_MS // 1000
    ranges = [(now - 86_400, now, 5), (now - 10 * 86_400, now - 9 * 86_400, 60), (now - 100 * 86_400, now, 1440)]
    for first, last, minutes in ranges:
        body = got(client, "/coins/sim-bitcoin/market_chart/range", **USD, **{"from": str(first), "to": str(last)})
        assert np.median(steps(body)) == pytest.approx(minutes, rel=0.05)
        assert all(first * 1000 <= moment <= last * 1000 for moment, _ in body["prices"])


def test_daily_points_lie_at_midnight_and_the_last_point_is_of_now(dirty: tuple[Running, httpx.Client]) -> None:
    body = got(dirty[1], "/coins/sim-dai/market_chart", **USD, days="364", interval="daily")
    *midnights, now = [moment for moment, _ in body["prices"]]
    assert [moment % DAY_MS for moment in midnights] == [0] * 364
    assert midnights[-1] == NOW_MS - NOW_MS % DAY_MS
    assert NOW_MS - 180_000 < now <= NOW_MS


@pytest.mark.parametrize(
    ("now", "chart", "ranged", "candle"),
    [
        ("2022-02-01T00:05:00Z", False, False, False),
        ("2022-02-01T00:11:00Z", True, False, False),
        ("2022-02-01T00:41:00Z", True, True, True),
    ],
)
def test_a_finished_day_appears_when_the_service_has_it(now: str, chart: bool, ranged: bool, candle: bool) -> None:
    midnight = NOW_MS - NOW_MS % DAY_MS
    with asking(now=now) as (_, client):
        charted = got(client, "/coins/sim-bitcoin/market_chart", **USD, days="100", interval="daily")["prices"]
        start, end = str(midnight // 1000 - 100 * 86_400), str(midnight // 1000 + 60)
        long = got(client, "/coins/sim-bitcoin/market_chart/range", **USD, **{"from": start, "to": end})["prices"]
        candles = got(client, "/coins/sim-bitcoin/ohlc", **USD, days="7")
    assert (midnight in [moment for moment, _ in charted]) is chart
    assert (midnight in [moment for moment, _ in long]) is ranged
    assert (midnight in [row[0] for row in candles]) is candle


# Plans, errors, limits -----------------------------------------------------------------------------------------------

PRO, DEMO = {"x-cg-pro-api-key": "key"}, {"x-cg-demo-api-key": "key"}
YEAR = {**USD, "from": str(NOW_MS // 1000 - 300 * 86_400), "to": str(NOW_MS // 1000)}
MONTH_OF_2018 = {**USD, "from": "1519862400", "to": "1522540800"}
LONG_AGO = {**USD, "from": str(NOW_MS // 1000 - 800 * 86_400), "to": str(NOW_MS // 1000)}


@pytest.mark.parametrize(
    ("plan", "headers", "path", "params", "status", "code"),
    [
        ("keyless", {}, "/ping", {}, 200, None),
        ("keyless", PRO, "/ping", {}, 400, 10010),
        ("demo", DEMO, "/ping", {}, 200, None),
        ("demo", {}, "/ping", {}, 200, None),
        ("demo", PRO, "/ping", {}, 400, 10010),
        ("demo", {}, "/ping", {"x_cg_pro_api_key": "key"}, 400, 10010),
        ("basic", {}, "/ping", {}, 401, 10002),
        ("basic", DEMO, "/ping", {}, 400, 10011),
        ("basic", PRO, "/ping", {}, 200, None),
        ("basic", {}, "/ping", {"x_cg_pro_api_key": "key"}, 200, None),
        ("keyless", {}, "/key", {}, 401, 10005),
        ("demo", DEMO, "/key", {}, 401, 10005),
        ("lite", PRO, "/key", {}, 200, None),
        ("demo", DEMO, "/coins/sim-bitcoin/ohlc/range", {}, 401, 10005),
        ("demo", DEMO, "/coins/sim-bitcoin/market_chart", {**USD, "days": "365"}, 200, None),
        ("demo", DEMO, "/coins/sim-bitcoin/market_chart", {**USD, "days": "366"}, 401, 10012),
        ("demo", DEMO, "/coins/sim-bitcoin/market_chart", {**USD, "days": "max"}, 401, 10012),
        ("keyless", {}, "/coins/sim-bitcoin/market_chart/range", LONG_AGO, 401, 10012),
        ("basic", PRO, "/coins/sim-bitcoin/market_chart", {**USD, "days": "700"}, 200, None),
        ("basic", PRO, "/coins/sim-bitcoin/market_chart/range", LONG_AGO, 401, 10012),
        ("analyst", PRO, "/coins/sim-bitcoin/market_chart/range", LONG_AGO, 200, None),
        ("analyst", PRO, "/coins/sim-bitcoin/market_chart", {**USD, "days": "1", "interval": "5m"}, 401, 10005),
        ("enterprise", PRO, "/coins/sim-bitcoin/market_chart", {**USD, "days": "3", "interval": "5m"}, 200, None),
        ("enterprise", PRO, "/coins/sim-bitcoin/market_chart", {**USD, "days": "11", "interval": "5m"}, 400, None),
        ("analyst", PRO, "/coins/sim-bitcoin/market_chart", {**USD, "days": "100", "interval": "hourly"}, 200, None),
        ("analyst", PRO, "/coins/sim-bitcoin/market_chart", {**USD, "days": "101", "interval": "hourly"}, 400, None),
        ("analyst", PRO, "/coins/sim-bitcoin/market_chart/range", {**YEAR, "interval": "hourly"}, 400, None),
        ("analyst", PRO, "/coins/sim-bitcoin/market_chart/range", {**YEAR, "interval": "daily"}, 200, None),
        ("basic", PRO, "/coins/sim-bitcoin/ohlc", {**USD, "days": "365"}, 200, None),
        ("basic", PRO, "/coins/sim-bitcoin/ohlc", {**USD, "days": "max"}, 401, 10012),
        ("basic", PRO, "/coins/sim-bitcoin/ohlc/range", {**MONTH_OF_2018, "interval": "hourly"}, 401, 10012),
        ("analyst", PRO, "/coins/sim-bitcoin/ohlc/range", {**MONTH_OF_2018, "interval": "hourly"}, 200, None),
        ("analyst", PRO, "/coins/sim-bitcoin/ohlc", {**USD, "days": "max"}, 200, None),
        ("analyst", PRO, "/coins/sim-bitcoin/ohlc", {**USD, "days": "90", "interval": "hourly"}, 200, None),
        ("analyst", PRO, "/coins/sim-bitcoin/ohlc", {**USD, "days": "180", "interval": "hourly"}, 400, None),
        ("analyst", PRO, "/coins/sim-bitcoin/ohlc", {**USD, "days": "180", "interval": "daily"}, 200, None),
        ("analyst", PRO, "/coins/sim-bitcoin/ohlc", {**USD, "days": "365", "interval": "daily"}, 400, None),
        ("analyst", PRO, "/coins/sim-bitcoin/ohlc", {**USD, "days": "max", "interval": "daily"}, 400, None),
        ("demo", {}, "/coins/markets", {**USD, "ids": ",".join(["sim-bitcoin"] * 250)}, 200, None),
        ("demo", {}, "/coins/markets", {**USD, "ids": ",".join(["sim-bitcoin"] * 251)}, 400, None),
        ("demo", {}, "/coins/sim-bitcoin/ohlc", {**USD, "days": "7", "interval": "daily"}, 401, 10005),
        ("demo", {}, "/coins/nobody/market_chart", {**USD, "days": "1"}, 404, None),
        ("demo", {}, "/coins/sim-bitcoin/market_chart", {}, 422, None),
        ("demo", {}, "/coins/sim-bitcoin/market_chart", USD, 422, None),
        ("demo", {}, "/coins/sim-bitcoin/market_chart", {**USD, "days": "soon"}, 400, None),
        ("demo", {}, "/coins/sim-bitcoin/market_chart", {**USD, "days": "1", "interval": "weekly"}, 400, None),
        ("demo", {}, "/coins/sim-bitcoin/market_chart/range", {**USD, "from": "x", "to": "2"}, 400, None),
        ("demo", {}, "/coins/sim-bitcoin/ohlc", {}, 500, None),
        ("demo", {}, "/coins/sim-bitcoin/ohlc", {**USD, "days": "8"}, 400, None),
        ("demo", {}, "/coins/markets", {}, 422, None),
        ("demo", {}, "/coins/markets", {**USD, "per_page": "0"}, 400, None),
        ("demo", {}, "/coins/markets", {**USD, "order": "beauty"}, 400, None),
        ("demo", {}, "/coins/markets", {**USD, "precision": "19"}, 400, None),
        ("demo", {}, "/coins/list", {"status": "asleep"}, 400, None),
        ("demo", {}, "/coins/categories", {"order": "beauty"}, 400, None),
        ("demo", {}, "/simple/price", {}, 422, None),
        ("demo", {}, "/simple/price", {"ids": "sim-bitcoin"}, 422, None),
        ("demo", {}, "/nothing/here", {}, 404, None),
    ],
)
def test_each_plan_refuses_what_the_real_one_refuses(
    plan: str, headers: dict[str, str], path: str, params: dict[str, str], status: int, code: int | None
) -> None:
    with asking(plan=plan) as (_, client):
        answer = client.get(path, params=params, headers=headers)
    body = answer.json()
    assert answer.status_code == status, answer.text
    assert answer.headers["x-coinlake-simulated"].startswith("seed=")
    inner = body.get("error", body) if isinstance(body, dict) else {}
    said = inner.get("status") if isinstance(inner, dict) else None
    assert (said.get("error_code") if isinstance(said, dict) else None) == code


def test_five_minute_series_begin_in_2018() -> None:
    around = {**USD, "from": "2018-02-06", "to": "2018-02-11", "interval": "5m"}
    with asking(plan="enterprise", traps=none()) as (_, client):
        client.headers.update(PRO)
        found = got(client, "/coins/sim-bitcoin/market_chart/range", **around)["prices"]
    assert found[0][0] == 1_518_134_400_000
    assert found[-1][0] > 1_518_300_000_000


ETHER = {"vs_currency": "eth"}


@pytest.mark.parametrize(
    ("now", "pattern", "path", "params"),
    [
        (
            "2015-08-20T00:45:00Z",
            "/coins/{id}/market_chart",
            "/coins/sim-bitcoin/market_chart",
            {**ETHER, "days": "90"},
        ),
        ("2015-08-20T00:45:00Z", "/coins/{id}/ohlc", "/coins/sim-bitcoin/ohlc", {**ETHER, "days": "90"}),
        ("2014-06-01T00:45:00Z", "/coins/{id}/market_chart", "/coins/sim-bitcoin/market_chart", {**ETHER, "days": "9"}),
        ("2014-06-01T00:45:00Z", "/coins/markets", "/coins/markets", {**ETHER, "price_change_percentage": HORIZONS}),
        ("2014-06-01T00:45:00Z", "/global", "/global", {}),
        (
            "2014-06-01T00:45:00Z",
            "/simple/price",
            "/simple/price",
            {"ids": "sim-bitcoin", "vs_currencies": "eth,usd", "include_market_cap": "true"},
        ),
    ],
)
def test_what_is_asked_in_ether_before_there_was_any_is_left_out(
    shared: Path, now: str, pattern: str, path: str, params: dict[str, str]
) -> None:
    with asking(now=now, traps=none(), plan="enterprise") as (_, client):
        client.headers.update(PRO)
        body = got(client, path, **params)
    assert complaints(body, schema_of(shared, "pro", pattern)) == []
    if pattern != "/coins/markets":
        assert "null" not in json.dumps(body)
    if "2015" in now:
        assert 0 < len(body if isinstance(body, list) else body["prices"]) < 90 * 24


@pytest.mark.parametrize(
    ("file", "plan", "headers", "path", "params"),
    [
        ("400_10010_pro_key_on_public_host", "demo", PRO, "/ping", {}),
        ("401_10002_api_key_missing__TRUNCATED", "basic", {}, "/ping", {}),
        ("401_10005_pro_only", "demo", {}, "/key", {}),
        ("401_10012_beyond_365_days", "demo", {}, "/coins/sim-bitcoin/market_chart", {**USD, "days": "999"}),
        ("404_coin_not_found", "demo", {}, "/coins/x/market_chart", {**USD, "days": "9"}),
        ("422_missing_vs_currency", "demo", {}, "/coins/markets", {}),
        ("500_internal", "demo", {}, "/coins/sim-bitcoin/ohlc", {}),
        ("200_unknown_id_simple_price", "demo", {}, "/simple/price", {"ids": "x", "vs_currencies": "usd"}),
    ],
)
def test_an_error_has_the_envelope_of_the_recorded_one(
    shared: Path, file: str, plan: str, headers: dict[str, str], path: str, params: dict[str, str]
) -> None:
    real = json.loads((shared / "coingecko" / "errors" / f"{file}.json").read_text())
    with asking(plan=plan) as (_, client):
        answer = client.get(path, params=params, headers=headers)
    assert answer.status_code == int(file[:3])
    assert shape(answer.json()) == shape(real)


def test_only_the_key_that_was_set_is_taken() -> None:
    with asking(plan="basic", key="right") as (_, client):
        wrong, right = (client.get("/ping", headers={"x-cg-pro-api-key": key}) for key in ("wrong", "right"))
    assert (wrong.status_code, right.status_code) == (401, 200)


def test_calls_beyond_the_limit_are_told_when_to_come_again() -> None:
    with asking(rate=5) as (run, client):
        answers = [client.get("/ping") for _ in range(7)]
        told = json.loads(httpx.get(f"{run.url}/stats").text)
    assert [each.status_code for each in answers] == [200] * 5 + [429] * 2
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert answers[-1].json()["status"]["error_code"] == 429
    assert told["answers"] == {"200": 5, "429": 2} and told["peak_per_minute"] == 7
    assert told["paths"] == {"/ping": 7}


def test_a_plan_has_its_own_limit_and_none_at_all_if_wanted() -> None:
    for plan, headers, limit in (("keyless", {}, 5), ("demo", DEMO, 30)):
        with asking(plan=plan, rate=None) as (_, client):
            said = [client.get("/ping", headers=headers).status_code for _ in range(limit + 1)]
        assert said == [200] * limit + [429]
    with asking(plan="keyless", rate=0) as (_, client):
        assert {client.get("/ping").status_code for _ in range(40)} == {200}


def test_a_paid_key_is_told_what_it_may_and_has_used() -> None:
    with asking(plan="basic") as (_, client):
        client.headers.update(PRO)
        for page in range(3):
            client.get("/coins/markets", params={**USD, "page": str(page + 1)})
            client.get("/coins/markets", params={**USD, "page": str(page + 1)})  # from the edge: costs nothing
        told = got(client, "/key")
    assert told["plan"] == "Basic" and told["rate_limit_request_per_minute"] == PLANS["basic"].rate
    assert told["current_total_monthly_calls"] == 3
    assert told["current_remaining_monthly_calls"] == told["monthly_call_credit"] - 3


# The edge ------------------------------------------------------------------------------------------------------------


def test_within_a_window_the_edge_gives_the_same_bytes_again() -> None:
    with asking(now="2022-02-01T00:45:01Z") as (run, client):
        params = {**USD, "per_page": "5"}
        first = client.get("/coins/markets", params=params)
        set_clock(run, "2022-02-01T00:45:40Z")
        second = client.get("/coins/markets", params=params)
        set_clock(run, "2022-02-01T00:46:01Z")
        third = client.get("/coins/markets", params=params)
        unchanged = client.get("/coins/markets", params=params, headers={"if-none-match": third.headers["etag"]})
    assert first.content == second.content != third.content
    assert first.headers["etag"] == second.headers["etag"] != third.headers["etag"]
    assert (first.headers["cf-cache-status"], second.headers["cf-cache-status"]) == ("MISS", "HIT")
    assert second.headers["age"] == "40" and "age" not in first.headers
    assert first.headers["cache-control"] == "public, max-age=60"
    assert (unchanged.status_code, unchanged.content) == (304, b"")


def test_an_answer_does_not_depend_on_who_asked_before() -> None:
    path = "/coins/sim-ethereum/market_chart"
    with asking(now="2022-02-01T00:45:29Z") as (run, client):
        before = [client.get(each[1], params=each[2]).content for each in CALLS]
        set_clock(run, "2022-02-03T12:00:00Z")
        client.get(path, params={**USD, "days": "7"})
        set_clock(run, "2022-02-01T00:45:29Z")
        after = [client.get(each[1], params=each[2]).content for each in CALLS[::-1]][::-1]
    with asking(now="2022-02-01T00:45:29Z") as (_, client):
        elsewhere = [client.get(each[1], params=each[2]).content for each in CALLS]
    assert before == after == elsewhere


# Traps ---------------------------------------------------------------------------------------------------------------

DAILY = ("/coins/sim-ethereum/market_chart", {**FULL, "days": "364", "interval": "daily"})
HOURLY = ("/coins/sim-ethereum/market_chart", {**FULL, "days": "30"})
MARKETS = ("/coins/markets", {**USD, "per_page": "250"})
Body = Any


def _values(body: Body, series: str = "prices") -> list[Any]:
    return [value for _, value in body[series]]


def _ratio(body: Body, series: str) -> float:
    values = [each for each in _values(body, series) if each]
    return float(max(values) / np.median(values))


def _updated(body: Body) -> set[str]:
    return {row["last_updated"] for row in body}


def _no_rank(body: Body) -> list[str]:
    return [row["id"] for row in body if row["market_cap_rank"] is None]


SHOWS: dict[str, tuple[str, dict[str, str], Any]] = {
    "now_point": (*DAILY, lambda body: body["prices"][-1][0] % DAY_MS != 0),
    "backward_point": (*DAILY, lambda body: body["prices"][-1][0] == body["prices"][-2][0] - 955),
    "unaligned": (*HOURLY, lambda body: any(moment % HOUR_MS for moment, _ in body["prices"][:-1])),
    "null_in_series": (*DAILY, lambda body: None in _values(body, "market_caps")),
    "missing_points": (*DAILY, lambda body: len(body["market_caps"]) == len(body["prices"]) - 1),
    "gaps": (*DAILY, lambda body: len(body["prices"]) < 360),
    "cap_outliers": (*DAILY, lambda body: np.median(_values(body, "market_caps")) > 1e15),
    "volume_outliers": (*DAILY, lambda body: np.median(_values(body, "total_volumes")) > 2e12),
    "stale": (
        "/coins/markets",
        {**FULL, "ids": "sim-bitcoin"},
        lambda body: abs(body[0]["market_cap"] / body[0]["circulating_supply"] / body[0]["current_price"] - 1) > 1e-6,
    ),
    "zero_for_unknown": (
        *MARKETS,
        lambda body: any(row["market_cap"] == 0 == row["circulating_supply"] for row in body),
    ),
    "nulls": (*MARKETS, lambda body: any(row["fully_diluted_valuation"] is None for row in body)),
    "supply_above_total": (
        *MARKETS,
        lambda body: any(row["total_supply"] and row["total_supply"] < row["circulating_supply"] for row in body),
    ),
    "rehypothecated": (*MARKETS, lambda body: "sim-wrapped-bitcoin" in _no_rank(body)),
    "flipping": (*MARKETS, lambda body: all(row["market_cap"] == 0 for row in body)),
    "stale_coins": (*MARKETS, lambda body: any(row["price_change_24h"] is None for row in body[-100:])),
    "uneven_age": (*MARKETS, lambda body: len(_updated(body)) > 20),
    "rounding": (*MARKETS, lambda body: body[0]["current_price"] == round(body[0]["current_price"])),
    "mixed_types": (*MARKETS, lambda body: isinstance(body[0]["market_cap"], int)),
    "dirty_symbols": (*MARKETS, lambda body: any(row["symbol"] != row["symbol"].lower() for row in body)),
    "page_drift": (
        "/coins/markets",
        {**USD, "per_page": "100", "page": "2"},
        lambda body: [row["market_cap_rank"] for row in body] != list(range(101, 201)),
    ),
    "space_loses_ids": (
        "/simple/price",
        {"ids": "sim-bitcoin, sim-ethereum", "vs_currencies": "usd"},
        lambda body: len(body) == 1,
    ),
    "future_candles": ("/coins/sim-bitcoin/ohlc", {**USD, "days": "7"}, lambda body: body[-1][0] > NOW_MS),
    "sliding_granularity": (
        "/coins/sim-bitcoin/market_chart/range",
        {**USD, "from": str(NOW_MS // 1000 - 864_000), "to": str(NOW_MS // 1000 - 777_600)},
        lambda body: len(body["prices"]) < 30,
    ),
}
"""By trap: what to ask, and what the answer shows if it has sprung."""

SHOWN_ELSEWHERE = {"edge_cache", "late_days", "hourly_refused"}


def test_every_trap_is_shown() -> None:
    assert set(SHOWS) | SHOWN_ELSEWHERE == set(TRAPS)


@pytest.mark.parametrize("name", SHOWS)
def test_a_trap_can_be_switched_on_and_off(name: str, plain: tuple[Running, httpx.Client]) -> None:
    path, params, shows = SHOWS[name]
    assert not shows(got(plain[1], path, **params))
    with asking(traps={**none(), name: 1.0}, coins=250) as (_, client):
        assert shows(got(client, path, **params))


def test_without_the_edge_every_call_is_answered_anew() -> None:
    with asking(traps={"edge_cache": 0.0}, now="2022-02-01T00:45:01Z") as (run, client):
        first = client.get("/simple/price", params={"ids": "sim-bitcoin", "vs_currencies": "usd", "precision": "full"})
        set_clock(run, "2022-02-01T00:48:40Z")
        second = client.get("/simple/price", params={"ids": "sim-bitcoin", "vs_currencies": "usd", "precision": "full"})
    assert first.content != second.content
    assert "age" not in second.headers


def test_finished_days_need_not_be_late() -> None:
    with asking(traps={"late_days": 0.0}, now="2022-02-01T00:05:00Z") as (_, client):
        body = got(client, "/coins/sim-bitcoin/market_chart", **USD, days="100", interval="daily")
    assert (NOW_MS - NOW_MS % DAY_MS) in [moment for moment, _ in body["prices"]]


def test_hourly_charts_may_be_for_enterprises_only() -> None:
    params = {**USD, "days": "7", "interval": "hourly"}
    for plan, headers, status in (("demo", DEMO, 401), ("enterprise", PRO, 200)):
        with asking(traps={"hourly_refused": 1.0}, plan=plan) as (_, client):
            assert client.get("/coins/sim-bitcoin/market_chart", params=params, headers=headers).status_code == status


def test_a_dirty_series_has_clean_prices(dirty: tuple[Running, httpx.Client]) -> None:
    _, client = dirty
    rates = {"cap_outliers": 0.5, "volume_outliers": 0.5, "stale": 0.5, "null_in_series": 0.5}
    with asking(traps=rates, coins=250) as (_, other):
        path, params = DAILY
        assert got(client, path, **params)["prices"][:-2] == got(other, path, **params)["prices"][:-2]


# Faults --------------------------------------------------------------------------------------------------------------


def test_a_fault_of_each_kind_comes_as_it_says() -> None:
    seen: dict[str, httpx.Response] = {}
    for name in sorted(set(TRANSPORT) - {"cut", "dropped", "stall", "slow"}):
        with asking(faults={name: 1.0}) as (_, client):
            seen[name] = client.get("/coins/list")
    assert {name: each.status_code for name, each in seen.items()} == {
        "bad_gateway": 502, "cut_whole": 200, "empty": 200, "forbidden": 403, "html": 200, "internal_error": 500,
        "too_many": 429, "too_many_silent": 429, "unavailable": 503, "wrong_type": 200,
    }  # fmt: skip
    assert seen["too_many"].headers["retry-after"] == "1" and "retry-after" not in seen["too_many_silent"].headers
    assert seen["html"].text.startswith("<!DOCTYPE html>") and "text/html" in seen["html"].headers["content-type"]
    assert seen["empty"].content == b""
    assert "text/html" in seen["wrong_type"].headers["content-type"] and seen["wrong_type"].json()
    with pytest.raises(json.JSONDecodeError):
        seen["cut_whole"].json()
    assert all(each.headers["x-coinlake-simulated"].startswith("seed=") for each in seen.values())


@pytest.mark.parametrize(
    ("name", "error"), [("cut", httpx.RemoteProtocolError), ("dropped", httpx.RemoteProtocolError)]
)
def test_a_broken_connection_is_broken(name: str, error: type[Exception]) -> None:
    with asking(faults={name: 1.0}) as (_, client), pytest.raises(error):
        client.get("/ping")


@pytest.mark.parametrize("name", ["stall", "slow"])
def test_a_slow_answer_is_slow_and_whole(name: str) -> None:
    with asking(faults={name: 1.0}, stall_s=0.4) as (_, client):
        began = time.monotonic()
        assert got(client, "/ping")["gecko_says"]
        assert time.monotonic() - began > 0.15


def test_the_same_calls_fail_in_any_order_and_asking_again_helps() -> None:
    rates = dict.fromkeys(("internal_error", "unavailable", "html"), 0.15)
    targets = [f"/coins/markets?page={number}" for number in range(60)]
    once, again = Faults(3, rates), Faults(3, rates)
    forth = {target: [once.of_transport(target) for _ in range(8)] for target in targets}
    back: dict[str, list[str | None]] = {target: [] for target in targets}
    for _ in range(8):
        for target in reversed(targets):
            back[target].append(again.of_transport(target))
    assert forth == back
    failed = [each for each in forth.values() if each[0]]
    assert 0.2 < len(failed) / len(targets) < 0.75
    assert all(None in each for each in failed)
    assert {Faults(4, rates).of_transport(target) for target in targets} >= {None}


def test_a_schema_drifts_as_it_says_and_stays_so() -> None:
    path, params = "/coins/markets", {**USD, "per_page": "20"}
    with asking() as (_, client):
        usual = got(client, path, **params)
    drifted = {}
    for name in DRIFT:
        with asking(faults={name: 1.0}) as (run, client):
            drifted[name] = got(client, path, **params)
            set_clock(run, "2022-02-01T03:45:00Z")
            assert {key for row in got(client, path, **params) for key in row} == {key for key in drifted[name][0]}
    assert set(drifted["new_field"][0]) - set(usual[0]) == {"simulated_new_field"}
    assert len(set(usual[0]) - set(drifted["missing_field"][0])) == 1
    retyped = {
        key for row, was in zip(drifted["retyped_field"], usual, strict=True) for key in row if row[key] != was[key]
    }
    assert len(retyped) == 1
    assert all(isinstance(row[next(iter(retyped))], str | None) for row in drifted["retyped_field"])


@pytest.mark.parametrize(
    ("path", "params", "names"),
    [
        ("/coins/sim-bitcoin/market_chart", {**FULL, "days": "30"}, ("prices", "market_caps", "total_volumes")),
        ("/coins/sim-bitcoin/ohlc", {**USD, "days": "7"}, ()),
    ],
)
def test_a_number_of_a_series_may_come_as_a_text_too(path: str, params: dict[str, str], names: tuple[str, ...]) -> None:
    with asking() as (_, client):
        usual = got(client, path, **params)
    with asking(faults={"retyped_field": 1.0}) as (_, client):
        drifted = got(client, path, **params)
    pairs = [(drifted[name], usual[name]) for name in names] if names else [(drifted, usual)]
    (retyped,) = [(now, then) for now, then in pairs if now != then]
    for now, then in zip(*retyped, strict=True):
        assert now[:-1] == then[:-1]
        assert then[-1] is None or (isinstance(now[-1], str) and float(now[-1]) == then[-1])


def test_faults_are_counted() -> None:
    with asking(faults={"unavailable": 1.0}) as (run, client):
        client.get("/ping")
        assert httpx.get(f"{run.url}/stats").json()["faults"] == {"unavailable": 1}


# Clock and door ------------------------------------------------------------------------------------------------------


def test_a_clock_is_real_stands_or_runs_fast() -> None:
    passed = [100.0]
    clocks = {speed: Clock(lambda: NOW_MS / 1000, lambda: passed[0], speed=speed) for speed in (0.0, 1.0, 86_400.0)}
    passed[0] += 2.5
    assert {speed: clock.now_ms() - NOW_MS for speed, clock in clocks.items()} == {
        0.0: 0, 1.0: 2500, 86_400.0: 216_000_000,
    }  # fmt: skip
    clocks[1.0].set(NOW_MS - DAY_MS)
    passed[0] += 1
    assert clocks[1.0].now_ms() == NOW_MS - DAY_MS + 1000
    with pytest.raises(ValueError, match="from 2014"):
        clocks[1.0].set(0)
    with pytest.raises(ValueError, match="speed"):
        clocks[1.0].set(NOW_MS, -1)


def test_the_clock_is_told_and_set_over_http() -> None:
    with asking() as (run, _):
        assert httpx.get(run.clock_url).json() == {"now": "2022-02-01T00:45:00.000Z", "speed": 0}
        set_clock(run, "2022-02-03T00:45:00Z")
        assert httpx.get(run.clock_url).json()["now"] == "2022-02-03T00:45:00.000Z"
        assert httpx.post(run.clock_url, params={"speed": "3600"}).json()["speed"] == 3600
        for nonsense in ({"now": "soon"}, {"now": "1999-01-01"}, {"speed": "nan"}, {"speed": "-1"}):
            assert httpx.post(run.clock_url, params=nonsense).status_code == 400
        assert httpx.post(f"{run.url}/ping").status_code == 404
        refused = httpx.put(f"{run.url}/ping")
        assert (refused.status_code, refused.headers["x-coinlake-simulated"]) == (405, run.market.name)


@pytest.mark.parametrize(
    "wrong",
    [
        {"plan": "gold"}, {"coins": 0}, {"now": "soon"}, {"now": "1999-01-01"}, {"speed": -1.0}, {"port": 99_999},
        {"traps": {"nonsense": 0.1}}, {"faults": {"cut": 7.0}},
    ],
)  # fmt: skip
def test_an_option_that_is_none_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError), running(Options(**wrong)):
        pass


def test_a_port_that_is_taken_is_refused() -> None:
    with asking() as (run, _):
        port = int(run.url.split(":")[2].split("/")[0])
        with pytest.raises(ConfigError, match=f"port {port}"), running(Options(coins=5, port=port)):
            pass


def test_serving_ends_and_frees_the_port_when_stopped() -> None:
    class Enough(Exception):
        pass

    ports: list[str] = []

    def ready(run: Running) -> None:
        ports.append(run.url)
        raise Enough

    with pytest.raises(Enough):
        serve(Options(coins=5), ready)
    with pytest.raises(httpx.ConnectError):
        httpx.get(ports[0])


def test_many_ask_at_once() -> None:
    with asking() as (run, _):
        bodies: list[bytes] = []

        def ask() -> None:
            with httpx.Client(base_url=run.url) as client:
                bodies.extend(client.get("/coins/markets", params=USD).content for _ in range(5))

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    assert len(bodies) == 30 and len(set(bodies)) == 1


# Numbers -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (1.0e15, "1.0e+15"), (1528997207360060.0, "1.52899720736006e+15"), (549149516403369.44, "549149516403369.44"),
        (8.69e-05, "8.69e-05"), (1e-12, "1.0e-12"), (2.5e20, "2.5e+20"), (0.0, "0.0"), (42618.5, "42618.5"),
        (0.0001, "0.0001"), (-3e-7, "-3.0e-07"), (math.nan, "null"), (None, "null"), (math.inf, "null"),
        (-1.5e15, "-1.5e+15"),
    ],
)  # fmt: skip
def test_numbers_are_printed_as_the_service_prints_them(value: float | None, printed: str) -> None:
    assert number(value) == printed
    assert text([value, np.float64(1.5)]) == f"[{printed},1.5]"


def test_printing_loses_nothing() -> None:
    values = np.exp(np.random.default_rng(1).uniform(-60, 60, 2000)).tolist()
    assert [json.loads(number(value)) for value in values] == values


@pytest.mark.parametrize(
    ("price", "default"),
    [(42_981.3, 42_981), (4878.264, 4878.26), (0.7596774, 0.759677), (0.019252754, 0.01925275), (8.694e-05, 8.694e-05)],
)
def test_prices_are_rounded_as_the_service_rounds_them(price: float, default: float) -> None:
    assert rounded(price, None) == default
    assert rounded(price, "full") == price


# The pipeline over it ------------------------------------------------------------------------------------------------


def program(folder: Path, run: Running, **settings: str) -> Program:
    """The program, asking a simulator."""
    folder.mkdir(exist_ok=True)
    return Program(folder, {"api_url": run.url, "now": run.clock_url, "rate": "0", **settings})


@pytest.mark.slow
def test_the_whole_pipeline_runs_over_it_and_closes_are_the_markets_own(tmp_path: Path) -> None:
    with asking(coins=60) as (run, _):
        done = program(tmp_path, run)("run", "--top", "20")
        assert done.code == 0, done.err
        rows = (
            opened(tmp_path / "data")
            .execute('select coin_id, epoch_ms(day::TIMESTAMP), close_usd from "gold.daily" order by all')
            .fetchall()
        )
        names = run.simulated.router.service.names
        assert len({row[0] for row in rows}) == 20 and len(rows) > 6500
        for coin_id in {row[0] for row in rows}:
            mine = [row for row in rows if row[0] == coin_id]
            coin = names.coin(coin_id)
            assert coin is not None
            closes = run.market.prices(coin, [row[1] + DAY_MS for row in mine])
            assert [row[2] for row in mine] == closes.tolist()
    told = [line.envelope["headers"]["x-coinlake-simulated"] for line in bronze_lines(tmp_path / "data")]
    assert set(told) == {"seed=7 coins=60"} and len(told) >= 20


@pytest.mark.slow
def test_faults_on_the_way_change_nothing_in_what_the_lake_holds(tmp_path: Path) -> None:
    rates = {name: 0.04 for name in TRANSPORT if name not in ("forbidden", "too_many_silent")}
    lakes = []
    for name, faults in (("calm", {}), ("rough", rates)):
        with asking(coins=30, faults=faults, stall_s=0.5) as (run, _):
            done = program(tmp_path / name, run)("run", "--top", "12", "--days", "60", timeout_s=580)
            assert done.code == 0, done.err
            assert not faults or len(run.simulated.stats()["faults"]) > 2
            lakes.append(tmp_path / name / "data")
    assert differences(*lakes) == []


def test_moments_are_written_as_the_service_writes_them() -> None:
    assert iso(NOW_MS + 7) == "2022-02-01T00:45:00.007Z"
    assert datetime.fromisoformat(iso(NOW_MS).replace("Z", "+00:00")) == datetime(2022, 2, 1, 0, 45, tzinfo=UTC)


# Driven by the official description ----------------------------------------------------------------------------------

PATHS = sorted({call[0] for call in CALLS})


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS)
def test_whatever_the_description_allows_to_ask_is_answered_as_it_says(
    shared: Path, dirty: tuple[Running, httpx.Client], path: str
) -> None:
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed: it makes up the calls")
    described = json.loads((shared / "coingecko" / "openapi" / "demo-api.json").read_text())
    api = schemathesis.openapi.from_dict(described)
    schema = schema_of(shared, "demo", path)
    _, client = dirty
    there = ["sim-bitcoin", "sim-picomoon", "sim-terrausd", "nobody"]
    answered: list[int] = []

    @given(case=api[path]["GET"].as_strategy(), id_=st.sampled_from(there))
    @settings(max_examples=30 * EXAMPLES, suppress_health_check=list(HealthCheck))
    def ask(case: Any, id_: str) -> None:
        asked = path.replace("{id}", id_)
        params = {name: _as_text(value) for name, value in (case.query or {}).items()}
        # A currency, ids and days that are there, half of the time: else hardly a call would be a good one.
        if len(id_) % 2:
            params |= {name: each for name, each in SENSIBLE.items() if name in params}
        answer = client.get(asked, params=params)
        answered.append(answer.status_code)
        assert answer.status_code in (200, 400, 401, 404, 422), answer.text
        assert answer.headers["content-type"].startswith("application/json")
        if answer.status_code == 200:
            found = complaints(answer.json(), schema)
            assert [each for each in found if not each.startswith("market_caps/")] == []

    ask()
    assert 200 in answered


SENSIBLE = {
    "vs_currency": "usd", "vs_currencies": "usd,btc", "ids": "sim-bitcoin,sim-dai", "days": "30", "precision": "full",
    "from": "1640995200", "to": "1643000000", "category": "sim-meme-token", "page": "1", "per_page": "7",
}  # fmt: skip


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
