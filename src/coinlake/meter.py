"""How often this process has turned to storage, by what it did: a meter that only counts up, as a clock goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

_TURNS: Counter[str] = Counter()


def count(what: str) -> None:
    """One more: an object `written`, `read` or `deleted`, a folder `listed`, a table `opened` or `committed`."""
    _TURNS[what] += 1


def reading() -> Mapping[str, int]:
    """How often until now."""
    return dict(_TURNS)


def since(before: Mapping[str, int]) -> dict[str, int]:
    """How often since a reading; what did not happen is left out."""
    return {
        what: number - before.get(what, 0) for what, number in sorted(_TURNS.items()) if number > before.get(what, 0)
    }
