"""Whatever arrives, and in whatever order: gold made bit by bit is what a rebuild from nothing makes.

Days arrive as they end or late, are corrected, begin a coin, come from a history of one's own or with a market list;
now and then gold is brought up to date. Nothing is written anew in between, so that what is wrong once stays wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from coinlake import catalog
from coinlake.engine import engine
from coinlake.gold import indicators, scope
from coinlake.gold.analyze import analyze, make
from coinlake.gold.scope import BEGIN, END, EVERY, Scope
from coinlake.lake import Lake
from coinlake.pipeline import definitions
from strategies import examples
from test_gold import GOLD, SOURCES, D, H, Row, bring_up, candle, daily_point, dicts, market, observe, stored
from test_gold_truths import Rows, differing

START, TODAY, DAYS = datetime(2020, 10, 1, tzinfo=UTC), 520, 1000
COINS = ("bitcoin", "ethereum", "tether", "still", "young")
BEFORE = 30
"""Days before the first one known that may arrive as well."""


@cache
def closes(coin: str) -> Any:
    """A close for each day. One coin's never moves, and is known of every other day."""
    if coin == "still":
        return np.ones(DAYS)
    random = np.random.default_rng(COINS.index(coin))
    if coin == "tether":
        return 1 + np.round(random.normal(0, 0.0003, DAYS), 4)
    return 10.0 ** (4 - 2 * COINS.index(coin)) * np.exp(random.normal(0, 0.05, DAYS).cumsum())


def end_of(number: int) -> datetime:
    return START + (number + 1) * D


some_coin = st.integers(0, len(COINS) - 1)
some_place = st.integers(0, 9_999)
some_days_ago = st.one_of(st.integers(0, 9), st.integers(0, 450))
some_factor = st.sampled_from([1.0, 1.02, 0.5, 4.0, 30.0, 0.01])


