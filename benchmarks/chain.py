"""How long it takes from a bronze object landing until gold holds what it says, on the emulated chain, warm:
`python benchmarks/chain.py`.

The world is that of the end-to-end tests: built from the plan of infra/, with Google's Pub/Sub emulator, a Cloud
Storage of our own and each function in its own process. 250 coins with a year behind them; one more day of each lands,
again and again. Parts are told from when objects landed and from the functions' logs; the figures go to
`benchmarks/results/chain.json`.
"""

from __future__ import annotations

import json
import statistics
import sys
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT / "tests"), str(HERE)]

from frame import about, keep  # noqa: E402
from work import BEGAN_AT, DAYS, history  # noqa: E402

from coinlake.answer import pack  # noqa: E402
from coinlake.objects import Objects  # noqa: E402
from terraform import Root, offline  # noqa: E402 (a script: what it needs of the tests lies beside it)
from world import World, emulator, world  # noqa: E402

COINS, ROUNDS, AN_OBJECT = 250, 7, 50
LIMIT_S = 2.0
ASKED = "calls of storage until all is quiet, exports included"


def land(found: World, days: int, at: datetime, first: int, last: int) -> str:
    """An object with so many days of some coins; returns its name."""
    answers = [history(f"coin-{number}", days, at) for number in range(first, last)]
    path = f"coingecko/coins_market_chart/date={at:%Y-%m-%d}/{at:%Y%m%dT%H%M%SZ}-bench-{first:04d}.jsonl.gz"
    Objects(f"gs://{found.bucket('bronze')}", found.storage.options("bronze")).put(path, pack(answers))
    return path


def commits(found: World, layer: str, since: datetime) -> list[tuple[datetime, str]]:
    """The commits to a layer's tables after a moment, oldest first."""
    held = found.storage.buckets[found.bucket(layer)].items()
    return sorted(
        (each.modified_at, name) for name, each in held if "/_delta_log/0" in name and each.modified_at > since
    )


def begun(found: World, layer: str, step: str, since: datetime) -> datetime:
    """When a function's log first told of a step after a moment."""
    lines = [json.loads(line) for line in found.functions[layer].log.read_text().splitlines() if line.startswith("{")]
    times = [datetime.fromisoformat(line["time"]) for line in lines if line.get("step") == step]
    return min(each for each in times if each > since)


def one_day(found: World, day: int) -> dict[str, float]:
    """Land one more day of every coin; seconds of each part of the way."""
    at = BEGAN_AT + timedelta(days=day)
    asked = sum(found.storage.calls.values())
    path = land(found, 1, at, 0, COINS)
    landed = found.storage.buckets[found.bucket("bronze")][path].modified_at
    found.settle(quiet_s=0.5)
    cleaned = min(when for when, name in commits(found, "silver", landed) if name.startswith("prices/"))
    by_gold = commits(found, "gold", landed)
    daily = min(when for when, name in by_gold if name.startswith("daily/"))
    moments = [landed, begun(found, "silver", "clean", landed), cleaned, begun(found, "gold", "analyze", cleaned)]
    names = ("notified, pushed, found pending", "silver cleans and commits", "notified, pushed, found behind")
    parts = {name: (b - a).total_seconds() for name, a, b in zip(names, moments[:-1], moments[1:], strict=True)}
    parts["gold computes and commits gold.daily"] = (daily - moments[-1]).total_seconds()
    parts["landed to gold.daily"] = (daily - landed).total_seconds()
    parts["landed to the last gold table"] = (by_gold[-1][0] - landed).total_seconds()
    parts[ASKED] = sum(found.storage.calls.values()) - asked
    return parts


def measured(folder: Path) -> list[dict[str, float]]:
    """The parts, of every round."""
    shared = ROOT.parent / "shared"
    plan = Root.copied(folder, offline(shared)).plan()
    environ = {"COINLAKE_NOW": f"{BEGAN_AT + timedelta(days=60):%Y-%m-%dT%H:%M:%SZ}"}
    with emulator() as pubsub, world(plan, pubsub, folder, environ) as found:
        for first in range(0, COINS, AN_OBJECT):
            land(found, DAYS, BEGAN_AT, first, first + AN_OBJECT)
        found.settle(300)
        one_day(found, 1)  # warm
        return [one_day(found, day) for day in range(2, ROUNDS + 2)]


def main() -> None:
    """Measure, print a table, keep the figures; fail where it takes too long."""
    before = about()
    with TemporaryDirectory() as folder:
        rounds = measured(Path(folder))
    found: dict[str, Any] = {
        name: {
            "median_s": round(statistics.median(each[name] for each in rounds), 3),
            "least_s": round(min(each[name] for each in rounds), 3),
            "most_s": round(max(each[name] for each in rounds), 3),
        }
        for name in rounds[0]
        if name != ASKED
    }
    calls = statistics.median(each[ASKED] for each in rounds)
    for name, each in found.items():
        print(f"{each['median_s']:7.3f} s ({each['least_s']:.3f} to {each['most_s']:.3f})  {name}")
    print(f"{calls:9.0f}  {ASKED}")
    keep("chain", {"about": before, "coins": COINS, "rounds": ROUNDS, "calls": calls, "results": found})
    if found["landed to the last gold table"]["median_s"] > LIMIT_S:
        sys.exit(f"it takes more than {LIMIT_S} s")


if __name__ == "__main__":
    main()
