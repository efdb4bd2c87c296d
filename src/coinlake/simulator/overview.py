"""Answers about many coins: `/simple/price`, `/coins/list`, `/global`, `/coins/categories`, `/search/trending`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from coinlake.ids import SIMULATED as PREFIX
from coinlake.simulator.chance import Ints, hashes, key_of
from coinlake.simulator.clock import iso
from coinlake.simulator.majors import SECTORS
from coinlake.simulator.observed import CURRENCIES, Service
from coinlake.simulator.paths import DAY_MS
from coinlake.simulator.printing import number, rounded
from coinlake.simulator.ranking import Ranking
from coinlake.simulator.rows import IMAGES, image

CHAINS = tuple(f"{PREFIX}{each}" for each in ("ethereum", "binance-smart-chain", "solana", "base"))


def simple_price(service: Service, coins: Sequence[int], now_ms: int, params: Mapping[str, str]) -> dict[str, Any]:
    """What coins cost at their last updates: `{id: {"usd": …, "usd_market_cap": …, "last_updated_at": s}}`; nothing in
    a currency that is not there yet.
    """
    if not coins:
        return {}
    chosen = np.array(coins, dtype=np.int64)
    updated = service.updated_ms(chosen, now_ms)
    times = np.stack([updated, updated - DAY_MS], axis=1)
    found = service.points(chosen, times)
    asked = [each for each in params["vs_currencies"].lower().split(",") if each in CURRENCIES]
    worth = {currency: service.per_dollar(currency, times) for currency in asked}
    stale = service.is_stale(chosen).tolist()
    answer: dict[str, Any] = {}
    for place, coin in enumerate(coins):
        said: dict[str, Any] = {}
        for currency in asked:
            price, before = found.price_usd[place] * worth[currency][place]
            rate = worth[currency][place, 0]
            if rate != rate:
                continue
            said[currency] = rounded(float(price), params.get("precision"))
            if params.get("include_market_cap") == "true":
                said[f"{currency}_market_cap"] = float(found.cap_usd[place, 0] * rate)
            if params.get("include_24hr_vol") == "true":
                said[f"{currency}_24h_vol"] = float(found.volume_24h_usd[place, 0] * rate)
            if params.get("include_24hr_change") == "true":
                unknown = not before > 0 or stale[place]
                said[f"{currency}_24h_change"] = None if unknown else float((price / before - 1) * 100)
        if params.get("include_last_updated_at") == "true":
            said["last_updated_at"] = int(updated[place]) // 1000
        answer[service.names.id(coin)] = said
    return answer


def coins_list(service: Service, coins: Ints, now_ms: int, with_platforms: bool) -> list[dict[str, Any]]:
    """Ids, symbols and names of coins, by id."""
    found = []
    for coin in coins.tolist():
        name = service.names.of(coin, now_ms)
        row: dict[str, Any] = {"id": name.id, "symbol": name.symbol, "name": name.name}
        if with_platforms:
            row["platforms"] = _platforms(service, coin)
        found.append(row)
    return sorted(found, key=lambda row: str(row["id"]))


def _platforms(service: Service, coin: int) -> dict[str, str]:
    """Where a coin's contract lies; nowhere for one with a chain of its own."""
    drawn = hashes(key_of(service.market.seed, "contracts"), coin, np.arange(4)).tolist()
    if service.market.universe.sector[coin] == 0:
        return {}
    return {CHAINS[drawn[0] % len(CHAINS)]: "0x" + "".join(f"{each:016x}" for each in drawn[:3])[:40]}


