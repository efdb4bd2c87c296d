"""Indicators are what TA-Lib and a plain calculation say; bit by bit they are what a rebuild makes; the past stays."""

from __future__ import annotations

import csv
import gzip
import math
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import talib
from formulas import SAID
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from coinlake import catalog
from coinlake.engine import engine, recursive, windows
from coinlake.engine.series import arrays, frame_of, series_of
from coinlake.gold import indicators
from coinlake.gold.analyze import ITSELF
from strategies import examples

Columns = dict[str, NDArray[Any]]
FIRST = date(2020, 1, 1)
DAILY = catalog.table("gold.daily")


def days(
    close: Sequence[float],
    coin: str = "acoin",
    first: date = FIRST,
    source: str = "coingecko",
    **more: Sequence[float],
) -> Columns:
    """Rows of gold.daily of one coin; a day without a close (NaN) has none."""
    n = len(close)
    given = {"high_usd": close, "low_usd": close, "market_cap_usd": [math.nan] * n, "volume_24h_usd": [math.nan] * n}
    columns: Columns = {
        "coin_id": np.array([coin] * n, dtype=object),
        "source": np.array([source] * n, dtype=object),
        "day": np.datetime64(first) + np.arange(n),
        "close_usd": np.asarray(close, dtype=float),
        **{name: np.asarray(more.get(name, values), dtype=float) for name, values in given.items()},
        "range_is_sampled": np.asarray(more.get("range_is_sampled", [True] * n), dtype=bool),
    }
    known = ~np.isnan(columns["close_usd"])
    return {name: values[known] for name, values in columns.items()}


def together(*coins: Columns) -> Columns:
    return {name: np.concatenate([each[name] for each in coins]) for name in coins[0]}


def made(*coins: Columns, on: str = "duckdb") -> Columns:
    """gold.indicators of these days."""
    runs_on = engine(on)
    nothing = {name: np.array([], dtype=_DTYPES.get(name, object)) for name in indicators.CARRIES}
    read = {"gold.daily": frame_of(runs_on, together(*coins)), ITSELF: frame_of(runs_on, nothing)}
    return arrays(runs_on, runs_on.frame(indicators.build(read, (), runs_on)), ("coin_id", "day"))


_DTYPES: dict[str, Any] = {"day": "datetime64[D]", "peak_day": "datetime64[D]", "peak_usd": float}


# Rows as arrays ------------------------------------------------------------------------------------------------------

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=3)


@pytest.mark.parametrize("on", ["duckdb", "pandas"])
@given(rows=st.dictionaries(st.tuples(NAMES, st.sampled_from("ab'"), st.integers(0, 9)), st.none() | st.floats(0, 9)))
def test_long_series_are_the_same_arrays_in_the_same_order(on: str, rows: dict[tuple[str, str, int], float]) -> None:
    coins, sources, places = zip(*rows, strict=True) if rows else ([], [], [])
    columns: Columns = {
        "coin_id": np.array(coins, dtype=object),
        "source": np.array(sources, dtype=object),
        "day": np.datetime64(FIRST) + np.array(places, dtype=int),
        "close_usd": np.array(list(rows.values()), dtype=float),
    }
    runs_on = engine(on)
    found = series_of(runs_on, frame_of(runs_on, columns), ("coin_id", "source"))
    expected = arrays(runs_on, frame_of(runs_on, columns), ("coin_id", "source", "day"))
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)


def walk(n: int, seed: int = 1, start: float = 100.0, sigma: float = 0.05) -> NDArray[np.float64]:
    walked: NDArray[np.float64] = start * np.exp(np.random.default_rng(seed).normal(0, sigma, n).cumsum())
    return walked


def close_to(ours: NDArray[Any], theirs: NDArray[Any], rtol: float = 1e-9) -> None:
    known = ~np.isnan(theirs)
    assert known.any()
    np.testing.assert_allclose(ours[known], theirs[known], rtol=rtol, atol=0)


