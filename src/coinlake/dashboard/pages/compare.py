"""Coins beside each other: prices from one start, how they move together, and who is gaining on bitcoin."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import streamlit as st

from coinlake.dashboard import figures, parts, queries
from coinlake.dashboard.parts import Page

PERIODS = {"90 d": 90, "1 y": 365, "3 y": 1095, "All": None}
AT_MOST = 8
"""As many colours as can be told apart."""


def show(page: Page) -> None:
    """Draw the page."""
    ids = page.ask(parts.coin_ids)
    first, second, third = st.columns([3, 1.7, 1.3], vertical_alignment="bottom")
    with first:
        chosen = parts.coins_choice(page, "Coins", "with", ids[:5], max_selections=AT_MOST)
    with second:
        span = parts.choice("Period", list(PERIODS), "window", "1 y")
    with third:
        axis = parts.choice("Scale", ["Linear", "Log"], "rebased", "Linear")
    if not chosen:
        st.info("Choose at least one coin.")
        return
    names = {coin: page.symbol(coin) for coin in ids}
    closes = page.ask(queries.closes, tuple(chosen), PERIODS[span])
    with parts.card("rebased"):
        parts.title("Prices, from one start")
        drawn = figures.rebased(closes, names, page.colours, axis == "Log")
        parts.figure(page, drawn, "rebased-figure", "First common day = 100", "Rebased prices of the chosen coins")
    _together(page, chosen, names, span)
    with parts.card("rotation"):
        _rotation(page, chosen, names)


@st.fragment
def _together(page: Page, chosen: list[str], names: dict[str, str], span: str) -> None:
    btc = page.ask(queries.bitcoin)
    left, right = st.columns(2)
    with left, parts.card("rolling"):
        parts.title("Correlation with bitcoin")
        days = int(parts.choice("Days", ["30", "90"], "days", "90", label_visibility="collapsed"))
        long = page.ask(queries.closes, (*chosen, *([] if btc in chosen else [btc])), _longer(PERIODS[span], days))
        drawn = figures.rolling(long, btc, days, names, page.colours)
        unit = f"Of daily returns over {days} days"
        parts.figure(page, drawn, "rolling-figure", unit, "Rolling correlation with bitcoin, as lines")
    with right, parts.card("pairs"):
        parts.title("Correlation, every two")
        drawn, until = _pairs(page, tuple(chosen), names, days)
        unit = f"Of daily returns over {days} days"
        parts.figure(page, drawn, "pairs-figure", unit, "Heatmap of the correlation of every two coins", until)


def _longer(days: int | None, more: int) -> int | None:
    return None if days is None else days + more


def _pairs(page: Page, chosen: tuple[str, ...], names: dict[str, str], days: int) -> tuple[Any, date | None]:
    """From `gold.correlations` where it has the coins; else of their closes."""
    rows = page.ask(queries.correlations, chosen, days)
    if rows.empty or len(rows) < len(chosen) * (len(chosen) - 1):
        closes = page.ask(queries.closes, chosen, days)
        return figures.correlation_grid(closes, names, page.colours), None
    place = {coin: number for number, coin in enumerate(chosen)}
    grid = np.eye(len(chosen))
    at = rows["coin_a"].map(place).to_numpy(dtype=int), rows["coin_b"].map(place).to_numpy(dtype=int)
    grid[at] = rows["correlation"].to_numpy(dtype=float)
    month = rows["month_end"].max()
    drawn = figures.correlation_heat(grid, [names[coin] for coin in chosen], page.colours)
    return drawn, month.date()


def _rotation(page: Page, chosen: list[str], names: dict[str, str]) -> None:
    btc = page.ask(queries.bitcoin)
    parts.title("Rotation against bitcoin")
    closes = page.ask(queries.closes, (*chosen, *([] if btc in chosen else [btc])), 260)
    drawn = figures.rotation(closes, btc, names, page.colours)
    unit = "Strength and momentum of the price in bitcoin, mean = 100; a dot is a week, the large one is now"
    parts.figure(page, drawn, "rotation-figure", unit, "Relative rotation of the chosen coins against bitcoin")
