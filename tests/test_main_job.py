"""The main job from outside: real histories in, a lake out, whatever the service, the clock or a signal does."""

from __future__ import annotations

import csv
import gzip
import json
import random
import shutil
import signal
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import talib

from coinlake.answer import to_moment
from coinlake.cli import main
from coinlake.engine import engine
from coinlake.lake import Lake
from coinlake.pipeline import Done, clean_objects, pending
from coinlake.progress import silent
from lakes import (
    Ended,
    Program,
    bronze_lines,
    bronze_paths,
    differences,
    opened,
    orphans,
    rows_twice,
    table_names,
    versions,
)
from once import once
from servers import Replay, Reply, Request, as_json, closed_port, replay, scripted
from strategies import EXAMPLES

pytestmark = pytest.mark.no_cover
"""Whole runs, most of them processes of their own: what is in them runs in the tests of its layer as well."""

NOW, LATER = "2022-02-01T00:45:00Z", "2022-02-03T00:45:00Z"
WHOLE = ("run", "--top", "25", "--days", "364")
SMALL = ("run", "--top", "5", "--days", "60")
QUICK = ("run", "--coins", "bitcoin,celo,eos", "--days", "30", "--datasets", "markets,history")
CALLS_OF_SMALL = 9
"""Of `SMALL` on an empty lake: one page by rank, the whole market, two lists of coins, five histories."""


def program(folder: Path, url: str, **settings: str) -> Program:
    folder.mkdir(parents=True, exist_ok=True)
    return Program(folder, {"now": NOW, "rate": "0", "lake": "data", "api_url": url, **settings})


def done(ended: Ended) -> Ended:
    assert ended.code == 0, ended.err
    return ended


