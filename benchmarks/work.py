"""The pieces of work that are measured, each in a process of its own: `python work.py NAME FOLDER [ARGUMENT…]`.

A piece prepares what it needs and returns what the clock is told of. The process prints wall and CPU seconds of that,
and its own peak of memory, as JSON, with what the work itself has to tell. Imports are done before the clock starts.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb

from coinlake import catalog, contract, fill, pipeline
from coinlake.answer import Answer, pack, unpack
from coinlake.bronze.call import market_chart
from coinlake.engine import engine
from coinlake.gold import analyze as analysis
from coinlake.gold.analyze import Definition, analyze
from coinlake.lake import Lake
from coinlake.progress import silent
from coinlake.query import query
from coinlake.settings import load
from coinlake.silver.clean import clean
from coinlake.table import Table
from coinlake.upkeep import compact
from coinlake.wiring import workspace

SOURCES = ("coingecko",)
NOW = datetime(2026, 1, 1, 0, 45, tzinfo=UTC)
"""The moment at which the lakes were filled."""
TABLES = ("daily", "indicators", "signals", "market")
SCRIPTS = ("daily", "indicators")
"""The tables that a script makes."""
COMPACTED_EVERY = 30

Timed = Callable[[], Any]
"""What the clock is told of. It returns nothing, what there is to tell, or what is to be done after the clock."""


# Lakes ---------------------------------------------------------------------------------------------------------------


def lake_at(path: Path) -> Lake:
    """A lake of the benchmark."""
    return Lake.at(str(path))


def cloned(path: Path, to: Path) -> Lake:
    """The same lake elsewhere: files are shared, for nobody changes one."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(path, to, copy_function=os.link)
    return lake_at(to)


def make(lake: Lake, names: tuple[str, ...], anew: bool = False) -> dict[str, tuple[str, float]]:
    """Bring some gold tables up to date as a run does, or make them anew; how each was made, in how many seconds."""
    memory = load({}, os.environ, Path("/")).settings.memory
    found, runs_on = {}, engine("duckdb")
    with lake.as_it_stands(*pipeline.looked_at()):
        for definition in _definitions(names):
            began = time.perf_counter()
            made = analyze(lake, definition, runs_on, SOURCES, anew, memory)
            found[made.table] = (made.how, round(time.perf_counter() - began, 4))
    return found


def _definitions(names: tuple[str, ...]) -> list[Definition]:
    wanted = {f"gold.{name}" for name in names}
    return [each for each in pipeline.definitions(SOURCES) if each.table.name in wanted]


def append(lake: Lake, name: str, select: str) -> None:
    """Append observations that are made of those there are, under the name of a bronze object."""
    con = duckdb.connect()
    con.execute("set TimeZone = 'UTC'")
    prices = catalog.table("silver.prices")
    lake.attach(con, prices, "prices")
    lake.append(prices, con.sql(f"select * replace ('{name}' as bronze_object) from ({select})"), [name])


def one_more_day(lake: Lake, number: int = 1) -> None:
    """The finished day that follows the newest."""
    append(
        lake,
        f"more/{number:04d}",
        "select * replace (observed_at + interval 1 day as observed_at, fetched_at + interval 1 day as fetched_at, "
        "price_usd * (1 + 0.05 * sin(line + epoch(observed_at) / 86400)) as price_usd, '' as flags) from prices "
        f"where year(observed_at) >= {NOW.year} and observed_at = (select max(observed_at) from prices)",
    )


def correction(lake: Lake) -> None:
    """Another price of one coin, not bitcoin, for a day in the middle of the history."""
    append(
        lake,
        "corrected/0001",
        "with coin as (select coin_id, quantile_disc(observed_at, 0.5) as moment from prices "
        "where coin_id not like '%bitcoin' group by 1 order by count(*) desc, coin_id limit 1) "
        "select * replace (price_usd * 1.01 as price_usd, fetched_at + interval 1 day as fetched_at) "
        "from prices where coin_id = (select coin_id from coin) and observed_at = (select moment from coin)",
    )


