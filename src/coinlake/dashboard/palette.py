"""One palette for pages and figures, light and dark. Up is teal and down is orange: people who do not tell red from
green tell these apart, and an arrow or a sign always says it again. Text colours have a contrast of 4.5 or more.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Palette:
    """The colours of one theme, as #rrggbb."""

    name: str
    page: str
    card: str
    text: str
    muted: str
    line: str
    up: str
    down: str
    flat: str
    accent: str
    bitcoin: str
    no_evidence: str
    series: tuple[str, ...]

    def way(self, value: float | None) -> str:
        """The colour of a change."""
        if value is None or value != value or value == 0:
            return self.muted
        return self.up if value > 0 else self.down

    @property
    def diverging(self) -> list[tuple[float, str]]:
        """From down over nothing to up."""
        return [(0.0, self.down), (0.5, self.flat), (1.0, self.up)]


LIGHT = Palette(
    name="light",
    page="#f6f7fb",
    card="#ffffff",
    text="#141a2e",
    muted="#5a6378",
    line="#dfe3ec",
    up="#0b7285",
    down="#bf4010",
    flat="#e9ecf3",
    accent="#3a4fd8",
    bitcoin="#9a6200",
    no_evidence="#6b7280",
    series=("#3a4fd8", "#0b7285", "#bf4010", "#9a6200", "#8a3ffc", "#00695c", "#ad1457", "#455a64"),
)
DARK = Palette(
    name="dark",
    page="#0b1020",
    card="#131a2e",
    text="#e8ecf8",
    muted="#9aa5c0",
    line="#27304a",
    up="#3cc8d8",
    down="#ff9457",
    flat="#232c46",
    accent="#93a4ff",
    bitcoin="#f5b83d",
    no_evidence="#98a1b3",
    series=("#93a4ff", "#3cc8d8", "#ff9457", "#f5b83d", "#c79bff", "#67d5a6", "#ff8ab5", "#a9b7d0"),
)


def palette(theme: str | None) -> Palette:
    """The palette of a theme by name; light where it is not known."""
    return DARK if theme == "dark" else LIGHT
