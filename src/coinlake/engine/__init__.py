"""Engines: whose frames the relational steps run on. A step is written once, against Narwhals.

An engine takes an Arrow stream in, and gives one back; between the two lies a lazy frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import duckdb
import narwhals as nw
from arro3.core import Table as Rows

Frame = nw.LazyFrame[Any]
Task = TypeVar("Task")
Result = TypeVar("Result")
Told = Callable[[int, int], None]
"""Takes how many parts of some work are done, of how many."""


def untold(done: int, of: int) -> None:
    """Nobody wants to know."""


class Cluster(Protocol):
    """Processes, of other machines perhaps, that work for an engine."""

    @property
    def on_a_machine(self) -> int:
        """How many tasks share the memory of one machine, at most."""
        ...

    def spread(self, work: Callable[[Task], Result], tasks: Sequence[Task], told: Told = untold) -> Iterator[Result]:
        """What `work` gives for each task, in their order. Whoever fails at one begins it anew, elsewhere perhaps.

        `work` is a function of a module, or a `partial` of one: it travels by its name.
        """
        ...


class Engine(Protocol):
    """What an engine can do. Null is null on every engine; NaN never enters a frame."""

    name: str
    cluster: Cluster | None
    """Who works for it on whatever is large; nobody, where it works alone."""

    def frame(self, data: Any, select: str = "*") -> Frame:
        """A frame over `data` (anything that gives an Arrow stream), or over what SQL selects of it, which may be read
        any number of times.
        """
        ...

    def another(self) -> Engine:
        """One of the same kind, whose frames take no memory any more when it is gone."""
        ...

    def arrow(self, frame: Frame) -> Any:
        """The rows of a frame, as something that gives an Arrow stream."""
        ...

    def scan(self, sql: str) -> Frame:
        """A frame over what SQL reads of files, read anew for everything that is made of it, and no more than that."""
        ...

    def rows(self, frame: Frame) -> Rows:
        """The rows of a frame, in memory."""
        ...

    def held(self, frame: Frame) -> Frame:
        """The frame, computed once: a lazy one is computed again for everything that is made of it."""
        ...

    def relation(self, frame: Frame) -> duckdb.DuckDBPyRelation:
        """The rows of a frame, as a relation of DuckDB that is read once."""
        ...


def engine(name: str, master: str = "") -> Engine:
    """The engine of that name: `duckdb`, `pandas` or `spark`; `master` is the address of the last one's cluster.

    Raises:
        ConfigError: there is none, or what it needs is not installed.
    """
    from coinlake.errors import ConfigError

    if name == "duckdb":
        from coinlake.engine.duckdb import DuckEngine

        return DuckEngine()
    if name == "pandas":
        try:
            from coinlake.engine.pandas import PandasEngine
        except ImportError as exc:
            raise ConfigError("the engine pandas is not installed: pip install 'coinlake[pandas]'") from exc
        return PandasEngine()
    if name == "spark":
        from coinlake.engine.spark import SparkEngine

        return SparkEngine(master)
    raise ConfigError(f"there is no engine {name!r}: use duckdb, pandas or spark")
