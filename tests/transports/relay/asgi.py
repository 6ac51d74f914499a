"""Requests to an ASGI application in memory, and an EventSource that makes them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from moondream_transports._concurrency import AsyncFlag

Message = MutableMapping[str, Any]
Application = Callable[[Message, Any, Any], Awaitable[None]]
JSON = ("content-type", "application/json")


class Exchange:
    """One request, and what was sent of its response.

    Args:
        application: to be called.
        target: path and query, as in the request line.
        body: of the request.
        headers: of the request.
        root_path: below which the application is mounted.
        max_bytes: of the body of the response, after which the client leaves. It has only so many.
        is_blocked: let the client take nothing of the body until `unblock`.
    """

    def __init__(
        self,
        application: Application,
        target: str,
        *headers: tuple[str, str],
        method: str = "GET",
        body: bytes | list[bytes] = b"",
        root_path: str = "",
        max_bytes: int | None = None,
        is_blocked: bool = False,
    ) -> None:
        path, _, query = target.partition("?")
        self.application = application
        self.scope: Message = {
            "type": "http",
            "method": method,
            "path": path,
            "root_path": root_path,
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in headers],
        }
        self.bodies = [body] if isinstance(body, bytes) else body
        self.max_bytes = max_bytes
        self.is_blocked = is_blocked
        self.unblocked: AsyncFlag
        self.status_code = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.parts: list[bytes] = []
        self.is_complete = False
        self.left: AsyncFlag
        self.started: AsyncFlag

    async def run(self) -> Exchange:
        """Return when the application does."""
        self.left, self.started, self.unblocked = AsyncFlag(), AsyncFlag(), AsyncFlag()
        await self.application(self.scope, self._receive, self._send)
        return self

    def unblock(self) -> None:
        """Let the client take the body from now on."""
        self.unblocked.set()

    async def _receive(self) -> Message:
        if self.bodies:
            body = self.bodies.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(self.bodies)}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            assert not self.status_code
            self.status_code = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            self.started.set()
            return
        assert self.status_code
        assert not self.is_complete
        if self.is_blocked:
            await self.unblocked.wait()
        body = message.get("body", b"")
        if self.max_bytes is not None and len(self.body) + len(body) >= self.max_bytes:
            self.body = (self.body + body)[: self.max_bytes]
            self.left.set()
            raise OSError("the client has left")
        self.body += body
        if body:
            self.parts.append(body)
        self.is_complete = not message.get("more_body", False)


class EventSource:
    """A reader as WHATWG describes it: it comes again with its last id, until it gets no stream.

    Attributes:
        data: of all records that were dispatched.
        last_id: that it would send.
        status_code: that stopped it.
    """

    def __init__(self, application: Application, target: str) -> None:
        self.application = application
        self.target = target
        self.data: list[str] = []
        self.last_id = ""
        self.status_code = 0

    async def connect(self, max_bytes: int | None = None) -> Exchange:
        """Make one connection, and dispatch its records."""
        headers = [("last-event-id", self.last_id)] if self.last_id else []
        exchange = Exchange(self.application, self.target, *headers, max_bytes=max_bytes)
        await exchange.run()
        self.status_code = exchange.status_code
        if self.status_code == 200:
            self.feed(exchange.body)
        return exchange

    def feed(self, body: bytes) -> None:
        """Dispatch the records of a body. The last one may be cut: then it is none."""
        data: list[str] = []
        last_id = self.last_id
        for line in body.decode("utf-8", "replace").split("\n")[:-1]:
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if not line:
                self.last_id = last_id
                if data:
                    self.data.append("\n".join(data))
                data = []
            elif field == "data":
                data.append(value)
            elif field == "id":
                last_id = value
