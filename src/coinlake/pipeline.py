"""The story in one page: ingest, clean, analyze, and the record that every run leaves.

bronze keeps what was answered, silver takes from it what can be trusted, gold draws its conclusions. Each step can be
killed anywhere and done again: what is there already is not done twice.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import duckdb

from coinlake import catalog, meter
from coinlake.answer import Answer, to_moment, to_text, unpack
from coinlake.bronze.ingest import Ingested, Source, ingest
from coinlake.bronze.plan import Wish
from coinlake.duck import quoted
from coinlake.engine import Cluster, Engine, Told
from coinlake.engine.duckdb import DuckEngine
from coinlake.errors import ConflictError, LakeError, SourceError
from coinlake.gold.analyze import MEMORY, Definition, Made, analyze, is_due
from coinlake.gold.scope import Scope
from coinlake.lake import Lake, Piece, epoch_of
from coinlake.progress import Progress, Report
from coinlake.silver import rejects, runs
from coinlake.silver.clean import clean
from coinlake.survey import RUNS, survey
from coinlake.table import Table

BATCH_OBJECTS = 64
"""Most bronze objects cleaned and committed at once."""
BATCH_BYTES = 16 * 2**20
"""Most compressed bytes of bronze cleaned at once."""
Options = Mapping[str, float]
"""Settings, by name, that some tables of gold are made with; a table's own defaults stand in for what is not named."""
NO_OPTIONS: Options = {}
TRIES = 5
"""How often a gold table is tried when other runs write it at the same time."""


@dataclass(frozen=True)
class Run:
    """One run: its name, what was asked for, the plan with the service, and when it began by the pipeline's clock.

    `until` is when it stops at the next part and leaves the rest to the next run, in seconds of its monotonic clock.
    """

    name: str
    command: str
    plan: str
    began_at: datetime
    until: float = math.inf


@dataclass
class Done:
    """What a run has done so far; the run's record, and what a person is shown, are made of it.

    `useful` are the bronze objects of which something became a row, `useless` those of which something was refused.
    """

    ingested: Ingested | None = None
    objects: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    rejects: dict[str, int] = field(default_factory=dict)
    made: list[Made] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)
    exports: list[str] = field(default_factory=list)
    meter_before: Mapping[str, int] = field(default_factory=meter.reading)
    left: list[str] = field(default_factory=list)
    useful: set[str] = field(default_factory=set)
    useless: set[str] = field(default_factory=set)


GoesOn = Callable[[], bool]
"""Whether there is time for one more part."""


def always() -> bool:
    """There is."""
    return True


# The steps -----------------------------------------------------------------------------------------------------------


def fetch(
    lake: Lake,
    source: Source,
    wish: Wish,
    run: Run,
    now: Callable[[], datetime],
    monotonic: Callable[[], float],
    report: Report,
) -> Ingested:
    """Fetch into bronze what is wished for and not there; the failure that ended it, if any, is in the result."""
    known = survey(lake, wish, run.began_at, pending(lake), run.plan)
    return ingest(source, lake, wish, known, run.name, run.began_at, now, monotonic, report, run.until)


def pending(lake: Lake, only: str = "") -> list[str]:
    """The bronze objects that silver has not seen, oldest name first; `only` those below a folder."""
    return _unseen(lake, (each.path for each in lake.objects.list(only)))


def pending_since(lake: Lake, path: str, since: date) -> list[str]:
    """Of the bronze objects that silver has not seen, one that landed and whatever is of a day or later.

    What this takes does not grow with the history: listings begin at the day.
    """
    source = path.split("/")[0]
    begins = {f"{source}/{endpoint}": f"{source}/{endpoint}/date={since}" for endpoint in catalog.readers()}
    return _unseen(lake, {path, *_listed(lake, {**begins, RUNS: _first_run(since)})})


def records_since(lake: Lake, since: date) -> list[str]:
    """The runs' own records that silver has not seen, of a day or later."""
    return _unseen(lake, _listed(lake, {RUNS: _first_run(since)}))


def _first_run(day: date) -> str:
    return f"{RUNS}/{run_name(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())}"


def _listed(lake: Lake, begins: Mapping[str, str]) -> list[str]:
    """The objects of several folders, each from a name on; asked for at once, for each answer is waited for."""
    with ThreadPoolExecutor(len(begins)) as threads:
        found = list(threads.map(lambda each: list(lake.objects.list(*each)), begins.items()))
    return [each.path for objects in found for each in objects]


