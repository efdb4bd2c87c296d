"""Sums, moments and extremes over the last so many days, of many series at once: arrays of [series, day] in and out.

A day without a value is NaN and is left out. Windows are cut at the multiples of their length since 1970: every window
is the end of one block and the beginning of the next, so that nothing is ever subtracted from a running sum. A result
therefore keeps its digits whatever came before the window, and is the same to the last bit wherever the arrays begin.
(A running sum, as TA-Lib's SMA and STDDEV have, loses as many digits as the price has fallen since it began.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Accumulate = Callable[[Floats], Floats]


class Window(NamedTuple):
    """The last `days` days up to each day, in arrays whose first day is `origin` (days since 1970)."""

    days: int
    origin: int


class Moments(NamedTuple):
    """How many values a window knows, their mean, and the sum of squared distances from it; [series, day] each."""

    known: Floats
    mean: Floats
    squares: Floats


class Comoments(NamedTuple):
    """Of pairs: how many, the sum of products of their distances from the means, and both sums of squares."""

    known: Floats
    products: Floats
    squares_x: Floats
    squares_y: Floats


def count(x: Floats, window: Window) -> Floats:
    """How many values each window has."""
    return _sum(_blocks((~np.isnan(x)).astype(float), window, 0.0), window, x.shape[-1])


def moments(x: Floats, window: Window) -> Moments:
    """Count, mean and sum of squares of each window; NaN where it has no value."""
    plain = _sum(_blocks(_or_zero(x), window, 0.0), window, x.shape[-1])
    n, total, squares = (_sum(part, window, x.shape[-1]) for part in _powers(_centred(x, window)))
    with np.errstate(invalid="ignore", divide="ignore"):
        return Moments(n, plain / n, np.maximum(squares - total * total / n, 0.0))


def comoments(x: Floats, y: Floats, window: Window) -> Comoments:
    """Of the days on which both have a value."""
    both = np.isnan(x) | np.isnan(y)
    one, other = (_centred(np.where(both, np.nan, each), window) for each in (x, y))
    length = x.shape[-1]
    n, sum_x, squares_x = (_sum(part, window, length) for part in _powers(one))
    _, sum_y, squares_y = (_sum(part, window, length) for part in _powers(other))
    products = _sum(_Parts(*(_or_zero(a * b) for a, b in zip(one, other, strict=True))), window, length)
    with np.errstate(invalid="ignore", divide="ignore"):
        return Comoments(
            n,
            products - sum_x * sum_y / n,
            np.maximum(squares_x - sum_x * sum_x / n, 0.0),
            np.maximum(squares_y - sum_y * sum_y / n, 0.0),
        )


def highest(x: Floats, window: Window) -> Floats:
    """The largest value of each window; NaN where it has none."""
    filled = _blocks(np.where(np.isnan(x), -np.inf, x), window, -np.inf)
    parts = _Parts(filled, filled)
    found = _joined(parts, window, x.shape[-1], np.maximum, lambda each: np.maximum.accumulate(each, axis=-1), -np.inf)
    return np.where(np.isinf(found), np.nan, found)


def lowest(x: Floats, window: Window) -> Floats:
    """The smallest value of each window; NaN where it has none."""
    return -highest(-x, window)


class _Parts(NamedTuple):
    """Values as [series, block, place]: as the end of a window sees them, and as its beginning does."""

    as_end: Floats
    as_begin: Floats


def _blocks(x: Floats, window: Window, fill: float) -> Floats:
    """[series, day] as [series, block, place], filled to whole blocks before and after."""
    before = window.origin % window.days
    after = -(before + x.shape[-1]) % window.days
    padded = np.pad(x, ((0, 0), (before, after)), constant_values=fill)
    return padded.reshape(len(x), -1, window.days)


def _centred(x: Floats, window: Window) -> _Parts:
    """Distances from a value within the window: the first one known of the block in which the window ends. The block
    before is centred on the same one, for it holds the beginning of those windows.
    """
    blocks = _blocks(x, window, np.nan)
    first = np.argmax(~np.isnan(blocks), axis=-1)
    centre = _or_zero(np.take_along_axis(blocks, first[..., None], -1))
    following = np.concatenate([centre[:, 1:], np.zeros_like(centre[:, :1])], axis=1)
    return _Parts(blocks - centre, blocks - following)


def _powers(parts: _Parts) -> tuple[_Parts, _Parts, _Parts]:
    """Ones, values and squares of the values that are known."""
    known = _Parts(*((~np.isnan(each)).astype(float) for each in parts))
    values = _Parts(*(_or_zero(each) for each in parts))
    return known, values, _Parts(*(each * each for each in values))


def _or_zero(x: Floats) -> Floats:
    """Zero where nothing is known."""
    return np.where(np.isnan(x), 0.0, x)


def _sum(parts: _Parts | Floats, window: Window, length: int) -> Floats:
    both = parts if isinstance(parts, _Parts) else _Parts(parts, parts)
    return _joined(both, window, length, np.add, lambda each: np.cumsum(each, axis=-1), 0.0)


def _joined(
    parts: _Parts, window: Window, length: int, join: np.ufunc, accumulate: Accumulate, nothing: float
) -> Floats:
    """What a window accumulates: the end of one block, joined with the beginning of the next."""
    days, series = window.days, len(parts.as_end)
    begun = accumulate(parts.as_end).reshape(series, -1)
    ending = accumulate(parts.as_begin[..., ::-1])[..., ::-1].reshape(series, -1)
    ends = np.full_like(begun, nothing)
    ends[:, days - 1 :] = ending[:, : ending.shape[1] - days + 1]
    ends[:, days - 1 :: days] = nothing
    before = window.origin % days
    found: Floats = join(begun, ends)[:, before : before + length]
    return found
