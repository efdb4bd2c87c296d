"""The market of a day is who was there, as large as can be believed."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from coinlake.engine import engine
from coinlake.engine.series import arrays, frame_of
from coinlake.gold import market
from coinlake.gold.analyze import ITSELF

FIRST = np.datetime64(date(2022, 1, 1))
DAYS = 6


def coins(caps: dict[str, list[float]], flags: dict[tuple[str, int], str] | None = None) -> dict[str, NDArray[Any]]:
    """Rows of gold.daily: a price of one dollar each day, market capitalisations as given."""
    rows = [(coin, n, cap) for coin, each in caps.items() for n, cap in enumerate(each)]
    return {
        "coin_id": np.array([coin for coin, _, _ in rows], dtype=object),
        "day": FIRST + np.array([n for _, n, _ in rows]),
        "close_usd": np.ones(len(rows)),
        "market_cap_usd": np.array([cap for _, _, cap in rows]),
        "volume_24h_usd": np.ones(len(rows)),
        "flags": np.array([(flags or {}).get((coin, n), "") for coin, n, _ in rows], dtype=object),
    }


def made(daily: dict[str, NDArray[Any]], ranks: list[tuple[str, int, float]] | None = None) -> dict[str, NDArray[Any]]:
    """gold.market of these days; `ranks` are coin, day and rank of market lists at noon."""
    duck = engine("duckdb")
    unknown = np.full(len(daily["day"]), np.nan)
    said = {"coin_id": daily["coin_id"], "day": daily["day"], "return_1d": np.zeros(len(unknown))}
    said |= {name: unknown for name in (*market._OF_COIN, *market._RISKS) if name != "return_1d"}
    lists = ranks or []
    noon = np.array([FIRST + n for _, n, _ in lists], dtype="datetime64[us]") + np.timedelta64(12, "h")
    seen = duck.frame(
        _moments({
            "coin_id": np.array([coin for coin, _, _ in lists], dtype=object),
            "observed_at": noon.astype(np.int64),
            "rank": np.array([rank for _, _, rank in lists], dtype=float),
        })
    )  # fmt: skip
    whole = {name: np.array([], dtype=float) for name in market._GLOBAL.values()}
    read = {
        "gold.daily": frame_of(duck, daily),
        "gold.indicators": frame_of(duck, said),
        "silver.markets": seen,
        "silver.global_market": duck.frame(_moments({"observed_at": np.array([], dtype=np.int64), **whole})),
        ITSELF: frame_of(duck, {name: np.array([], dtype=_DTYPES.get(name, float)) for name in market.CARRIES}),
    }
    return arrays(duck, duck.frame(market.build(read, (), duck)), ("day",))


_DTYPES: dict[str, Any] = {"day": "datetime64[D]", "universe_is_seen": bool}


def _moments(columns: dict[str, NDArray[Any]]) -> Any:
    """Columns with microseconds since 1970 as moments."""
    duck = engine("duckdb")
    relation = duck.arrow(frame_of(duck, columns))
    others = ", ".join(name for name in columns if name != "observed_at")
    return relation.project(f"make_timestamptz(observed_at) as observed_at, {others}")


def test_a_capitalisation_that_nobody_can_believe_shakes_nothing() -> None:
    wild = {("small", 2): "jump_market_cap", ("small", 3): "jump_market_cap"}
    ours = made(coins({"bitcoin": [75.0] * DAYS, "small": [25.0, 25.0, 1e12, 25.0, 25.0, 25.0]}, wild))
    assert ours["total_market_cap_usd"].tolist() == [100.0] * DAYS
    assert ours["bitcoin_dominance"].tolist() == [0.75] * DAYS


def test_what_is_known_of_no_coin_is_unknown_and_not_none() -> None:
    ours = made(coins({"bitcoin": [75.0]}))
    assert np.isnan(ours["new_highs_365d"][0]) and np.isnan(ours["new_lows_365d"][0])
    assert (ours["advancers"][0], ours["decliners"][0]) == (0, 0), "its return is known, and nothing"


def test_a_coin_that_was_never_believed_has_no_capitalisation() -> None:
    ours = made(coins({"bitcoin": [75.0], "small": [1e12]}, {("small", 0): "jump_market_cap"}))
    assert ours["total_market_cap_usd"].tolist() == [75.0]


@pytest.mark.parametrize("close", [0.0, 1e-305])
def test_what_a_float64_cannot_hold_is_unknown(close: float) -> None:
    """A sum of capitalisations, and one that would stand in for another because of what the price did since."""
    both = made(coins({"bitcoin": [1.7e308, 75.0], "small": [1.7e308, 25.0]}))
    assert np.isnan(both["total_market_cap_usd"][0]) and np.isnan(both["bitcoin_dominance"][0])
    assert (both["total_market_cap_usd"][1], both["bitcoin_dominance"][1]) == (100.0, 0.75)
    days = coins({"bitcoin": [75.0, 75.0], "small": [1e9, 1e13]}, {("small", 1): "jump_market_cap"})
    days["close_usd"][(days["coin_id"] == "small") & (np.arange(len(days["day"])) % 2 == 0)] = close
    with np.errstate(all="raise", under="ignore"):
        ours = made(days)
    assert ours["total_market_cap_usd"][1] == 75.0


def test_a_day_is_of_those_on_its_list_and_says_when_there_was_none() -> None:
    daily = coins({"bitcoin": [60.0] * 2, "ether": [30.0] * 2, "later": [10.0] * 2})
    ours = made(daily, [("bitcoin", 0, 1.0), ("ether", 0, 2.0)])
    assert ours["universe_coins"].tolist() == [2, 3]
    assert ours["universe_is_seen"].tolist() == [True, False]
    assert ours["survivorship_biased"].tolist() == [True, True], "the days of the year before are not there"
    assert ours["total_market_cap_usd"].tolist() == [90.0, 100.0]


@pytest.mark.parametrize(("ranks", "members"), [((1, 2, 3), 3), ((1, 2, 9), 2), ((5, 6, 7), 0)])
def test_the_universe_ends_where_a_tenth_of_the_ranks_is_missing(ranks: tuple[float, ...], members: int) -> None:
    names = ("a", "b", "c")
    ours = made(coins({name: [1.0] for name in names}), [(name, 0, r) for name, r in zip(names, ranks, strict=True)])
    assert bool(ours["universe_is_seen"][0]) is (members > 0)
    assert ours["universe_coins"][0] == (members or 3)


def test_a_day_is_not_seen_where_a_coin_on_its_list_has_no_day_here() -> None:
    """It may be fetched later, and then the day is another."""
    listed = [("bitcoin", 0, 1.0), ("ether", 0, 2.0), ("later", 0, 3.0)]
    before = made(coins({"bitcoin": [60.0], "ether": [30.0], "other": [5.0]}), listed)
    after = made(coins({"bitcoin": [60.0], "ether": [30.0], "other": [5.0], "later": [10.0]}), listed)
    for ours, is_seen, members in ((before, False, 2), (after, True, 3)):
        assert bool(ours["universe_is_seen"][0]) is is_seen
        assert ours["universe_coins"][0] == members


def test_a_day_that_is_ranked_against_one_whose_universe_was_not_seen_says_so_for_a_year() -> None:
    days = 370
    looks = [(name, day, rank) for day in range(1, days) for name, rank in (("bitcoin", 1.0), ("ether", 2.0))]
    ours = made(coins({"bitcoin": [60.0] * days, "ether": [30.0] * days}), looks)
    assert ours["universe_is_seen"].tolist() == [False, *[True] * (days - 1)]
    assert ours["survivorship_biased"].tolist() == [*[True] * 365, *[False] * 5]
    looks = [look for look in looks if look[1] != 5] + [("bitcoin", 0, 1.0), ("ether", 0, 2.0)]
    daily = coins({"bitcoin": [60.0] * days, "ether": [30.0] * days})
    lacking = made({name: values[daily["day"] != np.unique(daily["day"])[5]] for name, values in daily.items()}, looks)
    assert lacking["universe_is_seen"].all() and lacking["survivorship_biased"].all(), "a day without a row is not seen"
