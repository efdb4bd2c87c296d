"""How alike two coins moved: the correlation of their daily log returns over the 30 and 90 days up to a month's end,
for each pair of the 50 largest coins of that day.

Of returns, never of prices: two prices that both rise look alike whatever they do from day to day. A pair needs nine
tenths of the window's days, the same days for both. A coin that did not move has no correlation. The newest one, of
any day, is a question: `corr(a.log_return_1d, b.log_return_1d)` over two aliases of `gold.indicators`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coinlake.engine import Engine, Frame
from coinlake.engine.series import arrays, frame_of, typed
from coinlake.gold.scope import Scope
from coinlake.table import Boolean, Column, Date, Float64, Int64, String, Table

LARGEST, WINDOWS = 50, (30, 90)
FLAT = 1e-12
"""Daily deviation under which a coin did not move."""

TABLE = Table(
    "gold.correlations",
    key=("month_end", "coin_a", "coin_b", "window_days"),
    columns={
        "month_end": Column(Date, "last UTC day of a month"),
        "coin_a": Column(String, "CoinGecko id; the first of the two by name"),
        "coin_b": Column(String, "CoinGecko id"),
        "window_days": Column(Int64, "days of returns, up to the month's end", "days", between=(30, 90)),
        "correlation": Column(Float64, "of daily log returns", required=True, between=(-1, 1)),
        "days_known": Column(Int64, "days on which both have a return", "days", True, between=(1, 90)),
        "survivorship_biased": Column(
            Boolean, "whether the largest are those of the coins followed now, not of who was there then", required=True
        ),
    },
    grain="a pair of coins over one window at the end of one month",
    dated_by="month_end",
    reads=("gold.daily", "gold.indicators", "gold.market"),
    sorted_by=("month_end", "window_days", "coin_a", "coin_b"),
)
LOOKBACK_DAYS = max(WINDOWS)
COLUMNS = {
    "gold.daily": ("coin_id", "day", "market_cap_usd"),
    "gold.indicators": ("coin_id", "day", "log_return_1d"),
    "gold.market": ("day", "universe_is_seen"),
}
"""What is read of wide tables."""

Columns = dict[str, NDArray[Any]]


def touched(scope: Scope, source: str) -> Scope:
    """The months that end within a window of changed days."""
    return scope.everyone().lasting(max(WINDOWS))


def build(read: Mapping[str, Frame], sources: Sequence[str], engine: Engine) -> Frame:
    """The pairs at every month's end."""
    caps, returns, market = (read[name].select(*columns) for name, columns in COLUMNS.items())
    seen = arrays(engine, market, ("day",))
    seen_on = seen["day"][seen["universe_is_seen"].astype(bool)]
    rows = arrays(engine, caps.join(returns, on=["coin_id", "day"], how="inner"), ("day", "coin_id"))
    made = [pairs for end in _month_ends(rows["day"]) for pairs in at(rows, end)]
    whole = {
        name: np.concatenate([each[name] for each in made]) if made else typed(TABLE.columns[name].type, [])
        for name in TABLE.columns
        if name != "survivorship_biased"
    }
    return frame_of(engine, {**whole, "survivorship_biased": ~np.isin(whole["month_end"], seen_on)})


def _month_ends(days: NDArray[Any]) -> list[date]:
    """The last days of months that there are."""
    distinct = np.unique(days)
    return list(distinct[(distinct + 1).astype("datetime64[M]") != distinct.astype("datetime64[M]")])


def at(rows: Columns, end: Any, coins: Sequence[str] | None = None) -> Iterator[Columns]:
    """The pairs of each window that ends on a day: of the largest coins of the day, or of those named.

    `rows` are sorted by day and coin: `coin_id`, `day`, `market_cap_usd`, `log_return_1d`.
    """
    those = _largest(_between(rows, end, end)) if coins is None else np.array(sorted(set(coins)), dtype=object)
    yield from _windows(rows, end, those)


def _windows(rows: Columns, end: Any, coins: NDArray[Any]) -> Iterator[Columns]:
    for window in WINDOWS:
        first = end - np.timedelta64(window - 1, "D")
        inside = _between(rows, first, end)
        series = np.searchsorted(coins, inside["coin_id"])
        mine = np.flatnonzero(np.r_[coins, None][series] == inside["coin_id"])
        laid = np.full((len(coins), window), np.nan)
        laid[series[mine], (inside["day"][mine] - first).astype(int)] = inside["log_return_1d"][mine]
        yield _pairs(laid, coins, end, window)


def _between(rows: Columns, first: Any, last: Any) -> Columns:
    """The rows of some days, of rows ordered by day."""
    part = slice(np.searchsorted(rows["day"], first), np.searchsorted(rows["day"], last, side="right"))
    return {name: values[part] for name, values in rows.items()}


def _largest(day: Columns) -> NDArray[Any]:
    """The largest coins of a day's rows, by name."""
    known = ~np.isnan(day["market_cap_usd"])
    order = np.argsort(-day["market_cap_usd"][known], kind="stable")[:LARGEST]
    return np.sort(day["coin_id"][known][order])


def _pairs(returns: NDArray[np.float64], coins: NDArray[Any], end: date, window: int) -> Columns:
    """Correlations of [coin, day], each pair over the days that both have."""
    known = (~np.isnan(returns)).astype(float)
    means = np.nansum(returns, axis=1, keepdims=True) / np.maximum(known.sum(axis=1, keepdims=True), 1)
    x = np.where(known > 0, returns - means, 0.0)
    count = known @ known.T
    total = x @ known.T
    squares = (x * x) @ known.T - total * total / np.maximum(count, 1)
    products = x @ x.T - total * total.T / np.maximum(count, 1)
    floor = window * FLAT**2
    one, other = np.triu_indices(len(coins), 1)
    usable = (count >= window - window // 10) & (squares > floor) & (floor < squares.T)
    kept = usable[one, other]
    one, other = one[kept], other[kept]
    correlation = products[one, other] / np.sqrt(squares[one, other] * squares[other, one])
    return {
        "month_end": np.full(len(one), end, dtype="datetime64[D]"),
        "coin_a": coins[one].astype(object),
        "coin_b": coins[other].astype(object),
        "window_days": np.full(len(one), window),
        "correlation": np.clip(correlation, -1.0, 1.0),
        "days_known": count[one, other].astype(np.int64),
    }
