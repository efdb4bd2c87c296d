"""Own histories come in bit for bit or are refused with their line; what is ambiguous is asked about, never guessed."""

from __future__ import annotations

import csv
import gzip
import io
import math
import os
import re
import struct
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coinlake import catalog
from coinlake.answer import Answer, pack, unpack
from coinlake.bronze import kind, own
from coinlake.engine import engine
from coinlake.errors import ConfigError
from coinlake.lake import Lake
from coinlake.progress import silent
from coinlake.settings import load
from coinlake.silver.clean import clean
from coinlake.wiring import Workspace, workspace
from lakes import Program, differences
from strategies import examples

NOW = datetime(2022, 2, 1, 0, 45, tzinfo=UTC)
FIRST_DAY = date(2014, 9, 17)
HEADER = ("day", "open", "high", "low", "close", "volume")

Row = Sequence[str]


# Ways to bring a file in ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Home:
    """A lake in a folder, at a moment; settings as in the environment (`sources="mine,coingecko"`)."""

    folder: Path
    now: datetime = NOW

    def at(self, now: datetime) -> Home:
        """The same lake, later."""
        return Home(self.folder, now)

    def workspace(self, **settings: str) -> Workspace:
        """What a door would open."""
        environ = {f"COINLAKE_{name.upper()}": value for name, value in settings.items()}
        environ |= {"COINLAKE_LAKE": str(self.folder / "lake"), "COINLAKE_NOW": self.now.isoformat()}
        return workspace(load({}, environ, self.folder).settings, silent)

    def bring(self, *files: Path, source: str = "mine", **options: Any) -> dict[str, Any]:
        """Import files."""
        given = {"mapping": {}, "coin": None, "time_is": "opens", "date_form": None, "dry_run": False} | options
        return self.workspace().import_files(list(map(str, files)), source, **given)

    def query(self, sql: str, **settings: str) -> list[tuple[Any, ...]]:
        """Rows of silver and gold."""
        return self.workspace(**settings).query(sql).fetchall()

    def write(self, name: str, content: str | bytes) -> Path:
        """A file beside the lake."""
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    @property
    def is_untouched(self) -> bool:
        """Whether there is no lake at all."""
        return not (self.folder / "lake").exists()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty place."""
    return Home(tmp_path)


@dataclass(frozen=True)
class Outcome:
    """What a file gives: candles as (coin, span, closed at in microseconds, open, high, low, close, volume), and
    rejects as (path, rule, value, detail).
    """

    candles: list[tuple[Any, ...]]
    rejects: list[tuple[Any, ...]]

    @property
    def refused(self) -> set[tuple[str, str]]:
        """Where, and by which rule."""
        return {(path, rule) for path, rule, _, _ in self.rejects}

    @property
    def refused_lines(self) -> set[int]:
        """Numbers of the lines that are refused."""
        return {int(re.findall(r"\[(\d+)\]", path)[0]) for path, _, _, _ in self.rejects}


def outcome(path: Path, on: str = "duckdb", at: datetime = NOW, **options: Any) -> Outcome:
    """Candles and rejects of a file, without a lake."""
    given = {"mapping": {}, "coin": None, "time_is": "opens", "date_form": None, "knows": lambda _: False} | options
    answer = own.read(path, "mine", **given).answer(at)
    return of_answer(answer, on)


def of_answer(answer: Answer, on: str = "duckdb") -> Outcome:
    """Candles and rejects of an answer."""
    found = clean([("mine/import/object", 1, answer)], catalog.readers(), engine(on))
    [candles] = [each for each in found if each.table.name == "silver.candles"]
    columns = "coin_id, span, epoch_us(closed_at), open_usd, high_usd, low_usd, close_usd, volume_usd"
    rows = candles.rows.project(f"{columns}, source, bronze_object, line, epoch_us(fetched_at)").fetchall()
    assert {row[-4:-1] for row in rows} <= {(answer.source, "mine/import/object", 1)}
    refused = candles.rejects.project("path, rule, value, detail").fetchall()
    return Outcome(sorted(row[:-4] for row in rows), sorted(refused, key=repr))


# The real history, in many forms -------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def history(shared: Path) -> list[Row]:
    """Bitcoin's days from 2014-09-17 on: day, open, high, low, close, volume as texts."""
    with gzip.open(shared / "coingecko" / "histories" / "bitcoin.csv.gz", "rt") as file:
        return list(csv.reader(file))[1:]


def expected(history: Iterable[Row]) -> list[tuple[Any, ...]]:
    """The candles that the history says."""
    return [
        ("bitcoin", "1d", micros(date.fromisoformat(day) + timedelta(days=1)), *map(float, numbers))
        for day, *numbers in history
    ]


def micros(day: date) -> int:
    """00:00 UTC of a day in UNIX microseconds."""
    return (day - date(1970, 1, 1)).days * 86_400_000_000


def seconds(day: str) -> int:
    """00:00 UTC of a day in UNIX seconds."""
    return micros(date.fromisoformat(day)) // 1_000_000


def table(header: Row, rows: Iterable[Row], **how: Any) -> str:
    """CSV."""
    out = io.StringIO()
    csv.writer(out, **{"lineterminator": "\n", **how}).writerows([header, *rows])
    return out.getvalue()


def dated(history: Iterable[Row], form: Callable[[date], Any]) -> list[Row]:
    """The history with its days written otherwise."""
    return [(str(form(date.fromisoformat(day))), *numbers) for day, *numbers in history]


def parquet(history: Sequence[Row], days: pa.Array, numbers: pa.DataType, day: str = "day") -> bytes:
    """Parquet with these dates and this type of numbers."""
    columns = zip(*(row[1:] for row in history), strict=True)
    arrays = {
        name: pa.array(map(float, values)).cast(numbers) for name, values in zip(HEADER[1:], columns, strict=True)
    }
    out = io.BytesIO()
    pq.write_table(pa.table({day: days, **arrays}), out)
    return out.getvalue()


def days_of(history: Iterable[Row]) -> list[date]:
    """The days."""
    return [date.fromisoformat(row[0]) for row in history]


