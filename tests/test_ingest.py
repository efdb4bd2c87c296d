"""Whatever becomes of a run, what was answered is in bronze, and what came of each call is told."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from coinlake.answer import Answer, unpack
from coinlake.bronze.call import MARKET_CHART, MARKETS, Call
from coinlake.bronze.coingecko import CoinGecko
from coinlake.bronze.ingest import Ingested, freeze_universe, frozen_universe, ingest
from coinlake.bronze.pace import Pace
from coinlake.bronze.plan import Known, Wish
from coinlake.errors import (
    CoinlakeError,
    ConfigError,
    LakeError,
    MissingError,
    SourceError,
    WindowError,
)
from coinlake.lake import Lake
from coinlake.progress import Progress, silent
from servers import replay

AT = datetime(2022, 2, 1, 0, 45, tzinfo=UTC)
HISTORY = ("history",)
COINS = ("bitcoin", "celo", "eos", "tezos")


@dataclass(frozen=True)
class Said:
    """What a source made of one call."""

    answer: Answer
    failure: CoinlakeError | None = None
    stops: bool = False
    calls: int = 1
    retries: int = 0
    waited_s: float = 0.0


def answer(call: Call, body: bytes = b"{}", status: int = 200) -> Answer:
    return Answer("coingecko", call.endpoint, call.path, call.params, status, {}, AT, AT, 1, body)


def good(call: Call) -> Said:
    """The answer of a service that knows every coin, of which there are four."""
    if call.endpoint == MARKETS:
        page, size = int(call.params.get("page", 1)), int(call.params["per_page"])
        ids = call.params["ids"].split(",") if "ids" in call.params else COINS[(page - 1) * size : page * size]
        return Said(answer(call, json.dumps([{"id": coin} for coin in ids]).encode()))
    return Said(answer(call, b'{"prices":[]}'))


def failed(call: Call, failure: CoinlakeError, status: int = 503, stops: bool = False) -> Said:
    return Said(answer(call, b"<html>no</html>", status), failure, stops, calls=3, retries=2, waited_s=1.5)


@dataclass
class Script:
    """A source that answers as it is told to, and remembers what it was asked."""

    say: Callable[[Call], Said] = good
    asked: list[Call] = field(default_factory=list)

    def fetch(self, call: Call) -> Said:
        self.asked.append(call)
        return self.say(call)

    @property
    def coins(self) -> list[str | None]:
        return [call.coin_id for call in self.asked]


@dataclass
class Clock:
    """Seconds that pass with every look at it."""

    step_s: float = 0.0
    seconds: float = 0.0

    def __call__(self) -> float:
        self.seconds += self.step_s
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def run(
    lake: Lake,
    source: Script,
    wish: Wish,
    known: Known | None = None,
    clock: Clock | None = None,
    seen: list[Progress] | None = None,
) -> Ingested:
    report = silent if seen is None else seen.append
    return ingest(source, lake, wish, known or Known(), "run1", AT, lambda: AT, clock or Clock(), report)


def answers(lake: Lake, folder: str = "") -> Iterator[Answer]:
    for each in lake.objects.list(f"coingecko/{folder}" if folder else "coingecko"):
        yield from unpack(lake.objects.get(each.path))


def histories(*coins: str) -> Wish:
    return Wish(datasets=HISTORY, coins=coins, days=364)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.at(str(tmp_path / "lake"))


# What lies in bronze -----------------------------------------------------------------------------------------------


def test_every_answer_is_in_bronze_word_for_word_under_its_endpoint_and_day(lake: Lake) -> None:
    source = Script()
    done = run(lake, source, Wish(coins=("bitcoin",)))
    assert [each.path for each in lake.objects.list()] == sorted(done.objects)
    assert "coingecko/coins_market_chart/date=2022-02-01/20220201T004500Z-run1-0001.jsonl.gz" in done.objects
    assert [(one.path, one.params) for one in answers(lake, "coins_list")] == [
        (call.path, call.params) for call in source.asked if call.endpoint == "coins_list"
    ]
    assert {one.body for one in answers(lake, MARKETS)} == {b'[{"id": "bitcoin"}]'}
    assert (done.answers, done.credits, done.calls, done.failure) == (5, 5, 5, None)


def test_a_part_is_closed_at_fifty_answers(lake: Lake) -> None:
    done = run(lake, Script(), histories(*(f"coin-{n}" for n in range(120))))
    sizes = [len(list(unpack(lake.objects.get(path)))) for path in done.objects]
    assert sizes == [50, 50, 20]
    assert [path[-13:-9] for path in done.objects] == ["0001", "0002", "0003"]


def test_a_part_is_closed_a_minute_after_its_first_answer(lake: Lake) -> None:
    done = run(lake, Script(), histories(*(f"coin-{n}" for n in range(20))), clock=Clock(step_s=5))
    sizes = [len(list(unpack(lake.objects.get(path)))) for path in done.objects]
    assert sum(sizes) == 20
    assert 2 <= max(sizes) <= 12


def test_an_old_part_is_closed_while_another_endpoint_is_asked(lake: Lake) -> None:
    written: list[list[str]] = []
    clock = Clock()

    def say(call: Call) -> Said:
        clock.seconds += 31
        written.append([each.path for each in lake.objects.list("coingecko")])
        return good(call)

    run(lake, Script(say), Wish(datasets=("global", "history"), coins=COINS), clock=clock)
    assert any("/global/" in path for path in written[3])


def test_an_answer_that_cannot_be_used_is_kept_apart(lake: Lake) -> None:
    source = Script(lambda call: failed(call, SourceError("it is down")))
    done = run(lake, source, histories("bitcoin"))
    (path, *more) = done.objects
    assert path == "coingecko/_errors/date=2022-02-01/20220201T004500Z-run1-0001.jsonl.gz"
    assert not more
    assert {(one.endpoint, one.status, one.body) for one in answers(lake)} == {(MARKET_CHART, 503, b"<html>no</html>")}
    assert (done.answers, done.credits, done.calls, done.retries, done.waited_s) == (0, 0, 6, 4, 3.0)


@pytest.mark.parametrize("blow", [KeyboardInterrupt, MemoryError])
def test_what_was_answered_before_an_interruption_is_written(lake: Lake, blow: type[BaseException]) -> None:
    def say(call: Call) -> Said:
        if call.coin_id == "eos":
            raise blow
        return good(call)

    with pytest.raises(blow):
        run(lake, Script(say), histories(*COINS))
    assert [one.path.split("/")[2] for one in answers(lake)] == ["bitcoin", "celo"]


def test_a_run_that_has_nothing_to_do_writes_nothing(lake: Lake) -> None:
    done = run(lake, Script(), Wish(datasets=("global",)), Known(global_at=AT))
    assert (done.objects, list(lake.objects.list()), done.failure) == ((), [], None)


# What came of the calls --------------------------------------------------------------------------------------------


def test_a_failure_that_stops_ends_the_asking_and_keeps_what_came(lake: Lake) -> None:
    def say(call: Call) -> Said:
        no_key = ConfigError("the key is wrong")
        return failed(call, no_key, 401, stops=True) if call.coin_id == "eos" else good(call)

    source = Script(say)
    done = run(lake, source, histories(*COINS))
    assert source.coins == ["bitcoin", "celo", "eos"]
    assert isinstance(done.failure, ConfigError)
    assert len(list(answers(lake, MARKET_CHART))) == 2
    assert len(list(answers(lake, "_errors"))) == 1


def test_an_answer_that_was_never_asked_for_is_not_kept(lake: Lake) -> None:
    unasked = SourceError("not one call well for too long")
    source = Script(lambda call: Said(answer(call, b"", 0), unasked, stops=True, calls=0))
    done = run(lake, source, histories(*COINS))
    assert (done.objects, done.failure) == ((), unasked)


def test_a_call_that_failed_in_passing_is_tried_once_more_at_the_end(lake: Lake) -> None:
    def say(call: Call) -> Said:
        first = source.coins.count(call.coin_id) == 1
        return failed(call, SourceError("it is down")) if call.coin_id == "celo" and first else good(call)

    source = Script(say)
    done = run(lake, source, histories(*COINS))
    assert source.coins == ["bitcoin", "celo", "eos", "tezos", "celo"]
    assert (done.failure, done.answers) == (None, 4)


def test_what_still_fails_at_the_end_is_named_and_may_be_run_again(lake: Lake) -> None:
    source = Script(lambda call: failed(call, SourceError("it is down")) if call.coin_id != "eos" else good(call))
    done = run(lake, source, histories(*COINS))
    assert [call.coin_id for call in done.failed] == ["bitcoin", "celo", "tezos"]
    assert isinstance(done.failure, SourceError)
    assert "3 calls" in str(done.failure)
    assert "celo, market_chart" in str(done.failure)
    assert str(done.failure).endswith("run again later")


def test_a_coin_that_the_service_does_not_know_is_told_and_stops_nothing(lake: Lake) -> None:
    def say(call: Call) -> Said:
        return failed(call, MissingError("no such coin"), 404) if call.coin_id == "celo" else good(call)

    source = Script(say)
    wish = Wish(datasets=("history", "candles"), coins=COINS, days=364)
    done = run(lake, source, wish)
    assert (done.unknown_coins, done.failure) == (("celo",), None)
    assert done.refused == (("celo", "coins_market_chart", AT + timedelta(days=1)),)
    assert source.coins.count("celo") == 1
    assert source.coins.count("eos") == 2


def test_coins_that_were_asked_for_and_not_answered_are_told(lake: Lake) -> None:
    def say(call: Call) -> Said:
        if call.endpoint == "simple_price":
            return Said(answer(call, b'{"bitcoin":{"usd":38000.5},"celo":{}}'))
        return Said(answer(call, b'[{"id":"bitcoin"},{"id":"eos"}]'))

    done = run(lake, Script(say), Wish(datasets=("markets", "prices"), coins=("bitcoin", "celo", "eos")))
    assert done.missing == (("celo", "coins_markets"), ("celo", "simple_price"), ("eos", "simple_price"))


@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b'{"status":{"error_code":1}}', b'[1,"a",{"id":2}]'])
def test_an_answer_of_another_shape_lacks_every_coin(lake: Lake, body: bytes) -> None:
    done = run(lake, Script(lambda call: Said(answer(call, body))), Wish(datasets=("markets",), coins=("bitcoin",)))
    assert done.missing == (("bitcoin", "coins_markets"),)
    assert {one.body for one in answers(lake)} == {body}


# Windows that the service refuses ----------------------------------------------------------------------------------


def reaching(limit: int) -> Callable[[Call], Said]:
    def say(call: Call) -> Said:
        too_far = call.endpoint == MARKET_CHART and int(call.params["days"]) > limit
        return failed(call, WindowError("too far back"), 401) if too_far else good(call)

    return say


def test_a_refused_window_is_learnt_once_and_kept_to_from_then_on(lake: Lake) -> None:
    source = Script(reaching(100))
    done = run(lake, source, histories("bitcoin", "celo", "aave"))
    assert [(call.coin_id, call.params["days"]) for call in source.asked] == [
        *(("bitcoin", days) for days in ("364", "180", "90")),
        *(("celo", days) for days in ("364", "180", "90")),
        ("aave", "90"),
    ]
    assert (done.days_limit, done.days_learnt, done.failure, done.answers) == (90, 90, None, 3)
    assert [each[:3] for each in done.unavailable] == [
        (coin, date(2021, 2, 2), date(2021, 11, 2)) for coin in ("bitcoin", "celo", "aave")
    ]
    assert len(list(answers(lake, "_errors"))) == 4


def test_a_window_that_is_refused_of_one_coin_alone_shortens_no_other(lake: Lake) -> None:
    def say(call: Call) -> Said:
        return reaching(100)(call) if call.coin_id == "bitcoin" else good(call)

    source = Script(say)
    done = run(lake, source, histories("bitcoin", "celo", "aave"))
    assert [call.params["days"] for call in source.asked] == ["364", "180", "90", "364", "364"]
    assert (done.days_limit, done.days_learnt, done.failure) == (None, None, None)
    assert [each.coin_id for each in done.unavailable] == ["bitcoin"]


def test_what_was_learnt_before_is_kept_to_but_not_learnt_again(lake: Lake) -> None:
    source = Script(reaching(100))
    done = run(lake, source, histories("bitcoin", "celo"), Known(days_limit=90))
    assert [call.params["days"] for call in source.asked] == ["90", "90"]
    assert (done.days_limit, done.days_learnt) == (90, None)


def test_a_coin_whose_every_window_is_refused_is_given_up_and_teaches_nothing_about_the_others(lake: Lake) -> None:
    def say(call: Call) -> Said:
        return reaching(0)(call) if call.coin_id == "bitcoin" else good(call)

    source = Script(say)
    done = run(lake, source, histories("bitcoin", "celo"))
    assert [call.params["days"] for call in source.asked] == ["364", "180", "90", "30", "7", "1", "364"]
    assert (done.failure, done.days_limit) == (None, None)
    assert [each[:3] for each in done.unavailable] == [("bitcoin", date(2021, 2, 2), date(2022, 1, 31))]


def test_a_service_that_refuses_every_window_of_two_coins_is_not_asked_about_the_others(lake: Lake) -> None:
    source = Script(reaching(0))
    done = run(lake, source, histories(*COINS))
    assert set(source.coins) == {"bitcoin", "celo"}
    assert isinstance(done.failure, WindowError)


def test_a_service_that_says_the_same_to_everything_is_asked_little(lake: Lake) -> None:
    source = Script(lambda call: failed(call, WindowError("too far back"), 401))
    done = run(lake, source, Wish(coins=COINS))
    assert len(source.asked) <= 10
    assert isinstance(done.failure, WindowError)


def test_hours_that_are_refused_are_told_range_by_range(lake: Lake) -> None:
    def say(call: Call) -> Said:
        start = datetime.fromtimestamp(int(call.params.get("from", AT.timestamp())), UTC)
        return failed(call, WindowError("too far"), 401) if AT - start > timedelta(days=180) else good(call)

    wish = Wish(datasets=HISTORY, coins=("bitcoin",), granularity="hourly", days=364)
    done = run(lake, Script(say), wish)
    assert (done.days_limit, done.failure) == (None, None)
    told = {each.from_day + timedelta(days=n) for each in done.unavailable for n in range(_length(each))}
    assert told == {date(2021, 2, 2) + timedelta(days=n) for n in range(184)}
    assert max(told) == date(2021, 8, 4)


def _length(each: Sequence[object]) -> int:
    _, first, last, _ = each
    assert isinstance(first, date)
    assert isinstance(last, date)
    return (last - first).days + 1


# The universe ------------------------------------------------------------------------------------------------------


def test_the_largest_coins_are_frozen_for_the_day_and_then_asked_by_name(lake: Lake) -> None:
    source = Script()
    done = run(lake, source, Wish(top=3, days=30))
    assert done.universe == frozen_universe(lake, AT.date(), 3) == COINS[:3]
    assert [call.endpoint for call in source.asked].count(MARKETS) == 1
    assert [coin for coin in source.coins if coin] == list(COINS[:3])
    record = json.loads(lake.objects.get("_universe/date=2022-02-01/top-3.json"))
    assert record == {"date": "2022-02-01", "top": 3, "ids": list(COINS[:3]), "at": "2022-02-01T00:45:00.000000Z"}


def test_whoever_freezes_first_is_right_for_the_whole_day(lake: Lake) -> None:
    freeze_universe(lake, AT.date(), 3, ["tezos", "eos"], AT - timedelta(minutes=1))
    source = Script()
    done = run(lake, source, Wish(top=3, days=30))
    assert done.universe == ("tezos", "eos")
    assert [coin for coin in source.coins if coin] == ["tezos", "eos"]


def test_a_coin_on_two_pages_counts_once(lake: Lake) -> None:
    def say(call: Call) -> Said:
        ids = {"1": [f"coin-{n}" for n in range(250)], "2": ["coin-249", "coin-250", "coin-251", "coin-252"]}
        if "page" in call.params and "ids" not in call.params:
            return Said(answer(call, json.dumps([{"id": coin} for coin in ids[call.params["page"]]]).encode()))
        return good(call)

    done = run(lake, Script(say), Wish(datasets=("markets",), top=252))
    assert done.universe == tuple(f"coin-{n}" for n in range(252))


def test_a_rank_page_that_failed_is_tried_again_before_the_universe_is_frozen(lake: Lake) -> None:
    def say(call: Call) -> Said:
        return failed(call, SourceError("it is down")) if len(source.asked) == 1 else good(call)

    source = Script(say)
    done = run(lake, source, Wish(datasets=HISTORY, top=4, days=30))
    assert (done.universe, done.failure) == (COINS, None)


def test_the_universe_is_in_the_order_of_rank_also_when_the_first_page_came_last(lake: Lake) -> None:
    def say(call: Call) -> Said:
        if len(source.asked) == 1:
            return failed(call, SourceError("it is down"))
        return Said(answer(call, json.dumps([{"id": f"coin-of-page-{call.params['page']}"}]).encode()))

    source = Script(say)
    done = run(lake, source, Wish(datasets=("markets",), top=400))
    assert done.universe == ("coin-of-page-1", "coin-of-page-2")


def test_without_its_rank_pages_a_run_fetches_the_rest_and_freezes_nothing(lake: Lake) -> None:
    source = Script(lambda call: failed(call, SourceError("it is down")) if call.endpoint == MARKETS else good(call))
    done = run(lake, source, Wish(top=4))
    assert isinstance(done.failure, SourceError)
    assert {call.endpoint for call in source.asked} == {MARKETS, "global", "coins_list"}
    assert frozen_universe(lake, AT.date(), 4) is None


def test_a_universe_that_the_budget_does_not_let_us_see_whole_is_not_frozen(lake: Lake) -> None:
    source = Script(lambda call: Said(answer(call, b'[{"id":"bitcoin"}]')))
    done = run(lake, source, Wish(datasets=("markets",), top=600, daily_credits=2))
    assert (len(source.asked), done.universe) == (2, None)
    assert frozen_universe(lake, AT.date(), 600) is None
    assert done.notes


def test_an_empty_first_page_is_no_universe(lake: Lake) -> None:
    done = run(lake, Script(lambda call: Said(answer(call, b"[]"))), Wish(top=4))
    assert isinstance(done.failure, SourceError)
    assert frozen_universe(lake, AT.date(), 4) is None


def test_a_list_that_cannot_be_read_is_named(lake: Lake) -> None:
    lake.objects.put("_universe/date=2022-02-01/top-4.json", b"{")
    with pytest.raises(LakeError, match="top-4"):
        frozen_universe(lake, AT.date(), 4)


# Budget and progress -----------------------------------------------------------------------------------------------


def test_the_budget_holds_while_running_when_a_useless_answer_has_cost_a_credit(lake: Lake) -> None:
    def say(call: Call) -> Said:
        cut = Said(answer(call, b'{"prices":[', 200), SourceError("cut"))
        return cut if call.coin_id == "bitcoin" else good(call)

    source = Script(say)
    wish = Wish(datasets=HISTORY, coins=COINS, days=364, daily_credits=4)
    done = run(lake, source, wish)
    assert (done.credits, len(source.asked)) == (4, 4)
    assert any("1 more call" in note and "tomorrow" in note for note in done.notes)


def test_every_call_is_told_before_it_is_made(lake: Lake) -> None:
    seen: list[Progress] = []
    run(lake, Script(), Wish(top=4, days=30), seen=seen)
    assert [each.done for each in seen] == list(range(9))
    assert (seen[0].total, seen[-1].total) == (8, 8)
    assert "celo, market_chart" in [each.note for each in seen]


# With the real client and real histories ---------------------------------------------------------------------------


def replayed(lake: Lake, shared: Path, wish: Wish, *flags: str) -> Ingested:
    """A run against the replay; waiting takes no time."""
    clock = Clock()
    pace = Pace(0, None, clock, lambda: AT.timestamp(), clock.sleep, lambda _: None)
    with replay(shared, *flags) as service, CoinGecko(service.url, "keyless", "", pace, lambda: AT) as source:
        return ingest(source, lake, wish, Known(), "run1", AT, lambda: AT, clock, silent)


def closes(lake: Lake) -> dict[str, dict[date, float]]:
    """Per coin the close of each day that bronze has (the point at midnight is the close of the day before)."""
    found: dict[str, dict[date, float]] = {}
    for one in answers(lake, MARKET_CHART):
        days = found.setdefault(one.path.split("/")[2], {})
        for millis, price in json.loads(one.body)["prices"]:
            if millis % 86_400_000 == 0:
                days[datetime.fromtimestamp(millis / 1000, UTC).date() - timedelta(days=1)] = price
    return found


def real(shared: Path, coin: str, first: date, last: date) -> dict[date, float]:
    with gzip.open(shared / "coingecko" / "histories" / f"{coin}.csv.gz", "rt") as rows:
        days = {date.fromisoformat(row["day"]): float(row["close"] or 0) for row in csv.DictReader(rows)}
    return {day: close for day, close in days.items() if first <= day <= last}


@pytest.mark.parametrize("flags", [(), ("--fault", "0.2")])
def test_a_first_run_brings_every_real_close_of_the_window(lake: Lake, shared: Path, flags: tuple[str, ...]) -> None:
    done = replayed(lake, shared, Wish(top=25, history_days=365), *flags)
    assert (done.failure, done.missing, done.answers) == (None, (), 29)
    assert done.universe is not None
    assert len(done.universe) == 25
    found = closes(lake)
    for coin in done.universe:
        assert real(shared, coin, date(2021, 2, 2), date(2022, 1, 31)).items() <= found[coin].items()


def test_a_service_that_reaches_a_hundred_days_back_teaches_us_to_ask_for_ninety(lake: Lake, shared: Path) -> None:
    done = replayed(lake, shared, histories("bitcoin", "celo", "nonsense"), "--days-limit", "100")
    assert (done.days_limit, done.unknown_coins, done.failure) == (90, ("nonsense",), None)
    assert set(closes(lake)["celo"]) == {date(2021, 11, 3) + timedelta(days=n) for n in range(90)}


def test_a_network_that_is_refused_ends_the_run_with_what_came_before(lake: Lake, shared: Path) -> None:
    done = replayed(lake, shared, histories(*COINS), "--forbid", "1")
    assert (done.calls, done.answers) == (1, 0)
    assert isinstance(done.failure, SourceError)
    assert [one.status for one in answers(lake, "_errors")] == [403]
