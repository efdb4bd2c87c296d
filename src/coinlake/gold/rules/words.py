"""Numbers as a person reads them: prices with as many digits as they need."""

from __future__ import annotations

import math
from bisect import bisect_right


def usd(price: float) -> str:
    """$42,981; $158.26; $0.5238; $0.00002993: four digits that count below a dollar, no exponent but for what no price
    ever was.
    """
    sign, size = "-" if price < 0 else "", abs(price)
    if size >= 1e15:
        return f"{sign}${size:.3g}"
    if size >= 1000:
        return f"{sign}${size:,.0f}"
    if size >= 1:
        return f"{sign}${size:,.2f}"
    if size < 1e-15:
        return f"{sign}${size:.4g}"
    places = max(4, 4 - _exponent(size))
    return "%s$%.*f" % (sign, places, size)  # noqa: UP031 - a format within a format takes twice as long


def _least(exponent: int) -> float:
    """The smallest price that four digits round to ten to that power, or more."""
    found = float(f"9.9995e{exponent - 1}")
    return found if f"{found:.3e}".startswith("1") else math.nextafter(found, 1)


_SMALLEST = -16
_LEAST = [_least(exponent) for exponent in range(_SMALLEST, 1)]
"""By power of ten: looked up, it takes a third of the time of asking a text for its exponent."""


def _exponent(size: float) -> int:
    """Digits before the decimal point, of the price with four digits, for rounding may carry; for 0.0005 it is -3."""
    return bisect_right(_LEAST, size) + _SMALLEST


def percent(fraction: float) -> str:
    """12.3 % of 0.123."""
    return f"{100 * fraction:z.1f} %"


def gain(fraction: float) -> str:
    """+12.3 % of 0.123, with its sign."""
    return f"{100 * fraction:+z.1f} %"


def one_digit(value: float) -> str:
    """29.4."""
    return f"{value:z.1f}"


def two_digits(value: float) -> str:
    """1.52."""
    return f"{value:z.2f}"


def whole(value: float) -> str:
    """1,234."""
    return f"{value:z,.0f}"
