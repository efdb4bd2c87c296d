"""Truths about the client: its pace, its patience, what it makes of every answer, and that the key stays with it."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinlake.answer import Answer, decode, encode
from coinlake.bronze.call import Call, global_market, market_chart, simple_price
from coinlake.bronze.coingecko import (
    ATTEMPTS,
    BODY_BYTES,
    DEADLINE_S,
    CoinGecko,
    Fetched,
    KeyInfo,
)
from coinlake.bronze.outcome import explain, retry_after
from coinlake.bronze.pace import WINDOW_S, Pace, TooLate
from coinlake.bronze.plans import PLANS
from coinlake.errors import CoinlakeError, ConfigError, MissingError, QuotaError, SourceError, WindowError
from servers import Reply, Request, Script, Scripted, as_json, closed_port, replay, scripted

KEY = "CG-abcdefghijklmnopqrstuvwx"
CALL = global_market("a test")
CHART = market_chart("bitcoin", 30, None, "a test")
GOOD = Reply(body=b'{"data":{}}')
NOW = datetime(2022, 2, 1, 0, 45, tzinfo=UTC)


@dataclass
class Skipping:
    """Clocks that run as ever, and on which a sleep is over at once; `sleeps` says how long it would have been."""

    began: float = field(default_factory=time.monotonic)
    wall_began: float = 1_643_676_330.0  # 2022-02-01T00:45:30Z
    skipped: float = 0.0
    sleeps: list[float] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def monotonic(self) -> float:
        return time.monotonic() + self.skipped

    def elapsed(self) -> float:
        return self.monotonic() - self.began

    def wall(self) -> float:
        return self.wall_began + self.elapsed()

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.skipped += seconds

    def pace(self, rate: int = 0, state: Path | None = None) -> Pace:
        return Pace(rate, state, self.monotonic, self.wall, self.sleep, self.said.append)


@dataclass
class Setup:
    """A client, the service it asks, and the time it thinks it is."""

    client: CoinGecko
    service: Scripted
    time: Skipping


@contextmanager
def asking(
    script: Script, plan: str = "keyless", key: str = "", rate: int = 0, clocks: Skipping | None = None, **limits: float
) -> Iterator[Setup]:
    clocks = clocks or Skipping()
    with (
        scripted(script, clocks.monotonic) as service,
        CoinGecko(service.url, plan, key, clocks.pace(rate), lambda: NOW, jitter=lambda: 0.5, **limits) as client,
    ):
        yield Setup(client, service, clocks)


def fetched(script: Script, deadline_s: float = DEADLINE_S, call: Call = CALL) -> Fetched:
    with asking(script, deadline_s=deadline_s) as setup:
        return setup.client.fetch(call)


# Pace ----------------------------------------------------------------------------------------------------------------


class Together:
    """Virtual time for threads: it goes on when all of them sleep, to when the first of them wakes."""

    def __init__(self, threads: int) -> None:
        self.now = 1000.0
        self._awake = threads
        self._wakes: list[float] = []
        self._changed = threading.Condition()

    def sleep(self, seconds: float) -> None:
        with self._changed:
            wake = self.now + seconds
            self._wakes.append(wake)
            self._rest()
            while self.now < wake:
                self._changed.wait()

    def leave(self) -> None:
        with self._changed:
            self._rest()

    def _rest(self) -> None:
        self._awake -= 1
        if self._awake == 0 and self._wakes:
            self.now = min(self._wakes)
            self._awake = sum(wake <= self.now for wake in self._wakes)
            self._wakes = [wake for wake in self._wakes if wake > self.now]
            self._changed.notify_all()


@dataclass(frozen=True)
class Made:
    """One call: seconds of idleness before it, until it arrives, until it has ended."""

    idle: float
    until_arrival: float
    until_end: float


CALLS = st.lists(
    st.builds(Made, st.floats(0, 30), st.floats(0, 9) | st.just(0.0), st.floats(0, 9) | st.just(0.0)),
    min_size=1,
    max_size=12,
)
RATES = st.integers(1, 4)


def kept(arrivals: list[float], rate: int) -> bool:
    """Whether no window of 60 s, wherever it begins, holds more than `rate` arrivals."""
    times = sorted(arrivals)
    return all(late - early >= 60 for early, late in zip(times, times[rate:], strict=False))


def make(pace: Pace, calls: list[Made], clock: Together, arrivals: list[float]) -> None:
    for call in calls:
        clock.sleep(call.idle)
        with pace.slot():
            clock.sleep(call.until_arrival)
            arrivals.append(clock.now)
            clock.sleep(call.until_end)


def run_of(clock: Together, rate: int, state: Path | None, origin: float = 0.0, wall_off: float = 0.0) -> Pace:
    """The pace of a new process: its monotonic clock has an origin of its own."""
    wall = lambda: 1.6e9 + clock.now + wall_off  # noqa: E731
    return Pace(rate, state, lambda: clock.now + origin, wall, clock.sleep, lambda said: None)


@settings(max_examples=60)
@given(RATES, CALLS)
def test_no_minute_holds_more_arrivals_than_the_rate_however_latency_jitters(rate: int, calls: list[Made]) -> None:
    clock, arrivals = Together(1), list[float]()
    make(run_of(clock, rate, None), calls, clock, arrivals)
    assert len(arrivals) == len(calls)
    assert kept(arrivals, rate)


@settings(max_examples=60)
@given(RATES, st.lists(CALLS, min_size=2, max_size=3), st.floats(-1e6, 1e6), st.floats(0, 5000), st.booleans())
def test_the_rate_is_kept_across_runs_killed_ones_too_and_when_the_wall_clock_goes_back(
    rate: int, runs: list[list[Made]], origin: float, back: float, killed: bool
) -> None:
    clock, arrivals, corpses = Together(1), list[float](), ExitStack()
    with TemporaryDirectory() as folder:
        for number, calls in enumerate(runs):
            pace = run_of(clock, rate, Path(folder) / "state", origin * number, -back * number)
            make(pace, calls, clock, arrivals)
            if killed:  # in its last call, which arrives and never ends
                corpses.enter_context(pace.slot())
                clock.sleep(calls[0].until_arrival)
                arrivals.append(clock.now)
        assert kept(arrivals, rate)
        corpses.close()


@settings(max_examples=40)
@given(RATES, CALLS, CALLS)
def test_two_processes_at_once_share_the_rate(rate: int, ours: list[Made], theirs: list[Made]) -> None:
    clock, arrivals, failures = Together(2), list[float](), list[BaseException]()

    def process(calls: list[Made], state: Path, origin: float) -> None:
        try:
            make(run_of(clock, rate, state, origin), calls, clock, arrivals)
        except BaseException as exc:
            failures.append(exc)
        finally:
            clock.leave()

    with TemporaryDirectory() as folder:
        state = Path(folder) / "deep" / "state"
        threads = [threading.Thread(target=process, args=(c, state, o)) for c, o in ((ours, 0.0), (theirs, 9e5))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failures
    assert len(arrivals) == len(ours) + len(theirs)
    assert kept(arrivals, rate)


@given(RATES, CALLS, st.lists(st.floats(-1e5, 1e5), min_size=12, max_size=12))
@settings(max_examples=40)
def test_within_a_run_a_wall_clock_that_jumps_changes_nothing(rate: int, calls: list[Made], jumps: list[float]) -> None:
    clock, arrivals = Together(1), list[float]()
    with TemporaryDirectory() as folder:
        pace = run_of(clock, rate, Path(folder) / "state")
        for call, jump in zip(calls, jumps, strict=False):
            pace.wall = partial(lambda off: 1.6e9 + clock.now + off, jump)
            make(pace, [call], clock, arrivals)
    assert kept(arrivals, rate)


def test_the_pace_waits_no_longer_than_it_must() -> None:
    clock, arrivals = Together(1), list[float]()
    make(run_of(clock, 5, None), [Made(0, 0, 0)] * 11, clock, arrivals)
    assert arrivals == [1000.0] * 5 + [1000 + WINDOW_S] * 5 + [1000 + 2 * WINDOW_S]


def test_a_rate_of_0_never_waits_and_stores_nothing(tmp_path: Path) -> None:
    clock, arrivals = Together(1), list[float]()
    make(run_of(clock, 0, tmp_path / "state"), [Made(0, 0, 0)] * 1000, clock, arrivals)
    assert clock.now == 1000
    assert not list(tmp_path.iterdir())


def test_a_stored_time_in_the_future_counts_as_now_and_ages_from_now_on(tmp_path: Path) -> None:
    state, clock = tmp_path / "state", Together(1)
    state.write_text('{"theirs-1": 99999999999}\n')
    for waited in (WINDOW_S, WINDOW_S):
        before = clock.now
        make(run_of(clock, 1, state), [Made(0, 0, 0)], clock, [])
        assert clock.now - before == pytest.approx(waited)


@pytest.mark.parametrize("text", ["{", "[]", "\n", '{"a": "b"}', '{"a": true}', '{"a": NaN}', "\0" * 9, "[" * 9999])
def test_a_damaged_state_counts_as_the_full_rate_when_it_was_last_written(tmp_path: Path, text: str) -> None:
    state, clock = tmp_path / "state", Together(1)
    for age, waited in ((0, WINDOW_S), (20, WINDOW_S - 20), (3600, 0)):
        state.write_text(text)
        written = 1.6e9 + clock.now - age
        os.utime(state, (written, written))
        before, pace = clock.now, run_of(clock, 3, state)
        make(pace, [Made(0, 0, 0)] * 3, clock, [])
        assert clock.now - before == pytest.approx(waited, abs=0.01)
        assert pace.waited_s == clock.now - before


def test_an_empty_state_says_that_no_call_was_made(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    clock = Together(1)
    make(run_of(clock, 1, tmp_path / "state"), [Made(0, 0, 0)], clock, [])
    assert clock.now == 1000


def test_what_is_left_behind_a_cut_write_is_not_read(tmp_path: Path) -> None:
    state, clock = tmp_path / "state", Together(1)
    state.write_text('{}\n8.0, "half": 16')
    make(run_of(clock, 1, state), [Made(0, 0, 0)], clock, [])
    assert clock.now == 1000
    assert len(json.loads(state.read_text())) == 1


def test_a_slot_that_comes_too_late_is_refused_without_waiting(tmp_path: Path) -> None:
    clock = Together(1)
    pace = run_of(clock, 1, tmp_path / "state")
    make(pace, [Made(0, 0, 0)], clock, [])
    for latest in (clock.now + 60, clock.now - 1):
        with pytest.raises(TooLate), pace.slot(latest):
            pass
    assert clock.now == 1000
    with pace.slot(clock.now + 61):
        assert clock.now == 1000 + WINDOW_S


def test_a_state_that_cannot_be_written_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    pace = run_of(Together(1), 1, tmp_path / "file" / "state")
    with pytest.raises(ConfigError, match=r"file/state .*COINLAKE_RATE=0"), pace.slot():
        pass


def test_a_wait_is_told_with_its_length_and_its_reason() -> None:
    clocks = Skipping()
    pace = clocks.pace(1)
    for _ in range(2):
        with pace.slot():
            pass
    assert clocks.said == ["waiting 61 s for the pace of 1 calls a minute"]


def test_the_client_keeps_the_pace_at_the_service() -> None:
    with asking(GOOD, rate=5) as setup:
        for _ in range(12):
            assert setup.client.fetch(CALL).failure is None
        assert kept([request.at for request in setup.service.requests], 5)
        assert setup.time.elapsed() < 130


def test_retries_are_paced_too() -> None:
    with asking(Reply(503), rate=2) as setup:
        came = setup.client.fetch(CALL)
        assert kept([request.at for request in setup.service.requests], 2)
        assert came.waited_s == sum(setup.time.sleeps)


# Key, plan, address --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", PLANS)
def test_the_key_travels_in_the_plans_own_header_and_nowhere_else(plan: str) -> None:
    header = {"keyless": None, "demo": "x-cg-demo-api-key"}.get(plan, "x-cg-pro-api-key")
    with asking(GOOD, plan=plan, key=KEY if header else "") as setup:
        setup.client.fetch(CHART)
    [request] = setup.service.requests
    assert [name for name, value in request.headers.items() if KEY in value] == ([header] if header else [])
    assert not [name for name in request.headers if name.startswith("x-cg") and name != header]
    assert KEY not in request.target


def repeats_everything(status: int) -> Callable[[Request], Reply]:
    def script(request: Request) -> Reply:
        headers = json.dumps(dict(request.headers))
        return Reply(status, json.dumps({"error": headers}).encode(), {"X-Repeated": headers, "Set-Cookie": "a=b"})

    return script


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 418, 429, 500])
def test_the_key_is_in_no_answer_log_error_or_repr_even_if_the_service_repeats_it(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with asking(repeats_everything(status), plan="demo", key=KEY) as setup:
        came = setup.client.fetch(CALL)
        assert KEY in setup.service.requests[0].headers["x-cg-demo-api-key"]
        told = [repr(came), str(came.failure), repr(came.failure), encode(came.answer).decode(), repr(setup.client)]
        assert decode(encode(came.answer)).body == came.answer.body
    ours = [
        record.getMessage() for record in caplog.records if record.name.startswith(("coinlake", "httpx", "stamina"))
    ]
    assert not [text for text in [*told, *ours, *setup.time.said] if KEY in text]
    assert came.failure is None or came.failure.__cause__ is came.failure.__context__ is None


def test_a_failure_on_the_way_does_not_hold_the_request_and_its_key() -> None:
    with asking(Reply(raw=b""), plan="demo", key=KEY) as setup:
        failure = setup.client.fetch(CALL).failure
    assert failure is not None
    assert failure.__cause__ is failure.__context__ is None


def test_data_that_holds_a_short_key_as_a_word_stays_as_it_came() -> None:
    with asking(Reply(body=b'["a test"]'), plan="demo", key="test") as setup:
        assert setup.client.fetch(CALL).answer.body == b'["a test"]'


PUBLIC, PRO = "https://api.coingecko.com/api/v3", "https://pro-api.coingecko.com/api/v3"


@pytest.mark.parametrize(
    ("url", "plan", "key", "says"),
    [
        (PUBLIC, "keyless", KEY, "COINLAKE_PLAN"),
        ("http://127.0.0.1:1/api/v3", "keyless", KEY, "COINLAKE_PLAN"),
        (PUBLIC, "basic", KEY, f"COINLAKE_API_URL to {PRO}"),
        (PUBLIC, "enterprise", "", f"COINLAKE_API_URL to {PRO}"),
        ("https://API.coingecko.com./api/v3", "lite", KEY, f"COINLAKE_API_URL to {PRO}"),
        (PRO, "demo", KEY, f"COINLAKE_API_URL to {PUBLIC}"),
        (PRO, "keyless", "", f"COINLAKE_API_URL to {PUBLIC}"),
        (PUBLIC.replace("https", "http"), "demo", KEY, "https://"),
        (PUBLIC, "gratis", "", "COINLAKE_PLAN"),
        (PUBLIC, "demo", f"{KEY}\r\nX-Other: 1", "COINLAKE_API_KEY"),
        (PUBLIC, "demo", "schlüssel", "COINLAKE_API_KEY"),
        ("api.coingecko.com/api/v3", "keyless", "", "COINLAKE_API_URL"),
        ("ftp://api.coingecko.com", "keyless", "", "COINLAKE_API_URL"),
        ("https://", "keyless", "", "COINLAKE_API_URL"),
        ("https://api.example:port/", "keyless", "", "COINLAKE_API_URL"),
        (f"{PUBLIC}?x_cg_demo_api_key=1", "demo", KEY, "COINLAKE_API_URL"),
    ],
)
def test_address_plan_and_key_that_do_not_belong_together_are_refused_at_once(
    url: str, plan: str, key: str, says: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        CoinGecko(url, plan, key, Skipping().pace(), lambda: NOW)
    assert says in str(refused.value)
    assert KEY not in str(refused.value)


@pytest.mark.parametrize("plan", PLANS)
def test_every_plan_is_accepted_at_its_own_address(plan: str) -> None:
    key = KEY if PLANS[plan].key_header else ""
    CoinGecko(PLANS[plan].url, plan, key, Skipping().pace(), lambda: NOW).close()


def test_a_plan_allows_no_more_than_is_documented() -> None:
    documented = {"keyless": 5, "demo": 30, "basic": 250, "analyst": 500, "lite": 500, "enterprise": 500}
    assert set(documented) == set(PLANS)
    assert all(PLANS[name].rate <= limit for name, limit in documented.items())
    assert [plan.history_days for plan in PLANS.values()] == [365, 365, 730, None, None, None]
    assert [plan.monthly_credits for plan in PLANS.values()] == [None, 10_000, 100_000, 500_000, 2_000_000, None]


def test_a_proxy_that_cannot_be_used_is_a_setting_to_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "nonsense://127.0.0.1:1")
    with pytest.raises(ConfigError, match="ALL_PROXY"):
        CoinGecko(PUBLIC, "keyless", "", Skipping().pace(), lambda: NOW)


def test_user_and_password_of_an_address_are_not_shown() -> None:
    client = CoinGecko(f"http://me:secret@127.0.0.1:{closed_port()}", "keyless", "", Skipping().pace(), lambda: NOW)
    with client:
        assert "secret" not in f"{client.fetch(CALL).failure} {client!r}"


# What is asked, what is kept -----------------------------------------------------------------------------------------


def test_we_say_who_we_are_and_accept_gzip() -> None:
    with asking(GOOD) as setup:
        setup.client.fetch(CALL)
    [request] = setup.service.requests
    assert request.headers["user-agent"].startswith("coinlake/")
    assert "(+https://github.com/coinlake/coinlake)" in request.headers["user-agent"]
    assert request.headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize("coin", ["a b", "a?days=1", "a#b", "ä", "a%2Fb", "a\n", "💲", "\ud800"])
def test_an_id_of_any_kind_changes_nothing_else_of_what_is_asked(coin: str) -> None:
    with asking(GOOD) as setup:
        assert setup.client.fetch(market_chart(coin, 30, None, "a test")).failure is None
    [request] = setup.service.requests
    assert request.path.startswith("/api/v3/coins/") and request.path.endswith("/market_chart")
    assert request.params == {"vs_currency": "usd", "days": "30", "precision": "full"}


def test_ids_are_joined_by_a_comma_and_nothing_else() -> None:
    with asking(GOOD) as setup:
        setup.client.fetch(simple_price(["bitcoin", "ethereum"], "a test"))
    assert "ids=bitcoin,ethereum&" in setup.service.requests[0].target


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize("body", [b"{}", b'{"a": 1.0e+15,\r\n "b":\t[]}\n', '["ä💲"]'.encode(), b"null"])
def test_a_body_is_kept_byte_for_byte_with_its_encoding_undone(body: bytes, gzipped: bool) -> None:
    came = fetched(Reply(body=body, gzipped=gzipped))
    assert came.failure is None
    assert came.answer.body == body


def test_an_answer_says_what_was_asked_when_and_how_it_came() -> None:
    moments = iter(NOW + timedelta(seconds=s) for s in range(9))
    reply = Reply(body=b"[]", headers={"ETag": 'W/"1"', "Set-Cookie": "a=b", "Cache-Control": "public"})
    with scripted(reply) as service:
        client = CoinGecko(service.url, "keyless", "", Skipping().pace(), lambda: next(moments))
        came = client.fetch(CHART)
        client.close()
    assert came.calls == 1 and came.retries == 0 and not came.stops
    assert (came.answer.source, came.answer.endpoint, came.answer.path) == ("coingecko", CHART.endpoint, CHART.path)
    assert came.answer.params == CHART.params
    assert (came.answer.requested_at, came.answer.fetched_at) == (NOW, NOW + timedelta(seconds=1))
    assert came.answer.headers["etag"] == 'W/"1"' and came.answer.headers["cache-control"] == "public"
    assert "set-cookie" not in came.answer.headers
    assert all(name == name.lower() for name in came.answer.headers)


def test_a_redirect_is_not_followed_with_the_key() -> None:
    with scripted(GOOD) as other, asking(Reply(302, headers={"Location": other.url}), plan="demo", key=KEY) as setup:
        came = setup.client.fetch(CALL)
        assert isinstance(came.failure, ConfigError) and came.stops
        assert other.url in str(came.failure)
        assert not other.requests and len(setup.service.requests) == 1


def test_a_body_too_large_is_not_read_to_its_end_and_not_asked_for_again() -> None:
    came = fetched(Reply(body=b" " * (BODY_BYTES + 1), gzipped=True))
    assert isinstance(came.failure, SourceError) and "64 MiB" in str(came.failure)
    assert came.calls == 1
    assert len(came.answer.body) == 2**20


def test_every_recorded_body_arrives_as_it_was_recorded(shared: Path) -> None:
    recordings = sorted((shared / "coingecko" / "recordings").glob("*.json"))
    with replay(shared) as service, CoinGecko(service.url, "keyless", "", Skipping().pace(), lambda: NOW) as client:
        for file in recordings:
            came = client.fetch(Call("recorded", f"/recordings/{file.name}", {}, "a test"))
            assert came.failure is None
            assert came.answer.body == file.read_bytes()
        assert service.stats()["answers"] == {"200": len(recordings)}


# Trying again --------------------------------------------------------------------------------------------------------

PASSING = {
    "408": Reply(408),
    "429": as_json({"status": {"error_code": 429, "error_message": "Rate Limit"}}, 429, retry_after="1"),
    "429 without Retry-After": Reply(429, b""),
    "500": as_json({"status": 500, "error": "Internal Server Error"}, 500),
    "502": Reply(502, b"<html><head><title>502 Bad Gateway</title></head></html>"),
    "503": as_json({"error": "Service Unavailable"}, 503),
    "504": Reply(504, b""),
    "520": Reply(520, b"error code: 520"),
    "hung up": Reply(raw=b""),
    "no HTTP": Reply(raw=b"hello\r\n\r\n"),
    "cut": Reply(body=b'{"data":', missing=5),
    "cut, by chunks": Reply(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"),
    "empty": Reply(body=b""),
    "blank": Reply(body=b" \n"),
    "half of it": Reply(body=b'{"data":'),
    "HTML": Reply(body=b"<html>Log in</html>"),
    "no gzip": Reply(body=b"{}", headers={"Content-Encoding": "gzip"}),
    "half of a gzip": Reply(body=b"\x1f\x8b\x08\x00", headers={"Content-Encoding": "gzip"}),
    "not UTF-8": Reply(body=b'["\xff"]'),
    "NaN": Reply(body=b"[NaN]"),
    "deep": Reply(body=b"[" * 100_000),
    "a Location that is none": Reply(302, headers={"Location": "http://[::1"}),
}


@pytest.mark.parametrize("name", PASSING)
def test_what_may_pass_is_tried_again(name: str) -> None:
    came = fetched([PASSING[name], PASSING[name], GOOD])
    assert came.failure is None and not came.stops
    assert (came.calls, came.retries, came.answer.attempt) == (3, 2, 3)
    assert came.answer.body == GOOD.body
    assert came.waited_s > 0


@pytest.mark.parametrize("name", PASSING)
def test_what_does_not_pass_is_given_up_with_one_sentence(name: str) -> None:
    with asking(PASSING[name]) as setup:
        came = setup.client.fetch(CALL)
        assert len(setup.service.requests) == came.calls <= ATTEMPTS
    assert isinstance(came.failure, SourceError)
    assert "run again" in str(came.failure) and "\n" not in str(came.failure)
    assert setup.service.url in str(came.failure)
    assert came.answer.attempt == came.calls


def test_a_call_gets_six_attempts_with_growing_waits_that_jitter() -> None:
    with asking(Reply(503)) as setup:
        assert setup.client.fetch(CALL).calls == 6
    waits = [0.5 + 0.25, 1.5, 2.5, 4.5, 8.5]  # each doubled, plus half of it or of a second
    assert setup.time.sleeps == pytest.approx(waits, abs=0.1)


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_retry_after_is_obeyed_above_a_minute_too(status: int) -> None:
    came = fetched([Reply(status, headers={"Retry-After": "119"}), GOOD])
    assert came.failure is None
    assert 119 <= came.waited_s < 121


def test_a_wait_asked_for_by_the_last_attempt_of_a_call_holds_for_the_next_call() -> None:
    with asking([*[Reply(503)] * 5, Reply(503, headers={"Retry-After": "30"}), GOOD]) as setup:
        assert setup.client.fetch(CALL).failure is not None
        assert setup.client.fetch(CALL).waited_s == pytest.approx(30, abs=1)


def test_a_429_that_says_nothing_is_waited_for_until_the_next_minute() -> None:
    clocks = Skipping(wall_began=60.0 * 27_000_000 + 48)
    with asking([Reply(429), GOOD], clocks=clocks) as setup:
        assert setup.client.fetch(CALL).failure is None
    assert 12 <= sum(setup.time.sleeps) < 13.1


def test_a_wait_longer_than_our_patience_ends_the_run_at_once() -> None:
    with asking(Reply(429, headers={"Retry-After": "3600"})) as setup:
        came = setup.client.fetch(CALL)
        assert came.stops and came.calls == 1 and not setup.time.sleeps
        assert "wait 3600 s" in str(came.failure)
        assert setup.client.fetch(CALL).calls == 0 and not setup.time.sleeps


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "Tue, 99 Feb 2022 00:00:00 GMT"}, None),
        ({"retry-after": "0"}, 0),
        ({"retry-after": " 119 "}, 119),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "9" * 5000}, float("inf")),
        ({"retry-after": "Tue, 01 Feb 2022 00:01:00 GMT"}, 60),
        ({"retry-after": "Tue, 01 Feb 2022 00:01:00 -0000"}, 60),
        ({"retry-after": "Mon, 31 Jan 2022 00:00:00 GMT"}, 0),
        ({"retry-after": "Tue, 01 Feb 2022 08:00:30 GMT", "date": "Tue, 01 Feb 2022 08:00:00 GMT"}, 30),
        ({"retry-after": "Tue, 01 Feb 2022 00:01:00 GMT", "date": "yesterday"}, 60),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, datetime(2022, 2, 1, tzinfo=UTC).timestamp()) == seconds


@pytest.mark.parametrize("drip_all", [False, True])
def test_an_attempt_ends_at_its_deadline_however_slowly_bytes_drip(drip_all: bool) -> None:
    script = [Reply(body=b'["' + b"x" * 500 + b'"]', drip_s=0.02, drip_all=drip_all), GOOD]
    began = time.monotonic()
    came = fetched(script, deadline_s=0.4)
    assert came.failure is None and came.calls == 2
    assert 0.4 <= time.monotonic() - began < 2


def test_a_service_that_says_nothing_at_all_is_late() -> None:
    silent = Reply(drip_s=30, drip_all=True)
    began = time.monotonic()
    came = fetched(silent, deadline_s=0.05)
    assert isinstance(came.failure, SourceError) and "within 0.05 s" in str(came.failure)
    assert came.calls == ATTEMPTS and came.answer.status == 0
    assert time.monotonic() - began < 5


def test_what_had_arrived_when_an_answer_was_cut_is_kept() -> None:
    came = fetched(Reply(body=b'{"data":', missing=5))
    assert (came.answer.status, came.answer.body) == (200, b'{"data":')


def test_where_nobody_listens_the_address_is_named() -> None:
    url = f"http://127.0.0.1:{closed_port()}/api/v3"
    with CoinGecko(url, "keyless", "", Skipping().pace(), lambda: NOW) as client:
        came = client.fetch(CALL)
    assert isinstance(came.failure, SourceError)
    assert url in str(came.failure) and "COINLAKE_API_URL" in str(came.failure)
    assert (came.answer.status, came.answer.body, came.calls) == (0, b"", ATTEMPTS)


def test_a_name_that_does_not_exist_is_a_sentence_too() -> None:
    with CoinGecko("http://nowhere.invalid/api", "keyless", "", Skipping().pace(), lambda: NOW) as client:
        assert "nowhere.invalid" in str(client.fetch(CALL).failure)


# Stopping ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 403, 422])
def test_a_refusal_stops_the_run_at_once(status: int) -> None:
    came = fetched(as_json({"error": "no"}, status))
    assert came.stops and came.calls == 1 and came.waited_s == 0


@pytest.mark.parametrize("status", [204, 206, 410, 418, 451, 600])
def test_an_answer_that_is_none_we_know_is_not_asked_for_again(status: int) -> None:
    came = fetched(Reply(status, b"" if status == 204 else b"{}"))
    assert isinstance(came.failure, SourceError) and came.calls == 1 and not came.stops


def test_three_calls_in_a_row_that_failed_stop_the_run() -> None:
    with asking(Reply(500)) as setup:
        assert [setup.client.fetch(CALL).stops for _ in range(3)] == [False, False, True]


def test_an_answer_in_between_starts_the_count_and_our_patience_anew() -> None:
    for between in (GOOD, as_json({"error": "coin not found"}, 404)):
        failing = [Reply(500)] * ATTEMPTS
        with asking([GOOD, *failing, *failing, between, *failing, *failing, between]) as setup:
            assert not any([setup.client.fetch(CHART).stops for _ in range(7)])


def test_many_unknown_coins_in_a_row_do_not_stop_a_run_that_was_answered() -> None:
    with asking([GOOD, as_json({"error": "coin not found"}, 404)], rate=2) as setup:
        came = [setup.client.fetch(CHART) for _ in range(12)]
        assert setup.time.elapsed() > 300
    assert all(isinstance(each.failure, MissingError) and not each.stops for each in came[1:])


def run(setup: Setup, between_s: float = 3.0) -> Fetched:
    """Ask on as a run does, with some work between two calls, until it is to stop."""
    for _ in range(100):
        if (came := setup.client.fetch(CHART)).stops:
            return came
        setup.time.skipped += between_s
    raise AssertionError(f"not stopped after 100 calls: {came.failure}")


def errors(shared: Path) -> dict[str, Reply]:
    """The error bodies seen in the wild, each with its status."""
    files = sorted((shared / "coingecko" / "errors").glob("[0-9]*"))
    return {file.name: Reply(int(file.name[:3]), file.read_bytes()) for file in files}


EVERYTHING = {
    **PASSING,
    "400": Reply(400),
    "401": Reply(401),
    "403": Reply(403),
    "418": Reply(418),
    "beyond the window": as_json({"error": {"status": {"error_code": 10012, "error_message": "too far"}}}, 401),
    "coin not found": as_json({"error": "coin not found"}, 404),
    "not found": Reply(404),
    "moved": Reply(301, headers={"Location": "/"}),
    **{f"Retry-After: {s}": Reply(429, headers={"Retry-After": str(s)}) for s in (0, 1, 20, 60, 110, 119, 180, 86400)},
}


@pytest.mark.parametrize("rate", [0, 1, 5])
@pytest.mark.parametrize("name", EVERYTHING)
def test_one_and_the_same_error_to_everything_ends_the_run_within_150_s(name: str, rate: int) -> None:
    with asking(EVERYTHING[name], rate=rate) as setup:
        came = run(setup)
        starts = [request.at for request in setup.service.requests]
        assert setup.time.elapsed() < 150
        assert starts[-1] - starts[0] <= 125.1
    assert came.failure is not None and "\n" not in str(came.failure)


@pytest.mark.parametrize("slow_s", [5.0, 19.9])
@pytest.mark.parametrize("status", [429, 500])
def test_a_slow_service_that_only_fails_ends_the_run_within_150_s(status: int, slow_s: float) -> None:
    clocks = Skipping()

    def script(request: Request) -> Reply:
        clocks.skipped += slow_s
        return Reply(status)

    with asking(script, clocks=clocks, rate=5, deadline_s=1000) as setup:
        run(setup)
    assert clocks.elapsed() < 150


def test_a_call_that_would_come_too_late_is_not_made_and_says_why() -> None:
    with asking([GOOD, *[Reply(500)] * 99], rate=0) as setup:
        setup.client.fetch(CALL)
        setup.client.fetch(CALL)
        setup.time.skipped += 200
        asked = len(setup.service.requests)
        came = setup.client.fetch(CHART)
        assert len(setup.service.requests) == asked
    assert came.stops and came.calls == came.retries == 0
    assert isinstance(came.failure, SourceError) and "500" in str(came.failure)
    assert (came.answer.status, came.answer.path, came.answer.body) == (0, CHART.path, b"")


# What answers mean ---------------------------------------------------------------------------------------------------

DOCUMENTED: dict[str, tuple[type[CoinlakeError] | None, bool, str]] = {
    "200_unknown_currency_simple_price.json": (None, False, ""),
    "200_unknown_id_simple_price.json": (None, False, ""),
    "400_10010_pro_key_on_public_host.json": (ConfigError, True, "COINLAKE_API_URL and COINLAKE_PLAN"),
    "401_10002_api_key_missing__TRUNCATED.json": (ConfigError, True, "set COINLAKE_API_KEY"),
    "401_10005_pro_only.json": (QuotaError, True, "change the plan"),
    "401_10012_beyond_365_days.json": (WindowError, False, "ask for fewer days"),
    "403_cloudflare_access_denied__SNIPPET.html": (SourceError, True, "another network"),
    "404_coin_not_found.json": (MissingError, False, "leave it out"),
    "422_missing_vs_currency.json": (ConfigError, True, "Missing parameter vs_currency"),
    "429_geckoterminal_onchain_variant.json": (SourceError, False, "COINLAKE_RATE"),
    "429_rate_limit_classic.json": (SourceError, False, "COINLAKE_RATE"),
    "500_internal.json": (SourceError, False, "Internal Server Error"),
}


def test_every_error_body_seen_in_the_wild_leads_to_its_documented_outcome(shared: Path) -> None:
    bodies = errors(shared)
    assert set(bodies) == set(DOCUMENTED)
    for name, (kind, stops, says) in DOCUMENTED.items():
        with asking(bodies[name]) as setup:
            came = setup.client.fetch(CHART)
            stopped = came.stops
            # six 429 at full minutes outlast our patience: then the run ends with the first call already
            assert stopped is stops or (stopped and came.answer.status == 429), name
        assert type(came.failure) is (kind or type(None)), name
        assert says in str(came.failure), name
        assert came.answer.body == bodies[name].body, name
        assert (came.calls > 1) is (came.answer.status in (429, 500)), name


def test_every_error_body_seen_in_the_wild_ends_a_run_within_150_s(shared: Path) -> None:
    for name, reply in errors(shared).items():
        if reply.status != 200:
            with asking(reply, rate=5) as setup:
                run(setup)
                assert setup.time.elapsed() < 150, name


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, b'{"status":{"error_code":10011,"error_message":"Demo key on the Pro host"}}', ConfigError),
        (400, b'{"error":{"status":{"error_code":"10010"}}}', ConfigError),
        (403, b'{"status":{"error_code":10005,"error_message":"PRO only"}}', QuotaError),
        (401, b'{"error":"who are you"}', ConfigError),
        (403, b"error code: 1020", SourceError),
        (404, b'{"error":"Incorrect path. Please check https://docs.coingecko.com/"}', ConfigError),
        (404, b"<html><title>Not Found</title></html>", ConfigError),
        (404, b'{"error":"Could not find coin with the given id"}', MissingError),
    ],
)
def test_codes_win_over_statuses_and_a_wrong_path_is_not_a_missing_coin(
    status: int, body: bytes, kind: type[CoinlakeError]
) -> None:
    came = fetched(Reply(status, body), call=CHART)
    assert type(came.failure) is kind
    assert came.stops is (kind is not MissingError)


def test_a_coin_not_found_where_no_coin_was_named_is_a_wrong_address() -> None:
    for path in ("/coins/list", "/coins/markets", "/global", "/simple/price"):
        with asking(as_json({"error": "coin not found"}, 404)) as setup:
            came = setup.client.fetch(Call("any", path, {}, "to see"))
        assert (type(came.failure), came.stops) == (ConfigError, True)
        assert "COINLAKE_API_URL" in str(came.failure)
        assert "leave it out" not in str(came.failure)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"status":{"error_code":10002,"error_message":"API Key Missing."}}', (10002, "API Key Missing")),
        (b'{"error":{"status":{"error_code":10012,"error_message":"too far"}}}', (10012, "too far")),
        (b'{"error":"coin not found"}', (None, "coin not found")),
        (b'{"status":500,"error":"Internal Server Error"}', (500, "Internal Server Error")),
        (b'{"status":{"error_code":"10005"}}', (10005, "Bad Gateway")),
        (b'{"status":{"error_code":true,"error_message":7}}', (None, "Bad Gateway")),
        (b'{"error":{"status":null}}', (None, "Bad Gateway")),
        (b"<html><TITLE lang='en'>\n a &amp; b\n</TITLE>", (None, "a & b")),
        (b"<html>", (None, "Bad Gateway")),
        (b"error code: 1020", (1020, "error code: 1020")),
        (b"upstream \x1b[31mfailed\r\n twice", (None, "upstream [31mfailed twice")),
        (b"\xff\xfe", (None, "\ufffd\ufffd")),
        (b"", (None, "Bad Gateway")),
        (b"[]", (None, "Bad Gateway")),
        (b"null", (None, "Bad Gateway")),
        (b"[" * 100_000, (None, "[" * 200 + "…")),
    ],
)
def test_the_four_envelopes_and_html_are_told_apart(body: bytes, told: tuple[int | None, str]) -> None:
    assert explain(502, body) == told


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "status", "error_code", "error_message", "x"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(st.integers(100, 999), st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_an_error_says_it_is_explained_in_one_short_line(status: int, body: bytes) -> None:
    code, message = explain(status, body)
    assert code is None or type(code) is int
    assert message and message.isprintable() and len(message) <= 201


# The key's own limits ------------------------------------------------------------------------------------------------

TOLD = {
    "plan": "Analyst",
    "rate_limit_request_per_minute": 500,
    "monthly_call_credit": 500_000,
    "current_total_monthly_calls": 10_000,
    "current_remaining_monthly_calls": 490_000,
    "api_key_rate_limit_request_per_minute": 250,
    "api_key_monthly_call_credit": 400_000,
}


@pytest.mark.parametrize(
    ("said", "known"),
    [
        (TOLD, KeyInfo("Analyst", 250, 400_000, 490_000)),
        (
            {"plan": None, "rate_limit_request_per_minute": "500", "monthly_call_credit": True},
            KeyInfo("", None, None, None),
        ),
        ([], None),
        (None, None),
    ],
)
def test_a_paid_key_says_what_it_allows(said: object, known: KeyInfo | None) -> None:
    with asking(as_json(said), plan="analyst", key=KEY) as setup:
        assert setup.client.key_info() == known
    assert [request.path for request in setup.service.requests] == ["/api/v3/key"]


def test_where_a_key_cannot_say_what_it_allows_nothing_is_known_and_nothing_raised() -> None:
    with asking(Reply(404), plan="basic", key=KEY) as setup:
        assert setup.client.key_info() is None
    with asking(GOOD, plan="demo", key=KEY) as setup:
        assert setup.client.key_info() is None
        assert not setup.service.requests


# The replay ----------------------------------------------------------------------------------------------------------


def test_passing_faults_of_the_service_change_no_answer(shared: Path) -> None:
    asked = [CALL, CHART, *(market_chart(coin, 30, None, "a test") for coin in ("ethereum", "litecoin", "ripple"))] * 4

    def answers(*flags: str) -> list[Answer]:
        clocks = Skipping()
        with (
            replay(shared, *flags) as service,
            CoinGecko(service.url, "keyless", "", clocks.pace(), lambda: NOW) as client,
        ):
            came = [client.fetch(call) for call in asked]
        assert not [each.failure for each in came if each.failure]
        assert bool(sum(each.retries for each in came)) is bool(flags)
        return [each.answer for each in came]

    whole, faulty = answers(), answers("--fault", "0.3", "--seed", "7")
    assert [answer.body for answer in whole] == [answer.body for answer in faulty]


def test_the_replay_knows_its_clock_and_its_limits(shared: Path) -> None:
    beyond = market_chart("bitcoin", 366, "daily", "a test")
    unknown = market_chart("no-such-coin", 30, None, "a test")
    with replay(shared) as service, CoinGecko(service.url, "keyless", "", Skipping().pace(), lambda: NOW) as client:
        before = client.fetch(CALL).answer.body
        assert isinstance(client.fetch(beyond).failure, WindowError)
        assert isinstance(client.fetch(unknown).failure, MissingError)
        service.clock("2022-02-03T00:45:00Z")
        assert client.fetch(CALL).answer.body != before
