"""The header of a recording: what it has of a request, and no secret."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest

from sansio_moondream import CaptionRequest, Endpoint, HTTPRequest, QueryRequest
from sansio_moondream.recording import (
    Ending,
    Recording,
    RecordingHeader,
    encode_line,
    mask_chunks,
    mask_text,
)
from tests.core.recordings import KEY
from tests.helpers import PIXEL

PAYLOAD = PIXEL.data_url.partition(",")[2]


ENDPOINT = Endpoint(
    url="https://moondream.test/v1",
    api_key="plain-key",
    headers={"Cookie": "c=1", "Authorization": "Bearer b"},
)


def asked(body: Any) -> Any:
    """Return the recorded body of a request."""
    return RecordingHeader.of(
        HTTPRequest("POST", "http://h/v1/query", (), json.dumps(body).encode())
    ).request_body


class TestHeaderOfAnExchange:
    @pytest.mark.parametrize(
        "name",
        [
            *("cache-control", "connection", "content-encoding", "content-length", "content-type"),
            *("date", "location", "retry-after", "server", "transfer-encoding"),
            *("x-accel-buffering", "x-request-id"),
        ],
    )
    def test_a_harmless_header_of_a_response(self, name: str) -> None:
        request = QueryRequest(question="What?").to_http(ENDPOINT)
        assert RecordingHeader.of(request, 200, [(name, "x")]).response_headers == ((name, "x"),)

    def test_only_harmless_headers(self) -> None:
        response = [
            ("Content-Type", "text/event-stream"),
            ("Set-Cookie", "c=2"),
            ("X-Org-Id", "o1"),
            ("OpenAI-Organization", "o1"),
            ("X-Request-Id", "plain-key-7"),
            ("Retry-After", "3"),
        ]
        header = RecordingHeader.of(
            QueryRequest(question="What?").to_http(ENDPOINT),
            200,
            response,
            seconds=0.5,
            secrets=["plain-key"],
        )
        assert [name for name, _ in header.request_headers] == [
            "accept",
            "accept-encoding",
            "content-type",
            "user-agent",
        ]
        assert header.response_headers == (
            ("content-type", "text/event-stream"),
            ("x-request-id", "*********-7"),
            ("retry-after", "3"),
        )
        assert (header.method, header.path, header.status_code, header.seconds) == (
            "POST",
            "/v1/query",
            200,
            0.5,
        )
        line = encode_line(header)
        for secret in (b"plain-key", b"c=1", b"c=2", b"Bearer", b"o1", b"moondream.test"):
            assert secret not in line

    def test_a_redirect_loses_its_user_and_query(self) -> None:
        request = QueryRequest(question="What?").to_http(ENDPOINT)
        header = RecordingHeader.of(
            request, 307, {"Location": "https://me:pass@host.test/v2?token=t#f"}
        )
        assert header.response_headers == (("location", "https://host.test/v2"),)

    def test_no_response(self) -> None:
        assert (
            RecordingHeader.of(QueryRequest(question="What?").to_http(ENDPOINT)).status_code is None
        )

    def test_pictures_are_described(self) -> None:
        header = RecordingHeader.of(CaptionRequest(image=PIXEL).to_http(ENDPOINT))
        assert header.request_body == {
            "image_url": {
                "sha256": hashlib.sha256(PIXEL.data).hexdigest(),
                "media_type": "image/gif",
                "bytes": len(PIXEL.data),
                "width": 1,
                "height": 1,
            },
            "stream": True,
        }
        assert (
            Recording.decode(Recording(header, (), Ending(0, "TransportError")).encode()).header
            == header
        )

    @pytest.mark.parametrize(
        ("url", "described"),
        [
            (
                "data:image/webp;base64,AAAA",
                {"media_type": "image/webp", "bytes": 3, "width": None},
            ),
            ("DATA:;base64,!", {"media_type": None, "bytes": 1, "width": None}),
            ("data:image/png;base64,a", {"media_type": "image/png", "bytes": 1, "height": None}),
        ],
    )
    def test_pictures_that_are_none(self, url: str, described: dict[str, Any]) -> None:
        """Every data URL may hold a private picture."""
        body = json.dumps({"messages": [{"content": [{"image_url": {"url": url}}]}]}).encode()
        header = RecordingHeader.of(HTTPRequest("POST", "http://h/v1/chat/completions", (), body))
        seen = header.request_body["messages"][0]["content"][0]["image_url"]["url"]
        assert described.items() <= seen.items()

    @pytest.mark.parametrize(
        "text",
        [
            f" {PIXEL.data_url}\n",
            PAYLOAD,
            f"\n{PAYLOAD} ",
            PAYLOAD.rstrip("="),
            base64.encodebytes(PIXEL.data).decode(),
            "\n".join(PAYLOAD[at : at + 10] for at in range(0, len(PAYLOAD), 10)),
            base64.urlsafe_b64encode(PIXEL.data).decode(),
        ],
        ids=["blanks", "bare", "bare, blanks", "no padding", "MIME", "short lines", "of URLs"],
    )
    def test_however_a_picture_is_written_it_is_the_same(self, text: str) -> None:
        assert asked({"image_url": text}) == asked({"image_url": PIXEL.data_url})

    @pytest.mark.parametrize(
        "picture",
        [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"RIFF1234WEBP"],
    )
    def test_base64_of_every_format(self, picture: bytes) -> None:
        data = picture + bytes(range(256))
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(data).decode()
            (seen,) = asked([text])
            assert seen["sha256"] == hashlib.sha256(data).hexdigest()
            assert mask_text(f'"{text}"') == f'"{"*" * len(text)}"'
            assert (
                asked(f"See: {text}!")
                == f"See: [a picture of {len(data)} bytes, sha256 {seen['sha256']}]!"
            )

    def test_pictures_inside_texts(self) -> None:
        digest = hashlib.sha256(PIXEL.data).hexdigest()
        words = f"data:image/gif;base64,[a picture of {len(PIXEL.data)} bytes, sha256 {digest}]"
        seen = asked({"question": f"Hi ![x]({PIXEL.data_url}), ![y]({PIXEL.data_url})?"})
        assert seen == {"question": f"Hi ![x]({words}), ![y]({words})?"}
        assert asked(seen) == seen  # a recorded request can be sent, and recorded, again

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "What?",
            "A" * 100,
            "/9j/, which is how it begins " * 9,
            "Give data:image/png;base64,... or data:image/png;base64,<it>",
            "é",
        ],
    )
    def test_texts_that_are_no_pictures(self, text: str) -> None:
        assert asked(text) == mask_text(text) == text

    def test_a_large_picture(self) -> None:
        """The body has 3 MB. Quadratic work would take minutes."""
        payload = base64.b64encode(b"\xff\xd8\xff\xe0" + bytes(range(256)) * 9_000).decode()
        assert asked(payload)["bytes"] == asked(f"data:;base64,{payload}")["bytes"] == 2_304_004
        assert len(asked(f"See {payload} or data:;base64,{payload}!")) < 400
        assert set(mask_chunks([payload.encode()], pictures=[payload[:32]])[0]) == {ord("*")}

    def test_secrets_in_the_body(self) -> None:
        body = {
            "question": f"my key is {KEY}",
            "org_id": "o-1",
            "orgId": 7,
            "n": 1,
            KEY: [KEY, None, True],
        }
        header = RecordingHeader.of(
            HTTPRequest("POST", f"http://h/{KEY}/query?key={KEY}", (), json.dumps(body).encode()),
            secrets=[KEY],
        )
        masked = "*" * len(KEY.encode())
        assert header.path == f"/{masked}/query"
        assert header.request_body == {
            "question": f"my key is {masked}",
            "org_id": "***",
            "orgId": "*",
            "n": 1,
            masked: [masked, None, True],
        }

    def test_secrets_that_are_numbers(self) -> None:
        body = {"pin": 12345678, "price": 0.5, "count": 1234, "yes": True}
        header = RecordingHeader.of(
            HTTPRequest("POST", "http://h/v1/query", (), json.dumps(body).encode()),
            secrets=["12345678"],
        )
        assert header.request_body == {**body, "pin": "********"}

    @pytest.mark.parametrize(
        ("body", "fault"),
        [
            (b"image=planted-key", "the body of the request is not JSON: .*"),
            (b"[" * 65 + b"]" * 65, "the body of the request nests deeper than 61"),
            (
                b'{"a": [0.5, {"b": -1e999}], "key": "planted-key"}',
                "the numbers in the body of the request should be finite",
            ),
        ],
    )
    def test_a_body_that_cannot_be_recorded(self, body: bytes, fault: str) -> None:
        with pytest.raises(ValueError, match=fault) as caught:
            RecordingHeader.of(
                HTTPRequest("POST", "http://h/v1/query", (), body), secrets=["planted-key"]
            )
        assert "planted-key" not in str(caught.value)
        assert caught.value.__context__ is None
        traceback = caught.value.__traceback__
        while traceback is not None and (traceback := traceback.tb_next) is not None:
            assert "planted-key" not in repr(traceback.tb_frame.f_locals)
