"""Whether the data can be trusted today: how fresh, what is missing, what was refused, and where a number came from."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from coinlake.dashboard import figures, formats, parts, queries
from coinlake.dashboard.gold import TABLES
from coinlake.dashboard.parts import Kpi, Page


def show(page: Page) -> None:
    """Draw the page."""
    health, gaps, seen = page.ask(queries.health), page.ask(queries.gaps), page.ask(queries.coverage)
    parts.strip(_numbers(page, health, gaps, seen))
    if health.empty:
        parts.missing("health", "Freshness, rejects, runs and credits")
    left, right = st.columns(2)
    with left, parts.card("coverage"):
        parts.title("Coins with a close")
        days = figures.array(seen["day"])
        provisional = seen["coins"] - seen["final"] if page.gold.has("daily", "is_final") else seen["coins"] * 0
        drawn = figures.bars(days, {"finished": seen["final"], "provisional": provisional}, page.colours)
        parts.figure(page, drawn, "coverage-figure", "Coins a day, 90 days", "Coins with a close, day by day")
    with right, parts.card("tables"):
        _tables(page)
    with parts.card("gaps"):
        parts.title("Gaps")
        if gaps.empty:
            st.caption("No coin lacks a day between its first and its last.")
        else:
            shown = gaps.assign(coin=gaps["coin_id"].map(page.name))[["coin", "first_day", "last_day", "days"]]
            parts.table(shown, "gaps", column_config={**_DAYS, "coin": "Coin", "days": "Days"})
    with parts.card("odd"):
        _odd(page)
    if not health.empty:
        with parts.card("health"):
            parts.title("Day by day")
            first = [each for each in ("day", "table_name", "verdict", "reason") if each in health]
            shown = health[[*first, *(each for each in health if each not in first)]]
            titles = {name: name.replace("_", " ").capitalize() for name in shown}
            parts.table(shown, "health", height=320, column_config={**titles, **_DAYS})
    with parts.card("origin"):
        _origin(page)


_DAYS = {
    "first_day": st.column_config.DateColumn("First day missing", format="D MMM YYYY"),
    "last_day": st.column_config.DateColumn("Last day missing", format="D MMM YYYY"),
    "day": st.column_config.DateColumn("Day", format="D MMM YYYY"),
}


def _numbers(page: Page, health: pd.DataFrame, gaps: pd.DataFrame, seen: pd.DataFrame) -> list[Kpi]:
    ended = page.last_day
    now = datetime.now(UTC)
    behind = (now.date() - ended).days - 1 if ended else None
    verdict = "Hold" if page.ask(queries.held) else "Serve" if len(page.ask(queries.verdicts)) else formats.MISSING
    missing = int(gaps["days"].sum()) if len(gaps) else 0
    rejects, runs = _recent(health, "rejects"), _of_runs(health, "rows")
    coins = seen["coins"].iloc[-1] if len(seen) else None
    return [
        Kpi("Verdict", verdict, "is it fit to be used?"),
        Kpi("Last finished day", formats.day(ended), "" if not behind else f"{behind} days behind"),
        Kpi("Coins with that day", formats.count(coins), f"of {formats.count(len(page.ask(queries.coins)))}"),
        Kpi("Days missing", formats.count(missing), f"in {len(gaps):,} gaps"),
        Kpi("Refused", formats.count(rejects), "rejects of the last 30 days"),
        Kpi("Runs, 30 days", formats.count(runs), f"{formats.count(_of_runs(health, 'credits'))} credits used"),
        Kpi("Odd days", formats.count(_odd_days(page)), "flagged in a year"),
    ]


def _odd_days(page: Page) -> int | None:
    return len(page.ask(queries.flags)) if page.gold.has("daily", "flags") else None


def _recent(health: pd.DataFrame, column: str) -> float | None:
    """The sum of a column over the last 30 days; None where it is not there."""
    if column not in health or health.empty:
        return None
    return float(health[health["day"] > health["day"].max() - pd.Timedelta(days=30)][column].sum())


def _of_runs(health: pd.DataFrame, column: str) -> float | None:
    """What `gold.health` says of the runs of the last 30 days; None where it says nothing."""
    if "table_name" not in health:
        return None
    return _recent(health[health["table_name"] == "silver.runs"], column)


def _tables(page: Page) -> None:
    parts.title("Tables of gold")
    now = datetime.now(UTC)
    rows = [
        (
            f"gold.{name}",
            formats.count(page.gold.seen[name].version) if name in page.gold.seen else "not there",
            formats.ago(now - page.gold.seen[name].at) if name in page.gold.seen else formats.MISSING,
        )
        for name in TABLES
    ]
    parts.facts(("Table", "Version", "Written"), rows, "tables-of-gold")


def _odd(page: Page) -> None:
    parts.title("Odd days")
    if _odd_days(page) is None:
        st.caption("Which days are odd is not known: `gold.daily` has no column `flags`. Run `coinlake analyze`.")
        return
    rows = page.ask(queries.flags)
    if rows.empty:
        st.caption("No day of the last year is flagged.")
        return
    parts.table(
        rows.assign(
            coin_id=rows["coin_id"].map(page.name), close_usd=[formats.price(each) for each in rows["close_usd"]]
        ),
        "odd-days",
        column_config={**_DAYS, "coin_id": "Coin", "flags": "What is odd", "close_usd": "Close", "source": "Source"},
        height=260,
    )
    st.caption("Outliers are flagged, not corrected.")


@st.fragment
def _origin(page: Page) -> None:
    parts.title("Where a number came from")
    left, right = st.columns([2, 1])
    with left:
        coin = parts.coin_choice(page, "Coin", "of", page.ask(queries.bitcoin))
    with right:
        day = st.date_input("Day", page.last_day, key="on", bind="query-params", format="YYYY-MM-DD")
    found = page.ask(queries.origin, coin, day) if coin and day else {}
    if not found:
        st.caption("This coin has no row for that day.")
        return
    rows = [
        ("Close", formats.price(found["close_usd"])),
        ("Source", str(found["source"])),
        ("Observed at", f"{found['close_observed_at']}"),
        ("Finished close", _said(found["is_final"])),
        ("Observations", f"{formats.count(found['observations'])} in {formats.count(found['hours_observed'])} hours"),
        ("Flags", str(found["flags"]) or "none"),
        ("Object in bronze", str(found["close_bronze_object"])),
    ]
    parts.facts(("What", "Value"), rows, "origin")


def _said(is_final: object) -> str:
    """Whether a close is finished; what is not known (None, NaN) is neither."""
    return formats.MISSING if is_final is None or is_final != is_final else "yes" if is_final else "no, provisional"
