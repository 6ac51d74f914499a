"""The surface of the documented Python SDK on this library.

Write `from moondream_transports import sdk as md` in place of `import moondream as md`.

    model = md.vl(api_key="...")
    for chunk in model.query(image, "What is this?", stream=True)["answer"]:
        print(chunk, end="", flush=True)

docs/how-to/from-the-official-sdk.md lists the differences from the official package.
"""

from typing import Any, NoReturn

from ._async.model import AsyncVL, avl
from ._inputs import Base64EncodedImage, SamplingSettings, SpatialRef
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
from ._sync.model import VL, vl

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
