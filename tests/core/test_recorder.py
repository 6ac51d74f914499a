"""`Recorder`: what happened in an exchange, and when."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from traceback import walk_tb

import pytest

from sansio_moondream import (
    APIError,
    ConnectError,
    ConnectionLost,
    Endpoint,
    HTTPRequest,
    IdleTimeout,
    LocalProtocolError,
)
from sansio_moondream.recording import (
    EOF,
    LEFT,
    Chunk,
    Ending,
    RecordedTimeouts,
    Recorder,
    Recording,
)
from sansio_moondream.testing import EVENT_STREAM
from tests.core.recorders import HTTP, recorded, recorder, replayed
from tests.helpers import CAPTION, PIXEL, QUERY, delta


def test_an_exchange() -> None:
    made = recorder()
    made.receive_response(200, [*EVENT_STREAM, ("Set-Cookie", "c=1")], 100.25)
    made.receive_data(b"da", 100.5)
    made.receive_data(b"", 100.75)
    # kept as it is now, whatever becomes of the buffer
    made.receive_data(memoryview(b"ta"), 101)  # type: ignore[arg-type]
    recording = made.receive_eof(101.125)
    header = recording.header
    assert (header.method, header.path, header.request_body) == (
        "POST",
        "/v1/query",
        {"question": QUERY.question, "stream": True},
    )
    assert (header.seconds, header.status_code, header.response_headers) == (
        0.25,
        200,
        EVENT_STREAM,
    )
    assert recording.chunks == (Chunk(0.25, b"da"), Chunk(0.5, b"ta"))
    assert recording.ending == Ending(0.125, EOF)
    assert Recording.decode(recording.encode()) == recording


@pytest.mark.parametrize(
    ("connected_at", "connected"),
    [(None, None), (100.125, 0.125), (100.25, 0.25), (100.5, 0.25), (100, 0), (7, 0)],
)
def test_the_connection_and_the_timeouts(
    connected_at: float | None, connected: float | None
) -> None:
    timeouts = RecordedTimeouts(10, 60, 30, None)
    made = Recorder(HTTP, now=100, timeouts=timeouts)
    assert made.header.timeouts == timeouts
    made.receive_response(200, EVENT_STREAM, 100.25, connected_at=connected_at)
    header = made.leave(101).header
    assert (header.connected, header.timeouts) == (connected, timeouts)
    assert recorder().leave(101).header.timeouts is None


def test_rounding_does_not_add_up() -> None:
    made = recorder()
    made.receive_response(200, EVENT_STREAM, 100)
    for count in range(1, 1001):
        made.receive_data(b"A", 100 + count * 1.4e-6)
    recording = made.receive_eof(100.0014)
    assert {chunk.seconds for chunk in recording.chunks} == {0.000001, 0.000002}
    assert round(sum(chunk.seconds for chunk in recording.chunks), 6) == 0.0014
    assert recording.ending.seconds == 0


@pytest.mark.parametrize(
    ("error", "ending"),
    [
        (ConnectionLost("peer reset"), Ending(1, "ConnectionLost", "peer reset")),
        (IdleTimeout("quiet"), Ending(1, "IdleTimeout", "quiet")),
        (TimeoutError("quiet"), Ending(1, "TimeoutError", "quiet")),
        (OSError("broken pipe"), Ending(1, "IncompleteStream", "OSError: broken pipe")),
        (
            APIError("no", status_code=500),
            Ending(1, "IncompleteStream", "APIError: no"),
        ),
        (KeyboardInterrupt("enough"), Ending(1, LEFT)),
    ],
)
def test_errors_after_the_head(error: BaseException, ending: Ending) -> None:
    recording = recorded([delta("A")], error=error)
    assert recording.ending == ending
    assert Recording.decode(recording.encode()) == recording


@pytest.mark.parametrize(
    ("error", "ending"),
    [
        (ConnectError("refused"), Ending(2, "ConnectError", "refused")),
        (TimeoutError(), Ending(2, "TimeoutError")),
        (OSError("no route"), Ending(2, "TransportError", "OSError: no route")),
        (GeneratorExit(), Ending(2, LEFT)),
    ],
)
def test_errors_before_the_head(error: BaseException, ending: Ending) -> None:
    recording = recorder().receive_error(error, 102)
    assert (recording.header.status_code, recording.chunks, recording.ending) == (None, (), ending)
    assert Recording.decode(recording.encode()) == recording


class ReadError(ConnectionLost):
    """A transport may have error classes of its own."""


def test_an_error_is_named_as_its_nearest_known_kind() -> None:
    assert recorded([], error=ReadError("x")).ending == Ending(1, "ConnectionLost", "x")


def test_leaving() -> None:
    made = recorder()
    assert made.leave(101) == Recording(recorder().leave(101).header, (), Ending(1, LEFT))
    made = recorder()
    made.receive_response(200, EVENT_STREAM, 101)
    made.receive_data(delta("A"), 102)
    outcome = replayed(made.leave(103))
    assert isinstance(outcome.error, ConnectionLost)
    assert "the recording ends here" in str(outcome.error)


def test_calls_out_of_order() -> None:
    made = recorder()
    for early in (lambda: made.receive_data(b"A", 101), lambda: made.receive_eof(101)):
        with pytest.raises(LocalProtocolError, match="^no head of"):
            early()
    made.receive_response(200, (), 101)
    with pytest.raises(LocalProtocolError, match="the head of the response came before"):
        made.receive_response(200, (), 101)
    made.receive_eof(102)
    for late in (
        lambda: made.receive_data(b"A", 103),
        lambda: made.receive_eof(103),
        lambda: made.receive_error(OSError(), 103),
        lambda: made.leave(103),
    ):
        with pytest.raises(LocalProtocolError, match="the exchange has ended"):
            late()


def test_a_request_that_is_not_json() -> None:
    with pytest.raises(ValueError, match="not JSON"):
        recorder(request=HTTPRequest("POST", "http://h/v1/query", (), b"image=..."))


def test_no_local_variable_shows_a_secret() -> None:
    request = HTTPRequest("POST", "http://h/v1/query", (), b"no JSON")
    with pytest.raises(ValueError, match="not JSON") as caught:
        Recorder(request, ["planted-key"], now=0)
    assert caught.value.__traceback__ is not None
    frames = [frame for frame, _ in walk_tb(caught.value.__traceback__.tb_next)]
    assert frames
    assert not any("planted-key" in repr(frame.f_locals) for frame in frames)


@pytest.mark.parametrize("size", [10, 11, 12])
@pytest.mark.parametrize("blanks", ["", "\r\n\t"])
def test_base64_without_padding_and_with_blanks(size: int, blanks: str) -> None:
    data = PIXEL.data + bytes(size)
    text = b64encode(data).decode().rstrip("=")
    text = text[:9] + blanks + text[9:]
    body = json.dumps({"image": text}).encode()
    made = recorder(request=HTTPRequest("POST", "http://h/v1/query", (), body))
    described = made.leave(100).header.request_body["image"]
    assert described["sha256"] == hashlib.sha256(data).hexdigest()


def test_pictures_are_described() -> None:
    http = CAPTION.to_http(Endpoint("http://localhost/v1"))
    recording = recorder(request=http).leave(100)
    assert (
        recording.header.request_body["image_url"]["sha256"]
        == hashlib.sha256(PIXEL.data).hexdigest()
    )
    assert PIXEL.data_url.encode() not in recording.encode()