Inside = Callable[..., Ended]


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Inside:
    """A program run in this process, as if begun in its folder: as good as one of its own, and faster."""

    def run(lake: Program, *words: str) -> Ended:
        with monkeypatch.context() as patch:
            patch.chdir(lake.folder)
            for name, value in lake.environ().items():
                patch.setenv(name, value)
            capsys.readouterr()
            with pytest.raises(SystemExit) as ended:
                main(list(words))
        return Ended(int(ended.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def service(shared: Path) -> Iterator[Replay]:
    """The replay, at a moment that stands still."""
    with replay(shared) as running:
        yield running


@dataclass(frozen=True)
class Grown:
    """A lake of 25 coins over three runs: the first, the same again, and one two days later.

    `before` is a copy from before the third. `asked` are the service's requests by path after each.
    """

    before: Program
    after: Program
    asked: Sequence[Mapping[str, int]]
    versions: Sequence[Mapping[str, int]]


@pytest.fixture(scope="session")
def grown(shared: Path, service: Replay, tmp_path_factory: pytest.TempPathFactory) -> Grown:
    folder = once(tmp_path_factory, "grown", partial(_grow, shared))
    seen = json.loads((folder / "seen.json").read_text())
    before, after = program(folder / "before", service.url), program(folder / "lake", service.url, now=LATER)
    return Grown(before, after, seen["asked"], seen["versions"])


def _grow(shared: Path, folder: Path) -> None:
    with replay(shared) as market:
        first = program(folder / "lake", market.url)
        asked, seen = [], []
        for _ in range(2):
            done(first(*WHOLE))
            asked.append(market.stats()["paths"])
            seen.append(versions(first.lake))
        first.copied(folder / "before")
        market.clock(LATER)
        done(first.but(now=LATER)(*WHOLE))
        asked.append(market.stats()["paths"])
        seen.append(versions(first.lake))
    (folder / "seen.json").write_text(json.dumps({"asked": asked, "versions": seen}))


@pytest.fixture(scope="session")
def unbroken(service: Replay, tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A small lake by one run that nothing disturbed."""

    def run(folder: Path) -> None:
        done(program(folder, service.url)(*SMALL))

    return program(once(tmp_path_factory, "unbroken", run), service.url)


# What comes of it ----------------------------------------------------------------------------------------------------


def real_closes(shared: Path, first: date, last: date) -> dict[tuple[str, date], float]:
    closes = {}
    for path in (shared / "coingecko" / "histories").glob("*.csv.gz"):
        with gzip.open(path, "rt") as file:
            for row in csv.DictReader(file):
                day, close = date.fromisoformat(row["day"]), float(row["close"] or 0)
                if first <= day <= last and close > 0:
                    closes[path.name.removesuffix(".csv.gz"), day] = close
    return closes


@pytest.mark.slow
def test_indicators_of_real_histories_are_ta_libs(grown: Grown) -> None:
    """Called on the whole series as it lies in gold, up to its first gap; relative to the close."""
    con = opened(grown.after.lake)
    columns = {
        "sma_200d": lambda x: talib.SMA(x, 200),
        "ema_50d": lambda x: talib.EMA(x, 50),
        "macd_signal": lambda x: talib.MACD(x, 12, 26, 9)[1],
        "rsi_14d": lambda x: talib.RSI(x, 14),
        "bollinger_lower_20d": lambda x: talib.BBANDS(x, 20, 2, 2)[2],
    }
    seen = 0
    for (coin,) in con.execute('select distinct coin_id from "gold.indicators"').fetchall():
        rows = con.execute(
            f'select day, close_usd, {", ".join(columns)} from "gold.indicators" where coin_id = ? order by day', [coin]
        ).fetchnumpy()
        gaps = np.flatnonzero(np.diff(rows["day"]) != np.timedelta64(1, "D"))
        whole = slice(0, int(gaps[0]) + 1 if len(gaps) else len(rows["day"]))
        close = rows["close_usd"][whole].astype(float)
        for name, ask in columns.items():
            ours, theirs = np.ma.filled(rows[name][whole].astype(float), np.nan), ask(close)
            np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs), err_msg=f"{coin} {name}")
            assert np.nanmax(np.abs(ours - theirs) / close, initial=0) <= (1e-9 if name != "rsi_14d" else np.inf), name
            seen += int((~np.isnan(theirs)).sum())
        np.testing.assert_allclose(np.ma.filled(rows["rsi_14d"][whole].astype(float), np.nan), talib.RSI(close, 14))
    assert seen > 25 * 1000


def test_every_close_is_the_real_one_to_the_last_bit(grown: Grown, shared: Path) -> None:
    real = real_closes(shared, date(2021, 2, 2), date(2022, 1, 31))
    rows = opened(grown.before.lake).execute('select coin_id, day, close_usd from "gold.daily"').fetchall()
    ours = {(coin, day): close for coin, day, close in rows}
    assert len({coin for coin, _ in real}) == 25
    assert {key: ours[key].hex() for key in real} == {key: close.hex() for key, close in real.items()}
    assert {coin for coin, _ in ours.keys() - real.keys()} == {"chiliz"}  # 12 days that the service made up


def test_the_bytes_of_every_answer_can_be_had_back_from_bronze(grown: Grown, shared: Path) -> None:
    lines = list(bronze_lines(grown.after.lake))
    assert len(lines) == 58
    assert all(line.is_whole for line in lines)
    listed = (shared / "coingecko" / "recordings" / "coins_list__11580__2022-01.json").read_bytes()
    assert b"\n" in listed
    assert {line.body for line in lines if line.envelope["endpoint"] == "coins_list"} == {listed}


def test_the_same_command_again_asks_nothing_and_changes_only_the_record_of_runs(grown: Grown) -> None:
    assert grown.asked[0] == grown.asked[1]
    changed = {name for name, version in grown.versions[1].items() if grown.versions[0][name] != version}
    assert changed - {"gold.health"} == {"silver.runs"}


def test_two_days_later_only_what_is_new_is_fetched(grown: Grown) -> None:
    later = [line for line in bronze_lines(grown.after.lake) if line.envelope["fetched_at"].startswith(LATER[:10])]
    histories = [line for line in later if line.envelope["endpoint"] == "coins_market_chart"]
    assert len(later) == 29
    assert len(histories) == 25
    for line in histories:  # two closes, and the moment itself
        assert len(json.loads(line.body)["prices"]) == 3


@pytest.fixture(scope="session")
def rebuilt(grown: Grown, tmp_path_factory: pytest.TempPathFactory) -> Program:
    """The grown lake, of which silver, then gold were made anew, and then tidied up."""

    def rebuild(folder: Path) -> None:
        lake = grown.after.copied(folder)
        done(lake("rebuild", "--layer", "silver"))
        done(lake("rebuild", "--layer", "gold"))
        done(lake.but(keep_hours="0")("tidy"))

    return Program(once(tmp_path_factory, "rebuilt", rebuild), grown.after.settings)


def test_two_days_later_gold_is_what_a_rebuild_from_nothing_makes(grown: Grown, rebuilt: Program) -> None:
    assert differences(grown.after.lake, rebuilt.lake) == []
    assert rows_twice(rebuilt.lake) == {}


@pytest.mark.slow
def test_a_lake_that_grew_knows_the_closes_of_one_begun_later(
    grown: Grown, shared: Path, tmp_path: Path, inside: Inside
) -> None:
    with replay(shared, "--now", LATER) as market:
        fresh = program(tmp_path, market.url, now=LATER)
        done(inside(fresh, *WHOLE))
    sql = 'select coin_id, day, close_usd, market_cap_usd, volume_24h_usd, is_final from "gold.daily"'
    old, new = (set(opened(lake).execute(sql).fetchall()) for lake in (grown.after.lake, fresh.lake))
    assert new < old
    assert {row[1] for row in old - new} == {date(2021, 2, 2), date(2021, 2, 3)}


# As it was known -----------------------------------------------------------------------------------------------------

ASKED_AS_OF = ("silver.prices", "silver.markets", "silver.global_market", "silver.coins", "silver.rejects")


def everything(lake: Program, *words: str) -> dict[str, list[str]]:
    """Every row of silver and gold, as the program gives them, as JSON of its own making."""
    tables = (*ASKED_AS_OF, "gold.daily", "gold.market_summary")
    each = [f"select '{name}' as name, to_json(t)::VARCHAR as said from {name} as t" for name in tables]
    rows = lake.query(" union all ".join(each), *words)
    return {name: sorted(row["said"] for row in rows if row["name"] == name) for name in tables}


def test_as_of_a_moment_the_lake_is_what_it_was_whatever_was_done_to_it_since(grown: Grown, rebuilt: Program) -> None:
    then = everything(grown.before)
    assert all(then.values())
    assert everything(grown.after) != then
    assert everything(grown.after, "--as-of", NOW) == then
    assert everything(rebuilt, "--as-of", NOW) == then


def test_before_the_first_fetch_nothing_was_known(grown: Grown) -> None:
    assert not any(everything(grown.after, "--as-of", "2022-02-01T00:44:59Z").values())


# A service in trouble ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_passing_faults_change_nothing_in_the_lake(grown: Grown, shared: Path, tmp_path: Path, inside: Inside) -> None:
    with replay(shared, "--fault", "0.2", "--seed", "1") as market:
        tried = program(tmp_path, market.url)
        done(inside(tried, *WHOLE))
        assert sum(count for kind, count in market.stats()["answers"].items() if kind != "200") > 2
    assert differences(tried.lake, grown.before.lake) == []
    assert all(line.is_whole for line in bronze_lines(tried.lake))


def seed_that_forbids_first(call: int, share: float) -> str:
    """The seed with which the replay's `--forbid` meets this call before any other; two numbers are drawn a call."""
    for seed in range(10_000):
        numbers = random.Random(seed)
        met = next(n for n in range(1, 10_000) if (numbers.random() < share, numbers.random())[0])
        if met == call:
            return str(seed)
    raise AssertionError


def repeated(inside: Inside, tried: Program, words: tuple[str, ...], times: int = 30) -> list[int]:
    """Exit codes of a command until it ends well."""
    codes: list[int] = []
    while not codes or (codes[-1] and len(codes) < times):
        codes.append(inside(tried, *words).code)
    return codes


# The 4th call is the second list of coins: one list without the other would say that no coin is followed any more.
@pytest.mark.parametrize("call", [pytest.param(1, marks=pytest.mark.slow), 4, pytest.param(7, marks=pytest.mark.slow)])
def test_refused_in_the_middle_and_repeated_the_run_makes_the_same_lake(
    unbroken: Program, shared: Path, tmp_path: Path, inside: Inside, call: int
) -> None:
    with replay(shared, "--forbid", "0.05", "--seed", seed_that_forbids_first(call, 0.05)) as market:
        tried = program(tmp_path, market.url)
        first = inside(tried, *SMALL)
        assert first.code == 4
        assert "refuses this network" in first.err
        assert repeated(inside, tried, SMALL)[-1] == 0
    assert differences(tried.lake, unbroken.lake) == []


@pytest.mark.slow
def test_refused_again_and_again_25_coins_come_together_all_the_same(
    grown: Grown, shared: Path, tmp_path: Path, inside: Inside
) -> None:
    with replay(shared, "--forbid", "0.05", "--seed", seed_that_forbids_first(12, 0.05)) as market:
        tried = program(tmp_path, market.url)
        codes = repeated(inside, tried, WHOLE)
    assert set(codes[:-1]) == {4}
    assert codes[-1] == 0
    assert differences(tried.lake, grown.before.lake) == []


@pytest.mark.slow(seconds=130)
def test_the_pace_is_kept_over_two_runs_in_a_row(grown: Grown, shared: Path, tmp_path: Path) -> None:
    with replay(shared, "--rate", "30") as market:
        slow = program(tmp_path, market.url, rate="25")
        done(slow(*WHOLE))
        market.clock(LATER)
        done(slow.but(now=LATER)(*WHOLE))
        stats = market.stats()
    assert stats["answers"].keys() == {"200"}
    assert stats["peak_per_minute"] <= 25
    assert differences(slow.lake, grown.after.lake) == []


# Every error that was ever seen ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wanted:
    """What an error body leads to: where it is served, the exit code, words of the sentence, and what is in silver."""

    code: int
    says: str = ""
    at: str = ""
    once: bool = False
    rejects: tuple[tuple[str, str | None], ...] = ()
    coins: tuple[str, ...] = ("bitcoin", "celo", "eos")


ERRORS = {
    "200_unknown_currency_simple_price.json": Wanted(
        0,
        at="/simple/price",
        rejects=(("missing", "bitcoin"), ("coin_missing", "celo"), ("coin_missing", "eos")),
    ),
    "200_unknown_id_simple_price.json": Wanted(
        0, at="/simple/price", rejects=tuple(("coin_missing", coin) for coin in ("bitcoin", "celo", "eos"))
    ),
    "400_10010_pro_key_on_public_host.json": Wanted(3, "COINLAKE_API_URL", coins=()),
    "401_10002_api_key_missing__TRUNCATED.json": Wanted(3, "COINLAKE_API_KEY", coins=()),
    "401_10005_pro_only.json": Wanted(5, "change the plan", coins=()),
    "401_10012_beyond_365_days.json": Wanted(0, at="/coins/celo/market_chart", coins=("bitcoin", "eos")),
    "403_cloudflare_access_denied__SNIPPET.html": Wanted(4, "refuses this network", coins=()),
    "404_coin_not_found.json": Wanted(0, at="/coins/celo/market_chart", coins=("bitcoin", "eos")),
    "422_missing_vs_currency.json": Wanted(3, "does not accept what it was asked", coins=()),
    "429_geckoterminal_onchain_variant.json": Wanted(0, at="/coins/celo/market_chart", once=True),
    "429_rate_limit_classic.json": Wanted(0, at="/coins/celo/market_chart", once=True),
    "500_internal.json": Wanted(0, at="/coins/celo/market_chart", once=True),
}


def relayed(service: Replay, request: Request) -> Reply:
    """What the replay says to the same request."""
    try:
        with urllib.request.urlopen(f"{service.url}{request.target.removeprefix('/api/v3')}", timeout=30) as response:
            return Reply(response.status, response.read())
    except urllib.error.HTTPError as exc:
        return Reply(exc.code, exc.read())


def troubled(service: Replay, error: Reply, wanted: Wanted) -> Callable[[Request], Reply]:
    """The replay, but for an error to everything, at one path, or there once."""
    met = threading.Event()

    def answer(request: Request) -> Reply:
        if not request.path.removeprefix("/api/v3").startswith(wanted.at) or (wanted.once and met.is_set()):
            return relayed(service, request)
        met.set()
        return error

    return answer


def status_of(name: str) -> int:
    return int(name.partition("_")[0])


def test_every_recorded_error_has_a_wanted_outcome(shared: Path) -> None:
    assert {path.name for path in (shared / "coingecko" / "errors").iterdir()} - {"INDEX.json"} == ERRORS.keys()


@pytest.mark.parametrize("name", ERRORS)
def test_a_recorded_error_leads_to_its_documented_outcome(
    service: Replay, shared: Path, tmp_path: Path, inside: Inside, name: str
) -> None:
    wanted, body = ERRORS[name], (shared / "coingecko" / "errors" / name).read_bytes()
    headers = {"Retry-After": "1"} if status_of(name) == 429 else {}
    with scripted(troubled(service, Reply(status_of(name), body, headers), wanted)) as server:
        asking = program(tmp_path, server.url, datasets="markets,history,prices", log="text")
        ended = inside(asking, "run", "--coins", "bitcoin,celo,eos", "--days", "30")
    assert ended.code == wanted.code, ended.err
    last = (ended.err.strip().splitlines() or [""])[-1]
    if wanted.code:
        assert wanted.says in last
        assert "Traceback" not in ended.err
    lines = list(bronze_lines(asking.lake))
    assert all(line.is_whole for line in lines)
    assert wanted.once or body in [line.body for line in lines]
    assert coins_with_history(asking.lake) == set(wanted.coins)
    assert set(wanted.rejects) <= rejected(asking.lake)


def coins_with_history(lake: Path) -> set[str]:
    if "silver.prices" not in table_names(lake):
        return set()
    sql = "select distinct coin_id from \"silver.prices\" where granularity = 'daily'"
    return {coin for (coin,) in opened(lake).execute(sql).fetchall()}


def rejected(lake: Path) -> set[tuple[str, str | None]]:
    if "silver.rejects" not in table_names(lake):
        return set()
    return set(opened(lake).execute('select rule, coin_id from "silver.rejects"').fetchall())


def test_a_history_beyond_the_plan_is_shortened_and_not_asked_for_again(
    service: Replay, shared: Path, tmp_path: Path, inside: Inside
) -> None:
    body = (shared / "coingecko" / "errors" / "401_10012_beyond_365_days.json").read_bytes()

    def answer(request: Request) -> Reply:
        return Reply(401, body) if int(request.params.get("days", 0)) > 90 else relayed(service, request)

    with scripted(answer) as server:
        asking = program(tmp_path, server.url, coins="bitcoin,eos", datasets="history", days="200")
        told = done(inside(asking, "run", "--json")).json
        asked = len(server.requests)
        done(inside(asking, "run"))
        assert len(server.requests) == asked
    assert told["unavailable"]
    days = opened(asking.lake).execute('select coin_id, count(*), max(day) from "gold.daily" group by 1 order by 1')
    assert days.fetchall() == [("bitcoin", 90, date(2022, 1, 31)), ("eos", 90, date(2022, 1, 31))]


@pytest.mark.slow(seconds=150)
def test_one_and_the_same_error_to_everything_ends_the_run_within_150_seconds(shared: Path, tmp_path: Path) -> None:
    errors = shared / "coingecko" / "errors"
    too_many = (errors / "429_rate_limit_classic.json").read_bytes()
    always = {
        "500": Reply(500, (errors / "500_internal.json").read_bytes()),
        "429": Reply(429, too_many, {"Retry-After": "119"}),
        "stall": Reply(200, b"[" + b" " * 10_000, drip_s=1.0),
        "silence": Reply(200, b"[]" * 1_000, drip_s=50.0, drip_all=True),
    }
    with ExitStack() as stack, ThreadPoolExecutor(len(always)) as pool:
        servers = {name: stack.enter_context(scripted(reply)) for name, reply in always.items()}
        ended = {name: pool.submit(timed, program(tmp_path / name, each.url)) for name, each in servers.items()}
        for name, future in ended.items():
            code, ended_at = future.result()
            assert code == 4, name
            assert ended_at - servers[name].requests[0].at < 150, name


def timed(asking: Program) -> tuple[int, float]:
    """How a run ends, and when. It counts from its first request: how fast Python starts is the machine's affair."""
    return asking(*WHOLE).code, time.monotonic()


# Killed --------------------------------------------------------------------------------------------------------------

STEPS = ("ingest", "clean", "analyze")


@dataclass(frozen=True)
class Watched:
    """A process whose log was read as it came: seconds from its start to the first word of each step and to its end."""

    code: int
    began_s: Mapping[str, float]
    ended_s: float

    def length_s(self, step: str) -> float:
        """How long a step took; fetching is taken to begin with the process's first word."""
        after = [at for name, at in self.began_s.items() if STEPS.index(name) > STEPS.index(step)]
        return min(after, default=self.ended_s) - self.began_s[step]


def watched(lake: Program, words: tuple[str, ...], kill_in: str = "", after_s: float = 0.0) -> Watched:
    """Run to the end, or kill so many seconds after the first word of a step."""
    began, seen = time.monotonic(), dict[str, float]()
    process = lake.but(log="json").start(*words)
    assert process.stderr is not None
    for line in process.stderr:
        step = json.loads(line).get("step", "")
        if step in STEPS and step not in seen:
            seen[step] = time.monotonic() - began
            if step == kill_in:
                threading.Timer(after_s, process.kill).start()
    process.communicate()
    return Watched(process.returncode, seen, time.monotonic() - began)


def check_a_kill(
    inside: Inside, lake: Program, words: tuple[str, ...], unbroken: Path, kill_in: str, after_s: float
) -> bool:
    """Kill, run once more, and look at what there is; whether the kill came before the end."""
    killed = watched(lake, words, kill_in, after_s).code == -signal.SIGKILL
    done(inside(lake, *words))
    where = f"killed {after_s:.3f} s into {kill_in}"
    assert differences(lake.lake, unbroken) == [], where
    assert rows_twice(lake.lake) == {}, where
    assert all(line.is_whole for line in bronze_lines(lake.lake)), where
    check_the_record(lake.lake)
    return killed


def check_what_is_left(inside: Inside, lake: Program, unbroken: Path) -> None:
    """What the killed run left lying about is named, and goes."""
    found = json.dumps(inside(lake, "doctor", "--json").json, ensure_ascii=False)
    assert [path for path in orphans(lake.lake) if Path(path).name not in found] == []
    done(inside(lake.but(keep_hours="0"), "tidy"))
    assert orphans(lake.lake) == []
    assert differences(lake.lake, unbroken) == []


def check_the_record(lake: Path) -> None:
    """A run that was killed shows as begun and never ended; one that ended, as ended."""
    notes = {path.name for path in (lake / "bronze" / "_runs").iterdir()}
    begun, ended = ({note.removesuffix(end) for note in notes if note.endswith(end)} for end in ENDS)
    rows = opened(lake).execute('select run, count(ended_at), max(outcome) from "silver.runs" group by run').fetchall()
    assert {run for run, _, _ in rows} == begun
    assert {run for run, count, _ in rows if count} == ended
    assert {run for run, _, outcome in rows if outcome} == ended


ENDS = ("-begun.json", "-ended.json")


def test_killed_while_fetching_cleaning_or_analysing_the_next_run_makes_the_same_lake(
    shared: Path, tmp_path: Path, inside: Inside
) -> None:
    chance = random.Random(3)
    with replay(shared, "--latency", "0.1") as market:
        calm = program(tmp_path / "calm", market.url)
        lasted = watched(calm, QUICK)
        killed = []
        for number, step in enumerate(STEPS):
            lake = program(tmp_path / str(number), market.url)
            after_s = chance.uniform(0, 0.8) * lasted.length_s(step)
            killed.append(check_a_kill(inside, lake, QUICK, calm.lake, step, after_s))
    assert any(killed)


@pytest.mark.slow(seconds=70)
def test_killed_at_random_moments_the_next_run_makes_the_same_lake(
    unbroken: Program, shared: Path, tmp_path: Path, inside: Inside
) -> None:
    chance, moments, killed = random.Random(20), 9 * EXAMPLES, 0
    with replay(shared, "--latency", "0.15") as market:
        calm = watched(program(tmp_path / "calm", market.url), SMALL)
        for number in range(moments):
            step, nth = STEPS[number % 3], number // 3
            after_s = (nth + chance.random()) / (moments / 3) * calm.length_s(step)
            lake = program(tmp_path / str(number), market.url)
            killed += check_a_kill(inside, lake, SMALL, unbroken.lake, step, after_s)
            if number == 0 or orphans(lake.lake):
                check_what_is_left(inside, lake, unbroken.lake)
            shutil.rmtree(lake.folder)
    assert killed >= 0.7 * moments


def test_what_a_killed_writer_left_is_named_read_by_nobody_and_removed_when_old_enough(
    unbroken: Program, tmp_path: Path
) -> None:
    lake = unbroken.copied(tmp_path / "lake")
    data = next((lake.lake / "gold" / "daily").rglob("*.parquet"))
    left = data.with_name("part-00000-left-c000.snappy.parquet")
    half = lake.lake / "bronze" / "coingecko" / "global" / "half.jsonl.gz#1"
    shutil.copy(data, left)
    half.write_bytes(b"\x1f\x8b")
    found = json.dumps(lake("doctor", "--json").json)
    assert left.name in found
    assert half.name in found
    done(lake("rebuild", "--layer", "gold"))
    assert differences(lake.lake, unbroken.lake) == []
    done(lake("tidy"))
    assert left.exists()
    assert half.exists()
    done(lake.but(keep_hours="0")("tidy"))
    assert not left.exists()
    assert not half.exists()
    assert orphans(lake.lake) == []
    assert differences(lake.lake, unbroken.lake) == []


def test_ctrl_c_leaves_the_lake_whole(unbroken: Program, shared: Path, tmp_path: Path) -> None:
    with replay(shared, "--latency", "0.3") as market:
        lake = program(tmp_path, market.url, log="text")
        process = lake.start(*SMALL)
        while market.stats()["paths"].get("/coins/{id}/market_chart", 0) < 2:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130, err
        assert "the lake is whole" in err
        assert "Traceback" not in err
        answers = len(list(bronze_lines(lake.lake)))
        assert answers >= 4
        done(lake(*SMALL))
        assert market.stats()["paths"]["/coins/markets"] == 1
    assert differences(lake.lake, unbroken.lake) == []
    outcomes = opened(lake.lake).execute('select outcome from "silver.runs" where outcome is not null').fetchall()
    assert ("KeyboardInterrupt",) in outcomes


# Twice, at once, in any order -----------------------------------------------------------------------------------------


def only_bronze(lake: Program, folder: Path) -> Program:
    """A program over a lake of which nothing but bronze is left."""
    copy = lake.copied(folder)
    shutil.rmtree(copy.lake / "silver")
    shutil.rmtree(copy.lake / "gold")
    return copy


@pytest.mark.slow
def test_two_processes_that_clean_at_once_give_every_row_once(unbroken: Program, tmp_path: Path) -> None:
    lake = only_bronze(unbroken, tmp_path / "lake")
    together = [lake.start("clean") for _ in range(2)]
    for process in together:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    done(lake("clean"))
    done(lake("analyze"))
    assert rows_twice(lake.lake) == {}
    assert differences(lake.lake, unbroken.lake) == []


def test_objects_cleaned_twice_in_any_order_give_every_row_once(grown: Grown, tmp_path: Path, inside: Inside) -> None:
    program_ = only_bronze(grown.after, tmp_path / "lake")
    lake = Lake.at(str(program_.lake))
    paths = pending(lake)
    assert len(paths) > 8
    for seed in (1, 2):
        random.Random(seed).shuffle(paths)
        for part in (paths[:3], paths[3:]):
            clean_objects(lake, engine("duckdb"), part, Done(), silent)
    done(inside(program_, "analyze"))
    assert rows_twice(program_.lake) == {}
    assert differences(program_.lake, grown.after.lake) == []


def test_two_runs_at_once_make_the_same_lake(unbroken: Program, service: Replay, tmp_path: Path) -> None:
    lake = program(tmp_path, service.url)
    together = [lake.start(*SMALL) for _ in range(2)]
    for process in together:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    assert rows_twice(lake.lake) == {}
    assert differences(lake.lake, unbroken.lake) == []


# Elsewhere, and otherwise --------------------------------------------------------------------------------------------


def test_an_odd_folder_a_file_of_settings_and_another_time_zone_make_the_same_lake(
    unbroken: Program, service: Replay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "o'brien's #1 \"50% ü\" {x}*"
    folder.mkdir()
    (folder / "coinlake.toml").write_text('lake = "my lake"\ntop = 5\ndays = 60\nrate = 0\n')
    monkeypatch.setenv("TZ", "Pacific/Honolulu")
    odd = Program(folder, {"now": NOW, "api_url": service.url})
    done(odd("run"))
    assert differences(folder / "my lake", unbroken.lake) == []
    assert odd.query("select count(*) as n from gold.daily") == [{"n": 300}]
    done(odd("rebuild", "--layer", "silver"))
    done(odd("tidy"))
    assert differences(folder / "my lake", unbroken.lake) == []


@pytest.mark.slow
def test_the_pandas_engine_makes_the_same_lake(grown: Grown, service: Replay, tmp_path: Path, inside: Inside) -> None:
    lake = program(tmp_path, service.url)
    done(inside(lake, *WHOLE, "--engine", "pandas"))
    assert differences(lake.lake, grown.before.lake) == []


@pytest.mark.slow
def test_a_lake_that_takes_in_more_coins_is_as_if_it_had_had_them_at_once(
    grown: Grown, service: Replay, tmp_path: Path, inside: Inside
) -> None:
    lake = program(tmp_path, service.url)
    for words in (("--top", "3", "--days", "30"), ("--top", "25", "--days", "364")):
        done(inside(lake, "run", *words))
    closes = 'select coin_id, day, open_usd, close_usd, is_final from "gold.daily" order by all'
    one, other = (opened(each).execute(closes).fetchall() for each in (lake.lake, grown.before.lake))
    assert one == other


def test_a_clock_that_goes_back_changes_nothing_that_is_known(
    unbroken: Program, service: Replay, tmp_path: Path, inside: Inside
) -> None:
    lake = unbroken.copied(tmp_path / "lake").but(now="2022-01-15T00:45:00Z")
    done(inside(lake, *SMALL))
    closes = 'select coin_id, day, close_usd, is_final from "gold.daily" order by all'
    one, other = (opened(each).execute(closes).fetchall() for each in (lake.lake, unbroken.lake))
    assert one == other


@pytest.mark.parametrize(
    ("words", "granularities", "first"),
    [
        (("--days", "1"), {"daily", "spot"}, date(2022, 1, 31)),
        (("--days", "20", "--granularity", "hourly"), {"hourly"}, date(2022, 1, 12)),
    ],
)
def test_a_short_or_fine_history_closes_its_days(
    service: Replay, tmp_path: Path, inside: Inside, words: tuple[str, ...], granularities: set[str], first: date
) -> None:
    lake = program(tmp_path, service.url)
    done(inside(lake, "run", "--coins", "bitcoin", "--datasets", "history", *words))
    con = opened(lake.lake)
    stored = con.execute('select distinct granularity from "silver.prices"').fetchall()
    assert {each for (each,) in stored} == granularities
    days = [day for (day,) in con.execute('select day from "gold.daily" order by day').fetchall()]
    whole = [first + timedelta(days=n) for n in range((date(2022, 1, 31) - first).days + 1)]
    assert [day for day in days if day >= first] == whole


def test_candles_and_prices_alone_make_a_lake_too(service: Replay, tmp_path: Path, inside: Inside) -> None:
    lake = program(tmp_path, service.url)
    words = ("run", "--coins", "bitcoin,eos", "--days", "20", "--datasets", "candles,prices")
    done(inside(lake, *words))
    con = opened(lake.lake)
    assert con.execute('select count(distinct coin_id) from "silver.candles"').fetchall() == [(2,)]
    assert con.execute('select coin_id, granularity from "silver.prices" order by 1').fetchall() == [
        ("bitcoin", "spot"),
        ("eos", "spot"),
    ]


def test_a_coin_that_nobody_knows_is_said_recorded_and_not_asked_for_again(
    service: Replay, tmp_path: Path, inside: Inside
) -> None:
    words = ("run", "--coins", "bitcoin,nosuchcoin", "--days", "5", "--datasets", "markets,history")
    with scripted(lambda request: relayed(service, request)) as server:
        lake = program(tmp_path, server.url)
        assert "nosuchcoin" in done(inside(lake, *words)).out
        asked = len(server.requests)
        assert "nosuchcoin" in done(inside(lake, *words)).out
        assert len(server.requests) == asked
    assert ("coin_missing", "nosuchcoin") in rejected(lake.lake)
    assert coins_with_history(lake.lake) == {"bitcoin"}


def test_a_history_answered_404_is_told_with_when_it_is_asked_for_again(
    service: Replay, tmp_path: Path, inside: Inside
) -> None:
    def script(request: Request) -> Reply:
        if request.path.endswith("/coins/bitcoin/market_chart"):
            return as_json({"error": "coin not found"}, 404)
        return relayed(service, request)

    words = ("run", "--coins", "bitcoin,celo", "--days", "5", "--datasets", "markets,history")
    until, refused = "2022-02-02T00:45:00Z", {"coin_id": "bitcoin", "endpoint": "coins_market_chart"}
    with scripted(script) as server:
        lake = program(tmp_path, server.url)
        told = done(inside(lake, *words)).out
        as_json_too = done(inside(program(tmp_path / "other", server.url), *words, "--json")).json
    assert f"bitcoin (market_chart): answered 404, not asked for again before {until}" in told
    assert as_json_too["refused"] == [{**refused, "asked_again_at": until}]
    (record,) = inside(lake, "query", "select refused from silver.runs where ended_at is not null", "--json").json
    (said,) = json.loads(record["refused"])
    assert (said["coin_id"], said["endpoint"], to_moment(said["asked_again_at"])) == (
        "bitcoin", "coins_market_chart", to_moment(until),
    )  # fmt: skip
    (shown,) = inside(lake, "status", "--json").json["not_asked_for"]
    assert shown == {**refused, "asked_again_at": until, "refused_at": NOW}
    assert inside(lake.but(now=until), "status", "--json").json["not_asked_for"] == []
    assert "bitcoin (until 2022-02-02 00:45 UTC)" in inside(lake, "ingest", "--dry-run", *words[1:]).out


def test_a_service_whose_answers_hold_nothing_ends_the_run_as_the_source_s_fault(
    tmp_path: Path, inside: Inside
) -> None:
    words = ("run", "--coins", "bitcoin", "--days", "5")
    with scripted(Reply()) as server:
        ended = inside(program(tmp_path, server.url), *words)
    assert ended.code == 4
    assert f"answered {len(server.requests)} times, nothing of it could be used" in ended.err
    assert "silver.rejects" in ended.err and "COINLAKE_API_URL" in ended.err
    assert rejected(tmp_path / "data")


def test_answers_that_only_say_what_the_service_lacks_are_no_fault_of_its(tmp_path: Path, inside: Inside) -> None:
    nothing: dict[str, list[object]] = {"prices": [], "market_caps": [], "total_volumes": []}
    words = ("run", "--coins", "nosuchcoin", "--days", "5", "--datasets", "markets,history")
    with scripted(lambda request: as_json(nothing if "market_chart" in request.path else [])) as server:
        assert done(inside(program(tmp_path, server.url), *words))


def test_a_damaged_object_is_told_and_what_it_held_is_fetched_again(
    service: Replay, unbroken: Program, tmp_path: Path, inside: Inside
) -> None:
    lake = program(tmp_path, service.url)
    done(inside(lake, "ingest", *SMALL[1:]))
    path = next(path for path in bronze_paths(lake.lake) if "market_chart" in path)
    whole = (lake.lake / "bronze" / path).read_bytes()
    (lake.lake / "bronze" / path).write_bytes(whole[: len(whole) // 2])
    assert f"{path} is damaged" in done(inside(lake, *SMALL)).out
    assert differences(lake.lake, unbroken.lake) == []
    (lake.lake / "bronze" / path).write_bytes(whole)
    done(inside(lake, "clean"))
    done(inside(lake, "analyze"))
    assert differences(lake.lake, unbroken.lake) == []


@pytest.mark.parametrize(("lake", "code"), [("file/data", 7), ("[a]", 3), ("50%20b", 3)])
def test_where_no_lake_can_be_the_sentence_says_so(tmp_path: Path, inside: Inside, lake: str, code: int) -> None:
    (tmp_path / "file").write_text("no folder")
    ended = inside(program(tmp_path, f"http://127.0.0.1:{closed_port()}/api/v3", lake=lake, log="text"), *QUICK)
    assert ended.code == code
    assert "Traceback" not in ended.err
    assert lake in ended.err


def test_a_question_is_answered_in_full_and_a_wrong_one_with_one_sentence(grown: Grown, tmp_path: Path) -> None:
    lake = grown.before
    asked = lake("query", "select close_usd from gold.daily order by coin_id, day", "--format", "json")
    stored = opened(lake.lake).execute('select close_usd from "gold.daily" order by coin_id, day').fetchall()
    assert asked.err == ""
    assert [row["close_usd"].hex() for row in asked.json] == [close.hex() for (close,) in stored]
    assert lake("query", "select * from gold.daily where false", "--format", "json").json == []
    file = tmp_path / "it's.parquet"
    done(lake("query", "select * from gold.daily", "--format", "parquet", "--output", str(file)))
    count = opened(lake.lake).execute("select count(*) from read_parquet(?)", [str(file)]).fetchall()
    assert count == [(len(stored),)]
    for wrong in ("selec 1", "select * from gold.nothing", "select cast(coin_id as int) from gold.daily"):
        ended = lake("query", wrong, "--format", "json")
        assert (ended.code, ended.out) == (3, "")
        assert len(ended.err.strip().splitlines()) == 1
