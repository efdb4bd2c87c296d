"""Whether what the tables say of a day can be shown to others: what is there, what should be, what was refused, what is
odd, and for the tables of gold a verdict, `serve` or `hold`, with its reason.

One row a table and UTC day that had ended when silver last heard of anything (of `silver.runs` how many runs asked the
service something, and their credits); the newest row of a table is the verdict on the table. There is no clock in
here, so a lake that was not fed for a week is as healthy as it was; how old that is, the door tells. Once it is fed
again, days that stayed empty are held, and `known_at` says when that was. A row rests on the days around its own: a day
is told of where the table, or `gold.daily`, has a row within the 30 days up to it, or where silver heard of anything on
the day after.

A coin is expected where it had a day within the 30 before, in this table (`gold.indicators`: in `gold.daily`); one that
is gone for longer is no longer missed. Days that the service does not have, or the plan does not let us fetch, are
`unavailable` and not missing, where that was told within two hours of when silver first heard of anything after them;
of days after which it heard nothing for a month, whenever it was. A day is held where it has no row, where more than a
tenth of its coins (and more than one) are missing or jumped, where more than half (and more than one) repeat the day
before in price, cap and volume, or where a table of gold that it rests on is held. `gold.signals` may be silent on a
day, `gold.correlations` is judged at months' ends. Of tables without a day (`gold.market_summary`, `gold.backtests`)
each day's row says how far they reached when it had ended; the newest, whether they do.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

import narwhals as nw
import numpy as np
from arro3.core import Table as Rows
from numpy.typing import NDArray

from coinlake.engine import Engine, Frame
from coinlake.engine.series import rows_of, typed
from coinlake.gold import absences, attendance
from coinlake.gold.analyze import month_finished
from coinlake.gold.attendance import MONTH, Held, Truths, within
from coinlake.gold.backtests import TABLE as BACKTESTS
from coinlake.gold.correlations import TABLE as CORRELATIONS
from coinlake.gold.daily import LATE_S
from coinlake.gold.daily import TABLE as DAILY
from coinlake.gold.indicators import TABLE as INDICATORS
from coinlake.gold.market import TABLE as MARKET
from coinlake.gold.market_summary import TABLE as SUMMARY
from coinlake.gold.scope import Scope
from coinlake.gold.signals import TABLE as SIGNALS
from coinlake.table import Boolean, Column, Date, Float64, Int64, String, Table, Timestamp

SILVER = {
    "silver.prices": "observed_at",
    "silver.markets": "observed_at",
    "silver.candles": "closed_at",
    "silver.global_market": "observed_at",
}
"""Silver tables that have days, with the moment that says which."""
GOLD = (DAILY, INDICATORS, SIGNALS, MARKET, CORRELATIONS, SUMMARY, BACKTESTS)
RUNS = "silver.runs"
UNDATED = {SUMMARY.name: "day", BACKTESTS.name: "until"}
"""Gold tables without days, with the column that says how far they reach."""
ANSWERS = {
    "coins_market_chart": ("silver.prices",),
    "coins_market_chart_range": ("silver.prices",),
    "simple_price": ("silver.prices",),
    "coins_markets": ("silver.markets",),
    "coins_ohlc": ("silver.candles",),
    "import": ("silver.prices", "silver.candles"),
    "global": ("silver.global_market",),
}
"""By endpoint, the tables that its answers become; what was refused of others is nobody's here."""


def _coins(prose: str) -> Column:
    return Column(Int64, prose, "coins", between=(0, None))