FORMS: Mapping[str, Callable[[Sequence[Row]], str | bytes]] = {
    "iso_day": lambda h: table(HEADER, h),
    "iso_time": lambda h: table(HEADER, dated(h, lambda d: f"{d}T00:00:00")),
    "iso_time by pandas": lambda h: table(("date", *HEADER[1:]), dated(h, lambda d: f"{d} 00:00:00.000000000")),
    "iso_offset": lambda h: table(("Date", *HEADER[1:]), dated(h, lambda d: f"{d}T00:00:00Z")),
    "iso_offset by name": lambda h: table(HEADER, dated(h, lambda d: f"{d} 00:00 UTC")),
    "iso_offset from afar": lambda h: table(HEADER, dated(h, lambda d: f"{d}T10:00:00+10:00")),
    "ymd": lambda h: table(HEADER, dated(h, lambda d: f"{d.year}/{d.month}/{d.day}")),
    "dmy with slashes": lambda h: table(HEADER, dated(h, lambda d: f"{d:%d/%m/%Y}")),
    "dmy with dashes": lambda h: table(HEADER, dated(h, lambda d: f"{d:%d-%m-%Y}")),
    "dmy with dots": lambda h: table(HEADER, dated(h, lambda d: f"{d.day}.{d.month}.{d.year}"), delimiter=";"),
    "mdy": lambda h: table(HEADER, dated(h, lambda d: f"{d:%m/%d/%Y}")),
    "mdy by a spreadsheet": lambda h: table(HEADER, dated(h, lambda d: f"{d.month}/{d.day}/{d.year} 0:00")),
    "unix_s": lambda h: table(("unix", *HEADER[1:]), dated(h, lambda d: micros(d) // 10**6)),
    "unix_ms": lambda h: table(("Timestamp", *HEADER[1:]), dated(h, lambda d: micros(d) // 10**3)),
    "unix_us": lambda h: table(("open_time", *HEADER[1:]), dated(h, micros)),
    "unix_ns": lambda h: table(("time", *HEADER[1:]), dated(h, lambda d: micros(d) * 1000)),
    "unix_s as a float": lambda h: table(("time", *HEADER[1:]), dated(h, lambda d: micros(d) / 1e6)),
    "other lines": lambda h: "\ufeff" + table(HEADER, h, lineterminator="\r\n"),
    "old lines": lambda h: table(HEADER, h, lineterminator="\r"),
    "quotes": lambda h: table(HEADER, h, quoting=csv.QUOTE_ALL),
    "tabs": lambda h: table(HEADER, h, delimiter="\t"),
    "bars and blanks": lambda h: "\n\n" + table(HEADER, h, delimiter="|").replace("|", " | ").replace("\n", "\n\n"),
    "17 digits": lambda h: table(HEADER, [(day, *(f"{float(n):.17g}" for n in numbers)) for day, *numbers in h]),
    "exponents": lambda h: table(HEADER, [(day, *(f"{float(n):+.16E}" for n in numbers)) for day, *numbers in h]),
    "newest first": lambda h: table(HEADER, reversed(h)),
    "other names": lambda h: table(("Date", "Open Price", "HIGH", "low_usd", "Closing Price", "Volume (USD)"), h),
    "other columns": lambda h: table((*HEADER, "symbol", "note"), [(*row, "BTC", "a,b") for row in h]),
    "parquet of days": lambda h: parquet(h, pa.array(days_of(h)), pa.float64()),
    "parquet of moments": lambda h: parquet(
        h, pa.array(days_of(h)).cast(pa.timestamp("ns", "UTC")), pa.float64(), "time"
    ),
    "parquet of local moments": lambda h: parquet(
        h, pa.array(days_of(h)).cast(pa.timestamp("ms")), pa.float64(), "date"
    ),
    "parquet of texts": lambda h: parquet(h, pa.array([row[0] for row in h]), pa.string()),
    "parquet of seconds": lambda h: parquet(h, pa.array([seconds(row[0]) for row in h]), pa.float64(), "unix"),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_real_history_comes_in_bit_for_bit_in_whatever_form(form: str, history: list[Row], tmp_path: Path) -> None:
    path, history = tmp_path / "some file", history[-500:]
    content = FORMS[form](history)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    found = outcome(path, at=datetime(2022, 3, 1, tzinfo=UTC), coin="bitcoin")
    assert (found.candles, found.rejects) == (expected(history), [])


def test_a_number_of_four_bytes_is_the_number_it_widens_to(history: list[Row], tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(parquet(history, pa.array(days_of(history)), pa.float32()))
    as_float32 = [
        (row[0], *(repr(struct.unpack("f", struct.pack("f", float(n)))[0]) for n in row[1:])) for row in history
    ]
    assert outcome(path, at=datetime(2022, 3, 1, tzinfo=UTC), coin="bitcoin").candles == expected(as_float32)


# What an import gives ------------------------------------------------------------------------------------------------


def service(home: Home, history: Sequence[Row], days: int, at: datetime = NOW) -> None:
    """What the service would have answered: the last days as a daily chart."""
    points = [
        [micros(date.fromisoformat(day) + timedelta(days=1)) // 1000, float(close)] for day, *_, close, _ in history
    ]
    prices = [point for point in points if point[0] <= at.timestamp() * 1000][-days:]
    body = f'{{"prices":{prices},"market_caps":{prices},"total_volumes":{prices}}}'.encode()
    params = {"vs_currency": "usd", "days": str(days), "interval": "daily", "precision": "full"}
    path = f"coingecko/coins_market_chart/date={at:%Y-%m-%d}/{at:%Y%m%dT%H%M%SZ}-aaaaaaaa-0001.jsonl.gz"
    asked = "/coins/bitcoin/market_chart"
    home.workspace().lake.objects.put(
        path, pack([Answer("coingecko", "coins_market_chart", asked, params, 200, {}, at, at, 1, body)])
    )
    home.workspace().clean()
    home.workspace().analyze()


def test_a_history_from_2014_gives_gold_from_that_day_on_beside_what_the_service_gives(
    home: Home, history: list[Row]
) -> None:
    service(home, history, 364)
    closes = [
        (f"{date.fromisoformat(day):%d.%m.%Y}", "bitcoin", close) for day, *_, close, _ in history if day < "2022"
    ]
    home.bring(
        home.write("closes.csv", table(("Datum", "coin_id", "Last"), closes)), mapping={"day": "Datum", "close": "Last"}
    )
    rows = home.query("select day, source, close_usd from gold.daily order by day")
    lasting = [(date.fromisoformat(row[0]), float(row[4])) for row in history if row[0] < "2022-02-01"]
    assert [(day, close) for day, _, close in rows] == lasting
    assert lasting[0][0] == FIRST_DAY
    last_own_day = date(2022, 1, 31) - timedelta(days=364)
    assert {source for day, source, _ in rows if day <= last_own_day} == {"mine"}
    assert {source for day, source, _ in rows if day > last_own_day} == {"coingecko"}


def test_the_order_of_preference_decides_which_source_a_day_is_of(home: Home, history: list[Row]) -> None:
    service(home, history, 100)
    home.bring(home.write("bitcoin.csv", table(HEADER, history[:-50])))
    by_source = "select source, count(*) from gold.daily group by all order by all"
    assert home.query(by_source) == [("coingecko", 100), ("mine", len(history) - 14 - 100)]
    home.workspace(sources="mine,coingecko").analyze()
    assert home.query(by_source) == [("coingecko", 36), ("mine", len(history) - 50)]
    assert home.query("select distinct source from silver.candles") == [("mine",)]


def test_gold_made_step_by_step_over_imports_equals_gold_made_at_once(home: Home, history: list[Row]) -> None:
    home.bring(home.write("bitcoin.csv", table(HEADER, history[900:1200])), coin="bitcoin")
    service(home, history, 364)
    home.bring(home.write("early.csv", table(HEADER, history[:700])), coin="bitcoin")
    home.bring(
        home.write("over.csv", table(HEADER, [(*row[:4], "7", "8") for row in history[650:950]])), coin="bitcoin"
    )
    other = [(*row[:4], "9", "9") for row in history[640:1150]]
    home.bring(home.write("other.csv", table(HEADER, other)), source="another", coin="bitcoin")
    anew = Home(home.folder / "anew")
    anew.folder.mkdir()
    (home.folder / "lake").rename(anew.folder / "lake")
    at_once = Home(home.folder / "at-once")
    Program(anew.folder).copied(at_once.folder)
    at_once.workspace().rebuild("gold")
    assert differences(anew.folder / "lake", at_once.folder / "lake") == []
    at_once.workspace().rebuild("silver")
    at_once.workspace().rebuild("gold")
    assert differences(anew.folder / "lake", at_once.folder / "lake") == []
    assert anew.query("select close_usd, source from gold.daily where day = date '2016-07-01'") == [(9.0, "another")]


def test_bronze_keeps_the_very_bytes_of_the_file(home: Home, history: list[Row]) -> None:
    content = b"\xef\xbb\xbf" + table(HEADER, history, lineterminator="\r\n").encode() + b"\xff\xfe,no UTF-8\r\n"
    report = home.bring(home.write("Bitcoin \u20bf.csv", content), coin="bitcoin")
    path = report["files"][0]["bronze_object"]
    assert re.fullmatch(r"mine/import/date=2022-02-01/20220201T004500Z-[0-9a-f]+-0001\.jsonl\.gz", path)
    [answer] = unpack(home.workspace().lake.objects.get(path))
    assert (answer.body, answer.source, answer.path) == (content, "mine", "/Bitcoin \u20bf.csv")
    [(where, line, rule, value)] = home.query(
        "select path, line, rule, value from silver.rejects where source = 'mine' and rule <> 'time_out_of_range'"
    )
    assert (where, line, rule) == (f"$.lines[{len(history) + 2}]", 1, "unreadable_file")
    assert value.endswith(",no UTF-8")


def test_a_file_that_is_in_bronze_already_is_not_taken_again(home: Home, history: list[Row]) -> None:
    path = home.write("bitcoin.csv", table(HEADER, history[:500]))
    first = home.bring(path, coin="bitcoin")["files"][0]
    before = {name: home.workspace().lake.version(catalog.table(name)) for name in ("silver.candles", "gold.daily")}
    again = home.at(NOW + timedelta(days=1)).bring(home.write("copy.csv", path.read_bytes()), path, coin="bitcoin")[
        "files"
    ]
    assert [(each["bronze_object"], each["imported_before"]) for each in again] == [(first["bronze_object"], NOW)] * 2
    assert {name: home.workspace().lake.version(catalog.table(name)) for name in before} == before
    assert len(list(home.workspace().lake.objects.list("mine"))) == 1


def test_a_file_may_have_any_name(home: Home) -> None:
    path = Path(os.fsdecode(os.fsencode(home.folder) + b"/caf\xe9 'x' (1).csv"))
    path.write_text("day,close\n" + ROWS)
    [file] = home.bring(path, coin="bitcoin")["files"]
    assert file["file"].endswith("caf\ufffd 'x' (1).csv")
    [answer] = unpack(home.workspace().lake.objects.get(file["bronze_object"]))
    assert answer.path == "/caf\ufffd 'x' (1).csv"


def test_the_same_file_twice_in_one_command_is_one_import(home: Home, history: list[Row]) -> None:
    path = home.write("bitcoin.csv", table(HEADER, history[:5]))
    first, second = home.bring(path, path, coin="bitcoin")["files"]
    assert first["bronze_object"] == second["bronze_object"]
    assert home.query("select count(*) from silver.candles") == [(5,)]


def test_the_same_file_understood_in_another_way_is_another_import(home: Home) -> None:
    path = home.write("a.csv", "date,close,last\n2020-01-01,1,2\n")
    home.bring(path, coin="bitcoin")
    home.at(NOW + timedelta(hours=1)).bring(path, coin="bitcoin", mapping={"close": "last"})
    assert home.query("select close_usd from silver.candles order by fetched_at") == [(1.0,), (2.0,)]
    assert home.query("select close_usd from gold.daily") == [(2.0,)]


def test_an_import_killed_before_silver_is_finished_by_the_next(home: Home, history: list[Row]) -> None:
    path = home.write("bitcoin.csv", table(HEADER, history[:500]))
    lake = home.workspace().lake
    planned = own.read(path, "mine", {}, "bitcoin", "opens", None, lambda _: False)
    [left] = own.put(lake, [planned], "killed00", NOW)
    assert home.bring(path, coin="bitcoin")["files"][0]["bronze_object"] == left
    assert home.query("select count(*), count(distinct day) from gold.daily") == [(500, 500)]


def test_an_object_that_was_damaged_since_does_not_count_as_imported(home: Home, history: list[Row]) -> None:
    path = home.write("bitcoin.csv", table(HEADER, history[:5]))
    first = home.bring(path, coin="bitcoin")["files"][0]["bronze_object"]
    (home.folder / "lake" / "bronze" / first).write_bytes(b"\x1f\x8b cut")
    assert home.bring(path, coin="bitcoin")["files"][0]["bronze_object"] != first


def test_a_day_that_was_running_is_finished_by_taking_the_file_again_later(home: Home) -> None:
    path = home.write("bitcoin.csv", "day,close\n2022-01-31,38483.125\n2022-02-01,38743.5\n")
    home.bring(path, coin="bitcoin")
    days = "select day, close_usd from gold.daily order by day"
    assert home.query(days) == [(date(2022, 1, 31), 38483.125)]
    assert home.query("select flags from silver.candles order by closed_at") == [("",), ("unfinished",)]
    later = home.at(NOW + timedelta(days=1))
    assert later.bring(path, coin="bitcoin")["files"][0]["imported_before"] is None
    assert later.query(days) == [(date(2022, 1, 31), 38483.125), (date(2022, 2, 1), 38743.5)]
    assert later.bring(path, coin="bitcoin")["files"][0]["imported_before"] == later.now


def test_a_dry_run_shows_everything_and_writes_nothing(home: Home, history: list[Row]) -> None:
    path = home.write("a.csv", table((*HEADER, "Adj Close"), [(*row, "1") for row in history[:9]]) + "x,,,,,,\n")
    report = home.bring(path, coin="bitcoin", dry_run=True)
    assert home.is_untouched
    assert report["run"] is None
    [file] = report["files"]
    assert file["columns"] == {"day": "day", **{name: name for name in HEADER[1:]}}
    assert (file["left_out"], file["coin_from"], file["date_form"], file["time_is"]) == (
        ["Adj Close"], "--coin", "iso_day", "day",
    )  # fmt: skip
    assert (file["lines"], file["rows"], file["refused_lines"], file["gaps"]) == (10, 9, 1, 0)
    assert file["shown"] == (
        {"place": "$.lines[11].close", "rule": "missing", "value": None, "detail": "no price and no volume"},
        {"place": "$.lines[11].day", "rule": "wrong_type", "value": "x", "detail": "expected a date like 2014-09-17"},
    )


def test_a_dry_run_tells_what_the_import_then_does(home: Home, history: list[Row]) -> None:
    path = home.write("a.csv", table(HEADER, [*history[:9], ("2015-13-01", *history[0][1:]), history[3]]))
    told, done = home.bring(path, coin="bitcoin", dry_run=True), home.bring(path, coin="bitcoin")
    alike = set(told["files"][0]) - {"bronze_object"}
    assert {name: told["files"][0][name] for name in alike} == {name: done["files"][0][name] for name in alike}
    assert done["run"]["rejects"] == dict(told["files"][0]["rejects"]) == {"duplicated_timestamp": 1, "wrong_type": 1}
    assert home.query("select count(*) from silver.candles") == [(9,)]


def test_the_command_shows_the_mapping_and_what_was_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Date,id,Price,Note\n2014-09-17,bitcoin,457.334,x\n2014-09-18,bitcoin,-1,y\n")
    program = Program(tmp_path, {"now": NOW.isoformat(), "lake": "data"})
    done = program("import", "a.csv", "--source", "mine")
    assert done.code == 0, done.err
    told = " ".join(done.out.split())
    assert "coin from id, day from Date, close from Price" in told
    assert "left out Note" in told
    assert "1 of 2 lines, candles of 1d" in told
    assert "$.lines[3].close out_of_range -1 cannot be below zero" in told
    again = program("import", "a.csv", "--source", "mine", "--json").json
    assert again["files"][0]["imported_before"] == "2022-02-01T00:45:00Z"
    assert again["run"]["outcome"] == "ok"
    dry = program("import", "a.csv", "--source", "other", "--dry-run", "--date-form", "iso_day", "--mapping", "coin=id")
    assert "nothing was written" in dry.out
    wrong = program("import", "a.csv", "--source", "mine", "--mapping", "close=Last")
    assert (wrong.code, "has no column 'Last'" in wrong.err) == (3, True)


# What is refused, line by line ---------------------------------------------------------------------------------------

BAD_LINES = """day,coin,open,high,low,close,volume
2020-01-01,bitcoin,1,2,0.5,1.5,10
2020-01-02,bitcoin,"1,234.5",2,0.5,1.5,$10
2020-01-03,bitcoin,1,2,0.5,-1.5,10

02/01/2020,bitcoin,1,2,0.5,1.5,10
2020-02-30,bitcoin,1,2,0.5,1.5,10
2020-01-04,bitcoin,NaN,inf,-0.5,1e999,-Infinity
2020-01-05,bitcoin,1,2,0.5,1.5
2020-01-05,bitcoin,1,2,0.5,1.5,10,
2020-01-06,BTC,1,2,0.5,1.5,10
2020-01-06,,1,2,0.5,1.5,10
,bitcoin,1,2,0.5,1.5,10
"2020-01-07,bitcoin,1,2,0.5,1.5,10
2020-01-08,bitcoin,1,2,0.5,5,10
2020-01-08,bitcoin,1,2,0.5,6,10
2020-01-08,ethereum,1,2,0.5,7,10
1969-12-31,bitcoin,1,2,0.5,7,10
2008-12-30,bitcoin,1,2,0.5,7,10
2022-02-20,bitcoin,1,2,0.5,7,10
2020-01-09,bitcoin,0,,0.0,,0
2020-01-10,bitcoin,1_000,0x10,1.2K,abc,1.5e
"""


def test_every_bad_line_is_refused_by_its_number_and_in_words(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(BAD_LINES)
    found = outcome(path)
    assert outcome(path, "pandas") == found
    assert found.refused == {
        ("$.lines[3].open", "wrong_type"),
        ("$.lines[3].volume", "wrong_type"),
        ("$.lines[4].close", "out_of_range"),
        ("$.lines[6].day", "wrong_type"),
        ("$.lines[7].day", "wrong_type"),
        ("$.lines[8].open", "not_finite"),
        ("$.lines[8].high", "not_finite"),
        ("$.lines[8].low", "out_of_range"),
        ("$.lines[8].close", "not_finite"),
        ("$.lines[8].volume", "not_finite"),
        ("$.lines[9]", "unreadable_file"),
        ("$.lines[10]", "unreadable_file"),
        ("$.lines[11].coin", "not_allowed"),
        ("$.lines[12].coin", "missing"),
        ("$.lines[13].day", "missing"),
        ("$.lines[14]", "unreadable_file"),
        ("$.lines[15]", "duplicated_timestamp"),
        ("$.lines[18].day", "time_out_of_range"),
        ("$.lines[19]", "time_out_of_range"),
        ("$.lines[20]", "time_out_of_range"),
        *((f"$.lines[22].{name}", "wrong_type") for name in HEADER[1:]),
    }
    words = {path: (value, detail) for path, _, value, detail in found.rejects}
    assert words["$.lines[3].open"] == (
        "1,234.5", "expected digits with a decimal point and no commas, such as 1234.5",
    )  # fmt: skip
    assert words["$.lines[3].volume"] == ("$10", "expected a bare number: no sign of a currency, no unit")
    assert words["$.lines[4].close"] == ("-1.5", "cannot be below zero")
    assert words["$.lines[6].day"] == ("02/01/2020", "expected a date like 2014-09-17")
    assert words["$.lines[9]"] == ("2020-01-05,bitcoin,1,2,0.5,1.5", "6 cells where the header has 7")
    assert words["$.lines[11].coin"][1].startswith("expected a CoinGecko id in small letters")
    assert words["$.lines[14]"][1] == "a quote that is not closed in its line, or stands inside a cell"
    assert words["$.lines[15]"][1] == "a later line has its coin and moment"


def test_a_coin_with_a_character_that_nobody_sees_is_refused(tmp_path: Path) -> None:
    unseen = ["\0", "\x07", "\x7f", "\x85", "\u200b", "\u202e", "\ufeff"]
    rows = [("bitcoin", "2020-01-01", 1.0), *((f"bit{each}coin", "2020-01-01", 2.0) for each in unseen)]
    (tmp_path / "a.csv").write_bytes("\n".join(["coin,day,close", *(",".join(map(str, row)) for row in rows)]).encode())
    columns = dict(zip(("coin", "day", "close"), map(pa.array, zip(*rows, strict=True)), strict=True))
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    for name, place, first in (("a.csv", "lines", 3), ("a.parquet", "rows", 2)):
        found = outcome(tmp_path / name)
        assert outcome(tmp_path / name, "pandas") == found
        assert found.refused == {(f"$.{place}[{first + n}].coin", "not_allowed") for n in range(len(unseen))}
        assert [row[0] for row in found.candles] == ["bitcoin"]


def test_what_is_good_beside_bad_lines_is_taken_and_zero_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(BAD_LINES)
    day = micros(date(2020, 1, 1)) // 86_400_000_000
    assert [(row[0], row[2] // 86_400_000_000 - day, *row[3:]) for row in outcome(path).candles] == [
        ("bitcoin", 1, 1.0, 2.0, 0.5, 1.5, 10.0),
        ("bitcoin", 8, 1.0, 2.0, 0.5, 6.0, 10.0),
        ("bitcoin", 9, None, None, None, None, 0.0),
        ("ethereum", 8, 1.0, 2.0, 0.5, 7.0, 10.0),
    ]


def test_a_lake_loses_no_line_of_a_bad_file(home: Home) -> None:
    [file] = home.bring(home.write("bad.csv", BAD_LINES))["files"]
    refused = home.query("select path, rule from silver.rejects where source = 'mine' and bronze_object like 'mine/%'")
    assert len(refused) == sum(file["rejects"].values()) == 25
    lines = {int(re.findall(r"\d+", path)[0]) for path, _ in refused}
    assert len(lines) == file["refused_lines"] == 16
    assert home.query("select count(*) from silver.candles") == [(file["lines"] - 16,)]


def test_dates_of_the_rarer_form_are_refused_with_their_line(history: list[Row], tmp_path: Path) -> None:
    odd = {5: "1411344000", 17: "2014-10-02T00:00:00Z", 99: "23.12.2014", 100: "20141224"}
    rows = [(odd.get(number, row[0]), *row[1:]) for number, row in enumerate(history[:150])]
    path = tmp_path / "mixed.csv"
    path.write_text(table(HEADER, rows))
    found = outcome(path, coin="bitcoin")
    assert found.refused == {(f"$.lines[{number + 2}].day", "wrong_type") for number in odd}
    assert found.candles == expected(row for number, row in enumerate(history[:150]) if number not in odd)


def test_a_damaged_import_in_bronze_is_a_reject_and_stops_nothing() -> None:
    answer = Answer("mine", "import", "/a.csv", {}, 200, {}, NOW, NOW, 1, b"day,close\n2020-01-01,1\n")
    [(path, rule, _, detail)] = of_answer(answer).rejects
    assert (path, rule, detail) == (
        "$",
        "unreadable_file",
        "the file does not say how it is to be understood: import it again",
    )


# Moments -------------------------------------------------------------------------------------------------------------

STEPS_S = {"1m": 60, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "4h": 14400, "1d": 86400, "4d": 345600}


@pytest.mark.parametrize("time_is", ["opens", "closes"])
def test_the_length_of_a_candle_is_the_step_between_them(time_is: str, tmp_path: Path) -> None:
    for span, step in STEPS_S.items():
        moments = [1_600_000_020 + n * step for n in range(20) if n not in (7, 12)]
        path = tmp_path / f"{span}.csv"
        lines = "".join(f"bitcoin,{at},1.5\n" for at in moments)
        path.write_text(f"id,unix,close\n{lines}ethereum,1600000020,2\n")
        found = outcome(path, time_is=time_is)
        ends = [(at + (step if time_is == "opens" else 0)) * 1_000_000 for at in moments]
        assert [row[1:3] for row in found.candles if row[0] == "bitcoin"] == [(span, end) for end in ends]
        assert [row[1:3] for row in found.candles if row[0] == "ethereum"] == [(span, ends[0])]
    assert outcome(path, "pandas", time_is=time_is) == found


def test_candles_of_no_known_length_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    weekly = "".join(f"bitcoin,{1_600_000_000 + n * 604_800},1.5\n" for n in range(5))
    hourly = "".join(f"ethereum,{1_600_000_000 + n * 3_600},1.5\n" for n in range(5))
    path.write_text(f"id,time,close\n{weekly}{hourly}")
    found = outcome(path)
    assert outcome(path, "pandas") == found
    assert found.refused == {(f"$.lines[{n}]", "not_allowed") for n in range(2, 7)}
    assert {row[:2] for row in found.candles} == {("ethereum", "1h")}


def test_a_column_of_days_with_times_of_day_in_it_is_one_of_moments(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("date,close\n2020-01-01 22:00,1\n2020-01-01 23:00,2\n2020-01-02 00:00,3\n")
    found = outcome(path, coin="bitcoin")
    assert [row[1] for row in found.candles] == ["1h", "1h", "1h"]
    as_days = outcome(path, coin="bitcoin", mapping={"day": "date"})
    assert [row[1:3] for row in as_days.candles] == [("1d", micros(date(2020, 1, 3)))]
    assert as_days.refused == {("$.lines[2].day", "wrong_type"), ("$.lines[3].day", "wrong_type")}


@pytest.mark.parametrize(
    ("moments", "ends"),
    [
        ("2020-01-{:02}T00:00:00+10:00", "5 at 14:00"),
        ("2020-01-{:02}T12:00:00Z", "5 at 12:00"),
        ("2020-01-{:02}T01:00:01Z", "5 at 01:00"),
        ("2020-01-{:02}T01:00:00Z", ""),
        ("2020-01-{:02}T23:55:00Z", ""),
        ("2020-01-{:02}T00:00:00Z", ""),
        ("2020-01-{:02}", ""),
    ],
)
def test_days_that_end_at_another_hour_are_warned_about(moments: str, ends: str, home: Home) -> None:
    path = home.write("a.csv", "time,close\n" + "".join(f"{moments.format(day)},{day}\n" for day in range(1, 6)))
    [file] = home.bring(path, coin="bitcoin", dry_run=True)["files"]
    assert [ends in said and "--mapping day=COLUMN" in said for said in file["warnings"]] == [True] * bool(ends)


@pytest.mark.parametrize(("moment", "warned"), [("2020-01-02T12:00:00Z", 1), ("2020-01-02T00:00:00Z", 0)])
def test_gold_takes_no_close_from_days_that_end_at_another_hour(moment: str, warned: int, home: Home) -> None:
    path = home.write("a.csv", f"time,close\n{moment.replace('02T', '01T')},1\n{moment},2\n")
    [file] = home.bring(path, coin="bitcoin")["files"]
    assert len(file["warnings"]) == warned
    assert bool(home.query("from gold.daily")) is not bool(warned)


def test_a_warning_names_the_commonest_hours_and_is_told_beside_the_table(tmp_path: Path) -> None:
    at = ["01-01T12:00", "01-02T12:00", "01-03T13:00", "01-04T00:00"]
    (tmp_path / "a.csv").write_text("time,close\n" + "".join(f"2020-{each}:00Z,1\n" for each in at))
    program = Program(tmp_path, {"now": NOW.isoformat(), "lake": "data"})
    done = program("import", "a.csv", "--source", "mine", "--coin", "bitcoin", "--dry-run")
    (said,) = [line for line in done.err.splitlines() if "WARNING" in line or "warning" in line]
    assert "a.csv: 3 candles of a day end at another hour than 00:00 UTC (2 at 12:00, 1 at 13:00)" in said


def test_one_gap_is_one_candle(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("day,close\n2020-01-01,1\n2020-01-03,1\n2020-01-04,1\n")
    program = Program(tmp_path, {"now": NOW.isoformat(), "lake": "data"})
    told = program("import", "a.csv", "--source", "mine", "--coin", "bitcoin", "--dry-run").out
    assert "1 candle between them is not there" in told


def test_days_that_close_a_candle_are_moments_where_one_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("date,close\n2020-01-02,1\n2020-01-03,2\n")
    closes = outcome(path, coin="bitcoin", time_is="closes")
    assert [row[1:3] for row in closes.candles] == [("1d", micros(date(2020, 1, day))) for day in (2, 3)]


# What is asked about -------------------------------------------------------------------------------------------------

ROWS = "2020-01-01,1\n2020-01-02,2\n"
REFUSED: Mapping[str, tuple[str | bytes, Mapping[str, Any], str]] = {
    "no close": ("day,adj close,open\n2020-01-01,1,2\n", {}, r"says close: it has day, adj close, open\. An adjusted"),
    "no day": ("when,close\n" + ROWS, {}, r"says day \(or time\): it has when, close.*--mapping day=COLUMN"),
    "no header": ("2020-01-01,1\n2020-01-02,2\n", {}, "look like values, not names"),
    "no coin": ("day,close,symbol\n2020-01-01,1,BTC\n", {"coin": None}, "whose history.*--coin bitcoin.*symbols such"),
    "two coins": ("day,close,id\n2020-01-01,1,bitcoin\n", {}, "names the coin in its column 'id': leave --coin out"),
    "only symbols": ("day,close,coin\n2020-01-01,1,BTC\n", {"coin": None}, "not one of its lines.*'BTC', expected"),
    "no id": ("day,close\n" + ROWS, {"coin": "BTC"}, "--coin 'BTC' is no CoinGecko id"),
    "two closes": ("day,Close,close_\n2020-01-01,1,2\n", {}, r"2 columns that may be close \(Close, close_\)"),
    "twins": ("day,x,x\n2020-01-01,1,2\n", {"mapping": {"close": "x"}}, "2 columns named 'x'"),
    "no such column": ("day,close\n" + ROWS, {"mapping": {"close": "Last"}}, "no column 'Last'.*it has day, close"),
    "no such meaning": ("day,close\n" + ROWS, {"mapping": {"price": "close"}}, "--mapping does not know 'price'.*coin"),
    "day and time": ("a,b,close\n1,2,3\n", {"mapping": {"day": "a", "time": "b"}}, "both a day and a time"),
    "days that close": ("a,close\n" + ROWS, {"mapping": {"day": "a"}, "time_is": "closes"}, "--time-is closes is for"),
    "no such form": ("day,close\n" + ROWS, {"date_form": "us"}, "--date-form does not know 'us'.*dmy, mdy"),
    "no dates": ("day,close\nsoon,1\n", {}, r"no date we know in its column 'day' \('soon' in line 2\)"),
    "empty dates": ("day,close\n,1\n", {}, "no date we know.*nothing at all"),
    "ambiguous": ("day,close\n01/02/2020,1\n03/04/2020,1\n", {}, "01/02/2020, and none says.*--date-form dmy or"),
    "both orders": ("day,close\n13/02/2020,1\n02/14/2020,1\n", {}, "13/02/2020 in line 2.*02/14/2020 in line 3"),
    "as many": ("day,close\n2020-01-01,1\n1577923200,1\n", {}, "as many dates like 2014-09-17 as like UNIX seconds"),
    "wrong form": ("day,close\n" + ROWS, {"date_form": "dmy"}, "not one of its lines.*expected a date like 17/09"),
    "no lines": ("day,close\n\n", {}, "has a header and no line below it"),
    "empty": (" \n", {}, "is empty"),
    "spreadsheet": (b"PK\x03\x04...", {}, "save the sheet as CSV"),
    "compressed": (gzip.compress(b"day,close\n2020-01-01,1\n"), {}, "unpack it first"),
    "utf-16": ("day,close\n".encode("utf-16"), {}, "save it as CSV UTF-8"),
    "latin-1": (b"day,close,note\n2020-01-01,1,caf\xe9\n", {}, r"line 2 has bytes that are no UTF-8.*iconv"),
    "latin-1 header": (b"day,close,caf\xe9\n2020-01-01,1,\n", {}, r"no UTF-8.*iconv -f LATIN1"),
    "no line fits": ("day,close\n2020-01-01\n", {}, "can be read; line 2 has 1 cell where the header has 2"),
    "unseen": ("day,close\n" + ROWS, {"coin": "bit\0coin"}, "is no CoinGecko id"),
    "picture": (b"\x89PNG\r\n\x1a\n\0\0\0", {}, "is no text"),
    "cut parquet": (b"PAR1....", {}, "damaged Parquet"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_cannot_be_understood_is_asked_about_and_nothing_is_written(case: str, home: Home) -> None:
    content, options, words = REFUSED[case]
    with pytest.raises(ConfigError, match=words):
        home.bring(home.write("a.csv", content), **{"coin": "bitcoin", **options})
    assert home.is_untouched


def test_of_several_files_all_are_taken_or_none(home: Home) -> None:
    good, bad = home.write("good.csv", "day,close\n" + ROWS), home.write("bad.csv", "day,close\nsoon,1\n")
    with pytest.raises(ConfigError, match=r"bad\.csv has no date"):
        home.bring(good, bad, coin="bitcoin")
    assert home.is_untouched


@pytest.mark.parametrize("source", ["coingecko", "coinlake", "_mine", "Mine", "my own", "", "a/b", "x" * 64])
def test_a_source_has_a_name_of_its_own(source: str, home: Home) -> None:
    with pytest.raises(ConfigError, match="--source"):
        home.bring(home.write("a.csv", "day,close\n" + ROWS), source=source, coin="bitcoin")
    assert home.is_untouched


def test_a_simulated_market_takes_no_real_history(home: Home) -> None:
    objects = home.workspace().lake.objects
    objects.put(kind.MARK, b'{"simulated":true}')
    with pytest.raises(ConfigError, match="holds a simulated market"):
        home.bring(home.write("a.csv", "day,close\n" + ROWS), coin="bitcoin")
    assert [each.path for each in objects.list()] == [kind.MARK]


def test_what_is_no_file_or_too_large_is_said_so(home: Home) -> None:
    with pytest.raises(ConfigError, match="is no file"):
        home.bring(home.folder / "nowhere.csv")
    with pytest.raises(ConfigError, match="is no file"):
        home.bring(home.folder)
    large = home.folder / "large.csv"
    with large.open("wb") as file:
        file.truncate(own.LIMIT_BYTES + 1)  # a hole: it takes no room on the disk
    with pytest.raises(ConfigError, match="has 129 MiB, and 128 are taken at once: split it"):
        home.bring(large)
    assert home.is_untouched


def test_a_file_that_changes_while_it_is_read_is_not_taken(home: Home) -> None:
    path = home.write("a.csv", "day,close\n" + ROWS)
    planned = own.read(path, "mine", {}, "bitcoin", "opens", None, lambda _: False)
    path.write_text("day,close\n2020-01-01,1\n")
    with pytest.raises(ConfigError, match="changed while it was read"):
        own.put(Lake.at(str(home.folder / "lake")), [planned], "aaaaaaaa", NOW)
    assert home.is_untouched


def test_the_files_name_names_the_coin_only_where_the_lake_knows_it(home: Home, history: list[Row]) -> None:
    path = home.write("bitcoin.csv", table(HEADER, history[:5]))
    with pytest.raises(ConfigError, match="whose history"):
        home.bring(path)
    service(home, history, 10)
    assert home.bring(path)["files"][0]["coin_from"] == "the file's name"
    with pytest.raises(ConfigError, match="whose history"):
        home.bring(home.write("it's bitcoin.csv", table(HEADER, history[:5])))


def test_a_mapping_wins_over_what_a_column_is_called(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,Date,close,LAST,volume,open\n7,2020-01-01,1,2,1.2M,3\n")
    mapping = {"coin": "-", "close": "last", "volume": "-", "high": "open"}
    assert [row[3:] for row in outcome(path, coin="bitcoin", mapping=mapping).candles] == [(None, 3.0, None, 2.0, None)]


# Nothing is lost, whatever is in a file -------------------------------------------------------------------------------

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=6)
FLOATS = st.floats(width=64) | st.floats(min_value=0, allow_infinity=False) | st.sampled_from([0.0, -0.0, 5e-324])
DAYS = st.dates(date(2014, 9, 17), date(2014, 9, 24)).map(date.isoformat)
COINS = st.sampled_from(["bitcoin", "ethereum", "boringdao-[old]"])
Cell = str | float | None


def lines(numbers: st.SearchStrategy[Cell], texts: st.SearchStrategy[str]) -> st.SearchStrategy[list[tuple[Cell, ...]]]:
    """Lines of a file: coin, day, and five numbers."""
    rarely: st.SearchStrategy[Cell] = COINS | COINS | COINS | texts | st.sampled_from(["", "BTC", "a b"])
    days = DAYS | DAYS | DAYS | texts | st.sampled_from(["", "2014-02-30", "1411000000", "17/09/2014"])
    return st.lists(st.tuples(rarely, days, *[numbers] * 5), min_size=1, max_size=12)


def as_text(cell: Cell) -> str:
    """A cell as it stands in a file."""
    return "" if cell is None else repr(cell) if isinstance(cell, float) else cell


def number_of(cell: Cell) -> float | None:
    """The number a cell says; null where it is empty.

    Raises:
        ValueError: it is no number a price can be.
    """
    text = as_text(cell).strip(" \t")
    if not text:
        return None
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text, re.ASCII):
        raise ValueError(text)
    value = float(text)
    if value < 0 or not math.isfinite(value):
        raise ValueError(text)
    return value


UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def candle_of(line: tuple[Cell, ...]) -> tuple[Any, ...]:
    """The candle a line says.

    Raises:
        ValueError: something in it is wrong.
    """
    coin, day = as_text(line[0]).strip(" \t"), as_text(line[1]).strip(" \t")
    if (
        not coin
        or re.search("[A-Z \t\n\f\r]", coin)
        or UNSEEN.search(coin)
        or not re.fullmatch(r"\d{4}-\d\d-\d\d", day, re.ASCII)
    ):
        raise ValueError(line)
    ends = date.fromisoformat(day) + timedelta(days=1)
    if not date(2009, 1, 1) <= ends <= date(2022, 2, 8):
        raise ValueError(line)
    *prices, volume = map(number_of, line[2:])
    if (*prices, volume) == (None,) * 5:
        raise ValueError("it says nothing")
    return (coin, "1d", micros(ends), *(price or None for price in prices), volume)


def bits(row: Sequence[Any]) -> tuple[Any, ...]:
    """A candle that equals only one of the very same bits."""
    return tuple(struct.pack("d", value) if isinstance(value, float) else value for value in row)


def account(given: Sequence[tuple[Cell, ...]], first: int) -> tuple[list[tuple[Any, ...]], set[int]]:
    """The candles that lines say, and the numbers of the lines that are refused."""
    kept: dict[tuple[Any, ...], tuple[int, tuple[Any, ...]]] = {}
    refused = set()
    for number, line in enumerate(given, start=first):
        try:
            candle = candle_of(line)
        except ValueError:
            refused.add(number)
            continue
        if candle[:3] in kept:
            refused.add(kept[candle[:3]][0])
        kept[candle[:3]] = (number, candle)
    return sorted(bits(candle) for _, candle in kept.values()), refused


def demand_all(path: Path, given: Sequence[tuple[Cell, ...]], first: int) -> None:
    """See that every line is a candle of the very same bits or a reject, on both engines."""
    candles, refused = account(given, first)
    found = {on: outcome(path, on, date_form="iso_day") for on in ("duckdb", "pandas")}
    for each in found.values():
        assert sorted(map(bits, each.candles)) == candles
        assert each.refused_lines == refused
        assert len(each.candles) + len(refused) == len(given)
    assert found["duckdb"].rejects == found["pandas"].rejects


NAMES = ("coin", "day", "open", "high", "low", "close", "volume")


@given(lines(FLOATS | TEXTS | st.none(), TEXTS))
@example([("bitcoin", "2014-09-17", 1.0, "NaN", None, "", 0.1), ("bitcoin", "2014-09-17", None, None, None, 0.0, -0.0)])
@examples(10)
def test_every_line_of_a_csv_file_is_a_candle_or_a_reject(given: list[tuple[Cell, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        path.write_bytes(table(NAMES, [[as_text(cell) for cell in line] for line in given]).encode())
        demand_all(path, given, first=2)


@given(lines(FLOATS | st.none(), TEXTS), st.booleans())
@examples(6)
def test_every_row_of_a_parquet_file_is_a_candle_or_a_reject(given: list[tuple[Cell, ...]], as_texts: bool) -> None:
    columns = list(zip(*given, strict=True))
    kind = pa.string() if as_texts else pa.float64()
    numbers = [
        [None if cell is None else repr(cell) if as_texts else cell for cell in column] for column in columns[2:]
    ]
    arrays = [*map(pa.array, columns[:2]), *(pa.array(column, kind, from_pandas=False) for column in numbers)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.parquet"
        pq.write_table(pa.table(dict(zip(NAMES, arrays, strict=True))), path)
        demand_all(path, given, first=1)


@given(st.binary(max_size=60) | TEXTS.map(str.encode), st.sampled_from([b"", b"day,close\n", b"PAR1", b"\xef\xbb\xbf"]))
@examples(100)
def test_no_bytes_make_it_fail_otherwise_than_in_words(tail: bytes, head: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        path.write_bytes(head + tail)
        try:
            found = outcome(path, coin="bitcoin")
        except ConfigError as exc:
            assert str(path) in str(exc)
        else:
            assert found.candles or found.rejects


def test_real_days_follow_each_other_and_none_is_missing(history: list[Row], tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(table(HEADER, history))
    ends = [row[2] for row in outcome(path, at=datetime(2022, 3, 1, tzinfo=UTC), coin="bitcoin").candles]
    assert {later - earlier for earlier, later in pairwise(ends)} == {86_400_000_000}