# What they are -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [100.0, 2.993e-05, 5.6e-11, 7e4])
def test_where_ta_lib_has_the_function_the_values_are_its_own(start: float) -> None:
    x = walk(700, start=start)
    ours, plain = made(days(x)), x / start * 100  # TA-Lib takes under 1e-14 for zero: it is asked at 100 dollars
    scale = start / 100
    for n in indicators.SMA:
        close_to(ours[f"sma_{n}d"], talib.SMA(plain, n) * scale)
    for n in recursive.EMA:
        close_to(ours[f"ema_{n}d"], talib.EMA(plain, n) * scale)
    for name, theirs in zip(("macd", "macd_signal"), talib.MACD(plain, 12, 26, 9), strict=False):
        close_to(ours[name] / start, theirs / 100, 1e-8)
    close_to(ours["rsi_14d"], talib.RSI(plain, 14))
    upper, middle, lower = talib.BBANDS(plain, 20, 2, 2)
    for name, theirs in (("upper", upper), ("middle", middle), ("lower", lower)):
        close_to(ours[f"bollinger_{name}_20d"], theirs * scale)


def test_windows_are_what_a_plain_calculation_says() -> None:
    x = walk(500)
    bitcoin = walk(500, seed=2)
    ours = made(days(x), days(bitcoin, "bitcoin"))
    mine = {name: values[ours["coin_id"] == "acoin"] for name, values in ours.items()}
    t, r, b = 480, np.diff(np.log(x)), np.diff(np.log(bitcoin))
    last, theirs = r[t - 90 : t], b[t - 90 : t]
    simple = np.expm1(last)
    expected = {
        "volatility_90d": last.std(ddof=1) * math.sqrt(365),
        "volatility_30d": last[-30:].std(ddof=1) * math.sqrt(365),
        "beta_btc_90d": np.cov(last, theirs)[0, 1] / theirs.var(ddof=1),
        "correlation_btc_30d": np.corrcoef(last[-30:], theirs[-30:])[0, 1],
        "sharpe_90d": simple.mean() / simple.std(ddof=1) * math.sqrt(365),
        "sortino_90d": simple.mean() / math.sqrt((np.minimum(simple, 0) ** 2).mean()) * math.sqrt(365),
        "z_score_20d": (x[t] - x[t - 19 : t + 1].mean()) / x[t - 19 : t + 1].std(),
        "drawdown": x[t] / x[: t + 1].max() - 1,
        "days_since_peak": t - int(np.argmax(x[: t + 1])),
        "high_365d_usd": x[t - 364 : t + 1].max(),
        "distance_low_365d": x[t] / x[t - 364 : t + 1].min() - 1,
        "return_90d": x[t] / x[t - 90] - 1,
        "return_365d": x[t] / x[t - 365] - 1,
        "rate_of_change_14d": x[t] / x[t - 14] - 1,
        "percent_b_20d": (x[t] - (x[t - 19 : t + 1].mean() - 2 * x[t - 19 : t + 1].std()))
        / (4 * x[t - 19 : t + 1].std()),
    }
    for name, value in expected.items():
        assert mine[name][t] == pytest.approx(value, rel=1e-9), name


def test_a_window_keeps_its_digits_after_a_fall_by_a_hundred_million() -> None:
    x = np.r_[walk(300, start=1e4), walk(300, seed=3, start=1e-4)]
    ours = made(days(x))
    tail = x[-200:]
    assert ours["sma_200d"][-1] == pytest.approx(math.fsum(tail) / 200, rel=1e-14)
    assert ours["bandwidth_20d"][-1] == pytest.approx(4 * x[-20:].std() / x[-20:].mean(), rel=1e-9)


@pytest.mark.parametrize("name", ["ema_12d", "ema_26d", "ema_50d", "rsi_14d", "macd_signal"])
def test_a_value_that_has_converged_forgets_its_seed(name: str) -> None:
    """Against a start 400 days earlier: the difference is under a thousandth of that of the seeds."""
    flag = "macd_converged" if name == "macd_signal" else f"{name}_converged"
    for seed in range(5):
        x = walk(800, seed=seed)
        late, early = made(days(x[400:])), made(days(x))
        ours, theirs = late[name], early[name][400:]
        converged = late[flag].astype(bool)
        seeded = np.abs(ours - theirs)[~np.isnan(ours)]
        scale = 100 if name == "rsi_14d" else np.ptp(x[380:420])
        assert converged.any() and not converged[~np.isnan(ours)].all()
        assert np.abs(ours - theirs)[converged].max() <= 0.001 * max(scale, seeded[0])


