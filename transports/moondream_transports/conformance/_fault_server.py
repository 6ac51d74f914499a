"""A server on loopback that does to a connection what a script says, segment by segment.

1. A script is called with a `Peer` for each connection, in a thread of its own, so it needs no
   event loop of the client's.
2. Nothing here sleeps: what has to wait, waits for the client, and no longer than the server's
   patience. Then it hangs up, so that a client that would wait for ever is let go.
3. What the scripts do is kept in a `Transcript`, shortened, to be told where a check fails.
4. Leaving the server's block waits for the scripts to end and raises what went wrong in them.
"""

from __future__ import annotations

import queue
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from typing import Self

from ._case import Unexpected

PATIENCE = 10.0  # seconds after which a check that waits has failed

Headers = Iterable[tuple[str, str]]
EVENT_STREAM = (("Content-Type", "text/event-stream"),)
CHUNKED = (*EVENT_STREAM, ("Transfer-Encoding", "chunked"))


def head(status_code: int = 200, headers: Headers = CHUNKED) -> bytes:
    """A response's head. The reason is left empty, as HTTP allows."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {status_code} \r\n{fields}\r\n".encode("latin-1")


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


@dataclass
class _Sent:
    """Bytes that were sent one after the other: how many, in how many segments, and of them the
    first and the last ones.
    """

    connection: int
    start: bytes = b""
    end: bytes = b""
    size: int = 0
    segments: int = 0

    def add(self, data: bytes) -> None:
        self.start = (self.start + data[:100])[:100]
        self.end = (self.end + data[-40:])[-40:]
        self.size += len(data)
        self.segments += 1

    def __str__(self) -> str:
        apart = f" in {self.segments:,} segments" if self.segments > 1 else ""
        if self.size <= len(self.start):
            return f"sent {self.start!r}{apart}"
        return f"sent {self.size:,} bytes{apart}: {self.start!r} … {self.end!r}"


class Transcript:
    """What a server did, in words."""

    def __init__(self) -> None:
        self._steps: list[tuple[int, str] | _Sent] = []
        self._lock = threading.Lock()

    def add(self, connection: int, step: str) -> None:
        with self._lock:
            self._steps.append((connection, step))

    def sent(self, connection: int, data: bytes) -> None:
        with self._lock:
            last = self._steps[-1] if self._steps else None
            if not isinstance(last, _Sent) or last.connection != connection:
                last = _Sent(connection)
                self._steps.append(last)
            last.add(data)

    def __str__(self) -> str:
        with self._lock:
            steps = [
                (step.connection, str(step)) if isinstance(step, _Sent) else step
                for step in self._steps
            ]
        told, last = "", 1
        for connection, step in steps:
            told += (
                f"{'; ' * bool(told)}{f'(connection {connection}) ' * (connection != last)}{step}"
            )
            last = connection
        return told or "saw no connection"


class Peer:
    """One accepted connection, as a script sees it: the `number`th of its server."""

    def __init__(self, server: FaultServer, sock: socket.socket, number: int) -> None:
        self.server = server
        self.sock = sock
        self.number = number

    def inside(self, sock: socket.socket) -> Peer:
        """The same connection within a tunnel."""
        return Peer(self.server, sock, self.number)

    def read_request(self) -> tuple[bytes, bytes]:
        """Head and body of a request that has a Content-Length.

        ConnectionAbortedError where the client closes instead of asking.
        """
        data = bytearray(self._recv())
        if not data:
            raise ConnectionAbortedError("the client had nothing more to ask")
        while b"\r\n\r\n" not in data:
            data += self._recv_more()
        request_head, _, body = data.partition(b"\r\n\r\n")
        length = 0
        for line in request_head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        while len(body) < length:
            body += self._recv_more()
        self._tell(f"read a request of {len(request_head) + 4 + len(body):,} bytes")
        return bytes(request_head), bytes(body)

    def answer(self, *segments: bytes) -> None:
        """Read the request, then send each segment at once, as one TCP segment where it fits."""
        self.read_request()
        for segment in segments:
            self.send(segment)

    def send(self, data: bytes) -> None:
        self.server.transcript.sent(self.number, data)
        self.sock.sendall(data)

    def wait_for_event(self) -> None:
        """Go on only when the check has got one more event out of the client: see
        `FaultServer.saw_event`.
        """
        if not self.server.seen.acquire(timeout=self.server.patience):
            raise Unexpected(
                "each event to be out before the next byte is sent",
                "the client did not give out the event that was sent",
            )

    def send_for_ever(self, data: bytes, every: float = 0.0) -> None:
        """Send the same at that pace, in seconds, until the client closes."""
        self.send(data)
        self._tell("sent the same again and again")
        end = monotonic() + self.server.patience
        with suppress(ConnectionError):
            while not (every and self.is_closed_within(every)):
                self.sock.sendall(data)
                if monotonic() > end:
                    raise _not_closed()

    def wait_until_closed(self) -> None:
        """Say nothing more until the client has closed."""
        self._tell("waited for the client to close")
        if not self.is_closed_within(self.server.patience):
            raise _not_closed()

    def is_closed_within(self, seconds: float) -> bool:
        """Wait that long for the client to close."""
        self.sock.settimeout(seconds)
        try:
            while self._recv():
                pass
        except TimeoutError:
            return False
        except (ConnectionError, ssl.SSLError):
            return True
        finally:
            self.sock.settimeout(self.server.patience)
        return True

    def read_until_closed(self) -> int:
        """Read until the client closes, and say how many bytes came."""
        count = 0
        with suppress(ConnectionError):
            while data := self._recv():
                count += len(data)
        return count

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        self._tell("reset the connection")
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def _recv(self) -> bytes:
        return self.sock.recv(65536)

    def _recv_more(self) -> bytes:
        if not (data := self._recv()):
            raise Unexpected("a whole request", "the client closed in the middle of it")
        return data

    def _tell(self, step: str) -> None:
        self.server.transcript.add(self.number, step)


def _not_closed() -> Unexpected:
    return Unexpected(
        "the connection to be closed as soon as it is left",
        "the client did not close its connection",
    )


Script = Callable[[Peer], None]


class FaultServer:
    """Runs `script` for each connection while its `with` block lasts.

    It waits for a client for `patience` seconds.
    """

    def __init__(
        self,
        script: Script,
        *,
        ssl_context: ssl.SSLContext | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self._script = script
        self._ssl_context = ssl_context
        self._threads: list[threading.Thread] = []
        self._failures: queue.SimpleQueue[BaseException] = queue.SimpleQueue()
        self.patience = patience
        self.seen = threading.Semaphore(0)
        self.transcript = Transcript()
        self.connections = 0
        self._is_stopping = False

    def saw_event(self) -> None:
        """Tell scripts that wait for it that an event came out of the client."""
        self.seen.release()

    def is_busy(self) -> bool:
        """Whether a script has not come to its end yet."""
        return any(thread.is_alive() for thread in self._threads)

    @property
    def url(self) -> str:
        return f"{'http' if self._ssl_context is None else 'https'}://localhost:{self.port}/v1"

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port: int = self._listener.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self.stop_listening()
        for thread in self._threads:
            thread.join(self.patience)
        if kind is None:
            self.raise_failure()

    def stop_listening(self) -> None:
        """Take no more connections. May repeat."""
        if not self._is_stopping:
            self._is_stopping = True
            with suppress(OSError):
                socket.create_connection(
                    ("127.0.0.1", self.port), self.patience
                ).close()  # wakes accept() on every system
            self._accepting.join(self.patience)
            self._listener.close()

    def raise_failure(self) -> None:
        """Raise what went wrong in the scripts, if anything did."""
        if not self._failures.empty():
            raise self._failures.get()
        if self.is_busy():
            raise _not_closed()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                if self._is_stopping:
                    sock.close()
                    return
                self.connections += 1
                thread = threading.Thread(
                    target=self._serve, args=(sock, self.connections), daemon=True
                )
                self._threads.append(thread)
                thread.start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        try:
            sock.settimeout(self.patience)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._ssl_context is not None:
                try:
                    sock = self._ssl_context.wrap_socket(sock, server_side=True)
                except OSError:  # the client did not like the certificate, and said so
                    self.transcript.add(number, "did not finish its TLS handshake")
                    return
            try:
                self._script(Peer(self, sock, number))
                if sock.fileno() >= 0:  # else the script has closed it
                    self.transcript.add(number, "closed")
            except ConnectionError:  # a client may leave when it has what it wants
                self.transcript.add(number, "saw that the client had closed")
        except Exception as failure:  # noqa: BLE001 - raised where the server's block ends
            self.transcript.add(
                number,
                f"gave up, as {failure.came if isinstance(failure, Unexpected) else repr(failure)}",
            )
            self._failures.put(failure)
        finally:
            sock.close()


@contextmanager
def nobody_accepts(patience: float = PATIENCE) -> Generator[str, None, None]:
    """The address of a server to which connecting takes for ever; `patience` seconds, to be exact."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as stack:
        for _ in range(4):  # when the backlog is full, further SYNs are dropped
            full = stack.enter_context(socket.socket())
            full.setblocking(False)
            full.connect_ex(listener.getsockname())
        letting_go = threading.Timer(patience, listener.close)
        letting_go.daemon = True
        letting_go.start()
        stack.callback(letting_go.cancel)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
