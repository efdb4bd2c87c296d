"""From a plan to bronze: one call after the other, every answer kept, whatever becomes of the run.

Answers lie under `coingecko/<endpoint>/date=YYYY-MM-DD/`, failed ones under `coingecko/_errors/`, the day's list of
the largest coins under `_universe/`. All of them are created once and never changed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple, Protocol

from coinlake.answer import Answer, pack, to_text
from coinlake.bronze.call import ERRORS, MARKETS, PAGE, SIMPLE_PRICE, SOURCE, Call
from coinlake.bronze.kind import demand_same_kind
from coinlake.bronze.plan import (
    UNKNOWN_FOR,
    Known,
    Plan,
    Unavailable,
    Universe,
    Wish,
    budget_note,
    credits_left,
    days_asked,
    days_of,
    kept_up,
    plan,
    shortened,
    step_below,
)
from coinlake.errors import CoinlakeError, LakeError, MissingError, OutOfTimeError, SourceError, WindowError
from coinlake.lake import Lake
from coinlake.objects import Objects
from coinlake.progress import Progress, Report

PART_ANSWERS = 50
"""Answers after which a part is closed."""

PART_SECONDS = 60.0
"""Seconds since its first answer after which a part is closed."""

_REFUSALS = 2


class Reply(Protocol):
    """What came of a call, with all the tries it took."""

    @property
    def answer(self) -> Answer:
        """The last answer."""
        ...

    @property
    def failure(self) -> CoinlakeError | None:
        """Why the answer cannot be used; None where it can."""
        ...

    @property
    def stops(self) -> bool:
        """Whether asking on would be of no use."""
        ...

    @property
    def calls(self) -> int:
        """Requests made."""
        ...

    @property
    def retries(self) -> int:
        """Requests made again."""
        ...

    @property
    def waited_s(self) -> float:
        """Seconds spent waiting, for the pace or before a retry."""
        ...


class Source(Protocol):
    """Where answers come from. It raises nothing for what the service does."""

    def fetch(self, call: Call) -> Reply:
        """Make a call, with whatever retries it takes."""
        ...


class Refused(NamedTuple):
    """A call that was answered 404, for the service does not know the coin; until then it is asked nothing about it."""

    coin_id: str
    endpoint: str
    asked_again_at: datetime


@dataclass(frozen=True)
class Ingested:
    """What a run fetched.

    `objects` are the paths written, below the bronze root. `credits` counts answers with status 200. `missing` are
    (coin_id, endpoint) that were asked for and not in a good answer, `refused` are of coins the service does not know,
    `days_limit` is a shorter history than the plan's that it gives, `days_learnt` the same where this run found it out
    (what was learnt before is not learnt again, so that it is forgotten one day), `failed` are the calls given up.
    `left` counts the calls that no time was left for. `failure` is what the caller raises once it has cleaned what
    landed; None where all went well.
    """

    objects: tuple[str, ...] = ()
    answers: int = 0
    calls: int = 0
    retries: int = 0
    credits: int = 0
    waited_s: float = 0.0
    universe: Universe | None = None
    missing: tuple[tuple[str, str], ...] = ()
    refused: tuple[Refused, ...] = ()
    days_limit: int | None = None
    days_learnt: int | None = None
    unavailable: tuple[Unavailable, ...] = ()
    notes: tuple[str, ...] = ()
    failed: tuple[Call, ...] = ()
    failure: CoinlakeError | None = None
    left: int = 0

    @property
    def unknown_coins(self) -> tuple[str, ...]:
        """The coins that the service does not know."""
        return tuple(each.coin_id for each in self.refused)


def ingest(
    source: Source,
    lake: Lake,
    wish: Wish,
    known: Known,
    run: str,
    at: datetime,
    now: Callable[[], datetime],
    monotonic: Callable[[], float],
    report: Report,
    until: float = math.inf,
) -> Ingested:
    """Fetch what is wished for and not known; keep every answer in bronze.

    `at` is the moment the run began, `now` the same clock going on; `monotonic` counts seconds, and no call begins
    after `until`. What the service does ends up in the result. Whatever is raised (Ctrl-C too), the answers that came
    are written first.

    Raises:
        LakeError: bronze cannot be written or read.
    """
    at = at.astimezone(UTC)
    parts = Parts(lake.objects, run, at, monotonic)
    is_late = lambda: monotonic() >= until  # noqa: E731 (as short as what it says)
    run_ = _Run(source, lake, parts, wish, known, at, now, report, is_late, days_limit=known.days_limit)
    try:
        return run_.all_of()
    finally:
        parts.close()


# The day's universe --------------------------------------------------------------------------------------------------


def frozen_universe(lake: Lake, day: date, top: int) -> Universe | None:
    """The list of the largest coins that was frozen for a UTC day, in order of rank; None where none was.

    Raises:
        LakeError: there is something, but it is no such list.
    """
    path = _universe_path(day, top)
    try:
        ids = json.loads(lake.objects.get(path))["ids"]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as exc:
        raise LakeError(f"{path} cannot be read ({exc}); remove it and run again") from exc
    return tuple(ids)


def freeze_universe(lake: Lake, day: date, top: int, ids: Iterable[str], at: datetime) -> Universe:
    """Freeze a day's list for every run of that day; the list of whoever was first counts, and is returned.

    Raises:
        LakeError: the list that is there cannot be read.
    """
    found = tuple(ids)
    record = {"date": day.isoformat(), "top": top, "ids": found, "at": to_text(at)}
    try:
        lake.objects.put(_universe_path(day, top), json.dumps(record).encode())
    except LakeError:
        return frozen_universe(lake, day, top) or found
    return found


def _universe_path(day: date, top: int) -> str:
    return f"_universe/date={day}/top-{top}.json"


# Parts ---------------------------------------------------------------------------------------------------------------


@dataclass
class _Part:
    """The answers of one folder that are not written yet, and when the first of them came."""

    number: int = 1
    answers: list[Answer] = field(default_factory=list)
    since: float = 0.0


class Parts:
    """Answers on their way into bronze. A kill costs what is not closed: 50 answers or 60 s of a folder at the most."""

    def __init__(self, objects: Objects, run: str, at: datetime, monotonic: Callable[[], float]) -> None:
        self.written: list[str] = []
        self.objects = objects
        self._name = f"{at:%Y%m%dT%H%M%SZ}-{run}"
        self._date = f"date={at:%Y-%m-%d}"
        self._monotonic = monotonic
        self._parts: dict[str, _Part] = {}

    def add(self, answer: Answer, folder: str) -> None:
        """Take an answer into a folder's part."""
        part = self._parts.setdefault(folder, _Part())
        part.since = part.since if part.answers else self._monotonic()
        part.answers.append(answer)

    def close_due(self) -> None:
        """Write the parts that are full or old."""
        for folder, part in self._parts.items():
            if len(part.answers) >= PART_ANSWERS or self._monotonic() - part.since >= PART_SECONDS:
                self._close(folder, part)

    def close(self) -> None:
        """Write all that is not written yet."""
        for folder, part in self._parts.items():
            self._close(folder, part)

    def _close(self, folder: str, part: _Part) -> None:
        if not part.answers:
            return
        path = f"{SOURCE}/{folder}/{self._date}/{self._name}-{part.number:04d}.jsonl.gz"
        # Interrupted after the object was created, the same bytes are put again: that is no second object.
        self.objects.put(path, pack(part.answers))
        part.number, part.answers = part.number + 1, []
        self.written.append(path)


