"""A server on loopback that runs a script on each connection.

1. A script is called with a `Peer` for each connection, in a thread of its own. It needs no event
   loop.
2. Nothing here sleeps. A script waits for the client, at most for the server's timeout. Then the
   server closes the connection, so that a client without a deadline does not hang.
3. A `Transcript` keeps what the scripts do, shortened, for the message of a failed check.
4. The end of the server's block waits for the scripts, and raises what went wrong in them.
"""

from __future__ import annotations

import queue
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, contextmanager, suppress
from time import monotonic
from typing import Self

from ._expect import Unexpected
from ._transcript import Transcript

TIMEOUT = 10.0  # seconds after which a waiting check has failed

Headers = Iterable[tuple[str, str]]
EVENT_STREAM = (("Content-Type", "text/event-stream"),)
CHUNKED = (*EVENT_STREAM, ("Transfer-Encoding", "chunked"))


def head(status_code: int = 200, headers: Headers = CHUNKED) -> bytes:
    """Return the head of a response. Its reason is empty, as HTTP allows."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {status_code} \r\n{fields}\r\n".encode("latin-1")


def chunk(data: bytes) -> bytes:
    """Return one chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


class Peer:
    """One accepted connection, as a script sees it. `number` counts the server's connections."""

    def __init__(self, server: FaultServer, sock: socket.socket, number: int) -> None:
        self.server = server
        self.sock = sock
        self.number = number

    def inside(self, sock: socket.socket) -> Peer:
        """Return the same connection inside a tunnel."""
        return Peer(self.server, sock, self.number)

    def read_request(self) -> tuple[bytes, bytes]:
        """Read a request. Returns its head, and its body without the framing of chunks.

        Raises:
            ConnectionAbortedError: The client closed before it sent a request.
        """
        import h11

        http = h11.Connection(h11.SERVER)
        received, body = bytearray(), bytearray()
        while not isinstance(event := http.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                body += event.data
            elif event is h11.NEED_DATA:
                data = self._recv_more() if received else self._recv()
                if not data:
                    raise ConnectionAbortedError("the client sent no further request")
                http.receive_data(data)
                received += data
        request_head, _, _ = received.partition(b"\r\n\r\n")
        self._note(f"read a request of {len(received):,} bytes")
        return bytes(request_head), bytes(body)

    def answer(self, *segments: bytes) -> None:
        """Read the request, then send each segment with one call."""
        self.read_request()
        for segment in segments:
            self.send(segment)

    def send(self, data: bytes) -> None:
        self.server.transcript.sent(self.number, data)
        self.sock.sendall(data)

    def wait_for_event(self) -> None:
        """Wait until the check has one more event from the client: see `FaultServer.saw_event`."""
        if not self.server.seen.acquire(timeout=self.server.timeout):
            raise Unexpected(
                "each event to be out before the next byte is sent",
                "the client did not yield the event that was sent",
            )

    def send_for_ever(self, data: bytes, every: float = 0.0) -> None:
        """Send the same, every so many seconds, until the client closes."""
        self.send(data)
        self._note("sent the same again and again")
        end = monotonic() + self.server.timeout
        with suppress(ConnectionError):
            while not (every and self.is_closed_within(every)):
                self.sock.sendall(data)
                if monotonic() > end:
                    raise _not_closed()

    def wait_until_closed(self) -> None:
        """Send nothing more until the client has closed."""
        self._note("waited for the client to close")
        if not self.is_closed_within(self.server.timeout):
            raise _not_closed()

    def is_closed_within(self, seconds: float) -> bool:
        """Wait for the client to close. Return whether it has."""
        self.sock.settimeout(seconds)
        try:
            while self._recv():
                pass
        except TimeoutError:
            return False
        except (ConnectionError, ssl.SSLError):
            return True
        finally:
            self.sock.settimeout(self.server.timeout)
        return True

    def read_until_closed(self) -> int:
        """Read until the client closes. Return the number of bytes."""
        count = 0
        with suppress(ConnectionError):
            while data := self._recv():
                count += len(data)
        return count

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        self._note("reset the connection")
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def _recv(self) -> bytes:
        return self.sock.recv(65536)

    def _recv_more(self) -> bytes:
        if not (data := self._recv()):
            raise Unexpected("a whole request", "the client closed in the middle of it")
        return data

    def _note(self, step: str) -> None:
        self.server.transcript.add(self.number, step)


def _not_closed() -> Unexpected:
    return Unexpected(
        "the connection to be closed as soon as the stream is left",
        "the client did not close its connection",
    )


Script = Callable[[Peer], None]


class FaultServer:
    """Run `script` on each connection until the end of the `with` block.

    A script waits for its client for `timeout` seconds.
    """

    def __init__(
        self,
        script: Script,
        *,
        ssl_context: ssl.SSLContext | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self._script = script
        self._ssl_context = ssl_context
        self._threads: list[threading.Thread] = []
        self._failures: queue.SimpleQueue[BaseException] = queue.SimpleQueue()
        self.timeout = timeout
        self.seen = threading.Semaphore(0)
        self.transcript = Transcript()
        self.connections = 0
        self._is_stopping = False

    def saw_event(self) -> None:
        """Notify the scripts that an event came out of the client."""
        self.seen.release()

    def is_busy(self) -> bool:
        """Return whether a script still runs."""
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
            thread.join(self.timeout)
        if kind is None:
            self.raise_failure()

    def stop_listening(self) -> None:
        """Accept no more connections. May be called again."""
        if not self._is_stopping:
            self._is_stopping = True
            with suppress(OSError):
                socket.create_connection(
                    ("127.0.0.1", self.port), self.timeout
                ).close()  # wakes accept() on every system
            self._accepting.join(self.timeout)
            self._listener.close()

    def raise_failure(self) -> None:
        """Raise what went wrong in a script, if anything did."""
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
            sock.settimeout(self.timeout)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._ssl_context is not None:
                try:
                    sock = self._ssl_context.wrap_socket(sock, server_side=True)
                except OSError:  # the client refused the certificate
                    self.transcript.add(number, "did not finish its TLS handshake")
                    return
            try:
                self._script(Peer(self, sock, number))
                if sock.fileno() >= 0:  # else the script has closed it
                    self.transcript.add(number, "closed")
            except ConnectionError:  # a client may close when it has the whole answer
                self.transcript.add(number, "saw that the client had closed")
        except Exception as failure:  # noqa: BLE001 - raised where the server's block ends
            self.transcript.add(
                number,
                f"gave up: {failure.seen if isinstance(failure, Unexpected) else repr(failure)}",
            )
            self._failures.put(failure)
        finally:
            sock.close()


@contextmanager
def nobody_accepts(timeout: float = TIMEOUT) -> Generator[str, None, None]:
    """Give the URL of a server to which connecting hangs, for `timeout` seconds."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as stack:
        for _ in range(4):  # when the backlog is full, further SYNs are dropped
            full = stack.enter_context(socket.socket())
            full.setblocking(False)
            full.connect_ex(listener.getsockname())
        closing = threading.Timer(timeout, listener.close)
        closing.daemon = True
        closing.start()
        stack.callback(closing.cancel)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
