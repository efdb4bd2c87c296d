"""Open, high, low and close of a coin over a span, filed under the moment the span ended. Own histories land here too.

CoinGecko's candles carry the time of their close; the last one of an answer is unfinished and closes in the future:
it carries the flag `unfinished` until a later answer brings the finished one. Its candles open at a price of their own,
not at the close before. Candles of 4 days are all that the free plans give beyond 30 days.
`inconsistent` marks a candle whose high or low does not hold its open or close.
"""

from __future__ import annotations

import duckdb
import narwhals as nw

from coinlake.engine import Frame
from coinlake.silver import own
from coinlake.silver.decode import Cleaned, Decoded, Field, Kind, Reader, array_elements, decoded, lacking
from coinlake.silver.prices import ANSWER, unknown_if_zero
from coinlake.spans import SPANS_S
from coinlake.table import Column, Float64, String, Timestamp, observations

OHLC = ("open_usd", "high_usd", "low_usd", "close_usd")

TABLE = observations(
    "silver.candles",
    key=("source", "coin_id", "span", "closed_at"),
    columns={
        "source": Column(String, "who says so"),
        "coin_id": Column(String, "CoinGecko id"),
        "span": Column(String, "length of the candle", one_of=tuple(SPANS_S)),
        "closed_at": Column(Timestamp, "when the candle ended, or will end", "UTC"),
        "open_usd": Column(Float64, "first price", "USD", between=(0, None)),
        "high_usd": Column(Float64, "highest price", "USD", between=(0, None)),
        "low_usd": Column(Float64, "lowest price", "USD", between=(0, None)),
        "close_usd": Column(Float64, "last price", "USD", between=(0, None)),
        "volume_usd": Column(Float64, "traded during the candle; null where unknown", "USD", between=(0, None)),
        "flags": Column(String, "what is odd about the candle, comma-separated; empty if nothing", required=True),
    },
    grain="one candle of one coin",
    dated_by="closed_at",
)


def decode(con: duckdb.DuckDBPyConnection, asked: str) -> Decoded:
    """One element a candle: `[milliseconds, open, high, low, close]`."""
    days = "case when isfinite(try_cast(days as DOUBLE)) then try_cast(days as DOUBLE) end as days"
    con.execute(f"create or replace temp table asked as select * replace ({days}) from ({asked})")
    fields = [Field("closed_at", "$[0]", Kind.MILLIS)]
    fields += [Field(name, f"$[{place}]", Kind.NUMBER) for place, name in enumerate(OHLC, start=1)]
    return decoded(
        con,
        array_elements(extra=", days"),
        fields,
        keep="coin_id days",
        shape="ARRAY",
        more_rejects=[lacking("$[0]", "a time")],
    )


def build(candles: Frame) -> Cleaned:
    """Rows of candles; the span is the median step, or what the days asked for say where there is only one."""
    known = candles.filter(~nw.col("closed_at").is_null())
    before = nw.col("closed_at").shift(1).over(*ANSWER, order_by="closed_at")
    moments = known.select(*ANSWER, "closed_at").unique()
    steps = moments.with_columns(_step=(nw.col("closed_at") - before).dt.total_seconds().cast(nw.Float64))
    medians = steps.group_by(*ANSWER).agg(_median=nw.col("_step").median())
    days = nw.col("days")
    by_days = nw.when(days <= 2).then(nw.lit(1_800.0)).otherwise(nw.when(days <= 30).then(nw.lit(14_400.0)))
    placed = known.join(medians, on=ANSWER, how="left").with_columns(
        _seconds=nw.when(nw.col("_median").is_null()).then(by_days).otherwise(nw.col("_median"))
    )
    rows = placed.with_columns(span=_span(), **{name: unknown_if_zero(name) for name in OHLC})
    return Cleaned(
        rows.with_columns(flags=_flags(), volume_usd=nw.lit(None, dtype=nw.Float64)).select(*TABLE.columns, "path")
    )


def _span() -> nw.Expr:
    """The span whose length is nearest above three quarters of the step."""
    span = nw.lit("4d")
    for name, seconds in sorted(SPANS_S.items(), key=lambda each: -each[1]):
        span = nw.when(nw.col("_seconds") <= seconds * 1.5).then(nw.lit(name)).otherwise(span)
    return span


def _flags() -> nw.Expr:
    high, low = nw.col("high_usd"), nw.col("low_usd")
    outside = nw.lit(False)
    for name in ("open_usd", "close_usd"):
        outside = outside | ((nw.col(name) > high) | (nw.col(name) < low)).fill_null(False)
    unfinished = nw.col("closed_at") > nw.col("fetched_at")
    return nw.concat_str(
        nw.when(unfinished).then(nw.lit("unfinished,")).otherwise(nw.lit("")),
        nw.when(outside).then(nw.lit("inconsistent,")).otherwise(nw.lit("")),
        separator="",
    ).str.strip_chars(",")


READERS = {"coins_ohlc": Reader(decode, build), own.ENDPOINT: own.reader(TABLE.columns, _flags)}
