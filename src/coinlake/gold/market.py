"""The market day by day: how large it is, how much of it is bitcoin's, how many coins take part in a move, how far they
lie apart, and how greedy it is.

The universe of a day is who was there on that day: the coins of the market list that was seen on it, down to the rank
by which a tenth of the ranks is missing, 250 at most. Where no list was seen, or the coins were chosen by name, the
coins that the lake follows stand in and the row says `survivorship_biased`: they may have been chosen for what
happened later. Dead coins stay in the days they were in. Shares are of the coins for which the value is known; null
where it is known of none.

A market capitalisation that jumped over eleven times or under a twentieth in a day (`jump_market_cap` in `gold.daily`)
is not believed: the close times the supply of the last day that was, of a week at most, stands in, else it is unknown.

`fear_greed` is the mean of its five parts that are known (three at least), each 0 (fear) to 100 (greed), each against
the 365 days up to the day: momentum (bitcoin's close over its 50-day average), volatility (bitcoin's over 30 days,
turned round), breadth (share of coins above their 50-day average), strength (new 365-day highs less new lows, of the
coins), dominance (bitcoin's share of the universe, turned round: money flees into bitcoin). All weigh the same.
`survivorship_biased` is of the day alone, and the year may hold days that are so: a coin that is added with its past
may move the composite of a day whose own universe is known.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coinlake.engine import Engine, Frame
from coinlake.engine.series import arrays, frame_of, typed
from coinlake.gold.scope import Scope
from coinlake.gold.universe import LARGEST, LISTED, day_of, universes
from coinlake.ids import BITCOINS, ETHERS, among
from coinlake.table import Boolean, Column, Date, Float64, Int64, String, Table

STABLE, PEG = 0.10, (0.9, 1.1)
"""A coin with at most this yearly volatility over 90 days, that closed so near to a dollar, counts as a stablecoin."""
PARTS = ("momentum", "volatility", "breadth", "strength", "dominance")
PARTS_NEEDED, YEAR_DAYS, RANKED_AGAINST = 3, 365, 90


def _share(prose: str) -> Column:
    return Column(Float64, prose, "share", between=(0, 1))


def _count(prose: str) -> Column:
    return Column(Int64, f"{prose}; null where that is known of none", "coins", between=(0, None))


TABLE = Table(
    "gold.market",
    key=("day",),
    columns={
        "day": Column(Date, "UTC day"),
        "universe_coins": Column(Int64, "coins in the universe of the day", "coins", True, between=(0, None)),
        "survivorship_biased": Column(
            Boolean, "whether the universe is who is followed now, not who was there then", required=True
        ),
        "total_market_cap_usd": Column(Float64, "market capitalisation of the universe", "USD", between=(0, None)),
        "total_volume_24h_usd": Column(Float64, "volume of the universe", "USD", between=(0, None)),
        "bitcoin_dominance": _share("bitcoin's part of that capitalisation"),
        "ether_dominance": _share("ether's part of it"),
        "global_market_cap_usd": Column(
            Float64, "of all coins, as CoinGecko last said on the day", "USD", between=(0, None)
        ),
        "bitcoin_dominance_global": _share("bitcoin's part of that, as CoinGecko last said on the day"),
        "ether_dominance_global": _share("ether's part of that, as CoinGecko last said on the day"),
        "above_sma_50d": _share("coins that closed above their 50-day average"),
        "above_sma_200d": _share("coins that closed above their 200-day average"),
        "advancers": _count("coins that rose"),
        "decliners": _count("coins that fell"),
        "new_highs_365d": _count("coins at their highest close of 365 days"),
        "new_lows_365d": _count("coins at their lowest close of 365 days"),
        "herfindahl": _share("sum of the squared shares in the capitalisation: 1 is one coin"),
        "herfindahl_without_stablecoins": _share("the same, without stablecoins"),
        "market_return_1d": Column(
            Float64, "mean daily return, weighed by the day before's capitalisation", between=(-1, None)
        ),
        "dispersion_1d": Column(Float64, "deviation of the daily returns across coins", between=(0, None)),
        "average_correlation_btc_30d": Column(Float64, "mean over the coins but bitcoin", between=(-1, 1)),
        "median_volatility_30d": Column(Float64, "median over the coins", between=(0, None)),
        "best_coin_id": Column(String, "the coin that rose most"),
        "best_return_1d": Column(Float64, "its daily return", between=(-1, None)),
        "worst_coin_id": Column(String, "the coin that fell most"),
        "worst_return_1d": Column(Float64, "its daily return", between=(-1, None)),
        "fear_greed": Column(Float64, "mean of the parts", "0 to 100", between=(0, 100)),
        **{f"fear_greed_{part}": Column(Float64, f"its part {part}", "0 to 100", between=(0, 100)) for part in PARTS},
    },
    grain="one UTC day",
    dated_by="day",
    reads=("silver.markets", "silver.global_market", "gold.daily", "gold.indicators"),
    sorted_by=("day",),
)

BELIEVED_FOR = 7
"""Days for which a coin's supply is believed without being seen again."""
LOOKBACK_DAYS = YEAR_DAYS + 1 + BELIEVED_FOR
"""Days that a day is ranked against, with what those rest on."""
_TOUCHES = f"""
    select '*', min(({{moment}} - interval 1 microsecond)::DATE), max(({{moment}})::DATE) + {LOOKBACK_DAYS - 1}
    from changed
"""
TOUCHES = {"silver.markets": _TOUCHES, "silver.global_market": _TOUCHES}
"""SQL: the days that a look at the market may change: its own, and the year that is ranked against it."""

