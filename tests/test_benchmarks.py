"""What the benchmarks compare is the same work: no rival's result is another than ours."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import checks
import duckdb
import frame
import pytest
import work

from once import once

COINS, YEARS = "4", "2"


def test_a_ratio_is_of_rounds_side_by_side_and_tells_its_spread() -> None:
    measured = {"coinlake": {"wall_s": [1.0, 4.0, 3.0]}, "other": {"wall_s": [2.0, 2.0, 2.0]}}
    assert frame.ratio(measured, "other", "wall_s") == (1.5, 0.5, 2.0)


def test_nothing_is_told_of_a_race_whose_results_differ() -> None:
    def run() -> dict[str, float]:
        return {"wall_s": 1.0, "cpu_s": 1.0, "peak_mib": 1.0}

    def differ() -> str:
        raise checks.DisagreementError("they differ")

    with pytest.raises(checks.DisagreementError):
        frame.race({"coinlake": run, "other": run}, 2, differ)


@pytest.fixture(scope="module")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small lake, and with something new in silver, what the usual pipeline reads, and what two rivals made."""
    return once(tmp_path_factory, "lakes", _fill)


def _fill(folder: Path) -> None:
    work.prepare(folder, COINS, YEARS, "one-more", "corrected")()
    work.land(folder, "one-more")()
    for state in ("one-more", "corrected"):
        work.update(folder, state, *work.SCRIPTS)()
        work.rebuild(folder, state, *work.SCRIPTS)()
    ran(folder, "duckdb_copy", "done", *work.TABLES)
    ran(folder, "polars_script", "done")


def ran(folder: Path, name: str, state: str, *more: str) -> Path:
    """A rival, to its end; where its result lies."""
    after = work.rival(folder, name, state, *more)()
    if after is not None:
        after()
    return folder / f"{state}-{name}"


@pytest.mark.slow(seconds=20)
@pytest.mark.parametrize(
    ("name", "state"), [("pandas_script", "done"), ("polars_script", "corrected"), ("usual_pipeline", "one-more")]
)
def test_a_script_finds_what_we_find(lakes: Path, name: str, state: str) -> None:
    ours = lakes / (state if state == "done" else f"{state}-updated")
    assert "39 columns" in checks.agree(ours, ran(lakes, name, state), *work.SCRIPTS)


@pytest.mark.slow(seconds=20)
def test_a_limit_writes_and_computes_what_we_do(lakes: Path) -> None:
    checks.copied(lakes / "done", lakes / "done-duckdb_copy", *work.TABLES)
    assert "24 columns" in checks.agree_where_known(lakes / "done", ran(lakes, "talib_loop", "done"), "indicators")


@pytest.mark.slow(seconds=20)
@pytest.mark.parametrize("state", ["one-more", "corrected"])
def test_what_is_brought_up_to_date_is_what_is_made_anew(lakes: Path, state: str) -> None:
    checks.same(lakes / f"{state}-updated", lakes / f"{state}-rebuilt", *work.SCRIPTS)


@pytest.mark.slow(seconds=20)
@pytest.mark.parametrize("change", ["close_usd * (1 + 1e-5)", "nullif(close_usd, close_usd)", "'nan'::double"])
def test_a_result_that_is_not_ours_is_refused(lakes: Path, tmp_path: Path, change: str) -> None:
    made = lakes / "done-polars_script"
    shutil.copy(made / "daily.parquet", tmp_path / "daily.parquet")
    checks.agree(lakes / "done", tmp_path, "daily")
    duckdb.sql(
        f"copy (select * replace ({change} as close_usd) from '{made}/daily.parquet') to '{tmp_path}/daily.parquet'"
    )
    with pytest.raises(checks.DisagreementError):
        checks.agree(lakes / "done", tmp_path, "daily")


@pytest.mark.slow(seconds=20)
@pytest.mark.parametrize(
    "pair", [(work.ask_coin, work.ask_coin_of_parquet), (work.ask_as_of, work.ask_as_of_of_polars)]
)
def test_rivals_answer_a_question_as_we_do(lakes: Path, pair: tuple[Callable[[Path], Any], ...]) -> None:
    ours, theirs = (each(lakes)() for each in pair)
    assert ours == theirs


def test_a_rival_that_breaks_off_is_left_out_and_told_of() -> None:
    def run() -> dict[str, float]:
        return {"wall_s": 1.0, "cpu_s": 1.0, "peak_mib": 1.0}

    def break_off() -> dict[str, float]:
        raise frame.BrokeOffError(-9, "/where/it/lies")

    found = frame.race({"coinlake": run, "other": break_off}, 2, lambda: "the same")
    assert found["left_out"] == {"other": "it was killed by signal 9"}
    assert list(found["measured"]) == ["coinlake"]
    with pytest.raises(frame.BrokeOffError):
        frame.race({"coinlake": break_off, "other": run}, 2, lambda: "the same")
