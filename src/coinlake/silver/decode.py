"""From the JSON of answers to typed values, by DuckDB with the types given, never inferred.

DuckDB casts "abc", a list or an object to NULL and `true` to 1.0 without a word, so the JSON type is asked beside
every value, and a mismatch is a reject.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import duckdb
from arro3.core import Array, DataType, Table

from coinlake.answer import Answer, is_json
from coinlake.duck import bring
from coinlake.engine import Frame
from coinlake.silver import rejects

_NUMBERS = "('DOUBLE', 'BIGINT', 'UBIGINT', 'HUGEINT', 'UHUGEINT')"
_WHOLE = "case when {t} = trunc({t}) and abs({t}) < 9e15 then {t}::BIGINT end"
_UNIX = "case when {t} between 0 and 9e15 then make_timestamptz({t}::BIGINT) end"
"""Microseconds; no moment before 1970 or after 2255, so that the time between any two is exact in a float64."""
_ISO = "case when {t} between make_timestamptz(0) and make_timestamptz(9000000000000000) then {t} end"


class Kind(Enum):
    """What a JSON value should be: the JSON types it may have, and the SQL that makes a column of its text `{t}`."""

    NUMBER = (_NUMBERS, "try_cast({t} as DOUBLE)", "a number")
    TEXT = ("('VARCHAR')", "{t}", "a text")
    COUNT = (_NUMBERS, _WHOLE.format(t="try_cast({t} as DOUBLE)"), "a whole number")
    ISO = ("('VARCHAR')", _ISO.format(t="try_cast({t} as TIMESTAMPTZ)"), "an ISO 8601 moment")
    SECONDS = (_NUMBERS, _UNIX.format(t="(try_cast({t} as DOUBLE) * 1e6)"), "UNIX seconds")
    MILLIS = (_NUMBERS, _UNIX.format(t="(try_cast({t} as DOUBLE) * 1e3)"), "UNIX milliseconds")


@dataclass(frozen=True)
class Field:
    """A value inside an element: the column it becomes, its JSON path below the element, and what it should be.

    `expected` fields are in every answer; the others come only sometimes or on request.
    """

    column: str
    path: str
    kind: Kind
    expected: bool = True


@dataclass(frozen=True)
class Decoded:
    """Typed values as a relation, one row an element, the rejects of decoding, and where below its element (JSON path
    without the `$`) a column's value lies.
    """

    values: duckdb.DuckDBPyRelation
    rejects: duckdb.DuckDBPyRelation
    places: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cleaned:
    """Rows of a table with the JSON `path` of their element (and `path_…` of single values, where they lie elsewhere),
    and rejects.
    """

    rows: Frame
    rejects: Frame | None = None


@dataclass(frozen=True)
class Reader:
    """How the answers of an endpoint become rows: decoded by DuckDB, then cleaned on any engine.

    One that `wants_bytes` is given bodies that need not be JSON, as `body_bytes`, and all that was asked, as `params`.
    """

    decode: Callable[[duckdb.DuckDBPyConnection, str], Decoded]
    build: Callable[[Frame], Cleaned]
    in_dollars: bool = True
    wants_bytes: bool = False


Lines = Sequence[tuple[str, int, Answer]]
"""Bronze object, line from 1, and the answer there."""

_COLUMNS: Mapping[str, DataType] = {
    "bronze_object": DataType.utf8(),
    "line": DataType.int64(),
    "source": DataType.utf8(),
    "endpoint": DataType.utf8(),
    "coin_id": DataType.utf8(),
    "fetched_at": DataType.int64(),
    "status": DataType.int64(),
    "currency": DataType.utf8(),
    "interval": DataType.utf8(),
    "days": DataType.utf8(),
    "from_s": DataType.utf8(),
    "to_s": DataType.utf8(),
    "ids": DataType.utf8(),
    "precision": DataType.utf8(),
    "list_status": DataType.utf8(),
    "body": DataType.utf8(),
    "params": DataType.utf8(),
    "body_bytes": DataType.large_binary(),
}


def load(con: duckdb.DuckDBPyConnection, lines: Lines, as_bytes: Collection[str] = ()) -> None:
    """Make the table `answers` of bronze lines: what was asked in columns, the body as text (null if not JSON), and of
    the endpoints named in `as_bytes` the very bytes instead, with all that was asked as JSON.

    Python and DuckDB must both take it for JSON: one lets half a surrogate pass, the other NaN.
    """
    rows = [_row(*line, as_bytes) for line in lines]
    columns: dict[str, Any] = {
        name: Array([row[number] for row in rows], type=type_) for number, (name, type_) in enumerate(_COLUMNS.items())
    }
    select = "* replace (make_timestamptz(fetched_at) as fetched_at), coalesce(json_valid(body), false) as is_json"
    bring(con, Table.from_pydict(columns), "answers", select)


def _row(bronze_object: str, line: int, answer: Answer, as_bytes: Collection[str]) -> tuple[Any, ...]:
    asked = answer.params
    raw = answer.endpoint in as_bytes
    parts = answer.path.split("/")
    return (
        bronze_object,
        line,
        answer.source,
        answer.endpoint,
        parts[2] if len(parts) > 3 and parts[1] == "coins" else None,
        round(answer.fetched_at.timestamp() * 1e6),
        answer.status,
        asked.get("vs_currency", asked.get("vs_currencies")),
        asked.get("interval"),
        asked.get("days"),
        asked.get("from"),
        asked.get("to"),
        asked.get("ids"),
        asked.get("precision"),
        asked.get("status"),
        answer.text if not raw and is_json(answer.body) else None,
        json.dumps(dict(asked)) if raw else None,
        answer.body if raw else None,
    )


ROOT = "'$'"
"""The path of a body as a whole, as SQL."""


def reject(rule: str, path: str, value: str = "null", detail: str = "null", **more: str) -> str:
    """The SELECT list of a reject; arguments after the rule are SQL."""
    return _reject(f"'{rule}'", path, value, detail, **more)


def _reject(rule: str, path: str, value: str, detail: str, **more: str) -> str:
    """The same with the rule as SQL too."""
    columns = {"source": "source", "coin_id": "coin_id", "granularity": "null", "first_day": "null", "last_day": "null"}
    columns |= more
    return (
        f"bronze_object, line, {path} as path, {rule} as rule, {columns['source']}::VARCHAR as source, "
        f"{columns['coin_id']}::VARCHAR as coin_id, "
        f"{columns['granularity']}::VARCHAR as granularity, {columns['first_day']}::DATE as first_day, "
        f"{columns['last_day']}::DATE as last_day, left({value}::VARCHAR, 200) as value, "
        f"{detail}::VARCHAR as detail, fetched_at"
    )


def decoded(
    con: duckdb.DuckDBPyConnection,
    elements: str,
    fields: Iterable[Field],
    known: Iterable[str] = (),
    more_rejects: Iterable[str] = (),
    keep: str = "",
    shape: str = "OBJECT",
) -> Decoded:
    """Decode the elements that a query gives.

    `elements` is SQL with bronze_object, line, source, coin_id, fetched_at, path and the element `e` as JSON, and the
    columns that `keep` names. Elements of another `shape` are rejects, and so is an array too short for its last
    field; so are values of a wrong type, and numbers that no float64 can hold. Where `known`
    names an element's keys, others are `unknown_field`s, and an expected one that no element has a `missing_field`.
    `more_rejects` are queries of further rejects over the temporary table `elements`.
    """
    fields = list(fields)
    paths = "[" + ", ".join(f"'{each.path}'" for each in fields) + "]"
    con.execute(
        f"create or replace temp table elements as select * replace ({_whole(shape, len(fields))} as shape) from ("
        f"select *, json_type(e) as shape, json_type(e, {paths}) as types, "
        f"json_extract_string(e, {paths}) as texts from ({elements}))"
    )
    values = ", ".join(f"{_value(place, each)} as {each.column}" for place, each in enumerate(fields, start=1))
    kept = "".join(f", {name}" for name in keep.split())
    con.execute(
        f"create or replace temp table decoded as select bronze_object, line, source, fetched_at, path{kept}, {values} "
        f"from elements where shape = '{shape}'"
    )
    queries = [
        f"select {reject('unexpected_shape', 'path', 'e', _expected(shape, len(fields)))} from elements "
        f"where shape is distinct from '{shape}'",
        *_mismatches(con, fields, shape),
        *([_unknown(fields, known), *_missing(con, fields)] if known else []),
        *more_rejects,
    ]
    con.execute("create or replace temp table refused as " + " union all ".join(queries))
    places = {each.column: each.path[1:] for each in fields}
    return Decoded(con.table("decoded"), con.table("refused"), places)


def array_elements(of: str = "body", extra: str = "") -> str:
    """SQL for the elements of a top-level JSON array; an answer that is none of it is one element of another shape."""
    return (
        f"select bronze_object, line, source, coin_id, fetched_at, currency, precision, ids, list_status{extra}, "
        f"'$[' || (unnest(range(len(list)))) || ']' as path, unnest(list) as e from (select *, case when "
        f"json_type({of}) = 'ARRAY' then from_json({of}, '[\"JSON\"]') else ['null'::JSON] end as list from asked)"
    )


def not_an_object() -> str:
    """SQL for a reject of every answer whose body is no JSON object."""
    detail = "'expected an object, got ' || json_type(body)"
    return f"select {reject('unexpected_shape', ROOT, 'body', detail)} from asked where json_type(body) <> 'OBJECT'"


def lacking(path: str, of: str) -> str:
    """SQL for a reject of every element that has nothing, or null, at a path that it cannot do without."""
    place, detail = f"path || '{path[1:]}'", f"'expected {of}'"
    return (
        f"select {reject('missing', place, detail=detail)} from elements "
        f"where shape in ('ARRAY', 'OBJECT') and coalesce(json_type(e, '{path}'), 'NULL') = 'NULL'"
    )


def asked_but_missing(received: str) -> str:
    """SQL for the coins that were asked for by id and that `received` (SQL over `decoded`) did not give."""
    return (
        f"select {reject('coin_missing', _missing_path, detail=_ASKED)} from "
        "(select * exclude (coin_id), trim(unnest(string_split(ids, ','))) as coin_id from asked where ids is not null)"
        f" as wanted where not exists (select 1 from ({received}) as got where got.bronze_object = "
        "wanted.bronze_object and got.line = wanted.line and got.coin_id = wanted.coin_id)"
    )


_missing_path = "'$[?@.id==''' || coin_id || ''']'"
_ASKED = "'asked for by id, not in the answer'"


def _whole(shape: str, fields: int) -> str:
    """SQL for an element's shape; an array that has no place for the last of its fields tells its length instead."""
    if shape != "ARRAY":
        return "shape"
    return (
        f"case when shape = 'ARRAY' and types[{fields}] is null then 'ARRAY of ' || json_array_length(e) else shape end"
    )


