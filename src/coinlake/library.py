"""The lake in a notebook: `coinlake.open("data").table("gold.daily").to_pandas()`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coinlake import catalog, settings
from coinlake.answer import to_asked
from coinlake.duck import bring, connect
from coinlake.errors import ConfigError
from coinlake.lake import Lake
from coinlake.objects import local_folder
from coinlake.query import query, rows
from coinlake.table import Table

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import polars as pl
    import pyarrow as pa

Moment = datetime | date | str | None


@dataclass(frozen=True)
class View:
    """The rows of a table, now or as they were known at a moment. Every call reads the lake anew.

    What cannot be read is a LakeError.
    """

    table: Table
    _lake: Lake
    _stream: Callable[[], Any]

    def to_arrow(self) -> pa.Table:
        """The rows as a pyarrow table.

        Raises:
            ConfigError: pyarrow is not installed.
        """
        try:
            import pyarrow
        except ImportError as exc:
            raise ConfigError("pyarrow is not installed: pip install 'coinlake[pandas]'") from exc
        with self._lake.guarded():
            return pyarrow.table(self._stream())

    def to_pandas(self) -> pd.DataFrame:
        """The rows as a pandas data frame.

        Raises:
            ConfigError: pandas is not installed.
        """
        try:
            import pandas  # noqa: F401
        except ImportError as exc:
            raise ConfigError("pandas is not installed: pip install 'coinlake[pandas]'") from exc
        frame: pd.DataFrame = self.to_arrow().to_pandas()
        return frame

    def to_polars(self) -> pl.DataFrame:
        """The rows as a Polars data frame.

        Raises:
            ConfigError: Polars is not installed.
        """
        try:
            import polars
        except ImportError as exc:
            raise ConfigError("polars is not installed: pip install 'coinlake[polars]'") from exc
        with self._lake.guarded():
            return polars.DataFrame(self._stream())

    def to_duckdb(self) -> duckdb.DuckDBPyRelation:
        """The rows as a DuckDB relation, which can be queried again and again."""
        con = connect()
        with self._lake.guarded():
            bring(con, self._stream(), "rows_read")
        return con.table("rows_read")

    def __repr__(self) -> str:
        """The table's name and how to get at its rows."""
        return f"<{self.table.name}: {self.table.grain}; .to_pandas() .to_polars() .to_arrow() .to_duckdb()>"


@dataclass(frozen=True)
class OpenLake:
    """A lake to read from. `sources` is the order in which gold prefers sources when it is computed as of a moment."""

    lake: Lake
    sources: Sequence[str] = ("coingecko",)

    @property
    def tables(self) -> list[str]:
        """The names of all tables."""
        return list(catalog.entries())

    def table(self, name: str, as_of: Moment = None, current: bool = False) -> View:
        """A table by name (`gold.daily`, or `daily` alone), now or as of a moment (UTC where it has no offset).

        `current` gives, of a silver table, the newest known value of everything instead of all observations.

        Raises:
            ConfigError: there is no such table, or the moment is none.
        """
        table, at = catalog.table(name), _moment(as_of)
        return View(table, self.lake, lambda: rows(self.lake, table, self.sources, at, current))

    def query(self, sql: str, as_of: Moment = None) -> duckdb.DuckDBPyRelation:
        """The answer to a question in SQL over `silver.*`, `gold.*` and `current.*`.

        Raises:
            ConfigError: it cannot be answered; the sentence says why.
        """
        return query(self.lake, sql, self.sources, _moment(as_of))


def open(root: str = "data", sources: Sequence[str] = ("coingecko",)) -> OpenLake:
    """Open the lake below a folder or a `gs://` prefix. Nothing is created, nothing is written.

    Raises:
        ConfigError: there is no such folder, it holds other things and no lake, or the text names no place for one.
    """
    try:
        where = settings.root(str(root))
    except ValueError as exc:
        raise ConfigError(f"{root!r} is no place for a lake: name a folder, or gs://BUCKET/prefix") from exc
    if (folder := local_folder(where)) and not _has_a_lake(Path(folder)):
        raise ConfigError(f"there is no lake in {folder}; name the folder that holds bronze, silver and gold")
    return OpenLake(Lake.at(where), tuple(sources))


def _has_a_lake(folder: Path) -> bool:
    """Whether a folder is a lake, perhaps one that nothing has come into yet."""
    if not folder.is_dir():
        return False
    there = {each.name for each in folder.iterdir()}
    return not there or bool(there & {"bronze", "silver", "gold"})


def _moment(value: Moment) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    try:
        return to_asked(value if isinstance(value, str) else value.isoformat())
    except ValueError as exc:
        raise ConfigError(f"{value!r} is no moment: write it as 2022-02-01T00:45:00Z") from exc
