"""What a rule earned is what one computes by hand, nothing is paid for what nobody could know, and luck is named."""

from __future__ import annotations

import math
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import jquantstats
import numpy as np
import odds as real_odds
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from coinlake import catalog
from coinlake.contract import kept
from coinlake.duck import connect
from coinlake.engine import engine
from coinlake.engine.series import frame_of
from coinlake.gold import backtests, signals
from coinlake.gold.evidence import corrected, excess
from coinlake.gold.field import Columns as Rows
from coinlake.gold.field import Field, chosen
from coinlake.gold.following import rows
from coinlake.gold.odds import ODDS, Closed, closed_trades, odds
from coinlake.gold.rules import idea, rules
from coinlake.gold.rules.rule import Days, Fired, Rule
from coinlake.gold.trading import Curve, History, curve, measures, trades
from coinlake.lake import Lake
from coinlake.pipeline import definitions
from strategies import examples
from test_gold import MIDNIGHT, D, bring_up, daily_point, observe, stored
from test_indicators import days, together, walk
from test_indicators import made as indicators_of
from test_signals import seen

Columns = dict[str, NDArray[Any]]
Tested = dict[tuple[str, str], dict[str, Any]]

ROOT = Path(__file__).parents[1]
COST = 0.0015
FIRST = np.datetime64("2021-03-01")


def history(*close: float, breaks: tuple[int, ...] = ()) -> History:
    """Closes of consecutive days; NaN is unknown. Bitcoin is the coin itself."""
    closes = np.array(close)
    new = np.isin(np.arange(len(close)), breaks)
    return History(FIRST + np.arange(len(close)), closes, new, closes)


def following(of: History, ups: tuple[int, ...], downs: tuple[int, ...] = (), **more: Any) -> Curve:
    events = np.zeros(len(of.day), dtype=np.int8)
    events[list(ups)], events[list(downs)] = 1, -1
    return curve(of, events, more.pop("holding_days", None), more.pop("cost", COST), **more)


# By hand -------------------------------------------------------------------------------------------------------------


def test_five_days_by_hand_agree_to_the_cent() -> None:
    """10,000 dollars: bought at 110 on the day after an event; down a tenth, up a tenth; sold a day after the other."""
    it = following(history(100, 110, 99, 108.9, 119.79), ups=(0,), downs=(2,))
    assert [round(10_000 * worth, 2) for worth in it.strategy] == [9_985.00, 8_986.50, 9_870.32, 9_870.32]
    assert [round(10_000 * worth, 2) for worth in it.holding] == [9_985.00, 8_986.50, 9_885.15, 10_873.67]
    assert it.day.tolist() == [date(2021, 3, day) for day in (2, 3, 4, 5)]
    assert it.held.tolist() == [True, True, False, False]


def test_a_position_ends_after_the_days_it_is_held_for_and_a_new_event_begins_them_anew() -> None:
    flat = history(*[100.0] * 12)
    assert np.flatnonzero(following(flat, ups=(1,), holding_days=3).held).tolist() == [1, 2, 3]
    assert np.flatnonzero(following(flat, ups=(1, 3), holding_days=3).held).tolist() == [1, 2, 3, 4, 5]
    assert np.flatnonzero(following(flat, ups=(1,), downs=(2,), holding_days=3).held).tolist() == [1]


def test_on_a_missing_day_the_position_is_held_and_the_next_day_brings_the_whole_return() -> None:
    it = following(history(100, 100, math.nan, 121), ups=(0,), cost=0)
    assert it.strategy.tolist() == it.holding.tolist() == [1, 1, 1.21]
    late = following(history(100, 100, math.nan, 121, 242), ups=(1,), cost=0)
    assert late.held.tolist() == [False, False, True, True], "what cannot be traded at once is traded next"
    assert late.strategy.tolist() == [1, 1, 1, 2]


