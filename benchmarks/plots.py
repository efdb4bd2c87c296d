"""Figures of the page of performance as SVG: from numbers to text. They follow the reader's light or dark theme."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from coinlake.dashboard.palette import DARK, LIGHT, Palette

WIDTH, ROW, TOP, LEFT, RIGHT = 860, 24, 52, 190, 24
TALL = 300
Spread = tuple[float, float, float]
"""Median, least, most."""
Point = tuple[float, Spread]


def dots(title: str, groups: Mapping[str, Mapping[str, Spread]], unit: str) -> str:
    """By group, a dot for each name on one logarithmic scale, with a line from the least to the most."""
    every = [value for group in groups.values() for spread in group.values() for value in spread]
    low, high = (10.0 ** round_(math.log10(end)) for round_, end in ((math.floor, min(every)), (math.ceil, max(every))))
    names = list(dict.fromkeys(name for group in groups.values() for name in group))

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log(value / low) / math.log(max(high / low, 10))

    made, y = [], TOP
    for group, found in groups.items():
        made.append(_text(12, y + 4, group, "bold"))
        y += ROW
        for name, (median, least, most) in found.items():
            colour = f"c{names.index(name) % 8}"
            made += [
                _text(LEFT - 12, y + 4, name, "end"),
                f'<path class="{colour} line" d="M{x(least):.1f} {y}H{max(x(most), x(least) + 0.1):.1f}"/>',
                f'<circle class="{colour} dot" cx="{x(median):.1f}" cy="{y}" r="5"/>',
                _text(x(most) + 10, y + 4, shown(median), "quiet"),
            ]
            y += ROW
        y += ROW // 2
    ticks = [10.0**power for power in range(round(math.log10(low)), round(math.log10(high)) + 1)]
    rules = [f'<path class="rule" d="M{x(tick):.1f} {TOP + 8}V{y - 8}"/>' for tick in ticks]
    labels = [_text(x(tick), y + 8, f"{tick:g}", "quiet middle") for tick in ticks]
    return _drawn(title, [*rules, *made, *labels, _text(WIDTH - RIGHT, y + 28, unit, "quiet end")], y + 40)


def lines(title: str, series: Mapping[str, Sequence[Point]], x_unit: str, y_unit: str) -> str:
    """A line for each name over a common axis that begins at zero, with the spread of each point."""
    left, bottom = 60, TOP + TALL
    points = [point for each in series.values() for point in each]
    right, high = max(point[0] for point in points), max(point[1][2] for point in points)
    step = _step(high)
    high = math.ceil(high / step) * step
    room = WIDTH - left - 270

    def place(at: float, value: float) -> tuple[float, float]:
        return left + room * at / right, bottom - TALL * value / high

    made = []
    for number in range(round(high / step) + 1):
        y = place(0, number * step)[1]
        made += [
            f'<path class="rule" d="M{left} {y:.1f}H{left + room}"/>',
            _text(left - 8, y + 4, f"{number * step:g}", "quiet end"),
        ]
    for at in _few(sorted({point[0] for point in points})):
        made.append(_text(place(at, 0)[0], bottom + 20, f"{at:g}", "quiet middle"))
    ends: list[float] = []
    for number, (name, each) in enumerate(series.items()):
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in (place(at, spread[0]) for at, spread in each))
        made.append(f'<path class="c{number % 8} line" d="M{path}"/>')
        if len(each) < 40:
            for at, (_, least, most) in each:
                (x, top), (_, foot) = place(at, most), place(at, least)
                made.append(
                    f'<path class="c{number % 8} line thin" d="M{x:.1f} {top:.1f}V{max(foot, top + 0.1):.1f}"/>'
                )
        y = place(0, each[-1][1][0])[1]
        while any(abs(y - end) < 16 for end in ends):
            y -= 16
        ends.append(y)
        made.append(_text(left + room + 10, y + 4, name, f"c{number % 8} word"))
    made += [_text(12, TOP - 10, y_unit, "quiet"), _text(left + room, bottom + 40, x_unit, "quiet end")]
    return _drawn(title, made, bottom + 52)


def shown(seconds: float) -> str:
    """Seconds with three digits."""
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s" if seconds < 1000 else f"{seconds:,.0f} s"


def _step(high: float) -> float:
    rough = high / 4
    power: float = 10.0 ** math.floor(math.log10(rough))
    return next(each * power for each in (1, 2, 2.5, 5, 10) if each * power >= rough)


def _few(values: Sequence[float]) -> Sequence[float]:
    return values if len(values) <= 12 else [values[0], *values[len(values) // 8 - 1 :: max(len(values) // 8, 1)]]


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _colours(theme: Palette) -> str:
    series = " ".join(
        f".c{n}.line {{ stroke: {c} }} .c{n}.dot, .c{n}.word {{ fill: {c} }}" for n, c in enumerate(theme.series)
    )
    return (
        f".card {{ fill: {theme.card} }} text {{ fill: {theme.text} }} .quiet {{ fill: {theme.muted} }} "
        f".rule {{ stroke: {theme.line} }} {series}"
    )


def _drawn(title: str, made: Sequence[str], height: float) -> str:
    body = "\n".join(f"  {each}" for each in made)
    size = f'viewBox="0 0 {WIDTH} {height:g}"'
    return f"""<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(title)}"
     font-family="-apple-system, 'Segoe UI', Helvetica, Arial, 'DejaVu Sans', sans-serif" font-size="13">
  <title>{escape(title)}</title>
  <style>
    {_colours(LIGHT)}
    .bold {{ font-weight: 700 }} .end {{ text-anchor: end }} .middle {{ text-anchor: middle }}
    .line {{ fill: none; stroke-width: 2 }} .thin {{ stroke-width: 1 }} .word {{ font-weight: 600 }}
    @media (prefers-color-scheme: dark) {{ {_colours(DARK)} }}
  </style>
  <rect class="card" width="{WIDTH}" height="{height:g}" rx="8"/>
  {_text(12, 22, title, "bold")}
{body}
</svg>
"""
