"""How the lake is: what it holds, how fresh it is, what is wrong with it and how to mend it. Looks only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from coinlake import catalog, upkeep
from coinlake.bronze.kind import is_simulated
from coinlake.duck import glance
from coinlake.errors import LakeError
from coinlake.lake import Lake
from coinlake.pipeline import answers_of, behind, endpoint_of, pending
from coinlake.silver import rejects
from coinlake.survey import RUNS, all_runs, credits, refused
from coinlake.table import Table, Type

LAST_RUNS = 5
EMPTY_HOURS = 1e6
"""Age of gold where the lake knows of nothing at all: more than a century, so that whoever waits for 26 hours hears."""
NEVER_ENDED = "never ended"
"""The outcome, for a person, of a run that was killed or goes on."""
_SHOWN = ("run", "command", "outcome", "began_at", "ended_at", "credits", "message")
STALE_AFTER = timedelta(hours=26)
"""Age of the last finished day from which a daily lake is behind."""


@dataclass(frozen=True)
class Finding:
    """Something about the lake: what, how bad (`ok`, `note`, `warning`, `error`), and how to mend it."""

    what: str
    severity: str
    mend: str = ""


def tables(lake: Lake) -> list[dict[str, Any]]:
    """Every table: grain, rows, version (-1 where it was never written), newest moment or day."""
    return [_about(lake, entry.table) for entry in catalog.entries().values()]


def _about(lake: Lake, table: Table) -> dict[str, Any]:
    if table.dated_by:
        newest: Any = lake.newest(table)
    else:
        dated = next(name for name in ("fetched_at", "priced_at", "until", "day") if name in table.columns)
        newest = _one(lake, table, f"select max({_naive(table, dated)}) from looked_at")[0]
    return {
        "table": table.name,
        "rows": lake.rows(table),
        "version": lake.version(table),
        "newest": newest,
        "grain": table.grain,
    }


def _naive(table: Table, column: str) -> str:
    return f"{column}::TIMESTAMP" if table.columns[column].type is Type.TIMESTAMP else column


def _one(lake: Lake, table: Table, sql: str) -> Any:
    return _all(lake, table, sql)[0]


def _all(lake: Lake, table: Table, sql: str) -> list[Any]:
    con = glance()
    lake.attach(con, table, "looked_at")
    return con.sql(sql).fetchall()


def status(lake: Lake, now: datetime, monthly_credits: int) -> dict[str, Any]:
    """Freshness, rows, gaps, rejects, last runs, and credits used this month; each table as it is when first looked at,
    which is once.
    """
    with lake.as_it_stands():
        return _status(lake, now, monthly_credits)


def _status(lake: Lake, now: datetime, monthly_credits: int) -> dict[str, Any]:
    waiting = pending(lake)
    runs = all_runs(lake, waiting)
    daily = catalog.table("gold.daily")
    last_day = lake.newest_day(daily)
    by_rule = _all(
        lake, catalog.table("silver.rejects"), "select rule, count(*) from looked_at group by all order by 1"
    )
    used = credits(lake, runs, lambda began: (began.year, began.month) == (now.year, now.month))
    return {
        "lake": {"bronze": lake.bronze, "silver": lake.silver, "gold": lake.gold},
        "now": now,
        "market": "simulated" if is_simulated(lake.objects) else "real",
        "last_finished_day": last_day,
        "hours_behind": _hours_behind(last_day, _by_its_clock(lake, runs, now)),
        "tables": tables(lake),
        "gaps": gaps(lake),
        "not_asked_for": refused(runs, now),
        "rejects": dict(by_rule),
        "pending_objects": sum(not path.startswith(RUNS) for path in waiting),
        "runs": [_shown(run) for run in runs[: -LAST_RUNS - 1 : -1]],
        "credits_this_month": {"used": used, "budget": monthly_credits or None},
    }


def _shown(run: Mapping[str, Any]) -> dict[str, Any]:
    return {name: run[name] for name in _SHOWN} | {"outcome": run["outcome"] or NEVER_ENDED}


def age(lake: Lake, now: datetime) -> dict[str, Any]:
    """The last finished day in gold (null where gold is empty), how old gold is in hours, and if that is long.

    The age is always a number, for an alert goes by it: hours since the last finished day ended; where gold is empty,
    since the first run that silver knows of began; where there is none, `EMPTY_HOURS`. An empty gold is stale.
    """
    last_day = lake.newest_day(catalog.table("gold.daily"))
    hours = _hours_behind(last_day, now)
    is_stale = hours is None or hours > STALE_AFTER.total_seconds() / 3600
    if hours is None:
        first = _one(lake, catalog.table("silver.runs"), "select epoch(min(began_at)) from looked_at")[0]
        hours = EMPTY_HOURS if first is None else round((now.timestamp() - first) / 3600, 1)
    return {"last_finished_day": last_day, "gold_age_hours": hours, "is_stale": is_stale}


def _hours_behind(last_day: date | None, now: datetime) -> float | None:
    """Hours since the last finished day ended."""
    if last_day is None:
        return None
    ended = datetime(last_day.year, last_day.month, last_day.day, tzinfo=UTC) + timedelta(days=1)
    return round((now - ended).total_seconds() / 3600, 1)


def _by_its_clock(lake: Lake, runs: Iterable[Mapping[str, Any]], now: datetime) -> datetime:
    """Now, or when its last run began where that is later: a simulated market may be ahead of the world."""
    began: list[datetime] = [run["began_at"] for run in runs]
    return max(now, *began) if began and is_simulated(lake.objects) else now


def gaps(lake: Lake) -> list[dict[str, Any]]:
    """Days missing inside a coin's history in `gold.daily`, as ranges.

    The coins whose days are fewer than their span are found first: to put everyone's days in order takes long.
    """
    sql = (
        "with lacking as (select coin_id from looked_at group by 1 having max(day) - min(day) + 1 > count(*)), "
        "followed as (select coin_id, day, lead(day) over (partition by coin_id order by day) as next_day "
        "from looked_at where coin_id in (from lacking)) "
        "select coin_id, day + 1 as first_day, next_day - 1 as last_day, next_day - day - 1 as days from followed "
        "where next_day - day > 1 order by 1, 2"
    )
    names = ("coin_id", "first_day", "last_day", "days")
    return [dict(zip(names, row, strict=True)) for row in _all(lake, catalog.table("gold.daily"), sql)]


def examine(lake: Lake, now: datetime) -> list[Finding]:
    """What is wrong with the lake and how to mend it; one finding `ok` where nothing is."""
    everything = [entry.table for entry in catalog.entries().values()]
    broken = {table: found for table in everything if (found := _broken(lake, table))}
    sound = [table for table in everything if table not in broken]
    found = [finding for each in broken.values() for finding in each]
    checks: tuple[Callable[[], list[Finding]], ...] = (
        lambda: _leftovers(lake, sound),
        lambda: _unended(lake),
        lambda: _pending(lake),
        lambda: _behind(lake),
        lambda: _damaged(lake),
        lambda: _stale(lake, now),
    )
    for check in checks:
        try:
            with lake.guarded():
                found += check()
        except LakeError as exc:
            if not broken:  # else it fails for what is told already, and answers when that is mended
                found.append(Finding(_said(exc), "error", "look at the root's permissions and space, then look again"))
    return found or [Finding("nothing is wrong", "ok")]


def _broken(lake: Lake, table: Table) -> list[Finding]:
    """What of a table cannot be read: its log, or data files that the log names. Every file's size is compared with the
    log's, and every row is read.
    """
    rebuild = f"`coinlake rebuild --layer {table.layer}`"
    try:
        wrong = lake.damage(table)
    except LakeError as exc:
        return [Finding(_said(exc), "error", f"restore {lake.uri(table)} from a copy, or remove it and run {rebuild}")]
    one = rebuild if table == rejects.TABLE else f"`coinlake rebuild --layer {table.layer} --tables {table.name}`"
    return [Finding(each, "error", f"run {one}, or restore the file from a copy") for each in wrong]


def _said(exc: LakeError) -> str:
    """The sentence without its advice to do what is being done."""
    return str(exc).removesuffix("; run `coinlake doctor`")


def _leftovers(lake: Lake, everything: list[Table]) -> list[Finding]:
    mend = "`coinlake tidy` removes it once it is older than keep_hours; nothing reads it meanwhile"
    return [Finding(f"{each.kind}: {each.path}", "note", mend) for each in upkeep.leftovers(lake, everything)]


def _unended(lake: Lake) -> list[Finding]:
    """Runs that never ended, but for those that a later one of the same command, which ended well, has made up for."""
    runs = all_runs(lake, pending(lake, RUNS))
    made_up = {run["command"]: run["began_at"] for run in runs if run["outcome"] == "ok"}
    return [
        Finding(
            f"run {run['run']} of {run['began_at']:%Y-%m-%d %H:%M} UTC {NEVER_ENDED}: it was killed, or goes on",
            "note",
            "if it was killed, run again: what is missing is fetched and nothing is done twice",
        )
        for run in runs
        if not run["ended_at"] and run["began_at"] >= made_up.get(run["command"], run["began_at"])
    ]


def _pending(lake: Lake) -> list[Finding]:
    waiting = sum(not path.startswith(RUNS) for path in pending(lake))
    return (
        [Finding(f"{waiting} bronze objects are not in silver", "warning", "run `coinlake clean`")] if waiting else []
    )


def _behind(lake: Lake) -> list[Finding]:
    return [
        Finding(f"{table} has not seen the newest of {source}", "note", "run `coinlake analyze`")
        for table, source in behind(lake)
    ]


def _damaged(lake: Lake) -> list[Finding]:
    """Bronze objects that do not give their answers back; every one is read."""
    found = []
    for each in lake.objects.list():
        if endpoint_of(each.path) is None:
            continue
        try:
            answers_of(each.path, lake.objects.get(each.path))
        except LakeError as exc:
            found.append(
                Finding(f"{each.path}: {exc}", "error", "restore the object from a copy, then `coinlake clean`")
            )
    return found


def _stale(lake: Lake, now: datetime) -> list[Finding]:
    last_day = lake.newest_day(catalog.table("gold.daily"))
    if last_day is None:
        return [Finding("gold.daily is empty", "note", "run `coinlake run`")]
    behind = _hours_behind(last_day, now)
    if behind is not None and behind > STALE_AFTER.total_seconds() / 3600:
        return [
            Finding(f"the last finished day is {last_day}, {behind:.0f} hours ago", "warning", "run `coinlake run`")
        ]
    return []
