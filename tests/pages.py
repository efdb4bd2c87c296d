"""A dashboard served over a lake, and a browser that looks at it; for tests, screenshots and the benchmark."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).parents[1] / "src" / "dashboard.py"
PAGES = {
    "market": "", "coin": "coin", "signals": "signals", "lab": "lab", "screener": "screener", "compare": "compare",
    "health": "health",
}  # fmt: skip
WAIT_MS = 90_000
"""The longest that a machine busy with other tests may take to draw a page."""


def chromium() -> str | None:
    """The system's Chromium."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def filled(lake: Path) -> Path:
    """A lake of 250 simulated coins and three years, analyzed by the pipeline; its gold."""
    environ = {**os.environ, "COINLAKE_LAKE": str(lake), "COINLAKE_NOW": "2026-11-25T00:45:00Z"}
    for words in (("simulate", "--into-silver", "--coins", "250", "--years", "3"), ("analyze",)):
        subprocess.run([sys.executable, "-m", "coinlake", *words], env=environ, check=True, capture_output=True)
    return lake / "gold"


@contextmanager
def served(gold: Path | str, script: Path | None = SCRIPT, folder: Path | None = None) -> Iterator[str]:
    """The dashboard over a gold root, at an address of its own; it works in `folder`. Without a script it is the one
    that `coinlake dashboard` serves.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.port", str(port)]
    command += ["--server.address", "127.0.0.1", "--server.headless", "true", "--browser.gatherUsageStats", "false"]
    if script is None:
        command = [sys.executable, "-m", "coinlake", "dashboard", "--port", str(port)]
    log = open(os.devnull, "w")  # noqa: SIM115
    with (
        log,
        subprocess.Popen(
            command,
            env={**os.environ, "COINLAKE_GOLD": str(gold)},
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            cwd=folder,
        ) as process,
    ):
        try:
            _until_it_answers(f"http://127.0.0.1:{port}/_stcore/health", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _until_it_answers(address: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 90
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                raise
            time.sleep(0.1)


@contextmanager
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield opened
        opened.close()


def settled(page: Any, figures: int = 0) -> None:
    """Wait until a page is drawn: its last line is there, nothing runs, nothing is stale or still to be loaded, every
    figure has its axes, and there are at least so many.
    """
    page.wait_for_selector(".foot", timeout=WAIT_MS)
    page.wait_for_function(
        "figures => document.querySelectorAll('.js-plotly-plot .main-svg:first-child').length >= figures"
        " && !document.querySelector('[data-testid=stSkeleton]')",
        arg=figures,
        timeout=WAIT_MS,
    )
    page.wait_for_function(
        "!document.querySelector('[data-testid=stStatusWidget]') && !document.querySelector('[data-stale=true]')"
        " && [...document.querySelectorAll('[data-testid=stPlotlyChart]')]"
        ".every(each => each.querySelector('.main-svg'))",
        timeout=WAIT_MS,
    )


def complaints(page: Any, found: list[str]) -> None:
    """Note what goes wrong in a page: errors on its console, its own exceptions, and whatever it asks from outside."""
    page.on("console", lambda said: said.type == "error" and found.append(f"console: {said.text}"))
    page.on("pageerror", lambda error: found.append(f"exception: {error}"))

    def asked(request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:")):
            found.append(f"asked outside: {request.url}")

    page.on("request", asked)
