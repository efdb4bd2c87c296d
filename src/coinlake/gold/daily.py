"""A coin's UTC day: what it opened, peaked, bottomed and closed at, from everything that was observed.

The price at 00:00 UTC is the close of the day before and the open of the day that begins. A day has a row once its
close is known; the running day has none. `is_final` closes come from the finished point at 00:00 (or a candle that
ends there); otherwise the observation nearest to midnight stands in, at most an hour after or five minutes before it,
until the finished one arrives. An observation belongs to one day: those after 00:00 up to and including the next
00:00. `average_usd` is the mean over the granularity that saw the day most often, for mixing them would weigh some
hours more. High and low include open and close; `range_is_sampled` says that they come from sampled prices rather than
from candles that cover the day, so the true extremes may lie outside.

Where several sources know a day, the whole row is of the first in the order of preference; sources are never mixed in
a row. `flags` compare with the day before: `jump_price` (three times, or a third), `jump_market_cap` (over eleven
times, or under a twentieth), `jump_volume` (a hundred times), `stale` (close, cap and volume all repeated). Nothing is
clipped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import narwhals as nw

from coinlake.engine import Engine, Frame
from coinlake.engine.series import arrays, is_empty, means
from coinlake.spans import DAY_S, SPANS_S
from coinlake.table import Boolean, Column, Date, Float64, Int64, String, Table, Timestamp

TABLE = Table(
    "gold.daily",
    key=("coin_id", "day"),
    columns={
        "coin_id": Column(String, "CoinGecko id"),
        "day": Column(Date, "UTC day"),
        "source": Column(String, "whose observations the row rests on", required=True),
        "open_usd": Column(Float64, "price at 00:00 of the day; null where unknown", "USD", between=(0, None)),
        "high_usd": Column(Float64, "highest price known of the day", "USD", required=True, between=(0, None)),
        "low_usd": Column(Float64, "lowest price known of the day", "USD", required=True, between=(0, None)),
        "close_usd": Column(Float64, "price at 00:00 of the next day", "USD", required=True, between=(0, None)),
        "average_usd": Column(
            Float64, "mean of the prices observed; null if only near midnight", "USD", between=(0, None)
        ),
        "volume_24h_usd": Column(Float64, "traded in the 24 hours before the close", "USD", between=(0, None)),
        "market_cap_usd": Column(Float64, "market capitalisation at the close", "USD", between=(0, None)),
        "observations": Column(Int64, "distinct moments observed in the day", "moments", True, between=(0, None)),
        "hours_observed": Column(Int64, "hours of the day with an observation", "hours", True, between=(0, 24)),
        "is_final": Column(Boolean, "whether the close is the finished one at 00:00", required=True),
        "range_is_sampled": Column(Boolean, "whether high and low come from sampled prices", required=True),
        "close_observed_at": Column(Timestamp, "the moment the close was observed", "UTC", required=True),
        "close_bronze_object": Column(String, "bronze object the close came from", required=True),
        "flags": Column(String, "what is odd about the day, comma-separated; empty if nothing", required=True),
    },
    grain="one finished UTC day of one coin",
    dated_by="day",
    reads=("silver.prices", "silver.markets", "silver.candles"),
    sorted_by=("coin_id", "day"),
)

LATE_S = 3_600
"""Seconds after midnight within which an observation may stand in for the close."""
EARLY_S = 300
"""Seconds before midnight within which it may."""
MOMENT, ONE_DAY = timedelta(microseconds=1), timedelta(days=1)
JUMP_PRICE, JUMP_VOLUME = 3.0, 100.0
JUMP_CAP_UP, JUMP_CAP_DOWN = 11.0, 0.05

COIN = ["source", "coin_id"]
DAY = [*COIN, "day"]

_TOUCHES = """
    select coin_id, min(day) as first_day, max(day) + 1 as last_day from (
        select coin_id, ({moment} - interval 1 microsecond)::DATE
            - case when epoch({moment} - date_trunc('day', {moment})) between 1e-6 and 3600.999999
                then 1 else 0 end as day
        from changed
        union all select coin_id, ({moment} - interval 1 microsecond)::DATE as day from changed
    ) group by coin_id
