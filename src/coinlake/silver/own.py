"""How a history of one's own becomes candles, and how each of its lines that cannot is refused.

A line is taken whole or not at all: a cell that holds no number may be the sign of cells that slipped, so the line is
a reject, one for every cell that is wrong, with the line's number. Only an empty cell means unknown. Of lines with one
coin and one moment the last is kept. A candle's length is a day where the file names days; else it is the median step
of the coin, or of the file where the coin has one candle only, and has to be one of the spans.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import narwhals as nw

from coinlake.answer import Answer
from coinlake.duck import bring, glance, quoted
from coinlake.engine import Engine, Frame
from coinlake.lake import Lake
from coinlake.sheet import FORMS, NUMBERS, Unreadable, load, meaning_of, moment_of
from coinlake.silver.clean import Readers, clean
from coinlake.silver.decode import ROOT, Cleaned, Decoded, Reader, reject
from coinlake.silver.prices import ANSWER, unknown_if_zero
from coinlake.spans import DAY_S, SPANS_S
from coinlake.table import Table

ENDPOINT = "import"
PRICES = ("open", "high", "low", "close")
SLACK = 0.1
"""How far a median step may lie from a span, as a part of it, to be one."""
HOURS = 3
"""Most hours that a warning names."""
SHOWN = 10
"""Most rejects of a file that are told one by one."""

_NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"
_UNSEEN = r"[\x00-\x1f\x7f-\x9f\x{ad}\x{200b}-\x{200f}\x{2028}-\x{202e}\x{2060}-\x{206f}\x{feff}]"
"""Control and formatting characters: two ids that look the same must be the same."""
_NO_NUMBER = "(?i)[+-]?(nan|inf|infinity)"
_KNOWN_MOMENTS = "timestamptz '1970-01-01 00:00:00+00' and timestamptz '2255-01-01 00:00:00+00'"
"""Between any two of which the time is exact in a float64."""


# Cells ---------------------------------------------------------------------------------------------------------------


def decode(con: duckdb.DuckDBPyConnection, asked: str) -> Decoded:
    """One row a line whose cells are all good; a reject for every cell that is not, and for lines of other width."""
    files = con.sql(f"select bronze_object, line, params, body_bytes from ({asked}) order by 1, 2").fetchall()
    con.execute(f"create or replace temp table asked as select bronze_object, line, source, fetched_at from ({asked})")
    con.execute(f"create or replace temp table good ({_KEPT})")
    con.execute(f"create or replace temp table bad ({_KEPT}, {_TEXTS})")
    con.execute("create or replace temp table unread (bronze_object VARCHAR, line BIGINT, why VARCHAR)")
    for bronze_object, line, params, body in files:
        try:
            _add(con, bronze_object, line, json.loads(params), body)
        except Unreadable as exc:
            con.execute("insert into unread values (?, ?, ?)", [bronze_object, line, f"the file {exc}"])
    con.execute(f"create or replace temp table refused as {_refused()}")
    numbers = ", ".join(f"{name}_number as {name}_usd" for name in NUMBERS)
    values = con.sql(
        "select bronze_object, line, source, fetched_at, path, number, coin as coin_id, dated_at, time_is, "
        f"{numbers} from good join asked using (bronze_object, line)"
    )
    return Decoded(values, con.table("refused"), places={"closed_at": "", "span": "", "coin_id": ""})


_KEPT = (
    "bronze_object VARCHAR, line BIGINT, path VARCHAR, number BIGINT, time_is VARCHAR, coin VARCHAR, "
    f"dated_at TIMESTAMPTZ, {', '.join(f'{name}_number DOUBLE' for name in NUMBERS)}"
)
_TEXTS = (
    f"wrong VARCHAR, raw VARCHAR, looks VARCHAR, moment VARCHAR, {', '.join(f'{name} VARCHAR' for name in NUMBERS)}"
)


def _add(con: duckdb.DuckDBPyConnection, bronze_object: str, line: int, params: Mapping[str, str], body: bytes) -> None:
    """Put a file's lines, with their moment and numbers read, among the good or, with their texts, the bad ones."""
    meaning = meaning_of(params)
    load(con, body, meaning.sheet, meaning.columns, "sheet")
    constants = {"bronze_object": bronze_object, "time_is": meaning.time_is, "looks": FORMS[meaning.date_form].looks}
    numbers = ", ".join(
        f"case when regexp_full_match({name}, '{_NUMBER}') then try_cast({name} as DOUBLE) end as {name}_number"
        for name in NUMBERS
    )
    read = (
        f"select {', '.join(f'{quoted(text)} as {name}' for name, text in constants.items())}, {line} as line, "
        f"'$.{meaning.sheet.place}[' || number || ']' as path, "
        f"{moment_of(meaning.date_form, 'moment')} as dated_at, {numbers}, "
        f"* replace ({quoted(meaning.coin) if meaning.coin else 'coin'} as coin) from sheet"
    )
    is_bad = f"wrong is not null or {' or '.join(f'coalesce({when}, false)' for _, _, when, _ in _wrongs())}"
    for table, which in (("good", f"not ({is_bad})"), ("bad", is_bad)):
        columns = ", ".join(con.table(table).columns)
        con.execute(f"insert into {table} select {columns} from ({read}) where {which}")
    con.execute("drop table sheet")


