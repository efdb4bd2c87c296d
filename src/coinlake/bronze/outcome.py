"""What an answer of CoinGecko's means: a good one, one that may pass by itself, or one that ends the run. The four
envelopes of its errors and HTML are told apart, and each becomes a sentence that says what to do.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from coinlake.answer import Answer, is_json
from coinlake.bronze.call import coin_of
from coinlake.errors import CoinlakeError, ConfigError, MissingError, QuotaError, SourceError, WindowError

_TEXT = 200
_NO_COIN = re.compile(r"coin not found|could not find coin", re.IGNORECASE)
"""How the service says that it does not know a coin. Where none was named it says so of a path that is not its own."""


@dataclass(frozen=True)
class Outcome:
    """What an answer means: why it is none, whether that may pass by itself, and whether it ends the run."""

    failure: CoinlakeError | None
    passing: bool = False
    stops: bool = False


def judge(answer: Answer, address: str) -> Outcome:
    """What a whole answer means, by its status and by what its body says."""
    status, where = answer.status, where_of(address, answer.path)
    if status == HTTPStatus.OK:
        return _judge_body(answer, where)
    code, message = explain(status, answer.body)
    said = f"{status}: {message}"
    if status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS) or 500 <= status < 600:
        return Outcome(SourceError(_passing(answer, where, said)), passing=True)
    if 400 <= status < 500 and code in _BY_CODE:
        return _BY_CODE[code](where, said)
    if status == HTTPStatus.NOT_FOUND and coin_of(answer.path) and _NO_COIN.search(message):
        return Outcome(MissingError(f"the service does not know the coin of {where} ({said}); leave it out"))
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
    wait = f"{one_line(asked)} s" if asked.isdecimal() else "a few minutes"
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
    text = f"there is nothing at {where} ({said}); set COINLAKE_API_URL to an address that ends in /api/v3"
    return Outcome(ConfigError(text), stops=True)


def _not_accepted(where: str, said: str) -> Outcome:
    text = (
        f"{where} does not accept what it was asked ({said}); check the coins and days asked for, and COINLAKE_API_URL"
    )
    return Outcome(ConfigError(text), stops=True)


def _redirected(answer: Answer, where: str) -> Outcome:
    # Not followed: the key goes to the address that was set, and to no other.
    target = one_line(answer.headers.get("location", "").partition("?")[0]) or "nowhere"
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


def is_an_answer(failure: CoinlakeError) -> bool:
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
    return code, one_line(message) or _in_words(status)


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


def one_line(text: str) -> str:
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


def where_of(address: str, path: str) -> str:
    """Address and path as a person is shown them, in one line."""
    return one_line(f"{address}{path}")
