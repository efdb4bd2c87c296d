"""What every column of `gold.indicators` says, how it begins, and what TA-Lib, talipp and plain pandas make of it.

A rival is asked with the rows of one unbroken part of a history, as columns, and answers with a value a row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
import talib
from histories import Columns
from numpy.typing import NDArray
from talipp import indicators as talipp
from talipp.ohlcv import OHLCV

from coinlake.engine.recursive import CONVERGED_AFTER, EMA
from coinlake.gold import indicators

Floats = NDArray[np.float64]
Ask = Callable[[Columns], Floats]
Over = Literal["days", "run", "unit"]

BITCOIN = "bitcoin_log_return_1d"
"""Bitcoin's log return of the day, as the rivals are given it."""
AT_ONCE, NEVER = "at once", "rests on the whole history"


@dataclass(frozen=True)
class Said:
    """An indicator: its formula, what it begins with, the first day with a value, and from which day on it counts.

    `window` is how many days a value rests on; without a number of days `converged` says in words what is to be said.
    The rivals are asked over whole days (`reads` names what else has to be known of each), over a run with its short
    gaps, or over everything in one unit of the price.
    """

    family: str
    formula: str
    first: int = 1
    begins_with: str = "none"
    converged: int | str = AT_ONCE
    window: int = 0
    over: Over = "days"
    reads: tuple[str, ...] = ()
    talib: Ask | None = None
    talipp: Ask | None = None
    pandas: Ask | None = None

    @property
    def by(self) -> Mapping[str, Ask | None]:
        """The rivals, by name; None for one that has no such function."""
        return {"TA-Lib": self.talib, "talipp": self.talipp, "pandas": self.pandas}

    @property
    def compared_from(self) -> int:
        """The first row of a part that is compared."""
        return max(self.window, self.first, self.converged if isinstance(self.converged, int) else 1)


# What the rivals are asked with --------------------------------------------------------------------------------------


def _close(rows: Columns) -> Floats:
    return np.asarray(rows["close_usd"], dtype=float)


def _series(rows: Columns, name: str = "close_usd") -> Any:
    return pd.Series(np.asarray(rows[name], dtype=float))


def _returns(rows: Columns) -> Any:
    """Log returns of a part; that of its first day would look before it."""
    return np.log(_series(rows)).diff()


def _floats(values: Any) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def _of(values: Any, name: str) -> Floats:
    return _floats(None if each is None else getattr(each, name) for each in values)


def _candles(rows: Columns) -> list[OHLCV]:
    ranges = zip(*(rows[name].tolist() for name in ("high_usd", "low_usd", "close_usd")), strict=True)
    return [OHLCV(close, high, low, close) for high, low, close in ranges]


def _ewm(values: Any, **how: Any) -> Any:
    """An exponential average as one finds it everywhere: begun with the first value."""
    return values.ewm(adjust=False, **how).mean()


def _wilder(values: Any) -> Any:
    return _ewm(values, alpha=1 / 14)


# Rows and averages ---------------------------------------------------------------------------------------------------


def _as_is(what: str) -> Said:
    return Said("The row", what)


def _flag(family: str, name: str, of: str) -> Said:
    after = CONVERGED_AFTER[name]
    return Said(family, f"`observations_in_run` ≥ {after}: {of} has forgotten what it began with")


def _sma(n: int) -> Said:
    return Said(
        "Averages", f"mean of {n} closes", n,
        talib=lambda rows: talib.SMA(_close(rows), n),
        talipp=lambda rows: _floats(talipp.SMA(n, _close(rows).tolist())),
        pandas=lambda rows: _series(rows).rolling(n).mean().to_numpy(),
    )  # fmt: skip


def _ema(n: int) -> Said:
    return Said(
        "Averages", f"previous + 2/{n + 1} (close - previous)", n, f"mean of the first {n} closes",
        CONVERGED_AFTER[f"ema_{n}d"], over="run",
        talib=lambda rows: talib.EMA(_close(rows), n),
        talipp=lambda rows: _floats(talipp.EMA(n, _close(rows).tolist())),
        pandas=lambda rows: _ewm(_series(rows), span=n).to_numpy(),
    )  # fmt: skip


# Momentum ------------------------------------------------------------------------------------------------------------


