"""What is computed when it is asked for is what the tables say where they say it."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from coinlake import fill
from coinlake.errors import ConfigError
from coinlake.wiring import Workspace
from test_fill import work_on


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Six coins and 400 days, up to the end of September."""
    made = work_on(tmp_path_factory.mktemp("asked") / "lake")
    fill.into_silver(made, fill.Bucket(6, 400))
    made.analyze()
    return made


def rows(relation: Any) -> list[dict[str, Any]]:
    return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]


def test_an_equity_ends_where_the_backtest_says(work: Workspace) -> None:
    told = rows(work.query("from gold.backtests where coin_id <> '*'"))
    assert {row["rule"] for row in told} >= {"mean_reversion", "macd_cross", "momentum"}
    for row in told:
        curve = rows(work.equity(row["rule"], row["coin_id"], None, row["until"]))
        assert (curve[0]["day"], curve[-1]["day"]) == (row["first_day"], row["until"])
        assert curve[-1]["strategy"] - 1 == pytest.approx(row["total_return"], abs=1e-12)
        assert curve[-1]["holding"] - 1 == pytest.approx(row["hold_total_return"], abs=1e-12)
        assert curve[-1]["bitcoin"] - 1 == pytest.approx(row["bitcoin_total_return"], abs=1e-12)
        assert sum(day["is_held"] for day in curve) / len(curve) == pytest.approx(row["exposure"], abs=1e-12)


def test_correlations_of_a_months_end_are_the_tables_and_those_of_today_are_of_the_newest_day(work: Workspace) -> None:
    kept = rows(work.query("from gold.correlations where month_end = date '2023-07-31' order by all"))
    asked = sorted(rows(work.correlations([], date(2023, 7, 31))), key=lambda row: (row["coin_a"], row["coin_b"]))
    pairs = ("coin_a", "coin_b", "window_days")
    assert kept and {tuple(row[name] for name in pairs): row["correlation"] for row in asked} == pytest.approx(
        {tuple(row[name] for name in pairs): row["correlation"] for row in kept}, abs=1e-12
    )
    newest = rows(work.correlations(["sim-bitcoin", "sim-ethereum"], None))
    assert {(row["day"], row["coin_a"], row["coin_b"]) for row in newest} == {
        (date(2023, 9, 30), "sim-bitcoin", "sim-ethereum")
    }


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda work: work.equity("golden", "sim-bitcoin", None, None), "there is no rule 'golden'; there are"),
        (lambda work: work.equity("momentum", "nothing", None, None), "nothing"),
        (lambda work: work.equity("momentum", "sim-bitcoin", date(2030, 1, 1), None), "no two days"),
        (lambda work: work.correlations(["sim-bitcoin"], None), "name another"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_sentence(work: Workspace, ask: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ask(work)
