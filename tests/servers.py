"""Services on loopback for tests: one that answers anything by script, and the replay of real histories."""

from __future__ import annotations

import gzip
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Request:
    """What a service was asked: path and query as they came, params decoded, headers by lower-case name, and when."""

    target: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    at: float


@dataclass(frozen=True)
class Reply:
    """What a service answers, and how badly.

    `gzipped` sends the body compressed. `missing` bytes are promised by Content-Length and never sent. `drip_s` is
    the pause before each byte of the body, or of the whole answer with `drip_all`. `raw` is sent in place of all that
    (b"" hangs up without a word).
    """

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    gzipped: bool = False
    missing: int = 0
    drip_s: float = 0.0
    drip_all: bool = False
    raw: bytes | None = None

    def head(self) -> bytes:
        """Status line and headers."""
        length = len(self.sent()) + self.missing
        headers = {"Content-Type": "application/json", "Content-Length": str(length), **self.headers}
        if self.gzipped:
            headers["Content-Encoding"] = "gzip"
        lines = [f"HTTP/1.1 {self.status} Said", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        return "\r\n".join(lines).encode()

    def sent(self) -> bytes:
        """The body's bytes on the wire."""
        return gzip.compress(self.body) if self.gzipped else self.body


def as_json(value: Any, status: int = 200, **headers: str) -> Reply:
    """A reply of JSON; `retry_after="1"` is the header Retry-After."""
    return Reply(status, json.dumps(value).encode(), {name.replace("_", "-"): said for name, said in headers.items()})


Script = Callable[[Request], Reply] | Sequence[Reply] | Reply
"""A function of the request; replies in order, the last of them again and again; or one reply to everything."""


@dataclass
class Scripted:
    """A running service: its address, and what it was asked so far."""

    url: str
    requests: list[Request] = field(default_factory=list)


@contextmanager
def scripted(script: Script, clock: Callable[[], float] = time.monotonic) -> Iterator[Scripted]:
    """A service that answers by script; `clock` says when requests arrive."""
    service = Scripted("")
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            with lock:
                request = Request(self.path, url.path, dict(parse_qsl(url.query)), headers, clock())
                service.requests.append(request)
                reply = _next(script, request, len(service.requests))
            try:
                self._send(reply)
            except OSError:  # the client had enough
                self.close_connection = True

        def _send(self, reply: Reply) -> None:
            self.close_connection = reply.missing > 0 or reply.raw is not None
            if reply.raw is not None:
                self.wfile.write(reply.raw)
            elif reply.drip_s:
                whole = reply.head() + reply.sent()
                at_once = 0 if reply.drip_all else len(reply.head())
                self.wfile.write(whole[:at_once])
                self._drip(whole[at_once:], reply.drip_s)
            else:
                self.wfile.write(reply.head() + reply.sent())

        def _drip(self, data: bytes, pause_s: float) -> None:
            for byte in data:
                time.sleep(pause_s)
                self.wfile.write(bytes([byte]))

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    service.url = f"http://127.0.0.1:{server.server_port}/api/v3"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _next(script: Script, request: Request, number: int) -> Reply:
    if isinstance(script, Reply):
        return script
    return script(request) if callable(script) else script[min(number, len(script)) - 1]


def closed_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@dataclass(frozen=True)
class Replay:
    """A running replay of real histories."""

    url: str

    def stats(self) -> dict[str, Any]:
        """How many requests it answered and how, and the most in any 60 s."""
        told: dict[str, Any] = json.loads(_asked(f"{self.url}/stats"))
        return told

    def clock(self, now: str) -> None:
        """Set the service's clock: `2022-02-03T00:45:00Z`."""
        _asked(f"{self.url.removesuffix('/api/v3')}/clock?now={now}", "POST")


def _asked(url: str, method: str = "GET") -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=30) as response:
        body: bytes = response.read()
    return body


@contextmanager
def replay(shared: Path, *flags: str) -> Iterator[Replay]:
    """Run the replay with flags such as `"--fault", "0.2"` on a free port, from when it listens until the end."""
    command = [sys.executable, str(shared / "coingecko" / "replay.py"), "--port", "0", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()  # it says where, once it listens
            assert "http://" in said, f"the replay did not start: {said!r}"
            yield Replay(next(word.rstrip(",") for word in said.split() if word.startswith("http://")))
        finally:
            process.terminate()
