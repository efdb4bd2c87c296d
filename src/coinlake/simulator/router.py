"""From a path and its parameters to an answer: what may be asked of which plan, and what is wrong with a question."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import numpy as np

from coinlake.ids import SIMULATED as PREFIX
from coinlake.simulator import charts, overview, refusals, rows
from coinlake.simulator.chance import Ints
from coinlake.simulator.majors import SECTORS
from coinlake.simulator.observed import CURRENCIES, Service
from coinlake.simulator.paths import DAY_MS, END_MS, MINUTE_MS, ORIGIN_MS
from coinlake.simulator.plans import Plan, window_began
from coinlake.simulator.ranking import Ranking

PER_PAGE, MOST_PER_PAGE = 100, 250
OHLC_DAYS = ("1", "7", "14", "30", "90", "180", "365")
OHLC_DAYS_MOST = {"daily": 180, "hourly": 90}
"""Most days of candles of an interval that is asked for."""
CHART_DAYS_MOST = {"hourly": 100, "5m": 10}
"""Most days of a series of an interval that is asked for."""
SINCE_2018_MS = 1_518_134_400_000
"""2018-02-09, where `/ohlc/range` and 5-minute series begin."""
ORDERS = ("market_cap_desc", "market_cap_asc", "volume_desc", "volume_asc", "id_asc", "id_desc")
CATEGORY_ORDERS = tuple(
    f"{field}_{way}" for field in ("market_cap", "name", "market_cap_change_24h") for way in ("desc", "asc")
)

_PATHS = {
    "/ping": "ping",
    "/key": "key",
    "/coins/list": "coins_list",
    "/coins/markets": "coins_markets",
    "/coins/categories": "coins_categories",
    "/simple/price": "simple_price",
    "/simple/supported_vs_currencies": "supported_vs_currencies",
    "/global": "global",
    "/search/trending": "search_trending",
}
_OF_COIN = re.compile(r"/coins/([^/]+)/(market_chart/range|market_chart|ohlc/range|ohlc)")


@dataclass(frozen=True)
class Asked:
    """A question: endpoint, coin (empty where there is none), parameters, and the moment it is answered as of."""

    endpoint: str
    coin_id: str
    params: Mapping[str, str]
    now_ms: int


class Router:
    """Answers questions about one service on one plan."""

    def __init__(self, service: Service, plan: Plan) -> None:
        self.service = service
        self.plan = plan
        # A ranking is the dearest part of many answers. In a minute nobody comes, goes or is renamed.
        self._of_minute = lru_cache(maxsize=2)(lambda minute: Ranking(service, minute * MINUTE_MS))

    def _ranking(self, now_ms: int) -> Ranking:
        return self._of_minute(now_ms // MINUTE_MS)

    def asked(self, path: str, params: Mapping[str, str], now_ms: int) -> Asked:
        """What is asked, as of the beginning of the edge's window.

        Raises:
            Refusal: there is nothing at that path, or the window asked for cannot be read.
        """
        endpoint, coin_id = _PATHS.get(path, ""), ""
        if not endpoint:
            if not (found := _OF_COIN.fullmatch(path)):
                raise refusals.incorrect_path()
            coin_id, endpoint = found[1], f"coins_{found[2].replace('/', '_')}"
        if not self.service.traps.hits("edge_cache", 0):
            return Asked(endpoint, coin_id, params, now_ms)
        days = 0.0
        if endpoint == "coins_market_chart_range" and {"from", "to"} <= set(params):
            days = (_moment(params, "to") - _moment(params, "from")) / DAY_MS
        return Asked(endpoint, coin_id, params, window_began(endpoint, self.plan, days, now_ms))

    def answer(self, asked: Asked) -> Any:
        """The value that is printed as JSON.

        Raises:
            Refusal: the question is wrong, or the plan does not allow it.
        """
        return _ANSWERS[asked.endpoint](self, asked)

    # Lists -----------------------------------------------------------------------------------------------------------

    def _ping(self, asked: Asked) -> Any:
        return {"gecko_says": "(V3) To the Moon! (simulated)"}

    def _currencies(self, asked: Asked) -> Any:
        return list(CURRENCIES)

    def _list(self, asked: Asked) -> Any:
        status = asked.params.get("status", "active")
        if status not in ("active", "inactive"):
            raise refusals.invalid("status")
        market = self.service.market
        coins = market.active(asked.now_ms) if status == "active" else market.gone(asked.now_ms)
        return overview.coins_list(self.service, coins, asked.now_ms, asked.params.get("include_platform") == "true")

    def _markets(self, asked: Asked) -> Any:
        params = asked.params
        _demand(params, "vs_currency")
        order = params.get("order", ORDERS[0])
        if order not in ORDERS:
            raise refusals.invalid("order")
        horizons = [each for each in params.get("price_change_percentage", "").split(",") if each in rows.HORIZONS_MS]
        wanted = rows.Wanted(
            params["vs_currency"].lower(),
            _precision(params),
            horizons,
            params.get("sparkline") == "true",
            params.get("include_rehypothecated") == "true",
        )
        per_page = min(_whole(params, "per_page", PER_PAGE), MOST_PER_PAGE)
        page = _whole(params, "page", 1)
        standing = self._ranking(asked.now_ms)
        coins = self._chosen(standing, params, order)
        if page > 1 and self.service.traps.hits("page_drift", page, asked.now_ms // rows.HOUR_MS):
            earlier = self._ranking(asked.now_ms - rows.HOUR_MS)
            coins = [coin for coin in self._chosen(earlier, params, order) if standing.has(coin)]
        return rows.rows(standing, coins[(page - 1) * per_page : page * per_page], asked.now_ms, wanted)

    def _chosen(self, standing: Ranking, params: Mapping[str, str], order: str) -> list[int]:
        """The coins asked for, in order: of a category, by id, by name, by symbol, or all."""
        ordered: Ints = standing.coins[_ordered(standing, order)]
        if "category" in params:
            sectors = [f"{PREFIX}{id_}" for id_, _, _ in SECTORS]
            if params["category"] not in sectors:
                raise refusals.Refusal(404, {"error": "Category not found"})
            sector = self.service.market.universe.sector
            ordered = ordered[sector[ordered] == sectors.index(params["category"])]
        elif (wanted := self._named(standing, params, MOST_PER_PAGE)) is not None:
            ordered = ordered[np.isin(ordered, list(wanted))]
        chosen: list[int] = ordered.tolist()
        return chosen

    def _named(
        self, standing: Ranking, params: Mapping[str, str], most_ids: float = math.inf
    ) -> dict[int, None] | None:
        """Coins by `ids`, `names` or `symbols`, in the order asked; None where none of these is given."""
        if "ids" in params:
            listed = self._listed(params["ids"])
            if len(listed) > most_ids:
                raise refusals.invalid("ids")
            known = map(self.service.names.coin, listed)
            return {coin: None for coin in known if coin is not None and standing.has(coin)}
        for field, found in (("names", "by_name"), ("symbols", "by_symbol")):
            if field in params:
                by, take = getattr(standing, found), params.get("include_tokens") == "all" and field == "symbols"
                lists = (by.get(each.lower(), []) for each in self._listed(params[field]))
                return {coin: None for coins in lists for coin in (coins if take else coins[:1])}
        return None

    def _listed(self, text: str) -> list[str]:
        """Parts of a list; what follows a blank is lost, as it is at the real service."""
        if self.service.traps.hits("space_loses_ids", 0):
            text = text.partition(" ")[0]
        return [each.strip() for each in text.split(",") if each.strip()][: 4 * MOST_PER_PAGE]

    def _simple(self, asked: Asked) -> Any:
        if not {"ids", "names", "symbols"} & set(asked.params):
            raise refusals.missing("ids")
        _demand(asked.params, "vs_currencies")
        _precision(asked.params)
        standing = self._ranking(asked.now_ms)
        coins = list(self._named(standing, asked.params) or {})
        return overview.simple_price(self.service, coins, asked.now_ms, asked.params)

    def _global(self, asked: Asked) -> Any:
        return overview.global_market(self._ranking(asked.now_ms))

    def _categories(self, asked: Asked) -> Any:
        order = asked.params.get("order", CATEGORY_ORDERS[0])
        if order not in CATEGORY_ORDERS:
            raise refusals.invalid("order")
        return overview.categories(self._ranking(asked.now_ms), order)

    def _trending(self, asked: Asked) -> Any:
        return overview.trending(self._ranking(asked.now_ms))

    # Series ----------------------------------------------------------------------------------------------------------

    def _chart(self, asked: Asked) -> Any:
        params = asked.params
        _demand(params, "vs_currency", "days")
        coin = self.service.coin(asked.coin_id, asked.now_ms)
        days, interval = params["days"], self._interval(params)
        if days == "max":
            start = int(self.service.market.universe.born_ms[coin])
        else:
            start = asked.now_ms - round(_number(params, "days") * DAY_MS)
        self._demand_reach(start, asked.now_ms)
        _demand_length(asked.now_ms - start, CHART_DAYS_MOST.get(interval or ""), "days")
        return self._charted(asked, coin, start, asked.now_ms, interval, charts.CHART_LATE_MS, True)

    def _chart_range(self, asked: Asked) -> Any:
        params = asked.params
        _demand(params, "vs_currency", "from", "to")
        coin = self.service.coin(asked.coin_id, asked.now_ms)
        start, end, interval = _moment(params, "from"), _moment(params, "to"), self._interval(params)
        if start > end:
            raise refusals.invalid("date range")
        self._demand_reach(start, asked.now_ms)
        _demand_length(end - start, CHART_DAYS_MOST.get(interval or ""), "date range")
        start = max(start, SINCE_2018_MS) if interval == "5m" else start
        return self._charted(asked, coin, start, end, interval, charts.RANGE_LATE_MS, False)

    def _charted(
        self, asked: Asked, coin: int, start: int, end: int, interval: str | None, late_ms: int, has_now: bool
    ) -> Any:
        step = charts.step_of(self.service, start, end, asked.now_ms, interval)
        start, end = max(start, int(self.service.market.universe.born_ms[coin])), min(end, asked.now_ms)
        window = charts.Window(start, end, asked.now_ms, step, late_ms, has_now)
        return charts.chart(self.service, coin, window, asked.params["vs_currency"].lower(), _precision(asked.params))

    def _ohlc(self, asked: Asked) -> Any:
        params = asked.params
        if not {"vs_currency", "days"} <= set(params):
            raise refusals.internal_error()
        days = params["days"]
        if days not in OHLC_DAYS and not (days == "max" and self.plan.is_paid):
            raise refusals.invalid("days")
        interval = params.get("interval")
        if interval is not None and not self.plan.is_paid:
            raise refusals.pro_only()
        interval = _of(interval, ("daily", "hourly", None))
        length_ms = (END_MS - ORIGIN_MS) if days == "max" else int(days) * DAY_MS
        _demand_length(length_ms, OHLC_DAYS_MOST.get(interval or ""), "days")
        coin = self.service.coin(asked.coin_id, asked.now_ms)
        born = int(self.service.market.universe.born_ms[coin])
        start = born if days == "max" else asked.now_ms - length_ms
        self._demand_reach(start, asked.now_ms)
        length = charts.candle_ms(length_ms // DAY_MS, interval)
        return self._candles(asked, coin, max(start, born), asked.now_ms, length)

    def _ohlc_range(self, asked: Asked) -> Any:
        params = asked.params
        if not self.plan.is_paid:
            raise refusals.pro_only()
        _demand(params, "vs_currency", "from", "to", "interval")
        interval = _of(params["interval"], ("daily", "hourly"))
        coin = self.service.coin(asked.coin_id, asked.now_ms)
        start, end = max(_moment(params, "from"), SINCE_2018_MS), _moment(params, "to")
        if not 0 <= end - start <= (180 if interval == "daily" else 31) * DAY_MS:
            raise refusals.invalid("date range")
        self._demand_reach(start, asked.now_ms)
        start = max(start, int(self.service.market.universe.born_ms[coin]))
        return self._candles(asked, coin, start, end, charts.candle_ms(0, interval))

    def _candles(self, asked: Asked, coin: int, start: int, end: int, length: int) -> Any:
        currency, precision = asked.params["vs_currency"].lower(), _precision(asked.params)
        return charts.ohlc(self.service, coin, start, min(end, asked.now_ms), asked.now_ms, length, currency, precision)

    def _interval(self, params: Mapping[str, str]) -> str | None:
        interval = _of(params.get("interval"), ("daily", "hourly", "5m", None))
        is_enterprise = self.plan.name == "enterprise"
        refused = interval == "hourly" and self.service.traps.hits("hourly_refused", 0)
        if (interval == "5m" or refused) and not is_enterprise:
            raise refusals.pro_only()
        return interval

    def _demand_reach(self, start_ms: int, now_ms: int) -> None:
        days = self.plan.history_days
        if days is not None and start_ms < now_ms - days * DAY_MS:
            raise refusals.beyond_window(now_ms, days)


_ANSWERS: Mapping[str, Callable[[Router, Asked], Any]] = {
    "ping": Router._ping,
    "supported_vs_currencies": Router._currencies,
    "coins_list": Router._list,
    "coins_markets": Router._markets,
    "simple_price": Router._simple,
    "global": Router._global,
    "coins_categories": Router._categories,
    "search_trending": Router._trending,
    "coins_market_chart": Router._chart,
    "coins_market_chart_range": Router._chart_range,
    "coins_ohlc": Router._ohlc,
    "coins_ohlc_range": Router._ohlc_range,
}


def _ordered(standing: Ranking, order: str) -> Any:
    """Places among the ranking's coins."""
    if order.startswith("market_cap"):
        return standing.order if order.endswith("desc") else standing.order[::-1]
    if order.startswith("volume"):
        return np.lexsort((standing.coins, standing.volume if order.endswith("asc") else -standing.volume))
    ids = [standing.service.names.id(coin) for coin in standing.coins.tolist()]
    return np.array(sorted(range(len(ids)), key=ids.__getitem__, reverse=order.endswith("desc")), dtype=np.int64)


