"""Gold tables made of numpy arrays, with the agreed columns: a market of any size in seconds, for pages to be drawn of.

What is in them is made up and only roughly alike to what gold would compute; the shapes, types and gaps are gold's.
"""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from arro3.core import Array, DataType, Table
from deltalake import write_deltalake
from numpy.typing import NDArray

RULES = ("golden_cross", "rsi_reversal", "macd_cross", "momentum", "volume_spike")
UNTIL = date(2026, 11, 24)
NAMES = ("bitcoin", "ethereum", "tether", "solana", "ripple", "cardano", "dogecoin", "tron", "chainlink", "monero")


def make(root: Path, coins: int = 250, days: int = 1095, seed: int = 7, simulated: bool = True) -> Path:
    """Write gold below `root`; returns the gold root. The last coin has a gap, and the one before is a month old."""
    chance = np.random.default_rng(seed)
    ids = [("sim-" if simulated else "") + name for name in [*NAMES, *(f"coin-{n}" for n in range(10, coins))][:coins]]
    last = np.datetime64(UNTIL)
    every = np.arange(last - days + 1, last + 1)
    steps = chance.normal(0.0004, 0.03, (coins, days)) + chance.normal(0, 0.015, days)
    if coins > 2:
        steps[2] = chance.normal(0, 0.0008, days)
    start = 40_000 / np.arange(1, coins + 1) ** 2.2
    close = start[:, None] * np.exp(np.cumsum(steps, axis=1))
    cap = close * (1.2e12 / np.arange(1, coins + 1) ** 1.4 / close[:, -1])[:, None]
    shown = np.ones((coins, days), dtype=bool)
    if coins > 3 and days > 60:
        shown[-1, -50:-44] = False
        shown[-2, :-30] = False
    gold = root / "gold"
    _daily(gold, chance, ids, every, close, cap, shown)
    _indicators(gold, ids, every, close, shown)
    _market(gold, chance, ids, every, close, cap)
    _signals(gold, chance, ids, every, close, shown)
    _backtests(gold, chance, ids, every)
    _correlations(gold, chance, ids)
    _summary(gold, chance, ids, every, close, cap)
    _health(gold, every)
    return gold


def _write(gold: Path, name: str, columns: dict[str, Any], mode: Any = "overwrite") -> None:
    made = {key: value if isinstance(value, Array) else _array(value) for key, value in columns.items()}
    (gold / name).mkdir(parents=True, exist_ok=True)
    write_deltalake(str(gold / name), Table.from_pydict(made), mode=mode)


def _array(values: Any) -> Array:
    values = np.asarray(values)
    if values.dtype.kind == "M":
        return Array.from_numpy(values.astype("datetime64[D]").astype(np.int32)).cast(DataType.date32())
    if values.dtype.kind in "OU":
        return Array([None if value is None else str(value) for value in values], type=DataType.utf8())
    if values.dtype.kind == "f":
        known = ~np.isnan(values)
        return Array([float(v) if k else None for v, k in zip(values, known, strict=True)], type=DataType.float64())
    return Array.from_numpy(values)


def _long(ids: list[str], every: NDArray[Any], shown: NDArray[Any]) -> dict[str, Any]:
    return {
        "coin_id": np.repeat(np.array(ids, dtype=object), len(every))[shown.ravel()],
        "day": np.tile(every, len(ids))[shown.ravel()],
    }


def _daily(gold: Path, chance: Any, ids: Any, every: Any, close: Any, cap: Any, shown: Any) -> None:
    keep = shown.ravel()
    opened = np.c_[close[:, :1], close[:, :-1]]
    spread = np.abs(chance.normal(0, 0.01, close.shape))
    key = _long(ids, every, shown)
    columns = {
        **key,
        "source": np.full(len(key["day"]), "coingecko", dtype=object),
        "open_usd": opened.ravel()[keep],
        "high_usd": (np.maximum(opened, close) * (1 + spread)).ravel()[keep],
        "low_usd": (np.minimum(opened, close) * (1 - spread)).ravel()[keep],
        "close_usd": close.ravel()[keep],
        "volume_24h_usd": (cap * chance.uniform(0.01, 0.1, close.shape)).ravel()[keep],
        "market_cap_usd": cap.ravel()[keep],
        "observations": np.full(len(key["day"]), 24),
        "hours_observed": np.full(len(key["day"]), 24),
        "is_final": np.ones(len(key["day"]), dtype=bool),
        "close_observed_at": np.array([f"{day + 1}T00:00:00Z" for day in key["day"]], dtype=object),
        "close_bronze_object": np.array(
            [f"coingecko/coins_market_chart/date={day}/r-0.jsonl.gz" for day in key["day"]], dtype=object
        ),
        "flags": np.where(chance.random(len(key["day"])) < 0.0005, "jump_price", "").astype(object),
    }
    _write(gold, "daily", columns)