def global_market(ranking: Ranking) -> dict[str, Any]:
    """The whole market: totals in every currency that is there, the largest ten's shares."""
    service, now = ranking.service, np.array([ranking.now_ms])
    before = service.market.points(ranking.coins, now - DAY_MS)
    cap, volume = math.fsum(ranking.cap), math.fsum(ranking.volume)
    cap_before = math.fsum(np.where(ranking.cap > 0, np.nan_to_num(before.cap_usd[:, 0]), 0.0))
    volume_before = math.fsum(np.nan_to_num(before.volume_24h_usd[:, 0]))
    rates = {currency: float(service.per_dollar(currency, now)[0]) for currency in ("btc", "eth", *CURRENCIES)}
    rates = {currency: rate for currency, rate in rates.items() if math.isfinite(rate)}
    shares = {}
    for place in ranking.order[ranking.rank[ranking.order] > 0][:10].tolist():
        name = service.names.of(int(ranking.coins[place]), ranking.now_ms)
        shares[name.symbol] = float(ranking.cap[place]) / cap * 100
    return {
        "data": {
            "active_cryptocurrencies": len(ranking.coins),
            "upcoming_icos": 0,
            "ongoing_icos": 49,
            "ended_icos": 3376,
            "markets": 1476,
            "total_market_cap": {currency: cap * rate for currency, rate in rates.items()},
            "total_volume": {currency: volume * rate for currency, rate in rates.items()},
            "market_cap_percentage": shares,
            "market_cap_change_percentage_24h_usd": (cap / cap_before - 1) * 100 if cap_before else 0.0,
            "volume_change_percentage_24h_usd": (volume / volume_before - 1) * 100 if volume_before else 0.0,
            "updated_at": ranking.now_ms // 1000,
        }
    }


def categories(ranking: Ranking, order: str) -> list[dict[str, Any]]:
    """The sectors, by `order`."""
    found = [_category(ranking, number) for number in range(len(SECTORS))]
    field, _, way = order.rpartition("_")
    return sorted((each for each in found if each), key=lambda each: each[field], reverse=way == "desc")


def _category(ranking: Ranking, sector: int) -> dict[str, Any]:
    service, now = ranking.service, np.array([ranking.now_ms])
    places = ranking.order[service.market.universe.sector[ranking.coins[ranking.order]] == sector]
    if not places.size:
        return {}
    coins = ranking.coins[places]
    before = np.nan_to_num(service.market.points(coins, now - DAY_MS).cap_usd[:, 0])
    cap, cap_before = math.fsum(ranking.cap[places]), math.fsum(before)
    top = coins[:3].tolist()
    id_, name, _ = SECTORS[sector]
    return {
        "id": f"{PREFIX}{id_}",
        "name": f"Simulated {name}",
        "market_cap": cap,
        "market_cap_change_24h": (cap / cap_before - 1) * 100 if cap_before else 0.0,
        "content": "A sector of a simulated market.",
        "top_3_coins_id": [service.names.id(coin) for coin in top],
        "top_3_coins": [image(service.names.id(coin), coin, "small") for coin in top],
        "volume_24h": math.fsum(ranking.volume[places]),
        "updated_at": iso(ranking.now_ms - ranking.now_ms % 60_000 + 151),
    }


def trending(ranking: Ranking) -> dict[str, Any]:
    """What people look for: 15 coins, 7 collections, 6 sectors. Amounts are texts with a dollar sign."""
    service, now = ranking.service, np.array([ranking.now_ms])
    before = service.market.matrix(ranking.coins, now - DAY_MS)[:, 0]
    moved = np.abs(np.nan_to_num(ranking.price / before, nan=1.0) - 1) * (ranking.rank > 0)
    bitcoin = 1.0 / float(service.per_dollar("btc", now)[0]), 1.0 / float(service.per_dollar("btc", now - DAY_MS)[0])
    most = [place for place in np.lexsort((ranking.coins, -moved)).tolist() if ranking.rank[place]][:15]
    found = categories(ranking, "market_cap_change_24h_desc")[:6]
    return {
        "coins": [
            {"item": _item(ranking, place, score, float(before[place]), bitcoin)} for score, place in enumerate(most)
        ],
        "nfts": [_collection(service, number, ranking.now_ms) for number in range(7)],
        "categories": [_trending_category(ranking, number, each, bitcoin[0]) for number, each in enumerate(found)],
    }