def _unseen(lake: Lake, found: Iterable[str]) -> list[str]:
    paths = sorted(path for path in found if endpoint_of(path))
    seen = {table: _seen(lake, table) for table in {_table_of(path) for path in paths}}
    return [path for path in paths if path not in seen[_table_of(path)]]


def run_name(at: float, salt: str = "") -> str:
    """A name for a run that begins at a moment (seconds since 1970); names sort as their moments do."""
    return f"{int(at * 1000):011x}{salt}"


def landed(lake: Lake) -> list[str]:
    """The bronze objects that silver has not seen, but for the runs' own records."""
    return [path for path in pending(lake) if not path.startswith(RUNS)]


def sets_off(source: Table) -> bool:
    """Whether new rows of a table are a reason to analyze. What every run writes about itself is none, or the analysis
    would set itself off for ever.
    """
    return source not in (runs.TABLE, rejects.TABLE)


def behind(lake: Lake) -> list[tuple[str, str]]:
    """Gold tables, each with a table it reads, that has rows it has not seen."""
    found = []
    for definition in definitions(()):
        noted = lake.noted(definition.table)
        if noted and definition.until and not is_due(lake, definition, Scope({})):
            continue
        for source in filter(sets_off, definition.reads):
            changes = lake.changes(source, noted.get(source.name, -1))
            if changes is not None and (changes.files or changes.rows_removed):
                found.append((definition.table.name, source.name))
    return found


def endpoint_of(path: str) -> str | None:
    """The endpoint a bronze object is of; None for what sets off nothing."""
    parts = path.split("/")
    if parts[0] == RUNS:
        return runs.ENDPOINT
    return None if len(parts) < 3 or parts[0].startswith("_") or parts[1].startswith("_") else parts[1]


def clean_objects(
    lake: Lake, engine: Engine, paths: Sequence[str], done: Done, report: Report, goes_on: GoesOn = always
) -> None:
    """Turn bronze objects into silver, each exactly once, in whatever order and by however many processes. Where others
    work for the engine, they do, if there are more than one would take at once.
    """
    if engine.cluster and len(paths) > BATCH_OBJECTS and goes_on():
        paths = _clean_elsewhere(lake, engine.cluster, paths, done, report)
    for number, batch in enumerate(_batches(lake, paths, done.damaged)):
        if not goes_on():
            done.left += paths[paths.index(next(iter(batch))) :]
            return
        first = number * BATCH_OBJECTS
        report(Progress("clean", min(first, len(paths)), len(paths), f"{len(batch)} bronze objects"))
        clean_answers(lake, engine, batch, done)
    if paths:
        report(Progress("clean", len(paths), len(paths)))


@dataclass(frozen=True)
class _Cleaned:
    """What came of some bronze objects: by the name of a table its rows (a relation, or `Staged`), with the objects
    that have their say in them. Rejects come first: an object counts as done only when its own table has it.
    """

    paths: Sequence[str]
    rows: Mapping[str, tuple[Any, Collection[str]]]
    by_rule: Mapping[str, int]
    useful: set[str]
    useless: set[str]

    def noted(self, done: Done) -> None:
        """Note what the objects were good for."""
        done.useful |= self.useful
        done.useless |= self.useless
        done.objects += len(self.paths)

    def appended(self, table: str, rows: int, done: Done) -> None:
        """Note that so many rows of a table are there now."""
        if table != rejects.TABLE.name:
            done.rows[table] = done.rows.get(table, 0) + rows
        elif rows:
            for rule, count in self.by_rule.items():
                done.rejects[rule] = done.rejects.get(rule, 0) + count


def clean_answers(lake: Lake, engine: Engine, batch: Mapping[str, list[Answer]], done: Done) -> None:
    """Turn the answers of some bronze objects, by the objects' names, into silver, each object exactly once."""
    cleaned = _cleaned(lake, engine, batch)
    for name, (rows, objects) in cleaned.rows.items():
        table = catalog.table(name)
        cleaned.appended(name, lake.append(table, rows, objects), done)
        done.versions[name] = lake.version(table)
    cleaned.noted(done)


