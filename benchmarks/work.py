"""The pieces of work that are measured, each in a process of its own: `python work.py NAME FOLDER` prints seconds."""

from __future__ import annotations

import json
import random
import shutil
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from coinlake import catalog, pipeline
from coinlake.answer import Answer, pack, unpack
from coinlake.bronze.call import market_chart
from coinlake.engine import engine
from coinlake.lake import Lake
from coinlake.progress import silent
from coinlake.silver.clean import clean

COINS, DAYS = 50, 364
BEGAN_AT = datetime(2022, 2, 1, 0, 45, tzinfo=UTC)
SOURCES = ("coingecko",)


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


def _put(lake: Lake, days: int, at: datetime) -> None:
    answers = [history(f"coin-{number}", days, at) for number in range(COINS)]
    path = f"coingecko/coins_market_chart/date={at:%Y-%m-%d}/{at:%Y%m%dT%H%M%SZ}-bench-0001.jsonl.gz"
    lake.objects.put(path, pack(answers))


def _job(lake: Lake, anew: tuple[str, ...] = ()) -> None:
    done, workers = pipeline.Done(), engine("duckdb")
    pipeline.clean_objects(lake, workers, pipeline.pending(lake), done, silent)
    pipeline.analyze_tables(lake, workers, SOURCES, done, silent, anew)


def prepare(folder: Path) -> float:
    """Bronze of one year; the same, cleaned and analysed; that, with one more day in bronze."""
    _put(Lake.at(f"{folder}/bronze-only"), DAYS, BEGAN_AT)
    shutil.copytree(folder / "bronze-only", folder / "done")
    _job(Lake.at(f"{folder}/done"))
    shutil.copytree(folder / "done", folder / "one-more")
    lake = Lake.at(f"{folder}/one-more")
    _put(lake, 1, BEGAN_AT + timedelta(days=1))
    done = pipeline.Done()
    pipeline.clean_objects(lake, engine("duckdb"), pipeline.pending(lake), done, silent)
    (objects,) = Lake.at(f"{folder}/bronze-only").objects.list()
    answers = unpack(Lake.at(f"{folder}/bronze-only").objects.get(objects.path))
    (folder / "bodies.json").write_bytes(b"\n".join(answer.body for answer in answers))
    return 0.0


def clean_(folder: Path) -> float:
    """Bronze to rows and rejects, nothing written."""
    lake = Lake.at(f"{folder}/bronze-only")
    (found,) = lake.objects.list()
    workers = engine("duckdb")
    began = time.perf_counter()
    lines = [(found.path, line, answer) for line, answer in enumerate(unpack(lake.objects.get(found.path)), 1)]
    observed = clean(lines, catalog.readers(), workers)
    rows = sum(each.rows.count("*").fetchall()[0][0] for each in observed)
    lasted = time.perf_counter() - began
    assert rows == COINS * (DAYS + 1), rows
    return lasted


def read_json(folder: Path) -> float:
    """The bodies alone, read and unnested by DuckDB without looking at what is in them."""
    con = duckdb.connect()
    began = time.perf_counter()
    rows = con.sql(
        f"select count(*) from (select unnest(prices) from read_json('{folder}/bodies.json', "
        "format = 'newline_delimited', "
        "columns = {prices: 'DOUBLE[][]', market_caps: 'DOUBLE[][]', total_volumes: 'DOUBLE[][]'}))"
    ).fetchall()[0][0]
    lasted = time.perf_counter() - began
    assert rows == COINS * (DAYS + 1), rows
    return lasted


def _timed_on_a_copy(folder: Path, name: str, anew: tuple[str, ...] = ()) -> float:
    shutil.rmtree(folder / "copy", ignore_errors=True)
    shutil.copytree(folder / name, folder / "copy")
    lake = Lake.at(f"{folder}/copy")
    began = time.perf_counter()
    _job(lake, anew)
    return time.perf_counter() - began


WORK = {
    "prepare": prepare,
    "clean": clean_,
    "read_json": read_json,
    "one_more_day": lambda folder: _timed_on_a_copy(folder, "one-more"),
    "rebuild": lambda folder: _timed_on_a_copy(folder, "one-more", ("gold.daily", "gold.market_summary")),
    "nothing_to_do": lambda folder: _timed_on_a_copy(folder, "done"),
    "from_nothing": lambda folder: _timed_on_a_copy(folder, "bronze-only"),
}

if __name__ == "__main__":
    print(WORK[sys.argv[1]](Path(sys.argv[2])))
