"""Numbers as a person reads them: $42,981, $0.00002993, $1.2T, +3.4 %. What is missing is a dash, never a zero."""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta

from coinlake.gold.rules.words import usd

MISSING = "\N{EN DASH}"
_LARGE = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K"))


def known(value: object) -> bool:
    """Whether there is a value at all: None, NaN and NaT are none."""
    return value is not None and value == value


def price(value: float | None) -> str:
    """A price in dollars with as many digits as it needs: four that count below a dollar, no exponent."""
    if value is None or not math.isfinite(value):
        return MISSING
    return usd(value) if value else "$0.00"


def large(value: float | None, unit: str = "$") -> str:
    """A sum with three digits and a letter: $1.23T, $45.6B."""
    if value is None or not math.isfinite(value):
        return MISSING
    size, sign = abs(value), "-" if value < 0 else ""
    for scale, letter in _LARGE:
        if size >= scale * 0.9995:
            shown = size / scale
            return f"{sign}{unit}{shown:.{2 if shown < 9.995 else 1 if shown < 99.95 else 0}f}{letter}"
    return f"{sign}{unit}{size:,.0f}"


def change(fraction: float | None, digits: int = 1) -> str:
    """A change with its sign: +3.4 %."""
    if fraction is None or not math.isfinite(fraction):
        return MISSING
    return f"{100 * fraction:+,.{digits}f} %".replace("-", "\N{MINUS SIGN}")


def share(fraction: float | None, digits: int = 1) -> str:
    """A share without a sign: 54.2 %."""
    return MISSING if fraction is None or not math.isfinite(fraction) else f"{number(100 * fraction, digits)} %"


def number(value: float | None, digits: int = 2) -> str:
    """A bare number: 1.53."""
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{value:,.{digits}f}".replace("-", "\N{MINUS SIGN}")


def count(value: float | None) -> str:
    """How many: 1,234."""
    return number(value, 0)


def day(value: date | datetime | None) -> str:
    """A day: 24 Nov 2026."""
    return MISSING if value is None or value != value else f"{value.day} {value:%b %Y}"


def ago(passed: timedelta) -> str:
    """How long ago: just now, 40 s, 5 min, 3 h, 2 days."""
    seconds = passed.total_seconds()
    if seconds < 5:
        return "just now"
    for limit, unit, name in ((90, 1, "s"), (5400, 60, "min"), (129_600, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name} ago"
    return f"{seconds / 86_400:.0f} days ago"
