"""From silver to gold: what changed since a table was last made is found, and just those days are made again.

A gold table notes, in the commit that writes it, which version of each source it has seen, the fingerprint of its
definition, and the days it replaced. Where nothing changed nothing is written; where the definition changed, rows were
taken away, or a source's log no longer reaches back, the table is made anew. Either way the rows are the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

from arro3.core import Table as ArrowTable

from coinlake.ahead import ahead
from coinlake.answer import to_text
from coinlake.duck import bring, connect, glance
from coinlake.engine import Cluster, Engine, Frame, Told, untold
from coinlake.engine.current import current
from coinlake.engine.duckdb import DuckEngine
from coinlake.engine.series import together
from coinlake.errors import ConflictError
from coinlake.gold.blocks import COINS, DAYS, EVERYTHING, blocks, values_at_once
from coinlake.gold.scope import BEGIN, END, EVERY, Scope
from coinlake.lake import Changes, Lake, Piece, Staged
from coinlake.table import Table

DEFINITION = "definition"
"""Name of the application transaction that holds the fingerprint of a table's definition."""
WHOLE = "whole"
"""What a commit notes that wrote a whole table anew."""
ITSELF = "itself"
"""Name under which a definition finds its own earlier rows."""

Build = Callable[..., Frame | ArrowTable]
"""From the tables read (by name), the order of sources and the engine, with options by keyword, to the rows."""


@dataclass(frozen=True)
class Definition:
    """How a gold table is made.

    A table that is made by days says what touches them: `touches`, by silver table, is SQL that turns changed rows into
    coins and days; `touched` turns the days that a gold table replaced into those of this table. A day rests on
    `lookback_days` before it and `lookahead_days` after it, of its own coin and of the `companions`, and, with
    `carries`, on those columns of the table's own earlier rows; with `carries_within` on those of so many days before,
    and a series (`series`) that has none there is read from its beginning. A table that
    `continues` has rows for days of which nothing came in: its newest day, and those after it, are made anew whatever
    is new. `blocks` says what a table can be made in pieces by: see `coinlake.gold.blocks`. Without any of that a table
    is small and made whole. `until` names the column of a table that is made whole, but only up to the end of the last
    finished month, which that column tells.

    `columns` names, by table, what is read of it where that is not everything; with `as_observed` every observation of
    silver instead of the current view. `minds` says, by silver table, in SQL which of its rows say anything about this
    table; new ones that do not are nothing new. With `takes_span` the builder is told the first and the last day that
    are wanted (`span`), and may leave out others. One that `reads_once` asks each gold table a single question, and it
    need not be held for that.
    """

    table: Table
    reads: tuple[Table, ...]
    build: Build
    fingerprint: int
    touches: Mapping[str, str] = field(default_factory=dict)
    touched: Callable[[Scope, str], Scope] | None = None
    lookback_days: int = 0
    lookahead_days: int = 0
    carries: tuple[str, ...] = ()
    carries_within: int = 0
    series: tuple[str, ...] = ()
    blocks: str = ""
    companions: tuple[str, ...] = ()
    until: str = ""
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    as_observed: bool = False
    minds: Mapping[str, str] = field(default_factory=dict)
    takes_span: bool = False
    reads_once: bool = False
    continues: bool = False

    @property
    def by_days(self) -> bool:
        """Whether single days can be made again."""
        return bool(self.touches or self.touched) and not self.until

    @property
    def follows(self) -> bool:
        """Whether each piece rests on the rows of the one before it."""
        return bool(self.carries) and self.blocks == DAYS


@dataclass(frozen=True)
class Made:
    """What was done to a gold table: `unchanged`, `updated` or `rebuilt`, why, and the rows written."""

    table: str
    how: str
    why: str
    rows: int
    version: int


MEMORY = 2**30
"""Bytes that a table is made in, where no setting says otherwise."""
HANDS = min(os.cpu_count() or 1, 4)
"""Pieces of a table by coins that are made at once: one a core; with many more they would be small, and mostly waited
for. Those by days read the days before them as well: there it is one, and as large as can be.
"""