def _found_wrong() -> str:
    """SQL: a list of what is wrong with a line's cells, each with its place, rule, text and a word of help."""
    structs = [
        f"{{'bad': coalesce({when}, false), 'place': {_place(cell)}, 'rule': '{rule}', 'value': {cell}, "
        f"'detail': {detail}}}"
        for cell, rule, when, detail in _wrongs()
    ]
    return f"list_filter([{', '.join(structs)}], lambda each: each.bad)"


def _place(cell: str) -> str:
    """SQL: where below its line a cell is, by what it is taken for."""
    return "case time_is when 'day' then '.day' else '.time' end" if cell == "moment" else f"'.{cell}'"


_Wrong = tuple[str, str, str, str]
"""A cell, the rule that it breaks, when it does (SQL), and a word of help (SQL)."""


def _wrongs() -> list[_Wrong]:
    nothing = " and ".join(f"{name} is null" for name in NUMBERS)
    numbers = [each for name in NUMBERS for each in _number_wrongs(name)]
    return [*_coin_wrongs(), *_moment_wrongs(), *numbers, ("close", "missing", nothing, "'no price and no volume'")]


def _coin_wrongs() -> list[_Wrong]:
    unseen = "'expected a CoinGecko id without control characters: nobody sees them, and they make another coin of it'"
    help_ = "'expected a CoinGecko id in small letters, such as bitcoin: symbols are shared by several coins'"
    return [
        ("coin", "missing", "coin is null", "'no coin'"),
        ("coin", "not_allowed", r"regexp_matches(coin, '[A-Z\s]')", help_),
        ("coin", "not_allowed", rf"regexp_matches(coin, '{_UNSEEN}')", unseen),
    ]


def _moment_wrongs() -> list[_Wrong]:
    return [
        ("moment", "missing", "moment is null", "'no date'"),
        ("moment", "wrong_type", "moment is not null and dated_at is null", "'expected a date like ' || looks"),
        ("moment", "time_out_of_range", f"dated_at not between {_KNOWN_MOMENTS}", "'no candle is so old or so new'"),
        (
            "moment",
            "wrong_type",
            "time_is = 'day' and dated_at <> date_trunc('day', dated_at)",
            "'expected a day, got a moment within one'",
        ),
    ]


def _number_wrongs(name: str) -> list[_Wrong]:
    no_number = f"regexp_full_match({name}, '{_NO_NUMBER}')"
    help_ = (
        f"case when {name} like '%,%' then 'expected digits with a decimal point and no commas, such as 1234.5' "
        f"when regexp_matches({name}, '[$€£¥%]|[A-Za-z]') and regexp_matches({name}, '[0-9]') "
        "then 'expected a bare number: no sign of a currency, no unit' "
        "else 'expected a number; leave the cell empty where it is unknown' end"
    )
    return [
        (name, "not_finite", no_number, "'no finite number; leave the cell empty where it is unknown'"),
        (name, "not_finite", f"isinf({name}_number)", "'larger than a float64 can be'"),
        (name, "wrong_type", f"{name} is not null and {name}_number is null and not {no_number}", help_),
        (name, "out_of_range", f"{name}_number < 0", "'cannot be below zero'"),
    ]


def _refused() -> str:
    """SQL: the rejects of whole files, of lines that do not fit the header, and of single cells."""
    none = {"coin_id": "null"}
    lines_of = "bad join asked using (bronze_object, line) where wrong is"
    files = "unread join asked using (bronze_object, line)"
    unread = f"select {reject('unreadable_file', ROOT, detail='why', **none)} from {files}"
    lines = f"select {reject('unreadable_file', 'path', 'raw', 'wrong', **none)} from {lines_of} not null"
    cells = f"(select *, unnest({_found_wrong()}) as each from {lines_of} null)"
    rules = ("missing", "not_allowed", "not_finite", "out_of_range", "time_out_of_range", "wrong_type")
    of_cells = [
        f"select {reject(rule, 'path || each.place', 'each.value', 'each.detail', coin_id='coin')} "
        f"from {cells} where each.rule = '{rule}'"
        for rule in rules
    ]
    return " union all ".join([unread, lines, *of_cells])


