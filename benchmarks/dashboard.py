"""How fast the dashboard is, in a browser, beside an empty Streamlit page with one Plotly figure, in one run.

`python benchmarks/dashboard.py` makes a lake of 250 coins and three years, serves both, and measures in turn: the first
page with an empty browser (cold) and with one that was there before (warm), another page, another coin, and what is
sent for a page. The empty page is Streamlit as it comes; the same with our settings is told beside it. The figures go
to benchmarks/results/dashboard.json.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from frame import about, keep  # noqa: E402

import goldlake  # noqa: E402
from pages import PAGES, browser, served, settled  # noqa: E402

TURNS = 5
FIGURES = {"our page": 3}
"""Figures of a first page; the empty one has one."""
EMPTY = """
import plotly.graph_objects as go
import streamlit as st

st.plotly_chart(go.Figure(go.Scatter(y=[1, 3, 2])))
st.html('<div class="foot">the end</div>')
"""
LIMITS = {"first page over empty page, cold": 1.3, "first page over empty page, warm": 1.3}
LIMITS |= {"another page, s": 0.7, "another coin, s": 0.7, "sent for a page, MB": 2.0}


def main() -> None:
    """Measure, tell, keep."""
    before = about()
    with tempfile.TemporaryDirectory() as folder:
        gold = goldlake.make(Path(folder))
        empty = Path(folder) / "empty.py"
        empty.write_text(EMPTY)
        with (
            browser() as chrome,
            served(gold, folder=ROOT) as ours,
            served(gold, empty, Path(folder)) as bare,
            served(gold, empty, ROOT / "src") as tuned,
        ):
            found = measured(chrome, {"our page": ours, "empty page": bare, "empty page with our settings": tuned})
    tell(found)
    keep("dashboard", {"about": before, "results": found})


def measured(chrome: Any, served_at: dict[str, str]) -> dict[str, float]:
    """Every figure: medians over the turns, the servers taking turns."""
    ours = served_at["our page"]
    for (
        address
    ) in served_at.values():  # the servers have been asked before: Python's own imports are not the reader's wait
        _first(chrome.new_context(), address, 1)
    firsts: dict[str, list[float]] = {}
    for _ in range(TURNS):
        for name, address in served_at.items():
            context = chrome.new_context(viewport={"width": 1440, "height": 900})
            firsts.setdefault(f"{name}, cold, s", []).append(_first(context, address, FIGURES.get(name, 1)))
            firsts.setdefault(f"{name}, warm, s", []).append(_first(context, address, FIGURES.get(name, 1)))
            context.close()
    found = {name: round(statistics.median(times), 3) for name, times in firsts.items()}
    for state in ("cold", "warm"):
        ratio = found[f"our page, {state}, s"] / found[f"empty page, {state}, s"]
        found[f"first page over empty page, {state}"] = round(ratio, 2)
    return {**found, **_moves(chrome, ours), **_sent(chrome, ours)}


def _first(context: Any, address: str, figures: int) -> float:
    """Seconds until the first page is drawn, all of it."""
    page = context.new_page()
    took = _seconds(lambda: (page.goto(address), settled(page, figures)))
    page.close()
    return took


def _moves(chrome: Any, address: str) -> dict[str, float]:
    """Seconds from a click to another page, and to another coin, drawn."""
    page = chrome.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.goto(address)
    settled(page)
    titles = ("Coin", "Signals", "Strategy lab", "Screener", "Compare", "Data health", "Market")
    for title in titles:  # once round: scripts that a page brings are fetched once
        _go(page, title)
    pages = {title: statistics.median(_seconds(lambda t=title: _go(page, t)) for _ in range(3)) for title in titles}
    _go(page, "Coin")
    coins = [_seconds(lambda: _next(page)) for _ in range(TURNS)]
    slowest = {f"to {title}, s": round(took, 3) for title, took in pages.items()}
    return {**slowest, "another page, s": round(statistics.median(pages.values()), 3),
            "another coin, s": round(statistics.median(coins), 3)}  # fmt: skip


def _go(page: Any, title: str) -> None:
    page.get_by_role("link", name=title, exact=True).first.click()
    page.wait_for_function("title => document.querySelector('h1')?.innerText === title", arg=title)
    settled(page)


def _next(page: Any) -> None:
    before = page.locator(".kpi .v").first.inner_text()
    page.locator(".st-key-Next button").first.click()
    page.wait_for_function("before => document.querySelector('.kpi .v').innerText !== before", arg=before)
    settled(page)


def _sent(chrome: Any, address: str) -> dict[str, float]:
    """Megabytes that our own code sends for the heaviest page: what comes over the web socket, and our media."""
    heaviest = 0.0
    for path in PAGES.values():
        context = chrome.new_context(viewport={"width": 1440, "height": 900})
        page = context.new_page()
        sizes: list[int] = []
        page.on(
            "websocket", lambda socket, sizes=sizes: socket.on("framereceived", lambda data: sizes.append(len(data)))
        )
        page.goto(f"{address}/{path}")
        settled(page)
        context.close()
        heaviest = max(heaviest, sum(sizes) / 1e6)
    return {"sent for a page, MB": round(heaviest, 3)}


def _seconds(what: Callable[[], Any]) -> float:
    began = time.perf_counter()
    what()
    return time.perf_counter() - began


def tell(found: dict[str, float]) -> None:
    """The figures, and whether they are within what was promised."""
    for name, value in found.items():
        limit = LIMITS.get(name)
        verdict = "" if limit is None else f"  (at most {limit:g}: {'yes' if value <= limit else 'NO'})"
        print(f"{name:42} {value:8.3f}{verdict}")


if __name__ == "__main__":
    main()
