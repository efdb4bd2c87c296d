"""The doors for Google Cloud: three HTTP functions, each a thin shell over what the command line calls.

What an answer's status means to Pub/Sub: 2xx is done with, anything else is tried again and in the end dead.

- 200: an event of ours, done; the body says what was done
- 204: not ours, an old generation, or a message that is no storage event (which is recorded in the log)
- 400: bronze was asked for something that cannot be
- 500: an event of ours, or a run, failed
- 503: the deadline came first; what is done is done, the rest is asked for again

An instance starts with what is imported here and nothing heavier: the rest is loaded by the first event of ours.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import functions_framework

from coinlake import events
from coinlake.errors import CoinlakeError, ConfigError, LakeError

if TYPE_CHECKING:
    from flask import Request

    from coinlake.cloud_log import Log
    from coinlake.kept import Shelf
    from coinlake.objects import Objects
    from coinlake.settings import Settings
    from coinlake.wiring import RunReport, Workspace

OVERRIDES = ("top", "coins", "days", "datasets", "granularity")
"""Settings that a call of bronze may give in its body. None of them says where the key is sent, or where data goes."""

_SHOWN = 2_000

Answer = tuple[str, int, dict[str, str]]


@functions_framework.http
def bronze_ingest(request: Request) -> Answer:
    """Fetch what is missing into bronze. The body is `{}`, or overrides such as `{"top": 50}`."""
    return _answer(request, _ingest)


@functions_framework.http
def silver_process(request: Request) -> Answer:
    """Turn the bronze object that landed into silver, and whatever else waits."""
    return _answer(request, _settle)


@functions_framework.http
def gold_analyze(request: Request) -> Answer:
    """Bring gold up to the commit that landed in silver. The body `{"look": true}` only asks how old gold is."""
    return _answer(request, _conclude)


@dataclass(frozen=True)
class _Call:
    """A request in hand."""

    headers: Mapping[str, str]
    body: bytes

    @cached_property
    def log(self) -> Log:
        """Its log."""
        from coinlake.cloud_log import Log

        project = os.environ.get("GOOGLE_CLOUD_PROJECT", "")
        return Log(sys.stderr, self.headers, project, lambda: datetime.now(UTC), time.monotonic)

    def settings(self, **flags: Any) -> Settings:
        """The settings, with what the request says about them."""
        from coinlake.settings import load

        loaded = load(flags, os.environ, Path.cwd())
        for warning in loaded.warnings:
            self.log("WARNING", warning)
        return loaded.settings

    def workspace(self, settings: Settings) -> Workspace:
        """The parts of the program, put together by the settings."""
        from coinlake.wiring import workspace

        return workspace(settings, self.log.report, _shelf(settings))

    def done(self, report: RunReport, is_finished: bool = True) -> Answer:
        """What a run did, in the log and as an answer."""
        from coinlake.plain import to_json

        told = {name: value for name, value in to_json(report).items() if value not in ([], {}, None)}
        severity = "WARNING" if report.left or report.damaged else "INFO"
        self.log(severity, f"ended: {report.outcome}", **{**told, "left": len(report.left)})
        return _json(200 if is_finished else 503, told)

    def nothing_to_do(self, event: events.Event) -> Answer:
        """An event of ours that comes again, or whose work another did along with its own."""
        self.log("INFO", f"gs://{event.bucket}/{event.name}: all done already", generation=event.generation)
        return _json(200, {"outcome": "done already"})

    def passed_over(self, event: events.Event, why: str) -> Answer:
        """An event that is not ours: nothing to do, and no need to tell it again."""
        self.log("DEBUG", f"gs://{event.bucket}/{event.name}: {why}", generation=event.generation)
        return "", 204, {}


@lru_cache(1)
def _shelf_of(roots: tuple[str, ...], options: str) -> Shelf:
    from coinlake.kept import Shelf

    return Shelf()


def _shelf(settings: Settings) -> Shelf:
    """What this instance keeps of the lake's tables from one event to the next."""
    roots = (settings.lake, settings.bronze, settings.silver, settings.gold)
    return _shelf_of(roots, json.dumps(settings.client_options, sort_keys=True))