# Candles -------------------------------------------------------------------------------------------------------------


def reader(columns: Collection[str], flags: Callable[[], nw.Expr]) -> Reader:
    """How imports become the rows of a table with these columns, whose `flags` are computed from the others."""
    return Reader(decode, lambda lines: build(lines, columns, flags), in_dollars=False, wants_bytes=True)


def build(lines: Frame, columns: Collection[str], flags: Callable[[], nw.Expr]) -> Cleaned:
    """Candles of lines; lines repeated by a later one, and candles of no known length, are rejects."""
    alike = [*ANSWER, "coin_id", "dated_at"]
    counted = lines.with_columns(
        _nth=nw.col("path").cum_count().over(*alike, order_by="number"), _of=nw.len().over(*alike)
    )
    last = counted.filter(nw.col("_nth") == nw.col("_of"))
    placed = _with_span(last)
    known = placed.filter(~nw.col("span").is_null())
    priced = known.with_columns(
        closed_at=_closed_at(), **{f"{name}_usd": unknown_if_zero(f"{name}_usd") for name in PRICES}
    )
    spans = ", ".join(SPANS_S)
    refused = [
        _rejects(
            counted.filter(nw.col("_nth") != nw.col("_of")),
            "duplicated_timestamp",
            "a later line has its coin and moment",
        ),
        _rejects(
            placed.filter(nw.col("span").is_null()),
            "not_allowed",
            f"the median step of its moments is none of {spans}; a column of days is named with --mapping day=COLUMN",
        ),
    ]
    rows = priced.with_columns(flags=flags()).select(*columns, "path")
    return Cleaned(rows, nw.concat(refused, how="vertical"))


def _with_span(lines: Frame) -> Frame:
    coin = [*ANSWER, "coin_id"]
    before = nw.col("dated_at").shift(1).over(*coin, order_by="dated_at")
    steps = lines.with_columns(_step=(nw.col("dated_at") - before).dt.total_seconds().cast(nw.Float64))
    of_coin = steps.group_by(*coin).agg(_of_coin=nw.col("_step").median())
    of_file = steps.group_by(*ANSWER).agg(_of_file=nw.col("_step").median())
    joined = lines.join(of_coin, on=coin, how="left").join(of_file, on=ANSWER, how="left")
    step = nw.when(nw.col("_of_coin").is_null()).then(nw.col("_of_file")).otherwise(nw.col("_of_coin"))
    is_day = nw.col("time_is") == "day"
    timed = joined.with_columns(_step=nw.when(is_day).then(nw.lit(float(DAY_S))).otherwise(step))
    span = nw.lit(None, dtype=nw.String)
    for name, seconds in SPANS_S.items():
        near = (nw.col("_step") >= seconds * (1 - SLACK)) & (nw.col("_step") <= seconds * (1 + SLACK))
        span = nw.when(near).then(nw.lit(name)).otherwise(span)
    return timed.with_columns(span=span)


def _closed_at() -> nw.Expr:
    ended = nw.col("dated_at")
    for name, seconds in SPANS_S.items():
        opens = (nw.col("span") == name) & (nw.col("time_is") != "closes")
        ended = nw.when(opens).then(nw.col("dated_at") + timedelta(seconds=seconds)).otherwise(ended)
    return ended


def _rejects(lines: Frame, rule: str, detail: str) -> Frame:
    nothing = {name: nw.lit(None, dtype=nw.String) for name in ("granularity", "value")}
    no_day = {name: nw.lit(None, dtype=nw.Date) for name in ("first_day", "last_day")}
    kept = lines.select(*ANSWER, "path", "source", "coin_id", "fetched_at")
    return kept.with_columns(rule=nw.lit(rule), detail=nw.lit(detail), **nothing, **no_day)


