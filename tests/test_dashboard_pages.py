"""Pages as Streamlit runs them, without a browser: each draws, and so do its choices; nothing is taken for real."""

from __future__ import annotations

from pathlib import Path

import pytest
from deltalake import DeltaTable, write_deltalake
from streamlit.testing.v1 import AppTest

import goldlake
from pages import PAGES

TITLES = {
    "market": "Market", "coin": "Coin", "signals": "Signals", "lab": "Strategy lab", "screener": "Screener",
    "compare": "Compare", "health": "Data health",
}  # fmt: skip
every_page = pytest.mark.parametrize("name", PAGES)


def script(name: str) -> None:
    """What Streamlit runs: one page within its frame, and the others to link to."""
    import streamlit as st

    from coinlake.dashboard import app

    app.parts.styles()
    pages = {each: st.Page(lambda: None, title=title, url_path=each) for each, (title, _) in app.PAGES.items()}
    app._page(name, pages)


@pytest.fixture(scope="session")
def gold(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gold of 20 coins and 420 days."""
    return goldlake.make(tmp_path_factory.mktemp("pages"), 20, 420)


def opened(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """A page over a gold root, drawn."""
    monkeypatch.setenv("COINLAKE_GOLD", str(root))
    return AppTest.from_function(script, kwargs={"name": name}, default_timeout=60).run()


def said(page: AppTest) -> str:
    """Everything that a page says in words, but for its tables."""
    values = [getattr(each, "value", None) for each in page.main]
    bodies = [getattr(each.proto, "body", "") for each in page.main]
    return " ".join(str(each) for each in (*values, *bodies) if isinstance(each, str))


def drawn(page: AppTest) -> AppTest:
    assert [each.value for each in page.exception] == []
    return page


@every_page
def test_a_page_draws_under_its_title_and_nothing_of_it_is_taken_for_real(
    name: str, gold: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = drawn(opened(name, gold, monkeypatch))
    assert [each.value for each in page.title] == [TITLES[name]]
    words = said(page)
    assert "Simulated market" in words
    assert "CoinGecko" in words and "investment advice" in words


@every_page
def test_every_choice_of_every_control_draws(name: str, gold: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = drawn(opened(name, gold, monkeypatch))
    for number, box in enumerate(page.selectbox):
        shows_names = box.value not in box.options  # a coin is chosen by its id and shown by its name
        for choice in [f"sim-{each}" for each in goldlake.NAMES[:5]] if shows_names else list(box.options):
            page.selectbox[number].set_value(choice)
            drawn(page.run())
    for number, group in enumerate(page.button_group):
        for choice in list(group.options):
            page.button_group[number].set_value([choice])
            drawn(page.run())
    for number, toggle in enumerate(page.toggle):
        page.toggle[number].set_value(not toggle.value)
        drawn(page.run())


@pytest.mark.parametrize(
    ("name", "link"),
    [
        ("compare", {"with": ",".join(f"sim-{each}" for each in goldlake.NAMES)}),
        ("compare", {"with": "sim-solana,sim-solana"}),
        ("lab", {"held": "sim-solana,sim-solana,nothing"}),
        ("signals", {"coins": "sim-solana,sim-solana", "strength": "nan", "since": "never"}),
    ],
)
def test_a_link_that_asks_for_too_much_draws_what_can_be_shown(
    name: str, link: dict[str, str], gold: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COINLAKE_GOLD", str(gold))
    page = AppTest.from_function(script, kwargs={"name": name}, default_timeout=60)
    page.query_params.update(link)
    drawn(page.run())
    assert len(page.multiselect[-1 if name == "signals" else 0].value) == (8 if len(link.get("with", "")) > 90 else 1)


@every_page
def test_columns_that_are_not_there_are_missed_and_not_made_up(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = goldlake.make(tmp_path, 5, 90)
    for table, columns in (("signals", ["sentence"]), ("health", ["verdict"]), ("daily", ["flags", "is_final"])):
        rows = DeltaTable(str(made / table)).to_pandas().drop(columns=columns)
        write_deltalake(str(made / table), rows, mode="overwrite", schema_mode="overwrite")
    words = said(drawn(opened(name, made, monkeypatch)))
    if name == "health":
        assert ">Serve<" not in words and "is not known" in words and "no, provisional" not in words


@every_page
def test_what_is_on_hold_is_said_once_on_every_page_and_nothing_where_all_serves(
    name: str, gold: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "on hold" not in said(drawn(opened(name, gold, monkeypatch))).lower()
    made = goldlake.make(tmp_path, 5, 90)
    goldlake.hold(made)
    page = drawn(opened(name, made, monkeypatch))
    assert [body for each in page.main if "on hold" in (body := getattr(each.proto, "body", ""))] == [
        '<div class="banner" role="note"><b>On hold, not to be relied on.</b> gold.daily: 2 of 5 coins missing: '
        "&lt;ada&gt;, sol. What rests on it is on hold too: gold.market.</div>"
    ]
    assert name != "health" or ">Hold<" in said(page)


@every_page
def test_one_coin_and_little_history_draw_as_well(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn(opened(name, goldlake.make(tmp_path, 1, 40), monkeypatch))


@every_page
@pytest.mark.parametrize("missing", [("market", "signals", "market_summary"), ("indicators", "backtests", "health")])
def test_a_half_filled_lake_shows_what_it_has(
    name: str, missing: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gold = goldlake.make(tmp_path, 8, 90)
    for table in missing:
        (gold / table).rename(tmp_path / table)
    page = drawn(opened(name, gold, monkeypatch))
    assert [each.value for each in page.title] == [TITLES[name]]


@pytest.mark.parametrize(
    ("made", "heading"),
    [((), "There is no lake here"), (("lake",), "This lake is empty"), (("lake", "lake/silver/prices"), "Silver is")],
)
def test_a_place_without_gold_says_which_it_is_and_what_to_run(
    made: tuple[str, ...], heading: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in made:
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    page = drawn(opened("market", tmp_path / "lake" / "gold", monkeypatch))
    assert page.title[0].value.startswith(heading)
    assert "coinlake" in page.code[0].value


def test_a_lake_that_cannot_be_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gold = goldlake.make(tmp_path, 2, 40)
    for file in (gold / "market_summary").glob("*.parquet"):
        file.write_bytes(b"no parquet")
    page = drawn(opened("market", gold, monkeypatch))
    assert page.title[0].value == "This lake cannot be read"
