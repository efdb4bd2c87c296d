"""The report as a reader finds it: one file, honest about what is not known; and one coin at a glance."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import duckdb
import pytest

from coinlake import exports, report
from coinlake.coin import found
from coinlake.dashboard import queries
from coinlake.dashboard.gold import Gold, look
from coinlake.errors import ConfigError
from coinlake.gold import backtests, market, market_summary, signals
from coinlake.gold import health as gold_health
from coinlake.gold.odds import ODDS
from coinlake.lake import Lake
from coinlake.portrait import BLOCKS, sparkline
from coinlake.report import figures, words
from coinlake.report.chances import AHEAD_DAYS, Odds, Rose
from coinlake.report.page import page
from coinlake.report.rows import Rows, read
from coinlake.simulator import Options, running
from coinlake.table import Table
from test_cli import coinlake
from test_demo import work_on

DAY = date(2022, 2, 1)
MINUS, NARROW = "\N{MINUS SIGN}", "\N{NO-BREAK SPACE}"


# What is read -------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """The tags, attributes and words of a page; complains where tags do not nest."""

    VOID = ("meta", "link", "br", "path", "rect", "circle")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self._open or self._open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def row(table: Table, **known: Any) -> dict[str, Any]:
    """A row of which nothing is known but what is given, and that counts are zero."""
    blank = {name: 0 if column.required else None for name, column in table.columns.items()}
    return {**blank, "day": DAY, **known}


def coin(coin_id: str, **known: Any) -> dict[str, Any]:
    return row(market_summary.TABLE, coin_id=coin_id, price_usd=1.0, close_usd=1.0, **known)


def event(coin_id: str = "bitcoin", rule: str = "mean_reversion") -> dict[str, Any]:
    told = "BUY: the price ($1.00) is under its 7-day average ($2.00, -50.0 %)"
    return row(signals.TABLE, coin_id=coin_id, rule=rule, direction="up", sentence=told, tradable_on=DAY)


def verdict(has_edge: bool, words: str) -> dict[str, Any]:
    return row(backtests.TABLE, has_edge=has_edge, verdict=words, survivorship_biased=False)


FRESH = {
    "coins": 1, "coins_on_newest": 1, "behind": None, "days_missing": 0, "first_day": DAY, "not_final": 0, "flagged": 0,
    "sources": ["coingecko"], "priced_at": datetime(2022, 2, 2, 0, 44, tzinfo=UTC),
}  # fmt: skip
ROWS = Rows(
    newest=DAY,
    market=[row(market.TABLE, survivorship_biased=False)],
    coins=[coin("bitcoin", name="Bitcoin", symbol="btc", return_24h=0.05)],
    closes={"bitcoin": [1.0, None, 2.0]},
    freshness=FRESH,
)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake of a simulated market: five coins, 60 days."""
    folder = tmp_path_factory.mktemp("report")
    with running(Options(coins=20, plan="keyless", rate=0, now="2026-03-01T00:45:00Z", speed=0)) as simulator:
        work = work_on(folder, simulator.url, "2026-03-01T00:45:00Z", 5, days="60")
        work.run()
    return work.lake


# The page -----------------------------------------------------------------------------------------------------------


def test_the_page_asks_nobody_for_anything(lake: Lake) -> None:
    html = report.report(lake)
    read = Page(html)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", html)
    assert not {"img", "iframe", "object", "embed", "a", "form"} & set(read.tags)
    assert all(value == "data:," for name, value in read.attributes if name in ("src", "href"))
    assert any("default-src 'none'" in value for name, value in read.attributes if name == "content")


def test_a_name_that_is_markup_stays_a_name() -> None:
    evil = "<b>\"&'</b><script>alert(1)</script>"
    rows = replace(
        ROWS,
        coins=[coin(evil, name=evil, symbol=evil, return_24h=0.1)],
        closes={evil: [1.0, 2.0]},
        signals=[{**event(evil, rule=evil), "sentence": evil}],
        verdicts={(evil, "*"): verdict(False, evil)},
        freshness={**FRESH, "behind": [evil], "sources": [evil]},
        health=[row(gold_health.TABLE, table_name=evil, reason=evil, verdict="hold")],
    )
    html = page(rows)
    assert evil not in html and "<script>alert" not in html
    assert Page(html).tags.count("script") == 1
    assert "<b>" in Page(html).text


def test_what_is_not_known_is_a_dash_and_never_a_zero_or_none() -> None:
    rows = replace(ROWS, coins=[coin("bitcoin")], market=[row(market.TABLE)], closes={})
    text = Page(page(rows)).text
    assert re.findall(r"\b(?:None|nan|null)\b(?! of this|\.)", text) == []
    assert text.count(words.MISSING) > 15
    assert "not known" in text


