"""How the simulated market compares with the real one: `python -m coinlake.simulator.statistics [FOLDER]`.

FOLDER holds real daily histories (`<id>.csv.gz` with `day` and `close`). The table that is printed stands in
docs/simulator.md.
"""

from __future__ import annotations

import csv
import gzip
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np

from coinlake.simulator.chance import Floats
from coinlake.simulator.majors import MAJORS, STABLE
from coinlake.simulator.market import Market
from coinlake.simulator.paths import DAY_MS

FOLDER = Path("../shared/coingecko/histories")
FIRST, LAST = date(2014, 9, 17), date(2022, 2, 14)
"""The days compared: those of the longest real history."""
SEED, COINS, LARGEST = 7, 250, 25
REAL_STABLE = ("tether", "usd-coin")
REAL_MARKET = ("bitcoin", "ethereum")
SIMULATED_STABLE = tuple(major.id for major in MAJORS if major.sector == STABLE)
_PEGGED = "stablecoin"
_FEWEST_DAYS = 300


class Measures(NamedTuple):
    """Of the daily logarithmic returns of one coin: their number, standard deviation, kurtosis, autocorrelation of
    their absolute values after 1, 7 and 30 days, correlation to bitcoin's; and the deepest fall from a peak.
    """

    days: float
    volatility: float
    kurtosis: float
    clustering_1d: float
    clustering_7d: float
    clustering_30d: float
    to_bitcoin: float
    drawdown: float


TITLES = (
    "days",
    "volatility of a day",
    "kurtosis",
    "autocorrelation of absolute returns, 1 day",
    "…, 7 days",
    "…, 30 days",
    "correlation to bitcoin",
    "deepest fall",
)


def measures(closes: Floats, bitcoin: Floats) -> Measures:
    """Measures of a coin from its closes and bitcoin's on the same days, each [days]; NaN where there is none."""
    steps, of_bitcoin = np.diff(np.log(closes)), np.diff(np.log(bitcoin))
    both = np.isfinite(steps) & np.isfinite(of_bitcoin)
    returns = steps[np.isfinite(steps)]
    sizes = np.abs(returns)
    known = closes[np.isfinite(closes)]
    return Measures(
        len(returns),
        float(returns.std()),
        float(((returns - returns.mean()) ** 4).mean() / returns.var() ** 2),
        _autocorrelation(sizes, 1),
        _autocorrelation(sizes, 7),
        _autocorrelation(sizes, 30),
        float(np.corrcoef(steps[both], of_bitcoin[both])[0, 1]),
        float((known / np.maximum.accumulate(known) - 1).min()),
    )


def _autocorrelation(values: Floats, lag: int) -> float:
    return float(np.corrcoef(values[:-lag], values[lag:])[0, 1])


def real(folder: Path) -> dict[str, Measures]:
    """Measures of the real histories in a folder, by id; the short ones are left out."""
    days = {(FIRST + timedelta(number)).isoformat(): number for number in range((LAST - FIRST).days + 1)}
    found = {}
    for path in sorted(folder.glob("*.csv.gz")):
        closes = np.full(len(days), np.nan)
        with gzip.open(path, "rt") as lines:
            for row in csv.DictReader(lines):
                if row["day"] in days and float(row["close"] or 0) > 0:
                    closes[days[row["day"]]] = float(row["close"])
        found[path.name.removesuffix(".csv.gz")] = closes
    return _measured(found, found["bitcoin"])


def simulated(market: Market) -> dict[str, Measures]:
    """Measures of the largest coins of a market, and of all its stablecoins, over the same days, by id or number; the
    short ones are left out. Of the largest too few are stablecoins for a median to mean much.
    """
    first = (FIRST - date(1970, 1, 1)).days + 1  # a day's close is the price at the midnight that ends it
    times = (first + np.arange((LAST - FIRST).days + 1)) * DAY_MS
    there = market.active(int(times[-1]))
    caps = market.points(there, times[-1:]).cap_usd[:, 0]
    largest = there[np.argsort(-caps, kind="stable")][:LARGEST]
    pegged = there[market.universe.is_stable[there]]
    chosen = np.union1d(largest, pegged)
    closes = market.matrix(chosen, times)
    named = {_name(market, coin): row for coin, row in zip(chosen.tolist(), closes, strict=True)}
    return _measured(named, market.prices(0, times))


def _name(market: Market, coin: int) -> str:
    if coin < len(MAJORS):
        return MAJORS[coin].id
    return f"{_PEGGED if market.universe.is_stable[coin] else 'coin'} {coin}"


def _measured(closes: Mapping[str, Floats], bitcoin: Floats) -> dict[str, Measures]:
    long = {name: each for name, each in closes.items() if np.isfinite(each).sum() >= _FEWEST_DAYS}
    return {name: measures(each, bitcoin) for name, each in long.items()}


def groups(found: Mapping[str, Measures], stable: Iterable[str]) -> dict[str, Sequence[Measures]]:
    """Measures of bitcoin, of ether, of the stablecoins and of all others."""
    is_pegged = {name: name in stable or name.startswith(_PEGGED) for name in found}
    pegged = [each for name, each in found.items() if is_pegged[name]]
    others = [each for name, each in found.items() if not is_pegged[name] and name not in REAL_MARKET]
    single = {name: [found[name]] for name in REAL_MARKET if name in found}
    return {**single, "stablecoins": pegged, "other coins": others}


def table(folder: Path) -> str:
    """Real and simulated measures side by side, as Markdown: medians, and quartiles where there are many."""
    sides = (
        groups(real(folder), REAL_STABLE),
        groups(simulated(Market(SEED, COINS)), SIMULATED_STABLE),
    )
    lines = ["| | | real | simulated |", "| --- | --- | --- | --- |"]
    for group in sides[0]:
        title = f"{group} ({', '.join(str(len(side[group])) for side in sides)})"
        for number, measure in enumerate(TITLES):
            cells = (_cell([each[number] for each in side[group]], number) for side in sides)
            lines.append(f"| {title if not number else ''} | {measure} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(values: Sequence[float], number: int) -> str:
    shown = "{:.0f}" if number == 0 else "{:.1f}" if number == 2 else "{:.4f}" if number == 1 else "{:.2f}"
    low, middle, high = (shown.format(each) for each in np.percentile(values, (25, 50, 75)))
    return middle if len(values) < 4 else f"{middle} ({low} to {high})"


if __name__ == "__main__":
    print(table(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER))
