"""A small Cloud Storage on loopback: what object_store (obstore, delta-rs) asks of it, by the XML API, in memory.

Objects have generations, writes have preconditions, what lands is told to whoever subscribed, callers may be refused
by name, and faults come on demand: 503 before the work or after it was done, and 412.

`python storage.py BUCKET... [--faults 0.1]` serves by itself and says where. Clients of the same process may wait for
ever: delta-rs holds the interpreter's lock while it reads a stream.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import queue
import random
import re
import socket
import sys
import threading
import urllib.request
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

PAGE = 1000
FINALIZE = "OBJECT_FINALIZE"


@dataclass(frozen=True)
class Stored:
    """One generation of an object."""

    data: bytes
    generation: int
    modified_at: datetime

    @property
    def etag(self) -> str:
        """Its entity tag, quoted."""
        return f'"{hashlib.md5(self.data, usedforsecurity=False).hexdigest()}-{self.generation}"'


@dataclass(frozen=True)
class Call:
    """What is asked: by whom, with which method, of which object (no name: of the bucket), and how."""

    who: str
    method: str
    bucket: str
    name: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def action(self) -> str:
        """What right it takes: `list`, `read`, `delete`, or `write`."""
        if self.method in ("GET", "HEAD"):
            return "read" if self.name else "list"
        return "delete" if self.method == "DELETE" and "uploadId" not in self.query else "write"


@dataclass(frozen=True)
class Said:
    """What is answered."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Message:
    """A notification as Pub/Sub carries it: the object's resource as data, and attributes."""

    data: bytes
    attributes: Mapping[str, str]

    def pushed(self, subscription: str = "projects/p/subscriptions/s", number: int = 1) -> bytes:
        """The body of a push."""
        message = {"data": base64.b64encode(self.data).decode(), "attributes": dict(self.attributes)}
        message |= {"messageId": str(number), "publishTime": "2022-02-01T00:45:00Z"}
        return json.dumps({"message": message, "subscription": subscription}).encode()


Publish = Callable[[Message], None]
Fault = Callable[[Call], str | None]
"""What goes wrong with a call: `before` (503, not done), `after` (done, then 503), `refused` (412), or nothing."""


def by_chance(share: float, seed: int, kinds: Sequence[str] = ("before", "after", "refused")) -> Fault:
    """Faults in that share of calls; only what is written under a condition can be refused."""
    dice, lock = random.Random(seed), threading.Lock()

    def fault(call: Call) -> str | None:
        with lock:
            kind = dice.choice(kinds) if dice.random() < share else None
        return None if kind == "refused" and "x-goog-if-generation-match" not in call.headers else kind

    return fault


@dataclass(frozen=True)
class Notification:
    """Who is told of what lands in a bucket under a prefix."""

    bucket: str
    prefix: str
    publish: Publish


