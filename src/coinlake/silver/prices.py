"""What a coin cost at a moment, with its market cap and the volume of the 24 hours before.

Rows come from the charts (`/coins/{id}/market_chart`, 5-minutely, hourly or daily) and from quick looks
(`/simple/price`, granularity `spot`). Moments are kept as they were given, never floored: charts are not aligned to
the clock. A chart's granularity is what its steps show, for the service changes it with the window. The extra point
"now" at the end of a daily chart is a `spot` observation; a daily point is one at 00:00 UTC exactly, and is the close
of the day before. Prices, caps and volumes of one answer are joined by their time, never by their place.

`flags` name what is odd about the point within its answer: `zero` (a price of 0, which means unknown), `spike` (price,
cap or volume ten times above or below both neighbours), `stale` (price, cap and volume all repeat the point before),
`time_assumed` (the answer gave no time, so it is the moment of fetching). Flagged points are kept.
"""

from __future__ import annotations

import duckdb
import narwhals as nw

from coinlake.engine import Frame
from coinlake.silver.decode import (
    Cleaned,
    Decoded,
    Field,
    Kind,
    Reader,
    asked_but_missing,
    decoded,
    lacking,
    not_an_object,
    reject,
)
from coinlake.table import Column, Float64, String, Timestamp, observations

GRANULARITIES = ("spot", "5m", "hourly", "daily")

TABLE = observations(
    "silver.prices",
    key=("source", "coin_id", "granularity", "observed_at"),
    columns={
        "source": Column(String, "who says so"),
        "coin_id": Column(String, "CoinGecko id"),
        "granularity": Column(String, "step of the series the point is of", one_of=GRANULARITIES),
        "observed_at": Column(Timestamp, "the moment the price was of", "UTC"),
        "price_usd": Column(Float64, "price; null where unknown", "USD", between=(0, None)),
        "market_cap_usd": Column(Float64, "market capitalisation; null where unknown", "USD", between=(0, None)),
        "volume_24h_usd": Column(Float64, "traded in the 24 hours before the moment", "USD", between=(0, None)),
        "flags": Column(String, "what is odd about the point, comma-separated; empty if nothing", required=True),
    },
    grain="one point of one series",
    dated_by="observed_at",
)

SERIES = {"prices": "price_usd", "market_caps": "market_cap_usd", "total_volumes": "volume_24h_usd"}
PATHS = [f"path_{column}" for column in SERIES.values()]
ANSWER = ["bronze_object", "line"]
SPIKE = 10.0
"""Times that a value lies above or below both of its neighbours to be flagged."""
SUPERSEDED_S = 300
"""Seconds that a point may lie before the one it follows to supersede it; further back it is merely out of order."""
MOST_DAYS = 36_500
"""Days asked for, above which nobody meant it."""
STEPS_S = {"5m": 1_200, "hourly": 43_200}
"""Granularity of a series by its median step, in seconds, up to which it is that; longer steps are daily."""

_ASKED = """case when "interval" in ('daily', 'hourly', '5m') then "interval"
    when days_asked <= 1 then '5m' when days_asked <= 90 then 'hourly' else 'daily' end"""
_SKEW = "interval 1 minute"
"""By how much the service's clock, from which it counts the days, may be ahead of ours."""
_MIDNIGHT = "(day + interval 1 day)::TIMESTAMP"