def test_a_new_unit_closes_the_position_at_the_last_price_before_and_is_nobodys_gain() -> None:
    it = following(history(100, 100, 110, 11_000, 12_100, breaks=(3,)), ups=(0,))
    assert it.strategy.tolist() == pytest.approx([1 - COST, 1.1 * (1 - COST), *[1.1 * (1 - COST) ** 2] * 2], rel=1e-15)
    assert it.holding.tolist() == pytest.approx([1 - COST, 1.1 * (1 - COST), 1.1 * (1 - COST), 1.21 * (1 - COST)])
    assert it.held.tolist() == [True, True, False, False]


def test_what_is_held_when_the_closes_end_stays_at_its_last_price() -> None:
    it = following(history(100, 100, 50, math.nan, math.nan), ups=(0,), downs=(2,), cost=0)
    assert it.strategy.tolist() == [1, 0.5, 0.5, 0.5]
    assert it.held.tolist() == [True] * 4, "nobody buys it"


def test_any_part_of_a_history_can_be_asked_for_with_other_costs() -> None:
    whole = history(100, 110, 121, 133.1, 146.41)
    it = following(whole, ups=(0, 2), cost=0.01, first=FIRST + 2, last=FIRST + 3)
    assert it.day.tolist() == [date(2021, 3, 4)]
    assert it.strategy.tolist() == it.holding.tolist() == [0.99]
    assert len(following(whole, ups=(), first=FIRST + 9).day) == 0


def test_a_trade_that_is_still_open_is_not_counted() -> None:
    held = np.array([[False, True, True, False, True], [True, False, True, False, False], [False] * 5])
    earned = np.full((3, 5), 0.1)
    it = trades(earned, held, COST)
    assert (it.coin.tolist(), it.opened.tolist(), it.closed.tolist()) == ([0, 1, 1], [1, 0, 2], [3, 1, 3])
    net = np.array([1.1**2, 1.1, 1.1]) * (1 - COST) ** 2 - 1
    assert it.net_return == pytest.approx(net, rel=1e-12)
    assert trades(earned, held, 0, sign=-1).net_return == pytest.approx([-0.21, -0.1, -0.1])


def test_odds_are_of_trades_closed_before_the_day_alone() -> None:
    known = Closed(FIRST + np.array([1, 3, 5]), np.array([0.1, -0.2, 0.3])).before(FIRST + np.array([6, 1, 5, 2]))
    assert known["odds_trades"].tolist() == [3, 0, 2, 1]
    assert known["odds_won"] == pytest.approx([2 / 3, math.nan, 0.5, 1], nan_ok=True)
    assert known["odds_median"] == pytest.approx([0.1, math.nan, -0.05, 0.1], nan_ok=True)


def test_the_odds_of_a_way_down_are_of_what_the_coin_loses() -> None:
    days = one_coin(100, 100, 80, 90, 100, 100)
    fired = fired_on((0, "down"), (1, "up"), (3, "down"), (4, "up"), (5, "down"))
    closed = closed_trades([Field.of(days)], fired)
    assert closed["mine", "down"].day.tolist() == [date(2021, 3, 3), date(2021, 3, 6)]
    assert closed["mine", "down"].net_return == pytest.approx(np.array([1.2, 1.0]) * (1 - COST) ** 2 - 1)
    assert closed["mine", "up"].net_return == pytest.approx([(100 / 80) * (1 - COST) ** 2 - 1])


def test_a_trade_that_is_open_or_closes_on_the_signals_day_has_no_part_in_its_odds() -> None:
    days = one_coin(100, 100, 150, 150, 150)
    fired = fired_on((0, "up"), (1, "down"), (2, "up"), (3, "up"))
    closed = closed_trades([Field.of(days)], fired)
    assert closed["mine", "up"].day.tolist() == [date(2021, 3, 3)], "bought on the second day, sold on the third"
    assert odds(closed, fired)["odds_trades"].tolist() == [0, 0, 0, 1], "the last purchase is still open"


