"""What `serve` and the fake server have in common: web pages, the paths of skills, refusals."""

from __future__ import annotations

import re
from typing import Final

from sansio_moondream import APIError, DecodedRequest, Dialect, decode_request, encode_error
from sansio_moondream._server.refusals import refusal
from sansio_moondream._skills import BUILDERS

from ._exchange import Exchange
from ._guard import Guard

_PATH: Final = re.compile(r"/v1/(chat/completions|[^/]+)")
_STATION_PATH: Final = re.compile(r"/v1/.+")  # it looks at the last part only


async def allow_page(exchange: Exchange, guard: Guard) -> bool:
    """Let a web page that the guard allows read the answer.

    Returns True if the request was the preflight request of a browser. It is answered then.
    """
    origin = exchange.headers.get("origin")
    if origin is None or not guard.allows(origin):
        return False
    exchange.cross_origin = [
        ("access-control-allow-origin", origin),
        ("vary", "origin"),
        ("access-control-expose-headers", "*"),
    ]
    if exchange.request.method != "OPTIONS":
        return False
    fields = [("access-control-allow-methods", "POST, GET"), ("access-control-max-age", "600")]
    if asked := exchange.headers.get("access-control-request-headers"):
        fields.append(("access-control-allow-headers", asked))
    if exchange.headers.get("access-control-request-private-network") == "true":
        fields.append(("access-control-allow-private-network", "true"))
    exchange.cross_origin += fields
    await exchange.start(204)
    await exchange.end()
    return True


def skill_of(path: str) -> str:
    """Return the skill in a path. It need not be one that exists."""
    return "chat" if path.endswith("/chat/completions") else path.rpartition("/")[2]


def known_skill(path: str) -> str | None:
    """Return the skill that the path of a request names, or None if it names none."""
    skill = skill_of(path)
    return skill if skill in BUILDERS else None


def decode(exchange: Exchange, dialect: Dialect) -> DecodedRequest:
    """Decode a request. Raises APIError as the service does.

    `decode_request` accepts any prefix. The service has only one, and so have these servers: a
    client with another address should not work here alone.
    """
    paths = _STATION_PATH if dialect is Dialect.STATION else _PATH
    if not paths.fullmatch(exchange.path):
        raise refusal(404, "Not Found")
    http = exchange.request
    return decode_request(http.method, exchange.path, http.headers, http.body, dialect)


async def refuse(exchange: Exchange, error: APIError, dialect: Dialect) -> None:
    """Answer with an error. Those of chats have a dialect of their own."""
    dialect = Dialect.CHAT if skill_of(exchange.path) == "chat" else dialect
    status_code, headers, body = encode_error(error, dialect)
    await exchange.answer(status_code, body, headers)
