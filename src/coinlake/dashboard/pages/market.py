"""The market as a whole: how large, how broad, how nervous; who moved; what the rules said today."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from coinlake.dashboard import figures, formats, parts, queries
from coinlake.dashboard.pages.signals import told
from coinlake.dashboard.parts import Kpi, Page

if TYPE_CHECKING:
    import pandas as pd

SPANS = {"24h": ("24 h", 0.06), "7d": ("7 d", 0.15), "30d": ("30 d", 0.35)}
"""How a span is called, and the change from which on its colour is full."""
PERIODS = {"90 d": 90, "1 y": 365, "All": 100_000}
SHOWN = 6


def show(page: Page) -> None:
    """Draw the page."""
    market = page.ask(queries.market)
    if market.empty:
        parts.missing("market", "The size, breadth and mood of the market")
    else:
        parts.strip(_numbers(market))
    left, right = st.columns([2.2, 1])
    with left, parts.card("map"):
        _map(page)
    with right, parts.card("movers"):
        _movers(page)
    if not market.empty:
        _over_time(page, market)
    with parts.card("today"):
        _today(page)


def _numbers(market: pd.DataFrame) -> list[Kpi]:
    now, recent = market.iloc[-1], market.tail(30)
    day_ago = market.iloc[-2] if len(market) > 1 else now
    cap, volume = "total_market_cap_usd", "total_volume_24h_usd"
    dominance = "bitcoin_dominance_global" if market["bitcoin_dominance_global"].notna().any() else "bitcoin_dominance"
    grown = now[cap] / day_ago[cap] - 1
    traded = now[volume] / day_ago[volume] - 1
    of = f"of the {formats.count(now['universe_coins'])} coins of this lake"
    points = 100 * (now[dominance] - day_ago[dominance])
    mood = now["fear_greed"]
    return [
        Kpi("Market cap", formats.large(now[cap]), formats.change(grown), grown, recent[cap].tolist(), of),
        Kpi("Volume 24 h", formats.large(now[volume]), formats.change(traded), traded, recent[volume].tolist(), of),
        Kpi(
            "Bitcoin dominance", formats.share(now[dominance]), f"{formats.number(points)} points", points,
            recent[dominance].tolist(), "share of the market capitalisation",
        ),
        Kpi(
            "Above 200-day average", formats.share(now["above_sma_200d"], 0),
            f"{formats.count(now['advancers'])} up, {formats.count(now['decliners'])} down", None,
            recent["above_sma_200d"].tolist(), "share of the coins whose close is above its 200-day average",
        ),
        Kpi(
            "Volatility 30 d", formats.share(now["median_volatility_30d"], 0), "median coin, a year", None,
            recent["median_volatility_30d"].tolist(), "annualised deviation of daily returns",
        ),
        Kpi(
            "Fear and greed", formats.number(mood, 0), _mood(mood), None, recent["fear_greed"].tolist(),
            "0 is fear, 100 is greed: the mean of momentum, volatility, breadth, strength and dominance",
        ),
    ]  # fmt: skip


def _mood(value: float) -> str:
    for limit, name in ((25, "extreme fear"), (45, "fear"), (55, "neutral"), (75, "greed"), (101, "extreme greed")):
        if value < limit:
            return name
    return "not known"


@st.fragment
def _map(page: Page) -> None:
    head, control = st.columns([1, 1], vertical_alignment="center")
    with head:
        parts.title("Map")
    with control:
        span = parts.choice("Change over", list(SPANS), "span", "24h", label_visibility="collapsed")
    drawn = figures.treemap(page.ask(queries.coins), span, page.colours, SPANS[span][1])
    says = f"Treemap of the {figures.TILES} largest coins by market capitalisation, coloured by change over {span}"
    parts.figure(page, drawn, "treemap", f"Size: market cap in USD, colour: change over {SPANS[span][0]}", says)


@st.fragment
def _movers(page: Page) -> None:
    parts.title("Movers")
    span = parts.choice("Over", list(SPANS), "movers", "24h", label_visibility="collapsed")
    column = f"return_{span}"
    coins = page.ask(queries.coins)
    known = coins[coins[column].notna()].sort_values(column, ascending=False)
    if known.empty:
        st.caption("No change is known over this span.")
        return
    up, down = known[known[column] > 0], known[known[column] < 0].iloc[::-1]
    for heading, rows in (("Up most", up.head(SHOWN)), ("Down most", down.head(SHOWN))):
        st.caption(heading if len(rows) else f"{heading}: none")
        for coin, symbol, change, price in rows[["coin_id", "symbol", column, "price_usd"]].itertuples(index=False):
            st.page_link(
                page.pages["coin"],
                label=f"**{parts.plain(symbol[:12])}** {formats.price(price)} {parts.markdown_change(change)}",
                icon="",
                query_params={"coin": coin},
                width="stretch",
            )


@st.fragment
def _over_time(page: Page, market: pd.DataFrame) -> None:
    period = parts.choice("Period", list(PERIODS), "period", "1 y", label_visibility="collapsed")
    recent = market.tail(PERIODS[period])
    days = figures.array(recent["day"])
    left, right = st.columns(2)
    with left, parts.card("breadth"):
        parts.title("Breadth")
        lines = {"above 50 d": recent["above_sma_50d"], "above 200 d": recent["above_sma_200d"]}
        drawn = figures.over_time(days, {k: figures.array(v) for k, v in lines.items()}, page.colours, ".1%")
        parts.figure(
            page, drawn, "breadth", "Share of coins above their average", "Breadth of the market over time, as lines"
        )
    with right, parts.card("dominance"):
        parts.title("Dominance")
        lines = {"Bitcoin": recent["bitcoin_dominance"], "Ether": recent["ether_dominance"]}
        drawn = figures.over_time(days, {k: figures.array(v) for k, v in lines.items()}, page.colours, ".1%")
        unit = "Share of the market cap of this lake's coins"
        parts.figure(page, drawn, "dominance", unit, "Dominance of bitcoin and ether over time, as lines")


def _today(page: Page) -> None:
    parts.title("Today's signals")
    if not page.gold.has("signals"):
        parts.missing("signals", "What the rules say")
        return
    day = page.last_day
    fired = page.ask(queries.signals_of, day).head(8) if day else None
    if fired is None or fired.empty:
        st.caption(f"No rule fired on {formats.day(day)}. That is the usual case.")
        return
    parts.events(told(page, fired))
    st.page_link(page.pages["signals"], label="All signals, with their odds", icon=":material/arrow_forward:")
