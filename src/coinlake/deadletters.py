"""What died on its way to a function goes back to where it came from, once the cause is mended.

Pub/Sub notes on a dead letter which subscription gave up on it. Its message is published again on that subscription's
topic, as it was, and only then taken out of the dead letter: killed in between, it comes twice, which changes nothing.
"""

from __future__ import annotations

import base64
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from coinlake.errors import ConfigError, LakeError

SUBSCRIPTION = "coinlake-dead-letter"
"""What infra/ calls the subscription that keeps dead letters."""

_NOTE = "CloudPubSubDeadLetter"
_AT_ONCE = 100
_LOOKS = 3
_PAUSE_S = 1.0


@dataclass(frozen=True)
class Letter:
    """A dead letter: the object it tells of, the subscription that gave up on it, and the topic it goes back to."""

    object: str
    gave_up: str
    topic: str


@dataclass(frozen=True)
class PubSub:
    """Pub/Sub's REST calls, at an address, with a token (none for an emulator)."""

    address: str
    token: str = ""

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ask, and return what is answered.

        Raises:
            LakeError: it was refused, or there is no answer.
        """
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            answer = httpx.request(method, f"{self.address}/v1/{path}", json=body, headers=headers, timeout=120)
            answer.raise_for_status()
        except httpx.HTTPError as exc:
            raise LakeError(f"Pub/Sub did not do as asked ({exc}); look at the names and at your rights") from exc
        said: dict[str, Any] = answer.json()
        return said


def replay(
    service: PubSub, subscription: str, dry_run: bool = False, sleep: Callable[[float], None] = time.sleep
) -> list[Letter]:
    """Send every dead letter of a subscription (`projects/P/subscriptions/S`) back; return what went.

    With `dry_run` nothing moves, and what is returned is the first hundred at the most.
    """
    topics: dict[str, str] = {}
    sent: list[Letter] = []
    for batch in _pulled(service, subscription, sleep):
        letters = [_letter(service, each["message"], topics) for each in batch]
        acks = {"ackIds": [each["ackId"] for each in batch]}
        sent += letters
        if dry_run:
            service.call("POST", f"{subscription}:modifyAckDeadline", {**acks, "ackDeadlineSeconds": 0})
            return sent
        for letter, each in zip(letters, batch, strict=True):
            service.call("POST", f"{letter.topic}:publish", {"messages": [_as_it_was(each["message"])]})
        service.call("POST", f"{subscription}:acknowledge", acks)
    return sent


def service(environ: Mapping[str, str]) -> PubSub:
    """Pub/Sub as this machine reaches it: an emulator where one is named, else Google's, by gcloud's login.

    Raises:
        ConfigError: there is no login.
    """
    if host := environ.get("PUBSUB_EMULATOR_HOST"):
        return PubSub(f"http://{host}")
    token = environ.get("GOOGLE_OAUTH_ACCESS_TOKEN") or _gcloud("auth", "print-access-token")
    if not token:
        raise ConfigError("nobody is logged in to Google Cloud: run `gcloud auth login`")
    return PubSub("https://pubsub.googleapis.com", token)


def full_name(subscription: str, environ: Mapping[str, str]) -> str:
    """`projects/P/subscriptions/S`, where only S may be given.

    Raises:
        ConfigError: nobody says which project is meant.
    """
    if subscription.startswith("projects/"):
        return subscription
    project = environ.get("GOOGLE_CLOUD_PROJECT") or _gcloud("config", "get", "project")
    if not project:
        raise ConfigError("no project is set: give projects/PROJECT/subscriptions/NAME, or set GOOGLE_CLOUD_PROJECT")
    return f"projects/{project}/subscriptions/{subscription}"


def _gcloud(*words: str) -> str:
    if shutil.which("gcloud") is None:
        return ""
    return subprocess.run(["gcloud", *words], capture_output=True, text=True, check=False).stdout.strip()


def _pulled(service: PubSub, subscription: str, sleep: Callable[[float], None]) -> Iterator[list[dict[str, Any]]]:
    """Messages until there are none: Pub/Sub may say so before it is so, and is asked again."""
    empty = 0
    while empty < _LOOKS:
        asked = {"maxMessages": _AT_ONCE, "returnImmediately": True}
        if batch := service.call("POST", f"{subscription}:pull", asked).get("receivedMessages"):
            empty = 0
            yield batch
        else:
            empty += 1
            sleep(_PAUSE_S)


def _letter(service: PubSub, message: Mapping[str, Any], topics: dict[str, str]) -> Letter:
    notes = message.get("attributes", {})
    gave_up = notes.get(f"{_NOTE}SourceSubscription", "")
    if not gave_up.startswith("projects/"):
        gave_up = f"projects/{notes.get(f'{_NOTE}SourceSubscriptionProject', '')}/subscriptions/{gave_up}"
    if gave_up not in topics:
        topics[gave_up] = str(service.call("GET", gave_up)["topic"])
    tells_of = f"gs://{notes['bucketId']}/{notes['objectId']}" if "objectId" in notes else ""
    return Letter(tells_of, gave_up, topics[gave_up])


def _as_it_was(message: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in message.get("attributes", {}).items() if not name.startswith(_NOTE)}
    data = message.get("data") or base64.b64encode(b"{}").decode()
    return {"data": data, "attributes": kept}
