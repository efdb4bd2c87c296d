"""What the tables hold of each day, and when silver heard of it: the counts that `gold.health` judges by.

Everything is told of days on one calendar, an array of days without a hole. What is told of a day rests on the days
around it alone, at most `MONTH` of them on either side, and on when what was observed on those was fetched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
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


def found(
    frames: Mapping[str, Frame], columns: Mapping[str, Sequence[str]], dated_by: Mapping[str, str], engine: Engine
) -> tuple[list[str], dict[str, Found]]:
    """Every coin of some tables, in order; and of each table its rows by the coin's place among these (0 where a table
    knows no coins) and day, how many of them are odd, and, where it is known, when the last was fetched. A moment of
    silver belongs to the day that ends with it.
    """
    counted = [
        _counted(frame, columns[name], dated_by[name]).with_columns(which=nw.lit(number))
        for number, (name, frame) in enumerate(frames.items())
    ]
    by_day = nw.concat(counted).group_by("which", "coin_id", "day")
    summed = engine.held(by_day.agg(*(nw.col(each).sum() for each in COUNTED), nw.col("fetched_at").max()))
    coins = arrays(engine, summed.filter(~nw.col("coin_id").is_null()).select("coin_id").unique(), ("coin_id",))
    places = frame_of(engine, {**coins, "coin": np.arange(len(coins["coin_id"]))})
    placed = summed.join(places, on="coin_id", how="left").drop("coin_id")
    whole = placed.with_columns(*(nw.col(each).cast(nw.Int64) for each in COUNTED), coin=nw.col("coin").fill_null(0))
    rows = arrays(engine, whole, ("which",))
    begins = np.searchsorted(rows["which"], np.arange(len(frames) + 1)).tolist()
    return coins["coin_id"].tolist(), {
        name: {each: values[first:end] for each, values in rows.items()}
        for name, (first, end) in zip(frames, pairwise(begins), strict=True)
    }


def _counted(frame: Frame, columns: Sequence[str], dated_by: str) -> Frame:
    """What counts of each row of a table."""
    flagged, fetched = nw.col("flags").str.contains, "fetched_at" in columns
    day = (nw.col(dated_by) - _MOMENT).dt.truncate("1d").cast(nw.Date) if fetched else nw.col(dated_by)
    return frame.select(
        coin_id=nw.col("coin_id") if "coin_id" in columns else nw.lit(None, nw.String),
        fetched_at=nw.col("fetched_at") if fetched else nw.lit(None, nw.Datetime("us", "UTC")),
        day=day,
        outliers=_one(flagged(ODD)) if "flags" in columns else nw.lit(0),
        stale=_one(flagged("stale")) if "flags" in columns else nw.lit(0),
        provisional=_one(~nw.col("is_final")) if "is_final" in columns else nw.lit(0),
        rows=nw.lit(1),
    )


def _one(condition: nw.Expr) -> nw.Expr:
    return nw.when(condition).then(nw.lit(1)).otherwise(nw.lit(0))


def laid(each: Found, coins: int, days: Days) -> Held:
    """The same on a calendar."""
    place, inside = _placed(each, days)
    there = np.zeros((max(coins, 1), len(days)), dtype=bool)
    there[each["coin"][inside], place] = True
    counts = {name: np.bincount(place, each[name][inside], len(days)).astype(float) for name in COUNTED}
    return Held(there, counts, _latest(place, each["fetched_at"][inside], len(days)))


def _placed(each: Found, days: Days) -> tuple[NDArray[np.int64], Truths]:
    """The places on a calendar of the rows that lie on it, and which these are."""
    place = (each["day"] - days[0]).astype(np.int64)
    inside = (place >= 0) & (place < len(days))
    return place[inside], inside


def _latest(place: NDArray[np.int64], moments: Days, count: int) -> Days:
    found = np.full(count, NEVER)
    known = np.flatnonzero(~np.isnat(moments))
    order = known[np.argsort(moments[known], kind="stable")]
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
