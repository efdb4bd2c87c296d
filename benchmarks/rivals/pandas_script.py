"""From silver.prices to daily and indicators with pandas, in one script: vectorised, TA-Lib where it has the formula.

It has 37 of the columns of gold.indicators, and knows neither gaps, nor redenominations, nor several granularities.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import talib

READ = [
    "source", "coin_id", "granularity", "observed_at", "price_usd", "market_cap_usd", "volume_24h_usd", "fetched_at",
    "bronze_object",
]  # fmt: skip
DAY = pd.Timedelta(days=1)


def run(lake: Path, out: Path) -> Callable[[], None]:
    """Write `<out>/daily.parquet` and `<out>/indicators.parquet`."""
    return lambda: write(pd.read_parquet(lake / "silver" / "prices", columns=READ), out)


def write(prices: pd.DataFrame, out: Path) -> None:
    """Both tables."""
    daily = days_of(prices)
    daily.to_parquet(out / "daily.parquet", index=False)
    indicators_of(daily).to_parquet(out / "indicators.parquet", index=False)


def days_of(prices: pd.DataFrame) -> pd.DataFrame:
    """Rows of gold.daily."""
    key = ["coin_id", "observed_at"]
    prices = prices.dropna(subset="price_usd").sort_values([*key, "fetched_at"]).drop_duplicates(key, keep="last")
    moment = prices["observed_at"] - pd.Timedelta(microseconds=1)
    prices = prices.assign(day=moment.dt.floor("D"), hour=moment.dt.hour)
    by = prices.groupby(["coin_id", "day"], sort=False)
    daily = by.agg(
        source=("source", "last"),
        high_usd=("price_usd", "max"),
        low_usd=("price_usd", "min"),
        close_usd=("price_usd", "last"),
        average_usd=("price_usd", "mean"),
        volume_24h_usd=("volume_24h_usd", "last"),
        market_cap_usd=("market_cap_usd", "last"),
        observations=("price_usd", "size"),
        close_observed_at=("observed_at", "last"),
        close_bronze_object=("bronze_object", "last"),
    )
    hours = prices.drop_duplicates(["coin_id", "day", "hour"]).groupby(["coin_id", "day"], sort=False).size()
    daily = daily.assign(hours_observed=hours).reset_index()
    before = daily.groupby("coin_id")[["close_usd", "market_cap_usd", "volume_24h_usd", "day"]].shift()
    before = before.where(before["day"] + DAY == daily["day"])
    daily["open_usd"] = before["close_usd"]
    daily["high_usd"] = daily[["high_usd", "open_usd"]].max(axis=1)
    daily["low_usd"] = daily[["low_usd", "open_usd"]].min(axis=1)
    daily["is_final"] = daily["close_observed_at"] == daily["day"] + DAY
    daily["range_is_sampled"] = True
    daily["flags"] = _flags(daily, before)
    daily["day"] = daily["day"].dt.tz_localize(None).astype("datetime64[s]")
    return daily


def _flags(daily: pd.DataFrame, before: pd.DataFrame) -> pd.Series:
    close, cap, volume = (
        daily[name] / before[name] for name in ("close_usd", "market_cap_usd", "volume_24h_usd")
    )  # fmt: skip
    named = {
        "jump_price": (close > 3) | (close * 3 < 1),
        "jump_market_cap": (cap > 11) | (cap < 0.05),
        "jump_volume": (before["volume_24h_usd"] > 0) & (volume > 100),
        "stale": (close == 1) & (cap == 1) & (volume == 1),
    }
    flags = pd.Series("", index=daily.index)
    for name, raised in named.items():
        flags[raised] = flags[raised] + f"{name},"
    return flags.str.strip(",")


def indicators_of(daily: pd.DataFrame) -> pd.DataFrame:
    """Rows of gold.indicators, coin by coin."""
    return pd.concat([_of_coin(days) for _, days in daily.groupby("coin_id", sort=False)], ignore_index=True)


def _of_coin(days: pd.DataFrame) -> pd.DataFrame:
    close, volume = days["close_usd"], days["volume_24h_usd"]
    low = close.min()  # TA-Lib takes what is below 1e-14 for zero: prices are scaled to one and more
    scaled = (close / low).to_numpy()
    simple = close / close.shift() - 1
    log = np.log1p(simple)
    middle, deviation = close.rolling(20).mean(), close.rolling(20).std(ddof=0)
    moving = deviation.where(deviation > middle * 1e-12)
    macd, signal, histogram = talib.MACD(scaled, 12, 26, 9)
    peak = close.cummax()
    peak_day = days["day"].where(close == peak).ffill()
    high, bottom = (close.rolling(365, min_periods=329).agg(name) for name in ("max", "min"))
    quarter = simple.rolling(90)
    volumes = volume.rolling(30)
    return pd.DataFrame({
        **{name: days[name] for name in ("coin_id", "day", "source", "close_usd")},
        **{f"sma_{n}d": close.rolling(n).mean() for n in (7, 20, 50, 200)},
        **{f"ema_{n}d": talib.EMA(scaled, n) * low for n in (12, 26, 50)},
        "macd": macd * low,
        "macd_signal": signal * low,
        "macd_histogram": histogram * low,
        "rsi_14d": talib.RSI(scaled, 14),
        "bollinger_upper_20d": middle + 2 * deviation,
        "bollinger_middle_20d": middle,
        "bollinger_lower_20d": middle - 2 * deviation,
        "percent_b_20d": (close - middle) / moving / 4 + 0.5,
        "bandwidth_20d": 4 * deviation / middle,
        **{f"return_{n}d": close / close.shift(n) - 1 for n in (1, 7, 30, 90, 365)},
        "log_return_1d": log,
        "rate_of_change_14d": close / close.shift(14) - 1,
        **{f"volatility_{n}d": log.rolling(n).std() * np.sqrt(365) for n in (30, 90)},
        "peak_usd": peak,
        "peak_day": peak_day,
        "drawdown": close / peak - 1,
        "days_since_peak": (days["day"] - peak_day).dt.days,
        "z_score_20d": (close - middle) / moving,
        "high_365d_usd": high,
        "low_365d_usd": bottom,
        "distance_high_365d": close / high - 1,
        "distance_low_365d": close / bottom - 1,
        "sharpe_90d": quarter.mean() / quarter.std() * np.sqrt(365),
        "sortino_90d": quarter.mean() / np.sqrt((simple.clip(upper=0) ** 2).rolling(90).mean()) * np.sqrt(365),
        "volume_z_score_30d": (volume - volumes.mean()) / volumes.std(),
    })  # fmt: skip
