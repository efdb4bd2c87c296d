"""What the rules' signals were worth on real histories: `python benchmarks/odds.py FOLDER > docs/signals.md`.

The folder holds a file `<coin>.csv.gz` a coin with the columns day, open, high, low, close and volume.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from histories import Columns, days_of
from numpy.typing import NDArray

from coinlake.engine import engine
from coinlake.engine.series import arrays, frame_of
from coinlake.gold import backtests, indicators, signals
from coinlake.gold.analyze import ITSELF
from coinlake.gold.field import Field
from coinlake.gold.odds import COST, Closed, closed_trades
from coinlake.gold.rules import idea, rules
from coinlake.gold.rules.rule import QUIET, Days, Rule

AHEAD_DAYS = 30
_NO_LISTS: Columns = {
    "coin_id": np.array([], dtype=object),
    "observed_at": np.array([], dtype="datetime64[D]"),
    "rank": np.array([], dtype=float),
}


@dataclass(frozen=True)
class Made:
    """Gold of the histories, as columns."""

    indicators: Columns
    signals: Columns
    backtests: Columns


def gold_of(daily: Columns) -> Made:
    """Indicators, signals and backtests, by the tables' own definitions."""
    duck = engine("duckdb")
    nothing: dict[str, Any] = {"day": "datetime64[D]", "peak_day": "datetime64[D]", "peak_usd": float}
    own = {name: np.array([], dtype=nothing.get(name, object)) for name in indicators.CARRIES}
    read = {"gold.daily": frame_of(duck, daily), ITSELF: frame_of(duck, own)}
    read["silver.markets"] = frame_of(duck, _NO_LISTS)
    read["gold.indicators"] = duck.frame(indicators.build(read, (), duck))
    read["gold.signals"] = duck.frame(signals.build(read, (), duck))
    found = backtests.build(read, (), duck)
    return Made(
        arrays(duck, read["gold.indicators"], ("coin_id", "day")),
        arrays(duck, read["gold.signals"], ("coin_id", "day", "rule")),
        arrays(duck, found, ("rule", "coin_id")),
    )


# The page ------------------------------------------------------------------------------------------------------------

_INTRO = """# Signals

What each rule of `gold.signals` looks for, how often it fires, and what came of it on real histories. Made by
`python benchmarks/odds.py`; a test fails when it lags.

A rule fires on the close of a day, and the earliest trade counted here is at the close of the day after. An event needs
known values on its day and the day before, of the same source, with no new unit of the price in between; recursive
values must have converged; a coin that stands still (volatility under {quiet} a year) fires nothing. Strengths are
comparable within a rule, not between rules.

The histories are daily closes of {coins} coins from {first} to {last} ({days:,} days): large coins of 2022, looked at
from 2022. Coins that died on the way are not among them, so **every number here is too good**, holding first of all.
They come from another source than CoinGecko's, and two bull markets lie in them.

How to read a table:

- **events** and **a year**: how often the rule fired in all, and per coin and year.
- **odds**: of the rule's closed trades in that direction, how many there were, what share **won**, and what the middle
  one earned (**median**), after {cost} basis points a side; a trade that is still open does not count. Up, it begins
  at the close after an event upwards and ends at the one after an event downwards (or after the days named); down, the
  other way round, and it earns what the coin loses. The dashboard and the report give a signal these odds from the
  trades that had closed before its day; here they are those of the whole history, to its last day.
- **rose in 30 days**: of these events, in how many the close 31 days later was over that of the day after the event.
  Beside it the **base rate**: the same share over all days on which the coin is not known to stand still. A signal
  whose share is the base rate says nothing. Neighbouring events overlap, and coins rise and fall together: a few
  points of difference are noise. The **30-day median** is that of these returns, beside that **of all days**. No
  costs, and not odds: no trade lies behind it.
- **followed**: the backtest over all coins in equal weights (`gold.backtests`, `coin_id` `*`): long from the close
  after an event upwards until the one after an event downwards (or for the days named), {fee} basis points of fee and
  {slip} of slippage a side, to the end of the last finished month. Holding pays for its one purchase. The excess is the
  mean daily return over holding times 365, with its 95 % interval, which is that of the row alone. The verdict corrects
  for all {tried} rows tried, so it can say no where the interval does not hold zero.
  Holding these coins was very good in these years, so whatever was out of the market did worse, whether it knew
  something or not: look at the share of days **in the market** and at the Sharpe ratio beside it.
"""


