"""Real histories as rows of `gold.daily`: a folder holds a file `<coin>.csv.gz` a coin, with the columns day, open,
high, low, close and volume.
"""

from __future__ import annotations

import csv
import gzip
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = dict[str, NDArray[Any]]


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
