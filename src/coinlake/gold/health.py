"""Whether what the tables say of a day can be shown to others: what is there, what should be, what was refused, what is
odd, and for the tables of gold a verdict, `serve` or `hold`, with its reason.

One row a table and UTC day, of the last 400 days (of `silver.runs` how many runs asked the service something on the day
after, and their credits); the newest row of a table is the verdict on the table. There is no clock in here: the last
day is the last that had ended when silver last heard of anything (an answer or a run), so a lake that was not fed for a
week is as healthy as it was; how old that is, the door tells. Once it is fed again, days that stayed empty are held,
and `known_at` says when that was.

A coin is expected where it had a day within the 30 before, in this table (`gold.indicators`: in `gold.daily`); one that
is gone for longer is no longer missed. Days that the service does not have, or the plan does not let us fetch, are
`unavailable` and not missing. A day is held where it has no row, where more than a tenth of its coins (and more than
one) are missing or jumped, where more than half (and more than one) repeat the day before in price, cap and volume, or
where a table of gold that it rests on is held. `gold.signals` may be silent on a day, `gold.correlations` is judged at
months' ends. Of tables without a day (`gold.market_summary`, `gold.backtests`) each day's row says how far they reached
when it had ended; the newest, whether they do.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from coinlake.engine import Engine, Frame
from coinlake.engine.series import arrays, frame_of, typed
from coinlake.gold.analyze import month_finished
from coinlake.gold.backtests import TABLE as BACKTESTS
from coinlake.gold.correlations import TABLE as CORRELATIONS
from coinlake.gold.daily import LATE_S
from coinlake.gold.daily import TABLE as DAILY
from coinlake.gold.indicators import TABLE as INDICATORS
from coinlake.gold.market import TABLE as MARKET
from coinlake.gold.market_summary import TABLE as SUMMARY
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
            Timestamp, "when silver first heard of anything after the day had ended", "UTC", required=True
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
        "coins_expected": _coins("coins that had one within the 30 days before"),
        "coins_missing": _coins("of these, the coins that have none and could have one"),
        "coins_unavailable": _coins("of these, the coins whose day cannot be had"),
        "unavailable": Column(String, "ranges of days that cannot be had and cover this one, as JSON"),
        "rejects": Column(
            Int64, "refused of what was fetched on the day after, below this table", "rejects", True, between=(0, None)
        ),
        "rejects_by_rule": Column(String, "the same by rule, as JSON", required=True),
        "outliers": Column(Int64, "rows flagged as jump, spike or zero", "rows", between=(0, None)),
        "stale": Column(Int64, "rows that repeat the one before in everything", "rows", between=(0, None)),
        "credits": Column(
            Int64, "of `silver.runs`: credits that the runs of the day after used", "credits", between=(0, None)
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
DAYS, EXPECTED_DAYS = 400, 30
RECENT_DAYS = DAYS + EXPECTED_DAYS + 1
"""Days of each table that are read."""
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
    SUMMARY.name: ("coin_id", "day"),
    BACKTESTS.name: ("until",),
}
COIN_BY_COIN = ("silver.prices", DAILY.name, INDICATORS.name)
"""Tables whose days are fetched coin by coin: of them some may be unavailable."""
COUNT_NO_COINS = (RUNS, "silver.global_market")
"""Tables whose days are the same however many coins are followed."""
MISSING_SHARE, OUTLIER_SHARE, STALE_SHARE, NAMED = 0.1, 0.1, 0.5, 5
COUNTED = ("rows", "outliers", "stale", "provisional")
ODD = "jump_|spike|zero"
MOMENT = timedelta(microseconds=1)
_NOBODY = np.zeros(1, dtype=bool)

Row = dict[str, Any]
Range = tuple[str, date, date, str]


# What is there -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Held:
    """What a table holds of the days looked at: which coins [coin, day], and counts by day."""

    there: NDArray[np.bool_]
    counts: Mapping[str, NDArray[np.float64]]


def _by_day(name: str, frame: Frame, engine: Engine) -> dict[str, NDArray[Any]]:
    """Rows by coin and day, and how many of them are odd."""
    dated = SILVER.get(name) or UNDATED.get(name) or str(next(t.dated_by for t in GOLD if t.name == name))
    has = COLUMNS[name]
    day = (nw.col(dated) - MOMENT).dt.truncate("1d").cast(nw.Date) if name in SILVER else nw.col(dated)
    flagged = nw.col("flags").str.contains
    counted = frame.select(
        coin_id=nw.col("coin_id") if "coin_id" in has else nw.lit(""),
        day=day,
        outliers=_one(flagged(ODD)) if "flags" in has else nw.lit(0),
        stale=_one(flagged("stale")) if "flags" in has else nw.lit(0),
        provisional=_one(~nw.col("is_final")) if "is_final" in has else nw.lit(0),
        rows=nw.lit(1),
    )
    summed = counted.group_by("coin_id", "day").agg(*(nw.col(each).sum() for each in COUNTED))
    whole = summed.with_columns(*(nw.col(each).cast(nw.Int64) for each in COUNTED))
    return arrays(engine, whole)


def _one(condition: nw.Expr) -> nw.Expr:
    return nw.when(condition).then(nw.lit(1)).otherwise(nw.lit(0))


def _lay(found: Mapping[str, NDArray[Any]], coins: Mapping[str, int], days: NDArray[Any]) -> _Held:
    """The same over the days looked at."""
    place = (found["day"] - days[0]).astype(int)
    inside = (place >= 0) & (place < len(days))
    there = np.zeros((len(coins), len(days)), dtype=bool)
    which = np.array([coins[coin] for coin in found["coin_id"][inside]], dtype=int)
    there[which, place[inside]] = True
    return _Held(there, {n: np.bincount(place[inside], found[n][inside], len(days)).astype(float) for n in COUNTED})


def _lately(there: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether a coin was there on the day or within the days before."""
    total = np.cumsum(there, axis=1)
    before = np.zeros_like(total)
    before[:, EXPECTED_DAYS + 1 :] = total[:, : -EXPECTED_DAYS - 1]
    return np.asarray(total > before)


