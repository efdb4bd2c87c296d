"""What pages are built of: a figure in its card, numbers in a strip, a table to take along, what every page says."""

from __future__ import annotations

import csv
import io
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from coinlake.dashboard import formats, queries
from coinlake.dashboard.figures import CONFIG
from coinlake.dashboard.gold import Gold
from coinlake.dashboard.palette import DARK, LIGHT, Palette
from coinlake.gold.trading import MINIMUM_TRADES

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

ADVICE = "None of this is investment advice. Prices can be wrong, late or missing, and conclusions from them too."


@dataclass(frozen=True)
class Page:
    """What a page is given: gold at one moment, and the colours of the reader's theme."""

    gold: Gold
    colours: Palette
    pages: Mapping[str, Any]

    def ask(self, question: Callable[..., Any], *arguments: Any) -> Any:
        """The answer to one of `queries`, worked out once a version."""
        return self.gold.remember(question, *arguments)

    @property
    def last_day(self) -> date | None:
        """The newest finished day."""
        day: date | None = self.ask(queries.last_day)
        return day

    @property
    def source(self) -> str:
        """Whose data it is, as it has to be named."""
        named = {"coingecko": "simulated" if self.ask(queries.is_simulated) else "CoinGecko"}
        return ", ".join(named.get(each, each) for each in self.ask(queries.sources)) or "no source"

    def name(self, coin_id: str) -> str:
        """A coin's name."""
        names: dict[str, str] = self.ask(names_by_id)
        return names.get(coin_id, coin_id)

    def symbol(self, coin_id: str) -> str:
        """A coin's ticker."""
        symbols: dict[str, str] = self.ask(symbols_by_id)
        return symbols.get(coin_id, coin_id)


def names_by_id(gold: Gold) -> dict[str, str]:
    """Every coin's name."""
    coins = gold.remember(queries.coins)
    return dict(zip(coins["coin_id"], coins["name"], strict=True))


def symbols_by_id(gold: Gold) -> dict[str, str]:
    """Every coin's ticker; of those that share one, the smaller ones have their id."""
    coins = gold.remember(queries.coins)
    again = coins["symbol"].duplicated()
    shown = np.where(again, coins["coin_id"], coins["symbol"])
    return dict(zip(coins["coin_id"], shown.tolist(), strict=True))


# What every page says ------------------------------------------------------------------------------------------------


def styles() -> None:
    """The style sheet: colours by theme, and the few things that Streamlit's own theme does not reach."""
    pairs = {
        name: (getattr(LIGHT, name), getattr(DARK, name))
        for name in ("page", "card", "text", "muted", "line", "up", "down", "flat", "accent", "no_evidence")
    }
    colours = "".join(f"--{name.replace('_', '-')}:light-dark({a},{b});" for name, (a, b) in pairs.items())
    st.html(f"<style>:root{{{colours}}}{_SHEET}</style>")


