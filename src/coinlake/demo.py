"""A practice lake: the whole platform on a simulated market, without a key and without a network."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time as clock
import urllib.request
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from importlib.util import find_spec

from coinlake.bronze.kind import demand_room_for
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
_ENDINGS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""Signals that end the demo as Ctrl-C does: by itself Python would leave the dashboard running."""


def settings_of(loaded: Loaded) -> Settings:
    """The settings, with a lake and a number of coins of the demo's own where none were chosen; coins named for a real
    market are not of this one.
    """
    settings, origins = replace(loaded.settings, coins=()), loaded.origins
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
        ConfigError: the lake holds a real market, or that of another seed.
    """
    lake = Lake.at(settings.lake, settings.bronze, settings.silver, settings.gold)
    start = f"{_start(lake):%Y-%m-%dT%H:%M:%SZ}"
    options = Options(coins=5 * COINS, seed=seed, plan="keyless", rate=0, now=start, speed=0)
    with running(options) as simulator:
        demand_room_for(lake, simulator.market.name)
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


@contextmanager
def dashboard(settings: Settings, port: int) -> Iterator[str | None]:
    """The dashboard over the practice lake, at an address, for as long as this lasts; None without Streamlit. Where the
    port is taken it is another.

    Where there is a screen, the browser opens as soon as the page is there.
    """
    if find_spec("streamlit") is None:
        yield None
        return
    port = _free_port(port)
    address = f"http://127.0.0.1:{port}"
    with subprocess.Popen(
        [sys.executable, "-m", "coinlake", "dashboard", "--port", str(port)],
        env={**os.environ, "COINLAKE_GOLD": settings.gold},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is ours: it ends when we do
    ) as process:
        try:
            for ending in _ENDINGS:
                signal.signal(ending, signal.default_int_handler)
            if _has_a_screen():
                threading.Thread(target=_browse, args=(address, process), daemon=True).start()
            yield address
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _free_port(wanted: int) -> int:
    for port in (wanted, 0):
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(tried.getsockname()[1])
    raise ConfigError("no port is free for the dashboard; stop what holds them")


def _has_a_screen() -> bool:
    is_desktop = sys.platform in {"darwin", "win32"} or bool({"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ))
    return is_desktop and sys.stderr.isatty()


def _browse(address: str, process: subprocess.Popen[bytes], within_s: float = 60) -> None:
    """Open the browser once the dashboard answers."""
    until = clock.monotonic() + within_s
    while process.poll() is None and clock.monotonic() < until:
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=5):
                webbrowser.open(address)
                return
        except OSError:
            clock.sleep(0.3)
