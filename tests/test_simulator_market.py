"""The simulated market: a pure function of seed, coin and moment that looks like a market of coins."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinlake.errors import ConfigError
from coinlake.simulator import Market, statistics
from coinlake.simulator.chance import NORMALS, exp, hash_of, hashes, key_of, lerp, uniform
from coinlake.simulator.clock import FIRST_MS
from coinlake.simulator.majors import BITCOIN, FOLLOWS, LOSES_ITS_PEG, MAJORS, STABLE
from coinlake.simulator.market import Extremes
from coinlake.simulator.names import Names
from coinlake.simulator.paths import DAY_MS, END_MS, ORIGIN_MS
from coinlake.simulator.records import Records
from coinlake.simulator.traps import TRAPS, Traps
from coinlake.simulator.universe import NEVER_MS
from lakes import SRC

ROOT = Path(__file__).parents[1]
NOW = 1_643_673_600_000  # 2022-02-01T00:00Z
MARKET = Market(7, 250)
YEAR = NOW - np.arange(364, -1, -1) * DAY_MS

moments = st.integers(ORIGIN_MS + 2 * DAY_MS, END_MS - 1)
days = moments.map(lambda ms: ms - ms % DAY_MS)
coins = st.integers(0, len(MARKET.universe) - 1)


def same(left: np.ndarray, right: np.ndarray) -> bool:
    """Whether two arrays hold the same bits."""
    return left.shape == right.shape and left.astype(float).tobytes() == right.astype(float).tobytes()


# One number for one moment -------------------------------------------------------------------------------------------


@given(coins, st.lists(moments | days, min_size=1, max_size=40), st.data())
def test_a_price_is_the_same_in_any_company(coin: int, times: list[int], data: st.DataObject) -> None:
    together = MARKET.prices(coin, times)
    cut = data.draw(st.integers(0, len(times)))
    assert same(together, np.concatenate([MARKET.prices(coin, times[:cut]), MARKET.prices(coin, times[cut:])]))
    assert same(together, np.concatenate([MARKET.prices(coin, [each]) for each in times]))
    order = data.draw(st.permutations(range(len(times))))
    assert same(together[order], MARKET.prices(coin, [times[each] for each in order]))


@given(days, st.integers(1, 400), st.integers(0, 400), coins)
def test_a_window_gives_the_same_numbers_as_its_parts(first: int, count: int, cut: int, coin: int) -> None:
    times = np.minimum(first + np.arange(count) * DAY_MS, END_MS - DAY_MS)
    whole, parts = MARKET.points([coin], times), [MARKET.points([coin], part) for part in (times[:cut], times[cut:])]
    for name in ("price_usd", "cap_usd", "volume_24h_usd"):
        assert same(getattr(whole, name), np.concatenate([getattr(part, name) for part in parts], axis=1))


@given(st.lists(coins, min_size=1, max_size=8), st.lists(moments, min_size=1, max_size=8))
def test_every_way_of_asking_gives_the_same_price(some: list[int], times: list[int]) -> None:
    matrix = MARKET.matrix(some, times)
    each_own = np.broadcast_to(np.array(times), (len(some), len(times)))
    assert same(matrix, MARKET.matrix(some, each_own))
    assert same(matrix, MARKET.points(some, times).price_usd)
    assert same(matrix, MARKET.points(some, each_own).price_usd)
    assert same(matrix, np.stack([MARKET.prices(coin, times) for coin in some]))


def test_a_large_matrix_made_in_blocks_has_the_same_numbers() -> None:
    times = NOW - np.arange(8000) * DAY_MS // 6
    large = MARKET.points(range(60), times)  # more values than one block holds
    for coin in (0, 1, 41, 42, 59):
        single = MARKET.points([coin], times)
        assert same(large.price_usd[[coin]], single.price_usd)
        assert same(large.volume_24h_usd[[coin]], single.volume_24h_usd)


DIGEST = """
import hashlib, numpy as np
from coinlake.simulator import Market
found = Market(3, 60).points(range(120), 1_643_673_600_000 + np.arange(50) * 3_333_333)
print(hashlib.sha256(b"".join(each.tobytes() for each in (found.price_usd, found.volume_24h_usd))).hexdigest())
"""


def test_another_process_gives_the_same_numbers() -> None:
    said = {
        subprocess.run(
            [sys.executable, "-c", DIGEST], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONPATH": str(SRC), "PYTHONHASHSEED": seed, "NPY_DISABLE_CPU_FEATURES": off},
        ).stdout.strip()
        for seed, off in (("1", ""), ("2", "AVX2 FMA3"))
    }  # fmt: skip
    found = Market(3, 60).points(range(120), NOW + np.arange(50) * 3_333_333)
    mine = hashlib.sha256(b"".join(each.tobytes() for each in (found.price_usd, found.volume_24h_usd))).hexdigest()
    assert said == {mine}


def test_the_market_of_a_seed_is_the_same_on_every_machine_and_in_every_release() -> None:
    # Whoever shows a demo tells others of its prices: these bits are part of what is promised.
    prices = MARKET.matrix([0, 1, 2, 19, 123], [NOW, NOW + 1_234_567])
    assert [each.hex() for each in prices.ravel().tolist()] == GOLDEN


GOLDEN = [
    "0x1.4ea5bbd56cbc4p+14",
    "0x1.4d26c555ddcc0p+14",
    "0x1.0c8bae3b70f5dp+11",
    "0x1.0980a8ebaec00p+11",
    "0x1.02928d2b35d15p+0",
    "0x1.027f076ebf78cp+0",
    "0x1.20fd1cea2f9a5p-38",
    "0x1.236a35e6bca15p-38",
    "0x1.84ee6cda04ae7p-26",
    "0x1.837d737e78c54p-26",
]


def test_other_seeds_give_other_markets() -> None:
    assert not np.isclose(Market(8, 250).prices(BITCOIN, YEAR), MARKET.prices(BITCOIN, YEAR)).any()


def test_a_moment_outside_the_markets_time_is_refused() -> None:
    for time in (ORIGIN_MS, END_MS, 0):
        with pytest.raises(ValueError, match="from 2008"):
            MARKET.prices(0, [time])
    with pytest.raises(ValueError, match="numbers from 0"):
        MARKET.matrix([len(MARKET.universe)], [NOW])
    with pytest.raises(ValueError, match="at least one coin"):
        Market(1, 0)


@given(st.floats(-600, 600))
def test_our_exponential_is_as_good_as_the_machines(x: float) -> None:
    assert math.isclose(float(exp(np.array([x]))[0]), math.exp(x), rel_tol=1e-14)


@given(st.integers(0, 2**64 - 1), st.lists(st.integers(-(2**63) + 1, 2**63 - 2), min_size=1, max_size=4))
def test_single_draws_are_those_of_arrays(key: int, parts: list[int]) -> None:
    assert hash_of(key, *parts) == int(hashes(key, *parts)) == int(hashes(key, *([part] for part in parts))[0])


def test_draws_are_spread_evenly_and_independent() -> None:
    drawn = uniform(key_of(1, "test"), np.arange(100_000))
    assert abs(drawn.mean() - 0.5) < 0.005 and abs(drawn.var() - 1 / 12) < 0.002
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 0.01
    assert abs(np.corrcoef(drawn, uniform(key_of(1, "other"), np.arange(100_000)))[0, 1]) < 0.01
    assert len(np.unique(hashes(5, np.arange(100_000)))) == 100_000
    assert abs(NORMALS.mean()) < 1e-9 and abs(NORMALS.var() - 1) < 0.001


def test_lines_go_through_their_points_and_stay_level_outside() -> None:
    xs, ys = np.array([0.0, 1.0, 3.0]), np.array([1.0, 5.0, 2.0])
    x = np.linspace(-1, 4, 101)
    assert np.allclose(lerp(x, xs, ys), np.interp(x, xs, ys), rtol=1e-15)


# It looks like a market ----------------------------------------------------------------------------------------------


def test_bitcoin_and_ether_stand_at_the_top() -> None:
    for seed in range(5):
        market = Market(seed, 250)
        there = market.active(NOW)
        largest = there[np.argsort(-market.points(there, [NOW]).cap_usd[:, 0])]
        assert largest[0] == BITCOIN
        assert 1 in largest[:6]


@given(
    coins, st.integers(ORIGIN_MS + 5 * DAY_MS, END_MS - 1), st.floats(0.01, 3), st.sampled_from([None, 1]), st.data()
)
def test_no_price_in_a_time_is_above_its_highest_or_below_its_lowest(
    coin: int, end: int, days: float, unit: int | None, data: st.DataObject
) -> None:
    start = end - int(days * DAY_MS)
    at = MARKET.turns([coin], start, end, unit)
    found = Extremes.of(at, MARKET.worth([coin], at, unit))
    assert ((start <= at) & (at <= end)).all()
    times = data.draw(st.lists(st.integers(start, end), min_size=1, max_size=20))
    prices = MARKET.worth([coin], [start, *times, end], unit)[0]
    known = prices[np.isfinite(prices)]
    assert (known <= found.high * (1 + 1e-7)).all() and (known >= found.low * (1 - 1e-7)).all()
    assert known.size == 0 or same(MARKET.worth([coin], found.high_ms, unit)[0], found.high)


def test_the_records_do_not_depend_on_what_was_asked_before() -> None:
    market, some = Market(7, 60), np.arange(40)
    lasting, fresh = Records(market), Records(market)
    for now in (NOW, NOW + 1, NOW + 3 * DAY_MS, NOW - 40 * DAY_MS, NOW + 90 * DAY_MS):
        left, right = lasting.until(now, some, None), Records(market).until(now, some, None)
        for name in ("high_ms", "high", "low_ms", "low"):
            assert same(getattr(left, name), getattr(right, name)), (now, name)
    young = int(np.flatnonzero((market.universe.born_ms > NOW) & (market.universe.born_ms < END_MS))[0])
    born = int(market.universe.born_ms[young])
    for now in (born, born + DAY_MS, born + 3 * DAY_MS):
        left, right = (each.until(now, np.array([young]), None) for each in (lasting, Records(market)))
        assert left.high.tobytes() == right.high.tobytes() and (now == born or right.high > 0), now
    midnights = np.arange(ORIGIN_MS + 365 * DAY_MS, NOW + 1, DAY_MS)
    prices, ever = market.matrix(some, midnights), fresh.until(NOW, some, None)
    there = np.isfinite(prices).any(axis=1)
    assert (ever.high[there] >= np.nanmax(prices[there], axis=1)).all()
    assert (ever.low[there] <= np.nanmin(prices[there], axis=1)).all()


def test_prices_caps_and_volumes_are_positive_and_of_realistic_size() -> None:
    there = MARKET.active(NOW)
    found = MARKET.points(there, [NOW])
    for each in (found.price_usd, found.cap_usd, found.volume_24h_usd):
        assert (each > 0).all()
    assert 1e11 < np.sum(found.cap_usd) < 1e14
    turnover = found.volume_24h_usd / found.cap_usd
    assert 1e-4 < np.median(turnover) < 0.5
    assert found.price_usd.min() < 1e-11 and found.price_usd.max() > 1e3


def test_a_market_of_17000_coins_has_a_long_tail_and_needs_little_memory() -> None:
    tracemalloc.start()
    market = Market(7, 17_000)
    there = market.active(NOW)
    caps = market.points(there, [NOW]).cap_usd[:, 0]
    ten_years = market.matrix(there[:50], NOW - np.arange(3650) * DAY_MS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 250 * 2**20
    assert ten_years.shape == (50, 3650)
    assert len(there) == 17_000
    assert np.sort(caps)[::-1][:100].sum() > 0.8 * caps.sum()
    assert (caps < 1e6).sum() > 5_000
    assert market.points(there, [NOW]).price_usd.min() < 1e-11


def test_lasting_coins_have_ten_years_each_and_never_die() -> None:
    market = Market(7, 300, lasting=True)
    later = NOW + 4 * 365 * DAY_MS
    assert np.isfinite(market.matrix(np.arange(20, 300), [later - 3650 * DAY_MS, later])).all()
    assert len(market.gone(later)) == 0


def test_stablecoins_hold_but_for_the_one_that_loses_its_peg() -> None:
    seasons = MARKET.matrix(range(20), NOW + np.arange(0, 300, 0.25) * DAY_MS)
    for coin, major in enumerate(MAJORS):
        if major.sector != STABLE:
            continue
        prices = seasons[coin]
        lowest = prices.min()
        assert (lowest < 0.94) if coin == LOSES_ITS_PEG else (lowest > 0.95), (major.id, lowest)
        assert 0.95 < prices[-1] < 1.05


def test_wrapped_coins_cost_what_they_wrap() -> None:
    for follower, leader in FOLLOWS.items():
        assert same(MARKET.prices(follower, YEAR), MARKET.prices(leader, YEAR))


def test_every_season_has_a_crash_and_a_run() -> None:
    times = NOW + np.arange(0, 300) * DAY_MS
    prices = MARKET.matrix(MARKET.active(NOW), times)
    index = np.nanmean(np.log(prices / prices[:, :1]), axis=0)
    three_days = index[3:] - index[:-3]
    assert three_days.min() < -0.25
    assert (index[45:] - index[:-45]).max() > 0.3


def test_pegs_have_weeks_of_calm_and_weeks_of_stress_and_are_never_off_by_a_tenth() -> None:
    pegged = np.flatnonzero(MARKET.universe.is_stable)
    pegged = pegged[pegged != LOSES_ITS_PEG]
    logs = np.log(MARKET.matrix(pegged, NOW + np.arange(-1800, 1800) * DAY_MS))
    assert np.nanmax(np.abs(logs)) < 0.1
    weeks = np.median(np.abs(np.diff(logs))[:, :3598].reshape(len(pegged), -1, 14), axis=2)
    now, later = weeks[:, :-1], weeks[:, 1:]
    known = np.isfinite(now) & np.isfinite(later)
    assert np.nanpercentile(weeks, 95) > 5 * np.nanpercentile(weeks, 30)
    assert np.corrcoef(np.log(now[known]), np.log(later[known]))[0, 1] > 0.5


def test_coins_are_launched_and_die_every_year_and_the_market_keeps_its_size() -> None:
    born, died = MARKET.universe.born_ms, MARKET.universe.died_ms
    year = (NOW - 365 * DAY_MS, NOW)
    assert ((born >= year[0]) & (born < year[1])).sum() > 5
    gone = np.flatnonzero((died >= year[0]) & (died < year[1]))
    assert len(gone) > 5
    for time in range(FIRST_MS, END_MS, 100 * DAY_MS + 12_345):
        assert len(MARKET.active(time)) == 250
    coin = int(gone[0])
    assert np.isfinite(MARKET.prices(coin, [int(died[coin]) - 1]))
    assert np.isnan(MARKET.prices(coin, [int(died[coin])]))
    assert np.isnan(MARKET.prices(coin, [int(born[coin]) - 1]))
    assert coin in MARKET.gone(NOW) and coin not in MARKET.active(NOW)


def test_a_redenomination_changes_price_and_supply_but_not_the_cap() -> None:
    here = MARKET.universe
    coin = int(np.flatnonzero((here.redenominated_ms < END_MS) & (here.born_ms < NOW))[0])
    at = int(here.redenominated_ms[coin])
    price, cap = MARKET.prices(coin, [at - 1, at]), MARKET.caps(coin, [at - 1, at])
    assert math.isclose(price[1] / price[0], here.factor[coin], rel_tol=1e-4)
    assert math.isclose(cap[1], cap[0], rel_tol=1e-4)


def test_a_renaming_changes_the_name_but_not_the_id() -> None:
    names = Names(7, MARKET.universe, Traps(7))
    coin = int(np.flatnonzero(MARKET.universe.renamed_ms < NEVER_MS)[0])
    at = int(MARKET.universe.renamed_ms[coin])
    before, after = names.of(coin, at - 1), names.of(coin, at)
    assert before.id == after.id and before.name != after.name


def test_ids_are_unique_lead_back_to_their_coins_and_say_that_they_are_simulated() -> None:
    names = Names(7, MARKET.universe, Traps(7))
    ids = [names.id(coin) for coin in range(len(MARKET.universe))]
    assert len(set(ids)) == len(ids)
    assert all(each.startswith("sim-") for each in ids)
    assert [names.coin(each) for each in ids] == list(range(len(ids)))
    assert all(names.of(coin, NOW).name.startswith("Simulated ") for coin in range(100))
    for nobody in ("bitcoin", "sim-", "sim-nobody", ids[100][:-1] + "zz", "sim-bitcoin ", "", "sim-" + "z" * 40):
        assert names.coin(nobody) is None


def test_volume_grows_with_the_move_of_the_price_and_has_a_heavy_tail() -> None:
    times = NOW - np.arange(1500) * DAY_MS
    for coin in (0, 1, 4):
        volume = MARKET.volumes_24h(coin, times) / MARKET.caps(coin, times)
        moved = np.abs(np.log(MARKET.prices(coin, times) / MARKET.prices(coin, times - DAY_MS)))
        assert np.corrcoef(np.log(volume), moved)[0, 1] > 0.2
        assert volume.max() > 5 * np.median(volume)


def test_returns_have_fat_tails_cluster_and_follow_bitcoin() -> None:
    found = statistics.simulated(MARKET)
    assert len(found) > 15
    bitcoin = found["bitcoin"]
    assert 0.025 < bitcoin.volatility < 0.06 and 6 < bitcoin.kurtosis < 40
    assert bitcoin.clustering_1d > 0.1 and bitcoin.clustering_7d > 0.05
    others = statistics.groups(found, statistics.SIMULATED_STABLE)["other coins"]
    assert 0.3 < np.median([each.to_bitcoin for each in others]) < 0.8
    assert np.median([each.kurtosis for each in others]) > 6
    assert np.median([each.drawdown for each in others]) < -0.7


def test_the_simulated_market_is_of_the_same_order_as_the_real_one(shared: Path) -> None:
    real = statistics.groups(statistics.real(shared / "coingecko" / "histories"), statistics.REAL_STABLE)
    made = statistics.groups(statistics.simulated(MARKET), statistics.SIMULATED_STABLE)
    for group, rows in real.items():
        there, here = (statistics.Measures(*np.median(np.array(side), axis=0)) for side in (rows, made[group]))
        is_stable = group == "stablecoins"
        bounds = {
            "volatility": (0.6, 1.6),
            "kurtosis": (0.4, 2.5),
            "clustering_1d": (0.5, 2.0) if is_stable else (0.4, 3.0),
            "clustering_7d": (0.5, 2.0) if is_stable else (0.4, 2.5),
            "to_bitcoin": (0.7, 1.4),
            "drawdown": (0.5, 2.0) if is_stable else (0.8, 1.25),
        }
        if is_stable:  # that of the others is next to nothing, and so is what they have to do with bitcoin
            bounds["clustering_30d"] = (0.5, 2.0)
            del bounds["to_bitcoin"]
            assert abs(here.to_bitcoin) < 0.1
        else:
            assert 0 < here.clustering_30d < 0.15
        for measure, (low, high) in bounds.items():
            ratio = getattr(here, measure) / getattr(there, measure)
            assert low < ratio < high, (group, measure, ratio)


def test_the_page_shows_the_statistics_as_they_are(shared: Path) -> None:
    page = (ROOT / "docs" / "simulator.md").read_text()
    assert statistics.table(shared / "coingecko" / "histories") in page


def test_the_page_names_every_trap_and_fault() -> None:
    from coinlake.simulator.faults import FAULTS

    page = (ROOT / "docs" / "simulator.md").read_text()
    assert [name for name in (*TRAPS, *FAULTS) if f"`{name}`" not in page] == []


# Dirt ----------------------------------------------------------------------------------------------------------------


@given(st.sampled_from(sorted(TRAPS)), st.integers(0, 10**6), st.integers(0, 10**6))
def test_whether_a_trap_springs_does_not_depend_on_what_was_asked_before(name: str, coin: int, day: int) -> None:
    rates = {name: 0.5}
    once, again = Traps(7, rates), Traps(7, rates)
    again.springs(name, np.arange(50), day)
    assert once.hits(name, coin, day) == again.hits(name, coin, day) == bool(again.springs(name, [coin], day)[0])


def test_traps_spring_at_their_rates() -> None:
    for rate in (0.0, 0.01, 0.3, 1.0):
        sprung = Traps(7, {"stale": rate}).springs("stale", np.arange(1000)[:, None], np.arange(100)[None, :])
        assert abs(sprung.mean() - rate) < 0.005


def test_an_unknown_trap_and_an_impossible_rate_are_refused() -> None:
    with pytest.raises(ConfigError, match="there is no trap 'nonsense'"):
        Traps(7, {"nonsense": 0.5})
    with pytest.raises(ConfigError, match="from 0 to 1"):
        Traps(7, {"stale": 2})
