"""How exchanges through `moondream-stream record` end, and what their recordings leave out."""

from __future__ import annotations

import hashlib
import http.client
import json
import queue
import socket
import threading
from pathlib import Path

import pytest

from moondream_transports.conformance._fault_server import Peer, head
from moondream_transports.conformance._faults import DELTAS, F1, WHOLE_BODY, WORDS, answers, sized
from sansio_moondream import (
    AuthenticationError,
    ConnectionLost,
    IncompleteStream,
    MoondreamError,
    RemoteProtocolError,
    ServerError,
)
from sansio_moondream.recording import LEFT
from tests.helpers import END, PIXEL, QUERY, record
from tests.tools.programs import TIMEOUT, Program, running
from tests.tools.proxies import KEY, SCRIPT, Recorded, Scripted, asked, client, http_request, post


class TestEndings:
    @pytest.mark.parametrize(
        ("fault", "error", "ending"),
        [
            ("close@2", ConnectionLost, "ConnectionLost"),
            ("close@0", ConnectionLost, "ConnectionLost"),
            ("truncate@2", IncompleteStream, "eof"),
            ("error@2", ServerError, "eof"),
            ("json-error", ServerError, "eof"),
            ("401", AuthenticationError, "eof"),
            ("503", ServerError, "eof"),
            ("no-head", ConnectionLost, "ConnectionLost"),
            ("garbage@2", ConnectionLost, "RemoteProtocolError"),
        ],
    )
    def test_faults_are_forwarded_and_recorded(
        self,
        upstream: Program,
        proxy: Recorded,
        fault: str,
        error: type[MoondreamError],
        ending: str,
    ) -> None:
        direct = asked(upstream, QUERY, X_Moondream_Fault=fault)
        through = asked(proxy.program, QUERY, X_Moondream_Fault=fault)
        assert (through[0], type(through[1])) == (direct[0], error)
        # Bytes that are not HTTP are not forwarded. The client gets a closed connection.
        assert type(direct[1]) is (
            RemoteProtocolError if ending == "RemoteProtocolError" else error
        )
        (recording,) = proxy.new()
        # A client that has its error may leave before the end of the body.
        assert recording.ending.fault == ending or (recording.ending.fault, ending) == (LEFT, "eof")
        assert recording.header.status_code == (
            None if fault == "no-head" else int(fault) if fault.isdigit() else 200
        )

    def test_a_reset_is_a_reset(self, proxy: Recorded) -> None:
        _, error = asked(proxy.program, QUERY, X_Moondream_Fault="reset")
        assert isinstance(error, ConnectionLost)
        assert "reset" in str(error)
        (recording,) = proxy.new()
        assert "reset" in recording.ending.message

    def test_a_body_that_is_shorter_than_its_length(self, scripted: Scripted) -> None:
        SCRIPT.append(answers(sized(WHOLE_BODY, length=len(WHOLE_BODY) + 7)))
        with pytest.raises(http.client.IncompleteRead) as caught:
            http_request(scripted.program, "POST", "/v1/query", "{}")
        assert caught.value.partial == WHOLE_BODY
        (recording,) = scripted.recorded.new()
        assert recording.ending.fault == "ConnectionLost"

    def test_a_body_that_ends_with_the_connection(self, scripted: Scripted) -> None:
        SCRIPT.append(answers(head(headers=[("Content-Type", "text/event-stream")]), WHOLE_BODY))
        assert http_request(scripted.program, "POST", "/v1/query", "{}")[2] == WHOLE_BODY
        assert scripted.recorded.new()[0].ending.fault == "eof"

    def test_a_client_that_leaves_takes_the_server_along(self, scripted: Scripted) -> None:
        gone: queue.SimpleQueue[bool] = queue.SimpleQueue()

        def script(peer: Peer) -> None:
            peer.answer(*F1)
            gone.put(peer.is_closed_within(TIMEOUT))

        SCRIPT.append(script)
        with client(scripted.program).stream(QUERY) as stream:
            for _ in WORDS:
                next(stream)
        (recording,) = scripted.recorded.new()
        scripted.program.wait_for_line("the client left")
        assert gone.get(timeout=TIMEOUT)
        assert (b"".join(chunk.data for chunk in recording.chunks), recording.ending.fault) == (
            b"".join(DELTAS),
            "left",
        )

    def test_a_client_that_leaves_before_the_head(self, scripted: Scripted) -> None:
        gone: queue.SimpleQueue[bool] = queue.SimpleQueue()
        has_begun = threading.Event()

        def script(peer: Peer) -> None:
            peer.read_request()
            peer.send(b"HTTP/1.1 ")
            has_begun.set()
            gone.put(peer.is_closed_within(TIMEOUT))

        SCRIPT.append(script)
        with socket.create_connection(
            ("127.0.0.1", scripted.program.port), timeout=20
        ) as connection:
            connection.sendall(post())
            assert has_begun.wait(TIMEOUT)
        (recording,) = scripted.recorded.new()
        assert (recording.header.status_code, recording.ending.fault) == (None, "left")
        assert gone.get(timeout=TIMEOUT)

    def test_secrets_in_an_answer(self, scripted: Scripted) -> None:
        """The client gets the secrets. The recording has stars of the same length."""
        body = (
            record({"chunk": f"your key is {KEY}", "completed": False, "org_id": "a349504c"}) + END
        )
        middle = body.index(KEY.encode()) + 5
        SCRIPT.append(
            answers(
                head(headers=[("Content-Type", "text/event-stream"), ("Set-Cookie", "a=b")]),
                body[:middle],
                body[middle:],
            )
        )
        status, fields, received = http_request(
            scripted.program, "POST", "/v1/query", "{}", Authorization=f"Bearer {KEY}"
        )
        assert (status, received) == (200, body)
        assert ("Set-Cookie", "a=b") in fields or ("set-cookie", "a=b") in fields
        (recording,) = scripted.recorded.new()
        written = b"".join(chunk.data for chunk in recording.chunks)
        assert written == body.replace(KEY.encode(), b"*" * len(KEY)).replace(b"a349504c", b"*" * 8)
        assert "cookie" not in recording.encode().decode().lower()

    def test_a_request_that_is_sent_back(self, scripted: Scripted) -> None:
        """The server sends back the picture and the keys of the request."""
        payload = PIXEL.data_url.partition(",")[2]
        asked = json.dumps({"image_url": payload, "question": f"Hi ![x]({PIXEL.data_url})"})
        answer = json.dumps({"detail": f"neither {KEY} nor in-the-query", "input": asked}).encode()
        SCRIPT.append(
            answers(head(422, [("Content-Type", "application/json")]), answer[:90], answer[90:])
        )
        path = "/v1/query?api_key=in-the-query"
        assert http_request(scripted.program, "POST", path, asked, X_API_Key=KEY)[::2] == (
            422,
            answer,
        )
        (recording,) = scripted.recorded.new()
        assert (
            recording.header.request_body["image_url"]["sha256"]
            == hashlib.sha256(PIXEL.data).hexdigest()
        )
        written = recording.encode().decode() + "".join(
            chunk.data.decode() for chunk in recording.chunks
        )
        assert not any(
            secret in written for secret in (payload[:40], payload[-40:], KEY, "in-the-query")
        )
        assert sum(len(chunk.data) for chunk in recording.chunks) == len(answer)

    def test_an_own_folder_that_is_gone(self, upstream: Program, tmp_path: Path) -> None:
        """The exchange continues. The log reports that it was not recorded."""
        with running("record", "--upstream", upstream.url, "--to", tmp_path / "gone") as program:
            (tmp_path / "gone").rmdir()
            (tmp_path / "gone").write_text("a file in its place")
            assert asked(program, QUERY)[1].text
            program.wait_for_line("POST /v1/query 200", "not recorded: ")
