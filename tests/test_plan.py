"""What to fetch: nothing twice, nothing beyond the budget, every gap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinlake.bronze.call import (
    MARKET_CHART,
    MARKET_CHART_RANGE,
    MARKETS,
    OHLC,
    Call,
    global_market,
    market_chart,
    market_chart_range,
    ohlc,
)
from coinlake.bronze.plan import STEPS, Known, Plan, Wish, days_asked, kept_up, plan, shortened, step_below
from coinlake.errors import ConfigError

AT = datetime(2022, 2, 1, 0, 45, tzinfo=UTC)
DAY = timedelta(days=1)
HISTORY = ("history",)
BITCOIN = Wish(datasets=HISTORY, coins=("bitcoin",))


def days(first: date, last: date) -> set[date]:
    return {first + n * DAY for n in range((last - first).days + 1)}


def window(at: datetime, length: int) -> set[date]:
    last = (at - timedelta(minutes=10)).date() - DAY
    return days(last - (length - 1) * DAY, last)


# A service by the rules of its documentation: what points does it give? --------------------------------------------


def moments(call: Call, at: datetime) -> Iterator[datetime]:
    """Midnights for `interval=daily`, whole hours otherwise, as the service would answer at the moment `at`."""
    if call.endpoint == MARKET_CHART_RANGE:
        start, end = (datetime.fromtimestamp(int(call.params[name]), UTC) for name in ("from", "to"))
        assert DAY < end - start <= 90 * DAY, "another range is not hourly"
        assert end <= at
    else:
        start, end = at - int(call.params["days"]) * DAY, at
    step = DAY if call.params.get("interval") == "daily" else timedelta(hours=1)
    moment = datetime.combine(start.date(), time(), UTC)
    while moment <= end:
        if moment >= start and (step < DAY or at - moment >= timedelta(minutes=10)):
            yield moment
        moment += step


def answered(call: Call, at: datetime) -> set[date]:
    """The days a call's answer covers."""
    daily = call.params.get("interval") == "daily"
    return {(moment - DAY if daily else moment).date() for moment in moments(call, at)}


def after(known: Known, done: Plan, wish: Wish, at: datetime) -> Known:
    """What is known once a plan's history calls are done."""
    covered = {key: set(found) for key, found in known.covered.items()}
    newest = dict(known.newest)
    for call in done.calls:
        if call.endpoint in (MARKET_CHART, MARKET_CHART_RANGE) and call.coin_id:
            key = (wish.granularity, call.coin_id)
            covered.setdefault(key, set()).update(answered(call, at))
            if call.endpoint == MARKET_CHART:
                newest[key] = at
    return replace(
        known,
        covered=covered,
        newest=newest,
        credits_month=known.credits_month + done.credits,
        credits_today=known.credits_today + done.credits,
    )


COINS = tuple(f"coin-{n}" for n in range(8))


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Wish, Known, datetime]:
    at = draw(st.datetimes(datetime(2022, 1, 1), datetime(2024, 12, 31))).replace(tzinfo=UTC)
    wish = Wish(
        datasets=tuple(draw(st.sets(st.sampled_from(["markets", "history", "global", "coins", "candles"])))),
        coins=COINS[: draw(st.integers(1, len(COINS)))],
        days=draw(st.sampled_from([1, 2, 30, 89, 90, 91, 120, 364, 365, 400])),
        granularity=draw(st.sampled_from(["daily", "hourly"])),
        history_days=draw(st.sampled_from([None, 365, 730])),
        monthly_credits=draw(st.none() | st.integers(0, 400)),
        daily_credits=draw(st.none() | st.integers(0, 40)),
    )
    last = at.date()
    covered = {}
    newest = {}
    for coin in draw(st.sets(st.sampled_from(wish.coins))):
        holes = draw(st.sets(st.integers(0, wish.days + 3), max_size=8))
        covered[(wish.granularity, coin)] = {last - n * DAY for n in range(1, wish.days + 3) if n not in holes}
        newest[(wish.granularity, coin)] = at - draw(st.sampled_from([timedelta(), timedelta(hours=2), 3 * DAY]))
    today = draw(st.integers(0, 30))
    known = Known(
        covered=covered,
        newest=newest,
        days_limit=draw(st.sampled_from([None, 1, 2, 30, 90, 100, 180])),
        credits_today=today,
        credits_month=today + draw(st.integers(0, 300)),
    )
    return wish, known, at


