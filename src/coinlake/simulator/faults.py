"""Hostility on demand: answers that fail on the way, and schemas that drift, each kind with a name and a rate.

What breaks on the way (`TRANSPORT`) is decided by the seed, the call and how often it was made: trying again helps,
and the same calls fail whatever lies between them. What drifts (`DRIFT`) is decided by the seed and the call alone:
asking again gives the same.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from coinlake.simulator.chance import hashes, key_of, uniform
from coinlake.simulator.printing import Raw
from coinlake.simulator.traps import demanded

TRANSPORT = {
    "too_many": "429 with Retry-After: 1",
    "too_many_silent": "429 without Retry-After",
    "internal_error": "500 with its envelope",
    "bad_gateway": "502 with a page of HTML",
    "unavailable": "503",
    "html": "200 with a page of HTML",
    "cut": "half the body, and the connection is closed",
    "cut_whole": "half the body, announced as all of it",
    "empty": "200 and no body",
    "stall": "nothing for `stall_s`, then the answer",
    "slow": "the answer, one byte every hundredth of `stall_s`",
    "dropped": "the connection is closed without a word",
    "wrong_type": "the answer as text/html",
    "forbidden": "403 with a page of HTML, as from Cloudflare",
}
DRIFT = {
    "new_field": "every object has a field that nobody knows",
    "missing_field": "a field is missing in every object of the answer",
    "retyped_field": "a number comes as a text in every object of the answer, in every point of a series",
}
FAULTS: Mapping[str, str] = {**TRANSPORT, **DRIFT}
"""Every kind of fault by its name, and what it does."""

PAGE = b"<!DOCTYPE html><html><head><title>%s</title></head><body><h1>%s</h1></body></html>"


@dataclass(frozen=True)
class Reply:
    """What is sent: status, body, headers; `declared` bytes are announced where they are not the body's; after
    `stall_s`; with `drip_s` between bytes; and then the connection is closed if `hangs_up`.
    """

    status: int
    body: bytes
    headers: Mapping[str, str]
    declared: int | None = None
    stall_s: float = 0.0
    drip_s: float = 0.0
    hangs_up: bool = False
    is_dropped: bool = False


class Faults:
    """The faults of a seed at the rates given; none by itself. Safe among threads.

    Raises:
        ConfigError: there is no fault of that name, or a rate is not between 0 and 1.
    """

    def __init__(self, seed: int, rates: Mapping[str, float] | None = None, stall_s: float = 30.0) -> None:
        self.rates = demanded("fault", FAULTS, rates or {})
        self.stall_s = stall_s
        self.count: Counter[str] = Counter()
        self._seed = seed
        self._asked: Counter[str] = Counter()
        self._lock = threading.Lock()

    def of_transport(self, target: str) -> str | None:
        """What goes wrong on the way with this call, this time."""
        if not any(self.rates.get(name) for name in TRANSPORT):
            return None
        with self._lock:
            self._asked[target] += 1
            time = self._asked[target]
        return self._drawn(tuple(TRANSPORT), target, time)

    def of_schema(self, target: str) -> str | None:
        """How the schema of this call's answer has drifted."""
        return self._drawn(tuple(DRIFT), target, 0) if any(self.rates.get(name) for name in DRIFT) else None

    def _drawn(self, names: tuple[str, ...], target: str, time: int) -> str | None:
        left = float(uniform(key_of(self._seed, f"fault {target}"), time))
        for name in names:
            left -= self.rates.get(name, 0.0)
            if left < 0:
                with self._lock:
                    self.count[name] += 1
                return name
        return None

    def spoil(self, name: str, reply: Reply) -> Reply:
        """A reply as it arrives after a fault of transport."""
        half = reply.body[: len(reply.body) // 2]
        spoilt = {
            "cut": replace(reply, body=half, declared=len(reply.body), hangs_up=True),
            "cut_whole": replace(reply, body=half),
            "empty": replace(reply, body=b""),
            "stall": replace(reply, stall_s=self.stall_s),
            "slow": replace(reply, drip_s=self.stall_s / 100),
            "dropped": replace(reply, is_dropped=True),
            "wrong_type": replace(reply, headers={**reply.headers, "Content-Type": "text/html; charset=utf-8"}),
        }
        return spoilt[name] if name in spoilt else _instead(name, reply)

    def drift(self, name: str, target: str, value: Any) -> Any:
        """An answer's value with its schema changed."""
        if name == "retyped_field" and (series := _series(value)):
            drawn = series[int(hashes(key_of(self._seed, f"drift {target}"), 0) >> 1) % len(series)]
            drawn.text = _LAST_NUMBER.sub(r',"\1"]', drawn.text)
            return value
        objects = list(_objects(value))
        if name == "new_field":
            for each in objects:
                each["simulated_new_field"] = {"since": 2026}
        elif fields := _fields(objects, only_numbers=name == "retyped_field"):
            field = fields[int(hashes(key_of(self._seed, f"drift {target}"), 0) >> 1) % len(fields)]
            for each in objects:
                if name == "missing_field":
                    each.pop(field, None)
                elif isinstance(each.get(field), int | float):
                    each[field] = str(each[field])
        return value


def _instead(name: str, reply: Reply) -> Reply:
    """A reply of another kind in place of the one that was meant."""
    status, title = {
        "internal_error": (500, b'{"status":500,"error":"Internal Server Error"}'),
        "bad_gateway": (502, b"502 Bad Gateway"),
        "unavailable": (503, b'{"error":"Service Unavailable"}'),
        "html": (200, b"Just a moment..."),
        "forbidden": (403, b"Access denied | api.coingecko.com used Cloudflare to restrict access"),
        "too_many": (429, TOO_MANY),
        "too_many_silent": (429, TOO_MANY),
    }[name]
    is_json = title.startswith(b"{")
    kind = "application/json; charset=utf-8" if is_json else "text/html; charset=utf-8"
    headers = {**reply.headers, "Content-Type": kind, "Cache-Control": "no-cache"}
    headers.pop("Etag", None)
    if name == "too_many":
        headers["Retry-After"] = "1"
    return replace(reply, status=status, body=title if is_json else PAGE % (title, title), headers=headers)


TOO_MANY = (
    b'{"status":{"error_code":429,"error_message":"You\'ve exceeded the Rate Limit. Please visit '
    b'https://www.coingecko.com/en/api/pricing to subscribe to our API plans for higher rate limits."}}'
)


_LAST_NUMBER = re.compile(r",(-?[0-9][^],]*)\]")
"""The value of a point, the close of a candle."""


def _series(value: Any) -> list[Raw]:
    """The series of a chart or of candles, which have no fields."""
    parts = value.values() if isinstance(value, dict) else [value]
    return [each for each in parts if isinstance(each, Raw)]


def _objects(value: Any) -> list[dict[str, Any]]:
    """The objects whose fields are the schema: the rows of a list, the coins of `/simple/price`, else the answer."""
    if isinstance(value, list):
        return [each for each in value if isinstance(each, dict)]
    if isinstance(value, dict):
        inner = [each for each in value.values() if isinstance(each, dict)]
        return inner if inner and len(inner) == len(value) else [value]
    return []


def _fields(objects: list[dict[str, Any]], only_numbers: bool) -> list[str]:
    names = sorted({name for each in objects for name in each} - {"id"})
    if not only_numbers:
        return names
    return [name for name in names if any(type(each.get(name)) in (int, float) for each in objects)]
