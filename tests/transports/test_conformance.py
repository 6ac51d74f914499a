"""The conformance kit itself: it passes what is good, fails on what is broken, and says which and
why. It needs no pytest.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from moondream_transports import AnyioTransport, UrllibTransport
from moondream_transports.conformance import (
    ASYNC_CASES,
    CASES,
    TransportFailed,
    Verdict,
    check_async_transport,
    check_transport,
)

from . import broken
from .broken import AsyncGood, Good

# A broken transport, the case that finds it, and what that says.
BROKEN: list[tuple[type[Any], str, str]] = [
    (broken.SwallowsErrors, "7: FIN inside a chunk", "expected 5 events, then ConnectionLost"),
    (
        broken.HidesTruncation,
        "9: Content-Length body cut short",
        "came 5 events, then IncompleteStream",
    ),
    (
        broken.DecodesGzip,
        "contract: read gives the body undecoded, then b''",
        "bytes of the body as they were sent",
    ),
    (broken.Leaks, "leaving: early, many times", "came the client did not close its connection"),
    (broken.IgnoresIdle, "11: silence", "expected 5 events, then IdleTimeout"),
    (broken.IgnoresConnect, "3: connecting hangs", "expected ConnectTimeout came ConnectError"),
    (
        broken.HasOneTimeoutForAll,
        "contract: connect is over when the connection stands",
        "`connect` (1) is over when",
    ),
    (
        broken.NamesTheTimeout,
        "contract: read raises the builtin TimeoutError in time",
        "the client knows, and names it came IdleTimeout",
    ),
    (
        broken.LetsErrorsOfTheLibraryOut,
        "8: RST",
        "came 5 events, then builtins.ConnectionResetError: the library's own words",
    ),
    (
        broken.FollowsRedirects,
        "20: 307 to the other host is not followed",
        "expected the redirect not to be followed",
    ),
    (
        broken.RaisesForStatus,
        "17: 404, JSON object",
        "then NotFoundError: the server answered 404: it is not there",
    ),
    (
        broken.WaitsForMore,
        "wire: each event is out before the next byte is sent",
        "did not give out the event that was sent",
    ),
    (broken.LosesWhatCameBefore, "7: FIN between chunks", "came no event, then ConnectionLost"),
    (
        broken.SendsAgain,
        "5: closes before any byte of the head",
        "expected the request to be sent once, on one connection came 2",
    ),
    (broken.TellsTheKey, "1: refused", "expected the API key to show nowhere"),
    (
        broken.LogsTheKey,
        "17: 404, JSON object",
        "expected the API key not to be in any log came it in a record of 'broken'",
    ),
    (
        broken.AddsHeaders,
        "wire: the request is what it should be",
        "came more: [('x-powered-by', 'broken/1.0')]",
    ),
    (broken.TrustsEverybody, "4: certificate is not trusted", "expected TLSError came"),
    (
        broken.ClosesOnce,
        "contract: close may repeat",
        "came builtins.ValueError: I/O operation on closed file, the second time",
    ),
    (
        broken.TellsTheTimeOfDay,
        "contract: status code and headers",
        "expected a connected_at of time.monotonic()",
    ),
    (
        broken.CannotBeClosedWhileRead,
        "leaving: closed by another thread",
        "when another thread closes the stream, at once",
    ),
]
ASYNC_BROKEN: list[tuple[type[Any], str, str]] = [
    (broken.AsyncSwallowsErrors, "7: FIN inside a chunk", "expected 5 events, then ConnectionLost"),
    (
        broken.SwallowsCancellation,
        "cancelled: while reading",
        "the cancellation to come out came IncompleteStream: it was interrupted",
    ),
    (
        broken.GoesOnWhenCancelled,
        "cancelled: while waiting for the head",
        "the client did not close its connection",
    ),
    (broken.LeavesTasks, "10: empty stream", "expected no task to be left"),
    (
        broken.DoesNotCloseWhenCancelled,
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
        check_transport(transport, only=[case], patience=1)
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
        asyncio.run(check_async_transport(transport, only=[case], patience=1))
    assert caught.value.report[case].verdict is Verdict.FAILED
    assert words in words_of(caught)


def with_proxy(ssl_context=None, proxy=None):
    return UrllibTransport(
        ssl_context=ssl_context, proxies={} if proxy is None else {"http": proxy, "https": proxy}
    )


def with_ca_file(ca_file=None):
    return UrllibTransport(
        ssl_context=None if ca_file is None else ssl.create_default_context(cafile=ca_file),
        proxies={},
    )


class TestReport:
    ROW, OTHER = "8: RST", "31: 200 header fields"

    def test_tells_what_became_of_each_row(self):
        cut = "9: Content-Length body cut short"
        reason = "it takes a short body for whole"
        report = check_transport(
            broken.HidesTruncation,
            only=[self.ROW, cut, "proxy: plain"],
            known_failures={cut: reason},
        )
        assert [(case.id, case.verdict) for case in report] == [
            ("proxy: plain", Verdict.NOT_CHECKED),
            (self.ROW, Verdict.PASSED),
            (cut, Verdict.KNOWN_FAILURE),
        ]
        assert report["proxy: plain"].reason == "the factory takes no proxy="
        assert report[cut].reason == reason
        assert (
            report[cut].expected
            == "5 events, then ConnectionLost, with the text of the 5 events in .partial"
        )
        assert report[cut].came.startswith("5 events, then IncompleteStream")
        assert report[cut].server.startswith("read a request of 3")
        assert report.of(Verdict.PASSED) == [report[self.ROW]]
        assert len(report) == 3
        text = str(report)
        assert text.startswith(
            f"3 cases: 1 passed, 1 cannot tell, 1 not checked\nCANNOT TELL  {cut} ({reason})\n"
        )
        assert text.endswith("\nNOT CHECKED  proxy: plain (the factory takes no proxy=)")

    def test_a_failure_says_what_was_sent_expected_and_seen(self):
        with pytest.raises(TransportFailed) as caught:
            check_transport(
                broken.LetsErrorsOfTheLibraryOut,
                only=["7: FIN inside a chunk's size", self.ROW, "10: empty stream"],
            )
        assert isinstance(caught.value, AssertionError)
        failures, size, server, expected, came, *others = str(caught.value).splitlines()
        assert failures == "2 of 3 cases failed"
        assert size == "FAILED  7: FIN inside a chunk's size"
        assert server.startswith("    the server  read a request of 3")
        assert (
            "sent 425 bytes in 7 segments: b'HTTP/1.1 200 \\r\\nContent-Type: text/event-stream"
            in server
        )
        assert server.endswith("; closed")
        assert (
            expected
            == "    expected    5 events, then ConnectionLost, with the text of the 5 events in .partial"
        )
        assert (
            came
            == "    came        5 events, then builtins.ConnectionResetError: the library's own words"
        )
        assert others[0] == f"FAILED  {self.ROW}"
        assert "; reset the connection" in others[1]
        assert pickle.loads(pickle.dumps(caught.value)).report == caught.value.report

    def test_a_declared_row_that_passes_is_stale(self):
        report = check_transport(Good, only=[self.ROW], known_failures={self.ROW: "so it was once"})
        assert report[self.ROW].verdict is Verdict.STALE
        assert str(report).endswith("PASSED, THOUGH DECLARED OTHERWISE  8: RST (so it was once)")

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"only": ["8"]}, "there is no case '8'; their ids are in CASES"),
            ({"known_failures": {"88: ?": "why"}}, "there is no case '88: [?]'"),
            ({"known_failures": {"8: RST": ""}}, "should say why the case '8: RST'"),
        ],
    )
    def test_refuses_what_is_no_row_or_has_no_reason(self, options: Any, words: str):
        with pytest.raises(ValueError, match=words):
            check_transport(Good, **options)

    def test_async_rows_have_ids_of_their_own(self):
        with pytest.raises(ValueError, match="in ASYNC_CASES"):
            asyncio.run(
                check_async_transport(AsyncGood, only=["leaving: closed by another thread"])
            )
        assert len({case.id for case in CASES}) == len(CASES)
        assert {case.id for case in CASES} - {case.id for case in ASYNC_CASES} == {
            "leaving: closed by another thread"
        }

    def test_a_factory_that_fails_is_told(self):
        def factory():
            raise LookupError("no such library")

        with pytest.raises(TransportFailed, match="LookupError: no such library"):
            check_transport(factory, only=[self.ROW])


class TestFactories:
    TLS = ("4: TLS, whole", "4: certificate has expired")

    @pytest.mark.parametrize("factory", [Good, with_ca_file, with_proxy])
    def test_trust(self, factory: Any):
        report = check_transport(factory, only=self.TLS)
        assert [case.verdict for case in report] == [Verdict.PASSED, Verdict.PASSED]

    def test_what_it_does_not_take_is_not_checked(self):
        report = check_transport(partial(Good, None), only=self.TLS)
        assert {case.reason for case in report.of(Verdict.NOT_CHECKED)} == {
            "the factory takes neither ssl_context= nor ca_file="
        }
        assert len(report.of(Verdict.NOT_CHECKED)) == 2

    def test_context_managers_are_entered_and_left(self):
        seen: list[str] = []

        @contextmanager
        def factory():
            seen.append("entered")
            yield Good()
            seen.append("left")

        check_transport(factory, only=["8: RST"])
        assert seen == ["entered", "left"]

    def test_close_is_called_where_there_is_no_context_manager(self):
        closed: list[bool] = []

        class Closable(Good):
            def close(self):
                closed.append(True)

        check_transport(Closable, only=["8: RST"])
        assert closed == [True]

    def test_on_trio(self):
        trio = pytest.importorskip("trio")
        check = partial(
            check_async_transport, AnyioTransport, only=["8: RST", "cancelled: while reading"]
        )
        assert [case.verdict for case in trio.run(check)] == [Verdict.PASSED, Verdict.PASSED]
        with pytest.raises(TransportFailed, match="did not close its connection"):
            trio.run(
                partial(
                    check_async_transport,
                    broken.NeverCloses,
                    only=["leaving: early, many times"],
                    patience=1,
                )
            )


PROGRAM = """
import sys
for name in ("pytest", "hypothesis", "httpx", "httpx2", "aiohttp", "anyio", "trio", {without}):
    sys.modules[name] = None
from moondream_transports import UrllibTransport
from moondream_transports.conformance import CASES, check_transport

def factory(ssl_context=None):
    return UrllibTransport(ssl_context=ssl_context, proxies={{}})

print(check_transport(factory, only=[case.id for case in CASES if case.id.startswith(("4: ", "8: "))]))
"""
WITHOUT_TRUSTME = "trustme, which makes the certificates, is not installed: pip install 'sansio-moondream[testing]'"


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
    check_transport(Good, only=["8: RST"])
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
