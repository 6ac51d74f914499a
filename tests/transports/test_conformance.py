"""The conformance suite itself: it passes what is good, fails on what is broken, and says which
and why. It needs no pytest.
"""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from moondream_transports.conformance import (
    TransportFailed,
    Verdict,
    check_async_transport,
    check_transport,
)

from . import broken, broken_async
from .broken import Good
from .broken_async import AsyncGood

# A broken transport, the case that finds it, and what that says.
BROKEN: list[tuple[type[Any], str, str]] = [
    (
        broken.SwallowsErrors,
        "7: server closes inside a chunk",
        "expected 5 events, then ConnectionLost",
    ),
    (
        broken.HidesTruncation,
        "9: server closes before the end of a body with Content-Length",
        "seen 5 events, then IncompleteStream",
    ),
    (
        broken.DecodesGzip,
        "contract: read returns the body undecoded, then b''",
        "bytes of the body as they were sent",
    ),
    (
        broken.Leaks,
        "leaving: after one event, twelve times",
        "seen the client did not close its connection",
    ),
    (
        broken.IgnoresIdle,
        "11: server sends nothing more after five events",
        "expected 5 events, then IdleTimeout",
    ),
    (
        broken.IgnoresConnect,
        "3: server never accepts the connection",
        "expected ConnectTimeout seen ConnectError",
    ),
    (
        broken.HasOneTimeoutForAll,
        "contract: the connect timeout ends when the connection stands",
        "`connect` (1) ends when",
    ),
    (
        broken.NamesTheTimeout,
        "contract: read raises the builtin TimeoutError in time",
        "only the client knows which deadline it was seen IdleTimeout",
    ),
    (
        broken.LetsErrorsOfTheLibraryOut,
        "8: server resets the connection between two chunks",
        "seen 5 events, then builtins.ConnectionResetError: the library's own words",
    ),
    (
        broken.FollowsRedirects,
        "20: server redirects with 307 to another host",
        "expected the redirect not to be followed",
    ),
    (
        broken.RaisesForStatus,
        "17: server answers 404 with a JSON object",
        "then NotFoundError: the server answered 404: it is not there",
    ),
    (
        broken.WaitsForMore,
        "wire: each event is out before the next byte is sent",
        "did not yield the event that was sent",
    ),
    (
        broken.LosesWhatCameBefore,
        "7: server closes between two chunks",
        "seen no event, then ConnectionLost",
    ),
    (
        broken.SendsAgain,
        "5: server closes before any byte of the head",
        "expected the request to be sent once, on one connection seen 2",
    ),
    (
        broken.TellsTheKey,
        "1: server refuses the connection",
        "expected the API key to show nowhere",
    ),
    (
        broken.LogsTheKey,
        "17: server answers 404 with a JSON object",
        "expected the API key not to be in any log seen it in a record of 'broken'",
    ),
    (
        broken.AddsHeaders,
        "wire: the request has no header too many and none too few",
        "seen more: [('x-powered-by', 'broken/1.0')]",
    ),
    (
        broken.TrustsEverybody,
        "4: server has a certificate that is not trusted",
        "expected TLSError seen",
    ),
    (
        broken.ClosesOnce,
        "contract: close may be called twice",
        "seen builtins.ValueError: I/O operation on closed file, the second time",
    ),
    (
        broken.TellsTheTimeOfDay,
        "contract: the stream has the status code and the headers",
        "expected a connected_at of time.monotonic()",
    ),
    (
        broken.CannotBeClosedWhileRead,
        "leaving: another thread closes the stream",
        "when another thread closes the stream, at once",
    ),
]
ASYNC_BROKEN: list[tuple[type[Any], str, str]] = [
    (
        broken_async.AsyncSwallowsErrors,
        "7: server closes inside a chunk",
        "expected 5 events, then ConnectionLost",
    ),
    (
        broken_async.SwallowsCancellation,
        "cancelled: while reading",
        "the cancellation to come out seen IncompleteStream: it was interrupted",
    ),
    (
        broken_async.GoesOnWhenCancelled,
        "cancelled: while waiting for the head",
        "the client did not close its connection",
    ),
    (
        broken_async.LeavesTasks,
        "10: server ends an empty chunked body without end of stream",
        "expected no task to be left",
    ),
    (
        broken_async.DoesNotCloseWhenCancelled,
        "cancelled: while closing",
        "the client did not close its connection",
    ),
]


@pytest.fixture(autouse=True)
def leaks_are_mended() -> Iterator[None]:
    yield
    while broken.Leaks.kept:
        broken.Leaks.kept.pop().close()


def words_of(failure: pytest.ExceptionInfo[TransportFailed]) -> str:
    return " ".join(str(failure.value).split())


@pytest.mark.parametrize(
    ("transport", "case", "words"), BROKEN, ids=[transport.__name__ for transport, *_ in BROKEN]
)
def test_fails_on(transport: type[Any], case: str, words: str):
    check_transport(Good, only=[case])
    with pytest.raises(TransportFailed) as caught:
        check_transport(transport, only=[case], timeout=1)
    assert caught.value.report[case].verdict is Verdict.FAILED
    assert words in words_of(caught)


@pytest.mark.parametrize(
    ("transport", "case", "words"),
    ASYNC_BROKEN,
    ids=[transport.__name__ for transport, *_ in ASYNC_BROKEN],
)
def test_fails_on_async(transport: type[Any], case: str, words: str):
    asyncio.run(check_async_transport(AsyncGood, only=[case]))
    with pytest.raises(TransportFailed) as caught:
        asyncio.run(check_async_transport(transport, only=[case], timeout=1))
    assert caught.value.report[case].verdict is Verdict.FAILED
    assert words in words_of(caught)


PROGRAM = """
import sys
for name in ("pytest", "hypothesis", "httpx", "httpx2", "aiohttp", "anyio", "trio", {without}):
    sys.modules[name] = None
from moondream_transports import UrllibTransport
from moondream_transports.conformance import check_transport

def factory(ssl_context=None):
    return UrllibTransport(ssl_context=ssl_context, proxies={{}})

print(check_transport(factory, only=["4: *", "8: *"]))
"""
WITHOUT_TRUSTME = (
    "trustme, which makes the certificates, is not installed:"
    " pip install 'sansio-moondream[testing]'"
)


@pytest.mark.parametrize("has_trustme", [True, False])
def test_needs_no_pytest_and_says_what_it_cannot_check(has_trustme: bool):
    program = PROGRAM.format(without="" if has_trustme else "'trustme'")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, *others = done.stdout.splitlines()
    if has_trustme:
        assert (first, others) == ("6 cases: 6 passed", [])
    else:
        assert first == "6 cases: 2 passed, 4 not checked"
        assert [line.rpartition(" (")[2] for line in others] == [f"{WITHOUT_TRUSTME})"] * 4


def test_the_program_hears_no_more_of_its_loggers_than_before(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.WARNING)
    check_transport(Good, only=["8: server resets the connection between two chunks"])
    assert caplog.text == ""
    assert logging.getLogger().level == logging.WARNING
    assert logging.getLogger("moondream_transports").isEnabledFor(logging.DEBUG) is False


def test_cancelling_it_ends_it():
    async def main() -> None:
        task = asyncio.create_task(
            check_async_transport(AsyncGood, only=["cancelled: while reading"])
        )
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
