"""Where bytes and tables live. Nothing in here knows what they mean.

Bronze objects are read and written by obstore (`objects.py`), silver and gold tables by delta-rs; a root is a folder
or a `gs://` prefix. Observations are appended exactly once an object, by Delta's application transactions, asked and
committed on the same table object.
"""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from itertools import chain, repeat, takewhile
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

import duckdb
from arro3.core import RecordBatch, RecordBatchReader
from arro3.core import Table as ArrowTable
from deltalake import (
    ColumnProperties,
    CommitProperties,
    DeltaTable,
    PostCommitHookProperties,
    QueryBuilder,
    Transaction,
    WriterProperties,
    write_deltalake,
)
from deltalake import Field as DeltaField
from deltalake import Schema as DeltaSchema
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.schema import PrimitiveType
from deltalake.transaction import AddAction

from coinlake import contract, meter
from coinlake.ahead import ahead
from coinlake.duck import bring, connect, fitting, glance, quoted
from coinlake.errors import CoinlakeError, ConflictError, LakeError, brief, was_interrupted
from coinlake.kept import Kept, Log, Opened, Shelf, commit
from coinlake.objects import Objects, local_folder
from coinlake.table import Table, Type

EPOCH = "epoch"
"""Name of the application transaction that counts how often a silver table was rebuilt."""

NOTE = "coinlake"
"""Name under which a commit keeps what it notes about itself."""

_DELTA = {
    Type.STRING: "string",
    Type.FLOAT64: "double",
    Type.INT64: "long",
    Type.BOOLEAN: "boolean",
    Type.DATE: "date",
    Type.TIMESTAMP: "timestamp",
}
_THE_QUESTIONS_FAULT = (
    duckdb.ParserException,
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ConversionException,
    duckdb.OutOfRangeException,
    duckdb.OutOfMemoryException,
)
_TRIES = 10
_CHECKPOINT_INTERVAL = 10
"""Commits from one checkpoint of a table's log to the next."""
_TARGET_FILE_SIZE = 16 * 2**20
_ROW_GROUP = 2**15


@dataclass(frozen=True)
class Changes:
    """What came into a table between two versions: the new data files, whether older rows were taken away, and what
    each commit that changed rows noted about itself (None where it noted nothing).
    """

    version: int
    files: tuple[str, ...]
    rows_removed: bool
    notes: tuple[str | None, ...] = ()


@dataclass(frozen=True)
class Piece:
    """Rows of a table (anything that gives an Arrow stream), of which those that satisfy `where` (SQL) are meant."""

    rows: Any
    where: str = "true"


@dataclass(frozen=True)
class Staged:
    """Rows of a table that lie in files below its folder, and are none of its rows until a commit names the files.
    `objects` are the bronze objects that they were taken from, rows or not.
    """

    files: tuple[AddAction, ...]
    rows: int
    objects: frozenset[str] = frozenset()


class _Rows(Protocol):
    """Rows on their way into a table; `count` says how many they were, `failure` why they broke off."""

    count: int
    failure: BaseException | None

    def given(self) -> Any:
        """An Arrow stream that can be read once, or a list of files that are in place."""
        ...


class _Checked:
    """The rows of some pieces, each checked, as one Arrow stream."""

    def __init__(self, table: Table, pieces: Iterable[Piece]) -> None:
        self.count, self.failure = 0, None
        kept = (contract.checked(_for(each.rows), table, each.rows, "rows_kept", each.where) for each in pieces)
        self._first, self._others = next(kept), kept

    failure: BaseException | None

    def given(self) -> RecordBatchReader:
        return RecordBatchReader.from_batches(RecordBatchReader.from_arrow(self._first).schema, self._batches())

    def _batches(self) -> Iterator[RecordBatch]:
        try:
            kept = chain([self._first], self._others)
            made: Iterator[Any] = ahead(lambda _: next(kept, None), repeat(None))
            for rows in takewhile(_is_given, made):
                for batch in RecordBatchReader.from_arrow(rows):
                    self.count += batch.num_rows
                    yield batch
        except BaseException as exc:
            self.failure = exc
            raise


class _InPlace:
    """Rows that somebody else has checked and written."""

    def __init__(self, staged: Iterable[Staged]) -> None:
        self.count, self._staged = 0, staged

    failure: BaseException | None = None

    def given(self) -> list[AddAction]:
        files: list[AddAction] = []
        for each in self._staged:
            self.count += each.rows
            files += each.files
        return files


