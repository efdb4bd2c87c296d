"""The market day by day: how large it is, how much of it is bitcoin's, how many coins take part in a move, how far they
lie apart, and how greedy it is.

The universe of a day is who was there on that day: the coins of the market list that was seen on it, down to the rank
by which a tenth of the ranks is missing, 250 at most. Where no list was seen, or the coins were chosen by name, the
coins that the lake follows stand in, and where one on the list has no day here, the others (`universe_is_seen` is
false): they may have been chosen for what happened later.
A row that rests on such a day, its own or one of the year that it is ranked against, says `survivorship_biased`; no
other changes when a coin is added. Dead coins stay in the days they were in. Shares are of the coins for which the
value is known; null where it is known of none.

A market capitalisation that jumped over eleven times or under a twentieth in a day (`jump_market_cap` in `gold.daily`)
is not believed: the close times the supply of the last day that was, of a week at most, stands in, else it is unknown.

`fear_greed` is the mean of its five parts that are known (three at least), each 0 (fear) to 100 (greed), each against
the 365 days up to the day: momentum (bitcoin's close over its 50-day average), volatility (bitcoin's over 30 days,
turned round), breadth (share of coins above their 50-day average), strength (new 365-day highs less new lows, of the
coins), dominance (bitcoin's share of the universe, turned round: money flees into bitcoin). All weigh the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from arro3.core import Table as Rows
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from coinlake.engine import Engine, Frame
from coinlake.engine.series import arrays, rows_of
from coinlake.gold.analyze import ITSELF
from coinlake.gold.scope import Scope
from coinlake.gold.universe import LARGEST, LISTED, Universes, day_of
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
        "universe_is_seen": Column(
            Boolean, "whether the universe is who was there then, not who is followed now", required=True
        ),
        "survivorship_biased": Column(
            Boolean, "whether the universe of one of the 365 days up to this one was not seen", required=True
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
        "momentum_btc_50d": Column(
            Float64, "what its momentum rests on: bitcoin's close over its 50-day average, minus one"
        ),
        "volatility_btc_30d": Column(Float64, "what its volatility rests on: bitcoin's", between=(0, None)),
        "strength_365d": Column(
            Float64, "what its strength rests on: share of coins at their high less those at their low", between=(-1, 1)
        ),
    },
    grain="one UTC day",
    dated_by="day",
    reads=("silver.markets", "silver.global_market", "gold.daily", "gold.indicators"),
    sorted_by=("day",),
)

BELIEVED_FOR = 7
"""Days for which a coin's supply is believed without being seen again."""
LOOKBACK_DAYS = 1 + BELIEVED_FOR
"""Days before a day that it rests on, but for what it is ranked against: that is in the table's own rows."""
RESTS = {
    "momentum": ("momentum_btc_50d", 1),
    "volatility": ("volatility_btc_30d", -1),
    "breadth": ("above_sma_50d", 1),
    "strength": ("strength_365d", 1),
    "dominance": ("bitcoin_dominance", -1),
}
"""By part of `fear_greed`, the column that it rests on, and whether more of that is greedier."""
CARRIES = ("day", "universe_is_seen", *(column for column, _ in RESTS.values()))
"""Columns of its earlier rows that a day is ranked against."""
TAKES_SPAN = True
"""The days before are read, and not ranked again."""
READS_ONCE = True
BLOCKS = "days"
_TOUCHES = f"""
    select '*', min(({{moment}} - interval 1 microsecond)::DATE),
        max(({{moment}})::DATE) + {LOOKBACK_DAYS + YEAR_DAYS - 1}
    from changed
"""
TOUCHES = {"silver.markets": _TOUCHES, "silver.global_market": _TOUCHES}
"""SQL: the days that a look at the market may change: its own, and the year that is ranked against it."""

Columns = Mapping[str, NDArray[Any]]
Floats = NDArray[np.float64]
_OF_COIN = ("sma_50d", "sma_200d", "return_1d", "distance_high_365d", "distance_low_365d")
_GLOBAL = {
    "global_market_cap_usd": "total_market_cap_usd",
    "bitcoin_dominance_global": "bitcoin_dominance_percent",
    "ether_dominance_global": "ether_dominance_percent",
}
_RISKS = ("correlation_btc_30d", "volatility_30d", "volatility_90d")
COLUMNS = {
    "gold.daily": ("coin_id", "day", "close_usd", "market_cap_usd", "volume_24h_usd", "flags"),
    "gold.indicators": ("coin_id", "day", *_OF_COIN, *_RISKS),
}
"""What is read of wide tables."""