@examples(40)
@given(st.integers(0, 10**6), st.integers(recursive.ADX_NEEDS, 400), st.integers(1, 60))
def test_a_run_goes_on_from_any_of_its_observations_to_the_same_values(seed: int, last: int, more: int) -> None:
    """Prices that walk, now and then stand still for long, and may be worth next to nothing."""
    random, n = np.random.default_rng(seed), 460
    close = walk(n, seed, start=10.0 ** random.integers(-9, 5), sigma=0.03)
    high, low = close * (1 + random.uniform(0, 0.03, n)), close * (1 - random.uniform(0, 0.03, n))
    for begins in random.integers(0, n, random.integers(0, 3)):
        for each in (close, high, low)[: random.integers(1, 4)]:
            each[begins : begins + random.integers(1, 250)] = each[begins]
    high, low = np.maximum(high, close), np.minimum(low, close)
    last = max(last, recursive.EMA[-1])
    whole = recursive.of_closes(close) | recursive.of_ranges(high, low, close)
    ends = last + 1 + more
    state = {name: whole[name][last : last + 1] for name in recursive.STATE}
    seen = recursive.Seen(*(each[np.newaxis, last:ends] for each in (close, high, low)))

    def recent(run: int, place: int) -> recursive.Seen:
        return recursive.Seen(
            *(each[last + place - recursive.ADX_NEEDS :][: recursive.ADX_NEEDS + 1] for each in (close, high, low))
        )

    if seen.close.shape[1] == 1:
        return
    on = recursive.continued(state, seen, recent)
    assert on.keys() == whole.keys()
    assert all(values.shape == (1, min(more, n - 1 - last)) for values in on.values())
    for name, values in on.items():
        size = close.max() if "macd" in name else 1.0
        np.testing.assert_allclose(values[0], whole[name][last + 1 : ends], rtol=1e-11, atol=1e-13 * size, err_msg=name)


def test_a_run_that_stood_still_ends_while_others_go_on() -> None:
    still = np.full(300, 2.0)
    runs, last = (still, walk(300)), 200
    whole = [recursive.of_closes(close) | recursive.of_ranges(close, close, close) for close in runs]
    state = {name: np.array([each[name][last] for each in whole]) for name in recursive.STATE}
    given = np.array([close[last : last + 3] for close in runs])
    given[0, 1:] = np.nan

    def recent(run: int, place: int) -> recursive.Seen:
        raise AssertionError(f"run {run} does not move again at {place}")

    on = recursive.continued(state, recursive.Seen(given, given, given), recent)
    np.testing.assert_allclose(on["adx_14d"][1], whole[1]["adx_14d"][last + 1 : last + 3], rtol=1e-11)


def test_true_ranges_are_ta_libs_and_say_when_they_are_sampled() -> None:
    x = walk(400)
    high, low = x * 1.03, x * 0.98
    sampled = [True] * 100 + [False] * 300
    ours = made(days(x, high_usd=high, low_usd=low, range_is_sampled=sampled))
    close_to(ours["atr_14d"], talib.ATR(high, low, x, 14))
    close_to(ours["adx_14d"], talib.ADX(high, low, x, 14))
    assert ours["range_is_sampled"][:100].all()
    assert ours["range_is_sampled"][192] and not ours["range_is_sampled"][193:].any()


# What they refuse ----------------------------------------------------------------------------------------------------


def test_a_flat_price_is_neither_strong_nor_weak() -> None:
    ours = made(days([1.0] * 500))
    assert set(ours["rsi_14d"][14:]) == {50.0}
    assert set(ours["volatility_90d"][90:]) == {0.0}
    for name in ("percent_b_20d", "z_score_20d", "sharpe_90d", "sortino_90d"):
        assert np.isnan(ours[name]).all(), name


