"""The current view of observations: per key, for each value the newest known one."""

from __future__ import annotations

import narwhals as nw

from coinlake.engine import Frame
from coinlake.table import ORDER, Table


def current(table: Table, observations: Frame) -> Frame:
    """One row a key. A value that the newest answer left open keeps what an older one said; where it came from
    (`fetched_at`, `bronze_object`, `line`) is of the newest row.
    """
    key, order = list(table.key), list(ORDER)
    known = [
        nw.col(name).fill_null(strategy="forward").over(*key, order_by=order)
        for name in table.values
        if not table.required(name)
    ]
    # The column counted is none of the key's: over its own column, Narwhals' pandas counts within the wrong groups.
    numbered = observations.with_columns(_each=nw.lit(1)).with_columns(
        *known, _number=nw.col("_each").cum_count().over(*key, order_by=order), _of=nw.len().over(*key)
    )
    return numbered.filter(nw.col("_number") == nw.col("_of")).select(*table.columns)
