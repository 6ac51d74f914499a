"""JSON nests as deep as `Limits.max_json_depth`, and no deeper."""

from __future__ import annotations

import pytest

from sansio_moondream import (
    IncompleteStream,
    LimitExceeded,
    Limits,
    NotFoundError,
    TextDelta,
)
from sansio_moondream.testing import EVENT_STREAM, run
from tests.helpers import END, QUERY, check_fragmentations, delta

JSON = {"content-type": "application/json"}


def test_a_depth_that_could_exhaust_the_stack_is_refused():
    assert Limits(max_json_depth=200).max_json_depth == 200
    with pytest.raises(ValueError, match=r"max_json_depth must be at most 200, not 201: a deeper"):
        Limits(max_json_depth=201)


class TestDepth:
    def nested(self, depth: int, inside: str = "", *, brackets: str = "[]") -> bytes:
        opening, closing = ('{"a":', "}") if brackets == "{}" else tuple(brackets)
        return (
            f'data: {{"chunk": "x", "note": {opening * depth}{inside or 1}{closing * depth}}}\n\n'
        ).encode()

    @pytest.mark.parametrize("brackets", ["[]", "{}"])
    def test_to_the_limit_and_not_beyond(self, brackets: str):
        assert check_fragmentations(QUERY, self.nested(63, brackets=brackets) + END).error is None
        outcome = check_fragmentations(QUERY, delta("a") + self.nested(64, brackets=brackets) + END)
        assert outcome.events == [TextDelta("a")]
        assert type(outcome.error) is LimitExceeded
        assert "a message nested deeper than Limits.max_json_depth (64)" in str(outcome.error)

    def test_brackets_in_strings_do_not_nest(self):
        assert (
            check_fragmentations(QUERY, self.nested(3, '"' + "[{" * 80 + '\\"[[[\\\\"') + END).error
            is None
        )

    def test_many_siblings_do_not_nest(self):
        assert (
            check_fragmentations(QUERY, self.nested(3, ",".join(["[]", "{}"] * 50)) + END).error
            is None
        )

    def test_siblings_at_the_limit(self):
        """There are more brackets than the limit allows, so the decoder counts their depth."""
        assert check_fragmentations(QUERY, self.nested(62, "[],[]") + END).error is None
        assert (
            type(check_fragmentations(QUERY, self.nested(63, "[],[]") + END).error) is LimitExceeded
        )

    @pytest.mark.parametrize("bracket", [b"[", b'{"a":'])
    def test_a_hundred_thousand(self, bracket: bytes):
        for chunk in (b'data: {"chunk": ', b'data: {"chunk": "a", "x": ', b"data: "):
            outcome = run(QUERY, [delta("a") + chunk + bracket * 100_000 + b"\n\n"])
            assert outcome.events == [TextDelta("a")]
            assert type(outcome.error) is LimitExceeded

    def test_in_a_json_body(self):
        outcome = run(QUERY, [b'{"answer": "x", "note": ' + b"[" * 100_000], headers=JSON)
        assert type(outcome.error) is LimitExceeded

    def test_in_an_error_body_it_is_text(self):
        outcome = run(QUERY, [b"[" * 10_000], status_code=404, headers=EVENT_STREAM)
        assert type(outcome.error) is NotFoundError

    def test_an_unclosed_string_at_the_end_of_input(self):
        assert (
            type(
                run(
                    QUERY, [b'data: {"chunk": "' + b"[" * 100], limits=Limits(max_json_depth=2)
                ).error
            )
            is IncompleteStream
        )