def test_a_price_that_went_flat_for_good_ends_neither_strong_nor_weak() -> None:
    assert made(days(np.r_[walk(100), [5.0] * 900]))["rsi_14d"][-1] == 50.0
    assert made(days(np.linspace(100, 50, 60)))["rsi_14d"][-1] == 0.0
    flat = made(days(np.r_[walk(100), [5.0] * 200]))["rsi_14d"][100:]
    assert set(flat[recursive.FLAT_FOR :]) == {50.0} and 50.0 not in flat[: recursive.FLAT_FOR]


@pytest.mark.parametrize("spread", [0.0, 0.01])
def test_a_range_that_stood_still_remembers_no_direction(spread: float) -> None:
    """However long it stood, and wherever one begins to read."""
    close = np.r_[walk(200), np.full(1600, 5.0), walk(300, 2, 5.0)]
    high, low = close * (1 + spread), close * (1 - spread)
    whole = recursive.of_ranges(high, low, close)["adx_14d"]
    after = recursive.CONVERGED_AFTER["adx_14d"]
    assert (whole[200 + after : 1800] == 0).all() and (whole[200 : 200 + after] > 0).all()
    for begins in (150, 190, 400, 1700):
        later = recursive.of_ranges(high[begins:], low[begins:], close[begins:])["adx_14d"]
        assert later[1800 - begins :].tolist() == pytest.approx(whole[1800:].tolist(), rel=1e-12), begins


def test_nothing_is_compared_across_a_new_unit() -> None:
    x = np.r_[walk(300, start=0.5), walk(300, seed=2, start=53.0)]
    ours = made(days(x))
    assert ours["is_break"].nonzero()[0].tolist() == [300]
    assert np.isnan(ours["return_1d"][300]) and np.isnan(ours["return_30d"][300:330]).all()
    assert np.isnan(ours["sma_200d"][300:499]).all() and not np.isnan(ours["sma_200d"][499:]).any()
    assert ours["observations_in_run"][300] == 1
    assert ours["peak_usd"][300] == x[300]
    assert ours["high_365d_usd"][-1:].tolist() != [x.max()] or x[300:].max() == x.max()


def test_a_rise_that_the_market_cap_does_not_follow_is_a_new_unit() -> None:
    x = np.r_[[1.0] * 50, [8.0] * 50]
    followed = made(days(x, market_cap_usd=x * 10))
    assert not followed["is_break"].any()
    assert made(days(x, market_cap_usd=[10.0] * 100))["is_break"].nonzero()[0].tolist() == [50]


def test_a_fall_is_always_believed() -> None:
    ours = made(days(np.r_[[80.0] * 50, [0.0001] * 50]))
    assert not ours["is_break"].any()
    assert ours["drawdown"][-1] == pytest.approx(-1, abs=1e-5)


def test_a_short_gap_is_gone_over_and_a_long_one_begins_anew() -> None:
    x = walk(200)
    short, long = x.copy(), x.copy()
    short[100:103], long[100:104] = np.nan, np.nan
    over = made(days(short))
    close_to(over["ema_12d"], talib.EMA(short[~np.isnan(short)], 12))
    assert over["observations_in_run"].max() == 197
    assert made(days(long))["observations_in_run"][100] == 1


def test_a_window_needs_nine_tenths_of_its_days() -> None:
    x = walk(120)
    x[60:63] = np.nan
    ours = made(days(x))
    by_day = dict(zip((ours["day"] - np.datetime64(FIRST)).astype(int).tolist(), ours["sma_20d"], strict=True))
    assert math.isnan(by_day[70]) and not math.isnan(by_day[80])
    assert by_day[81] == pytest.approx(np.nanmean(x[62:82]), rel=1e-14)
    assert np.isnan(ours["sma_50d"][:49]).all()


