"""Search for the API key wherever it could show: errors, their causes and frames, and logs."""

from __future__ import annotations

import base64
import logging
import os
import traceback
from collections.abc import Generator, Iterator
from contextlib import contextmanager

from ._expect import safe_repr, safe_str

KEY = "key-that-must-not-leak"
_FORMS = (KEY, base64.b64encode(f"user:{KEY}".encode()).decode())


def masked(text: str) -> str:
    """Return the text without the key, plain or as the password for a proxy."""
    for form in _FORMS:
        text = text.replace(form, "***")
    return text


def _texts_of(error: BaseException | None, knowing: str) -> Iterator[str]:
    """Yield all texts of an error and its causes, with the locals of every frame.

    Error reporters print these. Files in the folder `knowing` may know the key.
    """
    seen: set[int] = set()
    todo = [error]
    while todo:
        link = todo.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        for frame, number in traceback.walk_tb(link.__traceback__):
            name = frame.f_code.co_filename
            if not name.startswith(knowing):
                values = (f"{key}={safe_repr(value)}" for key, value in frame.f_locals.items())
                yield f"{name}:{number}: {', '.join(values)}"
        notes = safe_repr(getattr(link, "__notes__", ""))
        said = (safe_repr(link), safe_str(link), safe_repr(link.args), safe_repr(vars(link)), notes)
        yield " ".join(said)
        todo += [link.__cause__, link.__context__]


def leaks(error: object, *texts: str, knowing: str = os.path.dirname(__file__)) -> list[str]:
    """Return those texts that have the key in them: the error's own ones, and `texts`.

    Frames of files in the folder `knowing` are left out, as the checks themselves know the key.
    "" leaves out all frames.
    """
    own = _texts_of(error, knowing) if isinstance(error, BaseException) else ()
    return [text for text in (*own, *texts) if KEY in text]


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextmanager
def logged() -> Generator[list[logging.LogRecord], None, None]:
    """Collect every log record that reaches the root logger, at any level.

    Meanwhile the other handlers get the records that they would get otherwise, and no more.
    """
    kept, root = _Kept(), logging.getLogger()
    level, others = root.level, list(root.handlers)

    def is_usual(record: logging.LogRecord) -> bool:
        return record.levelno >= level

    for handler in others:
        handler.addFilter(is_usual)
    root.addHandler(kept)
    root.setLevel(logging.DEBUG)
    try:
        yield kept.records
    finally:
        root.setLevel(level)
        root.removeHandler(kept)
        for handler in others:
            handler.removeFilter(is_usual)
