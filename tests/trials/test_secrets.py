"""Cases 1 to 3 of "What broke in trials": where the key went, and where it was shown."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
from pathlib import Path
from traceback import walk_tb
from types import FrameType
from typing import Any

import pytest

from moondream_transports import (
    AiohttpTransport,
    AnyioTransport,
    AsyncRecordingTransport,
    RecordingTransport,
    Timeouts,
    UrllibTransport,
    sdk,
)
from moondream_transports.conformance._fault_server import FaultServer, Peer, chunk, head
from moondream_transports.conformance._secrets import leaks
from sansio_moondream import (
    EncodedImage,
    Endpoint,
    HTTPRequest,
    MoondreamError,
)
from sansio_moondream.recording import RecordingHeader
from tests.guides import PAGES
from tests.helpers import CHAT, QUERY, record
from tests.transports.adapters import Adapter
from tests.trials.adapters import NAMED, each_of
from tests.trials.helpers import KEY, ROOT, answer, environment_of, found_in

SOCKS = f"socks5://user:{KEY}@proxy:1080"
PAYLOAD = base64.b64encode(b"no picture " * 9).decode()
DOCS = "\n".join(page.read_text() for page in PAGES)
TESTS = str(ROOT / "tests")


class TestProxies:
    @each_of("urllib", "httpx2", "httpx2-asyncio", "aiohttp", "anyio-asyncio")
    def test_the_key_does_not_go_to_a_proxy_of_the_environment(
        self, adapter: Adapter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Case 1. A loopback endpoint needs no proxy, and a proxy would read the key."""
        with FaultServer(answer) as server, FaultServer(answer) as proxy:
            address = f"http://localhost:{proxy.port}"

            async def main() -> str:
                endpoint = Endpoint(server.url, api_key=KEY)
                async with (
                    adapter.own() as transport,
                    adapter.client(transport, endpoint).stream(QUERY) as stream,
                ):
                    return (await stream.result()).text

            with environment_of(monkeypatch, HTTP_PROXY=address, http_proxy=address):
                assert adapter.run(main) == "A moon"
            assert (server.connections, proxy.connections) == (1, 0)

    def test_the_proxies_argument_wins_over_no_proxy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Case 1. What the caller passes is the caller's word."""
        adapter = NAMED["urllib"]

        async def main() -> None:
            with UrllibTransport(proxies={"http": f"http://localhost:{proxy.port}"}) as transport:
                async with adapter.client(transport, Endpoint(server.url)).stream(QUERY) as stream:
                    await stream.result()

        with FaultServer(answer) as server, FaultServer(answer) as proxy:
            with environment_of(monkeypatch, NO_PROXY="*", no_proxy="*"):
                adapter.run(main)
            assert (server.connections, proxy.connections) == (0, 1)

    def test_the_docs_say_what_a_client_of_the_user_does_with_the_environment(self) -> None:
        """Case 1. `trust_env` of a client that is passed in is the user's: the docs warn."""
        paragraphs = [text for text in DOCS.split("\n\n") if "trust_env=False" in text]
        assert found_in(paragraphs, "HTTP_PROXY")


