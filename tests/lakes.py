"""The program as somebody outside runs it, and what a lake holds as somebody outside reads it.

Nothing of coinlake's own code is used here: tables are read by deltalake and DuckDB, bronze by gzip, hashlib and json,
and what "the same lake" means is written down once more, from the design and not from the code.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from deltalake import DeltaTable

SRC = Path(__file__).parents[1] / "src"

KEYS = {
    "prices": ("source", "coin_id", "granularity", "observed_at"),
    "markets": ("source", "coin_id", "observed_at"),
    "candles": ("source", "coin_id", "span", "closed_at"),
    "global_market": ("source", "observed_at"),
    "coins": ("source", "coin_id"),
}
"""Of the silver tables that make a lake what it is: what an observation is about."""

NOT_COMPARED = {"silver.runs", "silver.rejects", "gold.health"}

# The program ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ended:
    """How a process ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it wrote to stdout, which must be JSON and nothing else."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Program:
    """`python -m coinlake` over one lake, begun in `folder`; `settings` are those of the environment (`rate="0"`)."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)

    def but(self, **settings: str) -> Program:
        """The same with other settings."""
        return Program(self.folder, {**self.settings, **settings})

    @property
    def lake(self) -> Path:
        """Where the lake lies."""
        return self.folder / self.settings.get("lake", "data")

    def __call__(self, *words: str, timeout_s: float = 300) -> Ended:
        """Run it to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "coinlake", *words],
            cwd=self.folder, env=self.environ(), capture_output=True, text=True, timeout=timeout_s, check=False,
        )  # fmt: skip
        return Ended(done.returncode, done.stdout, done.stderr)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Begin it, and go on."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return subprocess.Popen(
            [sys.executable, "-m", "coinlake", *words],
            cwd=self.folder, env=self.environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def stopped_after(self, seconds: float, how: signal.Signals, *words: str) -> Ended:
        """Begin it and stop it by a signal, unless it has ended before."""
        process = self.start(*words)
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(how)
            out, err = process.communicate(timeout=60)
        return Ended(process.returncode, out, err)

    def query(self, sql: str, *words: str) -> list[dict[str, Any]]:
        """Rows, as the program itself gives them."""
        done = self("query", sql, "--format", "json", *words)
        assert done.code == 0, done.err
        rows: list[dict[str, Any]] = done.json
        return rows

    def copied(self, folder: Path) -> Program:
        """The program over a copy of everything in its folder."""
        shutil.copytree(self.folder, folder, symlinks=True, dirs_exist_ok=True)
        return Program(folder, self.settings)

    def environ(self) -> dict[str, str]:
        """The environment that the process sees: ours, but for what says how coinlake works.

        Its lines are not counted either: that costs a sixth of its time, and the same lines run in tests that need no
        process of their own.
        """
        mine = {f"COINLAKE_{name.upper()}": value for name, value in self.settings.items()}
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("COINLAKE_", "COVERAGE_"))}
        return {
            **kept,
            "PYTHONPATH": str(SRC),
            "XDG_STATE_HOME": str(self.folder / ".state"),
            "COLUMNS": "200",
            **mine,
        }


# Tables --------------------------------------------------------------------------------------------------------------


def table_names(lake: Path) -> list[str]:
    """Every table that lies in a lake: `silver.prices`, …"""
    found = (log.parent for layer in ("silver", "gold") for log in (lake / layer).glob("*/_delta_log"))
    return sorted(f"{folder.parent.name}.{folder.name}" for folder in found)


def versions(lake: Path) -> dict[str, int]:
    """The newest version of every table."""
    return {name: _delta(lake, name).version() for name in table_names(lake)}


def _delta(lake: Path, name: str) -> DeltaTable:
    return DeltaTable(str(lake.joinpath(*name.split(".")).absolute()))


def opened(lake: Path) -> duckdb.DuckDBPyConnection:
    """Every table of a lake, as DuckDB reads the files that the newest commits name: `"silver.prices"`, …"""
    con = _connected()
    for name in table_names(lake):
        con.register(name, _delta(lake, name).to_pyarrow_dataset())
    return con


def _connected() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    con.execute("set TimeZone = 'UTC'")
    con.execute("set enable_progress_bar = false")
    return con


def differences(one: Path, other: Path) -> list[str]:
    """In what the current silver and the gold of two lakes differ, in words, with some rows; empty where in nothing."""
    names = [{name for name in table_names(lake) if name not in NOT_COMPARED} for lake in (one, other)]
    alone = [(name, one if name in names[0] else other) for name in sorted(names[0] ^ names[1])]
    found = [f"{name} is in {lake} only" for name, lake in alone if _delta(lake, name).to_pyarrow_table().num_rows]
    return found + [said for name in sorted(names[0] & names[1]) if (said := _difference(name, one, other))]


def _difference(name: str, one: Path, other: Path) -> str:
    ours, theirs = (_delta(lake, name).to_pyarrow_table() for lake in (one, other))
    return "" if _alike(name, ours, theirs) else _told(name, ours, theirs)


