"""From silver to gold: what changed since a table was last made is found, and just those days are made again.

A gold table notes, in the commit that writes it, which version of each source it has seen and the fingerprint of its
definition. Where nothing changed nothing is written; where the definition changed, rows were taken away, or a source's
log no longer reaches back, the table is made anew. Either way the rows are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import narwhals as nw

from coinlake.answer import to_text
from coinlake.duck import connect, quoted
from coinlake.engine import Engine, Frame
from coinlake.engine.current import current
from coinlake.lake import Changes, Lake
from coinlake.table import Table

DEFINITION = "definition"
"""Name of the application transaction that holds the fingerprint of a table's definition."""

Build = Callable[[Mapping[str, Frame], Sequence[str], Engine], Frame]


@dataclass(frozen=True)
class Definition:
    """How a gold table is made. With `touches` (SQL that turns changed rows into coins and days) it is made by days,
    each of which rests on `lookback_days` before it; without, it is small and always made whole.
    """

    table: Table
    reads: tuple[Table, ...]
    build: Build
    fingerprint: int
    touches: str = ""
    lookback_days: int = 0


@dataclass(frozen=True)
class Made:
    """What was done to a gold table: `unchanged`, `updated` or `rebuilt`, why, and the rows written."""

    table: str
    how: str
    why: str
    rows: int
    version: int


@dataclass(frozen=True)
class Scope:
    """Days to make again, by coin: first and last day, both included."""

    days: Mapping[str, tuple[date, date]]

    @property
    def first(self) -> date:
        """The earliest day of any coin."""
        return min(first for first, _ in self.days.values())

    @property
    def last(self) -> date:
        """The latest day of any coin."""
        return max(last for _, last in self.days.values())

    def predicate(self) -> str:
        """SQL that is true for exactly these coins and days; coins with the same days share a term."""
        spans: dict[tuple[date, date], list[str]] = {}
        for coin, span in sorted(self.days.items()):
            spans.setdefault(span, []).append(coin)
        return " or ".join(
            f"(coin_id in ({', '.join(map(quoted, coins))}) "
            f"and day >= cast('{first}' as date) and day <= cast('{last}' as date))"
            for (first, last), coins in sorted(spans.items())
        )


def analyze(lake: Lake, definition: Definition, engine: Engine, sources: Sequence[str], anew: bool = False) -> Made:
    """Bring one gold table up to date with the tables it reads; `anew` makes it from nothing.

    Raises:
        ContractError: what was computed breaks the table's promise; the table stays as it was.
    """
    table = definition.table
    versions = {source.name: lake.version(source) for source in definition.reads}
    changes = None if anew else _changes(lake, definition, versions)
    seen = {**{name: v for name, v in versions.items() if v >= 0}, DEFINITION: definition.fingerprint}
    if changes is not None and not any(each.files or each.rows_removed for each in changes.values()):
        return Made(table.name, "unchanged", "nothing new", 0, lake.version(table))
    scope = _scope(lake, definition, changes) if changes is not None and definition.touches else None
    if scope is None:
        why = "asked for" if anew else _why(definition, changes)
        rows = lake.replace(table, engine.arrow(make(lake, definition, engine, sources)), seen)
        how = "updated" if changes is not None and not definition.touches else "rebuilt"
        return Made(table.name, how, why, rows, lake.version(table))
    if not scope.days:
        return Made(table.name, "unchanged", "what is new says nothing about it", 0, lake.version(table))
    made = make(lake, definition, engine, sources, scope)
    rows = lake.replace(table, engine.arrow(made), seen, scope.predicate())
    return Made(table.name, "updated", f"{len(scope.days)} coins from {scope.first}", rows, lake.version(table))


