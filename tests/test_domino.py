"""The domino, wired from the plan of infra/: one call to bronze, and gold is there, whatever happens on the way."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from coinlake.simulator import Options, Running, running
from lakes import Program, differences, rows_twice
from storage import Call, Message, by_chance
from terraform import Root, offline
from world import SRC, Plan, World, emulator, kept_dead, world

pytestmark = pytest.mark.slow(seconds=50)
NOW = "2022-02-01T00:45:00Z"
TOP, DAYS = "4", "30"
TRIES = 5
"""The fewest that Pub/Sub knows."""


@pytest.fixture(scope="module")
def plan(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """What Terraform would make; what dies does so after TRIES."""
    root = Root.copied(tmp_path_factory.mktemp("plan"), offline(shared))
    return root.plan(delivery={"max_attempts": TRIES})


@pytest.fixture(scope="module")
def pubsub(plan: Plan) -> Iterator[str]:
    with emulator() as host:
        yield host


@pytest.fixture(scope="module")
def market() -> Iterator[Running]:
    with running(Options(coins=12, seed=5, now=NOW, speed=0, rate=0)) as found:
        yield found


@pytest.fixture(scope="module")
def environ(market: Running) -> dict[str, str]:
    """What no plan can know: which service there is, and what to ask of it."""
    told = {"API_URL": market.url, "NOW": market.clock_url, "RATE": "0", "TOP": TOP, "DAYS": DAYS}
    return {f"COINLAKE_{name}": value for name, value in {**told, "MONTHLY_CREDITS": "0"}.items()}


@pytest.fixture(scope="module")
def by_command(market: Running, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lake that the command line makes of the same answers."""
    told = {"api_url": market.url, "now": market.clock_url, "rate": "0", "top": TOP, "days": DAYS}
    program = Program(tmp_path_factory.mktemp("command"), {**told, "monthly_credits": "0"})
    done = program("run")
    assert done.code == 0, done.err
    return program.lake


def same(found: World, by_command: Path, tmp_path: Path, but: Sequence[str] = ()) -> None:
    """The lake in the buckets is the command line's; nobody asked for what his account may not."""
    lake = found.downloaded(tmp_path / "lake")
    assert differences(lake, by_command) == []
    assert rows_twice(lake) == {}
    assert [each for each in found.storage.refused if each not in but] == []


def test_one_call_to_bronze_and_gold_is_there_as_the_command_line_makes_it(
    plan: Plan, pubsub: str, environ: dict[str, str], by_command: Path, tmp_path: Path
) -> None:
    with world(plan, pubsub, tmp_path, environ) as found:
        status, said = found.call("bronze-first")
        assert (status, said["outcome"]) == (200, "ok"), found.said()
        found.settle()
        same(found, by_command, tmp_path)
        assert found.call("bronze-again")[1]["calls"] <= 2, "but for the coin lists, when one of them is empty"
        status, age = found.call("gold-look")
        assert (status, age["last_finished_day"], age["is_stale"]) == (200, "2022-01-31", False)
        found.settle()
        bucket = found.bucket("gold")
        assert "exports/market_summary.csv" in found.storage.names(bucket)


def unruly(seed: int, started: threading.Event) -> Callable[[Callable[[Message], None]], Callable[[Message], None]]:
    """A carrier that brings every notification twice, each time late by its own measure, so in any order."""
    dice = random.Random(seed)

    def carry(publish: Callable[[Message], None]) -> Callable[[Message], None]:
        def later(message: Message) -> None:
            for _ in range(2):
                threading.Timer(dice.uniform(0, 1.0), publish, [message]).start()

        return later

    return carry


