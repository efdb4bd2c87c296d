"""Numbers as the report says them. What is not known is a dash, never a zero."""

from __future__ import annotations

import re
from datetime import date, datetime

from coinlake.gold.rules.words import gain as _gain
from coinlake.gold.rules.words import percent as _percent
from coinlake.gold.rules.words import usd

MISSING = "–"  # noqa: RUF001 - an en dash is what a printed table shows
_ORDER = re.compile(r"^(BUY|SELL|WAIT): ")
_MINUS = re.compile(r"(?<![\w.&;-])-(?=[\d.]+ %)")
_APART = re.compile(r"(?<=\d) (?=(?:%|pp|T|B|M)(?!\w))")
_LARGE = ((1e12, "T"), (1e9, "B"), (1e6, "M"))


def price(value: float | None) -> str:
    """$42,981; $0.00002993."""
    return MISSING if value is None else usd(value)


def money(value: float | None) -> str:
    """$1.97 T; $119.1 B; $4.2 M."""
    if value is None:
        return MISSING
    for size, letter in _LARGE:
        if abs(value) >= size:
            return f"${value / size:.{2 if abs(value) < 10 * size else 1}f} {letter}"
    return usd(value)


def percent(value: float | None) -> str:
    """12.3 % of 0.123."""
    return MISSING if value is None else _percent(value)


def gain(value: float | None) -> str:
    """+12.3 % of 0.123, with a true minus sign; what rounds to nothing has none."""
    if value is None:
        return MISSING
    return _gain(value).replace("-", "\N{MINUS SIGN}") if abs(value) >= 0.0005 else "0.0 %"


def points(value: float | None) -> str:
    """+1.2 pp of 0.012: a difference between two shares."""
    return MISSING if value is None else f"{100 * value:+.1f} pp".replace("-", "\N{MINUS SIGN}")


def number(value: float | None, digits: int = 0) -> str:
    """58; 0.28."""
    return MISSING if value is None else f"{value:,.{digits}f}".replace("-", "\N{MINUS SIGN}")


def signed(value: float, digits: int) -> str:
    """+0.04, with a true minus sign."""
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def count(n: int, noun: str) -> str:
    """1 coin; 1,234 coins."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def day(value: date | None) -> str:
    """24 November 2026."""
    return MISSING if value is None else f"{value.day} {value:%B %Y}"


def moment(value: datetime | None) -> str:
    """25 November 2026, 00:44 UTC."""
    return MISSING if value is None else f"{day(value)}, {value:%H:%M} UTC"


def mood(fear_greed: float | None) -> str:
    """What people call a value of the index."""
    if fear_greed is None:
        return "not known"
    names = ("extreme fear", "fear", "neutral", "greed", "extreme greed")
    return names[sum(fear_greed >= edge for edge in (20, 40, 60, 80))]


def event(told: str, proven: bool) -> str:
    """What happened; the order that a rule's sentence may begin with is left out where nothing speaks for the rule."""
    what = told if proven else _ORDER.sub("", told)
    return what[:1].upper() + what[1:]


def bound(text: str) -> str:
    """A text in which numbers keep their unit on the same line, and a percentage below zero has a true minus sign."""
    return _APART.sub("\N{NO-BREAK SPACE}", _MINUS.sub("\N{MINUS SIGN}", text))