def one_coin(*close: float) -> Rows:
    n = len(close)
    names = {"coin_id": np.array(["bitcoin"] * n, dtype=object), "source": np.array(["coingecko"] * n, dtype=object)}
    return {**names, "day": FIRST + np.arange(n), "close_usd": np.array(close), "is_break": np.zeros(n, dtype=bool)}


def fired_on(*events: tuple[int, str]) -> Rows:
    names = {"coin_id": "bitcoin", "rule": "mine"}
    columns = {name: np.array([value] * len(events), dtype=object) for name, value in names.items()}
    direction = np.array([way for _, way in events], dtype=object)
    return {**columns, "day": FIRST + np.array([place for place, _ in events]), "direction": direction}


# Truths --------------------------------------------------------------------------------------------------------------

_closes = st.lists(st.none() | st.floats(1e-6, 1e6), min_size=2, max_size=40).map(
    lambda values: [math.nan if value is None else value for value in values]
)


@examples(50)
@given(_closes)
def test_always_long_is_holding_to_the_last_bit(close: list[float]) -> None:
    it = following(history(*close), ups=tuple(range(len(close))))
    assert it.strategy.tolist() == it.holding.tolist()
    free = following(history(*close), ups=tuple(range(len(close))), cost=0)
    assert it.strategy == pytest.approx(free.holding * (1 - COST), rel=1e-12)


@examples(20)
@given(_closes)
def test_a_rule_that_never_trades_is_cash(close: list[float]) -> None:
    assert set(following(history(*close), ups=()).strategy.tolist()) <= {1.0}


def test_cash_has_measures_of_nothing_and_ratios_that_are_not_known() -> None:
    it = measures(np.zeros(40))
    assert (it.total_return, it.annual_return, it.volatility, it.maximum_drawdown) == (0, 0, 0, 0)
    assert (it.sharpe, it.sortino, it.calmar) == (None, None, None)


@pytest.mark.parametrize("seed", range(4))
def test_measures_are_what_another_library_says(seed: int) -> None:
    net = np.random.default_rng(seed).normal(0.001, 0.04, 365 * (seed + 1))
    mine = measures(net)
    day = [date(2020, 1, 1) + timedelta(n) for n in range(len(net))]
    theirs = jquantstats.Data.from_returns(returns=pl.DataFrame({"Date": day, "A": net})).stats
    assert mine.total_return == pytest.approx(theirs.comp()["A"], rel=1e-9)
    assert mine.annual_return == pytest.approx(theirs.cagr(periods=365)["A"], rel=1e-9)
    assert mine.volatility == pytest.approx(theirs.volatility(periods=365)["A"], rel=1e-9)
    assert mine.sharpe == pytest.approx(theirs.sharpe(periods=365)["A"], rel=1e-9)
    assert mine.sortino == pytest.approx(theirs.sortino(periods=365)["A"], rel=1e-9)
    assert mine.maximum_drawdown == pytest.approx(theirs.max_drawdown()["A"], rel=1e-9)
    assert mine.calmar == pytest.approx(theirs.calmar(periods=365)["A"], rel=1e-9)


# Luck ----------------------------------------------------------------------------------------------------------------


def test_the_same_key_draws_the_same_and_another_key_others() -> None:
    daily = np.random.default_rng(1).normal(0, 0.02, 500)
    assert excess(daily, "a") == excess(daily, "a") != excess(daily, "b")
    known = excess(np.sin(np.arange(100.0)), "golden_cross\0bitcoin\x0010\x005")
    assert (known.low, known.high, known.p_value) == pytest.approx((LOW, HIGH, P_VALUE), rel=1e-9)


LOW, HIGH, P_VALUE = -0.034647518162411454, 0.040804950088406865, 0.8422817542245675
"""Of a sine, drawn by that key: numpy may change its generators, not these."""


def test_a_resample_is_the_mean_of_whole_blocks() -> None:
    """Blocks that all have the same mean leave nothing to chance."""
    it = excess(np.tile([0.01, -0.01] * 10, 10), "any")
    assert (it.mean, it.low, it.high) == pytest.approx((0, 0, 0), abs=1e-12)
    assert it.p_value is None
    assert excess(np.zeros(1), "any").p_value is None


