"""A text without its escapes, and where each part of it stands in the original.

A server may send back a text unchanged, or in another spelling: with JSON's escapes,
percent-encoded, with HTML's entities, as Python's repr, or in more than one of these ways. We
search in the text without escapes, and mask what stands for the match in the original.

1. One step removes escapes that are nested in themselves: `\\\\\\"`, `%252F`, `&amp;lt;`. A second
   step removes those that the first one reveals: `\\u0026lt;`. There is no third step.
2. A backslash is removed in front of any character. So a text with backslashes of its own has to be
   searched for without them: `unescape` makes that form.
3. An escape that is cut off, by the end of the text or at "…", stands for nothing.
4. The work is linear in the bytes: no escape begins inside another one, and all but the runs of
   rule 1 are bounded.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

_STEPS = 2
CUT_MARKS = ("…".encode(), b"...")  # where `shorten`, and others, cut a text
_CUT = rb"(?=\Z|\xe2\x80\xa6|\.\.\.)"
# Each alternative begins with a literal byte, so that `re` skips to the next one quickly.
_ESCAPE = re.compile(
    rb"""
    \\\\*+(?: u(?P<high>[dD][89abAB][0-9a-fA-F]{2})\\++u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2})
            | u(?P<unit>[0-9a-fA-F]{4}) | x(?P<byte>[0-9a-fA-F]{2})
            | (?:[ux][0-9a-fA-F]{0,3})?(?P<cut_backslash>%s) | (?P<letter>[^\\]) )
    | %(?: (?:25)*+(?P<octet>[0-9a-fA-F]{2}) | (?:25)++ | [0-9a-fA-F]?(?P<cut_percent>%s) )
    | &(?: (?:amp;)*+(?: \#0{0,9}(?P<number>[0-9]{1,7}); | \#[xX]0{0,9}(?P<hex>[0-9a-fA-F]{1,6});
                       | (?P<name>[A-Za-z]{2,8}); )
         | (?:amp;)++ | [\#0-9A-Za-z]{0,9}(?P<cut_entity>%s) )
    """.replace(b"%s", _CUT),
    re.VERBOSE | re.DOTALL,
)
_LETTERS = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
# Only of ASCII: the named entities of all other characters would have to be imported.
_NAMES = dict(
    zip(
        b"excl quot num dollar percnt amp apos lpar rpar ast plus comma period sol colon semi lt"
        b" equals gt quest commat lsqb bsol rsqb Hat lowbar grave lcub verbar rcub".split(),
        (bytes([code]) for code in b"!\"#$%&'()*+,./:;<=>?@[\\]^_`{|}"),
        strict=True,
    )
)


class View:
    """A text that is made of parts of another one.

    Args:
        parts: a text, and where it stands in the parent: its start and its end. A text that is
            shorter than its place stands for all of it.
        parent: None for the original text.
    """

    def __init__(self, parts: Iterable[tuple[bytes, int, int]], parent: View | None = None) -> None:
        self._parent = parent
        self._offsets, self._starts, self._ends = array("Q", [0]), array("Q"), array("Q")
        texts: list[bytes] = []
        for text, start, end in parts:
            texts.append(text)
            self._offsets.append(self._offsets[-1] + len(text))
            self._starts.append(start)
            self._ends.append(end)
        self.text = b"".join(texts)

    def mask(self, start: int, end: int, original: bytearray) -> None:
        """Mask a part of this text where it stands in the original, byte by byte."""
        if self._parent is None:
            original[start:end] = b"*" * (end - start)
            return
        first = bisect_right(self._offsets, start) - 1
        # An escape that is cut off, and so stands for nothing, is masked with what is before it.
        last = max(bisect_left(self._offsets, end), bisect_right(self._offsets, end) - 1)
        for part in range(first, last):
            low, high, offset = self._starts[part], self._ends[part], self._offsets[part]
            size = self._offsets[part + 1] - offset
            if size == high - low:
                low, high = low + max(start - offset, 0), low + min(end - offset, size)
            self._parent.mask(low, high, original)

    def unescaped(self) -> Iterator[View]:
        """Yield this text, and it without escapes, for as many steps as change it."""
        view = self
        for _ in range(_STEPS):
            yield view
            if not any(mark in view.text for mark in (b"\\", b"%", b"&")):
                return
            view = View(_parts(view.text), view)
        yield view


def whole(text: bytes) -> View:
    """Return the original text as a view."""
    return View([(text, 0, len(text))])


def unescape(text: bytes) -> bytes:
    """Remove the escapes of one step."""
    return _ESCAPE.sub(_decoded, text)


def _parts(text: bytes) -> Iterator[tuple[bytes, int, int]]:
    end = 0
    for found in _ESCAPE.finditer(text):
        start = found.start()
        if start > end:
            yield text[end:start], end, start
        end = found.end()
        yield _decoded(found), start, end
    yield text[end:], end, len(text)


def _decoded(found: re.Match[bytes]) -> bytes:
    kind, text = found.lastgroup, found[found.lastindex or 0]
    if kind == "letter":
        return _LETTERS.get(text, text)
    if kind in ("byte", "octet"):
        return bytes([int(text, 16)])
    if kind == "name":
        return _NAMES.get(text, found[0])
    if kind == "low":
        pair = int(found["high"], 16) - 0xD800 << 10 | int(text, 16) - 0xDC00
        return chr(0x10000 + pair).encode()
    if kind in ("unit", "hex", "number"):
        code = int(text, 10 if kind == "number" else 16)
        return chr(min(code, 0x10FFFF)).encode("utf-8", "replace")
    return b"" if kind else found[0][:1]  # cut off; or "%25" and "&amp;" that begin no other escape
