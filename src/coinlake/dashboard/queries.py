"""From gold to frames: one function a question, each of which asks only for the columns that its figure needs.

Nothing in here knows Streamlit. The first argument is always `Gold`; what comes back is a pandas frame that may be
empty, with null where a value is not known. `gold.remember(question, …)` keeps answers by version.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from coinlake.dashboard.gold import Gold, Part
from coinlake.dashboard.lab import columns
from coinlake.duck import quoted
from coinlake.gold import odds as measure
from coinlake.gold.field import Field
from coinlake.gold.holds import NEWEST, on_hold
from coinlake.ids import BITCOINS, SIMULATED

if TYPE_CHECKING:
    import pandas as pd

WIDTH = 1500
"""Points that the width of a screen can show: longer series are reduced to about as many."""
RETURNS = ("return_24h", "return_7d", "return_30d", "return_90d", "return_365d")

_MARKET = [
    "day",
    "universe_coins",
    "survivorship_biased",
    "total_market_cap_usd",
    "total_volume_24h_usd",
    "bitcoin_dominance",
    "ether_dominance",
    "bitcoin_dominance_global",
    "above_sma_50d",
    "above_sma_200d",
    "advancers",
    "decliners",
    "new_highs_365d",
    "new_lows_365d",
    "herfindahl",
    "market_return_1d",
    "dispersion_1d",
    "average_correlation_btc_30d",
    "median_volatility_30d",
    "fear_greed",
    "fear_greed_momentum",
    "fear_greed_volatility",
    "fear_greed_breadth",
    "fear_greed_strength",
    "fear_greed_dominance",
]
_SUMMARY = [
    "coin_id",
    "symbol",
    "name",
    "rank",
    "price_usd",
    "priced_at",
    "market_cap_usd",
    "volume_24h_usd",
    "day",
    "source",
    "stance",
    "stance_reasons",
    "signals_today",
]
_COIN = [
    "open_usd", "high_usd", "low_usd", "close_usd", "volume_24h_usd", "market_cap_usd"
]  # fmt: skip
_INDICATORS = [
    "sma_7d",
    "sma_20d",
    "sma_50d",
    "sma_200d",
    "ema_12d",
    "ema_26d",
    "ema_50d",
    "macd",
    "macd_signal",
    "macd_histogram",
    "rsi_14d",
    "bollinger_upper_20d",
    "bollinger_middle_20d",
    "bollinger_lower_20d",
    "volatility_30d",
    "volatility_90d",
    "drawdown",
]
SCREENED = [
    "rsi_14d",
    "volatility_30d",
    "drawdown",
    "z_score_20d",
    "beta_btc_90d",
    "correlation_btc_90d",
    "sharpe_90d",
    "percent_b_20d",
    "volume_z_score_30d",
    "adx_14d",
    "distance_high_365d",
    "return_1d",
    "return_7d",
    "return_30d",
    "return_90d",
    "return_365d",
    "sma_7d",
    "sma_20d",
    "sma_50d",
    "sma_200d",
    "ema_12d",
    "ema_26d",
    "ema_50d",
    "macd",
    "macd_signal",
]


# The lake ----------------------------------------------------------------------------------------------------------


def coins(gold: Gold) -> pd.DataFrame:
    """Every coin with its newest numbers, the largest first; of a lake without a summary, what `gold.daily` knows."""
    if not gold.has("market_summary"):
        return _coins_of_daily(gold)
    return gold.ask(
        "select * replace (coalesce(name, coin_id) as name, upper(coalesce(symbol, coin_id)) as symbol) from summary "
        "order by market_cap_usd desc nulls last, rank nulls last, coin_id",
        summary=Part("market_summary", [*_SUMMARY, *RETURNS]),
    )


def _coins_of_daily(gold: Gold) -> pd.DataFrame:
    missing = ", ".join(f"null::DOUBLE as {name}" for name in RETURNS)
    return gold.ask(
        "select coin_id, upper(coin_id) as symbol, coin_id as name, null::DOUBLE as rank, arg_max(close_usd, day) as "
        "price_usd, null::TIMESTAMPTZ as priced_at, arg_max(market_cap_usd, day) as market_cap_usd, "
        "arg_max(volume_24h_usd, day) as volume_24h_usd, max(day) as day, any_value(source) as source, "
        f"null::VARCHAR as stance, null::VARCHAR as stance_reasons, null::VARCHAR as signals_today, {missing} "
        "from daily group by coin_id order by market_cap_usd desc nulls last, coin_id",
        daily=Part("daily", ["coin_id", "day", "close_usd", "market_cap_usd", "volume_24h_usd", "source"]),
    )


def is_simulated(gold: Gold) -> bool:
    """Whether the market is a simulator's: a lake is of one market, so one coin whose id says so is enough."""
    ids = gold.remember(coins)["coin_id"]
    return bool(len(ids)) and bool(ids.str.startswith(SIMULATED).any())


