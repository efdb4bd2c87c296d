"""Conditions on coins in a person's words: `rsi_14d < 30 and above sma_200d`. Nothing of it is ever executed."""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "=": lambda a, b: a == b,
}
_SCALES = {"%": 0.01, "k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12, "": 1.0}
_NAME = r"[a-z_0-9]+(?: +[a-z_0-9]+)*?"
_ONE = re.compile(rf"({_NAME})\s*(<=|>=|<|>|=|\bunder\b|\bover\b)\s*(\S+(?: +[a-z_0-9]+)*?)\s*(%?)")
_SIDE = re.compile(rf"(above|below)\s+({_NAME})")
_NUMBER = re.compile(r"\$?([+-]?[0-9]*\.?[0-9]+)([%kmbt]?)")
SHORT = {
    "rsi": "rsi_14d", "volatility": "volatility_30d", "beta": "beta_btc_90d", "sharpe": "sharpe_90d",
    "price": "price_usd", "cap": "market_cap_usd", "market_cap": "market_cap_usd", "volume": "volume_24h_usd",
    "volume_24h": "volume_24h_usd", "close": "close_usd", "z_score": "z_score_20d", "adx": "adx_14d",
    "sma_7": "sma_7d", "sma_20": "sma_20d", "sma_50": "sma_50d", "sma_200": "sma_200d",
    "ema_12": "ema_12d", "ema_26": "ema_26d", "ema_50": "ema_50d",
}  # fmt: skip
"""Shorter names that people use."""


def columns_of(rows: pd.DataFrame) -> list[str]:
    """The columns that conditions can be about."""
    return [name for name in rows.columns if rows[name].dtype.kind in "fi"]


def kept(rows: pd.DataFrame, text: str) -> tuple[pd.DataFrame, str]:
    """The rows that satisfy every condition, and a sentence on the first that was not understood (empty if none; all
    rows are kept then, for half of what was asked is not what was asked).

    What is not known satisfies no condition.
    """
    found = rows
    for part in re.split(r"\s*(?:\band\b|,|&)\s*", text.strip().lower()):
        if not part:
            continue
        try:
            found = found[_one(found, part)]
        except ValueError as exc:
            return rows, str(exc)
    return found, ""


def _one(rows: pd.DataFrame, part: str) -> Any:
    if side := _SIDE.fullmatch(part):
        return _SIGNS[">" if side[1] == "above" else "<"](_column(rows, "close_usd"), _column(rows, side[2]))
    if told := _ONE.fullmatch(part):
        sign = {"under": "<", "over": ">"}.get(told[2], told[2])
        return _SIGNS[sign](_column(rows, told[1]), _value(rows, told[3] + told[4]))
    raise ValueError(f"“{part}” is no condition; write one as rsi_14d < 30, or above sma_200d.")


def _value(rows: pd.DataFrame, text: str) -> Any:
    if number := _NUMBER.fullmatch(text):
        return float(number[1]) * _SCALES[number[2]]
    return _column(rows, text)


def _column(rows: pd.DataFrame, name: str) -> Any:
    name = "_".join(name.split())
    full = SHORT.get(name, name)
    known = columns_of(rows)
    if full not in known:
        near = get_close_matches(full, known, n=1)
        raise ValueError(f"There is no column “{name}”" + (f"; did you mean {near[0]}?" if near else "."))
    return rows[full]
