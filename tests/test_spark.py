"""On Spark the lake is the one that DuckDB and pandas make: in this process, and on a cluster that loses a worker.

The cluster is real: a master and two workers, processes of their own on loopback. Whoever has no Java, or not the extra
`spark`, skips what needs them.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from coinlake import catalog, fill
from coinlake import pipeline as steps
from coinlake.answer import pack, unpack
from coinlake.engine import Engine, engine
from coinlake.errors import ContractError, LakeError
from coinlake.gold import blocks
from coinlake.gold.analyze import analyze
from coinlake.lake import Lake
from coinlake.progress import silent
from coinlake.table import Column, Float64
from lakes import SRC, Program, differences, opened, orphans, rows_twice, versions
from once import once
from servers import closed_port
from test_fill import NOW, work_on

HAS_PYSPARK = find_spec("pyspark") is not None
on_spark = pytest.mark.skipif(
    not (HAS_PYSPARK and shutil.which("java")), reason="Spark needs Java, and pip install 'coinlake[spark]'"
)
BRIEFLY = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""How a JVM begins fast that does not live long."""
SOURCES = ("coingecko",)
COINS, DAYS = 5, 100


# On this machine -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spark() -> Engine:
    """Spark with two tasks at once, in this process; what asks for Spark after it has the same."""
    found = engine("spark", "local[2]")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_TOOL_OPTIONS", BRIEFLY)
        assert found.cluster is not None
        assert list(found.cluster.spread(abs, [1, -2, -3])) == [1, 2, 3]
    return found


