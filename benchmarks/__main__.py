"""How the main job compares, in ratios of one run: `make bench`.

Each measurement runs in a process of its own, rivals alternate with us, several times over; what is reported is the
median of ours over the median of the rival's, with the least and the most, and both wall times. Machine and versions
stand beside the figures in `benchmarks/results/main_job.json`.
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
ROUNDS = 5
PAIRS = {
    "cleaning 50 histories of 364 days, against DuckDB's read_json alone": ("clean", "read_json"),
    "gold.daily of one more day, against making it anew (50 coins, 364 days)": ("one_more_day", "rebuild"),
    "a run with nothing to do, against a run from nothing without the network": ("nothing_to_do", "from_nothing"),
}


def measure(name: str, folder: str) -> float:
    """Seconds that one piece of work takes, as told by a fresh process."""
    command = [sys.executable, str(HERE / "work.py"), name, folder]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def compare(ours: str, rival: str, folder: str) -> dict[str, float]:
    """Both, alternating; ratios are ours over the rival's, round by round."""
    rounds = [(measure(ours, folder), measure(rival, folder)) for _ in range(ROUNDS)]
    ratios = [mine / theirs for mine, theirs in rounds]
    return {
        "ours_s": statistics.median(mine for mine, _ in rounds),
        "rival_s": statistics.median(theirs for _, theirs in rounds),
        "ratio": statistics.median(ratios),
        "least": min(ratios),
        "most": max(ratios),
    }


def main() -> None:
    """Measure every pair, print a table, keep the figures."""
    with TemporaryDirectory() as folder:
        measure("prepare", folder)
        found = {title: compare(*pair, folder) for title, pair in PAIRS.items()}
    for title, each in found.items():
        print(f"{title}\n  {each['ratio']:.2f}x ({each['least']:.2f} to {each['most']:.2f}): ", end="")
        print(f"{each['ours_s'] * 1000:.0f} ms against {each['rival_s'] * 1000:.0f} ms")
    about = {
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
        "versions": {name: version(name) for name in ("duckdb", "deltalake", "narwhals", "obstore", "numpy")},
        "rounds": ROUNDS,
        "results": found,
    }
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / "main_job.json").write_text(json.dumps(about, indent=2) + "\n")


if __name__ == "__main__":
    main()
