"""From settings to a workspace: where the lake, the service, the clock and the engine are put together."""

from __future__ import annotations

import hashlib
import math
import os
import re
import secrets
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache, partial, wraps
from inspect import isfunction
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from coinlake import asked, catalog, exports, health, upkeep
from coinlake import pipeline as steps
from coinlake.answer import to_moment
from coinlake.bronze.ingest import Ingested
from coinlake.bronze.plan import Plan, Wish, plan
from coinlake.coin import portrait
from coinlake.engine import Engine, engine
from coinlake.errors import CoinlakeError, ConfigError, SourceError, was_interrupted
from coinlake.kept import Shelf
from coinlake.lake import Lake
from coinlake.objects import local_folder
from coinlake.progress import WAIT, Progress, Report, silent
from coinlake.query import query
from coinlake.report import report
from coinlake.settings import Settings, demand_key
from coinlake.silver import rejects
from coinlake.survey import RUNS, survey
from coinlake.table import Table

Stage = Callable[[steps.Run, steps.Done], None]
"""A part of a run: it does its work and notes in `Done` what it did."""


@dataclass(frozen=True)
class RunReport:
    """What a run did, for a person and for machines."""

    run: str
    command: str
    outcome: str
    began_at: datetime
    ended_at: datetime
    lasted_s: float
    plan: str
    calls: int = 0
    retries: int = 0
    credits: int = 0
    answers: int = 0
    waited_s: float = 0.0
    objects: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    rejects: dict[str, int] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    gold: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    refused: list[Any] = field(default_factory=list)
    unavailable: list[Any] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    exports: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    failure: str | None = None


def workspace(settings: Settings, report: Report, shelf: Shelf | None = None) -> Workspace:
    """A lake, and what can be done with it, as the settings say; what is kept of its tables lies on a shelf.

    Raises:
        ConfigError: no lake can lie where it is set to, or what the engine needs is not installed.
    """
    lake = Lake.at(settings.lake, settings.bronze, settings.silver, settings.gold, **settings.client_options)
    lake = replace(lake, shelf=shelf)
    for root in (lake.silver, lake.gold):
        _demand_a_fit_folder(root)
    return Workspace(settings, lake, engine(settings.engine, settings.spark_master), report)


_UNFIT = re.compile(r"[\[\]\\^|\x00-\x1f\x7f]|%[0-9A-Fa-f]{2}")
"""What delta-rs takes for something else in the name of a folder, or panics at."""


def _demand_a_fit_folder(root: str) -> None:
    folder = local_folder(root) or ""
    if unfit := _UNFIT.search(folder):
        raise ConfigError(
            f"no tables can be kept in {folder}, for {unfit[0]!r} is in its name; set another COINLAKE_LAKE"
        )


Kind = TypeVar("Kind", bound=type)


