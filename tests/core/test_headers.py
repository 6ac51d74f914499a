"""Response headers: names know no case, values are kept, and secrets in them stay out of sight."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from email import message_from_string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_moondream import Headers

PAIRS = [
    ("Content-Type", "text/event-stream"),
    ("Set-Cookie", "a=SECRET"),
    ("set-cookie", "b=2"),
    ("X-Request-Id", "7"),
]
names = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=5)
values = st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=5)


@pytest.mark.parametrize("name", ["content-type", "Content-Type", "CONTENT-TYPE"])
def test_names_know_no_case(name: str):
    headers = Headers(PAIRS)
    assert headers[name] == headers.get(name) == "text/event-stream"
    assert name in headers


def test_what_is_not_there():
    headers = Headers(PAIRS)
    assert headers.get("x-none") is None
    assert headers.get("x-none", "7") == "7"
    assert "x-none" not in headers
    with pytest.raises(KeyError, match="X-None"):
        headers["X-None"]


def test_several_of_a_name_are_joined_and_can_be_had_apart():
    headers = Headers(PAIRS)
    assert headers["Set-Cookie"] == "a=SECRET, b=2"
    assert headers.multi_items() == (
        ("content-type", "text/event-stream"),
        ("set-cookie", "a=SECRET"),
        ("set-cookie", "b=2"),
        ("x-request-id", "7"),
    )


def test_is_a_mapping():
    headers = Headers(PAIRS)
    assert isinstance(headers, Mapping)
    assert list(headers) == ["content-type", "set-cookie", "x-request-id"]
    assert len(headers) == 3
    assert dict(headers)["set-cookie"] == "a=SECRET, b=2"
    assert not Headers()
    match headers:
        case {"content-type": kind}:
            assert kind == "text/event-stream"
        case _:
            pytest.fail("does not match")


@pytest.mark.parametrize(
    "source",
    [
        [("X-Tag", "a"), ("X-Org", "7")],
        (("x-tag", "a"), ("x-org", "7")),
        [(b"X-Tag", b"a"), (b"X-Org", "7")],
        {"X-Tag": "a", "X-Org": "7"},
        iter([("X-Tag", "a"), ("X-Org", "7")]),
        [("X-Tag", " a\t"), ("X-Org", "\t 7")],
        Headers([("X-Tag", "a"), ("X-Org", "7")]),
        message_from_string("X-Tag: a\nX-Org: 7\n\n"),  # what http.client has
    ],
)
def test_taken_from_what_http_clients_have(source: Any):
    assert Headers(source) == Headers([("x-tag", "a"), ("x-org", "7")])


def test_fields_of_a_message_are_kept_apart():
    message = message_from_string("Set-Cookie: a=1\nSet-Cookie: b=2\n\n")
    assert Headers(message).multi_items() == (("set-cookie", "a=1"), ("set-cookie", "b=2"))


def test_of_headers_keeps_them_apart():
    assert Headers(Headers(PAIRS)) == Headers(PAIRS)


def test_every_octet_is_kept():
    assert Headers([(b"X-Name", bytes(range(0x80, 0x100)))])["x-name"].encode("latin-1") == bytes(
        range(0x80, 0x100)
    )


@pytest.mark.parametrize(("name", "value"), [("x", None), (None, "x"), ("x", 7)])
def test_what_is_no_text(name: Any, value: Any):
    with pytest.raises(
        TypeError, match="header names and values are str or bytes, not (NoneType|int)"
    ):
        Headers([(name, value)])


def test_frozen():
    headers: Any = Headers(PAIRS)
    with pytest.raises(TypeError):
        headers["x"] = "y"
    with pytest.raises(AttributeError):
        headers.x = "y"


def test_compared_to_others():
    assert Headers(PAIRS) != Headers(PAIRS[1:])
    assert Headers([("a", "1"), ("b", "2")]) != Headers([("b", "2"), ("a", "1")])
    assert Headers([("a", "1")]) != {"a": "1"}


def test_repr_has_names_only():
    assert repr(Headers(PAIRS)) == "<Headers content-type, set-cookie, x-request-id>"
    assert "SECRET" not in f"{Headers(PAIRS)} {[Headers(PAIRS)]}"


@given(st.lists(st.tuples(names, values), max_size=6))
def test_any(pairs: list[tuple[str, str]]):
    headers = Headers(pairs)
    again = pickle.loads(pickle.dumps(headers))
    assert (again, hash(again)) == (headers, hash(headers))
    assert (
        Headers([(name.encode(), value.encode("latin-1")) for name, value in pairs]).multi_items()
        == headers.multi_items()
    )
    assert len(headers) == len(list(headers)) == len({name.lower() for name, _ in pairs})
    for name, value in pairs:
        assert value.strip(" \t") in headers[name.upper()]
