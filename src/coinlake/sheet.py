"""How a file of rows reads, CSV or Parquet: its columns, what they mean, its lines as text, the one form of its dates.

Nothing is typed here and nothing is left out: a line whose cells do not fit the header is there, with the reason.
A cell holds no line break, so that every line of a CSV file stands for itself and one stray quote costs one line.
"""

from __future__ import annotations

import csv
import io
import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import duckdb
from arro3.core import Array, DataType, Table

from coinlake.duck import bring, quoted

NUMBERS = ("open", "high", "low", "close", "volume")
CELLS = ("coin", "moment", *NUMBERS)
"""What is taken of a line."""

NAMES: Mapping[str, tuple[str, ...]] = {
    "coin": ("coin id", "coin", "id", "coinid"),
    "time": (
        *("unix", "unix time", "unix timestamp", "timestamp", "open time", "opentime", "opened at"),
        *("datetime", "date time", "time"),
    ),
    "day": ("day", "date"),
    "open": ("open", "open usd", "open price", "opening price"),
    "high": ("high", "high usd", "high price"),
    "low": ("low", "low usd", "low price"),
    "close": ("close", "close usd", "close price", "closing price", "price", "price usd"),
    "volume": ("volume usd", "volume", "vol", "volume 24h usd", "volumeusd"),
}
"""The names a column is known by, best first, in small letters with one space for whatever is no letter or digit."""

NOTHING = "-"
"""In a mapping: take no column for it."""

_DELIMITERS = (",", ";", "\t", "|")
_CHUNK = 50_000
_NO_SHEETS = {
    b"PK\x03\x04": "is a spreadsheet or a zip archive: save the sheet as CSV",
    b"\x1f\x8b": "is compressed: unpack it first",
    b"\xff\xfe": "is UTF-16 text: save it as CSV UTF-8",
    b"\xfe\xff": "is UTF-16 text: save it as CSV UTF-8",
}


class Unreadable(ValueError):
    """The file cannot be read as it is: the sentence goes on from the file's name and says what to do."""


# Columns and lines ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sheet:
    """What a file is: `csv` or `parquet`, the character between two cells (empty for Parquet), and its columns."""

    format: str
    delimiter: str
    columns: tuple[str, ...]

    @property
    def place(self) -> str:
        """What its rows are called in a path: lines count from 1 with the header, rows of Parquet from 1."""
        return "rows" if self.format == "parquet" else "lines"


def sheet_of(body: bytes) -> Sheet:
    """What a file's bytes are.

    Raises:
        Unreadable: they are neither CSV in UTF-8 nor Parquet.
    """
    if not body.strip():
        raise Unreadable("is empty")
    if body.startswith(b"PAR1"):
        return Sheet("parquet", "", _parquet_columns(body))
    for magic, what in _NO_SHEETS.items():
        if body.startswith(magic):
            raise Unreadable(what)
    header = next((line for _, line in _texts(body)), "")
    if "\0" in header or not _is_text(header):
        raise Unreadable("is no text: save it as CSV UTF-8")
    delimiter = max(_DELIMITERS, key=lambda each: len(_split(header, each) or ()))
    return Sheet("csv", delimiter, tuple(name.strip() for name in _split(header, delimiter) or (header,)))


def load(con: duckdb.DuckDBPyConnection, body: bytes, sheet: Sheet, columns: Mapping[str, str], name: str) -> None:
    """Make the table `name` of a file's lines: `number` of the line, its CELLS as text (null where empty or in no
    column), and `wrong` with the line's `raw` text where it does not fit the header.

    Raises:
        Unreadable: the file is damaged.
    """
    texts = ", ".join(f"{cell} VARCHAR" for cell in CELLS)
    con.execute(f"create or replace temp table {name} (number BIGINT, wrong VARCHAR, raw VARCHAR, {texts})")
    if sheet.format == "parquet":
        _load_parquet(con, body, columns, name)
        return
    places = [sheet.columns.index(columns[cell]) if cell in columns else None for cell in CELLS]
    lines = islice(_texts(body), 1, None)
    while chunk := list(islice(lines, _CHUNK)):
        bring(con, _chunk(chunk, sheet, places), "chunk")
        trimmed = ", ".join(f"nullif(trim({cell}, ' \t'), '') as {cell}" for cell in CELLS)
        con.execute(f"insert into {name} select number, wrong, raw, {trimmed} from chunk")


