"""One pure step from bronze answers to typed observations and rejects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from coinlake import contract
from coinlake.duck import bring, connect
from coinlake.engine import Engine
from coinlake.silver import rejects
from coinlake.silver.decode import ROOT, Cleaned, Lines, Reader, load, reject
from coinlake.table import Table, Type


@dataclass(frozen=True)
class Observed:
    """What came of some answers: the rows of one table, and the rejects."""

    table: Table
    rows: duckdb.DuckDBPyRelation
    rejects: duckdb.DuckDBPyRelation


Readers = Mapping[str, tuple[Table, Reader]]
"""Which table an endpoint's answers become, and how."""


def clean(lines: Lines, readers: Readers, engine: Engine) -> list[Observed]:
    """Rows and rejects of bronze answers, by table; the same lines give the same rows on every engine.

    Args:
        lines: bronze object, line from 1, answer.
        readers: by endpoint, the table that reads it; answers of other endpoints become rejects.
        engine: whose frames the cleaning runs on.
    """
    con = connect()
    load(con, lines)
    _gate(con, readers)
    return [*_each(con, readers, engine), Observed(rejects.TABLE, _refused(con, "gated"), con.table("gated"))]


def _each(con: duckdb.DuckDBPyConnection, readers: Readers, engine: Engine) -> list[Observed]:
    found: list[Observed] = []
    present = {row[0] for row in con.sql("select distinct endpoint from answers where usable").fetchall()}
    for number, endpoint in enumerate(sorted(present)):
        table, reader = readers[endpoint]
        asked = f"select * from answers where usable and endpoint = '{endpoint}'"
        decoded = reader.decode(con, asked)
        cleaned = reader.build(engine.frame(decoded.values))
        found.append(_observed(con, engine, table, cleaned, f"c{number}"))
    return found


def _gate(con: duckdb.DuckDBPyConnection, readers: Readers) -> None:
    """Mark the answers that can be read, and note why the others cannot."""
    known = ", ".join(f"'{name}'" for name in sorted(readers)) or "''"
    dollars = ", ".join(f"'{name}'" for name, (_, reader) in sorted(readers.items()) if reader.in_dollars) or "''"
    con.execute(
        "create or replace temp table answers as select *, case "
        f"when endpoint not in ({known}) then 'unknown_endpoint' when status <> 200 then 'not_ok' "
        f"when not is_json then 'not_json' when endpoint in ({dollars}) "
        "and not list_contains(string_split(coalesce(currency, ''), ','), 'usd') then 'not_usd' end as reason, "
        "reason is null as usable from answers"
    )
    rules = ("unknown_endpoint", "not_ok", "not_json", "not_usd")
    detail = "'endpoint ' || endpoint || ', status ' || status || coalesce(', currency ' || currency, '')"
    con.execute(
        "create or replace temp table gated as "
        + " union all ".join(
            f"select {reject(rule, ROOT, 'body', detail)} from answers where reason = '{rule}'" for rule in rules
        )
    )


def _refused(con: duckdb.DuckDBPyConnection, name: str) -> duckdb.DuckDBPyRelation:
    return con.sql(f"select * from {name} where false")


def _observed(con: duckdb.DuckDBPyConnection, engine: Engine, table: Table, cleaned: Cleaned, name: str) -> Observed:
    """Keep the rows that pass the table's checks; the others, and what decoding refused, are rejects."""
    bring(con, engine.arrow(cleaned.rows), f"{name}_all")
    con.execute(f"create temp table {name}_refused as select * from refused")
    if cleaned.rejects is not None:
        bring(con, engine.arrow(cleaned.rejects), f"{name}_more")
        con.execute(f"insert into {name}_refused by name select * from {name}_more")
    checks = contract.checks(table)
    broken = " or ".join(f"coalesce({check.broken}, false)" for check in checks)
    late = _moment_out_of_range(table)
    for rule, column, condition in [(c.rule, c.column, c.broken) for c in checks] + late:
        coin = "coin_id" if "coin_id" in table.columns else "null"
        source = "source" if "source" in table.columns else "'coinlake'"
        select = reject(rule, f"path || '.{column}'", column, coin_id=coin, source=source)
        con.execute(f"insert into {name}_refused by name select {select} from {name}_all where {condition}")
    outside = " or ".join(condition for _, _, condition in late) or "false"
    con.execute(
        f"create temp table {name}_rows as select * exclude (path) from {name}_all "
        f"where not ({broken}) and not coalesce({outside}, false)"
    )
    con.execute(
        f"create or replace temp table {name}_refused as select distinct on (bronze_object, line, path, rule) * "
        f"from {name}_refused"
    )
    return Observed(table, con.table(f"{name}_rows"), con.table(f"{name}_refused"))


def _moment_out_of_range(table: Table) -> list[tuple[str, str, str]]:
    """A key's moment must lie between 2009 (bitcoin's first block) and a week after the answer."""
    moments = [name for name in table.key if table.columns[name].type is Type.TIMESTAMP]
    return [
        (
            "time_out_of_range",
            name,
            f"({name} < timestamptz '2009-01-01 00:00:00+00' or {name} > fetched_at + interval 7 day)",
        )
        for name in moments
    ]