def analyze(
    lake: Lake,
    definition: Definition,
    engine: Engine,
    sources: Sequence[str],
    anew: bool = False,
    memory: int = MEMORY,
    told: Told = untold,
) -> Made:
    """Bring one gold table up to date with the tables it reads; `anew` makes it from nothing, in about as many bytes
    of `memory` as are given, where its definition allows.

    Raises:
        ContractError: what was computed breaks the table's promise; the table stays as it was.
    """
    table = definition.table
    versions = {source.name: lake.version(source) for source in definition.reads}
    changes = None if anew else changes_of(lake, definition, versions)
    seen = {**{name: v for name, v in versions.items() if v >= 0}, DEFINITION: definition.fingerprint}
    if changes is not None and not any(_matters(lake, definition, source, changes) for source in definition.reads):
        return _unchanged(lake, table, "nothing new")
    scope = _scope(lake, definition, changes) if changes is not None else None
    if scope is None or not definition.by_days:
        if scope is not None and definition.until and not is_due(lake, definition, scope):
            return _unchanged(lake, table, "no month has ended since")
        why = "asked for" if anew else _why(definition, changes)
        rows = _made_anew(lake, definition, engine, sources, memory, told, seen)
        how = "updated" if changes is not None and not definition.by_days else "rebuilt"
        return Made(table.name, how, why, rows, lake.version(table))
    if not scope:
        return _unchanged(lake, table, "what is new says nothing about it")
    made = make(lake, definition, engine, sources, scope)
    rows = lake.replace(table, made, seen, scope.predicate(str(table.dated_by)), scope.to_text(), scope.first)
    whose = "every coin" if EVERY in scope.days else f"{len(scope.days)} coins"
    return Made(table.name, "updated", f"{whose} from {scope.first}", rows, lake.version(table))


def _unchanged(lake: Lake, table: Table, why: str) -> Made:
    return Made(table.name, "unchanged", why, 0, lake.version(table))


def make(
    lake: Lake,
    definition: Definition,
    engine: Engine,
    sources: Sequence[str],
    scope: Scope | None = None,
    as_of: datetime | None = None,
    made: Mapping[str, Any] | None = None,
    before: Any = None,
    whole: bool = False,
) -> Any:
    """The table's rows, from what the lake holds, as something that gives an Arrow stream again and again: all of
    them, at least those of a scope, or as they were known at a moment.

    Where the `whole` table is made, files of this machine are read as they lie; else what is asked for is held.
    `made` gives gold tables that were computed already (as Arrow streams), to be read instead of the lake's, and
    `before` the table's own earlier rows.
    """
    read: dict[str, Frame] = {}
    reading = scope and scope.at_least(_newest(lake, definition))
    if definition.carries and before is None:
        before = ArrowTable.from_arrow(lake.read(definition.table, definition.carries, _earlier(definition, reading)))
        reading = reading and reading | _newcomers(lake, definition, reading, before)
    for source in definition.reads:
        if made and source.name in made:
            read[source.name] = engine.frame(made[source.name])
        else:
            columns = definition.columns.get(source.name)
            where = _where(source, definition, reading, as_of)
            lies = whole or (definition.reads_once and not source.is_observations)
            rows = _rows(lake, source, columns, where, engine, lies)
            is_current = not source.is_observations or definition.as_observed
            read[source.name] = rows if is_current else current(source, rows, engine)
    if definition.carries:
        read[ITSELF] = engine.frame(before)
    span = {"span": (scope.first, scope.last)} if scope and definition.takes_span else {}
    built = definition.build(read, sources, engine, **span)
    return built if isinstance(built, ArrowTable) else engine.rows(built)


def _newest(lake: Lake, definition: Definition) -> date | None:
    """The last day of a table, or of the gold that it is made of where that is ahead; None where it has no rows yet."""
    mine = lake.newest_day(definition.table)
    others = (lake.newest_day(each) for each in definition.reads if each.dated_by and not each.is_observations)
    return max(filter(None, (mine, *others))) if mine else None


def as_known(
    lake: Lake,
    definition: Definition,
    engine: Engine,
    sources: Sequence[str],
    as_of: datetime,
    made: Mapping[str, Any],
) -> Any:
    """A whole table as it was known at a moment, as `make` gives it. One whose coins rest on nothing but their own
    observations is made in pieces, which take `MEMORY` besides the rows that come of them.
    """
    rests_on_more = definition.companions or not all(source.is_observations for source in definition.reads)
    if definition.blocks != COINS or rests_on_more:
        return make(lake, definition, engine, sources, None, as_of, made)

    def piece(scope: Scope) -> ArrowTable:
        only = None if scope == EVERYTHING else scope
        return ArrowTable.from_arrow(make(lake, definition, engine.another(), sources, only, as_of, whole=True))

    return together(list(ahead(piece, _parts(lake, definition, MEMORY, HANDS), HANDS)))


def _rows(
    lake: Lake, source: Table, columns: Sequence[str] | None, where: str, engine: Engine, as_they_lie: bool
) -> Frame:
    """The rows of a table that satisfy some SQL: held, or in files that are read anew by everyone who asks."""
    sql = lake.scan(source, columns, where)
    if not sql:
        return engine.frame(lake.read(source, columns, where))
    return engine.scan(sql) if as_they_lie else engine.held(engine.scan(sql))


