"""A rule fires where its own sentence is true, and nowhere else: not over a gap, a new unit, or out of thin air."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinlake.gold import signals
from coinlake.gold.rules import idea, rules
from coinlake.gold.rules.mean_reversion import WINDOW_DAYS, stance
from coinlake.gold.rules.momentum import places
from coinlake.gold.rules.rule import Days, Fired, Rule, never
from coinlake.gold.rules.words import gain, one_digit, percent, usd, written
from coinlake.gold.universe import Universes
from strategies import examples

FIRST = np.datetime64("2021-03-01")

Columns = dict[str, Any]


def table(days: int, coin: str = "bitcoin", first: int = 0, **given: Any) -> Columns:
    """Days of one coin that moves, nothing else of it being known but what is given."""
    columns: Columns = {name: np.full(days, np.nan) for name in signals._COLUMNS}
    columns |= {name: np.ones(days, dtype=bool) for name in columns if name.endswith("converged")}
    columns |= {
        "coin_id": np.full(days, coin, dtype=object),
        "source": np.full(days, "coingecko", dtype=object),
        "day": FIRST + first + np.arange(days),
        "is_break": np.zeros(days, dtype=bool),
        "is_universe_known": np.zeros(days, dtype=bool),
        "is_ranked": np.ones(days, dtype=bool),
        "close_usd": np.full(days, 100.0),
        "volatility_30d": np.full(days, 0.8),
        "log_return_1d": np.full(days, 0.04),
        "days_since_peak": np.full(days, 100),
        "bollinger_upper_20d": np.full(days, 110.0),
        "bollinger_lower_20d": np.full(days, 90.0),
    }
    return columns | {name: np.asarray(values) for name, values in given.items()}


def together(*tables: Columns) -> Columns:
    return {name: np.concatenate([each[name] for each in tables]) for name in tables[0]}


def fired(rule: str | Rule, columns: Columns) -> list[str]:
    """By row: up, down, or nothing."""
    found = signals.fired(Days(columns), rules()[rule] if isinstance(rule, str) else rule)
    return ["up" if up else "down" if down else "" for up, down in zip(found.up, found.down, strict=True)]


def rows_of(columns: Columns) -> list[dict[str, Any]]:
    made = signals.events(Days(columns), rules())
    return [dict(zip(made, row, strict=True)) for row in zip(*made.values(), strict=True)]


# Each rule by hand ---------------------------------------------------------------------------------------------------


def golden(fast: Sequence[float], slow: float = 10.0, **more: Any) -> Columns:
    return table(len(fast), sma_50d=np.array(fast), sma_200d=np.full(len(fast), slow), **more)


BY_HAND: dict[str, tuple[Columns, list[str]]] = {
    "golden_cross": (golden([9, 10, 10.1, 11, 9.5, 9.4]), ["", "", "up", "", "down", ""]),
    "macd_cross": (
        table(5, macd_histogram=[-1.0, 0.5, 0.6, -0.1, -0.2], macd=np.ones(5), macd_signal=np.ones(5)),
        ["", "up", "", "down", ""],
    ),
    "rsi_reversal": (
        table(7, rsi_14d=[29.0, 25.0, 31.0, 50.0, 75.0, 70.0, 60.0]),
        ["", "", "up", "", "", "down", ""],
    ),
    "bollinger_breakout": (table(5, percent_b_20d=[0.9, 1.1, 1.2, 0.5, -0.1]), ["", "up", "", "", "down"]),
    "bollinger_reentry": (table(6, percent_b_20d=[0.9, 1.1, 1.2, 0.5, -0.1, 0.1]), ["", "", "", "down", "", "up"]),
    "mean_reversion": (
        table(
            6,
            close_usd=[100.0, 98.0, 97.0, 101.0, 100.0, 99.0],
            sma_7d=np.full(6, 100.0),
            log_return_1d=[0.01, -0.02, -0.01, 0.04, -0.01, -0.01],
        ),
        ["", "up", "", "down", "", "up"],
    ),
    "new_high": (
        table(4, close_usd=[9.0, 10.5, 11.0, 10.0], high_365d_usd=[10.0, 10.5, 11.0, 11.0]),
        ["", "up", "", ""],
    ),
    "volume_spike": (
        table(5, volume_z_score_30d=[1.0, 3.5, 4.0, 1.0, 5.0], return_1d=[0.0, 0.1, 0.1, 0.1, -0.1]),
        ["", "up", "", "", "down"],
    ),
    "volatility_regime": (
        table(5, volatility_30d=[1.0, 1.5, 1.6, 1.0, 0.69], volatility_90d=np.ones(5)),
        ["", "down", "", "", "up"],
    ),
    "recovery": (table(4, drawdown=[-0.8, -0.49, -0.55, -0.4], peak_usd=np.ones(4)), ["", "up", "", ""]),
}


@pytest.mark.parametrize("rule", BY_HAND)
def test_a_rule_fires_where_its_sentence_is_true(rule: str) -> None:
    columns, expected = BY_HAND[rule]
    assert fired(rule, columns) == expected


def test_every_rule_has_a_case_by_hand() -> None:
    assert {*BY_HAND, "momentum"} == set(rules())


@pytest.mark.parametrize("rule", BY_HAND)
def test_nothing_fires_over_a_missing_day(rule: str) -> None:
    columns, expected = BY_HAND[rule]
    first = next(place for place, found in enumerate(expected) if found)
    apart = columns["day"] + np.where(np.arange(len(columns["day"])) >= first, 1, 0)
    assert fired(rule, {**columns, "day": apart})[first] == ""


@pytest.mark.parametrize("rule", BY_HAND)
def test_nothing_fires_at_a_new_unit_of_the_price(rule: str) -> None:
    columns, expected = BY_HAND[rule]
    first = next(place for place, found in enumerate(expected) if found)
    assert fired(rule, {**columns, "is_break": np.arange(len(expected)) == first})[first] == ""


@pytest.mark.parametrize("rule", BY_HAND)
def test_nothing_is_compared_with_another_source_or_coin(rule: str) -> None:
    columns, expected = BY_HAND[rule]
    first = next(place for place, found in enumerate(expected) if found)
    for name in ("source", "coin_id"):
        other = columns[name].copy()
        other[first:] = "other"
        assert fired(rule, {**columns, name: other})[first] == ""


@pytest.mark.parametrize("rule", BY_HAND)
@pytest.mark.parametrize("back", [0, 1])
def test_what_is_unknown_on_the_day_or_the_day_before_fires_nothing(rule: str, back: int) -> None:
    columns, expected = BY_HAND[rule]
    first = next(place for place, found in enumerate(expected) if found)
    name = rules()[rule].reads[0]
    unknown = columns[name].astype(float)
    unknown[first - back] = np.nan
    assert fired(rule, {**columns, name: unknown})[first] == ""


@pytest.mark.parametrize(("rule", "flag"), [("macd_cross", "macd_converged"), ("rsi_reversal", "rsi_14d_converged")])
def test_what_has_not_converged_fires_nothing(rule: str, flag: str) -> None:
    columns, expected = BY_HAND[rule]
    for place in [place for place, found in enumerate(expected) if found]:
        for back in (0, 1):
            assert fired(rule, {**columns, flag: np.arange(len(expected)) != place - back})[place] == ""


@pytest.mark.parametrize("rule", sorted({*BY_HAND} - {"volatility_regime", "mean_reversion"}))
def test_a_coin_that_stands_still_fires_nothing(rule: str) -> None:
    columns, expected = BY_HAND[rule]
    still = np.full(len(expected), 5e-4)
    assert not any(fired(rule, {**columns, "log_return_1d": still}))
    still[::2] = np.nan
    unknown = np.full(len(expected), np.nan)
    assert not any(fired(rule, {**columns, "log_return_1d": still, "volatility_30d": unknown})), "though days lack"
    assert not any(fired(rule, {**columns, "log_return_1d": unknown})), "nor one of which no return is known"


@pytest.mark.parametrize("rule", sorted(BY_HAND))
def test_a_price_that_was_cut_off_to_two_digits_fires_nothing(rule: str) -> None:
    columns, expected = BY_HAND[rule]
    cut_off = {**columns, "close_usd": np.resize([6e-06, 7e-06, 1.2e-05], len(expected))}
    assert not any(fired(rule, cut_off))


def test_a_price_has_digits_again_for_a_month_after_each_that_has_them() -> None:
    close = np.full(80, 6e-06)
    close[20] = 6.123e-06
    coarse = Days(table(80, close_usd=close)).is_coarse
    assert np.flatnonzero(~coarse).tolist() == list(range(20, 50))
    assert not Days(table(3, close_usd=[100.0, 11.0, 0.01])).is_coarse.any()


def test_a_price_that_was_cut_off_is_known_in_float32_as_well() -> None:
    two_digits = np.array([n * 10.0**-e for e in (5, 6, 7, 8, 9) for n in range(10, 100)])
    narrowed = two_digits.astype(np.float32).astype(np.float64)
    assert (np.float64(np.float32(9e-06)), (narrowed != two_digits).all()) == (9.000000318337698e-06, True)
    assert Days(table(len(narrowed), close_usd=narrowed)).is_coarse.all()
    three_digits = np.array([n * 10.0**-e for e in (6, 7, 8, 9, 10) for n in range(101, 1000) if n % 10])
    closes = three_digits.astype(np.float32).astype(np.float64)
    assert not Days(table(len(closes), close_usd=closes)).is_coarse.any()


def test_a_second_high_within_a_month_fires_nothing_and_one_after_it_does() -> None:
    close = np.full(60, 9.0)
    close[[1, 20, 55]] = (11.0, 12.0, 13.0)
    high = np.maximum.accumulate(np.maximum(close, 10.0))
    assert np.flatnonzero([*map(bool, fired("new_high", table(60, close_usd=close, high_365d_usd=high)))]).tolist() == [
        1,
        55,
    ]


def test_the_stance_against_the_average_is_buy_under_it_sell_over_it_and_else_wait() -> None:
    columns = table(
        5,
        close_usd=[98.0, 102.0, 100.0, 99.0, 99.0],
        sma_7d=[100.0, 100.0, 100.0, np.nan, 100.0],
        log_return_1d=[0.05, 0.05, 0.05, 0.05, 0.05],
    )
    assert stance(Days(columns)).tolist() == [1, -1, 0, 0, 1]
    still = {**columns, "log_return_1d": np.zeros(5)}
    assert stance(Days(still)).tolist() == [0] * 5


def test_the_volatility_of_a_week_counts_days_and_stays_within_a_coin() -> None:
    one = table(9, log_return_1d=[np.nan, *[0.01] * 7, 0.03], first=0)
    other = table(2, "ether", log_return_1d=[np.nan, 0.02])
    found = Days(together(one, other)).volatility(WINDOW_DAYS)
    assert np.isnan(found[[0, 9]]).all()
    assert found[[7, 8, 10]] == pytest.approx(
        np.sqrt(365 * np.array([0.01**2, (6 * 0.01**2 + 0.03**2) / 7, 0.02**2])), rel=1e-12
    )


# Momentum ------------------------------------------------------------------------------------------------------------


def market(returns: np.ndarray, **more: Any) -> Columns:
    """[coin, day] 30-day returns of coins named by letters."""
    return together(
        *(table(len(its), f"coin-{place:02d}", return_30d=its, **more) for place, its in enumerate(returns))
    )


def test_a_coin_fires_when_it_enters_the_best_or_the_worst_tenth() -> None:
    returns = np.tile(np.linspace(-0.2, 0.2, 20)[:, None], (1, 3))
    returns[5, 1:] = 0.5
    found = np.array(fired("momentum", market(returns))).reshape(20, 3)
    assert found[5].tolist() == ["", "up", ""]
    assert found[2].tolist() == ["", "", ""]
    returns[10, 2] = -0.5
    found = np.array(fired("momentum", market(returns))).reshape(20, 3)
    assert found[10].tolist() == ["", "", "down"]
    (event,) = [row for row in rows_of(market(returns)) if row["direction"] == "up"]
    assert json.loads(event["numbers"]) == {"return_30d": 0.5, "place": 1, "coins": 20}
    assert event["strength"] == 1.0
    assert event["sentence"] == "Its 30-day return of +50.0 % entered the best tenth: place 1 of 20 coins"


def test_nine_coins_have_no_tenth_and_pegs_are_not_ranked() -> None:
    returns = np.tile(np.linspace(-0.2, 0.2, 9)[:, None], (1, 2))
    returns[3, 1] = 9.0
    assert not any(fired("momentum", market(returns)))
    pegs = together(market(returns), *(table(2, f"peg-{n}", log_return_1d=[0.0, 0.0], return_30d=[0, 0]) for n in "ab"))
    assert not any(fired("momentum", pegs))


@examples(30)
@given(st.lists(st.tuples(st.integers(0, 3), st.none() | st.integers(-3, 3)), max_size=30))
def test_places_are_what_one_counts(rows: list[tuple[int, int | None]]) -> None:
    day = FIRST + np.array([row[0] for row in rows], dtype=np.int64)
    value = np.array([np.nan if row[1] is None else row[1] for row in rows], dtype=float)
    larger, smaller, ranked = places(day, value)
    for place, (its_day, its_value) in enumerate(rows):
        others = [v for d, v in rows if d == its_day and v is not None]
        if its_value is None:
            assert np.isnan([larger[place], smaller[place], ranked[place]]).all()
        else:
            assert larger[place] == sum(v > its_value for v in others)
            assert smaller[place] == sum(v < its_value for v in others)
            assert ranked[place] == len(others)


def seen(looks: Sequence[tuple[str, Any]]) -> Universes:
    """The universes of some looks at the market's list: coins, all of the first rank, and when."""
    return Universes.of(
        {
            "coin_id": np.array([coin for coin, _ in looks], dtype=object),
            "observed_at": np.array([moment for _, moment in looks], dtype="datetime64[us]"),
            "rank": np.ones(len(looks)),
        }
    )


