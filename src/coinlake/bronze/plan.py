"""What to fetch: a function of what is wished, what is known, and the moment. What is there is not asked for again.

A day is a UTC day. The point at 00:00 of day D+1 is the close of D; it can be had from 00:10 on.
"""

from __future__ import annotations

import math
from calendar import monthrange
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import chain
from typing import NamedTuple
from zlib import crc32

from coinlake.bronze import call as ask
from coinlake.bronze.call import MARKET_CHART, MARKET_CHART_RANGE, MARKETS, OHLC, PAGE, Call
from coinlake.errors import ConfigError

DATASETS = ("markets", "history", "global", "coins")
"""What is fetched when nothing else is wished."""

EVERY: Mapping[str, timedelta] = {
    "markets": timedelta(seconds=60),
    "prices": timedelta(seconds=60),
    "global": timedelta(minutes=10),
    "candles": timedelta(minutes=15),
    "hourly": timedelta(hours=1),
    "5m": timedelta(minutes=5),
}
"""How old each may be before it is due again."""

AVAILABLE_AFTER = timedelta(minutes=10)
"""How long after midnight the service has the finished day."""

UNKNOWN_FOR = timedelta(days=1)
"""How long a coin that the service did not know is not asked for, from the beginning of the run that heard so."""

STEPS = (365, 364, 180, 90, 30, 7, 1)
"""Days of history to try when the service refuses a longer one."""

_ALL_DATASETS = ("markets", "history", "candles", "global", "coins", "prices")
_PER_COIN = {"markets", "history", "candles", "prices"}
_DAY = timedelta(days=1)
_HOURLY_DAYS = 90
_OHLC_DAYS = (1, 7, 14, 30)
# A run takes its time, and the service counts days back from the moment of each call, not from the run's start.
_RUN = timedelta(hours=1)

Universe = tuple[str, ...]
"""Coin ids in the order of their rank."""


@dataclass(frozen=True)
class Wish:
    """What somebody wants to have. `coins` by name win over the `top` by rank.

    `days` are finished UTC days, `history_days` is how far back the plan reaches, credits are its budget; None is
    without a limit.

    Raises:
        ConfigError: a value is none that can be wished for.
    """

    datasets: tuple[str, ...] = DATASETS
    top: int | None = None
    coins: Universe = ()
    days: int = 364
    granularity: str = "daily"
    history_days: int | None = None
    monthly_credits: int | None = None
    daily_credits: int | None = None

    def __post_init__(self) -> None:
        if unknown := [name for name in self.datasets if name not in _ALL_DATASETS]:
            raise ConfigError(f"datasets: {unknown[0]!r} is none of {', '.join(_ALL_DATASETS)}")
        if self.granularity not in ("daily", "hourly", "5m"):
            raise ConfigError(f"granularity: {self.granularity!r} is none of daily, hourly, 5m")
        if self.days < 1 or (self.top is not None and self.top < 1):
            raise ConfigError("days and top are whole numbers from 1 on")


Days = Mapping[tuple[str, str], Collection[date]]
"""(granularity, coin_id) to UTC days."""


@dataclass(frozen=True)
class Known:
    """What the lake and earlier runs know.

    `universe` is today's frozen list. `covered` are days that need no asking: silver has them, bronze has them not yet
    cleaned, or they were asked for and are not to be had (daily: day D is covered when its close is there). `newest`
    is each series' newest point, `*_at` when each was last fetched. `unknown_coins` were answered 404 lately, with
    until when each is not asked for. `days_limit` is a shorter reach than the plan's that the service taught us.
    """

    universe: Universe | None = None
    covered: Days = field(default_factory=dict)
    newest: Mapping[tuple[str, str], datetime] = field(default_factory=dict)
    markets_at: Mapping[str, datetime] = field(default_factory=dict)
    prices_at: Mapping[str, datetime] = field(default_factory=dict)
    candles_at: Mapping[str, datetime] = field(default_factory=dict)
    global_at: datetime | None = None
    coins_at: datetime | None = None
    unknown_coins: Mapping[str, datetime] = field(default_factory=dict)
    credits_month: int = 0
    credits_today: int = 0
    days_limit: int | None = None


class Expected(NamedTuple):
    """Calls that can only be named once today's universe is known: at most how many, and why."""

    calls: int
    why: str


class Unavailable(NamedTuple):
    """Days, both included, that cannot be had; `coin_id` is `*` where that goes for every coin."""

    coin_id: str
    from_day: date
    to_day: date
    reason: str


