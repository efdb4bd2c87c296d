"""A lake filled from the simulated market itself is the lake that fetching and cleaning would have made."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as trying
from hypothesis import strategies as st

from coinlake import catalog, fill
from coinlake.answer import Answer
from coinlake.bronze.kind import MARK, is_simulated
from coinlake.engine import engine
from coinlake.errors import ConfigError
from coinlake.progress import Progress, silent
from coinlake.settings import load
from coinlake.silver.clean import clean
from coinlake.simulator import Options, running
from coinlake.simulator.market import Points
from coinlake.simulator.printing import floats, pairs, text
from coinlake.simulator.traps import none
from coinlake.wiring import Workspace, workspace
from lakes import Program, bronze_lines, differences, opened, rows_twice
from once import once

NOW = "2023-10-01T00:45:00Z"
"""Some months after a coin was listed, so that not all have every day."""
COINS, DAYS = 25, 400
BUCKET = fill.Bucket(COINS, DAYS)
DAY_MS = 86_400_000


def work_on(root: Path, now: str = NOW, **flags: str) -> Workspace:
    """A workspace on a lake of its own."""
    given = {"lake": str(root), "now": now, **flags}
    return workspace(load(given, {"COINLAKE_API_KEY": "any"}, root.parent).settings, silent)


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lake that the ordinary way makes of a market without dirt, over HTTP."""
    return once(tmp_path_factory, "fetched", _fetch) / "lake"


def _fetch(folder: Path) -> None:
    options = Options(COINS, plan="analyst", rate=0, now=NOW, speed=0, traps=none(), lasting=True)
    with running(options) as simulator:
        flags = {"api_url": simulator.url, "plan": "analyst", "rate": "0", "top": str(COINS), "days": str(DAYS)}
        work_on(folder / "lake", simulator.clock_url, **flags).run()


@pytest.mark.slow(seconds=20)
def test_a_silver_that_was_filled_and_its_gold_are_those_of_the_ordinary_way(fetched: Path, tmp_path: Path) -> None:
    work = work_on(tmp_path / "lake")
    report = fill.into_silver(work, BUCKET, block_rows=10 * DAYS)
    work.analyze()
    assert differences(fetched, tmp_path / "lake") == []
    assert rows_twice(tmp_path / "lake") == {}
    assert (COINS - 1) * DAYS < report.rows["silver.prices"] < COINS * DAYS
    assert prices(fetched) == prices(tmp_path / "lake")


def prices(lake: Path) -> list[tuple[object, ...]]:
    """What is in silver.prices, but for where it came from."""
    values = "source, coin_id, granularity, observed_at, price_usd, market_cap_usd, volume_24h_usd, flags, fetched_at"
    return opened(lake).sql(f'select {values} from "silver.prices" order by all').fetchall()


def test_every_row_says_that_it_was_filled_and_the_lake_that_it_is_simulated(tmp_path: Path) -> None:
    work = work_on(tmp_path / "lake")
    fill.into_silver(work, fill.Bucket(3, 30))
    con = opened(tmp_path / "lake")
    for table in ("prices", "markets", "coins", "global_market"):
        found = con.sql(f"""select bool_and(bronze_object like '{fill.FILLED}/%') from "silver.{table}" """).fetchall()
        assert found == [(True,)], table
    assert is_simulated(work.lake.objects)


@pytest.mark.slow(seconds=20)
def test_a_bronze_that_was_filled_holds_the_answers_of_the_ordinary_way(fetched: Path, tmp_path: Path) -> None:
    work = work_on(tmp_path / "lake")
    report = fill.into_bronze(work, BUCKET)
    answers = [
        sorted((each.envelope["path"], str(each.envelope["params"]), each.body) for each in bronze_lines(lake))
        for lake in (fetched, tmp_path / "lake")
    ]
    assert answers[0] == answers[1]
    assert report.answers == len(answers[1])
    assert all(
        each.is_whole and "x-coinlake-simulated" in each.envelope["headers"] for each in bronze_lines(tmp_path / "lake")
    )
    work.clean()
    assert prices(fetched) == prices(tmp_path / "lake")


def test_dirt_comes_into_bronze_on_demand(tmp_path: Path) -> None:
    work = work_on(tmp_path / "lake")
    fill.into_bronze(work, fill.Bucket(3, 30, traps={"now_point": 1.0}))
    work.clean()
    found = opened(tmp_path / "lake").sql("""select distinct granularity from "silver.prices" order by 1""").fetchall()
    assert found == [("daily",), ("spot",)]


def test_another_seed_fills_another_market(tmp_path: Path) -> None:
    closes = []
    for seed in (7, 8):
        fill.into_silver(work_on(tmp_path / str(seed)), fill.Bucket(1, 10, seed))
        con = opened(tmp_path / str(seed))
        closes.append(con.sql("""select price_usd from "silver.prices" order by observed_at""").fetchall())
    assert len(closes[0]) == len(closes[1]) == 10
    assert not set(closes[0]) & set(closes[1])


def test_years_before_the_market_began_are_left_out(tmp_path: Path) -> None:
    report = fill.into_silver(work_on(tmp_path / "lake", "2014-06-01T12:00:00Z"), fill.Bucket(2, 20 * 365))
    assert 365 < report.rows["silver.prices"] < 5 * 365


