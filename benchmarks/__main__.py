"""How fast it is beside its rivals, and how large: `make bench`, `make bench-large`.

`python benchmarks [--large]` measures all of it and writes `benchmarks/results/bench.json` (`bench_large.json`), of
which `python benchmarks/performance.py` makes docs/performance.md. `--sizes 100x3,50x10`, `--rounds 3` and
`--days 30` change how much is measured, `--only update,query` what, `--folder` where (some GB for the large one),
`--name` the file's name.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import checks
from deltalake import DeltaTable
from frame import Measured, Work, about, bytecode, command, keep, race, ratio, work

TABLES, FOUR = ("daily", "indicators"), ("daily", "indicators", "signals", "market")
PARTS = ("rebuild", "update", "query", "size", "daily_runs", "clean", "start")
LANDED_ROWS = 4_000_000
"""Most rows that are laid down as a file a day for the usual pipeline, too, and that are asked as of a moment."""
SPARE = 0.85
"""What of the memory that is there a rival may be expected to take."""


@dataclass(frozen=True)
class Size:
    """So many coins over so many years of 365 days."""

    coins: int
    years: int

    def __str__(self) -> str:
        return f"{self.coins:,} coins x {self.years} years"


@dataclass(frozen=True)
class Asked:
    """What to measure: sizes of what is made anew, of a day's work, and of days one after the other."""

    name: str
    rounds: int
    rebuilds: tuple[Size, ...]
    updates: tuple[Size, ...]
    runs: Size
    days: int
    only: tuple[str, ...] = PARTS


SMALL = Asked("bench", 3, (Size(100, 3), Size(50, 10)), (Size(50, 1), Size(50, 3), Size(50, 10)), Size(50, 3), 30)
LARGE_SIZES = (Size(500, 10), Size(5000, 10))
LARGE_MEMORY = "1.3GB"
"""What the large lakes are made in, where no setting says otherwise: with what Python takes, under 1.5."""
LARGE = Asked("bench_large", 3, LARGE_SIZES, LARGE_SIZES, Size(500, 10), 365)


@dataclass
class Bench:
    """What has been found so far, and the lakes that it was found in."""

    asked: Asked
    folder: Path
    found: dict[str, Any] = field(default_factory=dict)
    rows: dict[Size, int] = field(default_factory=dict)
    peaks: dict[str, tuple[int, float]] = field(default_factory=dict)

    def lake(self, size: Size) -> Path:
        """The folder of a lake of that size, filled where it is not there yet; one at a time."""
        path = self.folder / f"{size.coins}x{size.years}"
        if size not in self.rows:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.rows.clear()
            path.mkdir(parents=True)
            print(f"filling a lake of {size}", flush=True)
            self.rows[size] = work("prepare", path, size.coins, size.years, "one-more", "corrected")["told"]["rows"]
            if self.rows[size] <= LANDED_ROWS:
                work("land", path, "one-more", "corrected")
        return path

    def compare(self, part: str, data: str, rows: int, contenders: dict[str, Work], check: Callable[[], str]) -> None:
        """Ours beside its rivals; those that would not fit into memory are left out, and told of."""
        left_out = {name: why for name in contenders if (why := self._too_large(name, rows))}
        racing = {name: each for name, each in contenders.items() if name not in left_out}
        found = race(racing, self.asked.rounds, check)
        for name, each in found["measured"].items():
            self.peaks[name] = (rows, max(each["peak_mib"]))
        found["left_out"] = left_out | found["left_out"]
        self.found.setdefault("comparisons", []).append({"part": part, "data": data, "rows": rows, **found})
        tell(self.found["comparisons"][-1])
        self.keep()

    def _too_large(self, name: str, rows: int) -> str:
        """Why a rival is not tried on so many rows, judged by the memory that it took for fewer."""
        before, peak = self.peaks.get(name, (rows, 0.0))
        if name == "usual_pipeline" and rows > LANDED_ROWS:
            return "every day's file was not laid down for so many rows"
        if name not in MAY_BE_LEFT_OUT or not before or rows < 2 * before:
            return ""
        needs, there = peak / 1024 * rows / before, memory_there_gib()
        return f"it would take about {needs:.0f} GiB; {there:.0f} are there" if needs > SPARE * there else ""

    def keep(self) -> None:
        """Write what has been found."""
        keep(self.asked.name, self.found)