def bitcoin(gold: Gold) -> str:
    """The id of bitcoin in this lake; where it has none, of its largest coin."""
    ids = list(gold.remember(coins)["coin_id"])
    return next((each for each in BITCOINS if each in ids), ids[0] if ids else "bitcoin")


def sources(gold: Gold) -> list[str]:
    """Whose numbers these are."""
    return sorted({each for each in gold.remember(coins)["source"] if isinstance(each, str)})


def last_day(gold: Gold) -> date | None:
    """The newest finished day."""
    days = gold.remember(coins)["day"].dropna()
    return None if days.empty else days.max().date()


# Market ------------------------------------------------------------------------------------------------------------


def market(gold: Gold) -> pd.DataFrame:
    """The whole market day by day, as `gold.market` has it."""
    return gold.ask("select * from market order by day", market=Part("market", _MARKET))


def sparks(gold: Gold, days: int = 30) -> pd.DataFrame:
    """Each coin's closes of the last days as a list, oldest first."""
    until = gold.remember(last_day)
    where = f"day > date '{until}' - {days}" if until else "false"
    return gold.ask(
        "select coin_id, list(close_usd order by day) as closes from daily group by coin_id",
        daily=Part("daily", ["coin_id", "day", "close_usd"], where),
    )


def signals(gold: Gold, since: date | None = None) -> pd.DataFrame:
    """What the rules said since a day, the newest and strongest first, with the coin's name."""
    names = gold.remember(coins)[["coin_id", "name", "symbol", "rank"]]
    columns = [
        "coin_id",
        "day",
        "rule",
        "direction",
        "strength",
        "close_usd",
        "sentence",
        "tradable_on",
        "survivorship_biased",
    ]
    found = gold.ask(
        "select * from signals order by day desc, strength desc nulls last, coin_id, rule",
        signals=Part("signals", columns, f"day >= date '{since}'" if since else "true"),
    )
    return found.merge(names, on="coin_id", how="left")


def evidence(gold: Gold) -> pd.DataFrame:
    """What each rule was worth over the whole universe at the costs first named, by rule."""
    return gold.ask(
        "select * from backtests where coin_id = '*' "
        "qualify row_number() over (partition by rule order by fee_bp, slippage_bp) = 1 order by rule",
        backtests=Part("backtests", BACKTEST),
    )


BACKTEST = [
    "rule",
    "coin_id",
    "fee_bp",
    "slippage_bp",
    "first_day",
    "until",
    "days",
    "total_return",
    "annual_return",
    "volatility",
    "sharpe",
    "sortino",
    "calmar",
    "maximum_drawdown",
    "exposure",
    "trades",
    "win_rate",
    "turnover",
    "hold_total_return",
    "hold_annual_return",
    "hold_sharpe",
    "hold_maximum_drawdown",
    "bitcoin_total_return",
    "excess_return",
    "excess_low",
    "excess_high",
    "p_value",
    "q_value",
    "verdict",
    "has_edge",
    "survivorship_biased",
]


def backtests(gold: Gold, rule: str) -> pd.DataFrame:
    """What a rule was worth, coin by coin and over the universe, at every cost that was worked out."""
    return gold.ask(
        "select * from backtests order by coin_id, fee_bp, slippage_bp",
        backtests=Part("backtests", BACKTEST, f"rule = {quoted(rule)}"),
    )


