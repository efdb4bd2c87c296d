"""Whatever of a lake is damaged is named with what mends it, and everything else ends with one clear sentence."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import coinlake as library
from coinlake import catalog, pipeline
from coinlake.errors import LakeError
from coinlake.lake import Lake
from once import once
from servers import replay
from test_cli import REPLAY, Done, coinlake

ASKED = ("--coins", "bitcoin,nosuchcoin", "--days", "30")
Damage = Callable[[Path], None]


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:100])


def scramble(file: Path) -> None:
    """Other bytes, and as many."""
    held = file.read_bytes()
    file.write_bytes(held[:8] + bytes(each ^ 0x5A for each in held[8:-8]) + held[-8:])


@pytest.fixture(scope="module")
def made(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a small lake was made by one run."""

    def make(folder: Path) -> None:
        with replay(shared) as market:
            done = coinlake(folder, "run", *ASKED, **REPLAY, COINLAKE_API_URL=market.url)
        assert done.returncode == 0, done.stderr

    return once(tmp_path_factory, "doctored", make)


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """The same to be damaged."""
    shutil.copytree(made / "data", tmp_path / "data")
    return tmp_path


def ask(folder: Path, *words: str) -> Done:
    return coinlake(folder, *words, **REPLAY, COINLAKE_LOG="text", COINLAKE_API_URL="http://127.0.0.1:9/api/v3")


def findings(folder: Path) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(ask(folder, "doctor", "--json").stdout)["findings"]
    return found


def data_files(folder: Path, table: str) -> list[Path]:
    return sorted((folder / "data" / table.replace(".", "/")).rglob("part-*.parquet"))


def rows(folder: Path, table: str) -> Any:
    return json.loads(ask(folder, "query", f"select count(*) as n from {table}", "--json").stdout)[0]["n"]


# Tables --------------------------------------------------------------------------------------------------------------


def test_every_data_file_that_is_missing_or_cut_short_is_named_and_mended_as_doctor_says(folder: Path) -> None:
    files = {name: data_files(folder, name) for name in catalog.entries()}
    silver = {name: rows(folder, name) for name in files if name.startswith("silver.") and name != "silver.runs"}
    assert {"silver.prices", "silver.rejects", "silver.runs", "gold.daily"} <= {name for name in files if files[name]}
    for number, file in enumerate(file for name in files for file in files[name]):
        cut(file) if number % 2 else file.unlink()
    told = ask(folder, "doctor")
    assert told.returncode == 7
    found = findings(folder)
    for name, damaged in files.items():
        for file in damaged:
            (finding,) = (each for each in found if file.name in each["what"])
            assert finding["what"].startswith(f"{name}: ")
            assert finding["severity"] == "error"
            assert f"coinlake rebuild --layer {name.split('.')[0]}" in finding["mend"]
    for layer in ("silver", "gold"):
        assert ask(folder, "rebuild", "--layer", layer).returncode == 0
    assert ask(folder, "doctor").returncode == 0
    assert {name: rows(folder, name) for name in silver} == silver


@pytest.mark.parametrize(
    ("table", "damage"),
    [("silver.prices", scramble), ("silver.rejects", Path.unlink), ("silver.runs", cut), ("gold.daily", scramble)],
)
def test_a_table_is_mended_by_the_command_that_doctor_names(folder: Path, table: str, damage: Damage) -> None:
    before = {name: rows(folder, name) for name in ("silver.prices", "silver.rejects", "gold.daily")}
    damage(data_files(folder, table)[0])
    (finding,) = (each for each in findings(folder) if each["severity"] == "error")
    assert finding["what"].startswith(f"{table}: ")
    command = finding["mend"].split("`")[1].split()
    assert ask(folder, *command[1:]).returncode == 0
    assert ask(folder, "analyze").returncode == 0
    assert [each for each in findings(folder) if each["severity"] == "error"] == []
    assert {name: rows(folder, name) for name in before} == before


def test_doctor_goes_on_with_what_it_can_still_look_at(folder: Path) -> None:
    data_files(folder, "gold.daily")[0].unlink()
    (folder / "data" / "gold" / "market" / "_delta_log" / f"{0:020d}.json").write_text("no commit")
    half = folder / "data" / "bronze" / "coingecko" / "half.jsonl.gz#1"
    half.write_bytes(b"\x1f\x8b")
    answers = bronze_of(folder, "coins_market_chart")
    cut(answers)
    told = " ".join(each["what"] for each in findings(folder))
    for name in ("gold.daily", "gold/market ", half.name, answers.name):
        assert name in told


COMMANDS = {
    "gold.daily": (
        ("status",),
        ("query", "from gold.daily"),
        ("query", "from gold.daily", "--format", "csv", "--output", "out.csv"),
        ("report", "--output", "out.html"),
        ("rebuild", "--layer", "gold", "--tables", "gold.indicators"),
    ),
    "silver.prices": (
        ("status",),
        ("run", *ASKED),
        ("ingest", *ASKED, "--dry-run"),
        ("query", "select count(distinct price_usd) from silver.prices"),
        ("query", "from current.prices"),
        ("query", "from gold.daily", "--as-of", "2022-02-02T00:00:00Z"),
        ("rebuild", "--layer", "gold"),
    ),
}


@pytest.mark.parametrize("damage", [Path.unlink, scramble])
@pytest.mark.parametrize("table", COMMANDS)
def test_what_needs_a_damaged_file_ends_with_7_and_one_sentence(folder: Path, table: str, damage: Damage) -> None:
    damage(data_files(folder, table)[0])
    for words in COMMANDS[table]:
        done = ask(folder, *words)
        said = done.stderr.splitlines()[-1]
        assert done.returncode == 7, (words, said)
        assert said.startswith(f"coinlake: {table}: "), words
        assert said.endswith("run `coinlake doctor`"), words
        assert not (folder / words[-1]).is_file()