def prepare(folder: Path, coins: str, years: str, *states: str) -> Timed:
    """A lake of daily prices with its gold (`done`), and the same with news in silver: `one-more`, `corrected`.

    The market list is left out, so that whoever reads silver.prices alone can know all of it.
    """

    def fill_it() -> dict[str, Any]:
        lake = lake_at(folder / "done")
        given = {"lake": str(folder / "done"), "now": f"{NOW:%Y-%m-%dT%H:%M:%SZ}"}
        fill.into_silver(
            workspace(load(given, {}, Path("/")).settings, silent), fill.Bucket(int(coins), int(years) * 365)
        )
        lake.restart(catalog.table("silver.markets"))
        make(lake, TABLES)
        for state in states:
            new = cloned(folder / "done", folder / state)
            {"one-more": one_more_day, "corrected": correction}[state](new)
        return {"rows": lake.rows(catalog.table("gold.daily")), "prices": lake.rows(catalog.table("silver.prices"))}

    return fill_it


# Ours ----------------------------------------------------------------------------------------------------------------


def _loaded() -> None:
    """What is imported when it is first needed is there when the clock starts, as it is with a script."""
    importlib.import_module("talib")
    engine("duckdb").scan("select 1")
    catalog.entries()


def rebuild(folder: Path, state: str, *names: str) -> Timed:
    """Gold tables of a lake, made anew."""
    _loaded()
    lake = cloned(folder / state, folder / f"{state}-rebuilt")
    return lambda: make(lake, names, anew=True)


def update(folder: Path, state: str, *names: str) -> Timed:
    """Gold tables of a lake, brought up to date."""
    _loaded()
    lake = cloned(folder / state, folder / f"{state}-updated")

    def work() -> Mapping[str, Any]:
        how = make(lake, names)
        assert {each for each, _ in how.values()} == {"updated"}, how
        return how

    return work


def stages(folder: Path) -> Timed:
    """Where the time of a rebuild goes: seconds of making the rows, of checking them, and of what is left, writing."""
    _loaded()
    lake = cloned(folder / "done", folder / "done-rebuilt")

    def work() -> dict[str, dict[str, float]]:
        found = {}
        for definition in _definitions(SCRIPTS):
            moments = [time.perf_counter()]
            rows = analysis.make(lake, definition, engine("duckdb"), SOURCES)
            moments.append(time.perf_counter())
            contract.kept(duckdb.connect(), definition.table, rows, "rows_kept")
            moments.append(time.perf_counter())
            analyze(lake, definition, engine("duckdb"), SOURCES, anew=True, memory=2**40)
            moments.append(time.perf_counter())
            makes, checks, whole = (b - a for a, b in pairwise(moments))
            writes = max(whole - makes - checks, 0.0)
            found[definition.table.name] = {"made": makes, "checked": checks, "written": writes}
        return found

    return work


def daily_runs(folder: Path, days: str) -> Timed:
    """One day after the other, compacted every 30 days: seconds of each; how many files there are at each compaction;
    and, when all is done, what was known at the end of some of the days.
    """
    _loaded()
    lake = cloned(folder / "done", folder / "daily-runs")
    tables = [catalog.table(name) for name in ("silver.prices", *(f"gold.{name}" for name in TABLES))]
    newest = lake.newest_day(catalog.table("gold.daily"))

    def work() -> Callable[[], dict[str, Any]]:
        runs, upkeep, files = [], [], []
        for number in range(1, int(days) + 1):
            began = time.perf_counter()
            one_more_day(lake, number)
            made = time.perf_counter()
            make(lake, TABLES)
            runs.append((round(made - began, 4), round(time.perf_counter() - made, 4)))
            if number % COMPACTED_EVERY == 0:
                began = time.perf_counter()
                compact(lake, tables)
                upkeep.append(round(time.perf_counter() - began, 4))
                files.append({table.name: _files(lake, table) for table in tables})
        found = {"silver_s": [s for s, _ in runs], "gold_s": [g for _, g in runs], "compacting_s": upkeep}
        return lambda: {**found, "files": files, "known": _known(lake, newest, int(days))}

    return work


def _files(lake: Lake, table: Table) -> int:
    """Data files of a table's newest version."""
    delta = lake.reading(table)
    return len(delta.file_uris()) if delta else 0