@pytest.mark.parametrize("rows", [Rows(), Rows(newest=DAY), replace(ROWS, market=()), replace(ROWS, coins=())])
def test_a_page_of_little_or_nothing_is_still_a_page(rows: Rows) -> None:
    read = Page(page(rows))
    assert "investment advice" in read.text and "CoinGecko" in read.text


def test_a_lake_without_gold_gives_a_page_that_says_so(tmp_path: Path) -> None:
    assert "Gold is empty" in Page(report.report(Lake.at(str(tmp_path)))).text


def test_the_same_rows_make_the_same_page(lake: Lake) -> None:
    assert report.report(lake) == report.report(lake)


def test_a_simulated_market_says_so_and_a_real_one_names_coingecko(lake: Lake) -> None:
    assert "A simulated market" in Page(report.report(lake)).text
    real = Page(page(ROWS)).text
    assert "A simulated market" not in real
    assert "Data powered by CoinGecko." in real
    assert "Newest finished day: 1 February 2022" in real


def test_what_is_on_hold_is_said_above_everything_with_the_reason_it_began_with() -> None:
    def told(**holds: str) -> str:
        names = ("daily", "indicators", "market", "backtests")
        verdicts = {name: ("hold", holds[name]) if name in holds else ("serve", "all 5 coins") for name in names}
        health = [
            row(gold_health.TABLE, table_name=f"gold.{name}", verdict=verdict, reason=reason)
            for name, (verdict, reason) in verdicts.items()
        ]
        silver = row(gold_health.TABLE, table_name="silver.prices")
        banners = page(replace(ROWS, health=[silver, *reversed(health)])).split("<header>")[0].split("<body>")[1]
        return "".join(Page(banners).words).strip()

    assert told() == ""
    assert told(backtests="it reaches to 2021-12-31 only") == (
        "On hold, not to be relied on. gold.backtests: it reaches to 2021-12-31 only."
    )
    rests = {"indicators": "gold.daily is held; 2 of 5 coins missing: ada, sol", "market": "gold.daily is held"}
    assert told(daily="2 of 5 coins missing: ada, sol", **rests) == (
        "On hold, not to be relied on. gold.daily: 2 of 5 coins missing: ada, sol. "
        "What rests on it is on hold too: gold.indicators and gold.market."
    )
    assert told(daily="no row in 30 days", backtests="no month has ended yet") == (
        "On hold, not to be relied on. gold.daily: no row in 30 days. gold.backtests: no month has ended yet."
    )


def test_a_signal_without_evidence_is_grey_and_gives_no_order() -> None:
    weak = replace(
        ROWS, signals=[event()], verdicts={("mean_reversion", "*"): verdict(False, "no evidence of an edge")}
    )
    strong = replace(ROWS, signals=[event()], verdicts={("mean_reversion", "*"): verdict(True, "beat holding")})
    assert "BUY" not in page(weak) and 'class="card rule quiet"' in page(weak)
    assert "no evidence of an edge" in Page(page(weak)).text
    assert "BUY" in page(strong) and 'class="card rule edge"' in page(strong)


def test_evidence_on_one_coin_is_told_of_that_coin_alone() -> None:
    both = [event("bitcoin"), event("monero")]
    rows = replace(ROWS, signals=both, verdicts={("mean_reversion", "monero"): verdict(True, "did better here")})
    text = Page(page(rows)).text
    assert text.count("BUY") == 1
    assert "On this coin: did better here." in text


@pytest.mark.parametrize(
    ("odds", "told"),
    [
        (Odds(1234, 0.47, -0.032), f"of 1,234 closed trades, 47{NARROW}% won, median {MINUS}3.2{NARROW}%."),
        (Odds(9, 1.0, 0.1), "too few to say (9 closed trades)."),
        (Odds(1, 1.0, 0.1), "too few to say (1 closed trade)."),
        (Odds(0, None, None), "no closed trade yet."),
        (None, "no closed trade yet."),
    ],
)
def test_odds_are_told_where_there_are_enough_closed_trades(odds: Odds | None, told: str) -> None:
    rows = replace(ROWS, signals=[event()], odds={("mean_reversion", "up"): odds} if odds else {})
    assert f'<p class="fine">Odds ▲ {told} Rose in 30 days: no earlier event to count.</p>' in page(rows)


def test_how_often_the_price_rose_stands_beside_its_base_rate_and_is_not_called_odds() -> None:
    many = replace(ROWS, signals=[event()], rose={("mean_reversion", "up"): Rose(400, 0.55, 0.51)})
    few = replace(ROWS, signals=[event()], rose={("mean_reversion", "up"): Rose(7, 1.0, 0.51)})
    assert f"Rose in 30 days: 55{NARROW}% of 400 events, base rate 51{NARROW}%." in page(many)
    assert "Rose in 30 days: too few to say (7 earlier events)." in page(few)
    assert "base rate" not in page(few).split('class="rules"')[1]


