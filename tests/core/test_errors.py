"""The tree of errors: what each `except` catches, and errors that cross processes."""

from __future__ import annotations

import copy
import inspect
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, get_type_hints

import pytest

import sansio_moondream
from sansio_moondream import (
    APIError,
    AuthenticationError,
    BadRequestError,
    BBox,
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    FirstEventTimeout,
    Headers,
    IdleTimeout,
    IncompleteStream,
    LimitExceeded,
    LocalProtocolError,
    Metadata,
    MoondreamError,
    NotFoundError,
    PayloadTooLargeError,
    PaymentRequiredError,
    PermissionDeniedError,
    QueryResult,
    RateLimitError,
    RemoteProtocolError,
    ResponseStream,
    SegmentResult,
    ServerError,
    TLSError,
    TotalTimeout,
    TransportError,
    TurnTimeout,
    Value,
)
from tests.helpers import QUERY, delta, record

PARENTS: dict[type[MoondreamError], tuple[type, ...]] = {
    MoondreamError: (Exception, Value),
    LocalProtocolError: (MoondreamError,),
    RemoteProtocolError: (MoondreamError,),
    LimitExceeded: (RemoteProtocolError,),
    APIError: (MoondreamError,),
    BadRequestError: (APIError,),
    AuthenticationError: (APIError,),
    PaymentRequiredError: (APIError,),
    PermissionDeniedError: (APIError,),
    NotFoundError: (APIError,),
    PayloadTooLargeError: (APIError,),
    RateLimitError: (APIError,),
    ServerError: (APIError,),
    TransportError: (MoondreamError,),
    ConnectError: (TransportError,),
    TLSError: (TransportError,),
    ConnectTimeout: (TransportError, TimeoutError),
    FirstEventTimeout: (TransportError, TimeoutError),
    IncompleteStream: (MoondreamError,),
    ConnectionLost: (IncompleteStream,),
    IdleTimeout: (IncompleteStream, TimeoutError),
    TotalTimeout: (IncompleteStream, TimeoutError),
    TurnTimeout: (TotalTimeout,),
}
PARTIAL = SegmentResult(
    "M0 0",
    BBox(0, 0, 1, 1),
    metadata=Metadata(headers=Headers({"Server": "engine"}), extra={"org_id": "7"}),
)
each_class = pytest.mark.parametrize("class_", PARENTS, ids=lambda class_: class_.__name__)


def make(class_: type[MoondreamError]) -> MoondreamError:
    about: dict[str, Any] = {
        "partial": PARTIAL,
        "request_id": "31",
        "method": "POST",
        "url": "http://localhost:2020/v1/query",
    }
    if issubclass(class_, APIError):
        about |= {
            "status_code": 429,
            "type": "rate_limit_error",
            "code": "slow_down",
            "param": "image_url",
            "retry_after": 7.5,
            "headers": Headers([("Retry-After", "7.5"), ("Set-Cookie", "a"), ("Set-Cookie", "b")]),
            "body": '{"error": …',
        }
    return class_("the words", **about)


def test_the_tree_is_all_there_is():
    public = {
        value
        for value in vars(sansio_moondream).values()
        if inspect.isclass(value) and issubclass(value, BaseException)
    }
    assert public == set(PARENTS)


@each_class
def test_parents(class_: type[MoondreamError]):
    assert class_.__bases__ == PARENTS[class_]
    assert issubclass(class_, OSError) is (TimeoutError in PARENTS[class_] or class_ is TurnTimeout)


@each_class
def test_attributes(class_: type[MoondreamError]):
    error = make(class_)
    assert error.args == ("the words",)
    assert error.message == "the words"
    assert (error.partial, error.request_id) == (PARTIAL, "31")
    assert (error.method, error.url) == ("POST", "http://localhost:2020/v1/query")
    plain = class_()
    assert (plain.message, plain.partial, plain.request_id) == ("", None, None)
    assert (plain.method, plain.url) == (None, None)
    assert vars(plain).keys() == {name for name in get_type_hints(class_) if name[0] != "_"}
    with pytest.raises(TypeError, match="positional"):
        class_("the words", PARTIAL)  # type: ignore[call-arg]


@each_class
def test_picklable_with_all_they_carry(class_: type[MoondreamError]):
    error = make(class_)
    protocols = range(pickle.HIGHEST_PROTOCOL + 1)
    pickled = [pickle.loads(pickle.dumps(error, protocol)) for protocol in protocols]
    for again in (*pickled, copy.copy(error)):
        assert type(again) is class_
        assert (str(again), repr(again), again.args) == (str(error), repr(error), error.args)
        assert vars(again) == vars(error)
        assert vars(again).keys() >= {"message", "partial", "request_id", "method", "url"}


@each_class
def test_notes_and_causes_work_as_on_any_exception(class_: type[MoondreamError]):
    with pytest.raises(class_) as caught:
        raise make(class_) from ValueError("the cause")
    caught.value.add_note("seen on Tuesday")
    assert repr(caught.value.__cause__) == "ValueError('the cause')"
    assert pickle.loads(pickle.dumps(caught.value)).__notes__ == ["seen on Tuesday"]


def _fail(class_: type[MoondreamError]) -> None:
    raise make(class_)