"""
"""SQL: the days that observations at `{moment}` of the relation `changed` may change, by coin: their own, the day
before where they may stand in for its close (up to the end of the last second), and the day after, which opens
there."""
TOUCHES = dict.fromkeys(TABLE.reads, _TOUCHES)

BLOCKS = "coins"
LOOKBACK_DAYS = 2
"""Days of observations before the first day touched that its row rests on."""


def build(read: Mapping[str, Frame], sources: Sequence[str], engine: Engine) -> Frame:
    """Rows of the days that the observations close.

    Args:
        read: current views of `silver.prices`, `silver.markets`, `silver.candles`.
        sources: order of preference; sources not named follow in alphabetical order.
        engine: whose frames they are.
    """
    there = [name for name in TABLE.reads if not is_empty(engine, read[name])]
    candles = _candles(read["silver.candles"])
    points = engine.held(_points(read, candles, there))
    days = _days(points, engine)
    ranged = days.join(_candle_days(candles), on=DAY, how="left") if "silver.candles" in there else _no_candles(days)
    whole = ranged.join(_yesterday(days), on=DAY, how="left")
    return _preferred(_rows(whole), sources, _has_several(points, engine))


def _candles(candles: Frame) -> Frame:
    finished = candles.filter(~nw.col("flags").str.contains("unfinished"))
    seconds = nw.lit(max(SPANS_S.values()))  # of the longest, if of none before it: a null would make pandas' floats
    for name, length in SPANS_S.items():
        seconds = nw.when(nw.col("span") == name).then(nw.lit(length)).otherwise(seconds)
    return finished.with_columns(span_s=seconds, day=_day_of("closed_at"))


def _day_of(moment: str) -> nw.Expr:
    """The day a moment belongs to: 00:00 is the last moment of the day before."""
    return (nw.col(moment) - MOMENT).dt.truncate("1d").cast(nw.Date)


def _points(read: Mapping[str, Frame], candles: Frame, there: Sequence[str]) -> Frame:
    """Every price observed, whichever table it lies in, of those that hold any."""
    columns = [*COIN, "granularity", "observed_at", "price_usd", "market_cap_usd", "volume_24h_usd", "bronze_object"]
    markets = read["silver.markets"].filter(~nw.col("flags").str.contains("rounded"))
    ends = candles.with_columns(
        granularity=nw.col("span"),
        observed_at=nw.col("closed_at"),
        price_usd=nw.col("close_usd"),
        market_cap_usd=nw.lit(None, dtype=nw.Float64),
        volume_24h_usd=nw.when(nw.col("span") == "1d").then(nw.col("volume_usd")),
    )
    found = {
        "silver.prices": read["silver.prices"],
        "silver.markets": markets.with_columns(granularity=nw.lit("spot")),
        "silver.candles": ends,
    }
    names = [name for name in found if name in there] or ["silver.prices"]
    every = nw.concat([found[name].select(columns) for name in names], how="vertical")
    return every.filter(~nw.col("price_usd").is_null()).with_columns(day=_day_of("observed_at"))


def _days(points: Frame, engine: Engine) -> Frame:
    """Per day its close, its extremes and its mean.

    Of most days of a history nothing is known but the point that closes them: there is nothing to choose or to count.
    """
    is_finished = (nw.col("granularity") == "daily") & (
        nw.col("observed_at") == nw.col("observed_at").dt.truncate("1d")
    )
    counted = points.with_columns(_finished=is_finished.cast(nw.Int64)).group_by(*DAY)
    of_each = counted.agg(_points=nw.len(), _finished=nw.col("_finished").min())
    busy = engine.held(of_each.filter((nw.col("_points") > 1) | (nw.col("_finished") == 0)).select(*DAY))
    if is_empty(engine, busy):
        return _alone(points)
    plain, others = _alone(points.join(busy, on=DAY, how="anti")), points.join(busy, on=DAY, how="semi")
    chosen = _closes(others).join(plain.select(DAY), on=DAY, how="anti")
    several = chosen.join(_seen(others), on=DAY, how="left").join(_average(others, engine), on=DAY, how="left")
    return engine.held(nw.concat([plain, several.select(plain.collect_schema().names())], how="vertical"))


def _alone(points: Frame) -> Frame:
    """Days of which one finished point is known."""
    one = nw.lit(1, dtype=nw.Int64)
    return points.select(
        *DAY,
        **{name: nw.col(column) for name, column in _CLOSE.items()},
        _close_rank=nw.lit(FINISHED, dtype=nw.Int64),
        _high=nw.col("price_usd"),
        _low=nw.col("price_usd"),
        _observations=one,
        _hours=one,
        average_usd=nw.col("price_usd"),
    )


def _has_several(points: Frame, engine: Engine) -> bool:
    """Whether the points are of more sources than one."""
    return len(arrays(engine, points.select("source").unique())["source"]) > 1


_CLOSE = {
    "close_usd": "price_usd",
    "market_cap_usd": "market_cap_usd",
    "volume_24h_usd": "volume_24h_usd",
    "close_observed_at": "observed_at",
    "close_bronze_object": "bronze_object",
}
"""By column of a day, the column of the observation that closes it."""
FINISHED, CANDLE = -2, -1
"""Ranks of the finished daily point and of a candle's end; of others it is how many seconds off midnight they are."""