def _macd(formula: str, begins_with: str, place: int, name: str) -> Said:
    return Said(
        "Momentum", formula, 34, begins_with, CONVERGED_AFTER["macd"], over="run",
        talib=lambda rows: talib.MACD(_close(rows), 12, 26, 9)[place],
        talipp=lambda rows: _of(talipp.MACD(12, 26, 9, _close(rows).tolist()), name),
        pandas=lambda rows: _plain_macd(_series(rows))[place],
    )  # fmt: skip


def _plain_macd(close: Any) -> tuple[Floats, Floats, Floats]:
    macd = _ewm(close, span=12) - _ewm(close, span=26)
    signal = _ewm(macd, span=9)
    return macd.to_numpy(), signal.to_numpy(), (macd - signal).to_numpy()


def _plain_rsi(rows: Columns) -> Floats:
    moved = _series(rows).diff()[1:]
    gain, loss = (_wilder(each.clip(lower=0)) for each in (moved, -moved))
    return np.r_[np.nan, (100 - 100 / (1 + gain / loss)).to_numpy()]


RSI = Said(
    "Momentum", "100 - 100 / (1 + gain / loss), each a Wilder average",
    15, "means of the first 14 changes", CONVERGED_AFTER["rsi_14d"], over="run",
    talib=lambda rows: talib.RSI(_close(rows), 14),
    talipp=lambda rows: _floats(talipp.RSI(14, _close(rows).tolist())),
    pandas=_plain_rsi,
)  # fmt: skip


# Bands ---------------------------------------------------------------------------------------------------------------


def _banded(formula: str, of: Callable[[Any, Any, Any, Any], Any]) -> Said:
    """What is made of the close and of the upper, middle and lower band."""

    def by_talib(rows: Columns) -> Floats:
        return np.asarray(of(_close(rows), *talib.BBANDS(_close(rows), 20, 2, 2)))

    def by_talipp(rows: Columns) -> Floats:
        bands = talipp.BB(20, 2, _close(rows).tolist())
        return np.asarray(of(_close(rows), *(_of(bands, name) for name in ("ub", "cb", "lb"))))

    def by_pandas(rows: Columns) -> Floats:
        window = _series(rows).rolling(20)
        middle, deviation = window.mean(), window.std(ddof=0)
        bands = (each.to_numpy() for each in (middle + 2 * deviation, middle, middle - 2 * deviation))
        return np.asarray(of(_close(rows), *bands))

    return Said("Bands", formula, 20, talib=by_talib, talipp=by_talipp, pandas=by_pandas)


# Returns and risk ----------------------------------------------------------------------------------------------------


def _return(n: int, family: str = "Returns") -> Said:
    before = f"{n} days before" if n > 1 else "the day before"
    return Said(
        family, f"close / close of {before} - 1", n + 1,
        talib=lambda rows: talib.ROCP(_close(rows), n),
        talipp=lambda rows: _floats(talipp.ROC(n, _close(rows).tolist())) / 100,
        pandas=lambda rows: _series(rows).pct_change(n).to_numpy(),
    )  # fmt: skip


LOG_RETURN = Said(
    "Returns", "ln(close / close of the day before)", 2,
    talib=lambda rows: talib.LN(talib.ROCR(_close(rows), 1)),
    pandas=lambda rows: _returns(rows).to_numpy(),
)  # fmt: skip


def _volatility(n: int) -> Said:
    to_year = math.sqrt(indicators.YEAR_DAYS)
    to_sample = math.sqrt(n / (n - 1)) * to_year
    return Said(
        "Risk", f"√{indicators.YEAR_DAYS} · sample deviation of {n} `log_return_1d`", n + 1,
        talib=lambda rows: talib.STDDEV(_returns(rows).to_numpy(), n) * to_sample,
        talipp=lambda rows: np.r_[np.nan, _floats(talipp.StdDev(n, _returns(rows)[1:].tolist())) * to_sample],
        pandas=lambda rows: (_returns(rows).rolling(n).std() * to_year).to_numpy(),
    )  # fmt: skip


def _plain_sharpe(rows: Columns) -> Floats:
    window = _series(rows).pct_change().rolling(90)
    return (window.mean() / window.std() * math.sqrt(indicators.YEAR_DAYS)).to_numpy()


