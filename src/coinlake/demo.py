"""A practice lake: the whole platform on a simulated market, without a key and without a network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

from coinlake.bronze.kind import holds_a_real_market
from coinlake.errors import ConfigError
from coinlake.lake import Lake
from coinlake.progress import Report
from coinlake.settings import Loaded, Secret, Settings
from coinlake.simulator import Options, Running, running
from coinlake.survey import known_runs
from coinlake.wiring import Workspace, workspace

LAKE = "data-demo"
"""Where the practice lake lies when no other place is set."""
COINS = 50
AT = time(0, 45, tzinfo=UTC)
"""The time of a simulated day at which the last one is finished and is fetched."""
DAY_S = 86_400


def settings_of(loaded: Loaded) -> Settings:
    """The settings, with a lake and a number of coins of the demo's own where none were chosen."""
    settings, origins = loaded.settings, loaded.origins
    if origins["top"] == "default":
        settings = replace(settings, top=COINS)
    if origins["lake"] != "default":
        return settings

    def place(layer: str) -> str:
        is_default = origins[layer].startswith("default")
        return f"{LAKE}/{layer}" if is_default else str(getattr(settings, layer))

    return replace(settings, lake=LAKE, bronze=place("bronze"), silver=place("silver"), gold=place("gold"))


@contextmanager
def opened(settings: Settings, seed: int, report: Report) -> Iterator[tuple[Workspace, Running]]:
    """A workspace on a simulated market whose clock stands, from today (or the lake's last run) on; both end together.

    Raises:
        ConfigError: the lake holds a real market.
    """
    lake = Lake.at(settings.lake, settings.bronze, settings.silver, settings.gold)
    if holds_a_real_market(lake.objects):
        raise ConfigError(f"{settings.lake} holds a real market; set COINLAKE_LAKE to another place for the demo")
    start = f"{_start(lake):%Y-%m-%dT%H:%M:%SZ}"
    options = Options(coins=5 * COINS, seed=seed, plan="keyless", rate=0, now=start, speed=0)
    with running(options) as simulator:
        chosen = replace(
            settings, api_url=simulator.url, api_key=Secret(), plan="keyless", rate=0, now=simulator.clock_url
        )
        yield workspace(replace(chosen, monthly_credits=0, daily_credits=0), report), simulator


def _start(lake: Lake) -> datetime:
    """Today at 00:45 UTC; a lake that has been there already goes on a day after its last run."""
    today = datetime.combine(datetime.now(UTC).date(), AT)
    last = max((run["began_at"] for run in known_runs(lake)), default=None)
    return today if last is None else max(today, datetime.combine(last.date() + timedelta(days=1), AT))


def let_days_pass(simulator: Running, seconds_a_day: float) -> None:
    """Start the simulator's clock: from now on a day passes in so many seconds."""
    clock = simulator.simulated.clock
    clock.set(clock.now_ms(), DAY_S / seconds_a_day)
