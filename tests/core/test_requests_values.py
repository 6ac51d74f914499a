"""Requests: values that are refused, and requests as values."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from sansio_moondream import (
    CaptionRequest,
    DetectRequest,
    PointRequest,
    QueryRequest,
    Request,
    SegmentRequest,
    Settings,
)
from tests.core.requests import BIG, LOCAL, body_of
from tests.helpers import PIXEL, REQUESTS

TEXT = "text that is not blank and has no lone surrogates"
IMAGE = r"an EncodedImage, as encode_image\(...\) makes it"


class TestBadValues:
    @pytest.mark.parametrize(
        ("make", "bad", "kind", "words"),
        [
            (QueryRequest, {"question": ""}, ValueError, f"^question should be {TEXT}, not ''$"),
            (
                QueryRequest,
                {"question": " \t\n"},
                ValueError,
                rf"^question should be {TEXT}, not ' \\t\\n'$",
            ),
            (
                QueryRequest,
                {"question": "lone \ud83c"},
                ValueError,
                rf"^question should be {TEXT}, not 'lone \\ud83c'$",
            ),
            (
                QueryRequest,
                {"question": b"What?"},
                TypeError,
                f"^question should be {TEXT}, not bytes$",
            ),
            (
                QueryRequest,
                {"question": None},
                TypeError,
                f"^question should be {TEXT}, not NoneType$",
            ),
            (
                QueryRequest,
                {"image": b"GIF89a"},
                TypeError,
                f"^image should be {IMAGE}, not bytes$",
            ),
            (
                QueryRequest,
                {"image": "moon.jpg"},
                ValueError,
                f"^image should be {IMAGE}, not 'moon.jpg'$",
            ),
            (
                QueryRequest,
                {"reasoning": 1},
                ValueError,
                "^reasoning should be True, False or None, not 1$",
            ),
            (
                QueryRequest,
                {"model": ""},
                ValueError,
                f"^model should be a model's name, {TEXT}, not ''$",
            ),
            (
                QueryRequest,
                {"settings": {"top_p": 1}},
                TypeError,
                "^settings should be a Settings, not dict$",
            ),
            (
                CaptionRequest,
                {"image": None},
                TypeError,
                f"^image should be {IMAGE}, not NoneType$",
            ),
            (
                CaptionRequest,
                {"length": "tiny"},
                ValueError,
                '^length should be "short", "normal" or "long", not \'tiny\'$',
            ),
            (
                CaptionRequest,
                {"length": ["short"]},
                TypeError,
                '^length should be "short", "normal" or "long", not list$',
            ),
            (SegmentRequest, {"object": " "}, ValueError, f"^object should be {TEXT}, not ' '$"),
            (SegmentRequest, {"image": b""}, TypeError, f"^image should be {IMAGE}, not bytes$"),
            (DetectRequest, {"object": 7}, ValueError, f"^object should be {TEXT}, not 7$"),
            (PointRequest, {"object": ["moon"]}, TypeError, f"^object should be {TEXT}, not list$"),
            (
                DetectRequest,
                {"model": 3},
                ValueError,
                f"^model should be a model's name, {TEXT}, not 3$",
            ),
        ],
    )
    def test_of_requests(self, make: Any, bad: dict[str, Any], kind: type[Exception], words: str):
        good: dict[str, Any] = {"question": "?"} if make is QueryRequest else {"image": PIXEL}
        if make in (SegmentRequest, DetectRequest, PointRequest):
            good["object"] = "moon"
        make(**good)
        with pytest.raises(kind, match=words):
            make(**(good | bad))

    @pytest.mark.parametrize(
        ("field", "expected", "values"),
        [
            (
                "temperature",
                "a number of at least 0",
                [-0.1, float("nan"), float("inf"), 2**63, 10**400, "0", True],
            ),
            ("top_p", "a number above 0 and at most 1", [0, -1, 1.1, float("nan"), "1", True]),
            ("max_tokens", "a whole number of at least 1", [0, -5, 1.0, "1", True, 2**63]),
            ("max_objects", "a whole number of at least 1", [0, -5, 1.5, "1", False, 10**400]),
        ],
    )
    def test_of_settings(self, field: str, expected: str, values: list[Any]):
        make: Any = Settings
        for value in values:
            with pytest.raises(ValueError, match=f"^{field} should be {expected}, not ") as caught:
                make(**{field: value})
            assert repr(value)[:60] in str(caught.value)
        with pytest.raises(TypeError, match=f"^{field} should be {expected}, not list$"):
            make(**{field: [1]})

    @pytest.mark.parametrize(
        "settings",
        [
            {"temperature": 0},
            {"temperature": 2.5},
            {"top_p": 1},
            {"top_p": 0.0001},
            {"max_tokens": 1},
            {"max_objects": 10**6},
        ],
    )
    def test_settings_at_their_borders(self, settings: dict[str, Any]):
        assert (
            body_of(QueryRequest(question="?", settings=Settings(**settings)))["settings"]
            == settings
        )

    def test_long_ones_are_shortened(self):
        with pytest.raises(ValueError, match="length should be") as caught:
            CaptionRequest(image=PIXEL, length="x" * 1_000_000)  # type: ignore[arg-type]
        assert len(str(caught.value)) < 200

    @pytest.mark.parametrize(
        ("question", "shown"),
        [
            # 80 characters are shown, and four times as many are looked at.
            ("\ud800" + "a" * 72, "'\\ud800" + "a" * 72 + "'"),
            ("\ud800" + "a" * 73, "'\\ud800" + "a" * 73 + "…"),
            (" " * 318, "' '"),
            (" " * 319, "'…"),
        ],
        ids=["80", "81", "320 of blanks", "321 of blanks"],
    )
    def test_how_much_is_shown(self, question: str, shown: str):
        with pytest.raises(ValueError, match="question should be") as caught:
            QueryRequest(question=question)
        assert str(caught.value).endswith(f", not {shown}")

    @pytest.mark.parametrize(
        "make",
        [QueryRequest, CaptionRequest, SegmentRequest, DetectRequest, PointRequest, Settings],
    )
    def test_names_are_needed(self, make: Any):
        with pytest.raises(TypeError, match="positional"):
            make(PIXEL)

    def test_the_base_is_no_request(self):
        with pytest.raises(NotImplementedError):
            Request[Any]().to_http(LOCAL)


class TestValues:
    @pytest.mark.parametrize("skill", REQUESTS)
    def test_frozen_comparable_hashable_picklable(self, skill: str):
        request = REQUESTS[skill]
        for again in (
            pickle.loads(pickle.dumps(request)),
            copy.copy(request),
            copy.deepcopy(request),
        ):
            assert (again, hash(again)) == (request, hash(request))
            assert type(again) is type(request)
        with pytest.raises(AttributeError):
            request.model = "other"  # type: ignore[misc]
        assert request != type(request)(
            **{
                name: getattr(request, name)
                for name in request.__struct_fields__
                if name != "model"
            },
            model="x",
        )

    def test_requests_of_two_skills_differ(self):
        assert len({*REQUESTS.values()}) == len(REQUESTS)
        assert REQUESTS["detect"] != REQUESTS["point"]

    def test_settings(self):
        settings = Settings(top_p=0.5, max_tokens=3)
        assert pickle.loads(pickle.dumps(settings)) == settings == Settings(max_tokens=3, top_p=0.5)
        assert hash(settings) == hash(Settings(top_p=0.5, max_tokens=3))
        assert settings != Settings(top_p=0.5)
        assert repr(settings) == "Settings(top_p=0.5, max_tokens=3)"
        with pytest.raises(AttributeError):
            settings.top_p = 1  # type: ignore[misc]

    def test_with_all_fields_they_pickle_too(self):
        request = SegmentRequest(
            image=PIXEL,
            object="moon",
            spatial_refs=iter([(0, 1)]),
            settings=Settings(max_tokens=1),
            model="m",
        )
        assert pickle.loads(pickle.dumps(request)) == request
        assert hash(copy.deepcopy(request)) == hash(request)

    def test_matchable(self):
        def about(request: Request[Any]) -> str:
            match request:
                case QueryRequest(question=question, settings=Settings(max_tokens=int(most))):
                    return f"{question} in {most}"
                case CaptionRequest(length=None):
                    return "as long as it likes"
                case (
                    SegmentRequest(object=name)
                    | DetectRequest(object=name)
                    | PointRequest(object=name)
                ):
                    return name
                case _:
                    return "?"

        assert (
            about(QueryRequest(question="What?", settings=Settings(max_tokens=5))) == "What? in 5"
        )
        assert [about(request) for request in REQUESTS.values()] == [
            "?",
            "as long as it likes",
            "moon",
            "moon",
            "moon",
            "?",
        ]

    def test_reprs_are_short_and_leave_out_what_is_not_set(self):
        image = "<EncodedImage image/jpeg, 10,000,023 characters>"
        assert (
            repr(QueryRequest(question="?", image=BIG))
            == f"QueryRequest(question='?', image={image})"
        )
        assert (
            repr(CaptionRequest(image=BIG, model="m"))
            == f"CaptionRequest(model='m', image={image})"
        )
        assert (
            repr(DetectRequest(image=BIG, object="moon"))
            == f"DetectRequest(image={image}, object='moon')"
        )
