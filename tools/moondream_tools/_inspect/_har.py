"""An exchange as HAR 1.2, which browsers' tools open.

What HAR requires and a recording does not have is marked: the host is `not-recorded.invalid`, a
name that never exists (RFC 2606), versions of HTTP are "unknown", and so is the time of day, unless
the response says it in `Date`. Fields that begin with "_" are additions, as HAR has them.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from moondream_tools.trace import Trace
from sansio_moondream import Headers, __version__
from sansio_moondream.recording import Recording

from ._outgoing import Outgoing

HOST = "http://not-recorded.invalid"
_NO_DATE = datetime(1970, 1, 1, tzinfo=UTC)
_NOT_KNOWN = -1  # as HAR writes sizes and times
_MILLISECONDS = 1000.0


def as_har(recording: Recording, request: Outgoing, trace: Trace) -> str:
    """Return the file."""
    header = recording.header
    started = _started(recording)
    left_out = [*request.left_out]
    if started is None:
        left_out.append("The time of day is not recorded: startedDateTime has no meaning.")
    ended = trace.ending.at if trace.ending is not None else header.seconds
    entry: dict[str, Any] = {
        "startedDateTime": (started or _NO_DATE).isoformat(timespec="milliseconds"),
        "time": round(ended * _MILLISECONDS, 3),
        "request": _request(recording, request),
        "response": _response(recording, trace),
        "cache": {},
        "timings": _timings(trace, header.seconds, ended),
        "comment": " ".join(left_out),
        "_chunks": [
            {"time": round(chunk.at * _MILLISECONDS, 3), "size": chunk.end - chunk.start}
            for chunk in trace.chunks
        ],
        "_ending": {"fault": recording.ending.fault, "message": recording.ending.message},
    }
    log = {
        "version": "1.2",
        "creator": {"name": "sansio-moondream", "version": __version__},
        "entries": [entry],
    }
    return json.dumps({"log": log}, indent=2) + "\n"


def _request(recording: Recording, request: Outgoing) -> dict[str, Any]:
    header = recording.header
    about: dict[str, Any] = {
        "method": header.method,
        "url": f"{HOST}{request.prefix}{request.path}",
        "httpVersion": "unknown",
        "cookies": [],
        "headers": _fields(header.request_headers),
        "queryString": [],
        "headersSize": _NOT_KNOWN,
        "bodySize": _NOT_KNOWN,
    }
    if header.request_body is not None:
        about["postData"] = {
            "mimeType": Headers(header.request_headers).get("content-type", ""),
            "text": json.dumps(header.request_body, ensure_ascii=False),
        }
        if request.pictures:
            about["postData"]["comment"] = "Each picture is an object that describes it."
    return about


def _response(recording: Recording, trace: Trace) -> dict[str, Any]:
    header = recording.header
    fields = Headers(header.response_headers)
    body = trace.decoded
    content: dict[str, Any] = {"size": len(body), "mimeType": fields.get("content-type", "")}
    if len(body) > len(trace.body):
        content["compression"] = len(body) - len(trace.body)
    try:
        content["text"] = body.decode()
    except UnicodeDecodeError:
        content |= {"text": b64encode(body).decode(), "encoding": "base64"}
    about: dict[str, Any] = {
        "status": header.status_code or 0,
        "statusText": _reason(header.status_code),
        "httpVersion": "unknown",
        "cookies": [],
        "headers": _fields(header.response_headers),
        "content": content,
        "redirectURL": fields.get("location", ""),
        "headersSize": _NOT_KNOWN,
        "bodySize": len(trace.body) if header.status_code is not None else _NOT_KNOWN,
    }
    if recording.ending.fault != "eof":
        about["_error"] = ": ".join(
            filter(None, [recording.ending.fault, recording.ending.message])
        )
    return about


def _timings(trace: Trace, head: float, ended: float) -> dict[str, float]:
    """Divide the time. `connect` to `receive` add up to all of it."""
    connected = trace.times.connected
    waited = head if trace.response is not None else ended
    if connected is not None:  # a recording may say anything
        connected = min(connected, waited)
    wait = waited - (connected or 0.0)
    return {
        "blocked": _NOT_KNOWN,
        "dns": _NOT_KNOWN,
        "connect": _NOT_KNOWN if connected is None else round(connected * _MILLISECONDS, 3),
        "ssl": _NOT_KNOWN,
        "send": 0,
        "wait": round(wait * _MILLISECONDS, 3),
        "receive": round((ended - waited) * _MILLISECONDS, 3),
    }


def _started(recording: Recording) -> datetime | None:
    """Return when the request was sent: the date of the response, less the time until it came."""
    date = Headers(recording.header.response_headers).get("date")
    try:
        sent = parsedate_to_datetime(date or "")
        sent = sent if sent.tzinfo is not None else sent.replace(tzinfo=UTC)
        return sent - timedelta(seconds=recording.header.seconds)
    except (ValueError, OverflowError):
        return None


def _reason(status_code: int | None) -> str:
    try:
        return HTTPStatus(status_code or 0).phrase
    except ValueError:
        return ""


def _fields(headers: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in headers]
