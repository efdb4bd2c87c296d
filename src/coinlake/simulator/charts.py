"""Series of one coin: `/coins/{id}/market_chart`, `/market_chart/range`, `/ohlc` and `/ohlc/range`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from coinlake.simulator.chance import Floats, Ints, between, key_of, uniform
from coinlake.simulator.market import Points
from coinlake.simulator.observed import Service
from coinlake.simulator.paths import DAY_MS, MINUTE_MS
from coinlake.simulator.printing import Raw, floats, number, pairs, rounded

HOUR_MS = 60 * MINUTE_MS
FIVE_MINUTES_MS = 5 * MINUTE_MS
GAP_BLOCK_DAYS = 64
BACKWARD_MS = 955
CHART_LATE_MS, RANGE_LATE_MS = 10 * MINUTE_MS, 35 * MINUTE_MS
"""How long after midnight a finished day appears."""


_Series = tuple[list[int], list[Any]]


@dataclass(frozen=True)
class Window:
    """Part of a coin's history: from, to and now in milliseconds, the step between points, how late days appear."""

    start_ms: int
    end_ms: int
    now_ms: int
    step_ms: int
    late_ms: int
    has_now_point: bool


def step_of(service: Service, start_ms: int, end_ms: int, now_ms: int, interval: str | None) -> int:
    """Milliseconds between the points of a chart: as asked for, else by the length of its window."""
    asked = {"daily": DAY_MS, "hourly": HOUR_MS, "5m": FIVE_MINUTES_MS}
    if interval in asked:
        return asked[interval]
    length = end_ms - start_ms
    if length <= DAY_MS:
        slides = service.traps.hits("sliding_granularity", 0)
        return FIVE_MINUTES_MS if end_ms >= now_ms - HOUR_MS or not slides else HOUR_MS
    return HOUR_MS if length <= 90 * DAY_MS else DAY_MS