def test_a_source_is_not_compared_with_another() -> None:
    mine, theirs = walk(100), walk(100, seed=2)
    ours = made(days(mine, source="mine"), days(theirs, first=FIRST + timedelta(days=100)))
    assert np.isnan(ours["return_1d"][100]) and np.isnan(ours["sma_7d"][100:106]).all()
    assert ours["peak_usd"][100] == theirs[0]


def test_a_coin_dead_for_a_year_has_no_averages_of_before() -> None:
    x = np.r_[walk(100), [np.nan] * 365, walk(20, seed=2)]
    ours = made(days(x))
    assert np.isnan(ours["sma_50d"][100:]).all() and not np.isnan(ours["sma_7d"][-1])
    assert ours["days_since_peak"][-1] > 365


# On whatever prices --------------------------------------------------------------------------------------------------

_closes = st.lists(
    st.one_of(st.floats(1e-12, 1e6), st.sampled_from([math.nan, 1.0, 1.0, 2.0, 1e-12])), min_size=1, max_size=120
)


@examples(30)
@given(_closes, _closes)
def test_no_value_is_infinite_and_the_past_never_changes(mine: list[float], bitcoins: list[float]) -> None:
    whole = made(days([1.0, *mine]), days([1.0, *bitcoins], "bitcoin"))
    cut = np.datetime64(FIRST) + len(mine) // 2
    daily = together(days([1.0, *mine]), days([1.0, *bitcoins], "bitcoin"))
    then = made({name: values[daily["day"] <= cut] for name, values in daily.items()})
    now = {name: values[whole["day"] <= cut] for name, values in whole.items()}
    for name, values in whole.items():
        if values.dtype.kind == "f":
            assert not np.isinf(values).any(), name
        np.testing.assert_array_equal(then[name], now[name], err_msg=name)


@examples(5)
@given(_closes)
def test_both_engines_make_the_same_indicators(mine: list[float]) -> None:
    both = [made(days([1.0, *mine]), days([2.0] * 50, "bitcoin"), on=on) for on in ("duckdb", "pandas")]
    for name, values in both[0].items():
        np.testing.assert_array_equal(values, both[1][name], err_msg=name)


def test_the_mean_of_a_window_keeps_its_digits_beside_what_comes_later() -> None:
    x = np.array([[1.0, 1.00001, np.nan, 1e9]])
    assert windows.moments(x, windows.Window(2, 0)).mean[0, 1] == 1.000005
    assert windows.moments(x, windows.Window(3, 1)).mean[0, 2] == 1.000005


@examples(20)
@given(
    st.lists(st.one_of(st.floats(1e-9, 1e9), st.just(math.nan)), min_size=3, max_size=90),
    st.integers(2, 30),
    st.integers(0, 40),
)
def test_a_window_is_the_same_wherever_the_arrays_begin(values: list[float], length: int, origin: int) -> None:
    x = np.array([values])
    whole = windows.moments(x, windows.Window(length, origin))
    for t in range(len(values)):
        inside = x[0, max(0, t - length + 1) : t + 1]
        inside = inside[~np.isnan(inside)]
        assert whole.known[0, t] == len(inside)
        if len(inside):
            assert whole.mean[0, t] == pytest.approx(math.fsum(inside) / len(inside), rel=1e-12)
    later = windows.moments(x[:, 1:], windows.Window(length, origin + 1))
    for one, other in zip(whole, later, strict=True):
        np.testing.assert_array_equal(one[:, length:], other[:, length - 1 :])


_WINDOWED = {
    "count": lambda x, y, window: [windows.count(x, window)],
    "moments": lambda x, y, window: windows.moments(x, window),
    "comoments": windows.comoments,
    "highest": lambda x, y, window: [windows.highest(x, window)],
    "lowest": lambda x, y, window: [windows.lowest(x, window)],
}


