"""What every run did: when, with which plan, how many calls, retries, credits, rows and rejects, and how it ended.

A run leaves one record when it begins and one when it ends. One that was killed has no end: `ended_at` and `outcome`
stay null, and it shows as such.
"""

from __future__ import annotations

import duckdb

from coinlake.engine import Frame
from coinlake.silver.decode import Cleaned, Decoded, Field, Kind, Reader, decoded
from coinlake.table import Column, Float64, Int64, String, Timestamp, observations

ENDPOINT = "runs"
SOURCE = "coinlake"

TABLE = observations(
    "silver.runs",
    key=("run",),
    columns={
        "run": Column(String, "name of the run"),
        "command": Column(String, "what was asked for"),
        "began_at": Column(Timestamp, "when it began", "UTC"),
        "ended_at": Column(Timestamp, "when it ended; null if it never did", "UTC"),
        "outcome": Column(String, "`ok`, or the kind of error it ended with; null if it never ended"),
        "message": Column(String, "the error's sentence"),
        "plan": Column(String, "the plan with the service"),
        "calls": Column(Int64, "calls made, retries included", "calls", between=(0, None)),
        "retries": Column(Int64, "calls made again", "calls", between=(0, None)),
        "credits": Column(Int64, "answers that the service counts", "credits", between=(0, None)),
        "answers": Column(Int64, "answers kept in bronze", "answers", between=(0, None)),
        "rows": Column(Int64, "rows appended to silver", "rows", between=(0, None)),
        "rejects": Column(Int64, "rejects recorded", "rejects", between=(0, None)),
        "versions": Column(String, "tables written and their versions, as JSON"),
        "unknown_coins": Column(String, "coins the service did not know, comma-separated"),
        "refused": Column(
            String, "the calls about them that were answered 404, and when they are asked for again, as JSON"
        ),
        "history_days": Column(Int64, "shorter history limit that the service taught us", "days", between=(0, None)),
        "unavailable": Column(String, "what the plan does not let us fetch, as JSON"),
        "operations": Column(
            String, "what it asked of storage and how often, as JSON: written, read, listed, opened..."
        ),
        "lasted_s": Column(Float64, "how long it took", "s", between=(0, None)),
    },
    grain="one record of one run",
)

_KINDS = {Int64: Kind.COUNT, Float64: Kind.NUMBER, Timestamp: Kind.ISO, String: Kind.TEXT}
_FIELDS = [
    Field(name, f"$.{name}", _KINDS[TABLE.columns[name].type], expected=False) for name in (*TABLE.key, *TABLE.values)
]


def decode(con: duckdb.DuckDBPyConnection, asked: str) -> Decoded:
    """One element a record."""
    con.execute(f"create or replace temp table asked as {asked}")
    elements = (
        "select bronze_object, line, source, null as coin_id, fetched_at, '$' as path, body::JSON as e from asked"
    )
    return decoded(con, elements, _FIELDS)


def build(records: Frame) -> Cleaned:
    """Rows of records."""
    return Cleaned(records.select(*TABLE.columns, "path"))


READERS = {ENDPOINT: Reader(decode, build, in_dollars=False)}
