"""`Recorder`: no secret reaches a recording."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode, encodebytes
from typing import Any

import pytest

from sansio_moondream import ConnectError, ConnectionLost, HTTPRequest
from sansio_moondream.recording import Chunk
from tests.core.recorders import KEY, recorded, recorder
from tests.helpers import END, PIXEL, delta

BODY = delta("A") + delta(" moon") + END


class TestSecrets:
    def test_the_key_of_the_request_needs_no_saying(self) -> None:
        body = f'data: {{"error": "no such key: {KEY}", "why": "{KEY}"}}\n\n'.replace(
            "/", "\\/", 1
        ).encode()
        for size in (1, 5, len(body)):
            recording = recorded(
                [body[at : at + size] for at in range(0, len(body), size)],
                {"X-Request-Id": f"for {KEY}"},
            )
            seen = recording.encode() + b"".join(chunk.data for chunk in recording.chunks)
            assert b"0123456789" not in seen
            assert recording.header.response_headers == (("x-request-id", "for " + "*" * len(KEY)),)
            assert sum(len(chunk.data) for chunk in recording.chunks) == len(body)

    @pytest.mark.parametrize("split", range(4, len(KEY)))
    def test_a_secret_that_the_end_truncates(self, split: int) -> None:
        assert recorded([b"no such key: ", KEY[:split].encode()]).chunks[1].data == b"*" * split
        error = ConnectionLost(f"it began with '{KEY[:split]}…', and then {KEY[:split]}")
        assert (
            recorded([], error=error).ending.message
            == f"it began with '{'*' * split}…', and then {'*' * split}"
        )

    def test_error_texts(self) -> None:
        assert (
            recorded([], error=OSError(f"key {KEY}")).ending.message
            == f"OSError: key {'*' * len(KEY)}"
        )
        secret = recorder(["word"]).receive_error(ConnectError(f"word {KEY}"), 101)
        assert secret.ending.message == f"**** {'*' * len(KEY)}"

    @pytest.mark.parametrize(
        ("header", "secrets"),
        [
            (("Authorization", "Bearer b-e-a-r-e-r"), ["b-e-a-r-e-r"]),
            (("Authorization", "planted b-e-a-r-e-r"), ["planted b-e-a-r-e-r", "b-e-a-r-e-r"]),
            (("authorization", "b-e-a-r-e-r "), ["b-e-a-r-e-r"]),
            (("Proxy-Authorization", "Basic dTpw"), ["dTpw"]),
            (("Proxy-Authorization", "Basic dTpwNHNzd29yZA=="), ["dTpwNHNzd29yZA==", "p4ssword"]),
            (("Authorization", "Basic cGxhbnRlZDo="), ["planted:", "planted"]),
            (("Authorization", "Basic no-base64!"), ["no-base64!"]),
            (
                ("Cookie", "theme=dark; session=c00kie-c00kie"),
                ["theme=dark; session=c00kie-c00kie", "c00kie-c00kie"],
            ),
            (("Cookie", " "), []),
            (("X-API-Key", "planted"), ["planted"]),
            (("apikey", "planted"), ["planted"]),
            (("Ocp-Apim-Subscription-Key", "planted"), ["planted"]),
            (("X-Access-Token", "Token planted"), ["planted"]),
            (("X-Client-Secret", "planted"), ["planted"]),
            (("X-Auth", "planted"), ["planted"]),
        ],
    )
    def test_headers_that_are_secret(self, header: tuple[str, str], secrets: list[str]) -> None:
        made = recorder(request=HTTPRequest("POST", "http://h/v1/query", (header,), b"{}"))
        made.receive_response(200, (), 101)
        for secret in secrets:
            made.receive_data(secret.encode(), 102)
        made.receive_data(b"dark", 102)
        *chunks, dark = made.receive_eof(103).chunks
        assert [set(chunk.data) for chunk in chunks] == [{ord("*")}] * len(secrets)
        assert dark.data == b"dark"

    @pytest.mark.parametrize(
        "query",
        [
            "api_key=pl%2Fnt+d",
            "a=1&apikey=pl/nt%20d#f",
            "access_token=pl/nt+d",
            "?key=pl%2Fnt%20d",
            "api%5Fkey=pl/nt+d",
            "auth=pl/nt%20d",
        ],
    )
    def test_secrets_in_the_query(self, query: str) -> None:
        url = f"http://h/v1/query?{query}".replace("??", "?")
        made = recorder(request=HTTPRequest("POST", url, (), b'{"question": "pl/nt d"}'))
        made.receive_response(401, (), 101)
        made.receive_data(f'{{"detail": "no pl/nt d", "url": "{url}"}}'.encode(), 102)
        recording = made.receive_eof(103)
        assert b"pl/nt" not in recording.encode()
        assert b"nt+d" not in recording.encode()
        assert b"pl%2F" not in recording.encode()
        assert recording.header.request_body == {"question": "*******"}

    @pytest.mark.parametrize(
        ("url", "header"),
        [
            ("http://h/v1/query?max_tokens=planted&token=&b", ("X-Author", "planted")),
            ("http://h/planted", (":authority", "planted")),
            ("http://h/v1/query#api_key=planted", ("X-Monkey", "planted")),
            ("http://h/v1/query?token=null", ("X-Auth-Needed", "true")),
            ("http://h/v1/query?token=k", ("X-Api-Key", "key")),
        ],
    )
    def test_what_is_no_secret(self, url: str, header: tuple[str, str]) -> None:
        made = recorder(request=HTTPRequest("POST", url, (header,), b"{}"))
        made.receive_response(200, (), 101)
        body = b'{"author": "planted", "key": [true, null]}'
        made.receive_data(body, 102)
        assert made.receive_eof(103).chunks == (Chunk(1, body),)

    def test_the_secrets_of_the_body_are_masked_in_the_answer(self) -> None:
        body = {"question": "What?", "deep": [{"openai_api_key": "planted"}], "token": " moon"}
        http = HTTPRequest("POST", "http://h/v1/query", (), json.dumps(body).encode())
        made = recorder(request=http)
        made.receive_response(401, (), 101)
        made.receive_data(b"no such key: planted moon", 102)
        recording = made.receive_eof(103)
        assert recording.chunks == (Chunk(1, b"no such key: ******* moon"),)
        assert recording.header.request_body == {**body, "deep": [{"openai_api_key": "*******"}]}

    @pytest.mark.parametrize("value", [None, True, 12, ["a", 1], {"b": "c"}])
    def test_private_fields_of_a_request_of_any_type(self, value: Any) -> None:
        http = HTTPRequest("POST", "http://h/v1", (), json.dumps({"password": value}).encode())
        shown = value if value is None or value is True else "*" * len(str(value))
        assert recorder(request=http).leave(101).header.request_body == {"password": shown}


class TestEchoes:
    """Some servers send back the refused values. The 422 of FastAPI has the whole `input`."""

    HEIC = b64encode(
        b"\x00\x00\x00\x18ftypheic" + bytes(range(255, 0, -1))
    ).decode()  # of no known format

    def echoed(self, image_url: Any, echo: str) -> list[bytes]:
        """Return the recorded body of the answer, split in two chunks at each possible offset."""
        http = HTTPRequest(
            "POST", "http://h/v1/query", (), json.dumps({"image_url": image_url}).encode()
        )
        seen: list[bytes] = []
        for split in range(1, len(echo), 7):
            made = recorder(request=http)
            made.receive_response(422, (), 101)
            made.receive_data(echo[:split].encode(), 101)
            made.receive_data(echo[split:].encode(), 101)
            chunks = made.receive_eof(102).chunks
            assert [len(chunk.data) for chunk in chunks] == [split, len(echo) - split]
            seen.append(b"".join(chunk.data for chunk in chunks))
        return seen

    @pytest.mark.parametrize(
        "spelt", [{}, {"/": "\\/"}, {"+": "\\u002B"}, {"/": "\\\\\\/", "=": "\\u003d"}], ids=str
    )
    @pytest.mark.parametrize(
        "payload",
        [b64encode(b"\xff\xd8\xff\xe0" + bytes(range(255, 0, -1))).decode(), HEIC],
        ids=["JPEG", "HEIC"],
    )
    def test_a_picture_that_is_sent_back(self, payload: str, spelt: dict[str, str]) -> None:
        def spelled(text: str) -> str:
            return "".join(spelt.get(character, character) for character in text)

        url = f"data:image/jpeg;base64,{payload}"
        for image_url in (url, [None, 1, {"url": url}]):
            for sent in (spelled(payload), spelled(payload)[:100]):
                for before in (spelled("data:image/jpeg;base64,"), ""):
                    for seen in self.echoed(
                        image_url, f'{{"input": "{before}{sent}", "loc": ["body"]}}'
                    ):
                        start = 11 + len(before)
                        assert seen[11:start].decode() == before
                        assert set(seen[start : start + len(sent) - 6]) == {
                            ord("*")
                        }  # "\\u00" of a split escape may be left
                        assert seen.endswith(b'", "loc": ["body"]}')

    @pytest.mark.parametrize("upper", [False, True])
    @pytest.mark.parametrize(
        "payload",
        [b64encode(b"\xff\xd8\xff\xe0" + bytes(range(255, 0, -1))).decode(), HEIC],
        ids=["JPEG", "HEIC"],
    )
    def test_a_picture_in_hexadecimal_digits(self, payload: str, upper: bool) -> None:
        digits = b64decode(payload).hex()
        sent = digits.upper() if upper else digits
        for seen in self.echoed(f"data:;base64,{payload}", f'{{"input": "{sent}"}}'):
            assert seen.decode() == f'{{"input": "{"*" * len(sent)}"}}'

    def test_a_data_url_that_is_not_base64(self) -> None:
        text = "<svg>" + "moon " * 9
        for seen in self.echoed(f"data:image/svg+xml,{text}", f"saw {text}."):
            assert seen.decode() == f"saw {'*' * 34}{text[34:]}."  # to the end of the word

    def test_a_picture_in_lines(self) -> None:
        lines = encodebytes(b"\x89PNG\r\n\x1a\n" + bytes(range(180))).decode()
        body = json.dumps({"input": lines, "why": "no"})
        for seen in self.echoed(lines, body):
            assert seen.decode() == json.dumps(
                {"input": "*" * (len(json.dumps(lines)) - 4), "why": "no"}
            ).replace('**",', '**\\n",')

    def test_events_behind_a_picture_stay(self) -> None:
        body = f"data: {PIXEL.data_url}\n\n{delta('A').decode()}"
        for seen in self.echoed(None, body):
            assert seen.endswith(b"**\n\n" + delta("A"))


class TestPeeking:
    """What is shown of a recording that is being made."""

    def peeked(self, *chunks: bytes) -> list[bytes]:
        """Return what is seen of each chunk, and check that the recording is not changed by it."""
        made, plain = recorder(), recorder()
        for each in (made, plain):
            each.receive_response(200, {}, 101)
        seen = made.peek_chunks()
        assert seen == ()
        for now, chunk in enumerate(chunks, 102):
            made.receive_data(chunk, now)
            plain.receive_data(chunk, now)
            seen = made.peek_chunks()
            assert seen == made.peek_chunks()
        now = 103 + len(chunks)
        recording = made.receive_eof(now)
        assert recording == plain.receive_eof(now)
        assert made.peek_chunks() == ()
        assert [each.seconds for each in seen] == [each.seconds for each in recording.chunks]
        return [each.data for each in seen]

    def test_a_secret_over_chunks(self) -> None:
        half = KEY[:9].encode()
        assert self.peeked(b"no ", half) == [b"no ", b"*" * 9]
        assert self.peeked(half, KEY[9:].encode()) == [b"*" * 9, b"*" * (len(KEY) - 9)]
        assert self.peeked(half, b", no") == [half, b", no"]

    def test_a_secret_over_the_values_of_a_field(self) -> None:
        """Its beginning is masked before the rest is there: the next delta may have it."""
        for size in (4, 9, len(KEY) - 1):
            first, masked = delta(f"no {KEY[:size]}"), delta(f"no {'*' * size}")
            assert self.peeked(first) == [masked]
            assert self.peeked(first, delta(KEY[size:])) == [masked, delta("*" * len(KEY[size:]))]
            assert self.peeked(first, delta("!")) == [first, delta("!")]
        assert self.peeked(delta(KEY[:3])) == [delta(KEY[:3])]
        assert recorded([delta(KEY[:9])]).chunks[0].data == delta(KEY[:9])

    def test_a_body_that_cannot_be_recorded(self) -> None:
        made = recorder()
        made.receive_response(200, {}, 101)
        made.receive_data(b"\x1f\x8bdata", 102)
        assert made.peek_chunks() == ()
        assert made.receive_eof(103).chunks == ()
