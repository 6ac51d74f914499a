"""`decode_request`: requests from bytes, and what the service refuses."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sansio_moondream import (
    BadRequestError,
    CaptionRequest,
    ChatMessage,
    ChatRequest,
    DecodedRequest,
    Dialect,
    EncodedImage,
    PayloadTooLargeError,
    QueryRequest,
    Request,
    Settings,
    decode_request,
)
from sansio_moondream.testing import strategies
from tests.core.decoding import CHAT_PATH, decoded, part, refused
from tests.core.strategies import each_skill
from tests.helpers import LOCAL, PIXEL, QUERY, REQUESTS

URL = PIXEL.data_url


def as_sent(request: Request[Any]) -> Request[Any]:
    """Return a request with what its body says of it: a chat names its model in any case."""
    if not isinstance(request, ChatRequest):
        return request
    sampling = None if request.settings == Settings() else request.settings
    return replace(request, model=request.model or "moondream3-preview", settings=sampling)


class TestUndone:
    @each_skill
    @settings(max_examples=20)
    @given(data=st.data())
    def test_decoding_undoes_it(self, skill: str, data: st.DataObject):
        request = data.draw(strategies.requests(skill))
        stream = data.draw(st.booleans())
        more = data.draw(st.sampled_from([{}, {"variant": None, "seed": [1, {"a": 0.5}]}]))
        http = request.to_http(LOCAL, stream, more)
        seen = decode_request(http.method, http.url, http.headers, http.body, Dialect.STATION)
        assert seen == DecodedRequest(as_sent(request), stream and request.streams, more)
        again = seen.request.to_http(LOCAL, seen.stream, seen.extra_body)
        assert json.loads(again.body) == json.loads(http.body)
        assert (again.url, again.headers) == (http.url, http.headers)

    @pytest.mark.parametrize("prefix", ["", "/", "/v1/", "/moondream/v1/", "http://localhost/v1/"])
    @each_skill
    def test_the_path_decides_with_any_prefix(self, skill: str, prefix: str):
        http = REQUESTS[skill].to_http(LOCAL)
        path = http.url.removeprefix(f"{LOCAL.url}/")
        seen = decode_request("POST", f"{prefix}{path}?a=/detect", http.headers, http.body)
        assert seen.request == as_sent(REQUESTS[skill])

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_bodies_of_each_type(self, kind: Any):
        body = b'\xef\xbb\xbf {"question": "\xe6\x9c\x88?"}'
        seen = decode_request("POST", "/query", {"Content-Encoding": "identity"}, kind(body))
        assert seen == DecodedRequest(QueryRequest(question="月?"), False, {})

    def test_null_is_absence(self):
        body = {"question": "?", "image_url": None, "settings": None, "model": None}
        assert decoded(body | {"spatial_refs": None}).request == QueryRequest(question="?")
        nulls = dict.fromkeys(["model", "reasoning", "stream", "temperature", "top_p"])
        chat = {"messages": [{"role": "user", "content": "?"}], "max_completion_tokens": None}
        seen = decoded(chat | nulls, CHAT_PATH)
        assert seen == DecodedRequest(ChatRequest(messages=[ChatMessage("user", "?")]), False, {})

    def test_what_requests_do_not_know(self):
        more = {"variant": "x", "n": 1}
        own = {"question": "?", "settings": {"temperature": 0.5, "seed": 7}, "stream": True}
        expected = QueryRequest(question="?", settings=Settings(temperature=0.5))
        assert decoded(own | more) == DecodedRequest(expected, True, more)
        part = {"type": "text", "text": "?", "cache": True}
        message = {"role": "user", "content": [part], "name": "Ada"}
        seen = decoded({"messages": [message], "stop": ["."], "max_tokens": 9}, CHAT_PATH)
        assert seen.request == ChatRequest(messages=[ChatMessage("user", ["?"])])
        assert seen.extra_body == {"stop": ["."], "max_tokens": 9}
        assert (
            repr(seen)
            == f"<DecodedRequest {seen.request!r}, stream=False, extra: stop, max_tokens>"
        )
        assert repr(decoded({"question": "?"})).endswith(", stream=False>")
        with pytest.raises(AttributeError, match="immutable"):
            seen.stream = True  # type: ignore[misc]

    @pytest.mark.parametrize("body", ['"text": "\\ud800"', '"more": {"x": "\\ud800"}'])
    def test_lone_surrogates_are_replaced(self, body: str):
        seen = decoded('{"question": "\\ud83c\\udf19\\ud83c", ' + body + "}")
        assert seen.request == QueryRequest(question="\U0001f319\ufffd")
        assert b"\xef\xbf\xbd" in seen.request.to_http(LOCAL, extra_body=seen.extra_body).body

    @pytest.mark.parametrize(
        "text",
        [
            URL.partition(",")[2],
            f"data:image/gif,{URL.partition(',')[2]}",
            f"data:image/x;base64,{URL.partition(',')[2]}",
        ],
    )
    def test_pictures_in_other_forms(self, text: str):
        request = decoded({"image_url": text}, "/caption").request
        assert isinstance(request, CaptionRequest)
        assert request.image.data == PIXEL.data
        assert request.image.data_url in (URL, text)

    def test_pictures_of_a_chat(self):
        image = {"url": URL, "detail": "low", "more": 1}
        parts = [{"type": "image_url", "image_url": image}, {"type": "text", "text": "?"}]
        sent: Any = decoded({"messages": [{"role": "user", "content": parts}]}, CHAT_PATH).request
        assert sent.messages == (ChatMessage("user", [EncodedImage(URL, "low"), "?"]),)

    def test_detect_and_point_never_stream(self):
        body = {"image_url": URL, "object": "moon", "stream": True}
        assert not decoded(body, "/detect").stream
        assert not decoded(body, "/point").stream
        assert decoded(body, "/segment").stream

    def test_a_question_with_reasoning_is_streamed_by_the_station_only(self):
        body = {"question": "?", "reasoning": True, "stream": True}
        error = refused(body)
        assert error.message == "Streaming is not supported when reasoning is enabled"
        assert (error.status_code, error.param) == (400, None)
        assert refused(body, dialect=Dialect.CLOUD).message == error.message
        assert decoded(body, dialect=Dialect.STATION).stream
        assert not decoded(body | {"stream": False}).stream
        chat = {"messages": [{"role": "user", "content": "?"}], "reasoning": True, "stream": True}
        assert decoded(chat, CHAT_PATH).stream


class TestSizes:
    @pytest.mark.parametrize(
        ("size", "fits"), [(10 * 1024 * 1024, True), (10 * 1024 * 1024 + 1, False)]
    )
    def test_of_a_picture(self, size: int, fits: bool):
        url = f"data:image/gif;base64,{base64.b64encode(b'GIF89a'.ljust(size)).decode()}"
        if fits:
            assert decoded({"image_url": url}, "/caption").request == CaptionRequest(
                image=EncodedImage(url)
            )
            return
        error = refused({"image_url": url}, "/caption")
        assert (type(error), error.param) == (PayloadTooLargeError, "image_url")
        assert error.message == "The image has 10,485,761 bytes, and 10,485,760 are allowed"
        assert error.type == "request_too_large"

    def test_of_the_rest(self):
        body = b'{"question": "'
        whole = body + b"x" * (1024 * 1024 - len(body) - 2) + b'"}'
        assert decoded(whole).request == QueryRequest(question="x" * (1024 * 1024 - 16))
        error = refused(whole + b" ")
        assert isinstance(error, PayloadTooLargeError)
        assert error.message == "the request has more than 1,048,576 bytes besides pictures"
        assert refused(whole[:-2] + b" " * 9).status_code == 413  # an open text
        big = base64.b64encode(b"GIF89a".ljust(2_000_000)).decode()
        picture = f"data:image/gif;base64,{big}"
        assert decoded({"question": "?", "image_url": big}).request != QueryRequest(question="?")
        message = part({"type": "image_url", "image_url": {"url": picture}})
        assert decoded(message, CHAT_PATH).request.skill == "chat"
        for name in (f"data:{big}", big):  # no picture is a name
            assert refused({"question": "?", name: 1}).status_code == 413
        assert refused({"question": f"see {picture}"}).status_code == 413

    @pytest.mark.parametrize("count", [9_992, 9_993])
    def test_of_the_number_of_values(self, count: int):
        # The strings "question", "?" and "more", one comma, and two pairs of brackets are counted.
        body = b'{"question": "?", "more": [%s]}' % b",".join([b"0"] * count)
        if count == 9_992:
            assert decoded(body).extra_body == {"more": [0] * count}
        else:
            error = refused(body)
            assert error.message == "the JSON has more than about 10,000 values"
            assert error.status_code == 413

    @pytest.mark.parametrize("text", ["a", "\\", '"', '""', '\\"', '\\\\"'])
    def test_of_the_number_of_texts(self, text: str):
        # Each is a value, and so is each comma.
        body = {"question": "?", "more": [text] * 4_996}
        assert decoded(body).extra_body == {"more": [text] * 4_996}
        body["more"] = [text] * 4_997
        assert refused(body).message == "the JSON has more than about 10,000 values"

    def test_of_brackets_inside_of_texts(self):
        more = {str(at): "[,{," * 5 for at in range(3_000)}
        assert decoded({"question": "?", "more": more}).extra_body == {"more": more}

    @pytest.mark.parametrize("escape", ["\\", '"'])
    def test_escapes_are_no_part_of_a_picture(self, escape: str):
        body = {"question": "?", "more": "data:" + escape * 400_000}
        assert decoded(body).extra_body
        body["more"] = "data:" + escape * 600_000
        assert refused(body).status_code == 413

    @pytest.mark.parametrize("values", [b'"",', b"{},", b'"\\\\\\"",'])
    def test_of_many_values(self, values: bytes):
        assert refused(b'{"x": [' + values * 300_000 + b"0]}").status_code == 413

    def test_of_the_depth(self):
        body = '{"question": "?", "more": %s}'
        assert decoded(body % ("[" * 60 + "]" * 60)).extra_body
        assert refused(body % ("[" * 61 + "]" * 61)).message == "Invalid JSON body"
        assert decoded(body % json.dumps("[{" * 100)).extra_body == {"more": "[{" * 100}


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(URL),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
    max_leaves=6,
)


@each_skill
@settings(max_examples=30)
@given(data=st.data())
def test_no_body_raises_another_error(skill: str, data: st.DataObject):
    http = data.draw(strategies.requests(skill)).to_http(LOCAL)
    body: dict[str, Any] = json.loads(http.body)
    name = data.draw(st.sampled_from([*body, "spatial_refs", "settings", "n", "top_p"]))
    body[name] = data.draw(JSON_VALUES)
    try:
        seen = decode_request("POST", http.url, http.headers, json.dumps(body).encode())
    except BadRequestError:
        return
    assert seen.extra_body.keys().isdisjoint(json.loads(http.body).keys() - {name})
    again = seen.request.to_http(LOCAL, seen.stream, seen.extra_body)
    assert decode_request("POST", http.url, (), again.body).request == as_sent(seen.request)


def test_the_query_of_the_helpers_is_the_simplest():
    assert decoded(QUERY.to_http(LOCAL, stream=False).body) == DecodedRequest(QUERY, False, {})
