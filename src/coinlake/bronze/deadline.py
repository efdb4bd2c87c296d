"""One deadline over all that an HTTP request waits for: addresses, connection, handshake, headers, body.

httpx bounds each wait by itself, so a service that sends a byte every few seconds is never late, and a name with
five addresses may take five times the time to connect. Here every wait gets what is left of one deadline.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass
class Deadline:
    """When everything has to be over, by the clock given. `begin` sets it; after it, waits end in a TimeoutError."""

    monotonic: Callable[[], float]
    ends_at: float = 0.0

    def begin(self, seconds: float) -> None:
        """From now on there are so many seconds."""
        self.ends_at = self.monotonic() + seconds

    def left(self, at_most: float | None) -> float:
        """Seconds that a wait may take.

        Raises:
            TimeoutError: none are left.
        """
        left = self.ends_at - self.monotonic()
        if left <= 0:
            raise TimeoutError
        return left if at_most is None else min(left, at_most)

    def govern(self, client: httpx.Client) -> None:
        """Make every connection of a client keep it (its proxies' too), instead of one time limit a wait."""
        for transport in (client._transport, *client._mounts.values()):
            if isinstance(transport, httpx.HTTPTransport):
                pool: Any = transport._pool
                pool._network_backend = _Network(pool._network_backend, self)


@dataclass
class _Network:
    """httpcore's own network, hurried."""

    inner: Any
    deadline: Deadline

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, **rest: Any) -> _Stream:
        """Connect; a name's addresses share the time."""
        each = self.deadline.left(timeout) / _addresses(host, port)
        return _Stream(self.inner.connect_tcp(host, port, timeout=each, **rest), self.deadline)


@dataclass
class _Stream:
    """One connection; also what httpcore puts inside TLS."""

    inner: Any
    deadline: Deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data: bytes = self.inner.read(max_bytes, self.deadline.left(timeout))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.inner.write(buffer, self.deadline.left(timeout))

    def start_tls(self, *given: Any, timeout: float | None = None, **rest: Any) -> _Stream:
        return _Stream(self.inner.start_tls(*given, timeout=self.deadline.left(timeout), **rest), self.deadline)

    def close(self) -> None:
        self.inner.close()

    def get_extra_info(self, info: str) -> Any:
        return self.inner.get_extra_info(info)


def _addresses(host: str, port: int) -> int:
    """How many addresses a name has; an unknown one counts as one, and connecting says what is wrong with it."""
    try:
        return max(len(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)), 1)
    except (OSError, UnicodeError):
        return 1
