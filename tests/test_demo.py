"""The practice lake and the watch: a simulated market fills a lake, and new days topple through all its layers."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import coinlake
from coinlake.bronze.kind import MARK
from coinlake.bronze.plan import last_finished_day
from coinlake.demo import let_days_pass
from coinlake.progress import silent
from coinlake.settings import load
from coinlake.simulator import Options, running
from coinlake.watch import watch
from coinlake.wiring import Workspace, workspace
from servers import closed_port
from strategies import EXAMPLES

pytestmark = pytest.mark.no_cover
DAY = timedelta(days=1)


def program(folder: Path, *words: str, **more: str) -> subprocess.Popen[str]:
    """The program as a process of its own, in a folder of its own."""
    environ = {**os.environ, "XDG_STATE_HOME": str(folder / "state"), **more}
    command = [sys.executable, "-m", "coinlake", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env=environ, stdout=pipe, stderr=pipe, text=True)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code and output of a process once it has ended."""
    try:
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()  # one that did not end would run on beside all other tests
    return process.returncode, out, err


def work_on(tmp_path: Path, url: str, now: str, coins: int, **more: str) -> Workspace:
    """A workspace on a simulator."""
    flags = {"lake": str(tmp_path / "lake"), "api_url": url, "now": now, "rate": "0", "top": str(coins), **more}
    return workspace(load(flags, {}, tmp_path).settings, silent)


def test_a_demo_ends_with_gold_and_marks_its_lake_as_simulated(tmp_path: Path) -> None:
    code, out, err = ended(program(tmp_path, "demo", "--once", "--top", "5", "--days", "30"))
    assert code == 0, err
    assert "SIMULATED" in out
    summary = coinlake.open(str(tmp_path / "data-demo")).table("gold.market_summary").to_arrow().to_pylist()
    assert len(summary) == 5
    assert all(row["coin_id"].startswith("sim-") for row in summary)
    assert (tmp_path / "data-demo" / "bronze" / MARK).exists()


@pytest.mark.parametrize("is_active", [True, False])
def test_a_demo_says_to_activate_its_environment_where_that_is_needed(tmp_path: Path, is_active: bool) -> None:
    shell = {"VIRTUAL_ENV": sys.prefix if is_active else ""}
    code, out, err = ended(program(tmp_path, "demo", "--once", "--top", "2", "--days", "5", **shell))
    assert code == 0, err
    assert ("activate`:" in out.replace("\n", "")) == (not is_active and sys.prefix != sys.base_prefix)


def test_a_practice_lake_is_never_behind_by_less_than_nothing(tmp_path: Path) -> None:
    with running(Options(coins=5, rate=0, plan="keyless", now="2040-03-01T00:45:00Z", speed=0)) as simulator:
        work_on(tmp_path, simulator.url, simulator.clock_url, 2, days="5").run()
    code, out, err = ended(program(tmp_path, "status", "--json", "--lake", "lake"))
    assert code == 0, err
    assert 0 <= json.loads(out)["hours_behind"] < 24


def test_a_demo_refuses_a_lake_of_a_real_market(tmp_path: Path) -> None:
    answer = tmp_path / "data-demo/bronze/coingecko/global/date=2022-02-01/x.jsonl.gz"
    answer.parent.mkdir(parents=True)
    answer.write_bytes(b"")
    code, _, err = ended(program(tmp_path, "demo", "--once"))
    assert code == 3
    assert "holds a real market" in err