def chart(service: Service, coin: int, window: Window, currency: str, precision: str | None) -> dict[str, Raw]:
    """Prices, caps and volumes of a coin: `{"prices": [[ms, value], …], …}`. Points from before the currency was there
    are left out.

    Raises:
        Refusal: the service does not know the currency.
    """
    times = _with_now(service, coin, window, ticks(service, coin, window))
    found = service.points(np.array([coin]), times)
    per_dollar = service.per_dollar(currency, times)
    there = np.isfinite(found.price_usd[0] * per_dollar)
    times, per_dollar = times[there], per_dollar[there]
    price, cap, volume = (floats(series[0][there] * per_dollar) for series in _series(found))
    if precision not in (None, "full"):
        price = [rounded(each, precision) for each in price]
    nulls = service.traps.springs("null_in_series", coin, times).tolist()
    caps = [None if null else each for null, each in zip(nulls, cap, strict=True)]
    moments = times.tolist()
    lists: list[_Series] = [(moments, price), (moments, caps), (moments, volume)]
    if window.has_now_point:
        lists = _with_backward(service, coin, lists)
    lists[1] = _with_a_hole(service, coin, window.end_ms // HOUR_MS, lists[1])
    names = ("prices", "market_caps", "total_volumes")
    return {name: pairs(*each) for name, each in zip(names, lists, strict=True)}


def _with_now(service: Service, coin: int, window: Window, times: Ints) -> Ints:
    """The moments, and that of the last update at the end."""
    if not window.has_now_point or not service.traps.hits("now_point", coin):
        return times
    updated = int(service.updated_ms(np.array([coin]), window.now_ms)[0])
    return np.append(times, updated) if times.size == 0 or updated > times[-1] else times


def _with_backward(service: Service, coin: int, lists: list[_Series]) -> list[_Series]:
    """The series with their last value repeated, a little earlier."""
    moments = lists[0][0]
    if not moments or not service.traps.hits("backward_point", coin, moments[-1] // MINUTE_MS):
        return lists
    return [([*times, times[-1] - BACKWARD_MS], [*values, values[-1]]) for times, values in lists]


def _with_a_hole(service: Service, coin: int, hour: int, series: _Series) -> _Series:
    """The series without one of its points, somewhere inside: its ends are where everybody looks."""
    times, values = series
    if len(times) < 3 or not service.traps.hits("missing_points", coin, hour):
        return series
    place = 1 + int(service.traps.draw("missing_points", coin, hour) * (len(times) - 2))
    return times[:place] + times[place + 1 :], values[:place] + values[place + 1 :]


def _series(points: Points) -> tuple[Floats, Floats, Floats]:
    return points.price_usd, points.cap_usd, points.volume_24h_usd


def ticks(service: Service, coin: int, window: Window) -> Ints:
    """The moments of a series' points, ascending: the same ones whatever the window."""
    step = window.step_ms
    numbers = np.arange(window.start_ms // step - 1, window.end_ms // step + 2)
    moments = numbers * step
    if step < DAY_MS and service.traps.hits("unaligned", coin):
        moments = np.unique(moments + _offsets(service, coin, step, numbers))
    moments = moments[(moments >= window.start_ms) & (moments <= min(window.end_ms, window.now_ms))]
    if service.traps.hits("late_days", coin):
        midnight = window.now_ms - window.now_ms % DAY_MS
        if step == DAY_MS and window.now_ms < midnight + window.late_ms:
            moments = moments[moments < midnight]
    there: Ints = moments[~_in_gap(service, coin, moments)]
    return there


def _offsets(service: Service, coin: int, step: int, numbers: Ints) -> Ints:
    """How far points lie off the clock: seconds for 5-minute ones; minutes for hourly ones, rarely most of an hour."""
    key = key_of(service.market.seed, f"ticks {step}")
    if step == FIVE_MINUTES_MS:
        return between(0, 170_000, key, coin, numbers, 1).astype(np.int64)
    usual = between(60_000, 480_000, key, coin, numbers, 1)
    far = between(0, 3_900_000, key, coin, numbers, 2)
    return np.where(uniform(key, coin, numbers, 3) < 0.02, far, usual).astype(np.int64)


def _in_gap(service: Service, coin: int, times: Ints) -> Any:
    """Which moments lie on days that are not there."""
    day = (times - 1) // DAY_MS
    block = day // GAP_BLOCK_DAYS
    begins = (service.traps.draw("gaps", coin, block, 1) * GAP_BLOCK_DAYS).astype(np.int64)
    drawn = service.traps.draw("gaps", coin, block, 2)
    days = 1 + (drawn * drawn * drawn * GAP_BLOCK_DAYS).astype(np.int64)
    inside = day - block * GAP_BLOCK_DAYS
    return service.traps.springs("gaps", coin, block) & (inside >= begins) & (inside < begins + days)


CANDLES = {HOUR_MS // 2: 6, HOUR_MS: 12, 4 * HOUR_MS: 8, DAY_MS: 24, 4 * DAY_MS: 24}
"""Lengths of candles, and at how many moments each looks."""


def candle_ms(days: int, interval: str | None) -> int:
    """Length of the candles of so many days."""
    if interval is not None:
        return DAY_MS if interval == "daily" else HOUR_MS
    return HOUR_MS // 2 if days <= 2 else 4 * HOUR_MS if days <= 30 else 4 * DAY_MS


def ohlc(
    service: Service, coin: int, start_ms: int, end_ms: int, now_ms: int, length_ms: int, currency: str,
    precision: str | None,
) -> Raw:  # fmt: skip
    """Candles `[ms, open, high, low, close]`, each timed by its end; the running one has only begun.

    A close is the price at that very moment, an open the first price after the close before.
    """
    looks = CANDLES[length_ms]
    last = -(-min(end_ms, now_ms) // length_ms)
    closes = np.arange(-(-start_ms // length_ms), last + 1) * length_ms
    if service.traps.hits("late_days", coin) and now_ms % DAY_MS < RANGE_LATE_MS:
        closes = closes[closes != now_ms - now_ms % DAY_MS]
    if not service.traps.hits("future_candles", coin):
        closes = closes[closes <= now_ms]
    moments = closes[:, None] - length_ms + (np.arange(looks) + 1) * (length_ms // looks)
    moments = np.minimum(moments, now_ms)  # the running candle ends with the price of now
    prices = service.market.prices(coin, moments.ravel()).reshape(moments.shape)
    prices = prices * service.per_dollar(currency, moments)
    known = np.isfinite(prices)
    there = known.any(axis=1)
    closes, prices, known = closes[there], prices[there], known[there]
    first, last = known.argmax(axis=1), looks - 1 - known[:, ::-1].argmax(axis=1)
    each = np.arange(len(closes))
    high, low = np.where(known, prices, -np.inf).max(axis=1), np.where(known, prices, np.inf).min(axis=1)
    columns = [
        [number(rounded(value, precision, least=2)) for value in column.tolist()]
        for column in (prices[each, first], high, low, prices[each, last])
    ]
    rows = zip(closes.tolist(), *columns, strict=True)
    return Raw(
        f"[{','.join(f'[{ms},{begins},{highest},{lowest},{ends}]' for ms, begins, highest, lowest, ends in rows)}]"
    )
