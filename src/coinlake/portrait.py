"""How one coin looks on a terminal: its course, its figures, its indicators, its signals. Draws only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import pairwise
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from coinlake.report import words

BLOCKS = "▁▂▃▄▅▆▇█"
CELLS = 60
"""Characters of the sparkline: a few days each."""

_GROUPS: Sequence[tuple[str, Sequence[str]]] = (
    ("trend", ("sma_7d", "sma_20d", "sma_50d", "sma_200d", "ema_12d", "ema_26d", "ema_50d", "macd", "macd_signal",
               "macd_histogram", "adx_14d")),
    ("momentum and bands", ("rsi_14d", "rate_of_change_14d", "z_score_20d", "percent_b_20d", "bollinger_lower_20d",
                            "bollinger_upper_20d", "bandwidth_20d", "distance_high_365d", "distance_low_365d")),
    ("risk", ("volatility_30d", "volatility_90d", "drawdown", "days_since_peak", "sharpe_90d", "sortino_90d",
              "beta_btc_90d", "correlation_btc_90d", "volume_z_score_30d", "atr_14d")),
)  # fmt: skip
_SHARES = ("rate_of_change_14d", "distance_high_365d", "distance_low_365d", "drawdown")
_PERCENT = ("volatility_30d", "volatility_90d", "bandwidth_20d")


def coin_view(told: Mapping[str, Any]) -> RenderableType:
    """A coin for a person, from what `coinlake.coin.portrait` tells."""
    parts = [_head(told), _course(told["closes_usd"]), _figures(told["horizons"])]
    parts += [_indicators(told["indicators"]), _signals(told)]
    return Group(*[part for each in parts for part in (each, Text())][:-1])


def sparkline(values: Sequence[float | None], cells: int = CELLS) -> str:
    """Values as blocks of eight heights, a cell for several days; a cell of which none is known stays empty."""
    if not values:
        return ""
    cells = min(cells, len(values))
    edges = [round(cell * len(values) / cells) for cell in range(cells + 1)]
    means = [_mean(values[first:last]) for first, last in pairwise(edges)]
    known = [mean for mean in means if mean is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    return "".join(" " if mean is None else _block(mean, low, high) for mean in means)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _block(value: float, low: float, high: float) -> str:
    share = (value - low) / (high - low) if high > low else 0.5
    return BLOCKS[min(int(share * len(BLOCKS)), len(BLOCKS) - 1)]


def _tone(value: float | None) -> str:
    return "dim" if not value else "green" if value > 0 else "red"


def _gain(value: float | None) -> Text:
    return Text(words.gain(value), style=_tone(value))


def _head(told: Mapping[str, Any]) -> RenderableType:
    symbol = f"  {told['symbol'].upper()}" if told["symbol"] else ""
    first = Text.assemble(
        (told["name"] or told["coin_id"], "bold"), (symbol, "dim"), ("  ", ""),
        (words.price(told["price_usd"]), "bold cyan"),
    )  # fmt: skip
    rank = f"rank {told['rank']}, " if told["rank"] else ""
    cap, volume = words.money(told["market_cap_usd"]), words.money(told["volume_24h_usd"])
    last = words.day(date.fromisoformat(told["day"]))
    lines = [first, Text(f"{told['coin_id']}: {rank}cap {cap}, volume {volume} a day; last finished day {last}")]
    if told["is_simulated"]:
        lines.append(Text("A simulated coin: nothing of it is real.", style="yellow"))
    return Group(*lines)


def _course(closes: Sequence[float | None]) -> RenderableType:
    known = [close for close in closes if close is not None]
    if len(known) < 2:
        return Text("no course yet: fewer than two days are known", style="dim")
    bounds = f"{words.count(len(closes), 'day')}, from {words.price(min(known))} to {words.price(max(known))}"
    return Group(Text(sparkline(closes), style=_tone(known[-1] - known[0])), Text(bounds, style="dim"))


def _figures(horizons: Sequence[Mapping[str, Any]]) -> RenderableType:
    made = _grid()
    for name in ("over", "return", "average", "from average", "lowest", "highest", "days known"):
        made.add_column(name, justify="left" if name == "over" else "right")
    for each in horizons:
        made.add_row(
            each["horizon"], _gain(each["return"]), words.price(each["average_usd"]), _gain(each["from_average"]),
            words.price(each["minimum_usd"]), words.price(each["maximum_usd"]), words.number(each["days_known"]),
        )  # fmt: skip
    return made


def _grid() -> Grid:
    return Grid(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", show_edge=False)


def _indicators(found: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Three lists side by side; a value that still remembers what it began with has a mark."""
    if not found:
        return Text("no indicators of that day", style="dim")
    by_name = {each["indicator"]: each for each in found}
    whole = Grid.grid(padding=(0, 4))
    for _ in _GROUPS:
        whole.add_column(vertical="top")
    whole.add_row(*(_listed(title, [by_name[name] for name in names if name in by_name]) for title, names in _GROUPS))
    unready = any(_unready(each) for each in found)
    note = Text("~ not converged: it still rests on the day it began with", style="yellow")
    settled = Text("all recursive indicators have converged", style="dim")
    return Group(whole, Text(), note if unready else settled)


def _unready(each: Mapping[str, Any]) -> bool:
    return each["converged"] is False


def _listed(title: str, found: Sequence[Mapping[str, Any]]) -> Grid:
    made = Grid.grid(padding=(0, 1))
    made.add_column()
    made.add_column(justify="right")
    made.add_column(width=1)
    made.add_row(Text(title, style="dim"))
    for each in found:
        unready = _unready(each)
        mark = Text("~" if unready else "", style="yellow")
        made.add_row(each["indicator"], Text(_value(each), style="dim" if unready else ""), mark)
    return made


def _value(each: Mapping[str, Any]) -> str:
    name, value = each["indicator"], each["value"]
    if name in _SHARES:
        return words.gain(value)
    if name in _PERCENT:
        return words.percent(value)
    if each["unit"] == "USD":
        return words.price(value)
    return words.number(value, 0 if each["unit"] == "days" else 2)


def _signals(told: Mapping[str, Any]) -> RenderableType:
    """What fired on the last day; grey, and without an order, where nothing speaks for the rule."""
    if not told["signals"]:
        return Text("no rule fired on that day", style="dim")
    lines: list[RenderableType] = [Text("signals of that day", style="dim")]
    for each in told["signals"]:
        up, proven = each["direction"] == "up", each["has_edge"]
        tone = ("green" if up else "red") if proven else "dim"
        lines.append(Text(f"{'▲' if up else '▼'} {words.event(each['sentence'], proven)}", style=tone))
        verdicts = (("on this coin", "verdict_on_this_coin"), ("on all coins", "verdict_on_all_coins"))
        said = [f"{where}: {each[name]}" for where, name in verdicts if each[name]]
        lines += [Padding(Text(verdict, style="dim"), (0, 0, 0, 2)) for verdict in said or ["no backtest yet"]]
    lines.append(Text("none of this is investment advice", style="dim italic"))
    return Group(*lines)