def _for(rows: Any) -> duckdb.DuckDBPyConnection:
    """A connection to check some rows with."""
    return fitting(rows.nbytes) if isinstance(rows, ArrowTable) else connect()


def _is_given(rows: Any) -> bool:
    return rows is not None


class _Here(threading.local):
    """What a thread keeps, and the tables that stay as they are; None where it keeps nothing, or none stays."""

    kept: Kept | None = None
    settled: set[str] | None = None


@dataclass(frozen=True)
class Lake:
    """Three roots, each a folder or a `gs://` prefix, and the client options of their store; and, in a process that
    comes back to it, the shelf for what need not be asked for again.
    """

    bronze: str
    silver: str
    gold: str
    options: Mapping[str, str] = field(default_factory=dict)
    shelf: Shelf | None = field(default=None, compare=False, repr=False)
    _looked_at: dict[str, Table] = field(default_factory=dict, init=False, compare=False, repr=False)

    @staticmethod
    def at(root: str, bronze: str = "", silver: str = "", gold: str = "", **options: str) -> Lake:
        """The lake below a root; each layer may have a root of its own instead."""
        below = root.rstrip("/")
        return Lake(bronze or f"{below}/bronze", silver or f"{below}/silver", gold or f"{below}/gold", options)

    def elsewhere(self) -> Lake:
        """The same lake as another process finds it, which was begun in another folder and has nothing open."""
        bronze, silver, gold = (local_folder(root) or root for root in (self.bronze, self.silver, self.gold))
        return Lake(bronze, silver, gold, dict(self.options))

    # Objects -----------------------------------------------------------------------------------------------------

    @cached_property
    def objects(self) -> Objects:
        """The bronze objects."""
        return Objects(self.bronze, self.options)

    @cached_property
    def commits(self) -> Objects:
        """What lies in silver, as objects: of each commit its file in the table's log."""
        return Objects(self.silver, self.options)

    @cached_property
    def exports(self) -> Objects:
        """What lies beside the gold tables under fixed names."""
        return Objects(self.gold, self.options)

    # Tables ------------------------------------------------------------------------------------------------------

    def uri(self, table: Table) -> str:
        """Address of a table: the folder of its name below the root of its layer."""
        root = self.silver if table.layer == "silver" else self.gold
        return f"{local_folder(root) or root}/{table.folder}"

    def open(self, table: Table) -> DeltaTable | None:
        """The table as it stands now, or None where it was never written.

        Raises:
            LakeError: there is something, but it is no readable table.
        """
        meter.count("opened")
        self._looked_at[table.name] = table
        try:
            return DeltaTable(self.uri(table), storage_options=dict(self.options))
        except TableNotFoundError:
            return None
        except (DeltaError, OSError) as exc:
            if "No such file" in str(exc) or "not found" in str(exc).lower():
                return None
            raise _unreadable(self.uri(table), exc) from exc

    def reading(self, table: Table) -> DeltaTable | None:
        """The table as it stands now, to be read and not to be written; None where it was never written."""
        opened = self._opened(table)
        return opened.delta if opened else None

    def noted(self, table: Table) -> Mapping[str, int]:
        """What a table's commits note as application transactions, name to version; nothing where it was never written.

        Raises:
            LakeError: a part of its log is missing or damaged.
        """
        opened = self._opened(table)
        return _noted(opened) if opened else {}

    def _opened(self, table: Table) -> Opened | None:
        here = self._here
        if here.kept is None:
            delta = self.open(table)
            return Opened(delta, self._log(table)) if delta else None
        if here.settled is None or table.name not in here.settled:
            self._look(here.kept, table)
            if here.settled is not None:
                here.settled.add(table.name)
        return here.kept.tables.get(table.name)

    def _look(self, kept: Kept, table: Table) -> None:
        """Have a table among what is kept as it stands now."""
        self._looked_at[table.name] = table
        opened = kept.tables.pop(table.name, None)
        try:
            is_known = opened is not None and opened.caught_up()
        except (DeltaError, OSError):
            is_known = False
        if opened is not None and is_known:
            kept.tables[table.name] = opened
        elif (delta := self.open(table)) is not None:
            kept.tables[table.name] = Opened(delta, self._log(table)).marked()

    def _log(self, table: Table) -> Log:
        return Log(Objects(self.uri(table), self.options))

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """Within this, in this thread, a table that is looked at was opened once, and is asked for the news in its log.

        Who appends asks and commits on what it has just looked at.
        """
        here = self._here
        if here.kept is not None:
            yield
            return
        with (self.shelf or Shelf()).taken() as kept:
            here.kept = kept
            try:
                yield
            finally:
                here.kept = None

    @contextmanager
    def as_it_stands(self, *tables: Table) -> Iterator[None]:
        """Within this, in this thread, every table stays as it was when it was first looked at, but for what is written
        by this very thread; these `tables` are looked at now, all at the same time.

        A gold table is committed on what was asked: where another was faster, storage says so.
        """
        with self.kept_open():
            here = self._here
            if here.settled is not None:
                yield
                return
            here.settled = set()
            try:
                self._look_at(tables)
                yield
            finally:
                here.settled = None

    def look_again(self) -> None:
        """Let every table be looked at anew, where they would stay as they were."""
        if self._here.settled is not None:
            self._here.settled.clear()

    def _look_at(self, tables: Collection[Table]) -> None:
        here = self._here
        if not tables or here.kept is None or here.settled is None:
            return
        kept = here.kept

        def look(table: Table) -> None:
            self._look(kept, table)
            if opened := kept.tables.get(table.name):
                _noted(opened)

        with ThreadPoolExecutor(len(tables)) as threads:
            list(threads.map(look, tables))
        here.settled.update(table.name for table in tables)

    @cached_property
    def _here(self) -> _Here:
        return _Here()

    # Damage ------------------------------------------------------------------------------------------------------

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Within this, what fails because a file of a table that was looked at is missing or damaged is a LakeError.

        DuckDB, Arrow, delta-rs and whoever reads their streams say it in kinds and words of their own, and a wrong
        question in the same ones: so the files are asked, not the exception.
        """
        try:
            yield
        except CoinlakeError:
            raise
        except Exception as exc:
            if not was_interrupted(exc) and not isinstance(exc, _THE_QUESTIONS_FAULT):
                for table in list(self._looked_at.values()):
                    if wrong := self.damage(table):
                        raise LakeError(f"{wrong[0]}; run `coinlake doctor`") from exc
            raise

    def damage(self, table: Table) -> list[str]:
        """What is wrong with the data files that a table's log names: a sentence for each that is missing or has not
        the size that the log says; where there is none such, one if the rows cannot be read.

        Raises:
            LakeError: the log itself cannot be read.
        """
        if (delta := self.open(table)) is None:
            return []
        transactions(delta)
        there = {each.path: each.size for each in Objects(self.uri(table), self.options).list()}
        wrong = []
        for path, size in _named(delta):
            if path not in there:
                wrong.append(f"{table.name}: its data file {path} is missing")
            elif there[path] != size:
                wrong.append(f"{table.name}: its data file {path} has {there[path]:,} bytes instead of {size:,}")
        return wrong or self._undecodable(table)

    def _undecodable(self, table: Table) -> list[str]:
        con = connect()
        try:
            self.attach(con, table, "looked_at")
            for _ in RecordBatchReader.from_arrow(con.sql("from looked_at")):
                pass
        except Exception as exc:
            if was_interrupted(exc) or isinstance(exc, CoinlakeError):
                raise
            return [f"{table.name}: its rows cannot be read ({brief(exc)})"]
        return []

    # Rows --------------------------------------------------------------------------------------------------------

    def version(self, table: Table) -> int:
        """Newest version of a table; -1 where it was never written."""
        delta = self.reading(table)
        return delta.version() if delta else -1

    def read(self, table: Table, columns: Collection[str] | None = None, where: str = "true") -> Any:
        """The rows that satisfy `where` (SQL), as an Arrow stream with the contract's columns, or those named.

        A column that the stored table does not have yet reads as null. The stream can be read once.
        """
        wanted = {name: table.columns[name] for name in (columns or table.columns)}
        opened = self._opened(table)
        if opened is None:
            return RecordBatchReader.from_arrow(glance().sql(self.scan(table, columns)))
        is_elsewhere = where != "false" and not local_folder(self.uri(table))
        if is_elsewhere and (sql := self.scan(table, columns, where)):
            return RecordBatchReader.from_arrow(glance().sql(sql))
        stored = {column.name for column in opened.delta.schema().fields}
        select = ", ".join(
            f'"{name}"' if name in stored else f'cast(null as {_ARROW[column.type]}) as "{name}"'
            for name, column in wanted.items()
        )
        return QueryBuilder().register("t", opened.delta).execute(f"select {select} from t where {where}")

    def _kept_files(self, opened: Opened, paths: Sequence[str] | None = None) -> list[Path]:
        """A table's data files, or those named, as files of this machine that were fetched; none where the table lies
        here anyway, where there are none, or where they are too large to be kept.
        """
        kept = self._here.kept
        if kept is None or local_folder(opened.log.objects.root):
            return []
        try:
            sizes = dict(_named(opened.delta))
            wanted = sizes if paths is None else {path: sizes.get(path, 0) for path in paths}
            return kept.files.of(opened.log.objects, wanted) or []
        except FileNotFoundError:
            return []  # who reads it from there says what is wrong

    def rows(self, table: Table) -> int:
        """How many rows a table has, as its log says."""
        delta = self.reading(table)
        if delta is None:
            return 0
        return sum(each or 0 for each in delta.get_add_actions(flatten=True).column("num_records").to_pylist())

    def years(self, table: Table) -> list[int]:
        """The years that a dated table has rows of."""
        delta = self.reading(table)
        partitions = delta.partitions() if delta else []
        return sorted(int(each[contract.PARTITION]) for each in partitions if each.get(contract.PARTITION))

    def newest_day(self, table: Table) -> date | None:
        """The last day of a dated table; None where it is empty."""
        newest = self.newest(table)
        return newest.date() if isinstance(newest, datetime) else newest

    def newest(self, table: Table) -> date | datetime | None:
        """The last day, or moment (UTC, without saying so), of a dated table; None where it is empty. Of days its log
        tells, or else the rows of its last year.
        """
        years = self.years(table)
        if not years or table.dated_by is None:
            return None
        if told := self._newest_told(table):
            return told
        con = glance()
        bring(con, self.read(table, [table.dated_by], f"{contract.PARTITION} = {years[-1]}"), "newest")
        kind = "TIMESTAMP" if table.columns[table.dated_by].type is Type.TIMESTAMP else "DATE"
        found: date | None = con.sql(f"select max({table.dated_by})::{kind} from newest").fetchall()[0][0]
        return found

    def _newest_told(self, table: Table) -> date | None:
        """The last day as the statistics of the data files tell it; None where one of them has none."""
        opened = self._opened(table)
        files = opened.delta.get_add_actions(flatten=True) if opened else None
        name = f"max.{table.dated_by}"
        if files is None or name not in files.schema.names:
            return None
        days = files.column(name).to_pylist()
        return None if None in days else max((day for day in days if type(day) is date), default=None)

    def attach(self, con: duckdb.DuckDBPyConnection, table: Table, name: str, where: str = "true") -> None:
        """Make a table's rows known to a connection as `name`: over the Parquet files themselves where they are local
        (so that filters reach them), else as a copy.
        """
        if sql := self.scan(table, where=where):
            con.execute(f"create {'' if '.' in name else 'temp '}view {name} as {sql}")
        else:
            bring(con, self.read(table, where=where), name)

    def scan(self, table: Table, columns: Collection[str] | None = None, where: str = "true") -> str:
        """The same rows as `read` has, as SQL over the Parquet files themselves, which reads them as often as it is
        asked; nothing where there are some, and none of them lies on this machine. Files that hold no such rows, as the
        log tells, are left out.
        """
        opened = self._opened(table)
        files = _that_may_hold(opened.delta, where) if opened else []
        if opened is None or not files:
            return _nothing(table, ", ".join(f'"{name}"' for name in columns or table.columns))
        if not local_folder(self.uri(table)):
            files = list(map(str, self._kept_files(opened, [_below(opened.delta, file) for file in files])))
        if not files:
            return ""
        stored = [column.name for column in opened.delta.schema().fields if column.name in table.columns]
        select = contract.typed(table, stored, columns)
        return f"select {select} from {_rows_of(table, files)} where {where}"

    def append(self, table: Table, data: Any, objects: Collection[str]) -> int:
        """Append the observations of bronze objects, each object once and for all; returns the rows appended.

        `data` gives an Arrow stream; its rows name their object in `bronze_object`. An object that was appended
        before, here or by another process, is left out; the others are marked as done, rows or not.

        Raises:
            ContractError: a row breaks the contract; nothing was appended.
            LakeError: the commit failed again and again.
        """
        rows = contract.kept(glance(), table, data, "rows_kept")
        every = set(objects)

        def mine(done: set[str]) -> tuple[Any, set[str]]:
            left = every - done
            return rows if left in (every, set()) else rows.filter(_is_in("bronze_object", sorted(left))), left

        fresh, left = mine(self._append(table, mine))
        return _count(fresh) if left else 0

    def append_staged(self, table: Table, staged: Sequence[Staged]) -> set[str]:
        """The same of files that are in place, all in one commit; returns the objects that were appended before. Files
        that rest on any of these are left out.

        Raises:
            LakeError: the commit failed again and again.
        """
        self._widen(table)

        def mine(done: set[str]) -> tuple[list[AddAction], set[str]]:
            chosen = [each for each in staged if not each.objects & done]
            return _InPlace(chosen).given(), {path for each in chosen for path in each.objects}

        return self._append(table, mine)

    def _append(self, table: Table, mine: Callable[[set[str]], tuple[Any, set[str]]]) -> set[str]:
        """Append the rows that `mine` gives, and mark the objects that it names, of those that are done already; and
        ask again where another writer came first. Returns the objects that were done before.
        """
        for _ in range(_TRIES):
            opened = self._create(table)
            epoch, noted = epoch_of(_noted(opened)), _noted(opened)
            done = {path for path, version in noted.items() if version >= epoch}
            rows, objects = mine(done)
            if not objects:
                return done
            try:
                self._write(table, opened.delta, rows, dict.fromkeys(sorted(objects), epoch), mode="append")
            except CommitFailedError:
                self._forget(table)
                continue
            return done
        raise LakeError(f"{table.name} could not be written after {_TRIES} tries; wait for the other writers to end")

    def restart(self, table: Table) -> None:
        """Empty a silver table and forget which objects it has seen, in one commit: the next `clean` refills it."""
        opened = self._create(table)
        nothing = contract.kept(glance(), table, self.read(table, where="false"), "rows_kept")
        self._write(table, opened.delta, nothing, {EPOCH: epoch_of(_noted(opened)) + 1}, mode="overwrite")

    def replace(
        self, table: Table, data: Any, seen: Mapping[str, int], predicate: str | None = None, note: str = "",
        since: date | None = None,
    ) -> int:  # fmt: skip
        """Put `data` in place of the rows that satisfy `predicate` (all rows without one), as far as it does so itself;
        returns the rows written. Where it is known, `since` is the first day of such rows.

        One commit, which also notes the versions of the sources that it has `seen`, and about itself what `note` says.
        Where no row satisfies the predicate the new rows are appended as files of their own.

        Raises:
            ContractError: a row breaks the contract; nothing was replaced.
            ConflictError: another writer was faster; its work stands, what was computed may be old.
        """
        rows = _Checked(table, [Piece(data, predicate or "true")])
        return self._replace(table, rows, seen, predicate, note, since)

    def replace_by_pieces(self, table: Table, pieces: Iterable[Piece], seen: Mapping[str, int], note: str = "") -> int:
        """The same of all rows, which come in pieces: each is made while the one before it is written, and forgotten.
        No two may have a row in common.
        """
        return self._replace(table, _Checked(table, pieces), seen, None, note)

    def replace_by_staged(self, table: Table, staged: Iterable[Staged], seen: Mapping[str, int], note: str = "") -> int:
        """The same of files that are put in place while this waits for them."""
        self._widen(table)
        return self._replace(table, _InPlace(staged), seen, None, note)

    def stage(self, table: Table, pieces: Iterable[Piece], objects: Iterable[str] = ()) -> Staged:
        """Check rows and write them below the table's folder as files that no commit names yet.

        They are those of a table of its own, written aside on this machine: of the same form and size, with the same
        statistics, and with names that no other ever gets.

        Raises:
            ContractError: a row breaks the contract; nothing was written.
        """
        rows = _Checked(table, pieces)
        with tempfile.TemporaryDirectory(prefix="coinlake-") as folder:
            aside = Lake(folder, folder, folder)
            try:
                aside._write(table, aside._create(table).delta, rows.given(), {}, mode="append")
            except LakeError as exc:
                raise rows.failure or exc from exc
            written = Objects(aside.uri(table))
            actions = [action for version in (0, 1) for action in _actions(written.get(commit(version)))]
            added = [_added(action["add"]) for action in actions if "add" in action]
            there = Objects(self.uri(table), self.options)
            for each in added:
                there.put(unquote(each.path), written.get(unquote(each.path)))
        return Staged(tuple(added), rows.count, frozenset(objects))

    def _replace(
        self, table: Table, rows: _Rows, seen: Mapping[str, int], predicate: str | None, note: str,
        since: date | None = None,
    ) -> int:  # fmt: skip
        was_there = self._opened(table) is not None
        delta = self._create(table, is_asked=True).delta
        if not was_there and self.noted(table):
            self._give_way(table, seen)
            return 0
        newest = self._newest_told(table) if since else None
        is_after = since is not None and newest is not None and newest < since
        appends = predicate is not None and (is_after or not self._any(delta, predicate))
        try:
            if appends:
                self._write(table, delta, rows.given(), seen, mode="append", note=note)
            else:
                self._write(table, delta, rows.given(), seen, mode="overwrite", predicate=predicate, note=note)
        except CommitFailedError as exc:
            self._forget(table)
            self._give_way(table, seen, exc)
        except LakeError as exc:
            raise rows.failure or exc from exc
        return rows.count

    def _give_way(self, table: Table, seen: Mapping[str, int], cause: Exception | None = None) -> None:
        """Let the work of a faster writer stand, if it had seen as much.

        Raises:
            ConflictError: it had not.
        """
        now = self.noted(table)
        if any(now.get(name, -1) < version for name, version in seen.items()):
            raise ConflictError(f"another run wrote {table.name} at the same time; run again") from cause

    def changes(self, table: Table, since: int) -> Changes | None:
        """What came into a table after version `since`; None where its log or its files no longer reach back."""
        opened = self._opened(table)
        if opened is None:
            return Changes(-1, (), False)
        delta = opened.delta
        files: list[str] = []
        notes: list[str | None] = []
        removed = False
        for version in range(since + 1, delta.version() + 1):
            try:
                actions = _actions(opened.log.commit(version))
            except (FileNotFoundError, ValueError):
                return None
            added = [unquote(a["add"]["path"]) for a in actions if "add" in a and a["add"].get("dataChange")]
            takes = any(a["remove"].get("dataChange", True) for a in actions if "remove" in a)
            files, removed = files + added, removed or takes
            if added or takes:
                notes.append(next((a["commitInfo"].get(NOTE) for a in actions if "commitInfo" in a), None))
        return Changes(delta.version(), tuple(files), removed, tuple(notes))

    def read_files(self, table: Table, files: Iterable[str], columns: str) -> Any:
        """Columns of some data files of a table (as `changes` names them), as a relation; None where one is gone
        or damaged.
        """
        opened = self._opened(table) if self._here.kept else None
        log = opened.log.objects if opened else Objects(self.uri(table), self.options)
        paths, here, con = list(files), local_folder(self.uri(table)), glance()
        con.execute(f"create temp table found as {_nothing(table, columns)}")
        with tempfile.TemporaryDirectory() as folder:
            try:
                if here:
                    kept = [Path(here, path) for path in paths]
                else:
                    kept = self._kept_files(opened, paths) if opened else []
                for number, path in enumerate(paths):
                    copy = kept[number] if kept else Path(folder) / f"{number}.parquet"
                    if not kept:
                        copy.write_bytes(log.get(path))
                    con.execute(f"insert into found select {columns} from {_rows_of(table, [copy])}")
            except (FileNotFoundError, duckdb.Error) as exc:
                if was_interrupted(exc):
                    raise
                return None
        return con.table("found")

    def _any(self, delta: DeltaTable, predicate: str) -> bool:
        found = QueryBuilder().register("t", delta).execute(f"select 1 from t where {predicate} limit 1")
        return any(batch.num_rows for batch in found)

    def _create(self, table: Table, is_asked: bool = False) -> Opened:
        """The table as it stands now, or as it was asked before; created empty where it was never written."""
        if not is_asked:
            self._look_again_at(table)
        for _ in range(_TRIES):
            if (opened := self._opened(table)) is not None:
                return opened
            self._look_again_at(table)
            try:
                if folder := local_folder(self.uri(table)):
                    Path(folder).mkdir(parents=True, exist_ok=True)
                DeltaTable.create(
                    self.uri(table),
                    schema=_schema(table),
                    mode="error",
                    name=table.name,
                    partition_by=[contract.PARTITION] if table.dated_by else None,
                    configuration={"delta.checkpointInterval": str(_CHECKPOINT_INTERVAL)},
                    storage_options=dict(self.options),
                )
            except (DeltaError, OSError):
                continue
        raise LakeError(f"{self.uri(table)} could not be created; look at its permissions with `coinlake doctor`")

    def _look_again_at(self, table: Table) -> None:
        if self._here.settled is not None:
            self._here.settled.discard(table.name)

    def _forget(self, table: Table) -> None:
        """Let a table be opened anew: a commit on it failed."""
        self._look_again_at(table)
        if self._here.kept is not None:
            self._here.kept.tables.pop(table.name, None)

    def _widen(self, table: Table) -> None:
        """Give a stored table the columns that it lacks, which a commit of files does not."""
        delta = self._create(table).delta
        stored = {column.name for column in delta.schema().fields}
        if lacking := [column for column in _schema(table).fields if column.name not in stored]:
            delta.alter.add_columns(lacking)

    def _write(
        self,
        table: Table,
        delta: DeltaTable,
        rows: Any,
        seen: Mapping[str, int],
        mode: Any,
        predicate: str | None = None,
        note: str = "",
    ) -> None:
        """Commit rows (an Arrow stream, or a list of files that are in place), and what was seen, in one."""
        stored = {column.name for column in delta.schema().fields} - {contract.PARTITION}
        noted = CommitProperties(
            app_transactions=[Transaction(name, version) for name, version in seen.items()],
            custom_metadata={NOTE: note} if note else None,
            max_commit_retries=20,
        )
        meter.count("committed")
        try:
            if isinstance(rows, list):
                by = delta.metadata().partition_columns
                delta.create_write_transaction(rows, mode, delta.schema(), by, commit_properties=noted)
                return
            write_deltalake(
                delta,
                rows,
                mode=mode,
                predicate=predicate,
                schema_mode="merge" if set(table.columns) != stored else None,
                target_file_size=_TARGET_FILE_SIZE,
                writer_properties=_properties(table),
                commit_properties=noted,
                post_commithook_properties=_upkeep(delta.version() + 1),
            )
        except CommitFailedError:
            raise
        except (DeltaError, OSError) as exc:
            raise LakeError(
                f"{table.name} could not be written ({brief(exc)}); look at its permissions and space"
            ) from exc


def _upkeep(version: int) -> PostCommitHookProperties:
    """What follows a commit: old ones are looked for, by listing the whole log, as rarely as there are checkpoints."""
    return PostCommitHookProperties(cleanup_expired_logs=None if version % _CHECKPOINT_INTERVAL == 0 else False)


def _properties(table: Table) -> WriterProperties:
    """Groups small enough to be left out one by one, and no dictionary for numbers, which hardly repeat."""
    numbers = [name for name, column in table.columns.items() if column.type is Type.FLOAT64]
    plain = ColumnProperties(dictionary_enabled=False)
    return WriterProperties(
        compression="SNAPPY", max_row_group_size=_ROW_GROUP, column_properties=dict.fromkeys(numbers, plain)
    )


_ARROW = {
    Type.STRING: "varchar",
    Type.FLOAT64: "double",
    Type.INT64: "bigint",
    Type.BOOLEAN: "boolean",
    Type.DATE: "date",
    Type.TIMESTAMP: "timestamp with time zone",
}


def transactions(delta: DeltaTable) -> dict[str, int]:
    """Every application transaction of a table object's own snapshot: name to version.

    Raises:
        LakeError: a part of the log is missing or damaged.
    """
    return dict(_noted(Opened(delta, Log(Objects(delta.table_uri, dict(delta._storage_options or {}))))))


def _noted(opened: Opened) -> Mapping[str, int]:
    """The same of a table that is kept, which is asked for no more than came since.

    Read from the log in one go: asking delta-rs replays the log once a name.
    """
    version = opened.delta.version()
    if opened.noted is None or opened.noted[0] != version:
        try:
            opened.noted = (version, _transactions(opened, version))
        except (FileNotFoundError, ValueError, TypeError, KeyError, duckdb.Error) as exc:
            if was_interrupted(exc):
                raise
            raise _unreadable(opened.delta.table_uri, exc) from exc
    return opened.noted[1]


def _transactions(opened: Opened, newest: int) -> dict[str, int]:
    found: dict[str, int] = {}
    start = 0
    if opened.noted is not None and opened.noted[0] < newest:
        found.update(opened.noted[1])
        start = opened.noted[0] + 1
    elif (checkpoint := _last_checkpoint(opened.log.objects, newest)) is not None:
        found.update(_checkpointed(opened.log.objects, checkpoint))
        start = checkpoint + 1
    for version in range(start, newest + 1):
        for action in _actions(opened.log.commit(version)):
            if "txn" in action:
                found[action["txn"]["appId"]] = action["txn"]["version"]
    return found


def epoch_of(noted: Mapping[str, int]) -> int:
    """How often a silver table was begun anew, from 1, as it notes."""
    return noted.get(EPOCH) or 1


def _last_checkpoint(log: Objects, newest: int) -> int | None:
    try:
        version = int(json.loads(log.get("_delta_log/_last_checkpoint"))["version"])
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None
    return version if version <= newest else None


def _checkpointed(log: Objects, version: int) -> dict[str, int]:
    data = log.get(f"_delta_log/{version:020d}.checkpoint.parquet")
    with tempfile.NamedTemporaryFile(suffix=".parquet") as copy:
        copy.write(data)
        copy.flush()
        query = f"select txn.appId, txn.version from read_parquet('{copy.name}') where txn is not null"
        return dict(glance().sql(query).fetchall())


def _actions(commit: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in commit.splitlines() if line]


def _schema(table: Table) -> DeltaSchema:
    fields = [DeltaField(name, PrimitiveType(_DELTA[column.type])) for name, column in table.columns.items()]
    if table.dated_by:
        fields.append(DeltaField(contract.PARTITION, PrimitiveType("integer")))
    return DeltaSchema(fields)


def _named(delta: DeltaTable) -> list[tuple[str, int]]:
    """Path and bytes of every data file that a table's newest version is made of."""
    found = delta.get_add_actions(flatten=True)
    paths, sizes = (found.column(name).to_pylist() for name in ("path", "size_bytes"))
    return [(unquote(path), size) for path, size in zip(paths, sizes, strict=True)]