def touched(scope: Scope, source: str) -> Scope:
    """The days that rest on changed days of a coin: its own, and the year that is ranked against them."""
    return scope.everyone().lasting(LOOKBACK_DAYS + YEAR_DAYS)


def build(
    read: Mapping[str, Frame], sources: Sequence[str], engine: Engine, span: tuple[date, date] | None = None
) -> Rows:
    """One row for each day on which a coin closed, or of those from the first of a span on."""
    closes, said = (read[name].select(*columns) for name, columns in COLUMNS.items())
    coins = arrays(engine, closes.join(said, on=["coin_id", "day"], how="left"), ("coin_id", "day"))
    lists = arrays(engine, read["silver.markets"].select(*LISTED), ("observed_at", "coin_id"))
    looks = arrays(engine, read["silver.global_market"].select("observed_at", *_GLOBAL.values()), ("observed_at",))
    earlier = arrays(engine, read[ITSELF].select(*CARRIES), ("day",))
    made = _of_days(coins, Universes.of(lists))
    if span is not None:
        made = {name: values[made["day"] >= np.datetime64(span[0])] for name, values in made.items()}
    made |= _against_the_year(made, earlier) | _newest_looks(looks, made["day"])
    return rows_of({name: made[name] for name in TABLE.columns}, TABLE.whole)


# The coins of a day --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Days:
    """Rows by coin and day, of some coins, and the number of each row's day; `days` has every day once."""

    rows: Columns
    number: NDArray[np.int64]
    days: NDArray[Any]

    def of(self, where: NDArray[np.bool_]) -> _Days:
        """Some of the rows."""
        return _Days({name: values[where] for name, values in self.rows.items()}, self.number[where], self.days)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A column."""
        return self.rows[name]

    def count(self, where: NDArray[np.bool_]) -> Floats:
        """How many of the rows, by day."""
        return np.bincount(self.number[where], minlength=len(self.days)).astype(float)

    def total(self, values: Floats) -> Floats:
        """By day, the sum of the values that are known; NaN where none is, or where no float64 can hold it."""
        known = ~np.isnan(values)
        summed = np.bincount(self.number[known], values[known], len(self.days))
        return np.where((self.count(known) > 0) & np.isfinite(summed), summed, np.nan)

    def mean(self, values: Floats) -> Floats:
        """By day, the mean of the values that are known."""
        return _over(self.total(values), self.count(~np.isnan(values)))

    def share(self, holds: NDArray[np.bool_], known: NDArray[np.bool_]) -> Floats:
        """By day, the share of the rows of which something is known that hold."""
        return _over(self.count(holds & known), self.count(known))

    def how_many(self, holds: NDArray[np.bool_], known: NDArray[np.bool_]) -> Floats:
        """By day, how many of the rows of which something is known; NaN where it is known of none."""
        return np.where(self.count(known) > 0, self.count(holds & known), np.nan)

    def deviation(self, values: Floats) -> Floats:
        """By day, the deviation of the values that are known; NaN where there are not two."""
        mean = self.mean(values)
        squares = self.mean((values - mean[self.number]) ** 2)
        return np.where(self.count(~np.isnan(values)) > 1, np.sqrt(squares), np.nan)

    def sorted(self, values: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """The places of the rows of which a value is known, by day and value (of equals, by coin); for each day that
        has one, where it begins among them; and how many they are, by day.
        """
        known = np.flatnonzero(~np.isnan(values))
        places = known[np.lexsort((values[known], self.number[known]))]
        counts = np.bincount(self.number[known], minlength=len(self.days))
        return places, (np.cumsum(counts) - counts)[counts > 0], counts

    def median(self, values: Floats) -> Floats:
        """By day, the median of the values that are known."""
        places, begins, counts = self.sorted(values)
        made, has = np.full(len(self.days), np.nan), counts[counts > 0]
        ordered = values[places]
        made[counts > 0] = (ordered[begins + (has - 1) // 2] + ordered[begins + has // 2]) / 2
        return made


def _over(values: Floats, count: Floats) -> Floats:
    return np.where(count > 0, values / np.maximum(count, 1), np.nan)


def _of_days(coins: Columns, known: Universes) -> dict[str, NDArray[Any]]:
    """What each day's coins say together; what the parts of `fear_greed` rest on as well."""
    day = coins["day"].astype(np.int64)
    days = np.flatnonzero(np.bincount(day - day.min())) + day.min() if len(day) else day
    every = _Days({**coins, "cap": _believed(coins)}, np.searchsorted(days, day), days.astype("datetime64[D]"))
    is_seen, inside = _universe(every, known)
    before = _yesterday(every, inside)
    mine = every.of(inside)
    cap, returns = mine["cap"], mine["return_1d"]
    moved = ~np.isnan(returns)
    high, low = mine["distance_high_365d"], mine["distance_low_365d"]
    weight = np.where(moved & (before[inside] > 0), before[inside], np.nan)
    weights = mine.total(weight)
    not_bitcoin = ~among(mine["coin_id"], BITCOINS)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        made = {
            "day": every.days,
            "universe_coins": mine.count(np.ones(len(cap), dtype=bool)).astype(np.int64),
            "universe_is_seen": is_seen,
            "total_market_cap_usd": mine.total(cap),
            "total_volume_24h_usd": mine.total(mine["volume_24h_usd"]),
            **_dominance(mine),
            **{f"above_{name}": mine.share(*_above(mine, name)) for name in ("sma_50d", "sma_200d")},
            "advancers": mine.how_many(returns > 0, moved),
            "decliners": mine.how_many(returns < 0, moved),
            "new_highs_365d": mine.how_many(high == 0, ~np.isnan(high)),
            "new_lows_365d": mine.how_many(low == 0, ~np.isnan(low)),
            "market_return_1d": np.where(weights > 0, mine.total(weight * returns) / weights, np.nan),
            "dispersion_1d": mine.deviation(returns),
            "average_correlation_btc_30d": mine.mean(np.where(not_bitcoin, mine["correlation_btc_30d"], np.nan)),
            "median_volatility_30d": mine.median(mine["volatility_30d"]),
            **_movers(mine),
        }
        made |= _of_bitcoin(mine.of(among(mine["coin_id"], BITCOINS)))
    made["strength_365d"] = _over(made["new_highs_365d"] - made["new_lows_365d"], mine.count(~np.isnan(high)))
    return made


