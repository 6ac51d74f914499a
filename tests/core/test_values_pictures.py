"""The JSON form of a request without its pictures, for logs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings

from sansio_moondream import ChatMessage, ChatRequest, QueryRequest, encode_image, from_dict
from sansio_moondream.testing.strategies import values

GIF = encode_image(b"GIF87a")
GIF_URL = "data:image/gif;base64,R0lGODdh"
OMITTED = {"omitted": "image/gif", "bytes": 6}


def test_a_picture_is_replaced_by_its_type_and_size():
    form = GIF.to_dict()
    assert form["data_url"] == GIF_URL
    assert GIF.to_dict(images=False) == form | {"data_url": OMITTED}
    request = QueryRequest(question="What?", image=GIF)
    brief = request.to_dict(images=False)
    assert brief["image"] == request.to_dict()["image"] | {"data_url": OMITTED}
    chat = ChatRequest(messages=[ChatMessage("user", ["What?", GIF])])
    (message,) = chat.to_dict(images=False)["messages"]
    assert message["content"][0] == "What?"
    assert message["content"][1]["data_url"] == OMITTED


@pytest.mark.parametrize("more", range(3))
def test_the_size_is_exact(more: int):
    image = encode_image(b"GIF89a" + b"." * more)
    assert image.to_dict(images=False)["data_url"] == {"omitted": "image/gif", "bytes": 6 + more}


def test_parameters_of_the_data_url_are_no_part_of_the_type():
    image = encode_image(b"GIF89a").data_url.replace(";", ";name=a;")
    form = GIF.to_dict() | {"data_url": image}
    assert type(GIF).from_dict(form).to_dict(images=False)["data_url"] == OMITTED


@pytest.mark.parametrize("kind", ["caption_request", "chat_request", "chat_message"])
def test_nothing_else_is_left_out(kind: str):
    @settings(max_examples=10)
    @given(values(kind))
    def check(value: Any):
        form, brief = value.to_dict(), value.to_dict(images=False)
        assert "base64" not in json.dumps(brief)
        assert (brief == form) == ("base64" not in json.dumps(form))
        assert brief.keys() == form.keys()
        assert value.to_dict(images=True) == form

    check()


def test_a_request_without_its_picture_is_not_read():
    request = QueryRequest(question="What?", image=GIF)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        from_dict(request.to_dict(images=False))
    assert str(caught.value) == (
        "query_request.image.data_url: the picture was left out by to_dict(images=False): keep a "
        "to_dict() with its pictures to read it again"
    )
