"""The whole market in one line, as CoinGecko itself counts it: total cap and volume, and bitcoin's and ether's share.

The free plans give no history of it, so what was not fetched cannot be had later.
"""

from __future__ import annotations

import duckdb

from coinlake.engine import Frame
from coinlake.silver.decode import Cleaned, Decoded, Field, Kind, Reader, decoded
from coinlake.silver.prices import unknown_if_zero
from coinlake.table import Column, Float64, Int64, String, Timestamp, observations

TABLE = observations(
    "silver.global_market",
    key=("source", "observed_at"),
    columns={
        "source": Column(String, "who says so"),
        "observed_at": Column(Timestamp, "when the service last updated it", "UTC"),
        "active_coins": Column(Int64, "coins that the service follows", "coins", between=(0, None)),
        "venues": Column(Int64, "exchanges that the service follows", "venues", between=(0, None)),
        "total_market_cap_usd": Column(Float64, "market cap of all coins", "USD", between=(0, None)),
        "total_volume_24h_usd": Column(Float64, "volume of all coins over 24 hours", "USD", between=(0, None)),
        "bitcoin_dominance_percent": Column(Float64, "bitcoin's share of the total cap", "%", between=(0, 100)),
        "ether_dominance_percent": Column(Float64, "ether's share of the total cap", "%", between=(0, 100)),
        "change_24h_percent": Column(Float64, "change of the total cap over 24 hours", "%"),
    },
    grain="one look at the whole market",
    dated_by="observed_at",
)

_FIELDS = [
    Field("observed_at", "$.updated_at", Kind.SECONDS),
    Field("active_coins", "$.active_cryptocurrencies", Kind.COUNT),
    Field("venues", "$.markets", Kind.COUNT),
    Field("total_market_cap_usd", "$.total_market_cap.usd", Kind.NUMBER),
    Field("total_volume_24h_usd", "$.total_volume.usd", Kind.NUMBER),
    Field("bitcoin_dominance_percent", "$.market_cap_percentage.btc", Kind.NUMBER),
    Field("ether_dominance_percent", "$.market_cap_percentage.eth", Kind.NUMBER),
    Field("change_24h_percent", "$.market_cap_change_percentage_24h_usd", Kind.NUMBER),
]
_NOT_TAKEN = ("upcoming_icos", "ongoing_icos", "ended_icos", "volume_change_percentage_24h_usd")


def decode(con: duckdb.DuckDBPyConnection, asked: str) -> Decoded:
    """One element an answer: what is under `data`."""
    con.execute(f"create or replace temp table asked as {asked}")
    elements = (
        "select bronze_object, line, source, null as coin_id, fetched_at, '$.data' as path, "
        "coalesce(json_extract(body, '$.data'), 'null'::JSON) as e from asked"
    )
    return decoded(con, elements, _FIELDS, known=_NOT_TAKEN)


def build(looks: Frame) -> Cleaned:
    """Rows of looks at the market."""
    known = looks.with_columns(total_market_cap_usd=unknown_if_zero("total_market_cap_usd"))
    return Cleaned(known.select(*TABLE.columns, "path"))


READERS = {"global": Reader(decode, build, in_dollars=False)}
