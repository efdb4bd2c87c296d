"""What a coin's days say: averages, momentum, bands, risk, and how it moves with bitcoin. One row for each day of
`gold.daily` that has a price, computed from that day and those before it, within one source.

Windows count days, not rows. A window needs nine tenths of its days, the day itself among them, and a history that
reaches back to its first day; the 365-day high and low need 329 days, wherever they lie. A return needs both of its
days. The recursive values (EMA, MACD, RSI, ATR, ADX) go on over a gap of up to three days as if it were not there, and
begin anew after a longer one; `…_converged` tells when the weight of the value they began with is under 0.001.

`is_break` marks a price in a new unit: twenty times the one before, or five times while the market cap did not even
double, or whatever it is after the coin was away for more than 1,000 days. Nothing is compared across it, for that rise
is nobody's gain. Any other fall is believed. Volatility is of log returns, with the sample's standard deviation and 365
days a year; Sharpe and Sortino are of daily returns, without a risk-free rate; Bollinger's bands and the z-score take
the population's deviation. ATR and ADX rest on each day's high and low: `range_is_sampled` says that some of these come
from sampled prices, so the true ranges were wider.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
from arro3.core import Table as Rows
from numpy.typing import NDArray

from coinlake.engine import Engine, Frame, recursive
from coinlake.engine.grid import Grid, blocks
from coinlake.engine.series import arrays, rows_of, series_of, together, typed
from coinlake.engine.windows import Window, comoments, count, highest, lowest, moments
from coinlake.gold.analyze import ITSELF
from coinlake.gold.scope import EVERY, Scope
from coinlake.ids import BITCOINS, among
from coinlake.table import Boolean, Column, Date, Float64, Int64, String, Table

SMA, RETURNS, BETAS, VOLATILITIES = (7, 20, 50, 200), (1, 7, 30, 90, 365), (30, 90), (30, 90)
YEAR_DAYS = 365


def _usd(prose: str) -> Column:
    return Column(Float64, prose, "USD", between=(0, None))


def _converged(what: str) -> Column:
    return Column(Boolean, f"whether {what} has forgotten what it began with", required=True)


TABLE = Table(
    "gold.indicators",
    key=("coin_id", "day"),
    columns={
        "coin_id": Column(String, "CoinGecko id"),
        "day": Column(Date, "UTC day"),
        "source": Column(String, "whose observations the row and its windows rest on", required=True),
        "close_usd": Column(Float64, "close of the day", "USD", required=True, between=(0, None)),
        "is_break": Column(Boolean, "whether the price is in a new unit from here on", required=True),
        "observations_in_run": Column(
            Int64,
            "days the recursive values rest on: those since the last long gap or break",
            "days",
            True,
            between=(1, None),
        ),
        **{f"sma_{n}d": _usd(f"mean of the closes of {n} days") for n in SMA},
        **{f"ema_{n}d": _usd(f"exponential average, 2/({n}+1) for the newest close") for n in recursive.EMA},
        **{f"ema_{n}d_converged": _converged(f"`ema_{n}d`") for n in recursive.EMA},
        "macd": Column(Float64, "EMA 12 minus EMA 26, begun on the same day", "USD"),
        "macd_signal": Column(Float64, "EMA 9 of `macd`", "USD"),
        "macd_histogram": Column(Float64, "`macd` minus `macd_signal`", "USD"),
        "macd_converged": _converged("`macd_signal`"),
        "rsi_14d": Column(Float64, "Wilder's relative strength: 50 for a flat price", "0 to 100", between=(0, 100)),
        "rsi_14d_converged": _converged("`rsi_14d`"),
        "bollinger_upper_20d": Column(Float64, "`sma_20d` plus two deviations", "USD"),
        "bollinger_middle_20d": _usd("`sma_20d`"),
        "bollinger_lower_20d": Column(Float64, "`sma_20d` minus two deviations", "USD"),
        "percent_b_20d": Column(Float64, "where the close lies: 0 on the lower band, 1 on the upper; null if flat"),
        "bandwidth_20d": Column(Float64, "distance of the bands over the middle", between=(0, None)),
        **{
            f"return_{n}d": Column(Float64, f"close over that of {n} days before, minus one", between=(-1, None))
            for n in RETURNS
        },
        "log_return_1d": Column(Float64, "logarithm of close over that of the day before"),
        "rate_of_change_14d": Column(Float64, "close over that of 14 days before, minus one", between=(-1, None)),
        **{
            f"volatility_{n}d": Column(Float64, f"yearly deviation of {n} daily log returns", between=(0, None))
            for n in VOLATILITIES
        },
        "peak_usd": Column(Float64, "highest close so far", "USD", required=True, between=(0, None)),
        "peak_day": Column(Date, "the last day that closed there", required=True),
        "drawdown": Column(Float64, "close over the peak, minus one", required=True, between=(-1, 0)),
        "days_since_peak": Column(Int64, "days since the peak", "days", required=True, between=(0, None)),
        "z_score_20d": Column(Float64, "deviations of the close from `sma_20d`; null if flat"),
        "high_365d_usd": _usd("highest close of 365 days"),
        "low_365d_usd": _usd("lowest close of 365 days"),
        "distance_high_365d": Column(Float64, "close over that high, minus one", between=(-1, 0)),
        "distance_low_365d": Column(Float64, "close over that low, minus one", between=(0, None)),
        **{f"beta_btc_{n}d": Column(Float64, f"slope of {n} daily log returns on bitcoin's") for n in BETAS},
        **{
            f"correlation_btc_{n}d": Column(
                Float64, f"correlation of {n} daily log returns with bitcoin's", between=(-1, 1)
            )
            for n in BETAS
        },
        "survivorship_biased": Column(
            Boolean,
            f"whether bitcoin's return is unknown on some of the {max(BETAS)} days: where it is followed from then on, "
            "beta and correlation are others",
            required=True,
        ),
        "sharpe_90d": Column(Float64, "mean over deviation of 90 daily returns, a year"),
        "sortino_90d": Column(Float64, "mean over downside deviation of 90 daily returns, a year; null if none fell"),
        "volume_z_score_30d": Column(Float64, "deviations of the 24-hour volume from its mean of 30 days"),
        "atr_14d": _usd("Wilder's average true range"),
        "atr_14d_converged": _converged("`atr_14d`"),
        "adx_14d": Column(Float64, "Wilder's strength of trend", "0 to 100", between=(0, 100)),
        "adx_14d_converged": _converged("`adx_14d`"),
        "range_is_sampled": Column(
            Boolean, "whether some of the last 94 highs and lows come from sampled prices", required=True
        ),
        "macd_ema_12d": _usd("the fast average of `macd`, which begins with the slow one"),
        "rsi_gain_14d": _usd("Wilder's average of the rises that `rsi_14d` is made of"),
        "rsi_loss_14d": _usd("Wilder's average of its falls"),
        "plus_dm_14d": _usd("Wilder's sum of the upward movements that `adx_14d` is made of"),
        "minus_dm_14d": _usd("Wilder's sum of its downward ones"),
        **{
            f"{what}_still_for": Column(
                Int64, f"days of the run since the {of} last moved; null if it never did", "days", between=(0, None)
            )
            for what, of in (("close", "close"), ("range", "high, low or close"))
        },
    },
    grain="one day of one coin that has a price",
    dated_by="day",
    reads=("gold.daily",),
    sorted_by=("coin_id", "day"),
)

LONG_GAP_DAYS = 4
"""Days from one observation to the next up to which recursive values go on; after more they begin anew."""
SAMPLED_FOR = 94
"""Observations after which a range's weight in Wilder's average is under 0.001."""
SERIES = ("coin_id", "source")
LOOKBACK_DAYS = (SAMPLED_FOR + 1) * LONG_GAP_DAYS
"""Days before the first that are read: a year, and so many observations of a coin that closes every fourth day."""
CARRIES = (*SERIES, "day", "peak_usd", "peak_day", "observations_in_run", *recursive.STATE)
"""What a row needs of all days before these: the highest close, and what the recursive values remember."""
CARRIES_WITHIN = LONG_GAP_DAYS
"""They are those of the series' last row, and as old as it can be for anything to go on from there. A series that has
none is read from its beginning.
"""
BLOCKS = "coins"
TAKES_SPAN = True
"""Of all that is read only the days from the first that is wanted are laid down."""
READS_ONCE = True
"""They are arrays from then on."""
COMPANIONS = BITCOINS
"""Coins that every other coin's rows rest on."""

