"""The engine on Spark: tasks go out to executors, each of which works on DuckDB, as any one machine does.

No rows come back, nor do any go through the JVM: an executor reads the lake and writes to it by itself, and what it
gives back says what it wrote. `pyspark` and Java are needed by those who ask for this engine only.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from functools import cached_property
from importlib.util import find_spec
from itertools import count
from typing import IO, Any, Generic

from coinlake.engine import Cluster, Result, Task, Told, untold
from coinlake.engine.duckdb import DuckEngine
from coinlake.errors import CoinlakeError, ConfigError, LakeError, brief

TRIES = 4
"""How often a task is tried before its failure is that of the whole: Spark's own default."""
LOOKS_EVERY_S = 0.5
LOCAL = "local[*]"
"""All cores of this machine: where nothing else is said."""
_GATEWAY = "PYSPARK_GATEWAY_PORT"
"""Where spark-submit began this process, as Dataproc does, this tells of the JVM that is there already."""
_DEFAULTS = {
    "spark.master": LOCAL,
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
    "spark.task.maxFailures": str(TRIES),
}
"""What is so unless spark-submit or a file of Spark's says otherwise."""


class SparkEngine(DuckEngine):
    """What is small is worked on here, by DuckDB; what is large by the executors."""

    name = "spark"

    def __init__(self, master: str = "") -> None:
        super().__init__()
        _demand_installed()
        self.cluster: Cluster | None = SparkCluster(master)


def _demand_installed() -> None:
    try:
        is_there = find_spec("pyspark") is not None
    except ValueError:  # what a module that may not be imported has
        is_there = False
    if not is_there:
        raise ConfigError("the engine spark is not installed: pip install 'coinlake[spark]'")
    java = f"{os.environ['JAVA_HOME']}/bin/java" if os.environ.get("JAVA_HOME") else "java"
    if _GATEWAY not in os.environ and not shutil.which(java):
        raise ConfigError("the engine spark needs Java 17 or newer: install it, or set JAVA_HOME to where it is")


class SparkCluster:
    """The executors of one Spark application, which begins with the first task."""

    def __init__(self, master: str = "") -> None:
        self._master, self._numbers = master, count()

    @cached_property
    def _context(self) -> Any:
        with tempfile.TemporaryFile() as said:
            try:
                return _begun(self._master, said)
            except Exception as exc:
                said.seek(0)
                why = said.read().decode(errors="replace").strip().rpartition("\n")[2] or str(exc)
                raise ConfigError(
                    f"Spark does not begin at {self._master or LOCAL} ({brief(why)}); look at COINLAKE_SPARK_MASTER"
                ) from exc

    @property
    def on_a_machine(self) -> int:
        """The cores of one executor, where that is told; else as many as Spark knows of."""
        told = self._context.getConf().get("spark.executor.cores")
        return int(told or self._context.defaultParallelism)

    def spread(self, work: Callable[[Task], Result], tasks: Sequence[Task], told: Told = untold) -> Iterator[Result]:
        """See `coinlake.engine.Cluster`. A task whose executor is gone goes to another one.

        Raises:
            CoinlakeError: a task failed with it, every time that it was tried where trying again might have helped.
        """
        if not tasks:
            return
        context = self._context
        group = f"coinlake-{id(self):x}-{next(self._numbers)}"
        with ThreadPoolExecutor(1) as thread:
            tries = 1 if context.master.startswith("local") else TRIES  # where nobody else is, Spark tries once
            collected = thread.submit(_collected, context, group, _Attempt(work, tries), tasks)
            try:
                while not wait_for([collected], LOOKS_EVERY_S).done:
                    told(_finished(context, group), len(tasks))
            except BaseException:
                context.cancelJobGroup(group)
                raise
            outcomes = collected.result()
        for outcome in outcomes:
            if isinstance(outcome, CoinlakeError):
                raise outcome
            yield outcome


def _begun(master: str, said: IO[bytes]) -> Any:
    """A Spark application of our own, or the one that is there; what its JVM says goes into a file."""
    from pyspark import SparkConf, SparkContext
    from pyspark.java_gateway import launch_gateway

    if SparkContext._gateway is None:
        gateway = launch_gateway(SparkConf(loadDefaults=False), popen_kwargs={"stderr": said})
        SparkContext._ensure_initialized(gateway=gateway)
    conf = SparkConf().setAppName("coinlake")
    if master:
        conf.setMaster(master)
    for name, value in _DEFAULTS.items():
        conf.setIfMissing(name, value)
    context = SparkContext.getOrCreate(conf)
    atexit.register(context.stop)
    if context.master.startswith("local") and "PYSPARK_PYTHON" not in os.environ:
        context.pythonExec = sys.executable
    return context


def _collected(context: Any, group: str, attempt: _Attempt[Any, Any], tasks: Sequence[Any]) -> list[Any]:
    context.setJobGroup(group, "coinlake", interruptOnCancel=True)
    try:
        return list(context.parallelize(tasks, len(tasks)).map(attempt).collect())
    except Exception as exc:
        raise LakeError(f"Spark gave up ({brief(exc)}); look at its executors' logs") from exc


def _finished(context: Any, group: str) -> int:
    """How many tasks of the running job are done."""
    tracker = context.statusTracker()
    stages = [stage for job in tracker.getJobIdsForGroup(group) for stage in tracker.getJobInfo(job).stageIds]
    return sum(info.numCompletedTasks for stage in stages if (info := tracker.getStageInfo(stage)))


class _Attempt(Generic[Task, Result]):
    """One try at a task, on an executor. What is wrong in a way we know is given back at the last one, and before it
    where trying again cannot help: as an exception it would arrive as the text of a traceback.
    """

    def __init__(self, work: Callable[[Task], Result], tries: int) -> None:
        self._work, self._tries = work, tries

    def __call__(self, task: Task) -> Result | CoinlakeError:
        from pyspark import TaskContext

        try:
            return self._work(task)
        except CoinlakeError as exc:
            context = TaskContext.get()
            if isinstance(exc, LakeError) and context is not None and context.attemptNumber() + 1 < self._tries:
                raise
            return exc