def _plain_sortino(rows: Columns) -> Floats:
    returns = _series(rows).pct_change()
    downside = np.sqrt((returns.clip(upper=0) ** 2).rolling(90).mean())
    return (returns.rolling(90).mean() / downside * math.sqrt(indicators.YEAR_DAYS)).to_numpy()


# The peak, the year, bitcoin, volume ---------------------------------------------------------------------------------


def _peak(formula: str, of: Callable[[Columns], Any]) -> Said:
    begins_with = "the first close, or the first in a new unit"
    return Said(
        "Peak", formula, 1, begins_with, NEVER, over="unit", pandas=lambda rows: np.asarray(of(rows), dtype=float)
    )


def _day(rows: Columns) -> Any:
    return pd.Series(rows["day"].astype("datetime64[D]").astype(np.int64))


def _peak_day(rows: Columns) -> Any:
    close = _series(rows)
    return _day(rows).where(close == close.cummax()).ffill()


def _extreme(formula: str, high: bool, of: Callable[[Floats, Floats], Floats] = lambda extreme, _: extreme) -> Said:
    n = indicators.YEAR_DAYS
    by_talib, by_pandas = (talib.MAX, "max") if high else (talib.MIN, "min")
    return Said(
        "Year", formula, indicators.EXTREMES_NEED, window=n,
        talib=lambda rows: of(by_talib(_close(rows), n), _close(rows)),
        pandas=lambda rows: of(getattr(_series(rows).rolling(n), by_pandas)().to_numpy(), _close(rows)),
    )  # fmt: skip


def _beta(n: int) -> Said:
    return Said(
        "Bitcoin", f"covariance of {n} `log_return_1d` with bitcoin's / variance of bitcoin's", n + 1,
        reads=(BITCOIN,),
        pandas=lambda rows: (
            _returns(rows).rolling(n).cov(_series(rows, BITCOIN)) / _series(rows, BITCOIN).rolling(n).var()
        ).to_numpy(),
    )  # fmt: skip


def _correlation(n: int) -> Said:
    return Said(
        "Bitcoin", f"Pearson's correlation of {n} `log_return_1d` with bitcoin's", n + 1,
        reads=(BITCOIN,),
        talib=lambda rows: talib.CORREL(_returns(rows).to_numpy(), _series(rows, BITCOIN).to_numpy(), n),
        pandas=lambda rows: _returns(rows).rolling(n).corr(_series(rows, BITCOIN)).to_numpy(),
    )  # fmt: skip


def _plain_volume(rows: Columns) -> Floats:
    volume = _series(rows, "volume_24h_usd")
    window = volume.rolling(30)
    return ((volume - window.mean()) / window.std()).to_numpy()


def _talib_volume(rows: Columns) -> Floats:
    volume = np.asarray(rows["volume_24h_usd"], dtype=float)
    deviation = talib.STDDEV(volume, 30) * math.sqrt(30 / 29)
    return np.asarray((volume - talib.SMA(volume, 30)) / deviation)


VOLUME = Said(
    "Volume", "(volume - mean) / sample deviation, of 30 `volume_24h_usd`", 30, reads=("volume_24h_usd",),
    talib=_talib_volume, pandas=_plain_volume,
)  # fmt: skip


# True ranges ---------------------------------------------------------------------------------------------------------


def _of_ranges(ask: Callable[..., Floats]) -> Ask:
    return lambda rows: ask(*(np.asarray(rows[name], dtype=float) for name in ("high_usd", "low_usd", "close_usd")), 14)


def _true_range(rows: Columns) -> Any:
    """Of every day but the first, for it needs the close before."""
    high, low, before = _series(rows, "high_usd"), _series(rows, "low_usd"), _series(rows).shift()
    return (np.maximum(high, before) - np.minimum(low, before))[1:]


def _plain_atr(rows: Columns) -> Floats:
    return np.r_[np.nan, _wilder(_true_range(rows)).to_numpy()]