AWAY_DAYS = 1000
"""A coin that was away for longer has come back in another unit, as far as anyone can tell."""
LOST_AFTER_DAYS = 37
"""Days from which on a gap is too long for any window: the longest has no use for such a history."""
NEW_UNIT, PERHAPS_NEW_UNIT, CAP_FOLLOWED = 20.0, 5.0, 2.0
EXTREMES_NEED = 329
BEARABLE_USD = (1e-290, 1e290)
"""Prices beyond these leave a double no digits to average them in, or no room to add them up: as if there were none."""
NOISE = 1e-12
"""A deviation under this share of the mean is rounding, not movement."""

_READ = ("close_usd", "high_usd", "low_usd", "market_cap_usd", "volume_24h_usd", "range_is_sampled")

COLUMNS = {"gold.daily": (*SERIES, "day", *_READ)}
"""What is read of it."""

Floats = NDArray[np.float64]
Laid = dict[str, NDArray[Any]]


def touched(scope: Scope, source: str) -> Scope:
    """The days that rest on changed days of `gold.daily`: all that follow; of the others, those within a window of
    bitcoin's returns.
    """
    bitcoins = [scope.days[coin] for coin in (*BITCOINS, EVERY) if coin in scope.days]
    everyones = Scope.of((EVERY, first, last) for first, last in bitcoins)
    return scope.lasting(None) | everyones.lasting(max(BETAS) + 1)


