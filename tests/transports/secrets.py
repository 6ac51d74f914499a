"""Where a secret could show: everything that an error, its causes and a log say of themselves."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator

from .drivers import KEY


def said_by(error: BaseException | None) -> Iterator[str]:
    """All texts of an error and of what it came from: as error reporters print them, with the locals of every frame."""
    if error is None:
        return
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        link = todo.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        for frame in traceback.StackSummary.extract(traceback.walk_tb(link.__traceback__), capture_locals=True):
            if f"{os.sep}tests{os.sep}" not in frame.filename:  # the test itself knows the key
                yield f"{frame.filename}:{frame.lineno}: {frame.locals}"
        yield f"{link!r} {link} {link.args!r} {vars(link)!r} {getattr(link, '__notes__', '')}"
        todo += [link.__cause__, link.__context__]


def assert_no_key(error: object, *texts: str) -> None:
    """The key of the tests is in none of it."""
    for text in (*said_by(error if isinstance(error, BaseException) else None), *texts):
        assert KEY not in text, text
