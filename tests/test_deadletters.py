"""What died goes back: every letter that can, whatever lies beside it; and who only looks hides nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from coinlake.deadletters import PubSub, replay
from coinlake.errors import LakeError
from lakes import Ended

DEAD, SOURCE = "projects/p/subscriptions/dead", "projects/p/subscriptions/landed"


def letter(name: str, source: str | None = SOURCE) -> dict[str, Any]:
    notes = {} if source is None else {"CloudPubSubDeadLetterSourceSubscription": source}
    return {"messageId": name, "data": "e30=", "attributes": {"bucketId": "b", "objectId": name, **notes}}


@dataclass
class Service:
    """A Pub/Sub with one subscription of dead letters: a pulled one is hidden until it is given back."""

    dead: list[dict[str, Any]]
    topics: dict[str, str]
    answers: dict[str, int] = field(default_factory=dict)
    """What is asked of a path that ends so is refused with this status."""
    forgets: bool = False
    """Whether what was pulled is there again at the next pull: its deadline was short."""
    address: str = ""
    hidden: set[str] = field(default_factory=set)
    published: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @property
    def seen(self) -> list[str]:
        """What the next who pulls would see."""
        return [each["messageId"] for each in self.dead if each["messageId"] not in self.hidden]

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        for end, status in self.answers.items():
            if path.endswith(end):
                return status, {}
        name, _, verb = path.removeprefix("/v1/").partition(":")
        if verb == "pull":
            if self.forgets:
                self.hidden.clear()
            found = [each for each in self.dead if each["messageId"] in self.seen][: body["maxMessages"]]
            self.hidden |= {each["messageId"] for each in found}
            return 200, {"receivedMessages": [{"ackId": each["messageId"], "message": each} for each in found]}
        if verb == "acknowledge":
            self.dead = [each for each in self.dead if each["messageId"] not in body["ackIds"]]
        elif verb == "modifyAckDeadline":
            assert body["ackDeadlineSeconds"] == 0
            self.hidden -= set(body["ackIds"])
        elif verb == "publish":
            self.published += [(name, each) for each in body["messages"]]
        elif name in self.topics:
            return 200, {"topic": self.topics[name]}
        else:
            return 404, {}
        return 200, {}


@contextmanager
def serving(service: Service) -> Iterator[Service]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            status, said = service.answer(self.path, body)
            data = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    service.address = f"127.0.0.1:{server.server_port}"
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def service() -> Iterator[Service]:
    """Three good letters, one that says no source, and one whose source is gone."""
    gone = "projects/p/subscriptions/gone"
    dead = [letter("a"), letter("mute", None), letter("b"), letter("lost", gone), letter("c")]
    with serving(Service(dead, {SOURCE: "projects/p/topics/landed"})) as found:
        yield found


def pubsub(service: Service) -> PubSub:
    return PubSub(f"http://{service.address}")


def command(service: Service, *words: str) -> Ended:
    """The command over it. No wait between looks matters to it but its own three seconds."""
    done = subprocess.run(
        [sys.executable, "-m", "coinlake", "replay-dead-letters", "--subscription", DEAD, *words],
        env={**os.environ, "PUBSUB_EMULATOR_HOST": service.address}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return Ended(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("forgets", [False, True])
def test_one_bad_letter_holds_up_no_other_and_is_there_again_at_once(service: Service, forgets: bool) -> None:
    service.forgets = forgets
    done = replay(pubsub(service), DEAD, sleep=lambda _: None)
    assert [each.object for each in done.letters] == ["gs://b/a", "gs://b/b", "gs://b/c"]
    sent = [(topic, message["attributes"]) for topic, message in service.published]
    assert sent == [("projects/p/topics/landed", {"bucketId": "b", "objectId": name}) for name in "abc"]
    assert [(each.message, each.gave_up) for each in done.left] == [
        ("mute", ""),
        ("lost", "projects/p/subscriptions/gone"),
    ]
    assert "does not say which subscription" in done.left[0].why and "404" in done.left[1].why
    assert service.seen == ["mute", "lost"]


def test_a_look_gives_back_at_once_all_that_it_took_in_hand(service: Service) -> None:
    done = replay(pubsub(service), DEAD, dry_run=True, sleep=lambda _: None)
    assert (len(done.letters), len(done.left), service.published) == (3, 2, [])
    assert service.seen == ["a", "mute", "b", "lost", "c"]


def test_where_the_service_fails_on_the_way_what_was_sent_is_gone_and_the_rest_is_there(service: Service) -> None:
    other = "projects/p/subscriptions/other"
    service.topics[other] = "projects/p/topics/other"
    service.answers["topics/other:publish"] = 503
    service.dead.insert(2, letter("x", other))
    with pytest.raises(LakeError, match="503"):
        replay(pubsub(service), DEAD, sleep=lambda _: None)
    assert service.seen == ["mute", "x", "b", "lost", "c"]


def test_a_topic_that_takes_nothing_leaves_its_letters(service: Service) -> None:
    service.answers["topics/landed:publish"] = 403
    done = replay(pubsub(service), DEAD, sleep=lambda _: None)
    assert (done.letters, len(done.left), len(service.seen)) == ([], 5, 5)


@pytest.mark.slow
def test_the_command_counts_what_went_and_fails_only_where_something_stayed(service: Service) -> None:
    looked = command(service, "--dry-run")
    assert looked.code == 0 and "3 would go back, 2 would stay" in looked.err
    went = command(service)
    assert went.code == 7 and "3 went back, 2 could not be sent and stayed" in went.err
    assert "message mute (gs://b/mute) stays: it does not say" in went.err
    service.dead.clear()
    nothing = command(service)
    assert nothing.code == 0 and "0 went back" in nothing.err and "after 10 minutes" in nothing.err
