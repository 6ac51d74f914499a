"""What an answer says about its server: a pause of its endpoint, a cool-down, or nothing."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from moondream_transports import Client, EndpointPool, VirtualClock
from sansio_moondream import (
    ConnectionLost,
    Endpoint,
    FirstEventTimeout,
    IdleTimeout,
    LimitExceeded,
    MoondreamError,
    RemoteProtocolError,
    TLSError,
    TotalTimeout,
)
from sansio_moondream.limiter import RateLimit
from tests.helpers import QUERY, delta
from tests.transports.fakes import FakeStream, JSONFakeStream
from tests.transports.retries.exchanges import NOW, http_error, refused, whole

ONE = Endpoint("http://localhost:2001/v1", api_key="key-of-the-first", model="first")


def sends(response: FakeStream, limiter: Any) -> None:
    """Send a request, and ignore how it ends."""
    with suppress(MoondreamError):
        Client(response, limiter).send(QUERY)


DATE = "Wed, 21 Oct 2026 07:28:30 GMT"


@pytest.mark.parametrize(
    ("response", "paused", "is_cooling"),
    [
        (whole(), 0.0, False),
        (http_error(404), 0.0, False),
        (http_error(401), 0.0, False),
        (http_error(404, "30"), 0.0, False),
        (http_error(429), 1.0, False),
        (http_error(429, "7"), 7.0, False),
        (http_error(429, "0"), 1.0, False),
        (http_error(429, "soon"), 1.0, False),
        (http_error(429, DATE), 30.0, False),
        (http_error(429, DATE.replace("2026", "2020")), 1.0, False),
        (http_error(429, "3601"), 3600.0, False),
        (http_error(429, "9" * 40), 3600.0, False),
        (http_error(503, "7"), 7.0, False),
        (http_error(503, DATE), 30.0, False),
        (http_error(503, "0"), 0.0, True),
        (http_error(503), 0.0, True),
        (http_error(500, "7"), 0.0, True),
        (http_error(504), 0.0, True),
        (JSONFakeStream(b'{"error": {"type": "rate_limit_error"}}', b""), 1.0, False),
        (JSONFakeStream(b'{"error": {"type": "server_error"}}', b""), 0.0, True),
        (JSONFakeStream(b'{"error": {"type": "authentication_error"}}', b""), 0.0, False),
        (refused(), 0.0, True),
        (FakeStream(refuses=TLSError("expired")), 0.0, True),
        (FakeStream(refuses=FirstEventTimeout("silent")), 0.0, True),
        (FakeStream(refuses=RemoteProtocolError("no HTTP")), 0.0, True),
        (FakeStream(delta("A"), ConnectionLost("reset")), 0.0, True),
        (FakeStream(delta("A"), IdleTimeout("silent")), 0.0, True),
        (FakeStream(delta("A"), b""), 0.0, True),
        (FakeStream(delta("A"), TotalTimeout("late")), 0.0, False),
        (FakeStream(delta("A"), LimitExceeded("large")), 0.0, False),
    ],
)
def test_what_an_answer_says_about_its_server(
    response: FakeStream, paused: float, is_cooling: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moondream_transports._exchange.time", lambda: NOW)
    pool = EndpointPool([(ONE, RateLimit())], clock=VirtualClock())
    sends(response, pool)
    (gate,) = pool.status().gates
    assert (gate.paused, gate.cooling > 0) == (paused, is_cooling)


def test_a_rate_limit_in_a_200_waits_as_its_head_asks() -> None:
    response = JSONFakeStream(b'{"error": {"type": "rate_limit_error"}}', b"")
    response.headers = [*response.headers, ("Retry-After", "4000")]
    pool = EndpointPool([(ONE, RateLimit())], clock=VirtualClock())
    sends(response, pool)
    assert pool.status().paused == 3600.0
