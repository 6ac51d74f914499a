"""Which library a transport uses, and what it does to the client of the program."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from moondream_transports import AsyncClient, AsyncHttpxTransport, Client, HttpxTransport, Timeouts
from moondream_transports.conformance._fault_server import (
    FaultServer,
    Peer,
)
from moondream_transports.conformance._faults import (
    F1,
    WHOLE_BODY,
    answers,
    sized,
    wait,
)
from sansio_moondream import (
    ConnectError,
    Endpoint,
)
from tests.helpers import END, QUERY
from tests.transports.httpx.clients import KEY, TEXT, TLS, WHOLE, Run, each_library, each_loop


# Which library, and whose client
@each_library
def test_library_is_that_of_the_client(library: Any) -> None:
    class Mine(library.Client):  # type: ignore[misc]
        pass

    with FaultServer(answers(sized(WHOLE_BODY))) as server, Mine(trust_env=False) as client:
        assert Client(HttpxTransport(client), Endpoint(url=server.url)).send(QUERY).text == TEXT
    with Mine(trust_env=False) as client, pytest.raises(ConnectError) as caught:
        Client(HttpxTransport(client), Endpoint(url=server.url)).send(QUERY)
    assert type(caught.value.__cause__) is library.ConnectError


@each_library
def test_client_of_another_kind(library: Any) -> None:
    with library.Client() as client, pytest.raises(TypeError, match="AsyncClient"):
        AsyncHttpxTransport(client)
    with pytest.raises(TypeError, match="one of httpx2 or of httpx"):
        HttpxTransport("client")  # type: ignore[arg-type]


@pytest.mark.usefixtures("patient_drain")
@each_loop
def test_own_clients_are_closed(run: Run) -> None:
    """A transport of our own keeps its connection, and closes it with its block."""

    def script(peer: Peer) -> None:
        for _ in range(2):
            peer.answer(*WHOLE)
        peer.wait_until_closed()

    with FaultServer(script) as server, HttpxTransport() as transport:
        for _ in range(2):
            assert Client(transport, Endpoint(url=server.url)).send(QUERY).text == TEXT
    assert server.connections == 1

    async def main() -> None:
        async with AsyncHttpxTransport() as transport:
            for _ in range(2):
                client = AsyncClient(transport, Endpoint(url=server.url))
                assert (await client.send(QUERY)).text == TEXT

    with FaultServer(script) as server:
        run(main)
    assert server.connections == 1


@pytest.mark.parametrize(
    ("missing", "outcome"), [("httpx2", "httpx"), ("httpx2 httpx", "sansio-moondream[httpx2]")]
)
def test_library_that_is_not_installed(missing: str, outcome: str) -> None:
    program = f"""
import sys
sys.modules.update(dict.fromkeys({missing!r}.split()))
from moondream_transports import HttpxTransport
try:
    print(HttpxTransport()._clients.library.__name__)
except ModuleNotFoundError as error:
    print(error)
"""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True
    )
    assert outcome in ran.stdout, ran.stderr


@pytest.mark.usefixtures("patient_drain")
@each_library
def test_client_is_left_as_it_is(library: Any) -> None:
    """And nothing of it is sent: no header, cookie, parameter, auth."""
    heads: list[bytes] = []

    def script(peer: Peer) -> None:
        for _ in range(2):
            heads.append(peer.read_request()[0])
            for segment in WHOLE:
                peer.send(segment)
        peer.wait_until_closed()

    with FaultServer(script) as server:
        hooked: list[str] = []
        client = library.Client(
            trust_env=False,
            verify=TLS,
            headers={"X-Mine": "1"},
            cookies={"mine": "1"},
            params={"mine": "1"},
            auth=("mine", "1"),
            follow_redirects=True,
            event_hooks={"request": [lambda request: hooked.append(request.method)]},
        )
        transport = HttpxTransport(client)
        with client, transport:
            assert Client(transport, Endpoint(url=server.url, api_key=KEY)).send(QUERY).text == TEXT
            assert hooked == ["POST"]
            assert not client.is_closed
            transport.close()
            assert client.post(server.url, content=b"{}").status_code == 200
        assert server.connections == 1
    assert b"mine" not in heads[0].lower()
    sent = {
        name.lower(): value
        for name, _, value in (line.partition(": ") for line in heads[0].decode().split("\r\n")[1:])
    }
    asked = QUERY.to_http(Endpoint(url=server.url, api_key=KEY), stream=False)
    assert {name.lower(): value for name, value in asked.headers}.items() <= sent.items()
    assert sent.keys() == {"host", "content-length"} | {name.lower() for name, _ in asked.headers}
    assert b"x-mine" in heads[1].lower()


@each_library
def test_request_body_is_released(library: Any) -> None:
    with (
        FaultServer(answers(*F1, then=wait)) as server,
        library.Client(trust_env=False, verify=TLS) as client,
    ):
        stream = HttpxTransport(client).send(QUERY.to_http(Endpoint(url=server.url)), Timeouts())
        assert b"".join(stream._response.request.stream) == b""
        stream.close()
        stream.close()


@each_library
def test_no_second_answer_without_kept_connections(library: Any) -> None:
    """As docs/how-to/transports.md advises for a server that is not trusted."""
    stray = sized(b'data: {"chunk": "stray"}\n\n' + END)

    def script(peer: Peer) -> None:
        peer.answer(b"".join(WHOLE) + stray)

    limits = library.Limits(max_keepalive_connections=0)
    with (
        FaultServer(script) as server,
        library.Client(trust_env=False, verify=TLS, limits=limits) as session,
    ):
        client = Client(HttpxTransport(session), Endpoint(url=server.url))
        assert [client.send(QUERY).text for _ in range(2)] == [TEXT, TEXT]
        assert server.connections == 2
