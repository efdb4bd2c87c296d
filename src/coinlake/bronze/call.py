"""The calls we make to CoinGecko, each with the endpoint's name that its answers are filed under."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

SOURCE = "coingecko"
ERRORS = "_errors"
"""The folder of answers that cannot be used."""

MARKETS = "coins_markets"
MARKET_CHART = "coins_market_chart"
MARKET_CHART_RANGE = "coins_market_chart_range"
OHLC = "coins_ohlc"
GLOBAL = "global"
COINS_LIST = "coins_list"
SIMPLE_PRICE = "simple_price"

PAGE = 250
"""Most coins the service takes or gives in one call of `/coins/markets` and `/simple/price`."""

HORIZONS = "1h,24h,7d,14d,30d,200d,1y"


@dataclass(frozen=True)
class Call:
    """One GET request: endpoint (the folder of its answers), path below the base address, query, and why we ask."""

    endpoint: str
    path: str
    params: Mapping[str, str]
    why: str

    credits = 1
    """What one successful answer costs."""

    @property
    def coin_id(self) -> str | None:
        """The coin in the path, where there is one."""
        return coin_of(self.path)


def coin_of(path: str) -> str | None:
    """The coin that a path asks about; None where it is no coin's."""
    return path.split("/")[2] if path.startswith("/coins/") and path.count("/") > 2 else None


def top_markets(page: int, per_page: int, why: str) -> Call:
    """A page of `/coins/markets` by rank."""
    return Call(MARKETS, "/coins/markets", {**_MARKETS, "per_page": str(per_page), "page": str(page)}, why)


def markets(ids: Iterable[str], why: str) -> Call:
    """`/coins/markets` of up to 250 coins by id (joined without a space: after one the service loses ids)."""
    return Call(MARKETS, "/coins/markets", {**_MARKETS, "ids": ",".join(ids), "per_page": str(PAGE)}, why)


def market_chart(coin_id: str, days: int, interval: str | None, why: str) -> Call:
    """`/coins/{id}/market_chart`; without an interval the window decides: 1 day 5-minutely, to 90 days hourly."""
    params = {"vs_currency": "usd", "days": str(days), "precision": "full"}
    return Call(
        MARKET_CHART,
        f"/coins/{coin_id}/market_chart",
        {**params, **({"interval": interval} if interval else {})},
        why,
    )


def market_chart_range(coin_id: str, from_s: int, to_s: int, why: str) -> Call:
    """`/coins/{id}/market_chart/range` between two UNIX seconds; up to 90 days come hourly, more daily."""
    params = {"vs_currency": "usd", "from": str(from_s), "to": str(to_s), "precision": "full"}
    return Call(MARKET_CHART_RANGE, f"/coins/{coin_id}/market_chart/range", params, why)


def ohlc(coin_id: str, days: int, why: str) -> Call:
    """`/coins/{id}/ohlc` over 1, 7, 14, 30, 90, 180 or 365 days; candles of 30 minutes, 4 hours, then 4 days."""
    return Call(OHLC, f"/coins/{coin_id}/ohlc", {"vs_currency": "usd", "days": str(days), "precision": "full"}, why)


def global_market(why: str) -> Call:
    """`/global`: the whole market in one answer."""
    return Call(GLOBAL, "/global", {}, why)


def coins_list(status: str, why: str) -> Call:
    """`/coins/list` of the active or the inactive coins."""
    return Call(COINS_LIST, "/coins/list", {"status": status}, why)


def simple_price(ids: Iterable[str], why: str) -> Call:
    """`/simple/price` in dollars, with cap, volume, change and time."""
    return Call(
        SIMPLE_PRICE,
        "/simple/price",
        {
            "vs_currencies": "usd",
            "ids": ",".join(ids),
            "include_market_cap": "true",
            "include_24hr_vol": "true",
            "include_24hr_change": "true",
            "include_last_updated_at": "true",
            "precision": "full",
        },
        why,
    )


_MARKETS: Mapping[str, str] = {
    "vs_currency": "usd",
    "order": "market_cap_desc",
    "precision": "full",
    "price_change_percentage": HORIZONS,
    "sparkline": "false",
}
