"""Whether a lake holds a real market or a simulated one: the two are never mixed.

A simulator says in a header of every answer what it is. The first answer decides: a lake that is still empty is marked
as simulated, or stays unmarked and is real.
"""

from __future__ import annotations

from coinlake.answer import Answer
from coinlake.bronze.call import SOURCE
from coinlake.errors import ConfigError
from coinlake.objects import Objects

HEADER = "x-coinlake-simulated"
MARK = "_simulated.json"


def is_simulated(objects: Objects) -> bool:
    """Whether a lake's bronze is marked as a simulated market's."""
    try:
        objects.get(MARK)
    except FileNotFoundError:
        return False
    return True


def holds_a_real_market(objects: Objects) -> bool:
    """Whether there are answers, or own histories, of a market that is not simulated."""
    return not is_simulated(objects) and any(not each.path.startswith("_") for each in objects.list())


def demand_same_kind(objects: Objects, answer: Answer) -> None:
    """Refuse an answer of the other kind than the lake's; mark an empty lake that meets a simulator.

    Raises:
        ConfigError: the lake holds the other kind of market.
    """
    simulated = HEADER in answer.headers
    if simulated == is_simulated(objects):
        return
    if not simulated:
        raise ConfigError(f"{objects.root} holds a simulated market; set COINLAKE_LAKE to another place for {SOURCE}'s")
    mark_as_simulated(objects)


def mark_as_simulated(objects: Objects) -> None:
    """Mark a lake as a simulated market's; one that is marked already stays so.

    Raises:
        ConfigError: the lake holds a real market.
    """
    demand_not_real(objects)
    objects.put(MARK, b'{"simulated":true}')


def demand_not_real(objects: Objects) -> None:
    """Refuse a lake of a real market.

    Raises:
        ConfigError: the lake holds one.
    """
    if holds_a_real_market(objects):
        raise ConfigError(f"{objects.root} holds a real market; set COINLAKE_LAKE to another place for a simulated one")
