"""Log lines as Cloud Logging reads them: JSON with severity, the trace of the request, and the run."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TextIO

from coinlake.plain import log_line, sentence
from coinlake.progress import Progress

_W3C = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_GOOGLE = re.compile(r"([0-9a-fA-F]{32})(?:/(\d+))?(?:;o=(\d))?")
_FIELD = "logging.googleapis.com"
_EVERY_S = 10.0


class Log:
    """The log of one request. `headers` are the request's, by lower-case name; `project` is whose trace it is."""

    def __init__(
        self,
        out: TextIO,
        headers: Mapping[str, str],
        project: str,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self.fields: dict[str, Any] = trace_of(headers, project)
        self._out, self._now, self._monotonic = out, now, monotonic
        self._step, self._said = "", -math.inf

    def __call__(self, severity: str, message: str, **fields: Any) -> None:
        """Write one line, at once: an instance may stop between requests."""
        self._out.write(log_line(severity, message, self._now(), {**self.fields, **fields}) + "\n")
        self._out.flush()

    def report(self, progress: Progress) -> None:
        """Say where a step stands: when it begins, when it ends, and now and then between."""
        if progress.run:
            self.fields["run"] = progress.run
        at = self._monotonic()
        if progress.step != self._step or progress.done == progress.total or at - self._said >= _EVERY_S:
            self._step, self._said = progress.step, at
            self("INFO", sentence(progress), step=progress.step, done=progress.done, total=progress.total)


def trace_of(headers: Mapping[str, str], project: str) -> dict[str, Any]:
    """The trace and span that a request is part of, in the fields that Cloud Logging looks at; none where it has none.

    `traceparent` is W3C's header, `x-cloud-trace-context` Google's older one, whose span is a decimal number.
    """
    if found := _W3C.fullmatch(headers.get("traceparent", "")):
        trace, span, is_sampled = found[1], found[2], int(found[3], 16) & 1 == 1
    elif found := _GOOGLE.fullmatch(headers.get("x-cloud-trace-context", "")):
        trace, span, is_sampled = found[1].lower(), f"{int(found[2] or 0):016x}", found[3] == "1"
    else:
        return {}
    named = f"projects/{project}/traces/{trace}" if project else trace
    return {f"{_FIELD}/trace": named, f"{_FIELD}/spanId": span, f"{_FIELD}/trace_sampled": is_sampled}
