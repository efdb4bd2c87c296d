"""How fast an instance of each function starts, and how much memory that takes, beside the same function written with
pandas and google-cloud-storage (`usual/`): `python benchmarks/cold_start.py`.

Each has an environment of its own requirements and nothing else: ours those of the bundle. What is measured is a fresh
process from before `main.py` is imported until after, rivals alternating; and once more until all is loaded that the
first event needs. Importing has a limit (`LIMIT`); what the first event loads has none, and is told beside it. Figures
go to `benchmarks/results/cold_start.json`.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from frame import about, keep

HERE = Path(__file__).parent
ROOT = HERE.parent
ROUNDS = 11
LIMIT = 0.65
"""What importing an entry point may take of what the usual one takes. With what the first event loads it is more, in
memory: DuckDB and delta-rs are most of it, and the work is theirs.
"""
USUAL = ("functions-framework", "google-cloud-storage", "httpx", "pandas", "pyarrow")
LOADED_LATER = {
    "bronze": "import coinlake.wiring, coinlake.bronze.coingecko, coinlake.bronze.pace",
    "silver": "import coinlake.wiring; coinlake.wiring.catalog.entries()",
    "gold": "import coinlake.wiring; coinlake.wiring.catalog.entries()",
}
USUAL_LATER = "import pyarrow.parquet"  # what pandas loads when it first writes or reads Parquet

PROBE = """
import sys, time
began = time.perf_counter()
import importlib.util
spec = importlib.util.spec_from_file_location("main", sys.argv[1])
spec.loader.exec_module(importlib.util.module_from_spec(spec))
exec(sys.argv[2])
lasted = time.perf_counter() - began
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(lasted, int(peak.split()[1]) / 1024)
"""


def environment(folder: Path, *wanted: str) -> str:
    """A virtual environment with what is wanted and nothing else; returns its Python."""
    subprocess.run([sys.executable, "-m", "venv", str(folder / ".venv")], check=True)
    python = str(folder / ".venv" / "bin" / "python")
    told = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    index = os.environ.get("PIP_INDEX_URL") or subprocess.run(told, capture_output=True, text=True, check=False).stdout
    environ = {**os.environ, **({"UV_DEFAULT_INDEX": index.strip()} if index.strip() else {})}
    uv = Path(sys.executable).parent / "uv"
    command = [str(uv), "pip", "install", "--quiet", "--compile-bytecode", "--python", python, *wanted]
    subprocess.run(command, cwd=folder, env=environ, check=True)
    return python


def measure(python: str, main: Path, more: str = "") -> tuple[float, float]:
    """Seconds and MiB of a fresh process."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [python, "-c", PROBE, str(main), more], check=True, capture_output=True, text=True, env=environ
    )
    seconds, mebibytes = done.stdout.split()
    return float(seconds), float(mebibytes)


def compare(ours: tuple[str, Path, str], rival: tuple[str, Path, str]) -> dict[str, float]:
    """Both, alternating: medians, and the medians of the ratios of each round."""
    measure(*ours), measure(*rival)  # what is read from disk once is read now
    rounds = [(measure(*ours), measure(*rival)) for _ in range(ROUNDS)]
    found = {}
    for number, name in enumerate(("s", "mib")):
        found[f"ours_{name}"] = statistics.median(mine[number] for mine, _ in rounds)
        found[f"usual_{name}"] = statistics.median(theirs[number] for _, theirs in rounds)
        found[f"ratio_{name}"] = statistics.median(mine[number] / theirs[number] for mine, theirs in rounds)
    return {name: round(value, 3) for name, value in found.items()}


def main() -> None:
    """Measure every function, print a table, keep the figures; fail where one starts too slowly."""
    before, results = about(), {}
    with TemporaryDirectory() as folder:
        subprocess.run([sys.executable, str(ROOT / "src" / "cloud_functions" / "bundle.py")], check=True)
        app, usual = Path(folder) / "app", Path(folder) / "usual"
        usual.mkdir()
        with zipfile.ZipFile(ROOT / "dist" / "coinlake-functions.zip") as bundle:
            bundle.extractall(app)
        mine = environment(app, "--require-hashes", "-r", "requirements.txt")
        theirs = environment(usual, *USUAL)
        for layer, later in LOADED_LATER.items():
            here, there = app / "src" / "cloud_functions" / layer / "main.py", HERE / "usual" / f"{layer}.py"
            results[f"{layer}: importing the entry point"] = compare((mine, here, ""), (theirs, there, ""))
            loaded = compare((mine, here, later), (theirs, there, USUAL_LATER))
            results[f"{layer}: and all that the first event loads"] = loaded
    for title, each in results.items():
        print(f"{title}\n  {each['ours_s']:.2f} s against {each['usual_s']:.2f} s ({each['ratio_s']:.2f}x), ", end="")
        print(f"{each['ours_mib']:.0f} MiB against {each['usual_mib']:.0f} MiB ({each['ratio_mib']:.2f}x)")
    keep("cold_start", {"about": before, "rounds": ROUNDS, "results": results})
    worst = {name: max(each["ratio_s"], each["ratio_mib"]) for name, each in results.items()}
    beyond = [name for name, ratio in worst.items() if ratio > LIMIT]
    print(f"more than {LIMIT} of the usual: {', '.join(beyond) or 'none'}; the limit is for importing")
    slow = [name for name in beyond if "importing" in name]
    if slow:
        sys.exit(f"more than {LIMIT} of the usual: {', '.join(slow)}")


if __name__ == "__main__":
    main()
