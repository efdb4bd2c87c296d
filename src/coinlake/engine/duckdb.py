"""The engine on DuckDB: the default, and the one in the cloud."""

from __future__ import annotations

from itertools import count
from typing import Any

import duckdb
import narwhals as nw
from arro3.core import Table as Rows

from coinlake.duck import beside, bring, connect
from coinlake.engine import Cluster, Frame


class DuckEngine:
    """Frames are relations of one DuckDB connection; what comes in is held in its temporary tables."""

    name = "duckdb"
    cluster: Cluster | None = None

    def __init__(self, con: duckdb.DuckDBPyConnection | None = None) -> None:
        self._con = con or connect()
        self._numbers = count()
        self._own: list[duckdb.DuckDBPyRelation] = []

    def frame(self, data: Any, select: str = "*") -> Frame:
        """A frame over a temporary table of its own, for a stream can be read only once.

        What `arrow` gave is a table already; as a stream it would be read by the connection that waits for it.
        """
        if any(data is each for each in self._own):
            frame: Frame = nw.from_native(data).lazy()
            return frame
        name = f"frame_{next(self._numbers)}"
        bring(self._con, data, name, select)
        return nw.from_native(self._table(name)).lazy()

    def another(self) -> DuckEngine:
        """A new one, of the same database."""
        return DuckEngine(beside(self._con))

    def arrow(self, frame: Frame) -> Any:
        """The frame's rows, computed once: any other relation would be computed again by everyone who reads it."""
        rows: duckdb.DuckDBPyRelation = frame.to_native()
        if any(rows is each for each in self._own):
            return rows
        name = f"frame_{next(self._numbers)}"
        self._con.execute(f"create temp table {name} as from rows")
        return self._table(name)

    def _table(self, name: str) -> duckdb.DuckDBPyRelation:
        self._own.append(self._con.table(name))
        return self._own[-1]

    def scan(self, sql: str) -> Frame:
        """A frame that holds nothing."""
        frame: Frame = nw.from_native(self._con.sql(sql)).lazy()
        return frame

    def rows(self, frame: Frame) -> Rows:
        """The frame's rows, which no table holds besides."""
        return Rows.from_arrow(self.relation(frame))

    def held(self, frame: Frame) -> Frame:
        """The frame as a table."""
        return self.frame(self.arrow(frame))

    def relation(self, frame: Frame) -> duckdb.DuckDBPyRelation:
        """The frame's own relation, not yet computed."""
        relation: duckdb.DuckDBPyRelation = frame.to_native()
        return relation
