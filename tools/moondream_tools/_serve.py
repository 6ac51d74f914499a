"""The answers of `moondream-stream serve`: the service's wire format, from recordings.

1. A request is checked as the service does it: the key, the path, the body (`decode_request`). An
   error is answered with the service's own messages (`encode_error`). A fault that is such an error
   is answered at once, without a recording.
2. The most similar recording answers: one of the same request, else one of the same request with
   another picture, else any of the skill. `--match` limits this. A recording in the form that is
   asked for (streamed or whole) is preferred. Equal ones take turns.
3. The recording is converted to another form or dialect if necessary (`_convert.py`), gets its
   fault (`_faults.py`), and is played (`_play.py`).
4. With a latency, no answer begins earlier than that. A request that is refused does not wait.
5. Headers of a request replace options for this request: see `_serve_options.py`.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections import Counter
from functools import lru_cache
from pathlib import Path

from msgspec.structs import replace

from moondream_transports.recording import read_recording
from moondream_transports.replay import Store
from sansio_moondream import (
    APIError,
    Dialect,
    ErrorResponse,
    Headers,
    encode_error,
)
from sansio_moondream._server.refusals import refusal
from sansio_moondream.recording import (
    Match,
    Recording,
    RecordingError,
    RecordingHeader,
)

from ._convert import JSON, convert
from ._exchange import Exchange
from ._faults import HTTPFault
from ._guard import Guard
from ._play import send_recording
from ._serve_options import Options
from ._service import allow_page, decode, refuse

_HEALTH = ("/health", "/healthz")
_SMALL_BYTES = 256 * 1024  # of a body that is decoded in less than about a millisecond
_MAX_PREPARED = 128  # recordings in another form, or with a fault


def load_recordings(source: Path) -> tuple[dict[str, Recording], list[str]]:
    """Read one recording, or those of a folder and of the folders in it.

    Returns:
        The recordings by their names, and why other files were skipped.

    Raises ValueError if there are none.
    """
    if source.is_dir():
        return _load_folder(source)
    try:
        # A link that is named is the caller's choice. Those in a folder are not followed.
        return {source.name: read_recording(source.resolve())}, []
    except FileNotFoundError:
        raise ValueError(f"{source} is neither a recording nor a folder with recordings") from None
    except (RecordingError, OSError) as error:
        raise ValueError(f"{source} cannot be read as a recording: {error}") from None


def _load_folder(folder: Path) -> tuple[dict[str, Recording], list[str]]:
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
        self._asked: Counter[tuple[str, str]] = Counter()  # by path and digest of the body
        self._prepared = lru_cache(_MAX_PREPARED)(self._prepare)

    async def __call__(self, exchange: Exchange) -> None:
        if await allow_page(exchange, self._guard):
            return
        options = self._options
        try:
            options = self._overridden(exchange.headers)
            if exchange.path in _HEALTH and exchange.request.method in ("GET", "HEAD"):
                await exchange.answer(200, b'{"status":"ok"}', [("content-type", JSON)])
                return
            fault = self._fault(exchange, options)
            if len(exchange.request.body) <= _SMALL_BYTES:
                answer = self._answer(exchange, options, fault)
            else:  # to decode and to compare it takes a while
                answer = await asyncio.to_thread(self._answer, exchange, options, fault)
        except APIError as error:
            exchange.note = error.message
            await refuse(exchange, error, options.dialect or Dialect.ENGINE)
            return
        if (wait := exchange.began_at + options.latency - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        if isinstance(answer, ErrorResponse):
            status_code, headers, body = answer
            await exchange.answer(status_code, body, headers)
        else:
            await send_recording(exchange, answer, options.speed, options.fragmentation)

    def _overridden(self, headers: Headers) -> Options:
        """Return the options for a request with these headers. Raises BadRequestError."""
        try:
            return self._options.overridden(headers)
        except ValueError as error:
            raise refusal(400, str(error)) from error

    def _fault(self, exchange: Exchange, options: Options) -> HTTPFault | None:
        """Choose the fault of an answer. Counts the request if the choice needs that."""
        if not options.faults:
            return None
        key = exchange.path, exchange.digest
        self._asked[key] += 1
        return options.fault(*key, self._asked[key])

    def _answer(
        self, exchange: Exchange, options: Options, fault: HTTPFault | None
    ) -> Recording | ErrorResponse:
        """Return the recording to play, or the fault in its place. Raises APIError."""
        if self._api_key is not None and not _has_key(exchange.headers, self._api_key):
            raise refusal(401, "The API key is missing or wrong")
        http = exchange.request
        decoded = decode(exchange, options.dialect or Dialect.ENGINE)
        exchange.fault = fault.kind if fault is not None else None
        if fault is not None and fault.error is not None:
            exchange.note = f"fault {fault.kind}"
            return encode_error(fault.error, Dialect.CLOUD)  # the station has no other status
        try:
            asked = RecordingHeader.of(http, secrets=[self._api_key] if self._api_key else [])
        except ValueError as error:  # it has many secrets, for example
            raise refusal(400, str(error)) from None
        index = self._find(asked, options.match)
        name, _ = self._recordings[index]
        exchange.note = name if fault is None else f"{name}, fault {fault.kind}"
        return self._prepared(index, decoded.request.skill, decoded.stream, options.dialect, fault)

    def _prepare(
        self,
        index: int,
        skill: str,
        stream: bool,
        dialect: Dialect | None,
        fault: HTTPFault | None,
    ) -> Recording:
        """Return a recording in the form that is asked for, with its fault (rule 3)."""
        _, recording = self._recordings[index]
        answer = convert(recording, skill=skill, stream=stream, dialect=dialect)
        return answer if fault is None else fault.apply(answer)

    def _find(self, asked: RecordingHeader, least: Match) -> int:
        """Return the index of the recording for a request, by rule 2. Raises NotFoundError."""
        forms = asked, _other_form(asked)
        for level in Match:
            for form in forms:
                index = self._store.choose(form, level)
                if index is not None:
                    return index
            if level is least:
                break
        message = f"no recording answers {asked.method} {asked.path}"
        matches = self._store.matches(forms[-1], least)
        if matches.nearest is not None:
            name, _ = self._recordings[matches.nearest]
            message += f"; the nearest, {name}, differs: {'; '.join(matches.differences)}"
        raise refusal(404, message)


def _has_key(headers: Headers, key: str) -> bool:
    given = headers.get("x-moondream-auth") or headers.get("authorization", "").removeprefix(
        "Bearer "
    )
    return hmac.compare_digest(given.encode(), key.encode())


def _other_form(asked: RecordingHeader) -> RecordingHeader:
    """Return the same request for a whole answer in place of a stream, or the reverse."""
    body = asked.request_body
    return replace(asked, request_body=body | {"stream": not body.get("stream")})
