"""Whether a lake holds a real market or a simulated one, and which: no two are ever mixed.

A simulator says in a header of every answer what it is. The first answer decides: a lake that is still empty is marked
with the simulated market's name, or stays unmarked and is real.
"""

from __future__ import annotations

import json

from coinlake.answer import Answer
from coinlake.bronze.call import ERRORS, SOURCE
from coinlake.errors import ConfigError
from coinlake.lake import Lake
from coinlake.objects import Objects

HEADER = "x-coinlake-simulated"
MARK = "_simulated.json"
_UNNAMED = "1"
"""What simulators said before they named their market."""
_OF_OURS = ("_", f"{SOURCE}/{ERRORS}/")
"""What paths in bronze begin with that tell of no market: our own records, and refusals."""
_OF_NO_MARKET = ("runs", "rejects", "health", "exports")
"""Folders of silver and gold that files lie in before there is any market: of our own doings, and of empty tables."""


def is_simulated(objects: Objects) -> bool:
    """Whether a lake's bronze is marked as a simulated market's."""
    return _marked(objects) is not None


def _marked(objects: Objects) -> str | None:
    """The name of the market that bronze is marked with, empty where the mark is older than names; None without."""
    try:
        return str(json.loads(objects.get(MARK)).get("market", ""))
    except FileNotFoundError:
        return None
    except (ValueError, AttributeError):  # whatever it says, it is there
        return ""


def holds_a_real_market(lake: Lake) -> bool:
    """Whether there are answers, own histories, or rows of silver or gold, and no mark of a simulated market."""
    if is_simulated(lake.objects):
        return False
    return any(not each.path.startswith(_OF_OURS) for each in lake.objects.list()) or any(
        each.path.endswith(".parquet") and each.path.split("/")[0] not in _OF_NO_MARKET
        for tables in (lake.commits, lake.exports)
        for each in tables.list()
    )


def demand_same_kind(lake: Lake, answer: Answer) -> None:
    """Refuse an answer of another market than the lake's; mark an empty lake that meets a simulator.

    Raises:
        ConfigError: the lake holds the other kind of market, or another simulated one.
    """
    if (simulated := answer.headers.get(HEADER)) is not None:
        mark_as_simulated(lake, "" if simulated == _UNNAMED else simulated)
    elif is_simulated(lake.objects):
        raise ConfigError(f"{lake.bronze} holds a simulated market; set COINLAKE_LAKE to another place for {SOURCE}'s")


def mark_as_simulated(lake: Lake, market: str) -> None:
    """Mark a lake with a simulated market's name; a mark from before there were names is completed.

    Raises:
        ConfigError: the lake holds a real market, or another simulated one.
    """
    demand_room_for(lake, market)
    if (marked := _marked(lake.objects)) is None:
        lake.objects.put(MARK, _mark(market))
    elif market and not marked:
        lake.objects.put_over(MARK, _mark(market))


def _mark(market: str) -> bytes:
    return json.dumps({"simulated": True, **({"market": market} if market else {})}).encode()


def demand_room_for(lake: Lake, market: str) -> None:
    """Refuse a lake of a real market, or of another simulated one than that of this name.

    Raises:
        ConfigError: the lake holds one.
    """
    if holds_a_real_market(lake):
        raise ConfigError(
            f"{lake.bronze}, or the place of another layer, holds a real market; set COINLAKE_LAKE to another place "
            "for a simulated one"
        )
    if (marked := _marked(lake.objects)) and market and marked != market:
        raise ConfigError(
            f"{lake.bronze} holds another simulated market ({marked}) than this one ({market}); simulate that one "
            "again, or set COINLAKE_LAKE to another place"
        )
