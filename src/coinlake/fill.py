"""Data by the bucketful: a lake filled from the simulated market itself, without HTTP, for practice and for load.

Bronze is filled with the very answers that `ingest` would have fetched. Silver is filled with the rows that cleaning
these answers would have given, bit for bit, but the prices are taken from the market in blocks of coins, so that ten
years of thousands of coins take a minute. The coins are a market's that never die (`lasting`), so that every one has
its years; there is no dirt in them unless it is asked for.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import numpy as np
from arro3.core import Array, DataType, Table
from numpy.typing import NDArray

from coinlake import catalog
from coinlake import pipeline as steps
from coinlake.answer import Answer, to_text
from coinlake.bronze.call import MARKET_CHART, SOURCE, Call
from coinlake.bronze.ingest import ingest
from coinlake.bronze.kind import HEADER, demand_room_for, mark_as_simulated
from coinlake.bronze.plan import DATASETS, Known, Wish, last_finished_day, plan
from coinlake.duck import bring, connect, quoted
from coinlake.errors import CoinlakeError, ConfigError
from coinlake.lake import Lake
from coinlake.progress import Progress, Report
from coinlake.screen import duration
from coinlake.silver import prices, rejects, runs
from coinlake.simulator.chance import Floats, Ints
from coinlake.simulator.door import Options, simulated
from coinlake.simulator.market import Points
from coinlake.simulator.paths import DAY_MS
from coinlake.simulator.printing import text
from coinlake.simulator.router import Router
from coinlake.simulator.traps import none
from coinlake.table import Table as Promise
from coinlake.wiring import RunReport, Workspace

STEP = "fill"
FILLED = "filled-by-the-simulator"
"""What the bronze object of a row begins with that no bronze object is behind."""
BLOCK_ROWS = 800_000
"""Most rows of prices that are made, checked and committed at once: in about a gigabyte."""
DAYS_A_YEAR = 365
FLAGS = [",".join(name for bit, name in enumerate(("zero", "spike", "stale")) if code >> bit & 1) for code in range(8)]
"""What a daily point can be flagged with."""

_PLAN = "analyst"
"""A plan of the simulator's that gives the whole history."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Bucket:
    """How much of which market: coins, finished UTC days up to now, seed, and the dirt, as rates of traps by name."""

    coins: int
    days: int
    seed: int = 7
    traps: Mapping[str, float] = field(default_factory=dict)


def into_bronze(work: Workspace, bucket: Bucket) -> RunReport:
    """Put the answers into bronze that `ingest` would have fetched: market list, histories, whole market, coins.

    Raises:
        ConfigError: the lake holds something already, or there is no such market.
    """
    demand_empty(work.lake)

    def pour(run: steps.Run, done: steps.Done) -> None:
        source = Direct(_service(bucket, run.began_at), run.began_at)
        wish = Wish(DATASETS, top=bucket.coins, days=bucket.days)
        report = _told_of(work.report, run)
        fetched = ingest(
            source, work.lake, wish, Known(), run.name, source.at, lambda: source.at, time.monotonic, report
        )
        done.ingested = replace(fetched, credits=0)

    return work.recorded("simulate --into-bronze", pour)


def into_silver(work: Workspace, bucket: Bucket, block_rows: int = BLOCK_ROWS) -> RunReport:
    """Put the rows into silver that cleaning these answers would have given; see `into_bronze`.

    There is nothing in bronze to rebuild them from. Memory grows with `block_rows`, hardly with the coins.

    Raises:
        ConfigError: the lake holds something already, dirt is asked for, or there is no such market.
    """
    if bucket.traps:
        raise ConfigError("silver is filled without dirt: leave out --traps, or fill bronze and run `coinlake clean`")
    demand_empty(work.lake)

    def pour(run: steps.Run, done: steps.Done) -> None:
        router, report = _service(bucket, run.began_at), _told_of(work.report, run)
        mark_as_simulated(work.lake, router.service.market.name)
        _pour_lists(work, router, bucket, run.began_at, done)
        _pour_prices(work.lake, router, bucket, run.began_at, done, report, block_rows)

    return work.recorded("simulate --into-silver", pour)


