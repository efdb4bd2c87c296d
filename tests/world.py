"""The cloud as a plan of infra/ describes it, on this machine: buckets, rights, notifications, topics, subscriptions
and functions are those of `terraform show -json`, and nothing is wired that the plan does not wire.

Storage is `storage.py`, Pub/Sub is Google's emulator, each function is a process of functions-framework behind a front
of ours, as Google's front end is: pushes and calls go to an address, and the front knows what became of them. It is the
emulator that pushes, counts the tries and moves what died, as the plan says; but a second lies between two tries.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from servers import closed_port
from storage import Call, Message, Storage, options, storage

SRC = Path(__file__).parents[1] / "src"
RIGHTS = {
    "roles/storage.objectCreator": {"create"},
    "roles/storage.objectViewer": {"read", "list"},
    "roles/storage.objectUser": {"create", "read", "list", "overwrite", "delete"},
}
Plan = Mapping[str, Any]


# What a plan says ----------------------------------------------------------------------------------------------------


def planned(plan: Plan, kind: str) -> dict[str, dict[str, Any]]:
    """Every planned resource of a type: address to values."""
    resources = plan["planned_values"]["root_module"]["resources"]
    return {each["address"]: each["values"] for each in resources if each["type"] == kind}


def leads_to(plan: Plan, address: str, block: str, argument: str, kind: str) -> str:
    """The address of the resource that an argument, unknown before the apply, is taken from: of the same key."""
    bare = address.split("[")[0]
    (configured,) = [each for each in plan["configuration"]["root_module"]["resources"] if each["address"] == bare]
    named = configured["expressions"][block][0][argument]["references"]
    target = next(each for each in named if each.startswith(f"{kind}."))
    return target if "[" in target else f"{target}{address.removeprefix(bare)}"


@dataclass(frozen=True)
class Rights:
    """Who may what on the buckets, by the plan's grants; accounts are called by their function's layer."""

    grants: Sequence[tuple[str, str, str, str]]

    @staticmethod
    def of(plan: Plan, accounts: Mapping[str, str]) -> Rights:
        """`accounts` gives the layer by the account's address."""
        found = []
        for grant in planned(plan, "google_storage_bucket_iam_member").values():
            who = accounts.get(grant["member"].removeprefix("serviceAccount:"))
            for condition in [each["expression"] for each in grant["condition"]] or [""]:
                below = re.findall(r'startsWith\("projects/_/buckets/[^/]+/objects/([^"]+)"\)', condition)
                assert bool(below) == bool(condition), f"a condition that is not understood here: {condition}"
                found.append((who or "", grant["role"], grant["bucket"], below[0] if below else ""))
        return Rights(found)

    def permit(self, call: Call, is_new: bool) -> bool:
        """Whether a call may be made; a grant below a folder is none on the bucket's listing."""
        right = ("create" if is_new else "overwrite") if call.action == "write" else call.action
        return any(
            who == call.who and bucket == call.bucket and right in RIGHTS[role] and call.name.startswith(below)
            for who, role, bucket, below in self.grants
            if not (below and right == "list")
        )


# Pub/Sub -------------------------------------------------------------------------------------------------------------


@contextmanager
def emulator() -> Iterator[str]:
    """Google's own Pub/Sub on loopback: host and port."""
    for tool in ("gcloud", "java"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is absent: the Pub/Sub emulator needs it")
    port = closed_port()
    command = ["gcloud", "beta", "emulators", "pubsub", "start", "--project=p", f"--host-port=127.0.0.1:{port}"]
    with tempfile.TemporaryFile() as said, tempfile.TemporaryDirectory() as folder:
        command.append(f"--data-dir={folder}")
        process = subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True)
        try:
            for _ in range(600):
                if process.poll() is not None:
                    said.seek(0)
                    pytest.skip(f"gcloud has no Pub/Sub emulator here: {said.read().decode()[-300:]}")
                with suppress(OSError, HTTPException):  # before it speaks HTTP/1 it answers in another tongue
                    urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=5).close()
                    break
                time.sleep(0.1)
            yield f"127.0.0.1:{port}"
        finally:
            _kill(process)