class Arrivals(RuleBasedStateMachine):
    """A lake to which things happen."""

    def __init__(self) -> None:
        """An empty lake, of which nobody has heard anything."""
        super().__init__()
        self.patched = pytest.MonkeyPatch()
        self.folder = TemporaryDirectory(prefix="coinlake-arrivals-")
        self.lake = Lake.at(str(Path(self.folder.name) / "lake"))
        self.today, self.heard = TODAY, 0
        self.known: dict[str, set[int]] = {}

    @initialize(
        coins=st.lists(st.sampled_from(COINS), min_size=1, max_size=3, unique=True),
        days=st.sampled_from([40, 130, 450]),
        sources=st.sampled_from([("coingecko",), ("mine", "coingecko")]),
        many=st.sampled_from([2, scope.MANY]),
    )
    def a_history_is_there(self, coins: list[str], days: int, sources: tuple[str, ...], many: int) -> None:
        """So many coins that are named for a few days are many: everyone's days are read then."""
        self.sources = sources
        self.patched.setattr(scope, "MANY", many)
        self.hear(row for coin in coins for row in self.days(coin, range(self.today - days + 1, self.today + 1)))
        bring_up(self.lake, sources=self.sources)

    @rule(days=st.integers(1, 3), skipped=st.sampled_from([0, 0, 0, 1, 5, 45]), without=some_coin)
    def the_next_days_arrive(self, days: int, skipped: int, without: int) -> None:
        """Of all coins but one, if there are several."""
        first = self.today + 1 + skipped
        self.today = first + days - 1
        coins = [coin for coin in self.known if coin != COINS[without]] or list(self.known)
        self.hear(row for coin in coins for row in self.days(coin, range(first, first + days)))

    @rule(which=some_coin, place=some_place, days=st.sampled_from([1, 1, 2, 20]))
    def late_days_arrive(self, which: int, place: int, days: int) -> None:
        coin = self.coin(which)
        missing = sorted(set(range(min(self.known[coin]) - BEFORE, self.today + 1)) - self.known[coin])
        first = place % len(missing)
        self.hear(self.days(coin, missing[first : first + days]))

    @rule(which=some_coin, place=some_place, factor=some_factor)
    def an_old_day_is_corrected(self, which: int, place: int, factor: float) -> None:
        coin = self.coin(which)
        known = sorted(self.known[coin])
        self.hear(self.days(coin, [known[place % len(known)]], factor))

    @precondition(lambda self: len(self.known) < len(COINS))
    @rule(days=st.sampled_from([1, 25, 100]))
    def a_coin_begins(self, days: int) -> None:
        coin = next(coin for coin in COINS if coin not in self.known)
        self.hear(self.days(coin, range(self.today - days + 1, self.today + 1)))

    @rule(which=some_coin, ago=some_days_ago, days=st.sampled_from([1, 40]), factor=some_factor)
    def days_of_my_own_are_imported(self, which: int, ago: int, days: int, factor: float) -> None:
        """Of a coin that is there; its source is another."""
        coin, last = self.coin(which), self.today - ago
        self.hear(
            candle(end_of(number), *np.multiply(_candle(coin, number), factor), "1d", coin_id=coin, source="mine")
            for number in range(last - days + 1, last + 1)
        )

    @rule(ago=some_days_ago, seconds=st.sampled_from([43_200, 86_340]))
    def a_market_list_arrives(self, ago: int, seconds: int) -> None:
        """From noon, or from a minute before midnight, where its prices may stand in for closes."""
        number, ranked = self.today - ago, [coin for coin in COINS if coin in self.known]
        at = end_of(number) - D + timedelta(seconds=seconds)
        self.hear(
            market(at, float(closes(coin)[number]) * 1.01, coin_id=coin, rank=rank, market_cap_usd=1e12 / rank)
            for rank, coin in enumerate(ranked, start=1)
        )

    @rule()
    def gold_is_brought_up_to_date(self) -> None:
        bring_up(self.lake, sources=self.sources)
        rebuilt = self.rebuilt()
        for table in GOLD:
            assert differing(table, stored(self.lake, table), rebuilt[table.name])[:3] == [], table.name

    def teardown(self) -> None:
        """At the end gold is looked at in any case."""
        try:
            if self.known:
                self.gold_is_brought_up_to_date()
        finally:
            self.patched.undo()
            self.folder.cleanup()

    def coin(self, which: int) -> str:
        return list(self.known)[which % len(self.known)]

    def days(self, coin: str, numbers: Iterable[int], factor: float = 1.0) -> list[Row]:
        """What is observed of a coin at the end of some days."""
        found, every = [], list(numbers)
        for number in every[-1::-2] if coin == "still" else every:
            price = float(closes(coin)[number]) * factor
            size = 10.0 ** (7 + COINS.index(coin))
            about = {"market_cap_usd": price * size, "volume_24h_usd": price * size / (20 + number % 7)}
            found.append(daily_point(end_of(number), price, coin_id=coin, **about))
            self.known.setdefault(coin, set()).add(number)
        return found

    def hear(self, rows: Iterable[Row]) -> None:
        """It is fetched after all that was heard before."""
        self.heard += 1
        observe(self.lake, *rows, fetched_at=end_of(self.today) + H + timedelta(seconds=self.heard))

    def rebuilt(self) -> Rows:
        """Every table of gold, made from silver alone."""
        runs_on, streams = engine("duckdb"), dict[str, Any]()
        with self.lake.as_it_stands():
            for each in definitions(self.sources):
                streams[each.table.name] = make(self.lake, each, runs_on, self.sources, made=streams)
            return {name: dicts(stream) for name, stream in streams.items()}


def _candle(coin: str, number: int) -> tuple[float, float, float, float]:
    open_, close = closes(coin)[number - 1 : number + 1]
    return float(open_), float(max(open_, close)) * 1.02, float(min(open_, close)) * 0.97, float(close)


@pytest.mark.slow(seconds=60)
def test_whatever_arrives_and_in_whatever_order_gold_is_what_a_rebuild_makes() -> None:
    run_state_machine_as_test(Arrivals, settings=settings(examples(4, shrinks=False), stateful_step_count=8))


def test_of_very_many_coins_everyones_days_are_read_where_they_are_few() -> None:
    """However far a span goes on: days that are not there cost nothing."""
    first, newest = date(2024, 5, 1), date(2024, 5, 2)
    named = Scope.of((f"coin-{number}", first, END) for number in range(scope.MANY))
    one = Scope({"bitcoin": (date(2020, 1, 1), END)})
    assert (named | one).at_least(newest) == Scope({EVERY: (first, END)}) | one
    assert named.at_least(first + 2 * scope.BRIEF_DAYS * D) == named
    away = Scope(dict.fromkeys(named.days, (first, first + 2 * scope.BRIEF_DAYS * D)))
    assert away.at_least(first - D) == away
    everyones = Scope({EVERY: (first - D, newest + 92 * D)})
    assert (named | everyones | one).at_least(newest) == Scope({EVERY: (first - D, END)}) | one
    assert Scope(dict(list(named.days.items())[1:])).at_least(newest).days.keys() < named.days.keys()


