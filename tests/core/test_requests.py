"""Requests: the body and the head that are sent for each skill."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict

from sansio_moondream import (
    BBox,
    CaptionRequest,
    DetectRequest,
    EncodedImage,
    Endpoint,
    Point,
    PointRequest,
    QueryRequest,
    Request,
    SegmentRequest,
    Settings,
    __version__,
)
from sansio_moondream.testing import strategies
from tests.core.requests import LOCAL, body_of
from tests.helpers import OWN, PIXEL, REQUESTS

URL = PIXEL.data_url


class TestBody:
    @pytest.mark.parametrize(
        ("request_", "body"),
        [
            (QueryRequest(question="What?"), {"question": "What?", "stream": True}),
            (
                QueryRequest(question="What?", image=PIXEL),
                {"question": "What?", "image_url": URL, "stream": True},
            ),
            (
                QueryRequest(
                    question="月の光?",
                    image=PIXEL,
                    reasoning=False,
                    spatial_refs=[(0.5, 0.25), (0, 0, 1, 1)],
                    settings=Settings(temperature=0.5, top_p=0.3, max_tokens=64, max_objects=3),
                    model="moondream3-preview/FINETUNE@7",
                ),
                {
                    "question": "月の光?",
                    "image_url": URL,
                    "reasoning": False,
                    "spatial_refs": [[0.5, 0.25], [0, 0, 1, 1]],
                    "settings": {
                        "temperature": 0.5,
                        "top_p": 0.3,
                        "max_tokens": 64,
                        "max_objects": 3,
                    },
                    "model": "moondream3-preview/FINETUNE@7",
                    "stream": True,
                },
            ),
            (
                QueryRequest(question="What?", reasoning=True),
                {"question": "What?", "reasoning": True, "stream": True},
            ),
            (CaptionRequest(image=PIXEL), {"image_url": URL, "stream": True}),
            (
                CaptionRequest(image=PIXEL, length="short"),
                {"image_url": URL, "length": "short", "stream": True},
            ),
            (
                CaptionRequest(image=PIXEL, length="normal"),
                {"image_url": URL, "length": "normal", "stream": True},
            ),
            (
                CaptionRequest(image=PIXEL, length="long"),
                {"image_url": URL, "length": "long", "stream": True},
            ),
            (
                SegmentRequest(image=PIXEL, object="moon"),
                {"image_url": URL, "object": "moon", "stream": True},
            ),
            (
                SegmentRequest(image=PIXEL, object="moon", spatial_refs=[Point(0.5, 0.5)]),
                {"image_url": URL, "object": "moon", "spatial_refs": [[0.5, 0.5]], "stream": True},
            ),
            (DetectRequest(image=PIXEL, object="moon"), {"image_url": URL, "object": "moon"}),
            (
                DetectRequest(image=PIXEL, object="moon", settings=Settings(max_objects=5)),
                {"image_url": URL, "object": "moon", "settings": {"max_objects": 5}},
            ),
            (
                PointRequest(image=PIXEL, object="moon", spatial_refs=[BBox(0, 0, 0.5, 1)]),
                {"image_url": URL, "object": "moon", "spatial_refs": [[0, 0, 0.5, 1]]},
            ),
        ],
    )
    def test_exactly(self, request_: Request[Any], body: dict[str, Any]):
        assert body_of(request_) == body

    def test_bytes(self):
        """The body is JSON for strict readers: UTF-8, without spaces and NaN."""
        request = QueryRequest(question='a "月"\n', settings=Settings(temperature=0))
        expected = '{"question":"a \\"月\\"\\n","settings":{"temperature":0},"stream":true}'
        assert request.to_http(LOCAL).body == expected.encode()

    def test_a_data_url_with_characters_that_json_escapes(self):
        image = EncodedImage(URL.replace(";base64,", ';name="a\\月\x01";base64,'))
        assert body_of(QueryRequest(image=image, question="?"))["image_url"] == image.data_url

    @pytest.mark.parametrize("skill", ["query", "caption", "segment"])
    def test_without_streaming(self, skill: str):
        assert body_of(REQUESTS[skill], stream=False)["stream"] is False

    @pytest.mark.parametrize("skill", ["detect", "point"])
    @pytest.mark.parametrize("stream", [True, False])
    def test_skills_that_answer_whole_say_nothing_of_streams(self, skill: str, stream: bool):
        assert "stream" not in body_of(REQUESTS[skill], stream=stream)

    def test_empty_settings_are_the_servers_own(self):
        assert body_of(QueryRequest(question="?", settings=Settings()))["settings"] == {}

    def test_extra_body_adds_and_replaces(self):
        extra = {"variant": "b", "question": "other", "settings": {"seed": 1}, "note": None}
        body = body_of(QueryRequest(question="?", settings=Settings(top_p=1)), extra_body=extra)
        assert body == {
            "question": "other",
            "variant": "b",
            "settings": {"seed": 1},
            "note": None,
            "stream": True,
        }

    def test_extra_body_is_left_as_it_is(self):
        extra = {"variant": "b"}
        QueryRequest(question="?").to_http(LOCAL, extra_body=extra)
        assert extra == {"variant": "b"}

    def test_extra_body_that_is_no_json(self):
        with pytest.raises(TypeError, match="the body of a request holds JSON values, not object"):
            QueryRequest(question="?").to_http(LOCAL, extra_body={"x": object()})

    def test_subclasses_of_what_json_has(self):
        """Numbers of NumPy and enumerations of strings are such subclasses."""

        class Fraction(float):
            pass

        class Count(int):
            pass

        class Name(str):
            __slots__ = ()

        class Kind(StrEnum):
            MOON = "moon"

        request = QueryRequest(
            question=Name("?"),
            spatial_refs=[(Fraction(0.5), Count(1))],
            settings=Settings(top_p=Fraction(0.5)),
        )
        assert body_of(request) == {
            "question": "?",
            "spatial_refs": [[0.5, 1]],
            "settings": {"top_p": 0.5},
            "stream": True,
        }
        assert body_of(DetectRequest(image=PIXEL, object=Kind.MOON))["object"] == "moon"

    @given(st.sampled_from([*OWN]).flatmap(strategies.requests), st.booleans())
    def test_any_request_arrives(self, request: Request[Any], stream: bool):
        body = body_of(request, stream=stream)
        assert body.pop("stream", None) is (stream if request.streams else None)
        given = {name: value for name, value in asdict(request).items() if value is not None}
        if "image" in given:
            body["image"] = EncodedImage(body.pop("image_url"))
        if "settings" in given:
            body["settings"] = Settings(**body["settings"])
        if "spatial_refs" in given:
            body["spatial_refs"] = tuple(map(tuple, body["spatial_refs"]))
        assert body == given


class TestHead:
    @pytest.mark.parametrize("skill", REQUESTS)
    def test_method_and_address(self, skill: str):
        http = REQUESTS[skill].to_http(Endpoint())
        path = "chat/completions" if skill == "chat" else skill
        assert (http.method, http.url) == ("POST", f"https://api.moondream.ai/v1/{path}")
        assert REQUESTS[skill].skill == skill

    @pytest.mark.parametrize("skill", REQUESTS)
    def test_headers(self, skill: str):
        streams = skill in ("query", "caption", "segment", "chat")
        assert REQUESTS[skill].streams is streams
        assert REQUESTS[skill].to_http(Endpoint(api_key="KEY")).headers == (
            ("Accept", "text/event-stream, application/json" if streams else "application/json"),
            ("Accept-Encoding", "identity"),
            ("Content-Type", "application/json"),
            ("User-Agent", f"sansio-moondream/{__version__}"),
            ("Authorization", "Bearer KEY") if skill == "chat" else ("X-Moondream-Auth", "KEY"),
        )

    def test_no_key_no_header(self):
        assert "X-Moondream-Auth" not in dict(REQUESTS["query"].to_http(LOCAL).headers)

    @pytest.mark.parametrize("options", [{"stream": False}, {"extra_body": {"stream": False}}])
    def test_an_event_stream_is_accepted_only_if_one_is_asked_for(self, options: Any):
        assert (
            dict(REQUESTS["query"].to_http(LOCAL, **options).headers)["Accept"]
            == "application/json"
        )

    def test_headers_can_be_written_as_they_are(self):
        for name, value in (
            QueryRequest(question="月\r\nX: y").to_http(Endpoint(api_key="KEY")).headers
        ):
            assert f"{name}: {value}".isascii()
            assert f"{name}{value}".isprintable()


class TestSpatialRefs:
    def test_any_iterables(self):
        every: list[Any] = [iter((0.5, 0.25)), [0, 0, 1, 1], Point(1, 0), BBox(0, 0.5, 1, 1)]
        refs = (ref for ref in every)
        request = QueryRequest(question="?", spatial_refs=refs)
        assert request.spatial_refs == ((0.5, 0.25), (0, 0, 1, 1), (1, 0), (0, 0.5, 1, 1))
        assert (
            body_of(request)["spatial_refs"]
            == body_of(request)["spatial_refs"]
            == [[0.5, 0.25], [0, 0, 1, 1], [1, 0], [0, 0.5, 1, 1]]
        )

    def test_spellings_of_the_same_compare(self):
        requests = [
            SegmentRequest(image=PIXEL, object="moon", spatial_refs=refs)
            for refs in ([[0.5, 1]], ((0.5, 1.0),), [Point(0.5, 1)])
        ]
        assert len(set(requests)) == 1

    def test_none_and_empty_are_not_the_same(self):
        assert "spatial_refs" not in body_of(QueryRequest(question="?"))
        assert body_of(QueryRequest(question="?", spatial_refs=[]))["spatial_refs"] == []

    @pytest.mark.parametrize("make", [QueryRequest, SegmentRequest, PointRequest])
    @pytest.mark.parametrize(
        ("refs", "kind", "name", "seen"),
        [
            (5, ValueError, "spatial_refs", "5"),
            (BBox(0, 0, 1, 1), TypeError, "spatial_refs", "BBox"),
            (Point(0, 1), TypeError, "spatial_refs", "Point"),
            ((0.5, 0.25), ValueError, "spatial_refs[0]", "0.5"),
            ([(0, 1), None], TypeError, "spatial_refs[1]", "NoneType"),
            ([()], ValueError, "spatial_refs[0]", "()"),
            ([(0.5,)], ValueError, "spatial_refs[0]", "(0.5,)"),
            ([(0, 0, 1)], ValueError, "spatial_refs[0]", "(0, 0, 1)"),
            ([(0, 0, 1, 1, 1)], ValueError, "spatial_refs[0]", "(0, 0, 1, 1, 1)"),
            ([(0, 1), (0, 1.001)], ValueError, "spatial_refs[1]", "(0, 1.001)"),
            ([(-0.001, 1)], ValueError, "spatial_refs[0]", "(-0.001, 1)"),
            ([(0, float("nan"))], ValueError, "spatial_refs[0]", "(0, nan)"),
            ([(0, float("inf"))], ValueError, "spatial_refs[0]", "(0, inf)"),
            ([(0, 10**400)], ValueError, "spatial_refs[0]", "(0, 1000"),
            ([(True, False)], ValueError, "spatial_refs[0]", "(True, False)"),
            ([("0", "1")], ValueError, "spatial_refs[0]", "('0', '1')"),
            (["ab"], ValueError, "spatial_refs[0]", "('a', 'b')"),
            ([BBox(0, 0, 2, 1)], ValueError, "spatial_refs[0]", "(0, 0, 2, 1)"),
        ],
    )
    def test_bad_ones(self, make: Any, refs: Any, kind: type[Exception], name: str, seen: str):
        needed = {"question": "?"} if make is QueryRequest else {"image": PIXEL, "object": "moon"}
        with pytest.raises(kind) as caught:
            make(**needed, spatial_refs=refs)
        assert str(caught.value).startswith(f"{name} should be a ")
        assert f", not {seen}" in str(caught.value)
        assert len(str(caught.value)) < 250

    @pytest.mark.parametrize("make", [CaptionRequest, DetectRequest])
    def test_skills_that_take_none(self, make: Any):
        with pytest.raises(TypeError):
            make(image=PIXEL, object="moon", spatial_refs=[(0, 0)])
