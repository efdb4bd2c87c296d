"""Truths over every table of gold, found by the catalogue: the past never changes, and bit by bit is what a rebuild is.

The market is made up: coins that walk, one pegged to a dollar, one that is redenominated, one that dies, one with gaps
and unknown prices, one that nobody followed until it was added, past and all. Of the first weeks, and of some days, no
list was seen. What was observed is fetched within the hour or so, so a history cut at a day is the lake as of the next
morning.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinlake import catalog
from coinlake.engine import Engine, Frame, engine
from coinlake.engine.series import arrays, frame_of
from coinlake.gold import blocks, correlations
from coinlake.gold.analyze import Definition, analyze, make
from coinlake.lake import Lake
from coinlake.pipeline import definitions
from coinlake.table import Column, Date, Float64, String, Table
from once import once
from strategies import examples
from test_gold import GOLD, SOURCES, D, H, Row, bring_up, daily_point, dicts, market, observe, stored
from test_health import note_run, refuse

START, DAYS = datetime(2021, 10, 1, tzinfo=UTC), 260
WALKERS = ("bitcoin", "ethereum", "solana", "ada", "dot", "link", "near", "atom")
COINS = (*WALKERS, "tether", "redone", "dead", "gappy", "added")
ADDED = 170
"""The number of the day on which the last of them was added, with its past."""
UNSEEN = {*range(70), 110, 111, 140}
"""Numbers of the days of which no list was seen."""
CUT = date(2022, 3, 31)


def day_of(number: int) -> date:
    return (START + number * D).date()


LAST = day_of(DAYS - 1)
OF_COINS = ("coin_id", "coin_a", "coin_b")


# The market ----------------------------------------------------------------------------------------------------------


@cache
def closes() -> Mapping[str, Any]:
    """Closes by coin; NaN where there is none."""
    random = np.random.default_rng(4)
    together = random.normal(0, 0.02, DAYS)
    walked = {
        coin: 10.0 ** (4 - number) * np.exp(np.cumsum(together + random.normal(0, 0.03, DAYS)))
        for number, coin in enumerate((*WALKERS, "redone", "dead", "gappy", "added"))
    }
    walked["tether"] = 1 + np.round(random.normal(0, 0.0003, DAYS), 4)
    walked["tether"][100:130] = 1.0
    walked["redone"][130:] *= 100
    walked["dead"][150:] = math.nan
    for gap in (slice(0, 30), slice(60, 63), slice(90, 131), slice(200, 201)):
        walked["gappy"][gap] = math.nan
    return walked


def days(coins: Sequence[str] = COINS, first: int = 0, last: int = DAYS) -> list[Row]:
    """What was observed of some coins on some days, each fetched soon after."""
    size = {coin: 1e6 * (2 + number) for number, coin in enumerate(sorted(COINS))}
    found = []
    for number in range(first, last):
        at = START + (number + 1) * D
        caps = {coin: float(closes()[coin][number] * size[coin]) for coin in COINS if closes()[coin][number] > 0}
        listed = [coin for coin in caps if number not in UNSEEN and (coin != "added" or number >= ADDED)]
        ranks = {coin: rank for rank, coin in enumerate(sorted(listed, key=lambda coin: -caps[coin]), start=1)}
        for coin in coins:
            price = float(closes()[coin][number])
            soon = START + (ADDED + 1) * D if coin == "added" and number < ADDED else at
            if coin in caps:
                about = {
                    "coin_id": coin,
                    "market_cap_usd": caps[coin],
                    "volume_24h_usd": caps[coin] / (20 + number % 7),
                }
                found.append(daily_point(at, price, fetched_at=soon + H, **about))
                seen = at + 12 * H
                if coin in ranks:
                    found.append(market(seen, price * 1.01, fetched_at=seen + H, rank=ranks[coin], **about))
            elif coin == "gappy" and number % 2:
                found.append(daily_point(at, None, coin_id=coin, fetched_at=at + H, flags="zero"))
    return found


# Comparing -----------------------------------------------------------------------------------------------------------

Rows = Mapping[str, list[Row]]


def made(lake: Lake, day: date) -> Rows:
    """Every table of gold as of the morning after a day."""
    return _only(lake, day, definitions(SOURCES))


def _only(lake: Lake, day: date, wanted: Sequence[Definition]) -> Rows:
    at = datetime(day.year, day.month, day.day, tzinfo=UTC) + D + 2 * H
    runs_on, streams = engine("duckdb"), dict[str, Any]()
    with lake.as_it_stands():
        for definition in wanted:
            streams[definition.table.name] = make(lake, definition, runs_on, SOURCES, None, at, streams)
        return {name: dicts(stream) for name, stream in streams.items()}


def changed(tables: Sequence[Table], before: Rows, after: Rows, cut: date) -> list[str]:
    """The tables with a day whose rows up to a cut are others on the longer history. Where a coin was added with its
    past, its own rows are new, and those that say `survivorship_biased` compare with it.
    """
    added = _coins(after, cut) - _coins(before, cut)
    return [
        table.name
        for table in tables
        if table.dated_by
        and differing(table, *(_until(table, rows[table.name], cut, added) for rows in (before, after)))
    ]


def _coins(rows: Rows, cut: date) -> set[str]:
    return {row["coin_id"] for row in rows["gold.daily"] if row["day"] <= cut}


def _until(table: Table, rows: list[Row], cut: date, added: set[str]) -> list[Row]:
    return [row for row in rows if row[str(table.dated_by)] <= cut and not _compares(row, added)]


def _compares(row: Row, added: set[str]) -> bool:
    """Whether a row is of a coin that was added, or compares with coins of which only those followed are known."""
    return bool(added) and (_says(row) or _is_of(row, added))


def _says(row: Row) -> bool:
    return bool(row.get("survivorship_biased"))


def _is_of(row: Row, coins: set[str]) -> bool:
    return bool(coins & {row.get(name) for name in OF_COINS})


def differing(table: Table, some: list[Row], others: list[Row]) -> list[tuple[Any, ...]]:
    """Values that differ by more than 1e-9, each with its key; rows that only one side has."""
    one, other = ({tuple(row[name] for name in table.key): row for row in rows} for rows in (some, others))
    found: list[tuple[Any, ...]] = [(key, "alone") for key in one.keys() ^ other.keys()]
    for key in (key for key in one.keys() & other.keys() if one[key] != other[key]):
        found += [(key, n, one[key][n], other[key][n]) for n in one[key] if not _same(one[key][n], other[key][n])]
    return found


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    return bool(one == other)


# The past ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake with the silver of the whole market, what runs said, and what was refused."""
    return Lake.at(str(once(tmp_path_factory, "truths", _fill)))


