"""`decode_result`: a whole answer to its result."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sansio_moondream import (
    Completed,
    Dialect,
    Headers,
    IncompleteStream,
    LimitExceeded,
    Limits,
    NotFoundError,
    QueryResult,
    RateLimitError,
    RemoteProtocolError,
    decode_result,
    encode_error,
    encode_events,
    encode_result,
)
from sansio_moondream.testing import EVENT_STREAM, strategies
from tests.core.strategies import each_skill
from tests.helpers import QUERY, REQUESTS

JSON = Headers({"content-type": "application/json"})


@each_skill
@settings(max_examples=20)
@given(data=st.data())
def test_encoding_undoes_it(skill: str, data: st.DataObject):
    dialect = Dialect.CHAT if skill == "chat" else Dialect.ENGINE
    *_, last = data.draw(strategies.events(skill, dialect))
    assert isinstance(last, Completed)
    sent: Any = last.result
    body = encode_result(sent, dialect)
    seen: Any = decode_result(REQUESTS[skill], body)
    assert encode_result(seen, dialect) == body
    assert seen.metadata.headers == JSON
    assert replace(seen, metadata=sent.metadata) == sent


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bodies_of_each_type(kind: Any):
    assert decode_result(QUERY, kind(b'{"answer": "A moon."}')).text == "A moon."


def test_event_streams():
    body = encode_events([Completed(QueryResult("A moon."))])
    assert decode_result(QUERY, body, headers=EVENT_STREAM).text == "A moon."


def test_errors():
    with pytest.raises(RemoteProtocolError, match="no answer"):
        decode_result(QUERY, b'{"caption": "A moon."}')
    with pytest.raises(RemoteProtocolError, match="empty body"):
        decode_result(QUERY, b"")
    with pytest.raises(IncompleteStream, match="cut short"):
        decode_result(QUERY, b'{"answer": "A')
    with pytest.raises(LimitExceeded, match="max_record_bytes"):
        decode_result(QUERY, b'{"answer": "A"}', limits=Limits(max_record_bytes=14))
    with pytest.raises(RateLimitError, match="slow down"):
        decode_result(QUERY, b'{"error": {"type": "rate_limit_error", "message": "slow down"}}')
    status_code, headers, body = encode_error(NotFoundError("no recording"))
    with pytest.raises(NotFoundError, match="no recording"):
        decode_result(QUERY, body, status_code=status_code, headers=headers)
