"""Keeping the lake tidy: small files are joined, what nothing refers to is found and, when old enough, removed.

No observation is ever dropped: compaction rewrites files, clean-up removes only files that no version in use names.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from coinlake.lake import Lake
from coinlake.table import Table

FILES_WORTH_JOINING = 24
"""Data files in one partition from which joining them is worth the rewrite."""

_TARGET_FILE_SIZE = 16 * 2**20


@dataclass(frozen=True)
class Leftover:
    """A file that nothing refers to: what it is, and where."""

    kind: str
    path: str


def compact(lake: Lake, tables: Iterable[Table], always: bool = False) -> dict[str, int]:
    """Join small files of the tables that have many; returns the files saved, by table."""
    saved = {}
    for table in tables:
        delta = lake.reading(table)
        if delta is None or not (always or _worth(delta)):
            continue
        try:
            metrics = delta.optimize.compact(target_size=_TARGET_FILE_SIZE)
        except CommitFailedError:  # another writer was faster: there is a next time
            continue
        if metrics["numFilesRemoved"]:
            saved[table.name] = metrics["numFilesRemoved"] - metrics["numFilesAdded"]
    return saved


def _worth(delta: DeltaTable) -> bool:
    counted: dict[str, int] = {}
    for uri in delta.file_uris():
        folder = uri.rsplit("/", 1)[0]
        counted[folder] = counted.get(folder, 0) + 1
    return max(counted.values(), default=0) >= FILES_WORTH_JOINING


def leftovers(lake: Lake, tables: Iterable[Table]) -> list[Leftover]:
    """What killed writers left: data files that no commit names, and half-written objects. Nothing is removed."""
    found = []
    for table in tables:
        if (delta := lake.open(table)) is None:
            continue
        unnamed = set(_vacuum(delta, 0, full=True, dry_run=True)) - set(_vacuum(delta, 0, full=False, dry_run=True))
        found += [Leftover("data file that no commit names", f"{table.folder}/{path}") for path in sorted(unnamed)]
    return found + [Leftover("half-written object", str(path)) for path, _ in _half_written(lake)]


def sweep(lake: Lake, tables: Iterable[Table], keep: timedelta, now: datetime) -> dict[str, int]:
    """Remove what nothing refers to and is older than `keep` by the file's own time; returns how much, by table.

    Younger files may be another writer's work in progress.
    """
    removed = {}
    for table in tables:
        if (delta := lake.open(table)) is None:
            continue
        if gone := _vacuum(delta, int(keep.total_seconds() // 3600), full=True, dry_run=False):
            removed[table.name] = len(gone)
    for path, modified_at in _half_written(lake):
        if now - modified_at > keep:
            path.unlink(missing_ok=True)
            removed["objects"] = removed.get("objects", 0) + 1
    return removed


def _vacuum(delta: DeltaTable, hours: int, full: bool, dry_run: bool) -> list[str]:
    return delta.vacuum(retention_hours=hours, dry_run=dry_run, enforce_retention_duration=False, full=full)


def _half_written(lake: Lake) -> list[tuple[Path, datetime]]:
    """Files that obstore and delta-rs stage beside their target (`name#1`) and rename when whole; in folders only."""
    found = []
    for root in {lake.bronze, lake.silver, lake.gold}:
        if "://" in root.removeprefix("file://"):
            continue
        for path in sorted(Path(root.removeprefix("file://")).expanduser().rglob("*#*")):
            if path.is_file() and path.name.rsplit("#", 1)[-1].isdigit():
                found.append((path, datetime.fromtimestamp(path.stat().st_mtime, UTC)))
    return found
