"""`map_exception`: exceptions that HTTP libraries raise for real."""

from __future__ import annotations

import asyncio
import errno
import http.client
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable

import pytest

from moondream_transports import Timeouts, map_exception
from moondream_transports.conformance._certificates import server_tls
from moondream_transports.conformance._fault_server import (
    FaultServer,
    Peer,
    chunk,
    head,
    nobody_accepts,
)
from moondream_transports.conformance._faults import answers, sized, wait
from moondream_transports.conformance._secrets import KEY
from sansio_moondream import (
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    MoondreamError,
    RemoteProtocolError,
    TLSError,
)

from .adapters import assert_no_key

requests = pytest.importorskip("requests")
urllib3 = pytest.importorskip("urllib3")

HEADERS = {"X-Moondream-Auth": KEY}
HTTP_CLIENT_ERRORS = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    OSError,
    http.client.HTTPException,
)


def by_requests(url: str, seconds: float = 5) -> bytes:
    with requests.Session() as session:
        session.trust_env = False
        answer = session.post(url, data=b"{}", headers=HEADERS, timeout=seconds, stream=True)
        return b"".join(answer.iter_content(100))


def by_urllib3(url: str, seconds: float = 5) -> bytes:
    with urllib3.PoolManager() as pool:
        answer = pool.request(
            "POST",
            url,
            body=b"{}",
            headers=HEADERS,
            timeout=seconds,
            retries=False,
            preload_content=False,
        )
        return b"".join(answer.stream(100))


def by_http_client(url: str, seconds: float = 5) -> bytes:
    scheme, _, rest = url.partition("://")
    kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
    connection = kind(rest.partition("/")[0], timeout=seconds)
    try:
        connection.request("POST", "/v1", b"{}", HEADERS)
        return connection.getresponse().read()
    finally:
        connection.close()


Ask = Callable[..., bytes]
each_client = pytest.mark.parametrize("ask", [by_requests, by_urllib3, by_http_client])


def mapped(ask: Ask, url: str, seconds: float = 5) -> Exception:
    """What becomes of the error that the client raises."""
    try:
        ask(url, seconds)
    except HTTP_CLIENT_ERRORS as error:
        found = map_exception(error)
        assert_no_key(found)
        return found
    raise AssertionError("no error came")