def decode_chart(con: duckdb.DuckDBPyConnection, asked: str) -> Decoded:
    """One element a point of a series: `[milliseconds, value]`."""
    con.execute(
        f"create or replace temp table asked as select *, case when days_asked is not null then "
        f"fetched_at - to_microseconds((days_asked * 86400e6)::BIGINT) + {_SKEW} else from_at end as window_from, "
        f"coalesce(least(to_at, fetched_at), fetched_at) as window_to, {_ASKED} as asked_granularity from ("
        f"select *, case when try_cast(days as DOUBLE) between 0 and {MOST_DAYS} then days::DOUBLE end as days_asked, "
        f"{Kind.SECONDS.value[1].format(t='from_s')} as from_at, {Kind.SECONDS.value[1].format(t='to_s')} as to_at "
        f"from ({asked})) as given"
    )
    names = ", ".join(f"'{name}'" for name in SERIES)
    con.execute(
        "create or replace temp table listed as "
        f"select * exclude (body), case when json_type(body, '$.' || series) = 'ARRAY' "
        f"then from_json(json_extract(body, '$.' || series), '[\"JSON\"]') end as list "
        f"from (select *, unnest([{names}]) as series from asked where json_type(body) = 'OBJECT')"
    )
    elements = (
        "select bronze_object, line, source, coin_id, fetched_at, asked_granularity, series, "
        "unnest(range(len(list))) as position, '$.' || series || '[' || position || ']' as path, unnest(list) as e "
        "from listed"
    )
    of_series, of_name = "'$.' || series", "'$.' || name"
    return decoded(
        con,
        elements,
        [Field("observed_at", "$[0]", Kind.MILLIS), Field("value", "$[1]", Kind.NUMBER)],
        keep="coin_id asked_granularity series position",
        shape="ARRAY",
        more_rejects=[
            not_an_object(),
            lacking("$[0]", "a time"),
            f"select {reject('missing_field', of_series)} from listed where list is null",
            f"select {reject('no_points', of_series)} from listed where len(list) = 0",
            f"select {reject('unknown_field', of_name)} from (select *, unnest(json_keys(body)) as name "
            f"from asked where json_type(body) = 'OBJECT') where name not in ({names})",
            _days_missing(),
        ],
    )


def _days_missing() -> str:
    """Ranges of days inside the window asked for that have no point.

    A daily point at 00:00 closes the day before; of finer series any point of the day will do. The last hour is not
    judged: the service may not have finished it.
    """
    days = (
        "select *, unnest(generate_series((window_from - interval 1 day)::DATE, window_to::DATE, interval 1 day))"
        "::DATE as day from listed where series = 'prices' and list is not null and coin_id is not null"
    )
    inside = (
        f"select *, case asked_granularity when 'daily' then {_MIDNIGHT} else day::TIMESTAMP end as first_point, "
        f"{_MIDNIGHT} as last_point from ({days})"
    )
    wanted = (
        f"select * from ({inside}) where first_point::TIMESTAMPTZ >= window_from "
        "and last_point::TIMESTAMPTZ <= window_to - interval 1 hour"
    )
    got = (
        "select bronze_object, line, (observed_at - interval 1 microsecond)::DATE as day from decoded "
        "where series = 'prices' and observed_at is not null"
    )
    lacking = f"select * from ({wanted}) as w anti join ({got}) as g using (bronze_object, line, day)"
    islands = (
        f"select *, day - (row_number() over (partition by bronze_object, line order by day))::INTEGER as island "
        f"from ({lacking})"
    )
    ranges = (
        "select bronze_object, line, any_value(source) as source, any_value(coin_id) as coin_id, "
        "any_value(fetched_at) as fetched_at, any_value(asked_granularity) as asked_granularity, "
        f"min(day) as first_day, max(day) as last_day from ({islands}) group by bronze_object, line, island"
    )
    path = "'$.prices[' || first_day || '..' || last_day || ']'"
    more = {"granularity": "asked_granularity", "first_day": "first_day", "last_day": "last_day"}
    return f"select {reject('day_missing', path, **more)} from ({ranges})"


def build_chart(points: Frame) -> Cleaned:
    """Rows of a chart's points: one a moment, its granularity as the steps show, odd points flagged."""
    points, refused = _without_repeats(points.filter(~nw.col("observed_at").is_null()))
    value, place = nw.col("value"), nw.concat_str(nw.col("path"), nw.lit("[1]"))
    wide = points.with_columns(
        *[nw.when(nw.col("series") == name).then(value).alias(column) for name, column in SERIES.items()],
        *[nw.when(nw.col("series") == name).then(place).alias(f"path_{column}") for name, column in SERIES.items()],
        _zero=nw.when((nw.col("series") == "prices") & (value == 0)).then(nw.lit(1)).otherwise(nw.lit(0)),
    )
    moments = wide.group_by(*ANSWER, "source", "coin_id", "fetched_at", "asked_granularity", "observed_at").agg(
        *[nw.col(column).max() for column in (*SERIES.values(), *PATHS)],
        nw.col("path").max(),
        nw.col("_zero").max(),
    )
    known = moments.with_columns(
        **{name: unknown_if_zero(name) for name in ("price_usd", "market_cap_usd")},
    )
    placed = _with_granularity(known)
    return Cleaned(_flagged(placed), nw.concat([*refused, _unequal(wide)], how="vertical"))