# Before it is written ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Taken:
    """What a file gives: its candles by number, coins and spans, and what of it is refused.

    `gaps` counts the candles that are missing between a coin's first and its last, `rejects` the rejects by rule,
    `refused_lines` their lines; `shown` holds the first rejects. `finished_until` is the end of the newest candle that
    has ended by the answer's time. `warnings` are sentences about what is taken and may not be what was meant.
    """

    rows: int
    coins: tuple[str, ...]
    spans: tuple[str, ...]
    first_closed_at: datetime | None
    last_closed_at: datetime | None
    finished_until: datetime | None
    gaps: int
    refused_lines: int
    rejects: Mapping[str, int]
    shown: tuple[Mapping[str, Any], ...]
    warnings: tuple[str, ...] = ()


def taken(answer: Answer, readers: Readers, engine: Engine, closes_day: tuple[int, int]) -> Taken:
    """What an import would give, by the very step that cleans it; nothing is written.

    `closes_day` are the seconds before and after 00:00 UTC between which a candle has to end to close a day.
    """
    found = clean([("not yet in bronze", 1, answer)], readers, engine)
    table, _ = readers[ENDPOINT]
    rows = next(each.rows for each in found if each.table is table)
    refused = next(each.rejects for each in found if each.table is table)
    at = f"make_timestamptz({round(answer.fetched_at.timestamp() * 1e6)})"
    moments = ", ".join(f"epoch_us({each})" for each in ("min(closed_at)", "max(closed_at)"))
    [(count, coins, spans, first, last, ended)] = rows.aggregate(
        f"count(*), list_sort(list(distinct coin_id)), list_sort(list(distinct span)), {moments}, "
        f"epoch_us(max(closed_at) filter (closed_at <= {at}))"
    ).fetchall()
    seconds = " ".join(f"when '{name}' then {length}" for name, length in SPANS_S.items())
    between = f"(epoch(max(closed_at)) - epoch(min(closed_at))) / case span {seconds} end + 1 - count(*)"
    series = rows.aggregate(f"coin_id, span, greatest(round({between}), 0) as n", "coin_id, span")
    [(gaps,)] = series.aggregate("coalesce(sum(n), 0)::BIGINT").fetchall()
    rules = refused.aggregate("rule, count(*)", "rule").order("rule").fetchall()
    line = r"regexp_extract(path, '\[(\d+)\]', 1)"
    [(lines,)] = refused.aggregate(f"count(distinct {line})").fetchall()
    shown = refused.order(f"try_cast({line} as BIGINT) nulls first, path, rule").limit(SHOWN)
    return Taken(
        rows=count,
        coins=tuple(coins or ()),
        spans=tuple(spans or ()),
        first_closed_at=_moment(first),
        last_closed_at=_moment(last),
        finished_until=_moment(ended),
        gaps=gaps,
        refused_lines=lines,
        rejects=dict(rules),
        shown=tuple(
            dict(zip(("place", "rule", "value", "detail"), row, strict=True))
            for row in shown.project("path, rule, value, detail").fetchall()
        ),
        warnings=tuple(_close_no_day(rows, *closes_day)),
    )


def _close_no_day(rows: duckdb.DuckDBPyRelation, early_s: int, late_s: int) -> Iterator[str]:
    """A warning about candles of a day or longer that end at another hour than a day does, if there are any."""
    days = ", ".join(quoted(name) for name, length in SPANS_S.items() if length >= DAY_S)
    second = "epoch_us(closed_at) // 1000000 % 86400"
    off = rows.filter(f"span in ({days}) and {second} > {late_s} and {second} < {DAY_S - early_s}")
    ends = off.aggregate(f"{second} // 60 as minute, count(*) as n", "minute").order("n desc, minute").fetchall()
    if count := sum(n for _, n in ends):
        hours = [f"{n:,} at {minute // 60:02}:{minute % 60:02}" for minute, n in ends]
        listed = ", ".join([*hours[:HOURS], *(["…"] if len(hours) > HOURS else [])])
        candles = "1 candle of a day ends" if count == 1 else f"{count:,} candles of a day end"
        yield (
            f"{candles} at another hour than 00:00 UTC ({listed}), so they close no UTC day and gold.daily gets no "
            "close from them: where a column names the days, say so with --mapping day=COLUMN, else bring UTC days"
        )


def _moment(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)


def knows(lake: Lake, tables: Collection[Table], coin: str) -> bool:
    """Whether some table of the lake has met a coin."""
    return any(_has(lake, table, coin) for table in tables if "coin_id" in table.key)


def _has(lake: Lake, table: Table, coin: str) -> bool:
    con = glance()
    bring(con, lake.read(table, ["coin_id"], where=f"coin_id = {quoted(coin)}"), "met", rest="limit 1")
    return bool(con.table("met").fetchall())
