"""What `moondream-stream serve` refuses, and how."""

from __future__ import annotations

import base64
import json

import pytest

from sansio_moondream import BadRequestError, QueryRequest
from tests.helpers import DATA, QUERY
from tests.tools.programs import Program
from tests.tools.serving import HARBOUR, asked, http_request, raw

NO_PIXELS = "data:image/png;base64,"


REFUSED = [
    ("query", "not JSON", 400, "Invalid JSON body", None),
    ("query", "[" * 5000, 400, "Invalid JSON body", None),
    (
        "query",
        '{"question": "What?", "x": ' + "[" * 100 + "]" * 100 + "}",
        400,
        "Invalid JSON body",
        None,
    ),
    ("query", b"\xff", 400, "Invalid JSON body", None),
    ("query", "[]", 400, "Request body must be an object", None),
    ("query", "{}", 400, "Field 'question' must be a string", "question"),
    ("query", '{"question": " "}', 400, "Field 'question' must be a non-empty string", "question"),
    (
        "query",
        '{"question": "?", "stream": "yes"}',
        400,
        "Field 'stream' must be a boolean",
        "stream",
    ),
    (
        "query",
        '{"question": "?", "settings": 7}',
        400,
        "Field 'settings' must be an object if provided",
        "settings",
    ),
    (
        "query",
        '{"question": "?", "image_url": 7}',
        400,
        "Field 'image_url' must be a string",
        "image_url",
    ),
    (
        "query",
        f'{{"question": "?", "image_url": "{NO_PIXELS}"}}',
        400,
        "Invalid data URL: missing payload",
        "image_url",
    ),
    (
        "query",
        f'{{"question": "?", "image_url": "{NO_PIXELS}%%%"}}',
        400,
        "Invalid base64 image data",
        "image_url",
    ),
    (
        "query",
        f'{{"question": "?", "image_url": "{NO_PIXELS}ü"}}'.encode(),
        400,
        "Invalid base64 image data",
        "image_url",
    ),
    ("caption", "{}", 400, "Field 'image_url' must be provided", "image_url"),
    ("caption", '{"length": 7}', 400, "Field 'length' must be a string", "length"),
    ("segment", "{}", 400, "Field 'object' must be a string", "object"),
    ("detect", '{"object": "moon"}', 400, "Field 'image_url' must be provided", "image_url"),
    ("point", '{"object": ["moon"]}', 400, "Field 'object' must be a string", "object"),
]