def _fill(folder: Path) -> None:
    lake = Lake.at(str(folder))
    observe(lake, *days())
    tell(lake, START + (DAYS + 1) * D)


def tell(lake: Lake, until: datetime) -> None:
    """What runs said every week until a moment, and what was refused: each soon after a day."""
    for number in range(0, DAYS, 7):
        soon = START + (number + 1) * D + H
        if soon <= until:
            gone = {"from_day": str(day_of(number - 9)), "to_day": str(day_of(number)), "reason": "not on this plan"}
            note_run(lake, soon - 10 * H, {**gone, "coin_id": "dead"})
            note_run(lake, soon, {**gone, "coin_id": "gappy"})
            refuse(lake, soon, day_of(number - 3), day_of(number), "link")


Known = Callable[[date], Rows]
"""What was known as of the morning after a day."""


@pytest.fixture(scope="module")
def known(whole: Lake) -> Known:
    """Every table of gold."""
    return cache(partial(made, whole))


def past_stays(known: Known, tables: Sequence[Table]) -> Callable[[], None]:
    """The truth, for whatever days are drawn: as known on the last day before a coin was added, and at the end."""

    @examples(6, shrinks=False)
    @given(st.integers(20, DAYS - 2).map(day_of))
    def holds(cut: date) -> None:
        for later in (day_of(ADDED - 1), LAST):
            assert cut >= later or changed(tables, known(cut), known(later), cut) == [], f"{cut}, from {later}"

    return holds


