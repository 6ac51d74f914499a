"""SVG path text as it arrives: a command is available as soon as it is complete.

The grammar is that of SVG 2 (section 9.3.9), as browsers implement it.

1. A token is complete when the next character cannot change it. A number at the end of the text
   waits for the next character, or for `end()`.
2. A command is complete with the last of its arguments. Each further set of arguments is a command
   of its own (after an `M` it is an `L`). A complete command is never taken back.
3. The commands, and the error if there is one, depend on the text alone, not on how it is split.
4. After an error every call raises the same error. `text[:error.position]` is a valid beginning of
   a path, and its commands stay.
5. `append()` after `end()` raises RuntimeError and changes nothing.
6. Commands are counted while they are parsed, so a path that is too long costs no more than one of
   `MAX_COMMANDS` commands.
"""

from __future__ import annotations

import re

from msgspec import Struct

MAX_COMMANDS = 10_000
"""Maximum number of commands of a path. A captured outline has a few hundred."""
_ARITY = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "T": 2, "A": 7, "Z": 0}
_FLAGS = (3, 4)  # arguments of an arc: one character each, and no separator is needed
_BLANK = re.compile(r"[ \t\n\f\r]*")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NUMBER_PREFIX = re.compile(r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]*)(?:(?<=[0-9])[eE][+-]?[0-9]*)?)?")
_MAX_NUMBER = 3.4e38  # browsers store 32-bit floats
# An incomplete number is read again with each append: the bound keeps that cheap.
_MAX_NUMBER_LENGTH = 1000


class PathError(ValueError):
    """The text is not an SVG path, or the path is too long. The message has what was expected.

    Args:
        message: what was expected, and what was found.

    Attributes:
        position: of the error, in characters from the beginning of the path. The text before it is
            a valid beginning of a path. None if the text is a path, and too long to be drawn.
    """

    def __init__(self, message: str, position: int | None) -> None:
        super().__init__(message, position)
        self.position = position

    def __str__(self) -> str:
        if self.position is None:
            return f"the path is not drawn: {self.args[0]}"
        return f"the path is wrong at character {self.position}: {self.args[0]}"


class Command(Struct, frozen=True, gc=False):
    """One path command with its arguments, as written: `Command("l", (0.5, 0.0))`.

    A letter with several sets of arguments makes one command for each set. The angle of an arc is
    in degrees, and its flags are 0.0 or 1.0.

    Attributes:
        letter: of the command, as in SVG.
        arguments: its numbers.
    """

    letter: str
    arguments: tuple[float, ...] = ()


class PathParser:
    """Parses a path that arrives in chunks.

    Call `append` with each chunk, then `end`. At every moment `commands` is a valid path; it only
    gets longer.

    Attributes:
        commands: the complete commands.
        position: length of the text of `commands`, in characters: `text[:position]` is a valid
            path, too.
    """

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.position = 0
        self._text = ""  # not parsed yet: empty, or the beginning of a number
        self._start = 0  # the position of `_text` in the path
        self._letter = ""
        self._arguments: list[float] = []
        self._complete_set = True  # the letter has all arguments; another set may follow
        self._comma = False  # the last token was a comma
        self._error: PathError | None = None
        self._ended = False

    def append(self, text: str) -> None:
        """Parse `text`, the next chunk.

        Raises:
            PathError: the text is not the beginning of a path.
            RuntimeError: `end()` was called before.
        """
        if self._ended and self._error is None:
            raise RuntimeError("append() was called after end()")
        self._parse(text, last=False)

    def end(self) -> None:
        """Parse what waited for more text.

        Raises:
            PathError: the path ends in the middle of a command.
        """
        self._ended = True
        self._parse("", last=True)
        if not self._complete_set or self._comma:
            self._fail(f"it ends, and {self._expected()} should follow", len(self._text))

    def _parse(self, text: str, *, last: bool) -> None:
        if self._error is not None:
            raise self._error
        self._text += text
        at = self._skip_blank()
        while at < len(self._text):
            character = self._text[at]
            if character == ",":
                at = self._take_comma(at)
            elif character.isascii() and character.upper() in _ARITY:
                at = self._take_letter(character, at)
            else:
                after = self._take_argument(at, last=last)
                if after == at:  # the number may continue in the next chunk
                    break
                at = after
            at = self._skip_blank(at)
        self._text = self._text[at:]
        self._start += at

    def _skip_blank(self, *start: int) -> int:
        """Return the end of the blanks from `start` on, by default from the beginning."""
        blank = _BLANK.match(self._text, *start)
        assert blank is not None
        return blank.end()

    def _take_comma(self, at: int) -> int:
        if self._comma or not (
            self._arguments or (self._complete_set and self._letter not in ("", "Z", "z"))
        ):
            self._fail(f"{self._expected()} should be here, not a comma", at)
        self._comma = True
        return at + 1

    def _take_letter(self, letter: str, at: int) -> int:
        if not self._complete_set or self._comma or (not self._letter and letter not in "Mm"):
            self._fail(f"{self._expected()} should be here, not {letter!r}", at)
        self._letter = letter
        self._complete_set = False
        if letter in "Zz":
            self._complete(at + 1)
        return at + 1

    def _take_argument(self, at: int, *, last: bool) -> int:
        """Parse an argument and return its end, or `at` if it may continue in the next chunk."""
        if self._letter in ("", "Z", "z"):
            self._fail(f"{self._expected()} should be here, not {self._text[at]!r}", at)
        if self._letter in "Aa" and len(self._arguments) in _FLAGS:
            if self._text[at] not in "01":
                self._fail(f"a flag, 0 or 1, should be here, not {self._text[at]!r}", at)
            end = at + 1
        else:
            number = _NUMBER_PREFIX.match(self._text, at)
            assert number is not None
            end = number.end()
            if end - at > _MAX_NUMBER_LENGTH:
                self._fail(f"a number has more than {_MAX_NUMBER_LENGTH} characters", at)
            if at < end == len(self._text) and not last:
                return at
            if _NUMBER.fullmatch(self._text, at, end) is None:
                self._fail(
                    f"{self._expected()} should be here, not {self._text[at : max(end, at + 1)]!r}",
                    at,
                )
        value = float(self._text[at:end])
        if abs(value) > _MAX_NUMBER:
            self._fail(f"a number is more than {_MAX_NUMBER:g}", at)
        self._arguments.append(value)
        self._comma = False
        self._complete_set = False
        if len(self._arguments) == _ARITY[self._letter.upper()]:
            self._complete(end)
        return end

    def _complete(self, end: int) -> None:
        if len(self.commands) == MAX_COMMANDS:
            self._fail(f"it has more than {MAX_COMMANDS:,} commands", self.position - self._start)
        self.commands.append(Command(self._letter, tuple(self._arguments)))
        self.position = self._start + end
        self._arguments.clear()
        self._complete_set = True
        self._letter = {"M": "L", "m": "l"}.get(self._letter, self._letter)

    def _expected(self) -> str:
        needed = _ARITY[self._letter.upper()] if self._letter else 0
        if needed == 0:
            return "a command" if self._letter else "M or m"
        if self._complete_set and not self._comma:
            return "a command or a number"
        return f"a number (argument {len(self._arguments) + 1} of {needed} of {self._letter})"

    def _fail(self, message: str, at: int) -> None:
        self._error = PathError(message, self._start + at)
        raise self._error


def parse_path(text: str) -> list[Command]:
    """Parse a whole path. A blank `text` is a path without commands.

    Raises:
        PathError: `text` is not a path; the error has the position.
    """
    path = PathParser()
    path.append(text)
    path.end()
    return path.commands
