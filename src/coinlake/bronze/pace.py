"""No more than so many calls in any 60 s, whoever makes them: this run, the one before, or one beside it.

A call arrives at the service somewhere between its start and its end. Its time is therefore noted when it starts, and
moved to its end once it has ended, so that no window of the service's own holds more arrivals than were allowed.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from coinlake.errors import ConfigError

WINDOW_S = 60.5
"""Seconds after which a call no longer counts: the minute, and a margin for clocks that run differently."""

_SHORTEST_S = 0.001
"""A wait is never shorter: less may be lost in the rounding of a clock's reading, and the loop would not end."""


class TooLate(Exception):
    """The slot cannot be had by the time it is needed."""


@dataclass
class _Taken:
    """A call that counts: its end by our monotonic clock and as the file has it; both None while it is under way."""

    ended: float | None
    stored: float | None = None


@dataclass
class Pace:
    """At most `rate` calls in any 60 s (0: no limit, nothing is kept).

    `state` is a small file that runs share, or None; it holds times and nothing else. Within a run the monotonic clock
    counts, for what others noted the machine's wall clock (seconds since 1970); a time in the future, and a call that
    never ended because its run was killed, count as now. A file that is damaged counts as `rate` calls at the moment
    it was last written. `report` takes a phrase for a person before each wait; `waited_s` adds the waits up.
    """

    rate: int
    state: Path | None
    monotonic: Callable[[], float]
    wall: Callable[[], float]
    sleep: Callable[[float], None]
    report: Callable[[str], None]
    waited_s: float = 0.0
    _taken: dict[str, _Taken] = field(default_factory=dict, repr=False)
    _us: str = field(default_factory=lambda: uuid.uuid4().hex[:12], repr=False)
    _calls: int = field(default=0, repr=False)

    @contextmanager
    def slot(self, latest: float | None = None) -> Iterator[None]:
        """Wait until a call may be made; the call is what happens inside.

        `latest` is the last moment (monotonic) at which the call may begin.

        Raises:
            TooLate: it could begin only after `latest`; nothing was waited for then.
            ConfigError: the state file can be neither read nor written.
        """
        name = self._take(latest)
        try:
            yield
        finally:
            self._end(name)

    def wait(self, seconds: float, why: str) -> None:
        """Sleep, and say why."""
        self.report(f"waiting {math.ceil(seconds)} s {why}")
        self.sleep(seconds)
        self.waited_s += seconds

    def _take(self, latest: float | None) -> str:
        self._calls += 1
        name = f"{self._us}-{self._calls}"
        while not _is_past(self.monotonic(), latest):
            if (wait := self._try(name)) == 0:
                return name
            if _is_past(self.monotonic() + wait, latest):
                break
            self.wait(wait, f"for the pace of {self.rate} calls a minute")
        raise TooLate

    def _try(self, name: str) -> float:
        """Take a slot, or say in how many seconds there may be one."""
        if self.rate <= 0:
            return 0.0
        with self._shared():
            now = self.monotonic()
            times = sorted(now if each.ended is None else each.ended for each in self._taken.values())
            if len(times) < self.rate:
                self._taken[name] = _Taken(None)
                return 0.0
            return max(times[-self.rate] + WINDOW_S - now, _SHORTEST_S)

    def _end(self, name: str) -> None:
        if self.rate > 0:
            with self._shared():
                self._taken[name].ended = self.monotonic()

    # The file that runs share ----------------------------------------------------------------------------------------

    @contextmanager
    def _shared(self) -> Iterator[None]:
        """Hold the file: what is in it is known inside, what was decided inside is in it afterwards."""
        if self.state is None:
            self._forget()
            yield
            return
        try:
            file = _locked(self.state)
        except OSError as exc:
            raise self._unusable(exc) from exc
        try:
            self._learn(_read(file, self.rate))
            self._forget()
            yield
            _write(file, self._told())
        except OSError as exc:
            raise self._unusable(exc) from exc
        finally:
            os.close(file)

    def _learn(self, stored: Mapping[str, float | None]) -> None:
        """Take over what others noted; what we noted ourselves we know better."""
        now, wall = self.monotonic(), self.wall()
        for name, at in stored.items():
            known = self._taken.get(name)
            if name.startswith(self._us) or (known and known.stored == at):
                continue
            at = wall if at is None or at > wall else at
            self._taken[name] = _Taken(now - (wall - at), at)

    def _told(self) -> dict[str, float | None]:
        """What the file is to say: our own times as the wall clock has them now, others' as they noted them."""
        now, wall = self.monotonic(), self.wall()
        ours = {k: None if v.ended is None else wall - (now - v.ended) for k, v in self._taken.items()}
        return {k: ours[k] if k.startswith(self._us) else v.stored for k, v in self._taken.items()}

    def _forget(self) -> None:
        oldest = self.monotonic() - WINDOW_S
        self._taken = {k: v for k, v in self._taken.items() if v.ended is None or v.ended > oldest}

    def _unusable(self, exc: OSError) -> ConfigError:
        why = exc.strerror or str(exc)
        return ConfigError(
            f"the pace of calls cannot be kept in {self.state} ({why}); make it writable, or set COINLAKE_RATE=0"
        )


def _is_past(moment: float, latest: float | None) -> bool:
    return latest is not None and moment > latest


def _locked(path: Path) -> int:
    """An open file that nobody else holds; closing it lets go."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
    except BaseException:
        os.close(file)
        raise
    return file


def _read(file: int, rate: int) -> dict[str, float | None]:
    """What the first line says; an empty file says that no call was made.

    Damaged, it may have said anything up to when it was last written: the most there can have been is taken for true.
    """
    about = os.fstat(file)
    line = os.pread(file, about.st_size, 0).partition(b"\n")[0]
    if about.st_size == 0:
        return {}
    try:
        return _checked(json.loads(line))
    except (ValueError, RecursionError):
        return {f"damaged-{number}": about.st_mtime for number in range(rate)}


def _checked(said: object) -> dict[str, float | None]:
    if not isinstance(said, dict) or not all(_is_time(at) for at in said.values()):
        raise ValueError("not one of ours")
    return said


def _is_time(at: object) -> bool:
    return at is None or (type(at) in (int, float) and math.isfinite(float(str(at))))


def _write(file: int, told: Mapping[str, float | None]) -> None:
    """The line first, then the end: cut between the two, the first line is whole."""
    data = json.dumps(told).encode() + b"\n"
    os.pwrite(file, data, 0)
    os.ftruncate(file, len(data))