def build(
    read: Mapping[str, Frame], sources: Sequence[str], engine: Engine, span: tuple[date, date] | None = None
) -> Rows:
    """The indicators of every day in `gold.daily` that has a price to reckon with, or of those from the first of a span
    on.
    """
    since = span[0] if span else None
    columns = series_of(engine, read["gold.daily"].select(*COLUMNS["gold.daily"]), SERIES)
    bearable = np.logical_and.reduce([_bearable(columns[name]) for name in ("close_usd", "high_usd", "low_usd")])
    columns = {name: values[bearable] for name, values in columns.items()}
    carried = _carried(arrays(engine, read[ITSELF].select(*CARRIES), (*SERIES, "day")))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        bitcoin = _bitcoins_returns(columns)
        made = [
            rows_of(_of_block(columns, rows, grid, bitcoin, carried, since), TABLE.whole)
            for rows, grid in blocks(columns, SERIES)
        ]
    return together(made or [rows_of(_nothing())])


def _bearable(prices: Floats) -> NDArray[np.bool_]:
    return (prices >= BEARABLE_USD[0]) & (prices <= BEARABLE_USD[1])


def _nothing() -> Laid:
    return {name: typed(column.type, []) for name, column in TABLE.columns.items()}


def _bitcoins_returns(columns: Laid) -> dict[int, float]:
    """Bitcoin's daily log return by day since 1970, each within one source."""
    his = among(columns["coin_id"], BITCOINS)
    mine = {name: values[his] for name, values in columns.items()}
    found: dict[int, float] = {}
    for rows, grid in blocks(mine, SERIES):
        history = _history({name: mine[name][rows] for name in _READ}, grid)
        returns = grid.rows(history.log_return)
        known = ~np.isnan(returns)
        found |= dict(zip((grid.origin + grid.place[known]).tolist(), returns[known].tolist(), strict=True))
    return found


@dataclass(frozen=True)
class _Carried:
    """What the last row of a series knows, on its day: the highest close so far and when it was last reached, how many
    observations its run has, and what the recursive values remember. Days since 1970.
    """

    day: int
    peak: float
    peak_day: int
    observations: int
    state: Mapping[str, float]


