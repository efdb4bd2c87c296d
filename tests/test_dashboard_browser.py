"""Truths about the dashboard as a reader meets it: every page in headless Chromium, over 250 coins and three years.

Pages are opened over gold that the pipeline made of a simulated market; what a control does is asked over made-up gold,
of which the test knows what is in it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import goldlake
from once import once
from pages import PAGES, WAIT_MS, browser, chromium, complaints, filled, served, settled

pytestmark = pytest.mark.slow(seconds=20)

WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
EVERY_PAGE = pytest.mark.parametrize("name", PAGES)


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of 250 coins and three years."""
    return once(tmp_path_factory, "wide", goldlake.make) / "gold"


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The gold that the pipeline makes of 250 simulated coins and three years."""
    return once(tmp_path_factory, "simulated", filled) / "gold"


@pytest.fixture(scope="session")
def address_of_simulated(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(simulated, folder=tmp_path_factory.mktemp("log")) as at:
        yield at


@pytest.fixture(scope="session")
def chrome() -> Iterator[Any]:
    if chromium() is None:
        if os.environ.get("CI") == "true":
            pytest.fail("there is no Chromium, and where CI=true there has to be one: `make browser` installs it")
        pytest.skip("there is no Chromium here: `make browser` installs it")
    with browser() as opened:
        yield opened.new_context()  # one for all: what it keeps of the scripts makes the second page cheap


@pytest.fixture(scope="session")
def address(lake: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(lake, folder=tmp_path_factory.mktemp("log")) as at:
        yield at


class Reader:
    """A page that is open, and everything that went wrong in it."""

    def __init__(self, chrome: Any, address: str, size: Any = WIDE) -> None:
        self.page = chrome.new_page()
        self.page.set_viewport_size(size)
        self.page.set_default_timeout(WAIT_MS // 3)
        self.address = address
        self.wrong: list[str] = []
        complaints(self.page, self.wrong)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, failed: object, *_: object) -> None:
        self.page.close()
        assert failed or self.wrong == []

    def open(self, path: str) -> Any:
        self.page.goto(f"{self.address}/{path}")
        settled(self.page)
        return self.page

    def pick(self, name: str, role: str = "radio") -> None:
        """Choose one of a row of choices."""
        self.page.get_by_role(role, name=name, exact=True).first.click()
        time.sleep(0.3)
        settled(self.page)

    def until_the_url_has(self, text: str) -> None:
        self.page.wait_for_function("text => decodeURIComponent(location.search).includes(text)", arg=text)

    def content(self) -> str:
        return str(self.page.inner_text("[data-testid=stMain]"))


@pytest.fixture
def reader(chrome: Any, address: str) -> Iterator[Reader]:
    with Reader(chrome, address) as opened:
        yield opened


@EVERY_PAGE
def test_a_page_fits_a_phone_has_no_complaint_and_everybody_can_use_it(
    chrome: Any, address_of_simulated: str, name: str
) -> None:
    with Reader(chrome, address_of_simulated, NARROW) as reader:
        page = reader.open(PAGES[name])
        assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= NARROW["width"]
        page.set_viewport_size(WIDE)
        grounds = {theme: _usable(reader, theme) for theme in ("light", "dark")}
        assert grounds["light"] != grounds["dark"]
        _reached_by_keyboard(page)


def _usable(reader: Reader, theme: str) -> str:
    """Demand that a page says what it must and bars nobody; returns the colour of its ground."""
    from axe_playwright_python.sync_playwright import Axe

    page = reader.page
    page.emulate_media(color_scheme=theme)
    time.sleep(0.5)  # it is drawn anew
    settled(page)
    assert page.query_selector_all("[data-testid=stException]") == []
    assert "Simulated market" in reader.content()
    assert "Data powered by CoinGecko" in reader.content() and "investment advice" in reader.content()
    found = Axe().run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in {"serious", "critical"}] == []
    return str(page.evaluate("getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"))


def _reached_by_keyboard(page: Any) -> None:
    """Demand that no control is left out; what opens a list, or steps through a row of choices, is reached by the field
    or the row that it belongs to.
    """
    unreached = page.evaluate(
        """[...document.querySelectorAll('[data-testid=stMain] :is(button,input,select,a[href],[role=slider])')]
        .filter(each => each.offsetParent && !each.disabled && each.type !== 'hidden' && each.tabIndex < 0)
        .filter(each => !each.closest('[data-tag],[role=radiogroup],[data-testid=stElementToolbar],[aria-haspopup]'))
        .filter(each => !each.closest('.js-plotly-plot,[data-testid=stDateInput],[aria-hidden=true]'))
        .filter(each => !each.closest('[data-testid^=stNumberInputStep]'))
        .map(each => each.outerHTML.slice(0, 200))"""
    )
    assert unreached == []
    for field in page.locator("[data-testid=stNumberInput] input").all():
        before = field.input_value()
        field.press("ArrowUp")  # as its button does
        assert field.input_value() != before


def test_the_command_serves_what_the_script_does(chrome: Any, simulated: Path, tmp_path: Path) -> None:
    with served(simulated, None, tmp_path) as at, Reader(chrome, at) as reader:
        for path in ("", "health"):
            reader.open(path)
            assert reader.page.locator("h1").last.inner_text() != "This lake cannot be read"
            assert "Simulated market" in reader.content()


def test_the_market_changes_with_its_controls(reader: Reader) -> None:
    reader.open("")
    before = reader.page.inner_text(".st-key-card-map")
    reader.pick("30d")
    reader.until_the_url_has("span=30d")
    assert reader.page.inner_text(".st-key-card-map") != before
    reader.pick("90 d")
    reader.until_the_url_has("period=90")
    reader.page.locator(".st-key-card-movers [data-testid=stPageLink] a").first.click()
    reader.page.wait_for_url("**/coin?coin=*")
    settled(reader.page)
    assert "Monthly returns" in reader.content()


def test_a_coin_changes_with_its_controls_and_a_link_restores_it(reader: Reader) -> None:
    page = reader.open("coin?coin=sim-ethereum")
    assert page.get_by_label("Coin", exact=True).input_value() == "Simulated Ethereum · ETH"
    page.locator(".st-key-Next button").first.click()
    reader.until_the_url_has("coin=sim-tether")
    for choice, said in (("3Y", "range=3Y"), ("Line", "form=Line"), ("Log", "scale=Log")):
        reader.pick(choice)
        reader.until_the_url_has(said)
    page.get_by_label("Panes").click()
    page.get_by_role("option", name="Drawdown").click()
    reader.until_the_url_has("Drawdown")
    page.keyboard.press("Escape")
    settled(page)
    link, chosen = page.url, page.get_by_role("radio", checked=True).all_inner_texts()
    with Reader(page.context.browser.new_context(), reader.address) as other:
        other.page.goto(link)
        settled(other.page)
        assert other.page.get_by_role("radio", checked=True).all_inner_texts() == chosen
        assert other.page.get_by_label("Coin", exact=True).input_value() == "Simulated Tether · USDT"
        assert "Drawdown" in other.page.inner_text(".st-key-card-price")
        assert other.page.url == link


def test_signals_are_filtered_and_those_without_evidence_are_grey(reader: Reader) -> None:
    page = reader.open("signals?since=Today&coins=sim-bitcoin,sim-ethereum")
    heading = page.locator(".st-key-card-events h2").inner_text()
    assert int(re.sub(r"\D", "", heading)) >= 10
    assert page.locator(".ev.g").count() > 0
    assert page.locator(".ev.g", has_text="golden cross").count() == 0
    reader.pick("Up")
    reader.until_the_url_has("way=Up")
    assert page.locator(".st-key-card-events h2").inner_text() != heading
    assert page.locator(".ev.d").count() == 0


def test_the_lab_answers_for_the_costs_it_is_given(reader: Reader) -> None:
    page = reader.open("lab?rule=momentum&held=sim-bitcoin,sim-solana")
    before = page.inner_text(".kpis")
    page.get_by_label("Fee, basis points").fill("150")
    page.keyboard.press("Enter")
    reader.until_the_url_has("fee=150")
    page.wait_for_function("before => document.querySelector('.kpis').innerText !== before", arg=before)
    assert "sim-solana" in page.url


def test_the_screener_keeps_its_conditions_in_the_url(reader: Reader) -> None:
    page = reader.open("screener?where=rsi_14d+%3C+40+and+above+sma_200d")
    assert re.match(r"\d+ of 250 coins", page.locator(".st-key-card-screen h2").inner_text())
    reader.pick("Calm", "button")
    reader.until_the_url_has("where=volatility_30d")
    page.get_by_role("textbox", name="Conditions").fill("rsi_14 < 3")
    page.keyboard.press("Enter")
    page.get_by_text("did you mean rsi_14d").wait_for()


def test_compare_draws_the_coins_that_the_link_names(reader: Reader) -> None:
    page = reader.open("compare?with=sim-solana,sim-ripple")
    legend = page.text_content(".st-key-card-rebased .legend")
    assert "SOL" in legend and "XRP" in legend and "ETH" not in legend
    reader.pick("30")
    reader.until_the_url_has("days=30")


def test_health_leads_from_a_number_to_its_object_in_bronze(reader: Reader) -> None:
    reader.open("health?on=2026-11-20")
    assert "date=2026-11-20/r-0.jsonl.gz" in reader.page.inner_text(".st-key-card-origin")
    assert "Serve" in reader.page.inner_text(".kpis")


def test_a_new_version_appears_within_ten_seconds_and_the_reader_stays_where_he_is(chrome: Any, tmp_path: Path) -> None:
    gold = goldlake.make(tmp_path, 20, 420)
    with served(gold) as at, Reader(chrome, at) as reader:
        page = reader.open("coin?coin=sim-solana&range=3M")
        page.evaluate("document.querySelector('[data-testid=stMain]').scrollTop = 300")
        before = page.locator(".kpi .v").first.inner_text()
        goldlake.next_version(gold)
        began = time.monotonic()
        page.wait_for_function("before => document.querySelector('.kpi .v').innerText !== before", arg=before)
        assert time.monotonic() - began < (10 if os.cpu_count() and os.getloadavg()[0] < 3 else 30)
        settled(page)
        assert abs(page.evaluate("document.querySelector('[data-testid=stMain]').scrollTop") - 300) < 80
        assert "coin=sim-solana" in page.url and "range=3M" in page.url


def test_gold_that_arrives_replaces_the_page_that_asked_for_it(chrome: Any, tmp_path: Path) -> None:
    with served(tmp_path / "data" / "gold") as at, Reader(chrome, at) as reader:
        reader.open("")
        assert reader.page.locator("h1").last.inner_text() == "There is no lake here"
        reader.page.get_by_text("coinlake demo --once").first.wait_for()
        assert reader.wrong == []
        goldlake.make(tmp_path / "data", 8, 90)
        reader.page.get_by_text("Today's signals").wait_for()
