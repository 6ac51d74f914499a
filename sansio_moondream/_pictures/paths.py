"""SVG path text while it arrives: commands as soon as they are whole.

The grammar is that of SVG 2 (section 9.3.9), as browsers have it.

1. A token that the next character may change is not whole: a number at the end of the text waits
   for what follows it. `end()` says that nothing does.
2. A command is whole with the last of its arguments. Each further set of arguments is a command of
   its own (after an `M` it is an `L`), so that what is whole is never taken back.
3. The commands, and the error if there is one, depend on the text alone, not on how it was cut.
4. A fault is raised again by every later call. What came before it stays: `text[:error.position]`
   is a good beginning of a path.
5. `append()` after the end raises `LocalProtocolError` and changes nothing.
"""

from __future__ import annotations

import re

from msgspec import Struct

from sansio_moondream._errors import LocalProtocolError

_ARITY = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "T": 2, "A": 7, "Z": 0}
_FLAGS = (3, 4)  # of an arc's arguments: one character each, nothing needed between them
_BLANK = re.compile(r"[ \t\n\f\r]*")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NUMBER_SO_FAR = re.compile(r"[+-]?[0-9]*\.?[0-9]*(?:(?<=[0-9])[eE][+-]?[0-9]*)?")
_LARGEST_NUMBER = 3.4e38  # browsers have 32 bits for it
_LONGEST_NUMBER = (
    1000  # so that one that comes character by character, which is looked at each time, stays cheap
)


class PathError(ValueError):
    """This is no SVG path. The message says what was expected and what is there instead.

    Attributes:
        position: of the fault, in characters from the beginning of the path. All before it is a
            good beginning of a path.
    """

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message, position)
        self.position = position

    def __str__(self) -> str:
        return f"the path is wrong at character {self.position}: {self.args[0]}"


class Command(Struct, frozen=True, gc=False):
    """One path command with its arguments, as they are written: `Command("l", (0.5, 0.0))`.

    A letter that is followed by several sets of arguments makes one command for each. The angle of
    an arc is in degrees, and its flags are 0.0 or 1.0."""

    letter: str
    arguments: tuple[float, ...] = ()


class GrowingPath:
    """The commands of a path that arrives in chunks, cut anywhere: `append` each chunk, and look at
    `commands`.

    At every moment `commands` is a valid path; it only ever gets longer.

    Attributes:
        commands: what is whole so far.
        position: how much of the text that is, in characters: `text[:position]` is a valid path,
            too.
    """

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.position = 0
        self._text = ""  # what has not been read yet: nothing, or the beginning of a number
        self._start = 0  # where that is in the path
        self._letter = ""
        self._arguments: list[float] = []
        self._used = True  # the letter has got all that it needs; more sets of arguments may follow
        self._comma = False  # the last token was a comma
        self._error: PathError | None = None
        self._ended = False

    def append(self, text: str) -> None:
        """Take the next chunk. Raises PathError where the text cannot be the beginning of a path,
        and LocalProtocolError after `end()`.
        """
        if self._ended and self._error is None:
            raise LocalProtocolError("append() came after end()")
        self._read(text, last=False)

    def end(self) -> None:
        """Say that this was all.

        Raises PathError where the path ends in the middle of a command.
        """
        self._ended = True
        self._read("", last=True)
        if not self._used or self._comma:
            self._fail(f"it ends, and {self._expected()} should follow", len(self._text))

    def _read(self, text: str, *, last: bool) -> None:
        if self._error is not None:
            raise self._error
        self._text += text
        at = self._skip_blank(0)
        while at < len(self._text):
            character = self._text[at]
            if character == ",":
                at = self._take_comma(at)
            elif character.isascii() and character.upper() in _ARITY:
                at = self._take_letter(character, at)
            else:
                after = self._take_argument(at, last=last)
                if after == at:  # the number may go on
                    break
                at = after
            at = self._skip_blank(at)
        self._text = self._text[at:]
        self._start += at

    def _skip_blank(self, at: int) -> int:
        blank = _BLANK.match(self._text, at)
        assert blank is not None
        return blank.end()

    def _take_comma(self, at: int) -> int:
        if self._comma or not (
            self._arguments or (self._used and self._letter not in ("", "Z", "z"))
        ):
            self._fail(f"{self._expected()} should be here, not a comma", at)
        self._comma = True
        return at + 1

    def _take_letter(self, letter: str, at: int) -> int:
        if not self._used or self._comma or (not self._letter and letter not in "Mm"):
            self._fail(f"{self._expected()} should be here, not {letter!r}", at)
        self._letter = letter
        self._used = False
        if letter in "Zz":
            self._complete(at + 1)
        return at + 1

    def _take_argument(self, at: int, *, last: bool) -> int:
        """Where the argument ends; `at` itself where that is not known yet."""
        if self._letter in ("", "Z", "z"):
            self._fail(f"{self._expected()} should be here, not {self._text[at]!r}", at)
        if self._letter in "Aa" and len(self._arguments) in _FLAGS:
            if self._text[at] not in "01":
                self._fail(f"a flag, 0 or 1, should be here, not {self._text[at]!r}", at)
            end = at + 1
        else:
            number = _NUMBER_SO_FAR.match(self._text, at)
            assert number is not None
            end = number.end()
            if end - at > _LONGEST_NUMBER:
                self._fail(f"a number has more than {_LONGEST_NUMBER} characters", at)
            if at < end == len(self._text) and not last:
                return at
            if _NUMBER.fullmatch(self._text, at, end) is None:
                self._fail(
                    f"{self._expected()} should be here, not {self._text[at : max(end, at + 1)]!r}",
                    at,
                )
        value = float(self._text[at:end])
        if abs(value) > _LARGEST_NUMBER:
            self._fail(f"a number is more than {_LARGEST_NUMBER:g}", at)
        self._arguments.append(value)
        self._comma = False
        self._used = False
        if len(self._arguments) == _ARITY[self._letter.upper()]:
            self._complete(end)
        return end

    def _complete(self, end: int) -> None:
        self.commands.append(Command(self._letter, tuple(self._arguments)))
        self.position = self._start + end
        self._arguments.clear()
        self._used = True
        self._letter = {"M": "L", "m": "l"}.get(self._letter, self._letter)

    def _expected(self) -> str:
        needed = _ARITY[self._letter.upper()] if self._letter else 0
        if needed == 0:
            return "a command" if self._letter else "M or m"
        if self._used and not self._comma:
            return "a command or a number"
        return f"a number (argument {len(self._arguments) + 1} of {needed} of {self._letter})"

    def _fail(self, message: str, at: int) -> None:
        self._error = PathError(message, self._start + at)
        raise self._error


def parse_path(text: str) -> list[Command]:
    """The commands of a whole path.

    Raises PathError, which has the position of the fault. Blank text is a path without commands.
    """
    path = GrowingPath()
    path.append(text)
    path.end()
    return path.commands