TABLE = Table(
    "gold.health",
    key=("table_name", "day"),
    columns={
        "table_name": Column(String, "the table", one_of=(*SILVER, RUNS, *(table.name for table in GOLD))),
        "day": Column(Date, "UTC day"),
        "verdict": Column(String, "whether to show it; null for silver", one_of=("serve", "hold")),
        "reason": Column(String, "why, in words; null for silver"),
        "known_at": Column(
            Timestamp,
            "when silver first heard of anything after the day had ended; null where that was over 30 days later",
            "UTC",
        ),
        "newest_day": Column(Date, "newest of the 30 days up to this one that has rows"),
        "days_behind": Column(Int64, "days from that one to this", "days", between=(0, None)),
        "hours_behind": Column(Float64, "from the end of that day to `known_at`", "hours"),
        "rows": Column(Int64, "rows of the day; null for a table without days", "rows", between=(0, None)),
        "days_missing": Column(
            Int64,
            "of the 30 days up to this one, those without a row since the first that has one",
            "days",
            between=(0, 30),
        ),
        "coins": _coins("coins that have a row"),
        "coins_expected": _coins("coins that had one on the day or within the 30 days before"),
        "coins_missing": _coins("of these, the coins that have none and could have one"),
        "coins_unavailable": _coins("of these, the coins whose day cannot be had"),
        "unavailable": Column(
            String, "of what cannot be had on the day: coin, since when (within the 30 days before), and why, as JSON"
        ),
        "rejects": Column(
            Int64, "refused of what was fetched on the day, below this table", "rejects", True, between=(0, None)
        ),
        "rejects_by_rule": Column(String, "the same by rule, as JSON", required=True),
        "outliers": Column(Int64, "rows flagged as jump, spike or zero", "rows", between=(0, None)),
        "stale": Column(Int64, "rows that repeat the one before in everything", "rows", between=(0, None)),
        "credits": Column(
            Int64, "of `silver.runs`: credits that the runs of the day used", "credits", between=(0, None)
        ),
        "survivorship_biased": Column(
            Boolean, "whether it rests on a count of the coins followed now, which one may join", required=True
        ),
        "provisional": Column(Int64, "closes that stand in until the finished one", "rows", between=(0, None)),
    },
    grain="one table and UTC day",
    dated_by="day",
    reads=(*SILVER, "silver.rejects", RUNS, *(table.name for table in GOLD)),
    sorted_by=("table_name", "day"),
)

MINDS = {RUNS: "coalesce(calls, 0) > 0 or coalesce(unavailable, '[]') <> '[]'"}
"""Runs that heard of something, or were told that they cannot: one that only analysed says nothing of the market."""
BLOCKS = "days"
LOOKBACK_DAYS, LOOKAHEAD_DAYS = 2 * MONTH + 2, MONTH + 1
"""Days around a row that it rests on: before it, those of the month before that in which its newest day lies."""
TAKES_SPAN = CONTINUES = True
AS_OBSERVED = True
"""Every observation counts, not the current view."""
COLUMNS = {
    "silver.prices": ("coin_id", "observed_at", "flags", "fetched_at"),
    "silver.markets": ("coin_id", "observed_at", "flags", "fetched_at"),
    "silver.candles": ("coin_id", "closed_at", "flags", "fetched_at"),
    "silver.global_market": ("observed_at", "fetched_at"),
    "silver.rejects": ("bronze_object", "rule", "coin_id", "first_day", "last_day", "fetched_at"),
    RUNS: ("unavailable", "calls", "credits", "fetched_at"),
    DAILY.name: ("coin_id", "day", "flags", "is_final"),
    INDICATORS.name: ("coin_id", "day"),
    SIGNALS.name: ("coin_id", "day"),
    MARKET.name: ("day",),
    CORRELATIONS.name: ("month_end",),
    SUMMARY.name: ("day",),
    BACKTESTS.name: ("until",),
}
COIN_BY_COIN = ("silver.prices", DAILY.name, INDICATORS.name)
"""Tables whose days are fetched coin by coin: of them some may be unavailable."""
COUNT_NO_COINS = (RUNS, "silver.global_market")
"""Tables whose days are the same however many coins are followed."""
TOLD_WITHIN = np.timedelta64(2, "h")
"""What cannot be had of a day counts if it was told so soon: a run, or the next, says what it lacks when it ends."""
MISSING_SHARE, OUTLIER_SHARE, STALE_SHARE, NAMED = 0.1, 0.1, 0.5, 5
_A_DAY = np.timedelta64(1, "D")

Row = dict[str, Any]


# What touches a day --------------------------------------------------------------------------------------------------

_OBSERVED, _FETCHED = "({moment} - interval 1 microsecond)::DATE", "fetched_at::DATE"
_HEARD = f"min({_FETCHED}) - {MONTH + 1}", f"max({_FETCHED})"
"""SQL: the days of which silver may have heard first, or last, by this, and the one on which it did."""
_OBSERVATIONS = (
    f"select '*', least(min({_OBSERVED}) - {MONTH}, {_HEARD[0]}), "
    f"greatest(max({_OBSERVED}) + {LOOKBACK_DAYS}, {_HEARD[1]}) from changed"
)
_FROM, _TO = (
    f"list_transform(json_extract_string(unavailable, '$[*].{day}'), day -> day::DATE)"
    for day in ("from_day", "to_day")
)
TOUCHES = {
    **dict.fromkeys(SILVER, _OBSERVATIONS),
    "silver.rejects": f"select '*', least(min(first_day), {_HEARD[0]}), "
    f"greatest(max(last_day) + {MONTH}, {_HEARD[1]}) from changed",
    RUNS: f"select '*', least(min(list_min({_FROM})), {_HEARD[0]}), "
    f"greatest(max(list_max({_TO})) + {MONTH}, {_HEARD[1]}) from changed",
}


