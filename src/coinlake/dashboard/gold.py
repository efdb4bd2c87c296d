"""Gold as the pages see it: one version of every table, and questions that tolerate what is not there yet.

The pages reach the gold root alone: in the cloud they may read nothing else. What a table holds is taken from its own
schema, not from the contract, so that a lake of an older release, or half a lake, can be shown too.
"""

from __future__ import annotations

import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

import duckdb
from deltalake import DeltaTable, QueryBuilder
from deltalake.exceptions import DeltaError

from coinlake.duck import bring, connect, quoted
from coinlake.errors import LakeError, brief
from coinlake.objects import Objects, local_folder

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")

TABLES = (
    "daily", "indicators", "market", "correlations", "signals", "backtests", "market_summary", "health",
)  # fmt: skip
"""The gold tables that pages are made of."""

_COMMIT = re.compile(r"(?:.*/)?([^/]+)/_delta_log/(\d{20})\.json$")
_TEXT = frozenset(
    (
        "coin_id", "symbol", "name", "source", "rule", "direction", "numbers", "sentence", "verdict", "stance",
        "stance_reasons", "signals_today", "flags", "coin_a", "coin_b", "best_coin_id", "worst_coin_id",
        "close_bronze_object", "table_name", "reason",
    )
)  # fmt: skip
_DATES = frozenset(
    ("day", "month_end", "tradable_on", "first_day", "until", "peak_day", "first_missing_day", "last_missing_day")
)
_REMEMBERED = 256


@dataclass(frozen=True)
class Seen:
    """The newest commit of a table: its version, and when it was written."""

    version: int
    at: datetime


@dataclass(frozen=True)
class Part:
    """What a question needs of a table: these columns of these rows. `where` is SQL over the table's own columns."""

    table: str
    columns: Sequence[str]
    where: str = "true"


@dataclass(frozen=True)
class _Stored:
    """One table as it stands: the columns it has, and its files where they are local."""

    delta: DeltaTable
    columns: frozenset[str]
    files: tuple[str, ...]


@dataclass(frozen=True)
class Gold:
    """Gold at one moment: the versions that were newest then. Answers are kept as long as it is."""

    root: str
    seen: Mapping[str, Seen]
    options: Mapping[str, str] = field(default_factory=dict)
    _answers: OrderedDict[Any, Any] = field(default_factory=OrderedDict, repr=False, compare=False)
    _tables: dict[str, _Stored] = field(default_factory=dict, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)
    _con: duckdb.DuckDBPyConnection = field(default_factory=lambda: _connection(), repr=False, compare=False)

    def has(self, table: str, *columns: str) -> bool:
        """Whether a table is there, with these columns."""
        return table in self.seen and (not columns or set(columns) <= self._stored(table).columns)

    def columns(self, table: str) -> list[str]:
        """The columns that a table has, by name."""
        return sorted(self._stored(table).columns) if table in self.seen else []

    def ask(self, sql: str, **parts: Part) -> pd.DataFrame:
        """The answer to a question over parts of tables, each known by the name it is given.

        `sql` is a SELECT, or names of further parts before it (`name as (…) select …`). A table or a column that is
        not there reads as null, or as no rows.
        """
        try:
            return _plain(self._answer(sql, parts).df())
        except (duckdb.IOException, duckdb.InvalidInputException, DeltaError, OSError) as exc:
            raise LakeError(f"{self.root} cannot be read ({brief(exc)}); run `coinlake doctor`") from exc

    def _answer(self, sql: str, parts: Mapping[str, Part]) -> duckdb.DuckDBPyConnection:
        if local_folder(self.root):
            given = ", ".join(f"{name} as ({self._files_of(part)})" for name, part in parts.items())
            return self._con.cursor().execute(_asked(given, sql))
        con = connect()
        for name, part in parts.items():
            self._bring(con, name, part)
        return con.execute(_asked("", sql))

    def remember(self, question: Callable[..., T], *arguments: Any) -> T:
        """The answer of `question(self, *arguments)`, worked out once; whoever gets it must not change it."""
        key = (question.__module__, question.__qualname__, arguments)
        with self._lock:
            if key in self._answers:
                self._answers.move_to_end(key)
                return self._answers[key]  # type: ignore[no-any-return]
        answer = question(self, *arguments)
        with self._lock:
            self._answers[key] = answer
            while len(self._answers) > _REMEMBERED:
                self._answers.popitem(last=False)
        return answer

    @property
    def written_at(self) -> datetime | None:
        """When the newest of its tables was written."""
        return max((each.at for each in self.seen.values()), default=None)

    def _files_of(self, part: Part) -> str:
        stored = self._stored(part.table) if part.table in self.seen else None
        if stored is None or not stored.files:
            return f"select {_select(part.columns, frozenset())} where false"
        files = ", ".join(quoted(each) for each in stored.files)
        return (
            f"select {_select(part.columns, stored.columns)} from "
            f"read_parquet([{files}], union_by_name = true, hive_partitioning = false) where {part.where}"
        )

    def _bring(self, con: duckdb.DuckDBPyConnection, name: str, part: Part) -> None:
        if part.table not in self.seen:
            con.execute(f"create temp table {name} as select {_select(part.columns, frozenset())} where false")
            return
        stored = self._stored(part.table)
        there = [column for column in part.columns if column in stored.columns]
        listed = ", ".join(f'"{column}"' for column in there) or "1 as nothing"
        rows = QueryBuilder().register("t", stored.delta).execute(f"select {listed} from t where {part.where}")
        bring(con, rows, name, _select(part.columns, stored.columns))

    def _stored(self, table: str) -> _Stored:
        with self._lock:
            if table not in self._tables:
                self._tables[table] = self._open(table)
            return self._tables[table]

    def _open(self, table: str) -> _Stored:
        folder = local_folder(self.root)
        uri = f"{folder or self.root}/{table}"
        try:
            delta = DeltaTable(uri, version=self.seen[table].version, storage_options=dict(self.options))
        except (DeltaError, OSError) as exc:
            raise LakeError(f"{uri} cannot be read ({brief(exc)}); run `coinlake doctor`") from exc
        files = tuple(unquote(each) for each in delta.file_uris()) if folder else ()
        return _Stored(delta, frozenset(each.name for each in delta.schema().fields), files)


