"""A table made in pieces that fit into memory: of so many coins at once, or of so many days of everyone. Each is a
scope like that of a day's work, and together they are the whole table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from itertools import chain
from typing import Any

from coinlake.contract import PARTITION
from coinlake.duck import bring, glance
from coinlake.engine import Cluster
from coinlake.gold.scope import BEGIN, END, EVERY, Scope
from coinlake.lake import Lake
from coinlake.table import Table

COINS, DAYS = "coins", "days"
"""What a table can be made by: each coin's rows rest on its own (and on a few companions'), or each day's on those of a
few days before.
"""
BYTES_A_VALUE = 8
LEAST_ROWS = 20_000
"""Rows that are worked on at once in however little memory: smaller blocks take longer, and hardly less."""
COPIES = 15
"""How often a value that is read or made lies in memory at once: as read, as an array, as made, as checked, and as
written, of this block and of the next. Measured, as the next one is.
"""
BESIDES = 300 * 2**20
"""Bytes that are taken whatever the size of a block."""


EVERYTHING = Scope({EVERY: (BEGIN, END)})
"""The whole table."""
TASK_ROWS = 100_000
"""Most rows that one task of a cluster works on: in about a gigabyte, and for some seconds. Who is done early takes
another, and one that is lost costs little.
"""


def rows_at_once(memory: int, columns: int) -> int:
    """How many rows of so many columns, read and made together, can be worked on in that many bytes; some, anyway."""
    return max((memory - BESIDES) // (columns * BYTES_A_VALUE * COPIES), LEAST_ROWS)


def blocks(lake: Lake, reads: Sequence[Table], by: str, rows: int, cluster: Cluster | None = None) -> list[Scope]:
    """Scopes of no more than so many rows of what is read (or of one coin, or day), in order. One that names everything
    where all of it is no more. For a cluster, tasks of its own size.
    """
    dated = [table for table in reads if table.dated_by]
    every = sum(map(lake.rows, dated))
    if cluster:
        rows = min(rows, TASK_ROWS)
    if every <= rows:
        return [EVERYTHING]
    if by == COINS:
        found = _counted(lake, [table for table in dated if "coin_id" in table.columns], "coin_id", cluster)
        return [Scope(dict.fromkeys(coins, (BEGIN, END))) for coins in _together(found, rows)]
    lasts = [days[-1] for days in _together(_counted(lake, dated, "day", cluster), rows)]
    firsts = [BEGIN, *(last + timedelta(days=1) for last in lasts[:-1])]
    return [Scope({EVERY: span}) for span in zip(firsts, [*lasts[:-1], END], strict=True)]


def _counted(lake: Lake, tables: Sequence[Table], by: str, cluster: Cluster | None) -> dict[Any, int]:
    """Rows by coin, or by day, in order."""
    if cluster:
        years = [(table, f"{PARTITION} = {year}") for table in tables for year in lake.years(table)]
        counts = cluster.spread(partial(_count, lake.elsewhere(), by), years)
    else:
        counts = map(partial(_count, lake, by), [(table, "true") for table in tables])
    found: dict[Any, int] = {}
    for name, count in chain.from_iterable(counts):
        found[name] = found.get(name, 0) + count
    return {name: found[name] for name in sorted(found)}


def _count(lake: Lake, by: str, of: tuple[Table, str]) -> list[tuple[Any, int]]:
    """The same of those rows of one table that satisfy some SQL, in any order."""
    table, where = of
    column = by if by == "coin_id" else str(table.dated_by)
    key = f"({column} - interval 1 microsecond)::DATE" if table.is_observations and by == "day" else column
    con = glance()
    bring(con, lake.read(table, [column], where), "counted", f"{key} as key, count(*) as rows", "group by 1")
    return con.sql("select key, rows from counted").fetchall()


def _together(counts: dict[Any, int], rows: int) -> Iterator[list[Any]]:
    """Neighbours, as many as have no more rows than that."""
    group: list[Any] = []
    total = 0
    for name, count in counts.items():
        if group and total + count > rows:
            yield group
            group, total = [], 0
        group.append(name)
        total += count
    if group:
        yield group
