"""What coins are called. Every id begins with `sim-`, every name with `Simulated`, so that none is taken for real."""

from __future__ import annotations

from dataclasses import dataclass

from coinlake.ids import SIMULATED as PREFIX
from coinlake.simulator.chance import hash_of, key_of
from coinlake.simulator.majors import MAJORS, SECTORS
from coinlake.simulator.traps import Traps
from coinlake.simulator.universe import Universe

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_FIRST = ("Ka", "Vo", "Lu", "Ze", "Mi", "Qua", "Ter", "Ny", "Or", "Ax", "Bo", "Cy", "Del", "Fi", "Gra", "Hex", "So")
_LAST = ("ra", "lix", "no", "va", "dex", "tor", "mi", "ion", "us", "pha", "rum", "zen", "que", "lo", "ta", "chi")
_DIRT = ("{0}", "{1} 💲", "{1}.ф", "${0}", "{1} v2", "{0}", "{0}.e")


@dataclass(frozen=True)
class Name:
    """What a coin is called at a moment."""

    id: str
    symbol: str
    name: str


class Names:
    """The names of a seed's coins: from a coin's number, and back from an id."""

    def __init__(self, seed: int, universe: Universe, traps: Traps) -> None:
        self._key = key_of(seed, "names")
        self._universe = universe
        self._traps = traps
        self._majors = {f"{PREFIX}{major.id}": number for number, major in enumerate(MAJORS[: universe.places])}

    def of(self, coin: int, now_ms: int) -> Name:
        """What a coin is called at a moment; its id never changes."""
        if self._is_major(coin):
            major = MAJORS[coin]
            return Name(f"{PREFIX}{major.id}", major.symbol, f"Simulated {major.name}")
        id_ = self.id(coin)
        word, kind = self._words(coin, 0)
        if now_ms >= int(self._universe.renamed_ms[coin]):
            word, kind = self._words(coin, 1)
        return Name(id_, self._symbol(coin, word), f"Simulated {word} {kind}")

    def id(self, coin: int) -> str:
        """A coin's id."""
        if self._is_major(coin):
            return f"{PREFIX}{MAJORS[coin].id}"
        word, kind = self._words(coin, 0)
        return f"{PREFIX}{word}-{kind.replace(' ', '-')}-{_base36(coin)}".lower()

    def coin(self, id_: str) -> int | None:
        """The number of the coin of that id; None where there is none."""
        if id_ in self._majors:
            return self._majors[id_]
        tail = id_.rpartition("-")[2]
        if not tail or len(tail) > 6 or set(tail) - set(_DIGITS):
            return None
        coin = int(tail, 36)
        return coin if coin < len(self._universe) and self.id(coin) == id_ else None

    def _is_major(self, coin: int) -> bool:
        return coin < min(len(MAJORS), self._universe.places)

    def _words(self, coin: int, which: int) -> tuple[str, str]:
        drawn = hash_of(self._key, coin, which)
        kinds = SECTORS[int(self._universe.sector[coin])][2]
        first, drawn = _FIRST[drawn % len(_FIRST)], drawn // len(_FIRST)
        last, drawn = _LAST[drawn % len(_LAST)], drawn // len(_LAST)
        return first + last, kinds[drawn % len(kinds)]

    def _symbol(self, coin: int, word: str) -> str:
        symbol = word[: 3 + coin % 3].lower()
        if not self._traps.hits("dirty_symbols", coin):
            return symbol
        dirt = _DIRT[int(self._traps.draw("dirty_symbols", coin) * len(_DIRT))]
        return dirt.format(symbol.upper(), symbol)


def _base36(number: int) -> str:
    digits = ""
    while True:
        number, last = divmod(number, 36)
        digits = _DIGITS[last] + digits
        if not number:
            return digits