def _plain_adx(rows: Columns) -> Floats:
    up, down = _series(rows, "high_usd").diff()[1:], -_series(rows, "low_usd").diff()[1:]
    moves = (up.where((up > down) & (up > 0), 0), down.where((down > up) & (down > 0), 0))
    plus, minus = (_wilder(each) / _wilder(_true_range(rows)) for each in moves)
    return np.r_[np.nan, 100 * _wilder(((plus - minus).abs() / (plus + minus)).fillna(0)).to_numpy()]


ATR = Said(
    "True ranges",
    "Wilder average of the true range: the larger of high and close before - the smaller of low and close before",
    15, "mean of the first 14 true ranges", CONVERGED_AFTER["atr_14d"], over="run",
    talib=_of_ranges(talib.ATR),
    talipp=lambda rows: np.r_[np.nan, _floats(talipp.ATR(14, _candles(rows)))[1:]],
    pandas=_plain_atr,
)  # fmt: skip
ADX = Said(
    "True ranges",
    "Wilder average of 100 abs(p - m) / (p + m), where p and m are those of the rises of the high and the falls of "
    "the low where these are the larger move",
    28, "mean of the first 14 such shares, from day 15 on; p, m and range with the sums of 13 days",
    CONVERGED_AFTER["adx_14d"], over="run",
    talib=_of_ranges(talib.ADX),
    talipp=lambda rows: _of(talipp.ADX(14, 14, _candles(rows)), "adx"),
    pandas=_plain_adx,
)  # fmt: skip


# What recursive values remember --------------------------------------------------------------------------------------


def _plain_moved(rows: Columns, sign: int) -> Floats:
    return np.r_[np.nan, _wilder((sign * _series(rows).diff()[1:]).clip(lower=0)).to_numpy()]


def _rsi_part(what: str, sign: int) -> Said:
    return Said(
        STATE, f"Wilder average of max({what}, 0)", 15, "mean of the first 14 changes", "with `rsi_14d`",
        CONVERGED_AFTER["rsi_14d"], over="run",
        pandas=lambda rows: _plain_moved(rows, sign),
    )  # fmt: skip


def _movement(what: str, ask: Callable[..., Floats]) -> Said:
    return Said(
        STATE, f"previous - previous / 14 + {what} where it is the larger move", 14, "sum of the first 13",
        "with `adx_14d`", over="run",
        talib=lambda rows: ask(*(np.asarray(rows[name], dtype=float) for name in ("high_usd", "low_usd")), 14),
    )  # fmt: skip


def _still(what: str) -> Said:
    return Said(STATE, f"0 where {what} moved, else 1 + that of the row before", 2, "null: it never moved")


STATE = "What recursive values remember"
MACD_FAST = replace(
    _ema(12), family=STATE, formula="previous + 2/13 (close - previous), as `macd` has it", first=26,
    begins_with="mean of the closes of days 15 to 26", converged="with `macd`", window=CONVERGED_AFTER["macd"],
    talib=lambda rows: np.r_[np.full(14, np.nan), talib.EMA(_close(rows)[14:], 12)],
)  # fmt: skip


# All of them ---------------------------------------------------------------------------------------------------------

