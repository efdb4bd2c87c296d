"""The engine on pandas: small, local, and easy to step through with a debugger."""

from __future__ import annotations

from typing import Any

import duckdb
import narwhals as nw
import pandas as pd
import pyarrow as pa
from arro3.core import Table as Rows

from coinlake.duck import bring, glance
from coinlake.engine import Cluster, Frame

_TEXTS = {pa.string_view(), pa.large_string()}
"""Arrow's other texts, which pandas cannot sort."""


class PandasEngine:
    """Frames are data frames with Arrow's types: nulls stay nulls, dates stay dates."""

    name = "pandas"
    cluster: Cluster | None = None

    def frame(self, data: Any, select: str = "*") -> Frame:
        """A frame over the rows in memory."""
        table = pa.table(data if select == "*" else _held(data, select))
        plain = pa.schema([(f.name, pa.string() if f.type in _TEXTS else f.type) for f in table.schema])
        frame: Frame = nw.from_native(table.cast(plain).to_pandas(types_mapper=pd.ArrowDtype)).lazy()
        return frame

    def another(self) -> PandasEngine:
        """A new one."""
        return PandasEngine()

    def arrow(self, frame: Frame) -> Any:
        """The rows as an Arrow table."""
        return pa.Table.from_pandas(frame.collect().to_native(), preserve_index=False)

    def scan(self, sql: str) -> Frame:
        """A frame over the rows, in memory."""
        return self.frame(glance().sql(sql))

    def rows(self, frame: Frame) -> Rows:
        """The rows as those of every engine."""
        return Rows.from_arrow(self.arrow(frame))

    def held(self, frame: Frame) -> Frame:
        """The frame as data frame, with the types it has."""
        computed: Frame = frame.collect().lazy()
        return computed

    def relation(self, frame: Frame) -> duckdb.DuckDBPyRelation:
        """The rows as a relation of DuckDB."""
        return _held(self.arrow(frame))


def _held(data: Any, select: str = "*") -> duckdb.DuckDBPyRelation:
    con = glance()
    bring(con, data, "held", select)
    return con.table("held")