class Storage:
    """The buckets and what is in them. Safe among threads."""

    def __init__(self, buckets: Sequence[str]) -> None:
        self.buckets: dict[str, dict[str, Stored]] = {name: {} for name in buckets}
        self.notifications: list[Notification] = []
        self.fault: Fault = lambda call: None
        self.permits: Callable[[Call, bool], bool] = lambda call, is_new: True
        self.calls: Counter[str] = Counter()
        self.refused: list[str] = []
        self.url = ""
        self._lock = threading.RLock()
        self._generation = 1_640_000_000_000_000
        self._uploads: dict[str, tuple[dict[int, bytes], Mapping[str, str]]] = {}
        self._told: queue.Queue[tuple[Publish, Message] | None] = queue.Queue()

    # For tests ---------------------------------------------------------------------------------------------------

    def options(self, who: str = "") -> dict[str, str]:
        """Client options for obstore and delta-rs, for a caller of that name."""
        return options(self.url, who)

    def names(self, bucket: str) -> list[str]:
        """The objects of a bucket, in the order of listings."""
        with self._lock:
            return sorted(self.buckets[bucket], key=str.encode)

    def notify(self, bucket: str, prefix: str, publish: Publish) -> None:
        """Tell somebody of every object that lands in a bucket under a prefix, in a thread of its own."""
        self.notifications.append(Notification(bucket, prefix, publish))

    def message(self, bucket: str, name: str) -> Message:
        """The notification of an object that is there."""
        return _message(bucket, name, self.buckets[bucket][name])

    # Calls -------------------------------------------------------------------------------------------------------

    def answer(self, call: Call) -> Said:
        """Do what is asked, unless a fault comes in between. Who names no bucket is told how often it was asked."""
        if not call.bucket:
            return Said(200, json.dumps(self.calls).encode())
        self.calls[call.action] += 1
        if call.bucket not in self.buckets:
            return Said(404)
        if not self.permits(call, call.name not in self.buckets[call.bucket]):
            self.refused.append(f"{call.who or 'somebody'} may not {call.action} gs://{call.bucket}/{call.name}")
            return Said(403)
        fault = self.fault(call)
        if fault in ("before", "refused"):
            return Said(503 if fault == "before" else 412)
        said = self._done(call)
        return Said(503) if fault == "after" else said

    def _done(self, call: Call) -> Said:
        if call.method == "GET" and not call.name:
            return self._listed(call)
        if "uploads" in call.query or "uploadId" in call.query:
            return self._uploaded(call)
        if call.method in ("GET", "HEAD"):
            return self._read(call)
        if call.method == "DELETE":
            with self._lock:
                return Said(204 if self.buckets[call.bucket].pop(call.name, None) else 404)
        return self._written(call)

    def _read(self, call: Call) -> Said:
        with self._lock:
            stored = self.buckets[call.bucket].get(call.name)
        if stored is None:
            return Said(404)
        headers = {
            "ETag": stored.etag,
            "Last-Modified": format_datetime(stored.modified_at, usegmt=True),
            "x-goog-generation": str(stored.generation),
        }
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", call.headers.get("range", ""))
        if asked is None:
            return Said(200, stored.data, headers)
        whole = len(stored.data)
        first = int(asked[1]) if asked[1] else max(whole - int(asked[2]), 0)
        last = min(int(asked[2]), whole - 1) if asked[1] and asked[2] else whole - 1
        if first > last:
            return Said(416)
        return Said(206, stored.data[first : last + 1], headers | {"Content-Range": f"bytes {first}-{last}/{whole}"})

    def _written(self, call: Call) -> Said:
        data = call.body
        if source := call.headers.get("x-goog-copy-source"):
            bucket, _, name = unquote(source).lstrip("/").partition("/")
            with self._lock:
                if (copied := self.buckets.get(bucket, {}).get(name)) is None:
                    return Said(404)
            data = copied.data
        stored = self._insert(call, data, call.headers)
        if stored is None:
            return Said(412)
        return Said(200, _xml("CopyObjectResult", ETag=stored.etag) if source else b"", _of(stored))

    def _insert(self, call: Call, data: bytes, headers: Mapping[str, str]) -> Stored | None:
        """A new generation, told to whom it concerns; None where the precondition does not hold."""
        with self._lock:
            there = self.buckets[call.bucket].get(call.name)
            wanted = headers.get("x-goog-if-generation-match")
            if wanted is not None and int(wanted) != (there.generation if there else 0):
                return None
            self._generation += 1
            stored = Stored(data, self._generation, datetime.now(UTC))
            self.buckets[call.bucket][call.name] = stored
        for each in self.notifications:
            if each.bucket == call.bucket and call.name.startswith(each.prefix):
                self._told.put((each.publish, _message(call.bucket, call.name, stored)))
        return stored

    def _uploaded(self, call: Call) -> Said:
        if call.method == "POST" and "uploads" in call.query:
            upload = uuid.uuid4().hex
            self._uploads[upload] = ({}, call.headers)
            return Said(200, _xml("InitiateMultipartUploadResult", UploadId=upload, Bucket=call.bucket, Key=call.name))
        parts, begun = self._uploads.get(call.query["uploadId"], (None, {}))
        if parts is None:
            return Said(404)
        if call.method == "PUT":
            parts[int(call.query["partNumber"])] = call.body
            return Said(200, headers={"ETag": f'"{hashlib.md5(call.body, usedforsecurity=False).hexdigest()}"'})
        del self._uploads[call.query["uploadId"]]
        if call.method == "DELETE":
            return Said(204)
        stored = self._insert(call, b"".join(parts[number] for number in sorted(parts)), {**begun, **call.headers})
        if stored is None:
            return Said(412)
        return Said(200, _xml("CompleteMultipartUploadResult", ETag=stored.etag), _of(stored))

    def _listed(self, call: Call) -> Said:
        prefix, delimiter = call.query.get("prefix", ""), call.query.get("delimiter", "")
        after = max(call.query.get("start-after", ""), call.query.get("continuation-token", ""), key=str.encode)
        most = int(call.query.get("max-keys", PAGE))
        with self._lock:
            held = dict(self.buckets[call.bucket])
        entries: dict[str, Stored | None] = {}
        for name in sorted(held, key=str.encode):
            cut = name.find(delimiter, len(prefix)) if delimiter else -1
            shown = name[: cut + len(delimiter)] if cut >= 0 else name
            if name.startswith(prefix) and shown.encode() > after.encode():
                entries[shown] = held[name] if cut < 0 else None
        page = list(entries.items())[:most]
        told = "".join(_entry(name, stored) for name, stored in page)
        more = (
            f"<NextContinuationToken>{escape(page[-1][0])}</NextContinuationToken>" if len(page) < len(entries) else ""
        )
        cut_off = "true" if more else "false"
        body = f"<ListBucketResult>{told}{more}<IsTruncated>{cut_off}</IsTruncated></ListBucketResult>"
        return Said(200, body.encode(), {"Content-Type": "application/xml"})

    def _tell(self) -> None:
        while (told := self._told.get()) is not None:
            publish, message = told
            publish(message)


