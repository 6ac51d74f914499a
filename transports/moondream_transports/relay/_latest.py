"""`latest`, for both clients."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable
from inspect import iscoroutinefunction
from typing import Any, TypeVar, overload

from moondream_transports._client._async.client import AsyncClient
from moondream_transports._client._sync.client import Client
from moondream_transports._exchange import R
from moondream_transports.relay._async.latest import AsyncLatest
from moondream_transports.relay._sync.latest import Latest
from sansio_moondream import Request
from sansio_moondream.relay import Newest

F = TypeVar("F")


@overload
def latest(
    client: Client,
    frames: Iterable[F],
    request: Callable[[F], Request[R]],
    *,
    concurrent: int = 1,
    cancel: bool = False,
    partial: bool = False,
    raise_errors: bool = False,
) -> Latest[F, R]: ...


@overload
def latest(
    client: AsyncClient,
    frames: AsyncIterable[F] | Iterable[F],
    request: Callable[[F], Request[R]],
    *,
    concurrent: int = 1,
    cancel: bool = False,
    partial: bool = False,
    raise_errors: bool = False,
) -> AsyncLatest[F, R]: ...


def latest(
    client: object,
    frames: Any,
    request: Any,
    *,
    concurrent: int = 1,
    cancel: bool = False,
    partial: bool = False,
    raise_errors: bool = False,
) -> Latest[Any, Any] | AsyncLatest[Any, Any]:
    """Iterate over answers about the newest frames of a video. Each `Answer` carries its frame.

    A camera has more frames than a model can answer. What is asked is finished, and of the frames
    that come meanwhile only the newest waits. No answer is about an older frame than the answer
    before it. The next frame is asked while you use an answer, but not before you took it.

    The frames are read in a thread or, from an async iterable, in a task: at the pace of their
    source, so that a camera never has old ones. A request that fails does not end the video.

    Args:
        client: asks the frames. With an `AsyncClient` it is `async for`.
        frames: any values, from an iterable that may block. With an `AsyncClient` also from an
            async one. Its `close` or `aclose` is called at the end, if it has one.
        request: makes the request for a frame, in a thread. Only frames that are asked get there.
        concurrent: how many frames are asked at once. An answer that comes after that of a newer
            frame is dropped.
        cancel: whether a newer frame cancels the one that is asked, or the oldest of several. If
            frames come faster than answers, only the last frame is ever answered.
        partial: whether answers are also given while they grow. Their results have `partial=True`,
            and only the newest state is given. It needs `concurrent=1`.
        raise_errors: whether the error of a request is raised, and ends the video. Otherwise the
            answer has it.

    Raises:
        TypeError: an argument is of another kind, such as an async iterable for a `Client`.
        ValueError: `concurrent` is no whole number of at least 1, or more than 1 with `partial`.

    Iterating also raises what `frames` or `request` raise, after the answers to what was asked.
    """
    _require_function(request)
    if partial and concurrent != 1:
        raise ValueError(
            "partial=True needs concurrent=1, because the answers to several frames grow at once"
        )
    newest: Newest[Any] = Newest(concurrent=concurrent, cancel=cancel)
    if isinstance(client, AsyncClient):
        _require_iterable(frames, (Iterable, AsyncIterable), "an iterable or an async iterable")
        return AsyncLatest(
            client, frames, request, newest, partial=partial, raise_errors=raise_errors
        )
    if not isinstance(client, Client):
        raise TypeError(f"client should be a Client or an AsyncClient, not {type(client).__name__}")
    _require_iterable(frames, (Iterable,), "an iterable, as the client is no AsyncClient")
    return Latest(client, frames, request, newest, partial=partial, raise_errors=raise_errors)


def _require_iterable(frames: object, kinds: tuple[type, ...], expected: str) -> None:
    if not isinstance(frames, kinds):
        raise TypeError(f"frames should be {expected}, not {type(frames).__name__}")


def _require_function(request: object) -> None:
    if not callable(request) or iscoroutinefunction(request):
        raise TypeError(
            f"request should be a function that makes a request of a frame, not {request!r}."
            " It may block, because it is called in a thread"
        )
