"""The surface of the documented Python SDK on this library: `from moondream_transports import sdk
as md` in place of `import moondream as md`.

    model = md.vl(api_key="...")
    for chunk in model.query(image, "What is this?", stream=True)["answer"]:
        print(chunk, end="", flush=True)

What differs from the official package is in docs/from-the-official-sdk.md.
"""

from typing import Any, NoReturn

from ._async_model import AsyncVL, avl
from ._calls import Base64EncodedImage, SamplingSettings, SpatialRef
from ._model import VL, vl
from ._outputs import (
    CaptionOutput,
    ChatMessage,
    ChatOutput,
    DetectOutput,
    Place,
    PointOutput,
    QueryOutput,
    Region,
    SegmentOutput,
    SegmentUpdate,
)

__all__ = [
    "VL",
    "AsyncVL",
    "Base64EncodedImage",
    "CaptionOutput",
    "ChatMessage",
    "ChatOutput",
    "DetectOutput",
    "Place",
    "PointOutput",
    "QueryOutput",
    "Region",
    "SamplingSettings",
    "SegmentOutput",
    "SegmentUpdate",
    "SpatialRef",
    "avl",
    "vl",
]

_ELSEWHERE = {
    "ft": "finetuning",
    "photon": "models that run in this process",
    "photon_models": "models that run in this process",
}


def __getattr__(name: str) -> Any:
    return _refuse(name)


def _refuse(name: str) -> NoReturn:
    where = (
        f" {name!r} is for {_ELSEWHERE[name]}: use the official package `moondream`."
        if name in _ELSEWHERE
        else ""
    )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}.{where}")