def test_what_the_log_tells_of_a_table_needs_none_of_its_files(folder: Path) -> None:
    before = ask(folder, "tables", "--json").stdout
    data_files(folder, "gold.daily")[0].unlink()
    assert ask(folder, "tables", "--json").stdout == before


def test_a_run_that_met_a_damaged_file_is_recorded_as_such(folder: Path) -> None:
    data_files(folder, "silver.prices")[0].unlink()
    ask(folder, "run", *ASKED)
    last = json.loads(ask(folder, "query", "from silver.runs order by began_at, run desc", "--json").stdout)
    assert "LakeError" in {row["outcome"] for row in last}


def test_a_wrong_question_is_its_own_fault_even_over_a_damaged_lake(folder: Path) -> None:
    data_files(folder, "silver.prices")[0].unlink()
    for wrong in ("selec 1", "select nothing from gold.daily", "select cast(coin_id as int) from gold.daily"):
        assert ask(folder, "query", wrong).returncode == 3
    assert ask(folder, "query", "from gold.daily").returncode == 0


def test_the_library_says_of_a_damaged_file_what_the_command_line_says(folder: Path) -> None:
    data_files(folder, "gold.daily")[0].unlink()
    view = library.open(str(folder / "data")).table("gold.daily")
    for read in (view.to_arrow, view.to_pandas, view.to_polars, view.to_duckdb):
        with pytest.raises(LakeError, match=r"gold\.daily: .* is missing; run `coinlake doctor`"):
            read()


@pytest.mark.parametrize("written", [b"{nonsense", b'{"add": 5}\n', bytes(range(256))])
def test_a_damaged_log_is_one_clean_sentence(folder: Path, written: bytes) -> None:
    log = folder / "data" / "gold" / "daily" / "_delta_log"
    sorted(log.glob("*.json"))[-1].write_bytes(written)
    done = ask(folder, "query", "from gold.daily")
    assert (done.returncode, done.stderr.count("\n")) == (7, 1)
    assert "<unknown>" not in done.stderr
    told = next(each for each in findings(folder) if each["severity"] == "error")
    assert "\n" not in told["what"]
    assert "<unknown>" not in told["what"]
    assert "run `coinlake doctor`" not in told["what"]


# Bronze --------------------------------------------------------------------------------------------------------------


def bronze_of(folder: Path, endpoint: str) -> Path:
    return next((folder / "data" / "bronze" / "coingecko" / endpoint).rglob("*.jsonl.gz"))


@pytest.mark.parametrize("damage", [Path.unlink, cut])
def test_silver_is_not_emptied_where_bronze_can_no_longer_give_its_rows_back(folder: Path, damage: Damage) -> None:
    before = rows(folder, "silver.prices")
    answers = bronze_of(folder, "coins_market_chart")
    damage(answers)
    done = ask(folder, "rebuild", "--layer", "silver")
    assert done.returncode == 7
    assert answers.name in done.stderr
    assert "restore it from a copy" in done.stderr
    assert rows(folder, "silver.prices") == before
    assert ask(folder, "rebuild", "--layer", "silver", "--tables", "silver.markets").returncode == 0
    shutil.rmtree(folder / "data" / "silver" / "prices")
    assert ask(folder, "rebuild", "--layer", "silver").returncode == 0


def test_an_object_that_never_gave_rows_keeps_nobody_from_a_rebuild(folder: Path) -> None:
    before = rows(folder, "silver.prices")
    (bronze_of(folder, "coins_market_chart").parent / "zz.jsonl.gz").write_bytes(gzip.compress(b"no answer"))
    assert ask(folder, "rebuild", "--layer", "silver").returncode == 0
    assert rows(folder, "silver.prices") == before


def test_what_was_refused_is_refused_again_when_only_the_rejects_are_rebuilt(folder: Path) -> None:
    before = rows(folder, "silver.rejects")
    assert before
    assert ask(folder, "rebuild", "--layer", "silver", "--tables", "silver.rejects").returncode == 0
    assert rows(folder, "silver.rejects") == before


# Runs ----------------------------------------------------------------------------------------------------------------


def test_a_run_that_was_killed_before_anything_was_cleaned_shows_at_once(folder: Path) -> None:
    began = datetime(2022, 2, 1, 0, 50, tzinfo=UTC)
    lake = Lake.at(str(folder / "data"))
    pipeline.begin(lake, pipeline.Run("zzzkilled", "run", "keyless", began))
    last = json.loads(ask(folder, "status", "--json").stdout)["runs"][0]
    assert (last["run"], last["outcome"], last["ended_at"]) == ("zzzkilled", "never ended", None)
    assert [each["what"] for each in findings(folder) if "never ended" in each["what"]] == [
        "run zzzkilled of 2022-02-01 00:50 UTC never ended: it was killed, or goes on"
    ]
    later = pipeline.Run("zzzlater", "run", "keyless", began + timedelta(minutes=5))
    pipeline.begin(lake, later)
    assert len([each for each in findings(folder) if "never ended" in each["what"]]) == 2
    pipeline.end(lake, later, pipeline.Done(), began + timedelta(minutes=6), 60.0, None)
    assert not [each for each in findings(folder) if "never ended" in each["what"]], "the later one made up for it"


def test_a_damaged_record_of_a_run_is_named_and_stops_nothing(folder: Path) -> None:
    record = folder / "data" / "bronze" / "_runs" / "zzz-begun.json"
    record.write_bytes(b'{"run": "zz')
    assert ask(folder, "status").returncode == 0
    assert any(record.name in each["what"] and each["severity"] == "error" for each in findings(folder))
