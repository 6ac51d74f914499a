"""`to_public`: what a reader may see of a value."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from sansio_moondream import (
    APIError,
    BBox,
    Completed,
    ConnectError,
    Endpoint,
    Headers,
    Metadata,
    MoondreamError,
    NotFoundError,
    PathChunk,
    QueryRequest,
    QueryResult,
    ReasoningDelta,
    ResponseStream,
    ServerError,
    TextDelta,
    Unknown,
    Value,
    from_dict,
    json_schema,
)
from sansio_moondream.relay import to_public
from sansio_moondream.testing.strategies import values
from tests.core.relays import fewer
from tests.helpers import REQUESTS

COOKIE = Headers({"set-cookie": "secret=1"})
ADDRESS = "http://10.0.0.7:2020/api/query"
KINDS = [reference["$ref"].removeprefix("#/$defs/") for reference in json_schema()["oneOf"]]
ERRORS = [kind for kind in KINDS if kind.endswith(("error", "timeout", "exceeded", "lost"))]


class TestToPublic:
    @pytest.mark.parametrize(
        "value",
        [
            TextDelta("a", 1),
            PathChunk("M 0 0"),
            ReasoningDelta("a"),
            BBox(0, 0, 1, 1),
            Unknown({"headers": [["a", "b"]], "url": ADDRESS}),
            Completed(QueryResult("a")),
            QueryResult("a", metadata=Metadata(request_id="1")),
            Metadata(request_id="1"),
            REQUESTS["query"],
        ],
    )
    def test_returns_a_value_itself_that_has_nothing_to_hide(self, value: Value) -> None:
        assert to_public(value) is value

    def test_empties_the_headers_of_a_result(self) -> None:
        metadata = Metadata(request_id="1", headers=COOKIE)
        expected = Metadata(request_id="1")
        assert to_public(metadata) == expected
        result = QueryResult("a", metadata=metadata, partial=True)
        assert to_public(result) == QueryResult("a", metadata=expected, partial=True)
        assert to_public(Completed(result)) == Completed(to_public(result))

    def test_keeps_of_an_api_error_what_the_server_says(self) -> None:
        partial = QueryResult("a", metadata=Metadata(headers=COOKIE), partial=True)
        error = ServerError(
            "busy",
            status_code=503,
            type="overloaded_error",
            code="c",
            param="p",
            retry_after=2.5,
            headers=COOKIE,
            body='{"error":"busy"}',
            partial=partial,
            request_id="31",
            method="POST",
            url=ADDRESS,
        )
        public = to_public(error)
        assert type(public) is ServerError
        assert vars(public) == {
            "message": "busy",
            "status_code": 503,
            "type": "overloaded_error",
            "code": "c",
            "param": "p",
            "retry_after": 2.5,
            "headers": None,
            "body": "",
            "partial": QueryResult("a", partial=True),
            "request_id": "31",
            "method": None,
            "url": None,
        }

    def test_drops_the_hint_for_the_operator(self) -> None:
        request = QueryRequest(question="?")
        stream = ResponseStream(request, sent=request.to_http(Endpoint("http://10.0.0.7:2020/api")))
        stream.receive_response(404, {"content-type": "application/json"})
        stream.receive_data(b'{"error":"Not Found"}')
        stream.receive_eof()
        with pytest.raises(NotFoundError, match=r"10\.0\.0\.7") as caught:
            stream.result()
        assert to_public(caught.value).message == "Not Found"

    @pytest.mark.parametrize("status_code", [300, 399])
    def test_drops_the_target_of_a_redirect(self, status_code: int) -> None:
        public = to_public(APIError(f"it redirects to {ADDRESS}", status_code=status_code))
        assert public.message == (
            "the upstream server redirects to another address, which is not followed"
        )

    def test_drops_the_words_of_a_proxy(self) -> None:
        public = to_public(APIError(f"squid at {ADDRESS}", status_code=407))
        assert public.message == "a proxy before the upstream server refuses this server"

    @pytest.mark.parametrize("status_code", [200, 299, 400, 406, 408])
    def test_keeps_the_words_of_other_statuses(self, status_code: int) -> None:
        assert to_public(APIError("gone", status_code=status_code)).message == "gone"

    def test_gives_any_other_error_a_message_of_its_class(self) -> None:
        error = ConnectError(f"{ADDRESS}: refused", request_id="31", method="POST", url=ADDRESS)
        error.__cause__ = OSError(ADDRESS)
        public = to_public(error)
        assert type(public) is ConnectError
        assert str(public) == "the upstream server cannot be reached [request 31]"
        assert (public.method, public.url, public.__cause__) == (None, None, None)

    @pytest.mark.parametrize("kind", ERRORS)
    def test_each_class_of_errors_has_words(self, kind: str) -> None:
        data = ConnectError(ADDRESS, partial=QueryResult("a", partial=True)).to_dict()
        api = dict.fromkeys(("type", "code", "param", "retry_after", "headers"))
        data |= api | {"status_code": 400, "body": ADDRESS}
        fields = json_schema(kind)["$defs"][kind]["properties"]
        error = from_dict({name: (data | {"kind": kind})[name] for name in fields})
        assert isinstance(error, MoondreamError)
        public = to_public(error)
        assert type(public) is type(error)
        assert public.retryable == error.retryable
        assert public.partial == error.partial
        assert public.message
        assert isinstance(error, APIError) == (public.message == ADDRESS)

    def test_an_error_of_another_class_becomes_its_nearest_known_one(self) -> None:
        class Refused(ConnectError):
            pass

        class Busy(ServerError):
            def __init__(self) -> None:
                super().__init__("busy", status_code=503)

        assert type(to_public(Refused(ADDRESS))) is ConnectError
        assert type(to_public(Busy())) is ServerError
        assert to_public(Busy()).message == "busy"

    @given(value=values())
    @fewer
    def test_is_public_already_the_second_time(self, value: Value) -> None:
        public = to_public(value)
        assert to_public(public).to_dict() == public.to_dict()
        text = json.dumps(public.to_dict())
        assert "set-cookie" not in text
