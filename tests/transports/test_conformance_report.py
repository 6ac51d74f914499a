"""What the conformance suite says: its report, what it refuses, and its progress."""

from __future__ import annotations

import asyncio
import io
import pickle
import re
import sys
from typing import Any

import pytest

from moondream_transports.conformance import (
    ASYNC_CASES,
    CASES,
    CaseReport,
    Report,
    TransportFailed,
    Verdict,
    check_async_transport,
    check_transport,
)
from moondream_transports.conformance._secrets import KEY

from . import broken
from .broken import Good
from .broken_async import AsyncGood


class TestReport:
    CASE = "8: server resets the connection between two chunks"

    def test_has_the_outcome_of_each_case(self):
        cut = "9: server closes before the end of a body with Content-Length"
        reason = "it takes a short body for whole"
        report = check_transport(
            broken.HidesTruncation,
            only=[self.CASE, cut, "proxy: forwards a plain request"],
            known_failures={cut: reason},
        )
        assert [(case.id, case.verdict) for case in report] == [
            ("proxy: forwards a plain request", Verdict.NOT_CHECKED),
            (self.CASE, Verdict.PASSED),
            (cut, Verdict.KNOWN_FAILURE),
        ]
        assert report["proxy: forwards a plain request"].reason == "the factory takes no proxy="
        assert report[cut].reason == reason
        assert (
            report[cut].expected
            == "5 events, then ConnectionLost, with the text of the 5 events in .partial"
        )
        assert report[cut].seen.startswith("5 events, then IncompleteStream")
        assert report[cut].server.startswith("read a request of 3")
        assert report.of(Verdict.PASSED) == [report[self.CASE]]
        assert len(report) == 3
        text = str(report)
        assert text.startswith(
            f"3 cases: 1 passed, 1 known failure, 1 not checked\nKNOWN FAILURE  {cut} ({reason})\n"
        )
        assert text.endswith(
            "\nNOT CHECKED  proxy: forwards a plain request (the factory takes no proxy=)"
        )

    def test_two_known_failures_are_counted_in_the_plural(self):
        known = CaseReport("7: a", Verdict.KNOWN_FAILURE, "no code for it")
        assert str(Report((known, known))).startswith("2 cases: 2 known failures\n")

    def test_a_leak_names_the_error_that_shows_the_key(self):
        with pytest.raises(TransportFailed) as caught:
            check_transport(broken.TellsTheKey, only="1: server refuses the connection")
        (failed,) = caught.value.report.of(Verdict.FAILED)
        assert failed.seen.startswith("ConnectError: ")

    def test_a_failure_says_what_was_sent_expected_and_seen(self):
        empty = "10: server ends an empty chunked body without end of stream"
        size = "7: server closes inside the size of a chunk"
        with pytest.raises(TransportFailed) as caught:
            check_transport(broken.LetsErrorsOfTheLibraryOut, only=[size, self.CASE, empty])
        assert isinstance(caught.value, AssertionError)
        failures, name, server, expected, seen, cause, error, *others = str(
            caught.value
        ).splitlines()
        assert failures == "2 of 3 cases failed"
        assert name == f"FAILED  {size}"
        assert server.startswith("    the server  read a request of 3")
        segments = "in 7 segments: b'HTTP/1.1 200 \\r\\nContent-Type: text/event-stream"
        assert f"sent 425 bytes {segments}" in server
        assert server.endswith("; closed")
        whole = "with the text of the 5 events in .partial"
        assert expected == f"    expected    5 events, then ConnectionLost, {whole}"
        library = "builtins.ConnectionResetError: the library's own words"
        assert seen == f"    seen        5 events, then {library}"
        assert cause.startswith("    last error  ")
        assert error.startswith("                ")
        assert others[0] == f"FAILED  {self.CASE}"
        assert "; reset the connection" in others[1]
        assert pickle.loads(pickle.dumps(caught.value)).report == caught.value.report

    def test_a_failure_shows_the_frames_of_the_transport(self):
        with pytest.raises(TransportFailed) as caught:
            check_transport(broken.LetsErrorsOfTheLibraryOut, only=self.CASE)
        calls, raises = caught.value.report[self.CASE].frames
        where = r".*/tests/transports/broken\.py:\d+, LetsErrorsOfTheLibraryOut\.Stream\.read: "
        assert re.fullmatch(where + r"return self\.inner\.read\(timeout\)", calls)
        assert re.fullmatch(where + r"raise ConnectionResetError\(.*\) from error", raises)

    def test_a_bug_of_a_transport_is_shown_where_it_is(self):
        with pytest.raises(TransportFailed) as caught:
            check_transport(broken.HasABug, only=self.CASE)
        (failed,) = caught.value.report
        assert failed.seen.endswith("'HTTPRequest' object has no attribute 'nowhere'")
        assert failed.frames[-1].endswith("HasABug.send: return request.nowhere")
        assert KEY not in str(caught.value)

    def test_an_error_of_ours_has_frames_though_the_client_removes_them(self):
        case = "contract: read raises the builtin TimeoutError in time"
        with pytest.raises(TransportFailed) as caught:
            check_transport(broken.NamesTheTimeout, only=case)
        (*_, raises) = caught.value.report[case].frames
        assert raises.endswith('raise IdleTimeout("nothing came") from error')
        with pytest.raises(TransportFailed) as caught:
            check_transport(broken.TellsTheKey, only="1: *")
        (*_, raises) = caught.value.report["1: server refuses the connection"].frames
        assert "broken.py" in raises
        assert "TellsTheKey.send: raise ConnectError(" in raises

    def test_a_repr_that_raises_hides_nothing(self):
        with pytest.raises(TransportFailed) as caught:
            check_transport(broken.HasLocalsWithoutRepr, only=self.CASE)
        (failed,) = caught.value.report
        assert failed.seen == "no event, then builtins.LookupError: the real fault"
        assert failed.frames[-1].endswith('raise LookupError("the real fault")')

    def test_a_leak_beside_a_repr_that_raises_is_found(self):
        class Leaks(broken.HasLocalsWithoutRepr):
            words = KEY

        with pytest.raises(TransportFailed, match="the API key to show nowhere"):
            check_transport(Leaks, only=self.CASE)

    def test_case_that_is_not_there(self):
        report = check_transport(Good, only=self.CASE)
        with pytest.raises(KeyError, match="8: no such case"):
            report["8: no such case"]

    def test_a_known_failure_that_passes_is_stale(self):
        report = check_transport(
            Good, only=[self.CASE], known_failures={self.CASE: "so it was once"}
        )
        assert report[self.CASE].verdict is Verdict.STALE
        assert str(report).endswith(
            f"PASSED, THOUGH DECLARED AS A KNOWN FAILURE  {self.CASE} (so it was once)"
        )

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (
                {"only": ["8"]},
                "there is no case '8'; did you mean '8: server resets .* CASES has all ids",
            ),
            ({"only": "RESETS"}, "did you mean '8: server resets .* or '15: server resets "),
            (
                {"only": ["8: server reset the connection between chunks"]},
                "did you mean '8: server resets the connection between two chunks'",
            ),
            ({"only": ["8: x*"]}, "there is no case '8: x[*]'; CASES has all ids"),
            ({"known_failures": {"88: ?": "why"}}, "there is no case '88: [?]'; CASES"),
            (
                {"known_failures": {"8: server resets the connection between two chunks": ""}},
                "should say why the case '8: server resets .* fails",
            ),
        ],
    )
    def test_refuses_what_is_no_case_or_has_no_reason(self, options: Any, words: str):
        with pytest.raises(ValueError, match=words):
            check_transport(Good, **options)

    def test_only_takes_globs(self):
        report = check_transport(Good, only=["8: *", "7: * inside a chunk", "8: server *"])
        assert [case.id for case in report] == ["7: server closes inside a chunk", self.CASE]

    @pytest.mark.parametrize("instance", [Good(), 7], ids=["a transport", "no transport"])
    def test_an_instance_instead_of_a_factory(self, instance: Any):
        name = type(instance).__name__
        with pytest.raises(TypeError, match=f"check_transport needs a factory .* of {name}: use"):
            check_transport(instance)
        with pytest.raises(TypeError, match=f"check_async_transport needs .* of {name}: use"):
            asyncio.run(check_async_transport(instance))

    def test_async_cases_have_ids_of_their_own(self):
        with pytest.raises(ValueError, match="ASYNC_CASES has all ids"):
            asyncio.run(
                check_async_transport(AsyncGood, only=["leaving: another thread closes the stream"])
            )
        assert len({case.id for case in CASES}) == len(CASES)
        assert {case.id for case in CASES} - {case.id for case in ASYNC_CASES} == {
            "leaving: another thread closes the stream"
        }

    def test_a_factory_that_fails_is_a_failure(self):
        def factory():
            raise LookupError("no such library")

        with pytest.raises(TransportFailed, match="LookupError: no such library"):
            check_transport(factory, only=[self.CASE])


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class TestProgress:
    CASES = ("8: server resets the connection between two chunks", "22: server answers 204")

    def test_one_line_on_a_terminal(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(sys, "stderr", terminal := Terminal())
        monkeypatch.setenv("COLUMNS", "70")
        with pytest.raises(TransportFailed):
            check_transport(broken.LetsErrorsOfTheLibraryOut, only=self.CASES)
        start, first, second, erased, end = terminal.getvalue().split("\r")
        assert (start, end) == ("", "")
        assert first == f"1/2, 0 failed; {self.CASES[0]}".ljust(69)
        assert second == f"2/2, 1 failed; {self.CASES[1]}".ljust(69)
        assert erased == " " * 69

    def test_nothing_elsewhere(self, capsys: pytest.CaptureFixture[str]):
        check_transport(Good, only=self.CASES)
        assert capsys.readouterr() == ("", "")
