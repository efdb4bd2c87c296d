"""Series mathematics: one coin's rows as arrays in, arrays out, the same on every engine.

Numbers are float64 with NaN where a value is unknown; days are numpy's datetime64[D]. NaN never leaves: what comes
back from a kernel as NaN is null in the frame.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import narwhals as nw
import numpy as np
from arro3.core import Array, ChunkedArray, DataType, Table
from duckdb import DuckDBPyRelation
from numpy.typing import NDArray

from coinlake.duck import quoted
from coinlake.engine import Engine, Frame
from coinlake.table import Boolean, Date, Int64, String, Timestamp, Type

Arrays = Mapping[str, NDArray[Any]]


def arrays(engine: Engine, frame: Frame, order: Sequence[str] = ()) -> dict[str, NDArray[Any]]:
    """The columns of a frame as arrays, ordered, or in whatever order they come. Unknown numbers are NaN (integers are
    then floats), unknown texts None; moments are in UTC.
    """
    return columns(engine.relation(frame), order)


def columns(rows: DuckDBPyRelation, order: Sequence[str]) -> dict[str, NDArray[Any]]:
    """The same of a relation."""
    types = _types(rows)
    chosen = rows.project(_select(types))
    found: dict[str, Any] = (chosen.order(", ".join(order)) if order else chosen).fetchnumpy()
    return {name: _plain(column, types[name]) for name, column in found.items()}


def series_of(engine: Engine, frame: Frame, by: Sequence[str], day: str = "day") -> dict[str, NDArray[Any]]:
    """The same of long series, ordered by the texts that name them, and by day. The frame is computed twice, first for
    the names alone: where that is to read files, it takes a quarter of the time that a text of each row does.
    """
    rows = engine.relation(frame)
    types = _types(rows)
    names = rows.query("named", f"select distinct {', '.join(by)} from named").fetchall()
    if not names:
        return columns(rows, (*by, day))
    known = {name: sorted({each[place] for each in names}) for place, name in enumerate(by)}
    codes = {name: f"enum_code({name}::ENUM({', '.join(map(quoted, texts))}))" for name, texts in known.items()}
    found: dict[str, Any] = rows.project(_select(types, codes)).fetchnumpy()
    plain = {name: column if name in known else _plain(column, types[name]) for name, column in found.items()}
    order = _order(plain[day], [(plain[name], len(known[name])) for name in by])
    in_order = plain if order is None else {name: column[order] for name, column in plain.items()}
    return {name: typed(String, known[name])[column] if name in known else column for name, column in in_order.items()}


def _order(days: NDArray[Any], codes: Sequence[tuple[NDArray[Any], int]]) -> NDArray[np.int64] | None:
    """The order of rows by their codes (each below a number), then by day; None where they lie in it. One whole
    number a row is sorted, instead of one column after the other, and before the texts are there to be moved.
    """
    numbers = days.astype("datetime64[D]").astype(np.int64)
    first = int(numbers.min())
    place = np.zeros(len(days), dtype=np.int64)
    for code, below in [*codes, (numbers - first, int(numbers.max()) - first + 1)]:
        place = place * below + code
    return np.argsort(place, kind="stable") if (place[1:] < place[:-1]).any() else None


def _types(rows: DuckDBPyRelation) -> dict[str, str]:
    return dict(zip(rows.columns, map(str, rows.types), strict=True))


def _select(types: Mapping[str, str], instead: Mapping[str, str] = MappingProxyType({})) -> str:
    """SQL for columns in types that become arrays, some of them made otherwise."""
    made = {name: f'"{name}"::{_READ_AS.get(kind, kind)}' for name, kind in types.items()}
    return ", ".join(f'{sql} as "{name}"' for name, sql in {**made, **instead}.items())


def is_empty(engine: Engine, frame: Frame) -> bool:
    """Whether a frame has no rows."""
    return not engine.relation(frame).limit(1).fetchall()


def means(engine: Engine, frame: Frame, by: Sequence[str], value: str) -> Frame:
    """The mean of a column by groups (`mean`), and of how many (`count`); null values are none.

    Exactly rounded, so that it is the same to the last bit whatever the order of the rows, or the engine.
    """
    known = frame.filter(~nw.col(value).is_null()).select(*by, value)
    columns = arrays(engine, known, by)
    numbers = columns[value]
    starts, counts = runs(*(columns[name] for name in by))
    mean = numbers[starts].astype(float)
    for place in np.flatnonzero(counts > 1):
        mean[place] = math.fsum(numbers[starts[place] : starts[place] + counts[place]]) / counts[place]
    groups = {name: columns[name][starts] for name in by}
    return frame_of(engine, {**groups, "mean": mean, "count": counts.astype(np.int64)})


def runs(*columns: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each run of rows that are alike in all columns begins, and how many rows it has."""
    rows = len(columns[0])
    changes = np.logical_or.reduce([column[1:] != column[:-1] for column in columns])
    starts = np.flatnonzero(np.r_[True, changes][:rows])
    return starts, np.diff(np.r_[starts, rows])


