"""The limit of the machine: DuckDB copies our finished tables to Parquet, compressed as ours are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import duckdb
from deltalake import DeltaTable


def run(lake: Path, out: Path, *tables: str) -> Callable[[], None]:
    """Copy `gold.<table>` to `<out>/<table>.parquet`, each."""
    con = duckdb.connect()
    con.execute("set enable_progress_bar = false")
    files = {name: [unquote(uri) for uri in DeltaTable(lake / "gold" / name).file_uris()] for name in tables}
    codecs = {name: compression(con, listed[0]) for name, listed in files.items()}

    def copy() -> None:
        for name, listed in files.items():
            con.execute(
                f"copy (from read_parquet({listed}, hive_partitioning = false)) to '{out / name}.parquet' "
                f"(format parquet, compression {codecs[name]})"
            )

    return copy


def compression(con: duckdb.DuckDBPyConnection, file: str) -> str:
    """What a Parquet file's columns are compressed with."""
    ((found,),) = con.execute("select any_value(compression) from parquet_metadata(?)", [file]).fetchall()
    return str(found).lower()
