"""What the tables hold of each day, and when silver heard of it: the counts that `gold.health` judges by.

Everything is told of days on one calendar, an array of days without a hole. What is told of a day rests on the days
around it alone, at most `MONTH` of them on either side, and on when what was observed on those was fetched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from coinlake.engine import Engine, Frame
from coinlake.engine.series import arrays, frame_of

MONTH = 30
"""Days on either side that matter to a day."""
COUNTED = ("rows", "outliers", "stale", "provisional")
ODD = "jump_|spike|zero"
NEVER = np.datetime64("NaT", "us")
_MOMENT = timedelta(microseconds=1)

Days = NDArray[np.datetime64]
"""Days, one after the other; or a moment for each of them, NaT where there is none."""
Truths = NDArray[np.bool_]
Found = Mapping[str, NDArray[Any]]


# What is there -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Held:
    """What a table holds of each day: which coins [coin, day], counts by day, and when the last of it was fetched
    (of silver; NaT elsewhere).
    """

    there: Truths
    counts: Mapping[str, NDArray[np.float64]]
    fetched: Days

    @property
    def any(self) -> Truths:
        """By day, whether it has a row."""
        return self.counts["rows"] > 0


def numbered(frames: Sequence[Frame], engine: Engine) -> tuple[list[str], Frame]:
    """Every coin of some frames, in order, and a frame that gives each its number (`coin_id`, `coin`)."""
    every = nw.concat([frame.select("coin_id") for frame in frames]).unique()
    names = arrays(engine, every, ("coin_id",))["coin_id"]
    return names.tolist(), frame_of(engine, {"coin_id": names, "coin": np.arange(len(names))})


def found(frame: Frame, columns: Sequence[str], dated_by: str, coins: Frame, engine: Engine) -> Found:
    """Rows by the coin's number (0 where a table knows no coins) and day, how many of them are odd, and, where it is
    known, when the last was fetched. A moment of silver belongs to the day that ends with it.
    """
    flagged, fetched = nw.col("flags").str.contains, "fetched_at" in columns
    day = (nw.col(dated_by) - _MOMENT).dt.truncate("1d").cast(nw.Date) if fetched else nw.col(dated_by)
    counted = frame.select(
        *(["coin_id"] if "coin_id" in columns else []),
        *(["fetched_at"] if fetched else []),
        day=day,
        outliers=_one(flagged(ODD)) if "flags" in columns else nw.lit(0),
        stale=_one(flagged("stale")) if "flags" in columns else nw.lit(0),
        provisional=_one(~nw.col("is_final")) if "is_final" in columns else nw.lit(0),
        rows=nw.lit(1),
    )
    by = ("coin_id", "day") if "coin_id" in columns else ("day",)
    last = [nw.col("fetched_at").max()] if fetched else []
    summed = counted.group_by(*by).agg(*(nw.col(each).sum() for each in COUNTED), *last)
    whole = summed.with_columns(*(nw.col(each).cast(nw.Int64) for each in COUNTED))
    if "coin_id" in columns:
        whole = whole.join(coins, on="coin_id", how="inner").drop("coin_id")
    return arrays(engine, whole)


def _one(condition: nw.Expr) -> nw.Expr:
    return nw.when(condition).then(nw.lit(1)).otherwise(nw.lit(0))


def laid(each: Found, coins: int, days: Days) -> Held:
    """The same on a calendar."""
    place, inside = _placed(each, days)
    there = np.zeros((max(coins, 1), len(days)), dtype=bool)
    there[each["coin"][inside] if "coin" in each else 0, place] = True
    counts = {name: np.bincount(place, each[name][inside], len(days)).astype(float) for name in COUNTED}
    return Held(there, counts, _latest(place, each["fetched_at"][inside] if "fetched_at" in each else None, len(days)))


def _placed(each: Found, days: Days) -> tuple[NDArray[np.int64], Truths]:
    """The places on a calendar of the rows that lie on it, and which these are."""
    place = (each["day"] - days[0]).astype(np.int64)
    inside = (place >= 0) & (place < len(days))
    return place[inside], inside


def _latest(place: NDArray[np.int64], moments: Days | None, count: int) -> Days:
    found = np.full(count, NEVER)
    if moments is not None and len(moments):
        order = np.argsort(moments, kind="stable")
        found[place[order]] = moments[order]
    return found


def within(there: Truths, days: int) -> Truths:
    """Whether it is so on the day, or on one of the days before, so many days altogether."""
    total = np.cumsum(there, axis=-1)
    before = np.zeros_like(total)
    before[..., days:] = total[..., :-days]
    return np.asarray(total > before)


# When silver heard of it ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Heard:
    """By day of a calendar, the first and the last moment of it at which silver heard of anything, or NaT."""

    first: Days
    last: Days

    @property
    def on(self) -> Truths:
        """Whether silver heard of anything on the day."""
        return ~np.isnat(self.first)

    @property
    def after(self) -> Truths:
        """Whether it did on the day after."""
        return np.append(self.on[1:], False)

    @property
    def known_at(self) -> Days:
        """When silver first heard of anything after the day, within a `MONTH`; NaT if it did not."""
        known = np.full(len(self.first), NEVER)
        for later in range(MONTH, 0, -1):
            moments = self.first[later:]
            known[: len(moments)] = np.where(np.isnat(moments), known[: len(moments)], moments)
        return known

    def reach(self, fetched: Days) -> Days:
        """The last moment of the `MONTH` after the day at which silver heard of anything, or after it at which it
        fetched something of the day or that month.
        """
        reached = fetched.copy()
        for later in range(1, MONTH + 1):
            for moments in (self.last[later:], fetched[later:]):
                reached[: len(moments)] = np.fmax(reached[: len(moments)], moments)
        return reached


def moments(
    observed: Mapping[str, Frame], dated_by: Mapping[str, str], others: Sequence[Frame], engine: Engine
) -> Found:
    """By day on which silver heard of anything, the first and the last moment (`day`, `first`, `last`). What was
    observed more than a `MONTH` ago when it was fetched says nothing of that day.
    """
    soon = [
        frame.filter(nw.col("fetched_at") < nw.col(dated_by[name]) + timedelta(days=MONTH + 1)).select("fetched_at")
        for name, frame in observed.items()
    ]
    every = nw.concat([*soon, *(frame.select("fetched_at") for frame in others)])
    by_day = every.with_columns(day=nw.col("fetched_at").dt.truncate("1d").cast(nw.Date)).group_by("day")
    return arrays(engine, by_day.agg(first=nw.col("fetched_at").min(), last=nw.col("fetched_at").max()), ("day",))


def heard(each: Found, days: Days) -> Heard:
    """The same on a calendar."""
    place, inside = _placed(each, days)
    first, last = np.full(len(days), NEVER), np.full(len(days), NEVER)
    first[place], last[place] = each["first"][inside], each["last"][inside]
    return Heard(first, last)
