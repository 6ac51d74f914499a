"""The page in one file, which works from a disk: without a network, without a server.

1. Its Content-Security-Policy allows the one script and the one style sheet in it, by their hashes,
   and pictures in the file. So it loads nothing and sends nothing, whatever a recording has.
2. What the server would answer is in it as JSON. Each `<` of that is escaped, so no text of a
   recording can end its element.
3. The file gets its name when all of it is written. Its name never has a part of a page.
"""

from __future__ import annotations

import base64
import os
import re
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

from moondream_tools._client_arguments import UsageError

from ._answers import to_json
from ._api import listing, trace_of
from ._compact import compact_script
from ._files import compact, source
from ._images import Pictures
from ._modules import joined, require_inline
from ._store import Entry, Store
from ._take_away import take_away

STDOUT = "-"
_STYLE = re.compile(r'<link rel="stylesheet" href="static/([\w-]+\.css)">\s*')
_SCRIPT = re.compile(r'<script type="module" src="static/([\w-]+\.js)"></script>\s*')
_CHARSET = '<meta charset="utf-8">'


def write_page(name: str, store: Store, pictures: Pictures) -> None:
    """Write the page with all recordings.

    Args:
        name: of the file, or `-` for standard output.
        store: the recordings. Those that cannot be read are there with their errors.
        pictures: their pictures.

    Raises:
        UsageError: the file cannot be written.
        OSError: standard output cannot be written.
    """
    page = exported(store, pictures).encode()
    if name == STDOUT:
        sys.stdout.flush()
        sys.stdout.buffer.write(page)
        return
    try:
        _write(Path(name), page)
    except OSError as error:  # it may name the file's part, of which nobody knows, or no file
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"--export: {name}: {reason}") from error
    except ValueError as error:  # a NUL in the name
        raise UsageError(f"--export: {name!r}: {error}") from error


def exported(store: Store, pictures: Pictures) -> str:
    """Return the page with all recordings."""
    html = compact("index.html")
    style = require_inline("a style sheet", "".join(map(compact, _STYLE.findall(html))))
    script = require_inline("a module", compact_script(joined(_SCRIPT.findall(html), source)))
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    html = html.replace(_CHARSET, f"{_CHARSET}\n{meta}", 1)
    first = _found(_STYLE, html).start()
    html = html[:first] + f"<style>{style}</style>\n" + _STYLE.sub("", html[first:])
    embedded = _as_json(_embedded(store, pictures))
    first = _found(_SCRIPT, html).start()
    return (
        f"{html[:first]}"
        f'<script type="application/json" id="embedded">{embedded}</script>\n'
        f'<script type="module">{script}</script>\n{_SCRIPT.sub("", html[first:])}'
    )


def _embedded(store: Store, pictures: Pictures) -> dict[str, Any]:
    """Return what the server would answer. A picture of several recordings is there once."""
    entries = [entry for entry in store if isinstance(entry, Entry)]
    urls: dict[str, int] = {}
    images = {
        entry.name: urls.setdefault(shown.image.data_url, len(urls))
        for entry in entries
        if (shown := pictures.of(entry.header)) is not None
    }
    return {
        **listing(store, pictures),
        "traces": {entry.name: trace_of(entry) for entry in entries},
        "takeaway": {entry.name: take_away(entry.recording) for entry in entries},
        "images": images,
        "pictures": list(urls),
    }


def _as_json(value: Any) -> str:
    """Return JSON that may stand in a script element, whatever texts it has."""
    return to_json(value).decode().replace("<", "\\u003c")


def _hash(text: str) -> str:
    """Return the source of a Content-Security-Policy that allows an inline text."""
    return f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"


def _found(pattern: re.Pattern[str], html: str) -> re.Match[str]:
    found = pattern.search(html)
    if found is None:
        raise ValueError(f"index.html should have an element like {pattern.pattern}")
    return found


def _write(path: Path, data: bytes) -> None:
    """Write a file whole, or not at all. What is no regular file, such as a pipe, is written to."""
    path = path.resolve()
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        part.chmod(mode)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _umask() -> int:
    """Return the process's mask for new files. It can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