@each_client
@pytest.mark.parametrize(
    ("script", "kind", "said"),
    [
        (answers(), ConnectionLost, "closed|aborted|Disconnected"),
        (answers(sized(b"abc", length=10)), ConnectionLost, "3 bytes read"),
        (answers(head(), chunk(b"abc"), b"5"), ConnectionLost, "read|ended"),
        (answers(head(), chunk(b"abc"), b"\r\n1\r\n"), ConnectionLost, "Length|IncompleteRead"),
        (answers(b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n"), RemoteProtocolError, "BadStatusLine"),
        (lambda peer: (peer.read_request(), peer.reset()), ConnectionLost, "reset"),
    ],
    ids=["closed", "short", "incomplete chunk", "broken off", "banner", "reset"],
)
def test_faults(
    ask: Ask, script: Callable[[Peer], None], kind: type[MoondreamError], said: str
) -> None:
    with FaultServer(script) as server:
        found = mapped(ask, server.url)
    assert type(found) is kind
    assert any(word in str(found) for word in said.split("|")), found
    assert len(str(found)) < 300


@each_client
def test_refused(ask: Ask) -> None:
    with FaultServer(answers()) as server:
        url = server.url
    found = mapped(ask, url)
    assert type(found) is ConnectError
    assert "refused" in str(found)
    assert found.__cause__ is not None


@each_client
def test_name_does_not_resolve(ask: Ask) -> None:
    assert type(mapped(ask, "http://moondream.invalid/v1")) is ConnectError


@each_client
def test_not_trusted(ask: Ask) -> None:
    with FaultServer(answers(), ssl_context=server_tls("localhost")) as server:
        found = mapped(ask, server.url)
    assert type(found) is TLSError
    assert "certificate" in str(found)


@each_client
def test_silence(ask: Ask) -> None:
    with FaultServer(answers(then=wait)) as server:
        found = mapped(ask, server.url, 0.2)
    assert type(found) is TimeoutError  # the client knows which of its deadlines that was


@pytest.mark.parametrize("ask", [by_requests, by_urllib3])
def test_nobody_accepts(ask: Ask) -> None:
    with nobody_accepts() as url:
        assert type(mapped(ask, url, 0.2)) is ConnectTimeout


def test_caller_knows_whether_the_connection_stood() -> None:
    """http.client has one class for a connection that is not made and one that breaks."""
    timeouts = Timeouts(connect=3)
    before = map_exception(TimeoutError(), connected=False, timeouts=timeouts)
    assert (type(before), str(before)) == (
        ConnectTimeout,
        "no connection stood within 3 seconds (Timeouts.connect)",
    )
    for known in (None, Timeouts(connect=None)):
        found = map_exception(TimeoutError(), connected=False, timeouts=known)
        assert "in time" in str(found)
    assert type(map_exception(TimeoutError(), connected=True)) is TimeoutError
    for error, early, late in [
        (ConnectionResetError("reset"), ConnectError, ConnectionLost),
        (ssl.SSLError("bad record"), TLSError, ConnectionLost),
        (ssl.SSLEOFError("the end"), TLSError, ConnectionLost),
        (socket.gaierror(-2, "no such name"), ConnectError, ConnectionLost),
        (http.client.BadStatusLine("?"), ConnectError, RemoteProtocolError),
    ]:
        assert type(map_exception(error, connected=False)) is early
        assert type(map_exception(error, connected=True)) is late


def test_timeouts_of_the_system_are_errors_of_the_connection() -> None:
    """ETIMEDOUT is a TimeoutError, too, but no deadline of ours passed."""
    httpx = pytest.importorskip("httpx")
    of_the_system = OSError(errno.ETIMEDOUT, "Connection timed out")
    from_httpx = [httpx.ConnectTimeout("timed out"), httpx.ReadTimeout("timed out")]
    for error in from_httpx:
        error.__cause__ = of_the_system
    for error in (of_the_system, *from_httpx):
        alone = ConnectError if isinstance(error, httpx.ConnectTimeout) else ConnectionLost
        for connected, expected in ((False, ConnectError), (True, ConnectionLost), (None, alone)):
            found = map_exception(error, connected=connected, timeouts=Timeouts(connect=300))
            assert type(found) is expected
            assert "timed out" in str(found)


def test_what_says_nothing_is_a_connection_that_stood() -> None:
    """So that nothing is sent twice."""

    class Strange(Exception):
        pass

    assert type(map_exception(Strange("strange"))) is ConnectionLost
    assert type(map_exception(Strange("strange"), connected=False)) is ConnectError


def test_our_own_errors_stay() -> None:
    ours = TLSError("h2 was chosen")
    wrapped = OSError("could not write")
    wrapped.__cause__ = ours
    assert map_exception(ours) is ours
    assert map_exception(wrapped) is ours


def test_broken_off_by_h2o_where_aiohttp_has_no_parser_in_c() -> None:
    errors = pytest.importorskip("aiohttp.http_exceptions")
    for line, kind in [("\r", ConnectionLost), ("zz\r", RemoteProtocolError)]:
        assert type(map_exception(errors.TransferEncodingError(line))) is kind


def test_groups_of_exceptions() -> None:
    failed = OSError("All connection attempts failed")
    failed.__cause__ = ExceptionGroup("each address", [ConnectionRefusedError(111, "refused")])
    found = map_exception(failed)
    assert type(found) is ConnectError
    assert "refused" in str(found)


def test_frames_are_dropped() -> None:
    """Their locals hold what was sent."""

    def fail() -> None:
        key = KEY
        try:
            raise ConnectionResetError(f"reset after {len(key)}")
        except ConnectionResetError as error:
            raise OSError("broken") from error

    with pytest.raises(OSError, match="broken") as caught:
        fail()
    found = map_exception(caught.value)
    assert_no_key(found)
    assert found.__cause__ is not None
    assert found.__cause__.__traceback__ is None


def test_what_quotes_a_secret_is_not_repeated() -> None:
    aiohttp = pytest.importorskip("aiohttp")
    httpx = pytest.importorskip("httpx")
    for error in (
        requests.exceptions.InvalidHeader(f"invalid value {KEY!r}"),
        requests.exceptions.InvalidProxyURL(f"http://user:{KEY}@proxy"),
        httpx.LocalProtocolError(f"Illegal header value {KEY}"),
        aiohttp.ClientConnectionError(f"Failed to send, BasicAuth({KEY})"),
    ):
        found = map_exception(error)
        assert KEY not in str(found)
        assert type(error).__name__ in str(found)


def test_anyio() -> None:
    anyio = pytest.importorskip("anyio")

    async def main() -> None:
        with FaultServer(answers()) as server:
            port = server.port
            async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                await stream.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                with pytest.raises(anyio.EndOfStream) as ended:
                    await stream.receive()
        assert type(map_exception(ended.value)) is ConnectionLost
        with pytest.raises(OSError, match="attempts failed") as refused:
            await anyio.connect_tcp("127.0.0.1", port)
        assert type(map_exception(refused.value)) is ConnectError

    asyncio.run(main())


def test_it_imports_no_library() -> None:
    program = """
import sys
from moondream_transports import map_exception
print(map_exception(OSError("broken")))
print(*{"httpx", "httpx2", "aiohttp", "requests", "urllib3", "anyio"} & sys.modules.keys())
"""
    command = [sys.executable, "-W", "error", "-c", program]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout == "the connection broke: OSError: broken\n\n"
