"""JSON as CoinGecko prints it: no blanks, `1.0e+15` from 1e15 on and `8.69e-05` below 0.0001, prices rounded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any

from coinlake.simulator.chance import Floats

_BIG, _SMALL = 1e15, 1e-4


def number(value: float | None) -> str:
    """A float; null where it is unknown."""
    if value is None or value != value:
        return "null"
    size = abs(value)
    if _SMALL <= size < _BIG or size == 0:
        return repr(value)
    if size == math.inf:
        return "null"
    mantissa, _, exponent = repr(value).partition("e") if size >= 1e16 or size < _SMALL else _scientific(value)
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{exponent}"


def _scientific(value: float) -> tuple[str, str, str]:
    """Like `repr(value)` of larger ones: Python prints 1e15 in full."""
    digits = repr(value).removesuffix(".0").replace(".", "")
    sign, digits = ("-", digits[1:]) if digits.startswith("-") else ("", digits)
    return f"{sign}{digits[0]}.{digits[1:].rstrip('0') or '0'}", "e", "+15"


def text(value: Any) -> str:
    """Anything made of dicts, lists, texts, numbers, booleans and None."""
    if isinstance(value, str):
        return encode_basestring(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if value is None or isinstance(value, float):
        return number(None if value is None else float(value))  # numpy's floats print themselves otherwise
    if isinstance(value, dict):
        return "{" + ",".join(f"{_key(str(key))}:{text(each)}" for key, each in value.items()) + "}"
    if isinstance(value, Raw):
        return value.text
    return "[" + ",".join(map(text, value)) + "]"


_key = lru_cache(1024)(encode_basestring)


class Raw:
    """JSON that is printed already."""

    def __init__(self, text: str) -> None:
        self.text = text


def pairs(times_ms: Sequence[int], values: Iterable[float | None]) -> Raw:
    """A series: `[[ms, value], …]`."""
    return Raw("[" + ",".join(f"[{ms},{number(value)}]" for ms, value in zip(times_ms, values, strict=True)) + "]")


def rounded(price: float | None, precision: str | None, least: int = 0) -> float | int | None:
    """A price with as many decimals as asked for: `full`, a number, or (None) as many as the service thinks enough.

    With `least` decimals or more it stays a float; without any it becomes whole.
    """
    if price is None or price != price:
        return None
    if precision == "full":
        return price
    decimals = max(_enough(abs(price)), least) if precision is None else int(precision)
    made = round(price, decimals)
    return int(made) if decimals == 0 else made


def _enough(price: float) -> int:
    for least, decimals in ((10_000, 0), (1, 2), (0.05, 6), (1e-6, 8), (1e-9, 12)):
        if price >= least:
            return decimals
    return 18


def floats(values: Floats) -> list[float | None]:
    """Values as Python has them; None for NaN."""
    return [None if value != value else value for value in values.tolist()]