def touched(scope: Scope, source: str) -> Scope:
    """Rows rest on a day of gold for as long as on one of silver."""
    return scope.everyone().lasting(LOOKBACK_DAYS)


def _below(table: Table) -> set[str]:
    """The silver tables that a gold table rests on."""
    gold = {each.name: each for each in GOLD}
    return {name for name in table.reads if name in SILVER}.union(
        *(_below(gold[name]) for name in table.reads if name in gold)
    )


BELOW = {RUNS: set[str](), **{name: {name} for name in SILVER}, **{table.name: _below(table) for table in GOLD}}
"""By table, the silver tables that what is in it came from."""


# What is known ------------------------------------------------------------------------------------------------------

Span = tuple[date, date]


@dataclass(frozen=True)
class _Known:
    """What is known of the days of a calendar. `ended` are those that had, when silver last heard of anything, `wanted`
    those that are to be told of, and `reaches` says how far tables without days do. What cannot be had counts where it
    was told `until` a moment.
    """

    days: NDArray[Any]
    coins: Sequence[str]
    held: Mapping[str, Held]
    reaches: Mapping[str, date | None]
    ranges: absences.Ranges
    until: NDArray[Any]
    cannot: Truths
    refused: absences.Refused
    asked: Mapping[date, tuple[int, int]]
    heard: attendance.Heard
    ended: Truths
    wanted: Truths

    @staticmethod
    def of(read: Mapping[str, Frame], engine: Engine, span: Span) -> _Known:
        """What is read, looked at on as many days as a span rests on."""
        runs, rejects = read[RUNS], read["silver.rejects"]
        dated = {**SILVER, **{table.name: str(table.dated_by) for table in GOLD if table.dated_by}, **UNDATED}
        names, found = attendance.found({name: read[name] for name in dated}, COLUMNS, dated, engine)
        asking = runs.filter((nw.col("calls") > 0) | (nw.col("unavailable").fill_null("[]") != "[]"))
        moments = attendance.moments({name: read[name] for name in SILVER}, SILVER, (asking, rejects), engine)
        days = _calendar([*(each["day"] for each in found.values()), moments["day"]], span)
        held = {name: attendance.laid(each, len(names), days) for name, each in found.items() if name not in UNDATED}
        heard, ranges = attendance.heard(moments, days), absences.Ranges.of(runs, rejects, engine)
        until = np.fmin(heard.known_at + TOLD_WITHIN, np.datetime64(date.max))
        return _Known(
            days=days,
            coins=names,
            held=held,
            reaches={name: max(found[name]["day"].tolist(), default=None) for name in UNDATED},
            ranges=ranges,
            until=until,
            cannot=ranges.cover(names, days, until),
            refused=absences.refused(rejects, ANSWERS, engine),
            asked=absences.asked(runs, engine),
            heard=heard,
            ended=_ended(days, held, heard),
            wanted=(days >= np.datetime64(span[0])) & (days <= np.datetime64(span[1])),
        )

    def told(self, name: str) -> Sequence[int]:
        """The numbers of the days that are told of a table."""
        return [int(day) for day in np.flatnonzero(self._known_of(name) & self.wanted)]

    def newest(self, name: str) -> int:
        """The last day that there is anything to tell of a table, wanted or not; -1 where there is none."""
        return max(np.flatnonzero(self._known_of(name)).tolist(), default=-1)

    def _known_of(self, name: str) -> Truths:
        there = self.held[name].any if name in self.held else np.zeros(len(self.days), dtype=bool)
        there = there | (self.heard.on if name in COUNT_NO_COINS else self.held[DAILY.name].any)
        known = self.ended & (within(there, MONTH) | self.heard.after)
        return known & _ends_a_month(self.days) if name == CORRELATIONS.name else known


def _calendar(found: Sequence[NDArray[Any]], span: Span) -> NDArray[Any]:
    """Every day that matters to one of a span on which there is anything; some day where there is nothing at all."""
    every = np.concatenate(found).astype("datetime64[D]")
    if not len(every):
        return np.array([span[0]], dtype="datetime64[D]")
    first = max(np.datetime64(span[0]), every.min() - _A_DAY) - LOOKBACK_DAYS
    return np.arange(first, min(np.datetime64(span[1]) + LOOKAHEAD_DAYS, every.max()) + _A_DAY)


