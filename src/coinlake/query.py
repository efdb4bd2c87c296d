"""Questions to the lake, in SQL over `silver.*`, `gold.*` and `current.*`, now or as of a moment.

`silver.*` are all observations, `current.*` the newest known value of everything, `gold.*` the conclusions. As of a
moment, silver has the rows that had been fetched by then, and gold is computed from them for what is asked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import duckdb

from coinlake import catalog
from coinlake.duck import bring, connect
from coinlake.engine import Engine
from coinlake.engine.current import current
from coinlake.engine.duckdb import DuckEngine
from coinlake.errors import ConfigError, brief
from coinlake.gold.analyze import as_known, known_at
from coinlake.lake import Lake
from coinlake.pipeline import NO_OPTIONS, Options, definitions
from coinlake.table import Table

CURRENT = "current"
_ASKS = ("SELECT", "EXPLAIN")
_NAMED = re.compile(r'\b"?(silver|gold|current)"?\s*\.\s*"?(\w+)')
"""Names that may be tables. One too many costs a look at the lake; DuckDB's own parser cannot tell before it binds."""


def query(
    lake: Lake, sql: str, sources: Sequence[str], as_of: datetime | None = None, options: Options = NO_OPTIONS
) -> duckdb.DuckDBPyRelation:
    """The answer to a question, as a relation of a connection of its own.

    Raises:
        ConfigError: the question is no SQL that can be answered; the sentence says why.
        LakeError: a file of a table that it names is missing or damaged.
    """
    con = connect()
    for schema in ("silver", "gold", CURRENT):
        con.execute(f"create schema {schema}")
    try:
        with lake.guarded():
            for schema, short in sorted(set(_NAMED.findall(sql.lower()))):
                _attach(con, lake, schema, short, sources, as_of, options)
            _demand_a_question(con, sql)
            answer = con.sql(sql)
    except duckdb.CatalogException as exc:
        unknown = sorted(f"{a}.{b}" for a, b in set(_NAMED.findall(sql.lower())) if not _known(a, b))
        raise ConfigError(
            f"there is no table {' and no '.join(unknown)}; `coinlake tables` lists those there are"
            if unknown
            else f"the query cannot be answered: {brief(exc)}"
        ) from exc
    except duckdb.Error as exc:
        raise ConfigError(f"the query cannot be answered: {brief(exc)}") from exc
    if answer is None:
        raise ConfigError("the query gives no rows: ask with SELECT")
    return answer


def _demand_a_question(con: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Refuse what would write, before anything of it is carried out, and several questions: the last alone would be
    answered. (A PIVOT is a CREATE and a SELECT to DuckDB.)
    """
    kinds = [statement.type.name for statement in con.extract_statements(sql)]
    if sum(kind in _ASKS for kind in kinds) > 1:
        raise ConfigError("these are several questions at once: ask them one at a time")
    if not kinds or kinds[-1] not in _ASKS or not {*kinds} <= {*_ASKS, "CREATE"}:
        raise ConfigError("the query gives no rows: ask with SELECT")


def rows(
    lake: Lake,
    table: Table,
    sources: Sequence[str],
    as_of: datetime | None,
    only_current: bool = False,
    options: Options = NO_OPTIONS,
) -> Any:
    """A table's rows as an Arrow stream, now or as they were known at a moment."""
    engine = DuckEngine()
    if not table.is_observations:
        return lake.read(table) if as_of is None else gold_as_of(lake, table, engine, sources, as_of, options)
    observations = lake.read(table, where=known_at(as_of))
    return engine.arrow(current(table, engine.frame(observations), engine)) if only_current else observations


def gold_as_of(
    lake: Lake, table: Table, engine: Engine, sources: Sequence[str], as_of: datetime, options: Options = NO_OPTIONS
) -> Any:
    """A gold table computed from the silver rows that had been fetched by a moment."""
    made: dict[str, Any] = {}
    for definition in definitions(sources, options):
        if definition.table.name in _needed(table):
            made[definition.table.name] = as_known(lake, definition, engine, sources, as_of, made)
    return made[table.name]


def _needed(table: Table) -> set[str]:
    """The gold tables that a gold table rests on, itself included."""
    below = [catalog.table(name) for name in table.reads if name.startswith("gold.")]
    return {table.name}.union(*map(_needed, below))


def _attach(
    con: duckdb.DuckDBPyConnection,
    lake: Lake,
    schema: str,
    short: str,
    sources: Sequence[str],
    as_of: datetime | None,
    options: Options,
) -> None:
    """Make a table known to the connection; a name that is none of ours is left for DuckDB to complain about."""
    if not _known(schema, short):
        return
    table = catalog.table(_table_of(schema, short))
    if schema == "silver" or (schema == "gold" and as_of is None):
        lake.attach(con, table, f"{schema}.{short}", known_at(as_of) if table.is_observations else "true")
        return
    bring(con, rows(lake, table, sources, as_of, schema == CURRENT, options), f"{schema}.{short}")


def _table_of(schema: str, short: str) -> str:
    return f"{'silver' if schema == CURRENT else schema}.{short}"


def _known(schema: str, short: str) -> bool:
    return _table_of(schema, short) in catalog.entries()