def asked(url: str, body: Any = None, method: str = "POST") -> Any:
    """What a REST service answers."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=60) as said:
        return json.loads(said.read() or b"{}")


def _kill(process: subprocess.Popen[Any]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=30)


# Functions -----------------------------------------------------------------------------------------------------------


@dataclass
class Function:
    """A function: instances of functions-framework, and the front that calls and pushes reach."""

    target: str
    source: Path
    environ: dict[str, str]
    log: Path
    url: str = ""
    answers: list[tuple[int, str, str]] = field(default_factory=list)
    """Of each request: the status, the message's id, and what was said."""
    instances: list[tuple[subprocess.Popen[bytes], str]] = field(default_factory=list)

    def start(self, count: int = 1) -> None:
        """Start instances, each as Google does: HTTP signature, entry point and source by environment."""
        for _ in range(count):
            port = closed_port()
            environ = {**self.environ, "FUNCTION_TARGET": self.target, "FUNCTION_SOURCE": str(self.source)}
            command = [sys.executable, "-m", "functions_framework", "--host", "127.0.0.1", "--port", str(port)]
            with self.log.open("ab") as out:
                process = subprocess.Popen(command, env=environ, stdout=out, stderr=out, start_new_session=True)
            self.instances.append((process, f"http://127.0.0.1:{port}/"))
        self._turn = cycle(url for _, url in self.instances)

    def kill(self) -> None:
        """Kill every instance at once, in the middle of whatever it does."""
        for process, _ in self.instances:
            _kill(process)
        self.instances = []
        self._turn = cycle([""])

    def forward(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Hand a request to an instance; 503 where none answers."""
        status, said = 503, b""
        kept = {name: value for name, value in headers.items() if name.lower() not in ("host", "content-length")}
        for _ in range(100):
            try:
                with urllib.request.urlopen(
                    urllib.request.Request(next(self._turn), body, kept, method="POST"), timeout=600
                ) as answer:
                    status, said = answer.status, answer.read()
            except urllib.error.HTTPError as error:
                status, said = error.code, error.read()
            except ConnectionRefusedError:
                status = 0
            except (OSError, ValueError) as error:
                refused = isinstance(getattr(error, "reason", None), ConnectionRefusedError)
                status = 0 if refused and self.instances else 503
            if status:
                break
            time.sleep(0.1)  # it starts
        with suppress(ValueError, AttributeError):
            self.answers.append((status, json.loads(body).get("message", {}).get("messageId", ""), said.decode()))
        return status or 503, said


@contextmanager
def fronted(function: Function) -> Iterator[Function]:
    """A function at an address of its own."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, said = function.forward(body, dict(self.headers))
            self.send_response(status)
            self.send_header("Content-Length", str(len(said) if status != 204 else 0))
            self.end_headers()
            self.wfile.write(said if status != 204 else b"")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    function.url = f"http://127.0.0.1:{server.server_port}/"
    try:
        yield function
    finally:
        function.kill()
        server.shutdown()
        server.server_close()


# All together --------------------------------------------------------------------------------------------------------

Carry = Callable[[Callable[[Message], None]], Callable[[Message], None]]
"""How notifications are carried to their topic: as they come, or worse."""


@dataclass
class World:
    """The cloud of a plan, running."""

    plan: Plan
    storage: Storage
    pubsub: str
    functions: dict[str, Function]
    topics: dict[str, str]
    published: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def bucket(self, layer: str) -> str:
        """The name of a layer's bucket."""
        return str(planned(self.plan, "google_storage_bucket")[f'google_storage_bucket.layer["{layer}"]']["name"])

    def call(self, job: str) -> tuple[int, Any]:
        """Call a function as a job of Scheduler's does; status and answer."""
        address = f'google_cloud_scheduler_job.call["{job}"]'
        target = planned(self.plan, "google_cloud_scheduler_job")[address]["http_target"][0]
        layer = job.split("-")[0]
        status, said = self.functions[layer].forward(base64.b64decode(target["body"]), target["headers"])
        return status, json.loads(said or b"null")

    def publish(self, topic: str, message: Message) -> None:
        """Publish a notification, and remember under which number."""
        told = {"data": base64.b64encode(message.data).decode(), "attributes": dict(message.attributes)}
        said = asked(f"http://{self.pubsub}/v1/{topic}:publish", {"messages": [told]})
        with self._lock:
            self.published += said["messageIds"]

    def unsettled(self) -> set[str]:
        """Messages that no function has answered with success."""
        done = {number for each in self.functions.values() for status, number, _ in each.answers if status < 300}
        return set(self.published) - done

    def settle(self, seconds: float = 120, quiet_s: float = 1.0) -> None:
        """Wait until every event has been dealt with and set off nothing more."""
        ends, since = time.monotonic() + seconds, time.monotonic()
        while time.monotonic() < ends:
            if self.unsettled():
                since = time.monotonic()
            elif time.monotonic() - since >= quiet_s:
                return
            time.sleep(0.05)
        raise AssertionError(f"{len(self.unsettled())} events are not done after {seconds} s: {self.said()}")

    def wait(self, until: Callable[[], bool], seconds: float = 120) -> None:
        """Wait until something is so."""
        ends = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < ends, f"it is not so after {seconds} s: {self.said()}"
            time.sleep(0.05)

    def said(self) -> str:
        """The ends of the functions' logs."""
        return "\n".join(f"{layer}:\n{each.log.read_text()[-3000:]}" for layer, each in self.functions.items())

    def downloaded(self, folder: Path) -> Path:
        """The lake as it lies in the buckets, as a folder."""
        for layer in ("bronze", "silver", "gold"):
            bucket = self.bucket(layer)
            for name in self.storage.names(bucket):
                path = folder / layer / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(self.storage.buckets[bucket][name].data)
        return folder


@contextmanager
def world(
    plan: Plan, pubsub: str, folder: Path, environ: Mapping[str, str], carry: Carry = lambda publish: publish,
    instances: int = 1,
) -> Iterator[World]:  # fmt: skip
    """Build and start everything that a plan names; `environ` is what no plan can know (the service's address)."""
    buckets = [each["name"] for each in planned(plan, "google_storage_bucket").values()]
    steps = planned(plan, "google_cloudfunctions2_function")
    layers = {address: re.findall(r'"(\w+)"', address)[0] for address in steps}
    accounts = {each["service_config"][0]["service_account_email"]: layers[address] for address, each in steps.items()}
    with ExitStack() as stack:
        store = stack.enter_context(storage(*buckets))
        store.permits = Rights.of(plan, accounts).permit
        functions = {}
        for address, step in steps.items():
            layer = layers[address]
            functions[layer] = stack.enter_context(
                fronted(_function(step, layer, folder, {**environ, **_reaching(store, layer)}))
            )
        found = World(plan, store, pubsub, functions, _topics(plan, pubsub))
        _subscribe(found, layers)
        for each in planned(plan, "google_storage_notification").values():
            assert (each["payload_format"], each["event_types"]) == ("JSON_API_V1", ["OBJECT_FINALIZE"])
            store.notify(each["bucket"], each["object_name_prefix"] or "", carry(_to(found, each["topic"])))
        for function in functions.values():
            function.start(instances)
        yield found


def _to(world: World, topic: str) -> Callable[[Message], None]:
    return lambda message: world.publish(world.topics[topic], message)


def _reaching(store: Storage, who: str) -> dict[str, str]:
    return {"COINLAKE_STORAGE_OPTIONS": json.dumps(options(store.url, who))}


def _function(step: Mapping[str, Any], layer: str, folder: Path, environ: Mapping[str, str]) -> Function:
    build, service = step["build_config"][0], step["service_config"][0]
    source = SRC.parent / build["environment_variables"]["GOOGLE_FUNCTION_SOURCE"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COINLAKE_")}
    told = {**kept, "PYTHONPATH": str(SRC), **service["environment_variables"], **environ}
    told["XDG_STATE_HOME"] = str(folder)
    return Function(build["entry_point"], source, told, folder / f"{layer}.log")


def _topics(plan: Plan, pubsub: str) -> dict[str, str]:
    """The plan's topics, made anew for this world: planned name to the one here."""
    salt = os.urandom(4).hex()
    found = {}
    for each in planned(plan, "google_pubsub_topic").values():
        full = f"projects/{each['project']}/topics/{each['name']}"
        found[full] = f"{full}-{salt}"
        asked(f"http://{pubsub}/v1/{found[full]}", {}, "PUT")
    return found


def _subscribe(world: World, layers: Mapping[str, str]) -> None:
    """The plan's subscriptions, but for their retry policies: a second lies between two tries.

    Told of a policy, the emulator (0.8.20) may never push again. Its timer ends at an exception where two messages are
    to come back in the same millisecond, as they are once they failed together; without a policy it needs no timer.
    """
    for address, each in planned(world.plan, "google_pubsub_subscription").items():
        topic = world.topics[each["topic"]]
        wanted: dict[str, Any] = {"topic": topic, "ackDeadlineSeconds": each["ack_deadline_seconds"]}
        if each["push_config"]:
            step = leads_to(world.plan, address, "push_config", "push_endpoint", "google_cloudfunctions2_function")
            wanted["pushConfig"] = {"pushEndpoint": world.functions[layers[step]].url}
        for policy in each["dead_letter_policy"]:
            dead = world.topics[policy["dead_letter_topic"]]
            tries = policy["max_delivery_attempts"]
            wanted["deadLetterPolicy"] = {"deadLetterTopic": dead, "maxDeliveryAttempts": tries}
        name = f"projects/{each['project']}/subscriptions/{each['name']}-{topic.rsplit('-', 1)[1]}"
        asked(f"http://{world.pubsub}/v1/{name}", wanted, "PUT")


def kept_dead(world: World) -> str:
    """The subscription that keeps dead letters: the one on the topic that dead letters go to."""
    dead = {
        policy["dead_letter_topic"]
        for each in planned(world.plan, "google_pubsub_subscription").values()
        for policy in each["dead_letter_policy"]
    }
    keepers = [each for each in planned(world.plan, "google_pubsub_subscription").values() if each["topic"] in dead]
    assert len(keepers) == 1, f"one subscription should keep what died, not {len(keepers)}"
    (keeper,) = keepers
    salt = world.topics[keeper["topic"]].rsplit("-", 1)[1]
    return f"projects/{keeper['project']}/subscriptions/{keeper['name']}-{salt}"