def _ended(days: NDArray[Any], held: Mapping[str, Held], heard: attendance.Heard) -> Truths:
    """Whether a day had ended when silver last heard of anything: an hour ago, or at all, where `gold.daily` has it."""
    fetched = np.full(len(days), attendance.NEVER)
    for name in SILVER:
        fetched = np.fmax(fetched, held[name].fetched)
    end = (days + _A_DAY).astype("datetime64[us]")
    settled = np.where(held[DAILY.name].any, end, end + np.timedelta64(LATE_S, "s"))
    return np.asarray(heard.reach(fetched) >= settled)


def _ends_a_month(days: NDArray[Any]) -> Truths:
    return np.asarray((days + _A_DAY).astype("datetime64[M]") != days.astype("datetime64[M]"))


# What to make of it --------------------------------------------------------------------------------------------------


def build(read: Mapping[str, Frame], sources: Sequence[str], engine: Engine, span: Span = (date.min, date.max)) -> Rows:
    """One row a table and day of a span that had ended when silver last heard of anything."""
    rows = list(_rows(_Known.of(read, engine, span)))
    columns = {name: typed(column.type, [row.get(name) for row in rows]) for name, column in TABLE.columns.items()}
    return rows_of(columns, TABLE.whole)


def _rows(known: _Known) -> Iterator[Row]:
    facts = _Facts(known, known.heard.known_at)
    for day in known.told(RUNS):
        count, credits = known.asked.get(known.days[day].item(), (0, 0))
        yield {**facts.about(RUNS, day, None), "rows": count, "credits": credits}
    for name in SILVER:
        yield from facts.dated(name, known.held[name])
    holds: set[tuple[str, date]] = set()
    for table in GOLD:
        expected = DAILY.name if table is INDICATORS else table.name
        undated = table.name in UNDATED
        for row in facts.undated(table.name) if undated else facts.dated(table.name, known.held[expected]):
            day = row["day"]
            reasons = [f"{each} is held" for each in table.reads if (each, day) in holds] + _against(table.name, row)
            holds |= {(table.name, day)} if reasons else set()
            yield {**row, "verdict": "hold" if reasons else "serve", "reason": "; ".join(reasons or _for(row))}


@dataclass(frozen=True)
class _Facts:
    """What is told of the days of a table, before it is judged."""

    known: _Known
    known_at: NDArray[Any]

    def dated(self, name: str, like: Held) -> Iterator[Row]:
        """Each day of a table that has days; the coins are expected that were there lately in one `like` it."""
        held, days = self.known.held[name], self.known.days
        rows = held.any
        of_coins = self._of_coins(name, held.there, like.there)
        for day in self.known.told(name):
            there = _lately_there(rows, day)
            missing = day + 1 - int(there[0]) - len(there) if len(there) else None
            yield {
                **self.about(name, day, days[there[-1]].item() if len(there) else None),
                "rows": int(held.counts["rows"][day]),
                "days_missing": None if name in (SIGNALS.name, CORRELATIONS.name) else missing,
                **of_coins(day),
                **{each: held.counts[each][day] for each in ("outliers", "stale") if "flags" in COLUMNS[name]},
                **({"provisional": held.counts["provisional"][day]} if name == DAILY.name else {}),
            }

    def undated(self, name: str) -> Iterator[Row]:
        """How far a table without days reached when a day had ended: as far as it could; the newest, as it does."""
        last, reaches = self.known.newest(name), self.known.reaches[name]
        for day in self.known.told(name):
            newest = self._could_reach(name, day)
            if day == last and newest and _lags(name, reaches, newest):
                newest = reaches
            yield self.about(name, day, newest)

    def _could_reach(self, name: str, day: int) -> date | None:
        daily, days = self.known.held[DAILY.name].any, self.known.days
        there = _lately_there(daily, day)
        newest: date | None = days[there[-1]].item() if len(there) else None
        if not newest or name != BACKTESTS.name:
            return newest
        finished = month_finished(newest)
        before = slice(day - LOOKBACK_DAYS, day + 1)
        return finished if daily[before][days[before] <= np.datetime64(finished)].any() else None

    def about(self, name: str, day: int, newest: date | None) -> Row:
        """What is told of every table."""
        of_day: date = self.known.days[day].item()
        known_at = self.known_at[day]
        refused: dict[str, int] = {}
        for each in sorted(BELOW[name]):
            for rule, count in self.known.refused.get((each, of_day), {}).items():
                refused[rule] = refused.get(rule, 0) + count
        ended = datetime.combine(newest, time()) + timedelta(days=1) if newest else None
        known = ended and not np.isnat(known_at)
        return {
            "table_name": name,
            "day": of_day,
            "newest_day": newest,
            "days_behind": newest and max((of_day - newest).days, 0),
            "known_at": known_at,
            "hours_behind": (known_at.item() - ended) / timedelta(hours=1) if known else None,
            "survivorship_biased": name not in COUNT_NO_COINS,
            "rejects": sum(refused.values()),
            "rejects_by_rule": json.dumps(refused, sort_keys=True) if refused else "{}",
        }

    def _of_coins(self, name: str, there: Truths, expected: Truths) -> Callable[[int], Row]:
        """What is told of a day's coins, by the [coin, day] that have rows, and of which it is expected."""
        if "coin_id" not in COLUMNS[name]:
            return lambda _: {}
        counts = {"coins": there}
        if name != SIGNALS.name:
            lately = within(expected, MONTH + 1)
            lost = lately & ~there
            cannot = lost & self.known.cannot & (name in COIN_BY_COIN)
            missing = lost & ~cannot
            counts |= {"coins_expected": lately, "coins_missing": missing, "coins_unavailable": cannot}
        by_day = {column: each.sum(axis=0).tolist() for column, each in counts.items()}

        def told(day: int) -> Row:
            row = {column: each[day] for column, each in by_day.items()}
            if name in COIN_BY_COIN:
                row["unavailable"] = self._unavailable(day)
            if row.get("coins_missing"):
                row["_missing"] = [self.known.coins[each] for each in np.flatnonzero(missing[:, day])[:NAMED]]
            return row

        return told

    def _unavailable(self, day: int) -> str:
        known = self.known
        begins: date = known.days[day].item() - timedelta(days=MONTH)
        return json.dumps(known.ranges.on(known.days[day], known.until[day], begins))


