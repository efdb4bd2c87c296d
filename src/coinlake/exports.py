"""Gold for whoever wants a file: tables as CSV and Parquet, and the report, at fixed names beside the gold tables."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from coinlake import catalog, report
from coinlake.duck import glance, quoted
from coinlake.errors import ConfigError
from coinlake.lake import Lake

FOLDER = "exports"
EXPORTED = ("gold.market_summary", "gold.signals", "gold.indicators")
"""The tables that are exported."""
NOTE = f"{FOLDER}/versions.json"
"""Which version of its tables each export is of: written last, so that a kill in between is noticed."""
FORMATS = {"csv": "format csv, header", "parquet": "format parquet, compression zstd"}


def export(lake: Lake, to: Path | None = None) -> list[str]:
    """Write every exported table in every format, and the report; returns where (below the gold root, or in the folder
    `to`).
    """
    return [*(path for name in EXPORTED for path in _export(lake, name, to)), write_report(lake, to)]


def refresh(lake: Lake) -> list[str]:
    """Write the exports of the tables that have moved on since, as the note beside them tells; returns where."""
    versions = {name: lake.version(catalog.table(name)) for name in dict.fromkeys((*EXPORTED, *report.READS))}
    versions[report.NAME] = report.FORM
    noted = _noted(lake)
    moved = [name for name, version in versions.items() if version >= 0 and noted.get(name) != version]
    written = [path for name in moved if name in EXPORTED for path in _export(lake, name, None)]
    if any(versions[name] >= 0 for name in report.READS) and {*moved} & {report.NAME, *report.READS}:
        written.append(write_report(lake))
    if written:
        lake.exports.put_over(NOTE, json.dumps(versions).encode())
    return written


def write_report(lake: Lake, to: Path | None = None) -> str:
    """Write the report among the exports, or into a folder, as the lake stands; returns where."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / report.NAME
        file.write_text(report.report(lake), encoding="utf-8", newline="\n")
        return _put(lake, file, to)


def _noted(lake: Lake) -> dict[str, int]:
    """By table, the version that the exports are of."""
    try:
        return dict(json.loads(lake.exports.get(NOTE)))
    except (FileNotFoundError, ValueError, TypeError):
        return {}


def _export(lake: Lake, name: str, to: Path | None) -> list[str]:
    table, written = catalog.table(name), []
    con = glance()
    lake.attach(con, table, "stored")
    con.execute(f"create temp table exported as select * from stored order by {', '.join(table.key)}")
    with tempfile.TemporaryDirectory() as folder:
        for ending, options in FORMATS.items():
            file = Path(folder) / f"{table.folder}.{ending}"
            con.execute(f"copy exported to {quoted(str(file))} ({options})")
            written.append(_put(lake, file, to))
    return written


def _put(lake: Lake, file: Path, to: Path | None) -> str:
    """Put a file under its name among the exports, or into a folder; returns where."""
    if to is None:
        lake.exports.put_over(f"{FOLDER}/{file.name}", file)
        return f"{lake.gold.rstrip('/')}/{FOLDER}/{file.name}"
    try:
        to.mkdir(parents=True, exist_ok=True)
        return str(shutil.copyfile(file, to / file.name))
    except OSError as exc:
        raise ConfigError(f"--to {to}: it is no folder that can be written ({exc.strerror}); name another") from exc