def _cleaned(lake: Lake, engine: Engine, batch: Mapping[str, list[Answer]]) -> _Cleaned:
    lines = [(path, line, answer) for path, answers in batch.items() for line, answer in enumerate(answers, start=1)]
    observed = clean(lines, catalog.readers(), engine)
    by_table: dict[Table, list[str]] = {}
    for path in batch:
        by_table.setdefault(_table_of(path), []).append(path)
    refused = _together([each.rejects for each in observed])
    by_rule = dict(refused.aggregate("rule, count(*)", "rule").fetchall())
    useless = _objects(refused.filter(f"rule not in ({', '.join(map(quoted, rejects.ABSENCES))})"))
    named = _objects(refused).union(by_table.pop(rejects.TABLE, []))
    rows: dict[str, tuple[Any, Collection[str]]] = {rejects.TABLE.name: (refused, named)} if named else {}
    useful: set[str] = set()
    for table, paths in by_table.items():
        found = [each.rows for each in observed if each.table is table]
        useful.update(*map(_objects, found))
        rows[table.name] = (_together(found) if found else lake.read(table, where="false"), paths)
    return _Cleaned(tuple(batch), rows, by_rule, useful, useless)


def _clean_elsewhere(lake: Lake, cluster: Cluster, paths: Sequence[str], done: Done, report: Report) -> list[str]:
    """Let others clean bronze objects, and commit what they wrote, one commit a table. Returns the objects that have to
    be cleaned again, for another process was faster with some of those that they were cleaned with.
    """

    def told(finished: int, of: int) -> None:
        report(Progress("clean", min(finished * BATCH_OBJECTS, len(paths)), len(paths), f"task {finished} of {of}"))

    tasks = [paths[first : first + BATCH_OBJECTS] for first in range(0, len(paths), BATCH_OBJECTS)]
    found = list(cluster.spread(partial(_staged, lake.elsewhere()), tasks, told))
    done.damaged += [path for _, damaged in found for path in damaged]
    waiting = [each for cleaned, _ in found for each in cleaned]
    again: list[str] = []
    names = {name for each in waiting for name in each.rows}
    for name in sorted(names, key=lambda each: (each != rejects.TABLE.name, each)):
        table, its = catalog.table(name), [each for each in waiting if name in each.rows]
        before = lake.append_staged(table, [each.rows[name][0] for each in its])
        done.versions[name] = lake.version(table)
        for each in its:
            staged, objects = each.rows[name]
            if before.isdisjoint(objects):
                each.appended(name, staged.rows, done)
            elif not before.issuperset(objects):
                again += each.paths
                waiting.remove(each)
    for each in waiting:
        each.noted(done)
    return again


def _staged(lake: Lake, paths: Sequence[str]) -> tuple[list[_Cleaned], list[str]]:
    """Clean bronze objects on this machine, whichever it is, and put what comes of them in place; and those that are
    damaged.
    """
    damaged: list[str] = []
    with lake.guarded():
        return [_in_place(lake, batch) for batch in _batches(lake, paths, damaged)], damaged


def _in_place(lake: Lake, batch: Mapping[str, list[Answer]]) -> _Cleaned:
    cleaned = _cleaned(lake, DuckEngine(), batch)
    rows = {
        name: (lake.stage(catalog.table(name), [Piece(rows)], objects), objects)
        for name, (rows, objects) in cleaned.rows.items()
    }
    return replace(cleaned, rows=rows)


def _objects(rows: duckdb.DuckDBPyRelation) -> set[str]:
    """The bronze objects that rows come from."""
    return {row[0] for row in rows.project("bronze_object").distinct().fetchall()}


def unusable(done: Done) -> SourceError | None:
    """What is to be said of a service that answers, and never with anything that can be used; None where it did, or
    where what it said has not all been cleaned. That it lacks a coin, or days of it, can be used.
    """
    fetched = done.ingested
    if fetched is None or done.left or done.useful.intersection(fetched.objects):
        return None
    if not done.useless.intersection(fetched.objects):
        return None
    times = "once" if fetched.answers == 1 else f"{fetched.answers} times"
    return SourceError(
        f"the service answered {times}, nothing of it could be used: look at silver.rejects, or check COINLAKE_API_URL"
    )


def _table_of(path: str) -> Table:
    """The table that an object's answers become; that of rejects where none reads them."""
    table, _ = catalog.readers().get(endpoint_of(path) or "", (rejects.TABLE, None))
    return table


