"""Numbers as a person reads them: prices with as many digits as they need."""

from __future__ import annotations


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
    if size == 0:
        return "$0"
    places = max(4, 4 - _exponent(size))
    return "%s$%.*f" % (sign, places, size)  # noqa: UP031 - a format within a format takes twice as long


def _exponent(size: float) -> int:
    """Digits before the decimal point; for 0.0005 it is -3. The text is asked, for rounding may carry."""
    return int(f"{size:.3e}"[len("1.234e") :]) + 1


def percent(fraction: float) -> str:
    """12.3 % of 0.123."""
    return f"{100 * fraction:.1f} %"


def gain(fraction: float) -> str:
    """+12.3 % of 0.123, with its sign."""
    return f"{100 * fraction:+.1f} %"


def one_digit(value: float) -> str:
    """29.4."""
    return f"{value:.1f}"


def two_digits(value: float) -> str:
    """1.52."""
    return f"{value:.2f}"


def whole(value: float) -> str:
    """1,234."""
    return f"{value:,.0f}"
