"""The simulated service on loopback: HTTP, keys, limits, the edge's cache, and its own `/clock` and `/stats`.

Whatever it says carries the header `x-coinlake-simulated` with the name of its market.
"""

from __future__ import annotations

import hashlib
import json
import math
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

from coinlake.simulator import refusals
from coinlake.simulator.clock import Clock, iso
from coinlake.simulator.faults import TOO_MANY, Faults, Reply
from coinlake.simulator.plans import Plan, admit
from coinlake.simulator.printing import text
from coinlake.simulator.refusals import Refusal
from coinlake.simulator.router import Asked, Router

SIMULATED = "X-Coinlake-Simulated"
JSON = "application/json; charset=utf-8"
KEPT_BYTES = 64 * 2**20
_MINUTE_S = 60.0


@dataclass
class Counts:
    """What the service has done: answers by status, paths, and calls in the last minute and at once."""

    answers: Counter[str] = field(default_factory=Counter)
    paths: Counter[str] = field(default_factory=Counter)
    times: deque[float] = field(default_factory=deque)
    peak_per_minute: int = 0
    together: int = 0
    peak_together: int = 0
    credits: int = 0


class Edge:
    """Bodies that were made, the least used of them forgotten; makes nothing twice that may be given again."""

    def __init__(self, most_bytes: int = KEPT_BYTES) -> None:
        self._most = most_bytes
        self._size = 0
        self._kept: OrderedDict[tuple[str, int], tuple[bytes, str]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[str, int]) -> tuple[bytes, str] | None:
        """Body and etag, if they are still there."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: tuple[str, int], body: bytes) -> tuple[bytes, str]:
        """Keep a body; return it with its etag."""
        made = body, f'W/"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
        with self._lock:
            if key not in self._kept:
                self._size += len(body)
            self._kept[key] = made
            while self._size > self._most:
                self._size -= len(self._kept.popitem(last=False)[1][0])
        return made


class Simulated:
    """The service behind its door. Safe among threads.

    `rate` is calls in any 60 s of `monotonic` (None: the plan's, 0: no limit); with `key` no other key is taken.
    """

    def __init__(
        self,
        router: Router,
        clock: Clock,
        faults: Faults,
        monotonic: Callable[[], float],
        rate: int | None = None,
        key: str | None = None,
    ) -> None:
        self.router = router
        self.clock = clock
        self.faults = faults
        self.counts = Counts()
        self._monotonic = monotonic
        self._rate = rate
        self._key = key
        self._edge = Edge()
        self._lock = threading.Lock()

    @property
    def plan(self) -> Plan:
        """The plan that the service is on."""
        return self.router.plan

    def get(self, path: str, query: str, params: Mapping[str, str], headers: Mapping[str, str]) -> Reply:
        """Answer a GET; header names are in lower case. Never raises for what it was asked."""
        path = path.removeprefix("/api/v3")
        if path == "/clock":
            return self._own({"now": iso(self.clock.now_ms()), "speed": self.clock.speed})
        if path == "/stats":
            return self._own(self.stats())
        with self._lock:
            self.counts.paths[_pattern(path)] += 1
            self.counts.together += 1
            self.counts.peak_together = max(self.counts.peak_together, self.counts.together)
        try:
            reply = self._judged(path, query, params, headers)
        finally:
            with self._lock:
                self.counts.together -= 1
        with self._lock:
            self.counts.answers["dropped" if reply.is_dropped else str(reply.status)] += 1
        return reply

    def post(self, path: str, params: Mapping[str, str], moment: Callable[[str], int]) -> Reply:
        """Answer a POST to `/clock?now=…&speed=…`; `moment` reads milliseconds from a text."""
        if path.removeprefix("/api/v3") != "/clock":
            return self._own(refusals.incorrect_path().body, 404)
        try:
            now_ms = moment(params["now"]) if "now" in params else self.clock.now_ms()
            self.clock.set(now_ms, float(params["speed"]) if "speed" in params else None)
        except (ValueError, OverflowError) as exc:
            return self._own({"error": str(exc)}, 400)
        return self._own({"now": iso(self.clock.now_ms()), "speed": self.clock.speed})

    def stats(self) -> dict[str, Any]:
        """What the service has done so far."""
        with self._lock:
            return {
                "answers": dict(self.counts.answers),
                "peak_per_minute": self.counts.peak_per_minute,
                "peak_concurrent": self.counts.peak_together,
                "paths": dict(self.counts.paths),
                "faults": dict(self.faults.count),
                "credits": self.counts.credits,
            }

    # Answering -------------------------------------------------------------------------------------------------------

    def _judged(self, path: str, query: str, params: Mapping[str, str], headers: Mapping[str, str]) -> Reply:
        now_ms = self.clock.now_ms()
        refused, has_key = None, False
        try:
            has_key = admit(self.plan, headers, params, now_ms, self._key)
        except Refusal as refusal:
            refused = refusal
        if wait_s := self._wait_s(has_key):
            return self._too_many(wait_s)
        target = f"{path}?{query}"
        try:
            if refused:
                raise refused
            reply = self._answered(target, path, params, headers, now_ms)
        except Refusal as refusal:
            reply = Reply(refusal.status, text(refusal.body).encode(), self._headers({"Cache-Control": "no-cache"}))
        fault = self.faults.of_transport(target)
        return self.faults.spoil(fault, reply) if fault else reply

    def _answered(
        self, target: str, path: str, params: Mapping[str, str], headers: Mapping[str, str], now_ms: int
    ) -> Reply:
        if path == "/key":
            return self._of_key()
        asked = self.router.asked(path, params, now_ms)
        kept = self._edge.get((target, asked.now_ms))
        body, etag = kept or self._edge.put((target, asked.now_ms), self._made(target, asked))
        if not kept:
            with self._lock:
                self.counts.credits += 1
        age = {"Age": str((now_ms - asked.now_ms) // 1000)} if kept else {}
        more = {
            "Cache-Control": f"public, max-age={self.plan.fresh_s}",
            "Etag": etag,
            "Cf-Cache-Status": "HIT" if kept else "MISS",
            **age,
            **self._paging(asked),
        }
        if headers.get("if-none-match") == etag:
            return Reply(304, b"", self._headers(more))
        return Reply(200, body, self._headers(more))

    def _made(self, target: str, asked: Asked) -> bytes:
        value = self.router.answer(asked)
        if drift := self.faults.of_schema(target):
            value = self.faults.drift(drift, target, value)
        return text(value).encode()

    def _paging(self, asked: Asked) -> dict[str, str]:
        if asked.endpoint != "coins_markets":
            return {}
        per_page = min(int(asked.params.get("per_page", "100")), 250)
        total = len(self.router.service.market.active(asked.now_ms))
        return {"Per-Page": str(per_page), "Total": str(total)}

    def _of_key(self) -> Reply:
        if not self.plan.is_paid:
            raise refusals.pro_only()
        rate, month = self._limit(True), self.plan.credits
        with self._lock:
            used = min(self.counts.credits, month)
        said = {
            "plan": self.plan.name.capitalize(),
            "rate_limit_request_per_minute": rate or self.plan.rate,
            "monthly_call_credit": month,
            "current_total_monthly_calls": used,
            "current_remaining_monthly_calls": month - used,
            "api_key_rate_limit_request_per_minute": rate or self.plan.rate,
            "api_key_monthly_call_credit": month,
            "api_key_current_total_monthly_calls": used,
        }
        return Reply(200, text(said).encode(), self._headers({"Cache-Control": "no-cache"}))

    def _limit(self, has_key: bool) -> int:
        if self._rate is not None:
            return self._rate
        return self.plan.rate if has_key else self.plan.rate_without_key

    def _wait_s(self, has_key: bool) -> int:
        """Seconds to wait before the next call is allowed; 0 if this one is."""
        limit, now = self._limit(has_key), self._monotonic()
        with self._lock:
            times = self.counts.times
            times.append(now)
            while times[0] <= now - _MINUTE_S:
                times.popleft()
            self.counts.peak_per_minute = max(self.counts.peak_per_minute, len(times))
            if not limit or len(times) <= limit:
                return 0
            return max(1, math.ceil(_MINUTE_S - (now - times[-limit])))

    def _too_many(self, wait_s: int) -> Reply:
        return Reply(429, TOO_MANY, self._headers({"Retry-After": str(wait_s), "Cache-Control": "no-cache"}))

    def refuse(self, status: HTTPStatus, **headers: str) -> Reply:
        """The answer to what is no question: an unknown method, an address that is none."""
        return Reply(status, b"", self._headers(headers))

    def _own(self, said: Any, status: int = 200) -> Reply:
        """An answer of the simulator's own, which is no part of the service."""
        return Reply(status, json.dumps(said).encode(), self._headers({"Cache-Control": "no-store"}))

    def _headers(self, more: Mapping[str, str]) -> dict[str, str]:
        return {
            "Date": formatdate(self.clock.now_ms() / 1000, usegmt=True),
            "Content-Type": JSON,
            SIMULATED: self.router.service.market.name,
            "Server": "coinlake-simulator",
            **more,
        }


def _pattern(path: str) -> str:
    """A path without its coin."""
    parts = path.split("/")
    if len(parts) > 3 and parts[1] == "coins":
        parts[2] = "{id}"
    return "/".join(parts)
