"""All coins with their indicators; conditions that combine, written as one would say them, and kept in the URL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from coinlake.dashboard import conditions, formats, parts, queries
from coinlake.dashboard.parts import Page

if TYPE_CHECKING:
    import pandas as pd

IDEAS = {
    "Oversold in an uptrend": "rsi_14d < 30 and above sma_200d",
    "Near its high": "distance_high_365d > -5% and volume_24h > 10M",
    "Calm": "volatility_30d < 60% and rank <= 100",
    "Golden": "sma_50d > sma_200d and return_30d > 0",
}
COLUMNS = {
    "rank": "#", "name": "Coin", "price_usd": "Price", "return_1d": "24 h", "return_7d": "7 d", "return_30d": "30 d",
    "closes": "90 days", "market_cap_usd": "Market cap", "rsi_14d": "RSI", "volatility_30d": "Volatility",
    "drawdown": "From peak", "beta_btc_90d": "Beta", "sharpe_90d": "Sharpe 90 d", "z_score_20d": "z-score",
}  # fmt: skip
IN_PERCENT = ("return_1d", "return_7d", "return_30d", "drawdown")


def show(page: Page) -> None:
    """Draw the page."""
    if not page.gold.has("indicators"):
        parts.missing("indicators", "Indicators to screen by")
    rows = page.ask(queries.screen)
    asked = st.text_input(
        "Conditions", key="where", bind="query-params", placeholder="rsi_14d < 30 and above sma_200d",
        help="Columns, < <= > >= =, numbers with %, K, M or B, joined by `and`; `above sma_200d` and `below ema_50d` "
        "compare the close.",
    )  # fmt: skip
    with st.container(horizontal=True):
        for name, text in IDEAS.items():
            st.button(name, key=f"idea-{name}", on_click=_ask, args=(text,), type="tertiary")
        st.button("Clear", key="clear", on_click=_ask, args=("",), type="tertiary", icon=":material/close:")
    found, unclear = conditions.kept(rows, asked or "")
    if unclear:
        st.warning(unclear)
    with parts.card("screen"):
        parts.title(f"{len(found):,} of {len(rows):,} coins")
        _table(page, found)
        st.caption(f"USD and percent · {page.source} · through {formats.day(page.last_day)} · empty is not known")
    with st.expander("What can be asked for"):
        st.markdown(", ".join(f"`{name}`" for name in conditions.columns_of(rows)))


def _ask(text: str) -> None:
    st.session_state["where"] = text


def _table(page: Page, found: pd.DataFrame) -> None:
    shown = found[[name for name in COLUMNS if name in found]]
    text: dict[str, Any] = {name: formats.change for name in IN_PERCENT if name in shown}
    text |= {name: formats.number for name in ("beta_btc_90d", "sharpe_90d", "z_score_20d") if name in shown}
    text |= {"price_usd": formats.price, "market_cap_usd": formats.large, "rank": formats.count}
    text |= {"volatility_30d": lambda value: formats.share(value, 0), "rsi_14d": lambda value: formats.number(value, 1)}
    changes = [name for name in shown if str(name).startswith("return_")]
    styled: Any = shown.style.format({name: form for name, form in text.items() if name in shown})
    chosen: Any = parts.table(
        shown,
        "screener",
        whole=found.drop(columns="closes", errors="ignore"),
        styled=styled.map(lambda value: f"color: {page.colours.way(value)}", subset=changes),
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            **{name: title for name, title in COLUMNS.items() if name in shown},
            "rank": st.column_config.Column("#", width="small"),
            "closes": st.column_config.LineChartColumn("90 days", width="medium"),
        },
        height=560,
    )
    if rows := chosen["selection"]["rows"]:
        coin = found.iloc[rows[0]]["coin_id"]
        st.page_link(
            page.pages["coin"], label=f"Look at {page.name(coin)}", query_params={"coin": coin},
            icon=":material/arrow_forward:",
        )  # fmt: skip