MAY_BE_LEFT_OUT = ("pandas_script", "polars_script", "usual_pipeline")


def memory_there_gib() -> float:
    """What could be taken now."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) / 2**20


def tell(found: dict[str, Any]) -> None:
    """A comparison, on the screen."""
    measured = found["measured"]
    print(f"{found['part']}: {found['data']}  [{found['checked']}]")
    for name, each in measured.items():
        wall, cpu, peak = (sorted(each[what])[len(each[what]) // 2] for what in ("wall_s", "cpu_s", "peak_mib"))
        beside = "" if name == next(iter(measured)) else "  ours / its: {:.2f} ({:.2f} to {:.2f})".format(
            *ratio(measured, name, "wall_s")
        )  # fmt: skip
        print(f"  {name:22} {wall:9.3f} s  {cpu:9.3f} s CPU  {peak:7.0f} MiB{beside}", flush=True)
    for name, why in found["left_out"].items():
        print(f"  {name:22} left out: {why}")


# What is measured ----------------------------------------------------------------------------------------------------


def _and(*each: Callable[[], str]) -> Callable[[], str]:
    return lambda: "; ".join(check() for check in each)


def rebuild(bench: Bench, size: Size) -> None:
    """Gold made anew from silver."""
    lake = bench.lake(size)
    rows = bench.rows[size]
    scripts = {name: partial(work, "rival", lake, name, "done") for name in ("pandas_script", "polars_script")}
    contenders: dict[str, Work] = {
        "coinlake": partial(work, "rebuild", lake, "done", *TABLES),
        "duckdb_copy": partial(work, "rival", lake, "duckdb_copy", "done", *TABLES),
        **scripts,
        "talib_loop": partial(work, "rival", lake, "talib_loop", "done"),
    }

    def check(lake: Path = lake) -> str:
        out = {name: lake / f"done-{name}" for name in contenders}
        told = [checks.same(lake / "done", lake / "done-rebuilt", *TABLES)]
        told.append(f"duckdb_copy {checks.copied(lake / 'done', out['duckdb_copy'], *TABLES)}")
        for name in scripts:
            if (out[name] / "indicators.parquet").exists():
                told.append(f"{name} {checks.agree(lake / 'done', out[name], *TABLES)}")
        told.append(f"talib_loop {checks.agree_where_known(lake / 'done', out['talib_loop'], 'indicators')}")
        return "; ".join(told)

    bench.compare("rebuild", f"{size}: gold.daily and gold.indicators", rows, contenders, check)
    four: dict[str, Work] = {
        "coinlake": partial(work, "rebuild", lake, "done", *FOUR),
        "duckdb_copy": partial(work, "rival", lake, "duckdb_copy", "done", *FOUR),
    }
    check_four = _and(
        partial(checks.same, lake / "done", lake / "done-rebuilt", *FOUR),
        partial(checks.copied, lake / "done", lake / "done-duckdb_copy", *FOUR),
    )
    bench.compare("rebuild", f"{size}: with gold.signals and gold.market", rows, four, check_four)
    if rows < 1_000_000:
        told = work("stages", lake)["told"]
        bench.found.setdefault("stages", []).append({"data": str(size), "rows": rows, "seconds": told})
    _forget(lake, "done-rebuilt")


def _forget(lake: Path, *names: str) -> None:
    """Give back the room of what has been compared."""
    for name in names:
        shutil.rmtree(lake / name, ignore_errors=True)


def update(bench: Bench, size: Size) -> None:
    """What a day costs, and a correction, by the length of the history behind it."""
    lake = bench.lake(size)
    rows = bench.rows[size]
    news = {"one-more": "one more day", "corrected": "a correction to an old day of one coin"}
    if size not in bench.asked.rebuilds:  # the sizes between them are there for the line that a day draws
        del news["corrected"]
    for state, what in news.items():
        contenders: dict[str, Work] = {
            "coinlake": partial(work, "update", lake, state, *TABLES),
            "coinlake, made anew": partial(work, "rebuild", lake, state, *TABLES),
            **{name: partial(work, "rival", lake, name, state) for name in ("polars_script", "usual_pipeline")},
        }

        def check(state: str = state) -> str:
            told = [checks.same(lake / f"{state}-updated", lake / f"{state}-rebuilt", *TABLES)]
            for name in ("polars_script", "usual_pipeline"):
                if (lake / f"{state}-{name}" / "indicators.parquet").exists():
                    told.append(f"{name} {checks.agree(lake / f'{state}-updated', lake / f'{state}-{name}', *TABLES)}")
            return "; ".join(told)

        bench.compare("update", f"{size}: {what}", rows, contenders, check)
        _forget(lake, f"{state}-rebuilt", f"{state}-updated", f"{state}-polars_script")


def query(bench: Bench, size: Size) -> None:
    """One coin's year, and what was known at a moment."""
    lake = bench.lake(size)
    rows = bench.rows[size]
    work("rival", lake, "duckdb_copy", "done", *TABLES)
    asked: dict[str, dict[str, Work]] = {
        "a year of one coin": {
            "coinlake": partial(work, "ask_coin", lake),
            "DuckDB over its copy": partial(work, "ask_coin_of_parquet", lake),
        },
        "one coin's closes as of a moment": {
            "coinlake": partial(work, "ask_as_of", lake),
            "polars over silver": partial(work, "ask_as_of_of_polars", lake),
        },
    }
    if rows > LANDED_ROWS:
        what, _ = asked.popitem()
        why = "coinlake computes all of gold.daily for it, and holds it: seconds are told of the smaller lake"
        bench.found.setdefault("not_measured", []).append({"part": "query", "data": f"{size}: {what}", "why": why})
    for what, contenders in asked.items():
        bench.compare("query", f"{size}: {what}", rows, contenders, _the_same_told(contenders))