def _above(mine: _Days, name: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    return mine["close_usd"] > mine[name], ~np.isnan(mine[name])


def _believed(rows: Columns) -> Floats:
    """The market capitalisations of rows by coin and day, as far as they can be believed."""
    cap, place = rows["market_cap_usd"], np.arange(len(rows["day"]))
    jumped = np.array(["jump_market_cap" in flags for flags in rows["flags"].tolist()], dtype=bool)
    begins = np.r_[True, rows["coin_id"][1:] != rows["coin_id"][:-1]][: len(place)]
    first = np.maximum.accumulate(np.where(begins, place, 0))
    last = np.maximum.accumulate(np.where(begins | ~(jumped | np.isnan(cap)), place, 0))
    recent = (rows["day"] - rows["day"][last]).astype(int) <= BELIEVED_FOR
    usable = recent & (last >= first) & ~jumped[last]
    close = rows["close_usd"]
    with np.errstate(over="ignore"):
        stands_in = cap[last] / np.where(usable & (close[last] > 0), close[last], np.nan) * close
    return np.where(jumped, np.where(np.isfinite(stands_in), stands_in, np.nan), cap)


def _universe(every: _Days, known: Universes) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """By day, whether who was there is known, of every coin; by row, whether the coin is in the day's universe."""
    there = known.there(every["coin_id"], every["day"])
    is_seen = every.count(known.complete(there, every["day"])) > 0
    stands_in = np.flatnonzero(every.count(there)[every.number] == 0)
    cap = every["cap"][stands_in]
    order = stands_in[np.lexsort((np.where(np.isnan(cap), 1.0, -cap), every.number[stands_in]))]
    number = every.number[order]
    begins = np.searchsorted(number, number, side="left")
    there[order] = np.arange(len(order)) - begins < LARGEST
    return is_seen, there


def _yesterday(every: _Days, inside: NDArray[np.bool_]) -> Floats:
    """By row, the coin's capitalisation of the day before, where it was in the universe then."""
    coin, day = every["coin_id"], every["day"]
    follows = (coin[1:] == coin[:-1]) & ((day[1:] - day[:-1]).astype(int) == 1) & inside[:-1]
    before = np.full(len(day), np.nan)
    before[1:] = np.where(follows, every["cap"][:-1], np.nan)
    return before


def _dominance(mine: _Days) -> dict[str, Floats]:
    """Shares in the day's capitalisation, and the sums of their squares."""
    cap, coin = mine["cap"], mine["coin_id"]
    near = (mine["close_usd"] >= PEG[0]) & (mine["close_usd"] <= PEG[1])
    moving = np.where(near & (mine["volatility_90d"] <= STABLE), np.nan, cap)

    def shares(of: Floats, among_those: Floats) -> Floats:
        total = mine.total(among_those)[mine.number]
        return np.where(total > 0, of / np.where(total > 0, total, 1), np.nan)

    of_all = shares(cap, cap)
    made = {
        "bitcoin_dominance": np.where(among(coin, BITCOINS), of_all, np.nan),
        "ether_dominance": np.where(among(coin, ETHERS), of_all, np.nan),
        "herfindahl": of_all**2,
        "herfindahl_without_stablecoins": shares(moving, moving) ** 2,
    }
    return {name: np.minimum(mine.total(each), 1.0) for name, each in made.items()}


def _movers(mine: _Days) -> dict[str, NDArray[Any]]:
    """The coins that rose and fell most; of equals the first by name."""
    returns = mine["return_1d"]
    made: dict[str, NDArray[Any]] = {}
    for which, values in (("best", -returns), ("worst", returns)):
        places, begins, counts = mine.sorted(values)
        extreme = places[begins]
        coins, its = np.full(len(mine.days), None, dtype=object), np.full(len(mine.days), np.nan)
        coins[counts > 0], its[counts > 0] = mine["coin_id"][extreme], returns[extreme]
        made |= {f"{which}_coin_id": coins, f"{which}_return_1d": its}
    return made


# How greedy ----------------------------------------------------------------------------------------------------------


def _of_bitcoin(his: _Days) -> dict[str, Floats]:
    return {
        "momentum_btc_50d": his.total(his["close_usd"] / his["sma_50d"] - 1),
        "volatility_btc_30d": his.total(his["volatility_30d"]),
    }


def _against_the_year(made: Columns, earlier: Columns) -> dict[str, NDArray[Any]]:
    """The place of what each part rests on among its values of the year up to the day, and the mean of the parts; and
    whether one of that year's days has a universe that was not seen. `earlier` are the rows of the days before.
    """
    ranked = {name: np.concatenate([earlier[name], made[name]]) for name in CARRIES}
    mine, day = slice(len(earlier["day"]), None), ranked["day"]
    parts = {f"fear_greed_{part}": _places(day, sign * ranked[column])[mine] for part, (column, sign) in RESTS.items()}
    known = np.array(list(parts.values()))
    counts = (~np.isnan(known)).sum(axis=0)
    mean = np.nansum(known, axis=0) / np.maximum(counts, 1)
    unseen = _years(day, np.where(ranked["universe_is_seen"].astype(bool), 0.0, 1.0))[mine]
    return {
        **parts,
        "fear_greed": np.where(counts >= PARTS_NEEDED, mean, np.nan),
        "survivorship_biased": (unseen != 0).any(axis=1),  # a day without a row was not seen either
    }


def _years(day: NDArray[Any], values: Floats) -> Floats:
    """By day, the values of the 365 days up to it [day, day of the year]; NaN where there is none."""
    if not len(day):
        return np.full((0, YEAR_DAYS), np.nan)
    place = (day - day[0]).astype(np.int64) + YEAR_DAYS - 1
    laid = np.full(place[-1] + 1, np.nan)
    laid[place] = values
    years: Floats = sliding_window_view(laid, YEAR_DAYS)[place - YEAR_DAYS + 1]
    return years


def _places(day: NDArray[Any], values: Floats) -> Floats:
    """Where each value lies among those of its year: 0 is the lowest, 100 the highest, ties in the middle."""
    years = _years(day, values)
    known = (~np.isnan(years)).sum(axis=1)
    below, equal = ((compare(years, values[:, np.newaxis])).sum(axis=1) for compare in (np.less, np.equal))
    enough = ~np.isnan(values) & (known >= RANKED_AGAINST)
    return np.where(enough, 100 * (below + (equal - 1) / 2) / np.maximum(known - 1, 1), np.nan)


def _newest_looks(looks: Columns, days: NDArray[Any]) -> dict[str, Floats]:
    """By day, what CoinGecko said of the whole market when it was last asked on it."""
    said = day_of(looks["observed_at"])
    newest = np.searchsorted(said, days, side="right") - 1
    found = (newest >= 0) & (said[newest] == days) if len(said) else np.zeros(len(days), dtype=bool)
    return {
        name: _newest(looks[source], newest, found) / (100 if source.endswith("percent") else 1)
        for name, source in _GLOBAL.items()
    }


def _newest(values: NDArray[Any], newest: NDArray[np.int64], found: NDArray[np.bool_]) -> Floats:
    made = np.full(len(found), np.nan)
    made[found] = values[newest[found]]
    return made
