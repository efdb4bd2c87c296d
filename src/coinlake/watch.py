"""The domino on a laptop: what lands in bronze is cleaned, what lands in silver is analysed. With a rhythm, what is
missing is fetched as well.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from coinlake.errors import SourceError

POLL_S = 1.0
"""Seconds between two looks at the lake."""


class Topples(Protocol):
    """What the watch sets off, and the clock it goes by."""

    def now(self) -> datetime:
        """The pipeline's clock."""
        ...

    def topple(self, fetch: bool = False) -> object | None:
        """Do what there is to do, fetching first if asked to; None where there was nothing."""
        ...


def watch(
    work: Topples,
    every: timedelta | None,
    sleep: Callable[[float], None],
    done: Callable[[object], None],
    failed: Callable[[SourceError], None],
    poll_s: float = POLL_S,
    goes_on: Callable[[], bool] = lambda: True,
) -> None:
    """Look at the lake again and again while `goes_on`; tell `done` of everything that was set off.

    With `every` what is missing is fetched at once and then in that rhythm, by the pipeline's clock. A turn that was
    missed, as work took longer or the machine slept, is not made up for: the next one fetches the closes of all days
    since, and a market list of a moment that has passed is nowhere to be had. A service that does not answer is told to
    `failed` and asked again at the next turn; every other error ends the watch.
    """
    due = work.now()
    while goes_on():
        now = work.now()
        fetch = every is not None and now >= due
        if every is not None and fetch:
            due += every * ((now - due) // every + 1)
        try:
            report = work.topple(fetch)
        except SourceError as exc:
            failed(exc)
            report = None
        if report is None:
            sleep(poll_s)
        else:
            done(report)