def _mean(values: Any, days: int) -> Any:
    total = np.cumsum(np.pad(values, ((0, 0), (1, 0))), axis=1)
    found = np.full(values.shape, np.nan)
    found[:, days - 1 :] = (total[:, days:] - total[:, :-days])[:, : values.shape[1] - days + 1] / days
    return found


def _back(close: Any, days: int) -> Any:
    found = np.full(close.shape, np.nan)
    found[:, days:] = close[:, days:] / close[:, :-days] - 1
    return found


def _indicators(gold: Path, ids: Any, every: Any, close: Any, shown: Any) -> None:
    keep = shown.ravel()
    step = np.diff(np.log(close), axis=1, prepend=np.log(close[:, :1]))
    sma = {f"sma_{n}d": _mean(close, n) for n in (7, 20, 50, 200)}
    deviation = np.sqrt(np.maximum(_mean(close**2, 20) - sma["sma_20d"] ** 2, 0))
    gain = _mean(np.maximum(step, 0), 14)
    peak = np.maximum.accumulate(close, axis=1)
    volatility = np.sqrt(np.maximum(_mean(step**2, 30), 0) * 365)
    macd = _mean(close, 12) - _mean(close, 26)
    signal = np.nan_to_num(macd) * 0.8
    made = {
        "close_usd": close,
        **sma,
        "ema_12d": _mean(close, 12),
        "ema_26d": _mean(close, 26),
        "ema_50d": sma["sma_50d"],
        "macd": macd,
        "macd_signal": np.where(np.isnan(macd), np.nan, signal),
        "macd_histogram": macd - signal,
        "rsi_14d": 100 * gain / (gain + _mean(np.maximum(-step, 0), 14) + 1e-12),
        "bollinger_upper_20d": sma["sma_20d"] + 2 * deviation,
        "bollinger_middle_20d": sma["sma_20d"],
        "bollinger_lower_20d": sma["sma_20d"] - 2 * deviation,
        "percent_b_20d": (close - sma["sma_20d"]) / (4 * deviation + 1e-12) + 0.5,
        **{f"return_{n}d": _back(close, n) for n in (1, 7, 30, 90, 365) if n < close.shape[1]},
        "volatility_30d": volatility,
        "volatility_90d": np.sqrt(np.maximum(_mean(step**2, 90), 0) * 365),
        "peak_usd": peak,
        "drawdown": close / peak - 1,
        "z_score_20d": (close - sma["sma_20d"]) / (deviation + 1e-12),
        "beta_btc_90d": np.tile(np.linspace(0.5, 1.5, len(ids))[:, None], close.shape[1]),
        "correlation_btc_90d": np.tile(np.linspace(1, 0.1, len(ids))[:, None], close.shape[1]),
        "sharpe_90d": _mean(step, 90) / (np.sqrt(_mean(step**2, 90)) + 1e-12) * np.sqrt(365),
        "volume_z_score_30d": np.sin(np.cumsum(step, axis=1) * 9),
        "adx_14d": np.abs(np.cos(np.cumsum(step, axis=1))) * 60,
        "high_365d_usd": peak,
        "low_365d_usd": np.minimum.accumulate(close, axis=1),
        "distance_high_365d": close / peak - 1,
    }
    flat = {name: values.ravel()[keep] for name, values in made.items()}
    _write(gold, "indicators", {**_long(ids, every, shown), **flat})