class TestNetrc:
    """Case 2. An aiohttp session with `trust_env` adds what a .netrc has."""

    @pytest.fixture
    def netrc(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "netrc"
        path.write_text("machine localhost login someone password s3cret\n")
        path.chmod(0o600)
        monkeypatch.setenv("NETRC", str(path))

    @staticmethod
    def asked(request: Any, endpoint: dict[str, Any]) -> tuple[bytes, str]:
        """The head of the request as the server got it, and the text of the answer."""
        heads: list[bytes] = []

        def script(peer: Peer) -> None:
            heads.append(peer.read_request()[0])
            peer.send(head() + chunk(ANSWERS[type(request)]) + b"0\r\n\r\n")

        async def main(server: FaultServer) -> str:
            import aiohttp

            async with aiohttp.ClientSession(trust_env=True) as session:
                client = NAMED["aiohttp"].client(
                    AiohttpTransport(session), Endpoint(server.url, **endpoint)
                )
                async with client.stream(request) as stream:
                    return str((await stream.result()).text)

        with FaultServer(script) as server:
            text = NAMED["aiohttp"].run(main, server)
        return heads[0], text

    def test_a_request_has_no_password_of_a_netrc(self, netrc: None) -> None:
        sent, text = self.asked(QUERY, {})
        assert text == "A moon"
        assert b"authorization" not in sent.lower()

    def test_a_chat_with_a_key_is_sent_though_there_is_a_netrc(self, netrc: None) -> None:
        sent, text = self.asked(CHAT, {"api_key": KEY})
        assert text == "A moon"
        assert f"Authorization: Bearer {KEY}".encode() in sent


ANSWERS = {
    type(QUERY): record({"chunk": "A moon"}) + record({"completed": True}),
    type(CHAT): record(
        {"choices": [{"index": 0, "delta": {"content": "A moon"}, "finish_reason": "stop"}]}
    )
    + b"data: [DONE]\n\n",
}


def never_answers(peer: Peer) -> None:
    peer.read_request()
    peer.wait_until_closed()


class TestTracebacks:
    """Case 3. `pytest -l` and error reporters print the locals of every frame."""

    @each_of("urllib", "httpx2", "httpx2-asyncio", "aiohttp", "anyio-asyncio")
    def test_a_timed_out_wait_for_the_head_shows_no_key(self, adapter: Adapter) -> None:
        async def main(server: FaultServer) -> BaseException:
            timeouts = Timeouts(first_event=1.0)
            async with adapter.transport() as transport:
                with pytest.raises(TimeoutError) as caught:
                    await adapter.asks(transport, server.url, timeouts=timeouts).send(QUERY)
            return caught.value

        with FaultServer(never_answers) as server:
            assert leaks(adapter.run(main, server), knowing=TESTS) == []

    @each_of("httpx2-asyncio", "aiohttp", "anyio-asyncio")
    def test_a_cancelled_wait_for_the_head_shows_no_key(self, adapter: Adapter) -> None:
        async def main(server: FaultServer) -> BaseException:
            async with adapter.transport() as transport:
                with pytest.raises(TimeoutError) as caught:
                    async with asyncio.timeout(1):
                        await adapter.asks(transport, server.url).send(QUERY)
            return caught.value

        with FaultServer(never_answers) as server:
            assert leaks(adapter.run(main, server), knowing=TESTS) == []

    @each_of("urllib", "httpx2")
    def test_an_interrupted_wait_for_the_head_shows_no_key(self, adapter: Adapter) -> None:
        """As Ctrl-C does it, by another signal so that nothing else is interrupted."""

        def interrupt(number: int, frame: FrameType | None) -> None:
            raise KeyboardInterrupt

        def script(peer: Peer) -> None:
            peer.read_request()
            os.kill(os.getpid(), signal.SIGUSR1)
            peer.wait_until_closed()

        async def main(server: FaultServer) -> BaseException:
            async with adapter.transport() as transport:
                with pytest.raises(KeyboardInterrupt) as caught:
                    await adapter.asks(transport, server.url).send(QUERY)
            return caught.value

        before = signal.signal(signal.SIGUSR1, interrupt)
        try:
            with FaultServer(script) as server:
                assert leaks(adapter.run(main, server), knowing=TESTS) == []
        finally:
            signal.signal(signal.SIGUSR1, before)

    def test_a_recording_of_what_is_no_json_shows_no_key(self) -> None:
        request = HTTPRequest("POST", "http://localhost/v1/query", (("X-Api-Key", KEY),), b"what?")
        with pytest.raises(ValueError, match="not JSON") as caught:
            RecordingHeader.of(request)
        assert leaks(caught.value, knowing=TESTS) == []

    def test_a_proxy_of_the_environment_that_cannot_be_used_shows_no_password(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def main() -> BaseException:
            async with NAMED["urllib"].own() as transport:
                client = NAMED["urllib"].client(transport, Endpoint("http://moondream.test/v1"))
                with pytest.raises(MoondreamError, match="cannot be used") as caught:
                    await client.send(QUERY)
            return caught.value

        with environment_of(monkeypatch, http_proxy=f"socks5://user:{KEY}@proxy.test:1"):
            assert leaks(NAMED["urllib"].run(main), knowing=TESTS) == []

    @pytest.mark.parametrize(
        ("make", "error"),
        [
            (lambda: UrllibTransport(proxies={"http": SOCKS}), ValueError),
            (lambda: UrllibTransport(proxies={"http": 5, "https": SOCKS}), ValueError),  # type: ignore[dict-item]
            (lambda: UrllibTransport(proxies=SOCKS), TypeError),  # type: ignore[arg-type]
            (lambda: AnyioTransport(proxy=SOCKS), ValueError),
            (lambda: AnyioTransport(proxy=SOCKS.encode()), ValueError),  # type: ignore[arg-type]
            (lambda: EncodedImage(f"data:image/png;base64,{KEY}!"), ValueError),
            (lambda: EncodedImage(f"data:image/png;base64,{PAYLOAD}"), ValueError),
            (lambda: Endpoint(f"https://user:{KEY}@h/v1"), ValueError),
            (lambda: Endpoint(headers=[("X-Secret", KEY, "")]), TypeError),  # type: ignore[arg-type]
            (lambda: sdk.vl(KEY, "http://moondream.example/v1"), ValueError),
            (lambda: sdk.vl(KEY, local=True), ValueError),
            (lambda: sdk.avl(f"{KEY}\n{KEY}"), ValueError),
            (lambda: RecordingTransport(AnyioTransport(), list, secrets=[KEY]), TypeError),  # type: ignore[arg-type]
            (lambda: AsyncRecordingTransport(UrllibTransport(), list, secrets=[KEY]), TypeError),  # type: ignore[arg-type]
        ],
    )
    def test_no_frame_of_a_constructor_shows_what_it_refuses(
        self, make: Any, error: type[Exception]
    ) -> None:
        with pytest.raises(error) as caught:
            make()
        assert leaks(caught.value, knowing=TESTS) == []
        frames = [frame.f_locals for frame, _ in walk_tb(caught.value.__traceback__)][2:]
        assert not any(PAYLOAD in repr(value) for each in frames for value in each.values())

    def test_a_request_that_http_cannot_carry_by_way_of_a_proxy_shows_no_key(self) -> None:
        request = HTTPRequest(
            "POST", "http://h.test/v1", (("X-Api-Key", KEY), ("no name", "")), b""
        )
        with FaultServer(answer) as server:
            proxy = f"http://user:{KEY}@localhost:{server.port}"
            with (
                UrllibTransport(proxies={"http": proxy}) as transport,
                pytest.raises(MoondreamError, match="cannot carry") as caught,
            ):
                transport.send(request, Timeouts())
        assert leaks(caught.value, knowing=TESTS) == []

    def test_the_docs_say_that_hpack_logs_the_key_at_debug(self) -> None:
        """With `http2=True`. Where a mend keeps it out of the log, test that instead."""
        assert "hpack" in DOCS