def frame_of(engine: Engine, columns: Arrays) -> Frame:
    """A frame of arrays; NaN and NaT become null."""
    return engine.frame(rows_of(columns))


def rows_of(columns: Arrays, whole: Collection[str] = ()) -> Table:
    """Arrays as rows that wait for nobody to compute them; NaN and NaT become null. Those named are whole numbers,
    though some that are unknown may have made floats of them.
    """
    made: dict[str, Any] = {name: _arrow(column) for name, column in columns.items()}
    return Table.from_pydict(made | {name: made[name].cast(DataType.int64()) for name in whole})


def together(rows: Sequence[Table]) -> Table:
    """Rows one after the other, none of them copied."""
    return Table.from_batches([batch for each in rows for batch in each.to_batches()], schema=rows[0].schema)


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
    if column.dtype.kind in "OU":
        return _texts(column)
    if column.dtype.kind == "M":
        return _moments(column) if np.datetime_data(column.dtype)[0] == "us" else _days(column.astype("datetime64[D]"))
    return _with_nulls(column, np.isnan(column) if column.dtype.kind == "f" else None)


def _with_nulls(numbers: NDArray[Any], unknown: NDArray[np.bool_] | None) -> Array:
    """Numbers, and null where they are unknown: there, what is taken is the one null after their end."""
    known = Array.from_numpy(np.ascontiguousarray(numbers))
    if unknown is None or not unknown.any():
        return known
    ended = ChunkedArray([known, Array([None], type=known.type)]).combine_chunks()
    place = np.arange(len(numbers), dtype=np.uint32)
    return ended.take(Array.from_numpy(np.where(unknown, np.uint32(len(numbers)), place)))


def _texts(column: NDArray[Any]) -> Array:
    """Texts, of which neighbours are often the same one."""
    starts, lengths = runs(column)
    each = [None if text is None else str(text) for text in column[starts]]
    number = np.repeat(np.arange(len(starts), dtype=np.uint32), lengths)
    return Array(each, type=DataType.utf8()).take(Array.from_numpy(number))


def _moments(moments: NDArray[Any]) -> Array:
    return _with_nulls(moments.astype(np.int64), np.isnat(moments)).cast(DataType.timestamp("us", tz="UTC"))


def _days(days: NDArray[Any]) -> Array:
    return _with_nulls(days.astype(np.int64).astype(np.int32), np.isnat(days)).cast(DataType.date32())


_READ_AS = {"TIMESTAMP WITH TIME ZONE": "TIMESTAMP"}
"""Types that DuckDB reads as another, so that numpy gets arrays of numbers."""


def _plain(column: NDArray[Any], kind: str) -> NDArray[Any]:
    if isinstance(column, np.ma.MaskedArray):
        numbers = column.astype(float) if column.dtype.kind in "iu" and column.mask.any() else column
        column = np.ma.filled(numbers, np.nan if numbers.dtype.kind == "f" else None)
        if numbers.dtype.kind == "O":  # to numpy, None as a filling is no filling but its own default, "?"
            column[np.ma.getmaskarray(numbers)] = None
    return column.astype("datetime64[D]") if kind == "DATE" else column
