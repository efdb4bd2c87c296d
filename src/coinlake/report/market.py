"""The market as a whole: its figures with their course, breadth, fear and greed, and who moved most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from coinlake.report import words
from coinlake.report.figures import balance, gauge, meter, sparkline
from coinlake.report.rows import SPARK_DAYS, Row, Rows

Speak = Callable[[float | None], str]

PARTS = ("momentum", "volatility", "breadth", "strength", "dominance")
MOST = 6


def tone(value: float | None) -> str:
    """The class that colours a change."""
    return "flat" if not value else "up" if value > 0 else "down"


def coloured(value: float | None, speak: Speak = words.gain) -> str:
    """A change in its colour."""
    told = speak(value)
    return f'<span class="{"flat" if told.startswith("0") else tone(value)}">{told}</span>'


def section(title: str, note: str, body: str) -> str:
    """A part of the page: what it is, how to read it, and what it shows."""
    fine = f'<p class="fine">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(title)}</h2>{fine}{body}</section>"


def empty(sentence: str) -> str:
    """What stands where there is nothing to show."""
    return f'<p class="empty">{escape(sentence)}</p>'


# Figures -----------------------------------------------------------------------------------------------------------

_KPIS: Sequence[tuple[str, str, Speak, Speak | None]] = (
    ("Market cap", "total_market_cap_usd", words.money, None),
    ("Volume, 24 h", "total_volume_24h_usd", words.money, None),
    ("Bitcoin's share", "bitcoin_dominance", words.percent, words.points),
    ("Ether's share", "ether_dominance", words.percent, words.points),
    ("Volatility, median of 30 days", "median_volatility_30d", words.percent, words.points),
    ("Correlation to bitcoin, 30 days", "average_correlation_btc_30d", lambda v: words.number(v, 2), None),
    ("Dispersion of the day", "dispersion_1d", words.percent, words.points),
    ("Concentration (Herfindahl)", "herfindahl", lambda v: words.number(v, 2), None),
)
"""Name, column, how it is said, and how its change is said: as a gain where nothing else is named."""
_PLAIN = ("average_correlation_btc_30d", "herfindahl")
"""Measures whose change is a difference and not a percentage."""


def overview(rows: Rows) -> str:
    """The figures of `gold.market`, each with the course of its last days."""
    if not rows.market:
        return section("The market", "", empty("gold.market has no rows yet."))
    recent = rows.market[-SPARK_DAYS:]
    cards = "".join(_kpi(recent, *kpi) for kpi in _KPIS)
    note = f"Each line shows the last {words.count(len(recent), 'day')}; changes are against 30 days before."
    note += _survivors(recent[-1])
    return section("The market", note, f'<div class="cards">{cards}</div>')


def _survivors(day: Row) -> str:
    """What is to be said where coins that died are missing."""
    if not day["universe_is_seen"]:
        return (
            " The coins are those that this lake follows now, not those that were largest then: the past looks better"
            " than it was."
        )
    ranked = " Fear and greed ranks the day among days of which only survivors are known."
    return ranked if day["survivorship_biased"] else ""


def _kpi(days: Sequence[Row], name: str, column: str, speak: Speak, change: Speak | None) -> str:
    values = [day[column] for day in days]
    before = values[-31] if len(values) > 30 else None
    line = sparkline(values, f"{name}, the last {words.count(len(values), 'day')}")
    told = _change(values[-1], before, column, change)
    return (
        f'<div class="card kpi"><div class="name">{escape(name)}</div><div class="value">{speak(values[-1])}</div>'
        f'<div class="change">{told}</div>{line}</div>'
    )


def _change(now: float | None, before: float | None, column: str, change: Speak | None) -> str:
    """A measure's change over 30 days. Only money is coloured: for a share, more is neither good nor bad."""
    if now is None or before is None:
        return f"{words.MISSING} in 30 days"
    if column in _PLAIN:
        return f"{words.signed(now - before, 2)} in 30 days"
    if change is not None:
        return f"{change(now - before)} in 30 days"
    return f"{coloured(now / before - 1)} in 30 days" if before else f"{words.MISSING} in 30 days"


# Breadth and mood --------------------------------------------------------------------------------------------------


def breadth_and_mood(rows: Rows) -> str:
    """How many coins take part, and how greedy the market is; nothing where `gold.market` has no rows."""
    if not rows.market:
        return ""
    return f'<div class="two" style="margin-top:12px">{_breadth(rows.market[-1])}{_mood(rows.market)}</div>'


