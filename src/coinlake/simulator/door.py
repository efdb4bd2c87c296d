"""The simulator's door: a loopback socket, the machine's clock, and threads. Everything else is handed inwards."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from io import BufferedIOBase
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import IO
from urllib.parse import parse_qsl, unquote, urlsplit

from coinlake.answer import to_moment
from coinlake.errors import ConfigError
from coinlake.simulator.clock import REAL, Clock
from coinlake.simulator.faults import Faults, Reply
from coinlake.simulator.market import Market
from coinlake.simulator.observed import Service
from coinlake.simulator.plans import PLANS
from coinlake.simulator.router import Router
from coinlake.simulator.service import Simulated
from coinlake.simulator.traps import Traps

HOST = "127.0.0.1"
_LINE_BYTES = 2**16
DAY_A_SECOND = 86_400.0
"""The speed of a clock that lets a day pass in a second."""


@dataclass(frozen=True)
class Options:
    """How a market is simulated.

    `traps` and `faults` are rates by name, traps in place of their usual ones. `now` is a moment such as
    `2022-02-01T00:45:00Z` (None: the machine's); `speed` is simulated seconds a second, 0 for a clock that stands.
    `rate` is calls in any 60 s: None for the plan's own limit, 0 for none. `stall_s` is how long a stall lasts.
    """

    coins: int = 250
    seed: int = 7
    port: int = 0
    plan: str = "demo"
    rate: int | None = 0
    key: str | None = None
    now: str | None = None
    speed: float = REAL
    traps: Mapping[str, float] | None = None
    faults: Mapping[str, float] | None = None
    stall_s: float = 30.0
    lasting: bool = False


@dataclass(frozen=True)
class Running:
    """A simulator that listens: the address of the service, that of its clock, and what is behind them."""

    url: str
    clock_url: str
    simulated: Simulated

    @property
    def market(self) -> Market:
        """The market it serves."""
        return self.simulated.router.service.market


def simulated(options: Options) -> Simulated:
    """The service as the options want it, not yet listening.

    Raises:
        ConfigError: an option is none; the sentence names it.
    """
    if options.plan not in PLANS:
        raise ConfigError(f"there is no plan {options.plan!r}; there are {', '.join(PLANS)}")
    try:
        start = None if options.now is None else _ms(options.now)
        clock = Clock(time.time, time.monotonic, start, options.speed)
        market = Market(options.seed, options.coins, options.lasting)
    except (ValueError, OverflowError) as exc:
        raise ConfigError(f"{exc}; change coins, now or speed") from exc
    router = Router(Service(market, Traps(options.seed, options.traps)), PLANS[options.plan])
    faults = Faults(options.seed, options.faults, options.stall_s)
    return Simulated(router, clock, faults, time.monotonic, options.rate, options.key)


@contextmanager
def running(options: Options) -> Iterator[Running]:
    """A simulator on loopback in a thread of its own, from when it listens until the end of the block.

    Raises:
        ConfigError: an option is none, or the port is taken.
    """
    server, run = _bound(options)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield run
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def serve(options: Options, ready: Callable[[Running], object] = lambda run: None) -> None:
    """Simulate until stopped (KeyboardInterrupt, which is let through once the port is free again).

    `ready` is called with what runs, once it listens.

    Raises:
        ConfigError: an option is none, or the port is taken.
    """
    server, run = _bound(options)
    try:
        ready(run)
        server.serve_forever()
    finally:
        server.server_close()


def _bound(options: Options) -> tuple[_Server, Running]:
    behind = simulated(options)

    class Handler(_Handler):
        service = behind

    try:
        server = _Server((HOST, options.port), Handler)
    except (OSError, OverflowError) as exc:
        raise ConfigError(f"port {options.port} on {HOST} cannot be listened at ({exc}); choose another") from exc
    at = f"http://{HOST}:{server.server_address[1]}"
    return server, Running(f"{at}/api/v3", f"{at}/clock", behind)


class _Server(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False  # a connection that is kept alive must not keep us
    request_queue_size = 128


class _Handler(StreamRequestHandler):
    """HTTP/1.1 as far as a client of an API needs it: http.server spends more on a head than we on an answer."""

    disable_nagle_algorithm = True
    service: Simulated

    def handle(self) -> None:
        """Answer one request after the other, until one side has had enough."""
        try:
            while (request := _read(self.rfile)) is not None and self._answer(*request):
                pass
        except OSError:  # the client has
            return

    def _answer(self, method: str, target: str, headers: Mapping[str, str]) -> bool:
        """Answer a request; whether the connection stays open."""
        try:
            url = urlsplit(target)
        except ValueError:  # http://[ is no address
            self._write(self.service.refuse(HTTPStatus.BAD_REQUEST))
            return False
        params = dict(parse_qsl(url.query, keep_blank_values=True))
        if method == "GET":
            reply = self.service.get(unquote(url.path), url.query, params, headers)
        elif method == "POST":
            reply = self.service.post(unquote(url.path), params, _ms)
        else:
            reply = self.service.refuse(HTTPStatus.METHOD_NOT_ALLOWED, Allow="GET, POST")
        if reply.is_dropped:
            return False
        self._write(reply)
        return not reply.hangs_up and headers.get("connection", "").lower() != "close"

    def _write(self, reply: Reply) -> None:
        if reply.stall_s:
            time.sleep(reply.stall_s)
        if not reply.drip_s:
            self.wfile.write(_head(reply) + reply.body)
            return
        self.wfile.write(_head(reply))
        for byte in reply.body:
            time.sleep(reply.drip_s)
            self.wfile.write(bytes([byte]))


def _read(stream: IO[bytes] | BufferedIOBase) -> tuple[str, str, dict[str, str]] | None:
    """Method, target and headers (lower case) of the next request, its body read past; None at the end."""
    first = stream.readline(_LINE_BYTES).decode("latin-1").split()
    if len(first) != 3:
        return None
    headers = {}
    while (line := stream.readline(_LINE_BYTES).decode("latin-1")).strip():
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    length = headers.get("content-length", "")
    if length.isdecimal():
        stream.read(min(int(length), _LINE_BYTES))
    return first[0], first[1], headers


def _head(reply: Reply) -> bytes:
    length = len(reply.body) if reply.declared is None else reply.declared
    lines = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    if reply.status != HTTPStatus.NOT_MODIFIED:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join([*lines, "", ""]).encode()


def _ms(text: str) -> int:
    return round(to_moment(text).timestamp() * 1000)
