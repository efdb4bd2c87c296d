"""Strategy lab: a rule, coins, a period and costs, and what following it would have earned against doing nothing."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import streamlit as st

from coinlake.dashboard import figures, formats, lab, parts, queries
from coinlake.dashboard.parts import Page
from coinlake.gold.rules import idea, rules
from coinlake.gold.trading import MINIMUM_TRADES

if TYPE_CHECKING:
    from coinlake.dashboard.gold import Gold

PERIODS = {"1 y": 365, "2 y": 730, "3 y": 1095, "All": 40_000}


def show(page: Page) -> None:
    """Draw the page."""
    if not page.gold.has("signals"):
        parts.missing("signals", "The lab")
        return
    _bench(page)


def names_of(gold: Gold) -> list[str]:
    """The rules that have fired in this lake."""
    return sorted(gold.remember(queries.signals)["rule"].unique().tolist())


def _bench(page: Page) -> None:
    fired = page.ask(names_of)
    if not fired:
        st.caption("No rule has fired in this lake yet.")
        return
    rule, coins, since, fee, slippage = _controls(page, fired)
    known = rules().get(rule)
    if known:
        st.caption(idea(known).split("\n\n")[0].replace("\n", " "))
    if not coins:
        st.info("Choose at least one coin.")
        return
    result = page.ask(followed, rule, tuple(coins), since, fee, slippage)
    if result is None:
        st.info("There is not a month of closes to look at: choose a longer period, or another coin.")
        return
    _outcome(page, result)
    with parts.card("equity"):
        parts.title("One dollar became")
        log = parts.choice("Scale", ["Linear", "Log"], "axis", "Linear", label_visibility="collapsed") == "Log"
        curves = {"Rule": result.rule, "Holding": result.holding, "Bitcoin": result.bitcoin}
        drawn = figures.equity(result.days, curves, page.colours, log)
        unit = f"USD, after costs, bitcoin without · from {formats.day(result.days[0].item())}"
        parts.figure(page, drawn, "equity", unit, "Equity of the rule, of holding and of bitcoin")
    with parts.card("falls"):
        parts.title("Drawdown")
        drawn = figures.drawdowns(result.days, {"Holding": result.holding, "Rule": result.rule}, page.colours)
        parts.figure(page, drawn, "falls", "Below its own peak", "Drawdown of the rule and of holding")
    with parts.card("tested"):
        _tested(page, rule, coins)
    left, right = st.columns([1, 1])
    with left, parts.card("months"):
        parts.title("By month")
        drawn = figures.months(lab.months(result.days, result.rule), page.colours)
        parts.figure(page, drawn, "lab-months", "Percent; * goes on", "Heatmap of the rule's monthly returns")
    with right, parts.card("trades"):
        _trades(page, result)


def _controls(page: Page, fired: list[str]) -> tuple[str, list[str], date | None, float, float]:
    ids = page.ask(parts.coin_ids)
    which, whom = st.columns([1, 2])
    with which:
        rule = st.selectbox("Rule", fired, key="rule", bind="query-params")
    with whom:
        coins = parts.coins_choice(page, "Coins, in equal weights", "held", ids[:5])
    period, fee_at, slip_at = st.columns([2, 1, 1], vertical_alignment="bottom")
    with period:
        span = parts.choice("Period", list(PERIODS), "over", "All")
    with fee_at:
        fee = st.number_input("Fee, basis points", 0.0, 200.0, 10.0, 1.0, key="fee", bind="query-params", format="%.0f")
    with slip_at:
        slippage = st.number_input(
            "Slippage, basis points", 0.0, 200.0, 5.0, 1.0, key="slippage", bind="query-params", format="%.0f"
        )
    until = page.last_day
    since = until - timedelta(days=PERIODS[span]) if until and span != "All" else None
    return rule or fired[0], coins, since, fee or 0.0, slippage or 0.0


def followed(
    gold: Gold, rule: str, coins: tuple[str, ...], since: date | None, fee: float, slippage: float
) -> lab.Result | None:
    """What following a rule on some coins came to."""
    every = gold.remember(queries.signals)
    known = rules().get(rule)
    field = queries.field(gold, coins, since, known.reads if known else ())
    mine = every[(every["rule"] == rule) & every["coin_id"].isin(coins)]
    days = known.holding_days if known else None
    return lab.follow(field, mine, days, fee, slippage, f"{rule} {coins}", known)


def _outcome(page: Page, result: lab.Result) -> None:
    low, high = 365 * result.excess.low, 365 * result.excess.high
    parts.strip(
        [
            parts.Kpi("Rule", formats.change(result.mine.total_return), _a_year(result.mine.annual_return)),
            parts.Kpi("Holding", formats.change(result.hold.total_return), _a_year(result.hold.annual_return)),
            parts.Kpi(
                "Over holding, a year", formats.change(365 * result.excess.mean),
                f"{formats.change(low, 0)} to {formats.change(high, 0)}", help="with its 95 % interval",
            ),
            parts.Kpi(
                "Sharpe", formats.number(result.mine.sharpe), f"holding {formats.number(result.hold.sharpe)}"
            ),
            parts.Kpi(
                "Deepest fall", formats.change(result.mine.maximum_drawdown, 0),
                f"holding {formats.change(result.hold.maximum_drawdown, 0)}",
            ),
            parts.Kpi(
                "Trades", formats.count(len(result.trades)),
                f"{formats.share(result.win_rate, 0)} won, invested {formats.share(result.exposure, 0)}",
            ),
        ]
    )  # fmt: skip
    proves = result.excess.low > 0 and len(result.trades) >= MINIMUM_TRADES
    st.html(parts.event(result.verdict, "", "One sample of the past, of coins that are still here.", not proves))


def _tested(page: Page, rule: str, coins: list[str]) -> None:
    """What `gold.backtests` says of the rule: over all coins, and on those chosen."""
    parts.title("As tested with every coin and rule")
    rows = page.ask(queries.backtests, rule)
    rows = rows[rows["coin_id"].isin(["*", *coins])]
    if rows.empty:
        parts.missing("backtests", "What the rule is worth when all rules and coins are tested together")
        return
    columns = ["coin_id", "trades", "excess_return", "q_value", "verdict"]
    parts.facts(
        ("Coin", "Trades", "Over holding, a year", "q-value", "Verdict"),
        [
            (
                "all coins" if coin == "*" else page.name(coin), formats.count(trades), formats.change(excess),
                formats.number(q), verdict,
            )
            for coin, trades, excess, q, verdict in rows[columns].itertuples(index=False)
        ],
        "tested",
        list(rows[columns].itertuples(index=False)),
    )  # fmt: skip
    st.caption(f"Through {formats.day(rows['until'].max())}; q-values are corrected for all rules and coins tried")


def _a_year(value: float | None) -> str:
    return f"{formats.change(value)} a year"


def _trades(page: Page, result: lab.Result) -> None:
    import pandas as pd

    parts.title("Trades")
    rows: Any = pd.DataFrame(
        [(page.name(t.coin_id), t.opened, t.closed, 100 * t.net_return) for t in result.trades],
        columns=["coin", "opened", "closed", "return"],
    ).sort_values("closed", ascending=False)
    if rows.empty:
        st.caption("None was closed in this period.")
        return
    parts.table(
        rows,
        "trades",
        column_config={
            "coin": "Coin",
            "opened": st.column_config.DateColumn("Opened", format="D MMM YYYY"),
            "closed": st.column_config.DateColumn("Closed", format="D MMM YYYY"),
            "return": st.column_config.NumberColumn("Net return", format="%+.1f %%"),
        },
        height=300,
    )
    st.caption(f"Net of costs · closes of {page.source}")
