"""Whether rows keep what their table promises: one mechanism for every table and every write.

The questions are SQL over a DuckDB relation, whichever engine made the rows.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
from arro3.core import Array, DataType, RecordBatchReader
from arro3.core import Table as Rows
from numpy.typing import NDArray

from coinlake.duck import bring
from coinlake.errors import ContractError
from coinlake.table import Column, Table, Type

PARTITION = "year"
"""The partition column of dated tables. It is derived here, and is part of no contract."""
BATCH = 2**15
"""Rows that are handed on at once."""
RUNS = 100
"""Runs of neighbours that are handed on as they lie; of more, the rows are copied."""


@dataclass(frozen=True)
class Check:
    """One promise about one column; `broken` is SQL that is true for a row that breaks it."""

    column: str
    rule: str
    broken: str


def checks(table: Table) -> list[Check]:
    """Every promise of a table about single rows."""
    return [check for name, column in table.columns.items() for check in _of(name, column, table.required(name))]


def _of(name: str, column: Column, required: bool) -> list[Check]:
    quoted = f'"{name}"'
    found = [Check(name, "missing", f"{quoted} is null")] if required else []
    if column.type is Type.FLOAT64:
        found.append(Check(name, "not_finite", f"not isfinite({quoted})"))
    if column.between:
        low, high = column.between
        bounds = [f"{quoted} < {low}" if low is not None else "", f"{quoted} > {high}" if high is not None else ""]
        found.append(Check(name, "out_of_range", " or ".join(filter(None, bounds))))
    if column.one_of:
        allowed = ", ".join(f"'{value}'" for value in column.one_of)
        found.append(Check(name, "not_allowed", f"{quoted} not in ({allowed})"))
    return found


def typed(table: Table, has: list[str], wanted: Collection[str] | None = None) -> str:
    """The SELECT list that gives every column its type, in the contract's order, or those that are wanted, in theirs;
    what is not there is null.

    Raises:
        ContractError: a column is there that the table does not know.
    """
    if unknown := sorted(set(has) - set(table.columns) - {PARTITION}):
        raise ContractError(table.name, f"it has no column {', '.join(unknown)}: add it to the contract or drop it")
    return ", ".join(
        f'"{name}"::{column.type.value} as "{name}"' if name in has else f'null::{column.type.value} as "{name}"'
        for name, column in ((name, table.columns[name]) for name in wanted or table.columns)
    )


def partition(table: Table) -> str:
    """The SELECT item of the partition column, or nothing for tables that have none."""
    return f', year("{table.dated_by}")::INTEGER as {PARTITION}' if table.dated_by else ""


def checked(con: duckdb.DuckDBPyConnection, table: Table, data: Any, name: str, where: str = "true") -> Any:
    """The same rows as `kept` has, as something that gives an Arrow stream: `data` itself, in order, where it lies in
    memory as the table has it, and has no fault.

    Raises:
        ContractError: as `kept` does.
    """
    if isinstance(data, Rows) and _is_typed(table, data):
        rows = _in_order(con, table, _dated(con, table, data), where)
        if rows is not None and _is_faultless(con, table, rows):
            return rows
    return kept(con, table, data, name, where)


def kept(
    con: duckdb.DuckDBPyConnection, table: Table, data: Any, name: str, where: str = "true"
) -> duckdb.DuckDBPyRelation:
    """Bring `data` (anything that gives an Arrow stream) into the temporary table `name`, typed, ordered and checked,
    as far as it satisfies `where` (SQL).

    Raises:
        ContractError: a row breaks the contract, or what should be unique occurs twice. Nothing is written then.
    """
    given = RecordBatchReader.from_arrow(data)
    bring(con, given, name, f"{typed(table, given.schema.names)}{partition(table)}", f"where {where}")
    order = table.sorted_by or table.unique_by
    in_order = _rises(con, name, order)
    if not in_order:
        con.execute(f"create or replace temp table {name} as select * from {name} order by {_listed(order)}")
    for check in broken(con, name, checks(table)):
        _demand_none(con, table, name, check)
    if not (in_order and set(order) <= set(table.unique_by)):
        _demand_unique(con, table, name)
    return con.table(name)


def _is_typed(table: Table, rows: Rows) -> bool:
    expected = [(name, _ARROW[column.type]) for name, column in table.columns.items()]
    return [(field.name, field.type) for field in map(rows.schema.field, range(rows.num_columns))] == expected


_ARROW = {
    Type.STRING: DataType.utf8(),
    Type.FLOAT64: DataType.float64(),
    Type.INT64: DataType.int64(),
    Type.BOOLEAN: DataType.bool(),
    Type.DATE: DataType.date32(),
    Type.TIMESTAMP: DataType.timestamp("us", tz="UTC"),
}


def _dated(con: duckdb.DuckDBPyConnection, table: Table, rows: Rows) -> Rows:
    """The rows with their partition."""
    if not table.dated_by:
        return rows
    days = rows.select([table.dated_by]).__arrow_c_stream__()  # noqa: F841 - DuckDB finds it by its name
    years = con.sql(f"select year({table.dated_by})::INTEGER as years from days").fetchnumpy()["years"]
    return rows.append_column(PARTITION, Array.from_numpy(np.ma.filled(years, 0)))


def _in_order(con: duckdb.DuckDBPyConnection, table: Table, rows: Rows, where: str) -> Rows | None:
    """The rows that satisfy some SQL, in the table's order, in batches that are worked on one by one; None where two
    are alike. The places of the rows are brought into order, and the rows follow.
    """
    order = table.sorted_by or table.unique_by
    if not set(order) <= set(table.unique_by):
        return None
    numbered = rows.append_column("_place", Array.from_numpy(np.arange(rows.num_rows, dtype=np.uint32)))
    given = numbered.__arrow_c_stream__()  # noqa: F841
    places = f"create or replace temp table places as select _place, {_listed(order)} from"
    con.execute(f"{places} given where {where} order by _place")
    if not _rises(con, "places", order):
        con.execute(f"{places} places order by {_listed(order)}")
        if not _rises(con, "places", order):
            return None
    return _taken(rows, np.asarray(con.sql("select _place from places").fetchnumpy()["_place"]))


def _taken(rows: Rows, places: NDArray[np.uint32]) -> Rows:
    """Rows by their places; those that lie together stay where they are."""
    ends = [*(np.flatnonzero(np.diff(places.astype(np.int64)) != 1) + 1).tolist(), len(places)]
    runs = [(start, end) for start, end in zip([0, *ends], ends, strict=False) if start < end]
    if len(runs) > len(places) // BATCH + RUNS:
        (whole,) = rows.combine_chunks().to_batches()
        rows = Rows.from_batches([whole.take(Array.from_numpy(places))])
        runs, places = [(0, len(places))], np.arange(len(places), dtype=np.uint32)
    spans = [(at, min(at + BATCH, end)) for start, end in runs for at in range(start, end, BATCH)]
    return Rows.from_batches(
        [batch for at, end in spans for batch in rows.slice(int(places[at]), end - at).to_batches()],
        schema=rows.schema,
    )


def _is_faultless(con: duckdb.DuckDBPyConnection, table: Table, rows: Rows) -> bool:
    """Whether all rows keep what the table promises."""
    given = rows.__arrow_c_stream__()  # noqa: F841
    return not con.sql(f"select count(*) from given where {_any_broken(checks(table))}").fetchall()[0][0]


def _rises(con: duckdb.DuckDBPyConnection, name: str, order: Sequence[str]) -> bool:
    """Whether each row comes after the one before it, and none is like it. Asked in one pass, where sorting rows that
    are in order already, and looking for twins, would take longer than what made them.
    """
    return bool(con.sql(_falls(name, order)).fetchall()[0][0] <= 1)


def _falls(name: str, order: Sequence[str]) -> str:
    """SQL: how many rows do not come after the one before; the first, if any, comes after none."""
    later, equal = "false", "true"
    for column in order:
        later += f' or ({equal} and "{column}" > lag("{column}") over ())'
        equal += f' and "{column}" = lag("{column}") over ()'
    return f"select count(*) filter (where not rises) from (select coalesce({later}, false) as rises from {name})"


def _demand_unique(con: duckdb.DuckDBPyConnection, table: Table, name: str) -> None:
    unique = _listed(table.unique_by)
    twice = con.sql(f"select {unique} from {name} group by all having count(*) > 1 limit 1").fetchone()
    if twice:
        raise ContractError(table.name, f"({unique}) should be unique, yet {_shown(twice)} occurs more than once")


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)


def broken(con: duckdb.DuckDBPyConnection, name: str, asked: list[Check]) -> list[Check]:
    """The checks that any row fails: whether there is one, and only then which."""
    if not con.sql(f"select count(*) from {name} where {_any_broken(asked)}").fetchall()[0][0]:
        return []
    counts = ", ".join(f"count(*) filter (where {check.broken})" for check in asked)
    found = con.sql(f"select {counts or 0} from {name}").fetchall()[0]
    return [check for check, count in zip(asked, found, strict=False) if count]


def _any_broken(asked: list[Check]) -> str:
    return " or ".join(f"({check.broken})" for check in asked) or "false"


def _demand_none(con: duckdb.DuckDBPyConnection, table: Table, name: str, check: Check) -> None:
    keys = ", ".join(f'"{column}"::VARCHAR' for column in table.unique_by)
    bad = con.sql(f'select {keys}, "{check.column}"::VARCHAR from {name} where {check.broken} limit 1').fetchone()
    if bad:
        raise ContractError(
            table.name, f"{check.column} is {check.rule.replace('_', ' ')} ({bad[-1]}) in the row of {_shown(bad[:-1])}"
        )


def _shown(values: tuple[Any, ...]) -> str:
    return "(" + ", ".join(str(value) for value in values) + ")"
