"""One call to CoinGecko and what comes of it, whatever the service does. Bytes are repeated, never interpreted.

What passes by itself (408, 429, 5xx, a broken network, a cut body) is tried again; what does not ends the run, because
asking on would change nothing. One object is for one run: it remembers how the service has been answering.
"""

from __future__ import annotations

import html
import json
import logging
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import stamina

from coinlake.answer import Answer, is_json
from coinlake.bronze.call import SOURCE, Call
from coinlake.bronze.deadline import Deadline
from coinlake.bronze.pace import Pace, TooLate
from coinlake.bronze.plans import PAID, PLANS, PUBLIC, Plan
from coinlake.errors import CoinlakeError, ConfigError, MissingError, QuotaError, SourceError, WindowError

ATTEMPTS = 6
"""Most attempts that one call gets."""

DEADLINE_S = 20.0
"""Seconds that one attempt may take from its first byte to its last."""

CONNECT_S = 10.0
"""Seconds of them that connecting may take."""

PATIENCE_S = 125.0
"""Seconds from the start of the first failed attempt after which none is started any more."""

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
_TEXT = 200

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
class Outcome:
    """What an answer means: why it is none, whether that may pass by itself, and whether it ends the run."""

    failure: CoinlakeError | None
    passing: bool = False
    stops: bool = False


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
    clocks of `pace`. `jitter` gives numbers from 0 to 1.

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
        jitter: Callable[[], float] = random.random,
        deadline_s: float = DEADLINE_S,
        connect_s: float = CONNECT_S,
    ) -> None:
        self.plan = _agreed(url, plan, key)
        self.address = url.rstrip("/")
        self._key = key
        self._pace = pace
        self._now = now
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
        where = _where(_shown(self.address), call.path)
        self._deadline.begin(self._deadline_s)
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
        why = _line(self._masked(str(exc) or type(exc).__name__))
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
        return None if self._failing_since is None else self._failing_since + PATIENCE_S

    def _is_over(self) -> bool:
        """Whether the next attempt would begin when our patience is over."""
        latest = self._latest()
        return latest is not None and max(self._resume_at, self._pace.monotonic()) > latest

    def _note(self, tried: _Tried, began: float) -> None:
        """Remember how the service answered, and when it may be asked again."""
        outcome, attempt = tried.outcome, tried.answer.attempt
        # "I do not know this coin" is an answer, unless it is all that the service ever says.
        if outcome.failure is None or (self._has_answered and _is_an_answer(outcome.failure)):
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
        if not asked:
            text = f"{_shown(self.address)} has answered no call well for two minutes; lastly, {outcome.failure}"
            return SourceError(text), True
        self._failed_calls = 0 if _is_an_answer(outcome.failure) else self._failed_calls + 1
        return outcome.failure, outcome.stops or is_late or self._failed_calls >= CALLS_IN_A_ROW


# What answers mean ---------------------------------------------------------------------------------------------------


def judge(answer: Answer, address: str) -> Outcome:
    """What a whole answer means, by its status and by what its body says."""
    status, where = answer.status, _where(address, answer.path)
    if status == HTTPStatus.OK:
        return _judge_body(answer, where)
    code, message = explain(status, answer.body)
    said = f"{status}: {message}"
    if status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS) or 500 <= status < 600:
        return Outcome(SourceError(_passing(answer, where, said)), passing=True)
    if 400 <= status < 500 and code in _BY_CODE:
        return _BY_CODE[code](where, said)
    if status in _BY_STATUS:
        return _BY_STATUS[status](where, said)
    if 300 <= status < 400:
        return _redirected(answer, where)
    return Outcome(SourceError(f"{where} gave an answer that is none we know ({said}); check COINLAKE_API_URL"))


def _judge_body(answer: Answer, where: str) -> Outcome:
    if is_json(answer.body):
        return Outcome(None)
    what = "is empty" if not answer.body.strip() else "is not JSON, or was cut off"
    text = f"the answer from {where} {what}; wait a while, then run again"
    return Outcome(SourceError(text), passing=True)


def _passing(answer: Answer, where: str, said: str) -> str:
    if answer.status != HTTPStatus.TOO_MANY_REQUESTS:
        return f"{where} is in trouble ({said}); wait a while, then run again"
    asked = answer.headers.get("retry-after", "").strip()
    wait = f"{_line(asked)} s" if asked.isdecimal() else "a few minutes"
    return (
        f"{where} has had too many calls ({said}); wait {wait}, then run again, if need be with a lower COINLAKE_RATE"
    )


def _key_missing(where: str, said: str) -> Outcome:
    text = f"{where} wants a key ({said}); set COINLAKE_API_KEY, and COINLAKE_PLAN to the plan it belongs to"
    return Outcome(ConfigError(text), stops=True)


def _beyond_plan(where: str, said: str) -> Outcome:
    return Outcome(
        QuotaError(f"the plan does not include {where} ({said}); change the plan, or ask for less"), stops=True
    )


