"""Histories of one's own at the door: a file is read, what its columns and dates mean is recognised, and its very
bytes go into bronze, one answer a file, under `<source>/import/`.

What is recognised is kept beside the bytes, so that silver need not guess again. A guess that could be wrong is not
made: what is ambiguous or missing is a ConfigError that says which option settles it, and nothing is written.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from coinlake.answer import Answer, pack, unpack
from coinlake.bronze.call import SOURCE
from coinlake.bronze.kind import is_simulated
from coinlake.duck import fitting
from coinlake.errors import ConfigError, LakeError
from coinlake.lake import Lake
from coinlake.objects import local_folder
from coinlake.sheet import CELLS, FORMS, NUMBERS, Meaning, Sheet, Unreadable, load, moment_of, sheet_of

ENDPOINT = "import"

LIMIT_BYTES = 128 * 2**20
"""Largest file taken (a million lines and more): while it is cleaned, memory holds some twenty-five times as much."""

NAMES: Mapping[str, tuple[str, ...]] = {
    "coin": ("coin id", "coin", "id", "coinid"),
    "time": (
        *("unix", "unix time", "unix timestamp", "timestamp", "open time", "opentime", "opened at"),
        *("datetime", "date time", "time"),
    ),
    "day": ("day", "date"),
    "open": ("open", "open usd", "open price", "opening price"),
    "high": ("high", "high usd", "high price"),
    "low": ("low", "low usd", "low price"),
    "close": ("close", "close usd", "close price", "closing price", "price", "price usd"),
    "volume": ("volume usd", "volume", "vol", "volume 24h usd"),
}
"""What a column may be, and the names it is then known by, best first: in small letters, with one space for whatever
is no letter or digit.
"""

NO_COLUMN = "-"
"""In a mapping: take no column for it."""

_RESERVED = {SOURCE: "the service's own", "coinlake": "the program's own"}


@dataclass(frozen=True)
class Planned:
    """A file that can be imported: where it is, what its bytes are, and how they are to be understood.

    `left_out` are the columns that are not taken, `coin_from` says who named the coin where no column does, `lines`
    counts those that are not blank, the header aside.
    """

    path: Path
    source: str
    sha256: str
    meaning: Meaning
    left_out: tuple[str, ...]
    coin_from: str
    lines: int

    @property
    def content(self) -> tuple[str, ...]:
        """What makes an import the same as another: whose it is, its bytes, and how they are understood."""
        return (self.source, self.sha256, *map(str, sorted(self.meaning.as_params().items())))

    def answer(self, at: datetime) -> Answer:
        """The file as an answer of its source, read again.

        Raises:
            ConfigError: it is another file by now.
        """
        body = _bytes(self.path)
        if hashlib.sha256(body).hexdigest() != self.sha256:
            raise ConfigError(f"{self.path} changed while it was read: wait until it is whole, and import it again")
        params = self.meaning.as_params()
        return Answer(self.source, ENDPOINT, f"/{_shown(self.path.name)}", params, 200, {}, at, at, 1, body)


@dataclass(frozen=True)
class Before:
    """An import that is in bronze already: its object, and when it was taken."""

    bronze_object: str
    fetched_at: datetime


# Reading -------------------------------------------------------------------------------------------------------------


def read(
    path: Path,
    source: str,
    mapping: Mapping[str, str],
    coin: str | None,
    time_is: str,
    date_form: str | None,
    knows: Callable[[str], bool],
) -> Planned:
    """Recognise a file. `mapping` gives columns by what they are (`close` to `Last`), `coin` whose history it is where
    no column says, `time_is` whether a candle's time is when it `opens` or `closes`, `date_form` one of FORMS; `knows`
    tells whether the lake has met a coin, for only then is it taken from the file's name.

    Raises:
        ConfigError: the file, or an argument, cannot be used; the sentence says what to do.
    """
    _demand_source(source)
    _demand_known("--date-form", [date_form] if date_form else [], FORMS)
    _demand_known("--mapping", mapping, NAMES)
    body = _bytes(path)
    con = fitting(len(body))
    try:
        sheet = sheet_of(body)
        columns = _columns(sheet, mapping)
        kind = "time" if "time" in columns else "day"
        taken = {("moment" if what == kind else what): column for what, column in columns.items()}
        load(con, body, sheet, taken, "lines")
        lines = _demand_lines(con, sheet)
        form = date_form or _form(con, taken["moment"], sheet)
        is_day = _names_days(con, form, kind, explicit=kind in mapping, closes=time_is == "closes")
        coin_id, coin_from = _coin(path, columns, coin, knows)
    except Unreadable as exc:
        raise ConfigError(f"{path} {exc}") from exc
    return Planned(
        path=path,
        source=source,
        sha256=hashlib.sha256(body).hexdigest(),
        meaning=Meaning(sheet, taken, coin_id, form, "day" if is_day else time_is),
        left_out=tuple(name for name in sheet.columns if name not in taken.values()),
        coin_from=coin_from,
        lines=lines,
    )


def _demand_lines(con: duckdb.DuckDBPyConnection, sheet: Sheet) -> int:
    """How many lines there are.

    Raises:
        Unreadable: there is none, or none that can be read.
    """
    [(lines, wrong, number, why)] = con.sql(
        "select count(*), count(wrong), arg_min(number, number) filter (wrong is not null), "
        "arg_min(wrong, number) filter (wrong is not null) from lines"
    ).fetchall()
    if not lines:
        raise Unreadable("has a header and no line below it")
    if wrong == lines:
        raise Unreadable(f"has no line that can be read; {sheet.place[:-1]} {number} has {why}")
    return int(lines)


def demand_real(lake: Lake) -> None:
    """See that the lake is of the real market, or empty.

    Raises:
        ConfigError: it is of a simulated one.
    """
    folder = local_folder(lake.bronze)
    if folder and not Path(folder).exists():  # asking the store would make it
        return
    if is_simulated(lake.objects):
        raise ConfigError(
            f"{lake.bronze} holds a simulated market: set COINLAKE_LAKE to another place for real histories"
        )


def _demand_source(source: str) -> None:
    if source in _RESERVED:
        raise ConfigError(f"--source {source} is {_RESERVED[source]} name: give your histories another, such as mine")
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", source):
        raise ConfigError(
            f"--source {source!r} should be up to 63 small letters, digits, dashes and underscores, the first one a "
            "letter or digit, such as mine"
        )


def _demand_known(option: str, given: Iterable[str], known: Iterable[str]) -> None:
    if unknown := [name for name in given if name not in known]:
        raise ConfigError(f"{option} does not know {unknown[0]!r}: it takes {', '.join(known)}")


def _bytes(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise ConfigError(f"{path} is no file: name a CSV or Parquet file")
        if (size := path.stat().st_size) > LIMIT_BYTES:
            limit, mebi = LIMIT_BYTES // 2**20, -(-size // 2**20)
            raise ConfigError(
                f"{path} has {mebi} MiB, and {limit} are taken at once: split it, each part with its header"
            )
        return path.read_bytes()
    except OSError as exc:
        raise ConfigError(f"{path} cannot be read ({exc.strerror or exc}): look at its permissions") from exc


def _shown(path: str) -> str:
    """A path as text that can be written anywhere; bytes that are no UTF-8 become U+FFFD."""
    return os.fsencode(path).decode("utf-8", "replace")


# Columns -------------------------------------------------------------------------------------------------------------


def _columns(sheet: Sheet, mapping: Mapping[str, str]) -> dict[str, str]:
    """By what it is, the column to take; of `day` and `time` just one."""
    chosen = {what: _named(sheet, column) for what, column in mapping.items() if column != NO_COLUMN}
    by_name: dict[str, list[str]] = {}
    for column in sheet.columns:
        by_name.setdefault(_plain(column), []).append(column)
    moments = {"day", "time"} & set(mapping)
    for what, names in NAMES.items():
        settled = what in mapping or (what in ("day", "time") and moments & set(chosen))
        found = [each for name in names if (each := _free(by_name.get(name, []), chosen.values()))]
        if found and not settled:
            chosen[what] = _only(what, found[0])
    if "day" in chosen and "time" in chosen:
        if {"day", "time"} <= moments:
            raise ConfigError("--mapping names both a day and a time: one of them says when")
        del chosen["day"]
    _demand_columns(sheet, chosen)
    return chosen


def _plain(column: str) -> str:
    return re.sub(r"[^a-z0-9]+", " ", column.lower()).strip()


def _free(columns: Iterable[str], taken: Collection[str]) -> list[str]:
    return [column for column in columns if column not in taken]


def _only(what: str, columns: Sequence[str]) -> str:
    if len(columns) > 1:
        raise Unreadable(
            f"has {len(columns)} columns that may be {what} ({_listed(columns)}): give each a name of its own, or say "
            f"which it is with --mapping {what}=COLUMN"
        )
    return columns[0]


def _named(sheet: Sheet, column: str) -> str:
    """The column of that name; capitals matter only where they tell two apart."""
    alike = [each for each in sheet.columns if each.lower() == column.lower()]
    same = [each for each in alike if each == column] or alike
    if not same:
        raise Unreadable(f"has no column {column!r} (--mapping): it has {_listed(sheet.columns)}")
    return same[0]


def _demand_columns(sheet: Sheet, chosen: Mapping[str, str]) -> None:
    missing = [] if "day" in chosen or "time" in chosen else ["day (or time)"]
    missing += [] if "close" in chosen else ["close"]
    if missing:
        first = missing[0].split()[0]
        raise Unreadable(
            f"has no column that says {' and '.join(missing)}: it has {_listed(sheet.columns)}.{_hint(sheet)} Name the "
            f"columns in its first line, or say which they are with --mapping {first}=COLUMN"
        )
    if twice := [column for column in chosen.values() if sheet.columns.count(column) > 1]:
        raise Unreadable(f"has {sheet.columns.count(twice[0])} columns named {twice[0]!r}: give each a name of its own")


def _hint(sheet: Sheet) -> str:
    if any(re.fullmatch(r"[-+0-9.eE:/TZ ]*[0-9][-+0-9.eE:/TZ ]*", column) for column in sheet.columns):
        return " These look like values, not names."
    if "adj close" in map(_plain, sheet.columns):
        return " An adjusted close is no price that was paid, so it is taken only where you say so."
    return ""


def _listed(columns: Sequence[str]) -> str:
    shown = [column if len(column) <= 40 else f"{column[:40]}…" for column in columns[:20]]
    return ", ".join(shown) + (f" and {len(columns) - 20} more" if len(columns) > 20 else "")


def _coin(
    path: Path, columns: Mapping[str, str], coin: str | None, knows: Callable[[str], bool]
) -> tuple[str | None, str]:
    """Whose history it is, and who says so; None where a column does."""
    if "coin" in columns:
        if coin:
            raise Unreadable(
                f"names the coin in its column {columns['coin']!r}: leave --coin out, or take the column for something "
                "else with --mapping coin=-"
            )
        return None, ""
    if coin:
        if not coin.isprintable() or re.search(r"[A-Z\s]", coin):
            raise ConfigError(f"--coin {coin!r} is no CoinGecko id: those are in small letters, such as bitcoin")
        return coin, "--coin"
    if knows(path.stem):
        return path.stem, "the file's name"
    raise Unreadable(
        "does not say whose history it is: name the coin with --coin, such as --coin bitcoin, or its column with "
        "--mapping coin=COLUMN (a column of CoinGecko ids; symbols such as BTC are shared by several coins)"
    )


# Dates ---------------------------------------------------------------------------------------------------------------


def _form(con: duckdb.DuckDBPyConnection, column: str, sheet: Sheet) -> str:
    """The one form that most dates have. Day first or month first must be decided by the dates themselves.

    Raises:
        Unreadable: no form fits, two fit equally well, or the order of day and month is not clear.
    """
    fits = ", ".join(f"{moment_of(name, 'moment')} is not null as {name}" for name in FORMS)
    con.execute(f"create or replace temp table fitting as select number, moment, {fits} from lines where wrong is null")
    counts = ", ".join(f"count(*) filter ({name})" for name in FORMS)
    [row] = con.sql(f"select {counts} from fitting").fetchall()
    fitting = dict(zip(FORMS, row, strict=True))
    written = con.sql("select count(*) from fitting where dmy or mdy").fetchall()[0][0]
    by_order = {name: n for name, n in fitting.items() if name not in ("dmy", "mdy")} | {"dmy": written}
    (best, most), (second, next_most) = sorted(by_order.items(), key=lambda each: -each[1])[:2]
    if not most:
        [number, text] = _first(con, "moment is not null") or (None, None)
        seen = f"{text!r} in {sheet.place[:-1]} {number}" if number else "nothing at all"
        raise Unreadable(f"has no date we know in its column {column!r} ({seen}): it may be {_looks()}")
    if most == next_most:
        raise Unreadable(
            f"has as many dates like {FORMS[best].looks} as like {FORMS[second].looks}: say which with --date-form "
            f"{best} or --date-form {second}"
        )
    return _order(con, sheet) if best == "dmy" else best


def _order(con: duckdb.DuckDBPyConnection, sheet: Sheet) -> str:
    day_first, month_first = _first(con, "dmy and not mdy"), _first(con, "mdy and not dmy")
    place = sheet.place[:-1]
    if day_first and month_first:
        raise Unreadable(
            f"has dates with the day first ({day_first[1]} in {place} {day_first[0]}) and with the month first "
            f"({month_first[1]} in {place} {month_first[0]}): write them in one way, or say which is right with "
            "--date-form dmy or --date-form mdy"
        )
    if day_first or month_first:
        return "dmy" if day_first else "mdy"
    seen = _first(con, "dmy")
    raise Unreadable(
        f"has dates such as {seen[1] if seen else ''}, and none says whether the day or the month comes first: say it "
        "with --date-form dmy or --date-form mdy"
    )


def _first(con: duckdb.DuckDBPyConnection, where: str) -> Any:
    return con.sql(f"select number, moment from fitting where {where} order by number limit 1").fetchone()


def _looks() -> str:
    return "; ".join(form.looks for form in FORMS.values())


def _names_days(con: duckdb.DuckDBPyConnection, form: str, kind: str, explicit: bool, closes: bool) -> bool:
    """Whether the dates name whole UTC days: all at 00:00, in a column of days or without a time of day."""
    if kind == "day" and closes and explicit:
        raise ConfigError("--time-is closes is for moments, and day= names a column of days: use time= for it")
    if explicit or closes:
        return kind == "day" and not closes
    timed = "true" if form.startswith("unix") else "moment like '%:%'"
    dates = f"select moment, {moment_of(form, 'moment')} as dated_at from lines"
    sql = f"select bool_and(dated_at = date_trunc('day', dated_at)), bool_or({timed}) from ({dates})"
    [(at_midnight, has_time)] = con.sql(sql).fetchall()
    return bool(at_midnight) and (kind == "day" or not has_time)


# Writing -------------------------------------------------------------------------------------------------------------


def imported_before(lake: Lake, planned: Planned, finished_until: datetime | None) -> Before | None:
    """The import of the same bytes, understood in the same way, that bronze holds of this source; the newest.

    One that was taken before the file's last candle had ended (`finished_until`) does not count: that candle was
    unfinished then.
    """
    found = None
    for each in lake.objects.list(f"{planned.source}/{ENDPOINT}"):
        for answer in _answers(lake, each.path):
            if (answer.sha256, dict(answer.params)) == (planned.sha256, planned.meaning.as_params()):
                found = Before(each.path, answer.fetched_at)
    return None if found and finished_until and finished_until > found.fetched_at else found


def _answers(lake: Lake, path: str) -> list[Answer]:
    """The answers of an object; of a damaged one none, so that importing again mends what it lost."""
    try:
        return list(unpack(lake.objects.get(path)))
    except LakeError:
        return []


def demand_use(found: Iterable[tuple[Planned, int, Sequence[Mapping[str, Any]]]]) -> None:
    """See that every file gives a row; found are the file, its rows, and its first rejects.

    Raises:
        ConfigError: a file gives none, so that it was surely misunderstood; the sentence says what its lines lack.
    """
    for planned, rows, rejects in found:
        if not rows:
            place, value, detail = (rejects[0][name] for name in ("place", "value", "detail"))
            why = f"{place} is {value!r}, {detail}" if value else f"{place}: {detail}"
            raise ConfigError(f"{planned.path}: not one of its lines can be used ({why})")


def only_once(planned: Iterable[Planned]) -> list[Planned]:
    """The files without those that say the same as another before them."""
    firsts: dict[tuple[str, ...], Planned] = {}
    for each in planned:
        firsts.setdefault(each.content, each)
    return list(firsts.values())


def put(lake: Lake, planned: Sequence[Planned], run: str, at: datetime) -> list[str]:
    """Write each file's bytes into an object of its own; returns their paths below the bronze root, in order.

    Raises:
        ConfigError: a file is another one by now; those before it are written.
        LakeError: bronze cannot be written.
    """
    at = at.astimezone(UTC)
    written = []
    for number, each in enumerate(planned, start=1):
        name = f"{at:%Y%m%dT%H%M%SZ}-{run}-{number:04d}.jsonl.gz"
        path = f"{each.source}/{ENDPOINT}/date={at:%Y-%m-%d}/{name}"
        lake.objects.put(path, pack([each.answer(at)]))
        written.append(path)
    return written


# Telling -------------------------------------------------------------------------------------------------------------


def told(planned: Planned, before: Before | None, bronze_object: str | None) -> dict[str, Any]:
    """How a file was understood and where it lies, for a person and for machines."""
    meaning = planned.meaning
    when = "day" if meaning.time_is == "day" else "time"
    columns = {when if cell == "moment" else cell: meaning.columns[cell] for cell in CELLS if cell in meaning.columns}
    return {
        "file": _shown(str(planned.path)),
        "format": meaning.sheet.format,
        "sha256": planned.sha256,
        "columns": columns,
        "left_out": list(planned.left_out),
        "not_there": [name for name in NUMBERS if name not in meaning.columns],
        "coin": meaning.coin,
        "coin_from": planned.coin_from,
        "date_form": meaning.date_form,
        "dates": FORMS[meaning.date_form].looks,
        "time_is": meaning.time_is,
        "lines": planned.lines,
        "bronze_object": before.bronze_object if before else bronze_object,
        "imported_before": before.fetched_at if before else None,
    }
