"""The Market Summary Report: each coin's average, minimum and maximum price and its return over 24 hours, 7, 30, 90
and 365 days, with its newest price, volume, cap and rank.

All windows end with the coin's last day in `gold.daily` (`day`), so they can be compared and computed again; 24 hours
are that day itself. A window counts days, not rows: `days_known_…` tells how many of its days are known, and a return
is null where the day it starts from is missing. Days of another source than the last day's count as missing, for a
return from one source's close to another's is none; and so do the days before the price came in another unit
(`is_break` of `gold.indicators`: a redenomination), for what lies between the two is no gain; of the first day in it,
which opened in the old one, the close alone is known. `price_usd`, volume, cap and rank are of the newest snapshot
(`priced_at`), or of the last close where there is none.

`stance` is what the rule against the 7-day average says at the close of `day`: BUY under it, SELL over it, WAIT where
the price stands still or the average is not known. It is one simple rule, spelt out in `stance_reasons` beside what
else is known, and no advice: `gold.backtests` tells what following it has earned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from coinlake.engine import Engine, Frame
from coinlake.engine.series import Arrays, arrays, frame_of, runs
from coinlake.gold.rules.mean_reversion import WINDOW_DAYS
from coinlake.gold.stance import EVENTS, READS, STANCES, stances
from coinlake.table import Boolean, Column, Date, Float64, Int64, String, Table, Timestamp

WINDOWS = {"24h": 1, "7d": 7, "30d": 30, "90d": 90, "365d": 365}
"""Days in each window."""


def _window(name: str, days: int) -> dict[str, Column]:
    return {
        f"average_{name}_usd": Column(Float64, f"mean of the daily averages over {name}", "USD", between=(0, None)),
        f"minimum_{name}_usd": Column(Float64, f"lowest price over {name}", "USD", between=(0, None)),
        f"maximum_{name}_usd": Column(Float64, f"highest price over {name}", "USD", between=(0, None)),
        f"return_{name}": Column(Float64, f"last close over the close {name} before it, minus one", between=(-1, None)),
        f"days_known_{name}": Column(Int64, f"days of the {name} that are known", "days", True, between=(0, days)),
    }


TABLE = Table(
    "gold.market_summary",
    key=("coin_id",),
    columns={
        "coin_id": Column(String, "CoinGecko id"),
        "symbol": Column(String, "ticker, as given: not unique"),
        "name": Column(String, "the coin's name, as given"),
        "rank": Column(Int64, "place by market cap, from 1", between=(1, None)),
        "price_usd": Column(Float64, "newest price", "USD", required=True, between=(0, None)),
        "priced_at": Column(Timestamp, "the moment of that price", "UTC", required=True),
        "market_cap_usd": Column(Float64, "newest market capitalisation", "USD", between=(0, None)),
        "volume_24h_usd": Column(Float64, "traded in the 24 hours before it", "USD", between=(0, None)),
        "day": Column(Date, "last day known, where all windows end", required=True),
        "close_usd": Column(Float64, "close of that day", "USD", required=True, between=(0, None)),
        "is_final": Column(Boolean, "whether that close is the finished one", required=True),
        "source": Column(String, "whose observations the last day rests on", required=True),
        **{column: what for name, days in WINDOWS.items() for column, what in _window(name, days).items()},
        "stance": Column(String, "what the rule against the 7-day average says", required=True, one_of=STANCES),
        "stance_reasons": Column(String, "why, in words and numbers", required=True),
        "signals_today": Column(String, "the day's events in `gold.signals`; empty if none", required=True),
    },
    grain="one coin",
    reads=("gold.daily", "silver.markets", "gold.indicators", "gold.signals"),
)

_DAYS = ("coin_id", "day", "source", "close_usd", "average_usd", "low_usd", "high_usd")
_BREAKS = ("coin_id", "source", "day")
_LAST = ("is_final", "close_observed_at", "market_cap_usd", "volume_24h_usd")
_LISTED = {
    "symbol": "symbol",
    "name": "name",
    "rank": "rank",
    "_price": "price_usd",
    "_at": "observed_at",
    "_cap": "market_cap_usd",
    "_volume": "volume_24h_usd",
}
Floats = NDArray[np.float64]

COLUMNS = {"gold.daily": (*_DAYS, *_LAST), "gold.indicators": READS, "gold.signals": EVENTS}
"""What is read of wide tables."""


def build(read: Mapping[str, Frame], sources: Sequence[str], engine: Engine) -> Frame:
    """One row a coin that has a day in `gold.daily`."""
    daily = read["gold.daily"]
    last = engine.held(daily.group_by("coin_id").agg(_last=nw.col("day").max()))
    year = _lately(daily.select(_DAYS), last, max(WINDOWS.values()))
    broken = read["gold.indicators"].filter(nw.col("is_break")).select(*_BREAKS)
    units = arrays(engine, broken, ("coin_id", "day"))
    windows = frame_of(engine, summarise(arrays(engine, year, ("coin_id", "day")), units))
    closing = daily.select("coin_id", "day", "source", *_LAST)
    rows = windows.join(closing, on=["coin_id", "day"], how="left").join(_newest(read), on="coin_id", how="left")
    rows = rows.join(_stances(read, last, engine), on="coin_id", how="left")
    fresher = (~nw.col("_price").is_null()) & (nw.col("_at") >= nw.col("close_observed_at"))
    newest = {
        "price_usd": ("_price", "close_usd"),
        "priced_at": ("_at", "close_observed_at"),
        "market_cap_usd": ("_cap", "market_cap_usd"),
        "volume_24h_usd": ("_volume", "volume_24h_usd"),
    }
    return rows.with_columns(
        **{
            name: nw.when(fresher).then(nw.col(snapshot)).otherwise(nw.col(close))
            for name, (snapshot, close) in newest.items()
        }
    ).select(*TABLE.columns)


def _lately(rows: Frame, last: Frame, days: int) -> Frame:
    """The rows of each coin's last day and of so many days before it."""
    joined = rows.join(last, on="coin_id", how="inner")
    return joined.filter(nw.col("day") >= (nw.col("_last") - timedelta(days=days)).cast(nw.Date)).drop("_last")


