"""Answers as Hypothesis makes them up: bodies of every endpoint we read, with garbage of every JSON type anywhere."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from coinlake.answer import Answer

NOW = datetime(2022, 2, 1, 0, 45, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
IN_FULL = {"vs_currency": "usd", "precision": "full"}


EXAMPLES = int(os.environ.get("EXAMPLES") or "1")
"""How many times as many of whatever is drawn at random are wanted."""


def examples(number: int, shrinks: bool = True) -> settings:
    """So many examples, others in every run, or as many times as EXAMPLES says; one that is dear is shown as found, not
    made small.
    """
    phases = [phase for phase in Phase if shrinks or phase is not Phase.shrink]
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=number * EXAMPLES, phases=phases, suppress_health_check=slow)


def answer(
    endpoint: str,
    path: str,
    params: Mapping[str, str],
    body: Any,
    at: datetime = NOW,
    source: str = "coingecko",
    status: int = 200,
) -> Answer:
    """An answer whose body is bytes as given, or anything else as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(source, endpoint, path, params, status, {}, at, at, 1, data)


def chart(body: Any, days: str = "1", coin: str = "bitcoin", at: datetime = NOW, **params: str) -> Answer:
    """An answer of `/coins/{id}/market_chart`."""
    asked = {**IN_FULL, "days": days, **params}
    return answer("coins_market_chart", f"/coins/{coin}/market_chart", asked, body, at)


def markets(body: Any, at: datetime = NOW, **params: str) -> Answer:
    """An answer of `/coins/markets`."""
    return answer("coins_markets", "/coins/markets", {**IN_FULL, **params}, body, at)


def candles(body: Any, days: str = "1", coin: str = "bitcoin", at: datetime = NOW) -> Answer:
    """An answer of `/coins/{id}/ohlc`."""
    return answer("coins_ohlc", f"/coins/{coin}/ohlc", {**IN_FULL, "days": days}, body, at)


def quick_look(body: Any, ids: str = "bitcoin", at: datetime = NOW) -> Answer:
    """An answer of `/simple/price`."""
    return answer("simple_price", "/simple/price", {"vs_currencies": "usd", "ids": ids, "precision": "full"}, body, at)


def market_now(body: Any, at: datetime = NOW) -> Answer:
    """An answer of `/global`."""
    return answer("global", "/global", {}, body, at)


def coins_list(body: Any, status: str = "active", at: datetime = NOW) -> Answer:
    """An answer of `/coins/list`."""
    return answer("coins_list", "/coins/list", {"status": status}, body, at)


# What may be anywhere ------------------------------------------------------------------------------------------------

prices = st.one_of(
    st.floats(min_value=0, allow_nan=False, allow_infinity=False, allow_subnormal=False),
    st.integers(0, 10**24),
    st.sampled_from([0, 0.0, 1e-11, 5.6e-11, 2.993e-05, 549149516403369.44, 1.0e15, 549149516403369440123]),
)
garbage: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**30), 10**30),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=8),
        st.sampled_from(
            ["", "abc", "NaN", "Infinity", "infinity", "1e5", "null", "\ud800", "a\0b", '"', "0", 1e308, -1]
        ),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)


