"""Transports with one fault each, as people write them, around a good one.

The conformance suite has to find every one.
"""

from __future__ import annotations

import gzip
import logging
import ssl
from threading import Lock
from time import time
from typing import Any, ClassVar

from msgspec.structs import replace

from moondream_transports import Timeouts, UrllibTransport
from sansio_moondream import (
    ConnectError,
    ConnectionLost,
    Headers,
    HTTPRequest,
    IdleTimeout,
    MoondreamError,
    NotFoundError,
)


class GoodStream:
    """A response of a good transport."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class Good:
    """A transport without faults."""

    Stream: type[GoodStream] = GoodStream

    def __init__(self, ssl_context: ssl.SSLContext | None = None) -> None:
        self.inner = UrllibTransport(ssl_context=ssl_context, proxies={})

    def send(self, request: HTTPRequest, timeouts: Timeouts) -> Any:
        return self.Stream(self.inner.send(request, timeouts))


class SwallowsErrors(Good):
    class Stream(GoodStream):
        def read(self, timeout):
            try:
                return self.inner.read(timeout)
            except (MoondreamError, OSError):
                return b""


class HidesTruncation(Good):
    class Stream(GoodStream):
        def read(self, timeout):
            try:
                return self.inner.read(timeout)
            except ConnectionLost as error:
                if "before the end of the body" in str(error):
                    return b""
                raise


class DecodesGzip(Good):
    """So the client decodes it twice."""

    class Stream(GoodStream):
        def read(self, timeout):
            data = self.inner.read(timeout)
            return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


class Leaks(Good):
    """It trusts that somebody else will close the connection."""

    kept: ClassVar[list[GoodStream]] = []

    def send(self, request, timeouts):
        stream = super().send(request, timeouts)
        self.kept.append(stream.inner)
        return stream

    class Stream(GoodStream):
        def close(self):
            pass


class IgnoresIdle(Good):
    class Stream(GoodStream):
        def read(self, timeout):
            return self.inner.read(None)


class IgnoresConnect(Good):
    def send(self, request, timeouts):
        return super().send(request, replace(timeouts, connect=None, total=None))


class HasOneTimeoutForAll(Good):
    """What most HTTP libraries call a timeout is one for connecting and for each read."""

    def send(self, request, timeouts):
        return super().send(request, replace(timeouts, first_event=timeouts.connect))


class NamesTheTimeout(Good):
    class Stream(GoodStream):
        def read(self, timeout):
            try:
                return self.inner.read(timeout)
            except TimeoutError as error:
                raise IdleTimeout("nothing came") from error


class LetsErrorsOfTheLibraryOut(Good):
    class Stream(GoodStream):
        def read(self, timeout):
            try:
                return self.inner.read(timeout)
            except ConnectionLost as error:
                raise ConnectionResetError("the library's own words") from error


class HasABug(Good):
    def send(self, request, timeouts):
        return request.nowhere


class HasNoRepr:
    def __repr__(self):
        raise RuntimeError("this repr raises")


class HasLocalsWithoutRepr(Good):
    words = ""

    def send(self, request, timeouts):
        for _connection in (HasNoRepr(),):
            for _words in (self.words,):
                raise LookupError("the real fault")


class FollowsRedirects(Good):
    def send(self, request, timeouts):
        stream = super().send(request, timeouts)
        target = Headers(stream.headers).get("location")
        if target is None or not target.startswith("http"):
            return stream
        stream.close()
        return super().send(
            HTTPRequest(request.method, target, request.headers, request.body), timeouts
        )


class RaisesForStatus(Good):
    def send(self, request, timeouts):
        stream = super().send(request, timeouts)
        if stream.status_code == 404:
            stream.close()
            raise NotFoundError("it is not there", status_code=404)
        return stream


class WaitsForMore(Good):
    """It fills a buffer before it gives any of it out."""

    class Stream(GoodStream):
        def read(self, timeout):
            data = b""
            while len(data) < 64 and (more := self.inner.read(timeout)):
                data += more
            return data


class LosesWhatCameBefore(Good):
    """The fault overtakes the bytes that it had not given out yet."""

    class Stream(GoodStream):
        def read(self, timeout):
            data = more = self.inner.read(timeout)
            while more:
                more = self.inner.read(timeout)
                data += more
            return data


class SendsAgain(Good):
    """A request that is sent twice may be billed twice."""

    def send(self, request, timeouts):
        try:
            return super().send(request, timeouts)
        except ConnectionLost:
            return super().send(request, timeouts)


class TellsTheKey(Good):
    def send(self, request, timeouts):
        try:
            return super().send(request, timeouts)
        except ConnectError as error:
            raise ConnectError(
                f"{request.method} {request.url} with {request.headers} did not work"
            ) from error


class LogsTheKey(Good):
    def send(self, request, timeouts):
        logging.getLogger("broken").debug("sending %s", request.headers)
        return super().send(request, timeouts)


class AddsHeaders(Good):
    def send(self, request, timeouts):
        headers = (*request.headers, ("X-Powered-By", "broken/1.0"))
        return super().send(
            HTTPRequest(request.method, request.url, headers, request.body), timeouts
        )


class TrustsEverybody(Good):
    def __init__(self, ssl_context=None):
        super().__init__(ssl._create_unverified_context())


class ClosesOnce(Good):
    class Stream(GoodStream):
        is_closed = False

        def close(self):
            if self.is_closed:
                raise ValueError("I/O operation on closed file")
            self.is_closed = True
            self.inner.close()


class TellsTheTimeOfDay(Good):
    class Stream(GoodStream):
        @property
        def connected_at(self):
            return time()


class CannotBeClosedWhileRead(Good):
    class Stream(GoodStream):
        def __init__(self, inner):
            super().__init__(inner)
            self.lock = Lock()

        def read(self, timeout):
            with self.lock:
                return self.inner.read(timeout)

        def close(self):
            with self.lock:
                self.inner.close()