@pytest.mark.slow
def test_of_series_without_an_edge_about_one_in_twenty_looks_like_one() -> None:
    drawn = np.random.default_rng(2).standard_t(4, (400, 730)) * 0.03
    found = [excess(each, str(number)) for number, each in enumerate(drawn)]
    wrong = sum(not each.low <= 0 <= each.high for each in found) / len(found)
    small = sum((each.p_value or 1) < 0.05 for each in found) / len(found)
    assert 0.02 <= wrong <= 0.10
    assert 0.02 <= small <= 0.10
    assert excess(drawn[0] + 0.02, "edge").p_value < 1e-6  # type: ignore[operator]


@examples(50)
@given(st.lists(st.none() | st.floats(0, 1), max_size=20))
def test_q_values_are_benjamini_and_hochbergs(values: list[float | None]) -> None:
    p_values = np.array([math.nan if value is None else value for value in values], dtype=float)
    known = sorted(value for value in values if value is not None)
    for p, q in zip(p_values, corrected(p_values), strict=True):
        if math.isnan(p):
            assert math.isnan(q)
        else:
            least = min(len(values) * each / (sum(v <= each for v in known)) for each in known if each >= p)
            assert q == pytest.approx(min(least, 1), rel=1e-12, abs=1e-300)


# The table -----------------------------------------------------------------------------------------------------------


