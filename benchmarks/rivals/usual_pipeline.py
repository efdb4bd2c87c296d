"""What an event usually sets off: every file that ever landed is read again, and everything is computed anew.

One file a day has landed, as one event a day leaves it; the work on them is that of the pandas script.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
from deltalake import DeltaTable

from rivals.pandas_script import READ, write


def run(lake: Path, out: Path) -> Callable[[], None]:
    """Write `<out>/daily.parquet` and `<out>/indicators.parquet` once more, of all that has landed."""
    landed = lake.parent / f"{lake.name}-landed"
    return lambda: write(pd.concat([pd.read_parquet(file) for file in sorted(landed.glob("*.parquet"))]), out)


def land(lake: Path, landed: Path) -> None:
    """Lay silver.prices down as one file a day of fetching."""
    landed.mkdir()
    prices = pd.concat([pd.read_parquet(file)[READ] for file in DeltaTable(lake / "silver" / "prices").file_uris()])
    for (fetched, day), rows in prices.groupby(["fetched_at", "observed_at"]):
        rows.to_parquet(landed / f"{day:%Y-%m-%d}-{fetched:%Y-%m-%d}.parquet", index=False)