@given(worlds())
def test_after_doing_what_the_plan_says_there_is_no_history_left_to_fetch_at_that_moment(
    world: tuple[Wish, Known, datetime],
) -> None:
    wish, known, at = world
    done = replace(plan(wish, known, at))
    seen = replace(after(known, done, wish, at), markets_at=dict.fromkeys(COINS, at), global_at=at, coins_at=at)
    again = plan(wish, seen, at)
    histories = [call for call in again.calls if call.endpoint in (MARKET_CHART, MARKET_CHART_RANGE)]
    assert not histories


@given(worlds())
def test_the_budget_is_never_exceeded(world: tuple[Wish, Known, datetime]) -> None:
    wish, known, at = world
    credits = plan(wish, known, at).credits
    for budget, used in ((wish.monthly_credits, known.credits_month), (wish.daily_credits, known.credits_today)):
        assert budget is None or credits <= max(budget - used, 0)


@given(worlds())
def test_every_day_that_lacks_is_asked_for_or_said_to_be_out_of_reach(world: tuple[Wish, Known, datetime]) -> None:
    wish, known, at = world
    wish = replace(wish, datasets=HISTORY, monthly_credits=None, daily_credits=None)
    planned = plan(wish, known, at)
    done = after(known, planned, wish, at)
    for coin in wish.coins:
        lacking = window(at, wish.days) - set(done.covered.get((wish.granularity, coin), ()))
        told: set[date] = set()
        for each in planned.unavailable:
            told |= days(each.from_day, each.to_day) if each.coin_id in (coin, "*") else set()
        assert lacking <= told


@given(worlds())
def test_no_call_reaches_further_back_than_the_service_gives(world: tuple[Wish, Known, datetime]) -> None:
    wish, known, at = world
    for call in plan(wish, known, at).calls:
        asked = days_asked(call, at)
        assert asked is None or known.days_limit is None or asked <= known.days_limit
        assert asked is None or wish.history_days is None or asked < wish.history_days


@given(worlds())
def test_an_hourly_history_is_never_asked_for_with_a_window_that_would_be_answered_otherwise(
    world: tuple[Wish, Known, datetime],
) -> None:
    wish, known, at = world
    for call in plan(replace(wish, granularity="hourly"), known, at).calls:
        if call.endpoint == MARKET_CHART:
            assert 2 <= int(call.params["days"]) <= 90
            assert "interval" not in call.params


@given(worlds())
def test_what_the_budget_leaves_out_is_said(world: tuple[Wish, Known, datetime]) -> None:
    wish, known, at = world
    free = plan(replace(wish, monthly_credits=None, daily_credits=None), known, at)
    bound = plan(wish, known, at)
    assert set(map(str, bound.calls)) <= set(map(str, free.calls))
    assert bool(bound.notes) == (len(bound.calls) < len(free.calls))


# Histories ---------------------------------------------------------------------------------------------------------


def test_a_first_history_is_one_call_a_coin_for_the_whole_window() -> None:
    (call,) = plan(replace(BITCOIN, history_days=365), Known(), AT).calls
    assert (call.endpoint, call.coin_id) == (MARKET_CHART, "bitcoin")
    assert (call.params["days"], call.params["interval"]) == ("364", "daily")
    assert answered(call, AT) == days(date(2021, 2, 2), date(2022, 1, 31))


def test_two_new_days_are_two_days_of_history() -> None:
    known = Known(covered={("daily", "bitcoin"): days(date(2021, 2, 2), date(2022, 1, 31))})
    (call,) = plan(BITCOIN, known, datetime(2022, 2, 3, 0, 45, tzinfo=UTC)).calls
    assert (call.params["days"], call.params["interval"]) == ("2", "daily")


