"""Which coins the service knows: id, symbol, name, and whether it still follows them.

The id is the only key. Symbols collide (2,983 ids share one), are dirty (emoji, spaces, upper case), and change, as
names do; ids appear daily and vanish. What was once seen stays: a coin that is gone from the active list and comes up
in the inactive one turns inactive.
"""

from __future__ import annotations

import duckdb
import narwhals as nw

from coinlake.engine import Frame
from coinlake.silver.decode import Cleaned, Decoded, Field, Kind, Reader, array_elements, decoded
from coinlake.table import Boolean, Column, String, observations

TABLE = observations(
    "silver.coins",
    key=("source", "coin_id"),
    columns={
        "source": Column(String, "who says so"),
        "coin_id": Column(String, "CoinGecko id"),
        "symbol": Column(String, "ticker, as given: neither unique nor clean"),
        "name": Column(String, "the coin's name, as given"),
        "is_active": Column(Boolean, "whether the service still follows the coin", required=True),
    },
    grain="one coin in one list",
)

_FIELDS = [
    Field("coin_id", "$.id", Kind.TEXT),
    Field("symbol", "$.symbol", Kind.TEXT),
    Field("name", "$.name", Kind.TEXT),
]


def decode(con: duckdb.DuckDBPyConnection, asked: str) -> Decoded:
    """One element a coin."""
    con.execute(f"create or replace temp table asked as {asked}")
    return decoded(con, array_elements(), _FIELDS, known=("platforms",), keep="list_status")


def build(coins: Frame) -> Cleaned:
    """Rows of the list: active unless it was the list of the inactive ones."""
    active = (nw.col("list_status") != "inactive").fill_null(True)
    return Cleaned(coins.with_columns(is_active=active).select(*TABLE.columns, "path"))


READERS = {"coins_list": Reader(decode, build, in_dollars=False)}
