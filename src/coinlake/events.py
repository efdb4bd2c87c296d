"""What an event says: which object landed, in either shape in which Google tells of it. Nothing heavy is imported.

A push of Pub/Sub wraps a storage notification: `{"message": {"data", "attributes", …}, "subscription"}`. Eventarc sends
a CloudEvent, in binary mode (attributes in `ce-` headers, the object's resource as body) or structured (all in one JSON
object); either may hold a Pub/Sub message in turn.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LANDED = frozenset({"OBJECT_FINALIZE", "google.cloud.storage.object.v1.finalized"})
"""Types of event that say an object is there now."""

_PART = re.compile(r"(?!_)[^/]+/(?!_)[^/]+/.+")
_COMMIT = re.compile(r"([^/]+)/_delta_log/\d{20}\.json")


class UnreadableError(ValueError):
    """A message is no storage event; asking for it again would not make it one."""


@dataclass(frozen=True)
class Event:
    """What happened to one generation of one object."""

    kind: str
    bucket: str
    name: str
    generation: str = ""

    @property
    def has_landed(self) -> bool:
        """Whether the object is new, rather than deleted, archived, or described anew."""
        return self.kind in LANDED

    def below(self, root: str) -> str | None:
        """The object's path below a `gs://` root; None where it lies elsewhere."""
        prefix = f"{root.rstrip('/')}/"
        address = f"gs://{self.bucket}/{self.name}"
        return address.removeprefix(prefix) if address.startswith(prefix) else None


def is_part(path: str) -> bool:
    """Whether a path in bronze is of answers to be cleaned: not a run's record, nor an error, nor a frozen list."""
    return _PART.fullmatch(path) is not None


def committed(path: str) -> str | None:
    """The folder of the table that a path in silver is a commit of; None for data files, checkpoints and the rest."""
    found = _COMMIT.fullmatch(path)
    return found[1] if found else None


def read(headers: Mapping[str, str], body: bytes) -> Event:
    """The storage event that a request brings.

    Raises:
        UnreadableError: it brings none.
    """
    named = {name.lower(): value for name, value in headers.items()}
    said = _object(body)
    if "ce-type" in named:
        return _of_cloud_event(named["ce-type"], named.get("ce-source", ""), named.get("ce-subject", ""), said)
    if "specversion" in said:
        data = _object(_decoded(said["data_base64"])) if "data_base64" in said else said.get("data")
        return _of_cloud_event(str(said.get("type")), str(said.get("source")), str(said.get("subject")), data)
    return _of_push(said)


def parsed(body: bytes) -> Any:
    """What a body says as JSON, an empty one as `{}`: the one place that reads what anybody may have sent.

    Raises:
        UnreadableError: it is no JSON, is nested beyond reason, or has half a character in it, which no name of an
            object and no line of log can hold.
    """
    try:
        said = json.loads(body or b"{}")
        json.dumps(said, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as exc:
        raise UnreadableError("it is no JSON") from exc
    return said


def _of_push(said: Mapping[str, Any]) -> Event:
    message = said.get("message")
    if not isinstance(message, dict):
        raise UnreadableError("it is neither a push of Pub/Sub nor a CloudEvent")
    given = message.get("attributes")
    attributes: Mapping[str, Any] = given if isinstance(given, dict) else {}
    resource: Mapping[str, Any] = {}
    if not {"bucketId", "objectId"} <= attributes.keys():
        resource = _object(_decoded(message.get("data")))
    return _event(
        attributes.get("eventType", ""),
        attributes.get("bucketId", resource.get("bucket")),
        attributes.get("objectId", resource.get("name")),
        attributes.get("objectGeneration", resource.get("generation")),
    )


def _of_cloud_event(kind: str, source: str, subject: str, data: Any) -> Event:
    if not isinstance(data, dict):
        data = {}
    if "message" in data:
        return _of_push(data)
    bucket = data.get("bucket") or source.partition("/buckets/")[2]
    name = data.get("name") or (subject.removeprefix("objects/") if subject.startswith("objects/") else "")
    return _event(kind, bucket, name, data.get("generation"))


def _event(kind: Any, bucket: Any, name: Any, generation: Any) -> Event:
    if not (kind and isinstance(kind, str) and bucket and isinstance(bucket, str) and name and isinstance(name, str)):
        raise UnreadableError("it names no type, bucket and object")
    return Event(kind, bucket, name, str(generation or ""))


def _decoded(data: Any) -> bytes:
    try:
        return base64.b64decode(data or "", validate=True)
    except (ValueError, TypeError) as exc:
        raise UnreadableError("its data is no base64") from exc


def _object(body: bytes) -> dict[str, Any]:
    said = parsed(body)
    if not isinstance(said, dict):
        raise UnreadableError("it is no JSON object")
    return said
