"""A reader of UI message streams. tests/test_ai_sdk.py shows that it reads as the AI SDK does."""

from __future__ import annotations

from typing import Any

from tests.core.relays import records


def read(body: bytes) -> dict[str, Any]:
    """Read a whole stream.

    Returns:
        `parts` of the message, its `metadata`, the `finishReason`, the `transient` parts of data,
        and `error`: each None where there was none.
    """
    *chunks, done = records(body)
    assert done == "[DONE]"
    assert chunks[0] == {"type": "start"}
    seen: dict[str, Any] = {"parts": [], "transient": []}
    seen |= dict.fromkeys(("metadata", "finishReason", "error"))
    open_: dict[str, dict[str, Any]] = {}
    for chunk in chunks[1:]:
        kind, _, step = chunk["type"].partition("-")
        match kind, step:
            case "text" | "reasoning", "start":
                assert not open_
                open_[chunk["id"]] = {"type": kind, "text": "", "state": "streaming"}
                seen["parts"].append(open_[chunk["id"]])
            case "text" | "reasoning", "delta":
                assert chunk["delta"]
                open_[chunk["id"]]["text"] += chunk["delta"]
            case "text" | "reasoning", "end":
                open_.pop(chunk["id"])["state"] = "done"
            case "data", _ if chunk.get("transient"):
                seen["transient"].append({"type": chunk["type"], "data": chunk["data"]})
            case "data", _:
                same = [part for part in seen["parts"] if part["type"] == chunk["type"]]
                assert all(part["id"] == chunk["id"] for part in same)
                if same:
                    same[0]["data"] = chunk["data"]
                else:
                    seen["parts"].append(chunk)
            case "finish", _:
                seen["metadata"] = chunk["messageMetadata"]
                seen["finishReason"] = chunk.get("finishReason")
            case "error", _:
                seen["error"] = chunk["errorText"]
            case _:
                raise AssertionError(chunk)
    assert not open_
    assert (seen["error"] is None) != (seen["metadata"] is None)
    return seen


def part(type_: str, **fields: Any) -> dict[str, Any]:
    return {"type": type_, **fields}


def path(text: str, *, partial: bool = True) -> dict[str, Any]:
    return part("data-path", id="path", data={"path": text, "partial": partial})