def field(
    gold: Gold, coin_ids: Sequence[str] | None = None, since: date | None = None, reads: Sequence[str] = ()
) -> Field:
    """Closes of some coins (or of all) on one calendar, for trading on; with the indicators that a rule `reads`, where
    gold has them.
    """
    btc = gold.remember(bitcoin)
    where = f"day >= date '{since}'" if since else "true"
    if coin_ids is not None:
        where += f" and coin_id in ({', '.join(map(quoted, [*coin_ids, btc]))})"
    table = "indicators" if gold.has("indicators", "close_usd", "is_break") else "daily"
    known = ["coin_id", "day", "close_usd", "source"]
    more = [each for each in reads if each not in known] if gold.has(table, *reads) else []
    rows = gold.ask(
        f"select {', '.join([*known, *more])}, try_cast(is_break as boolean) as is_break from closes order by 1, 2",
        closes=Part(table, [*known, "is_break", *more], where),
    )
    return Field.of(columns(rows), coin_ids, (btc,))


def odds(gold: Gold) -> pd.DataFrame:
    """Every signal with its odds (`coinlake.gold.odds`): `odds_trades`, `odds_won`, `odds_median`."""
    every = gold.remember(signals)
    fired = columns(every[["coin_id", "day", "rule", "direction"]])
    closed = measure.closed_trades([gold.remember(field)], fired)
    return every.assign(**measure.odds(closed, fired))


def signals_of(gold: Gold, day: date) -> pd.DataFrame:
    """The signals of one day, the strongest first, with their odds."""
    every = gold.remember(odds)
    return every[every["day"].dt.date == day] if len(every) else every


# Coin --------------------------------------------------------------------------------------------------------------


def coin(gold: Gold, coin_id: str, days: int | None = None) -> pd.DataFrame:
    """One coin day by day with its indicators; the last `days`, or all. Longer than the screen, days are joined.

    A joined bar opens with its first day, closes with its last, and has the indicators of its last.
    """
    until = gold.remember(last_day)
    mine = f"coin_id = {quoted(coin_id)}"
    where = mine + (f" and day > date '{until}' - {days}" if days and until else "")
    # numbers of days that a bar joins: 1 until the screen is full
    joined = (
        "select max(day) as day, arg_min(open_usd, day) as open_usd, max(high_usd) as high_usd, "
        "min(low_usd) as low_usd, arg_max(close_usd, day) as close_usd, sum(volume_24h_usd) as volume_24h_usd, "
        "arg_max(market_cap_usd, day) as market_cap_usd, "
        + ", ".join(f"arg_max({name}, day) as {name}" for name in _INDICATORS)
        + ", count(*) as days_joined from every group by (day - date '1970-01-01') // (select step from width) "
        "order by day"
    )
    return gold.ask(
        "every as (select * from daily left join indicators using (day)), "
        f"width as (select greatest(1, ceil(count(*) / {WIDTH}.0))::INTEGER as step from every) {joined}",
        daily=Part("daily", ["day", *_COIN], where),
        indicators=Part("indicators", ["day", *_INDICATORS], where),
    )


def closes(gold: Gold, coin_ids: Sequence[str], days: int | None = None) -> pd.DataFrame:
    """Days by coins: the close of each."""
    listed = ", ".join(map(quoted, coin_ids)) or "''"
    until = gold.remember(last_day)
    where = f"coin_id in ({listed})" + (f" and day > date '{until}' - {days}" if days and until else "")
    rows = gold.ask(
        "select day, coin_id, close_usd from daily order by day",
        daily=Part("daily", ["coin_id", "day", "close_usd"], where),
    )
    wide = rows.pivot(index="day", columns="coin_id", values="close_usd")
    return wide.reindex(columns=[each for each in coin_ids if each in wide.columns])


