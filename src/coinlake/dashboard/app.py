"""The frame around the pages: which lake is shown, how new it is, where one can go, what to do where it is empty."""

from __future__ import annotations

import os
import shlex
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from pathlib import Path

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from coinlake.dashboard import formats, parts, queries
from coinlake.dashboard.gold import Gold, look
from coinlake.dashboard.palette import palette
from coinlake.errors import CoinlakeError, LakeError
from coinlake.settings import load

POLL_S = 4
"""How often an open page looks whether gold is newer."""

ICON = Path(__file__).parent / "icon.svg"

PAGES = {
    "market": ("Market", ":material/grid_view:"),
    "coin": ("Coin", ":material/candlestick_chart:"),
    "signals": ("Signals", ":material/notifications:"),
    "lab": ("Strategy lab", ":material/science:"),
    "screener": ("Screener", ":material/filter_alt:"),
    "compare": ("Compare", ":material/stacked_line_chart:"),
    "health": ("Data health", ":material/monitor_heart:"),
}


def main() -> None:
    """Draw the page that the address names."""
    st.set_page_config(page_title="coinlake", page_icon=str(ICON), layout="wide")
    parts.styles()
    pages: dict[str, StreamlitPage] = {}
    pages |= {
        name: st.Page(
            partial(_page, name, pages), title=title, icon=icon, url_path="" if name == "market" else name,
            default=name == "market",
        )
        for name, (title, icon) in PAGES.items()
    }  # fmt: skip
    st.navigation(list(pages.values()), position="top").run()


def _page(name: str, pages: Mapping[str, StreamlitPage]) -> None:
    """One page, or what is in its way."""
    try:
        root = load({}, os.environ, Path.cwd()).settings.gold
        gold = _shelf(root).newest()
        if gold.has("daily") or gold.has("market_summary"):
            _drawn(name, root, gold, pages)
        else:
            _nothing_yet(root)
            _watch(root, gold)
    except CoinlakeError as exc:
        _unreachable(str(exc))


def _drawn(name: str, root: str, gold: Gold, pages: Mapping[str, StreamlitPage]) -> None:
    gold.remember(queries.held)  # what cannot be read shows here, before anything is drawn
    coins = gold.remember(queries.coins)
    _head(PAGES[name][0], root, gold)
    if coins.empty:
        st.info("Gold is there, but it has no coin yet. Run `coinlake analyze` once silver has a finished day.")
    else:
        module = import_module(f"coinlake.dashboard.pages.{name}")
        module.show(parts.Page(gold, palette(st.context.theme.type), pages))
    parts.footer(gold)


def _head(title: str, root: str, gold: Gold) -> None:
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    left.title(title, anchor=False)
    with right:
        _watch(root, gold)
    parts.banner(gold)


# How new it is -------------------------------------------------------------------------------------------------------


@dataclass
class Shelf:
    """The newest gold of a root, shared by all who look at it."""

    root: str
    kept: Gold | None = None
    looked_at_s: float = float("-inf")
    lock: threading.Lock = field(default_factory=threading.Lock)

    def newest(self, at_most_s: float = 1.0) -> Gold:
        """Gold as it is now, looked at no longer ago than so many seconds; the same object while nothing changed."""
        with self.lock:
            if self.kept is None or time.monotonic() - self.looked_at_s > at_most_s:
                seen = look(self.root)
                self.looked_at_s = time.monotonic()
                if self.kept is None or self.kept.seen != seen:
                    self.kept = Gold(self.root, seen)
            return self.kept


@st.cache_resource(show_spinner=False)
def _shelf(root: str) -> Shelf:
    return Shelf(root)


@st.fragment(run_every=POLL_S)
def _watch(root: str, shown: Gold) -> None:
    """How old what is shown is; where there is newer, the page is drawn again, and the reader stays where he is."""
    try:
        if _shelf(root).newest().seen != shown.seen:
            st.rerun(scope="app")
        written, day = shown.written_at, shown.remember(queries.last_day)
    except LakeError as exc:
        st.html(f'<div class="live old"><i></i>the lake cannot be reached just now: {type(exc).__name__}</div>')
        return
    if written is None or day is None:
        return
    age = datetime.now(UTC) - written
    old = " old" if age.days >= 2 else ""
    through = f"closes through <b>{formats.day(day)}</b>"
    st.html(f'<div class="live{old}"><i></i>{through} · gold written {formats.ago(age)}</div>')


# What is in the way --------------------------------------------------------------------------------------------------


def _steps(heading: str, sentence: str, commands: str) -> None:
    st.title(heading, anchor=False)
    st.markdown(sentence)
    st.code(commands, language=None)
    st.html(f'<div class="foot">{parts.ADVICE}</div>')


def _unreachable(why: str) -> None:
    _steps(
        "This lake cannot be read",
        f"{why}\n\nThe dashboard reads the gold that `COINLAKE_LAKE` (or `COINLAKE_GOLD`) names. Set it, or ask what "
        "is wrong:",
        "coinlake config\ncoinlake doctor\ncoinlake --lake data dashboard",
    )


def _nothing_yet(root: str) -> None:
    """An empty place, a lake without gold, or one whose gold has no days yet: say which, and what to run."""
    above = Path(root).parent
    if "://" not in root and (above / "silver").is_dir() and any((above / "silver").iterdir()):
        _steps(
            "Silver is there, gold is not yet",
            f"`{above}` holds observations that nothing was concluded from yet. One command makes gold of them, and "
            "this page shows it within seconds:",
            f"coinlake --lake {shlex.quote(str(above))} analyze",
        )
    elif "://" not in root and not above.is_dir():
        _steps(
            "There is no lake here",
            f"`{above}` {'is a file' if above.is_file() else 'does not exist'}. Look at another lake, or fill a "
            "practice lake from a simulated market:",
            "coinlake --lake PATH dashboard\ncoinlake demo --once && coinlake --lake data-demo dashboard",
        )
    else:
        _steps(
            "This lake is empty",
            f"There is no gold in `{root}` yet. Fetch a market (about three minutes, no key needed), or simulate one:",
            "coinlake run\ncoinlake demo --once && coinlake --lake data-demo dashboard",
        )