@dataclass(frozen=True)
class Plan:
    """Calls in the order of their worth, what else is to be expected, what cannot be had, and what was left out."""

    calls: tuple[Call, ...] = ()
    expected: tuple[Expected, ...] = ()
    unavailable: tuple[Unavailable, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def credits(self) -> int:
        """What the named calls cost."""
        return sum(call.credits for call in self.calls)

    @property
    def credits_expected(self) -> int:
        """What the named and the expected calls cost at most."""
        return self.credits + sum(each.calls for each in self.expected)

    @property
    def pages(self) -> tuple[Call, ...]:
        """The calls that name today's universe; empty where it is known."""
        return tuple(call for call in self.calls if call.endpoint == MARKETS and "ids" not in call.params)


def plan(wish: Wish, known: Known, at: datetime) -> Plan:
    """Decide what to fetch at the moment `at`.

    Where today's universe is not known yet, the plan names the rank pages that tell it, and says how many calls to
    expect then: plan again with `known.universe`.
    """
    at = at.astimezone(UTC)
    coins = _coins(wish, known)
    if coins is None:
        return _before_the_universe(wish, known, at)
    snapshots = [*_markets(wish, known, at, coins), *_whole_market(wish, known, at)]
    histories = [_history(wish, known, at, coin) for coin in coins] if "history" in wish.datasets else []
    chosen, notes = _afforded(wish, known, at, snapshots, histories, _candles(wish, known, at, coins), len(coins))
    if skipped := _skipped(wish, known):
        notes.insert(0, f"not asked for: {', '.join(skipped)}, which the service did not know lately")
    return Plan(tuple(chosen), (), _cut_off(wish, known, histories), tuple(notes))


def credits_left(wish: Wish, known: Known, spent: int = 0) -> int | None:
    """What the budget still allows after `spent` more; None where there is no budget."""
    limits = [
        limit - used - spent
        for limit, used in ((wish.monthly_credits, known.credits_month), (wish.daily_credits, known.credits_today))
        if limit is not None
    ]
    return max(min(limits), 0) if limits else None


def budget_note(wish: Wish, known: Known, what: str, spent: int = 0) -> str:
    """The sentence for what the budget leaves out."""
    month_is_over = wish.monthly_credits is not None and wish.monthly_credits - known.credits_month - spent <= 0
    return f"budget: {what} until {'next month' if month_is_over else 'tomorrow'}"


# Which coins ---------------------------------------------------------------------------------------------------------


def _coins(wish: Wish, known: Known) -> Universe | None:
    """The coins to ask about; None where only the service can tell."""
    if not _PER_COIN & set(wish.datasets):
        return ()
    named = tuple(dict.fromkeys(coin.strip() for coin in wish.coins))
    coins = named or (known.universe if wish.top else ())
    return coins if coins is None else tuple(coin for coin in coins if coin not in known.unknown_coins)


def _skipped(wish: Wish, known: Known) -> list[str]:
    """The coins that are not asked for, each with until when."""
    coins = [coin for coin in wish.coins or known.universe or () if coin in known.unknown_coins]
    return [f"{coin} (until {known.unknown_coins[coin].astimezone(UTC):%Y-%m-%d %H:%M} UTC)" for coin in coins]


def _before_the_universe(wish: Wish, known: Known, at: datetime) -> Plan:
    top = wish.top or 0
    pages = [
        ask.top_markets(number, min(PAGE, top), f"the {top} largest coins are not known yet today")
        for number in range(1, math.ceil(top / PAGE) + 1)
    ]
    calls, notes = _within_budget(wish, known, [*pages, *_whole_market(wish, known, at)], "snapshots wait")
    anyone = _history(wish, Known(days_limit=known.days_limit), at, "*") if "history" in wish.datasets else None
    wanted = {
        f"{wish.granularity} history, up to {wish.days} days a coin": top * len(anyone.calls) if anyone else 0,
        "prices": math.ceil(top / PAGE) if "prices" in wish.datasets else 0,
        "candles, one call a coin": top if "candles" in wish.datasets else 0,
    }
    left = credits_left(wish, known, len(calls))
    expected = []
    for why, count in wanted.items():
        affordable = count if left is None else min(count, left)
        left = None if left is None else left - affordable
        if affordable:
            expected.append(Expected(affordable, why))
    return Plan(tuple(calls), tuple(expected), _cut_off(wish, known, [anyone] if anyone else []), tuple(notes))


# Snapshots -----------------------------------------------------------------------------------------------------------


def _markets(wish: Wish, known: Known, at: datetime, coins: Universe) -> list[Call]:
    calls = []
    if "markets" in wish.datasets:
        stale = [coin for coin in coins if _is_due(at, known.markets_at.get(coin), EVERY["markets"])]
        calls += [ask.markets(ids, f"market snapshot of {len(ids)} coins") for ids in _pages(stale)]
    if "prices" in wish.datasets:
        stale = [coin for coin in coins if _is_due(at, known.prices_at.get(coin), EVERY["prices"])]
        calls += [ask.simple_price(ids, f"prices of {len(ids)} coins") for ids in _pages(stale)]
    return calls


def _whole_market(wish: Wish, known: Known, at: datetime) -> list[Call]:
    calls = []
    if "global" in wish.datasets and _is_due(at, known.global_at, EVERY["global"]):
        calls.append(ask.global_market("the whole market in numbers"))
    if "coins" in wish.datasets and (known.coins_at is None or known.coins_at.astimezone(UTC).date() != at.date()):
        # The active list comes last: a coin that is on both is then active by the newer word.
        calls += [ask.coins_list(status, f"{status} coins of the day") for status in ("inactive", "active")]
    return calls


def _candles(wish: Wish, known: Known, at: datetime, coins: Universe) -> list[Call]:
    if "candles" not in wish.datasets:
        return []
    reach = _reach(wish, known) or _OHLC_DAYS[-1]
    allowed = [days for days in _OHLC_DAYS if days <= reach]
    days = min((days for days in allowed if days >= wish.days), default=allowed[-1])
    due = [coin for coin in coins if _is_due(at, known.candles_at.get(coin), EVERY["candles"])]
    return [ask.ohlc(coin, days, f"candles of {days} days") for coin in due]


def _is_due(at: datetime, last: datetime | None, every: timedelta) -> bool:
    """Whether the last time is longer ago than `every`, or so far ahead that a clock was wrong."""
    return last is None or not -_DAY <= at - last <= every


def _pages(coins: Sequence[str]) -> Iterable[Sequence[str]]:
    return (coins[start : start + PAGE] for start in range(0, len(coins), PAGE))


# Histories -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _History:
    """What one coin's history needs: the calls, the days that cannot be had, and the newest day that is there."""

    coin_id: str
    calls: tuple[Call, ...]
    cut: tuple[date, ...]
    newest: date | None


def last_finished_day(at: datetime) -> date:
    """The newest day whose close the service has."""
    return (at - AVAILABLE_AFTER).date() - _DAY


def first_day(at: datetime, days: int) -> date:
    """The first day that a window of `days` before `at` says something about, with its close at least."""
    return (at - days * _DAY - timedelta.resolution).date()


def _first_hourly_day(at: datetime, days: int) -> date:
    """The first day that a window of `days` gives hours of: none when it is so short that it comes 5-minutely."""
    return first_day(at + _RUN, days) if days > 1 else date.max


def _history(wish: Wish, known: Known, at: datetime, coin: str) -> _History:
    key = (wish.granularity, coin)
    covered = set(known.covered.get(key, ()))
    newest = max(covered, default=None)
    if wish.granularity == "5m":
        due = _is_due(at, known.newest.get(key), EVERY["5m"])
        call = ask.market_chart(coin, 1, None, "the last 24 hours, 5-minutely")
        return _History(coin, (call,) if due else (), (), newest)
    last = last_finished_day(at)
    missing = [day for ago in range(wish.days - 1, -1, -1) if (day := last - ago * _DAY) not in covered]
    reach = _reach(wish, known)
    make, first = (_daily, first_day) if wish.granularity == "daily" else (_hourly, _first_hourly_day)
    cut = tuple(day for day in missing if reach is not None and day < first(at, reach))
    wanted = missing[len(cut) :]
    calls = make(coin, wanted, known.newest.get(key), reach, at, _why(wanted, newest))
    return _History(coin, tuple(calls), cut, newest)


def _why(wanted: Sequence[date], newest: date | None) -> str:
    if not wanted:
        return "the newest point is over an hour old"
    if newest is None:
        return f"never fetched: {len(wanted)} days from {wanted[0]} to {wanted[-1]}"
    return f"{len(wanted)} days are not there yet, the first is {wanted[0]}"


def _daily(
    coin: str, wanted: Sequence[date], newest: datetime | None, reach: int | None, at: datetime, why: str
) -> list[Call]:
    """One call that reaches back to the first close wanted."""
    if not wanted:
        return []
    days = _days_to(at, _midnight(wanted[0] + _DAY))  # `kept_up` sees to it that it still does when it is made
    return [ask.market_chart(coin, days if reach is None else min(days, reach), "daily", why)]


def _hourly(
    coin: str, wanted: Sequence[date], newest: datetime | None, reach: int | None, at: datetime, why: str
) -> list[Call]:
    """One call for up to 90 days back from now, and one for each 90 days before that."""
    near_days = min(_HOURLY_DAYS, reach or _HOURLY_DAYS)
    if near_days < 2:
        return []
    near_from = at + _RUN - near_days * _DAY
    old = [day for day in wanted if _midnight(day) < near_from] if near_days != reach else []
    near = wanted[len(old) :]
    calls = _ranges(coin, old, at + _RUN - reach * _DAY if reach else None, why)
    if near or newest is None or _is_due(at, newest, EVERY["hourly"]):
        since = min([_midnight(day) for day in near[:1]] + ([newest] if newest else []), default=at)
        days = min(max(_days_to(at + _RUN, since), 2), near_days)
        calls.insert(0, ask.market_chart(coin, days, None, why))
    return calls


def _ranges(coin: str, days: Sequence[date], floor: datetime | None, why: str) -> list[Call]:
    calls = []
    while days:
        start = _midnight(days[0]) if floor is None else max(_midnight(days[0]), floor)
        inside = [day for day in days if _midnight(day) + _DAY <= start + _HOURLY_DAYS * _DAY]
        # A range of one day might be answered 5-minutely.
        end = max(_midnight(inside[-1]) + _DAY, start + 2 * _DAY)
        calls.append(ask.market_chart_range(coin, int(start.timestamp()), int(end.timestamp()), why))
        days = days[len(inside) :]
    return calls


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _days_to(at: datetime, moment: datetime) -> int:
    """The smallest number of days, from 1, by which `at` reaches back to a moment."""
    return max(-((moment - at) // _DAY), 1)


# What the plan does not reach ----------------------------------------------------------------------------------------


def _reach(wish: Wish, known: Known) -> int | None:
    """Most days to ask for. Whether the plan's last day is inside its limit is not known, so it is not asked for."""
    limits = [wish.history_days - 1 if wish.history_days else None, known.days_limit]
    return max(min(limit for limit in limits if limit is not None), 1) if any(x is not None for x in limits) else None


def _cut_off(wish: Wish, known: Known, histories: Sequence[_History]) -> tuple[Unavailable, ...]:
    reach = _reach(wish, known)
    reason = f"the service gives the last {reach} days only"
    found = [Unavailable(each.coin_id, each.cut[0], each.cut[-1], reason) for each in histories if each.cut]
    if len(found) == len(histories) and len({each[1:] for each in found}) == 1:
        return (found[0]._replace(coin_id="*"),)
    return tuple(found)


def days_asked(call: Call, at: datetime) -> int | None:
    """How many days before `at` a call reaches back; None where it has no window."""
    if call.endpoint == MARKET_CHART_RANGE:
        return _days_to(at, datetime.fromtimestamp(int(call.params["from"]), UTC))
    return int(call.params["days"]) if call.endpoint in (MARKET_CHART, OHLC) else None


def days_of(call: Call, at: datetime) -> tuple[date, date] | None:
    """First and last finished day that a history call asks about; None for other calls."""
    if call.endpoint == MARKET_CHART_RANGE:
        start, end = (datetime.fromtimestamp(int(call.params[name]), UTC) for name in ("from", "to"))
        return start.date(), (end - timedelta.resolution).date()
    if call.endpoint == MARKET_CHART:
        return first_day(at, int(call.params["days"])), last_finished_day(at)
    return None


def kept_up(call: Call, planned_at: datetime, now: datetime, history_days: int | None) -> Call:
    """The call as it has to be made now, so that it reaches back to the first close it was planned for, and to none
    before that: the service counts the days of a chart from the moment of the call, which in a long run, or by a fast
    clock, is a later one.
    """
    if call.endpoint != MARKET_CHART or call.params.get("interval") != "daily":
        return call
    asked = int(call.params["days"])
    days = max(_days_to(now, _midnight(first_day(planned_at, asked) + _DAY)), asked)
    if history_days is not None:
        days = max(min(days, history_days - 1), asked)
    return replace(call, params={**call.params, "days": str(days)})


def shortened(call: Call, limit: int | None, at: datetime) -> Call | None:
    """The call with a window of at most `limit` days; None where nothing of it is left in the same granularity."""
    asked = days_asked(call, at)
    if limit is None or asked is None or asked <= limit:
        return call
    why = f"{call.why}; the service gives {limit} days only"
    if call.endpoint == MARKET_CHART_RANGE:
        start = int((at + _RUN - limit * _DAY).timestamp())
        if int(call.params["to"]) - start < 2 * _DAY.total_seconds():
            return None
        return replace(call, params={**call.params, "from": str(start)}, why=why)
    if call.endpoint == OHLC:
        limit = max(days for days in _OHLC_DAYS if days <= max(limit, 1))
    elif "interval" not in call.params and limit < 2:
        return None
    return replace(call, params={**call.params, "days": str(limit)}, why=why)


def step_below(days: int) -> int | None:
    """The next shorter history to try after one of `days` was refused; None after the shortest."""
    return next((step for step in STEPS if step < days), None)


# What the budget allows ----------------------------------------------------------------------------------------------


def _within_budget(wish: Wish, known: Known, calls: list[Call], what: str) -> tuple[list[Call], list[str]]:
    left = credits_left(wish, known)
    if left is None or left >= len(calls):
        return calls, []
    return calls[:left], [budget_note(wish, known, f"{len(calls) - left} {what}", left)]


def _afforded(
    wish: Wish,
    known: Known,
    at: datetime,
    snapshots: list[Call],
    histories: Sequence[_History],
    candles: list[Call],
    coins: int,
) -> tuple[list[Call], list[str]]:
    """The calls in the order of their worth, as far as the budget carries, and notes on those left out."""
    chosen, notes = _within_budget(wish, known, snapshots, "snapshots wait")
    due = sorted((each for each in histories if each.calls), key=_worth)
    left = credits_left(wish, known, len(chosen))
    if _is_tight(wish, known, at, sum(len(each.calls) for each in due), coins):
        now = [each for each in due if wish.granularity != "daily" or _has_its_day(each, at)]
        if len(now) < len(due):
            notes.append(
                f"budget: the month's credits do not carry a close per coin and day: {len(due) - len(now)} coins "
                "wait for their weekday; their last close is provisional"
            )
        due = now
        left = min(left or 0, _share(wish, known, at, len(chosen)))
    chosen += (rest := [*chain.from_iterable(each.calls for each in due), *candles])[:left]
    if left is not None and len(rest) > left:
        notes += _left_out(wish, known, due, candles, left, len(chosen))
    return chosen, notes


def _left_out(
    wish: Wish, known: Known, due: Sequence[_History], candles: Sequence[Call], left: int, spent: int
) -> list[str]:
    calls = sum(len(each.calls) for each in due)
    histories, late = max(calls - left, 0), min(calls + len(candles) - left, len(candles))
    notes = [budget_note(wish, known, f"{histories} histories wait", spent)] if histories else []
    if notes and wish.granularity == "daily":
        notes[0] += "; their last close is provisional"
    return notes + ([budget_note(wish, known, f"candles of {late} coins wait", spent)] if late else [])


def _worth(history: _History) -> tuple[bool, date]:
    """Never fetched first, then the stalest (sorting keeps the universe's order among equals)."""
    return history.newest is not None, history.newest or date.min


def _is_tight(wish: Wish, known: Known, at: datetime, due: int, coins: int) -> bool:
    """Whether the month's credits do not carry snapshots and a history call per coin on each day left of it."""
    if wish.monthly_credits is None or not due:
        return False
    days = _days_left(at)
    pages = math.ceil(coins / PAGE) * len({"markets", "prices"} & set(wish.datasets))
    candles = coins if "candles" in wish.datasets else 0
    per_day = pages + candles + ("global" in wish.datasets) + 2 * ("coins" in wish.datasets)
    return per_day * days + due + coins * (days - 1) > wish.monthly_credits - known.credits_month


def _share(wish: Wish, known: Known, at: datetime, spent: int) -> int:
    """What is left of today's equal share of the month's credits."""
    at_midnight = (wish.monthly_credits or 0) - known.credits_month + known.credits_today
    return max(at_midnight // _days_left(at) - known.credits_today - spent, 0)


def _days_left(at: datetime) -> int:
    """Days to the end of the month, today included."""
    return monthrange(at.year, at.month)[1] - at.day + 1


def _has_its_day(history: _History, at: datetime) -> bool:
    """Whether a coin's weekly turn is today, or was missed. Coins are spread over the week by their ids."""
    if history.newest is None or (last_finished_day(at) - history.newest).days > 7:
        return True
    return crc32(history.coin_id.encode()) % 7 == at.weekday()