def page(made: Made) -> str:
    """docs/signals.md."""
    days = made.indicators
    intro = _INTRO.format(
        quiet=f"{100 * QUIET:.0f} %", coins=len(np.unique(days["coin_id"])), first=days["day"].min(),
        last=days["day"].max(), days=len(days["day"]), fee=10, slip=5, cost=f"{1e4 * COST:.0f}",
        tried=len(made.backtests["rule"]),
    )  # fmt: skip
    ahead = _ahead(days)
    closed = closed_trades([Field.of(days)], made.signals)
    return "\n".join([intro, _base(days, ahead), *(_of(rule, made, ahead, closed) for rule in rules().values())])


def _ahead(days: Columns) -> NDArray[np.float64]:
    """By row: the return from the close of the next day over 30 days; unknown where one of both is not known."""
    coin = np.unique(days["coin_id"].astype(str), return_inverse=True)[1].astype(np.int64)
    key = coin * 1_000_000 + days["day"].astype(np.int64)
    place = np.minimum(np.searchsorted(key, key + AHEAD_DAYS + 1), len(key) - 1)
    return np.where(key[place] == key + AHEAD_DAYS + 1, days["return_30d"][place], np.nan)


def _base(days: Columns, ahead: NDArray[np.float64]) -> str:
    known = ahead[Days(days).moves & ~np.isnan(ahead)]
    rose = f"the price rose in 30 days after {_share(known > 0)}"
    return f"Of all {len(known):,} days, {rose}; the median return is {_gain(known)}.\n"


def _of(rule: Rule, made: Made, ahead: NDArray[np.float64], closed: Mapping[tuple[str, str], Closed]) -> str:
    days, events = made.indicators, made.signals
    base = ahead[Days(days).moves & ~np.isnan(ahead)]
    years = len(days["day"]) / 365
    lines = [f"## {rule.title}\n", f"Rule `{rule.name}`\n", f"{idea(rule)}\n", f"Strength: {rule.strength}.\n"]
    lines += ["| direction | events | a year | odds: closed trades | won | median | rose in 30 days | base rate "]
    lines[-1] += "| 30-day median | of all days |"
    lines += [f"| --- |{' ---: |' * 9}"]
    where = {(c, d): place for place, (c, d) in enumerate(zip(days["coin_id"], days["day"].tolist(), strict=True))}
    for direction in ("up", "down") if rule.down else ("up",):
        its = (events["rule"] == rule.name) & (events["direction"] == direction)
        pairs = zip(events["coin_id"][its], events["day"][its].tolist(), strict=True)
        found = ahead[[where[pair] for pair in pairs]]
        known, net = found[~np.isnan(found)], closed[rule.name, direction].net_return
        lines.append(
            f"| {direction} | {int(its.sum()):,} | {its.sum() / years:.1f} | {len(net):,} | {_share(net > 0)} "
            f"| {_gain(net)} | {_share(known > 0)} | {_share(base > 0)} | {_gain(known)} | {_gain(base)} |"
        )
    return "\n".join([*lines, "", _followed(rule, made.backtests)])


def _followed(rule: Rule, tests: Columns) -> str:
    mine = np.flatnonzero(tests["rule"] == rule.name)
    (whole,) = mine[tests["coin_id"][mine] == "*"]
    each = mine[tests["coin_id"][mine] != "*"]
    row = {name: values[whole] for name, values in tests.items()}
    exit_ = f"for {rule.holding_days} days" if rule.holding_days else "until the opposite event"
    proven, excess = tests["q_value"][each] < backtests.CERTAIN, tests["excess_return"][each]
    verdict = f"{row['verdict'][0].upper()}{row['verdict'][1:]}"
    return (
        f"Followed ({exit_}), {row['first_day']} to {row['until']}: {row['trades']:,} closed trades, of which "
        f"{100 * row['win_rate']:.0f} % won; Sharpe {row['sharpe']:.2f} against {row['hold_sharpe']:.2f} of holding; "
        f"deepest fall {-100 * row['maximum_drawdown']:.0f} % against {-100 * row['hold_maximum_drawdown']:.0f} %. "
        f"**{verdict}.** Of {len(each)} coins alone, it did better than holding beyond what luck explains on "
        f"{int((proven & (excess > 0)).sum())}, worse on {int((proven & (excess < 0)).sum())}.\n"
    )


def _share(rose: NDArray[np.bool_]) -> str:
    return f"{100 * rose.mean():.0f} %" if len(rose) else "none"


def _gain(values: NDArray[np.float64]) -> str:
    return f"{100 * np.median(values):+z.1f} %" if len(values) else "none"


if __name__ == "__main__":
    print(page(gold_of(days_of(Path(sys.argv[1])))).rstrip())