PLANTED = Table(
    "gold.planted",
    key=("coin_id", "day"),
    columns={
        "coin_id": Column(String, "CoinGecko id"),
        "day": Column(Date, "UTC day"),
        "value": Column(Float64, "what should not be known on it"),
    },
    grain="one day of one coin",
    dated_by="day",
    reads=("gold.daily",),
)


def tomorrow(close: Any) -> Any:
    return np.r_[close[1:], math.nan]


def centred(close: Any) -> Any:
    return np.convolve(close, np.ones(3) / 3)[1:-1]


def full_sample(close: Any) -> Any:
    return (close - close.mean()) / close.std()


def planting(of: Callable[[Any], Any]) -> Definition:
    """A table that looks where it should not."""

    def build(read: Mapping[str, Frame], sources: Sequence[str], runs_on: Engine) -> Frame:
        found = arrays(runs_on, read["gold.daily"].select("coin_id", "day", "close_usd"), ("coin_id", "day"))
        value = np.concatenate(
            [of(found["close_usd"][found["coin_id"] == coin]) for coin in np.unique(found["coin_id"])]
        )
        return frame_of(runs_on, {"coin_id": found["coin_id"], "day": found["day"], "value": value})

    return Definition(PLANTED, (catalog.table("gold.daily"),), build, 1)


@pytest.mark.slow(seconds=30)
def test_the_past_never_changes_when_days_are_added(known: Known) -> None:
    past_stays(known, GOLD)()
    assert all(known(LAST)[table.name] for table in GOLD)
    assert {row["rule"] for row in known(LAST)["gold.signals"]} >= {"golden_cross", "mean_reversion", "momentum"}


@pytest.mark.slow(seconds=5)
def test_what_compares_with_survivors_changes_when_a_coin_is_added(known: Known) -> None:
    """And says so: of the market, the days of which no list was seen."""
    cut = day_of(ADDED - 1)
    before, after = ({row["day"]: row for row in known(day)["gold.market"] if row["day"] <= cut} for day in (cut, LAST))
    others = [day for day, row in before.items() if row["universe_coins"] != after[day]["universe_coins"]]
    unseen = {day for day, row in before.items() if not row["universe_is_seen"]}
    assert unseen.issuperset(others) and len(unseen) < len(before)
    assert {row["survivorship_biased"] for row in before.values()} == {True}  # a year has not gone by
    assert others == [day_of(0), *(day_of(number + 1) for number in sorted(UNSEEN))]


@pytest.mark.slow(seconds=10)
@pytest.mark.parametrize("coin", ["bitcoin", "solana"])
def test_nothing_but_what_says_so_changes_when_a_coin_joins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, coin: str
) -> None:
    """With its past, in a lake that saw it on every day's list, and followed it not."""
    monkeypatch.setattr(correlations, "LARGEST", 5)
    followed = days()
    listed = [{**row, "price_usd": None} if row["coin_id"] == coin else row for row in followed if "rank" in row]
    others = [row for row in followed if "rank" not in row and row["coin_id"] != coin]
    lakes = [Lake.at(str(tmp_path / name)) for name in ("before", "after")]
    observe(lakes[0], *listed, *others)
    observe(lakes[1], *followed)
    both, found = [made(lake, LAST) for lake in lakes], 0
    for table in GOLD:
        if table.dated_by:
            sure = [row for row in _but_bronze(both[0][table.name]) if not _compares(row, {coin})]
            keys = {tuple(row[name] for name in table.key) for row in sure}
            later = [row for row in _but_bronze(both[1][table.name]) if tuple(row[n] for n in table.key) in keys]
            assert differing(table, sure, later)[:3] == [], table.name
            found += len(sure)
    assert found > 3000


@pytest.mark.parametrize("of", [tomorrow, centred, full_sample])
def test_a_table_that_looks_ahead_is_caught(whole: Lake, of: Callable[[Any], Any]) -> None:
    with pytest.raises(AssertionError, match=r"gold\.planted"):
        past_stays(_planted(whole, of), [PLANTED])()