def _of(stored: Stored) -> dict[str, str]:
    return {"ETag": stored.etag, "x-goog-generation": str(stored.generation)}


def _xml(root: str, **values: str) -> bytes:
    return f"<{root}>{''.join(f'<{k}>{escape(v)}</{k}>' for k, v in values.items())}</{root}>".encode()


def _entry(name: str, stored: Stored | None) -> str:
    if stored is None:
        return f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>"
    at = stored.modified_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return (
        f"<Contents><Key>{escape(name)}</Key><Size>{len(stored.data)}</Size><LastModified>{at}</LastModified>"
        f"<ETag>{escape(stored.etag)}</ETag></Contents>"
    )


def _message(bucket: str, name: str, stored: Stored) -> Message:
    about = {"kind": "storage#object", "bucket": bucket, "name": name, "generation": str(stored.generation)}
    about |= {"size": str(len(stored.data)), "timeCreated": stored.modified_at.isoformat()}
    attributes = {"bucketId": bucket, "objectId": name, "objectGeneration": str(stored.generation)}
    attributes |= {"eventType": FINALIZE, "payloadFormat": "JSON_API_V1"}
    return Message(json.dumps(about).encode(), attributes)


def to_topic(host: str, topic: str) -> Publish:
    """Publish to a topic (`projects/p/topics/t`) of a Pub/Sub emulator."""

    def publish(message: Message) -> None:
        told = {"data": base64.b64encode(message.data).decode(), "attributes": dict(message.attributes)}
        body = json.dumps({"messages": [told]}).encode()
        asked = urllib.request.Request(f"http://{host}/v1/{topic}:publish", body, {"Content-Type": "application/json"})
        urllib.request.urlopen(asked, timeout=30).close()

    return publish


# The door ------------------------------------------------------------------------------------------------------------


@contextmanager
def storage(*buckets: str) -> Iterator[Storage]:
    """A Cloud Storage with these buckets, from when it listens until the end of the block."""
    held = Storage(buckets)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def log_message(self, format: str, *args: object) -> None:
            pass

        def _answer(self) -> None:
            url = urlsplit(self.path)
            who, rest = "", url.path
            if rest.startswith("/~"):
                who, _, rest = rest[2:].partition("/")
            bucket, _, name = rest.lstrip("/").partition("/")
            query = {key: values[0] for key, values in parse_qs(url.query, keep_blank_values=True).items()}
            headers = {key.lower(): value for key, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            said = held.answer(Call(who, self.command, unquote(bucket), unquote(name), query, headers, body))
            self.send_response(said.status)
            for key, value in said.headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(said.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(said.body)
            self.wfile.flush()

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128
        address_family = socket.AF_INET

        def handle_error(self, request: object, client_address: object) -> None:
            if not isinstance(sys.exc_info()[1], ConnectionError):  # a client that went away
                super().handle_error(request, client_address)  # type: ignore[arg-type]

    server = Server(("127.0.0.1", 0), Handler)
    held.url = f"http://127.0.0.1:{server.server_port}"
    threads = [
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True),
        threading.Thread(target=held._tell, daemon=True),
    ]
    for thread in threads:
        thread.start()
    try:
        yield held
    finally:
        server.shutdown()
        server.server_close()
        held._told.put(None)
        for thread in threads:
            thread.join(timeout=10)


def options(url: str, who: str = "") -> dict[str, str]:
    """Client options for obstore and delta-rs: the address, and the name of the caller if it matters."""
    base = f"{url}/~{who}" if who else url
    key = {"gcs_base_url": base, "disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
    return {"google_service_account_key": json.dumps(key), "allow_http": "true"}


def main() -> None:
    """Serve until stopped."""
    ask = argparse.ArgumentParser()
    ask.add_argument("buckets", nargs="+")
    ask.add_argument("--faults", type=float, default=0.0)
    ask.add_argument("--seed", type=int, default=1)
    asked = ask.parse_args()
    with storage(*asked.buckets) as server:
        server.fault = by_chance(asked.faults, asked.seed)
        print(server.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
