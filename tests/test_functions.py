"""The three functions: what is theirs, what they answer, what they leave in the log, and that the lake is the same."""

from __future__ import annotations

import base64
import json
import os
import queue
import random
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import flask
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinlake import catalog, events, functions
from coinlake.cloud_log import trace_of
from coinlake.duck import bring, connect
from coinlake.errors import LakeError
from coinlake.events import Event, UnreadableError
from coinlake.health import EMPTY_HOURS
from coinlake.lake import Lake
from coinlake.objects import Objects
from coinlake.pipeline import behind, endpoint_of
from coinlake.simulator import Options, Running, running
from coinlake.survey import RUNS
from storage import Message, storage
from stores import Store, cloud

PART = "coingecko/coins_markets/date=2022-02-01/20220201T004500Z-0123-0001.jsonl.gz"
COMMIT = "prices/_delta_log/00000000000000000003.json"
NOW = "2022-02-01T00:45:00Z"


# What an event says --------------------------------------------------------------------------------------------------


def told(bucket: str, name: str, generation: str = "7", kind: str = "OBJECT_FINALIZE") -> Message:
    resource = json.dumps({"bucket": bucket, "name": name, "generation": generation}).encode()
    attributes = {"bucketId": bucket, "objectId": name, "objectGeneration": generation, "eventType": kind}
    return Message(resource, {**attributes, "payloadFormat": "JSON_API_V1"})


def as_push(message: Message) -> tuple[dict[str, str], bytes]:
    return {"Content-Type": "application/json"}, message.pushed()


def as_bare_push(message: Message) -> tuple[dict[str, str], bytes]:
    """A push whose attributes were lost on the way but for the type: the resource says the same."""
    kept = {"eventType": message.attributes["eventType"]}
    return {}, Message(message.data, kept).pushed()


def as_binary(message: Message) -> tuple[dict[str, str], bytes]:
    about = message.attributes
    headers = {
        "ce-specversion": "1.0",
        "ce-id": "1",
        "ce-type": "google.cloud.storage.object.v1.finalized",
        "ce-source": f"//storage.googleapis.com/projects/_/buckets/{about['bucketId']}",
        "ce-subject": f"objects/{about['objectId']}",
        "Content-Type": "application/json",
    }
    return headers, message.data


def as_structured(message: Message) -> tuple[dict[str, str], bytes]:
    headers, body = as_binary(message)
    event = {name.removeprefix("ce-"): value for name, value in headers.items() if name.startswith("ce-")}
    return {"Content-Type": "application/cloudevents+json"}, json.dumps({**event, "data": json.loads(body)}).encode()


def as_structured_in_base64(message: Message) -> tuple[dict[str, str], bytes]:
    headers, body = as_structured(message)
    event = json.loads(body)
    del event["data"]
    return headers, json.dumps({**event, "data_base64": base64.b64encode(message.data).decode()}).encode()


def as_pubsub_event(message: Message) -> tuple[dict[str, str], bytes]:
    """Eventarc over a topic: a CloudEvent with a Pub/Sub message in it."""
    return {"ce-type": "google.cloud.pubsub.topic.v1.messagePublished", "ce-source": "//pubsub"}, message.pushed()


HALF = told("lake", "coingecko/coins_markets/\ud800")
"""Of an object whose name ends in half a character."""

Shape = Callable[[Message], tuple[dict[str, str], bytes]]
SHAPES: tuple[Shape, ...] = (
    as_push, as_bare_push, as_binary, as_structured, as_structured_in_base64, as_pubsub_event,
)  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_says_the_same(shape: Shape) -> None:
    event = events.read(*shape(told("b", "a/b c/ü.gz", "12")))
    assert (event.bucket, event.name, event.generation, event.has_landed) == ("b", "a/b c/ü.gz", "12", True)


@given(st.binary(max_size=200))
def test_no_bytes_are_more_than_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableError):
        events.read({}, body)


_JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(
    st.sampled_from(["message", "attributes", "data", "bucketId", "specversion", "type", "data_base64", "bucket"]), x
))  # fmt: skip


@given(_JSON, st.dictionaries(st.sampled_from(["ce-type", "ce-source", "ce-subject"]), st.text()))
def test_no_json_is_more_than_unreadable(said: Any, headers: dict[str, str]) -> None:
    try:
        event = events.read(headers, json.dumps(said).encode())
    except UnreadableError:
        return
    assert event.kind and event.bucket and event.name


