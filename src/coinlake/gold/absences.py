"""What cannot be had, what was refused, and what was asked: what runs and rejects say of days."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain
from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from coinlake.engine import Engine, Frame
from coinlake.engine.series import arrays
from coinlake.gold.attendance import Days

Refused = Mapping[tuple[str, date], Mapping[str, int]]
_NEVER = np.datetime64("9999-12-31", "us")


@dataclass(frozen=True)
class Ranges:
    """Days that cannot be had: the coin, or "*" for all, the first and the last of them, why, and when it was told."""

    coins: Sequence[str]
    first: Days
    last: Days
    why: Sequence[str]
    told: Days

    @staticmethod
    def of(runs: Frame, rejects: Frame, engine: Engine) -> Ranges:
        """Of the plan, as runs say, and of the service, as rejects say; what was told again, as it first was."""
        found: dict[tuple[str, date, date, str], Any] = {}
        for about, told in chain(_of_the_plan(runs, engine), _of_the_service(rejects, engine)):
            found[about] = min(told, found.get(about, told))
        order = sorted(found)
        coins, why = [each[0] for each in order], [each[3] for each in order]
        begins, ends = (np.array([each[place] for each in order], dtype="datetime64[D]") for place in (1, 2))
        return Ranges(coins, begins, ends, why, np.array([found[each] for each in order], dtype="datetime64[us]"))

    def cover(self, coins: Sequence[str], days: Days, until: Days) -> NDArray[np.bool_]:
        """Where [coin, day] lies in one that was told until a moment of the day's own."""
        number = {coin: place for place, coin in enumerate(coins)}
        told = np.full((max(len(coins), 1), len(days)), _NEVER)
        begins, ends = np.searchsorted(days, self.first), np.searchsorted(days, self.last, side="right")
        for coin, begin, end, at in zip(self.coins, begins.tolist(), ends.tolist(), self.told, strict=True):
            rows = slice(None) if coin == "*" else number.get(coin, slice(0))
            told[rows, begin:end] = np.minimum(told[rows, begin:end], at)
        return np.asarray(told <= np.fmin(until, _NEVER - 1))

    def on(self, day: Any, until: Any, since: date) -> list[dict[str, str]]:
        """Those that cover a day and were told until a moment: coin, since when, but for what lies before `since`, and
        why.
        """
        covering = np.flatnonzero((self.first <= day) & (self.last >= day) & (self.told <= until))
        begun: dict[tuple[str, str], date] = {}
        for each in covering.tolist():
            about = self.coins[each], self.why[each]
            begun[about] = min(max(self.first[each].item(), since), begun.get(about, day.item()))
        return [{"coin_id": coin, "since": str(first), "reason": why} for (coin, why), first in sorted(begun.items())]


_About = tuple[tuple[str, date, date, str], datetime]


def _of_the_plan(runs: Frame, engine: Engine) -> Iterator[_About]:
    said = arrays(engine, runs.select("unavailable", "fetched_at"))
    for text, told in zip(said["unavailable"].tolist(), said["fetched_at"].tolist(), strict=True):
        for each in json.loads(text or "[]"):
            days = (date.fromisoformat(each[name]) for name in ("from_day", "to_day"))
            yield (each["coin_id"], *days, each["reason"]), told


def _of_the_service(rejects: Frame, engine: Engine) -> Iterator[_About]:
    lacking = rejects.filter((nw.col("rule") == "day_missing") & ~nw.col("coin_id").is_null())
    rows = arrays(engine, lacking.select("coin_id", "first_day", "last_day", "fetched_at"))
    days = zip(*(rows[name].tolist() for name in ("coin_id", "first_day", "last_day", "fetched_at")), strict=True)
    for coin, first, last, at in days:
        if first and last:
            yield (coin, first, last, "the service has none"), at


def refused(rejects: Frame, tables: Mapping[str, Sequence[str]], engine: Engine) -> Refused:
    """By silver table and day, how much of what was fetched on it was refused, by rule. `tables` names, by endpoint,
    those that its answers become.
    """
    columns = ("fetched_at", "bronze_object", "rule")
    rows = arrays(engine, rejects.select(columns), columns)
    found: dict[tuple[str, date], dict[str, int]] = {}
    days = rows["fetched_at"].astype("datetime64[D]").tolist()
    for day, path, rule in zip(days, rows["bronze_object"], rows["rule"], strict=True):
        for name in tables.get(path.split("/")[1], ()):
            of_day = found.setdefault((name, day), {})
            of_day[rule] = of_day.get(rule, 0) + 1
    return found


def asked(runs: Frame, engine: Engine) -> dict[date, tuple[int, int]]:
    """By day, how many runs asked the service something, and the credits they used."""
    rows = arrays(engine, runs.filter(nw.col("calls") > 0).select("fetched_at", "credits"), ("fetched_at",))
    found: dict[date, tuple[int, int]] = {}
    days = rows["fetched_at"].astype("datetime64[D]").tolist()
    for day, credits in zip(days, np.nan_to_num(rows["credits"].astype(float)).tolist(), strict=True):
        count, used = found.get(day, (0, 0))
        found[day] = (count + 1, used + int(credits))
    return found
