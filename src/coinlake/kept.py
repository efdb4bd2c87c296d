"""What a process keeps of a lake's tables, so that it need not ask storage again for what never changes.

A table that was opened is kept with the tag of one of its commits: as long as that commit is still what lies under its
name, all that came before it is what was read, and what came since is one listing away. Files of a log, and data files,
are never written twice: each is fetched once. Nothing is kept for truth: what is kept and does not fit is fetched anew.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from deltalake import DeltaTable

from coinlake.objects import Objects

MOST_BYTES = 2**27
"""Most bytes of data files that are kept on this machine, of all tables together."""
_AT_ONCE = 16
"""Files that are fetched at the same time: each is waited for more than worked for."""
_COMMITS = 64
"""Commits of a table that are kept: who asks for older ones is far behind."""
_COMMIT = re.compile(r"_delta_log/(\d{20})\.json")


def commit(version: int) -> str:
    """Where a commit lies below its table's folder."""
    return f"_delta_log/{version:020d}.json"


@dataclass
class Log:
    """The commits of a table, each read once."""

    objects: Objects
    _read: dict[int, bytes] = field(default_factory=dict)

    def commit(self, version: int) -> bytes:
        """The bytes of a commit.

        Raises:
            FileNotFoundError: there is none.
        """
        if version not in self._read:
            self._read[version] = self.objects.get(commit(version))
            for old in sorted(self._read)[:-_COMMITS]:
                del self._read[old]
        return self._read[version]

    def tags(self, since: int) -> dict[int, str]:
        """By version, the tags of the commits that lie there now, from a version on."""
        listed = self.objects.list("_delta_log", commit(since - 1) if since else None)
        found = ((_COMMIT.fullmatch(each.path), each.tag) for each in listed)
        return {int(match[1]): tag for match, tag in found if match}


@dataclass
class Opened:
    """A table that was opened, its log, the tag of one of its commits, and the application transactions that were
    found in it, as of a version.
    """

    delta: DeltaTable
    log: Log
    mark: tuple[int, str] | None = None
    noted: tuple[int, Mapping[str, int]] | None = None

    def marked(self) -> Opened:
        """The same, with its mark."""
        version = self.delta.version()
        tag = self.log.tags(version).get(version)
        self.mark = (version, tag) if tag else None
        return self

    def caught_up(self) -> bool:
        """Go on to the newest version; False where it cannot be told that the table is still the one that was read."""
        if self.mark is None:
            return False
        there = self.log.tags(self.mark[0])
        newest = max(there, default=-1)
        if there.get(self.mark[0]) != self.mark[1] or newest < self.delta.version():
            return False
        if newest > self.delta.version():
            self.delta.update_incremental()
        self.mark = (newest, there[newest])
        return True


class Files:
    """Data files of tables as files of this machine, as many as there is room for."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most, self._number = most_bytes, 0
        self._held: dict[str, tuple[Path, int]] = {}

    @cached_property
    def _folder(self) -> TemporaryDirectory[str]:
        return TemporaryDirectory(prefix="coinlake-kept-")

    def of(self, objects: Objects, sizes: Mapping[str, int]) -> list[Path] | None:
        """Where files of a table lie here, by their path below its folder and their bytes; None where they take more
        than half of the room.

        Raises:
            FileNotFoundError: one is not in storage.
        """
        if sum(sizes.values()) > self._most // 2:
            return None
        wanted = {f"{objects.root}/{path}": path for path in sizes}
        missing = [name for name in wanted if name not in self._held]
        self._make_room(sum(sizes[wanted[name]] for name in missing), wanted)
        if missing:
            with ThreadPoolExecutor(min(len(missing), _AT_ONCE)) as threads:
                for name, data in zip(missing, threads.map(objects.get, map(wanted.__getitem__, missing)), strict=True):
                    self._hold(name, data)
        for name in wanted:  # the latest used come last
            self._held[name] = self._held.pop(name)
        return [self._held[name][0] for name in wanted]

    def _hold(self, name: str, data: bytes) -> None:
        self._number += 1
        path = Path(self._folder.name) / f"{self._number}.parquet"
        path.write_bytes(data)
        self._held[name] = (path, len(data))

    def _make_room(self, size: int, wanted: Collection[str]) -> None:
        held = sum(each for _, each in self._held.values())
        for name in [each for each in self._held if each not in wanted]:
            if held + size <= self._most:
                return
            path, its = self._held.pop(name)
            path.unlink(missing_ok=True)
            held -= its


@dataclass
class Kept:
    """What is kept: tables by name (None: never written), and data files. Of one thread at a time."""

    tables: dict[str, Opened] = field(default_factory=dict)
    files: Files = field(default_factory=Files)


class Shelf:
    """Where a process keeps things from one event to the next. Who takes them has them alone; who comes meanwhile
    begins with nothing, for a table that another thread commits to is no longer the one that was asked.
    """

    def __init__(self) -> None:
        self._kept: Kept | None = None
        self._lock = threading.Lock()

    @contextmanager
    def taken(self) -> Iterator[Kept]:
        """What is kept, to be put back unless something goes wrong."""
        with self._lock:
            kept, self._kept = self._kept or Kept(), None
        yield kept
        with self._lock:
            self._kept = kept