def _closes(points: Frame) -> Frame:
    """Per day the observation that closes it: the finished point, a candle's end, or what lies nearest to midnight."""
    midnight = nw.col("observed_at").dt.truncate("1d")
    after_s = (nw.col("observed_at") - midnight).dt.total_seconds().cast(nw.Int64)
    exact = nw.col("observed_at") == midnight
    placed = points.with_columns(_after_s=after_s, _midnight=midnight)
    rank = (
        nw.when(exact & (nw.col("granularity") == "daily"))
        .then(nw.lit(FINISHED))
        .otherwise(
            nw.when(exact & ~nw.col("granularity").is_in(["spot", "5m", "hourly"]))
            .then(nw.lit(CANDLE))
            .otherwise(nw.col("_after_s"))
        )
    )
    late = placed.filter(nw.col("_after_s") <= LATE_S).with_columns(
        day=(nw.col("_midnight") - ONE_DAY).cast(nw.Date), _rank=rank.cast(nw.Int64)
    )
    early = placed.filter(nw.col("_after_s") >= DAY_S - EARLY_S).with_columns(
        day=nw.col("_midnight").cast(nw.Date), _rank=(DAY_S - nw.col("_after_s")).cast(nw.Int64)
    )
    order = ["_rank", "observed_at", "granularity", "bronze_object"]
    # One window and not six ordered aggregates, each of which would sort. The column counted is none of the windows'.
    near = nw.concat([late, early], how="vertical").with_columns(_each=nw.lit(1))
    numbered = near.with_columns(_number=nw.col("_each").cum_count().over(*DAY, order_by=order))
    first = {name: nw.col(column) for name, column in _CLOSE.items()}
    return numbered.filter(nw.col("_number") == 1).select(*DAY, **first, _close_rank=nw.col("_rank"))


def _seen(points: Frame) -> Frame:
    hour = (nw.col("observed_at") - MOMENT).dt.hour()
    return (
        points.with_columns(_hour=hour)
        .group_by(*DAY)
        .agg(
            _high=nw.col("price_usd").max(),
            _low=nw.col("price_usd").min(),
            _observations=nw.col("observed_at").n_unique(),
            _hours=nw.col("_hour").n_unique(),
        )
        .with_columns(nw.col("_observations", "_hours").cast(nw.Int64))
    )


def _average(points: Frame, engine: Engine) -> Frame:
    """The mean over the granularity that observed the day most often."""
    of_each = means(engine, points, [*DAY, "granularity"], "price_usd").with_columns(_fewer=-nw.col("count"))
    return of_each.group_by(*DAY).agg(average_usd=nw.col("mean").first(order_by=["_fewer", "granularity"]))