def _item(ranking: Ranking, place: int, score: int, before: float, bitcoin: tuple[float, float]) -> dict[str, Any]:
    service, coin = ranking.service, int(ranking.coins[place])
    name = service.names.of(coin, ranking.now_ms)
    price, cap, volume = float(ranking.price[place]), float(ranking.cap[place]), float(ranking.volume[place])
    before = before if before > 0 else price
    change = (price / before - 1) * 100
    in_bitcoin = (price / bitcoin[0]) / (before / bitcoin[1]) * 100 - 100
    return {
        "id": name.id,
        "coin_id": coin + 1,
        "name": name.name,
        "symbol": name.symbol.upper(),
        "market_cap_rank": int(ranking.rank[place]) or None,
        **{size: image(name.id, coin, kind) for size, kind in _SIZES.items()},
        "slug": name.id,
        "price_btc": price / bitcoin[0],
        "score": score,
        "data": {
            "price": price,
            "price_btc": plain(price / bitcoin[0]),
            "price_change_percentage_24h": {"usd": change, "btc": in_bitcoin},
            "market_cap": f"${cap:,.0f}",
            "market_cap_btc": number(cap / bitcoin[0]),
            "total_volume": f"${volume:,.0f}",
            "total_volume_btc": number(volume / bitcoin[0]),
            "sparkline": f"{IMAGES}/{coin + 1}/sparkline.svg",
            "content": None,
        },
    }


_SIZES = {"thumb": "standard", "small": "small", "large": "large"}


def plain(value: float) -> str:
    """A number as plain decimals, all of its digits: `0.00000000007821066970851871`."""
    return np.format_float_positional(value, trim="0")


def _collection(service: Service, number: int, now_ms: int) -> dict[str, Any]:
    drawn = hashes(key_of(service.market.seed, "collections"), number, now_ms // DAY_MS)
    floor = int(drawn % np.uint64(2000)) / 100 + 0.05
    change = int(drawn >> np.uint64(40)) % 4000 / 100 - 20
    id_ = f"{PREFIX}collection-{number + 1}"
    return {
        "id": id_,
        "name": f"Simulated Collection {number + 1}",
        "symbol": f"SIM{number + 1}",
        "thumb": f"{IMAGES}/nft/{number + 1}/standard/{id_}.png",
        "nft_contract_id": number + 1,
        "native_currency_symbol": "eth",
        "floor_price_in_native_currency": floor,
        "floor_price_24h_percentage_change": change,
        "data": {
            "floor_price": f"{floor:.2f} ETH",
            "floor_price_in_usd_24h_percentage_change": str(change),
            "h24_volume": f"{floor * 3:.2f} ETH",
            "h24_average_sale_price": f"{floor * 1.1:.2f} ETH",
            "sparkline": f"{IMAGES}/nft/{number + 1}/sparkline.svg",
            "content": None,
        },
    }


def _trending_category(ranking: Ranking, place: int, found: dict[str, Any], bitcoin: float) -> dict[str, Any]:
    change = found["market_cap_change_24h"]
    number = [f"{PREFIX}{id_}" for id_, _, _ in SECTORS].index(found["id"])
    sectors = ranking.service.market.universe.sector[ranking.coins]
    return {
        "id": number + 1,
        "name": found["name"],
        "top_3_coins_images": found["top_3_coins"],
        "market_cap_1h_change": change / 24,
        "slug": found["id"],
        "coins_count": str(int((sectors == number).sum())),
        "data": {
            "market_cap": found["market_cap"],
            "market_cap_btc": found["market_cap"] / bitcoin,
            "total_volume": found["volume_24h"],
            "total_volume_btc": found["volume_24h"] / bitcoin,
            "market_cap_change_percentage_24h": {"usd": change, "btc": change},
            "sparkline": f"{IMAGES}/categories/{place + 1}/sparkline.svg",
        },
    }
