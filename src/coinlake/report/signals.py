"""The newest day's signals by rule, with their odds, how often the price rose, and what a backtest made of the rule.

A signal whose rule has shown no edge is grey and gives no order: it tells what happened, not what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import groupby

from coinlake.gold.backtests import WORSE
from coinlake.gold.rules import rules
from coinlake.gold.trading import MINIMUM_TRADES
from coinlake.report import words
from coinlake.report.chances import AHEAD_DAYS, Odds, Rose
from coinlake.report.market import empty, plain_name, section
from coinlake.report.rows import ALL_COINS, Row, Rows

ENOUGH = 30
"""Events from which it is told how often the price rose."""


def signals(rows: Rows) -> str:
    """A card for each rule that fired on the newest day, those with evidence first."""
    if not rows.signals:
        return section("Signals", "", empty(f"No rule fired on {words.day(rows.newest)}."))
    fired = [(rule, list(events)) for rule, events in groupby(rows.signals, key=lambda each: str(each["rule"]))]
    fired.sort(key=lambda each: (not has_edge(rows, each[0]), -len(each[1]), each[0]))
    note = (
        f"What fired at the close of {words.day(rows.newest)}, and could be traded a day later. Odds: of the trades of "
        "the rule and direction closed before that day (▼ earns where the coin falls), how many won, and what the "
        f"middle one earned, after costs. Rose in {AHEAD_DAYS} days: how often the price was higher {AHEAD_DAYS} days "
        "after such a trade could begin, beside all days (the base rate). Verdicts: of the backtest over all coins, "
        "after costs, against holding; an interval is of that one alone, a verdict is corrected for all that were "
        "tried. Grey means no evidence of an edge."
    )
    return section("Signals", note, f'<div class="rules">{"".join(_card(rows, *each) for each in fired)}</div>')


def has_edge(rows: Rows, rule: str, coin_id: str = ALL_COINS) -> bool:
    """Whether the backtest found that the rule beat holding beyond what luck explains."""
    return bool(rows.verdicts.get((rule, coin_id), {}).get("has_edge"))


def _card(rows: Rows, rule: str, events: Sequence[Row]) -> str:
    edge = has_edge(rows, rule)
    known = rules().get(rule)
    title = known.title if known else rule.replace("_", " ")
    tag = _tag(rows.verdicts.get((rule, ALL_COINS)))
    directions = sorted({str(event["direction"]) for event in events}, reverse=True)
    told = "".join(
        f'<p class="fine">Odds {"▲" if direction == "up" else "▼"} {_odds(rows.odds.get((rule, direction)))}. '
        f"Rose in {AHEAD_DAYS} days: {_rose(rows.rose.get((rule, direction)))}.</p>"
        for direction in directions
    )
    names = {coin["coin_id"]: plain_name(str(coin["name"] or coin["coin_id"])) for coin in rows.coins}
    lines = "".join(_event(rows, event, names.get(event["coin_id"], str(event["coin_id"]))) for event in events)
    return (
        f'<div class="card rule {"edge" if edge else "quiet"}"><h3><span>{escape(title)}</span>'
        f'<span class="tag">{tag}</span></h3>{told}{_verdict(rows, rule)}<ul>{lines}</ul></div>'
    )


def _tag(verdict: Row | None) -> str:
    """What the backtest says of a rule, in three words; what is worse beyond luck is no lack of evidence."""
    if verdict and verdict["has_edge"]:
        return "evidence of an edge"
    return "worse than holding" if verdict and verdict["verdict"].startswith(WORSE) else "no evidence"


def _odds(odds: Odds | None) -> str:
    if odds is None or not odds.trades:
        return "no closed trade yet"
    if odds.trades < MINIMUM_TRADES:
        return f"too few to say ({words.count(odds.trades, 'closed trade')})"
    return f"of {odds.trades:,} closed trades, {_share(odds.won)} won, median {words.gain(odds.median)}"


def _rose(rose: Rose | None) -> str:
    if rose is None:
        return "no earlier event to count"
    if rose.events < ENOUGH:
        return f"too few to say ({words.count(rose.events, 'earlier event')})"
    return f"{_share(rose.share)} of {rose.events:,} events, base rate {_share(rose.base)}"


def _share(fraction: float | None) -> str:
    return words.MISSING if fraction is None else f"{100 * fraction:.0f} %"


def _verdict(rows: Rows, rule: str) -> str:
    verdict = rows.verdicts.get((rule, ALL_COINS))
    if verdict is None:
        return '<p class="fine">Backtest: none yet</p>'
    biased = " Coins that died are not among them." if verdict["survivorship_biased"] else ""
    return f'<p class="fine">Backtest: {escape(verdict["verdict"])}.{biased}</p>'


def _event(rows: Rows, event: Row, name: str) -> str:
    rule, coin_id = event["rule"], event["coin_id"]
    alone = has_edge(rows, rule, coin_id)
    proven = alone or has_edge(rows, rule)
    up = event["direction"] == "up"
    colour = ("up" if up else "down") if proven else "none"
    more = (
        f' <span class="what">On this coin: {escape(rows.verdicts[rule, coin_id]["verdict"])}.</span>' if alone else ""
    )
    return (
        f'<li><span class="{colour}">{"▲" if up else "▼"}</span><span><b>{escape(name)}</b> · '
        f'<span class="what">{escape(words.event(event["sentence"], proven))}.</span>{more}</span></li>'
    )
