"""What the rules' signals were worth on real histories: `python benchmarks/odds.py FOLDER > docs/signals.md`.

The folder holds a file `<coin>.csv.gz` a coin with the columns day, open, high, low, close and volume.
"""

from __future__ import annotations

import csv
import gzip
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coinlake.engine import engine
from coinlake.engine.series import arrays, frame_of
from coinlake.gold import backtests, indicators, signals, trading
from coinlake.gold.analyze import ITSELF
from coinlake.gold.rules import idea, rules
from coinlake.gold.rules.rule import Rule

Columns = dict[str, NDArray[Any]]

COST = 0.0015
"""Of one side: 10 basis points of fee and 5 of slippage, the defaults."""
AHEAD_DAYS = 30


def days_of(folder: Path) -> Columns:
    """The histories as rows of `gold.daily`, as far as indicators read them; a zero is unknown."""
    parts = [_coin(path) for path in sorted(folder.glob("*.csv.gz"))]
    return {name: np.concatenate([each[name] for each in parts]) for name in parts[0]}


def _coin(path: Path) -> Columns:
    with gzip.open(path, "rt") as file:
        read = [row for row in csv.DictReader(file) if float(row["close"] or 0) > 0]
    close, high, low, volume = (
        np.array([float(row[name] or 0) or np.nan for row in read]) for name in ("close", "high", "low", "volume")
    )
    n = len(read)
    return {
        "coin_id": np.array([path.name.removesuffix(".csv.gz")] * n, dtype=object),
        "source": np.array(["histories"] * n, dtype=object),
        "day": np.array([row["day"] for row in read], dtype="datetime64[D]"),
        "close_usd": close,
        "high_usd": np.fmax(high, close),
        "low_usd": np.fmin(low, close),
        "market_cap_usd": np.full(n, np.nan),
        "volume_24h_usd": volume,
        "range_is_sampled": np.zeros(n, dtype=bool),
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
    read["gold.indicators"] = _held(duck, indicators.build(read, (), duck))
    read["gold.signals"] = _held(duck, signals.build(read, (), duck))
    found = backtests.build(read, (), duck)
    return Made(
        arrays(duck, read["gold.indicators"], ("coin_id", "day")),
        arrays(duck, read["gold.signals"], ("coin_id", "day", "rule")),
        arrays(duck, found, ("rule", "coin_id")),
    )


def _held(duck: Any, frame: Any) -> Any:
    return duck.frame(duck.arrow(frame))


if __name__ == "__main__":
    made = gold_of(days_of(Path(sys.argv[1])))