def _carried(columns: Laid) -> dict[tuple[str, str], _Carried]:
    """By coin and source, the last of the table's earlier rows."""
    days, peak_days = (columns[name].astype("datetime64[D]").astype(np.int64).tolist() for name in ("day", "peak_day"))
    peaks, counts = columns["peak_usd"].tolist(), columns["observations_in_run"].tolist()
    states = zip(*(columns[name].tolist() for name in recursive.STATE), strict=True)
    rows = (
        _Carried(day, peak, peak_day, observations, dict(zip(recursive.STATE, state, strict=True)))
        for day, peak, peak_day, observations, state in zip(days, peaks, peak_days, counts, states, strict=True)
    )
    return dict(zip(zip(columns["coin_id"], columns["source"], strict=True), rows, strict=True))


@dataclass(frozen=True)
class _History:
    """Some series, laid out from the day `origin` (since 1970) on; with where each day's unbroken history begins, and
    the place of the first day that is wanted. What is made of them, values but for `shape`, is of the days from there
    on.
    """

    origin: int
    wanted: int
    close: Floats
    high: Floats
    low: Floats
    volume: Floats
    sampled: Floats
    is_break: NDArray[np.bool_]
    run: NDArray[np.int64]
    begun: NDArray[np.int64]
    unit: NDArray[np.int64]
    log_return: Floats

    @property
    def shape(self) -> tuple[int, int]:
        """[series, day]."""
        return len(self.close), self.days

    @property
    def days(self) -> int:
        """How many are laid out."""
        return int(self.close.shape[1])

    def window(self, days: int) -> Window:
        """The last so many days up to each."""
        return Window(days, self.origin, self.wanted)

    def recent(self, days: int) -> _History:
        """The last so many days up to each that is wanted."""
        if self.wanted < days:
            return self
        first = self.wanted - days + 1
        cut: dict[str, Any] = {name: getattr(self, name)[:, first:] for name in _LAID}
        places = {name: cut[name] - first for name in ("run", "begun")}
        return replace(self, origin=self.origin + first, wanted=self.wanted - first, **cut | places)

    def reaches(self, days: int) -> NDArray[np.bool_]:
        """Whether the history goes on without a break for so many days before each day."""
        reached = np.arange(self.wanted, self.days) - self.shown(self.begun) >= days
        return np.asarray(reached & ~np.isnan(self.shown(self.close)))

    def shown(self, values: NDArray[Any]) -> NDArray[Any]:
        """Of values of all days, those of the days that are wanted."""
        return values[..., self.wanted :]


_LAID = ("close", "high", "low", "volume", "sampled", "is_break", "run", "begun", "unit", "log_return")
"""What a history has of every day."""


def _history(columns: Laid, grid: Grid, wanted: int = 0) -> _History:
    """The series of a grid."""
    close, high, low, cap, volume, sampled = (grid.lay(columns[name]) for name in _READ)
    place = np.broadcast_to(np.arange(grid.days), grid.shape)
    known = ~np.isnan(close)
    newest = np.maximum.accumulate(np.where(known, place, -1), axis=1)
    before = np.concatenate([np.full((len(close), 1), -1), newest[:, :-1]], axis=1)
    rise, cap_rise = (_over(each, before) for each in (close, cap))
    gap = np.where(before < 0, grid.days + LOST_AFTER_DAYS, place - before)
    is_break = (rise >= NEW_UNIT) | ((rise >= PERHAPS_NEW_UNIT) & (cap_rise <= CAP_FOLLOWED))
    is_break = known & (is_break | ((before >= 0) & (gap > AWAY_DAYS)))
    history = _History(
        grid.origin, wanted, close, high, low, volume, sampled, is_break,
        run=_since(known & (is_break | (gap > LONG_GAP_DAYS))),
        begun=_since(known & (is_break | (gap > LOST_AFTER_DAYS))),
        unit=np.cumsum(is_break, axis=1),
        log_return=np.full(grid.shape, np.nan),
    )  # fmt: skip
    return replace(history, log_return=np.log1p(_return(history, 1)))