_SHEET = """
.stMainBlockContainer{padding:4.4rem 2rem 2rem;max-width:1500px}
.stApp h1{padding:0;letter-spacing:-.02em}
.stApp h2{padding:0}
.stApp [data-testid=stCaptionContainer]{color:var(--muted);opacity:1}
.stApp [data-testid=stCaptionContainer] p{color:var(--muted)}
.stApp [data-testid=stVerticalBlockBorderWrapper],.stApp [class*=st-key-card]{background:var(--card)}
.kpis{display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:.75rem}
.kpi{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.7rem .9rem .55rem;min-width:0}
.kpi .k{color:var(--muted);font-size:.8rem;white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
.kpi .v{color:var(--text);font-size:1.45rem;font-weight:650;letter-spacing:-.02em;line-height:1.3;
 font-variant-numeric:tabular-nums;white-space:nowrap}
.kpi .d{font-size:.8rem;color:var(--muted);white-space:nowrap}
.kpi .spark{width:100%;height:30px;margin-top:.25rem;mask-size:100% 100%;-webkit-mask-size:100% 100%}
.up{color:var(--up)!important}.down{color:var(--down)!important}.none{color:var(--no-evidence)!important}
.stMain h1{margin-bottom:.2rem}
.banner{background:light-dark(#fff3d6,#3a2c07);color:light-dark(#5c4300,#ffdf8f);border-radius:.6rem;
 padding:.45rem .9rem;font-size:.9rem;border:1px solid light-dark(#f0d28a,#6b5313)}
.foot{color:var(--muted);font-size:.85rem;border-top:1px solid var(--line);padding-top:.8rem;margin-top:1rem}
.foot a{color:var(--accent)}
.live{color:var(--muted);font-size:.85rem;text-align:right;white-space:nowrap}
.live i{display:inline-block;width:.55rem;height:.55rem;border-radius:50%;background:var(--up);margin-right:.4rem}
.live.old i{background:var(--down)}
.evs{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,30rem),1fr));gap:0 1rem}
.ev{border-left:3px solid var(--muted);padding:.35rem .8rem;margin:0 0 .5rem;background:var(--card);
 border-radius:0 .5rem .5rem 0;font-size:.93rem;color:var(--text)}
.ev.u{border-color:var(--up)}.ev.n{border-color:var(--up)}.ev.d{border-color:var(--down)}
.ev.g{border-color:var(--no-evidence);color:var(--no-evidence)}
.ev small{color:var(--muted);display:block}
.ev.g small,.ev.g b{color:var(--no-evidence)}
.facts{width:100%;border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums;color:var(--text)}
.facts th{color:var(--muted);font-weight:500;text-align:right;padding:.3rem .4rem;border-bottom:1px solid var(--line)}
.facts td{text-align:right;padding:.34rem .4rem;border-bottom:1px solid var(--line);white-space:nowrap}
.facts th:first-child,.facts td:first-child{text-align:left}
.facts tr:last-child td{border-bottom:0}
.facts td.wrap{white-space:normal;overflow-wrap:anywhere;text-align:left}
.scroll{overflow-x:auto}
.stApp [data-tag],.stApp [data-tag] *{background:var(--flat)!important;color:var(--text)!important}
.bar{height:.45rem;border-radius:.3rem;background:var(--flat);position:relative;min-width:80px}
.bar i{position:absolute;top:-.15rem;width:.22rem;height:.75rem;border-radius:.2rem;background:var(--accent)}
.tag{display:inline-block;border:1px solid currentColor;border-radius:1rem;padding:.05rem .7rem;font-size:.85rem;
 font-weight:600}
@media(max-width:640px){.stMainBlockContainer{padding:4.2rem .8rem 1.5rem}.kpis{grid-template-columns:1fr 1fr;gap:.5rem}
 .kpi .v{font-size:1.2rem}.live{text-align:left}}
"""


def banner(gold: Gold) -> None:
    """Above everything: that a simulated market is one, and what is on hold."""
    if gold.remember(queries.is_simulated):
        st.html(
            '<div class="banner" role="note"><b>Simulated market.</b> Every coin, price and signal here is made up by '
            "coinlake's own simulator. Nothing of it is real.</div>"
        )
    if held := gold.remember(queries.held):
        st.html(f'<div class="banner" role="note"><b>On hold, not to be relied on.</b> {escape(held)}</div>')


def footer(gold: Gold) -> None:
    """Below everything: whose data it is, and that it is no advice."""
    whose = gold.remember(queries.sources)
    named = (
        'Data powered by <a href="https://www.coingecko.com/en/api" target="_blank" rel="noopener">CoinGecko</a>. '
        if "coingecko" in whose
        else ""
    )
    if gold.remember(queries.is_simulated):
        named = (
            "Simulated data in the form of CoinGecko's. On a real market this line says: Data powered by CoinGecko. "
        )
    others = [each for each in whose if each != "coingecko"]
    own = f"Own histories: {escape(', '.join(others))}. " if others else ""
    st.html(f'<div class="foot">{named}{own}{ADVICE}</div>')


# Parts ---------------------------------------------------------------------------------------------------------------


def card(key: str) -> AbstractContextManager[Any]:
    """A framed part of a page."""
    container: AbstractContextManager[Any] = st.container(border=True, key=f"card-{key}")
    return container


def title(text: str) -> None:
    """The heading of a card."""
    st.header(text, anchor=False)


def figure(page: Page, drawn: go.Figure, key: str, unit: str, says: str, until: date | None = None) -> None:
    """A figure with its unit, source and time below it; `says` is what it shows, for those who do not see it."""
    st.plotly_chart(drawn, key=key, theme=None, config=CONFIG, alt=says)
    st.caption(f"{unit} · {page.source} · through {formats.day(until or page.last_day)}")


