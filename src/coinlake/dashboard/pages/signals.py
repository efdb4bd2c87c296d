"""What the rules said, today and before, each with its odds as they were known then. What has no evidence is grey."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import streamlit as st

from coinlake.dashboard import figures, formats, parts, queries
from coinlake.dashboard.gold import Gold
from coinlake.dashboard.parts import Page
from coinlake.gold.odds import ODDS

if TYPE_CHECKING:
    import pandas as pd

PERIODS = {"Today": 0, "7 d": 6, "30 d": 29, "1 y": 364, "All": 100_000}
AT_MOST = 1000
"""Rows of the table; a longer list is cut, and says so."""


def proven_rules(gold: Gold) -> frozenset[str]:
    """The rules that beat holding beyond what luck explains, over all coins."""
    rows = gold.remember(queries.evidence)
    return frozenset(rows.loc[rows["has_edge"].fillna(False).astype(bool), "rule"])


def has_evidence(page: Page) -> frozenset[str]:
    """The rules whose signals are shown in colour."""
    proven: frozenset[str] = page.ask(proven_rules)
    return proven


def told(page: Page, fired: pd.DataFrame) -> Iterator[str]:
    """Signals as HTML, each with its odds."""
    proven = has_evidence(page)
    columns = ["name", "symbol", "rule", "direction", "sentence", *ODDS]
    for name, symbol, rule, direction, sentence, trades, won, median in fired[columns].itertuples(index=False):
        grey = rule not in proven
        below = f"{rule.replace('_', ' ')} · {parts.odds_said(trades, won, median)}"
        yield parts.event(
            sentence, direction, below + (" · no evidence of an edge" if grey else ""), grey, f"{name} ({symbol})"
        )


def show(page: Page) -> None:
    """Draw the page."""
    if not page.gold.has("signals"):
        parts.missing("signals", "What the rules say")
        return
    st.markdown(
        "A signal is what happened, not what to do. Its odds: of the trades of its rule and direction that had "
        "**closed before its day**, how many won, and what the middle one earned, after costs (downwards, it earns "
        "where the coin falls). Where over all coins nothing shows that a rule beats holding, its signals are grey."
    )
    _list(page)
    with parts.card("evidence"):
        _evidence(page)


@st.fragment
def _list(page: Page) -> None:
    every = page.ask(queries.odds)
    chosen = _chosen(page, every)
    with parts.card("events"):
        parts.title(f"{len(chosen):,} signals")
        if chosen.empty:
            st.caption("None fits. Widen the period, or clear a filter.")
            return
        parts.events(told(page, chosen.head(6)))
        _table(page, chosen.head(AT_MOST), chosen)
        more = f" · the first {AT_MOST:,} of {len(chosen):,}" if len(chosen) > AT_MOST else ""
        st.caption(f"Closes in USD · {page.source} · through {formats.day(page.last_day)}{more}")


def _chosen(page: Page, every: pd.DataFrame) -> pd.DataFrame:
    period, way, weight = st.columns([2, 1.4, 1.6], vertical_alignment="bottom")
    with period:
        span = parts.choice("Period", list(PERIODS), "since", "30 d")
    with way:
        direction = parts.choice("Direction", ["Both", "Up", "Down"], "way", "Both")
    with weight:
        strength = st.slider("Strength from", 0.0, 1.0, 0.0, 0.05, key="strength", bind="query-params")
    which, whom = st.columns(2)
    with which:
        rules = st.multiselect(
            "Rules", sorted(every["rule"].unique()), key="rules", bind="query-params", placeholder="All rules"
        )
    with whom:
        coins = parts.coins_choice(page, "Coins", "coins", (), placeholder="All coins")
    found = every
    if page.last_day:
        first = page.last_day - timedelta(days=min(PERIODS[span], 40_000))
        found = found[found["day"].dt.date >= first]
    if direction != "Both":
        found = found[found["direction"] == direction.lower()]
    if strength > 0:
        found = found[found["strength"] >= strength]
    if rules:
        found = found[found["rule"].isin(rules)]
    return found[found["coin_id"].isin(coins)] if coins else found


def _table(page: Page, chosen: pd.DataFrame, whole: pd.DataFrame) -> None:
    proven = has_evidence(page)
    shown = ["name", "day", "rule", "direction", "strength", "close_usd", "sentence"]
    rows = chosen[[*shown, "odds_won", "odds_trades", "odds_median"]]
    rows = rows.assign(
        rule=rows["rule"].str.replace("_", " "),
        direction=rows["direction"].map({"up": "▲ up", "down": "▼ down"}),
        close_usd=[formats.price(each) for each in rows["close_usd"]],
        odds_won=100 * rows["odds_won"],
        odds_median=100 * rows["odds_median"],
        evidence=["beats holding" if each in proven else "none" for each in chosen["rule"]],
    )
    grey = (~chosen["rule"].isin(proven)).to_numpy()
    styled: Any = rows.style.apply(
        lambda column: [f"color: {page.colours.no_evidence}" if each else "" for each in grey], axis=0
    )
    parts.table(
        rows,
        "signals",
        whole=whole,
        styled=styled,
        column_config={
            "day": st.column_config.DateColumn("Day", format="D MMM YYYY"),
            "name": "Coin",
            "rule": "Rule",
            "direction": "Way",
            "strength": st.column_config.ProgressColumn("Strength", min_value=0, max_value=1, format="%.2f"),
            "close_usd": "Close",
            "sentence": st.column_config.TextColumn("What happened", width="large"),
            "odds_won": st.column_config.NumberColumn("Won before", format="%.0f %%"),
            "odds_trades": st.column_config.NumberColumn("of trades", format="localized"),
            "odds_median": st.column_config.NumberColumn("median", format="%+.1f %%"),
            "evidence": "Evidence",
        },
        height=420,
    )


def _evidence(page: Page) -> None:
    parts.title("What each rule is worth")
    if not page.gold.has("backtests"):
        parts.missing("backtests", "What each rule would have earned")
        return
    rows = page.ask(queries.evidence)
    drawn = figures.interval(rows, page.colours)
    until = rows["until"].max().date() if "until" in rows and rows["until"].notna().any() else None
    says = "Each rule's excess return over holding with its 95 percent interval"
    parts.figure(page, drawn, "intervals", "Excess over holding a year, 95 % interval, after costs", says, until)
    biased = bool(rows["survivorship_biased"].fillna(True).astype(bool).any())
    if biased:
        st.caption("Over the coins that are large today: those that failed are missing, so all of it looks too good.")