def _market(gold: Path, chance: Any, ids: Any, every: Any, close: Any, cap: Any) -> None:
    days = len(every)
    total = cap.sum(axis=0)
    step = np.diff(np.log(total), prepend=np.log(total[0]))
    up = (np.diff(close, axis=1, prepend=close[:, :1]) > 0).sum(axis=0)
    wave = 50 + 30 * np.sin(np.cumsum(step) * 3)
    parts = {f"fear_greed_{n}": np.clip(wave + 9 * i, 0, 100) for i, n in enumerate(("momentum", "volatility"))}
    parts |= {f"fear_greed_{n}": np.clip(wave - 8 * i, 0, 100) for i, n in enumerate(("breadth", "strength"))}
    unknown = np.full(days, np.nan)
    columns = {
        "day": every,
        "universe_coins": np.full(days, len(ids)),
        "universe_is_seen": np.zeros(days, dtype=bool),
        "survivorship_biased": np.ones(days, dtype=bool),
        "total_market_cap_usd": total,
        "total_volume_24h_usd": total * chance.uniform(0.03, 0.06, days),
        "bitcoin_dominance": cap[0] / total,
        "ether_dominance": cap[min(1, len(ids) - 1)] / total,
        "bitcoin_dominance_global": unknown,
        "above_sma_50d": np.clip(0.5 + 0.4 * np.sin(np.arange(days) / 40), 0, 1),
        "above_sma_200d": np.clip(0.5 + 0.3 * np.sin(np.arange(days) / 90), 0, 1),
        "advancers": up,
        "decliners": len(ids) - up,
        "new_highs_365d": chance.integers(0, 20, days),
        "new_lows_365d": chance.integers(0, 20, days),
        "herfindahl": (cap**2).sum(axis=0) / total**2,
        "market_return_1d": np.exp(step) - 1,
        "dispersion_1d": np.full(days, 0.03),
        "average_correlation_btc_30d": np.full(days, 0.6),
        "median_volatility_30d": 0.5 + 0.2 * np.sin(np.arange(days) / 60),
        "fear_greed": np.clip(wave, 0, 100),
        **parts,
        "fear_greed_dominance": unknown,
    }
    _write(gold, "market", columns)


def _signals(gold: Path, chance: Any, ids: Any, every: Any, close: Any, shown: Any) -> None:
    happened = (chance.random((len(RULES), *close.shape)) < 0.006) & shown
    happened[:, : min(3, len(ids)), -1] = True
    rule, coin, day = np.nonzero(happened)
    up = chance.random(len(rule)) < 0.5
    closes = close[coin, day]
    named = [RULES[each].replace("_", " ").capitalize() for each in rule]
    columns = {
        "coin_id": np.array(ids, dtype=object)[coin],
        "day": every[day],
        "rule": np.array(RULES, dtype=object)[rule],
        "direction": np.where(up, "up", "down").astype(object),
        "strength": chance.random(len(rule)),
        "close_usd": closes,
        "numbers": np.array([json.dumps({"close_usd": value}) for value in closes], dtype=object),
        "sentence": np.array(
            [f"{a}: the close (${v:,.4g}) moved {'above' if u else 'below'} its average" for a, v, u in
             zip(named, closes, up, strict=True)], dtype=object
        ),
        "tradable_on": every[day] + 1,
        "survivorship_biased": np.ones(len(rule), dtype=bool),
        "source": np.full(len(rule), "coingecko", dtype=object),
    }  # fmt: skip
    _write(gold, "signals", columns)


def _backtests(gold: Path, chance: Any, ids: Any, every: Any) -> None:
    rows: list[dict[str, Any]] = []
    for number, rule in enumerate(RULES):
        for coin in ["*", *ids[:20]]:
            for fee, slippage in ((10.0, 5.0), (25.0, 25.0)):
                edge = number == 0 and coin == "*"
                excess = 0.12 if edge else float(chance.normal(-0.02, 0.05))
                rows.append(
                    {
                        "rule": rule, "coin_id": coin, "fee_bp": fee, "slippage_bp": slippage,
                        "total_return": float(chance.normal(0.3, 0.5)), "annual_return": float(chance.normal(0.1, 0.2)),
                        "volatility": 0.6, "sharpe": float(chance.normal(0.5, 0.4)), "sortino": 0.7, "calmar": 0.3,
                        "maximum_drawdown": -0.45, "exposure": 0.5, "trades": float(chance.integers(8, 300)),
                        "win_rate": float(chance.uniform(0.35, 0.6)), "turnover": 6.0, "hold_total_return": 0.4,
                        "hold_annual_return": 0.12, "hold_sharpe": 0.5, "hold_maximum_drawdown": -0.7,
                        "bitcoin_total_return": 0.8, "excess_return": excess, "excess_low": excess - 0.08,
                        "excess_high": excess + 0.08, "p_value": 0.01 if edge else 0.4,
                        "q_value": 0.03 if edge else 0.8,
                        "verdict": "beats holding after costs" if edge else "no evidence of an edge", "has_edge": edge,
                        "survivorship_biased": True,
                    }
                )  # fmt: skip
    count = len(rows)
    columns: dict[str, Any] = {}
    for name in rows[0]:
        values = [row[name] for row in rows]
        text = isinstance(values[0], str)
        columns[name] = np.array(values, dtype=object) if text else np.array(values)
    columns |= {"first_day": np.repeat(every[:1], count), "until": np.repeat(every[-1:], count)}
    columns |= {"days": np.full(count, len(every)), "trades": columns["trades"].astype(np.int64)}
    _write(gold, "backtests", columns)


