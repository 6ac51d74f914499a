"""Answers that outlive a reload: POST gives an id, and GET streams it from any place on.

    POST /v1/SKILL, /v1/chat/completions    as the service takes it: 201 with the id
    GET /streams/ID                         the events, from the beginning or behind an id
    DELETE /streams/ID                      cancels the answer
    GET /moondream-relay.js, .d.ts          the reader for browsers

It needs no framework, and works below any path of one. What concerns the whole server is not its
business: TLS, the keys of users, CORS, how often each may ask.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import quote

from moondream_transports._client._async.client import AsyncClient
from moondream_transports.relay._asgi import AsyncRelay, Message, Receive, Send, send_whole
from moondream_transports.relay._async.group import AsyncRelayGroup
from moondream_transports.relay._broadcast._async.broadcasts import AsyncBroadcasts
from sansio_moondream import APIError, Dialect, ErrorResponse, decode_request, encode_error
from sansio_moondream._server.refusals import refusal
from sansio_moondream.relay._refusals import stopping

from .messages import created, header_of, not_allowed, path_of, query_of, read_body, root_of
from .static import TYPES, static_file

_SKILL: Final = re.compile("[a-z]+|chat/completions")  # `decode_request` takes any path before it


class RelayApp:
    """Serve answers to browsers, as an ASGI application. docs/how-to/resume.md has the contract.

    When the server is asked to stop, readers have a while to get the rest. Then all answers are
    ended, and the client is closed. An application that is mounted in another gets no lifespan from
    the server: pass `lifespan` to the outer one.

    Args:
        client: asks the model, for all requests.
        broadcasts: keep the answers, with their bounds.
        group: counts and drains the readers. Pass it if others are to be in it too.
        drain_seconds: that readers have when the server is asked to stop, before they are ended.
        heartbeat: seconds without a record, after which a reader gets a comment.
        max_body_bytes: of a request.
    """

    def __init__(
        self,
        client: AsyncClient,
        broadcasts: AsyncBroadcasts | None = None,
        *,
        group: AsyncRelayGroup | None = None,
        drain_seconds: float = 10.0,
        heartbeat: float | None = 15.0,
        max_body_bytes: int = 16 * 1024 * 1024,
    ) -> None:
        self._client = client
        self._broadcasts = AsyncBroadcasts() if broadcasts is None else broadcasts
        self._group = AsyncRelayGroup() if group is None else group
        self._drain_seconds = drain_seconds
        self._heartbeat = heartbeat
        self._max_body_bytes = max_body_bytes

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncGenerator[None]:
        """Live as long as the server: `FastAPI(lifespan=relay_app.lifespan)`.

        This is only for an application that is mounted in another one.

        Args:
            app: the outer application, as frameworks pass it. It is not used.
        """
        try:
            with self._group.drain_on_signal(self._drain_seconds):
                yield
        finally:
            await self.aclose()
            await self._client.aclose()

    async def aclose(self) -> None:
        """End all answers. Their readers get an error that says that the server stops."""
        await self._broadcasts.aclose()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan. `scope`, `receive` and `send` are those of ASGI."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http":
            raise TypeError(f"this application answers only HTTP, not the scope {scope['type']!r}")
        try:
            response = await self._respond(scope, receive)
        except APIError as error:
            response = encode_error(error, Dialect.CHAT)
        if isinstance(response, AsyncRelay):
            await response(scope, receive, send)
        elif response is not None:
            body = b"" if scope["method"] == "HEAD" else response.body
            await send_whole(send, response._replace(body=body))

    async def _respond(self, scope: Message, receive: Receive) -> AsyncRelay | ErrorResponse | None:
        """Return the response, or None if the client has left."""
        path, method = path_of(scope), scope["method"]
        place, _, name = path[1:].partition("/")
        if place == "v1" and _SKILL.fullmatch(name):
            return await self._open(scope, receive) if method == "POST" else not_allowed("POST")
        if place == "streams" and name:
            if method == "GET":
                return self._subscribe(scope, name)
            return self._cancel(name) if method == "DELETE" else not_allowed("GET, DELETE")
        if path in TYPES:
            if method in ("GET", "HEAD"):
                return static_file(path, header_of(scope, b"if-none-match"))
            return not_allowed("GET, HEAD")
        raise refusal(404, "Not Found")

    async def _open(self, scope: Message, receive: Receive) -> ErrorResponse | None:
        type_ = header_of(scope, b"content-type") or ""
        if type_.partition(";")[0].strip().lower() != "application/json":
            # A page of another site can send a form without being asked, but no JSON.
            raise refusal(415, "the Content-Type should be application/json")
        body = await read_body(scope, receive, self._max_body_bytes)
        if body is None:
            return None
        if self._group.is_draining:
            raise stopping()
        asked = decode_request("POST", path_of(scope), scope["headers"], body)
        stream = self._client.stream(asked.request, extra_body=asked.extra_body)
        id_ = self._broadcasts.open(stream)
        url = f"{quote(root_of(scope))}/streams/{id_}"
        return created(url, {"id": id_, "url": url})

    def _subscribe(self, scope: Message, id_: str) -> AsyncRelay:
        # When an EventSource comes again, its header is newer than its address.
        last_id = header_of(scope, b"last-event-id") or query_of(scope, "last_event_id")
        broadcast = self._broadcasts.get(id_)
        return broadcast.subscribe(last_id, heartbeat=self._heartbeat, group=self._group)

    def _cancel(self, id_: str) -> ErrorResponse:
        self._broadcasts.cancel(id_)
        return ErrorResponse(204, (), b"")

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        async with self.lifespan():
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})
