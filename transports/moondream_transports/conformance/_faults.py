"""What the faults are made of: the parts of a stream, the scripts of a server, and `HTTPFault`.

`F1` is the start of a good stream: the head and five text events.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from moondream_transports import Timeouts
from sansio_moondream import EncodedImage, Limits, MoondreamError, QueryRequest, TextDelta

from ._expect import expect
from ._fault_server import EVENT_STREAM, Peer, Script, chunk, head


def record(message: object) -> bytes:
    """Return one record, as the servers write it."""
    return b"data: " + json.dumps(message).encode() + b"\n\n"


def delta(text: str, token_index: int | None = None) -> bytes:
    """Return the record of a part of an answer's text."""
    return record({"chunk": text, "completed": False, "token_index": token_index})


END = record({"chunk": "", "completed": True})
WORDS = ("The", " moon", " over", " the", " sea")
DELTAS = [delta(word, index) for index, word in enumerate(WORDS)]
EVENTS = [TextDelta(word, index) for index, word in enumerate(WORDS)]
F1 = (head(), *map(chunk, DELTAS))
# In one segment, for short deadlines: on a busy machine, time passes between segments.
F1_AT_ONCE = b"".join(F1)
WHOLE_BODY = b"".join(DELTAS) + END
TEXT = "".join(WORDS)
QUERY = QueryRequest(question="What is in this image?")
LARGE = QueryRequest(
    question="What is this?",
    image=EncodedImage("data:image/png;base64," + "iVBORw0KGgoA".ljust(13_000_000, "A")),
)
CLOSE_DELIMITED = head(headers=EVENT_STREAM)  # its body ends where the connection does


@dataclass(frozen=True)
class HTTPFault:
    """What a test server does, and what the user must see, the same on every transport.

    Attributes:
        number: Its row in the table of faults. Faults of one kind have one number.
        name: What the server does, in words.
        script: The same as a program.
        events: How many of the five events come out.
        error: What ends the stream, or None if the answer is whole.
        timeouts: Of the request.
        about: Attributes that the error must have.
        limits: Of the request.
        text: The text of the whole answer, if it is not that of the five events.
        keeps: Whether the connection may be kept, as the body was read to its end.
        request: What is asked.
    """

    number: int
    name: str
    script: Script
    events: int = 0
    error: type[MoondreamError] | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)
    about: dict[str, Any] = field(default_factory=dict[str, Any])
    limits: Limits | None = None
    text: str | None = None
    keeps: bool = False
    request: QueryRequest = QUERY

    @property
    def id(self) -> str:
        return f"{self.number}: server {self.name}"


wait, reset = Peer.wait_until_closed, Peer.reset


def answers(*segments: bytes, then: Callable[[Peer], object] = lambda _peer: None) -> Script:
    """Return a script: read the request, send the segments, call `then`, close."""

    def script(peer: Peer) -> None:
        peer.answer(*segments)
        then(peer)

    return script


def sized(
    body: bytes,
    *,
    length: int | None = None,
    status_code: int = 200,
    kind: str = "text/event-stream",
    **more: str,
) -> bytes:
    """Return a response with a Content-Length.

    Args:
        body: The body.
        length: What Content-Length says, if it lies.
        status_code: The status.
        kind: The Content-Type.
        **more: More headers, with underscores for hyphens.
    """
    headers = {"Content-Type": kind, "Content-Length": str(len(body) if length is None else length)}
    headers |= {name.replace("_", "-"): value for name, value in more.items()}
    return head(status_code, headers.items()) + body


def sent_apart(segments: Sequence[bytes], seconds: float = 0.001) -> Callable[[Peer], None]:
    """Return a step of a script: send segments with pauses, so that they arrive one by one."""

    def step(peer: Peer) -> None:
        for segment in segments:
            is_closed = peer.is_closed_within(seconds)
            expect(not is_closed, "the client to wait for more", "it closed its connection")
            peer.send(segment)

    return step


def repeatedly(data: bytes, every: float = 0.0) -> Callable[[Peer], None]:
    """Return a step of a script: send the same until the client closes, every so many seconds."""
    return lambda peer: peer.send_for_ever(data, every)


def bytes_of(body: bytes) -> list[bytes]:
    """Return each byte of a body. The line ends behind the last message stay in one piece.

    A client may close before them.
    """
    *most, last = (body[at : at + 1] for at in range(body.rindex(b"}") + 1))
    return [*most, last + body[len(most) + 1 :]]
