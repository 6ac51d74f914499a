"""What a check expected, and what it saw: both in words."""

from __future__ import annotations

from typing import Any, Literal

Need = Literal["certificates", "trust", "proxy"]


class Unexpected(AssertionError):
    """A check has failed.

    Attributes:
        expected: What was expected.
        seen: What was seen instead.
        server: What the server did, or "".
    """

    def __init__(self, expected: str, seen: str, server: str = "") -> None:
        super().__init__(expected, seen, server)
        self.expected = expected
        self.seen = seen
        self.server = server

    def __str__(self) -> str:
        return f"expected {self.expected}; saw {self.seen}"


def expect(truth: object, expected: str, seen: str) -> None:
    """Raise Unexpected if `truth` is false."""
    if not truth:
        raise Unexpected(expected, seen)


def safe_repr(value: object) -> str:
    """Return `repr(value)`. A repr that raises is named instead: it must not hide a fault."""
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - anything can come out of foreign code
        return f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"


def safe_str(value: object) -> str:
    """Return `str(value)`, with the same exception as in `safe_repr`."""
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - anything can come out of foreign code
        return f"<{type(value).__name__}, whose str raises {type(error).__name__}>"


def shortened(value: object, length: int = 300) -> str:
    """Return a text, or the repr of anything else, with at most `length` characters."""
    text = value if isinstance(value, str) else safe_repr(value)
    return text if len(text) <= length else f"{text[: length - 40]} … {text[-37:]}"


def describe(outcome: Any) -> str:
    """Return a result in words, or an error with its class and message."""
    if not isinstance(outcome, BaseException):
        return shortened(outcome)
    name, module = type(outcome).__qualname__, type(outcome).__module__
    is_ours = module.startswith("sansio_moondream") or type(outcome) is TimeoutError
    return shortened(f"{name if is_ours else f'{module}.{name}'}: {safe_str(outcome)}")