def test_a_demo_refuses_a_real_market_in_one_layer_alone(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("coin,day,close\nbitcoin,2022-01-01,1\nbitcoin,2022-01-02,2\n")
    code, _, err = ended(program(tmp_path, "import", "own.csv", "--source", "mine", "--lake", "real"))
    assert code == 0, err
    for layers in (
        {"COINLAKE_LAKE": "real", "COINLAKE_BRONZE": "other"},
        {"COINLAKE_SILVER": str(tmp_path / "real/silver"), "COINLAKE_GOLD": str(tmp_path / "real/gold")},
    ):
        code, _, err = ended(program(tmp_path, "demo", "--once", "--top", "2", "--days", "5", **layers))
        assert (code, "holds a real market" in err) == (3, True), err


def test_the_real_service_is_not_mixed_into_a_simulated_lake(tmp_path: Path, shared: Path) -> None:
    from servers import replay

    with running(Options(coins=5, rate=0, plan="keyless", now="2026-03-01T00:45:00Z", speed=0)) as simulator:
        work_on(tmp_path, simulator.url, simulator.clock_url, 2).run()
    with replay(shared) as service, pytest.raises(coinlake_error(), match="holds a simulated market"):
        work_on(tmp_path, service.url, "2022-02-01T00:45:00Z", 2).run()


MARCH = Options(coins=5, rate=0, plan="keyless", now="2026-03-01T00:45:00Z", speed=0)


@pytest.mark.parametrize("other", [{"seed": 8}, {"coins": 6}, {"lasting": True}])
def test_two_simulated_markets_are_not_mixed_and_an_old_mark_is_completed(
    tmp_path: Path, other: dict[str, Any]
) -> None:
    mark = tmp_path / "lake/bronze" / MARK
    mark.parent.mkdir(parents=True)
    mark.write_text('{"simulated":true}')
    with running(MARCH) as simulator:
        work_on(tmp_path, simulator.url, simulator.clock_url, 2).ingest()
        assert json.loads(mark.read_text()) == {"simulated": True, "market": simulator.market.name}
    before = sorted((tmp_path / "lake/bronze/coingecko").rglob("*.gz"))
    with running(replace(MARCH, now="2026-03-02T00:45:00Z", **other)) as simulator:
        work = work_on(tmp_path, simulator.url, simulator.clock_url, 2)
        with pytest.raises(coinlake_error(), match=r"another simulated market \(seed=7 coins=5\).*COINLAKE_LAKE"):
            work.ingest()
    assert sorted((tmp_path / "lake/bronze/coingecko").rglob("*.gz")) == before


def test_a_demo_of_another_seed_is_refused_before_it_does_anything(tmp_path: Path) -> None:
    words = ("demo", "--once", "--top", "2", "--days", "5")
    assert ended(program(tmp_path, *words))[0] == 0
    code, _, err = ended(program(tmp_path, *words, "--seed", "8"))
    assert (code, "another simulated market" in err) == (3, True), err


def test_a_simulated_market_is_refused_where_only_silver_and_gold_hold_a_real_one(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("coin,day,close\nbitcoin,2022-01-01,1\nbitcoin,2022-01-02,2\n")
    code, _, err = ended(program(tmp_path, "import", "own.csv", "--source", "mine", "--lake", "lake"))
    assert code == 0, err
    shutil.rmtree(tmp_path / "lake/bronze")
    with running(MARCH) as simulator, pytest.raises(coinlake_error(), match="holds a real market"):
        work_on(tmp_path, simulator.url, simulator.clock_url, 2).run()


def test_a_lake_whose_first_run_failed_holds_no_market_yet(tmp_path: Path) -> None:
    with running(replace(MARCH, plan="basic")) as simulator, pytest.raises(coinlake_error(), match="key"):
        work_on(tmp_path, simulator.url, simulator.clock_url, 2).run()
    with running(MARCH) as simulator:
        assert work_on(tmp_path, simulator.url, simulator.clock_url, 2).run().outcome == "ok"


def coinlake_error() -> type[Exception]:
    from coinlake.errors import ConfigError

    return ConfigError


def dashboard_of(process: subprocess.Popen[str]) -> str:
    """Where a demo says that its dashboard is."""
    assert process.stderr
    for line in process.stderr:
        if found := re.search(r"opens at (http://\S+)", line):
            return found[1]
    pytest.fail("the demo did not say where its dashboard is")


def answers(address: str, within_s: float = 60) -> bool:
    """Whether a dashboard is served there."""
    until = time.monotonic() + within_s
    while True:
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=5) as answer:
                return bool(answer.read() == b"ok")
        except OSError:
            if time.monotonic() > until:
                return False
            time.sleep(0.2)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_demo_ends_cleanly_with_its_dashboard(tmp_path: Path, ending: signal.Signals) -> None:
    words = ("demo", "--top", "2", "--days", "10", "--day", "1", "--log", "text", "--port", str(closed_port()))
    process = program(tmp_path, *words, COINLAKE_COINS="bitcoin")  # which is no coin of that market
    runs = tmp_path / "data-demo/bronze/_runs"
    until = time.monotonic() + 90
    while len(list(runs.glob("*-ended.json"))) < 2 and time.monotonic() < until:
        time.sleep(0.2)
    address = dashboard_of(process)
    assert answers(address)
    process.send_signal(ending)
    code, _, err = ended(process)
    assert code == 0, err
    assert not answers(address, within_s=0)
    begun, over = len(list(runs.glob("*-begun.json"))), len(list(runs.glob("*-ended.json")))
    assert begun == over >= 2


START = datetime(2026, 1, 31, 0, 45, tzinfo=UTC)
LASTING = Options(coins=20, rate=0, plan="keyless", now=START.isoformat(), speed=0, lasting=True, traps={})
GAPS = "select coin_id from gold.daily group by coin_id having count(*) <> max(day) - min(day) + 1"
TWICE = (
    "select source, coin_id, granularity, observed_at from silver.prices where granularity = 'daily' "
    "group by all having count(*) > 1"
)
FOR_NOTHING = (
    "select bronze_object, line, min(observed_at) filter (nth > 1) as again, min(observed_at) filter (nth = 1) as new "
    "from (select *, row_number() over (partition by source, coin_id, observed_at order by fetched_at) as nth "
    "from silver.prices where granularity = 'daily') group by all "
    "having again is not null and (new is null or new > again)"
)
"""Answers that repeat what was known before, though nothing older was missing: a call that midnight overtakes on its
way leaves out its oldest day, and whoever asks for that one gets those after it once more.
"""


@pytest.mark.slow(seconds=70)
def test_days_of_a_clock_that_moves_by_itself_leave_no_gap_and_ask_for_nothing_in_vain(tmp_path: Path) -> None:
    # The edge's answers are up to half a minute old, and the last midnight of that window may be one that is held.
    options = replace(LASTING, traps={"edge_cache": 0.0})
    behind: list[int] = []
    with running(options) as simulator:
        work = work_on(tmp_path, simulator.url, simulator.clock_url, 3, datasets="markets,history", days="90")
        work.run()
        lake = coinlake.open(str(tmp_path / "lake"))

        def told(report: Any) -> None:
            ((newest,),) = lake.query("select max(day) from gold.daily").fetchall()
            behind.append((last_finished_day(report.began_at) - newest).days)

        let_days_pass(simulator, 2.0)
        until = START + 20 * EXAMPLES * DAY
        watch(work, DAY, time.sleep, told, pytest.fail, poll_s=0.01, goes_on=lambda: work.now() < until)
        clock = simulator.simulated.clock
        clock.set(clock.now_ms(), 0)
        work.run()  # the last calls may have been overtaken by a midnight, as any: the next run fills what they left
    ((coins,),) = lake.query("select count(distinct coin_id) from gold.daily").fetchall()
    assert len(behind) > 2
    assert max(behind) <= 1
    assert coins >= 3
    assert lake.query(GAPS).fetchall() == []
    assert lake.query(FOR_NOTHING).fetchall() == []


@pytest.mark.slow(seconds=30)
def test_eight_days_topple_one_after_the_other_over_a_months_end_and_nothing_is_missed_or_done_twice(
    tmp_path: Path,
) -> None:
    start = START + 23 * DAY
    with running(replace(LASTING, now=start.isoformat())) as simulator:
        work = work_on(tmp_path, simulator.url, simulator.clock_url, 3, datasets="markets,history", days="90")
        toppled: list[datetime] = []

        def told(report: object) -> None:
            toppled.append(work.now())
            clock = simulator.simulated.clock
            clock.set(clock.now_ms() + int(DAY.total_seconds() * 1000))

        watch(work, DAY, time.sleep, told, pytest.fail, poll_s=0.01, goes_on=lambda: len(toppled) < 9)
    assert len(toppled) == 9
    lake = coinlake.open(str(tmp_path / "lake"))
    last = (start + 7 * DAY).date()
    coins = lake.query("select count(distinct coin_id) from gold.daily where day = (select max(day) from gold.daily)")
    assert lake.query("select max(day) from gold.daily").fetchall() == [(last,)]
    assert coins.fetchall()[0][0] >= 3
    assert lake.query(GAPS).fetchall() == []
    assert lake.query(TWICE).fetchall() == []
    assert not work.topple()


class Slow:
    """Work that takes two and a half days the second time, by a clock that goes on by an hour at each look."""

    def __init__(self) -> None:
        self.at = START
        self.fetched_at: list[datetime] = []

    def now(self) -> datetime:
        self.at += timedelta(hours=1)
        return self.at

    def topple(self, fetch: bool = False) -> object | None:
        if fetch:
            self.fetched_at.append(self.at)
            self.at += DAY * 2.5 if len(self.fetched_at) == 2 else timedelta(0)
        return None


def test_a_turn_that_was_missed_is_not_made_up_for_and_the_rhythm_is_kept() -> None:
    work = Slow()
    watch(work, DAY, lambda s: None, pytest.fail, pytest.fail, goes_on=lambda: len(work.fetched_at) < 5)
    since = [at - START for at in work.fetched_at]
    assert [each // DAY for each in since] == [0, 1, 3, 4, 5]
    assert [each % DAY < timedelta(hours=3) for each in since] == [True, True, False, True, True]


def test_the_watch_cleans_and_analyses_what_another_process_lands(tmp_path: Path) -> None:
    with running(Options(coins=5, rate=0, plan="keyless", now="2026-03-01T00:45:00Z", speed=0)) as simulator:
        work = work_on(tmp_path, simulator.url, simulator.clock_url, 2)
        assert work.topple() is None
        work.ingest()
        report = work.topple()
        assert report is not None
        assert report.rows["gold.market_summary"] == 2
        assert work.topple() is None


@pytest.mark.slow
def test_what_does_not_drift_is_equal_and_the_rest_is_in_the_rejects(tmp_path: Path) -> None:
    drifts = {"straight": {}, "new": {"new_field": 1.0}, "other": {"missing_field": 0.5, "retyped_field": 0.5}}
    prices, refused = {}, {}
    for name, faults in drifts.items():
        options = Options(coins=10, rate=0, plan="keyless", now="2026-03-01T00:45:00Z", speed=0, faults=faults)
        with running(options) as simulator:
            work_on(tmp_path / name, simulator.url, simulator.clock_url, 4).run()
        lake = coinlake.open(str(tmp_path / name / "lake"))
        columns = "coin_id, granularity, observed_at::VARCHAR as at, price_usd, market_cap_usd, volume_24h_usd, flags"
        found = lake.query(f"select {columns} from current.prices order by all").fetchall()
        prices[name] = {row[:3]: row[3:] for row in found}
        rules = lake.query("select distinct rule from silver.rejects").fetchall()
        refused[name] = {rule for (rule,) in rules}
    assert prices["new"] == prices["straight"]
    assert "unknown_field" in refused["new"] - refused["straight"]
    assert {"missing_field", "wrong_type"} & refused["other"]
    for key, values in prices["other"].items():
        straight = prices["straight"][key]
        assert all(value is None or value == whole for value, whole in zip(values[:3], straight[:3], strict=True)), key


def test_simulate_says_where_it_listens_and_that_nothing_is_real(tmp_path: Path) -> None:
    process = program(tmp_path, "simulate", "--port", "0", "--coins", "3", "--json")
    assert process.stdout is not None
    too_late = threading.Timer(60, process.kill)
    too_late.start()
    said = process.stdout.readline()
    too_late.cancel()
    process.send_signal(signal.SIGINT)
    code, _, err = ended(process)
    assert json.loads(said)["url"].startswith("http://127.0.0.1:")
    assert (code, "ERROR" in err, "lake is" in err) == (130, False, False), err