def _breadth(day: Row) -> str:
    up, down = words.number(day["advancers"]), words.number(day["decliners"])
    told = (
        f'<div class="pair"><span class="up">▲ <b>{up}</b> rose</span><span class="down"><b>{down}</b> fell ▼</span>'
        f"</div>{balance(day['advancers'] or 0, day['decliners'] or 0, f'{up} rose, {down} fell')}"
    )
    for name, column in (("50-day", "above_sma_50d"), ("200-day", "above_sma_200d")):
        share = day[column]
        said = f"above their {name} average"
        told += f'<div class="pair"><span>Coins {said}</span><b>{words.percent(share)}</b></div>'
        told += meter(share, f"{words.percent(share)} of the coins are {said}")
    highs, lows = words.number(day["new_highs_365d"]), words.number(day["new_lows_365d"])
    told += f'<div class="pair"><span>New 365-day highs, lows</span><b>{highs}, {lows}</b></div>'
    return f'<div class="card"><h3>Breadth</h3>{told}</div>'


def _mood(market: Sequence[Row]) -> str:
    value = market[-1]["fear_greed"]
    name = words.mood(value)
    figure = gauge(value, f"Fear and greed: {words.number(value)} of 100, {name}")
    verdict = f'<div class="verdict">{figure}<b>{words.number(value)}</b>{escape(name)}</div>'
    parts = "".join(_part(part, market[-1][f"fear_greed_{part}"]) for part in PARTS)
    note = "The mean of the parts that are known, each 0 (fear) to 100 (greed) against its own past year."
    return (
        f'<div class="card"><h3>Fear and greed</h3><div class="mood">{verdict}<div><div class="parts">{parts}</div>'
        f'<p class="fine" style="margin-top:10px">{note}</p></div></div></div>'
    )


def _part(name: str, value: float | None) -> str:
    bar = meter(None if value is None else value / 100, f"{name}: {words.number(value)} of 100")
    return f"<span>{escape(name)}</span>{bar}<span>{words.number(value)}</span>"


# Movers ------------------------------------------------------------------------------------------------------------


def movers(rows: Rows) -> str:
    """Who rose and who fell most on the newest day."""
    known = [coin for coin in rows.coins if coin["return_24h"] is not None and coin["day"] == rows.newest]
    if not known:
        return section("Movers", "", empty("No coin has a return for the newest day."))
    ranked = sorted(known, key=lambda coin: float(coin["return_24h"]), reverse=True)
    best = [coin for coin in ranked if coin["return_24h"] > 0][:MOST]
    worst = [coin for coin in reversed(ranked) if coin["return_24h"] < 0][:MOST]
    cards = _moved("Rose most", best, rows) + _moved("Fell most", worst, rows)
    return section("Movers", "By the return of the newest finished day.", f'<div class="two">{cards}</div>')


def _moved(title: str, coins: Sequence[Row], rows: Rows) -> str:
    head = '<tr><th class="l">coin</th><th>24 h</th><th>7 days</th><th class="far">price</th><th>90 days</th></tr>'
    lines = "".join(
        f'<tr><td class="l name">{named(coin)}{near(coin["close_usd"])}</td>'
        f"<td><b>{coloured(coin['return_24h'])}</b></td>"
        f'<td>{coloured(coin["return_7d"])}</td><td class="far">{words.price(coin["close_usd"])}</td>'
        f"<td>{course(rows, coin)}</td></tr>"
        for coin in coins
    )
    body = f"<table><thead>{head}</thead><tbody>{lines}</tbody></table>" if coins else empty("None.")
    return f'<div class="card"><h3>{escape(title)}</h3>{body}</div>'


def named(coin: Row) -> str:
    """A coin by its name and symbol, as the service gave them; they are not to be trusted."""
    name, symbol = coin["name"] or coin["coin_id"], coin["symbol"]
    return escape(plain_name(name)) + (f' <span class="sym">{escape(symbol)}</span>' if symbol else "")


def near(price: float | None) -> str:
    """A coin's price below its name, where a narrow screen has no column for it."""
    return f'<span class="near">{words.price(price)}</span>'


def plain_name(name: str) -> str:
    """A simulated coin's name without the word that the banner has said already."""
    return name.removeprefix("Simulated ") or name


def course(rows: Rows, coin: Row) -> str:
    """A coin's closes of the last days, coloured by where they went."""
    values = rows.closes.get(coin["coin_id"], [])
    known = [value for value in values if value is not None]
    drawn = sparkline(values, f"{coin['name'] or coin['coin_id']}: closes of {SPARK_DAYS} days")
    rise = known[-1] - known[0] if known else 0
    return drawn.replace('class="spark"', f'class="spark {tone(rise)}"', 1)