def _texts(body: bytes) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, each with its number from 1."""
    text = io.TextIOWrapper(io.BytesIO(body), "utf-8-sig", errors="surrogateescape", newline=None)
    return ((number, line.rstrip("\n")) for number, line in enumerate(text, start=1) if line.strip())


def _chunk(chunk: Iterable[tuple[int, str]], sheet: Sheet, places: Sequence[int | None]) -> Table:
    rows = [_row(number, line, sheet, places) for number, line in chunk]
    names = ("number", "wrong", "raw", *CELLS)
    columns: dict[str, Any] = {
        name: Array([row[at] for row in rows], type=DataType.utf8() if at else DataType.int64())
        for at, name in enumerate(names)
    }
    return Table.from_pydict(columns)


def _row(number: int, line: str, sheet: Sheet, places: Sequence[int | None]) -> tuple[Any, ...]:
    cells = _split(line, sheet.delimiter)
    if (wrong := _wrong(line, cells, len(sheet.columns))) or cells is None:
        return (number, wrong, line.encode("utf-8", "replace").decode(), *(None for _ in CELLS))
    return (number, None, None, *(None if at is None else cells[at] for at in places))


def _wrong(line: str, cells: list[str] | None, expected: int) -> str:
    if cells is None:
        return "a quote is not closed in its line, or stands inside a cell"
    if len(cells) != expected:
        return f"{len(cells)} cells where the header has {expected}"
    return "" if _is_text(line) else "bytes that are no UTF-8"


def _split(line: str, delimiter: str) -> list[str] | None:
    """The cells of a line; None where its quotes are wrong."""
    if '"' not in line:
        return line.split(delimiter)
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True))
    except csv.Error:
        return None


def _is_text(line: str) -> bool:
    return line.isascii() or not re.search("[\ud800-\udfff]", line)


def _parquet_columns(body: bytes) -> tuple[str, ...]:
    with _on_disk(body) as con:
        return tuple(row[0] for row in con.sql("describe select * from file").fetchall())


def _load_parquet(con: duckdb.DuckDBPyConnection, body: bytes, columns: Mapping[str, str], name: str) -> None:
    with _on_disk(body) as file:
        types = {row[0]: row[1] for row in file.sql("describe select * from file").fetchall()}
        cells = ", ".join(_as_text(columns[cell], types) if cell in columns else "null" for cell in CELLS)
        bring(con, file.sql(f"select row_number() over () as number, null, null, {cells} from file"), "chunk")
    con.execute(f"insert into {name} select * from chunk")


def _as_text(column: str, types: Mapping[str, str]) -> str:
    """SQL: a column as text that says exactly what the value is; a float32 is the float64 it widens to."""
    name = '"' + column.replace('"', '""') + '"'
    exact = f"{name}::DOUBLE" if types[column] == "FLOAT" else name
    return f"nullif(trim({exact}::VARCHAR, ' \t'), '')"


class _on_disk:
    """A connection with the view `file` over Parquet bytes, which DuckDB reads from a file only."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __enter__(self) -> duckdb.DuckDBPyConnection:
        from coinlake.duck import connect

        self._file = tempfile.NamedTemporaryFile(suffix=".parquet")  # noqa: SIM115 - closed on exit
        self._file.write(self._body)
        self._file.flush()
        con = connect()
        try:
            con.execute(f"create view file as select * from read_parquet({quoted(self._file.name)})")
        except duckdb.Error as exc:
            self._file.close()
            raise Unreadable("is a damaged Parquet file: write it again") from exc
        return con

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._file.close()
        if isinstance(error, duckdb.Error):
            raise Unreadable("is a damaged Parquet file: write it again") from error
