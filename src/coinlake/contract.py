"""Whether rows keep what their table promises: one mechanism for every table and every write.

The questions are SQL over a DuckDB relation, whichever engine made the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
from arro3.core import RecordBatchReader

from coinlake.duck import bring
from coinlake.errors import ContractError
from coinlake.table import Column, Table, Type

PARTITION = "year"
"""The partition column of dated tables. It is derived here, and is part of no contract."""


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


def typed(table: Table, has: list[str]) -> str:
    """The SELECT list that gives every column its type, in the contract's order; what is not there is null.

    Raises:
        ContractError: a column is there that the table does not know.
    """
    if unknown := sorted(set(has) - set(table.columns) - {PARTITION}):
        raise ContractError(table.name, f"it has no column {', '.join(unknown)}: add it to the contract or drop it")
    return ", ".join(
        f'"{name}"::{column.type.value} as "{name}"' if name in has else f'null::{column.type.value} as "{name}"'
        for name, column in table.columns.items()
    )


def partition(table: Table) -> str:
    """The SELECT item of the partition column, or nothing for tables that have none."""
    return f', year("{table.dated_by}")::INTEGER as {PARTITION}' if table.dated_by else ""


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
    for check in _broken(con, name, checks(table)):
        _demand_none(con, table, name, check)
    if not (in_order and set(order) <= set(table.unique_by)):
        _demand_unique(con, table, name)
    return con.table(name)


def _rises(con: duckdb.DuckDBPyConnection, name: str, order: Sequence[str]) -> bool:
    """Whether each row comes after the one before it, and none is like it. Asked in one pass, where sorting rows that
    are in order already, and looking for twins, would take longer than what made them.
    """
    later, equal = "false", "true"
    for column in order:
        later += f' or ({equal} and "{column}" > lag("{column}") over ())'
        equal += f' and "{column}" = lag("{column}") over ()'
    asked = f"select coalesce({later}, false) as rises from {name}"
    falls = con.sql(f"select count(*) filter (where not rises) from ({asked})").fetchall()[0][0]
    return bool(falls <= 1)  # the first row comes after none


def _demand_unique(con: duckdb.DuckDBPyConnection, table: Table, name: str) -> None:
    unique = _listed(table.unique_by)
    twice = con.sql(f"select {unique} from {name} group by all having count(*) > 1 limit 1").fetchone()
    if twice:
        raise ContractError(table.name, f"({unique}) should be unique, yet {_shown(twice)} occurs more than once")


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)


def _broken(con: duckdb.DuckDBPyConnection, name: str, asked: list[Check]) -> list[Check]:
    """The checks that any row fails, asked in one go."""
    counts = ", ".join(f"count(*) filter (where {check.broken})" for check in asked)
    found = con.sql(f"select {counts or 0} from {name}").fetchall()[0]
    return [check for check, count in zip(asked, found, strict=False) if count]


def _demand_none(con: duckdb.DuckDBPyConnection, table: Table, name: str, check: Check) -> None:
    keys = ", ".join(f'"{column}"::VARCHAR' for column in table.unique_by)
    bad = con.sql(f'select {keys}, "{check.column}"::VARCHAR from {name} where {check.broken} limit 1').fetchone()
    if bad:
        raise ContractError(
            table.name, f"{check.column} is {check.rule.replace('_', ' ')} ({bad[-1]}) in the row of {_shown(bad[:-1])}"
        )


def _shown(values: tuple[Any, ...]) -> str:
    return "(" + ", ".join(str(value) for value in values) + ")"