Columns = Mapping[str, NDArray[Any]]
_OF_COIN = ("sma_50d", "sma_200d", "return_1d", "distance_high_365d", "distance_low_365d")
_OF_BITCOIN = ("sma_50d", "volatility_30d")
_GLOBAL = {
    "global_market_cap_usd": "total_market_cap_usd",
    "bitcoin_dominance_global": "bitcoin_dominance_percent",
    "ether_dominance_global": "ether_dominance_percent",
}
_RISKS = ("correlation_btc_30d", "volatility_30d", "volatility_90d")


def touched(scope: Scope, source: str) -> Scope:
    """The days that rest on changed days of a coin: its own, and the year that is ranked against them."""
    return scope.everyone().lasting(LOOKBACK_DAYS)


def build(read: Mapping[str, Frame], sources: Sequence[str], engine: Engine) -> Frame:
    """One row for each day on which a coin closed."""
    closes = read["gold.daily"].select("coin_id", "day", "close_usd", "market_cap_usd", "volume_24h_usd", "flags")
    said = read["gold.indicators"].select("coin_id", "day", *_OF_COIN, *_RISKS)
    coins = _believed(arrays(engine, closes.join(said, on=["coin_id", "day"], how="left"), ("coin_id", "day")))
    lists = arrays(engine, read["silver.markets"].select(*LISTED), ("observed_at", "coin_id"))
    known = universes(lists)
    rows = [_of_day(day, known.get(day["day"][0], frozenset())) for day in _days(coins)]
    for earlier, row in pairwise([{}, *rows]):
        row["market_return_1d"] = _weighed(earlier, row)
    _against_the_year(rows)
    looks = ("observed_at", *_GLOBAL.values())
    whole = _newest_looks(arrays(engine, read["silver.global_market"].select(*looks), ("observed_at",)))
    return frame_of(engine, {name: _column(name, column, rows, whole) for name, column in TABLE.columns.items()})


def _believed(rows: Columns) -> Columns:
    """Rows by coin and day as rows by day and coin, with market capitalisations that can be believed."""
    cap, place = rows["market_cap_usd"], np.arange(len(rows["day"]))
    jumped = np.array(["jump_market_cap" in flags for flags in rows["flags"]], dtype=bool)
    begins = np.r_[True, rows["coin_id"][1:] != rows["coin_id"][:-1]][: len(place)]
    first = np.maximum.accumulate(np.where(begins, place, 0))
    last = np.maximum.accumulate(np.where(begins | ~(jumped | np.isnan(cap)), place, 0))
    recent = (rows["day"] - rows["day"][last]).astype(int) <= BELIEVED_FOR
    usable = recent & (last >= first) & ~jumped[last]
    stands_in = np.where(usable, cap[last] / rows["close_usd"][last] * rows["close_usd"], np.nan)
    order = np.lexsort((rows["coin_id"].astype(str), rows["day"]))
    return {
        name: values[order] for name, values in {**rows, "market_cap_usd": np.where(jumped, stands_in, cap)}.items()
    }


