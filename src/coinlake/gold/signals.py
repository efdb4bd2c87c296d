"""What happened to a coin, by a rule that can be judged: sparse events, each with its direction, how strong it is, the
numbers it rests on, and a sentence.

An event needs the values of its day and of the day before: what is unknown, has not converged, lies beyond a missing
day, a new unit of the price (a redenomination) or another source, fires nothing. A coin known to stand still
(volatility of 30 days under 10 % a year: a peg) fires nothing either, nor does one whose price was cut off to two
digits for a month, so that what moves is the rounding. An event is known at the close of its day, and
`tradable_on` is the day after: no backtest here trades earlier. What a strength means differs by rule, and is told with
each in docs/signals.md; within a rule the larger is the stronger.

Rules that compare coins compare those of the market list that was seen on the day. Where none was seen, on the day or
the day before, they compare all coins of the lake and the rows say `survivorship_biased`: among coins of which only
survivors are known, the best tenth is another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import compress
from string import Formatter
from typing import Any

import numpy as np
from arro3.core import Table as Rows
from numpy.typing import NDArray

from coinlake.engine import Engine, Frame
from coinlake.engine.series import arrays, rows_of, series_of, typed
from coinlake.gold.rules import rules
from coinlake.gold.rules.rule import ONE_DAY, Days, Fired, Rule
from coinlake.gold.rules.words import written
from coinlake.gold.scope import Scope
from coinlake.gold.universe import LISTED, Universes
from coinlake.table import Boolean, Column, Date, Float64, String, Table

TABLE = Table(
    "gold.signals",
    key=("coin_id", "day", "rule"),
    columns={
        "coin_id": Column(String, "CoinGecko id"),
        "day": Column(Date, "UTC day at whose close the event is known"),
        "rule": Column(String, "the rule's name", one_of=tuple(rules())),
        "direction": Column(String, "which way it points", required=True, one_of=("up", "down")),
        "strength": Column(Float64, "how strong, in the rule's own measure", required=True, between=(0, 1)),
        "close_usd": Column(Float64, "close of the day", "USD", required=True, between=(0, None)),
        "numbers": Column(String, "JSON object of the numbers it rests on", required=True),
        "sentence": Column(String, "what happened, for a person", required=True),
        "tradable_on": Column(Date, "the first day at whose close one can act on it", required=True),
        "survivorship_biased": Column(
            Boolean, "whether it compares with coins of which only survivors are known", required=True
        ),
        "source": Column(String, "whose observations the day rests on", required=True),
    },
    grain="one event: a coin, a day and a rule",
    dated_by="day",
    reads=("silver.markets", "gold.indicators"),
    sorted_by=("coin_id", "day", "rule"),
)

BLOCKS = "days"
READS_ONCE = TAKES_SPAN = True
LOOKBACK_DAYS = 40
"""Days before an event that it may rest on: a month without another, and the windows of a week within it."""

_COLUMNS = [
    "coin_id", "source", "day", "is_break", "close_usd", "log_return_1d", "return_1d", "return_30d",
    "sma_7d", "sma_50d", "sma_200d", "macd", "macd_signal", "macd_histogram", "macd_converged",
    "rsi_14d", "rsi_14d_converged", "percent_b_20d", "bollinger_upper_20d", "bollinger_lower_20d",
    "volatility_30d", "volatility_90d", "volume_z_score_30d", "high_365d_usd",
    "drawdown", "peak_usd", "days_since_peak",
]  # fmt: skip
"""What the rules look at."""
COLUMNS = {"gold.indicators": tuple(_COLUMNS)}


_DAY = "({moment} - interval 1 microsecond)::DATE"
TOUCHES = {"silver.markets": f"select '*', min({_DAY}), max({_DAY}) + 1 from changed"}
"""SQL: the days whose comparison of coins rests on a list: its own, and the next, which compares with it."""


def touched(scope: Scope, source: str) -> Scope:
    """A day's events rest on that day and some before it; where coins are compared, on every coin's."""
    return scope.everyone().lasting(LOOKBACK_DAYS)


def build(
    read: Mapping[str, Frame], sources: Sequence[str], engine: Engine, span: tuple[date, date] | None = None
) -> Rows:
    """The events of every rule, or those from the first day of a span on."""
    columns = series_of(engine, read["gold.indicators"].select(_COLUMNS), ("coin_id", "source"))
    lists = arrays(engine, read["silver.markets"].select(*LISTED), ("observed_at", "coin_id"))
    days = Days({**columns, **ranked(columns, Universes.of(lists))})
    return rows_of(events(days, rules(), span[0] if span else date.min))


def ranked(columns: Mapping[str, NDArray[Any]], known: Universes) -> dict[str, NDArray[np.bool_]]:
    """Whether the universe of each row's day is known and all of it is here, and whether the coin is compared with
    others: those on the list where there is one, else all.
    """
    day = columns["day"]
    there = known.there(columns["coin_id"], day)
    return {"is_universe_known": known.complete(there, day), "is_ranked": ~known.listed(day) | there}


def events(days: Days, of: Mapping[str, Rule], since: date = date.min) -> dict[str, NDArray[Any]]:
    """The events of some rules, from a day on, as columns of this table."""
    wanted = days["day"] >= np.datetime64(since, "D")
    made = [_rows(days, rule, wanted) for rule in of.values()]
    return {name: np.concatenate([each[name] for each in made]) for name in TABLE.columns}


def fired(days: Days, rule: Rule) -> Fired:
    """Where a rule fires; never for a coin that stands still, nor where a number that it rests on is not known."""
    found = rule.fires(days)
    known = np.logical_and.reduce([days.moves, *(~np.isnan(values) for values in found.numbers.values())])
    return Fired(found.up & known, found.down & known, found.strength, found.numbers)


def _rows(days: Days, rule: Rule, wanted: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
    found = fired(days, rule)
    place = np.flatnonzero((found.up | found.down) & wanted)
    day, up = days["day"][place], found.up[place]
    numbers = {name: np.asarray(values)[place] for name, values in found.numbers.items()}
    known = days["is_universe_known"]
    honest = known & (days.before(known) == 1)
    return {
        "coin_id": days["coin_id"][place],
        "day": day,
        "rule": np.full(len(place), rule.name, dtype=object),
        "direction": np.where(up, "up", "down").astype(object),
        "strength": found.strength[place],
        "close_usd": days["close_usd"][place],
        "numbers": _texts(_json(list(numbers)), [values.tolist() for values in numbers.values()]),
        "sentence": _sentences(rule, up, numbers),
        "tradable_on": day + ONE_DAY,
        "survivorship_biased": ~honest[place] if rule.compares_coins else np.zeros(len(place), dtype=bool),
        "source": days["source"][place],
    }


def _sentences(rule: Rule, up: NDArray[np.bool_], numbers: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    words = {name: written(write, numbers[name]) for name, write in rule.shown.items()}
    said = np.empty(len(up), dtype=object)
    for text, which in ((rule.up, up), (rule.down, ~up)):
        template, names = _template(text)
        said[which] = _texts(template, [list(compress(words[name], which)) for name in names]) if names else text
    return said


def _template(text: str) -> tuple[str, list[str]]:
    """A sentence with a place for each name in it, and these names: `%` fills many rows at a time."""
    parts = list(Formatter().parse(text))
    template = "".join(said.replace("%", "%%") + ("%s" if name else "") for said, name, *_ in parts)
    return template, [name for _, name, *_ in parts if name]


def _json(names: Sequence[str]) -> str:
    return "{" + ",".join(f'"{name}":%.9g' for name in names) + "}"


def _texts(template: str, columns: Sequence[Sequence[Any]]) -> NDArray[Any]:
    return typed(String, [template % row for row in zip(*columns, strict=True)])