def _value(place: int, field: Field) -> str:
    """SQL for the value of an element's field, null where it is of another type or no finite number."""
    types, cast, _ = field.kind.value
    finite = f" and {_is_finite(place)}" if types == _NUMBERS else ""
    return f"case when types[{place}] in {types}{finite} then {cast.format(t=f'texts[{place}]')} end"


def _is_finite(place: int) -> str:
    return f"isfinite(try_cast(texts[{place}] as DOUBLE))"


def _mismatches(con: duckdb.DuckDBPyConnection, fields: list[Field], shape: str) -> list[str]:
    """Queries of a reject of every element whose field is there but of no use, for the fields that have such."""
    useless = [f"types[{place}] <> 'NULL' and {_value(place, each)} is null" for place, each in enumerate(fields, 1)]
    elements = f"elements where shape = '{shape}'"
    queries = [
        f"select {_mismatch(place, each)} from {elements} and {useless[place - 1]}"
        for place, each in enumerate(fields, start=1)
    ]
    return _occurring(con, queries, useless, elements)


def _occurring(
    con: duckdb.DuckDBPyConnection, queries: Sequence[str], conditions: Sequence[str], rows: str
) -> list[str]:
    """The queries whose condition (SQL) is true for any of the rows: one look at all of them, where to run each query
    to find nothing would take most of the time.
    """
    asked = "".join(f", bool_or({each})" for each in conditions)
    _, *found = con.sql(f"select count(*){asked} from {rows}").fetchall()[0]
    return [query for query, occurs in zip(queries, found, strict=True) if occurs]


