"""The page: from rows to one HTML document. The same rows make the same text; no clock is asked."""

from __future__ import annotations

from html import escape

from coinlake.gold.holds import on_hold
from coinlake.ids import SIMULATED
from coinlake.report import words
from coinlake.report.coins import coins, health
from coinlake.report.market import breadth_and_mood, movers, overview
from coinlake.report.rows import Rows
from coinlake.report.signals import signals
from coinlake.report.style import STYLE

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'unsafe-inline'"
"""What a browser may load for this page: nothing but what is in it."""

_AGE = """
for (const each of document.querySelectorAll("[data-day]")) {
  const days = Math.floor((Date.now() - Date.parse(each.dataset.day + "T00:00:00Z")) / 864e5) - 1;
  if (days > 0) each.textContent = days === 1 ? " (a day ago)" : " (" + days.toLocaleString("en") + " days ago)";
}
"""
"""Tells, wherever the page is opened, how long ago its newest day ended; without scripts the day itself is there."""


def page(rows: Rows) -> str:
    """The report as an HTML document."""
    title = f"The crypto market on {words.day(rows.newest)}" if rows.newest else "The crypto market"
    body = (
        _filled(rows) if rows.newest else '<section><p class="empty">Gold is empty: run `coinlake run`.</p></section>'
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="referrer" content="no-referrer"><link rel="icon" href="data:,">'
        f"<title>{escape(title)} · coinlake</title><style>{STYLE}</style></head><body>\n"
        + words.bound(f"{_banners(rows)}{_head(rows, title)}\n<main>\n{body}\n{_foot(rows)}\n</main>\n")
        + f"<script>{_AGE}</script></body></html>\n"
    )


def _filled(rows: Rows) -> str:
    parts = (overview(rows), breadth_and_mood(rows), movers(rows), signals(rows), coins(rows), health(rows))
    return "\n".join(parts)


def is_simulated(rows: Rows) -> bool:
    """Whether some of the coins are made up."""
    ids = [*rows.closes, *(coin["coin_id"] for coin in rows.coins)]
    return any(str(coin_id).startswith(SIMULATED) for coin_id in ids)


def _banners(rows: Rows) -> str:
    """Above everything: what must be known before any of it is believed."""
    told = ["A simulated market: no coin, price or signal on this page is real."] if is_simulated(rows) else []
    if held := on_hold({row["table_name"]: row["reason"] for row in rows.health if row["verdict"] == "hold"}):
        told.append(f"On hold, not to be relied on. {held}")
    return "".join(f'<div class="banner" role="note">{escape(each)}</div>' for each in told)


def _head(rows: Rows, title: str) -> str:
    lede = f'<p class="lede">{lead(rows)}</p>' if rows.market else ""
    newest = ""
    if rows.newest:
        newest = (
            f'Newest finished day: {words.day(rows.newest)}, UTC<span data-day="{rows.newest.isoformat()}"></span>. '
            f"Newest price: {words.moment(rows.freshness.get('priced_at'))}. "
        )
    fine = f'<p class="fine">{newest}None of this is investment advice.</p>'
    return f'<header><div class="brand">coinlake</div><h1>{escape(title)}</h1>{lede}{fine}</header>'


def lead(rows: Rows) -> str:
    """The day in two sentences."""
    day = rows.market[-1]
    rose = day["market_return_1d"]
    cap = words.money(day["total_market_cap_usd"])
    if rose is None:
        moved = f"The {words.count(day['universe_coins'], 'coin')} followed are worth {cap}"
    else:
        verb = "rose" if rose > 0 else "fell"
        moved = f"The market {verb} {words.percent(abs(rose))} to {cap}"
    parted = "how many coins rose is not known"
    if day["advancers"] is not None:
        parted = f"{words.count(day['advancers'], 'coin')} rose and {day['decliners']:,} fell"
    mood = day["fear_greed"]
    felt = f"Fear and greed stands at {words.number(mood)} of 100: {words.mood(mood)}." if mood is not None else ""
    return f"{moved}; {parted}. {felt}".strip()


def _foot(rows: Rows) -> str:
    powered = "Data powered by CoinGecko."
    if is_simulated(rows):
        powered = (
            "Simulated data in the form of CoinGecko's. On a real market this line says: Data powered by CoinGecko."
        )
    return (
        f"<footer><p><b>{powered}</b></p><p>None of this is investment advice. Prices can be wrong, late or missing, "
        "and conclusions from them too. Backtests tell of the past, after costs, for coins that are still followed; "
        "a dash (–) means that a value is not known.</p><p>Made by coinlake from its gold tables.</p></footer>"  # noqa: RUF001
    )
