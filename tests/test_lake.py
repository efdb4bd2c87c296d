"""What a lake holds it holds once, whatever happens: real Delta tables and real objects, in a folder and in the cloud.

One suite on a folder, on the Cloud Storage of `storage.py`, and, where there is Go, on fake-gcs-server.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given
from hypothesis import strategies as st

from coinlake import meter
from coinlake.answer import to_text
from coinlake.duck import bring, connect, glance, quoted
from coinlake.errors import ConflictError, ContractError, LakeError
from coinlake.gold.scope import END, EVERY, Scope
from coinlake.kept import Files, Opened, Shelf
from coinlake.lake import Lake, Piece, Staged, epoch_of, transactions
from coinlake.objects import Objects
from coinlake.table import Column, Date, Float64, Int64, String, Table, Timestamp, observations
from coinlake.upkeep import compact, leftovers, sweep
from stores import KINDS, Store, cloud, fake_gcs
from strategies import examples

NOTES = observations(
    "silver.notes",
    key=("coin_id", "observed_at"),
    columns={
        "coin_id": Column(String, "which coin"),
        "observed_at": Column(Timestamp, "when", "UTC"),
        "price_usd": Column(Float64, "price", "USD", between=(0, None)),
    },
    grain="one note",
    dated_by="observed_at",
)
DAYS = Table(
    "gold.days",
    key=("coin_id", "day"),
    columns={
        "coin_id": Column(String, "which coin"),
        "day": Column(Date, "which day"),
        "close_usd": Column(Float64, "close", "USD", between=(0, None)),
    },
    grain="one day",
    dated_by="day",
)
WIDER = replace(NOTES, columns={**NOTES.columns, "volume_usd": Column(Float64, "volume", "USD")})
AT = datetime(2022, 2, 1, 0, 45, tzinfo=UTC)


@pytest.fixture(scope="module", params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with _store(request.param, request, tmp_path_factory) as found:
        yield found


@contextmanager
def _store(kind: str, request: pytest.FixtureRequest, folders: pytest.TempPathFactory) -> Iterator[Store]:
    if kind == "folder":
        yield Store(str(folders.mktemp("lakes")), {})
        return
    with cloud() if kind == "cloud" else fake_gcs(request.getfixturevalue("shared")) as found:
        yield found


@pytest.fixture
def lake(store: Store) -> Lake:
    """An empty lake, wherever lakes may lie."""
    return Lake.at(f"{store.root}/{uuid.uuid4().hex}", **store.options)


@pytest.fixture
def local(tmp_path: Path) -> Lake:
    """An empty lake in a folder, for what is true of folders only."""
    return Lake.at(str(tmp_path / "lake"))


def files(lake: Lake, table: Table) -> Objects:
    """The files of a table."""
    return Objects(lake.uri(table), lake.options)


def data_files(lake: Lake, table: Table) -> list[str]:
    return [each.path for each in files(lake, table).list() if each.path.startswith("year=")]


def relation(select: str) -> duckdb.DuckDBPyRelation:
    return connect().sql(select)


def notes(objects: Iterable[str], count: int = 3, price: float = 1.5, more: str = "") -> duckdb.DuckDBPyRelation:
    """So many rows of each object, the half of them in 2021."""
    listed = ", ".join(f"('{each}')" for each in objects) or "(null)"
    return relation(
        "select 'bitcoin' as coin_id, "
        "timestamptz '2021-12-31 12:00:00+00' + to_hours((12 * n)::INTEGER) as observed_at, "
        f"{price}::DOUBLE as price_usd{more}, timestamptz '{AT}' as fetched_at, o as bronze_object, 1::BIGINT as line "
        f"from (values {listed}) as objects(o), range({count}) as numbers(n) where o is not null"
    )


def days(*rows: tuple[str, str, float | None]) -> duckdb.DuckDBPyRelation:
    listed = ", ".join(f"('{c}', date '{d}', {'null' if p is None else p}::DOUBLE)" for c, d, p in rows)
    empty = "select null::VARCHAR as coin_id, null::DATE as day, null::DOUBLE as close_usd where false"
    return relation(f"select * from (values {listed}) as t(coin_id, day, close_usd)" if rows else empty)


def held(lake: Lake, table: Table, *columns: str, where: str = "true") -> list[tuple[Any, ...]]:
    given = lake.read(table, columns or None, where).__arrow_c_stream__()  # noqa: F841 - DuckDB finds it by its name
    return connect().sql("select * from given order by all").fetchall()


def objects_held(lake: Lake) -> dict[str, int]:
    """How many rows of each bronze object a table of notes holds."""
    found: dict[str, int] = {}
    for (name,) in held(lake, NOTES, "bronze_object"):
        found[name] = found.get(name, 0) + 1
    return found


def opened(lake: Lake, table: Table) -> DeltaTable:
    delta = lake.open(table)
    assert delta is not None
    return delta


def test_small_questions_do_not_see_each_others_tables() -> None:
    one, other = glance(), glance()
    one.execute("create temp table found as select 1 as x")
    other.execute("create temp table found as select 2 as x")
    answer = one.table("found")
    del one
    assert (answer.fetchall(), other.table("found").fetchall()) == ([(1,)], [(2,)])
    assert glance().execute("select current_setting('TimeZone')").fetchall() == [("UTC",)]
    with pytest.raises(duckdb.CatalogException):
        glance().table("found")


# Objects -------------------------------------------------------------------------------------------------------------


def test_an_object_comes_back_and_is_listed_by_its_path(lake: Lake) -> None:
    assert list(lake.objects.list()) == []
    lake.objects.put("b/2", b"two")
    lake.objects.put("a/1", b"1")
    assert lake.objects.get("b/2") == b"two"
    assert [(each.path, each.size) for each in lake.objects.list()] == [("a/1", 1), ("b/2", 3)]
    assert [each.path for each in lake.objects.list("b")] == ["b/2"]
    assert [each.path for each in lake.objects.list(after="a/1")] == ["b/2"]


def test_our_own_earlier_write_is_known_again_and_another_is_never_touched(lake: Lake) -> None:
    lake.objects.put("a", b"mine")
    lake.objects.put("a", b"mine")
    with pytest.raises(LakeError, match="exists with other content"):
        lake.objects.put("a", b"yours")
    assert lake.objects.get("a") == b"mine"


def test_what_has_a_fixed_name_is_written_over_and_a_missing_object_can_be_removed(lake: Lake) -> None:
    lake.exports.put_over("exports/x.csv", b"1")
    lake.exports.put_over("exports/x.csv", b"2")
    assert lake.exports.get("exports/x.csv") == b"2"
    for _ in range(2):
        lake.exports.delete("exports/x.csv")
    with pytest.raises(FileNotFoundError):
        lake.exports.get("exports/x.csv")


def test_an_object_of_many_parts_comes_back_whole(lake: Lake) -> None:
    data = random.Random(1).randbytes(11 * 2**20)
    lake.objects.put("large", data)
    assert lake.objects.get("large") == data
    lake.objects.put("large", data)


def test_each_layer_may_have_a_root_of_its_own(tmp_path: Path) -> None:
    lake = Lake.at(f"{tmp_path}/lake/", gold=f"file://{tmp_path}/else where")
    assert (lake.bronze, lake.silver) == (f"{tmp_path}/lake/bronze", f"{tmp_path}/lake/silver")
    lake.replace(DAYS, days(("a", "2022-01-01", 1.0)), {})
    assert (tmp_path / "else where" / "days" / "_delta_log").is_dir()


def test_a_root_that_cannot_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("a file, where a folder should be")
    lake = Lake.at(str(tmp_path / "lake"))
    with pytest.raises(LakeError, match="permissions"):
        lake.objects.put("a", b"")
    with pytest.raises(LakeError, match="permissions"):
        lake.append(NOTES, notes(["a"]), ["a"])


# Reading -------------------------------------------------------------------------------------------------------------


def test_a_table_that_was_never_written_has_its_columns_and_no_rows(lake: Lake) -> None:
    assert lake.version(NOTES) == -1
    assert lake.open(NOTES) is None
    assert lake.read(NOTES).schema.names == list(NOTES.columns)
    assert held(lake, NOTES) == []
    assert lake.changes(NOTES, -1) is not None


def test_rows_are_read_by_column_and_condition(lake: Lake) -> None:
    lake.append(NOTES, notes(["a", "b"]), ["a", "b"])
    assert held(lake, NOTES, "bronze_object", where="bronze_object = 'b'") == [("b",)] * 3
    assert len(held(lake, NOTES, where="year = 2021")) == 2
    con = connect()
    lake.attach(con, NOTES, "n", "bronze_object = 'a'")
    assert con.sql("select distinct bronze_object from n").fetchall() == [("a",)]
    assert con.table("n").columns == list(NOTES.columns)


def test_what_is_no_table_is_told_in_a_sentence(lake: Lake) -> None:
    files(lake, NOTES).put(f"_delta_log/{0:020d}.json", b"{nonsense")
    with pytest.raises(LakeError, match="cannot be read"):
        lake.open(NOTES)


def test_every_data_file_that_is_not_as_the_log_says_is_named(lake: Lake) -> None:
    lake.append(NOTES, notes(["a"]), ["a"])
    lake.append(NOTES, notes(["b"]), ["b"])
    assert lake.damage(NOTES) == lake.damage(DAYS) == []
    gone, short, scrambled, _ = data_files(lake, NOTES)
    whole = {path: files(lake, NOTES).get(path) for path in (short, scrambled)}
    files(lake, NOTES).put_over(scrambled, bytes(len(whole[scrambled])))
    (told,) = lake.damage(NOTES)
    assert told.startswith("silver.notes: its rows cannot be read (")
    files(lake, NOTES).put_over(short, whole[short][:100])
    files(lake, NOTES).delete(gone)
    assert set(lake.damage(NOTES)) == {
        f"silver.notes: its data file {gone} is missing",
        f"silver.notes: its data file {short} has 100 bytes instead of {len(whole[short]):,}",
    }


def test_who_is_guarded_hears_of_damage_only_where_there_is_some(lake: Lake) -> None:
    lake.append(NOTES, notes(["a"]), ["a"])
    with pytest.raises(ZeroDivisionError), lake.guarded():
        assert 1 // len(held(lake, NOTES, where="false"))
    files(lake, NOTES).delete(data_files(lake, NOTES)[0])
    with pytest.raises(LakeError, match="is missing"), lake.guarded():
        held(lake, NOTES)


# Exactly once --------------------------------------------------------------------------------------------------------


def test_an_object_is_appended_once_and_for_all(lake: Lake) -> None:
    assert lake.append(NOTES, notes(["a", "b"]), ["a", "b"]) == 6
    version = lake.version(NOTES)
    assert lake.append(NOTES, notes(["a", "b"]), ["a", "b"]) == 0
    assert lake.version(NOTES) == version
    assert lake.append(NOTES, notes(["b", "c"]), ["b", "c"]) == 3
    assert objects_held(lake) == {"a": 3, "b": 3, "c": 3}


def test_an_object_without_rows_is_marked_as_done(lake: Lake) -> None:
    assert lake.append(NOTES, notes([]), ["nothing"]) == 0
    assert "nothing" in transactions(opened(lake, NOTES))


def test_rows_that_break_the_contract_append_nothing(lake: Lake) -> None:
    with pytest.raises(ContractError, match="price_usd is out of range"):
        lake.append(NOTES, notes(["a"], price=-1), ["a"])
    assert lake.version(NOTES) == -1


WRITER = """
import json, sys
sys.path[:0] = sys.argv[1:3]
from test_lake import NOTES, notes
from coinlake.lake import Lake
lake = Lake(*json.loads(sys.argv[3]))
for batch in sys.argv[4:]:
    lake.append(NOTES, notes(batch.split(",")), batch.split(","))
