"""Every table there is, found by folder. A new table is one new file; nothing else has to know.

`python -m coinlake.catalog` prints docs/tables.md.
"""

from __future__ import annotations

import hashlib
import inspect
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from coinlake import gold, silver
from coinlake.errors import ConfigError
from coinlake.silver.decode import Reader
from coinlake.table import Column, Table


@dataclass(frozen=True)
class Entry:
    """A table, the module that defines it, and its prose."""

    table: Table
    module: ModuleType

    @property
    def prose(self) -> str:
        """Why the table is there, in the words of its file."""
        return inspect.cleandoc(self.module.__doc__ or "")

    def fingerprint(self, *settings: str) -> int:
        """A number that changes with the definition, what it is computed with, or the settings it was computed under
        (63 bits).
        """
        text = "\0".join([*_sources(self.module), repr(self.table), *settings])
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@cache
def entries() -> Mapping[str, Entry]:
    """Every table by name; gold after silver, and a table after those it reads."""
    found = [entry for package in (silver, gold) for entry in _in(package)]
    ordered: dict[str, Entry] = {}
    while len(ordered) < len(found):
        ready = [e for e in found if e.table.name not in ordered and set(e.table.reads) <= set(ordered)]
        ordered |= {entry.table.name: entry for entry in ready}
    return ordered


_COMPUTES = re.compile(r"^from (coinlake\.(?:engine|gold)(?:\.\w+)*) import (.+)$", re.MULTILINE)
"""How a module brings in what its rows are computed with. The mechanism around it makes the same rows, however."""


@cache
def _sources(module: ModuleType) -> list[str]:
    """The source of a module, and of those of gold and the engine that it computes with, each once, by name."""
    found: dict[str, str] = {}
    waiting = [module.__name__]
    while waiting:
        name = waiting.pop()
        if name not in found and name not in ("coinlake.gold.analyze", "coinlake.gold.scope"):
            found[name] = inspect.getsource(import_module(name))
            for package, names in _COMPUTES.findall(found[name]):
                below = [f"{package}.{each.strip()}" for each in names.split(",")]
                waiting += [package, *(each for each in below if each in sys.modules), *_found_by_folder(package)]
    return [found[name] for name in sorted(found)]


def _found_by_folder(name: str) -> list[str]:
    """The modules of a folder that a table takes whole, such as the rules."""
    module = import_module(name)
    if module.__package__ != name or name in (gold.__name__, "coinlake.engine"):
        return []
    return [f"{name}.{each.name}" for each in iter_modules(module.__path__)]


def _in(package: ModuleType) -> list[Entry]:
    modules = [import_module(f"{package.__name__}.{each.name}") for each in iter_modules(package.__path__)]
    return [Entry(module.TABLE, module) for module in modules if hasattr(module, "TABLE")]


def table(name: str) -> Table:
    """The table of that name, with or without its layer where only one has it.

    Raises:
        ConfigError: there is none; the sentence names those there are.
    """
    known = entries()
    matches = [each for each in known if each == name or each.split(".")[1] == name]
    if len(matches) != 1:
        raise ConfigError(f"there is no table {name!r}; there are {', '.join(known)}")
    return known[matches[0]].table


def layer(name: str) -> list[Table]:
    """The tables of `silver` or `gold`, in the order in which they can be made."""
    return [entry.table for entry in entries().values() if entry.table.layer == name]


@cache
def readers() -> Mapping[str, tuple[Table, Reader]]:
    """By endpoint: the silver table that reads its answers, and how."""
    return {
        endpoint: (entry.table, reader)
        for entry in entries().values()
        for endpoint, reader in getattr(entry.module, "READERS", {}).items()
    }


def document() -> str:
    """docs/tables.md: every table with its prose, grain and columns."""
    parts = ["# Tables\n", "Made from the tables' own files by `make docs`; a test fails when it lags.\n"]
    for entry in entries().values():
        table = entry.table
        key = ", ".join(f"`{name}`" for name in table.key)
        reads = f" Made from {', '.join(f'`{name}`' for name in table.reads)}." if table.reads else ""
        parts.append(f"## {table.name}\n\n{entry.prose}\n\nA row: {table.grain}. Key: {key}.{reads}\n")
        parts.append("| column | type | unit | null | values | what |\n| --- | --- | --- | --- | --- | --- |")
        parts += [_documented(name, column, table.required(name)) for name, column in table.columns.items()]
        parts.append("")
    return "\n".join(parts)


def _documented(name: str, column: Column, required: bool) -> str:
    null = "never" if required else "unknown"
    type_ = column.type.name.lower()
    return f"| `{name}` | {type_} | {column.unit} | {null} | {_values(column)} | {column.prose} |"


def _values(column: Column) -> str:
    if column.one_of:
        return ", ".join(f"`{value}`" for value in column.one_of)
    if not column.between:
        return ""
    low, high = column.between
    return f"{low:g} to {high:g}" if None not in (low, high) else (f"≥ {low:g}" if low is not None else f"≤ {high:g}")


if __name__ == "__main__":
    print(document(), end="")
