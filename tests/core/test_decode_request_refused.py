"""What `decode_request` refuses, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from sansio_moondream import APIError, BadRequestError, Dialect, NotFoundError, decode_request
from sansio_moondream._server.refusals import refusal
from tests.core.decoding import CHAT_PATH, chat, part, refused
from tests.helpers import PIXEL

URL = PIXEL.data_url
NO_MODEL = "model should be a model's name, text that is not blank and has no lone surrogates, not "
NO_REF = (
    "spatial_refs[0] should be a point (x, y) or a box (x_min, y_min, x_max, y_max) in [0, 1], "
    "not (2, 0)"
)
NO_PART = "Field 'messages[0].content[0]' must be a text or an image"
NO_DETAIL = "Field 'messages[0].content[0].image_url.detail' must be a non-empty string"
NO_COUNT = "Field 'max_completion_tokens' must be a whole number of at least 1"

REFUSED: list[tuple[str, Any, str | None, str]] = [
    ("/query", "not JSON", None, "Invalid JSON body"),
    ("/query", b"\xff", None, "Invalid JSON body"),
    ("/query", '{"question": NaN}', None, "Invalid JSON body"),
    ("/query", "9" * 5000, None, "Invalid JSON body"),
    ("/query", "]" * 100 + "[" * 100, None, "Invalid JSON body"),
    ("/query", "[]", None, "Request body must be an object"),
    ("/query", {}, "question", "Field 'question' must be a string"),
    ("/query", {"question": " "}, "question", "Field 'question' must be a non-empty string"),
    ("/query", {"question": "?", "stream": 1}, "stream", "Field 'stream' must be a boolean"),
    (
        "/query",
        {"question": "?", "reasoning": None},
        "reasoning",
        "Field 'reasoning' must be a boolean",
    ),
    (
        "/query",
        {"question": "?", "settings": []},
        "settings",
        "Field 'settings' must be an object if provided",
    ),
    (
        "/query",
        {"question": "?", "settings": {"top_p": 2}},
        "settings",
        "settings.top_p should be a number above 0 and at most 1, not 2",
    ),
    ("/query", {"question": "?", "model": 7}, "model", NO_MODEL + "7"),
    (
        "/query",
        {"question": "?", "spatial_refs": {}},
        "spatial_refs",
        "Field 'spatial_refs' must be a list",
    ),
    ("/query", {"question": "?", "spatial_refs": [[2, 0]]}, "spatial_refs", NO_REF),
    (
        "/query",
        {"question": "?", "image_url": 7},
        "image_url",
        "Field 'image_url' must be a string",
    ),
    (
        "/query",
        {"question": "?", "image_url": ""},
        "image_url",
        "Invalid data URL: missing payload",
    ),
    (
        "/query",
        {"question": "?", "image_url": "data:image/png;base64,"},
        "image_url",
        "Invalid data URL: missing payload",
    ),
    ("/query", {"question": "?", "image_url": f"{URL}%"}, "image_url", "Invalid base64 image data"),
    (
        "/query",
        {"question": "?", "image_url": "https://x/y.png"},
        "image_url",
        "Invalid base64 image data",
    ),
    (
        "/query",
        {"question": "?", "image_url": "QUJD"},
        "image_url",
        "Field 'image_url' must be a JPEG, PNG, WebP or GIF",
    ),
    ("/caption", {}, "image_url", "Field 'image_url' must be provided"),
    ("/caption", {"length": 7}, "length", "Field 'length' must be a string"),
    (
        "/caption",
        {"image_url": URL, "length": "huge"},
        "length",
        'length should be "short", "normal" or "long", not \'huge\'',
    ),
    ("/segment", {"image_url": URL}, "object", "Field 'object' must be a string"),
    (
        "/segment",
        {"image_url": URL, "object": "x", "spatial_refs": 1},
        "spatial_refs",
        "Field 'spatial_refs' must be a list",
    ),
    ("/detect", {"object": "moon"}, "image_url", "Field 'image_url' must be provided"),
    ("/point", {"object": ""}, "object", "Field 'object' must be a non-empty string"),
    (CHAT_PATH, {}, "messages", "Field 'messages' must be a non-empty list"),
    (CHAT_PATH, {"messages": []}, "messages", "Field 'messages' must be a non-empty list"),
    (CHAT_PATH, {"messages": [7]}, "messages", "Field 'messages[0]' must be an object"),
    (
        CHAT_PATH,
        chat(role="tool"),
        "messages",
        'messages[0].role should be "system", "user" or "assistant", not \'tool\'',
    ),
    (
        CHAT_PATH,
        chat(content=None),
        "messages",
        "messages[0].content should be text, or a list of parts, not NoneType",
    ),
    (CHAT_PATH, part("?"), "messages", NO_PART),
    (CHAT_PATH, part({"type": "text"}), "messages", NO_PART),
    (CHAT_PATH, part({"type": "image_url", "image_url": URL}), "messages", NO_PART),
    (
        CHAT_PATH,
        part({"type": "image_url", "image_url": {}}),
        "messages",
        "Field 'messages[0].content[0].image_url.url' must be a string",
    ),
    (
        CHAT_PATH,
        part({"type": "image_url", "image_url": {"url": "https://x/y"}}),
        "messages",
        "Invalid base64 image data",
    ),
    (
        CHAT_PATH,
        part({"type": "image_url", "image_url": {"url": URL, "detail": " "}}),
        "messages",
        NO_DETAIL,
    ),
    (CHAT_PATH, chat() | {"n": 2}, "n", "Field 'n' must be 1, as there is only one answer"),
    (CHAT_PATH, chat() | {"stream": "yes"}, "stream", "Field 'stream' must be a boolean"),
    (CHAT_PATH, chat() | {"reasoning": "high"}, "reasoning", "Field 'reasoning' must be a boolean"),
    (
        CHAT_PATH,
        chat() | {"temperature": -1},
        "temperature",
        "temperature should be a number of at least 0, not -1",
    ),
    (CHAT_PATH, chat() | {"model": " "}, "model", NO_MODEL + "' '"),
    *(
        (CHAT_PATH, chat() | {"max_completion_tokens": count}, "max_completion_tokens", NO_COUNT)
        for count in (0, True, 1.5, 2**63)
    ),
]


class TestRefusals:
    @pytest.mark.parametrize(("path", "body", "param", "message"), REFUSED)
    def test_of_a_body(self, path: str, body: Any, param: str | None, message: str):
        error = refused(body, path)
        assert (type(error), error.status_code) == (BadRequestError, 400)
        assert (error.message, error.param) == (message, param)
        assert error.type == "invalid_request_error"

    @pytest.mark.parametrize(
        "path", ["", "/", "/v1", "/v1/models", "/v1/query/", "/completions", "/v1/Query", "/chat"]
    )
    def test_of_a_path(self, path: str):
        error = refused({}, path)
        assert (type(error), error.status_code) == (NotFoundError, 404)
        assert (error.message, error.type) == ("Not Found", "not_found_error")

    def test_of_a_path_by_the_station(self):
        error = refused({}, "/v1/fly", dialect=Dialect.STATION)
        assert error.message == "Function 'fly' not available"
        assert (type(error), error.status_code) == (NotFoundError, 404)
        assert len(refused({}, "/" + "x" * 1000, dialect=Dialect.STATION).message) < 120

    def test_of_a_method(self):
        for method in ("GET", "post"):
            with pytest.raises(APIError, match="Method Not Allowed") as caught:
                decode_request(method, "/v1/query", (), b"{}")
            assert (type(caught.value), caught.value.status_code) == (APIError, 405)
            assert caught.value.type == "invalid_request_error"
        with pytest.raises(NotFoundError):
            decode_request("GET", "/v1/models", (), b"")

    @pytest.mark.parametrize(
        ("status_code", "type_"),
        [
            (418, "invalid_request_error"),
            (422, "invalid_request_error"),
            (499, "invalid_request_error"),
            (500, "server_error"),
            (503, "overloaded_error"),
            (504, "server_error"),
        ],
    )
    def test_of_other_statuses_as_serve_simulates_them(self, status_code: int, type_: str):
        error = refusal(status_code, "no", "x")
        assert (error.type, error.status_code, error.param) == (type_, status_code, "x")

    def test_of_a_compressed_body(self):
        with pytest.raises(APIError, match="should not be compressed.*'gzip'") as caught:
            decode_request("POST", "/query", [(b"content-encoding", b"GZip")], b"\x1f\x8b")
        assert (caught.value.status_code, caught.value.type) == (415, "invalid_request_error")
