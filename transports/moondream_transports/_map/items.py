"""The items of a map: a pair of primitives, of which only the async one takes both kinds."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable, Iterator
from typing import Any, Generic, Self, TypeAlias, TypeVar

from moondream_transports._map.running import Running

I = TypeVar("I")  # noqa: E741
T = TypeVar("T")
Items: TypeAlias = Iterable[I]
AsyncItems: TypeAlias = AsyncIterable[I] | Iterable[I]
Function: TypeAlias = Callable[[I, Running], T]
AsyncFunction: TypeAlias = Callable[[I, Running], Coroutine[Any, Any, T]]


class ItemReader(Generic[I]):
    """Iterate over items, and close their iterator.

    Raises:
        TypeError: they cannot be iterated over.
    """

    def __init__(self, items: Items[I]) -> None:
        if isinstance(items, AsyncIterable) and not isinstance(items, Iterable):
            raise TypeError(f"an async iterable is for AsyncClient.map: {type(items).__name__}")
        self._iterator: Iterator[I] = iter(items)

    def __iter__(self) -> Iterator[I]:
        return self._iterator

    def close(self) -> None:
        """Close the iterator, if it can be closed. Generators can. Further calls do nothing."""
        close = getattr(self._iterator, "close", None)
        if close is not None:
            close()


class AsyncItemReader(Generic[I]):
    """Iterate over items, and close their iterator.

    One that is not async is read in the event loop, so it should not wait.

    Raises:
        TypeError: they cannot be iterated over.
    """

    def __init__(self, items: AsyncItems[I]) -> None:
        self._iterator: AsyncIterator[I] | Iterator[I]
        self._iterator = aiter(items) if isinstance(items, AsyncIterable) else iter(items)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> I:
        if isinstance(self._iterator, AsyncIterator):
            return await anext(self._iterator)
        for item in self._iterator:
            return item
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Close the iterator, if it can be closed. Generators can. Further calls do nothing."""
        if (aclose := getattr(self._iterator, "aclose", None)) is not None:
            await aclose()
        elif (close := getattr(self._iterator, "close", None)) is not None:
            close()