def mostly(expected: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """What is expected, and now and then something else."""
    return st.integers(0, 9).flatmap(lambda dice: garbage if dice == 0 else expected)


_step_ms = st.sampled_from([300_000, 3_600_000, 86_400_000])
_text = st.one_of(st.text(max_size=6), st.sampled_from(["btc", "richdoge 💲", "hdp.ф", "AVAX", "\u2028", "meta"]))
_iso = st.datetimes(datetime(2021, 1, 1), datetime(2022, 2, 7)).map(lambda at: at.isoformat() + "Z")
_seconds = st.integers(1_600_000_000, 1_643_700_000)
_ids = st.sampled_from(["bitcoin", "ethereum", "a.b", 'a"b', "~/x", ""])


@st.composite
def series(draw: st.DrawFn) -> list[Any]:
    """One series of a chart: points at roughly even steps, some missing, some twice, some out of order."""
    step = draw(_step_ms)
    points = draw(st.lists(st.tuples(st.integers(0, 12), st.integers(-2, 2), mostly(st.none() | prices)), max_size=12))
    start = NOW_MS // step * step - 12 * step
    made = [[start + place * step + jitter * 1000, value] for place, jitter, value in points]
    return [draw(garbage) if draw(st.integers(0, 19)) == 0 else point for point in sorted(made, key=lambda p: p[0])]


charts = st.builds(
    chart,
    mostly(
        st.fixed_dictionaries(
            {"prices": mostly(series())},
            optional={"market_caps": mostly(series()), "total_volumes": mostly(series()), "new": garbage},
        )
    ),
    st.sampled_from(["1", "30", "364", "max", "0", "nan"]),
)

_market_row = st.fixed_dictionaries(
    {"id": mostly(_ids), "symbol": mostly(_text), "name": mostly(_text), "last_updated": mostly(_iso)},
    optional={
        "current_price": mostly(prices),
        "market_cap": mostly(prices),
        "market_cap_rank": mostly(st.none() | st.integers(1, 20_000)),
        "total_volume": mostly(prices),
        "ath_date": mostly(_iso),
        "max_supply": mostly(st.none() | prices),
        "price_change_percentage_1y_in_currency": mostly(st.none() | st.floats(-100, 1e6)),
        "new": garbage,
    },
)
market_pages = st.builds(markets, mostly(st.lists(mostly(_market_row), max_size=4)))

_candle = st.tuples(st.integers(0, 8), prices, prices, prices, prices).map(
    lambda made: [NOW_MS // 1_800_000 * 1_800_000 - made[0] * 1_800_000, *made[1:]]
)
candle_series = st.builds(candles, mostly(st.lists(mostly(_candle), max_size=6)), st.sampled_from(["1", "30", "max"]))

_quick = st.fixed_dictionaries(
    {}, optional={"usd": mostly(prices), "usd_market_cap": mostly(prices), "last_updated_at": mostly(_seconds)}
)
quick_looks = st.builds(quick_look, mostly(st.dictionaries(_ids, mostly(_quick), max_size=3)), st.just("bitcoin,x"))

_global = st.fixed_dictionaries(
    {"updated_at": mostly(_seconds), "active_cryptocurrencies": mostly(st.integers(0, 20_000))},
    optional={
        "total_market_cap": mostly(st.fixed_dictionaries({"usd": mostly(prices)})),
        "market_cap_percentage": mostly(st.fixed_dictionaries({"btc": mostly(st.floats(0, 100))})),
        "new": garbage,
    },
)
looks_at_the_market = st.builds(market_now, mostly(st.fixed_dictionaries({"data": mostly(_global)})))

_coin = st.fixed_dictionaries({"id": mostly(_ids), "symbol": mostly(_text), "name": mostly(_text)})
lists_of_coins = st.builds(
    coins_list, mostly(st.lists(mostly(_coin), max_size=4)), st.sampled_from(["active", "inactive"])
)

answers = st.one_of(charts, market_pages, candle_series, quick_looks, looks_at_the_market, lists_of_coins)

# Charts without garbage, for an oracle to read -----------------------------------------------------------------------


@st.composite
def clean_charts(draw: st.DrawFn) -> dict[str, list[list[Any]]]:
    """A chart's body in strict order of time; each series has points of its own, values may be null."""
    step = draw(_step_ms)
    places = draw(st.lists(st.integers(0, 60), min_size=1, max_size=20, unique=True).map(sorted))
    start = NOW_MS // step * step - 60 * step
    values = st.none() | prices
    return {
        name: [[start + place * step, draw(values)] for place in places if draw(st.integers(0, 4))]
        for name in ("prices", "market_caps", "total_volumes")
    }
