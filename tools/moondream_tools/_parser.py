"""The parser of the command line, and the types of its arguments."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any, Final, NoReturn

from sansio_moondream import __version__

from ._status import PROGRAM, Exit
from ._terminal import safe

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

MAX_SECONDS: Final = 1e6
_MAX_DIGITS = 9  # int() has a limit and a message of its own for thousands of digits


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line and the way to the help, not a page of options.

    Raises OSError if the help cannot be written, which argparse ignores.
    """

    def print_help(self, file: SupportsWrite[str] | None = None) -> None:
        print(self.format_help(), end="", file=file)

    def error(self, message: str) -> NoReturn:
        self.exit(Exit.USAGE, f"{PROGRAM}: {safe(message)}\nTry: {self.prog} --help\n")


class VersionAction(argparse.Action):
    """Print the version, and end the program."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        print(f"{PROGRAM} {__version__}")
        parser.exit()


class FileAction(argparse.Action):
    """Store the name of a file or a folder. A shell completes it."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, values)

    @property
    def complete(self) -> Any:
        """How shtab completes it."""
        import shtab  # only `moondream-stream completion` asks

        return shtab.FILE


class FilesAction(FileAction):
    """Add the name of a file to those that were given before."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, [*(getattr(namespace, self.dest) or []), values])


def typed(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a parser for argparse, which shows only messages of ArgumentTypeError."""

    def parsed(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parsed


def count(text: str) -> int:
    """Read a number above 0. Raises ValueError."""
    if not _is_whole(text) or int(text) == 0:
        raise ValueError(f"it should be a whole number above 0, not {text[:20]!r}")
    return int(text)


def whole(text: str) -> int:
    """Read a number from 0 on. Raises ValueError."""
    if not _is_whole(text):
        raise ValueError(f"it should be a whole number, 0 or above, not {text[:20]!r}")
    return int(text)


def number(text: str) -> float:
    """Read a finite number. Raises ValueError."""
    try:
        value = float(text)
    except ValueError:
        value = inf
    if not -inf < value < inf:
        raise ValueError(f"it should be a number, not {text[:20]!r}")
    return value


def amount(text: str) -> float:
    """Read a finite number from 0 on. Raises ValueError."""
    try:
        value = number(text)
    except ValueError:
        value = -1.0
    if value < 0:
        raise ValueError(f"it should be a number, 0 or above, not {text[:20]!r}")
    return value


def seconds(text: str) -> float:
    """Read seconds above 0. Raises ValueError."""
    try:
        value = number(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= MAX_SECONDS:
        raise ValueError(
            f"it should be a number of seconds above 0, at most {MAX_SECONDS:,.0f}, "
            f"not {text[:20]!r}"
        )
    return value


def seconds_or_none(text: str) -> float:
    """Read seconds above 0, or `none` for infinity. Raises ValueError."""
    try:
        return inf if text == "none" else seconds(text)
    except ValueError as error:
        raise ValueError(f"{error}; none is no limit") from None


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