def test_one_new_day_is_one_day_of_history_and_says_that_it_is_daily() -> None:
    known = Known(covered={("daily", "bitcoin"): days(date(2021, 2, 2), date(2022, 1, 31))})
    (call,) = plan(BITCOIN, known, datetime(2022, 2, 2, 0, 45, tzinfo=UTC)).calls
    assert (call.params["days"], call.params["interval"]) == ("1", "daily")


def test_a_day_that_lacks_in_the_middle_is_reached_by_the_smallest_window() -> None:
    known = Known(covered={("daily", "bitcoin"): window(AT, 364) - {date(2021, 8, 15)}})
    (call,) = plan(BITCOIN, known, AT).calls
    assert date(2021, 8, 15) in answered(call, AT)
    shorter = market_chart("bitcoin", int(call.params["days"]) - 1, "daily", "")
    assert date(2021, 8, 15) not in answered(shorter, AT)


def test_a_finished_day_is_asked_for_from_ten_minutes_past_midnight_on() -> None:
    known = Known(covered={("daily", "bitcoin"): window(AT, 364)})
    midnight = datetime(2022, 2, 2, tzinfo=UTC)
    assert not plan(BITCOIN, known, midnight + timedelta(minutes=9)).calls
    assert plan(BITCOIN, known, midnight + timedelta(minutes=10)).calls


def test_a_window_still_reaches_its_first_day_when_the_run_takes_a_while() -> None:
    late = datetime(2022, 2, 2, 23, 50, tzinfo=UTC)
    known = Known(covered={("daily", "bitcoin"): window(late, 364) - {date(2022, 2, 1)}})
    (call,) = plan(BITCOIN, known, late).calls
    later = late + timedelta(minutes=30)
    assert date(2022, 2, 1) in answered(kept_up(call, late, later, None), later)


@given(
    time_of_day=st.integers(10, 24 * 60 - 1),
    passed=st.one_of(st.integers(0, 60), st.integers(0, 5 * 24 * 60)),
    lacking=st.integers(1, 9),
)
def test_no_daily_point_that_is_held_is_asked_for_again(time_of_day: int, passed: int, lacking: int) -> None:
    at = datetime(2022, 2, 2, tzinfo=UTC) + timedelta(minutes=time_of_day)
    missing = {date(2022, 2, 1) - n * DAY for n in range(lacking)}
    (call,) = plan(BITCOIN, Known(covered={("daily", "bitcoin"): window(at, 364) - missing}), at).calls
    now = at + timedelta(minutes=passed)
    got = answered(kept_up(call, at, now, None), now)
    assert missing <= got
    assert min(got) == min(missing)


def test_a_call_made_long_after_it_was_planned_reaches_back_as_far() -> None:
    known = Known(covered={("daily", "bitcoin"): window(AT, 364) - {date(2022, 1, 30), date(2022, 1, 31)}})
    (call,) = plan(BITCOIN, known, AT).calls
    for later in (timedelta(0), timedelta(hours=20), timedelta(days=1), timedelta(days=5)):
        now = AT + later
        kept = kept_up(call, AT, now, None)
        assert {date(2022, 1, 30), date(2022, 1, 31)} <= answered(kept, now)
        assert int(kept.params["days"]) <= 2 + later.days + 1
    assert kept_up(call, AT, AT + timedelta(days=900), 365).params["days"] == "364"


def test_days_before_the_plan_s_history_are_told_and_not_asked_for() -> None:
    planned = plan(replace(BITCOIN, coins=("bitcoin", "celo"), days=400, history_days=365), Known(), AT)
    assert [call.params["days"] for call in planned.calls] == ["364", "364"]
    ((coin, from_day, to_day, reason),) = planned.unavailable
    assert (coin, from_day, to_day) == ("*", date(2020, 12, 28), date(2021, 2, 1))
    assert "364 days" in reason


def test_what_the_service_taught_us_is_stronger_than_the_plan_s_history() -> None:
    planned = plan(replace(BITCOIN, history_days=365), Known(days_limit=180), AT)
    assert planned.calls[0].params["days"] == "180"
    assert (planned.unavailable[0].from_day, planned.unavailable[0].to_day) == (date(2021, 2, 2), date(2021, 8, 4))


