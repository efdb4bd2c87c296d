"""Gold for whoever wants a file: the same tables as CSV and Parquet, at fixed names beside the gold tables."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import duckdb

from coinlake import catalog
from coinlake.duck import connect
from coinlake.lake import Lake

FOLDER = "exports"
EXPORTED = ("gold.market_summary",)
"""The tables that are exported."""
NOTE = f"{FOLDER}/versions.json"
"""Which version of its table each export is of: written last, so that a kill in between is noticed."""
FORMATS = {"csv": "format csv, header", "parquet": "format parquet, compression zstd"}


def export(lake: Lake, to: Path | None = None) -> list[str]:
    """Write every exported table in every format; returns where (below the gold root, or in the folder `to`)."""
    return [path for name in EXPORTED for path in _export(lake, name, to)]


def refresh(lake: Lake) -> list[str]:
    """Write the exports of the tables that have moved on since, as the note beside them tells; returns where."""
    versions = {name: lake.version(catalog.table(name)) for name in EXPORTED}
    noted = _noted(lake)
    moved = [name for name, version in versions.items() if version >= 0 and noted.get(name) != version]
    written = [path for name in moved for path in _export(lake, name, None)]
    if moved:
        lake.exports.put_over(NOTE, json.dumps(versions).encode())
    return written


def _noted(lake: Lake) -> dict[str, int]:
    """By table, the version that the exports are of."""
    try:
        return dict(json.loads(lake.exports.get(NOTE)))
    except (FileNotFoundError, ValueError, TypeError):
        return {}


def _export(lake: Lake, name: str, to: Path | None) -> list[str]:
    table, written = catalog.table(name), []
    con = connect()
    lake.attach(con, table, "exported")
    for ending, options in FORMATS.items():
        data, file = _copied(con, ", ".join(table.key), options), f"{table.folder}.{ending}"
        if to is None:
            lake.exports.put_over(f"{FOLDER}/{file}", data)
            written.append(f"{lake.gold.rstrip('/')}/{FOLDER}/{file}")
        else:
            to.mkdir(parents=True, exist_ok=True)
            (to / file).write_bytes(data)
            written.append(str(to / file))
    return written


def _copied(con: duckdb.DuckDBPyConnection, order: str, options: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "copy"
        con.execute(f"copy (select * from exported order by {order}) to '{file}' ({options})")
        return file.read_bytes()