def demand_empty(lake: Lake) -> None:
    """Refuse a lake that something would be mixed into.

    Raises:
        ConfigError: it holds a real market, rows in silver, or answers in bronze.
    """
    demand_room_for(lake, "")
    observations = [each for each in catalog.layer("silver") if each not in (runs.TABLE, rejects.TABLE)]
    if full := [each.name for each in observations if _holds_rows(lake, each)]:
        raise ConfigError(f"{lake.silver} already holds rows of {full[0]}; set COINLAKE_LAKE to an empty place")
    if steps.landed(lake):
        raise ConfigError(f"{lake.bronze} already holds answers; set COINLAKE_LAKE to an empty place")


def _holds_rows(lake: Lake, table: Promise) -> bool:
    delta = lake.open(table)
    return delta is not None and bool(delta.file_uris())


def _told_of(report: Report, run: steps.Run) -> Report:
    """Progress of a step of its own: no service sets its pace."""
    return lambda progress: report(replace(progress, step=STEP, run=run.name))


# The service, asked without a network --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reply:
    """What came of a call, at the first try; see `coinlake.bronze.ingest.Reply`."""

    answer: Answer
    failure: CoinlakeError | None = None
    stops: bool = False
    calls: int = 1
    retries: int = 0
    waited_s: float = 0.0


@dataclass(frozen=True)
class Direct:
    """A source that asks the simulated service itself; every answer is as of one moment."""

    router: Router
    at: datetime

    def fetch(self, call: Call) -> Reply:
        """The answer that would have come over HTTP, its body to the byte."""
        asked = self.router.asked(call.path, call.params, _ms(self.at))
        body = text(self.router.answer(asked)).encode()
        headers = {HEADER: self.router.service.market.name}
        return Reply(Answer(SOURCE, call.endpoint, call.path, call.params, 200, headers, self.at, self.at, 1, body))


def _service(bucket: Bucket, at: datetime) -> Router:
    options = Options(
        coins=bucket.coins,
        seed=bucket.seed,
        plan=_PLAN,
        now=to_text(at),
        speed=0,
        traps=none() | dict(bucket.traps),
        lasting=True,
    )
    return simulated(options).router


def _ms(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)


# Silver --------------------------------------------------------------------------------------------------------------


def _pour_lists(work: Workspace, router: Router, bucket: Bucket, at: datetime, done: steps.Done) -> None:
    """Market list, whole market and coins: few enough to be asked for and cleaned as they would have been."""
    source = Direct(router, at)
    wish = Wish(tuple(name for name in DATASETS if name != "history"), top=bucket.coins)
    answers: dict[str, list[Answer]] = {}
    for call in plan(wish, Known(), at).calls:
        answers.setdefault(_object(call.endpoint, bucket, at, 1), []).append(source.fetch(call).answer)
    steps.clean_answers(work.lake, work.engine, answers, done)


