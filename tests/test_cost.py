"""Truths about the bill: it is the sum of its items, counts what runs counted, and what is free costs nothing."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coinlake import catalog, meter
from coinlake.cost import CALLS, DAYS_A_MONTH, LOOK, LOOKS_BACK, PRICES, RECORDS, monthly
from coinlake.duck import connect
from coinlake.engine import engine
from coinlake.errors import ConfigError
from coinlake.health import age
from coinlake.lake import Lake
from coinlake.objects import Objects
from coinlake.pipeline import Done, Run, begin, clean_objects, end, pending
from coinlake.progress import silent
from coinlake.table import Timestamp
from lakes import Program

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def recorded(
    lake: Lake, name: str, command: str, days_ago: float, lasted_s: float, plan: str = "demo", **turns: int
) -> None:
    """A run that took so long and turned to storage so often."""
    run = Run(name, command, plan, NOW - timedelta(days=days_ago))
    done = Done()
    begin(lake, run)
    for what, number in turns.items():
        for _ in range(number):
            meter.count(what)
    end(lake, run, done, run.began_at + timedelta(seconds=lasted_s), lasted_s, None)
    clean_objects(lake, engine("duckdb"), pending(lake), Done(), silent)


def amounts(lake: Lake) -> dict[str, float]:
    """By item, how much of it a month takes."""
    return {item.item: item.a_month for item in monthly(lake, NOW)["items"]}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.at(str(tmp_path / "lake"))


def test_an_object_that_is_written_read_or_listed_is_counted(tmp_path: Path) -> None:
    before = meter.reading()
    objects = Objects(str(tmp_path))
    objects.put("a", b"1")
    objects.put_over("a", b"2")
    assert objects.get("a") == b"2" and [each.path for each in objects.list()] == ["a"]
    objects.delete("a")
    assert meter.since(before) == {"deleted": 1, "listed": 1, "read": 1, "written": 2}


def test_a_bill_comes_from_what_runs_counted(lake: Lake) -> None:
    recorded(lake, "a", "ingest", 0.5, 100, written=10, opened=3)
    turns = Counter({"written": 10 + 1, "opened": 3}) + RECORDS
    per_run = sum(CALLS[what][0] * number for what, number in turns.items())
    found = amounts(lake)
    of_looks = sum(CALLS[what][0] * number for what, number in LOOK.items()) * 24
    assert found[PRICES["class_a"].item] == pytest.approx((per_run + of_looks) * DAYS_A_MONTH)
    assert found[PRICES["memory"].item] < found[PRICES["cpu"].item] * 2  # bronze has one GiB, the look at gold two


def test_a_bill_is_the_sum_of_its_items_and_what_is_free_costs_nothing(lake: Lake) -> None:
    recorded(lake, "a", "ingest", 0.5, 600, written=20, committed=10)
    bill = monthly(lake, NOW)
    assert bill["usd_a_month"] == pytest.approx(sum(item.usd for item in bill["items"]), abs=1e-3)
    assert [item.item for item in bill["items"] if item.a_month <= item.free and item.usd] == []
    assert {item.item for item in bill["items"]} == {price.item for price in PRICES.values()}


def test_beyond_what_is_free_a_second_costs_its_price(lake: Lake) -> None:
    recorded(lake, "a", "run", 0.5, 20_000)
    (cpu,) = [item for item in monthly(lake, NOW)["items"] if item.item == PRICES["cpu"].item]
    assert cpu.usd == pytest.approx((cpu.a_month - PRICES["cpu"].free) * PRICES["cpu"].usd, rel=1e-3) and cpu.usd > 10


def test_the_same_runs_over_more_days_cost_less_a_month(lake: Lake, tmp_path: Path) -> None:
    other = Lake.at(str(tmp_path / "other"))
    for name, here, there in (("a", 1.4, 3.4), ("b", 0.5, 0.5)):
        recorded(lake, name, "clean", here, 50, committed=7)
        recorded(other, name, "clean", there, 50, committed=7)
    item, looks = PRICES["class_a"].item, 24 * DAYS_A_MONTH * sum(CALLS[each][0] * LOOK[each] for each in LOOK)
    assert amounts(lake)[item] - looks == pytest.approx((amounts(other)[item] - looks) * 2)


def test_two_daily_runs_are_two_days_however_near_they_began(lake: Lake, tmp_path: Path) -> None:
    other = Lake.at(str(tmp_path / "other"))
    seconds = timedelta(seconds=2) / timedelta(days=1)
    for name, here, there in (("a", 1.4 - seconds, 1.4), ("b", 0.4, 0.4)):
        recorded(lake, name, "ingest", here, 600)
        recorded(other, name, "ingest", there, 600)
    assert monthly(lake, NOW)["days"] == monthly(other, NOW)["days"] == 2
    assert amounts(lake) == pytest.approx(amounts(other), rel=1e-3)


def test_the_secret_is_read_by_bronze_and_only_where_there_is_a_key(lake: Lake, tmp_path: Path) -> None:
    keyless = Lake.at(str(tmp_path / "keyless"))
    for name, command in (("a", "ingest"), ("b", "clean"), ("c", "analyze")):
        recorded(lake, name, command, 0.4, 60)
        recorded(keyless, name, command, 0.4, 60, plan="keyless")
    read, versions = PRICES["accesses"].item, PRICES["secrets"].item
    assert (amounts(lake)[read], amounts(lake)[versions]) == (pytest.approx(DAYS_A_MONTH, abs=1e-3), 1)
    assert (amounts(keyless)[read], amounts(keyless)[versions]) == (0, 0)


def test_what_the_images_take_is_assumed_and_says_so(lake: Lake) -> None:
    recorded(lake, "a", "ingest", 0.4, 60)
    (images,) = [item for item in monthly(lake, NOW)["items"] if item.item == PRICES["images"].item]
    assert images.by.startswith("assumed: ") and 0.7 < images.a_month < 1.5 and images.usd > 0


def test_a_run_before_the_month_is_not_on_the_bill(lake: Lake) -> None:
    recorded(lake, "a", "ingest", LOOKS_BACK.days + 1, 100, written=10)
    with pytest.raises(ConfigError, match="no run of the last 30 days"):
        monthly(lake, NOW)


def test_a_run_that_nobody_counted_says_so(lake: Lake) -> None:
    record = {"run": "old", "command": "run", "plan": "demo", "began_at": "2026-01-31T00:00:00Z"}
    ended = {
        **record,
        "at": "2026-01-31T00:01:00Z",
        "ended_at": "2026-01-31T00:01:00Z",
        "lasted_s": 60,
        "outcome": "ok",
    }
    lake.objects.put("_runs/old-ended.json", json.dumps(ended).encode())
    clean_objects(lake, engine("duckdb"), pending(lake), Done(), silent)
    assert monthly(lake, NOW)["runs_without_count"] == 1


def test_the_command_prints_every_item_and_the_sum(lake: Lake, tmp_path: Path) -> None:
    recorded(lake, "a", "ingest", 0.5, 600, written=20, committed=10)
    program = Program(tmp_path, {"now": "2026-01-31T12:00:00Z", "lake": "lake"})
    shown = program("cost")
    assert shown.code == 0 and "USD a month" in shown.out and "class A" in shown.out
    assert program("cost", "--json").json["usd_a_month"] > 0


def test_an_empty_lake_has_no_bill(tmp_path: Path) -> None:
    ended = Program(tmp_path, {"lake": "lake"})("cost")
    assert ended.code == 3 and "no run" in ended.err


def test_a_look_at_gold_turns_to_storage_as_often_as_the_bill_says(lake: Lake) -> None:
    daily = catalog.table("gold.daily")
    values = {"coin_id": "'a'", "day": "date '2026-01-30'", "source": "'coingecko'", "flags": "''"}
    given = ", ".join(
        f"{values.get(name, 1)}::{each.type.value} as {name}"
        for name, each in daily.columns.items()
        if each.type != Timestamp
    )
    moment = "timestamptz '2026-01-31 00:00:00Z' as close_observed_at"
    lake.replace(daily, connect().sql(f"select {given}, {moment}"), {})
    before = meter.reading()
    assert age(lake, NOW)["gold_age_hours"] == 12
    assert meter.since(before) == dict(LOOK)
