"""From silver.prices to daily and indicators with polars, in one script: lazy, on all cores, TA-Lib where it has the
formula.

It has 37 of the columns of gold.indicators, and knows neither gaps, nor redenominations, nor several granularities.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import talib

COIN = "coin_id"


def run(lake: Path, out: Path) -> Callable[[], None]:
    """Write `<out>/daily.parquet` and `<out>/indicators.parquet`."""
    return lambda: write(scan(lake), out)


def scan(lake: Path) -> pl.LazyFrame:
    """silver.prices."""
    return pl.scan_parquet(lake / "silver" / "prices" / "*" / "*.parquet", hive_partitioning=False)


def write(prices: pl.LazyFrame, out: Path) -> None:
    """Both tables."""
    daily = days_of(prices).collect()
    daily.write_parquet(out / "daily.parquet")
    indicators_of(daily.lazy()).collect().write_parquet(out / "indicators.parquet")


def days_of(prices: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of gold.daily."""
    moment = pl.col("observed_at") - pl.duration(microseconds=1)
    current = (
        prices.filter(pl.col("price_usd").is_not_null())
        .sort(COIN, "observed_at", "fetched_at")
        .unique([COIN, "observed_at"], keep="last", maintain_order=True)
        .with_columns(day=moment.dt.date(), hour=moment.dt.hour())
    )
    daily = current.group_by(COIN, "day", maintain_order=True).agg(
        source=pl.col("source").last(),
        high_usd=pl.col("price_usd").max(),
        low_usd=pl.col("price_usd").min(),
        close_usd=pl.col("price_usd").last(),
        average_usd=pl.col("price_usd").mean(),
        volume_24h_usd=pl.col("volume_24h_usd").last(),
        market_cap_usd=pl.col("market_cap_usd").last(),
        observations=pl.len().cast(pl.Int64),
        hours_observed=pl.col("hour").n_unique().cast(pl.Int64),
        close_observed_at=pl.col("observed_at").last(),
        close_bronze_object=pl.col("bronze_object").last(),
    )
    follows = pl.col("day") == pl.col("day").shift().over(COIN) + pl.duration(days=1)
    before = {name: pl.when(follows).then(pl.col(name).shift().over(COIN)) for name in _COMPARED}
    midnight = (pl.col("day") + pl.duration(days=1)).cast(pl.Datetime("us", "UTC"))
    return daily.with_columns(
        open_usd=before["close_usd"],
        high_usd=pl.max_horizontal("high_usd", before["close_usd"]),
        low_usd=pl.min_horizontal("low_usd", before["close_usd"]),
        is_final=pl.col("close_observed_at") == midnight,
        range_is_sampled=pl.lit(True),
        flags=_flags(before),
    )


_COMPARED = ("close_usd", "market_cap_usd", "volume_24h_usd")


def _flags(before: dict[str, pl.Expr]) -> pl.Expr:
    close, cap, volume = (pl.col(name) / before[name] for name in _COMPARED)
    named = {
        "jump_price": (close > 3) | (close * 3 < 1),
        "jump_market_cap": (cap > 11) | (cap < 0.05),
        "jump_volume": (before["volume_24h_usd"] > 0) & (volume > 100),
        "stale": (close == 1) & (cap == 1) & (volume == 1),
    }
    raised = [pl.when(when).then(pl.lit(name)) for name, when in named.items()]
    return pl.concat_str(raised, separator=",", ignore_nulls=True)


def indicators_of(daily: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of gold.indicators."""
    close, volume = pl.col("close_usd"), pl.col("volume_24h_usd")
    simple = close / close.shift() - 1
    log = simple.log1p()
    middle, deviation = close.rolling_mean(20), close.rolling_std(20, ddof=0)
    moving = pl.when(deviation > middle * 1e-12).then(deviation)
    peak = close.cum_max()
    peak_day = pl.when(close == peak).then(pl.col("day")).forward_fill()
    high, low = close.rolling_max(365, min_samples=329), close.rolling_min(365, min_samples=329)
    of_coin = {
        **{f"sma_{n}d": close.rolling_mean(n) for n in (7, 20, 50, 200)},
        "bollinger_upper_20d": middle + 2 * deviation,
        "bollinger_middle_20d": middle,
        "bollinger_lower_20d": middle - 2 * deviation,
        "percent_b_20d": (close - middle) / moving / 4 + 0.5,
        "bandwidth_20d": 4 * deviation / middle,
        **{f"return_{n}d": close / close.shift(n) - 1 for n in (1, 7, 30, 90, 365)},
        "log_return_1d": log,
        "rate_of_change_14d": close / close.shift(14) - 1,
        **{f"volatility_{n}d": log.rolling_std(n) * 365**0.5 for n in (30, 90)},
        "peak_usd": peak,
        "peak_day": peak_day,
        "drawdown": close / peak - 1,
        "days_since_peak": (pl.col("day") - peak_day).dt.total_days(),
        "z_score_20d": (close - middle) / moving,
        "high_365d_usd": high,
        "low_365d_usd": low,
        "distance_high_365d": close / high - 1,
        "distance_low_365d": close / low - 1,
        "sharpe_90d": simple.rolling_mean(90) / simple.rolling_std(90) * 365**0.5,
        "sortino_90d": simple.rolling_mean(90) / (simple.clip(upper_bound=0) ** 2).rolling_mean(90).sqrt() * 365**0.5,
        "volume_z_score_30d": (volume - volume.rolling_mean(30)) / volume.rolling_std(30),
    }
    columns = {name: each.over(COIN) for name, each in of_coin.items()}
    remembered = close.map_batches(_remembered, return_dtype=_REMEMBERED).over(COIN)
    return (
        daily.select(COIN, "day", "source", "close_usd", _remembered=remembered, **columns)
        .unnest("_remembered")
        .with_columns(pl.selectors.float().fill_nan(None))
    )


_NAMES = ("ema_12d", "ema_26d", "ema_50d", "macd", "macd_signal", "macd_histogram", "rsi_14d")
_REMEMBERED = pl.Struct(dict.fromkeys(_NAMES, pl.Float64))


def _remembered(close: pl.Series) -> pl.Series:
    """What TA-Lib makes of one coin's closes, which are scaled to one and more: it takes 1e-14 for zero."""
    low: Any = close.min()
    scaled = (close / low).to_numpy()
    emas = [talib.EMA(scaled, n) * low for n in (12, 26, 50)]
    macds = [each * low for each in talib.MACD(scaled, 12, 26, 9)]
    made = [*emas, *macds, talib.RSI(scaled, 14)]
    return pl.DataFrame(dict(zip(_NAMES, made, strict=True))).to_struct()