def unknown_if_zero(column: str) -> nw.Expr:
    """The column, null where it is zero: a zero price, cap or supply means that nobody knows."""
    return nw.when(nw.col(column) != 0).then(nw.col(column))


def _without_repeats(points: Frame) -> tuple[Frame, list[Frame]]:
    series = [*ANSWER, "series"]
    late_s = (nw.col("observed_at") - nw.col("_next")).dt.total_seconds()
    ordered = points.with_columns(_next=nw.col("observed_at").shift(-1).over(*series, order_by="position"))
    backward = (nw.col("_next") < nw.col("observed_at")) & (late_s <= SUPERSEDED_S)
    marked = ordered.with_columns(_backward=nw.when(backward).then(nw.lit(1)).otherwise(nw.lit(0)))
    kept = marked.filter(nw.col("_backward") == 0).with_columns(
        _number=nw.col("position").cum_count().over(*series, "observed_at", order_by="position"),
        _of=nw.len().over(*series, "observed_at"),
    )
    refused = [
        _rejects(marked.filter(nw.col("_backward") == 1), "backward_timestamp", "superseded by the point after it"),
        _rejects(kept.filter(nw.col("_number") != nw.col("_of")), "duplicated_timestamp", "a later point has its time"),
    ]
    return kept.filter(nw.col("_number") == nw.col("_of")), refused


def _rejects(points: Frame, rule: str, detail: str) -> Frame:
    nothing = {name: nw.lit(None, dtype=nw.String) for name in ("granularity", "value")}
    no_day = {name: nw.lit(None, dtype=nw.Date) for name in ("first_day", "last_day")}
    return points.select(
        *ANSWER,
        "path",
        "source",
        "coin_id",
        "fetched_at",
        rule=nw.lit(rule),
        detail=nw.lit(detail),
        **nothing,
        **no_day,
    )


def _unequal(wide: Frame) -> Frame:
    """A reject for every answer whose series do not have the same number of points."""
    has = [nw.when(nw.col("series") == name).then(nw.lit(1)).otherwise(nw.lit(0)).alias(name) for name in SERIES]
    counted = (
        wide.with_columns(*has)
        .group_by(*ANSWER, "source", "coin_id", "fetched_at")
        .agg(*[nw.col(name).sum() for name in SERIES])
    )
    first, *others = (nw.col(name) for name in SERIES)
    unequal = counted.filter((first != others[0]) | (first != others[1])).with_columns(path=nw.lit("$"))
    return _rejects(unequal, "unequal_arrays", "series of different length, joined by time")


def _with_granularity(moments: Frame) -> Frame:
    """Granularity by the median step between prices; by what was asked for where there are fewer than four points."""
    order = nw.col("observed_at").shift(1).over(*ANSWER, order_by="observed_at")
    steps = moments.with_columns(_step=(nw.col("observed_at") - order).dt.total_seconds().cast(nw.Float64))
    medians = steps.group_by(*ANSWER).agg(_median=nw.col("_step").median(), _points=nw.len())
    inferred = (
        nw.when(nw.col("_points") < 4)
        .then(nw.col("asked_granularity"))
        .otherwise(
            nw.when(nw.col("_median") <= STEPS_S["5m"])
            .then(nw.lit("5m"))
            .otherwise(
                nw.when(nw.col("_median") <= STEPS_S["hourly"]).then(nw.lit("hourly")).otherwise(nw.lit("daily"))
            )
        )
    )
    midnight = nw.col("observed_at") == nw.col("observed_at").dt.truncate("1d")
    joined = moments.join(medians, on=ANSWER, how="left").with_columns(_inferred=inferred)
    return joined.with_columns(
        granularity=nw.when((nw.col("_inferred") == "daily") & ~midnight)
        .then(nw.lit("spot"))
        .otherwise(nw.col("_inferred"))
    )