def test_the_day_that_all_coins_close_with_bitcoin_among_them_is_read_for_everyone() -> None:
    """Bitcoin's day touches everyone's, so that others are named beside everyone."""
    day = date(2024, 5, 2)
    closed = Scope.of((coin, day, day) for coin in ("bitcoin", *(f"coin-{n}" for n in range(scope.MANY))))
    touched = indicators.touched(closed, "gold.daily")
    assert EVERY in touched.days and len(touched.days) > scope.MANY
    assert touched.at_least(day - D) == Scope({EVERY: (day, END)})


def test_days_far_apart_are_not_read_for_everyone_nor_are_pieces_of_a_table_that_is_not_there_yet() -> None:
    now, then = (date(2024, 5, 1), END), (date(2016, 5, 1), date(2016, 5, 2))
    coins = [f"coin-{number}" for number in range(3 * scope.MANY)]
    both = Scope({coin: now if number % 3 else then for number, coin in enumerate(coins)})
    asked = both.at_least(date(2024, 5, 2))
    assert asked.days[EVERY] == now
    assert {span for coin, span in asked.days.items() if coin != EVERY} == {then}
    piece = Scope(dict.fromkeys(coins, (BEGIN, END)))
    assert piece.at_least(None) == piece == piece.at_least(date(2024, 5, 2))
    every = both | Scope({EVERY: then})
    assert every.at_least(date(2024, 5, 2)) == every


# Longer than what is read ---------------------------------------------------------------------------------------------

LONG = indicators.LOOKBACK_DAYS + 120
YEARS = indicators.AWAY_DAYS + LONG


def brought_up(folder: Path, first: list[Row], then: list[Row]) -> list[tuple[Any, ...]]:
    """Where the indicators of a lake that heard of some rows, and then of others, differ from a rebuild."""
    lake = Lake.at(str(folder))
    needed = [each for each in definitions(SOURCES) if each.table.name in ("gold.daily", "gold.indicators")]
    for hour, rows in enumerate((first, then)):
        observe(lake, *rows, fetched_at=end_of(YEARS) + hour * H)
        with lake.as_it_stands():
            how = [analyze(lake, each, engine("duckdb"), SOURCES).how for each in needed]
    assert how == ["updated", "updated"]
    table = needed[-1].table
    step_by_step = stored(lake, table)
    for each in needed:
        analyze(lake, each, engine("duckdb"), SOURCES, anew=True)
    return differing(table, step_by_step, stored(lake, table))[:3]


def at_ends(coin: str, prices: Sequence[float]) -> list[Row]:
    return [daily_point(end_of(number), price, coin_id=coin) for number, price in enumerate(prices)]


