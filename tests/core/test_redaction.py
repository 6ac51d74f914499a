"""Secrets in recorded chunks are masked, in any fragmentation."""

from __future__ import annotations

import json

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
            ('data: {"org_id":\ndata: "o-1"}', 'data: {"org_id":\ndata: "***"}'),
            ('{"org_id": "o-1', '{"org_id": "***'),
            ("no id here", "no id here"),
        ],
    )
    def test_organisation_ids(self, body: str, masked: str) -> None:
        assert mask_text(body) == masked
        data = body.encode()
        for split in range(1, len(data)):
            one, other = mask_chunks([data[:split], data[split:]])
            assert (one + other).decode() == masked
            assert len(one) == split

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

    def test_secrets_that_every_body_has_somewhere(self) -> None:
        """Masking the key "k" would destroy every "chunk"."""
        body = b'data: {"chunk": "key"}'
        assert mask_chunks([body], ["k", "dat", "key"]) == (body,)
        assert mask_text("abc abcd", ["abc", "abcd"]) == "abc ****"

    def test_a_text_that_happens_to_end_as_a_secret_begins(self) -> None:
        """No limit truncates it, unlike a body or the message of an error."""
        assert mask_text("is this a Bear", ["Bearer x"]) == "is this a Bear"

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
        ):
            assert len(mask_chunks([hostile], pictures=["/" * 32, "+" * 32])[0]) == len(hostile)