def _flagged(moments: Frame) -> Frame:
    values = list(SERIES.values())
    series = [*ANSWER, "granularity"]
    around = moments.with_columns(
        *[nw.col(name).shift(1).over(*series, order_by="observed_at").alias(f"_before_{name}") for name in values],
        *[nw.col(name).shift(-1).over(*series, order_by="observed_at").alias(f"_after_{name}") for name in values],
    )
    spike, stale = nw.lit(False), nw.lit(True)
    for name in values:
        value, before, after = nw.col(name), nw.col(f"_before_{name}"), nw.col(f"_after_{name}")
        above = (value > before * SPIKE) & (value > after * SPIKE)
        below = (value * SPIKE < before) & (value * SPIKE < after)
        spike = spike | (above | below).fill_null(False)
        stale = stale & (value == before).fill_null(False)
    flags = nw.concat_str(
        _flag(nw.col("_zero") == 1, "zero"), _flag(spike, "spike"), _flag(stale, "stale"), separator=""
    ).str.strip_chars(",")
    return around.select(
        *[name for name in TABLE.columns if name not in {"flags", *ANSWER, "fetched_at"}],
        flags=flags,
        fetched_at=nw.col("fetched_at"),
        bronze_object=nw.col("bronze_object"),
        line=nw.col("line"),
        path=nw.col("path"),
        **{name: nw.col(name) for name in PATHS},
    )


def _flag(when: nw.Expr, name: str) -> nw.Expr:
    return nw.when(when).then(nw.lit(f"{name},")).otherwise(nw.lit(""))


def decode_simple(con: duckdb.DuckDBPyConnection, asked: str) -> Decoded:
    """One element a coin: `{"usd": …, "usd_market_cap": …}` under its id."""
    con.execute(f"create or replace temp table asked as {asked}")
    elements = (
        "select bronze_object, line, source, key as coin_id, fetched_at, "
        "'$.' || json_quote(key) as path, body -> ('/' || replace(replace(key, '~', '~0'), '/', '~1')) as e from ("
        "select *, unnest(json_keys(body)) as key from asked where json_type(body) = 'OBJECT')"
    )
    return decoded(
        con,
        elements,
        [
            Field("price_usd", "$.usd", Kind.NUMBER, expected=False),
            Field("market_cap_usd", "$.usd_market_cap", Kind.NUMBER, expected=False),
            Field("volume_24h_usd", "$.usd_24h_vol", Kind.NUMBER, expected=False),
            Field("observed_at", "$.last_updated_at", Kind.SECONDS, expected=False),
        ],
        known=("usd_24h_change",),
        keep="coin_id",
        more_rejects=[
            not_an_object(),
            lacking("$.usd", "a price"),
            asked_but_missing("select bronze_object, line, coin_id from decoded"),
        ],
    )


def build_simple(coins: Frame) -> Cleaned:
    """Rows of a quick look; where it gave no price there is nothing to keep, and a reject has said so."""
    no_time = nw.col("observed_at").is_null()
    flags = nw.concat_str(
        _flag((nw.col("price_usd") == 0).fill_null(False), "zero"), _flag(no_time, "time_assumed"), separator=""
    ).str.strip_chars(",")
    with_price = coins.filter(~nw.col("price_usd").is_null())
    return Cleaned(
        with_price.select(
            "source",
            "coin_id",
            granularity=nw.lit("spot"),
            observed_at=nw.when(no_time).then(nw.col("fetched_at")).otherwise(nw.col("observed_at")),
            price_usd=unknown_if_zero("price_usd"),
            market_cap_usd=unknown_if_zero("market_cap_usd"),
            volume_24h_usd=nw.col("volume_24h_usd"),
            flags=flags,
            fetched_at=nw.col("fetched_at"),
            bronze_object=nw.col("bronze_object"),
            line=nw.col("line"),
            path=nw.col("path"),
        )
    )


READERS = {
    "coins_market_chart": Reader(decode_chart, build_chart),
    "coins_market_chart_range": Reader(decode_chart, build_chart),
    "simple_price": Reader(decode_simple, build_simple),
}