@pytest.mark.slow(seconds=5)
@pytest.mark.parametrize("place", [0, 1, indicators.LOOKBACK_DAYS // 2, indicators.LOOKBACK_DAYS])
def test_a_peak_of_before_a_new_unit_is_forgotten_wherever_the_unit_begins(tmp_path: Path, place: int) -> None:
    """As on the first day that is read, where nothing tells it from any other."""
    begins = LONG - 1 - indicators.LOOKBACK_DAYS + place
    rows = at_ends("bitcoin", [100.0] + [1.0] * (begins - 1) + [25.0] * (LONG - begins))
    assert brought_up(tmp_path, rows[:-1], rows[-1:]) == []


@pytest.mark.slow(seconds=5)
def test_a_peak_that_was_corrected_long_ago_is_not_carried_by_rows_that_rest_on_it(tmp_path: Path) -> None:
    """Though bitcoin's newest day, on which every coin rests, lies after them."""
    prices = [10.0] * LONG
    prices[10] = 90.0
    bitcoin, ether = at_ends("bitcoin", prices), at_ends("ethereum", prices)
    corrected = daily_point(end_of(10), 11.0, coin_id="ethereum")
    assert brought_up(tmp_path, [*bitcoin[:-1], *ether[:-1]], [bitcoin[-1], corrected]) == []


@pytest.mark.slow(seconds=5)
def test_a_peak_that_lies_before_what_is_read_is_carried(tmp_path: Path) -> None:
    rows = at_ends("ethereum", [10.0, 90.0, *(10.0 + number % 7 for number in range(LONG - 2))])
    assert brought_up(tmp_path, rows[:-1], rows[-1:]) == []


@pytest.mark.slow(seconds=5)
def test_a_coin_that_comes_back_after_years_is_in_another_unit_whatever_is_read(tmp_path: Path) -> None:
    away = at_ends("ethereum", [10.0] * 100)
    back = [daily_point(end_of(YEARS - number), 1000.0, coin_id="ethereum") for number in (2, 1)]
    bitcoin = at_ends("bitcoin", [10.0 + number % 3 for number in range(YEARS)])
    assert brought_up(tmp_path, [*away, *bitcoin[:-1]], [bitcoin[-1], *back]) == []
    rows = stored(Lake.at(str(tmp_path)), catalog.table("gold.indicators"))
    returned = end_of(YEARS - 2).date() - D
    assert [row["day"] for row in rows if row["coin_id"] == "ethereum" and row["is_break"]] == [returned]
    assert {row["peak_usd"] for row in rows if row["day"] >= returned} == {1000.0, 12.0}


@pytest.mark.slow(seconds=5)
def test_what_is_read_of_a_coin_has_no_hole_where_bitcoin_was_corrected_long_ago(tmp_path: Path) -> None:
    """Its peak lies between the days that rest on bitcoin's and those before its own newest."""
    prices = [10.0 + number % 3 for number in range(LONG)]
    prices[70] = 80.0
    bitcoin, ether = at_ends("bitcoin", prices), at_ends("ethereum", prices)
    corrected = daily_point(end_of(20), 11.5, coin_id="bitcoin")
    assert brought_up(tmp_path, [*bitcoin[:-1], *ether[:-1]], [corrected, ether[-1]]) == []


@pytest.mark.slow(seconds=5)
def test_a_coin_that_closes_every_fourth_day_goes_on_from_its_last_row(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    prices = 1e4 * np.exp(np.cumsum(random.normal(-0.002, 0.02, LONG)))
    last = (LONG - 1) // 4 * 4
    rows = [daily_point(end_of(number), float(prices[number]), coin_id="ethereum") for number in range(0, last + 1, 4)]
    assert brought_up(tmp_path, rows[:-1], rows[-1:]) == []


@pytest.mark.slow(seconds=5)
@pytest.mark.parametrize("still", [range(LONG - 300, LONG - 1), range(LONG), range(LONG - 90, LONG - 3)])
def test_a_price_that_stood_still_goes_on_from_its_last_row(tmp_path: Path, still: range) -> None:
    """And moves again on the newest day, or does not."""
    prices = 50 * np.exp(np.cumsum(np.random.default_rng(3).normal(0, 0.02, LONG)))
    prices[still] = prices[still[0]]
    rows = at_ends("ethereum", prices.tolist())
    assert brought_up(tmp_path, rows[:-1], rows[-1:]) == []


@pytest.mark.slow(seconds=5)
@pytest.mark.parametrize("unit", [1e-323, 1e-318, 1e-290, 1e-285, 1e285, 1e290, 1e306])
def test_prices_at_the_ends_of_what_a_double_holds_go_on_as_a_rebuild_says(tmp_path: Path, unit: float) -> None:
    """Beyond them there is no row: one that was reckoned in the last digits of all would depend on when."""
    prices = unit * np.exp(np.cumsum(np.random.default_rng(5).normal(0, 0.02, LONG)))
    rows = [*at_ends("ethereum", prices.tolist()), *at_ends("bitcoin", [1.0] * LONG)]
    at_last = [row for row in rows if row["observed_at"] == end_of(LONG - 1)]
    assert brought_up(tmp_path, [row for row in rows if row not in at_last], at_last) == []


@pytest.mark.slow(seconds=5)
@pytest.mark.parametrize("gap", [3, 4, 5, 40, 420])
def test_a_coin_that_was_away_goes_on_or_begins_anew_as_a_rebuild_says(tmp_path: Path, gap: int) -> None:
    prices = 50 * np.exp(np.cumsum(np.random.default_rng(4).normal(0, 0.02, LONG)))
    rows = at_ends("ethereum", prices.tolist())
    later = [daily_point(end_of(LONG - 1 + gap + n), 60.0 + n, coin_id="ethereum") for n in range(2)]
    bitcoin = at_ends("bitcoin", [10.0 + number % 3 for number in range(LONG + gap + 2)])
    assert brought_up(tmp_path, [*rows, *bitcoin[:-2]], [*bitcoin[-2:], *later]) == []
