"""Numbers as a person reads them: prices with as many digits as they need."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray


def usd(price: float) -> str:
    """$42,981; $158.26; $0.5238; $0.00002993: four digits that count below a dollar, no exponent but for what no price
    ever was.
    """
    size = abs(price)
    return ("-" if price < 0 else "") + _FORMS[bisect_right(_FROM, size) - 1].format(size)


def written(write: Callable[[float], str], numbers: NDArray[np.float64]) -> list[str]:
    """What a function of these writes of every number; prices of one form all at once, which takes half the time."""
    if write is not usd:
        return list(map(write, numbers.tolist()))
    sizes = np.abs(numbers)
    form = np.searchsorted(_FROM, sizes, side="right") - 1
    texts = np.empty(len(sizes), dtype=object)
    for one in np.unique(form).tolist():
        texts[form == one] = list(map(_FORMS[one].format, sizes[form == one].tolist()))
    texts[numbers < 0] = "-" + texts[numbers < 0]
    return list(texts)


def _least(exponent: int) -> float:
    """The smallest price that four digits round to ten to that power, or more."""
    found = float(f"9.9995e{exponent - 1}")
    return found if f"{found:.3e}".startswith("1") else math.nextafter(found, 1)


_PLACES = {18: 1e-15, **{3 - exponent: _least(exponent) for exponent in range(-14, 0)}}
"""Digits after the point, and the smallest price that they are for: so many that four count."""
_FROM = [0.0, *_PLACES.values(), 1.0, 1e3, 1e15]
"""The smallest price of each form."""
_FORMS = ["${:.4g}", *(f"${{:.{places}f}}" for places in _PLACES), "${:,.2f}", "${:,.0f}", "${:.3g}"]


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
