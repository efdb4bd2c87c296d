"""The limit of the arithmetic: TA-Lib in a plain loop over arrays that are in memory already; nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import talib
from deltalake import DeltaTable

RETURNS = {"return_1d": 1, "return_7d": 7, "return_30d": 30, "return_90d": 90, "return_365d": 365}
RETURNS |= {"rate_of_change_14d": 14}


def run(lake: Path, out: Path) -> Callable[[], Callable[[], None]]:
    """24 of the columns of gold.indicators, by coin."""
    coins = _coins(lake)

    def loop() -> Callable[[], None]:
        made = [_of_coin(*each.values()) for each in coins.values()]
        return lambda: _keep(list(coins), made, lake, out)

    return loop


def _coins(lake: Path) -> dict[str, dict[str, Any]]:
    """Closes, highs and lows by coin."""
    files = DeltaTable(lake / "gold" / "daily").file_uris()
    listed = duckdb.sql(
        f"select coin_id, close_usd, high_usd, low_usd from read_parquet({files}) order by coin_id, day"
    )
    columns = listed.fetchnumpy()
    coin = columns.pop("coin_id")
    ends = [*(np.flatnonzero(coin[1:] != coin[:-1]) + 1).tolist(), len(coin)]
    starts = [0, *ends[:-1]]
    numbers = {name: np.ascontiguousarray(np.asarray(each, dtype=float)) for name, each in columns.items()}
    return {
        coin[start]: {name: each[start:end] for name, each in numbers.items()}
        for start, end in zip(starts, ends, strict=True)
    }


def _of_coin(close: Any, high: Any, low: Any) -> dict[str, Any]:
    scale = close.min()  # TA-Lib takes what is below 1e-14 for zero
    close, high, low = close / scale, high / scale, low / scale
    macd, signal, histogram = talib.MACD(close, 12, 26, 9)
    upper, middle, lower = talib.BBANDS(close, 20, 2, 2)
    in_usd = {
        **{f"sma_{n}d": talib.SMA(close, n) for n in (7, 20, 50, 200)},
        **{f"ema_{n}d": talib.EMA(close, n) for n in (12, 26, 50)},
        "macd": macd,
        "macd_signal": signal,
        "macd_histogram": histogram,
        "bollinger_upper_20d": upper,
        "bollinger_middle_20d": middle,
        "bollinger_lower_20d": lower,
        "high_365d_usd": talib.MAX(close, 365),
        "low_365d_usd": talib.MIN(close, 365),
        "atr_14d": talib.ATR(high, low, close, 14),
    }
    return {
        **{name: values * scale for name, values in in_usd.items()},
        **{name: talib.ROCP(close, days) for name, days in RETURNS.items()},
        "rsi_14d": talib.RSI(close, 14),
        "adx_14d": talib.ADX(high, low, close, 14),
    }


def _keep(coins: list[str], made: list[dict[str, Any]], lake: Path, out: Path) -> None:
    """Beside the coin and the day, to be compared."""
    files = DeltaTable(lake / "gold" / "daily").file_uris()
    key = duckdb.sql(f"select coin_id, day from read_parquet({files}) order by coin_id, day").pl()
    columns = {name: np.concatenate([each[name] for each in made]) for name in made[0]}
    key.with_columns(**{name: pl.Series(each).fill_nan(None) for name, each in columns.items()}).write_parquet(
        out / "indicators.parquet"
    )
