"""Values of ours as what JSON knows, progress in words, and both in a line of log as collectors read them."""

from __future__ import annotations

import base64
import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any

from coinlake.answer import to_text
from coinlake.progress import Progress
from coinlake.settings import Secret


def log_line(severity: str, message: str, at: datetime, fields: Mapping[str, Any]) -> str:
    """One JSON object: `severity`, `message`, `time`, and whatever else there is to say."""
    head = {"severity": severity, "message": message, "time": to_text(at)}
    return json.dumps(to_json({**head, **fields}), ensure_ascii=False)


def sentence(progress: Progress) -> str:
    """Progress in words: `ingest: 3 of 13, bitcoin`."""
    if progress.total == 0:
        return f"{progress.step}: nothing to do"
    count = "" if progress.total is None and not progress.done else f"{progress.done:,}"
    if progress.total is not None:
        count = f"{progress.done:,} of {progress.total:,}"
    return f"{progress.step}: " + (", ".join(filter(None, [count, progress.note])) or "begun")


def to_json(value: Any) -> Any:
    """Any value of ours as what JSON knows: moments as ISO, numbers in full, NaN and infinity null, secrets masked."""
    if value is None or (isinstance(value, bool | int | str) and not isinstance(value, Enum)):
        return value
    if isinstance(value, float | Decimal):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Enum):
        return to_json(value.value)
    if isinstance(value, datetime | date | time):
        return iso(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type | Secret):
        return {each.name: to_json(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {str(key): to_json(each) for key, each in value.items()}
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode()
    if isinstance(value, Iterable) and not isinstance(value, PurePath):
        return [to_json(each) for each in value]
    return str(value)


def iso(value: datetime | date | time) -> str:
    """A moment or a day as ISO 8601; UTC is `Z`."""
    return value.isoformat().replace("+00:00", "Z")
