"""A server that keeps what a copied command sends."""

from __future__ import annotations

from moondream_tools._exchange import Exchange
from moondream_tools._guard import Guard
from moondream_tools._play import send_recording
from moondream_tools._server_thread import HOST, ServerThread
from sansio_moondream import HTTPRequest
from sansio_moondream.recording import RecordingHeader
from tests.tools.serving import RECORDED


class Receiver:
    """A server that keeps each request, and answers with a recording."""

    def __init__(self) -> None:
        self.requests: list[HTTPRequest] = []
        self.answer = RECORDED["query"]
        self._server = ServerThread(self._handle, Guard(HOST), lambda _: None)

    def __enter__(self) -> Receiver:
        self._server.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.close()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._server.port}/v1"

    async def _handle(self, exchange: Exchange) -> None:
        self.requests.append(exchange.request)
        await send_recording(exchange, self.answer, None)

    def received(self) -> tuple[RecordingHeader, dict[str, str]]:
        """Return the last request as it would be recorded, and its headers."""
        request = self.requests.pop()
        headers = {name.lower(): value for name, value in request.headers}
        return RecordingHeader.of(request), headers
