"""The request of a recording, as something that can be sent again, and what it lacks for that.

A recording is hostile until shown otherwise: what it holds ends up in a command of the shell. So
paths are percent-encoded but for letters, digits and a few marks, and fields and methods that HTTP
does not have are left out.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, cast
from urllib.parse import quote

from sansio_moondream.recording import Recording

_PATH_MARKS = "/%:@,=+"  # none means anything to a shell or ends a path
_SKILL = re.compile(r"/(?:chat/completions|[^/]*)$")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x20-\x7e]*")
_MEDIA_TYPE = re.compile(r"image/([a-z]{1,10})")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_DESCRIBED = {"sha256", "media_type", "bytes", "width", "height"}
# JSON does not escape these: DEL, C1 controls, direction marks, separators, surrogates.
_INVISIBLE = re.compile(
    "[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)
_MASKED = re.compile(r"\*{4}|\[a picture of \d+ bytes, sha256 ")


class PictureFile(NamedTuple):
    """A picture that a recording describes, and the name of the file that stands for it.

    Attributes:
        file: safe in any shell.
        media_type: or None if it is not known.
        about: the rest, for people.
    """

    file: str
    media_type: str | None
    about: str


class Outgoing(NamedTuple):
    """A request.

    Attributes:
        method: a token, or None if the recorded one is none.
        prefix: the path of the server, such as `/v1`.
        path: the rest, such as `/query`.
        headers: with names in lower case.
        body: JSON, with a `PictureFile` for each picture; None without a body.
        pictures: each once.
        is_chat: whether the key is sent as a bearer token.
        left_out: sentences that say what the recording lacks.
    """

    method: str | None
    prefix: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: Any
    pictures: tuple[PictureFile, ...]
    is_chat: bool
    left_out: tuple[str, ...]


def outgoing(recording: Recording) -> Outgoing:
    """Return the request of a recording."""
    header = recording.header
    described: dict[str, dict[str, Any]] = {}
    for picture in _described(header.request_body):
        described.setdefault(picture["sha256"], picture)
    files = {
        digest: _picture_file(picture, f"-{number}" if len(described) > 1 else "")
        for number, (digest, picture) in enumerate(described.items(), 1)
    }
    whole = quote(header.path, safe=_PATH_MARKS)
    path = found[0] if (found := _SKILL.search(whole)) else ""
    headers = tuple(pair for pair in header.request_headers if _VALUE.fullmatch(pair[1]))
    return Outgoing(
        header.method if _TOKEN.fullmatch(header.method) else None,
        whole[: len(whole) - len(path)],
        path,
        headers,
        _with_files(header.request_body, files),
        tuple(files.values()),
        path.endswith("/chat/completions"),
        tuple(_left_out(recording, tuple(files.values()), len(headers))),
    )


def comment(sentences: Iterable[str]) -> str:
    """Return sentences as lines that begin with "#", as a shell and Python have them."""
    return "".join(f"# {line}\n" for sentence in sentences for line in textwrap.wrap(sentence, 96))


def parts_of(value: Any) -> Iterator[str | PictureFile]:
    """Encode a body as JSON: texts, and the pictures between them. Each text stays in one line."""
    if isinstance(value, PictureFile):
        yield value
    elif isinstance(value, dict):
        start = "{"
        for name, item in cast("dict[str, Any]", value).items():
            yield f"{start}{_json(name)}:"
            yield from parts_of(item)
            start = ","
        yield "{}" if start == "{" else "}"
    elif isinstance(value, list):
        start = "["
        for item in cast("list[Any]", value):
            yield start
            yield from parts_of(item)
            start = ","
        yield "[]" if start == "[" else "]"
    else:
        yield _json(value)


def _json(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return _INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _described(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the descriptions of pictures in a recorded body."""
    if _is_picture(value):
        yield value
        return
    if isinstance(value, dict):
        value = list(cast("dict[str, Any]", value).values())
    if isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from _described(item)


def _is_picture(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    fields = cast("dict[str, Any]", value)
    digest = fields.get("sha256")
    is_known = isinstance(digest, str) and _DIGEST.fullmatch(digest) is not None
    return fields.keys() == _DESCRIBED and is_known


def _picture_file(picture: dict[str, Any], number: str) -> PictureFile:
    found = _MEDIA_TYPE.fullmatch(str(picture["media_type"]))
    ending = {"jpeg": "jpg", None: "bin"}.get(kind := found and found[1], kind)
    about = [found[0]] if found else []
    if isinstance(size := picture["bytes"], int):
        about.append(f"{size:,} bytes")
    if isinstance(width := picture["width"], int) and isinstance(height := picture["height"], int):
        about.append(f"{width} x {height} pixels")
    about.append(f"sha256 {picture['sha256'][:12]}")
    return PictureFile(f"picture{number}.{ending}", found and found[0], ", ".join(about))


def _with_files(value: Any, files: dict[str, PictureFile]) -> Any:
    if _is_picture(value):
        return files[value["sha256"]]
    if isinstance(value, list):
        return [_with_files(item, files) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return {name: _with_files(item, files) for name, item in fields.items()}
    return value


def _left_out(
    recording: Recording, pictures: tuple[PictureFile, ...], headers: int
) -> Iterator[str]:
    """Say what the recording lacks, without a character that means anything to a shell."""
    header = recording.header
    yield (
        "The host and the key are not recorded. MOONDREAM_ENDPOINT has to be the address of the "
        "server, such as http://localhost:2020/v1, and MOONDREAM_API_KEY the key if it needs one."
    )
    for picture in pictures:
        yield f"The picture is not recorded. Put it into {picture.file}: {picture.about}."
    missing = len(header.request_headers) - headers
    yield (
        "Of the header fields, a recording keeps those that are known to be harmless. "
        "It has no query of the address."
    )
    if missing:
        yield f"Header fields with characters that cannot be shown are left out: {missing}."
    if any(_MASKED.search(part) for part in parts_of(header.request_body) if isinstance(part, str)):
        yield "Texts of the request were masked by asterisks or a description: they are sent so."
