"""What an answer is, and how it lies in bronze: a line that gives its very bytes back.

A body that is UTF-8 JSON without a line break is copied into the line as it came, last, so that its bytes can be
cut out again. Any other body (line breaks, HTML, cut in half) is kept as base64 of its bytes.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn

from coinlake.errors import ConfigError, LakeError

_BODY = b',"body":'
_BODY_BASE64 = b',"body_base64":'
_ENVELOPE_END = re.compile(rb'"attempt":\d+,"sha256":"[0-9a-f]{64}"(,"body(?:_base64)?":)')
"""Where the body begins, whatever names and texts come before: theirs are texts, so no number follows their names."""


EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2262, 1, 1, tzinfo=UTC)
"""Moments that can be asked about: what counts nanoseconds from 1970 ends soon after the last."""


def to_text(at: datetime) -> str:
    """A moment as ISO 8601 in UTC, to the microsecond: `2022-02-01T00:45:00.000000Z`."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def to_moment(text: str) -> datetime:
    """The moment an ISO 8601 text names; without an offset it is UTC.

    Raises:
        ValueError: the text is no moment, or none that a calendar of four digits has in UTC.
    """
    try:
        return _aware(text).astimezone(UTC)
    except OverflowError as exc:
        raise ValueError(f"{text} is before year 1 or after year 9999 in UTC") from exc


def to_asked(text: str) -> datetime:
    """The moment that somebody asks about.

    Raises:
        ValueError: the text is no moment.
        ConfigError: it is one outside `EARLIEST` to `LATEST`.
    """
    at = _aware(text)
    if not EARLIEST <= at <= LATEST:
        raise ConfigError(f"{text} is out of range: ask about a moment from {EARLIEST:%Y-%m-%d} to {LATEST:%Y-%m-%d}")
    return at.astimezone(UTC)


def _aware(text: str) -> datetime:
    at = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


@dataclass(frozen=True)
class Answer:
    """What a source answered to one call: the body's own bytes (content-encoding undone), and what surrounds them.

    `path` is below the base address and without a query; `params` hold no key. `status` is the HTTP status (0 where
    nothing arrived), `attempt` counts from 1.
    """

    source: str
    endpoint: str
    path: str
    params: Mapping[str, str]
    status: int
    headers: Mapping[str, str]
    requested_at: datetime
    fetched_at: datetime
    attempt: int
    body: bytes

    @property
    def sha256(self) -> str:
        """Hexadecimal digest of the body's bytes."""
        return hashlib.sha256(self.body).hexdigest()

    @property
    def text(self) -> str:
        """The body as text; bytes that are no UTF-8 become U+FFFD."""
        return self.body.decode("utf-8", "replace")


def is_json(body: bytes) -> bool:
    """Whether bytes are one JSON value in UTF-8 (NaN and Infinity are not JSON)."""
    try:
        json.loads(body.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def encode(answer: Answer) -> bytes:
    """One line of bronze, without its line end."""
    envelope = {
        "source": answer.source,
        "endpoint": answer.endpoint,
        "path": answer.path,
        "params": dict(answer.params),
        "status": answer.status,
        "headers": dict(answer.headers),
        "requested_at": to_text(answer.requested_at),
        "fetched_at": to_text(answer.fetched_at),
        "attempt": answer.attempt,
        "sha256": answer.sha256,
    }
    head = json.dumps(envelope, separators=(",", ":"), ensure_ascii=True).encode()[:-1]
    if b"\n" not in answer.body and b"\r" not in answer.body and is_json(answer.body):
        return head + _BODY + answer.body + b"}"
    return head + _BODY_BASE64 + b'"' + base64.b64encode(answer.body) + b'"}'


def decode(line: bytes) -> Answer:
    """The answer a line of bronze holds.

    Raises:
        LakeError: the line is not one of ours, or its body does not match its sha256.
    """
    try:
        if (end := _ENVELOPE_END.search(line)) is None:
            raise ValueError("it has no body")
        envelope = json.loads(line[: end.start(1)] + b"}")
        tail = line[end.end(1) : -1]
        body = tail if end[1] == _BODY else base64.b64decode(json.loads(tail))
        answer = Answer(
            source=envelope["source"],
            endpoint=envelope["endpoint"],
            path=envelope["path"],
            params=envelope["params"],
            status=envelope["status"],
            headers=envelope["headers"],
            requested_at=to_moment(envelope["requested_at"]),
            fetched_at=to_moment(envelope["fetched_at"]),
            attempt=envelope["attempt"],
            body=body,
        )
        if answer.sha256 != envelope["sha256"]:
            raise ValueError("its body does not match its sha256")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise LakeError(f"a line of bronze cannot be read back ({exc}); restore the object from a copy") from exc
    return answer


def pack(answers: Iterable[Answer]) -> bytes:
    """A bronze object: gzip'd JSON Lines, the same bytes for the same answers."""
    return gzip.compress(b"".join(encode(answer) + b"\n" for answer in answers), compresslevel=6, mtime=0)


def unpack(data: bytes) -> Iterator[Answer]:
    """The answers a bronze object holds, in order (line 1 first).

    Raises:
        LakeError: the object is damaged.
    """
    try:
        if not data:
            raise EOFError("it is empty")
        lines = gzip.decompress(data).split(b"\n")
    except (OSError, EOFError, zlib.error) as exc:
        raise LakeError(f"a bronze object is damaged ({exc}); restore it from a copy") from exc
    return (decode(line) for line in lines if line)