# What cannot be had, and what was refused ----------------------------------------------------------------------------


def _ranges(read: Mapping[str, Frame], engine: Engine) -> list[Range]:
    """Days that cannot be had: of the plan, as runs say, and of the service, as rejects say; overlapping as one."""
    said = arrays(engine, read[RUNS].select("unavailable"), ("unavailable",))["unavailable"]
    found = [
        (each["coin_id"], date.fromisoformat(each["from_day"]), date.fromisoformat(each["to_day"]), each["reason"])
        for text in said.tolist()
        for each in json.loads(text or "[]")
    ]
    columns = ("coin_id", "first_day", "last_day")
    lacking = read["silver.rejects"].filter((nw.col("rule") == "day_missing") & ~nw.col("coin_id").is_null())
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


def _cannot(ranges: Sequence[Range], coins: Mapping[str, int], days: NDArray[Any]) -> NDArray[np.bool_]:
    """Where [coin, day] lies in a range."""
    inside = np.zeros((len(coins), len(days)), dtype=bool)
    for coin, first, last, _ in ranges:
        covered = (days >= np.datetime64(first)) & (days <= np.datetime64(last))
        if coin == "*":
            inside |= covered
        elif coin in coins:
            inside[coins[coin]] |= covered
    return inside


def _refused(read: Mapping[str, Frame], engine: Engine) -> dict[tuple[str, date], dict[str, int]]:
    """By silver table and day, how much of what was fetched on the day after was refused, by rule."""
    columns = ("fetched_at", "bronze_object", "rule")
    rows = arrays(engine, read["silver.rejects"].select(columns), columns)
    found: dict[tuple[str, date], dict[str, int]] = {}
    days = (rows["fetched_at"].astype("datetime64[D]") - np.timedelta64(1, "D")).tolist()
    for day, path, rule in zip(days, rows["bronze_object"], rows["rule"], strict=True):
        for name in ANSWERS.get(path.split("/")[1], ()):
            of_day = found.setdefault((name, day), {})
            of_day[rule] = of_day.get(rule, 0) + 1
    return found


def _asked(read: Mapping[str, Frame], engine: Engine) -> dict[date, tuple[int, int]]:
    """By day, how many runs asked the service something on the day after, and the credits they used."""
    runs = read[RUNS].filter(nw.col("calls") > 0).select("fetched_at", "credits")
    rows = arrays(engine, runs, ("fetched_at",))
    found: dict[date, tuple[int, int]] = {}
    days = (rows["fetched_at"].astype("datetime64[D]") - np.timedelta64(1, "D")).tolist()
    for day, credits in zip(days, np.nan_to_num(rows["credits"].astype(float)).tolist(), strict=True):
        count, used = found.get(day, (0, 0))
        found[day] = (count + 1, used + int(credits))
    return found


def _below(table: Table) -> set[str]:
    """The silver tables that a gold table rests on."""
    gold = {each.name: each for each in GOLD}
    return {name for name in table.reads if name in SILVER}.union(
        *(_below(gold[name]) for name in table.reads if name in gold)
    )


BELOW = {RUNS: set[str](), **{name: {name} for name in SILVER}, **{table.name: _below(table) for table in GOLD}}
"""By table, the silver tables that what is in it came from."""


