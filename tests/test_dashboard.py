"""Truths about the dashboard that need no browser: from gold to frames, from frames to figures, numbers as texts."""

from __future__ import annotations

import inspect
import shutil
import tomllib
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as some

import goldlake
from coinlake.dashboard import conditions, door, figures, formats, lab, parts, queries
from coinlake.dashboard import gold as seen
from coinlake.dashboard.gold import Gold, look
from coinlake.dashboard.palette import DARK, LIGHT, Palette
from coinlake.errors import LakeError
from coinlake.gold import trading
from coinlake.gold.field import Events
from coinlake.gold.odds import ODDS

COINS, DAYS = 12, 420
BTC, ETH = "sim-bitcoin", "sim-ethereum"
THEMES = pytest.mark.parametrize("colours", [LIGHT, DARK], ids=lambda each: each.name)

ASKED: dict[str, Any] = {
    "coins": queries.coins,
    "is_simulated": queries.is_simulated,
    "bitcoin": queries.bitcoin,
    "sources": queries.sources,
    "last_day": queries.last_day,
    "market": queries.market,
    "sparks": queries.sparks,
    "signals": queries.signals,
    "signals_of": partial(queries.signals_of, day=goldlake.UNTIL),
    "evidence": queries.evidence,
    "backtests": partial(queries.backtests, rule="golden_cross"),
    "field": queries.field,
    "odds": queries.odds,
    "coin": partial(queries.coin, coin_id=ETH, days=365),
    "closes": partial(queries.closes, coin_ids=(BTC, ETH)),
    "coin_now": partial(queries.coin_now, coin_id=ETH),
    "windows": partial(queries.windows, coin_id=ETH),
    "monthly_returns": partial(queries.monthly_returns, coin_id=ETH),
    "standing": partial(queries.standing, coin_id=ETH),
    "coin_signals": partial(queries.coin_signals, coin_id=ETH),
    "screen": queries.screen,
    "correlations": partial(queries.correlations, coin_ids=(BTC, ETH), window=90),
    "health": queries.health,
    "verdicts": queries.verdicts,
    "held": queries.held,
    "gaps": queries.gaps,
    "coverage": queries.coverage,
    "flags": queries.flags,
    "origin": partial(queries.origin, coin_id=BTC, day=goldlake.UNTIL),
}
"""Every question, as a page asks it."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return goldlake.make(tmp_path_factory.mktemp("lake"), COINS, DAYS)


@pytest.fixture(scope="module")
def gold(root: Path) -> Gold:
    return Gold(str(root), look(str(root)))


# Questions -----------------------------------------------------------------------------------------------------------


def test_every_question_is_asked_here() -> None:
    public = {
        name
        for name, each in inspect.getmembers(queries, inspect.isfunction)
        if each.__module__ == queries.__name__ and not name.startswith("_")
    }
    assert public == set(ASKED)


@pytest.mark.parametrize("name", ASKED)
def test_a_question_to_an_empty_place_has_an_answer(name: str, tmp_path: Path) -> None:
    ASKED[name](Gold(str(tmp_path), look(str(tmp_path))))


@pytest.mark.parametrize("missing", seen.TABLES)
def test_a_lake_without_a_table_answers_every_question(missing: str, root: Path, tmp_path: Path) -> None:
    copied = tmp_path / "gold"
    copied.mkdir()
    for table in seen.TABLES:
        if table != missing:
            (copied / table).symlink_to(root / table)
    poorer = Gold(str(copied), look(str(copied)))
    for ask in ASKED.values():
        ask(poorer)


def test_a_column_that_is_not_there_reads_as_null(gold: Gold) -> None:
    part = seen.Part("daily", ["coin_id", "day", "no_such_column"], f"coin_id = '{BTC}'")
    rows = gold.ask("select * from daily", daily=part)
    assert len(rows) == DAYS and rows["no_such_column"].isna().all()


def test_a_gold_elsewhere_gives_the_same_as_one_in_a_folder(gold: Gold, monkeypatch: pytest.MonkeyPatch) -> None:
    # what lies in the cloud is read by delta-rs and not by DuckDB; a folder can be read that way too
    other = Gold(gold.root, gold.seen)
    expected = {
        name: ask(gold) for name, ask in ASKED.items() if name in {"coins", "coin", "market", "gaps", "verdicts"}
    }
    monkeypatch.setattr(seen, "local_folder", lambda root: None)
    for name, frame in expected.items():
        pd.testing.assert_frame_equal(ASKED[name](other), frame, check_dtype=False)


def test_a_file_that_is_gone_is_a_lake_error(root: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(root, tmp_path / "gold"))
    for file in copied.glob("daily/*.parquet"):
        file.unlink()
    with pytest.raises(LakeError, match="cannot be read"):
        queries.coverage(Gold(str(copied), look(str(copied))))


def test_a_new_version_is_seen_and_an_old_one_stays_what_it_was(root: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(root, tmp_path / "gold"))
    before = Gold(str(copied), look(str(copied)))
    price = before.remember(queries.coins)["price_usd"].iloc[0]
    goldlake.next_version(copied)
    after = Gold(str(copied), look(str(copied)))
    assert after.seen != before.seen
    assert before.remember(queries.coins)["price_usd"].iloc[0] == price
    assert after.remember(queries.coins)["price_usd"].iloc[0] == pytest.approx(price * 1.01)


def test_an_answer_is_worked_out_once_a_version(gold: Gold) -> None:
    assert gold.remember(queries.coin, ETH, 90) is gold.remember(queries.coin, ETH, 90)
    assert gold.remember(queries.coin, ETH, 90) is not gold.remember(queries.coin, ETH, 30)


def test_a_simulated_market_is_known_by_its_coins_alone(gold: Gold, tmp_path: Path) -> None:
    real = goldlake.make(tmp_path, 3, 40, simulated=False)
    assert queries.is_simulated(gold)
    assert not queries.is_simulated(Gold(str(real), look(str(real))))


def test_one_coin_makes_a_lake(tmp_path: Path) -> None:
    root = goldlake.make(tmp_path, 1, 30)
    alone = Gold(str(root), look(str(root)))
    for ask in ASKED.values():
        ask(alone)


def test_a_long_series_is_joined_to_what_the_width_can_show(gold: Gold, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = queries.coin(gold, ETH)
    monkeypatch.setattr(queries, "WIDTH", 100)
    joined = queries.coin(gold, ETH)
    assert len(whole) == DAYS and 70 <= len(joined) <= 101
    assert joined["days_joined"].sum() == DAYS
    assert joined["high_usd"].max() == whole["high_usd"].max()
    assert joined["low_usd"].min() == whole["low_usd"].min()
    assert joined["close_usd"].iloc[-1] == whole["close_usd"].iloc[-1]
    assert joined["volume_24h_usd"].sum() == pytest.approx(whole["volume_24h_usd"].sum())


def test_a_monthly_return_goes_from_month_end_to_month_end(gold: Gold) -> None:
    close = queries.closes(gold, (ETH,))[ETH]
    months = queries.monthly_returns(gold, ETH).set_index(["year", "month"])["return"]
    assert months.loc[2026, 10] == pytest.approx(close["2026-10-31"] / close["2026-09-30"] - 1)
    assert np.isnan(months.iloc[0])


def test_gaps_are_the_days_that_lack(gold: Gold) -> None:
    gap = queries.gaps(gold).iloc[0]
    assert (gap["coin_id"], gap["days"]) == ("sim-coin-11", 6)


def test_a_number_leads_to_its_object_in_bronze(gold: Gold) -> None:
    found = queries.origin(gold, BTC, goldlake.UNTIL)
    assert found["close_bronze_object"].endswith(f"date={goldlake.UNTIL}/r-0.jsonl.gz")


# The lab -------------------------------------------------------------------------------------------------------------


def test_one_coin_in_the_lab_is_what_gold_says_of_following_a_rule(gold: Gold) -> None:
    fired = queries.signals(gold)
    mine = fired[fired["rule"] == "golden_cross"]
    field = queries.field(gold, (ETH,))
    result = lab.follow(field, mine, None, 10, 5)
    close, breaks = field.part()
    history = trading.History(field.calendar, close[0], breaks[0], field.bitcoin)
    curve = trading.curve(history, Events.of(field, lab.columns(mine)).part(close.shape)[0], None, 0.0015)
    assert result is not None
    np.testing.assert_allclose(result.rule[-len(curve.strategy) :], curve.strategy)
    np.testing.assert_allclose(result.holding[-len(curve.holding) :], curve.holding)


@pytest.mark.parametrize(("rule", "holding_days"), [("golden_cross", None), ("momentum", 30), ("volume_spike", 7)])
def test_odds_are_those_of_trades_that_had_closed_before_the_day(
    gold: Gold, rule: str, holding_days: int | None
) -> None:
    fired = queries.odds(gold)
    its = fired[fired["rule"] == rule]
    closed: list[lab.Trade] = []
    for coin in queries.coins(gold)["coin_id"]:
        followed = lab.follow(queries.field(gold, (coin,)), its, holding_days, 10, 5)
        closed += followed.trades if followed else []
    mine = its[its["direction"] == "up"]
    assert mine["odds_trades"].max() > 3
    for day, *known in mine[["day", *ODDS]].itertuples(index=False):
        net = [trade.net_return for trade in closed if trade.closed < np.datetime64(day, "D")]
        won = [len(net), np.mean(np.array(net) > 0), np.median(net)] if net else [0, np.nan, np.nan]
        assert known == pytest.approx(won, nan_ok=True)


@pytest.mark.parametrize(
    ("odds", "said"),
    [
        ((0, np.nan, np.nan), "no earlier trades of this rule"),
        ((9, 1.0, 0.3), "too few earlier trades to say (9)"),
        ((1234, 0.465, -0.0312), "46 % of 1,234 earlier trades won, median \N{MINUS SIGN}3.1 %"),
    ],
)
def test_odds_are_said_where_there_are_enough_trades(odds: tuple[int, float, float], said: str) -> None:
    assert parts.odds_said(*odds) == said


def test_too_few_trades_are_no_verdict(gold: Gold) -> None:
    fired = queries.signals(gold)
    result = lab.follow(queries.field(gold, (ETH,)), fired[fired["rule"] == "momentum"].head(2), 30, 10, 5)
    assert result is not None and result.verdict.startswith("Too few trades")


def test_less_than_a_month_is_not_looked_at(gold: Gold) -> None:
    field = queries.field(gold, (ETH,), goldlake.UNTIL - timedelta(days=20))
    assert lab.follow(field, queries.signals(gold), None, 10, 5) is None


# Figures -------------------------------------------------------------------------------------------------------------


@THEMES
def test_every_figure_can_be_drawn(gold: Gold, colours: Palette) -> None:
    bars, names = queries.coin(gold, ETH), {BTC: "BTC", ETH: "ETH"}
    closes = queries.closes(gold, (BTC, ETH))
    drawn = [
        figures.treemap(queries.coins(gold), "7d", colours, 0.1),
        figures.price(bars, colours, True, False, tuple(figures.OVERLAYS), tuple(figures.PANES),
                      queries.coin_signals(gold, ETH), {"golden_cross"}),
        figures.price(bars, colours, False, True),
        figures.months(queries.monthly_returns(gold, ETH), colours),
        figures.rebased(closes, names, colours, True),
        figures.rolling(closes, BTC, 90, names, colours),
        figures.correlation_grid(closes, names, colours),
        figures.rotation(closes, BTC, names, colours),
        figures.interval(queries.evidence(gold), colours),
    ]  # fmt: skip
    assert all(len(figure.data) and figure.to_json() for figure in drawn)


@THEMES
def test_a_figure_of_nothing_says_why(colours: Palette, tmp_path: Path) -> None:
    bare = Gold(str(tmp_path), {})
    for figure in (
        figures.treemap(queries.coins(bare), "24h", colours, 0.1),
        figures.price(queries.coin(bare, "x"), colours, True, False),
        figures.months(queries.monthly_returns(bare, "x"), colours),
        figures.rotation(pd.DataFrame(), BTC, {}, colours),
        figures.interval(queries.evidence(bare), colours),
    ):
        assert figure.layout.annotations[0].text


def test_what_is_not_known_is_a_gap_and_no_zero(gold: Gold) -> None:
    bars = queries.coin(gold, ETH)
    drawn = figures.price(bars, LIGHT, True, False, ["SMA 200"])
    line = next(each for each in drawn.data if each.name == "SMA 200")
    assert np.isnan(line.y[:199]).all() and not line.connectgaps


def test_twenty_thousand_candles_are_sent_as_arrays_and_not_as_lists() -> None:
    days = pd.date_range("1970-01-01", periods=20_000)
    close = np.cumprod(1 + np.random.default_rng(1).normal(0, 0.01, len(days)))
    columns = ["open_usd", "high_usd", "low_usd", "close_usd", "volume_24h_usd"]
    drawn = figures.price(pd.DataFrame({"day": days, **dict.fromkeys(columns, close)}), LIGHT, True, False)
    assert '"bdata"' in drawn.to_json()


@THEMES
def test_texts_can_be_read_on_what_lies_behind_them(colours: Palette) -> None:
    for text in ("text", "muted", "up", "down", "accent", "bitcoin", "no_evidence"):
        for behind in (colours.page, colours.card):
            assert figures.contrast(getattr(colours, text), behind) >= 4.5, (text, behind)


def test_the_theme_of_the_pages_is_the_palette_of_the_figures() -> None:
    theme = tomllib.loads((Path(door.APP).parent / ".streamlit" / "config.toml").read_text())["theme"]
    for colours in (LIGHT, DARK):
        told = theme[colours.name]
        assert told["primaryColor"] == told["linkColor"] == colours.accent
        assert (told["backgroundColor"], told["secondaryBackgroundColor"]) == (colours.page, colours.card)
        assert (told["textColor"], told["borderColor"]) == (colours.text, colours.line)
        assert (told["greenTextColor"], told["orangeTextColor"]) == (colours.up, colours.down)


def test_nothing_is_told_to_streamlits_makers() -> None:
    config = tomllib.loads((Path(door.APP).parent / ".streamlit" / "config.toml").read_text())
    assert config["browser"]["gatherUsageStats"] is False


# Numbers as texts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (42_981.4, "$42,981"),
        (0.00002993, "$0.00002993"),
        (1.5, "$1.50"),
        (0, "$0.00"),
        (None, formats.MISSING),
        (0.5238, "$0.5238"),
    ],
)
def test_a_price_has_as_many_digits_as_it_needs(value: float | None, text: str) -> None:
    assert formats.price(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.2e12, "$1.20T"), (45.61e9, "$45.6B"), (999.96e6, "$1.00B"), (812, "$812"), (float("nan"), formats.MISSING)],
)
def test_a_sum_has_three_digits_and_a_letter(value: float, text: str) -> None:
    assert formats.large(value) == text


@given(some.none() | some.floats())
def test_no_number_is_without_a_text(value: float | None) -> None:
    for form in (formats.price, formats.large, formats.change, formats.share, formats.number, formats.count):
        assert form(value)


def test_ages_and_days() -> None:
    assert formats.day(date(2026, 11, 4)) == "4 Nov 2026"
    ages = [timedelta(seconds=s) for s in (1, 40, 600, 9_000, 400_000)]
    assert [formats.ago(age) for age in ages] == ["just now", "40 s ago", "10 min ago", "2 h ago", "5 days ago"]


# Conditions ----------------------------------------------------------------------------------------------------------

ROWS = pd.DataFrame(
    {"rsi_14d": [20.0, 40.0, None], "close_usd": [5.0, 1.0, 2.0], "sma_200d": [4.0, 2.0, 1.0],
     "market_cap_usd": [5e6, 2e9, 1e3], "return_30d": [0.1, -0.2, 0.0]}
)  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ("", [0, 1, 2]),
        ("RSI under 30 and above SMA_200", [0]),
        ("rsi_14d >= 0", [0, 1]),
        ("cap > 1M, return_30d > -5%", [0]),
        ("below sma_200d", [1]),
        ("close_usd > sma_200d", [0, 2]),
    ],
)
def test_conditions_combine(asked: str, kept: list[int]) -> None:
    rows, unclear = conditions.kept(ROWS, asked)
    assert (list(rows.index), unclear) == (kept, "")


def test_a_condition_may_be_written_as_it_is_said() -> None:
    for said, meant in (
        ("RSI under 30 and above SMA 200", "rsi_14d < 30 and close_usd > sma_200d"),
        ("close > $1", "close_usd > 1"),
        ("market cap over 1M", "market_cap_usd > 1000000"),
    ):
        assert conditions.kept(ROWS, said)[1] == "", said
        assert list(conditions.kept(ROWS, said)[0].index) == list(conditions.kept(ROWS, meant)[0].index), said


def test_what_is_half_understood_filters_nothing() -> None:
    rows, unclear = conditions.kept(ROWS, "close_usd > 3 and nonsense")
    assert len(rows) == len(ROWS) and "is no condition" in unclear


def test_what_is_not_understood_is_said() -> None:
    assert "did you mean rsi_14d" in conditions.kept(ROWS, "rsi_14 < 3")[1]
    assert "is no condition" in conditions.kept(ROWS, "__import__('os')")[1]


@given(some.text(max_size=60))
def test_no_text_breaks_the_screener(text: str) -> None:
    conditions.kept(ROWS, text)


# The door ------------------------------------------------------------------------------------------------------------


def test_the_head_names_what_streamlit_asks_for_late() -> None:
    page = (door.STATIC / "index.html").read_text("utf-8")
    made = door.with_head(page, door.early(door.STATIC))
    assert made.count("modulepreload") == page.count("modulepreload") + len(door.early(door.STATIC))
    assert "PlotlyChart" in made and 'href="./' not in made