def _known(lake: Lake, newest: date | None, days: int) -> dict[str, Any]:
    """Asked as of the end of the first day, of every thirtieth, and of the last: whether that day was the newest, and
    how many seconds the answers took.
    """
    assert newest
    asked = sorted({1, *range(COMPACTED_EVERY, days + 1, COMPACTED_EVERY), days})
    seconds = []
    for number in asked:
        began = time.perf_counter()
        sql = "select max(day), count(*) from gold.daily where coin_id = 'sim-bitcoin'"
        ((found, rows),) = query(lake, sql, SOURCES, NOW + timedelta(days=number)).fetchall()
        assert found == newest + timedelta(days=number) and rows >= number, (number, found, rows)
        seconds.append(round(time.perf_counter() - began, 4))
    return {"days": asked, "seconds": seconds}


def ask_coin(folder: Path) -> Timed:
    """A year of one coin, by `coinlake query`."""
    return lambda: _told(query(lake_at(folder / "done"), coin_sql("gold.daily", "gold.indicators"), SOURCES))


def ask_as_of(folder: Path) -> Timed:
    """One coin's days as they were known before a correction, by `coinlake query --as-of`."""
    sql = f"select coin_id, day, close_usd from gold.daily where coin_id = '{a_coin(folder)}' order by day"
    return lambda: _told(query(lake_at(folder / "corrected"), sql, SOURCES, NOW))


def coin_sql(daily: str, indicators: str) -> str:
    """A year of the coin with bitcoin's name."""
    return (
        f"select day, close_usd, sma_50d, rsi_14d, drawdown, volume_24h_usd from {daily} "
        f"join {indicators} using (coin_id, day, close_usd) "
        f"where coin_id = 'sim-bitcoin' and day >= date '{NOW.date() - timedelta(days=365)}' order by day"
    )


def a_coin(folder: Path) -> str:
    """The coin that is corrected."""
    con = duckdb.connect()
    lake_at(folder / "corrected").attach(con, catalog.table("silver.prices"), "prices")
    ((coin,),) = con.sql("select coin_id from prices where bronze_object = 'corrected/0001'").fetchall()
    return str(coin)


def _told(rows: Any) -> dict[str, Any]:
    found = rows.fetchall()
    return {"rows": len(found), "first": str(found[0]), "last": str(found[-1])}


# Rivals --------------------------------------------------------------------------------------------------------------


def rival(folder: Path, name: str, state: str, *more: str) -> Timed:
    """One of `rivals/`, on a lake; what it writes lies in a folder of its name."""
    out = folder / f"{state}-{name}"
    out.mkdir(exist_ok=True)
    timed: Timed = importlib.import_module(f"rivals.{name}").run(folder / state, out, *more)
    return timed


def land(folder: Path, *states: str) -> Timed:
    """What the usual pipeline reads: a file a day."""
    from rivals import usual_pipeline

    return lambda: [usual_pipeline.land(folder / state, folder / f"{state}-landed") for state in states] and None


def ask_coin_of_parquet(folder: Path) -> Timed:
    """The same year of DuckDB alone, over the tables as it copied them."""
    copied = (f"'{folder / 'done-duckdb_copy' / name}.parquet'" for name in SCRIPTS)
    return lambda: _told(duckdb.connect().sql(coin_sql(*copied)))


def ask_as_of_of_polars(folder: Path) -> Timed:
    """The same days by a polars script that is made for this question."""
    import polars as pl
    from rivals import polars_script

    coin = a_coin(folder)

    def work() -> dict[str, Any]:
        known = polars_script.scan(folder / "corrected").filter(pl.col("coin_id") == coin, pl.col("fetched_at") <= NOW)
        found = polars_script.days_of(known).select("coin_id", "day", "close_usd").sort("day").collect().rows()
        return {"rows": len(found), "first": str(found[0]), "last": str(found[-1])}

    return work


# Cleaning and runs ---------------------------------------------------------------------------------------------------


COINS, DAYS = 50, 364
BEGAN_AT = datetime(2022, 2, 1, 0, 45, tzinfo=UTC)