def market_of(coins: int, length: int, first: date = date(2020, 1, 1)) -> Columns:
    """Rows of gold.daily of coins that walk at random; the last one dies after half of the time."""
    names = ["bitcoin", *(f"coin-{number:02d}" for number in range(1, coins))]
    made = [
        days(walk(length, seed), coin, first, volume_24h_usd=walk(length, seed + 99)) for seed, coin in enumerate(names)
    ]
    made[-1] = {name: values[: length // 2] for name, values in made[-1].items()}
    return together(*made)


def built(daily: Columns, on: str = "duckdb", **options: float) -> Any:
    """gold.backtests of these days."""
    runs_on = engine(on)
    nobody: Columns = {"coin_id": np.array([], dtype=object), "observed_at": FIRST[None][:0], "rank": np.zeros(0)}
    read = {
        "gold.indicators": frame_of(runs_on, indicators_of(daily, on=on)),
        "silver.markets": frame_of(runs_on, nobody),
    }
    read["gold.signals"] = runs_on.frame(signals.build(read, (), runs_on))
    return runs_on.arrow(backtests.build(read, (), runs_on, **options))


def unlisted(columns: Columns) -> Days:
    """Days of which no market list was seen."""
    return Days({**columns, **signals.ranked(columns, seen([]))})


def dicts(stream: Any) -> dict[tuple[str, str], dict[str, Any]]:
    relation = kept(connect(), backtests.TABLE, stream, "tested")
    found = [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]
    return {(row["rule"], row["coin_id"]): row for row in found}


@pytest.fixture(scope="module")
def daily() -> Columns:
    return market_of(12, 660)


@pytest.fixture(scope="module")
def columns(daily: Columns) -> Columns:
    """gold.indicators of these days."""
    return indicators_of(daily)


@pytest.fixture(scope="module")
def tested(daily: Columns) -> dict[tuple[str, str], dict[str, Any]]:
    return dicts(built(daily))


def test_there_is_a_row_a_rule_and_coin_and_one_a_rule_over_all(tested: Tested) -> None:
    assert {rule for rule, coin in tested if coin == "*"} == set(rules())
    assert {row["until"] for row in tested.values()} == {date(2021, 9, 30)}
    assert not any(row["has_edge"] for row in tested.values()), "a random walk pays nobody"
    assert {row["verdict"].split(":")[0].split("(")[0].strip() for row in tested.values()} <= {
        "no evidence of an edge", "too few trades to judge", "did worse than holding, beyond what luck explains",
    }  # fmt: skip


def test_a_row_is_what_the_equity_curve_ends_with(columns: Columns, tested: Tested) -> None:
    events = signals.events(unlisted(columns), rules())
    for name in ("macd_cross", "volume_spike"):
        row, its = tested[name, "coin-03"], (events["rule"] == name) & (events["coin_id"] == "coin-03")
        parts = [{k: v[columns["coin_id"] == coin] for k, v in columns.items()} for coin in ("coin-03", "bitcoin")]
        of = History.of(*parts)
        ready = np.datetime64(row["first_day"]) - 1
        it = curve(
            of, of.events(events["day"][its], events["direction"][its]), rules()[name].holding_days, COST,
            ready, np.datetime64(row["until"]),
        )  # fmt: skip
        assert it.strategy[-1] - 1 == pytest.approx(row["total_return"], rel=1e-12)
        assert it.holding[-1] - 1 == pytest.approx(row["hold_total_return"], rel=1e-12)
        assert it.bitcoin[-1] - 1 == pytest.approx(row["bitcoin_total_return"], rel=1e-12)
        assert (len(it.day), it.held.mean()) == (row["days"], pytest.approx(row["exposure"]))


def test_a_coin_that_died_is_marked_and_its_capital_is_stuck(tested: Tested) -> None:
    dead = tested["macd_cross", "coin-11"]
    assert (dead["last_day"], dead["until"]) == (date(2020, 11, 25), date(2021, 9, 30))
    assert dead["days"] == tested["macd_cross", "coin-10"]["days"]


def test_days_after_the_last_finished_month_change_nothing(daily: Columns, tested: Any) -> None:
    until = daily["day"] <= np.datetime64("2021-09-30")
    assert dicts(built({name: values[until] for name, values in daily.items()})) == tested


def test_both_engines_make_the_same_backtests() -> None:
    few = market_of(3, 260)
    assert dicts(built(few)) == dicts(built(few, "pandas"))


def test_dearer_trades_earn_less_and_are_rows_of_their_own(daily: Columns, tested: Any) -> None:
    dear = dicts(built(daily, fee_bp=50.0, slippage_bp=20.0))
    row = dear["mean_reversion", "*"]
    assert (row["fee_bp"], row["slippage_bp"]) == (50.0, 20.0)
    assert row["total_return"] < tested["mean_reversion", "*"]["total_return"]


def test_a_coin_with_forty_days_is_judged_by_no_rule_that_needs_more() -> None:
    young = together(market_of(2, 120), days(walk(40, 7), "young", date(2020, 3, 11)))
    found = {rule for rule, coin in dicts(built(young)) if coin == "young"}
    assert found <= {"mean_reversion", "recovery"}


def test_nothing_known_or_no_month_finished_makes_no_row() -> None:
    assert dicts(built(days([]))) == {}
    assert dicts(built(days(walk(20), first=date(2020, 1, 5)))) == {}


def test_a_rule_that_trades_on_tomorrows_price_earns_absurdly() -> None:
    """And is refused by the test of looking ahead, as tests/test_signals.py shows: this is what that test is for."""

    def peeking(days: Days) -> Fired:
        ahead = np.r_[days["close_usd"][2:], np.nan, np.nan] > np.r_[days["close_usd"][1:], np.nan]
        return Fired(ahead, ~ahead, np.ones(len(ahead)), {})

    rule = Rule("peeking", "Peeking", ("close_usd",), peeking, {}, "", "", "")
    columns = indicators_of(days(walk(500, 3), "bitcoin"))
    events = signals.events(unlisted(columns), {"peeking": rule})
    (row, _) = rows(columns, events, (10.0, 5.0), {"peeking": rule})
    assert row["total_return"] > 1_000
    assert row["total_return"] > 100 * row["hold_total_return"]
    assert row["p_value"] < 1e-6


def test_always_long_is_holding_in_the_table_too(columns: Columns) -> None:
    def long(days: Days) -> Fired:
        every = np.ones(len(days["day"]), dtype=bool)
        return Fired(every, ~every, every.astype(float), {})

    rule = Rule("long", "Long", ("close_usd",), long, {}, "", "", "")
    events = signals.events(unlisted(columns), {"long": rule})
    for row in rows(columns, events, (10.0, 5.0), {"long": rule}):
        assert row["total_return"] == row["hold_total_return"]
        assert (row["excess_return"], row["p_value"], row["exposure"]) == (0, None, 1)


def test_nobody_could_know_other_odds_when_the_signal_came(columns: Columns) -> None:
    """A history that ends the day before a signal gives it the same odds."""
    fired = signals.events(unlisted(columns), rules())
    its = odds(closed_trades([Field.of(columns)], fired), fired)
    assert its["odds_trades"].max() > 20
    for day in np.unique(fired["day"])[::97]:
        earlier = chosen(columns, columns["day"] < day), chosen(fired, fired["day"] < day)
        then = closed_trades([Field.of(earlier[0])], earlier[1])
        mine = fired["day"] == day
        for name, values in odds(then, chosen(fired, mine)).items():
            np.testing.assert_array_equal(values, its[name][mine])


def test_odds_are_the_same_however_the_coins_are_split(columns: Columns) -> None:
    fired = signals.events(unlisted(columns), rules())
    each = (Field.of(chosen(columns, columns["coin_id"] == coin)) for coin in np.unique(columns["coin_id"]))
    apart, whole = odds(closed_trades(each, fired), fired), odds(closed_trades([Field.of(columns)], fired), fired)
    for name in ODDS:
        np.testing.assert_array_equal(apart[name], whole[name])


@given(st.lists(st.floats(-1, 10), max_size=30))
def test_a_median_of_odds_is_the_median_of_what_was_earned(net: list[float]) -> None:
    after = FIRST + np.arange(len(net)) + 1
    known = Closed(FIRST + np.arange(len(net)), np.array(net)).before(after)
    assert known["odds_median"] == pytest.approx([np.median(net[: n + 1]) for n in range(len(net))], rel=1e-12)


def test_equal_weights_are_the_mean_coin(columns: Columns) -> None:
    events = signals.events(unlisted(columns), rules())
    all_of_it = rows(columns, events, (10.0, 5.0), {"recovery": rules()["recovery"]})
    *each, whole = all_of_it
    assert whole["trades"] == sum(row["trades"] for row in each)
    assert whole["exposure"] == pytest.approx(
        sum(row["exposure"] * row["days"] for row in each) / sum(row["days"] for row in each)
    )


# Real histories ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(shared: Path) -> Any:
    """Gold of the 25 real histories."""
    return real_odds.gold_of(real_odds.days_of(shared / "coingecko" / "histories"))


def of_coin(columns: Columns, coin: str) -> Columns:
    its = columns["coin_id"] == coin
    return {name: values[its] for name, values in columns.items()}


@pytest.mark.slow
def test_aaves_redenomination_is_no_signal_and_nobodys_gain(real: Any) -> None:
    """On 2020-10-03 the price rose a hundredfold, for a hundred LEND became one AAVE."""
    aave, events = of_coin(real.indicators, "aave"), of_coin(real.signals, "aave")
    assert aave["day"][aave["is_break"]].tolist() == [date(2020, 10, 3)]
    assert events["day"].min() > np.datetime64("2020-10-03")
    assert of_coin(real.backtests, "aave")["total_return"].max() < 20


@pytest.mark.slow
def test_shibas_zeros_are_unknown_and_its_prices_of_six_decimals_are_no_signal(real: Any) -> None:
    shiba, events = of_coin(real.indicators, "shiba-inu"), of_coin(real.signals, "shiba-inu")
    assert shiba["close_usd"].min() > 0
    cut_off = np.isclose(shiba["close_usd"], np.round(shiba["close_usd"], 6), rtol=1e-7, atol=0)
    assert cut_off.tolist() == [True] * 304 + [False], "the newest has its digits"
    assert not len(events["day"]), "and its averages are as rough as the days before"


@pytest.mark.slow
def test_pegs_that_do_not_move_give_no_signal(real: Any) -> None:
    for coin in ("tether", "usd-coin"):
        day = of_coin(real.signals, coin)["day"]
        assert not (day >= np.datetime64("2021-01-01")).any()


@pytest.mark.slow
def test_every_real_row_keeps_what_the_table_promises(real: Any) -> None:
    assert len(real.backtests["rule"]) > 250
    for name, values in real.backtests.items():
        if values.dtype.kind == "f":
            assert not np.isinf(values).any(), name
    duck = engine("duckdb")
    events = kept(connect(), signals.TABLE, duck.arrow(frame_of(duck, real.signals)), "events")
    assert events.count("*").fetchall()[0][0] == len(real.signals["day"])


@pytest.mark.slow
def test_the_page_of_signals_does_not_lag(real: Any) -> None:
    lags = (ROOT / "docs/signals.md").read_text().rstrip() != real_odds.page(real).rstrip()
    assert not lags, "docs/signals.md lags: python benchmarks/odds.py ../shared/coingecko/histories > docs/signals.md"


def test_the_page_of_signals_tells_of_every_rule() -> None:
    page = (ROOT / "docs/signals.md").read_text()
    for rule in rules().values():
        assert f"## {rule.title}\n\nRule `{rule.name}`\n\n{idea(rule)}\n\nStrength: {rule.strength}.\n" in page


# Bit by bit ----------------------------------------------------------------------------------------------------------


def _observed(coins: range, first: int, last: int) -> list[dict[str, Any]]:
    return [
        daily_point(MIDNIGHT + n * D, price, coin_id=f"coin-{coin:02d}", volume_24h_usd=abs(price))
        for coin in coins
        for n, price in enumerate(walk(last + 1, coin), 0)
        if n >= first
    ]


@pytest.mark.slow
def test_signals_and_backtests_made_bit_by_bit_are_what_a_rebuild_makes(tmp_path: Path) -> None:
    """Days that arrive, a month that ends, a correction of an old day, a coin that is new."""
    lake = Lake.at(str(tmp_path / "lake"))
    tables = [catalog.table(f"gold.{name}") for name in ("signals", "backtests")]

    def how() -> dict[str, str]:
        return {each.table: each.how for each in bring_up(lake) if each.table in ("gold.signals", "gold.backtests")}

    def same_as_rebuilt() -> None:
        kept_rows = [stored(lake, table) for table in tables]
        assert all(kept_rows)
        bring_up(lake, anew=True)
        assert [stored(lake, table) for table in tables] == kept_rows

    observe(lake, *_observed(range(11), 0, 105))
    assert how() == {"gold.signals": "rebuilt", "gold.backtests": "rebuilt"}
    observe(lake, *_observed(range(11), 106, 107))
    assert how() == {"gold.signals": "updated", "gold.backtests": "unchanged"}
    same_as_rebuilt()
    observe(lake, *_observed(range(11), 108, 113))
    assert how()["gold.backtests"] == "updated", "April has ended"
    observe(lake, daily_point(MIDNIGHT + 50 * D, 55.0, coin_id="coin-03"))
    assert how() == {"gold.signals": "updated", "gold.backtests": "updated"}
    observe(lake, *_observed(range(11, 12), 0, 112))
    assert how() == {"gold.signals": "updated", "gold.backtests": "updated"}
    same_as_rebuilt()


def test_other_costs_are_another_definition_of_the_backtests_alone() -> None:
    plain, dear = ({each.table.name: each.fingerprint for each in definitions((), {"fee_bp": fee})} for fee in (10, 50))
    assert {name for name in plain if plain[name] != dear[name]} == {"gold.backtests"}


def test_a_changed_rule_is_another_definition() -> None:
    """The sources of the rules are part of the fingerprint, though no import names them."""
    sources = catalog._sources(catalog.entries()["gold.signals"].module)
    assert all(any(f'name="{name}"' in source for source in sources) for name in rules())
