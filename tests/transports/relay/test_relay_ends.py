"""The sync relay: what is no proper end of a stream."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from moondream_transports.relay import relay
from sansio_moondream import Completed, Event, LocalProtocolError, QueryResult, TextDelta

from .exchanges import records


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("error", [SystemExit, GeneratorExit])
def test_what_ends_the_thread_is_no_end(error: type[BaseException]):
    def events() -> Iterator[Event]:
        yield TextDelta("A")
        raise error

    first, last = relay(events())
    assert [first] == records(TextDelta("A"))
    assert b"server_stopping" in last


def test_an_application_that_is_called_again():
    response = relay([Completed(QueryResult("A"))])
    assert b"completed" in b"".join(response({}, lambda *_: None))
    with pytest.raises(LocalProtocolError, match="make one for each request"):
        response({}, lambda *_: None)
