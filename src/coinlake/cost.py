"""What the recorded runs would cost a month on Google Cloud, item by item, against what is free.

How long runs took and how often they turned to storage is counted, in `silver.runs`; how much lies there is listed.
What one look at a table comes to in calls was counted on a storage server (`CALLS`). Only what is marked so is assumed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from coinlake import catalog
from coinlake.duck import bring, connect
from coinlake.errors import ConfigError
from coinlake.lake import Lake
from coinlake.objects import Objects

LOOKS_BACK = timedelta(days=30)
DAYS_A_MONTH = 365.25 / 12


@dataclass(frozen=True)
class Price:
    """USD for `per` of a unit beyond what is free a month, in Sydney (australia-southeast1)."""

    item: str
    unit: str
    usd: float
    per: float = 1
    free: float = 0


PRICES: Mapping[str, Price] = {
    # Cloud Run's free tier is money at the price of tier 1, which in tier 2 buys less.
    "cpu": Price("Cloud Run: processor", "vCPU-seconds", 0.0000336, free=128_571),
    "memory": Price("Cloud Run: memory", "GiB-seconds", 0.0000035, free=257_142),
    "requests": Price("Cloud Run: requests", "requests", 0.40, 1e6, 2e6),
    "bytes": Price("Cloud Storage: what lies there", "GiB", 0.023),
    "class_a": Price("Cloud Storage: class A (writes, listings)", "calls", 0.005, 1e3),
    "class_b": Price("Cloud Storage: class B (reads)", "calls", 0.0004, 1e3),
    "messages": Price("Pub/Sub: messages", "GiB", 40 / 1024, free=10),
    "schedules": Price("Scheduler: jobs", "jobs", 0.10, free=3),
    "secrets": Price("Secret Manager: versions", "versions", 0.06, free=6),
    "accesses": Price("Secret Manager: reads", "reads", 0.03, 1e4, 1e4),
    "images": Price("Artifact Registry: images", "GiB", 0.10, free=0.5),
    "logs": Price("Logging", "GiB", 0.50, free=50),
    "alerts": Price("Monitoring: alert conditions", "conditions", 0.10),
}
"""Every price there is. The 5 GB of storage that are free are so in the US only."""

CALLS: Mapping[str, tuple[float, float]] = {
    "written": (1, 0),
    "read": (0, 1),
    "listed": (1, 0),
    "deleted": (0, 0),
    "opened": (1, 12),  # one listing; the log since the last checkpoint (5 commits on average) is read twice
    "committed": (5.2, 2),  # a data file, the commit, three listings; every tenth time a checkpoint of two objects
}
"""Calls of class A and B for each thing that a run is recorded to have done."""

MEMORY_GIB: Mapping[str, float] = {"ingest": 1, "clean": 1, "analyze": 2}
"""Memory of the function that does a command; whatever else a person ran is taken for the largest."""
FETCHES = frozenset({"ingest", "run", "watch"})
"""What bronze does or would do: only there is the key."""
START_S = 1.0
RECORDS = Counter({"written": 2, "committed": 1})
"""What follows the count: each run's two records of itself, and their way into silver."""
LOOK = Counter({"opened": 2})
"""What an hourly look at gold turns to."""

IMAGE_GIB = 380e6 * 0.4 / 2**30
"""What a function's image adds to Google's own layers: 380 MB of site-packages, compressed to about 40 %."""
IMAGES = 6

ASSUMED: Mapping[str, tuple[float, str]] = {
    "schedules": (3, "two daily calls and the hourly look"),
    "images": (IMAGE_GIB * IMAGES, f"{IMAGES} images of {IMAGE_GIB:.2f} GiB, two for each of three functions"),
    "alerts": (4, "gold is old, nobody looks, an event died, a fetch failed"),
}
LOOK_S = 2.0
MESSAGE_BYTES = 2_048
LINES_BYTES = 20_000


@dataclass(frozen=True)
class Item:
    """One line of the bill: how much a month, how much of it is free, what it costs, and where the number is from."""

    item: str
    a_month: float
    unit: str
    free: float
    usd: float
    by: str