def _alike(name: str, ours: pa.Table, theirs: pa.Table) -> bool:
    """Whether it is seen at a glance that two tables say the same: nothing is said anew, and each value is the same."""
    said_once = name.startswith("gold.") or not any(_twice(rows, KEYS[name.split(".")[1]]) for rows in (ours, theirs))
    if ours.schema != theirs.schema or not said_once:
        return False
    columns = _counting(ours)
    order = [(column, "ascending") for column in columns if not pa.types.is_floating(ours.schema.field(column).type)]
    one, other = (rows.select(columns).sort_by(order) for rows in (ours, theirs))
    return bool(one.equals(other))


def _twice(rows: pa.Table, by: Sequence[str]) -> int:
    """How many rows there are besides the first of each key."""
    return int(rows.num_rows - rows.group_by(list(by)).aggregate([]).num_rows)


def _told(name: str, ours: pa.Table, theirs: pa.Table) -> str:
    con = _connected()
    columns = [_compared(con, name, rows, number) for number, rows in enumerate((ours, theirs))]
    if columns[0] != columns[1]:
        return f"{name} has other columns: {columns[0]} and {columns[1]}"
    lacking = [
        con.execute(f"select * from compared_{number} except all select * from compared_{1 - number}").fetchall()
        for number in (0, 1)
    ]
    if not any(lacking):
        return ""
    shown = "\n".join(f"  {row}" for rows in lacking for row in sorted(rows, key=repr)[:3])
    return f"{name}: {len(lacking[0])} rows are here only, {len(lacking[1])} there only\n  {columns[0]}\n{shown}"


def _compared(con: duckdb.DuckDBPyConnection, name: str, rows: pa.Table, number: int) -> list[str]:
    """Make the table `compared_<number>` of what counts of a table; returns its columns."""
    layer, short = name.split(".")
    columns = _counting(rows)
    current = _current(short, rows.column_names, "rows") if layer == "silver" else "select * from rows"
    con.execute(f"create table compared_{number} as select {', '.join(columns)} from ({current})")
    return columns


def _counting(rows: pa.Table) -> list[str]:
    """The columns that make a lake what it is: not who wrote a row, nor from where."""
    return [column for column in rows.column_names if column not in ("run", "line") and "bronze" not in column]


def _current(short: str, stored: Sequence[str], rows: str) -> str:
    """SQL: per key, of each value the newest known; where from and when, of the newest row."""
    key = ", ".join(KEYS[short])
    newest = "(fetched_at, bronze_object, line)"
    values = ", ".join(f"arg_max({c}, {newest}) as {c}" for c in stored if c not in KEYS[short])
    return f"select {key}, {values} from {rows} group by {key}"


def rows_twice(lake: Path) -> dict[str, int]:
    """By silver table, how many rows occur more than once."""
    silver = {name: _identity(name) for name in table_names(lake) if name.startswith("silver.")}
    rows = {name: _delta(lake, name).to_pyarrow_table(columns=list(by)) for name, by in silver.items()}
    return {name: count for name, by in silver.items() if (count := _twice(rows[name], by))}


def _identity(name: str) -> tuple[str, ...]:
    if name == "silver.rejects":
        return ("bronze_object", "line", "path", "rule")
    key = ("run",) if name == "silver.runs" else KEYS[name.split(".")[1]]
    return (*key, "fetched_at", "bronze_object", "line")


def orphans(lake: Path) -> list[str]:
    """Parquet files in table folders that no version still in the log names."""
    found = []
    for name in table_names(lake):
        folder = lake.joinpath(*name.split("."))
        named = {Path(uri.removeprefix("file://")).name for uri in _delta(lake, name).file_uris()}
        for commit in folder.glob("_delta_log/*.json"):
            for action in map(json.loads, commit.read_text().splitlines()):
                named |= {Path(action[kind]["path"]).name for kind in ("add", "remove") if kind in action}
        data = [file for file in folder.rglob("*.parquet*") if "_delta_log" not in file.parts]
        found += [str(file.relative_to(lake)) for file in sorted(data) if file.name not in named]
    return found


# Bronze --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """One line of bronze, taken apart by hand: what surrounds the body, and the body's own bytes."""

    path: str
    envelope: dict[str, Any]
    body: bytes

    @property
    def is_whole(self) -> bool:
        """Whether the bytes match the digest noted beside them."""
        return hashlib.sha256(self.body).hexdigest() == str(self.envelope["sha256"])


def bronze_paths(lake: Path) -> list[str]:
    """Every bronze object of answers, failed ones too, below the bronze root."""
    root = lake / "bronze"
    return sorted(str(path.relative_to(root)) for path in root.rglob("*.jsonl.gz"))


def bronze_lines(lake: Path) -> Iterator[Line]:
    """Every answer in bronze."""
    for path in bronze_paths(lake):
        for line in gzip.decompress((lake / "bronze" / path).read_bytes()).splitlines():
            yield _cut(path, line)


def _cut(path: str, line: bytes) -> Line:
    """The body out of a line: it comes last, as it came, or in base64 of its bytes."""
    head, _, body = line.partition(b',"body')
    if body.startswith(b'_base64":"'):
        body = base64.b64decode(body.removeprefix(b'_base64":"').removesuffix(b'"}'))
    else:
        body = body.removeprefix(b'":').removesuffix(b"}")
    return Line(path, json.loads(head + b"}"), body)
