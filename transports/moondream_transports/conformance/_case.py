"""A case of the examination: one thing that a server does, or that is asked of a transport, and the
check of what comes of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from ._backend import Backend

Need = Literal["certificates", "trust", "proxy"]


@dataclass(frozen=True)
class Case:
    """One case of the examination.

    Attributes:
        id: its name, which begins with the number that it has in the table of faults, or with
            `contract`.
        needs: what there has to be for it: `certificates` (trustme is installed), `trust` (the
            factory takes `ssl_context` or `ca_file`), `proxy` (it takes `proxy`).
    """

    id: str
    check: Callable[[Backend], Awaitable[str | None]] = field(
        repr=False, compare=False
    )  # gives what is worth telling though it passed
    needs: tuple[Need, ...] = ()


class Unexpected(AssertionError):
    """What was expected, what came instead, and what the server did, all in words."""

    def __init__(self, expected: str, came: str, server: str = "") -> None:
        super().__init__(expected, came, server)
        self.expected = expected
        self.came = came
        self.server = server

    def __str__(self) -> str:
        return f"expected {self.expected}; came {self.came}"


def expect(truth: object, expected: str, came: str) -> None:
    """Raise Unexpected where it is not so."""
    if not truth:
        raise Unexpected(expected, came)


def shortened(value: object, length: int = 300) -> str:
    """As it prints, but no longer than that."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= length else f"{text[: length - 40]} … {text[-37:]}"


def in_words(outcome: Any) -> str:
    """A result, or an error with its class and message."""
    if isinstance(outcome, BaseException):
        name = type(outcome).__qualname__
        ours = (
            type(outcome).__module__.startswith("sansio_moondream") or type(outcome) is TimeoutError
        )
        return shortened(f"{name if ours else f'{type(outcome).__module__}.{name}'}: {outcome}")
    return shortened(outcome)