def test_momentum_compares_the_coins_of_the_days_list_and_else_says_that_it_knows_survivors_only() -> None:
    returns = np.tile(np.linspace(-0.2, 0.2, 20)[:, None], (1, 2))
    returns[5, 1] = 0.5
    columns = market(returns)
    listed = frozenset(columns["coin_id"])

    def of_the_fifth(*known: frozenset[str]) -> list[bool]:
        looks = [(coin, day + 1) for day, coins in zip([FIRST + 1, FIRST], known, strict=False) for coin in coins]
        there = signals.ranked(columns, seen(looks))
        made = rows_of({**columns, **there})
        return [row["survivorship_biased"] for row in made if row["coin_id"] == "coin-05" and row["direction"] == "up"]

    assert of_the_fifth() == of_the_fifth(listed) == [True]
    assert of_the_fifth(listed, listed) == [False]
    assert of_the_fifth(listed - {"coin-05"}, listed) == [], "who was not on the list is not compared"
    assert of_the_fifth(listed, listed - {"coin-05"}) == [], "nor who was not there the day before"
    assert of_the_fifth(listed | {"unfetched"}, listed) == [True], "one on the list is not here, and may come"


# What every rule keeps to --------------------------------------------------------------------------------------------


@st.composite
def histories(draw: st.DrawFn) -> Columns:
    """Some coins' days with holes, new units and other sources; values drawn around those where rules fire."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    made = []
    for coin in range(draw(st.integers(1, 12))):
        days = draw(st.integers(1, 90))
        columns = table(days, f"coin-{coin:02d}", first=draw(st.integers(0, 3)))
        steps = np.exp(np.cumsum(rng.normal(0, 0.05, days)))
        columns |= {name: steps * rng.uniform(0.9, 1.1, days) for name in columns if columns[name].dtype.kind == "f"}
        columns |= {
            "percent_b_20d": rng.normal(0.5, 0.5, days),
            "rsi_14d": rng.uniform(20, 80, days),
            "macd_histogram": rng.normal(0, 1, days),
            "volume_z_score_30d": rng.normal(2, 2, days),
            "drawdown": rng.uniform(-0.7, -0.4, days),
            "return_1d": rng.normal(0, 0.1, days),
            "log_return_1d": rng.normal(0, 0.1, days),
            "return_30d": rng.normal(0, 0.3, days),
            "days_since_peak": rng.integers(0, 900, days),
            "macd_converged": rng.random(days) < 0.9,
            "is_break": rng.random(days) < 0.03,
        }
        for name in columns:
            if columns[name].dtype.kind == "f" and name != "close_usd":
                columns[name][rng.random(days) < 0.05] = np.nan
        kept = rng.random(days) < 0.95
        made.append({name: values[kept] for name, values in columns.items()})
    return together(*made)


def cut(columns: Columns, keep: np.ndarray) -> Columns:
    return {name: values[keep] for name, values in columns.items()}


def changed_by_the_future(rule: Rule, columns: Columns, last: np.datetime64) -> bool:
    """Whether what a rule says of the days up to one depends on those after it: the test of looking ahead."""
    until = columns["day"] <= last
    known, then = signals.fired(Days(columns), rule), signals.fired(Days(cut(columns, until)), rule)
    return any(
        not np.array_equal(np.asarray(a)[until], b, equal_nan=np.asarray(a).dtype.kind == "f")
        for a, b in [(known.up, then.up), (known.down, then.down), *_numbers(known, then)]
    )


def _numbers(known: Fired, then: Fired) -> list[tuple[Any, Any]]:
    return [(known.numbers[name], then.numbers[name]) for name in known.numbers]


def peeking(days: Days) -> Fired:
    """Buys before the price rises, for it has seen tomorrow."""
    tomorrow = np.r_[days["close_usd"][1:], np.nan]
    up = tomorrow > days["close_usd"]
    return Fired(up, ~up, up.astype(float), {})


def centred(days: Days) -> Fired:
    """Compares with a mean of which half lies ahead."""
    mean = np.convolve(days["close_usd"], np.ones(5) / 5, mode="same")
    up = days["close_usd"] > mean
    return Fired(up, never(days), up.astype(float), {})


def of_the_whole_sample(days: Days) -> Fired:
    """Takes mean and deviation of all there will ever be."""
    z = (days["close_usd"] - days["close_usd"].mean()) / days["close_usd"].std()
    return Fired(z > 0.5, z < -0.5, np.ones(len(z)), {})


@pytest.mark.parametrize("rule", rules().values(), ids=lambda rule: rule.name)
@examples(15)
@given(columns=histories(), last=st.integers(0, 90))
def test_no_rule_looks_ahead(rule: Rule, columns: Columns, last: int) -> None:
    assert not changed_by_the_future(rule, columns, FIRST + last)


@pytest.mark.parametrize("planted", [peeking, centred, of_the_whole_sample])
def test_a_rule_that_looks_ahead_is_refused(planted: Any) -> None:
    rng = np.random.default_rng(1)
    columns = table(80, close_usd=np.exp(np.cumsum(rng.normal(0, 0.05, 80))))
    rule = Rule("planted", "Planted", ("close_usd",), planted, {}, "", "", "")
    assert any(changed_by_the_future(rule, columns, FIRST + last) for last in range(20, 79))


@examples(40)
@given(histories(), st.integers(0, 90))
def test_events_rest_on_no_more_than_the_days_before_that_are_read_again(columns: Columns, first: int) -> None:
    """What is made of the days from one on, and of so many before it, is what is made of all."""
    day = FIRST + first
    read = columns["day"] >= day - signals.LOOKBACK_DAYS
    whole = [row for row in rows_of(columns) if row["day"] >= day]
    assert [row for row in rows_of(cut(columns, read)) if row["day"] >= day] == whole


@examples(40)
@given(histories())
def test_every_event_keeps_what_the_table_promises(columns: Columns) -> None:
    for row in rows_of(columns):
        assert 0 <= row["strength"] <= 1
        assert row["tradable_on"] - row["day"] == 1
        assert all(np.isfinite(value) for value in json.loads(row["numbers"]).values())
        assert row["sentence"] and "nan" not in row["sentence"] and "{" not in row["sentence"]


def test_of_two_events_the_larger_is_the_stronger() -> None:
    small, large = (golden([9.9, 10 + by]) for by in (0.1, 0.5))
    strengths = [next(iter(rows_of(each)))["strength"] for each in (small, large)]
    assert 0 < strengths[0] < strengths[1] < 1


def test_nothing_known_fires_nothing() -> None:
    assert rows_of(table(0)) == []
    assert rows_of(table(1)) == []
    assert rows_of(table(40)) == []


# Words ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("price", "words"),
    [
        (42981.4, "$42,981"), (999.999, "$1,000.00"), (158.26182, "$158.26"), (0.523836, "$0.5238"),
        (2.993e-05, "$0.00002993"), (0.00099996, "$0.001000"), (5.6e-11, "$0.00000000005600"), (0.0, "$0"),
        (-12.5, "-$12.50"), (1.0, "$1.00"), (1e300, "$1e+300"), (5e-296, "$5e-296"), (9.9996e-16, "$1e-15"),
    ],
)  # fmt: skip
def test_a_price_has_the_digits_it_needs(price: float, words: str) -> None:
    assert usd(price) == words


@given(st.floats(-14.9, -0.001).map(lambda power: 10.0**power), st.integers(-2, 2), st.booleans())
def test_below_a_dollar_four_digits_count(price: float, steps: int, carries: bool) -> None:
    if carries:  # as near as can be to what four digits round to a power of ten
        price = float(f"9.9995e{np.floor(np.log10(price)):.0f}")
        for _ in range(abs(steps)):
            price = float(np.nextafter(price, steps * np.inf))
    said = usd(price)
    if price < 0.9995:
        assert float(said[1:]) == float(f"{price:.3e}")
        assert len(said[1:].lstrip("0.")) == 4
    else:
        assert said == f"${price:.4f}"


@given(st.lists(st.floats(-1e16, 1e16) | st.floats(-14.9, 15.1).map(lambda power: 10.0**power)))
def test_many_prices_are_written_as_each_of_them(prices: list[float]) -> None:
    assert written(usd, np.array(prices)) == list(map(usd, prices))


def test_what_rounds_to_nothing_has_no_sign() -> None:
    assert (gain(-0.0001), percent(-0.0001), one_digit(-0.01)) == ("+0.0 %", "0.0 %", "0.0")


def test_a_signal_is_a_sentence_with_its_numbers() -> None:
    (row,) = rows_of(golden([42503.2, 42981.4], slow=42600.0))
    assert row["sentence"] == "Golden cross: the 50-day average ($42,981) rose above the 200-day average ($42,600)"
    assert json.loads(row["numbers"]) == {"sma_50d": 42981.4, "sma_200d": 42600.0}
    assert (row["rule"], row["direction"], row["close_usd"]) == ("golden_cross", "up", 100.0)
    assert row["tradable_on"] == np.datetime64(date(2021, 3, 3))


@pytest.mark.parametrize("rule", rules().values(), ids=lambda rule: rule.name)
def test_a_rule_can_be_judged(rule: Rule) -> None:
    """It tells its idea in its file, reads columns that are read, and has an exit."""
    assert len(idea(rule)) > 200
    assert set(rule.reads) <= set(signals._COLUMNS)
    assert rule.up and rule.title and rule.strength
    assert rule.down or rule.holding_days, "a position must end some time"
    assert replace(rule).name in rules()
