"""Streams in the state that a test starts from."""

from __future__ import annotations

from typing import Any

from sansio_moondream import QueryResult, ResponseStream, TextDelta
from sansio_moondream.testing import EVENT_STREAM
from tests.helpers import QUERY, delta

A, B = TextDelta("a", 1), TextDelta("b", 2)
AB = delta("a", 1) + delta("b", 2)


def opened(data: bytes = b"") -> ResponseStream[QueryResult]:
    stream = ResponseStream(QUERY)
    stream.receive_response(200, EVENT_STREAM)
    stream.receive_data(data)
    return stream


def drain(stream: ResponseStream[Any]) -> list[Any]:
    return list(stream.events())
