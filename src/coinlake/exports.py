"""Gold for whoever wants a file: the same tables as CSV and Parquet, at fixed names beside the gold tables."""

from __future__ import annotations

import tempfile
from pathlib import Path

from coinlake import catalog
from coinlake.duck import connect
from coinlake.lake import Lake

FOLDER = "exports"
EXPORTED = ("gold.market_summary",)
"""The tables that are exported."""
FORMATS = {"csv": "format csv, header", "parquet": "format parquet, compression zstd"}


def export(lake: Lake, to: Path | None = None) -> list[str]:
    """Write every exported table in every format; returns where (below the gold root, or in the folder `to`)."""
    written = []
    for name in EXPORTED:
        table = catalog.table(name)
        con = connect()
        lake.attach(con, table, "exported")
        for ending, options in FORMATS.items():
            data = _copied(con, ", ".join(table.key), options)
            path = f"{FOLDER}/{table.folder}.{ending}"
            if to is None:
                lake.exports.put_over(path, data)
                written.append(f"{lake.gold.rstrip('/')}/{path}")
            else:
                to.mkdir(parents=True, exist_ok=True)
                (to / Path(path).name).write_bytes(data)
                written.append(str(to / Path(path).name))
    return written


def _copied(con: object, order: str, options: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "copy"
        con.execute(f"copy (select * from exported order by {order}) to '{file}' ({options})")  # type: ignore[attr-defined]
        return file.read_bytes()
