"""From frames to figures: arrays in, a Plotly figure out. Nothing in here knows Streamlit, a lake, or the time.

A value that is not known is a gap in a line, never a zero. Colours come from the palette alone.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from coinlake.dashboard import formats
from coinlake.dashboard.palette import Palette

if TYPE_CHECKING:
    import pandas as pd

PANES = {"RSI": 0.26, "MACD": 0.26, "Drawdown": 0.26, "Volatility": 0.26}
"""Panes that may lie below a price, and how high each is beside the price."""
OVERLAYS: Mapping[str, tuple[str, ...]] = {
    "SMA 20": ("sma_20d",),
    "SMA 50": ("sma_50d",),
    "SMA 200": ("sma_200d",),
    "EMA 12": ("ema_12d",),
    "EMA 26": ("ema_26d",),
    "EMA 50": ("ema_50d",),
    "Bollinger 20": ("bollinger_upper_20d", "bollinger_lower_20d", "bollinger_middle_20d"),
}
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
CONFIG = {
    "displaylogo": False,
    "responsive": True,
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
}
"""How a figure behaves in the browser; its camera button saves a picture."""
TILES = 60
"""Coins of the treemap: below, a tile is too small to be read."""


def array(column: Any) -> NDArray[Any]:
    """A column as an array that Plotly sends as it is: no list of Python objects on the way."""
    values = column.to_numpy()
    return values.astype("datetime64[ms]") if values.dtype.kind == "M" else np.asarray(values)


def _laid_out(figure: go.Figure, colours: Palette, height: int, **more: Any) -> go.Figure:
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "Source Sans, sans-serif", "size": 13, "color": colours.text},
        hoverlabel={
            "bgcolor": colours.card,
            "bordercolor": colours.line,
            "font": {"color": colours.text, "family": "Source Sans, sans-serif"},
            "align": "left",
        },
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0, "font": {"color": colours.muted}},
        colorway=list(colours.series),
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": colours.muted, "activecolor": colours.accent},
        hovermode="x unified",
        dragmode=False,
        **more,
    )
    axis = {
        "gridcolor": colours.line,
        "linecolor": colours.line,
        "zerolinecolor": colours.line,
        "tickfont": {"color": colours.muted},
        "automargin": True,
    }
    figure.update_xaxes(**axis, showgrid=False)
    figure.update_yaxes(**axis)
    return figure


def empty(colours: Palette, sentence: str, height: int = 240) -> go.Figure:
    """A figure with nothing in it that says why."""
    figure = go.Figure()
    figure.add_annotation(text=sentence, showarrow=False, x=0.5, y=0.5, xref="paper", yref="paper")
    _laid_out(figure, colours, height)
    figure.update_xaxes(visible=False)
    return figure.update_yaxes(visible=False)


# Market ------------------------------------------------------------------------------------------------------------


def treemap(coins: pd.DataFrame, span: str, colours: Palette, bound: float, height: int = 430) -> go.Figure:
    """The largest coins by market capitalisation, coloured by their change over a span, from -bound to +bound."""
    shown = coins[coins["market_cap_usd"] > 0].head(TILES)
    if shown.empty:
        return empty(colours, "No market capitalisation is known.", height)
    changes = array(shown[f"return_{span}"]).astype(float)
    texts = np.array([formats.change(value) for value in changes])
    figure = go.Figure(
        go.Treemap(
            ids=array(shown["coin_id"]),
            labels=array(shown["symbol"]),
            parents=np.full(len(shown), ""),
            values=array(shown["market_cap_usd"]),
            text=texts,
            customdata=np.stack(
                [
                    array(shown["name"]),
                    [formats.price(value) for value in shown["price_usd"]],
                    [formats.large(value) for value in shown["market_cap_usd"]],
                ],
                axis=-1,
            ),
            texttemplate="<b>%{label}</b><br>%{text}",
            hovertemplate="<b>%{customdata[0]}</b><br>%{customdata[1]}<br>%{text} over "
            + span
            + "<br>market cap %{customdata[2]}<extra></extra>",
            textposition="middle center",
            textfont={"color": [_text_on(value, bound, colours) for value in changes], "size": 15},
            marker={
                "colors": [_shade(value, bound, colours) for value in changes],
                "line": {"width": 2, "color": colours.page},
                "cornerradius": 5,
            },
            tiling={"pad": 2, "packing": "squarify"},
            marker_pad={"t": 0, "l": 0, "r": 0, "b": 0},
            pathbar={"visible": False},
            root={"color": "rgba(0,0,0,0)"},
            sort=True,
        )
    )
    _laid_out(figure, colours, height)
    return figure.update_layout(margin={"l": 0, "r": 0, "t": 0, "b": 0}, hovermode="closest")


def _shade(value: float, bound: float, colours: Palette) -> str:
    """The colour of a change: the palette's flat at nothing, its up or down at the bound and beyond."""
    if value != value:
        return colours.flat
    weight = min(abs(value) / bound, 1.0) ** 0.7
    full = colours.up if value > 0 else colours.down
    return _mixed(colours.flat, full, weight)


