"""How something is measured here: each piece of work in a fresh process, rivals beside us, alternating, several times;
wall, CPU and peak memory of each; checked before anything is told; kept in a file with the machine and the versions.
"""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results"
VERSIONS = ("duckdb", "deltalake", "numpy", "ta-lib", "pandas", "pyarrow", "polars")
MEASURED = ("wall_s", "cpu_s", "peak_mib")

Measured = dict[str, Any]
Work = Callable[[], Measured]

LAUNCH = """
import json, os, sys, time
began = time.perf_counter()
out = os.open(os.devnull, os.O_WRONLY)
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, out, 1)])
_, status, used = os.wait4(pid, 0)
wall = time.perf_counter() - began
failed = os.waitstatus_to_exitcode(status)
print(json.dumps({"wall_s": wall, "cpu_s": used.ru_utime + used.ru_stime, "peak_mib": used.ru_maxrss / 1024}))
sys.exit(failed)
"""
"""A process that is small itself: Linux counts a child's peak from that of its parent."""


def work(name: str, folder: Path, *arguments: object) -> Measured:
    """One of `work.py`, in a process of its own."""
    return _told([sys.executable, str(HERE / "work.py"), name, str(folder), *map(str, arguments)])


def command(*words: str) -> Measured:
    """A whole process, from before it starts until it has ended."""
    return _told([sys.executable, "-S", "-E", "-c", LAUNCH, *words])


class BrokeOffError(Exception):
    """A piece of work did not end as it should have; `why` says so without what it said itself."""

    def __init__(self, code: int, said: str) -> None:
        self.why = f"it was killed by signal {-code}" if code < 0 else f"it ended with {code}"
        super().__init__(f"{self.why}\n{said}")


def _told(words: Sequence[str]) -> Measured:
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=HERE)
    if done.returncode:
        raise BrokeOffError(done.returncode, f"{' '.join(words)}\n{done.stderr[-2000:]}")
    told: Measured = json.loads(done.stdout)
    return told


def race(contenders: Mapping[str, Work], rounds: int, check: Callable[[], str]) -> dict[str, Any]:
    """Every contender in turn, so many rounds; the first contender is ours. After the first round it is checked that
    their results are the same: `check` says what was compared, or raises. A rival that breaks off in the first round
    is left out.
    """
    first: dict[str, Measured] = {}
    left_out: dict[str, str] = {}
    for name, each in contenders.items():
        try:
            first[name] = each()
        except BrokeOffError as exc:
            if not first:
                raise
            left_out[name] = exc.why
    checked = check()
    all_rounds = [first, *({name: contenders[name]() for name in first} for _ in range(rounds - 1))]
    measured = {
        name: {what: [round(each[name][what], 4) for each in all_rounds] for what in MEASURED} for name in first
    }
    return {"rounds": rounds, "checked": checked, "measured": measured, "left_out": left_out}


def ratio(measured: Mapping[str, Mapping[str, Sequence[float]]], rival: str, what: str) -> tuple[float, float, float]:
    """Ours, the first one, over the rival's, round by round: the median, the least, the most."""
    ours = next(iter(measured.values()))[what]
    ratios = [mine / max(theirs, 1e-9) for mine, theirs in zip(ours, measured[rival][what], strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)


@contextmanager
def bytecode() -> Iterator[None]:
    """Within this, processes keep what Python compiles and find it there: whoever starts a program a second time has
    that as well.
    """
    with TemporaryDirectory(prefix="coinlake-bytecode-") as folder:
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = folder
        yield


# The machine ---------------------------------------------------------------------------------------------------------


def about() -> dict[str, Any]:
    """Where and when something is measured, and with which versions."""
    return {
        "at": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": f"{_processor()}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB, {platform.system()}",
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 1),
        "memory": os.environ.get("COINLAKE_MEMORY", ""),
        "versions": {name: version(name) for name in ("coinlake", *VERSIONS)},
    }


def _processor() -> str:
    told = [line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    return f"{told[0]} ({platform.machine()})" if told else platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def keep(name: str, found: Mapping[str, Any]) -> Path:
    """Write `results/<name>.json`."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(_compact(json.dumps(found, indent=1)) + "\n")
    return path


def _compact(text: str) -> str:
    """Numbers of one list on one line."""
    return re.sub(
        r"\[[-+.,e\d\s]*\]", lambda found: " ".join(found[0].split()).replace("[ ", "[").replace(" ]", "]"), text
    )