def test_coins_never_fetched_come_before_gaps_and_the_stalest_of_those_first() -> None:
    wish = Wish(datasets=HISTORY, coins=("a", "b", "c", "d"), days=30)
    some = window(AT, 30)
    known = Known(
        covered={
            ("daily", "a"): some - {date(2022, 1, 20)},
            ("daily", "c"): some - days(date(2022, 1, 25), date(2022, 1, 31)),
        }
    )
    assert [call.coin_id for call in plan(wish, known, AT).calls] == ["b", "d", "c", "a"]


def test_a_year_of_hours_is_one_recent_window_and_older_ones_of_ninety_days() -> None:
    wish = Wish(datasets=HISTORY, coins=("bitcoin",), granularity="hourly", history_days=365)
    calls = plan(wish, Known(), AT).calls
    assert [call.endpoint for call in calls] == [MARKET_CHART] + 4 * [MARKET_CHART_RANGE]
    assert calls[0].params["days"] == "90"


def test_hours_are_due_when_the_newest_point_is_over_an_hour_old() -> None:
    wish = Wish(datasets=HISTORY, coins=("bitcoin",), granularity="hourly", days=30)
    series = ("hourly", "bitcoin")
    known = Known(covered={series: window(AT, 30)}, newest={series: AT - timedelta(minutes=59)})
    assert not plan(wish, known, AT).calls
    (call,) = plan(wish, replace(known, newest={series: AT - timedelta(minutes=61)}), AT).calls
    assert call.params["days"] == "2"


def test_five_minutes_are_one_day_without_an_interval_due_every_five_minutes() -> None:
    wish = Wish(datasets=HISTORY, coins=("bitcoin",), granularity="5m")
    (call,) = plan(wish, Known(), AT).calls
    assert call.params["days"] == "1"
    assert "interval" not in call.params
    assert not plan(wish, Known(newest={("5m", "bitcoin"): AT - timedelta(minutes=4)}), AT).calls


# Snapshots ---------------------------------------------------------------------------------------------------------


def test_the_calls_come_in_the_order_of_their_worth() -> None:
    wish = Wish(datasets=("candles", "history", "coins", "global", "prices", "markets"), coins=("bitcoin",))
    assert [(call.endpoint, call.params.get("status")) for call in plan(wish, Known(), AT).calls] == [
        ("coins_markets", None),
        ("simple_price", None),
        ("global", None),
        ("coins_list", "inactive"),
        ("coins_list", "active"),
        ("coins_market_chart", None),
        ("coins_ohlc", None),
    ]


@pytest.mark.parametrize(
    ("dataset", "every"),
    [
        ("markets", timedelta(seconds=60)),
        ("prices", timedelta(seconds=60)),
        ("global", timedelta(minutes=10)),
        ("candles", timedelta(minutes=15)),
    ],
)
def test_a_snapshot_is_due_when_the_last_one_is_too_old(dataset: str, every: timedelta) -> None:
    wish = Wish(datasets=(dataset,), coins=("bitcoin",))

    def known(last: datetime) -> Known:
        each = {"bitcoin": last}
        return Known(markets_at=each, prices_at=each, candles_at=each, global_at=last)

    assert not plan(wish, known(AT - every), AT).calls
    assert len(plan(wish, known(AT - every - timedelta(seconds=1)), AT).calls) == 1


def test_a_clock_that_was_a_year_ahead_does_not_stop_the_snapshots_for_a_year() -> None:
    wish = Wish(datasets=("global",))
    assert plan(wish, Known(global_at=AT + 365 * DAY), AT).calls
    assert not plan(wish, Known(global_at=AT + timedelta(minutes=5)), AT).calls


def test_the_lists_of_coins_are_fetched_once_a_utc_day() -> None:
    wish = Wish(datasets=("coins",))
    assert not plan(wish, Known(coins_at=AT - timedelta(minutes=45)), AT).calls
    assert len(plan(wish, Known(coins_at=AT - timedelta(minutes=46)), AT).calls) == 2