def test_they_come_out_of_a_process_pool():
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        for class_ in (RateLimitError, IdleTimeout):
            with pytest.raises(class_) as caught:
                pool.submit(_fail, class_).result()
            assert vars(caught.value).items() >= vars(make(class_)).items()


@each_class
def test_str(class_: type[MoondreamError]):
    words = (
        "the server answered 429 rate_limit_error: the words"
        if issubclass(class_, APIError)
        else "the words"
    )
    error = make(class_)
    assert str(error) == f"{words} [POST http://localhost:2020/v1/query, request 31]"
    error.request_id = None
    assert str(error) == f"{words} [POST http://localhost:2020/v1/query]"
    error.method = error.url = None
    assert str(error) == words
    error.request_id = "3" * 100
    assert str(error) == f"{words} [request {'3' * 100}]"
    error.request_id = "3" * 101
    assert str(error) == f"{words} [request {'3' * 100}…]"
    assert repr(error) == f"{class_.__name__}('the words')"


RETRYABLE = {ConnectError, ConnectTimeout, RateLimitError, ServerError, TurnTimeout}


@each_class
def test_retryable(class_: type[MoondreamError]):
    assert class_("the words").retryable is (class_ in RETRYABLE)
    assert make(class_).retryable is (class_ in RETRYABLE)


@pytest.mark.parametrize(
    ("class_", "status_code", "code", "expected"),
    [
        (RateLimitError, 429, "429", True),
        (ServerError, 500, None, True),
        (ServerError, 503, "busy", True),
        (ServerError, 504, None, False),
        (ServerError, 524, None, False),
        (ServerError, 200, "504", False),
        (ServerError, 200, "524", False),
        (ServerError, 200, "5040", True),
        (RateLimitError, 200, "408", False),
        (APIError, 408, None, False),
        (APIError, 302, None, False),
    ],
)
def test_timeouts_of_gateways_are_not_retryable(
    class_: type[APIError], status_code: int, code: str | None, expected: bool
):
    """The request may be running behind the gateway."""
    assert class_("late", status_code=status_code, code=code).retryable is expected


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        ({"status_code": 503}, "the server answered 503: busy"),
        (
            {"status_code": 200, "type": "overloaded_error"},
            "the server answered 200 overloaded_error: busy",
        ),
        ({"type": "t" * 100}, f"the server answered 0 {'t' * 100}: busy"),
        ({"type": "t" * 101}, f"the server answered 0 {'t' * 100}…: busy"),
        ({"method": "POST"}, "the server answered 0: busy [POST]"),
    ],
)
def test_str_of_an_api_error(about: dict[str, Any], expected: str):
    assert (
        vars(ServerError()).items()
        >= {"status_code": 0, "message": "", "type": None, "retry_after": None, "body": ""}.items()
    )
    error = ServerError("busy", **about)
    assert str(error) == expected
    assert error.message == "busy"


class TestExcept:
    """These are handlers as programs write them."""

    def stream(
        self,
        *data: bytes,
        status_code: int = 200,
        headers: Any = (("content-type", "text/event-stream"),),
    ) -> str:
        stream = ResponseStream(QUERY)
        stream.receive_response(status_code, headers)
        for chunk in data:
            stream.receive_data(chunk)
        stream.receive_eof()
        return stream.result().text

    def test_what_arrived_can_be_shown(self):
        shown = ""
        try:
            shown = self.stream(delta("The "), delta("moon"))
        except IncompleteStream as error:
            if isinstance(error.partial, QueryResult):
                shown = f"{error.partial.text} ... ({error})"
        assert shown.startswith("The moon ... (the stream ended without its end-of-stream message")

    def test_wait_and_try_again(self):
        waited: list[float] = []
        try:
            self.stream(b"slow down", status_code=429, headers={"Retry-After": "7"})
        except RateLimitError as error:
            waited.append(error.retry_after or 1)
        assert waited == [7.0]

    def test_the_whole_family(self):
        for data in (b"", record({"error": "boom"}), b"data: {\n\n", record({"chunk": "x"})):
            with pytest.raises(MoondreamError):
                self.stream(data)

    @pytest.mark.parametrize(
        "class_", [ConnectTimeout, FirstEventTimeout, IdleTimeout, TotalTimeout]
    )
    def test_timeouts_are_timeouts(self, class_: type[MoondreamError]):
        for wanted in (TimeoutError, OSError, MoondreamError):
            with pytest.raises(wanted, match="the words") as caught:
                raise make(class_)
            assert type(caught.value) is class_
        assert not isinstance(make(class_), ConnectionError)
        assert make(class_).errno is None  # type: ignore[attr-defined]

    def test_no_answer_and_a_partial_answer_differ(self):
        assert not issubclass(ConnectTimeout, IncompleteStream)
        assert not issubclass(IdleTimeout, TransportError)
        assert not issubclass(ConnectionLost, OSError)

    def test_exception_groups(self):
        caught: list[MoondreamError] = []
        try:
            raise ExceptionGroup("of a task group", [make(RateLimitError), ValueError("other")])
        except* APIError as group:
            caught += [error for error in group.exceptions if isinstance(error, APIError)]
        except* ValueError:
            pass
        assert [type(error) for error in caught] == [RateLimitError]
