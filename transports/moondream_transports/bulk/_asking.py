"""Ask about one item: what a worker of a run does."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import msgspec
from msgspec import Struct

from moondream_transports._client._async.client import AsyncClient
from moondream_transports._concurrency import async_in_thread
from moondream_transports._map.running import Running
from sansio_moondream import EncodedImage, Request
from sansio_moondream._unicode import well_formed

from ._tasks import Task
from ._template import Template, picture_size
from ._values import Item, Row, Status


class Ended(Struct, frozen=True):
    """An item that ended.

    Attributes:
        row: for the ledger.
        failure: the class of its error, or None.
        message: of this error.
        input_tokens, output_tokens: of its answer, as far as the server reports them.
    """

    row: Row
    failure: str | None = None
    message: str = ""
    input_tokens: int = 0
    output_tokens: int = 0


class Asker:
    """Ask about items with one client. Several tasks may use it.

    Args:
        client: that sends the requests.
        template: makes them.
        model: for the rows.
        stream: whether the answers are streamed.
        stop: once it is set, nothing begins.
    """

    def __init__(
        self,
        client: AsyncClient,
        template: Template,
        model: str,
        stream: bool,
        stop: threading.Event,
    ) -> None:
        self._client = client
        self._template = template
        self._model = model
        self._stream = stream
        self._stop = stop
        self._needs_size = template.skill == "segment"  # for masks

    async def ask(self, task: Task, running: Running) -> Ended | None:
        """Ask about an item, and return how that ended, or None if it did not begin.

        A picture that cannot be read, or a request that cannot be made, is a failed row without
        attempts. So is an error of the exchange, with the partial answer. What else is raised is a
        mistake of a program.
        """
        try:
            request = await self._request(task.item)
        except (OSError, TypeError, ValueError) as error:
            kind, message = type(error).__name__, well_formed(str(error))
            row = self._row(task, Status.FAILED, {"kind": kind, "message": message})
            return Ended(row, kind, message)
        if self._stop.is_set():
            return None
        answered = await self._client.outcome(request, stream=self._stream, running=running)
        if running.is_withdrawn:
            return None
        value = answered.result or answered.error
        assert value is not None
        form = value.to_dict()
        row = self._row(
            task,
            Status.FAILED if answered.error else Status.DONE,
            form,
            answered.attempts,
            answered.seconds,
            *(picture_size(request) if self._needs_size else ()),
        )
        if answered.result is None:
            return Ended(row, type(value).__name__, str(answered.error))
        tokens = form["metadata"]["tokens"]
        return Ended(row, input_tokens=tokens["input"] or 0, output_tokens=tokens["output"] or 0)

    async def _request(self, item: Item) -> Request[Any]:
        """Make the request. A picture is read, and perhaps made smaller, in a thread."""
        if isinstance(item.picture, EncodedImage | None):
            return self._template.request(item)
        return await async_in_thread(self._template.request, item)

    def _row(
        self,
        task: Task,
        status: Status,
        answer: dict[str, Any],
        attempts: int = 0,
        seconds: float = 0.0,
        width: int | None = None,
        height: int | None = None,
    ) -> Row:
        return Row(
            task.item.id,
            task.digest,
            self._model,
            status,
            _encode(answer),
            attempts,
            seconds,
            width,
            height,
            time.time(),
        )


def _encode(answer: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(answer)
    except UnicodeEncodeError:  # a lone surrogate, of a server's id or of a path
        return json.dumps(well_formed(answer)).encode()