def _days(coins: Columns) -> Iterator[Columns]:
    """The rows of each day in turn."""
    days = coins["day"]
    starts = np.flatnonzero(np.r_[True, days[1:] != days[:-1]]).tolist() if len(days) else []
    for start, end in pairwise([*starts, len(days)]):
        yield {name: values[start:end] for name, values in coins.items()}


def _of_day(day: Columns, members: frozenset[str]) -> dict[str, Any]:
    """What one day's coins say together; `_caps` is kept for the next day's return."""
    inside = np.array([coin in members for coin in day["coin_id"]], dtype=bool)
    biased = not inside.any()
    if biased:
        size = np.where(np.isnan(day["market_cap_usd"]), -1.0, day["market_cap_usd"])
        inside = np.isin(np.arange(len(size)), np.argsort(-size, kind="stable")[:LARGEST])
    mine = {name: values[inside] for name, values in day.items()}
    cap, returns = mine["market_cap_usd"], mine["return_1d"]
    shares = _dominance(mine, cap)
    return {
        "day": day["day"][0],
        "universe_coins": int(inside.sum()),
        "survivorship_biased": biased,
        "total_market_cap_usd": _total(cap),
        "total_volume_24h_usd": _total(mine["volume_24h_usd"]),
        **shares,
        **{f"above_{name}": _share_of(mine["close_usd"] > mine[name], mine[name]) for name in ("sma_50d", "sma_200d")},
        "advancers": _how_many(returns > 0, returns),
        "decliners": _how_many(returns < 0, returns),
        "new_highs_365d": _how_many(mine["distance_high_365d"] == 0, mine["distance_high_365d"]),
        "new_lows_365d": _how_many(mine["distance_low_365d"] == 0, mine["distance_low_365d"]),
        "dispersion_1d": float(np.nanstd(returns)) if (~np.isnan(returns)).sum() > 1 else np.nan,
        "average_correlation_btc_30d": _mean(mine["correlation_btc_30d"][~among(mine["coin_id"], BITCOINS)]),
        "median_volatility_30d": _median(mine["volatility_30d"]),
        **_movers(mine["coin_id"], returns),
        "_caps": dict(zip(mine["coin_id"], cap.tolist(), strict=True)),
        "_returns": dict(zip(mine["coin_id"], returns.tolist(), strict=True)),
        **_parts(mine, shares["bitcoin_dominance"]),
    }


def _total(values: NDArray[Any]) -> float:
    return math.fsum(values[~np.isnan(values)]) if (~np.isnan(values)).any() else math.nan


def _mean(values: NDArray[Any]) -> float:
    known = values[~np.isnan(values)]
    return math.fsum(known) / len(known) if len(known) else math.nan


def _median(values: NDArray[Any]) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else math.nan


def _share_of(holds: NDArray[np.bool_], known: NDArray[Any]) -> float:
    """Share of the coins of which a value is known."""
    return float(holds[~np.isnan(known)].mean()) if (~np.isnan(known)).any() else math.nan


def _how_many(holds: NDArray[np.bool_], known: NDArray[Any]) -> int | None:
    """How many of the coins of which a value is known; None where it is known of none."""
    return int(holds.sum()) if (~np.isnan(known)).any() else None


def _dominance(mine: Columns, cap: NDArray[Any]) -> dict[str, float]:
    def shares(of: NDArray[np.bool_], among: NDArray[np.bool_]) -> NDArray[Any]:
        total = _total(cap[among])
        return cap[of & among & ~np.isnan(cap)] / total if total > 0 else np.array([])

    every = np.ones(len(cap), dtype=bool)
    near = (mine["close_usd"] >= PEG[0]) & (mine["close_usd"] <= PEG[1])
    moving = ~(near & (mine["volatility_90d"] <= STABLE))
    made = {
        "bitcoin_dominance": shares(among(mine["coin_id"], BITCOINS), every),
        "ether_dominance": shares(among(mine["coin_id"], ETHERS), every),
        "herfindahl": shares(every, every) ** 2,
        "herfindahl_without_stablecoins": shares(every, moving) ** 2,
    }
    return {name: min(float(each.sum()), 1.0) if len(each) else math.nan for name, each in made.items()}