def table(rows: pd.DataFrame, key: str, **more: Any) -> Any:
    """A table that can be sorted, searched, and taken along as CSV: the rows shown, or the `whole` that they are of."""
    whole = more.pop("whole", rows)
    shown = st.dataframe(more.pop("styled", rows), key=key, hide_index=True, **more)
    download(key, lambda: str(whole.to_csv(index=False)))
    return shown


def _csv(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([head, *rows])
    return out.getvalue()


def download(key: str, made: Callable[[], str]) -> None:
    """What takes a table along, with its numbers in full."""
    st.download_button(
        "Download CSV",
        data=lambda: made().encode(),
        file_name=f"{key}.csv",
        mime="text/csv",
        key=f"{key}-csv",
        icon=":material/download:",
        on_click="ignore",
        type="tertiary",
    )


def missing(table_name: str, what: str) -> None:
    """Say that a table is not there yet, and what to run."""
    st.info(
        f"{what} will be here once `gold.{table_name}` is there. Run `coinlake analyze`: it makes what is missing from "
        "silver, and this page shows it within seconds.",
        icon=":material/hourglass_empty:",
    )


@dataclass(frozen=True)
class Kpi:
    """A number in the strip: its name, the number, what changed, which way, and the line behind it."""

    name: str
    value: str
    change: str = ""
    way: float | None = None
    line: Sequence[float] = ()
    help: str = ""
    grey: bool = False


def strip(numbers: Iterable[Kpi]) -> None:
    """Numbers side by side, each with its line."""
    st.html(f'<div class="kpis">{"".join(map(_kpi, numbers))}</div>')


def _kpi(kpi: Kpi) -> str:
    way = "" if not kpi.way or kpi.way != kpi.way else ("up" if kpi.way > 0 else "down")
    arrow = {"up": "▲ ", "down": "▼ "}.get(way, "")
    line = spark(kpi.line, way or "muted", f"{kpi.name}, last 30 days") if len(kpi.line) else ""
    grey = " none" if kpi.grey else ""
    return (
        f'<div class="kpi" title="{escape(kpi.help)}"><div class="k">{escape(kpi.name)}</div>'
        f'<div class="v{grey}">{escape(kpi.value)}</div>'
        f'<div class="d {way}">{arrow}{escape(kpi.change) or "&nbsp;"}</div>{line}</div>'
    )


def spark(values: Sequence[float], way: str, says: str, width: int = 200, height: int = 30) -> str:
    """A small line; what is not known is a gap. It is a mask over a colour, for Streamlit lets no SVG through."""
    numbers = np.asarray(values, dtype=float)
    if not np.isfinite(numbers).any():
        return ""
    low, high = np.nanmin(numbers), np.nanmax(numbers)
    x = np.linspace(1, width - 1, len(numbers))
    y = height - 3 - (numbers - low) / ((high - low) or 1) * (height - 6)
    drawn = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" preserveAspectRatio="none">'
    drawn += f'<path d="{_path(x, y)}" fill="none" stroke="#000" stroke-width="2" vector-effect="non-scaling-stroke"/>'
    mask = f"url('data:image/svg+xml;base64,{b64encode((drawn + '</svg>').encode()).decode()}')"
    return (
        f'<div class="spark" role="img" aria-label="{escape(says)}" style="background:var(--{way});'
        f'-webkit-mask-image:{mask};mask-image:{mask}"></div>'
    )


def _path(x: Iterable[float], y: Iterable[float]) -> str:
    path, pen = "", "M"
    for across, down in zip(x, y, strict=True):
        if down != down:
            pen = "M"
            continue
        path += f"{pen}{across:.1f} {down:.1f}"
        pen = "L"
    return path


def facts(head: Sequence[str], rows: Sequence[Sequence[str]], key: str, whole: Iterable[Sequence[Any]] = ()) -> None:
    """A small table of texts; a cell that begins with < is HTML of our own. It can be taken along as CSV, with the
    values of `whole` in place of the texts.
    """
    top = "".join(f"<th scope='col'>{escape(each)}</th>" for each in head)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    st.html(f'<div class="scroll" tabindex="0"><table class="facts"><thead><tr>{top}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>")  # fmt: skip
    download(key, lambda: _csv(head, whole or rows))


def _cell(text: str) -> str:
    wide = ' class="wrap"' if len(text) > 40 and not text.startswith("<") else ""
    return f"<td{wide}>{text if text.startswith('<') else escape(text)}</td>"


def coloured(fraction: float | None, digits: int = 1) -> str:
    """A change in its colour, as HTML."""
    way = "" if fraction is None or fraction != fraction or not fraction else ("up" if fraction > 0 else "down")
    return f'<span class="{way}">{formats.change(fraction, digits)}</span>'


def plain(text: str) -> str:
    """A text that Markdown shows as it is: a symbol may hold what Streamlit takes for a formula or for emphasis."""
    return "".join(f"\\{each}" if each in "\\`*_{}[]()#+-.!$~|<>:" else each for each in text)


def markdown_change(fraction: float | None) -> str:
    """A change in its colour, as Streamlit's Markdown."""
    shown = formats.change(fraction)
    if fraction is None or fraction != fraction or not fraction:
        return shown
    return f":{'green' if fraction > 0 else 'orange'}[{shown}]"


def event(sentence: str | None, direction: str, below: str, grey: bool, who: str = "") -> str:
    """One signal as HTML: its sentence, what stands below it, grey where nothing speaks for it."""
    look = "g" if grey else ("d" if direction == "down" else "u")
    arrow = {"up": "▲", "down": "▼"}.get(direction, "")
    name = f"<b>{escape(who)}</b> " if who else ""
    said = escape(sentence or "no sentence is kept of it")
    return f'<div class="ev {look}">{arrow} {name}{said}<small>{escape(below)}</small></div>'


def events(shown: Iterable[str]) -> None:
    """Signals side by side, as many as the width holds."""
    st.html(f'<div class="evs">{"".join(shown)}</div>')


def odds_said(trades: int, won: float, median: float) -> str:
    """The odds of a signal in words."""
    if not trades:
        return "no earlier trades of this rule"
    if trades < MINIMUM_TRADES:
        return f"too few earlier trades to say ({trades})"
    return f"{formats.share(won, 0)} of {trades:,} earlier trades won, median {formats.change(median)}"


def coin_choice(page: Page, label: str, key: str, default: str) -> str:
    """One coin, by its name; kept in the URL by its id."""
    ids = page.ask(coin_ids)
    asked = _asked(key)
    if asked is not None:
        st.session_state[key] = asked if asked in ids else default
    chosen = st.selectbox(
        label, ids, index=ids.index(default), format_func=lambda each: f"{page.name(each)} · {page.symbol(each)}",
        key=key, filter_mode="contains",
    )  # fmt: skip
    _note(key, chosen or default, default)
    return str(chosen or default)


def coins_choice(page: Page, label: str, key: str, default: Sequence[str], **more: Any) -> list[str]:
    """Some coins, by their names; kept in the URL by their ids, joined by commas."""
    ids = page.ask(coin_ids)
    asked = _asked(key)
    if asked is not None:
        known = [each for each in dict.fromkeys(asked.split(",")) if each in ids]
        st.session_state[key] = known[: more.get("max_selections")] if asked else list(default)
        if len(known) > len(st.session_state[key]) and asked:
            st.caption(f"The link names {len(known)} coins; the first {more['max_selections']} of them are shown.")
    chosen = st.multiselect(
        label, ids, default=None if key in st.session_state else list(default), key=key, format_func=page.name, **more
    )
    _note(key, ",".join(chosen) or NONE, ",".join(default) or NONE)
    return list(chosen)


NONE = "none"
"""What stands in the URL where nothing was chosen."""


def coin_ids(gold: Gold) -> list[str]:
    """Every coin's id, the largest first."""
    return [str(each) for each in gold.remember(queries.coins)["coin_id"]]


def _asked(key: str) -> str | None:
    """What the URL says of a choice where that is not what this page wrote there itself; else None."""
    said = st.query_params.get(key, "")
    wrote = st.session_state.get(f"{key} in the URL")
    return said if said != wrote and (said or wrote) else None


def _note(key: str, chosen: str, default: str) -> None:
    """Write a choice into the URL; what is the default is left out."""
    said = "" if chosen == default else chosen
    st.session_state[f"{key} in the URL"] = said
    if said and st.query_params.get(key) != said:
        st.query_params[key] = said
    elif not said and key in st.query_params:
        del st.query_params[key]


def choice(label: str, options: Sequence[str], key: str, default: str, **more: Any) -> str:
    """One of a few, side by side; kept in the URL under its key."""
    chosen = st.segmented_control(label, options, default=default, key=key, bind="query-params", required=True, **more)
    return str(chosen or default)
