"""Endpoints: keys, and the addresses they may be sent to."""

from __future__ import annotations

import copy
import json
import pickle
import traceback
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from sansio_moondream import Endpoint, Request
from tests.core.endpoints import KEY, QUERY, headers_of
from tests.helpers import REQUESTS


def body_of(request: Request[Any], endpoint: Endpoint | None = None, **options: Any) -> Any:
    return json.loads(request.to_http(endpoint or Endpoint(), **options).body)


class TestKey:
    def test_is_sent(self):
        assert headers_of(Endpoint(api_key=KEY))["X-Moondream-Auth"] == KEY

    @pytest.mark.parametrize("spelling", [f"{KEY}\n", f"{KEY}\r\n", f" {KEY}\t", f"\n{KEY}"])
    def test_from_a_file_with_its_line_end(self, spelling: str, tmp_path: Path):
        (tmp_path / "key").write_text(spelling, newline="")
        endpoint = Endpoint(api_key=(tmp_path / "key").read_text())
        assert headers_of(endpoint)["X-Moondream-Auth"] == endpoint.api_key == KEY
        assert endpoint == Endpoint(api_key=KEY)

    @pytest.mark.parametrize("key", [None, "", " \n"])
    def test_none(self, key: str | None):
        assert Endpoint(api_key=key) == Endpoint()
        assert Endpoint(api_key=key).api_key is None
        assert "X-Moondream-Auth" not in headers_of(Endpoint(api_key=key))

    def test_is_in_no_repr(self):
        endpoint = Endpoint(
            api_key=KEY,
            headers={"Authorization": f"Bearer {KEY}", "X-Org": KEY},
            user_agent_suffix="mine/1.0",
        )
        shown = "<Endpoint https://api.moondream.ai/v1, with a key, headers: Authorization, X-Org>"
        assert repr(endpoint) == str(endpoint) == f"{endpoint}" == shown
        assert repr(Endpoint("http://[::1]:2020/v1")) == "<Endpoint http://[::1]:2020/v1>"
        for holder in ([endpoint], {"to": endpoint}, QUERY.to_http(endpoint)):
            assert KEY not in repr(holder)

    @pytest.mark.parametrize(
        "options",
        [
            {"api_key": f"{KEY}\r\nX-Evil: 1"},
            {"api_key": f"{KEY}\x00"},
            {"api_key": f"{KEY} \u20ac"},
            {"api_key": f"{KEY}\n{KEY}"},
            {"api_key": KEY.encode()},
            {"api_key": [KEY]},
            {"api_key": KEY, "url": "http://example.com"},
            {"api_key": KEY, "url": f"https://user:{KEY}@example.com/v1"},
            {"url": f"https://{KEY}@example.com/v1"},
            {"url": f"https://user:{KEY}@ex\u2100mple.com/v1"},
            {"url": f"https://user:{KEY}@[::1/v1"},
            {"url": f"https://example.com:{KEY}/v1"},
            {"url": f"https://example.com/v1?key={KEY}"},
            {"url": f"https://example.com/v1#{KEY}"},
            {"url": f"user:{KEY}@example.com/v1"},
            {"headers": {f"Authorization: Bearer {KEY}": ""}},
            {"headers": {"Authorization": f"Bearer {KEY}\n"}},
            {"headers": {"Authorization": f"Bearer {KEY}".encode()}},
            {"headers": {"Authorization": f"Bearer {KEY}"}, "url": "http://example.com"},
            {"headers": [(KEY,)]},
            {"headers": [("Authorization", KEY, "")]},
            {"headers": [KEY]},
            {"headers": KEY},
            {"url": KEY},
        ],
    )
    def test_is_in_no_error(self, options: Any):
        with pytest.raises((ValueError, TypeError)) as caught:
            Endpoint(**options)
        shown = "".join(traceback.format_exception(caught.value)) + repr(
            caught.value
        )  # with all that it was caused by
        assert KEY.lower() not in shown.lower()
        frames = [frame.f_locals for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
        assert KEY.lower() not in repr(frames[1:]).lower()  # the first is of this test

    @pytest.mark.parametrize("headers", [None, 5, "X-Org", b"ab", [("X-Org",)], iter([("a", "b")])])
    def test_headers_that_are_no_pairs_are_a_type_error_in_words(self, headers: Any):
        with pytest.raises(TypeError, match="headers should be a mapping, or a tuple of pairs"):
            Endpoint(headers=headers)

    def test_survives_pickling_for_another_process_of_ones_own(self):
        endpoint = Endpoint(
            "https://example.com/v1/",
            api_key=f"{KEY}\n",
            headers={"X-Org": "7"},
            user_agent_suffix="mine/1.0",
        )
        for again in (pickle.loads(pickle.dumps(endpoint)), copy.deepcopy(endpoint)):
            assert (again, hash(again)) == (endpoint, hash(endpoint))
            assert headers_of(again) == headers_of(endpoint)


LOOPBACK = [
    "http://localhost",
    "http://LOCALHOST:2020/v1",
    "http://localhost.:2020/v1",
    "http://station.localhost:2020/v1",
    "http://127.0.0.1:2020/v1",
    "http://127.8.9.10",
    "http://[::1]:2020/v1",
    "http://[0:0:0:0:0:0:0:1]/v1",
    "HTTP://[::1]",
]


ELSEWHERE = [
    "http://api.moondream.ai/v1",
    "http://192.168.0.7:2020/v1",
    "http://0.0.0.0:2020/v1",
    "http://[::]/v1",
    "http://[fe80::1]/v1",
    "http://127.0.0.1.example.com/v1",
    "http://127.0.0.1.",
    "http://127.999.0.1",
    "http://2130706433",
    "http://localhost.example.com",
    "http://evillocalhost",
    "http://localhosts",
    "HTTP://example.com",
]


class TestPlainHTTP:
    @pytest.mark.parametrize("url", LOOPBACK)
    def test_a_key_may_go_to_this_machine(self, url: str):
        assert headers_of(Endpoint(url, api_key=KEY))["X-Moondream-Auth"] == KEY

    @pytest.mark.parametrize("url", ELSEWHERE)
    def test_and_nowhere_else(self, url: str):
        with pytest.raises(
            ValueError,
            match="a key would go to .* over plain http, .*: use https, or allow_insecure_key=True",
        ) as caught:
            Endpoint(url, api_key=KEY)
        assert KEY not in str(caught.value)

    @pytest.mark.parametrize("url", ELSEWHERE)
    def test_unless_that_is_meant(self, url: str):
        assert (
            headers_of(Endpoint(url, api_key=KEY, allow_insecure_key=True))["X-Moondream-Auth"]
            == KEY
        )

    @pytest.mark.parametrize("url", ELSEWHERE)
    def test_without_a_key_it_is_nobodys_business(self, url: str):
        assert Endpoint(url, headers={"X-Org": "7"}).url == url

    @pytest.mark.parametrize(
        "name",
        ["X-Moondream-Auth", "x-moondream-auth", "Authorization", "Proxy-Authorization", "COOKIE"],
    )
    def test_a_key_in_a_header_is_a_key(self, name: str):
        with pytest.raises(ValueError, match=r"a key would go to example\.com over plain http"):
            Endpoint("http://example.com", headers={name: KEY})
        assert headers_of(Endpoint("http://localhost", headers={name: KEY}))[name] == KEY
        assert headers_of(Endpoint("https://example.com", headers={name: KEY}))[name] == KEY
        assert (
            headers_of(
                Endpoint("http://example.com", headers={name: KEY}, allow_insecure_key=True)
            )[name]
            == KEY
        )


class TestModel:
    @pytest.mark.parametrize("skill", REQUESTS)
    def test_is_the_default_of_every_request(self, skill: str):
        request = REQUESTS[skill]
        assert body_of(request, Endpoint(model="moon-1"))["model"] == "moon-1"
        own = replace(request, model="moon-2")
        assert body_of(own, Endpoint(model="moon-1")) == body_of(own)
        assert body_of(own)["model"] == "moon-2"

    @pytest.mark.parametrize("skill", REQUESTS)
    def test_none_is_named_without_one(self, skill: str):
        default = "moondream3-preview" if skill == "chat" else None
        assert body_of(REQUESTS[skill]).get("model") == default

    def test_extra_body_replaces_it(self):
        body = body_of(REQUESTS["query"], Endpoint(model="moon-1"), extra_body={"model": "moon-3"})
        assert body["model"] == "moon-3"

    def test_in_the_repr(self):
        shown = "<Endpoint https://api.moondream.ai/v1, with a key, headers: X-Org, model: moon-1>"
        assert repr(Endpoint(api_key=KEY, headers={"X-Org": "7"}, model="moon-1")) == shown
        assert repr(Endpoint(model="moon-1")) == (
            "<Endpoint https://api.moondream.ai/v1, model: moon-1>"
        )

    @pytest.mark.parametrize(
        ("model", "kind", "shown"),
        [("", ValueError, "''"), (" ", ValueError, "' '"), (b"moon-1", TypeError, "bytes")],
    )
    def test_is_checked_like_that_of_a_request(self, model: Any, kind: Any, shown: str):
        words = f"^model should be a model's name, text that is not blank .*, not {shown}$"
        for make in (Endpoint, partial(replace, REQUESTS["query"])):
            with pytest.raises(kind, match=words):
                make(model=model)


def test_default_is_the_service():
    assert Endpoint() == Endpoint("https://api.moondream.ai/v1")
    assert Endpoint() != Endpoint("https://api.moondream.ai/v2")
    assert Endpoint(api_key=KEY) != Endpoint()


def test_frozen_and_matchable():
    endpoint = Endpoint("http://localhost:2020/v1", api_key=KEY)
    with pytest.raises(AttributeError):
        endpoint.url = "http://elsewhere"  # type: ignore[misc]
    match endpoint:
        case Endpoint(url, str(key)):
            assert (url, key) == ("http://localhost:2020/v1", KEY)
        case _:
            pytest.fail("does not match")
