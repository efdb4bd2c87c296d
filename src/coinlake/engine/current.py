"""The current view of observations: per key, for each value the newest known one."""

from __future__ import annotations

import narwhals as nw

from coinlake.engine import Engine, Frame
from coinlake.engine.series import is_empty
from coinlake.table import ORDER, Table


def current(table: Table, observations: Frame, engine: Engine) -> Frame:
    """One row a key, computed. A value that the newest answer left open keeps what an older one said; where it came
    from (`fetched_at`, `bronze_object`, `line`) is of the newest row.

    Of most keys of a history there is but one row, and nothing to choose.
    """
    key = list(table.key)
    again = engine.held(observations.group_by(*key).agg(_of=nw.len()).filter(nw.col("_of") > 1).select(*key))
    if is_empty(engine, again):
        return observations
    alone = observations.join(again, on=key, how="anti").select(*table.columns)
    return engine.held(nw.concat([alone, _newest(table, observations.join(again, on=key, how="semi"))], how="vertical"))


def _newest(table: Table, observations: Frame) -> Frame:
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
