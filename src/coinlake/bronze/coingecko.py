"""One call to CoinGecko and what comes of it, whatever the service does. Bytes are repeated, never interpreted.

What passes by itself (408, 429, 5xx, a broken network, a cut body) is tried again; what does not ends the run, because
asking on would change nothing. One object is for one run: it remembers how the service has been answering.
"""

from __future__ import annotations

import json
import logging
import math
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import stamina

from coinlake.answer import Answer
from coinlake.bronze.call import SOURCE, Call
from coinlake.bronze.deadline import Deadline
from coinlake.bronze.outcome import Outcome, is_an_answer, judge, one_line, retry_after, where_of
from coinlake.bronze.pace import Pace, TooLate
from coinlake.bronze.plans import PAID, PLANS, PUBLIC, Plan
from coinlake.errors import CoinlakeError, ConfigError, OutOfTimeError, SourceError

ATTEMPTS = 6
"""Most attempts that one call gets."""

DEADLINE_S = 20.0
"""Seconds that one attempt may take from its first byte to its last."""

CONNECT_S = 10.0
"""Seconds of them that connecting may take."""

PATIENCE_S = 125.0
"""Seconds from the start of the first failed attempt after which none is started any more."""

LAST_S = 138.0
"""Seconds from then after which every attempt is over."""

CALLS_IN_A_ROW = 3
"""Calls that may fail one after the other before the run is stopped."""

LONGEST_WAIT_S = 180.0
"""Longest wait that the service may ask for."""

BODY_BYTES = 64 * 2**20
"""Largest body that is read; of a larger one the first MiB is kept."""

_BACKOFF_S = 0.5
_KEPT_BYTES = 2**20
_MASK = "[key]"
_UNMISTAKABLE = 16

# stamina tells of every retry by `logging`, which writes to the terminal where nobody has set it up.
logging.getLogger("stamina").addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Fetched:
    """What came of a call: the last answer, and why it is none that can be used (None: a 200 whose body is JSON).

    `stops` says that further calls would fare no better. `calls` counts attempts, `retries` those after the first,
    `waited_s` the seconds slept for them and for the pace.
    """

    answer: Answer
    failure: CoinlakeError | None
    stops: bool
    calls: int
    retries: int
    waited_s: float


@dataclass(frozen=True)
class KeyInfo:
    """What a paid key allows: its plan's name, calls a minute, credits a month, and how many of them are left."""

    plan: str
    rate: int | None
    monthly_credits: int | None
    remaining_credits: int | None


@dataclass(frozen=True)
class _Tried:
    answer: Answer
    outcome: Outcome


