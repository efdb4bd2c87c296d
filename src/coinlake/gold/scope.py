"""Which days of which coins a change touches. What is not named stays as it is.

A scope travels: the commit that replaces some days of a table notes them, and the tables that read it ask the commits
since the version they have seen which days of their own rest on those.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from coinlake.duck import quoted

EVERY = "*"
"""Stands for every coin."""
END = date(2200, 1, 1)
"""The last day of a span that goes on to the end of the history."""
BEGIN = date(1700, 1, 1)
"""The first day of a span that begins with the history."""

MANY, BRIEF_DAYS = 500, 31
"""So many coins take longer to name than those between take to read, over no more days than that."""

Span = tuple[date, date]


@dataclass(frozen=True)
class Scope:
    """Days to make again, by coin or for `EVERY` coin: first and last day, both included."""

    days: Mapping[str, Span]

    @staticmethod
    def of(touched: Iterable[tuple[str, date, date]]) -> Scope:
        """The scope of (coin, first day, last day); several of one coin become the span over all of them."""
        days: dict[str, Span] = {}
        for coin, first, last in touched:
            known = days.get(coin, (first, last))
            days[coin] = (min(first, known[0]), max(last, known[1]))
        return Scope(days)

    def __bool__(self) -> bool:
        """Whether it names any day."""
        return bool(self.days)

    def __or__(self, other: Scope) -> Scope:
        """What either names."""
        return Scope.of([*self.touched(), *other.touched()])

    def touched(self) -> list[tuple[str, date, date]]:
        """Coin, first and last day."""
        return [(coin, first, last) for coin, (first, last) in self.days.items()]

    @property
    def first(self) -> date:
        """The earliest day of any coin."""
        return min(first for first, _ in self.days.values())

    @property
    def last(self) -> date:
        """The latest day of any coin."""
        return max(last for _, last in self.days.values())

    def lasting(self, days_after: int | None) -> Scope:
        """The same coins, so many days longer; to the end of the history with None."""
        return Scope({coin: (first, _later(last, days_after)) for coin, (first, last) in self.days.items()})

    def everyone(self) -> Scope:
        """The same days of every coin."""
        return Scope({EVERY: (self.first, self.last)}) if self else self

    def with_coins(self, coins: Iterable[str]) -> Scope:
        """These coins as well, over all of the days."""
        return self | Scope({coin: (self.first, self.last) for coin in coins}) if self else self

    def at_least(self, newest: date | None) -> Scope:
        """The same for who reads, and may read more: every coin, for the days of which most are named and those of
        everyone, if these coins are very many and the days few. `newest` is about the last day that there is, to which
        those go on that do not end; None where there is none yet.
        """
        if newest is None or len(self.days) < MANY:
            return self
        span, coins = max(self._spans(), key=lambda each: len(each[1]))
        every = self.days.get(EVERY, span)
        first, last = min(span[0], every[0]), max(span[1], every[1])
        until = max(newest, first) if last == END else last
        if len(coins) < MANY or (until - first).days > BRIEF_DAYS:
            return self
        others = self.days.keys() - {EVERY, *coins}
        return Scope({EVERY: (first, last), **{coin: self.days[coin] for coin in others}})

    def joined(self) -> Scope:
        """The same, and where every coin is named beside one, all of that coin's days between: what is read of it then
        has no hole.
        """
        every = self.days.get(EVERY)
        return self | Scope({coin: every for coin in self.days if every})

    def predicate(self, day: str = "day", before: int = 0) -> str:
        """SQL that is true for the rows of exactly these coins and days; of so many days before as well, if asked."""
        terms = [
            f"({_of(coins)}{_years(first, last)} "
            f"and {day} >= cast('{first}' as date) and {day} <= cast('{last}' as date))"
            for (first, last), coins in self._spans(before)
        ]
        return _either(terms)

    def moments(self, moment: str, before: int) -> str:
        """SQL that is true for what was observed on these days, so many before, or until the next day has ended."""
        terms = [
            f"({_of(coins)}{_years(first, _later(last, 2))} and {moment} >= {_midnight(first)} "
            f"and {moment} < {_midnight(_later(last, 2))})"
            for (first, last), coins in self._spans(before)
        ]
        return _either(terms)

    def earlier(self, day: str, within: int = 0) -> str:
        """SQL that is true for the rows of these coins that lie before the first day of theirs; within so many days
        before it, if asked.

        Where every coin is named as well, a coin's first day is the earlier of the two: what follows is made again.
        """
        every = self.days.get(EVERY)
        firsts: dict[date, list[str]] = {}
        for coin, (first, _) in sorted(self.days.items()):
            if coin != EVERY:
                firsts.setdefault(min(first, every[0]) if every else first, []).append(coin)
        named = ", ".join(map(quoted, sorted(self.days.keys() - {EVERY})))
        terms = [
            f"(coin_id in ({', '.join(map(quoted, coins))}) and {_before(day, first, within)})"
            for first, coins in sorted(firsts.items())
        ]
        if every:
            others = f"coin_id not in ({named}) and " if named else ""
            terms.append(f"({others}{_before(day, every[0], within)})")
        return _either(terms)

    def to_text(self) -> str:
        """As a commit notes it; coins with the same days share an entry."""
        return json.dumps([[str(first), str(last), coins] for (first, last), coins in self._spans()])

    @staticmethod
    def from_text(text: str) -> Scope:
        """The scope that a commit noted."""
        return Scope.of(
            (coin, date.fromisoformat(first), date.fromisoformat(last))
            for first, last, coins in json.loads(text)
            for coin in coins
        )

    def _spans(self, before: int = 0) -> list[tuple[Span, list[str]]]:
        """The coins of each span, which begins so many days earlier."""
        spans: dict[Span, list[str]] = {}
        for coin, (first, last) in sorted(self.days.items()):
            spans.setdefault((_earlier(first, before), last), []).append(coin)
        return sorted(spans.items())


def _either(terms: Sequence[str]) -> str:
    """SQL that is true where one of the terms is. In pairs of pairs: of thousands that stand in a row, each is a level
    deeper in the tree that delta-rs makes of it, which takes the square of their number and ends in a crash.
    """
    if len(terms) < 2:
        return terms[0] if terms else "false"
    middle = len(terms) // 2
    return f"({_either(terms[:middle])} or {_either(terms[middle:])})"


def _of(coins: list[str]) -> str:
    """The coins, and the range that they lie in: files and groups of rows that lie outside of it are not read."""
    if EVERY in coins:
        return ""
    named = f"coin_id in ({', '.join(map(quoted, coins))}) and "
    return f"coin_id >= {quoted(min(coins))} and coin_id <= {quoted(max(coins))} and {named}"


def _before(day: str, first: date, within: int) -> str:
    begins = _earlier(first, within)
    since = f"{_years(begins, first)} and {day} >= cast('{begins}' as date) and " if within else ""
    return f"{since}{day} < cast('{first}' as date)"


def _years(first: date, last: date) -> str:
    return f"year >= {first.year} and year <= {last.year}"


def _midnight(day: date) -> str:
    """As a text that is compared with a moment: a cast of it would hide from the log which files are asked for."""
    return f"'{day}T00:00:00Z'"


def _earlier(day: date, days: int) -> date:
    return day - timedelta(days=days) if (day - BEGIN).days > days else BEGIN


def _later(day: date, days: int | None) -> date:
    return END if days is None or (END - day).days <= days else day + timedelta(days=days)