# The run -------------------------------------------------------------------------------------------------------------


@dataclass
class _Run:
    """The calls of one run, and what has come of them so far."""

    source: Source
    lake: Lake
    parts: Parts
    wish: Wish
    known: Known
    at: datetime
    now: Callable[[], datetime]
    report: Report
    is_late: Callable[[], bool]
    days_limit: int | None
    left: int = 0
    days_learnt: int | None = None
    limits: dict[str, int] = field(default_factory=dict)
    done: int = 0
    total: int = 0
    answers: int = 0
    calls: int = 0
    retries: int = 0
    credits: int = 0
    waited_s: float = 0.0
    unpaid: int = 0
    refusals: int = 0
    ranked: dict[int, tuple[str, ...]] = field(default_factory=dict)
    markets_at: dict[str, datetime] = field(default_factory=dict)
    missing: dict[tuple[str, str], None] = field(default_factory=dict)
    unknown: dict[str, Refused] = field(default_factory=dict)
    cut: list[Unavailable] = field(default_factory=list)
    failed: list[Call] = field(default_factory=list)
    failure: CoinlakeError | None = None
    stopped: CoinlakeError | None = None

    def all_of(self) -> Ingested:
        """Do all there is to do, in two steps where today's universe is not known yet."""
        planned = plan(self.wish, self.known, self.at)
        universe = self.known.universe
        if pages := planned.pages:
            self.total = planned.credits_expected
            self.fetch(pages)
            rest = tuple(call for call in planned.calls if call not in pages)
            if not (self.stopped or self.left) and (universe := self._freeze()):
                planned = plan(self.wish, self._known_now(universe), self.at)
                rest = planned.calls
        else:
            rest = planned.calls
        self.total = self.done + len(rest)
        self.fetch(rest)
        self.parts.close()
        self.report(Progress("ingest", self.done, self.total))
        return self._result(planned, universe)

    def fetch(self, calls: Sequence[Call]) -> None:
        """Make calls in order; what fails in passing is tried once more at the end."""
        again = [call for call in calls if not self._settle(call)]
        self.total += len(again)
        self.failed += [call for call in again if self.stopped or self.is_late() or not self._settle(call)]

    def _settle(self, call: Call) -> bool:
        """Make a call unless there is a reason not to; False where it failed and may be tried again."""
        self.done += 1
        if self.stopped or call.coin_id in self.unknown:
            return True
        if self.is_late():
            self.left += 1
            return True
        if not self._is_paid(call):
            self.unpaid += 1
            return True
        self.report(Progress("ingest", self.done - 1, self.total, _shown(call)))
        self.parts.close_due()
        return self._ask(call)

    def _ask(self, call: Call) -> bool:
        """Ask, with ever shorter windows as long as the service wants one; False where it may be tried again."""
        call = kept_up(call, self.at, self.now(), self.wish.history_days)
        limit = self.limits.get(call.coin_id or "", self.days_limit)
        while (short := shortened(call, limit, moment := self.now())) is not None:
            reply = self._fetch(short)
            if reply.failure is None:
                self._took(call, short, reply.answer, limit)
                return True
            if isinstance(reply.failure, OutOfTimeError):
                self.left += 1
                return True
            asked = days_asked(short, moment)
            if reply.stops or asked is None or not isinstance(reply.failure, WindowError):
                return self._failed(call, reply)
            limit = step_below(asked)
            if limit is None:
                self._refused(reply.failure)
                break
        self._note_cut(call, None)
        return True

    def _failed(self, call: Call, reply: Reply) -> bool:
        """Note why a call failed; False where it may be tried again."""
        if reply.stops:
            self.stopped = reply.failure
            return True
        if isinstance(reply.failure, MissingError) and call.coin_id:
            self.unknown[call.coin_id] = Refused(call.coin_id, call.endpoint, self.at + UNKNOWN_FOR)
            return True
        self.failure = reply.failure
        return False

    def _refused(self, failure: CoinlakeError) -> None:
        """Not even one day is given. One coin may be odd; a service that does this to all is not asked on and on."""
        self.refusals += 1
        if self.refusals >= _REFUSALS or (self.failure and not self.answers):
            self.stopped = failure

    def _fetch(self, call: Call) -> Reply:
        reply = self.source.fetch(call)
        self.calls += reply.calls
        self.retries += reply.retries
        self.waited_s += reply.waited_s
        self.answers += reply.failure is None
        self.credits += call.credits if reply.answer.status == 200 else 0
        if reply.failure is None and self.answers == 1:
            demand_same_kind(self.lake, reply.answer)
        if reply.calls:  # a source that had no patience left asked nothing
            self.parts.add(reply.answer, call.endpoint if reply.failure is None else ERRORS)
        self.parts.close_due()
        return reply

    def _is_paid(self, call: Call) -> bool:
        left = credits_left(self.wish, self.known, self.credits)
        return left is None or left >= call.credits

    def _took(self, call: Call, short: Call, answer: Answer, limit: int | None) -> None:
        """Note what a good answer teaches: how far back the service reaches, and which coins it holds or lacks."""
        self._note_cut(call, short)
        self._learn(call, limit)
        self.refusals = 0 if call.coin_id else self.refusals
        if call.endpoint not in (MARKETS, SIMPLE_PRICE):
            return
        ids = received(answer)
        if "ids" in call.params:
            asked = dict.fromkeys(call.params["ids"].split(","))
            self.missing |= {(coin, call.endpoint): None for coin in asked if coin not in ids}
        else:
            self.ranked[int(call.params["page"])] = ids
            self.markets_at |= dict.fromkeys(ids, answer.fetched_at)

    def _learn(self, call: Call, limit: int | None) -> None:
        """A limit that a second coin meets too is the plan's; one coin's may be its own, and is noted of it alone."""
        if limit is None or limit == self.days_limit:
            return
        self.limits[call.coin_id or ""] = limit
        if len(self.limits) > 1:
            self.days_limit = self.days_learnt = max(self.limits.values())

    def _note_cut(self, call: Call, short: Call | None) -> None:
        """Note the days that were asked for and refused: those before the shorter call's, or all."""
        days = days_of(call, self.at)
        if short is call or days is None or call.coin_id is None:
            return
        from_day, to_day = days
        reason = "the service refuses so long a history"
        if short is not None and (left := days_of(short, self.at)):
            to_day = min(to_day, left[0] - timedelta(days=1))
            reason = f"the service gives the last {days_asked(short, self.at)} days only"
        if from_day <= to_day:
            self.cut.append(Unavailable(call.coin_id, from_day, to_day, reason))

    def _freeze(self) -> Universe | None:
        """Today's universe from the rank pages; None where a page is missing."""
        top = self.wish.top or 0
        ids = list(dict.fromkeys(coin for page in sorted(self.ranked) for coin in self.ranked[page]))[:top]
        if len(self.ranked) < math.ceil(top / PAGE):
            return None
        if not ids:
            self.stopped = SourceError("the service listed no coins at all; wait, then run again")
            return None
        return freeze_universe(self.lake, self.at.date(), top, ids, self.now())

    def _known_now(self, universe: Universe) -> Known:
        """What is known after the rank pages."""
        return replace(
            self.known,
            universe=universe,
            markets_at={**self.known.markets_at, **self.markets_at},
            credits_month=self.known.credits_month + self.credits,
            credits_today=self.known.credits_today + self.credits,
        )

    def _result(self, planned: Plan, universe: Universe | None) -> Ingested:
        notes = list(planned.notes)
        if self.unpaid:
            notes.append(budget_note(self.wish, self.known, f"{self.unpaid} more calls wait", self.credits))
        return Ingested(
            objects=tuple(self.parts.written),
            answers=self.answers,
            calls=self.calls,
            retries=self.retries,
            credits=self.credits,
            waited_s=self.waited_s,
            universe=universe,
            missing=tuple(self.missing),
            refused=tuple(self.unknown.values()),
            days_limit=self.days_limit,
            days_learnt=self.days_learnt,
            unavailable=planned.unavailable + tuple(self.cut),
            notes=tuple(notes),
            failed=tuple(self.failed),
            failure=self.stopped or _given_up(self.failed, self.failure),
            left=self.left,
        )


def received(answer: Answer) -> tuple[str, ...]:
    """The coins that an answer of `/coins/markets` or `/simple/price` says something about, in its order."""
    said: Any = json.loads(answer.text)
    if answer.endpoint == SIMPLE_PRICE:
        return tuple(coin for coin, prices in said.items() if prices) if isinstance(said, Mapping) else ()
    rows = said if isinstance(said, list) else []
    return tuple(row["id"] for row in rows if isinstance(row, Mapping) and isinstance(row.get("id"), str))


def _shown(call: Call) -> str:
    what = call.endpoint.removeprefix("coins_")
    return f"{call.coin_id}, {what}" if call.coin_id else what


def _given_up(failed: Sequence[Call], last: CoinlakeError | None) -> CoinlakeError | None:
    """One sentence about all the calls that came to nothing."""
    if not failed:
        return None
    which = "; ".join(_shown(call) for call in failed[:3])
    more = f" and {len(failed) - 3} more" if len(failed) > 3 else ""
    calls = "1 call" if len(failed) == 1 else f"{len(failed)} calls"
    return SourceError(f"{calls} got no usable answer ({which}{more}; lastly: {last}); run again later")