@dataclass
class _Received:
    """What has arrived of an answer so far."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)


class _Passing(Exception):
    """An attempt failed in a way that may pass."""


class _TooLarge(Exception):
    """A body is larger than we read."""


class CoinGecko:
    """CoinGecko at one address, on one plan, for one run.

    `key` travels in the plan's header and is shown nowhere. `now` dates answers; pace, waits and deadlines go by the
    clocks of `pace`; no call begins after `until`. `jitter` gives numbers from 0 to 1.

    Raises:
        ConfigError: address, plan and key do not belong together.
    """

    def __init__(
        self,
        url: str,
        plan: str,
        key: str,
        pace: Pace,
        now: Callable[[], datetime],
        *,
        until: float = math.inf,
        jitter: Callable[[], float] = random.random,
        deadline_s: float = DEADLINE_S,
        connect_s: float = CONNECT_S,
    ) -> None:
        self.plan = _agreed(url, plan, key)
        self.address = url.rstrip("/")
        self._key = key
        self._pace = pace
        self._now = now
        self._until = until
        self._jitter = jitter
        self._deadline_s = deadline_s
        self._deadline = Deadline(pace.monotonic)
        self._client = _client(deadline_s, min(connect_s, deadline_s))
        self._deadline.govern(self._client)
        self._resume_at = pace.monotonic()
        self._failing_since: float | None = None
        self._failed_calls = 0
        self._has_answered = False
        self._last_failure: CoinlakeError | None = None

    def __repr__(self) -> str:
        return f"CoinGecko({_shown(self.address)}, plan={self.plan.name})"

    def __enter__(self) -> CoinGecko:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    # Calls -----------------------------------------------------------------------------------------------------------

    def fetch(self, call: Call) -> Fetched:
        """Make a call, with whatever retries it takes. Nothing that the service does raises.

        Raises:
            ConfigError: the file that keeps the pace can be neither read nor written.
        """
        waited_s = self._pace.waited_s
        tries: list[_Tried] = []
        is_late = not self._persist(call, tries)
        tried = tries[-1] if tries else self._unasked(call)
        failure, stops = self._concluded(tried.outcome, is_late, asked=bool(tries))
        retries = max(len(tries) - 1, 0)
        return Fetched(tried.answer, failure, stops, len(tries), retries, self._pace.waited_s - waited_s)

    def key_info(self) -> KeyInfo | None:
        """What the key allows, by one call; None on plans without `/key`, and where the service does not say."""
        if not self.plan.is_paid:
            return None
        fetched = self.fetch(Call("key", "/key", {}, "to know what the key allows"))
        said = json.loads(fetched.answer.text) if fetched.failure is None else None
        return _key_info(said) if isinstance(said, dict) else None

    def _persist(self, call: Call, tries: list[_Tried]) -> bool:
        """Try until it works, cannot work, or was tried often enough; False where our patience was over before that."""
        try:
            for attempt in stamina.retry_context(on=self._again, attempts=ATTEMPTS, timeout=None):
                with attempt:
                    tries.append(self._try(call, attempt.num))
                    if tries[-1].outcome.passing:
                        raise _Passing
        except TooLate:
            return False
        except _Passing:
            return not self._is_over()
        return True

    def _try(self, call: Call, number: int) -> _Tried:
        """One attempt, when it may be made.

        Raises:
            TooLate: our patience is over before that.
        """
        self._wait()
        with self._pace.slot(self._latest()):
            began = self._pace.monotonic()
            tried = self._ask(call, number)
        self._note(tried, began)
        return tried

    def _again(self, exc: Exception) -> float | bool:
        """Whether to try again. We wait ourselves, on the clock handed in; so what stamina is to wait is 0."""
        return 0.0 if isinstance(exc, _Passing) and not self._is_over() else False

    def _ask(self, call: Call, number: int) -> _Tried:
        received = _Received()
        requested_at = self._now()
        outcome = self._received(call, received)
        answer = self._answer(call, received, requested_at, number)
        return _Tried(answer, outcome or judge(answer, _shown(self.address)))

    def _received(self, call: Call, received: _Received) -> Outcome | None:
        """Take in what comes; say what went wrong on the way, if anything did."""
        where = where_of(_shown(self.address), call.path)
        self._deadline.begin(self._seconds_left())
        try:
            with self._client.stream("GET", self._url(call), headers=self._headers()) as response:
                received.status = response.status_code
                received.headers = {k.lower(): v for k, v in response.headers.items() if k.lower() != "set-cookie"}
                for chunk in response.iter_bytes():
                    received.body += chunk
                    if len(received.body) > BODY_BYTES:
                        raise _TooLarge
        # A failure carries no cause: httpx's exceptions hold the request, and that holds the key.
        except _TooLarge:
            del received.body[_KEPT_BYTES:]
            text = f"the answer from {where} is larger than {BODY_BYTES // 2**20} MiB; check COINLAKE_API_URL"
            return Outcome(SourceError(text))
        except (httpx.TimeoutException, TimeoutError):
            text = f"{where} did not answer in full within {self._deadline_s:g} s"
            return Outcome(SourceError(f"{text}; wait a while, then run again"), passing=True)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, httpx.CookieConflict) as exc:
            return Outcome(self._broken(where, exc, received.status), passing=True)
        return None

    def _broken(self, where: str, exc: Exception, status: int) -> SourceError:
        why = one_line(self._masked(str(exc) or type(exc).__name__))
        if status:
            return SourceError(f"the answer from {where} was cut off or garbled ({why}); wait a while, then run again")
        return SourceError(f"no answer from {where} ({why}); check the network and COINLAKE_API_URL, then run again")

    def _answer(self, call: Call, received: _Received, requested_at: datetime, number: int) -> Answer:
        headers = {name: self._masked(value) for name, value in received.headers.items()}
        body = bytes(received.body)
        # A service that repeats our key would bring it into bronze. In data a short text may be just a word.
        if self._key and (received.status != HTTPStatus.OK or len(self._key) >= _UNMISTAKABLE):
            body = body.replace(self._key.encode(), _MASK.encode())
        return Answer(
            source=SOURCE,
            endpoint=call.endpoint,
            path=call.path,
            params=dict(call.params),
            status=received.status,
            headers=headers,
            requested_at=requested_at,
            fetched_at=self._now(),
            attempt=number,
            body=body,
        )

    def _unasked(self, call: Call) -> _Tried:
        """What came of a call that was not made, since our patience was over."""
        answer = self._answer(call, _Received(), self._now(), 1)
        if self._failing_since is None:
            return _Tried(answer, Outcome(OutOfTimeError("no time was left for it; the next run asks again")))
        return _Tried(answer, Outcome(self._last_failure, stops=True))

    def _url(self, call: Call) -> str:
        # An id may hold anything: nothing of it may change what is asked for.
        path = quote(call.path, safe="/:@!$&'()*+,;=", errors="replace")
        query = urlencode(call.params, quote_via=quote, safe=",", errors="replace")
        return f"{self.address}{path}{'?' if query else ''}{query}"

    def _headers(self) -> dict[str, str]:
        return {self.plan.key_header: self._key} if self._key else {}

    def _masked(self, text: str) -> str:
        return text.replace(self._key, _MASK) if self._key else text

    # Patience --------------------------------------------------------------------------------------------------------

    def _wait(self) -> None:
        """Wait as long as the last failure wants.

        Raises:
            TooLate: our patience is over before that.
        """
        if self._is_over():
            raise TooLate
        if (left := self._resume_at - self._pace.monotonic()) > 0:
            self._pace.wait(left, "before asking again")

    def _latest(self) -> float | None:
        patient = math.inf if self._failing_since is None else self._failing_since + PATIENCE_S
        latest = min(self._until, patient)
        return None if math.isinf(latest) else latest

    def _seconds_left(self) -> float:
        """How long an attempt that begins now may take: less and less, the longer nothing has gone well."""
        if self._failing_since is None:
            return self._deadline_s
        return min(self._deadline_s, max(self._failing_since + LAST_S - self._pace.monotonic(), 1.0))

    def _is_over(self) -> bool:
        """Whether the next attempt would begin when our patience is over."""
        latest = self._latest()
        return latest is not None and max(self._resume_at, self._pace.monotonic()) > latest

    def _note(self, tried: _Tried, began: float) -> None:
        """Remember how the service answered, and when it may be asked again."""
        outcome, attempt = tried.outcome, tried.answer.attempt
        # "I do not know this coin" is an answer, unless it is all that the service ever says.
        if outcome.failure is None or (self._has_answered and is_an_answer(outcome.failure)):
            self._has_answered, self._failing_since = True, None
            return
        self._last_failure = outcome.failure
        self._failing_since = began if self._failing_since is None else self._failing_since
        if outcome.passing:
            asked_s = self._asked(tried.answer)
            backoff_s = 0.0 if attempt == ATTEMPTS else _BACKOFF_S * 2 ** (attempt - 1)
            self._resume_at = self._pace.monotonic() + max(asked_s, backoff_s) + self._jitter() * min(1.0, backoff_s)

    def _asked(self, answer: Answer) -> float:
        """Seconds that an answer asks us to wait: what it says, or for 429 the rest of the machine's minute."""
        wall = self._pace.wall()
        if (asked_s := retry_after(answer.headers, wall)) is not None:
            return min(asked_s, LONGEST_WAIT_S)
        return 60 - wall % 60 if answer.status == HTTPStatus.TOO_MANY_REQUESTS else 0.0

    def _concluded(self, outcome: Outcome, is_late: bool, asked: bool) -> tuple[CoinlakeError | None, bool]:
        """Why a call is without a usable answer, and whether the run ends with it."""
        if outcome.failure is None:
            self._failed_calls = 0
            return None, False
        if not asked and isinstance(outcome.failure, OutOfTimeError):
            return outcome.failure, False
        if not asked:
            text = f"{_shown(self.address)} has answered no call well for two minutes; lastly, {outcome.failure}"
            return SourceError(text), True
        self._failed_calls = 0 if is_an_answer(outcome.failure) else self._failed_calls + 1
        return outcome.failure, outcome.stops or is_late or self._failed_calls >= CALLS_IN_A_ROW


