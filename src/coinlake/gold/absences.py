"""What cannot be had, what was refused, and what was asked: what runs and rejects say of days."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from coinlake.engine import Engine, Frame
from coinlake.engine.series import arrays

Range = tuple[str, date, date, str]
"""Coin, or "*" for all, first and last day that cannot be had, and why."""
Refused = Mapping[tuple[str, date], Mapping[str, int]]
_A_DAY = np.timedelta64(1, "D")


def ranges(runs: Frame, rejects: Frame, engine: Engine) -> list[Range]:
    """Days that cannot be had: of the plan, as runs say, and of the service, as rejects say; overlapping as one."""
    said = arrays(engine, runs.select("unavailable").unique(), ("unavailable",))["unavailable"]
    found = [
        (each["coin_id"], date.fromisoformat(each["from_day"]), date.fromisoformat(each["to_day"]), each["reason"])
        for text in said.tolist()
        for each in json.loads(text or "[]")
    ]
    columns = ("coin_id", "first_day", "last_day")
    lacking = rejects.filter((nw.col("rule") == "day_missing") & ~nw.col("coin_id").is_null())
    rows = arrays(engine, lacking.select(columns), columns)
    days = zip(*(rows[name].tolist() for name in columns), strict=True)
    found += [(coin, first, last, "the service has none") for coin, first, last in days if first and last]
    return _merged(found)


def _merged(found: Iterable[Range]) -> list[Range]:
    merged: list[Range] = []
    for coin, first, last, why in sorted(found, key=lambda each: (each[0], each[3], each[1], each[2])):
        before = merged[-1] if merged else None
        if before and (before[0], before[3]) == (coin, why) and first <= before[2] + timedelta(days=1):
            merged[-1] = (coin, before[1], max(before[2], last), why)
        else:
            merged.append((coin, first, last, why))
    return merged


def cannot(of: Sequence[Range], coins: Sequence[str], days: NDArray[Any]) -> NDArray[np.bool_]:
    """Where [coin, day] lies in a range."""
    number = {coin: place for place, coin in enumerate(coins)}
    inside = np.zeros((max(len(coins), 1), len(days)), dtype=bool)
    for coin, first, last, _ in of:
        covered = slice(*np.searchsorted(days, [np.datetime64(first), np.datetime64(last) + _A_DAY]))
        if coin == "*":
            inside[:, covered] = True
        elif coin in number:
            inside[number[coin], covered] = True
    return inside


def refused(rejects: Frame, tables: Mapping[str, Sequence[str]], engine: Engine) -> Refused:
    """By silver table and day, how much of what was fetched on the day after was refused, by rule. `tables` names, by
    endpoint, those that its answers become.
    """
    columns = ("fetched_at", "bronze_object", "rule")
    rows = arrays(engine, rejects.select(columns), columns)
    found: dict[tuple[str, date], dict[str, int]] = {}
    days = (rows["fetched_at"].astype("datetime64[D]") - _A_DAY).tolist()
    for day, path, rule in zip(days, rows["bronze_object"], rows["rule"], strict=True):
        for name in tables.get(path.split("/")[1], ()):
            of_day = found.setdefault((name, day), {})
            of_day[rule] = of_day.get(rule, 0) + 1
    return found


def asked(runs: Frame, engine: Engine) -> dict[date, tuple[int, int]]:
    """By day, how many runs asked the service something on the day after, and the credits they used."""
    rows = arrays(engine, runs.filter(nw.col("calls") > 0).select("fetched_at", "credits"), ("fetched_at",))
    found: dict[date, tuple[int, int]] = {}
    days = (rows["fetched_at"].astype("datetime64[D]") - _A_DAY).tolist()
    for day, credits in zip(days, np.nan_to_num(rows["credits"].astype(float)).tolist(), strict=True):
        count, used = found.get(day, (0, 0))
        found[day] = (count + 1, used + int(credits))
    return found
