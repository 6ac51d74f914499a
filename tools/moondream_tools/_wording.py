"""The messages of the library in the words of the command line. This is the only place for that.

Messages of the library name its arguments: they are written for programs. A user of the command
line knows options, the environment and files. Where the class or a field of an error says what
happened, that decides. Where only its text does, `_NAMES` has the names that it may contain. What a
server wrote is never changed.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from urllib.parse import urlsplit

from moondream_transports import Timeouts
from sansio_moondream import (
    APIError,
    AuthenticationError,
    ConnectError,
    ConnectTimeout,
    Endpoint,
    MoondreamError,
    NotFoundError,
    PayloadTooLargeError,
    RateLimitError,
    RemoteProtocolError,
    TLSError,
)
from sansio_moondream._requests.checks import TEXT
from sansio_moondream._requests.endpoint import endpoint_hint

EXAMPLE = "http://localhost:2020/v1"
"""What the address of a server looks like."""
INSTALL = "pip install 'sansio-moondream[cli]'"

# Names of the library, as regular expressions, and what the command line has in their place.
_NAMES = [
    (re.compile(rf"(?<![\w./-]){name}(?![\w/-]|\.\w)"), words)
    for name, words in (
        *(
            (rf"Timeouts\.{field}", f"--{field.replace('_', '-')}-timeout")
            for field in Timeouts.__struct_fields__
        ),
        (r"Limits\.(max_\w+)", r"the limit \1"),
        (re.escape(TEXT), "text that is not blank, in UTF-8"),
        (r"(id|picture)_column", r"--\1-column"),
        (r"follow_links", "--follow-links"),
        (r"max_side", "--max-side"),
        (r"rows_per_shard", "--rows-per-shard"),
        (r"although pictures is False", "and so is --no-pictures"),
        (r"pictures=False", "--no-pictures"),
        (r"without a format", "without --format"),
        (r"(question|object|kind) should", r"the \1 should"),
        (r"(delimiter|encoding) should", r"--\1 should"),
        (r"give encoding", "give --encoding"),
        (r"(question|object): give it in the template", r"\1: give it with --\1"),
        (r"give a rate or the seconds of a request", "give --rate, or --seconds of a request,"),
        (r"give your prices", "give your prices, such as --price-per-request,"),
        (r"add the server to no_proxy, or pass the proxy to the transport if this is meant",
         "or add the server to NO_PROXY"),
    )
]  # fmt: skip

# How the library shows an error of the system, and the words of asyncio for a refused connection.
_OF_THE_SYSTEM = re.compile(
    r"\b\w*[Ee]rror: \[Errno (-?\d+)\] (?:Connect call failed \([^()]*\)|(\w))"
)
_PARTIAL = "; what arrived until then is in .partial"
_PROXY = re.compile(r"\bthe proxy \S|_proxy of the environment\b")
_NO_TLS = {"WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"}


def describe_error(error: BaseException) -> str:
    """Return what an error says to a user of the command line."""
    if isinstance(error, APIError):
        return str(error)
    if isinstance(error, OSError) and not isinstance(error, MoondreamError):
        return _of_a_file(error)
    text = str(error)
    cause = error.__cause__
    if isinstance(error, ConnectError | TLSError) and isinstance(cause, OSError):
        text = text.replace(f"{type(cause).__name__}: {str(cause)[:200]}", _reason(cause))
    return with_options(text)


def of_recording(error: Exception, name: str) -> str:
    """Return why a recording cannot be read.

    Args:
        error: a RecordingError or an OSError.
        name: of the recording, or of its folder. The library names a file without its folder.
    """
    if isinstance(error, OSError):
        return describe_error(error)
    text = str(error).removeprefix(f"{os.path.basename(name)}, ")
    return f"{name}, {text}"


def with_options(message: str) -> str:
    """Return a message of the library with the options that are meant by its names."""
    for name, words in _NAMES:
        message = name.sub(words, message)
    return _OF_THE_SYSTEM.sub(_system_error, message.replace(_PARTIAL, ""))


def advice(error: MoondreamError) -> str | None:
    """Return what to do, or what to look at if the endpoint may be the wrong one, or None."""
    url = error.url
    if isinstance(error, AuthenticationError):
        return "MOONDREAM_API_KEY should be a key of this server"
    if isinstance(error, RateLimitError):
        return "--retries N asks again, up to N times"
    if isinstance(error, PayloadTooLargeError):
        return "--max-side PIXELS sends a smaller picture"
    if url is not None and _PROXY.search(error.message):
        return (
            "Is the proxy of the environment the right one? "
            f"NO_PROXY={urlsplit(url).hostname} asks the server without it"
        )
    if url is None or url.startswith(Endpoint().url) or endpoint_hint(url):
        return None
    host = urlsplit(url).netloc
    if isinstance(error, ConnectError | ConnectTimeout):
        return f"Is a server running at {host}? The address of one looks like {EXAMPLE}"
    no_answer = (
        isinstance(error, TLSError)
        or (isinstance(error, NotFoundError) and error.type is None)  # not in the service's form
        or (isinstance(error, RemoteProtocolError) and error.partial is None)
    )
    return f"Is {host} a Moondream server? Its address looks like {EXAMPLE}" if no_answer else None


def _of_a_file(error: OSError) -> str:
    if error.filename is None or error.strerror is None:
        return str(error)
    return f"{_name(error.filename)}: {_small(error.strerror)}"


def _name(filename: object) -> str:
    return filename.decode(errors="replace") if isinstance(filename, bytes) else str(filename)


def _reason(error: OSError) -> str:
    """Return why there is no connection."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of the server is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason in _NO_TLS:
        return "the server does not speak TLS: begin its address with http://, not https://"
    if isinstance(error, socket.gaierror):
        return f"the name cannot be looked up: {_small(error.strerror or str(error))}"
    return with_options(f"{type(error).__name__}: {error}")


def _system_error(matched: re.Match[str]) -> str:
    number, first = matched.groups()
    return (first or os.strerror(int(number))).lower()


def _small(text: str) -> str:
    return text[:1].lower() + text[1:]
