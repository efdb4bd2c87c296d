"""One pure step from bronze answers to typed observations and rejects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from coinlake import contract
from coinlake.contract import Check
from coinlake.duck import bring, fitting
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
    con = fitting(sum(len(answer.body) for _, _, answer in lines))
    load(con, lines, {endpoint for endpoint, (_, reader) in readers.items() if reader.wants_bytes})
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
        found.append(_observed(con, engine, table, cleaned, decoded.places, f"c{number}"))
    return found


def _gate(con: duckdb.DuckDBPyConnection, readers: Readers) -> None:
    """Mark the answers that can be read, and note why the others cannot."""
    known = ", ".join(f"'{name}'" for name in sorted(readers)) or "''"
    dollars = ", ".join(f"'{name}'" for name, (_, reader) in sorted(readers.items()) if reader.in_dollars) or "''"
    con.execute(
        "create or replace temp table answers as select *, case "
        f"when endpoint not in ({known}) then 'unknown_endpoint' when status <> 200 then 'not_ok' "
        f"when not is_json and body_bytes is null then 'not_json' when endpoint in ({dollars}) "
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


def _observed(
    con: duckdb.DuckDBPyConnection,
    engine: Engine,
    table: Table,
    cleaned: Cleaned,
    places: Mapping[str, str],
    name: str,
) -> Observed:
    """Keep what passes the table's checks. A value that breaks one is a reject, and unknown in its row; where the row
    cannot do without it, the row is gone. Of rows with one key in one answer the last stays.
    """
    bring(con, engine.rows(cleaned.rows), f"{name}_all")
    has = con.table(f"{name}_all").columns
    con.execute(f"create temp table {name}_refused as select * from refused")
    if cleaned.rejects is not None:
        bring(con, engine.rows(cleaned.rejects), f"{name}_more")
        con.execute(f"insert into {name}_refused by name select * from {name}_more")
    about = {
        "coin_id": f"case when not {_has_nul('coin_id')} then coin_id end" if "coin_id" in table.columns else "null",
        "source": "source" if "source" in table.columns else "'coinlake'",
    }
    checks = [*contract.checks(table), *_moments_in_range(table), *_writable(table)]
    for check in contract.broken(con, f"{name}_all", checks):
        at = f"path_{check.column}"
        path = at if at in has else f"path || '{places.get(check.column, '.' + check.column)}'"
        select = reject(check.rule, path, check.column, **about)
        con.execute(f"insert into {name}_refused by name select {select} from {name}_all where {check.broken}")
    fatal = " or ".join(f"coalesce({each.broken}, false)" for each in checks if table.required(each.column))
    values = ", ".join(_passed(column, checks) for column in table.columns)
    unique = ", ".join(table.unique_by)
    con.execute(
        f"create temp table {name}_whole as select {values}, path, row_number() over (partition by {unique} "
        f"order by len(path) desc, path desc) as nth from {name}_all where not ({fatal})"
    )
    select = reject("duplicated", "path", detail="'a later one of the same answer is kept'", **about)
    con.execute(f"insert into {name}_refused by name select {select} from {name}_whole where nth > 1")
    con.execute(
        f"create or replace temp table {name}_refused as select distinct on (bronze_object, line, path, rule) * "
        f"from {name}_refused order by all"
    )
    rows = con.sql(f"select * exclude (path, nth) from {name}_whole where nth = 1")
    return Observed(table, rows, con.table(f"{name}_refused"))


def _passed(column: str, checks: Sequence[Check]) -> str:
    """The SELECT item of a column, null where it breaks one of its checks."""
    broken = " or ".join(f"coalesce({each.broken}, false)" for each in checks if each.column == column)
    return f'case when not ({broken}) then "{column}" end as "{column}"' if broken else f'"{column}"'


def _moments_in_range(table: Table) -> list[Check]:
    """A key's moment must lie between 2009 (bitcoin's first block) and a week after the answer."""
    outside = "({at} < timestamptz '2009-01-01 00:00:00+00' or {at} > fetched_at + interval 7 day)"
    moments = [name for name in table.key if table.columns[name].type is Type.TIMESTAMP]
    return [Check(name, "time_out_of_range", outside.format(at=name)) for name in moments]


def _writable(table: Table) -> list[Check]:
    """A key's texts must be such that SQL can name them."""
    texts = [name for name in table.key if table.columns[name].type is Type.STRING]
    return [Check(name, "holds_nul", _has_nul(name)) for name in texts]


def _has_nul(column: str) -> str:
    return f"contains({column}, chr(0))"
