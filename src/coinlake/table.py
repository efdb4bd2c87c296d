"""What a table is: its name, grain, key, columns with units, and the checks that every row must pass.

A table is one file that holds its contract, its prose (the module's docstring) and its definition.
Nothing in here touches data; `contract.py` asks the questions that are written down here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Type(Enum):
    """A column's type; the value is its name in DuckDB."""

    STRING = "VARCHAR"
    FLOAT64 = "DOUBLE"
    INT64 = "BIGINT"
    BOOLEAN = "BOOLEAN"
    DATE = "DATE"
    TIMESTAMP = "TIMESTAMPTZ"


String, Float64, Int64, Boolean, Date, Timestamp = (
    Type.STRING,
    Type.FLOAT64,
    Type.INT64,
    Type.BOOLEAN,
    Type.DATE,
    Type.TIMESTAMP,
)


@dataclass(frozen=True)
class Column:
    """One column: its type, a line of prose, its unit, and what its values may be.

    `required` columns are never null (those of a key never are). `between` bounds numbers, ends included.
    """

    type: Type
    prose: str
    unit: str = ""
    required: bool = False
    between: tuple[float | None, float | None] | None = None
    one_of: tuple[str, ...] | None = None


PROVENANCE: Mapping[str, Column] = {
    "fetched_at": Column(Timestamp, "when we fetched the answer that says so", "UTC", required=True),
    "bronze_object": Column(String, "bronze object the row came from, below the bronze root", required=True),
    "line": Column(Int64, "line of that object, from 1", required=True, between=(1, None)),
}
"""What every row of silver carries besides its values: where it came from."""

ORDER = ("fetched_at", "bronze_object", "line")
"""How observations of one thing are ordered: the newest is the last."""


@dataclass(frozen=True, eq=False)
class Table:
    """A promise about rows. `dated_by` names the column whose year the table is partitioned by."""

    name: str
    key: tuple[str, ...]
    columns: Mapping[str, Column]
    grain: str
    dated_by: str | None = None
    reads: tuple[str, ...] = ()
    sorted_by: tuple[str, ...] = field(default=())

    @property
    def layer(self) -> str:
        """`silver` or `gold`."""
        return self.name.split(".")[0]

    @property
    def folder(self) -> str:
        """The table's folder below the root of its layer."""
        return self.name.split(".")[1]

    @property
    def is_observations(self) -> bool:
        """Whether rows are append-only observations that carry their provenance."""
        return self.layer == "silver"

    @property
    def unique_by(self) -> tuple[str, ...]:
        """The columns that together occur once: the key, and for observations also their provenance."""
        return (*self.key, *(name for name in ORDER if self.is_observations and name not in self.key))

    @property
    def values(self) -> tuple[str, ...]:
        """The columns that are neither key nor provenance."""
        return tuple(name for name in self.columns if name not in {*self.key, *PROVENANCE})

    @property
    def whole(self) -> tuple[str, ...]:
        """The columns that are whole numbers."""
        return tuple(name for name, column in self.columns.items() if column.type is Type.INT64)

    def required(self, name: str) -> bool:
        """Whether a column may never be null."""
        return name in self.key or self.columns[name].required


def observations(
    name: str, key: tuple[str, ...], columns: Mapping[str, Column], grain: str, dated_by: str | None = None
) -> Table:
    """A silver table: the columns given, then where each row came from."""
    return Table(name, key, {**columns, **PROVENANCE}, grain, dated_by)