def _pour_prices(
    lake: Lake, router: Router, bucket: Bucket, at: datetime, done: steps.Done, report: Report, block_rows: int
) -> None:
    service, table = router.service, prices.TABLE
    by_id = sorted((service.names.id(coin), coin) for coin in service.market.active(_ms(at)).tolist())
    midnights = _midnights(at, bucket.days, int(service.market.universe.born_ms[[coin for _, coin in by_id]].min()))
    size = max(1, block_rows // len(midnights))
    for number, start in enumerate(range(0, len(by_id), size), start=1):
        report(Progress(STEP, start, len(by_id), f"coins, {done.rows.get(table.name, 0):,} rows"))
        ids, coins = zip(*by_id[start : start + size], strict=True)
        points = service.points(np.array(coins), midnights)
        path = _object(MARKET_CHART, bucket, at, number)
        added = lake.append(table, _rows(points, ids, midnights, at, path), [path])
        done.rows[table.name] = done.rows.get(table.name, 0) + added
    done.versions[table.name] = lake.version(table)
    report(Progress(STEP, len(by_id), len(by_id)))


def _object(endpoint: str, bucket: Bucket, at: datetime, number: int) -> str:
    """What stands for the bronze object that an endpoint's answers would lie in."""
    return f"{FILLED}/{endpoint}/date={at:%Y-%m-%d}/seed={bucket.seed}-{number:04d}"


def _midnights(at: datetime, days: int, first_ms: int) -> Ints:
    """The closes of the last finished days, in milliseconds; none from before a first moment."""
    last = datetime.combine(last_finished_day(at) + timedelta(days=1), datetime.min.time(), UTC)
    midnights = _ms(last) - np.arange(days - 1, -1, -1, dtype=np.int64) * DAY_MS
    return midnights[midnights >= first_ms]


def _rows(points: Points, ids: Sequence[str], midnights: Ints, at: datetime, path: str) -> duckdb.DuckDBPyRelation:
    """The rows of `silver.prices` that charts with these points become; a coin's line is its place among `ids`."""
    coin, day = np.nonzero(np.isfinite(points.price_usd))
    values = dict(zip(prices.SERIES.values(), _known(points), strict=True))
    con = connect()
    _bring(
        con,
        "points",
        place=coin,
        at_us=midnights[day] * 1000,
        flagged=flagged(points)[coin, day],
        **{name: each[coin, day] for name, each in values.items()},
    )
    _bring(con, "coins", place=np.arange(len(ids)), coin_id=Array(list(ids), type=DataType.utf8()))
    finite = ", ".join(f"case when isfinite({name}) then {name} end as {name}" for name in values)
    return con.sql(
        f"select {quoted(SOURCE)} as source, coin_id, 'daily' as granularity, make_timestamptz(at_us) as observed_at, "
        f"{finite}, {FLAGS}[flagged + 1] as flags, make_timestamptz({(at - _EPOCH) // timedelta.resolution}) as "
        f"fetched_at, {quoted(path)} as bronze_object, place + 1 as line from points join coins using (place)"
    )


def _bring(con: duckdb.DuckDBPyConnection, name: str, **columns: Any) -> None:
    """Make a table of Arrow's or numpy's arrays."""
    given = {
        column: Array.from_numpy(np.ascontiguousarray(each)) if isinstance(each, np.ndarray) else each
        for column, each in columns.items()
    }
    bring(con, Table.from_pydict(given), name)


def _known(points: Points) -> tuple[Floats, Floats, Floats]:
    """Prices, caps and volumes; NaN for a price or a cap of zero, which means unknown."""
    price, cap = (np.where(values == 0, np.nan, values) for values in (points.price_usd, points.cap_usd))
    return price, cap, points.volume_24h_usd


def flagged(points: Points) -> NDArray[np.int8]:
    """Places in `FLAGS`, [coins, days]: what cleaning finds odd about daily points, each beside its neighbours."""
    spikes, repeats = np.zeros(points.price_usd.shape, dtype=bool), np.ones(points.price_usd.shape, dtype=bool)
    for values in _known(points):
        nothing = np.full((len(values), 1), np.nan)
        before, after = np.hstack([nothing, values[:, :-1]]), np.hstack([values[:, 1:], nothing])
        spikes |= (values > before * prices.SPIKE) & (values > after * prices.SPIKE)
        spikes |= (values * prices.SPIKE < before) & (values * prices.SPIKE < after)
        repeats &= values == before
    found: NDArray[np.int8] = (points.price_usd == 0) + np.int8(2) * spikes + np.int8(4) * repeats
    return found


def told(report: RunReport, lake: Lake) -> str:
    """What was filled, in a line."""
    after = f"after {duration(report.lasted_s)}; nothing of it is real"
    if report.objects:
        return f"{report.answers:,} answers in {len(report.objects):,} objects in {lake.bronze} {after}"
    rows = ", ".join(f"{count:,} of {name}" for name, count in report.rows.items())
    return f"{sum(report.rows.values()):,} rows ({rows}) in {lake.silver} {after}"