def test_markets_are_asked_for_250_coins_a_call_and_no_space_follows_a_comma() -> None:
    coins = tuple(f"coin-{n}" for n in range(600))
    calls = plan(Wish(datasets=("markets", "prices"), coins=(*coins, " coin-1 ")), Known(), AT).calls
    asked = [call.params["ids"] for call in calls]
    assert [len(ids.split(",")) for ids in asked] == [250, 250, 100, 250, 250, 100]
    assert not any(" " in ids for ids in asked)
    assert ",".join(asked[:3]).split(",") == list(coins)


def test_only_the_coins_whose_snapshot_is_old_are_asked_for_again() -> None:
    wish = Wish(datasets=("markets",), coins=("bitcoin", "celo"))
    (call,) = plan(wish, Known(markets_at={"bitcoin": AT}), AT).calls
    assert call.params["ids"] == "celo"


@pytest.mark.parametrize(("length", "asked"), [(1, "1"), (2, "7"), (7, "7"), (8, "14"), (20, "30"), (364, "30")])
def test_candles_take_the_smallest_window_that_the_endpoint_has(length: int, asked: str) -> None:
    (call,) = plan(Wish(datasets=("candles",), coins=("bitcoin",), days=length), Known(), AT).calls
    assert (call.endpoint, call.params["days"]) == (OHLC, asked)


# The universe ------------------------------------------------------------------------------------------------------


def test_an_unknown_universe_is_asked_for_by_rank_and_the_rest_is_expected() -> None:
    planned = plan(Wish(top=25), Known(), AT)
    assert [call.endpoint for call in planned.calls] == ["coins_markets", "global", "coins_list", "coins_list"]
    assert planned.pages == planned.calls[:1]
    assert (planned.pages[0].params["per_page"], planned.pages[0].params["page"]) == ("25", "1")
    assert [each.calls for each in planned.expected] == [25]
    assert (planned.credits, planned.credits_expected) == (4, 29)


def test_pages_are_full_when_there_are_several_and_their_borders_do_not_shift() -> None:
    pages = plan(Wish(top=600), Known(), AT).pages
    assert [(page.params["per_page"], page.params["page"]) for page in pages] == [
        ("250", "1"),
        ("250", "2"),
        ("250", "3"),
    ]


def test_a_known_universe_is_asked_for_by_its_ids() -> None:
    planned = plan(Wish(top=2), Known(universe=("bitcoin", "celo")), AT)
    assert not planned.pages
    assert planned.calls[0].params["ids"] == "bitcoin,celo"


def test_named_coins_win_over_the_largest() -> None:
    planned = plan(Wish(top=25, coins=("celo",)), Known(universe=("bitcoin",)), AT)
    assert {call.coin_id or call.params.get("ids") for call in planned.calls} == {"celo", None}


def test_no_coin_is_looked_up_when_none_is_needed() -> None:
    assert [call.endpoint for call in plan(Wish(datasets=("global",), top=25), Known(), AT).calls] == ["global"]


def test_a_coin_that_the_service_did_not_know_lately_is_not_asked_for_and_that_is_said() -> None:
    wish = Wish(coins=("bitcoin", "nonsense"))
    planned = plan(wish, Known(unknown_coins={"nonsense": AT + DAY}), AT)
    assert not any("nonsense" in f"{call.path} {call.params.get('ids')}" for call in planned.calls)
    assert f"nonsense (until {AT + DAY:%Y-%m-%d %H:%M} UTC)" in planned.notes[0]


# The budget --------------------------------------------------------------------------------------------------------


def test_what_the_day_s_credits_do_not_carry_waits_and_is_said() -> None:
    wish = Wish(coins=tuple(f"coin-{n}" for n in range(10)), daily_credits=8)
    planned = plan(wish, Known(), AT)
    assert planned.credits == 8
    assert planned.notes == ("budget: 6 histories wait until tomorrow; their last close is provisional",)


def test_nothing_is_fetched_when_the_month_is_spent() -> None:
    planned = plan(Wish(coins=("bitcoin",), monthly_credits=100), Known(credits_month=100), AT)
    assert not planned.calls
    assert any("until next month" in note for note in planned.notes)


def test_expected_calls_are_no_more_than_the_budget_carries() -> None:
    planned = plan(Wish(top=25, daily_credits=10), Known(), AT)
    assert planned.credits_expected == 10