# What to make of it --------------------------------------------------------------------------------------------------


def build(read: Mapping[str, Frame], sources: Sequence[str], engine: Engine) -> Frame:
    """One row a table and day, up to the last that had ended when silver last heard of anything."""
    asked = read[RUNS].filter((nw.col("calls") > 0) | (nw.col("unavailable").fill_null("[]") != "[]"))
    found = [*(read[name] for name in (*SILVER, "silver.rejects")), asked]
    every = nw.concat([each.select("fetched_at") for each in found]).unique().with_columns(_each=nw.lit(1))
    heard = engine.held(
        every.select(known_at=nw.col("fetched_at"), _heard=nw.col("_each").cum_count().over(order_by="fetched_at"))
    )
    moments = arrays(engine, heard.select("known_at"), ("known_at",))["known_at"].astype("datetime64[us]")
    rows = list(_rows(read, engine, moments)) if len(moments) else []
    given = [name for name in TABLE.columns if name != "known_at"]
    columns = {name: typed(TABLE.columns[name].type, [row.get(name) for row in rows]) for name in given}
    columns["_heard"] = np.array([row["_heard"] for row in rows], dtype=np.int64)
    counts = [nw.col(name).cast(nw.Int64) for name, column in TABLE.columns.items() if column.type is Int64]
    numbered = heard.with_columns(nw.col("_heard").cast(nw.Int64))
    made = frame_of(engine, columns).with_columns(counts).join(numbered, on="_heard", how="inner")
    return made.select(*TABLE.columns)


def _rows(read: Mapping[str, Frame], engine: Engine, heard: NDArray[Any]) -> Iterator[Row]:
    found = {name: _by_day(name, read[name], engine) for name in (*SILVER, *(table.name for table in GOLD))}
    last = _last_day(heard[-1].item(), found[DAILY.name]["day"])
    days = np.datetime64(last, "D") + np.arange(1 - DAYS - EXPECTED_DAYS, 1)
    names = sorted({coin for each in found.values() for coin in each["coin_id"].tolist()})
    coins = {coin: number for number, coin in enumerate(names)}
    ranges = _ranges(read, engine)
    held = {name: _lay(each, coins, days) for name, each in found.items() if name not in UNDATED}
    first = min([*np.flatnonzero(held[DAILY.name].counts["rows"])[:1].tolist(), len(days) - 1])
    known = _Known(days, names, ranges, _cannot(ranges, coins, days), _refused(read, engine), heard, first)
    asked = _asked(read, engine)
    for day in known.of(held[DAILY.name]):
        count, credits = asked.get(known.days[day].item(), (0, 0))
        yield {**known.about(RUNS, day, None), "rows": count, "credits": credits}
    for name in SILVER:
        lately = _lately(held[name].there)
        yield from (known.facts(name, held[name], lately, day) for day in known.of(held[name]))
    holds: set[tuple[str, int]] = set()
    for table in GOLD:
        for row, day in _of_gold(table, found, held, known):
            reasons = [f"{each} is held" for each in table.reads if (each, day) in holds] + _against(table.name, row)
            holds |= {(table.name, day)} if reasons else set()
            yield {**row, "verdict": "hold" if reasons else "serve", "reason": "; ".join(reasons or _for(row))}


def _last_day(known_at: datetime, days: NDArray[Any]) -> date:
    """The last day that had ended: an hour ago, or at all, where `gold.daily` has it."""
    ended = (known_at - timedelta(seconds=LATE_S)).date() - timedelta(days=1)
    just_now = known_at.date() - timedelta(days=1)
    return just_now if np.datetime64(just_now) in days else ended


def _of_gold(
    table: Table, found: Mapping[str, Any], held: Mapping[str, _Held], known: _Known
) -> Iterator[tuple[Row, int]]:
    """What is known of each day of a gold table, and the day's number."""
    last = len(known.days) - 1
    if table.name in UNDATED:
        for day in known.of(held[DAILY.name]):
            row = known.of_undated(table.name, held[DAILY.name], day)
            yield (known.looked_at(row, found[table.name]) if day == last else row), day
        return
    mine = held[table.name]
    expected = _lately(held[DAILY.name].there) if table is INDICATORS else _lately(mine.there)
    days = known.of(mine)
    if table is CORRELATIONS:
        days = [day for day in known.of(held[DAILY.name]) if (known.days[day].item() + timedelta(days=1)).day == 1]
    for day in days:
        yield known.facts(table.name, mine, expected, day), day


