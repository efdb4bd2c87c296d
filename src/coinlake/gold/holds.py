"""What of gold is on hold, in a sentence: where it began and why, and what rests on that."""

from __future__ import annotations

from collections.abc import Mapping

from coinlake.gold.health import GOLD

NEWEST = "from health qualify row_number() over (partition by table_name order by day desc) = 1"
"""SQL: the newest row of each table in `gold.health`, which is the verdict on the table."""


def on_hold(reasons: Mapping[str, str | None]) -> str:
    """The sentence on the tables that are on hold, by their reasons; nothing where none is.

    A table that rests on another on hold is held for that alone, so its own reason is not repeated.
    """
    held = {table.name: table.reads for table in GOLD if table.name in reasons}
    begins = [name for name, reads in held.items() if not held.keys() & {*reads}]
    rests = [name for name in held if name not in begins]
    said = [f"{name}: {reasons[name] or 'no reason is known'}." for name in begins]
    if rests:
        said.append(f"What rests on {'it' if len(begins) == 1 else 'them'} is on hold too: {_listed(rests)}.")
    return " ".join(said)


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
