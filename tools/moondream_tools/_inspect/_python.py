"""An exchange as a program in Python, with this library's client.

1. The recorded body is decoded to a request, as a server does it. What that request would send is
   compared with the recorded body, and fields that differ go into `extra_body`.
2. A body that no request can hold is sent as JSON by a transport. So a request that the service
   refuses can be sent again, too.
3. The client chooses which codings of the answer it accepts.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable
from typing import Any, NamedTuple, cast

from msgspec import Struct

from sansio_moondream import (
    APIError,
    ChatMessage,
    Dialect,
    EncodedImage,
    Endpoint,
    Request,
    decode_request,
)

from ._outgoing import Outgoing, PictureFile, comment

_MAX_LINE = 88
_OTHER_CODINGS = "The client chooses the codings of the answer: it does not send {}."
_PRINT_STREAM = """\
with Client(endpoint=endpoint) as client, client.stream({0}) as stream:
    for event in stream:
        print(event)
    print(stream.result())
"""
_PRINT_RESULT = """\
with Client(endpoint=endpoint) as client:
    print(client.send({0}))
"""
_PRINT_CHUNKS = """\
with UrllibTransport() as transport:
    stream = transport.send(request, Timeouts())
    print(stream.status_code)
    while chunk := stream.read(timeout=60):
        print(chunk)
    stream.close()