def _the_same_told(contenders: dict[str, Work]) -> Callable[[], str]:
    def check() -> str:
        told: list[Measured] = [each()["told"] for each in contenders.values()]
        if any(each != told[0] for each in told):
            raise checks.DisagreementError(f"the answers differ: {told}")
        return f"the same {told[0]['rows']:,} rows, first and last compared"

    return check


def sizes(bench: Bench, size: Size) -> None:
    """Bytes and files of a lake, beside those of the files that rivals write."""
    lake = bench.lake(size)
    tables = {"silver.prices": lake / "done" / "silver" / "prices"}
    tables |= {f"gold.{name}": lake / "done" / "gold" / name for name in FOUR}
    ours = {}
    for name, path in tables.items():
        actions = DeltaTable(path).get_add_actions(flatten=True)
        held = actions.column("size_bytes").to_pylist()
        ours[name] = {"bytes": sum(held), "files": len(held), "rows": sum(actions.column("num_records").to_pylist())}
    rivals = {
        name: {each.stem: each.stat().st_size for each in sorted((lake / f"done-{name}").glob("*.parquet"))}
        for name in ("duckdb_copy", "pandas_script", "polars_script")
    }
    found = {"data": str(size), "tables": ours, "rivals": rivals}
    bench.found.setdefault("sizes", []).append(found)
    bench.keep()


def daily_runs(bench: Bench, size: Size) -> None:
    """Day after day, and whether gold is then what it would be had it been made at once."""
    days = bench.asked.days
    lake = bench.lake(size)
    found = work("daily_runs", lake, days)
    work("rebuild", lake, "daily-runs", *FOUR)
    checked = checks.same(lake / "daily-runs", lake / "daily-runs-rebuilt", *FOUR)
    told = {name: found[name] for name in ("wall_s", "cpu_s", "peak_mib")}
    bench.found["daily_runs"] = {"data": str(size), "days": days, "checked": checked, **told, **found["told"]}
    bench.keep()
    each = sorted(found["told"]["gold_s"])
    print(f"{days} days of {size}: {each[0]:.2f} to {each[-1]:.2f} s, median {each[len(each) // 2]:.2f} s")