def _wrong_host(where: str, said: str) -> Outcome:
    text = (
        f"the key does not belong to this address, {where} ({said}); set COINLAKE_API_URL and COINLAKE_PLAN to match it"
    )
    return Outcome(ConfigError(text), stops=True)


def _beyond_window(where: str, said: str) -> Outcome:
    return Outcome(
        WindowError(f"the plan does not reach as far back as {where} was asked to ({said}); ask for fewer days")
    )


def _unauthorized(where: str, said: str) -> Outcome:
    text = f"{where} does not accept the key ({said}); check COINLAKE_API_KEY and COINLAKE_PLAN"
    return Outcome(ConfigError(text), stops=True)


def _forbidden(where: str, said: str) -> Outcome:
    text = f"{where} refuses this network ({said}); wait a few hours, or run from another network"
    return Outcome(SourceError(text), stops=True)


def _not_found(where: str, said: str) -> Outcome:
    if re.search(r"coin not found|could not find coin", said, re.IGNORECASE):
        return Outcome(MissingError(f"the service does not know the coin of {where} ({said}); leave it out"))
    text = f"there is nothing at {where} ({said}); set COINLAKE_API_URL to an address that ends in /api/v3"
    return Outcome(ConfigError(text), stops=True)


def _not_accepted(where: str, said: str) -> Outcome:
    text = (
        f"{where} does not accept what it was asked ({said}); check the coins and days asked for, and COINLAKE_API_URL"
    )
    return Outcome(ConfigError(text), stops=True)


def _redirected(answer: Answer, where: str) -> Outcome:
    # Not followed: the key goes to the address that was set, and to no other.
    target = _line(answer.headers.get("location", "").partition("?")[0]) or "nowhere"
    text = f"{where} sends us on to {target}; set COINLAKE_API_URL if that is the service, else log in to this network"
    return Outcome(ConfigError(text), stops=True)


_BY_CODE: Mapping[int | None, Callable[[str, str], Outcome]] = {
    1020: _forbidden,
    10002: _key_missing,
    10005: _beyond_plan,
    10010: _wrong_host,
    10011: _wrong_host,
    10012: _beyond_window,
}

_BY_STATUS: Mapping[int, Callable[[str, str], Outcome]] = {
    400: _not_accepted,
    401: _unauthorized,
    403: _forbidden,
    404: _not_found,
    422: _not_accepted,
}


def _is_an_answer(failure: CoinlakeError) -> bool:
    """Whether a failure is about what was asked for, not about the service."""
    return isinstance(failure, MissingError | WindowError)


def explain(status: int, body: bytes) -> tuple[int | None, str]:
    """The error code a body names, if any, and its message in one line.

    The envelopes: `{"status":{"error_code","error_message"}}`, the same below `"error"`, `{"error":"..."}`,
    `{"status":500,"error":"..."}`; of HTML the title; of Cloudflare's plain text the number. Else the status in words.
    """
    text = body.decode("utf-8", "replace").strip()
    try:
        code, message = _of_envelope(json.loads(text))
    except (ValueError, RecursionError):
        code, message = _of_page(text)
    return code, _line(message) or _in_words(status)


def _of_envelope(said: Any) -> tuple[int | None, str]:
    if not isinstance(said, Mapping):
        return None, ""
    error, status = said.get("error"), said.get("status")
    inner = error.get("status") if isinstance(error, Mapping) else status
    if isinstance(inner, Mapping):
        message = inner.get("error_message")
        return _code(inner.get("error_code")), message if isinstance(message, str) else ""
    return _code(status), error if isinstance(error, str) else ""


def _of_page(text: str) -> tuple[int | None, str]:
    if title := re.search(r"<title[^>]*>(.*?)</title", text, re.IGNORECASE | re.DOTALL):
        return None, html.unescape(title[1])
    if plain := re.match(r"error code: ([0-9]{1,6})\b", text):
        return int(plain[1]), plain[0]
    return None, "" if text.startswith("<") else text


def _code(said: object) -> int | None:
    if isinstance(said, str) and re.fullmatch(r"[0-9]{1,6}", said):
        return int(said)
    return said if type(said) is int else None


def _in_words(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "no reason given"


def _line(text: str) -> str:
    """A text of the service's as one short line without control characters."""
    short = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * _TEXT]).split()).rstrip(". ")
    return short if len(short) <= _TEXT else f"{short[:_TEXT]}…"


def retry_after(headers: Mapping[str, str], wall: float) -> float | None:
    """Seconds that `Retry-After` asks to wait (a number or an HTTP date), 0 for the past; None where it says nothing.

    A date counts from the answer's own `Date`, so that a clock that is off does no harm; else from `wall`.
    """
    said = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", said):
        return float(said)
    if (until := _http_date(said)) is None:
        return None
    since = _http_date(headers.get("date", ""))
    return max(until - (wall if since is None else since), 0.0)


def _http_date(text: str) -> float | None:
    try:
        at = parsedate_to_datetime(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


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


def _where(address: str, path: str) -> str:
    return _line(f"{address}{path}")


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
