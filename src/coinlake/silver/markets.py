"""A coin's line in the market list: price, cap, rank, volume, supply, and its changes over seven horizons.

`observed_at` is the row's own `last_updated`: rows of one page differ in age by minutes. A zero price, cap or supply
means unknown and is null. Without `precision=full` the service rounds (ADA 1.22), so such rows carry the flag
`rounded`, and no close is ever taken from them. A circulating supply may exceed the total one: the service says so.
"""

from __future__ import annotations

import duckdb
import narwhals as nw

from coinlake.engine import Frame
from coinlake.silver.decode import Cleaned, Decoded, Field, Kind, Reader, array_elements, asked_but_missing, decoded
from coinlake.silver.prices import unknown_if_zero
from coinlake.table import Column, Float64, Int64, String, Timestamp, observations

HORIZONS = {"1h": "1h", "24h": "24h", "7d": "7d", "14d": "14d", "30d": "30d", "200d": "200d", "1y": "1y"}

_USD = {
    "price_usd": Column(Float64, "price; null where unknown", "USD", between=(0, None)),
    "market_cap_usd": Column(Float64, "market capitalisation; null where unknown", "USD", between=(0, None)),
    "fully_diluted_valuation_usd": Column(Float64, "price times the most there will be", "USD", between=(0, None)),
    "volume_24h_usd": Column(Float64, "traded in the 24 hours before the moment", "USD", between=(0, None)),
    "high_24h_usd": Column(Float64, "highest price of these 24 hours", "USD", between=(0, None)),
    "low_24h_usd": Column(Float64, "lowest price of these 24 hours", "USD", between=(0, None)),
    "all_time_high_usd": Column(Float64, "highest price ever", "USD", between=(0, None)),
    "all_time_low_usd": Column(Float64, "lowest price ever", "USD", between=(0, None)),
}
_SUPPLY = {
    "circulating_supply": Column(Float64, "coins in circulation; null where unknown", "coins", between=(0, None)),
    "total_supply": Column(Float64, "coins that exist; null where unknown", "coins", between=(0, None)),
    "max_supply": Column(Float64, "most coins there will be; null if unlimited or unknown", "coins", between=(0, None)),
}

TABLE = observations(
    "silver.markets",
    key=("source", "coin_id", "observed_at"),
    columns={
        "source": Column(String, "who says so"),
        "coin_id": Column(String, "CoinGecko id"),
        "observed_at": Column(Timestamp, "when the service last updated the row", "UTC"),
        "symbol": Column(String, "ticker, as given: neither unique nor clean"),
        "name": Column(String, "the coin's name, as given"),
        "rank": Column(Int64, "place by market cap, from 1; null if unranked", between=(1, None)),
        **_USD,
        "all_time_high_at": Column(Timestamp, "when it was highest", "UTC"),
        "all_time_low_at": Column(Timestamp, "when it was lowest", "UTC"),
        **_SUPPLY,
        **{f"change_{h}_percent": Column(Float64, f"price change over {h}", "%") for h in HORIZONS},
        "flags": Column(String, "what is odd about the row, comma-separated; empty if nothing", required=True),
    },
    grain="one line of the market list",
    dated_by="observed_at",
)

_FIELDS = [
    Field("coin_id", "$.id", Kind.TEXT),
    Field("observed_at", "$.last_updated", Kind.ISO),
    Field("symbol", "$.symbol", Kind.TEXT),
    Field("name", "$.name", Kind.TEXT),
    Field("rank", "$.market_cap_rank", Kind.COUNT),
    Field("price_usd", "$.current_price", Kind.NUMBER),
    Field("market_cap_usd", "$.market_cap", Kind.NUMBER),
    Field("fully_diluted_valuation_usd", "$.fully_diluted_valuation", Kind.NUMBER),
    Field("volume_24h_usd", "$.total_volume", Kind.NUMBER),
    Field("high_24h_usd", "$.high_24h", Kind.NUMBER),
    Field("low_24h_usd", "$.low_24h", Kind.NUMBER),
    Field("all_time_high_usd", "$.ath", Kind.NUMBER),
    Field("all_time_low_usd", "$.atl", Kind.NUMBER),
    Field("all_time_high_at", "$.ath_date", Kind.ISO),
    Field("all_time_low_at", "$.atl_date", Kind.ISO),
    Field("circulating_supply", "$.circulating_supply", Kind.NUMBER),
    Field("total_supply", "$.total_supply", Kind.NUMBER),
    Field("max_supply", "$.max_supply", Kind.NUMBER),
    *[
        Field(f"change_{column}_percent", f"$.price_change_percentage_{key}_in_currency", Kind.NUMBER, expected=False)
        for column, key in HORIZONS.items()
    ],
]
_NOT_TAKEN = (
    *("image", "price_change_24h", "price_change_percentage_24h", "market_cap_change_24h", "roi"),
    *("market_cap_change_percentage_24h", "ath_change_percentage", "atl_change_percentage", "sparkline_in_7d"),
    "market_cap_rank_with_rehypothecated",
)
UNKNOWN_IF_ZERO = ("price_usd", "market_cap_usd", "fully_diluted_valuation_usd", *_SUPPLY)


def decode(con: duckdb.DuckDBPyConnection, asked: str) -> Decoded:
    """One element a coin."""
    con.execute(f"create or replace temp table asked as {asked}")
    return decoded(
        con,
        array_elements(),
        _FIELDS,
        known=_NOT_TAKEN,
        keep="precision",
        more_rejects=[asked_but_missing("select bronze_object, line, coin_id from decoded")],
    )


def build(coins: Frame) -> Cleaned:
    """Rows of the market list."""
    rounded = (nw.col("precision") == "full").fill_null(False)
    rows = coins.with_columns(
        flags=nw.when(rounded).then(nw.lit("")).otherwise(nw.lit("rounded")),
        **{name: unknown_if_zero(name) for name in UNKNOWN_IF_ZERO},
    )
    return Cleaned(rows.select(*TABLE.columns, "path"))


READERS = {"coins_markets": Reader(decode, build)}
