"""A server on loopback that does to a connection what a test's script says, segment by segment.

A script is called with a `Peer` for each connection, in a thread of its own. Nothing here sleeps: what has to wait, waits for the
client. Leaving the server's block waits for the scripts to end and raises what went wrong in them.
"""

from __future__ import annotations

import queue
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Self

PATIENCE = 10.0  # seconds after which a test that waits has failed

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


class Peer:
    """One accepted connection, as a script sees it."""

    def __init__(self, sock: socket.socket, seen: threading.Semaphore) -> None:
        self.sock = sock
        self.seen = seen

    def read_request(self) -> tuple[bytes, bytes]:
        """Head and body of a request that has a Content-Length."""
        data = bytearray()
        while b"\r\n\r\n" not in data:
            data += self._recv() or self._fail("the client closed in the middle of its request")
        request_head, _, body = data.partition(b"\r\n\r\n")
        length = 0
        for line in request_head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        while len(body) < length:
            body += self._recv() or self._fail("the client closed in the middle of its request")
        return bytes(request_head), bytes(body)

    def answer(self, *segments: bytes) -> None:
        """Read the request, then send each segment at once, as one TCP segment where it fits."""
        self.read_request()
        for segment in segments:
            self.send(segment)

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def wait_for_event(self) -> None:
        """Go on only when the test has got one more event out of the client: see `FaultServer.saw_event`."""
        assert self.seen.acquire(timeout=PATIENCE), "the client has not given out the event that was sent"

    def send_for_ever(self, data: bytes, every: float = 0.0) -> None:
        """Send the same at that pace, in seconds, until the client closes."""
        with suppress(ConnectionError):
            while True:
                self.send(data)
                if every and self.is_closed_within(every):
                    return

    def wait_until_closed(self) -> None:
        """Say nothing more until the client has closed."""
        assert self.is_closed_within(PATIENCE), "the client does not close its connection"

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
            self.sock.settimeout(PATIENCE)
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
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def _recv(self) -> bytes:
        return self.sock.recv(65536)

    def _fail(self, message: str) -> bytes:
        raise AssertionError(message)


Script = Callable[[Peer], None]


class FaultServer:
    """Runs `script` for each connection while its `with` block lasts."""

    def __init__(self, script: Script, *, ssl_context: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._ssl_context = ssl_context
        self._threads: list[threading.Thread] = []
        self._failures: queue.SimpleQueue[BaseException] = queue.SimpleQueue()
        self._seen = threading.Semaphore(0)
        self.connections = 0

    def saw_event(self) -> None:
        """Tell scripts that wait for it that an event came out of the client."""
        self._seen.release()

    def wait_until_served(self) -> None:
        """Every connection so far is closed: what a pool still holds of them, it can see to be dead."""
        for thread in self._threads[1:]:  # the first accepts
            thread.join(PATIENCE)

    @property
    def url(self) -> str:
        return f"{'http' if self._ssl_context is None else 'https'}://localhost:{self.port}/v1"

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)
        return self

    def __exit__(self, *error: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept(), which close() alone does not
        self._listener.close()
        for thread in self._threads:
            thread.join(PATIENCE)
        hanging = [thread.name for thread in self._threads if thread.is_alive()]
        if not self._failures.empty():
            raise self._failures.get()
        assert not hanging, "the client never closed its connection"

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.connections += 1
                self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        try:
            sock.settimeout(PATIENCE)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._ssl_context is not None:
                try:
                    sock = self._ssl_context.wrap_socket(sock, server_side=True)
                except OSError:  # the client did not like the certificate, and said so
                    return
            with suppress(ConnectionError):  # a client may leave when it has what it wants
                self._script(Peer(sock, self._seen))
        except Exception as failure:  # noqa: BLE001 - raised where the server's block ends
            self._failures.put(failure)
        finally:
            sock.close()


@contextmanager
def nobody_accepts() -> Iterator[str]:
    """The address of a server to which connecting takes for ever."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as stack:
        for _ in range(4):  # when the backlog is full, further SYNs are dropped
            full = stack.enter_context(socket.socket())
            full.setblocking(False)
            full.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