def _key_info(said: Mapping[str, Any]) -> KeyInfo:
    plan = said.get("plan")
    return KeyInfo(
        plan=plan if isinstance(plan, str) else "",
        rate=_least(said, "rate_limit_request_per_minute", "api_key_rate_limit_request_per_minute"),
        monthly_credits=_least(said, "monthly_call_credit", "api_key_monthly_call_credit"),
        remaining_credits=_least(said, "current_remaining_monthly_calls"),
    )


def _least(said: Mapping[str, Any], *names: str) -> int | None:
    """The smallest of the numbers named: a key may be given less than its plan."""
    return min((value for name in names if type(value := said.get(name)) is int), default=None)


# The door ------------------------------------------------------------------------------------------------------------


def _agreed(url: str, plan: str, key: str) -> Plan:
    """The plan of that name, once address, plan and key are seen to belong together."""
    if plan not in PLANS:
        raise ConfigError(f"COINLAKE_PLAN is {plan!r}; set it to one of {', '.join(PLANS)}")
    chosen, scheme, host = PLANS[plan], _parsed(url).scheme, _parsed(url).host.rstrip(".")
    if not re.fullmatch(r"[\x21-\x7e]*", key):
        raise ConfigError("COINLAKE_API_KEY holds a space or a sign that no key has; set it to the key alone")
    if key and not chosen.key_header:
        raise ConfigError(
            "there is a key, but the plan is keyless; set COINLAKE_PLAN to its plan, or no COINLAKE_API_KEY"
        )
    if host == httpx.URL(PUBLIC).host and chosen.is_paid:
        raise ConfigError(
            f"the {plan} plan is served elsewhere; set COINLAKE_API_URL to {PAID}, or COINLAKE_PLAN to demo"
        )
    if host == httpx.URL(PAID).host and not chosen.is_paid:
        raise ConfigError(
            f"the {plan} plan is not served here; set COINLAKE_API_URL to {PUBLIC}, or COINLAKE_PLAN anew"
        )
    if key and scheme == "http" and host.endswith("coingecko.com"):
        raise ConfigError("the key would be sent for all to read; let COINLAKE_API_URL begin with https://")
    return chosen


def _parsed(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError):
        parsed = httpx.URL("")
    if parsed.scheme not in ("http", "https") or not parsed.host or "?" in url or "#" in url:
        raise ConfigError(f"COINLAKE_API_URL is no address without a query; set it to one such as {PUBLIC}")
    return parsed


def _shown(address: str) -> str:
    """An address as people may see it: without the user and password it may hold."""
    return re.sub(r"//[^/]*@", "//", address)


def _client(deadline_s: float, connect_s: float) -> httpx.Client:
    try:
        return httpx.Client(
            headers={"User-Agent": _user_agent(), "Accept": "application/json", "Accept-Encoding": "gzip"},
            timeout=httpx.Timeout(deadline_s, connect=connect_s),
            limits=httpx.Limits(max_connections=1),
            follow_redirects=False,
        )
    except (ImportError, ValueError, httpx.InvalidURL) as exc:
        raise ConfigError(f"the proxy that HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names cannot be used ({exc})") from exc


def _user_agent() -> str:
    try:
        ours = version("coinlake")
    except PackageNotFoundError:  # run from its source
        ours = "0"
    return f"coinlake/{ours} (+https://github.com/coinlake/coinlake)"
