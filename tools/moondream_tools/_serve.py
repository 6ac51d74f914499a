"""The service's wire format on this machine, from recordings: what `moondream-stream serve`
answers.

1. A request is looked at as the service does it: the key, the path, the body; what is wrong there
   is answered in the service's own words.
2. It is answered with the recording that is most like it: the same request, else the same with
   another picture, else any of the skill. `--match` says how far down this goes. One that was
   recorded in the form that is asked for (streamed or whole) comes first; equals take turns.
3. The recording is told anew where the client wants another form or dialect (`_convert.py`), is
   given its fault (`_faults.py`), cut into other chunks, and played (`_player.py`).
4. What the options say, a request's headers of the same names can say otherwise, for itself: see
`_serve_options.py`."""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from sansio_moondream import Dialect, Headers
from sansio_moondream.recording import (
    Match,
    Matches,
    Recording,
    RecordingError,
    RecordingHeader,
    find_matches,
)

from ._convert import cut_into, retell
from ._guard import Guard
from ._http_server import Exchange, Field
from ._player import play
from ._refusals import JSON, SKILLS, Refusal, read_request
from ._serve_options import Options

_HEALTH = ("/health", "/healthz")


def load_recordings(folder: Path) -> dict[str, Recording]:
    """The recordings of a folder and those below it, by their names in it.

    Raises ValueError where there are none, or one is broken.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder with recordings")
    recordings: dict[str, Recording] = {}
    for path in sorted(folder.rglob("*.jsonl")):
        name = path.relative_to(folder).as_posix()
        try:
            recordings[name] = Recording.decode(path.read_bytes())
        except RecordingError as error:
            raise ValueError(f"{name}: {error}") from error
    if not recordings:
        raise ValueError(
            f"{folder} has no recordings (*.jsonl); make some with: moondream-stream record --upstream URL --to {folder}"
        )
    return recordings


class Service:
    """The handler of the server: answers from `recordings`; with `api_key`, only requests that
    carry it.
    """

    def __init__(
        self,
        recordings: dict[str, Recording],
        options: Options,
        guard: Guard,
        api_key: str | None = None,
    ) -> None:
        self._store = _Shelf(recordings)
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
            recording = self._answer(exchange, options)
        except Refusal as refusal:
            status_code, kind, body = refusal.answer(options.dialect)
            exchange.note = str(refusal)
            allow = [("allow", "POST")] if status_code == 405 else []
            await exchange.answer(
                status_code, body, [("content-type", kind), *allow, *cross_origin]
            )
        else:
            await play(exchange, recording, options.speed, cross_origin)

    def _overridden(self, headers: Headers) -> Options:
        """The options for a request with these headers. Raises Refusal."""
        try:
            return self._options.overridden(headers)
        except ValueError as error:
            raise Refusal(400, str(error)) from error

    def _answer(self, exchange: Exchange, options: Options) -> Recording:
        """The recording to play. Raises Refusal."""
        prefix, _, skill = exchange.path.rpartition("/")
        if prefix != "/v1" or skill not in SKILLS:
            if exchange.path == "/v1/chat/completions":
                raise Refusal(
                    404,
                    "chats are recorded, but not served: only ReplayTransport plays their recordings",
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
        except ValueError:  # nested too deeply, say
            raise Refusal(400, "Invalid JSON body") from None
        stream = bool(fields.get("stream")) and skill not in ("detect", "point")
        name, recording = self._store.find(asked, options.match)
        exchange.note = name if options.fault is None else f"{name}, fault {options.fault.kind}"
        told = retell(recording, skill=skill, stream=stream, dialect=options.dialect)
        if options.fault is not None:
            told = options.fault.applied(told)
        return told if options.cut is None else cut_into(told, options.cut)

    def _cross_origin(self, headers: Headers) -> list[Field]:
        """What lets the page that asks read the answer. Pages that may not were refused before."""
        origin = headers.get("origin")
        if origin is None or not self._guard.allows(origin):
            return []
        return [
            ("access-control-allow-origin", origin),
            ("vary", "origin"),
            ("access-control-expose-headers", "*"),
        ]


async def _allow(exchange: Exchange, cross_origin: list[Field]) -> None:
    """Builder a browser that asks beforehand what a page may send."""
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


class _Shelf:
    def __init__(self, recordings: dict[str, Recording]) -> None:
        self._recordings: Sequence[tuple[str, Recording]] = list(recordings.items())
        self._headers = [recording.header for recording in recordings.values()]
        self._turns: Counter[tuple[int, ...]] = Counter()

    def find(self, asked: RecordingHeader, loosest: Match) -> tuple[str, Recording]:
        """The recording that answers, by rule 2, and its name. Raises Refusal."""
        matches = Matches(())
        for level in Match:
            for form in (asked, _other_form(asked)):
                matches = find_matches(form, self._headers, level)
                if matches.found:
                    turn = self._turns[matches.found]
                    self._turns[matches.found] += 1
                    return self._recordings[matches.found[turn % len(matches.found)]]
            if level is loosest:
                break
        words = f"no recording answers {asked.method} {asked.path}"
        if matches.nearest is not None:
            words += f"; the nearest, {self._recordings[matches.nearest][0]}, differs: {'; '.join(matches.differences)}"
        raise Refusal(404, words)


def _other_form(asked: RecordingHeader) -> RecordingHeader:
    """The same request, for a stream where it is for a whole answer, and the other way round."""
    body = asked.request_body
    return replace(asked, request_body=body | {"stream": not body.get("stream")})