def test_a_path_is_below_a_root_only_as_a_folder() -> None:
    event = Event("OBJECT_FINALIZE", "lake", "deep/a/b.gz")
    assert event.below("gs://lake") == "deep/a/b.gz"
    assert event.below("gs://lake/deep/") == "a/b.gz"
    assert event.below("gs://lake/dee") is None
    assert event.below("gs://la") is None
    assert event.below("data/bronze") is None


@pytest.mark.parametrize(
    "path",
    [PART, f"{RUNS}/0123-begun.json", "coingecko/_errors/date=2022-02-01/x.jsonl.gz", "_universe/date=x/top-3.json",
     "import/own/x.jsonl.gz", "a", "a/b", "coingecko/ping/x.jsonl.gz"],
)  # fmt: skip
def test_what_is_a_part_is_what_cleaning_takes_but_for_the_records_of_runs(path: str) -> None:
    assert events.is_part(path) == (endpoint_of(path) is not None and not path.startswith(RUNS))


@pytest.mark.parametrize(
    ("path", "folder"),
    [
        (COMMIT, "prices"),
        ("prices/_delta_log/_last_checkpoint", None),
        ("prices/_delta_log/00000000000000000010.checkpoint.parquet", None),
        ("prices/year=2022/part-0.parquet", None),
        ("prices/_delta_log/_commits/00000000000000000003.json", None),
        ("prices/_delta_log/3.json.tmp", None),
    ],
)
def test_a_commit_is_a_numbered_file_of_the_log_and_nothing_else(path: str, folder: str | None) -> None:
    assert events.committed(path) == folder


# The log -------------------------------------------------------------------------------------------------------------


def test_a_line_belongs_to_the_trace_of_its_request() -> None:
    trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    field = "logging.googleapis.com"
    assert trace_of({"traceparent": f"00-{trace}-{span}-01"}, "p") == {
        f"{field}/trace": f"projects/p/traces/{trace}", f"{field}/spanId": span, f"{field}/trace_sampled": True,
    }  # fmt: skip
    older = trace_of({"x-cloud-trace-context": f"{trace}/{int(span, 16)};o=0"}, "")
    assert older == {f"{field}/trace": trace, f"{field}/spanId": span, f"{field}/trace_sampled": False}
    assert trace_of({"traceparent": "nonsense"}, "p") == {}


# The functions -------------------------------------------------------------------------------------------------------


