"""The factories that the conformance suite takes, and how it opens and closes what they make."""

from __future__ import annotations

import ssl
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from moondream_transports import AnyioTransport, UrllibTransport
from moondream_transports.conformance import (
    TransportFailed,
    Verdict,
    check_async_transport,
    check_transport,
)
from moondream_transports.conformance._backend import run_without_a_loop

from . import broken_async
from .broken import Good


def with_proxy(ssl_context=None, proxy=None):
    return UrllibTransport(
        ssl_context=ssl_context, proxies={} if proxy is None else {"http": proxy, "https": proxy}
    )


def with_ca_file(ca_file=None):
    return UrllibTransport(
        ssl_context=None if ca_file is None else ssl.create_default_context(cafile=ca_file),
        proxies={},
    )


class TestFactories:
    TLS = ("4: server answers over TLS", "4: server has a certificate that has expired")

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

        check_transport(factory, only=["8: server resets the connection between two chunks"])
        assert seen == ["entered", "left"]

    def test_close_is_called_where_there_is_no_context_manager(self):
        closed: list[bool] = []

        class Closable(Good):
            def close(self):
                closed.append(True)

        check_transport(Closable, only=["8: server resets the connection between two chunks"])
        assert closed == [True]

    def test_transport_of_the_other_kind(self):
        kinds: list[Any] = [AnyioTransport, UrllibTransport]
        with pytest.raises(TypeError, match="AnyioTransport is checked with check_async_transport"):
            check_transport(kinds[0])
        with pytest.raises(TypeError, match="UrllibTransport is checked with check_transport,"):
            run_without_a_loop(check_async_transport(kinds[1]))

    def test_on_trio(self):
        trio = pytest.importorskip("trio")
        check = partial(
            check_async_transport,
            AnyioTransport,
            only=["8: server resets the connection between two chunks", "cancelled: while reading"],
        )
        assert [case.verdict for case in trio.run(check)] == [Verdict.PASSED, Verdict.PASSED]
        with pytest.raises(TransportFailed, match="did not close its connection"):
            trio.run(
                partial(
                    check_async_transport,
                    broken_async.NeverCloses,
                    only=["leaving: after one event, twelve times"],
                    timeout=1,
                )
            )
