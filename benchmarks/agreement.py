"""How far our indicators are from TA-Lib, talipp and plain pandas on real histories:
`python benchmarks/agreement.py FOLDER > docs/indicators.md`. Ends with 1 where one disagrees by more than allowed.

A window is compared over whole days, what is recursive over each run from where it has converged, the peak over all
days in one unit of the price.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from formulas import BITCOIN, SAID, Ask, Over, Said
from histories import Columns, days_of
from numpy.typing import NDArray

from coinlake.engine import engine, recursive
from coinlake.engine.series import arrays, frame_of
from coinlake.gold import indicators
from coinlake.gold.analyze import ITSELF

ALLOWED = {"TA-Lib": 1e-9, "pandas": 1e-8}
"""How far those may lie away that have to agree: of pandas, what is not recursive."""
TINY = 1e-10
"""What is less is rounding, and differs between machines."""
RIVALS = ("TA-Lib", "talipp", "pandas")
Found = Mapping[str, Mapping[str, float | None]]


def made_of(daily: Columns) -> Columns:
    """gold.indicators of these days, with what the rivals need of the days themselves."""
    duck = engine("duckdb")
    dtypes: dict[str, Any] = {"day": "datetime64[D]", "peak_day": "datetime64[D]", "peak_usd": float}
    nothing = {name: np.array([], dtype=dtypes.get(name, object)) for name in indicators.CARRIES}
    read = {"gold.daily": frame_of(duck, daily), ITSELF: frame_of(duck, nothing)}
    made = arrays(duck, duck.frame(indicators.build(read, (), duck)), ("coin_id", "day"))
    order = np.lexsort((daily["day"], daily["coin_id"].astype(str)))
    given = {name: daily[name][order] for name in ("high_usd", "low_usd", "volume_24h_usd")}
    return {**made, **given, BITCOIN: _bitcoins(made)}


def _bitcoins(made: Columns) -> NDArray[np.float64]:
    its = made["coin_id"] == "bitcoin"
    by_day = dict(zip(made["day"][its].tolist(), made["log_return_1d"][its].tolist(), strict=True))
    return np.array([by_day.get(day, np.nan) for day in made["day"].tolist()])


def parts(made: Columns, over: Over, reads: tuple[str, ...] = ()) -> Iterator[Columns]:
    """Each unbroken part of a history: whole days of which all is known, runs with short gaps, or all in one unit."""
    known = np.logical_and.reduce([np.ones(len(made["day"]), dtype=bool), *(~np.isnan(made[name]) for name in reads)])
    rows = {name: values[known] for name, values in made.items()}
    begins = np.r_[True, rows["coin_id"][1:] != rows["coin_id"][:-1]]
    begins |= np.diff(np.cumsum(made["is_break"].astype(int))[known], prepend=0) > 0
    gap = {"days": 2, "run": indicators.LONG_GAP_DAYS, "unit": np.inf}[over]
    begins[1:] |= np.diff(rows["day"].astype(np.int64)) >= gap
    for part in np.split(np.arange(len(begins)), np.flatnonzero(begins)[1:]):
        yield {name: values[part] for name, values in rows.items()}


def disagreements(made: Columns) -> Found:
    """By column and rival, the largest difference; None where the rival has no such function."""
    return {
        name: {rival: ask and _worst(made, name, said, ask) for rival, ask in said.by.items()}
        for name, said in SAID.items()
    }


def _worst(made: Columns, name: str, said: Said, ask: Ask) -> float:
    """Of an amount in USD relative to the close, of anything else to its value, or as it is where that is under one."""
    found = [0.0]
    for part in parts(made, said.over, said.reads):
        if len(part["day"]) < said.compared_from:
            continue
        ours, theirs = (each[said.compared_from - 1 :] for each in (_numbers(part[name]), ask(part)))
        is_usd = indicators.TABLE.columns[name].unit == "USD"
        against = part["close_usd"][said.compared_from - 1 :] if is_usd else np.maximum(np.abs(theirs), 1)
        unlike = np.isnan(ours) != np.isnan(theirs)
        found.append(float(np.nanmax(np.where(unlike, np.inf, np.abs(ours - theirs) / against), initial=0)))
    return max(found)


def _numbers(values: NDArray[Any]) -> NDArray[np.float64]:
    whole = values.astype("datetime64[D]").astype(np.int64) if values.dtype.kind == "M" else values
    return np.asarray(whole, dtype=float)


def too_far(found: Found) -> list[str]:
    """Where a rival that has to agree does not."""
    return [
        f"{name}: {rival} lies {found[name][rival]:.0e} away"
        for name, said in SAID.items()
        for rival, allowed in ALLOWED.items()
        if (found[name][rival] or 0) > allowed and (rival == "TA-Lib" or said.over != "run")
    ]


# The page ------------------------------------------------------------------------------------------------------------

HEAD = f"| column | formula | begins with | first | converged | {' | '.join(RIVALS)} |\n|{' --- |' * (5 + len(RIVALS))}"


def page(found: Found) -> str:
    """docs/indicators.md"""
    families = dict.fromkeys(said.family for said in SAID.values())
    tables = "\n\n".join(f"### {family}\n\n{_table(family, found)}" for family in families)
    template = (Path(__file__).parent / "indicators.md").read_text()
    return template.replace("{tables}", tables).replace("{flat}", str(recursive.FLAT_FOR))


def _table(family: str, found: Found) -> str:
    return "\n".join([HEAD, *(_row(name, said, found[name]) for name, said in SAID.items() if said.family == family)])


def _row(name: str, said: Said, by: Mapping[str, float | None]) -> str:
    converged = f"day {said.converged}" if isinstance(said.converged, int) else said.converged
    cells = [f"`{name}`", said.formula, said.begins_with, f"day {said.first}", converged, *_apart(by)]
    return f"| {' | '.join(cells)} |"


def _apart(by: Mapping[str, float | None]) -> list[str]:
    if all(apart is None for apart in by.values()):
        return ["none has it", "", ""]
    return ["none" if each is None else f"{each:.0e}" if each >= TINY else f"< {TINY:.0e}" for each in by.values()]


if __name__ == "__main__":
    found = disagreements(made_of(days_of(Path(sys.argv[1]))))
    print(page(found).rstrip())
    sys.exit("\n".join(too_far(found)) or 0)
