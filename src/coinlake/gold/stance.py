"""What the rule against the 7-day average says of a coin on its last day and why, and what else happened: in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from numpy.typing import NDArray

from coinlake.engine.series import typed
from coinlake.gold.rules import rules
from coinlake.gold.rules.mean_reversion import BUY, SELL, WAIT, WINDOW_DAYS, is_rough, stance
from coinlake.gold.rules.rule import QUIET, Days
from coinlake.gold.rules.words import one_digit, percent, usd
from coinlake.table import String

READS = (
    "coin_id", "source", "day", "is_break", "close_usd", "log_return_1d", "sma_7d", "rsi_14d", "rsi_14d_converged",
)  # fmt: skip
"""Columns of `gold.indicators` that a stance rests on."""
EVENTS = ("coin_id", "day", "rule", "direction", "sentence")
"""Columns of `gold.signals` that are told beside it."""
OVERSOLD, OVERBOUGHT = 30, 70

STANCES = (BUY, SELL, WAIT)
UNKNOWN = {"stance": WAIT, "stance_reasons": "its indicators are not known", "signals_today": ""}
"""What is said of a coin that has no indicators on its last day, but for the reason."""

COARSE = "its price has, or had this week, so few digits that its moves are their rounding"

Columns = Mapping[str, NDArray[Any]]
Event = tuple[str, str, str]


def stances(last: Columns, indicators: Columns, events: Columns) -> dict[str, NDArray[Any]]:
    """By coin of `last` (`coin_id`, `day`): `stance`, `stance_reasons`, `signals_today`.

    `indicators` are ordered by coin, source and day, and reach a week back from each coin's last day; `events` are
    ordered by coin and rule.
    """
    days = Days(indicators)
    newest = last["day"].max().item() if len(last["day"]) else None
    numbers: Columns = {
        "stance": stance(days),
        "volatility": days.volatility(WINDOW_DAYS),
        "rsi": days.converged("rsi_14d", "rsi_14d_converged"),
        "coarse": is_rough(days),
    }
    places = {key: place for place, key in enumerate(zip(days["coin_id"], days["day"].tolist(), strict=True))}
    happened = _by_day(events)
    said = [
        _of_coin(days, numbers, places.get((coin, day)), happened.get((coin, day), []))
        if day == newest
        else _of_the_past(day)
        for coin, day in zip(last["coin_id"], last["day"].tolist(), strict=True)
    ]
    return {"coin_id": last["coin_id"], **{name: typed(String, [each[name] for each in said]) for name in UNKNOWN}}


def _of_the_past(day: date) -> dict[str, str]:
    """Of a coin without a price on the newest day: what it did then is no advice for today."""
    return {**UNKNOWN, "stance_reasons": f"its last price is of {day}"}


def _by_day(events: Columns) -> dict[tuple[str, Any], list[Event]]:
    found: dict[tuple[str, Any], list[Event]] = {}
    for coin, day, *event in zip(*(events[name].tolist() for name in EVENTS), strict=True):
        found.setdefault((coin, day), []).append((event[0], event[1], event[2]))
    return found


def _of_coin(days: Days, numbers: Columns, place: int | None, events: list[Event]) -> dict[str, str]:
    if place is None:
        return UNKNOWN
    at = {name: float(values[place]) for name, values in numbers.items()}
    price, average = float(days["close_usd"][place]), float(days["sma_7d"][place])
    strength = "" if at["volatility"] < QUIET else _strength(at["rsi"])
    moving = COARSE if at["coarse"] else _moving(at["volatility"])
    reasons = [_against(price, average), moving, strength, _others(events)]
    return {
        "stance": {1: BUY, -1: SELL}.get(int(at["stance"]), WAIT),
        "stance_reasons": "; ".join(filter(None, reasons)),
        "signals_today": "; ".join(sentence for _, _, sentence in events),
    }


def _against(price: float, average: float) -> str:
    if average != average:
        return f"the price is {usd(price)}, its 7-day average is not known"
    away = price / average - 1
    if away == 0:
        return f"the price ({usd(price)}) is at its 7-day average"
    side = "under" if away < 0 else "over"
    return f"the price ({usd(price)}) is {percent(abs(away))} {side} its 7-day average ({usd(average)})"


def _moving(volatility: float) -> str:
    if volatility != volatility:
        return "how much it moves is not known"
    verb = "it moves" if volatility >= QUIET else f"it stands still (under {percent(QUIET)})"
    return f"{verb}: {percent(volatility)} volatility a year over {WINDOW_DAYS} days"


def _strength(rsi: float) -> str:
    if rsi != rsi:
        return ""
    word = ", oversold" if rsi < OVERSOLD else ", overbought" if rsi > OVERBOUGHT else ""
    return f"RSI {one_digit(rsi)}{word}"


def _others(events: list[Event]) -> str:
    """Today's other events, by the titles of their rules: their sentences are told beside."""
    titles = [f"{rules()[rule].title}: {direction}" for rule, direction, _ in events if rule != "mean_reversion"]
    return f"also today: {', '.join(titles)}" if titles else ""
