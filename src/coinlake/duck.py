"""DuckDB connections of our own, and how rows get into them."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import duckdb

_SMALL = 4 * 2**20
"""Of so many bytes, what DuckDB makes of them may stay in this process."""


def connect() -> duckdb.DuckDBPyConnection:
    """A connection in UTC that writes no progress to stdout and fetches nothing from the network."""
    return _quiet(_tamed(duckdb.connect()))


def glance() -> duckdb.DuckDBPyConnection:
    """The same for what is small, fifty times faster to have: one database is behind all such connections, which see
    none but their own temporary tables. What is large takes `connect`, whose memory goes back when it ends.
    """
    return beside(_database(os.getpid()))


def fitting(size: int) -> duckdb.DuckDBPyConnection:
    """The one or the other, for data of so many bytes."""
    return glance() if size < _SMALL else connect()


def beside(con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """Another connection to the database behind one, with temporary tables of its own."""
    return _quiet(con.cursor())


@cache
def _database(process: int) -> duckdb.DuckDBPyConnection:
    """Of this process: one that was forked has none of the threads of the one it came from."""
    return _tamed(duckdb.connect())


def _tamed(con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    con.execute("set global TimeZone = 'UTC'")
    con.execute("set autoinstall_known_extensions = false")
    return con


def _quiet(con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    con.execute("set enable_progress_bar = false")  # of the connection alone: it is on where there is a terminal
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