def _together(relations: Sequence[duckdb.DuckDBPyRelation]) -> duckdb.DuckDBPyRelation:
    whole, *others = relations
    for each in others:
        whole = whole.union(each.project(", ".join(whole.columns)))
    return whole


def _batches(lake: Lake, paths: Sequence[str], damaged: list[str]) -> Iterator[dict[str, list[Answer]]]:
    batch: dict[str, list[Answer]] = {}
    size = 0
    for path in paths:
        data = lake.objects.get(path)
        if batch and (len(batch) >= BATCH_OBJECTS or size + len(data) > BATCH_BYTES):
            yield batch
            batch, size = {}, 0
        try:
            batch[path] = answers_of(path, data)
        except LakeError:
            damaged.append(path)
            continue
        size += len(data)
    if batch:
        yield batch


def answers_of(path: str, data: bytes) -> list[Answer]:
    """What a bronze object holds: a source's answers, or a run's own record.

    Raises:
        LakeError: it is damaged.
    """
    if endpoint_of(path) != runs.ENDPOINT:
        return list(unpack(data))
    try:
        return [_record(path, data)]
    except (ValueError, KeyError, TypeError) as exc:
        raise LakeError(f"the record of a run is damaged ({exc}); restore it from a copy") from exc


def demand_whole(lake: Lake, tables: Sequence[Table]) -> None:
    """Refuse to empty silver tables whose rows could not be had again.

    Raises:
        LakeError: a bronze object that they have rows of is missing or damaged.
    """
    for table in tables:
        for path in sorted(_seen(lake, table)):
            if endpoint_of(path) and (wrong := _lost(lake, path)):
                raise LakeError(
                    f"{path} {wrong}, and {table.name} holds what it said: nothing was emptied; restore it from a copy "
                    f"and rebuild again, or remove {lake.uri(table)} to go without its rows"
                )


def _lost(lake: Lake, path: str) -> str:
    """Why a bronze object does not give its answers back; nothing where it does."""
    try:
        answers_of(path, lake.objects.get(path))
    except FileNotFoundError:
        return "is missing"
    except LakeError:
        return "is damaged"
    return ""


def analyze_tables(
    lake: Lake,
    engine: Engine,
    sources: Sequence[str],
    done: Done,
    report: Report,
    anew: Sequence[str] = (),
    options: Options = NO_OPTIONS,
    goes_on: GoesOn = always,
    memory: int = MEMORY,
) -> None:
    """Bring every gold table up to date, each after those it reads; those named `anew` are made from nothing, in about
    so many bytes of memory.
    """
    tables = definitions(sources, options)
    with lake.as_it_stands(*looked_at()):
        for number, definition in enumerate(tables):
            name = definition.table.name
            if not goes_on():
                done.left += [each.table.name for each in tables[number:]]
                return
            told = partial(_tell, report, number, len(tables), name)
            told(0, 1)
            made = _analyze(lake, definition, engine, sources, name in anew, memory, told)
            done.made.append(made)
            if made.how != "unchanged":
                done.rows[name] = made.rows
                done.versions[name] = made.version
        report(Progress("analyze", len(tables), len(tables)))


def looked_at() -> list[Table]:
    """The tables that gold is made of, and its own."""
    return list(dict.fromkeys(table for each in definitions(()) for table in (each.table, *each.reads)))


def _tell(report: Report, number: int, of: int, name: str, pieces: int, of_pieces: int) -> None:
    """A table that is made in pieces is a step of its own: how long the others take says nothing about it."""
    whole = of_pieces == 1
    report(Progress("analyze", number, of, name) if whole else Progress(f"make {name}", pieces, of_pieces, "pieces"))


def _analyze(
    lake: Lake, definition: Definition, engine: Engine, sources: Sequence[str], anew: bool, memory: int, told: Told
) -> Made:
    """Where another run was faster, look again at what is left to do."""
    for _ in range(TRIES - 1):
        try:
            return analyze(lake, definition, engine, sources, anew, memory, told)
        except ConflictError:
            lake.look_again()
    return analyze(lake, definition, engine, sources, anew, memory, told)