def _made_anew(
    lake: Lake,
    definition: Definition,
    engine: Engine,
    sources: Sequence[str],
    memory: int,
    told: Told,
    seen: Mapping[str, int],
) -> int:
    """Write a whole table in one commit, in pieces of which each fits into memory, with whatever it takes to make it;
    returns its rows. Where others work for the engine, they make the pieces.
    """
    cluster = engine.cluster
    if cluster is None:
        hands = HANDS if definition.blocks == COINS else 1
        parts = _parts(lake, definition, memory, hands)
        pieces = _pieces(lake, definition, engine, sources, parts, told, hands)
        return lake.replace_by_pieces(definition.table, pieces, seen, note=WHOLE)
    parts = _parts(lake, definition, memory // cluster.on_a_machine, cluster=cluster)
    tasks = [parts] if definition.follows else [[part] for part in parts]
    staged = cluster.spread(partial(_staged, lake.elsewhere(), definition, sources), tasks, told)
    return lake.replace_by_staged(definition.table, staged, seen, note=WHOLE)


def _parts(
    lake: Lake, definition: Definition, memory: int, hands: int = 1, cluster: Cluster | None = None
) -> list[Scope]:
    """Scopes that fit into memory, as many at once as there are hands."""
    if not definition.blocks:
        return [EVERYTHING]
    reads = {source: _values(definition, source) for source in definition.reads}
    return blocks(
        lake, reads, definition.blocks, values_at_once(memory, reads, hands), cluster, definition.lookback_days
    )


def _staged(lake: Lake, definition: Definition, sources: Sequence[str], parts: Sequence[Scope]) -> Staged:
    """Make parts of a table on this machine alone, whichever it is, and put them in place."""
    with lake.guarded():
        return lake.stage(definition.table, _pieces(lake, definition, DuckEngine(), sources, parts, untold))


def _pieces(
    lake: Lake,
    definition: Definition,
    engine: Engine,
    sources: Sequence[str],
    parts: Sequence[Scope],
    told: Told,
    hands: int = 1,
) -> Iterator[Piece]:
    """Parts of a table, one after the other, so many of which are made at once."""
    if list(parts) == [EVERYTHING]:
        yield Piece(make(lake, definition, engine, sources, whole=True))
        return
    before = ArrowTable.from_arrow(lake.read(definition.table, definition.carries or None, "false"))

    def piece(scope: Scope) -> Piece:
        rows = make(lake, definition, engine.another(), sources, scope, before=before, whole=True)
        return Piece(rows, scope.predicate(str(definition.table.dated_by)))

    made = map(piece, parts) if definition.follows else ahead(piece, parts, hands)
    for number, each in enumerate(made):
        told(number, len(parts))
        if definition.follows:
            before = _carried(definition, before, each)
        yield each


def _values(definition: Definition, source: Table) -> int:
    """How many values a row of a source comes to: those that are read, and of a row by coin those that are made."""
    is_of_coins = "coin_id" in source.columns and "coin_id" in definition.table.key
    made = len(definition.table.columns) if is_of_coins else 0
    return len(definition.columns.get(source.name, source.columns)) + made


def _carried(definition: Definition, before: Any, piece: Piece) -> ArrowTable:
    """What later pieces need of those before, this one included."""
    con = connect()
    bring(con, before, "before")
    bring(con, piece.rows, "made", f"*, year({definition.table.dated_by}) as year")
    carried = ", ".join(definition.carries)
    con.execute(f"insert into before select {carried} from made where {piece.where}")
    return ArrowTable.from_arrow(con.table("before"))


def known_at(as_of: datetime | None) -> str:
    """SQL that is true for the observations that had been fetched at a moment."""
    return f"fetched_at <= '{to_text(as_of)}'" if as_of else "true"


def _where(source: Table, definition: Definition, scope: Scope | None, as_of: datetime | None) -> str:
    known = known_at(as_of) if source.is_observations else "true"
    if scope is None or source.dated_by is None:
        return known
    scope = scope.lasting(definition.lookahead_days)
    its = scope.joined().with_coins(definition.companions) if "coin_id" in source.columns else scope.everyone()
    if not source.is_observations:
        return its.predicate(source.dated_by, definition.lookback_days)
    return f"{known} and ({its.moments(source.dated_by, definition.lookback_days)})"


def _earlier(definition: Definition, scope: Scope | None) -> str:
    """SQL for the table's own rows that lie before a scope."""
    return scope.earlier(str(definition.table.dated_by), definition.carries_within) if scope else "false"


def _newcomers(lake: Lake, definition: Definition, scope: Scope, before: ArrowTable) -> Scope:
    """The coins of a scope, from their beginning, that have days of a series of which no row was carried."""
    if not definition.carries_within:
        return Scope({})
    source, series = definition.reads[0], ", ".join(definition.series)
    con = glance()
    bring(con, before, "before", series)
    lake.attach(con, source, "wanted", scope.predicate(str(source.dated_by)))
    new = con.sql(f"select distinct coin_id from (select {series} from wanted except select {series} from before)")
    return Scope({coin: (BEGIN, scope.last) for (coin,) in new.fetchall()})


def changes_of(lake: Lake, definition: Definition, versions: Mapping[str, int]) -> dict[str, Changes] | None:
    """What came into each source since this table saw it; None where the table must be made anew.

    Raises:
        ConflictError: it has seen more of a source than there was when we looked.
    """
    noted = lake.noted(definition.table)
    if noted.get(DEFINITION) != definition.fingerprint:
        return None
    found = {}
    for source in definition.reads:
        since = noted.get(source.name, -1)
        if since > versions[source.name]:
            lake.look_again()
            if since > lake.version(source):
                return None
            raise ConflictError(f"another run wrote {definition.table.name} at the same time; run again")
        changes = lake.changes(source, since)
        if changes is None or (source.is_observations and changes.rows_removed and definition.by_days):
            return None
        found[source.name] = changes
    return found


def _moved(changes: Changes) -> bool:
    return bool(changes.files) or changes.rows_removed


def _matters(lake: Lake, definition: Definition, source: Table, changes: Mapping[str, Changes]) -> bool:
    """Whether what came into a source says anything about the table."""
    mine, minds = changes[source.name], definition.minds.get(source.name)
    if not _moved(mine) or mine.rows_removed or minds is None:
        return _moved(mine)
    found = lake.read_files(source, mine.files, f"{minds} as matters")
    return found is None or bool(found.filter("matters").limit(1).fetchall())


def _scope(lake: Lake, definition: Definition, changes: Mapping[str, Changes]) -> Scope | None:
    """The coins and days that the changes touch; None where that cannot be told, and for tables made whole."""
    if not (definition.by_days or definition.until):
        return None
    scope = Scope({})
    for source in definition.reads:
        observed = source.is_observations
        if not _moved(changes[source.name]) or (definition.continues and not observed and not source.dated_by):
            continue
        found = _observed(lake, definition, source, changes) if observed else _noted(changes[source.name])
        if found is None:
            return None
        scope |= found if observed or not definition.touched else definition.touched(found, source.name)
    return scope | _after(lake, definition.table) if definition.continues else scope


def _after(lake: Lake, table: Table) -> Scope:
    """The newest day of a table, and those that come after it."""
    return Scope({EVERY: (lake.newest_day(table) or BEGIN, END)})


def _observed(lake: Lake, definition: Definition, source: Table, changes: Mapping[str, Changes]) -> Scope | None:
    """The coins and days that new observations touch; None where a changed file is gone."""
    sql = definition.touches.get(source.name)
    if sql is None:
        return Scope({})
    columns = definition.columns.get(source.name, source.key)
    changed = lake.read_files(source, changes[source.name].files, ", ".join(columns))
    if changed is None:
        return None
    touched = changed.query("changed", sql.format(moment=source.dated_by)).fetchall()
    return Scope.of(row for row in touched if row[1] is not None)


def _noted(changes: Changes) -> Scope | None:
    """The coins and days that a gold table replaced, as its commits note them; None where one wrote it whole."""
    scope = Scope({})
    for note in changes.notes:
        if note is None or note == WHOLE:
            return None
        scope |= Scope.from_text(note)
    return scope


def is_due(lake: Lake, definition: Definition, scope: Scope) -> bool:
    """Whether a table that is made by months has to be made again: a month has ended, or its days were touched."""
    until = _until(lake, definition)
    days = [lake.newest_day(source) for source in definition.reads if source.dated_by == "day"]
    newest = max((day for day in days if day), default=None)
    return until is None or newest is None or month_finished(newest) > until or (bool(scope) and scope.first <= until)


def month_finished(newest: date) -> date:
    """The last day of the last month that has ended, where a day is the newest known."""
    begun = (newest + timedelta(days=1)).replace(day=1)
    return begun - timedelta(days=1)


def _until(lake: Lake, definition: Definition) -> date | None:
    con = glance()
    lake.attach(con, definition.table, "looked_at")
    found: date | None = con.sql(f"select max({definition.until}) from looked_at").fetchall()[0][0]
    return found


def _why(definition: Definition, changes: Mapping[str, Changes] | None) -> str:
    if changes is None:
        return "first time, another definition, or rows taken away"
    moved = [name for name, each in changes.items() if _moved(each)]
    return f"new in {', '.join(moved)}" if not definition.by_days else "a source was made anew"
