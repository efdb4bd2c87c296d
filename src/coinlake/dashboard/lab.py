"""What a rule would have earned, for costs, coins and days of one's own choice: `gold.trading` asked again.

Arrays are coins by calendar days ([coin, day]), as there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from coinlake.gold import evidence, trading
from coinlake.gold.field import Columns, Events, Field
from coinlake.gold.rules.rule import Rule

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]


def columns(rows: pd.DataFrame) -> Columns:
    """Rows of gold as its arithmetic takes them: whole days, an empty text for an unknown source, no unknown flags."""
    made = {str(name): values.to_numpy() for name, values in rows.items()}
    made["day"] = made["day"].astype("datetime64[D]")
    if "is_break" in made:
        made["is_break"] = rows["is_break"].fillna(False).to_numpy(dtype=bool)
        made["source"] = rows["source"].fillna("").to_numpy(dtype=object)
    for name in [each for each in made if each.endswith("_converged")]:
        made[name] = rows[name].fillna(False).to_numpy(dtype=bool)
    return made


@dataclass(frozen=True)
class Trade:
    """One closed trade."""

    coin_id: str
    opened: np.datetime64
    closed: np.datetime64
    net_return: float


@dataclass(frozen=True)
class Result:
    """What one dollar became by following the rule, by holding the coins, by holding bitcoin; trades; measures."""

    days: NDArray[np.datetime64]
    rule: Floats
    holding: Floats
    bitcoin: Floats
    trades: Sequence[Trade]
    mine: trading.Measures
    hold: trading.Measures
    excess: evidence.Excess
    exposure: float

    @property
    def win_rate(self) -> float:
        """The share of closed trades that earned something."""
        return float(np.mean([trade.net_return > 0 for trade in self.trades])) if self.trades else float("nan")

    @property
    def verdict(self) -> str:
        """What these numbers allow one to say."""
        if len(self.trades) < trading.MINIMUM_TRADES:
            return f"Too few trades to judge ({len(self.trades)} closed)."
        if self.excess.low > 0:
            return "Better than holding in this sample, after costs. A sample that was chosen afterwards proves little."
        if self.excess.high < 0:
            return "Worse than holding in this sample, after costs."
        return "No evidence of an edge over holding: the interval holds zero."


def follow(
    field: Field,
    signals: pd.DataFrame,
    holding_days: int | None,
    fee_bp: float,
    slippage_bp: float,
    key: str = "",
    rule: Rule | None = None,
) -> Result | None:
    """Follow one rule's signals on the field's coins in equal weights; None where there is not a month to look at.

    Holding begins where the `rule` could trade, as in `gold.backtests`, if the field has what it reads; else with the
    second close.
    """
    cost = (fee_bp + slippage_bp) * trading.BASIS_POINT
    close, breaks = field.part()
    opens = field.opens(rule) if rule and set(rule.reads) <= set(field.columns) else _opens(close)
    first = int(opens.min()) if len(opens) else len(field.calendar)
    if len(field.calendar) - first < 30:
        return None
    events = Events.of(field, columns(signals)).part(close.shape)
    held = trading.positions(trading.targets(events, breaks, holding_days), close, breaks, opens)
    earned = trading.returns(close, breaks)
    there = np.arange(len(field.calendar)) >= opens[:, None]
    weights = np.maximum(there.sum(axis=0), 1)
    net = ((trading.followed(earned, held, cost) * there).sum(axis=0) / weights)[first:]
    hold = ((trading.held_on(earned, opens, cost) * there).sum(axis=0) / weights)[first:]
    closed = trading.trades(earned, held, cost)
    return Result(
        days=field.calendar[first:],
        rule=np.cumprod(1 + net),
        holding=np.cumprod(1 + hold),
        bitcoin=_rebased(field.bitcoin[first:]),
        trades=[
            Trade(str(field.coins[coin]), field.calendar[opened], field.calendar[shut], float(value))
            for coin, opened, shut, value in zip(
                closed.coin, closed.opened, closed.closed, closed.net_return, strict=True
            )
        ],
        mine=trading.measures(net),
        hold=trading.measures(hold),
        excess=evidence.excess(net - hold, key),
        exposure=float(held[:, first:].mean()),
    )


def _opens(close: Floats) -> NDArray[np.int64]:
    """By coin, the first place at which one could trade: the second day that is known."""
    known = np.cumsum(~np.isnan(close), axis=1) >= 2
    return np.asarray(np.where(known.any(axis=1), known.argmax(axis=1), close.shape[1]))


def _rebased(values: Floats) -> Floats:
    known = values[~np.isnan(values)]
    return values / known[0] if len(known) else values


def months(days: NDArray[Any], curve: Floats) -> pd.DataFrame:
    """The return of each calendar month of a curve: year, month, return, goes_on."""
    import pandas as pd

    ends = days.astype("datetime64[M]")
    last = np.flatnonzero(np.r_[ends[1:] != ends[:-1], True]) if len(ends) else np.array([], dtype=int)
    returns = curve[last] / np.r_[1.0, curve[last][:-1]] - 1
    goes_on = np.zeros(len(last), dtype=bool)
    if len(days):
        goes_on[-1] = (days[-1] + 1).astype("datetime64[M]") == ends[-1]
    years = ends[last].astype("datetime64[Y]").astype(int) + 1970
    return pd.DataFrame(
        {"year": years, "month": ends[last].astype(int) % 12 + 1, "return": returns, "goes_on": goes_on}
    )