def _stances(read: Mapping[str, Frame], last: Frame, engine: Engine) -> Frame:
    """What to make of each coin's last day."""
    week = _lately(read["gold.indicators"].select(READS), last, WINDOW_DAYS - 1)
    days = last.select("coin_id", day=nw.col("_last"))
    events = read["gold.signals"].select(EVENTS).join(days, on=["coin_id", "day"], how="inner")
    made = stances(
        arrays(engine, days, ("coin_id",)),
        arrays(engine, week, ("coin_id", "source", "day")),
        arrays(engine, events, ("coin_id", "rule")),
    )
    return frame_of(engine, made)


def _newest(read: Mapping[str, Frame]) -> Frame:
    """Each coin's newest line of the market list."""
    newest = [nw.col(each).last(order_by=["observed_at", "source"]).alias(name) for name, each in _LISTED.items()]
    return read["silver.markets"].group_by("coin_id").agg(*newest)


def summarise(days: Arrays, units: Arrays) -> Arrays:
    """Days in, ordered by coin and day, and the first days of new units, by day; one row a coin out."""
    starts, lengths = runs(days["coin_id"])
    last = starts + lengths - 1
    ends = np.repeat(last, lengths)
    back = (days["day"][ends] - days["day"]).astype(np.int64)
    begun = np.repeat(_begun(days, last, units), lengths)
    counts = (days["source"] == days["source"][ends]) & (days["day"] >= begun)
    back = np.where(counts, back, np.iinfo(np.int64).max)
    low, high = (np.where(days["day"] == begun, days["close_usd"], days[name]) for name in ("low_usd", "high_usd"))
    made = {name: days[name][last] for name in ("coin_id", "day", "close_usd")}
    for name, length in WINDOWS.items():
        inside = back < length
        made |= {
            f"average_{name}_usd": _averages(np.where(inside, days["average_usd"], np.nan), starts, lengths),
            f"minimum_{name}_usd": _of_each(np.minimum, np.where(inside, low, np.inf), starts),
            f"maximum_{name}_usd": _of_each(np.maximum, np.where(inside, high, -np.inf), starts),
            f"return_{name}": _returns(days["close_usd"], np.flatnonzero(back == length), ends)[last],
            f"days_known_{name}": _of_each(np.add, inside.astype(np.int64), starts),
        }
    return made


def _begun(days: Arrays, last: NDArray[np.int64], units: Arrays) -> NDArray[Any]:
    """By coin, the day on which the price of its last day's source came in its unit; long ago where it always did."""
    newest = dict(zip(zip(units["coin_id"], units["source"], strict=True), units["day"].tolist(), strict=True))
    coins = zip(days["coin_id"][last], days["source"][last], strict=True)
    return np.array([newest.get(coin, date.min) for coin in coins], dtype="datetime64[D]")


def _of_each(join: np.ufunc, values: NDArray[Any], starts: NDArray[np.int64]) -> NDArray[Any]:
    """The values of each coin, joined."""
    return np.asarray(join.reduceat(values, starts)) if len(starts) else values


def _averages(values: Floats, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> Floats:
    """The mean of each coin's known values; around one of them, so that what never moved is its own mean, and of parts,
    so that no sum is more than a float64 can be.
    """
    known = ~np.isnan(values)
    middle = _of_each(np.fmax, values, starts)
    away = np.where(known, values - np.repeat(middle, lengths), 0.0)
    counts = np.maximum(_of_each(np.add, known.astype(np.int64), starts), 1)
    return np.asarray(middle + _of_each(np.add, away / np.repeat(counts, lengths), starts))


def _returns(close: Floats, before: NDArray[np.int64], ends: NDArray[np.int64]) -> Floats:
    """By row, the last close over that of the row `before` it, minus one; NaN where there is none."""
    found = np.full(len(close), np.nan)
    begins = before[close[before] > 0]
    found[ends[begins]] = close[ends[begins]] / close[begins] - 1
    return found
