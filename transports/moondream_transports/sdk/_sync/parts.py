# Generated from ../_async/parts.py by `make generate`; do not edit.
"""The generators of a streamed answer."""

from __future__ import annotations

from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any, TypeVar, cast
from weakref import ref as weakref

from moondream_transports import ClientStream
from moondream_transports._concurrency import close_soon
from moondream_transports.sdk._forms import Output, complete
from sansio_moondream import Event

T = TypeVar("T")


class Parts(Generator[T, None]):
    """Yield the parts of an answer as they arrive.

    `close`, an exception or dropping it ends it, like a generator. It is a class because a
    generator that was never started cannot close the stream that it reads. Fields that are known
    only at the end of the answer are added to `output`.
    """

    def __init__(
        self,
        stream: ClientStream[Any],
        part: Callable[[Event], Any],
        output: Output | None = None,
    ) -> None:
        self._stream = stream
        self._part = part
        self._output = None if output is None else weakref(output)
        self._is_over = False

    def send(self, value: None) -> T:
        if self._is_over:
            raise StopIteration
        try:
            for event in self._stream:
                complete(self._output, event)
                if (part := self._part(event)) is not None:
                    return cast(T, part)
        except BaseException:
            self.close()
            raise
        self.close()
        raise StopIteration

    def throw(self, typ: Any, val: Any = None, tb: TracebackType | None = None) -> T:
        self.close()
        raise typ if val is None else val

    def close(self) -> None:
        self._is_over = True
        self._stream.close()

    def __del__(self) -> None:
        if not self._is_over:
            close_soon(self.close)
