"""Where in a transport's own code an error was raised.

The frames have no locals: we cannot know which of them are secrets.
"""

from __future__ import annotations

import linecache
import traceback
from collections.abc import Callable, Collection, Iterator
from functools import partial
from types import FrameType
from typing import cast

from ._secrets import masked

_MOST = 4
_CALLERS = ("conformance", "_client", "_exchange")  # what calls the transport under test


def package_of(made_by: object) -> str:
    """Return the name of the top-level package of a factory, or of a transport."""
    while isinstance(made_by, partial):
        made_by = cast("partial[object]", made_by).func
    return str(getattr(made_by, "__module__", "")).partition(".")[0]


def frames_of(error: BaseException, packages: Collection[str]) -> tuple[str, ...]:
    """Return the last frames of these packages in an error and its causes, the causes first.

    If none is of these packages, the last frames of the libraries are returned.
    """
    own = _frames(error, lambda package: package in packages)
    return own or _frames(error, lambda _package: True)


def _frames(error: BaseException, is_wanted: Callable[[str], bool]) -> tuple[str, ...]:
    lines: dict[str, None] = {}
    for link in reversed(list(_chain(error))):
        for frame, number in traceback.walk_tb(link.__traceback__):
            package, *rest = str(frame.f_globals.get("__name__", "builtins")).split(".")
            is_caller = package == "moondream_transports" and rest[:1] and rest[0] in _CALLERS
            if package != "sansio_moondream" and not is_caller and is_wanted(package):
                lines[_line(frame, number)] = None
    return tuple(lines)[-_MOST:]


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _line(frame: FrameType, number: int) -> str:
    code = frame.f_code
    source = linecache.getline(code.co_filename, number, frame.f_globals).strip()
    return masked(f"{code.co_filename}:{number}, {code.co_qualname}: {source}".rstrip(": "))