@pytest.fixture(scope="module")
def bronze(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The answers of a small market, each in an object of its own, and one that is refused; cleaned by nobody."""
    return once(tmp_path_factory, "spark-bronze", _fill) / "apart"


def _fill(folder: Path) -> None:
    filled, apart = (work_on(folder / name) for name in ("filled", "apart"))
    fill.into_bronze(filled, fill.Bucket(COINS, DAYS, traps={"null_in_series": 0.01, "now_point": 1.0}))
    answers = {path: list(unpack(filled.lake.objects.get(path))) for path in steps.landed(filled.lake)}
    odd = next(some[0] for path, some in answers.items() if "market_chart" in path)
    answers["coingecko/coins_market_chart/date=2023-10-01/odd"] = [replace(odd, body=b"{}")]
    for path, some in answers.items():
        for number, answer in enumerate(some):
            apart.lake.objects.put(f"{path.removesuffix('.jsonl.gz')}-{number}.jsonl.gz", pack([answer]))


def made(bronze: Path, root: Path, on: str) -> Path:
    """A lake of these answers, made by an engine."""
    shutil.copytree(bronze, root)
    work = work_on(root, engine=on, spark_master="local[2]")
    work.clean()
    work.analyze()
    return root


@pytest.fixture(scope="module")
def by_duckdb(bronze: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return once(tmp_path_factory, "by-duckdb", lambda folder: made(bronze, folder / "lake", "duckdb")) / "lake"


def small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks of so little that even a small market makes several."""
    monkeypatch.setattr(steps, "BATCH_OBJECTS", 2)
    monkeypatch.setattr(blocks, "TASK_ROWS", 200)


def refused(lake: Path) -> list[tuple[object, ...]]:
    return opened(lake).sql('select * from "silver.rejects" order by all').fetchall()


@on_spark
@pytest.mark.slow(seconds=40)
@pytest.mark.usefixtures("spark")
def test_spark_duckdb_and_pandas_make_the_same_silver_and_gold(
    bronze: Path, by_duckdb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_tasks(monkeypatch)
    lake = made(bronze, tmp_path / "spark", "spark")
    assert differences(by_duckdb, lake) == []
    assert differences(made(bronze, tmp_path / "pandas", "pandas"), lake) == []
    assert refused(by_duckdb) == refused(lake) != []
    assert rows_twice(lake) == {}
    assert orphans(lake) == []


@on_spark
@pytest.mark.slow(seconds=10)
def test_what_another_process_cleaned_meanwhile_is_not_there_twice(
    bronze: Path, by_duckdb: Path, spark: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_tasks(monkeypatch)
    shutil.copytree(bronze, tmp_path / "lake")
    lake, done = Lake.at(str(tmp_path / "lake")), steps.Done()
    paths = steps.pending(lake)
    others = [path for path in paths if "market_chart" in path][1::2]
    steps.clean_objects(lake, engine("duckdb"), others, steps.Done(), silent)
    steps.clean_objects(lake, spark, paths, done, silent)
    assert len(others) > 1
    assert 0 < done.rows["silver.prices"] < opened(tmp_path / "lake").sql('from "silver.prices"').shape[0]
    assert rows_twice(tmp_path / "lake") == {}
    assert steps.pending(lake) == []
    names = [f'"silver.{name}"' for name in ("prices", "markets", "coins", "global_market")]
    for name in names:
        rows = [opened(each).sql(f"from {name} order by all").fetchall() for each in (by_duckdb, tmp_path / "lake")]
        assert rows[0] == rows[1], name


@on_spark
@pytest.mark.slow(seconds=10)
def test_what_is_wrong_on_an_executor_is_said_as_if_it_were_here(
    by_duckdb: Path, spark: Engine, tmp_path: Path
) -> None:
    shutil.copytree(by_duckdb, tmp_path / "lake")
    lake, table = Lake.at(str(tmp_path / "lake")), catalog.table("daily")
    definition = next(each for each in steps.definitions(SOURCES) if each.table is table)
    strict = replace(table, columns={**table.columns, "close_usd": Column(Float64, "tiny", between=(0, 1e-9))})
    version = lake.version(table)
    with pytest.raises(ContractError, match=r"gold\.daily: close_usd is out of range"):
        analyze(lake, replace(definition, table=strict), spark, SOURCES, anew=True)
    Path(lake.uri(catalog.table("prices"))).joinpath(next(iter(files(lake, "prices")))).unlink()
    with pytest.raises(LakeError, match=r"silver\.prices: its data file .* is missing; run `coinlake doctor`"):
        analyze(lake, definition, spark, SOURCES, anew=True)
    assert lake.version(table) == version


def files(lake: Lake, name: str) -> Sequence[str]:
    delta = lake.open(catalog.table(name))
    assert delta is not None
    return [uri.removeprefix(f"{lake.uri(catalog.table(name))}/") for uri in delta.file_uris()]


# What is missing -----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(HAS_PYSPARK, reason="the extra spark is installed")
def test_without_the_extra_one_sentence_says_how_to_get_it(tmp_path: Path) -> None:
    ended = Program(tmp_path)("analyze", "--engine", "spark")
    assert (ended.code, ended.out) == (3, "")
    assert "the engine spark is not installed: pip install 'coinlake[spark]'" in ended.err


@pytest.mark.skipif(not HAS_PYSPARK, reason="pip install 'coinlake[spark]'")
def test_without_java_one_sentence_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    ended = Program(tmp_path)("analyze", "--engine", "spark")
    assert ended.code == 3
    assert "the engine spark needs Java 17 or newer: install it, or set JAVA_HOME to where it is" in ended.err


# On a cluster --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cluster:
    """A master and its workers, each a process that leads a group of its own: an executor dies with its worker."""

    url: str
    environ: Mapping[str, str]
    master_log: Path
    workers: Sequence[subprocess.Popen[bytes]]

    def says(self, words: str) -> int:
        """How often the master says something."""
        return self.master_log.read_text(errors="replace").count(words)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    import pyspark

    spark_class = Path(pyspark.__file__).parent / "bin/spark-class"
    environ = {
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": str(SRC),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "JAVA_TOOL_OPTIONS": BRIEFLY,
    }
    url = f"spark://127.0.0.1:{closed_port()}"
    running: list[subprocess.Popen[bytes]] = []

    def start(name: str, *words: str) -> Path:
        log = tmp_path / f"{name}.log"
        with log.open("wb") as file:
            command = [str(spark_class), *words, "--host", "127.0.0.1", "--webui-port", "0"]
            running.append(
                subprocess.Popen(
                    command, env={**os.environ, **environ}, stderr=file, stdout=file, start_new_session=True
                )
            )
        return log

    try:
        log = start("master", "org.apache.spark.deploy.master.Master", "--port", url.rpartition(":")[2])
        until(lambda: "elected leader" in log.read_text(), 60)  # a worker that comes too early waits for long
        for name in ("worker-1", "worker-2"):
            work = ("--cores", "1", "--memory", "1g", "--work-dir", str(tmp_path / name))
            start(name, "org.apache.spark.deploy.worker.Worker", url, *work)
        found = Cluster(url, environ, log, running[1:])
        until(lambda: found.says("Registering worker") == 2, 60)
        yield found
    finally:
        for process in running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def until(happened: Callable[[], bool], seconds: float) -> None:
    """Wait until something has happened, so long at most."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)


SMALL_TASKS = "from coinlake import cli; from coinlake.gold import blocks; blocks.TASK_ROWS = 600; cli.main()"
"""The program, with tasks of so little that even a small market makes many."""


@on_spark
@pytest.mark.slow(seconds=60)
def test_a_worker_that_is_killed_in_the_middle_of_a_rebuild_changes_nothing(cluster: Cluster, tmp_path: Path) -> None:
    work = work_on(tmp_path / "duckdb/data")
    fill.into_silver(work, fill.Bucket(12, 300))
    work.analyze()
    program = Program(tmp_path / "duckdb", {"now": NOW, "engine": "spark", "spark_master": cluster.url})
    program = program.copied(tmp_path / "spark")
    there, before = files_of_indicators(program.lake), versions(program.lake)["gold.indicators"]
    environ = {**program.environ(), **cluster.environ}
    driver = subprocess.Popen(
        [sys.executable, "-c", SMALL_TASKS, "rebuild", "--layer", "gold"],
        cwd=program.folder, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until(lambda: len(files_of_indicators(program.lake) - there) > 1 or driver.poll() is not None, 90)
    assert cluster.says("Launching executor") == 2
    os.killpg(cluster.workers[0].pid, signal.SIGKILL)
    assert versions(program.lake)["gold.indicators"] == before, "it was to be killed in the middle"
    _, err = driver.communicate(timeout=120)
    assert driver.returncode == 0, err
    assert cluster.says("Removing worker") == 1
    assert differences(tmp_path / "duckdb/data", program.lake) == []


def files_of_indicators(lake: Path) -> set[Path]:
    """The data files that lie there, whoever names them."""
    return set((lake / "gold/indicators").glob("year=*/*.parquet"))
