"""What following a rule would have earned, after costs, against holding the coin and against holding bitcoin, and how
sure one can be of the difference. Most answers are "no evidence of an edge", and that is an answer.

One row a rule and coin, and one a rule over all coins of the lake (`coin_id` `*`: equal weights, put right each day at
no cost, on both sides of the comparison). Rows reach from `first_day`, the first close at which the rule could have
traded, to `until`, the end of the last finished month. They are made anew when a month ends, when a day up to there
changes, or when the definition or the costs do.

A rule is in the coin or in cash, which earns nothing. An event on the close of a day is traded at the next day's close,
and each side costs `fee_bp` + `slippage_bp`. Holding buys at the first close and pays for that one side. A missing day
earns nothing, and its return falls on the next known day. Where the price starts a new unit or another source takes
over, a position is closed at the last price before and pays for it, with no gain or loss across; holding goes on. A
coin whose closes end before `until` (`last_day`) cannot be sold: position and holding stay at the last price and earn
nothing, the capital is stuck, and the trade counts as open. If the coin was worthless by then, that loss is not in
here.

`excess_return` is the mean daily return over holding, times 365, with a 95 % interval from a circular block bootstrap
(blocks of 20 days, 1,000 resamples, seeded by the row's key). `p_value` asks whether it is zero, `q_value` corrects for
all rows of this table (Benjamini and Hochberg): with hundreds of rules and coins tried, some must look good by luck.
A row with fewer than ten closed trades is not tested, and says so. A rule that is mostly in cash beats holding in any
falling market, and loses to it in any rising one, without knowing anything: look at `exposure`, at Sharpe, and at
several coins before believing a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from coinlake.engine import Engine, Frame
from coinlake.engine.series import frame_of, series_of, typed
from coinlake.gold.evidence import corrected
from coinlake.gold.following import EVENT, Row, rows
from coinlake.gold.rules import rules
from coinlake.gold.trading import MINIMUM_TRADES
from coinlake.table import Boolean, Column, Date, Float64, Int64, String, Table

_FRACTION = "fraction"

TABLE = Table(
    "gold.backtests",
    key=("rule", "coin_id", "fee_bp", "slippage_bp"),
    columns={
        "rule": Column(String, "the rule's name", one_of=tuple(rules())),
        "coin_id": Column(String, "CoinGecko id; `*` for all coins of the lake in equal weights"),
        "fee_bp": Column(Float64, "fee of one side of a trade", "basis points", between=(0, None)),
        "slippage_bp": Column(Float64, "loss to the market of one side of a trade", "basis points", between=(0, None)),
        "first_day": Column(Date, "first close at which the rule could have traded", required=True),
        "until": Column(Date, "last day looked at: the end of the last finished month", required=True),
        "last_day": Column(Date, "last day whose close is known; what is held then is stuck", required=True),
        "days": Column(Int64, "calendar days from the first to the last", "days", required=True, between=(1, None)),
        "total_return": Column(Float64, "what following earned in all", _FRACTION, required=True, between=(-1, None)),
        "annual_return": Column(Float64, "the same by the year, compound", _FRACTION, between=(-1, None)),
        "volatility": Column(Float64, "of daily returns, annualised", _FRACTION, between=(0, None)),
        "sharpe": Column(Float64, "mean daily return over its deviation, annualised; cash earns nothing"),
        "sortino": Column(Float64, "the same over the deviation below zero"),
        "calmar": Column(Float64, "annual return over the maximum drawdown"),
        "maximum_drawdown": Column(Float64, "deepest fall from a peak", _FRACTION, required=True, between=(-1, 0)),
        "exposure": Column(Float64, "share of days in the coin", _FRACTION, required=True, between=(0, 1)),
        "trades": Column(Int64, "closed trades", "trades", required=True, between=(0, None)),
        "win_rate": Column(Float64, "share of closed trades that earned something, net", _FRACTION, between=(0, 1)),
        "turnover": Column(Float64, "sides traded in a year, in units of capital", "per year", True, between=(0, None)),
        "hold_total_return": Column(Float64, "what holding the coin earned", _FRACTION, True, between=(-1, None)),
        "hold_annual_return": Column(Float64, "the same by the year, compound", _FRACTION, between=(-1, None)),
        "hold_sharpe": Column(Float64, "Sharpe ratio of holding"),
        "hold_maximum_drawdown": Column(Float64, "deepest fall of holding", _FRACTION, True, between=(-1, 0)),
        "bitcoin_total_return": Column(
            Float64, "what holding bitcoin earned over the same days; null where unknown", _FRACTION, between=(-1, None)
        ),
        "excess_return": Column(Float64, "mean daily return over holding, annualised", _FRACTION, required=True),
        "excess_low": Column(Float64, "lower end of its 95 % interval", _FRACTION, required=True),
        "excess_high": Column(Float64, "upper end of its 95 % interval", _FRACTION, required=True),
        "p_value": Column(Float64, "chance of an excess as far from zero if there is none", between=(0, 1)),
        "q_value": Column(Float64, "the same, corrected for all rows tried", between=(0, 1)),
        "verdict": Column(String, "what to make of it", required=True),
        "has_edge": Column(Boolean, "whether it beat holding beyond what luck explains", required=True),
        "survivorship_biased": Column(
            Boolean,
            "whether it compares or pools coins of which only survivors are known: all rows of `*` do",
            required=True,
        ),
    },
    grain="one rule on one coin, or on all coins (`*`), at one level of costs",
    reads=("gold.indicators", "gold.signals"),
)

UNTIL = "until"
"""The column that tells how far the rows reach: they are made anew by months."""
OPTIONS = ("fee_bp", "slippage_bp")
"""Settings that `build` takes by name, and that are part of the definition."""

CERTAIN = 0.05
"""A corrected p-value below it counts as evidence."""


COLUMNS = {
    "gold.indicators": (
        "coin_id",
        "day",
        *sorted({"close_usd", "is_break", "source", *(name for rule in rules().values() for name in rule.reads)}),
    ),
    "gold.signals": EVENT,
}
"""What is read of wide tables."""
READS_ONCE = True


def build(
    read: Mapping[str, Frame], sources: Sequence[str], engine: Engine, fee_bp: float = 10.0, slippage_bp: float = 5.0
) -> Frame:
    """One row a rule and coin that could trade for at least 30 days, and one a rule over them all."""
    days, events = (series_of(engine, read[name].select(*COLUMNS[name]), ["coin_id"]) for name in TABLE.reads)
    made = _tested(rows(days, events, (fee_bp, slippage_bp), rules()))
    columns = {name: typed(column.type, [row[name] for row in made]) for name, column in TABLE.columns.items()}
    return frame_of(engine, columns)


# What to make of it --------------------------------------------------------------------------------------------------


def _tested(found: Sequence[Row]) -> list[Row]:
    """The rows, with what correcting for all of them leaves of each."""
    q_values = corrected(typed(Float64, [row["p_value"] for row in found]))
    return [{**row, "q_value": q, **_judged(row, q)} for row, q in zip(found, q_values.tolist(), strict=True)]


def _judged(row: Row, q_value: float) -> Row:
    better = q_value < CERTAIN and row["excess_return"] > 0
    return {"has_edge": bool(better), "verdict": verdict(row, q_value)}


BETTER, WORSE = "did better than holding", "did worse than holding"
"""How the verdicts begin that luck does not explain."""


def verdict(row: Row, q_value: float) -> str:
    """What a careful person would say of a row."""
    by = f"{_points(row['excess_return'])} a year against holding ({_points(row['excess_low'])} to "
    by += f"{_points(row['excess_high'])}), after costs, in the market on {100 * row['exposure']:.0f} % of the days"
    if row["trades"] < MINIMUM_TRADES:
        return f"too few trades to judge ({row['trades']} closed): {by}"
    if q_value < CERTAIN:
        return f"{BETTER if row['excess_return'] > 0 else WORSE}, beyond what luck explains: {by}"
    return f"no evidence of an edge: {by}"


def _points(fraction: float) -> str:
    return f"{100 * fraction:+.0f} %"
