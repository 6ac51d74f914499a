"""The backend of sync transports: sockets of the standard library.

1. A socket's own timeout begins anew with every byte, so each call gets what is left of a deadline.
2. A name look-up cannot be interrupted. It counts, but the timeout acts only after it.
3. Closing a socket does not wake a thread that waits for it; shutting it down does. The number of a
   closed socket may be given to another, so it is closed only when nobody reads any more. The lock
   may be taken again by its thread, as a signal handler may close what that thread reads.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from selectors import EVENT_READ, EVENT_WRITE
from threading import RLock
from typing import Any

from moondream_transports._deadlines import after

from .waiting import LISTEN_BYTES, READ_BYTES, is_readable, ready, remaining

_WRITE_BYTES = 256 * 1024  # at once: TLS copies what it is given


class SocketBackend:
    """Makes connections with sockets."""

    errors: tuple[type[Exception], ...] = (OSError, ValueError)  # ValueError: of IDNA

    def connect(self, host: str, port: int, timeout: float | None) -> SocketConnection:
        """As `Backend.connect` says. An address gets its share of the time, so that one which is
        silent leaves some for the others.
        """
        deadline = after(timeout)
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        failure = OSError("the name has no address")
        for number, (family, kind, protocol, _, address) in enumerate(found):
            left = remaining(deadline)
            share = None if left is None else left / (len(found) - number)
            try:
                return SocketConnection(_connected(family, kind, protocol, address, share))
            except OSError as error:
                failure = error
        raise failure


def _connected(
    family: int, kind: int, protocol: int, address: Any, timeout: float | None
) -> socket.socket:
    sock = socket.socket(family, kind, protocol)
    try:
        sock.settimeout(timeout)
        sock.connect(address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


class SocketConnection:
    """A connection, as `Connection` says."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._timeout: float | None = -1.0  # of the socket; -1.0: not known
        self._lock = RLock()

    def start_tls(
        self, context: ssl.SSLContext, hostname: str, timeout: float | None
    ) -> str | None:
        """As `Connection.start_tls` says."""
        self._set_timeout(timeout)
        self._socket = sock = context.wrap_socket(
            self._socket, server_hostname=hostname, do_handshake_on_connect=False
        )
        sock.do_handshake()
        return sock.selected_alpn_protocol()

    def read(self, timeout: float | None) -> bytes:
        """As `Connection.read` says."""
        with self._lock:
            if timeout != self._timeout:  # a system call, and most reads have the same timeout
                self._set_timeout(timeout)
            return self._socket.recv(READ_BYTES)

    def write(
        self, data: memoryview, received: Callable[[bytes], bool], timeout: float | None
    ) -> bool:
        """As `Connection.write` says."""
        deadline, events, listened = after(timeout), EVENT_READ | EVENT_WRITE, 0
        self._socket.setblocking(False)
        self._timeout = -1.0
        try:
            while data:
                with suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    data = data[self._socket.send(data[:_WRITE_BYTES]) :]
                    continue
                if not ready(self._socket.fileno(), events, remaining(deadline)) & EVENT_READ:
                    continue
                with suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    came = self._socket.recv(READ_BYTES)
                    if came and received(came):
                        return False
                    listened += len(came)
                    if not came or listened >= LISTEN_BYTES:
                        events = EVENT_WRITE
        except TimeoutError:
            raise
        except OSError:
            return False
        return True

    def is_readable(self) -> bool:
        """As `Connection.is_readable` says."""
        return is_readable(self._socket.fileno()) or (
            isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0
        )

    def close(self) -> None:
        """As `Connection.close` says."""
        if not self._lock.acquire(blocking=False):
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._lock.acquire()
        self._socket.close()
        self._lock.release()

    def _set_timeout(self, timeout: float | None) -> None:
        self._socket.settimeout(None if timeout is None else max(timeout, 0.001))  # 0: do not wait
        self._timeout = timeout
