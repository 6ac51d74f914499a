"""A service that answers about uploaded pictures, event by event: uvicorn service:app"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from moondream_transports import AsyncClient, Limiter, RetryPolicy
from moondream_transports.relay import AsyncRelay, AsyncRelayGroup, relay
from sansio_moondream import EncodedImage, Endpoint, encode_image

MAX_BYTES = 20_000_000

client = AsyncClient(
    endpoint=Endpoint(
        os.environ.get("MOONDREAM_ENDPOINT", Endpoint().url), os.environ.get("MOONDREAM_API_KEY")
    ),
    limiter=Limiter(per_second=10, concurrent=8),  # what the key allows, for all visitors together
    retries=RetryPolicy(),
)
group = AsyncRelayGroup(max_streams=50)


class RelayResponse(Response):
    """FastAPI sends only a Response as it is, and reads its status for the OpenAPI document."""

    media_type = "text/event-stream"

    def __init__(self, content: AsyncRelay, status_code: int = 200) -> None:
        super().__init__()
        self.relay = content

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.relay(scope, receive, send)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with client:
        with group.drain_on_signal(20):
            yield


app = FastAPI(lifespan=lifespan, title="Ask about a picture")
PICTURE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@app.post("/describe", response_class=RelayResponse, openapi_extra=PICTURE)
async def describe(request: Request) -> RelayResponse:
    """Describe the picture in the body."""
    return answer(client.stream_caption(image=await picture(request)))


@app.post("/ask", response_class=RelayResponse, openapi_extra=PICTURE)
async def ask(request: Request, question: str) -> RelayResponse:
    """Answer a question about the picture in the body."""
    return answer(client.stream_query(image=await picture(request), question=question))


@app.post("/outline", response_class=RelayResponse, openapi_extra=PICTURE)
async def outline(request: Request, object: str) -> RelayResponse:
    """Outline an object in the picture in the body."""
    return answer(client.stream_segment(image=await picture(request), object=object))


def answer(stream: Any) -> RelayResponse:
    return RelayResponse(relay(stream, group=group))


async def picture(request: Request) -> EncodedImage:
    """Read the upload, never more than MAX_BYTES of it."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise HTTPException(413, f"a picture may have {MAX_BYTES:,} bytes")
    try:
        return await run_in_threadpool(encode_image, bytes(body))
    except ValueError as error:
        raise HTTPException(400, str(error)) from None