def test_the_report_and_the_dashboard_give_a_signal_the_same_odds(lake: Lake) -> None:
    rows = read(lake)
    assert rows.newest
    seen = queries.signals_of(Gold(lake.gold, look(lake.gold)), rows.newest)
    assert len(seen) == len(rows.signals) > 0 and seen["odds_trades"].max() > 0
    for rule, direction, *known in seen[["rule", "direction", *ODDS]].itertuples(index=False):
        told = rows.odds[rule, direction]
        assert (told.trades, told.won, told.median) == tuple(None if each != each else each for each in known)


def test_the_report_needs_no_pandas(lake: Lake) -> None:
    code = (
        "import sys; from coinlake import report; from coinlake.lake import Lake; "
        f"assert 'Odds' in report.report(Lake.at({str(Path(lake.gold).parent)!r})); "
        "print(*sorted({'pandas', 'polars', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_the_price_rose_from_the_close_after_the_event(lake: Lake) -> None:
    rows = read(lake)
    con = duckdb.connect()
    for name in ("signals", "indicators"):
        source = str(Path(lake.gold) / name / "**" / "*.parquet")
        con.execute(f"create table {name} as from read_parquet('{source}', hive_partitioning = false)")
    closes = {(c, d): p for c, d, p in con.sql("select coin_id, day, close_usd from indicators").fetchall()}
    counted: dict[tuple[str, str], list[bool]] = {}
    for c, d, rule, way in con.sql("select coin_id, day, rule, direction from signals").fetchall():
        first, last = (closes.get((c, date.fromordinal(d.toordinal() + n))) for n in (1, 1 + AHEAD_DAYS))
        if first and last and rule in {each["rule"] for each in rows.signals}:
            counted.setdefault((rule, way), []).append(last > first)
    assert counted
    assert {key: rose.events for key, rose in rows.rose.items()} == {key: len(each) for key, each in counted.items()}
    for key, each in counted.items():
        assert rows.rose[key].share == pytest.approx(sum(each) / len(each))


# Figures and words --------------------------------------------------------------------------------------------------


def test_a_line_breaks_where_a_day_is_missing_and_stays_inside_its_box() -> None:
    svg = figures.sparkline([1.0, 2.0, None, 4.0, 3.0], "x")
    assert svg.count('class="line"') == 2
    numbers = [tuple(map(float, pair)) for pair in re.findall(r"(\d+\.\d) (\d+\.\d)", svg)]
    assert all(0 <= x <= figures.WIDTH and 0 <= y <= figures.HEIGHT for x, y in numbers)


def test_a_lone_spike_is_cut_off_at_the_edge_and_the_newest_value_never_is() -> None:
    def heights(values: list[float]) -> list[float]:
        return [
            float(y) for _, y in re.findall(r"(\d+\.\d) (\d+\.\d)", figures.sparkline(values, "x").split("line")[1])
        ]

    wave = [100.0 + n % 10 for n in range(60)]
    top = figures.MARGIN
    assert max(heights([*wave, 1e6, 105.0])) - sorted(heights([*wave, 1e6, 105.0]))[1] > figures.HEIGHT / 4
    newest = heights([*wave, 1e6])
    assert newest[-1] == top and sorted(newest)[2] > figures.HEIGHT * 0.8


def test_a_price_that_never_moves_is_a_line_through_the_middle() -> None:
    assert f" {figures.HEIGHT / 2:.1f}" in figures.sparkline([5.0] * 3, "x")
    assert sparkline([5.0, 5.0]) == BLOCKS[4] * 2


def test_a_line_of_the_terminal_leaves_unknown_days_empty() -> None:
    assert sparkline([1.0, None, 8.0]) == f"{BLOCKS[0]} {BLOCKS[-1]}"
    assert len(sparkline([float(n) for n in range(365)])) == 60
    assert sparkline([]) == ""


def test_numbers_are_said_as_a_person_says_them() -> None:
    assert [words.money(each) for each in (1.97e12, 119.1e9, 4.25e6, 12.0, None)] == [
        "$1.97 T", "$119.1 B", "$4.25 M", "$12.00", words.MISSING,
    ]  # fmt: skip
    assert [words.gain(each) for each in (0.123, -0.016, -0.0001, None)] == [
        "+12.3 %", f"{MINUS}1.6 %", "0.0 %", words.MISSING,
    ]  # fmt: skip
    assert words.bound("-5 % of $1.97 T") == f"{MINUS}5{NARROW}% of $1.97{NARROW}T"
    assert [words.mood(each) for each in (0, 39.9, 50, 80, None)] == [
        "extreme fear", "fear", "neutral", "extreme greed", "not known",
    ]  # fmt: skip


# Exports ------------------------------------------------------------------------------------------------------------


def test_exports_hold_their_tables_row_by_row_and_the_report(lake: Lake, tmp_path: Path) -> None:
    exports.export(lake, tmp_path)
    names = {each.name for each in tmp_path.iterdir()}
    assert names == {f"{t}.{e}" for t in ("market_summary", "signals", "indicators") for e in ("csv", "parquet")} | {
        "report.html"
    }
    for table in ("signals", "indicators"):
        whole = str(Path(lake.gold) / table / "**" / "*.parquet")
        counts = [
            duckdb.sql(f"select count(*) from read_{form}('{path}')").fetchall()
            for form, path in (
                ("parquet", whole), ("parquet", f"{tmp_path}/{table}.parquet"), ("csv", f"{tmp_path}/{table}.csv"),
            )
        ]  # fmt: skip
        assert counts[0] == counts[1] == counts[2] != [(0,)]


def test_exports_are_written_again_only_where_a_table_moved(lake: Lake) -> None:
    assert exports.refresh(lake) == []
    lake.exports.delete(f"{exports.FOLDER}/{report.NAME}")
    noted = json.loads(lake.exports.get(exports.NOTE))
    lake.exports.put_over(exports.NOTE, json.dumps({**noted, "gold.signals": -1}).encode())
    assert [Path(each).name for each in exports.refresh(lake)] == ["signals.csv", "signals.parquet", "report.html"]
    assert exports.refresh(lake) == []


def test_a_report_of_an_older_form_is_written_anew(lake: Lake) -> None:
    noted = json.loads(lake.exports.get(exports.NOTE))
    lake.exports.put_over(exports.NOTE, json.dumps({**noted, report.NAME: 0}).encode())
    assert [Path(each).name for each in exports.refresh(lake)] == ["report.html"]


# One coin -----------------------------------------------------------------------------------------------------------

KNOWN = [
    {"coin_id": "bitcoin", "symbol": "btc", "name": "Bitcoin"},
    {"coin_id": "batcat", "symbol": "btc", "name": "Bat Cat"},
    {"coin_id": "monero", "symbol": "XMR ", "name": "Monero"},
]


@pytest.mark.parametrize("asked", ["monero", "Monero", "xmr", " XMR "])
def test_a_coin_is_found_by_its_id_or_by_a_symbol_of_its_own(asked: str) -> None:
    assert found(asked, KNOWN) == "monero"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("btc", "'btc' is the symbol of 2 coins; ask by id: bitcoin, batcat"),
        ("bitcon", "'bitcon' is no coin of this lake; near it: bitcoin"),
        ("zzz", "'zzz' is no coin of this lake; `coinlake query` over gold.market_summary lists the coins"),
    ],
)
def test_a_coin_that_is_not_there_is_answered_by_one_sentence(asked: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        found(asked, KNOWN)
    assert str(error.value) == told


def test_a_lake_without_coins_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match="coinlake run"):
        found("bitcoin", [])