def definitions(sources: Sequence[str], options: Options = NO_OPTIONS) -> list[Definition]:
    """How every gold table is made, in the order in which they can be; each with the options that its module names."""
    return [
        Definition(
            table=entry.table,
            reads=tuple(catalog.table(name) for name in entry.table.reads),
            build=partial(entry.module.build, **_taken(entry, options)),
            fingerprint=entry.fingerprint(*sources, *(f"{name}={at:g}" for name, at in _taken(entry, options).items())),
            touches=getattr(entry.module, "TOUCHES", {}),
            touched=getattr(entry.module, "touched", None),
            lookback_days=getattr(entry.module, "LOOKBACK_DAYS", 0),
            lookahead_days=getattr(entry.module, "LOOKAHEAD_DAYS", 0),
            carries=getattr(entry.module, "CARRIES", ()),
            carries_within=getattr(entry.module, "CARRIES_WITHIN", 0),
            series=getattr(entry.module, "SERIES", ()),
            blocks=getattr(entry.module, "BLOCKS", ""),
            companions=getattr(entry.module, "COMPANIONS", ()),
            until=getattr(entry.module, "UNTIL", ""),
            columns=getattr(entry.module, "COLUMNS", {}),
            as_observed=getattr(entry.module, "AS_OBSERVED", False),
            minds=getattr(entry.module, "MINDS", {}),
            takes_span=getattr(entry.module, "TAKES_SPAN", False),
            reads_once=getattr(entry.module, "READS_ONCE", False),
            continues=getattr(entry.module, "CONTINUES", False),
        )
        for entry in catalog.entries().values()
        if entry.table.layer == "gold"
    ]


def _taken(entry: catalog.Entry, options: Options) -> Options:
    return {name: options[name] for name in getattr(entry.module, "OPTIONS", ()) if name in options}


def _seen(lake: Lake, table: Table) -> set[str]:
    noted = lake.noted(table)
    epoch = epoch_of(noted)
    return {name for name, version in noted.items() if version >= epoch}


# The record ----------------------------------------------------------------------------------------------------------


def begin(lake: Lake, run: Run) -> None:
    """Note that a run has begun; one that is killed has no end."""
    _note(lake, f"{run.name}-begun", {**_about(run), "at": to_text(run.began_at)})


def end(lake: Lake, run: Run, done: Done, ended_at: datetime, lasted_s: float, failure: BaseException | None) -> None:
    """Note how a run ended."""
    fetched = done.ingested or Ingested()
    record = {
        **_about(run),
        "at": to_text(ended_at),
        "ended_at": to_text(ended_at),
        "lasted_s": round(lasted_s, 3),
        "outcome": type(failure).__name__ if failure else "ok",
        "message": str(failure) if failure else None,
        "calls": fetched.calls,
        "retries": fetched.retries,
        "credits": fetched.credits,
        "answers": fetched.answers,
        "rows": sum(done.rows.values()),
        "rejects": sum(done.rejects.values()),
        "versions": json.dumps(done.versions, sort_keys=True),
        "operations": json.dumps(meter.since(done.meter_before)),
        "unknown_coins": ",".join(fetched.unknown_coins),
        "refused": json.dumps(
            [{**each._asdict(), "asked_again_at": to_text(each.asked_again_at)} for each in fetched.refused]
        ),
        "history_days": fetched.days_learnt,
        "unavailable": json.dumps([asdict_of(each) for each in fetched.unavailable]),
    }
    _note(lake, f"{run.name}-ended", record)


def asdict_of(value: Any) -> Any:
    """A named tuple or dataclass as what JSON knows; days as ISO text."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    elif hasattr(value, "__dataclass_fields__"):
        value = asdict(value)
    return {
        name: each if isinstance(each, (str, int, float, type(None))) else str(each) for name, each in value.items()
    }


def _about(run: Run) -> dict[str, Any]:
    return {"run": run.name, "command": run.command, "plan": run.plan, "began_at": to_text(run.began_at)}


def _note(lake: Lake, name: str, record: Mapping[str, Any]) -> None:
    lake.objects.put(f"{RUNS}/{name}.json", json.dumps(record, separators=(",", ":")).encode())


def _record(path: str, data: bytes) -> Answer:
    """A run's own record, as an answer of ours to a question nobody asked."""
    at = to_moment(json.loads(data)["at"])
    return Answer(runs.SOURCE, runs.ENDPOINT, f"/{path}", {}, 200, {}, at, at, 1, data)
