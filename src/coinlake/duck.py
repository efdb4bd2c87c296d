"""DuckDB connections of our own, and how rows get into them."""

from __future__ import annotations

from typing import Any

import duckdb


def connect() -> duckdb.DuckDBPyConnection:
    """A connection in UTC that writes no progress to stdout and fetches nothing from the network."""
    con = duckdb.connect()
    con.execute("set TimeZone = 'UTC'")
    con.execute("set enable_progress_bar = false")
    con.execute("set autoinstall_known_extensions = false")
    return con


def bring(con: duckdb.DuckDBPyConnection, data: Any, name: str, select: str = "*", rest: str = "") -> None:
    """Make the table `name` of `data`, anything that gives an Arrow stream, of which it is read once.

    DuckDB is handed the bare stream: given the object, it would import pyarrow and pandas (1.5 s) to see whether it is
    one of theirs. A relation of the same connection must not be given: each would wait for the other.
    """
    given = data.__arrow_c_stream__()  # noqa: F841 - DuckDB finds it by its name
    con.execute(f"create or replace {'' if '.' in name else 'temp '}table {name} as select {select} from given {rest}")


def quoted(value: str) -> str:
    """A text as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"