def test_a_coin_is_shown_to_a_person_and_to_a_machine(lake: Lake, tmp_path: Path) -> None:
    root = str(Path(lake.gold).parent)
    shown = coinlake(tmp_path, "show", "sim-bitcoin", "--lake", root)
    assert shown.returncode == 0, shown.stderr
    assert "A simulated coin" in shown.stdout
    assert all(each in shown.stdout for each in ("7d", "30d", "90d", "365d", "rsi_14d", "converged"))
    assert set(BLOCKS) & set(shown.stdout)
    told = json.loads(coinlake(tmp_path, "show", "btc", "--json", "--lake", root).stdout)
    assert told["coin_id"] == "sim-bitcoin"
    assert len(told["closes_usd"]) == 60
    assert {each["indicator"]: each["converged"] for each in told["indicators"]}["ema_50d"] is False
    assert "~" in shown.stdout


def test_an_unknown_coin_ends_with_the_code_of_a_wrong_argument(lake: Lake, tmp_path: Path) -> None:
    done = coinlake(tmp_path, "show", "bitcoin", "--lake", str(Path(lake.gold).parent))
    assert done.returncode == 3
    assert "near it: sim-bitcoin" in done.stderr


def test_the_report_goes_where_it_is_asked_to(lake: Lake, tmp_path: Path) -> None:
    root = str(Path(lake.gold).parent)
    beside = json.loads(coinlake(tmp_path, "report", "--json", "--lake", root).stdout)["report"]
    assert beside.endswith("exports/report.html")
    assert coinlake(tmp_path, "report", "--output", "mine.html", "--lake", root).returncode == 0
    piped = coinlake(tmp_path, "report", "--output", "-", "--lake", root).stdout
    assert (tmp_path / "mine.html").read_text() == piped == Path(beside).read_text()
    assert coinlake(tmp_path, "report", "--output", "no/mine.html", "--lake", root).returncode == 3