"""


def as_python(request: Outgoing) -> str:
    """Return the program."""
    if request.method is None:
        return f"{comment(request.left_out)}# The method of this request is none of HTTP.\n"
    source = _Source(request)
    return source.of_request() or source.of_json()


class _Asked(NamedTuple):
    request: Request[Any]
    stream: bool
    extra_body: dict[str, Any]
    headers: dict[str, str]  # that the client sends by itself


class _Source:
    """The source of one program, and the names that it has to import."""

    def __init__(self, request: Outgoing) -> None:
        self._request = request
        self._stand_ins = {_stand_in(at): file for at, file in enumerate(request.pictures)}
        urls = {file: url for url, file in self._stand_ins.items()}
        self._body = _with_urls(request.body, urls)
        self._names = {"Endpoint", *(["encode_image"] if request.pictures else [])}

    def of_request(self) -> str | None:
        """Return a program that sends a request of the library, or None if none fits."""
        asked = _asked(self._request, self._body)
        if asked is None:
            return None
        made = self._value(asked.request, 0)
        arguments = "request"
        if asked.extra_body:
            arguments += f", extra_body={self._value(asked.extra_body, 0)}"
        show = _PRINT_STREAM if asked.stream else _PRINT_RESULT
        lines = [*self._endpoint(asked.headers), f"request = {made}", show.format(arguments)]
        return self._program(lines, ["import os"], ["Client"])

    def of_json(self) -> str:
        """Return a program that sends the JSON as it is."""
        sends_body = self._request.body is not None
        accept = dict(self._request.headers).get("accept", "*/*")
        call = _divided(
            "HTTPRequest(",
            [
                _text(self._request.method or ""),
                f"endpoint.url + {_text(self._request.path)}",
                f"endpoint.request_headers({_text(accept)}, bearer={self._request.is_chat})",
                "json.dumps(body).encode()" if sends_body else 'b""',
            ],
            ")",
            0,
        )
        lines = [*self._endpoint({"accept": accept})]
        if sends_body:
            lines.append(f"body = {self._value(self._body, 0)}")
        lines += [f"request = {call}", _PRINT_CHUNKS]
        self._names.add("HTTPRequest")
        standard = [*(["import json"] if sends_body else []), "import os"]
        return self._program(lines, standard, ["Timeouts", "UrllibTransport"])

    def _endpoint(self, sent: dict[str, str]) -> list[str]:
        """Return the lines of the pictures and the endpoint. `sent` are headers without it."""
        headers = {
            name: value
            for name, value in self._request.headers
            if name != "accept-encoding" and sent.get(name) != value
        }
        arguments = ['os.environ["MOONDREAM_ENDPOINT"]', 'os.environ.get("MOONDREAM_API_KEY")']
        if headers:
            arguments.append(f"headers={self._value(headers, 4)}")
        pictures = [
            f'{_variable(file)} = encode_image(Path("{file.file}").read_bytes())'
            for file in self._request.pictures
        ]
        return [f"endpoint = {_divided('Endpoint(', arguments, ')', 0)}", *pictures]

    def _program(self, lines: list[str], standard: list[str], transports: list[str]) -> str:
        about = list(self._request.left_out)
        codings = dict(self._request.headers).get("accept-encoding", "identity")
        if codings != "identity":
            about.append(_OTHER_CODINGS.format("accept-encoding: " + codings))
        if self._request.pictures:
            standard = [*standard, "from pathlib import Path"]
        imports = [
            f"from moondream_transports import {', '.join(transports)}",
            _divided(
                "from sansio_moondream import ", sorted(self._names, key=_import_order), "", 0
            ),
        ]
        blocks = ["\n".join(standard), "\n".join(imports), "\n".join(lines)]
        return comment(about) + "\n\n".join(blocks)

    def _value(self, value: Any, indent: int) -> str:
        """Return the source of a value that begins in a line with this indentation."""
        inner = indent + 4
        if isinstance(value, str) and value in self._stand_ins:
            return f"{_variable(self._stand_ins[value])}.data_url"
        if isinstance(value, EncodedImage):
            picture = _variable(self._stand_ins[value.data_url])
            if value.detail is None:
                return picture
            self._names.add("EncodedImage")
            return f"EncodedImage({picture}.data_url, {_text(value.detail)})"
        if isinstance(value, Struct):
            name = type(value).__name__
            self._names.add(name)
            fields = [(field, getattr(value, field)) for field in value.__struct_fields__]
            is_short = isinstance(value, ChatMessage)
            given = [
                f"{'' if is_short else field + '='}{self._value(item, inner)}"
                for field, item in fields
                if item is not None
            ]
            return _divided(f"{name}(", given, ")", indent)
        if isinstance(value, dict):
            named = cast("dict[str, Any]", value).items()
            items = [f"{_text(name)}: {self._value(item, inner)}" for name, item in named]
            return _divided("{", items, "}", indent)
        if isinstance(value, list | tuple):
            items = [self._value(item, inner) for item in cast("Iterable[Any]", value)]
            return _divided("[", items, "]", indent)
        return _text(value) if isinstance(value, str) else repr(value)


def _asked(outgoing: Outgoing, body: Any) -> _Asked | None:
    """Return what sends the recorded body, or None if no request does."""
    path = outgoing.prefix + outgoing.path
    data = json.dumps(body).encode()
    try:
        decoded = decode_request(outgoing.method or "", path, (), data, Dialect.STATION)
    except APIError:
        return None
    request, stream = decoded.request, decoded.stream
    http = request.to_http(Endpoint(), stream)
    sent, recorded = json.loads(http.body), cast("dict[str, Any]", body)
    extra = {
        name: value
        for name, value in recorded.items()
        if sent.get(name) != value and not (name == "stream" and value is False)
    }
    added = {name for name in sent if name not in recorded and sent[name] is not False}
    headers = {name.lower(): value for name, value in http.headers}
    return None if added else _Asked(request, stream, extra, headers)


def _with_urls(value: Any, urls: dict[PictureFile, str]) -> Any:
    """Return a body with data URLs in place of its pictures."""
    if isinstance(value, PictureFile):
        return urls[value]
    if isinstance(value, list):
        return [_with_urls(item, urls) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return {name: _with_urls(item, urls) for name, item in fields.items()}
    return value


def _stand_in(number: int) -> str:
    """Return a data URL that stands for a picture while the request is decoded."""
    data = b"\x89PNG\r\n\x1a\n" + number.to_bytes(8)
    return f"data:image/png;base64,{b64encode(data).decode()}"


def _variable(picture: PictureFile) -> str:
    return picture.file.partition(".")[0].replace("-", "_")


def _text(value: str) -> str:
    """Return the literal of a text, in double quotes where that needs no escape."""
    literal = repr(value)
    return literal if {"'", '"'} & set(value) else f'"{literal[1:-1]}"'


def _import_order(name: str) -> tuple[bool, str]:
    return name[0].islower(), name


def _divided(before: str, items: list[str], after: str, indent: int) -> str:
    """Join items in one line, or one in each line if they do not fit."""
    line = f"{before}{', '.join(items)}{after}"
    if (len(line) + indent <= _MAX_LINE and "\n" not in line) or not items:
        return line
    if not after:  # an import
        before, after = f"{before}(", ")"
    inner = "\n" + " " * (indent + 4)
    return f"{before}{''.join(f'{inner}{item},' for item in items)}\n{' ' * indent}{after}"