def make(
    lake: Lake,
    definition: Definition,
    engine: Engine,
    sources: Sequence[str],
    scope: Scope | None = None,
    as_of: datetime | None = None,
    made: Mapping[str, Any] | None = None,
) -> Frame:
    """The table's rows, from what the lake holds: all of them, those of a scope, or as they were known at a moment.

    `made` gives gold tables that were computed already (as Arrow streams), to be read instead of the lake's.
    """
    read = {}
    for source in definition.reads:
        if made and source.name in made:
            read[source.name] = engine.frame(made[source.name])
        else:
            rows = engine.frame(lake.read(source, where=_where(source, definition, scope, as_of)))
            read[source.name] = _held(engine, current(source, rows)) if source.is_observations else rows
    frame = definition.build(read, sources, engine)
    return _within(frame, scope, engine) if scope else frame


def _held(engine: Engine, frame: Frame) -> Frame:
    """The frame, computed once: a lazy one would be computed again for everything that is made of it."""
    return engine.frame(engine.arrow(frame))


def known_at(as_of: datetime | None) -> str:
    """SQL that is true for the observations that had been fetched at a moment."""
    return f"fetched_at <= cast('{to_text(as_of)}' as timestamp with time zone)" if as_of else "true"


def _where(source: Table, definition: Definition, scope: Scope | None, as_of: datetime | None) -> str:
    known = known_at(as_of) if source.is_observations else "true"
    if scope is None or source.dated_by is None:
        return known
    first = scope.first - timedelta(days=definition.lookback_days)
    last = scope.last + timedelta(days=2)
    moment, years = source.dated_by, f"year >= {first.year} and year <= {last.year}"
    coins = ", ".join(map(quoted, sorted(scope.days)))
    when = " and ".join(
        f"{moment} {sign} cast('{day}' as timestamp with time zone)" for sign, day in ((">=", first), ("<", last))
    )
    return f"{known} and {years} and {when} and coin_id in ({coins})"


def _within(frame: Frame, scope: Scope, engine: Engine) -> Frame:
    """The rows that the scope names."""
    given = ", ".join(
        f"({quoted(coin)}, date '{first}', date '{last}')" for coin, (first, last) in sorted(scope.days.items())
    )
    spans = engine.frame(connect().sql(f"select * from (values {given}) as t(coin_id, _first_day, _last_day)"))
    joined = frame.join(spans, on="coin_id", how="inner")
    inside = (nw.col("day") >= nw.col("_first_day")) & (nw.col("day") <= nw.col("_last_day"))
    return joined.filter(inside).drop("_first_day", "_last_day")


def _changes(lake: Lake, definition: Definition, versions: Mapping[str, int]) -> dict[str, Changes] | None:
    """What came into each source since this table saw it; None where the table must be made anew."""
    stored = lake.open(definition.table)
    if stored is None or stored.transaction_version(DEFINITION) != definition.fingerprint:
        return None
    found = {}
    for source in definition.reads:
        seen = stored.transaction_version(source.name)
        since = -1 if seen is None else seen
        if since > versions[source.name]:
            return None
        changes = lake.changes(source, since)
        if changes is None or (changes.rows_removed and definition.touches):
            return None
        found[source.name] = changes
    return found


def _scope(lake: Lake, definition: Definition, changes: Mapping[str, Changes]) -> Scope | None:
    """The coins and days that the changes touch; None where a changed file is gone."""
    days: dict[str, tuple[date, date]] = {}
    for source in definition.reads:
        if not changes[source.name].files:
            continue
        changed = lake.read_files(source, changes[source.name].files, f"coin_id, {source.dated_by}")
        if changed is None:
            return None
        touched = changed.query("changed", definition.touches.format(moment=source.dated_by)).fetchall()
        days = _merged(days, touched)
    return Scope(days)


def _merged(days: Mapping[str, tuple[date, date]], more: Iterable[tuple[str, date, date]]) -> dict[str, Any]:
    merged = dict(days)
    for coin, first, last in more:
        known_first, known_last = merged.get(coin, (first, last))
        merged[coin] = (min(first, known_first), max(last, known_last))
    return merged


def _why(definition: Definition, changes: Mapping[str, Changes] | None) -> str:
    if changes is None:
        return "first time, another definition, or rows taken away"
    moved = [name for name, each in changes.items() if each.files or each.rows_removed]
    return f"new in {', '.join(moved)}" if not definition.touches else "the log no longer reaches back"
