"""What it takes to make the large tables of gold anew, by coins and engine: `python benchmarks/scale.py` writes
`results/scale.json` and prints the table of docs/scale.md. It takes minutes, and the extra `spark`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

COINS, YEARS = (100, 400, 1600), 3
ENGINES = (("duckdb", ""), ("spark", "local[1]"), ("spark", "local[2]"))
TABLES = ("gold.daily", "gold.indicators", "gold.signals")
MEMORY = 2**30
NOW = "2025-10-01T00:45:00Z"
RESULTS = Path(__file__).parent / "results" / "scale.json"
LOOKS_EVERY_S = 0.25


def measured() -> Iterator[dict[str, Any]]:
    """Of each size and engine: seconds, of these those until the first task, and gigabytes of all its processes."""
    for coins in COINS:
        with tempfile.TemporaryDirectory() as folder:
            lake = f"{folder}/lake"
            environ = {**os.environ, "COINLAKE_LAKE": lake, "COINLAKE_NOW": NOW}
            fill = ("--into-silver", "--coins", str(coins), "--years", str(YEARS))
            _run(environ, "-m", "coinlake", "simulate", *fill)
            for engine, master in ENGINES:
                said, peak = _run(environ, __file__, lake, engine, master)
                yield {"coins": coins, "engine": engine, "master": master, **said, "gigabytes": round(peak / 2**30, 2)}


def make_anew(root: str, name: str, master: str) -> dict[str, float]:
    """Make the tables anew; returns seconds of it, and of these those until the engine could begin."""
    from coinlake.engine import engine
    from coinlake.gold.analyze import analyze
    from coinlake.lake import Lake
    from coinlake.pipeline import definitions

    began = time.monotonic()
    lake, runs_on = Lake.at(root), engine(name, master)
    if runs_on.cluster:
        list(runs_on.cluster.spread(abs, [1]))
    begins = time.monotonic()
    for definition in definitions(("coingecko",)):
        if definition.table.name in TABLES:
            analyze(lake, definition, runs_on, ("coingecko",), anew=True, memory=MEMORY)
    return {"begins_s": round(begins - began, 1), "seconds": round(time.monotonic() - began, 1)}


def _run(environ: dict[str, str], *words: str) -> tuple[Any, int]:
    """What a process says on stdout, as JSON, and the most memory that it and all that it began took at once."""
    process = subprocess.Popen(
        [sys.executable, *words], env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(_resident(each) for each in _family(process.pid)))
        time.sleep(LOOKS_EVERY_S)
    said = process.stdout.read() if process.stdout else ""
    if process.returncode:
        sys.exit(f"{' '.join(words)} failed")
    return json.loads(said) if said.startswith("{") else None, peak


def _family(pid: int) -> set[int]:
    """A process and all that it began, or they did."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(entry.parent.name)] = int(entry.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
    found, more = {pid}, True
    while more:
        more = {child for child, parent in parents.items() if parent in found} - found
        found |= more
    return found


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps(make_anew(*sys.argv[1:])))
    else:
        rows = []
        for row in measured():
            rows.append(row)
            print("|", " | ".join(map(str, row.values())), "|", flush=True)
        RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
