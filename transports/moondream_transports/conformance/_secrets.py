"""Where a secret could show: everything that an error, its causes and a log say of themselves."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Generator, Iterator
from contextlib import contextmanager

KEY = "key-that-must-not-leak"


def said_by(error: BaseException | None, knowing: str) -> Iterator[str]:
    """All texts of an error and of what it came from: as error reporters print them, with the
    locals of every frame.

    Files in the folder `knowing` may know the key.
    """
    seen: set[int] = set()
    todo = [error]
    while todo:
        link = todo.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        for frame in traceback.StackSummary.extract(
            traceback.walk_tb(link.__traceback__), capture_locals=True
        ):
            if not frame.filename.startswith(knowing):
                yield f"{frame.filename}:{frame.lineno}: {frame.locals}"
        yield f"{link!r} {link} {link.args!r} {vars(link)!r} {getattr(link, '__notes__', '')}"
        todo += [link.__cause__, link.__context__]


def leaks(error: object, *texts: str, knowing: str = os.path.dirname(__file__)) -> list[str]:
    """Those of all these texts that have the key in them; by themselves, the checks know it."""
    said = said_by(error, knowing) if isinstance(error, BaseException) else ()
    return [text for text in (*said, *texts) if KEY in text]


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextmanager
def logged() -> Generator[list[logging.LogRecord], None, None]:
    """All that is logged meanwhile, at any level that is not turned off, by whichever logger hands
    it on.

    The other handlers go on telling what they told before, and no more.
    """
    kept, root = _Kept(), logging.getLogger()
    level, others = root.level, list(root.handlers)

    def was_told(record: logging.LogRecord) -> bool:
        return record.levelno >= level

    for handler in others:
        handler.addFilter(was_told)
    root.addHandler(kept)
    root.setLevel(logging.DEBUG)
    try:
        yield kept.records
    finally:
        root.setLevel(level)
        root.removeHandler(kept)
        for handler in others:
            handler.removeFilter(was_told)