def _correlations(gold: Path, chance: Any, ids: Any) -> None:
    first = sorted(ids)[:60]
    pairs = [(a, b) for n, a in enumerate(first) for b in first[n + 1 :]]
    if not pairs:
        return
    columns: dict[str, Any] = {name: [] for name in ("month_end", "coin_a", "coin_b", "window_days", "correlation")}
    for month in ("2026-09-30", "2026-10-31"):
        for window in (30, 90):
            columns["month_end"] += [np.datetime64(month)] * len(pairs)
            columns["coin_a"] += [a for a, _ in pairs]
            columns["coin_b"] += [b for _, b in pairs]
            columns["window_days"] += [window] * len(pairs)
            columns["correlation"] += list(chance.uniform(-0.2, 1, len(pairs)))
    arrays = {k: np.array(v, dtype=object if k.startswith("coin") else None) for k, v in columns.items()}
    _write(gold, "correlations", {**arrays, "days_known": arrays["window_days"]})


def _ticker(coin: str) -> str:
    known = {"bitcoin": "btc", "ethereum": "eth", "tether": "usdt", "solana": "sol", "ripple": "xrp"}
    name = coin.removeprefix("sim-")
    return known.get(name, name.replace("coin-", "c")[:4])


def _summary(gold: Path, chance: Any, ids: Any, every: Any, close: Any, cap: Any) -> None:
    count = len(ids)
    columns: dict[str, Any] = {
        "coin_id": np.array(ids, dtype=object),
        "symbol": np.array([_ticker(each) for each in ids], dtype=object),
        "name": np.array([each.replace("sim-", "Simulated ").title() for each in ids], dtype=object),
        "rank": np.arange(1, count + 1),
        "price_usd": close[:, -1],
        "priced_at": np.full(count, f"{UNTIL}T23:59:00Z", dtype=object),
        "market_cap_usd": cap[:, -1],
        "volume_24h_usd": np.where(np.arange(count) == 4, np.nan, cap[:, -1] * 0.04),
        "day": np.repeat(every[-1:], count),
        "close_usd": close[:, -1],
        "is_final": np.ones(count, dtype=bool),
        "source": np.full(count, "coingecko", dtype=object),
        "stance": np.array(["BUY", "WAIT", "SELL"], dtype=object)[np.arange(count) % 3],
        "stance_reasons": np.full(count, "golden cross says up", dtype=object),
        "signals_today": np.full(count, "", dtype=object),
    }
    for name, days in {"24h": 1, "7d": 7, "30d": 30, "90d": 90, "365d": 365}.items():
        inside = close[:, -days:]
        columns |= {f"average_{name}_usd": inside.mean(axis=1), f"minimum_{name}_usd": inside.min(axis=1)}
        columns |= {f"maximum_{name}_usd": inside.max(axis=1), f"days_known_{name}": np.full(count, inside.shape[1])}
        enough = close.shape[1] > days
        columns[f"return_{name}"] = close[:, -1] / close[:, -1 - days] - 1 if enough else np.full(count, np.nan)
    _write(gold, "market_summary", columns)


def _health(gold: Path, every: Any) -> None:
    names = ("silver.prices", "silver.markets", "gold.daily")
    days = every[-30:]
    count = len(days) * len(names)
    columns = {
        "table_name": np.tile(np.array(names, dtype=object), len(days)),
        "day": np.repeat(days, len(names)),
        "rows": np.full(count, 250),
        "coins_missing": np.zeros(count, dtype=np.int64),
        "rejects": np.arange(count) % 5,
        "hours_behind": np.full(count, 1.5),
        "verdict": np.tile(np.array([None, None, "serve"], dtype=object), len(days)),
        "reason": np.tile(np.array([None, None, "all 250 coins"], dtype=object), len(days)),
    }
    _write(gold, "health", columns)


def hold(gold: Path) -> None:
    """A new version of `gold.health`: on its newest day `gold.daily` is on hold, and so is what rests on it."""
    from deltalake import DeltaTable, write_deltalake

    rows = DeltaTable(str(gold / "health")).to_pandas()
    held = rows[(rows["table_name"] == "gold.daily") & (rows["day"] == rows["day"].max())].assign(verdict="hold")
    daily = held.assign(reason="2 of 5 coins missing: <ada>, sol")
    market = held.assign(table_name="gold.market", reason="gold.daily is held")
    others = rows.drop(index=held.index)
    for each in (others, daily, market):
        write_deltalake(str(gold / "health"), each, mode="overwrite" if each is others else "append")


def next_version(gold: Path) -> None:
    """A new version of the market summary: every price one percent higher."""
    from deltalake import DeltaTable

    DeltaTable(str(gold / "market_summary")).update(updates={"price_usd": "price_usd * 1.01"})