class World:
    """A lake in the cloud, a simulated market, and the functions as an event reaches them."""

    def __init__(
        self, store: Store, name: str, market: Running, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.name, self.capsys, self.patch = name, capsys, patch
        self.set(
            BRONZE=f"gs://lake/{name}/bronze", SILVER=f"gs://lake/{name}/silver", GOLD=f"gs://lake/{name}/gold",
            STORAGE_OPTIONS=json.dumps(dict(store.options)), API_URL=market.url, NOW=market.clock_url, RATE="0",
            TOP="3", DAYS="20", MONTHLY_CREDITS="0",
        )  # fmt: skip
        self.app = flask.Flask("test")

    def set(self, **settings: str) -> None:
        for name, value in settings.items():
            self.patch.setenv(f"COINLAKE_{name}", value)

    def call(self, function: Any, body: bytes, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Status and answer."""
        with self.app.test_request_context("/", method="POST", data=body, headers=headers or {}):
            said, status, _ = function(flask.request)
        return status, json.loads(said) if said else None

    def landed(self, function: Any, path: str, shape: Shape = as_push, layer: str = "bronze", **more: str) -> Any:
        headers, body = shape(told("lake", f"{self.name}/{layer}/{path}", **{"generation": "", **more}))
        return self.call(function, body, headers)

    def logged(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.capsys.readouterr().err.splitlines()]


@pytest.fixture(scope="module")
def market() -> Iterator[Running]:
    with running(Options(coins=8, seed=3, now=NOW, speed=0, rate=0, traps={})) as found:
        yield found


@pytest.fixture(scope="module")
def place() -> Iterator[Store]:
    with cloud() as found:
        yield found


@pytest.fixture
def world(
    place: Store, market: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> World:  # fmt: skip
    return World(place, f"{random.Random(request.node.name).getrandbits(48):x}", market, monkeypatch, capsys)


def test_one_call_of_bronze_and_the_events_it_sets_off_make_gold(world: World) -> None:
    status, said = world.call(functions.bronze_ingest, b"{}")
    assert (status, said["outcome"]) == (200, "ok")
    parts = said["objects"]
    status, cleaned = world.landed(functions.silver_process, parts[0])
    assert status == 200
    assert cleaned["rows"]["silver.prices"] >= 3 * 19
    for part in parts[1:]:
        status, again = world.landed(functions.silver_process, part, as_binary)
        assert (status, again) == (200, {"outcome": "done already"}), "what else waited was cleaned with the first"


def test_gold_concludes_from_a_commit_of_a_table_that_it_reads(world: World) -> None:
    _, said = world.call(functions.bronze_ingest, b"{}")
    world.landed(functions.silver_process, said["objects"][0])
    first = "prices/_delta_log/00000000000000000001.json"
    status, made = world.landed(functions.gold_analyze, first, as_structured, "silver")
    assert (status, made["outcome"]) == (200, "ok")
    assert made["rows"]["gold.daily"] > 0
    assert any(path.endswith("market_summary.csv") for path in made["exports"])
    status, again = world.landed(functions.gold_analyze, first, as_push, "silver")
    assert (status, again) == (200, {"outcome": "done already"})
    assert world.landed(functions.gold_analyze, "runs/_delta_log/00000000000000000001.json", layer="silver")[0] == 204
    status, age = world.call(functions.gold_analyze, b'{"look": true}')
    assert (status, age["is_stale"], age["last_finished_day"]) == (200, False, "2022-01-31")


def test_the_age_of_gold_that_the_alert_reads_is_logged_and_grows_though_gold_is_empty(world: World) -> None:
    metrics = (Path(__file__).parents[1] / "infra" / "alerts.tf").read_text()
    (read,) = re.findall(r"EXTRACT\(jsonPayload\.(\w+)\)", metrics)
    (demanded,) = set(re.findall(rf"jsonPayload\.{read}(>=\d+)", metrics))

    def looked() -> Any:
        assert world.call(functions.gold_analyze, b'{"look": true}')[0] == 200
        line = world.logged()[-1]
        assert line[read] >= float(demanded.removeprefix(">="))
        return line

    nothing = looked()
    assert (nothing[read], nothing["is_stale"], nothing["severity"]) == (EMPTY_HOURS, True, "WARNING")
    _, said = world.call(functions.bronze_ingest, b"{}")
    world.landed(functions.silver_process, said["objects"][0])
    world.set(NOW="2022-02-02T04:45:00Z")
    empty = looked()
    assert (empty[read], empty["is_stale"], empty["message"]) == (28.0, True, "gold is empty")
    world.landed(functions.gold_analyze, "prices/_delta_log/00000000000000000001.json", layer="silver")
    world.set(NOW="2022-02-01T04:45:00Z")
    full = looked()
    assert (full[read], full["is_stale"], full["severity"]) == (4.8, False, "INFO")


@pytest.mark.parametrize("path", [f"{RUNS}/1-begun.json", "coingecko/_errors/date=2022-02-01/x", "_universe/x/y"])
def test_silver_passes_over_what_is_not_for_it(world: World, path: str) -> None:
    assert world.landed(functions.silver_process, path) == (204, None)


def test_an_old_generation_and_an_object_that_is_gone_are_passed_over(world: World) -> None:
    _, said = world.call(functions.bronze_ingest, b"{}")
    assert world.landed(functions.silver_process, said["objects"][0], generation="1") == (204, None)
    assert world.landed(functions.silver_process, PART) == (204, None)
    assert world.landed(functions.silver_process, said["objects"][0], kind="OBJECT_DELETE") == (204, None)
    assert world.landed(functions.silver_process, said["objects"][0], layer="silver") == (204, None)


@pytest.mark.parametrize("name", ["coins_markets//x", "coins_markets/../x", "coins_markets/a\0b", "./x"])
def test_an_object_whose_name_no_object_of_ours_can_have_is_passed_over(world: World, name: str) -> None:
    assert world.landed(functions.silver_process, f"coingecko/{name}") == (204, None)


def test_a_commit_of_an_old_generation_and_one_that_is_gone_are_passed_over(world: World) -> None:
    _, said = world.call(functions.bronze_ingest, b"{}")
    world.landed(functions.silver_process, said["objects"][0])
    first = "prices/_delta_log/00000000000000000001.json"
    gone = "prices/_delta_log/00000000000000000999.json"
    assert world.landed(functions.gold_analyze, first, layer="silver", generation="1") == (204, None)
    assert world.landed(functions.gold_analyze, gone, layer="silver") == (204, None)
    assert world.landed(functions.gold_analyze, first, layer="silver")[1]["outcome"] == "ok"


@pytest.mark.parametrize("function", [functions.silver_process, functions.gold_analyze])
@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"\xff", b'{"message": {"data": "bm90IGpzb24="}}', b"[1]", b"[" * 200_000, as_push(HALF)[1],
     as_bare_push(HALF)[1], as_structured_in_base64(HALF)[1], b"9" * 5_000],
    ids=lambda body: repr(body[:20]),
)  # fmt: skip
def test_what_cannot_be_read_is_acknowledged_and_recorded(world: World, function: Any, body: bytes) -> None:
    assert world.call(function, body) == (204, None)
    (line,) = world.logged()
    assert line["severity"] == "ERROR"
    assert "no storage event" in line["message"]


def test_an_event_of_ours_that_fails_is_answered_500_and_logged_with_its_run(world: World) -> None:
    world.set(STORAGE_OPTIONS='{"google_service_account_path": "/nowhere.json"}')
    status, said = world.landed(functions.silver_process, PART)
    assert status == 500
    assert world.logged()[-1]["severity"] == "ERROR"
    assert said["error"]["message"]


def test_a_damaged_object_is_refused_again_and_again_and_holds_up_no_other(world: World, place: Store) -> None:
    _, said = world.call(functions.bronze_ingest, b"{}")
    bronze = Objects(f"gs://lake/{world.name}/bronze", place.options)
    bronze.put(PART, b"no gzip")
    for _ in range(2):
        status, answer = world.landed(functions.silver_process, PART)
        assert status == 500
        assert "is damaged" in answer["error"]["message"]
    assert world.landed(functions.silver_process, said["objects"][0])[0] == 200


def test_bronze_takes_some_settings_from_a_call_and_no_other(world: World) -> None:
    assert world.call(functions.bronze_ingest, b'{"top": 2, "datasets": ["markets"]}')[1]["calls"] == 1
    for body in (
        b'{"api_url": "http://example.com"}',
        b'{"top": 0}',
        b"[]",
        b"no",
        b"[" * 200_000,
        b'{"coins": "\\ud800"}',
    ):
        status, said = world.call(functions.bronze_ingest, body)
        assert status == 400
        assert said["error"]["kind"] == "ConfigError"


def test_a_run_of_bronze_that_fails_is_answered_500_and_keeps_what_came(world: World) -> None:
    world.set(API_URL="http://127.0.0.1:9", DEADLINE_S="5")
    status, said = world.call(functions.bronze_ingest, b"{}")
    assert (status, said["error"]["kind"]) == (500, "SourceError")
    assert said["outcome"] == "SourceError"


def test_what_the_deadline_leaves_is_done_by_the_next(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    hurried = iter([True])
    monkeypatch.setattr("coinlake.wiring._in_time", lambda run: lambda: next(hurried, False))
    _, said = world.call(functions.bronze_ingest, b"{}")
    monkeypatch.setattr("coinlake.pipeline.BATCH_OBJECTS", 1)
    answers = [world.landed(functions.silver_process, said["objects"][-1])[0]]
    hurried = iter([True] * 100)
    answers.append(world.landed(functions.silver_process, said["objects"][-1])[0])
    assert answers == [503, 200]
    hurried = iter([True])
    first = "prices/_delta_log/00000000000000000001.json"
    assert world.landed(functions.gold_analyze, first, layer="silver")[0] == 503
    hurried = iter([True] * 1000)
    assert world.landed(functions.gold_analyze, first, layer="silver")[0] == 200


def test_events_at_once_lose_nothing_and_do_nothing_twice(world: World, place: Store) -> None:
    parts = world.call(functions.bronze_ingest, b"{}")[1]["objects"]
    first = "prices/_delta_log/00000000000000000001.json"
    with ThreadPoolExecutor(4) as threads:
        cleaned = list(threads.map(lambda part: world.landed(functions.silver_process, part), [*parts[:2], *parts[:2]]))
        made = list(threads.map(lambda _: world.landed(functions.gold_analyze, first, layer="silver"), range(4)))
    assert {status for status, _ in [*cleaned, *made]} == {200}
    root = f"gs://lake/{world.name}"
    lake = Lake.at(root, **place.options)
    assert behind(lake) == []
    for name in ("silver.prices", "silver.markets", "gold.daily", "gold.market_summary"):
        table = catalog.table(name)
        con = connect()
        bring(con, lake.read(table), "held")
        unique = ", ".join(table.unique_by if table.is_observations else table.key)
        rows, keys = con.sql(f"select count(*), count(distinct ({unique})) from held").fetchall()[0]
        assert rows == keys > 0, name
    noted = json.loads(lake.exports.get("exports/versions.json"))
    assert noted["gold.market_summary"] == lake.version(catalog.table("gold.market_summary"))


def test_a_warm_instance_asks_storage_for_what_is_new_and_for_nothing_twice(world: World, place: Store) -> None:
    _, said = world.call(functions.bronze_ingest, b"{}")
    world.landed(functions.silver_process, said["objects"][0])
    world.landed(functions.gold_analyze, "prices/_delta_log/00000000000000000001.json", layer="silver")
    lake = Lake.at(f"gs://lake/{world.name}", **place.options)
    calls = []
    for version, day in ((2, 1), (3, 2)):
        one_more_day(lake, f"more/{day}")
        before = asked(place)
        commit = f"prices/_delta_log/{version:020d}.json"
        status, made = world.landed(functions.gold_analyze, commit, layer="silver")
        assert (status, made["rows"].keys() >= {"gold.daily", "gold.indicators"}) == (200, True)
        calls.append(asked(place) - before)
    assert max(calls) <= 200, "some ten a table that is written, two a table that is not, and the exports"


def asked(place: Store) -> int:
    """How often the store was asked for anything."""
    url = json.loads(place.options["google_service_account_key"])["gcs_base_url"]
    with urllib.request.urlopen(url, timeout=30) as said:
        return sum(json.load(said).values())


def one_more_day(lake: Lake, name: str) -> None:
    """Prices of the day after the newest, as if they came from an object of that name."""
    con, prices = connect(), catalog.table("silver.prices")
    bring(con, lake.read(prices), "held")
    newest = "select max(observed_at) from held where granularity = 'daily'"
    lake.append(
        prices,
        con.sql(
            f"select * replace (observed_at + interval 1 day as observed_at, '{name}' as bronze_object) from held "
            f"where granularity = 'daily' and observed_at = ({newest})"
        ),
        [name],
    )


def test_bronze_reads_what_earlier_runs_learnt_though_silver_has_not_cleaned_it(world: World) -> None:
    first = world.call(functions.bronze_ingest, b"{}")[1]
    second = world.call(functions.bronze_ingest, b"{}")[1]
    assert first["calls"] > 0
    assert second["calls"] == 0


# Cold start ----------------------------------------------------------------------------------------------------------

HEAVY = (
    "pandas", "pyarrow", "polars", "google.cloud.storage", "google.auth", "grpc", "duckdb", "deltalake", "obstore",
    "narwhals", "numpy", "talib", "httpx", "rich", "typer", "coinlake.wiring", "coinlake.pipeline", "coinlake.catalog",
)  # fmt: skip


@pytest.mark.parametrize("name", ["bronze_ingest", "silver_process", "gold_analyze"])
def test_importing_an_entry_point_loads_nothing_that_it_does_not_need(name: str) -> None:
    code = f"from coinlake.functions import {name}; import sys, json; print(json.dumps(sorted(sys.modules)))"
    environ = {**os.environ, "PYTHONPATH": str(Path(functions.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert [module for module in json.loads(done.stdout) if module.startswith(HEAVY)] == []


# The server of the tests ---------------------------------------------------------------------------------------------


def test_what_lands_is_told_to_whoever_asked_for_its_prefix() -> None:
    heard: queue.Queue[Message] = queue.Queue()
    with storage("b") as server:
        server.notify("b", "yes/", heard.put)
        objects = Objects("gs://b", server.options())
        for path in ("yes/a", "no/a", "yes/b"):
            objects.put(path, b"1")
        told = [heard.get(timeout=10).attributes for _ in range(2)]
    assert [each["objectId"] for each in told] == ["yes/a", "yes/b"]
    assert told[1]["objectGeneration"] > told[0]["objectGeneration"]


def test_the_server_lets_do_only_what_is_permitted_and_notes_what_was_refused() -> None:
    with storage("b") as server:
        server.permits = lambda call, is_new: call.who != "reader" or call.action in ("read", "list")
        Objects("gs://b", server.options("writer")).put("a", b"1")
        reader = Objects("gs://b", server.options("reader"))
        assert reader.get("a") == b"1"
        with pytest.raises(LakeError):
            reader.put("b", b"1")
    assert set(server.refused) == {"reader may not write gs://b/b"}