def test_progress_is_told_block_by_block(tmp_path: Path) -> None:
    told: list[Progress] = []
    settings = load({"lake": str(tmp_path / "lake"), "now": NOW}, {}, tmp_path).settings
    fill.into_silver(workspace(settings, told.append), fill.Bucket(6, 30), block_rows=60)
    assert [(each.step, each.done, each.total) for each in told] == [(fill.STEP, done, 6) for done in (0, 2, 4, 6)]


# What is refused -----------------------------------------------------------------------------------------------------


def test_a_lake_of_a_real_market_is_not_filled(tmp_path: Path) -> None:
    work = work_on(tmp_path / "lake")
    work.lake.objects.put("coingecko/global/date=2022-02-01/x.jsonl.gz", b"")
    for pour in (fill.into_silver, fill.into_bronze):
        with pytest.raises(ConfigError, match="holds a real market"):
            pour(work, BUCKET)
    assert not (tmp_path / "lake/silver").exists()
    assert not (tmp_path / "lake/bronze" / MARK).exists()


def test_a_lake_that_holds_rows_or_answers_is_not_filled_again(tmp_path: Path) -> None:
    small = fill.Bucket(2, 10)
    with_rows, with_answers = work_on(tmp_path / "rows"), work_on(tmp_path / "answers")
    fill.into_silver(with_rows, small)
    fill.into_bronze(with_answers, small)
    for pour in (fill.into_silver, fill.into_bronze):
        with pytest.raises(ConfigError, match=r"already holds rows of silver\.\w+; set COINLAKE_LAKE"):
            pour(with_rows, small)
        with pytest.raises(ConfigError, match="already holds answers; set COINLAKE_LAKE"):
            pour(with_answers, small)


def test_silver_is_not_filled_with_dirt(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="without dirt"):
        fill.into_silver(work_on(tmp_path / "lake"), fill.Bucket(2, 10, traps={"gaps": 1.0}))


def test_a_moment_outside_the_markets_time_fills_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="from 2014-01-01"):
        fill.into_silver(work_on(tmp_path / "lake", "2013-01-01T00:45:00Z"), BUCKET)
    assert not (tmp_path / "lake/silver/prices").exists()


# Flags ---------------------------------------------------------------------------------------------------------------

ODD = st.lists(
    st.tuples(
        st.sampled_from([0.0, 1.0, 1.0, 1.0, 9.0, 10.0, 11.0, 200.0]),
        st.sampled_from([0.0, 5.0, 5.0, 5.0, 51.0, np.nan]),
        st.sampled_from([0.0, 2.0, 2.0, 2.0, 21.0]),
    ),
    min_size=4,
    max_size=12,
)


@trying(max_examples=15)
@given(ODD)
def test_flags_are_those_that_cleaning_finds(points: list[tuple[float, float, float]]) -> None:
    price, cap, volume = (np.array([series]) for series in zip(*points, strict=True))
    found = fill.flagged(Points(price, cap, volume))[0]
    assert {n * DAY_MS: fill.FLAGS[each] for n, each in enumerate(found, start=19_000)} == _cleaned(
        {"prices": price[0], "market_caps": cap[0], "total_volumes": volume[0]}
    )


def _cleaned(series: Mapping[str, np.ndarray]) -> dict[int, str]:
    """Flags by moment (ms) of a daily chart, as cleaning gives them."""
    moments = [n * DAY_MS for n in range(19_000, 19_000 + len(series["prices"]))]
    body = text({name: pairs(moments, floats(values)) for name, values in series.items()}).encode()
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=moments[-1])
    params = {"vs_currency": "usd", "days": str(len(moments) - 1), "interval": "daily", "precision": "full"}
    answer = Answer("coingecko", "coins_market_chart", "/coins/x/market_chart", params, 200, {}, at, at, 1, body)
    prices, _ = clean([("x", 1, answer)], catalog.readers(), engine("duckdb"))
    return dict(prices.rows.project("epoch_ms(observed_at)::BIGINT, flags").fetchall())


# The command ---------------------------------------------------------------------------------------------------------


def test_the_command_fills_a_lake_says_what_and_where_and_does_it_once(tmp_path: Path) -> None:
    program = Program(tmp_path, {"now": NOW})
    done = program("simulate", "--into-silver", "--coins", "3", "--years", "1", "--log", "text")
    assert done.code == 0, done.err
    assert done.err.splitlines()[-1].startswith("1,102 rows (3 of silver.markets, ")
    assert "1,095 of silver.prices) in data/silver after " in done.err.splitlines()[-1]
    assert program("analyze").code == 0
    assert (
        len(program.query("select rank, symbol, price_usd from gold.market_summary where return_30d is not null")) == 3
    )
    again = program("simulate", "--into-silver", "--coins", "3")
    assert (again.code, again.err.count("already holds rows of silver.")) == (3, 1)


def test_the_command_fills_bronze_for_cleaning(tmp_path: Path) -> None:
    program = Program(tmp_path, {"now": NOW})
    done = program("simulate", "--into-bronze", "--coins", "2", "--years", "1", "--json")
    assert done.code == 0, done.err
    assert done.json["answers"] == 6
    assert program("clean", "--json").json["rows"]["silver.prices"] == 2 * 365


def test_the_command_fills_one_layer_at_a_time(tmp_path: Path) -> None:
    done = Program(tmp_path)("simulate", "--into-silver", "--into-bronze")
    assert done.code == 2
    assert "fill one layer" in done.err
