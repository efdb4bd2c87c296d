"""What long work says while it goes on. How that is shown is the screen's business."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Where a step stands: `done` of `total` pieces (`total` is None where nobody can know), and what it waits for.

    `note` is a short phrase for a person: `bitcoin, market_chart`, or `waiting 41 s for the pace of 25 calls a minute`.
    `run` names the run that the step is part of, where there is one; log lines carry it from then on.
    """

    step: str
    done: int
    total: int | None = None
    note: str = ""
    run: str = ""


WAIT = "wait"
"""The step of a pause: it belongs to whatever step goes on, and its note says what is waited for."""

Report = Callable[[Progress], None]
"""Takes each piece of progress; it is called often and must be quick."""


def silent(progress: Progress) -> None:
    """Show nothing."""
