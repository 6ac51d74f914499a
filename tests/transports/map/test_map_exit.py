"""A map that a program leaves open does not hold the end of the interpreter."""

from __future__ import annotations

import subprocess
import sys
import threading

from moondream_transports.conformance._fault_server import FaultServer, Peer
from moondream_transports.conformance._faults import WHOLE_BODY, sized

# A global variable is finalized at the end, when the threads of the map have stopped.
PROGRAM = """
import sys
from moondream_transports import Client, UrllibTransport
from sansio_moondream import Endpoint, QueryRequest

client = Client(UrllibTransport(), Endpoint(sys.argv[1]))
requests = [QueryRequest(question=question) for question in ("first", "second", "third")]
outcomes = client.map(requests, concurrent=2)
print(next(outcomes).result is not None)
input()
"""


def test_a_map_that_is_left_open() -> None:
    waiting = threading.Semaphore(0)

    def answer_the_first(peer: Peer) -> None:
        _, body = peer.read_request()
        if b"first" in body:
            peer.send(sized(WHOLE_BODY, connection="close"))  # the third needs another
        else:
            waiting.release()
            peer.read_until_closed()

    with FaultServer(answer_the_first) as server:
        command = [sys.executable, "-c", PROGRAM, server.url]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as program:
            try:
                for _ in range(2):
                    assert waiting.acquire(timeout=30)
                output, errors = program.communicate("\n", timeout=30)
            finally:
                program.kill()
    assert (output, errors, program.returncode) == ("True\n", "", 0)
