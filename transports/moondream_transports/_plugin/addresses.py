"""Addresses on this machine that answer with given TCP segments, on the conformance suite's server.

1. Each connection gets one answer. The path of its request begins with the number of the answer.
   The request is ignored otherwise.
2. Segments are sent one by one, with a short pause between them and without Nagle's algorithm. The
   client's system may still join segments if the client reads slowly. It never joins HTTP chunks.
3. The end breaks off what is open: a client may keep a connection on which it never asked.

PYTEST_DONT_REWRITE: nothing here asserts, and pytest warns about a plugin that is already imported.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import ExitStack, suppress

from moondream_transports.conformance._expect import Unexpected
from moondream_transports.conformance._fault_server import FaultServer, Peer

_PAUSE, _MAX_PAUSES = 0.001, 0.2  # seconds between two segments, and in one answer in total


class Addresses:
    """Answer until closed. The server starts with the first address."""

    def __init__(self) -> None:
        self._answers: list[list[bytes]] = []
        self._server = FaultServer(self._answer)
        self._running = ExitStack()
        self._peers: list[Peer] = []  # with those whose connection is closed
        self._is_closing = False

    def add(self, segments: Iterable[bytes]) -> str:
        """Return the address that answers with these segments, at any path below it."""
        if not self._answers:
            self._running.enter_context(self._server)
        self._answers.append([*segments])
        return f"http://127.0.0.1:{self._server.port}/{len(self._answers) - 1}"

    def close(self) -> None:
        """Stop the server, and break off the open connections."""
        self._is_closing = True
        for peer in [*self._peers]:
            with suppress(OSError):
                peer.sock.shutdown(socket.SHUT_RDWR)  # wakes a thread that reads or sends
        self._running.close()

    def _answer(self, peer: Peer) -> None:
        self._peers.append(peer)
        if self._is_closing:  # `close` may not have seen this one
            return
        with suppress(OSError, Unexpected):  # the client may leave
            head, _ = peer.read_request()
            number = head.split(b"/")[1].split()[0].split(b"?")[0]
            segments = self._answers[int(number)]
            pause = min(_PAUSE, _MAX_PAUSES / max(1, len(segments)))
            for segment in segments:
                peer.send(segment)
                peer.is_closed_within(pause)
