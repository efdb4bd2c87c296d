"""One coin: its price and what was computed of it, what the rules said, and where it stands in its own history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from coinlake.dashboard import figures, formats, parts, queries
from coinlake.dashboard.pages.signals import has_evidence
from coinlake.dashboard.parts import Page

if TYPE_CHECKING:
    import pandas as pd

RANGES = {"1M": 31, "3M": 92, "6M": 183, "1Y": 365, "3Y": 1096, "All": None}
WINDOWS = ("24h", "7d", "30d", "90d", "365d")
RAIL = 9


def show(page: Page) -> None:
    """Draw the page."""
    coins = page.ask(queries.coins)
    ids = coins["coin_id"].tolist()
    coin = _rail(page, ids)
    mine = coins[coins["coin_id"] == coin].iloc[0]
    _headline(page, mine)
    with parts.card("price"):
        _price(page, coin)
    left, right = st.columns([1, 1])
    with left, parts.card("windows"):
        _windows(page, coin)
    with right, parts.card("standing"):
        _standing(page, coin)
    with parts.card("months"):
        parts.title("Monthly returns")
        drawn = figures.months(page.ask(queries.monthly_returns, coin), page.colours)
        parts.figure(page, drawn, "months", "Percent, month end to month end; * goes on", "Heatmap of monthly returns")
    with parts.card("history"):
        _signals(page, coin)
    _origin(page, coin, mine["day"])


def _rail(page: Page, ids: list[str]) -> str:
    """Choose a coin: by name, or the next one up or down the ranks."""
    default = page.ask(queries.bitcoin)
    choose, flip = st.columns([3, 1], vertical_alignment="bottom")
    with choose:
        coin = parts.coin_choice(page, "Coin", "coin", default)
    place = ids.index(coin)
    with flip, st.container(horizontal=True):
        for name, to, icon, key in (
            ("Previous", place - 1, ":material/chevron_left:", "p"),
            ("Next", place + 1, ":material/chevron_right:", "n"),
        ):
            there = 0 <= to < len(ids)
            st.button(
                name, key=name, on_click=_flip, args=(ids[to] if there else coin,), icon=icon, disabled=not there,
                width="stretch", shortcut=key, help="The coins go by market capitalisation.",
            )  # fmt: skip
    return coin


def _flip(coin: str) -> None:
    st.session_state["coin"] = coin


def _headline(page: Page, mine: pd.Series[Any]) -> None:
    now = page.ask(queries.coin_now, mine["coin_id"])
    reasons = _text(mine["stance_reasons"])
    stands_on = reasons[:60] if has_evidence(page) else "without evidence of an edge"
    changes = [parts.Kpi("Price", formats.price(mine["price_usd"]), formats.change(mine["return_24h"]) + " 24 h",
                         mine["return_24h"])]  # fmt: skip
    changes += [
        parts.Kpi("Market cap", formats.large(mine["market_cap_usd"]), _rank(mine["rank"])),
        parts.Kpi("Volume 24 h", formats.large(mine["volume_24h_usd"])),
        parts.Kpi("From its peak", formats.change(now.get("drawdown")), formats.price(now.get("peak_usd"))),
        parts.Kpi(
            "Volatility 30 d", formats.share(now.get("volatility_30d"), 0),
            f"beta to bitcoin {formats.number(now.get('beta_btc_90d'))}",
        ),
        parts.Kpi("Stance of the rules", _text(mine["stance"]), stands_on, help=reasons, grey=not has_evidence(page)),
    ]  # fmt: skip
    parts.strip(changes)


def _rank(rank: float) -> str:
    return f"rank {rank:.0f}" if formats.known(rank) else ""


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str) and value else formats.MISSING


@st.fragment
def _price(page: Page, coin: str) -> None:
    period, form, scale = st.columns([2.4, 1.2, 1.2], vertical_alignment="center")
    with period:
        span = parts.choice("Range", list(RANGES), "range", "1Y", label_visibility="collapsed")
    with form:
        drawn_as = parts.choice("Drawn as", ["Candles", "Line"], "form", "Candles", label_visibility="collapsed")
    with scale:
        axis = parts.choice("Scale", ["Linear", "Log"], "scale", "Linear", label_visibility="collapsed")
    over, below, marks = st.columns([2, 2, 1], vertical_alignment="center")
    with over:
        overlays = st.multiselect(
            "Overlays", list(figures.OVERLAYS), default=["SMA 50", "SMA 200"], key="overlays", bind="query-params",
            placeholder="Overlays",
        )  # fmt: skip
    with below:
        panes = st.multiselect(
            "Panes", list(figures.PANES), default=["RSI"], key="panes", bind="query-params", placeholder="Panes"
        )
    with marks:
        marked = st.toggle("Signals", value=True, key="marks", bind="query-params")
    bars = page.ask(queries.coin, coin, RANGES[span])
    fired = page.ask(queries.coin_signals, coin) if marked else None
    drawn = figures.price(
        bars, page.colours, drawn_as == "Candles", axis == "Log", overlays, panes, fired, has_evidence(page)
    )
    joined = int(bars["days_joined"].max()) if len(bars) else 1
    unit = "USD" + (f" · a bar joins {joined} days" if joined > 1 else " · a bar is a UTC day")
    says = f"Price of {page.name(coin)} over {span} with volume" + "".join(f", {each}" for each in [*overlays, *panes])
    parts.figure(page, drawn, "price-figure", unit, says, bars["day"].max() if len(bars) else None)


def _windows(page: Page, coin: str) -> None:
    parts.title("Against its last days")
    found = page.ask(queries.windows, coin)
    if not found:
        parts.missing("market_summary", "Averages and extremes")
        return
    rows = [
        (
            span, formats.price(found[f"average_{span}_usd"]), formats.price(found[f"minimum_{span}_usd"]),
            formats.price(found[f"maximum_{span}_usd"]), parts.coloured(found[f"return_{span}"]),
        )
        for span in WINDOWS
    ]  # fmt: skip
    whole = [
        (span, *(found[f"{each}_{span}_usd"] for each in ("average", "minimum", "maximum")), found[f"return_{span}"])
        for span in WINDOWS
    ]
    parts.facts(("Window", "Average", "Lowest", "Highest", "Return"), rows, "windows", whole)
    st.caption(f"USD · {page.source} · through {formats.day(page.last_day)} · a dash is not known")


def _standing(page: Page, coin: str) -> None:
    parts.title("Against its own history")
    found = page.ask(queries.standing, coin)
    if found.empty:
        parts.missing("indicators", "Indicators and where they stand")
        return
    rows = []
    for measure, value, below in found[["measure", "value", "below"]].itertuples(index=False):
        percent = measure.startswith(("Vol 30", "Volatility", "Draw", "Return"))
        shown = formats.share(value) if percent else formats.number(value)
        bar = f'<div class="bar" role="img" aria-label="higher than {100 * below:.0f} % of its days">'
        bar += f'<i style="left:{97 * below:.0f}%"></i></div>' if below == below else "</div>"
        rows.append((measure, shown, formats.share(below, 0), bar))
    whole = [(*each, "") for each in found[["measure", "value", "below"]].itertuples(index=False)]
    parts.facts(("Measure", "Now", "Higher than", "Lowest to highest"), rows, "standing", whole)
    st.caption(f"Share of its own days that were lower · {page.source} · {int(found['days'].max()):,} days")


def _signals(page: Page, coin: str) -> None:
    parts.title("What the rules said")
    if not page.gold.has("signals"):
        parts.missing("signals", "What the rules say")
        return
    fired = page.ask(queries.coin_signals, coin)
    if fired.empty:
        st.caption("No rule has ever fired on this coin.")
        return
    proven = has_evidence(page)
    html = [
        parts.event(
            sentence, direction, f"{formats.day(day)} · {rule.replace('_', ' ')}"
            + ("" if rule in proven else " · no evidence of an edge"), rule not in proven,
        )
        for day, rule, direction, sentence in fired.head(6)[["day", "rule", "direction", "sentence"]].itertuples(
            index=False
        )
    ]  # fmt: skip
    parts.events(html)
    with st.expander(f"All {len(fired):,}"):
        parts.table(fired, "coin-signals")


def _origin(page: Page, coin: str, day: Any) -> None:
    found = page.ask(queries.origin, coin, day.date()) if formats.known(day) else {}
    if found:
        st.caption(f"The close of {formats.day(day)} was read from `{found['close_bronze_object']}`.")
