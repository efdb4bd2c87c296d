"""What coins are called that others are measured by, and how one of a simulated market is told from a real one."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIMULATED = "sim-"
"""Every id of a simulated market begins so, and no other's does. A lake is of one market."""

BITCOINS = ("bitcoin", f"{SIMULATED}bitcoin")
ETHERS = ("ethereum", f"{SIMULATED}ethereum")


def among(coins: NDArray[Any], few: Iterable[str]) -> NDArray[np.bool_]:
    """Where a column of ids names one of a few: numpy's own `isin` takes fifty times as long over texts."""
    return reduce(np.logical_or, [np.asarray(coins == each) for each in few], np.zeros(len(coins), dtype=bool))