def _that_may_hold(delta: DeltaTable, where: str) -> list[str]:
    """The data files that may hold rows which satisfy some SQL, as statistics in the log tell; all of them, where the
    log cannot be asked such a thing.
    """
    try:
        found = delta.file_uris(file_pruning_predicate=None if where == "true" else where)
    except DeltaError:
        found = delta.file_uris()
    return list(map(unquote, found))


def _below(delta: DeltaTable, file: str) -> str:
    """The path of a data file below its table's folder."""
    return file.removeprefix(unquote(delta.table_uri)).lstrip("/")


def _added(add: Mapping[str, Any]) -> AddAction:
    """A file, as the commit that added it names it."""
    return AddAction(
        add["path"], add["size"], add["partitionValues"], add["modificationTime"], data_change=True, stats=add["stats"]
    )


def _unreadable(uri: str, exc: Exception) -> LakeError:
    return LakeError(f"{local_folder(uri) or uri} cannot be read ({brief(exc)}); run `coinlake doctor`")


def _count(rows: duckdb.DuckDBPyRelation) -> int:
    return int(rows.count("*").fetchall()[0][0])


def _nothing(table: Table, columns: str) -> str:
    typed = ", ".join(f'null::{column.type.value} as "{name}"' for name, column in table.columns.items())
    return f"select {columns} from (select {typed}) where false"


def _rows_of(table: Table, files: Iterable[str | Path]) -> str:
    """SQL for the rows of data files, with the partition column where a table is dated: it is not in the files. It is
    told by their rows, for in the names of the folders above a lake DuckDB would find columns as well.
    """
    listed = ", ".join(quoted(str(each)) for each in files)
    rows = f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"
    return f"(select *{contract.partition(table)} from {rows})" if table.dated_by else rows


def _is_in(column: str, values: Iterable[str]) -> str:
    return f"{column} in ({', '.join(quoted(value) for value in values)})"