@pytest.mark.slow(seconds=5)
def test_a_table_that_looks_back_is_not_caught(whole: Lake) -> None:
    past_stays(_planted(whole, lambda close: np.r_[math.nan, close[:-1]]), [PLANTED])()


def _planted(whole: Lake, of: Callable[[Any], Any]) -> Known:
    needed = [each for each in definitions(SOURCES) if each.table.name == "gold.daily"]
    return cache(partial(_only, whole, wanted=[*needed, planting(of)]))


@pytest.mark.slow(seconds=10)
def test_a_lake_as_of_a_day_is_the_lake_that_knew_no_more(whole: Lake, tmp_path: Path) -> None:
    """Of the tables without a day as well."""
    cut = CUT
    at = datetime(cut.year, cut.month, cut.day, tzinfo=UTC) + D + 2 * H
    short = Lake.at(str(tmp_path / "short"))
    observe(short, *(row for row in days() if row["fetched_at"] <= at))
    tell(short, at)
    bring_up(short)
    then = made(whole, cut)
    for table in GOLD:
        assert differing(table, _but_bronze(then[table.name]), _but_bronze(stored(short, table)))[:3] == [], table.name


def _but_bronze(rows: list[Row]) -> list[Row]:
    return [{name: value for name, value in row.items() if "bronze" not in name} for row in rows]


# Bit by bit ----------------------------------------------------------------------------------------------------------


def batches() -> list[list[Row]]:
    """A long history, one more day, a late stretch and corrections, new coins, and the rest."""
    early, late = COINS[:9], COINS[9:]
    first = [row for row in days(early, 0, 200) if row["coin_id"] != "ada" or row["fetched_at"] < START + 100 * D]
    corrected = [
        daily_point(START + 41 * D, 123.0, coin_id="ethereum", market_cap_usd=5e9),
        daily_point(START + 151 * D, float(closes()["bitcoin"][150]) * 1.5),
    ]
    return [first, days(early, 200, 201), [*days(("ada",), 99, 200), *corrected], days(late, 0, 201), days(COINS, 201)]


@pytest.mark.slow(seconds=30)
@pytest.mark.parametrize("on", ["duckdb", "pandas"])
def test_arrivals_in_any_order_make_the_gold_that_a_rebuild_makes(tmp_path: Path, on: str) -> None:
    """On pandas step by step, and made anew on DuckDB: both engines make the same."""
    lake = Lake.at(str(tmp_path / "lake"))
    for number, batch in enumerate(batches()[: None if on == "duckdb" else 3]):
        observe(lake, *batch, fetched_at=START + (DAYS + 1) * D + timedelta(hours=number))
        how = {each.table: each.how for each in bring_up(lake, on)}
        assert number == 0 or how["gold.indicators"] == "updated"
    step_by_step = {table: stored(lake, table) for table in GOLD}
    bring_up(lake, anew=True)
    for table in GOLD:
        assert differing(table, step_by_step[table], stored(lake, table))[:3] == [], table.name


@pytest.mark.slow(seconds=15)
@pytest.mark.parametrize("on", ["duckdb", "pandas"])
def test_a_table_made_in_pieces_is_the_table_made_whole(
    whole: Lake, tmp_path: Path, on: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(whole.silver, tmp_path / "silver")
    lake = Lake.at(str(tmp_path))
    bring_up(lake)
    at_once = {table: stored(lake, table) for table in GOLD}
    monkeypatch.setattr(blocks, "LEAST_ROWS", 900)
    pieces: dict[str, int] = {}
    for definition in definitions(SOURCES):

        def told(made: int, of: int, name: str = definition.table.name) -> None:
            pieces[name] = of

        analyze(lake, definition, engine(on), SOURCES, anew=True, memory=1, told=told)
    assert {name for name, of in pieces.items() if of > 2} == {f"gold.{each}" for each in MADE_IN_PIECES}
    for table in GOLD:
        assert differing(table, at_once[table], stored(lake, table))[:3] == [], table.name


MADE_IN_PIECES = ("daily", "indicators", "market", "signals", "health")
