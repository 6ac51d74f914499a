"""Each method of the official package and of ours: the same requests, the same outputs."""

from __future__ import annotations

import base64
import inspect
import io
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from PIL import Image

from moondream_transports import sdk as md
from sansio_moondream import (
    Endpoint,
)
from tests.transports.sdk.service import (
    CALLS,
    IMAGE,
    MORE,
    MORE_STREAMED,
    STREAMED,
    TEXT,
    ours,
    settled,
)


def without_more(output: Any, more: set[str] = MORE) -> Any:
    if isinstance(output, list):
        return [without_more(item) for item in output]
    return (
        {name: value for name, value in output.items() if name not in more}
        if isinstance(output, dict)
        else output
    )


def both(official: Any, service: Any, name: str, *args: Any, **options: Any) -> tuple[Any, Any]:
    theirs = settled(getattr(official, name)(*args, **options))
    mine = settled(getattr(ours(service), name)(*args, **options))
    (their_path, their_headers, their_body), (path, headers, body) = service.asked
    assert path == their_path
    assert (
        body.pop("image_url", "")[:30] == their_body.pop("image_url", "")[:30]
    )  # two encoders' JPEGs
    assert body == their_body
    key = "authorization" if name == "chat" else "x-moondream-auth"
    assert headers[key] == their_headers[key]
    assert headers[key].endswith("key")
    return theirs, mine


@pytest.mark.parametrize("name", CALLS)
def test_whole_answers_are_the_same(official: Any, service: Any, name: str):
    args, options = CALLS[name]
    theirs, mine = both(official, service, name, *args, **options)
    assert without_more(mine) == theirs
    assert mine["request_id"]


@pytest.mark.parametrize("name", STREAMED)
def test_streamed_answers_are_the_same(official: Any, service: Any, name: str):
    args, options = CALLS[name]
    theirs, mine = both(official, service, name, *args, **options, stream=True)
    if name in TEXT:
        # The official generator gives an empty text at the end.
        theirs = {TEXT[name]: [chunk for chunk in theirs[TEXT[name]] if chunk]}
    assert without_more(mine, MORE_STREAMED) == theirs
    assert (mine[-1] if isinstance(mine, list) else mine)["request_id"]


def test_reasoning(official: Any, service: Any):
    theirs, mine = both(official, service, "query", IMAGE, "What is in this image?", reasoning=True)
    assert mine["reasoning"] == theirs["reasoning"]
    assert mine["reasoning"]["grounding"][0]["points"] == [[0.5, 0.25]]


def test_signatures_are_the_documented_ones():
    official = import_module("moondream")
    cloud = import_module("moondream.cloud_vl").CloudVL
    for name in [*CALLS, "encode_image", "close"]:
        for surface in (md.VL, md.AsyncVL):
            method = getattr(
                surface, f"a{name}" if name == "close" and surface is md.AsyncVL else name
            )
            assert _parameters(method) == _parameters(getattr(cloud, name)), name
    theirs, mine = _parameters(official.vl), _parameters(md.vl)
    names = [name for name in theirs if name != "kwargs"]
    assert list(mine)[: len(names)] == names
    assert all(mine[name] == theirs[name] for name in names if name != "endpoint")
    assert theirs["endpoint"][1] == Endpoint().url  # None is the same here
    assert _parameters(md.avl).keys() == mine.keys()


def _parameters(function: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    return {
        name: (parameter.kind, parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
    }


def test_a_picture_is_encoded_once(official: Any, service: Any):
    model = ours(service)
    encoded = model.encode_image(IMAGE)
    assert isinstance(encoded, md.Base64EncodedImage)
    theirs = official.encode_image(IMAGE).image_url
    with Image.open(io.BytesIO(base64.b64decode(encoded.image_url.partition(",")[2]))) as image:
        assert (image.format, image.size) == ("JPEG", IMAGE.size)
    for picture in (encoded, md.Base64EncodedImage(theirs), theirs):
        model.caption(picture)
    assert [body["image_url"] for _, _, body in service.asked] == [
        encoded.image_url,
        theirs,
        theirs,
    ]
    assert len(repr(encoded)) < 100
