"""Sums, moments and extremes over the last so many days, of many series at once: arrays of [series, day] in and out.

A day without a value is NaN and is left out. Windows are cut at the multiples of their length since 1970: every window
is the end of one block and the beginning of the next, so that nothing is ever subtracted from a running sum. A result
therefore keeps its digits whatever came before the window, and is the same to the last bit wherever the arrays begin,
and whether it is asked for with those of all other days, or alone. (A running sum, as TA-Lib's SMA and STDDEV have,
loses as many digits as the price has fallen since it began.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Accumulate = Callable[[Floats], Floats]

FEW = 4
"""Days whose windows are looked at one by one. Of more, those of all days are made at once."""


class Window(NamedTuple):
    """The last `days` days up to each day, in arrays whose first day is `origin` (days since 1970). Asked for are those
    up to the day in the place `wanted`, and to each after it.
    """

    days: int
    origin: int
    wanted: int = 0


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

    def of(cut: _Cut, x: Floats) -> tuple[Floats]:
        return (_sum(cut, cut.parts((~np.isnan(x)).astype(float), 0.0)),)

    return _found(of, window, x)[0]


def moments(x: Floats, window: Window) -> Moments:
    """Count, mean and sum of squares of each window; NaN where it has no value."""

    def of(cut: _Cut, x: Floats) -> tuple[Floats, ...]:
        plain = _sum(cut, cut.parts(_or_zero(x), 0.0))
        return plain, *(_sum(cut, part) for part in _powers(cut.centred(x)))

    plain, n, total, squares = _found(of, window, x)
    with np.errstate(invalid="ignore", divide="ignore"):
        return Moments(n, plain / n, np.maximum(squares - total * total / n, 0.0))


def comoments(x: Floats, y: Floats, window: Window) -> Comoments:
    """Of the days on which both have a value."""

    def of(cut: _Cut, x: Floats, y: Floats) -> tuple[Floats, ...]:
        one, other = cut.centred(x), cut.centred(y)
        n, sum_x, squares_x = (_sum(cut, part) for part in _powers(one))
        _, sum_y, squares_y = (_sum(cut, part) for part in _powers(other))
        return n, sum_x, squares_x, sum_y, squares_y, _sum(cut, one.times(other).made(_or_zero))

    either = np.isnan(x) | np.isnan(y)
    known = (np.where(either, np.nan, each) for each in (x, y))
    n, sum_x, squares_x, sum_y, squares_y, products = _found(of, window, *known)
    with np.errstate(invalid="ignore", divide="ignore"):
        return Comoments(
            n,
            products - sum_x * sum_y / n,
            np.maximum(squares_x - sum_x * sum_x / n, 0.0),
            np.maximum(squares_y - sum_y * sum_y / n, 0.0),
        )


def highest(x: Floats, window: Window) -> Floats:
    """The largest value of each window; NaN where it has none."""

    def of(cut: _Cut, x: Floats) -> tuple[Floats]:
        filled = cut.parts(np.where(np.isnan(x), -np.inf, x), -np.inf)
        return (cut.joined(filled, np.maximum, lambda each: np.maximum.accumulate(each, axis=-1), -np.inf),)

    (found,) = _found(of, window, x)
    return np.where(np.isinf(found), np.nan, found)


def lowest(x: Floats, window: Window) -> Floats:
    """The smallest value of each window; NaN where it has none."""
    return -highest(-x, window)


def _found(of: Callable[..., tuple[Floats, ...]], window: Window, *arrays: Floats) -> tuple[Floats, ...]:
    """What is computed of arrays for the days that are wanted: in one go, or window by window where there are few."""
    days = arrays[0].shape[-1]
    if not 0 < days - window.wanted <= FEW:
        return tuple(each[:, window.wanted :] for each in of(_Blocks(window, days), *arrays))
    last = [
        of(_Last(window.days, window.origin + day), *(_up_to(day, each, window.days) for each in arrays))
        for day in range(window.wanted, days)
    ]
    return tuple(np.concatenate(each, axis=1) for each in zip(*last, strict=True))


def _up_to(day: int, x: Floats, days: int) -> Floats:
    """The values of the window that ends at a place."""
    found = x[:, max(day + 1 - days, 0) : day + 1]
    return np.pad(found, ((0, 0), (days - found.shape[1], 0)), constant_values=np.nan)


class _Late(NamedTuple):
    """Blocks of some series of which the first value known lies in the place `first`, not in their first."""

    series: NDArray[np.int64]
    block: NDArray[np.int64]
    first: NDArray[np.int64]


class _Parts(NamedTuple):
    """Values along the last axis: as the end of a window sees them, and as its beginning does. In windows that end in
    a block before anything is known of it, these are `alone` [late block, place].
    """

    as_end: Floats
    as_begin: Floats
    alone: Floats
    late: _Late

    def made(self, of: Callable[[Floats], Floats]) -> _Parts:
        """Something else of each value."""
        return _Parts(of(self.as_end), of(self.as_begin), of(self.alone), self.late)

    def times(self, other: _Parts) -> _Parts:
        """The products of two."""
        return _Parts(self.as_end * other.as_end, self.as_begin * other.as_begin, self.alone * other.alone, self.late)


_NEVER = _Late(*(np.zeros(0, dtype=np.int64),) * 3)
_NOBODY = np.zeros((0, 1))


class _Cut(Protocol):
    """Windows cut at the multiples of their length."""

    def parts(self, x: Floats, fill: float) -> _Parts:
        """Values, and `fill` where the arrays have no such day."""
        ...

    def centred(self, x: Floats) -> _Parts:
        """Distances from a value within the window: the first one known of the block in which the window ends. The
        block before is centred on the same one, for it holds the beginning of those windows. Of a block of which
        nothing is known up to the window's end (what comes later must not matter) that is zero.
        """
        ...

    def joined(self, parts: _Parts, join: np.ufunc, accumulate: Accumulate, nothing: float) -> Floats:
        """What a window accumulates: the end of one block, joined with the beginning of the next. [series, day]"""
        ...


@dataclass(frozen=True)
class _Blocks:
    """The windows of all days: values as [series, block, place], filled to whole blocks before and after."""

    window: Window
    length: int

    def parts(self, x: Floats, fill: float) -> _Parts:
        blocks = self._blocks(x, fill)
        return _Parts(blocks, blocks, _NOBODY, _NEVER)

    def centred(self, x: Floats) -> _Parts:
        blocks = self._blocks(x, np.nan)
        first = np.argmax(~np.isnan(blocks), axis=-1)
        centre = _at(blocks, first)
        following = np.concatenate([centre[:, 1:], np.zeros_like(centre[:, :1])], axis=1)
        series, block = np.nonzero(first[:, 1:])
        late = _Late(series, block + 1, first[series, block + 1])
        return _Parts(blocks - centre, blocks - following, blocks[series, block], late)

    def joined(self, parts: _Parts, join: np.ufunc, accumulate: Accumulate, nothing: float) -> Floats:
        days, series = self.window.days, len(parts.as_end)
        begun = accumulate(parts.as_end).reshape(series, -1)
        ending = accumulate(parts.as_begin[..., ::-1])[..., ::-1].reshape(series, -1)
        ends = np.full_like(begun, nothing)
        ends[:, days - 1 :] = ending[:, : ending.shape[1] - days + 1]
        ends[:, days - 1 :: days] = nothing
        late = parts.late
        if len(late.first):
            alone = accumulate(parts.alone[:, ::-1])[:, ::-1]
            each, place = np.nonzero(np.arange(days) < late.first[:, np.newaxis])
            ends[late.series[each], late.block[each] * days + place] = alone[each, place + 1]
        before = self.window.origin % days
        found: Floats = join(begun, ends)[:, before : before + self.length]
        return found

    def _blocks(self, x: Floats, fill: float) -> Floats:
        days = self.window.days
        before = self.window.origin % days
        after = -(before + x.shape[-1]) % days
        padded = np.pad(x, ((0, 0), (before, after)), constant_values=fill)
        return padded.reshape(len(x), -1, days)


@dataclass(frozen=True)
class _Last:
    """The one window that ends on the day `end` (since 1970): its values as [series, place]."""

    days: int
    end: int

    def parts(self, x: Floats, fill: float) -> _Parts:
        cut = self.days - 1 - self.end % self.days
        return _Parts(x[:, cut:], x[:, :cut], _NOBODY, _NEVER)

    def centred(self, x: Floats) -> _Parts:
        parts = self.parts(x, np.nan)
        centre = _at(parts.as_end, np.argmax(~np.isnan(parts.as_end), axis=-1))
        return parts._replace(as_end=parts.as_end - centre, as_begin=parts.as_begin - centre)

    def joined(self, parts: _Parts, join: np.ufunc, accumulate: Accumulate, nothing: float) -> Floats:
        begun, beginning = accumulate(parts.as_end)[:, -1:], parts.as_begin[:, ::-1]
        found: Floats = join(begun, accumulate(beginning)[:, -1:] if beginning.shape[1] else nothing)
        return found


def _at(values: Floats, place: NDArray[np.int64]) -> Floats:
    """The value in a place along the last axis, which keeps one; zero where nothing is known."""
    return _or_zero(np.take_along_axis(values, place[..., np.newaxis], -1))


def _powers(parts: _Parts) -> tuple[_Parts, _Parts, _Parts]:
    """Ones, values and squares of the values that are known."""
    values = parts.made(_or_zero)
    return parts.made(lambda each: (~np.isnan(each)).astype(float)), values, values.made(np.square)


def _or_zero(x: Floats) -> Floats:
    """Zero where nothing is known."""
    return np.where(np.isnan(x), 0.0, x)


def _sum(cut: _Cut, parts: _Parts) -> Floats:
    return cut.joined(parts, np.add, lambda each: np.cumsum(each, axis=-1), 0.0)
