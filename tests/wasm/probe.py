"""Run by run.mjs before the decode tests: shows that this is WebAssembly, and that msgspec there is
the real, compiled one.

Not named test_*.py, so that it is collected only where it is asked for.
"""

from __future__ import annotations

import importlib
import sys

import msgspec
import pytest


class Message(msgspec.Struct, frozen=True):
    chunk: str
    token_index: int = 0


def test_this_is_webassembly() -> None:
    assert sys.platform == "emscripten"
    assert str(importlib.import_module("msgspec._core").__file__).endswith("wasm32-emscripten.so")


def test_msgspec_decodes_a_struct() -> None:
    decode = msgspec.json.Decoder(Message).decode
    assert decode(b'{"chunk": "\\u00e9t\xc3\xa9", "token_index": 3, "new": null}') == Message(
        "été", 3
    )
    with pytest.raises(msgspec.ValidationError):
        decode(b'{"chunk": 1}')
