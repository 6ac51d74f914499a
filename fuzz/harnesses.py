"""The harnesses: Hypothesis tests, which pytest, Hypothesis and atheris can run."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.cases import Case, cases, chunks
from fuzz.requests import Received, check_request, received
from fuzz.sockets import Exchange, check_socket, exchanges
from fuzz.streams import PULLS, check_stream


@given(cases(), st.data(), st.sampled_from(PULLS))
def stream(case: Case, data: st.DataObject, pull: str) -> None:
    """Check a response against the reference, with and without the fast path."""
    check_stream(case, data.draw(chunks(case.wire)), pull)


@given(exchanges(), st.data())
def socket(exchange: Exchange, data: st.DataObject) -> None:
    """Check the bytes of a socket against the reference."""
    check_socket(exchange, data.draw(chunks(exchange.raw)))


@given(received())
def request(case: Received) -> None:
    """Check a request that a server receives."""
    check_request(case)


HARNESSES: Final[dict[str, Any]] = {"stream": stream, "socket": socket, "request": request}


def use_fuzzing_settings() -> None:
    """Have Hypothesis store nothing and bound nothing: the fuzzer does."""
    checks = list(HealthCheck)
    settings.register_profile("fuzz", database=None, deadline=None, suppress_health_check=checks)
    settings.load_profile("fuzz")
