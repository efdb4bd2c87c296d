"""How many answers the simulated service gives in a second of one core: `python benchmarks/simulator.py`.

A simulator in a process of its own, asked over loopback on one connection. A day passes in a second and the edge is
off, so no answer is given twice: each is made for a moment of its own. What is counted is the processor's time that the
simulator takes, all of it (reading the call, making the answer, sending it), as other work on the machine changes it
less; what a client waits is told beside it. The figures go to `benchmarks/results/simulator.json`; the command ends
with 1 where an answer that should be small takes more than its limit.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

HERE = Path(__file__).parent
ROUNDS, ROUND_S = 5, 1.0
SMALL_MS, CHART_MS = 1.0, 5.0
"""Most of the processor's time for a small answer, and for a year of daily points."""
USD = "vs_currency=usd"
CALLS = {
    "ping": ("/ping", SMALL_MS),
    "key": ("/key", SMALL_MS),
    "price of one coin": ("/simple/price?ids=sim-ethereum&vs_currencies=usd", SMALL_MS),
    "row of one coin": (f"/coins/markets?{USD}&per_page=1", None),
    "row of one coin, by id": (f"/coins/markets?{USD}&ids=sim-ethereum", None),
    "candles of one day": (f"/coins/sim-ethereum/ohlc?{USD}&days=1", None),
    "whole market": ("/global", None),
    "one day, 5-minutely": (f"/coins/sim-ethereum/market_chart?{USD}&days=1", None),
    "365 daily points": (f"/coins/sim-ethereum/market_chart?{USD}&days=364&interval=daily", CHART_MS),
    "rows of 250 coins": (f"/coins/markets?{USD}&per_page=250", None),
}
"""What is asked, by what one would call it, and how many milliseconds of a core it may take; None for no limit: a row
tells a rank among all coins and the extremes of a day and of ever, a day's candles 48 times six prices.
"""
OPTIONS = ("--coins", "250", "--plan", "analyst", "--rate", "0", "--begin", "2022-02-01T00:45:00Z", "--speed", "fast")


def main() -> None:
    """Measure every call, print a table, keep the figures."""
    command = [
        sys.executable,
        "-m",
        "coinlake",
        "simulate",
        "--port",
        "0",
        "--traps",
        "edge_cache=0",
        *OPTIONS,
        "--json",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = urlsplit(json.loads(process.stdout.readline())["url"])
            connection = HTTPConnection(url.hostname or "", url.port)
            found = {
                title: measured(connection, process.pid, url.path + path, most) for title, (path, most) in CALLS.items()
            }
        finally:
            process.kill()
    about = {
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
        "load": round(os.getloadavg()[0], 1),
        "rounds": ROUNDS,
        "results": found,
    }
    (HERE / "results" / "simulator.json").write_text(json.dumps(about, indent=2) + "\n")
    print(f"{'':24}{'ms of a core':>14}{'answers a core s':>18}{'ms waited':>11}")
    for title, each in found.items():
        print(f"{title:24}{each['core_ms']:14.2f}{each['answers_a_core_second']:18,.0f}{each['waited_ms']:11.2f}")
    slow = [title for title, each in found.items() if each["most_ms"] is not None and each["core_ms"] > each["most_ms"]]
    sys.exit(f"more than their limit: {', '.join(slow)}" if slow else 0)


def measured(connection: HTTPConnection, pid: int, path: str, most_ms: float | None) -> dict[str, float | None]:
    """Milliseconds of a core an answer, of the best round, as what disturbs only adds; waiting is the median's."""
    ask(connection, path)
    cores, waits = [], []
    for _ in range(ROUNDS):
        until, answers, began, spent = time.monotonic() + ROUND_S, 0, time.monotonic(), core_s(pid)
        while time.monotonic() < until:
            ask(connection, path)
            answers += 1
        cores.append((core_s(pid) - spent) / answers)
        waits.append((time.monotonic() - began) / answers)
    return {
        "core_ms": round(min(cores) * 1000, 3),
        "core_ms_median": round(statistics.median(cores) * 1000, 3),
        "answers_a_core_second": round(1 / min(cores)),
        "waited_ms": round(statistics.median(waits) * 1000, 3),
        "most_ms": most_ms,
    }


def ask(connection: HTTPConnection, path: str) -> None:
    """Ask once; the whole answer is read."""
    connection.request("GET", path, headers={"x-cg-pro-api-key": "any"})
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 200 and body, (path, answer.status, body[:200])


def core_s(pid: int) -> float:
    """Seconds that a process has kept a core busy."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