def coin_now(gold: Gold, coin_id: str) -> dict[str, Any]:
    """A coin's newest indicators, by name."""
    names = "drawdown rsi_14d volatility_30d volatility_90d beta_btc_90d correlation_btc_90d sharpe_90d z_score_20d"
    more = "high_365d_usd low_365d_usd peak_usd peak_day days_since_peak observations_in_run"
    return _first(
        gold.ask(
            "select * from indicators order by day desc limit 1",
            indicators=Part("indicators", ["day", *names.split(), *more.split()], f"coin_id = {quoted(coin_id)}"),
        )
    )


def windows(gold: Gold, coin_id: str) -> dict[str, Any]:
    """A coin's line of the Market Summary Report: average, lowest and highest price and return by window."""
    spans = ("24h", "7d", "30d", "90d", "365d")
    columns = [f"{what}_{span}_usd" for span in spans for what in ("average", "minimum", "maximum")]
    known = [*RETURNS, *(f"days_known_{span}" for span in spans)]
    return _first(
        gold.ask(
            "select * from summary",
            summary=Part("market_summary", [*columns, *known], f"coin_id = {quoted(coin_id)}"),
        )
    )


def monthly_returns(gold: Gold, coin_id: str) -> pd.DataFrame:
    """Year, month and return from one month's last close to the next's; null where a month has no such end."""
    return gold.ask(
        "ends as (select year(day) as year, month(day) as month, last_day(day) as ends_on, max(day) as day, "
        "arg_max(close_usd, day) as close_usd from daily group by all), "
        "beside as (select *, lag(close_usd) over (order by day) as before_usd, "
        "lag(day) over (order by day) as before, lag(ends_on) over (order by day) as before_ends_on from ends) "
        "select year, month, case when before = before_ends_on and before + 31 >= day then close_usd / before_usd - 1 "
        "end as return, day < ends_on as goes_on from beside order by 1, 2",
        daily=Part("daily", ["day", "close_usd"], f"coin_id = {quoted(coin_id)}"),
    )


def standing(gold: Gold, coin_id: str) -> pd.DataFrame:
    """Where a coin's numbers of today lie in its own history: by measure the value and the share of days below it."""
    measures = {
        "rsi_14d": "RSI 14 d",
        "volatility_30d": "Volatility 30 d",
        "drawdown": "Drawdown",
        "z_score_20d": "z-score 20 d",
        "volume_z_score_30d": "Volume z-score 30 d",
        "return_30d": "Return 30 d",
    }
    each = " union all ".join(
        f"select {number} as place, '{title}' as measure, arg_max({name}, day) as value, "
        f"avg(case when {name} is not null then ({name} < now.v)::INTEGER end) as below, count({name}) as days "
        f"from own, (select arg_max({name}, day) filter (where {name} is not null) as v from own) as now"
        for number, (name, title) in enumerate(measures.items())
    )
    return gold.ask(
        f"select * from ({each}) where days > 0 order by place",
        own=Part("indicators", ["day", *measures], f"coin_id = {quoted(coin_id)}"),
    )


def coin_signals(gold: Gold, coin_id: str) -> pd.DataFrame:
    """What the rules said of a coin, the newest first."""
    columns = ["day", "rule", "direction", "strength", "close_usd", "sentence", "tradable_on"]
    return gold.ask(
        "select * from signals order by day desc, rule",
        signals=Part("signals", columns, f"coin_id = {quoted(coin_id)}"),
    )


# Screener, compare -------------------------------------------------------------------------------------------------


def screen(gold: Gold) -> pd.DataFrame:
    """All coins with their newest indicators, their names and ninety days of closes."""
    until = gold.remember(last_day)
    where = f"day > date '{until}' - 8" if until else "false"
    now = gold.ask(
        "select * exclude (day) from indicators qualify row_number() over (partition by coin_id order by day desc) = 1",
        indicators=Part("indicators", ["coin_id", "day", "close_usd", *SCREENED], where),
    )
    lines = gold.remember(sparks, 90)
    every = gold.remember(coins)[["coin_id", "name", "symbol", "rank", "price_usd", "market_cap_usd", "volume_24h_usd"]]
    return every.merge(now, on="coin_id", how="left").merge(lines, on="coin_id", how="left")