def _text_on(value: float, bound: float, colours: Palette) -> str:
    """White or near-black, whichever is read more easily on the change's colour."""
    behind = _luminance(_shade(value, bound, colours))
    on_white, on_black = 1.05 / (behind + 0.05), (behind + 0.05) / 0.055
    return "#ffffff" if on_white > on_black else "#10131f"


def _channels(colour: str) -> list[int]:
    return [int(colour[place : place + 2], 16) for place in (1, 3, 5)]


def _mixed(one: str, other: str, weight: float) -> str:
    mixed = [round(a + (b - a) * weight) for a, b in zip(_channels(one), _channels(other), strict=True)]
    return "#" + "".join(f"{channel:02x}" for channel in mixed)


def _luminance(colour: str) -> float:
    shares = [channel / 255 for channel in _channels(colour)]
    red, green, blue = (s / 12.92 if s <= 0.03928 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """How well one colour is read on another, from 1 to 21, as WCAG counts it."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def faint(colour: str, opacity: float) -> str:
    """A colour that lets through what lies behind it."""
    red, green, blue = _channels(colour)
    return f"rgba({red},{green},{blue},{opacity:g})"


def over_time(
    days: Any,
    lines: Mapping[str, Any],
    colours: Palette,
    form: str = ".0%",
    height: int = 260,
    between: tuple[float, float] | None = None,
    shades: Mapping[str, str] | None = None,
) -> go.Figure:
    """Lines over days; `form` is d3's for the axis and the hover."""
    figure = go.Figure()
    for number, (name, values) in enumerate(lines.items()):
        usual = colours.bitcoin if name == "Bitcoin" else colours.series[number % 8]
        colour = (shades or {}).get(name, usual)
        figure.add_scatter(
            x=days,
            y=values,
            name=name,
            mode="lines",
            line={"width": 2, "color": colour},
            hovertemplate=f"%{{y:{form}}}",
            connectgaps=False,
        )
    _laid_out(figure, colours, height, showlegend=len(lines) > 1)
    figure.update_yaxes(tickformat=form.replace(".1%", ".0%"), nticks=6, range=between)
    return figure


# Coin --------------------------------------------------------------------------------------------------------------


def price(
    bars: pd.DataFrame,
    colours: Palette,
    candles: bool,
    log: bool,
    overlays: Sequence[str] = (),
    panes: Sequence[str] = (),
    signals: pd.DataFrame | None = None,
    proven: Collection[str] = (),
) -> go.Figure:
    """A coin's price with overlays, volume below it, then the panes asked for; all share their days."""
    figure = go.Figure()
    if bars.empty:
        return empty(colours, "No day of this coin is known.")
    days = array(bars["day"])
    below = [name for name in PANES if name in panes]
    heights = [0.14, *(PANES[name] for name in below)]
    _price_itself(figure, bars, days, colours, candles)
    for name in overlays:
        _overlay(figure, bars, days, name, colours)
    if signals is not None and len(signals):
        _markers(figure, bars, signals, colours, proven)
    _volume(figure, bars, days, colours)
    for place, name in enumerate(below, 3):
        _PANES[name](figure, bars, days, colours, f"y{place}")
    _laid_out(figure, colours, 430 + 120 * len(below), barmode="overlay", bargap=0)
    _stack(figure, heights, below, colours)
    figure.update_layout(yaxis={"type": "log" if log else "linear", "side": "right", "nticks": 8})
    if log:
        low, high = np.nanmin(array(bars["low_usd"])), np.nanmax(array(bars["high_usd"]))
        figure.update_yaxes(dtick=_log_step(low, high), tickformat="$,.4~g", selector={"anchor": "x"})
    figure.update_layout(yaxis_tickformat=_tick_form(array(bars["close_usd"])))
    edge = np.timedelta64(max(1, len(bars) // 100), "D")
    return figure.update_xaxes(range=[days[0] - edge, days[-1] + edge])


def _log_step(low: float, high: float) -> Any:
    return "D1" if high / low < 30 else 1


def _tick_form(values: NDArray[Any]) -> str:
    """How the axis of a price is written: no more digits than tell its ticks apart."""
    top = float(np.nanmax(values)) if len(values) else 1.0
    if top >= 100:
        return "$,.0f"
    if top >= 1:
        return "$,.2f"
    return f"$.{2 - math.floor(math.log10(top)) if top > 0 else 2}f"


def _stack(figure: go.Figure, heights: Sequence[float], below: Sequence[str], colours: Palette) -> None:
    """Lay the price on top and the panes below it, each with a small gap."""
    gap = 0.075
    whole = 1 + sum(heights) + gap * len(heights)
    top = 1.0
    domains = []
    for height in (1.0, *heights):
        domains.append((max(top - height / whole, 0), top))
        top -= (height + gap) / whole
    titles = ("", "Volume", *below)
    figure.update_xaxes(rangeslider={"visible": False}, anchor=f"y{len(domains)}" if len(domains) > 1 else "y")
    for number, (domain, title) in enumerate(zip(domains, titles, strict=True), 1):
        axis: dict[str, Any] = {
            "domain": domain,
            "side": "right",
            "nticks": 4 if number > 1 else 8,
            "gridcolor": colours.line,
        }
        axis |= {"tickfont": {"color": colours.muted}, "zerolinecolor": colours.line, "automargin": True}
        figure.update_layout({f"yaxis{number if number > 1 else ''}": axis})
        if title:
            figure.add_annotation(
                text=title, x=0, y=domain[1], xref="paper", yref="paper", xanchor="left", yanchor="bottom",
                showarrow=False, font={"size": 11, "color": colours.muted},
            )  # fmt: skip
    figure.update_layout({"yaxis2": {"tickprefix": "$", "exponentformat": "B", "nticks": 3, "showgrid": False}})
    for number, name in enumerate(below, 3):
        forms = {"RSI": "", "MACD": "~g", "Drawdown": ".0%", "Volatility": ".0%"}
        bounds: dict[str, Any] = {"range": (0, 100), "tickvals": (30, 50, 70)} if name == "RSI" else {}
        figure.update_layout({f"yaxis{number}": {"tickformat": forms[name], **bounds}})


def _price_itself(figure: go.Figure, bars: pd.DataFrame, days: Any, colours: Palette, candles: bool) -> None:
    if candles and bars["open_usd"].notna().any():
        figure.add_candlestick(
            x=days,
            open=array(bars["open_usd"].fillna(bars["close_usd"])),
            high=array(bars["high_usd"]),
            low=array(bars["low_usd"]),
            close=array(bars["close_usd"]),
            name="Price",
            increasing={"line": {"color": colours.up, "width": 1}, "fillcolor": colours.up},
            decreasing={"line": {"color": colours.down, "width": 1}, "fillcolor": colours.down},
            showlegend=False,
        )
        return
    figure.add_scatter(
        x=days,
        y=array(bars["close_usd"]),
        name="Close",
        mode="lines",
        line={"width": 2, "color": colours.accent},
        hovertemplate="%{y:$,.6~g}",
        showlegend=False,
    )


def _overlay(figure: go.Figure, bars: pd.DataFrame, days: Any, name: str, colours: Palette) -> None:
    colour = colours.series[1 + list(OVERLAYS).index(name) % 7]
    columns = OVERLAYS[name]
    for number, column in enumerate(columns):
        figure.add_scatter(
            x=days,
            y=array(bars[column]),
            name=name,
            legendgroup=name,
            showlegend=number == 0,
            mode="lines",
            line={"width": 1.4, "color": colour, "dash": "dot" if number == 2 else "solid"},
            fill="tonexty" if number == 1 else None,
            fillcolor=faint(colour, 0.08) if number == 1 else None,
            hovertemplate="%{y:$,.6~g}",
        )


def _markers(
    figure: go.Figure, bars: pd.DataFrame, signals: pd.DataFrame, colours: Palette, proven: Collection[str]
) -> None:
    """A triangle a signal, under the low or over the high of its day, with its sentence on hover. Those of rules
    without evidence are grey and small.
    """
    lows = dict(zip(bars["day"], bars["low_usd"], strict=True))
    highs = dict(zip(bars["day"], bars["high_usd"], strict=True))
    shown = signals[signals["day"].isin(bars["day"])]
    for way, symbol, colour, edge, factor in (
        ("up", "triangle-up", colours.up, lows, 0.975),
        ("down", "triangle-down", colours.down, highs, 1.025),
    ):
        mine = shown[shown["direction"] == way]
        figure.add_scatter(
            x=array(mine["day"]),
            y=np.array([edge[day] * factor for day in mine["day"]], dtype=float),
            mode="markers",
            name=f"Signal {way}",
            marker={
                "symbol": symbol,
                "size": np.where(mine["rule"].isin(proven), 11, 8),
                "color": np.where(mine["rule"].isin(proven), colour, colours.no_evidence),
                "line": {"width": 1, "color": colours.card},
            },
            text=array(mine["sentence"]),
            hovertemplate="%{text}<extra></extra>",
        )


def _volume(figure: go.Figure, bars: pd.DataFrame, days: Any, colours: Palette) -> None:
    rose = array(bars["close_usd"]) >= array(bars["open_usd"].fillna(bars["close_usd"]))
    figure.add_bar(
        x=days,
        y=array(bars["volume_24h_usd"]),
        yaxis="y2",
        name="Volume",
        marker={"color": np.where(rose, colours.up, colours.down), "opacity": 0.55, "line": {"width": 0}},
        text=[formats.large(value) for value in bars["volume_24h_usd"]],
        textposition="none",
        hovertemplate="%{text}",
        showlegend=False,
    )


def _rsi(figure: go.Figure, bars: pd.DataFrame, days: Any, colours: Palette, axis: str) -> None:
    _line(figure, days, bars["rsi_14d"], "RSI 14", colours.series[4], axis, ".1f")
    for level in (30, 70):
        figure.add_shape(
            type="line", x0=0, x1=1, xref="paper", y0=level, y1=level, yref=axis,
            line={"color": colours.muted, "width": 1, "dash": "dot"},
        )  # fmt: skip


def _macd(figure: go.Figure, bars: pd.DataFrame, days: Any, colours: Palette, axis: str) -> None:
    heights = array(bars["macd_histogram"])
    figure.add_bar(
        x=days, y=heights, yaxis=axis, name="Histogram", showlegend=False, hovertemplate="%{y:.4~g}",
        marker={"color": np.where(heights >= 0, colours.up, colours.down), "opacity": 0.5, "line": {"width": 0}},
    )  # fmt: skip
    _line(figure, days, bars["macd"], "MACD", colours.accent, axis, ".4~g")
    _line(figure, days, bars["macd_signal"], "MACD signal", colours.bitcoin, axis, ".4~g")


def _drawdown(figure: go.Figure, bars: pd.DataFrame, days: Any, colours: Palette, axis: str) -> None:
    _line(figure, days, bars["drawdown"], "Drawdown", colours.down, axis, ".1%", fill=True)


def _volatility(figure: go.Figure, bars: pd.DataFrame, days: Any, colours: Palette, axis: str) -> None:
    _line(figure, days, bars["volatility_30d"], "Volatility 30 d", colours.accent, axis, ".0%")
    _line(figure, days, bars["volatility_90d"], "Volatility 90 d", colours.bitcoin, axis, ".0%")


_PANES = {"RSI": _rsi, "MACD": _macd, "Drawdown": _drawdown, "Volatility": _volatility}


def _line(
    figure: go.Figure, days: Any, values: Any, name: str, colour: str, axis: str = "y", form: str = "~g",
    fill: bool = False,
) -> None:  # fmt: skip
    figure.add_scatter(
        x=days,
        y=array(values),
        yaxis=axis,
        name=name,
        mode="lines",
        line={"width": 1.5, "color": colour},
        fill="tozeroy" if fill else None,
        fillcolor=faint(colour, 0.15) if fill else None,
        hovertemplate=f"%{{y:{form}}}",
        showlegend=False,
    )


def months(returns: pd.DataFrame, colours: Palette) -> go.Figure:
    """A heatmap of monthly returns, years down; a month that is not known is left open, one that goes on is starred."""
    if returns.empty or returns["return"].isna().all():
        return empty(colours, "No month is known from its beginning to its end.")
    first, last = int(returns["year"].min()), int(returns["year"].max())
    grid = np.full((last - first + 1, 12), np.nan)
    texts = np.full(grid.shape, "", dtype=object)
    for year, month, value, open_ in returns[["year", "month", "return", "goes_on"]].itertuples(index=False):
        grid[int(year) - first, int(month) - 1] = value
        texts[int(year) - first, int(month) - 1] = (
            f"{100 * value:+.0f}{'*' if open_ else ''}".replace("-", "\N{MINUS SIGN}") if value == value else ""
        )
    bound = float(np.clip(np.nanmax(np.abs(grid)), 0.05, 0.3))
    return _heat(grid, texts, list(MONTHS), [str(year) for year in range(first, last + 1)], colours, bound)


def _heat(grid: Any, texts: Any, columns: list[str], rows: list[str], colours: Palette, bound: float) -> go.Figure:
    ends = [_readable(colours, end) for end in (colours.down, colours.up)]
    figure = go.Figure(
        go.Heatmap(
            z=grid,
            x=columns,
            y=rows,
            text=texts,
            texttemplate="%{text}",
            textfont={"size": 12, "color": colours.text},
            zmin=-bound,
            zmax=bound,
            colorscale=[(0, ends[0]), (0.5, colours.flat), (1, ends[1])],
            showscale=False,
            xgap=2,
            ygap=2,
            hoverongaps=False,
            hovertemplate="%{y} %{x}: %{z:.1%}<extra></extra>",
        )
    )
    _laid_out(figure, colours, 60 + 34 * len(rows))
    figure.update_layout(hovermode="closest")
    figure.update_xaxes(side="top", showgrid=False, type="category", showline=False, ticks="")
    return figure.update_yaxes(autorange="reversed", showgrid=False, type="category", showline=False, ticks="")


def _readable(colours: Palette, end: str) -> str:
    """As much of a colour as lets the theme's text be read on it."""
    shades = (_mixed(colours.flat, end, weight / 20) for weight in range(20, -1, -1))
    return next((shade for shade in shades if contrast(colours.text, shade) >= 4.5), colours.flat)


# Compare -----------------------------------------------------------------------------------------------------------


def rebased(closes: pd.DataFrame, names: Mapping[str, str], colours: Palette, log: bool = False) -> go.Figure:
    """Prices that begin together at 100, on the first day that all of them know."""
    known = closes.dropna()
    if known.empty:
        return empty(colours, "There is no day that all of these coins know.")
    figure = go.Figure()
    for number, coin in enumerate(closes.columns):
        values = array(closes[coin].loc[known.index[0] :]).astype(float)
        _line(
            figure, array(closes.loc[known.index[0] :].index.to_series()), _Bare(100 * values / values[0]),
            names.get(coin, coin), colours.series[number % 8], form=".1f",
        )  # fmt: skip
    figure.update_traces(showlegend=True, line_width=2)
    _laid_out(figure, colours, 380)
    figure.add_hline(y=100, line={"color": colours.muted, "width": 1, "dash": "dot"})
    return figure.update_yaxes(type="log" if log else "linear", nticks=8, side="right")


class _Bare:
    """An array that answers as a column does."""

    def __init__(self, values: NDArray[Any]) -> None:
        self._values = values

    def to_numpy(self) -> NDArray[Any]:
        return self._values


def _steps(closes: pd.DataFrame) -> pd.DataFrame:
    """Daily log returns; only from one calendar day to the next."""
    whole = closes.astype(float).asfreq("D")
    return whole.apply(np.log).diff().reindex(closes.index)


def rolling(closes: pd.DataFrame, against: str, days: int, names: Mapping[str, str], colours: Palette) -> go.Figure:
    """The correlation of daily returns with one coin's over the last so many days, day by day."""
    steps = _steps(closes)
    others = [coin for coin in closes.columns if coin != against]
    if against not in closes or not others:
        return empty(colours, "Choose at least two coins.")
    shown = {coin: steps[coin].rolling(days).corr(steps[against]).iloc[days:] for coin in others}
    lines = {names.get(coin, coin): array(values) for coin, values in shown.items()}
    shades = {names.get(coin, coin): colours.series[n % 8] for n, coin in enumerate(closes.columns)}
    return over_time(array(closes.index.to_series())[days:], lines, colours, ".2f", 300, (-1.05, 1.05), shades)


def correlation_grid(closes: pd.DataFrame, names: Mapping[str, str], colours: Palette) -> go.Figure:
    """How the daily returns of some coins go together: every two of them."""
    steps = _steps(closes)
    grid = steps.corr(min_periods=20).to_numpy(copy=True)
    return correlation_heat(grid, [names.get(coin, coin) for coin in closes.columns], colours)


def correlation_heat(grid: NDArray[Any], titles: list[str], colours: Palette) -> go.Figure:
    """A square of correlations, from -1 to 1."""
    texts = np.array([[f"{value:.2f}" if value == value else "" for value in row] for row in grid], dtype=object)
    figure = _heat(grid, texts, titles, titles, colours, 1.0)
    return figure.update_traces(hovertemplate="%{y} with %{x}: %{z:.2f}<extra></extra>").update_layout(
        height=80 + 40 * len(titles)
    )


def rotation(
    closes: pd.DataFrame, against: str, names: Mapping[str, str], colours: Palette, trail: int = 6
) -> go.Figure:
    """Relative rotation: strength against one coin along x, its momentum along y, a trail of weeks behind each.

    Strength is the ratio of prices over its own mean of 70 days, momentum that strength over its mean of 21 days, both
    times 100: over 100 is stronger, or getting stronger, than the other.
    """
    others = [coin for coin in closes.columns if coin != against]
    if against not in closes or not others or len(closes) < 100:
        return empty(colours, "This needs at least one more coin and a hundred days.", 380)
    figure = go.Figure()
    reach = 1.0
    for number, coin in ((n, each) for n, each in enumerate(closes.columns) if each != against):
        ratio = (closes[coin].astype(float) / closes[against].astype(float)).rolling(7).mean()
        strength = 100 * ratio / ratio.rolling(70).mean()
        momentum = 100 * strength / strength.rolling(21).mean()
        x, y = array(strength.iloc[::-7])[:trail][::-1], array(momentum.iloc[::-7])[:trail][::-1]
        reach = max(reach, float(np.nanmax(np.abs(np.r_[x - 100, y - 100]), initial=1.0)))
        figure.add_scatter(
            x=x,
            y=y,
            mode="lines+markers+text",
            name=names.get(coin, coin),
            line={"color": colours.series[number % 8], "width": 1.6},
            marker={"size": np.r_[np.full(len(x) - 1, 4), 11], "color": colours.series[number % 8]},
            text=[""] * (len(x) - 1) + [names.get(coin, coin)],
            textposition="top center",
            hovertemplate="strength %{x:.1f}, momentum %{y:.1f}",
        )
    _laid_out(figure, colours, 430, showlegend=False)
    span = (100 - reach * 1.15, 100 + reach * 1.15)
    corners = {"leading": (1, 1), "weakening": (1, 0), "lagging": (0, 0), "improving": (0, 1)}
    for name, (right, top) in corners.items():
        figure.add_annotation(
            text=name, x=right, y=top, xref="paper", yref="paper", showarrow=False,
            xanchor="right" if right else "left", yanchor="top" if top else "bottom",
            font={"color": colours.muted, "size": 12},
        )  # fmt: skip
    figure.add_hline(y=100, line={"color": colours.muted, "width": 1})
    figure.add_vline(x=100, line={"color": colours.muted, "width": 1})
    figure.update_xaxes(range=span, title={"text": "strength", "font": {"size": 12}})
    figure.update_yaxes(range=span, title={"text": "momentum", "font": {"size": 12}})
    return figure.update_layout(hovermode="closest")


# Strategy lab ------------------------------------------------------------------------------------------------------


def equity(days: Any, curves: Mapping[str, Any], colours: Palette, log: bool) -> go.Figure:
    """What one dollar became, by the rule, by holding, and in bitcoin."""
    styles = {"Rule": (colours.accent, 2.6, "solid"), "Holding": (colours.muted, 1.6, "solid")}
    figure = go.Figure()
    for name, values in curves.items():
        colour, width, dash = styles.get(name, (colours.bitcoin, 1.6, "dot"))
        _line(figure, days, _Bare(np.asarray(values)), name, colour, form="$.3f")
        figure.data[-1].update(line={"width": width, "dash": dash}, showlegend=True)
    _laid_out(figure, colours, 380)
    return figure.update_yaxes(type="log" if log else "linear", side="right", tickformat="$.2~f", nticks=8)


def drawdowns(days: Any, curves: Mapping[str, Any], colours: Palette) -> go.Figure:
    """How far each curve lies below its own peak."""
    styles = {"Rule": colours.accent, "Holding": colours.muted}
    figure = go.Figure()
    for name, values in curves.items():
        worth = np.asarray(values, dtype=float)
        below = worth / np.fmax.accumulate(worth) - 1
        _line(figure, days, _Bare(below), name, styles.get(name, colours.bitcoin), form=".1%", fill=name == "Rule")
    _laid_out(figure, colours, 220)
    return figure.update_yaxes(tickformat=".0%", side="right", nticks=5)


def interval(rows: pd.DataFrame, colours: Palette) -> go.Figure:
    """Each rule's excess over holding with the interval it lies in; grey where that is no evidence of an edge."""
    if rows.empty:
        return empty(colours, "No backtest is there yet.")
    edge = rows["has_edge"].fillna(False).astype(bool).to_numpy()
    figure = go.Figure(
        go.Scatter(
            x=array(rows["excess_return"]),
            y=array(rows["rule"].str.replace("_", " ")),
            mode="markers",
            marker={"size": 10, "color": np.where(edge, colours.up, colours.no_evidence)},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": array(rows["excess_high"] - rows["excess_return"]),
                "arrayminus": array(rows["excess_return"] - rows["excess_low"]),
                "color": colours.muted,
                "thickness": 1.4,
            },
            hovertemplate="%{y}: %{x:.1%} a year<extra></extra>",
        )
    )
    _laid_out(figure, colours, 90 + 32 * len(rows), showlegend=False)
    figure.add_vline(x=0, line={"color": colours.muted, "width": 1})
    figure.update_xaxes(tickformat=".0%", showgrid=True)
    return figure.update_layout(hovermode="closest")


# Health ------------------------------------------------------------------------------------------------------------


def bars(days: Any, counts: Mapping[str, Any], colours: Palette, height: int = 220) -> go.Figure:
    """Counts day by day, stacked."""
    figure = go.Figure()
    for number, (name, values) in enumerate(counts.items()):
        figure.add_bar(
            x=days,
            y=np.asarray(values),
            name=name,
            marker={"color": colours.series[number % 8], "line": {"width": 0}},
            hovertemplate="%{y:,.0f}",
        )
    return _laid_out(figure, colours, height, barmode="stack", bargap=0.15, showlegend=len(counts) > 1)
