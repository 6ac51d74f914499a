"""Which recordings answer a request, and what is said where none does."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from sansio_moondream import (
    CaptionRequest,
    EncodedImage,
    Endpoint,
    QueryRequest,
    Request,
    Settings,
    encode_image,
)
from sansio_moondream.recording import Match, Matches, RecordingHeader, find_matches
from tests.helpers import PIXEL, REQUESTS

OTHER_PIXEL = encode_image(b"GIF89a\x02\x00\x01\x00\x00\x00\x00;")
PICTURES = [(PIXEL, "1 x 1"), (OTHER_PIXEL, "2 x 1")]
LEVELS = list(Match)


def digest(image: EncodedImage) -> str:
    return hashlib.sha256(image.data).hexdigest()[:8]


def asking(
    request: Request[Any], url: str = "http://localhost:2020/v1", **options: Any
) -> RecordingHeader:
    return RecordingHeader.of(request.to_http(Endpoint(url), **options))


def body(value: Any, path: str = "/v1/query", method: str = "POST") -> RecordingHeader:
    return RecordingHeader(method, path, (), value)


def levels(recorded: RecordingHeader, asked: RecordingHeader) -> list[Match]:
    return [level for level in LEVELS if find_matches(asked, [recorded], level).found]


ALL, ANY_IMAGE, SKILL = LEVELS, LEVELS[1:], LEVELS[2:]
QUERY = QueryRequest(question="What?", image=PIXEL)


@pytest.mark.parametrize(
    ("recorded", "asked", "expected"),
    [
        (asking(QUERY), asking(QUERY), ALL),
        (asking(QUERY), asking(QUERY, "https://api.moondream.test/v1"), ALL),
        (asking(QUERY), asking(QueryRequest(question="What?", image=OTHER_PIXEL)), ANY_IMAGE),
        (asking(QUERY), asking(QueryRequest(question="What?")), SKILL),
        (asking(QUERY), asking(QueryRequest(question="Why?", image=PIXEL)), SKILL),
        (asking(QUERY), asking(QUERY, stream=False), SKILL),
        (
            asking(QUERY),
            asking(QueryRequest(question="What?", image=PIXEL, settings=Settings(temperature=0))),
            SKILL,
        ),
        (asking(QUERY), asking(CaptionRequest(image=PIXEL)), []),
        (body({"a": 1}), body({"a": 1}, method="post"), ALL),
        (body({"a": 1}), body({"a": 1}, method="GET"), []),
    ],
)
def test_levels(recorded: RecordingHeader, asked: RecordingHeader, expected: list[Match]) -> None:
    assert levels(recorded, asked) == levels(asked, recorded) == expected


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("/v1/query", "/v1/query/", True),
        ("/v1/query", "/query", True),
        ("/v1/query", "/moondream/v1/query", True),
        ("/v1/query", "/v2/query", False),
        ("/v1/chat/completions", "/v1/completions", False),
        ("/v1/query", "/v1/requery", False),
        ("/v1/xquery", "/v1/xqueryx", False),
    ],
)
def test_paths(one: str, other: str, same: bool) -> None:
    assert (levels(body({}, one), body({}, other)) == ALL) == same
    assert (levels(body({}, other), body({}, one)) == ALL) == same
    assert bool(find_matches(body({}, one), [body({}, other)], Match.SKILL).found) == (
        one[-6:] == other.rstrip("/")[-6:] != "equery"
    )


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"a": 1, "b": [1, {"c": 2}]}, {"b": [1.0, {"c": 2.0}], "a": 1.0}, True),
        ({"a": None}, {}, True),
        ({"a": {"b": None}}, {"a": {}}, True),
        ({"stream": False}, {}, True),
        ({"stream": None}, {"stream": False}, True),
        ({"stream": None}, {"stream": True}, False),
        ({"stream": True}, {}, False),
        ({"a": {"stream": False}}, {"a": {}}, False),
        ({"a": True}, {"a": 1}, False),
        ({"a": [None]}, {"a": []}, False),
        ({"a": [1, 2]}, {"a": [2, 1]}, False),
        ({"a": []}, {"a": {}}, False),
        ({"a": "1"}, {"a": 1}, False),
        (None, None, True),
        ([], None, False),
        ("text", "text", True),
    ],
)
def test_bodies(one: Any, other: Any, same: bool) -> None:
    assert (
        levels(body(one), body(other)) == levels(body(other), body(one)) == (ALL if same else SKILL)
    )


def test_all_that_match_in_their_order() -> None:
    recorded = [asking(request) for request in (*REQUESTS.values(), QUERY, QUERY)]
    others = len(REQUESTS)
    assert find_matches(asking(QUERY), recorded) == Matches((others, others + 1))
    assert find_matches(asking(QUERY), recorded, Match.SKILL).found == (0, others, others + 1)
    assert find_matches(asking(QUERY), []) == Matches((), None, ())


class TestNearest:
    def test_what_differs(self) -> None:
        recorded = body(
            {
                "question": "What?",
                "settings": {"temperature": 0.5, "top_p": 1},
                "refs": [[0, 1], [2, 3]],
                "new": {"a": "é"},
            }
        )
        asked = body(
            {
                "question": "Why?",
                "settings": {"temperature": 0, "top_p": 1},
                "refs": [[0, 1], [2, 4]],
                "stream": True,
            }
        )
        assert find_matches(asked, [recorded]).differences == (
            "question: recorded 'What?', asked 'Why?'",
            "settings.temperature: recorded 0.5, asked 0",
            "refs[1][1]: recorded 3, asked 4",
            'new: recorded {"a": "é"}, asked nothing',
            "stream: recorded false, asked true",
        )

    def test_method_path_and_a_body_that_is_no_object(self) -> None:
        found = find_matches(body([1], "/v1/caption", "GET"), [body({})])
        assert found.differences == (
            "method: recorded 'POST', asked 'GET'",
            "path: recorded '/v1/query', asked '/v1/caption'",
            'body: recorded {"stream": false}, asked [1]',
        )

    def test_pictures(self) -> None:
        found = find_matches(
            asking(QueryRequest(question="What?", image=OTHER_PIXEL)), [asking(QUERY)]
        )
        shown = [
            f"the picture {digest(image)}… (image/gif, {size}, {len(image.data)} bytes)"
            for image, size in PICTURES
        ]
        assert found.differences == (f"image_url: recorded {shown[0]}, asked {shown[1]}",)
        assert (
            "asked nothing"
            in find_matches(asking(QueryRequest(question="What?")), [asking(QUERY)]).differences[0]
        )

    def test_long_texts_are_shown_where_they_begin_to_differ(self) -> None:
        (difference,) = find_matches(
            body({"q": "moon " * 900 + "!" + "x" * 99}), [body({"q": "moon " * 900})]
        ).differences
        assert difference == f"q: recorded '…moon moon moon ', asked '…moon moon moon !{'x' * 42}…"
        one, other = ("moon " * 20 + letter * 50 for letter in "AB")
        (difference,) = find_matches(body({"q": one}), [body({"q": other})]).differences
        assert difference == (
            f"q: recorded '…moon moon moon {'B' * 43}…, asked '…moon moon moon {'A' * 43}…"
        )
        thirty = "m" * 30
        (difference,) = find_matches(body({"q": thirty}), [body({"q": thirty + "A"})]).differences
        assert difference == f"q: recorded '{thirty}A', asked '{thirty}'"
        (difference,) = find_matches(body({"q": ["x" * 900]}), [body({"q": 1})]).differences
        assert difference == f'q: recorded 1, asked ["{"x" * 58}…'

    @pytest.mark.parametrize(
        ("asked", "nearest"),
        [
            ({"question": "What is in this picture?"}, 1),
            ({"question": "How many?", "stream": True}, 2),
            ({"question": "How many cats are here?"}, 3),
            ({"question": "What is in this image?", "length": 3}, 1),
        ],
    )
    def test_it_is_the_one_with_the_fewest_differences_and_the_most_alike(
        self, asked: Any, nearest: int
    ) -> None:
        recorded = [
            body({"object": "moon"}, "/v1/segment"),
            body({"question": "What is in this image?"}),
            body({"question": "How many?"}),
            body({"question": "How many cats are there?"}),
        ]
        assert find_matches(body(asked), recorded).nearest == nearest
        assert find_matches(body(asked, "/v1/segment"), recorded).nearest == 0
        assert find_matches(body(asked, "/v1/segment", "PUT"), recorded, Match.SKILL).nearest == 0

    def test_a_letter_is_compared_as_one_letter(self) -> None:
        texts = ["ああああ", "ぃぃぃぃ", "ああxxxx"]
        asked, *recorded = [body({"question": text}) for text in texts]
        assert find_matches(asked, recorded).nearest == 1
