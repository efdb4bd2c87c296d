"""Every coin in a line, and how fresh and whole what we know of them is."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from coinlake.report import words
from coinlake.report.market import coloured, course, empty, named, near, section
from coinlake.report.rows import Row, Rows

MOST = 250
NAMED_AT_MOST = 12
_HEAD = (
    '<tr><th class="l far">rank</th><th class="l">coin</th><th class="far">price</th><th>24 h</th><th>7 days</th>'
    '<th class="far">30 days</th><th class="far">90 days</th><th class="far">365 days</th><th class="far">cap</th>'
    "<th>90 days</th></tr>"
)


def coins(rows: Rows) -> str:
    """Every coin: price, returns, cap, and the course of its closes."""
    if not rows.coins:
        return section("Coins", "", empty("gold.market_summary has no rows yet."))
    shown = rows.coins[:MOST]
    note = "Returns end with a coin's last finished day; a dash means that the day they start from is not known."
    if len(rows.coins) > MOST:
        note += f" The {MOST} largest of {len(rows.coins):,} coins."
    lines = "".join(_line(rows, coin) for coin in shown)
    return section(
        "Coins", note, f'<div class="card"><table><thead>{_HEAD}</thead><tbody>{lines}</tbody></table></div>'
    )


def _line(rows: Rows, coin: Row) -> str:
    late = "" if coin["day"] == rows.newest else f' <span class="sym">last seen {words.day(coin["day"])}</span>'
    returns = "".join(
        f"<td{'' if horizon in ('24h', '7d') else ' class=far'}>{coloured(coin[f'return_{horizon}'])}</td>"
        for horizon in ("24h", "7d", "30d", "90d", "365d")
    )
    return (
        f'<tr><td class="l far none">{words.number(coin["rank"])}</td>'
        f'<td class="l name">{named(coin)}{late}{near(coin["price_usd"])}</td>'
        f'<td class="far">{words.price(coin["price_usd"])}</td>{returns}'
        f'<td class="far">{words.money(coin["market_cap_usd"])}</td><td>{course(rows, coin)}</td></tr>'
    )


# Health ------------------------------------------------------------------------------------------------------------


def health(rows: Rows) -> str:
    """How fresh the data is, what is missing, and what `gold.health` says where it is there."""
    return section("Health of the data", "", _freshness(rows) + _table(rows.health))


def _freshness(rows: Rows) -> str:
    fresh = rows.freshness
    if not fresh:
        return empty("gold.daily has no rows yet.")
    lines = (
        ("Newest finished day", words.day(rows.newest)),
        ("Newest price", words.moment(fresh["priced_at"])),
        ("Coins that reach it", f"{fresh['coins_on_newest']:,} of {fresh['coins']:,}"),
        ("Coins that end before", _some(fresh["behind"] or ())),
        ("Closes of it not final yet", f"{fresh['not_final']:,}"),
        ("Days missing inside histories", words.number(fresh["days_missing"])),
        ("Days flagged as odd, last 30 days", f"{fresh['flagged']:,}"),
        ("First day known", words.day(fresh["first_day"])),
        ("Sources", ", ".join(fresh["sources"] or ())),
    )
    told = "".join(
        f'<tr><td class="l">{escape(name)}</td><td class="l wrap">{escape(value)}</td></tr>' for name, value in lines
    )
    return f'<div class="card facts"><table><tbody>{told}</tbody></table></div>'


def _some(names: Sequence[str]) -> str:
    if not names:
        return "none"
    more = f" and {len(names) - NAMED_AT_MOST:,} more" if len(names) > NAMED_AT_MOST else ""
    return ", ".join(names[:NAMED_AT_MOST]) + more


def _table(found: Sequence[Row]) -> str:
    """What `gold.health` says of the newest day, a line a table: those on hold, those that serve, and silver's."""
    if not found:
        return ""
    lines = "".join(map(_of_table, sorted(found, key=lambda row: (row["verdict"] or "~", str(row["table_name"])))))
    head = (
        '<th class="l">table</th><th class="l">verdict</th><th class="l">why</th><th class="far">rows</th>'
        '<th class="far">coins</th><th class="far">refused</th>'
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"
    return f'<div class="card" style="margin-top:12px"><h3>Each table, on its newest day</h3>{table}</div>'


def _of_table(row: Row) -> str:
    verdict = row["verdict"]
    tone = {"serve": "up", "hold": "down"}.get(str(verdict), "flat")
    coins = words.number(row["coins"])
    if row["coins_expected"]:
        coins = f"{coins} of {words.number(max(row['coins'] or 0, row['coins_expected']))}"
    return (
        f'<tr><td class="l name">{escape(str(row["table_name"]))}</td>'
        f'<td class="l"><b class="{tone}">{escape(verdict or words.MISSING)}</b></td>'
        f'<td class="l wrap">{escape(row["reason"] or "")}</td><td class="far">{words.number(row["rows"])}</td>'
        f'<td class="far">{coins}</td><td class="far">{words.number(row["rejects"])}</td></tr>'
    )
