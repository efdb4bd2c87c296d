"""What time it is in the simulated market: the machine's, one that was set, or one that runs fast."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

from coinlake.simulator.paths import END_MS

REAL = 1.0
FIRST_MS = 1_388_534_400_000
"""2014-01-01: before that there is too little of a market."""


class Clock:
    """Starts at `start_ms` (the machine's time where None) and runs `speed` simulated seconds a second; 0 stands still.

    `wall` gives the machine's seconds since 1970 and `monotonic` seconds that never go back. Safe among threads.

    Raises:
        ValueError: the moment lies outside the market's time, or the speed is negative.
    """

    def __init__(
        self,
        wall: Callable[[], float],
        monotonic: Callable[[], float],
        start_ms: int | None = None,
        speed: float = REAL,
    ) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._set(int(wall() * 1000) if start_ms is None else start_ms, speed)

    @property
    def speed(self) -> float:
        """Simulated seconds a second."""
        return self._speed

    def now_ms(self) -> int:
        """Milliseconds since 1970; stops at the end of the market's time."""
        with self._lock:
            passed = (self._monotonic() - self._since) * self._speed
            return min(self._start_ms + int(passed * 1000), END_MS - 1)

    def set(self, now_ms: int, speed: float | None = None) -> None:
        """Set the time, and how fast it runs from now on.

        Raises:
            ValueError: as of the class.
        """
        with self._lock:
            self._set(now_ms, self._speed if speed is None else speed)

    def _set(self, now_ms: int, speed: float) -> None:
        if not FIRST_MS <= now_ms < END_MS:
            raise ValueError("the simulated market's clock can be set from 2014-01-01 to 2052-11-08 only")
        if not 0 <= speed <= 1e9:
            raise ValueError(f"a clock's speed is a number from 0 to 1e9, not {speed}")
        self._start_ms, self._speed, self._since = now_ms, speed, self._monotonic()


def iso(ms: int) -> str:
    """A moment as CoinGecko writes it: `2022-02-01T00:45:00.000Z`."""
    at = datetime.fromtimestamp(ms // 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"