def test_a_month_that_carries_a_close_a_day_fetches_every_coin_every_day() -> None:
    wish = Wish(coins=COINS, days=30, monthly_credits=28 * (len(COINS) + 4))
    assert {call.coin_id for call in plan(wish, Known(), AT).calls} >= set(COINS)


def test_a_month_that_does_not_fetches_every_coin_once_a_week_and_is_not_overspent() -> None:
    coins = tuple(f"coin-{n}" for n in range(70))
    wish = Wish(coins=coins, days=30, monthly_credits=28 * (4 + 20))
    known, fetched, spent = Known(), Counter[str](), list[int]()
    for day in range(28):
        at = AT + day * DAY
        planned = plan(wish, replace(known, credits_today=0), at)
        known = after(known, planned, wish, at)
        spent.append(planned.credits)
        if day >= 7:
            fetched.update(call.coin_id for call in planned.calls if call.coin_id)
    assert sum(spent) <= (wish.monthly_credits or 0)
    assert max(spent[:7]) <= 24  # an early day does not live on the credits of the later ones
    assert min(spent) >= 4  # the snapshots are carried on every day
    assert all(fetched[coin] >= 3 for coin in coins)
    last = (AT + 27 * DAY).date() - DAY
    assert all((last - max(known.covered[("daily", coin)])).days <= 8 for coin in coins)


def test_coins_that_wait_for_their_weekday_are_counted_in_a_note() -> None:
    coins = tuple(f"coin-{n}" for n in range(70))
    wish = Wish(datasets=HISTORY, coins=coins, days=30, monthly_credits=28 * 20)
    known = Known(covered={("daily", coin): window(AT - DAY, 30) for coin in coins})
    planned = plan(wish, known, AT)
    assert 0 < len(planned.calls) <= 20
    assert "provisional" in planned.notes[0]
    assert f"{70 - len(planned.calls)} coins" in planned.notes[0]


# Small things ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [{"datasets": ("news",)}, {"granularity": "weekly"}, {"days": 0}, {"top": 0}])
def test_a_wish_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Wish(**wrong)  # type: ignore[arg-type]


def test_a_refused_window_is_tried_shorter_until_there_is_nothing_shorter() -> None:
    tried = [365]
    while (step := step_below(tried[-1])) is not None:
        tried.append(step)
    assert tried == list(STEPS)
    assert step_below(200) == 180


def test_a_window_is_cut_to_what_its_endpoint_can_give() -> None:
    seconds = int(AT.timestamp())
    year = market_chart_range("bitcoin", seconds - 364 * 86_400, seconds - 274 * 86_400, "")

    def cut(call: Call, limit: int) -> Call | None:
        return shortened(call, limit, AT)

    assert (daily := cut(market_chart("bitcoin", 364, "daily", ""), 1)) and daily.params["days"] == "1"
    assert (candles := cut(ohlc("bitcoin", 30, ""), 20)) and candles.params["days"] == "14"
    assert (hours := cut(market_chart("bitcoin", 90, None, ""), 30)) and hours.params["days"] == "30"
    assert cut(market_chart("bitcoin", 90, None, ""), 1) is None
    assert (some := cut(year, 300)) and some.params["to"] == year.params["to"]
    assert days_asked(some, AT) == 300
    assert cut(year, 180) is None
    assert cut(global_market(""), 1) == global_market("")


@given(worlds(), st.sampled_from(STEPS))
def test_a_shortened_call_stays_within_its_limit_and_in_its_granularity(
    world: tuple[Wish, Known, datetime], limit: int
) -> None:
    wish, known, at = world
    for call in plan(wish, known, at).calls:
        short = shortened(call, limit, at)
        if short is None:
            assert call.params.get("interval") is None
            continue
        assert (days_asked(short, at) or 0) <= limit or short.endpoint == MARKETS
        assert short.params.get("interval") == call.params.get("interval")
        if call.endpoint in (MARKET_CHART, MARKET_CHART_RANGE) and "interval" not in call.params:
            assert (days_asked(short, at) or 0) >= 2
            assert list(moments(short, at))