class TestRefusals:
    @pytest.mark.parametrize(("skill", "body", "status_code", "message", "param"), REFUSED)
    def test_in_the_words_of_each_dialect(
        self,
        server: Program,
        skill: str,
        body: str,
        status_code: int,
        message: str,
        param: str | None,
    ) -> None:
        engine, cloud, station = (
            http_request(server, path=f"/v1/{skill}", body=body, X_Moondream_Dialect=dialect)
            for dialect in ("engine", "cloud", "station")
        )
        assert (engine[0], json.loads(engine[2])) == (status_code, {"error": message})
        fields = {"message": message, "type": "invalid_request_error", "param": param, "code": None}
        assert (cloud[0], json.loads(cloud[2])) == (status_code, {"error": fields})
        assert (station[0], json.loads(station[2])) == (200, {"error": message})
        assert {head["content-type"] for _, head, _ in (engine, cloud, station)} == {
            "application/json"
        }

    @pytest.mark.parametrize(
        "name",
        [
            "engine-404",
            "engine-query-400",
            "engine-query-reasoning-stream-refused",
            "station-unknown-function",
        ],
    )
    def test_the_very_answers_that_were_captured(self, server: Program, name: str) -> None:
        trace = json.loads((DATA / "traces" / f"{name}.json").read_text())
        captured = b"".join(map(base64.b64decode, trace["response_chunks_b64"]))
        body = json.dumps(trace["request"]["body"] | {"image_url": HARBOUR.data_url})
        seen = http_request(
            server,
            path=trace["request"]["path"],
            body=body,
            X_Moondream_Dialect=name.partition("-")[0],
        )
        assert str(seen[0]).encode() == captured[9:12]
        assert seen[2] == captured.partition(b"\r\n\r\n")[2]
        assert f"content-type: {seen[1]['content-type']}".encode() in captured

    def test_what_the_engine_refuses_and_the_station_streams(self, server: Program) -> None:
        request = QueryRequest(question="?", reasoning=True)
        assert isinstance(asked(server, request)[1], BadRequestError)
        assert asked(server, request, Dialect="station")[1].text.startswith("The image shows")

    def test_another_method_and_another_path(self, server: Program) -> None:
        status, head, body = http_request(server, "GET", body=None)
        assert (status, head["allow"], body) == (405, "POST", b"Method Not Allowed")
        assert http_request(server, path="/v2/query")[0] == 404
        status, head, body = http_request(server, path="/v2/query", X_Moondream_Dialect="station")
        assert (status, json.loads(body)) == (200, {"error": "Not Found"})

    @pytest.mark.parametrize("dialect", ["engine", "station"])
    def test_of_a_chat_in_its_only_dialect(self, server: Program, dialect: str) -> None:
        so_far = len(server.lines)
        status, head, body = http_request(
            server, path="/v1/chat/completions", X_Moondream_Dialect=dialect
        )
        message = "Field 'messages' must be a non-empty list"
        fields = {"type": "invalid_request_error", "param": "messages", "code": None}
        assert (status, head["content-type"]) == (400, "application/json")
        assert json.loads(body) == {"error": {"message": message, **fields}}
        server.wait_for_line("/v1/chat/completions 400", message, after=so_far)

    def test_a_compressed_body(self, server: Program) -> None:
        status, _, body = http_request(server, Content_Encoding="gzip")
        assert (status, b"should not be compressed" in body) == (415, True)

    def test_a_picture_that_is_too_large(self, server: Program) -> None:
        body = json.dumps(
            {"question": "?", "image_url": "data:image/png;base64," + "A" * 14_000_000}
        )
        status, _, answer = http_request(server, body=body)
        assert (status, b"10,485,760 are allowed" in answer) == (413, True)

    def test_a_body_that_is_too_large(self, server: Program) -> None:
        size = 33 * 1024 * 1024
        head = f"POST /v1/query HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"
        answer = raw(server, head.encode() + bytes(size))
        assert answer.startswith(b"HTTP/1.1 413 ")

    @pytest.mark.parametrize(
        ("header", "value"),
        [
            ("Dialect", "french"),
            ("Match", "none"),
            ("Speed", "0"),
            ("Fragmentation", "-1"),
            ("Fault", "flood"),
            ("Fault", "bom@3"),
        ],
    )
    def test_headers_that_cannot_be_meant(self, server: Program, header: str, value: str) -> None:
        _, error = asked(server, QUERY, **{header: value})
        assert isinstance(error, BadRequestError)
        assert value.partition("@")[0] in error.message

    @pytest.mark.parametrize(
        ("header", "value"),
        [("Fragmentation", "9" * 5000), ("Fault", "9" * 5000), ("Fault", "close@" + "9" * 5000)],
    )
    def test_numbers_of_thousands_of_digits(self, server: Program, header: str, value: str) -> None:
        _, error = asked(server, QUERY, **{header: value})
        assert isinstance(error, BadRequestError)
        assert "should be" in error.message
        assert len(error.message) < 300

    def test_health(self, server: Program) -> None:
        for path in ("/health", "/healthz"):
            assert http_request(server, "GET", path, None)[::2] == (200, b'{"status":"ok"}')
        status, head, body = http_request(server, "HEAD", "/health", None)
        assert (status, head["content-length"], body) == (200, "15", b"")
