"""The three SDKs of docs/embed.md, as they stand there, against the faults that every transport is
tested with.
"""

from __future__ import annotations

import asyncio
import select
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from typing import Any

import pytest

from moondream_transports import Client, UrllibTransport
from moondream_transports.conformance._certificates import client_tls, server_tls
from moondream_transports.conformance._fault_cases import FAULTS, is_right
from moondream_transports.conformance._fault_server import (
    LAST_CHUNK,
    TIMEOUT,
    FaultServer,
    Peer,
    chunk,
    head,
    nobody_accepts,
)
from moondream_transports.conformance._faults import (
    CLOSE_DELIMITED,
    DELTAS,
    EVENTS,
    F1,
    LARGE,
    WHOLE_BODY,
    WORDS,
    HTTPFault,
    answers,
    sized,
    wait,
)
from moondream_transports.conformance._secrets import KEY
from sansio_moondream import (
    APIError,
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    Endpoint,
    Event,
    FirstEventTimeout,
    IncompleteStream,
    MoondreamError,
    QueryResult,
    RemoteProtocolError,
    Request,
    TLSError,
)
from tests.guides import ROOT, write_files
from tests.helpers import END, QUERY, TRACES, Trace, delta

from .adapters import assert_no_key

SDKS = ("moon_http", "moon_socket", "moon_asyncio")
each_sdk = pytest.mark.parametrize("sdk", SDKS)
TEXT = "".join(WORDS)

CASES = [
    fault
    for fault in FAULTS
    if fault.limits is None  # the SDKs leave those of the core as they are
    # The SDKs limit each wait, but not the whole.
    and not ("comments" in fault.name and fault.error)
    # The server wants to send its last byte, and the SDKs close when the answer is whole.
    and "in TCP segments" not in fault.name
]

# What the guide says of libraries, and is not mended there.
LIMITS_OF_LIBRARIES: dict[tuple[str, str], type[MoondreamError] | None] = {
    (
        "5: server closes in the middle of the status line",
        "moon_http",
    ): RemoteProtocolError,  # status 20, it says
    (
        "5: server closes in the middle of the head",
        "moon_http",
    ): RemoteProtocolError,  # text/ev, it says
    ("31: server sends 100 and 103 before the head", "moon_http"): ConnectionLost,
    ("31: server sends 200 header fields", "moon_http"): RemoteProtocolError,
    (
        "34: server sends a space before the colon of Content-Length",
        "moon_http",
    ): None,  # so it has no length, and is read to its end
}


