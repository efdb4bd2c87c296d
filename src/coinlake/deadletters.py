"""What died on its way to a function goes back to where it came from, once the cause is mended.

Pub/Sub notes on a dead letter which subscription gave up on it. Its message is published again on that subscription's
topic, as it was, and only then taken out of the dead letter: killed in between, it comes twice, which changes nothing.
One that cannot go back (it does not say where it came from, or nobody there takes it) is passed over and stays.
"""

from __future__ import annotations

import base64
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from coinlake.errors import ConfigError, LakeError, brief

SUBSCRIPTION = "coinlake-dead-letter"
"""What infra/ calls the subscription that keeps dead letters."""

SHOWN = 100
"""Letters after which a dry run looks no further."""

_NOTE = "CloudPubSubDeadLetter"
_REFUSED = {400, 403, 404}
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
class Left:
    """A dead letter that stays where it is, and why: `message` is Pub/Sub's number of it."""

    object: str
    gave_up: str
    message: str
    why: str


@dataclass
class Replayed:
    """What went back (or would go), and what stays."""

    letters: list[Letter] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)


class RefusedError(LakeError):
    """Pub/Sub did not do what it was asked of one name; it may do so of another."""


@dataclass(frozen=True)
class PubSub:
    """Pub/Sub's REST calls, at an address, with a token (none for an emulator)."""

    address: str
    token: str = ""

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ask, and return what is answered.

        Raises:
            RefusedError: there is no such thing, or one may not.
            LakeError: there is no answer, or none that helps.
        """
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            answer = httpx.request(method, f"{self.address}/v1/{path}", json=body, headers=headers, timeout=120)
            answer.raise_for_status()
        except httpx.HTTPStatusError as exc:
            kind = RefusedError if exc.response.status_code in _REFUSED else LakeError
            told = f"{exc.response.status_code} {exc.response.reason_phrase}, {method} {path}"
            raise kind(f"Pub/Sub did not do as asked ({told}); look at the names and at your rights") from exc
        except httpx.HTTPError as exc:
            raise LakeError(f"Pub/Sub does not answer ({brief(exc)}); look at the network") from exc
        said: dict[str, Any] = answer.json()
        return said


def replay(
    service: PubSub, subscription: str, dry_run: bool = False, sleep: Callable[[float], None] = time.sleep
) -> Replayed:
    """Send every dead letter of a subscription (`projects/P/subscriptions/S`) back; return what went and what stays.

    Whatever was looked at and did not go is there again at once. With `dry_run` nothing moves, and what is returned is
    the first hundred or so.
    """
    done = Replayed()
    topics: dict[str, str] = {}
    kept: dict[str, str] = {}
    """Of each message in hand, by its number, what gives it back."""
    try:
        for batch in _pulled(service, subscription, kept, sleep):
            kept.update({each["message"]["messageId"]: each["ackId"] for each in batch})
            sent: list[str] = []
            try:
                for each in batch:
                    message = each["message"]
                    try:
                        letter = _letter(service, message, topics)
                        if not dry_run:
                            service.call("POST", f"{letter.topic}:publish", {"messages": [_as_it_was(message)]})
                            sent.append(kept.pop(message["messageId"]))
                    except RefusedError as exc:
                        done.left.append(Left(_tells_of(message), _gave_up(message), message["messageId"], str(exc)))
                    else:
                        done.letters.append(letter)
            finally:
                _acknowledge(service, subscription, sent)
            if dry_run and len(kept) >= SHOWN:
                break
    finally:
        _give_back(service, subscription, list(kept.values()))
    return done


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


def _pulled(
    service: PubSub, subscription: str, kept: dict[str, str], sleep: Callable[[float], None]
) -> Iterator[list[dict[str, Any]]]:
    """Messages until there are none: Pub/Sub may say so before it is so, and is asked again.

    Those that are `kept` already come again where this takes longer than Pub/Sub waits; they are not handed out twice.
    """
    empty = 0
    while empty < _LOOKS:
        asked = {"maxMessages": _AT_ONCE, "returnImmediately": True}
        found = service.call("POST", f"{subscription}:pull", asked).get("receivedMessages", [])
        kept.update({each["message"]["messageId"]: each["ackId"] for each in found if _is_kept(each, kept)})
        if batch := [each for each in found if not _is_kept(each, kept)]:
            empty = 0
            yield batch
        else:
            empty += 1
            sleep(_PAUSE_S)


def _is_kept(each: Mapping[str, Any], kept: Mapping[str, str]) -> bool:
    return each["message"]["messageId"] in kept


def _acknowledge(service: PubSub, subscription: str, acks: list[str]) -> None:
    if acks:
        service.call("POST", f"{subscription}:acknowledge", {"ackIds": acks})


def _give_back(service: PubSub, subscription: str, acks: list[str]) -> None:
    """Let messages be pulled again at once, rather than when the time to acknowledge them is over."""
    for first in range(0, len(acks), _AT_ONCE):
        asked = {"ackIds": acks[first : first + _AT_ONCE], "ackDeadlineSeconds": 0}
        service.call("POST", f"{subscription}:modifyAckDeadline", asked)


def _letter(service: PubSub, message: Mapping[str, Any], topics: dict[str, str]) -> Letter:
    gave_up = _gave_up(message)
    if not gave_up:
        raise RefusedError(f"it does not say which subscription gave up on it ({_NOTE}SourceSubscription)")
    if gave_up not in topics:
        topics[gave_up] = str(service.call("GET", gave_up)["topic"])
    return Letter(_tells_of(message), gave_up, topics[gave_up])


def _gave_up(message: Mapping[str, Any]) -> str:
    """The subscription that gave up on a message, in full; nothing where the message does not say."""
    notes = message.get("attributes", {})
    named: str = notes.get(f"{_NOTE}SourceSubscription", "")
    if not named or named.startswith("projects/"):
        return named
    return f"projects/{notes.get(f'{_NOTE}SourceSubscriptionProject', '')}/subscriptions/{named}"


def _tells_of(message: Mapping[str, Any]) -> str:
    notes = message.get("attributes", {})
    return f"gs://{notes['bucketId']}/{notes['objectId']}" if {"bucketId", "objectId"} <= notes.keys() else ""


def _as_it_was(message: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in message.get("attributes", {}).items() if not name.startswith(_NOTE)}
    data = message.get("data") or base64.b64encode(b"{}").decode()
    return {"data": data, "attributes": kept}
