"""Engines: whose frames the relational steps run on. A step is written once, against Narwhals.

An engine takes an Arrow stream in, and gives one back; between the two lies a lazy frame.
"""

from __future__ import annotations

from typing import Any, Protocol

import duckdb
import narwhals as nw

Frame = nw.LazyFrame[Any]


class Engine(Protocol):
    """What an engine can do. Null is null on every engine; NaN never enters a frame."""

    name: str

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

    def held(self, frame: Frame) -> Frame:
        """The frame, computed once: a lazy one is computed again for everything that is made of it."""
        ...

    def relation(self, frame: Frame) -> duckdb.DuckDBPyRelation:
        """The rows of a frame, as a relation of DuckDB that is read once."""
        ...


def engine(name: str) -> Engine:
    """The engine of that name: `duckdb` or `pandas`.

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
    raise ConfigError(f"there is no engine {name!r}: use duckdb or pandas")