@pytest.mark.parametrize("what", _WINDOWED)
@examples(15)
@given(seed=st.integers(0, 2**32 - 1), length=st.integers(2, 30), origin=st.integers(0, 40))
def test_a_window_is_the_same_asked_for_alone_and_whatever_comes_later(
    what: str, seed: int, length: int, origin: int
) -> None:
    chance = np.random.default_rng(seed)
    x, y = (np.exp(chance.normal(0, 3, (3, 70))) for _ in range(2))
    x[chance.random(x.shape) < 0.4], y[chance.random(y.shape) < 0.2] = np.nan, np.nan
    whole = _WINDOWED[what](x, y, windows.Window(length, origin))
    for end in range(1, 71):
        few = min(end, 1 + end % (windows.FEW + 3))
        mine = x[:, :end], y[:, :end]
        until = _WINDOWED[what](*mine, windows.Window(length, origin))
        asked = _WINDOWED[what](*mine, windows.Window(length, origin, end - few))
        for one, then, alone in zip(whole, until, asked, strict=True):
            np.testing.assert_array_equal(one[:, :end], then)
            np.testing.assert_array_equal(one[:, end - few : end], alone)


# On real histories ---------------------------------------------------------------------------------------------------


PAGE = Path(__file__).parents[1] / "docs" / "indicators.md"


def test_the_page_of_indicators_is_what_real_histories_say(shared: Path) -> None:
    """The script fails where TA-Lib or a plain calculation disagrees; differences are compared by their size."""
    script = [sys.executable, "benchmarks/agreement.py", str(shared / "coingecko" / "histories")]
    ran = subprocess.run(script, cwd=PAGE.parents[1], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    sized = [re.sub(r"\d(?=e-\d\d )", "n", text) for text in (ran.stdout, PAGE.read_text())]
    assert sized[0].splitlines() == sized[1].splitlines()


def test_the_page_of_indicators_tells_the_formula_of_every_column() -> None:
    rows = [line.strip("| ").split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    told = {cells[0].strip("`"): cells[1:] for cells in rows}
    assert len(told) == len(rows)
    assert told.keys() == SAID.keys() == indicators.TABLE.columns.keys()
    for name, cells in told.items():
        formula, begins_with, first, converged = (cell.strip() for cell in cells[:4])
        assert formula and begins_with and converged and first.startswith("day "), name


def test_every_column_begins_and_has_converged_on_the_day_that_the_page_tells() -> None:
    x = walk(450)
    ours = made(days(x, volume_24h_usd=walk(450, seed=3)), days(walk(450, seed=2), "bitcoin"))
    mine = {name: values[ours["coin_id"] == "acoin"] for name, values in ours.items()}
    for name, said in SAID.items():
        known = ~np.isnan(mine[name]) if mine[name].dtype.kind == "f" else np.ones(len(x), dtype=bool)
        assert known[said.first - 1 :].all() and not known[: said.first - 1].any(), name
        if isinstance(said.converged, int):
            flag = mine[f"{'macd' if name.startswith('macd') else name}_converged"].astype(bool)
            assert flag.argmax() + 1 == said.converged, name


def test_aave_gains_nothing_by_its_redenomination(shared: Path) -> None:
    with gzip.open(shared / "coingecko" / "histories" / "aave.csv.gz", "rt") as file:
        closes = {row["day"]: float(row["close"]) for row in csv.DictReader(file)}
    assert closes["2020-10-03"] / closes["2020-10-02"] > 100
    ours = made(days(list(closes.values()), first=date(2020, 10, 2)))
    assert ours["is_break"].nonzero()[0].tolist() == [1]
    assert np.nanmax(ours["return_1d"]) < 0.6 and np.nanmax(ours["return_365d"]) < 15
    assert np.nanmax(ours["volatility_90d"]) < 3


def test_what_shiba_inu_was_worth_while_it_was_worth_nothing_is_unknown(shared: Path) -> None:
    with gzip.open(shared / "coingecko" / "histories" / "shiba-inu.csv.gz", "rt") as file:
        closes = [float(row["close"] or 0) or math.nan for row in csv.DictReader(file)]
    assert sum(map(math.isnan, closes)) == 258
    ours = made(days(closes, first=date(2021, 4, 16)))
    assert len(ours["day"]) == len(closes) - 258
    for name, values in ours.items():
        assert values.dtype.kind != "f" or not np.isinf(values).any(), name