"""


def writer(lake: Lake, batches: Sequence[Sequence[str]]) -> subprocess.Popen[str]:
    """A process of its own that appends batches of objects."""
    here = Path(__file__).parent
    where = json.dumps([lake.bronze, lake.silver, lake.gold, dict(lake.options)])
    words = [str(here), str(here.parent / "src"), where, *(",".join(batch) for batch in batches)]
    return subprocess.Popen([sys.executable, "-c", WRITER, *words], stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_two_processes_at_once_in_shuffled_order_append_every_object_once(lake: Lake) -> None:
    names = [f"coingecko/x/{number:02d}.jsonl.gz" for number in range(48)]
    plans = []
    for seed in (1, 2):
        shuffled = random.Random(seed).sample(names, len(names))
        plans.append([shuffled[place : place + 3] for place in range(0, len(names), 3)])
    running = [writer(lake, plan) for plan in plans]
    for process in running:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    assert objects_held(lake) == dict.fromkeys(names, 3)
    delta = opened(lake, NOTES)
    assert {name: delta.transaction_version(name) for name in names} == dict.fromkeys(names, 1)


@dataclass(frozen=True)
class Overtaken(Lake):
    """A lake where another writer commits between our looking and our writing, once."""

    raced: list[int] = field(default_factory=list)

    def _create(self, table: Table, is_asked: bool = False) -> Opened:
        opened = super()._create(table, is_asked)
        if not self.raced:
            self.raced.append(
                Lake(self.bronze, self.silver, self.gold, self.options).append(NOTES, notes(["a", "c"]), ["a", "c"])
            )
        return opened


def test_a_writer_that_was_overtaken_leaves_out_what_the_other_did(lake: Lake) -> None:
    overtaken = Overtaken(lake.bronze, lake.silver, lake.gold, lake.options)
    assert overtaken.append(NOTES, notes(["a", "b"]), ["a", "b"]) == 3
    assert overtaken.raced == [6]
    assert objects_held(lake) == {"a": 3, "b": 3, "c": 3}


def test_a_table_stays_as_it_was_looked_at_but_for_what_is_written_here(lake: Lake) -> None:
    other = Lake(lake.bronze, lake.silver, lake.gold, lake.options)
    other.append(NOTES, notes(["a"]), ["a"])
    with lake.as_it_stands(NOTES, DAYS):
        before = lake.version(NOTES)
        assert lake.version(DAYS) == -1
        other.append(NOTES, notes(["b"]), ["b"])
        assert (lake.version(NOTES), objects_held(lake)) == (before, {"a": 3})
        lake.replace(DAYS, days(("a", "2022-01-01", 1.0)), {NOTES.name: before})
        assert (lake.rows(DAYS), lake.noted(DAYS)[NOTES.name]) == (1, before)
        lake.look_again()
        assert objects_held(lake) == {"a": 3, "b": 3}
    assert lake.append(NOTES, notes(["b", "c"]), ["b", "c"]) == 3


def test_a_table_is_replaced_as_it_was_asked_or_not_at_all(lake: Lake) -> None:
    other = Lake(lake.bronze, lake.silver, lake.gold, lake.options)
    other.replace(DAYS, days(("a", "2022-01-01", 1.0)), {NOTES.name: 1})
    with lake.as_it_stands():
        assert lake.noted(DAYS)[NOTES.name] == 1
        other.replace(DAYS, days(("b", "2022-01-02", 2.0)), {NOTES.name: 3}, predicate="coin_id = 'b'")
        assert lake.noted(DAYS)[NOTES.name] == 1
        lake.replace(DAYS, days(("b", "2022-01-02", 2.0)), {NOTES.name: 2}, predicate="coin_id = 'b'")
    assert held(lake, DAYS) == held(other, DAYS)
    assert (lake.rows(DAYS), lake.noted(DAYS)[NOTES.name]) == (2, 3), "what the other did stands"


def test_a_table_that_was_not_there_when_asked_is_not_overwritten_by_who_knew_less(lake: Lake) -> None:
    other = Lake(lake.bronze, lake.silver, lake.gold, lake.options)
    with lake.as_it_stands(DAYS):
        other.replace(DAYS, days(("b", "2022-01-02", 2.0)), {NOTES.name: 2})
        lake.replace(DAYS, days(("a", "2022-01-01", 1.0)), {NOTES.name: 1})
    assert (held(other, DAYS), other.noted(DAYS)[NOTES.name]) == ([("b", date(2022, 1, 2), 2.0)], 2)


def test_who_knows_more_of_a_table_that_was_not_there_when_asked_looks_again(lake: Lake) -> None:
    other = Lake(lake.bronze, lake.silver, lake.gold, lake.options)
    with lake.as_it_stands(DAYS):
        other.replace(DAYS, days(("b", "2022-01-02", 2.0)), {NOTES.name: 1})
        with pytest.raises(ConflictError, match=r"another run wrote gold\.days"):
            lake.replace(DAYS, days(("a", "2022-01-01", 1.0)), {NOTES.name: 2})
        lake.look_again()
        lake.replace(DAYS, days(("a", "2022-01-01", 1.0)), {NOTES.name: 2})
    assert (held(other, DAYS), other.noted(DAYS)[NOTES.name]) == ([("a", date(2022, 1, 1), 1.0)], 2)


@pytest.mark.parametrize("commits", [1, 2, 25])
def test_what_is_kept_of_a_table_is_not_taken_for_another_of_its_name(lake: Lake, commits: int) -> None:
    lake = replace(lake, shelf=Shelf())
    for number in range(2):
        lake.append(NOTES, notes([f"a{number}"]), [f"a{number}"])
    with lake.kept_open():
        assert objects_held(lake) == {"a0": 3, "a1": 3}
    for each in list(files(lake, NOTES).list()):
        files(lake, NOTES).delete(each.path)
    another = Lake(lake.bronze, lake.silver, lake.gold, lake.options)
    for number in range(commits):
        another.append(NOTES, notes([f"b{number}"]), [f"b{number}"])
    with lake.kept_open():
        assert objects_held(lake) == {f"b{number}": 3 for number in range(commits)}
        assert lake.noted(NOTES).keys() >= {f"b{number}" for number in range(commits)}


def test_a_table_that_is_looked_at_again_is_asked_for_what_came_since_and_no_more(lake: Lake) -> None:
    lake = replace(lake, shelf=Shelf())
    for number in range(12):
        lake.append(NOTES, notes([f"a{number}"]), [f"a{number}"])
    with lake.kept_open():
        lake.noted(NOTES)
    lake.append(NOTES, notes(["b"]), ["b"])
    with lake.kept_open():
        before = meter.reading()
        assert "b" in lake.noted(NOTES)
        lake.changes(NOTES, 12)
        assert meter.since(before) == {"listed": 2, "read": 1}


def test_who_comes_while_another_has_what_is_kept_begins_with_nothing() -> None:
    shelf = Shelf()
    with shelf.taken() as first, shelf.taken() as second:
        assert second is not first
    with shelf.taken() as third:
        assert third is first
    with pytest.raises(LakeError), shelf.taken():
        raise LakeError("it went wrong")
    with shelf.taken() as fourth:
        assert fourth is not first


def test_files_are_kept_as_long_as_there_is_room(tmp_path: Path) -> None:
    there = Objects(str(tmp_path / "there"))
    for name in "abcd":
        there.put(name, name.encode() * 40)
    kept = Files(100)
    assert kept.of(there, {"a": 40, "b": 40}) is None, "no table takes more than half of the room"
    for name in "ab":
        (path,) = kept.of(there, {name: 40}) or []
        assert path.read_bytes() == name.encode() * 40
    before = meter.reading()
    (first,) = kept.of(there, {"a": 40}) or []
    assert meter.since(before) == {}
    kept.of(there, {"c": 40})
    assert first.exists(), "the latest used stays"
    kept.of(there, {"b": 40})
    assert meter.since(before) == {"read": 2}
    with pytest.raises(FileNotFoundError):
        kept.of(there, {"nothing": 1})


def test_transactions_are_those_that_delta_rs_knows_before_and_after_checkpoints(lake: Lake) -> None:
    names = [f"o{number}" for number in range(25)]
    for number, name in enumerate(names):
        lake.append(NOTES, notes([name], count=1), [name])
        if number in (3, 8, 9, 10, 24):
            delta = opened(lake, NOTES)
            known = {each: delta.transaction_version(each) for each in names[: number + 1]}
            assert transactions(delta) == known == dict.fromkeys(names[: number + 1], 1)
    assert json.loads(files(lake, NOTES).get("_delta_log/_last_checkpoint"))["version"] >= 10


def test_transactions_of_an_older_snapshot_know_nothing_newer(lake: Lake) -> None:
    lake.append(NOTES, notes(["a"]), ["a"])
    old = opened(lake, NOTES)
    lake.append(NOTES, notes(["b"]), ["b"])
    assert set(transactions(old)) == {"a"}


def test_a_table_begun_anew_forgets_its_rows_and_objects_and_takes_them_again(lake: Lake) -> None:
    for number in range(12):
        lake.append(NOTES, notes([f"o{number}"]), [f"o{number}"])
    lake.restart(NOTES)
    assert held(lake, NOTES) == []
    assert epoch_of(lake.noted(NOTES)) == 2
    assert lake.append(NOTES, notes(["o1", "o2"]), ["o1", "o2"]) == 6
    assert lake.append(NOTES, notes(["o2", "o3"]), ["o2", "o3"]) == 3
    assert objects_held(lake) == {"o1": 3, "o2": 3, "o3": 3}


# Conclusions ---------------------------------------------------------------------------------------------------------


def test_replacing_all_leaves_only_what_is_new(lake: Lake) -> None:
    lake.replace(DAYS, days(("a", "2021-12-31", 1.0), ("a", "2022-01-01", 2.0)), {"silver.notes": 3})
    assert lake.replace(DAYS, days(("b", "2022-01-01", 5.0)), {"silver.notes": 4}) == 1
    assert [row[0] for row in held(lake, DAYS)] == ["b"]
    assert opened(lake, DAYS).transaction_version("silver.notes") == 4


def test_replacing_some_days_leaves_the_others_as_they_are(lake: Lake) -> None:
    lake.replace(DAYS, days(("a", "2021-12-31", 1.0), ("a", "2022-01-01", 2.0), ("b", "2022-01-01", 3.0)), {})
    where = "coin_id = 'a' and day >= cast('2021-12-31' as date)"
    assert lake.replace(DAYS, days(("a", "2022-01-01", 9.0)), {"silver.notes": 7}, where) == 1
    assert [(row[0], str(row[1]), row[2]) for row in held(lake, DAYS)] == [
        ("a", "2022-01-01", 9.0),
        ("b", "2022-01-01", 3.0),
    ]
    assert opened(lake, DAYS).transaction_version("silver.notes") == 7


def test_days_that_were_not_there_become_files_of_their_own(lake: Lake) -> None:
    lake.replace(DAYS, days(("a", "2022-01-01", 1.0)), {})
    before = set(opened(lake, DAYS).file_uris())
    lake.replace(DAYS, days(("a", "2022-01-02", 2.0)), {}, "coin_id = 'a' and day = cast('2022-01-02' as date)")
    assert before < set(opened(lake, DAYS).file_uris())
    assert len(held(lake, DAYS)) == 2


def test_replacing_with_nothing_removes_and_says_what_was_seen(lake: Lake) -> None:
    lake.replace(DAYS, days(("a", "2022-01-01", 1.0)), {})
    assert lake.replace(DAYS, days(), {"silver.notes": 2}, "coin_id = 'a'") == 0
    assert held(lake, DAYS) == []
    assert opened(lake, DAYS).transaction_version("silver.notes") == 2


def test_rows_that_break_the_contract_replace_nothing(lake: Lake) -> None:
    lake.replace(DAYS, days(("a", "2022-01-01", 1.0)), {})
    with pytest.raises(ContractError, match="should be unique"):
        lake.replace(DAYS, days(("a", "2022-01-02", 1.0), ("a", "2022-01-02", 1.0)), {})
    assert len(held(lake, DAYS)) == 1


def test_pieces_become_one_commit_and_of_each_only_the_rows_that_are_meant(lake: Lake) -> None:
    pieces = (Piece(days((coin, "2022-01-02", 1.0), ("z", "2021-12-31", 1.0)), f"coin_id = '{coin}'") for coin in "abc")
    assert lake.replace_by_pieces(DAYS, pieces, {"silver.notes": 4}, note="whole") == 3
    assert [row[0] for row in sorted(held(lake, DAYS))] == ["a", "b", "c"]
    assert (lake.version(DAYS), opened(lake, DAYS).transaction_version("silver.notes")) == (1, 4)


def test_files_are_compressed_and_numbers_have_no_dictionary(tmp_path: Path) -> None:
    lake = Lake.at(str(tmp_path))
    lake.replace(DAYS, days(("a", "2022-01-01", 1.0), ("a", "2022-01-02", 2.0)), {})
    with connect() as con:
        for uri in opened(lake, DAYS).file_uris():
            found = con.sql(f"select path_in_schema, compression, encodings from parquet_metadata('{uri}')").fetchall()
            assert {compression for _, compression, _ in found} == {"SNAPPY"}
            told = {name: "DICTIONARY" in encodings for name, _, encodings in found}
            assert not told["close_usd"] and told["coin_id"]


def test_a_piece_that_breaks_the_contract_leaves_all_as_it_was(lake: Lake) -> None:
    lake.replace(DAYS, days(("a", "2022-01-01", 1.0)), {})
    twice = days(("b", "2022-01-02", 1.0), ("b", "2022-01-02", 1.0))
    pieces = iter([Piece(days(("a", "2022-01-02", 1.0))), Piece(twice)])
    with pytest.raises(ContractError, match="should be unique"):
        lake.replace_by_pieces(DAYS, pieces, {})
    assert len(held(lake, DAYS)) == 1


def test_a_piece_that_is_interrupted_leaves_all_as_it_was(lake: Lake) -> None:
    lake.replace(DAYS, days(("a", "2022-01-01", 1.0)), {})

    def pieces() -> Iterator[Piece]:
        yield Piece(days(("a", "2022-01-02", 1.0)))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lake.replace_by_pieces(DAYS, pieces(), {})
    assert len(held(lake, DAYS)) == 1


# Rows in place, before they are rows ---------------------------------------------------------------------------------


def staged(lake: Lake, *objects: str, table: Table = NOTES, more: str = "") -> Staged:
    """Files with three rows of each object, as an executor leaves them."""
    return lake.stage(table, [Piece(notes(objects, more=more))], objects)


def test_what_is_in_place_is_no_row_until_a_commit_names_its_files(lake: Lake) -> None:
    lake.append(NOTES, notes(["old"]), ["old"])
    version = lake.version(NOTES)
    first, lost, second = staged(lake, "a", "b"), staged(lake, "b"), staged(lake, "c")
    assert (lake.version(NOTES), len(held(lake, NOTES))) == (version, 3)
    assert lake.append_staged(NOTES, [first, second]) == {"old"}
    assert lake.version(NOTES) == version + 1
    assert held(lake, NOTES, "bronze_object") == [(each,) for each in ("a", "b", "c", "old") for _ in range(3)]
    named = {each.path for part in (first, second) for each in part.files}
    assert {each.path for each in leftovers(lake, [NOTES])} == {f"notes/{each.path}" for each in lost.files}
    assert named <= set(data_files(lake, NOTES))
    assert {name for name in transactions(opened(lake, NOTES)) if name != "epoch"} == {"old", "a", "b", "c"}


def test_files_with_rows_of_an_object_that_is_there_already_are_left_out(lake: Lake) -> None:
    mine = [staged(lake, "a", "b"), staged(lake, "c")]
    lake.append(NOTES, notes(["b"]), ["b"])
    assert lake.append_staged(NOTES, mine) == {"b"}
    assert held(lake, NOTES, "bronze_object") == [(each,) for each in ("b", "c") for _ in range(3)]
    version = lake.version(NOTES)
    assert lake.append_staged(NOTES, mine[1:]) == {"b", "c"}
    assert lake.version(NOTES) == version


def test_files_in_place_become_a_whole_table_in_one_commit_with_what_was_seen(lake: Lake) -> None:
    lake.replace(DAYS, days(("old", "2022-01-01", 1.0)), {"silver.notes": 1}, note="whole")
    version = lake.version(DAYS)
    parts = [lake.stage(DAYS, [Piece(days((coin, "2022-01-01", 2.0), (coin, "2021-12-31", 3.0)))]) for coin in "ab"]
    assert lake.replace_by_staged(DAYS, iter(parts), {"silver.notes": 2}, note="whole") == 4
    assert held(lake, DAYS, "coin_id") == [("a",), ("a",), ("b",), ("b",)]
    changes = lake.changes(DAYS, version)
    assert changes is not None
    assert (changes.version, changes.rows_removed, changes.notes) == (version + 1, True, ("whole",))
    assert opened(lake, DAYS).transaction_version("silver.notes") == 2
    assert lake.newest_day(DAYS) == date(2022, 1, 1)
    assert lake.rows(DAYS) == 4


def test_the_names_of_the_folders_above_a_lake_say_nothing_of_its_rows(tmp_path: Path) -> None:
    lake = Lake.at(str(tmp_path / "year=1999" / "coin_id=x" / "close_usd=7"))
    lake.replace(DAYS, days(("a", "2022-01-01", 1.0), ("b", "2021-12-31", 2.0)), {}, note="whole")
    found = connect().sql(f"select coin_id, close_usd from ({lake.scan(DAYS, where='year >= 2021')}) order by 1")
    assert found.fetchall() == [("a", 1.0), ("b", 2.0)]
    changes = lake.changes(DAYS, -1)
    assert changes is not None
    found = lake.read_files(DAYS, changes.files, "coin_id, close_usd")
    assert sorted(found.fetchall()) == [("a", 1.0), ("b", 2.0)]


def test_files_that_hold_nothing_of_what_is_asked_for_are_not_looked_at(local: Lake) -> None:
    for day in ("2020-05-01", "2021-05-01", "2021-05-02"):
        local.replace(DAYS, days(("a", day, 1.0)), {}, f"day = '{day}'")
    for gone in sorted(data_files(local, DAYS))[:2]:
        (Path(local.uri(DAYS)) / gone).unlink()
    left = data_files(local, DAYS)
    assert len(left) == 1
    ((kept,),) = connect().sql(f"select day from read_parquet('{local.uri(DAYS)}/{left[0]}')").fetchall()
    scope = Scope({EVERY: (kept, kept)})
    assert connect().sql(local.scan(DAYS, ["day"], scope.predicate())).fetchall() == [(kept,)]
    with pytest.raises(duckdb.IOException):
        connect().sql(local.scan(DAYS, ["day"])).fetchall()


def test_thousands_of_coins_are_each_asked_for_days_from_another_on(local: Lake) -> None:
    """In a row, that many terms end the process."""
    local.replace(DAYS, days(("a", "2022-01-01", 1.0), ("b", "2021-12-31", 2.0)), {})
    firsts = {"b": date(2021, 12, 31)} | {f"coin-{n}": date(2000, 1, 1) + n * timedelta(days=1) for n in range(6_000)}
    where = Scope({coin: (first, END) for coin, first in firsts.items()}).predicate()
    assert connect().sql(local.scan(DAYS, ["coin_id"], where)).fetchall() == [("b",)]
    con = connect()
    bring(con, local.read(DAYS, ["coin_id"], where), "found")
    assert con.sql("from found").fetchall() == [("b",)]


@examples(10)
@given(
    st.lists(
        st.tuples(
            st.text("aé\U0001f600'", max_size=3).map(lambda end: "x" * 60 + end),
            st.integers(-3, 3).map(lambda us: AT + timedelta(microseconds=us)),
        ),
        min_size=1,
        max_size=5,
        unique=True,
    )
)
def test_a_row_is_found_by_its_very_name_and_moment_though_the_log_cuts_both_short(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, datetime]]
) -> None:
    lake = Lake.at(str(tmp_path_factory.mktemp("lake")))
    for number, (coin, moment) in enumerate(rows):
        note = notes([f"o{number}"], 1).select(
            f"* replace ({quoted(coin)} as coin_id, timestamptz '{moment}' as observed_at)"
        )
        lake.append(NOTES, note, [f"o{number}"])
    for coin, moment in rows:
        where = (
            f"coin_id = {quoted(coin)} and observed_at >= '{to_text(moment)}' and observed_at <= '{to_text(moment)}'"
        )
        found = connect().sql(lake.scan(NOTES, ["coin_id", "observed_at"], where)).fetchall()
        assert [(each[0], each[1].astimezone(UTC)) for each in found] == [(coin, moment)]


def test_the_newest_day_is_told_by_the_log(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lake.newest_day(DAYS) is None
    lake.replace(DAYS, days(("a", "2022-01-01", 1.0), ("a", "2022-01-03", 1.0)), {}, note="whole")
    lake.replace(DAYS, days(("a", "2021-12-30", 1.0)), {}, "day = '2021-12-30'")
    monkeypatch.delattr(Lake, "read")
    assert lake.newest_day(DAYS) == date(2022, 1, 3)


def test_who_was_overtaken_while_others_made_its_files_replaces_nothing(lake: Lake) -> None:
    lake.replace(DAYS, days(("old", "2022-01-01", 1.0)), {"silver.notes": 1})

    def made() -> Iterator[Staged]:
        yield lake.stage(DAYS, [Piece(days(("mine", "2022-01-01", 2.0)))])
        lake.replace(DAYS, days(("other", "2022-01-01", 3.0)), {"silver.notes": 2})

    with pytest.raises(ConflictError, match=r"another run wrote gold\.days"):
        lake.replace_by_staged(DAYS, made(), {"silver.notes": 3})
    assert held(lake, DAYS, "coin_id") == [("other",)]


def test_rows_that_break_the_contract_are_not_put_in_place(lake: Lake) -> None:
    with pytest.raises(ContractError, match=r"gold\.days: close_usd is out of range"):
        lake.stage(DAYS, [Piece(days(("a", "2022-01-01", 1.0))), Piece(days(("b", "2022-01-01", -1.0)))])
    assert data_files(lake, DAYS) == []


def test_a_column_that_came_later_is_taken_on_with_files_in_place(lake: Lake) -> None:
    lake.append(NOTES, notes(["a"]), ["a"])
    lake.append_staged(WIDER, [staged(lake, "b", table=WIDER, more=", 9.0::DOUBLE as volume_usd")])
    assert set(held(lake, WIDER, "bronze_object", "volume_usd")) == {("a", None), ("b", 9.0)}


# What came since -----------------------------------------------------------------------------------------------------


def test_changes_are_the_files_that_came_since_and_hold_just_their_rows(lake: Lake) -> None:
    lake.append(NOTES, notes(["a"]), ["a"])
    seen = lake.version(NOTES)
    lake.append(NOTES, notes(["b"]), ["b"])
    lake.append(NOTES, notes(["c"]), ["c"])
    changes = lake.changes(NOTES, seen)
    assert changes is not None
    assert (changes.version, changes.rows_removed) == (seen + 2, False)
    assert sorted(set(lake.read_files(NOTES, changes.files, "bronze_object").fetchall())) == [("b",), ("c",)]
    nothing = lake.changes(NOTES, lake.version(NOTES))
    assert nothing is not None
    assert nothing.files == ()


def test_compaction_is_no_change_and_a_restart_takes_rows_away(lake: Lake) -> None:
    for name in ("a", "b", "c"):
        lake.append(NOTES, notes([name]), [name])
    seen = lake.version(NOTES)
    compact(lake, [NOTES], always=True)
    changes = lake.changes(NOTES, seen)
    assert changes is not None
    assert (changes.version > seen, changes.files, changes.rows_removed) == (True, (), False)
    lake.restart(NOTES)
    changes = lake.changes(NOTES, seen)
    assert changes is not None
    assert changes.rows_removed


def test_where_the_log_or_a_file_is_gone_changes_are_not_known(lake: Lake) -> None:
    for number in range(12):
        lake.append(NOTES, notes([f"o{number}"]), [f"o{number}"])
    changes = lake.changes(NOTES, 5)
    assert changes is not None
    files(lake, NOTES).delete(changes.files[0])
    assert lake.read_files(NOTES, changes.files, "bronze_object") is None
    files(lake, NOTES).delete(f"_delta_log/{7:020d}.json")
    assert lake.changes(NOTES, 5) is None
    assert lake.changes(NOTES, 7) is not None


# Columns that came later ---------------------------------------------------------------------------------------------


def test_a_column_that_came_later_reads_as_null_and_is_taken_on_append(lake: Lake) -> None:
    lake.append(NOTES, notes(["a"]), ["a"])
    assert {row[0] for row in held(lake, WIDER, "volume_usd")} == {None}
    con = connect()
    lake.attach(con, WIDER, "n")
    assert con.sql("select distinct volume_usd from n").fetchall() == [(None,)]
    assert lake.append(WIDER, notes(["a", "b"], more=", 7.5::DOUBLE as volume_usd"), ["a", "b"]) == 3
    assert sorted(set(held(lake, WIDER, "bronze_object", "volume_usd")), key=str) == [("a", None), ("b", 7.5)]
    lake.attach(con, WIDER, "m")
    assert con.sql("select bronze_object, volume_usd from m group by all order by all").fetchall() == [
        ("a", None),
        ("b", 7.5),
    ]


def test_a_restart_takes_on_a_column_that_came_later(lake: Lake) -> None:
    lake.append(NOTES, notes(["a"]), ["a"])
    lake.restart(WIDER)
    lake.append(WIDER, notes(["a"], more=", 7.5::DOUBLE as volume_usd"), ["a"])
    assert held(lake, WIDER, "volume_usd") == [(7.5,)] * 3


def test_a_gold_table_takes_on_a_column_that_came_later(lake: Lake) -> None:
    wider = replace(DAYS, columns={**DAYS.columns, "open_usd": Column(Float64, "open", "USD")})
    lake.replace(DAYS, days(("a", "2022-01-01", 1.0), ("b", "2022-01-01", 1.0)), {})
    more = relation(
        "select 'a' as coin_id, date '2022-01-01' as day, 2.0::DOUBLE as close_usd, 3.0::DOUBLE as open_usd"
    )
    lake.replace(wider, more, {}, "coin_id = 'a'")
    assert held(lake, wider, "coin_id", "close_usd", "open_usd") == [("a", 2.0, 3.0), ("b", 1.0, None)]


def test_a_stored_column_that_the_contract_no_longer_has_is_left_alone(lake: Lake) -> None:
    lake.append(WIDER, notes(["a"], more=", 7.5::DOUBLE as volume_usd"), ["a"])
    lake.append(NOTES, notes(["b"]), ["b"])
    assert objects_held(lake) == {"a": 3, "b": 3}
    assert len(held(lake, WIDER, "volume_usd", where="volume_usd = 7.5")) == 3


# Upkeep --------------------------------------------------------------------------------------------------------------


def test_compaction_and_clean_up_lose_no_row(lake: Lake) -> None:
    for number in range(6):
        lake.append(NOTES, notes([f"o{number}"]), [f"o{number}"])
    rows, count = held(lake, NOTES), len(opened(lake, NOTES).file_uris())
    assert compact(lake, [NOTES]) == {}
    assert compact(lake, [NOTES, DAYS], always=True) == {"silver.notes": count - 2}
    assert held(lake, NOTES) == rows
    before = data_files(lake, NOTES)
    assert sweep(lake, [NOTES, DAYS], timedelta(0), datetime.now(UTC))["silver.notes"] == count
    after = data_files(lake, NOTES)
    assert len(before) - len(after) == count
    assert held(lake, NOTES) == rows
    assert lake.append(NOTES, notes(["o1", "o9"]), ["o1", "o9"]) == 3


def test_many_small_files_in_one_year_are_worth_joining(lake: Lake) -> None:
    delta = lake._create(NOTES).delta
    for number in range(24):
        rows = notes([f"o{number}"], count=1).project("*, 2021::INTEGER as year")
        write_deltalake(delta, rows, mode="append")
    assert compact(lake, [NOTES]) == {"silver.notes": 23}


def aged(path: Path, hours: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half")
    then = (datetime.now(UTC) - timedelta(hours=hours)).timestamp()
    os.utime(path, (then, then))
    return path


def test_what_a_killed_writer_left_is_named_and_removed_only_when_old_enough(local: Lake) -> None:
    lake = local
    lake.append(NOTES, notes(["a"]), ["a"])
    lake.replace(DAYS, days(("a", "2022-01-01", 1.0)), {})
    rows = held(lake, NOTES)
    assert leftovers(lake, [NOTES, DAYS]) == []
    folder = Path(lake.uri(NOTES)) / "year=2021"
    orphan = {hours: aged(folder / f"part-{hours}.parquet", hours) for hours in (1, 30)}
    half = {hours: aged(Path(lake.bronze) / f"coingecko/x/{hours}.jsonl.gz#1", hours) for hours in (1, 30)}
    assert held(lake, NOTES) == rows
    named = leftovers(lake, [NOTES, DAYS])
    assert {each.path for each in named if "commit" in each.kind} == {
        f"notes/year=2021/part-{hours}.parquet" for hours in orphan
    }
    assert {each.path for each in named if "half" in each.kind} == {str(path) for path in half.values()}
    assert all(path.exists() for path in [*orphan.values(), *half.values()])
    removed = sweep(lake, [NOTES, DAYS], timedelta(hours=24), datetime.now(UTC))
    assert removed == {"silver.notes": 1, "objects": 1}
    assert [path.exists() for path in (orphan[1], half[1])] == [True, True]
    assert [path.exists() for path in (orphan[30], half[30])] == [False, False]
    assert held(lake, NOTES) == rows


def test_an_object_with_a_number_sign_in_its_name_is_no_leftover_unless_a_number_follows(lake: Lake) -> None:
    lake.objects.put("import/my#notes/a#b.csv", b"1")
    assert leftovers(lake, []) == []


def test_what_compaction_made_obsolete_is_no_leftover(lake: Lake) -> None:
    for name in ("a", "b"):
        lake.append(NOTES, notes([name]), [name])
    compact(lake, [NOTES], always=True)
    assert leftovers(lake, [NOTES]) == []


def test_an_int_column_with_nulls_is_written_as_it_is(lake: Lake) -> None:
    counts = Table(
        "gold.counts",
        ("coin_id",),
        {"coin_id": Column(String, "which"), "count": Column(Int64, "how many")},
        "one coin",
    )
    lake.replace(
        counts, relation("select 'a' as coin_id, null::BIGINT as count union all select 'b', 2**53::BIGINT"), {}
    )
    assert held(lake, counts) == [("a", None), ("b", 2**53)]