def _over(values: Floats, before: NDArray[np.int64]) -> Floats:
    """Each value over that of the observation before it."""
    earlier = np.where(before >= 0, np.take_along_axis(values, np.maximum(before, 0), 1), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(earlier > 0, values / earlier, np.nan)


def _since(begins: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The place of the last beginning up to each day."""
    found: NDArray[np.int64] = np.maximum.accumulate(np.where(begins, np.arange(begins.shape[1]), -1), axis=1)
    return found


def _return(history: _History, days: int) -> Floats:
    """Close over that of so many days before, minus one; unknown across a new unit."""
    found = np.full(history.shape, np.nan)
    if days < history.days:
        close, unit = history.close, history.unit
        ratio = close[:, days:] / close[:, :-days] - 1
        found[:, days:] = np.where(unit[:, days:] == unit[:, :-days], ratio, np.nan)
    return found


def _of_block(
    columns: Laid,
    rows: slice,
    grid: Grid,
    bitcoin: Mapping[int, float],
    carried: Mapping[tuple[str, str], _Carried],
    since: date | None,
) -> Laid:
    mine = {name: values[rows] for name, values in columns.items()}
    known = [carried.get((mine["coin_id"][start], mine["source"][start])) for start in grid.starts]
    first = grid.origin if since is None else int(np.datetime64(since, "D").astype(np.int64))
    wanted = min(max(first - grid.origin, 0), grid.days)
    history = _history({name: mine[name] for name in _READ}, grid, wanted)
    laid = {
        "is_break": history.shown(history.is_break),
        **_averages(history),
        **_returns(history),
        **_risks(history),
        **_with_bitcoin(history, bitcoin),
        **_extremes(history.recent(YEAR_DAYS)),
        **_peaks(history, known),
        **_recursives(history, known),
    }
    are_wanted = grid.place >= wanted
    made = {name: mine[name][are_wanted] for name in (*SERIES, "day", "close_usd")}
    made |= _of_rows(grid.since(wanted), laid)
    return {name: made[name] for name in TABLE.columns}


def _of_rows(grid: Grid, laid: Laid) -> Laid:
    """Values of the rows, in the types of the contract; what is not finite is not known."""
    made = {name: grid.rows(values) for name, values in laid.items()}
    made["peak_day"] = made["peak_day"].astype(np.int64).astype("datetime64[D]")
    return {name: _finite(values) if values.dtype.kind == "f" else values for name, values in made.items()}


def _finite(values: Floats) -> Floats:
    infinite = np.isinf(values)
    return np.where(infinite, np.nan, values) if infinite.any() else values


def _enough(known: Floats, days: int) -> NDArray[np.bool_]:
    """Nine tenths of a window's days."""
    return known >= days - days // 10


def _averages(history: _History) -> Laid:
    made: Laid = {}
    for days in SMA:
        its = history.recent(days)
        window = moments(its.close, its.window(days))
        known = _enough(window.known, days) & its.reaches(days - 1)
        made[f"sma_{days}d"] = np.where(known, window.mean, np.nan)
        if days == 20:
            made |= _bands(its.shown(its.close), made["sma_20d"], np.sqrt(window.squares / window.known))
    return {**made, "volume_z_score_30d": _volume_z_score(history.recent(30), 30)}


def _volume_z_score(history: _History, days: int) -> Floats:
    volume = moments(history.volume, history.window(days))
    deviation = _moving(np.sqrt(volume.squares / (volume.known - 1)), volume.mean)
    known = _enough(volume.known, days) & history.reaches(days - 1)
    return np.where(known, (history.shown(history.volume) - volume.mean) / deviation, np.nan)


def _moving(deviation: Floats, mean: Floats) -> Floats:
    """A deviation to divide by: unknown where nothing moved."""
    return np.where(deviation > np.abs(mean) * NOISE, deviation, np.nan)


def _bands(close: Floats, middle: Floats, deviation: Floats) -> Laid:
    moving = _moving(deviation, middle)
    z = (close - middle) / moving
    return {
        "bollinger_upper_20d": middle + 2 * deviation,
        "bollinger_middle_20d": middle,
        "bollinger_lower_20d": middle - 2 * deviation,
        "percent_b_20d": z / 4 + 0.5,
        "bandwidth_20d": np.where(np.isnan(middle), np.nan, 4 * deviation / middle),
        "z_score_20d": z,
    }


def _returns(history: _History) -> Laid:
    return {
        **{f"return_{days}d": history.shown(_return(history, days)) for days in RETURNS},
        "log_return_1d": history.shown(history.log_return),
        "rate_of_change_14d": history.shown(_return(history, 14)),
    }


def _risks(history: _History) -> Laid:
    made: Laid = {}
    for days in VOLATILITIES:
        its = history.recent(days)
        window = moments(its.log_return, its.window(days))
        known = _enough(window.known, days) & its.reaches(days)
        made[f"volatility_{days}d"] = np.where(known, np.sqrt(window.squares / (window.known - 1) * YEAR_DAYS), np.nan)
    its = history.recent(90)
    returns = np.expm1(its.log_return)
    window = moments(returns, its.window(90))
    downside = moments(np.minimum(returns, 0) ** 2, its.window(90)).mean
    known = _enough(window.known, 90) & its.reaches(90)
    for name, deviation in (("sharpe", np.sqrt(window.squares / (window.known - 1))), ("sortino", np.sqrt(downside))):
        made[f"{name}_90d"] = np.where(
            known & (deviation > NOISE), window.mean / np.maximum(deviation, NOISE) * np.sqrt(YEAR_DAYS), np.nan
        )
    return made


def _with_bitcoin(history: _History, bitcoin: Mapping[int, float]) -> Laid:
    made: Laid = {}
    for length in BETAS:
        its = history.recent(length)
        market = _laid_beside(its, bitcoin)
        pair = comoments(its.log_return, market, its.window(length))
        known = _enough(pair.known, length) & its.reaches(length)
        of_market = np.where(known & (pair.squares_y > length * NOISE**2), pair.squares_y, np.nan)
        of_coin = np.where(pair.squares_x > length * NOISE**2, pair.squares_x, np.nan)
        made[f"beta_btc_{length}d"] = pair.products / of_market
        made[f"correlation_btc_{length}d"] = np.clip(pair.products / np.sqrt(of_market * of_coin), -1.0, 1.0)
    its = history.recent(max(BETAS))
    lacks = count(_laid_beside(its, bitcoin)[:1], its.window(max(BETAS))) < max(BETAS)
    return {**made, "survivorship_biased": np.broadcast_to(lacks, its.shown(its.close).shape)}


def _laid_beside(history: _History, bitcoin: Mapping[int, float]) -> Floats:
    """Bitcoin's returns of the days of each series."""
    days = range(history.origin, history.origin + history.days)
    return np.broadcast_to([bitcoin.get(day, np.nan) for day in days], history.shape)


def _extremes(history: _History) -> Laid:
    window = history.window(YEAR_DAYS)
    known, high, low = (_by_unit(history, each, window) for each in (count, highest, lowest))
    close = history.shown(history.close)
    enough = (known >= EXTREMES_NEED) & ~np.isnan(close)
    high, low = np.where(enough, high, np.nan), np.where(enough, low, np.nan)
    return {
        "high_365d_usd": high,
        "low_365d_usd": low,
        "distance_high_365d": close / high - 1,
        "distance_low_365d": close / low - 1,
    }


def _by_unit(history: _History, of: Any, window: Window) -> Floats:
    """A window's result from the days in the same unit alone."""
    made: Floats = of(history.close, window)
    for unit in range(1, int(history.unit.max()) + 1):
        rows = np.flatnonzero(history.unit.max(axis=1) >= unit)
        mine = history.unit[rows] == unit
        its = of(np.where(mine, history.close[rows], np.nan), window)
        made[rows] = np.where(history.shown(mine), its, made[rows])
    return made


def _peaks(history: _History, before: Sequence[_Carried | None]) -> Laid:
    """The highest close so far in the same unit, and when it was last reached. Up to the day of the row that knew it
    before, these are not those of the table: such days are read, but not made again.
    """
    close, place = history.close, np.arange(history.days)
    peak, at = np.empty_like(close), np.empty(close.shape, dtype=np.int64)
    plain = np.flatnonzero(history.unit[:, -1] == 0)
    if len(plain):
        peak[plain], at[plain] = _plain_peaks(history, plain, [before[series] for series in plain.tolist()])
    for series, unit in _units(history):
        mine = history.unit[series] == unit
        earlier, earlier_at = _known_before(history, series, unit, before[series])
        known = np.where(np.isnan(close[series][mine]), -np.inf, close[series][mine])
        highest_so_far = np.maximum(np.maximum.accumulate(known), earlier)
        reached = np.where(known >= highest_so_far, place[mine] + history.origin, earlier_at)
        peak[series][mine] = highest_so_far
        at[series][mine] = np.maximum.accumulate(reached)
    found = {
        "peak_usd": peak,
        "peak_day": at,
        "drawdown": close / peak - 1,
        "days_since_peak": place + history.origin - at,
    }
    return {name: history.shown(values) for name, values in found.items()}


def _plain_peaks(
    history: _History, series: NDArray[np.int64], before: Sequence[_Carried | None]
) -> tuple[Floats, NDArray[np.int64]]:
    """The same of series that never had another unit, and when: days since 1970."""
    close = history.close[series]
    known = np.where(np.isnan(close), -np.inf, close)
    earlier = np.array([each.peak if each else -np.inf for each in before])[:, np.newaxis]
    earlier_at = np.array([each.peak_day if each else 0 for each in before], dtype=np.int64)[:, np.newaxis]
    peak = np.maximum(np.maximum.accumulate(known, axis=1), earlier)
    reached = np.where(known >= peak, np.arange(history.days) + history.origin, earlier_at)
    return peak, np.maximum.accumulate(reached, axis=1)


def _known_before(history: _History, series: int, unit: int, before: _Carried | None) -> tuple[float, int]:
    """The peak that was known before and its day, where it is in this unit."""
    if before is None or history.unit[series, before.day - history.origin] != unit:
        return -np.inf, 0
    return before.peak, before.peak_day


def _units(history: _History) -> Iterator[tuple[int, int]]:
    """Series that had several units, and each of these."""
    for series in np.flatnonzero(history.unit[:, -1]).tolist():
        yield from ((series, unit) for unit in range(int(history.unit[series, -1]) + 1))


def _recursives(history: _History, before: Sequence[_Carried | None]) -> Laid:
    """Each run by itself: the days known since the last long gap or new unit, as if they followed each other. By TA-Lib
    from where it begins, to the last bit; a run that began before what is read goes on after the carried row, from what
    that one remembers.
    """
    made: Laid = {name: np.full((len(before), history.days - history.wanted), np.nan) for name in recursive.VALUES}
    known = ~np.isnan(history.close)
    counted = np.cumsum(known, axis=1)
    before_run = _before_run(history, counted)
    observed: NDArray[np.int64] = counted - before_run  # as far as they are at hand
    lasts = [_goes_on_after(history, observed, series, carried) for series, carried in enumerate(before)]
    going = np.flatnonzero([last >= 0 for last in lasts])
    if len(going):
        carried = [each for series in going.tolist() if (each := before[series])]
        _go_on(history, known, going, np.array(lasts)[going], carried, made, observed)
    for series, last in enumerate(lasts):
        for run in _runs(history, known, series, last):
            close, high, low = (each[series, run] for each in (history.close, history.high, history.low))
            values = recursive.of_closes(close) | recursive.of_ranges(high, low, close)
            mine = run >= history.wanted
            for name in made:
                made[name][series, run[mine] - history.wanted] = values[name][mine]
    observed = history.shown(observed)
    converged = {f"{name}_converged": each for name, each in recursive.converged(observed).items()}
    sampled = {"range_is_sampled": _is_sampled(history, known, counted, before_run)}
    return {**made, **converged, "observations_in_run": observed, **sampled}


def _before_run(history: _History, counted: NDArray[np.int64]) -> NDArray[np.int64]:
    """By day, how many observations there had been when its run began."""
    begins = history.run
    earlier = np.take_along_axis(counted, np.maximum(begins - 1, 0), axis=1)
    return np.where(begins > 0, earlier, 0)


def _goes_on_after(history: _History, observed: NDArray[np.int64], series: int, carried: _Carried | None) -> int:
    """The place of the carried row, if its run began before what is read; else -1."""
    place = carried.day - history.origin if carried else -1
    if carried is None or not 0 <= place < history.days or np.isnan(history.close[series, place]):
        return -1
    return -1 if carried.observations == observed[series, place] else place


def _runs(history: _History, known: NDArray[np.bool_], series: int, last: int) -> Iterator[NDArray[np.int64]]:
    """Days of each run of a series that has some which are wanted, but of the one that goes on after the row at the
    place `last`, if there is such a row.
    """
    if last >= 0 and history.run[series, last] == history.run[series, -1]:
        return
    days = np.flatnonzero(known[series])
    begins = np.flatnonzero(np.diff(history.run[series][days], prepend=-1))
    for run in np.split(days, begins[1:]):
        if len(run) and run[-1] >= history.wanted and (last < 0 or run[0] > last):
            yield run


def _go_on(
    history: _History,
    known: NDArray[np.bool_],
    going: NDArray[np.int64],
    lasts: NDArray[np.int64],
    carried: Sequence[_Carried],
    made: Laid,
    observed: NDArray[np.int64],
) -> None:
    """Lay down the values of the days that follow the carried row in its run, and how many observations that has."""
    days = np.arange(history.days)
    same = history.run[going] == np.take_along_axis(history.run[going], lasts[:, np.newaxis], axis=1)
    follows = known[going] & same & (days > lasts[:, np.newaxis])
    each, day = np.nonzero(follows)
    rank = np.cumsum(follows, axis=1)[each, day]
    places = np.zeros((len(going), int(rank.max(initial=0)) + 1), dtype=np.int64)
    places[:, 0] = lasts
    places[each, rank] = day
    is_there = np.arange(places.shape[1]) <= follows.sum(axis=1)[:, np.newaxis]

    def recent(run: int, place: int) -> recursive.Seen:
        its = np.flatnonzero(known[going[run]] & same[run] & (days <= places[run, place]))[-recursive.ADX_NEEDS - 1 :]
        return recursive.Seen(*(laid[going[run], its] for laid in (history.close, history.high, history.low)))

    seen = recursive.Seen(
        *(
            np.where(is_there, np.take_along_axis(laid[going], places, axis=1), np.nan)
            for laid in (history.close, history.high, history.low)
        )
    )
    state = {name: np.array([one.state[name] for one in carried]) for name in recursive.STATE}
    mine = day >= history.wanted
    if mine.any():
        for name, values in recursive.continued(state, seen, recent).items():
            made[name][going[each[mine]], day[mine] - history.wanted] = values[each[mine], rank[mine] - 1]
    so_far = np.array([one.observations for one in carried], dtype=np.int64)
    observed[going[each], day] = so_far[each] + rank


def _is_sampled(
    history: _History, known: NDArray[np.bool_], counted: NDArray[np.int64], before_run: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether some of the last highs and lows of a run up to each day that is wanted come from sampled prices."""
    total = np.cumsum(np.where(known, history.sampled, 0.0), axis=1)
    wanted = slice(history.wanted, None)
    left_out = np.maximum(counted[:, wanted] - SAMPLED_FOR, before_run[:, wanted])
    # Days are found by how many are known up to them, in all series at once: those of one lie above those of the last.
    number = np.arange(len(counted))[:, np.newaxis]
    above = number * (history.days + 1)
    place = np.searchsorted((counted + above).ravel(), (left_out + above).ravel()).reshape(left_out.shape)
    place = np.clip(place - number * history.days, 0, history.days - 1)
    earlier = np.where(left_out > 0, np.take_along_axis(total, place, axis=1), 0.0)
    return known[:, wanted] & (total[:, wanted] > earlier)
