"""`HTTPRequest` as a value."""

from __future__ import annotations

import pickle

import pytest

from sansio_moondream import CaptionRequest, Endpoint, HTTPRequest
from tests.core.requests import BIG, LOCAL
from tests.helpers import REQUESTS


class TestHTTPRequest:
    def test_is_a_value(self):
        http = REQUESTS["query"].to_http(Endpoint(api_key="KEY"))
        again = pickle.loads(pickle.dumps(http))
        assert (again, hash(again)) == (http, hash(http))
        assert http != REQUESTS["query"].to_http(LOCAL)
        with pytest.raises(AttributeError):
            http.url = "https://elsewhere"  # type: ignore[misc]

    def test_matchable(self):
        match REQUESTS["caption"].to_http(LOCAL):
            case HTTPRequest("POST", url, headers, body):
                assert url == "http://localhost:2020/v1/caption"
                assert dict(headers)["Content-Type"] == "application/json"
                assert body.startswith(b'{"image_url":"data:image/gif;base64,')
            case other:
                pytest.fail(repr(other))

    def test_repr_has_neither_key_nor_picture(self):
        http = CaptionRequest(image=BIG).to_http(
            Endpoint(api_key="SECRET", headers={"X-Org": "SECRET"})
        )
        assert repr(http) == (
            "<HTTPRequest POST https://api.moondream.ai/v1/caption, headers: Accept, "
            "Accept-Encoding, Content-Type, User-Agent, "
            "X-Moondream-Auth, X-Org; body of 10,000,053 bytes>"
        )
        assert "SECRET" not in str(http)