def monthly(lake: Lake, now: datetime) -> dict[str, Any]:
    """What a month like the last 30 days of runs would cost, item by item and together.

    Raises:
        ConfigError: no run has been recorded in that time.
    """
    runs = _runs(lake, now - LOOKS_BACK)
    if not runs:
        raise ConfigError(f"no run of the last {LOOKS_BACK.days} days is recorded; run `coinlake run` first")
    days = _days(run["began_at"] for run in runs)
    scale = DAYS_A_MONTH / days
    items = [_priced(name, *found) for name, found in _used(lake, runs, scale).items()]
    unmetered = sum(run["operations"] is None for run in runs)
    return {
        "runs": len(runs),
        "days": days,
        "runs_without_count": unmetered,
        "items": items,
        "usd_a_month": round(sum(item.usd for item in items), 4),
        "where": "australia-southeast1 (Sydney); without tax, currency exchange and whatever leaves Google Cloud",
    }


def _days(moments: Iterable[datetime]) -> int:
    """Days of the calendar from the first to the last, both counted: two daily runs are two days, however near."""
    dates = [each.astimezone(UTC).date() for each in moments]
    return (max(dates) - min(dates)).days + 1


def _used(lake: Lake, runs: list[dict[str, Any]], scale: float) -> dict[str, tuple[float, str]]:
    """By price, how much of it a month takes, and where the number is from."""
    turns: Counter[str] = Counter()
    for run in runs:
        turns.update(json.loads(run["operations"] or "{}"))
        turns.update(RECORDS)
    looks = 24 * DAYS_A_MONTH
    class_a, class_b = (
        sum(CALLS[what][kind] * (turns[what] * scale + LOOK[what] * looks) for what in CALLS) for kind in (0, 1)
    )
    busy = [(run["lasted_s"] + START_S, MEMORY_GIB.get(run["command"], max(MEMORY_GIB.values()))) for run in runs]
    with_key = sum(run["command"] in FETCHES and run["plan"] != "keyless" for run in runs)
    look_gib_s = looks * LOOK_S * MEMORY_GIB["analyze"]
    events = turns["written"] + turns["committed"]
    with_looks = f"counted, and {LOOK_S:g} s for each hourly look assumed"
    with_calls = "counted, and what an hourly look takes"
    return {
        "cpu": (sum(seconds for seconds, _ in busy) * scale + looks * LOOK_S, with_looks),
        "memory": (sum(seconds * gib for seconds, gib in busy) * scale + look_gib_s, with_looks),
        "requests": ((len(runs) + events) * scale + looks, with_calls),
        "bytes": (sum(_sizes(lake)) / 2**30, "listed; old versions and what was deleted are not seen"),
        "class_a": (class_a, with_calls),
        "class_b": (class_b, with_calls),
        "messages": (events * scale * MESSAGE_BYTES / 2**30, f"counted, {MESSAGE_BYTES} bytes each assumed"),
        "secrets": (1 if with_key else 0, "CoinGecko's key" if with_key else "no run had a key"),
        "accesses": (with_key * scale, "counted: runs of bronze that had a key"),
        "logs": (len(runs) * scale * LINES_BYTES / 2**30, f"counted, {LINES_BYTES} bytes a run assumed"),
        **{name: (number, f"assumed: {why}") for name, (number, why) in ASSUMED.items()},
    }


def _priced(name: str, a_month: float, by: str) -> Item:
    price = PRICES[name]
    usd = max(0.0, a_month - price.free) / price.per * price.usd
    return Item(price.item, round(a_month, 3), price.unit, price.free, round(usd, 4), by)


def _runs(lake: Lake, since: datetime) -> list[dict[str, Any]]:
    """The runs that ended, as they recorded themselves."""
    names = ("run", "command", "plan", "began_at", "lasted_s", "operations")
    con = connect()
    bring(con, lake.read(catalog.table("silver.runs"), (*names, "ended_at")), "runs")
    found = con.execute(
        f"select {', '.join(names)} from runs where ended_at is not null and began_at >= ? order by began_at, run",
        [since],
    )
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _sizes(lake: Lake) -> Iterable[int]:
    """The bytes of every object of every layer."""
    for root in (lake.bronze, lake.silver, lake.gold):
        for each in Objects(root, lake.options).list():
            yield each.size