SAID: Mapping[str, Said] = {
    "coin_id": _as_is("`coin_id` of `gold.daily`"),
    "day": _as_is("`day` of `gold.daily`; one without a close above zero has no row"),
    "source": _as_is("`source` of `gold.daily`; nothing is computed from the days of two"),
    "close_usd": _as_is("`close_usd` of `gold.daily`"),
    "is_break": replace(
        _as_is(
            f"close ≥ {indicators.NEW_UNIT:g} times the one before, or ≥ {indicators.PERHAPS_NEW_UNIT:g} times with a "
            f"market cap ≤ {indicators.CAP_FOLLOWED:g} times the one before, or whatever it is after more than "
            f"{indicators.AWAY_DAYS:,} days"
        ),
        begins_with="false on the first day",
    ),
    "observations_in_run": replace(
        _as_is(
            "1 + that of the row before, since the history, a new unit, or a gap of "
            f"more than {indicators.LONG_GAP_DAYS} days"
        ),
        begins_with="1",
    ),
    **{f"sma_{n}d": _sma(n) for n in indicators.SMA},
    **{f"ema_{n}d": _ema(n) for n in EMA},
    **{f"ema_{n}d_converged": _flag("Averages", f"ema_{n}d", f"`ema_{n}d`") for n in EMA},
    "macd": _macd("EMA 12 - EMA 26", "both begin on day 26, with the means of 12 and of 26 closes", 0, "macd"),
    "macd_signal": _macd("EMA 9 of `macd`", "mean of the first 9 `macd`, which begin on day 26", 1, "signal"),
    "macd_histogram": _macd("`macd` - `macd_signal`", "as these do", 2, "histogram"),
    "macd_converged": _flag("Momentum", "macd", "`macd_signal`, and with it `macd`,"),
    "rsi_14d": RSI,
    "rsi_14d_converged": _flag("Momentum", "rsi_14d", "`rsi_14d`"),
    "bollinger_upper_20d": _banded("`sma_20d` + 2 population deviations", lambda x, up, mid, low: up),
    "bollinger_middle_20d": _banded("`sma_20d`", lambda x, up, mid, low: mid),
    "bollinger_lower_20d": _banded("`sma_20d` - 2 population deviations", lambda x, up, mid, low: low),
    "percent_b_20d": _banded("(close - lower) / (upper - lower)", lambda x, up, mid, low: (x - low) / (up - low)),
    "bandwidth_20d": _banded("(upper - lower) / middle", lambda x, up, mid, low: (up - low) / mid),
    **{f"return_{n}d": _return(n) for n in indicators.RETURNS},
    "log_return_1d": LOG_RETURN,
    "rate_of_change_14d": _return(14, "Momentum"),
    **{f"volatility_{n}d": _volatility(n) for n in indicators.VOLATILITIES},
    "peak_usd": _peak("highest close so far in the same unit", lambda rows: _series(rows).cummax()),
    "peak_day": _peak("the last day that closed there", _peak_day),
    "drawdown": _peak("close / `peak_usd` - 1", lambda rows: _series(rows) / _series(rows).cummax() - 1),
    "days_since_peak": _peak("`day` - `peak_day`", lambda rows: _day(rows) - _peak_day(rows)),
    "z_score_20d": _banded(
        "(close - `sma_20d`) / population deviation", lambda x, up, mid, low: (x - mid) / (up - low) * 4
    ),
    "high_365d_usd": _extreme("highest close of 365 days in the same unit", True),
    "low_365d_usd": _extreme("lowest close of 365 days in the same unit", False),
    "distance_high_365d": _extreme("close / `high_365d_usd` - 1", True, lambda high, close: close / high - 1),
    "distance_low_365d": _extreme("close / `low_365d_usd` - 1", False, lambda low, close: close / low - 1),
    **{f"beta_btc_{n}d": _beta(n) for n in indicators.BETAS},
    **{f"correlation_btc_{n}d": _correlation(n) for n in indicators.BETAS},
    "survivorship_biased": Said(
        "Bitcoin", f"whether one of {max(indicators.BETAS)} days has no `log_return_1d` of bitcoin"
    ),
    "sharpe_90d": Said("Risk", "√365 · mean / sample deviation of 90 `return_1d`", 91, pandas=_plain_sharpe),
    "sortino_90d": Said(
        "Risk", "√365 · mean of 90 `return_1d` / √ of the mean of min(`return_1d`, 0)²", 91, pandas=_plain_sortino
    ),
    "volume_z_score_30d": VOLUME,
    "atr_14d": ATR,
    "atr_14d_converged": _flag("True ranges", "atr_14d", "`atr_14d`"),
    "adx_14d": ADX,
    "adx_14d_converged": _flag("True ranges", "adx_14d", "`adx_14d`"),
    "range_is_sampled": Said(
        "True ranges", f"whether one of the last {indicators.SAMPLED_FOR} rows of the run is so in `gold.daily`"
    ),
    "macd_ema_12d": MACD_FAST,
    "rsi_gain_14d": _rsi_part("close - the one before", 1),
    "rsi_loss_14d": _rsi_part("the one before - close", -1),
    "plus_dm_14d": _movement("the rise of the high", talib.PLUS_DM),
    "minus_dm_14d": _movement("the fall of the low", talib.MINUS_DM),
    "close_still_for": _still("the close"),
    "range_still_for": _still("high, low or close"),
}
"""Every column of `gold.indicators`."""
