"""Whether what was made is the same: before anything is told of how fast it was."""

from __future__ import annotations

from pathlib import Path

import duckdb
from work import lake_at

from coinlake import catalog
from coinlake.table import Table, Type

ALLOWED = 1e-7
"""How far a rival's value may lie from ours: of an amount in USD relative to the close, of anything else relative to
its value, or as it is where that is under one. Rivals' running moments lose some digits of what hardly moves.
"""
LOSE_DIGITS = {"volume_z_score_30d": 1e-3}
"""Columns that scripts make of running sums, and how far off these may get: a volume of millions that was once one of
billions keeps five digits there. Ours have all of them (computed anew in whole fractions).
"""
ROUNDING = 1e-9
"""How far a value that goes on from the day before may lie from one that is made from the beginning."""
MOST_ROWS = 2_000_000
"""Most rows that are compared one by one; of more, those of every so many-th coin."""


class DisagreementError(Exception):
    """A rival's result is not ours."""


def _connect() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    con.execute("set TimeZone = 'UTC'")
    con.execute("set enable_progress_bar = false")
    return con


def _ours(con: duckdb.DuckDBPyConnection, lake: Path, name: str, as_name: str) -> Table:
    table = catalog.table(f"gold.{name}")
    lake_at(lake).attach(con, table, as_name)
    return table


def same(one: Path, other: Path, *names: str) -> str:
    """Two lakes' tables hold the same rows: to the last bit, or but for rounding."""
    found = []
    for name in names:
        con = _connect()
        table = _ours(con, one, name, "one")
        _ours(con, other, name, "other")
        found.append(_demand_same(con, table, name))
    return f"the same: {', '.join(found)}"


def _demand_same(con: duckdb.DuckDBPyConnection, table: Table, name: str) -> str:
    try:
        return f"to the last bit {_demand_equal(con, table, name)}"
    except DisagreementError:
        keys = ", ".join(f'"{each}"' for each in table.key)
        apart = [_rounded(table, each) for each in table.columns if each not in table.key]
        alone = f'count(*) filter (where one."{table.key[0]}" is null or other."{table.key[0]}" is null)'
        joined = f"one full join other using ({keys})"
        rows, missing, *worst = con.sql(f"select count(*), {alone}, {', '.join(apart)} from {joined}").fetchall()[0]
        if missing or max(worst) > ROUNDING:
            raise
        return f"within {ROUNDING:.0e} {rows:,} rows of gold.{name}"


def _rounded(table: Table, name: str) -> str:
    """SQL: how far a column's values lie from each other at the most, relative to their size."""
    one, other = f'one."{name}"', f'other."{name}"'
    if table.columns[name].type is not Type.FLOAT64:
        return f"max(case when {one} is distinct from {other} then 1 else 0 end)"
    apart = f"abs({one} - {other}) / greatest(abs({one}), abs({other}), 1e-300)"
    return f"max(case when ({one} is null) <> ({other} is null) then 1 else coalesce({apart}, 0) end)"


def copied(lake: Path, out: Path, *names: str) -> str:
    """Parquet files hold a lake's tables, to the last bit."""
    found = []
    for name in names:
        con = _connect()
        table = _ours(con, lake, name, "one")
        con.execute(f"create temp view other as from read_parquet('{out / name}.parquet')")
        found.append(_demand_equal(con, table, name))
    return f"the same to the last bit: {', '.join(found)}"


def _demand_equal(con: duckdb.DuckDBPyConnection, table: Table, name: str) -> str:
    columns = ", ".join(f'"{column}"' for column in table.columns)
    asked = f"select count(*), bit_xor(hash({columns})), sum(hash({columns}) % 1000003) from "
    one, other = (con.sql(asked + each).fetchall()[0] for each in ("one", "other"))
    if one != other:
        raise DisagreementError(f"gold.{name} is not the same: {one[0]:,} rows and {other[0]:,}")
    return f"{one[0]:,} rows of gold.{name}"


def agree(lake: Path, out: Path, *names: str) -> str:
    """A rival's Parquet files hold a lake's rows, and each of its columns agrees with ours."""
    return "; ".join(_agree(lake, out, name, False) for name in names)


def agree_where_known(lake: Path, out: Path, name: str) -> str:
    """The same, of a rival that knows less: what it does not know is not compared."""
    return _agree(lake, out, name, True)


def _agree(lake: Path, out: Path, name: str, may_know_less: bool) -> str:
    con = _connect()
    table = _ours(con, lake, name, "ours")
    con.execute(f"create temp view theirs as from read_parquet('{out / name}.parquet')")
    columns = [each for each in con.table("theirs").columns if each not in ("coin_id", "day")]
    rows = [con.sql(f"select count(*) from {each}").fetchall()[0][0] for each in ("ours", "theirs")]
    every = max(1, -(-rows[0] // MOST_ROWS))
    apart = [_apart(table, each, may_know_less) for each in columns]
    broken = "select coin_id from ours where is_break" if "is_break" in table.columns else "select null where false"
    coins, left_out = con.sql(
        f"select count(distinct coin_id), count(*) from ours where coin_id in ({broken})"
    ).fetchall()[0]
    joined = f"ours join theirs using (coin_id, day) where hash(coin_id) % {every} = 0 and coin_id not in ({broken})"
    compared, *worst = con.sql(f"select count(*), {', '.join(apart)} from {joined}").fetchall()[0]
    far = {each: by for each, by in zip(columns, worst, strict=True) if by is not None and not by <= ALLOWED}
    wrong = [f"{each} by {by}" for each, by in far.items() if not by <= LOSE_DIGITS.get(each, ALLOWED)]
    if rows[0] != rows[1] or wrong or (every == 1 and compared + left_out != rows[0]):
        raise DisagreementError(f"{out.name}, gold.{name}: {rows[0]:,} and {rows[1]:,} rows; {'; '.join(wrong)}")
    without = f", without {coins} coins that changed their unit, which no script knows" if coins else ""
    lost = "".join(f", {each} within {by:.0e}, for running sums lose digits" for each, by in far.items())
    return f"{len(columns)} columns of {compared:,} rows of gold.{name} within {ALLOWED:.0e}{lost}{without}"


def _apart(table: Table, name: str, may_know_less: bool) -> str:
    """SQL: how far a column's values lie from each other at the most; infinity where one is known and the other not."""
    column = table.columns[name]
    ours, theirs = f'ours."{name}"', f'theirs."{name}"'
    unlike = f"{theirs} is not null and {ours} is null"
    if not may_know_less:
        unlike += f" or {theirs} is null and {ours} is not null"
    if column.type is not Type.FLOAT64:
        return f"max(case when {unlike} or {ours} <> {theirs} then 'inf'::double else 0 end)"
    against = "ours.close_usd" if column.unit == "USD" else f"greatest(abs({ours}), 1)"
    if name in ("volume_24h_usd", "market_cap_usd"):
        against = f"greatest(abs({ours}), 1)"
    return f"max(case when {unlike} then 'inf'::double else abs({ours} - {theirs}) / {against} end)"