def correlations(gold: Gold, coin_ids: Sequence[str], window: int) -> pd.DataFrame:
    """The newest correlation of every two of some coins, both ways round."""
    listed = ", ".join(map(quoted, coin_ids)) or "''"
    where = f"coin_a in ({listed}) and coin_b in ({listed}) and window_days = {window}"
    return gold.ask(
        "newest as (select * from pairs where month_end = (select max(month_end) from pairs)) "
        "select coin_a, coin_b, correlation, days_known, month_end from newest union all by name "
        "select coin_b as coin_a, coin_a as coin_b, correlation, days_known, month_end from newest",
        pairs=Part(
            "correlations", ["month_end", "coin_a", "coin_b", "window_days", "correlation", "days_known"], where
        ),
    )


# Health ------------------------------------------------------------------------------------------------------------


def health(gold: Gold) -> pd.DataFrame:
    """`gold.health` as it is, the newest day first: whatever columns it has."""
    if not gold.has("health"):
        return gold.ask("select 1 where false")
    needed = {"day", "table_name", "verdict", "reason"}
    columns = sorted(needed | set(gold.columns("health")) - {"year"})
    return gold.ask("select * from health order by day desc, table_name", health=Part("health", columns))


def verdicts(gold: Gold, days: int = 62) -> pd.DataFrame:
    """The verdict on each table of gold, with its reason: that of its newest row, which may be of a month's end."""
    until = gold.remember(last_day)
    where = f"day > date '{until}' - {days}" if until else "true"
    return gold.ask(
        f"newest as ({NEWEST}) select table_name, verdict, coalesce(reason, '') as reason from newest "
        "where verdict is not null",
        health=Part("health", ["table_name", "day", "verdict", "reason"], where),
    )


def held(gold: Gold) -> str:
    """The sentence on the tables of gold that are on hold (`coinlake.gold.holds`); empty where none is."""
    rows = gold.remember(verdicts)
    return on_hold(dict(rows.loc[rows["verdict"] == "hold", ["table_name", "reason"]].itertuples(index=False)))


def gaps(gold: Gold) -> pd.DataFrame:
    """Days missing inside a coin's history, as ranges, the longest first."""
    return gold.ask(
        "beside as (select coin_id, day, lead(day) over (partition by coin_id order by day) as next_day from daily) "
        "select coin_id, day + 1 as first_day, next_day - 1 as last_day, next_day - day - 1 as days "
        "from beside where next_day - day > 1 order by days desc, coin_id limit 500",
        daily=Part("daily", ["coin_id", "day"]),
    )


def coverage(gold: Gold, days: int = 90) -> pd.DataFrame:
    """Day by day: how many coins have a row, a finished close, and a flag."""
    until = gold.remember(last_day)
    where = f"day > date '{until}' - {days}" if until else "false"
    return gold.ask(
        "select day, count(*) as coins, count(*) filter (where is_final) as final, "
        "count(*) filter (where flags <> '') as flagged from daily group by day order by day",
        daily=Part("daily", ["coin_id", "day", "is_final", "flags"], where),
    )


def flags(gold: Gold) -> pd.DataFrame:
    """The odd days of the last year: the newest first."""
    until = gold.remember(last_day)
    where = f"flags <> '' and day > date '{until}' - 365" if until else "false"
    return gold.ask(
        "select day, coin_id, flags, close_usd, source from daily order by day desc, coin_id limit 1000",
        daily=Part("daily", ["day", "coin_id", "flags", "close_usd", "source"], where),
    )


def origin(gold: Gold, coin_id: str, day: date) -> dict[str, Any]:
    """Where the close of a day came from: whose it is, which answer in bronze it was read from, and when observed."""
    columns = [
        "close_usd",
        "source",
        "close_observed_at",
        "close_bronze_object",
        "is_final",
        "observations",
        "hours_observed",
        "flags",
    ]
    return _first(
        gold.ask(
            "select * from daily",
            daily=Part("daily", columns, f"coin_id = {quoted(coin_id)} and day = date '{day}'"),
        )
    )


def _first(rows: pd.DataFrame) -> dict[str, Any]:
    return {str(name): value for name, value in rows.iloc[0].items()} if len(rows) else {}