def _demand(params: Mapping[str, str], *names: str) -> None:
    for name in names:
        if not params.get(name):
            raise refusals.missing(name)


def _of(value: str | None, allowed: Sequence[str | None]) -> str | None:
    if value not in allowed:
        raise refusals.invalid("interval")
    return value


def _demand_length(length_ms: int, most_days: int | None, what: str) -> None:
    if most_days is not None and length_ms > most_days * DAY_MS:
        raise refusals.invalid(what)


def _precision(params: Mapping[str, str]) -> str | None:
    precision = params.get("precision")
    if precision is None or precision == "full" or (precision.isdecimal() and int(precision) <= 18):
        return precision
    raise refusals.invalid("precision")


def _whole(params: Mapping[str, str], name: str, otherwise: int) -> int:
    text = params.get(name, str(otherwise))
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < 1:
        raise refusals.invalid(name)
    return int(text)


def _number(params: Mapping[str, str], name: str) -> float:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,9})?", params[name]):
        raise refusals.invalid(name)
    return float(params[name])


def _moment(params: Mapping[str, str], name: str) -> int:
    """Milliseconds of UNIX seconds or of an ISO 8601 date; inside the market's time."""
    said = params[name]
    try:
        if re.fullmatch(r"-?[0-9]{1,12}(\.[0-9]{1,9})?", said):
            at = round(float(said) * 1000)
        else:
            parsed = datetime.fromisoformat(said.replace("Z", "+00:00"))
            at = round((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise refusals.invalid(name) from None
    return min(max(at, ORIGIN_MS + 366 * DAY_MS), END_MS - 1)