@dataclass(frozen=True)
class _Known:
    """What is known beside the tables themselves; `heard` are the moments at which silver heard of anything, in order,
    `first` is the number of the first day in `gold.daily`.
    """

    days: NDArray[Any]
    coins: Sequence[str]
    ranges: Sequence[Range]
    cannot: NDArray[np.bool_]
    refused: Mapping[tuple[str, date], Mapping[str, int]]
    heard: NDArray[Any]
    first: int

    def of(self, held: _Held) -> Sequence[int]:
        """The numbers of the days that are told: from the first with a row, here or in `gold.daily`, to the last."""
        last = len(self.days) - 1
        first = min([*np.flatnonzero(held.counts["rows"])[:1].tolist(), self.first, last])
        return range(max(first, EXPECTED_DAYS), last + 1)

    def facts(self, name: str, held: _Held, lately: NDArray[np.bool_], day: int) -> Row:
        """One day of a dated table."""
        rows = held.counts["rows"]
        there = _lately_there(rows, day)
        missing = int((rows[there[0] : day + 1] == 0).sum()) if len(there) else None
        return {
            **self.about(name, day, self.days[there[-1]].item() if len(there) else None),
            "rows": int(rows[day]),
            "days_missing": None if name in (SIGNALS.name, CORRELATIONS.name) else missing,
            **self._of_coins(name, held.there[:, day], lately[:, day], day),
            **{each: held.counts[each][day] for each in ("outliers", "stale") if "flags" in COLUMNS[name]},
            **({"provisional": held.counts["provisional"][day]} if name == DAILY.name else {}),
        }

    def of_undated(self, name: str, daily: _Held, day: int) -> Row:
        """How far a table without days reached when a day had ended."""
        before = _lately_there(daily.counts["rows"], day)
        newest = self.days[before[-1]].item() if len(before) else None
        if newest and name == BACKTESTS.name:
            newest = month_finished(newest)
            newest = newest if newest >= self.days[self.first].item() else None
        return self.about(name, day, newest)

    def looked_at(self, row: Row, found: Mapping[str, NDArray[Any]]) -> Row:
        """The same where it does not reach so far: as far as it does."""
        reaches = found["day"].max().item() if len(found["day"]) else None
        if row["table_name"] == BACKTESTS.name and reaches is None:  # before a rule could be tried there is none
            return row
        behind = row["newest_day"] and (reaches is None or reaches < row["newest_day"])
        return {**self.about(row["table_name"], len(self.days) - 1, reaches)} if behind else row

    def about(self, name: str, day: int, newest: date | None) -> Row:
        """What is told of every table."""
        of_day: date = self.days[day].item()
        heard = int(np.searchsorted(self.heard, self.days[day] + np.timedelta64(1, "D")))
        refused: dict[str, int] = {}
        for each in sorted(BELOW[name]):
            for rule, count in self.refused.get((each, of_day), {}).items():
                refused[rule] = refused.get(rule, 0) + count
        ended = datetime.combine(newest, time()) + timedelta(days=1) if newest else None
        return {
            "table_name": name,
            "day": of_day,
            "newest_day": newest,
            "days_behind": newest and max((of_day - newest).days, 0),
            "hours_behind": (self.heard[heard].item() - ended) / timedelta(hours=1) if ended else None,
            "survivorship_biased": name not in COUNT_NO_COINS,
            "_heard": heard + 1,
            "rejects": sum(refused.values()),
            "rejects_by_rule": json.dumps(refused, sort_keys=True),
        }

    def _of_coins(self, name: str, there: NDArray[np.bool_], lately: NDArray[np.bool_], day: int) -> Row:
        if "coin_id" not in COLUMNS[name]:
            return {}
        if name == SIGNALS.name:
            return {"coins": int(there.sum())}
        lost = lately & ~there
        cannot = lost & self.cannot[:, day] if name in COIN_BY_COIN else _NOBODY
        missing = np.flatnonzero(lost & ~cannot)
        return {
            "coins": int(there.sum()),
            "coins_expected": int(lately.sum()),
            "coins_missing": len(missing),
            "coins_unavailable": int(cannot.sum()),
            **({"unavailable": self._unavailable(day)} if name in COIN_BY_COIN else {}),
            "_missing": [self.coins[each] for each in missing[:NAMED]],
        }

    def _unavailable(self, day: int) -> str:
        of_day = self.days[day].item()
        covering = [each for each in self.ranges if each[1] <= of_day <= each[2]]
        names = ("coin_id", "from_day", "to_day", "reason")
        return json.dumps([dict(zip(names, map(str, each), strict=True)) for each in covering])


def _lately_there(rows: NDArray[np.float64], day: int) -> NDArray[np.int64]:
    """The numbers of the days with rows, of the 30 up to a day."""
    begins = day + 1 - EXPECTED_DAYS
    return begins + np.flatnonzero(rows[begins : day + 1])


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
