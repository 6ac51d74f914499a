"""A server on loopback for tests of any client, in any language.

1. Answers are given in the order in which they were added, each once or `times`. The first one that
   is for the skill of the request, and is left, is given.
2. A request that no answer is left for gets a 404 that says so. A request that the service would
   refuse gets the service's refusal. Both are misses, and so is what is no HTTP request at all.
3. `check` raises an error for misses and for answers that were not used. It is called at the end of
   a `with` block that ends without another error.
4. Keys are masked in what was received.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from os import PathLike
from types import TracebackType
from typing import Any, Self

from msgspec import Struct

from moondream_transports.replay import AnyFragmentation, BreakAt, Fragmentation
from sansio_moondream import (
    APIError,
    BBox,
    Dialect,
    Headers,
    NotFoundError,
    Point,
    Request,
    Result,
)
from sansio_moondream.recording import Recording

from ._exchange import Exchange
from ._fake_answers import Answer, shorten
from ._fake_content import require
from ._faults import HTTPFault
from ._guard import Guard
from ._play import send_recording
from ._server_thread import HOST, ServerThread
from ._service import allow_page, decode, refuse

_SHOWN = 200  # characters of a request in a message


class Received(Struct, frozen=True):
    """A request as it was received.

    Attributes:
        request: of its skill.
        stream: True if a streamed answer was asked for.
        extra_body: fields of the body that no request of the skill has.
        path: of the HTTP request.
        headers: of the HTTP request. Keys are masked.
    """

    request: Request[Any]
    stream: bool
    extra_body: Mapping[str, Any]
    path: str
    headers: Headers


class FakeServer:
    """Answer the requests of any client as the service does, with the answers that `answer` adds.

    Use it as a context manager, or call `start` and `close`. All methods may be called from any
    thread.

    Args:
        dialect: how answers are spelled, and which rules apply to requests. Chats have their own.

    Raises ValueError for Dialect.CHAT.
    """

    def __init__(self, dialect: Dialect = Dialect.ENGINE) -> None:
        if dialect is Dialect.CHAT:
            raise ValueError("chats have this dialect anyway: pass the one of the other skills")
        self._dialect = dialect
        self._lock = threading.Lock()
        self._answers: list[Answer] = []
        self._received: list[Received] = []
        self._misses: list[str] = []
        self._handled: set[Exchange] = set()  # of those that are being answered
        self._left = threading.Semaphore(0)
        self._guard = Guard(HOST)
        self._server = ServerThread(self._handle, self._guard, self._end)

    def answer(
        self,
        *,
        text: str | None = None,
        reasoning: str | None = None,
        path: str | None = None,
        box: BBox | None = None,
        objects: Iterable[BBox] | None = None,
        points: Iterable[Point] | None = None,
        result: Result | None = None,
        recording: Recording | str | PathLike[str] | None = None,
        error: APIError | None = None,
        status: int | None = None,
        skill: str | None = None,
        seconds: float | None = 0.0,
        fault: str | None = None,
        break_at: BreakAt | None = None,
        fragmentation: AnyFragmentation = Fragmentation.AS_RECORDED,
        times: int | None = 1,
    ) -> None:
        """Add an answer. It is streamed or whole, as the request asks for it.

        Args:
            text: of a query, a caption or a chat. It is streamed word by word.
            reasoning: before the text of a query or a chat.
            path, box: of a segmentation. The path is streamed command by command.
            objects: boxes, of a detection.
            points: of a pointing.
            result: of its skill, with all its fields.
            recording: a `Recording`, or the path of its file.
            error: an error of the service in place of an answer, to any skill. Beside a text, a
                path or a result, it comes inside the stream, in place of the end.
            status: an error with this status and a message of this server.
            skill: limits the answer to one skill, if it could be for others.
            seconds: before each event of a stream, or before a whole answer. None keeps the times
                of a recording.
            fault: a fault of `moondream-stream serve`, such as `"stall"` or `"close@2"`: the
                connection is closed after two events.
            break_at: where the answer breaks, and how, as in a replay: at a byte, for example.
            fragmentation: where the body is cut into chunks, as in a replay.
            times: how often it is given. None is any number, zero included.

        Raises:
            TypeError: nothing to answer, more than one, or a value of another type.
            ValueError: a value that cannot be sent, such as an unknown fault.
            RecordingError: a file that is not a recording.
            OSError: a file that cannot be read.
        """
        what = {
            "text": text,
            "reasoning": reasoning,
            "path": path,
            "box": box,
            "objects": objects,
            "points": points,
            "result": result,
            "recording": recording,
            "error": error,
            "status": status,
        }
        number = len(self._answers) + 1
        answer = Answer(
            what={name: value for name, value in what.items() if value is not None},
            number=number,
            skill=skill,
            seconds=seconds,
            fault=None if fault is None else HTTPFault.parse(require(str, "fault", fault)),
            break_at=break_at,
            fragmentation=fragmentation,
            times=times,
        )
        answer.check(self._dialect)
        with self._lock:
            self._answers.append(answer)

    @property
    def url(self) -> str:
        """The address for clients, such as `http://127.0.0.1:43210/v1`."""
        return f"http://{HOST}:{self._server.port}/v1"

    @property
    def requests(self) -> tuple[Request[Any], ...]:
        """What was asked, in the order of arrival. Requests that were refused are not here."""
        return tuple(received.request for received in self.received)

    @property
    def received(self) -> tuple[Received, ...]:
        """The same requests, with what else was received."""
        with self._lock:
            return tuple(self._received)

    @property
    def misses(self) -> tuple[str, ...]:
        """What had no answer, or was refused: a text for each request."""
        with self._lock:
            return tuple(self._misses)

    @property
    def unused(self) -> tuple[str, ...]:
        """The answers that were given less often than `times`: a text for each."""
        with self._lock:
            return tuple(str(answer) for answer in self._answers if answer.is_unused)

    def check(self) -> None:
        """Raise AssertionError if there are misses, or answers that were not used."""
        parts = [
            (self.misses, "the fake server had no answer for some of the requests:"),
            (self.unused, "these answers of the fake server were not used:"),
        ]
        problems = ["\n  ".join([about, *lines]) for lines, about in parts if lines]
        if problems:
            raise AssertionError("\n".join(problems))

    def wait_until_left(self, timeout: float = 10.0) -> None:
        """Wait until a client has left its answer before the end, at most `timeout` seconds.

        Each call waits for one. Call it in a thread if the client runs on an event loop: the loop
        has to go on.

        Raises TimeoutError.
        """
        if not self._left.acquire(timeout=timeout):
            raise TimeoutError(f"no client left its answer within {timeout:g} s")

    def start(self) -> Self:
        """Start the server. Raises OSError, and RuntimeError if it runs."""
        self._server.start()
        return self

    def close(self) -> None:
        """Stop the server at once. May be called again."""
        self._server.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        if kind is None:
            self.check()

    def __repr__(self) -> str:
        return f"<FakeServer: {len(self.received)} requests, {len(self.misses)} misses>"

    async def _handle(self, exchange: Exchange) -> None:
        self._handled.add(exchange)
        if await allow_page(exchange, self._guard):
            return
        try:
            answer, recording = self._answer(exchange)
        except APIError as refusal:
            self._miss(exchange, refusal.message)
            await refuse(exchange, refusal, self._dialect)
        else:
            await send_recording(exchange, recording, fragmentation=answer.fragmentation)

    def _answer(self, exchange: Exchange) -> tuple[Answer, Recording]:
        """Return the answer to a request. Raises APIError if it is refused, or has none."""
        http = exchange.request
        decoded = decode(exchange, self._dialect)
        secrets = http.secrets
        headers = Headers((name, secrets.mask(value)) for name, value in http.headers)
        request, stream = decoded.request, decoded.stream
        with self._lock:
            self._received.append(
                Received(request, stream, decoded.extra_body, exchange.path, headers)
            )
            for answer in self._answers:
                if request.skill in answer.skills and answer.is_left:
                    answer.give()
                    return answer, answer.recording(request.skill, stream, self._dialect)
            left = "; ".join(str(answer) for answer in self._answers if answer.is_left)
            count = len(self._answers)
        others = (
            f"left are {left}" if left else f"all {count} were given" if count else "none was added"
        )
        asked = shorten(repr(request), _SHOWN)
        raise NotFoundError(f"no answer is left for {asked}: {others}", status_code=404)

    def _miss(self, exchange: Exchange, reason: str) -> None:
        with self._lock:
            self._misses.append(f"{exchange.request.method} {exchange.path[:_SHOWN]}: {reason}")

    def _end(self, exchange: Exchange) -> None:
        if exchange not in self._handled:
            self._miss(exchange, exchange.note)  # it was refused as HTTP
        self._handled.discard(exchange)
        if exchange.client_left:
            self._left.release()
