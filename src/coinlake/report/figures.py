"""Small figures as inline SVG: from numbers to text. Colours are the page's own (`currentColor` and classes)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

Values = Sequence[float | None]

WIDTH, HEIGHT, MARGIN = 120.0, 32.0, 2.5


def sparkline(values: Values, label: str) -> str:
    """A line over evenly spaced days, broken where a value is unknown, with a dot on the newest known one."""
    runs = list(_runs(_points(values)))
    if sum(map(len, runs)) < 2:
        return f'<svg class="spark none" role="img" aria-label="{escape(label)}: not known"></svg>'
    lines = "".join(f'<path class="line" d="{_path(run)}"/>' for run in runs)
    areas = "".join(f'<path class="area" d="{_area(run)}"/>' for run in runs if len(run) > 1)
    x, y = runs[-1][-1]
    dot = f'<path class="dot" d="M{x:.1f} {y:.1f}h0"/>'
    return (
        f'<svg class="spark" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(label)}">{areas}{lines}{dot}</svg>'
    )


def _points(values: Values) -> list[tuple[float, float] | None]:
    known = [value for value in values if value is not None]
    low, high = _bounds(known)
    step = (WIDTH - 2 * MARGIN) / max(len(values) - 1, 1)
    tall = HEIGHT - 2 * MARGIN

    def place(index: int, value: float) -> tuple[float, float]:
        share = (min(max(value, low), high) - low) / (high - low) if high > low else 0.5
        return MARGIN + index * step, MARGIN + (1 - share) * tall

    return [None if value is None else place(index, value) for index, value in enumerate(values)]


def _bounds(known: Sequence[float]) -> tuple[float, float]:
    """The ends of the scale. A lone spike, which data of this kind has, is cut off at the edge, for it would flatten
    all the rest. The newest value never is.
    """
    if not known:
        return 0.0, 0.0
    ranked = sorted(known)
    beyond = len(ranked) // 20
    low, high = ranked[beyond], ranked[-1 - beyond]
    room = high - low
    return max(ranked[0], min(low - room, known[-1])), min(ranked[-1], max(high + room, known[-1]))


def _runs(points: Sequence[tuple[float, float] | None]) -> Iterator[list[tuple[float, float]]]:
    """What is known without a gap."""
    run: list[tuple[float, float]] = []
    for point in (*points, None):
        if point is not None:
            run.append(point)
        elif run:
            yield run
            run = []


def _path(run: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in run) + ("h0" if len(run) == 1 else "")


def _area(run: Sequence[tuple[float, float]]) -> str:
    return f"{_path(run)}L{run[-1][0]:.1f} {HEIGHT:g}L{run[0][0]:.1f} {HEIGHT:g}Z"


def meter(share: float | None, label: str) -> str:
    """A bar filled to a share of 1; empty where it is not known."""
    filled = (
        "" if share is None else f'<rect class="fill" width="{100 * min(max(share, 0), 1):.1f}" height="6" rx="1"/>'
    )
    return (
        f'<svg class="meter" viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label="{escape(label)}">'
        f'<rect class="bed" width="100" height="6" rx="1"/>{filled}</svg>'
    )


def balance(up: int, down: int, label: str) -> str:
    """Two counts as the two parts of one bar."""
    share = 100 * up / (up + down) if up + down else 50.0
    return (
        f'<svg class="balance" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label="{escape(label)}">'
        f'<rect class="up" width="{max(share - 0.3, 0):.1f}" height="10"/>'
        f'<rect class="down" x="{share + 0.3:.1f}" width="{max(99.7 - share, 0):.1f}" height="10"/></svg>'
    )


def gauge(value: float | None, label: str) -> str:
    """A half circle from fear to greed with a needle at a value of 0 to 100; no needle where it is not known."""
    arcs = "".join(
        f'<path class="arc arc{place}" pathLength="100" d="M12 88A76 76 0 0 1 164 88" '
        f'stroke-dasharray="19 200" stroke-dashoffset="{-20 * place - 0.5:g}"/>'
        for place in range(5)
    )
    needle = "" if value is None else (
        f'<g transform="rotate({1.8 * value:.1f} 88 88)"><path class="needle" d="M88 88H30"/></g>'
        '<circle class="hub" cx="88" cy="88" r="5"/>'
    )  # fmt: skip
    return f'<svg class="gauge" viewBox="0 0 176 96" role="img" aria-label="{escape(label)}">{arcs}{needle}</svg>'
