"""How a file of rows reads, CSV or Parquet: its columns, its lines as text, and the forms of dates.

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
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import duckdb
from arro3.core import Array, DataType, Table

from coinlake.duck import bring, glance, quoted

NUMBERS = ("open", "high", "low", "close", "volume")
CELLS = ("coin", "moment", *NUMBERS)
"""What is taken of a line."""

_DELIMITERS = (",", ";", "\t", "|")
_CHUNK = 50_000
_NO_SHEETS = {
    b"PK\x03\x04": "is a spreadsheet or a zip archive: save the sheet as CSV",
    b"\x1f\x8b": "is compressed: unpack it first",
    b"\xff\xfe": "is UTF-16 text: save it as CSV UTF-8",
    b"\xfe\xff": "is UTF-16 text: save it as CSV UTF-8",
}


NO_UTF8 = (
    "bytes that are no UTF-8: save it as CSV UTF-8, or convert it, such as from Latin-1 with iconv -f LATIN1 -t UTF-8"
)
"""What is wrong with text in another encoding, and what to do about it."""


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
        raise Unreadable(f"is no text, or has {NO_UTF8}")
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
        return "a quote that is not closed in its line, or stands inside a cell"
    if len(cells) != expected:
        return f"{len(cells)} cell{'s' if len(cells) > 1 else ''} where the header has {expected}"
    return "" if _is_text(line) else NO_UTF8


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
    with _parquet(body) as (con, file):
        return tuple(_types(con, file))


def _load_parquet(con: duckdb.DuckDBPyConnection, body: bytes, columns: Mapping[str, str], name: str) -> None:
    with _parquet(body) as (reading, file):
        types = _types(reading, file)
        cells = ", ".join(_as_text(columns[cell], types) if cell in columns else "null" for cell in CELLS)
        numbered = f"read_parquet({file}, file_row_number = true, hive_partitioning = false)"
        bring(con, reading.sql(f"select file_row_number + 1, null, null, {cells} from {numbered}"), "chunk")
    con.execute(f"insert into {name} select * from chunk")


def _types(con: duckdb.DuckDBPyConnection, file: str) -> dict[str, str]:
    described = con.sql(f"describe select * from read_parquet({file}, hive_partitioning = false)").fetchall()
    return {row[0]: row[1] for row in described}


def _as_text(column: str, types: Mapping[str, str]) -> str:
    """SQL: a column as text that says exactly what the value is; a float32 is the float64 it widens to."""
    name = '"' + column.replace('"', '""') + '"'
    exact = f"{name}::DOUBLE" if types[column] == "FLOAT" else name
    return f"nullif(trim({exact}::VARCHAR, ' \t'), '')"


@contextmanager
def _parquet(body: bytes) -> Iterator[tuple[duckdb.DuckDBPyConnection, str]]:
    """A connection, and as an SQL literal the path of a file with these bytes: DuckDB reads Parquet from files only."""
    with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
        file.write(body)
        file.flush()
        try:
            yield glance(), quoted(file.name)
        except duckdb.Error as exc:
            raise Unreadable("is a damaged Parquet file: write it again") from exc


# Dates ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Form:
    """A way to write a date or a moment: how it looks, as a regular expression, and the SQL of the moment `{t}` names,
    in UTC; null where there is no such moment.
    """

    looks: str
    pattern: str
    sql: str


_CLOCK = r"\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?"
_SECONDS = r"regexp_replace({t}, '^(\S{{10}}[T ]\d{{2}}:\d{{2}})($|[^:])', '\1:00\2')"
_BY_DAY = r"\d{1,2}[-/.]\d{1,2}[-/.]\d{4}( \d{1,2}:\d{2}(:\d{2})?)?"


def _written(order: str) -> str:
    forms = ", ".join(f"'{order}{clock}'" for clock in ("", " %H:%M", " %H:%M:%S"))
    return f"try_strptime(regexp_replace({{t}}, '[-.]', '/', 'g'), [{forms}])::TIMESTAMPTZ"


def _unix(digits: int, microseconds: str) -> Form:
    unit = {10: "seconds", 13: "milliseconds", 16: "microseconds", 19: "nanoseconds"}[digits]
    whole = "try_cast(split_part({t}, '.', 1) as BIGINT)"
    fraction = r"(\.\d{1,9})?" if digits == 10 else r"(\.0*)?"
    sql = f"try(make_timestamptz({microseconds.format(n=whole)}))"
    return Form(f"UNIX {unit}", rf"\d{{{digits}}}{fraction}", sql)


FORMS: Mapping[str, Form] = {
    "iso_day": Form("2014-09-17", r"\d{4}-\d{2}-\d{2}", "try_cast({t} as DATE)::TIMESTAMPTZ"),
    "iso_time": Form(
        "2014-09-17T05:00:00, in UTC",
        rf"\d{{4}}-\d{{2}}-\d{{2}}[T ]{_CLOCK}",
        f"try_cast({_SECONDS} as TIMESTAMP)::TIMESTAMPTZ",
    ),
    "iso_offset": Form(
        "2014-09-17T05:00:00Z or …+02:00",
        rf"\d{{4}}-\d{{2}}-\d{{2}}[T ]{_CLOCK} ?(Z|UTC|[+-](0\d|1[0-4])(:?[0-5]\d)?)",
        f"try_cast({_SECONDS} as TIMESTAMPTZ)",
    ),
    "ymd": Form("2014/09/17", r"\d{4}/\d{1,2}/\d{1,2}", "try_strptime({t}, '%Y/%m/%d')::TIMESTAMPTZ"),
    "dmy": Form("17/09/2014 or 17-09-2014, the day first", _BY_DAY, _written("%d/%m/%Y")),
    "mdy": Form("09/17/2014, the month first", _BY_DAY, _written("%m/%d/%Y")),
    "unix_s": _unix(10, "(try_cast({{t}} as DECIMAL(20, 6)) * 1000000)::BIGINT"),
    "unix_ms": _unix(13, "{n} * 1000"),
    "unix_us": _unix(16, "{n}"),
    "unix_ns": _unix(19, "{n} // 1000"),
}
"""The ways to write a date or a moment, by name."""


def moment_of(form: str, text: str) -> str:
    """SQL: the moment that `text` (SQL) names in a form; null where it is not of that form."""
    chosen = FORMS[form]
    return f"case when regexp_full_match({text}, '{chosen.pattern}') then {chosen.sql.format(t=text)} end"


# Meaning -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Meaning:
    """How a file is to be understood: which column each of CELLS is, whose history it is where no column says so, the
    form of its dates, and whether they name a `day` or the moment at which a candle `opens` or `closes`.
    """

    sheet: Sheet
    columns: Mapping[str, str]
    coin: str | None
    date_form: str
    time_is: str

    def as_params(self) -> dict[str, str]:
        """The same as texts, to be kept beside the file's bytes."""
        told = {
            "format": self.sheet.format,
            "delimiter": self.sheet.delimiter,
            "header": json.dumps(self.sheet.columns, ensure_ascii=False),
            "columns": json.dumps(dict(self.columns), ensure_ascii=False),
            "coin": self.coin or "",
            "date_form": self.date_form,
            "time_is": self.time_is,
        }
        return {name: text for name, text in told.items() if text}


def meaning_of(params: Mapping[str, str]) -> Meaning:
    """What `as_params` told.

    Raises:
        Unreadable: it is not all there.
    """
    try:
        header, columns = json.loads(params["header"]), json.loads(params["columns"])
        sheet = Sheet(params["format"], params.get("delimiter", ""), tuple(header))
        meaning = Meaning(sheet, columns, params.get("coin"), params["date_form"], params["time_is"])
        whole = set(columns) <= set(CELLS) and set(columns.values()) <= set(header) and meaning.date_form in FORMS
    except (KeyError, ValueError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise Unreadable("does not say how it is to be understood: import it again")
    return meaning
