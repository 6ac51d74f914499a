"""Secrets in recorded chunks are masked, in any fragmentation."""

from __future__ import annotations

import json
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_moondream.recording import mask_chunks, mask_text
from tests.core.recordings import KEY


class TestMasking:
    @pytest.mark.parametrize(
        ("body", "masked"),
        [
            ('{"org_id": "o-1", "a": "b"}', '{"org_id": "***", "a": "b"}'),
            ('{"org_id":"o-1"}', '{"org_id":"***"}'),
            ('{"orgId" : "o-1"}', '{"orgId" : "***"}'),
            ('{"organization_id": "ö"}', '{"organization_id": "**"}'),
            ('{"org_id": 12345}', '{"org_id": 11111}'),
            ('{"org_id": null, "a": 1}', '{"org_id": null, "a": 1}'),
            ('{"org_id": ["x"]}', '{"org_id": ["x"]}'),
            (r'{"org_id": "o\"1\u0031", "a": "b"}', r'{"org_id": "**********", "a": "b"}'),
            (
                r'{"error": "{\"org_id\": \"o\\u0031\", \"a\": 1}"}',
                r'{"error": "{\"org_id\": \"********\", \"a\": 1}"}',
            ),
            (
                r'{"error": "{\"secret\": \"o\\\"1\", \"a\": \"b\"}"}',
                r'{"error": "{\"secret\": \"******\", \"a\": \"b\"}"}',
            ),
            ('data: {"org_id":\ndata: "o-1"}', 'data: {"org_id":\ndata: "***"}'),
            ('{"org_id": "o-1', '{"org_id": "***'),
            ("no id here", "no id here"),
            ('{"api_key": "a-1", "apiKey":"b"}', '{"api_key": "***", "apiKey":"*"}'),
            (
                '{"x-api-key": "a", "client_secret": "b"}',
                '{"x-api-key": "*", "client_secret": "*"}',
            ),
            ('{"Password": "a", "passphrase": ""}', '{"Password": "*", "passphrase": ""}'),
            ('{"authorization": "Bearer x"}', '{"authorization": "********"}'),
            ('{"access_token": "a", "cookies": "b=c"}', '{"access_token": "*", "cookies": "***"}'),
            ('{"password": -12, "secret": true}', '{"password": 111, "secret": true}'),
            ('{"token": " moon", "key": "k", "author": "a"}',) * 2,
            ('{"completion_tokens": 7, "max_tokens": 8, "api_keys": 9}',) * 2,
        ],
    )
    def test_private_fields(self, body: str, masked: str) -> None:
        assert mask_text(body) == masked
        data = body.encode()
        for split in range(1, len(data)):
            one, other = mask_chunks([data[:split], data[split:]])
            assert (one + other).decode() == masked
            assert len(one) == split

    def test_a_long_secret_in_a_text_of_one_letter(self) -> None:
        """It is everywhere: to compare and to mask each place anew took hours."""
        secret, text = "a" * 8000, "b" + "a" * 20_000 + "…"
        for spelt, size in ((text, 1), (text.replace("a", "\\u0061"), 6)):
            began = process_time()
            assert mask_text(spelt, [secret]) == "b" + "*" * (20_000 * size) + "…"
            assert process_time() - began < 5

    @given(st.lists(st.binary(max_size=9)), st.binary(min_size=1, max_size=9))
    def test_borders_stay(self, chunks: list[bytes], noise: bytes) -> None:
        chunks = [*chunks, noise, b'"org_id": "', noise]
        assert [len(chunk) for chunk in mask_chunks(chunks, ["aaaa", "bcde"])] == [
            len(chunk) for chunk in chunks
        ]

    @pytest.mark.parametrize(
        "spelling", [KEY, json.dumps(KEY)[1:-1], json.dumps(KEY, ensure_ascii=False)[1:-1]]
    )
    def test_secrets_split_over_chunks(self, spelling: str) -> None:
        data = f'data: {{"error": "no such key: {spelling}!"}}\n\n'.encode()
        masked = f'data: {{"error": "no such key: {"*" * len(spelling.encode())}!"}}\n\n'.encode()
        for size in range(1, len(data)):
            chunks = [data[at : at + size] for at in range(0, len(data), size)]
            assert b"".join(mask_chunks(chunks, [KEY])) == masked

    def test_a_secret_that_begins_with_another(self) -> None:
        assert mask_text("key1 key1-2 key", ["key1", "", "key1-2"]) == "**** ****** key"

    @pytest.mark.parametrize("start", ["ffd8ff", "89504e470d0a1a0a", "4749463837", "52494646"])
    def test_pictures_in_hexadecimal_digits(self, start: str) -> None:
        """Of known formats, if they have 20 digits more."""
        start = f"{start}61" if start.startswith("47") else start
        for digits in (start, start.upper()):
            text = f"saw {digits}{'0a' * 10}!"
            assert mask_text(text) == f"saw {'*' * (len(text) - 5)}!"
            for other in (f"saw {digits}{'0a' * 9}b!", f"saw 0{digits}{'0a' * 10}!"):
                assert mask_text(other) == other

    @pytest.mark.parametrize(
        "prefix", ["data:image/heic;base64,", "DATA:;BASE64,", "\\u003bbase64,"]
    )
    def test_data_urls_of_any_format(self, prefix: str) -> None:
        assert mask_text(f"saw {prefix}AAA/8=!") == f"saw {prefix}******!"

    @pytest.mark.parametrize("length", [60, 61])
    def test_the_longest_name_of_a_field(self, length: int) -> None:
        name = "password".rjust(length, "x")
        shown = "*" if length == 60 else "a"
        assert mask_text(f'{{"{name}": "a"}}') == f'{{"{name}": "{shown}"}}'

    def test_secrets_that_every_body_has_somewhere(self) -> None:
        """Masking the key "k" would destroy every "chunk"."""
        body = b'data: {"chunk": "key"}'
        assert mask_chunks([body], ["k", "dat", "key"]) == (body,)
        assert mask_text("abc abcd", ["abc", "abcd"]) == "abc ****"

    def test_a_text_that_happens_to_end_as_a_secret_begins(self) -> None:
        """No limit truncates it, unlike a body or the message of an error."""
        assert mask_text("is this a Bear", ["Bearer x"]) == "is this a Bear"

    @pytest.mark.parametrize("name", ["chunk", "content"])
    def test_what_is_split_over_the_fields_of_one_name(self, name: str) -> None:
        """The JSON between the parts stays."""
        spelt = json.dumps(KEY)[1:-1]
        for at in range(1, len(spelt)):
            if spelt[at - 6 : at].rfind("\\") > 0 or spelt[at - 1] == "\\":
                continue  # a server does not cut inside of an escape
            parts = ["a ", spelt[:at], spelt[at:], " z"]
            records = [f'data: {{"{name}": "{part}", "id": "x"}}\n\n' for part in parts]
            body = "".join(records).encode()
            seen = b"".join(mask_chunks([body[:at], body[at:]], [KEY])).decode()
            for part in parts[1:3]:
                records = [line.replace(f'"{part}"', f'"{"*" * len(part)}"') for line in records]
            assert seen == "".join(records)

    def test_fields_of_other_names_between_the_parts(self) -> None:
        body = b'{"text": "plan", "note": "ted", "text":\ndata: "ted-key"}'
        masked = body.replace(b'"plan"', b'"****"').replace(b'"ted-key"', b'"*******"')
        assert mask_chunks([body], ["planted-key"]) == (masked,)
        assert mask_chunks([body], ["planted-"]) == (masked.replace(b'"*******"', b'"****key"'),)

    def test_one_field_is_not_joined_with_what_follows(self) -> None:
        body = b'{"text": "plan"} ted-key'
        assert mask_chunks([body], ["planted-key"]) == (body,)

    def test_it_is_linear(self) -> None:
        """A pattern that backtracks takes many seconds on these inputs."""
        for hostile in (
            b"\\" * 200_000,
            b'org_id"' * 30_000,
            b'org_id": "' + b"\\" * 200_001,
            b'org_id"' + b" data:" * 35_000,
        ):
            assert len(mask_chunks([hostile])[0]) == len(hostile)
        for hostile in (
            b";base64," * 25_000,
            b";base64," + b"\\" * 200_000,
            b";base64," + b"\n" * 200_000,
            b"/9j" * 80_000,
            b"/9j" + b"\\" * 200_000,
            b"/" * 200_000,
            b"\\" * 200_000 + b"/",
            b'"a":"' * 40_000,
            b'"a":"\\' * 40_000,
            b'"a"' + b" " * 200_000,
            b"ffd8ff" * 30_000,
            b"52494646" * 25_000,
        ):
            assert len(mask_chunks([hostile], pictures=["/" * 32, "+" * 32])[0]) == len(hostile)


def test_a_lone_surrogate_in_a_text_is_replaced() -> None:
    assert mask_text("x\ud83c") == "x?"
