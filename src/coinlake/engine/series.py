"""Series mathematics: one coin's rows as arrays in, arrays out, the same on every engine.

Numbers are float64 with NaN where a value is unknown; days are numpy's datetime64[D]. NaN never leaves: what comes
back from a kernel as NaN is null in the frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import narwhals as nw
import numpy as np
from arro3.core import Array, DataType, Table
from duckdb import DuckDBPyRelation
from numpy.typing import NDArray

from coinlake.engine import Engine, Frame
from coinlake.table import Boolean, Date, Int64, String, Timestamp, Type

Arrays = Mapping[str, NDArray[Any]]
Kernel = Callable[[Arrays], Arrays]


def arrays(engine: Engine, frame: Frame, order: Sequence[str] = ()) -> dict[str, NDArray[Any]]:
    """The columns of a frame as arrays, ordered, or in whatever order they come. Unknown numbers are NaN (integers are
    then floats), unknown texts None; moments are in UTC.
    """
    return columns(engine.relation(frame), order)


def columns(rows: DuckDBPyRelation, order: Sequence[str]) -> dict[str, NDArray[Any]]:
    """The same of a relation."""
    types = dict(zip(rows.columns, map(str, rows.types), strict=True))
    select = ", ".join(f'"{name}"::{_READ_AS.get(kind, kind)} as "{name}"' for name, kind in types.items())
    chosen = rows.project(select)
    found: dict[str, Any] = (chosen.order(", ".join(order)) if order else chosen).fetchnumpy()
    return {name: _plain(column, types[name]) for name, column in found.items()}


def by_coin(engine: Engine, frame: Frame, order: str, kernel: Kernel) -> Frame:
    """Run a kernel over each coin's rows in turn, ordered by a column; its arrays become the rows of a frame."""
    columns = arrays(engine, frame, ("coin_id", order))
    coins = columns["coin_id"]
    starts = np.flatnonzero(np.r_[True, coins[1:] != coins[:-1]]) if len(coins) else np.array([], dtype=int)
    ends = np.r_[starts[1:], len(coins)][: len(starts)]
    made = [
        kernel({name: column[start:end] for name, column in columns.items()})
        for start, end in zip(starts, ends, strict=True)
    ] or [kernel({name: column[:0] for name, column in columns.items()})]
    return frame_of(engine, {name: np.concatenate([each[name] for each in made]) for name in made[0]})


def means(engine: Engine, frame: Frame, by: Sequence[str], value: str) -> Frame:
    """The mean of a column by groups (`mean`), and of how many (`count`); null values are none.

    Exactly rounded, so that it is the same to the last bit whatever the order of the rows, or the engine.
    """
    known = frame.filter(~nw.col(value).is_null()).select(*by, value)
    columns = arrays(engine, known, by)
    numbers = columns[value]
    changes = [columns[name][1:] != columns[name][:-1] for name in by]
    starts = np.flatnonzero(np.r_[True, np.logical_or.reduce(changes)]) if len(numbers) else np.array([], dtype=int)
    counts = np.diff(np.r_[starts, len(numbers)]) if len(starts) else np.array([], dtype=int)
    mean = numbers[starts].astype(float)
    for place in np.flatnonzero(counts > 1):
        mean[place] = math.fsum(numbers[starts[place] : starts[place] + counts[place]]) / counts[place]
    groups = {name: columns[name][starts] for name in by}
    return frame_of(engine, {**groups, "mean": mean, "count": counts.astype(np.int64)})


def frame_of(engine: Engine, columns: Arrays) -> Frame:
    """A frame of arrays; NaN and NaT become null."""
    given: dict[str, Any] = {name: _arrow(column) for name, column in columns.items()}
    select = ", ".join(
        f'case when not isnan("{name}") then "{name}" end as "{name}"' if column.dtype.kind == "f" else f'"{name}"'
        for name, column in columns.items()
    )
    return engine.frame(Table.from_pydict(given), select)


def typed(kind: Type, values: Sequence[Any]) -> NDArray[Any]:
    """Values as a column of that type; None where one is not known (integers and truths are then floats, with NaN)."""
    if kind is String:
        texts = np.empty(len(values), dtype=object)
        texts[:] = values
        return texts
    if kind in _TIMES:
        return np.array(values, dtype=_TIMES[kind])
    exact = kind in _EXACT and None not in values
    return np.array([np.nan if each is None else each for each in values], dtype=_EXACT[kind] if exact else float)


_TIMES = {Date: "datetime64[D]", Timestamp: "datetime64[us]"}
_EXACT: Mapping[Type, Any] = {Int64: np.int64, Boolean: np.bool_}


def _arrow(column: NDArray[Any]) -> Array:
    if column.dtype.kind == "M":
        is_moment = np.datetime_data(column.dtype)[0] == "us"
        return _moments(column) if is_moment else _dates(column.astype("datetime64[D]"))
    if column.dtype.kind in "OU":
        return Array([None if value is None else str(value) for value in column], type=DataType.utf8())
    return Array.from_numpy(np.ascontiguousarray(column))


def _dates(days: NDArray[Any]) -> Array:
    numbers = days.astype(np.int64).astype(np.int32)
    if not np.isnat(days).any():
        return Array.from_numpy(numbers).cast(DataType.date32())
    known = [None if unknown else number for number, unknown in zip(numbers.tolist(), np.isnat(days), strict=True)]
    return Array(known, type=DataType.int32()).cast(DataType.date32())


def _moments(moments: NDArray[Any]) -> Array:
    known = [None if unknown else n for n, unknown in zip(moments.astype(int).tolist(), np.isnat(moments), strict=True)]
    return Array(known, type=DataType.int64()).cast(DataType.timestamp("us", tz="UTC"))


_READ_AS = {"TIMESTAMP WITH TIME ZONE": "TIMESTAMP"}
"""Types that DuckDB reads as another, so that numpy gets arrays of numbers."""


def _plain(column: NDArray[Any], kind: str) -> NDArray[Any]:
    if isinstance(column, np.ma.MaskedArray):
        numbers = column.astype(float) if column.dtype.kind in "iu" and column.mask.any() else column
        column = np.ma.filled(numbers, np.nan if numbers.dtype.kind == "f" else None)
        if numbers.dtype.kind == "O":  # to numpy, None as a filling is no filling but its own default, "?"
            column[np.ma.getmaskarray(numbers)] = None
    return column.astype("datetime64[D]") if kind == "DATE" else column
