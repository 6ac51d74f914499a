"""The arguments of both clients: their types, and checks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias

from moondream_transports._limits import EndpointPool, Limiter
from sansio_moondream import BBox, Endpoint, HTTPRequest, Point, Request

SpatialRefs: TypeAlias = Iterable[Point | BBox | Iterable[float]]
Sleep: TypeAlias = Callable[[float], object]
AsyncSleep: TypeAlias = Callable[[float], Awaitable[object]]


def require(name: str, value: object, kind: type) -> None:
    """Raise TypeError for an argument of another type. None is the default."""
    if value is not None and not isinstance(value, kind):
        raise TypeError(f"{name} should be {kind.__name__}(...), not {type(value).__name__}")


def resolve(
    endpoint: Endpoint | EndpointPool | None, limiter: Limiter | None
) -> tuple[Endpoint, Limiter | EndpointPool | None]:
    """Return the endpoint, or the first one of a pool, and what decides when requests begin."""
    if isinstance(endpoint, EndpointPool):
        if limiter is not None:
            raise TypeError("limiter should be None: an EndpointPool has a limit for each endpoint")
        return endpoint.endpoints[0], endpoint
    require("endpoint", endpoint, Endpoint)
    require("limiter", limiter, Limiter)
    return endpoint or Endpoint(), limiter


def require_request(value: object) -> None:
    """Raise TypeError for what is no request, such as its text or its class."""
    if not isinstance(value, Request):
        shown = f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
        raise TypeError(f"request should be a request, such as QueryRequest(...), not {shown}")


def interrupt_send(transport: object, request: HTTPRequest) -> None:
    """End a `send` that waits in another thread, if the transport can."""
    interrupt = getattr(transport, "interrupt", None)
    if interrupt is not None:
        interrupt(request)