@pytest.fixture(scope="module", autouse=True)
def modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The files of the guide can be imported."""
    folder = tmp_path_factory.mktemp("embed")
    names = [path.stem for path in write_files(ROOT / "docs" / "embed.md", folder)]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield
    for name in names:
        sys.modules.pop(name, None)


def exchange(
    sdk: str,
    url: str,
    request: Request[Any] = QUERY,
    saw_event: Callable[[], object] = lambda: None,
    **options: Any,
) -> tuple[list[Event], Any]:
    """All events, and the result or the error behind them."""
    ask: Any = import_module(sdk).ask
    endpoint = Endpoint(url, api_key=KEY)
    events: list[Event] = []

    def note(event: Event) -> None:
        events.append(event)
        saw_event()

    async def asynchronously() -> Any:
        async with ask(request, endpoint, **options) as answer:
            async for event in answer:
                note(event)
            return await answer.result()

    def synchronously() -> Any:
        with ask(request, endpoint, **options) as answer:
            for event in answer:
                note(event)
            return answer.result()

    try:
        return events, asyncio.run(asynchronously()) if sdk == "moon_asyncio" else synchronously()
    except MoondreamError as error:
        assert_no_key(error, repr(events))
        return events, error


@each_sdk
class TestTheSameAsEveryTransport:
    @pytest.mark.parametrize("fault", CASES, ids=[fault.id for fault in CASES])
    def test_fault(self, fault: HTTPFault, sdk: str) -> None:
        if (fault.id, sdk) in LIMITS_OF_LIBRARIES:
            error = LIMITS_OF_LIBRARIES[fault.id, sdk]
            fault = replace(fault, error=error, about={}, events=0 if error else len(EVENTS))
        with FaultServer(fault.script) as server:
            request = fault.request
            timeout = fault.timeouts.idle and max(fault.timeouts.idle, 1)  # for connecting, too
            events, outcome = exchange(sdk, server.url, request, server.saw_event, timeout=timeout)
        assert is_right(fault, events, outcome), (events, outcome)
        assert server.connections == 1

    @pytest.mark.parametrize("trace", TRACES, ids=[trace.name for trace in TRACES])
    def test_the_captured_responses(self, trace: Trace, sdk: str) -> None:
        """To the last field: metrics, request id, and the words of an error of the server."""
        with FaultServer(answers(*trace.raw)) as server:
            events, outcome = exchange(sdk, server.url, trace.request)
            with Client(UrllibTransport(), Endpoint(server.url)).stream(trace.request) as stream:
                expected: list[Event] = []
                try:
                    expected.extend(stream)
                    whole: Any = stream.result()
                except MoondreamError as error:
                    whole = error
        assert events == expected
        if isinstance(whole, MoondreamError):
            assert (type(outcome), outcome.partial, outcome.request_id) == (
                type(whole),
                whole.partial,
                whole.request_id,
            )
            assert not isinstance(whole, APIError) or str(outcome) == str(whole)
        else:
            assert outcome == whole


@each_sdk
def test_a_server_that_does_not_read(sdk: str) -> None:
    """Sending has a deadline too, and the headers, key included, are in none of the frames that an
    error remembers.
    """

    def script(peer: Peer) -> None:
        has_given_up.wait(TIMEOUT)

    has_given_up = threading.Event()
    with FaultServer(script) as server:
        events, outcome = exchange(sdk, server.url, LARGE, timeout=1)
        has_given_up.set()
    assert (events, type(outcome), type(outcome.__cause__)) == ([], FirstEventTimeout, TimeoutError)


@each_sdk
class TestConnecting:
    def test_refused(self, sdk: str) -> None:
        with FaultServer(answers()) as server:
            pass  # and now nobody listens there
        assert type(exchange(sdk, server.url)[1]) is ConnectError

    def test_a_host_that_is_no_name(self, sdk: str) -> None:
        assert type(exchange(sdk, f"http://{'x' * 64}.localhost/v1")[1]) is ConnectError

    def test_hangs(self, sdk: str) -> None:
        with nobody_accepts() as url:
            assert type(exchange(sdk, url, timeout=0.2)[1]) is ConnectTimeout

    @pytest.mark.parametrize("name", ["localhost", "elsewhere.test"])
    def test_a_certificate_that_is_not_trusted_or_for_another(self, sdk: str, name: str) -> None:
        trusted = client_tls() if name != "localhost" else None
        with FaultServer(answers(), ssl_context=server_tls(name)) as server:
            assert type(exchange(sdk, server.url, ssl_context=trusted)[1]) is TLSError

    def test_the_handshake_hangs(self, sdk: str) -> None:
        with FaultServer(wait) as server:
            url = server.url.replace("http:", "https:")
            assert type(exchange(sdk, url, timeout=0.2)[1]) is ConnectTimeout

    def test_the_handshake_meets_something_else(self, sdk: str) -> None:
        with FaultServer(lambda peer: peer.send(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")) as server:
            assert type(exchange(sdk, server.url.replace("http:", "https:"))[1]) is TLSError


@each_sdk
class TestTLS:
    def ends(self, sdk: str, script: Callable[[Peer], None], request: Request[Any] = QUERY) -> Any:
        """What comes after the five events."""
        with FaultServer(script, ssl_context=server_tls("localhost")) as server:
            events, outcome = exchange(
                sdk, server.url, request, server.saw_event, ssl_context=client_tls()
            )
        assert events[:5] == EVENTS
        return outcome

    def test_a_whole_answer_event_by_event(self, sdk: str) -> None:
        def script(peer: Peer) -> None:
            peer.answer(head())
            for data in DELTAS:
                peer.send(chunk(data))
                peer.wait_for_event()
            peer.send(chunk(END) + LAST_CHUNK)

        assert self.ends(sdk, script).text == TEXT

    def test_a_large_request(self, sdk: str) -> None:
        assert self.ends(sdk, answers(*F1, chunk(END), LAST_CHUNK), LARGE).text == TEXT

    def test_cut_off_inside_a_chunk(self, sdk: str) -> None:
        outcome = self.ends(sdk, answers(*F1, b"50\r\ndata: {"))
        assert (type(outcome), outcome.partial.text) == (ConnectionLost, TEXT)

    def test_a_body_that_ends_with_close_notify(self, sdk: str) -> None:
        """It ended as HTTP says it should, and yet is not whole."""
        outcome = self.ends(sdk, answers(CLOSE_DELIMITED, *DELTAS, then=say_goodbye))
        assert (type(outcome), outcome.partial.text) == (IncompleteStream, TEXT)

    def test_a_body_that_ends_without(self, sdk: str) -> None:
        outcome = self.ends(sdk, answers(CLOSE_DELIMITED, *DELTAS))
        assert (type(outcome), outcome.partial.text) == (
            ConnectionLost if sdk == "moon_socket" else IncompleteStream,
            TEXT,
        )

    @pytest.mark.parametrize(
        "length", [True, False], ids=["of a length", "until the connection closes"]
    )
    def test_a_whole_answer_that_ends_without(self, sdk: str, length: bool) -> None:
        outcome = self.ends(
            sdk, answers(sized(WHOLE_BODY) if length else CLOSE_DELIMITED + WHOLE_BODY)
        )
        assert isinstance(outcome, QueryResult)
        assert outcome.text == TEXT


def say_goodbye(peer: Peer) -> None:
    with suppress(OSError):  # the other side may close without
        peer.sock.unwrap()  # type: ignore[attr-defined] # it is an SSLSocket


@each_sdk
@pytest.mark.parametrize("taken", [0, 3])
def test_leaving_early_closes_and_loses_nothing(sdk: str, taken: int) -> None:
    def synchronously(ask: Any, endpoint: Endpoint) -> list[Event]:
        with ask(QUERY, endpoint) as answer:
            return [next(iter(answer)) for _ in range(taken)]  # each time with another iterator

    async def asynchronously(ask: Any, endpoint: Endpoint) -> list[Event]:
        async with ask(QUERY, endpoint) as answer:
            return [await anext(aiter(answer)) for _ in range(taken)]

    ask = import_module(sdk).ask
    with FaultServer(answers(*F1, then=wait)) as server:
        endpoint = Endpoint(server.url)
        events = (
            asyncio.run(asynchronously(ask, endpoint))
            if sdk == "moon_asyncio"
            else synchronously(ask, endpoint)
        )
        assert events == EVENTS[:taken]


class TestAsyncio:
    def test_cancellation_closes(self) -> None:
        ask = import_module("moon_asyncio").ask
        seen: list[Event] = []

        async def read(url: str, is_waiting: asyncio.Event) -> None:
            async with ask(QUERY, Endpoint(url)) as answer:
                async for event in answer:
                    seen.append(event)
                    if event == EVENTS[-1]:
                        is_waiting.set()

        async def main(url: str) -> None:
            is_waiting = asyncio.Event()
            task = asyncio.create_task(read(url, is_waiting))
            await is_waiting.wait()
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.to_thread(closed.wait, TIMEOUT)
            assert closed.is_set()

        def script(peer: Peer) -> None:
            peer.answer(*F1)
            peer.wait_until_closed()
            closed.set()

        closed = threading.Event()
        with FaultServer(script) as server:
            asyncio.run(main(server.url))
        assert seen == EVENTS

    @pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "TLS"])
    def test_a_slow_reader_makes_the_server_wait(self, is_tls: bool) -> None:
        """A server that sends 16 MB cannot get rid of them while the reader has taken one event."""
        ask = import_module("moon_asyncio").ask
        part = chunk(delta("x" * 1000) * 64)
        count = 16 * 1024 * 1024 // len(part)
        has_to_wait = threading.Event()

        def script(peer: Peer) -> None:
            peer.answer(head())
            for _ in range(count):
                if not has_to_wait.is_set() and not select.select([], [peer.sock], [], 0.2)[1]:
                    has_to_wait.set()
                peer.send(part)
            assert has_to_wait.is_set(), "all was read, though nobody took it"
            peer.send(chunk(END) + LAST_CHUNK)

        async def main(url: str) -> QueryResult:
            async with ask(
                QUERY, Endpoint(url), ssl_context=client_tls() if is_tls else None
            ) as answer:
                await anext(answer)
                await asyncio.to_thread(has_to_wait.wait, TIMEOUT)
                result: QueryResult = await answer.result()
                return result

        with FaultServer(script, ssl_context=server_tls("localhost") if is_tls else None) as server:
            assert len(asyncio.run(main(server.url)).text) == count * 64 * 1000


def test_a_socket_is_closed_with_close_notify() -> None:
    """As TLS wants it."""
    ends: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.answer(*F1, chunk(END), LAST_CHUNK)
        # of an SSLSocket: so it raises where it is missing
        peer.sock.suppress_ragged_eofs = False  # type: ignore[attr-defined]
        ends.append(peer.sock.recv(1))

    with FaultServer(script, ssl_context=server_tls("localhost")) as server:
        exchange("moon_socket", server.url, ssl_context=client_tls())
    assert ends == [b""]
