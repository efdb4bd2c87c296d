"""A table keeps what it promises: its contract is asked at every write, and its page says what it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from arro3.core import Table as Rows

from coinlake import catalog
from coinlake.contract import PARTITION, checked, checks, kept
from coinlake.duck import connect
from coinlake.errors import ConfigError, ContractError
from coinlake.table import ORDER, PROVENANCE, Boolean, Column, Date, Float64, Int64, String, Table, Timestamp, Type

ROOT = Path(__file__).parents[1]
TABLES = [entry.table for entry in catalog.entries().values()]
AT = datetime(2022, 1, 31, tzinfo=UTC)

PETS = Table(
    "gold.pets",
    key=("name",),
    columns={
        "name": Column(String, "what it is called"),
        "kind": Column(String, "what it is", one_of=("cat", "dog")),
        "weight_kg": Column(Float64, "what it weighs", "kg", between=(0, 100)),
        "legs": Column(Int64, "how many legs", "legs", required=True, between=(0, None)),
        "born_on": Column(Date, "its birthday"),
        "is_tame": Column(Boolean, "whether it is tame"),
        "seen_at": Column(Timestamp, "when it was seen", "UTC"),
    },
    grain="one pet",
    dated_by="seen_at",
)
TOM: Mapping[str, Any] = {
    "name": "Tom",
    "kind": "cat",
    "weight_kg": 4.5,
    "legs": 4,
    "born_on": date(2020, 2, 29),
    "is_tame": True,
    "seen_at": AT,
}


def relation(*rows: Mapping[str, Any]) -> duckdb.DuckDBPyRelation:
    """Rows as a relation, each column of the type that its first known value has."""
    con = connect()
    names, marks = list(rows[0]), ", ".join("?" for _ in rows[0])
    con.execute(f"create table given as select * from (values ({marks})) as t({', '.join(names)})", [*rows[0].values()])
    con.executemany(f"insert into given values ({marks})", [[row[name] for name in names] for row in rows])
    con.execute("delete from given where rowid = 0")
    return con.table("given")


def keep(*rows: Mapping[str, Any], table: Table = PETS) -> list[tuple[Any, ...]]:
    return kept(connect(), table, relation(*rows), "rows_kept").fetchall()


# Contracts -----------------------------------------------------------------------------------------------------------


def test_rows_that_keep_the_contract_come_back_typed_ordered_and_with_their_year() -> None:
    felix = {**TOM, "name": "Felix", "weight_kg": None, "kind": None}
    con = connect()
    rows = kept(con, PETS, relation(TOM, felix), "rows_kept")
    assert rows.columns == [*PETS.columns, PARTITION]
    assert [(row[0], row[-1]) for row in rows.fetchall()] == [("Felix", 2022), ("Tom", 2022)]


def test_rows_that_lie_in_memory_are_the_same_rows_checked() -> None:
    pets = [{**TOM, "name": f"pet {number * 7 % 500:03}", "legs": number % 5} for number in range(500)]
    for given in (pets, sorted(pets, key=lambda pet: str(pet["name"])), pets[:0]):
        rows = relation(*(given or [TOM])).filter("true" if given else "false")
        as_they_lie = Rows.from_arrow(checked(connect(), PETS, Rows.from_arrow(rows), "rows_kept", "legs > 0"))
        assert as_they_lie.column_names == [*PETS.columns, PARTITION]
        names = as_they_lie.column("name").to_pylist()
        assert names == sorted(pet["name"] for pet in given if pet["legs"])
        assert set(as_they_lie.column(PARTITION).to_pylist()) <= {2022}


@pytest.mark.parametrize("fault", [{"legs": -1}, {"name": "Tom"}, {"weight_kg": float("inf")}])
def test_a_fault_of_rows_in_memory_is_found(fault: Mapping[str, Any]) -> None:
    with pytest.raises(ContractError):
        checked(connect(), PETS, Rows.from_arrow(relation(TOM, {**TOM, "name": "Felix", **fault})), "rows_kept")


def test_a_column_that_is_not_given_is_null() -> None:
    assert keep({"name": "Tom", "legs": 4}) == [("Tom", None, None, 4, None, None, None, None)]


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("name", None, "name is missing"),
        ("legs", None, "legs is missing"),
        ("legs", -1, "legs is out of range"),
        ("kind", "cow", "kind is not allowed"),
        ("weight_kg", -0.1, "weight_kg is out of range"),
        ("weight_kg", 100.1, "weight_kg is out of range"),
        ("weight_kg", float("nan"), "weight_kg is not finite"),
        ("weight_kg", float("inf"), "weight_kg is not finite"),
        ("weight_kg", float("-inf"), "weight_kg is not finite"),
    ],
)
def test_a_row_that_breaks_its_contract_is_named_and_nothing_is_kept(column: str, value: Any, words: str) -> None:
    with pytest.raises(ContractError, match=rf"gold\.pets: {words}") as raised:
        keep(TOM, {**TOM, "name": "Bad", column: value})
    assert value is None or "Bad" in str(raised.value)


@pytest.mark.parametrize("value", [0.0, 100.0, None])
def test_the_ends_of_a_range_and_unknown_are_allowed(value: float | None) -> None:
    assert keep(TOM, {**TOM, "name": "Ann", "weight_kg": value})[0][2] == value


def test_what_should_be_unique_and_occurs_twice_is_named() -> None:
    with pytest.raises(ContractError, match=r"\(\"name\"\) should be unique, yet \(Tom\) occurs more than once"):
        keep(TOM, TOM)


def test_a_column_that_the_contract_does_not_know_is_named() -> None:
    with pytest.raises(ContractError, match="it has no column colour"):
        keep({**TOM, "colour": "grey"})


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_promise_of_every_table_is_a_question_that_can_be_asked(table: Table) -> None:
    con = connect()
    nothing = ", ".join(f'null::{column.type.value} as "{name}"' for name, column in table.columns.items())
    assert kept(con, table, connect().sql(f"select {nothing} where false"), "rows_kept").count("*").fetchone() == (0,)
    for check in checks(table):
        con.sql(f"select 1 from rows_kept where {check.broken}").fetchall()


# The catalogue -------------------------------------------------------------------------------------------------------


def test_every_file_of_silver_and_gold_with_a_table_is_in_the_catalogue() -> None:
    files = [path for layer in ("silver", "gold") for path in (ROOT / "src/coinlake" / layer).glob("*.py")]
    defining = {f"{path.parent.name}.{path.stem}" for path in files if re.search(r"^TABLE\b", path.read_text(), re.M)}
    assert set(catalog.entries()) == defining


def test_a_table_comes_after_those_it_reads() -> None:
    names = list(catalog.entries())
    assert all(names.index(read) < names.index(table.name) for table in TABLES for read in table.reads)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_table_holds_together(table: Table) -> None:
    assert set(table.key) <= set(table.columns)
    assert set(table.sorted_by) <= set(table.columns)
    assert table.grain
    assert catalog.entries()[table.name].prose
    if table.dated_by:
        assert table.columns[table.dated_by].type in {Type.DATE, Type.TIMESTAMP}
        assert table.required(table.dated_by)
    if table.is_observations:
        assert set(PROVENANCE) <= set(table.columns)
        assert set(ORDER) <= set(table.unique_by)
    assert table.layer != "silver" or not any(read.startswith("gold.") for read in table.reads)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_name_says_its_unit(table: Table) -> None:
    endings = {"_usd": "USD", "_percent": "%", "_at": "UTC"}
    for name, column in table.columns.items():
        assert column.prose
        for ending, unit in endings.items():
            assert not name.endswith(ending) or column.unit == unit, name
        assert column.type is not Type.TIMESTAMP or name.endswith("_at"), name


def test_the_same_name_means_the_same_thing_everywhere() -> None:
    means: dict[str, set[tuple[Type, str]]] = {}
    for table in TABLES:
        for name, column in table.columns.items():
            means.setdefault(name, set()).add((column.type, column.unit))
    assert {name: what for name, what in means.items() if len(what) > 1} == {}


def test_a_table_is_found_by_its_name_with_or_without_its_layer() -> None:
    assert catalog.table("gold.daily") is catalog.table("daily")
    with pytest.raises(ConfigError, match=r"nonsense.*gold\.daily"):
        catalog.table("nonsense")


def test_every_reader_reads_for_a_table_of_silver() -> None:
    assert {table.layer for table, _ in catalog.readers().values()} == {"silver"}


def test_a_fingerprint_changes_with_the_settings_and_only_with_them() -> None:
    entry = catalog.entries()["gold.daily"]
    assert entry.fingerprint("a", "b") == entry.fingerprint("a", "b")
    assert len({entry.fingerprint(), entry.fingerprint("a", "b"), entry.fingerprint("b", "a")}) == 3
    assert 0 <= entry.fingerprint() < 2**63


def test_the_page_of_tables_does_not_lag() -> None:
    lags = (ROOT / "docs/tables.md").read_text() != catalog.document()
    assert not lags, "docs/tables.md lags behind the tables: run `make docs`"
