"""The HTTP server of the page.

1. The first part of each path is a token, which the printed address has. Other programs and users
   of this machine reach loopback too, but they do not know it: what they ask for is not found.
2. `OwnPageGuard` accepts what comes from the page itself, before this is called.
3. A request with a body has to say that it is JSON. A form of another site cannot send that.
4. Files of the page are those of the package, found by their names. No path is made of a request.
5. Every answer has the headers of `_answers.py`; an error is JSON.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping
from inspect import isawaitable
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, unquote

from moondream_tools._exchange import Exchange
from sansio_moondream._wire.json import BeyondLimit, decode

from ._answers import JSON, Answer, Refused
from ._files import TYPES, compact, page_files

ValueCall: TypeAlias = Callable[[str, Any], Any]
"""Takes a name and the JSON of the request, or None. Returns JSON, an `Answer`, or None for 204.
It runs in a thread; a coroutine that it returns runs in the event loop. `Refused` may be raised."""
StreamCall: TypeAlias = Callable[[Exchange, str, Mapping[str, str]], Awaitable[None]]
"""Takes an exchange, a name, and the query. It answers, or raises `Refused` before."""

_MAX_DEPTH = 64  # of JSON in a request
_MAX_NAME = 200  # characters of a name in a message


class App:
    """The handler of the server.

    Args:
        values: what answers with JSON, by method and the word after `api/`.
        streams: what answers an exchange by itself, in the same way.
        token: the first part of each path; a new one by default.

    Attributes:
        path: of the page.
    """

    def __init__(
        self,
        values: Mapping[tuple[str, str], ValueCall],
        streams: Mapping[tuple[str, str], StreamCall] | None = None,
        token: str | None = None,
    ) -> None:
        self._values = values
        self._streams = streams or {}
        self._token = token or secrets.token_urlsafe(24)
        self.path = f"/{self._token}/"

    async def __call__(self, exchange: Exchange) -> None:
        try:
            answer = await self._answer(exchange)
        except Refused as refused:
            exchange.note = str(refused)
            answer = refused.answer()
        if answer is not None:
            await answer.send(exchange)

    async def _answer(self, exchange: Exchange) -> Answer | None:
        token, slash, rest = exchange.path[1:].partition("/")
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            raise Refused(404, "Not Found")
        if not slash:  # typed without it: relative addresses need it
            return Answer(b"", "text/plain", 308, (("location", self.path),))
        if not rest:
            return _file(exchange, "index.html")
        kind, _, name = rest.partition("/")
        if kind == "static":
            return _file(exchange, name)
        if kind != "api":
            raise Refused(404, "Not Found")
        return await self._call(exchange, name)

    async def _call(self, exchange: Exchange, path: str) -> Answer | None:
        action, _, quoted = path.partition("/")
        method = "GET" if exchange.request.method == "HEAD" else exchange.request.method
        name = unquote(quoted, errors="replace")
        if stream := self._streams.get((method, action)):
            query = exchange.request.url.partition("?")[2]
            await stream(exchange, name, dict(parse_qsl(query)))
            return None
        call = self._values.get((method, action))
        if call is None:
            others = sorted(
                {known for known, word in [*self._values, *self._streams] if word == action}
            )
            if not others:
                raise Refused(404, "Not Found")
            raise _NotAllowed(others)
        asked = _json(exchange) if method == "POST" else None
        value = await asyncio.to_thread(call, name, asked)
        if isawaitable(value):
            value = await value
        return await asyncio.to_thread(Answer.of, value)


class _NotAllowed(Refused):
    """The address takes other methods."""

    def __init__(self, methods: list[str]) -> None:
        self._methods = ", ".join(["HEAD", *methods] if "GET" in methods else methods)
        super().__init__(405, f"this address takes {self._methods}")

    def answer(self, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
        return super().answer((*headers, ("allow", self._methods)))


def not_found(name: str) -> Refused:
    """Return the refusal of a name that the store does not have."""
    return Refused(404, f"there is no recording {name[:_MAX_NAME]!r}")


def _json(exchange: Exchange) -> Any:
    """Return the JSON of a request. Raises Refused."""
    kind = exchange.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:
        raise Refused(415, f"the request should be {JSON}, not {kind[:100]!r}")
    body = exchange.request.body
    try:
        return decode(body, _MAX_DEPTH, max_values=len(body))
    except BeyondLimit:
        raise Refused(400, f"the request nests deeper than {_MAX_DEPTH}") from None
    except ValueError as error:
        raise Refused(400, f"the request is not JSON: {error}") from None


def _file(exchange: Exchange, name: str) -> Answer:
    if exchange.request.method not in ("GET", "HEAD"):
        raise _NotAllowed(["GET"])
    if name not in page_files():
        raise Refused(404, "Not Found")
    return Answer(compact(name).encode(), TYPES[name.rpartition(".")[2]])