def test_twice_shuffled_late_killed_and_with_a_failing_storage_it_is_the_same_gold(
    plan: Plan, pubsub: str, environ: dict[str, str], by_command: Path, tmp_path: Path
) -> None:
    with world(plan, pubsub, tmp_path, environ, unruly(1, threading.Event()), instances=2) as found:
        chance = by_chance(0.1, seed=3)
        killed: list[str] = []

        def fault(call: Call) -> str | None:
            """One call in ten fails; and once each, silver and gold are killed between two of their writes."""
            is_commit = call.action == "write" and "/_delta_log/" in call.name
            if is_commit and call.who in ("silver", "gold") and call.who not in killed:
                killed.append(call.who)
                threading.Thread(target=_kill_and_start, args=(found, call.who)).start()
                time.sleep(0.5)
            return chance(call)

        found.storage.fault = fault
        for _ in range(5):
            status, said = found.call("bronze-first")
            if status == 200:
                break
        assert status == 200, said
        found.settle(180, quiet_s=4)
        assert sorted(killed) == ["gold", "silver"]
        found.storage.fault = lambda call: None
        # Whoever may only create is refused his own second try where the first was done: that is no failure. In bronze
        # that is everybody, silver and gold below _runs/.
        bronze = found.bucket("bronze")
        there = {f"gs://{bronze}/{name}" for name in found.storage.names(bronze)}
        runs = {each for each in there if each.startswith(f"gs://{bronze}/_runs/")}
        mine = {"bronze": there, "silver": runs, "gold": runs}
        again = [f"{who} may not write {each}" for who, created in mine.items() for each in created]
        same(found, by_command, tmp_path, again)


def _kill_and_start(found: World, layer: str) -> None:
    found.functions[layer].kill()
    found.functions[layer].start(2)


def test_what_cannot_be_done_dies_and_comes_back_once_it_can(
    plan: Plan, pubsub: str, environ: dict[str, str], by_command: Path, tmp_path: Path
) -> None:
    """It is Google's emulator that pushes, counts the tries and moves what died, by the plan's dead-letter policy. Not
    the plan's is the second between two tries (why, says `world.py`); ours are the storage that refuses, and the way
    back."""
    with world(plan, pubsub, tmp_path, environ) as found:
        granted = found.storage.permits
        found.storage.permits = lambda call, is_new: (
            granted(call, is_new) and not (call.who == "silver" and call.bucket == found.bucket("silver") and is_new)
        )
        status, said = found.call("bronze-first")
        assert status == 200
        found.wait(lambda: len(found.published) == len(said["objects"]))
        everything = set(found.published)
        answers = found.functions["silver"].answers
        found.wait(lambda: len(answers) >= TRIES * len(everything))
        assert replayed(found, "--dry-run", until=len(everything)) == len(everything)
        assert Counter(number for _, number, _ in answers) == dict.fromkeys(everything, TRIES)
        assert found.storage.names(found.bucket("silver")) == []
        found.storage.permits = granted
        found.storage.refused.clear()
        found.published.clear()  # they come back under new numbers
        assert replayed(found) == len(everything)
        found.wait(lambda: len([each for each in answers if each[0] < 300]) >= len(everything))
        assert replayed(found) == 0
        found.settle()
        same(found, by_command, tmp_path)


def replayed(found: World, *flags: str, until: int = 0) -> int:
    """How many dead letters went (or would go) back; asked again until there are so many."""
    words = ["replay-dead-letters", "--subscription", kept_dead(found), "--json", *flags]
    environ = {**os.environ, "PYTHONPATH": str(SRC), "PUBSUB_EMULATOR_HOST": found.pubsub}
    give_up = time.monotonic() + 60  # the last try's wait has to pass before a message is dead
    while time.monotonic() < give_up:
        done = subprocess.run(
            [sys.executable, "-m", "coinlake", *words], env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        letters: list[Any] = json.loads(done.stdout)["letters"]
        if len(letters) >= until:
            return len(letters)
    raise AssertionError(f"{len(letters)} letters are dead, not {until}: {found.said()}")


def test_without_its_tools_the_domino_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda tool: None)
    with pytest.raises(pytest.skip.Exception, match="gcloud"), emulator():
        pass
