"""A table made in pieces that fit into memory: of so many coins at once, or of so many days of everyone. Each is a
scope like that of a day's work, and together they are the whole table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import partial
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
COPIES = 4
"""How often a value of a block that is being made lies in memory: as read, as an array, as made, as brought into order;
and of one that is being written. Measured, as the next one is.
"""
BESIDES = 300 * 2**20
"""Bytes that are taken whatever the size of a block."""


EVERYTHING = Scope({EVERY: (BEGIN, END)})
"""The whole table."""
TASK_ROWS = 100_000
"""Most rows that one task of a cluster works on: in about a gigabyte, and for some seconds. Who is done early takes
another, and one that is lost costs little.
"""


def values_at_once(memory: int, reads: Mapping[Table, int], hands: int = 1) -> int:
    """How many values a block may have, read and made together, where so many are made at once in that many bytes while
    another is written; some, anyway. `reads` is how many each row of a table comes to.
    """
    each = (memory - BESIDES) // (hands + 1)
    return max(each // (BYTES_A_VALUE * COPIES), LEAST_ROWS * max(reads.values()))


def blocks(
    lake: Lake,
    reads: Mapping[Table, int],
    by: str,
    values: int,
    cluster: Cluster | None = None,
    lookback_days: int = 0,
) -> list[Scope]:
    """Scopes of no more than so many values (or of one coin, or day), in order, those of the days before that are read
    as well counted (if they leave room). One that names everything where all of it is no more. For a cluster, tasks of
    its own size.
    """
    dated = {table: weight for table, weight in reads.items() if table.dated_by}
    if cluster:
        values = min(values, TASK_ROWS * max(reads.values()))
    if sum(lake.rows(table) * weight for table, weight in dated.items()) <= values:
        return [EVERYTHING]
    if by == COINS:
        of_coins = {table: weight for table, weight in dated.items() if "coin_id" in table.columns}
        found = _counted(lake, of_coins, "coin_id", cluster)
        return [Scope(dict.fromkeys(coins, (BEGIN, END))) for coins in _together(found, values)]
    counts = _counted(lake, dated, "day", cluster)
    room = max(values - lookback_days * max(counts.values()), values // 4)
    lasts = [days[-1] for days in _together(counts, room)]
    firsts = [BEGIN, *(last + timedelta(days=1) for last in lasts[:-1])]
    return [Scope({EVERY: span}) for span in zip(firsts, [*lasts[:-1], END], strict=True)]


def _counted(lake: Lake, tables: Mapping[Table, int], by: str, cluster: Cluster | None) -> dict[Any, int]:
    """Values by coin, or by day, in order."""
    asked = [(table, "true") for table in tables]
    if cluster:
        asked = [(table, f"{PARTITION} = {year}") for table in tables for year in lake.years(table)]
        counts = cluster.spread(partial(_count, lake.elsewhere(), by), asked)
    else:
        counts = map(partial(_count, lake, by), asked)
    found: dict[Any, int] = {}
    for (table, _), counted in zip(asked, counts, strict=True):
        for name, count in counted:
            found[name] = found.get(name, 0) + count * tables[table]
    return {name: found[name] for name in sorted(found)}


def _count(lake: Lake, by: str, of: tuple[Table, str]) -> list[tuple[Any, int]]:
    """The same of those rows of one table that satisfy some SQL, in any order."""
    table, where = of
    column = by if by == "coin_id" else str(table.dated_by)
    key = f"({column} - interval 1 microsecond)::DATE" if table.is_observations and by == "day" else column
    con = glance()
    if sql := lake.scan(table, [column], where):
        return con.sql(f"select {key} as key, count(*) from ({sql}) group by 1").fetchall()
    bring(con, lake.read(table, [column], where), "counted", f"{key} as key, count(*) as rows", "group by 1")
    return con.sql("select key, rows from counted").fetchall()


def _together(counts: dict[Any, int], values: int) -> Iterator[list[Any]]:
    """Neighbours, as many as have no more values than that."""
    group: list[Any] = []
    total = 0
    for name, count in counts.items():
        if group and total + count > values:
            yield group
            group, total = [], 0
        group.append(name)
        total += count
    if group:
        yield group