def _answer(request: Request, do: Callable[[_Call], Answer]) -> Answer:
    call = _Call({name.lower(): value for name, value in request.headers.items()}, request.get_data())
    try:
        return do(call)
    except events.UnreadableError as exc:
        shown = call.body[:_SHOWN].decode("utf-8", "replace")
        call.log("ERROR", f"a message is no storage event ({exc}); it was acknowledged and goes no further", body=shown)
        return "", 204, {}
    except Exception as exc:
        return _failed(call, exc)


def _failed(call: _Call, exc: Exception) -> Answer:
    from coinlake.plain import to_json

    report = to_json(getattr(exc, "report", None)) or {}
    where = {} if isinstance(exc, CoinlakeError) else {"stack_trace": "".join(traceback.format_exception(exc))}
    call.log("ERROR", f"{type(exc).__name__}: {exc}", **{**report, **where})
    return _json(500, {**report, "error": {"kind": type(exc).__name__, "message": str(exc)}})


def _json(status: int, said: Mapping[str, Any]) -> Answer:
    return json.dumps(said, ensure_ascii=False) + "\n", status, {"Content-Type": "application/json"}


# What each does ------------------------------------------------------------------------------------------------------


def _ingest(call: _Call) -> Answer:
    try:
        settings = call.settings(**_overrides(call.body))
    except ConfigError as exc:
        if call.body.strip() in (b"", b"{}"):
            raise
        call.log("WARNING", str(exc))
        return _json(400, {"error": {"kind": "ConfigError", "message": str(exc)}})
    return call.done(call.workspace(settings).land())


def _overrides(body: bytes) -> dict[str, Any]:
    try:
        said = events.parsed(body)
    except events.UnreadableError as exc:
        raise ConfigError(f'the body should be a JSON object such as {{}} or {{"top": 50}} ({exc})') from exc
    if not isinstance(said, dict) or (strange := sorted(said.keys() - set(OVERRIDES))):
        what = f"has {strange[0]!r}" if isinstance(said, dict) else "is no object"
        raise ConfigError(f"the body {what}; it may give {', '.join(OVERRIDES)}")
    return said


def _settle(call: _Call) -> Answer:
    event = events.read(call.headers, call.body)
    settings = call.settings()
    path = event.below(settings.bronze) if event.has_landed else None
    if path is None or not events.is_part(path):
        return call.passed_over(event, "nothing that silver takes")
    work = call.workspace(settings)
    if _is_old(event, work.lake.objects, path):
        return call.passed_over(event, "another generation is there now, or none")
    report = work.settle(path)
    if report is None:
        return call.nothing_to_do(event)
    if path in report.damaged:
        call.done(report)
        raise LakeError(f"{path} is damaged: restore it from a copy, then `coinlake replay-dead-letters`")
    return call.done(report, is_finished=path not in report.left)


def _conclude(call: _Call) -> Answer:
    if _is_a_look(call.body):
        return _look(call)
    event = events.read(call.headers, call.body)
    settings = call.settings()
    path = event.below(settings.silver) if event.has_landed else None
    folder = events.committed(path) if path else None
    if path is None or folder is None:
        return call.passed_over(event, "no commit of a table")
    work = call.workspace(settings)
    if not work.concludes_from(folder):
        return call.passed_over(event, "no table that gold reads")
    if _is_old(event, work.lake.commits, path):
        return call.passed_over(event, "another generation is there now, or none")
    report = work.conclude()
    if report is None:
        return call.nothing_to_do(event)
    return call.done(report, is_finished=not report.left)


def _is_old(event: events.Event, objects: Objects, path: str) -> bool:
    """Whether what landed has been replaced or removed since."""
    now = objects.generation(path)
    return now is None or (event.generation not in ("", now))


def _is_a_look(body: bytes) -> bool:
    try:
        said = events.parsed(body)
    except events.UnreadableError:
        return False
    return isinstance(said, dict) and said.get("look") is True


def _look(call: _Call) -> Answer:
    """How old gold is: looked at by the hour, so that an alert can go by the log."""
    from coinlake.plain import to_json

    age = to_json(call.workspace(call.settings()).age())
    hours = age["gold_age_hours"]
    is_empty = age["last_finished_day"] is None
    said = "gold is empty" if is_empty else f"gold's last finished day ended {hours:g} hours ago"
    call.log("WARNING" if age["is_stale"] else "INFO", said, **age)
    return _json(200, age)
