"""How far our indicators are from TA-Lib, talipp and plain pandas on real histories:
`python benchmarks/agreement.py FOLDER > docs/indicators.md`. Ends with 1 where TA-Lib disagrees by more than allowed.

Compared is each unbroken history: the days from its beginning, a long gap or a new unit on, on which the value has
converged; of windows, those without a missing day.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import talib
from histories import Columns, days_of
from numpy.typing import NDArray
from talipp import indicators as talipp

from coinlake.engine import engine
from coinlake.engine.recursive import CONVERGED_AFTER, EMA
from coinlake.engine.series import arrays, frame_of
from coinlake.gold import indicators
from coinlake.gold.analyze import ITSELF

Floats = NDArray[np.float64]
ALLOWED = 1e-9
RIVALS = ("TA-Lib", "talipp", "pandas")


class Said(NamedTuple):
    """An indicator: its formula, how it begins, from which observation on, and what others make of a run of closes."""

    formula: str
    seeding: str
    first: int
    by: Mapping[str, Callable[[Floats], Floats]]
    bounded: bool = False


def _floats(values: Any) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def _of(values: Any, name: str) -> Floats:
    return _floats(None if each is None else getattr(each, name) for each in values)


def _wilder(x: Floats) -> Floats:
    moved = pd.Series(x).diff()
    gain, loss = (each.clip(lower=0).ewm(alpha=1 / 14, adjust=False).mean() for each in (moved[1:], -moved[1:]))
    return np.r_[np.nan, (100 - 100 / (1 + gain / loss)).to_numpy()]


def _macd(x: Floats) -> Floats:
    fast, slow = (pd.Series(x).ewm(span=n, adjust=False).mean() for n in (12, 26))
    return (fast - slow).to_numpy()


def _sma(n: int) -> Said:
    return Said(
        f"mean of {n} closes",
        "none",
        n,
        {
            "TA-Lib": lambda x: talib.SMA(x, n),
            "talipp": lambda x: _floats(talipp.SMA(n, x.tolist())),
            "pandas": lambda x: pd.Series(x).rolling(n).mean().to_numpy(),
        },
    )


def _ema(n: int) -> Said:
    return Said(
        f"previous + 2/{n + 1} (close - previous)",
        f"mean of the first {n}",
        n,
        {
            "TA-Lib": lambda x: talib.EMA(x, n),
            "talipp": lambda x: _floats(talipp.EMA(n, x.tolist())),
            "pandas": lambda x: pd.Series(x).ewm(span=n, adjust=False).mean().to_numpy(),
        },
    )


def _band(name: str, place: int, sign: int) -> Said:
    return Said(
        f"`sma_20d` {'+' if sign > 0 else '-'} 2 population deviations",
        "none",
        20,
        {
            "TA-Lib": lambda x: talib.BBANDS(x, 20, 2, 2)[place],
            "talipp": lambda x: _of(talipp.BB(20, 2, x.tolist()), name),
            "pandas": lambda x: (
                pd.Series(x).rolling(20).mean() + sign * 2 * pd.Series(x).rolling(20).std(ddof=0)
            ).to_numpy(),
        },
    )


SAID = {
    **{f"sma_{n}d": _sma(n) for n in indicators.SMA},
    **{f"ema_{n}d": _ema(n) for n in EMA},
    "macd": Said(
        "EMA 12 - EMA 26",
        "both begin on day 26, with the means of 12 and of 26",
        34,
        {
            "TA-Lib": lambda x: talib.MACD(x, 12, 26, 9)[0],
            "talipp": lambda x: _of(talipp.MACD(12, 26, 9, x.tolist()), "macd"),
            "pandas": _macd,
        },
    ),
    "macd_signal": Said(
        "EMA 9 of `macd`",
        "mean of its first 9",
        34,
        {
            "TA-Lib": lambda x: talib.MACD(x, 12, 26, 9)[1],
            "talipp": lambda x: _of(talipp.MACD(12, 26, 9, x.tolist()), "signal"),
            "pandas": lambda x: pd.Series(_macd(x)).ewm(span=9, adjust=False).mean().to_numpy(),
        },
    ),
    "rsi_14d": Said(
        "100 - 100 / (1 + gain / loss), each a Wilder average",
        "means of the first 14 changes",
        15,
        {
            "TA-Lib": lambda x: talib.RSI(x, 14),
            "talipp": lambda x: _floats(talipp.RSI(14, x.tolist())),
            "pandas": _wilder,
        },
        bounded=True,
    ),
    "bollinger_upper_20d": _band("ub", 0, 1),
    "bollinger_lower_20d": _band("lb", 2, -1),
}


def made_of(daily: Columns) -> Columns:
    """gold.indicators of these days."""
    duck = engine("duckdb")
    dtypes: dict[str, Any] = {"day": "datetime64[D]", "peak_day": "datetime64[D]", "peak_usd": float}
    nothing = {name: np.array([], dtype=dtypes.get(name, object)) for name in indicators.CARRIES}
    read = {"gold.daily": frame_of(duck, daily), ITSELF: frame_of(duck, nothing)}
    return arrays(duck, indicators.build(read, (), duck), ("coin_id", "day"))


def runs(made: Columns) -> Iterator[Columns]:
    """Each unbroken history."""
    days = made["day"].astype(np.int64)
    begins = np.r_[True, made["coin_id"][1:] != made["coin_id"][:-1]] | made["is_break"].astype(bool)
    begins[1:] |= np.diff(days) > indicators.LONG_GAP_DAYS
    for rows in np.split(np.arange(len(days)), np.flatnonzero(begins)[1:]):
        yield {name: values[rows] for name, values in made.items()}


def compared(run: Columns, name: str, said: Said) -> NDArray[np.bool_]:
    """The days of a run on which a value is compared."""
    place = np.arange(1, len(run["day"]) + 1)
    if (after := CONVERGED_AFTER.get("macd" if name.startswith("macd") else name)) is not None:
        return place >= after
    days = run["day"].astype(np.int64)
    whole = np.zeros(len(days), dtype=bool)
    if len(days) >= said.first:
        whole[said.first - 1 :] = days[said.first - 1 :] - days[: len(days) - said.first + 1] == said.first - 1
    return whole


def disagreements(made: Columns) -> dict[str, dict[str, float]]:
    """By column and rival, the largest difference: relative to the close, of RSI to its own value."""
    found = {name: dict.fromkeys(RIVALS, 0.0) for name in SAID}
    for run in runs(made):
        for name, said in SAID.items():
            days = compared(run, name, said)
            for rival, ask in said.by.items() if days.any() else ():
                ours, theirs = run[name][days], ask(run["close_usd"])[days]
                against = np.abs(theirs) if said.bounded else run["close_usd"][days]
                apart = np.abs(ours - theirs) / np.where(against > 0, against, 1)
                worst = float(np.max(np.where(np.isnan(apart), np.inf, apart)))
                found[name][rival] = max(found[name][rival], worst)
    return found


def page(found: Mapping[str, Mapping[str, float]]) -> str:
    """docs/indicators.md"""
    rows = [
        f"| `{name}` | {said.formula} | {said.seeding} | day {said.first} | "
        f"{'day ' + str(after) if (after := CONVERGED_AFTER.get('macd' if 'macd' in name else name)) else 'at once'} | "
        + " | ".join(f"{found[name][rival]:.0e}" for rival in RIVALS)
        + " |"
        for name, said in SAID.items()
    ]
    return (Path(__file__).parent / "indicators.md").read_text().replace("{rows}", "\n".join(rows))


if __name__ == "__main__":
    found = disagreements(made_of(days_of(Path(sys.argv[1]))))
    print(page(found).rstrip())
    sys.exit(any(each["TA-Lib"] > ALLOWED for each in found.values()))