def _guarded(kind: Kind) -> Kind:
    """Whatever a door asks for, a damaged file of the lake is a LakeError."""

    def guard(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def call(self: Workspace, *given: Any, **named: Any) -> Any:
            with self.lake.guarded():
                return method(self, *given, **named)

        return call

    for name, method in list(vars(kind).items()):
        if isfunction(method) and not name.startswith("_"):
            setattr(kind, name, guard(method))
    return kind


@_guarded
@dataclass(frozen=True)
class Workspace:
    """Everything a door can ask for. Errors are those of `coinlake.errors`; one raised by a run has its `report`."""

    settings: Settings
    lake: Lake
    engine: Engine
    report: Report

    def now(self) -> datetime:
        """The pipeline's clock: the setting where there is one (a moment, or a simulator's clock), else the machine's.

        Raises:
            SourceError: the simulator's clock does not answer.
        """
        setting = self.settings.now
        return _clock_of(setting) if isinstance(setting, str) else setting or datetime.now(UTC)

    # What changes the lake ---------------------------------------------------------------------------------------

    def run(self) -> RunReport:
        """Fetch what is missing, clean it, draw the conclusions, export them."""
        return self._recorded("run", self._fetch, self._clean, self._analyze)

    def ingest(self) -> RunReport:
        """Fetch into bronze what is missing."""
        return self._recorded("ingest", self._fetch)

    def clean(self) -> RunReport:
        """Turn what lies in bronze into silver."""
        return self._recorded("clean", self._clean)

    def analyze(self) -> RunReport:
        """Bring gold up to date with silver."""
        return self._recorded("analyze", self._analyze)

    def topple(self, fetch: bool = False) -> RunReport | None:
        """What landed in bronze is cleaned, what landed in silver is analysed; None where nothing did.

        With `fetch` what is missing is fetched first.
        """
        if fetch:
            return self._recorded("watch", self._fetch, self._clean, self._analyze)
        if steps.landed(self.lake) or steps.behind(self.lake):
            return self._recorded("watch", self._clean, self._analyze)
        return None

    # The same in the cloud, where bronze writes bronze only, silver silver, and gold gold, but for the runs' records.

    def land(self) -> RunReport:
        """Fetch into bronze what is missing; silver takes the run's record from there when it cleans."""
        return self._noted(self._new_run("ingest"), self._fetch)

    def settle(self, path: str) -> RunReport | None:
        """Turn a bronze object into silver, and what else waits since the day before it; None where nothing does."""
        since = _day_before(path, self.now())
        with self.lake.kept_open():
            paths = steps.pending_since(self.lake, path, since)
            if not paths:
                return None
            report = self._noted(self._new_run("clean"), partial(self._settle, path, paths))
            steps.clean_objects(self.lake, self.engine, steps.records_since(self.lake, since), steps.Done(), silent)
            return report

    def conclude(self) -> RunReport | None:
        """Bring gold up to date with silver; None where it is. Of several at once, the last writes the exports."""
        with self.lake.as_it_stands(*steps.looked_at()):
            if steps.behind(self.lake):
                return self._noted(self._new_run("analyze"), self._conclude)
            self._refresh(steps.always)  # whoever made gold may have been killed before
            return None

    def concludes_from(self, folder: str) -> bool:
        """Whether new rows in the silver table of that folder are a reason to analyze."""
        reads = [source for each in steps.definitions(()) for source in each.reads]
        return any(source.folder == folder for source in filter(steps.sets_off, reads))

    def age(self) -> dict[str, Any]:
        """The last finished day in gold, and how many hours ago it ended."""
        return health.age(self.lake, self.now())

    def rebuild(self, layer: str, tables: Sequence[str] = ()) -> RunReport:
        """Make the tables of a layer (or those named) anew: silver from bronze, gold from silver.

        Rejects come of the objects of all tables, so they are made anew with all of silver.
        """
        chosen = [catalog.table(name) for name in tables] or catalog.layer(layer)
        if wrong := [table.name for table in chosen if table.layer != layer]:
            raise ConfigError(f"{wrong[0]} is not in {layer}: leave it out, or choose its layer with --layer")
        if layer == "gold":
            names = [table.name for table in chosen]
            return self._recorded("rebuild gold", lambda run, done: self._analyze(run, done, names))
        if rejects.TABLE in chosen:
            chosen = catalog.layer(layer)
        return self._recorded("rebuild silver", lambda run, done: self._restart(chosen), self._clean)

    def import_files(
        self,
        files: Sequence[str],
        source: str,
        mapping: Mapping[str, str],
        coin: str | None,
        time_is: str,
        date_form: str | None,
        dry_run: bool,
    ) -> dict[str, Any]:
        """Bring own histories into bronze, silver and gold: all files or, where one cannot be used, none.

        What each gives is found out by the very step that will clean it; see `coinlake.bronze.own` and
        `coinlake.silver.own`. A file that is in bronze already is not put there again.
        """
        from coinlake.bronze import own
        from coinlake.gold.daily import EARLY_S, LATE_S
        from coinlake.silver import own as cleaning

        own.demand_real(self.lake)
        at = self.now()
        knows = partial(cleaning.knows, self.lake, catalog.layer("silver"))
        planned: list[tuple[own.Planned, cleaning.Taken, own.Before | None]] = []
        for number, name in enumerate(files):
            self.report(Progress("read", number, len(files), name))
            each = own.read(Path(name), source, mapping, coin, time_is, date_form, knows)
            taken = cleaning.taken(each.answer(at), catalog.readers(), self.engine, (EARLY_S, LATE_S))
            planned.append((each, taken, own.imported_before(self.lake, each, taken.finished_until)))
        own.demand_use([(each, taken.rows, taken.shown) for each, taken, _ in planned])
        fresh = own.only_once([each for each, _, before in planned if before is None])
        objects: list[str] = []

        def bring(run: steps.Run, done: steps.Done) -> None:
            objects.extend(own.put(self.lake, fresh, run.name, run.began_at))

        run = None if dry_run else self._recorded(f"import {source}", bring, self._clean, self._analyze)
        lies_in = {each.content: path for each, path in zip(fresh, objects, strict=False)}
        told = [
            {**own.told(each, before, lies_in.get(each.content)), **asdict(taken)} for each, taken, before in planned
        ]
        return {"source": source, "dry_run": dry_run, "files": told, "run": asdict(run) if run else None}

    def recorded(self, command: str, *stages: Stage) -> RunReport:
        """Do stages of somebody else's, as a run of that name with a record in bronze."""
        return self._recorded(command, *stages)

    def tidy(self) -> dict[str, Any]:
        """Join small files, remove what nothing refers to and is old enough."""
        tables = [entry.table for entry in catalog.entries().values()]
        keep = timedelta(hours=self.settings.keep_hours)
        return {
            "files_saved": upkeep.compact(self.lake, tables, always=True),
            "files_removed": upkeep.sweep(self.lake, tables, keep, datetime.now(UTC)),
        }

    def export(self, to: str | None = None) -> list[str]:
        """Write the exports beside gold, or into a folder."""
        return exports.export(self.lake, Path(to) if to else None)

    def write_report(self) -> str:
        """Write the report among the exports beside gold; returns where."""
        return exports.write_report(self.lake)

    # What only looks ---------------------------------------------------------------------------------------------

    def plan(self) -> Plan:
        """The calls that `ingest` would make now."""
        wish = self._wish()
        return plan(wish, survey(self.lake, wish, self.now(), steps.pending(self.lake), self.settings.plan), self.now())

    def query(self, sql: str, as_of: datetime | None = None) -> duckdb.DuckDBPyRelation:
        """The answer to a question in SQL."""
        return query(self.lake, sql, self.settings.source_order, as_of, self.settings.options)

    def page(self) -> str:
        """The report as HTML."""
        return report(self.lake)

    def portrait(self, coin: str) -> dict[str, Any]:
        """What gold knows of a coin, by its id or symbol."""
        return portrait(self.lake, coin)

    def equity(self, rule: str, coin: str, first: date | None, last: date | None) -> duckdb.DuckDBPyRelation:
        """What following a rule on a coin made of one dollar, day by day, at the costs that are set."""
        costs = (self.settings.fee_bp, self.settings.slippage_bp)
        return asked.equity(self.lake, rule, coin, costs, first, last)

    def correlations(self, coins: Sequence[str], day: date | None) -> duckdb.DuckDBPyRelation:
        """Correlations of the newest day, or another."""
        return asked.correlations(self.lake, coins, day)

    def tables(self) -> list[dict[str, Any]]:
        """Every table: grain, rows, version, newest moment or day."""
        return health.tables(self.lake)

    def describe(self, name: str) -> Table:
        """A table's contract."""
        return catalog.table(name)

    def status(self) -> dict[str, Any]:
        """Freshness, rows, gaps, rejects, last runs, credits used this month."""
        return health.status(self.lake, self.now(), self.settings.monthly_credits)

    def cost(self) -> dict[str, Any]:
        """What the recorded runs would cost a month on Google Cloud, item by item."""
        from coinlake import cost

        return cost.monthly(self.lake, self.now())

    def doctor(self) -> list[health.Finding]:
        """What is wrong, and how to mend it."""
        return health.examine(self.lake, self.now())

    # How ---------------------------------------------------------------------------------------------------------

    def _recorded(self, command: str, *stages: Stage) -> RunReport:
        """Do the stages in turn, with a record at the beginning and at the end.

        A failure in fetching is held back until what landed has been cleaned and analysed.
        """
        run = self._new_run(command)
        with self.lake.kept_open():
            try:
                report = self._noted(run, *stages)
            except BaseException as failure:
                self._clean_records(failure)
                raise
            self._clean_records(None)
        return report

    def _noted(self, run: steps.Run, *stages: Stage) -> RunReport:
        """Do the stages in turn, with a record in bronze at the beginning and at the end, which tells of the right kind
        of error: so each is guarded here already.
        """
        steps.begin(self.lake, run)
        done, lasted_s, failure = _did(run, [self.lake.guarded()(stage) for stage in stages])
        steps.end(self.lake, run, done, self.now(), lasted_s, failure)
        return self._told(run, done, lasted_s, failure)

    def _new_run(self, command: str) -> steps.Run:
        limit_s = self.settings.deadline_s or math.inf
        return steps.Run(_new_name(), command, self.settings.plan, self.now(), time.monotonic() + limit_s)

    def _told(self, run: steps.Run, done: steps.Done, lasted_s: float, failure: BaseException | None) -> RunReport:
        """The report of a run; its failure is raised, with the report."""
        report = _report(run, done, self.now(), lasted_s, failure)
        if isinstance(failure, CoinlakeError):
            failure.report = report
        if failure:
            raise failure
        return report

    def _fetch(self, run: steps.Run, done: steps.Done) -> None:
        wish = self._wish()
        with self._service(run) as source:
            report = self._told_of(run)
            done.ingested = steps.fetch(self.lake, source, wish, run, self.now, time.monotonic, report)

    def _clean(self, run: steps.Run, done: steps.Done) -> None:
        self._clean_these(steps.pending(self.lake), run, done)

    def _settle(self, path: str, paths: Sequence[str], run: steps.Run, done: steps.Done) -> None:
        try:
            self._clean_these(paths, run, done)
        except Exception:
            # Each object has an event of its own, so one that cannot be cleaned must not take the others with it.
            if paths == [path]:
                raise
            done.left += [each for each in paths if each != path]
            self._clean_these([path], run, done)
        if not done.left:
            upkeep.compact(self.lake, [catalog.table(name) for name in done.versions])

    def _clean_these(self, paths: Sequence[str], run: steps.Run, done: steps.Done) -> None:
        steps.clean_objects(self.lake, self.engine, paths, done, self._told_of(run), _in_time(run))

    def _analyze(self, run: steps.Run, done: steps.Done, anew: Sequence[str] = ()) -> None:
        if self._make(run, done, anew):
            upkeep.compact(self.lake, [entry.table for entry in catalog.entries().values()])
        done.exports = exports.refresh(self.lake)

    def _conclude(self, run: steps.Run, done: steps.Done) -> None:
        if self._make(run, done):
            upkeep.compact(self.lake, [catalog.table(made.table) for made in done.made if made.how != "unchanged"])
        done.exports = self._refresh(_in_time(run))

    def _refresh(self, goes_on: steps.GoesOn) -> list[str]:
        """Write the exports until they are of the newest gold, whoever else writes some; returns where."""
        written: list[str] = []
        self.lake.look_again()
        while goes_on() and (more := exports.refresh(self.lake)):
            written = more
            self.lake.look_again()
        return written

    def _make(self, run: steps.Run, done: steps.Done, anew: Sequence[str] = ()) -> bool:
        """Make the gold tables; say whether anything changed."""
        report, settings = self._told_of(run), self.settings
        steps.analyze_tables(
            self.lake,
            self.engine,
            settings.source_order,
            done,
            report,
            anew,
            settings.options,
            _in_time(run),
            settings.memory,
        )
        return any(made.how != "unchanged" for made in done.made)

    def _told_of(self, run: steps.Run) -> Report:
        """Progress, with the name of the run it is of."""
        return lambda progress: self.report(replace(progress, run=run.name))

    def _restart(self, tables: Sequence[Table]) -> None:
        steps.demand_whole(self.lake, tables)
        for table in tables:
            self.lake.restart(table)

    def _clean_records(self, failure: BaseException | None) -> None:
        """Bring the runs' own records into silver.runs; after a failure only where that works."""
        try:
            steps.clean_objects(self.lake, self.engine, steps.pending(self.lake, RUNS), steps.Done(), silent)
        except CoinlakeError:
            if failure is None:
                raise

    def _wish(self) -> Wish:
        chosen = self.settings
        return Wish(
            datasets=chosen.datasets,
            top=None if chosen.coins else chosen.top,
            coins=chosen.coins,
            days=chosen.days,
            granularity=chosen.granularity,
            history_days=chosen.history_days,
            monthly_credits=chosen.monthly_credits or None,
            daily_credits=chosen.daily_credits or None,
        )

    @contextmanager
    def _service(self, run: steps.Run) -> Iterator[Any]:
        from coinlake.bronze.coingecko import CoinGecko
        from coinlake.bronze.pace import Pace

        demand_key(self.settings)
        chosen = self.settings
        report = self._told_of(run)
        pace = Pace(
            chosen.rate,
            pace_file(chosen),
            time.monotonic,
            time.time,
            time.sleep,
            lambda note: report(Progress(WAIT, 0, None, note)),
        )
        key = chosen.api_key.reveal()
        with CoinGecko(chosen.api_url, chosen.plan, key, pace, self.now, until=run.until) as source:
            yield source


def _new_name() -> str:
    """A name for a run. Names sort as the runs began, by the machine's clock: bronze objects are named after them, and
    of two that were fetched at the same moment of a clock that stands still the later one is the newer.
    """
    return steps.run_name(time.time(), secrets.token_hex(2))


def pace_file(settings: Settings) -> Path:
    """Where the times of the last calls are kept: the limit is the address's and the key's, not the lake's.

    Below the user's state folder, or the machine's temporary one where that cannot be written; the name holds a
    digest, never the key.
    """
    whose = f"{settings.api_url} {settings.api_key.reveal()}".encode()
    name = f"pace-{hashlib.sha256(whose).hexdigest()[:16]}.json"
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "coinlake"
    try:
        state.mkdir(parents=True, exist_ok=True)
    except OSError:
        state = Path(tempfile.gettempdir())
    return state / name


def _clock_of(address: str) -> datetime:
    import httpx

    try:
        answer = httpx.get(address, timeout=10, verify=_certificates())
        return to_moment(answer.raise_for_status().json()["now"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as exc:
        raise SourceError(f"the clock at {address} does not tell the time ({exc}); is the simulator running?") from exc


@cache
def _certificates() -> ssl.SSLContext:
    """Read once, for it takes longer (20 ms) than to ask the clock, which is asked many times a run."""
    import httpx

    return httpx.create_ssl_context()


def _in_time(run: steps.Run) -> steps.GoesOn:
    return lambda: time.monotonic() < run.until


def _day_before(path: str, at: datetime) -> date:
    """The day before the one that an object's path names; before now, where it names none."""
    named = re.search(r"/date=(\d{4}-\d\d-\d\d)/", path)
    return (date.fromisoformat(named[1]) if named else at.date()) - timedelta(days=1)


def _did(run: steps.Run, stages: Sequence[Stage]) -> tuple[steps.Done, float, BaseException | None]:
    """Do the stages in turn: what was done, how many seconds it took, and what ended them."""
    done, began_s = steps.Done(), time.monotonic()
    failure = _failure_of(run, done, stages)
    return done, time.monotonic() - began_s, failure


def _failure_of(run: steps.Run, done: steps.Done, stages: Sequence[Stage]) -> BaseException | None:
    """Do the stages in turn; return what ended them, or what fetching held back. Ctrl-C is no less recorded."""
    try:
        for stage in stages:
            stage(run, done)
    except BaseException as exc:
        return KeyboardInterrupt() if was_interrupted(exc) else exc
    return (done.ingested.failure or steps.unusable(done)) if done.ingested else None


def _report(
    run: steps.Run,
    done: steps.Done,
    ended_at: datetime,
    lasted_s: float,
    failure: BaseException | None,
) -> RunReport:
    fetched = done.ingested or Ingested()
    notes = list(fetched.notes)
    notes += [f"{path} is damaged and was left out: restore it from a copy" for path in done.damaged]
    return RunReport(
        run=run.name,
        command=run.command,
        outcome=type(failure).__name__ if failure else "ok",
        began_at=run.began_at,
        ended_at=ended_at,
        lasted_s=round(lasted_s, 3),
        plan=run.plan,
        calls=fetched.calls,
        retries=fetched.retries,
        credits=fetched.credits,
        answers=fetched.answers,
        waited_s=round(fetched.waited_s, 3),
        objects=list(fetched.objects),
        rows=done.rows,
        rejects=done.rejects,
        versions=done.versions,
        gold={made.table: f"{made.how}: {made.why}" for made in done.made},
        missing=[f"{coin} ({endpoint})" for coin, endpoint in fetched.missing],
        refused=[each._asdict() for each in fetched.refused],
        unavailable=[steps.asdict_of(each) for each in fetched.unavailable],
        notes=notes,
        exports=done.exports,
        left=[*done.left, *([f"{fetched.left} calls"] if fetched.left else [])],
        damaged=done.damaged,
        failure=str(failure) if failure else None,
    )
