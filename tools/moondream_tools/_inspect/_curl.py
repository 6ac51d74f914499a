"""An exchange as a command with curl, for a POSIX shell."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from ._outgoing import Outgoing, PictureFile, comment, parts_of

_ENDPOINT = "${MOONDREAM_ENDPOINT:?has to be the address of the server}"
_KEY = {
    False: "X-Moondream-Auth: $MOONDREAM_API_KEY",
    True: "Authorization: ${MOONDREAM_API_KEY:+Bearer $MOONDREAM_API_KEY}",
}
"""Without a key, the value is empty. curl does not send such a header."""
_OWN = ("user-agent", "accept", "content-type", "expect")  # curl sends these by itself
_MAX_ARGUMENT = 64 * 1024  # bytes; Linux allows twice as many


def as_curl(request: Outgoing) -> str:
    """Return the command. It is complete in each line, so that it can be pasted.

    The base64 of a picture is made by the command, from a file. The body goes through a pipe, as
    an argument cannot be as long.
    """
    about = comment(request.left_out)
    if request.method is None:
        return f"{about}# The method of this request is none of HTTP, so curl cannot send it.\n"
    body = list(_body(request))
    options = ["curl --no-buffer"]
    if request.method != ("POST" if body else "GET"):
        options[0] += f" --request {quote(request.method)}"
    if "/." in request.path:
        options[0] += " --path-as-is"
    options[0] += f' "{_ENDPOINT}"{quote(request.path)}'
    options += [f"--header {quote(field)}" for field in _fields(request)]
    if any(name == "accept-encoding" and value != "identity" for name, value in request.headers):
        options.append("--compressed")
    options.append(f'--header "{_KEY[request.is_chat]}"')
    if not body:
        return f"{about}{_joined(options)}\n"
    first = body[0]
    if len(body) == 1 and isinstance(first, str) and len(first.encode()) <= _MAX_ARGUMENT:
        return f"{about}{_joined([*options, f'--data-raw {quote(first)}'])}\n"
    lines = [
        f"  printf %s {quote(part)}"
        if isinstance(part, str)
        else f"  base64 < {part.file} | tr -d '\\n'"
        for part in body
    ]
    command = _joined([*options, "--data-binary @-"])
    return "\n".join([f"{about}{{", *lines, f"}} | {command}\n"])


def _body(request: Outgoing) -> Iterator[str | PictureFile]:
    """Yield the texts of the body, and the pictures whose base64 is between them."""
    if request.body is None:
        return
    text = ""
    for part in parts_of(request.body):
        if isinstance(part, str):
            text += part
        else:
            yield f'{text}"{_before(part)}'
            yield part
            text = '"'
    yield text


def _before(picture: PictureFile) -> str:
    return f"data:{picture.media_type};base64," if picture.media_type else ""


def _fields(request: Outgoing) -> Iterator[str]:
    """Yield the headers, as curl takes them: a name without a value is not sent."""
    for name, value in request.headers:
        yield f"{name}: {value}" if value.strip() else f"{name};"
    given = {name for name, _ in request.headers}
    yield from (f"{name}:" for name in _OWN if name not in given)


def _joined(options: list[str]) -> str:
    return " \\\n  ".join(options)