def _lags(name: str, reaches: date | None, could: date) -> bool:
    """Whether a table does not reach as far as it could; before a rule could be tried there are no backtests."""
    return name != BACKTESTS.name if reaches is None else reaches < could


def _lately_there(there: Truths, day: int) -> NDArray[np.int64]:
    """The numbers of the days with rows, of the 30 up to a day."""
    begins = day + 1 - MONTH
    return begins + np.flatnonzero(there[begins : day + 1])


def _against(name: str, row: Row) -> list[str]:
    """Why a day should not be shown."""
    if name == SIGNALS.name:
        return []
    if name in UNDATED:
        return _against_reach(name, row)
    if not row["rows"]:
        newest = row["newest_day"]
        return [f"no row for the day, the newest is of {newest}" if newest else "no row in 30 days"]
    coins = row.get("coins_expected")
    found = [_missing(row)] if coins and _many(row["coins_missing"], coins, MISSING_SHARE) else []
    if "outliers" in row:
        outliers, stale = int(row["outliers"]), int(row["stale"])
        found += [f"{outliers} of {row['coins']} coins jumped"] * _many(outliers, row["coins"], OUTLIER_SHARE)
        found += [f"{stale} of {row['coins']} coins repeat the day before"] * _many(stale, row["coins"], STALE_SHARE)
    return found


def _against_reach(name: str, row: Row) -> list[str]:
    if row["newest_day"] is None:
        return ["no month has ended yet" if name == BACKTESTS.name else "it has no rows"]
    reaches = month_finished(row["day"]) if name == BACKTESTS.name else row["day"]
    return [f"it reaches to {row['newest_day']} only"] if row["newest_day"] < reaches else []


def _many(count: int, of: int, share: float) -> bool:
    return count > 1 and count > share * of


def _missing(row: Row) -> str:
    more = row["coins_missing"] - len(row["_missing"])
    named = ", ".join(row["_missing"]) + (f" and {more} more" if more else "")
    return f"{row['coins_missing']} of {row['coins_expected']} coins missing: {named}"


def _for(row: Row) -> list[str]:
    """What there is to say of a day that can be shown."""
    said = []
    if row.get("coins_expected") is not None:
        said.append(_missing(row) if row["coins_missing"] else f"all {row['coins']} coins")
    said += [
        f"{int(row[name])} {what}"
        for name, what in (
            ("coins_unavailable", "unavailable"),
            ("outliers", "jumped"),
            ("stale", "repeat the day before"),
            ("provisional", "closes are provisional"),
        )
        if row.get(name)
    ]
    if "rows" not in row:
        return [f"reaches to {row['newest_day']}"]
    return said or ["one row" if row["rows"] == 1 else f"{row['rows']:,} rows"]