def history(coin: str, days: int, at: datetime) -> Answer:
    """A daily chart of a random walk, with the point "now" at its end."""
    random_ = random.Random(f"{coin} {days}")
    midnight = at.replace(hour=0, minute=0)
    moments = [*(midnight - timedelta(days=ago) for ago in range(days - 1, -1, -1)), at]
    price, prices = 100.0, []
    for moment in moments:
        price *= 1 + random_.gauss(0, 0.03)
        prices.append([int(moment.timestamp() * 1000), price])
    series = {
        name: [[ms, value * scale] for ms, value in prices]
        for name, scale in (("prices", 1), ("market_caps", 1e7), ("total_volumes", 1e5))
    }
    call = market_chart(coin, days, "daily", "")
    body = json.dumps(series, separators=(",", ":")).encode()
    return Answer("coingecko", call.endpoint, call.path, call.params, 200, {}, at, at, 1, body)


def answers(folder: Path) -> Timed:
    """Bronze of one year (`bronze-only`); the same, cleaned and analysed (`done`); its bodies alone."""

    def work() -> dict[str, Any]:
        lake = lake_at(folder / "bronze-only")
        found = [history(f"coin-{number}", DAYS, BEGAN_AT) for number in range(COINS)]
        path = f"coingecko/coins_market_chart/date={BEGAN_AT:%Y-%m-%d}/{BEGAN_AT:%Y%m%dT%H%M%SZ}-bench-0001.jsonl.gz"
        lake.objects.put(path, pack(found))
        _whole_job(cloned(folder / "bronze-only", folder / "done"))
        (folder / "bodies.json").write_bytes(b"\n".join(each.body for each in found))
        return {"answers": COINS, "megabytes": sum(len(each.body) for each in found) / 1e6}

    return work


def _whole_job(lake: Lake) -> None:
    done, workers = pipeline.Done(), engine("duckdb")
    pipeline.clean_objects(lake, workers, pipeline.pending(lake), done, silent)
    pipeline.analyze_tables(lake, workers, SOURCES, done, silent)


def whole_job(folder: Path, state: str) -> Timed:
    """Clean and analyze, all tables: a run without the network."""
    _loaded()
    lake = cloned(folder / state, folder / "run")
    return lambda: _whole_job(lake)


def clean_answers(folder: Path) -> Timed:
    """Bronze to rows and rejects, nothing written."""
    lake = lake_at(folder / "bronze-only")
    (found,) = lake.objects.list()
    workers, readers = engine("duckdb"), catalog.readers()

    def work() -> dict[str, Any]:
        lines = [(found.path, line, answer) for line, answer in enumerate(unpack(lake.objects.get(found.path)), 1)]
        observed = clean(lines, readers, workers)
        return {"rows": sum(each.rows.count("*").fetchall()[0][0] for each in observed)}

    return work


def read_json(folder: Path) -> Timed:
    """The bodies alone, read and unnested by DuckDB without looking at what is in them."""
    con = duckdb.connect()

    def work() -> dict[str, Any]:
        con.execute(
            "create table read as select unnest(prices) as price, unnest(market_caps) as cap, "
            f"unnest(total_volumes) as volume from read_json('{folder}/bodies.json', format = 'newline_delimited', "
            "columns = {prices: 'DOUBLE[][]', market_caps: 'DOUBLE[][]', total_volumes: 'DOUBLE[][]'})"
        )
        return {"rows": con.sql("select count(*) from read").fetchall()[0][0]}

    return work


# The clock -----------------------------------------------------------------------------------------------------------


def peak_mib() -> float:
    """The most memory that this process has had."""
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024


def clocked(timed: Timed) -> dict[str, Any]:
    """Seconds and memory of a piece of work, and what it has to tell."""
    wall, cpu = time.perf_counter(), time.process_time()
    told = timed()
    found = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu, "peak_mib": peak_mib()}
    if callable(told):
        told = told()
    return {**found, "told": told}


WORK: dict[str, Callable[..., Timed]] = {
    each.__name__: each
    for each in (
        prepare, rebuild, update, stages, daily_runs, ask_coin, ask_as_of, rival, land, ask_coin_of_parquet,
        ask_as_of_of_polars, answers, whole_job, clean_answers, read_json,
    )
}  # fmt: skip

if __name__ == "__main__":
    print(json.dumps(clocked(WORK[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:]))))
