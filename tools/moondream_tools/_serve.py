"""The answers of `moondream-stream serve`: the service's wire format, from recordings.

1. A request is checked as the service does it: the key, the path, the body. An error is answered
   with the service's own messages.
2. The most similar recording answers: one of the same request, else one of the same request with
   another picture, else any of the skill. `--match` limits this. A recording in the form that is
   asked for (streamed or whole) is preferred. Equal ones take turns.
3. The recording is converted to another form or dialect if necessary (`_convert.py`), gets its
   fault (`_faults.py`), and is played (`_play.py`).
4. Headers of a request replace options for this request: see `_serve_options.py`.
"""

from __future__ import annotations

import asyncio
import hmac
from pathlib import Path

from msgspec.structs import replace

from moondream_transports.recording import read_recording
from moondream_transports.replay import Store
from sansio_moondream import Dialect, Headers
from sansio_moondream.recording import (
    Match,
    Matches,
    Recording,
    RecordingError,
    RecordingHeader,
)

from ._convert import convert
from ._exchange import Exchange, Field
from ._guard import Guard
from ._play import send_recording
from ._refusals import JSON, SKILLS, Refusal, read_request
from ._serve_options import Options

_HEALTH = ("/health", "/healthz")


def load_recordings(folder: Path) -> tuple[dict[str, Recording], list[str]]:
    """Read the recordings of a folder and of the folders in it.

    Returns:
        The recordings by their names, and why other files were skipped.

    Raises ValueError if there are none.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder with recordings")
    recordings: dict[str, Recording] = {}
    skipped: list[str] = []
    for path in sorted(folder.rglob("*.jsonl")):
        name = path.relative_to(folder).as_posix()
        try:
            recordings[name] = read_recording(path)
        except (RecordingError, OSError) as error:
            skipped.append(f"skipped {name}: {error}")
    if not recordings:
        raise ValueError(
            f"{folder} has no recording that can be read; {skipped[0]}"
            if skipped
            else f"{folder} has no recordings (*.jsonl); make some with: "
            f"moondream-stream record --upstream URL --to {folder}"
        )
    return recordings, skipped


class Service:
    """The handler of the server.

    Args:
        recordings: by their names.
        options: for requests without headers of their own.
        guard: decides which web pages may read an answer.
        api_key: the key that requests need, or None.
    """

    def __init__(
        self,
        recordings: dict[str, Recording],
        options: Options,
        guard: Guard,
        api_key: str | None = None,
    ) -> None:
        self._recordings = tuple(recordings.items())
        self._store = Store(recordings.values())
        self._options = options
        self._guard = guard
        self._api_key = api_key

    async def __call__(self, exchange: Exchange) -> None:
        cross_origin = self._cross_origin(exchange.headers)
        options = self._options
        try:
            options = self._overridden(exchange.headers)
            if exchange.request.method == "OPTIONS" and cross_origin:
                await _allow(exchange, cross_origin)
                return
            if exchange.path in _HEALTH and exchange.request.method in ("GET", "HEAD"):
                await exchange.answer(
                    200, b'{"status":"ok"}', [("content-type", JSON), *cross_origin]
                )
                return
            # In a thread: to decode and to compare a large request takes a while.
            recording = await asyncio.to_thread(self._answer, exchange, options)
        except Refusal as refusal:
            status_code, kind, body = refusal.answer(options.dialect)
            exchange.note = str(refusal)
            allow = [("allow", "POST")] if status_code == 405 else []
            await exchange.answer(
                status_code, body, [("content-type", kind), *allow, *cross_origin]
            )
        else:
            await send_recording(
                exchange, recording, options.speed, options.fragmentation, cross_origin
            )

    def _overridden(self, headers: Headers) -> Options:
        """Return the options for a request with these headers. Raises Refusal."""
        try:
            return self._options.overridden(headers)
        except ValueError as error:
            raise Refusal(400, str(error)) from error

    def _answer(self, exchange: Exchange, options: Options) -> Recording:
        """Return the recording to play. Raises Refusal."""
        prefix, _, skill = exchange.path.rpartition("/")
        if prefix != "/v1" or skill not in SKILLS:
            if exchange.path == "/v1/chat/completions":
                raise Refusal(
                    404,
                    "chats are not served: ReplayTransport plays recordings of chats",
                    plain=True,
                )
            unknown = (
                "Function '{}' not available" if options.dialect is Dialect.STATION else "Not Found"
            )
            raise Refusal(404, unknown.format(skill), plain=True)
        if exchange.request.method != "POST":
            raise Refusal(405, "Method Not Allowed", plain=True)
        if self._api_key is not None and not _has_key(exchange.headers, self._api_key):
            raise Refusal(401, "The API key is missing or wrong")
        fields = read_request(
            skill, exchange.request.body, reasons_in_streams=options.dialect is Dialect.STATION
        )
        try:
            asked = RecordingHeader.of(
                exchange.request, secrets=[self._api_key] if self._api_key else []
            )
        except ValueError as error:  # it has many secrets, for example
            raise Refusal(400, str(error)) from None
        stream = bool(fields.get("stream")) and skill not in ("detect", "point")
        name, recording = self._find(asked, options.match)
        exchange.note = name if options.fault is None else f"{name}, fault {options.fault.kind}"
        answer = convert(recording, skill=skill, stream=stream, dialect=options.dialect)
        if options.fault is not None:
            answer = options.fault.apply(answer)
        return answer

    def _find(self, asked: RecordingHeader, least: Match) -> tuple[str, Recording]:
        """Return the name and the recording for a request, by rule 2. Raises Refusal."""
        matches = Matches(())
        for level in Match:
            for form in (asked, _other_form(asked)):
                index, matches = self._store.choose(form, level)
                if index is not None:
                    return self._recordings[index]
            if level is least:
                break
        message = f"no recording answers {asked.method} {asked.path}"
        if matches.nearest is not None:
            name, _ = self._recordings[matches.nearest]
            message += f"; the nearest, {name}, differs: {'; '.join(matches.differences)}"
        raise Refusal(404, message)

    def _cross_origin(self, headers: Headers) -> list[Field]:
        """Return the headers that let a web page read the answer, if the guard allows the page."""
        origin = headers.get("origin")
        if origin is None or not self._guard.allows(origin):
            return []
        return [
            ("access-control-allow-origin", origin),
            ("vary", "origin"),
            ("access-control-expose-headers", "*"),
        ]


async def _allow(exchange: Exchange, cross_origin: list[Field]) -> None:
    """Answer a preflight request of a browser."""
    asked = exchange.headers.get("access-control-request-headers", "")
    fields = [
        ("access-control-allow-methods", "POST, GET"),
        ("access-control-max-age", "600"),
        *cross_origin,
    ]
    if asked:
        fields.append(("access-control-allow-headers", asked))
    if exchange.headers.get("access-control-request-private-network") == "true":
        fields.append(("access-control-allow-private-network", "true"))
    await exchange.start(204, fields)
    await exchange.end()


def _has_key(headers: Headers, key: str) -> bool:
    given = headers.get("x-moondream-auth") or headers.get("authorization", "").removeprefix(
        "Bearer "
    )
    return hmac.compare_digest(given.encode(), key.encode())


def _other_form(asked: RecordingHeader) -> RecordingHeader:
    """Return the same request for a whole answer in place of a stream, or the reverse."""
    body = asked.request_body
    return replace(asked, request_body=body | {"stream": not body.get("stream")})
