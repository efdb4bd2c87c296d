"""What each plan of the simulated service allows, and the windows in which its edge gives the same body again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from coinlake.simulator import refusals
from coinlake.simulator.paths import DAY_MS

DEMO_KEY, PRO_KEY = "x-cg-demo-api-key", "x-cg-pro-api-key"


@dataclass(frozen=True)
class Plan:
    """A plan: whether it is paid for, calls a minute (and without a key), credits a month, days of history that may be
    asked for (None: all), and seconds after which a quick look is fresh.
    """

    name: str
    is_paid: bool
    rate: int
    rate_without_key: int
    credits: int
    history_days: int | None
    fresh_s: int


PLANS: Mapping[str, Plan] = {
    plan.name: plan
    for plan in (
        Plan("keyless", False, 5, 5, 0, 365, 60),
        Plan("demo", False, 30, 5, 10_000, 365, 60),
        Plan("basic", True, 250, 250, 100_000, 730, 20),
        Plan("analyst", True, 500, 500, 500_000, None, 20),
        Plan("lite", True, 500, 500, 2_000_000, None, 20),
        Plan("enterprise", True, 1000, 1000, 1_000_000_000, None, 20),
    )
}
"""Every plan by its name."""


def admit(plan: Plan, headers: Mapping[str, str], params: Mapping[str, str], now_ms: int, key: str | None) -> bool:
    """Whether the call comes with a key; header names are in lower case.

    Raises:
        Refusal: the key is missing where there must be one, is not `key`, or belongs to the other host.
    """
    demo = headers.get(DEMO_KEY) or params.get(DEMO_KEY.replace("-", "_"))
    pro = headers.get(PRO_KEY) or params.get(PRO_KEY.replace("-", "_"))
    if plan.is_paid and demo:
        raise refusals.demo_key_on_paid_host()
    if not plan.is_paid and pro:
        raise refusals.pro_key_on_public_host()
    given = pro or demo
    if (plan.is_paid and not given) or (given and key and given != key):
        raise refusals.key_missing(now_ms)
    return bool(given)


WINDOW_S: Mapping[str, int] = {
    "coins_list": 300,
    "global": 600,
    "coins_categories": 300,
    "search_trending": 600,
    "coins_ohlc": 900,
    "coins_ohlc_range": 900,
    "coins_market_chart": 30,
    "supported_vs_currencies": 300,
}
"""Seconds for which the edge gives the same body again, where they do not depend on plan or parameters."""


FRESH_DAY_S: Mapping[str, int] = {"coins_market_chart_range": 2400, "coins_ohlc": 2100, "coins_ohlc_range": 2100}
"""Seconds after midnight at which the edge forgets what it has, as the finished day is there by then."""


def window_began(endpoint: str, plan: Plan, days: float, now_ms: int) -> int:
    """When the window began whose body is given now, in milliseconds: the answer is as of then.

    `days` is the length of the range asked for. Windows begin at whole multiples of their length since 1970; those of
    ranges and candles also when the finished day is there.
    """
    if endpoint in ("ping", "key"):
        return now_ms
    quick_s = 45 if plan.is_paid and endpoint == "coins_markets" else plan.fresh_s
    length_s = WINDOW_S.get(endpoint, quick_s)
    if endpoint == "coins_market_chart_range":
        length_s = 30 if days <= 1 else 1800 if days <= 90 else 43_200
    began = now_ms - now_ms % (length_s * 1000)
    fresh_day_ms = now_ms - now_ms % DAY_MS + FRESH_DAY_S.get(endpoint, 0) * 1000
    return max(began, fresh_day_ms) if now_ms >= fresh_day_ms else began