def clean(bench: Bench) -> None:
    """Answers to rows, and runs without the network."""
    folder = bench.folder.parent / "answers"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    told = work("answers", folder)["told"]
    data = f"{told['answers']} histories of 364 days, {told['megabytes']:.2f} MB"
    contenders: dict[str, Work] = {
        "coinlake": partial(work, "clean_answers", folder),
        "DuckDB's read_json": partial(work, "read_json", folder),
    }

    def check() -> str:
        rows = [each()["told"]["rows"] for each in contenders.values()]
        if rows[0] != rows[1]:
            raise checks.DisagreementError(f"cleaned {rows[0]:,} rows, read {rows[1]:,}")
        return f"the same {rows[0]:,} rows"

    bench.compare("clean", f"{data}: cleaned", told["answers"], contenders, check)
    bench.found["comparisons"][-1] |= told
    runs: dict[str, Work] = {
        "coinlake, nothing to do": partial(work, "whole_job", folder, "done"),
        "coinlake, from nothing": partial(work, "whole_job", folder, "bronze-only"),
    }
    bench.compare(
        "clean",
        f"{data}: a run without the network",
        told["answers"],
        runs,
        lambda: "the first is asked of what the second makes",
    )


def start(bench: Bench, size: Size) -> None:
    """Whole processes of the command line."""
    lake = bench.lake(size) / "done"
    coinlake = str(Path(sys.executable).parent / "coinlake")
    python = (sys.executable, "-c")
    rivals: dict[str, Work] = {
        "importing pandas": partial(command, *python, "import pandas, pyarrow.parquet"),
        "Python alone": partial(command, *python, "pass"),
    }
    asked = {"--help": ("--help",), f"status of {size}": ("status", "--lake", str(lake))}
    for what, words in asked.items():
        contenders = {f"coinlake {words[0]}": partial(command, coinlake, *words), **rivals}
        for each in contenders.values():
            each()  # the second start is told of, and those after it
        bench.compare("start", f"coinlake {what}", 0, contenders, lambda: "each ends without an error")


def measure(bench: Bench) -> None:
    """Every part that is asked for, one lake after the other."""
    asked = bench.asked
    if "clean" in asked.only:
        clean(bench)
    sizes_asked = list(dict.fromkeys([*asked.rebuilds, *asked.updates, asked.runs]))
    for size in sizes_asked:
        of_size: dict[str, tuple[Callable[[Bench, Size], None], bool]] = {
            "start": (start, size in (sizes_asked[0], asked.rebuilds[-1])),
            "rebuild": (rebuild, size in asked.rebuilds),
            "size": (sizes, size in asked.rebuilds and "rebuild" in asked.only),
            "query": (query, size in asked.rebuilds),
            "update": (update, size in asked.updates),
            "daily_runs": (daily_runs, size == asked.runs),
        }
        for name, (part, wanted) in of_size.items():
            if name in asked.only and wanted:
                part(bench, size)


def _size(text: str) -> Size:
    return Size(*map(int, text.split("x")))


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--sizes", type=lambda text: tuple(map(_size, text.split(","))))
    parser.add_argument("--days", type=int)
    parser.add_argument("--only", type=lambda text: tuple(text.split(",")))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--name")
    given = parser.parse_args()
    base = LARGE if given.large else SMALL
    if given.large:
        os.environ.setdefault("COINLAKE_MEMORY", LARGE_MEMORY)
    asked = Asked(
        given.name or base.name,
        given.rounds or base.rounds,
        given.sizes or base.rebuilds,
        given.sizes or base.updates,
        given.sizes[0] if given.sizes else base.runs,
        given.days or base.days,
        given.only or base.only,
    )
    with contextlib.ExitStack() as stack:
        stack.enter_context(bytecode())
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        measure(Bench(asked, folder / "lakes", {"about": about()}))


if __name__ == "__main__":
    main()
