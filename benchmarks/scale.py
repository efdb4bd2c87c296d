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
from typing import Any, NamedTuple

COINS, YEARS = (100, 400), 3
ENGINES = (("duckdb", ""), ("spark", "local[1]"), ("spark", "local[2]"))
TABLES = ("gold.daily", "gold.indicators", "gold.signals")
MEMORY = 2**30
NOW = "2025-10-01T00:45:00Z"
RESULTS = Path(__file__).parent / "results" / "scale.json"
LOOKS_EVERY_S = 0.25


def measured() -> Iterator[dict[str, Any]]:
    """Of each size and engine: seconds, of these those until the first task; of all its processes together gigabytes,
    and seconds of computing, which a busy machine does not change as much.
    """
    for coins in COINS:
        with tempfile.TemporaryDirectory() as folder:
            lake = f"{folder}/lake"
            environ = {**os.environ, "COINLAKE_LAKE": lake, "COINLAKE_NOW": NOW}
            fill = ("--into-silver", "--coins", str(coins), "--years", str(YEARS))
            _run(environ, "-m", "coinlake", "simulate", *fill)
            for engine, master in ENGINES:
                yield {
                    "coins": coins,
                    "engine": engine,
                    "master": master,
                    **_run(environ, __file__, lake, engine, master),
                }


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


def _run(environ: dict[str, str], *words: str) -> dict[str, Any]:
    """What a process says on stdout, as JSON, and what it and all that it began took."""
    process = subprocess.Popen(
        [sys.executable, *words], env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    peak, computed = 0.0, dict[int, float]()
    while process.poll() is None:
        family = _family(process.pid)
        peak = max(peak, sum(each.gigabytes for each in family.values()))
        computed |= {pid: each.computed_s for pid, each in family.items()}
        time.sleep(LOOKS_EVERY_S)
    said = process.stdout.read() if process.stdout else ""
    if process.returncode:
        sys.exit(f"{' '.join(words)} failed")
    took = {"computed_s": round(sum(computed.values()), 1), "gigabytes": round(peak, 2)}
    return {**(json.loads(said) if said.startswith("{") else {}), **took}


class _Process(NamedTuple):
    parent: int
    computed_s: float
    gigabytes: float


def _family(pid: int) -> dict[int, _Process]:
    """A process and all that it began, or they did."""
    every = {int(folder.name): found for folder in Path("/proc").glob("[0-9]*") if (found := _process(folder))}
    found, more = {pid}, {pid}
    while more:
        more = {child for child, each in every.items() if each.parent in found} - found
        found |= more
    return {each: every[each] for each in found if each in every}


def _process(folder: Path) -> _Process | None:
    """What the machine knows of a process; None where it has ended."""
    try:
        stat = (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    ticks, pages = int(stat[11]) + int(stat[12]), int(stat[21])
    return _Process(int(stat[1]), ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE") / 2**30)


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps(make_anew(*sys.argv[1:])))
    else:
        rows = []
        for row in measured():
            rows.append(row)
            print("|", " | ".join(map(str, row.values())), "|", flush=True)
        RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