def _movers(coins: NDArray[Any], returns: NDArray[Any]) -> dict[str, Any]:
    if np.isnan(returns).all():
        return {"best_coin_id": None, "best_return_1d": np.nan, "worst_coin_id": None, "worst_return_1d": np.nan}
    best, worst = int(np.nanargmax(returns)), int(np.nanargmin(returns))
    return {
        "best_coin_id": coins[best],
        "best_return_1d": float(returns[best]),
        "worst_coin_id": coins[worst],
        "worst_return_1d": float(returns[worst]),
    }


def _parts(mine: Columns, dominance: float) -> dict[str, float]:
    """What the parts of `fear_greed` rest on: the larger, the greedier."""
    bitcoin = np.flatnonzero(among(mine["coin_id"], BITCOINS))
    his = {name: float(mine[name][bitcoin[0]]) if len(bitcoin) else math.nan for name in (*_OF_BITCOIN, "close_usd")}
    highs = mine["distance_high_365d"]
    return {
        "_momentum": his["close_usd"] / his["sma_50d"] - 1,
        "_volatility": -his["volatility_30d"],
        "_breadth": _share_of(mine["close_usd"] > mine["sma_50d"], mine["sma_50d"]),
        "_strength": _share_of(highs == 0, highs) - _share_of(mine["distance_low_365d"] == 0, highs),
        "_dominance": -dominance,
    }


def _weighed(earlier: Mapping[str, Any], row: Mapping[str, Any]) -> float:
    """The mean return, weighed by the capitalisation of the day before, of the coins that have both."""
    if not earlier or row["day"] - earlier["day"] != np.timedelta64(1, "D"):
        return math.nan
    pairs = [(earlier["_caps"].get(coin, math.nan), back) for coin, back in row["_returns"].items()]
    known = [(cap, back) for cap, back in pairs if cap > 0 and back == back]
    total = math.fsum(cap for cap, _ in known)
    return math.fsum(cap * back for cap, back in known) / total if known else math.nan


def _against_the_year(rows: list[dict[str, Any]]) -> None:
    """Each part's place among its values of the year up to the day, and the mean of the parts."""
    numbers = np.array([row["day"] for row in rows], dtype="datetime64[D]").astype(np.int64)
    for part in PARTS:
        values = np.array([row[f"_{part}"] for row in rows])
        for place, row in enumerate(rows):
            year = values[np.searchsorted(numbers, numbers[place] - YEAR_DAYS, side="right") : place + 1]
            row[f"fear_greed_{part}"] = _place(year[~np.isnan(year)], values[place])
    for row in rows:
        known = [row[f"fear_greed_{part}"] for part in PARTS if row[f"fear_greed_{part}"] == row[f"fear_greed_{part}"]]
        row["fear_greed"] = math.fsum(known) / len(known) if len(known) >= PARTS_NEEDED else math.nan


def _place(year: NDArray[Any], value: float) -> float:
    """Where a value lies among those of a year: 0 is the lowest, 100 the highest, ties in the middle."""
    if math.isnan(value) or len(year) < RANKED_AGAINST:
        return math.nan
    others = len(year) - 1
    return float(100 * ((year < value).sum() + ((year == value).sum() - 1) / 2) / others)


def _newest_looks(looks: Columns) -> dict[Any, dict[str, float]]:
    """By day, what CoinGecko said of the whole market when it was last asked on it."""
    days = day_of(looks["observed_at"])
    return {
        day: {
            name: float(looks[source][place]) / (100 if source.endswith("percent") else 1)
            for name, source in _GLOBAL.items()
        }
        for place, day in enumerate(days)
    }


def _column(
    name: str, column: Column, rows: Sequence[Mapping[str, Any]], whole: Mapping[Any, Mapping[str, float]]
) -> NDArray[Any]:
    """One column of the table, in the type of its contract."""
    if name in _GLOBAL:
        return np.array([whole.get(row["day"], {}).get(name, math.nan) for row in rows], dtype=float)
    return typed(column.type, [row[name] for row in rows])
