"""Who was there: by day, the coins of the market list that was seen on it. Who was never listed is nobody's choice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST = 250
"""Most coins in the universe of a day."""
RANKS_KNOWN = 0.9
"""Share of the ranks that must be known for the universe to be that of the day."""
LISTED = ("coin_id", "observed_at", "rank")
"""The columns of `silver.markets` that tell."""


def day_of(moments: NDArray[Any]) -> NDArray[Any]:
    """The day that each moment belongs to: 00:00 is the last of the day before."""
    return (moments - np.timedelta64(1, "us")).astype("datetime64[D]")


def universes(lists: Mapping[str, NDArray[Any]]) -> dict[Any, frozenset[str]]:
    """By day whose list is known (rows of `silver.markets`, by moment), the coins on it; those of rank, at least."""
    members = {day: _were_there(ranks) for day, ranks in _ranks(lists).items()}
    return {day: coins for day, coins in members.items() if coins}


def _ranks(lists: Mapping[str, NDArray[Any]]) -> dict[Any, dict[str, float]]:
    """By day, the rank of each coin when it was last listed on it."""
    found: dict[Any, dict[str, float]] = {}
    for day, coin, rank in zip(day_of(lists["observed_at"]), lists["coin_id"], lists["rank"], strict=True):
        found.setdefault(day, {})[coin] = float(rank)
    return found


def _were_there(ranks: Mapping[str, float]) -> frozenset[str]:
    """The coins of a list, down to the rank by which more than a tenth of the ranks is missing."""
    listed = sorted((rank, coin) for coin, rank in ranks.items() if rank == rank)[:LARGEST]
    enough = [number for number, (rank, _) in enumerate(listed, start=1) if number >= RANKS_KNOWN * rank]
    return frozenset(coin for _, coin in listed[: max(enough, default=0)])