def _candle_days(candles: Frame) -> Frame:
    """Per day, from candles no longer than it: extremes, and the open where candles of one span cover all of it."""
    ranged = ~nw.col("high_usd").is_null() & ~nw.col("low_usd").is_null()
    within = candles.filter(nw.col("span_s") <= DAY_S).with_columns(
        _ranged_s=nw.when(ranged).then(nw.col("span_s")).otherwise(nw.lit(0))
    )
    of_each = (
        within.group_by(*DAY, "span")
        .agg(
            _candle_high=nw.col("high_usd").max(),
            _candle_low=nw.col("low_usd").min(),
            _candle_open=nw.col("open_usd").first(order_by="closed_at"),
            _covered_s=nw.col("_ranged_s").sum(),
        )
        .with_columns(_less=-nw.col("_covered_s").cast(nw.Int64))
    )
    return of_each.group_by(*DAY).agg(
        _candle_high=nw.col("_candle_high").max(),
        _candle_low=nw.col("_candle_low").min(),
        _candle_open=nw.col("_candle_open").first(order_by=["_less", "span"]),
        _covered_s=nw.col("_covered_s").max(),
    )


def _no_candles(days: Frame) -> Frame:
    """Days of which no candle is known."""
    unknown = nw.lit(None, dtype=nw.Float64)
    return days.with_columns(_candle_high=unknown, _candle_low=unknown, _candle_open=unknown, _covered_s=nw.lit(0))


def _yesterday(closes: Frame) -> Frame:
    return closes.select(
        *COIN,
        day=(nw.col("day") + ONE_DAY).cast(nw.Date),
        _before_close=nw.col("close_usd"),
        _before_cap=nw.col("market_cap_usd"),
        _before_volume=nw.col("volume_24h_usd"),
    )


def _rows(days: Frame) -> Frame:
    covered = (nw.col("_covered_s") >= DAY_S).fill_null(False)
    opened = days.with_columns(
        open_usd=nw.when(covered & ~nw.col("_candle_open").is_null())
        .then(nw.col("_candle_open"))
        .otherwise(nw.col("_before_close")),
        range_is_sampled=~covered,
        is_final=nw.col("_close_rank") < 0,
        observations=nw.col("_observations").fill_null(0).cast(nw.Int64),
        hours_observed=nw.col("_hours").fill_null(0).cast(nw.Int64),
        flags=_flags(),
    )
    return opened.with_columns(
        high_usd=nw.max_horizontal("_high", "_candle_high", "open_usd", "close_usd"),
        low_usd=nw.min_horizontal("_low", "_candle_low", "open_usd", "close_usd"),
    )


def _flags() -> nw.Expr:
    close, cap, volume = nw.col("close_usd"), nw.col("market_cap_usd"), nw.col("volume_24h_usd")
    close_0, cap_0, volume_0 = nw.col("_before_close"), nw.col("_before_cap"), nw.col("_before_volume")
    named = {
        "jump_price": (close > close_0 * JUMP_PRICE) | (close * JUMP_PRICE < close_0),
        "jump_market_cap": (cap > cap_0 * JUMP_CAP_UP) | (cap < cap_0 * JUMP_CAP_DOWN),
        "jump_volume": (volume_0 > 0) & (volume > volume_0 * JUMP_VOLUME),
        "stale": (close == close_0) & (cap == cap_0) & (volume == volume_0),
    }
    flags = [
        nw.when(when.fill_null(False)).then(nw.lit(f"{name},")).otherwise(nw.lit("")) for name, when in named.items()
    ]
    return nw.concat_str(*flags, separator="").str.strip_chars(",")


def _preferred(rows: Frame, sources: Sequence[str], are_several: bool) -> Frame:
    """Of each coin's day the row of the source that comes first."""
    if not are_several:
        return rows.select(*TABLE.columns)
    place = nw.lit(len(sources))
    for number, source in reversed(list(enumerate(sources))):
        place = nw.when(nw.col("source") == source).then(nw.lit(number)).otherwise(place)
    ranked = rows.with_columns(_place=place)
    best = ranked.with_columns(
        _number=nw.col("close_usd").cum_count().over("coin_id", "day", order_by=["_place", "source"])
    )
    return best.filter(nw.col("_number") == 1).select(*TABLE.columns)
