"""The rows of `/coins/markets`: everything about a coin in one line, as of when it was last updated."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from coinlake.simulator.chance import Floats, Ints
from coinlake.simulator.clock import iso
from coinlake.simulator.market import Extremes, Points
from coinlake.simulator.observed import FIAT, Service
from coinlake.simulator.paths import DAY_MS, MINUTE_MS
from coinlake.simulator.printing import floats, rounded
from coinlake.simulator.ranking import Ranking

HOUR_MS = 3_600_000
HORIZONS_MS = {
    "1h": HOUR_MS,
    "24h": DAY_MS,
    "7d": 7 * DAY_MS,
    "14d": 14 * DAY_MS,
    "30d": 30 * DAY_MS,
    "200d": 200 * DAY_MS,
    "1y": 365 * DAY_MS,
}
IMAGES = "https://images.simulated.invalid/coins/images"
_FDV, _MAX, _TOTAL, _ROI = range(4)


@dataclass(frozen=True)
class Wanted:
    """What rows should hold besides the usual: currency, precision, horizons of price changes, sparkline, and the rank
    among all coins.
    """

    currency: str = "usd"
    precision: str | None = None
    horizons: Sequence[str] = ()
    sparkline: bool = False
    whole_rank: bool = False


@dataclass(frozen=True)
class _Seen:
    """What is known of coins at their last updates, [coins] or [coins, n], in the currency wanted.

    `day` are the extremes of the last 24 hours, `ever` those of all time.
    """

    updated_ms: Ints
    now: Points
    day_before: Points
    past: dict[str, Floats]
    sparks: Floats
    day: Extremes
    ever: Extremes


def rows(ranking: Ranking, coins: Sequence[int], now_ms: int, wanted: Wanted) -> list[dict[str, Any]]:
    """A row for each coin, in that order.

    Raises:
        Refusal: the service does not know the currency.
    """
    if not coins:
        return []
    service, chosen = ranking.service, np.array(coins)
    seen = _look(service, chosen, now_ms, wanted)
    supplies = service.market.supplies(chosen, seen.updated_ms[:, None])[:, 0]
    return [_row(ranking, coin, place, seen, float(supplies[place]), wanted) for place, coin in enumerate(coins)]


def _look(service: Service, coins: Ints, now_ms: int, wanted: Wanted) -> _Seen:
    updated, unit = service.updated_ms(coins, now_ms), service.unit(wanted.currency)
    # All that is asked of each coin alone is asked at once: it costs little more than a part of it.
    turns = service.market.turns(coins, now_ms - DAY_MS, now_ms, unit)
    times = np.concatenate([updated[:, None], updated[:, None] - DAY_MS, turns], axis=1)
    found, worth = service.points(coins, times), service.per_dollar(wanted.currency, times)
    now, before = (Points(*(values[:, each] * worth[:, each] for values in _values(found))) for each in (0, 1))
    day = Extremes.of(turns, (found.price_usd * worth)[:, 2:])
    back = np.array([HORIZONS_MS[name] for name in wanted.horizons], dtype=np.int64)
    then = _priced(service, coins, updated[:, None] - back, wanted.currency)
    past = {name: then[:, place] for place, name in enumerate(wanted.horizons)}
    sparks = _priced(service, coins, _sparks(now_ms) if wanted.sparkline else np.arange(0), wanted.currency)
    old = service.records.until(now_ms, coins, unit)
    rate = 1.0 if unit is not None else FIAT[wanted.currency]
    ever = _furthest(day, replace(old, high=old.high * rate, low=old.low * rate))
    return _Seen(updated, now, before, past, sparks, day, ever)


def _priced(service: Service, coins: Ints, times: Ints, currency: str) -> Floats:
    if times.size == 0:
        return np.empty((len(coins), 0))
    return service.market.matrix(coins, times) * service.per_dollar(currency, times)


def _sparks(now_ms: int) -> Ints:
    """Every whole hour of the last seven days."""
    return np.arange(now_ms // HOUR_MS - 167, now_ms // HOUR_MS + 1) * HOUR_MS


def _furthest(one: Extremes, other: Extremes) -> Extremes:
    """The higher highs and the lower lows of the two."""
    high, low = ~(one.high <= other.high), ~(one.low >= other.low)
    return Extremes(
        np.where(high, one.high_ms, other.high_ms),
        np.where(high, one.high, other.high),
        np.where(low, one.low_ms, other.low_ms),
        np.where(low, one.low, other.low),
    )


def _row(ranking: Ranking, coin: int, place: int, seen: _Seen, supply: float, wanted: Wanted) -> dict[str, Any]:
    service, at = ranking.service, ranking.place(coin)
    precision = wanted.precision
    if precision is None and not service.traps.hits("rounding", coin):
        precision = "full"
    name = service.names.of(coin, ranking.now_ms)
    price, cap, volume = (float(each[place]) for each in _values(seen.now))
    issued = _issued(service, coin, ranking.now_ms, price, 0.0 if cap == 0 else supply, supply)
    if service.traps.hits("flipping", coin, ranking.now_ms // MINUTE_MS):
        cap, volume = 0.0, volume * 0.3
    whole = _whole(service, coin)
    ever = seen.ever
    high, low = float(ever.high[place]), float(ever.low[place])
    row = {
        "id": name.id,
        "symbol": name.symbol,
        "name": name.name,
        "image": image(name.id, coin, "large"),
        "current_price": rounded(price, precision),
        "market_cap": whole(cap),
        "market_cap_rank": int(ranking.rank[at]) or None,
        "fully_diluted_valuation": whole(issued["fully_diluted_valuation"]),
        "total_volume": whole(volume),
        **_day(service, coin, place, seen, (price, cap), precision),
        **{key: issued[key] for key in ("circulating_supply", "total_supply", "max_supply")},
        "ath": rounded(high, precision),
        "ath_change_percentage": _percent(price, high, 5),
        "ath_date": iso(int(ever.high_ms[place])),
        "atl": rounded(low, precision),
        "atl_change_percentage": _percent(price, low, 5),
        "atl_date": iso(int(ever.low_ms[place])),
        "roi": issued["roi"],
        "last_updated": iso(int(seen.updated_ms[place])),
    }
    return row | _on_request(ranking, at, place, price, seen, wanted)


def _day(
    service: Service, coin: int, place: int, seen: _Seen, now: tuple[float, float], precision: str | None
) -> dict[str, Any]:
    """What happened in the last 24 hours; nothing is known where the coin is younger, or was not updated for long."""
    price, cap = now
    before, cap_before, _ = (float(each[place]) for each in _values(seen.day_before))
    if service.is_stale(np.array([coin]))[0]:
        before = cap_before = math.nan
    return {
        "high_24h": rounded(float(seen.day.high[place]), precision),
        "low_24h": rounded(float(seen.day.low[place]), precision),
        "price_change_24h": price - before,
        "price_change_percentage_24h": _percent(price, before, 5),
        "market_cap_change_24h": cap - cap_before,
        "market_cap_change_percentage_24h": _percent(cap, cap_before, 5),
    }


def _issued(
    service: Service, coin: int, now_ms: int, price: float, circulating: float, supply: float
) -> dict[str, Any]:
    """How many coins there are and could be, and what all of them would be worth; null where nobody knows."""
    here, traps = service.market.universe, service.traps
    total = supply / (1.0 - float(here.locked[coin]))
    most = float(here.max_supply[coin])
    if now_ms >= here.redenominated_ms[coin]:
        most /= float(here.factor[coin])
    total = min(total, most) if most else total
    if traps.hits("supply_above_total", coin):
        total = supply * 0.97
    is_unknown = circulating == 0
    lacks_total = traps.lacks(0.10, _TOTAL, coin)
    valued = is_unknown or not traps.lacks(0.42, _FDV, coin)
    return {
        "circulating_supply": circulating,
        "total_supply": None if lacks_total else total,
        "max_supply": None if not most or traps.lacks(0.2, _MAX, coin) else most,
        "fully_diluted_valuation": price * (most or total) if valued else None,
        "roi": None
        if math.isnan(price) or traps.lacks(0.67, _ROI, coin)
        else _return(price, float(here.base_usd[coin])),
    }


def _return(price: float, first: float) -> dict[str, Any]:
    times = price / (first * 0.1)
    return {"times": times, "currency": "usd", "percentage": times * 100}


def _on_request(ranking: Ranking, at: int, place: int, price: float, seen: _Seen, wanted: Wanted) -> dict[str, Any]:
    more: dict[str, Any] = {}
    if wanted.whole_rank:
        more["market_cap_rank_with_rehypothecated"] = int(ranking.whole_rank[at])
    if wanted.sparkline:
        more["sparkline_in_7d"] = {"price": [each for each in floats(seen.sparks[place]) if each is not None]}
    for name, past in seen.past.items():
        more[f"price_change_percentage_{name}_in_currency"] = _percent(price, float(past[place]))
    return more


def image(id_: str, coin: int, size: str) -> str:
    """Address of a coin's picture, at which there is none."""
    return f"{IMAGES}/{coin + 1}/{size}/{id_}.png?{1_696_501_400 + coin}"


def _values(points: Points) -> tuple[Floats, Floats, Floats]:
    return points.price_usd, points.cap_usd, points.volume_24h_usd


def _percent(now: float, then: float, decimals: int | None = None) -> float | None:
    """Change in percent; None where there was nothing, or nobody knows."""
    if not then > 0:
        return None
    change = (now / then - 1) * 100
    return change if decimals is None else round(change, decimals)


def _whole(service: Service, coin: int) -> Callable[[float | None], float | int | None]:
    """How a coin's large numbers are printed: mostly as whole ones."""
    is_whole = service.traps.hits("mixed_types", coin)

    def printed(value: float | None) -> float | int | None:
        # A cap of 0 was seen as 0.0 where the others are whole.
        return round(value) if is_whole and value and math.isfinite(value) else value

    return printed