def look(root: str, options: Mapping[str, str] | None = None) -> dict[str, Seen]:
    """The newest version of every gold table below a root; nothing is opened for it, only names are listed.

    Raises:
        LakeError: the root cannot be reached.
    """
    folder = local_folder(root)
    commits = _local(Path(folder)) if folder else _listed(root, options or {})
    newest: dict[str, Seen] = {}
    for path, at in commits:
        if found := _COMMIT.match(path):
            table, version = found[1], int(found[2])
            if table not in newest or newest[table].version < version:
                newest[table] = Seen(version, at)
    return newest


def _local(folder: Path) -> list[tuple[str, datetime]]:
    """The newest commit of each table in a folder: only that one is asked when it was written."""
    found = []
    for table in TABLES:
        log = folder / table / "_delta_log"
        commits = [each.name for each in os.scandir(log) if each.name.endswith(".json")] if log.is_dir() else []
        if commits:
            newest = log / max(commits)
            found.append((f"{table}/_delta_log/{newest.name}", datetime.fromtimestamp(newest.stat().st_mtime, UTC)))
    return found


def _listed(root: str, options: Mapping[str, str]) -> list[tuple[str, datetime]]:
    store = Objects(root, options)
    return [(each.path, each.modified_at) for table in TABLES for each in store.list(f"{table}/_delta_log")]


def _connection() -> duckdb.DuckDBPyConnection:
    con = connect()
    con.execute("set enable_object_cache = true")
    return con


def _asked(given: str, sql: str) -> str:
    """The question after what is given: a SELECT, or further names before it (`name as (…), … select …`)."""
    more = not sql.lstrip().lower().startswith("select")
    if not given and not more:
        return sql
    return f"with {given}{', ' if given and more else ' '}{sql}"


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Whole numbers of which some are not known become floats with NaN: one kind of "not known" is enough."""
    whole = [name for name, kind in frame.dtypes.items() if str(kind).startswith(("Int", "UInt", "Float"))]
    return frame.astype(dict.fromkeys(whole, "float64")) if whole else frame


def _select(columns: Sequence[str], has: frozenset[str]) -> str:
    return ", ".join(f'"{name}"' if name in has else f'null::{_type(name)} as "{name}"' for name in columns)


def _type(name: str) -> str:
    if name in _TEXT:
        return "VARCHAR"
    return "DATE" if name in _DATES else "DOUBLE"