def _mismatch(place: int, field: Field) -> str:
    """The SELECT list of a reject of an element's field."""
    got, path = f"types[{place}]", f"path || '{field.path[1:]}'"
    rule, detail = "'wrong_type'", f"'expected {field.kind.value[2]}, got ' || {got}"
    if field.kind.value[0] == _NUMBERS:
        too_large = f"{got} in {_NUMBERS} and not {_is_finite(place)}"
        rule = f"case when {too_large} then 'not_finite' else {rule} end"
        detail = f"case when {too_large} then 'larger than a float64 can be' else {detail} end"
    return _reject(rule, path, f"texts[{place}]", detail)


def _expected(shape: str, fields: int) -> str:
    wanted = f"ARRAY of {fields}" if shape == "ARRAY" else shape
    return f"'expected {wanted}, got ' || coalesce(shape, 'nothing')"


def _unknown(fields: list[Field], known: Iterable[str]) -> str:
    names = {*known, *(each.path.removeprefix("$.").split(".")[0] for each in fields)}
    listed = ", ".join(f"'{name}'" for name in sorted(names))
    path = "regexp_replace(path, '\\[\\d+\\]$', '[*]') || '.' || name"
    return (
        f"select distinct {reject('unknown_field', path, coin_id='null')} from "
        f"(select *, unnest(json_keys(e)) as name from elements where shape = 'OBJECT') where name not in ({listed})"
    )


def _missing(con: duckdb.DuckDBPyConnection, fields: list[Field]) -> list[str]:
    """Queries of a reject of every answer none of whose elements has a field, for the fields that are missing."""
    path = "regexp_replace(any_value(path), '\\[\\d+\\]$', '[*]') || '{}'"
    group = "from elements where shape = 'OBJECT' group by bronze_object, line, source, fetched_at"
    expected = [(place, each) for place, each in enumerate(fields, start=1) if each.expected]
    queries = [
        f"select {reject('missing_field', path.format(each.path[1:]), coin_id='null')} {group} "
        f"having count(types[{place}]) = 0"
        for place, each in expected
    ]
    counts = "".join(f", count(types[{place}]) as of_{place}" for place, _ in expected)
    return _occurring(con, queries, [f"of_{place} = 0" for place, _ in expected], f"(select count(*){counts} {group})")


REJECTED = tuple(name for name in rejects.TABLE.columns)
"""The columns of a reject, in order."""
